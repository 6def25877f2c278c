"""One network, all algorithms, one budget: the rows of a table like geometric's Table 3."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from prunekit import _checks
from prunekit.algorithms.at_random import random_mask, smart_ratio_mask, train_masked
from prunekit.algorithms.gems import rare_gems
from prunekit.algorithms.lottery import iterative_magnitude_pruning
from prunekit.algorithms.one_shot import global_one_shot
from prunekit.algorithms.results import Pruned, judged
from prunekit.masks import Keep
from prunekit.nets import Config, Dataset, evaluate, fit
from prunekit.nets.access import prunable
from prunekit.nets.data import dataset


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """What the algorithms have that a plain training has not.

    Attributes
    ----------
    l1 : float
        λ of one-shot pruning.
    score_rate, score_decay : float
        Learning rate and ℓ2 penalty of rare gems' scores.
    rounds : int
        Number of cuts of lottery tickets.
    period : int
        Epochs between two cuts of rare gems.
    """

    l1: float
    score_rate: float
    score_decay: float
    rounds: int = 3
    period: int = 2

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("l1", "score_decay"):
            object.__setattr__(self, name, _checks.scalar(name, getattr(self, name)))
        object.__setattr__(self, "score_rate", _checks.scalar("score_rate", self.score_rate, positive=True))
        for name in ("rounds", "period"):
            object.__setattr__(self, name, _checks.count(name, getattr(self, name)))


@dataclass(frozen=True)
class Outcome:
    """How one algorithm did.

    Attributes
    ----------
    algorithm : str
        One of `ALGORITHMS`.
    test_accuracy, train_accuracy : float
        Accuracies at the end; nan where a sample has not one class, and where nothing is held out.
    kept : int
        Weights that are left, of those that can be pruned.
    epochs : int
        Epochs of training, of weights or scores, in all.
    """

    algorithm: str
    test_accuracy: float
    train_accuracy: float
    kept: int
    epochs: int


ALGORITHMS = ("dense", "one-shot", "rare gems", "lottery tickets", "smart ratio", "random")
LONGER = ("rare gems, longer", "lottery tickets, longer")


def shortened(config: Config, epochs: int) -> Config:
    """Return a training of fewer epochs, or more, whose rates fall at the same parts of it.

    Raises
    ------
    ValueError
        If so few epochs are left that two milestones fall together.
    """
    judged("config", config)
    epochs = _checks.count("epochs", epochs)
    scaled = tuple(max(1, round(k * epochs / config.epochs)) for k in config.milestones)
    return replace(config, epochs=epochs, milestones=scaled, warmup=config.warmup * epochs // config.epochs)


def run_algorithm(
    algorithm: str,
    build: Callable[[], nn.Module],
    data: Any,
    config: Config,
    keep: Keep,
    knobs: Knobs,
) -> Outcome:
    """Train and prune one network by one algorithm, within the epochs of one training.

    Parameters
    ----------
    algorithm : str
        One of `ALGORITHMS`: "one-shot" trains for all the epochs and is not tuned after the cut; "rare gems" has half
        of them for the scores and half for the weights; "lottery tickets" shares them among its trainings and rewinds
        to the initialization; the others train once. One of `LONGER` will do too; there each training has all the
        epochs.
    build : callable
        () -> network at its initialization, the same every time.
    data : Dataset or batches
        What it is trained and evaluated on, as for `fit`.
    config : Config
        The training; its seed decides everything that is drawn.
    keep : int or float
        Count or fraction of the weights kept.
    knobs : Knobs
        The settings that only some algorithms have.

    Raises
    ------
    ValueError
        If the algorithm is unknown, the epochs cannot be shared, or smart ratios cannot keep so few.
    """
    _checks.choice("algorithm", algorithm, (*ALGORITHMS, *LONGER))
    _checks.function("build", build, "a function () -> network")
    data = dataset(data)
    _checks.instance("knobs", knobs, Knobs, "Knobs")
    judged("config", config)
    if algorithm == "dense":
        model = _built(build())
        fit(model, data, config)
        on = data.to(next(model.parameters()).device)
        train = evaluate(model, on, train=True)[1]
        test = evaluate(model, on)[1] if on.held_out else math.nan
        weights = sum(p.numel() for p in prunable(model).values())
        return Outcome(algorithm, test, train, weights, config.epochs)
    pruned = _pruned(algorithm, _built(build()), data, config, keep, knobs)
    return Outcome(algorithm, pruned.test_accuracy, pruned.train_accuracy, pruned.mask.kept, pruned.epochs)


def _built(built: Any) -> nn.Module:
    """Return what `build` returned, refusing what is no network."""
    return _checks.instance("what build returns", built, nn.Module, "a torch.nn.Module")


def _pruned(algorithm: str, model: nn.Module, data: Dataset, config: Config, keep: Keep, knobs: Knobs) -> Pruned:
    """Run one of the algorithms that prune."""
    if algorithm == "one-shot":
        return global_one_shot(model, data, replace(config, l1=knobs.l1), keep)
    if algorithm.startswith("rare gems"):
        part = config.epochs if algorithm in LONGER else config.epochs // 2
        tune = shortened(config, part)
        search = replace(
            tune, lr=knobs.score_rate, l2=knobs.score_decay, schedule="cosine", milestones=(),
            epochs=part - part % knobs.period, warmup=0,
        )  # fmt: skip
        return rare_gems(model, data, search, tune, keep, period=knobs.period, seed=config.seed)
    if algorithm.startswith("lottery tickets"):
        part = config.epochs if algorithm in LONGER else config.epochs // (knobs.rounds + 1)
        return iterative_magnitude_pruning(model, data, shortened(config, part), keep, rounds=knobs.rounds)
    choose = smart_ratio_mask if algorithm == "smart ratio" else random_mask
    return train_masked(model, data, config, choose(model, keep, config.seed), name=algorithm)
