// The explorer of the third chapter: how much a few large weights hold (barsbey, Theorem 1), on draws from a seed.
"use strict";

(() => {
  const {lazily} = prunekit;
  const {geomspace, sum, uniforms} = prunekit.numerics;
  const SHARES = 25, RANKS = 50, LEVELS = [0.1, 0.5, 0.9], NAMES = ["low", "median", "high"], CLIP = 8;

  const controls = [
    {id: "alpha", group: "The law of the weights", label: "Tail index α", type: "number", min: 0.3, max: 2, step: 0.05, value: 1.2},
    {id: "d", group: "The law of the weights", label: "Number of weights d", type: "integer", min: 16, max: 10000,
      scale: "log", value: 2000},
    {id: "kept", group: "Pruning", label: "Share of weights kept", type: "number", min: 0.001, max: 1, scale: "log", value: 0.1},
    {id: "p", group: "Pruning", label: "Order p of the norm", type: "number", min: 0.5, max: 4, step: 0.25, value: 2},
    {id: "draws", group: "Draws", label: "Networks drawn", type: "integer", min: 4, max: 40, value: 16},
    {id: "seed", group: "Draws", label: "Seed", type: "integer", min: 0, max: 999, value: 0},
  ];

  const presets = [
    {name: "Heavy tails: α = 1.2", state: {}},
    {name: "Less heavy: α = 1.8", state: {alpha: 1.8}},
    {name: "Gaussian: α = 2", state: {alpha: 2}},
    {name: "A norm of low order", state: {p: 1}},
    {name: "A small layer", state: {d: 64}},
    {name: "Very heavy: α = 0.5", state: {alpha: 0.5}},
  ];

  // Standard stable draws from uniforms V and exponentials W, by Chambers, Mallows and Stuck; at α = 2 they are N(0, 2).
  // The cosines of V, which do not depend on α, may be given. The Python lines have the same operations in the same order:
  // the estimator may hang on the last digit, where a block holds the two weights that the median lies between.
  function stable(alpha, V, W, cosines = V.map(Math.cos)) {
    const out = new Float64Array(V.length), power = (1 - alpha) / alpha, root = 1 / alpha;
    for (let i = 0; i < V.length; i++)
      out[i] = Math.sin(alpha * V[i]) / cosines[i] ** root * (Math.cos((1 - alpha) * V[i]) / W[i]) ** power;
    return out;
  }

  // V and W of one draw after the other, as numpy.random.RandomState(seed).random_sample((draws, 2, d)) has them.
  let kept = {}; // for the seed and the number of weights last asked for
  function source({seed, d}, draws) {
    const key = `${seed} ${d}`;
    if (kept.key !== key) kept = {key, next: uniforms(seed), pairs: [], gaussian: [], heavy: [], alpha: null};
    while (kept.pairs.length < draws) {
      const u = Float64Array.from({length: 2 * d}, kept.next);
      const V = u.subarray(0, d).map((x) => Math.PI * (x - 0.5)), W = u.subarray(d).map((x) => -Math.log1p(-x));
      kept.pairs.push([V, W, V.map(Math.cos)]);
    }
    return kept;
  }

  // Networks of a law, drawn once while the law stays: `of` are those that there are.
  function networks(of, alpha, pairs) {
    while (of.length < pairs.length) of.push({x: stable(alpha, ...pairs[of.length]), sizes: new Map()});
    return of.slice(0, pairs.length);
  }

  // Of the first weights of a network: their magnitudes in rising order, and the sums of the p-th powers of the smallest
  // 0, 1, …, in units of the largest (barsbey, Section 3.2). Both are kept while the network and p stay.
  function ranked(network, size) {
    if (!network.sizes.has(size)) network.sizes.set(size, {sorted: network.x.slice(0, size).map(Math.abs).sort(), p: null});
    return network.sizes.get(size);
  }

  function powers(network, size, p) {
    const part = ranked(network, size), {sorted} = part, top = sorted[size - 1];
    if (part.p === p) return part.below;
    if (p !== 1 && p !== 2 && !part.logs) part.logs = sorted.map((x) => Math.log(x / top));
    const below = new Float64Array(size + 1);
    for (let i = 0; i < size; i++) {
      const share = sorted[i] / top;
      below[i + 1] = below[i] + (p === 2 ? share * share : p === 1 ? share : Math.exp(p * part.logs[i]));
    }
    Object.assign(part, {p, below});
    return below;
  }

  // The relative ℓp error of keeping k of the first weights of a network.
  const error = (network, size, k, p) => {
    const below = powers(network, size, p);
    return (below[size - k] / below[size]) ** (1 / p);
  };

  // Quantiles over the draws, point by point.
  function spread(rows) {
    const out = {low: [], median: [], high: []};
    for (let i = 0; i < rows[0].length; i++) {
      const v = Float64Array.from(rows, (row) => row[i]).sort();
      LEVELS.forEach((q, j) => {
        const at = (v.length - 1) * q, below = Math.floor(at);
        out[NAMES[j]].push(v[below] + (at - below) * (v[Math.min(below + 1, v.length - 1)] - v[below]));
      });
    }
    return out;
  }

  // Of a network, once: values less their median, and the logarithms of their sizes; that of the median itself is left out
  // of the mean.
  function centred(network) {
    if (network.centred) return network.centred;
    const {x} = network, half = x.length >> 1, inOrder = x.slice().sort();
    const middle = x.length % 2 ? inOrder[half] : (inOrder[half - 1] + inOrder[half]) / 2;
    const values = x.map((v) => v - middle), logs = values.map((v) => Math.log(Math.abs(v)));
    const seen = logs.filter((l) => l !== -Infinity), mean = sum(seen) / seen.length;
    network.centred = {values, logs: logs.map((l) => (l === -Infinity ? mean : l))};
    return network.centred;
  }

  // 1/α̂ of Mohammadi, Mohammadpour and Ogata with blocks of K (Corollary 2.4), and its standard error.
  function inverse({values, logs}, K) {
    const blocks = Math.floor(values.length / K), excess = [];
    for (let b = 0; b < blocks; b++) {
      let total = 0, one = 0;
      for (let i = b * K; i < (b + 1) * K; i++) {
        total += values[i];
        one += logs[i];
      }
      excess.push(Math.log(Math.abs(total)) - one / K);
    }
    const average = sum(excess) / blocks;
    const error = Math.sqrt(sum(excess.map((e) => (e - average) ** 2)) / (blocks - 1) / blocks);
    return {inverse: average / Math.log(K), error: error / Math.log(K)};
  }

  function compute(state, detail = 1) {
    const {alpha, d, p} = state, draws = Math.max(4, Math.round(detail * state.draws)), cut = Math.max(1, Math.ceil(state.kept * d - 1e-9));
    const from = source(state, draws), pairs = from.pairs.slice(0, draws), root = Math.floor(Math.sqrt(d));
    if (from.alpha !== alpha) Object.assign(from, {alpha, heavy: []});
    const both = {heavy: networks(from.heavy, alpha, pairs), light: networks(from.gaussian, 2, pairs)};
    const ofBoth = (make) => ({heavy: make(both.heavy), light: make(both.light)});
    const counts = [...new Set(geomspace(1, d, SHARES).map(Math.round))], sizes = [], blocks = [];
    for (let size = d; size >= 8; size = Math.floor(size / 2)) sizes.unshift(size);
    for (let K = 2; K <= d / 4; K *= 2) blocks.push(K);
    const few = sizes.map((size) => Math.max(1, Math.ceil(cut / d * size - 1e-9)));
    const ranks = [...new Set(geomspace(1, d, RANKS).map(Math.round))];
    const found = lazily("a draw", "the tail index or the order of the norm", {
      errors: () => ofBoth((all) => spread(all.map((each) => counts.map((k) => error(each, d, k, p))))),
      here: () => ofBoth((all) => spread(all.map((each) => [error(each, d, cut, p)]))),
      growing: () => ofBoth((all) => spread(all.map((each) => sizes.map((size, i) => error(each, size, few[i], p))))),
      magnitudes: () => ofBoth(([one]) => ranks.map((r) => ranked(one, d).sorted[d - r])),
      inverses: () => ofBoth(([first]) => {
        first.inverses ??= blocks.map((K) => inverse(centred(first), K).inverse);
        return first.inverses;
      }),
      estimate: () => {
        const one = inverse(centred(both.heavy[0]), root), clipped = one.inverse > 0 ? Math.min(1 / one.inverse, CLIP) : CLIP;
        return {alpha: clipped, error: clipped ** 2 * one.error};
      },
    });
    return Object.assign(found, {draws, counts, cut, sizes, few, ranks, blocks, root});
  }

  // A band between the outer quantiles and a line at the median.
  const band = (x, s, label, series) => ({areas: [{label: "", x, y: s.high, base: s.low, series}],
    lines: [{label, x, y: s.median, series, dash: series}]});
  const both = (a, b) => ({areas: [...a.areas, ...b.areas], lines: [...a.lines, ...b.lines]});

  const name = (state) => `stable, α = ${state.alpha}`;

  const ofErrors = (state, {errors, counts, cut, draws}) => {
    const shares = counts.map((k) => k / state.d);
    return {
      title: `Error against the share kept (median and 80% of ${draws} draws)`, name: "error",
      x: {label: "share of weights kept", scale: "log"}, y: {label: "relative error", range: [0, 1.02]},
      ...both(band(shares, errors.heavy, name(state), 0), band(shares, errors.light, "Gaussian", 1)),
      rules: [{x: cut / state.d, label: "kept"}],
    };
  };

  const ofGrowth = (state, {growing, sizes}) => ({
    title: "Error at this share, as the network grows", name: "growth", x: {label: "number of weights", scale: "log"},
    y: {label: "relative error", range: [0, 1.02]},
    ...both(band(sizes, growing.heavy, name(state), 0), band(sizes, growing.light, "Gaussian", 1)),
  });

  const ofSizes = (state, {ranks, magnitudes, cut}) => ({
    title: "The weights of the first draw, largest first", name: "sizes", x: {label: "rank of a weight", scale: "log"},
    y: {label: "size of a weight", scale: "log"},
    points: [{label: name(state), x: ranks, y: magnitudes.heavy, series: 0, marker: "dot"},
      {label: "Gaussian", x: ranks, y: magnitudes.light, series: 1, marker: "square"}],
    rules: [{x: cut, label: "kept to the left"}],
  });

  const ofEstimates = (state, {blocks, inverses}) => {
    const index = (each) => each.map((v) => (v > 0 ? Math.min(1 / v, CLIP) : null)), heavy = index(inverses.heavy), light = index(inverses.light);
    return {
      title: "The estimator on the first draw", name: "estimator", x: {label: "block size K", scale: "log"},
      y: {label: "estimated tail index", range: [0, Math.max(3, ...[...heavy, ...light].map((v) => v ?? 0)) + 0.1]},
      points: [{label: name(state), x: blocks, y: heavy, series: 0, marker: "dot"},
        {label: "Gaussian", x: blocks, y: light, series: 1, marker: "square"}],
      rules: [{y: state.alpha, label: "α"}, {y: 2, label: state.alpha === 2 ? "" : "2"}],
    };
  };

  const figures = (state, found) => [ofErrors, ofGrowth, ofSizes, ofEstimates].map((make) => () => make(state, found));

  function summary(state, found, say) {
    const {here, estimate, growing: {heavy: growing}, sizes} = found;
    const range = (s) => `${say(s.median[0], 3)} (${say(s.low[0], 3)} to ${say(s.high[0], 3)})`;
    return `Keeping ${found.cut} of ${state.d} weights with tail index ${state.alpha} leaves a relative ℓ${state.p} error of `
      + `${range(here.heavy)}: median and 80% of ${found.draws} draws. Gaussian weights have ${range(here.light)}. Among the first `
      + `${sizes[0]} weights of each draw the same share has ${say(growing.median[0], 3)}. On the first draw the estimator with blocks `
      + `of ${found.root} says ${say(estimate.alpha, 3)} ± ${say(estimate.error, 2)}.`;
  }

  const prefixed = (prefix, s) => Object.fromEntries(NAMES.map((name) => [`${prefix}_${name}`, s[name]]));
  const numbers = (state, {errors, growing, magnitudes, inverses, ...found}) => ({
    kept: found.counts, ...prefixed("error", errors.heavy), ...prefixed("gaussian", errors.light),
    size: found.sizes, size_kept: found.few, ...prefixed("growing", growing.heavy), ...prefixed("growing_gaussian", growing.light),
    rank: found.ranks, magnitude: magnitudes.heavy, gaussian_magnitude: magnitudes.light,
    block: found.blocks, inverse_index: inverses.heavy, gaussian_inverse_index: inverses.light,
  });
  const facts = (state, {here, estimate}) => ({error: here.heavy.median[0], gaussian_error: here.light.median[0], alpha: estimate.alpha,
    alpha_error: estimate.error});

  function python(state, found) {
    return `import numpy as np
from prunekit.stable import compression_error, tail_index

alpha, d, p, draws, seed = ${state.alpha}, ${state.d}, ${state.p}, ${found.draws}, ${state.seed}
u = np.random.RandomState(seed).random_sample((draws, 2, d))
V, W = np.pi * (u[:, 0] - 0.5), -np.log1p(-u[:, 1])

def stable(a):  # Chambers, Mallows and Stuck; prunekit.stable.sample draws from the same law
    return np.sin(a * V) / np.cos(V) ** (1 / a) * (np.cos((1 - a) * V) / W) ** ((1 - a) / a)

def spread(rows):
    return dict(zip(("low", "median", "high"), np.quantile(rows, [0.1, 0.5, 0.9], axis=0)))

numbers = {"kept": [${found.counts.join(", ")}], "size": [${found.sizes.join(", ")}], "size_kept": [${found.few.join(", ")}]}
numbers |= {"rank": [${found.ranks.join(", ")}], "block": [${found.blocks.join(", ")}]}
facts = {}
for name, grown, x in (("error", "growing", stable(alpha)), ("gaussian", "growing_gaussian", stable(2.0))):
    errors = [compression_error(each, numbers["kept"], p) for each in x]
    some = [[compression_error(each[:m], k, p) for m, k in zip(numbers["size"], numbers["size_kept"])] for each in x]
    for prefix, rows in ((name, errors), (grown, some)):
        numbers |= {f"{prefix}_{level}": list(row) for level, row in spread(rows).items()}
    before = "" if name == "error" else "gaussian_"
    facts[f"{before}error"] = np.median([compression_error(each, ${found.cut}, p) for each in x])
    numbers[f"{before}magnitude"] = list(np.sort(np.abs(x[0]))[::-1][np.array(numbers["rank"]) - 1])
    numbers[f"{before}inverse_index"] = list(tail_index(x[0], blocks=numbers["block"], clip=${CLIP}).inverses)
estimate = tail_index(stable(alpha)[0], clip=${CLIP})
facts |= {"alpha": estimate.alpha, "alpha_error": estimate.error}
`;
  }

  prunekit.explorers.tails = {name: "tails", controls, presets, compute, figures, summary, numbers, facts, python, stable};
})();
