"""The figure of the page on scaled layers: what scaling does to importances and curvature before any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit.book.plotting import Drawing, Palette, columns, compare, legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTITIES = {"M": "magnitude importance", "H": "Hessian importance", "block": "Hessian block, norm"}


@dataclass(frozen=True)
class Lemma:
    """Lemma 4.1 on one network, scaled by each λ.

    Attributes
    ----------
    lambdas : sequence of float
        The scales λ, increasing.
    sizes : mapping of (str, str) to sequence of float
        Each quantity at each λ over its value at λ = 1, by layer and key of `QUANTITIES`.
    powers : mapping of (str, str) to int
        The power of λ that the lemma gives, by the same keys.
    apart : mapping of str to float
        Largest relative difference from the lemma, of the "outputs" and by key of `QUANTITIES`.
    """

    lambdas: Sequence[float]
    sizes: Mapping[tuple[str, str], Sequence[float]]
    powers: Mapping[tuple[str, str], int]
    apart: Mapping[str, float]


def lemma(net: Lemma) -> Drawing:
    """Return a figure of importances and curvatures against λ, a panel for each layer.

    Parameters
    ----------
    net : Lemma
        What automatic differentiation and the lemma say of one network.
    """
    x = np.asarray(net.lambdas, dtype=float)
    layers = list(dict.fromkeys(layer for layer, _ in net.sizes))
    lines = {key: (x, x ** net.powers[key]) for key in net.sizes}
    points = {key: (x, np.asarray(values), np.zeros(x.size)) for key, values in net.sizes.items()}

    def of(layer: str, rows: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
        return {QUANTITIES[kind]: row for (name, kind), row in rows.items() if name == layer}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, len(layers), figsize=(7.6, 3.9), sharey=True)
        for axes, layer in zip(panels, layers, strict=True):
            compare(axes, palette, of(layer, lines), of(layer, points))
            axes.axvline(1, color=palette.muted, linewidth=1, linestyle=":")
            axes.set(xscale="log", yscale="log", xlabel="λ", title=f"{layer} layer")
        panels[0].set(ylabel="over its value at λ = 1")
        legend(figure, panels[0], ncols=3)
        return figure

    def named(rows: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
        return {f"{layer} layer, {QUANTITIES[kind]}": row for (layer, kind), row in rows.items()}

    caption = (
        "Scaling changes a layer's weights and its curvature, and leaves their product as it is: lines are Lemma 4.1, "
        f"markers automatic differentiation, at most {max(net.apart.values()):.0e} apart."
    )
    alt = (
        "Three quantities of each layer over their values at λ = 1, against λ from 0.1 to 9, both axes logarithmic. In "
        "the input layer magnitude importance rises with slope 2, the norm of the Hessian block falls with slope 2, "
        "and Hessian importance is 1 throughout; in the output layer the first two change places. Markers lie on the "
        "lines."
    )
    numbers = columns("lambda", "over_base", named(lines), named(points))
    return Drawing(draw, numbers, "lemma-4.1", alt, caption)


def findings(net: Lemma, tolerance: float) -> tuple[str, ...]:
    """Return what the page found.

    Parameters
    ----------
    net : Lemma
        What automatic differentiation and the lemma say of one network.
    tolerance : float
        Largest relative difference that counts as rounding.
    """
    same = "leaves the function as it is" if net.apart["outputs"] <= tolerance else "changes the function"
    worst = max(net.apart.values())
    holds = "follow" if worst <= tolerance else "do not follow"
    sizes = net.sizes["input", "M"]
    change = max(sizes) / min(sizes)
    spread = max(abs(value - 1) for layer in ("input", "output") for value in net.sizes[layer, "H"])
    stays = (
        "stays the same: only the first sees how a function is written down"
        if spread <= tolerance
        else f"changes by up to {spread:.1e} of itself"
    )
    return (
        f"Multiplying one layer of a ReLU network by λ and dividing the next by it {same}; importances and Hessian "
        f"blocks {holds} Lemma 4.1 exactly, to {worst:.0e} at λ from {net.lambdas[0]:g} to {net.lambdas[-1]:g}.",
        f"Magnitude importance of the input layer changes by a factor {change:,.0f} over this range, while Hessian "
        f"importance {stays}.",
    )
