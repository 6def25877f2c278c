"""The figures of the page on trained networks: tail indices, layers, pruned networks, all correlations.

Tables are columns by name, as `prunekit.book.plotting.show` takes them and recordings hold them. Each figure takes the
table of the live networks and, after it, those that are drawn beside it, by the words that name their data. A network
that has not converged has no tail index: its α̂ is None. The one layer of Figure 2 has a module of its own, `one_layer`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import MARKERS, Drawing, Palette
from prunekit.book.tables import selected, tabulated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prunekit.book.recordings import Recording

Table = Mapping[str, Sequence[Any]]
Tables = Mapping[str, Table]
Panels = Iterator[tuple[Any, Table, Any]]

METHODS = {"layer": "weights", "singular values": "singular values", "structures": "columns or kernels"}
TESTS = {
    "η/b": "η/b",
    "layers": "share pruned of a layer",
    "inner layers": "the same, inner layers",
    "layer": "pruned: weights by layer",
    "global": "pruned: all weights",
    "singular values": "pruned: singular values",
    "structures": "pruned: columns, kernels",
    "test accuracy": "test accuracy",
}


@dataclass(frozen=True)
class Beside:
    """Tables of the live networks, and those of a recorded run beside them, where there is one.

    Attributes
    ----------
    data : str
        What the live networks are trained on.
    recorded : Recording or None
        The recorded run.
    """

    data: str
    recorded: Recording | None

    def __call__(self, rows: Sequence[Mapping[str, Any]], figure: str) -> Tables:
        """Return live rows as columns, and the numbers that the recording has for a figure."""
        live: dict[str, Table] = {self.data: tabulated(rows)}
        return live | ({"MNIST, recorded": self.recorded.numbers(figure)} if self.recorded else {})


def tail_index(tables: Tables) -> Drawing:
    """Return Figure 1 of barsbey: the mean tail index of networks against η/b.

    Parameters
    ----------
    tables : mapping of tables
        A row for each network: ``network`` (its architecture), ``batch``, ``ratio`` (η/b), ``alpha``.
    """
    known = {source: _converged(table) for source, table in tables.items()}
    batches = sorted({b for table in known.values() for b in table["batch"]})

    def draw(palette: Palette) -> Figure:
        figure, panels = _grid(known, _networks(known), height=2.1, sharex=True, sharey=True)
        for axes, table, network in panels:
            rows = selected(table, network=network)
            for k, batch in enumerate(batches):
                at = rows["batch"] == batch
                _markers(axes, palette, k, rows["ratio"][at], rows["alpha"][at], f"b = {batch}")
            axes.axhline(2, color=palette.muted, linewidth=1, linestyle=":")
            axes.set(xscale="log")
        _outer(figure, "η/b", "mean α̂ over layers")
        _shared_legend(figure)
        return figure

    live = next(iter(known.values()))
    ends = []
    for network in _networks(known):
        rows = selected(live, network=network)
        if len(rows["ratio"]):
            first, last = (rows["alpha"][rows["ratio"] == f(rows["ratio"])].mean() for f in (np.min, np.max))
            ends.append(f"{network} from {first:.3f} to {last:.3f}")
    span = " and ".join(
        f"between {min(table['alpha']):.2f} and {max(table['alpha']):.2f} on {source}"
        for source, table in known.items()
    )
    caption = (
        f"Mean α̂ lies {span}, where Gaussian weights have 2 (dotted). Between the smallest and the "
        f"largest η/b at which live networks converged it goes for {', for '.join(ends)}."
    )
    alt = (
        "For each network architecture a panel with the mean estimated tail index of every trained network against the "
        "ratio of learning rate to batch size, which is logarithmic. All panels have the same axes; markers differ by "
        "batch size, and a dotted line marks 2."
    )
    return Drawing(draw, next(iter(tables.values())), "tail-index", alt, caption)


def layers(tables: Tables) -> Drawing:
    """Return Figure 3 of barsbey: the share of a layer's weights that can be pruned, against its tail index.

    Parameters
    ----------
    tables : mapping of tables
        A row for each layer: ``network``, ``layer``, ``alpha``, ``prunable``.
    """

    def draw(palette: Palette) -> Figure:
        figure, panels = _grid(tables, _networks(tables), height=2.1, sharex=True, sharey=True)
        for axes, table, network in panels:
            rows = selected(table, network=network)
            names = list(dict.fromkeys(rows["layer"]))
            positions = {"first": names[:1], "inner": names[1:-1], "last": names[-1:]}
            for k, (position, which) in enumerate(positions.items()):
                at = np.isin(rows["layer"], which)
                _markers(axes, palette, k, rows["alpha"][at], rows["prunable"][at], f"{position} layers")
        _outer(figure, "α̂ of the layer", "share pruned, error 0.1")
        _shared_legend(figure)
        return figure

    live = next(iter(tables.values()))
    spans = []
    for network in dict.fromkeys(live["network"]):
        share = selected(live, network=network)["prunable"]
        spans.append(f"{share.min():.0%} and {share.max():.0%} in {network}")
    clipped = np.mean(np.array(live["alpha"]) == 2)
    caption = (
        f"What can be pruned of a layer at an error of 0.1 lies between {', '.join(spans)}, at tail indices between "
        f"{min(live['alpha']):.2f} and 2; {clipped:.0%} of the layers have 2 itself, where the estimate is clipped."
    )
    alt = (
        "For each network architecture the share of a layer's weights that can be pruned at a relative error of 0.1, "
        "against the layer's tail index, all panels with the same axes. Markers tell first, inner and last layers."
    )
    return Drawing(draw, live, "layers", alt, caption)


def pruned(tables: Tables) -> Drawing:
    """Return Figures 4 to 6 of barsbey in one: relative accuracy after pruning, of networks of small and of large α̂.

    Parameters
    ----------
    tables : mapping of tables
        A row for each network, method and share: ``network``, ``net``, ``alpha``, ``method``, ``pruned``, ``relative``.
    """
    names = _networks(tables)

    def draw(palette: Palette) -> Figure:
        figure, panels = _grid(tables, METHODS, height=2.4, titles=list(METHODS.values()), sharex=True, sharey=True)
        for axes, table, method in panels:
            for k, network in enumerate(names):
                for which, (x, y) in _halves(table, network, method).items():
                    heavy = which == "smaller α̂"
                    style: dict[str, Any] = {"color": palette.series[k], "linestyle": "-" if heavy else ":"}
                    style |= {"marker": MARKERS[k], "markerfacecolor": None if heavy else "none", "markersize": 4}
                    axes.plot(x, y, label=f"{network}, {which}", **style)
            axes.set(ylim=(0, 1.1))
        _outer(figure, "pruning ratio 1 - κ", "relative accuracy")
        _shared_legend(figure)
        return figure

    said = ". ".join(f"On {source}: {_at_nine_tenths(table, names)}" for source, table in tables.items())
    caption = (
        "Lines are means over half of the networks of an architecture, those of smaller α̂ and those of larger. At the "
        f"pruning ratio nearest to 90% the first keep more of their accuracy, or less where it is negative. {said}."
    )
    alt = (
        "A panel for each way of pruning, with relative test accuracy against the pruning ratio. For each network "
        "architecture two falling lines: the mean over the half of the networks with the smaller tail index, and over "
        "the half with the larger."
    )
    return Drawing(draw, next(iter(tables.values())), "curves", alt, caption)


def _halves(table: Table, network: str, method: str) -> dict[str, tuple[Floats, Floats]]:
    """Return pruning ratios and mean relative accuracies of the networks of smaller and of larger α̂."""
    rows = selected(table, network=network, method=method)
    alphas = dict(zip(rows["net"], rows["alpha"], strict=True))
    order, half = sorted(alphas, key=lambda net: alphas[net]), len(alphas) // 2
    out = {}
    for which, nets in {"smaller α̂": order[:half], "larger α̂": order[len(order) - half :]}.items():
        own = [(rows["pruned"][rows["net"] == net], rows["relative"][rows["net"] == net]) for net in nets]
        if own:
            out[which] = (own[0][0], np.mean([relative for _, relative in own], axis=0))
    return out


def _at_nine_tenths(table: Table, networks: Sequence[str]) -> str:
    """Say how much more of its accuracy the half of smaller α̂ keeps at a pruning ratio near 0.9, by method."""
    parts = []
    for method, words in METHODS.items():
        gaps = []
        for network in networks:
            halves = _halves(table, network, method)
            if halves:
                (x, heavy), (_, light) = halves.values()
                at = int(np.argmin(np.abs(x - 0.9)))
                gaps.append(f"{heavy[at] - light[at]:+.2f} for {network}")
        parts.append(f"{words} {', '.join(gaps)}" if gaps else f"{words}: too few networks")
    return "; ".join(parts)


def generalization(tables: Tables, images: int) -> Drawing:
    """Return Figure 7 of barsbey: test accuracy against the mean tail index.

    Parameters
    ----------
    tables : mapping of tables
        A row for each network: ``network``, ``net``, ``alpha``, ``test_accuracy``.
    images : int
        Test images of the live networks.
    """
    known = {source: _converged(table) for source, table in tables.items()}
    live, accuracy = next(iter(known)), np.array(next(iter(known.values()))["test_accuracy"])
    error = math.sqrt(accuracy.mean() * (1 - accuracy.mean()) / images)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        size = (3.9 * len(known) + 0.3, 3.4)
        figure, row = plt.subplots(1, len(known), figsize=size, squeeze=False, sharex=True)
        for axes, (source, table) in zip(row[0], known.items(), strict=True):
            for k, network in enumerate(_networks(known)):
                rows = selected(table, network=network)
                _markers(axes, palette, k, rows["alpha"], 100 * rows["test_accuracy"], network)
            axes.set_title(source, fontsize=10)
        _outer(figure, "mean α̂ over layers", "test accuracy (%)")
        _shared_legend(figure)
        return figure

    caption = (
        f"Test accuracies on {live} lie between {accuracy.min():.1%} and {accuracy.max():.1%}; with {images} test "
        f"images one of them has a standard error of {100 * error:.1f} percentage points."
    )
    alt = (
        "Test accuracy of every trained network against its mean estimated tail index, one panel for each data set; "
        "markers tell the network architectures apart."
    )
    table = next(iter(tables.values()))
    kept = {key: table[key] for key in ("network", "net", "alpha", "test_accuracy")}
    return Drawing(draw, kept, "generalization", alt, caption)


def correlations(tables: Tables) -> Drawing:
    """Return a figure of all rank correlations with their intervals, a row for each test.

    Parameters
    ----------
    tables : mapping of tables
        A row for each test and architecture: ``test`` (of `TESTS`), ``network``, ``correlation``, ``low``, ``high``.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        size = (4.6 + 2.6 * (len(tables) - 1), 4.6)
        figure, row = plt.subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
        for axes, (source, table) in zip(row[0], tables.items(), strict=True):
            for k, network in enumerate(_networks(tables)):
                rows = selected(table, network=network)
                y = np.array([list(TESTS).index(test) for test in rows["test"]]) + (k - 1) * 0.22
                r, low, high = (rows[key] for key in ("correlation", "low", "high"))
                reach = [np.maximum(r - low, 0), np.maximum(high - r, 0)]
                axes.errorbar(
                    r, y, xerr=reach, fmt=MARKERS[k], color=palette.series[k], markerfacecolor="none", label=network,
                    elinewidth=1, capsize=2,
                )  # fmt: skip
            axes.axvline(0, color=palette.muted, linewidth=1)
            axes.set(xlim=(-1.08, 1.08), xlabel="rank correlation")
            axes.set_title(source, fontsize=10)
            axes.set(yticks=range(len(TESTS)), yticklabels=list(TESTS.values()), ylim=(len(TESTS) - 0.4, -0.6))
        row[0][0].set(ylabel="α̂ against")
        _shared_legend(figure)
        return figure

    said = ". On ".join(
        "{}, {} of {} intervals lie below zero, as the paper has it, and {} above".format(source, *counted(table))
        for source, table in tables.items()
    )
    caption = (
        f"On {said}. Rank correlations with 95% bootstrap intervals; accuracies of pruned networks are relative, and "
        "averaged over shares."
    )
    alt = (
        "Rank correlations with 95 percent intervals, a row for each test and a marker for each network architecture, "
        "with a line at zero."
    )
    return Drawing(draw, next(iter(tables.values())), "correlations", alt, caption)


def counted(table: Table) -> tuple[int, int, int]:
    """Return how many intervals lie below zero, how many there are, and how many lie above zero.

    Parameters
    ----------
    table : mapping
        Columns ``low`` and ``high``.
    """
    return sum(high < 0 for high in table["high"]), len(table["high"]), sum(low > 0 for low in table["low"])


def findings(tables: Tables, nets: Table) -> tuple[str, ...]:
    """Return what the page found, in two sentences or three.

    Parameters
    ----------
    tables : mapping of tables
        The tables that `correlations` takes.
    nets : mapping
        The table of the live networks that `tail_index` takes.
    """
    (live, table), *others = tables.items()
    below, of, above = counted(table)
    alphas = _converged(nets)["alpha"]
    sentences = [
        f"The paper's figures say that the tail index α̂ falls with η/b, and that networks with a smaller one prune and "
        f"generalize better: of {of} such rank correlations on {live}, {below} are negative beyond their intervals, "
        f"{above} positive, and {of - below - above} undecided.",
        f"All this is among {len(alphas)} networks whose α̂ lies between {min(alphas):.3f} and {max(alphas):.3f}; "
        "Gaussian weights have 2, where the estimate is clipped.",
    ]
    for source, recorded in others:
        below, of, above = counted(recorded)
        sentences.insert(1, f"On {source}, {below} of {of} are negative beyond their intervals, and {above} positive.")
    return tuple(sentences)


def _converged(table: Table) -> dict[str, list[Any]]:
    """Return the rows of the networks that have a tail index."""
    kept = [alpha is not None for alpha in table["alpha"]]
    return {name: [value for value, keep in zip(column, kept, strict=True) if keep] for name, column in table.items()}


def _networks(tables: Tables) -> list[str]:
    """Return the architectures of all tables, in an order that is the same in every figure."""
    networks = {network for table in tables.values() for network in table["network"]}
    return sorted(networks, key=lambda network: (not network.startswith("FCN"), network))


def _grid(
    tables: Tables, across: Mapping[str, str] | Sequence[str], height: float, titles: Sequence[str] = (), **options: Any
) -> tuple[Figure, Panels]:
    """Return a figure with a row for each table, and its panels with their table and what they are of."""
    import matplotlib.pyplot as plt

    names = list(across)
    size = (2.6 * len(names) + 0.2, height * len(tables) + 0.7)
    figure, grid = plt.subplots(len(tables), len(names), figsize=size, squeeze=False, **options)
    for row, source in zip(grid, tables, strict=True):
        for axes, title in zip(row, titles or names, strict=True):
            axes.set_title(f"{title}, {source}", fontsize=9.5)
    panels = (
        (axes, tables[s], n) for row, s in zip(grid, tables, strict=True) for axes, n in zip(row, names, strict=True)
    )
    return figure, panels


def _markers(axes: Axes, palette: Palette, k: int, x: Floats, y: Floats, label: str) -> None:
    """Draw markers of the k-th kind."""
    style: dict[str, Any] = {"color": palette.series[k], "markerfacecolor": "none", "markersize": 4.5}
    axes.plot(x, y, MARKERS[k], label=label, **style)


def _outer(figure: Figure, x: str, y: str) -> None:
    """Label the panels at the left and at the bottom."""
    for axes in figure.axes:
        place = axes.get_subplotspec()
        if place is not None and place.is_last_row():
            axes.set(xlabel=x)
        if place is not None and place.is_first_col():
            axes.set(ylabel=y)


def _shared_legend(figure: Figure) -> None:
    """Put one legend above all panels, with every label once."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(list(handles.values()), list(handles), fontsize=9, ncols=3, loc="outside upper center")
