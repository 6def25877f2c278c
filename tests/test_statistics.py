"""Measurement against prediction: against scipy.stats, and how often it raises a false alarm."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prunekit.statistics import (
    binomial_interval,
    deviation_bound,
    largest_deviation,
    leads,
    mean_and_error,
    median_and_error,
    rank_correlation,
    rank_correlation_and_error,
)


def samples(shape, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, shape)


def test_mean_and_error_are_those_of_scipy():
    values = samples((7, 4))
    mean, error = mean_and_error(values)
    np.testing.assert_allclose(mean, np.sum(values, axis=0) / 7, rtol=1e-13)
    np.testing.assert_allclose(error, stats.sem(values, axis=0), rtol=1e-13)


def test_the_median_has_an_interval_that_holds_it_two_times_in_three():
    values = samples((61, 2000))
    median, half = median_and_error(values)
    np.testing.assert_array_equal(median, np.median(values, axis=0))
    ranked = np.sort(values, axis=0)
    inside = (ranked[26] <= 3.0) & (ranked[34] >= 3.0)  # 61/2 ± √61/2, in ranks
    np.testing.assert_allclose(half, (ranked[34] - ranked[26]) / 2)
    assert abs(np.mean(inside) - 0.68) < 0.05
    with pytest.raises(ValueError, match="3 repetitions: give at least 4"):
        median_and_error([1.0, 2.0, 3.0])


def test_the_largest_deviation_is_the_largest_t_statistic():
    values, expected = samples((9, 5)), np.linspace(2, 4, 5)
    statistics = stats.ttest_1samp(values, expected, axis=0).statistic
    assert largest_deviation(values, expected) == pytest.approx(np.max(np.abs(statistics)), rel=1e-12)


def test_one_number_for_all_points_and_a_single_point_are_allowed():
    values = samples((9, 5))
    assert largest_deviation(values, 3.0) == largest_deviation(values, np.full(5, 3.0))
    statistic = stats.ttest_1samp(values[:, 0], 3.0).statistic
    assert largest_deviation(values[:, 0], 3.0) == pytest.approx(abs(statistic), rel=1e-12)


def test_a_point_that_does_not_vary_and_is_right_counts_as_no_deviation():
    values = samples((9, 2))
    values[:, 1] = 1.0
    assert largest_deviation(values, [3.0, 1.0]) == pytest.approx(largest_deviation(values[:, :1], [3.0]))
    with pytest.raises(ValueError, match="do not vary"):
        largest_deviation(values, [3.0, 1.5])


@given(shift=st.floats(-100, 100), factor=st.floats(0.01, 100))
def test_the_deviation_does_not_depend_on_units(shift, factor):
    values, expected = samples((6, 3)), np.array([2.0, 3.0, 5.0])
    moved = largest_deviation(factor * values + shift, factor * expected + shift)
    assert moved == pytest.approx(largest_deviation(values, expected), rel=1e-6)


@pytest.mark.parametrize(
    ("points", "repetitions", "level"), [(1, 2, 0.05), (1, 20, 0.01), (60, 4, 0.01), (97, 100, 0.2)]
)
def test_the_bound_is_the_quantile_of_bonferroni(points, repetitions, level):
    quantile = stats.t.ppf(1 - level / (2 * points), repetitions - 1)
    assert deviation_bound(points, repetitions, level) == pytest.approx(quantile, rel=1e-9)


def false_alarms(trials, points, repetitions, level, seed):
    """Count the trials in which means of the right expectation exceed the bound."""
    bound = deviation_bound(points, repetitions, level)
    rng = np.random.default_rng(seed)
    return sum(largest_deviation(rng.normal(1.0, 3.0, (repetitions, points)), 1.0) > bound for _ in range(trials))


@pytest.mark.parametrize(("points", "repetitions"), [(1, 4), (8, 4), (8, 20)])
def test_false_alarms_are_as_rare_as_promised(points, repetitions):
    level, trials = 0.1, 4000
    right = 1 - (1 - level / points) ** points  # of independent points; Bonferroni's level bounds it
    count = false_alarms(trials, points, repetitions, level, seed=points * 100 + repetitions)
    low, high = stats.binom.ppf([5e-4, 1 - 5e-4], trials, right)
    assert low <= count <= high


def test_a_wrong_expectation_is_noticed():
    bound = deviation_bound(5, 20)
    values = samples((20, 5))
    wrong = np.array([3.0, 3.0, 3.0, 3.0, 3.0 + 3 * 2.0])
    assert largest_deviation(values, wrong) > bound


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]], 3.0, [1.0, np.nan], [1.0, np.inf]])
def test_samples_without_an_error_are_refused(values):
    with pytest.raises(ValueError, match="samples"):
        mean_and_error(values)


@pytest.mark.parametrize(
    "arguments", [(0, 5, 0.1), (1, 1, 0.1), (1, 5, 0.0), (1, 5, 1.0), (1, 5, -0.5), (1, 5, float("nan"))]
)
def test_a_bound_outside_its_range_is_refused(arguments):
    with pytest.raises(ValueError, match=r"^(points|repetitions|level) is "):
        deviation_bound(*arguments)


def test_leads_are_one_sample_t_statistics():
    rng = np.random.default_rng(3)
    differences = rng.normal(0.3, 1, (12, 5))
    wanted = [stats.ttest_1samp(column, 0).statistic for column in differences.T]
    np.testing.assert_allclose(leads(differences), wanted, rtol=1e-12)


def test_leads_where_nothing_varies():
    assert leads(np.zeros((3, 2))).tolist() == [0, 0]
    with pytest.raises(ValueError, match="least_error"):
        leads(np.ones((3, 1)))
    assert leads(-np.ones((3, 1)), least_error=0.5).tolist() == [-2]
    assert leads([[0.0], [2.0]], least_error=0.5).tolist() == [1]  # its own standard error is 1


def test_the_rank_correlation_is_spearmans():
    rng = np.random.default_rng(5)
    x, y = rng.integers(6, size=(2, 15, 2)).astype(float)
    found, low, high = rank_correlation(x, y, seed=1)
    assert found == pytest.approx(stats.spearmanr(x.ravel(), y.ravel()).statistic, rel=1e-12)
    assert low < found < high
    assert rank_correlation(x, y, seed=1) == (found, low, high)
    assert rank_correlation(x[:, 0], -np.exp(x[:, 0]), seed=1) == pytest.approx((-1, -1, -1))


def test_the_interval_of_the_rank_correlation_covers():
    """Normal pairs of correlation ρ have the rank correlation 6/π asin(ρ/2) (Kruskal 1958, for large samples)."""
    rng = np.random.default_rng(6)
    rho, trials, n = 0.6, 400, 40
    hits = 0
    for _ in range(trials):
        x = rng.standard_normal(n)
        y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(n)
        _, low, high = rank_correlation(x, y, seed=rng, resamples=400)
        hits += low <= 6 / np.pi * np.arcsin(rho / 2) <= high
    assert abs(hits / trials - 0.94) <= 4.5 * np.sqrt(0.94 * 0.06 / trials)


def test_whole_rows_are_drawn_again():
    """Values repeated within rows carry no more information than one of them: the interval must not shrink."""
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((2, 30))
    once, often = (rank_correlation(*(np.repeat(v[:, None], k, axis=1) for v in (x, y)), seed=2) for k in (1, 8))
    assert often == pytest.approx(once, abs=1e-9)


def test_a_correlation_over_its_error_is_standard_normal_without_one():
    """And so for pairs that are repeated within rows, where the jackknife takes the place of the formula."""
    rng = np.random.default_rng(8)
    for repeats in (1, 3):
        x, y = (np.repeat(v[..., None], repeats, axis=2) for v in rng.standard_normal((2, 400, 30)))
        found = [rank_correlation_and_error(*pair) for pair in zip(x, y, strict=True)]
        ratios = np.array([r / error for r, error in found])
        assert abs(ratios.mean()) < 4.5 / 20
        assert abs(ratios.std() - 1) < 4.5 / math.sqrt(800)


def test_a_correlation_and_its_error_are_spearmans_by_fishers_transformation():
    x, y = np.random.default_rng(9).standard_normal((2, 25))
    r, error = rank_correlation_and_error(x, y)
    assert r == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    assert r / error == pytest.approx(np.arctanh(r) / np.sqrt((1 + r * r / 2) / 22), rel=1e-12)
    assert rank_correlation_and_error(x, x**3) != (1.0, 0.0)
    few, error = rank_correlation_and_error([1, 2, 3, 4], [4, 3, 2, 1])
    assert (few, error > 0.5) == (-1.0, True)  # four in line are what chance gives once in twelve
    with pytest.raises(ValueError, match="throughout: a constant has no correlation"):
        rank_correlation_and_error([1, 2, 3, 4], [2, 2, 2, 2])


@pytest.mark.parametrize(
    ("x", "y", "settings", "message"),
    [
        ([1, 2, 3], [1, 2, 3], {}, "4 rows or more"),
        ([1, 2, 3, 4], [1, 2, 3, 5, 6], {}, "one shape"),
        ([1, 1, 1, 1], [1, 2, 3, 4], {}, "x is 1.0 throughout"),
        ([1, 2, 3, 4], [2, 2, 2, 2], {}, "y is 2.0 throughout"),
        ([1, 2, 3, np.nan], [1, 2, 3, 4], {}, "not finite"),
        ([1, 2, 3, 4], [1, 2, 3, 4], {"level": 1.0}, "level is 1.0: give a number above 0 and below 1"),
        ([1, 2, 3, 4], [1, 2, 3, 4], {"resamples": 10}, "resamples is 10: give an integer of at least 100"),
    ],
)
def test_bad_correlations_are_refused(x, y, settings, message):
    with pytest.raises(ValueError, match=message):
        rank_correlation(x, y, seed=0, **settings)


@pytest.mark.parametrize(("hits", "trials", "level"), [(0, 7, 0.05), (7, 7, 0.05), (38, 40, 0.05), (3, 1000, 0.002)])
def test_the_interval_of_a_share_is_that_of_scipy(hits, trials, level):
    exact = stats.binomtest(hits, trials).proportion_ci(1 - level, method="exact")
    np.testing.assert_allclose(binomial_interval(hits, trials, level), exact, rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.954])
def test_the_interval_of_a_share_holds_it_as_often_as_it_says(p):
    chances = stats.binom.pmf(range(41), 40, p)
    ends = [binomial_interval(hits, 40) for hits in range(41)]
    assert sum(c for c, (low, high) in zip(chances, ends, strict=True) if low <= p <= high) >= 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1, 0), "trials is 0"), ((5, 4), "hits is 5"), ((-1, 4), "hits is -1"), ((1, 4, 1.0), "level is 1.0"),
     ((1, 4, 0.0), "level is 0")],
)  # fmt: skip
def test_a_share_of_no_draws_has_no_interval(arguments, message):
    with pytest.raises(ValueError, match=message):
        binomial_interval(*arguments)
