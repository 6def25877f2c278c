"""What is diagnosed: a copy of the network in evaluation mode, samples to predict from, samples to measure on.

The reader's network is never touched. Its samples are divided at random: one half is known to the predictions, the
other is held out from them. Whether the network was trained on the held-out half only the reader knows, who can give
other samples as `held_out`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit.curvature import twice
from prunekit.nets import access, door
from prunekit.nets.covered import Coverage, coverage
from prunekit.nets.data import Dataset
from prunekit.nets.losses import Mean
from prunekit.nets.objectives import Own
from prunekit.nets.splits import TrainingSplit
from prunekit.nets.structure import Rows

Batch = tuple[tuple[Any, ...], Tensor]
GROUPS = 32  # into which held-out samples are cut; the spread of their losses is the error of what is measured


@dataclass(frozen=True, eq=False)
class Losses:
    """Losses by group of samples, and how many are right where samples have one label of several classes.

    Attributes
    ----------
    values, weights : (G,) arrays
        The mean loss of each group, and with what weight it counts.
    right : (G,) array or None
        Share of each group that is classified rightly.
    """

    values: Floats
    weights: Floats
    right: Floats | None = None

    @property
    def mean(self) -> float:
        """The mean loss."""
        return float(np.average(self.values, weights=self.weights))

    @property
    def accuracy(self) -> float | None:
        """Share that is classified rightly."""
        return None if self.right is None else float(np.average(self.right, weights=self.weights))

    def without(self) -> Floats:
        """Return the mean loss (G,) without each of the groups, for a jackknife."""
        total = float(self.weights.sum())
        return np.asarray((total * self.mean - self.values * self.weights) / (total - self.weights))


@dataclass(eq=False)
class Subject:
    """A network and its samples, as every part of a diagnosis uses them.

    Attributes
    ----------
    model : Module
        The copy, in evaluation mode and single precision or more. Its weights are changed while something is measured
        and put back afterwards.
    loss : Mean
        The loss.
    known, held : list of batches
        What predictions are made from, and what is measured on.
    coverage : Coverage
        What is pruned, and what is left alone for which reason.
    kind : str
        The type of the reader's weights, where they were converted; empty otherwise.
    """

    model: nn.Module
    loss: Mean
    known: list[Batch]
    held: list[Batch]
    coverage: Coverage
    kind: str = ""
    weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of what is pruned."""
        return list(self.weights)

    @property
    def total(self) -> int:
        """Number of weights that can be pruned."""
        return sum(w.numel() for w in self.weights.values())

    @property
    def device(self) -> torch.device:
        """Where the copy is."""
        return access.device(self.weights)

    def model_width(self) -> int:
        """Return the inputs of the last layer that is pruned."""
        return int(self.weights[self.names[-1]][0].numel())

    def losses(self, batches: list[Batch], changed: Mapping[str, Tensor] | None = None) -> Losses:
        """Return the losses on some samples, with other values for some weights.

        Raises
        ------
        FloatingPointError
            If a loss is not finite.
        """
        parameters = dict(self.model.named_parameters())
        before = {name: parameters[name].detach().clone() for name in changed or {}}
        size = max(1, -(-samples(batches) // GROUPS))
        rows: list[tuple[float, float, float | None]] = []
        with torch.no_grad():
            try:
                for name, value in (changed or {}).items():
                    parameters[name].copy_(value)
                for inputs, labels in self.cut(batches, size):
                    with access.taking(inputs):
                        outputs = self.model(*inputs)
                    rows.extend(self._rows(outputs, labels, size))
            finally:
                for name, value in before.items():
                    parameters[name].copy_(value)
        values, weights, right = zip(*rows, strict=True)
        classified = None if right[0] is None else np.array(right, dtype=float)
        return Losses(np.array(values), np.array(weights), classified)

    @property
    def has_own_loss(self) -> bool:
        """Whether the network computes its loss itself, for a batch as a whole."""
        return isinstance(self.loss.given, Own)

    def cut(self, batches: list[Batch], size: int) -> list[Batch]:
        """Return batches of at most so many samples where only a whole batch has a loss; others as they are."""
        if not self.has_own_loss:
            return batches
        return [
            part(batch, torch.arange(at, min(at + size, len(batch[1])))) if is_cut(batch) else batch
            for batch in batches
            for at in (range(0, len(batch[1]), size) if is_cut(batch) else (0,))
        ]

    def _rows(self, outputs: Any, labels: Tensor, size: int) -> Iterator[tuple[float, float, float | None]]:
        """Yield loss, weight and share of right ones of each group of a batch."""
        for some, marks in self._groups(outputs, labels, size):
            weight = self.loss.weight(marks)
            if weight > 0:
                yield float(self.loss(some, marks)), weight, _right(some, marks)

    def _groups(self, outputs: Any, labels: Tensor, size: int) -> list[tuple[Any, Tensor]]:
        """Return outputs and labels in groups of so many samples; whole, where outputs are no rows."""
        if self.has_own_loss:
            return [(outputs, labels)]
        try:
            rows = Rows(outputs, len(labels))
        except ValueError:
            return [(outputs, labels)]
        flat = rows.flat(outputs)
        return [(rows.join(flat[at : at + size]), labels[at : at + size]) for at in range(0, len(labels), size)]


def _right(outputs: Any, labels: Tensor) -> float | None:
    """Return the share of samples classified rightly, where outputs are scores of classes."""
    scores = outputs.get("logits") if isinstance(outputs, Mapping) else outputs
    if not isinstance(scores, Tensor) or scores.ndim != 2 or labels.ndim != 1 or scores.shape[1] < 2:
        return None
    if labels.is_floating_point() or labels.dtype == torch.bool:
        return None
    return float((scores.argmax(dim=1) == labels).double().mean())


def samples(batches: list[Batch]) -> int:
    """Return the number of samples."""
    return sum(len(labels) for _, labels in batches)


def first(batches: list[Batch], count: int) -> list[Batch]:
    """Return so many samples, or a few more where a batch cannot be cut."""
    taken: list[Batch] = []
    for batch in batches:
        missing = count - samples(taken)
        if missing <= 0:
            break
        taken.append(part(batch, torch.arange(min(missing, len(batch[1])))) if is_cut(batch) else batch)
    return taken


def is_cut(batch: Batch) -> bool:
    """Tell whether a batch can be cut: each of its inputs has a row a sample."""
    inputs, labels = batch
    return all(isinstance(x, Tensor) and x.ndim and len(x) == len(labels) for x in inputs)


def part(batch: Batch, rows: Tensor) -> Batch:
    """Return some samples of a batch."""
    inputs, labels = batch
    rows = rows.to(labels.device)
    return tuple(x[rows] for x in inputs), labels[rows]


def prepared(
    model: nn.Module, data: Any, loss: Any, held_out: Any = None, *, most: int = 4096, seed: Seed = 0
) -> Subject:
    """Return a network and data as a diagnosis uses them.

    Parameters
    ----------
    model : Module
        The network; it is not changed.
    data, held_out : batches or Dataset
        What `nets.door.opened` takes. Without `held_out` the samples are halved at random; of a Dataset the test split
        is held out.
    loss : callable, str or None
        The loss, as `nets.door.opened` takes it.
    most : int
        Samples that are read, of `data` and of `held_out` each.
    seed : int
        Where the halving comes from.

    Raises
    ------
    TypeError, ValueError
        If the network cannot run on the data, there are no labels or one class only, or fewer than two samples.
    FloatingPointError
        If the loss is not finite.
    """
    module = access.module(model)
    if isinstance(data, Dataset):
        if held_out is None and len(data.test_y):
            held_out = (data.normalize(data.test_x[:most]), data.test_y[:most])
        data = TrainingSplit(data)
    covered = coverage(module)
    access.prunable(module)
    before = torch.get_rng_state(), np.random.get_state()
    try:
        opened = door.opened(module, data, loss)
        twin, kind = _single(twice.duplicate(opened.model).eval()), _short(module)
        device = access.device(dict(twin.named_parameters()))
        known = _read(opened.data, device, most, twin)
        if held_out is None:
            known, held = _halved(known, _checks.generator(seed))
        else:
            with _called("held_out"):
                held = _read(door.opened(module, held_out, loss).data, device, most, twin)
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
    for p in twin.parameters():
        p.requires_grad_(False)
    weights = {name: p.detach().clone() for name, p in access.prunable(twin).items()}
    _finite(weights)
    subject = Subject(twin, Mean(opened.loss, next(iter(weights.values()))), known, held, covered, kind, weights)
    _check(subject)
    return subject


@contextmanager
def _called(name: str) -> Iterator[None]:
    """Say which of the data was meant."""
    try:
        yield
    except (TypeError, ValueError) as reason:
        raise type(reason)(f"{name}: {reason}") from reason


def _single(model: nn.Module) -> nn.Module:
    """Return a network in single precision or more."""
    return model.float() if _short(model) else model


def _short(model: nn.Module) -> str:
    """Return of which types shorter than single precision a network has weights."""
    return " and ".join(
        sorted({str(p.dtype).removeprefix("torch.") for p in model.parameters() if p.dtype.itemsize < 4})
    )


def _read(data: Any, device: torch.device, most: int, model: nn.Module) -> list[Batch]:
    """Return batches of at most so many samples together."""
    kind = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    read: list[Batch] = []
    for inputs, labels, _ in access.batches(data, device):
        wide = tuple(
            x.to(kind) if isinstance(x, Tensor) and x.is_floating_point() and x.dtype.itemsize < 4 else x
            for x in inputs
        )
        read.append((wide, labels))
        if samples(read) >= most:
            break
    return first(read, most)


def _halved(batches: list[Batch], rng: np.random.Generator) -> tuple[list[Batch], list[Batch]]:
    """Return the samples in two halves at random; batches that cannot be cut go to either side in turn."""
    sides: tuple[list[Batch], list[Batch]] = ([], [])
    turn = itertools.cycle((0, 1))
    for batch in batches:
        n = len(batch[1])
        if not is_cut(batch) or n < 2:
            sides[next(turn)].append(batch)
            continue
        order = torch.from_numpy(rng.permutation(n))
        for side, rows in zip(sides, (order[: n // 2], order[n // 2 :]), strict=True):
            side.append(part(batch, rows))
    if not all(sides):
        raise ValueError(
            f"data have {samples(batches)} samples in {len(batches)} batch that cannot be halved: give more, or "
            "held_out"
        )
    return sides


def _finite(weights: Mapping[str, Tensor]) -> None:
    for name, w in weights.items():
        if w.is_complex():
            raise TypeError(f"model's {name!r} is complex: give real weights")
        if not bool(torch.isfinite(w).all()):
            raise FloatingPointError(f"model has a weight in {name!r} that is not finite: give finite weights")
    if not any(bool(w.any()) for w in weights.values()):
        raise ValueError("model has only weights that are 0: there is nothing to prune")


def _check(subject: Subject) -> None:
    """Run the network once on each side, so that what cannot work is said before anything is spent."""
    labels = [labels for _, labels in subject.known + subject.held]
    whole = all(y.ndim == 1 and not y.is_floating_point() and y.dtype != torch.bool for y in labels)
    for side in (subject.known, subject.held):
        subject.losses(first(side, 2))
    classified = subject.losses(first(subject.known, 2)).right is not None
    if whole and classified and len({int(y) for side in labels for y in side.unique()}) < 2:
        raise ValueError("data have one class only: give samples of at least two")
