"""The law of least-squares coefficients, and the risk of pruning them, without training anything.

`characterize(problem, n)` says how the minimum-norm (or ridge) solution from n samples is distributed in high
dimension: in the eigenbasis of the covariance its coordinates are independent Gaussians (chang, Definition
4). `MinNormLaw` holds that law. From it follow the dense risk, the risk after any compression of the
coefficients, and the risk after retraining what pruning kept (chang, Definition 5). For a diagonal covariance
all of these are sums of truncated Gaussian moments, computed here to double precision; for a general one the
risk joins pairs of coordinates, and is averaged over draws from the law.

The law is exact in the limit of many coordinates that carry small shares of the signal. A coordinate with a
finite share has the right mean, but not the right variance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from prunekit import _checks, statistics
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.linear import strategies
from prunekit.linear.compressed import compressed_error, cut, hard, is_atom, pieces_of, two_of_four
from prunekit.linear.effective import effective, refuse_infinite, retrained, retrained_general
from prunekit.linear.interval_moments import outside
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.strategies import (
    HardThreshold,
    Hessian,
    Magnitude,
    Natural,
    OptimalBrainSurgeon,
    Oracle,
    Strategy,
    TwoOfFour,
    UniformQuantizer,
)
from prunekit.statistics import Estimate

_REMEDY = "the covariance or beta of the problem"
_CHUNK = 4_000_000  # numbers held at once while sampling


@dataclass(frozen=True, eq=False)
class MinNormLaw:
    """The law of the minimum-norm (or ridge) solution from n samples of a linear Gaussian problem.

    Made by `characterize`. Source: chang, Definition 4; li, Definition 3.2, with h ~ N(0, I/p) as in its
    (A.29): the N(0, I/n) printed there would make every variance κ times too large.

    Attributes
    ----------
    problem : LinearGaussian
        The problem solved.
    n : int
        Number of samples.
    ridge : float
        Penalty μ on |b|² against the sum of squares; 0 for the minimum-norm solution.
    xi : float or None
        ξ of Definition 4, in units of 1/λ; 1/ξ is the effective ridge. None if least squares is unique
        without a penalty (ξ would be infinite).
    gamma : float
        The dense risk, in units of y²: γ of Definition 4, or its classical value if least squares is unique.
    eigen_mean : (p,) array
        Means of the coordinates of the solution in the eigenbasis of the covariance.
    eigen_variance : (p,) array
        Their variances; the coordinates are independent.
    """

    problem: LinearGaussian
    n: int
    ridge: float
    xi: float | None
    gamma: float
    eigen_mean: Floats
    eigen_variance: Floats

    def __post_init__(self) -> None:
        """Freeze the arrays, since all who read the mean or the variance share them."""
        self.eigen_mean.flags.writeable = self.eigen_variance.flags.writeable = False

    def __repr__(self) -> str:
        """Describe the law in a line."""
        return f"MinNormLaw(p={self.problem.p}, n={self.n}, ridge={self.ridge:g}, gamma={self.gamma:.6g})"

    @property
    def mean(self) -> Floats:
        """Means of the coefficients, (p,)."""
        vectors = self.problem.eigen[1]
        return self.eigen_mean if vectors is None else vectors @ self.eigen_mean

    @property
    def variance(self) -> Floats:
        """Variances of the coefficients, (p,); for a general covariance their covariances are not zero."""
        vectors = self.problem.eigen[1]
        return self.eigen_variance if vectors is None else vectors**2 @ self.eigen_variance

    @property
    def squared_norm(self) -> float:
        """Expected squared Euclidean norm of the coefficients."""
        return float(np.sum(self.eigen_mean**2 + self.eigen_variance))

    @property
    def training_error(self) -> float:
        """Expected mean square of the residuals on the n samples: γ (μξ/n)², or σ²(1 - p/n) if unique without μ."""
        if self.xi is None:
            rank = np.count_nonzero(self.problem.eigen[0])
            return self.problem.sigma**2 * (self.n - rank) / self.n
        return self.gamma * (self.ridge * self.xi / self.n) ** 2

    def sample(self, size: int, seed: Seed) -> Floats:
        """Draw coefficients from the law.

        Parameters
        ----------
        size : int
            Number of draws, at least 1.
        seed : int, SeedSequence or Generator
            Where the randomness comes from.

        Returns
        -------
        (size, p) array
            One vector of coefficients a row.
        """
        size = _checks.draws("size", size, self.problem.p)
        _checks.room("size", size, 16.0 * size * self.problem.p)
        return _checks.finite("the sample", self._draw(size, _checks.generator(seed)), "the problem of the law")

    def _draw(self, size: int, rng: np.random.Generator) -> Floats:
        draws = rng.standard_normal((size, self.problem.p))
        draws *= np.sqrt(self.eigen_variance)
        draws += self.eigen_mean
        vectors = self.problem.eigen[1]
        return draws if vectors is None else draws @ vectors.T

    def threshold(self, strategy: Strategy) -> float:
        """Return the fixed threshold that is, in the limit, the same as keeping the s largest.

        It solves Σ_i P(|w_i X_i| > t) = s, with w = 1 for `Magnitude` and w_i = Σ_ii^(1/2) for `Hessian`.
        Marginals are enough for it, whatever the covariance. Source: chang, equation (14), with s for αp.

        Parameters
        ----------
        strategy : Magnitude or Hessian
            What is kept.

        Returns
        -------
        float
            t, in units of w b. 0 if everything is kept.
        """
        if not isinstance(strategy, Magnitude | Hessian):
            raise TypeError(f"strategy is {strategy!r}, which has no threshold: give Magnitude(s) or Hessian(s)")
        strategies.check_fit(strategy, self.problem.p)
        weights = self._weights(strategy)
        return cut(weights * self.mean, weights * np.sqrt(self.variance), strategy.s)[0]

    def inclusion(self, strategy: Strategy) -> Floats:
        """Return the probability that each coefficient survives pruning.

        Parameters
        ----------
        strategy : Strategy
            One that prunes; `TwoOfFour`, `OptimalBrainSurgeon` and `Natural` for a diagonal covariance only.

        Returns
        -------
        (p,) array
            Probabilities at the threshold of the limit; they sum to s where the strategy has an s.
        """
        strategies.check_fit(strategy, self.problem.p)
        if isinstance(strategy, TwoOfFour | OptimalBrainSurgeon | Natural):
            strategy = self._separable(strategy)
        if isinstance(strategy, UniformQuantizer):
            raise ValueError(f"strategy is {strategy}, which drops nothing: give one that prunes")
        if isinstance(strategy, TwoOfFour):
            return two_of_four(self.mean, np.sqrt(self.variance), self.problem.beta)[0]
        if isinstance(strategy, Oracle):
            saliency = self.problem.variances * self.problem.beta**2
            return strategies.largest(saliency[None], strategy.s)[0].astype(np.float64)
        mean, sd = self.mean, np.sqrt(self.variance)
        if isinstance(strategy, HardThreshold):
            return outside(mean, sd, strategy.t)
        weights = self._weights(strategy)
        threshold, atoms, share = cut(weights * mean, weights * sd, strategy.s)
        kept = outside(weights * mean, weights * sd, threshold)
        kept[atoms] = share
        return kept

    @overload
    def risk(self, strategy: Strategy | None = None) -> float: ...
    @overload
    def risk(self, strategy: Strategy, *, draws: int, seed: Seed) -> Estimate: ...
    def risk(
        self, strategy: Strategy | None = None, *, draws: int | None = None, seed: Seed | None = None
    ) -> float | Estimate:
        """Return the expected population risk of the coefficients after compression.

        Without `draws` the risk is a closed form, for diagonal covariance only: σ² + Σ_i λ_i E(β_i -
        g_i(X_i))², with the threshold of the limit for `Magnitude` and `Hessian`. With `draws` the law is
        sampled, and each draw is pruned to exactly s coefficients.
        Source: chang, equation (13) and Corollary 1; li, the two losses after equation (3.4).

        Parameters
        ----------
        strategy : Strategy, optional
            What is done to the coefficients; nothing by default, which gives γ.
        draws : int, optional
            Number of draws from the law, at least 2.
        seed : int, SeedSequence or Generator, optional
            Where the randomness comes from; needed with `draws`.

        Returns
        -------
        float or Estimate
            The risk in units of y²; with its standard error where it is an average over draws.

        Raises
        ------
        ValueError
            For a general covariance without `draws`, for `draws` without `seed`, for an s above p.

        Examples
        --------
        >>> from prunekit import Hessian, LinearGaussian, Magnitude
        >>> law = LinearGaussian(np.linspace(0.1, 2, 1000), np.full(1000, 0.03), 0.5).characterize(n=300)
        >>> [round(law.risk(strategy), 3) for strategy in (None, Magnitude(100), Hessian(100))]
        [0.986, 1.14, 1.126]
        """
        if strategy is None:
            return self.gamma
        if draws is not None:
            return self._sampled("risk", strategy, draws, seed, self._pruned_risks)
        return float(_checks.finite("risk", self._closed_risk(self._separable(strategy)), _REMEDY))

    @overload
    def retrained_risk(self, strategy: Strategy) -> float: ...
    @overload
    def retrained_risk(self, strategy: Strategy, *, draws: int, seed: Seed) -> Estimate: ...
    def retrained_risk(
        self, strategy: Strategy, *, draws: int | None = None, seed: Seed | None = None
    ) -> float | Estimate:
        """Return the expected risk after pruning and refitting the survivors to n fresh samples.

        With `draws`, each draw from the law is pruned to a support I, and the dense risk of the problem
        restricted to I is taken from the law again, over- or underparameterized, whichever s calls for; for s
        < n - 1 that is σ_I² (1 + s/(n-s-1)). Definition 5 writes only the overparameterized law, though its
        own figures have s < n. Without `draws`, the same is computed in the limit from the probabilities of
        inclusion, for a diagonal covariance only. Retraining on the samples used before pruning gives other
        risks, most of all near p = n. No penalty is used in retraining.
        Source: chang, Definition 5.

        Parameters
        ----------
        strategy : Strategy
            One that keeps a fixed number of coefficients.
        draws, seed
            As for `risk`.

        Returns
        -------
        float or Estimate
            What `risk` returns.

        Raises
        ------
        ValueError
            In the same cases as `risk`, and if s is n or n - 1, where the risk is infinite.
        """
        if isinstance(strategy, HardThreshold | UniformQuantizer):
            raise ValueError(f"strategy is {strategy}, which keeps no fixed number: give one like Magnitude(s)")
        if draws is not None:
            return self._sampled("retrained_risk", strategy, draws, seed, self._retrained_risks)
        kept = self.inclusion(self._separable(strategy))
        return float(_checks.finite("retrained_risk", float(retrained(self.problem, kept, self.n)), _REMEDY))

    def _separable(self, strategy: Strategy) -> Strategy:
        """Return a strategy for which marginals suffice, or refuse."""
        strategies.check_fit(strategy, self.problem.p)
        if not self.problem.is_diagonal:
            raise ValueError("draws is None, but a general covariance calls for sampling: give draws and seed")
        return Hessian(strategy.s) if isinstance(strategy, OptimalBrainSurgeon | Natural) else strategy

    def _sampled(
        self, name: str, strategy: Strategy, draws: int, seed: Seed | None, measure: Callable[[Floats, Strategy], Any]
    ) -> Estimate:
        """Return mean and standard error of `measure` over draws, a chunk at a time."""
        draws = _checks.draws("draws", draws, self.problem.p, 2)
        _checks.room("draws", draws, 16.0 * draws)
        if seed is None:
            raise ValueError("seed is None, but draws are asked for: give a seed")
        rng = _checks.generator(seed)
        strategies.check_fit(strategy, self.problem.p)
        parts = []
        with bars.bar("risk", draws, "draws") as bar:
            for size in _chunks(draws, self.problem.p):
                parts.append(measure(self._draw(size, rng), strategy))
                bar.update(size)
        return statistics.mean(_checks.finite(name, np.concatenate(parts), _REMEDY))

    def _pruned_risks(self, coefficients: Floats, strategy: Strategy) -> Floats:
        """Return the risk of each pruned row, (m,)."""
        return np.asarray(self.problem.risk(strategies.prune(coefficients, strategy, problem=self.problem)))

    def _retrained_risks(self, coefficients: Floats, strategy: Strategy) -> Floats:
        """Return the dense risk of the problem restricted to each row's support, (m,)."""
        supports = strategies.support(coefficients, strategy, problem=self.problem)
        if self.problem.is_diagonal:
            kept = np.zeros(coefficients.shape)
            np.put_along_axis(kept, supports, 1.0, axis=1)
            return retrained(self.problem, kept, self.n)
        width = supports.shape[1]
        parts = np.array_split(supports, max(1, supports.size * width // _CHUNK))
        return np.concatenate([retrained_general(self.problem, part, self.n) for part in parts if len(part)])

    def _weights(self, strategy: Strategy) -> float | Floats:
        """Return what the coefficients are weighed with before their sizes are compared."""
        return np.sqrt(self.problem.variances) if isinstance(strategy, Hessian) else 1.0

    def _closed_risk(self, strategy: Strategy) -> float:
        """Return σ² + Σ_i λ_i E(β_i - g_i(X_i))² for diagonal covariance."""
        if isinstance(strategy, Magnitude | Hessian | Oracle) and strategy.s == self.problem.p:
            return self.gamma
        mean, sd, beta = self.mean, np.sqrt(self.variance), self.problem.beta
        if isinstance(strategy, TwoOfFour):
            error = two_of_four(mean, sd, beta)[1]
        elif isinstance(strategy, Oracle):
            kept = self.inclusion(strategy)
            error = kept * ((mean - beta) ** 2 + sd**2) + (1 - kept) * beta**2
        elif isinstance(strategy, HardThreshold | UniformQuantizer):
            error = compressed_error(mean, sd, beta, pieces_of(strategy))
            atom = is_atom(mean, sd)
            error[atom] = (strategies.prune(mean, strategy)[atom] - beta[atom]) ** 2
        else:
            weights = self._weights(strategy)
            threshold, atoms, share = cut(weights * mean, weights * sd, strategy.s)
            with np.errstate(divide="ignore", invalid="ignore"):  # a weight of 0 makes an atom, which is set below
                limit = threshold / np.asarray(weights)
            error = compressed_error(mean, sd, beta, hard(limit))
            error[atoms] = share * (mean[atoms] - beta[atoms]) ** 2 + (1 - share) * beta[atoms] ** 2
        return self.problem.sigma**2 + float(np.sum(self.problem.variances * error))


def characterize(problem: LinearGaussian, n: int, ridge: float = 0.0) -> MinNormLaw:
    """Return the law of argmin |y - Xb|² + ridge |b|² from n samples, of the minimum-norm solution for ridge = 0.

    With r the rank of the covariance (p, unless some variances are 0) and without a penalty:

    - r > n: chang, Definition 4. At r = n + 1 the law exists, but the expected risk of an actual sample is
      infinite.
    - r < n - 1: the classical law, mean β and covariance σ²Σ⁻¹/(n-r-1). It is exact for each n, while the
      ridge law's limit as μ → 0 has n - r in place of n - r - 1.
    - r = n or n - 1: refused, the expected risk is infinite. A penalty cures it.

    With a penalty μ: τ = 1/ξ solves n - Σ λ_i/(λ_i+τ) = μ/τ, means are λ_iβ̄_i/(λ_i+τ), variances
    γλ_i/(n(λ_i+τ)²), and γ = (σ² + τ² Σ λ_iβ̄_i²/(λ_i+τ)²) / (1 - Σ λ_i²/(n(λ_i+τ)²)); μ → 0 is Definition 4.

    Parameters
    ----------
    problem : LinearGaussian
        The problem; null directions of its covariance get coefficients 0.
    n : int
        Number of samples, at least 1.
    ridge : float
        Penalty μ of at least 0, against the *sum* of squares.

    Returns
    -------
    MinNormLaw
        The law.

    Raises
    ------
    ValueError
        If n < 1, ridge < 0, the covariance is 0, or r is n or n - 1 without a penalty.

    Examples
    --------
    >>> from prunekit import LinearGaussian
    >>> problem = LinearGaussian(np.ones(200), np.full(200, 0.1), 1.0)
    >>> law = characterize(problem, n=100)
    >>> round(float(law.eigen_mean[0] / problem.beta[0]), 6)  # shrunk by n/p
    0.5
    >>> characterize(problem, n=100, ridge=100.0).risk() < law.risk()
    True
    """
    _checks.instance("problem", problem, LinearGaussian, "a LinearGaussian")
    n, ridge = _checks.count("n", n), _checks.scalar("ridge", ridge)
    eigenvalues, vectors = problem.eigen
    beta = problem.beta if vectors is None else vectors.T @ problem.beta
    alive = eigenvalues > 0
    rank = int(np.count_nonzero(alive))
    if rank == 0:
        raise ValueError("covariance is 0: give at least one feature with a positive variance")
    if ridge == 0:
        refuse_infinite(n, rank, f"covariance has rank {rank}", "a positive ridge")
    if ridge == 0 and rank < n:
        noise = problem.sigma**2 / (n - rank - 1)
        with np.errstate(divide="ignore"):
            variance = np.where(alive, noise / eigenvalues, 0.0) if noise > 0 else np.zeros(problem.p)
        xi, gamma, mean = None, noise * (n - 1), np.where(alive, beta, 0.0)
    else:
        solution = effective(eigenvalues[None], beta[None], n, ridge, alive[None])
        # freedom = n - Σ(1-ζ)², so this is Definition 4's quotient without its cancelling difference.
        gamma = float(n * (problem.sigma**2 + solution.signal[0]) / solution.freedom[0])
        xi, kept, lost = float(solution.xi[0]), solution.kept[0], solution.lost[0]
        mean, variance = kept * beta, gamma * xi * kept * lost / n  # (1-ζ)²/λ = ξζ(1-ζ), also where λ = 0
    _checks.finite("the law", (np.sum(mean), np.sum(variance), gamma), "covariance, beta or sigma of the problem")
    return MinNormLaw(problem, n, ridge, xi, gamma, mean, variance)


def _chunks(draws: int, width: int) -> Iterator[int]:
    """Cut a number of draws into chunks, each of which fits in an array of bounded size."""
    size = max(1, _CHUNK // width)
    yield from (min(size, draws - done) for done in range(0, draws, size))
