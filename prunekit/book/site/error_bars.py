"""The page *Are the error bars right?*: its prose from ``book/error-bars.md``, its numbers from the calibration.

``python -m tests.calibration`` (``make calibration``) writes the table. A line of the prose such as ``<!-- calibration:
table -->`` is replaced by what is made of it here, so that no number of the page is typed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit import statistics
from prunekit.book import paths, plotting
from prunekit.book.plotting import Palette
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site.kept import filled, kept
from prunekit.book.site.words import moment, number, plain
from prunekit.statistics import binomial_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST, MOST = 0.90, 0.99  # what two bars may cover, beyond the doubt that the number of runs leaves
SHARE = 0.05  # how long a bar may be, as a share of its number
COMPARED = ("trace", "log-determinant of |H| + t", "Σ r²/(R² + r²)")  # for which the products of both ways are compared
HOLDS, SHORT, LONG = "holds", "too short", "too long"
GROUPS = {
    "means": ("Means, intervals and laws", ("statistics", "linear")),
    "cones": ("Cones and tail indices", ("cones", "stable")),
    "curvature": ("Spectra, diagonals and limits", ("spectrum", "curvature", "importance", "limit")),
}
ALIKE = 1.001  # ratio up to which two errors count as equal: where both ways see everything, they differ by rounding
_FEW = (30, 20, 8, 5)
_LOOKS = {HOLDS: ("o", 0), SHORT: ("s", 1), LONG: ("^", 3)}
Row = Mapping[str, Any]


def verdict(row: Row) -> str:
    """Return whether two bars hold the truth as often as they promise, beyond the doubt that the runs leave.

    They are too short if they hold it in less than 90% of cases, or less often than Student's law says where that is
    below 90%; they are too long if they hold it in more than 99%, unless they are bounds.
    """
    low, high = row["interval"]
    if high < min(LEAST, row["nominal"]):
        return SHORT
    return LONG if low > MOST and not row["bound"] else HOLDS


def page(prose: str, table: Mapping[str, Any], spectra: Sequence[Row]) -> str:
    """Return the page.

    Parameters
    ----------
    prose
        Markdown with a line ``<!-- calibration: PART -->`` for each part.
    table
        The table that `make calibration` wrote.
    spectra
        Rows about spectra of whole networks; none where there is no such table.

    Raises
    ------
    ValueError
        If the prose lacks a part.
    """
    parts: dict[str, Callable[[], str]] = {
        "summary": lambda: summary(table),
        "student": lambda: ", ".join(f"{statistics.chance_of_two(n):.1%} for {n} draws" for n in _FEW),
        "figures": lambda: "\n\n".join(figure(name, table["rows"]) for name in GROUPS),
        "exceptions": lambda: exceptions(table["rows"]),
        "table": lambda: rows_table(table["rows"]),
        "spectra": lambda: spectra_table(spectra),
        "without": lambda: "\n".join(f"- {_name(e['function'])}: {_code(e['reason'])}" for e in table["without"]),
    }
    return filled(prose, "calibration", parts)


def kept_page(text: str, keep: Path) -> str:
    """Return the page of the tables that are there, drawn anew only where they, the prose or the code have changed.

    Raises
    ------
    Refused
        If there is no table.
    """
    if not paths.CALIBRATION.exists():
        raise Refused(f"{paths.CALIBRATION} is not there, of which a page is made: `make calibration` writes it")
    both = [f.read_text(encoding="utf-8") if f.exists() else "" for f in (paths.CALIBRATION, paths.CALIBRATION_SPECTRA)]
    code = [Path(f).read_text(encoding="utf-8") for f in (__file__, plotting.__file__)]
    make = lambda: page(text, json.loads(both[0]), json.loads(both[1]) if both[1] else [])  # noqa: E731
    return kept(keep, [text, *both, *code], make)


def summary(table: Mapping[str, Any]) -> str:
    """Say how many cases there are and what came out."""
    rows = table["rows"]
    counts = Counter(map(verdict, rows))
    functions = len({row["function"] for row in rows})
    runs = sum(row["seeds"] for row in rows)
    return (
        f"**{counts[HOLDS]} of {len(rows)} cases** of {functions} functions hold what they promise; bars are too "
        f"short in {counts[SHORT]}, too long in {counts[LONG]}. Measured in {runs:,} runs, "
        f"{moment(table['measured'])}, on {plain(table['device']['name'])}."
    )


def exceptions(rows: Sequence[Row]) -> str:
    """List the cases whose bars are too short or too long, or that have a reason to hold the truth less often."""
    exceptional = [row for row in rows if row["note"] or verdict(row) != HOLDS]
    return "\n".join(
        f"- {_name(row['function'])}, {plain(row['case'])}: {_share(row)}, where {row['nominal']:.1%} are promised"
        + (f" – {plain(row['note'])}." if row["note"] else ".")
        for row in exceptional
    )


def figure(name: str, rows: Sequence[Row]) -> str:
    """Return the figure of a group of functions, with its words and numbers."""
    title, heads = GROUPS[name]
    mine = [row for row in rows if row["function"].split(".")[0] in heads]
    counts = Counter(map(verdict, mine))
    low = min(mine, key=lambda row: row["covered"] / _told(row))
    caption = (
        f"{title}: share of runs in which two error bars hold the truth, with its 95% interval. Of {len(mine)} cases "
        f"{counts[HOLDS]} hold what they promise; too short: {counts[SHORT]}, too long: {counts[LONG]}."
    )
    alt = (
        f"{title}. One line a case, with the share of runs in which two error bars hold the truth as a marker with a "
        f"binomial interval, beside a tick at the promised share and a band from 90 to 99 percent. The lowest, "
        f"{low['function']} with {low['case']}, is at {low['covered'] / _told(low):.0%}."
    )
    columns = {
        key: [row[key] for row in mine]
        for key in ("function", "case", "truth", "value", "bar", "off", "seeds", "covered", "nominal")
    } | {end: [row["interval"][i] for row in mine] for i, end in enumerate(("low", "high"))}
    return plotting.markup(
        lambda palette: draw(palette, mine), columns, name=f"error-bars-{name}", alt=alt, caption=caption
    )


def draw(palette: Palette, rows: Sequence[Row]) -> Figure:
    """Draw coverage with binomial intervals against what is promised, with a line for each case.

    Parameters
    ----------
    palette : Palette
        Colours of the background.
    rows : sequence of rows
        The cases, from the top down.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.4, 0.31 * len(rows) + 1.3))
    axes.axvspan(100 * LEAST, 100 * MOST, color=palette.muted, alpha=0.18, linewidth=0, label="90% to 99%")
    for kind, (marker, colour) in _LOOKS.items():
        places = [k for k, row in enumerate(rows) if verdict(row) == kind]
        if places:
            mine = [rows[k] for k in places]
            at = [100 * row["covered"] / _told(row) for row in mine]
            ends = [[abs(100 * row["interval"][i] - x) for row, x in zip(mine, at, strict=True)] for i in (0, 1)]
            axes.errorbar(
                at, places, xerr=ends, fmt=marker, color=palette.series[colour], label=kind, elinewidth=1.2, capsize=2
            )
    promised = [100 * row["nominal"] for row in rows]
    axes.plot(promised, range(len(rows)), "|", color=palette.ink, markersize=11, label="promised", zorder=3)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel="runs in which two error bars hold the truth, %")
    axes.grid(axis="y", color=palette.muted, alpha=0.25, linewidth=0.6)
    figure.legend(loc="outside upper right", ncols=5, fontsize=8)
    return figure


def _label(row: Row) -> str:
    name = row["function"].rsplit(".", 1)[-1]
    return f"{name}: {row['case']}" if len(name + row["case"]) < 44 else f"{name}:\n{row['case']}"


def rows_table(rows: Sequence[Row]) -> str:
    """Return the table, with one row for each case."""
    lines = _head("Function and case", "Truth, and mean value ± mean bar", "Held the truth", widths="42 34 24")
    for row in rows:
        lines += [
            f"* - {_name(row['function'])}",
            "",
            f"    {plain(row['case'])}",
            f"  - {number(row['truth'])} ({plain(row['known'])})",
            "",
            f"    {number(row['value'])} ± {row['bar']:.2g}, off by {row['off']:.2g}",
            f"  - **{row['covered'] / _told(row):.1%}** of {_told(row):,} runs"
            + ("" if verdict(row) == HOLDS else f", {verdict(row)}"),
            "",
            f"    {row['interval'][0]:.1%} to {row['interval'][1]:.1%}; promised {'at least ' if row['bound'] else ''}"
            f"{row['nominal']:.1%}; {1000 * row['seconds']:.2g} ms a run",
        ]
    return "\n".join([*lines, "```"])


def spectra_table(rows: Sequence[Row]) -> str:
    """Return the section on spectra of whole networks, empty where nothing is known about them.

    Rows whose way is "shared" are about the library as it is, those of way "apart" about its probes kept apart, and
    those of way "as apart" about the budget with which it comes as near to the truth as with probes kept apart.
    """
    if not rows:
        return ""
    ways = {way: [row for row in rows if row["way"] == way] for way in ("shared", "apart")}
    lines = [
        "## Spectra and limits of whole networks",
        "",
        "Estimated from products with the Hessian, at the default accuracy and budget, against the Hessian known entry "
        f"by entry (`python -m tests.calibration.spectra`). {_together(ways['shared'], 'Together two bars held')}"
        + (f"; {_together(ways['apart'], 'with a basis for each probe, they held')}." if ways["apart"] else "."),
        "",
        *goals(rows),
        "",
        *_head("Network and quantity", "Truth, and mean value ± mean bar", "Held the truth", widths="38 36 26"),
    ]
    for row in ways["shared"]:
        told = _told(row)
        bar = f"± {row['bar']:.2g}" if told else "without a bar"
        lines += [
            f"* - {plain(str(row['network']))}",
            "",
            f"    {plain(str(row['quantity']))}",
            f"  - {number(row['truth'])}",
            "",
            f"    {number(row['value'])} {bar}, off by {row['off']:.2g}",
            f"  - {_held(row['covered'], told)}"
            + ("" if told == row["seeds"] else f"; {row['seeds'] - told} more were not resolved"),
            "",
            f"    {number(row['products'])} products",
        ]
    return "\n".join([*lines, "```"])


def goals(rows: Sequence[Row]) -> list[str]:
    """Say for how many networks and quantities bars hold the truth, are short and cost little, and name the others."""
    now = [row for row in rows if row["way"] == "shared" and _told(row)]
    judged = [(row, verdict(_judged(row))) for row in now]
    long_ = [(row, f"{row['bar'] / abs(row['truth']):.1%}") for row in now if row["bar"] > SHARE * abs(row["truth"])]
    old = [row for row in rows if row["way"] == "apart" and row["quantity"] in COMPARED]
    new = {_cell(row): row for row in rows if row["way"] == "as apart"}
    dear = [
        (row, f"{number(new[_cell(row)]['products'])} products" if _cell(row) in new else "not within the budget")
        for row in old
        if _cell(row) not in new or new[_cell(row)]["products"] > row["products"] / 2
    ]
    lines = [
        f"- Two bars hold the truth in {LEAST:.0%} to {MOST:.0%} of runs, beyond the doubt that so many runs leave, "
        + _but(len(now), [(row, said) for row, said in judged if said != HOLDS]),
        f"- The mean bar is at most {SHARE:.0%} of the number " + _but(len(now), long_),
    ]
    if old:
        most = number(max(row["products"] for row in old))
        lines.append(
            f"- {_listed([plain(name) for name in COMPARED])} took {most} products with a basis for each probe; to "
            f"come as near to the truth, to {ALIKE - 1:.1%} of its distance, takes at most half as many now "
            + _but(len(old), dear)
        )
    return lines


def _but(of: int, others: Sequence[tuple[Row, str]]) -> str:
    """Say in how many cases something is so, and in which it is not."""
    told = "; ".join(f"{plain(str(row['network']))}, {plain(str(row['quantity']))} ({said})" for row, said in others)
    return f"in {of - len(others)} of {of} cases" + (f". It is otherwise for {told}." if others else ".")


def _judged(row: Row) -> Row:
    """Return a row of the second table with what a verdict needs."""
    return {**row, "interval": binomial_interval(row["covered"], _told(row)), "nominal": LEAST, "bound": False}


def _cell(row: Row) -> tuple[str, str]:
    return str(row["network"]), str(row["quantity"])


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _told(row: Row) -> int:
    """Return the number of runs with an error bar."""
    return int(row.get("resolved", row["seeds"]))


def _held(covered: int, runs: int) -> str:
    if not runs:
        return "no run has an error bar"
    low, high = binomial_interval(covered, runs)
    return f"**{covered / runs:.1%}** of {runs:,} runs ({low:.1%} to {high:.1%})"


def _together(rows: Sequence[Row], what: str) -> str:
    runs = sum(map(_told, rows))
    held = sum(row["covered"] for row in rows)
    return f"{what} the truth in {held / max(runs, 1):.1%} of {runs:,} runs"


def _head(*titles: str, widths: str) -> list[str]:
    lines = ["```{list-table}", ":header-rows: 1", f":widths: {widths}", ":class: pk-scorecard", ""]
    return [*lines, f"* - {titles[0]}", *(f"  - {title}" for title in titles[1:])]


def _share(row: Row) -> str:
    return f"two bars held the truth in {row['covered'] / _told(row):.1%} of {_told(row):,} runs"


def _name(function: str) -> str:
    return f"`{function}`"


def _code(text: str) -> str:
    """Escape a text except for the names in backticks."""
    parts = text.split("`")
    return "".join(f"`{part}`" if i % 2 else plain(f"x{part}x")[1:-1] for i, part in enumerate(parts))
