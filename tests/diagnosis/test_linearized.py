"""What linear outputs say a cut costs: against dense Jacobians, a linear network, and networks that hide theirs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prunekit.diagnosis import cuts
from prunekit.diagnosis.linearized import Linearized
from prunekit.diagnosis.subject import Subject, prepared
from prunekit.diagnosis.words import share_pm

from .helpers import perceptron, report, table

F = nn.functional


def subject(model: nn.Module | None = None) -> Subject:
    x, _, labels = table()
    return prepared((model or perceptron()).double(), (x.double(), labels), "cross_entropy", seed=0)


def cut_of(made: Subject, share: float, names: list[str] | None = None) -> dict[str, torch.Tensor]:
    weights = {name: made.weights[name] for name in names or made.names}
    return cuts.removed(weights, cuts.Order({name: w.abs() for name, w in weights.items()}).kept(share))


def test_rise_is_that_of_the_dense_jacobian() -> None:
    made = subject()
    linear = Linearized.of(made, 61)
    cut = cut_of(made, 0.7)
    (inputs, labels), *rest = linear.batches
    assert not rest
    weights = {name: p.detach() for name, p in made.model.named_parameters() if name in cut}
    jacobian = torch.autograd.functional.jacobian(
        lambda *w: torch.func.functional_call(made.model, dict(zip(weights, w, strict=True)), inputs),
        tuple(weights.values()),
    )
    outputs = made.model(*inputs)
    moved = sum(torch.einsum("noij,ij->no", j, cut[name]) for name, j in zip(weights, jacobian, strict=True))
    expected = float(F.cross_entropy(outputs - moved, labels) - F.cross_entropy(outputs, labels))
    rises = linear.rises(cut)
    assert rises.size == 4
    assert linear.mean(rises) == pytest.approx(expected, rel=1e-9)


def test_a_cut_of_a_network_that_is_linear_in_it_costs_what_is_measured() -> None:
    made = subject()
    last = made.names[-1]
    cut = cut_of(made, 0.6, [last])
    linear = Linearized.of(made, 200)
    before, after = (
        made.losses(linear.batches, changed).mean for changed in (None, {last: made.weights[last] - cut[last]})
    )
    assert linear.mean(linear.rises(cut)) == pytest.approx(after - before, rel=1e-9)
    first = made.names[0]
    beside = cut_of(made, 0.6, [first])
    before, after = (made.losses(linear.batches, c).mean for c in (None, {first: made.weights[first] - beside[first]}))
    assert linear.mean(linear.rises(beside)) != pytest.approx(after - before, rel=1e-3), "a rectifier is not linear"


def test_the_network_is_left_as_it_was() -> None:
    made = subject()
    before = {name: p.clone() for name, p in made.model.state_dict().items()}
    Linearized.of(made, 50).rises(cut_of(made, 0.5))
    assert all(torch.equal(before[name], p) for name, p in made.model.state_dict().items())


def test_what_has_no_forward_derivative_is_left_out_with_a_reason() -> None:
    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x.clone()

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return g

    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Rounded.apply(x)

    made = subject(nn.Sequential(nn.Linear(12, 8), Odd(), nn.Linear(8, 3)))
    with pytest.raises(NotImplementedError, match="no derivative in forward mode"):
        Linearized.of(made, 50)


def test_the_report_has_it_beside_the_quadratic_model() -> None:
    told = report()
    shares = {row["limit"]: row for row in told.limit}
    assert 0 < shares["linearized"]["removable"] < 1 and shares["linearized"]["error"] > 0
    layers = [row for row in told.layers if not row["left_alone"]]
    assert all(0 <= row["linearized"] < 1 and row["linearized_error"] >= 0 for row in layers)
    pruning = next(theory for theory in told.theories if "outputs linear along the cut" in theory.prediction)
    assert share_pm(shares["linearized"]["removable"], shares["linearized"]["error"]) in pruning.prediction
    assert "linearized" in str(told)
