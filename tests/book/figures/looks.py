"""What every figure of a page must be: labelled, readable on both backgrounds, and what its CSV says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from prunekit.book.plotting import DARK, LIGHT, Drawing, Palette, markup


def look(
    drawing: Drawing, *, x: str | None = None, y: str | None = None, also: tuple[tuple[str, str], ...] = ()
) -> None:
    """See that a figure is labelled, that no legend lies on data, that colours are the palette's, and the CSV is drawn.

    Parameters
    ----------
    drawing
        Made from small results.
    x, y
        The columns of the CSV whose pairs must be points of the figure; none are looked for without them.
    also
        Further such pairs of columns: a figure is drawn as often for many pairs as for one.
    """
    pairs = (*([] if x is None or y is None else [(x, y)]), *also)
    for palette in (LIGHT, DARK):
        figure = drawing.draw(palette)
        figure.draw_without_rendering()  # all places are computed, and no pixel
        for axes in figure.axes:
            assert_labelled(axes)
            assert_legend_is_clear(axes)
        assert colours(figure) <= own(palette), f"colours that are not the {palette.name} palette's"
        for pair in pairs:
            assert_drawn(figure, drawing.numbers, *pair)
        plt.close(figure)
    said = markup(drawing.draw, drawing.numbers, name=drawing.name, alt=drawing.alt, caption=drawing.caption)
    images = re.findall(r'<img [^>]*src="([^"]*)"', said)
    assert len(images) == 2 == len(set(images)), "a light page's figure and a dark page's are two"
    assert "nan" not in (drawing.caption + drawing.alt).split()


def assert_labelled(axes: Axes) -> None:
    """Every axis with tick labels of its own says what it shows; only panels that share an axis may leave it out."""
    shared = {name: len(getattr(axes, f"get_shared_{name}_axes")().get_siblings(axes)) > 1 for name in "xy"}
    for name in "xy":
        label = getattr(axes, f"get_{name}label")()
        ticks = [t for t in getattr(axes, f"get_{name}ticklabels")() if t.get_text() and t.get_visible()]
        assert label or shared[name] or not ticks, f"the {name} axis of {axes.get_title()!r} has no label"


def assert_legend_is_clear(axes: Axes) -> None:
    """No point of a line or a collection lies under the legend."""
    legend = axes.get_legend()
    if legend is None or not legend.get_visible():
        return
    box = legend.get_window_extent()
    inside = axes.get_window_extent()
    for points in _seen(axes):
        hidden = [p for p in points if box.contains(*p) and inside.contains(*p)]
        assert not hidden, f"the legend of {axes.get_title()!r} lies on {len(hidden)} points"


def _seen(axes: Axes) -> Iterator[np.ndarray[Any, Any]]:
    """Yield what is drawn in data coordinates, as pixels: lines with points between their vertices, and markers."""
    for line in axes.lines:
        if line.get_transform() == axes.transData and len(line.get_xydata()):
            xy = axes.transData.transform(np.asarray(line.get_xydata(), dtype=float))
            yield xy[np.isfinite(xy).all(axis=1)]
    for collection in axes.collections:
        offsets = np.asarray(collection.get_offsets(), dtype=float)
        if offsets.any():
            yield axes.transData.transform(offsets)


def own(palette: Palette) -> set[str]:
    """Return a palette's colours."""
    return {palette.ink, palette.muted, *palette.series}


def colours(figure: Figure) -> set[str]:
    """Return the colours of a figure's lines and collections; a figure with a colour map is judged by its page."""
    found = {to_hex(line.get_color()) for axes in figure.axes for line in axes.lines}
    for axes in figure.axes:
        for collection in axes.collections:
            if collection.get_array() is None:
                found |= {to_hex(c) for c in collection.get_edgecolor() if c[3] > 0}
    return found


def assert_drawn(figure: Figure, numbers: Any, x: str, y: str) -> None:
    """Every row of the CSV is a point of the figure."""
    drawn = [
        np.asarray(line.get_xydata(), dtype=float)
        for axes in figure.axes
        for line in axes.lines
        if len(line.get_xydata())
    ]
    drawn += [np.asarray(c.get_offsets(), dtype=float) for axes in figure.axes for c in axes.collections]
    points = np.vstack([each for each in drawn if each.size])
    for row in zip(numbers[x], numbers[y], strict=True):
        if None in row:
            continue
        near = np.isclose(points, np.asarray(row, dtype=float), rtol=1e-9, atol=1e-12).all(axis=1)
        assert near.any(), f"{x} = {row[0]}, {y} = {row[1]} is in the CSV and not in the figure"
