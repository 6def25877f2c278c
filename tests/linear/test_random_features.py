"""Random features: closed moments against the features themselves, and the problem they make."""

import numpy as np
import pytest

from prunekit.linear import LinearGaussian
from prunekit.linear import random_features as features
from prunekit.linear.least_squares import min_norm
from prunekit.linear.strategies import Magnitude


def setting(p=12, d=5, seed=0):
    """Return a layer and two unit directions, as in chang, Section 3.2."""
    rng = np.random.default_rng(seed)
    R, beta1, beta2 = rng.standard_normal((p, d)), rng.standard_normal(d), rng.standard_normal(d)
    return R, beta1 / np.linalg.norm(beta1), beta2 / np.linalg.norm(beta2)


@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_closed_moments_are_those_of_the_features(scale):
    R, beta1, beta2 = setting()
    beta1, beta2 = scale * beta1, -scale * beta2
    problem = features.equivalent_problem(R, beta1, beta2)
    n = 200_000
    X, y = features.sample(R, beta1, beta2, n, seed=1)
    for values, expected in (
        (X[:, :, None] * X[:, None, :], problem.covariance),
        (X * y[:, None], problem.covariance @ problem.beta),
        (y**2, problem.signal + problem.sigma**2),
        ((y - X @ problem.beta) ** 2, problem.sigma**2),  # the noise is what the best linear fit leaves
    ):
        z = (values.mean(axis=0) - expected) / (values.std(axis=0) / np.sqrt(n))
        assert np.abs(z).max() < 4.5  # 78 + 12 + 2 comparisons
    assert problem.signal + problem.sigma**2 == pytest.approx(scale**2 + 3 * scale**4, rel=1e-12)


def test_covariance_at_the_angles_that_have_a_name():
    """Equal, orthogonal and opposite rows: E[ReLU(g)²] = 1/2, (E ReLU(g))² = 1/2π, and 0."""
    R = np.array([[2.0, 0.0], [0.0, 3.0], [-2.0, 0.0], [2.0, 0.0]])
    covariance = features.equivalent_problem(R, [1.0, 0.0], [0.0, 1.0]).covariance
    row = [2.0, 6 / (2 * np.pi), 0.0, 2.0]
    np.testing.assert_allclose(covariance[0], row, atol=1e-15)
    np.testing.assert_allclose(covariance[3], row, atol=1e-15)


def test_covariance_by_polar_integration():
    from scipy.integrate import quad

    R, beta1, beta2 = setting(2, 2)
    angles = np.arctan2(R[:, 1], R[:, 0])

    def integrand(t):  # a = r (cos t, sin t), E r² = 2, and t is uniform
        return np.prod(np.maximum(np.cos(t - angles), 0.0)) / np.pi

    turns = np.sort((np.r_[angles + np.pi / 2, angles - np.pi / 2] + np.pi) % (2 * np.pi) - np.pi)
    value = quad(integrand, -np.pi, np.pi, points=turns, epsabs=1e-13)[0]
    found = features.equivalent_problem(R, beta1, beta2).covariance[0, 1]
    assert found == pytest.approx(np.prod(np.linalg.norm(R, axis=1)) * value, rel=1e-10)


def test_beta_is_the_best_linear_fit():
    problem = features.equivalent_problem(*setting())
    X, y = features.sample(*setting(), 100_000, seed=3)
    fit = min_norm(X, y)
    residual = y - X @ fit
    bread = np.linalg.inv(X.T @ X)
    error = np.sqrt(np.diagonal(bread @ (X.T @ (X * residual[:, None] ** 2)) @ bread))  # noise depends on x here
    assert np.abs((fit - problem.beta) / error).max() < 4  # 12 comparisons


def test_turning_the_inputs_changes_nothing_and_scaling_rows_scales_features():
    R, beta1, beta2 = setting()
    problem = features.equivalent_problem(R, beta1, beta2)
    Q = np.linalg.qr(np.random.default_rng(5).standard_normal((5, 5)))[0]
    turned = features.equivalent_problem(R @ Q, Q.T @ beta1, Q.T @ beta2)
    np.testing.assert_allclose(turned.covariance, problem.covariance, atol=1e-13)
    np.testing.assert_allclose(turned.beta, problem.beta, atol=1e-9)
    scales = np.geomspace(0.1, 10, 12)
    scaled = features.equivalent_problem(scales[:, None] * R, beta1, beta2)
    np.testing.assert_allclose(scaled.beta * scales, problem.beta, rtol=1e-6)
    assert scaled.sigma == pytest.approx(problem.sigma, rel=1e-9)


def test_repeated_features_and_many_of_them():
    R, beta1, beta2 = setting(8, 5)
    once, twice = features.equivalent_problem(R, beta1, beta2), features.equivalent_problem(
        np.vstack([R, R]), beta1, beta2
    )  # fmt: skip
    assert twice.sigma == pytest.approx(once.sigma, rel=1e-8)
    np.testing.assert_allclose(twice.beta, np.r_[once.beta, once.beta] / 2, atol=1e-7)
    many = features.equivalent_problem(*setting(400, 3))
    assert many.signal + many.sigma**2 == pytest.approx(4.0, rel=1e-9)
    assert 0 <= many.sigma < features.equivalent_problem(*setting(20, 3)).sigma
    assert np.isfinite(many.characterize(100).gamma)


def test_fits_to_features_are_a_few_percent_above_the_law():
    """Below interpolation on a fixed layer: never below the law by more than noise, at most a tenth above."""
    R, beta1, beta2 = setting(40, 10, seed=2)
    problem = features.equivalent_problem(R, beta1, beta2)
    rng = np.random.default_rng(0)
    risks = np.array([problem.risk(min_norm(*features.sample(R, beta1, beta2, 200, rng))) for _ in range(400)])
    ratio = risks.mean() / problem.characterize(200).gamma
    error = risks.std() / 20 / problem.characterize(200).gamma
    assert 1 - 4 * error < ratio < 1.1 + 4 * error
    # The Gaussian control, with the same moments, has no such excess.
    control = np.array([problem.risk(min_norm(*problem.sample(200, rng))) for _ in range(400)])
    assert abs(control.mean() - problem.characterize(200).gamma) < 4 * control.std() / 20


def test_moments_by_sampling_find_the_closed_problem_within_their_errors():
    R, beta1, beta2 = setting()
    exact = features.equivalent_problem(R, beta1, beta2)
    found = features.equivalent_problem_by_moments(
        lambda a: np.maximum(a @ R.T, 0), lambda a: a @ beta1 + (a @ beta2) ** 2, 5, 200_000, seed=4
    )
    z = (found.problem.beta - exact.beta) / found.beta_error
    assert np.abs(z).max() < 5  # 12 comparisons against Student's t with 19 degrees of freedom
    assert np.sqrt(np.mean(z**2)) > 0.4  # and the errors are no larger than they should be
    assert abs(found.problem.sigma**2 - exact.sigma**2) < 4.5 * found.noise_error
    np.testing.assert_allclose(found.problem.covariance, exact.covariance, atol=0.15)


def test_the_noise_of_few_draws_is_not_low():
    """Twelve coefficients take 6% of the noise of 200 draws, 4 standard errors here; the jackknife puts it back."""
    R, beta1, beta2 = setting()
    exact = features.equivalent_problem(R, beta1, beta2).sigma ** 2
    noise = [
        features.equivalent_problem_by_moments(
            lambda a: np.maximum(a @ R.T, 0), lambda a: a @ beta1 + (a @ beta2) ** 2, 5, 200, seed
        ).problem.sigma
        ** 2
        for seed in range(400)
    ]
    error = np.std(noise) / 20
    assert abs(np.mean(noise) - exact) < 3 * error
    assert 0.06 * exact > 4 * error  # it would be seen


def test_moments_of_linear_features_are_known():
    A = np.random.default_rng(0).standard_normal((3, 4))
    found = features.equivalent_problem_by_moments(
        lambda a: a @ A.T, lambda a: a @ A.T @ [1.0, 2.0, 3.0], 4, 3000, seed=0
    )
    np.testing.assert_allclose(found.problem.beta, [1, 2, 3], rtol=1e-9)
    assert found.problem.sigma < 1e-5
    np.testing.assert_allclose(found.problem.covariance, A @ A.T, atol=0.6)


def test_the_equivalent_problem_has_a_law_with_retraining():
    problem = features.equivalent_problem(*setting(60, 10))
    assert isinstance(problem, LinearGaussian)
    law = problem.characterize(40)
    pruned = law.risk(Magnitude(15), draws=200, seed=0).value
    retrained = law.retrained_risk(Magnitude(15), draws=200, seed=0).value
    assert problem.sigma**2 < retrained < pruned  # chang, Section 4: correlated features need retraining


R, BETA1, BETA2 = setting()
BAD = [
    (lambda: features.equivalent_problem(R[0], BETA1, BETA2), ValueError, "R has shape"),
    (lambda: features.equivalent_problem(0 * R, BETA1, BETA2), ValueError, "R has a row of zeros at index 0"),
    (lambda: features.equivalent_problem(R * np.nan, BETA1, BETA2), ValueError, "R holds nan"),
    (lambda: features.equivalent_problem(R, BETA1[1:], BETA2), ValueError, "beta1 has shape .4,., but R has 5"),
    (lambda: features.sample(R, BETA1, [1.0], 3, 0), ValueError, "beta2 has shape"),
    (lambda: features.sample(R, BETA1, BETA2, 0, 0), ValueError, "n is 0"),
    (lambda: features.sample(R, BETA1, BETA2, 3, None), TypeError, "seed is None"),
    (lambda: features.equivalent_problem_by_moments(abs, abs, 0, 50, 0), ValueError, "d is 0"),
    (lambda: features.equivalent_problem_by_moments(abs, abs, 2, 5, 0), ValueError, "draws is 5"),
    (lambda: features.equivalent_problem_by_moments(abs, abs, 2, 50, 0), ValueError, "target.inputs. has shape"),
    (
        lambda: features.equivalent_problem_by_moments(lambda a: a[:1], np.sum, 2, 50, 0),
        ValueError,
        "feature_map.inputs. has shape",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=[f"{k}-{b[2][:30]}" for k, b in enumerate(BAD)])
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_the_units_of_features_change_their_coefficients_and_nothing_else():
    rng = np.random.default_rng(0)
    R, beta1, beta2 = rng.standard_normal((60, 8)), np.eye(8)[0], np.eye(8)[1]
    units = 10.0 ** rng.uniform(-4, 4, 60)
    plain = features.equivalent_problem(R, beta1, beta2)
    scaled = features.equivalent_problem(units[:, None] * R, beta1, beta2)
    assert scaled.sigma == pytest.approx(plain.sigma, rel=1e-9)
    np.testing.assert_allclose(scaled.beta * units, plain.beta, rtol=1e-6, atol=1e-8)


def test_a_layer_has_gaussian_entries_and_directions_of_norm_one():
    R, beta1, beta2 = features.draw_layer(3000, 4, 7)
    again = features.draw_layer(3000, 4, np.random.default_rng(7), cosine=0.3)
    np.testing.assert_array_equal(again[0], R)
    np.testing.assert_array_equal(again[1], beta1)
    assert np.abs(R.mean(axis=0)).max() < 5 / np.sqrt(3000)
    assert np.abs(R.T @ R / 3000 - np.eye(4)).max() < 5 * np.sqrt(2 / 3000)
    assert [np.linalg.norm(v) for v in (beta1, beta2, again[2])] == pytest.approx([1, 1, 1])
    assert again[2] @ beta1 == pytest.approx(0.3)
    assert np.linalg.matrix_rank([beta1, beta2, again[2]], tol=1e-9) == 2  # turned in the plane of the two
    for cosine in (-1.0, 1.0):
        np.testing.assert_allclose(features.draw_layer(3, 4, 7, cosine=cosine)[2], cosine * beta1_of(3), atol=1e-12)


def beta1_of(p):
    """Return the first direction of a narrower layer of the same seed."""
    return features.draw_layer(p, 4, 7)[1]


@pytest.mark.parametrize(("change", "words"), [({"cosine": 1.5}, "cosine is 1.5"), ({"d": 1, "cosine": 0.0}, "d is 1")])
def test_a_layer_that_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        features.draw_layer(**({"p": 3, "d": 4, "seed": 0} | change))
