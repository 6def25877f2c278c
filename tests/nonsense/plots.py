"""A right call of every public function that draws or reads the book's records."""

from __future__ import annotations

from typing import Any

from prunekit.book import plotting
from tests.nonsense.judge import Example

TEXTS = {"it is a text": ("text",)}


def draw(palette: Any) -> Any:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(1, 1))
    axes.plot([0, 1], [0, 1], color=palette.ink)
    return figure


def axes() -> Any:
    import matplotlib.pyplot as plt

    plt.close("all")
    return plt.subplots(figsize=(1, 1))[1]


def predicted() -> dict[str, Any]:
    return {"a": ([1.0, 2.0], [0.5, 0.6])}


def measured() -> dict[str, Any]:
    return {"a": ([1.0, 2.0], [0.5, 0.6], [0.1, 0.1])}


def record() -> dict[str, Any]:
    return {
        "kind": "claim", "claim": "chang/theorem-1", "what": "a number", "measured": 1.0, "expected": 1.0,
        "margin": 0.1, "because": "a tenth", "error": 0.01, "repetitions": 9, "of": "seeds", "relation": "equal",
        "corrected": None, "smaller": [], "unstated": "", "scale": "smoke", "data": "synthetic",
        "verdict": "reproduced",
    }  # fmt: skip


RECORDS = {
    "record": {
        "only its numbers and its relation are read": ("mapping of None", "mapping of text", "mapping by number")
    }
}


PLOTS: dict[str, Example] = {
    "book.ledger.records": Example(lambda: {"notebook": _notebook()}),
    "book.verdicts.verdict": Example(lambda: {"record": record()}, allows=RECORDS),
    "book.verdicts.deciding": Example(lambda: {"record": record()}, allows=RECORDS),
    "book.verdicts.worst": Example(lambda: {"verdicts": ["reproduced", "differs"]}),
    "book.tables.selected": Example(
        lambda: {"table": {"width": [1, 2], "risk": [1.0, 0.5]}},
        allows={"table": {"columns may have any names": ("mapping by number",)}},
    ),
    "book.tables.tabulated": Example(lambda: {"rows": [{"width": 1, "risk": 1.0}, {"width": 2, "risk": 0.5}]}),
    "book.plotting.columns": Example(
        lambda: {"x_name": "x", "y_name": "y", "predicted": predicted(), "measured": measured()},
        allows={"x_name": TEXTS, "y_name": TEXTS},
    ),
    "book.plotting.compare": Example(
        lambda: {
            "axes": axes(),
            "palette": plotting.LIGHT,
            "predicted": predicted(),
            "measured": measured(),
            "gap_at": 1.5,
        },
    ),
    "book.plotting.show": Example(
        lambda: {"draw": draw, "numbers": {"x": [1.0, 2.0]}, "name": "n", "alt": "a", "caption": "c"},
        allows={"name": TEXTS, "alt": TEXTS, "caption": TEXTS},
        slow=True,
    ),
    "book.plotting.svg": Example(lambda: {"draw": draw, "palette": plotting.LIGHT}, slow=True),
    "book.plotting.to_csv": Example(lambda: {"numbers": {"x": [1.0, 2.0]}}),
}


def _notebook() -> Any:
    import nbformat

    found = nbformat.v4.new_notebook()
    found.cells = [nbformat.v4.new_code_cell("1")]
    return found


EXEMPT: dict[str, str] = {
    "book.plotting.glance": "takes any number of sentences; a test of its own gives it what are none"
}
