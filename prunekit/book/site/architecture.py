"""The page *How it is built*: prose from ``book/architecture.md``, picture and numbers from ``book/house.json``.

``python -m tests.house.measures`` (``make house``) writes that record, from the imports of the code itself. A line of
the prose such as ``<!-- house: picture -->`` is replaced by what is made of it here, so that no number is typed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.book import paths, plotting
from prunekit.book.plotting import Palette
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site.kept import filled, kept
from prunekit.book.site.words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUND = "ground"  # the layer that nearly every room stands on, whose arrows are not drawn
_DOORS = ("__init__", "__main__")  # files that only lead into other rooms
_WIDTH, _HEIGHT = 1.5, 0.56  # of a box, where rows are 1 apart
_STEP, _COLUMNS = 1.8, tuple(0.45 * k for k in range(-6, 7))
Record = Mapping[str, Any]
Point = tuple[float, float]
Line = tuple[Point, Point]
Places = dict[str, Point]


def page(prose: str, record: Record) -> str:
    """Return the page.

    Parameters
    ----------
    prose
        Markdown with a line ``<!-- house: PART -->`` for each part.
    record
        The measures that `make house` wrote.

    Raises
    ------
    ValueError
        If the prose lacks a part.
    """
    parts = {
        "picture": lambda: picture(record),
        "rooms": lambda: rooms_table(record),
        "public": lambda: public(record),
        "private": lambda: ", ".join(f"`{name}`" for name in record["library"]["rooms"] if private(name)),
        "measures": lambda: measures_table(record),
        "pages": lambda: pages_table(record),
        "rules": lambda: "; ".join(plain(rule) for rule in record["rules"].values()),
        "debts": lambda: debts(record),
        "measured": lambda: (
            f"{record['measured']}, beside commit {record['before']['commit']} ({record['before']['date']})"
        ),
    }
    return filled(prose, "house", parts)


def kept_page(text: str, keep: Path) -> str:
    """Return the page of the record that is there, drawn anew only where it, the prose or the code has changed.

    Raises
    ------
    Refused
        If there is no record.
    """
    if not paths.HOUSE.exists():
        raise Refused(f"{paths.HOUSE} is not there, of which a page is made: `make house` writes it")
    record = paths.HOUSE.read_text(encoding="utf-8")
    code = [Path(f).read_text(encoding="utf-8") for f in (__file__, plotting.__file__)]
    return kept(keep, [text, record, *code], lambda: page(text, json.loads(record)))


def private(room: str) -> bool:
    """Return whether a room is for the library's own use."""
    return room.startswith("_") and room not in _DOORS


def drawn(record: Record) -> list[tuple[str, str]]:
    """Return the arrows of the picture, without those into the ground, from the doors, or that follow from others.

    Where a room imports another, and that one a third, the first reaches the third whether it imports it or not.
    """
    ground = {*record["order"][GROUND], *_DOORS}
    pairs = [(source, target) for source, target, _ in record["library"]["arrows"]]
    arrows = [pair for pair in pairs if not ground & set(pair)]
    ahead: dict[str, set[str]] = {}
    for name in (name for names in record["order"].values() for name in names):  # what is imported comes first
        direct = {target for source, target in arrows if source == name}
        ahead[name] = direct.union(*(ahead.get(target, set()) for target in direct))
    return [
        (source, target)
        for source, target in arrows
        if not any(target in ahead.get(other, set()) for start, other in arrows if start == source)
    ]


def rows(record: Record) -> list[tuple[str, list[str]]]:
    """Return the rows of the picture from the bottom up, each with its layer: a room stands above those it imports."""
    levels: list[tuple[str, list[str]]] = []
    for layer, names in record["order"].items():
        mine = [name for name in names if name not in _DOORS]
        depth: dict[str, int] = {}
        for name in mine:  # the order lists what is imported first
            below = [depth[target] for source, target in drawn(record) if source == name and target in depth]
            depth[name] = max(below, default=-1) + 1
        levels += [(layer, [n for n in mine if depth[n] == k]) for k in range(max(depth.values(), default=-1) + 1)]
    return levels


def places(record: Record) -> Places:
    """Return where each room's box stands: column, from the middle, and row, from the bottom.

    Columns are changed one at a time, as long as fewer arrows then run behind a box or cross another.
    """
    at = {
        name: (_STEP * (k - (len(names) - 1) / 2), float(height))
        for height, (_, names) in enumerate(rows(record))
        for k, name in enumerate(names)
    }
    arrows = drawn(record)
    moved = sorted({name for arrow in arrows for name in arrow})
    best, before = _tangle(at, arrows), float("inf")
    while best < before:
        before = best
        for name in moved:
            for column in _COLUMNS:
                tried = at | {name: (column, at[name][1])}
                if (tangle := _tangle(tried, arrows)) < best:
                    at, best = tried, tangle
    return at


def _tangle(at: Places, arrows: Sequence[tuple[str, str]]) -> float:
    """Return how hard arrows are to follow: boxes in one place, arrows behind boxes, crossings, and slants."""
    boxes = list(at.values())
    near = sum(p[1] == q[1] and abs(p[0] - q[0]) < _STEP for p, q in combinations(boxes, 2))
    lines = [(at[source], at[target]) for source, target in arrows]
    behind = sum(_runs_behind(line, box) for line in lines for box in boxes)
    crossings = sum(_cross(one, other) for one, other in combinations(lines, 2))
    return 100 * near + 10 * behind + 2 * crossings + 0.1 * sum(abs(p[0] - q[0]) for p, q in lines)


def _runs_behind(line: Line, box: Point) -> bool:
    """Return whether an arrow between two rows comes near a box of a row between them."""
    (x, y), (to, down) = line
    if not down < box[1] < y:
        return False
    slope = (x - to) / (y - down)
    return abs(to + slope * (box[1] - down) - box[0]) < _WIDTH / 2 + 0.1 + abs(slope) * _HEIGHT / 2


def _cross(one: Line, other: Line) -> bool:
    """Return whether two arrows cross between their ends."""
    if set(one) & set(other):
        return False
    return all(_side(p, *line) * _side(q, *line) < 0 for line, (p, q) in ((one, other), (other, one)))


def _side(p: Point, start: Point, end: Point) -> float:
    return (end[0] - start[0]) * (p[1] - start[1]) - (end[1] - start[1]) * (p[0] - start[0])


def picture(record: Record) -> str:
    """Return the picture of the rooms, with its words and numbers."""
    of_library, shown = record["library"], drawn(record)
    ground = [name for name in record["order"][GROUND] if name not in _DOORS]
    caption = (
        f"The rooms of prunekit and their imports, read off the code: {len(of_library['arrows'])} arrows from room to "
        f"room, {_none(of_library['circles_of_rooms'])} in a circle, {_none(record['upward'])} upward. Arrows into "
        f"the lowest row ({', '.join(ground)}), which nearly every room has, and those that follow from others are not "
        "drawn."
    )
    alt = "Boxes in layers, from the bottom up: " + "; ".join(
        f"{layer}: {', '.join(name for name in names if name not in _DOORS)}"
        for layer, names in record["order"].items()
    )
    columns = {
        "room": [arrow[0] for arrow in of_library["arrows"]],
        "imports": [arrow[1] for arrow in of_library["arrows"]],
        "statements": [arrow[2] for arrow in of_library["arrows"]],
        "drawn": [(arrow[0], arrow[1]) in shown for arrow in of_library["arrows"]],
    }
    return plotting.markup(lambda palette: draw(palette, record), columns, name="rooms", alt=alt + ".", caption=caption)


def draw(palette: Palette, record: Record) -> Figure:
    """Draw the rooms as boxes in layers, and the imports between them as arrows downward.

    Parameters
    ----------
    palette : Palette
        Colours of the background.
    record : mapping
        The measures that `make house` wrote.
    """
    import matplotlib.pyplot as plt

    at, levels = places(record), rows(record)
    width = max(abs(x) for x, _ in at.values()) + _WIDTH
    figure, axes = plt.subplots(figsize=(7.4, 0.62 * len(levels) + 0.2))
    colours = _colours(palette, list(record["order"]))
    for layer, first, last in _bands(levels):
        axes.axhspan(first - 0.5, last + 0.5, color=colours[layer], alpha=0.10, linewidth=0)
        axes.text(-width - 0.9, (first + last) / 2, layer.replace(" ", "\n"), va="center", fontsize=9)
    for source, target in drawn(record):
        _arrow(axes, at[source], at[target], palette)
    for layer, names in levels:
        for name in names:
            _box(axes, at[name], name, colours[layer], palette)
    axes.set(xlim=(-width - 1, width + 0.2), ylim=(-0.5, len(levels) - 0.5))
    axes.set_axis_off()
    return figure


def _colours(palette: Palette, layers: Sequence[str]) -> dict[str, str]:
    return {layer: (palette.muted, *palette.series)[k % 7] for k, layer in enumerate(layers)}


def _bands(levels: Sequence[tuple[str, list[str]]]) -> Iterator[tuple[str, int, int]]:
    """Yield the layers with their first and last row."""
    for layer in dict.fromkeys(layer for layer, _ in levels):
        mine = [height for height, (other, _) in enumerate(levels) if other == layer]
        yield layer, mine[0], mine[-1]


def _arrow(axes: Axes, source: Point, target: Point, palette: Palette) -> None:
    """Draw an arrow from the bottom of one box to the top of another."""
    axes.annotate(
        "",
        xy=(target[0], target[1] + _HEIGHT / 2),
        xytext=(source[0], source[1] - _HEIGHT / 2),
        arrowprops={"arrowstyle": "-|>", "color": palette.ink, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 1},
    )


def _box(axes: Axes, centre: tuple[float, float], name: str, colour: str, palette: Palette) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = centre
    corner = (x - _WIDTH / 2, y - _HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.12"
    axes.add_patch(FancyBboxPatch(corner, _WIDTH, _HEIGHT, boxstyle=style, color=colour, linewidth=0, zorder=3))
    words = "#ffffff" if palette.name == "light" else "#14181c"  # what can be read on the palette's colours
    axes.text(x, y, name, ha="center", va="center", color=words, fontsize=10, zorder=4)


def rooms_table(record: Record) -> str:
    """Return the table of rooms, the highest first."""
    lines = _head("Room", "What it is for", "Files, lines", widths="18 62 20")
    for layer, names in reversed(record["order"].items()):
        for name in reversed(names):
            room = record["library"]["rooms"][name]
            lines += [
                f"* - `{name}`",
                "",
                f"    {plain(layer)}",
                f"  - {_prose(room['purpose'])}",
                f"  - {room['files']}, {room['lines']:,}",
            ]
    return "\n".join([*lines, "```"])


def public(record: Record) -> str:
    """List the names that `dir(prunekit)` offers, by the module that defines them."""
    homes: dict[str, list[str]] = {}
    for name, home in record["public"].items():
        homes.setdefault(home, []).append(f"`{name}`")
    return "\n".join(f"- from `{home}`: {', '.join(names)}" for home, names in sorted(homes.items()))


def measures_table(record: Record) -> str:
    """Return the measures of an earlier commit beside today's."""
    before = record["before"]
    lines = _head("Measure", f"{before['date']}", f"{record['measured']}", widths="60 20 20")
    for name, value in record["summary"].items():
        lines += [f"* - {plain(name)}", f"  - {_number(before['summary'].get(name))}", f"  - {_number(value)}"]
    return "\n".join([*lines, "```"])


def pages_table(record: Record) -> str:
    """Return what was measured of each page, in bold where it breaks a rule."""
    titles = ("Page", "Lines", "Longest cell", "Visible code before the first figure", "Hidden code")
    lines = _head(*titles, widths="40 15 15 15 15")
    for name, page in record["pages"].items():
        shown = {
            "length": f"{page['lines']:,}",
            "cell": str(page["longest_cell"]),
            "figure": "no figure" if page["before_figure"] is None else str(page["before_figure"]),
            "hidden": f"{page['hidden'] / page['lines']:.0%}",
        }
        lines.append(f"* - `{name}`")
        for rule, words in shown.items():
            lines.append(f"  - **{words}**" if name in record["faults"][rule] else f"  - {plain(words)}")
    return "\n".join([*lines, "```"])


def debts(record: Record) -> str:
    """Say which files do not keep the rules yet."""
    lines = [f"- `{name}` has {lines} lines." for name, lines in record["library"]["long_files"].items()]
    lines += [
        f"- These files import each other in a circle: {', '.join(f'`{name}`' for name in circle)}."
        for circle in record["library"]["circles_of_files"]
    ]
    return "\n".join(lines) or "Every file keeps the rules."


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _none(items: Sequence[Any]) -> str:
    return str(len(items)) if items else "none"


def _prose(text: str) -> str:
    """Escape a docstring's first sentence, with its names in single backticks."""
    parts = " ".join(text.replace("``", "`").split()).split("`")
    return "".join(f"`{part}`" if i % 2 else plain(f"x{part}x")[1:-1] for i, part in enumerate(parts))


def _head(*titles: str, widths: str) -> list[str]:
    lines = ["```{list-table}", ":header-rows: 1", f":widths: {widths}", ":class: pk-scorecard", ""]
    return [*lines, f"* - {titles[0]}", *(f"  - {title}" for title in titles[1:])]
