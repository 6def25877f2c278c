"""The networks of the papers, each initialized by a seed alone.

Every function returns a module that takes images (b, c, h, w) and gives class scores (b, classes). Weights are drawn
He normal, N(0, 2/fan-in), from a generator of their own; biases are 0, batch norms the identity. `count` says how
many numbers a network has.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit.nets import access

_SIZES = "a layer, of inputs, hidden, classes, width, channels, shape or plan,"
_VGG11 = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")


def count(model: nn.Module, *, buffers: bool = False) -> int:
    """Return the number of trainable parameters, with `buffers` also of batch norms' running statistics."""
    total = sum(p.numel() for p in access.module(model).parameters() if p.requires_grad)
    if _checks.flag("buffers", buffers):
        total += sum(b.numel() for b in model.buffers() if b.is_floating_point())
    return total


def initialize(model: nn.Module, seed: int) -> nn.Module:
    """Draw all convolutions and linear layers anew, He normal by fan-in, and set their biases to 0."""
    generator = torch.Generator().manual_seed(_checks.count("seed", seed, 0, 2**63 - 1))
    for module in access.module(model).modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def _linear(inputs: int, outputs: int, bias: bool = False) -> nn.Linear:
    """Return a layer without drawing weights: `initialize` does, and the global generator stays where it is."""
    _checks.room(_SIZES, f"{inputs} × {outputs}", 4.0 * inputs * outputs)
    return nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """Return a convolution that keeps the size but for its stride; not drawn yet."""
    _checks.room(_SIZES, f"{inputs} × {outputs} × {kernel}²", 4.0 * inputs * outputs * kernel**2)
    return nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)


def two_layer(inputs: int, hidden: int, classes: int = 10, *, scale: float = 1.0, seed: int = 0) -> nn.Module:
    """Return f(x) = V ReLU(W x), without biases, from the λ-scaled initialization (λ W, V / λ).

    W (`input.weight`) and V (`output.weight`) are He normal; networks of one seed compute the same function for
    every λ before they are trained.
    Source: li, Section 4, before Lemma 4.1.

    Parameters
    ----------
    inputs, hidden, classes : int
        d, m and K of the paper.
    scale : float
        λ, above 0.
    seed : int
        Decides W and V.
    """
    scale = _checks.scalar("scale", scale, positive=True)
    if not 1e-30 < scale < 1e30:
        raise FloatingPointError(f"scale is {scale}, with which weights leave single precision: give 1e-30 to 1e30")
    model = fcn(inputs, [hidden], classes, seed=seed)
    with torch.no_grad():
        model.get_parameter("input.weight").mul_(scale)
        model.get_parameter("output.weight").div_(scale)
    return model


def fcn(inputs: int, hidden: Sequence[int], classes: int = 10, *, bias: bool = False, seed: int = 0) -> nn.Module:
    """Return a fully connected ReLU network with the hidden widths given.

    Layers are called `input`, `hidden1`, `hidden2`, … and `output`. FCN4 and FCN6 of barsbey, Section 5, are
    ``fcn(inputs, [2048] * 4)`` and ``fcn(inputs, [2048] * 6)``: 14.2 M and 22.6 M parameters on MNIST, 18.9 M and
    27.3 M on CIFAR-10.

    Examples
    --------
    >>> model = fcn(64, [32], 10, seed=0)
    >>> {name: tuple(p.shape) for name, p in model.named_parameters()}
    {'input.weight': (32, 64), 'output.weight': (10, 32)}
    """
    bias = _checks.flag("bias", bias)
    given = _checks.listed("hidden", hidden, "widths")
    widths = [_checks.count("inputs", inputs), *(_checks.count("hidden", k) for k in given)]
    if len(widths) < 2:
        raise ValueError(f"hidden is {hidden!r}: give at least one width")
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for k, (a, b) in enumerate(pairwise(widths)):
        layers[f"hidden{k}" if k else "input"] = _linear(a, b, bias)
        layers[f"relu{k}"] = nn.ReLU()
    layers["output"] = _linear(widths[-1], _checks.count("classes", classes, 2), bias)
    return initialize(nn.Sequential(layers), seed)


def fc5(inputs: int = 3072, classes: int = 10, *, seed: int = 0) -> nn.Module:
    """Return FC5, 3072-1000-600-300-100-10, with biases, as in the program of geometric's authors."""
    return fcn(inputs, [1000, 600, 300, 100], classes, bias=True, seed=seed)


def fc12(inputs: int = 3072, classes: int = 10, *, seed: int = 0) -> nn.Module:
    """Return FC12, with biases; its widths are not in the text of geometric but in the authors' program."""
    hidden = [1000, 900, 800, 750, 700, 650, 600, 500, 400, 200, 100]
    return fcn(inputs, hidden, classes, bias=True, seed=seed)


def _image(name: str, shape: Any) -> tuple[int, int, int]:
    """Return channels, height and width of an image."""
    sizes = [_checks.count(name, k) for k in _checks.listed(name, shape, "three integers")]
    if len(sizes) != 3:
        raise ValueError(f"{name} has {len(sizes)} entries: give channels, height and width")
    return sizes[0], sizes[1], sizes[2]


def cnn(shape: Sequence[int], plan: Sequence[int | str], classes: int = 10, *, seed: int = 0) -> nn.Module:
    """Return 3×3 convolutions with ReLU and one linear layer, without biases or batch norm, as `vgg11` but smaller.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of an image.
    plan : sequence of int or "M"
        Filters of a convolution, which keeps the size, or a 2×2 max pooling, which halves it, rounded down.
    classes : int
        Number of classes.
    seed : int
        Decides the weights.

    Raises
    ------
    ValueError, TypeError
        If the plan has no convolution, or pools until nothing is left.
    """
    layers: list[nn.Module] = []
    channels, height, width = _image("shape", shape)
    plan = _checks.listed("plan", plan, "filters and 'M'")
    if all(isinstance(step, str) and step == "M" for step in plan):
        raise ValueError(f"plan is {plan!r}: give the filters of one convolution at least")
    for step in plan:
        if isinstance(step, str) and step == "M":
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        else:
            filters = _checks.count("plan", step)
            layers += [_conv(channels, filters, 3), nn.ReLU()]
            channels = filters
    if not height * width:
        raise ValueError(f"plan is {plan!r}, which pools {shape} to nothing: give fewer 'M'")
    parts = OrderedDict(
        features=nn.Sequential(*layers),
        flatten=nn.Flatten(),
        output=_linear(channels * height * width, _checks.count("classes", classes, 2)),
    )
    return initialize(nn.Sequential(parts), seed)


def vgg11(shape: Sequence[int] = (3, 32, 32), classes: int = 10, *, seed: int = 0) -> nn.Module:
    """Return the VGG-11-shaped CNN of barsbey, Section 5: eight convolutions and one linear layer, 9.2 M parameters.

    No biases, no batch norm. On 28×28 images the first pooling is left out (28, 14, 7, 3, 1), as in the authors'
    program; nothing is padded, and the number of parameters does not depend on it.

    Raises
    ------
    ValueError
        If `shape` is not (c, 32, 32) or (c, 28, 28).
    """
    channels, *size = _image("shape", shape)
    if size not in ([32, 32], [28, 28]):
        raise ValueError(f"shape is {_checks.shown(shape)}: give (c, 32, 32) or (c, 28, 28)")
    plan = _VGG11 if size == [32, 32] else (*_VGG11[:1], *_VGG11[2:])
    return cnn((channels, size[0], size[1]), plan, classes, seed=seed)


class Block(nn.Module):
    """Two 3×3 convolutions around which the input is carried (He et al. 2016, for CIFAR)."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str, bias: bool) -> None:
        super().__init__()
        self.stride, self.more = stride, outputs - inputs
        self.conv1, self.norm1 = _conv(inputs, outputs, 3, stride, bias), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _conv(outputs, outputs, 3, 1, bias), nn.BatchNorm2d(outputs)
        self.carry: nn.Module | None = None
        if self.more and shortcut == "projection":
            self.carry = nn.Sequential(_conv(inputs, outputs, 1, 1, bias), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(carry(x) + the two convolutions of x)."""
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        if self.more:  # every second pixel is all that a strided 1×1 kernel reads; see `prunekit.nets.convolutions`
            x = x[:, :, :: self.stride, :: self.stride]
        if self.carry is not None:
            x = self.carry(x)
        elif self.more:  # the parameter-free shortcut: pad the channels with zeros
            x = nn.functional.pad(x, (0, 0, 0, 0, 0, self.more))
        return torch.relu(x + y)


def resnet20(
    width: int = 16,
    classes: int = 10,
    channels: int = 3,
    *,
    shortcut: str = "projection",
    bias: bool = False,
    seed: int = 0,
) -> nn.Module:
    """Return ResNet-20 with `width`, 2 `width` and 4 `width` filters, for small images.

    Chang, Section 6, gives about 28,000, 70,000 and 109,000 parameters at widths 5, 8 and 10. All three are met by
    projections (1×1 convolution and batch norm), if convolutions have biases and running statistics are counted too:
    27,920, 69,962 and 108,530. The trainable parameters are 27,185, 68,786 and 107,060 without those biases (they do
    nothing before a batch norm, and are off here), 27,430, 69,178 and 107,550 with them, and 26,875, 68,050 and
    105,940 with parameter-free shortcuts.

    Parameters
    ----------
    width : int
        Filters of the first stage.
    classes, channels : int
        Classes, and channels of an image.
    shortcut : str
        'projection', or 'identity' (every second pixel, zeros for new channels: He et al.'s option A).
    bias : bool
        Whether convolutions have biases.
    seed : int
        Decides the weights.
    """
    _checks.choice("shortcut", shortcut, ("projection", "identity"))
    bias = _checks.flag("bias", bias)
    width = _checks.count("width", width)
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=_conv(_checks.count("channels", channels), width, 3, 1, bias), norm=nn.BatchNorm2d(width), relu=nn.ReLU()
    )
    inputs = width
    for stage in range(3):
        for block in range(3):
            outputs, stride = width * 2**stage, 2 if stage and not block else 1
            parts[f"block{stage}{block}"] = Block(inputs, outputs, stride, shortcut, bias)
            inputs = outputs
    parts |= OrderedDict(
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        output=_linear(inputs, _checks.count("classes", classes, 2), bias=True),
    )
    return initialize(nn.Sequential(parts), seed)


def _classes(classes: Any) -> int:
    """Return a number of classes for which there is room behind up to 4096 features."""
    number = _checks.count("classes", classes, 2)
    _checks.room("classes", number, 4.0 * 4096 * number)
    return number


def _torchvision(name: str, **options: Any) -> Any:
    """Build a torchvision model without weights, and leave the global generator as it was."""
    models = importlib.import_module("torchvision.models")
    with torch.random.fork_rng(devices=[]):
        return getattr(models, name)(weights=None, **options)


def alexnet(classes: int = 10, *, enlarged: bool = False, seed: int = 0) -> nn.Module:
    """Return an AlexNet for small images, without dropout.

    By default it is torchvision's for images of 32×32 or 64×64. The first convolution is 3×3 with stride 1, and 3×3
    values a filter reach the first of the three linear layers.

    Parameters
    ----------
    classes : int
        Number of classes.
    enlarged : bool
        Whether to build the one of geometric's authors instead, 46.8 M parameters: images of 32×32 are enlarged seven
        times, pixel by pixel, and meet an 11×11 convolution of stride 4. Source: model.py, trainer.py of their program.
    seed : int
        Decides the weights.
    """
    if _checks.flag("enlarged", enlarged):
        return initialize(_enlarging_alexnet(_classes(classes)), seed)
    model = _torchvision("alexnet", num_classes=_classes(classes), dropout=0.0)
    model.features[0] = _conv(3, 64, 3, bias=True)
    model.avgpool = nn.AdaptiveAvgPool2d(3)
    model.classifier[1] = _linear(256 * 9, 4096, bias=True)
    return initialize(model, seed)


def _enlarging_alexnet(classes: int) -> nn.Module:
    """Return the AlexNet of geometric's authors, not drawn yet."""
    stem = nn.utils.skip_init(nn.Conv2d, 3, 96, 11, stride=4, padding=1)
    layers: list[nn.Module] = [nn.Upsample(scale_factor=7.0), stem, nn.ReLU(), nn.MaxPool2d(3, 2)]
    for inputs, outputs, kernel in ((96, 256, 5), (256, 384, 3), (384, 384, 3), (384, 256, 3)):
        layers += [_conv(inputs, outputs, kernel, bias=True), nn.ReLU()]
        layers += [nn.MaxPool2d(3, 2)] if outputs == 256 else []
    layers += [nn.Flatten(), _linear(256 * 25, 4096, bias=True), nn.ReLU(), _linear(4096, 4096, bias=True), nn.ReLU()]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers), output=_linear(4096, classes, bias=True)))


def vgg16_bn(classes: int = 10, *, seed: int = 0) -> nn.Module:
    """Return VGG16 with batch norm for small images: torchvision's convolutions, one linear layer on 512 features."""
    vgg = importlib.import_module("torchvision.models.vgg")
    with torch.random.fork_rng(devices=[]):
        features = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)
    parts = OrderedDict(
        features=features,
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        output=_linear(512, _checks.count("classes", classes, 2), bias=True),
    )
    return initialize(nn.Sequential(parts), seed)


def resnet18(classes: int = 100, *, seed: int = 0) -> nn.Module:
    """Return torchvision's ResNet-18 for small images: a 3×3 first convolution of stride 1, no pooling after it."""
    return _small_resnet("resnet18", classes, seed)


def resnet50(classes: int = 100, *, seed: int = 0) -> nn.Module:
    """Return torchvision's ResNet-50 for small images: a 3×3 first convolution of stride 1, no pooling after it."""
    return _small_resnet("resnet50", classes, seed)


def _small_resnet(name: str, classes: int, seed: int) -> nn.Module:
    model = _torchvision(name, num_classes=_classes(classes))
    model.conv1 = _conv(3, 64, 3)
    model.maxpool = nn.Identity()
    return initialize(model, seed)
