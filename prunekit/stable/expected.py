"""What the tail-index estimator gives on average: α for stable laws, another number for every other law.

The estimator measures how the typical size of a sum grows from one term to K of them. For a symmetric law with the
characteristic function φ that growth is one integral. A stable law has the same answer for every K.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.stable import _arguments

Characteristic = Callable[[Floats], Floats]

_LEAST, _MOST, _NODES = 1e-7, 1e5, 6001  # frequencies of the integral, evenly spaced in their logarithm
_RESOLVED = 1e-3  # how far from 1, and from 0, characteristic functions may be at the ends


def expected_index(characteristic: Characteristic, block: int) -> float:
    """Return what the estimator with blocks of K estimates for a symmetric law: 1 over the mean of 1/α̂.

    Parameters
    ----------
    characteristic : callable
        Real characteristic function φ of frequencies (m,), of a law whose scale is about 1.
    block : int
        Block size K, from 2 to a million.

    Returns
    -------
    float
        α for an α-stable law; at most 2 in the limit K → ∞ for every law with a variance.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or φ^K is not 1 at frequency 1e-7 or φ not 0 at 1e5, as for a law on
        another scale or with an atom.

    Notes
    -----
    E log|X| = ∫ (1{ω<1} - φ(ω)) dω/ω - γ with Euler's γ, so that the mean of 1/α̂ of Mohammadi, Mohammadpour and Ogata
    (2015), Corollary 2.4, is ∫ (φ - φ^K) dω/ω / log K.

    Examples
    --------
    >>> round(expected_index(lambda w: np.exp(-np.abs(w) ** 1.5), 100), 6)
    1.5
    """
    block = _checks.count("block", block, 2, 10**6)
    _checks.function("characteristic", characteristic, "a function of frequencies")
    log_w = np.linspace(math.log(_LEAST), math.log(_MOST), _NODES)
    value = _checks.vector("what characteristic returns", characteristic(np.exp(log_w)), _NODES)
    sums = value**block
    if abs(sums[0] - 1) > _RESOLVED or abs(value[-1]) > _RESOLVED:
        raise ValueError(
            f"characteristic goes from {value[0]:.3g} at frequency {_LEAST:g} to {value[-1]:.3g} at {_MOST:g}: give "
            "that of a law without atoms, rescaled so that its typical value is about 1"
        )
    integral = np.sum(value - sums) * (log_w[1] - log_w[0])
    return float(math.log(block) / integral)


def spread_of_inverse(alpha: float, rows: int, block: int) -> float:
    """Return the standard deviation of 1/α̂ for independent scalar α-stable draws, to first order.

    Parameters
    ----------
    alpha : float
        Tail index, in (0, 2].
    rows : int
        Number of draws, at least 4.
    block : int
        Block size K, from 2 to half the rows.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Notes
    -----
    Nearly all of it is the spread of the logarithms of the sums, whose variance is π²(1/α² + 1/2)/6 each.
    """
    alpha, rows = _arguments.index("alpha", alpha), _checks.count("rows", rows, 4)
    block = _checks.count("block", block, 2, rows // 2, high_is="half the rows")
    of_one = _checks.finite("the spread", math.hypot(1 / alpha, math.sqrt(0.5)), "alpha: it is too close to 0")
    return math.pi / math.log(block) * of_one / math.sqrt(6 * (rows // block))


def normal_mixture(scales: ArrayLike, weights: ArrayLike) -> Characteristic:
    """Return the characteristic function of Gaussians of different scales, mixed.

    Parameters
    ----------
    scales : (m,) array
        Standard deviations, above 0.
    weights : (m,) array
        Probabilities, of sum 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    scale = _checks.vector("scales", scales)
    weight = _checks.nonnegative_vector("weights", weights, len(scale), like="scales")
    if (scale <= 0).any():
        raise ValueError(f"scales holds {scale.min()}: give standard deviations above 0")
    if abs(weight.sum() - 1) > 1e-9:
        raise ValueError(f"weights sum to {weight.sum():g}: give probabilities, of sum 1")

    def characteristic(w: Floats) -> Floats:
        return np.asarray(np.exp(-((np.outer(w, scale)) ** 2) / 2) @ weight)

    return characteristic


def student(freedom: float) -> Characteristic:
    """Return the characteristic function of Student's t: 2 (z/2)^(ν/2) K_{ν/2}(z) / Γ(ν/2) at z = √ν|ω|.

    Parameters
    ----------
    freedom : float
        Degrees of freedom ν, above 0 and at most 300. The law's tail index is ν.

    Raises
    ------
    TypeError, ValueError
        If `freedom` is out of its range.
    """
    freedom = _checks.scalar("freedom", freedom, positive=True)
    if freedom > 300:
        raise ValueError(f"freedom is {freedom}: give at most 300, above which the law is Gaussian to a percent")

    def characteristic(w: Floats) -> Floats:
        from scipy.special import kv

        z = math.sqrt(freedom) * np.abs(w)
        with np.errstate(invalid="ignore", over="ignore"):
            value = kv(freedom / 2, z) * (z / 2) ** (freedom / 2) * 2 / math.gamma(freedom / 2)
        return np.asarray(np.where(z < 1e-8, 1.0, np.nan_to_num(value)))

    return characteristic
