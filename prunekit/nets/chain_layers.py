"""The layers of a `Chain`: outputs forward, gradients back, for one network or a stack of them.

Activations are (m, c, h, w, b) for a stack of m networks and images side by side as the last axis; see
`prunekit.nets.chain` for what is gained by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from prunekit.nets.perceptron import Named

_aten: Any = torch.ops.aten  # whose overloads torch's own type hints do not know
State = Mapping[str, Tensor]  # weights and batch norms' statistics by name
Shape = tuple[int, ...]  # of one image: channels, height and width, or features


class Layer(Protocol):
    """A layer in training."""

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return the outputs, and what the way back needs of this call."""
        ...

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Add the gradients of the parameters to `gradients`; return that of the inputs where it goes further."""
        ...

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Return the shape of the outputs, and how many numbers an image has under the largest kernel on the way.

        A layer that has no gradient to return needs no kernel on the way back.
        """
        ...


def _columns(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Return the values under a kernel at its places in padded images, (m, c k², h w b)."""
    m, c, height, width, b = x.shape
    h, w = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    to_network, to_channel, to_row, to_pixel, one = x.stride()
    steps = (to_network, to_channel, to_row, to_pixel, stride * to_row, stride * to_pixel, one)
    return x.as_strided((m, c, kernel, kernel, h, w, b), steps).reshape(m, c * kernel**2, h * w * b)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Return a b of matrices (m, …); a b of m = 1 is shared by all networks, and multiplied once."""
    if len(a) == len(b):
        return torch.bmm(a, b)
    return (a.flatten(0, 1) @ b[0]).view(len(a), a.shape[1], -1)


@dataclass(frozen=True)
class Convolution:
    """A convolution with square kernels, with or without a bias."""

    weight: str
    bias: str | None
    outputs: int
    kernel: int
    stride: int
    padding: int

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return W X; the way back needs X."""
        weight, p = state[self.weight], self.padding
        m, (out, _, k, _) = weight.shape[:-4].numel(), weight.shape[-4:]
        _, c, height, width, b = x.shape
        if p:
            padded = x.new_zeros(len(x), c, height + 2 * p, width + 2 * p, b)
            padded[:, :, p:-p, p:-p] = x
            x = padded
        columns = _columns(x, k, self.stride)
        y = _product(weight.reshape(m, out, -1), columns)
        if self.bias:
            y += state[self.bias].view(m, out, 1)
        h, w = ((size + 2 * p - k) // self.stride + 1 for size in (height, width))
        return y.view(m, out, h, w, b), (columns, height, width)

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Return the gradient of the padded images' inner part."""
        weight, (columns, height, width) = state[self.weight], kept
        m, out, h, w, b = g.shape
        flat = g.reshape(m, out, -1)
        turned = columns.mT if len(columns) == m else columns[0].T
        product = flat @ turned if len(columns) == m else flat.flatten(0, 1) @ turned
        gradients[self.weight] = product.view_as(weight)
        if self.bias:
            gradients[self.bias] = flat.sum(-1).view_as(state[self.bias])
        if not further:
            return None
        k, s, before = self.kernel, self.stride, self.kernel - 1 - self.padding
        if k > 1 or s > 1:
            apart = g.new_zeros(m, out, height + k - 1, width + k - 1, b)
            apart[:, :, before : before + s * h : s, before : before + s * w : s] = g
            flat = _columns(apart, k, 1)
        back = weight.flip(-1, -2).transpose(-3, -4).reshape(m, weight.shape[-3], -1)
        return torch.bmm(back, flat).view(m, -1, height, width, b)

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Count the values under the kernel, forward and back."""
        c, height, width = shape
        h, w = ((size + 2 * self.padding - self.kernel) // self.stride + 1 for size in (height, width))
        back = self.outputs * height * width if further else 0
        return (self.outputs, h, w), self.kernel**2 * max(c * h * w, back)


@dataclass(frozen=True)
class Norm:
    """Batch normalization by the statistics of the batch, which its running ones follow."""

    path: str
    momentum: float
    eps: float

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return the normalized inputs; the way back needs the inputs and their moments."""
        m, c = x.shape[:2]
        if x[0, 0].numel() == 1:  # torch's layer refuses it too; its routine would divide by 0
            raise ValueError("Expected more than 1 value per channel when training")
        state[f"{self.path}.num_batches_tracked"].add_(1)
        weight, bias, mean, variance = self._named(state)
        flat = x.reshape(1, m * c, -1)
        y, *moments = _aten.native_batch_norm(flat, weight, bias, mean, variance, True, self.momentum, self.eps)
        return y.view_as(x), (flat, *moments)

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Ask torch for all three gradients."""
        flat, average, scale = kept
        weight, _, mean, variance = self._named(state)
        back, of_weight, of_bias = _aten.native_batch_norm_backward(
            g.reshape_as(flat), flat, weight, mean, variance, average, scale, True, self.eps, (further, True, True)
        )
        for name, t in (("weight", of_weight), ("bias", of_bias)):
            gradients[f"{self.path}.{name}"] = t.view_as(state[f"{self.path}.{name}"])
        return back.view_as(g) if further else None

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Leave the shape."""
        return shape, 0

    def _named(self, state: State) -> list[Tensor]:
        """Return weight, bias and running moments of all networks' channels."""
        tensors = [state[f"{self.path}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")]
        return tensors if tensors[0].ndim == 1 else [t.view(-1) for t in tensors]


class Relu:
    """max(x, 0), in place; the derivative at 0 is 0."""

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return the outputs, which the way back needs."""
        return x.relu_(), x

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Stop the gradient where the outputs are 0."""
        return _threshold(g, kept) if further else None

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Leave the shape."""
        return shape, 0


def _threshold(g: Tensor, y: Tensor) -> Tensor:
    """Return g where a ReLU's outputs y are above 0, else 0."""
    back = _aten.threshold_backward(g, y, 0)
    assert isinstance(back, Tensor)
    return back


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each window of `size`, side by side."""

    size: int

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return the maxima; the way back needs their places."""
        images = self._as_images(x)
        y, places = _aten.max_pool2d_with_indices(images, [self.size] * 2, [self.size] * 2)
        m, c, h, w, b = x.shape
        return y.permute(0, 2, 3, 1).reshape(m, c, h // self.size, w // self.size, b), (images, places)

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Lead the gradient to the maxima."""
        if not further:
            return None
        images, places = kept
        size = [self.size] * 2
        back = _aten.max_pool2d_with_indices_backward(
            self._as_images(g), images, size, size, [0, 0], [1, 1], False, places
        )
        return back.permute(0, 2, 3, 1).reshape(*g.shape[:2], *images.shape[2:], g.shape[-1])

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Divide height and width."""
        return (shape[0], shape[1] // self.size, shape[2] // self.size), 0

    def _as_images(self, x: Tensor) -> Tensor:
        """Return (m c, b, h, w), with b the channels in torch's format of channels last: no copy."""
        return x.flatten(0, 1).permute(0, 3, 1, 2)


class Mean:
    """The mean over all pixels, one value a channel."""

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return (m, c, 1, 1, b); the way back needs the shape."""
        return x.mean((2, 3), keepdim=True), x.shape

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Give each pixel its part."""
        return (g / (kept[2] * kept[3])).expand(kept) if further else None

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Leave the channels."""
        return (shape[0], 1, 1), 0


class Flatten:
    """All axes of an image as one, (m, c h w, b)."""

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return a view; the way back needs the shape."""
        return x.flatten(1, -2), x.shape

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Put the axes back."""
        return g.reshape(kept) if further else None

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Multiply the axes."""
        return (torch.Size(shape).numel(),), 0


@dataclass(frozen=True)
class Linear:
    """W h + b, on (m, features, b)."""

    weight: str
    bias: str | None

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return the outputs; the way back needs the inputs."""
        weight = state[self.weight]
        y = torch.bmm(weight.view(-1, *weight.shape[-2:]), x)
        if self.bias:
            y += state[self.bias].view(*y.shape[:2], 1)
        return y, x

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Return Wᵀ δ; the gradients are δ hᵀ and Σ δ."""
        weight = state[self.weight]
        gradients[self.weight] = torch.bmm(g, kept.mT).view_as(weight)
        if self.bias:
            gradients[self.bias] = g.sum(-1).view_as(state[self.bias])
        return torch.bmm(weight.view(-1, *weight.shape[-2:]).mT, g) if further else None

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Leave the shape; what follows a linear layer has one axis too."""
        return shape, 0


@dataclass(frozen=True)
class Row:
    """Layers one after the other."""

    layers: tuple[Layer, ...]

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return the last outputs; the way back needs what each layer needs."""
        kept = []
        for layer in self.layers:
            x, own = layer.forward(state, x)
            kept.append(own)
        return x, kept

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Go back through all of them."""
        back: Tensor | None = g
        for k in reversed(range(len(self.layers))):
            assert back is not None
            back = self.layers[k].backward(state, kept[k], back, gradients, further or k > 0)
        return back

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Follow the shape and note the largest."""
        largest = 0
        for k, layer in enumerate(self.layers):
            shape, most = layer.after(shape, further or k > 0)
            largest = max(largest, most)
        return shape, largest


@dataclass(frozen=True)
class Residual:
    """A block of `resnet20`: ReLU(carry(x) + inner(x)), x thinned by the stride before it is carried."""

    inner: Row
    carry: Row | None
    stride: int
    more: int  # channels that are new

    def forward(self, state: State, x: Tensor) -> tuple[Tensor, Any]:
        """Return the outputs; the way back needs them, and what both ways need."""
        y, inner = self.inner.forward(state, x)
        carried, own = x[:, :, :: self.stride, :: self.stride] if self.more else x, None
        if self.carry:
            carried, own = self.carry.forward(state, carried)
        y[:, : carried.shape[1]] += carried  # without a carry there is nothing to add to the new channels
        return y.relu_(), (inner, own, y)

    def backward(self, state: State, kept: Any, g: Tensor, gradients: Named, further: bool) -> Tensor | None:
        """Add up the gradients of both ways."""
        inner, own, y = kept
        g = _threshold(g, y)
        back = self.inner.backward(state, inner, g, gradients, further)
        carried = self.carry.backward(state, own, g, gradients, further) if self.carry else g
        if back is None or carried is None:
            return None
        step = self.stride if self.more else 1
        back[:, :, ::step, ::step] += carried[:, : back.shape[1]]
        return back

    def after(self, shape: Shape, further: bool) -> tuple[Shape, int]:
        """Follow the longer way."""
        return self.inner.after(shape, further)
