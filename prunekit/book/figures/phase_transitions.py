"""The figures of the page on when a subspace meets a cone: the jump, width against dimension, ellipsoids."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats, Integers
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette, columns, compare, joined, legend
from prunekit.cones import kinematic, volumes
from prunekit.statistics import Estimate, mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Meetings:
    """The meetings of random subspaces with one cone.

    Attributes
    ----------
    ambient : int
        D, the dimension of the space.
    first : (frames,) array of int
        For each random frame, how many of its vectors are needed for their span to meet the cone.
    dimension, width, variance : Estimate
        Statistical dimension of the cone, its Gaussian width, and the variance of its intrinsic volumes.
    volumes : (D + 1,) array or None
        The intrinsic volumes, where they have a closed form.
    """

    ambient: int
    first: Integers
    dimension: Estimate
    width: Estimate
    variance: Estimate
    volumes: Floats | None

    @property
    def jump(self) -> float:
        """Where the kinematic formula puts the jump, D - δ."""
        return self.ambient - self.dimension.value

    @property
    def squared_width(self) -> Estimate:
        """The squared width, which Theorem 3 of the paper has in place of the dimension."""
        return Estimate(self.width.value**2, 2 * self.width.value * self.width.error)

    def offset(self, dimension: Estimate) -> Estimate:
        """Return the mean place, minus ½, less the one that a dimension predicts, in units of √D."""
        error = math.hypot(self.first.std(ddof=1) / math.sqrt(len(self.first)), dimension.error)
        gap = float(self.first.mean()) - 0.5 - (self.ambient - dimension.value)
        return Estimate(gap / math.sqrt(self.ambient), error / math.sqrt(self.ambient))

    def wrong(self, dimension: Estimate) -> Estimate:
        """Return the share of frames on the wrong side, 2√D away from where a dimension predicts the jump; the worse.

        Its error is that of a binomial share, at a share that is neither 0 nor 1.
        """
        place, away, frames = self.ambient - dimension.value, 2 * math.sqrt(self.ambient), len(self.first)
        hits = int(max(np.sum(self.first <= place - away), np.sum(self.first > place + away)))
        p = (hits + 1) / (frames + 2)
        return Estimate(hits / frames, math.sqrt(p * (1 - p) / frames))

    @property
    def spread(self) -> float:
        """Standard deviation of the jump's place, as a share of D."""
        return float(self.first.std(ddof=1)) / self.ambient

    @property
    def spread_error(self) -> float:
        """The relative standard error of the spread, by the fourth moment."""
        deviations = self.first - self.first.mean()
        kurtosis = float(np.mean(deviations**4) / np.mean(deviations**2) ** 2)
        return math.sqrt(max(kurtosis - 1, 0.0) / (4 * len(self.first)))

    @property
    def marked(self) -> Integers:
        """Up to nine dimensions within three standard deviations of the jump."""
        spread = math.sqrt(self.variance.value)
        k = np.unique(np.round(self.jump + spread * np.linspace(-3, 3, 9)).astype(int))
        return k[(k >= 1) & (k < self.ambient)]

    def predicted(self, k: Integers) -> Floats:
        """Return the chance to meet at each k: exact, or with Gaussian volumes."""
        if self.volumes is not None:
            return np.array([volumes.meeting_probability(self.volumes, int(j)) for j in k])
        return kinematic.smooth_step(self.dimension.value, self.variance.value, k.astype(float), self.ambient)

    def shares(self, k: Integers) -> tuple[Floats, Floats]:
        """Return the share of frames whose first k vectors meet the cone, and its binomial error."""
        frames = len(self.first)
        hits = np.array([np.sum(self.first <= j) for j in k])
        p = (hits + 1) / (frames + 2)
        return hits / frames, np.sqrt(p * (1 - p) / frames)


@dataclass(frozen=True)
class Below:
    """A cone whose statistical dimension is known in closed form, and suprema of <g, x> over it, (draws,)."""

    dimension: float
    suprema: Floats

    @property
    def excess(self) -> Estimate:
        """The dimension less the squared width, which no estimate of a variance makes positive by itself."""
        width = mean(self.suprema)
        return Estimate(self.dimension - width.value**2, 2 * abs(width.value) * width.error)


Found = Mapping[tuple[str, int], Meetings]
NEAR = 0.25  # how far from its predicted place a jump may be, in units of √D


def sharpening(meetings: Found, name: str) -> Estimate:
    """Return the power of D with which the jump of a cone narrows, as a share of D, by least squares.

    Parameters
    ----------
    meetings : mapping of (str, int) to Meetings
        The meetings by name of the cone and dimension of the space, in two spaces at least.
    name : str
        Which cone.
    """
    cases = [case for (cone, _), case in meetings.items() if cone == name]
    x = np.log([case.ambient for case in cases])
    x = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    power = x @ np.log([case.spread for case in cases])
    return Estimate(float(power), float(np.linalg.norm(x * [case.spread_error for case in cases])))


def jump(meetings: Found) -> Drawing:
    """Return a figure of the share of subspaces that meet a cone against their dimension, a panel for each cone.

    Parameters
    ----------
    meetings : mapping of (str, int) to Meetings
        The meetings by name of the cone and dimension of the space, for four cones.
    """
    names, sizes = (list(dict.fromkeys(each)) for each in zip(*meetings, strict=True))
    lines: dict[str, Any] = {name: {} for name in names}
    points: dict[str, Any] = {name: {} for name in names}
    gaps = []
    for (name, D), case in meetings.items():
        k, at = np.arange(D + 1), case.marked
        lines[name][f"D = {D}"] = (k / D, case.predicted(k))
        points[name][f"D = {D}"] = (at / D, *case.shares(at))
        gaps.append(np.max(np.abs(case.shares(at)[0] - case.predicted(at))))

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, grid = plt.subplots(2, 2, figsize=(8.0, 5.8), sharex=True, sharey=True)
        for axes, name in zip(grid.flat, names, strict=True):
            place = meetings[name, sizes[-1]].jump / sizes[-1]
            axes.step([0, place, 1], [0, 1, 1], where="post", color=palette.muted, linewidth=1)
            compare(axes, palette, lines[name], points[name])
            axes.set_title(name, fontsize=10.5)
        for axes in grid[1]:
            axes.set_xlabel("dimension of the subspace, k/D")
        for axes in grid[:, 0]:
            axes.set_ylabel("share that meets the cone")
        legend(figure, grid[0, 0], ncols=len(sizes))
        return figure

    frames = len(next(iter(meetings.values())).first)
    caption = (
        f"Whether a random subspace meets a cone is decided by its dimension alone, the more sharply the larger D "
        f"({frames} random frames for each cone and D). Steps: the kinematic formula at D = {sizes[-1]}; lines: exact "
        "in the upper panels, with Gaussian volumes in the lower ones; markers: simulation, with binomial errors, "
        f"independent between sizes but not along k. The largest gap between a marker and its line is {max(gaps):.3f}."
    )
    alt = (
        "Four panels, one for each cone: the share of random subspaces that meet it rises from 0 to 1 with their "
        "dimension over D, more steeply for larger D. Markers lie on the predicted lines; a step marks the place of "
        "the jump by the kinematic formula."
    )
    tables = {name: columns("k_over_D", "chance_to_meet", lines[name], points[name]) for name in names}
    return Drawing(draw, joined(tables, "cone"), "jump", alt, caption)


def excess(families: Mapping[str, Sequence[tuple[int, float, float, float]]]) -> Drawing:
    """Return a figure of how far the statistical dimension exceeds the squared width.

    Parameters
    ----------
    families : mapping of str to sequence of (D, δ, δ - w², standard error)
        The rows of each family of cones.
    """
    points = {name: np.array(rows, dtype=float).T for name, rows in families.items()}
    rows: list[tuple[Any, ...]] = [(name, *each) for name, all_of in families.items() for each in all_of]
    values = np.array([row[3] for row in rows])

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.0))
        for y in (0, 1):
            axes.axhline(y, color=palette.muted, linewidth=1)
        compare(axes, palette, {}, {name: (each[1], each[2], each[3]) for name, each in points.items()})
        axes.set(xscale="log", ylim=(-0.08, 1.08), xlabel="statistical dimension δ", ylabel="δ - w²")
        legend(figure, axes, ncols=3)
        return figure

    low, high = min(row[1] for row in rows), max(row[1] for row in rows)
    between = "lie between 0 and 1" if values.min() >= 0 and values.max() <= 1 else "lie about the bounds 0 and 1"
    caption = (
        f"The differences of {len(rows)} cones in {low} to {high} dimensions {between}, as Theorem 2 says: they range "
        f"from {values.min():.2f} to {values.max():.2f}."
    )
    alt = (
        "The difference between statistical dimension and squared width against the statistical dimension, on a "
        f"logarithmic axis, for {len(families)} families of cones, with lines at 0 and 1 between which Theorem 2 "
        "puts it."
    )
    names = ("cone", "D", "dimension", "excess", "standard_error")
    return Drawing(draw, dict(zip(names, zip(*rows, strict=True), strict=True)), "excess", alt, caption)


def ellipsoid_width(
    effective: Floats, ratios: Floats, marks: Sequence[tuple[float, float, float]], uneven: tuple[float, float]
) -> Drawing:
    """Return a figure of an ellipsoid's Gaussian width over the formula of Lemma 1.

    Parameters
    ----------
    effective, ratios : (m,) arrays
        Effective numbers of radii, falling, and the exact width over the formula there.
    marks : sequence of (effective number, ratio, standard error)
        The same ratios by Monte Carlo.
    uneven : (float, float)
        Exact width, and the formula, for one radius of 10 beside 99 of 0.1.
    """
    approximation = 1 - 1 / (4 * np.asarray(effective))

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 3.8))
        x, y, error = np.array(marks).T
        axes.axhline(1, color=palette.muted, label="Lemma 1")
        axes.axhline(math.sqrt(2 / math.pi), color=palette.muted, linestyle=":", label="√(2/π)")
        axes.plot(effective, ratios, color=palette.series[0], label="exact")
        axes.plot(effective, approximation, linestyle=DASHES[1], color=palette.series[1], label="1 - 1/4N")
        axes.errorbar(
            x, y, yerr=error, color=palette.series[2], marker=MARKERS[0], linestyle="none", capsize=2,
            markerfacecolor="none", label="Monte Carlo",
        )  # fmt: skip
        axes.set(xscale="log", ylim=(0.72, 1.03), xlabel="effective number of radii N", ylabel="width / √(Σ r²)")
        figure.legend(fontsize=9, ncols=5, loc="outside upper center")
        return figure

    rows: list[tuple[Any, ...]] = [("exact", n, ratio, None) for n, ratio in zip(effective, ratios, strict=True)]
    rows += [("approximation", n, value, None) for n, value in zip(effective, approximation, strict=True)]
    rows += [("Monte Carlo", *mark) for mark in marks]
    caption = (
        f"Lemma 1 is right while many radii count and too large when one dominates: the width is {ratios[0]:.4f} of "
        f"the formula when all are equal and {ratios[-1]:.4f} at the other end (one radius from 0.1 to 100 beside 99 "
        f"of 0.1). With one of 10 it is {uneven[0]:.2f} in place of {uneven[1]:.2f}."
    )
    alt = (
        "Gaussian width of an ellipsoid over the formula of Lemma 1, against the effective number of radii on a "
        "logarithmic axis: the exact line rises from the square root of 2/π to 1, Monte Carlo markers lie on it, an "
        "approximation joins it above two radii."
    )
    names = ("kind", "effective_number", "width_over_formula", "standard_error")
    return Drawing(draw, dict(zip(names, zip(*rows, strict=True), strict=True)), "ellipsoid-width", alt, caption)


def findings(meetings: Found, uneven: tuple[float, float]) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    meetings : mapping of (str, int) to Meetings
        The meetings by name of the cone and dimension of the space.
    uneven : (float, float)
        Exact width, and the formula, for an ellipsoid with one radius of 10 beside 99 of 0.1.
    """
    sizes = sorted({D for _, D in meetings})
    cones = len({name for name, _ in meetings})
    gap = max(abs(case.offset(case.dimension).value) for case in meetings.values())
    meets = "begins" if gap <= NEAR else "does not begin"
    small, large = (
        max(case.spread for (_, D), case in meetings.items() if size == D) for size in (sizes[0], sizes[-1])
    )
    sharpens, falls = ("sharpens", "falls") if large < small else ("does not sharpen", "goes")
    exact, formula = uneven
    fails = "too large" if formula > 1.01 * exact else "right even"
    return (
        f"A random subspace {meets} to meet a cone where the two dimensions add up to that of the space: for {cones} "
        f"cones in {sizes[0]} to {sizes[-1]} dimensions D the jump is at most {gap:.2f} √D from its predicted place.",
        f"The jump {sharpens} as the space grows: from {sizes[0]} to {sizes[-1]} dimensions its largest standard "
        f"deviation {falls} from {small:.3f} to {large:.3f} of the dimension.",
        f"The formula for the width of an ellipsoid is {fails} where one radius dominates: with one of 10 beside 99 of "
        f"0.1 it says {formula:.2f}, and the width is {exact:.2f}.",
    )
