"""Slopes of logarithms, against scipy's regression on every draw."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from prunekit.stable import compression_error, sample
from prunekit.stable.limits import borderline_growth
from prunekit.stable.rates import growth_of_median, log_log_slope


def test_the_slope_is_that_of_a_regression_on_all_logarithms():
    rng = np.random.default_rng(2)
    x = [10.0, 100.0, 3000.0]
    draws = [np.exp(rng.normal(-0.5 * np.log(at), 0.3, many)) for at, many in zip(x, (20, 50, 9), strict=True)]
    slope = log_log_slope(x, draws)
    every = stats.linregress(np.repeat(np.log(x), [20, 50, 9]), np.log(np.concatenate(draws)))
    assert slope.value == pytest.approx(every.slope, rel=1e-12)
    assert slope.error == pytest.approx(every.stderr, rel=0.3)
    for rate in (log_log_slope, growth_of_median):
        for wrong in ([10.0, 10.0, 10.0], [-1.0, 2.0, 3.0]):
            with pytest.raises(ValueError, match="give numbers above 0, two different ones or more"):
                rate(wrong, draws)
    with pytest.raises(ValueError, match="samples cannot be drawn by logarithms"):
        log_log_slope(x, [each - 5 for each in draws])


def test_the_growth_is_that_of_the_medians_weighted_by_their_numbers():
    rng = np.random.default_rng(3)
    x, many = [3.0, 10.0, 50.0], (40, 90, 15)
    draws = [1.5 * np.log(at) + rng.standard_cauchy(n) for at, n in zip(x, many, strict=True)]
    found = growth_of_median(x, draws)
    medians = [np.median(each) for each in draws]
    assert found.value == pytest.approx(np.polyfit(np.log(x), medians, 1, w=np.sqrt(many))[0], rel=1e-9)
    assert abs(found.value - 1.5) < 4.5 * found.error


@pytest.mark.parametrize("alpha", [1.0, 1.3])
def test_at_the_order_alpha_the_error_falls_with_the_logarithm_of_the_size(alpha):
    """Cauchy's law has its moment in closed form; any law is drawn."""
    if alpha == 1:
        q = math.tan(math.pi / 2 * 0.9)
        moment = 2 * integrate.quad(lambda v: v / (math.pi * (1 + v * v)), 0, q)[0]
        assert borderline_growth(1.0, 0.1) == pytest.approx(2 / math.pi / moment, rel=1e-6)
    rng, sizes = np.random.default_rng(4), (1000, 10_000, 100_000)
    drawn = [[compression_error(sample(alpha, d, seed=rng), 0.1, alpha) ** -alpha for _ in range(60)] for d in sizes]
    found = growth_of_median(sizes, drawn)
    assert abs(found.value - borderline_growth(alpha, 0.1)) < 4.5 * found.error


def test_at_two_no_growth_is_known():
    with pytest.raises(ValueError, match="alpha is 2: give a tail index below 2"):
        borderline_growth(2.0, 0.1)
