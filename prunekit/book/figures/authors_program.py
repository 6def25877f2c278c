"""The figures of what the program of geometric's authors does otherwise than their text: tolerance, grid, all of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import MARKERS, Drawing, Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tolerance(tolerances: Floats, limits: Floats, by_batch: Mapping[int, Floats], loss: float) -> Drawing:
    """Return a figure of T against the tolerance, with the program's tolerances by size of the batches.

    Parameters
    ----------
    tolerances : (m,) array
        Tolerances, in units of the loss.
    limits : (networks, m) array
        T of each network at these; the first is the network whose tolerances are marked.
    by_batch : mapping of int to (n,) array
        The program's ε over orders, by size of the batches.
    loss : float
        Training loss of the first network.
    """
    at = {B: float(np.interp(drawn.mean(), tolerances, limits[0])) for B, drawn in by_batch.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6.8, 4.2))
        for k, line in enumerate(limits):
            label = None if k else "T, each network"
            axes.plot(tolerances, line, color=palette.series[0], alpha=0.4 if k else 1.0, label=label)
        for k, (B, drawn) in enumerate(by_batch.items()):
            axes.errorbar(
                drawn.mean(), at[B], xerr=drawn.std(ddof=1), color=palette.series[1 + k % 5], marker=MARKERS[k],
                markerfacecolor="none", capsize=2, linestyle="none", label=f"batches of {B}",
            )  # fmt: skip
        axes.set(xscale="log", xlabel="ε, units of the loss", ylabel="share kept at the limit, T = k/D")
        figure.legend(fontsize=9, ncols=3, loc="outside upper center")
        return figure

    told = ", ".join(f"{B}: T = {t:.3f}" for B, t in at.items())
    caption = (
        f"Corollary 1 with |h| for {len(limits)} fully connected networks; markers: the program's ε on the first (bars "
        f"are the spread over orders). Batches of {told}. The mean training loss is {loss:.4f}."
    )
    alt = (
        "Predicted share kept against the tolerance, a line for each network, and on one of them a marker with a "
        "horizontal bar for each batch size."
    )
    numbers = {"tolerance": list(tolerances), **{f"network_{k + 1}": list(line) for k, line in enumerate(limits)}}
    return Drawing(draw, numbers, "tolerance", alt, caption)


def grid(extents: Floats, lost: Floats, networks: int) -> Drawing:
    """Return a figure of what the program's smoothed grid changes, against the extent of the spectrum.

    Parameters
    ----------
    extents : (m,) array
        Extents of the spectra, in units of the loss.
    lost : (networks × grids, m) array
        Changes of w²/D.
    networks : int
        The number of networks.
    """
    worst = np.abs(lost).max(0)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6.8, 3.9))
        for k, row in enumerate(lost):
            label = None if k else "each network and grid"
            axes.plot(extents, row, ".", color=palette.series[0], alpha=0.5, label=label)
        axes.plot(
            extents, worst, color=palette.series[1], marker="s", markerfacecolor="none", linestyle="--",
            label="largest modulus",
        )  # fmt: skip
        axes.axhline(0, color=palette.muted, linewidth=1, linestyle=":")
        axes.axvline(1, color=palette.muted, linewidth=1, linestyle=":")
        axes.set(xscale="log", xlabel="extent L of the spectrum, units of the loss")
        axes.set(ylabel="w²/D, smoothed grid minus nodes")
        figure.legend(fontsize=9, ncols=2, loc="outside upper center")
        return figure

    some = [0, *(round(share * (len(extents) - 1)) for share in (0.4, 0.8)), len(extents) - 1]
    caption = (
        f"What the program's grid changes in w²/D, {networks} networks, {len(lost) // networks} grids each. Largest: "
        + ", ".join(f"{worst[k]:.4f} at L = {extents[k]:.3g}" for k in some)
        + ". The nodes that it starts from are the same."
    )
    alt = (
        "Error of the sum through the smoothed grid against the spectrum's extent, on a logarithmic axis: points for "
        "each network and grid, and a dashed line for the largest."
    )
    numbers = {"extent": np.tile(extents, len(lost)).tolist(), "error": lost.ravel().tolist()}
    return Drawing(draw, numbers, "grid", alt, caption)


def biggest(change: Mapping[str, Floats]) -> str:
    """Return the single difference that changes the share kept most, on average."""
    return max((name for name in change if name != "all of these"), key=lambda name: abs(float(change[name].mean())))


def variants(change: Mapping[str, Mapping[str, Floats]], text: Mapping[str, float]) -> Drawing:
    """Return a figure of what each difference between text and program changes.

    Parameters
    ----------
    change : mapping of str to mapping of str to (n,) array
        Changes of the share kept, by kind of networks and name of the difference.
    text : mapping of str to float
        The mean share kept by the text, by kind.
    """
    names = list(dict.fromkeys(name for each in change.values() for name in each))
    points = [
        (kind, name, 100 * v.mean(), 100 * v.std(ddof=1) / math.sqrt(v.size))
        for kind, each in change.items()
        for name, v in each.items()
    ]

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.6))
        for k, kind in enumerate(change):
            own = [(names.index(name), mean, bar) for which, name, mean, bar in points if which == kind]
            place, mean, bar = np.transpose(own)
            axes.errorbar(
                mean, place + 0.2 * (k - 0.5), xerr=bar, color=palette.series[k], marker=MARKERS[k],
                markerfacecolor="none", capsize=2, linestyle="none", label=kind,
            )  # fmt: skip
        axes.axvline(0, color=palette.muted, linewidth=1, linestyle=":")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlabel="change of the share kept, percentage points of D", ylabel="difference from the text")
        figure.legend(fontsize=9, ncols=2, loc="outside upper center")
        return figure

    largest = {kind: biggest(each) for kind, each in change.items()}
    singles = ", ".join(
        f"“{largest[kind]}” with {100 * each[largest[kind]].mean():+.1f} points ({kind})"
        for kind, each in change.items()
    )
    together = ", ".join(f"{100 * each['all of these'].mean():+.1f}" for each in change.values())
    caption = (
        f"The largest single difference is {singles}; all but those of crops together {together}. Share kept by the "
        f"text: {', '.join(f'{share:.3f} ({kind})' for kind, share in text.items())}."
    )
    alt = (
        "Change of the predicted share kept for each difference between text and program, markers with error bars for "
        "the two kinds of networks, and a dotted line at no change."
    )
    keys = ("kind", "difference", "change_in_points", "standard_error")
    return Drawing(draw, dict(zip(keys, zip(*points, strict=True), strict=True)), "variants", alt, caption)


def findings(
    hull: tuple[float, float], batches: tuple[float, float], change: Mapping[str, Mapping[str, Floats]]
) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    hull : (float, float)
        Width of the convex hull inside a ball over what the paper's formula gives, and the ball's own width over it.
    batches : (float, float)
        The program's ε with batches of 32 over that with batches of 128, and what the law of the scatter says.
    change : mapping of str to mapping of str to (n,) array
        The changes that `variants` takes.
    """
    ratio, ball = hull
    depends = "depends" if abs(batches[0] - 1) > 0.1 else "hardly depends"
    far = "keeps" if abs(ratio - 1) < 0.01 else "does not keep"
    whole = "that of the ball itself" if abs(ratio / ball - 1) < 0.01 else "not that of the ball"
    told = ", ".join(
        f"{100 * each[biggest(each)].mean():+.1f} points by “{biggest(each)}” in {kind} networks"
        for kind, each in change.items()
    )
    together = ", ".join(f"{100 * each['all of these'].mean():+.1f}" for each in change.values())
    return (
        f"Where there are negative eigenvalues the convex hull {far} the width: inside a ball it is {ratio:.3g} times "
        f"that of the formula, {whole}.",
        f"The tolerance of the program {depends} on its batches: with 32 images it is {batches[0]:.2f} times that with "
        f"128 ({batches[1]:.2f} by the law of such scatter).",
        f"Of all differences between text and program the largest moves the share kept by {told}; together, all but "
        f"those of crops move it by {together} points.",
    )
