"""Fully connected ReLU networks with their gradient written out, for one network or a stack of them.

Networks as small as this book's spend most of a training in the calls of automatic differentiation, which these lines
do without. They are the textbook's: with h₀ the flattened images, zₗ = Wₗ hₗ₋₁ + bₗ, hₗ = max(zₗ, 0) and the last z
the scores, the gradient of the mean cross-entropy is δ = (softmax(z) - e_y) / b at the scores, ∂/∂Wₗ = δₗ hₗ₋₁ᵀ,
∂/∂bₗ = Σ δₗ, and δₗ₋₁ = Wₗᵀ δₗ where hₗ₋₁ > 0, else 0 (0 at the kink, as autograd has it).
Weights of a stack are (m, out, in), and images that all networks share are multiplied with all of them at once. The
images are the last axis of everything, so that the units of all networks are the rows of one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        *_, scores = self._forward(weights, x)
        return self._shaped(weights, scores.mT)

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
        losses, scores, delta, inner = self._loss(weights, x, y)
        gradients: Named = {}
        for weight, bias, below, h in self._back(weights, delta, inner):
            gradients[weight] = self._shaped(weights, _outer(below, h))
            if bias:
                gradients[bias] = self._shaped(weights, below.sum(-1))
        return Slope(losses, scores, gradients)

    @torch.no_grad()
    def descend(self, weights: Mapping[str, Tensor], x: Tensor, y: Tensor, lr: float | Tensor) -> tuple[Tensor, Tensor]:
        """Take a step of plain gradient descent in place, and return losses and scores from before it.

        The gradient, as large as the weights, is never written: what is below a layer's outputs times what is above
        its inputs is added to the weights at once.

        Parameters
        ----------
        weights, x, y
            As for `slope`; the weights are moved.
        lr : float or (m,) tensor
            Learning rate, of all networks or of each.
        """
        losses, scores, delta, inner = self._loss(weights, x, y)
        delta.mul_(-lr if isinstance(lr, float) else -lr.view(-1, 1, 1))
        for weight, bias, below, h in self._back(weights, delta, inner):
            w = _stacked(weights[weight], 3)
            if h.ndim == 2:
                w.flatten(0, 1).addmm_(below.flatten(0, 1), h.T)
            else:
                w.baddbmm_(below, h.mT)
            if bias:
                _stacked(weights[bias], 2).add_(below.sum(-1))
        return losses, scores

    def _loss(self, weights: Mapping[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Return losses (…, b), scores (…, b, k), δ at the scores (m, k, b), and the inputs of every layer."""
        *inner, scores = self._forward(weights, x)
        logs = torch.log_softmax(scores, 1)  # along the second axis, which is vectorized along the images
        index = y.expand(len(scores), -1).unsqueeze(1)
        losses = -logs.gather(1, index).squeeze(1)
        delta = logs.exp_()
        delta.scatter_add_(1, index, delta.new_full((), -1.0).expand(index.shape))
        delta.div_(scores.shape[-1])
        return self._shaped(weights, losses), self._shaped(weights, scores.mT), delta, inner

    def _back(
        self, weights: Mapping[str, Tensor], delta: Tensor, inner: list[Tensor]
    ) -> Iterator[tuple[str, str | None, Tensor, Tensor]]:
        """Yield each layer's names, δ (m, out, b) and inputs, the last first; its weights have had their use then."""
        for k in reversed(range(len(self.layers))):
            weight, bias = self.layers[k]
            below = torch.bmm(_stacked(weights[weight], 3).mT, delta) if k else delta
            yield weight, bias, delta, inner[k]
            if k:
                # in the place of hₗ₋₁, which has had its use: nothing is allocated
                delta = _aten.threshold_backward.grad_input(below, inner[k], 0, grad_input=inner[k])

    def _forward(self, weights: Mapping[str, Tensor], x: Tensor) -> list[Tensor]:
        """Return h (m, units, b) of every layer, from the flattened images, (in, b) if shared, to the scores."""
        one = weights[self.layers[0][0]].ndim == 2
        found = [x.flatten(1).T if one or x.ndim < 5 else x.flatten(2).mT]
        for k, (weight, bias) in enumerate(self.layers):
            if k:
                found[-1] = found[-1].relu_()
            z = _product(_stacked(weights[weight], 3), found[-1])
            if bias:
                z += _stacked(weights[bias], 2).unsqueeze(-1)
            found.append(z)
        return found

    def _shaped(self, weights: Mapping[str, Tensor], found: Tensor) -> Tensor:
        """Return something of a stack, without the first axis where there is a single network."""
        return found if weights[self.layers[0][0]].ndim == 3 else found[0]


def _stacked(t: Tensor, axes: int) -> Tensor:
    """Return a tensor of a stack, and of a single network as a stack of one: a view."""
    return t if t.ndim == axes else t.unsqueeze(0)


def _product(weight: Tensor, h: Tensor) -> Tensor:
    """Return W h, (m, out, b); an h (in, b) that a stack shares is multiplied once by all its weights."""
    if h.ndim == 3:
        return torch.bmm(weight, h)
    return (weight.reshape(-1, weight.shape[-1]) @ h).view(*weight.shape[:2], -1)


def _outer(delta: Tensor, h: Tensor) -> Tensor:
    """Return δ hᵀ, (m, out, in), with the same sharing."""
    if h.ndim == 3:
        return torch.bmm(delta, h.mT)
    return (delta.flatten(0, 1) @ h.T).view(*delta.shape[:2], -1)


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
