"""Least-squares solutions from data (X, y), wherever it comes from: of minimum norm, ridge, on a support, by width.

Coefficients always have length p; features left out have the coefficient 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Integers

_FIRM = 1e-4  # a penalty above this share of the mean squared singular value loses none of them in rounding
_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 32  # widths that share one factorization in a sweep: a balance of n³/block against block products
_NEAR = 8  # widths up to n + _NEAR have a nearly singular Gram matrix and are solved one by one


def min_norm(X: ArrayLike, y: ArrayLike) -> Floats:
    """Return the least-squares coefficients of least Euclidean norm, X⁺y.

    Source: chang, equation (7) and the text before it; li, equation (3.2).

    Parameters
    ----------
    X : (n, p) array
        Features.
    y : (n,) array
        Labels.

    Returns
    -------
    (p,) array
        Coefficients.

    Examples
    --------
    >>> min_norm([[1.0, 1.0]], [2.0])  # of all b₁ + b₂ = 2 the shortest
    array([1., 1.])
    """
    X, y = _checks.sample(X, y)
    with _checks.in_range("the solution", "X or y"):
        return _checks.finite("the solution", _min_norm(X, y), "X or y")


def _min_norm(X: Floats, y: Floats) -> Floats:
    """Solve by a QR factorization; only a rank-deficient X pays for a singular value decomposition."""
    import scipy.linalg

    n, p = X.shape
    Q, R = np.linalg.qr(X.T if p > n else X)
    # A column's rounding errors go with its own norm: the first pivots, of small columns, may be far below that.
    if np.abs(np.diagonal(R)).min() <= max(n, p) * _EPS * _norms(R).max():
        return np.asarray(np.linalg.lstsq(X, y, rcond=None)[0])
    if p > n:
        return np.asarray(Q @ scipy.linalg.solve_triangular(R, y, trans="T"))
    return np.asarray(scipy.linalg.solve_triangular(R, Q.T @ y))


def _norms(R: Floats) -> Floats:
    """Return the norms of the columns of R, which are those of the matrix that it factors."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->j", R, R)))


def ridge(X: ArrayLike, y: ArrayLike, penalty: float) -> Floats:
    """Return the minimizer of |y - Xb|² + penalty |b|².

    The penalty stands against the *sum* of squares: against their mean it would be `penalty / n`.
    Penalty 0 gives the minimum-norm solution, which is the limit: singular values within max(n, p) ε of the largest are
    rounding errors, and count as 0 here as in `min_norm`.

    Parameters
    ----------
    X : (n, p) array
        Features.
    y : (n,) array
        Labels.
    penalty : float
        Penalty of at least 0, in units of x².

    Returns
    -------
    (p,) array
        Coefficients.

    Examples
    --------
    >>> ridge([[1.0, 1.0]], [2.0], penalty=2.0)  # 2 / (|x|² + penalty) of x
    array([0.5, 0.5])
    """
    X, y = _checks.sample(X, y)
    penalty = _checks.scalar("penalty", penalty)
    with _checks.in_range("the solution", "X, y or penalty"):
        return _checks.finite("the solution", _ridge(X, y, penalty), "X, y or penalty")


def _ridge(X: Floats, y: Floats, penalty: float) -> Floats:
    """Solve by orthogonal factorizations, not by XᵀX, which would square the condition number.

    A penalty that is not small against XᵀX leaves no singular value that would have to be told from 0, so that least
    squares with √penalty times the identity below X (beside it, for more features than rows) are as good, at a quarter
    of the cost.
    """
    if penalty == 0:
        return _min_norm(X, y)
    if penalty >= _FIRM * float(np.vdot(X, X)) / min(X.shape):
        return _augmented(X, y, np.sqrt(penalty))
    U, d, Vt = np.linalg.svd(X, full_matrices=False)
    alive = d > max(X.shape) * _EPS * d[0]
    d = d[alive]
    return np.asarray((U.T @ y)[alive] / (d + penalty / d) @ Vt[alive])


def _augmented(X: Floats, y: Floats, root: float) -> Floats:
    """Return the b of least |Xb - y|² + |root b|², for n < p as part of the shortest (b, z) with Xb + root z = y."""
    from scipy.linalg.lapack import dgels

    n, p = X.shape
    wide = int(n < p)
    _, solution, _ = dgels(
        np.concatenate([X, root * np.eye(min(n, p))], axis=wide), np.append(y, np.zeros(p)), overwrite_a=1
    )
    return np.asarray(solution[:p])


def retrain(X: ArrayLike, y: ArrayLike, support: ArrayLike) -> Floats:
    """Return the (minimum-norm) least-squares coefficients that live on a support.

    Source: chang, equation (3), and step 3 of train→prune→retrain in Section 2.

    Parameters
    ----------
    X : (n, p) array
        Features; the ones used before pruning (retraining proper) or fresh ones.
    y : (n,) array
        Labels.
    support : (s,) integer array
        Distinct features that may be used.

    Returns
    -------
    (p,) array
        Coefficients, 0 outside the support.

    Examples
    --------
    >>> retrain([[1.0, 1.0]], [2.0], support=[1])
    array([0., 2.])
    """
    X, y = _checks.sample(X, y)
    kept = _checks.indices("support", support, X.shape[1])
    coefficients = np.zeros(X.shape[1])
    with _checks.in_range("the solution", "X or y"):
        coefficients[kept] = _min_norm(X[:, kept], y)
    return _checks.finite("the solution", coefficients, "X or y")


def width_sweep(X: ArrayLike, y: ArrayLike, widths: ArrayLike) -> Floats:
    """Return the (minimum-norm) least-squares coefficients on the first k features, for every k in `widths`.

    One QR factorization serves every k < n, since its leading blocks belong to the leading columns. Above n
    the Gram matrix of the samples grows by one rank per feature, and one Cholesky factor serves the widths of
    a block. Close to n, and wherever a factor is too ill-conditioned to be trusted, each width is solved by
    itself.

    Source: chang, equation (3) with Δ = [k], the sweep of Figure 3.

    Parameters
    ----------
    X : (n, p) array
        Features.
    y : (n,) array
        Labels.
    widths : (m,) integer array
        Numbers of features, each from 0 to p, in any order, repeated or not.

    Returns
    -------
    (m, p) array
        Row j holds the coefficients for k = widths[j], with zeros from position k on.

    Examples
    --------
    >>> width_sweep([[1.0, 1.0, 1.0]], [6.0], widths=[1, 2, 3]).round(6)
    array([[6., 0., 0.],
           [3., 3., 0.],
           [2., 2., 2.]])
    """
    X, y = _checks.sample(X, y)
    p = X.shape[1]
    asked = _widths(widths, p)
    ordered, position = np.unique(asked, return_inverse=True)
    _checks.room("widths", f"{asked.size} widths", 8.0 * (ordered.size + asked.size) * p)
    with _checks.in_range("the solutions", "X or y"):
        return _checks.finite("the solutions", _sweep(X, y, ordered)[position], "X or y")


def _sweep(X: Floats, y: Floats, ordered: Integers) -> Floats:
    """Return a row for each width, which are in order."""
    n, p = X.shape
    solved = np.zeros((ordered.size, p))
    below = (ordered > 0) & (ordered < min(n, p + 1))
    near = (ordered >= n) & (ordered < n + _NEAR)
    above = ordered >= n + _NEAR
    solved[below] = _sweep_below(X, y, ordered[below])
    for row in np.flatnonzero(near):
        solved[row, : ordered[row]] = _min_norm(X[:, : ordered[row]], y)
    solved[above] = _sweep_above(X, y, ordered[above])
    return solved


def _widths(widths: ArrayLike, p: int) -> Integers:
    """Return the widths as integers from 0 to p."""
    asked = _checks.integers("widths", widths)
    if asked.ndim != 1 or asked.size == 0:
        raise ValueError(f"widths has shape {asked.shape}: give a vector of at least one width")
    if asked.min() < 0 or asked.max() > p:
        raise ValueError(f"widths reaches from {asked.min()} to {asked.max()}: give widths from 0 to {p}")
    return asked.astype(np.intp)


def _sweep_below(X: Floats, y: Floats, widths: Integers) -> Floats:
    """Solve all widths k < n: with X = QR, c = Qᵀy and T = R⁻¹, b is the sum over j < k of T_:j c_j."""
    import scipy.linalg

    solved = np.zeros((widths.size, X.shape[1]))
    if not widths.size:
        return solved
    top = int(widths[-1])
    Q, R = np.linalg.qr(X[:, :top])
    pivots = np.abs(np.diagonal(R))
    weak = np.flatnonzero(pivots <= len(X) * _EPS * np.maximum.accumulate(_norms(R)))
    # From the first dependent column on, only the slow way is right.
    sound = int(weak[0]) if weak.size else top
    T = scipy.linalg.solve_triangular(R[:sound, :sound], np.eye(sound)) if sound else np.zeros((0, 0))
    sums = np.cumsum(T * (Q.T @ y)[:sound], axis=1)
    fast = widths <= sound
    solved[fast, :sound] = sums.T[widths[fast] - 1]
    for row in np.flatnonzero(~fast):
        solved[row, : widths[row]] = _min_norm(X[:, : widths[row]], y)
    return solved


def _sweep_above(X: Floats, y: Floats, widths: Integers) -> Floats:
    """Solve all widths k > n, block by block: b = X_kᵀ a with a = (X_k X_kᵀ)⁻¹ y.

    With K = X_h X_hᵀ at the block's first width h, W the block's further columns and I + WᵀK⁻¹W = LLᵀ,
    Woodbury's formula gives a_(h+j) = a_h - sum over i < j of Z_:i c_i, where Z = K⁻¹WL⁻ᵀ and c = Zᵀy.
    """
    import scipy.linalg

    n, p = X.shape
    solved = np.zeros((widths.size, p))
    gram, grown, row = np.zeros((n, n)), 0, 0
    while row < widths.size:
        first = int(widths[row])
        stop = int(np.searchsorted(widths, first + _BLOCK, side="right"))
        block = widths[row:stop]
        gram += X[:, grown:first] @ X[:, grown:first].T
        grown = first
        factor = _trusted_cholesky(gram)
        if factor is None:
            for k, out in zip(block, solved[row:stop], strict=True):
                out[:k] = _min_norm(X[:, :k], y)
        else:
            W = X[:, first : block[-1]]
            inner = scipy.linalg.cho_solve(factor, np.column_stack([y, W]))
            L = np.linalg.cholesky(np.eye(W.shape[1]) + W.T @ inner[:, 1:])
            Z = scipy.linalg.solve_triangular(L, inner[:, 1:].T, lower=True).T
            duals = inner[:, :1] - np.cumsum(np.column_stack([np.zeros(n), Z * (Z.T @ y)]), axis=1)
            rows = duals[:, block - first].T @ X
            solved[row:stop] = np.where(np.arange(p) < block[:, None], rows, 0.0)
        row = stop
    return solved


def _trusted_cholesky(matrix: Floats) -> tuple[Floats, bool] | None:
    """Return a Cholesky factor for `cho_solve`, or None where too ill-conditioned to be trusted."""
    import scipy.linalg

    try:
        factor, lower = scipy.linalg.cho_factor(matrix, lower=True)
    except np.linalg.LinAlgError:
        return None
    inverse_condition, _ = scipy.linalg.lapack.dpocon(factor, np.abs(matrix).sum(axis=0).max(), uplo="L")
    return (factor, lower) if inverse_condition > 1e-7 else None
