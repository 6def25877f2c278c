"""Statements about many points at once: the point that decides, with its error, as `check` takes it.

A figure's claim is about a curve, measured at many points. A statement about every point holds if each point's interval
lies inside the margin and fails if one lies outside; a statement about some point holds if one interval lies inside.
The three functions pick the point on which that hangs, by the rule of `prunekit.book.verdicts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.book import verdicts
from prunekit.statistics import mean_and_error

_FIELDS = {"measured", "error", "repetitions", "margin", "expected", "relation"}


def at_every(
    samples: ArrayLike, *, margin: float, expected: float = 0.0, relation: str = "equal", least_error: float = 0.0
) -> dict[str, Any]:
    """Return the arguments of `check` for a statement about every point: those of the worst one.

    Parameters
    ----------
    samples : (repetitions, points) array
        The quantity at each point, from independent repetitions; of one dimension where there is a single point.
    margin, expected, relation
        What `check` is to be given, returned along.
    least_error : float
        What a standard error counts at least, such as the resolution of the measurement.

    Returns
    -------
    dict
        ``measured``, ``error``, ``repetitions``, ``margin``, ``expected`` and ``relation``.

    Examples
    --------
    >>> gaps = [[0.01, 0.30], [0.02, 0.31], [0.00, 0.29], [0.01, 0.30]]
    >>> worst = at_every(gaps, margin=0.1)
    >>> round(worst["measured"], 3), worst["repetitions"]
    (0.3, 4)
    """
    given = _given(margin, expected, relation)
    mean, error, low, high, count = _intervals(samples, given, least_error)
    at = low.argmax() if low.max() > 0 else high.argmax()
    return _chosen(mean, error, at, count) | given


def at_some(
    samples: ArrayLike, *, margin: float, expected: float = 0.0, relation: str = "equal", least_error: float = 0.0
) -> dict[str, Any]:
    """Return the arguments of `check` for a statement about some point: those of the best one.

    Parameters
    ----------
    samples, margin, expected, relation, least_error
        As for `at_every`.

    Returns
    -------
    dict
        As `at_every` does.

    Examples
    --------
    >>> rises = [[0.01, 0.30], [0.02, 0.31], [0.00, 0.29], [0.01, 0.30]]
    >>> round(at_some(rises, margin=0.0, relation="at least")["measured"], 3)
    0.3
    """
    given = _given(margin, expected, relation)
    mean, error, low, high, count = _intervals(samples, given, least_error)
    at = high.argmin() if high.min() <= 0 else low.argmin()
    return _chosen(mean, error, at, count) | given


def weakest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the arguments of `check` for several parts that must all hold: those of the part that decides.

    Parameters
    ----------
    rows : list of dict
        What `at_every` and `at_some` returned for each part.
    """
    rows = _checks.listed("rows", rows, "what at_every and at_some return")
    if not rows:
        raise ValueError("rows is empty: give the arguments of one part at least")
    for row in rows:
        if not isinstance(row, Mapping) or not set(row) >= _FIELDS:
            raise TypeError(f"rows holds {_checks.shown(row)}: give what at_every and at_some return")
    spans = [(verdicts.beyond(row, row["expected"]), verdicts.half_width(row)) for row in rows]
    low = [excess - half for excess, half in spans]
    high = [excess + half for excess, half in spans]
    return rows[int(np.argmax(low)) if max(low) > 0 else int(np.argmax(high))]


def _given(margin: float, expected: float, relation: str) -> dict[str, Any]:
    """Return what a check is to be given, refusing what it would refuse."""
    return {
        "margin": _checks.scalar("margin", margin),
        "expected": _checks.real("expected", expected),
        "relation": _checks.choice("relation", relation, tuple(verdicts.RELATIONS)),
    }


def _intervals(
    samples: ArrayLike, given: dict[str, Any], least_error: float
) -> tuple[Floats, Floats, Floats, Floats, int]:
    """Return means and errors of all points, both ends of how far each lies beyond the margin, and the repetitions."""
    values = _checks.array("samples", samples, ndim=(1, 2))
    if len(values) < 2 or values.size == 0:
        raise ValueError(f"samples has shape {values.shape}: give at least two repetitions of at least one point")
    mean, error = mean_and_error(values.reshape(len(values), -1))
    error = np.maximum(error, _checks.scalar("least_error", least_error))
    excess = np.array([verdicts.beyond({"measured": float(x), **given}, given["expected"]) for x in mean])
    half = verdicts.quantile(len(values)) * error
    return mean, error, excess - half, excess + half, len(values)


def _chosen(mean: Floats, error: Floats, at: Any, count: int) -> dict[str, Any]:
    return {"measured": float(mean[at]), "error": float(error[at]), "repetitions": count}
