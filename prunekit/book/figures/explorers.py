"""The still figures of the explorers: what stands in their place where scripts are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit.book.plotting import DASHES, Drawing, Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Mapping[str, tuple[Sequence[Any] | np.ndarray[Any, Any], Sequence[Any] | np.ndarray[Any, Any]]]


@dataclass(frozen=True)
class Panel:
    """Lines over one pair of axes.

    Attributes
    ----------
    x, y : str
        Labels of the axes, with units.
    lines : mapping of str to (x, y)
        The lines by label; NaN interrupts a line.
    scales : str
        Which of the axes are logarithmic, such as "y" or "xy".
    top : float or None
        Where the vertical axis ends, if not at the largest value.
    """

    x: str
    y: str
    lines: Lines
    scales: str = ""
    top: float | None = None


def still(name: str, panels: Sequence[Panel], alt: str, caption: str) -> Drawing:
    """Return one figure of an explorer at its first preset.

    Parameters
    ----------
    name : str
        Name of the figure and of its CSV.
    panels : sequence of Panel
        What is drawn, from left to right.
    alt, caption : str
        The words.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, row = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.8), squeeze=False)
        for axes, panel in zip(row[0], panels, strict=True):
            for i, (label, (x, y)) in enumerate(panel.lines.items()):
                axes.plot(x, y, color=palette.series[i % 6], linestyle=DASHES[i % 6], label=label)
            axes.set(xlabel=panel.x, ylabel=panel.y)
            if "x" in panel.scales:
                axes.set_xscale("log")
            if "y" in panel.scales:
                axes.set_yscale("log")
            if panel.top is not None:
                axes.set_ylim(top=panel.top)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)
        return figure

    rows = [
        (panel.y, label, float(x), None if np.isnan(y) else float(y))
        for panel in panels
        for label, (xs, ys) in panel.lines.items()
        for x, y in zip(xs, ys, strict=True)
    ]
    columns = dict(zip(("axis", "line", "x", "y"), map(list, zip(*rows, strict=True)), strict=True))
    return Drawing(draw, columns, name, alt, caption)
