"""Ground truths, Gaussian measurements, and the two losses of matrix sensing.

Measurements are yᵢ = <Aᵢ, U⋆U⋆ᵀ> + σξᵢ with symmetric Gaussian Aᵢ scaled so that E<A, X>² = |X|² (Frobenius) for
every symmetric X: variance 1 on the diagonal, 1/2 off it. The measured loss is the mean squared error over the n
measurements. Its expectation, |UUᵀ - U⋆U⋆ᵀ|² + σ², is the population loss; it needs no measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Seed


def ground_truth(d: int, r: int, spectrum: ArrayLike | None = None, *, seed: Seed) -> Floats:
    """Draw a ground truth U⋆ with random directions.

    Parameters
    ----------
    d, r : int
        Rows and columns, 1 ≤ r ≤ d.
    spectrum : (r,) array, optional
        Nonzero eigenvalues of U⋆U⋆ᵀ, all positive; ones if not given.
    seed : int, SeedSequence or Generator
        Where the directions come from: uniformly distributed orthonormal columns.

    Returns
    -------
    (d, r) array
        Orthogonal columns of squared norms `spectrum`.

    Raises
    ------
    ValueError
        If r exceeds d or an eigenvalue is not positive.

    Examples
    --------
    >>> U = ground_truth(5, 2, spectrum=[4.0, 1.0], seed=0)
    >>> np.diag(U.T @ U).round(6)
    array([4., 1.])
    """
    d = _checks.count("d", d)
    r = _checks.count("r", r, 1, d, high_is="d")
    values = np.ones(r) if spectrum is None else _checks.vector("spectrum", spectrum, r, like=f"r is {r}")
    _checks.room("d", d, 32.0 * d * r)
    if values.min() <= 0:
        raise ValueError(f"spectrum holds {values.min()}: give positive eigenvalues, or a smaller r")
    Q, R = np.linalg.qr(_checks.generator(seed).standard_normal((d, r)))
    return Q * np.sign(np.diag(R)) * np.sqrt(values)  # with these signs Q is uniform


@dataclass(frozen=True, eq=False)
class MatrixSensing:
    """A matrix-sensing problem: a ground truth, and n measurements of it or the population.

    Make one with `MatrixSensing.population` or `MatrixSensing.measure`.

    Parameters
    ----------
    truth : (d, r) array
        U⋆.
    sigma : float
        Standard deviation σ of the noise.
    n : int, optional
        Number of measurements; None for the population loss.
    design : (min(n, d(d+1)/2), d(d+1)/2) array, optional
        Measurement matrices in orthonormal coordinates of the symmetric matrices, one a row; if there are more than
        coordinates, the triangular factor of that array, which gives the same loss.
    values : (min(n, d(d+1)/2),) array, optional
        Values y that go with the rows of `design`.
    remainder : float
        What the sum of squares over the n measurements has beyond the rows of `design`, in units of y².

    Examples
    --------
    >>> from prunekit.sensing import ground_truth
    >>> truth = ground_truth(5, 2, seed=0)
    >>> problem = MatrixSensing.measure(truth, n=20, sigma=0.1, seed=1)
    >>> problem.d, problem.r, problem.n
    (5, 2, 20)
    >>> round(MatrixSensing.population(truth, sigma=0.1).loss(truth), 6)  # σ²
    0.01
    """

    truth: Floats
    sigma: float = 0.0
    n: int | None = None
    design: Floats | None = None
    values: Floats | None = None
    remainder: float = 0.0

    def __post_init__(self) -> None:
        """Check the fields; a design is kept without a copy."""
        fields: dict[str, Any] = {
            "truth": _checks.array("truth", self.truth, ndim=2),
            "sigma": _checks.scalar("sigma", self.sigma),
            "remainder": _checks.scalar("remainder", self.remainder),
        }
        if len({each is None for each in (self.n, self.design, self.values)}) > 1:
            raise ValueError("n, design and values go together: give all of them, or none for the population")
        if self.n is not None:
            d = fields["truth"].shape[0]
            size = d * (d + 1) // 2
            n = fields["n"] = _checks.count("n", self.n)
            like = f"truth has {d} rows and n is {n}"
            fields["design"] = _checks.held("design", self.design, (min(n, size), size), like)  # type: ignore[arg-type]
            fields["values"] = _checks.held("values", self.values, (min(n, size),), like)  # type: ignore[arg-type]
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def population(cls, truth: ArrayLike, *, sigma: float = 0.0) -> MatrixSensing:
        """Return the problem with infinitely many measurements.

        Parameters
        ----------
        truth : (d, r) array
            U⋆.
        sigma : float
            Standard deviation of the noise; it adds the constant σ² to the loss.

        Raises
        ------
        ValueError
            If `truth` is no finite matrix or `sigma` is negative.
        """
        return cls(truth, sigma)  # type: ignore[arg-type]

    @classmethod
    def measure(
        cls, truth: ArrayLike, n: int, *, sigma: float = 0.0, seed: Seed, max_memory: float = 2e9
    ) -> MatrixSensing:
        """Draw n measurements of a ground truth.

        Parameters
        ----------
        truth : (d, r) array
            U⋆.
        n : int
            Number of measurements.
        sigma : float
            Standard deviation of the noise, in units of y.
        seed : int, SeedSequence or Generator
            Where measurement matrices and noise come from.
        max_memory : float
            Largest number of bytes that the n measurement matrices may take.

        Raises
        ------
        MemoryError
            If they would take more.
        ValueError
            For arguments out of their range.
        """
        truth, n = _checks.array("truth", truth, ndim=2), _checks.count("n", n)
        sigma, max_memory = _checks.scalar("sigma", sigma), _checks.scalar("max_memory", max_memory, positive=True)
        d = truth.shape[0]
        size = d * (d + 1) // 2
        needed = 8.0 * n * size
        if needed > max_memory:
            raise MemoryError(
                f"n = {n} measurements of a {d} by {d} matrix take {needed / 1e9:.3g} GB, max_memory is "
                f"{max_memory / 1e9:.3g} GB: give fewer measurements, more memory, or use MatrixSensing.population"
            )
        rng = _checks.generator(seed)
        design = rng.standard_normal((n, size))  # in orthonormal coordinates the variances above are all 1
        with np.errstate(over="ignore", invalid="ignore"):
            values = design @ coordinates(truth @ truth.T) + sigma * rng.standard_normal(n)
        _checks.finite("a measurement", values @ values, "truth or sigma")
        if n <= size:
            return cls(truth, sigma, n, design, values)
        Q, triangular = np.linalg.qr(design)
        inside = Q.T @ values
        outside = values - Q @ inside
        return cls(truth, sigma, n, triangular, inside, float(outside @ outside))

    @property
    def d(self) -> int:
        """Rows of U."""
        return int(self.truth.shape[0])

    @property
    def r(self) -> int:
        """Columns of the ground truth."""
        return int(self.truth.shape[1])

    @cached_property
    def target(self) -> Floats:
        """The matrix U⋆U⋆ᵀ, (d, d)."""
        return self.truth @ self.truth.T

    @cached_property
    def _size(self) -> float:
        """The Frobenius norm of the target."""
        return float(np.linalg.norm(self.target))

    def residual(self, U: Floats) -> tuple[Floats, float]:
        """Return the residual matrix E of the model UUᵀ, and its loss.

        E is U⋆U⋆ᵀ - UUᵀ for the population and the mean of (yᵢ - <Aᵢ, UUᵀ>)Aᵢ for measurements; the gradient of the
        loss is -4EU either way.

        Parameters
        ----------
        U : (d, k) array
            The model.

        Returns
        -------
        E : (d, d) array
            The residual matrix, symmetric, in the units of U⋆U⋆ᵀ.
        loss : float
            Mean squared error, in units of y².
        """
        with np.errstate(over="ignore", invalid="ignore"):
            E, loss = self._residual(self._model("U", U))
        return _checks.finite("the residual", E, "U or truth"), _checks.finite("the loss", loss, "U or truth")

    def _model(self, name: str, U: Floats) -> Floats:
        """Return a model (d, k), which may have no columns."""
        return _checks.matrix(name, U, self.d, like=f"truth has {self.d} rows")

    def _residual(self, U: Floats) -> tuple[Floats, float]:
        """Return what `residual` does, for a model that has been checked."""
        if self.n is None or self.design is None or self.values is None:
            E = self.target - U @ U.T
            return E, float(np.sum(E * E)) + self.sigma**2
        missing = self.values - self.design @ coordinates(U @ U.T)
        return symmetric(missing @ self.design, self.d) / self.n, float(missing @ missing + self.remainder) / self.n

    def apply(self, X: Floats) -> Floats:
        """Return the mean of <Aᵢ, X>Aᵢ for a symmetric (d, d) matrix X; for the population, X itself."""
        X = _checks.symmetric("X", X, self.d, f"truth has {self.d} rows")
        with np.errstate(over="ignore", invalid="ignore"):
            mean = self._apply(X)
        return _checks.finite("the mean", mean, "X")

    def _apply(self, X: Floats) -> Floats:
        """Return what `apply` does, for a matrix that has been checked."""
        if self.n is None or self.design is None:
            return X
        return symmetric((self.design @ coordinates(X)) @ self.design, self.d) / self.n

    def loss(self, U: Floats) -> float:
        """Return the mean squared error of the model UUᵀ, in units of y²."""
        return self.residual(U)[1]

    def error(self, U: Floats) -> float:
        """Return the distance of UUᵀ from U⋆U⋆ᵀ, relative to the size of U⋆U⋆ᵀ (Frobenius norms)."""
        U = self._model("U", U)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            distance = float(np.linalg.norm(U @ U.T - self.target) / self._size)
        return _checks.finite("the error", distance, "U or truth")


def coordinates(X: Floats) -> Floats:
    """Return the d(d+1)/2 orthonormal coordinates of a symmetric (d, d) matrix: <X, Y> is their dot product."""
    entries, _, weights = _triangle(X.shape[0])
    return np.asarray(X.reshape(-1).take(entries) * weights)


def symmetric(coordinates: Floats, d: int) -> Floats:
    """Return the symmetric (d, d) matrix with the given orthonormal coordinates."""
    _, places, weights = _triangle(d)
    return np.asarray((coordinates / weights).take(places))


@cache
def _triangle(d: int) -> tuple[Any, Any, Floats]:
    """Return where the upper triangle's entries are in a matrix, where a matrix's are among them, and their weights."""
    rows, columns = np.triu_indices(d)
    places = np.empty((d, d), dtype=np.intp)
    places[rows, columns] = places[columns, rows] = np.arange(rows.size)
    return rows * d + columns, places, np.where(rows == columns, 1.0, np.sqrt(2.0))
