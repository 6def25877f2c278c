"""Tolerances against loops over minibatches."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from prunekit import limit
from prunekit.nets import evaluate
from tests.limit.helpers import linear_problem


def test_minibatch_tolerance_is_a_deviation_over_shuffled_batches():
    model, data = linear_problem()
    pair = (data.train_x, data.train_y)
    found = limit.minibatch_tolerance(model, pair, nn.functional.cross_entropy, batch_size=20, seed=3)
    each = nn.functional.cross_entropy(model(data.train_x), data.train_y, reduction="none").detach().numpy()
    order = np.random.default_rng(3).permutation(90)
    losses = [each[order[i : i + 20]].mean() for i in range(0, 90, 20)]
    assert found.value == pytest.approx(np.std(losses), rel=1e-5)
    assert found.loss == pytest.approx(each.mean(), rel=1e-5)
    assert "5 training losses" in found.rule
    halves = [(data.train_x[:50], data.train_y[:50]), (data.train_x[50:], data.train_y[50:])]
    assert limit.minibatch_tolerance(model, halves, nn.functional.cross_entropy, batch_size=20, seed=3).value == (
        pytest.approx(found.value, rel=1e-5)
    )


def test_several_shuffles_give_the_mean_of_several_deviations():
    model, data = linear_problem()
    pair = (data.train_x, data.train_y)
    random = np.random.default_rng(5)
    one_by_one = [
        limit.minibatch_tolerance(model, pair, nn.functional.cross_entropy, batch_size=20, seed=random).value
        for _ in range(4)
    ]
    found = limit.minibatch_tolerance(model, pair, nn.functional.cross_entropy, batch_size=20, shuffles=4, seed=5)
    assert found.value == pytest.approx(np.mean(one_by_one))
    assert np.std(one_by_one) > 0
    assert "4 shuffles" in found.rule


def test_relative_tolerance_is_a_share_of_the_loss():
    model, data = linear_problem()
    found = limit.relative_tolerance(model, (data.train_x, data.train_y), nn.functional.cross_entropy, 0.1)
    assert found.value == pytest.approx(0.1 * evaluate(model, data, train=True)[0], rel=1e-5)
