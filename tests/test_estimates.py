"""Means and their standard errors."""

import copy
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from prunekit.statistics import Estimate, ProbedEstimate, chance_of_two, few, mean


def test_the_standard_error_is_the_spread_of_means():
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(4000, 5))
    found = [mean(row) for row in draws]
    values = np.array([f.value for f in found])
    squares = np.array([f.error**2 for f in found])
    # the squared error is unbiased for the variance of the mean, 1/5
    assert abs(squares.mean() - 1 / 5) < 5 * squares.std() / math.sqrt(4000)
    assert abs(values.mean() - 1) < 5 * math.sqrt(1 / 5 / 4000)


def test_one_draw_has_no_finite_error():
    assert mean([2.0]) == Estimate(2.0, math.inf)


@pytest.mark.parametrize("count", [2, 4])
def test_two_errors_of_a_few_draws_cover_as_two_standard_errors_do(count):
    draws = np.random.default_rng(1).standard_normal((3_000, count))
    found = [few(row) for row in draws]
    covered = np.mean([abs(one.value) <= 2 * one.error for one in found])
    assert abs(covered - 0.9545) < 4 * math.sqrt(0.9545 * 0.0455 / 3_000)
    assert np.mean([abs(mean(row).value) <= 2 * mean(row).error for row in draws]) < covered  # what it makes up for
    assert math.isinf(few([2.0]).error)


@pytest.mark.parametrize("draws", [2, 3, 7, 30, 10**7])
def test_the_chance_of_two_errors_is_what_student_integrates(draws):
    assert chance_of_two(draws) == pytest.approx(stats.t.cdf(2, draws - 1) - stats.t.cdf(-2, draws - 1), rel=1e-9)
    with pytest.raises(ValueError, match="draws is 1"):
        chance_of_two(1)


def test_parts_of_an_error_add_as_squares_and_go_through_a_line():
    found = ProbedEstimate(1.0, 0.3, 0.4)
    assert found == (1.0, 0.5)
    assert (found.scatter, found.quadrature, found.resolved) == (0.3, 0.4, True)
    moved = found.linear(-2.0, 5.0)
    assert moved == (3.0, 1.0)
    assert (moved.scatter, moved.quadrature) == (0.6, 0.8)
    lost = ProbedEstimate(1.0, 0.3, 0.4, resolved=False)
    assert math.isinf(lost.error)
    assert not lost.linear(2.0).resolved
    assert "resolved=False" in repr(lost)
    for copied in (copy.deepcopy(lost), pickle.loads(pickle.dumps(lost))):
        assert copied == lost
        assert (copied.scatter, copied.resolved) == (0.3, False)
    plain = Estimate(1.0, 0.3)
    assert (plain.scatter, plain.quadrature, plain.resolved) == (0.3, 0.0, True)
    assert plain.linear(2.0, 1.0) == (3.0, 0.6)
    assert ProbedEstimate(1.0, math.inf, 0.0).linear(0.0, 7.0) == (7.0, 0.0)


@pytest.mark.parametrize(("draws", "message"), [([], "draws has shape"), ([1.0, math.nan], "draws holds nan")])
def test_no_draws_and_no_numbers_are_refused(draws, message):
    with pytest.raises(ValueError, match=message):
        mean(draws)


def test_a_pair_made_of_a_probed_estimate_is_a_plain_one():
    found = ProbedEstimate(1.0, 0.3, 0.4)._replace(value=2.0)
    assert repr(found) == "Estimate(value=2.0, error=0.5)"
    assert type(ProbedEstimate._make((1.0, 0.1))) is Estimate
