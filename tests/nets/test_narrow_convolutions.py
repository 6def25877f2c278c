"""Strided 1×1 convolutions of few channels: the same function, and no process that dies of it.

`SURVIVAL` runs in a process of its own under the instruction set of a laptop without AVX-512. Without the detour in
`prunekit.nets.convolutions` (and with strided projections in `resnet20`) it dies there of a corrupted heap, in every
run on an AMD EPYC without AVX-512; a machine with AVX-512 may survive even so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from functools import partial
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from prunekit.nets import Config, evaluate, fit, models
from prunekit.nets.convolutions import surviving
from tests.nets.helpers import toy

STRIDES = [2, 3, (1, 2), (2, 1)]
LAPTOP = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
SURVIVAL = """
import sys, warnings
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from prunekit.curvature import Curvature
from prunekit.importance import hessian_diagonal
from prunekit.nets import Config, evaluate, fit, fit_many, models
from tests.nets.helpers import toy

torch.set_num_threads(1)
warnings.simplefilter("ignore")


class Reader(nn.Module):
    def __init__(self, width, stride, functional):
        super().__init__()
        self.widen, self.skip = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 9, 1, stride=stride)
        self.head, self.functional, self.stride = nn.Linear(9, 3), functional, stride

    def forward(self, x):
        x = torch.relu(self.widen(x))
        x = nn.functional.conv2d(x, self.skip.weight, None, self.stride) if self.functional else self.skip(x)
        return self.head(x.mean((2, 3)))


def ours():
    for channels, widths in ((1, (1, 2, 3, 5, 7)), (3, (2, 5))):
        data = toy(45, (channels, 16, 16))  # batches of 20, 20 and 5
        for width in widths:
            for last in (None, False):
                config = Config(epochs=1, batch_size=20, lr=0.01, channels_last=last)
                evaluate(fit(models.resnet20(width, 3, channels), data, config).model, data)
    for width in (2, 4, 6, 7):  # and in a reader's own loop
        model = models.resnet20(width, 3, 1).to(memory_format=torch.channels_last)
        for _ in range(6):
            cross_entropy(model(data.normalize(data.train_x)[:, :1]), data.train_y).backward()


def readers():
    data = toy(45, (1, 16, 16))  # batches of 20, 20 and 5
    pairs = [(data.normalize(data.train_x), data.train_y)]
    for width in (2, 5, 7):
        for stride, functional in ((2, False), ((1, 2), False), (2, True)):
            for last in (None, False):
                config = Config(epochs=4, batch_size=20, lr=0.01, channels_last=last)
                evaluate(fit(Reader(width, stride, functional), data, config).model, data)
        net = Reader(width, 2, False)
        fit_many([Reader(width, 2, False), net], data, [config, config])
        for method in ("exact", "gauss-newton", "hutchinson"):
            hessian_diagonal(net, cross_entropy, pairs, method=method, probes=2)
        for kind in ("hessian", "gauss-newton"):
            curvature = Curvature(net, cross_entropy, pairs, kind=kind)
            curvature.product(torch.ones(curvature.dimension))


{"ours": ours, "readers": readers}[sys.argv[1]]()
print("survived")
"""


@pytest.mark.parametrize("networks", ["ours", "readers"])
def test_narrow_networks_survive_on_a_processor_without_avx512(networks: str) -> None:
    command = [sys.executable, "-c", SURVIVAL, networks]
    done = subprocess.run(command, env=os.environ | LAPTOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "survived", f"status {done.returncode}: {done.stderr[-500:]}"


def result(model: nn.Module, kernel: torch.Tensor, x: torch.Tensor, context) -> list[torch.Tensor]:  # type: ignore[no-untyped-def]
    """Return outputs, gradients, and the gradient of the gradients' norm, computed in a context."""
    with context:
        found = model(x)
    gradients = torch.autograd.grad(found.pow(3).sum(), [x, kernel], create_graph=True)
    return [found, *gradients, *torch.autograd.grad(sum(g.square().sum() for g in gradients), [x, kernel])]


@pytest.mark.parametrize(
    ("stride", "padding", "bias", "layout"),
    list(
        product(
            *([2, 3, (1, 2), (2, 1)], [0, 1, (2, 0), "valid"], [True, False]),
            [torch.channels_last, torch.contiguous_format],
        )
    ),
)
def test_the_detour_is_the_same_function(stride, padding, bias, layout) -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(5, 4, 1, stride=stride, padding=padding, bias=bias).double().to(memory_format=layout)
    x = torch.randn(3, 5, 7, 8, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = result(model, model.weight, x, surviving(model))
        theirs = result(model, model.weight, x, torch.backends.mkldnn.flags(enabled=False))  # torch's, past oneDNN
    assert all(torch.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in zip(ours, theirs, strict=True))


class Recorder(nn.Module):
    """A network that notes whether its convolution was warned of."""

    def __init__(self, *arguments, **settings) -> None:
        super().__init__()
        self.layer = nn.Conv2d(*arguments, **settings)

    def warned(self, shape: tuple[int, ...]) -> bool:
        """Tell whether a forward pass says that it takes the detour."""
        with warnings.catch_warnings(record=True) as seen, surviving(self), torch.no_grad():
            warnings.simplefilter("always")
            self.layer(torch.randn(*shape))
        return any("stride 1" in str(w.message) for w in seen)


@pytest.mark.parametrize(
    ("arguments", "settings", "detour"),
    [
        ((5, 4, 1), {"stride": 2}, True),
        ((2, 4, 1), {"stride": (1, 3)}, True),
        ((7, 4, 1), {"stride": 2, "padding_mode": "circular"}, True),
        ((1, 4, 1), {"stride": 2}, False),
        ((8, 4, 1), {"stride": 2}, False),
        ((5, 4, 1), {}, False),
        ((5, 4, 3), {"stride": 2}, False),
        ((10, 4, 1), {"stride": 2, "groups": 2}, False),
    ],
)
def test_the_detour_is_taken_and_said_where_it_is_needed_only(arguments, settings, detour: bool) -> None:
    assert Recorder(*arguments, **settings).warned((2, arguments[0], 6, 6)) == detour


def test_an_image_without_a_batch_axis_takes_the_detour_too() -> None:
    model = nn.Conv2d(3, 2, 1, stride=2, bias=False)
    x = torch.randn(3, 5, 6)
    with pytest.warns(UserWarning, match="stride 1"), surviving(model):
        found = model(x)
    assert torch.allclose(found, torch.einsum("oi,ihw->ohw", model.weight[:, :, 0, 0], x[:, ::2, ::2]), atol=1e-6)


def test_lazy_networks_are_looked_after_before_their_shapes_are_known() -> None:
    model = nn.LazyConv2d(4, 1, stride=2)
    with pytest.warns(UserWarning, match="stride 1"), surviving(model):
        model(torch.randn(2, 5, 6, 6))


def test_a_readers_network_is_trained_as_without_the_detour_and_left_as_it_was() -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x):
            kernel = self.inner[0]
            return self.inner[1:](conv2d(x[:, :, ::2, ::2], kernel.weight, kernel.bias))

    data, config = toy(30, (3, 4, 4)), Config(epochs=3, batch_size=8, lr=0.1)
    model, before = network(), network()
    with pytest.warns(UserWarning, match="AVX-512"):
        fitted = fit(model, data, config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no strided convolution, no word
        by_hand = fit(ByHand(), data, Config(epochs=3, batch_size=8, lr=0.1))
    assert fitted.history.without("seconds") == by_hand.history.without("seconds")
    assert model[0].stride == before[0].stride and set(vars(model[0])) == set(vars(before[0]))
    assert evaluate(model, data) == evaluate(by_hand.model, data)


def test_compiled_training_takes_the_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # traced; not turned into C++
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1, stride=2), nn.Flatten(), nn.Linear(16, 3))
    data = toy(30, (3, 4, 4))
    with pytest.warns(UserWarning, match="stride 1"):
        fit(model, data, Config(epochs=2, batch_size=10, lr=0.1, compile=True))


def test_no_network_of_ours_needs_the_detour() -> None:
    for model in (models.resnet20(2), models.resnet20(5, shortcut="identity"), models.resnet18(2)):
        convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
        assert not [c for c in convolutions if c.kernel_size == (1, 1) and c.stride != (1, 1) and c.in_channels < 8]
