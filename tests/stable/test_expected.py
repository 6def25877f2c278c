"""What the estimator gives on average, against closed forms, simulation and the stable laws' own index."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from prunekit.stable import sample, tail_index
from prunekit.stable.expected import expected_index, normal_mixture, spread_of_inverse, student
from prunekit.stable.sampling import sample_positive


def laplace(w):
    return 1 / (1 + w**2)


@pytest.mark.parametrize("block", [2, 10, 1000])
@pytest.mark.parametrize("alpha", [1.1, 1.5, 2.0])
def test_a_stable_law_has_its_index_at_every_block_size(alpha, block):
    assert expected_index(lambda w: np.exp(-(w**alpha)), block) == pytest.approx(alpha, rel=1e-4)


def test_laplaces_law_at_two_is_a_closed_form():
    # The sum of two has the density (1 + |x|)exp(-|x|)/4, whose mean logarithm is 1/2 above that of one.
    assert expected_index(laplace, 2) == pytest.approx(2 * math.log(2), rel=1e-8)


def test_it_is_what_the_estimator_gives_on_a_law_that_is_not_stable():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(400_000) * np.where(rng.random(400_000) < 0.1, 10, 1)
    found = tail_index(x, blocks=10, center="none", clip=99)
    exact = expected_index(normal_mixture([1, 10], [0.9, 0.1]), 10)
    assert abs(found.alpha - exact) < 4.5 * found.error
    assert abs(found.alpha - 2) > 20 * found.error


def test_a_mixture_over_positive_stable_scales_is_stable():
    scales = np.sqrt(2 * sample_positive(0.8, 20_000, seed=3))  # exp(-w²s²/2) has the mean exp(-w^1.6)
    phi = normal_mixture(scales, np.full(20_000, 1 / 20_000))
    w = np.array([0.3, 1.0, 2.0])
    assert phi(w) == pytest.approx(np.exp(-(w**1.6)), abs=4.5 / math.sqrt(20_000))


@pytest.mark.parametrize("freedom", [1.5, 3.0, 7.0])
def test_students_characteristic_function_is_the_integral_of_its_density(freedom):
    for w in (0.4, 1.7):
        exact = 2 * integrate.quad(lambda x: stats.t.pdf(x, freedom), 0, np.inf, weight="cos", wvar=w)[0]
        assert student(freedom)(np.array([w]))[0] == pytest.approx(exact, abs=1e-6)
    z = np.array([0.0, 1e-9, 0.5, 4000.0])
    assert student(3.0)(z) == pytest.approx((1 + math.sqrt(3) * z) * np.exp(-math.sqrt(3) * z), rel=1e-9)


def test_the_spread_is_that_of_repeated_estimates():
    inverses = [tail_index(sample(1.5, 2000, seed=k), blocks=40, center="none").inverses[0] for k in range(400)]
    assert np.std(inverses, ddof=1) == pytest.approx(spread_of_inverse(1.5, 2000, 40), rel=4.5 / math.sqrt(800))
    assert spread_of_inverse(1.5, 8000, 40) == pytest.approx(spread_of_inverse(1.5, 2000, 40) / 2)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: expected_index(np.ones_like, 10), "characteristic goes from 1 .* without atoms"),
        (lambda: expected_index(lambda w: np.exp(-((1e6 * w) ** 2)), 10), "rescaled so that its typical value"),
        (lambda: expected_index(lambda w: w[:3], 10), "what characteristic returns"),
        (lambda: expected_index(laplace, 1), "block is 1"),
        (lambda: normal_mixture([1.0, 0.0], [0.5, 0.5]), "scales holds 0.0"),
        (lambda: normal_mixture([1.0, 2.0], [0.5, 0.6]), "weights sum to 1.1"),
        (lambda: student(0.0), "freedom is 0"),
        (lambda: student(400.0), "give at most 300"),
        (lambda: spread_of_inverse(1.5, 50, 40), "block is 40: give .*half the rows"),
        (lambda: spread_of_inverse(2.5, 500, 40), "alpha is 2.5"),
    ],
)
def test_arguments_out_of_range_are_refused(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
