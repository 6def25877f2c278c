"""Linear Gaussian problems and their least-squares solutions.

A problem is x ~ N(0, Σ) in R^p and y = xᵀβ + σz with z ~ N(0, 1) (chang, Definition 1). `LinearGaussian`
holds it, draws from it, measures the population risk of any coefficients, and hands out the law of its
minimum-norm solution (`prunekit.asymptotics`). The solvers `min_norm`, `ridge`, `retrain` and `width_sweep`
work on data (X, y), wherever it comes from. Coefficients always have length p; features left out have the
coefficient 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Integers, Seed

if TYPE_CHECKING:
    from prunekit.asymptotics import MinNormLaw

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 32  # widths that share one factorization in a sweep: a balance of n³/block against block products
_NEAR = 8  # widths up to n + _NEAR have a nearly singular Gram matrix and are solved one by one


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """A linear Gaussian problem: x ~ N(0, Σ), y = xᵀβ + σz.

    Source: chang, Definition 1; li, Section 3.1, is the case Σ = Λ², β = Λ⁻¹θ̄.

    Parameters
    ----------
    covariance : (p,) or (p, p) array
        Variances of uncorrelated features, or the symmetric positive semidefinite matrix Σ.
    beta : (p,) array
        Latent coefficients β.
    sigma : float
        Standard deviation of the noise, at least 0.

    Raises
    ------
    ValueError
        For shapes that disagree, entries that are not finite, negative variances or `sigma`, an asymmetric or
        indefinite matrix.
    """

    covariance: Floats
    beta: Floats
    sigma: float

    def __post_init__(self) -> None:
        """Check the fields and freeze their arrays: a problem cannot change under a law made from it."""
        covariance = _checks.covariance("covariance", self.covariance)
        p = covariance.shape[0]
        beta = _checks.vector("beta", self.beta, p, like=f"covariance has {p} features")
        for name, value in (("covariance", covariance), ("beta", beta)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        object.__setattr__(self, "sigma", _checks.scalar("sigma", self.sigma))

    def __repr__(self) -> str:
        """Describe the problem in a line; its arrays are too long to print."""
        kind = "diagonal" if self.is_diagonal else "general"
        return f"LinearGaussian(p={self.p}, {kind} covariance, signal={self.signal:.4g}, sigma={self.sigma:.4g})"

    @property
    def p(self) -> int:
        """Number of features."""
        return int(self.beta.size)

    @property
    def is_diagonal(self) -> bool:
        """Whether the covariance was given as variances."""
        return self.covariance.ndim == 1

    @property
    def variances(self) -> Floats:
        """Variances of the features, the diagonal of Σ, (p,)."""
        return self.covariance if self.is_diagonal else np.diagonal(self.covariance)

    @cached_property
    def signal(self) -> float:
        """Energy of the signal, βᵀΣβ; with σ², the risk of predicting 0."""
        return float(np.sum(self.beta * self._apply(self.beta)))

    @cached_property
    def spectrum(self) -> tuple[Floats, Floats | None]:
        """Eigenvalues λ (p,) and eigenvectors U (p, p) of Σ = U diag(λ) Uᵀ; U is None (the identity) if diagonal.

        Eigenvalues of a matrix below p ε times the largest are rounding errors, and are 0 here. The largest entry of
        an eigenvector is positive, so that a seed's draws do not hang on which sign a linear algebra library returns.
        """
        if self.is_diagonal:
            return self.covariance, None
        with _checks.in_range("the spectrum", "covariance"):
            eigenvalues, vectors = np.linalg.eigh(self.covariance)
        vectors = vectors * np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0))
        eigenvalues = np.where(eigenvalues > self.p * _EPS * eigenvalues[-1], eigenvalues, 0.0)
        eigenvalues.flags.writeable = vectors.flags.writeable = False
        return eigenvalues, vectors

    def _apply(self, rows: Floats) -> Floats:
        """Return `rows` (..., p) times Σ."""
        return rows * self.covariance if self.is_diagonal else rows @ self.covariance

    def sample(self, n: int, seed: Seed) -> tuple[Floats, Floats]:
        """Draw n independent examples.

        Parameters
        ----------
        n : int
            Number of examples, at least 1.
        seed : int, SeedSequence or Generator
            Where the randomness comes from.

        Returns
        -------
        X : (n, p) array
            Features.
        y : (n,) array
            Labels.
        """
        n = _checks.draws("n", n, self.p)
        _checks.room("n", n, 16.0 * n * self.p)
        rng = _checks.generator(seed)
        eigenvalues, vectors = self.spectrum
        X = rng.standard_normal((n, self.p)) * np.sqrt(eigenvalues)
        if vectors is not None:
            X = X @ vectors.T
        y = X @ self.beta + self.sigma * rng.standard_normal(n)
        _checks.finite("the sample", (np.sum(y), np.sum(X)), "covariance, beta or sigma of the problem")
        return X, y

    def risk(self, coefficients: ArrayLike) -> Any:
        """Return the population risk σ² + (b - β)ᵀ Σ (b - β) of given coefficients b.

        Source: chang, equation (1), for the problem of Definition 1.

        Parameters
        ----------
        coefficients : (p,) or (m, p) array
            One vector of coefficients, or m of them.

        Returns
        -------
        float or (m,) array
            The risks, in units of y².
        """
        found = _checks.array("coefficients", coefficients, ndim=(1, 2))
        if found.shape[-1] != self.p:
            raise ValueError(
                f"coefficients has shape {found.shape}, but the problem has {self.p} features: "
                f"give shape ({self.p},) or (m, {self.p})"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            error = found - self.beta
            risks = self.sigma**2 + np.einsum("...i,...i->...", error, self._apply(error))
        return _checks.finite("risk", float(risks) if found.ndim == 1 else risks, "coefficients, covariance or beta")

    def restrict(self, index: ArrayLike) -> LinearGaussian:
        """Return the problem seen by someone who has only the features in `index`.

        What the left-out features say that the kept ones cannot becomes noise:
        β_Δ = Σ_ΔΔ⁻¹ Σ_Δ: β and σ_Δ² = σ² + βᵀΣβ - β_Δᵀ Σ_ΔΔ β_Δ.
        Source: chang, Section 5.3, before Definition 5.

        Parameters
        ----------
        index : (s,) integer array
            Distinct features to keep, in the order the new problem lists them.

        Returns
        -------
        LinearGaussian
            A problem with s features.
        """
        kept = _checks.indices("index", index, self.p)
        projected = np.zeros(self.p)  # β_Δ, zero-padded
        if self.is_diagonal:
            covariance = self.covariance[kept]
            projected[kept] = self.beta[kept]
        else:
            covariance = self.covariance[np.ix_(kept, kept)]
            projected[kept] = _solve_psd(covariance, self._apply(self.beta)[kept])
        # σ_Δ² is the risk of β_Δ: as a sum of squares it cannot come out below σ².
        return LinearGaussian(covariance, projected[kept], float(np.sqrt(self.risk(projected))))

    def characterize(self, n: int, ridge: float = 0.0) -> MinNormLaw:
        """Return the law of the minimum-norm (or ridge) solution from n samples.

        See `prunekit.asymptotics.characterize`, which this calls.
        """
        from prunekit.asymptotics import characterize

        return characterize(self, n, ridge)


def _solve_psd(matrix: Floats, right: Floats) -> Floats:
    """Solve a symmetric positive semidefinite system, in the least-norm sense where it is singular."""
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        factor = None
    pivots = np.diagonal(factor) if factor is not None else np.zeros(1)
    if factor is not None and pivots.min() > np.sqrt(_EPS * len(matrix)) * pivots.max():
        import scipy.linalg

        return np.asarray(scipy.linalg.cho_solve((factor, True), right))
    eigenvalues, vectors = np.linalg.eigh(matrix)
    alive = eigenvalues > len(matrix) * _EPS * eigenvalues[-1]
    return np.asarray(vectors[:, alive] @ ((vectors[:, alive].T @ right) / eigenvalues[alive]))


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
    rounding errors, and count as 0 here as there.

    Parameters
    ----------
    X : (n, p) array
        Features.
    y : (n,) array
        Labels.
    penalty : float
        At least 0, in units of x².

    Returns
    -------
    (p,) array
        Coefficients.
    """
    X, y = _checks.sample(X, y)
    penalty = _checks.scalar("penalty", penalty)
    with _checks.in_range("the solution", "X, y or penalty"):
        return _checks.finite("the solution", _ridge(X, y, penalty), "X, y or penalty")


def _ridge(X: Floats, y: Floats, penalty: float) -> Floats:
    """Solve by a singular value decomposition, not by XᵀX, which would square the condition number."""
    if penalty == 0:
        return _min_norm(X, y)
    U, d, Vt = np.linalg.svd(X, full_matrices=False)
    alive = d > max(X.shape) * _EPS * d[0]
    d = d[alive]
    return np.asarray((U.T @ y)[alive] / (d + penalty / d) @ Vt[alive])


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
    found = _checks.integers("widths", widths)
    if found.ndim != 1 or found.size == 0:
        raise ValueError(f"widths has shape {found.shape}: give a vector of at least one width")
    if found.min() < 0 or found.max() > p:
        raise ValueError(f"widths reaches from {found.min()} to {found.max()}: give widths from 0 to {p}")
    return found.astype(np.intp)


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
