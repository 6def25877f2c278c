// The explorer of the first chapter: the risk of pruned least squares against the width (chang, Definition 4 and 5).
"use strict";

(() => {
  const {lazily, refuse} = prunekit;
  const {geomspace, leastBetween, linspace} = prunekit.numerics;
  const {grouped, restricted, characterize, prunedRisk, retrainedRisk} = prunekit.law;
  const RULES = ["magnitude", "Hessian", "oracle"], WIDTHS = 60, PENALTIES = 25, MOST = 400;

  const controls = [
    {id: "p", group: "Sizes", label: "Features p", type: "integer", min: 20, max: MOST, value: 400,
      shown: (s) => s.spectrum !== "pasted"},
    {id: "samples", group: "Sizes", label: "Samples n/p", type: "number", min: 0.02, max: 2, step: 0.01, value: 0.3},
    {id: "kept", group: "Sizes", label: "Weights kept s/p", type: "number", min: 0.01, max: 1, step: 0.01, value: 0.1},
    {id: "noise", group: "Sizes", label: "Noise variance σ²", type: "number", min: 0, max: 10, step: 0.01, value: 0.25},
    {id: "ridge", group: "Sizes", label: "Ridge penalty μ/n", type: "number", min: 0, max: 1000, scale: "log", least: 1e-3,
      value: 0},
    {id: "spectrum", group: "Variances λ of the features", label: "Spectrum", type: "choice", value: "spiked",
      options: {identity: "all 1", spiked: "spiked: first tenth", levels: "two levels", power: "power law i^(-a)",
        pasted: "my own list"}},
    {id: "height", group: "Variances λ of the features", label: "Variance of the first", type: "number", min: 0.001,
      max: 1000, scale: "log", value: 25, shown: (s) => s.spectrum === "spiked" || s.spectrum === "levels"},
    {id: "share", group: "Variances λ of the features", label: "Share of the first", type: "number", min: 0.01, max: 1,
      step: 0.01, value: 0.5, shown: (s) => s.spectrum === "levels"},
    {id: "exponent", group: "Variances λ of the features", label: "Exponent a", type: "number", min: 0, max: 3, step: 0.05,
      value: 1, shown: (s) => s.spectrum === "power"},
    {id: "variances", group: "Variances λ of the features", label: "Variances, one a feature", type: "list", min: 1e-6,
      max: 1e6, least: 4, most: MOST, value: "8, 4, 2, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.1, 0.1, 0.1",
      shown: (s) => s.spectrum === "pasted"},
    {id: "coefficients", group: "True coefficients β", label: "Coefficients", type: "choice", value: "flat",
      options: {flat: "all alike", spiked: "first tenth larger", power: "power law i^(-b)", pasted: "my own list"}},
    {id: "energy", group: "True coefficients β", label: "Squares of the first, times", type: "number", min: 0.001,
      max: 1000, scale: "log", value: 25, shown: (s) => s.coefficients === "spiked"},
    {id: "decay", group: "True coefficients β", label: "Exponent b", type: "number", min: 0, max: 3, step: 0.05, value: 1,
      shown: (s) => s.coefficients === "power"},
    {id: "betas", group: "True coefficients β", label: "Coefficients, one a feature", type: "list", min: -1e6, max: 1e6,
      least: 4, most: MOST, value: "1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0, 0, 0, 0", shown: (s) => s.coefficients === "pasted"},
  ];

  const presets = [
    {name: "Figure 3b: spiked covariance", state: {}},
    {name: "Figure 3a: spiked coefficients", state: {spectrum: "identity", coefficients: "spiked"}},
    {name: "Large wins by most", state: {samples: 0.16, kept: 0.1}},
    {name: "Noise ends the win", state: {noise: 4.5}},
    {name: "A ridge flattens the peak", state: {ridge: 1}},
    {name: "Power laws", state: {p: 200, spectrum: "power", coefficients: "power", decay: 0.5}},
  ];

  const first = (p, share) => Math.max(1, Math.round(share * p));

  // The problem that the settings describe, with its whole numbers n and s.
  function problemOf(state) {
    const p = state.spectrum === "pasted" ? state.variances.length : state.p;
    const at = Array.from({length: p}, (_, i) => i), tenth = first(p, 0.1);
    const spectra = {
      identity: () => at.map(() => 1),
      spiked: () => at.map((i) => (i < tenth ? state.height : 1)),
      levels: () => at.map((i) => (i < first(p, state.share) ? state.height : 1)),
      power: () => at.map((i) => (i + 1) ** -state.exponent),
      pasted: () => state.variances,
    };
    const decays = () => {
      const raw = at.map((i) => (i + 1) ** -state.decay), norm = Math.sqrt(raw.reduce((a, b) => a + b * b, 0));
      return raw.map((b) => b / norm);
    };
    const betas = {
      flat: () => at.map(() => p ** -0.5),
      spiked: () => at.map((i) => Math.sqrt((i < tenth ? state.energy : 1) / p)),
      power: decays,
      pasted: () => state.betas,
    };
    const beta = betas[state.coefficients]();
    if (beta.length !== p)
      refuse(`there are ${beta.length} coefficients for ${p} features: give as many of one as of the other`);
    const n = Math.max(1, Math.round(state.samples * p)), s = Math.max(1, Math.round(state.kept * p));
    return {p, n, s, problem: grouped(spectra[state.spectrum](), beta, state.noise)};
  }

  function curves(problem, p, n, s, ridge, many) {
    const all = linspace(p / many, p, many).map((k) => Math.max(1, Math.round(k)));
    const widths = [...new Set([...all, Math.min(s, p)])].sort((a, b) => a - b)
      .filter((k) => ridge > 0 || Math.abs(k - n) > 1);
    const out = {widths, dense: [], magnitude: [], Hessian: [], oracle: [], retrained: []};
    let law = null;
    for (const k of widths) {
      law = characterize(restricted(problem, k), n, ridge, law);
      const kept = Math.min(s, k);
      out.dense.push(law.gamma);
      for (const rule of RULES) out[rule].push(prunedRisk(law, rule, kept));
      out.retrained.push(kept === n || kept === n - 1 ? null : retrainedRisk(law, "Hessian", kept));
    }
    return out;
  }

  // Risks at full width against the penalty, and the best penalty of each rule, as Penalties.best finds it.
  function ridges(problem, p, n, s, many, search) {
    const grid = geomspace(1e-3, 1e3, many), laws = new Map();
    let last = null;
    const law = (penalty) => {
      if (!laws.has(penalty)) laws.set(penalty, last = characterize(problem, n, penalty * n, last));
      return laws.get(penalty);
    };
    const out = {grid, best: {}};
    for (const rule of ["dense", "magnitude", "Hessian"]) {
      const risk = (penalty) => (rule === "dense" ? law(penalty).gamma : prunedRisk(law(penalty), rule, s));
      out[rule] = grid.map(risk);
      if (!search) continue;
      const i = out[rule].indexOf(Math.min(...out[rule]));
      const ends = [grid[Math.max(i - 1, 0)], grid[Math.min(i + 1, many - 1)]].map(Math.log);
      const [x, least] = leastBetween((e) => risk(Math.exp(e)), ...ends, 1e-4);
      const none = Math.abs(p - n) <= 1 ? Infinity : risk(0);
      out.best[rule] = none <= least ? {penalty: 0, risk: none} : {penalty: Math.exp(x), risk: least};
    }
    return out;
  }

  // The pruned large model and its best rivals, without a penalty: prunekit.linear.rivals.contest.
  function contest(problem, p, n, s) {
    if (n < 3 || n > p - 2) return null;
    const law = characterize(problem, n), dense = [], rivals = [], left = new Float64Array(p + 1); // what k features miss
    left[p] = problem.noise;
    for (let i = problem.lambda.length - 1, k = p; i >= 0; i--)
      for (let j = 0; j < problem.count[i]; j++, k--) left[k - 1] = left[k] + problem.lambda[i] * problem.beta[i] ** 2;
    for (let k = 1; k < n - 1; k++) dense.push(left[k] * (1 + k / (n - k - 1)));
    const least = (kind, from, to) => {
      const part = dense.slice(from - 1, to - 1);
      if (!part.length) return;
      const risk = Math.min(...part);
      rivals.push({kind, risk, width: from + part.indexOf(risk)});
    };
    least("dense, k < s", 1, Math.min(s, n - 1));
    least("dense, k = s", s, Math.min(s + 1, n - 1));
    least("dense, k > s", s + 1, n - 1);
    const widths = [...new Set(linspace(s + 1, 0.95 * n, 8).map(Math.trunc))].filter((k) => k > s && k < n - 1);
    if (widths.length) {
      let last = null;
      const risks = widths.map((k) => prunedRisk(last = characterize(restricted(problem, k), n, 0, last), "Hessian", Math.min(s, k)));
      const risk = Math.min(...risks);
      rivals.push({kind: "pruned", risk, width: widths[risks.indexOf(risk)]});
    }
    if (Math.abs(s - n) > Math.max(2, 0.05 * n))
      rivals.push({kind: "retrained", risk: retrainedRisk(law, "Hessian", s), width: p});
    const best = rivals.reduce((a, b) => (b.risk < a.risk ? b : a));
    const risk = prunedRisk(law, "Hessian", s);
    return {risk, oracle: prunedRisk(law, "oracle", s), rivals, best, quotient: best.risk / risk};
  }

  // `detail` is below 1 while a slider moves: fewer points, the same at each; `whole` adds what takes a search.
  function compute(state, detail = 1, whole = detail === 1) {
    const {p, n, s, problem} = problemOf(state);
    const found = lazily("the risk", "the spectrum or the coefficients", {
      curves: () => curves(problem, p, n, s, state.ridge * n, Math.max(10, Math.round(detail * WIDTHS))),
      ridge: () => ridges(problem, p, n, s, Math.max(7, Math.round(detail * PENALTIES)), whole),
      contest: () => contest(problem, p, n, s),
    });
    return Object.assign(found, {p, n, s});
  }

  const LABELS = {dense: "dense", magnitude: "magnitude", Hessian: "Hessian", oracle: "oracle",
    retrained: "Hessian, retrained on fresh samples"};

  function ofWidths(state, {p, n, contest: won, curves: found}) {
    const x = found.widths.map((k) => k / p);
    const cut = (y) => { // a gap at the pole k = n
      const at = x.findIndex((v) => v * p > n);
      return state.ridge > 0 || at < 1 ? [x, y]
        : [[...x.slice(0, at), n / p, ...x.slice(at)], [...y.slice(0, at), null, ...y.slice(at)]];
    };
    const lines = Object.keys(LABELS).map((key, i) => {
      const [at, y] = cut(found[key]);
      return {label: LABELS[key], x: at, y, series: i, dash: i};
    });
    const risks = found.Hessian.concat(found.oracle, found.dense.filter((r, i) => Math.abs(found.widths[i] - n) > p / 20));
    const low = Math.min(...risks, ...found.retrained.filter((r) => r !== null));
    const against = {
      title: "Risk against the width", name: "width", x: {label: "features used, k/p", range: [0, 1]},
      y: {label: "expected risk (units of y²)", scale: "log", range: [low / 1.1, Math.max(...risks) * 1.5]}, lines,
      rules: n < p ? [{x: n / p, label: "k = n"}] : [], points: [],
    };
    if (won) {
      against.rules.push({y: won.best.risk, legend: "best rival"});
      against.points.push({label: `large model pruned, ${won.quotient > 1 ? "wins" : "loses"}`, x: [1], y: [won.risk],
        series: 1, marker: won.quotient > 1 ? "star" : "cross"});
    }
    return against;
  }

  function ofRidges(state, {ridge}) {
    const kinds = ["dense", "magnitude", "Hessian"];
    return {
      title: "All features: risk against the ridge", name: "ridge",
      x: {label: "penalty μ/n (units of a variance)", scale: "log", range: [1e-3, 1e3]},
      y: {label: "expected risk (units of y²)", scale: "log"},
      lines: kinds.map((kind, i) => ({label: LABELS[kind], x: ridge.grid, y: ridge[kind], series: i, dash: i})),
      points: kinds.filter((kind) => ridge.best[kind]).map((kind) => ({label: "", x: [Math.max(ridge.best[kind].penalty, 1e-3)],
        y: [ridge.best[kind].risk], series: kinds.indexOf(kind), marker: "dot"})),
      rules: state.ridge > 0 ? [{x: Math.max(state.ridge, 1e-3), label: "penalty used on the left"}] : [],
    };
  }

  const figures = (state, found) => [() => ofWidths(state, found), () => ofRidges(state, found)];

  function summary(state, found, say) {
    const {p, n, s, contest: won, ridge, curves: all} = found, last = all.widths.length - 1, parts = [];
    parts.push(`With p = ${p} features, n = ${n} samples and s = ${s} weights kept`
      + (all.widths[last] === p
        ? `, all features give risk ${say(all.dense[last])} dense, ${say(all.magnitude[last])} after magnitude, `
          + `${say(all.Hessian[last])} after Hessian and ${say(all.oracle[last])} after oracle pruning.`
        : ", the dense fit of all features has infinite expected risk."));
    if (won)
      parts.push(won.quotient > 1
        ? `Large wins: without a ridge the best rival (${won.best.kind}, k = ${won.best.width}) has `
          + `${say(won.quotient)} times the risk of the pruned large model.`
        : `Large loses: without a ridge the best rival (${won.best.kind}, k = ${won.best.width}) has only `
          + `${say(won.quotient)} times the risk of the pruned large model.`);
    else parts.push("With n above p - 2 there is no large model to compare.");
    if (ridge.best.dense)
      parts.push("The best penalty μ/n with all features: " + ["dense", "magnitude", "Hessian"].map((kind) =>
        `${kind} ${ridge.best[kind].penalty === 0 ? "none" : say(ridge.best[kind].penalty)} `
        + `(risk ${say(ridge.best[kind].risk)})`).join(", ") + ".");
    return parts.join(" ");
  }

  const numbers = (state, {curves: found}) => ({
    width: found.widths, dense: found.dense, magnitude: found.magnitude, Hessian: found.Hessian, oracle: found.oracle,
    retrained: found.retrained,
  });

  const facts = (state, found) => (found.contest ? {quotient: found.contest.quotient, best_rival: found.contest.best.risk} : {});

  function python(state, found) {
    const {p, n, s} = found, tenth = first(p, 0.1);
    const variances = {
      identity: "np.ones(p)",
      spiked: `np.where(np.arange(p) < ${tenth}, ${state.height}, 1.0)`,
      levels: `np.where(np.arange(p) < ${first(p, state.share)}, ${state.height}, 1.0)`,
      power: `np.arange(1.0, p + 1) ** -${state.exponent}`,
      pasted: `np.array([${state.variances}], dtype=float)`,
    }[state.spectrum];
    const beta = {
      flat: "np.full(p, p**-0.5)",
      spiked: `np.sqrt(np.where(np.arange(p) < ${tenth}, ${state.energy}, 1.0) / p)`,
      power: `np.arange(1.0, p + 1) ** -${state.decay}\nbeta /= np.linalg.norm(beta)`,
      pasted: `np.array([${state.betas}], dtype=float)`,
    }[state.coefficients];
    return `import numpy as np
from prunekit import Hessian, LinearGaussian, Magnitude, Oracle
from prunekit.linear.penalties import Penalties
from prunekit.linear.rivals import contest

p, n, s = ${p}, ${n}, ${s}
variances = ${variances}
beta = ${beta}
problem = LinearGaussian(variances, beta, ${state.noise}**0.5)
rules = {"magnitude": Magnitude, "Hessian": Hessian, "oracle": Oracle}
widths = [${found.curves.widths.join(", ")}]
numbers = {name: [] for name in ("width", "dense", *rules, "retrained")}
for k in widths:
    law, kept = problem.restrict(np.arange(k)).characterize(n, ridge=${state.ridge} * n), min(s, k)
    numbers["width"].append(k)
    numbers["dense"].append(law.risk())
    for name, rule in rules.items():
        numbers[name].append(law.risk(rule(kept)))
    infinite = kept in (n - 1, n)
    numbers["retrained"].append(None if infinite else law.retrained_risk(Hessian(kept)))
${found.contest ? `rivals = contest(problem, n, s)
facts = {"quotient": rivals.quotient(), "best_rival": rivals.best().risk}` : "facts = {}"}

# The best ridge of all features after Hessian pruning:
fits = Penalties(problem, n, np.geomspace(1e-3, 1e3, 25))
print(fits.best(Hessian(s)))
`;
  }

  prunekit.explorers["pruning-law"] = {name: "pruning-law", controls, presets, compute, figures, summary, numbers, facts,
    python};
})();
