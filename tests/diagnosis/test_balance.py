"""Scales that a network does not see: what is free, what balancing does, that a report does not change with them."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import prunekit
from prunekit.diagnosis import factors
from prunekit.diagnosis.balance import balance
from prunekit.diagnosis.subject import prepared

from .helpers import perceptron, table, trained

F = nn.functional


def scaled(model: nn.Module, first: str, second: str, factor: float) -> nn.Module:
    """Return a network of rectifiers that computes the same, with two layers' scales moved."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        one, two = other.get_submodule(first), other.get_submodule(second)
        for p in one.parameters():
            p.mul_(factor)
        two.weight.div_(factor)  # type: ignore[operator, union-attr]
    return other


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 2, 8, 8, generator=generator)
    return x, (x[:, 0].mean((1, 2)) > 0).long() + (x[:, 1].mean((1, 2)) > 0).long()


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    return trained(model, *images(), F.cross_entropy, steps=40)


def test_layers_between_rectifiers_are_one_chain_of_one_norm() -> None:
    x, _, labels = table()
    subject = prepared(perceptron().double(), (x.double(), labels), "cross_entropy")
    before = subject.losses(subject.held).mean
    found = balance(subject)
    assert found.chains == (("0.weight", "2.weight", "4.weight"),)
    assert subject.losses(subject.held).mean == pytest.approx(before, rel=1e-9)
    norms = [float(w.norm()) for w in subject.weights.values()]
    assert max(norms) == pytest.approx(min(norms))


def test_no_other_balance_has_a_smaller_sum_of_squares() -> None:
    x, _, labels = table()
    model = perceptron().double()
    subject = prepared(model, (x.double(), labels), "cross_entropy")
    balance(subject)
    least = sum(float(w.square().sum()) for w in subject.weights.values())
    sizes = [float(w.detach().square().sum()) for n, w in model.named_parameters() if n.endswith("weight")]
    for a, b in itertools.product((0.5, 0.9, 1.1, 2.0), repeat=2):
        assert a**2 * sizes[0] + (b / a) ** 2 * sizes[1] + sizes[2] / b**2 >= least


def test_convolutions_before_normalizations_are_free_alone() -> None:
    subject = prepared(convolutional(), images(), "cross_entropy", seed=0)
    before = subject.losses(subject.held).mean
    found = balance(subject)
    assert found.normed == ("0.weight", "3.weight")
    assert found.chains == ()
    assert subject.losses(subject.held).mean == pytest.approx(before, rel=1e-3)  # its ε is seen a little


def test_smooth_activations_leave_nothing_free() -> None:
    torch.manual_seed(0)
    x, _, labels = table()
    model = nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    subject = prepared(model, (x, labels), "cross_entropy")
    assert balance(subject).free == ()
    assert all(torch.equal(w, dict(model.named_parameters())[name]) for name, w in subject.weights.items())


@settings(max_examples=5)
@given(factor=st.floats(0.05, 20))
def test_report_does_not_change_where_the_function_does_not(factor: float) -> None:
    x, _, labels = table()
    model = perceptron()
    reports = [
        prunekit.diagnose(
            each, (x, labels), budget=None, epsilon=0.01, parts=["weights", "measured", "one-shot", "saliencies"]
        )
        for each in (model, scaled(model, "0", "2", factor))
    ]
    for one, two in zip(*(r.limit for r in reports), strict=True):
        assert (one["removable"] is None) == (two["removable"] is None)
        if one["removable"] is not None:
            assert two["removable"] == pytest.approx(one["removable"], abs=1e-3)
    for score in ("magnitude", "hessian"):
        a, b = (r.masks(0.3, score) for r in reports)  # type: ignore[arg-type]
        same = sum(int((a[name] == b[name]).sum()) for name in a)
        assert same >= a.total - 2  # rounding may turn a tie


def test_without_balancing_masks_by_magnitude_change_and_hessian_ones_do_not() -> None:
    x, _, labels = table()
    model = perceptron()
    parts = ["weights", "saliencies"]
    one, two = (
        prunekit.diagnose(each, (x, labels), budget=None, epsilon=0.01, balanced=False, parts=parts)
        for each in (model, scaled(model, "0", "2", 5.0))
    )
    assert one.masks(0.3, "magnitude") != two.masks(0.3, "magnitude")
    a, b = one.masks(0.3, "hessian"), two.masks(0.3, "hessian")
    assert sum(int((a[name] == b[name]).sum()) for name in a) >= a.total - 2


def test_a_convolution_before_a_normalization_times_ten() -> None:
    model = convolutional()
    other = copy.deepcopy(model)
    with torch.no_grad():
        conv, norm = other[3], other[4]  # type: ignore[index]
        conv.weight.mul_(10)
        conv.bias.mul_(10)
        norm.running_mean.mul_(10)
        norm.running_var.mul_(100)
    one, two = (
        prunekit.diagnose(each, images(), budget=None, epsilon=0.05, parts=["weights", "measured", "one-shot"])
        for each in (model, other)
    )
    for a, b in zip(one.limit, two.limit, strict=True):
        if a["removable"] is not None:
            assert b["removable"] == pytest.approx(a["removable"], abs=2e-3)
    assert two.network["factors"]["3.weight"] == pytest.approx(one.network["factors"]["3.weight"] / 10, rel=1e-4)


def test_a_layer_that_hardly_matters_is_not_taken_for_free() -> None:
    torch.manual_seed(0)
    x, _, labels = table()

    class Beside(nn.Module):
        """A branch that adds next to nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = nn.Linear(12, 8), nn.Linear(8, 12), nn.Linear(12, 3)

        def forward(self, x: Tensor) -> Tensor:
            """Return scores."""
            scores: Tensor = self.out(x + 1e-5 * self.b(torch.tanh(self.a(x))))
            return scores

    subject = prepared(Beside(), (x, labels), "cross_entropy")
    assert balance(subject).free == ()
    assert factors.examine(subject)["pairs"] == []
