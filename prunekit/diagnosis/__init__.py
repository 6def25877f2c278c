"""A report on the reader's own network: what the five theories predict about pruning it, beside what is measured.

`diagnose` makes it, `compare` sets two beside each other, `weights_report` reads a file of weights layer by layer.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Advice": "advice",
    "CostPlan": "plan",
    "Report": "report",
    "Theory": "theories",
    "compare": "comparison",
    "diagnose": "run",
    "tails": "tails",
    "weights_report": "files",
}
__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Fetch a public name from its module, so that reading a file of weights needs no torch."""
    if name in _HOME:
        return getattr(import_module(f"prunekit.diagnosis.{_HOME[name]}"), name)
    raise AttributeError(f"module 'prunekit.diagnosis' has no attribute {name!r}")
