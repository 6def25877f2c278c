"""Stable laws: draws against scipy and closed forms, the estimator against its formula, errors against definitions."""

from __future__ import annotations

import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from prunekit import stable
from prunekit.stable import (
    authors_blocks,
    column_error,
    column_norms,
    compression_error,
    layer_tail_index,
    limits,
    sample,
    sample_elliptical,
    singular_value_error,
    singular_values,
    smallest_kept,
    tail_index,
)
from prunekit.stable import distribution as law
from prunekit.stable.sampling import sample_positive

ALPHAS = (0.5, 0.8, 1.0, 1.2, 1.5, 1.8, 1.95, 2.0)


def z_of_share(share, expected, n):
    """Return the deviation of an observed share in standard errors."""
    return (share - expected) / math.sqrt(expected * (1 - expected) / n)


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("alpha", ALPHAS)
def test_draws_follow_scipys_distribution_function(alpha):
    x = sample(alpha, 4000, scale=1.7, seed=3)
    reference = {1.0: stats.cauchy(scale=1.7), 2.0: stats.norm(scale=1.7 * math.sqrt(2))}  # closed forms
    cdf = reference[alpha].cdf if alpha in reference else lambda v: stats.levy_stable.cdf(v, alpha, 0, scale=1.7)
    assert stats.kstest(x, cdf).pvalue > 1e-4


@pytest.mark.parametrize("alpha", [0.3, 0.999999, 1.3, 1.999])
def test_draws_have_the_characteristic_function_of_the_paper(alpha):
    n, scale = 400_000, 0.7
    x = sample(alpha, n, scale=scale, seed=4)
    for frequency in (0.3, 1.0, 2.5):
        values = np.cos(frequency * x)
        error = values.std() / math.sqrt(n)
        assert abs(values.mean() - math.exp(-((scale * frequency) ** alpha))) < 4.5 * error
        assert abs(np.sin(frequency * x).mean()) < 4.5 / math.sqrt(2 * n)


def test_shape_scale_and_seed():
    x = sample(1.4, (30, 50, 7), seed=5)
    assert x.shape == (30, 50, 7) and x.dtype == np.float64
    np.testing.assert_array_equal(x, sample(1.4, (30, 50, 7), seed=5))
    np.testing.assert_allclose(3 * x, sample(1.4, x.shape, scale=3.0, seed=5), rtol=1e-15)
    assert np.any(x != sample(1.4, x.shape, seed=6))
    assert sample(1.4, 0, seed=0).size == 0
    a = sample(1.7, 200_000, seed=1)  # more than one piece
    assert np.unique(a).size == a.size


@pytest.mark.parametrize("alpha", [0.7, 1.5, 2.0])
def test_elliptical_vectors_have_their_characteristic_function(alpha):
    root = np.array([[1.0, 0.0, 0.0], [0.5, 0.8, 0.0], [-0.3, 0.2, 0.4]])
    n, covariance = 200_000, root @ root.T
    rng = np.random.default_rng(0)
    for dispersion, full in (
        (covariance, covariance),
        (np.diag(covariance), np.diag(np.diag(covariance))),
        (3, np.eye(3)),
    ):
        x = sample_elliptical(alpha, n, dispersion, seed=8)
        for u in rng.standard_normal((4, 3)):
            values = np.cos(x @ u)
            assert abs(values.mean() - math.exp(-((u @ full @ u) ** (alpha / 2)))) < 4.5 * values.std() / math.sqrt(n)


def test_elliptical_entries_share_their_size():
    """Under independence |x₁| and |x₂| would be large together with the product of the probabilities."""
    x = np.abs(sample_elliptical(1.2, 50_000, 2, seed=1))
    high = np.quantile(x, 0.95, axis=0)
    both = np.mean((x > high).all(axis=1))
    assert z_of_share(both, 0.05**2, 50_000) > 20


def test_positive_draws_have_their_laplace_transform():
    for a in (0.3, 0.6, 0.95):
        x = sample_positive(a, 100_000, seed=2)
        for s in (0.2, 1.0, 4.0):
            values = np.exp(-s * x)
            assert abs(values.mean() - math.exp(-(s**a))) < 4.5 * values.std() / math.sqrt(x.size)


# ---------------------------------------------------------------- the distribution function


@pytest.mark.parametrize("alpha", [0.5, 0.8, 1.0, 1.2, 1.5, 1.95])
def test_tail_probability_is_scipys(alpha):
    x = np.array([0.01, 0.5, 1.0, 3.0, 30.0])
    expected = 2 * (stats.cauchy.sf(x) if alpha == 1 else stats.levy_stable.sf(x, alpha, 0))
    np.testing.assert_allclose(law.tail_probability(alpha, x), expected, rtol=1e-9)
    assert law.tail_probability(alpha, 0.0) == 1.0


@pytest.mark.parametrize("alpha", [1.03, 1.5, 1.9, 1.999, 2.0])
def test_tail_probability_inverts_the_characteristic_function(alpha):
    """1 - (2/π)∫ sin(ωx)/ω exp(-ω^α) dω, by a fine midpoint sum."""
    step = 2e-4
    omega = step * (np.arange(int(40 / step)) + 0.5)
    for x in (0.3, 2.0, 6.0):
        inverted = 1 - 2 / math.pi * step * np.sum(np.sin(omega * x) / omega * np.exp(-(omega**alpha)))
        assert law.tail_probability(alpha, x) == pytest.approx(inverted, abs=2e-7)


def by_the_tails_series(alpha, x):
    """Return Bergström's series in x^-α, summed to 25 digits: convergent for α < 1, asymptotic above."""
    mpmath.mp.dps = 30
    total, last = mpmath.mpf(0), mpmath.inf
    for k in range(1, 400):
        size = mpmath.gamma(alpha * k) / mpmath.factorial(k) * mpmath.mpf(x) ** (-alpha * k)
        if size > last or size < 1e-25 * abs(total):
            break
        total, last = total - (-1) ** k * size * mpmath.sin(k * mpmath.pi * alpha / 2), size
    assert size < mpmath.mpf(10) ** -14 * abs(total)  # x is far enough out
    return float(2 / mpmath.pi * total)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.66, 0.9, 0.98, 0.999, 1.0001, 1.02, 1.06, 1.34, 1.36, 1.7, 1.99, 1.999])
def test_tail_probability_has_ten_digits_far_out(alpha):
    for x in (1e2, 1e4, 1e8, 1e12, 1e15):
        assert law.tail_probability(alpha, x) == pytest.approx(by_the_tails_series(mpmath.mpf(alpha), x), rel=1e-11)


@pytest.mark.parametrize("alpha", [0.66, 0.95, 0.99, 1.01, 1.06, 1.34])
def test_both_integrals_agree_where_both_are_accurate(alpha):
    for x in (1e-4, 0.1, 0.9, 1.1, 4.0):
        other = law._integral(alpha, math.log(x))
        assert law._along_a_ray(alpha, math.log(x)) == pytest.approx(
            other, rel=1e-10 if abs(alpha - 1) > 0.04 else 1e-5
        )
    assert law.tail_probability(alpha, [0.0, math.inf]).tolist() == [1, 0]


@pytest.mark.parametrize("alpha", [0.5, 0.9, 1.2, 1.7, 1.97])
def test_tail_constant_is_the_limit(alpha):
    x = 1e7 ** (1 / alpha) * 10
    assert law.tail_probability(alpha, x) * x**alpha == pytest.approx(law.tail_constant(alpha), rel=2e-3)


@pytest.mark.parametrize("alpha", [0.6, 1.0, 1.5, 2.0])
def test_quantile_and_truncated_moment(alpha):
    for above in (0.02, 0.1, 0.6):
        assert law.tail_probability(alpha, law.magnitude_quantile(alpha, above)) == pytest.approx(above, rel=1e-9)
    x = np.abs(sample(alpha, 400_000, seed=1))
    for p, bound in ((0.7, 2.0), (2.0, 3.0), (4.0, 1.5)):
        values = np.where(x <= bound, x**p, 0.0)
        error = values.std() / math.sqrt(x.size)
        assert abs(values.mean() - law.truncated_moment(alpha, p, bound)) < 4.5 * error


# ---------------------------------------------------------------- the tail index


def plain(x, k):
    """Return α̂ as Corollary 2.4 states it, with loops and nothing else."""
    n = len(x) // k
    x = x[: n * k]
    sums = [sum(x[i * k : (i + 1) * k]) for i in range(n)]
    mean_y = sum(math.log(np.linalg.norm(y)) for y in sums) / n
    mean_x = sum(math.log(np.linalg.norm(v)) for v in x) / len(x)
    return math.log(k) / (mean_y - mean_x)


@pytest.mark.parametrize("n, d", [(60, 1), (101, 1), (97, 3), (2048, 2)])
def test_estimator_is_its_formula(n, d):
    x = sample_elliptical(1.4, n, d, seed=n)
    values = x[:, 0] if d == 1 else x
    for k in (2, 3, 7, math.isqrt(n)):
        assert tail_index(values, blocks=k, center="none").alpha == pytest.approx(plain(x, k), rel=1e-10)
    assert tail_index(values, center="none").alpha == pytest.approx(plain(x, math.isqrt(n)), rel=1e-10)


def test_matrix_form_is_the_authors_program():
    """Column medians, divisors, median over block sizes, clip, median over shuffles, each spelled out."""
    x = sample(1.9, (240, 6), seed=3) + 5
    found = layer_tail_index(x, seed=11)
    assert found.blocks == (2, 5, 10, 15, 20, 48, 80) == authors_blocks(240)
    centred, rng = x - np.median(x, axis=0), np.random.default_rng(11)
    each = []
    for _ in range(5):
        mixed = centred[rng.permutation(240)]
        each.append(min(np.median([plain(mixed, k) for k in authors_blocks(240)]), 2.0))
    assert found.alpha == pytest.approx(np.median(each), rel=1e-10)
    assert (found.rows, found.columns) == (240, 6)


def test_authors_block_sizes():
    assert authors_blocks(10) == (2, 5)
    assert authors_blocks(2048) == (2, 4, 8, 16, 32, 64, 256, 512)
    assert authors_blocks(784) == (2, 4, 8, 16, 28, 49, 98)
    for n in (101, 9973):  # primes, on which the authors' program stops
        assert all(2 <= k <= n / 2 for k in authors_blocks(n))
    for n in range(4, 300):
        assert authors_blocks(n)[-1] <= n / 2


def test_sums_of_sums_are_sums():
    """Sizes that divide one another give what each gives alone."""
    x = sample(1.3, (1003, 4), seed=0)
    together = tail_index(x, blocks=[2, 4, 5, 10, 40, 100, 200])
    for k, inverse in zip(together.blocks, together.inverses, strict=True):
        assert tail_index(x, blocks=k).inverses[0] == pytest.approx(inverse, rel=1e-10)


@pytest.mark.parametrize("alpha", [0.8, 1.2, 1.6, 2.0])
@pytest.mark.parametrize("n", [10_007, 4096])
def test_estimate_and_its_error_are_calibrated(alpha, n):
    """Over 60 samples: the mean of 1/α̂ is 1/α, and the stated error is the spread."""
    found = [tail_index(sample(alpha, n, seed=seed * 7 + n), blocks=10) for seed in range(60)]
    inverse = np.array([t.inverses[0] for t in found])
    spread = inverse.std(ddof=1)
    assert abs(inverse.mean() - 1 / alpha) < 4.5 * spread / math.sqrt(60)
    stated = np.median([t.error / t.alpha**2 for t in found])
    assert 1 - 4.5 / math.sqrt(120) < stated / spread < 1 + 4.5 / math.sqrt(120)


def test_error_of_the_matrix_form_is_on_the_safe_side():
    found = [layer_tail_index(sample(1.6, (512, 8), seed=seed), clip=None, seed=seed) for seed in range(60)]
    spread = np.std([t.alpha for t in found], ddof=1)
    assert 0.8 < np.median([t.error for t in found]) / spread < 2


def test_estimate_ignores_location_and_scale():
    x = sample(1.5, 5001, seed=2)
    base = tail_index(x)
    for a, b in ((1e-9, 0.0), (1e120, 0.0), (3.0, 17.0)):
        assert tail_index(a * x + b).alpha == pytest.approx(base.alpha, rel=1e-6)
    single = tail_index(x.astype(np.float32))
    assert single.alpha == pytest.approx(base.alpha, rel=1e-4)


def test_clip_and_shuffles():
    x = sample(2.0, 4000, seed=9)
    seeds = [s for s in range(40) if tail_index(sample(2.0, 4000, seed=s)).alpha > 2]
    assert 8 < len(seeds) < 32  # above 2 about half the time
    assert tail_index(sample(2.0, 4000, seed=seeds[0]), clip=2).alpha == 2
    a = tail_index(x, shuffles=3, seed=1)
    assert a == tail_index(x, shuffles=3, seed=1)
    assert a.alpha != tail_index(x, shuffles=3, seed=2).alpha
    ordered = np.sort(x)
    assert tail_index(ordered).alpha == pytest.approx(1, abs=0.1)  # sums of equals grow with their number
    assert abs(tail_index(ordered, shuffles=5, seed=0).alpha - 2) < 0.5


def test_sums_that_do_not_grow():
    x = np.repeat(np.random.default_rng(0).standard_normal(500), 2)
    x[1::2] = -0.999 * x[::2]  # neighbours cancel
    with pytest.raises(ValueError, match="clip=2"):
        tail_index(x, blocks=2)
    assert tail_index(x, blocks=2, clip=2).alpha == 2


@pytest.mark.parametrize(
    "values, message",
    [
        ([1.0, 2.0, 3.0], "at least 4"),
        ([], "at least one number"),
        ([1.0, math.nan, 2.0, 3.0, 4.0], r"nan at index \(1,\)"),
        ([1.0, 2.0, math.inf, 3.0], r"inf at index \(2,\)"),
        (np.ones(100), "constant"),
        (np.resize([0.0, 1.0], 100), "pruned"),
        (np.resize([-1.0, 1.0, 1.0, -1.0], 400), "discrete"),
        (np.where(np.arange(1000) % 10 == 0, np.arange(1000.0), 0.0), "pruned"),
        (np.zeros((4, 0)), "at least one number"),
    ],
)
def test_tail_index_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        tail_index(values)


def test_arguments_are_named():
    x = sample(1.5, 100, seed=0)
    for call, kind, message in (
        (lambda: tail_index(x, blocks=1), ValueError, "blocks is 1"),
        (lambda: tail_index(x, blocks=51), ValueError, "half the rows"),
        (lambda: tail_index(x, blocks=[]), ValueError, "blocks is empty"),
        (lambda: tail_index(x, shuffles=2), TypeError, "seed is None"),
        (lambda: tail_index(x, center="mean"), ValueError, "'median' or 'none'"),
        (lambda: tail_index(x, clip=0), ValueError, "clip"),
        (lambda: tail_index(["a"] * 5), TypeError, "values is of kind"),
        (lambda: layer_tail_index(x, seed=0), ValueError, "2 axes"),
        (lambda: tail_index(1e300 * x.reshape(50, 2)), FloatingPointError, "double precision"),
        (lambda: sample(0.0, 3, seed=0), ValueError, "alpha is 0"),
        (lambda: sample(2.1, 3, seed=0), ValueError, "at most 2"),
        (lambda: sample(math.nan, 3, seed=0), ValueError, "alpha is nan"),
        (lambda: sample("x", 3, seed=0), TypeError, "alpha"),
        (lambda: sample(1.5, -1, seed=0), ValueError, "size"),
        (lambda: sample(1.5, 2.5, seed=0), ValueError, "size"),
        (lambda: sample(1.5, 3, scale=-1, seed=0), ValueError, "scale"),
        (lambda: sample(0.003, 1000, seed=0), FloatingPointError, "larger alpha"),
        (lambda: sample_elliptical(1.5, 3, 0, seed=0), ValueError, "dispersion"),
        (lambda: sample_elliptical(1.5, 3, [[1.0, 2.0], [0.0, 1.0]], seed=0), ValueError, "asymmetric"),
        (lambda: compression_error(x, 101), ValueError, "number of weights"),
        (lambda: compression_error(x, 0.0), ValueError, "share above 0"),
        (lambda: compression_error(x, 1.1), ValueError, "share above 0"),
        (lambda: compression_error(x, 0.1, p=0), ValueError, "p is 0"),
        (lambda: compression_error(x, 0.1, p=math.inf), ValueError, "p is inf"),
        (lambda: compression_error(np.zeros(4), 2), ValueError, "all 0"),
        (lambda: compression_error(np.zeros(4), [1, 2]), ValueError, "all 0"),
        (lambda: compression_error([], 1), ValueError, "empty|at least one"),
        (lambda: compression_error([1.0, math.nan], 1), ValueError, "nan"),
        (lambda: compression_error(x, [[1]]), ValueError, "kept has shape"),
        (lambda: smallest_kept(x, 1.5), ValueError, "error is 1.5"),
        (lambda: smallest_kept(x, -0.1), ValueError, "error is -0.1"),
        (lambda: column_error(x, 1), ValueError, "2 axes"),
        (lambda: law.tail_probability(0.05, 1.0), ValueError, "from 0.1 to 2"),
        (lambda: law.tail_probability(1.5, -1.0), ValueError, "at least 0"),
        (lambda: law.magnitude_quantile(1.5, 1.0), ValueError, "below 1"),
        (lambda: law.tail_constant(2.0), ValueError, "no power tail"),
        (lambda: limits.limit_error(1.5, 100, 0.1, p=1.5), ValueError, "above alpha"),
        (lambda: limits.limit_error(1.5, 100, 0.1, quantile=1.0), ValueError, "quantile"),
    ):
        with pytest.raises(kind, match=message):
            call()


# ---------------------------------------------------------------- compression

weights = arrays.arrays(
    np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-3)
)
orders = st.floats(0.3, 6)


def by_definition(w, k, p):
    """Return the relative error with a stable sort and explicit norms."""
    w = np.asarray(w, dtype=float)
    pruned = w.copy()
    pruned[np.argsort(-np.abs(w), kind="stable")[k:]] = 0
    scale = np.abs(w).max()
    return float(np.sum(np.abs((pruned - w) / scale) ** p) ** (1 / p) / np.sum(np.abs(w / scale) ** p) ** (1 / p))


@given(weights, orders, st.data())
def test_compression_error_is_its_definition(w, p, data):
    if not w.any():
        return
    k = data.draw(st.integers(0, w.size))
    expected = by_definition(w, k, p)
    assert compression_error(w, k, p) == pytest.approx(expected, rel=1e-7, abs=1e-9)
    np.testing.assert_allclose(compression_error(w, [0, k], p), [1, expected], rtol=1e-7, atol=1e-9)
    assert compression_error(w.astype(np.float32), k, p) == pytest.approx(expected, rel=1e-3, abs=1e-3)


@given(weights, orders, st.floats(0, 1))
def test_smallest_kept_is_smallest(w, p, error):
    if not w.any():
        return
    k = smallest_kept(w, error, p)
    assert by_definition(w, k, p) <= error + 1e-9
    assert k == 0 or by_definition(w, k - 1, p) > error * (1 - 1e-9) - 1e-12


def test_shares_keep_the_ceiling():
    w = np.arange(1.0, 31.0)
    for share, count in ((0.1, 3), (0.11, 4), (1.0, 30), (0.001, 1), (np.float32(0.5), 15)):
        assert compression_error(w, share) == compression_error(w, count)
    hundred = np.arange(1.0, 101.0)
    assert compression_error(hundred, 0.07) == compression_error(hundred, 7)  # 0.07 · 100 > 7 in binary
    assert compression_error(w, 30) == 0 and compression_error(w, 0) == 1
    assert smallest_kept(w, 0) == 30 and smallest_kept(w, 1) == 0


def test_extreme_weights_do_not_overflow():
    assert compression_error([1e300, 1e300, 1e-300], 1) == pytest.approx(math.sqrt(0.5))
    assert smallest_kept([1e-300, 1e-310, 0.0], 0.5, p=4) == 1


def test_column_and_singular_value_errors_are_their_definitions():
    matrix = np.random.default_rng(0).standard_t(2, (7, 11))
    for p in (1.0, 1.7, 2.0, 3.0):
        norms = np.sum(np.abs(matrix) ** p, axis=0) ** (1 / p)
        np.testing.assert_allclose(column_norms(matrix, p), norms, rtol=1e-12)
        pruned = matrix.copy()
        pruned[:, np.argsort(norms)[:7]] = 0
        expected = (np.sum(np.abs(matrix - pruned) ** p) / np.sum(np.abs(matrix) ** p)) ** (1 / p)
        assert column_error(matrix, 4, p) == pytest.approx(expected, rel=1e-12)
    U, s, V = np.linalg.svd(matrix, full_matrices=False)
    s[3:] = 0
    expected = np.linalg.norm(matrix - (U * s) @ V) / np.linalg.norm(matrix)
    assert singular_value_error(matrix, 3) == pytest.approx(expected, rel=1e-12)
    assert singular_value_error(matrix, 3, p=1) == pytest.approx(expected**2, rel=1e-12)
    assert singular_values(matrix).shape == (11,)  # as many as columns, four of them 0
    eigenvalues = np.sort(np.linalg.eigvalsh(matrix.T @ matrix))[::-1]
    expected = by_definition(np.maximum(eigenvalues, 0), 3, 0.8)
    assert singular_value_error(matrix, 3, p=0.8) == pytest.approx(expected, rel=1e-4)


# ---------------------------------------------------------------- predictions


@pytest.mark.parametrize(
    "alpha, p, d",
    [(0.7, 2.0, 20_000), (1.2, 2.0, 2000), (1.8, 2.0, 2000), (1.95, 2.0, 2000), (1.5, 4.0, 5000), (1.0, 3.0, 5000)],
)
def test_limit_error_has_the_share_of_draws_below_it(alpha, p, d):
    errors = np.array([compression_error(sample(alpha, d, seed=seed), 0.1, p) for seed in range(500)])
    for quantile in (0.2, 0.5, 0.8):
        share = np.mean(errors <= limits.limit_error(alpha, d, 0.1, p, quantile))
        assert abs(z_of_share(share, quantile, 500)) < 4


def test_gaussian_error_is_that_of_draws():
    x = np.random.default_rng(0).standard_normal(10**6)
    for p in (1.0, 2.0, 3.5):
        assert limits.limit_error(2.0, 10**6, 0.1, p) == pytest.approx(compression_error(x, 0.1, p), rel=5e-3)


def test_limit_column_error():
    for alpha in (0.8, 1.2):
        errors = np.array([column_error(sample(alpha, (300, 200), seed=seed), 0.1) for seed in range(200)])
        share = np.mean(errors <= limits.limit_column_error(alpha, 200, 0.1))
        assert abs(z_of_share(share, 0.5, 200)) < 4


def test_dimension_and_share_invert_the_error():
    d = limits.dimension_needed(1.6, 0.1, 0.1, probability=0.9)
    assert limits.limit_error(1.6, d, 0.1, quantile=0.9) == pytest.approx(0.1, rel=1e-9)
    assert limits.dimension_needed(1.999, 0.1, 0.01) == math.inf
    for alpha in (1.75, 2.0):
        share = limits.share_needed(alpha, 1e6, 0.1)
        assert limits.limit_error(alpha, 1e6, share) == pytest.approx(0.1, rel=1e-6)
        median = np.median([smallest_kept(sample(alpha, 20_000, seed=s), 0.1) for s in range(40)]) / 20_000
        assert limits.share_needed(alpha, 20_000, 0.1) == pytest.approx(median, abs=0.02)


def test_positive_law():
    x = sample_positive(0.7, 100_000, seed=0)
    for probability in (0.05, 0.5, 0.95):
        share = np.mean(x <= limits.positive_quantile(0.7, probability))
        assert abs(z_of_share(share, probability, x.size)) < 4.5
    levy = math.erfc(1 / (2 * math.sqrt(0.3)))
    assert limits.positive_cdf(0.5, 0.3) == pytest.approx(levy, rel=1e-10)


# ---------------------------------------------------------------- networks


def test_layers_of_a_network():
    torch = pytest.importorskip("torch")
    from prunekit.stable import layers

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.BatchNorm2d(8),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 20),
        torch.nn.Linear(20, 5),
    )
    found = layers.layer_weights(model)
    assert {name: w.shape for name, w in found.items()} == {
        "0.weight": (8, 3, 3, 3),
        "3.weight": (20, 32),
        "4.weight": (5, 20),
    }
    conv = model[0].weight.detach().numpy()
    np.testing.assert_array_equal(layers.as_matrix(conv)[5], conv[5].ravel())
    np.testing.assert_array_equal(layers.vectors(conv)[3 * 2 + 1], conv[2, 1].ravel())
    report = layers.tail_report(model, seed=3)
    assert {name: (t.rows, t.columns) for name, t in report.layers.items()} == {
        "0.weight": (24, 9), "3.weight": (20, 32), "4.weight": (20, 5)
    }  # fmt: skip
    rng = np.random.default_rng(3)
    tables = (conv.reshape(24, 9), model[3].weight.detach().numpy(), model[4].weight.detach().numpy().T)
    alone = [layer_tail_index(table, seed=rng) for table in tables]
    assert list(report.layers.values()) == alone
    assert report.alpha == pytest.approx(np.mean([t.alpha for t in alone]))
    assert report.error == pytest.approx(math.hypot(*(t.error for t in alone)) / 3)
    assert [line.split()[0] for line in str(report).splitlines()] == [
        "0.weight",
        "3.weight",
        "4.weight",
        "mean",
        "weighted",
    ]
    model[3].weight.data[:10] = 0
    with pytest.raises(ValueError, match=r"'3.weight'.*pruned"):
        layers.tail_report(model, seed=0)
    model[3].weight.data[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"3.weight holds nan"):
        layers.layer_weights(model)
    half = torch.nn.Linear(8, 8).to(torch.bfloat16)
    assert layers.layer_weights(half)["weight"].dtype == np.float32


def test_nothing_imports_torch_or_scipys_statistics():
    code = (
        "import sys, prunekit.stable as s; s.tail_index(s.sample(1.5, 99, seed=0)); s.smallest_kept([1.0, 2.0], 0.1);"
    )
    code += "import prunekit.stable.layers; print([m for m in ('torch', 'scipy') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
    )


def by_logarithms(x, k, p):
    """Return the relative error of keeping k weights, in many digits."""
    mpmath.mp.dps = 30
    powers = sorted(abs(mpmath.mpf(float(v))) ** p for v in x)
    return float((sum(powers[: len(x) - k]) / sum(powers)) ** (1 / mpmath.mpf(p)))


@pytest.mark.parametrize("p", [0.3, 2.0, 50.0, 700.0, 5000.0])
def test_errors_of_large_order_do_not_vanish(p):
    x = np.array([1.0, -3.0, 0.2, 900.0, 0.0, 41.0, 1e-4])
    expected = [by_logarithms(x, k, p) for k in range(7)]
    np.testing.assert_allclose([stable.compression_error(x, k, p) for k in range(7)], expected, rtol=1e-12)
    np.testing.assert_allclose(stable.compression_error(x, np.arange(7), p), expected, rtol=1e-12)
    for k in range(1, 7):
        assert stable.smallest_kept(x, expected[k] * (1 + 1e-9), p) <= k
        if expected[k] < expected[k - 1] * (1 - 1e-6):
            assert stable.smallest_kept(x, expected[k] * (1 + 1e-9), p) == k
    matrix = np.column_stack([x, 1e-5 * x[::-1]])
    norms = [float(sum(mpmath.mpf(abs(v)) ** p for v in column) ** (1 / mpmath.mpf(p))) for column in matrix.T]
    np.testing.assert_allclose(stable.column_norms(matrix, p), norms, rtol=1e-12)
    squares = np.diag([900.0, 41.0, 3.0])
    assert stable.singular_value_error(squares, 1, p) == pytest.approx(
        by_logarithms(np.diag(squares) ** 2, 1, p), rel=1e-12
    )


@pytest.mark.parametrize("alpha", [0.66, 0.8, 0.95, 0.99, 1.01, 1.2, 1.3, 1.34])
def test_the_probability_of_hardly_any_deviation_is_one(alpha):
    """P(|X| > x) = 1 - 2 f(0) x + O(x³) with the density f(0) = Γ(1 + 1/α)/π."""
    for x in (1e-8, 1e-12, 1e-15, 1e-30, 1e-200):
        expected = 1 - 2 * math.gamma(1 + 1 / alpha) / math.pi * x
        assert law.tail_probability(alpha, x) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("alpha", [0.2, 0.7, 0.999, 1.001, 1.5, 1.9999])
def test_draws_are_those_of_chambers_mallows_and_stuck(alpha: float) -> None:
    """The rearranged formula against the one that is printed, in extended precision, from the same random numbers."""
    found = sample(alpha, 5000, seed=7)
    rng = np.random.default_rng(7)
    v = ((rng.random(5000) - 0.5) * np.pi).astype(np.longdouble)
    w = rng.standard_exponential(5000).astype(np.longdouble)
    a = np.longdouble(alpha)
    wanted = np.sin(a * v) / np.cos(v) ** (1 / a) * (np.cos((1 - a) * v) / w) ** ((1 - a) / a)
    assert np.allclose((found / wanted).astype(float), 1, rtol=1e-12)


@pytest.mark.parametrize("kept", [0, 1, 0.1, 0.75, 40])
def test_several_orders_are_each_as_by_itself(kept) -> None:
    x = sample(1.3, 40, seed=3)
    orders = [0.5, 1.0, 1.5, 2.0, 2.5, 4.0, np.float64(7.0), 300.0]
    found = compression_error(x, kept, orders)
    ranked = np.sort(np.abs(x))
    count = kept if isinstance(kept, int) else int(np.ceil(kept * 40))
    top = ranked[: 40 - count].max(initial=0.0)
    for order, error in zip(orders, found, strict=True):
        parts = [np.sum((s / ranked[-1]) ** np.longdouble(order)) for s in (ranked[: 40 - count], ranked)]
        wanted = float((parts[0] / parts[1]) ** (1 / np.longdouble(order))) if top else 0.0
        assert error == pytest.approx(wanted, rel=1e-12)
        assert compression_error(x, kept, order) == error


@pytest.mark.parametrize(("kept", "p"), [([1, 2], [1.0, 2.0]), (1, []), (1, [[1.0]]), (1, [1.0, -1.0]), (1, [True])])
def test_orders_that_are_none_are_refused(kept, p) -> None:
    with pytest.raises((ValueError, TypeError), match="p"):
        compression_error([1.0, 2.0, 3.0], kept, p)
