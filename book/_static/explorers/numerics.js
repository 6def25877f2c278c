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
      : v !== null && typeof v === "object" && (ArrayBuffer.isView(v) ? v : Object.values(v)).some(bad));
    if (bad(value)) refuse(`${what} leaves the range of double precision: change ${remedy}`);
    return value;
  }

  // erf and erfc after W. J. Cody's rational approximations as in Sun's fdlibm, correct to the last digits.
  function poly(x, c) {
    let total = 0;
    for (let i = c.length - 1; i >= 0; i--) total = total * x + c[i];
    return total;
  }
  const PP = [1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
    -5.77027029648944159157e-03, -2.37630166566501626084e-05];
  const QQ = [1, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
    1.32494738004321644526e-04, -3.96022827877536812320e-06];
  const PA = [-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
    3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02, -2.16637559486879084300e-03];
  const QA = [1, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
    1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02];
  const RA = [-9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e+01,
    -6.23753324503260060396e+01, -1.62396669462573470355e+02, -1.84605092906711035994e+02,
    -8.12874355063065934246e+01, -9.81432934416914548592e+00];
  const SA = [1, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
    6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02, 6.57024977031928170135e+00,
    -6.04244152148580987438e-02];
  const RB = [-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01,
    -1.60636384855821916062e+02, -6.37566443368389627722e+02, -1.02509513161107724954e+03,
    -4.83519191608651397019e+02];
  const SB = [1, 3.03380607434824582924e+01, 3.25792512996573918826e+02, 1.53672958608443695994e+03,
    3.19985821950859553908e+03, 2.55305040643316442583e+03, 4.74528541206955367215e+02, -2.24409524465858183362e+01];
  const ERX = 8.45062911510467529297e-01;

  function erfc(x) {
    const a = Math.abs(x);
    if (a < 0.84375) {
      const z = x * x;
      return 1 - (x + x * poly(z, PP) / poly(z, QQ));
    }
    if (a < 1.25) {
      const s = a - 1, part = poly(s, PA) / poly(s, QA);
      return x >= 0 ? 1 - ERX - part : 1 + ERX + part;
    }
    if (a > 28) return x > 0 ? 0 : 2;
    const s = 1 / (a * a), ratio = a < 1 / 0.35 ? poly(s, RA) / poly(s, SA) : poly(s, RB) / poly(s, SB);
    const z = Math.fround(a);
    const tail = Math.exp(-z * z - 0.5625) * Math.exp((z - a) * (z + a) + ratio) / a;
    return x > 0 ? tail : 2 - tail;
  }

  const SQRT_HALF = Math.SQRT1_2, SQRT_2PI = Math.sqrt(2 * Math.PI);
  const ndtr = (z) => 0.5 * erfc(-z * SQRT_HALF);
  const density = (z) => Math.exp(-0.5 * z * z) / SQRT_2PI;
  // 1/(1 + exp(-x)) to full relative precision on either side
  const expit = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

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

  Object.assign(prunekit, {OutOfRange, refuse, finite});
  prunekit.numerics = {EPS, TINY, erfc, ndtr, density, expit, increasingRoot, bracketedRoot, leastBetween, uniforms, sum,
    linspace, geomspace};
})();
