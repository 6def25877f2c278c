// The law of least-squares coefficients for uncorrelated features, as prunekit.linear.law has it (chang, Definition 4).
// A problem is {lambda, beta, count, noise}: features of equal variance and coefficient stand together with their number,
// so that a spiked spectrum costs as little as two features.
"use strict";

(() => {
  const {refuse, finite} = prunekit;
  const {EPS, TINY, SQRT_2PI, ndtr, above, increasingRoot, sum} = prunekit.numerics;

  // Neighbours that are alike, joined; noise is sigma squared.
  function grouped(lambda, beta, noise) {
    const out = {lambda: [], beta: [], count: [], noise};
    lambda.forEach((l, i) => {
      const last = out.lambda.length - 1;
      if (last >= 0 && out.lambda[last] === l && out.beta[last] === beta[i]) out.count[last] += 1;
      else { out.lambda.push(l); out.beta.push(beta[i]); out.count.push(1); }
    });
    return out;
  }

  // The problem of who has the first k features only: what is left out is noise (chang, before Definition 5).
  function restricted(problem, k) {
    const out = {lambda: [], beta: [], count: [], noise: 0};
    let room = k, left = 0;
    problem.lambda.forEach((l, i) => {
      const here = Math.min(room, problem.count[i]);
      room -= here;
      left += (problem.count[i] - here) * l * problem.beta[i] ** 2;
      if (here > 0) { out.lambda.push(l); out.beta.push(problem.beta[i]); out.count.push(here); }
    });
    out.noise = problem.noise + left;
    return out;
  }

  function refuseInfinite(n, rank, what, cure) {
    if (n - 1 - 1e-9 * n < rank && rank < n + 1e-9 * n)
      refuse(`n is ${n} and ${what}, where the expected risk is infinite: ${cure}`);
  }

  // ξ of Σ w_i(1 - ζ_i) + μξ = n with ζ_i = 1/(1 + ξλ_i) (chang, Definition 4; with μ it is the ridge's).
  function effective(problem, n, ridge, weight) {
    const {lambda, beta} = problem, m = lambda.length, rank = sum(weight);
    const unit = Float64Array.from(lambda).sort()[m >> 1], penalty = ridge / unit, few = n <= rank / 2;
    const relative = Float64Array.from(lambda, (l) => l / unit);
    const balance = (x) => { // one exponential for all: both shares follow from ξλ to full relative precision
      const xi = Math.exp(x), ridged = penalty * xi;
      let kept = 0, lost = 0, turn = 0;
      for (let i = 0; i < m; i++) {
        const each = xi * relative[i], small = 1 / (1 + each), large = each * small;
        kept += weight[i] * large;
        lost += weight[i] * small;
        turn += weight[i] * large * small;
      }
      const a = Math.max(ridged + (few ? kept : Math.max(rank - n, 0)), TINY);
      const b = Math.max(few ? n : lost + Math.max(n - rank, 0), TINY);
      return [Math.log(a / b), (ridged + (few ? turn : 0)) / a - (few ? 0 : -turn) / b];
    };
    const x = increasingRoot(balance, Math.log(n / Math.max(Math.abs(rank - n), 1))), xi = Math.exp(x);
    const lost = Array.from(relative, (l) => 1 / (1 + xi * l)), kept = lost.map((share, i) => xi * relative[i] * share);
    let signal = 0, freedom = penalty * xi;
    for (let i = 0; i < m; i++) {
      signal += weight[i] * lambda[i] * (lost[i] * beta[i]) ** 2;
      freedom += weight[i] * kept[i] * lost[i];
    }
    return {xi: xi / unit, kept, lost, signal, freedom};
  }

  // The law from n samples with the penalty ridge on |b|²: means, standard deviations and γ, the dense risk. `near` is a law
  // of a similar problem, if there is one: what is searched begins where that law has it.
  function characterize(problem, n, ridge = 0, near = null) {
    const rank = sum(problem.count), {lambda, beta, count} = problem;
    if (ridge === 0) refuseInfinite(n, rank, `there are ${rank} features`, "take other n or p, or a ridge");
    let mean, sd, gamma, xi = null;
    if (ridge === 0 && rank < n) {
      const each = problem.noise / (n - rank - 1);
      mean = beta.slice();
      sd = lambda.map((l) => Math.sqrt(each / l));
      gamma = each * (n - 1);
    } else {
      const solved = effective(problem, n, ridge, count);
      gamma = n * (problem.noise + solved.signal) / solved.freedom;
      xi = solved.xi;
      mean = beta.map((b, i) => solved.kept[i] * b);
      sd = lambda.map((_, i) => Math.sqrt(gamma * xi * solved.kept[i] * solved.lost[i] / n));
    }
    finite("the law", [mean, sd, gamma], "the spectrum or the coefficients");
    return {problem, n, ridge, xi, gamma, mean, sd, rank, cuts: {}, starts: near?.cuts};
  }

  const clipped = (z) => (Number.isNaN(z) ? 100 : Math.max(-100, Math.min(100, z)));
  const outside = (mean, sd, t) => ndtr(-clipped((t + mean) / sd)) + ndtr(-clipped((t - mean) / sd));

  // What compares sizes: 1 for magnitude, √λ for the Hessian.
  const weights = (law, rule) => law.problem.lambda.map((l) => (rule === "Hessian" ? Math.sqrt(l) : 1));

  // About the threshold that s of the weighted coefficients exceed on average: that of their root mean squares.
  function guess(law, mean, sd, s) {
    const {count} = law.problem, p = law.rank, sizes = Float64Array.from(mean, (a, i) => Math.sqrt(a * a + sd[i] * sd[i]));
    if (sizes.length === p) return sizes.sort()[Math.max(0, Math.min(p - 1, p - Math.round(s)))];
    let passed = 0, last = 0;
    for (const i of [...sizes.keys()].sort((a, b) => sizes[b] - sizes[a])) {
      passed += count[i];
      last = sizes[i];
      if (passed >= s) break;
    }
    return last;
  }

  // The threshold that s of the weighted coefficients exceed on average: Σ P(|w_i X_i| > t) = s (chang, equation (14)).
  // A law keeps those that were asked for: pruning and retraining ask for the same.
  function threshold(law, rule, s) {
    const key = `${rule} ${s}`;
    if (!(key in law.cuts)) law.cuts[key] = solved(law, rule, s, law.starts?.[key]);
    return law.cuts[key];
  }

  function solved(law, rule, s, start) {
    const w = weights(law, rule), {count} = law.problem, m = w.length, p = law.rank;
    if (s >= p) return 0;
    const mean = Float64Array.from(w, (a, i) => a * law.mean[i]), sd = Float64Array.from(w, (a, i) => a * law.sd[i]);
    const few = s <= p / 2, goal = few ? s : p - s, unit = start || guess(law, mean, sd, s); // so that log(t/unit) is small
    const spread = sd.map((d) => 1 / d), centre = mean.map((a, i) => Math.abs(a) * spread[i]);
    const x = increasingRoot((e) => {
      const t = unit * Math.exp(e);
      let number = 0, slope = 0;
      for (let i = 0; i < m; i++) {
        const reach = t * spread[i], low = reach + centre[i], high = reach - centre[i];
        const far = Math.exp(-0.5 * low * low), near = Math.exp(-0.5 * high * high), beyond = above(low, far);
        // within t: of a difference of tails, those of the side on which both are small
        number += count[i] * (few ? above(high, near) + beyond
          : high < 0 ? above(-high, near) - beyond : 1 - above(high, near) - beyond);
        slope += count[i] * (far + near) * spread[i];
      }
      number = Math.max(number, TINY);
      return [(few ? -1 : 1) * Math.log(number / goal), t * slope / SQRT_2PI / number];
    }, 0);
    return unit * Math.exp(x);
  }

  // How many of each group an order of sizes keeps: the largest, ties by position, a group perhaps in part.
  function largest(sizes, count, s) {
    const share = sizes.map(() => 0), order = sizes.map((_, i) => i).sort((a, b) => sizes[b] - sizes[a] || a - b);
    let room = s;
    for (const i of order) {
      const here = Math.min(room, count[i]);
      share[i] = here / count[i];
      room -= here;
    }
    return share;
  }

  // The chance of each coefficient to survive; where nothing varies (no noise at all) it is 0, 1 or a group's share.
  function inclusion(law, rule, s) {
    const {lambda, beta, count} = law.problem;
    if (rule === "oracle") return largest(lambda.map((l, i) => l * beta[i] ** 2), count, s);
    const w = weights(law, rule), fixed = law.sd.map((d, i) => d <= 64 * EPS * Math.abs(law.mean[i]));
    if (fixed.every(Boolean)) return largest(law.mean.map((a, i) => Math.abs(w[i] * a)), count, s);
    if (fixed.some(Boolean)) refuse("some coefficients vary and others do not to double precision: narrow the spectrum");
    const t = threshold(law, rule, s);
    return law.mean.map((a, i) => outside(w[i] * a, w[i] * law.sd[i], t));
  }

  // E(g(X) - β)² for X ~ N(mean, sd²) and g that keeps what exceeds t in size: truncated Gaussian moments.
  function hardError(mean, sd, beta, t) {
    const low = clipped((-t - mean) / sd), high = clipped((t - mean) / sd);
    const dLow = Math.exp(-0.5 * low * low), dHigh = Math.exp(-0.5 * high * high);
    const right = above(high, dHigh), left = above(-low, dLow);
    const tail = (z, p, d, shift) => // the part above z sd, of a variable whose mean is `shift` above the centre
      Math.max(shift * shift * p + 2 * shift * sd * d + sd * sd * (p + z * d), 0);
    const between = low > 0 ? above(low, dLow) - right : high < 0 ? above(-high, dHigh) - left : 1 - right - left;
    return tail(high, right, dHigh / SQRT_2PI, mean - beta) + tail(-low, left, dLow / SQRT_2PI, beta - mean)
      + between * beta * beta;
  }

  // The expected risk after keeping s coefficients: σ² + Σ λ_i E(β_i - g_i(X_i))² (chang, equation (13), Corollary 1).
  function prunedRisk(law, rule, s) {
    const {lambda, beta, count, noise} = law.problem;
    if (s >= law.rank) return law.gamma;
    const fixed = rule === "oracle" || law.sd.every((d, i) => d <= 64 * EPS * Math.abs(law.mean[i]));
    if (fixed) {
      const kept = inclusion(law, rule, s);
      return noise + sum(lambda.map((l, i) => count[i] * l * (
        kept[i] * ((law.mean[i] - beta[i]) ** 2 + law.sd[i] ** 2) + (1 - kept[i]) * beta[i] ** 2)));
    }
    const t = threshold(law, rule, s), w = weights(law, rule);
    return noise + sum(lambda.map((l, i) => count[i] * l * hardError(law.mean[i], law.sd[i], beta[i], t / w[i])));
  }

  // The risk after the survivors are fitted to n fresh samples (chang, Definition 5; classical for s < n - 1).
  function retrainedRisk(law, rule, s) {
    const {lambda, beta, count, noise} = law.problem, kept = inclusion(law, rule, s);
    const number = kept.map((share, i) => share * count[i]), rank = sum(number);
    refuseInfinite(law.n, rank, `${s} features are kept`, "take another s");
    const left = noise + sum(lambda.map((l, i) => (1 - kept[i]) * count[i] * l * beta[i] ** 2));
    if (rank < law.n) return left * (law.n - 1) / (law.n - rank - 1);
    const solved = effective(law.problem, law.n, 0, number);
    return law.n * (left + solved.signal) / solved.freedom;
  }

  prunekit.law = {grouped, restricted, characterize, effective, threshold, inclusion, prunedRisk, retrainedRisk, outside};
})();
