"""SGD on linear regression: the moments' growth against simulated steps, the index against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prunekit.stable.regression import critical_step, growth, stationary_index


@pytest.mark.parametrize(("order", "step", "batch", "features"), [(1.3, 0.4, 2, 5), (0.7, 0.9, 1, 2), (3.0, 0.2, 4, 9)])
def test_growth_is_that_of_simulated_steps(order, step, batch, features):
    rng = np.random.default_rng(5)
    A = rng.standard_normal((100_000, batch, features))
    u = np.full(features, features**-0.5)
    after = u - step / batch * np.einsum("kbi,kb->ki", A, A @ u)
    moments = np.linalg.norm(after, axis=1) ** order
    error = moments.std() / math.sqrt(len(moments))
    assert abs(growth(order, step, batch, features) - moments.mean()) < 4.5 * error


@pytest.mark.parametrize("batch", [1, 2, 5, 50])
@pytest.mark.parametrize("features", [2, 5, 40])
def test_the_variance_becomes_infinite_at_a_step_in_closed_form(batch, features):
    exact = 2 / (1 + (features + 1) / batch)
    if exact > 0.1 / features:
        assert critical_step(2.0, batch, features) == pytest.approx(exact, rel=1e-9)
        assert stationary_index(exact, batch, features) == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.6, 1.3, 1.9, 4.0])
def test_index_and_step_are_inverse_to_each_other(alpha):
    assert stationary_index(critical_step(alpha, 2, 5), 2, 5) == pytest.approx(alpha, rel=1e-6)


def test_the_index_falls_with_the_step_and_rises_with_the_batch():
    steps = [0.1, 0.2, 0.3, 0.5, 0.8]
    for batch in (1, 3):
        found = [stationary_index(step, batch, 5) for step in steps]
        assert found == sorted(found, reverse=True)
    assert stationary_index(0.3, 1, 5) < stationary_index(0.3, 2, 5) < stationary_index(0.3, 5, 5)


def test_no_tail_for_small_steps_and_no_stationary_law_for_large_ones():
    assert stationary_index(0.01, 5, 5) == math.inf
    assert stationary_index(3.5, 1, 5) == 0.0


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: growth(0.0, 0.1, 1, 5), "order is 0"),
        (lambda: growth(1.0, -0.1, 1, 5), "step is -0.1"),
        (lambda: growth(1.0, 0.1, 0, 5), "batch is 0"),
        (lambda: growth(1.0, 0.1, 1, 1), "features is 1"),
        (lambda: growth(1.0, 0.1, 301, 5), "batch is 301"),
        (lambda: growth(51.0, 0.1, 1, 5), "order is 51: give at most 50"),
        (lambda: stationary_index(101.0, 1, 5), "step is 101: give at most 100"),
        (lambda: critical_step(50.0, 1, 2), "no step between 0.05 and 4 has this index"),
    ],
)
def test_arguments_out_of_range_are_refused(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
