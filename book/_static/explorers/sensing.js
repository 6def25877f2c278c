// The explorer of the fifth chapter: local minima of penalized matrix sensing in closed form, and which columns survive.
// The loss is |UUᵀ - M|² + λ Σ s/√(s + β) over the columns' squared norms s; the cut is at the norm 2√β.
"use strict";

(() => {
  const {finite} = prunekit;
  const {bracketedRoot, geomspace, leastBetween, sum} = prunekit.numerics;
  const STRENGTHS = 61, SMOOTHINGS = 41;

  const controls = [
    {id: "strength", group: "Penalty", label: "Strength λ", type: "number", min: 1e-6, max: 10, scale: "log", value: 0.05},
    {id: "smoothing", group: "Penalty", label: "Smoothing β", type: "number", min: 1e-6, max: 1, scale: "log", value: 0.01},
    {id: "spectrum", group: "The truth, M = U⋆U⋆ᵀ", label: "Eigenvalues", type: "choice", value: "alike",
      options: {alike: "all alike", geometric: "falling evenly in the logarithm", pasted: "my own list"}},
    {id: "r", group: "The truth, M = U⋆U⋆ᵀ", label: "Rank r", type: "integer", min: 1, max: 40, value: 4,
      shown: (s) => s.spectrum !== "pasted"},
    {id: "top", group: "The truth, M = U⋆U⋆ᵀ", label: "Largest eigenvalue", type: "number", min: 0.01, max: 100, scale: "log",
      value: 1, shown: (s) => s.spectrum !== "pasted"},
    {id: "ratio", group: "The truth, M = U⋆U⋆ᵀ", label: "Largest over least", type: "number", min: 1, max: 1000, scale: "log",
      value: 10, shown: (s) => s.spectrum === "geometric"},
    {id: "eigenvalues", group: "The truth, M = U⋆U⋆ᵀ", label: "Eigenvalues above 0", type: "list", min: 1e-6, max: 1e6, least: 1,
      most: 40, value: "2, 1, 0.5, 0.5, 0.1", shown: (s) => s.spectrum === "pasted"},
  ];

  const presets = [
    {name: "The page's choice: r = 4", state: {}},
    {name: "Unequal columns, same penalty", state: {spectrum: "geometric", ratio: 30}},
    {name: "Chosen for the least of them", state: {spectrum: "geometric", ratio: 30, strength: 0.000304, smoothing: 0.000333}},
    {name: "Too strong", state: {strength: 2}},
    {name: "Depends on the start", state: {strength: 0.5}},
    {name: "The cut too high", state: {smoothing: 0.26, strength: 0.02}},
  ];

  // g(s) = (s + 2β)/(s + β)^(3/2): the penalty's gradient in a column u with |u|² = s is g(s) u; and its slope.
  const g = (s, beta) => (s + 2 * beta) / (s + beta) ** 1.5;
  const slope = (s, beta) => -(s + 4 * beta) / (2 * (s + beta) ** 2.5);

  // The larger root w of w + λg(w)/4 = μ, equation (3) of the page; 0 where there is none.
  function mass(mu, lambda, beta) {
    const excess = (w) => w + lambda * g(w, beta) / 4 - mu, turn = (w) => 1 + lambda * slope(w, beta) / 4;
    let bottom = 0; // where the left side, which is convex, is least
    if (turn(0) < 0) {
      let high = beta;
      while (turn(high) < 0) high *= 2;
      bottom = bracketedRoot(turn, 0, high);
    }
    return bottom >= mu || excess(bottom) > 0 ? 0 : bracketedRoot(excess, bottom, mu);
  }

  // The largest λ at which a column of squared norm `above` or more represents μ: the maximum of 4(μ - w)/g(w).
  function largest(mu, beta, above) {
    if (above >= mu) return 0;
    const asked = (w) => 4 * (mu - w) / g(w, beta);
    return Math.max(-leastBetween((w) => -asked(w), above, mu, 1e-9 * mu)[1], asked(above));
  }

  // Below the first λ a column always grows and survives the cut, above the second none can: equation (4) and the cut.
  function range(mu, beta) {
    const most = largest(mu, beta, 4 * beta);
    return {always: Math.min(2 * Math.sqrt(beta) * mu, most), most};
  }

  function spectrum(state) {
    return {alike: () => Array.from({length: state.r}, () => state.top),
      geometric: () => (state.r === 1 ? [state.top] : geomspace(state.top, state.top / state.ratio, state.r)),
      pasted: () => state.eigenvalues.slice().sort((a, b) => b - a)}[state.spectrum]();
  }

  function compute(state, detail = 1) {
    const mu = spectrum(state), {strength: lambda, smoothing: beta} = state, least = mu[mu.length - 1], cut = 2 * Math.sqrt(beta);
    const masses = mu.map((m) => mass(m, lambda, beta)), norms = masses.map(Math.sqrt), here = mu.map((m) => range(m, beta));
    const ends = here[here.length - 1], top = Math.max(range(mu[0], beta).most, ends.most, lambda, 1e-6);
    const strengths = geomspace(Math.min(lambda, ends.always || lambda, top) / 30, 3 * top, Math.max(9, Math.round(detail * STRENGTHS)));
    const smoothings = geomspace(Math.min(least / 1e4, beta / 3), Math.max(least / 4, beta) * 1.5, Math.max(7, Math.round(detail * SMOOTHINGS)));
    const ranges = smoothings.map((b) => range(least, b));
    return finite("a number", {
      mu, masses, norms, cut, level: lambda / cut, ends, strengths, smoothings,
      always: ranges.map((each) => each.always), most: ranges.map((each) => each.most),
      largest: strengths.map((l) => Math.sqrt(mass(mu[0], l, beta))), least: strengths.map((l) => Math.sqrt(mass(least, l, beta))),
      sure: here.filter((each) => lambda < each.always).length, survive: norms.filter((norm) => norm > cut).length,
      error: sum(mu.map((m, i) => (m - masses[i]) ** 2)),
    }, "λ, β or the eigenvalues");
  }

  function figures(state, found) {
    const {mu, norms, cut, strengths, smoothings, ends} = found, ranks = mu.map((_, i) => i + 1), alike = mu[0] === mu[mu.length - 1];
    return [() => ({
      title: "Where exactly r columns survive", name: "map", x: {label: "smoothing β (units of U²)", scale: "log"},
      y: {label: "strength λ (units of U³)", scale: "log",
        range: [Math.min(state.strength, ...found.always.filter((v) => v > 0)) / 2, 2 * Math.max(state.strength, ...found.most)]},
      areas: [{label: "always", x: smoothings, y: found.always, base: smoothings.map(() => 1e-300), series: 2},
        {label: "depends on the start", x: smoothings, y: found.most, base: found.always, series: 1}],
      lines: [{label: "", x: smoothings, y: found.always, series: 2}, {label: "", x: smoothings, y: found.most, series: 1, dash: 1}],
      points: [{label: "your penalty", x: [state.smoothing], y: [state.strength], series: 0, marker: "star"},
        {label: "the page's choice", x: [mu[mu.length - 1] / 100], y: [mu[mu.length - 1] ** 1.5 / 20], series: 4, marker: "diamond"}],
    }), () => ({
      title: "Columns at the minimum", name: "columns", x: {label: "column", whole: true, range: [0.5, mu.length + 0.5]},
      y: {label: "norm of a column", range: [0, 1.1 * Math.max(Math.sqrt(mu[0]), cut)]},
      points: [{label: "of the truth", x: ranks, y: mu.map(Math.sqrt), series: 4, marker: "square"},
        {label: "at the penalized minimum", x: ranks, y: norms, series: 0, marker: "dot"}],
      rules: [{y: cut, label: "cut 2√β"}],
    }), () => ({
      title: "Norm of a column against the strength", name: "strength", x: {label: "strength λ (units of U³)", scale: "log"},
      y: {label: "norm of a column"},
      lines: [{label: alike ? "every column" : "longest column", x: strengths, y: found.largest, series: 0},
        ...(alike ? [] : [{label: "shortest column", x: strengths, y: found.least, series: 1, dash: 1}])],
      rules: [{x: state.strength, label: "λ"}, {y: cut, label: "cut 2√β"}, ...(ends.always > 0 ? [{x: ends.always, label: "sure below", row: 1}] : [])],
    })];
  }

  function summary(state, found, say) {
    const {mu, cut, survive, sure, ends, norms} = found, r = mu.length;
    const state_of = sure === r ? `Exactly ${r} columns survive at every local minimum.`
      : survive === r ? `${r} columns can survive the cut, but only ${sure} of them are sure: the others depend on the start.`
        : `At most ${survive} of the ${r} columns that the truth needs survive the cut.`;
    return `With λ = ${say(state.strength)} and β = ${say(state.smoothing)} the cut is at the norm ${say(cut, 3)}, and a column at 0 grows `
      + `where the residual has an eigenvalue above ${say(found.level, 3)}. ${state_of} The shortest column has the norm ${say(norms[r - 1], 3)} `
      + `(${say(Math.sqrt(mu[r - 1]), 3)} in the truth). ` + (ends.most > 0 ? `At this β it is sure for λ below ${say(ends.always, 3)} and impossible `
      + `above ${say(ends.most, 3)}. ` : "At this β the cut is above every column that could represent the least eigenvalue. ")
      + `The squared error of UUᵀ is ${say(found.error, 3)}.`;
  }

  const numbers = (state, found) => ({
    eigenvalue: found.mu, squared_norm: found.masses, norm: found.norms,
    strength: found.strengths, longest: found.largest, shortest: found.least,
    smoothing: found.smoothings, sure_below: found.always, impossible_above: found.most,
  });
  const facts = (state, found) => ({growth_level: found.level, sure_below: found.ends.always, impossible_above: found.ends.most,
    survive: found.survive, error: found.error});

  function python(state, found) {
    const {strengths, smoothings} = found, grid = (x) => `np.geomspace(${x[0]}, ${x[x.length - 1]}, ${x.length})`;
    const mu = {
      alike: `np.full(${state.r}, float(${state.top}))`,
      geometric: state.r === 1 ? `np.array([float(${state.top})])` : `np.geomspace(${state.top}, ${state.top} / ${state.ratio}, ${state.r})`,
      pasted: `np.sort(np.array([${state.eigenvalues}], dtype=float))[::-1]`,
    }[state.spectrum];
    return `import numpy as np
from prunekit import sensing

strength, smoothing = ${state.strength}, ${state.smoothing}
mu = ${mu}
mass = np.array([sensing.surviving_mass(m, strength, smoothing) for m in mu])
numbers = {"eigenvalue": list(mu), "squared_norm": list(mass), "norm": list(np.sqrt(mass))}
numbers["strength"] = list(${grid(strengths)})
for name, each in {"longest": mu[:1], "shortest": mu[-1:]}.items():
    numbers[name] = [sensing.least_column(each, x, smoothing) for x in numbers["strength"]]
numbers["smoothing"] = list(${grid(smoothings)})
ranges = [sensing.strength_range(mu[-1], b, 4 * b) for b in numbers["smoothing"]]
numbers["sure_below"], numbers["impossible_above"] = map(list, zip(*ranges))
facts = dict(zip(("sure_below", "impossible_above"), sensing.strength_range(mu[-1], smoothing, 4 * smoothing)))
facts["growth_level"] = sensing.growth_level(strength, smoothing)
facts["survive"] = int(np.sum(np.sqrt(mass) > sensing.cut_off(smoothing)))
facts["error"] = float(np.sum((mu - mass) ** 2))
`;
  }

  prunekit.explorers.sensing = {name: "sensing", controls, presets, compute, figures, summary, numbers, facts, python};
})();
