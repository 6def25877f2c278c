"""Spectra of symmetric matrices as discrete measures: how much lies at which eigenvalue.

Two measures of one matrix H, of D rows, matter here: the *counting measure*, whose total is D, and the *measure of a
vector* c, which puts c_i², the square of its coordinate in the eigenbasis, at the i-th eigenvalue and has the total
|c|². Both are a `Measure`, from the dense matrix or from Lanczos nodes and weights. A counting measure estimated with
several random probes is a `Spectrum`, which integrates with an error bar: the scatter between probes, and what the
quadrature itself may be off by. Where the quadrature does not see the integrand there is no bar but infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks, statistics
from prunekit._checks import Floats
from prunekit._system import pictures
from prunekit.statistics import Estimate, ProbedEstimate

T = TypeVar("T")
_SHARE = 2  # the quadrature's error is half of what the last half of the steps changed, so that two hold all of it
UNSETTLED = 0.15  # the share of ∫|f| that the last half of the steps may change in a resolved integral
_HIDDEN = 0.05  # the share of ∫|f| that may be hidden between the nodes next to 0
_DEPTHS = np.r_[0.0, np.logspace(-16, 0, 33)]  # where to look between 0 and the node next to it, relative to the node


@dataclass(frozen=True, eq=False)
class Measure:
    """A discrete measure on the eigenvalues of a matrix.

    Parameters
    ----------
    nodes : (m,) array
        Places, in units of the matrix; kept in increasing order.
    weights : (m,) array
        The mass at each node, at least 0; not all are 0.
    earlier : tuple of Measure
        For a quadrature by Lanczos: what fewer steps gave, from half of them on. Empty for a measure that is exact, or
        about which that is not known.

    Raises
    ------
    ValueError, TypeError
        For arrays of different lengths, entries that are not finite, or weights below 0.

    Examples
    --------
    >>> measure = Measure(np.array([0.0, 2.0]), np.array([3.0, 1.0]))  # the eigenvalue 0 three times, and 2 once
    >>> measure.total, round(measure.integrate(np.exp), 3)  # 3 + e²
    (4.0, 10.389)
    """

    nodes: Floats
    weights: Floats
    earlier: tuple[Measure, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        nodes = _checks.vector("nodes", self.nodes)
        weights = _checks.nonnegative_vector("weights", self.weights, nodes.size, like=f"nodes has {nodes.size}")
        if not weights.any():
            raise ValueError("weights are all 0: give a measure with something in it")
        _checks.finite("the total", weights.sum(), "weights")
        object.__setattr__(self, "earlier", _all("earlier", self.earlier, Measure))
        order = np.argsort(nodes, kind="stable")
        object.__setattr__(self, "nodes", nodes[order])
        object.__setattr__(self, "weights", weights[order])

    @classmethod
    def of_eigenvalues(cls, eigenvalues: ArrayLike) -> Measure:
        """Return the counting measure of eigenvalues (D,)."""
        nodes = _checks.vector("eigenvalues", eigenvalues)
        return cls(nodes, np.ones_like(nodes))

    @classmethod
    def of_vector(cls, eigenvalues: ArrayLike, coordinates: ArrayLike) -> Measure:
        """Return the measure of a vector with the given coordinates (D,) in the eigenbasis."""
        nodes = _checks.vector("eigenvalues", eigenvalues)
        squares = _squares(_checks.vector("coordinates", coordinates, nodes.size, like="eigenvalues"))
        return cls(nodes, squares)

    @property
    def total(self) -> float:
        """The whole mass: D for a counting measure, |c|² for a vector's."""
        return float(self.weights.sum())

    def integrate(self, f: Callable[[Floats], Floats]) -> float:
        """Return Σ weight f(node); `f` takes the nodes (m,) and returns (m,), or one number for all.

        Raises
        ------
        ValueError
            If `f` returns another shape, which numpy would broadcast to a wrong sum.
        FloatingPointError
            If the sum is not finite.
        """
        return _weighted(self.weights, _answer(f, self.nodes))

    def dispersion(self, f: Callable[[Floats], Floats]) -> tuple[float, float, float]:
        """Return the variance of n uᵀf(H)u for u random on the unit sphere of n = `total` dimensions, ∫ g² and ∫ g⁴.

        The variance is 2n/(n + 2) ∫ g², where g = f - ∫f/n.
        """
        n = self.total
        values = np.broadcast_to(_answer(f, self.nodes), self.nodes.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = (values - self.integrate(f) / n) ** 2
            size, fourth = self.weights @ squares, self.weights @ squares**2
        _checks.finite("the variance of f", np.array([size, fourth]), "f")
        return 2 * n / (n + 2) * float(size), float(size), float(fourth)

    def mapped(self, f: Callable[[Floats], Floats]) -> Measure:
        """Return the measure with its nodes moved by `f`: np.abs, for example, as the authors of geometric do."""
        moved = np.broadcast_to(_checks.finite("f(nodes)", _answer(f, self.nodes), "f"), self.nodes.shape)
        return self._at(moved, tuple(each.mapped(f) for each in self.earlier))

    def _at(self, nodes: Floats, earlier: tuple[Measure, ...]) -> Measure:
        """Return the measure at other nodes, in any order; all of it is known to be sound, and is not checked again."""
        order = np.argsort(nodes, kind="stable")
        measure = object.__new__(Measure)
        for name, value in (("nodes", nodes[order]), ("weights", self.weights[order]), ("earlier", earlier)):
            object.__setattr__(measure, name, value)
        return measure

    def spread(self, of: Callable[[Measure], float]) -> float:
        """Return the most by which a number read off this measure differs from those read off the `earlier` ones."""
        _checks.function("of", of)
        now = _checks.real("of(measure)", of(self))
        return max((abs(now - _checks.real("of(measure)", of(each))) for each in self.earlier), default=0.0)


def _answer(f: Callable[[Floats], Floats], nodes: Floats) -> Floats:
    """Return the values of f at nodes (m,): real numbers of that shape, or one for all; they need not be finite."""
    with np.errstate(over="ignore"):
        values = _checks.real_numbers("f(nodes)", _checks.function("f", f)(nodes))
    if values.shape not in ((), nodes.shape):
        raise ValueError(f"f answers shape {values.shape} for nodes {nodes.shape}: give one number a node")
    return values


def _weighted(weights: Floats, values: Floats) -> float:
    """Return the sum of weighted values."""
    with np.errstate(over="ignore", invalid="ignore"):
        integral = np.sum(weights * values)
    return float(_checks.finite("the integral of f", integral, "f or the measure"))


def _squares(coordinates: Floats) -> Floats:
    """Return the squares of a vector's coordinates, refusing those that overflow, or all vanish."""
    with np.errstate(over="ignore"):
        squares = coordinates**2
    if not coordinates.any():
        raise ValueError("coordinates are all 0: give a vector that is not")
    if not squares.any():
        raise FloatingPointError("coordinates are so small that their squares are 0: rescale coordinates")
    return _checks.finite("the square of an entry", squares, "coordinates")


def _all(name: str, given: Any, kind: type[T]) -> tuple[T, ...]:
    """Check that all entries are of one kind, and return them as a tuple."""
    what = f"{kind.__name__}s"
    if isinstance(given, kind):
        raise TypeError(f"{name} is a {kind.__name__}: give a tuple of them")
    entries = _checks.listed(name, given, what)
    return tuple(_checks.instance(f"an entry of {name}", each, kind, what) for each in entries)


@dataclass(frozen=True, eq=False)
class Gap:
    """The interval next to 0 in which a quadrature sees nothing.

    Attributes
    ----------
    points : (n,) array
        From the one node next to 0 through 0 to the other, denser towards 0; from 0 to the node where all nodes lie on
        one side.
    mass : float
        Weight of these nodes: what may lie in the gap.
    zeros : tuple of int
        Which of the points are 0.
    """

    points: Floats
    mass: float
    zeros: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the fields."""
        points = _checks.vector("points", self.points)
        zeros = [_checks.count("zeros", k, 0, points.size - 1) for k in _checks.listed("zeros", self.zeros, "integers")]
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "mass", _checks.scalar("mass", self.mass))
        object.__setattr__(self, "zeros", tuple(zeros))

    @classmethod
    def of(cls, measure: Measure, reach: float = 0.0) -> Gap | None:
        """Return the gap of a quadrature; None where 0 is a node, or lies farther outside all nodes than `reach`.

        Parameters
        ----------
        measure : Measure
            The quadrature.
        reach : float
            How far eigenvalues may lie from the node next to 0, where all nodes are on one side of it.
        """
        _checks.instance("measure", measure, Measure, "a Measure")
        reach = _checks.scalar("reach", reach)
        nodes, after, n = measure.nodes, int(np.searchsorted(measure.nodes, 0.0)), _DEPTHS.size
        if after in (0, nodes.size):
            next_to = 0 if after == 0 else -1
            if nodes[next_to] == 0 or abs(nodes[next_to]) > reach:
                return None
            return cls(nodes[next_to] * _DEPTHS, float(measure.weights[next_to]), (0,))
        if nodes[after] == 0:
            return None
        points = np.concatenate([nodes[after - 1] * _DEPTHS[::-1], nodes[after] * _DEPTHS])
        return cls(points, float(measure.weights[after - 1 : after + 1].sum()), (n - 1, n))

    def hidden(self, f: Callable[[Floats], Floats]) -> float:
        """Return the mass in the gap times how far f leaves, in it, the range between its values at the nodes.

        Where f has no finite value at 0 itself, such as t log|t|, the points beside 0 count instead; where it has none
        there either, the result is infinity.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.array(np.broadcast_to(_answer(f, self.points), self.points.shape))
        at_nodes = values[[0, -1]] if len(self.zeros) == 2 else values[-1:]
        zero = np.isin(np.arange(values.size), self.zeros)
        seen = values[~zero | np.isfinite(values)]
        with np.errstate(over="ignore", invalid="ignore"):
            hidden = self.mass * float(np.max([at_nodes.min() - seen.min(), seen.max() - at_nodes.max(), 0.0]))
        return hidden if np.isfinite(hidden) else math.inf


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The counting measure of a matrix, exact or estimated by independent probes.

    Parameters
    ----------
    probes : tuple of Measure
        Independent estimates of the counting measure, all of one total, D; a single one if exact.
    exact : bool
        Whether it is the measure itself (the dense eigenvalues); error bars are 0 then.
    rules : tuple of Measure
        For a spectrum by Lanczos: the mean quadrature of the probes that share a basis, before converged eigenvalues
        are counted once, with the `earlier` ones. The error of the quadrature is read off these. None if nothing is
        known about it.
    free, fixed : tuple of Measure
        The two quadratures of which those are means, if they are: with nodes that are free, and with a node at 0.
    rests : tuple of Measure
        For normal start vectors, whose scatter is known: each probe without what is counted once. Empty otherwise.
    gaps : tuple of Gap
        The gaps of those quadratures around 0.
    products : int
        Number of products with the matrix that it took.
    converged : int
        Number of eigenvalues that are counted once, in every probe.

    Raises
    ------
    ValueError, TypeError
        If there is no probe, one is no `Measure`, totals differ, or an exact spectrum has several.

    Examples
    --------
    >>> Spectrum.of_eigenvalues([0.0, 0.0, 0.0, 2.0]).integrate(np.square)
    Estimate(value=4.0, error=0.0)
    """

    probes: tuple[Measure, ...]
    exact: bool = False
    rules: tuple[Measure, ...] = field(default=(), repr=False)
    free: tuple[Measure, ...] = field(default=(), repr=False)
    fixed: tuple[Measure, ...] = field(default=(), repr=False)
    rests: tuple[Measure, ...] = field(default=(), repr=False)
    gaps: tuple[Gap, ...] = field(default=(), repr=False)
    products: int = 0
    converged: int = 0

    def __repr__(self) -> str:
        """Say of how many dimensions it is, and how it is known."""
        of = f"{self.probes[0].total:.6g} dimensions"
        if self.exact:
            return f"Spectrum({of}, exact)"
        return f"Spectrum({of}, {len(self.probes)} probes, {self.converged} eigenvalues converged)"

    def plot(self, axes: Any = None) -> Any:
        """Draw which share of the dimensions has which eigenvalue, and return matplotlib's axes.

        Parameters
        ----------
        axes : matplotlib axes, optional
            Where to draw; by default on a new figure.
        """
        axes = pictures.axes(axes, "eigenvalue", "share of the dimensions")
        pooled = self.pooled
        axes.hist(pooled.nodes, bins=60, weights=pooled.weights / pooled.total)
        axes.set_yscale("log")
        return axes

    def __post_init__(self) -> None:
        for name in ("probes", "rules", "free", "fixed", "rests", "gaps"):
            object.__setattr__(self, name, _all(name, getattr(self, name), Gap if name == "gaps" else Measure))
        for name in ("products", "converged"):
            object.__setattr__(self, name, _checks.count(name, getattr(self, name), 0))
        object.__setattr__(self, "exact", _checks.flag("exact", self.exact))
        if not self.probes:
            raise ValueError("probes is empty: give at least one measure")
        if self.exact and len(self.probes) > 1:
            raise ValueError(f"probes are {len(self.probes)}: an exact spectrum has one")
        totals = [probe.total for probe in self.probes]
        if not np.allclose(totals, totals[0], rtol=1e-8):
            raise ValueError(f"probes have totals from {min(totals)} to {max(totals)}: give measures of one matrix")

    @classmethod
    def of_eigenvalues(cls, eigenvalues: ArrayLike) -> Spectrum:
        """Return the exact spectrum of eigenvalues (D,)."""
        return cls((Measure.of_eigenvalues(eigenvalues),), exact=True)

    @property
    def dimension(self) -> float:
        """D, the number of rows of the matrix."""
        return self.probes[0].total

    @property
    def pooled(self) -> Measure:
        """The average of the probes, as one measure of total D."""
        count = len(self.probes)
        nodes = np.concatenate([probe.nodes for probe in self.probes])
        return Measure(nodes, np.concatenate([probe.weights for probe in self.probes]) / count)

    def integrate(self, f: Callable[[Floats], Floats]) -> Estimate:
        """Return ∫ f over the counting measure, Σ_i f(h_i), with an error two of which hold the truth in 95% of cases.

        Returns
        -------
        ProbedEstimate
            `scatter`: the standard error across probes, with Student's quantile; infinite for a single probe. Four
            probes agree by chance now and then, so it is not less than what normal starts must scatter by: the variance
            of zᵀf(H)z over what is not counted once, 2 (∫f² - (∫f)²/n) n/(n + 2) for n dimensions.
            `quadrature`: the root of the sum of squares of two numbers. The first is half of the most by which the last
            half of the steps changed the mean, in the probes as they were drawn, or by which the mean differs from that
            with free nodes and from that with a node at 0, whichever is more. The second is what may be hidden between
            the nodes next to 0, or between 0 and the least node of a positive spectrum, where there is no quadrature
            with a node there. `error`: the root of the sum of squares of both parts; infinite, with `resolved` False,
            where the first number is more than 15% of ∫|f| or the second more than 5% of it. For a hand-made spectrum,
            without `rules`, the quadrature counts as exact.

        Notes
        -----
        Source: stochastic Lanczos quadrature, Ubaru, Chen and Saad (2017); the variance is Hutchinson's for normal
        vectors (Avron and Toledo 2011) at fixed length. An error of the quadrature that falls as 1/steps or faster is
        at most what the last half of the steps changed. Nodes that are free and nodes with one at 0 lie on either side
        of the truth for a positive spectrum and a function whose derivatives alternate in sign (Golub and Meurant 2010,
        section 6.1). On networks of digits they do so for log(t + |h|), |h|/(t + |h|) and √|h|, and their mean is
        two to six times nearer to it than free nodes alone. What is counted once has a small bias of its own, at most
        half a standard error there: an eigenvector in which the starts happen to lie converges earlier. The truth is
        that of the given matrix: what single precision does to its products is not in the error.
        """
        _checks.function("f", f)
        draws = [probe.integrate(f) for probe in self.probes]
        if self.exact:
            return Estimate(draws[0], 0.0)
        value, scatter = statistics.few(draws)
        scatter = max(scatter, self._scatter_of_normal(f))
        change = max(self._change(f), self._width(f))
        hidden = float(np.mean([gap.hidden(f) for gap in self.gaps])) if self.gaps else 0.0
        size = sum(rule.integrate(lambda h: np.abs(f(h))) for rule in self.rules) / max(len(self.rules), 1)
        resolved = not self.rules or (change <= UNSETTLED * size and hidden <= _HIDDEN * size)
        quadrature = math.hypot(change / _SHARE, hidden) if math.isfinite(hidden) else math.inf
        return ProbedEstimate(value, scatter, quadrature, resolved)

    def _scatter_of_normal(self, f: Callable[[Floats], Floats]) -> float:
        """Return the standard error of the mean over probes whose starts are normal, with Student's quantile; else 0.

        The variance of zᵀf(H)z is a sum over the spectrum itself (`Measure.dispersion`), so a few probes tell it with
        more degrees of freedom than their spread has: as many as its own variance says (Satterthwaite 1946).
        """
        variances, squares, fourths = np.array([rest.dispersion(f) for rest in self.rests]).reshape(-1, 3).T
        if not squares.any():
            return 0.0
        freedom = float(squares.sum() ** 2 / fourths.sum())
        return math.sqrt(variances.sum()) / len(self.probes) * statistics.student(freedom)

    def _change(self, f: Callable[[Floats], Floats]) -> float:
        """Return the most by which the last half of the steps changed the mean over the probes as they were drawn."""
        if not self.rules:
            return 0.0
        now = np.mean([rule.integrate(f) for rule in self.rules])
        then = [[each.integrate(f) for each in rule.earlier] for rule in self.rules]
        return float(np.abs(np.mean(then, axis=0) - now).max(initial=0.0))

    def _width(self, f: Callable[[Floats], Floats]) -> float:
        """Return by how much the mean over the probes differs from those of either side."""
        if not self.free:
            return 0.0
        free, fixed = (sum(each.integrate(f) for each in side) for side in (self.free, self.fixed))
        return abs(free - fixed) / (2 * len(self.rules))

    def mapped(self, f: Callable[[Floats], Floats]) -> Spectrum:
        """Return the spectrum with its nodes moved by `f`; what is known of its errors goes with them."""
        _checks.function("f", f)
        return replace(
            self,
            probes=tuple(probe.mapped(f) for probe in self.probes),
            rules=tuple(rule.mapped(f) for rule in self.rules),
            free=tuple(each.mapped(f) for each in self.free),
            fixed=tuple(each.mapped(f) for each in self.fixed),
            rests=tuple(rest.mapped(f) for rest in self.rests),
            gaps=tuple(replace(gap, points=np.asarray(f(gap.points))) for gap in self.gaps),
        )

    def with_zeros(self, count: int) -> Spectrum:
        """Return the spectrum of a matrix with `count` more rows, which are 0: an atom at 0 in every probe."""
        zeros = float(_checks.count("count", count, 0))
        if zeros == 0:
            return self

        def more(measure: Measure) -> Measure:
            nodes, weights = np.append(measure.nodes, 0.0), np.append(measure.weights, zeros)
            return Measure(nodes, weights, tuple(map(more, measure.earlier)))

        probes, rules, free, fixed = (tuple(map(more, x)) for x in (self.probes, self.rules, self.free, self.fixed))
        return replace(self, probes=probes, rules=rules, free=free, fixed=fixed)

    def trace(self) -> Estimate:
        """Return the trace, Σ_i h_i."""
        return self.integrate(lambda h: h)

    def log_determinant(self, shift: float = 0.0) -> Estimate:
        """Return log det(H + shift I), Σ_i log(h_i + shift).

        Raises
        ------
        ValueError
            If a node lies at -shift or below.
        """
        moved = _checks.scalar("shift", shift)
        least = min(float(probe.nodes[0]) for probe in self.probes)
        if least + moved <= 0:
            raise ValueError(
                f"shift is {moved:.6g}, and the least node is {least:.6g}: give a shift above {abs(least):.6g}"
            )
        return self.integrate(lambda h: np.log(h + moved))
