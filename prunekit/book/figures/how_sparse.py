"""The figures of the page on how sparse a network can be; each takes columns, as `LimitComparison.row` names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit.book.plotting import DASHES, MARKERS, Palette
from prunekit.limit.prediction import METHODS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Columns = Mapping[str, Sequence[Any]]
UNKNOWN = "error not known"


def curves(palette: Palette, found: Columns, limits: Columns) -> Figure:
    """Draw held-out accuracy and training loss against the share kept, with predicted limits as lines.

    Parameters
    ----------
    palette : Palette
        Colours of the background.
    found : mapping of columns
        network, share, held_accuracy, train_loss.
    limits : mapping of columns
        One row a network, of which the first is drawn.
    """
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(found["network"]))
    size = (max(2.9 * len(names), 4.5), 5.2)
    figure, grid = plt.subplots(2, len(names), figsize=size, sharex="col", squeeze=False)
    for (top, bottom), name in zip(grid.T, names, strict=True):
        row = list(limits["network"]).index(name)
        share, *both = (_of(found, key, network=name) for key in ("share", "held_accuracy", "train_loss"))
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
    grid[1, 0].legend(fontsize=8)
    return figure


def scatter(palette: Palette, limits: Columns) -> Figure:
    """Draw predicted limits against the one measured by the training loss, a panel for each method.

    Parameters
    ----------
    palette, limits
        As for `curves`; every row is drawn. The panel of a method without a column stays empty. A prediction whose
        error is not known (None, or not finite: the integral is not resolved, or there is one probe only) has a dotted
        line from the bottom to the top of its panel in place of a bar.
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


def upper(palette: Palette, found: Columns) -> Figure:
    """Draw R_m² and U(p) - p against p.

    Parameters
    ----------
    palette : Palette
        Colours of the background.
    found : mapping of columns
        network, p, gap, R_squared, T.
    """
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
    for k, name in enumerate(dict.fromkeys(found["network"])):
        p, gap, squared, T = (_of(found, key, network=name) for key in ("p", "gap", "R_squared", "T"))
        style = {"color": palette.series[k], "marker": MARKERS[k], "markerfacecolor": "none"}
        left.plot(p, squared, label=name, **style)
        right.plot(p, 100 * gap, **style)
        for axes in (left, right):
            axes.axvline(T[0], color=palette.series[k], linestyle=":", linewidth=1)
    right.axhline(0, color=palette.muted, linewidth=1)
    left.set(xlabel="p, share kept", ylabel="R², squared weights", xscale="log", yscale="log")
    right.set(xlabel="p, share kept", ylabel="U(p) − p, percentage points", xscale="log")
    left.legend(fontsize=8)
    return figure


def separation(palette: Palette, found: Columns) -> Figure:
    """Draw T for four combinations of two networks' weights and Hessians, a line for each pair.

    Parameters
    ----------
    palette : Palette
        Colours of the background.
    found : mapping of columns
        network, neither, weights, Hessian, both.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 3.6))
    places = ("neither", "weights", "Hessian", "both")
    for k, name in enumerate(dict.fromkeys(found["network"])):
        values = np.array([_of(found, key, network=name) for key in places], dtype=float)
        lines = axes.plot(
            values, MARKERS[k], color=palette.series[k], markerfacecolor="none", linestyle=":", linewidth=0.8
        )
        lines[0].set_label(name)
    axes.set(xticks=range(4), xticklabels=places, yscale="log", ylabel="published T, share kept")
    axes.set(xlabel="taken from the network with the stronger penalty")
    axes.legend(fontsize=8)
    return figure


def _of(found: Columns, key: str, *, network: str) -> np.ndarray[Any, Any]:
    """Return one network's values of a column."""
    return np.array([v for v, name in zip(found[key], found["network"], strict=True) if name == network])
