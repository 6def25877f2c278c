"""The predicted pruning limit: the share of weights to keep, for one landscape, by each method.

A threshold T depends on k through c = w* - w^k, so the limit is self-consistent: the least k with k/D ≥ T(k). Magnitude
decides which weights go first, ties by position.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from prunekit import _checks, cones
from prunekit.estimates import Estimate
from prunekit.limit.landscape import Landscape, Negative, treated, treated_spectrum
from prunekit.limit.program import LANCZOS_STEPS, program_limit
from prunekit.limit.quadratic import one_shot_costs, reoptimized_costs, within_from
from prunekit.limit.tolerance import Tolerance

Method = Literal["published", "program", "cone", "orthogonal", "one-shot", "re-optimized"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class PruningLimit:
    """A predicted limit.

    Attributes
    ----------
    fraction : float
        The share of weights that must be kept, from 0 to 1.
    error : float
        Its standard error from the probes of the spectrum: 0 for a dense one and for the quadratic methods, infinite
        for a single probe. The authors' program, which has one probe, has no error bar: infinite.
    method : str
        Which of `METHODS`.
    epsilon : Tolerance
        ε and its rule.
    kept, dimension : int
        The least k; D.
    distance : float
        R = |w* - w^k| at that k, in units of a weight.
    negative : str
        What became of negative eigenvalues.
    spectrum : str
        "dense", or the numbers of Lanczos steps and probes.
    curve : tuple of (float, float)
        Where T was evaluated on the way: share kept and T, in increasing order of the share; empty for the methods
        that have no T.
    """

    fraction: float
    error: float
    method: Method
    epsilon: Tolerance
    kept: int
    dimension: int
    distance: float
    negative: Negative
    spectrum: str
    curve: tuple[tuple[float, float], ...] = field(default=(), repr=False)

    @property
    def removed(self) -> float:
        """The share that can be removed: what geometric's Table 2 calls the pruning ratio."""
        return 1.0 - self.fraction


def threshold(
    landscape: Landscape, epsilon: float, k: int, *, method: Method = "published", negative: Negative = "absolute"
) -> Estimate:
    """Return T(k), the share that must be kept when the k largest weights are, by one of the methods that have a T.

    Parameters
    ----------
    landscape : Landscape
        Weights and spectrum.
    epsilon : float
        Tolerance on the loss, above 0.
    k : int
        From 0 to D.
    method : str
        "published": 1 - (1/D) Σ r_i²/(R² + r_i²). "cone": the same with the dimension of the exact cone. "orthogonal":
        for a subspace that is random among those orthogonal to w* - w^k, as the kept coordinates are.
    negative : str
        "absolute", as the authors' program has it, "zero", or "refuse".

    Returns
    -------
    Estimate
        From 0 to 1, with its standard error across probes; 0 where nothing is removed.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range, a method without T, or negative eigenvalues that are refused.

    Notes
    -----
    Source: geometric, Corollary 1, equation (18), for "published"; `prunekit.cones` for the others.
    """
    if method not in ("published", "cone", "orthogonal"):
        raise ValueError(f"method is {method!r}: give 'published', 'cone' or 'orthogonal'")
    spectrum, D = treated_spectrum(landscape.spectrum, negative), landscape.dimension
    distance = landscape.distance(k)
    if distance == 0:
        return Estimate(0.0, 0.0)
    if method == "published":
        found = cones.dimension_as_published(spectrum, epsilon, distance)
    else:
        direction = treated(landscape.direction(k), negative)
        if method == "orthogonal":
            return cones.orthogonal_limit(spectrum, direction, epsilon)
        found = cones.cone_dimension(spectrum, direction, epsilon)
    return Estimate(1.0 - found.value / D, found.error / D)


def predict(
    landscape: Landscape,
    epsilon: float | Tolerance,
    *,
    method: Method = "published",
    negative: Negative = "absolute",
    resolution: float = 1e-4,
    zero_share: float = 0.0,
    program_steps: int = LANCZOS_STEPS,
) -> PruningLimit:
    """Return the predicted limit of a landscape.

    Parameters
    ----------
    landscape : Landscape
        Weights and spectrum; one serves all methods.
    epsilon : float or Tolerance
        ε, in units of the loss.
    method : str
        "published", "cone", "orthogonal": see `threshold`. "program": as the authors' program computes the published
        one (`program_limit`). "one-shot": the quadratic model with the kept weights as they are, ½ cᵀHc ≤ ε.
        "re-optimized": with the kept weights at their best (`reoptimized_costs`), for dense Hessians.
    negative : str
        "absolute", as in the authors' program, "zero", or "refuse".
    resolution : float
        In shares: k is bisected to within so many times D, or to one weight. Dense quadratic methods look at every k.
    zero_share : float
        For "program": the share of eigenvalues that it takes for 0, besides those in the spectrum.
    program_steps : int
        For "program": the steps of its own Lanczos run.

    Returns
    -------
    PruningLimit
        T decreases in k for "published". For the others the crossing that a bisection from 0 to D finds is given.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range, or a method that the landscape is not enough for.
    """
    epsilon = epsilon if isinstance(epsilon, Tolerance) else Tolerance(epsilon)
    resolution = _checks.scalar("resolution", resolution)
    if method not in METHODS:
        raise ValueError(f"method is {method!r}: give one of {', '.join(map(repr, METHODS))}")
    curve: tuple[tuple[float, float], ...] = ()
    error, fraction = 0.0, None
    if method == "program":
        if negative != "absolute":
            raise ValueError(f"negative is {negative!r}, and the program takes absolute values: give 'absolute'")
        fraction = program_limit(landscape, epsilon.value, zero_share=zero_share, steps=program_steps)
        kept, error = math.floor(fraction * landscape.dimension + 1e-9), math.inf
    elif method in ("one-shot", "re-optimized"):
        kept = _quadratic(landscape, epsilon.value, method, negative, resolution)
    else:
        kept, error, curve = _self_consistent(landscape, epsilon.value, method, negative, resolution)
    return PruningLimit(
        fraction=kept / landscape.dimension if fraction is None else fraction,
        error=error,
        method=method,
        epsilon=epsilon,
        kept=kept,
        dimension=landscape.dimension,
        distance=landscape.distance(kept),
        negative=negative,
        spectrum=landscape.method,
        curve=curve,
    )


def _quadratic(landscape: Landscape, epsilon: float, method: str, negative: Negative, resolution: float) -> int:
    """Return the least k that the quadratic model allows."""
    if method == "re-optimized":
        return within_from(reoptimized_costs(landscape, negative=negative), epsilon)
    if landscape.hessian is not None:
        return within_from(one_shot_costs(landscape, negative=negative), epsilon)

    def allowed(k: int) -> bool:
        if landscape.distance(k) == 0:
            return True
        return treated(landscape.direction(k), negative).integrate(lambda h: h) <= 2 * epsilon

    return bisect(allowed, landscape.dimension, resolution)[0]


def _self_consistent(
    landscape: Landscape, epsilon: float, method: Method, negative: Negative, resolution: float
) -> tuple[int, float, tuple[tuple[float, float], ...]]:
    """Return the least k with k/D ≥ T(k), the standard error of k/D, and where T was evaluated.

    Where T is off by an error, the crossing with k/D moves by the error over 1 - dT/dp.
    """
    D = landscape.dimension
    seen: dict[int, Estimate] = {}

    def allowed(k: int) -> bool:
        seen[k] = threshold(landscape, epsilon, k, method=method, negative=negative)
        return k / D >= seen[k].value

    kept, below = bisect(allowed, D, resolution)
    if kept not in seen:
        allowed(kept)
    slope = 0.0 if below < 0 else min((seen[kept].value - seen[below].value) * D / (kept - below), 0.0)
    error = max(seen[kept].error, seen[below].error if below >= 0 else 0.0) / (1.0 - slope)
    return kept, error, tuple((k / D, seen[k].value) for k in sorted(seen))


def bisect(allowed: Callable[[int], bool], D: int, resolution: float) -> tuple[int, int]:
    """Return k that is allowed and a smaller one that is not (-1: below all), no more than resolution · D apart.

    k = D is taken to be allowed. Where the allowed ones are not all above the others, one crossing is found.
    """
    below, above = -1, D
    step = max(1, int(resolution * D))
    while above - below > step:
        middle = (above + below) // 2
        if allowed(middle):
            above = middle
        else:
            below = middle
    return above, below
