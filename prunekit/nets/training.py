"""Training one network: `fit`, what it returns, and how it survives being killed.

Randomness comes from the seed alone: batch order and augmentation come from a generator of their own, on the CPU
whatever the device, whose state is in the checkpoint. On the CPU, with one thread, one seed gives one network, bit for
bit, killed and resumed or not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prunekit import _checks
from prunekit._system import bars
from prunekit.nets import access, checkpoint, door, engine, keeping
from prunekit.nets.arguments import Masks, check_kinds, check_masks, check_scores, rehearse, structure
from prunekit.nets.config import Config, learning_rate
from prunekit.nets.data import Dataset, dataset, find_device
from prunekit.nets.engine import Engine, Learner, Row
from prunekit.nets.losses import objective
from prunekit.nets.steps import Named

__all__ = ["Config", "Diverged", "Fitted", "History", "evaluate", "fit", "learning_rate"]

_NARROW = 64  # filters up to which a convolution on the CPU is faster with channels last
COLUMNS = (
    "epoch", "learning_rate", "running_loss", "running_accuracy",
    "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class History:
    """A tidy table, one row an epoch, that ``pandas.DataFrame(history.rows)`` takes as it is.

    Columns: `epoch` (from 1), `learning_rate`, `running_loss` and `running_accuracy` (means over the batches, as
    they were met), `train_loss`, `train_accuracy`, `test_loss`, `test_accuracy` (after the epoch, without
    augmentation or penalty; None where not evaluated), `seconds` (wall time, evaluation included). Accuracies are None
    where a sample has not one class, and the test split's columns where nothing is held out.
    """

    rows: tuple[Row, ...]

    def __repr__(self) -> str:
        """Say how many epochs there are."""
        return f"History({len(self.rows)} epochs)"

    def to_frame(self) -> dict[str, NDArray[np.float64]]:
        """Return the columns, which ``pandas.DataFrame`` takes as they are; NaN where nothing was evaluated."""
        return {name: self[name] for name in COLUMNS}

    def __len__(self) -> int:
        """Count the epochs."""
        return len(self.rows)

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        """Return a column as an array, NaN where it was not evaluated."""
        if column not in COLUMNS:
            raise KeyError(f"column is {column!r}: give one of {', '.join(COLUMNS)}")
        values = [row[column] for row in self.rows]
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)

    def without(self, *columns: str) -> tuple[Row, ...]:
        """Return the rows without some columns; without 'seconds' they depend on the seed alone."""
        return tuple({k: v for k, v in row.items() if k not in columns} for row in self.rows)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network.

    Parameters
    ----------
    model : nn.Module
        The network that was given to `fit`, with its last weights, in evaluation mode.
    history : History
        What happened, epoch by epoch.
    stopped : str
        'interpolation' or 'epochs'; from `fit_many` also 'diverged', and then `model` is as it was before the epoch
        in which it diverged.
    averaged : dict, optional
        Mean of the last iterates, parameter by parameter, where the configuration asks for it.
    """

    model: nn.Module
    history: History
    stopped: str
    averaged: Named | None = None

    def __repr__(self) -> str:
        """Say how the training ended."""
        last = {name: value for name, value in self.history.rows[-1].items() if "loss" in name or "accuracy" in name}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if value is not None)
        return f"Fitted({len(self.history)} epochs, stopped by {self.stopped!r}: {shown})"


class Diverged(FloatingPointError):
    """Training left the finite numbers; `history` tells how, and the network is as it was before."""

    def __init__(self, history: History, *, averaging: bool = False) -> None:
        self.history = history
        last = history.rows[-1]
        where = "in the steps to be averaged after" if averaging else "in"
        back = "is as that epoch left it" if averaging else "is back to where that epoch began"
        super().__init__(
            f"training diverged {where} epoch {last['epoch']} at learning rate {last['learning_rate']:.4g} (running "
            f"loss {last['running_loss']}): the network {back}; give a smaller lr"
        )


def fit(
    model: nn.Module,
    data: Any,
    config: Config,
    *,
    masks: Masks | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Fitted:
    """Train a network in place, by cross-entropy or by what its data say.

    Parameters
    ----------
    model : nn.Module
        The network, which takes images (b, c, h, w), or other inputs, and gives scores (b, classes), or what the loss
        of the data takes. It is moved to the configuration's device.
    data : Dataset or batches
        The data set, which is moved there too, as a whole. Anything else that yields batches (a DataLoader, a pair, a
        list of mappings: `Dataset.from_loader`) is read once, and all of it is trained on: nothing is held out, so
        that the columns of the test split hold None. A loss that is no cross-entropy is said by the `Dataset`.
    config : Config
        How it is trained.
    masks : mapping, optional
        Names of parameters to boolean tensors of their shapes. Where one is False the weight is exactly 0 from the
        start to the end, and the optimizer never sees it.
    resume : path, optional
        A checkpoint. If the file is there, training goes on from it, and must be the training it was written for
        (configuration, data, masks and initial weights); if not, it starts. Checkpoints are written there after
        every `config.checkpoint_every` epochs and at the end. A training that is done is not repeated. Without a path,
        a training inside `prunekit record run` keeps one by itself, every minute.
    progress : bool, optional
        Whether to show a bar with epoch, loss and time left; by default where somebody looks (a terminal, one's
        own notebook), after five seconds.

    Returns
    -------
    Fitted
        The network and its history.

    Raises
    ------
    Diverged
        If a loss, a weight or a batch norm's statistic is no longer finite.
    CheckpointError
        If the checkpoint is damaged, foreign, or of another training, or another process trains with it right now.
    ValueError, TypeError
        For a network that cannot take the images or be trained, masks that do not fit, or a device that is not there.

    Examples
    --------
    >>> from prunekit.nets import Config, evaluate, load, models
    >>> digits = load("digits", seed=0)
    >>> model = models.fcn(digits.inputs, [16], digits.classes, seed=0)
    >>> fitted = fit(model, digits, Config(epochs=3, batch_size=128, lr=0.1, momentum=0.9))
    >>> evaluate(model, digits)[1] > 0.7  # accuracy on the test split
    True
    """
    data = dataset(data)
    check_kinds(model, data, config)
    device = find_device(config.device)
    on = data.to(device)
    rehearse(model.to(device), on, config)
    config = replace(config, channels_last=_channels_last(model, on, config))
    as_given = all(p.is_contiguous() for p in model.parameters())
    if config.channels_last:
        model.to(memory_format=torch.channels_last)
    try:
        kept = None if resume is None else _checks.path("resume", resume)
        return _fit(model, on, config, {} if masks is None else masks, kept, progress)
    finally:
        model.eval()
        if config.channels_last and as_given:
            model.to(memory_format=torch.contiguous_format)


def _fit(
    model: nn.Module,
    data: Dataset,
    config: Config,
    masks: Masks,
    resume: str | os.PathLike[str] | None,
    progress: bool | None,
) -> Fitted:
    """Train a network that lies where and how the configuration wants it."""
    shape = data.shape if data.of_images else None
    learner = Learner(door.called(model, data.entries), config, shape, objective(data), data.classifies)
    checked = check_masks(learner.weights, masks)
    unasked = resume is None and keeping.folder() is not None
    identity = _identity(learner, data, config, checked) if unasked or resume is not None else {}
    path = keeping.path("training", identity) if resume is None else Path(resume)
    with checkpoint.claimed(path):
        run = _Run(learner, data, config, checked, path, identity, unasked)
        with bar(config, progress, done=run.engine.epoch) as shown:
            while run.stopped is None:
                run.epoch()
                advance_bar(shown, run.engine.rows)
        history = History(tuple(run.engine.rows[0]))
        if run.stopped == "diverged":
            raise Diverged(history)
        averaged = run.average() if config.average else None
    if config.average and averaged is None:
        raise Diverged(history, averaging=True)
    return Fitted(model, history, run.stopped, averaged)


def _channels_last(model: nn.Module, data: Dataset, config: Config) -> bool:
    """Decide on the memory format where the configuration leaves it open, and where a chain has its own."""
    if not data.of_images or engine.suiting_chain(model, config, data.shape):
        return False
    if config.channels_last is not None:
        return config.channels_last
    filters = [part.out_channels for part in model.modules() if isinstance(part, nn.Conv2d)]
    return data.device.type == "cpu" and 0 < max(filters, default=0) <= _NARROW


def evaluate(model: nn.Module, data: Any, *, train: bool = False) -> tuple[float, float]:
    """Return mean loss and accuracy on the test split, or the training split, where `data` is.

    The network is left in evaluation mode, on the data's device.

    Parameters
    ----------
    model : Module
        The network.
    data : Dataset or batches
        What it is evaluated on, by the loss that the data say: of classes, the cross-entropy. Batches
        (`Dataset.from_loader`) are read once and count as a whole, whatever `train` says.
    train : bool
        Whether the training split counts.

    Returns
    -------
    (float, float)
        The mean loss, and the accuracy; nan where a sample has not one class.

    Raises
    ------
    FloatingPointError
        If the loss is not finite.

    Examples
    --------
    >>> from prunekit.nets import load, models
    >>> digits = load("digits", seed=0)
    >>> loss, accuracy = evaluate(models.fcn(digits.inputs, [16], digits.classes, seed=0), digits)
    >>> accuracy < 0.3  # before training it guesses, one class of ten
    True
    """
    data = dataset(data)
    access.module(model)
    train = _checks.flag("train", train)
    config = Config(epochs=1, device=str(data.device))
    check_scores(model.to(data.device), data)
    learner = Learner(door.called(model, data.entries), config, loss=objective(data), classifies=data.classifies)
    model.eval()
    (loss,), (accuracy,) = engine.score(learner, data, config, train=train)
    if not math.isfinite(loss):
        raise FloatingPointError(f"loss is {loss}: give a model of finite weights and scores")
    return loss, accuracy


def bar(config: Config, progress: bool | None, done: int = 0) -> Any:
    """Return a progress bar over epochs."""
    return bars.bar("fit", config.epochs, "epochs", progress, done=done)


def advance_bar(shown: Any, rows: Iterable[list[Row]]) -> None:
    """Show one more epoch, with the mean of the running losses."""
    losses = [float(each[-1]["running_loss"] or 0.0) for each in rows]
    shown.set_postfix_str(f"loss={sum(losses) / len(losses):.4g}", refresh=False)
    shown.update()


class _Run:
    """A training with its checkpoint, from scratch or from where it was killed."""

    def __init__(
        self,
        learner: Learner,
        data: Dataset,
        config: Config,
        masks: Named,
        path: Path | None,
        identity: dict[str, Any],
        unasked: bool,
    ) -> None:
        self.path, self.config, self.identity = path, config, identity
        self.averaged: Named | None = None
        self.stopped: str | None = None
        self.turn = keeping.Turn() if unasked else None
        if path is None or not path.exists():
            self.engine = Engine(learner, data, [config], masks)
        else:
            tensors, record = checkpoint.read(path)
            checkpoint.match(path, record["identity"], self.identity)  # before the engine applies the masks
            self.engine = Engine(learner, data, [config], masks)
            self._take_up(tensors, record)
        self.engine.pulse = self._pulse if unasked else None

    def epoch(self) -> None:
        """Train for one epoch, and write a checkpoint when one is due."""
        (self.stopped,) = self.engine.advance()
        every = None if self.turn else self.config.checkpoint_every
        if self.stopped is not None or (every and self.engine.epoch % every == 0):
            self._save()

    def _pulse(self) -> None:
        """Write a checkpoint within an epoch, when one is due."""
        assert self.turn is not None
        if self.turn.due():
            self._save()
            self.turn.written()

    def average(self) -> Named | None:
        """Return the mean of the last iterates, computed now or before a kill; None where they diverge."""
        if self.averaged is None:
            (mean,) = self.engine.tail()
            if mean is None:
                return None
            self.averaged = {name: t.contiguous() for name, t in mean.items()}
            self._save()
        return self.averaged

    def _save(self) -> None:
        """Write the checkpoint."""
        if self.path is None:
            return
        averaged = {f"averaged/{name}": t for name, t in (self.averaged or {}).items()}
        tensors = keeping.state(self.engine) | averaged
        record = {
            "identity": self.identity,
            "epoch": self.engine.epoch,
            "taken": self.engine.taken,
            "stopped": self.stopped,
            "history": self.engine.rows[0],
        }
        checkpoint.write(self.path, tensors, record)

    def _take_up(self, tensors: Named, record: dict[str, Any]) -> None:
        """Take up the state of a checkpoint of this very training."""
        keeping.take_up(self.engine, tensors)
        means = {name.split("/", 1)[1]: t for name, t in tensors.items() if name.startswith("averaged/")}
        self.averaged = {name: t.to(self.engine.data.device) for name, t in means.items()} or None
        self.engine.epoch, self.engine.taken = record["epoch"], record["taken"]
        self.engine.rows = [record["history"]]
        self.stopped = record["stopped"]


def _identity(learner: Learner, data: Dataset, config: Config, masks: Named) -> dict[str, Any]:
    """Return what tells a training from others; it is taken before the first step."""
    named = learner.weights | learner.rest
    return {
        "config": asdict(config),
        "data": {"name": data.name, "checksum": data.checksum},
        "shapes": {name: list(t.shape) for name, t in named.items()},
        "initial weights": checkpoint.digest(named),
        "masks": checkpoint.digest(masks),
        "modules": structure(learner.model),
    }
