"""The theory of neural-network pruning, made executable.

``import prunekit`` loads nothing but this file: every public name is fetched from its module when it is first
used, so that a command line or a notebook pays only for what it calls.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    # linear Gaussian problems, their law, and what pruning them costs
    "LinearGaussian": "linear.problem",
    "min_norm": "linear.least_squares",
    "ridge": "linear.least_squares",
    "retrain": "linear.least_squares",
    "width_sweep": "linear.least_squares",
    "MinNormLaw": "linear.law",
    "characterize": "linear.law",
    "prune": "linear.strategies",
    "support": "linear.strategies",
    "SoftThreshold": "linear.strategies",
    "HardThreshold": "linear.strategies",
    "UniformQuantizer": "linear.strategies",
    "TwoOfFour": "linear.strategies",
    "Natural": "linear.strategies",
    "OptimalBrainSurgeon": "linear.strategies",
    "Magnitude": "linear.strategies",
    "Hessian": "linear.strategies",
    "Oracle": "linear.strategies",
    # a report on one's own network
    "diagnose": "diagnosis.run",
    "compare": "diagnosis.comparison",
    # networks: which weights are kept, and by which score
    "Mask": "masks.mask",
    "scores": "masks.scores",
    # numbers with errors, and measurements against predictions
    "Estimate": "statistics.estimates",
    "mean_and_error": "statistics.deviations",
    "deviation_bound": "statistics.deviations",
    "largest_deviation": "statistics.deviations",
    "leads": "statistics.deviations",
    "rank_correlation": "statistics.deviations",
    # what every page of the book uses
    "check": "book.ledger",
    "PaperSetting": "book.settings",
    "report": "book.ledger",
    "pick": "book.scales",
    "recording": "book.recordings",
    "show": "book.plotting",
    "glance": "book.plotting",
    "columns": "book.plotting",
    "Palette": "book.plotting",
    "DASHES": "book.plotting",
    "MARKERS": "book.plotting",
}
__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Fetch a public name from the module that defines it (PEP 562)."""
    if name in _HOME:
        module = import_module(f"prunekit.{_HOME[name]}")
        return module if module.__name__.endswith(f".{name}") else getattr(module, name)
    raise AttributeError(f"module 'prunekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, fetched or not, and nothing else."""
    return __all__
