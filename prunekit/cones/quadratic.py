"""What pruning by magnitude costs in the quadratic model ½(w - w*)ᵀH(w - w*), at every number of weights kept.

These are the answers that a pruning limit is meant to predict: with the kept weights as they are (one-shot), and with
the kept weights re-optimized, as the optimal brain surgeon does. Dense linear algebra: O(D²) and O(D³).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Integers
from prunekit.cones.equivalents import ROUNDING

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_BLOCK = 64  # columns whose distances from a span are taken at once


def kept_order(weights: ArrayLike) -> Integers:
    """Return the positions of the weights (D,) from the largest magnitude to the smallest, ties in order."""
    return np.argsort(-np.abs(_checks.vector("weights", weights)), kind="stable")


def removed(weights: ArrayLike, k: int) -> Floats:
    """Return c = w* - w^k (D,): the weights without their k largest, which are 0 in it."""
    found = _checks.vector("weights", weights)
    found[kept_order(found)[: _checks.count("k", k, 0, found.size, high_is="the number of weights")]] = 0
    return found


def one_shot_losses(hessian: ArrayLike, weights: ArrayLike) -> Floats:
    """Return ½cᵀHc for c = w* - w^k, k = 0, …, D: the loss that pruning adds if nothing is adjusted.

    Parameters
    ----------
    hessian : (D, D) array
        Symmetric.
    weights : (D,) array
        w*.

    Returns
    -------
    (D + 1,) array
        In units of the loss, 0 at k = D.
    """
    weights = _checks.vector("weights", weights)
    order = kept_order(weights)
    with np.errstate(over="ignore", invalid="ignore"):
        terms = _matrix(hessian, weights.size)[np.ix_(order, order)] * np.outer(weights[order], weights[order])
        corners = np.cumsum(np.cumsum(terms[::-1, ::-1], axis=0), axis=1)
    return _checks.finite("a loss", np.append(np.diagonal(corners)[::-1] / 2, 0.0), "hessian or weights")


def reoptimized_losses(hessian: ArrayLike, weights: ArrayLike) -> Floats:
    """Return ½cᵀ[(H⁻¹)_PP]⁻¹c, P the weights removed, for k = 0, …, D: the loss with the k kept ones re-optimized.

    It is the least of ½(w - w*)ᵀH(w - w*) over w that vanish on P, as in optimal brain surgery (Hassibi and Stork
    1993), and needs no inverse: with H = AᵀA, the columns of A in the order of `kept_order`, it is half the squared
    distance of Ac from the span of the first k columns. Columns that depend on those before them (dead inputs, more
    weights than samples) widen no span and are passed over, so that H may be singular, of any rank.

    Parameters
    ----------
    hessian : (D, D) array
        Symmetric, positive semidefinite up to rounding.
    weights : (D,) array
        w*.

    Returns
    -------
    (D + 1,) array
        In units of the loss; falls with k to 0 at k = D.

    Raises
    ------
    ValueError
        If H has a negative eigenvalue: the least is minus infinity for some k then.
    """
    weights = _checks.vector("weights", weights)
    H = _matrix(hessian, weights.size)
    with _checks.in_range("a loss", "hessian or weights"):
        return _checks.finite("a loss", _reoptimized(H, weights), "hessian or weights")


def _reoptimized(H: Floats, weights: Floats) -> Floats:
    """Return the losses (D + 1,) of `reoptimized_losses`."""
    order = kept_order(weights)
    size, scales = float(np.abs(H).max()), _scales(H)
    root, noise = _root(H, scales)
    moves = (scales * weights)[order] / max(np.sqrt(size), _TINY)  # in units in which every column of A has length 1
    new = _new_directions(root[:, order], noise)
    # A kept column's new direction sees nothing of the columns before it, so that its part of Ac is that of later ones
    later = np.cumsum((root[:, order] * moves)[:, ::-1], axis=1)[:, ::-1]
    squares = np.einsum("ik,ik->k", new, later) ** 2
    return size * np.append(np.cumsum(squares[::-1])[::-1] / 2, 0.0)


def _scales(H: Floats) -> Floats:
    """Return √H_ii (D,), and 0 for rows of zeros and of rounding errors.

    A row within the rounding errors of the largest entry is genuine only where it stands alone, in a diagonal matrix:
    coupled to others, it is what is left of a row of zeros, say where negative eigenvalues were replaced, and would
    be scaled up to a direction of its own.
    """
    rows = np.abs(H)
    scales = np.sqrt(np.maximum(np.diagonal(H), 0))
    alone = np.count_nonzero(H, axis=1) == (scales > 0)
    scales[~alone & (rows.max(axis=1) <= len(H) * _EPS * rows.max())] = 0
    return scales


def _root(H: Floats, scales: Floats) -> tuple[Floats, float]:
    """Return A (r, D) with AᵀA = H / (scales scalesᵀ), which has 1 or 0 on its diagonal, and its eigenvalues' error.

    Scaled so, the errors of the eigenvalues do not hang on the weights' units.
    """
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales > 0)
    values, vectors = np.linalg.eigh(inverse[:, None] * H * inverse)
    noise = len(H) * _EPS * max(float(values[-1]), 1.0)
    if values[0] < -ROUNDING * np.abs(values).max() or H[scales == 0].any():
        _refuse_negative(H)
    alive = values > noise
    return np.sqrt(values[alive])[:, None] * vectors[:, alive].T, noise


def _refuse_negative(H: Floats) -> None:
    values = np.linalg.eigvalsh(H)
    if values[0] < -ROUNDING * np.abs(values).max():
        raise ValueError(
            f"hessian has the eigenvalue {values[0]:.3g}, and the quadratic model no minimum then: "
            "give it with its negative eigenvalues replaced"
        )


def _new_directions(A: Floats, noise: float) -> Floats:
    """Return, for each column of A (r, D), the unit vector that it adds to the span of those before it, or 0.

    Gram and Schmidt's process in blocks. A column whose squared distance from that span is within `noise` adds none.
    """
    new = np.zeros_like(A)
    found = np.empty((len(A), 0))
    for start in range(0, A.shape[1], _BLOCK):
        block = A[:, start : start + _BLOCK].copy()
        for _ in range(2):  # once leaves an error of the size of what was removed; twice is enough (Kahan, Parlett)
            block -= found @ (found.T @ block)
        mine: list[Floats] = []
        for j in range(block.shape[1]):
            v = block[:, j]
            if mine and v @ v < 0.01:  # little is left of length 1: rounding errors have grown beside it
                basis = np.column_stack([found, *mine])
                for _ in range(2):
                    v = v - basis @ (basis.T @ v)
            if v @ v <= noise:
                continue
            q = v / np.sqrt(v @ v)
            block[:, j + 1 :] -= np.outer(q, q @ block[:, j + 1 :])
            new[:, start + j] = q
            mine.append(q)
        found = np.column_stack([found, *mine])
        if found.shape[1] == len(A):
            break
    return new


def _matrix(hessian: ArrayLike, size: int) -> Floats:
    found = _checks.array("hessian", hessian, ndim=2)
    if found.shape != (size, size):
        raise ValueError(f"hessian has shape {found.shape}, and there are {size} weights: give it as ({size}, {size})")
    with np.errstate(over="ignore"):
        asymmetry = np.abs(found - found.T).max()
    if asymmetry > 1e-10 * np.abs(found).max():
        raise ValueError("hessian is not symmetric: give (H + H.T) / 2, if that is meant")
    return found / 2 + found.T / 2  # halves, since a sum may leave the range


def smallest_kept(losses: ArrayLike, epsilon: float) -> int:
    """Return the least k with losses[k] ≤ ε, of losses (D + 1,) by number of weights kept; the last entry is 0."""
    found = _checks.vector("losses", losses)
    within = np.flatnonzero(found <= _checks.scalar("epsilon", epsilon, positive=True))
    if not within.size:
        raise ValueError(f"losses are all above epsilon = {epsilon}: the last, with every weight kept, should be 0")
    return int(within[0])


def self_consistent(share: Callable[[int], float], ambient: int) -> int:
    """Return the least k with k/D ≥ share(k): a threshold T that depends on the number of weights kept, solved for it.

    By bisection: T must not rise with k. geometric's does not, since R shrinks as more weights are kept.

    Parameters
    ----------
    share : callable
        T at k, from 0 to 1; 0 at k = D, where nothing is removed (it is not called there).
    ambient : int
        D.
    """
    _checks.function("share", share)
    low, high = -1, _checks.count("ambient", ambient)
    while high - low > 1:
        k = (low + high) // 2
        if k / ambient >= _checks.scalar(f"share({k})", share(k)):
            high = k
        else:
            low = k
    return high
