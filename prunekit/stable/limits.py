"""What theory predicts for the pruning error of d independent SαS weights, as a number and not only as a limit.

Prune the weights below the quantile q that leaves the share κ. What is lost is close to d·m, m = E|X|^p 1{|X| ≤ q}, by
the law of large numbers. The whole, Σ|Xᵢ|^p, is heavy-tailed for p > α: divided by (c·d)^(p/α), c the tail constant, it
tends to a positive (α/p)-stable variable S, E exp(-sS) = exp(-Γ(1-α/p)s^(α/p)). So the relative error behaves as

    ε = (m / S)^(1/p) · c^(-1/α) · d^(1/p - 1/α).

That is the rate behind barsbey, Theorem 1, which states none. At p = 2 it is right from a hundred weights on:
E exp(-sX²) = E exp(-(2s)^(α/2)|G|^α), G ~ N(0, 1), has no term linear in s, so that the whole is stable up to a
relative error of order 1/d. Elsewhere that error is of order d^(1-p/α), which is slow for p just above α.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.stable import _arguments
from prunekit.stable.distribution import magnitude_quantile, tail_constant, truncated_moment
from prunekit.stable.sampling import log_kanter


def limit_error(alpha: float, d: float, kept: float, p: float = 2.0, quantile: float = 0.5) -> float:
    """Return a quantile of the relative ℓp error of magnitude pruning of d weights.

    Parameters
    ----------
    alpha : float
        Tail index, in [0.1, 2].
    d : float
        Number of weights.
    kept : float
        Share κ of weights kept, in (0, 1).
    p : float
        Order of the norm, above α; at α = 2 any, and then the error depends neither on d nor on `quantile`.
    quantile : float
        Which quantile, in (0, 1); 0.5 for the median.

    Returns
    -------
    float
        The error; it is above 1 where d is too small for the approximation.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> round(limit_error(1.2, 10**6, 0.1), 3), round(limit_error(2.0, 10**6, 0.1), 3)
    (0.012, 0.749)
    """
    d, p, alpha = _checks.scalar("d", d, positive=True), _arguments.order("p", p), _index(alpha)
    kept, quantile = _checks.probability("kept", kept), _checks.probability("quantile", quantile)
    with _checks.in_range("the error", "alpha, d, kept or p"):
        if alpha == 2:
            return _gaussian_error(kept, p)
        error = _of_one(_error_of_one, alpha, kept, p, quantile) * d ** (1 / p - 1 / alpha)
        return _checks.finite("the error", error, "alpha, d, kept or p")


def _of_one(
    error: Callable[[float, float, float, float], float],
    alpha: float,
    kept: float,
    p: float,
    quantile: float,
    called: str = "quantile",
) -> float:
    """Return an error at d = 1; where the functions of the laws give up, say so in terms of the caller's arguments."""
    least = 1e-15
    for name, value in (("kept", kept), (called, quantile)):
        if not least < value < 1 - least:
            raise FloatingPointError(
                f"{name} is {value}: give one farther from 0 and 1, which double precision resolves"
            )
    try:
        return error(alpha, kept, p, quantile)
    except FloatingPointError as reason:
        raise FloatingPointError(f"{reason}: give a larger alpha, a smaller p, or another kept or quantile") from None


def _index(alpha: Any) -> float:
    """Return a tail index for which the approximation is worked out."""
    index = _arguments.index("alpha", alpha)
    if index < 0.1:
        raise ValueError(f"alpha is {index}: give a tail index from 0.1 to 2")
    return index


def borderline_growth(alpha: float, kept: float) -> float:
    """Return how much ε^(-α) grows with each factor e of the number of weights at p = α, where ε vanishes this slowly.

    The powers |Xᵢ|^α have the tail c/y, so that their sum over d weights is d·(c·log d + O(1)), while those that are
    removed add up to d·m, m = E|X|^α 1{|X| ≤ q}: ε^(-α) is their ratio, and grows by c/m.

    Parameters
    ----------
    alpha : float
        Tail index, in [0.1, 2), and the order of the norm.
    kept : float
        Share κ of weights kept, in (0, 1).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> round(borderline_growth(1.5, 0.1), 3)
    0.366
    """
    alpha, kept = _index(alpha), _checks.probability("kept", kept)
    if alpha == 2:
        raise ValueError("alpha is 2: give a tail index below 2, since at 2 the error does not vanish")
    with _checks.in_range("the growth", "alpha or kept"):
        return tail_constant(alpha) / truncated_moment(alpha, alpha, magnitude_quantile(alpha, kept))


def dimension_needed(alpha: float, kept: float, error: float, p: float = 2.0, probability: float = 0.5) -> float:
    """Return the number of weights from which the relative ℓp error is at most `error` with that probability.

    Parameters
    ----------
    alpha, kept, p
        As for `limit_error`, α below 2.
    error : float
        Relative error wanted, above 0.
    probability : float
        The probability, in (0, 1).

    Returns
    -------
    float
        The number of weights; infinite beyond double precision, about 1e308. Below a hundred the approximation does
        not hold.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    error, p, alpha = _checks.scalar("error", error, positive=True), _arguments.order("p", p), _index(alpha)
    kept, probability = _checks.probability("kept", kept), _checks.probability("probability", probability)
    with _checks.in_range("the number of weights", "alpha, kept, error or p"):
        return _needed(alpha, kept, error, p, probability)


def _needed(alpha: float, kept: float, error: float, p: float, probability: float) -> float:
    """Return what `dimension_needed` does."""
    log_d = math.log(_of_one(_error_of_one, alpha, kept, p, probability, "probability") / error) / (1 / alpha - 1 / p)
    return math.exp(log_d) if log_d < 709 else math.inf


def share_needed(alpha: float, d: float, error: float, p: float = 2.0) -> float:
    """Return the share of weights with which the median relative ℓp error is `error`.

    Parameters
    ----------
    alpha, d, p
        As for `limit_error`.
    error : float
        The error, above 0; an error of 0, or one very close to it, would need every weight.

    Returns
    -------
    float
        The share, from 1e-6 (or less) to 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    from scipy.optimize import brentq

    error, d, alpha = (
        _checks.scalar("error", error, positive=True),
        _checks.scalar("d", d, positive=True),
        _index(alpha),
    )
    p = _arguments.order("p", p)

    def gap(log_share: float) -> float:
        return limit_error(alpha, d, math.exp(log_share), p) - error

    low, high = math.log(1e-6), math.log(1 - 1e-6)
    if gap(low) <= 0:
        return math.exp(low)
    return 1.0 if gap(high) >= 0 else math.exp(brentq(gap, low, high, xtol=1e-8))


@functools.lru_cache(maxsize=1024)
def _error_of_one(alpha: float, kept: float, p: float, quantile: float) -> float:
    """Return ε at d = 1, for p above α."""
    c = tail_constant(alpha)
    if p <= alpha:
        raise ValueError(f"p is {p}: give an order above alpha = {alpha}")
    bulk = truncated_moment(alpha, p, magnitude_quantile(alpha, kept))
    whole = positive_quantile(alpha / p, 1 - quantile) * math.gamma(1 - alpha / p) ** (p / alpha)
    return float((bulk / whole) ** (1 / p) * c ** (-1 / alpha))


def limit_column_error(alpha: float, columns: float, kept: float, p: float = 2.0, quantile: float = 0.5) -> float:
    """Return a quantile of the relative ℓp error of column pruning for long columns, in the limit of many columns.

    The p-th powers of the column norms are nearly positive (α/p)-stable themselves, so their number takes the place of
    the number of weights: ε^p = E[S; S ≤ q]/S · columns^(1 - p/α).

    Parameters
    ----------
    alpha, kept, p, quantile
        As for `limit_error`; `kept` is the share of columns.
    columns : float
        Number of columns, h_{l-1} of barsbey, Theorem 3.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    columns, p = _checks.scalar("columns", columns, positive=True), _arguments.order("p", p)
    kept, quantile = _checks.probability("kept", kept), _checks.probability("quantile", quantile)
    alpha = _arguments.index("alpha", alpha)
    with _checks.in_range("the error", "alpha, columns, kept or p"):
        error = _of_one(_error_of_one_column, alpha, kept, p, quantile) * columns ** (1 / p - 1 / alpha)
        return _checks.finite("the error", error, "alpha, columns, kept or p")


@functools.lru_cache(maxsize=1024)
def _error_of_one_column(alpha: float, kept: float, p: float, quantile: float) -> float:
    """Return ε for one column, for p above α."""
    a = alpha / p
    if a >= 1:
        raise ValueError(f"p is {p}: give an order above alpha = {alpha}")
    x = positive_quantile(a, 1 - kept)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    t = (nodes + 1) / 2 * x
    mass = np.array([positive_cdf(a, x) - positive_cdf(a, v) for v in t])
    lost = float(np.sum(weights / 2 * x * mass))  # E[S; S ≤ x] by parts
    return float((lost / positive_quantile(a, 1 - quantile)) ** (1 / p))


def positive_cdf(a: float, x: float) -> float:
    """Return P(A ≤ x) for the positive a-stable A with E exp(-sA) = exp(-s^a), by Kanter's formula.

    Parameters
    ----------
    a : float
        Index of the law, in (0, 1).
    x : float
        Where it is evaluated, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> from math import erfc
    >>> abs(positive_cdf(0.5, 0.7) - erfc(1 / (2 * 0.7**0.5))) < 1e-12  # Lévy's law
    True
    """
    a, x = _checks.scalar("a", a, positive=True), _checks.scalar("x", x, positive=True)
    if a >= 1:
        raise ValueError(f"a is {a}: give an index above 0 and below 1")
    weight, log_b = _kanter_nodes(a)
    with np.errstate(over="ignore"):
        exponent = np.exp(np.minimum(log_b - a / (1 - a) * math.log(x), 700.0))
    return float(np.sum(weight * np.exp(-exponent)))


@functools.lru_cache(maxsize=64)
def _kanter_nodes(a: float) -> tuple[Floats, Floats]:
    t = np.linspace(-4.0, 4.0, 801)
    s = math.pi / 2 * np.sinh(t)
    weight = np.cosh(t) / np.cosh(s) ** 2
    u = math.pi / (1 + np.exp(-2 * s))
    return weight / weight.sum(), log_kanter(a, u)


def positive_quantile(a: float, probability: float) -> float:
    """Return the x with P(A ≤ x) = `probability` for the A of `positive_cdf`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    from scipy.optimize import brentq

    a, probability = _checks.probability("a", a), _checks.probability("probability", probability)

    def gap(v: float) -> float:
        return positive_cdf(a, math.exp(v)) - probability

    low, high = max(-30 / a, -700.0), min(80 / a, 700.0)
    if gap(low) > 0 or gap(high) < 0:
        raise FloatingPointError(f"the quantile of a = {a} at probability = {probability} leaves double precision")
    return math.exp(brentq(gap, low, high, xtol=1e-12))


def _gaussian_error(kept: float, p: float) -> float:
    """Return the relative ℓp error of a large Gaussian vector."""
    whole = 2**p * math.gamma((p + 1) / 2) / math.sqrt(math.pi)  # E|X|^p for X ~ N(0, 2)
    return (truncated_moment(2.0, p, magnitude_quantile(2.0, kept)) / whole) ** (1 / p)
