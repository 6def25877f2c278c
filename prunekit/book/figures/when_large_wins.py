"""The figures of the page on when large wins: two phase diagrams, the leads measured in them, and the best rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import Drawing, Palette
from prunekit.linear.rivals import BUDGETS, KINDS, RULES, Contest
from prunekit.statistics import deviation_bound

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = (0.25, 0.5, 0.8, 1.1, 1.25, 1.5, 2, 3)
EVERYBODY = "all rivals"
SHADE = "29"  # how opaque the winning side is, in hexadecimal


@dataclass(frozen=True)
class Point:
    """A measured point of a diagram.

    Attributes
    ----------
    diagram : str
        The diagram's name.
    x, y : float
        The point's place in the diagram.
    n, s : int
        Numbers of samples and of coefficients kept.
    kind : str
        The kind of the best rival.
    predicted, measured, error : float
        Lead of the large model over it, and the standard error of the measured one, in units of y².
    off : float
        Gap between the two, in standard errors.
    retrained : float
        What training the survivors again adds to the risk, in standard errors.
    """

    diagram: str
    x: float
    y: float
    n: int
    s: int
    kind: str
    predicted: float
    measured: float
    error: float
    off: float
    retrained: float


@dataclass(frozen=True)
class Points:
    """All measured points of the page, and the number of data sets behind each."""

    all: Sequence[Point]
    repetitions: int

    @property
    def bound(self) -> float:
        """What chance allows over all points, in standard errors."""
        return deviation_bound(len(self.all), self.repetitions)

    @property
    def worst(self) -> float:
        """The largest gap between measured and predicted lead, in standard errors."""
        return max(point.off for point in self.all)

    def sure(self, point: Point) -> bool:
        """Whether the sign of a measured lead is decided."""
        return abs(point.measured) > self.bound * point.error

    def of(self, diagram: str) -> list[Point]:
        """Return the points of a diagram."""
        return [point for point in self.all if point.diagram == diagram]

    def agreement(self, diagram: str | None = None) -> str:
        """Say how the points of a diagram came out, or all."""
        mine = list(self.all) if diagram is None else self.of(diagram)
        decided = [point for point in mine if self.sure(point)]
        right = sum((point.measured > 0) == (point.predicted > 0) for point in decided)
        return f"of {len(mine)} measured points {len(decided)} are decided, {right} of these as predicted"


@dataclass(frozen=True)
class Diagram:
    """A phase diagram: contests over two settings.

    Attributes
    ----------
    name : str
        "samples" or "noise".
    labels : (str, str)
        The labels of the two axes.
    xs, ys
        The settings, increasing.
    rows
        The contests, with a row for each y.
    logarithmic : bool
        Whether x is drawn on a logarithmic axis.
    """

    name: str
    labels: tuple[str, str]
    xs: Floats
    ys: Floats
    rows: Sequence[Sequence[Contest]]
    logarithmic: bool = False

    def quotient(self, budget: str, rule: str = "Hessian") -> Floats:
        """Return the best rival's risk over the large model's at every point, (y, x)."""
        return np.array([[cell.quotient(budget, rule) for cell in row] for row in self.rows])

    def won(self, budget: str, rule: str = "Hessian") -> float:
        """Return the share of the diagram where the large model is predicted to win."""
        return float(np.mean(self.quotient(budget, rule) > 1))

    def best_rivals(self) -> np.ndarray[Any, Any]:
        """Return the number in `KINDS` of the best rival at every point."""
        return np.array([[KINDS.index(cell.best().kind) for cell in row] for row in self.rows])

    def border(self, rule: str) -> str:
        """Say up to which y a rule is predicted to win, and for which x there."""
        wins = self.quotient(EVERYBODY, rule) > 1
        highest = np.flatnonzero(wins.any(axis=1))
        if not highest.size:
            return f"{rule} pruning wins nowhere"
        where = [f"{x:.0f}" for x in self.xs[wins[highest[-1]]]]
        spikes = f"spikes from {where[0]} to {where[-1]}" if where[1:] else f"spike {where[0]}"
        return f"{rule} pruning wins up to σ² = {self.ys[highest[-1]]:.1f}, there for {spikes}"

    def cells(self) -> Iterator[tuple[str, float, float, Contest]]:
        """Yield budget, x, y and contest of every point."""
        for budget in BUDGETS:
            for y, row in zip(self.ys, self.rows, strict=True):
                for x, cell in zip(self.xs, row, strict=True):
                    yield budget, float(x), float(y), cell


def contours(axes: Axes, diagram: Diagram, field: Floats, levels: Sequence[float], **style: Any) -> None:
    """Draw the contour lines that exist, with labels if there are several levels."""
    wanted = [level for level in levels if field.min() < level < field.max()]
    if wanted:
        lines = axes.contour(diagram.xs, diagram.ys, field, levels=wanted, **style)
        if len(levels) > 1:
            axes.clabel(lines, fontsize=8, fmt="%g")


def _paint(axes: Axes, palette: Palette, diagram: Diagram, budget: str) -> None:
    """Draw contours of the quotient, the borders of both rules, and the side that wins."""
    quotient = diagram.quotient(budget)
    blue, orange = palette.series[:2]
    axes.contourf(diagram.xs, diagram.ys, quotient, levels=[0, 1, 1e9], colors=["none", f"{blue}{SHADE}"])
    contours(axes, diagram, quotient, LEVELS, colors=palette.muted, linewidths=0.8)
    contours(axes, diagram, quotient, [1], colors=[blue], linewidths=2.2)
    contours(axes, diagram, diagram.quotient(budget, "oracle"), [1], colors=[orange], linestyles="--")
    axes.set_title(budget, fontsize=10)
    axes.set(xlabel=diagram.labels[0], xscale="log" if diagram.logarithmic else "linear")


def _mark(axes: Axes, palette: Palette, points: Points, diagram: Diagram) -> None:
    """Draw the measured points, filled where the sign of the lead is decided."""
    for point in points.of(diagram.name):
        sure = points.sure(point)
        shape = ("^" if point.measured > 0 else "v") if sure else "o"
        style: dict[str, Any] = {"marker": shape, "color": palette.ink, "clip_on": False, "zorder": 3}
        axes.plot(point.x, point.y, markersize=6, markerfacecolor=palette.ink if sure else "none", **style)


def _handles(palette: Palette) -> list[Any]:
    """Return the entries of a diagram's legend."""
    from matplotlib.lines import Line2D

    blue, orange = palette.series[:2]
    ink: dict[str, Any] = {"color": palette.ink, "linestyle": "none", "markersize": 6}
    return [
        Line2D([], [], color=blue, linewidth=2.2, label="Hessian pruning's border"),
        Line2D([], [], color=orange, linestyle="--", label="oracle pruning's border"),
        Line2D([], [], marker="^", label="measured: wins", **ink),
        Line2D([], [], marker="v", label="measured: loses", **ink),
        Line2D([], [], marker="o", markerfacecolor="none", label="undecided", **ink),
    ]


def _phases(diagram: Diagram, points: Points, alt: str, caption: str) -> Drawing:
    """Return the two diagrams of one pair of settings, against all rivals and against small ones."""

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.6, 4.2), sharey=True)
        for axes, budget in zip(both, BUDGETS, strict=True):
            _paint(axes, palette, diagram, budget)
        _mark(both[0], palette, points, diagram)
        both[0].set(ylabel=diagram.labels[1])
        figure.legend(handles=_handles(palette), loc="outside upper center", ncols=3, fontsize=9)
        return figure

    heads = ("rivals", "x", "y", *(f"risk_{rule}" for rule in RULES), "risk_rival", "kind")
    rows = [
        (budget, x, y, *(cell.risks[rule] for rule in RULES), cell.best(budget).risk, cell.best(budget).kind)
        for budget, x, y, cell in diagram.cells()
    ]
    numbers = dict(zip(heads, map(list, zip(*rows, strict=True)), strict=True))
    return Drawing(draw, numbers, diagram.name, alt, caption)


def samples(diagram: Diagram, points: Points) -> Drawing:
    """Return the diagram over samples and weights kept.

    Parameters
    ----------
    diagram, points
        What was predicted and measured.
    """
    first, second = (f"{diagram.won(budget):.0%}" for budget in BUDGETS)
    caption = (
        f"The large model wins where it is shaded, in {first} of the diagram against all rivals and in {second} "
        "against those with at most s coefficients. Lines: best rival's risk over that of the large model after "
        f"Hessian pruning; {points.agreement(diagram.name)}."
    )
    alt = (
        "Two phase diagrams with n/p across and s/p upwards. The shaded region, where the pruned large model wins, "
        "fills the side of few samples. Its border on the right stands at an n/p that depends little on s/p, except "
        "in the left diagram, where it bends towards few samples for s/p below the share of spiked features."
    )
    return _phases(diagram, points, alt, caption)


def noise(diagram: Diagram, points: Points) -> Drawing:
    """Return the diagram over spike and noise.

    Parameters
    ----------
    diagram, points
        What was predicted and measured.
    """
    first, second = (f"{diagram.won(budget):.0%}" for budget in BUDGETS)
    caption = (
        f"Noise ends the large model's lead: on this grid {'; '.join(map(diagram.border, RULES))}. It wins in {first} "
        f"of the diagram against all rivals, in {second} against those with at most s coefficients (n/p = 0.3, s/p = "
        f"0.1); {points.agreement(diagram.name)}."
    )
    alt = (
        "Two phase diagrams with the spike on a logarithmic axis across and the noise variance upwards. The shaded "
        "region lies below a border that rises from small spikes to a maximum and falls again for the largest spikes. "
        "The border of oracle pruning lies above that of Hessian pruning."
    )
    return _phases(diagram, points, alt, caption)


def findings(over_samples: Diagram, over_noise: Diagram, points: Points) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    over_samples, over_noise, points
        What was predicted and measured.
    """
    wins = over_samples.quotient(EVERYBODY) > 1
    few = wins[:, : wins.shape[1] // 2].mean(), wins[:, wins.shape[1] // 2 :].mean()
    fits = "follow" if points.worst <= points.bound else "do not follow"
    return (
        f"The pruned large model beats all rivals in {wins.mean():.0%} of the settings of samples and weights kept: in "
        f"{few[0]:.0%} of the half with fewer samples, and in {few[1]:.0%} of the other.",
        f"Noise ends this: {over_noise.border('Hessian')}.",
        f"Measured leads {fits} the law (largest gap {points.worst:.1f} standard errors, where chance allows "
        f"{points.bound:.1f}); {points.agreement()}.",
    )


def leads(points: Points) -> Drawing:
    """Return a figure of measured against predicted leads.

    Parameters
    ----------
    points : Points
        What was measured.
    """
    words = {"samples": "samples and weights kept", "noise": "spike and noise"}
    predicted = [point.predicted for point in points.all]

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6.4, 4.0))
        for i, (name, label) in enumerate(words.items()):
            mine = points.of(name)
            axes.errorbar(
                [point.predicted for point in mine], [point.measured for point in mine],
                yerr=[points.bound * point.error for point in mine], linestyle="none", marker="os"[i],
                color=palette.series[i], markerfacecolor="none", capsize=2, label=label,
            )  # fmt: skip
        ends = [min(predicted), max(predicted)]
        axes.plot(ends, ends, "--", color=palette.muted, linewidth=1, label="equal")
        for line in (axes.axhline, axes.axvline):
            line(0, color=palette.muted, linewidth=0.8)
        axes.set(xlabel="predicted lead of the large model, units of y²", ylabel="measured lead, units of y²")
        figure.legend(loc="outside upper center", ncols=3, fontsize=9)
        return figure

    again = [point.retrained for point in points.all]
    caption = (
        f"Measured leads are up to {points.worst:.1f} standard errors from the predicted ones, where chance allows "
        f"{points.bound:.1f} (bars; {points.repetitions} repetitions). Training the survivors again on the same "
        f"samples raises the risk at {sum(x > points.bound for x in again)} of the {len(again)} points and lowers it "
        f"at {sum(x < -points.bound for x in again)}, each by more than chance allows."
    )
    alt = (
        "Measured lead against predicted lead, with error bars, for all measured points of both diagrams. The points "
        "follow the dashed diagonal on both sides of zero."
    )
    rows = [asdict(point) for point in points.all]
    return Drawing(draw, {each.name: [row[each.name] for row in rows] for each in fields(Point)}, "leads", alt, caption)


def rivals(diagrams: Sequence[Diagram]) -> Drawing:
    """Return a figure of the kind of the best rival in each diagram.

    Parameters
    ----------
    diagrams : sequence of Diagram
        What was predicted.
    """
    share = {each.name: [float(np.mean(each.best_rivals() == i)) for i in range(len(KINDS))] for each in diagrams}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt
        from matplotlib.colors import BoundaryNorm, ListedColormap
        from matplotlib.patches import Patch

        figure, panels = plt.subplots(1, len(diagrams), figsize=(7.6, 3.9))
        colours = dict(zip(KINDS, palette.series, strict=False))
        style: dict[str, Any] = {"cmap": ListedColormap(list(colours.values())), "shading": "nearest", "alpha": 0.55}
        style["norm"] = BoundaryNorm(np.arange(len(KINDS) + 1) - 0.5, len(KINDS))
        for axes, each in zip(panels, diagrams, strict=True):
            axes.pcolormesh(each.xs, each.ys, each.best_rivals(), **style)
            contours(axes, each, each.quotient(EVERYBODY), [1], colors=[palette.ink])
            axes.set(xlabel=each.labels[0], ylabel=each.labels[1], xscale="log" if each.logarithmic else "linear")
        handles = [Patch(color=colour, alpha=0.55, label=kind) for kind, colour in colours.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=5, fontsize=9)
        return figure

    pairs = zip(KINDS, *share.values(), strict=True)
    listed = "; ".join(f"{kind}: {' and '.join(f'{x:.0%}' for x in shares)}" for kind, *shares in pairs)
    caption = (
        f"Kind of the best rival, with its share of the left and of the right diagram: {listed}. Line: the border."
    )
    alt = (
        "The two diagrams coloured by the kind of the best rival, with the border of Hessian pruning on top. Most of "
        "the left diagram belongs to dense fits on fewer than s features."
    )
    return Drawing(draw, {"rival": list(KINDS), **share}, "rivals", alt, caption)
