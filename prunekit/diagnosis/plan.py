"""What a diagnosis will cost here, said before it is spent, and what of it a budget allows.

The prices are those of one forward pass and of one product with the Hessian, taken on a few samples first. Parts are
taken in the order of their worth; where not all fit, fewer samples are taken, and then the last parts are left out.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prunekit import _checks
from prunekit.curvature import Curvature
from prunekit.diagnosis import spectral, stages
from prunekit.diagnosis.curves import REMOVED
from prunekit.diagnosis.head import MOST_FEATURES
from prunekit.diagnosis.quadratic import PARTS
from prunekit.diagnosis.subject import Batch, Subject, first, samples

_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
_SIZES = ((512, 2048), (256, 1024), (128, 512), (64, 256), (32, 256))  # samples for curvature, for measurements
_DEFAULT = (256, 1024)
_TRIED = 16  # samples by which prices are found
_LONG = 0.05  # seconds of a call from which on it is taken to grow with its samples
_WEIGHT = 8e-7  # seconds a weight, for tails and orders: of the prototype on one core
_FEWEST = 1.0
_CORE = 0.6  # of a budget, for the parts that every report should have, before samples are spared
_FORWARD = 3  # evaluations of a network that one derivative in forward mode takes
_CUTS = 8  # whose measures a search for a limit looks at


@dataclass(frozen=True)
class Price:
    """Seconds of one evaluation: of the call itself, and of each sample."""

    call: float
    sample: float

    def of(self, samples: int) -> float:
        """Return the seconds of an evaluation on so many samples."""
        return self.call + samples * self.sample


@dataclass(frozen=True)
class Prices:
    """What a forward pass, a product with the Hessian, and sorting all weights (seconds) cost here."""

    forward: Price
    product: Price
    weights: float


@dataclass(frozen=True)
class Planned:
    """One part of a diagnosis.

    Attributes
    ----------
    name : str
        What is done.
    seconds : float
        What it is expected to take.
    left_out : str
        Why it is not done; empty if it is.
    """

    name: str
    seconds: float
    left_out: str = ""


@dataclass(frozen=True)
class CostPlan:
    """What will be done, on how many samples, and what that takes.

    Attributes
    ----------
    parts : tuple of Planned
        Each part, in the order in which they are done.
    curvature, held : int
        Samples for curvature, and for measurements.
    budget : float or None
        Seconds allowed; None for as many as it takes.
    """

    parts: tuple[Planned, ...]
    curvature: int
    held: int
    budget: float | None

    @property
    def seconds(self) -> float:
        """What all that is done takes."""
        return sum(part.seconds for part in self.parts if not part.left_out)

    def __str__(self) -> str:
        """Return a table, one part a line."""
        allowed = "" if self.budget is None else f", of {self.budget:.0f} s allowed"
        lines = [f"about {self.seconds:.0f} s{allowed}: {self.curvature} samples for curvature, {self.held} held out"]
        width = max(len(part.name) for part in self.parts)
        return "\n".join(
            [*lines, *(f"  {part.name:{width}}  {part.left_out or f'{part.seconds:6.1f} s'}" for part in self.parts)]
        )


def seconds(budget: float | str | None) -> float | None:
    """Return a budget in seconds: a number, or a text such as "1 min", "90 s", "2 hours".

    Raises
    ------
    TypeError, ValueError
        If it is no such text, or not above 0.

    Examples
    --------
    >>> seconds("1.5 min"), seconds(20), seconds(None)
    (90.0, 20.0, None)
    """
    if budget is None:
        return None
    if not isinstance(budget, str):
        return _checks.scalar("budget", budget, positive=True)
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*?)s?\s*", budget.lower())
    unit = match and _UNITS.get(match[2] or "s")
    if not match or not unit:
        raise ValueError(f"budget is {budget!r}: give seconds, or a text such as '1 min' or '90 s'")
    return _checks.scalar("budget", float(match[1]) * unit, positive=True)


def prices(subject: Subject) -> Prices:
    """Return what forward passes and products cost here."""
    forward = _price(subject.held, lambda some: lambda: subject.losses(some))
    try:
        product = _price(subject.known, lambda some: _product(subject, some))
    except NotImplementedError:
        product = Price(math.inf, 0.0)
    return Prices(forward, product, _WEIGHT * subject.total)


def _product(subject: Subject, some: list[Batch]) -> Callable[[], object]:
    operator = Curvature(subject.model, subject.loss.given, some, parameters=subject.names)
    vector = operator.vector(subject.weights)
    return lambda: operator.product(vector)


def _price(batches: list[Batch], make: Callable[[list[Batch]], Callable[[], object]]) -> Price:
    """Return a price from two numbers of samples, from the smaller alone where that takes long."""
    few = first(batches, _TRIED)
    do = make(few)
    do()
    short, n = _timed(do), samples(few)
    more = first(batches, 8 * _TRIED)
    if short > _LONG or samples(more) <= n:
        return Price(0.0, short / n)
    long = _timed(make(more))
    each = max(long - short, 0.1 * long) / (samples(more) - n)
    return Price(max(short - n * each, 0.0), each)


def _timed(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def plan(subject: Subject, priced: Prices, budget: float | None) -> CostPlan:
    """Return what will be done.

    Raises
    ------
    ValueError
        If the budget is too small for anything.
    """
    there = samples(subject.known), samples(subject.held)
    if budget is None:
        return _of(subject, priced, *_at_most(_DEFAULT, there), None)
    plans = [_of(subject, priced, *_at_most(size, there), budget) for size in _SIZES]
    least = priced.weights + priced.forward.of(_SIZES[-1][1])
    if budget < min(least, _FEWEST):
        raise ValueError(
            f"budget is {budget:g} s, too small for anything: the weights and one measurement take about {least:.2g} s"
        )
    whole = next((each for each in plans if each.seconds <= budget), None)
    if whole is not None:
        return whole
    most = next((each for each in plans if _core(each) <= _CORE * budget), plans[-1])
    return _trimmed(most, budget)


def _core(whole: CostPlan) -> float:
    """Return what the parts take that every report should have: all before those that need whole spectra."""
    names = [part.name for part in whole.parts]
    return sum(part.seconds for part in whole.parts[: names.index("layers re-optimized")])


def only(whole: CostPlan, names: Sequence[str]) -> CostPlan:
    """Return a plan with these parts alone, those that the budget left out still left out.

    Raises
    ------
    TypeError, ValueError
        If a name is none of a part.
    """
    known = tuple(part.name for part in whole.parts)
    asked = {_checks.choice("parts' entry", name, known) for name in _checks.listed("parts", names, "names of parts")}
    kept = (
        part if part.name in asked or part.left_out else replace(part, left_out="left out: not asked for")
        for part in whole.parts
    )
    return replace(whole, parts=tuple(kept))


def _at_most(wanted: tuple[int, int], there: tuple[int, int]) -> tuple[int, int]:
    return min(wanted[0], there[0]), min(wanted[1], there[1])


def _of(subject: Subject, priced: Prices, curvature: int, held: int, budget: float | None) -> CostPlan:
    """Return the whole diagnosis on so many samples."""
    layers, forward = len(subject.names), priced.forward.of(held)
    product = PARTS * priced.product.of(curvature // PARTS)
    whole = priced.product.of(curvature)
    linear = PARTS * _FORWARD * priced.forward.of(curvature // PARTS)
    small = sum(w.numel() for w in subject.weights.values() if w.numel() <= stages.DENSE_LAYER)
    features = 2e-9 * min(MOST_FEATURES, subject.model_width()) ** 3
    parts = (
        Planned("weights", priced.weights),
        Planned("measured", len(REMOVED) * forward + priced.weights),
        Planned("saliencies", 12 * whole),
        Planned("scores", 20 * forward + priced.weights),
        Planned("one-shot", 8 * product),
        Planned("linearized", 8 * linear),
        Planned("last layer", 2 * forward + features),
        Planned("products", layers * 4 * priced.forward.of(4)),
        Planned("layers measured", layers * 8 * forward),
        Planned("layers predicted", layers * 6 * product),
        Planned("layers linearized", layers * 6 * linear),
        Planned("layers re-optimized", small * whole / 4),
        *_spectral(subject, whole),
    )
    return CostPlan(parts, curvature, held, budget)


def _spectral(subject: Subject, product: float) -> list[Planned]:
    """Return the parts that need the Hessian's spectrum: of a dense one the first pays for all."""
    total = subject.total
    if total <= spectral.DENSE:
        first_of = total / 4 * product + 1.5e-9 * total**3
        rest = 1e-9 * total**3
        return [
            Planned("re-optimized", first_of),
            *(Planned(name, rest) for name in ("published", "orthogonal", "cone")),
        ]
    steps = spectral.spectrum_products(total)
    vectors = total * (4e-8 + 2e-10 * steps)  # seconds of keeping one Lanczos vector orthogonal to the others
    along = _CUTS * spectral.DIRECTION * (product + 8e-8 * total)
    return [
        Planned("re-optimized", 0.0, f"for networks of up to {spectral.DENSE:,} weights"),
        Planned("published", steps * (product + vectors)),
        Planned("orthogonal", along),
        Planned("cone", along),
    ]


def _trimmed(whole: CostPlan, budget: float) -> CostPlan:
    """Return the plan without what the budget does not allow any more; what is cheap and comes later may still fit."""
    left, parts = budget, []
    for part in whole.parts:
        if part.left_out:
            parts.append(part)
        elif part.seconds <= left:
            left -= part.seconds
            parts.append(part)
        else:
            why = f"left out: about {part.seconds:.0f} s, and {max(left, 0):.0f} s were left"
            parts.append(Planned(part.name, part.seconds, why))
    return CostPlan(tuple(parts), whole.curvature, whole.held, budget)
