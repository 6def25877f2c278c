"""The Hessian of a fully connected ReLU network's cross-entropy with its derivatives written out.

With hₗ = max(zₗ, 0), zₗ = Wₗ hₗ₋₁ + bₗ and the scores z_L, a sample's Hessian in (Wₗ, Wₗ') has two parts. That of
the loss is Gauss and Newton's: (Gₗᵀ S Gₗ')ᵢᵢ' hⱼ h'ⱼ', with Gₗ = ∂z_L/∂zₗ and S = diag(p) - ppᵀ of the class
probabilities p. That of the network is δᵃ (∂hₘ/∂zᵢ) hⱼ for l < l', with δ the gradient at zₗ' and (a, m) the entry of
Wₗ'; within one layer there is none, since a ReLU is linear on both sides of its kink. Both are sums over samples of
products, and so a few products of matrices, where automatic differentiation goes back through the network once a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunekit.nets.access import Loss
from prunekit.nets.objectives import is_cross_entropy
from prunekit.nets.perceptron import Perceptron, perceptron

Blocks = dict[tuple[int, int], Tensor]  # by pair of layers
_SLOPES = 2**22  # numbers in a layer's slopes, of as many samples as are taken together
_TERMS = 2**18  # numbers in a factor of a product of matrices, which a processor's cache should hold


@dataclass(frozen=True)
class _Layer:
    """A layer on some samples: its inputs (n, q), those that have a weight and a 1 for the bias, and its slopes."""

    inputs: Tensor
    place: Tensor  # (out, q) int: rows of the Hessian
    widths: int  # of the inputs that have a weight
    slopes: Tensor  # (n, k, out): ∂z_L/∂zₗ
    delta: Tensor  # (n, out): ∂loss/∂zₗ


def layered(model: nn.Module, loss: Loss) -> Perceptron | None:
    """Return the layers of a network whose Hessian can be written out, None where it cannot.

    Parameters
    ----------
    model : Module
        Linear layers and ReLUs, mostly after flattening, and nothing else.
    loss : callable
        torch's cross-entropy, as a function or a module, without settings.
    """
    types = (torch.float32, torch.float64)
    return perceptron(model, types, frozen=True, vectors=True) if is_cross_entropy(loss) else None


def understood(inputs: tuple[object, ...], labels: Tensor) -> bool:
    """Tell whether a batch is images, or vectors, and one class for each, none of them ignored."""
    plain = len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point()
    return plain and labels.ndim == 1 and not labels.is_floating_point() and bool((labels >= 0).all())


@torch.no_grad()
def hessian(layers: Perceptron, theta: Mapping[str, Tensor], model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the Hessian (p, p) of the mean cross-entropy of a batch, in double precision.

    Parameters
    ----------
    layers : Perceptron
        The network's layers, as `layered` returns them.
    theta : mapping
        The parameters whose rows are wanted, in order.
    model : Module
        The network.
    x, y : tensors
        Inputs (n, …) and classes (n,).
    """
    sizes = [p.numel() for p in theta.values()]
    starts = dict(zip(theta, torch.tensor([0, *sizes]).cumsum(0).tolist(), strict=False))
    weights = {name: p.detach().double() for name, p in model.named_parameters()}
    most = max(w.numel() for w in weights.values())
    blocks: Blocks = {}
    for part, classes in zip(*(t.split(max(1, _TERMS // most)) for t in (x.double(), y)), strict=True):
        found, alive = _on(layers, weights, starts, part, classes)
        p = found[-1].delta + nn.functional.one_hot(classes, found[-1].delta.shape[1])
        S = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
        for low, below in enumerate(found):
            for high in range(low, len(found)):
                _add_loss(_block(blocks, found, low, high), below, found[high], S)
            for high, reach in _reaches(low, layers, weights, alive):
                _add_network(_block(blocks, found, low, high), below, found[high], reach)
    H = torch.zeros(sum(sizes), sum(sizes), dtype=torch.float64, device=x.device)
    for (low, high), block in blocks.items():
        H[found[low].place.flatten().unsqueeze(1), found[high].place.flatten()] = block.flatten(2).flatten(0, 1)
    return (H + H.T) / len(x)


@torch.no_grad()
def gauss_newton(
    layers: Perceptron, theta: Mapping[str, Tensor], model: nn.Module, x: Tensor, y: Tensor
) -> list[Tensor]:
    """Return the diagonal of Gauss and Newton's matrix of the mean cross-entropy of a batch, in double precision.

    Of Wₗ it is Σ_n (Gₗᵀ S Gₗ)ᵢᵢ h²ⱼ / n, a product of matrices (n, out) and (n, in), where a Jacobian has n times as
    many numbers as the network, for each class. The arguments are those of `hessian`.
    """
    starts = dict.fromkeys(theta, 0)  # which parameters are wanted; where their rows stand is not asked for
    weights = {name: p.detach().double() for name, p in model.named_parameters()}
    totals = {name: torch.zeros_like(p, dtype=torch.float64) for name, p in theta.items()}
    scores = len(weights[layers.layers[-1][0]]) * max(len(weights[name]) for name, _ in layers.layers)
    for part, classes in zip(*(t.split(max(1, _SLOPES // scores)) for t in (x.double(), y)), strict=True):
        on, _ = _on(layers, weights, starts, part, classes)
        p = on[-1].delta + nn.functional.one_hot(classes, on[-1].delta.shape[1])
        for layer, (weight, bias) in zip(on, layers.layers, strict=True):
            beside = layer.slopes - p.unsqueeze(1) @ layer.slopes  # gᵀ S g is the variance of g under p
            bends = (p.unsqueeze(2) * beside.square()).sum(1)
            if weight in totals:
                totals[weight] += bends.T @ layer.inputs[:, : layer.widths].square()
            if bias in totals:
                totals[bias] += bends.sum(0)
    return [total / len(x) for total in totals.values()]


def _block(blocks: Blocks, found: list[_Layer], low: int, high: int) -> Tensor:
    """Return the sum for a pair of layers (out, q, out', q'), of zeros at first."""
    if (low, high) not in blocks:
        shape = (*found[low].place.shape, *found[high].place.shape)
        blocks[low, high] = found[low].inputs.new_zeros(shape)
    return blocks[low, high]


def _on(
    layers: Perceptron, weights: Mapping[str, Tensor], starts: Mapping[str, int], x: Tensor, y: Tensor
) -> tuple[list[_Layer], list[Tensor]]:
    """Return all layers on some samples, and which hidden units (n, out) are positive, layer by layer."""
    h, inputs, alive = x.flatten(1), [], []
    for weight, bias in layers.layers:
        inputs.append(h)
        z = h @ weights[weight].T + (weights[bias] if bias else 0.0)
        alive.append((z > 0).to(z))
        h = z * alive[-1]
    slopes = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(x), -1, -1)
    delta = torch.softmax(z, 1) - nn.functional.one_hot(y, z.shape[1])
    found: list[_Layer] = []
    for k in reversed(range(len(layers.layers))):
        weight, bias = layers.layers[k]
        out, width = weights[weight].shape
        held = weight in starts
        parts = [inputs[k]] if held else []
        rows = torch.arange(out, device=x.device).unsqueeze(1)
        place = [starts[weight] + width * rows + torch.arange(width, device=x.device)] if held else []
        if bias in starts:
            parts.append(x.new_ones(len(x), 1))
            place.append(starts[str(bias)] + rows)
        both = torch.cat([x.new_zeros(len(x), 0), *parts], dim=1)
        where = torch.cat([rows[:, :0], *place], dim=1)
        found.insert(0, _Layer(both, where, width if held else 0, slopes, delta))
        if k:
            slopes = (slopes @ weights[weight]) * alive[k - 1].unsqueeze(1)
            delta = (delta @ weights[weight]) * alive[k - 1]
    return found, alive[:-1]


def _add_loss(block: Tensor, low: _Layer, high: _Layer, S: Tensor) -> None:
    """Add Gauss and Newton's part of a pair of layers, above the diagonal; half of it on the diagonal."""
    P = low.slopes.transpose(1, 2) @ (S @ high.slopes)  # (n, out, out')
    if low is high:
        P = P.triu() - 0.5 * torch.diag_embed(P.diagonal(dim1=1, dim2=2))
    for i in range(P.shape[1]):
        first = i if low is high else 0
        right = P[:, i, first:, None] * high.inputs[:, None, :]
        block[i, :, first:].flatten(1).addmm_(low.inputs.T, right.flatten(1))


def _reaches(
    low: int, layers: Perceptron, weights: Mapping[str, Tensor], alive: list[Tensor]
) -> Iterator[tuple[int, Tensor]]:
    """Yield each later layer with what its inputs move by when zₗ does, (n, in, out)."""
    reach = torch.diag_embed(alive[low]) if low < len(alive) else None
    for high in range(low + 1, len(layers.layers)):
        assert reach is not None
        yield high, reach
        if high < len(alive):
            reach = (weights[layers.layers[high][0]] @ reach) * alive[high].unsqueeze(2)


def _add_network(block: Tensor, low: _Layer, high: _Layer, reach: Tensor) -> None:
    """Add the network's own part of a pair of layers, the first below the second."""
    for i in range(reach.shape[2] if high.widths else 0):
        right = high.delta[:, :, None] * reach[:, None, :, i]
        block[i, :, :, : high.widths] += (low.inputs.T @ right.flatten(1)).view(-1, *right.shape[1:])
