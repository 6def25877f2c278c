"""The block of a Hessian that belongs to a network's last two layers, with its derivatives written out.

Where nothing but ReLUs, pooling and flattening follows the last layer but one, o = V ⋆ u, the scores z = W h(o) + b
are piecewise linear in each of both layers, and their second derivatives are products of first ones: with K = ∂h/∂V of
a sample, J = W K, class probabilities p, S = diag(p) - ppᵀ and δ = p - e_y, the Hessian of the cross-entropy is JᵀSJ
in V, S ⊗ hhᵀ in W, and between them Jᵀ S ⊗ h + K δᵀ, all of them sums over samples. Of a small convolutional network
these are most of the rows, and automatic differentiation goes back through the network for the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunekit.nets.access import Loss
from prunekit.nets.objectives import is_cross_entropy
from prunekit.nets.perceptron import hooked

_TERMS = 2**20  # numbers in the derivatives of some samples that are held at once
_WITHOUT_WEIGHTS = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten)


@dataclass(frozen=True)
class LastLayers:
    """A network in four parts, run one after the other.

    Attributes
    ----------
    front : tuple of Module
        All that comes before the last layer but one.
    middle : Module
        The last layer but one, a convolution or a linear layer.
    tail : tuple of Module
        What lies between both, without weights.
    last : Linear
        The last layer.
    names : mapping
        For "middle" and "last" the names of weight and bias, None for none.
    """

    front: tuple[nn.Module, ...]
    middle: nn.Conv2d | nn.Linear
    tail: tuple[nn.Module, ...]
    last: nn.Linear
    names: Mapping[str, tuple[str, str | None]]


def last_layers(model: nn.Module, loss: Loss) -> LastLayers | None:
    """Return a network's last two layers, None where their Hessian cannot be written out.

    Parameters
    ----------
    model : Module
        Layers in a row, with none that is derived from torch's own, hooked, or used twice from the last but one on.
    loss : callable
        torch's cross-entropy, as a function or a module, without settings.
    """
    if not is_cross_entropy(loss) or any(hooked(part) for part in model.modules()):
        return None
    parts = _row("", model)
    own = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    if parts is None or len(own) > len(list(model.parameters())) or len({id(p) for _, p in parts}) < len(parts):
        return None
    at = [k for k, (_, part) in enumerate(parts) if isinstance(part, nn.Module) and list(part.parameters())]
    if len(at) < 2 or at[-1] != len(parts) - 1:
        return None
    (path, middle), (end, last) = parts[at[-2]], parts[at[-1]]
    tail = tuple(part for _, part in parts[at[-2] + 1 : at[-1]])
    if type(last) is not nn.Linear or not _is_plain(middle) or any(type(t) not in _WITHOUT_WEIGHTS for t in tail):
        return None
    assert isinstance(middle, nn.Conv2d | nn.Linear)
    names = {which: _names(p, part) for which, p, part in (("middle", path, middle), ("last", end, last))}
    return LastLayers(tuple(part for _, part in parts[: at[-2]]), middle, tail, last, names)


def _row(path: str, model: nn.Module) -> list[tuple[str, nn.Module]] | None:
    """Return a network's layers in the order in which they are run, with their paths; None if it is no row."""
    if type(model) is not nn.Sequential:
        return None
    found: list[tuple[str, nn.Module]] = []
    for name, part in model._modules.items():
        if part is None:
            return None
        inner = _row(f"{path}{name}.", part) if type(part) is nn.Sequential else [(f"{path}{name}", part)]
        found += inner or []
    return found


def _is_plain(part: nn.Module) -> bool:
    """Tell whether a layer is linear in its weights by the formula of this module."""
    if type(part) is nn.Linear:
        return True
    if type(part) is not nn.Conv2d or isinstance(part.padding, str):
        return False
    return part.groups == 1 and part.padding_mode == "zeros" and (part.stride == (1, 1) or part.kernel_size != (1, 1))


def _names(path: str, part: nn.Module) -> tuple[str, str | None]:
    return f"{path}.weight", None if part.bias is None else f"{path}.bias"


def rows_before(layers: LastLayers, theta: Mapping[str, Tensor]) -> int:
    """Return how many rows of the Hessian belong to other layers; they are the first."""
    own = {name for pair in layers.names.values() for name in pair}
    return sum(p.numel() for name, p in theta.items() if name not in own)


def block(layers: LastLayers, theta: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the Hessian (r, r) of the mean cross-entropy of a batch in the last two layers, in double precision.

    Parameters
    ----------
    layers : LastLayers
        The network.
    theta : mapping
        The parameters whose rows are wanted, in order; those of other layers are passed over.
    x, y : tensors
        Inputs (n, …) and classes (n,).
    """
    with torch.no_grad():
        for part in layers.front:
            x = part(x)
    u = x.double()
    middle, last = (_columns(layers.names[which], theta) for which in ("middle", "last"))
    sizes = [len(middle) * layers.middle.weight.shape[0], len(last) * layers.last.weight.shape[0]]
    of_middle = layers.middle.weight[0].numel() + 1
    held = layers.last.in_features * layers.middle.weight.shape[0] * of_middle
    H = u.new_zeros(sum(sizes), sum(sizes))
    for some, classes in zip(*(t.split(max(1, _TERMS // held)) for t in (u, y)), strict=True):
        _add(H, layers, sizes[0], (middle, last), some, classes)
    H = H + H.T
    order = [*_order(layers.names["middle"], layers.middle, middle, theta, 0)]
    order += _order(layers.names["last"], layers.last, last, theta, sizes[0])
    index = torch.tensor(order, device=H.device)
    return H[index.unsqueeze(1), index] / len(u)


def _columns(names: tuple[str, str | None], theta: Mapping[str, Tensor]) -> list[int]:
    """Return which of a layer's inputs are wanted: those with a weight, and the last for the bias."""
    weight, bias = names
    count = theta[weight][0].numel() if weight in theta else 0
    return [*range(count), *([-1] if bias in theta else [])]


def _order(
    names: tuple[str, str | None], layer: nn.Module, columns: list[int], theta: Mapping[str, Tensor], start: int
) -> list[int]:
    """Return places by (output, input) in the order of the parameters: all weights, then all biases."""
    assert isinstance(layer.weight, Tensor)
    outputs, width = len(layer.weight), len(columns)
    biased = names[1] in theta
    inner = width - biased
    weights = [start + o * width + j for o in range(outputs) for j in range(inner)]
    return weights + [start + o * width + inner for o in range(outputs) if biased]


def _add(H: Tensor, layers: LastLayers, size: int, wanted: tuple[list[int], list[int]], u: Tensor, y: Tensor) -> None:
    """Add half of the Hessian's diagonal blocks and the whole of that above them, of some samples."""
    n, W = len(u), layers.last.weight.detach().double()
    inputs = _inputs(layers.middle, u)[:, wanted[0]]  # (n, q, places)
    h, slopes = _through(layers, u)  # (n, m), (n, m, out, places)
    K = (slopes.flatten(1, 2) @ inputs.mT).view(n, h.shape[1], size)  # ∂h/∂V, (n, m, out q)
    z = h @ W.T + (0.0 if layers.last.bias is None else layers.last.bias.detach().double())
    p = torch.softmax(z, 1)
    delta = p - nn.functional.one_hot(y, z.shape[1])
    S = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    J = W @ K  # (n, k, out q)
    SJ = S @ J
    ones = torch.cat([h, h.new_ones(n, 1)], dim=1)[:, wanted[1]]
    H[:size, :size] += J.flatten(0, 1).T @ SJ.flatten(0, 1) / 2
    outer = (ones.unsqueeze(2) * ones.unsqueeze(1)).flatten(1)
    both = (S.flatten(1).T @ outer).view(S.shape[1], S.shape[1], ones.shape[1], ones.shape[1])
    H[size:, size:] += both.transpose(1, 2).reshape(H.shape[0] - size, H.shape[0] - size) / 2
    between = (SJ.flatten(1).T @ ones).view(S.shape[1], size, ones.shape[1])
    if wanted[1][:1] == [0]:
        network = (delta.T @ K.flatten(1)).view(S.shape[1], h.shape[1], size)
        between[:, :, : h.shape[1]] += network.mT
    H[:size, size:] += between.transpose(0, 1).flatten(1)


def _inputs(layer: nn.Conv2d | nn.Linear, u: Tensor) -> Tensor:
    """Return what the weights of a layer are multiplied with, (n, inputs + 1, places), the last being 1."""
    if isinstance(layer, nn.Linear):
        found = u.unsqueeze(2)
    else:
        assert not isinstance(layer.padding, str)
        found = nn.functional.unfold(u, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    return torch.cat([found, found.new_ones(len(u), 1, found.shape[2])], dim=1)


def _through(layers: LastLayers, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last layer's inputs h (n, m), and how they move with what comes out of the middle layer."""
    bias = None if layers.middle.bias is None else layers.middle.bias.detach().double()
    weight = layers.middle.weight.detach().double()
    if isinstance(layers.middle, nn.Linear):
        out = nn.functional.linear(u, weight, bias)
    else:
        out = nn.functional.conv2d(u, weight, bias, layers.middle.stride, layers.middle.padding, layers.middle.dilation)
    out = out.detach().requires_grad_()
    with torch.enable_grad():
        h = out
        for part in layers.tail:
            h = part(h)
        slopes = [torch.autograd.grad(h[:, j].sum(), out, retain_graph=True)[0] for j in range(h.shape[1])]
    return h.detach(), torch.stack(slopes, dim=1).reshape(*h.shape, out.shape[1], -1)
