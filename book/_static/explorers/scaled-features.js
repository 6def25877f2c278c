// The explorer of the second chapter: a block of features, or a layer, in other units (li, Definition 3.2, Lemma 4.1).
"use strict";

(() => {
  const {lazily, refuse} = prunekit;
  const {bracketedRoot, density, geomspace, linspace, sum} = prunekit.numerics;
  const {characterize, inclusion, prunedRisk, threshold} = prunekit.law;
  const RULES = ["magnitude", "Hessian"], SCALES = 33, RISKS = 25, POINTS = 80, LEAST = 1 / 16, MOST = 16;

  const features = (s) => s.scaled === "features", layers = (s) => s.scaled === "layers";
  const controls = [
    {id: "scaled", group: "What is scaled", label: "Scaled", type: "choice", value: "features",
      options: {features: "features of a linear model", layers: "layers (λW, V/λ) of a network"}},
    {id: "scale", group: "What is scaled", label: "Scale λ", type: "number", min: LEAST, max: MOST, scale: "log", value: 5},
    {id: "kept", group: "What is scaled", label: "Share of weights kept", type: "number", min: 0.005, max: 1, step: 0.005,
      value: 0.1},
    {id: "p", group: "Linear model", label: "Features p", type: "integer", min: 20, max: 1000, value: 200, shown: features},
    {id: "kappa", group: "Linear model", label: "Features per sample, κ = p/n", type: "number", min: 0.2, max: 10,
      step: 0.05, value: 1.65, shown: features},
    {id: "block", group: "Linear model", label: "Share of features in the scaled block", type: "number", min: 0.02,
      max: 0.98, step: 0.02, value: 0.1, shown: features},
    {id: "sigma", group: "Linear model", label: "Noise σ", type: "number", min: 0, max: 2, step: 0.01, value: 0.1,
      shown: features},
    {id: "theta", group: "Linear model", label: "What the features say", type: "choice", value: "falling",
      options: {falling: "falling as (1 + 4i/p)⁻²", alike: "all alike", rising: "rising: the last say most"}, shown: features},
    {id: "inputs", group: "Two-layer network", label: "Inputs d", type: "integer", min: 2, max: 1000, value: 64, shown: layers},
    {id: "hidden", group: "Two-layer network", label: "Hidden units m", type: "integer", min: 2, max: 1024, value: 512,
      shown: layers},
    {id: "classes", group: "Two-layer network", label: "Classes", type: "integer", min: 2, max: 100, value: 10, shown: layers},
    {id: "ratio", group: "Two-layer network", label: "Curvature of V over that of W at λ = 1", type: "number", min: 0.01,
      max: 10000, scale: "log", value: 54, shown: layers},
  ];

  const presets = [
    {name: "Figure 1: λ = 5, small", state: {}},
    {name: "Figure 1 as printed: p = 1000", state: {p: 1000, kappa: 5 / 3}},
    {name: "Figure 1: λ = 1/2", state: {scale: 0.5}},
    {name: "Enough samples: κ = 1/2", state: {kappa: 0.5}},
    {name: "The scaled block dies", state: {scale: 16, kept: 0.05, theta: "alike"}},
    {name: "Layers: the output layer dies", state: {scaled: "layers", scale: 4}},
    {name: "Layers of equal sizes", state: {scaled: "layers", scale: 0.595}},
  ];

  function profile(kind, p) {
    const raw = Array.from({length: p}, (_, i) => (kind === "alike" ? 1 : (1 + 4 * (kind === "falling" ? i + 1 : p - i) / p) ** -2));
    const norm = Math.sqrt(sum(raw.map((t) => t * t)));
    return raw.map((t) => t / norm);
  }

  // What the settings say, with a function that returns the law of all weights at a scale; `blocks` says whose they are.
  function setup(state) {
    if (layers(state)) {
      const W = state.inputs * state.hidden, V = state.hidden * state.classes, total = W + V;
      // He's weights, of one curvature a layer: saliencies h w² do not depend on the scale (li, Lemma 4.1)
      const law = (scale) => ({
        problem: {lambda: [scale ** -2, state.ratio * scale ** 2], beta: [0, 0], count: [W, V], noise: 0}, rank: total,
        cuts: {}, mean: [0, 0], sd: [scale * Math.sqrt(2 / state.inputs), Math.sqrt(2 / state.hidden) / scale],
      });
      return {total, s: Math.max(1, Math.round(state.kept * total)), sizes: [W, V], blocks: [0, 1], law,
        names: ["input layer λW", "output layer V/λ"]};
    }
    const {p} = state, n = Math.max(1, Math.round(p / state.kappa)), first = Math.max(1, Math.round(state.block * p));
    if (first >= p) refuse(`Share of features in the scaled block is ${state.block}: give less, for p = ${p} leaves none`);
    const theta = profile(state.theta, p), alike = state.theta === "alike", groups = alike ? [0, p - 1] : [...theta.keys()];
    const count = alike ? [first, p - first] : theta.map(() => 1), inside = groups.map((i) => i < first);
    // Features Λx (li, Section 3.1): covariance Λ², coefficients Λ⁻¹θ
    const law = (scale, near) => {
      const L = inside.map((b) => (b ? scale : 1));
      return characterize({lambda: L.map((l) => l * l), beta: groups.map((i, j) => theta[i] / L[j]), count,
        noise: state.sigma ** 2}, n, 0, near);
    };
    return {total: p, n, first, s: Math.max(1, Math.round(state.kept * p)), sizes: [first, p - first],
      blocks: inside.map((b) => (b ? 0 : 1)), law, names: ["scaled block", "other features"]};
  }

  // The share of each block that a rule keeps.
  function shares(given, law, rule, s) {
    const kept = inclusion(law, rule, s), out = [0, 0];
    kept.forEach((chance, i) => { out[given.blocks[i]] += chance * law.problem.count[i]; });
    return out.map((number, b) => number / given.sizes[b]);
  }

  // The scales below or above which magnitude pruning leaves less than half a weight of a block on average.
  function deaths(given, scales, rows) {
    const found = [];
    for (const b of [0, 1]) {
      const left = rows.map((row) => row[b] * given.sizes[b]), sides = {};
      const excess = (x) => Math.log(2 * shares(given, given.law(Math.exp(x)), "magnitude", given.s)[b] * given.sizes[b]);
      for (let i = 1; i < scales.length; i++) {
        const side = left[i - 1] >= 0.5 && left[i] < 0.5 ? "above" : left[i - 1] < 0.5 && left[i] >= 0.5 ? "below" : null;
        if (side === "above" || (side === "below" && !sides.below)) sides[side] = [scales[i - 1], scales[i]];
      }
      for (const [side, between] of Object.entries(sides))
        found.push({block: b, side, between, at: Math.exp(bracketedRoot(excess, ...between.map(Math.log)))});
    }
    return found;
  }

  // Adds to y a normal density times a weight, at evenly spaced points. From the point next to its mean outward each
  // value is the one before times a factor, and that factor itself shrinks evenly: no exponential at a point.
  function addNormal(y, from, step, mean, sd, weight) {
    const h = step / sd, shrink = Math.exp(-h * h), top = Math.min(y.length - 1, Math.max(0, Math.round((mean - from) / step)));
    const z = (from + top * step - mean) / sd, start = weight * density(z);
    for (const way of [1, -1]) {
      let value = start, factor = Math.exp(-way * z * h - h * h / 2);
      for (let j = top + (way > 0 ? 0 : -1); j >= 0 && j < y.length; j += way) {
        if (j !== top) { value *= factor; factor *= shrink; }
        y[j] += value;
      }
    }
  }

  // The density of the weights of each block: means of normal densities.
  function densities(given, law) {
    return [0, 1].map((b) => {
      const mine = [...law.mean.keys()].filter((i) => given.blocks[i] === b);
      const reach = Math.max(...mine.map((i) => Math.abs(law.mean[i]) + 4 * law.sd[i])), x = linspace(-reach, reach, POINTS);
      const y = x.map(() => 0), step = 2 * reach / (POINTS - 1);
      for (const i of mine)
        addNormal(y, -reach, step, law.mean[i], law.sd[i], law.problem.count[i] / given.sizes[b] / law.sd[i]);
      return {x, y};
    });
  }

  let before = {key: null}; // what each rule keeps at all scales, for the settings last asked for: the scale is none of them
  function sweep(state, given, scales, whole) {
    const key = JSON.stringify({...state, scale: 0, scales: scales.length, whole});
    if (before.key !== key) {
      const laws = [];
      for (const scale of scales) laws.push(given.law(scale, laws[laws.length - 1]));
      const kept = Object.fromEntries(RULES.map((rule) =>
        [rule, laws.map((each) => shares(given, each, rule, given.s))]));
      before = {key, kept, deaths: whole ? deaths(given, scales, kept.magnitude) : []};
    }
    return before;
  }

  function compute(state, detail = 1, whole = detail === 1) {
    const given = setup(state), law = given.law(state.scale), {s, total} = given, rules = [...RULES, "oracle"];
    if (law.sd.some((d) => d === 0)) refuse(`Noise σ is ${state.sigma} and the samples determine the weights, which then do not vary: give more noise, or a larger κ`);
    const scales = geomspace(LEAST, MOST, Math.max(7, Math.round(detail * SCALES)));
    const found = lazily("a number", "the scale, the share kept or the noise", {
      cut: () => (s < total ? threshold(law, "magnitude", s) : 0),
      density: () => densities(given, law),
      kept: () => sweep(state, given, scales, whole).kept,
      deaths: () => sweep(state, given, scales, whole).deaths,
      at: () => Object.fromEntries(RULES.map((rule) => [rule, shares(given, law, rule, s)])),
      ...(features(state) ? {
        risks: () => {
          const numbers = [...new Set(geomspace(1, total, Math.max(6, Math.round(detail * RISKS))).map(Math.round))];
          return {kept: numbers, ...Object.fromEntries(rules.map((rule) => [rule, numbers.map((k) => prunedRisk(law, rule, k))]))};
        },
        here: () => rules.map((rule) => prunedRisk(law, rule, s)),
      } : {}),
    });
    return Object.assign(found, {n: given.n, s, total, sizes: given.sizes, names: given.names, scales, gamma: law.gamma ?? null});
  }

  function ofDensity({density: d, cut, names}) {
    const tops = d.map((each) => Math.max(...each.y)), top = Math.max(...tops), log = top > 8 * Math.min(...tops);
    return {
      title: "The law of the weights", name: "density", x: {label: "size of a weight"},
      y: log ? {label: "density of a block", scale: "log", range: [Math.min(...tops) / 1e3, 2 * top]} // else one would hide the other
        : {label: "density of a block", range: [0, 1.08 * top]},
      areas: names.map((label, b) => ({label, ...d[b], series: b})),
      lines: names.map((_, b) => ({...d[b], series: b, dash: b})),
      rules: cut > 0 ? [{x: cut, label: "magnitude keeps beyond"}, {x: -cut}] : [],
    };
  }

  function ofKept(state, {kept, scales, names, deaths: dead}) {
    return {
      title: "What each rule keeps", name: "kept", x: {label: "scale λ", scale: "log", range: [LEAST, MOST]},
      y: {label: "share of a block kept", range: [-0.02, 1.02]},
      lines: RULES.flatMap((rule, i) => names.map((name, b) => ({label: `${rule}: ${name}`, x: scales, y: kept[rule].map((row) => row[b]),
        series: b, dash: i * 2}))),
      rules: [{x: state.scale, label: "λ"}, ...dead.map((each, i) => ({x: each.at, row: i + 1,
        label: each.side === "below" ? `← ${names[each.block]} dies` : `${names[each.block]} dies →`}))],
    };
  }

  function ofRisks({risks, s, total}) {
    return {
      title: "Risk against the weights kept", name: "risk", x: {label: "share of weights kept", scale: "log"}, y: {label: "expected risk (units of y²)"},
      lines: [...RULES, "oracle"].map((rule, i) => ({label: rule, x: risks.kept.map((k) => k / total), y: risks[rule], series: i, dash: i})),
      rules: [{x: s / total, label: "kept"}],
    };
  }

  const figures = (state, found) => [() => ofDensity(found), () => ofKept(state, found),
    ...(features(state) ? [() => ofRisks(found)] : [])];

  const percent = (x) => `${Number((100 * x).toPrecision(3))}%`;

  function summary(state, found, say) {
    const {at, s, total, names} = found;
    const parts = [`At λ = ${say(state.scale)}, with ${s} of ${total} weights kept`
      + `${features(state) ? ` and n = ${found.n} samples` : ""}: magnitude pruning keeps ${percent(at.magnitude[0])} of the `
      + `${names[0]} and ${percent(at.magnitude[1])} of the ${names[1]}, Hessian pruning ${percent(at.Hessian[0])} and `
      + `${percent(at.Hessian[1])}.`];
    if (found.here) parts.push(`Expected risk: dense ${say(found.gamma)}, magnitude ${say(found.here[0])}, Hessian ${say(found.here[1])}, oracle ${say(found.here[2])}.`);
    for (const dead of found.deaths)
      parts.push(`Magnitude pruning leaves less than half a weight of the ${names[dead.block]} ${dead.side} λ = ${say(dead.at)}.`);
    if (!found.deaths.length) parts.push("No block dies for λ from 1/16 to 16.");
    return parts.join(" ");
  }

  function numbers(state, found) {
    const columns = {scale: found.scales};
    RULES.forEach((rule) => ["first", "second"].forEach((name, b) => { columns[`${name}_${rule}`] = found.kept[rule].map((row) => row[b]); }));
    const [one, two] = found.density;
    Object.assign(columns, {size_first: one.x, density_first: one.y, size_second: two.x, density_second: two.y});
    if (found.risks) Object.assign(columns, {kept: found.risks.kept, ...Object.fromEntries([...RULES, "oracle"].map((rule) => [`risk_${rule}`, found.risks[rule]]))});
    return columns;
  }

  const dying = (dead) => `${["first", "second"][dead.block]}_dies_${dead.side}`;
  const facts = (state, found) => ({
    threshold: found.cut, ...Object.fromEntries(found.deaths.map((dead) => [dying(dead), dead.at])),
    ...(found.gamma === null ? {} : {dense: found.gamma}),
  });

  // The same lines for features and layers, but for what a law is.
  function python(state, found) {
    const {scales, density: d, s, sizes} = found, {theta} = state;
    const head = features(state) ? `import numpy as np
from scipy.optimize import brentq
from prunekit import Hessian, LinearGaussian, Magnitude, Oracle

p, n, s, first = ${state.p}, ${found.n}, ${s}, ${sizes[0]}
i = np.arange(1, p + 1)
theta = ${{alike: "np.ones(p)", falling: "(1 + 4 * i / p) ** -2.0", rising: "(1 + 4 * (p + 1 - i) / p) ** -2.0"}[theta]}
theta /= np.linalg.norm(theta)

def law(scale):
    stretch = np.where(np.arange(p) < first, scale, 1.0)
    return LinearGaussian(stretch**2, theta / stretch, ${state.sigma}).characterize(n)

def shares(scale, rule):
    kept = law(scale).inclusion({"magnitude": Magnitude, "Hessian": Hessian}[rule](s))
    return kept[:first].mean(), kept[first:].mean()

here = law(${state.scale})
mean, sd, threshold = here.mean, np.sqrt(here.variance), here.threshold(Magnitude(s))
facts = {"threshold": threshold, "dense": here.gamma}` : `import numpy as np
from scipy.optimize import brentq
from prunekit.linear.compressed import cut
from prunekit.linear.interval_moments import outside

d, m, classes, s = ${state.inputs}, ${state.hidden}, ${state.classes}, ${s}
first = d * m  # weights of the input layer; then those of the output layer
layer = np.repeat([0, 1], [first, m * classes])

def sds(scale, rule):
    spread = scale * np.sqrt(2 / d), np.sqrt(2 / m) / scale
    curvature = (scale**-2.0, ${state.ratio} * scale**2.0) if rule == "Hessian" else (1.0, 1.0)
    return np.multiply(spread, np.sqrt(curvature))

def shares(scale, rule):
    each = sds(scale, rule)
    return outside(0.0, each, cut(np.zeros(layer.size), each[layer], s)[0])

mean, sd = np.zeros(layer.size), sds(${state.scale}, "magnitude")[layer]
threshold = cut(mean, sd, s)[0]
facts = {"threshold": threshold}`;
    const dies = found.deaths.map((dead) => `
facts["${dying(dead)}"] = np.exp(brentq(lambda x: np.log(${2 * sizes[dead.block]} * shares(np.exp(x), "magnitude")[${dead.block}]), `
      + `np.log(${dead.between[0]}), np.log(${dead.between[1]}), xtol=1e-13))`).join("");
    const ends = d.map((each) => each.x[each.x.length - 1]);
    const risks = found.risks ? `
numbers["kept"] = [${found.risks.kept.join(", ")}]
for name, rule in {"magnitude": Magnitude, "Hessian": Hessian, "oracle": Oracle}.items():
    numbers[f"risk_{name}"] = [here.risk(rule(k)) for k in numbers["kept"]]` : "";
    return `${head}
numbers = {"scale": list(np.geomspace(1 / 16, 16, ${scales.length}))}
for rule in ("magnitude", "Hessian"):
    both = [shares(scale, rule) for scale in numbers["scale"]]
    numbers[f"first_{rule}"], numbers[f"second_{rule}"] = map(list, zip(*both))${dies}
parts = {"first": (slice(0, first), ${ends[0]}), "second": (slice(first, None), ${ends[1]})}
for name, (part, end) in parts.items():
    numbers[f"size_{name}"] = list(np.linspace(-end, end, ${d[0].x.length}))
    middle, spread = ${features(state) ? "mean[part], sd[part]" : "mean[part][:1], sd[part][:1]  # all weights of a layer are alike"}
    z = (np.array(numbers[f"size_{name}"])[:, None] - middle) / spread
    numbers[f"density_{name}"] = list(np.mean(np.exp(-(z**2) / 2) / spread, axis=1) / np.sqrt(2 * np.pi))${risks}
`;
  }

  prunekit.explorers["scaled-features"] = {name: "scaled-features", controls, presets, compute, figures, summary, numbers, facts,
    python};
})();
