"""Slopes of logarithms, against scipy's regression on every draw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from prunekit.stable.rates import log_log_slope


def test_the_slope_is_that_of_a_regression_on_all_logarithms():
    rng = np.random.default_rng(2)
    x = [10.0, 100.0, 3000.0]
    draws = [np.exp(rng.normal(-0.5 * np.log(at), 0.3, many)) for at, many in zip(x, (20, 50, 9), strict=True)]
    slope = log_log_slope(x, draws)
    every = stats.linregress(np.repeat(np.log(x), [20, 50, 9]), np.log(np.concatenate(draws)))
    assert slope.value == pytest.approx(every.slope, rel=1e-12)
    assert slope.error == pytest.approx(every.stderr, rel=0.3)
    for wrong in ([10.0, 10.0, 10.0], [-1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="give numbers above 0, at two values of x or more"):
            log_log_slope(wrong, draws)
