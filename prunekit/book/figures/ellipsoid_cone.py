"""The figures of the page on the cone of an ellipsoid: dimensions, shares that are needed, gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats, Integers
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette, columns, compare, joined, legend
from prunekit.statistics import deviation_bound, mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMULAS = ("cone, many dimensions", "as published")
METHODS = ("re-optimized", "T⊥, orthogonal", "cone", "T, published", "one-shot")
PREDICTED = ("T⊥, orthogonal", "cone", "T, published")
Setting = tuple[str, str, str]
Again = Callable[[str, float], Sequence[float] | Floats]
MARGIN = 0.005  # of D: so far apart prediction and experiment are in Table 2 of the paper
Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Dimensions:
    """Statistical dimension of an ellipsoid's cone, exact and by two formulas.

    Attributes
    ----------
    ambient : int
        D, the dimension of the space.
    draws : int
        Gaussian vectors behind each exact dimension.
    ratios : (r,) array
        Tolerances over the loss of the pruned point at which the exact dimension was found.
    points : mapping of str to (r, 4) array
        For each spectrum: exact dimension, its standard error, the formula for many dimensions and the published one.
    fine : (m,) array
        Tolerances at which the formulas are drawn.
    lines : mapping of str to (m, 2) array
        The two formulas for each spectrum, at these tolerances.
    """

    ambient: int
    draws: int
    ratios: Floats
    points: Mapping[str, Floats]
    fine: Floats
    lines: Mapping[str, Floats]

    @property
    def table(self) -> Floats:
        """The rows of all spectra below each other, (n, 4)."""
        return np.concatenate([*self.points.values()])

    def gaps(self, column: int) -> Floats:
        """Return how far a formula, column 2 or 3 of the table, is off at each row, as a share of D."""
        return np.abs(self.table[:, column] - self.table[:, 0]) / self.ambient

    def _again(self, i: int, again: Again) -> tuple[float, float, str]:
        """Return δ/D of a row by fresh draws, its error, and which spectrum and tolerance it belongs to."""
        name, ratio = [*self.points][i // len(self.ratios)], float(self.ratios[i % len(self.ratios)])
        value, error = (float(x) / self.ambient for x in again(name, ratio)[:2])
        return value, error, f"{name} spectrum, tolerance {ratio:g} of the loss, D = {self.ambient}"

    def farthest(self, column: int, again: Again) -> dict[str, Any]:
        """Return the row where a formula is farthest off, as `prunekit.check` takes it: δ/D, published and corrected.

        Its δ is measured again, since the farthest of many rows is chosen by chance too. For column 2, the corrected
        formula, only rows count in which the two formulas can be told apart.

        Parameters
        ----------
        column : int
            2 for the corrected formula, 3 for the published one.
        again : callable
            (spectrum, tolerance over loss) -> dimension and its standard error, from fresh draws.
        """
        apart = np.abs(self.table[:, 2] - self.table[:, 3]) > 2 * MARGIN * self.ambient
        i = int(np.argmax(np.where(apart | (column == 3), self.gaps(column), -1)))
        formula, published = self.table[i, 2:] / self.ambient
        value, error, where = self._again(i, again)
        which = {2: "corrected", 3: "published"}[column]
        what = f"δ/D by Monte Carlo where the {which} formula is farthest off: {where}"
        return {"what": what, "measured": value, "error": error, "expected": published, "corrected": formula}

    def interval(self, again: Again) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the rows nearest to leaving the interval of the squared width, as `prunekit.check` takes them.

        The squared width is taken to be δ - 1, the least that it can be (Theorem 2); `again` is as for `farthest`.
        """
        width, _, formula, published = self.table.T / self.ambient
        ends, sides = (math.sqrt(2 / math.pi) * published, published), ("lower", "upper")
        worst = int(np.argmin(width - ends[0])), int(np.argmax(width - ends[1]))
        seen = [self._again(i, again) for i in worst]
        low, high = (
            {"statement": f"{side}-end"}
            | {"what": f"w²/D by Monte Carlo nearest to the {side} end or farthest beyond: {where}"}
            | {"measured": value - 1 / self.ambient, "error": error, "expected": end[i]}
            for side, i, end, (value, error, where) in zip(sides, worst, ends, seen, strict=True)
        )
        return low | {"relation": "at least"}, high | {"relation": "at most", "corrected": formula[worst[1]]}

    def lost(self, name: str) -> float:
        """Return the most that the published dimension lacks, as a share of D."""
        return float(np.max(self.points[name][:, 0] - self.points[name][:, 3])) / self.ambient

    @property
    def off(self) -> float:
        """The largest distance of the formula for many dimensions from the exact dimension, as a share of D."""
        return float(np.abs(self.table[:, 2] - self.table[:, 0]).max()) / self.ambient


class Shares:
    """The smallest shares of weights within the tolerance, true and predicted.

    Attributes
    ----------
    ambient : int
        The number of dimensions D of the quadratic models.
    models : mapping of (spectrum, weights, eigenvectors) to mapping of str to (n,) array
        The shares of the n models of each setting, by method.
    networks : mapping of str to (m,) array
        The shares of the trained networks, by method.
    """

    def __init__(self, ambient: int, models: Mapping[Setting, Rows], networks: Rows) -> None:
        """Take the shares of each model, and of each network, by method."""
        self.ambient = ambient
        self.models = {setting: _columns(rows) for setting, rows in models.items()}
        self.networks = _columns(networks)

    def short(self, setting: Setting, method: str) -> tuple[float, float]:
        """Return the mean of the true share minus the predicted one, and what chance allows."""
        rows = self.models[setting]
        gap, error = mean_and_error(rows["re-optimized"] - rows[method])
        chance = deviation_bound(len(self.models), len(rows[method]))
        return float(gap), chance * float(error) + 1 / self.ambient

    def gaps(self, method: str, eigenvectors: str) -> list[float]:
        """Return the mean true share minus the predicted one of each setting with such eigenvectors."""
        return [self.short(setting, method)[0] for setting in self.models if setting[2] == eigenvectors]

    def way(self) -> tuple[float, float, float]:
        """Return how far the true share lies below T over how far T⊥ does, its error, and the latter distance.

        Both are means over all models with random eigenvectors. The i-th models of all settings are drawn alike, so
        that the error is that of means over the settings; it is the error of a ratio of means.
        """
        own = [rows for setting, rows in self.models.items() if setting[2] == "random"]
        below, distance = (
            np.mean([rows["T, published"] - rows[method] for rows in own], axis=0)
            for method in ("re-optimized", "T⊥, orthogonal")
        )
        unit = float(distance.mean())
        way = float(below.mean()) / unit
        return way, float(mean_and_error(below - way * distance)[1]) / abs(unit), abs(unit)

    def off(self, method: str, eigenvectors: str = "random") -> float:
        """Return the largest distance of the mean true share from a prediction."""
        return max(map(abs, self.gaps(method, eigenvectors)))

    def network(self, method: str) -> float:
        """Return the mean share of the networks."""
        return float(np.mean(self.networks[method]))

    @property
    def lowest(self) -> Setting:
        """The setting whose true share is farthest below T, after what chance allows."""
        return min(self.models, key=lambda setting: sum(self.short(setting, "T, published")))

    @property
    def below(self) -> int:
        """The number of settings whose true share is below T by more than chance allows."""
        return sum(sum(self.short(setting, "T, published")) < 0 for setting in self.models)


def _columns(rows: Rows) -> dict[str, Floats]:
    """Return rows as columns, in the order of the methods."""
    return {method: np.array([row[method] for row in rows]) for method in METHODS}


@dataclass(frozen=True)
class Network:
    """What a trained network needs, as predicted at each number of weights kept.

    Attributes
    ----------
    size : int
        The number of its weights.
    kept : (m,) array of int
        Numbers of weights kept.
    curves : mapping of str to (m,) array
        The share that each prediction asks for there.
    marked : (r,) array of int
        Numbers of weights kept at which the exact dimension was found.
    exact : (r, 2) array
        The share that the exact cone asks for there, and its standard error.
    reached : mapping of str to float
        The shares at which predictions and true losses are within the tolerance.
    """

    size: int
    kept: Integers
    curves: Mapping[str, Floats]
    marked: Integers
    exact: Floats
    reached: Mapping[str, float]


def dimensions(cones: Dimensions) -> Drawing:
    """Return a figure of the cone's dimension against the tolerance, a panel for each of four spectra.

    Parameters
    ----------
    cones : Dimensions
        What was predicted and measured.
    """
    D = cones.ambient
    lines = {
        name: {label: (cones.fine, each[:, k] / D) for k, label in enumerate(FORMULAS)}
        for name, each in cones.lines.items()
    }
    points = {
        name: {"exact cone": (cones.ratios, rows[:, 0] / D, rows[:, 1] / D)} for name, rows in cones.points.items()
    }

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, grid = plt.subplots(2, 2, figsize=(8.2, 6), sharex=True, sharey=True)
        for axes, name in zip(grid.flat, cones.points, strict=True):
            compare(axes, palette, lines[name], points[name])
            axes.set_title(name, fontsize=10.5)
            axes.set(xscale="log", ylim=(0, 1.05))
        for axes in grid[1]:
            axes.set_xlabel("tolerance over loss of the pruned point")
        for axes in grid[:, 0]:
            axes.set_ylabel("statistical dimension, δ/D")
        legend(figure, grid[0, 0], ncols=3)
        return figure

    lacks = ", ".join(f"{cones.lost(name):.2f} ({name})" for name in cones.points)
    caption = (
        f"The formula for many dimensions is within {cones.off:.3f} of D of the exact cone; the published one lacks at "
        f"most {lacks} of D at the markers. D = {D}, {cones.draws} Gaussian vectors a marker. Where the tolerance "
        "reaches the loss, the cone is the whole space."
    )
    alt = (
        "Four panels, one for each spectrum: statistical dimension over D against the tolerance over the loss of the "
        "pruned point, on a logarithmic axis. Two lines, the formula for many dimensions and the published one, and "
        "markers for the exact cone."
    )
    tables = {name: columns("tolerance_over_loss", "dimension_over_D", lines[name], points[name]) for name in lines}
    return Drawing(draw, joined(tables, "spectrum"), "dimensions", alt, caption)


def network(needs: Network) -> Drawing:
    """Return a figure of the share that predictions ask for, against the share of a trained network's weights kept.

    Parameters
    ----------
    needs : Network
        What was predicted and measured.
    """
    lines: dict[str, Any] = {name: (needs.kept / needs.size, curve) for name, curve in needs.curves.items()}
    points = {"exact cone": (needs.marked / needs.size, *needs.exact.T)}
    crossing = needs.reached

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.4))
        compare(axes, palette, lines, points)
        ends = [needs.kept[0] / needs.size, needs.kept[-1] / needs.size]
        axes.plot(ends, ends, color=palette.muted, linewidth=1, label="k/D")
        for name, dash in (("re-optimized", "-."), ("one-shot", ":")):
            axes.axvline(crossing[name], color=palette.muted, linestyle=dash, label=name)
        top = 1.15 * max(needs.curves["T, published"].max(), ends[1])
        axes.set(xscale="log", ylim=(0, min(1, top)))
        axes.set(xlabel="share kept, k/D", ylabel="share that is needed, as predicted")
        ticks = (0.02, 0.05, 0.1, 0.2)
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
        legend(figure, axes, ncols=4)
        return figure

    nearest = min(PREDICTED, key=lambda name: abs(crossing[name] - crossing["re-optimized"]))
    caption = (
        f"In the quadratic model of a network with {needs.size} weights {crossing['re-optimized']:.3f} of them are "
        f"enough if they are re-optimized and {crossing['one-shot']:.3f} if not. A prediction is where its curve "
        f"crosses k/D: {crossing['T, published']:.3f} as published, {crossing['cone']:.3f} by the cone, "
        f"{crossing['T⊥, orthogonal']:.3f} for orthogonal subspaces; the nearest is “{nearest}”."
    )
    alt = (
        "Predicted share of weights needed against the share kept, for a trained network: curves for the published "
        "threshold, the cone and the orthogonal limit, markers for the exact cone, the line k/D, and two vertical "
        "lines at the true shares."
    )
    return Drawing(draw, columns("k_over_D", "share_needed", lines, points), "network", alt, caption)


def shares(least: Shares) -> Drawing:
    """Return a figure of the smallest shares, true and predicted, of quadratic models and of networks.

    Parameters
    ----------
    least : Shares
        What was predicted and measured.
    """
    means = {setting: {m: mean_and_error(rows[m]) for m in METHODS} for setting, rows in least.models.items()}
    counts = sorted({len(rows["cone"]) for rows in least.models.values()})
    repetitions, networks = " to ".join(map(str, counts)), len(least.networks["cone"])

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, 3, figsize=(9.4, 4.6), sharey=True, width_ratios=(6, 6, 1.6))
        for axes, basis in zip(panels, ("random", "aligned"), strict=False):
            own = [setting for setting in means if setting[2] == basis]
            for j, method in enumerate(METHODS):
                value, error = np.array([means[setting][method] for setting in own]).T
                places = np.arange(len(own)) + 0.13 * (j - 2)
                axes.errorbar(places, value, yerr=error, capsize=2, label=method, **_style(j, palette))
            words = [f"{name},\n{weights}" for name, weights, _ in own]
            axes.set_xticks(range(len(own)), words, fontsize=8, rotation=40, ha="right")
            axes.set(xlabel="quadratic models")
            axes.set_title(f"{basis} eigenvectors", fontsize=10.5)
        for j, method in enumerate(METHODS):
            panels[2].plot(np.full(networks, 0.13 * (j - 2)), least.networks[method], **_style(j, palette))
        panels[2].set_title("networks", fontsize=10.5)
        panels[2].set(xlim=(-0.6, 0.6), xticks=[])
        panels[0].set(ylabel="share kept", ylim=(0, None))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
        return figure

    caption = (
        f"With random eigenvectors the mean true share is within {least.off('T⊥, orthogonal'):.3f} of the orthogonal "
        f"limit and within {least.off('T, published'):.3f} of T. In the networks it is on average "
        + ", ".join(f"{_network_gap(least, m):+.3f} off {word}" for m, word in zip(PREDICTED, _WORDS, strict=True))
        + f". D = {least.ambient}, means over {repetitions} models of a kind; {networks} networks."
    )
    alt = (
        "Smallest share of weights kept, for six quadratic models with random eigenvectors, six with coordinate axes "
        "as eigenvectors, and trained networks: true with re-optimized weights, orthogonal limit, cone, published "
        "threshold, and one-shot."
    )
    names = ("spectrum", "weights", "eigenvectors")
    numbers: dict[str, list[Any]] = {
        name: list(each) for name, each in zip(names, zip(*means, strict=True), strict=True)
    }
    numbers |= {m: [float(each[m][0]) for each in means.values()] for m in METHODS}
    return Drawing(draw, numbers, "shares", alt, caption)


_WORDS = ("the orthogonal limit", "the cone", "T")


def _network_gap(least: Shares, method: str) -> float:
    return least.network("re-optimized") - least.network(method)


def _style(j: int, palette: Palette) -> dict[str, Any]:
    """Return colour and marker of the j-th method: the truth in ink, the others in the series' colours."""
    colour = palette.series[j - 1] if j else palette.ink
    return {"color": colour, "marker": MARKERS[j], "linestyle": "none", "markerfacecolor": "none" if j else colour}


def gradient(relative: Mapping[str, Floats]) -> Drawing:
    """Return histograms of the gradient's size over the strength of the penalty.

    Parameters
    ----------
    relative : mapping of str to (n,) array
        |G|/λ of the weights above 0.01, by state of the network.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 3.6))
        axes.axvline(0, color=palette.muted, linestyle=":", label="G = 0, as published")
        axes.axvline(1, color=palette.muted, label="|G| = λ")
        for j, (name, values) in enumerate(relative.items()):
            axes.hist(
                np.minimum(values, 2.5), bins=np.linspace(0, 2.5, 51).tolist(), histtype="step",
                color=palette.series[j], linestyle=DASHES[j], linewidth=1.6, label=name,
            )  # fmt: skip
        axes.set(xlabel="|G|/λ of a weight above 0.01", ylabel="number of weights")
        figure.legend(fontsize=9, ncols=4, loc="outside upper center")
        return figure

    at_penalty = [abs(float(np.median(values)) - 1) < abs(float(np.median(values))) for values in relative.values()]
    near = "nearer to the strength of the penalty than to 0" if all(at_penalty) else "not always nearer to λ than to 0"
    middles = "; ".join(
        f"{np.quantile(values, 0.25):.2f} to {np.quantile(values, 0.75):.2f} {name}"
        for name, values in relative.items()
    )
    caption = f"The median of |G| is {near}. Middle half of |G|/λ: {middles}. What is above 2.5 is counted there."
    alt = (
        "Histograms of the size of the gradient over the strength of the penalty, for weights above 0.01, after SGD "
        "and after proximal steps, with lines at 0 and at 1."
    )
    numbers: dict[str, list[Any]] = {
        "state": [name for name, values in relative.items() for _ in values],
        "gradient_over_lambda": _joined(relative.values()),
    }
    return Drawing(draw, numbers, "gradient", alt, caption)


def _joined(values: Iterable[Floats]) -> list[float]:
    flat: list[float] = np.concatenate([*values]).tolist()
    return flat


def findings(cones: Dimensions, least: Shares) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    cones : Dimensions
        The cone's dimension, exact and by two formulas.
    least : Shares
        The smallest shares, true and predicted.
    """
    worst = max(cones.points, key=cones.lost)
    small = "too small" if cones.lost(worst) > MARGIN else "as large as the exact one"
    derived = "agrees" if cones.off <= MARGIN else "does not agree"
    count, (gap, _) = least.below, least.short(least.lowest, "T, published")
    bound = "is a lower bound" if count == 0 else "is no lower bound"
    truth, published, orthogonal = (least.network(m) for m in ("re-optimized", "T, published", "T⊥, orthogonal"))
    nearer = "T" if abs(published - truth) < abs(orthogonal - truth) else "the corrected limit"
    return (
        f"The published cone is {small}: its dimension lacks up to {cones.lost(worst):.2f} of that of the space "
        f"({worst} spectrum). The formula derived here {derived} with the exact cone, to {cones.off:.3f}.",
        f"The threshold T {bound} on the share of weights that is needed: in {count} of {len(least.models)} kinds of "
        f"quadratic models the true share is below T by more than chance allows; where it is lowest it differs from T "
        f"by {gap:+.3f}.",
        f"In {len(least.networks['cone'])} trained networks {truth:.3f} of the weights are enough on average, where T "
        f"asks for {published:.3f} and a subspace orthogonal to the removed weights for {orthogonal:.3f}: {nearer} is "
        "nearer.",
    )
