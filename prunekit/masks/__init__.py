"""Masks: which weights of a network are kept.

A `Mask` is a mapping from parameter names to bool tensors, True where the weight is kept. It is made from scores with
an exact count (`Mask.from_scores`), applied once (`apply_`) or held through training (`attach`, made permanent by
`bake`), and written to a file. `train_prune_retrain` is the usual road with its three rewindings;
`optimal_brain_surgeon` is the stronger baseline for small networks. Scores are in `prunekit.masks.scores`.
"""

from prunekit._system import with_torch as _with_torch  # noqa: F401
from prunekit.masks.mask import Keep, Mask, Scores
from prunekit.masks.retraining import Retrained, Rewind, train_prune_retrain
from prunekit.masks.surgery import Surgery, optimal_brain_surgeon

__all__ = [
    "Keep",
    "Mask",
    "Retrained",
    "Rewind",
    "Scores",
    "Surgery",
    "optimal_brain_surgeon",
    "train_prune_retrain",
]
