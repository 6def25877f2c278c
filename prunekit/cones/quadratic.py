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
    terms = _matrix(hessian, weights.size)[np.ix_(order, order)] * np.outer(weights[order], weights[order])
    corners = np.cumsum(np.cumsum(terms[::-1, ::-1], axis=0), axis=1)
    return np.append(np.diagonal(corners)[::-1] / 2, 0.0)


def reoptimized_losses(hessian: ArrayLike, weights: ArrayLike) -> Floats:
    """Return ½cᵀ[(H⁻¹)_PP]⁻¹c, P the weights removed, for k = 0, …, D: the loss with the k kept ones re-optimized.

    It is the least of ½(w - w*)ᵀH(w - w*) over w that vanish on P, as in optimal brain surgery (Hassibi and Stork
    1993), and needs no inverse: with H = AᵀA, the columns of A in the order of `kept_order`, and A = QR, the part of Ac
    that the first k columns cannot reach is R's lower corner times c. So H may be singular.

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
    order = kept_order(weights)
    values, vectors = np.linalg.eigh(_matrix(hessian, weights.size))
    if values[0] < -ROUNDING * np.abs(values).max():
        raise ValueError(
            f"hessian has the eigenvalue {values[0]:.3g}, and the quadratic model no minimum then: "
            "give it with its negative eigenvalues replaced"
        )
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    triangle = np.linalg.qr(root[:, order], mode="r")
    # row i of the corner that starts at k sums over j ≥ max(i, k) = i, since R is triangular: it does not depend on k
    squares = (triangle @ weights[order]) ** 2
    return np.append(np.cumsum(squares[::-1])[::-1] / 2, 0.0)


def _matrix(hessian: ArrayLike, size: int) -> Floats:
    found = _checks.array("hessian", hessian, ndim=2)
    if found.shape != (size, size):
        raise ValueError(f"hessian has shape {found.shape}, and there are {size} weights: give it as ({size}, {size})")
    if np.abs(found - found.T).max() > 1e-10 * np.abs(found).max():
        raise ValueError("hessian is not symmetric: give (H + H.T) / 2, if that is meant")
    return (found + found.T) / 2


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
    low, high = -1, _checks.count("ambient", ambient)
    while high - low > 1:
        k = (low + high) // 2
        if k / ambient >= _checks.scalar(f"share({k})", share(k)):
            high = k
        else:
            low = k
    return high
