"""What a notebook says about how it is executed, in the words of Jupyter Book.

Cell tags ``skip-execution`` and ``raises-exception``, and at the notebook's head ``mystnb: {execution_allow_errors,
execution_timeout}`` or ``execution: {allow_errors, timeout}``, mean what they mean to Jupyter Book 1. Tags about
looks (``hide-input``, ``remove-cell``, ``full-width`` …) change no run: the site hands them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SKIP, RAISES, PARAMETERS, INJECTED = "skip-execution", "raises-exception", "parameters", "injected-parameters"
_HEADS = {"mystnb": "execution_", "execution": ""}  # the sections of the head, and how their keys begin
_MODES = ("auto", "force", "cache")  # of mystnb's execution_mode: all of them mean "execute it"


class Unclear(ValueError):
    """A directive that cannot be followed; the message says why and what would be right."""


@dataclass(frozen=True)
class Directives:
    """How a notebook wants to be executed.

    Attributes
    ----------
    allow_errors
        Whether the run goes on after a cell's error.
    cell_timeout
        Seconds that a cell may take, or None.
    """

    allow_errors: bool = False
    cell_timeout: float | None = None


def has(cell: Any, tag: str) -> bool:
    """Tell whether a cell has a tag."""
    return tag in cell.metadata.get("tags", [])


def directives(node: Any) -> Directives:
    """Read the notebook-level directives.

    Raises
    ------
    Unclear
        For a section that is no mapping, a value of another type, or a mode in which the notebook is not executed
        from its first to its last cell.
    """
    said: dict[str, Any] = {}
    for head, prefix in _HEADS.items():
        section = node.metadata.get(head, {})
        if not isinstance(section, Mapping):
            raise Unclear(f"its front matter says {head}: {section!r}; write a mapping, {head}: {{name: value}}")
        said |= {k.removeprefix(prefix): v for k, v in section.items() if k.startswith(prefix)}
    mode = said.get("mode", "force")
    if mode not in _MODES:
        raise Unclear(
            f"its front matter says mystnb: {{execution_mode: {mode!r}}}, and a run executes every cell; "
            f"leave it out, or tag single cells {SKIP}"
        )
    allow, timeout = said.get("allow_errors", False), said.get("timeout")
    if not isinstance(allow, bool):
        raise Unclear(f"its front matter says allow_errors: {allow!r}; write true or false")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float, type(None))):
        raise Unclear(f"its front matter says timeout: {timeout!r}; write seconds, or -1 for no limit")
    return Directives(allow, float(timeout) if timeout is not None and timeout > 0 else None)


def check_cells(node: Any) -> None:
    """Refuse tags that contradict each other.

    Raises
    ------
    Unclear
        If the parameters' cell would be skipped or may fail: the record would name parameters that no run had.
    """
    for cell in node.cells:
        for tag in (SKIP, RAISES):
            if cell.cell_type == "code" and has(cell, PARAMETERS) and has(cell, tag):
                raise Unclear(f"its cell tagged {PARAMETERS} is tagged {tag} too; take that tag away")


def meaning(node: Any) -> list[Any]:
    """Return what the directives add to a run's identity: an empty list for a notebook that gives none.

    A limit of time is not in it: a finished run kept within it.
    """
    cells = [c for c in node.cells if c.cell_type == "code"]
    marks = [[i, tag] for i, c in enumerate(cells) for tag in (SKIP, RAISES) if has(c, tag)]
    return marks + [["notebook", k] for k, v in asdict(directives(node)).items() if v is True]


def skipped(cell: Any) -> bool:
    """Tell whether a run leaves this code cell out, and so without an execution count."""
    return not cell.source.strip() or has(cell, SKIP)
