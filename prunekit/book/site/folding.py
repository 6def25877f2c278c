"""One badge for a claim in a section of a page: its checks are folded into it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from prunekit.book import badges


def fold(cells: Sequence[Any]) -> None:
    """Put all checks of a claim within a section into the badge of the first, in place.

    Parameters
    ----------
    cells
        A page's cells in order, with their outputs.
    """
    for section in _sections(cells):
        by_claim: dict[str, list[tuple[Any, Any]]] = {}
        for cell in section:
            for output in cell.get("outputs", []):
                record = _record(output)
                if record.get("kind") == "claim":
                    by_claim.setdefault(record["claim"], []).append((cell, output))
        for checks in by_claim.values():
            _fold(checks)


def _record(output: Any) -> dict[str, Any]:
    return output.get("metadata", {}).get(badges.METADATA, {})


def _sections(cells: Sequence[Any]) -> list[list[Any]]:
    """Return the cells between one heading and the next."""
    sections: list[list[Any]] = [[]]
    for cell in cells:
        if cell.cell_type == "markdown" and re.search(r"^#{1,6} ", cell.source, re.MULTILINE):
            sections.append([])
        sections[-1].append(cell)
    return sections


def _fold(checks: Sequence[tuple[Any, Any]]) -> None:
    """Let the first of some outputs show them all, and take the others out of their cells."""
    _, first = checks[0]
    records = [_record(output) for _, output in checks]
    first["data"]["text/html"] = badges.badges(records)
    for cell, output in checks[1:]:
        cell["outputs"] = [kept for kept in cell["outputs"] if kept is not output]
