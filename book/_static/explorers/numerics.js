// The mathematics that the explorers share, in double precision: the normal law, roots, refusals, seeded uniforms.
// Nothing here touches the page, so that the tests compare it with the library by itself.
"use strict";

globalThis.prunekit = globalThis.prunekit || {explorers: {}};

(() => {
  const EPS = Number.EPSILON, TINY = 2.2250738585072014e-308;

  // What a setting may not be: said in words that name the setting, what it is, and what would be right.
  class OutOfRange extends Error {}

  function refuse(words) {
    throw new OutOfRange(words);
  }

  function finite(what, value, remedy) {
    const bad = (v) => (typeof v === "number" ? !Number.isFinite(v)
      : v !== null && typeof v === "object" && (ArrayBuffer.isView(v) || Array.isArray(v) ? v : Object.values(v)).some(bad));
    if (bad(value)) refuse(`${what} leaves the range of double precision: change ${remedy}`);
    return value;
  }

  // Of an object of functions, an object that computes each part when it is first asked for, and refuses what is not
  // finite: while a slider moves, what is out of sight is not asked for.
  function lazily(what, remedy, parts) {
    const out = {};
    for (const [name, make] of Object.entries(parts)) {
      const get = () => {
        const value = finite(what, make(), remedy);
        Object.defineProperty(out, name, {value, enumerable: true});
        return value;
      };
      Object.defineProperty(out, name, {get, enumerable: true, configurable: true});
    }
    return out;
  }

  // The normal law by W. J. Cody's rational approximations of erfc (SPECFUN), correct to the last digits. Both parts of
  // exp(-x²) are computed by themselves where the last digits are wanted; loops over many weights give e = exp(-z²/2).
  const A = [1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3];
  const B = [1, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3];
  const C = [2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3];
  const D = [1, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3];
  const P = [1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4];
  const Q = [1, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3];
  const ROOT_PI = Math.sqrt(Math.PI);

  function ratio(x, above, below) { // of two polynomials of one degree, their highest powers first
    let a = above[0], b = below[0];
    for (let i = 1; i < above.length; i++) {
      a = a * x + above[i];
      b = b * x + below[i];
    }
    return a / b;
  }

  // erfc(a)·exp(a²) for a not below 0.46875
  function scaled(a) {
    if (a <= 4) return ratio(a, C, D);
    const s = 1 / (a * a);
    return (1 / ROOT_PI - s * ratio(s, P, Q)) / a;
  }

  function erfc(x) {
    const a = Math.abs(x);
    if (a < 0.46875) return 1 - x * ratio(x * x, A, B);
    if (a > 28) return x > 0 ? 0 : 2;
    const near = Math.trunc(a * 16) / 16;
    const tail = Math.exp(-near * near) * Math.exp((near - a) * (near + a)) * scaled(a);
    return x > 0 ? tail : 2 - tail;
  }

  // The chance to lie above z, from e = exp(-z²/2), which the density needs as well
  function above(z, e) {
    const x = z * SQRT_HALF, a = Math.abs(x);
    if (a < 0.46875) return 0.5 - 0.5 * x * ratio(x * x, A, B);
    const tail = 0.5 * e * scaled(a);
    return x > 0 ? tail : 1 - tail;
  }

  const SQRT_HALF = Math.SQRT1_2, SQRT_2PI = Math.sqrt(2 * Math.PI);
  const ndtr = (z) => 0.5 * erfc(-z * SQRT_HALF);
  const density = (z) => Math.exp(-0.5 * z * z) / SQRT_2PI;

  // The root of an increasing function that returns [value, slope]: Newton's steps within a shrinking bracket.
  function increasingRoot(f, start) {
    let x = start, low = -Infinity, high = Infinity, last = Infinity;
    for (let i = 0; i < 300; i++) {
      const [value, slope] = f(x);
      if (value === 0) return x;
      if (value < 0) low = x; else high = x;
      let step = slope > 0 ? -value / slope : -Math.sign(value) * 8;
      step = Math.max(-8, Math.min(8, step));
      const middle = low + (high - low) / 2, bracketed = Number.isFinite(middle);
      const stray = x + step <= low || x + step >= high || Math.abs(step) > last / 2;
      const next = bracketed && stray ? middle : x + step, moved = Math.abs(next - x);
      x = next;
      const sure = Number.isFinite(last) && moved < 0.1 * last && !(bracketed && stray);
      const foreseen = sure ? moved * (moved / last) ** 2 : moved;
      if (Math.min(moved, foreseen) <= 4 * EPS * Math.max(1, Math.abs(x))) return x;
      last = moved;
    }
    return refuse("an equation has no root in 300 steps: take less extreme settings");
  }

  // The root between low and high of a function of different signs there: bisection and secants (Illinois), to rounding.
  function bracketedRoot(f, low, high, fLow = f(low), fHigh = f(high)) {
    if (fLow === 0) return low;
    if (fHigh === 0) return high;
    for (let i = 0, side = 0; i < 300; i++) {
      let x = (low * fHigh - high * fLow) / (fHigh - fLow);
      if (!(x > Math.min(low, high) && x < Math.max(low, high)) || i % 8 === 7) x = low + (high - low) / 2;
      const value = f(x);
      if (value === 0 || Math.abs(high - low) <= 4 * EPS * Math.max(Math.abs(low), Math.abs(high))) return x;
      if (x === low || x === high) return x;
      if (value > 0 === fHigh > 0) {
        high = x; fHigh = value;
        if (side === 1) fLow /= 2;
        side = 1;
      } else {
        low = x; fLow = value;
        if (side === -1) fHigh /= 2;
        side = -1;
      }
    }
    return low + (high - low) / 2;
  }

  // Where a function of one variable is least between two points: golden section, which needs no derivative.
  function leastBetween(f, low, high, tolerance) {
    const ratio = (Math.sqrt(5) - 1) / 2;
    let a = high - ratio * (high - low), b = low + ratio * (high - low), fa = f(a), fb = f(b);
    while (high - low > tolerance) {
      if (fa <= fb) {
        [high, b, fb] = [b, a, fa];
        a = high - ratio * (high - low); fa = f(a);
      } else {
        [low, a, fa] = [a, b, fb];
        b = low + ratio * (high - low); fb = f(b);
      }
    }
    return fa <= fb ? [a, fa] : [b, fb];
  }

  // Uniform numbers in [0, 1), the same as numpy.random.RandomState(seed).random_sample(): MT19937, 53 bits.
  function uniforms(seed) {
    const key = new Uint32Array(624);
    key[0] = seed >>> 0;
    for (let i = 1; i < 624; i++) {
      const before = key[i - 1] ^ (key[i - 1] >>> 30);
      key[i] = Math.imul(1812433253, before) + i;
    }
    let at = 624;
    const next = () => {
      if (at === 624) {
        for (let i = 0; i < 624; i++) {
          const y = (key[i] & 0x80000000) | (key[(i + 1) % 624] & 0x7fffffff);
          key[i] = key[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
        }
        at = 0;
      }
      let y = key[at++];
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      return (y ^ (y >>> 18)) >>> 0;
    };
    return () => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
  }

  const sum = (values) => {
    let total = 0;
    for (let i = 0; i < values.length; i++) total += values[i];
    return total;
  };
  // Numbers spaced evenly, or evenly in their logarithm, as numpy has them.
  const linspace = (a, b, n) => Array.from({length: n}, (_, i) => (i === n - 1 ? b : a + i * ((b - a) / (n - 1))));
  const geomspace = (a, b, n) => linspace(Math.log(a), Math.log(b), n).map((x, i) =>
    (i === 0 ? a : i === n - 1 ? b : Math.exp(x)));

  Object.assign(prunekit, {OutOfRange, refuse, finite, lazily});
  prunekit.numerics = {EPS, TINY, SQRT_2PI, ndtr, above, density, increasingRoot, bracketedRoot, leastBetween, uniforms, sum,
    linspace, geomspace};
})();
