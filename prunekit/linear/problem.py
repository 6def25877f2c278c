"""Linear Gaussian problems: x ~ N(0, Σ) in R^p and y = xᵀβ + σz with z ~ N(0, 1) (chang, Definition 1).

`LinearGaussian` holds a problem, draws from it, measures the population risk of any coefficients, and hands out the
law of its minimum-norm solution (`prunekit.linear.law`). Coefficients always have length p; features left out have
the coefficient 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Seed

if TYPE_CHECKING:
    from prunekit.linear.law import MinNormLaw

_EPS = float(np.finfo(np.float64).eps)


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

    Examples
    --------
    >>> problem = LinearGaussian(covariance=[1.0, 4.0], beta=[1.0, 0.5], sigma=0.5)
    >>> problem.risk([1.0, 0.0])  # σ² + 4 · 0.5²
    1.25
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
    def eigen(self) -> tuple[Floats, Floats | None]:
        """Eigenvalues λ (p,) and eigenvectors U (p, p) of Σ = U diag(λ) Uᵀ; U is None (the identity) if diagonal.

        Eigenvalues of a matrix below p ε times the largest are rounding errors, and are 0 here. The largest entry of
        an eigenvector is positive, so that a seed's draws do not depend on which sign a linear algebra library returns.
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

        Examples
        --------
        >>> problem = LinearGaussian(covariance=[1.0, 4.0], beta=[1.0, 0.5], sigma=0.0)
        >>> X, y = problem.sample(3, seed=0)
        >>> X.shape, bool(np.allclose(y, X @ problem.beta))  # without noise
        ((3, 2), True)
        """
        n = _checks.draws("n", n, self.p)
        _checks.room("n", n, 16.0 * n * self.p)
        rng = _checks.generator(seed)
        eigenvalues, vectors = self.eigen
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
        b = _checks.array("coefficients", coefficients, ndim=(1, 2))
        if b.shape[-1] != self.p:
            raise ValueError(
                f"coefficients has shape {b.shape}, but the problem has {self.p} features: "
                f"give shape ({self.p},) or (m, {self.p})"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            error = b - self.beta
            risks = self.sigma**2 + np.einsum("...i,...i->...", error, self._apply(error))
        return _checks.finite("risk", float(risks) if b.ndim == 1 else risks, "coefficients, covariance or beta")

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

        See `prunekit.linear.law.characterize`, which this calls.

        Examples
        --------
        >>> law = LinearGaussian(np.ones(200), np.full(200, 0.1), 1.0).characterize(n=100)
        >>> round(law.risk(), 6)  # σ² + (1 - 1/κ)|β|² + σ²/(κ - 1), where κ = p/n is 2
        3.0
        """
        from prunekit.linear.law import characterize

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
