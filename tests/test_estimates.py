"""Means and their standard errors."""

import math

import numpy as np
import pytest

from prunekit.estimates import Estimate, mean


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


@pytest.mark.parametrize(("draws", "message"), [([], "draws has shape"), ([1.0, math.nan], "draws holds nan")])
def test_no_draws_and_no_numbers_are_refused(draws, message):
    with pytest.raises(ValueError, match=message):
        mean(draws)
