// The explorer of the third chapter: how much a few large weights hold (barsbey, Theorem 1), on draws from a seed.
"use strict";

(() => {
  const {finite} = prunekit;
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
  function stable(alpha, V, W) {
    const out = new Float64Array(V.length), power = (1 - alpha) / alpha;
    for (let i = 0; i < V.length; i++)
      out[i] = Math.sin(alpha * V[i]) / Math.cos(V[i]) ** (1 / alpha) * (Math.cos((1 - alpha) * V[i]) / W[i]) ** power;
    return out;
  }

  // V and W of one draw after the other, as numpy.random.RandomState(seed).random_sample((draws, 2, d)) has them.
  let kept = {}; // for the seed and the number of weights last asked for
  function source({seed, d}, draws) {
    const key = `${seed} ${d}`;
    if (kept.key !== key) kept = {key, next: uniforms(seed), pairs: [], gaussian: []};
    while (kept.pairs.length < draws) {
      const u = Float64Array.from({length: 2 * d}, kept.next);
      kept.pairs.push([u.subarray(0, d).map((x) => Math.PI * (x - 0.5)), u.subarray(d).map((x) => -Math.log1p(-x))]);
    }
    return kept;
  }

  // The relative ℓp errors of keeping each of some numbers of weights (barsbey, Section 3.2): magnitudes in rising order.
  function errors(sorted, counts, p) {
    const d = sorted.length, top = sorted[d - 1], below = new Float64Array(d + 1);
    for (let i = 0; i < d; i++) {
      const share = sorted[i] / top;
      below[i + 1] = below[i] + (p === 2 ? share * share : share ** p);
    }
    return counts.map((k) => (below[d - k] / below[d]) ** (1 / p));
  }

  const rising = (x) => x.map(Math.abs).sort();

  function quantile(values, q) {
    const v = values.slice().sort((a, b) => a - b), at = (v.length - 1) * q, i = Math.floor(at);
    return v[i] + (at - i) * (v[Math.min(i + 1, v.length - 1)] - v[i]);
  }

  // Quantiles over the draws, point by point.
  const spread = (rows) => Object.fromEntries(NAMES.map((name, j) =>
    [name, rows[0].map((_, i) => quantile(rows.map((row) => row[i]), LEVELS[j]))]));

  // Values less their median, and the logarithms of their sizes; that of the median itself is left out of the mean.
  function centred(x) {
    const ranked = Float64Array.from(x).sort(), half = x.length >> 1;
    const middle = x.length % 2 ? ranked[half] : (ranked[half - 1] + ranked[half]) / 2;
    const values = x.map((v) => v - middle), logs = values.map((v) => Math.log(Math.abs(v)));
    const seen = logs.filter((l) => l !== -Infinity), mean = sum(seen) / seen.length;
    return {values, logs: logs.map((l) => (l === -Infinity ? mean : l))};
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

  // Of some networks: errors by number kept, at the number kept here, and at the same share of the first weights of each.
  function measured(networks, {counts, cut, sizes, few}, p) {
    const rows = networks.map((each) => errors(each.sorted, [...counts, cut], p));
    const grown = networks.map(({x, sorted, parts}) => sizes.map((size, i) => {
      if (!parts.has(size)) parts.set(size, size === x.length ? sorted : rising(x.subarray(0, size)));
      return errors(parts.get(size), [few[i]], p)[0];
    }));
    return {errors: spread(rows.map((row) => row.slice(0, -1))), here: spread(rows.map((row) => row.slice(-1))), growing: spread(grown)};
  }

  function compute(state, detail = 1) {
    const {alpha, d, p} = state, draws = Math.max(4, Math.round(detail * state.draws)), cut = Math.max(1, Math.ceil(state.kept * d - 1e-9));
    const from = source(state, draws), network = (x) => ({x, sorted: rising(x), parts: new Map()});
    const heavy = from.pairs.slice(0, draws).map(([V, W]) => network(stable(alpha, V, W)));
    while (from.gaussian.length < draws) from.gaussian.push(network(stable(2, ...from.pairs[from.gaussian.length])));
    const light = from.gaussian.slice(0, draws), counts = [...new Set(geomspace(1, d, SHARES).map(Math.round))], sizes = [];
    for (let size = d; size >= 8; size = Math.floor(size / 2)) sizes.unshift(size);
    const at = {counts, cut, sizes, few: sizes.map((size) => Math.max(1, Math.ceil(cut / d * size - 1e-9)))};
    const ranks = [...new Set(geomspace(1, d, RANKS).map(Math.round))], blocks = [];
    for (let K = 2; K <= d / 4; K *= 2) blocks.push(K);
    const root = Math.floor(Math.sqrt(d)), first = centred(heavy[0].x), one = inverse(first, root);
    const clipped = one.inverse > 0 ? Math.min(1 / one.inverse, CLIP) : CLIP, beside = `${draws} ${cut} ${p}`;
    if (from.beside !== beside) { // what does not depend on α is kept while α moves
      const each = centred(light[0].x);
      Object.assign(from, {beside, light: measured(light, at, p), inverses: blocks.map((K) => inverse(each, K).inverse)});
    }
    const theirs = measured(heavy, at, p);
    return finite("a draw", {
      draws, ...at, ranks, blocks, root, heavy: theirs.errors, growing: theirs.growing, here: theirs.here,
      light: from.light.errors, growingLight: from.light.growing, hereLight: from.light.here,
      magnitude: ranks.map((r) => heavy[0].sorted[d - r]), gaussian: ranks.map((r) => light[0].sorted[d - r]),
      inverses: blocks.map((K) => inverse(first, K).inverse), inversesLight: from.inverses,
      estimate: {alpha: clipped, error: clipped ** 2 * one.error},
    }, "the tail index or the order of the norm");
  }

  // A band between the outer quantiles and a line at the median.
  const band = (x, s, label, series) => ({areas: [{label: "", x, y: s.high, base: s.low, series}],
    lines: [{label, x, y: s.median, series, dash: series}]});
  const both = (a, b) => ({areas: [...a.areas, ...b.areas], lines: [...a.lines, ...b.lines]});

  function figures(state, found) {
    const {d} = state, shares = found.counts.map((k) => k / d), name = `stable, α = ${state.alpha}`;
    const index = (inverses) => inverses.map((v) => (v > 0 ? Math.min(1 / v, CLIP) : null));
    return [{
      title: `Error against the share kept (median and 80% of ${found.draws} draws)`, name: "error",
      x: {label: "share of weights kept", scale: "log"}, y: {label: "relative error", range: [0, 1.02]},
      ...both(band(shares, found.heavy, name, 0), band(shares, found.light, "Gaussian", 1)),
      rules: [{x: found.cut / d, label: "kept"}],
    }, {
      title: "Error at this share, as the network grows", name: "growth", x: {label: "number of weights", scale: "log"},
      y: {label: "relative error", range: [0, 1.02]},
      ...both(band(found.sizes, found.growing, name, 0), band(found.sizes, found.growingLight, "Gaussian", 1)),
    }, {
      title: "The weights of the first draw, largest first", name: "sizes", x: {label: "rank of a weight", scale: "log"},
      y: {label: "size of a weight", scale: "log"},
      points: [{label: name, x: found.ranks, y: found.magnitude, series: 0, marker: "dot"},
        {label: "Gaussian", x: found.ranks, y: found.gaussian, series: 1, marker: "square"}],
      rules: [{x: found.cut, label: "kept to the left"}],
    }, {
      title: "The estimator on the first draw", name: "estimator", x: {label: "block size K", scale: "log"},
      y: {label: "estimated tail index", range: [0, Math.max(3, ...index([...found.inverses, ...found.inversesLight]).map((v) => v ?? 0)) + 0.1]},
      points: [{label: name, x: found.blocks, y: index(found.inverses), series: 0, marker: "dot"},
        {label: "Gaussian", x: found.blocks, y: index(found.inversesLight), series: 1, marker: "square"}],
      rules: [{y: state.alpha, label: "α"}, {y: 2, label: state.alpha === 2 ? "" : "2"}],
    }];
  }

  function summary(state, found, say) {
    const {here, hereLight, estimate, growing, sizes} = found, range = (s) => `${say(s.median[0], 3)} (${say(s.low[0], 3)} to ${say(s.high[0], 3)})`;
    return `Keeping ${found.cut} of ${state.d} weights with tail index ${state.alpha} leaves a relative ℓ${state.p} error of `
      + `${range(here)}: median and 80% of ${found.draws} draws. Gaussian weights have ${range(hereLight)}. Among the first `
      + `${sizes[0]} weights of each draw the same share has ${say(growing.median[0], 3)}. On the first draw the estimator with blocks `
      + `of ${found.root} says ${say(estimate.alpha, 3)} ± ${say(estimate.error, 2)}.`;
  }

  const prefixed = (prefix, s) => Object.fromEntries(NAMES.map((name) => [`${prefix}_${name}`, s[name]]));
  const numbers = (state, found) => ({
    kept: found.counts, ...prefixed("error", found.heavy), ...prefixed("gaussian", found.light),
    size: found.sizes, size_kept: found.few, ...prefixed("growing", found.growing), ...prefixed("growing_gaussian", found.growingLight),
    rank: found.ranks, magnitude: found.magnitude, gaussian_magnitude: found.gaussian,
    block: found.blocks, inverse_index: found.inverses, gaussian_inverse_index: found.inversesLight,
  });
  const facts = (state, found) => ({error: found.here.median[0], gaussian_error: found.hereLight.median[0], alpha: found.estimate.alpha,
    alpha_error: found.estimate.error});

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
