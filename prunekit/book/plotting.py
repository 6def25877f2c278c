"""Figures of the book: one for light and one for dark pages, with their numbers and their words attached.

A figure is made by one function that takes results and a `Palette` and returns a matplotlib figure. `show` makes
it for both backgrounds and displays the pair with its alternative text, a caption that states the finding, and the
numbers behind it as CSV. Colours are Okabe and Ito's, which survive colour blindness; lines and markers differ by
shape as well.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from prunekit import _checks
from prunekit.book.badges import show_record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


@dataclass(frozen=True)
class Palette:
    """The colours of one background: `ink` for axes and words, `muted` for guides, `series` for data."""

    name: str
    ink: str
    muted: str
    series: tuple[str, ...]


LIGHT = Palette("light", "#1b1f24", "#6e7781", ("#0072b2", "#d55e00", "#007a5a", "#a3498b", "#5c3d00", "#4d4d4d"))
DARK = Palette("dark", "#e6e6e6", "#9aa4ae", ("#56b4e9", "#ff9f4a", "#2fd6a5", "#e79fce", "#f0e442", "#c8c8c8"))

_COLOUR = re.compile(rb"#[0-9a-fA-F]{6}(?![0-9a-fA-F])")
_SWITCH = (
    "<style>.pk-dark{display:none}"
    '[data-jp-theme-light="false"] .pk-dark,html[data-theme="dark"] .pk-dark{display:block}'
    '[data-jp-theme-light="false"] .pk-light,html[data-theme="dark"] .pk-light{display:none}'
    ".pk-figure{margin:0}.pk-figure img{max-width:100%;height:auto;background:none}</style>"
)


@dataclass(frozen=True)
class Drawing:
    """A figure with its numbers and its words: what a module of `prunekit.book.figures` makes of results.

    The attributes are the arguments of `show`.
    """

    draw: Callable[[Palette], Figure]
    numbers: Mapping[str, Sequence[Any]]
    name: str
    alt: str
    caption: str


@overload
def show(draw: Drawing) -> None: ...
@overload
def show(
    draw: Callable[[Palette], Figure], numbers: Mapping[str, Sequence[Any]], *, name: str, alt: str, caption: str
) -> None: ...
def show(
    draw: Drawing | Callable[[Palette], Figure],
    numbers: Mapping[str, Sequence[Any]] | None = None,
    *,
    name: str | None = None,
    alt: str | None = None,
    caption: str | None = None,
) -> None:
    """Display a figure for light and dark pages with its words and its numbers.

    Parameters
    ----------
    draw
        A `Drawing`, which has all the rest; or a function that takes a palette and returns the figure. The
        function is called once, or once for each background where not all colours are the palette's.
    numbers
        The columns behind the figure, of equal length, by column name.
    name
        The CSV file's stem.
    alt
        What a reader who cannot see the figure should know.
    caption
        The finding, in words; numbers in it are to be computed.

    Raises
    ------
    ValueError
        If columns differ in length, hold NaN, or a text is empty.

    Examples
    --------
    >>> def draw(palette):
    ...     from matplotlib.figure import Figure
    ...
    ...     figure = Figure()
    ...     figure.subplots().plot([1, 2], [1.0, 0.5], color=palette.series[0])
    ...     return figure
    >>> show(draw, {"width": [1, 2], "risk": [1.0, 0.5]}, name="risk", alt="A line falls.", caption="Wider is better.")
    [risk] Wider is better.
    """
    if isinstance(draw, Drawing):
        drawing = draw
        draw, numbers, name, alt, caption = drawing.draw, drawing.numbers, drawing.name, drawing.alt, drawing.caption
    if numbers is None or name is None or alt is None or caption is None:
        given = {"numbers": numbers, "name": name, "alt": alt, "caption": caption}
        lacking = ", ".join(word for word, value in given.items() if value is None)
        raise TypeError(f"draw is no Drawing, and what belongs to a figure is not given: give {lacking}")
    record = {"kind": "figure", "name": name, "alt": alt, "caption": caption}
    show_record(record, markup(draw, numbers, name=name, alt=alt, caption=caption), f"[{name}] {caption}")


def glance(*sentences: str) -> None:
    """Display what a page found, in three sentences at most, as the first thing on it.

    Parameters
    ----------
    sentences : str
        Whole sentences, whose numbers are computed.

    Raises
    ------
    ValueError
        If there are none, more than three, or one is empty or does not end as a sentence does.

    Examples
    --------
    >>> glance(f"Twice the width has {1 - 0.5:.0%} of the risk.")
    Twice the width has 50% of the risk.
    """
    if not 1 <= len(sentences) <= 3:
        raise ValueError(f"sentences are {len(sentences)}: give one to three")
    for sentence in sentences:
        if not _checks.text("a sentence", sentence).strip().endswith((".", "!", "?")):
            raise ValueError(f"a sentence is {sentence!r}: give a whole one, ended by a full stop")
    text = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    show_record(
        {"kind": "glance", "sentences": list(sentences)}, f'<ul class="pk-glance">{text}</ul>', " ".join(sentences)
    )


def markup(
    draw: Callable[[Palette], Figure],
    numbers: Mapping[str, Sequence[Any]],
    *,
    name: str,
    alt: str,
    caption: str,
) -> str:
    """Return what `show` displays, as one line of HTML, for a page that is not executed.

    Parameters
    ----------
    draw, numbers, name, alt, caption
        The same as for `show`.

    Raises
    ------
    ValueError
        For the same reasons as in `show`.
    """
    for label, text in {"name": name, "alt": alt, "caption": caption}.items():
        if not _checks.text(label, text).strip():
            raise ValueError(f"{label} is empty: say it in words")
    table = to_csv(numbers)
    images = "".join(
        f'<img class="pk-{palette.name}" alt="{html.escape(alt, quote=True)}" '
        f'src="data:image/svg+xml;base64,{base64.b64encode(drawing).decode()}">'
        for palette, drawing in zip((LIGHT, DARK), pair(draw), strict=True)
    )
    link = f"data:text/csv;charset=utf-8;base64,{base64.b64encode(table.encode()).decode()}"
    return (
        f'{_SWITCH}<figure class="pk-figure" id="figure-{html.escape(name)}">{images}'
        f"<figcaption>{html.escape(caption)} "
        f'<a class="pk-csv" download="{html.escape(name)}.csv" href="{link}">Numbers as CSV</a></figcaption></figure>'
    )


class _Watched(Palette):
    """A palette that notes whether its name was asked for, as by a figure that looks different on a dark page."""

    asked = False

    def __getattribute__(self, name: str) -> Any:
        """Return an attribute."""
        if name == "name":
            object.__setattr__(self, "asked", True)
        return super().__getattribute__(name)


def pair(draw: Callable[[Palette], Figure]) -> tuple[bytes, bytes]:
    """Return the drawings for light and for dark pages.

    Where all colours of the first are the palette's own, the second is the first in the other palette's colours, which
    saves half the time. Where there are others (mixtures, colour maps, images), or the palette's name decides anything,
    the second is drawn by itself.
    """
    watched = _Watched(*(getattr(LIGHT, field.name) for field in fields(Palette)))
    light = svg(draw, watched)
    other = dict(zip(_colours(LIGHT), _colours(DARK), strict=True))
    colours = {colour.decode() for colour in _COLOUR.findall(light)}
    if watched.asked or b"<image" in light or not colours <= set(other):
        return light, svg(draw, DARK)
    return light, _COLOUR.sub(lambda match: other[match[0].decode()].encode(), light)


def _colours(palette: Palette) -> list[str]:
    """Return all colours of a palette."""
    return [palette.ink, palette.muted, *palette.series]


def svg(draw: Callable[[Palette], Figure], palette: Palette) -> bytes:
    """Draw a figure on a transparent background, the same bytes for the same results."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from cycler import cycler
    from matplotlib.figure import Figure

    _checks.function("draw", draw, "a function of a palette that returns a figure")
    _checks.instance("palette", palette, Palette, "a Palette")
    settings: Any = {
        "svg.hashsalt": "prunekit",
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.edgecolor": palette.ink,
        "axes.labelcolor": palette.ink,
        "axes.titlecolor": palette.ink,
        "text.color": palette.ink,
        "xtick.color": palette.ink,
        "ytick.color": palette.ink,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=palette.series),
        "font.size": 10.5,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context(settings):
        figure = _checks.instance("what draw returns", draw(palette), Figure, "a matplotlib figure")
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
        plt.close(figure)
    return stream.getvalue()


def to_csv(numbers: Mapping[str, Sequence[Any]]) -> str:
    """Return columns as CSV text, numbers with all their digits.

    Raises
    ------
    ValueError
        If columns differ in length or hold NaN; an empty cell is written for None.
    """
    _checks.instance("numbers", numbers, Mapping, "a mapping from names to columns")
    columns = {
        _checks.text("a name in numbers", name): list(
            np.asarray(_checks.listed(f"numbers[{name!r}]", values, "values"), dtype=object)
        )
        for name, values in numbers.items()
    }
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"numbers has columns of different lengths {lengths}: give one value a row in each")
    for name, values in columns.items():
        if any(isinstance(v, (float, np.floating)) and not np.isfinite(v) for v in values):
            raise ValueError(f"numbers[{name!r}] holds a value that is not finite: leave it out or give None")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return stream.getvalue()


def compare(
    axes: Axes,
    palette: Palette,
    predicted: Mapping[str, tuple[Any, Any]],
    measured: Mapping[str, tuple[Any, Any, Any]],
    *,
    gap_at: float | None = None,
) -> None:
    """Draw predictions as lines and measurements as markers with error bars, one colour and shape for each label.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    palette : Palette
        Colours of the background.
    predicted : mapping of str to (x, y)
        The lines to draw, by label.
    measured : mapping of str to (x, mean, standard error)
        The markers to draw, by label; a label that is also predicted has the colour of its prediction.
    gap_at : float, optional
        Where lines are interrupted, such as at a pole of the prediction.
    """
    from matplotlib.axes import Axes

    _checks.instance("axes", axes, Axes, "matplotlib axes")
    _checks.instance("palette", palette, Palette, "a Palette")
    predicted, measured = _points("predicted", predicted, 2), _points("measured", measured, 3)
    if gap_at is not None:
        gap_at = _checks.real("gap_at", gap_at)
    labels = list(dict.fromkeys([*predicted, *measured]))
    for index, label in enumerate(labels):
        colour = palette.series[index % len(palette.series)]
        if label in predicted:
            x, y = (np.asarray(values, dtype=float) for values in predicted[label])
            dash = DASHES[index % len(DASHES)]
            if gap_at is not None and x.min() < gap_at < x.max():
                y = np.insert(y, np.searchsorted(x, gap_at), np.nan)
                x = np.insert(x, np.searchsorted(x, gap_at), gap_at)
            axes.plot(x, y, color=colour, linestyle=dash, label=f"{label}, predicted")
        if label in measured:
            x, mean, error = measured[label]
            axes.errorbar(
                x, mean, yerr=error, color=colour, marker=MARKERS[index % len(MARKERS)], linestyle="none",
                markerfacecolor="none", elinewidth=1, capsize=2, label=f"{label}, measured",
            )  # fmt: skip


def _points(name: str, given: Any, count: int) -> Mapping[str, Any]:
    """Return a mapping from labels to `count` columns of one length, entries of which may be missing."""
    _checks.instance(name, given, Mapping, "a mapping from labels to columns")
    for label, values in given.items():
        what = f"{name}[{_checks.text(f'a label of {name}', label)!r}]"
        listed = [_checks.listed(what, column, "values") for column in _checks.listed(what, values, "columns")]
        if len(listed) != count or len({len(column) for column in listed}) > 1:
            raise ValueError(f"{what} has columns of lengths {[len(c) for c in listed]}: give {count} of one length")
        for column in listed:
            _checks.real_numbers(what, [np.nan if entry is None else entry for entry in column])
    return given


def columns(
    x_name: str,
    y_name: str,
    predicted: Mapping[str, tuple[Any, Any]],
    measured: Mapping[str, tuple[Any, Any, Any]],
) -> dict[str, list[Any]]:
    """Return the numbers that `compare` draws as columns for `show`: a row for each point, predicted or measured.

    Parameters
    ----------
    x_name, y_name : str
        Names of the columns of the two axes.
    predicted, measured : mapping
        The same as for `compare`.

    Raises
    ------
    ValueError
        If there is no point.
    """
    names = ("kind", "label", _checks.text("x_name", x_name), _checks.text("y_name", y_name), "standard_error")
    predicted, measured = _points("predicted", predicted, 2), _points("measured", measured, 3)
    rows = [("predicted", label, x, y, None) for label, xy in predicted.items() for x, y in zip(*xy, strict=True)]
    rows += [("measured", label, *row) for label, xye in measured.items() for row in zip(*xye, strict=True)]
    if not rows:
        raise ValueError("predicted and measured are empty: give at least one point")
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def legend(target: Axes | Figure, source: Axes, **placing: Any) -> None:
    """Give a legend one entry for each label that `compare` drew, its line and its marker together.

    Parameters
    ----------
    target : Axes or Figure
        Where the legend stands; in a figure it stands outside the axes, above them.
    source : Axes
        The axes on which `compare` drew.
    **placing
        Further arguments of matplotlib's `legend`, such as `ncols`.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    by_label: dict[str, list[Any]] = {}
    for handle, label in zip(*source.get_legend_handles_labels(), strict=True):
        by_label.setdefault(re.sub(", (predicted|measured)$", "", label), []).append(handle)
    if isinstance(target, MatplotlibFigure):
        placing = {"loc": "outside upper center"} | placing
    entries: list[Any] = [tuple(handles) for handles in by_label.values()]
    target.legend(entries, list(by_label), **({"fontsize": 9} | placing))


def joined(tables: Mapping[Any, Mapping[str, Sequence[Any]]], key: str) -> dict[str, list[Any]]:
    """Return the columns of several tables below each other, with one more that says which table a row is from.

    Parameters
    ----------
    tables : mapping of tables
        Each is a mapping from names to columns, all with the same names; their keys are the words of the new column.
    key : str
        Name of the new column.

    Raises
    ------
    ValueError
        If there is no table, or the tables' names differ.
    """
    names = {tuple(table) for table in tables.values()}
    if len(names) != 1:
        raise ValueError(f"tables have the columns {sorted(names)}: give tables of the same columns")
    [shared] = names
    out: dict[str, list[Any]] = {name: [each for table in tables.values() for each in table[name]] for name in shared}
    return out | {key: [word for word, table in tables.items() for _ in table[shared[0]]]}
