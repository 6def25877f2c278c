"""How a network is trained: one frozen record, checked when it is made."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunekit import _checks
from prunekit._checks import Floats

_CHOICES = {
    "optimizer": ("sgd", "adam"),
    "schedule": ("constant", "cosine", "multistep", "exponential"),
    "penalize": ("weights", "all"),
    "precision": ("float32", "bf16"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What `fit` does with a network.

    Parameters
    ----------
    epochs : int
        The most passes over the training set.
    batch_size : int
        Examples a step; the last batch of an epoch may be smaller.
    optimizer : str
        'sgd' or 'adam'.
    lr : float
        Learning rate, above 0; the schedule's highest.
    momentum : float
        Momentum of SGD, from 0 to below 1.
    betas, eps : (float, float), float
        Settings of Adam.
    schedule : str
        'constant', 'cosine' (to 0 after the last epoch), 'multistep' (times `gamma` at each of `milestones`) or
        'exponential' (times `gamma` each epoch). The rate changes between epochs only, unless `per_batch` is set.
    warmup : int
        Epochs of a linear climb, epoch e at (e + 1) / (warmup + 1) of `lr`; the schedule starts after them.
    milestones, gamma : tuple of int, float
        Settings of 'multistep' and 'exponential'; milestones count from the end of the climb.
    per_batch : bool
        Whether the schedule takes its steps after every batch, so that `epochs` and `milestones` count batches to it:
        a cosine falls for as many batches as there are epochs, rises for as many, and so on; the climb begins at 0 and
        ends after the batches of `warmup` epochs. So geometric's authors run it: `batch_rates`.
    l1, l2 : float
        Penalties l1 |w|₁ + l2 |w|² / 2 added to the mean loss (l2 is SGD's weight decay).
    penalize : str
        What w is: 'weights' (matrices and kernels) or 'all' (biases and batch norms too).
    crop : int
        Augmentation: pad by this many zeros and cut a random window of the old size; 0 for none.
    flip : bool
        Augmentation: mirror half of the images.
    interpolation : float, optional
        Stop as soon as all training examples are classified rightly and the mean training loss is below this
        (`math.inf`: accuracy alone decides). This is checked after an epoch, without augmentation, when it is
        evaluated.
    evaluate_every : int
        Evaluate both splits after every so many epochs, and after the last.
    average : int
        Further steps after the stop, at the last learning rate, whose iterates are averaged.
    seed : int
        Decides the order of the batches and the augmentation.
    device : str
        'cpu' or 'cuda'; never changed silently.
    precision : str
        'float32', or 'bf16' for autocast.
    channels_last : bool, optional
        Memory format of images and kernels while `fit` trains. None: on the CPU, for networks whose convolutions
        have at most 64 filters each, which train faster so (`tests/benchmarks/bench_nets.py` measures it). The
        library's own networks on small images, whose gradient is written out, have a format of their own in any case.
    compile : bool
        Whether the network goes through `torch.compile`.
    checkpoint_every : int
        Epochs between checkpoints, where `fit` keeps one.

    Raises
    ------
    ValueError, TypeError
        For a value out of its range, or of the wrong kind.

    Examples
    --------
    >>> config = Config(epochs=10, lr=0.1, momentum=0.9)
    >>> config.optimizer, config.batch_size
    ('sgd', 100)
    """

    epochs: int
    batch_size: int = 100
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: str = "constant"
    warmup: int = 0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    per_batch: bool = False
    l1: float = 0.0
    l2: float = 0.0
    penalize: str = "weights"
    crop: int = 0
    flip: bool = False
    interpolation: float | None = None
    evaluate_every: int = 1
    average: int = 0
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool | None = None
    compile: bool = False
    checkpoint_every: int = 1

    def __post_init__(self) -> None:
        """Check every field."""
        for name, low in (("epochs", 1), ("batch_size", 1), ("evaluate_every", 1), ("checkpoint_every", 1)):
            self._set(name, _checks.count(name, getattr(self, name), low))
        for name in ("warmup", "crop", "average"):
            self._set(name, _checks.count(name, getattr(self, name), 0))
        self._set("seed", _checks.count("seed", self.seed, 0, 2**32 - 1))
        for name, positive in (("lr", True), ("eps", True), ("gamma", True), ("l1", False), ("l2", False)):
            self._set(name, _checks.scalar(name, getattr(self, name), positive=positive))
        for name, choices in _CHOICES.items():
            _checks.choice(name, getattr(self, name), choices)
        for name in ("flip", "channels_last", "compile", "per_batch"):
            if not isinstance(getattr(self, name), bool) and not (
                name == "channels_last" and self.channels_last is None
            ):
                raise TypeError(f"{name} is {getattr(self, name)!r}: give True or False")
        self._set("device", str(self.device))  # a torch.device will do
        if self.device.partition(":")[0] not in ("cpu", "cuda"):
            raise ValueError(f"device is {self.device!r}: give 'cpu' or 'cuda'")
        self._judge_rates()
        self._judge_schedule()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _judge_rates(self) -> None:
        """Check what lies between 0 and 1, and the loss bound."""
        for name in ("betas", "milestones"):
            if not isinstance(getattr(self, name), tuple | list):
                raise TypeError(f"{name} is {getattr(self, name)!r}: give a tuple")
        if len(self.betas) != 2:
            raise ValueError(f"betas is {self.betas!r}: give two numbers from 0 to below 1")
        self._set("betas", tuple(_checks.scalar("betas", b) for b in self.betas))
        self._set("momentum", _checks.scalar("momentum", self.momentum))
        for name, values in (("momentum", (self.momentum,)), ("betas", self.betas)):
            if max(values) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give numbers from 0 to below 1")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum is {self.momentum}, but optimizer is {self.optimizer!r}: its momentum is betas")
        unbounded = isinstance(self.interpolation, float) and self.interpolation == math.inf
        if self.interpolation is not None and not unbounded:
            self._set("interpolation", _checks.scalar("interpolation", self.interpolation, positive=True))

    def _judge_schedule(self) -> None:
        """Check the schedule's own numbers."""
        self._set("milestones", tuple(_checks.count("milestones", k) for k in self.milestones))
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones is {self.milestones}: give epochs in increasing order")
        if bool(self.milestones) != (self.schedule == "multistep"):
            raise ValueError(f"milestones is {self.milestones}, but schedule is {self.schedule!r}: they go together")
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup is {self.warmup}: give fewer than the {self.epochs} epochs")


def learning_rate(config: Config, epoch: int) -> float:
    """Return the learning rate of an epoch, the first being 0.

    Raises
    ------
    ValueError
        If the rate changes with each batch.
    """
    if config.per_batch:
        raise ValueError("config has per_batch=True, with which an epoch has many rates: take batch_rates")
    if epoch < config.warmup:
        return config.lr * (epoch + 1) / (config.warmup + 1)
    later = epoch - config.warmup
    if config.schedule == "cosine":
        return config.lr * (1 + math.cos(math.pi * later / (config.epochs - config.warmup))) / 2
    if config.schedule == "multistep":
        return config.lr * config.gamma ** sum(later >= k for k in config.milestones)
    if config.schedule == "exponential":
        return float(config.lr * config.gamma**later)
    return config.lr


@functools.lru_cache(maxsize=8)
def batch_rates(config: Config, batches: int) -> Floats:
    """Return the learning rates of all batches of a training whose schedule takes its steps batch by batch.

    Both schedulers of the program of geometric's authors are torch's, and each changes the rate that the other left: in
    the warm-up the climb sets it and the schedule multiplies it by its own step; after it the schedule goes on from
    where the climb ended. Source: their program, trainer.py and utils.py.

    Parameters
    ----------
    config : Config
        A training with `per_batch`.
    batches : int
        Batches of an epoch.

    Returns
    -------
    (epochs · batches,) array
        The rates; not writable.
    """
    if not _checks.instance("config", config, Config, "a prunekit.nets.Config").per_batch:
        raise ValueError("config has per_batch=False, with which an epoch has one rate: take learning_rate")
    batches = _checks.count("batches", batches)
    climb = config.warmup * batches
    rates = np.empty(config.epochs * batches)
    rate = 0.0 if climb else config.lr
    for taken in range(rates.size):
        rates[taken] = rate
        rate = _stepped(config, config.lr * (taken + 1) / climb if taken < climb else rate, taken + 1)
    rates.flags.writeable = False
    return rates


def _stepped(config: Config, rate: float, step: int) -> float:
    """Return what a schedule makes of a rate in its step of that number, as torch's schedulers do."""
    if config.schedule == "multistep":
        return rate * config.gamma if step in config.milestones else rate
    if config.schedule == "exponential":
        return rate * config.gamma
    if config.schedule == "constant":
        return rate
    turn = math.pi / config.epochs
    if step % (2 * config.epochs) == (config.epochs + 1) % (
        2 * config.epochs
    ):  # the rate was 0, and no factor moves it
        return rate + config.lr * (1 - math.cos(turn)) / 2
    return rate * (1 + math.cos(turn * step)) / (1 + math.cos(turn * (step - 1)))
