"""Moments of Gaussians on intervals of the line, to double precision in the tails and in narrow cells."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from prunekit import _checks
from prunekit._checks import Floats

_CHUNK = 4_000_000  # numbers held at once
_SQRT_2PI = float(np.sqrt(2 * np.pi))


def interval_moments(mean: Any, sd: Any, low: Any, high: Any, about: Any = 0.0) -> tuple[Floats, Floats, Floats]:
    """Return E[(X - about)^j 1(low < X <= high)] for X ~ N(mean, sd²) and j = 0, 1, 2.

    With a = (low-mean)/sd, b = (high-mean)/sd and d = mean - about they are P = Φ(b) - Φ(a), computed in the nearer
    tail; d P + sd (φ(a) - φ(b)); and d² P + 2 d sd (φ(a) - φ(b)) + sd² (P + aφ(a) - bφ(b)). In narrow intervals these
    terms cancel, and Gauss-Legendre quadrature of the density is used instead.

    Parameters
    ----------
    mean, sd, low, high, about : float or (p,) arrays
        Parameters of the Gaussians, ends of the intervals (infinite ones allowed, low <= high), centres of
        the moments. For sd = 0 the variable is its mean.

    Returns
    -------
    tuple of three arrays
        The moments of order 0, 1 and 2, of the arguments' common shape; they are numbers if all arguments are.

    Raises
    ------
    ValueError
        For NaN, a negative sd, an infinite mean, sd or centre, low > high.
    """
    given = {"mean": mean, "sd": sd, "low": low, "high": high, "about": about}
    mean, sd, low, high, about = (_checks.numbers(name, value) for name, value in given.items())
    _checks.together(mean=mean, sd=sd, low=low, high=high, about=about)
    if np.any(sd < 0) or not np.all(np.isfinite(sd + np.abs(mean) + np.abs(about))):
        raise ValueError(
            "sd is negative, or one of mean, sd, about is infinite: give finite ones, and sd of at least 0"
        )
    if np.any(low > high):
        raise ValueError("low is above high: give low <= high")
    with np.errstate(over="ignore", invalid="ignore"):
        moments = moments_between(edge(mean, sd, low), edge(mean, sd, high), sd, mean - about)
    mean, sd, low, high, about = np.broadcast_arrays(mean, sd, low, high, about)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        width = (high - low) / sd
        steepness = np.maximum(np.abs(low - mean), np.abs(high - mean)) / sd * width
    narrow = (sd > 0) & (width <= 1) & (steepness <= 20)
    corrected = [np.array(np.broadcast_to(moment, narrow.shape)) for moment in moments]
    places = np.flatnonzero(narrow)
    chosen = [np.ravel(x)[places] for x in (mean, sd, low, high, about)]
    size = _CHUNK // 400  # 40 nodes of each interval, in several arrays
    for first in range(0, places.size, size):
        part = slice(first, first + size)
        for moment, values in zip(corrected, _moments_by_quadrature(*(x[part] for x in chosen)), strict=True):
            moment.flat[places[part]] = values
    for order, moment in enumerate(corrected):
        _checks.finite(f"the moment of order {order}", moment, "mean, sd, low, high and about")
    return corrected[0][()], corrected[1][()], corrected[2][()]


def _moments_by_quadrature(
    mean: Floats, sd: Floats, low: Floats, high: Floats, about: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the moments (m,) of narrow intervals: sums of terms of one sign, if the centre is outside or at an end.

    40 nodes resolve a density that falls by a factor e^20 across the interval to every digit.
    """
    nodes, weights = np.polynomial.legendre.leggauss(40)
    step = np.multiply.outer(high - low, (nodes + 1) / 2)
    mass = density(((low - mean)[:, None] + step) / sd[:, None]) * weights / 2 * ((high - low) / sd)[:, None]
    offset = (low - about)[:, None] + step
    return mass.sum(axis=1), (mass * offset).sum(axis=1), (mass * offset**2).sum(axis=1)


class Edge(NamedTuple):
    """A bound x of an interval, as the Gaussians N(mean, sd²) see it."""

    z: Any  # (x - mean)/sd
    below: Any  # P(X <= x)
    above: Any  # P(X > x), not as 1 - below
    density: Any  # φ(z)


def edge(mean: Any, sd: Any, x: Any) -> Edge:
    """Return what the moments of intervals that begin or end at x need."""
    if np.ndim(x) == 0 and np.isinf(x):
        return Edge(100.0, 1.0, 0.0, 0.0) if x > 0 else Edge(-100.0, 0.0, 1.0, 0.0)
    z = _standardize(mean, sd, x)
    return Edge(z, ndtr(z), ndtr(-z), density(z))


def probability_between(low: Edge, high: Edge) -> Floats:
    """Return P(low < X <= high), as a difference of the tails on the side where they are small."""
    return np.where(np.greater(low.z, 0), low.above - high.above, high.below - low.below)


def moments_between(low: Edge, high: Edge, sd: Any, shift: Any) -> tuple[Floats, Floats, Floats]:
    """Return the moments of order 0, 1, 2 of X between two edges, about the point `shift` below its mean."""
    probability = probability_between(low, high)
    spread = sd * (low.density - high.density)
    second = sd**2 * (probability + low.z * low.density - high.z * high.density)
    moment = shift**2 * probability + 2 * shift * spread + second
    return probability, shift * probability + spread, np.maximum(moment, 0.0)


def _standardize(mean: Any, sd: Any, x: Any) -> Floats:
    """Return (x - mean)/sd, clipped where the normal distribution is 0 or 1 to every digit."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = np.maximum(np.minimum(np.subtract(x, mean) / sd, 100.0), -100.0)
    # 0/0: a coordinate that does not vary and sits at x is not above it.
    return np.where(np.isnan(z), 100.0, z) if np.isnan(np.sum(z)) else z


def density(z: Floats) -> Floats:
    """Return the standard normal density."""
    return np.exp(-0.5 * z * z) / _SQRT_2PI


def outside(mean: Any, sd: Any, limit: Any) -> Floats:
    """Return P(|X| > limit)."""
    return ndtr(-_standardize(np.negative(mean), sd, limit)) + ndtr(-_standardize(mean, sd, limit))
