"""Losses by name, and a network's own: what turns the outputs that people's networks have into one number.

A name stands for the mean over a batch's samples of torch's own loss, on the scores that the network gives: its
output, or the entry ``logits`` of a mapping (a `ModelOutput` of the transformers library is one), or the only tensor of
a tuple. None stands for the loss that the network computes itself: the entry ``loss`` of its output, or its first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit.nets.perceptron import hooked

IGNORED = -100  # the label that torch's cross-entropy leaves out


def scores(outputs: Any) -> Tensor:
    """Return the scores among a network's outputs.

    Raises
    ------
    ValueError
        If it cannot be told which they are.
    """
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(outputs, Mapping):
        if isinstance(outputs.get("logits"), Tensor):
            return outputs["logits"]
        named = {name: x for name, x in outputs.items() if isinstance(x, Tensor) and x.ndim and name != "loss"}
        if len(named) == 1:
            return next(iter(named.values()))
        raise ValueError(
            f"model gives the outputs {', '.join(map(str, outputs))}: give a loss that takes these outputs"
        )
    if isinstance(outputs, tuple | list):
        tensors = [x for x in outputs if isinstance(x, Tensor) and x.ndim]
        if len(tensors) == 1:
            return tensors[0]
        raise ValueError(f"model gives {len(tensors)} outputs: give a loss that takes these outputs")
    raise ValueError(f"model gives a {type(outputs).__name__} as outputs: give a loss that takes it")


class CrossEntropy(nn.CrossEntropyLoss):
    """Classes: scores (n, classes) and labels (n,), or further axes behind."""

    def forward(self, outputs: Any, labels: Tensor) -> Tensor:
        """Return the mean over the labels that are not -100."""
        return super().forward(scores(outputs), labels)


class NextToken(nn.Module):
    """Next tokens: scores (n, length, words) at each place for the token after it, labels (n, length) the tokens."""

    def forward(self, outputs: Any, labels: Tensor) -> Tensor:
        """Return the mean over all places but the last, and over the labels that are not -100."""
        given = scores(outputs)
        if given.ndim != 3 or labels.shape != given.shape[:2]:
            raise ValueError(
                f"loss 'next_token' takes scores (n, length, words) and labels (n, length): the model gives "
                f"{tuple(given.shape)} for labels {tuple(labels.shape)}"
            )
        return nn.functional.cross_entropy(given[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


class SeveralLabels(nn.Module):
    """Several labels: scores (n, labels) and targets of the same shape, each 0 or 1."""

    def forward(self, outputs: Any, labels: Tensor) -> Tensor:
        """Return the mean over samples and labels."""
        given = scores(outputs)
        return nn.functional.binary_cross_entropy_with_logits(given, labels.to(given.dtype))


class SquaredError(nn.Module):
    """Regression: predictions and targets of the same shape; (n, 1) and (n,) go together."""

    def forward(self, outputs: Any, labels: Tensor) -> Tensor:
        """Return the mean over samples and targets."""
        given = scores(outputs)
        targets = labels.to(given.dtype)
        if targets.ndim == given.ndim - 1 and given.shape[-1] == 1:
            targets = targets.unsqueeze(-1)
        if targets.shape != given.shape:
            raise ValueError(f"loss 'mse' takes targets like outputs: {tuple(labels.shape)} for {tuple(given.shape)}")
        return nn.functional.mse_loss(given, targets)


class Own(nn.Module):
    """The loss that the network computes itself; its labels were handed to it with the inputs."""

    def forward(self, outputs: Any, labels: Tensor) -> Tensor:
        """Return the loss among the outputs."""
        if isinstance(outputs, Mapping):
            own = outputs.get("loss")
        else:
            own = outputs[0] if isinstance(outputs, tuple | list) and outputs else outputs
        if not isinstance(own, Tensor) or own.numel() != 1:
            raise ValueError(
                "loss is None and the model gives no loss of its own: name one of "
                f"{', '.join(map(repr, LOSSES))}, or give a function (outputs, labels)"
            )
        return own.reshape(())


LOSSES: dict[str, type[nn.Module]] = {
    "cross_entropy": CrossEntropy,
    "next_token": NextToken,
    "multi_label": SeveralLabels,
    "mse": SquaredError,
}


def named(loss: Any) -> Any:
    """Return a loss: by name, the network's own for None, or the function as it is.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if loss is None:
        return Own()
    if isinstance(loss, str):
        return LOSSES[_checks.choice("loss", loss, tuple(LOSSES))]()
    return loss


def is_cross_entropy(loss: Any) -> bool:
    """Tell whether a loss is torch's cross-entropy and nothing else, without class weights or smoothing."""
    if loss is nn.functional.cross_entropy:
        return True
    if type(loss) not in (nn.CrossEntropyLoss, CrossEntropy) or hooked(loss):
        return False
    settings = loss.weight, loss.reduction, loss.label_smoothing, loss.ignore_index
    return settings == (None, "mean", 0.0, IGNORED)


def counted(loss: Any, labels: Tensor) -> Tensor | None:
    """Return the labels by whose number a batch counts, for a loss that leaves some out; None for all others."""
    if isinstance(loss, NextToken):
        return labels[:, 1:]
    if isinstance(loss, CrossEntropy) or (isinstance(loss, Own) and bool((labels == IGNORED).any())):
        return labels
    return None


def is_integer(labels: Tensor) -> bool:
    """Tell whether labels are classes or tokens."""
    return not torch.is_floating_point(labels) and labels.dtype != torch.bool
