"""Fully connected ReLU networks with their gradient written out, for one network or a stack of them.

Networks as small as this book's spend most of a training in the calls of automatic differentiation, which these lines
do without. They are the textbook's: with h₀ the flattened images, zₗ = hₗ₋₁ Wₗᵀ + bₗ, hₗ = max(zₗ, 0) and the last z
the scores, the gradient of the mean cross-entropy is δ = (softmax(z) - e_y) / b at the scores, ∂/∂Wₗ = δₗᵀ hₗ₋₁,
∂/∂bₗ = Σ δₗ, and δₗ₋₁ = δₗ Wₗ where hₗ₋₁ > 0, else 0 (0 at the kink, as autograd has it).
Weights of a stack are (m, out, in), and images that all networks share are multiplied with all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Named = dict[str, Tensor]
_aten: Any = torch.ops.aten  # whose overloads torch's own type hints do not know


class Slope(NamedTuple):
    """What a step needs to know of a batch: losses (…, b), scores (…, b, k), and gradients by parameter."""

    losses: Tensor
    scores: Tensor
    gradients: Named


@dataclass(frozen=True)
class Perceptron:
    """The names of a network's weights and biases, from the images to the scores; None for no bias."""

    layers: tuple[tuple[str, str | None], ...]

    @torch.no_grad()
    def scores(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the scores (…, b, k) of images, (b, …) for all networks or (m, b, …) with one batch for each."""
        return self._forward(weights, x)[-1]

    @torch.no_grad()
    def slope(self, weights: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Slope:
        """Return losses and scores of a batch, and the gradients of the (sum of the networks') mean loss.

        Parameters
        ----------
        weights : mapping
            Parameters by name, (out, in) and (out,), in a stack with the networks as their first axis.
        x, y : tensors
            Normalized images (b, c, h, w) and labels (b,), or (m, b, c, h, w) and (m, b).
        """
        *inner, scores = self._forward(weights, x)
        logs = torch.log_softmax(scores, -1)
        index = y.expand(scores.shape[:-1]).unsqueeze(-1)
        losses = -logs.gather(-1, index).squeeze(-1)
        delta = logs.exp_()
        delta.scatter_add_(-1, index, delta.new_full((), -1.0).expand(index.shape))
        delta.div_(scores.shape[-2])
        gradients: Named = {}
        for k in reversed(range(len(self.layers))):
            weight, bias = self.layers[k]
            gradients[weight] = _outer(delta, inner[k])
            if bias:
                gradients[bias] = delta.sum(-2)
            if k:
                # in the place of hₗ₋₁, which has had its use: nothing is allocated, and δ lies as z does
                delta = _aten.threshold_backward.grad_input(delta @ weights[weight], inner[k], 0, grad_input=inner[k])
        return Slope(losses, scores, gradients)

    def _forward(self, weights: Mapping[str, Tensor], x: Tensor) -> list[Tensor]:
        """Return h of every layer, from the flattened images to the scores."""
        stacked = weights[self.layers[0][0]].ndim == 3
        found = [x.flatten(2) if stacked and x.ndim == 5 else x.flatten(1)]
        for k, (weight, bias) in enumerate(self.layers):
            if k:
                found[-1] = found[-1].relu_()
            z = _product(found[-1], weights[weight])
            if bias:
                z = z + (weights[bias].unsqueeze(-2) if stacked else weights[bias])
            found.append(z)
        return found


def _product(h: Tensor, weight: Tensor) -> Tensor:
    """Return h Wᵀ, (…, b, out); an h (b, in) that a stack shares is multiplied once by all its weights."""
    if weight.ndim == 2 or h.ndim == 3:
        return h @ weight.mT
    m, rows, _ = weight.shape
    return (h @ weight.reshape(m * rows, -1).T).view(len(h), m, rows).transpose(0, 1)


def _outer(delta: Tensor, h: Tensor) -> Tensor:
    """Return δᵀ h, (…, out, in), with the same sharing."""
    if delta.ndim == h.ndim:
        return delta.mT @ h
    m, b, rows = delta.shape
    return (delta.transpose(0, 1).reshape(b, m * rows).T @ h).view(m, rows, -1)


def perceptron(model: nn.Module) -> Perceptron | None:
    """Return a network's `Perceptron`, or None where it is anything else than flattening, linear layers and ReLUs.

    Layers of a derived class, hooks, parametrizations, frozen and shared parameters all make it something else.
    """
    parts = list(model._modules.items()) if type(model) is nn.Sequential else []  # named_children drops what repeats
    kinds = [type(part) for _, part in parts]
    linear = [nn.Linear, *[nn.ReLU, nn.Linear] * (len(parts) // 2 - 1)]
    if len(parts) < 2 or kinds != [nn.Flatten, *linear] or any(hooked(m) for m in model.modules()):
        return None
    flatten = parts[0][1]
    layers = [(name, part) for name, part in parts if isinstance(part, nn.Linear)]
    own = [p for _, part in layers if part is not None for p in part.parameters(recurse=False)]
    known = {id(p) for p in own}
    same = (
        len(known) == len(own) and known == {id(p) for p in model.parameters()} and next(model.buffers(), None) is None
    )
    fits = all(a.out_features == b.in_features for (_, a), (_, b) in pairwise(layers))
    if not (same and fits and isinstance(flatten, nn.Flatten) and (flatten.start_dim, flatten.end_dim) == (1, -1)):
        return None
    plain = all(p.requires_grad and p.dtype == torch.float32 and type(p) is nn.Parameter for p in own)
    if not plain or any(p._backward_hooks for p in own):
        return None
    return Perceptron(tuple((f"{n}.weight", f"{n}.bias" if m.bias is not None else None) for n, m in layers))


def hooked(module: nn.Module) -> bool:
    """Tell whether something is called besides a module's own forward pass."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds) or "forward" in vars(module)
