"""Prose that names its evidence: ``[[chang/fig-7]]`` becomes a link with the verdict as it is now.

``[[chang/fig-2: peak]]`` names one of a claim's statements, ``[[sure: chang/fig-2: peak, li/fig-3a]]`` says how sure
the evidence makes, from the verdicts alone.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from prunekit.book.runs.notebooks import Refused
from prunekit.book.site.scorecard import mark, slug
from prunekit.book.verdicts import NOT_ATTEMPTED, UNDECIDED

Row = Mapping[str, Any]
_MARKER = re.compile(r"\[\[(sure: )?([a-z]+/[^\[\]]+)\]\]")

SURE, SMALL, OPEN, NOBODY = (
    "sure: decided in the paper's setting, or by mathematics",
    "seen in small settings only",
    "open: the evidence does not decide it",
    "nobody has tested it here",
)


def filled(prose: str, rows: Sequence[Row]) -> str:
    """Return prose with a link in place of each marker.

    Parameters
    ----------
    prose
        MyST-Markdown of a page in the folder ``book``.
    rows
        The ledger's rows with their verdicts, as `Evidence.rows` returns them.

    Raises
    ------
    Refused
        If a marker names what the ledger does not have.
    """
    by_id = {row["id"]: row for row in rows}
    return _MARKER.sub(lambda found: _shown(bool(found[1]), found[2], by_id), prose)


def named(prose: str) -> list[str]:
    """Return the evidence that prose names, marker by marker."""
    return [found[2] for found in _MARKER.finditer(prose)]


def _shown(sure: bool, names: str, by_id: Mapping[str, Row]) -> str:
    evidence = [_evidence(name.strip(), by_id) for name in names.split(",")]
    if sure:
        return how_sure([verdict for _, _, verdict in evidence])
    return " ".join(_link(row, statement, verdict) for row, statement, verdict in evidence)


def _evidence(name: str, by_id: Mapping[str, Row]) -> tuple[Row, str, str]:
    """Return a claim's row, the name of a statement or nothing, and the verdict of either."""
    claim, _, statement = (part.strip() for part in name.partition(":"))
    if claim not in by_id:
        raise Refused(f"[[{name}]] in the prose: the ledger has no {claim!r}")
    row = by_id[claim]
    if not statement:
        return row, "", row["verdict"]
    verdicts = {s["name"]: s["verdict"] for s in row["statements"]}
    if statement not in verdicts:
        raise Refused(f"[[{name}]] in the prose: {claim} has the statements {', '.join(verdicts)}")
    return row, statement, verdicts[statement]


def how_sure(verdicts: Sequence[str]) -> str:
    """Say how sure some evidence makes: as the weakest of it, whichever way it was decided."""
    if NOT_ATTEMPTED in verdicts:
        return NOBODY
    if any(verdict.startswith(UNDECIDED) for verdict in verdicts):
        return OPEN
    return SMALL if any(verdict.endswith("in reduced form") for verdict in verdicts) else SURE


def _link(row: Row, statement: str, verdict: str) -> str:
    page = "errata" if row["kind"] == "erratum" else "scorecard"
    words = html.escape(f"{row['id']}{', ' * bool(statement)}{statement}: {verdict}", quote=True)
    return (
        f'<a class="pk-evidence" href="{page}.html#{slug(row["id"])}" title="{words}">{mark(verdict)} '
        f"<code>{row['id']}</code></a>"
    )
