"""What the quadratic model says a cut costs, against dense Hessians; cuts against sorting; errors against truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from prunekit.diagnosis import cuts
from prunekit.diagnosis.quadratic import Quadratic
from prunekit.diagnosis.subject import Subject, first, prepared, samples
from prunekit.importance import hessian_matrix

from .helpers import perceptron, table

F = nn.functional


def subject() -> Subject:
    x, _, labels = table()
    return prepared(perceptron().double(), (x.double(), labels), "cross_entropy", seed=0)


def test_rise_is_that_of_the_dense_hessian_and_slope_that_of_the_gradient() -> None:
    made = subject()
    quadratic = Quadratic.of(made, 60)
    weights = made.weights
    cut = cuts.removed(weights, cuts.Order({name: w.abs() for name, w in weights.items()}).kept(0.6))
    c = torch.cat([cut[name].flatten() for name in weights])
    batch = quadratic.batches[0]
    H = hessian_matrix(made.model, F.cross_entropy, (batch[0][0], batch[1]), parameters=list(weights))
    exact = float(c @ H @ c) / 2
    assert quadratic.mean(quadratic.rises(cut)) == pytest.approx(exact, rel=1e-8)
    parameters = dict(made.model.named_parameters())
    for name in weights:
        parameters[name].requires_grad_(True)
    loss = F.cross_entropy(made.model(*batch[0]), batch[1])
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, [parameters[name] for name in weights])])
    assert quadratic.mean(quadratic.slopes(cut)) == pytest.approx(-float(gradient @ c), rel=1e-8)


def test_rise_of_a_tiny_cut_is_that_of_the_loss() -> None:
    made = subject()
    quadratic = Quadratic.of(made, 200)
    name = made.names[0]
    w = made.weights[name]
    step = {name: 1e-4 * w}
    before = made.losses(quadratic.batches).mean
    after = made.losses(quadratic.batches, {name: w - step[name]}).mean
    predicted = quadratic.mean(quadratic.rises(step) + quadratic.slopes(step))
    assert after - before == pytest.approx(predicted, rel=3e-3)


def test_parts_hold_all_samples_once() -> None:
    quadratic = Quadratic.of(subject(), 61)
    assert quadratic.count == 61
    assert quadratic.weights.size == 4
    assert quadratic.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99, 1.0])
def test_global_order_keeps_the_largest_of_all(share: float) -> None:
    weights = {"a": torch.tensor([[3.0, -1.0], [0.5, 2.0]]), "b": torch.tensor([-4.0, 0.5])}
    kept = cuts.Order({name: w.abs() for name, w in weights.items()}).kept(share)
    together = np.concatenate([w.flatten().numpy() for w in weights.values()])
    order = np.argsort(-np.abs(together), kind="stable")[: 6 - round(6 * share)]
    wanted = np.isin(np.arange(6), order)
    assert np.array_equal(torch.cat([k.flatten() for k in kept.values()]).numpy(), wanted)


def test_layer_order_takes_the_same_share_of_each() -> None:
    weights = {"a": torch.arange(10.0), "b": 100 + torch.arange(20.0)}
    kept = cuts.Order(weights, "layer").kept(0.5)
    assert [int(k.sum()) for k in kept.values()] == [5, 10]


def test_halves_share_no_sample_and_leave_none_out() -> None:
    made = subject()
    x, _, _ = table()
    assert samples(made.known) + samples(made.held) == 600
    both = torch.cat([b[0][0] for b in made.known + made.held])
    assert torch.equal(both.sum(dim=1).sort().values, x.double().sum(dim=1).sort().values)
    assert samples(first(made.known, 17)) == 17


def test_group_losses_average_to_the_loss() -> None:
    made = subject()
    losses = made.losses(made.held)
    x, labels = made.held[0][0][0], made.held[0][1]
    assert losses.mean == pytest.approx(float(F.cross_entropy(made.model(x), labels)))
    assert losses.accuracy == pytest.approx(float((made.model(x).argmax(1) == labels).double().mean()))
    left = losses.without()
    again = (losses.mean * losses.weights.sum() - losses.values[0] * losses.weights[0]) / losses.weights[1:].sum()
    assert left[0] == pytest.approx(again)
