"""Ellipsoids {x : xᵀHx ≤ 2ε}, their Gaussian width, and the exact cone that one generates seen from outside."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks, statistics
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.cones.equivalents import ROUNDING, nonnegative
from prunekit.cones.sampling import ENTRIES, as_basis, as_points
from prunekit.spectrum import Measure
from prunekit.statistics import Estimate

_NEWTON = 100  # steps at most; a handful are taken


def radii(eigenvalues: ArrayLike, epsilon: float) -> Floats:
    """Return r_i = √(2ε/h_i), (D,), for eigenvalues h_i above 0. Source: geometric, Lemma 1.

    Raises
    ------
    ValueError
        If an eigenvalue is not above 0, so that its radius is infinite, or if ε is not above 0.
    """
    h = _checks.vector("eigenvalues", eigenvalues)
    if h.min() <= 0:
        raise ValueError(f"eigenvalues reach down to {h.min():.3g}: give eigenvalues above 0, for finite radii")
    with np.errstate(over="ignore"):
        lengths = np.sqrt(2 * _checks.scalar("epsilon", epsilon, positive=True) / h)
    return _checks.finite("a radius", lengths, "eigenvalues or epsilon")


def ellipsoid_width_as_published(radii: ArrayLike) -> float:
    """Return √(Σ r_i²), geometric's Gaussian width of an ellipsoid: an upper bound. Source: Lemma 1, equation (15)."""
    longest, squares = _relative("radii", radii)
    return _checks.finite("the width", longest * math.sqrt(float(squares.sum())), "radii")


def sampled_ellipsoid_width(radii: ArrayLike, draws: int, *, seed: Seed) -> Estimate:
    """Return the Gaussian width of an ellipsoid, E√(Σ r_i² g_i²), by Monte Carlo.

    The supremum of <g, x> over the ellipsoid is √(Σ r_i² g_i²); equation (8) of geometric is its mean.

    Parameters
    ----------
    radii : (D,) array
        Radii r_i, each at least 0.
    draws : int
        Number of draws, at least 1.
    seed : int, SeedSequence or Generator
        Where the Gaussian vectors come from.
    """
    longest, squares = _relative("radii", radii)
    draws, rng = _checks.draws("draws", draws, squares.size), _checks.generator(seed)
    _checks.room("draws", draws, 16.0 * draws)
    size = max(1, ENTRIES // squares.size)
    starts = range(0, draws, size)
    parts = [
        np.sqrt(rng.standard_normal((min(size, draws - start), squares.size)) ** 2 @ squares)
        for start in bars.each("width", starts, len(starts), "batches")
    ]
    mean = statistics.mean(np.concatenate(parts))
    value = _checks.finite("the width", longest * mean.value, "radii")
    return Estimate(value, longest * mean.error if longest else 0.0)


def _relative(name: str, radii: ArrayLike) -> tuple[float, Floats]:
    """Return the longest radius, and the squares of all over its own, which neither overflow nor all underflow."""
    lengths = _checks.nonnegative_vector(name, radii)
    longest = float(lengths.max())
    return longest, (lengths / longest if longest else lengths) ** 2


def ellipsoid_width(radii: ArrayLike) -> float:
    """Return the Gaussian width of an ellipsoid, E√(Σ r_i² g_i²), to about ten digits.

    With Q = Σ r_i² g_i², E√Q = (4π)^(-1/2) ∫ (1 - E exp(-tQ)) t^(-3/2) dt, and E exp(-tQ) = Π (1 + 2t r_i²)^(-1/2). In
    log t the integrand is analytic in a strip of half-width π, so the trapezoidal rule converges faster than any power.

    Parameters
    ----------
    radii : (D,) array
        Radii r_i, each at least 0.
    """
    longest, squares = _relative("radii", radii)
    total = float(squares.sum())
    if total == 0:
        return 0.0
    step = 0.4
    log_t = np.arange(-60.0, 60.0, step)
    exponents = np.array([np.log1p(2 * t * squares / total).sum() for t in np.exp(log_t)])
    integral = step * float(np.sum(-np.expm1(-exponents / 2) * np.exp(-log_t / 2)))
    return _checks.finite("the width", longest * math.sqrt(total / (4 * math.pi)) * integral, "radii")


@dataclass(frozen=True, eq=False)
class EllipsoidCone:
    """The cone that the ellipsoid {x : (x - c)ᵀH(x - c) ≤ 2ε} generates from the origin, in H's eigenbasis.

    The origin stands for the pruned point and c = w* - w^k for the centre. If cᵀHc ≤ 2ε the origin lies inside and the
    cone is the whole space. Otherwise, with a = cᵀHc - 2ε, it is {y : yᵀHc ≥ √a·√(yᵀHy)}: one half of the quadratic
    cone yᵀMy ≤ 0, M = aH - Hc(Hc)ᵀ, which has a single negative eigenvalue. M is diagonalized once, O(D³); after
    that each projection solves a scalar equation, O(D). The cone is meant with its boundary, so a direction with h = 0
    lies in it with either sign.

    Parameters
    ----------
    eigenvalues : (D,) array
        The eigenvalues h_i ≥ 0.
    coordinates : (D,) array
        c_i, the coordinates of c in the eigenbasis.
    epsilon : float
        Tolerance on the loss, above 0.

    Raises
    ------
    ValueError
        For arrays of different lengths or a negative eigenvalue.
    FloatingPointError
        If the cone is so thin that its axis is lost in rounding.
    """

    eigenvalues: Floats
    coordinates: Floats
    epsilon: float
    _axes: Floats = field(init=False, repr=False)
    _slopes: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        h = _checks.vector("eigenvalues", self.eigenvalues)
        c = _checks.vector("coordinates", self.coordinates, h.size, like=f"eigenvalues has {h.size}")
        nonnegative("eigenvalues", Measure.of_eigenvalues(h))
        object.__setattr__(self, "eigenvalues", np.maximum(h, 0.0))
        object.__setattr__(self, "coordinates", c)
        object.__setattr__(self, "epsilon", _checks.scalar("epsilon", self.epsilon, positive=True))
        what, rescale = "the cone", "eigenvalues, coordinates or epsilon"
        with _checks.in_range(what, rescale):
            _checks.finite(what, self.energy, rescale)
            axes, slopes = (np.eye(h.size), np.zeros(h.size)) if self.whole else self._standard_form()
            _checks.finite(what, axes, rescale)
            _checks.finite(what, slopes, rescale)
        object.__setattr__(self, "_axes", axes)
        object.__setattr__(self, "_slopes", slopes)

    @property
    def ambient(self) -> int:
        """D."""
        return int(self.eigenvalues.size)

    @property
    def energy(self) -> float:
        """cᵀHc, twice the loss that the quadratic model gives the pruned point."""
        return float(np.sum(self.eigenvalues * self.coordinates**2))

    @property
    def whole(self) -> bool:
        """Whether the cone is the whole space, because the pruned point already lies in the ellipsoid."""
        return self.energy <= 2 * self.epsilon

    def _standard_form(self) -> tuple[Floats, Floats]:
        """Return axes (D, D) as columns, the cone's own first, and ρ_i ≥ 0: Σ_{i>1} ρ_i y_i² ≤ y_1², y_1 ≥ 0."""
        image = self.eigenvalues * self.coordinates
        M = np.diag((self.energy - 2 * self.epsilon) * self.eigenvalues) - np.outer(image, image)
        values, axes = np.linalg.eigh(M)
        if -values[0] < 100 * np.finfo(float).eps * np.abs(values).max():
            raise FloatingPointError(
                f"the cone is too thin for double precision (2ε/cᵀHc = {2 * self.epsilon / self.energy:.3g}): "
                "give a larger epsilon, smaller coordinates, or eigenvalues of less spread"
            )
        slopes = np.maximum(values, 0.0) / -values[0]
        slopes[slopes < ROUNDING * slopes.max()] = 0  # directions that M sends to 0; the cone has them with either sign
        axes[:, 0] *= np.sign(axes[:, 0] @ self.coordinates)
        return axes, slopes

    def project(self, points: Floats) -> Floats:
        """Return the nearest points (n, D) of the cone, coordinates in H's eigenbasis.

        Parameters
        ----------
        points : (n, D) array
            Coordinates in H's eigenbasis.
        """
        points = as_points(points, self.ambient)
        if self.whole:
            return points
        return np.asarray(_project(points @ self._axes, self._slopes) @ self._axes.T)

    def meets(self, basis: Floats) -> bool:
        """Return whether the span of `basis` (D, k) reaches the ellipsoid, in H's eigenbasis.

        The test is exact: linear least squares finds whether (y - c)ᵀH(y - c) falls to 2ε in the subspace.
        """
        basis = as_basis(basis, self.ambient)
        if self.whole:
            return basis.shape[1] > 0
        root = np.sqrt(self.eigenvalues)
        target = root * self.coordinates
        if basis.shape[1] == 0:
            return False
        system = root[:, None] * basis
        missing = target - system @ np.linalg.lstsq(system, target)[0]
        return bool(missing @ missing <= 2 * self.epsilon)


def _project(points: Floats, slopes: Floats) -> Floats:
    """Project points (n, D) on {y : Σ_{i>1} ρ_i y_i² ≤ y_1², y_1 ≥ 0}, ρ_1 = 0."""
    first, rho = points[:, 0], slopes[1:]
    sloped = rho > 0
    inside = (first >= 0) & (points[:, 1:] ** 2 @ rho <= first**2)
    polar = ~inside & (first <= 0) & (points[:, 1:][:, sloped] ** 2 @ (1 / rho[sloped]) <= first**2)
    nearest = np.where(inside[:, None], points, 0.0)
    nearest[polar, 1:] = points[polar, 1:] * ~sloped
    rest = np.flatnonzero(~inside & ~polar)
    if rest.size:
        nearest[rest] = _boundary(points[rest], rho)
    return nearest


def _boundary(points: Floats, rho: Floats) -> Floats:
    """Return the nearest points (n, D) for points whose nearest point is on the boundary and not 0.

    It is y_1 = y and y_i = g_i y/(y + (y - g_1)ρ_i) for i > 1, with the y ≥ max(g_1, 0) for which Σ ρ_i y_i² = y².
    These are Lagrange's conditions, with the multiplier expressed by y. With S(y)² = Σ ρ_i y_i²/y², 1/S is a power mean
    of exponent -2 of functions linear in y, so it is concave, and it grows: Newton's method for 1/S = 1, from the left,
    comes to the solution in a few steps and never beyond it.
    """
    first, sloped = points[:, 0], rho > 0
    r, weights = rho[sloped], points[:, 1:][:, sloped] ** 2 * rho[sloped]
    high = np.sqrt(weights.sum(axis=1))  # no y_i is larger than g_i
    y = np.maximum(first, 1e-14 * high)
    weights /= np.maximum(high, np.finfo(float).tiny)[:, None] ** 2
    moving = np.arange(len(points))
    for _ in range(_NEWTON):
        at = y[moving] / high[moving]
        below = at[:, None] + (at - first[moving] / high[moving])[:, None] * r
        terms = weights[moving] / below**2
        squared = terms.sum(axis=1)
        size = np.sqrt(squared)
        step = high[moving] * squared * (size - 1) / ((terms / below) @ (1 + r))
        y[moving] = np.minimum(y[moving] + np.maximum(step, 0), high[moving])
        moving = moving[step > 4 * np.finfo(float).eps * y[moving]]
        if not moving.size:
            break
    y = y[:, None]
    return np.column_stack([y, points[:, 1:] * (y / (y + (y - first[:, None]) * rho))])
