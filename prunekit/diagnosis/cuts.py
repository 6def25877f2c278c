"""Which weights go first: cuts of one layer or of the whole network, by a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Score = Literal["magnitude", "hessian"]
Scope = Literal["global", "layer"]


class Order:
    """The weights in the order in which they are removed, smallest score first, ties by position.

    Parameters
    ----------
    scores : mapping from parameter name to tensor
        One number a weight.
    scope : str
        "global": all together; "layer": each layer by itself, the same share of each.
    """

    def __init__(self, scores: Mapping[str, Tensor], scope: Scope = "global") -> None:
        self._shapes = {name: s.shape for name, s in scores.items()}
        groups = {"": scores} if scope == "global" else {name: {name: s} for name, s in scores.items()}
        self._groups = {}
        for key, group in groups.items():
            flat = torch.cat([s.flatten() for s in group.values()])
            order = torch.argsort(flat, stable=True, descending=True)  # kept first, of equal ones the first
            rank = torch.empty_like(order)
            rank[order] = torch.arange(len(order), device=order.device)
            self._groups[key] = (list(group), rank)

    def kept(self, share_removed: float) -> dict[str, Tensor]:
        """Return what is kept (bool) by parameter name when this share is removed, rounded to whole weights."""
        stays: dict[str, Tensor] = {}
        for names, rank in self._groups.values():
            stay = len(rank) - round(share_removed * len(rank))
            parts = (rank < stay).split([self._shapes[name].numel() for name in names])
            stays |= {name: part.view(self._shapes[name]) for name, part in zip(names, parts, strict=True)}
        return stays


def removed(weights: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return c = w* - w^k by parameter name: the weights that go, 0 elsewhere."""
    return {name: weights[name] * ~stay for name, stay in kept.items()}


def pruned(weights: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights after the cut."""
    return {name: weights[name] * stay for name, stay in kept.items()}
