"""The distribution function of symmetric α-stable laws, its inverse and its truncated moments.

They are what predictions for finite networks need (`prunekit.stable.limits`). Conditional on V of the
Chambers-Mallows-Stuck formula the variable is a power of an exponential one, so that P(|X| > x) is one integral over V.
Near α = 1 its integrand turns into a step; there the characteristic function is inverted along a ray in the complex
plane, where nothing oscillates and nothing cancels.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.stable import _arguments

_LEAST = 1e-300  # a probability, or a tail index, below which 1/x leaves the range of double precision
_NEAR_CAUCHY = 0.35  # if α is nearer to 1 than this, the integrand over V is too steep


def tail_probability(alpha: float, x: ArrayLike) -> Any:
    """Return P(|X| > x) for a standard SαS variable, to about ten digits.

    Parameters
    ----------
    alpha : float
        Tail index, in [0.1, 2].
    x : float or array
        Sizes x of at least 0, in units of the scale.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> tail_probability(1.0, 1.0)
    0.5
    """
    alpha = _resolved(alpha)
    points = _checks.numbers("x", x)
    if (points < 0).any():
        raise ValueError(f"x holds {points.min()}: give numbers of at least 0")
    if alpha == 1:
        result = 2 / math.pi * np.arctan2(1.0, points)
    elif alpha == 2:
        from scipy.special import erfc

        result = erfc(points / 2)
    else:
        one = _along_a_ray if abs(alpha - 1) < _NEAR_CAUCHY else _integral
        with np.errstate(divide="ignore"):
            result = np.vectorize(functools.partial(one, alpha), otypes=[float])(np.log(points))
    return float(result) if np.ndim(x) == 0 else result


def magnitude_quantile(alpha: float, above: float) -> float:
    """Return the x with P(|X| > x) = `above` for a standard SαS variable.

    Parameters
    ----------
    alpha : float
        Tail index, as for `tail_probability`.
    above : float
        The probability, in (0, 1); for pruning, the share kept.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    alpha, above = _resolved(alpha), _checks.probability("above", above)
    with _checks.in_range("the quantile", "above, which is too near to 0 or 1"):
        return _quantile(alpha, above)


def _quantile(alpha: float, above: float) -> float:
    """Return the x of `magnitude_quantile`."""
    if above < _LEAST:
        raise FloatingPointError(f"above is {above}, which is too near to 0 for double precision: give more")
    if alpha == 1:
        return 1 / math.tan(math.pi * above / 2)
    if alpha == 2:
        from scipy.special import erfcinv

        return 2 * float(erfcinv(above))
    from scipy.optimize import brentq

    def gap(log_x: float) -> float:
        return math.log(tail_probability(alpha, math.exp(log_x))) - math.log(above)

    top = math.log(tail_constant(alpha) / above) / alpha + 5
    return math.exp(brentq(gap, -60 / min(alpha, 1), max(top, 5.0), xtol=1e-13))


def truncated_moment(alpha: float, p: float, bound: float) -> float:
    """Return E|X|^p 1{|X| ≤ bound} for a standard SαS variable.

    Parameters
    ----------
    alpha : float
        Tail index, as for `tail_probability`.
    p : float
        Order, above 0; the moment without the bound is infinite for p ≥ α < 2.
    bound : float
        Bound on |X|, above 0, in units of the scale.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    alpha, p = _resolved(alpha), _arguments.order("p", p)
    bound = _checks.scalar("bound", bound, positive=True)
    t, weight = _gauss_legendre(120)
    x = bound * t**3  # dense near 0, where the density of a small α is steep
    mass = tail_probability(alpha, x) - tail_probability(alpha, bound)
    with np.errstate(over="ignore", invalid="ignore"):
        moment = float(np.sum(weight * 3 * t**2 * bound * p * x ** (p - 1) * mass))
    return _checks.finite("the moment", moment, "p or bound")


def tail_constant(alpha: float) -> float:
    """Return c of P(|X| > x) ~ c·x^(-α) for a standard SαS variable, 2Γ(α)sin(πα/2)/π; it vanishes as α goes to 2.

    Parameters
    ----------
    alpha : float
        Tail index, in (0, 2).

    Raises
    ------
    TypeError, ValueError
        If it is out of its range.

    Examples
    --------
    >>> import math
    >>> round(tail_constant(1.0) * math.pi, 12)  # the density of Cauchy's law is 1/(π(1 + x²))
    2.0
    """
    alpha = _arguments.index("alpha", alpha)
    if alpha == 2:
        raise ValueError("alpha is 2.0: give a tail index below 2, for the Gaussian law has no power tail")
    if alpha < _LEAST:
        return 1.0  # Γ(α) is 1/α there, to every digit
    return 2 * math.gamma(alpha) * math.sin(math.pi * alpha / 2) / math.pi


def _resolved(alpha: float) -> float:
    """Return a tail index for which the integral is accurate."""
    index = _arguments.index("alpha", alpha)
    if index < 0.1:
        raise ValueError(f"alpha is {index}: give a tail index from 0.1 to 2")
    return index


@functools.cache
def _gauss_legendre(n: int) -> tuple[Floats, Floats]:
    """Return nodes and weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2


@functools.cache
def _angles() -> tuple[Floats, Floats]:
    """Return nodes π/2 - V in (0, π/2), dense at both ends (tanh-sinh), and weights that add up to 1."""
    t = np.linspace(-4.2, 4.2, 3201)
    u = math.pi / 2 * np.sinh(t)
    weight = np.cosh(t) / np.cosh(u) ** 2
    return math.pi / 2 / (1 + np.exp(-2 * u)), weight / weight.sum()


@functools.lru_cache(maxsize=64)
def _log_factor(alpha: float) -> Floats:
    """Return log g at the nodes: given V, |X| = g(V)·W^((α-1)/α) with W exponential."""
    phi, _ = _angles()
    v = math.pi / 2 - phi
    sine = np.sin(alpha * v) if alpha <= 1 else np.sin(math.pi - alpha * v)
    cosine = np.cos((1 - alpha) * v)
    tiny = 1e-300
    return np.asarray(
        np.log(np.maximum(sine, tiny)) - np.log(np.maximum(np.sin(phi), tiny)) / alpha
        + (1 - alpha) / alpha * np.log(np.maximum(cosine, tiny))
    )  # fmt: skip


def _integral(alpha: float, log_x: float) -> float:
    """Return P(|X| > x) for α other than 1 and 2."""
    if log_x == -math.inf:
        return 1.0
    _, weight = _angles()
    power = alpha / (alpha - 1)
    with np.errstate(over="ignore"):
        w = np.exp(np.minimum(power * (log_x - _log_factor(alpha)), 700.0))
    return float(np.sum(weight * (np.exp(-w) if alpha > 1 else -np.expm1(-w))))


def _along_a_ray(alpha: float, log_x: float) -> float:
    """Return P(|X| > x) for α near 1: (2/π) Im of ∫ exp(iωx) (1 - exp(-ω^α)) dω/ω along ω = s·exp(iθ).

    The characteristic function is inverted along a path turned by θ: by a right angle for large x, where the integrand
    is positive and the result as small as its parts; by half of it for small x, where both factors must decay. In log s
    the integrand is analytic in a strip and falls off on both sides, so the plain sum converges exponentially.
    """
    if log_x in (-math.inf, math.inf):
        return 1.0 if log_x < 0 else 0.0
    theta = math.pi / 2 * min(1.0, 1 / alpha) if log_x > 0 else math.pi / 4
    log_sx = np.arange(min(log_x, 0.0) - 42 / alpha, 4.6, 0.04)  # at the lower end s^α is below rounding for every x
    log_s = log_sx - log_x
    s_x, power = np.exp(log_sx), np.exp(np.minimum(alpha * log_s, 700.0) + 1j * alpha * theta)
    terms = np.exp(1j * s_x * np.exp(1j * theta)) * -np.expm1(-power)
    return float(2 / math.pi * 0.04 * terms.imag.sum())
