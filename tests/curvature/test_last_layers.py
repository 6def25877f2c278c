"""Hessians of networks whose last two layers are written out, against torch's own and against what goes another way."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from prunekit.curvature import last_layers
from prunekit.curvature.entries import hessian_matrix
from tests.curvature.test_layered import by_torch


def convolutional(bias: bool = True) -> list[nn.Module]:
    """Return two convolutions with different settings, poolings, and a linear layer, for images of one channel."""
    return [
        nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=bias), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=1, dilation=(1, 2), bias=bias),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6, 4, bias=bias),
    ]


NETWORKS = {
    "convolutions": convolutional,
    "convolutions without biases": lambda: convolutional(bias=False),
    "after a smooth layer": lambda: [
        nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 4),
    ],
    "after a batch norm": lambda: [
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(3, 4),
    ],
    "nothing before": lambda: [nn.Conv2d(1, 2, 3, stride=3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 4)],
}  # fmt: skip


def network(name: str) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*NETWORKS[name]()).double().eval()


def batch(n: int = 23) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 1, 8, 8, generator=generator, dtype=torch.float64)
    return x, torch.randint(4, (n,), generator=generator)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the batches whose last layers are written out."""
    calls: list[int] = []
    real = last_layers.block

    def block(*arguments):  # type: ignore[no-untyped-def]
        calls.append(len(arguments[-1]))
        return real(*arguments)

    monkeypatch.setattr(last_layers, "block", block)
    return calls


@pytest.mark.parametrize("name", NETWORKS)
def test_all_second_derivatives_are_torchs(counted: list[int], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = network(name), batch()
    names = [name for name, _ in model.named_parameters()]
    expected = by_torch(model, names, x, y)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(hessian_matrix(model, F.cross_entropy, (x, y)), expected, rtol=1e-11, atol=1e-14)
    monkeypatch.setattr(last_layers, "_TERMS", 1)  # one sample at once
    cut = hessian_matrix(model, F.cross_entropy, [(x[:9], y[:9]), (x[9:], y[9:])])
    torch.testing.assert_close(cut, expected, rtol=1e-11, atol=1e-14)
    assert counted == [23, 9, 14]


@pytest.mark.parametrize(
    "pattern", ["weight", "bias", "1.weight", "1.bias", "5.", "5.bias", "0.0.weight 5.bias", "1.bias 5.weight"]
)
def test_some_parameters_have_their_own_block(counted: list[int], pattern: str) -> None:
    model, (x, y) = network("convolutions"), batch()
    names = [name for name, _ in model.named_parameters() if any(word in name for word in pattern.split())]
    assert 0 < len(names) < 6
    H = hessian_matrix(model, F.cross_entropy, (x, y), parameters=names)
    assert counted
    torch.testing.assert_close(H, by_torch(model, names, x, y), rtol=1e-11, atol=1e-14)


def test_rows_of_other_layers_are_differentiated(counted: list[int]) -> None:
    model, (x, y) = network("convolutions"), batch()
    H = hessian_matrix(model, F.cross_entropy, (x, y), parameters="0.0")
    assert not counted
    torch.testing.assert_close(H, by_torch(model, ["0.0.weight", "0.0.bias"], x, y), rtol=1e-11, atol=1e-14)


class Own(nn.Conv2d):
    """A layer that only looks like torch's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).square()


def changed(what: str) -> nn.Sequential:
    """Return a network that is no longer piecewise linear in its last layers, or not a row of them."""
    parts = convolutional()
    if what == "tail":
        parts[2] = nn.GELU()
    elif what == "layer":
        parts[1] = Own(2, 3, (3, 2), stride=(2, 1), padding=1, dilation=(1, 2))
    elif what == "groups":
        parts[0], parts[1] = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(2)), nn.Conv2d(3, 3, 3, groups=3)
    elif what == "hook":
        parts[2].register_forward_hook(lambda module, inputs, output: output.square())
    elif what == "shared":
        parts[2] = nn.Sequential(nn.Tanh(), nn.Conv2d(3, 3, 1))
        parts.insert(3, parts[2])
    elif what == "last":
        parts.append(nn.Softplus())
    model = nn.Sequential(*parts)
    if what == "hook":
        assert model[2]._forward_hooks
    return model.double()


@pytest.mark.parametrize("what", ["tail", "layer", "groups", "hook", "shared", "last"])
def test_what_is_anything_else_is_differentiated(counted: list[int], what: str) -> None:
    torch.manual_seed(0)
    model, (x, y) = changed(what), batch()
    names = [name for name, _ in model.named_parameters()]
    if what == "groups":
        model[5] = nn.Linear(3, 4).double()
    H = hessian_matrix(model, F.cross_entropy, (x, y))
    assert not counted
    torch.testing.assert_close(H, by_torch(model, names, x, y), rtol=1e-9, atol=1e-12)
