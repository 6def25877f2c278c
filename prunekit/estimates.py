"""A measured number and its standard error."""

from __future__ import annotations

import math
from typing import NamedTuple

from numpy.typing import ArrayLike

from prunekit import _checks


class Estimate(NamedTuple):
    """A number and its standard error: 0 for one that is exact, infinite for a single draw."""

    value: float
    error: float


def mean(draws: ArrayLike) -> Estimate:
    """Return the mean of independent draws (n,) and its standard error, infinite where there is one draw.

    Raises
    ------
    ValueError
        If there is no draw, or one is not finite.
    """
    found = _checks.vector("draws", draws)
    error = float(found.std(ddof=1)) / math.sqrt(found.size) if found.size > 1 else math.inf
    return Estimate(float(found.mean()), error)
