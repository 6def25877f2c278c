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
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr

from prunekit import _bars, _checks, pruning
from prunekit._checks import Floats, Seed
from prunekit.linear import LinearGaussian
from prunekit.pruning import (
    HardThreshold,
    Hessian,
    Magnitude,
    OptimalBrainSurgeon,
    Oracle,
    SoftThreshold,
    Strategy,
    TwoOfFour,
    UniformQuantizer,
)

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_REACH = 8.0  # e-folds a root search may move before it has a bracket
_CHUNK = 4_000_000  # numbers held at once while sampling
_SQRT_2PI = float(np.sqrt(2 * np.pi))

# A compressor on one stretch of the line, from the previous end up to this one: x + value if it moves x, else value.
Piece = tuple[Any, bool, float]


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
        """Freeze the arrays: they are shared with whoever asks for the mean or the variance."""
        self.eigen_mean.flags.writeable = self.eigen_variance.flags.writeable = False

    def __repr__(self) -> str:
        """Describe the law in a line."""
        return f"MinNormLaw(p={self.problem.p}, n={self.n}, ridge={self.ridge:g}, gamma={self.gamma:.6g})"

    @property
    def mean(self) -> Floats:
        """Means of the coefficients, (p,)."""
        vectors = self.problem.spectrum[1]
        return self.eigen_mean if vectors is None else vectors @ self.eigen_mean

    @property
    def variance(self) -> Floats:
        """Variances of the coefficients, (p,); for a general covariance their covariances are not zero."""
        vectors = self.problem.spectrum[1]
        return self.eigen_variance if vectors is None else vectors**2 @ self.eigen_variance

    @property
    def squared_norm(self) -> float:
        """Expected squared Euclidean norm of the coefficients."""
        return float(np.sum(self.eigen_mean**2 + self.eigen_variance))

    @property
    def training_error(self) -> float:
        """Expected mean square of the residuals on the n samples: γ (μξ/n)², or σ²(1 - p/n) if unique without μ."""
        if self.xi is None:
            rank = np.count_nonzero(self.problem.spectrum[0])
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
        vectors = self.problem.spectrum[1]
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
        pruning.check_fit(strategy, self.problem.p)
        weights = self._weights(strategy)
        return _cut(weights * self.mean, weights * np.sqrt(self.variance), strategy.s)[0]

    def inclusion(self, strategy: Strategy) -> Floats:
        """Return the probability that each coefficient survives pruning.

        Parameters
        ----------
        strategy : Strategy
            Any that prunes; `TwoOfFour` and `OptimalBrainSurgeon` for a diagonal covariance only.

        Returns
        -------
        (p,) array
            Probabilities at the threshold of the limit; they sum to s where the strategy has an s.
        """
        pruning.check_fit(strategy, self.problem.p)
        if isinstance(strategy, TwoOfFour | OptimalBrainSurgeon):
            strategy = self._separable(strategy)
        if isinstance(strategy, UniformQuantizer):
            raise ValueError(f"strategy is {strategy}, which drops nothing: give one that prunes")
        if isinstance(strategy, TwoOfFour):
            return _two_of_four(self.mean, np.sqrt(self.variance), self.problem.beta)[0]
        if isinstance(strategy, Oracle):
            saliency = self.problem.variances * self.problem.beta**2
            return pruning.largest(saliency[None], strategy.s)[0].astype(np.float64)
        mean, sd = self.mean, np.sqrt(self.variance)
        if isinstance(strategy, HardThreshold):
            return _outside(mean, sd, strategy.t)
        weights = self._weights(strategy)
        threshold, atoms, share = _cut(weights * mean, weights * sd, strategy.s)
        kept = _outside(weights * mean, weights * sd, threshold)
        kept[atoms] = share
        return kept

    @overload
    def risk(
        self, strategy: Strategy | None = None, *, draws: int | None = None, seed: Seed | None = None,
        return_error: Literal[False] = False,
    ) -> float: ...  # fmt: skip
    @overload
    def risk(
        self, strategy: Strategy | None = None, *, draws: int | None = None, seed: Seed | None = None,
        return_error: Literal[True],
    ) -> tuple[float, float]: ...  # fmt: skip
    def risk(
        self,
        strategy: Strategy | None = None,
        *,
        draws: int | None = None,
        seed: Seed | None = None,
        return_error: bool = False,
    ) -> float | tuple[float, float]:
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
            Needed with `draws`.
        return_error : bool
            Whether to return the standard error too (0 for a closed form).

        Returns
        -------
        float or (float, float)
            The risk in units of y², and its standard error if asked for.

        Raises
        ------
        ValueError
            For a general covariance without `draws`, for `draws` without `seed`, for an s above p.
        """
        return_error = _checks.flag("return_error", return_error)
        if strategy is None:
            risk, error = self.gamma, 0.0
        elif draws is None:
            risk, error = self._closed_risk(self._separable(strategy)), 0.0
        else:
            risk, error = self._sampled(strategy, draws, seed, self._pruned_risks)
        _checks.finite("risk", (risk, error))
        return (risk, error) if return_error else risk

    @overload
    def retrained_risk(
        self, strategy: Strategy, *, draws: int | None = None, seed: Seed | None = None,
        return_error: Literal[False] = False,
    ) -> float: ...  # fmt: skip
    @overload
    def retrained_risk(
        self, strategy: Strategy, *, draws: int | None = None, seed: Seed | None = None,
        return_error: Literal[True],
    ) -> tuple[float, float]: ...  # fmt: skip
    def retrained_risk(
        self,
        strategy: Strategy,
        *,
        draws: int | None = None,
        seed: Seed | None = None,
        return_error: bool = False,
    ) -> float | tuple[float, float]:
        """Return the expected risk after pruning and refitting the survivors to n fresh samples.

        With `draws`: each draw from the law is pruned to a support I, and the dense risk of the problem
        restricted to I is taken from the law again, over- or underparameterized, whichever s calls for; for s
        < n - 1 that is σ_I² (1 + s/(n-s-1)). Definition 5 writes only the overparameterized law, though its
        own figures have s < n. Without `draws`, for diagonal covariance: the same in the limit, from the
        probabilities of inclusion. Retraining on the samples used before pruning differs, most near p = n. No
        penalty is used in retraining.
        Source: chang, Definition 5.

        Parameters
        ----------
        strategy : Strategy
            One that keeps a fixed number of coefficients.
        draws, seed, return_error
            As for `risk`.

        Returns
        -------
        float or (float, float)
            The risk in units of y², and its standard error if asked for.

        Raises
        ------
        ValueError
            As for `risk`; and if s is n or n - 1, where the risk is infinite.
        """
        return_error = _checks.flag("return_error", return_error)
        if isinstance(strategy, HardThreshold | UniformQuantizer):
            raise ValueError(f"strategy is {strategy}, which keeps no fixed number: give one like Magnitude(s)")
        if draws is None:
            kept = self.inclusion(self._separable(strategy))
            risk, error = float(_retrained(self.problem, kept, self.n)), 0.0
        else:
            risk, error = self._sampled(strategy, draws, seed, self._retrained_risks)
        _checks.finite("retrained_risk", (risk, error))
        return (risk, error) if return_error else risk

    def _separable(self, strategy: Strategy) -> Strategy:
        """Return a strategy for which marginals suffice, or refuse."""
        pruning.check_fit(strategy, self.problem.p)
        if not self.problem.is_diagonal:
            raise ValueError("draws is None, but a general covariance calls for sampling: give draws and seed")
        return Hessian(strategy.s) if isinstance(strategy, OptimalBrainSurgeon) else strategy

    def _sampled(
        self, strategy: Strategy, draws: int, seed: Seed | None, measure: Callable[[Floats, Strategy], Floats]
    ) -> tuple[float, float]:
        """Return mean and standard error of `measure` over draws, a chunk at a time."""
        draws = _checks.draws("draws", draws, self.problem.p, 2)
        _checks.room("draws", draws, 16.0 * draws)
        if seed is None:
            raise ValueError("seed is None, but draws are asked for: give a seed")
        rng = _checks.generator(seed)
        pruning.check_fit(strategy, self.problem.p)
        parts = []
        with _bars.bar("risk", draws, "draws") as bar:
            for size in _chunks(draws, self.problem.p):
                parts.append(measure(self._draw(size, rng), strategy))
                bar.update(size)
        found = np.concatenate(parts)
        return float(found.mean()), float(found.std(ddof=1) / np.sqrt(draws))

    def _pruned_risks(self, coefficients: Floats, strategy: Strategy) -> Floats:
        """Return the risk of each pruned row, (m,)."""
        return np.asarray(self.problem.risk(pruning.prune(coefficients, strategy, problem=self.problem)))

    def _retrained_risks(self, coefficients: Floats, strategy: Strategy) -> Floats:
        """Return the dense risk of the problem restricted to each row's support, (m,)."""
        supports = pruning.support(coefficients, strategy, problem=self.problem)
        if self.problem.is_diagonal:
            kept = np.zeros(coefficients.shape)
            np.put_along_axis(kept, supports, 1.0, axis=1)
            return _retrained(self.problem, kept, self.n)
        width = supports.shape[1]
        parts = np.array_split(supports, max(1, supports.size * width // _CHUNK))
        return np.concatenate([_retrained_general(self.problem, part, self.n) for part in parts if len(part)])

    def _weights(self, strategy: Strategy) -> float | Floats:
        """Return what the coefficients are weighed with before their sizes are compared."""
        return np.sqrt(self.problem.variances) if isinstance(strategy, Hessian) else 1.0

    def _closed_risk(self, strategy: Strategy) -> float:
        """Return σ² + Σ_i λ_i E(β_i - g_i(X_i))² for diagonal covariance."""
        if isinstance(strategy, Magnitude | Hessian | Oracle) and strategy.s == self.problem.p:
            return self.gamma
        mean, sd, beta = self.mean, np.sqrt(self.variance), self.problem.beta
        if isinstance(strategy, TwoOfFour):
            error = _two_of_four(mean, sd, beta)[1]
        elif isinstance(strategy, Oracle):
            kept = self.inclusion(strategy)
            error = kept * ((mean - beta) ** 2 + sd**2) + (1 - kept) * beta**2
        elif isinstance(strategy, HardThreshold | UniformQuantizer):
            error = _compressed_error(mean, sd, beta, _pieces(strategy))
            atom = _is_atom(mean, sd)
            error[atom] = (pruning.prune(mean, strategy)[atom] - beta[atom]) ** 2
        else:
            weights = self._weights(strategy)
            threshold, atoms, share = _cut(weights * mean, weights * sd, strategy.s)
            with np.errstate(divide="ignore", invalid="ignore"):  # weight 0 makes an atom, set below
                limit = threshold / np.asarray(weights)
            error = _compressed_error(mean, sd, beta, _hard(limit))
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
    """
    _checks.instance("problem", problem, LinearGaussian, "a LinearGaussian")
    n, ridge = _checks.count("n", n), _checks.scalar("ridge", ridge)
    eigenvalues, vectors = problem.spectrum
    beta = problem.beta if vectors is None else vectors.T @ problem.beta
    alive = eigenvalues > 0
    rank = int(np.count_nonzero(alive))
    if rank == 0:
        raise ValueError("covariance is 0: give at least one feature with a positive variance")
    if ridge == 0:
        _refuse_infinite(n, rank, f"covariance has rank {rank}", "a positive ridge")
    if ridge == 0 and rank < n:
        noise = problem.sigma**2 / (n - rank - 1)
        with np.errstate(divide="ignore"):
            variance = np.where(alive, noise / eigenvalues, 0.0) if noise > 0 else np.zeros(problem.p)
        xi, gamma, mean = None, noise * (n - 1), np.where(alive, beta, 0.0)
    else:
        found = _effective(eigenvalues[None], beta[None], n, ridge, alive[None])
        # freedom = n - Σ(1-ζ)², so this is Definition 4's quotient without its cancelling difference.
        gamma = float(n * (problem.sigma**2 + found.signal[0]) / found.freedom[0])
        xi, kept, lost = float(found.xi[0]), found.kept[0], found.lost[0]
        mean, variance = kept * beta, gamma * xi * kept * lost / n  # (1-ζ)²/λ = ξζ(1-ζ), also where λ = 0
    _checks.finite("the law", (np.sum(mean), np.sum(variance), gamma), "covariance, beta or sigma of the problem")
    return MinNormLaw(problem, n, ridge, xi, gamma, mean, variance)


def _refuse_infinite(n: int, rank: float, what: str, cure: str) -> None:
    """Raise if the expected risk of least squares with `rank` features is infinite; tell what it is and a way out."""
    if n - 1 - 1e-9 * n < rank < n + 1e-9 * n:
        raise ValueError(
            f"n is {n} and {what}, where the expected risk is infinite: "
            f"give n below {round(rank)}, n above {round(rank) + 1}, or {cure}"
        )


class _Effective(NamedTuple):
    """What ξ does to m problems of p features each."""

    xi: Floats  # ξ, (m,)
    kept: Floats  # 1 - ζ = ξλ/(1+ξλ), (m, p), to full relative precision
    lost: Floats  # ζ = 1/(1+ξλ), (m, p), likewise
    signal: Floats  # Σ λζ²β̄², (m,)
    freedom: Floats  # n - Σ (1-ζ)² = Σ ζ(1-ζ) + μξ, (m,)


def _effective(eigenvalues: Floats, beta: Floats, n: int, ridge: float, weights: ArrayLike) -> _Effective:
    """Solve Σ (1-ζ_i) + μξ = n for ξ, in m problems at once, where feature i counts with its weight.

    Source: chang, Definition 4, the equation for ξ, where μ = 0 and the weights are 1.

    Parameters
    ----------
    eigenvalues, beta, weights : (m, p) arrays
        Spectrum, latent coefficients in its basis, and how much of each feature there is (1 or 0, or a
        probability).
    n : int
        Number of samples.
    ridge : float
        Penalty μ; if 0, each row of weights sums to more than n.

    Returns
    -------
    _Effective
        ξ, ζ and the sums that γ is made of.
    """
    weights = np.asarray(weights, dtype=np.float64)
    alive = np.where(eigenvalues > 0, weights, 0.0)
    rank = alive.sum(axis=1)
    unit = np.array([np.median(row[row > 0]) for row in eigenvalues])  # of λ, so that log ξ is not large
    with np.errstate(divide="ignore"):
        logs = np.log(eigenvalues / unit[:, None])
    penalty = ridge / unit

    def balance(x: Floats) -> tuple[Floats, Floats]:
        """Return log(a/b) and its slope, a = b being the equation with every term positive."""
        kept, lost = expit(logs + x[:, None]), expit(-logs - x[:, None])
        turn = np.sum(alive * kept * lost, axis=1)
        with np.errstate(over="ignore"):
            ridged = penalty * np.exp(x)
        few = n <= rank / 2
        a = ridged + np.where(few, np.sum(alive * kept, axis=1), np.maximum(rank - n, 0.0))
        b = np.where(few, n, np.sum(alive * lost, axis=1) + np.maximum(n - rank, 0.0))
        da, db = ridged + np.where(few, turn, 0.0), np.where(few, 0.0, -turn)
        a, b = np.maximum(a, _TINY), np.maximum(b, _TINY)
        return np.log(a / b), da / a - db / b

    x = _increasing_root(balance, np.log(n / np.maximum(np.abs(rank - n), 1.0)))
    kept, lost = expit(logs + x[:, None]), expit(-logs - x[:, None])
    signal = np.sum(weights * eigenvalues * (lost * beta) ** 2, axis=1)
    freedom = np.sum(alive * kept * lost, axis=1) + penalty * np.exp(x)
    return _Effective(np.exp(x) / unit, kept, lost, signal, freedom)


def _increasing_root(function: Callable[[Floats], tuple[Floats, Floats]], start: Floats) -> Floats:
    """Return the roots of m increasing functions of one variable: Newton's steps, kept within a shrinking bracket.

    `function` maps m arguments to m values and m slopes.
    """
    x = np.array(start, dtype=np.float64)
    low, high, last = np.full(x.shape, -np.inf), np.full(x.shape, np.inf), np.full(x.shape, np.inf)
    for _ in range(300):
        value, slope = function(x)
        low, high = np.where(value <= 0, x, low), np.where(value >= 0, x, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = np.where(slope > 0, -value / slope, -np.sign(value) * _REACH)
            step = np.clip(step, -_REACH, _REACH)
            middle = low + (high - low) / 2
            bracketed = np.isfinite(middle)
            stray = (x + step <= low) | (x + step >= high) | (np.abs(step) > last / 2)
        new = np.where(value == 0, x, np.where(bracketed & stray, middle, x + step))
        moved, x = np.abs(new - x), new
        # Newton's steps shrink quadratically: from the last two, the next one is foreseen, and if tiny not taken.
        with np.errstate(invalid="ignore"):
            sure = np.isfinite(last) & (moved < 0.1 * last) & ~(bracketed & stray)
            foreseen = np.where(sure, moved * (moved / last) ** 2, moved)
        if np.all(np.minimum(moved, foreseen) <= 4 * _EPS * np.maximum(1.0, np.abs(x))):
            return x
        last = moved
    raise FloatingPointError("no root in 300 steps: the spectrum leaves the range of double precision")


def interval_moments(mean: Any, sd: Any, low: Any, high: Any, about: Any = 0.0) -> tuple[Floats, Floats, Floats]:
    """Return E[(X - about)^j 1(low < X <= high)] for X ~ N(mean, sd²) and j = 0, 1, 2.

    With a = (low-mean)/sd, b = (high-mean)/sd and d = mean - about: P = Φ(b) - Φ(a), computed in the nearer
    tail; d P + sd (φ(a) - φ(b)); d² P + 2 d sd (φ(a) - φ(b)) + sd² (P + aφ(a) - bφ(b)). In narrow intervals, where
    these terms cancel, by Gauss-Legendre quadrature of the density instead.

    Parameters
    ----------
    mean, sd, low, high, about : float or (p,) arrays
        Parameters of the Gaussians, ends of the intervals (infinite ones allowed, low <= high), centres of
        the moments. For sd = 0 the variable is its mean.

    Returns
    -------
    tuple of three arrays
        The moments of order 0, 1 and 2, of the arguments' common shape; numbers for numbers.

    Raises
    ------
    ValueError
        For NaN, a negative sd, an infinite mean, sd or centre, low > high.
    """
    given = {"mean": mean, "sd": sd, "low": low, "high": high, "about": about}
    mean, sd, low, high, about = (_checks.numbers(name, value) for name, value in given.items())
    _checks.together(mean=mean, sd=sd, low=low, high=high, about=about)
    if np.any(sd < 0) or not np.all(np.isfinite(sd + np.abs(mean) + np.abs(about))):
        raise ValueError(
            "sd is negative, or one of mean, sd, about is infinite: give finite ones, and sd of at least 0"
        )
    if np.any(low > high):
        raise ValueError("low is above high: give low <= high")
    with np.errstate(over="ignore", invalid="ignore"):
        moments = _moments_between(_edge(mean, sd, low), _edge(mean, sd, high), sd, mean - about)
    mean, sd, low, high, about = np.broadcast_arrays(mean, sd, low, high, about)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        width = (high - low) / sd
        steepness = np.maximum(np.abs(low - mean), np.abs(high - mean)) / sd * width
    narrow = (sd > 0) & (width <= 1) & (steepness <= 20)
    found = [np.array(np.broadcast_to(moment, narrow.shape)) for moment in moments]
    places = np.flatnonzero(narrow)
    chosen = [np.ravel(x)[places] for x in (mean, sd, low, high, about)]
    size = _CHUNK // 400  # 40 nodes of each interval, in several arrays
    for first in range(0, places.size, size):
        part = slice(first, first + size)
        for moment, values in zip(found, _moments_by_quadrature(*(x[part] for x in chosen)), strict=True):
            moment.flat[places[part]] = values
    for order, moment in enumerate(found):
        _checks.finite(f"the moment of order {order}", moment, "mean, sd, low, high and about")
    return found[0][()], found[1][()], found[2][()]


def _moments_by_quadrature(
    mean: Floats, sd: Floats, low: Floats, high: Floats, about: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the moments (m,) of narrow intervals: sums of terms of one sign, if the centre is outside or at an end.

    40 nodes resolve a density that falls by a factor e^20 across the interval to every digit.
    """
    nodes, weights = np.polynomial.legendre.leggauss(40)
    step = np.multiply.outer(high - low, (nodes + 1) / 2)
    mass = _density(((low - mean)[:, None] + step) / sd[:, None]) * weights / 2 * ((high - low) / sd)[:, None]
    offset = (low - about)[:, None] + step
    return mass.sum(axis=1), (mass * offset).sum(axis=1), (mass * offset**2).sum(axis=1)


class _Edge(NamedTuple):
    """A bound x of an interval, as the Gaussians N(mean, sd²) see it."""

    z: Any  # (x - mean)/sd
    below: Any  # P(X <= x)
    above: Any  # P(X > x), not as 1 - below
    density: Any  # φ(z)


def _edge(mean: Any, sd: Any, x: Any) -> _Edge:
    """Return what the moments of intervals that begin or end at x need."""
    if np.ndim(x) == 0 and np.isinf(x):
        return _Edge(100.0, 1.0, 0.0, 0.0) if x > 0 else _Edge(-100.0, 0.0, 1.0, 0.0)
    z = _standardize(mean, sd, x)
    return _Edge(z, ndtr(z), ndtr(-z), _density(z))


def _probability_between(low: _Edge, high: _Edge) -> Floats:
    """Return P(low < X <= high), as a difference of the tails on the side where they are small."""
    return np.where(np.greater(low.z, 0), low.above - high.above, high.below - low.below)


def _moments_between(low: _Edge, high: _Edge, sd: Any, shift: Any) -> tuple[Floats, Floats, Floats]:
    """Return the moments of order 0, 1, 2 of X between two edges, about the point `shift` below its mean."""
    probability = _probability_between(low, high)
    spread = sd * (low.density - high.density)
    second = sd**2 * (probability + low.z * low.density - high.z * high.density)
    moment = shift**2 * probability + 2 * shift * spread + second
    return probability, shift * probability + spread, np.maximum(moment, 0.0)


def _standardize(mean: Any, sd: Any, x: Any) -> Floats:
    """Return (x - mean)/sd, clipped where the normal distribution is 0 or 1 to every digit."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = np.maximum(np.minimum(np.subtract(x, mean) / sd, 100.0), -100.0)
    # 0/0: a coordinate that does not vary and sits at x is not above it.
    return np.where(np.isnan(z), 100.0, z) if np.isnan(np.sum(z)) else z


def _density(z: Floats) -> Floats:
    """Return the standard normal density."""
    return np.exp(-0.5 * z * z) / _SQRT_2PI


def _outside(mean: Any, sd: Any, limit: Any) -> Floats:
    """Return P(|X| > limit)."""
    return ndtr(-_standardize(np.negative(mean), sd, limit)) + ndtr(-_standardize(mean, sd, limit))


def _is_atom(mean: Floats, sd: Floats) -> pruning.Mask:
    """Tell which coordinates vary by no more than the rounding errors of their means."""
    return sd <= 64 * _EPS * np.abs(mean)


def _cut(mean: Floats, sd: Floats, s: int) -> tuple[float, pruning.Mask, Floats]:
    """Return the threshold t at which the expected number of |X_i| above it is s.

    Coordinates that do not vary make the expected number jump; where it jumps over s, those that sit at t are
    kept by lowest index, the last of them in part.

    Parameters
    ----------
    mean, sd : (p,) arrays
        Parameters of the independent Gaussians compared.
    s : int
        Expected number kept, from 1 to p.

    Returns
    -------
    threshold : float
        t.
    atoms : (p,) boolean array
        The coordinates that do not vary.
    share : (number of atoms,) array
        How much of each of them is kept, from 0 to 1.
    """
    atoms = _is_atom(mean, sd)
    if not atoms.any():
        return _smooth_cut(mean, sd, float(s)), atoms, np.zeros(0)
    sizes, smooth = np.abs(mean[atoms]), ~atoms
    mean, sd = mean[smooth], sd[smooth]

    def moving(t: float) -> float:
        """Return the expected number of varying coordinates above t."""
        return float(np.sum(_outside(mean, sd, t)))

    steps = np.unique(sizes)
    first, last = -1, steps.size  # the largest step that the s kept reach down to
    while last - first > 1:
        middle = (first + last) // 2
        reached = moving(steps[middle]) + np.count_nonzero(sizes >= steps[middle]) >= s
        first, last = (middle, last) if reached else (first, middle)
    above = (sizes > steps[first]) if first >= 0 else np.ones(sizes.size, dtype=bool)
    share = above.astype(np.float64)
    room = s - float(share.sum())
    if first >= 0 and moving(steps[first]) <= room:
        at = np.flatnonzero(sizes == steps[first])
        share[at] = np.clip(room - moving(steps[first]) - np.arange(at.size), 0.0, 1.0)
        return float(steps[first]), atoms, share
    return _smooth_cut(mean, sd, room), atoms, share


def _smooth_cut(mean: Floats, sd: Floats, target: float) -> float:
    """Return t with Σ P(|X_i| > t) = target, for coordinates that vary; solved in log t."""
    p = mean.size
    if target >= p:
        return 0.0
    few = target <= p / 2
    goal = target if few else p - target

    size = np.hypot(mean, sd)
    rank = min(p - 1, max(0, p - round(target)))
    unit = float(np.partition(size, rank)[rank])  # about t, so that log(t/unit) is not large
    centre = mean / sd

    def excess(x: Floats) -> tuple[Floats, Floats]:
        t = unit * np.exp(x[0])
        reach = t / sd
        low, high = -reach - centre, reach - centre
        if few:
            found = np.sum(ndtr(low) + ndtr(-high))
        else:  # Φ(high) - Φ(low), in the nearer tail
            upper = low > 0
            found = np.sum(ndtr(np.where(upper, -low, high)) - ndtr(np.where(upper, -high, low)))
        slope = t * np.sum((_density(low) + _density(high)) / sd)
        found = max(found, _TINY)
        sign = -1.0 if few else 1.0
        return np.array([sign * np.log(found / goal)]), np.array([slope / found])

    with np.errstate(over="ignore"):  # coordinates that hardly vary lie immeasurably many sd from t
        return float(unit * np.exp(_increasing_root(excess, np.zeros(1))[0]))


def _hard(t: Any) -> list[Piece]:
    """Return the pieces of keeping what exceeds t in size; t may differ from coordinate to coordinate."""
    return [(np.negative(t), True, 0.0), (t, False, 0.0), (np.inf, True, 0.0)]


def _pieces(strategy: HardThreshold | UniformQuantizer) -> list[Piece]:
    """Return the pieces of a compressor that treats each coordinate by itself and alike."""
    if isinstance(strategy, UniformQuantizer):
        inner = strategy.step * (np.arange(1, 2**strategy.bits) - 2 ** (strategy.bits - 1))
        ends = [*inner.tolist(), np.inf]
        return [(end, False, float(level)) for end, level in zip(ends, strategy.levels, strict=True)]
    if isinstance(strategy, SoftThreshold):
        t = strategy.t
        return [(-t, True, t), (t, False, 0.0), (np.inf, True, -t)]
    return _hard(strategy.t)


def _compressed_error(mean: Floats, sd: Floats, beta: Floats, pieces: list[Piece]) -> Floats:
    """Return E(g(X_i) - β_i)² for X_i ~ N(mean_i, sd_i²) and a compressor g given by its pieces.

    Parameters
    ----------
    mean, sd, beta : (p,) arrays
        Parameters of the law and the latent coefficients.
    pieces : list of (end, moves, value)
        From the last piece's end (at first -∞) up to `end`, g(x) is x + value if `moves`, else `value`; the last
        end is ∞. Ends may differ from coordinate to coordinate.

    Returns
    -------
    (p,) array
        The expected squared errors.
    """
    error = np.zeros(mean.shape)
    low = _edge(mean, sd, -np.inf)
    for end, moves, value in pieces:
        high = _edge(mean, sd, end)
        if moves:
            error += _moments_between(low, high, sd, mean - beta + value)[2]
        else:
            error += _probability_between(low, high) * (value - beta) ** 2
        low = high
    return error


def _chunks(draws: int, width: int) -> Iterator[int]:
    """Cut a number of draws into sizes of which each fills a bounded array."""
    size = max(1, _CHUNK // width)
    yield from (min(size, draws - done) for done in range(0, draws, size))


def _retrained(problem: LinearGaussian, kept: Floats, n: int) -> Any:
    """Return the dense risk with the features `kept` (..., p), 0 or 1 or probabilities; diagonal Σ."""
    rows = np.atleast_2d(kept)
    variances = problem.variances
    noise = problem.sigma**2 + (1 - rows) @ (variances * problem.beta**2)  # σ_I²
    risk = _dense_risk(variances[None], problem.beta[None], noise, n, rows)
    return risk if kept.ndim == 2 else risk[0]


def _dense_risk(eigenvalues: Floats, beta: Floats, noise: Floats, n: int, weights: Floats) -> Floats:
    """Return the dense risks of m problems, under- or overparameterized each by its own rank.

    Shapes as for `_effective`, where the first two may have one row for all; noise (m,) holds the σ_I².
    """
    rank = np.sum(np.where(eigenvalues > 0, weights, 0.0), axis=1)
    for one in np.unique(rank):
        _refuse_infinite(n, one, f"{one:g} features are kept", "another s")
    risk = noise * (n - 1) / np.where(rank < n, n - rank - 1, 1.0)  # = σ_I² (1 + s/(n-s-1))
    over = np.flatnonzero(rank > n)
    if over.size:
        shape = (over.size, weights.shape[1])
        spectra = np.broadcast_to(eigenvalues if len(eigenvalues) == 1 else eigenvalues[over], shape)
        latent = np.broadcast_to(beta if len(beta) == 1 else beta[over], shape)
        found = _effective(spectra, latent, n, 0.0, weights[over])
        risk[over] = n * (noise[over] + found.signal) / found.freedom
    return risk


def _retrained_general(problem: LinearGaussian, supports: _checks.Integers, n: int) -> Floats:
    """Return the dense risks of the problem restricted to each row of supports (m, s); general Σ."""
    width = supports.shape[1]
    blocks = problem.covariance[supports[:, :, None], supports[:, None, :]]
    eigenvalues, vectors = np.linalg.eigh(blocks)
    alive = eigenvalues > width * _EPS * eigenvalues[:, -1:]
    eigenvalues = np.where(alive, eigenvalues, 0.0)
    right = (problem.covariance @ problem.beta)[supports]
    rotated = np.einsum("mij,mi->mj", vectors, right)
    beta = np.divide(rotated, eigenvalues, out=np.zeros_like(rotated), where=alive)
    projected = np.zeros((len(supports), problem.p))  # β_I, zero-padded: its risk is σ_I²
    np.put_along_axis(projected, supports, np.einsum("mij,mj->mi", vectors, beta), axis=1)
    return _dense_risk(eigenvalues, beta, np.asarray(problem.risk(projected)), n, alive.astype(np.float64))


def _two_of_four(mean: Floats, sd: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Return the probability of survival and E(g(X_i) - β_i)² under `TwoOfFour`, each (p,).

    Coordinate i of a group survives where at most one of the other three exceeds it: with Q_i(r) the chance of
    that at |X_i| = r, E(g(X_i) - β_i)² = β_i² + E[(X_i² - 2β_iX_i) Q_i(|X_i|)], an integral over one variable.
    """
    groups = [part.reshape(-1, 4) for part in (mean, sd)]
    size = _CHUNK // 2000
    parts = [
        _group_moments(*(part[first : first + size] for part in groups)) for first in range(0, mean.size // 4, size)
    ]
    chance, first, second = (np.concatenate(part).reshape(-1) for part in zip(*parts, strict=True))
    return chance, np.maximum(beta**2 + second - 2 * beta * first, 0.0)


def _group_moments(mean: Floats, sd: Floats) -> tuple[Floats, Floats, Floats]:
    """Return E[X_i^j Q_i(|X_i|)], j = 0, 1, 2, for groups of four (g, 4), by Gauss-Legendre panels."""
    radius, weight = _panels(np.abs(mean), sd)
    atom = _is_atom(mean, sd)
    moments = tuple(np.zeros(mean.shape) for _ in range(3))
    exceeds = [_outside(mean[:, [j]], sd[:, [j]], radius) for j in range(4)]
    for i in range(4):
        others = [j for j in range(4) if j != i]
        chance = weight * _at_most_one(*(exceeds[j] for j in others))
        spread = np.where(atom[:, i], 1.0, sd[:, i])[:, None]
        plus, minus = (_density((sign * radius - mean[:, [i]]) / spread) / spread for sign in (1, -1))
        # A coordinate that does not vary is compared at its own size, ties won by the lower index.
        own = np.abs(mean[:, i])
        rivals = [
            np.where(atom[:, j] & (np.abs(mean[:, j]) == own), float(j < i), _outside(mean[:, j], sd[:, j], own))
            for j in others
        ]
        fixed = _at_most_one(*rivals)
        for order, moment in enumerate(moments):
            smooth = np.sum(chance * radius**order * (plus + (-1) ** order * minus), axis=1)
            moment[:, i] = np.where(atom[:, i], fixed * mean[:, i] ** order, smooth)
    return moments  # type: ignore[return-value]


def _at_most_one(first: Floats, second: Floats, third: Floats) -> Floats:
    """Return the probability that at most one of three independent events happens."""
    a, b, c = 1 - first, 1 - second, 1 - third
    return a * b * c + first * b * c + a * second * c + a * b * third


def _panels(size: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Return nodes and weights (g, k) on the half-line, panelled where any of four densities or tails turns."""
    turns = size[:, :, None] + sd[:, :, None] * np.array([-10.0, -5.0, -2.5, 0.0, 2.5, 5.0, 10.0])
    edges = np.sort(np.maximum(turns.reshape(len(size), -1), 0.0), axis=1)
    edges = np.column_stack([np.zeros(len(size)), edges])
    node, weight = np.polynomial.legendre.leggauss(14)
    half = np.diff(edges, axis=1)[:, :, None] / 2
    middle = (edges[:, :-1, None] + edges[:, 1:, None]) / 2
    return (middle + half * node).reshape(len(size), -1), (half * weight).reshape(len(size), -1)
