"""Ridge fits of one problem over their penalties: what each is predicted to cost, which is best, and what they cost.

The law of ridge regression (`prunekit.linear.law.characterize`) gives the risk of a fit, dense or pruned, at every
penalty. `Penalties` holds a problem, a number of samples and a grid, and remembers the laws it has made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.linear.law import MinNormLaw
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.risk_curves import sequence
from prunekit.linear.strategies import Strategy, prune


class Best(NamedTuple):
    """A penalty μ/n of least predicted risk, and that risk in units of y²."""

    penalty: float
    risk: float


@dataclass(frozen=True, eq=False)
class Penalties:
    """Ridge fits argmin |y - Xb|² + μ|b|² from n samples, by their penalty μ/n.

    Parameters
    ----------
    problem : LinearGaussian
        A problem with uncorrelated features.
    n : int
        Number of samples.
    grid : (m,) array
        Penalties μ/n among which the best one is looked for first: above 0, increasing, in units of a variance.

    Raises
    ------
    ValueError
        For a general covariance, and a grid that is not increasing from above 0.
    """

    problem: LinearGaussian
    n: int
    grid: Floats
    _laws: dict[float, MinNormLaw] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the fields and freeze the grid."""
        _checks.instance("problem", self.problem, LinearGaussian, "a LinearGaussian")
        if not self.problem.is_diagonal:
            raise ValueError("problem has a general covariance: give one with uncorrelated features")
        object.__setattr__(self, "n", _checks.count("n", self.n))
        grid = _checks.vector("grid", self.grid)
        if grid[0] <= 0 or np.any(np.diff(grid) <= 0):
            raise ValueError("grid is not increasing from above 0: give penalties in order")
        grid.flags.writeable = False
        object.__setattr__(self, "grid", grid)

    def law(self, penalty: float) -> MinNormLaw:
        """Return the law of the fit at a penalty μ/n, of the minimum-norm solution for 0.

        Raises
        ------
        ValueError
            For a penalty below 0, and in the same cases as `characterize`.
        """
        penalty = _checks.scalar("penalty", penalty)
        if penalty not in self._laws:
            ridge = _checks.finite("penalty times n", penalty * self.n, "penalty")
            self._laws[penalty] = self.problem.characterize(self.n, ridge=ridge)
        return self._laws[penalty]

    def risk(self, penalty: float, strategy: Strategy | None = None) -> float:
        """Return the predicted risk of the fit at a penalty, pruned by a strategy or dense, in units of y²."""
        return float(self.law(penalty).risk(strategy))

    def best(self, strategy: Strategy | None = None) -> Best:
        """Return the penalty of least predicted risk: 0, or the least point beside the best penalty of the grid.

        Parameters
        ----------
        strategy : Strategy, optional
            How the fit is pruned; not at all by default.
        """
        risks = [self.risk(x, strategy) for x in self.grid]
        i = int(np.argmin(risks))
        ends = np.log(self.grid[[max(i - 1, 0), min(i + 1, self.grid.size - 1)]])
        optimum = minimize_scalar(
            lambda x: self.risk(float(np.exp(x)), strategy),
            bounds=tuple(ends),
            method="bounded",
            options={"xatol": 1e-2},
        )
        inside = Best(float(np.exp(optimum.x)), float(optimum.fun))
        if abs(self.problem.p - self.n) <= 1:  # without a penalty the risk is infinite
            return inside
        return min(Best(0.0, self.risk(0.0, strategy)), inside, key=lambda option: option.risk)

    def loss(self, strategy: Strategy) -> tuple[float, float, float]:
        """Return the best penalties, dense and pruned, and the relative rise of the pruned risk at the dense one."""
        if strategy is None:
            raise TypeError("strategy is None: give how the fit is pruned")
        dense, own = self.best().penalty, self.best(strategy)
        return dense, own.penalty, self.risk(dense, strategy) / own.risk - 1

    def measure(self, wanted: Sequence[tuple[float, Strategy | None]], *, repetitions: int, seed: Any) -> Floats:
        """Measure the population risk of fits to samples, the same samples for all that is wanted.

        Parameters
        ----------
        wanted : sequence of (float, Strategy or None)
            Pairs of a penalty μ/n of at least 0, and how the fit is pruned.
        repetitions : int
            Number of data sets, at least 1.
        seed : int or sequence of int
            Where the randomness comes from.

        Returns
        -------
        (repetitions, len(wanted)) array
            Risks, in units of y². Hessian pruning uses the sample's own mean squares of the features.
        """
        pairs = [(_checks.scalar("a penalty of wanted", x), rule) for x, rule in _pairs(wanted)]
        repetitions = _checks.draws("repetitions", repetitions, self.n * self.problem.p)
        rows = []
        for child in sequence(seed).spawn(repetitions):
            X, y = self.problem.sample(self.n, child)
            squares = np.mean(X**2, axis=0)
            U, d, Vt = np.linalg.svd(X, full_matrices=False)  # serves all penalties
            fits = {x: (U.T @ y * d / (d**2 + x * self.n)) @ Vt for x in {x for x, _ in pairs}}
            pruned = [fits[x] if rule is None else prune(fits[x], rule, variances=squares) for x, rule in pairs]
            rows.append(self.problem.risk(np.array(pruned)))
        return _checks.finite("the risks", np.array(rows), "problem, or give a larger penalty in wanted")


def _pairs(wanted: Any) -> list[tuple[ArrayLike, Strategy | None]]:
    """Check that `wanted` is a list of pairs, and return them."""
    pairs = [
        tuple(_checks.listed("a pair of wanted", each, "two")) for each in _checks.listed("wanted", wanted, "pairs")
    ]
    if not pairs or any(len(each) != 2 for each in pairs):
        raise ValueError("wanted has to be a list of pairs: give (penalty, strategy or None)")
    return pairs


def reweighted(problem: LinearGaussian, power: float) -> LinearGaussian:
    """Return the problem for which a plain penalty is what Σ_i λ_i^a b_i² is for the given one.

    The features are x_i λ_i^(-a/2), with variances λ_i^(1-a) and coefficients β_i λ_i^(a/2); predictions, risks and
    Hessian saliencies are the same.

    Parameters
    ----------
    problem : LinearGaussian
        A problem with uncorrelated features of positive variances λ.
    power : float
        The exponent a.

    Raises
    ------
    ValueError
        For a general covariance, and for a variance of 0.
    """
    _checks.instance("problem", problem, LinearGaussian, "a LinearGaussian")
    power = _checks.real("power", power)
    if not problem.is_diagonal or not problem.variances.all():
        raise ValueError("problem needs uncorrelated features of positive variances: give such a problem")
    with np.errstate(over="ignore", under="ignore"):
        weights = _checks.finite("λ to the power", problem.variances**power, "power")
    if not weights.all():
        raise FloatingPointError("λ to the power leaves the range of double precision: give a power nearer to 0")
    return LinearGaussian(problem.variances / weights, problem.beta * np.sqrt(weights), problem.sigma)
