"""Outputs that are mappings, tuples or objects of tensors, as one tensor with a row a sample, and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

Leaves = list[Any]


class Rows:
    """How the outputs of a network are laid out as rows of numbers.

    Parameters
    ----------
    outputs : tensor, or mapping, tuple or other structure of tensors
        The outputs of one batch.
    n : int
        Its samples.

    Raises
    ------
    ValueError
        If no tensor of real numbers among them has a row for each sample.
    """

    def __init__(self, outputs: Any, n: int) -> None:
        self._leaves, self._spec = _pytree.tree_flatten(outputs)
        self._at = [k for k, leaf in enumerate(self._leaves) if _has_rows(leaf, n)]
        if not self._at:
            what = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ValueError(
                f"model returns {what} for {n} labels, no outputs of one row a sample: give a network that returns "
                "such outputs, and a loss that takes them"
            )
        self._shapes = [self._leaves[k].shape[1:] for k in self._at]

    def flat(self, outputs: Any) -> Tensor:
        """Return outputs as (samples, numbers); a tensor as it is.

        Raises
        ------
        ValueError
            If they are laid out in another way.
        """
        if isinstance(outputs, Tensor):
            return outputs
        leaves = _pytree.tree_leaves(outputs)
        if len(leaves) != len(self._leaves) or [leaves[k].shape[1:] for k in self._at] != self._shapes:
            raise ValueError("model returns outputs of another layout on another batch: give batches of one length")
        return torch.cat([leaves[k].flatten(1) if leaves[k].ndim > 1 else leaves[k][:, None] for k in self._at], dim=1)

    def join(self, flat: Tensor) -> Any:
        """Return rows of numbers as the outputs that they were; what has no rows is that of the first batch."""
        if len(self._leaves) == 1 and isinstance(self._leaves[0], Tensor) and self._spec.is_leaf():
            return flat
        leaves: Leaves = list(self._leaves)
        parts = flat.split([shape.numel() for shape in self._shapes], dim=1)
        for k, part, shape in zip(self._at, parts, self._shapes, strict=True):
            leaves[k] = part.reshape(len(flat), *shape)
        return _pytree.tree_unflatten(leaves, self._spec)


def _has_rows(leaf: Any, n: int) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.ndim > 0 and len(leaf) == n
