"""The figures of the page on layer death: Figures 3a to 3c and 4 of li, pruned networks against the scale λ."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from prunekit._checks import Floats
from prunekit.book.figures.beside import Curve, Sets, kept, marks, points, rows
from prunekit.book.plotting import DASHES, Drawing, Palette, legend
from prunekit.importance.scaled import LAYERS
from prunekit.masks.scaled import RULES, SCOPES, Case, Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prunekit.book.recordings import Recording

WORDS = {"global": "together", "layer": "layer by layer"}


@dataclass(frozen=True, eq=False)
class Curves:
    """What is judged of pruned networks, measured now or recorded: curves against λ.

    Attributes
    ----------
    plan : Plan
        What was pruned, and how.
    accuracy : mapping of (scope, rule, fraction) to Curve
        Test accuracy after retraining.
    shares : mapping of (rule, layer) to Curve
        Share of a layer's weights kept at the middle fraction.
    """

    plan: Plan
    accuracy: Mapping[tuple[str, str, float], Curve]
    shares: Mapping[tuple[str, str], Curve]

    def ahead(self, better: tuple[str, str], worse: tuple[str, str], keep: float) -> Curve:
        """Return by how much one scope and rule lead another in test accuracy, at the λ that both have."""
        curves = [self.accuracy[(*case, keep)] for case in (better, worse)]
        both = [lam for lam in curves[0].lambdas if lam in curves[1].lambdas]
        return curves[0].at(*both).minus(curves[1].at(*both))

    def left(self, layer: str, place: int) -> dict[str, float]:
        """Return the share of a layer that magnitude pruning leaves over the fraction kept, and its error."""
        share = self.shares["magnitude", layer].measured(place)
        return {name: value / self.plan.middle for name, value in share.items()}

    def furthest(self, layer: str, share: float) -> dict[str, float]:
        """Return the share of a layer that Hessian pruning keeps where it is furthest from a given one in the range."""
        curve = self.shares["Hessian", layer].inside
        return curve.measured(int(np.argmax(np.abs(curve.mean - share))))


def recorded_curves(recording: Recording) -> Curves:
    """Return the curves of a recorded run, as `Pruned.curves` does."""
    joint, alone, left = (recording.numbers(f"fig-{name}") for name in ("3a", "4", "3c"))
    plan = Plan.of(
        sorted(set(left["lambda"])), sorted(set(joint["lambda"])), sorted(set(joint["fraction"])),
        recording.reports["equal_sizes_at"],
    )  # fmt: skip
    accuracy = {
        ("layer", rule, keep): Curve.read(alone, scope="layer", rule=rule, fraction=keep)
        for rule in RULES
        for keep in plan.fractions[:2]
    }
    for rule, name in zip(RULES, ("fig-3a", "fig-3b"), strict=True):
        for keep in plan.fractions:
            accuracy["global", rule, keep] = Curve.read(recording.numbers(name), fraction=keep)
    shares = {(rule, layer): Curve.read(left, rule=rule, layer=layer) for rule in RULES for layer in LAYERS}
    return Curves(plan, accuracy, shares)


@dataclass(frozen=True)
class Pruned:
    """What is left of trained networks after pruning, and what it reaches when it is trained again.

    Attributes
    ----------
    plan : Plan
        What was pruned, and how.
    shares : sequence of mappings
        For each seed and rule, a list over λ of the shares kept of the layers, by the parameters' names.
    accuracies : sequence of mappings
        The test accuracies of each seed by λ, scope, rule and fraction.
    """

    plan: Plan
    shares: Sequence[Mapping[str, Sequence[Mapping[str, float]]]]
    accuracies: Sequence[Mapping[Case, float]]

    def share_left(self, rule: str, layer: str) -> Floats:
        """Return the share of a layer's weights kept at the middle fraction, (seeds, λ)."""
        name = LAYERS[layer]
        return np.array([[left[name] for left in run[rule]] for run in self.shares])

    def accuracy(
        self, scope: Literal["global", "layer"], rule: str, keep: float, lambdas: Sequence[float] | None = None
    ) -> Floats:
        """Return test accuracy after retraining, (seeds, λ); at the λ of `retrained` where none are given."""
        cases = [(lam, scope, rule, keep) for lam in (self.plan.retrained if lambdas is None else lambdas)]
        return np.array([[run[case] for case in cases] for run in self.accuracies])

    def relative_share(self, layer: str, end: int) -> float:
        """Return the share of a layer that magnitude pruning leaves over the fraction kept, the largest over seeds."""
        return float(self.share_left("magnitude", layer)[:, end].max()) / self.plan.middle

    def curves(self) -> Curves:
        """Return what is judged, as curves against λ."""
        accuracy: dict[tuple[str, str, float], Curve] = {}
        for scope in SCOPES:
            lambdas, keeps = self.plan.retrained, self.plan.fractions
            if scope == "layer":
                lambdas, keeps = self.plan.compared, keeps[:2]
            for rule, keep in itertools.product(RULES, keeps):
                accuracy[scope, rule, keep] = Curve.of(self.accuracy(scope, rule, keep, lambdas), lambdas)
        shares = {
            (rule, layer): Curve.of(self.share_left(rule, layer), self.plan.lambdas)
            for rule in RULES
            for layer in LAYERS
        }
        return Curves(self.plan, accuracy, shares)

    @property
    def ends(self) -> list[Floats]:
        """Shares left by magnitude pruning of the input layer at the smallest λ and the output layer at the largest."""
        return [self.share_left("magnitude", layer)[:, end] for layer, end in (("input", 0), ("output", -1))]


def accuracies(pruned: Pruned, rule: str, sets: Sets) -> Drawing:
    """Return Figure 3a or 3b of li: test accuracy after pruning by one rule and retraining, against λ.

    Parameters
    ----------
    pruned : Pruned
        What was measured.
    rule : str
        "magnitude" for Figure 3a, "Hessian" for 3b.
    sets : Sets
        The data sets.
    """
    name = {"magnitude": "fig-3a", "Hessian": "fig-3b"}[rule]
    live = []
    for keep in pruned.plan.fractions:
        live += rows(pruned.accuracy("global", rule, keep), pruned.plan.retrained, fraction=keep)
    numbers = sets.numbers(name, live)

    def draw(palette: Palette) -> Figure:
        figure, grid = sets.canvas(3.8, sharey=True)
        for axes, data in zip(grid[0], sets.titles, strict=True):
            for k, keep in enumerate(kept(numbers, data)):
                xye = points(numbers, data=data, fraction=keep)
                marks(axes, palette, k, xye, f"{keep:.1%}", linestyle=DASHES[k])
            axes.axhline(0.1, color=palette.muted, linewidth=0.8)
            axes.set(ylim=(0, 1))
            below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "fontsize": 8.5}
            axes.legend(ncols=3, columnspacing=1, handlelength=1.8, handletextpad=0.5, **below)
        grid[0, 0].set(ylabel=f"test accuracy, {rule} pruning")
        return figure

    said = []
    for data in sets.titles:
        keep = kept(numbers, data)[1]
        x, mean, _ = points(numbers, data=data, fraction=keep)
        said.append(
            f"from {mean.min():.3f} (λ = {x[mean.argmin()]:g}) to {mean.max():.3f} (λ = {x[mean.argmax()]:g}) with "
            f"{keep:.1%} of the weights ({data})"
        )
    caption = (
        f"After {rule} pruning and retraining from the initial weights, test accuracy is {'; '.join(said)}. Below the "
        "panels: share of the weights kept. Grey: chance."
    )
    alt = (
        f"Test accuracy after {rule} pruning and retraining from initialization, against λ on a logarithmic axis, a "
        "line for each fraction of weights kept and a panel for each data set. A grey line marks chance, 0.1."
    )
    return Drawing(draw, numbers, name, alt, caption)


def shares(pruned: Pruned, sets: Sets) -> Drawing:
    """Return Figure 3c of li: the share of each layer that is left at the middle fraction, against λ.

    Parameters
    ----------
    pruned : Pruned
        What was measured.
    sets : Sets
        The data sets.
    """
    live = []
    for rule in RULES:
        for layer in LAYERS:
            values = pruned.share_left(rule, layer)
            live += rows(values, pruned.plan.lambdas, rule=rule, layer=layer, fraction=pruned.plan.middle)
    numbers = sets.numbers("fig-3c", live)

    def draw(palette: Palette) -> Figure:
        figure, grid = sets.canvas(4.2)
        colours = {"output": palette.series[0], "input": palette.series[1]}
        for axes, data in zip(grid[0], sets.titles, strict=True):
            right = axes.twinx()
            right.spines["right"].set_visible(True)
            axes.set_ylabel("share kept, output layer", color=colours["output"])
            right.set_ylabel("share kept, input layer", color=colours["input"])
            for layer, side, marker in (("output", axes, "o"), ("input", right, "s")):
                for rule, dash in (("Hessian", "-"), ("magnitude", ":")):
                    x, y, e = points(numbers, data=data, rule=rule, layer=layer)
                    look: dict[str, Any] = {"color": colours[layer], "linestyle": dash, "marker": marker}
                    side.errorbar(
                        x, y, yerr=e, markerfacecolor="none", capsize=2, label=f"{layer} layer, {rule}", **look
                    )
                side.tick_params(axis="y", colors=colours[layer])
                side.set_ylim(bottom=0)
        handles = [axes.get_legend_handles_labels() for axes in (grid[0, 0], right)]
        entries = [one + other for one, other in zip(*handles, strict=True)]
        figure.legend(*entries, loc="outside upper center", ncols=2, fontsize=9)
        return figure

    said = []
    for data in sets.titles:
        left = {rule: points(numbers, data=data, rule=rule, layer="output")[1] for rule in RULES}
        said.append(
            f"{left['Hessian'].min():.2f} to {left['Hessian'].max():.2f} under Hessian, "
            f"{left['magnitude'].min():.2g} to {left['magnitude'].max():.2f} under magnitude pruning ({data}, "
            f"{kept(numbers, data)[0]:.1%} kept)"
        )
    alt = (
        "Share of weights kept in the output layer, left axis, and in the input layer, right axis, against λ on a "
        "logarithmic axis, solid for Hessian and dotted for magnitude pruning, a panel for each data set."
    )
    caption = f"The output layer's share of weights kept over all λ: {'; '.join(said)}."
    return Drawing(draw, numbers, "fig-3c", alt, caption)


def scopes(pruned: Pruned, sets: Sets) -> Drawing:
    """Return Figure 4 of li: test accuracy where all weights are pruned together and where each layer is by itself.

    Parameters
    ----------
    pruned : Pruned
        What was measured.
    sets : Sets
        The data sets.
    """
    live = []
    for scope, rule, keep in itertools.product(SCOPES, RULES, pruned.plan.fractions[:2]):
        values = pruned.accuracy(scope, rule, keep, pruned.plan.compared)
        live += rows(values, pruned.plan.compared, scope=scope, rule=rule, fraction=keep)
    numbers = sets.numbers("fig-4", live)

    def draw(palette: Palette) -> Figure:
        figure, grid = sets.canvas(6.4, 2, sharex="col", sharey=True)
        ranks, dashes = ("small", "middle"), {"global": "-", "layer": ":"}
        for line, rule in zip(grid, RULES, strict=True):
            for axes, data in zip(line, sets.titles, strict=True):
                for (k, keep), scope in itertools.product(enumerate(kept(numbers, data)), SCOPES):
                    xye = points(numbers, data=data, scope=scope, rule=rule, fraction=keep)
                    label = f"{ranks[k]} fraction, {WORDS[scope]}"
                    marks(axes, palette, k, xye, label, linestyle=dashes[scope])
                axes.axhline(0.1, color=palette.muted, linewidth=0.8)
                axes.set(ylim=(0, 1))
            line[0].set(ylabel=f"test accuracy, {rule}")
        legend(figure, grid[0, 0], ncols=2)
        return figure

    said = []
    for data in sets.titles:
        for rule in RULES:
            tags = {"data": data, "rule": rule, "fraction": kept(numbers, data)[1]}
            x, together, _ = points(numbers, **tags, scope="global")
            gain = points(numbers, **tags, scope="layer")[1] - together
            parts = ", ".join(f"{g:+.3f} at λ = {v:g}" for v, g in zip(x, gain, strict=True))
            said.append(f"{data}, {rule}: {parts}")
    caption = f"What pruning layer by layer adds to the test accuracy at the middle fraction. {'; '.join(said)}."
    alt = (
        "Test accuracy after retraining against λ, all weights pruned together (solid) and layer by layer (dotted), "
        "for two fractions; magnitude pruning above, Hessian pruning below, a column for each data set. Grey lines "
        "mark chance."
    )
    return Drawing(draw, numbers, "fig-4", alt, caption)


def findings(pruned: Pruned) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    pruned : Pruned
        What was measured.
    """
    plan = pruned.plan
    means = {rule: pruned.accuracy("global", rule, plan.middle).mean(axis=0) for rule in RULES}
    worst = plan.retrained[int(means["magnitude"].argmin())]
    robust = "hardly depends" if np.ptp(means["Hessian"]) <= 0.05 else "depends"
    cases, gone = sum(left.size for left in pruned.ends), sum(int((left == 0).sum()) for left in pruned.ends)
    deletes = "deletes whole layers" if gone else "deletes no layer"
    hessian = pruned.share_left("Hessian", "output").mean(axis=0)
    edges = [plan.compared[0], plan.compared[-1]]
    layer, joint = (
        pruned.accuracy(scope, "magnitude", plan.middle, edges).mean(axis=0) for scope in ("layer", "global")
    )
    helps = "does better" if np.all(layer > joint) else "does not always do better"
    alone, together = (pruned.accuracy(scope, "Hessian", plan.middle, plan.compared) for scope in ("layer", "global"))
    return (
        f"With {plan.middle:.0%} of the weights kept and trained again, accuracy after magnitude pruning goes from "
        f"{means['magnitude'].max():.2f} down to {means['magnitude'].min():.2f} (at λ = {worst:g}) as the "
        f"initialization is rescaled; after Hessian pruning it {robust} on λ and is at least "
        f"{means['Hessian'].min():.2f}.",
        f"Magnitude pruning {deletes}: at the smallest and the largest λ {gone} of the {cases} layers with the small "
        f"weights are gone entirely. Hessian pruning keeps {hessian.min():.0%} to {hessian.max():.0%} of the output "
        "layer at every λ.",
        f"Pruning each layer to the same fraction {helps} at λ = {edges[0]:g} and {edges[1]:g} under magnitude "
        f"pruning; under Hessian pruning it changes mean accuracy by {alone.mean() - together.mean():+.3f}.",
    )
