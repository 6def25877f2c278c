"""How fast errors fall with the size of a layer: slopes against its logarithm, with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.statistics import Estimate, mean_and_error, median_and_error


def log_log_slope(x: ArrayLike, samples: Sequence[ArrayLike]) -> Estimate:
    """Return the slope of log samples against log x.

    Every repetition counts alike: weights by the spread at each x would favour an x where it happened to be small.

    Parameters
    ----------
    x : (m,) array
        Sizes above 0, with at least two different values.
    samples : sequence of m arrays
        Independent repetitions at each x, above 0.

    Raises
    ------
    ValueError
        If a number is not above 0, all x are one, or there are fewer than two repetitions.
    """
    log_x, held = _held(x, samples)
    if min(each.min() for each in held) <= 0:
        raise ValueError("samples cannot be drawn by logarithms: give numbers above 0")
    return _slope(log_x, [len(each) for each in held], [mean_and_error(np.log(each)) for each in held])


def growth_of_median(x: ArrayLike, samples: Sequence[ArrayLike]) -> Estimate:
    """Return how much the median of samples grows with each factor e of x.

    The median has a limit where the mean need not have one, as that of an error to the power -α at p = α.

    Parameters
    ----------
    x : (m,) array
        Sizes above 0, with at least two different values.
    samples : sequence of m arrays
        Independent repetitions at each x, at least 4.

    Raises
    ------
    ValueError
        If an x is not above 0, all x are one, or there are fewer than four repetitions.

    Examples
    --------
    >>> growth_of_median([1, np.e], [[1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 4.0, 5.0]]).value
    1.0
    """
    log_x, held = _held(x, samples)
    return _slope(log_x, [len(each) for each in held], [median_and_error(each) for each in held])


def _held(x: ArrayLike, samples: Sequence[ArrayLike]) -> tuple[Floats, list[Floats]]:
    """Return the logarithms of x, and the samples at each."""
    held = [_checks.vector("samples", each) for each in _checks.listed("samples", samples, "arrays of repetitions")]
    at = _checks.vector("x", x, len(held), like="samples")
    if at.min() <= 0 or at.min() == at.max():
        raise ValueError("x cannot be drawn by logarithms: give numbers above 0, two different ones or more")
    return np.log(at), held


def _slope(log_x: Floats, repetitions: Sequence[int], points: Sequence[tuple[Floats, Floats]]) -> Estimate:
    """Return the slope of points with errors, each repetition counting alike."""
    value, error = np.transpose(np.array(points))
    weight = np.array(repetitions)
    t = log_x - np.average(log_x, weights=weight)
    pull = weight * t / np.sum(weight * t**2)
    return Estimate(float(pull @ value), float(np.sqrt(pull**2 @ error**2)))
