"""Compressors at equal bits: what each is predicted to cost, and which of their settings no other setting beats.

Bits are counted for each coefficient, zeros included: a level of a quantizer costs its bits, or its entropy with an
ideal code; a mask of share a costs H₂(a); what is kept costs a float, or a level, each. What is stored once is free.
Compressors rank by Hessian saliency, so that they are those of the coefficients of features scaled to unit variance; a
quantizer's levels are equally spaced in units of the coefficients themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from prunekit import _checks
from prunekit._checks import Floats, Integers
from prunekit.linear.law import MinNormLaw
from prunekit.linear.least_squares import min_norm
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.risk_curves import sequence
from prunekit.linear.strategies import Magnitude, SoftThreshold, TwoOfFour, UniformQuantizer, prune

Action = Magnitude | SoftThreshold | TwoOfFour | UniformQuantizer | tuple[Magnitude, UniformQuantizer]
LABELS = ("quantize", "quantize, ideal code", "prune", "soft threshold", "prune, then quantize", "two of four")
_CODED = np.linspace(0.2, 1.8, 9)  # ranges of quantizers with an ideal code, in units of the best one
_PRUNED_DEPTHS = 5  # how many of the depths are tried for what pruning leaves


class Choice(NamedTuple):
    """A compressor with its settings: its label, bits a coefficient, predicted risk in units of y², what to apply."""

    label: str
    bits: float
    risk: float
    action: Action


def entropy(shares: ArrayLike) -> float:
    """Return the entropy in bits of a distribution given by its probabilities, which sum to 1.

    Parameters
    ----------
    shares : (m,) array
        The probabilities.

    Raises
    ------
    ValueError
        If one is negative, or they do not sum to 1.
    """
    probabilities = _checks.nonnegative_vector("shares", shares)
    if abs(probabilities.sum() - 1) > 1e-9:
        raise ValueError(f"shares sum to {probabilities.sum():g}: give probabilities, which sum to 1")
    probabilities = probabilities[probabilities > 0]
    return float(-np.sum(probabilities * np.log2(probabilities)))


def scaled(law: MinNormLaw) -> MinNormLaw:
    """Return the law of the coefficients of features scaled to unit variance, for a diagonal covariance."""
    problem, root = law.problem, np.sqrt(law.problem.variances)
    unit = LinearGaussian(np.ones(problem.p), root * problem.beta, problem.sigma)
    return replace(law, problem=unit, eigen_mean=root * law.mean, eigen_variance=law.variance * root**2)


def level_shares(law: MinNormLaw, quantizer: UniformQuantizer) -> Floats:
    """Return how often each level occurs among all coefficients, (2^bits,)."""
    half = 2 ** (quantizer.bits - 1)
    inner = quantizer.step * np.arange(1 - half, half)
    z = (inner[:, None] - law.mean) / np.sqrt(law.variance)
    return np.diff(np.concatenate([[0.0], ndtr(z).mean(axis=1), [1.0]]))


def pruned_quantized_risk(law: MinNormLaw, cut: Floats, quantizer: UniformQuantizer) -> float:
    """Return the risk after quantizing what exceeds the cuts (p,) in size, and setting the rest to 0.

    Levels lie symmetrically about 0; a coefficient above its cut takes the level that the quantizer gives it.
    """
    problem, sd = law.problem, np.sqrt(law.variance)
    levels = quantizer.levels[quantizer.levels > 0]
    inner = [np.maximum(x, cut) for x in quantizer.step * np.arange(1, levels.size)]
    dropped, error = np.ones(problem.p), np.zeros(problem.p)
    for sign in (1, -1):  # coefficients above and below 0
        above = [ndtr((sign * law.mean - x) / sd) for x in (cut, *inner, np.inf)]
        dropped = dropped - above[0]
        for level, (low, high) in zip(levels, pairwise(above), strict=True):
            error = error + (low - high) * (sign * level - problem.beta) ** 2
    error = error + dropped * problem.beta**2
    return problem.sigma**2 + float(np.sum(problem.variances * error))


def choices(
    law: MinNormLaw, *, kept: Sequence[int] | Integers, depths: Sequence[int] | Integers, float_bits: float
) -> list[Choice]:
    """Return every compressor with every setting, each quantizer with the range of least risk.

    Parameters
    ----------
    law : MinNormLaw
        The law of a problem with uncorrelated features, none of which has a coefficient that is certain.
    kept : sequence of int
        Numbers of coefficients that pruning and soft thresholding may keep, from 1 to p - 1.
    depths : sequence of int
        Bits of the quantizers, from 1 to 16; what pruning leaves is quantized to the first five of them.
    float_bits : float
        Bits of a coefficient that is stored as it is.

    Returns
    -------
    list of Choice
        The choices, in the order of the two groups of `LABELS`: quantizers, then what sets coefficients to 0.

    Raises
    ------
    ValueError
        For a general covariance, a coefficient without variance, and numbers out of range.
    """
    _checks.instance("law", law, MinNormLaw, "a MinNormLaw")
    if not law.problem.is_diagonal or not law.variance.all():
        raise ValueError("law is not of uncorrelated features with random coefficients: give such a law")
    most = law.problem.p - 1
    counts = [_checks.count("kept", s, 1, most, high_is="p - 1") for s in _checks.listed("kept", kept, "integers")]
    bits = [_checks.count("depths", b, 1, 16) for b in _checks.listed("depths", depths, "integers")]
    float_bits = _checks.scalar("float_bits", float_bits, positive=True)
    _checks.finite("float_bits times the features", float_bits * law.problem.p, "float_bits")
    size = float(np.sqrt(np.mean(law.mean**2 + law.variance)))
    return [*_quantizers(law, size, bits), *_sparsifiers(law, size, counts, bits, float_bits)]


def _best_range(risk_at: Callable[[UniformQuantizer], float], bits: int, size: float) -> UniformQuantizer:
    """Return the quantizer of that many bits whose range has the least risk; `size` is the size of a coefficient."""
    optimum = minimize_scalar(
        lambda x: risk_at(UniformQuantizer(bits, size * np.exp(x))),
        bounds=(-3, 3.5), method="bounded", options={"xatol": 1e-2},
    )  # fmt: skip
    return UniformQuantizer(bits, float(size * np.exp(optimum.x)))


def _quantizers(law: MinNormLaw, size: float, depths: Sequence[int]) -> Iterator[Choice]:
    for b in depths:
        best = _best_range(law.risk, b, size)
        yield Choice("quantize", float(b), law.risk(best), best)
        for factor in _CODED:
            other = UniformQuantizer(b, best.limit * factor)
            bits = entropy(level_shares(law, other))
            yield Choice("quantize, ideal code", bits, law.risk(other), other)


def _sparsifiers(
    law: MinNormLaw, size: float, kept: Sequence[int], depths: Sequence[int], float_bits: float
) -> Iterator[Choice]:
    unit, p = scaled(law), law.problem.p
    for s in kept:
        rule, mask = Magnitude(s), entropy([s / p, 1 - s / p])
        soft = SoftThreshold(unit.threshold(rule))
        cut = unit.threshold(rule) / np.sqrt(law.problem.variances)
        floats = mask + float_bits * s / p
        yield Choice("prune", floats, unit.risk(rule), rule)
        yield Choice("soft threshold", floats, unit.risk(soft), soft)
        for b in depths[:_PRUNED_DEPTHS]:
            best = _best_range(lambda q, cut=cut: pruned_quantized_risk(law, cut, q), b, size)  # type: ignore[misc]
            risk = pruned_quantized_risk(law, cut, best)
            yield Choice("prune, then quantize", mask + b * s / p, risk, (rule, best))
    bits = float(np.log2(6) / 4 + float_bits / 2)
    yield Choice("two of four", bits, unit.risk(TwoOfFour()), TwoOfFour())


def frontier(rows: Sequence[Choice], label: str) -> list[Choice]:
    """Return the choices of a label that no other of them beats in both bits and risk, by rising bits."""
    mine = sorted((row for row in rows if row.label == label), key=lambda row: row[1:3])
    lowest = np.minimum.accumulate([row.risk for row in mine])
    return [row for i, row in enumerate(mine) if i == 0 or row.risk < lowest[i - 1]]


def compress(fit: Floats, squares: Floats, action: Action) -> Floats:
    """Apply a compressor to coefficients (p,), given the mean squares of the features in the sample, (p,)."""
    if isinstance(action, UniformQuantizer):
        return prune(fit, action)
    root = np.sqrt(squares)
    if isinstance(action, tuple):
        kept = prune(root * fit, action[0]) != 0
        return np.where(kept, prune(fit, action[1]), 0.0)
    return prune(root * fit, action) / root


def measure(problem: LinearGaussian, n: int, actions: Sequence[Action], *, repetitions: int, seed: Any) -> Floats:
    """Measure the risks of compressed minimum-norm fits to n samples, the same samples for all compressors.

    Parameters
    ----------
    problem : LinearGaussian
        The problem.
    n : int
        Number of samples.
    actions : sequence
        What is applied to a fit: the `action` of each `Choice`.
    repetitions : int
        Number of data sets.
    seed : int or sequence of int
        Where the randomness comes from.

    Returns
    -------
    (repetitions, len(actions)) array
        Population risks, in units of y².
    """
    repetitions = _checks.draws("repetitions", repetitions, problem.p)
    risks = []
    for child in sequence(seed).spawn(repetitions):
        X, y = problem.sample(n, child)
        fit, squares = min_norm(X, y), np.mean(X**2, axis=0)
        risks.append(problem.risk(np.array([compress(fit, squares, action) for action in actions])))
    return np.array(risks)
