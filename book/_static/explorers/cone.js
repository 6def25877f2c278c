// The explorer of the fourth chapter: the cone of an ellipsoid, as published and corrected (geometric, Section 3).
"use strict";

(() => {
  const {finite} = prunekit;
  const {bracketedRoot, geomspace, linspace, sum, uniforms} = prunekit.numerics;
  const SWEEP = 41, CHANCES = 61, SPAN = 30, MOST = 2000;

  const controls = [
    {id: "D", group: "Hessian", label: "Weights D", type: "integer", min: 16, max: MOST, scale: "log", value: 400,
      shown: (s) => s.spectrum !== "pasted"},
    {id: "spectrum", group: "Hessian", label: "Spectrum", type: "choice", value: "loguniform",
      options: {flat: "all alike", levels: "two levels", loguniform: "log-uniform", power: "power law i^(-a)", pasted: "my own list"}},
    {id: "top", group: "Hessian", label: "Largest eigenvalue", type: "number", min: 0.01, max: 1e5, scale: "log", value: 100,
      shown: (s) => s.spectrum !== "pasted"},
    {id: "ratio", group: "Hessian", label: "Largest over smallest", type: "number", min: 1.5, max: 1e9, scale: "log", value: 1e6,
      shown: (s) => s.spectrum === "levels" || s.spectrum === "loguniform"},
    {id: "sharp", group: "Hessian", label: "Share of the largest", type: "number", min: 0.02, max: 0.98, step: 0.01, value: 0.1,
      shown: (s) => s.spectrum === "levels"},
    {id: "exponent", group: "Hessian", label: "Exponent a", type: "number", min: 0.1, max: 3, step: 0.1, value: 2,
      shown: (s) => s.spectrum === "power"},
    {id: "eigenvalues", group: "Hessian", label: "Eigenvalues, one a weight", type: "list", min: 1e-9, max: 1e9, least: 4, most: MOST,
      value: "100, 30, 10, 3, 1, 1, 0.3, 0.3, 0.1, 0.1, 0.03, 0.03, 0.01, 0.01", shown: (s) => s.spectrum === "pasted"},
    {id: "direction", group: "The pruned point", label: "Direction of c, from the pruned to the trained weights", type: "choice",
      value: "random", options: {random: "random", flat: "along flat directions", sharp: "along sharp directions"}},
    {id: "part", group: "The pruned point", label: "Share of directions that c lies in", type: "number", min: 0.02, max: 1,
      step: 0.01, value: 0.5, shown: (s) => s.direction !== "random"},
    {id: "R", group: "The pruned point", label: "Distance R", type: "number", min: 0.01, max: 1000, scale: "log", value: 1},
    {id: "epsilon", group: "The pruned point", label: "Tolerance ε on the loss", type: "number", min: 1e-5, max: 1000, scale: "log",
      value: 0.2},
    {id: "draws", group: "The exact cone, by Monte Carlo", label: "Draws", type: "integer", min: 8, max: 100, value: 24},
    {id: "seed", group: "The exact cone, by Monte Carlo", label: "Seed", type: "integer", min: 0, max: 999, value: 0},
  ];

  const presets = [
    {name: "Log-uniform spectrum", state: {}},
    {name: "Power law", state: {spectrum: "power", epsilon: 0.05}},
    {name: "Feasible, yet T is 0.55", state: {D: 1000, spectrum: "levels", top: 1e4, ratio: 1e7, direction: "flat", part: 0.9, R: 31.5,
      epsilon: 0.5}},
    {name: "A ball: T too low", state: {spectrum: "flat", epsilon: 20}},
    {name: "c along sharp directions", state: {direction: "sharp", part: 0.2, epsilon: 2}},
    {name: "A loose tolerance", state: {epsilon: 2.5}},
  ];

  // Eigenvalues in falling order, with the share of |c|² at each.
  function landscape(state) {
    const D = state.spectrum === "pasted" ? state.eigenvalues.length : state.D, {top, ratio} = state;
    const at = Array.from({length: D}, (_, i) => i), first = Math.max(1, Math.round(state.sharp * D));
    const h = {
      flat: () => at.map(() => top),
      levels: () => at.map((i) => (i < first ? top : top / ratio)),
      loguniform: () => geomspace(top, top / ratio, D),
      power: () => at.map((i) => top * (i + 1) ** -state.exponent),
      pasted: () => state.eigenvalues.slice().sort((a, b) => b - a),
    }[state.spectrum]();
    const many = state.direction === "random" ? D : Math.max(1, Math.round(state.part * D));
    const from = state.direction === "flat" ? D - many : 0;
    return {D, first, h, many, from, share: at.map((i) => (i >= from && i < from + many ? 1 / many : 0))};
  }

  // Equal eigenvalues joined: {h, count, share}, share of |c|².
  function joined({h, share}) {
    const out = {h: [], count: [], share: []};
    h.forEach((value, i) => {
      const last = out.h.length - 1;
      if (last >= 0 && out.h[last] === value) { out.count[last] += 1; out.share[last] += share[i]; }
      else { out.h.push(value); out.count.push(1); out.share.push(share[i]); }
    });
    return out;
  }

  const total = (weights, f, h) => {
    let all = 0;
    for (let i = 0; i < h.length; i++) all += weights[i] * f(h[i]);
    return all;
  };

  // The root of a function that falls from positive to negative, by its logarithm.
  function fallingRoot(excess, low, high) {
    const at = (x) => -excess(Math.exp(x)), a = at(Math.log(low)), b = at(Math.log(high));
    return a >= 0 ? low : b <= 0 ? high : Math.exp(bracketedRoot(at, Math.log(low), Math.log(high), a, b));
  }

  // ν of the cone: Σ c_i² h_i/(2ε + νh_i) = 1, which is Σ c_i²/(r_i² + ν) = 1; 0 where cᵀHc ≤ 2ε.
  function coneRoot({h, share}, twice, squared) {
    const energy = squared * total(share, (x) => x, h), top = Math.max(...h.filter((_, i) => share[i] > 0), 0);
    if (energy <= twice) return 0;
    return fallingRoot((nu) => squared * total(share, (x) => x / (twice + nu * x), h) - 1, (energy - twice) / Math.max(top, h[0]), squared);
  }

  // ν of the limit for subspaces orthogonal to c: Σ c_i²(R² - r_i²)/(r_i² + ν) = 0; infinite where there is none.
  function orthogonalRoot({h, share}, twice, squared) {
    if (squared * total(share, (x) => x, h) <= twice) return 0;
    if (twice * squared * total(share, (x) => 1 / x, h) <= squared ** 2) return Infinity;
    const excess = (nu) => {
      const part = 1 / (1 + nu / squared);
      return total(share, (x) => (squared * x - twice) / (twice * part + x * squared * (1 - part)), h);
    };
    let low = squared, high = squared;
    while (excess(low) <= 0) {
      low /= 4;
      if (low < 1e-200 * squared) return 0;
    }
    while (excess(high) > 0) {
      high *= 4;
      if (high > 1e200) return Infinity;
    }
    return fallingRoot(excess, low, high);
  }

  // Dimensions and shares to keep: as published (Lemma 2, Corollary 1), of the cone, and orthogonal to c.
  function limits(groups, D, epsilon, R) {
    const twice = 2 * epsilon, squared = R * R, {h, count} = groups;
    const dimension = (nu) => total(count, (x) => twice / (twice + nu * x), h);
    const published = dimension(squared), cone = dimension(coneRoot(groups, twice, squared)), nu = orthogonalRoot(groups, twice, squared);
    return {published, cone, T: 1 - published / D, share: 1 - cone / D,
      orthogonal: nu === Infinity ? 1 : total(count, (x) => nu * x / (twice + nu * x), h) / D,
      feasible: squared * total(groups.share, (x) => x, h) <= twice};
  }

  // |Πg|² for the cone that {x : xᵀHx ≤ 2ε} + c generates: |g|² less the least distance of g - tc from tE over t ≥ 0.
  function projected(g, c, h, twice) {
    const D = g.length, dot = (a, b) => { let all = 0; for (let i = 0; i < D; i++) all += a[i] * b[i]; return all; };
    const reach = Math.sqrt(twice * sum(g.map((x, i) => x * x / h[i])));
    if (dot(c, g) + reach <= 0) return 0; // no direction of the cone has a positive component along g
    const v = new Float64Array(D), y = new Float64Array(D);
    const slope = (t) => { // half the derivative in t of the squared distance; y is the nearest point of c + E
      let inside = 0;
      for (let i = 0; i < D; i++) { v[i] = g[i] / t - c[i]; inside += h[i] * v[i] ** 2; }
      let mu = 0;
      if (inside > twice) // Σ h v²/(1 + μh)² = 2ε for μ, by Newton's steps for its power -1/2, which is concave
        for (let round = 0; round < 200; round++) {
          let value = 0, change = 0;
          for (let i = 0; i < D; i++) {
            const q = 1 / (1 + mu * h[i]), part = h[i] * (v[i] * q) ** 2;
            value += part; change += 2 * part * h[i] * q;
          }
          const step = value / change * 2 * (Math.sqrt(value / twice) - 1);
          mu += step;
          if (Math.abs(step) <= 1e-14 * Math.abs(mu)) break;
        }
      let all = 0;
      for (let i = 0; i < D; i++) {
        y[i] = c[i] + v[i] / (1 + mu * h[i]);
        all += y[i] * (t * y[i] - g[i]);
      }
      return all;
    };
    let high = Math.sqrt(dot(g, g) / dot(c, c)), low = high;
    while (slope(high) < 0) high *= 2;
    while (slope(low) > 0) low /= 2;
    const t = low === high ? low : bracketedRoot(slope, low, high);
    slope(t);
    return t * t * dot(y, y);
  }

  // The statistical dimension E|Πg|² by Monte Carlo, with its standard error; g by Box and Muller from a seed.
  function exact({h, share, D}, epsilon, R, draws, seed) {
    const next = uniforms(seed), c = share.map((s) => R * Math.sqrt(s)), half = Math.ceil(D / 2), values = [];
    for (let k = 0; k < draws; k++) {
      const u = Array.from({length: 2 * half}, next);
      const g = Array.from({length: D}, (_, i) => {
        const length = Math.sqrt(-2 * Math.log1p(-u[i % half])), angle = 2 * Math.PI * u[half + (i % half)];
        return length * (i < half ? Math.cos(angle) : Math.sin(angle));
      });
      values.push(R * R * sum(h.map((x, i) => x * share[i])) <= 2 * epsilon ? sum(g.map((x) => x * x)) : projected(g, c, h, 2 * epsilon));
    }
    const mean = sum(values) / draws;
    return {mean, error: Math.sqrt(sum(values.map((v) => (v - mean) ** 2)) / (draws - 1) / draws)};
  }

  // Whether the cone is so thin that the library's eigenvectors, by which it is projected on, lose it in rounding.
  function thin({h, share}, epsilon, R) {
    const energy = R * R * total(share, (x) => x, h), least = Math.min(...h.filter((_, i) => share[i] > 0));
    return 2 * epsilon < energy && 2 * epsilon / energy * least / h[0] < 1e-8;
  }

  function compute(state, detail = 1, whole = detail === 1) {
    const given = landscape(state), {D} = given, groups = joined(given), {epsilon, R} = state;
    const here = limits(groups, D, epsilon, R), ks = [...new Set(linspace(0, D, Math.max(21, Math.round(detail * CHANCES))).map(Math.round))];
    const step = (dimension) => ks.map((k) => (dimension + k > D ? 1 : dimension + k < D ? 0 : 0.5)); // Theorem 1, equation (7)
    const tail = ks.map((k) => Math.min(4 * Math.exp(-((here.cone + k - D) ** 2) / (8 * D)), 1));
    const distances = geomspace(R / SPAN, R * SPAN, Math.max(11, Math.round(detail * SWEEP)));
    const sweep = distances.map((r) => limits(groups, D, epsilon, r));
    return finite("a number", {
      D, given, here, ks, published: step(here.published), cone: step(here.cone), distances, sweep,
      low: ks.map((k, i) => (here.cone + k - D > 0 ? 1 - tail[i] : 0)), high: ks.map((k, i) => (here.cone + k - D < 0 ? tail[i] : 1)),
      exact: whole && !thin(groups, epsilon, R) ? exact(given, epsilon, R, state.draws, state.seed) : null,
    }, "the eigenvalues, R or ε");
  }

  function figures(state, found) {
    const {D, ks, here, distances, sweep} = found, k = ks.map((x) => x / D), {exact: drawn} = found;
    const against = (key) => sweep.map((each) => each[key]);
    const T = against("T"), orthogonal = against("orthogonal"), above = (a, b) => a.map((v, i) => Math.max(v, b[i]));
    return [() => ({
      title: "Can a share of weights reach the tolerance?", name: "share", x: {label: "distance R of the pruned point", scale: "log",
        range: [distances[0], distances[distances.length - 1]]}, y: {label: "share of weights to keep", range: [0, 1.02]},
      areas: [{label: "published T too high", x: distances, y: above(T, orthogonal), base: orthogonal, series: 1},
        {label: "published T too low", x: distances, y: above(T, orthogonal), base: T, series: 3}],
      lines: [{label: "T as published", x: distances, y: T, series: 1, dash: 1}, {label: "T⊥, orthogonal to c", x: distances, y: orthogonal, series: 0},
        {label: "cone, random subspace", x: distances, y: against("share"), series: 2, dash: 2}],
      rules: [{x: state.R, label: "R"}],
    }), () => ({
      title: "Chance that a random subspace meets the cone", name: "chance", x: {label: "share of dimensions, k/D", range: [0, 1]},
      y: {label: "chance to reach the ellipsoid", range: [-0.02, 1.02]},
      areas: [{label: "bounds for every cone of this δ", x: k, y: found.high, base: found.low, series: 2}],
      lines: [{label: "as published", ...stair(here.T), series: 1, dash: 1}, {label: "cone", ...stair(here.share), series: 2, dash: 2}],
      rules: [{x: here.orthogonal, label: "T⊥", row: 1}],
      points: drawn ? [{label: "exact cone, drawn (± two errors)", x: [-2, 0, 2].map((e) => 1 - (drawn.mean + e * drawn.error) / D),
        y: [0.5, 0.5, 0.5], series: 4, marker: "diamond"}] : [],
    }), () => ({
      title: "The Hessian, and where c lies", name: "spectrum", x: {label: "rank of an eigenvalue, over D"}, y: {label: "eigenvalue", scale: "log"},
      lines: [{label: "eigenvalues", x: found.given.h.map((_, i) => (i + 1) / D), y: found.given.h, series: 0}],
      points: [{label: "c lies here", ...thinned(found.given), series: 4, marker: "dot"}],
    })];
  }

  const stair = (x) => ({x: [0, x, x, 1], y: [0, 0, 1, 1]});
  const thinned = ({h, from, many, D}) => {
    const some = [...new Set(linspace(from, from + many - 1, Math.min(many, 16)).map(Math.round))];
    return {x: some.map((i) => (i + 1) / D), y: some.map((i) => h[i])};
  };

  function summary(state, found, say) {
    const {here, D, exact: drawn} = found, gap = here.T - here.orthogonal;
    const parts = [`At R = ${say(state.R)} and ε = ${say(state.epsilon)}, of D = ${D} weights the published threshold asks to keep `
      + `${say(here.T, 3)}; the cone of the ellipsoid has room for random subspaces from ${say(here.share, 3)}, and for those orthogonal to `
      + `c, as the kept weights are, from T⊥ = ${say(here.orthogonal, 3)}.`];
    parts.push(Math.abs(gap) < 5e-4 ? "The published T is right here." : `The published T is too ${gap > 0 ? "high" : "low"} by ${say(Math.abs(gap), 3)}.`);
    if (here.feasible) parts.push("The pruned point itself is within the tolerance.");
    if (!drawn) parts.push("The exact cone is too thin to be drawn in double precision.");
    else parts.push(`The exact cone, from ${state.draws} draws, has the dimension ${say(drawn.mean)} ± ${say(drawn.error, 2)}; the formula `
      + `for many dimensions says ${say(here.cone)}, the published one ${say(here.published)}.`);
    return parts.join(" ");
  }

  const numbers = (state, found) => ({
    distance: found.distances, published: found.sweep.map((s) => s.T), cone: found.sweep.map((s) => s.share),
    orthogonal: found.sweep.map((s) => s.orthogonal),
    k: found.ks, chance_published: found.published, chance_cone: found.cone, chance_low: found.low, chance_high: found.high,
  });
  const facts = (state, found) => ({dimension_published: found.here.published, dimension_cone: found.here.cone,
    orthogonal: found.here.orthogonal, ...(found.exact ? {exact: found.exact.mean, exact_error: found.exact.error} : {})});

  function python(state, found) {
    const {D, first, from, many} = found.given, {top, ratio} = state;
    const h = {
      flat: `np.full(D, float(${top}))`,
      levels: `np.where(np.arange(D) < ${first}, ${top}, ${top} / ${ratio})`,
      loguniform: `np.geomspace(${top}, ${top} / ${ratio}, D)`,
      power: `${top} * np.arange(1.0, D + 1) ** -${state.exponent}`,
      pasted: `np.sort(np.array([${state.eigenvalues}], dtype=float))[::-1]`,
    }[state.spectrum];
    const monte = found.exact ? `
u = np.random.RandomState(${state.seed}).random_sample((${state.draws}, 2, (D + 1) // 2))
length, angle = np.sqrt(-2 * np.log1p(-u[:, 0])), 2 * np.pi * u[:, 1]
g = np.hstack([length * np.cos(angle), length * np.sin(angle)])[:, :D]
squares = np.sum(cones.EllipsoidCone(h, c, epsilon).project(g) ** 2, axis=1)
facts |= {"exact": squares.mean(), "exact_error": squares.std(ddof=1) / np.sqrt(len(squares))}` : "";
    return `import numpy as np
from prunekit import cones
from prunekit.spectrum import Measure

D, epsilon, R = ${D}, ${state.epsilon}, ${state.R}
h = ${h}
c = np.zeros(D)
c[${from}:${from + many}] = R / np.sqrt(${many})
spectrum = Measure.of_eigenvalues(h)

def limits(distance):
    direction = Measure.of_vector(h, c * distance / R)
    return (
        1 - cones.dimension_as_published(spectrum, epsilon, distance).value / D,
        1 - cones.cone_dimension(spectrum, direction, epsilon).value / D,
        cones.orthogonal_limit(spectrum, direction, epsilon).value,
    )

numbers = {"distance": list(np.geomspace(R / ${SPAN}, R * ${SPAN}, ${found.distances.length}))}
rows = [limits(distance) for distance in numbers["distance"]]
numbers |= dict(zip(("published", "cone", "orthogonal"), map(list, zip(*rows))))
published, share, orthogonal = limits(R)
facts = {"dimension_published": D * (1 - published), "dimension_cone": D * (1 - share), "orthogonal": orthogonal}
k = np.array([${found.ks.join(", ")}])
low, high = cones.kinematic.error_bounds(facts["dimension_cone"], k, D)
numbers |= {"k": list(k), "chance_low": list(low), "chance_high": list(high)}
for name in ("published", "cone"):
    numbers[f"chance_{name}"] = list(cones.kinematic.step(facts[f"dimension_{name}"], k, D))${monte}
`;
  }

  prunekit.explorers.cone = {name: "cone", controls, presets, compute, figures, summary, numbers, facts, python, projected};
})();
