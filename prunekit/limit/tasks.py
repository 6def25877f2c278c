"""The networks of geometric's eight tasks (Tables 1 and 2), how its authors train them, and three small ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from prunekit import _checks
from prunekit.nets import Config, Dataset, models

EPOCHS, BATCH, MOMENTUM = 200, 128, 0.9


@dataclass(frozen=True)
class PaperNetwork:
    """One of the paper's networks.

    Attributes
    ----------
    build : callable
        (data, seed) -> network.
    data : str
        The data set it is trained on; `prunekit.nets.load` knows the name.
    lr, l1 : float
        Learning rate, and weight of the ℓ1 penalty.
    warmup : int
        Epochs of warm-up.
    schedule : str
        How the learning rate changes.
    """

    build: Callable[[Dataset, int], nn.Module]
    data: str
    lr: float
    l1: float
    warmup: int = 0
    schedule: str = "constant"

    def config(
        self,
        *,
        epochs: int = EPOCHS,
        l1: float | None = None,
        lr: float | None = None,
        augment: bool = True,
        per_batch: bool = False,
        seed: int = 0,
        device: str = "cpu",
    ) -> Config:
        """Return the training: SGD with momentum 0.9, batches of 128, no weight decay, ℓ1 on all parameters.

        Parameters
        ----------
        epochs : int
            Number of epochs; 200 in the paper.
        l1, lr : float, optional
            Values to take in place of the paper's.
        augment : bool
            Whether images are cropped, from a frame of 4 pixels, and mirrored at random, as the program does.
        per_batch : bool
            Whether the learning rate changes with each batch, as in the program, and not with each epoch.
        seed : int
            Where batches and augmentation come from.
        device : str
            "cpu" or "cuda".

        Notes
        -----
        Source: the configuration files of the authors' program (github.com/QiaozheZhang/Global-One-shot-Pruning,
        configs). Warm-up and cosine go by epochs here, unless `per_batch` is set, and a training that is too short for
        the warm-up has a shorter one. The program steps its cosine once a batch, so that the rate falls for 200 batches
        and rises for the next 200, and AlexNet's milestones, 60, 120 and 160 steps, pass unseen during the warm-up.
        There is no file for TinyImageNet, so that of CIFAR-100 is taken for it.
        """
        epochs, augment = _checks.count("epochs", epochs), _checks.flag("augment", augment)
        return Config(
            epochs=epochs,
            batch_size=BATCH,
            lr=self.lr if lr is None else lr,
            momentum=MOMENTUM,
            schedule=self.schedule,
            warmup=min(self.warmup, epochs - 1),
            per_batch=_checks.flag("per_batch", per_batch),
            l1=self.l1 if l1 is None else l1,
            penalize="all",
            crop=4 if augment else 0,
            flip=augment,
            evaluate_every=epochs,
            seed=seed,
            device=device,
        )


def _resnet(data: str, lr: float, l1: float, build: Callable[..., nn.Module]) -> PaperNetwork:
    return PaperNetwork(lambda d, seed: build(d.classes, seed=seed), data, lr, l1, warmup=5, schedule="cosine")


PAPER: Mapping[str, PaperNetwork] = {
    "fc5": PaperNetwork(lambda d, seed: models.fc5(d.inputs, d.classes, seed=seed), "cifar10", 0.01, 5e-5),
    "fc12": PaperNetwork(lambda d, seed: models.fc12(d.inputs, d.classes, seed=seed), "cifar10", 0.01, 5e-5),
    "alexnet": PaperNetwork(
        lambda d, seed: models.alexnet(d.classes, enlarged=d.shape[1:] == (32, 32), seed=seed),
        "cifar10",
        0.01,
        3e-5,
        warmup=5,
    ),
    "vgg16": PaperNetwork(lambda d, seed: models.vgg16_bn(d.classes, seed=seed), "cifar10", 0.01, 1e-4, warmup=5),
    "resnet18": _resnet("cifar100", 0.1, 5e-5, models.resnet18),
    "resnet50": _resnet("cifar100", 0.1, 2e-5, models.resnet50),
    "resnet18-tiny-imagenet": _resnet("tiny-imagenet", 0.1, 5e-5, models.resnet18),
    "resnet50-tiny-imagenet": _resnet("tiny-imagenet", 0.1, 2e-5, models.resnet50),
}

# ReLU networks without biases on 8 x 8 digits, so small that each Hessian is computed entry by entry; ℓ1 as in FC5.
SMALL: Mapping[str, PaperNetwork] = {
    "MLP": PaperNetwork(lambda d, seed: models.fcn(d.inputs, [16], d.classes, seed=seed), "digits", 0.05, 5e-5),
    "deep MLP": PaperNetwork(
        lambda d, seed: models.fcn(d.inputs, [16, 12, 10], d.classes, seed=seed), "digits", 0.05, 5e-5
    ),
    "CNN": PaperNetwork(
        lambda d, seed: models.cnn(d.shape, [4, "M", 6, "M"], d.classes, seed=seed), "digits", 0.05, 5e-5
    ),
}


def l1_path(config: Config, images: int) -> float:
    """Return how far the ℓ1 penalty alone would move a weight in a training: λ times the sum of all steps' lengths.

    A step's length counts as learning rate over 1 - momentum. For the paper's FC5 on CIFAR-10 it is 0.39. Shorter
    trainings with the same path give the penalty the same reach, if the learning rate is constant.

    Parameters
    ----------
    config : Config
        A training with a constant schedule.
    images : int
        Number of training images.

    Raises
    ------
    ValueError
        If the learning rate changes.
    """
    _checks.instance("config", config, Config, "a prunekit.nets.Config")
    if config.schedule != "constant" or config.warmup:
        raise ValueError(f"schedule of config is {config.schedule!r}: give a training at a constant learning rate")
    steps = config.epochs * -(-_checks.count("images", images) // config.batch_size)
    return config.l1 * config.lr * steps / (1 - config.momentum)
