"""What compressing independent Gaussian coefficients keeps and costs: thresholds, compressors, two of four.

In the limit, keeping the s largest is keeping what exceeds a fixed threshold (chang, equation (14)); any compressor of
single coefficients is made of pieces, each a shift or a constant on one stretch of the line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from prunekit._checks import Flags, Floats
from prunekit.linear.interval_moments import density, edge, moments_between, outside, probability_between
from prunekit.linear.roots import increasing_root
from prunekit.linear.strategies import HardThreshold, SoftThreshold, UniformQuantizer

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_CHUNK = 4_000_000  # numbers held at once

# A compressor on one stretch of the line, from the previous end up to this one: x + value if it moves x, else value.
Piece = tuple[Any, bool, float]


def is_atom(mean: Floats, sd: Floats) -> Flags:
    """Tell which coordinates vary by no more than the rounding errors of their means."""
    return sd <= 64 * _EPS * np.abs(mean)


def cut(mean: Floats, sd: Floats, s: int) -> tuple[float, Flags, Floats]:
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
        The threshold t.
    atoms : (p,) boolean array
        The coordinates that do not vary.
    share : (number of atoms,) array
        How much of each of them is kept, from 0 to 1.
    """
    atoms = is_atom(mean, sd)
    if not atoms.any():
        return _smooth_cut(mean, sd, float(s)), atoms, np.zeros(0)
    sizes, smooth = np.abs(mean[atoms]), ~atoms
    mean, sd = mean[smooth], sd[smooth]

    def moving(t: float) -> float:
        """Return the expected number of varying coordinates above t."""
        return float(np.sum(outside(mean, sd, t)))

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
    """Return t with Σ P(|X_i| > t) = target, for coordinates that vary; the equation is solved in log t."""
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
            number = np.sum(ndtr(low) + ndtr(-high))
        else:  # Φ(high) - Φ(low), in the nearer tail
            upper = low > 0
            number = np.sum(ndtr(np.where(upper, -low, high)) - ndtr(np.where(upper, -high, low)))
        slope = t * np.sum((density(low) + density(high)) / sd)
        number = max(number, _TINY)
        sign = -1.0 if few else 1.0
        return np.array([sign * np.log(number / goal)]), np.array([slope / number])

    with np.errstate(over="ignore"):  # coordinates that hardly vary lie immeasurably many sd from t
        return float(unit * np.exp(increasing_root(excess, np.zeros(1))[0]))


def hard(t: Any) -> list[Piece]:
    """Return the pieces of keeping what exceeds t in size; t may differ from coordinate to coordinate."""
    return [(np.negative(t), True, 0.0), (t, False, 0.0), (np.inf, True, 0.0)]


def pieces_of(strategy: HardThreshold | UniformQuantizer) -> list[Piece]:
    """Return the pieces of a compressor that treats each coordinate by itself and alike."""
    if isinstance(strategy, UniformQuantizer):
        inner = strategy.step * (np.arange(1, 2**strategy.bits) - 2 ** (strategy.bits - 1))
        ends = [*inner.tolist(), np.inf]
        return [(end, False, float(level)) for end, level in zip(ends, strategy.levels, strict=True)]
    if isinstance(strategy, SoftThreshold):
        t = strategy.t
        return [(-t, True, t), (t, False, 0.0), (np.inf, True, -t)]
    return hard(strategy.t)


def compressed_error(mean: Floats, sd: Floats, beta: Floats, pieces: list[Piece]) -> Floats:
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
    low = edge(mean, sd, -np.inf)
    for end, moves, value in pieces:
        high = edge(mean, sd, end)
        if moves:
            error += moments_between(low, high, sd, mean - beta + value)[2]
        else:
            error += probability_between(low, high) * (value - beta) ** 2
        low = high
    return error


def two_of_four(mean: Floats, sd: Floats, beta: Floats) -> tuple[Floats, Floats]:
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
    atom = is_atom(mean, sd)
    moments = tuple(np.zeros(mean.shape) for _ in range(3))
    exceeds = [outside(mean[:, [j]], sd[:, [j]], radius) for j in range(4)]
    for i in range(4):
        others = [j for j in range(4) if j != i]
        chance = weight * _at_most_one(*(exceeds[j] for j in others))
        spread = np.where(atom[:, i], 1.0, sd[:, i])[:, None]
        plus, minus = (density((sign * radius - mean[:, [i]]) / spread) / spread for sign in (1, -1))
        # A coordinate that does not vary is compared at its own size, ties won by the lower index.
        own = np.abs(mean[:, i])
        rivals = [
            np.where(atom[:, j] & (np.abs(mean[:, j]) == own), float(j < i), outside(mean[:, j], sd[:, j], own))
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
