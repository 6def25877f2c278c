"""The figures of the page on what sets the limit: the upper map against T, and weights and Hessians exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.figures.how_sparse import columns_of
from prunekit.book.plotting import MARKERS, Drawing, Palette
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
PLACES = ("neither", "weights", "Hessian", "both")
NO_FIXED_POINT = (
    "the printed map has no fixed point unless what is removed is zero already (erratum 14), and U(T) − T is small "
    "only where R²h is small against 2ε for nearly all eigenvalues, which a small R² alone does not make it"
)
FEWER_TINY = "a small network has no weights to spare: fewer of them are driven to zero than of the paper's millions"
BOTH_AT_ONCE = (
    "a stronger penalty shrinks the weights and steepens the loss at once, so that among trained networks the trace "
    "does not order T; with everything else equal T does fall with the Hessian, by (18)"
)


def average(values: Floats) -> dict[str, Any]:
    """Return the mean of the networks' numbers with its standard error, as `check` takes them."""
    if len(values) < 2:
        return {"measured": float(np.mean(values)), "error": None}
    mean, error = mean_and_error(values)
    return {"measured": float(mean), "error": float(error), "repetitions": len(values), "of": "networks"}


def ranked(rows: Sequence[Row], key: str) -> Floats:
    """Return each network's rank by one number among those of its architecture, from 0 to 1."""
    values, names = column(rows, key), [row["network"] for row in rows]
    ranks = np.empty(len(rows))
    for name in dict.fromkeys(names):
        own = np.array([each == name for each in names])
        ranks[own] = (np.argsort(np.argsort(values[own])) + 0.5) / own.sum()
    return ranks


def column(rows: Sequence[Row], key: str) -> Floats:
    """Return one number of every row."""
    return np.array([row[key] for row in rows], dtype=float)


def upper(points: Sequence[Row], rows: Sequence[Row]) -> Drawing:
    """Return a figure of R_m² and of U(p) - p against the share p.

    Parameters
    ----------
    points : sequence of mappings
        Rows with the keys network, p, gap, R_squared and T.
    rows : sequence of mappings
        The gap U(T) - T and the threshold T of every network.
    """
    gap, T = 100 * column(rows, "gap"), column(rows, "T")

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6))
        for k, name in enumerate(dict.fromkeys(point["network"] for point in points)):
            own = [point for point in points if point["network"] == name]
            p, difference, squared = (column(own, key) for key in ("p", "gap", "R_squared"))
            style: dict[str, Any] = {"color": palette.series[k], "marker": MARKERS[k], "markerfacecolor": "none"}
            left.plot(p, squared, label=name, **style)
            right.plot(p, 100 * difference, **style)
            for axes in (left, right):
                axes.axvline(own[0]["T"], color=palette.series[k], linestyle=":", linewidth=1)
        right.axhline(0, color=palette.muted, linewidth=1)
        left.set(xlabel="p, share kept", ylabel="R², squared weights", xscale="log", yscale="log")
        right.set(xlabel="p, share kept", ylabel="U(p) − p, percentage points", xscale="log")
        figure.legend(*left.get_legend_handles_labels(), fontsize=9, ncols=3, loc="outside upper center")
        return figure

    caption = (
        f"U(p) − p falls with R², and is 0 only where R or the removed block's Hessian is. At T it is {gap.mean():.1f} "
        f"points on average over {len(rows)} networks, {gap.mean() / (100 * T.mean()):.0%} of T itself."
    )
    alt = (
        "Left, the squared norm of the removed weights against the share kept; right, U(p) − p in percentage points. "
        "Dotted lines mark T."
    )
    return Drawing(draw, columns_of(points), "upper", alt, caption)


def changes(swaps: Sequence[Row]) -> dict[str, float]:
    """Return the mean factors by which T changes with the other network's weights, its Hessian, and both."""
    return {place: float(np.mean([swap[place] / swap["neither"] for swap in swaps])) for place in PLACES[1:]}


def separation(swaps: Sequence[Row], reach: Sequence[float]) -> Drawing:
    """Return a figure of T for four combinations of two networks' weights and Hessians, a line for each pair.

    Parameters
    ----------
    swaps : sequence of mappings
        Rows with the keys network, neither, weights, Hessian and both.
    reach : sequence of float
        The reaches of the penalties; the weakest and the strongest are compared.
    """
    change = changes(swaps)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6.2, 3.9))
        names = list(dict.fromkeys(swap["network"] for swap in swaps))
        seen = set[str]()
        for swap in swaps:
            k, name = names.index(swap["network"]), swap["network"]
            axes.plot(
                range(4), [swap[place] for place in PLACES], MARKERS[k], color=palette.series[k], linestyle=":",
                markerfacecolor="none", linewidth=0.8, label=None if name in seen else name,
            )  # fmt: skip
            seen.add(name)
        axes.set(xticks=range(4), xticklabels=PLACES, yscale="log", ylabel="published T, share kept")
        axes.set(xlabel="taken from the network with the stronger penalty")
        figure.legend(*axes.get_legend_handles_labels(), fontsize=9, ncols=3, loc="outside upper center")
        return figure

    caption = (
        f"From reach {min(reach):g} to {max(reach):g}, at one tolerance: the stronger penalty's weights alone multiply "
        f"T by {change['weights']:.2f}, its Hessian alone by {change['Hessian']:.2f}, both by {change['both']:.2f} "
        f"(means over {len(swaps)} pairs)."
    )
    alt = (
        "Published threshold for four combinations of weights and Hessian from two networks, a line for each pair of "
        "networks."
    )
    return Drawing(draw, columns_of(swaps), "separation", alt, caption)


def findings(
    rows: Sequence[Row], printed: float, swaps: Sequence[Row], along: Mapping[str, tuple[float, float, float]]
) -> list[str]:
    """Return what the page found, in one to three sentences.

    Parameters
    ----------
    rows : sequence of mappings
        The gap and T of every network.
    printed : float
        The largest difference of upper bound and T that the paper states, as a share of T.
    swaps : sequence of mappings
        The rows that `separation` takes; the second sentence tells of them, if there are any.
    along : mapping of str to (float, float, float)
        Rank correlation of T with each quantity, among the networks of an architecture, and its interval; the third
        sentence tells of them.
    """
    gap, T = 100 * column(rows, "gap"), column(rows, "T")
    share = float(np.mean(gap / (100 * T)))
    near = "near to" if share <= printed else "far from"
    said = [
        f"The printed upper bound is {near} T: it is above by {share:.0%} of T on average over {len(rows)} networks, "
        f"where the paper's tables have at most {printed:.0%}.",
    ]
    if swaps:
        change = changes(swaps)
        more = "weights" if abs(np.log(change["weights"])) > abs(np.log(change["Hessian"])) else "Hessian"
        said.append(
            f"A stronger penalty moves T more by its {more}: with the other's weights alone T is multiplied by "
            f"{change['weights']:.2f}, with its Hessian alone by {change['Hessian']:.2f}."
        )
    if along:
        told = [
            f"{'rises' if low > 0 else 'falls' if high < 0 else 'neither rises nor falls for certain'} with the {what} "
            f"(rank correlation {r:+.2f}, 95% interval {low:+.2f} to {high:+.2f})"
            for what, (r, low, high) in along.items()
        ]
        said.append(f"Among the networks of an architecture T {' and '.join(told)}.")
    return said
