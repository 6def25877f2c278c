"""Strided 1×1 convolutions of few channels, computed so that PyTorch's oneDNN survives their backward pass.

On a processor without AVX-512, oneDNN (as in torch 2.15) writes past its buffers in the backward pass of a 1×1
convolution with a stride and 2 to 7 input channels when the images lie channels last; images of one channel always
count as lying so. The process then dies of a corrupted heap, sooner or later. A 1×1 convolution of stride s reads
every s-th pixel and no other, so that taking these pixels first and convolving with stride 1 is the same function,
and safe. The networks of `prunekit.nets.models` are written in this way; `surviving` computes a reader's network in
this way, whether it uses `torch.nn.Conv2d` or `torch.nn.functional.conv2d`.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_CHANNELS = range(2, 8)  # one channel and eight or more are safe, and so are groups and larger kernels
_WORD = (
    "the network has a 1×1 convolution with a stride on 2 to 7 channels, whose backward pass crashes PyTorch's oneDNN "
    "on processors without AVX-512: it is computed as the pixels that it reads, followed by a convolution of stride 1"
)


def surviving(model: nn.Module) -> contextlib.AbstractContextManager[Any]:
    """Return a context for the model's forward passes in which no convolution can crash oneDNN.

    The model itself is not changed, and neither is the function that it computes. A model without weights of such a
    shape gets a context that does nothing.
    """
    tensors = itertools.chain(model.parameters(), model.buffers())
    if any(nn.parameter.is_lazy(t) or (t.device.type in ("cpu", "meta") and _narrow(t)) for t in tensors):
        return _EveryPixelThatIsRead()
    return contextlib.nullcontext()


class _EveryPixelThatIsRead(TorchFunctionMode):
    """Take the pixels that a narrow, strided 1×1 convolution reads, and convolve them with stride 1."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `function`, or what is safe in its place."""
        kwargs = kwargs or {}
        if function is torch.conv2d:
            return _conv2d(*args, **kwargs)
        return function(*args, **kwargs)


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Return `torch.conv2d` of the same arguments."""
    down, right = _pair(stride)
    if input.device.type != "cpu" or groups != 1 or (down, right) == (1, 1) or not _narrow(weight):
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    warnings.warn(_WORD, stacklevel=2)
    above, beside = (0, 0) if isinstance(padding, str) else _pair(padding)  # a stride allows no word but 'valid'
    if above or beside:
        input = nn.functional.pad(input, (beside, beside, above, above))
    return torch.conv2d(input[..., ::down, ::right], weight, bias)


def _narrow(weight: Tensor) -> bool:
    """Tell whether a tensor has the shape (out, in, 1, 1) of a kernel on few channels."""
    return weight.ndim == 4 and weight.shape[2:] == (1, 1) and weight.shape[1] in _CHANNELS


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width of a setting that may be one number for both."""
    if isinstance(value, int):
        return value, value
    both = tuple(value)
    return both[0], both[-1]
