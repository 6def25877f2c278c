"""Where a cost that falls to 0, though not steadily, is above a level for the last time, from few evaluations.

A one-shot cost ½ cᵀHc rises and falls as weights are kept one by one, mostly along a few directions of large curvature.
What lies along eigenvectors that are known is known for every k at once; the rest, over R², drifts slowly in log R².
Between the places where it was evaluated that drift is taken for a random walk tied down at both ends, whose size is
estimated from how far each new evaluation was from what the others had led to expect. So there is a doubt at every k,
and the next evaluation is made where it matters most for the last crossing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prunekit._checks import Floats
from prunekit.statistics import ProbedEstimate

_LEAST, _MOST = 4, 32  # evaluations: so many before the size of the drift is believed, and so many in all


class Curve:
    """A cost in units of the level, at k = 0 … D, as far as it is known.

    Parameters
    ----------
    known : (D + 1,) array
        What is known of the cost at every k.
    squares : (D + 1,) array
        R², the squared length of what is removed, falling to 0; where it is 0, so is the cost.
    cost : callable
        k -> the cost, with the error of its quadrature; two errors hold the truth.

    Attributes
    ----------
    seen : dict
        The cost at each k where it was evaluated.
    """

    def __init__(self, known: Floats, squares: Floats, cost: Callable[[int], ProbedEstimate]) -> None:
        self._known, self._squares, self._cost = known, squares, cost
        self._some = int(np.count_nonzero(squares))  # k below which something is removed
        with np.errstate(divide="ignore"):
            self._places = -np.log(squares)  # increasing in k
        self.seen: dict[int, ProbedEstimate] = {}
        self._surprises: list[float] = []

    def last(self, resolution: float) -> tuple[int, int, int]:
        """Return the least k from which on the cost is at most 1, and the least and the largest that it may be.

        Evaluations end where the two are no farther apart than one, or `resolution` times the first, or after `_MOST`.
        """
        self._evaluate(0, self._known)
        while True:
            value, doubt = self._told()
            kept, least, most = _around(value, doubt)
            done = len(self.seen) >= _LEAST and most - least <= max(1.0, resolution * kept)
            if done or len(self.seen) >= min(_MOST, self._some):
                break
            self._evaluate(self._next(value, doubt, least), value)
        return self._blurred(value, doubt)

    def _next(self, value: Floats, doubt: Floats, least: int) -> int:
        """Return a place that is not evaluated yet: where the doubt is largest beside the distance from the level."""
        worth = doubt - np.abs(value - 1)
        worth[: max(least - 1, 0)] = -np.inf  # the last crossing lies above these
        worth[self._some :] = -np.inf
        worth[list(self.seen)] = -np.inf
        place = int(np.argmax(worth))
        if np.isneginf(worth[place]):  # all places that matter have been evaluated
            free = np.setdiff1d(np.arange(self._some), list(self.seen))
            place = int(free[np.argmin(np.abs(free - least))])
        return place

    def _evaluate(self, k: int, value: Floats) -> None:
        """Evaluate the cost at k, and note how far it is from what was expected, in steps of the walk."""
        self.seen[k] = cost = self._cost(k)
        if len(self.seen) > 1:
            before = sorted(j for j in self.seen if j != k)
            length = float(_lengths(self._places[[k]], self._places[before])[0])
            self._surprises.append(((cost.value - value[k]) / self._squares[k]) ** 2 / max(length, 1e-12))

    def _told(self) -> tuple[Floats, Floats]:
        """Return what the cost is taken to be at every k (D + 1,), and by how much it may differ."""
        at = sorted(self.seen)
        places, some = self._places[at], slice(self._some)
        rest = np.array([(self.seen[k].value - self._known[k]) / self._squares[k] for k in at])
        value, doubt = np.zeros_like(self._known), np.zeros_like(self._known)
        value[some] = self._known[some] + self._squares[some] * np.interp(self._places[some], places, rest)
        step = np.sqrt(np.mean(self._surprises)) if self._surprises else np.abs(rest[0])
        doubt[some] = 2 * step * self._squares[some] * np.sqrt(_lengths(self._places[some], places))
        return value, doubt

    def _blurred(self, value: Floats, doubt: Floats) -> tuple[int, int, int]:
        """Return the crossing, and where else it may be because of what the quadratures may be off by."""
        at, some = sorted(self.seen), slice(self._some)
        errors = [2 * self.seen[k].quadrature / self._squares[k] for k in at]
        blur = np.zeros_like(value)
        blur[some] = self._squares[some] * np.interp(self._places[some], self._places[at], errors)
        return _around(value, doubt + blur)


def _around(value: Floats, doubt: Floats) -> tuple[int, int, int]:
    """Return the last crossing of a cost (D + 1,), and the least and the largest that it may be."""
    return _after(value), _after(value - doubt), _after(value + doubt)


def _after(cost: Floats) -> int:
    """Return the least k from which on the cost (D + 1,) is at most 1."""
    above = np.flatnonzero(cost > 1)
    return int(above[-1]) + 1 if above.size else 0


def _lengths(places: Floats, ends: Floats) -> Floats:
    """Return the variances (n,) of a walk of unit steps at some places, known at increasing ends (m,)."""
    after = np.searchsorted(ends, places)
    left = places - ends[np.maximum(after - 1, 0)]
    right = ends[np.minimum(after, ends.size - 1)] - places
    inside = (after > 0) & (after < ends.size)
    whole = np.where(inside, left + right, 1.0)
    return np.asarray(np.where(inside, left * right / whole, np.where(after == 0, right, left)))
