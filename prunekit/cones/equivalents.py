"""The cone of an ellipsoid in high dimension, from the spectrum alone.

The sublevel set of a quadratic loss is the ellipsoid {w : ½(w - w*)ᵀH(w - w*) ≤ ε} with radii r_i, r_i² = 2ε/h_i; the
pruned point w^k sees its centre in the direction c = w* - w^k at the distance R = |c|. Everything here is an integral
over the eigenvalues h, so it takes what Lanczos gives as well as dense eigenvalues: the counting measure (a `Spectrum`
with several probes, or an exact `Measure`) and the measure of c. With h in place of r, r²/(r² + ν) = 2ε/(2ε + νh),
which is right at h = 0 too, where r is infinite.

Errors: ν depends on the measure of c alone, which has no probes. So each dimension and each share is linear in the
counting measure and has the error of its integral, of probes and quadrature (`Spectrum.integrate`); the width, a square
root, gets it by the delta method. The error does not include what the steps along c may be off by, which
`prunekit.limit.threshold` adds.
A spectrum with a single probe has the error infinity, an exact one 0.

Source: geometric, Section 3, for what is called *as published*; the rest is derived for this book, and corrects it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.spectrum import Measure, Spectrum
from prunekit.statistics import Estimate

ROUNDING = 1e-12  # negative eigenvalues of this size, relative to the largest, are zeros of a dense solver


def dimension_as_published(spectrum: Spectrum | Measure, epsilon: float, distance: float) -> Estimate:
    """Return Σ r_i²/(R² + r_i²), what geometric takes for the cone's statistical dimension.

    Source: geometric, Lemma 2, equation (16), squared. This book's page on the cone shows where it is too small.

    Parameters
    ----------
    spectrum : Spectrum or Measure
        Counting measure of the Hessian, total D, no eigenvalue below 0.
    epsilon : float
        Tolerance on the loss, above 0.
    distance : float
        R ≥ 0, from the trained to the pruned weights.

    Returns
    -------
    Estimate
        The dimension, from 0 to D, with its standard error across probes.

    Raises
    ------
    ValueError, TypeError
        For a negative eigenvalue or an argument out of range.
    """
    spectrum, twice = counting(spectrum), _tolerance(epsilon)
    squared = _square("distance", distance)
    return spectrum.integrate(lambda h: twice / (twice + squared * h))


def width_as_published(spectrum: Spectrum | Measure, epsilon: float, distance: float) -> Estimate:
    """Return √(Σ r_i²/(R² + r_i²)), geometric's Gaussian width of the projected ellipsoid.

    Source: geometric, Lemma 2, equation (16).

    Parameters
    ----------
    spectrum, epsilon, distance
        As for `dimension_as_published`.

    Returns
    -------
    Estimate
        The width. By the delta method its error is that of its square, divided by twice the width.
    """
    squared = dimension_as_published(spectrum, epsilon, distance)
    width = math.sqrt(squared.value)
    return squared.linear(1 / (2 * width), width / 2) if squared.error else Estimate(width, 0.0)


def cone_dimension(spectrum: Spectrum | Measure, direction: Measure, epsilon: float) -> Estimate:
    """Return the statistical dimension of the cone that the ellipsoid generates, seen from the pruned point.

    It is Σ r_i²/(r_i² + ν) with ν of `cone_root`, and D where the pruned point lies in the ellipsoid, cᵀHc ≤ 2ε. It
    is a limit for large D; `EllipsoidCone` has the exact cone. (Derived for this book; it replaces geometric, Lemma 2.)

    Parameters
    ----------
    spectrum : Spectrum or Measure
        Counting measure of the Hessian, total D, no eigenvalue below 0.
    direction : Measure
        Measure of c = w* - w^k: c_i² at the i-th eigenvalue, total R².
    epsilon : float
        Tolerance on the loss, above 0.

    Returns
    -------
    Estimate
        The dimension, from 0 to D, with its standard error across probes.

    Raises
    ------
    ValueError, TypeError
        For a negative eigenvalue or an argument out of range.
    """
    spectrum, twice = counting(spectrum), _tolerance(epsilon)
    nu = cone_root(direction, epsilon)
    return spectrum.integrate(lambda h: twice / (twice + nu * h))


def cone_root(direction: Measure, epsilon: float) -> float:
    """Return the ν ≥ 0 that replaces R² in the dimension of the cone, in units of a squared weight.

    It solves Σ c_i²/(r_i² + ν) = 1, which is Σ c_i² h_i/(2ε + νh_i) = 1; 0 where cᵀHc ≤ 2ε. It is never above R², since
    each term with ν = R² is at most c_i²/R².

    Parameters
    ----------
    direction, epsilon
        As for `cone_dimension`.
    """
    direction, twice = nonnegative("direction", direction), _tolerance(epsilon)
    energy = direction.integrate(lambda h: h)  # cᵀHc
    if energy <= twice:
        return 0.0

    def excess(nu: float) -> float:
        return direction.integrate(lambda h: h / (twice + nu * h)) - 1

    # Σ c²h/(2ε + νh) ≥ cᵀHc/(2ε + νh_max), so no root is below this
    low = (energy - twice) / float(direction.nodes[-1])
    return _root(excess, low, direction.total)


def orthogonal_limit(spectrum: Spectrum | Measure, direction: Measure, epsilon: float) -> Estimate:
    """Return T⊥, the share of weights to keep if the kept subspace is random among those orthogonal to c.

    c lives on the pruned coordinates, so the kept ones are orthogonal to it, which a random subspace is not. T⊥ =
    (1/D) Σ ν/(r_i² + ν) with ν of `orthogonal_root`: 0 where cᵀHc ≤ 2ε, 1 where no vector orthogonal to c reaches the
    ellipsoid. It is a limit for large D, derived for this book.

    Parameters
    ----------
    spectrum, direction, epsilon
        As for `cone_dimension`.

    Returns
    -------
    Estimate
        The share, from 0 to 1, with its standard error across probes.

    Raises
    ------
    ValueError, TypeError
        For a negative eigenvalue or an argument out of range.
    """
    spectrum, twice = counting(spectrum), _tolerance(epsilon)
    nu = orthogonal_root(direction, epsilon)
    if math.isinf(nu):
        return Estimate(1.0, 0.0)
    integral = spectrum.integrate(lambda h: nu * h / (twice + nu * h))
    return integral.linear(1 / spectrum.dimension)


def orthogonal_root(direction: Measure, epsilon: float) -> float:
    """Return the ν ≥ 0 of `orthogonal_limit`, in units of a squared weight; infinity if it has none.

    It solves Σ c_i²(R² - r_i²)/(r_i² + ν) = 0. The sum changes its sign at most once in ν > 0, from positive to
    negative, since R² - r² does in r² and the kernel 1/(r² + ν) diminishes variation. It starts positive if cᵀHc > 2ε
    (otherwise ν = 0) and ends negative if R⁴ < 2ε cᵀH⁻¹c, which says that the hyperplane orthogonal to c meets the
    ellipsoid (otherwise ν = ∞).

    Parameters
    ----------
    direction, epsilon
        As for `cone_dimension`.
    """
    direction, twice = nonnegative("direction", direction), _tolerance(epsilon)
    squared = direction.total
    if direction.integrate(lambda h: h) <= twice:
        return 0.0
    held = direction.weights > 0
    h, weights = direction.nodes[held], direction.weights[held]
    with np.errstate(over="ignore"):
        reach = twice * np.sum(np.divide(weights, h, out=np.full_like(h, np.inf), where=h > 0))
    if reach <= squared**2:
        return math.inf

    def excess(nu: float) -> float:
        share = 1 / (1 + nu / squared)  # the sum times 1 + ν/R², which neither overflows nor vanishes as ν grows
        return float(np.sum(weights * (squared * h - twice) / (twice * share + h * squared * (1 - share))))

    low, high = squared, squared
    while excess(low) <= 0:
        low /= 4
        if low < 1e-200 * squared:  # cᵀHc is 2ε up to rounding
            return 0.0
    while excess(high) > 0:
        high *= 4
        if high > 1e200:  # the root is beyond double precision: the marginal case of no root
            return math.inf
    return _root(excess, low, high)


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Return the root of a function that falls from positive at `low` to negative at `high`, by its logarithm."""
    from scipy.optimize import brentq

    def at(x: float) -> float:
        return excess(math.exp(x))

    a, b = math.log(low), math.log(high)
    if at(a) <= 0:  # the root is at an end, up to rounding
        return low
    return high if at(b) >= 0 else math.exp(brentq(at, a, b, xtol=1e-14, rtol=1e-14))


def counting(spectrum: Spectrum | Measure) -> Spectrum:
    """Return a spectrum without negative eigenvalues; a measure is taken for an exact one."""
    if isinstance(spectrum, Measure):
        spectrum = Spectrum((spectrum,), exact=True)
    if not isinstance(spectrum, Spectrum):
        raise TypeError(f"spectrum is {type(spectrum).__name__}: give a Spectrum or a Measure")
    for probe in spectrum.probes:
        nonnegative("spectrum", probe)
    measures = (*spectrum.probes, *spectrum.rules, *spectrum.rests)
    if all(map(_is_clipped, measures)) and all(gap.points.min() >= 0 for gap in spectrum.gaps):
        return spectrum
    return spectrum.mapped(_clipped)


def nonnegative(name: str, measure: Measure) -> Measure:
    """Return a measure on eigenvalues of at least 0, negative ones of the size of rounding set to 0.

    Raises
    ------
    ValueError
        If there is a negative eigenvalue beyond `ROUNDING`; the two usual ways out are named.
    """
    if not isinstance(measure, Measure):
        raise TypeError(f"{name} is {type(measure).__name__}: give a Measure")
    least, size = float(measure.nodes[0]), float(np.abs(measure.nodes).max())
    if least < -ROUNDING * size:
        raise ValueError(
            f"{name} has the eigenvalue {least:.3g}, and an ellipsoid has none below 0: give {name}.mapped(np.abs) "
            f"(what the authors' program does) or {name}.mapped(lambda h: np.maximum(h, 0))"
        )
    return measure if _is_clipped(measure) else measure.mapped(_clipped)


def _is_clipped(measure: Measure) -> bool:
    """Tell whether a measure, and what is known of it from fewer steps, has no eigenvalue below 0, as most have."""
    return bool(measure.nodes[0] >= 0) and all(map(_is_clipped, measure.earlier))


def _clipped(h: Floats) -> Floats:
    return np.maximum(h, 0.0)


def _tolerance(epsilon: float) -> float:
    """Return 2ε."""
    return _checks.finite("2ε", 2 * _checks.scalar("epsilon", epsilon, positive=True), "epsilon")


def _square(name: str, value: float) -> float:
    """Return the square of a number of at least 0."""
    number = _checks.scalar(name, value)
    return _checks.finite(f"the square of {name}", number * number, name)
