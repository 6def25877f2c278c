"""Measured limits against curves drawn by hand, masks, and coins."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from prunekit import limit
from prunekit.limit import PruningCurve, Tolerance
from prunekit.masks import Mask
from prunekit.masks.scores import magnitude
from prunekit.nets import evaluate
from prunekit.nets.models import fcn
from tests.limit.helpers import curve, linear_problem


def test_rules_read_the_curve_as_they_say():
    found = curve([0.5, 0.92, 0.6, 0.89, 0.93, 0.9])
    assert found.limit(drop=0.02).fraction == pytest.approx(4 / 6)
    assert found.limit(drop=0.0).fraction == pytest.approx(5 / 6)
    assert found.limit(rule="program").fraction == pytest.approx(2 / 6)
    assert curve([0.5, 0.9, 0.9]).limit(rule="program").fraction == 1
    losses = curve([0.9] * 5, [3.0, 1.0, 1.3, 1.1, 1.0])
    one = losses.limit(rule="training loss", epsilon=0.2)
    other = losses.limit(rule="training loss", epsilon=Tolerance(0.5))
    assert (one.fraction, other.fraction) == (pytest.approx(4 / 5), pytest.approx(2 / 5))
    assert one.dense == 1.0
    assert one.removed == pytest.approx(1 / 5)


def test_shares_where_accuracy_is_lost():
    found = curve([0.1, 0.4, 0.3, 0.86, 0.9])
    assert found.share_where_lost(0.5, 0.1) == pytest.approx(4 / 5)
    assert found.share_where_lost(0.01, 0.1) == 1
    assert found.share_where_lost(0.8, 0.1) == pytest.approx(2 / 5)
    assert curve([0.1, 0.05]).share_where_lost(0.5, 0.1) == pytest.approx(1 / 2), "nothing to lose"


def test_a_gain_that_is_luck_is_gone_on_other_images():
    """Pure noise around one accuracy: the best of many shares gains on its own half, and nothing on the other."""
    random = np.random.default_rng(0)
    gains = []
    for k in range(200):
        noise = PruningCurve(
            np.arange(1, 31), 30, np.zeros(30), np.ones(30), np.zeros(30), random.random((30, 80)) < 0.7
        )
        gains.append(limit.gain_at_limit(noise, seed=k))
        order = np.random.default_rng(k).permutation(80)
        half = noise.held_correct[:, order[:40]].mean(axis=1)
        at = next((i for i in range(30) if half[i] > half[-1]), 29)
        assert gains[-1][0] == pytest.approx(half[at] - half[-1])
    chosen, other = np.array(gains).T
    assert np.all(chosen >= 0)
    assert chosen.mean() > 5 * chosen.std() / math.sqrt(200)
    assert abs(other.mean()) < 4 * other.std() / math.sqrt(200)


def test_the_bootstrap_error_is_that_of_a_coin():
    """Half of the weights will do if at most ten of the drawn images are among the ten that are lost."""
    found = curve([0.9, 1.0])
    limits = found.limit(drop=0.1, repetitions=4000, seed=1)
    p = stats.binom.cdf(10, 100, 0.1)
    wanted = 0.5 * math.sqrt(p * (1 - p))
    assert limits.error == pytest.approx(wanted, abs=5 * wanted / math.sqrt(4000))


def test_a_curve_is_that_of_networks_with_masks():
    model = fcn(12, [9], 3, seed=1)
    _, data = linear_problem()
    found = limit.pruning_curve(model, data, [0.2, 0.5])
    D = 12 * 9 + 27
    np.testing.assert_array_equal(found.kept, [math.ceil(0.2 * D), math.ceil(0.5 * D), D])
    for row, kept in enumerate(found.kept):
        pruned = fcn(12, [9], 3, seed=1)
        Mask.from_scores(magnitude(pruned), int(kept)).apply_(pruned)
        held, train = evaluate(pruned, data), evaluate(pruned, data, train=True)
        assert (found.held_loss[row], found.held_accuracy[row]) == pytest.approx(held, rel=1e-5)
        assert (found.train_loss[row], found.train_accuracy[row]) == pytest.approx(train, rel=1e-5)
    assert len(limit.pruning_curve(model, data).kept) == 1000


def test_halves_share_no_image_and_miss_none():
    _, data = linear_problem()
    one, other = limit.halves(data, seed=2)
    both = torch.cat([one.test_x, other.test_x]).flatten(1)
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, data.test_x.flatten(1).tolist()))
    assert one.train_x is data.train_x
