"""Does a random subspace meet a cone? Predicted by the kinematic formula, and by simulation.

Source: geometric, Theorem 1, equation (7): a jump where δ(C) + k = D. The jump has a width, which `smooth_step` and
`error_bounds` give; `volumes.meeting_probability` is exact where the intrinsic volumes are known.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from prunekit import _checks
from prunekit._checks import Floats, Integers, Seed
from prunekit._system import bars
from prunekit.cones.sampling import Cone, judged, random_subspace
from prunekit.statistics import Estimate

_PRICE = 1000  # what it costs to decide whether a subspace meets a cone, counted in numbers drawn


def step(dimension: float, k: Floats | float, ambient: int) -> Floats:
    """Return the chance that a random k-dimensional subspace meets the cone, by the kinematic formula: 0 or 1.

    It is 1 where δ + k > D, 0 where δ + k < D, and ½ where they are equal. Source: geometric, Theorem 1, equation (7).

    Parameters
    ----------
    dimension : float
        δ(C), from 0 to D.
    k : float or array
        Dimensions of the subspace.
    ambient : int
        The dimension D of the space.
    """
    return np.heaviside(_surplus(dimension, k, ambient), 0.5)


def smooth_step(dimension: float, variance: float, k: Floats | float, ambient: int) -> Floats:
    """Return the chance to meet, with the intrinsic volumes taken for Gaussian: Φ((δ + k - D)/√variance).

    This is an approximation, which is good where the variance is large (Goldstein, Nourdin and Peccati 2017).

    Parameters
    ----------
    dimension, k, ambient
        As for `step`.
    variance : float
        Variance of the intrinsic volumes, above 0: `volumes.variance`, or `intrinsic_variance` of draws.
    """
    spread = math.sqrt(_checks.scalar("variance", variance, positive=True))
    return np.asarray(special.ndtr(_surplus(dimension, k, ambient) / spread))


def error_bounds(dimension: float, k: Floats | float, ambient: int) -> tuple[Floats, Floats]:
    """Return a lower and an upper bound of the chance to meet that hold for every cone of that δ.

    With x = δ + k - D it is at most 4 exp(-x²/8D) for x < 0 and at least 1 minus that for x > 0 (Amelunxen et al. 2014,
    Theorem I, solved for the probability).

    Parameters
    ----------
    dimension, k, ambient
        As for `step`.
    """
    surplus = _surplus(dimension, k, ambient)
    with np.errstate(over="ignore"):
        tail = np.minimum(4 * np.exp(-(surplus**2) / (8 * ambient)), 1)
    return np.where(surplus > 0, 1 - tail, 0.0), np.where(surplus < 0, tail, 1.0)


def _surplus(dimension: float, k: Floats | float, ambient: int) -> Floats:
    ambient = _checks.count("ambient", ambient)
    dimension = _checks.scalar("dimension", dimension)
    if dimension > ambient:
        raise ValueError(f"dimension is {dimension}: give one of at most the ambient {ambient}")
    dimensions = _checks.numbers("k", k)
    if not np.isfinite(dimensions).all():
        raise ValueError("k is infinite: give dimensions of subspaces")
    return np.asarray(dimension + dimensions - ambient)


def simulate(cone: Cone, k: int, draws: int, *, seed: Seed) -> Estimate:
    """Return the share of random k-dimensional subspaces that meet the cone, each decided exactly.

    The error is that of a binomial share, √(p(1-p)/n) at p = (hits + 1)/(n + 2), so that 0 and n hits have one too.

    Parameters
    ----------
    cone : Cone
        Anything with `ambient` and `meets`.
    k : int
        Dimension of the subspaces, from 0 to D.
    draws : int
        Number of draws, at least 1.
    seed : int, SeedSequence or Generator
        Where the subspaces come from.
    """
    judged(cone, "meets")
    k = _checks.count("k", k, 0, cone.ambient, high_is="the dimension of the space")
    draws = _checks.draws("draws", draws, _PRICE * cone.ambient, each_is="a decision each counts as many")
    rng = _checks.generator(seed)
    turns = bars.each("subspaces", range(draws), draws, "draws")
    hits = sum(cone.meets(random_subspace(cone.ambient, k, seed=rng)) for _ in turns)
    p = (hits + 1) / (draws + 2)
    return Estimate(hits / draws, math.sqrt(p * (1 - p) / draws))


def first_meetings(cone: Cone, draws: int, *, seed: Seed) -> Integers:
    """Return the least k at which the first k vectors of a random frame span a subspace that meets the cone.

    These spans are random subspaces. So the share of results up to k estimates the chance to meet at k, for all k from
    the same frames, at log₂D decisions each. The mean is D - δ + ½ for every cone that is no subspace: the sum over k
    of Crofton's formula, since the volumes of odd and those of even j sum to ½ each.

    Parameters
    ----------
    cone : Cone
        Anything with `ambient` and `meets` that holds more than the point 0.
    draws : int
        Number of draws, at least 1.
    seed : int, SeedSequence or Generator
        Where the frames come from.

    Returns
    -------
    (draws,) array
        The least k of each frame, from 1 to D.
    """
    judged(cone, "meets")
    draws = _checks.draws("draws", draws, _PRICE * cone.ambient, each_is="a decision each counts as many")
    _checks.room("draws", draws, 8.0 * draws)
    rng = _checks.generator(seed)
    least = np.empty(draws, dtype=np.intp)
    for i in bars.each("frames", range(draws), draws, "draws"):
        frame = random_subspace(cone.ambient, cone.ambient, seed=rng)
        low, high = 0, cone.ambient  # no subspace of dimension 0 meets it, the whole space does
        while high - low > 1:
            k = (low + high) // 2
            low, high = (low, k) if cone.meets(frame[:, :k]) else (k, high)
        least[i] = high
    return least
