"""Statistical dimension and Gaussian width of a cone by Monte Carlo, from nothing but its projector.

Both are moments of |Π_C g| for a standard Gaussian vector g: δ(C) = E|Π_C g|², and the width of the part of C on the
unit sphere is w = E|Π_C g| (see `gaussian_width`). So δ - w² is the variance of |Π_C g|.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from prunekit import _checks, statistics
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.statistics import Estimate

ENTRIES = 2**22  # Gaussian numbers in one batch, 32 MiB


class Projector(Protocol):
    """What Monte Carlo needs of a closed convex cone in R^D: its projector."""

    @property
    def ambient(self) -> int:
        """D, the dimension of the space that the cone lies in."""

    def project(self, points: Floats) -> Floats:
        """Return the nearest points (n, D) of the cone to given ones (n, D)."""


class Cone(Projector, Protocol):
    """A cone that can be tested against a subspace too."""

    def meets(self, basis: Floats) -> bool:
        """Return whether the span of the orthonormal columns of `basis` (D, k) shares more than 0 with the cone."""


class Norms(NamedTuple):
    """|Π_C g| and the distance |g - Π_C g|, which is the norm of g's projection on the polar cone; (n,) each."""

    cone: Floats
    polar: Floats


def projected_norms(cone: Projector, draws: int, *, seed: Seed) -> Norms:
    """Return |Π_C g| and |g - Π_C g| for independent standard Gaussian vectors g.

    Parameters
    ----------
    cone : Projector
        Anything with `ambient` and `project`.
    draws : int
        Number of draws, at least 1. They are made in batches of bounded memory, which do not change the vectors.
    seed : int, SeedSequence or Generator
        Where the Gaussian vectors come from.

    Raises
    ------
    FloatingPointError
        If a projection is not finite.
    """
    judged(cone, "project")
    draws, rng = _checks.draws("draws", draws, cone.ambient), _checks.generator(seed)
    _checks.room("draws", draws, 16.0 * draws)
    size = max(1, ENTRIES // cone.ambient)
    norms = np.empty((2, draws))
    with bars.bar("projections", draws, "draws") as bar:
        for start in range(0, draws, size):
            points = rng.standard_normal((min(size, draws - start), cone.ambient))
            nearest = cone.project(points)
            here = slice(start, start + len(points))
            norms[0, here], norms[1, here] = np.linalg.norm(nearest, axis=1), np.linalg.norm(points - nearest, axis=1)
            bar.update(len(points))
    _checks.finite("the projection", norms, "what cone.project returns")
    return Norms(*norms)


def judged(cone: Any, *methods: str) -> None:
    """Refuse what is no cone: it must have a dimension `ambient` and some methods."""
    lacks = [name for name in ("ambient", *methods) if not hasattr(cone, name)]
    if lacks or isinstance(cone, type):
        raise TypeError(f"cone is {_checks.shown(cone)}: give one with {' and '.join(('ambient', *methods))}")
    _checks.count("ambient of cone", cone.ambient)


def statistical_dimension(cone: Projector, draws: int, *, seed: Seed) -> Estimate:
    """Return δ(C) = E|Π_C g|² with its standard error. Source: geometric, Definition 2, equation (6).

    Parameters
    ----------
    cone, draws, seed
        As for `projected_norms`.

    Examples
    --------
    >>> from prunekit.cones import Orthant
    >>> value, error = statistical_dimension(Orthant(10), 1000, seed=0)
    >>> abs(value - 5) < 3 * error  # half of the dimension, by symmetry
    True
    """
    return dimension_of(projected_norms(cone, draws, seed=seed), cone.ambient)


def dimension_of(norms: Norms, ambient: int) -> Estimate:
    """Return δ(C) with its standard error from draws of the norms.

    A projector scales with its argument, so |Π_C g|²/|g|² is independent of |g|², whose mean is D: D times its mean is
    an unbiased estimate, with 1 - δ/D of the variance of the mean of |Π_C g|².

    Parameters
    ----------
    norms : Norms
        The norms, as `projected_norms` returns them.
    ambient : int
        The dimension D of the space.
    """
    inner, outer = _both(norms)
    ambient = _checks.count("ambient", ambient)
    squares = inner**2
    return statistics.mean(ambient * squares / (squares + outer**2))


def gaussian_width(cone: Projector, draws: int, *, seed: Seed) -> Estimate:
    """Return E|Π_C g| with its standard error: the width E sup <g, x> over x in C with |x| ≤ 1.

    Over the unit sphere in place of the ball the supremum is negative where g lies in the polar cone; there the ball
    counts 0. Theorem 2 of geometric is stated for the sphere, and holds for both. Where the polar cone has next to no
    Gaussian mass, as for every cone of a large δ, they are the same number.

    Parameters
    ----------
    cone, draws, seed
        As for `projected_norms`.

    Examples
    --------
    >>> from prunekit.cones import Subspace
    >>> value, error = gaussian_width(Subspace(np.eye(5)[:, :1]), 1000, seed=0)
    >>> abs(value - (2 / np.pi) ** 0.5) < 3 * error  # E|z| of one standard normal z
    True
    """
    return statistics.mean(projected_norms(cone, draws, seed=seed).cone)


def excess(norms: Norms) -> Estimate:
    """Return δ - w², the variance of |Π_C g|, with its standard error.

    Theorem 2 of geometric (Amelunxen et al. 2014, Proposition 10.2) puts it between 0 and 1.

    Raises
    ------
    ValueError
        If there are fewer than two draws.
    """
    inner, _ = _both(norms, 2)
    return Estimate(float(inner.var(ddof=1)), statistics.mean((inner - inner.mean()) ** 2).error)


def intrinsic_variance(norms: Norms) -> Estimate:
    """Return the variance of the intrinsic volumes of a cone, with its standard error.

    Its root is the width in k of the phase transition (McCoy and Tropp 2014). Given an intrinsic volume j, |Π_C g|²
    and |g - Π_C g|² are independent, χ² with j and D - j degrees of freedom; so their covariance is minus this
    variance. The estimate may fall below 0, which is the value of a subspace.

    Raises
    ------
    ValueError
        If there are fewer than two draws.
    """
    inner, outer = (each**2 for each in _both(norms, 2))
    products = -(inner - inner.mean()) * (outer - outer.mean())
    mean = statistics.mean(products)
    return Estimate(mean.value * inner.size / (inner.size - 1), mean.error)


def _both(norms: Norms, least: int = 1) -> tuple[Floats, Floats]:
    """Return the norms of both projections, refusing fewer draws than `least`."""
    _checks.instance("norms", norms, Norms, "Norms, as projected_norms returns them")
    inner = _checks.nonnegative_vector("norms.cone", norms.cone)
    outer = _checks.nonnegative_vector("norms.polar", norms.polar, inner.size, like="norms.cone")
    if inner.size < least:
        raise ValueError(f"norms holds {inner.size} draw: give at least two")
    return inner, outer


def random_subspace(ambient: int, k: int, *, seed: Seed) -> Floats:
    """Return an orthonormal basis (D, k) of a uniformly random k-dimensional subspace of R^D.

    Parameters
    ----------
    ambient, k : int
        D ≥ 1 and 0 ≤ k ≤ D.
    seed : int, SeedSequence or Generator
        Where the Gaussian matrix comes from, whose columns are made orthonormal.
    """
    ambient = _checks.count("ambient", ambient)
    k = _checks.count("k", k, 0, ambient, high_is="the dimension of the space, ambient")
    _checks.draws("ambient", ambient, k, 0, each_is="k")
    _checks.room("ambient", ambient, 32.0 * ambient * k)
    basis, _ = np.linalg.qr(_checks.generator(seed).standard_normal((ambient, k)))
    return np.asarray(basis)


def as_basis(basis: Floats, ambient: int) -> Floats:
    """Return a basis (D, k) as it is, refusing one of another space or with entries that are not finite. k may be 0."""
    columns = _checks.real_numbers("basis", basis)
    if columns.ndim != 2 or columns.shape[0] != ambient:
        raise ValueError(f"basis has shape {columns.shape}: give columns in R^{ambient}, shape ({ambient}, k)")
    if not np.isfinite(columns).all():
        raise ValueError("basis holds entries that are not finite: give finite numbers")
    return columns


def as_points(points: Floats, ambient: int) -> Floats:
    """Return points (n, D), refusing those of another space."""
    rows = _checks.array("points", points, ndim=2)
    if rows.shape[1] != ambient:
        raise ValueError(f"points has shape {rows.shape}: give rows in R^{ambient}, shape (n, {ambient})")
    return rows
