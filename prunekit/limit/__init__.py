"""The pruning limit of geometric: predicted from weights and curvature by several methods, and measured.

`network_landscape` finds the spectrum of a network's Hessian once; `pruning_limit`, or `predict` on a landscape, solves
for the share that must be kept; `measured_limit` prunes a network and measures it. Cones are in `prunekit.cones`, and
Hessians of networks in `prunekit.curvature`. A landscape that is known entry by entry, and what is predicted for it,
need no torch; what is about networks is fetched when it is first used, and imports it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from prunekit.limit.costs import one_shot_costs, reoptimized_costs
from prunekit.limit.lanczos import Lanczos
from prunekit.limit.landscape import Landscape
from prunekit.limit.negative import NEGATIVE, Negative
from prunekit.limit.prediction import METHODS, PruningLimit, predict, threshold
from prunekit.limit.tolerance import Tolerance, minibatch_tolerance, relative_tolerance
from prunekit.limit.upper import upper_gap, upper_map

if TYPE_CHECKING:
    from prunekit.limit.authors import program_limit
    from prunekit.limit.comparison import LimitComparison, compare_limits
    from prunekit.limit.measured import (
        MeasuredLimit,
        PruningCurve,
        gain_at_limit,
        halves,
        measured_limit,
        pruning_curve,
    )
    from prunekit.limit.networks import network_landscape, pruning_limit
    from prunekit.limit.tasks import PAPER, PaperNetwork, l1_path

_HOME = {
    "program_limit": "authors",
    "LimitComparison": "comparison",
    "compare_limits": "comparison",
    "MeasuredLimit": "measured",
    "PruningCurve": "measured",
    "gain_at_limit": "measured",
    "halves": "measured",
    "measured_limit": "measured",
    "pruning_curve": "measured",
    "network_landscape": "networks",
    "pruning_limit": "networks",
    "PAPER": "tasks",
    "PaperNetwork": "tasks",
    "l1_path": "tasks",
}
__all__ = [
    "METHODS",
    "NEGATIVE",
    "PAPER",
    "Lanczos",
    "Landscape",
    "LimitComparison",
    "MeasuredLimit",
    "Negative",
    "PaperNetwork",
    "PruningCurve",
    "PruningLimit",
    "Tolerance",
    "compare_limits",
    "gain_at_limit",
    "halves",
    "l1_path",
    "measured_limit",
    "minibatch_tolerance",
    "network_landscape",
    "one_shot_costs",
    "predict",
    "program_limit",
    "pruning_curve",
    "pruning_limit",
    "relative_tolerance",
    "reoptimized_costs",
    "threshold",
    "upper_gap",
    "upper_map",
]


def __getattr__(name: str) -> Any:
    """Fetch what is about networks from the module that defines it (PEP 562)."""
    if name in _HOME:
        from prunekit._system import with_torch as _with_torch  # noqa: F401

        return getattr(import_module(f"prunekit.limit.{_HOME[name]}"), name)
    raise AttributeError(f"module 'prunekit.limit' has no attribute {name!r}")
