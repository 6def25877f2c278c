"""How fast errors fall with the size of a layer: slopes of logarithms, with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit.statistics import Estimate, mean_and_error


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
    held = [_checks.vector("samples", each) for each in _checks.listed("samples", samples, "arrays of repetitions")]
    at = _checks.vector("x", x, len(held), like="samples")
    if min(at.min(), *(each.min() for each in held)) <= 0 or at.min() == at.max():
        raise ValueError("x or samples cannot be drawn by logarithms: give numbers above 0, at two values of x or more")
    mean, error = np.transpose([mean_and_error(np.log(each)) for each in held])
    weight = np.array([len(each) for each in held])
    t = np.log(at) - np.average(np.log(at), weights=weight)
    pull = weight * t / np.sum(weight * t**2)
    return Estimate(float(pull @ mean), float(np.sqrt(pull**2 @ error**2)))
