"""The law of Theorem 1's limit, and how far a list of fitted coefficients is from it.

In the limit of large problems the list (√p β̂_i, √p β_i, Σ_ii) behaves like independent draws of (X, B, Λ) (chang,
Definition 3). `AsymptoticLaw` holds that law where the pair (Λ, B) takes finitely many values, each equally often;
given the pair, X is Gaussian. Everything here is a finite sum of Gaussian expectations, and nothing is sampled
unless it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit.linear.law import MinNormLaw, characterize
from prunekit.linear.least_squares import min_norm
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.strategies import Magnitude

COPIES = 600  # how often each pair occurs in the problem that stands for the limit
DIRECTIONS = 24
GRID = 400  # points at which a distribution function is compared


class Fit(NamedTuple):
    """One fit: the problem drawn, its coefficients (p,), and the list (√p β̂_i, √p β_i, Σ_ii), (p, 3)."""

    problem: LinearGaussian
    coefficients: Floats
    rows: Floats


@dataclass(frozen=True, eq=False)
class AsymptoticLaw:
    """The law of (X, B, Λ) for pairs (Λ, B) that are equally likely.

    Source: chang, Definition 3. For equal shares Definition 4 has the same ξ and γ at every size, so a problem with
    600 copies of each pair stands for the limit; κ is rounded to what its p over a whole number of samples can be.

    Parameters
    ----------
    variances : (m,) array
        Λ of each pair, above 0.
    coefficients : (m,) array
        B of each pair, in units of √p β.
    kappa : float
        Features per sample, p/n, above 1.
    sigma : float
        Standard deviation of the noise, at least 0.

    Raises
    ------
    ValueError
        For arrays of different lengths, a variance of 0, a κ for which the law does not exist or that leaves no
        sample, and a problem in which nothing is random (all coefficients and sigma 0).
    """

    variances: Floats
    coefficients: Floats
    kappa: float
    sigma: float

    def __post_init__(self) -> None:
        """Check the fields and freeze their arrays."""
        variances = _checks.nonnegative_vector("variances", self.variances)
        if not variances.all():
            raise ValueError("variances holds 0: give variances above 0")
        like = f"variances has {variances.size} pairs"
        coefficients = _checks.vector("coefficients", self.coefficients, variances.size, like=like)
        for name, value in (("variances", variances), ("coefficients", coefficients)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        object.__setattr__(self, "sigma", _checks.scalar("sigma", self.sigma))
        object.__setattr__(self, "kappa", _checks.scalar("kappa", self.kappa, positive=True))
        p = COPIES * variances.size
        if not 1 < self.kappa <= p or round(p / self.kappa) == p:
            raise ValueError(f"kappa is {self.kappa:g}: give features per sample, above 1 and at most {p}")
        if not (self.sigma or coefficients.any()):
            raise ValueError("sigma and all coefficients are 0, so that nothing is random: give one that is not")
        given = "variances, coefficients or sigma"
        try:
            with _checks.in_range("the law", given):
                scales = float(np.sum(self.scales**2))
        except FloatingPointError:  # it names fields of the large problem, which the caller never gave
            scales = np.nan
        _checks.finite("the law", scales, given)

    @cached_property
    def large(self) -> MinNormLaw:
        """The law of a problem so large that it stands for the limit; its `xi` and `gamma` are Definition 3's."""
        p = COPIES * self.variances.size
        beta = np.tile(self.coefficients, COPIES) / np.sqrt(p)
        problem = LinearGaussian(np.tile(self.variances, COPIES), beta, self.sigma)
        return characterize(problem, round(p / self.kappa))

    @cached_property
    def means(self) -> Floats:
        """Mean of X given each pair, (m,)."""
        return self.large.mean[: self.variances.size] * np.sqrt(self.large.problem.p)

    @cached_property
    def spreads(self) -> Floats:
        """Variance of X given each pair, (m,)."""
        return self.large.variance[: self.variances.size] * self.large.problem.p

    @cached_property
    def scales(self) -> Floats:
        """Standard deviations of X, B and Λ, (3,); 1 for what does not vary."""
        squares = [np.mean(self.spreads) + np.var(self.means), np.var(self.coefficients), np.var(self.variances)]
        scales = np.sqrt(squares)
        return np.where(scales > 0, scales, 1.0)

    def draw_fit(self, p: int, seed: Seed) -> Fit:
        """Draw a problem with p features whose pairs are drawn, p/κ samples of it, and fit them.

        Parameters
        ----------
        p : int
            Number of features; p/κ, rounded, is the number of samples.
        seed : int, SeedSequence or Generator
            Where the randomness comes from.

        Returns
        -------
        Fit
            The problem, its minimum-norm solution and the list.
        """
        p = _checks.draws("p", p, _checks.count("p", p))
        rng = _checks.generator(seed)
        n = round(p / self.kappa)
        if n < 1:
            raise ValueError(f"p is {p}, which leaves no sample at kappa = {self.kappa:g}: give a larger one")
        _checks.room("p", p, 24.0 * n * p)
        j = rng.integers(self.variances.size, size=p)
        problem = LinearGaussian(self.variances[j], self.coefficients[j] / np.sqrt(p), self.sigma)
        b = min_norm(*problem.sample(n, rng))
        return Fit(problem, b, np.column_stack([np.sqrt(p) * b, self.coefficients[j], self.variances[j]]))

    def draw(self, p: int, seed: Seed) -> Floats:
        """Draw p independent rows from the law itself.

        Parameters
        ----------
        p : int
            Number of rows.
        seed : int, SeedSequence or Generator
            Where the randomness comes from.

        Returns
        -------
        (p, 3) array
            The columns X, B and Λ.
        """
        p = _checks.draws("p", p, 3)
        _checks.room("p", p, 48.0 * p)
        rng = _checks.generator(seed)
        j = rng.integers(self.variances.size, size=p)
        x = self.means[j] + np.sqrt(self.spreads[j]) * rng.standard_normal(p)
        return np.column_stack([x, self.coefficients[j], self.variances[j]])

    @cached_property
    def _projected(self) -> list[tuple[Floats, Floats, Floats]]:
        """The 24 fixed directions, each with a grid and the law's distribution function there."""
        directions = np.random.default_rng(0).standard_normal((DIRECTIONS, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        out = []
        for u in directions / self.scales:
            centre = u[0] * self.means + u[1] * self.coefficients + u[2] * self.variances
            sd = abs(u[0]) * np.sqrt(self.spreads)
            grid = np.linspace(np.min(centre - 5 * sd), np.max(centre + 5 * sd), GRID)
            out.append((u, grid, np.mean(ndtr((grid[:, None] - centre) / sd), axis=1)))
        return out

    def energy_distance(self, rows: ArrayLike) -> float:
        """Return the energy distance between a list and the law.

        It is the root of the mean, over 24 directions in the space of (X, B, Λ) in units of `scales`, of
        ∫ (F_rows - F_law)² along the direction. It is 0 in the limit if the histograms agree, and falls as p^(-1/2) for
        independent draws.

        Parameters
        ----------
        rows : (p, 3) array
            A list such as `draw_fit` and `draw` return.
        """
        table, squares = self._list(rows), []
        for u, grid, predicted in self._projected:
            share = np.searchsorted(np.sort(table @ u), grid, side="right") / len(table)
            squares.append(np.sum((share - predicted) ** 2) * (grid[1] - grid[0]))
        return float(np.sqrt(np.mean(squares)))

    def moment_gaps(self, rows: ArrayLike) -> Floats:
        """Return average minus expectation of x², xy, zx² and zxy, each in the law's standard deviations of it.

        Parameters
        ----------
        rows : (p, 3) array
            A list such as `draw_fit` and `draw` return.

        Returns
        -------
        (4,) array
            The gaps, without a unit.
        """
        a, v = self.means, self.spreads
        second, fourth = a**2 + v, a**4 + 6 * a**2 * v + 3 * v**2
        x, y, z = self._list(rows).T
        squares, products = (x * x, second, fourth), (x * y, self.coefficients * a, self.coefficients**2 * second)
        gaps = []
        for order in (0, 1):
            w = self.variances**order
            for f, mean, square in (squares, products):
                expected = np.mean(w * mean)
                sd = np.sqrt(np.mean(w**2 * square) - expected**2)
                gaps.append((np.mean(z**order * f) - expected) / sd)
        return _checks.finite("the gaps", np.array(gaps), "rows")

    def pruned_risk(self, share: float) -> float:
        """Return the limit of the risk where only a share of the coefficients is kept, the largest ones.

        Source: chang, Corollary 1.

        Parameters
        ----------
        share : float
            s/p, from 0 to 1.

        Returns
        -------
        float
            The risk, in units of y².
        """
        s = round(_checks.share("share", share) * self.large.problem.p)
        return float(self.large.risk(Magnitude(s)) if s else self.large.problem.sigma**2 + self.large.problem.signal)

    def _list(self, rows: ArrayLike) -> Floats:
        """Check a list of rows (X, B, Λ), and return it as an array (p, 3)."""
        table = _checks.array("rows", rows, ndim=2)
        if table.shape[1] != 3:
            raise ValueError(f"rows has shape {table.shape}: give (p, 3), the columns √p β̂, √p β and the variances")
        return table
