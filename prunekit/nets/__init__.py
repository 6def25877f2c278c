"""Neural networks: data on the device, the papers' models, training that can be killed, families trained at once.

`load` hands out a data set, `prunekit.nets.models` the networks, `fit` and `fit_many` train
them as a `Config` says. Importing this package imports torch; ``import prunekit`` does not.
"""

from prunekit._system import with_torch as _with_torch  # noqa: F401
from prunekit.nets import models
from prunekit.nets.access import prunable
from prunekit.nets.checkpoint import CheckpointError
from prunekit.nets.covered import Coverage, coverage
from prunekit.nets.data import Dataset
from prunekit.nets.family import fit_many
from prunekit.nets.loading import load
from prunekit.nets.sources import CorruptData, MissingData
from prunekit.nets.training import Config, Diverged, Fitted, History, evaluate, fit

__all__ = [
    "CheckpointError",
    "Config",
    "CorruptData",
    "Coverage",
    "Dataset",
    "Diverged",
    "Fitted",
    "History",
    "MissingData",
    "coverage",
    "evaluate",
    "fit",
    "fit_many",
    "load",
    "models",
    "prunable",
]
