"""Whether a network mixes the samples of a batch, told from rounding, which is coarse where TF32 is allowed."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunekit.importance import hessian_diagonal
from prunekit.nets import access

SWITCHES = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)


@pytest.fixture(autouse=True)
def _precision_as_it_was():
    before = [switch.fp32_precision for switch in SWITCHES]
    yield
    for switch, value in zip(SWITCHES, before, strict=True):
        switch.fp32_precision = value


def allow(*values):
    for switch, value in zip(SWITCHES, values, strict=True):
        switch.fp32_precision = value


@pytest.mark.parametrize(
    ("allowed", "coarse"),
    [
        (("ieee", "ieee", "ieee"), False),
        (("tf32", "ieee", "ieee"), True),
        (("ieee", "tf32", "ieee"), True),
        (("ieee", "ieee", "tf32"), True),
    ],
)
def test_rounding_is_that_of_tf32_where_a_gpu_may_use_it(allowed, coarse):
    allow(*allowed)
    there = SimpleNamespace(is_cuda=True, dtype=torch.float32)  # what is asked of a tensor on a GPU
    single = access.rounding(torch.zeros(1))
    assert 1e-5 < single < 5e-4
    assert access.rounding(there) == (1e-2 if coarse else single)
    assert access.rounding(there, multiplied=False) == single
    assert access.rounding(SimpleNamespace(is_cuda=True, dtype=torch.float64)) < 1e-9


class Rough(nn.Module):
    """A network that errs, by the length of its batch, as much as TF32 does."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(x) * (1 + 5e-3 / len(x))


def test_rounding_does_not_make_a_network_mix_its_samples(monkeypatch):
    torch.manual_seed(0)
    model, X, y = Rough(), torch.randn(8, 6), torch.arange(8) % 3
    assert access.mixes(model, (X,))
    monkeypatch.setattr(access, "rounding", lambda outputs, **options: 1e-2)
    assert not access.mixes(model, (X,))

    def refused(*given):
        raise AssertionError("the Jacobian is taken through the whole batch")

    monkeypatch.setattr("prunekit.curvature.gauss_newton._through_the_batch", refused)
    hessian_diagonal(model, F.cross_entropy, (X, y), method="gauss-newton")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_convolutions_in_tf32_are_not_taken_for_mixing():
    allow("tf32", "tf32", "tf32")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(16, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.Flatten(), nn.Linear(9216, 10))
    assert not access.mixes(model.cuda(), (torch.randn(9, 16, 16, 16, device="cuda"),))
