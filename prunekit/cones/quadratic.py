"""What pruning by magnitude costs in the quadratic model ½(w - w*)ᵀH(w - w*), at every number of weights kept.

These are the answers that a pruning limit is meant to predict: with the kept weights as they are (one-shot), and with
the kept weights re-optimized, as the optimal brain surgeon does. Dense linear algebra: O(D²) and O(D³).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Integers
from prunekit.cones.equivalents import ROUNDING

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_BLOCK = 64  # columns that are reflected at once


def kept_order(weights: ArrayLike) -> Integers:
    """Return the positions of the weights (D,) from the largest magnitude to the smallest, ties in order."""
    return np.argsort(-np.abs(_checks.vector("weights", weights)), kind="stable")


def removed(weights: ArrayLike, k: int) -> Floats:
    """Return c = w* - w^k (D,): the weights without their k largest, which are 0 in it."""
    small = _checks.vector("weights", weights)
    small[kept_order(small)[: _checks.count("k", k, 0, small.size, high_is="the number of weights")]] = 0
    return small


def one_shot_losses(hessian: ArrayLike, weights: ArrayLike) -> Floats:
    """Return ½cᵀHc for c = w* - w^k, k = 0, …, D: the loss that pruning adds if nothing is adjusted.

    Parameters
    ----------
    hessian : (D, D) array
        The matrix H, symmetric.
    weights : (D,) array
        The weights w*.

    Returns
    -------
    (D + 1,) array
        The losses, which are 0 at k = D.
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
        The matrix H, symmetric and positive semidefinite up to rounding.
    weights : (D,) array
        The weights w*.

    Returns
    -------
    (D + 1,) array
        The losses, which fall with k to 0 at k = D.

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
    squares = _added(root[:, order], moves, noise)
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

    With this scaling, the errors of the eigenvalues do not depend on the units of the weights.
    """
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales > 0)
    scaled = inverse[:, None] * H * inverse
    factor = None if H[scales == 0].any() else _factor(scaled)
    if factor is not None:
        return factor
    values, vectors = np.linalg.eigh(scaled)
    noise = len(H) * _EPS * max(float(values[-1]), 1.0)
    if values[0] < -ROUNDING * np.abs(values).max() or H[scales == 0].any():
        _refuse_negative(H)
    alive = values > noise
    return np.sqrt(values[alive])[:, None] * vectors[:, alive].T, noise


def _factor(S: Floats) -> tuple[Floats, float] | None:
    """Return a root of S (D, D) by Cholesky's method with pivots, in a tenth of the time that eigenvalues take.

    It ends where no diagonal entry is left above the noise. The result is None where any other entry that is left is
    above it: then S has a negative eigenvalue, or one that only the eigenvalues can tell from 0.
    """
    from scipy.linalg.lapack import dpstrf

    noise = len(S) * _EPS * max(_largest(S), 1.0)
    factor, places, rank, _ = dpstrf(S, tol=noise)
    order = places - 1
    A = np.triu(factor)[:rank]
    left = S[np.ix_(order[rank:], order[rank:])] - A[:, rank:].T @ A[:, rank:]
    if left.size and np.abs(left).max() > noise:
        return None
    root = np.empty_like(A)
    root[:, order] = A
    return root, noise


def _largest(S: Floats) -> float:
    """Return the largest eigenvalue of S, to a few per cent: a noise level needs no more."""
    v = np.ones(len(S))
    for _ in range(30):
        v = S @ v
        size = float(np.linalg.norm(v))
        if not size:
            return 0.0
        v /= size
    return size


def _refuse_negative(H: Floats) -> None:
    values = np.linalg.eigvalsh(H)
    if values[0] < -ROUNDING * np.abs(values).max():
        raise ValueError(
            f"hessian has the eigenvalue {values[0]:.3g}, and the quadratic model no minimum then: "
            "give it with its negative eigenvalues replaced"
        )


def _added(A: Floats, moves: Floats, noise: float) -> Floats:
    """Return (qᵀ Σ_j≥k A_j moves_j)² for each column k of A (r, D), q the unit vector that it adds to those before it.

    They come from Householder's reflections in blocks, whose vectors are orthogonal whatever the columns are: each row
    of the triangle that they leave is what all columns have along one such q. A column whose squared distance from the
    span of those before it is within `noise` adds none, and gets 0.
    """
    A, gains, row = A.copy(), np.zeros(A.shape[1]), 0
    for start in range(0, A.shape[1], _BLOCK):
        stop = min(start + _BLOCK, A.shape[1])
        block = np.asfortranarray(A[row:, start:stop])
        V, T, pivots = _reflected(block, noise)
        rest = A[row:, stop:]
        rest -= V @ (T.T @ (V.T @ rest))
        for i, j in enumerate(pivots):
            gains[start + j] = (block[i, j:] @ moves[start + j : stop] + rest[i] @ moves[stop:]) ** 2
        row += len(pivots)
        if row == len(A):
            break
    return gains


def _reflected(block: Floats, noise: float) -> tuple[Floats, Floats, list[int]]:
    """Make a block (m, w) triangular in place, skipping columns that add nothing; return V, T and the q places.

    The product of the reflections, the first on the left, is 1 - VTVᵀ with V (m, q) and T (q, q), upper triangular
    (Schreiber and Van Loan 1989).
    """
    V, T, pivots = np.zeros(block.shape, order="F"), np.zeros((block.shape[1],) * 2), list[int]()
    for j in range(block.shape[1]):
        i = len(pivots)
        v = block[i:, j].copy()
        square = float(v @ v)
        if square <= noise:  # an empty column ends here, too
            continue
        block[i, j] = -np.copysign(np.sqrt(square), v[0])
        v[0] -= block[i, j]
        scale = 2 / float(v @ v)
        block[i:, j + 1 :] -= np.outer(v, scale * (v @ block[i:, j + 1 :]))
        T[:i, i] = -scale * (T[:i, :i] @ (V[i:, :i].T @ v))
        V[i:, i], T[i, i] = v, scale
        pivots.append(j)
    q = len(pivots)
    return V[:, :q], T[:q, :q], pivots


def _matrix(hessian: ArrayLike, size: int) -> Floats:
    matrix = _checks.array("hessian", hessian, ndim=2)
    if matrix.shape != (size, size):
        raise ValueError(f"hessian has shape {matrix.shape}, and there are {size} weights: give it as ({size}, {size})")
    with np.errstate(over="ignore"):
        asymmetry = np.abs(matrix - matrix.T).max()
    if asymmetry > 1e-10 * np.abs(matrix).max():
        raise ValueError("hessian is not symmetric: give (H + H.T) / 2, if that is meant")
    return matrix / 2 + matrix.T / 2  # halves, since a sum may leave the range


def fewest_kept(losses: ArrayLike, epsilon: float) -> int:
    """Return the least k with losses[k] ≤ ε, of losses (D + 1,) by number of weights kept; the last entry is 0."""
    checked = _checks.vector("losses", losses)
    within = np.flatnonzero(checked <= _checks.scalar("epsilon", epsilon, positive=True))
    if not within.size:
        raise ValueError(f"losses are all above epsilon = {epsilon}: the last, with every weight kept, should be 0")
    return int(within[0])


def self_consistent(share: Callable[[int], float], ambient: int) -> int:
    """Return the least k with k/D ≥ share(k): a threshold T that depends on the number of weights kept, solved for it.

    It is found by bisection, so T must not rise with k. geometric's does not, since R shrinks as more weights are kept.

    Parameters
    ----------
    share : callable
        T at k, from 0 to 1; 0 at k = D, where nothing is removed (it is not called there).
    ambient : int
        The dimension D of the space.
    """
    _checks.function("share", share)
    D = _checks.count("ambient", ambient)
    return bisect_left(range(D), True, key=lambda k: k / D >= _checks.scalar(f"share({k})", share(k)))
