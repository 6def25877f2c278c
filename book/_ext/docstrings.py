"""Let docstrings be written for people: a bar in a formula is a bar, not a reStructuredText substitution."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_OUTSIDE_CODE = re.compile(r"(`[^`]*`)|\|")


def _bars(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape the bars of every line outside of backticks, in place."""
    lines[:] = [_OUTSIDE_CODE.sub(lambda m: m.group(1) or r"\|", line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after napoleon has had the docstrings."""
    app.connect("autodoc-process-docstring", _bars, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
