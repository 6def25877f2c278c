"""The law and its risks, each against an independent computation.

Closed forms are compared with sampling the law, the law with actual least squares, identities with themselves. A
z-score is a difference in units of its Monte Carlo standard error; each bound is wide enough for the number of
comparisons made, so that a correct program fails about once in a thousand runs of new seeds.
"""

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit.linear import LinearGaussian
from prunekit.linear.interval_moments import interval_moments
from prunekit.linear.law import MinNormLaw, characterize
from prunekit.linear.least_squares import min_norm, retrain, ridge
from prunekit.linear.strategies import (
    HardThreshold,
    Hessian,
    Magnitude,
    OptimalBrainSurgeon,
    Oracle,
    SoftThreshold,
    TwoOfFour,
    UniformQuantizer,
    prune,
    support,
)


def li_figure_1(scale, p=1000):
    """Return the problem of li, Figure 1: θ_i ∝ (1 + 4i/p)^-2 of unit norm, the first tenth of features scaled."""
    i = np.arange(1, p + 1)
    theta = (1 + 4 * i / p) ** -2.0
    theta /= np.linalg.norm(theta)
    scales = np.where(i <= p / 10, scale, 1.0)
    return LinearGaussian(scales**2, theta / scales, 0.1)


def uneven(p, decades=2.0, sigma=0.3, seed=0):
    """Return a diagonal problem with a log-uniform spectrum and many small coefficients."""
    rng = np.random.default_rng(seed)
    variances = 10 ** rng.uniform(-decades, 0, p)
    return LinearGaussian(variances, rng.standard_normal(p) / np.sqrt(p * variances.mean()), sigma)


def rotated(problem, seed=0):
    """Return the same problem in other coordinates, and the rotation."""
    U = np.linalg.qr(np.random.default_rng(seed).standard_normal((problem.p, problem.p)))[0]
    return LinearGaussian((U * problem.covariance) @ U.T, U @ problem.beta, problem.sigma), U


@pytest.mark.parametrize(
    ("scale", "magnitude", "hessian"), [(5, 0.88760, 0.41203), (1, 0.59137, 0.59137), (0.5, 0.89666, 1.09812)]
)
def test_reference_values_of_li_figure_1(scale, magnitude, hessian):
    law = li_figure_1(scale).characterize(600)
    assert law.risk(Magnitude(100)) == pytest.approx(magnitude, abs=6e-6)
    assert law.risk(Hessian(100)) == pytest.approx(hessian, abs=6e-6)
    if scale == 5:
        assert law.risk() == law.gamma == pytest.approx(0.21511, abs=6e-6)


def test_reference_variance_of_one_strong_coordinate():
    law = LinearGaussian(np.ones(400), np.eye(400)[0], 0.0).characterize(200)
    assert law.variance[0] == pytest.approx(0.000625, rel=1e-12)
    assert law.mean[0] == pytest.approx(0.5, rel=1e-12)


# --- The law itself -------------------------------------------------------------------------------------------------


def exact_law(problem, n):
    """Solve chang, Definition 4, as it is printed, with 40 digits."""
    with mpmath.workdps(40):
        p = problem.p
        variances = [mpmath.mpf(v) for v in problem.covariance]
        beta = [mpmath.mpf(b) for b in problem.beta]
        kappa = mpmath.mpf(p) / n

        # If all variances were equal, ξ would be n/(p-n) over their value: the extreme ones enclose it.
        low, high = (mpmath.log(mpmath.mpf(n) / (p - n) / v) for v in (2 * max(variances), min(variances) / 2))
        while high - low > mpmath.mpf(10) ** -30:
            xi = mpmath.exp((low + high) / 2)
            above = mpmath.fsum(1 / (1 + 1 / (xi * v)) for v in variances) / p > 1 / kappa
            low, high = (low, (low + high) / 2) if above else ((low + high) / 2, high)
        zeta = [1 / (1 + xi * v) for v in variances]
        squares = [(1 + 1 / (xi * v)) ** -2 for v in variances]
        signal = mpmath.fsum(v * z**2 * b**2 for v, z, b in zip(variances, zeta, beta, strict=True))
        gamma = (mpmath.mpf(problem.sigma) ** 2 + signal) / (1 - kappa / p * mpmath.fsum(squares))
        mean = [float((1 - z) * b) for z, b in zip(zeta, beta, strict=True)]
        variance = [float(kappa * gamma * q / (p * v)) for q, v in zip(squares, variances, strict=True)]
        return float(xi), float(gamma), np.array(mean), np.array(variance)


@pytest.mark.parametrize(("p", "n"), [(60, 59), (60, 40), (60, 3), (60, 1), (301, 300)])
@pytest.mark.parametrize("decades", [0.0, 2.0, 12.0])
def test_the_law_is_definition_4_to_many_digits(p, n, decades):
    rng = np.random.default_rng(p + n)
    problem = LinearGaussian(np.geomspace(1, 10**-decades, p), rng.standard_normal(p), 0.7)
    law = problem.characterize(n)
    xi, gamma, mean, variance = exact_law(problem, n)
    assert law.xi == pytest.approx(xi, rel=1e-12)
    assert law.gamma == pytest.approx(gamma, rel=1e-12)
    np.testing.assert_allclose(law.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(law.variance, variance, rtol=1e-12)


def test_identity_covariance_has_an_explicit_law():
    """With h ~ N(0, I/p) in li, Definition 3.2's special case: the printed N(0, I/n) is κ times the variance."""
    p, n, sigma = 120, 40, 0.4
    beta = np.random.default_rng(0).standard_normal(p)
    law = LinearGaussian(np.ones(p), beta, sigma).characterize(n)
    kappa, norm = p / n, beta @ beta
    np.testing.assert_allclose(law.mean, beta / kappa)
    np.testing.assert_allclose(law.variance, (sigma**2 / (kappa - 1) + (kappa - 1) * norm / kappa**2) / p)
    assert law.gamma == pytest.approx(sigma**2 * kappa / (kappa - 1) + norm * (1 - 1 / kappa))


def dense_risk(law):
    """Return the dense risk from the law's mean and variance, for diagonal covariance."""
    problem = law.problem
    return problem.sigma**2 + np.sum(problem.covariance * ((law.mean - problem.beta) ** 2 + law.variance))


@pytest.mark.parametrize(("n", "penalty"), [(100, 0.0), (399, 0.0), (100, 7.0), (400, 0.5), (900, 3.0), (900, 0.0)])
def test_gamma_is_the_dense_risk_of_the_law(n, penalty):
    law = uneven(400).characterize(n, penalty)
    assert law.gamma == pytest.approx(dense_risk(law), rel=1e-12)
    assert law.risk() == law.risk(Magnitude(400)) == law.risk(Oracle(400)) == law.gamma
    assert law.risk(HardThreshold(0)) == pytest.approx(law.gamma, rel=1e-12)


@pytest.mark.parametrize(("n", "penalty"), [(10, 0.0), (80, 0.0), (40, 0.2)])
def test_general_covariance_is_the_rotated_diagonal(n, penalty):
    problem = uneven(40)
    law = problem.characterize(n, penalty)
    turned, U = rotated(problem)
    other = turned.characterize(n, penalty)
    assert other.gamma == pytest.approx(law.gamma, rel=1e-10)
    assert (other.xi is None) == (law.xi is None)
    np.testing.assert_allclose(other.mean, U @ law.mean, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(other.variance, np.diagonal((U * law.variance) @ U.T), rtol=1e-8)
    assert other.squared_norm == pytest.approx(law.squared_norm, rel=1e-9)
    draws = other.sample(40_000, seed=0)
    z = (draws.mean(axis=0) - other.mean) / (draws.std(axis=0) / 200)
    assert np.abs(z).max() < 4.5  # 40 comparisons
    products = draws[:, :1] * draws  # one row of the second moments tells the rotation from its transpose
    second = U[0] @ (law.variance[:, None] * U.T) + other.mean[0] * other.mean
    assert np.abs((products.mean(axis=0) - second) / (products.std(axis=0) / 200)).max() < 4.5


def test_ridge_tends_to_min_norm():
    problem = uneven(200)
    law, near = problem.characterize(80), problem.characterize(80, ridge=1e-9)
    np.testing.assert_allclose(near.mean, law.mean, rtol=1e-8)
    np.testing.assert_allclose(near.variance, law.variance, rtol=1e-8)
    assert near.xi == pytest.approx(law.xi, rel=1e-8)
    assert near.training_error < 1e-15
    # Below, where least squares is unique, the ridge law's limit has n - p where the exact law has n - p - 1.
    exact, limit = problem.characterize(500), problem.characterize(500, ridge=1e-9)
    np.testing.assert_allclose(limit.variance * 300 / 299, exact.variance, rtol=1e-8)
    assert limit.gamma == pytest.approx(0.09 / (1 - 200 / 500), rel=1e-8)


@pytest.mark.parametrize(("n", "penalty"), [(60, 4.0), (150, 4.0), (400, 4.0), (150, 1e-6)])
def test_ridge_law_is_the_printed_fixed_point(n, penalty):
    problem = uneven(150)
    law = problem.characterize(n, penalty)
    v, b, tau = problem.covariance, problem.beta, 1 / law.xi
    assert n - np.sum(v / (v + tau)) == pytest.approx(penalty / tau, rel=1e-8, abs=1e-9)
    np.testing.assert_allclose(law.mean, v * b / (v + tau), rtol=1e-12)
    loss = 1 - np.sum((v / (v + tau)) ** 2) / n
    assert law.gamma == pytest.approx((0.09 + tau**2 * np.sum(v * b**2 / (v + tau) ** 2)) / loss, rel=1e-8)
    np.testing.assert_allclose(law.variance, law.gamma * v / (n * (v + tau) ** 2), rtol=1e-12)


def test_many_samples_leave_only_the_noise():
    law = uneven(50).characterize(10**9)
    assert law.gamma == pytest.approx(0.09, rel=1e-7)
    np.testing.assert_allclose(law.mean, law.problem.beta)


def test_directions_without_variance_are_never_learned():
    problem = uneven(60)
    padded = LinearGaussian(np.r_[problem.covariance, 0, 0], np.r_[problem.beta, 3, -1], problem.sigma)
    for n in (20, 59, 90):
        law = padded.characterize(n)
        np.testing.assert_array_equal(law.mean[60:], 0)
        np.testing.assert_array_equal(law.variance[60:], 0)
        if n == 59:
            continue
        small = problem.characterize(n)
        assert law.gamma == pytest.approx(small.gamma, rel=1e-13)
        assert law.risk(Hessian(20)) == pytest.approx(small.risk(Hessian(20)), rel=1e-12)
        assert law.risk(Hessian(61)) == pytest.approx(small.gamma, rel=1e-12)


# --- The law against actual least squares ---------------------------------------------------------------------------


def fits(problem, n, repeats, seed, estimator=min_norm):
    """Return the coefficients of actual fits to fresh data, (repeats, p)."""
    rng = np.random.default_rng(seed)
    return np.array([estimator(*problem.sample(n, rng)) for _ in range(repeats)])


def z_score(values, expected):
    return (np.mean(values) - expected) / (np.std(values, ddof=1) / np.sqrt(len(values)))


def test_underparameterized_law_is_exact():
    problem = LinearGaussian([4.0, 1.0, 0.25, 0.01], [1.0, -1.0, 0.5, 2.0], 0.8)
    law = problem.characterize(15)
    np.testing.assert_allclose(law.variance, 0.64 / problem.covariance / 10)
    found = fits(problem, 15, 6000, 1)
    scores = [z_score(found[:, i], law.mean[i]) for i in range(4)]
    scores += [z_score((found[:, i] - law.mean[i]) ** 2, law.variance[i]) for i in range(4)]
    scores.append(z_score(problem.risk(found), law.gamma))
    assert np.abs(scores).max() < 4  # 9 comparisons
    assert law.gamma == pytest.approx(0.64 * (1 + 4 / 10))


def test_fits_to_identity_covariance_have_their_exact_finite_moments():
    """Here the finite-p moments are known: they check the simulation, and show the law's bias to be O(1/p)."""
    for p, bound in ((60, 0.06), (600, 0.006)):
        n, sigma = p // 2, 0.5
        beta = np.full(p, 1 / np.sqrt(p))
        law = LinearGaussian(np.ones(p), beta, sigma).characterize(n)
        norm = n / p + sigma**2 * n / (p - n - 1)
        risk = sigma**2 + 1 - n / p + sigma**2 * n / (p - n - 1)
        assert abs(law.squared_norm / norm - 1) < bound
        assert abs(law.gamma / risk - 1) < bound
        if p == 60:
            found = fits(law.problem, n, 1500, 0)
            assert abs(z_score(np.sum(found**2, axis=1), norm)) < 3.5
            assert abs(z_score(law.problem.risk(found), risk)) < 3.5


def measured_gaps(p, ratio, strength, repeats, seed):
    """Return relative gaps between fits and law, and their standard errors, for n = ratio p, ridge = strength p."""
    problem, n, penalty = uneven(p, seed=seed), int(ratio * p), strength * p
    law = problem.characterize(n, penalty)
    rng = np.random.default_rng(seed + p)
    found, residuals = np.empty((repeats, p)), np.empty(repeats)
    for k in range(repeats):
        X, y = problem.sample(n, rng)
        found[k] = ridge(X, y, penalty)
        residuals[k] = np.mean((y - X @ found[k]) ** 2)
    pairs = {
        "risk": (problem.risk(found), law.gamma),
        "norm": (np.sum(found**2, axis=1), law.squared_norm),
        "mean": (found @ problem.beta, law.mean @ problem.beta),
        "magnitude": (problem.risk(prune(found, Magnitude(p // 5))), law.risk(Magnitude(p // 5))),
        "hessian": (problem.risk(prune(found, Hessian(p // 5), problem=problem)), law.risk(Hessian(p // 5))),
        "soft": (problem.risk(prune(found, SoftThreshold(0.05))), law.risk(SoftThreshold(0.05))),
    }
    if penalty:
        pairs["training"] = (residuals, law.training_error)
    gaps = np.array([np.mean(values) / expected - 1 for values, expected in pairs.values()])
    errors = np.array([np.std(values) / np.sqrt(repeats) / abs(expected) for values, expected in pairs.values()])
    return gaps, errors


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("ratio", "strength"), [(0.5, 0.0), (0.5, 0.03), (1.0, 0.03), (2.0, 0.03)])
def test_fits_follow_the_law_up_to_a_bias_that_shrinks(ratio, strength, seed):
    """The bias is O(1/p): at p = 160 it may be a quarter of what it is at p = 40, and Monte Carlo error."""
    small, small_error = measured_gaps(40, ratio, strength, 1500, seed)
    large, large_error = measured_gaps(160, ratio, strength, 250, seed)
    allowance = (np.abs(small) + 2 * small_error) / 4
    assert np.all(np.abs(large) < allowance + 4 * large_error), (small, large, large_error)  # 78 comparisons in all
    assert np.all(large_error < 0.015)


def test_training_error_of_unique_least_squares():
    problem = LinearGaussian(np.ones(8), np.ones(8), 0.5)
    rng = np.random.default_rng(0)
    residuals = []
    for _ in range(2000):
        X, y = problem.sample(20, rng)
        residuals.append(np.mean((y - X @ min_norm(X, y)) ** 2))
    assert abs(z_score(residuals, problem.characterize(20).training_error)) < 3.5


# --- Compression in closed form -------------------------------------------------------------------------------------

SEPARABLE = [
    SoftThreshold(0.1), HardThreshold(0.1), UniformQuantizer(1, 0.3), UniformQuantizer(3, 0.4), Oracle(16), TwoOfFour(),
]  # fmt: skip


@pytest.mark.parametrize("strategy", SEPARABLE, ids=str)
@pytest.mark.parametrize("n", [20, 200])
def test_closed_risks_are_the_means_over_draws(strategy, n):
    law = uneven(48, seed=9).characterize(n)
    risk, error = law.risk(strategy, draws=20_000, seed=11)
    assert abs(risk - law.risk(strategy)) < 4.2 * error  # 12 comparisons


@pytest.mark.parametrize("strategy", [Magnitude(9), Hessian(9), Magnitude(40)], ids=str)
@pytest.mark.parametrize("n", [20, 200])
def test_closed_pruned_risk_is_that_of_its_fixed_threshold(strategy, n):
    problem = uneven(48, seed=9)
    law = problem.characterize(n)
    weights = np.sqrt(problem.covariance) if isinstance(strategy, Hessian) else 1.0
    draws = law.sample(20_000, 12)
    kept = np.abs(weights * draws) > law.threshold(strategy)
    assert abs(z_score(problem.risk(np.where(kept, draws, 0.0)), law.risk(strategy))) < 4
    assert abs(z_score(kept.sum(axis=1), strategy.s)) < 4
    chances = law.inclusion(strategy)
    assert chances.sum() == pytest.approx(strategy.s, rel=1e-11)
    assert np.abs((kept.mean(axis=0) - chances) / np.sqrt(chances * (1 - chances) / 2e4 + 1e-9)).max() < 4.8


def test_exact_counts_differ_from_the_fixed_threshold_by_order_one_over_p():
    gaps = []
    for p in (50, 400):
        law = li_figure_1(5, p).characterize(p * 6 // 10)
        risk, error = law.risk(Magnitude(p // 10), draws=80 * 4000 // p, seed=0)
        gaps.append(abs(risk - law.risk(Magnitude(p // 10))) / law.gamma)
        gaps.append(error / law.gamma)
    assert gaps[2] < (gaps[0] + 3 * gaps[1]) / 4 + 4 * gaps[3]


def test_inclusion_under_the_other_strategies():
    law = uneven(48, seed=9).characterize(20)
    draws = law.sample(20_000, 3)
    for strategy in (TwoOfFour(), HardThreshold(0.1), SoftThreshold(0.1), Oracle(5)):
        seen = (prune(draws, strategy, problem=law.problem) != 0).mean(axis=0)
        chances = law.inclusion(strategy)
        assert np.abs((seen - chances) / np.sqrt(chances * (1 - chances) / 2e4 + 1e-9)).max() < 4.8
    assert law.inclusion(TwoOfFour()).sum() == pytest.approx(24, rel=1e-12)
    assert np.array_equal(law.inclusion(OptimalBrainSurgeon(5)), law.inclusion(Hessian(5)))


def test_two_of_four_against_adaptive_quadrature():
    """Scales six decades apart within a group: the panels must find every turn."""
    from scipy.integrate import quad
    from scipy.special import ndtr

    variances = np.array([1.0, 1e-2, 1e-4, 1e-6] * 2)
    problem = LinearGaussian(variances, [0.3, -2.0, 5.0, 100.0, 0.0, 0.1, 1.0, -1.0], 0.1)
    law = problem.characterize(3)
    mean, sd = law.mean, np.sqrt(law.variance)

    def survival(i, r):
        others = [j for j in range(i - i % 4, i - i % 4 + 4) if j != i]
        a, b, c = (ndtr((-r - mean[j]) / sd[j]) + ndtr((mean[j] - r) / sd[j]) for j in others)
        return (1 - a) * (1 - b) * (1 - c) + a * (1 - b) * (1 - c) + (1 - a) * b * (1 - c) + (1 - a) * (1 - b) * c

    chances = law.inclusion(TwoOfFour())
    for i in range(8):
        turns = np.unique([s * abs(mean[j]) + k * sd[j] for j in range(8) for s in (-1, 1) for k in range(-8, 9, 2)])
        turns = turns[np.abs(turns - mean[i]) < 12 * sd[i]]
        edges = np.unique([mean[i] - 12 * sd[i], *turns, 0.0, mean[i] + 12 * sd[i]])

        def density(x, i=i):
            return np.exp(-0.5 * ((x - mean[i]) / sd[i]) ** 2) / sd[i] / np.sqrt(2 * np.pi) * survival(i, abs(x))

        total = sum(quad(density, a, b, epsabs=1e-13)[0] for a, b in pairwise(edges))
        assert chances[i] == pytest.approx(total, abs=1e-9)


def test_coordinates_that_do_not_vary_are_pruned_as_they_are():
    """Without noise and with n > p the law is a point: every risk is that of pruning β, ties and all."""
    problem = LinearGaussian([1.0, 1.0, 2.0, 0.5, 1.0, 1.0, 1.0, 3.0], [1, -1, 0.5, 2, 1, 0, 0.25, 1], 0.0)
    law = problem.characterize(20)
    for strategy in [Magnitude(s) for s in range(1, 9)] + [Hessian(s) for s in range(1, 9)]:
        pruned = prune(problem.beta, strategy, problem=problem)
        assert law.risk(strategy) == pytest.approx(problem.risk(pruned), abs=1e-15)
        kept = np.zeros(8)
        kept[support(problem.beta, strategy, problem=problem)] = 1
        np.testing.assert_array_equal(law.inclusion(strategy), kept)
    for strategy in (TwoOfFour(), HardThreshold(1), SoftThreshold(0.5), UniformQuantizer(2, 1), Oracle(3)):
        pruned = prune(problem.beta, strategy, problem=problem)
        assert law.risk(strategy) == pytest.approx(problem.risk(pruned), abs=1e-15)


def test_some_coordinates_vary_and_some_do_not():
    problem = LinearGaussian([1, 1, 0.3, 0.5, 1, 1, 0.1, 0], [1, -1, 0.5, 2, 1, 0, 0.25, 1], 0.0)
    law = MinNormLaw(problem, 20, 0.0, None, 1.0, np.array(problem.beta), np.array([0, 0.3, 0, 0.2, 0, 0.1, 0.5, 0.0]))
    draws = law.sample(40_000, 0)
    for strategy in (TwoOfFour(), HardThreshold(0.7), SoftThreshold(0.7), UniformQuantizer(2, 1)):
        risk, error = law.risk(strategy, draws=40_000, seed=5)
        assert abs(risk - law.risk(strategy)) < 4 * error
    for s in range(1, 9):
        t, chances = law.threshold(Magnitude(s)), law.inclusion(Magnitude(s))
        assert chances.sum() == pytest.approx(s, rel=1e-11)
        above, reached = (np.abs(draws) > t).sum(axis=1), (np.abs(draws) >= t).sum(axis=1)
        assert above.mean() - 0.05 <= s <= reached.mean() + 0.05


def exact_moments(mean, sd, low, high, about):
    with mpmath.workdps(40):
        m, s, c = mpmath.mpf(mean), mpmath.mpf(sd), mpmath.mpf(about)
        low, high = max(mpmath.mpf(low), m - 60 * s), min(mpmath.mpf(high), m + 60 * s)
        if low >= high:
            return 0.0, 0.0, 0.0
        turns = [m + k * s for k in range(-50, 51, 2)]
        turns += [end + sign * s / 2**k for end in (low, high) for sign in (-1, 1) for k in range(1, 9)]
        edges = [low, *sorted(turn for turn in turns if low < turn < high), high]
        return tuple(float(mpmath.quad(lambda x, j=j: (x - c) ** j * mpmath.npdf(x, m, s), edges)) for j in range(3))


@pytest.mark.parametrize(
    ("mean", "sd", "low", "high", "about"),
    [
        (0.0, 1.0, -1.0, 2.0, 0.0), (0.3, 2.0, 1.0, np.inf, -1.0), (-4.0, 0.5, 1.0, np.inf, 0.0),
        (5.0, 0.2, -np.inf, 1.0, 5.0), (1e6, 1.0, 1e6 + 3, 1e6 + 4, 1e6), (0.0, 1e-8, 2e-8, 3e-8, 0.0),
        (0.0, 1.0, 30.0, np.inf, 0.0), (0.0, 1.0, -np.inf, np.inf, 2.0), (0.0, 1.0, 50.0, 51.0, 0.0),
    ],
)  # fmt: skip
def test_interval_moments_to_many_digits(mean, sd, low, high, about):
    found = interval_moments(mean, sd, low, high, about)
    exact = exact_moments(mean, sd, low, high, about)
    scale = sd + abs(mean - about)
    for j in range(3):
        assert float(found[j]) == pytest.approx(exact[j], rel=1e-9, abs=1e-15 * exact[0] * scale**j)


@settings(max_examples=60, deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 5), st.lists(st.floats(-8, 8), min_size=1, max_size=5), st.floats(-2, 2))
def test_interval_moments_add_up_over_the_line(mean, sd, cuts, about):
    edges = [-np.inf, *sorted(cuts), np.inf]
    parts = [interval_moments(mean, sd, a, b, about) for a, b in pairwise(edges)]
    total = np.sum(np.array(parts, dtype=float), axis=0)
    np.testing.assert_allclose(total, [1, mean - about, (mean - about) ** 2 + sd**2], rtol=1e-12, atol=1e-12)


# --- Retraining -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [6, 18, 30])
@pytest.mark.parametrize("kind", ["diagonal", "general"])
def test_retrained_risk_applies_the_law_to_each_restricted_problem(s, kind):
    problem, n = uneven(40, seed=2), 20
    if kind == "general":
        problem = rotated(problem)[0]
    law = problem.characterize(n)
    supports = support(law.sample(30, 7), Hessian(s), problem=problem)
    small = [problem.restrict(index) for index in supports]
    one_by_one = [one.characterize(n).gamma for one in small]
    risk, error = law.retrained_risk(Hessian(s), draws=30, seed=7)
    assert risk == pytest.approx(np.mean(one_by_one), rel=1e-9)
    assert error == pytest.approx(np.std(one_by_one, ddof=1) / np.sqrt(30), rel=1e-7)
    if s < n:
        printed = [one.sigma**2 * (1 + s / (n - s - 1)) for one in small]
        assert risk == pytest.approx(np.mean(printed), rel=1e-9)


@pytest.mark.parametrize("s", [20, 160])
def test_retrained_risk_in_the_limit(s):
    law = uneven(200, seed=2).characterize(100)
    risk, error = law.retrained_risk(Magnitude(s), draws=2000, seed=1)
    assert law.retrained_risk(Magnitude(s)) == pytest.approx(risk, abs=4 * error + 0.01 * risk)
    oracle, spread = law.retrained_risk(Oracle(s), draws=3, seed=1)
    assert law.retrained_risk(Oracle(s)) == pytest.approx(oracle, rel=1e-12)
    assert spread < 1e-12


def test_retraining_on_fresh_samples_has_the_predicted_risk():
    problem, n, s = rotated(uneven(60, seed=2))[0], 40, 15
    index = support(problem.characterize(n).sample(1, 3)[0], Magnitude(s))
    found = fits(problem, n, 3000, 4, lambda X, y: retrain(X, y, index))
    assert abs(z_score(problem.risk(found), problem.restrict(index).characterize(n).gamma)) < 3.5


def test_perfectly_correlated_features_follow_lemma_1():
    """Chang, Lemma 1, equations (5) and (6): Σ = λλᵀ, where retraining repairs whatever pruning broke."""
    direction, sigma, n, s = np.array([0.5, 1.0, 3.0, 2.0, 0.1]), 0.7, 9, 2
    problem = LinearGaussian(np.outer(direction, direction), [1.0, 0.0, 0.2, 0.0, -1.0], sigma)
    law = problem.characterize(n)
    retrained, error = law.retrained_risk(Magnitude(s), draws=50, seed=0)
    assert retrained == pytest.approx(sigma**2 + sigma**2 / (n - 2), rel=1e-9)
    assert error < 1e-9
    assert law.gamma == pytest.approx(retrained, rel=1e-9)
    share = np.sum(np.sort(direction**2)[-s:]) / np.sum(direction**2)
    printed = sigma**2 + share**2 * sigma**2 / (n - 2) + (1 - share) ** 2 * (direction @ problem.beta) ** 2
    for strategy in (Magnitude(s), OptimalBrainSurgeon(s)):
        if isinstance(strategy, OptimalBrainSurgeon):
            with pytest.raises(ValueError, match="covariance is singular"):
                law.risk(strategy, draws=10, seed=1)
            continue
        risk, error = law.risk(strategy, draws=20_000, seed=1)
        assert abs(risk - printed) < 4 * error


# --- Invariances ----------------------------------------------------------------------------------------------------

cases = given(
    st.integers(0, 10**6), st.sampled_from([5, 9, 17, 40]), st.sampled_from([Magnitude(7), Hessian(7), Oracle(7)])
)


@settings(max_examples=30, deadline=None)
@cases
def test_the_order_of_features_does_not_matter(seed, n, strategy):
    problem = uneven(24, decades=4, seed=seed)
    order = np.random.default_rng(seed).permutation(24)
    moved = LinearGaussian(problem.covariance[order], problem.beta[order], problem.sigma).characterize(n)
    law = problem.characterize(n)
    np.testing.assert_allclose(moved.mean, law.mean[order], rtol=1e-10)
    np.testing.assert_allclose(moved.variance, law.variance[order], rtol=1e-10)
    assert moved.risk(strategy) == pytest.approx(law.risk(strategy), rel=1e-9)


@settings(max_examples=30, deadline=None)
@cases
def test_scaling_labels_scales_risks(seed, n, strategy):
    problem = uneven(24, decades=4, seed=seed)
    law = problem.characterize(n)
    other = LinearGaussian(problem.covariance, 1e3 * problem.beta, 1e3 * problem.sigma).characterize(n)
    assert other.risk(strategy) == pytest.approx(1e6 * law.risk(strategy), rel=1e-9)
    np.testing.assert_allclose(other.variance, 1e6 * law.variance, rtol=1e-10)
    if not isinstance(strategy, Oracle):
        assert other.threshold(strategy) == pytest.approx(1e3 * law.threshold(strategy), rel=1e-9)


@settings(max_examples=30, deadline=None)
@cases
def test_scaling_all_features_changes_only_the_coefficients(seed, n, strategy):
    problem = uneven(24, decades=4, seed=seed)
    law = problem.characterize(n, ridge=0.01 if seed % 2 else 0.0)
    other = LinearGaussian(1e6 * problem.covariance, 1e-3 * problem.beta, problem.sigma)
    other = other.characterize(n, ridge=1e4 if seed % 2 else 0.0)
    assert other.risk(strategy) == pytest.approx(law.risk(strategy), rel=1e-9)
    np.testing.assert_allclose(other.mean, 1e-3 * law.mean, rtol=1e-10)
    if law.xi is not None:
        assert other.xi == pytest.approx(1e-6 * law.xi, rel=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_hessian_pruning_of_unique_least_squares_ignores_the_scale_of_each_feature(seed):
    """Li, equation (3.2): for n ≥ p the solution scales with the features, and Hessian importance does not."""
    problem = uneven(24, seed=seed)
    scales = 10 ** np.random.default_rng(seed).uniform(-3, 3, 24)
    other = LinearGaussian(problem.covariance * scales**2, problem.beta / scales, problem.sigma)
    assert other.characterize(60).risk(Hessian(7)) == pytest.approx(problem.characterize(60).risk(Hessian(7)), rel=1e-9)


# --- Extremes and refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [2000, 20_000])
@pytest.mark.parametrize("kappa", [1.001, 1.5, 100, 1e4])
@pytest.mark.parametrize("decades", [0, 12])
def test_extreme_problems_stay_finite_and_consistent(p, kappa, decades):
    n = min(max(1, round(p / kappa)), p - 1)
    rng = np.random.default_rng(0)
    problem = LinearGaussian(np.geomspace(1, 10.0**-decades, p), rng.standard_normal(p), 0.1)
    law = problem.characterize(n)
    assert np.sum(expit_sum(problem.covariance, law.xi)) == pytest.approx(n, rel=1e-11)
    assert law.gamma == pytest.approx(dense_risk(law), rel=1e-9)
    for s in (1, p // 10, p - 1):
        for strategy in (Magnitude(s), Hessian(s)):
            assert law.inclusion(strategy).sum() == pytest.approx(s, rel=1e-9)
            assert problem.sigma**2 < law.risk(strategy) < np.inf
    assert law.risk(Magnitude(p - 1)) == pytest.approx(law.gamma, rel=1e-2)


def expit_sum(variances, xi):
    return 1 / (1 + 1 / (xi * variances))


def test_one_feature_too_many_in_a_hundred_thousand():
    """Here n - Σ(1-ζ) would lose five digits: what must be right is Σζ = p - n = 1."""
    p = 100_001
    law = LinearGaussian(np.geomspace(1, 1e-12, p), np.ones(p), 0.1).characterize(p - 1)
    assert math.fsum(1 / (1 + law.xi * law.problem.covariance)) == pytest.approx(1.0, rel=1e-14, abs=0)


def test_problems_without_signal_or_noise():
    nothing = LinearGaussian(np.ones(20), np.zeros(20), 0.0).characterize(10)
    assert nothing.gamma == 0
    assert nothing.risk(Magnitude(3)) == nothing.risk(TwoOfFour()) == nothing.risk(SoftThreshold(1)) == 0
    noise = LinearGaussian(np.ones(20), np.zeros(20), 1.0).characterize(10)
    assert noise.gamma == pytest.approx(2.0)
    silent = LinearGaussian(np.ones(20), np.ones(20), 0.0).characterize(30)
    assert silent.gamma == 0


def test_a_law_does_not_change():
    law = uneven(12).characterize(6)
    with pytest.raises(ValueError, match="read-only"):
        law.mean[0] = 1.0
    with pytest.raises(AttributeError):
        law.gamma = 0.0  # type: ignore[misc]
    assert "p=12, n=6" in repr(law)


def test_one_more_feature_than_samples_has_a_law():
    assert uneven(31).characterize(30).gamma < np.inf


LAW = uneven(12, seed=1).characterize(6)
GENERAL = rotated(uneven(12, seed=1))[0].characterize(6)
PROBLEM = LAW.problem
BAD = [
    (lambda: characterize(PROBLEM, 0), ValueError, "n is 0"),
    (lambda: characterize(PROBLEM, 1.5), ValueError, "n is 1.5"),
    (lambda: characterize(PROBLEM, "6"), TypeError, "n is '6'"),
    (lambda: characterize(PROBLEM, 12), ValueError, "n is 12 and covariance has rank 12, where .* infinite"),
    (lambda: characterize(PROBLEM, 13), ValueError, "n is 13 and covariance has rank 12"),
    (lambda: GENERAL.problem.characterize(13), ValueError, "n is 13 and covariance has rank 12"),
    (lambda: characterize(PROBLEM, 6, -1), ValueError, "ridge is -1"),
    (lambda: characterize(PROBLEM, 6, np.nan), ValueError, "ridge is nan"),
    (lambda: characterize(LinearGaussian([0, 0], [1, 1], 1), 1), ValueError, "covariance is 0"),
    (lambda: LAW.sample(0, 1), ValueError, "size is 0"),
    (lambda: LAW.sample(3, None), TypeError, "seed is None"),
    (lambda: LAW.risk(Magnitude(13)), ValueError, "s is 13: give an integer from 1 to 12"),
    (lambda: LAW.risk("magnitude"), TypeError, "strategy is 'magnitude'"),
    (lambda: LAW.risk(Magnitude(3), draws=10), ValueError, "seed is None"),
    (lambda: LAW.risk(Magnitude(3), draws=1, seed=0), ValueError, "draws is 1"),
    (lambda: LAW.risk(Magnitude(3), draws=2.5, seed=0), ValueError, "draws is 2.5"),
    (lambda: LAW.risk(Magnitude(13), draws=5, seed=0), ValueError, "s is 13"),
    (lambda: GENERAL.risk(Magnitude(3)), ValueError, "draws is None"),
    (lambda: GENERAL.retrained_risk(Magnitude(3)), ValueError, "draws is None"),
    (lambda: GENERAL.inclusion(TwoOfFour()), ValueError, "draws is None"),
    (lambda: LAW.threshold(Oracle(3)), TypeError, "strategy is Oracle"),
    (lambda: LAW.threshold(Magnitude(13)), ValueError, "s is 13"),
    (lambda: LAW.inclusion(UniformQuantizer(2, 1)), ValueError, "strategy is UniformQuantizer"),
    (lambda: LAW.retrained_risk(HardThreshold(1)), ValueError, "strategy is HardThreshold"),
    (lambda: LAW.retrained_risk(Magnitude(6)), ValueError, "n is 6 and 6 features are kept"),
    (lambda: LAW.retrained_risk(Magnitude(5)), ValueError, "n is 6 and 5 features are kept"),
    (lambda: LAW.retrained_risk(Magnitude(5), draws=9, seed=0), ValueError, "n is 6 and 5 features are kept"),
    (lambda: GENERAL.retrained_risk(Magnitude(6), draws=9, seed=0), ValueError, "n is 6 and 6 features are kept"),
    (lambda: interval_moments(0, -1, 0, 1), ValueError, "sd is negative"),
    (lambda: interval_moments(np.inf, 1, 0, 1), ValueError, "mean, sd, about is infinite"),
    (lambda: interval_moments(0, 1, 2, 1), ValueError, "low is above high"),
    (lambda: interval_moments(0, 1, np.nan, 1), ValueError, "low holds nan"),
    (lambda: interval_moments("0", 1, 0, 1), TypeError, "mean is of kind"),
    (lambda: uneven(10).characterize(5).risk(TwoOfFour()), ValueError, "coefficients has 10 entries"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=[f"{k}-{b[2][:30]}" for k, b in enumerate(BAD)])
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_importing_the_law_does_not_load_slow_modules():
    import subprocess
    import sys

    slow = "{'scipy.stats', 'scipy.optimize', 'torch', 'matplotlib'}"
    code = f"import sys, prunekit.linear.law; sys.exit(bool({slow} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("width", [0.9, 1e-2, 1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize("place", [-20.0, -1.3, 0.0, 0.4, 12.0])
def test_moments_of_narrow_intervals_keep_their_digits(place, width):
    mpmath.mp.dps = 40
    mean, sd, low = 0.3, 2.0, 0.3 + 2.0 * place
    high = low + sd * width

    def moment(j, about):
        start, length = mpmath.mpf(low), mpmath.mpf(high) - mpmath.mpf(low)
        scale = mpmath.npdf(start, mean, sd)  # mpmath's quadrature stops at an absolute error

        def term(t):
            return mpmath.npdf(start + length * t, mean, sd) / scale * ((start - about) / length + t) ** j

        return float(mpmath.quad(term, [0, 1]) * scale * length ** (j + 1))

    for about in (low, high, 0.0):
        found = interval_moments(mean, sd, low, np.array([high, np.inf]), about)
        for j in range(3):
            expected = moment(j, about)
            cancelled = float(interval_moments(mean, sd, low, high, about)[0]) * abs(low - about) ** j
            assert found[j][0] == pytest.approx(expected, rel=1e-11, abs=1e-15 * cancelled)


def test_moments_of_many_narrow_intervals_take_bounded_memory():
    import tracemalloc

    mean = np.linspace(-3, 3, 300_000)
    tracemalloc.start()
    try:
        found = interval_moments(mean, 1.0, 0.0, 0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150e6  # 40 nodes for each in one array are 96 MB; there are several
    for k in (0, 123_456, 299_999):
        alone = interval_moments(mean[k], 1.0, 0.0, 0.1)
        np.testing.assert_allclose([moment[k] for moment in found], alone, rtol=1e-15)


@pytest.mark.parametrize("high", [0.1, 5.0, np.inf])
def test_interval_moments_of_numbers_are_numbers_and_of_arrays_their_broadcast(high):
    assert all(isinstance(moment, np.float64) for moment in interval_moments(0.0, 1.0, 0.0, high))
    found = interval_moments(np.zeros((3, 1)), np.ones(2), 0.0, high)
    assert all(isinstance(moment, np.ndarray) and moment.shape == (3, 2) for moment in found)
    mean, ends = np.array([[0.0], [0.3], [-0.2]]), np.array([high, np.inf])
    both = interval_moments(mean, 1.0, 0.0, ends)
    for i, j in np.ndindex(3, 2):
        assert [moment[i, j] for moment in both] == pytest.approx(interval_moments(mean[i, 0], 1.0, 0.0, ends[j]))
