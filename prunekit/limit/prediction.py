"""The predicted pruning limit: the share of weights to keep, for one landscape, by each method.

A threshold T depends on k through c = w* - w^k, so the limit is self-consistent: the least k with k/D ≥ T(k). Magnitude
decides which weights go first, ties by position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

from prunekit import _checks, cones
from prunekit.limit._last_crossing import Curve
from prunekit.limit.costs import known_energies, one_shot_costs, reoptimized_costs, within_from
from prunekit.limit.landscape import Landscape, checked
from prunekit.limit.negative import NEGATIVE, Negative, treated, treated_spectrum
from prunekit.limit.program import LANCZOS_STEPS
from prunekit.limit.tolerance import Tolerance
from prunekit.spectrum import UNSETTLED, Measure, Spectrum
from prunekit.statistics import Estimate, ProbedEstimate

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
        Its standard error, `scatter` and `quadrature` together: 0 for a dense Hessian. The quadratic methods need no
        probes: by Lanczos, "one-shot" has the error of where its cost is above ε for the last time. Infinite for a
        single probe and where the budget ended before the integral was resolved. The authors' program, which has one
        probe, has no error bar: infinite.
    method : str
        One of `METHODS`.
    epsilon : Tolerance
        ε and its rule.
    kept, dimension : int
        The least k, and D.
    distance : float
        R = |w* - w^k| at that k, in units of a weight.
    negative : str
        What became of negative eigenvalues.
    known_by : str
        How the Hessian is known: "dense", or the numbers of Lanczos steps and probes.
    curve : tuple of (float, float)
        Where T was evaluated on the way: share kept and T, in increasing order of the share; empty for the methods
        that have no T.
    scatter, quadrature : float
        The two parts of the error: the scatter between the probes of the spectrum; and what the quadratures of the
        spectrum and of w* - w^k and the search for k add, such that two errors hold what they may be off by.
    resolved : bool
        Whether the quadratures see the integrand; if not, the error is infinite.
    products : int
        Products with the Hessian that the landscape has taken so far.
    coverage : str
        Of a network, which share of its parameters the weights are, and what the others are; else empty.
    """

    fraction: float
    error: float
    method: Method
    epsilon: Tolerance
    kept: int
    dimension: int
    distance: float
    negative: Negative
    known_by: str
    curve: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    scatter: float = 0.0
    quadrature: float = 0.0
    resolved: bool = True
    products: int = 0
    coverage: str = ""

    def __repr__(self) -> str:
        """Say the share with its error, by which method and for which tolerance."""
        known = "" if math.isfinite(self.error) else ", error not known"
        error = f" ± {self.error:.2g}" if math.isfinite(self.error) else ""
        return (
            f"PruningLimit(keep {self.fraction:.4g}{error}, {self.kept:,} of {self.dimension:,} weights, by "
            f"{self.method!r} for ε = {self.epsilon.value:.4g}{known}{'; ' * bool(self.coverage)}{self.coverage})"
        )

    def to_frame(self) -> dict[str, list[Any]]:
        """Return one row in columns, which ``pandas.DataFrame`` takes as they are."""
        names = ("method", "fraction", "error", "kept", "dimension", "distance", "negative", "known_by", "coverage")
        return {"epsilon": [self.epsilon.value], **{name: [getattr(self, name)] for name in names}}

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
        Number of weights kept, from 0 to D.
    method : str
        "published": 1 - (1/D) Σ r_i²/(R² + r_i²). "cone": the same with the dimension of the exact cone. "orthogonal":
        for a subspace that is random among those orthogonal to w* - w^k, as the kept coordinates are.
    negative : str
        "absolute", as in the authors' program, "zero", or "refuse".

    Returns
    -------
    Estimate
        The share, from 0 to 1, with its standard error from probes and quadrature, as accurate as the landscape is
        asked to be; 0 where nothing is removed.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range, a method without T, or negative eigenvalues that are refused.

    Notes
    -----
    Source: geometric, Corollary 1, equation (18), for "published"; `prunekit.cones` for the others.

    Examples
    --------
    >>> from prunekit.limit import Landscape
    >>> landscape = Landscape.of_matrix([2.0, 1.0, 0.1, 0.1], np.eye(4))
    >>> [round(threshold(landscape, 0.05, k).value, 3) for k in (0, 2, 4)]
    [0.98, 0.167, 0.0]
    """
    checked(landscape)
    _checks.choice("method", method, ("published", "cone", "orthogonal"))
    _checks.choice("negative", negative, NEGATIVE)
    epsilon = _checks.scalar("epsilon", epsilon, positive=True)
    if landscape.distance(k) == 0:
        return Estimate(0.0, 0.0)
    root, change = _root(landscape, epsilon, k, method, negative)
    share = landscape.read(partial(_treated_share, nu=root, epsilon=epsilon, negative=negative))
    return _blurred(share, change)


def _share(spectrum: Spectrum, nu: float, epsilon: float) -> Estimate:
    """Return (1/D) Σ ν/(r_i² + ν), which is 1 - (1/D) Σ r_i²/(r_i² + ν), of a spectrum without negative eigenvalues."""
    if nu == 0 or math.isinf(nu):
        return Estimate(0.0 if nu == 0 else 1.0, 0.0)
    return spectrum.integrate(lambda h: nu * h / (2 * epsilon + nu * h)).linear(1 / spectrum.dimension)


def _treated_share(spectrum: Spectrum, nu: float, epsilon: float, negative: Negative) -> Estimate:
    """Return the share of a spectrum that may have negative eigenvalues."""
    return _share(treated_spectrum(spectrum, negative), nu, epsilon)


def _root(landscape: Landscape, epsilon: float, k: int, method: str, negative: Negative) -> tuple[float, float]:
    """Return ν of a method, and by how much the last half of the steps along c changed the share that follows from it.

    The steps go on until that is little, or until it is clear on which side of k/D the share lies.
    """
    if method == "published":
        return landscape.distance(k) ** 2, 0.0
    solve = cones.cone_root if method == "cone" else cones.orthogonal_root
    pooled = Spectrum((treated_spectrum(landscape.spectrum, negative).pooled,), exact=True)

    def share(measure: Measure) -> float:
        return _share(pooled, solve(measure, epsilon), epsilon).value

    def enough(measure: Measure) -> bool:
        taken = treated(measure, negative)
        value, change = share(taken), taken.spread(share)
        return change <= max(landscape.accuracy * value, abs(value - k / landscape.dimension)) / 2

    direction = treated(landscape.direction(k, enough), negative)
    return solve(direction, epsilon), direction.spread(share)


def _blurred(estimate: Estimate, change: float) -> Estimate:
    """Add to an estimate what the steps along c may still change; it is unresolved if that is too much of it."""
    if change == 0:
        return estimate
    resolved = estimate.resolved and change <= UNSETTLED * abs(estimate.value)
    return ProbedEstimate(estimate.value, estimate.scatter, math.hypot(estimate.quadrature, change / 2), resolved)


def predict(
    landscape: Landscape,
    epsilon: float | Tolerance,
    *,
    method: Method = "published",
    negative: Negative = "absolute",
    resolution: float = 1e-3,
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
        How accurately the limit is found, relative to itself, but no finer than one weight. Where Lanczos estimates the
        spectrum, a fifth of the landscape's `accuracy` is taken if that is more, and is in the error. Dense quadratic
        methods look at every k.
    zero_share : float
        For "program": the share of eigenvalues that it takes for 0, in addition to those in the spectrum.
    program_steps : int
        For "program": the steps of its own Lanczos run.

    Returns
    -------
    PruningLimit
        The limit. T decreases in k for "published"; for "cone" and "orthogonal" it is the crossing that a search finds.
        The quadratic methods give the last crossing: the cost is at most ε at that k and all larger ones.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range, or a method that needs to know more than the landscape does.

    Examples
    --------
    >>> from prunekit.limit import Landscape
    >>> landscape = Landscape.of_matrix([2.0, 1.0, 0.1, 0.1], np.eye(4))
    >>> limit = predict(landscape, 0.05, method="one-shot")
    >>> limit.kept, limit.fraction  # without the last two the loss grows by ½ (0.1² + 0.1²)
    (2, 0.5)
    """
    epsilon = epsilon if isinstance(epsilon, Tolerance) else Tolerance(epsilon)
    resolution = _checks.scalar("resolution", resolution)
    checked(landscape)
    _checks.choice("method", method, METHODS)
    _checks.choice("negative", negative, NEGATIVE)
    zero_share, program_steps = _checks.share("zero_share", zero_share), _checks.count("program_steps", program_steps)
    curve: tuple[tuple[float, float], ...] = ()
    error, fraction = 0.0, None
    share = Estimate(0.0, 0.0)
    if method == "program":
        if negative != "absolute":
            raise ValueError(f"negative is {negative!r}, and the program takes absolute values: give 'absolute'")
        from prunekit._system import with_torch as _with_torch  # noqa: F401
        from prunekit.limit.authors import program_limit

        fraction = program_limit(landscape, epsilon.value, zero_share=zero_share, steps=program_steps)
        kept, error = math.floor(fraction * landscape.dimension + 1e-9), math.inf
    elif method in ("one-shot", "re-optimized"):
        kept, share = _quadratic(landscape, epsilon.value, method, negative, resolution)
        error = share.error
    else:
        kept, share, curve = _self_consistent(landscape, epsilon.value, method, negative, resolution)
        error = share.error
    return PruningLimit(
        fraction=kept / landscape.dimension if fraction is None else fraction,
        error=error,
        method=method,
        epsilon=epsilon,
        kept=kept,
        dimension=landscape.dimension,
        distance=landscape.distance(kept),
        negative=negative,
        known_by=landscape.method,
        curve=curve,
        scatter=share.scatter,
        quadrature=share.quadrature,
        resolved=share.resolved,
        products=landscape.products,
        coverage=landscape.coverage,
    )


def _quadratic(
    landscape: Landscape, epsilon: float, method: str, negative: Negative, resolution: float
) -> tuple[int, Estimate]:
    """Return the least k such that the quadratic model allows it and every larger one, and k/D with its error."""
    if method == "re-optimized" or landscape.hessian is not None:
        costs = reoptimized_costs if method == "re-optimized" else one_shot_costs
        kept = within_from(costs(landscape, negative=negative), epsilon)
        return kept, Estimate(kept / landscape.dimension, 0.0)
    curve = _one_shot_curve(landscape, epsilon, negative)
    kept, least, most = curve.last(max(resolution, landscape.accuracy / 5))
    near = [cost for k, cost in curve.seen.items() if least - 1 <= k <= most] or curve.seen.values()
    width = max(1, kept - least, most - kept)  # two errors hold it
    resolved = all(cost.resolved for cost in near)
    return kept, ProbedEstimate(kept / landscape.dimension, 0.0, width / (2 * landscape.dimension), resolved)


def _one_shot_curve(landscape: Landscape, epsilon: float, negative: Negative) -> Curve:
    """Return cᵀHc/2ε, known for every k along eigenvectors that the spectrum's run has found, by products elsewhere."""

    def energy(measure: Measure) -> float:
        return measure.integrate(lambda h: h) / (2 * epsilon)

    def enough(measure: Measure) -> bool:
        taken = treated(measure, negative)
        return taken.spread(energy) <= max(abs(1 - energy(taken)) / 4, landscape.accuracy / 2)

    def cost(k: int) -> ProbedEstimate:
        direction = treated(landscape.direction(k, enough), negative)
        change = direction.spread(energy)
        return ProbedEstimate(energy(direction), 0.0, change / 2, change <= UNSETTLED)

    known = known_energies(landscape, negative) / (2 * epsilon)
    return Curve(known, landscape.squared_distances, cost)


def _self_consistent(
    landscape: Landscape, epsilon: float, method: Method, negative: Negative, resolution: float
) -> tuple[int, Estimate, tuple[tuple[float, float], ...]]:
    """Return the least k with k/D ≥ T(k), k/D with its error, and where T was evaluated.

    The crossing is sought with the spectrum as far as it is known; if T there is not accurate enough, more steps are
    taken and it is sought again. The published limit, which costs no products along c, comes first: its integrand is
    the hardest to resolve. Where T is off by an error, the crossing with k/D moves by the error over 1 - dT/dp.
    """
    D, guess = landscape.dimension, None
    seen: dict[int, Estimate] = {}
    resolution = max(resolution, landscape.accuracy / 5)
    if method != "published" and landscape.accuracy:
        guess = _self_consistent(landscape, epsilon, "published", negative, resolution)[0]

    def excess(k: int) -> float:
        """Return k/D - T(k), and keep T(k)."""
        if landscape.distance(k) == 0:
            seen[k] = Estimate(0.0, 0.0)
        else:
            root, change = _root(landscape, epsilon, k, method, negative)
            seen[k] = _blurred(_treated_share(landscape.spectrum, root, epsilon, negative), change)
        return k / D - seen[k].value

    while True:
        kept, below = crossing(excess, D, resolution, guess)
        if kept not in seen:
            excess(kept)
        if landscape.good(seen[kept]):
            break
        root = _root(landscape, epsilon, kept, method, negative)[0] if landscape.distance(kept) else 0.0
        if not landscape.refine(partial(_treated_share, nu=root, epsilon=epsilon, negative=negative)):
            break
        seen.clear()
    worst = max((seen[k] for k in (kept, below) if k >= 0), key=lambda estimate: estimate.error)
    estimate = worst.linear(1 / (1 - _slope(seen, kept, D)))
    width = 0.0 if landscape.hessian is not None else (kept - below) / D  # two errors hold this
    if width and below >= 0:
        estimate = ProbedEstimate(
            kept / D, estimate.scatter, math.hypot(estimate.quadrature, width / 2), estimate.resolved
        )
    return kept, estimate, tuple((k / D, seen[k].value) for k in sorted(seen))


def _slope(seen: Mapping[int, Estimate], kept: int, D: int) -> float:
    """Return dT/dp at a share, at most 0, from the nearest point that is not so near that rounding decides."""
    far = [k for k in seen if abs(k - kept) >= max(1, 0.03 * kept)]
    if not far:
        return 0.0
    other = min(far, key=lambda k: abs(k - kept))
    return min((seen[kept].value - seen[other].value) * D / (kept - other), 0.0)


def crossing(excess: Callable[[int], float], D: int, resolution: float, guess: int | None = None) -> tuple[int, int]:
    """Return k with excess(k) ≥ 0 and a smaller one with less (-1: k is 0), nearer than resolution times the first.

    It does what `bisect` does, with fewer evaluations of excess(k) = k/D - T(k), whose T is smooth: where T does not
    change, the crossing is at D·T(0), which is tried first unless there is a guess. Then it uses false position (the
    Illinois rule), moved a little towards the middle so that the root is enclosed from both sides, and bisection
    wherever that is slow. The excess of k = D is taken to be positive, 1.
    """
    at_below = excess(0)
    if at_below >= 0:
        return 0, -1
    below, above, at_above = 0, D, 1.0
    aim = -at_below * D if guess is None else guess
    side, widths = 0, list[int]()  # which end the last evaluation moved
    low, high = at_below, at_above  # the excess at both ends, less where an end has stayed
    while above - below > max(1.0, resolution * above):
        k = min(max(round(aim), below + 1), above - 1)
        value = excess(k)
        if value >= 0:
            low = low / 2 if side > 0 else at_below
            above, at_above, high, side = k, value, value, 1
        else:
            high = high / 2 if side < 0 else at_above
            below, at_below, low, side = k, value, value, -1
        widths.append(above - below)
        if len(widths) > 3 and widths[-1] > widths[-4] / 4:
            aim, widths = _middle(below, above, above - D * at_above), []
        else:
            aim = above - high * (above - below) / (high - low)
            towards = (above + below) / 2 - aim
            aim += math.copysign(min(0.35 * max(1.0, resolution * above), abs(towards)), towards)
    return above, below


def _middle(below: int, above: int, scale: float) -> float:
    """Return a point between two k: of their logarithms' middle, where a crossing may be far below the larger."""
    if above > 4 * max(below, scale, 1):
        return math.sqrt(max(below, 1) * above)
    return (below + above) / 2


def bisect(allowed: Callable[[int], bool], D: int, resolution: float) -> tuple[int, int]:
    """Return k that is allowed and a smaller one that is not (-1: below all), nearer than resolution times the first.

    k = D is taken to be allowed. Where the allowed ones are not all above the others, one crossing is found. The
    search halves the ratio of the two, since limits may lie anywhere between one weight and all.
    """
    if allowed(0):
        return 0, -1
    below, above = 0, D
    while above - below > max(1.0, resolution * above):
        middle = math.isqrt(max(below, 1) * above)
        middle = min(max(middle, below + 1), above - 1)
        if allowed(middle):
            above = middle
        else:
            below = middle
    return above, below
