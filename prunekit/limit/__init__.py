"""The pruning limit of geometric: predicted from weights and curvature by several methods, and measured.

`network_landscape` finds the spectrum of a network's Hessian once; `pruning_limit`, or `predict` on a landscape, solves
for the share that must be kept; `measured_limit` prunes a network and measures it. Cones are in `prunekit.cones`, and
Hessians of networks in `prunekit.curvature`. Importing this package imports torch.
"""

from prunekit.limit.authors import program_limit
from prunekit.limit.comparison import LimitComparison, compare_limits
from prunekit.limit.costs import one_shot_costs, reoptimized_costs
from prunekit.limit.lanczos import Lanczos
from prunekit.limit.landscape import Landscape
from prunekit.limit.measured import MeasuredLimit, PruningCurve, gain_at_limit, halves, measured_limit, pruning_curve
from prunekit.limit.negative import NEGATIVE, Negative
from prunekit.limit.networks import network_landscape, pruning_limit
from prunekit.limit.prediction import METHODS, PruningLimit, predict, threshold
from prunekit.limit.tasks import PAPER, PaperNetwork, l1_path
from prunekit.limit.tolerance import Tolerance, minibatch_tolerance, relative_tolerance
from prunekit.limit.upper import upper_gap, upper_map

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
