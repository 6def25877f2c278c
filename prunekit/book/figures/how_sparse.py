"""The figures of the page on how sparse a network can be: curves of pruned networks, limits predicted and measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette
from prunekit.limit.measured import PruningCurve
from prunekit.limit.prediction import METHODS
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prunekit.book.recordings import Recording

Row = Mapping[str, Any]
Columns = Mapping[str, Sequence[Any]]
UNKNOWN = "error not known"
OTHER_QUESTION = (
    "T asks whether the weights that are kept could be trained again to within ε, the measurement whether they are "
    "within it as they are"
)
BY_DEGREES = "these networks keep far more than 1 to 4% of their weights, and lose their accuracy by degrees"
SHARP = 2.0  # a fall is sharp if the share falls by at most this factor from a tenth to a half of the accuracy lost


@dataclass(frozen=True)
class Networks:
    """Trained networks with their limits, predicted and measured.

    Attributes
    ----------
    rows : sequence of mappings
        One for each network, as `LimitComparison.row` names the numbers, with network, reach and seed.
    curves : sequence of PruningCurve
        Loss and accuracy against the share kept.
    chance : float
        Accuracy of guessing.
    """

    rows: Sequence[Row]
    curves: Sequence[PruningCurve]
    chance: float

    def column(self, key: str) -> Floats:
        """Return one number of every network."""
        return np.array([row[key] for row in self.rows], dtype=float)

    @property
    def methods(self) -> list[str]:
        """The methods by which there are predictions."""
        return [m for m in METHODS if f"predicted {m}" in self.rows[0]]

    @property
    def measured(self) -> Floats:
        """The shares at which the training loss has risen by ε."""
        return self.column("measured training loss")

    @property
    def published(self) -> Floats:
        """The published threshold T."""
        return self.column("predicted published")

    def off(self, method: str) -> Floats:
        """Return the distance of a prediction from the limit by the training loss, in points."""
        return 100 * np.abs(self.column(f"predicted {method}") - self.measured)

    def factor(self, one: str, other: str) -> Floats:
        """Return the factor between two shares of each network, at least 1."""
        ratio = self.column(one) / self.column(other)
        return np.maximum(ratio, 1 / ratio)

    def apart_by(self, method: str) -> Floats:
        """Return the factor between a prediction and the limit by the training loss, at least 1."""
        return self.factor(f"predicted {method}", "measured training loss")

    @property
    def best(self) -> str:
        """The method that is nearest on average, by its factor."""
        return min(self.methods, key=lambda m: float(np.log(self.apart_by(m)).mean()))

    @property
    def never_above(self) -> str:
        """How many networks the program's rule finds no share for, and what it does then."""
        never = int(np.sum(self.column("measured program") == 1))
        return (
            f"the program reads a share off where the test accuracy is above the dense one, which {never} of "
            f"{len(self.rows)} networks are at no smaller share"
        )

    @cached_property
    def lost(self) -> tuple[Floats, Floats]:
        """The shares at which a tenth and a half of the way from the dense accuracy to chance is lost."""
        tenth, half = (
            np.array([curve.share_where_lost(part, self.chance) for curve in self.curves]) for part in (0.1, 0.5)
        )
        return tenth, half

    @property
    def fall(self) -> float:
        """The ratio of these shares, its geometric mean over networks."""
        return float(typical(np.divide(*self.lost))["measured"])

    @property
    def apart(self) -> Floats:
        """The factors between T and the interval of these shares, 1 inside."""
        tenth, half = self.lost
        return np.maximum(np.maximum(self.published / tenth, half / self.published), 1.0)

    @property
    def blurred(self) -> str:
        """What has to be said where predictions are not resolved."""
        lost = sum(not row.get("predicted published, resolved") for row in self.rows)
        return f" (predictions not resolved in {lost} of {len(self.rows)} networks)" if lost else ""

    def retrained(self, method: str) -> Floats:
        """Return the distance of a prediction from the re-optimized limit of the quadratic model, in points."""
        return 100 * np.abs(self.column(f"predicted {method}") - self.column("predicted re-optimized"))


def summary(values: Any) -> tuple[float, float]:
    """Return the mean and its standard error, which is 0 for a single value."""
    numbers = np.asarray(values, dtype=float)
    if len(numbers) < 2:
        return float(numbers.mean()), 0.0
    mean, error = mean_and_error(numbers)
    return float(mean), float(error)


def share_error(hits: Sequence[bool]) -> float:
    """Return the standard error of a counted share, taken at a share that is neither 0 nor 1.

    Parameters
    ----------
    hits : sequence of bool
        Of each case whether it counts, at least one.
    """
    n = len(hits)
    p = (sum(map(bool, hits)) + 1) / (n + 2)
    return math.sqrt(p * (1 - p) / n)


def typical(factors: Any) -> dict[str, Any]:
    """Return the geometric mean of the networks' factors with its standard error, as `check` takes them.

    Parameters
    ----------
    factors : (n,) array
        One factor a network; the error of a single one is not known.
    """
    logs = np.log(np.asarray(factors, dtype=float))
    middle = float(np.exp(logs.mean()))
    if len(logs) < 2:
        return {"measured": middle, "error": None}
    return {"measured": middle, "error": middle * summary(logs)[1], "repetitions": len(logs), "of": "networks"}


def recorded_networks(run: Recording) -> Networks:
    """Return the networks of a recorded run, their curves from the accuracies that it kept.

    Parameters
    ----------
    run : Recording
        A run of the page how-sparse on images of ten classes, or several seeds of it together.
    """
    curves = []
    pairs = [(each.numbers("curves"), row) for each in run.parts for row in rows_of(each.numbers("limits"))]
    for table, row in pairs:
        name = row["network"]
        share, accuracy, loss = (_of(table, key, network=name) for key in ("share", "held_accuracy", "train_loss"))
        kept, images = np.round(share * row["weights"]).astype(int), run.parameters["images"][1]
        right = np.arange(images) < np.round(images * accuracy)[:, None]
        none = np.full(len(share), np.nan)
        curves.append(PruningCurve(kept, int(row["weights"]), loss, none, none, right))
    return Networks(rows_of(run.numbers("limits")), curves, 0.1)


def mark(limits: Columns) -> str:
    """Return what has to be said of a recorded run whose predictions have no error of the quadrature, or nothing."""
    return "" if "predicted published, resolved" in limits else "predictions not resolved"


def columns_of(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return rows as columns, named by the first row; None where a later one lacks the name."""
    return {key: [row.get(key) for row in rows] for key in rows[0]}


def rows_of(table: Columns, *, unknown: bool = False) -> list[dict[str, Any]]:
    """Return the rows of a recorded table.

    Parameters
    ----------
    table : mapping of columns
        The columns of a recorded run.
    unknown : bool
        Whether errors of predictions become None where they lack the quadrature's: the scatter alone is no error.
    """
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    if unknown and mark(table):
        for row in rows:
            row |= {f"predicted {m}, error": None for m in METHODS if f"predicted {m}" in table}
    return rows


def curves(nets: Networks) -> Drawing:
    """Return the curves of the first network of each architecture, with its limits.

    Parameters
    ----------
    nets : Networks
        The first seed and reach of each architecture are drawn.
    """
    first = {row["network"]: k for k, row in reversed([*enumerate(nets.rows)])}
    shown = sorted(first.values())
    points = [
        {"network": nets.rows[k]["network"], "share": s, "held_accuracy": a, "train_loss": loss}
        for k in shown
        for s, a, loss in zip(
            nets.curves[k].shares, nets.curves[k].held_accuracy, nets.curves[k].train_loss, strict=True
        )
    ]
    sharp = "sharply" if nets.fall <= SHARP else "gradually"
    caption = (
        f"The accuracy falls {sharp}: over all {len(nets.rows)} networks, a tenth of what is above chance is lost "
        f"at {nets.fall:.2f} times the share at which half is lost (geometric mean). The published threshold is within "
        f"a factor {typical(nets.apart)['measured']:.2f} of that interval (largest {nets.apart.max():.2f}). The "
        f"curves are those of the first seeds at reach {nets.rows[shown[0]]['reach']:g}."
    )
    alt = (
        "For each architecture one network's held-out accuracy, above, and training loss, below, against the share of "
        "weights kept, with vertical lines at two predicted limits."
    )
    numbers = columns_of(points)
    limits = columns_of([nets.rows[k] for k in shown])
    return Drawing(lambda palette: _curves(palette, numbers, limits), numbers, "curves", alt, caption)


def recorded_curves(table: Columns, limits: Columns, unresolved: Mapping[str, bool]) -> Drawing:
    """Return the curves of recorded networks.

    Parameters
    ----------
    table : mapping of columns
        The columns network, share, held_accuracy and train_loss.
    limits : mapping of columns
        One row for each network.
    unresolved : mapping of str to bool
        Whether a network's predictions are not resolved.
    """
    lines = []
    for k, name in enumerate(limits["network"]):
        share, loss = _of(table, "share", network=name), _of(table, "train_loss", network=name)
        at = int(np.argmin(loss))
        lines.append(
            f"{name}: T {limits['predicted published'][k]:.2%}, one-shot {limits['predicted one-shot'][k]:.2%}"
            f"{' (neither is resolved)' * unresolved[name]}, by the training loss "
            f"{limits['measured training loss'][k]:.2%}, which is least, {loss[at]:.2f} against {loss[-1]:.2f}, at "
            f"{share[at]:.2%}"
        )
    alt = (
        "For each recorded network held-out accuracy, above, and training loss, below, against the share of weights "
        "kept, with vertical lines at two predicted limits."
    )
    caption = "Recorded on CIFAR-10, shares predicted and measured. " + "; ".join(lines) + "."
    return Drawing(lambda palette: _curves(palette, table, limits), table, "curves-cifar10", alt, caption)


def _curves(palette: Palette, table: Columns, limits: Columns) -> Figure:
    """Draw held-out accuracy and training loss against the share kept, with predicted limits as lines."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(table["network"]))
    size = (max(2.9 * len(names), 5.0), 5.4)
    figure, grid = plt.subplots(2, len(names), figsize=size, sharex="col", sharey="row", squeeze=False)
    for (top, bottom), name in zip(grid.T, names, strict=True):
        row = list(limits["network"]).index(name)
        share, *both = (_of(table, key, network=name) for key in ("share", "held_accuracy", "train_loss"))
        for axes, values in zip((top, bottom), both, strict=True):
            axes.plot(share, values, color=palette.ink, linewidth=1.2)
            for k, method in enumerate(("published", "one-shot")):
                at = limits[f"predicted {method}"][row]
                axes.axvline(at, color=palette.series[k], linestyle=DASHES[k + 1], label=method)
        bound = limits["train_loss"][row] + limits["epsilon"][row]
        bottom.axhline(bound, color=palette.muted, linestyle=":", label="dense + ε")
        bottom.set(xscale="log", yscale="log", xlabel="share kept")
        top.set_title(name)
    grid[0, 0].set(ylabel="held-out accuracy")
    grid[1, 0].set(ylabel="training loss")
    figure.legend(*grid[1, 0].get_legend_handles_labels(), fontsize=9, ncols=3, loc="outside upper center")
    return figure


def limits(nets: Networks, recorded: Sequence[Row] = ()) -> Drawing:
    """Return a figure of predicted limits against the one measured by the training loss, a panel for each method.

    Parameters
    ----------
    nets : Networks
        Live networks.
    recorded : sequence of mappings
        Rows of recorded networks, drawn beside them.
    """
    drawn = columns_of([*nets.rows, *recorded])
    below = int(np.sum(nets.published < nets.measured))
    near, T = (typical(nets.apart_by(method))["measured"] for method in (nets.best, "published"))
    caption = (
        f"The nearest method is {nets.best}, off by a factor {near:.2f} on average; the published threshold is off by "
        f"{T:.2f}, and below the measured limit in {below} of {len(nets.rows)} networks."
    )
    alt = (
        "Six panels, one for each method: predicted share kept against the measured one for every network, on "
        "logarithmic axes with the diagonal; a dotted vertical line runs through a point whose error is not known."
    )
    return Drawing(lambda palette: _scatter(palette, drawn), columns_of(nets.rows), "limits", alt, caption)


def _scatter(palette: Palette, limits: Columns) -> Figure:
    """Draw every row; a prediction whose error is not known has a dotted line through its panel in place of a bar.

    An error is not known where it is None or not finite: the integral is not resolved, or there is one probe only. The
    panel of a method without a column stays empty.
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    figure, grid = plt.subplots(2, 3, figsize=(9, 6), sharex=True, sharey=True)
    names = list(dict.fromkeys(limits["network"]))
    for axes, method in zip(grid.flat, METHODS, strict=True):
        key = f"predicted {method}"
        axes.set(title=method)
        for k, name in enumerate(names if key in limits else []):
            x, y, error = (_of(limits, c, network=name) for c in ("measured training loss", key, f"{key}, error"))
            there = np.array([v is not None and np.isfinite(v) for v in y])
            if not there.any():
                continue
            bars = np.array([np.inf if v is None else v for v in error[there]], dtype=float)
            known = np.isfinite(bars)
            for at in x[there][~known].astype(float):
                axes.axvline(at, color=palette.series[k], linestyle=":", linewidth=1, label=UNKNOWN)
            bars[~known] = 0.0
            axes.errorbar(
                x[there].astype(float), y[there].astype(float), yerr=bars, fmt=MARKERS[k % len(MARKERS)], label=name,
                color=palette.series[k], markerfacecolor="none", elinewidth=1, capsize=2,
            )  # fmt: skip
        ends = [0.8 * min(limits["predicted cone"]), 1.0]
        axes.plot(ends, ends, color=palette.muted, linewidth=1)
        axes.set(xscale="log", yscale="log")
    for axes in grid[1]:
        axes.set(xlabel="share kept, training loss")
    for axes in grid[:, 0]:
        axes.set(ylabel="share kept, predicted")
    entries = dict(zip(*reversed(grid[0, 0].get_legend_handles_labels()), strict=True))
    entries.pop(UNKNOWN, None)
    if any(line.get_label() == UNKNOWN for axes in grid.flat for line in axes.lines):
        entries[UNKNOWN] = Line2D([], [], color=palette.muted, linestyle=":", linewidth=1)
    figure.legend(entries.values(), entries.keys(), ncols=5, loc="outside lower center")
    return figure


def findings(nets: Networks, printed: float) -> list[str]:
    """Return what the page found, in two or three sentences.

    Parameters
    ----------
    nets : Networks
        Live networks; the third sentence tells of their re-optimized limits, where these are known.
    printed : float
        The largest factor between predicted and measured share kept that the paper's Table 2 has.
    """
    factors = {method: typical(nets.apart_by(method))["measured"] for method in ("published", nets.best)}
    below = int(np.sum(nets.published < nets.measured))
    sharp = "sharp" if nets.fall <= SHARP else "not sharp"
    said = [
        f"The fall of the accuracy is {sharp} by the stated rule: from a tenth to a half of it takes a factor "
        f"{nets.fall:.2f} in the share kept.",
        f"The published threshold is off by a factor {factors['published']:.2f} from the share at which the training "
        f"loss has risen by ε, below it in {below} of {len(nets.rows)} networks, where the paper's Table 2 has at most "
        f"{printed:.2f}; the nearest prediction is {nets.best}, off by {factors[nets.best]:.2f}.",
    ]
    if "re-optimized" in nets.methods:
        gap, off = nets.retrained("published").mean(), nets.off("published").mean()
        nearer = "of retrained networks in the quadratic model" if gap < off else "of networks as they are pruned"
        said.append(
            f"The threshold is nearer to the limit {nearer}: it is {gap:.1f} points from the re-optimized limit and "
            f"{off:.1f} from the measured one."
        )
    return said


def _of(table: Columns, key: str, *, network: str) -> np.ndarray[Any, Any]:
    """Return one network's values of a column."""
    return np.array([v for v, name in zip(table[key], table["network"], strict=True) if name == network])
