"""Convolutional networks on small images with their gradient written out, for one network or a stack of them.

On small images a training step is spent in the calls of automatic differentiation and in convolution routines made
for large ones. Here the images of a batch lie side by side as the last axis, so that every convolution is one product
of matrices with long rows, cut out of the padded images by a single copy: with X the (c k², h w b) values under the
kernel, Y = W X forward, ∂/∂W = δ Xᵀ back, and ∂/∂x is the convolution of δ, its pixels set apart by the stride, with
the kernels turned round. Batch norms, pooling and the cross-entropy are torch's own routines, forward and back.
Activations are (m, c, h, w, b) for a stack of m networks, and with m = 1 for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.nets.chain_layers import (
    Convolution,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Mean,
    Norm,
    Relu,
    Residual,
    Row,
    Shape,
    State,
)
from prunekit.nets.models import Block
from prunekit.nets.perceptron import Named, Slope, hooked

_COLUMNS = 2**19  # numbers under a layer's kernel up to which a product of matrices is the faster convolution: 2 MB


@dataclass(frozen=True)
class Chain:
    """A whole network, from the images to the scores."""

    layers: Row

    def suits(self, shape: Shape, batch: int) -> bool:
        """Tell whether images (c, h, w) and batches are so small that this is the faster way, alone or in a stack."""
        return self.unfolded(shape) * batch <= _COLUMNS

    def unfolded(self, shape: Shape) -> int:
        """Return how many numbers an image (c, h, w) has under the largest kernel, forward or back."""
        return self.layers.after(shape, further=False)[1]

    @torch.no_grad()
    def slope(self, state: State, x: Tensor, y: Tensor) -> Slope:
        """Return losses and scores of a batch, and the gradients of the (sum of the networks') mean loss.

        The running statistics of batch norms move along, in place.

        Parameters
        ----------
        state : mapping
            Parameters and buffers by name, in a stack with the networks as their first axis.
        x, y : tensors
            Normalized images (b, c, h, w) and labels (b,), or (m, b, c, h, w) and (m, b).
        """
        images = x if x.ndim == 5 else x.unsqueeze(0)
        scores, kept = self.layers.forward(state, images.permute(0, 2, 3, 4, 1).contiguous())
        logs = torch.log_softmax(scores, 1)
        index = y.expand(len(scores), -1).unsqueeze(1)
        losses = -logs.gather(1, index).squeeze(1)
        g = logs.exp()
        g.scatter_add_(1, index, g.new_full((), -1.0).expand(index.shape))
        g.div_(y.shape[-1])
        gradients: Named = {}
        self.layers.backward(state, kept, g, gradients, further=False)
        last = self.layers.layers[-1]
        stacked = isinstance(last, Linear) and state[last.weight].ndim == 3
        return Slope(losses, scores.mT, gradients) if stacked else Slope(losses[0], scores[0].T, gradients)


def chain(model: nn.Module) -> Chain | None:
    """Return a network's `Chain`, or None where it has layers, hooks or parameters that a chain does not know.

    It knows no frozen or shared parameters, no parametrizations, no type but single precision, no device but the CPU,
    and no layers of a derived class.
    """
    own = list(model.parameters())
    modules = list(model.named_modules(remove_duplicate=False))
    once = len({id(m) for _, m in modules}) == len(modules)
    shared = len(list(model.named_parameters(remove_duplicate=False))) > len(own)
    if not once or shared or not all(map(_plain, own)) or any(hooked(m) for _, m in modules):
        return None
    layers = _row("", model)
    if layers is None or not layers.layers or not _first(layers) or not isinstance(layers.layers[-1], Linear):
        return None
    return Chain(layers)


def _plain(p: Tensor) -> bool:
    """Tell whether a parameter is trained and nothing else, in single precision on the CPU."""
    kind = type(p) is nn.Parameter and p.dtype == torch.float32 and p.device.type == "cpu"
    return kind and p.requires_grad and not p._backward_hooks


def _first(layers: Row) -> bool:
    """Tell whether the first layer is a convolution, which alone can take images that a stack shares."""
    first = layers.layers[0]
    return _first(first) if isinstance(first, Row) and first.layers else isinstance(first, Convolution)


def _row(path: str, module: nn.Module) -> Row | None:
    """Return the layers of an `nn.Sequential`, None where it is none or holds what is not known."""
    if type(module) is not nn.Sequential:
        return None
    layers = [_layer(f"{path}{name}", part) for name, part in module._modules.items() if part is not None]
    known = [layer for layer in layers if layer is not None]
    return Row(tuple(known)) if len(known) == len(module._modules) else None


def _layer(path: str, part: nn.Module) -> Layer | None:
    """Return one layer, None where it is not known."""
    known: dict[type, Any] = {
        Block: _block, nn.Conv2d: _convolution, nn.BatchNorm2d: _norm, nn.MaxPool2d: _pool,
        nn.Sequential: lambda path, part: _row(f"{path}.", part),
        nn.Linear: lambda path, part: Linear(f"{path}.weight", _bias(path, part)),
        nn.ReLU: lambda *_: Relu(),
        nn.Flatten: lambda _, part: Flatten() if (part.start_dim, part.end_dim) == (1, -1) else None,
        nn.AdaptiveAvgPool2d: lambda _, part: Mean() if part.output_size == 1 else None,
    }  # fmt: skip
    layer: Layer | None = known.get(type(part), lambda *_: None)(path, part)
    return layer


def _bias(path: str, part: nn.Module) -> str | None:
    """Return the name of a layer's bias, None where it has none."""
    return None if part.bias is None else f"{path}.bias"


def _convolution(path: str, part: nn.Conv2d) -> Convolution | None:
    """Return a convolution of one group and square kernels that pads with zeros, by less than a kernel."""
    pairs = (part.kernel_size, part.stride, part.padding)
    if part.padding_mode != "zeros" or part.groups != 1 or part.dilation != (1, 1):
        return None
    if any(isinstance(pair, str) or pair[0] != pair[1] for pair in pairs):
        return None
    kernel, stride, padding = (int(pair[0]) for pair in pairs)
    if padding >= kernel or (kernel == 1 and stride > 1):  # for the latter see `prunekit.nets.convolutions`
        return None
    return Convolution(f"{path}.weight", _bias(path, part), part.out_channels, kernel, stride, padding)


def _norm(path: str, part: nn.BatchNorm2d) -> Norm | None:
    """Return a batch norm that has parameters and keeps running statistics."""
    if not part.affine or not part.track_running_stats or part.momentum is None or part.running_mean is None:
        return None
    return Norm(path, part.momentum, part.eps)


def _pool(path: str, part: nn.MaxPool2d) -> MaxPool | None:
    """Return a pooling over square windows side by side."""
    usual = isinstance(part.kernel_size, int) and part.stride == part.kernel_size
    if not usual or part.padding or part.dilation != 1 or part.ceil_mode or part.return_indices:
        return None
    return MaxPool(int(part.kernel_size))  # type: ignore[arg-type]


def _block(path: str, part: Block) -> Residual | None:
    """Return a block of `resnet20`."""
    names = ("conv1", "norm1", "conv2", "norm2")
    layers = [_layer(f"{path}.{name}", getattr(part, name)) for name in names]
    carry = None if part.carry is None else _row(f"{path}.carry.", part.carry)
    known = [layer for layer in layers if layer is not None]
    if len(known) < len(names) or (part.carry is not None and carry is None):
        return None
    return Residual(Row((*known[:2], Relu(), *known[2:])), carry, part.stride, part.more)
