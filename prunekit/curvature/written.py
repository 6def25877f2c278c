"""Products with the Hessian, or Gauss-Newton matrix, of a fully connected ReLU network's cross-entropy, written out.

With zₗ = Wₗ hₗ₋₁ + bₗ, hₗ = max(zₗ, 0), scores z_L, class probabilities p and the gradients δₗ at zₗ, a move V of the
weights moves, to first order (Pearlmutter 1994), forward and back:

    R zₗ = Vₗ hₗ₋₁ + Wₗ R hₗ₋₁ + vₗ,    R hₗ = R zₗ where zₗ > 0,    R δ_L = p ∘ R z_L - p (p · R z_L),
    R δₗ₋₁ = Wₗᵀ R δₗ + Vₗᵀ δₗ where zₗ₋₁ > 0,    (HV)ₗ = R δₗ hₗ₋₁ᵀ + δₗ R hₗ₋₁ᵀ,

and the Gauss-Newton matrix is without the two terms in δ. For small networks this is several times faster than
automatic differentiation, which takes longer to call the same products of matrices than these take; and many vectors
go at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunekit.curvature import problem as problems
from prunekit.curvature.layered import layered, understood
from prunekit.curvature.problem import NotWritten, Problem, TooLarge
from prunekit.nets.perceptron import Perceptron


@dataclass(frozen=True)
class _Layer:
    """A layer on a batch: its parameters' names, its inputs h (n, in), gradients δ (n, out), and where h > 0."""

    weight: str
    bias: str | None
    h: Tensor
    delta: Tensor
    alive: Tensor | None  # None for the images, which nothing moves


class Written:
    """The map of (D, k) tensors to their products.

    Parameters
    ----------
    problem : Problem
        The mean loss.

    Raises
    ------
    NotWritten
        If the network, the loss or, at the first product, the labels are anything else.
    TooLarge
        At the first product, if the layers' inputs and gradients take more bytes than `MOST_KEPT`.
    """

    def __init__(self, problem: Problem) -> None:
        layers = layered(problem.model, problem.loss.loss)
        if layers is None:
            raise NotWritten("products are written out for perceptrons and cross-entropy alone")
        self._problem, self._layers = problem, layers
        self._weights = {name: p.detach() for name, p in problem.model.named_parameters()}
        names = {id(p): name for name, p in problem.model.named_parameters()}
        self._names = [names[id(p)] for p in problem.parameters]
        self._batches: list[tuple[list[_Layer], Tensor, float]] = []

    @torch.no_grad()
    def __call__(self, V: Tensor) -> Tensor:
        """Return the products with columns (D, k)."""
        if not self._batches:
            self._batches = self._read()
        rows = V.T if V.shape[1] > 1 else V[:, 0]
        parts = rows.split([self._weights[name].numel() for name in self._names], dim=-1)
        moves = {
            name: part.reshape(*rows.shape[:-1], *self._weights[name].shape)
            for name, part in zip(self._names, parts, strict=True)
        }
        total = torch.zeros_like(rows)
        for layers, p, weight in self._batches:
            bent = self._bent(layers, p, moves)
            flat = [bent[name].flatten(rows.ndim - 1) for name in self._names]
            total = total.add_(torch.cat(flat, dim=-1), alpha=weight / self._problem.total)
        return total.T if V.shape[1] > 1 else total[:, None]

    def _read(self) -> list[tuple[list[_Layer], Tensor, float]]:
        """Return every batch's layers, class probabilities and weight."""
        batches, size = [], 0
        for inputs, labels, weight in self._problem.batches():
            if not understood(inputs, labels):
                raise NotWritten("products are written out for one class a sample alone")
            layers, p = _on(self._layers, self._weights, inputs[0].flatten(1).clone(), labels)
            size += sum(part.nbytes for layer in layers for part in (layer.h, layer.delta))
            if size > problems.MOST_KEPT:
                raise TooLarge
            batches.append((layers, p, weight))
        return batches

    def _bent(self, layers: list[_Layer], p: Tensor, moves: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return how the gradients of a batch's mean loss move, by parameter."""
        whole, n = self._problem.kind == "hessian", len(p)
        moved: Tensor | None = None  # R h of the layer below
        below: list[Tensor | None] = []
        for layer, alive in zip(layers, [*(above.alive for above in layers[1:]), None], strict=True):
            below.append(moved)
            moved = _forward(layer, self._weights[layer.weight], moves, moved)
            moved = moved if moved is None or alive is None else moved.mul_(alive)
        if moved is None:
            return {name: torch.zeros_like(move) for name, move in moves.items()}
        delta = p * moved
        delta = (delta - p * delta.sum(-1, keepdim=True)) / n
        bent: dict[str, Tensor] = {}
        for layer, under in zip(reversed(layers), reversed(below), strict=True):
            if layer.weight in moves:
                own = delta.mT @ layer.h
                bent[layer.weight] = _add(own, layer.delta.T, under) if whole and under is not None else own
            if layer.bias is not None and layer.bias in moves:
                bent[layer.bias] = delta.sum(-2)
            if layer.alive is not None:
                lower = delta @ self._weights[layer.weight]
                if whole and layer.weight in moves:
                    lower = _add(lower, layer.delta, moves[layer.weight])
                delta = lower.mul_(layer.alive)
        return bent


def _forward(layer: _Layer, W: Tensor, moves: Mapping[str, Tensor], moved: Tensor | None) -> Tensor | None:
    """Return R z of a layer, (…, n, out); None where nothing moves yet."""
    z = None if moved is None else moved @ W.T
    if layer.weight in moves:
        by = moves[layer.weight].mT
        z = layer.h @ by if z is None else _add(z, layer.h, by)
    if layer.bias is not None and layer.bias in moves:
        own = moves[layer.bias].unsqueeze(-2)
        z = own.repeat(*[1] * (own.ndim - 2), len(layer.h), 1) if z is None else z.add_(own)
    return z


def _add(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return total + left right, in its place; a single pair of matrices is not written in between."""
    return total.addmm_(left, right) if total.ndim == 2 else total.add_(left @ right)


def _on(layers: Perceptron, weights: Mapping[str, Tensor], x: Tensor, y: Tensor) -> tuple[list[_Layer], Tensor]:
    """Return all layers on a batch, with gradients of its mean loss, and the class probabilities (n, classes)."""
    h, inputs = x, []
    for weight, bias in layers.layers:
        inputs.append(h)
        z = h @ weights[weight].T
        z = z + weights[bias] if bias else z
        h = z.clamp(min=0)
    p = torch.softmax(z, 1)
    delta = (p - nn.functional.one_hot(y, z.shape[1])) / len(y)
    on: list[_Layer] = []
    for k in reversed(range(len(inputs))):
        weight, bias = layers.layers[k]
        alive = (inputs[k] > 0).to(delta) if k else None
        on.insert(0, _Layer(weight, bias, inputs[k], delta, alive))
        if alive is not None:
            delta = (delta @ weights[weight]) * alive
    return on, p
