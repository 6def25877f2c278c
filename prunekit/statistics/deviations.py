"""Measurements held against predictions, within the measurements' own standard error.

Monte Carlo is never compared within a tolerance that somebody chose: the difference is divided by the standard error of
the repetitions, and the largest of several such ratios is held against the quantile that so many Student-t variables
exceed with the stated probability (Bonferroni).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Integers, Seed
from prunekit._system import bars

_AT_ONCE = 2**22  # entries that are ranked at once


def _samples(name: str, samples: ArrayLike) -> Floats:
    """Return repetitions along the first axis, at least two and all finite."""
    values = _checks.real_numbers(name, samples)
    if values.ndim < 1 or values.shape[0] < 2 or values.size == 0:
        raise ValueError(f"{name} has shape {values.shape}: give at least 2 repetitions along the first axis")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds values that are not finite: leave those points out and say so")
    return values


def _mean_and_error(name: str, samples: ArrayLike) -> tuple[Floats, Floats]:
    """Return the mean and its standard error; in units of each point's largest value, so that no square overflows."""
    values = _samples(name, samples)
    size = np.abs(values).max(axis=0)
    unit = np.where(size > 0, np.exp2(np.floor(np.log2(np.where(size > 0, size, 1.0)))), 1.0)
    values = values / unit
    error = unit * values.std(axis=0, ddof=1) / np.sqrt(values.shape[0])
    return _checks.finite("the mean", unit * values.mean(axis=0), name), _checks.finite("the error", error, name)


def mean_and_error(samples: ArrayLike) -> tuple[Floats, Floats]:
    """Return the mean of repetitions and its standard error.

    Parameters
    ----------
    samples : (repetitions, …) array
        Independent repetitions along the first axis.

    Returns
    -------
    mean, error : (…) arrays
        The mean and its error, in the units of the samples.

    Raises
    ------
    ValueError
        If there are fewer than two repetitions or a value is not finite.

    Examples
    --------
    >>> mean, error = mean_and_error([1.0, 2.0, 3.0])
    >>> float(mean), round(float(error), 3)  # 1/√3
    (2.0, 0.577)
    """
    return _mean_and_error("samples", samples)


def median_and_error(samples: ArrayLike) -> tuple[Floats, Floats]:
    """Return the median of repetitions, and half the width of its 68% interval by ranks.

    Parameters
    ----------
    samples : (repetitions, …) array
        Independent repetitions along the first axis, at least 4.
    """
    ranked = np.sort(_samples("samples", samples), axis=0)
    if (n := len(ranked)) < 4:
        raise ValueError(f"samples has {n} repetitions: give at least 4 for an interval of the median")
    low, high = (round(n / 2 + sign * math.sqrt(n) / 2 - 0.5) for sign in (-1, 1))
    return np.median(ranked, axis=0), (ranked[high] - ranked[low]) / 2


def largest_deviation(samples: ArrayLike, expected: ArrayLike) -> float:
    """Return the largest |mean - expected| in standard errors of the mean.

    Parameters
    ----------
    samples : (repetitions, …) array
        Independent repetitions along the first axis.
    expected : (…) array
        What their mean should be.

    Raises
    ------
    ValueError
        In the same cases as `mean_and_error`, and if a point that differs from `expected` does not vary at all.

    Examples
    --------
    >>> round(largest_deviation([1.0, 2.0, 3.0], 1.0), 3)  # (2 - 1)√3
    1.732
    """
    mean, error = _mean_and_error("samples", samples)
    wanted = _checks.numbers("expected", expected)
    _checks.together(samples=mean, expected=wanted)
    if not np.isfinite(wanted).all():
        raise ValueError("expected holds values that are not finite: leave those points out and say so")
    with np.errstate(over="ignore"):
        gap = _checks.finite("the difference", np.abs(mean - wanted), "samples and expected")
    if np.any((error == 0) & (gap > 0)):
        raise ValueError("samples do not vary where they differ from expected: they have no standard error there")
    error = np.broadcast_to(error, gap.shape)
    return _largest_ratio(gap, error)


def _largest_ratio(gap: Floats, error: Floats) -> float:
    """Return the largest gap over its error."""
    with np.errstate(over="ignore"):
        ratio = np.max(np.divide(gap, error, out=np.zeros_like(gap), where=error > 0))
    return float(_checks.finite("the largest deviation", ratio, "samples and expected"))


def leads(differences: ArrayLike, *, least_error: float = 0.0) -> Floats:
    """Return the means of paired differences in their standard errors, signs kept.

    Parameters
    ----------
    differences : (repetitions, …) array
        Independent repetitions along the first axis.
    least_error : float
        What a standard error counts at least, such as the resolution of the measurement.

    Returns
    -------
    (…) array
        The ratios, 0 where all differences are 0.

    Raises
    ------
    ValueError
        In the same cases as `mean_and_error`, and if differences that are not 0 do not vary at all and `least_error` is
        0.

    Examples
    --------
    >>> round(float(leads([1.0, 2.0, 3.0])), 3)  # 2√3
    3.464
    """
    mean, error = _mean_and_error("differences", differences)
    error = np.maximum(error, _checks.scalar("least_error", least_error))
    if np.any((error == 0) & (mean != 0)):
        raise ValueError("differences do not vary where they are not 0: give least_error, or say so without a ratio")
    with np.errstate(over="ignore"):
        ratios = np.divide(mean, error, out=np.zeros_like(mean), where=error > 0)
    return _checks.finite("the ratio", ratios, "differences, or give a larger least_error")


def deviation_bound(points: int, repetitions: int, level: float = 0.01) -> float:
    """Return what `largest_deviation` exceeds with probability at most `level` if the expectation is right.

    Parameters
    ----------
    points : int
        Number of means compared.
    repetitions : int
        Repetitions behind each mean.
    level : float
        Probability of a false alarm over all points together.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> round(deviation_bound(1, 10**6, level=0.05), 2)
    1.96
    """
    points, repetitions = _checks.count("points", points), _checks.count("repetitions", repetitions, 2)
    level = _checks.probability("level", level)
    from scipy.special import stdtrit

    # The quantile is taken from the other end, since one minus a small probability would be rounded.
    bound = -float(stdtrit(repetitions - 1, level / (2 * points)))
    return _checks.finite("the bound", bound, "level or points: the probability of a single point is too small")


def rank_correlation(
    x: ArrayLike, y: ArrayLike, *, seed: Seed, level: float = 0.05, resamples: int = 2000
) -> tuple[float, float, float]:
    """Return Spearman's rank correlation and its bootstrap interval.

    Parameters
    ----------
    x, y : (n,) or (n, k) arrays
        n independent objects with one pair of values each, or k pairs, such as the layers of n networks: all n·k pairs
        are ranked together, and whole objects are drawn again. Ties get their mean rank.
    seed : int, SeedSequence or Generator
        Where the draws of the bootstrap come from.
    level : float
        Probability outside the interval, half on each side.
    resamples : int
        Number of bootstrap samples, at least 100.

    Returns
    -------
    correlation, low, high : float
        The interval is that of the percentiles. With few objects it covers somewhat less than it says.

    Raises
    ------
    ValueError
        If an argument is out of its range, or x or y is constant.

    Examples
    --------
    >>> correlation, low, high = rank_correlation(range(20), [i**2 for i in range(20)], seed=0)
    >>> correlation
    1.0
    """
    a, b = _pairs(x, y)
    level, resamples = _checks.probability("level", level), _checks.draws("resamples", resamples, a.size, 100)
    n = len(a)
    _checks.room("resamples", resamples, 24.0 * resamples * n)
    drawn = _checks.generator(seed).integers(n, size=(resamples, n))
    rows = np.concatenate([np.arange(n)[None], drawn])
    parts = np.array_split(rows, max(1, rows.size * (a.size // n) // _AT_ONCE))
    turns = bars.each("bootstrap", parts, len(parts), "batches")
    correlations = np.concatenate([_rank_correlations(a, b, part) for part in turns])
    low, high = np.quantile(correlations[1:], [level / 2, 1 - level / 2])
    return float(correlations[0]), float(low), float(high)


def rank_correlation_and_error(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return Spearman's rank correlation and a standard error by which it is told from 0.

    Parameters
    ----------
    x, y : (n,) or (n, k) arrays
        As for `rank_correlation`.

    Returns
    -------
    correlation, error : float
        Their ratio is that of Fisher's z = artanh r to its own standard error, √((1 + r²/2)/(n - 3)) for single pairs
        (Bonett and Wright 2000) and a jackknife over the n objects for several, but not less than that of n·k single
        pairs. Away from r = 0 the error is longer than that of r itself. A perfect correlation counts as one that is
        half a step of the ranks short of it.

    Raises
    ------
    ValueError
        If an argument is out of its range, or x or y is constant.

    Examples
    --------
    >>> correlation, error = rank_correlation_and_error(range(20), [i**2 for i in range(20)])
    >>> correlation, round(error, 2)
    (1.0, 0.08)
    """
    a, b = _pairs(x, y)
    n = len(a)
    most = 1 - 6 / (a.size * (a.size**2 - 1))
    r = float(_rank_correlations(a, b, np.arange(n)[None])[0])
    z = math.atanh(max(-most, min(most, r)))
    of_z = math.sqrt((1 + r * r / 2) / (a.size - 3))
    if a.size > n:
        without = np.array([np.delete(np.arange(n), k) for k in range(n)])
        left = np.arctanh(np.clip(_rank_correlations(a, b, without), -most, most))
        of_z = max(of_z, math.sqrt((n - 1) / n * float(np.sum((left - left.mean()) ** 2))))
    return r, of_z * (abs(r / z) if abs(z) > 1e-6 else 1.0)


def _pairs(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Return pairs of values of 4 objects or more, neither constant."""
    a, b = _samples("x", x), _samples("y", y)
    if a.shape != b.shape or a.ndim > 2 or len(a) < 4:
        raise ValueError(f"x has shape {a.shape}, y {b.shape}: give vectors or tables of one shape with 4 rows or more")
    for name, values in (("x", a), ("y", b)):
        if np.ptp(values) == 0:
            raise ValueError(f"{name} is {values.flat[0]} throughout: a constant has no correlation")
    return a, b


def _rank_correlations(a: Floats, b: Floats, rows: Integers) -> Floats:
    """Return the rank correlation of each sample of rows (m, n), but for those that have none."""
    from scipy.stats import rankdata

    ranks = [rankdata(values[rows].reshape(len(rows), -1), axis=1) for values in (a, b)]
    centred = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    spread = np.sqrt(np.sum(centred[0] ** 2, axis=1) * np.sum(centred[1] ** 2, axis=1))
    sound = spread > 0  # a sample of one object over and over has no correlation
    return np.asarray(np.sum(centred[0] * centred[1], axis=1)[sound] / spread[sound])


def binomial_interval(hits: int, trials: int, level: float = 0.05) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson for a probability, of which `hits` of `trials` draws are known.

    It holds the probability with at least the chance 1 - `level`, whatever the probability and however few the draws.

    Parameters
    ----------
    hits, trials : int
        How often it happened, of how many independent draws; at least one draw.
    level : float
        Probability outside the interval, at most half of it on each side.

    Returns
    -------
    low, high : float
        Ends of the interval: 0 for low where there is no hit, 1 for high where every draw is a hit.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> low, high = binomial_interval(38, 40)
    >>> round(low, 3), round(high, 3)
    (0.831, 0.994)
    """
    trials = _checks.count("trials", trials)
    hits = _checks.count("hits", hits, 0, trials, high_is="the number of trials")
    half = _checks.scalar("level", level, positive=True) / 2
    if half >= 0.5:
        raise ValueError(f"level is {level}: give a probability above 0 and below 1")
    from scipy.special import betaincinv

    low = float(betaincinv(hits, trials - hits + 1, half)) if hits else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - half)) if hits < trials else 1.0
    return low, high
