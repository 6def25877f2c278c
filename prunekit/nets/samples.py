"""What the inputs and labels of a data set must be, and what kind of labels they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.nets import identity, objectives
from prunekit.nets.several import Several, parts_of

Inputs = Any  # a tensor, or `Several`; what works on images may take it for a tensor


def named(loss: Any) -> str:
    """Return what a loss is called."""
    return repr(loss) if isinstance(loss, str) else identity.of_loss(loss).split()[0]


def single(x: Tensor) -> Tensor:
    """Return numbers with a fraction in single precision, others as they are."""
    return x.float() if x.is_floating_point() else x


def whole_numbers(y: Tensor) -> Tensor:
    """Return whole numbers as torch's losses take them; other labels as they are."""
    return y.long() if objectives.is_integer(y) else y


def are_classes(loss: Any, y: Tensor) -> bool:
    """Tell whether labels are one class a sample, by a loss that takes classes."""
    of_classes = loss in ("cross_entropy", nn.functional.cross_entropy) or type(loss) is nn.CrossEntropyLoss
    return of_classes and y.ndim == 1 and objectives.is_integer(y)


def moments(x: Inputs) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel or feature, the deviation of constant ones being 1."""
    if isinstance(x, Several) or x.ndim < 2 or not (x.is_floating_point() or x.dtype == torch.uint8):
        raise ValueError("standardize is True, and x are no numbers with channels or features: give False")
    others = [axis for axis in range(x.ndim) if axis != 1]
    std = x.double().std(dim=others, correction=0)
    return x.double().mean(dim=others).float(), torch.where(std > 0, std, 1.0).float()


def check_split(split: str, x: Inputs, y: Tensor, shapes: Sequence[Sequence[int]], classes: tuple[bool, int]) -> None:
    """Refuse inputs and labels of one split that do not go together, or with the other split, or have other labels."""
    parts = parts_of(x)
    if [part.shape[1:] for part in parts] != list(shapes) or not all(part.ndim and len(part) for part in parts):
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise ValueError(f"{split}_x has shape {shapes}: give inputs (n, …), n > 0, alike in both splits")
    for part in parts:
        if part.is_floating_point() and part.dtype != torch.float32:
            raise TypeError(f"{split}_x is of type {part.dtype}: give float32, uint8 or whole numbers")
        if part.ndim == 4 and part.dtype not in (torch.uint8, torch.float32):
            raise TypeError(f"{split}_x is of type {part.dtype}: give uint8 or float32")
        if part.is_floating_point() and not bool(torch.isfinite(part).all()):
            raise ValueError(f"{split}_x holds a number that is not finite: give finite inputs")
    if y.ndim == 0 or len(y) != len(parts[0]):
        raise ValueError(f"{split}_y is {y.dtype} of shape {tuple(y.shape)}: give labels with {len(parts[0])} rows")
    if y.is_floating_point() and not bool(torch.isfinite(y).all()):
        raise ValueError(f"{split}_y holds a number that is not finite: give finite labels")
    of_classes, count = classes
    if count and (y.shape != (len(parts[0]),) or y.dtype != torch.int64):
        raise ValueError(f"{split}_y is {y.dtype} of shape {tuple(y.shape)}: give int64 labels ({len(parts[0])},)")
    if (of_classes or count) and (int(y.min()) < 0 or (count and int(y.max()) >= count)):
        upper = f"{count - 1}" if count else "the number of classes less 1"
        raise ValueError(f"{split}_y reaches from {int(y.min())} to {int(y.max())}: give labels from 0 to {upper}")
