"""The figures of the page on pruning columns and singular values: errors by width, and at the order α."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import Drawing, Palette, columns, compare, joined, legend
from prunekit.stable.distribution import tail_constant
from prunekit.stable.limits import limit_column_error
from prunekit.stable.rates import growth_of_median, log_log_slope
from prunekit.statistics import Estimate, median_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Series = tuple[Mapping[str, tuple[Any, Any]], Mapping[str, tuple[Any, Any, Any]]]


@dataclass(frozen=True)
class Matrices:
    """Relative errors of keeping a share of the columns, or of the singular values, of square stable matrices.

    Attributes
    ----------
    kept : float
        The share that is kept.
    widths : sequence of int
        Widths n.
    values : mapping of (float, int) to mapping of str to (matrices,) array
        The errors by tail index and n, and by what is kept.
    """

    kept: float
    widths: Sequence[int]
    values: Mapping[tuple[float, int], Mapping[str, Floats]]

    @property
    def alphas(self) -> list[float]:
        """Tail indices, in the order given."""
        return list(dict.fromkeys(a for a, _ in self.values))

    def slope(self, kind: str, alpha: float) -> Estimate:
        """Return the slope of log error against log n."""
        return log_log_slope(self.widths, [self.values[alpha, n][kind] for n in self.widths])

    def draws(self, alpha: float) -> int:
        """Return how many matrices there are of a tail index."""
        return sum(len(next(iter(self.values[alpha, n].values()))) for n in self.widths)

    def series(self, kind: str) -> Series:
        """Return lines (for columns of heavy tails) and markers of the error against the width."""
        lines, points = {}, {}
        grid = np.geomspace(self.widths[0], self.widths[-1], 20)
        for a in self.alphas:
            measured = [median_and_error(self.values[a, n][kind]) for n in self.widths]
            points[f"α = {a:g}"] = (self.widths, *np.transpose(measured))
            if kind == "columns" and a < 2:
                lines[f"α = {a:g}"] = (grid, [limit_column_error(a, n, self.kept) for n in grid])
        return lines, points


def theorems_2_and_3(matrices: Matrices) -> Drawing:
    """Return a figure of the error against the width, for columns and for singular values.

    Parameters
    ----------
    matrices : Matrices
        What was measured.
    """
    panels = {kind: matrices.series(kind) for kind in ("columns", "singular values")}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.6, 3.9), sharey=True)
        for axes, (kind, series) in zip(both, panels.items(), strict=True):
            compare(axes, palette, *series)
            axes.set(xscale="log", yscale="log", title=f"{kind} kept: {matrices.kept:.0%}")
            axes.set(xlabel="width n of an n × n matrix", ylim=(None, 1.05))
            axes.set_xticks(matrices.widths, [str(n) for n in matrices.widths])
            axes.set_xticks([], minor=True)
        both[0].set(ylabel="relative error, Frobenius norm")
        legend(figure, both[0], ncols=len(matrices.alphas))
        return figure

    slopes = "; ".join(
        f"α = {a:g}: {matrices.slope('columns', a).value:.3f}, {matrices.slope('singular values', a).value:.3f}"
        + (f" (exponent {0.5 - 1 / a:.3f})" if a < 2 else "")
        for a in matrices.alphas
    )
    caption = (
        "Columns and singular values profit from the width only: slopes of log error against log n, columns and "
        f"singular values, are {slopes}. Markers: medians of square matrices; lines: formula (B) for long columns."
    )
    alt = (
        "Two panels of the relative error against the width, logarithmic axes. Left, columns: falling markers with "
        "lines for α below 2. Right, singular values: markers alone. The Gaussian control hardly falls."
    )
    tables = {kind: columns("width", "error", *series) for kind, series in panels.items()}
    return Drawing(draw, joined(tables, "kept"), "theorems-2-and-3", alt, caption)


@dataclass(frozen=True)
class Borderline:
    """Sums of p-th powers at the order at which the error vanishes most slowly, p = α for columns.

    Attributes
    ----------
    sizes : sequence of int
        Numbers of columns or of singular values, n.
    total, removed : mapping of (float, int) to (draws,) array
        By tail index and n: the sum of all powers over the sum of those that are removed, which is ε^(-p), and the
        latter for each of the n.
    tail : mapping of float to float
        By tail index, the constant c of the tail c/y of a single power.
    """

    sizes: Sequence[int]
    total: Mapping[tuple[float, int], Floats]
    removed: Mapping[tuple[float, int], Floats]
    tail: Mapping[float, float]

    @property
    def alphas(self) -> list[float]:
        """Tail indices, in the order given."""
        return list(dict.fromkeys(a for a, _ in self.total))

    def draws(self, alpha: float) -> int:
        """Return how many draws there are of a tail index."""
        return sum(len(self.total[alpha, n]) for n in self.sizes)

    def growth(self, alpha: float) -> Estimate:
        """Return how much the median of ε^(-p) grows with each factor e of n."""
        return growth_of_median(self.sizes, [self.total[alpha, n] for n in self.sizes])

    def removed_growth(self, alpha: float) -> Estimate:
        """Return how much the removed powers per weight of square matrices grow with each factor e of n, over c."""
        each = [self.removed[alpha, n] / n / self.tail[alpha] for n in self.sizes]
        return growth_of_median(self.sizes, each)

    def expected(self, alpha: float) -> float:
        """Return the growth that the tail of the powers and the mean of the removed ones at the largest size give."""
        return self.tail[alpha] / float(np.mean(self.removed[alpha, self.sizes[-1]]))


def powers(values: Floats, kept: float, order: float) -> tuple[float, float]:
    """Return ε^(-p), and the sum of the removed p-th powers for each value, of keeping a share of the largest values.

    Parameters
    ----------
    values : (n,) array
        What is ranked, not negative.
    kept : float
        Share kept, of which ⌈κn⌉ are.
    order : float
        The power p.
    """
    ranked = np.sort(values)
    ranked = (ranked / ranked[-1]) ** order
    removed = float(ranked[: values.size - int(np.ceil(kept * values.size))].sum())
    return float(ranked.sum()) / removed, removed * float(values.max()) ** order / values.size


def borderline(sizes: Sequence[int], drawn: Mapping[tuple[float, int], Floats], weights: int = 1) -> Borderline:
    """Return what `powers` gave at each tail index and size, with the tail of the sum over some weights.

    Parameters
    ----------
    sizes : sequence of int
        The sizes n.
    drawn : mapping of (float, int) to (2, draws) array
        By tail index and n: the results of `powers`; tail indices of 2 are left out.
    weights : int
        How many weights a power is the sum of.
    """
    heavy = {key: values for key, values in drawn.items() if key[0] < 2}
    total, removed = ({key: values[k] for key, values in heavy.items()} for k in (0, 1))
    return Borderline(sizes, total, removed, {a: weights * tail_constant(a) for a, _ in heavy})


def at_alpha(fixed: Borderline, square: Borderline) -> Drawing:
    """Return a figure of ε^(-α) at p = α against the number of columns: of a fixed length, and of square matrices.

    Parameters
    ----------
    fixed, square : Borderline
        What was measured, for the same tail indices.
    """
    panels = {"columns of a fixed length": fixed, "square matrices": square}
    points = {
        title: {
            f"α = {a:g}": (each.sizes, *np.transpose([median_and_error(each.total[a, n]) for n in each.sizes]))
            for a in each.alphas
        }
        for title, each in panels.items()
    }

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.6, 3.6), sharey=True)
        for axes, (title, series) in zip(both, points.items(), strict=True):
            compare(axes, palette, {}, series)
            axes.set(xscale="log", xlabel="number of columns, n", title=title)
            axes.set_xticks(panels[title].sizes, [f"{n:,}" for n in panels[title].sizes])
            axes.set_xticks([], minor=True)
        both[0].set(ylabel="ε to the power −α, at p = α")
        legend(figure, both[0], ncols=len(fixed.alphas))
        return figure

    said = "; ".join(f"α = {a:g}: {fixed.growth(a).value:.2f} and {square.growth(a).value:.2f}" for a in fixed.alphas)
    caption = (
        "At p = α the error vanishes if its power −α grows without end. With each factor e of n that grows, for "
        f"columns of a fixed length and for square matrices, by {said}. Markers: medians (bars: 68% interval)."
    )
    alt = (
        "Two panels of the error to the power of minus alpha against the number of columns, which is logarithmic, a "
        "line for each tail index. Left, columns of a fixed length; right, columns as long as there are columns."
    )
    tables = {title: columns("columns", "power", {}, series) for title, series in points.items()}
    return Drawing(draw, joined(tables, "matrices"), "at-alpha", alt, caption)


def findings(matrices: Matrices, square: Borderline) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    matrices : Matrices
        Errors by width.
    square : Borderline
        What was measured at p = α for the columns of square matrices.
    """
    heavy = [a for a in matrices.alphas if a < 2]
    gaps = [
        abs(matrices.slope(kind, a).value / (0.5 - 1 / a) - 1) for kind in ("columns", "singular values") for a in heavy
    ]
    last, a = matrices.widths[-1], heavy[0]
    columns_, values = (float(np.median(matrices.values[a, last][k])) for k in ("columns", "singular values"))
    middle = square.alphas[len(square.alphas) // 2]
    held = 1 / float(np.median(square.total[middle, square.sizes[-1]]))
    return (
        f"Of a matrix of {last} by {last} entries with a tail index of {a:g}, the relative error of keeping "
        f"{matrices.kept:.0%} of the columns is {columns_:.2f}, and of the singular values {values:.2f}.",
        f"The power of the width with which these errors fall is the 1/2 − 1/α of independent stable weights to within "
        f"{max(gaps):.0%} of itself; single weights have twice that.",
        f"At p = α = {middle:g}, which Theorem 3 includes, the removed columns of square matrices hold {held:.0%} of "
        f"the powers at width {square.sizes[-1]}, and {(1 - matrices.kept) / 2:.0%} in the limit, not nothing.",
    )
