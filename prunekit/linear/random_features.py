"""Random features, and the linear Gaussian problem that stands for them.

Fitting y to features x = φ(a) of Gaussian inputs a is, to second order, the linear Gaussian problem with
Σ = E[xxᵀ], β = Σ⁺E[yx] and σ² = E[y²] - E[yx]ᵀΣ⁺E[yx] (chang, Definition 2). For ReLU features x = ReLU(Ra) and
the target y = aᵀβ₁ + (aᵀβ₂)² of chang, Figures 2 and 4, `equivalent_problem` has these moments in closed form;
`equivalent_problem_by_moments` estimates them for any map and target; `sample` draws the real thing.
The equivalence is itself an approximation: real risks are a few percent above it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.linear import LinearGaussian

_EPS = float(np.finfo(np.float64).eps)
_BATCHES = 20  # the number of batches of draws, each left out in turn for the standard errors
_CHUNK = 2_000_000  # numbers held at once


@dataclass(frozen=True, eq=False)
class MomentEstimate:
    """An equivalent problem made from Monte Carlo moments.

    Attributes
    ----------
    problem : LinearGaussian
        The estimate; its σ² with the jackknife's correction of the bias.
    beta_error : (p,) array
        Standard errors of its coefficients, by the jackknife over batches of draws.
    noise_error : float
        Standard error of its noise variance σ².
    """

    problem: LinearGaussian
    beta_error: Floats
    noise_error: float


def equivalent_problem(R: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> LinearGaussian:
    """Return the linear Gaussian problem equivalent to ReLU features of a linear plus squared target.

    With r_i the rows of R and θ_ij their angles, Σ_ij = |r_i||r_j| (sin θ + (π-θ) cos θ)/(2π),
    E[yx_i] = r_iᵀβ₁/2 + |r_i|/√(2π) (|β₂|² + (β₂ᵀr_i/|r_i|)²) and E[y²] = |β₁|² + 3|β₂|⁴.
    Source: chang, Definition 2 and Section 3.2; the covariance is the first-order arc-cosine kernel.

    Parameters
    ----------
    R : (p, d) array
        First layer; no row may be 0.
    beta1, beta2 : (d,) arrays
        Directions of the linear and of the squared part of the target; of norm 1 in the paper.

    Returns
    -------
    LinearGaussian
        A problem with general covariance (p, p). Σ is badly conditioned for p ≫ d: directions whose eigenvalues are
        rounding errors are given the coefficient 0.
    """
    R, beta1, beta2 = _layer(R, beta1, beta2)
    with _checks.in_range("the equivalent problem", "R, beta1 or beta2"):
        covariance, beta, noise = _equivalent(R, beta1, beta2)
        for part in (covariance, beta, noise):
            _checks.finite("the equivalent problem", part, "R, beta1 or beta2")
    return LinearGaussian(covariance, beta, float(np.sqrt(max(noise, 0.0))))


def _equivalent(R: Floats, beta1: Floats, beta2: Floats) -> tuple[Floats, Floats, float]:
    """Return the covariance (p, p), the coefficients (p,) and the variance of the noise."""
    length = np.linalg.norm(R, axis=1)
    unit = R / length[:, None]
    cosine = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    angle = np.arccos(cosine)
    kernel = (np.sqrt((1 - cosine) * (1 + cosine)) + (np.pi - angle) * cosine) / (2 * np.pi)
    covariance = length[:, None] * length * kernel
    square = np.sum(beta2**2)
    cross = R @ beta1 / 2 + length / np.sqrt(2 * np.pi) * (square + (unit @ beta2) ** 2)
    beta, explained = _regress((covariance + covariance.T) / 2, cross)
    noise = np.sum(beta1**2) + 3 * square**2 - explained
    return (covariance + covariance.T) / 2, beta, float(noise)


def draw_layer(p: int, d: int, seed: Seed, *, cosine: float | None = None) -> tuple[Floats, Floats, Floats]:
    """Draw a first layer, and directions of the linear and of the squared part of the target.

    Source: chang, Section 3.2, where all entries are Gaussian and the two directions have norm 1.

    Parameters
    ----------
    p, d : int
        Numbers of features and of inputs.
    seed : int, SeedSequence or Generator
        Where the randomness comes from; what is drawn does not depend on `cosine`.
    cosine : float, optional
        Cosine of the angle between the two directions, from -1 to 1; by default it is left to chance. It needs at
        least two inputs.

    Returns
    -------
    R : (p, d) array
        First layer.
    beta1, beta2 : (d,) arrays
        Unit vectors.
    """
    p, d = _checks.count("p", p), _checks.count("d", d, 1 if cosine is None else 2)
    _checks.room("p", f"{p}, d is {d}", 8.0 * p * d)
    rng = _checks.generator(seed)
    if cosine is not None:
        cosine = _checks.real("cosine", cosine)
        if not -1 <= cosine <= 1:
            raise ValueError(f"cosine is {cosine}: give a number from -1 to 1")
    R = rng.standard_normal((_checks.draws("p", p, d, each_is="the inputs"), d))
    beta1, beta2 = (v / np.linalg.norm(v) for v in rng.standard_normal((2, d)))
    if cosine is not None:
        across = beta2 - beta1 * (beta1 @ beta2)
        across /= np.linalg.norm(across)
        beta2 = cosine * beta1 + np.sqrt(1 - cosine**2) * across
    return R, beta1, beta2


def sample(R: ArrayLike, beta1: ArrayLike, beta2: ArrayLike, n: int, seed: Seed) -> tuple[Floats, Floats]:
    """Draw ReLU features and labels: x = ReLU(Ra), y = aᵀβ₁ + (aᵀβ₂)², a ~ N(0, I).

    Source: chang, Section 3.2, the setting of Figures 2 and 4.

    Parameters
    ----------
    R, beta1, beta2
        As for `equivalent_problem`.
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
    R, beta1, beta2 = _layer(R, beta1, beta2)
    n = _checks.draws("n", n, R.shape[1])
    _checks.room("n", n, 8.0 * n * (R.shape[1] + 2 * len(R)))
    inputs = _checks.generator(seed).standard_normal((n, R.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        features, labels = np.maximum(inputs @ R.T, 0.0), inputs @ beta1 + (inputs @ beta2) ** 2
    return _checks.finite("the features", features, "R"), _checks.finite("the labels", labels, "beta1 or beta2")


def equivalent_problem_by_moments(
    feature_map: Callable[[Floats], Floats],
    target: Callable[[Floats], Floats],
    d: int,
    draws: int,
    seed: Seed,
) -> MomentEstimate:
    """Estimate the linear Gaussian problem equivalent to any features of Gaussian inputs.

    The moments are averages over draws, so σ² would be low by a share of about p/draws, most of which the jackknife
    takes off: give draws ≫ p. The errors come from 20 batches: two of them hold the truth in 94% of cases, as two
    standard errors of twenty draws do. Source: chang, Definition 2.

    Parameters
    ----------
    feature_map : function from (m, d) to (m, p) arrays
        φ, applied to m inputs at once.
    target : function from (m, d) to (m,) arrays
        The label of each input.
    d : int
        Dimension of the inputs a ~ N(0, I).
    draws : int
        Number of inputs drawn in all, at least 20.
    seed : int, SeedSequence or Generator
        Where the randomness comes from.

    Returns
    -------
    MomentEstimate
        The problem, with standard errors of its coefficients and noise.
    """
    _checks.function("feature_map", feature_map)
    _checks.function("target", target)
    d = _checks.count("d", d)
    _checks.room("d", d, 24.0 * d)
    draws = _checks.draws("draws", draws, d, _BATCHES)
    rng = _checks.generator(seed)
    sizes = np.diff(np.linspace(0, draws, _BATCHES + 1).astype(int))
    with bars.bar("moments", draws, "draws") as bar:
        sums = [_moment_sum(feature_map, target, d, int(size), rng, bar) for size in sizes]
    total = np.sum(sums, axis=0)
    beta, noise = _from_moments(total / draws)
    left_out = [_from_moments((total - part) / (draws - size)) for part, size in zip(sums, sizes, strict=True)]
    spread = np.array([[*b, v] for b, v in left_out])
    errors = np.sqrt((_BATCHES - 1) * np.mean((spread - spread.mean(axis=0)) ** 2, axis=0))
    noise = max(_BATCHES * noise - (_BATCHES - 1) * float(spread[:, -1].mean()), 0.0)
    problem = LinearGaussian(total[:-1, :-1] / draws, beta, float(np.sqrt(noise)))
    return MomentEstimate(problem, errors[:-1], float(errors[-1]))


def _layer(R: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Check a first layer and the two directions of the target."""
    R = _checks.array("R", R, ndim=2)
    empty = np.flatnonzero(~R.any(axis=1))
    if empty.size:
        raise ValueError(f"R has a row of zeros at index {empty[0]}, a feature that is always 0: leave it out")
    like = f"R has {R.shape[1]} columns"
    beta1 = _checks.vector("beta1", beta1, R.shape[1], like=like)
    return R, beta1, _checks.vector("beta2", beta2, R.shape[1], like=like)


def _regress(covariance: Floats, cross: Floats) -> tuple[Floats, float]:
    """Return β = Σ⁺E[yx] and the explained E[yx]ᵀΣ⁺E[yx], in the eigenbasis of the features of variance 1.

    So neither what counts as a rounding error nor what is explained depends on the features' units.
    """
    scale = np.sqrt(np.diagonal(covariance))
    scale = np.where(scale > 0, scale, 1.0)
    eigenvalues, vectors = np.linalg.eigh(covariance / scale[:, None] / scale)
    alive = eigenvalues > len(cross) * _EPS * eigenvalues[-1]
    coordinates = vectors[:, alive].T @ (cross / scale)
    beta = vectors[:, alive] @ (coordinates / eigenvalues[alive]) / scale
    return np.asarray(beta), float(np.sum(coordinates**2 / eigenvalues[alive]))


def _from_moments(moments: Floats) -> tuple[Floats, float]:
    """Return β and σ² from the second moments (p+1, p+1) of features and label."""
    beta, explained = _regress(moments[:-1, :-1], moments[:-1, -1])
    return beta, max(float(moments[-1, -1]) - explained, 0.0)


def _moment_sum(
    feature_map: Callable[[Floats], Floats],
    target: Callable[[Floats], Floats],
    d: int,
    draws: int,
    rng: np.random.Generator,
    bar: Any,
) -> Floats:
    """Return the sum over draws of the outer square of (x, y), (p+1, p+1)."""
    total, done, width = None, 0, d
    while done < draws:
        size = min(draws - done, max(1, _CHUNK // (width + 1)))
        inputs = rng.standard_normal((size, d))
        features = _checks.array("feature_map(inputs)", feature_map(inputs), ndim=2)
        if len(features) != size:
            raise ValueError(f"feature_map(inputs) has shape {features.shape}, for {size} inputs: give {size} rows")
        labels = _checks.vector("target(inputs)", target(inputs), size, like=f"inputs has {size} rows")
        joined = np.column_stack([features, labels])
        total = joined.T @ joined + (0.0 if total is None else total)
        done, width = done + size, joined.shape[1]
        bar.update(size)
    return np.asarray(total)
