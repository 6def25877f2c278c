"""Figures in words and numbers: what an alternative text is too short for, made of the drawing and of its table.

A drawing says what its axes are and how far they reach, since its words stand in it; its table has each series. Nothing
here is typed by hand, so that a description can be neither forgotten nor wrong after a change.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from xml.etree import ElementTree

MOST = 24  # lines of a description; the table has the rest
FEW = 4  # points that are said one by one
ERROR = "standard_error"  # the column that belongs to the one before it
KEYS = 8  # values up to which a column of numbers may tell series apart, such as a seed or a depth
_SVG = "{http://www.w3.org/2000/svg}"
_SUPERSCRIPTS = str.maketrans("-−0123456789", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Row = Mapping[str, str]


def described(drawing: str, table: str, name: str) -> str:
    """Return what a figure draws as HTML in one line, folded: its axes, and each series with its ends and extremes.

    Parameters
    ----------
    drawing
        The figure as matplotlib writes it: SVG whose words stand in comments.
    table
        The numbers behind it as CSV, with a line of names.
    name
        The figure's name, safe in HTML; `label` makes the id of it that images refer to.
    """
    axes = "".join(f"<p>{html.escape(words)}</p>" for words in panels(drawing))
    lines = list(series(table))
    more = f"<li>and {len(lines) - MOST} more, which the CSV has</li>" if len(lines) > MOST else ""
    told = "".join(f"<li>{html.escape(line)}</li>" for line in lines[:MOST])
    return (
        f'<details class="pk-described" id="{label(name)}"><summary>This figure in words and numbers</summary>'
        f"{axes}<ul>{told}{more}</ul></details>"
    )


def label(name: str) -> str:
    """Return the id of a figure's description."""
    return f"described-{name}"


# ---------------------------------------------------------------- the drawing


def panels(drawing: str) -> list[str]:
    """Return a sentence for each pair of axes of a drawing: what they are, from where to where, and the legend."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.fromstring(drawing.encode(), parser)
    figures = _groups([root], "figure_")
    found = [words for axes in _groups(figures, "axes_") if (words := _axes(axes))]
    if len(found) > 1:
        found = [f"Panel {number}: {words}" for number, words in enumerate(found, start=1)]
    return [*found, *_words(figures, "legend_", "Legend")]


def _groups(parents: Iterable[ElementTree.Element], kind: str) -> list[ElementTree.Element]:
    """Return the groups right below some elements whose ids begin so, as matplotlib names axes, legends and words."""
    return [child for parent in parents for child in parent if child.get("id", "").startswith(kind)]


def _texts(group: ElementTree.Element) -> list[str]:
    """Return all words below an element."""
    return [plain(str(node.text)) for node in group.iter(ElementTree.Comment)]  # type: ignore[arg-type]


def _axes(axes: ElementTree.Element) -> str:
    """Return what a pair of axes shows; nothing if they have neither words nor numbers."""
    sides = [_side(axis) for axis in _groups([axes], "matplotlib.axis_")]
    said = [f"{way}: {words}." for way, words in zip(("Horizontal", "Vertical"), sides, strict=False) if words]
    return " ".join([*said, *_words([axes], "text_", "Words in it"), *_words([axes], "legend_", "Legend")])


def _words(parents: Iterable[ElementTree.Element], kind: str, what: str) -> list[str]:
    """Return a sentence with the words of some groups right below their parents, if there are any."""
    groups = _groups(parents, kind)
    words = [word for group in groups for word in (_texts(group) if kind == "legend_" else [" ".join(_texts(group))])]
    return [f"{what}: {'; '.join(dict.fromkeys(words))}."] if words else []


def _side(axis: ElementTree.Element) -> str:
    """Return an axis: its words with the unit, and the first and the last number that stands at it."""
    ticks = [*_groups([axis], "xtick_"), *_groups([axis], "ytick_")]
    ticks.sort(key=_place)  # matplotlib draws the small ones last
    numbers = [words for tick in ticks for words in _texts(tick)]
    own = [words for text in _groups([axis], "text_") for words in _texts(text)]
    reach = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else "".join(numbers)
    return ", ".join(filter(None, [" ".join(own), reach]))


def _place(tick: ElementTree.Element) -> float:
    """Return where on its axis a tick stands, from left to right or from the bottom up."""
    mark = next(tick.iter(f"{_SVG}use"), None)
    if mark is None:
        return 0.0
    return float(mark.get("x", 0)) if tick.get("id", "").startswith("xtick_") else -float(mark.get("y", 0))


def plain(text: str) -> str:
    """Return words of a drawing as one line, its few formulas in characters."""
    text = html.unescape(text.strip())
    text = re.sub(r"\\mathdefault\{((?:[^{}]|\{[^{}]*\})*)\}", r"\1", text)
    text = re.sub(r"\^\{([-−\d]+)\}", lambda power: power[1].translate(_SUPERSCRIPTS), text)
    return " ".join(re.sub(r"[${}]", "", text.replace(r"\times", "×")).split())


# ---------------------------------------------------------------- the table


def series(table: str) -> Iterator[str]:
    """Return a line for each series of a table: its name, its points, its ends, and where it is least and greatest.

    The first column of numbers is what the others are told against. Columns of words tell series apart, and so do
    columns of few different numbers, if without them several rows stood at one place.
    """
    header, *body = csv.reader(io.StringIO(table))
    rows = [dict(zip(header, row, strict=True)) for row in body]
    numeric = [name for name in header if all(_is_number(row[name]) for row in rows if row[name])]
    keys = [name for name in header if name not in numeric]
    if not numeric:
        return
    if len(keys) == 1 and len({row[keys[0]] for row in rows}) == len(rows) > 1:
        place, keys, values = keys[0], [], numeric  # every row has a name of its own: they are places, not series
    else:
        place, *values = numeric
        keys += _telling(rows, keys, place, values)
    of_key: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        of_key.setdefault(tuple(row[key] for key in keys), []).append(row)
    for given, mine in of_key.items():
        name = ", ".join(_key(key, value, key in numeric) for key, value in zip(keys, given, strict=True) if value)
        for value in [column for column in values if column not in (*keys, ERROR)] or [place]:
            if line := _line(mine, place, value):
                yield ", ".join(filter(None, [name, line])) + _errors(mine)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _key(column: str, value: str, numeric: bool) -> str:
    """Return what tells a series apart from others."""
    return f"{_spaced(column)} {_rounded(value)}" if numeric else value


def _telling(rows: Sequence[Row], keys: Sequence[str], place: str, values: Sequence[str]) -> list[str]:
    """Return the columns of few numbers by which a series has one row at a place, as far as there are such."""
    chosen: list[str] = []
    counts = {name: len({row[name] for row in rows}) for name in values}
    few = [name for name in values if 1 < counts[name] <= KEYS and counts[name] < len(rows)]
    for name in few[: len(values) - 1]:  # at least one is left to be told
        at = [tuple(row[key] for key in (*keys, *chosen, place)) for row in rows]
        if len(set(at)) == len(at):
            break
        chosen.append(name)
    return chosen


def _line(rows: Sequence[Row], place: str, value: str) -> str:
    """Return one series in words; nothing if it has no number."""
    points = [(row[place], row[value]) for row in rows if row[value] and row[place]]
    if not points:
        return ""
    if all(_is_number(at) for at, _ in points):
        points.sort(key=lambda point: float(point[0]))
    name, where = _spaced(value), _spaced(place)
    numbers = [float(number) for _, number in points]
    if value == place:
        low, high = _rounded(min(numbers)), _rounded(max(numbers))
        return f"{name}: {low}" if low == high else f"{name}: {len(points)} values, {low} to {high}"
    if len(points) <= FEW:
        listed = ", ".join(f"{_rounded(number)} at {_rounded(at)}" for at, number in points)
        return f"{name} against {where}: {listed}"
    if min(numbers) == max(numbers):
        ends = f"{_rounded(points[0][0])} to {_rounded(points[-1][0])}"
        return f"{name} against {where}, {len(points)} points from {ends}: always {_rounded(numbers[0])}"
    return f"{name} against {where}, {len(points)} points: {_course(points, numbers)}"


def _errors(rows: Sequence[Row]) -> str:
    """Return how large the standard errors of a series are."""
    errors = [float(row[ERROR]) for row in rows if row.get(ERROR)]
    return f"; standard errors up to {_rounded(max(errors))}" if errors else ""


def _course(points: Sequence[tuple[str, str]], numbers: Sequence[float]) -> str:
    """Return the ends of a series and its extremes, these only where they are not ends."""
    said = [f"{_rounded(number)} at {_rounded(at)}" for at, number in points]
    extremes = {"least": numbers.index(min(numbers)), "greatest": numbers.index(max(numbers))}
    inside = [f"{word} {said[index]}" for word, index in extremes.items() if index not in (0, len(points) - 1)]
    return "; ".join([f"{said[0]}, {said[-1]}", *inside])


def _spaced(column: str) -> str:
    return column.replace("_", " ")


def _rounded(text: str | float) -> str:
    """Return a number in three digits, whole ones in all of theirs; other words as they are."""
    if isinstance(text, str) and not _is_number(text):
        return text
    number = float(text)
    short = f"{number:.0f}" if number.is_integer() and abs(number) < 1e6 else f"{number:.3g}"
    return short.replace("-", "−") if "e" not in short else _in_powers(short)


def _in_powers(short: str) -> str:
    """Return a number written with an e as one with a power of ten."""
    mantissa, _, exponent = short.partition("e")
    return f"{mantissa.replace('-', '−')}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
