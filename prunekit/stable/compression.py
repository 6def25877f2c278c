"""What pruning costs: the relative ℓp error of keeping the largest weights, columns or singular values.

Source: barsbey, Section 3.2. An error is ‖ŵ - w‖_p / ‖w‖_p, with ŵ the kept part of w and zeros elsewhere. What is kept
is given as a count (int) or as a share κ (float), which keeps ⌈κd⌉ as the paper does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.stable import _arguments
from prunekit.stable._arguments import PIECE

_SMALL = 1e-250  # sums of powers below this have lost terms to underflow


def compression_error(values: ArrayLike, kept: int | float | ArrayLike, p: float | Sequence[float] = 2.0) -> Any:
    """Return the relative ℓp error of keeping the weights largest in magnitude.

    Parameters
    ----------
    values : (d,) array
        Weights; flatten a layer or concatenate layers for the layer-wise or the global error.
    kept : int, float or (m,) array of either
        Count from 0 to d, or share in (0, 1].
    p : float or sequence of k of them
        Order of the norm, above 0 (a quasi-norm below 1). Several orders, of one number kept, cost one search for the
        largest weights.

    Returns
    -------
    float, (m,) array or (k,) array
        The error, from 0 (all weights are kept) to 1 (none is).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range or all weights are zero, or for several orders of several numbers kept.

    Notes
    -----
    Source: barsbey, Theorem 1. Which of equal weights are kept does not matter.

    Examples
    --------
    >>> round(compression_error([3.0, -4.0, 12.0], 1), 6)  # 5/13
    0.384615
    """
    x = _arguments.weights("values", values, 1)
    return _compression_error("weights of values", x, kept, p)


def _compression_error(what: str, x: Any, kept: int | float | ArrayLike, p: float | ArrayLike) -> Any:
    """Return the error or errors of keeping some of `what`, whose magnitudes are those of x (d,)."""
    if not x.any():
        raise ValueError(f"the {what} are all 0: give at least one that is not, or there is no relative error")
    several = _checks.plain("p", p) if isinstance(p, list | tuple | np.ndarray) else None
    listed = _checks.plain("kept", kept) if isinstance(kept, list | tuple | np.ndarray) else None
    if listed is None or listed.ndim == 0:
        removed = x.size - _arguments.kept("kept", kept, x.size, what)
        orders = [
            _arguments.order("p", order)
            for order in ([p] if several is None or several.ndim == 0 else _listed(several))
        ]
        magnitude = np.abs(x)
        if 0 < removed < x.size:
            magnitude.partition(removed)
        errors = [_error(magnitude[:removed], magnitude[removed:], order) for order in orders]
        return errors[0] if several is None or several.ndim == 0 else np.array(errors)
    if several is not None and several.ndim:
        raise ValueError(f"p is {_checks.shown(p)} and kept several numbers, too: give one of them as a single number")
    p = _arguments.order("p", p)
    if listed.ndim != 1 or listed.size == 0 or listed.dtype.kind not in "iuf":
        raise ValueError(f"kept has shape {listed.shape} and kind {listed.dtype}: give a vector of counts or of shares")
    counts = [_arguments.kept("kept", k.item(), x.size, what) for k in listed]
    below = _below(x, p)
    return np.array(
        [
            (below[x.size - k] / below[-1]) ** (1 / p)
            if below[x.size - k] > _SMALL
            else _compression_error(what, x, k, p)
            for k in counts
        ]
    )


def _listed(p: NDArray[Any]) -> list[Any]:
    """Return the orders in a vector, at least one."""
    if p.ndim > 1 or p.size == 0:
        raise ValueError(f"p has shape {p.shape}: give an order, or a vector of at least one")
    return [order.item() if isinstance(order, np.generic) else order for order in p]


def smallest_kept(values: ArrayLike, error: float, p: float = 2.0) -> int:
    """Return how many weights must be kept at least for a relative ℓp error of at most `error`.

    Parameters
    ----------
    values : (d,) array
        Weights; the norms of columns (`column_norms`, same p) or singular values (p = 2) for the structured versions.
    error : float
        Largest error allowed, in [0, 1].
    p : float
        Order of the norm, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range or all weights are zero.

    Examples
    --------
    >>> smallest_kept([3.0, -4.0, 12.0], 0.4)
    1
    """
    x, p = _arguments.weights("values", values, 1), _arguments.order("p", p)
    error = _checks.scalar("error", error)
    if error > 1:
        raise ValueError(f"error is {error}: give a relative error from 0 to 1")
    below = _below(x, p)
    allowed = error**p * below[-1] * (1 + 1e-12)  # rounding of the sums must not cost a weight
    if allowed <= _SMALL:  # the order is large, so logarithms are compared
        magnitude = np.sort(np.abs(x).astype(float))
        with np.errstate(divide="ignore"):
            below = np.append(-np.inf, np.logaddexp.accumulate(p * np.log(magnitude / magnitude[-1])))
            allowed = p * np.log(error) + below[-1] + 1e-12
    return int(x.size - (np.searchsorted(below, allowed, side="right") - 1))


def column_norms(matrix: ArrayLike, p: float = 2.0) -> Floats:
    """Return the ℓp norms of the columns (columns,), by which node pruning ranks them.

    Parameters
    ----------
    matrix : (rows, columns) array
        W_l of the paper, one column for each unit of the layer before.
    p : float
        Order of the norm, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    x, p = _arguments.weights("matrix", matrix, 2), _arguments.order("p", p)
    top = np.maximum(-x.min(axis=0), x.max(axis=0)).astype(float)  # column by column: high powers of small ones vanish
    top[top == 0] = 1.0
    total = np.zeros(x.shape[1])
    step = _arguments.rows_at_once(x)
    for start in range(0, len(x), step):
        scaled = np.abs(x[start : start + step]).astype(float) / top
        total += (scaled * scaled if p == 2 else scaled**p).sum(axis=0)
    with np.errstate(over="ignore"):
        return _checks.finite("a norm", np.asarray(top * total ** (1 / p)), "matrix, or give a larger p")


def column_error(matrix: ArrayLike, kept: int | float | ArrayLike, p: float = 2.0) -> Any:
    """Return the relative ℓp error of keeping the columns of largest ℓp norm (barsbey, Theorem 3).

    Parameters
    ----------
    matrix : (rows, columns) array
        One column for each unit of the layer before; transpose it to prune rows.
    kept : int, float or (m,) array of either
        Number of columns, or share of them.
    p : float
        Order of the norm, above 0.

    Raises
    ------
    TypeError, ValueError
        In the same cases as `compression_error`.

    Examples
    --------
    >>> round(column_error([[3.0, 0.0], [4.0, 12.0]], 1), 6)  # the columns have norms 5 and 12
    0.384615
    """
    p = _arguments.order("p", p)
    return _compression_error("columns of matrix", column_norms(matrix, p), kept, p)


def singular_values(matrix: ArrayLike) -> Floats:
    """Return the singular values of a matrix, largest first, as many as it has columns (the paper's h_{l-1}).

    Parameters
    ----------
    matrix : (rows, columns) array
        W_l of the paper.

    Raises
    ------
    TypeError, ValueError
        If it is no finite matrix.
    """
    x = _arguments.weights("matrix", matrix, 2).astype(float)
    with _checks.in_range("a singular value", "matrix"):
        values = _checks.finite("a singular value", np.linalg.svd(x, compute_uv=False), "matrix")
    return np.concatenate([values, np.zeros(x.shape[1] - values.size)])


def singular_value_error(matrix: ArrayLike, kept: int | float | ArrayLike, p: float | None = None) -> Any:
    """Return the relative error of keeping the largest singular values (barsbey, Theorem 2).

    Parameters
    ----------
    matrix : (rows, columns) array
        W_l of the paper.
    kept : int, float or (m,) array of either
        Number of singular values out of as many as there are columns, or share of them.
    p : float, optional
        None (default) for the Frobenius error of the matrix; otherwise the order of the norm in which the error of
        the eigenvalues of WᵀW is taken. Their error at p = 1 is the square of the Frobenius error.

    Raises
    ------
    TypeError, ValueError
        In the same cases as `compression_error`.
    """
    values, what = singular_values(matrix), "singular values of matrix"
    # The error of squares at order p is the square of the error at order 2p.
    if p is None:
        return _compression_error(what, values, kept, 2.0)
    twice = _checks.finite("2p", 2 * _arguments.order("p", p), "p")
    return _compression_error(what, values, kept, twice) ** 2


def _error(removed: Any, rest: Any, p: float) -> float:
    """Return the relative error of removing weights (given as magnitudes), each sum in units of its own largest term.

    In units of the largest weight, high powers of the removed ones would vanish.
    """
    top = max(_largest(rest) if rest.size else 0.0, float(removed.max()) if removed.size else 0.0)
    most = float(removed.max()) if removed.size else 0.0
    if most == 0:
        return 0.0
    low = _power_sum(removed, most, p)
    share = low / (low * (most / top) ** p + _power_sum(rest, top, p))
    return float(most / top * share ** (1 / p))


def _largest(magnitude: Any) -> float:
    """Return the largest magnitude, above 0."""
    top = float(magnitude.max())
    if top == 0:
        raise ValueError("values are all 0: give at least one weight that is not, or there is no relative error")
    return top


def _power_sum(magnitude: Any, top: float, p: float) -> float:
    """Return Σ (|x|/top)^p, in pieces."""
    total = 0.0
    for start in range(0, magnitude.size, PIECE):
        scaled = magnitude[start : start + PIECE].astype(float) / top
        total += _sum_of_powers(scaled, p)
    return total


def _sum_of_powers(x: Floats, p: float) -> float:
    """Return Σ x^p of numbers from 0 to 1; for the usual p it avoids general powers, which are ten times as slow."""
    if p == 1:
        return float(x.sum())
    if p == 1.5:
        return float(x @ np.sqrt(x))
    if p in (2, 4):
        y = x if p == 2 else x * x
        return float(y @ y)
    return float(np.sum(x**p))


def _below(x: Any, p: float) -> Floats:
    """Return the sums (d + 1,) of the 0, 1, …, d smallest (|x|/max)^p."""
    sums = np.empty(x.size + 1)
    sums[0] = 0
    np.abs(x, out=sums[1:])
    sums[1:].sort()
    sums[1:] /= _largest(sums[1:])
    if p == 2:
        np.square(sums, out=sums)
    else:
        np.power(sums, p, out=sums)
    return np.cumsum(sums, out=sums)
