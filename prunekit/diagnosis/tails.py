"""What weights alone tell, layer by layer, without torch: tails, norms, scales, what a global cut would leave.

A layer is an array; layers are read one after another, so that a file of a billion weights needs no more memory than
its largest layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit.stable import _arguments, layer_tail_index
from prunekit.stable.layers import vectors

FEWEST = 100  # weights of a layer below which its tails are not looked at: the estimator's error is then 0.3 and more
_ENTRIES = 2**19  # weights that the estimator looks at, if that is at least so many vectors:
_ROWS = 256
_SORTED = 2**22  # weights up to which a layer is sorted; above, shares are read off a histogram, to 1%
_SUMMED = 4  # weights in a sum; with 90,000 weights a Laplace law is always told from a stable one, Student's t at 3
_SUMS = 20_000  # degrees of freedom in one of four cases
_LEVEL = 0.01  # of the test of stability
_HALF_NORM = math.sqrt(1 - 0.9**2)  # relative error at which 90% of the Euclidean norm is kept
_BINS = 2**15  # of magnitudes: exponent and seven bits of the mantissa of a number in single precision
_PIECE = 2**22  # weights that are binned at a time


@dataclass(frozen=True)
class Tails:
    """What a layer's weights alone tell.

    Attributes
    ----------
    alpha, error : float or None
        Tail index by the estimator of barsbey's authors, and its standard error; None for too few weights.
    stable : bool or None
        Whether a stable law fits: sums of four weights must have the law of one, at another scale.
    reason : str
        Why there is no tail index; empty where there is one.
    norm_90 : float
        Share of the weights that keeps 90% of the layer's Euclidean norm.
    scale : float
        Root mean square of the weights.
    squares : float
        Sum of squares, the magnitude importance.
    zeros : float
        Share of weights that are 0.
    """

    alpha: float | None
    error: float | None
    stable: bool | None
    reason: str
    norm_90: float
    scale: float
    squares: float
    zeros: float


def tails(weight: NDArray[np.floating], *, last: bool = False, seed: Seed = 0) -> Tails:
    """Return what a layer's weights alone tell.

    Parameters
    ----------
    weight : (outputs, …) array
        The weights.
    last : bool
        Whether it is the last layer, whose columns are looked at as the authors of barsbey do.
    seed : int
        Where the shuffles of the estimator come from.

    Raises
    ------
    TypeError, ValueError
        If there is no weight, or one is not finite.
    FloatingPointError
        If the sum of squares is beyond the range of numbers.
    """
    weight, last = _arguments.weights("weight", weight, tuple(range(1, 9))), _checks.flag("last", last)
    _checks.generator(seed)
    flat = weight.reshape(-1)
    histogram = Histogram.of(flat)
    if not math.isfinite(histogram.squares):
        raise FloatingPointError("weight has a sum of squares beyond the range of numbers: rescale weight")
    alpha, error, stable, reason = _index(weight, last, seed)
    return Tails(
        alpha,
        error,
        stable,
        reason,
        norm_90=_share_of_norm(flat) if flat.size <= _SORTED else histogram.share_of_norm(1 - _HALF_NORM**2),
        scale=math.sqrt(histogram.squares / flat.size),
        squares=histogram.squares,
        zeros=float(histogram.counts[0] / flat.size),
    )


def _share_of_norm(flat: NDArray[np.floating]) -> float:
    """Return the share of weights that keeps 90% of the norm, by sorting them."""
    squares = np.sort(flat.astype(np.float64) ** 2)[::-1]
    sums = np.cumsum(squares)
    kept = int(np.searchsorted(sums, (1 - _HALF_NORM**2) * sums[-1] * (1 - 1e-12))) + 1
    return min(kept, flat.size) / flat.size if sums[-1] else 0.0


def _index(weight: NDArray[np.floating], last: bool, seed: Seed) -> tuple[float | None, float | None, bool | None, str]:
    """Return tail index, error, whether a stable law fits, and why not if there is none."""
    if weight.size < FEWEST or weight.ndim < 2:
        return None, None, None, "too small to tell" if weight.size < FEWEST else "no matrix"
    table = weight.T if last and weight.ndim == 2 else vectors(weight)
    rng = _checks.generator(seed)
    if len(table) < 8:
        return None, None, None, "too small to tell"
    rows = max(_ROWS, _ENTRIES // table.shape[1])
    if len(table) > rows:
        table = table[np.sort(rng.choice(len(table), rows, replace=False))]
    try:
        index = layer_tail_index(np.ascontiguousarray(table, dtype=np.float64), seed=rng)
        stable = is_stable(weight, seed=rng)
    except (ValueError, FloatingPointError):
        return None, None, None, "many zeros or equal weights"
    return index.alpha, index.error, stable, ""


def is_stable(values: NDArray[np.floating], *, seed: Seed) -> bool:
    """Tell whether weights may be drawn from a stable law: sums of four have the law of one, at another scale.

    Parameters
    ----------
    values : array
        Weights, of any shape, at least 100; at most 100,000 of them are looked at.
    seed : int
        Where their order comes from.

    Returns
    -------
    bool
        Whether the test of Kolmogorov and Smirnov between weights and sums of four others, both centred and divided by
        the median of their absolute values, does not reject at 1%.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than 100, most are equal, or one is not finite.

    Notes
    -----
    Source: the definition of a strictly stable law, barsbey, Section 2: sums of m have the law of m^(1/α) X.
    """
    from scipy.stats import ks_2samp

    flat = _arguments.weights("values", values, tuple(range(1, 9))).reshape(-1)
    if flat.size < FEWEST:
        raise ValueError(f"values has {flat.size} entries: give at least {FEWEST}")
    n = min(flat.size // (_SUMMED + 1), _SUMS)
    rng = _checks.generator(seed)
    if flat.size > 2**20:  # a permutation of all would take more memory than the weights
        drawn = rng.integers(flat.size, size=(_SUMMED + 1) * n)
    else:
        drawn = rng.choice(flat.size, (_SUMMED + 1) * n, replace=False)
    centred = flat[drawn].astype(np.float64)
    centred -= np.median(centred)
    one, two = centred[:n], centred[n:].reshape(n, _SUMMED).sum(axis=1)
    scales = [float(np.median(np.abs(x))) for x in (one, two)]
    if min(scales) == 0:
        raise ValueError("values are equal for the most part: give weights that differ")
    return bool(ks_2samp(one / scales[0], two / scales[1]).pvalue >= _LEVEL)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Magnitudes in bins 0.8% wide, with their number and sum of squares, from which cuts are read.

    Attributes
    ----------
    counts : (32768,) array of int
        Weights in each bin; the first holds zeros and what is below 1e-38.
    sums : (32768,) array
        Sums of their squares.
    """

    counts: NDArray[np.int64]
    sums: Floats

    @classmethod
    def of(cls, flat: NDArray[np.floating]) -> Histogram:
        """Return the histogram of weights (n,), some of them at a time."""
        counts, sums = np.zeros(_BINS, dtype=np.int64), np.zeros(_BINS)
        for at in range(0, flat.size, _PIECE):
            piece = np.abs(flat[at : at + _PIECE].astype(np.float32))
            bins = (piece.view(np.uint32) >> 16).astype(np.intp)
            counts += np.bincount(bins, minlength=_BINS)
            sums += np.bincount(bins, weights=piece.astype(np.float64) ** 2, minlength=_BINS)
        return cls(counts, sums)

    @property
    def total(self) -> int:
        """Number of weights."""
        return int(self.counts.sum())

    @property
    def squares(self) -> float:
        """Sum of squares."""
        return float(self.sums.sum())

    def share_of_norm(self, part: float) -> float:
        """Return the share of weights, the largest, that holds this part of the sum of squares."""
        above = np.cumsum(self.sums[::-1])
        wanted = part * above[-1]
        if wanted == 0:
            return 0.0
        at = int(np.searchsorted(above, wanted))
        inside = self.sums[::-1][at]
        missing = (wanted - (above[at] - inside)) / inside
        counts = self.counts[::-1]
        return float((counts[:at].sum() + missing * counts[at]) / self.total)


def left_of(layers: Mapping[str, Histogram], keep: float) -> dict[str, float]:
    """Return the share of each layer that is left when this share of all weights is kept, the largest."""
    together = np.sum([each.counts for each in layers.values()], axis=0)[::-1]
    above = np.cumsum(together)
    wanted = keep * above[-1]
    at = int(np.searchsorted(above, wanted))
    part = (wanted - (above[at] - together[at])) / together[at] if together[at] else 0.0
    return {
        name: float((each.counts[::-1][:at].sum() + part * each.counts[::-1][at]) / max(each.total, 1))
        for name, each in layers.items()
    }


def relative_scales(scales: Iterable[float]) -> Floats:
    """Return each layer's scale λ relative to the geometric mean of all, li's κ between layers."""
    values = np.array(list(scales), dtype=float)
    positive = values[values > 0]
    middle = math.exp(float(np.log(positive).mean())) if positive.size else 1.0
    return values / middle
