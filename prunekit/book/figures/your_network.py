"""The figures of the page on diagnosing one's own network: a report's curve, and how its predictions fared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import MARKERS, Drawing, Palette
from prunekit.book.tables import tabulated
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prunekit.diagnosis import Report

ORDERS = {"one-shot": "predicted", "trial": "trial", "saliencies": "diagonal", "α": "alpha", "size": "size"}
DIVIDING = ("one-shot", "trial", "saliencies", "α")
WAYS = ("same share", "global magnitude", "global saliency", *DIVIDING)
SMALL = 0.1  # of the weights: an error of a share up to which it is called small
_STEEPEST = 0.3  # by how much AlphaPruning's shares fall below and rise above their mean


@dataclass(frozen=True)
class Layer:
    """What is said of one layer.

    Attributes
    ----------
    name : str
        Its parameter.
    size : int
        Its weights.
    predicted, predicted_error, measured, measured_error : float
        The share that can go alone, by the one-shot model and on held-out samples.
    trial, diagonal : float
        The same by trial on the training samples, and by the Hessian's diagonal.
    alpha : float
        The exponent of its spectrum; NaN where there is none.
    """

    name: str
    size: int
    predicted: float
    predicted_error: float
    measured: float
    measured_error: float
    trial: float
    diagonal: float
    alpha: float


@dataclass(frozen=True)
class Network:
    """What is said of one network.

    Attributes
    ----------
    kind : str
        What it is.
    predicted, predicted_error, measured, measured_error, trial : float
        The share that can go, as of a layer.
    advice : tuple of str
        The report's sentences.
    layers : tuple of Layer
        Its layers.
    prices : mapping from str to float
        The rise of the loss on fresh samples, in ε, by the way in which it is pruned.
    """

    kind: str
    predicted: float
    predicted_error: float
    measured: float
    measured_error: float
    trial: float
    advice: tuple[str, ...]
    layers: tuple[Layer, ...]
    prices: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """Number of weights that can be pruned."""
        return sum(layer.size for layer in self.layers)

    def column(self, name: str) -> Floats:
        """Return one number of each layer (layers,); an α that is missing is the mean of the others."""
        values = np.array([getattr(layer, name) for layer in self.layers], dtype=float)
        return np.where(np.isnan(values), np.nanmean(values), values)

    def dividing(self, way: str) -> Floats:
        """Return the shares (layers,) in proportion to which a cut is divided between the layers."""
        values = self.column(ORDERS[way])
        if way != "α":
            return values
        spread = float(np.ptp(values))
        return np.ones_like(values) if spread == 0 else 1 + _STEEPEST * (2 * (values - values.min()) / spread - 1)

    def order(self, by: str) -> float:
        """Return the rank correlation with the measured shares of the layers; NaN where all are alike."""
        from scipy.stats import rankdata

        one, two = rankdata(self.column(ORDERS[by])), rankdata(self.column("measured"))
        if np.ptp(one) == 0 or np.ptp(two) == 0:
            return math.nan
        return float(np.corrcoef(one, two)[0, 1])

    def priced(self, prices: Mapping[str, float]) -> Network:
        """Return the network with what pruning it costs."""
        return replace(self, prices=dict(prices))


def network(
    kind: str, told: Report, tried: Report, diagonal: Mapping[str, float], alphas: Mapping[str, float]
) -> Network:
    """Return what two reports and two rivals say of a network.

    Parameters
    ----------
    kind : str
        What it is.
    told, tried : Report
        A report measured on held-out samples, and one measured on the training samples.
    diagonal, alphas : mapping from parameter name to float
        Shares by the Hessian's diagonal, and exponents of the spectra.
    """
    trials = {row["layer"]: row["measured"] for row in tried.layers}
    layers = tuple(
        Layer(
            name,
            row["weights"],
            predicted=row["one_shot"],
            predicted_error=row["one_shot_error"],
            measured=row["measured"],
            measured_error=row["measured_error"],
            trial=trials[name],
            diagonal=diagonal[name],
            alpha=alphas[name],
        )
        for row in told.layers
        if (name := row["layer"]) in alphas
    )
    one, seen = told.found["one-shot"], told.found["measured"]
    shares = (one["share"], one["error"], seen["share"], seen["error"], tried.found["measured"]["share"])
    return Network(kind, *shares, tuple(each.text for each in told.advice), layers)


SAID = {"one-shot": "one_shot", "re-optimized": "re_optimized", "measured": "measured"}


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
                    row["share"], names.index(row["name"]) + (of == "layer") * 0.2 * (1 - k), xerr=row["error"],
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
        "and the share of each layer alone, predicted one-shot, re-optimized and measured."
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
        f"{_within(whole)} networks and {_within(layer)} layers. On the dashed line it is right; below, it promises "
        f"too much, as for {int((whole > 0).sum())} networks."
    )
    alt = (
        "Two scatter plots of the measured against the predicted share of weights that can go, with error bars: whole "
        "networks on the left, single layers on the right, a marker for each kind of network, and the diagonal dashed."
    )
    return Drawing(draw, numbers, "shares", alt, caption)


def kinds(networks: Sequence[Network]) -> list[str]:
    """Return the kinds of networks, in their order."""
    return list(dict.fromkeys(n.kind for n in networks))


def gaps(networks: Sequence[Network], of: str = "network", by: str = "predicted") -> Floats:
    """Return the predicted less the measured shares.

    Parameters
    ----------
    networks : sequence of Network
        What is said of each.
    of : str
        "network" or "layer".
    by : str
        "predicted" or "trial"; of layers also "diagonal"; of networks also "others", the mean measured on the others.
    """
    if by == "others":
        measured = np.array([n.measured for n in networks])
        return (measured.sum() - measured) / max(measured.size - 1, 1) - measured
    parts = [each for n in networks for each in ((n,) if of == "network" else n.layers)]
    return np.array([getattr(each, by) - each.measured for each in parts])


def _within(gap: Floats) -> str:
    return f"{int((np.abs(gap) <= SMALL).sum())} of {gap.size}"


def table(networks: Sequence[Network]) -> str:
    """Return mean absolute errors of the shares, in percentage points, by kind and by what says them, as text.

    Parameters
    ----------
    networks : sequence of Network
        What is said of each.
    """
    asked = (
        ("one-shot", "network", "predicted"),
        ("trial", "network", "trial"),
        ("others", "network", "others"),
        ("one-shot", "layer", "predicted"),
        ("trial", "layer", "trial"),
        ("diagonal", "layer", "diagonal"),
    )
    named = [*kinds(networks), "all"]
    width = max(len(kind) for kind in named)
    lines = [" " * width + f"{'whole networks':>27}{'single layers':>27}"]
    lines.append(" " * width + "".join(f"{words:>9}" for words, _, _ in asked))
    for kind in named:
        counted = np.array([kind in (n.kind, "all") for n in networks])
        line = f"{kind:{width}}"
        for _, of, by in asked:
            each = counted if of == "network" else np.repeat(counted, [len(n.layers) for n in networks])
            line += f"{100 * np.abs(gaps(networks, of, by)[each]).mean():9.1f}"
        lines.append(line)
    return "\n".join(lines)


def cause(networks: Sequence[Network]) -> str:
    """Say how much of the predictions' mean error is the quadratic model's own, and how much the held-out samples'.

    Parameters
    ----------
    networks : sequence of Network
        What is said of each.
    """
    whole, held = 100 * gaps(networks), 100 * gaps(networks, by="trial")
    (both, _), (own, own_error), (gap, gap_error) = _mean(whole), _mean(whole - held), _mean(held)
    return (
        f"Of whole networks the prediction is {both:+.1f} percentage points off on average. Against a trial on the "
        f"samples that it was made from it is {own:+.1f} ± {own_error:.1f} off, the quadratic model's own error; "
        f"the trial itself is {gap:+.1f} ± {gap_error:.1f} off what is measured on held-out samples."
    )


def ranks(networks: Sequence[Network], by: str) -> Floats:
    """Return the rank correlations (networks,) by one method; NaN where all layers are alike."""
    return np.array([n.order(by) for n in networks])


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
            mean, error = _mean(values[np.isfinite(values)])
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
        f"How well the layers of a network are ordered by what can go of each, mean over all: {said}. {_lost(networks)}"
    )
    alt = (
        "Rank correlation with the measured shares for the one-shot prediction, trial, saliencies, α and size, a "
        "marker with an error bar for each kind of network and a filled one for all."
    )
    return Drawing(draw, numbers, "orders", alt, caption)


def _mean(values: Floats) -> tuple[float, float]:
    """Return mean and standard error, 0 where there is one value alone, and for none."""
    if values.size < 2:
        return (float(values.mean()) if values.size else 0.0), 0.0
    mean, error = mean_and_error(values)
    return float(mean), float(error)


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


def better(networks: Sequence[Network]) -> dict[str, tuple[float, float]]:
    """Return how much better than one-shot each rival orders layers, and the error, where both order them at all."""
    base = ranks(networks, "one-shot")
    found = {}
    for by in ORDERS:
        if by != "one-shot":
            difference = ranks(networks, by) - base
            found[by] = _mean(difference[np.isfinite(difference)])
    return found


def _lost(networks: Sequence[Network]) -> str:
    """Say which rivals order layers better than the one-shot prediction, and which worse, beyond two errors."""
    told = better(networks)
    ahead = [by for by, (mean, error) in told.items() if mean > 2 * error]
    behind = [by for by, (mean, error) in told.items() if mean < -2 * error]
    parts = []
    if ahead:
        parts.append(f"the one-shot prediction loses to {_listed(ahead)}")
    if behind:
        parts.append(f"{'' if ahead else 'the one-shot prediction '}wins against {_listed(behind)}")
    rest = [by for by in told if by not in ahead + behind]
    if rest:
        parts.append(
            f"{'' if parts else 'the one-shot prediction '}cannot be told from {_listed(rest)} by these networks"
        )
    text = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return text[0].upper() + text[1:] + "."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


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
            mean, error = _mean(np.array([n.prices[way] for n in networks if kind in (n.kind, "all")]))
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


def scores_advised(networks: Sequence[Network]) -> str:
    """Say how often a recommended score was the better one on fresh samples.

    Parameters
    ----------
    networks : sequence of Network
        With their prices.
    """
    given, right = 0, 0
    for n in networks:
        saliency, magnitude = n.prices["saliency at 20%"], n.prices["magnitude at 20%"]
        for text in n.advice:
            if text.startswith("Rank weights by Hessian"):
                given, right = given + 1, right + (saliency < magnitude)
            elif text.startswith("Rank weights by magnitude"):
                given, right = given + 1, right + (magnitude < saliency)
    if not given:
        return f"No score was recommended for any of the {len(networks)} networks: none was ahead at every share."
    return (
        f"A score was recommended for {given} of {len(networks)} networks; with 20% of the weights kept it costs "
        f"less on fresh samples than the other in {right} of them."
    )


def numbers(networks: Sequence[Network]) -> dict[str, float]:
    """Return what the page hands over, by name.

    Parameters
    ----------
    networks : sequence of Network
        With their prices.
    """
    found = {
        "error_of_networks_one_shot": float(np.abs(gaps(networks)).mean()),
        "error_of_networks_trial": float(np.abs(gaps(networks, by="trial")).mean()),
        "error_of_networks_mean_of_others": float(np.abs(gaps(networks, by="others")).mean()),
        "error_of_layers_one_shot": float(np.abs(gaps(networks, "layer")).mean()),
        "error_of_layers_trial": float(np.abs(gaps(networks, "layer", "trial")).mean()),
        "error_of_layers_saliencies": float(np.abs(gaps(networks, "layer", "diagonal")).mean()),
    }
    words = {"α": "alpha", "one-shot": "one_shot"}
    for by in ORDERS:
        values = ranks(networks, by)
        found[f"order_by_{words.get(by, by)}"] = _mean(values[np.isfinite(values)])[0]
    return found


def findings(networks: Sequence[Network]) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    networks : sequence of Network
        With their prices.
    """
    whole, trial, others = (100 * np.abs(gaps(networks, by=by)) for by in ("predicted", "trial", "others"))
    mean, error = _mean(whole)
    than, than_error = _mean(whole - trial)
    verb = "less than" if than < -2 * than_error else "more than" if than > 2 * than_error else "like"
    rank, rank_error = _mean((r := ranks(networks, "one-shot"))[np.isfinite(r)])
    loss, loss_error = _mean(np.array([n.prices["advised"] for n in networks]))
    kept = "no more than" if loss <= 1 + 2 * loss_error else "more than"
    return (
        f"Curvature alone says how many weights of {len(networks)} networks of {len(kinds(networks))} kinds can go "
        f"without retraining to {mean:.1f} ± {error:.1f} percentage points on average, {verb} a trial on the same "
        f"samples ({trial.mean():.1f}); the mean of the other networks is off by {others.mean():.1f}.",
        f"It orders the layers of a network with a rank correlation of {rank:.2f} ± {rank_error:.2f}: "
        f"{(lost := _lost(networks))[0].lower()}{lost[1:]}",
        f"Networks pruned as far as the report measured lose {loss:.2f} ± {loss_error:.2f} ε on samples that it did "
        f"not see, {kept} what was allowed.",
    )
