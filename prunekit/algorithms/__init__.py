"""Pruning algorithms that the papers compare, all over the one trainer, `prunekit.nets.fit`, and the one `Mask`.

* `one_shot`: ℓ1-regularized training and one global magnitude cut (geometric: GOP);
* `lottery`: iterative magnitude pruning with rewinding (lottery tickets);
* `gems`: rare gems, which trains scores of frozen random weights and then the weights that were chosen;
* `at_random`: random masks before training, uniform or with smart ratios by layer;
* `contest`: all of them on one network with one budget; `thresholds`: the predicted limit at every cut.

Each takes a network at its initialization, changes it in place and returns a `Pruned`: the masks after each cut, the
trainings with where they began and ended, and what came out. Counts are exact, and with one thread the same seeds
give the same network bit for bit, killed and resumed or not. Source, unless stated otherwise: geometric, Section 5.3.
"""

from prunekit._system import with_torch as _with_torch  # noqa: F401
from prunekit.algorithms.at_random import (
    random_mask,
    smart_ratio_counts,
    smart_ratio_mask,
    train_masked,
)
from prunekit.algorithms.gems import rare_gems
from prunekit.algorithms.lottery import iterative_magnitude_pruning
from prunekit.algorithms.one_shot import global_one_shot
from prunekit.algorithms.results import Pruned, Stage
from prunekit.algorithms.schedules import cut, kept_by_round

__all__ = [
    "Pruned",
    "Stage",
    "cut",
    "global_one_shot",
    "iterative_magnitude_pruning",
    "kept_by_round",
    "random_mask",
    "rare_gems",
    "smart_ratio_counts",
    "smart_ratio_mask",
    "train_masked",
]
