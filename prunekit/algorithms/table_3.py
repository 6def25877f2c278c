"""The networks that enter a contest of pruning algorithms: small ones on the digits, and the paper's, with their knobs.

The knobs of the small ones were chosen beforehand, on three other seeds and with a fifth of the training images held
out, by mean accuracy there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from prunekit import _checks
from prunekit.algorithms.contest import Knobs
from prunekit.limit.tasks import PAPER
from prunekit.nets import Config, Dataset, models


class Printed(NamedTuple):
    """A row of geometric's Table 3, in %: test accuracies, and the share kept; with the measured limit of Table 2."""

    dense: float
    kept: float
    one_shot: float
    rare_gems: float
    lottery_tickets: float
    smart_ratio: float | None
    removed_at_limit: float


TABLE_3: Mapping[tuple[str, str], Printed] = {
    ("fc5", "cifar10"): Printed(55.3, 1.7, 59.96, 58.76, 38.71, None, 98.3),
    ("fc12", "cifar10"): Printed(55.5, 1.0, 60.84, 54.96, 10.00, None, 99.2),
    ("alexnet", "cifar10"): Printed(89.60, 0.7, 90.55, 85.55, 21.65, 10.00, 99.2),
    ("vgg16", "cifar10"): Printed(90.73, 0.6, 91.66, 87.66, 86.59, 10.00, 99.2),
    ("resnet18", "cifar100"): Printed(72.19, 1.9, 71.82, 67.52, 64.42, 66.50, 98.0),
    ("resnet50", "cifar100"): Printed(74.07, 2.0, 75.22, 70.96, 61.17, 66.99, 97.9),
    ("resnet18", "tiny-imagenet"): Printed(52.92, 4.2, 55.42, 37.14, 55.02, 53.28, 95.7),
    ("resnet50", "tiny-imagenet"): Printed(56.45, 2.9, 57.49, 36.78, 49.35, 53.65, 97.1),
}
SMALL: Mapping[str, Knobs] = {
    "FC5": Knobs(l1=0.004, score_rate=1.0, score_decay=1e-3),
    "FC8": Knobs(l1=0.006, score_rate=2.0, score_decay=3e-4),
    "CNN": Knobs(l1=0.006, score_rate=2.0, score_decay=3e-4),
}
_HIDDEN = {"FC5": [100, 60, 30, 20], "FC8": [80, 70, 60, 50, 40, 30, 20]}


def build(network: str, data: Dataset, seed: int) -> nn.Module:
    """Return a network at the initialization of a seed.

    Parameters
    ----------
    network : str
        One of `SMALL`, for 8×8 digits, or of `prunekit.limit.tasks.PAPER`.
    data : Dataset
        What it will be trained on, which decides the shape of the paper's networks.
    seed : int
        Where the initial weights come from.

    Raises
    ------
    ValueError
        If the network is unknown.
    """
    _checks.choice("network", network, (*SMALL, *PAPER))
    _checks.instance("data", data, Dataset, "a prunekit.nets.Dataset")
    if network in _HIDDEN:
        return models.fcn(64, _HIDDEN[network], bias=True, seed=seed)
    if network == "CNN":
        return models.cnn((1, 8, 8), [8, "M", 16, "M", 16], seed=seed)
    return PAPER[network].build(data, seed)


def training(network: str, data: str, epochs: int, seed: int, device: str = "cpu") -> tuple[Config, Knobs]:
    """Return how a network is trained, without penalty, and its knobs.

    Parameters
    ----------
    network : str
        As for `build`.
    data : str
        Name of the data set; the digits of MNIST are not mirrored or moved.
    epochs : int
        Number of epochs of a whole training.
    seed : int
        Where batches and augmentation come from.
    device : str
        "cpu" or "cuda".

    Raises
    ------
    ValueError
        If the network is unknown.

    Notes
    -----
    The small networks have the learning rate 0.06 with momentum 0.9, divided by 10 after a half and after three
    quarters. The paper's are trained as `prunekit.limit.tasks` says, with the knobs of rare gems' own program.
    """
    _checks.choice("network", network, (*SMALL, *PAPER))
    _checks.text("data", data)
    epochs = _checks.count("epochs", epochs, 2 if network in SMALL else 1)
    if network in SMALL:
        config = Config(
            epochs=epochs, batch_size=128, lr=0.06, momentum=0.9, schedule="multistep",
            milestones=(epochs // 2, 3 * epochs // 4), evaluate_every=epochs, seed=seed, device=device,
        )  # fmt: skip
        return config, SMALL[network]
    paper = PAPER[network]
    config = paper.config(epochs=epochs, l1=0.0, seed=seed, device=device, augment=data != "mnist")
    return config, Knobs(l1=paper.l1, score_rate=0.1, score_decay=6e-5, period=5 if epochs % 10 == 0 else 2)


def share_kept(network: str, data: str) -> float:
    """Return the share of the weights that is kept in the contest.

    For the digits it is the smallest of 2, 5 and 10% at which one-shot pruning lost at most three points against the
    dense network, on other seeds; else that of Table 3, and that of FC5 for what the table does not have.

    Parameters
    ----------
    network : str
        As for `build`.
    data : str
        Name of the data set.
    """
    _checks.choice("network", network, (*SMALL, *PAPER))
    if _checks.text("data", data) == "digits":
        return 0.1 if network == "CNN" else 0.05
    return TABLE_3.get((network, data), TABLE_3["fc5", "cifar10"]).kept / 100
