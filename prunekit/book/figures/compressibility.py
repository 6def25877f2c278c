"""The figures of the page on the compressibility of heavy-tailed weights: sizes needed, errors, shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, Drawing, Palette, columns, compare, joined, legend
from prunekit.stable.limits import limit_error
from prunekit.stable.rates import growth_of_median, log_log_slope
from prunekit.statistics import Estimate, median_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Series = tuple[Mapping[str, tuple[Any, Any]], Mapping[str, tuple[Any, Any, Any]]]


@dataclass(frozen=True)
class Errors:
    """Relative errors of keeping a share of independent stable weights, the largest ones.

    Attributes
    ----------
    kept : float
        The share that is kept.
    sizes : sequence of int
        Numbers of weights d.
    values : mapping of (float, int) to mapping of float to (repetitions,) array
        The errors by tail index and d, and by order p of the norm.
    """

    kept: float
    sizes: Sequence[int]
    values: Mapping[tuple[float, int], Mapping[float, Floats]]

    @property
    def alphas(self) -> list[float]:
        """Tail indices, in the order given."""
        return list(dict.fromkeys(a for a, _ in self.values))

    def slope(self, alpha: float, p: float = 2.0, least: int = 0) -> Estimate:
        """Return the slope of log error against log d, from a size on."""
        sizes = [d for d in self.sizes if d >= least]
        return log_log_slope(sizes, [self.values[alpha, d][p] for d in sizes])

    def growth(self, alpha: float, least: int = 0) -> Estimate:
        """Return how much the median of ε^(-α) at p = α grows with each factor e of d, from a size on."""
        sizes = [d for d in self.sizes if d >= least]
        return growth_of_median(sizes, [self.values[alpha, d][alpha] ** -alpha for d in sizes])

    def draws(self, alpha: float, least: int = 0) -> int:
        """Return how many draws there are of a tail index, from a size on."""
        return sum(len(self.values[alpha, d][2.0]) for d in self.sizes if d >= least)

    @property
    def repetitions(self) -> int:
        """How many draws there are at least for a tail index and a size."""
        return min(len(by_order[2.0]) for by_order in self.values.values())

    def median(self, alpha: float, p: float = 2.0) -> float:
        """Return the median error at the largest size."""
        return float(np.median(self.values[alpha, self.sizes[-1]][p]))

    def series(self, cases: Mapping[str, tuple[float, float]]) -> Series:
        """Return the lines and markers of the error against d, by label; each label stands for an (α, p)."""
        lines, points = {}, {}
        grid = np.geomspace(self.sizes[0], self.sizes[-1], 40)
        for label, (a, p) in cases.items():
            if p > a or a == 2:
                lines[label] = (grid, [limit_error(a, d, self.kept, p) for d in grid])
            measured = [median_and_error(self.values[a, d][p]) for d in self.sizes]
            points[label] = (self.sizes, *np.transpose(measured))
        return lines, points


@dataclass(frozen=True)
class Needed:
    """How many weights a layer needs.

    Attributes
    ----------
    kept, error : float
        Share of the weights kept, and the relative error wanted.
    grid : (m,) array
        Tail indices.
    weights : mapping of float to (m,) array
        Weights needed there, by relative error.
    networks : mapping of str to (float, float)
        For each size of a network, in words: its weights, and the largest tail index at which they are enough.
    examples : mapping of float to float
        Weights needed at some tail indices.
    """

    kept: float
    error: float
    grid: Floats
    weights: Mapping[float, Floats]
    networks: Mapping[str, tuple[float, float]]
    examples: Mapping[float, float]


def finite_networks(needed: Needed) -> Drawing:
    """Return a figure of the number of weights that a layer needs against the tail index.

    Parameters
    ----------
    needed : Needed
        What was computed.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 3.9))
        for k, (error, weights) in enumerate(needed.weights.items()):
            label = f"relative error {error:g}"
            axes.plot(needed.grid, weights, color=palette.series[k], linestyle=DASHES[k], label=label)
        for name, (d, _) in needed.networks.items():
            axes.axhline(d, color=palette.muted, linewidth=1, linestyle=":")
            axes.text(needed.grid[0] + 0.01, d * 1.3, name, color=palette.muted, fontsize=9)
        axes.set(yscale="log", ylim=(10, 1e30), xlim=(needed.grid[0], needed.grid[-1]))
        axes.set(xlabel="tail index α", ylabel="number of weights needed")
        figure.legend(fontsize=9, ncols=len(needed.weights), loc="outside upper center")
        return figure

    reach = ", ".join(f"α ≤ {a:.2f} with {name} weights" for name, (_, a) in needed.networks.items())
    examples = " and ".join(f"10^{np.log10(d):.0f} weights at α = {a}" for a, d in needed.examples.items())
    caption = (
        f"Near a tail index of 2 no network is large enough for {needed.kept:.0%} of its weights to carry nearly all "
        f"of its norm. A median relative ℓ2 error of {needed.error:g} takes {reach}; {examples}."
    )
    alt = (
        "Number of weights needed, on a logarithmic axis, against the tail index: a rising curve for each of two "
        "relative errors, steep near 2. Horizontal lines mark network sizes."
    )
    table: dict[str, Any] = {
        "alpha": needed.grid,
        **{f"weights_for_error_{e:g}": needed.weights[e] for e in needed.weights},
    }
    return Drawing(draw, table, "finite-networks", alt, caption)


def theorem_1(errors: Errors, alpha: float) -> Drawing:
    """Return a figure of the error against the number of weights, by tail index and by order of the norm.

    Parameters
    ----------
    errors : Errors
        What was measured.
    alpha : float
        Tail index for which all orders are shown.
    """
    orders = list(errors.values[alpha, errors.sizes[0]])
    panels = {
        "p = 2": errors.series({f"α = {a:g}": (a, 2.0) for a in errors.alphas}),
        f"α = {alpha:g}": errors.series({f"p = {p:g}": (alpha, p) for p in orders}),
    }

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.6, 4.2), sharey=True)
        for axes, (title, series) in zip(both, panels.items(), strict=True):
            compare(axes, palette, *series)
            axes.set(xscale="log", yscale="log", xlabel="number of weights, d", title=title)
            legend(axes, axes, ncols=2, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.18))
        both[0].set(ylabel=f"relative error, {errors.kept:.0%} kept", ylim=(None, 1.2))
        return figure

    medians = ", ".join(f"{errors.median(a):.3f} for α = {a:g}" for a in errors.alphas)
    caption = (
        f"The error falls as a power of the number of weights, the slower the nearer α is to p. Markers: median of "
        f"{errors.repetitions} repetitions or more, {errors.kept:.0%} of the weights kept (bars: 68% interval of the "
        f"median); lines: formula (A), at α = 2 its limit. At d = {errors.sizes[-1]:,} and p = 2 it is {medians}."
    )
    alt = (
        "Two panels of the relative error against the number of weights, logarithmic axes. Left, p = 2, falling lines "
        f"with markers for each α below 2 and a level one for the Gaussian. Right, α = {alpha:g}, the same for each p, "
        "but markers alone for p at or below α, for which there is no prediction."
    )
    tables = {title: columns("d", "error", *series) for title, series in panels.items()}
    return Drawing(draw, joined(tables, "panel"), "theorem-1", alt, caption)


def heavier_tails(
    alphas: Sequence[float], shares: Mapping[float, Floats], line: tuple[Any, Any], weights: int, error: float
) -> Drawing:
    """Return a figure of the smallest share of weights for a relative error against the tail index.

    Parameters
    ----------
    alphas : sequence of float
        Tail indices, rising.
    shares : mapping of float to (draws, 2) array
        The smallest shares for p = 1 and p = 2, by tail index.
    line : (α, share)
        The prediction for p = 2.
    weights : int
        The number of weights d.
    error : float
        The relative error.
    """
    points = {
        label: (alphas, *np.transpose([median_and_error(shares[a][:, column]) for a in alphas]))
        for column, label in ((1, "p = 2"), (0, "p = 1"))
    }
    lines = {"p = 2": line}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 3.8))
        compare(axes, palette, lines, points)
        axes.set(xlabel="tail index α", ylabel="share of weights kept")
        legend(figure, axes, ncols=2)
        return figure

    ends = " and ".join(f"{np.median(shares[a][:, 1]):.3f} at α = {a:g}" for a in (alphas[0], alphas[-1]))
    caption = (
        f"Heavier tails need fewer weights for a relative error of {error:g}: for p = 2 the median smallest share is "
        f"{ends} (d = {weights:,}, {len(shares[alphas[0]])} draws each). The order p = 1 is below α, outside the "
        "theorems."
    )
    alt = (
        f"Smallest share of weights for a relative error of {error:g} against the tail index, rising. Markers for p = "
        "2 on the predicted line, and for p = 1 without one."
    )
    return Drawing(draw, columns("alpha", "share", lines, points), "heavier-tails", alt, caption)


def findings(errors: Errors, needed: Needed) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    errors : Errors
        The errors of weights that are pruned together.
    needed : Needed
        What networks of today's sizes can expect.
    """
    heavy = [a for a in errors.alphas if a < 2]
    slopes = [errors.slope(a).value for a in heavy]
    falls, says = ("falls", "as") if max(slopes) < 0 else ("does not always fall", "other than")
    many = errors.sizes[-1]
    (few, (_, low)), *_, (many_more, (_, high)) = needed.networks.items()
    a, d = max(needed.examples.items())
    return (
        f"The error of keeping the largest {errors.kept:.0%} of heavy-tailed weights {falls} as layers grow, {says} "
        f"Theorem 1 says: at {many:,} weights it is {errors.median(heavy[0]):.3f} for a tail index of {heavy[0]:g}, "
        f"and {errors.median(2.0):.3f} for Gaussian weights.",
        f"The theorem gives no rate, and the rate decides: an error of {needed.error:g} takes a tail index of at most "
        f"{low:.2f} with {few} weights, and of at most {high:.2f} with {many_more}.",
        f"At a tail index of {a:g} a layer would need 10^{np.log10(d):.0f} weights; the layer that the paper shows as "
        "an example has an estimate of 1.95.",
    )
