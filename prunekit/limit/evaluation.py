"""One network measured on both splits of its data: by accuracy where there is one, else by losses of parts of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunekit._checks import Floats
from prunekit.nets import door, objectives
from prunekit.nets.access import Loss, evaluating, mean_loss, taking
from prunekit.nets.data import Dataset
from prunekit.nets.losses import NOTHING_COUNTS, Mean

Batches = list[tuple[tuple[Any, ...], Tensor]]
_AT_ONCE = 2000  # how many samples are evaluated together
_PARTS = 64  # parts of the held-out samples whose losses are kept apart, for the error


class Measured(NamedTuple):
    """One network on one split: mean loss, which samples are right, and losses and weights of parts of the samples."""

    loss: float
    correct: NDArray[np.bool_]
    losses: Floats
    weights: Floats


def measures(
    twin: nn.Module, data: Dataset, loss: Loss | str | None
) -> tuple[Batches, Batches, Callable[[Batches], Measured]]:
    """Return both splits in batches, and what measures the network on one of them."""
    view, mean = door.called(twin, data.entries), objectives.named(loss)
    splits = (data.train_x, data.train_y), (data.test_x, data.test_y)
    if data.classifies and not isinstance(mean, objectives.Own):
        train, held = (_cut(data, *split, _AT_ONCE) for split in splits)
        return train, held, lambda batches: _classified(view, batches, mean)
    whole = Mean(mean, torch.zeros((), device=data.device))
    train, held = (_cut(data, *split, -(-len(split[1]) // _PARTS)) for split in splits)
    return train, held, lambda batches: _by_loss(view, batches, whole)


def _cut(data: Dataset, inputs: Any, labels: Tensor, size: int) -> Batches:
    """Return normalized inputs, as a tuple, and labels of a split, so many samples at a time."""
    pairs = zip(inputs.split(size), labels.split(size), strict=True)
    given = ((data.normalize(x), y) for x, y in pairs)
    return [(x if isinstance(x, tuple) else (x,), y) for x, y in given]


@torch.no_grad()
def _classified(model: nn.Module, batches: Batches, loss: Loss) -> Measured:
    """Return the mean loss on a split, and which of its samples are classified rightly."""
    outputs = []
    with evaluating(model):
        for given, _ in batches:
            with taking(given):
                outputs.append(objectives.scores(model(*given)))
    scores, labels = torch.cat(outputs), torch.cat([y for _, y in batches])
    correct = (scores.argmax(dim=1) == labels).cpu().numpy()
    return Measured(float(mean_loss(loss, scores, labels)), correct, np.empty(0), np.empty(0))


@torch.no_grad()
def _by_loss(model: nn.Module, batches: Batches, loss: Mean) -> Measured:
    """Return the mean loss on a split, and that of each batch with its weight."""
    losses, weights = [], []
    with evaluating(model):
        for given, labels in batches:
            if weight := loss.weight(labels):
                with taking(given):
                    outputs = model(*given)
                losses.append(float(loss(outputs, labels)))
                weights.append(weight)
    if not weights:
        raise ValueError(NOTHING_COUNTS)
    return Measured(
        float(np.average(losses, weights=weights)), np.empty(0, dtype=bool), np.array(losses), np.array(weights)
    )
