"""One step of an optimizer, for one network or for a stack of them.

Weights, gradients and an optimizer's slots are mappings from parameter names to tensors. In a stack every tensor
has the networks as its first axis, and a rate may be a tensor (m,) with a value for each of them. Masked weights stay
exactly 0, and so do their slots: the gradient is cleared before it can reach them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from prunekit.nets.config import Config

Rate = float | Tensor
Named = dict[str, Tensor]
Slots = dict[str, Named]  # what the optimizer remembers, by slot and parameter


@dataclass(frozen=True)
class Rates:
    """Learning rate and penalties of this epoch, alike for all networks or one for each."""

    lr: Rate
    l1: Rate
    l2: Rate

    @property
    def penalize(self) -> bool:
        """Whether there is a penalty."""
        return _any(self.l1) or _any(self.l2)


def new_slots(config: Config, weights: Mapping[str, Tensor]) -> Slots:
    """Return the optimizer's slots before its first step."""
    if config.optimizer == "adam":
        names: tuple[str, ...] = ("first", "second")
    else:
        names = ("velocity",) if config.momentum else ()
    return {slot: {name: torch.zeros_like(w) for name, w in weights.items()} for slot in names}


def penalized(config: Config, weights: Mapping[str, Tensor], stacked: bool) -> frozenset[str]:
    """Return the names of the parameters that the penalties see."""
    return frozenset(n for n, w in weights.items() if config.penalize == "all" or w.ndim - stacked >= 2)


@torch.no_grad()
def add_penalties(gradients: list[Tensor], weights: list[Tensor], rates: Rates) -> None:
    """Add the gradients of l1 |w|₁ + l2 |w|² / 2, taking 0 as the derivative of |w| at 0."""
    if _any(rates.l1):
        _add_each(gradients, list(torch._foreach_sign(weights)), rates.l1)
    if _any(rates.l2):
        _add_each(gradients, weights, rates.l2)


@torch.no_grad()
def clear(tensors: Mapping[str, Tensor], bits: Mapping[str, Tensor]) -> None:
    """Set to 0 what is pruned, whatever it is now; `bits` is what `bits_of` returns."""
    for name, alive in bits.items():
        tensors[name].view(torch.int32).bitwise_and_(alive)


def bits_of(masks: Mapping[str, Tensor]) -> Named:
    """Return masks, True where a weight lives, as what its bits are and-ed with: forty times as fast as a fill."""
    return {name: -mask.to(torch.int32) for name, mask in masks.items()}


@torch.no_grad()
def step(config: Config, weights: Named, gradients: Named, slots: Slots, rates: Rates, number: int) -> None:
    """Move the weights by their gradients (which are used up); `number` counts the steps from 1."""
    if config.optimizer == "adam":
        done = _fused_adam(config, weights, gradients, slots, rates.lr, number)
        for name in [name for name in weights if name not in done]:
            first, second = slots["first"][name], slots["second"][name]
            _adam(config, weights[name], gradients[name], first, second, rates.lr, number)
        return
    moved = list(weights.values())
    slopes = [gradients[name] for name in weights]
    if config.momentum:
        velocity = [slots["velocity"][name] for name in weights]
        torch._foreach_mul_(velocity, config.momentum)
        torch._foreach_add_(velocity, slopes)
        slopes = velocity
    _add_each(moved, slopes, -rates.lr)


def _fused_adam(
    config: Config, weights: Named, gradients: Named, slots: Slots, lr: Rate, number: int
) -> Collection[str]:
    """Move all parameters in one call of torch's own routine, and return which it could take.

    It goes through memory as it lies, so that a parameter, its gradient and its slots have to lie alike. (New slots lie
    as weights without gaps do.)
    """
    if isinstance(lr, Tensor):
        return ()
    first, second = slots["first"], slots["second"]
    alike = [
        name
        for name, w in weights.items()
        if w.device.type == "cpu"
        and w.stride() == gradients[name].stride() == first[name].stride() == second[name].stride()
    ]
    if not alike:
        return ()
    moved, slopes, means, squares = ([named[n] for n in alike] for named in (weights, gradients, first, second))
    counts = [torch.tensor(float(number))] * len(alike)
    beta1, beta2 = config.betas
    torch._fused_adam_(  # what torch.optim.Adam(fused=True) calls
        moved, slopes, means, squares, [], counts, lr=lr, beta1=beta1, beta2=beta2, weight_decay=0.0, eps=config.eps,
        amsgrad=False, maximize=False,
    )  # fmt: skip
    return alike


def _adam(config: Config, weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, lr: Rate, t: int) -> None:
    """Move one parameter (Kingma and Ba 2015, Algorithm 1, ε outside the root as in torch)."""
    beta1, beta2 = config.betas
    first.lerp_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    scale = (second.sqrt() / math.sqrt(1 - beta2**t)).add_(config.eps)
    _add(weight, first / scale, -lr / (1 - beta1**t))


def _any(rate: Rate) -> bool:
    """Tell whether a rate does anything; several that differ do, and to look at them would wait for the device."""
    return isinstance(rate, Tensor) or rate != 0.0


def _add_each(targets: list[Tensor], what: list[Tensor], rate: Rate) -> None:
    """Add rate · what to each target, in one call where there is one rate: small tensors cost as much as a call."""
    if isinstance(rate, Tensor):
        for target, own in zip(targets, what, strict=True):
            _add(target, own, rate)
    elif targets:
        torch._foreach_add_(targets, what, alpha=rate)


def _add(target: Tensor, what: Tensor, rate: Rate) -> None:
    """Add rate · what to the target, network by network where the rate is a tensor."""
    if isinstance(rate, Tensor):
        target.addcmul_(what, rate.view(-1, *[1] * (target.ndim - 1)))
    else:
        target.add_(what, alpha=rate)
