"""Loss against the share removed, measured on held-out samples or predicted, and the largest share within ε.

The rule is one for predictions and measurements, for a layer and for the whole network: the largest share on the way
such that there, and at every smaller share that was tried, the loss rises by no more than ε. Between two tried shares
the rise is interpolated in the logarithm of the share kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from prunekit._checks import Floats

REMOVED = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)


@dataclass(frozen=True, eq=False)
class RiseCurve:
    """The rise of the loss at shares removed, with what is needed for its error.

    Attributes
    ----------
    removed : (m,) array
        Shares removed, increasing, without 0.
    rises : (m,) array
        The rise of the loss at each.
    parts : (m, G) array
        The rise from each of G parts of the samples alone, or without it.
    jackknife : bool
        Whether `parts` are without each part, rather than from it alone.
    """

    removed: Floats
    rises: Floats
    parts: Floats
    jackknife: bool = True

    def error(self, values: Floats) -> float:
        """Return the standard error of what has these values (G,) on the parts."""
        n = values.size
        if n < 2:
            return math.inf
        factor = (n - 1) ** 2 / n if self.jackknife else 1 / n
        return math.sqrt(factor * float(values.var(ddof=1)))

    @property
    def errors(self) -> Floats:
        """Standard errors of the rises (m,)."""
        return np.array([self.error(row) for row in self.parts])

    def within(self, epsilon: float) -> tuple[float, float]:
        """Return the largest share that can go within ε, and its standard error."""
        value = largest_within(self.removed, self.rises, epsilon)
        each = np.array([largest_within(self.removed, column, epsilon) for column in self.parts.T])
        return value, self.error(each)


def largest_within(removed: Floats, rises: Floats, epsilon: float) -> float:
    """Return the largest share up to which the rise stays within ε, interpolated in the logarithm of the share kept.

    Parameters
    ----------
    removed : (m,) array
        Shares removed, increasing, above 0 and below 1.
    rises : (m,) array
        The rise of the loss at each; at 0 it is 0.
    epsilon : float
        ε, above 0.

    Examples
    --------
    >>> largest_within(np.array([0.5, 0.9]), np.array([0.0, 0.2]), 0.3)
    0.9
    >>> round(largest_within(np.array([0.5, 0.75]), np.array([0.0, 0.2]), 0.1), 3)
    0.646
    """
    over = np.flatnonzero(rises > epsilon)
    if over.size == 0:
        return float(removed[-1])
    at = int(over[0])
    before, low = (removed[at - 1], rises[at - 1]) if at else (0.0, 0.0)
    part = (epsilon - low) / (rises[at] - low)
    kept = (1 - part) * math.log1p(-before) + part * math.log1p(-removed[at])
    return float(-math.expm1(kept))


def sought(rise: Callable[[float], Floats], epsilon: float, shares: Sequence[float] = REMOVED) -> RiseCurve:
    """Return a curve near where it crosses ε, from few evaluations: a rising search over a grid.

    Every second share is tried from the smallest on, until the rise exceeds ε clearly; then the share before.

    Parameters
    ----------
    rise : callable
        Share removed -> (1 + G,) array: the rise, and that of the parts.
    epsilon : float
        ε.
    shares : sequence of float
        The grid, increasing.
    """
    seen: dict[float, Floats] = {}
    for at in range(0, len(shares), 2):
        seen[shares[at]] = rise(shares[at])
        if seen[shares[at]][0] > epsilon:
            if at:
                seen[shares[at - 1]] = rise(shares[at - 1])
            break
    else:
        if shares[-1] not in seen:
            seen[shares[-1]] = rise(shares[-1])
    removed = np.array(sorted(seen))
    rows = np.array([seen[share] for share in removed])
    return RiseCurve(removed, rows[:, 0], rows[:, 1:])
