"""What every algorithm returns, and how it keeps its record: one `Stage` a training, one mask a cut."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from prunekit import _checks
from prunekit.masks import Mask, scores
from prunekit.nets import Config, Fitted, History, access, evaluate, fit
from prunekit.nets.access import Names, State
from prunekit.nets.covered import said
from prunekit.nets.data import dataset


@dataclass(frozen=True, eq=False)
class Stage:
    """One training.

    Attributes
    ----------
    name : str
        What it was for: 'train', 'search', 'fine-tune', 'rewind', 'round 3', …
    trained : str
        'weights', or 'scores' of frozen weights.
    config : Config
        How it was trained.
    mask : Mask or None
        Which weights were there while it ran; None for all.
    start, end : mapping from name to tensor
        The network's parameters and buffers before and after, on the CPU. Where scores were trained, the weights are
        those the network computed with, zeros where the score rounded to 0.
    scores : mapping from name to tensor, or None
        Scores at the end, where scores were trained.
    cut : Mask or None
        What was kept of it in the cut that followed, if one did.
    history : History
        What happened, epoch by epoch.
    """

    name: str
    trained: str
    config: Config
    mask: Mask | None
    start: State
    end: State
    history: History
    scores: State | None = None
    cut: Mask | None = None

    @property
    def epochs(self) -> int:
        """Epochs that were run."""
        return len(self.history)


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned network and how it came about.

    Attributes
    ----------
    algorithm : str
        Its name.
    model : nn.Module
        The network that was given, as it ended, in evaluation mode.
    masks : tuple of Mask
        The masks after each cut, each within the one before.
    stages : tuple of Stage
        Every training, in order.
    rewound : mapping from name to tensor, or None
        The iterate that every round began from, before its mask, where the algorithm rewinds.
    train_accuracy, test_accuracy : float
        Accuracies of the network as it ended; nan where a sample has not one class, and where nothing is held out.
    train_loss, test_loss : float
        Its losses, by which it is measured where there is no accuracy; nan where nothing is held out.
    """

    algorithm: str
    model: nn.Module
    masks: tuple[Mask, ...]
    stages: tuple[Stage, ...]
    rewound: State | None
    train_accuracy: float
    test_accuracy: float
    train_loss: float = math.nan
    test_loss: float = math.nan

    def __repr__(self) -> str:
        """Say what is left, and how the network ended."""
        held = "" if math.isnan(self.test_accuracy) else f", held out {self.test_accuracy:.4g}"
        by_loss = math.isnan(self.train_accuracy)
        ended = f"loss {self.train_loss:.4g}" if by_loss else f"accuracy {self.train_accuracy:.4g}"
        left = f"{self.mask.kept:,} of {self.mask.total:,} weights kept"
        return f"Pruned({self.algorithm}: {left} after {self.epochs} epochs, {ended}{held}; {self.coverage})"

    @property
    def coverage(self) -> str:
        """Which share of the network's parameters the masks cover, and what the others are."""
        return said(self.model, self.mask)

    def to_frame(self) -> dict[str, list[Any]]:
        """Return one row a training in columns, which ``pandas.DataFrame`` takes as they are."""
        return {
            "stage": [stage.name for stage in self.stages],
            "trained": [stage.trained for stage in self.stages],
            "epochs": [stage.epochs for stage in self.stages],
            "kept after it": [stage.cut.kept if stage.cut else None for stage in self.stages],
        }

    @property
    def mask(self) -> Mask:
        """The last mask."""
        return self.masks[-1]

    @property
    def epochs(self) -> int:
        """Epochs of all trainings together: what the algorithm cost."""
        return sum(stage.epochs for stage in self.stages)


class Road:
    """The way of one network through trainings and cuts.

    Parameters
    ----------
    model : nn.Module
        The network, which is trained in place.
    data : Dataset or batches
        The data set, as for `fit`, which is moved to the device of the configurations.
    resume : path, optional
        A folder for checkpoints, one a training; after a kill the same call goes on from them.
    """

    def __init__(self, model: nn.Module, data: Any, resume: str | os.PathLike[str] | None) -> None:
        self.model = access.module(model)
        self.data = dataset(data)
        self.folder = None if resume is None else _checks.path("resume", resume)
        self.stages: list[Stage] = []
        self.masks: list[Mask] = []

    def checkpoint(self, name: str) -> Path | None:
        """Return where the next training keeps its checkpoint."""
        if self.folder is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{len(self.stages):02d}-{name.replace(' ', '-')}.safetensors"

    def train(self, name: str, config: Config, mask: Mask | None = None) -> Fitted:
        """Train the weights, and note it."""
        if mask is not None:
            mask.apply_(self.model)
        start = on_cpu(access.state(self.model))
        fitted = fit(self.model, self.data, config, masks=mask, resume=self.checkpoint(name))
        end = on_cpu(access.state(self.model))
        self.stages.append(Stage(name, "weights", config, mask, start, end, fitted.history))
        return fitted

    def cut(self, mask: Mask) -> None:
        """Remove weights, for good; the cut is noted with the training before it."""
        mask.apply_(self.model)
        self.masks.append(mask)
        if self.stages:
            self.stages[-1] = replace(self.stages[-1], cut=mask)

    def end(self, algorithm: str, rewound: State | None = None) -> Pruned:
        """Evaluate what has become of the network."""
        on = self.data.to(next(self.model.parameters()).device)
        train = evaluate(self.model, on, train=True)
        test = evaluate(self.model, on) if on.held_out else (math.nan, math.nan)
        return Pruned(
            algorithm, self.model, tuple(self.masks), tuple(self.stages), rewound, train[1], test[1], train[0], test[0]
        )


def trained_weights(model: nn.Module, parameters: Names | None) -> dict[str, Tensor]:
    """Return the weights that an algorithm prunes, refusing frozen ones, which no training would restore."""
    weights = scores.prunable(model, parameters)
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    frozen = [name for name in weights if name not in trainable]
    if frozen:
        raise ValueError(
            f"parameters holds {frozen[0]!r}, which is frozen: give names of trainable parameters, of "
            f"{', '.join(trainable) or 'which the model has none'}"
        )
    return weights


def judged(name: str, config: Any) -> Config:
    """Return a configuration, refusing what is none."""
    return _checks.instance(name, config, Config, "a prunekit.nets.Config")


def on_cpu(state: State) -> State:
    """Return a state on the CPU."""
    return {name: t.cpu() for name, t in state.items()}
