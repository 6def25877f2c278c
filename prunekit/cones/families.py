"""Cones with closed forms: subspaces, the orthant, circular cones, descent cones of the ℓ1 norm.

Each has its projector, its statistical dimension, and an exact test of whether a subspace meets it. A test is exact up
to rounding: the cases that rounding could decide have probability 0 for a random subspace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.cones import volumes
from prunekit.cones.sampling import as_basis, as_points

TOUCHING = 1e-9  # relative gap below which a subspace is taken to meet a cone


@dataclass(frozen=True)
class Orthant:
    """The cone of vectors without a negative entry.

    Parameters
    ----------
    ambient : int
        The dimension D ≥ 1 of the space.

    Examples
    --------
    >>> Orthant(3).project(np.array([[1.0, -2.0, 3.0]]))
    array([[1., 0., 3.]])
    """

    ambient: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "ambient", _checks.count("ambient", self.ambient))

    def project(self, points: Floats) -> Floats:
        """Return the nearest points (n, D) of the cone: the positive parts."""
        return np.maximum(as_points(points, self.ambient), 0)

    @property
    def statistical_dimension(self) -> float:
        """D/2, exactly."""
        return self.ambient / 2

    @property
    def intrinsic_volumes(self) -> Floats:
        """v_0, …, v_D: the binomial distribution of D fair coins."""
        return volumes.orthant(self.ambient)

    def meets(self, basis: Floats) -> bool:
        """Return whether the span of `basis` (D, k) holds a nonzero vector without a negative entry.

        Nonnegative least squares decides whether the projector on the complement sends some x ≥ 0 of sum 1 to 0.
        """
        from scipy.optimize import nnls

        basis = as_basis(basis, self.ambient)
        k = basis.shape[1]
        if k in (0, self.ambient):
            return k > 0
        complement = np.linalg.qr(basis, mode="complete")[0][:, k:]
        system = np.vstack([complement.T, np.ones(self.ambient)])
        _, residual = nnls(system, np.append(np.zeros(self.ambient - k), 1.0), maxiter=30 * self.ambient)
        return bool(residual < TOUCHING)


@dataclass(frozen=True)
class CircularCone:
    """The vectors within an angle of the first axis.

    Parameters
    ----------
    ambient : int
        The dimension D ≥ 2 of the space.
    angle : float
        The angle in radians, above 0 and below π/2.

    Examples
    --------
    >>> import math
    >>> CircularCone(2, math.pi / 4).project(np.array([[0.0, 1.0]])).round(6)  # onto the diagonal
    array([[0.5, 0.5]])
    """

    ambient: int
    angle: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ambient", _checks.count("ambient", self.ambient, 2))
        object.__setattr__(self, "angle", volumes.acute(self.angle))

    def project(self, points: Floats) -> Floats:
        """Return the nearest points (n, D) of the cone, in closed form."""
        points = as_points(points, self.ambient)
        axis, rest = points[:, 0], np.linalg.norm(points[:, 1:], axis=1)
        sine, cosine = math.sin(self.angle), math.cos(self.angle)
        inside = rest * cosine <= axis * sine
        along = np.maximum(axis * cosine + rest * sine, 0)  # length of the projection on the nearest ray
        share = np.divide(along * sine, rest, out=np.zeros_like(rest), where=rest > 0)
        nearest = np.column_stack([along * cosine, points[:, 1:] * share[:, None]])
        return _checks.finite("the projection", np.where(inside[:, None], points, nearest), "points")

    @property
    def statistical_dimension(self) -> float:
        """Σ j v_j, which is exact, and close to D sin²(angle) + cos(2·angle)."""
        return volumes.dimension(self.intrinsic_volumes)

    @property
    def intrinsic_volumes(self) -> Floats:
        """v_0, …, v_D in closed form (Amelunxen et al. 2014, Appendix D.1)."""
        return volumes.circular(self.ambient, self.angle)

    def meets(self, basis: Floats) -> bool:
        """Return whether the span of `basis` (D, k), orthonormal, comes within the angle of the axis."""
        basis = as_basis(basis, self.ambient)
        return bool(np.linalg.norm(basis[0]) >= math.cos(self.angle))


@dataclass(frozen=True, eq=False)
class Subspace:
    """A linear subspace.

    Parameters
    ----------
    basis : (D, j) array
        Linearly independent columns, at least one.

    Examples
    --------
    >>> Subspace(np.eye(3)[:, :2]).project(np.array([[1.0, 2.0, 3.0]]))
    array([[1., 2., 0.]])
    """

    basis: Floats

    def __post_init__(self) -> None:
        basis = _checks.array("basis", self.basis, ndim=2)
        if np.linalg.matrix_rank(basis) < basis.shape[1]:
            raise ValueError(f"basis has shape {basis.shape} and a lower rank: give independent columns")
        object.__setattr__(self, "basis", np.linalg.qr(basis)[0])

    @property
    def ambient(self) -> int:
        """D."""
        return int(self.basis.shape[0])

    def project(self, points: Floats) -> Floats:
        """Return the nearest points (n, D) of the subspace."""
        with np.errstate(over="ignore", invalid="ignore"):
            nearest = as_points(points, self.ambient) @ self.basis @ self.basis.T
        return _checks.finite("the projection", np.asarray(nearest), "points")

    @property
    def statistical_dimension(self) -> float:
        """Its dimension j, exactly."""
        return float(self.basis.shape[1])

    @property
    def intrinsic_volumes(self) -> Floats:
        """v_0, …, v_D: all at j."""
        return np.eye(self.ambient + 1)[self.basis.shape[1]]

    def meets(self, basis: Floats) -> bool:
        """Return whether the span of `basis` (D, k), orthonormal, shares a line with it: largest cosine 1."""
        basis = as_basis(basis, self.ambient)
        if basis.shape[1] + self.basis.shape[1] > self.ambient:
            return True
        cosines = np.linalg.svd(self.basis.T @ basis, compute_uv=False)
        return bool(cosines.size and cosines[0] > 1 - TOUCHING)


@dataclass(frozen=True, eq=False)
class DescentCone:
    """The directions in which the ℓ1 norm does not grow at once, from a point with s nonzero entries.

    Only the signs of the point matter. A subspace meets the cone exactly if minimizing the ℓ1 norm over the point plus
    the subspace does not give the point back: basis pursuit fails.

    Parameters
    ----------
    point : (D,) array
        The point, which has at least one entry that is not 0.
    """

    point: Floats

    def __post_init__(self) -> None:
        point = _checks.vector("point", self.point)
        if not point.any():
            raise ValueError("point is 0, where the ℓ1 norm grows in every direction: give one with a nonzero entry")
        object.__setattr__(self, "point", point)

    @classmethod
    def of_sparsity(cls, ambient: int, s: int) -> DescentCone:
        """Return the cone at a point of R^D whose first s entries are 1; up to signs and order there is no other."""
        ambient = _checks.count("ambient", ambient)
        s = _checks.count("s", s, 1, ambient, high_is="the dimension of the space, ambient")
        _checks.room("ambient", ambient, 16.0 * ambient)
        return cls(np.repeat([1.0, 0.0], [s, ambient - s]))

    @property
    def ambient(self) -> int:
        """D."""
        return int(self.point.size)

    @property
    def sparsity(self) -> int:
        """Return s, the number of nonzero entries of the point."""
        return int(np.count_nonzero(self.point))

    def project(self, points: Floats) -> Floats:
        """Return the nearest points (n, D) of the cone.

        The polar cone is generated by the subdifferential: τ·sign on the support, [-τ, τ] off it, τ ≥ 0. The nearest
        τ balances Σ_on (g_i sign_i - τ) + Σ_off (|g_i| - τ)₊ = 0. With the m largest entries off the support active it
        is an average, and the right m is the one with the largest average; what is left is the projection.
        """
        points = as_points(points, self.ambient)
        on = self.point != 0
        along = (points[:, on] * np.sign(self.point[on])).sum(axis=1)
        largest = -np.sort(-np.abs(points[:, ~on]), axis=1)
        totals = along[:, None] + np.column_stack([np.zeros(len(points)), np.cumsum(largest, axis=1)])
        tau = np.maximum(np.max(totals / np.arange(self.sparsity, self.ambient + 1), axis=1), 0)[:, None]
        polar = np.where(on, tau * np.sign(self.point), np.clip(points, -tau, tau))
        return _checks.finite("the projection", np.asarray(points - polar), "points")

    @property
    def statistical_dimension(self) -> float:
        """An upper bound, exact up to `error_bound`: the infimum over τ of E dist²(g, τ·∂|x|).

        inf s(1 + τ²) + (D - s) E(|g| - τ)₊² (Amelunxen et al. 2014, Proposition 4.5).
        """
        from scipy.optimize import brentq

        s, off = self.sparsity, self.ambient - self.sparsity
        if off == 0:
            return self.ambient - 0.5  # a half-space, exactly

        def slope(tau: float) -> float:  # half the derivative in τ
            return float(s * tau - off * _positive_part(tau))

        tau = brentq(slope, 0.0, 2 + math.sqrt(2 * math.log1p(off / s)), xtol=1e-14)
        return float(s * (1 + tau**2) + off * _positive_part_squared(tau))

    @property
    def error_bound(self) -> float:
        """2√(D/s): the statistical dimension is at most this much below the bound (same proposition)."""
        return 2 * math.sqrt(self.ambient / self.sparsity)

    def meets(self, basis: Floats) -> bool:
        """Return whether the span of `basis` (D, k) holds a nonzero direction in which the ℓ1 norm does not grow.

        By duality it holds none if and only if a vector orthogonal to the subspace equals the signs on the support and
        is below 1 in size off it. A linear program finds how far the signs can be scaled with entries in [-1, 1].
        """
        from scipy.optimize import linprog

        basis = as_basis(basis, self.ambient)
        if basis.shape[1] in (0, self.ambient):
            return basis.shape[1] > 0
        on = self.point != 0
        signs = basis[on].T @ np.sign(self.point[on])
        solution = linprog(
            np.append(np.zeros(np.count_nonzero(~on)), -1.0),
            A_eq=np.column_stack([basis[~on].T, signs]),
            b_eq=np.zeros(basis.shape[1]),
            bounds=[(-1, 1)] * int(np.count_nonzero(~on)) + [(0, 2)],
        )
        if solution.status != 0:
            raise FloatingPointError(
                f"the linear program of the descent cone ended with: {solution.message}; give basis orthonormal columns"
            )
        return bool(solution.x[-1] <= 1 + TOUCHING)


def _positive_part(tau: float) -> float:
    """Return E(|g| - τ)₊ for a standard Gaussian g."""
    return float(2 * (_density(tau) - tau * special.ndtr(-tau)))


def _positive_part_squared(tau: float) -> float:
    """Return E(|g| - τ)₊²."""
    return float(2 * ((1 + tau**2) * special.ndtr(-tau) - tau * _density(tau)))


def _density(x: float) -> float:
    return math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
