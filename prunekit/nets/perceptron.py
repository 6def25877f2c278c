"""Fully connected ReLU networks with their gradient written out, for one network or a stack of them.

Networks as small as this book's spend most of a training in the calls of automatic differentiation, which these lines
do without. They are the textbook's: with h₀ the flattened images, zₗ = Wₗ hₗ₋₁ + bₗ, hₗ = max(zₗ, 0) and the last z
the scores, the gradient of the mean cross-entropy is δ = (softmax(z) - e_y) / b at the scores, ∂/∂Wₗ = δₗ hₗ₋₁ᵀ,
∂/∂bₗ = Σ δₗ, and δₗ₋₁ = Wₗᵀ δₗ where hₗ₋₁ > 0, else 0 (0 at the kink, as in autograd).
Weights of a stack are (m, out, in), and images that all networks share are multiplied with all of them at once: the
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
        shared = self._shares(weights, x)
        *_, scores = self._forward(weights, x, shared)
        return scores.mT if shared else scores

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
        shared = self._shares(weights, x)
        losses, scores, delta, inner = self._loss(weights, x, y, shared)
        gradients: Named = {}
        for weight, bias, below, h in self._back(weights, delta, inner, shared):
            gradients[weight] = _outer(below, h, shared)
            if bias:
                gradients[bias] = below.sum(-1 if shared else -2)
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
        shared = self._shares(weights, x)
        losses, scores, delta, inner = self._loss(weights, x, y, shared)
        delta.mul_(-lr if isinstance(lr, float) else -lr.view(-1, 1, 1))
        for weight, bias, below, h in self._back(weights, delta, inner, shared):
            _add_outer(weights[weight], below, h, shared)
            if bias:
                weights[bias].add_(below.sum(-1 if shared else -2))
        return losses, scores

    def _shares(self, weights: Mapping[str, Tensor], x: Tensor) -> bool:
        """Tell whether all networks of a stack see the same images."""
        return weights[self.layers[0][0]].ndim == 3 and x.ndim < 5

    def _loss(
        self, weights: Mapping[str, Tensor], x: Tensor, y: Tensor, shared: bool
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Return losses (…, b), scores (…, b, k), δ at the scores, laid out alike, and the inputs of every layer."""
        *inner, scores = self._forward(weights, x, shared)
        logs = torch.log_softmax(scores if shared else scores.mT.contiguous(), -2)  # vectorized along the images
        index = y.expand(*logs.shape[:-2], -1).unsqueeze(-2)
        losses = -logs.gather(-2, index).squeeze(-2)
        delta = logs.exp_()
        delta.scatter_add_(-2, index, delta.new_full((), -1.0).expand(index.shape))
        delta.div_(delta.shape[-1])
        return losses, scores.mT if shared else scores, delta if shared else delta.mT, inner

    def _back(
        self, weights: Mapping[str, Tensor], delta: Tensor, inner: list[Tensor], shared: bool
    ) -> Iterator[tuple[str, str | None, Tensor, Tensor]]:
        """Yield each layer's names, δ and inputs, the last layer first; its weights are no longer needed then."""
        for k in reversed(range(len(self.layers))):
            weight, bias = self.layers[k]
            below = delta
            if k:
                below = torch.bmm(weights[weight].mT, delta) if shared else delta @ weights[weight]
            yield weight, bias, delta, inner[k]
            if k:
                # in the place of hₗ₋₁, which is no longer needed: nothing is allocated, and δ lies as z does
                delta = _aten.threshold_backward.grad_input(below, inner[k], 0, grad_input=inner[k])

    def _forward(self, weights: Mapping[str, Tensor], x: Tensor, shared: bool) -> list[Tensor]:
        """Return h of every layer, from the flattened images to the scores.

        They are (…, b, units), or where images are shared (in, b) and then (m, units, b): the units of all networks are
        the rows of one matrix. If each had a batch of its own, BLAS would be slow at so few columns.
        """
        outputs = [x.flatten(1).T if shared else x.flatten(2 if x.ndim == 5 else 1)]
        for k, (weight, bias) in enumerate(self.layers):
            if k:
                outputs[-1] = outputs[-1].relu_()
            z = _product(weights[weight], outputs[-1], shared)
            if bias:
                own = weights[bias]
                z += own.unsqueeze(-1 if shared else -2) if own.ndim == 2 else own
            outputs.append(z)
        return outputs


def _product(weight: Tensor, h: Tensor, shared: bool) -> Tensor:
    """Return W h; an h (in, b) that a stack shares is multiplied once by all its weights."""
    if not shared:
        return h @ weight.mT
    return torch.bmm(weight, h) if h.ndim == 3 else (weight.flatten(0, 1) @ h).view(*weight.shape[:2], -1)


def _outer(delta: Tensor, h: Tensor, shared: bool) -> Tensor:
    """Return δ hᵀ, (…, out, in), with the same sharing."""
    if not shared:
        return delta.mT @ h
    return torch.bmm(delta, h.mT) if h.ndim == 3 else (delta.flatten(0, 1) @ h.T).view(*delta.shape[:2], -1)


def _add_outer(weight: Tensor, delta: Tensor, h: Tensor, shared: bool) -> None:
    """Add δ hᵀ to W, with the same sharing."""
    if weight.ndim == 2:
        weight.addmm_(delta.T, h)
    elif h.ndim == 2:
        weight.view(-1, weight.shape[-1]).addmm_(delta.flatten(0, 1), h.T)
    else:
        weight.baddbmm_(delta if shared else delta.mT, h.mT if shared else h)


def perceptron(
    model: nn.Module,
    types: tuple[torch.dtype, ...] = (torch.float32,),
    *,
    frozen: bool = False,
    vectors: bool = False,
) -> Perceptron | None:
    """Return a network's `Perceptron`, or None where it is anything else than flattening, linear layers and ReLUs.

    All parameters are of one type, which is among `types`.

    Layers of a derived class, hooks, parametrizations, shared parameters, and, unless they are allowed, frozen ones or
    no flattening, since it takes `vectors`, all make it something else.
    """
    parts = list(model._modules.items()) if type(model) is nn.Sequential else []  # named_children drops what repeats
    if vectors and parts and type(parts[0][1]) is not nn.Flatten:
        parts.insert(0, ("", nn.Flatten()))
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
    kind = own[0].dtype
    trained = frozen or all(p.requires_grad for p in own)
    plain = kind in types and trained and all(p.dtype == kind and type(p) is nn.Parameter for p in own)
    if not plain or any(p._backward_hooks for p in own):
        return None
    return Perceptron(tuple((f"{n}.weight", f"{n}.bias" if m.bias is not None else None) for n, m in layers))


def hooked(module: nn.Module) -> bool:
    """Tell whether anything is called in addition to a module's own forward pass."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds) or "forward" in vars(module)
