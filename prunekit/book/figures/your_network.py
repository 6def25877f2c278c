"""The figures of the page on diagnosing one's own network: a report, and how its predictions fared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.figures.compared import (
    DIVIDING,
    ORDERS,
    SMALL,
    Network,
    gaps,
    kinds,
    mean_of,
    ranks,
    who_wins,
    within,
)
from prunekit.book.plotting import MARKERS, Drawing, Palette
from prunekit.book.tables import tabulated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prunekit.diagnosis import Report

WAYS = ("same share", "global magnitude", "global saliency", *DIVIDING)


SAID = {
    "one-shot": "one_shot",
    "linearized": "linearized",
    "re-optimized": "re_optimized",
    "measured": "measured",
}


def parts(report: Report) -> Drawing:
    """Return what a report says can go: of the whole network by every limit, and of each layer alone.

    Parameters
    ----------
    report : Report
        Of the whole network and its layers; what was left out is not drawn.
    """
    rows = [
        {"of": "network", "name": row["limit"], "by": row["limit"], "share": row["removable"], "error": row["error"]}
        for row in report.limit
    ]
    rows += [
        {"of": "layer", "name": row["layer"], "by": by, "share": row[key], "error": row.get(f"{key}_error")}
        for row in report.layers
        for by, key in SAID.items()
    ]
    rows = [row | {c: _percent(row[c]) for c in ("share", "error")} for row in rows if row["share"] is not None]
    numbers = tabulated(rows)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, grid = plt.subplots(1, 2, figsize=(8.2, 3.4), sharex=True, layout="constrained")
        for axes, of in zip(grid, ("network", "layer"), strict=True):
            names = list(dict.fromkeys(row["name"] for row in rows if row["of"] == of))[::-1]
            for row in (row for row in rows if row["of"] == of):
                k = list(SAID).index(row["by"]) if row["by"] in SAID else len(SAID)
                axes.errorbar(
                    row["share"], names.index(row["name"]) + (of == "layer") * 0.17 * (1.5 - k), xerr=row["error"],
                    color=palette.series[k], marker=MARKERS[k], markerfacecolor="none", linestyle="none", capsize=2,
                    label=row["by"],
                )  # fmt: skip
            axes.set_yticks(range(len(names)), names)
            axes.set(xlim=(0, 102), xlabel="weights that can go (%)", ylabel="limit" if of == "network" else of)
            axes.set_title("the whole network" if of == "network" else "each layer alone", fontsize=10.5)
        entries = {label: handle for handle, label in zip(*grid[1].get_legend_handles_labels(), strict=True)}
        figure.legend(list(entries.values()), list(entries), loc="outside upper center", ncols=3, fontsize=9)
        return figure

    whole = {row["by"]: f"{row['share']:.0f}%" for row in rows if row["of"] == "network"}
    caption = (
        f"What a report says can go. Without retraining: {whole['measured']} measured, {whole['one-shot']} predicted "
        "one-shot; the other limits answer other questions. On the right each layer by itself, the others whole."
    )
    alt = (
        "Two panels of markers with error bars: the share of the network's weights that can go, a row for each limit, "
        "and the share of each layer alone, predicted one-shot, linearized, re-optimized and measured."
    )
    return Drawing(draw, numbers, "report", alt, caption)


def _percent(share: float | None) -> float:
    """Return a share in percent; 0 where there is none, as for an error that is not known."""
    return 100 * share if share is not None and math.isfinite(share) else 0.0


def shares(networks: Sequence[Network]) -> Drawing:
    """Return predicted against measured shares, of whole networks and of their layers.

    Parameters
    ----------
    networks : sequence of Network
        What is said of each.
    """
    columns = ("predicted", "predicted_error", "measured", "measured_error")
    rows = [
        {"kind": n.kind, "of": of, **{c: 100 * getattr(each, c) for c in columns}}
        for n in networks
        for of, parts in (("network", (n,)), ("layer", n.layers))
        for each in parts
    ]
    numbers = tabulated(rows)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, grid = plt.subplots(1, 2, figsize=(8.2, 4.3), sharex=True, sharey=True, layout="constrained")
        for axes, of in zip(grid, ("network", "layer"), strict=True):
            axes.plot([0, 100], [0, 100], color=palette.muted, linestyle="--")
            for k, kind in enumerate(kinds(networks)):
                own = [[row[c] for c in columns] for row in rows if row["of"] == of and row["kind"] == kind]
                x, dx, y, dy = np.array(own).T
                axes.errorbar(
                    x, y, dy, np.where(np.isfinite(dx), dx, 0), color=palette.series[k % 6], marker=MARKERS[k % 6],
                    linestyle="none", markerfacecolor="none", elinewidth=0.8, label=kind,
                )  # fmt: skip
            axes.set(xlim=(0, 102), ylim=(0, 102), xlabel="predicted, one-shot (%)")
            axes.set_title("whole networks" if of == "network" else "single layers", fontsize=10.5)
        grid[0].set_ylabel("measured on held-out samples (%)")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=9)
        return figure

    whole, layer = (gaps(networks, of) for of in ("network", "layer"))
    caption = (
        f"Share of the weights that can go without retraining, of {len(networks)} networks and their "
        f"{layer.size} layers, ± a standard error. The prediction is within {SMALL:.0%} of the weights for "
        f"{within(whole)} networks and {within(layer)} layers. On the dashed line it is right; below, it promises "
        f"too much, as for {int((whole > 0).sum())} networks."
    )
    alt = (
        "Two scatter plots of the measured against the predicted share of weights that can go, with error bars: whole "
        "networks on the left, single layers on the right, a marker for each kind of network, and the diagonal dashed."
    )
    return Drawing(draw, numbers, "shares", alt, caption)


def orders(networks: Sequence[Network]) -> Drawing:
    """Return the rank correlation of each method with the measured order of the layers.

    Parameters
    ----------
    networks : sequence of Network
        What is said of each.
    """
    rows = []
    for by in ORDERS:
        for kind in (*kinds(networks), "all"):
            values = ranks([n for n in networks if kind in (n.kind, "all")], by)
            mean, error = mean_of(values[np.isfinite(values)])
            rows.append({"method": by, "kind": kind, "correlation": mean, "error": error})
    numbers = tabulated(rows)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4), layout="constrained")
        _by_kind(axes, palette, rows, list(ORDERS), "correlation")
        axes.axhline(0, color=palette.muted, linewidth=0.8)
        axes.set(ylim=(-1.05, 1.05), ylabel="rank correlation with the measured shares")
        axes.set_xlabel("what the layers are ordered by")
        figure.legend(loc="outside upper center", ncols=3, fontsize=9)
        return figure

    said = ", ".join(f"{row['method']} {row['correlation']:.2f} ± {row['error']:.2f}" for row in _all(rows))
    caption = (
        f"How well the layers of a network are ordered by what can go of each, mean over all: {said}. "
        f"{who_wins(networks)}"
    )
    alt = (
        "Rank correlation with the measured shares for both predictions, trial, saliencies, α and size, a "
        "marker with an error bar for each kind of network and a filled one for all."
    )
    return Drawing(draw, numbers, "orders", alt, caption)


def _all(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["kind"] == "all"]


def _by_kind(axes: Axes, palette: Palette, rows: Sequence[Mapping[str, Any]], at: Sequence[str], y: str) -> None:
    """Draw a marker for each kind at each place, side by side, those of all filled."""
    named = list(dict.fromkeys(row["kind"] for row in rows))
    for k, kind in enumerate(named):
        own = [row for row in rows if row["kind"] == kind]
        x = np.arange(len(at)) + 0.12 * (k - (len(named) - 1) / 2)
        all_of = kind == "all"
        axes.errorbar(
            x, [row[y] for row in own], [row["error"] for row in own], linestyle="none", capsize=2, label=kind,
            color=palette.ink if all_of else palette.series[k % 6], marker=MARKERS[k % 6],
            markerfacecolor=palette.ink if all_of else "none",
        )  # fmt: skip
    axes.set_xticks(range(len(at)), at)


def prices(networks: Sequence[Network], removed: float) -> Drawing:
    """Return what a cut of the same share costs by each way to choose what goes.

    Parameters
    ----------
    networks : sequence of Network
        With their prices.
    removed : float
        The share that goes.
    """
    rows = [{"way": way, "kind": n.kind, "rise_in_epsilon": n.prices[way]} for way in WAYS for n in networks]
    numbers = tabulated(rows)
    cost = {way: np.array([n.prices[way] for n in networks]) for way in WAYS}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt
        from matplotlib.ticker import FuncFormatter

        figure, axes = plt.subplots(figsize=(8.2, 4.2), layout="constrained")
        for k, kind in enumerate(kinds(networks)):
            own = [[n.prices[way] for way in WAYS] for n in networks if n.kind == kind]
            x = np.tile(np.arange(len(WAYS)) + 0.13 * (k - 2), len(own))
            axes.plot(
                x, np.ravel(own), linestyle="none", color=palette.series[k % 6], marker=MARKERS[k % 6],
                markerfacecolor="none", markersize=5, label=kind,
            )  # fmt: skip
        for at, way in enumerate(WAYS):
            axes.plot([at - 0.38, at + 0.38], [np.median(cost[way])] * 2, color=palette.ink)
        axes.axhline(1, color=palette.muted, linestyle=":")
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        every = np.concatenate(list(cost.values()))
        axes.set(ylim=(min(0.0, every.min()) - 0.2, 1.5 * max(every.max(), 1.0)))
        axes.set(xlabel="how it is chosen what goes", ylabel="rise on fresh samples (ε)")
        axes.set_xticks(range(len(WAYS)), [way.replace(" ", "\n") for way in WAYS])
        figure.legend(loc="outside upper center", ncols=5, fontsize=9)
        return figure

    said = "; ".join(
        f"{way} {np.median(cost[way]):.1f} ε"
        + ("" if way == "same share" else f" (less in {_won(cost[way], cost['same share'])})")
        for way in WAYS
    )
    caption = (
        f"Rise of the loss on fresh samples where {removed:.0%} of the weights go, median over the networks "
        f"(lines), and in how many it is less than with the same share of every layer: {said}."
    )
    alt = (
        "Rise of the loss on fresh samples, in ε, for seven ways to choose which weights go: a marker for each "
        "network, by kind, and a line at the median. A dotted line marks one ε."
    )
    return Drawing(draw, numbers, "prices", alt, caption)


def _won(one: Floats, two: Floats) -> str:
    return f"{int((one < two).sum())} of {one.size}"


def advised(networks: Sequence[Network]) -> Drawing:
    """Return what networks lose on fresh samples, pruned as far as the report measures, and as it predicts.

    Parameters
    ----------
    networks : sequence of Network
        With their prices.
    """
    rows = []
    for way in ("advised", "predicted"):
        for kind in (*kinds(networks), "all"):
            mean, error = mean_of(np.array([n.prices[way] for n in networks if kind in (n.kind, "all")]))
            rows.append({"share": way, "kind": kind, "rise_in_epsilon": mean, "error": error})
    numbers = tabulated(rows)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
        _by_kind(axes, palette, rows, ["as far as measured", "as far as predicted"], "rise_in_epsilon")
        axes.axhline(1, color=palette.muted, linestyle=":")
        axes.set(xlabel="pruned by global magnitude", ylabel="rise on fresh samples (ε)", xlim=(-0.6, 1.6))
        figure.legend(loc="outside upper center", ncols=3, fontsize=9)
        return figure

    measured, predicted = (f"{row['rise_in_epsilon']:.2f} ± {row['error']:.2f} ε" for row in _all(rows))
    caption = (
        f"What networks lose on samples that no report saw: {measured} where they are pruned as far as the report "
        f"measured, {predicted} where as far as it predicted. One ε (dotted) is what was allowed."
    )
    alt = (
        "Rise of the loss on fresh samples in ε for networks pruned to the measured share and to the predicted "
        "share, a marker with an error bar for each kind and a filled one for all; a dotted line at one."
    )
    return Drawing(draw, numbers, "advised", alt, caption)


def findings(networks: Sequence[Network]) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    networks : sequence of Network
        With their prices.
    """
    ways = ("predicted", "linearized", "trial", "others")
    whole, linear, trial, others = (100 * np.abs(gaps(networks, by=by)) for by in ways)
    mean, error = mean_of(whole)
    straight, straight_error = mean_of(linear)
    than, than_error = mean_of(whole - trial)
    verb = "less than" if than < -2 * than_error else "more than" if than > 2 * than_error else "like"
    rank, rank_error = mean_of((r := ranks(networks, "one-shot"))[np.isfinite(r)])
    loss, loss_error = mean_of(np.array([n.prices["advised"] for n in networks]))
    kept = "no more than" if loss <= 1 + 2 * loss_error else "more than"
    return (
        f"Curvature alone says how many weights of {len(networks)} networks of {len(kinds(networks))} kinds can go "
        f"without retraining to {mean:.1f} ± {error:.1f} percentage points on average, {verb} a trial on the same "
        f"samples ({trial.mean():.1f}); the mean of the other networks is off by {others.mean():.1f}. Where outputs "
        f"alone are taken as linear, the prediction is off by {straight:.1f} ± {straight_error:.1f}.",
        f"It orders the layers of a network with a rank correlation of {rank:.2f} ± {rank_error:.2f}: "
        f"{(lost := who_wins(networks))[0].lower()}{lost[1:]}",
        f"Networks pruned as far as the report measured lose {loss:.2f} ± {loss_error:.2f} ε on samples that it did "
        f"not see, {kept} what was allowed.",
    )
