"""The figures of the page on initialization: Figures 2a to 2c of li, importances of two layers against their scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.figures.beside import RANGE, Curve, Sets, marks, points, rows
from prunekit.book.plotting import DASHES, Drawing, Palette, legend
from prunekit.book.verdicts import quantile
from prunekit.importance.scaled import LAYERS, POWERS
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prunekit.book.recordings import Recording

ROUNDING = 1e-6  # a relative change that rounding in single precision explains
MEASURES = ("test loss", "test error")
MOVED = {"weights": "weights", "diagonal": "Hessian diagonal"}


Curves = Mapping[tuple[str, str, str], Curve]  # by stage, quantity and layer


@dataclass(frozen=True)
class Trained:
    """What training did to the two layers of networks scaled by each λ.

    Attributes
    ----------
    lambdas : sequence of float
        The scales λ, increasing.
    runs : sequence of mappings
        For each seed, a list over λ of importances by (quantity, layer): "before" and "after" training, with the
        quantities "magnitude" and "Hessian", and "natural", with what it is taken on.
    """

    lambdas: Sequence[float]
    runs: Sequence[Mapping[str, Any]]

    def by_lambda(self, stage: str, quantity: str, layer: str) -> Floats:
        """Return an importance, (seeds, λ)."""
        return np.array([[importances[quantity, layer] for importances in run[stage]] for run in self.runs])

    @property
    def inside(self) -> list[int]:
        """Positions of the λ within the range."""
        return [i for i, lam in enumerate(self.lambdas) if RANGE[0] <= lam <= RANGE[1]]

    def curves(self) -> Curves:
        """Return all importances against λ, by stage, quantity and layer."""
        return {
            (stage, *key): Curve.of(self.by_lambda(stage, *key), self.lambdas)
            for stage in ("before", "after", "natural")
            for key in self.runs[0][stage][0]
        }

    def steps(self, values: Floats) -> Floats:
        """Return changes between neighbouring λ of the range."""
        return np.diff(values[:, self.inside], axis=1)

    def change(self, layer: str) -> float:
        """Return the largest relative change of magnitude importance in training over the range."""
        ratio = self.by_lambda("after", "magnitude", layer) / self.by_lambda("before", "magnitude", layer)
        return float(np.max(np.abs(ratio.mean(axis=0) - 1)[self.inside]))

    def spread(self, layer: str) -> float:
        """Return the largest relative change with λ of Hessian importance before training."""
        start = self.by_lambda("before", "Hessian", layer)
        return float(np.max(np.abs(start / start[:, :1] - 1)))

    def part(self, layer: str) -> Floats:
        """Return a layer's part of both natural importances on test error, (seeds, λ)."""
        own = {name: self.by_lambda("natural", "test error", name) for name in LAYERS}
        return own[layer] / sum(own.values())

    def power(self, layer: str) -> float:
        """Return the power of λ with which natural importance on training loss changes from λ = 1 to the end."""
        mean = self.by_lambda("natural", "train loss", layer).mean(axis=0)
        factor = self.lambdas[-1] / self.lambdas[list(self.lambdas).index(1.0)]
        return math.log(max(mean[-1], 1e-300) / mean[list(self.lambdas).index(1.0)]) / math.log(factor)


def recorded_curves(recording: Recording) -> Curves:
    """Return the importances of a recorded run against λ, as `Trained.curves` does."""
    curves = {}
    for layer, name in (("input", "fig-2a"), ("output", "fig-2b")):
        table = recording.numbers(name)
        for stage in ("before", "after"):
            for quantity in ("magnitude", "Hessian"):
                curves[stage, quantity, layer] = Curve.read(table, quantity=quantity, stage=stage)
        curves["natural", "train loss", layer] = Curve.read(table, quantity="natural", stage="after")
        for what in MEASURES:
            curves["natural", what, layer] = Curve.read(recording.numbers("fig-2c"), layer=layer, on=what)
    return curves


Measured = dict[str, float]  # the arguments `measured` and `error` of `prunekit.check`


def _factor(logarithm: Measured) -> Measured:
    """Return a factor and its error from those of its logarithm."""
    measured = math.exp(logarithm["measured"])
    return {"measured": measured, "error": measured * logarithm["error"]}


def largest_change(curves: Curves, layer: str) -> Measured:
    """Return the largest relative change of magnitude importance in training over the range, and its error there."""
    logs = [curves[stage, "magnitude", layer].inside.log() for stage in ("after", "before")]
    ratio = logs[0].minus(logs[1])
    changed = _factor(ratio.measured(int(np.argmax(np.abs(np.expm1(ratio.mean))))))
    return changed | {"measured": abs(changed["measured"] - 1)}


def spread(curves: Curves, layer: str) -> Measured:
    """Return the largest relative change with λ of Hessian importance before training, which is no estimate."""
    start = curves["before", "Hessian", layer].mean
    return {"measured": float(np.max(np.abs(start / start[0] - 1))), "error": 0.0}


def least_factor(curve: Curve, power: int = 1) -> Measured:
    """Return the smallest factor between neighbouring λ of the range; with power -1 that of the reciprocals."""
    steps = curve.inside.log().steps()
    return _factor(steps.measured(int(np.argmin(power * steps.mean)), power))


def least_fall(curve: Curve) -> Measured:
    """Return by how much a curve falls between neighbouring λ of the range where it falls least, in its units."""
    steps = curve.inside.steps()
    return steps.measured(int(np.argmax(steps.mean)), -1)


def ratio_range(curves: Curves) -> Measured:
    """Return the largest over the smallest ratio of both layers' Hessian importance after training, over the range."""
    logs = [curves["after", "Hessian", layer].inside.log() for layer in LAYERS]
    return _factor(logs[0].minus(logs[1]).drop())


def least_trend(curves: Curves) -> Measured:
    """Return the least change between the ends of λ, as the figure has it, of natural importance on test data."""
    changes = []
    for what in MEASURES:
        for layer, power in POWERS.items():
            curve = curves["natural", what, layer]
            ends = curve.at(curve.lambdas[-1]).minus(curve.at(curve.lambdas[0]))
            changes.append(ends.measured(0, -power))
    return min(changes, key=lambda change: change["measured"])


def parts_at_ends(curves: Curves) -> tuple[Measured, Measured]:
    """Return the input layer's part of the test error at the largest λ, and the output layer's at the smallest."""
    input_, output = (curves["natural", "test error", layer] for layer in LAYERS)
    return input_.share(output).measured(-1), output.share(input_).measured(0)


def shared_out(curves: Curves) -> Measured:
    """Return the smaller of the parts that one layer has at one end of λ and the other layer at the other end."""
    swapped = [{"measured": 1 - part["measured"], "error": part["error"]} for part in parts_at_ends(curves)]
    pairs = (parts_at_ends(curves), swapped)
    return max((min(pair, key=lambda part: part["measured"]) for pair in pairs), key=lambda part: part["measured"])


def power_at_end(curve: Curve) -> Measured:
    """Return the power of λ with which a curve changes from λ = 1 to the end."""
    last = curve.lambdas[-1]
    change = curve.at(last).log().minus(curve.at(1.0).log()).measured(0)
    return {name: value / math.log(last) for name, value in change.items()}


def mean_of(values: Floats) -> Measured:
    """Return the mean of values over seeds and its error, as `prunekit.check` takes them."""
    mean, error = mean_and_error(values)
    return {"measured": float(mean), "error": float(error)}


def moved_at_one(trained: Trained) -> Mapping[tuple[str, str], Floats]:
    """Return how far weights and Hessian diagonal of each layer moved at λ = 1, seed by seed."""
    return {key: np.array([run["moves"][key] for run in trained.runs]) for key in trained.runs[0]["moves"]}


def layer_importances(trained: Trained, layer: str, sets: Sets) -> Drawing:
    """Return Figure 2a or 2b of li: three importances of one layer against λ, before and after training.

    Parameters
    ----------
    trained : Trained
        What was measured.
    layer : str
        "input" for Figure 2a, "output" for 2b.
    sets : Sets
        The data sets.
    """
    name = {"input": "fig-2a", "output": "fig-2b"}[layer]
    live = []
    for stage in ("before", "after"):
        for quantity in ("magnitude", "Hessian"):
            values = trained.by_lambda(stage, quantity, layer)
            live += rows(values, trained.lambdas, quantity=quantity, stage=stage)
    values = trained.by_lambda("natural", "train loss", layer)
    numbers = sets.numbers(name, live + rows(values, trained.lambdas, quantity="natural", stage="after"))

    def draw(palette: Palette) -> Figure:
        figure, grid = sets.canvas(4.4, sharey=True)
        for axes, data in zip(grid[0], sets.titles, strict=True):
            for k, quantity in enumerate(("magnitude", "Hessian", "natural")):
                tags = {"data": data, "quantity": quantity}
                label = f"{quantity}, measured"
                if quantity != "natural":
                    x, y, _ = points(numbers, **tags, stage="before")
                    power = 2 * POWERS[layer] if quantity == "magnitude" else 0
                    line = {"color": palette.series[k], "linestyle": DASHES[k], "label": f"{quantity}, predicted"}
                    axes.plot(x, y[0] * (x / x[0]) ** power, **line)
                marks(axes, palette, k, points(numbers, **tags, stage="after"), label)
            axes.set(yscale="log")
        grid[0, 0].set(ylabel=f"importance of the {layer} layer")
        legend(figure, grid[0, 0], ncols=3, title="lines: before training, by Lemma 4.1; markers: after it")
        return figure

    ends = []
    for data in sets.titles:
        x, y, e = points(numbers, data=data, quantity="natural", stage="after")
        ends.append(
            f"from {y[0]:.3g} ± {e[0]:.1g} at λ = {x[0]:g} to {y[-1]:.3g} ± {e[-1]:.1g} at λ = {x[-1]:g} ({data})"
        )
    caption = (
        f"The {layer} layer. Its natural importance on the training loss goes {'; '.join(ends)}. "
        "Magnitude importance has no unit, the others are in units of the loss."
    )
    alt = (
        f"Importances of the {layer} layer against λ, both axes logarithmic, a panel for each data set: magnitude and "
        "Hessian importance before training as lines of slope ±2 and 0, after training as markers, and natural "
        "importance, which goes the other way than magnitude importance."
    )
    return Drawing(draw, numbers, name, alt, caption)


def figure_2c(trained: Trained, sets: Sets) -> Drawing:
    """Return Figure 2c of li: natural importance of both layers on test loss and test error.

    Parameters
    ----------
    trained : Trained
        What was measured.
    sets : Sets
        The data sets.
    """
    live = []
    for what in MEASURES:
        for layer in LAYERS:
            live += rows(trained.by_lambda("natural", what, layer), trained.lambdas, layer=layer, on=what)
    numbers = sets.numbers("fig-2c", live)

    def draw(palette: Palette) -> Figure:
        figure, grid = sets.canvas(5.6, 2, sharex="col", sharey="row")
        for line, what in zip(grid, MEASURES, strict=True):
            for axes, data in zip(line, sets.titles, strict=True):
                for k, layer in enumerate(LAYERS):
                    xye = points(numbers, data=data, layer=layer, on=what)
                    marks(axes, palette, k, xye, f"{layer} layer", linestyle=DASHES[k])
                axes.axhline(0, color=palette.muted, linewidth=0.8)
            line[0].set(ylabel=f"importance on {what}")
        legend(figure, grid[0, 0], ncols=2)
        return figure

    def part_of_output(data: str, end: int) -> str:
        both = [points(numbers, data=data, layer=layer, on="test error")[1][end] for layer in LAYERS]
        return f"{round(100 * both[1] / sum(both))} percent"

    parts = [
        f"{part_of_output(data, 0)} at the smallest and {part_of_output(data, -1)} at the largest λ ({data})"
        for data in sets.titles
    ]
    caption = (
        "What the test loss (above, nats) and the test error (below, share of images) rise by when one layer is put "
        f"back to its initial weights. Of the two rises of the test error the output layer has {'; '.join(parts)}."
    )
    alt = (
        "Natural importance of both layers against λ on a logarithmic axis, on test loss above and on test error "
        "below, a panel for each data set. That of the input layer falls with λ, that of the output layer rises."
    )
    return Drawing(draw, numbers, "fig-2c", alt, caption)


def findings(trained: Trained) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    trained : Trained
        What was measured.
    """
    first, last = (trained.lambdas[i] for i in (0, -1))
    few = [trained.lambdas[i] for i in trained.inside]
    parts = {layer: trained.part(layer).mean(axis=0) for layer in LAYERS}
    small, large = (max(LAYERS, key=lambda layer, i=i: parts[layer][i]) for i in (0, -1))  # type: ignore[misc]
    swapped = (small, large) == ("input", "output")
    text = "as the paper's figures say and three of its sentences do not" if swapped else "other than its figures say"
    depends = "does not depend" if max(map(trained.spread, LAYERS)) <= ROUNDING else "depends"
    rises = [Curve.of(trained.by_lambda("after", "Hessian", layer), trained.lambdas).inside.log() for layer in LAYERS]
    steps = [rise.steps() for rise in rises]
    half = quantile(len(trained.runs))
    ends = (
        (
            "rises with λ throughout in both layers, as the paper says",
            min(np.min(s.mean - half * s.error) for s in steps),
        ),
        ("does not rise throughout, other than the paper says", max(np.max(-s.mean - half * s.error) for s in steps)),
    )
    up = next((words for words, sure in ends if sure > 0), "cannot be told to rise or to fall from so few seeds")
    return (
        f"For λ from {few[0]:g} to {few[-1]:g} training changes the magnitude importance of the input layer by at most "
        f"{trained.change('input'):.0%} and of the output layer by at most {trained.change('output'):.0%}, where the "
        f"initialization changes both by a factor {(few[-1] / few[0]) ** 2:g}.",
        f"Of the test error that it costs to put one layer back to its start, the {small} layer has "
        f"{parts[small][0]:.0%} at λ = {first:g} and the {large} layer {parts[large][-1]:.0%} at λ = {last:g}: the "
        f"{'layer with the small weights learns' if swapped else 'small weights do not decide who learns'}, {text}.",
        f"Hessian importance {depends} on λ before training; after it, it {up}.",
    )
