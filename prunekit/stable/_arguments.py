"""What the functions on stable laws ask of their arguments, without copying ten million weights to look at them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunekit import _checks

PIECE = 1 << 16  # numbers looked at together: they fit in a core's cache


def index(name: str, value: Any) -> float:
    """Return a tail index, in (0, 2]."""
    alpha = _checks.scalar(name, value, positive=True)
    if alpha > 2:
        raise ValueError(f"{name} is {alpha}: give a tail index above 0 and of at most 2")
    return alpha


def order(name: str, value: Any) -> float:
    """Return the order of a norm, finite and above 0."""
    return _checks.scalar(name, value, positive=True)


def weights(name: str, value: ArrayLike, ndim: int | tuple[int, ...]) -> NDArray[np.floating[Any]]:
    """Return finite real numbers with an allowed number of axes: floating arrays as they are, others as float64."""
    values = _checks.plain(name, value)
    if values.dtype not in (np.float32, np.float64):
        return _checks.array(name, values, ndim=ndim)
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if values.ndim not in allowed or values.size == 0:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"{name} has shape {values.shape}: give at least one number, in an array with {wanted} axes")
    for start in range(0, len(values), rows_at_once(values)):
        piece = values[start : start + rows_at_once(values)]
        if not np.isfinite(piece).all():
            where = np.argwhere(~np.isfinite(piece))[0]
            at = (start + int(where[0]), *(int(k) for k in where[1:]))
            raise ValueError(f"{name} holds {values[at]} at index {at}: give finite numbers")
    return values


def rows_at_once(values: NDArray[Any]) -> int:
    """Return how many rows make a piece."""
    return max(1, PIECE * len(values) // max(values.size, 1))


def kept(name: str, value: Any, total: int, what: str) -> int:
    """Return how many of `total` are kept: a count from 0 to `total`, or a share κ, which keeps ⌈κ·total⌉."""
    if not isinstance(value, float | np.floating):
        return _checks.count(name, value, 0, total, high_is=f"the number of {what}")
    if not 0 < value <= 1:
        raise ValueError(f"{name} is {value}: give a share above 0 and of at most 1, or a count")
    return int(_checks.ceil_share(value, total))
