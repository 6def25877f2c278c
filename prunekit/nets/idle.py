"""Training masked perceptrons without the hidden units that their masks leave idle.

A hidden unit whose outgoing weights are all pruned changes no score, so that no gradient reaches what leads to it. One
without incoming weights and bias is always 0, and so is the gradient of what leaves it. Where no penalty shrinks
weights by themselves, neither ever moves: the network without them has the same scores and the same gradients, up to
the order in which they are summed, at a part of the cost. (Of two layers pruned together to a tenth, mostly less than
half of the units are left.)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from prunekit.nets.config import Config
from prunekit.nets.perceptron import Perceptron, perceptron
from prunekit.nets.steps import Named
from prunekit.nets.training import Fitted

_WORTH = 0.8  # share of the weights; where more than this would be left, all units stay
_CALLS = 20_000  # weights whose training costs as much as the calls of a stack's step


@dataclass(frozen=True, eq=False)
class Trimmed:
    """A network and the one that is trained in its place.

    Attributes
    ----------
    whole : nn.Module
        The network as it was given.
    masks : mapping
        Its masks.
    layers : Perceptron
        The names of its weights.
    kept : list of (units,) int tensors
        Inputs, then hidden units of each layer that stay, then outputs.
    """

    whole: nn.Module
    masks: Named
    layers: Perceptron
    kept: list[Tensor]

    def part(self) -> tuple[nn.Module, Named]:
        """Return the smaller network and its masks."""
        small = copy.deepcopy(self.whole)
        masks: Named = {}
        for (weight, bias), index in self._places():
            name = weight.rpartition(".")[0]
            units, inputs = len(index[0]), index[1].shape[1]
            kind = {"dtype": torch.float32, "device": index[0].device}
            setattr(small, name, nn.utils.skip_init(nn.Linear, inputs, units, bias=bias is not None, **kind))
            for own, at in ((weight, index), (bias, index[0].squeeze(1))):
                if own is None:
                    continue
                with torch.no_grad():
                    small.get_parameter(own).copy_(self.whole.get_parameter(own)[at])
                if own in self.masks:
                    masks[own] = self.masks[own][at]
        return small, masks

    def put_back(self, fitted: Fitted) -> Fitted:
        """Write what was trained into the whole network, and return it as trained."""
        own = dict(self.whole.named_parameters())
        with torch.no_grad():
            for name, mask in self.masks.items():
                own[name].masked_fill_(~mask, 0.0)
        self._write(own, dict(fitted.model.named_parameters()))
        averaged = None
        if fitted.averaged is not None:
            averaged = {name: p.detach().clone() for name, p in own.items()}
            self._write(averaged, fitted.averaged)
        return replace(fitted, model=self.whole.eval(), averaged=averaged)

    @torch.no_grad()
    def _write(self, into: Mapping[str, Tensor], small: Mapping[str, Tensor]) -> None:
        """Write tensors of the smaller network to their places in those of the whole one."""
        for (weight, bias), index in self._places():
            into[weight][index] = small[weight].detach()
            if bias:
                into[bias][index[0].squeeze(1)] = small[bias].detach()

    def _places(self) -> Iterator[tuple[tuple[str, str | None], tuple[Tensor, Tensor]]]:
        """Yield the names of each layer with the rows (u, 1) and columns (1, v) of the weight that stay."""
        for names, (before, after) in zip(self.layers.layers, pairwise(self.kept), strict=True):
            yield names, (after.unsqueeze(1), before.unsqueeze(0))


def living(layers: Perceptron, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> list[Tensor]:
    """Return which hidden units can learn, bool tensors (units,) by layer.

    Parameters
    ----------
    layers : Perceptron
        The names of the network's weights.
    weights, masks : mappings
        Weights by name, and masks of some of them.
    """

    def alive(name: str) -> Tensor:
        return masks[name] if name in masks else torch.ones_like(weights[name], dtype=torch.bool)

    reached, used = [], []
    before = weights[layers.layers[0][0]].new_ones(weights[layers.layers[0][0]].shape[1], dtype=torch.bool)
    for weight, bias in layers.layers[:-1]:
        before = (alive(weight) & before).any(1)
        before = before | alive(bias) if bias else before
        reached.append(before)
    after = weights[layers.layers[-1][0]].new_ones(len(weights[layers.layers[-1][0]]), dtype=torch.bool)
    for weight, _ in reversed(layers.layers[1:]):
        after = (alive(weight) & after.unsqueeze(1)).any(0)
        used.append(after)
    return [a & b for a, b in zip(reached, reversed(used), strict=True)]


def trimmed(
    models: Sequence[nn.Module], masks: Sequence[Named], configs: Sequence[Config], most: int
) -> list[dict[int, Trimmed]] | None:
    """Return stacks of at most so many weights, smaller networks by position; None where it would spare too little.

    The networks of a stack have layers of one width: idle units fill up what is narrower.
    """
    layers = perceptron(models[0])
    if layers is None or len(layers.layers) < 2 or not any(masks) or any(c.l1 or c.l2 for c in configs):
        return None
    named = [dict(m.named_parameters()) for m in models]
    alive = [living(layers, own, mask) for own, mask in zip(named, masks, strict=True)]
    ends = [named[0][layers.layers[0][0]].shape[1], len(named[0][layers.layers[-1][0]])]

    def size(widths: Sequence[int]) -> int:
        return sum(a * b for a, b in pairwise([ends[0], *widths, ends[1]]))

    widths = [[max(1, int(units.sum())) for units in each] for each in alive]
    stacks = _stacks(widths, size, most)
    total = sum(len(stack) * size(widest) for stack, widest in stacks)
    if total > _WORTH * len(models) * size([len(units) for units in alive[0]]):
        return None
    device = next(iter(named[0].values())).device
    first, last = (torch.arange(n, device=device) for n in ends)
    return [
        {k: Trimmed(models[k], masks[k], layers, [first, *map(_chosen, alive[k], widest), last]) for k in stack}
        for stack, widest in stacks
    ]


def _stacks(
    widths: Sequence[list[int]], size: Callable[[Sequence[int]], int], most: int
) -> list[tuple[list[int], list[int]]]:
    """Return which networks go together, neighbours in size, and the widths that hold all of them: at the least cost.

    A stack costs what its weights do, padding included, and as much as `_CALLS` of them for being one.
    """
    order = sorted(range(len(widths)), key=lambda k: size(widths[k]))
    best: list[tuple[float, int, list[int]]] = [(0.0, 0, [])]  # of the first n: cost; start, widths of the last stack
    for n in range(1, len(order) + 1):
        options, widest = [], widths[order[n - 1]]
        for start in reversed(range(n)):
            widest = [max(a, b) for a, b in zip(widest, widths[order[start]], strict=True)]
            padded = (n - start) * size(widest)
            if padded > most and start < n - 1:
                break
            options.append((best[start][0] + _CALLS + padded, start, widest))
        best.append(min(options))
    stacks, n = [], len(order)
    while n:
        _, start, widest = best[n]
        stacks.append((order[start:n], widest))
        n = start
    return stacks


def _chosen(alive: Tensor, width: int) -> Tensor:
    """Return the living units, and so many of the others that they are `width`, in order."""
    return torch.argsort(alive.logical_not().int(), stable=True)[:width].sort().values
