"""The tail index from the growth of sums: the estimator of Mohammadi, Mohammadpour and Ogata (2015), Corollary 2.4.

A sum of K₁ independent α-stable variables has the law of one of them times K₁^(1/α). Cut K₁K₂ values into K₂ blocks of
K₁ with the sums Y; then 1/α̂ = (mean log|Y| - mean log|X|) / log K₁. For vectors, norms take the place of absolute
values. It never looks at the tails: it measures how sums grow, and that is α for stable laws only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.stable import _arguments

AUTHORS_BLOCKS = (2, 5, 10, 20, 50, 100, 500, 1000)
MOST_ZEROS = 0.01  # a stable law has no atom: more zeros than this are no accident of the median
Center = Literal["median", "none"]
Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TailIndex:
    """An estimated tail index.

    Attributes
    ----------
    alpha : float
        The estimate; median over block sizes, then clipped, then median over shuffles.
    error : float
        Its standard error: of the mean over blocks, which are independent if the rows are, at the block size in the
        middle. With shuffles it is too large near α = 2, about twice there. It says nothing about the bias where the
        law is not stable.
    blocks : tuple of ints
        The block sizes K₁.
    inverses : tuple of floats
        1/α̂ by block size, median over shuffles; not clipped, so that it may be below 1/2 or even negative.
    rows, columns : int
        Number of vectors, and of entries of each.
    """

    alpha: float
    error: float
    blocks: tuple[int, ...]
    inverses: tuple[float, ...]
    rows: int
    columns: int


def tail_index(
    values: ArrayLike,
    *,
    blocks: int | Sequence[int] | None = None,
    shuffles: int = 0,
    center: Center = "median",
    clip: float | None = None,
    seed: Seed | None = None,
) -> TailIndex:
    """Estimate the tail index of scalars or, by their norms, of vectors.

    Parameters
    ----------
    values : (n,) or (n, d) array
        Independent draws of a law symmetric about its location, one vector a row; n may be any number from 4 on.
    blocks : int or ints, optional
        Block sizes K₁, from 2 to n/2. With several, the median of the estimates. Default: one, ⌊√n⌋. The last
        rows, that fill no block, are left out of the sums and the mean of logarithms; they count for the median only.
    shuffles : int
        How often the rows are put in random order before they are cut; the median over the orders is returned.
        Default 0: the order given. Shuffle where neighbours are alike, as the weights of a unit are.
    center : "median" or "none"
        What is subtracted first: the median of the values, for vectors of each column (default), or nothing.
    clip : float, optional
        Largest value returned. Default: none. Stable laws have α ≤ 2, but at α = 2 half the estimates are above 2.
    seed : int, SeedSequence or Generator, optional
        Where the order of the shuffles comes from; needed if there are any.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range; if more than 1% of the rows or of the sums are zero after centring, as of
        constant, discrete or pruned values; if sums do not grow with K₁, so that 1/α̂ ≤ 0, and there is no `clip`.

    Notes
    -----
    Source: barsbey, Section 5. Zeros, such as the value that is the median, are left out of the mean of logarithms; the
    authors' program adds 2.2e-16 to every norm instead, which depends on the scale of the values.

    Examples
    --------
    >>> from prunekit.stable import sample
    >>> estimate = tail_index(sample(1.5, 10**5, seed=0))
    >>> round(estimate.alpha, 2), abs(estimate.alpha - 1.5) < 3 * estimate.error
    (1.46, True)
    """
    return _tail_index("values", _arguments.weights("values", values, (1, 2)), blocks, shuffles, center, clip, seed)


def _tail_index(
    name: str,
    x: Values,
    blocks: int | Sequence[int] | None,
    shuffles: int,
    center: Center,
    clip: float | None,
    seed: Seed | None,
) -> TailIndex:
    """Return what `tail_index` does, of rows that are called `name`."""
    rows = len(x)
    if rows < 4:
        raise ValueError(f"{name} has {rows} rows: give at least 4")
    sizes = _block_sizes(blocks, rows)
    shuffles = _checks.draws("shuffles", shuffles, x.size, 0)
    if shuffles and seed is None:
        raise TypeError("seed is None: give one for the shuffles")
    top = math.inf if clip is None else _checks.scalar("clip", clip, positive=True)
    table = x.reshape(rows, -1)
    middle = _middle(table, center)
    logs = _row_logs(name, table, middle)
    rng = _checks.generator(seed) if shuffles else None
    orders = (rng.permutation(rows) for _ in range(shuffles)) if rng else (None,)
    turns = bars.each("tail index", orders, max(shuffles, 1), "shuffles")
    estimates = [_by_block_size(table, middle, logs, sizes, order) for order in turns]
    return _summary(np.array(estimates), sizes, top, table.shape)


def layer_tail_index(
    matrix: ArrayLike,
    *,
    blocks: int | Sequence[int] | None = None,
    shuffles: int = 5,
    center: Center = "median",
    clip: float | None = 2.0,
    seed: Seed,
) -> TailIndex:
    """Estimate the tail index of a layer in the form of the authors' program: its rows are vectors.

    Parameters
    ----------
    matrix : (n, d) array
        Rows are the vectors of weights into a unit, or the kernels of a convolution (`prunekit.stable.layers.vectors`).
    blocks : int or ints, optional
        Default: `authors_blocks(n)`.
    shuffles : int
        Default 5.
    center : "median" or "none"
        Default: the median of each column.
    clip : float, optional
        Default 2, applied in each shuffle after the median over block sizes.
    seed : int, SeedSequence or Generator
        Where the order of the shuffles comes from.

    Raises
    ------
    TypeError, ValueError
        In the same cases as `tail_index`.

    Examples
    --------
    >>> from prunekit.stable import sample_elliptical
    >>> estimate = layer_tail_index(sample_elliptical(1.5, 2048, 16, seed=0), seed=0)
    >>> estimate.blocks, round(estimate.alpha, 1)
    ((2, 4, 8, 16, 32, 64, 256, 512), 1.5)
    """
    table = _arguments.weights("matrix", matrix, 2)
    if len(table) < 4:
        raise ValueError(f"matrix has {len(table)} rows: give at least 4")
    sizes = authors_blocks(len(table)) if blocks is None else blocks
    return _tail_index("matrix", table, sizes, shuffles, center, clip, seed)


def authors_blocks(n: int) -> tuple[int, ...]:
    """Return the block sizes of the authors' program: 2, 5, 10, 20, 50, 100, 500, 1000 up to n/2, and √n.

    Each is lowered to the largest divisor of n, as theirs are; where that is 1 (their program then stops) the size is
    kept as it is.

    Parameters
    ----------
    n : int
        Number of rows, at least 4.

    Examples
    --------
    >>> authors_blocks(2048)
    (2, 4, 8, 16, 32, 64, 256, 512)
    >>> authors_blocks(101)
    (2, 5, 10, 20, 50)
    """
    n = _checks.count("n", n, 4)
    wanted = [*(k for k in AUTHORS_BLOCKS if k <= n / 2), math.isqrt(n)]
    return tuple(sorted({next((m for m in range(k, 1, -1) if n % m == 0), k) for k in wanted}))


def _block_sizes(blocks: int | Sequence[int] | None, rows: int) -> tuple[int, ...]:
    """Return block sizes, rising."""
    wanted: Any = math.isqrt(rows) if blocks is None else blocks
    listed = list(wanted) if isinstance(wanted, Sequence | np.ndarray) else [wanted]
    if not listed:
        raise ValueError("blocks is empty: give at least one block size")
    return tuple(sorted({_checks.count("blocks", k, 2, rows // 2, high_is="half the rows") for k in listed}))


def _middle(table: Values, center: Center) -> Floats:
    """Return what is subtracted from each column."""
    _checks.choice("center", center, ("median", "none"))
    if center == "none":
        return np.zeros(table.shape[1])
    step = _arguments.rows_at_once(table.T)
    columns = range(0, table.shape[1], step)  # a few columns at a time, since the median sorts a copy
    return np.concatenate([np.median(table[:, k : k + step].T, axis=1) for k in columns]).astype(float)


def _pieces(rows: int, columns: int, block: int) -> Iterator[slice]:
    """Yield runs of rows that hold whole blocks."""
    step = block * max(1, _arguments.PIECE // (block * columns))
    for start in range(0, rows // block * block, step):
        yield slice(start, min(start + step, rows // block * block))


def _log_norms(rows: Floats, name: str = "values") -> Floats:
    """Return log‖row‖, -inf for a row of zeros."""
    with np.errstate(divide="ignore"):
        if rows.shape[1] == 1:
            return np.asarray(np.log(np.abs(rows[:, 0])))
        squares = np.einsum("ij,ij->i", rows, rows)
    if not np.isfinite(squares).all():
        raise FloatingPointError(f"{name} has rows whose squares exceed double precision: divide them by their scale")
    with np.errstate(divide="ignore"):
        return np.asarray(0.5 * np.log(squares))


def _without_zeros(logs: Floats, what: str, name: str = "values") -> Floats:
    """Replace log 0 by the mean of the others in place, which leaves zeros out of every mean."""
    zero = logs == -math.inf
    count = np.count_nonzero(zero)
    if count > max(1, MOST_ZEROS * logs.size) or count == logs.size:
        raise ValueError(
            f"{name} has {what} of which {count} of {logs.size} are 0 after centring: a stable law has no such atom; "
            "give weights that are neither constant nor discrete nor pruned"
        )
    if count:
        logs[zero] = logs[~zero].mean()
    return logs


def _row_logs(name: str, table: Values, middle: Floats) -> Floats:
    """Return log‖x - middle‖ by row (n,)."""
    logs = np.empty(len(table))
    for piece in _pieces(len(table), table.shape[1], 1):
        logs[piece] = _log_norms(table[piece] - middle, name)
    return _without_zeros(logs, "rows", name)


def _by_block_size(
    table: Values, middle: Floats, logs: Floats, sizes: tuple[int, ...], order: NDArray[np.intp] | None
) -> list[tuple[float, float]]:
    """Return 1/α̂ and its standard error for each block size, for one order of the rows.

    The sums for a size are made from those for its largest divisor in the list, where there is one.
    """
    parent = {k: max((m for m in sizes if m < k and k % m == 0), default=1) for k in sizes}
    sums: dict[int, Floats] = {}
    estimates = []
    for k in sizes:
        blocks = len(table) // k
        total = np.empty((blocks, table.shape[1])) if k in parent.values() else None
        excess, norms = np.empty(blocks), np.empty(blocks)
        for piece in _pieces(len(table), table.shape[1], k):
            at = slice(piece.start // k, piece.stop // k)
            if (m := parent[k]) > 1:
                part = sums[m][piece.start // m : piece.stop // m]
            else:
                part = (table[piece] if order is None else table[order[piece]]) - middle
            added = part.reshape(-1, k // m, table.shape[1]).sum(axis=1)
            if total is not None:
                total[at] = added
            norms[at] = _log_norms(added)
            excess[at] = (logs[piece] if order is None else logs[order[piece]]).reshape(-1, k).mean(axis=1)
        excess = _without_zeros(norms, f"sums of {k} rows") - excess
        if total is not None:
            sums[k] = total
        error = excess.std(ddof=1) / math.sqrt(blocks)
        estimates.append((excess.mean() / math.log(k), error / math.log(k)))
    return estimates


def _summary(estimates: Floats, sizes: tuple[int, ...], top: float, shape: tuple[int, ...]) -> TailIndex:
    """Return the median over block sizes and shuffles of what `_by_block_size` returns, (shuffles, sizes, 2)."""
    inverse, inverse_error = estimates[..., 0], estimates[..., 1]
    with np.errstate(divide="ignore"):
        alphas = np.where(inverse > 0, 1 / inverse, math.inf)
    each = np.minimum(np.median(alphas, axis=1), top)
    alpha = float(np.median(each))
    if not math.isfinite(alpha):
        raise ValueError(
            "values have sums no larger than they are one by one, so that 1/alpha is not above 0: give independent "
            "values, or clip=2 for the nearest stable law"
        )
    ranked = np.argsort(inverse, axis=1)
    half = [(len(sizes) - 1) // 2, len(sizes) // 2]  # the same one twice, if their number is odd
    middle_error = np.take_along_axis(inverse_error, ranked, axis=1)[:, half].mean(axis=1)
    return TailIndex(
        alpha=alpha,
        error=alpha**2 * float(np.median(middle_error)),
        blocks=sizes,
        inverses=tuple(float(v) for v in np.median(inverse, axis=0)),
        rows=shape[0],
        columns=shape[1],
    )
