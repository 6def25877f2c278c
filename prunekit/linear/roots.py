"""Roots of increasing functions of one variable, many at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prunekit._checks import Floats

_EPS = float(np.finfo(np.float64).eps)
_REACH = 8.0  # e-folds a root search may move before it has a bracket


def increasing_root(function: Callable[[Floats], tuple[Floats, Floats]], start: Floats) -> Floats:
    """Return the roots of m increasing functions of one variable: Newton's steps, kept within a shrinking bracket.

    `function` maps m arguments to m values and m slopes.
    """
    x = np.array(start, dtype=np.float64)
    low, high, last = np.full(x.shape, -np.inf), np.full(x.shape, np.inf), np.full(x.shape, np.inf)
    for _ in range(300):
        value, slope = function(x)
        low, high = np.where(value <= 0, x, low), np.where(value >= 0, x, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = np.where(slope > 0, -value / slope, -np.sign(value) * _REACH)
            step = np.clip(step, -_REACH, _REACH)
            middle = low + (high - low) / 2
            bracketed = np.isfinite(middle)
            stray = (x + step <= low) | (x + step >= high) | (np.abs(step) > last / 2)
        new = np.where(value == 0, x, np.where(bracketed & stray, middle, x + step))
        moved, x = np.abs(new - x), new
        # Newton's steps shrink quadratically: the last two foretell the next one, which is not taken if it is tiny.
        with np.errstate(invalid="ignore"):
            sure = np.isfinite(last) & (moved < 0.1 * last) & ~(bracketed & stray)
            foreseen = np.where(sure, moved * (moved / last) ** 2, moved)
        if np.all(np.minimum(moved, foreseen) <= 4 * _EPS * np.maximum(1.0, np.abs(x))):
            return x
        last = moved
    raise FloatingPointError("no root in 300 steps: the spectrum leaves the range of double precision")
