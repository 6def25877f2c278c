"""Problems, solvers and width sweeps, against direct linear algebra and against what they should say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prunekit as pk
from prunekit.linear import LinearGaussian, least_squares
from prunekit.linear.least_squares import min_norm, retrain, ridge, width_sweep


def data(n, p, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, p)), rng.standard_normal(n)


def general_problem(p, seed=0, sigma=0.5):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((p, p))
    return LinearGaussian(A @ A.T / p, rng.standard_normal(p), sigma)


@pytest.mark.parametrize(("n", "p"), [(7, 20), (20, 7), (9, 9), (1, 5), (5, 1)])
def test_min_norm_is_the_pseudoinverse(n, p):
    X, y = data(n, p)
    np.testing.assert_allclose(min_norm(X, y), np.linalg.pinv(X) @ y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n", "p"), [(6, 15), (15, 6)])
def test_min_norm_of_dependent_columns(n, p):
    X, y = data(n, p)
    X[:, 3] = X[:, 2]
    X[4] = X[3]
    np.testing.assert_allclose(min_norm(X, y), np.linalg.pinv(X) @ y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n", "p"), [(7, 20), (20, 7)])
def test_ridge_solves_its_normal_equations_and_tends_to_min_norm(n, p):
    X, y = data(n, p)
    b = ridge(X, y, 0.3)
    np.testing.assert_allclose(X.T @ (y - X @ b), 0.3 * b, atol=1e-12)  # a sum of squares, not a mean
    np.testing.assert_allclose(ridge(X, y, 1e-11), min_norm(X, y), atol=1e-9)
    np.testing.assert_array_equal(ridge(X, y, 0), min_norm(X, y))


@pytest.mark.parametrize("s", [3, 8, 12])
def test_retrain_fits_the_support_alone(s):
    X, y = data(8, 30)
    support = np.random.default_rng(1).permutation(30)[:s]
    b = retrain(X, y, support)
    np.testing.assert_allclose(b[support], np.linalg.lstsq(X[:, support], y, rcond=None)[0], rtol=1e-7, atol=1e-10)
    assert set(np.flatnonzero(b)) == set(support)


def relative_errors(X, y, widths, found):
    errors = {}
    for k, b in zip(widths, found, strict=True):
        reference = np.linalg.lstsq(X[:, :k], y, rcond=None)[0] if k else np.zeros(0)
        assert not b[k:].any()
        errors[int(k)] = np.linalg.norm(b[:k] - reference) / max(np.linalg.norm(reference), 1e-300)
    return errors


@pytest.mark.parametrize("decades", [0, 6, 16])
def test_width_sweep_is_lstsq_at_every_width(decades):
    X, y = data(40, 130)
    X = X * np.geomspace(1, 10.0**-decades, 130)
    widths = np.arange(131)
    errors = relative_errors(X, y, widths, width_sweep(X, y, widths))
    assert max(error for k, error in errors.items() if abs(k - 40) > 5) < 1e-7
    assert max(errors.values()) < 1e-5


def test_width_sweep_in_any_order_with_repeats_and_gaps():
    X, y = data(40, 130)
    widths = np.array([90, 0, 41, 90, 3, 130, 40, 39, 60, 3])
    assert max(relative_errors(X, y, widths, width_sweep(X, y, widths)).values()) < 1e-9
    np.testing.assert_array_equal(width_sweep(X, y, [0])[0], np.zeros(130))


def test_width_sweep_with_dependent_columns_and_fewer_features_than_samples():
    X, y = data(30, 90)
    X[:, 5], X[:, 60] = X[:, 4], X[:, 59]
    widths = np.arange(91)
    errors = relative_errors(X, y, widths, width_sweep(X, y, widths))
    assert max(error for k, error in errors.items() if abs(k - 31) > 5) < 1e-7
    short = np.arange(21)
    assert max(relative_errors(X[:, :20], y, short, width_sweep(X[:, :20], y, short)).values()) < 1e-9


@pytest.mark.parametrize("kind", ["diagonal", "general"])
def test_sample_has_the_moments_of_the_problem(kind):
    problem = general_problem(3) if kind == "general" else LinearGaussian([1.0, 0.0, 4.0], [1, 2, -1], 0.5)
    n = 200_000
    X, y = problem.sample(n, seed=3)
    matrix = problem.covariance if kind == "general" else np.diag(problem.covariance)
    moments = {"Σ": X[:, :, None] * X[:, None, :], "Σβ": X * y[:, None], "y²": y[:, None] ** 2}
    expected = {"Σ": matrix, "Σβ": matrix @ problem.beta, "y²": [problem.signal + problem.sigma**2]}
    for name, values in moments.items():
        error = values.std(axis=0) / np.sqrt(n)
        z = np.abs(values.mean(axis=0) - expected[name]) / np.maximum(error, 1e-12)
        assert z.max() < 4.5, name  # 13 comparisons


def test_risk_is_the_mean_square_on_fresh_data():
    problem = general_problem(4)
    rows = np.random.default_rng(5).standard_normal((3, 4))
    X, y = problem.sample(200_000, seed=1)
    squares = (y[:, None] - X @ rows.T) ** 2
    z = (squares.mean(axis=0) - problem.risk(rows)) / (squares.std(axis=0) / np.sqrt(len(y)))
    assert np.abs(z).max() < 4
    assert problem.risk(rows[0]) == pytest.approx(problem.risk(rows)[0], rel=1e-14)
    assert problem.risk(problem.beta) == problem.sigma**2
    assert problem.risk(np.zeros(4)) == pytest.approx(problem.signal + problem.sigma**2)
    assert isinstance(problem.risk(problem.beta), float)


def test_restrict_is_the_best_fit_to_the_kept_features():
    problem = general_problem(6, seed=2)
    kept = [4, 0, 3]
    small = problem.restrict(kept)
    S, v = problem.covariance, problem.covariance @ problem.beta
    np.testing.assert_allclose(small.beta, np.linalg.solve(S[np.ix_(kept, kept)], v[kept]))
    printed = problem.sigma**2 + problem.beta @ v - small.beta @ small.covariance @ small.beta  # chang, Section 5.3
    assert small.sigma**2 == pytest.approx(printed)
    b = np.random.default_rng(0).standard_normal(3)  # the restricted problem has the same risk everywhere
    padded = np.zeros(6)
    padded[kept] = b
    assert small.risk(b) == pytest.approx(problem.risk(padded))


def test_restrict_diagonal_turns_left_out_energy_into_noise():
    problem = LinearGaussian([1.0, 2.0, 3.0], [1.0, -1.0, 0.5], 0.1)
    small = problem.restrict([2, 0])
    np.testing.assert_array_equal(small.covariance, [3.0, 1.0])
    np.testing.assert_array_equal(small.beta, [0.5, 1.0])
    assert small.sigma**2 == pytest.approx(0.01 + 2.0)
    matrix = LinearGaussian(np.diag([1.0, 2.0, 3.0]), problem.beta, 0.1).restrict([2, 0])
    assert matrix.sigma == pytest.approx(small.sigma)


def test_restrict_to_perfectly_correlated_features():
    direction = np.array([1.0, 2.0, 3.0])  # chang, Lemma 1: one feature tells all
    problem = LinearGaussian(np.outer(direction, direction), [1.0, 0.0, 0.0], 0.3)
    small = problem.restrict([0, 1])
    assert small.sigma == pytest.approx(0.3)
    assert small.beta @ small.covariance @ small.beta == pytest.approx(1.0)


def test_a_problem_does_not_change():
    variances = np.ones(3)
    problem = LinearGaussian(variances, np.ones(3), 1)
    variances[0] = 7
    assert problem.covariance[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        problem.beta[0] = 2
    with pytest.raises(AttributeError):
        problem.sigma = 2.0  # type: ignore[misc]
    assert "p=3" in repr(problem)


def test_seeds_repeat_and_generators_move_on():
    problem = LinearGaussian(np.ones(2), np.ones(2), 1)
    np.testing.assert_array_equal(problem.sample(3, 1)[0], problem.sample(3, np.int64(1))[0])
    np.testing.assert_array_equal(problem.sample(3, np.random.SeedSequence(1))[0], problem.sample(3, 1)[0])
    rng = np.random.default_rng(1)
    assert not np.array_equal(problem.sample(3, rng)[0], problem.sample(3, rng)[0])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 10**6))
def test_permuting_features_permutes_coefficients(n, p, seed):
    X, y = data(n, p, seed)
    order = np.random.default_rng(seed + 1).permutation(p)
    np.testing.assert_allclose(min_norm(X[:, order], y), min_norm(X, y)[order], rtol=1e-6, atol=1e-8)


ONE = LinearGaussian(np.ones(4), np.ones(4), 0.1)
X, Y = data(5, 4)
BAD = [
    (lambda: LinearGaussian(np.ones(4), np.ones(3), 0), ValueError, "beta has shape .3,., but covariance has 4"),
    (lambda: LinearGaussian(np.ones((4, 3)), np.ones(4), 0), ValueError, "covariance has shape"),
    (lambda: LinearGaussian(np.ones((2, 2, 2)), np.ones(2), 0), ValueError, "covariance has shape"),
    (lambda: LinearGaussian([1, -1], [1, 1], 0), ValueError, "covariance holds -1"),
    (lambda: LinearGaussian([1, np.nan], [1, 1], 0), ValueError, "covariance holds nan"),
    (lambda: LinearGaussian([1, 1], [1, np.inf], 0), ValueError, "beta holds inf"),
    (lambda: LinearGaussian([[1, 0.5], [0, 1]], [1, 1], 0), ValueError, "covariance is asymmetric"),
    (lambda: LinearGaussian([[1, 2], [2, 1]], [1, 1], 0), ValueError, "covariance has the eigenvalue -1"),
    (lambda: LinearGaussian([], [], 0), ValueError, "covariance has shape .0,."),
    (lambda: LinearGaussian("ab", [1], 0), TypeError, "covariance is of kind"),
    (lambda: LinearGaussian([1j], [1], 0), TypeError, "covariance is of kind"),
    (lambda: LinearGaussian([[1, 2], [3]], [1], 0), ValueError, "covariance is ragged"),
    (lambda: LinearGaussian([1], [1], -0.1), ValueError, "sigma is -0.1"),
    (lambda: LinearGaussian([1], [1], np.nan), ValueError, "sigma is nan"),
    (lambda: LinearGaussian([1], [1], "1"), TypeError, "sigma is '1'"),
    (lambda: LinearGaussian([1], [1], [1]), TypeError, "sigma is"),
    (lambda: ONE.sample(0, 1), ValueError, "n is 0"),
    (lambda: ONE.sample(2.5, 1), ValueError, "n is 2.5"),
    (lambda: ONE.sample(True, 1), TypeError, "n is the truth value"),
    (lambda: ONE.sample(2, None), TypeError, "seed is None"),
    (lambda: ONE.sample(2, -1), ValueError, "seed is -1"),
    (lambda: ONE.sample(2, True), TypeError, "seed is True"),
    (lambda: ONE.sample(2, "0"), TypeError, "seed is '0'"),
    (lambda: ONE.risk(np.ones(3)), ValueError, "coefficients has shape"),
    (lambda: ONE.risk(np.full(4, np.nan)), ValueError, "coefficients holds nan"),
    (lambda: ONE.risk(np.full(4, 1e200)), FloatingPointError, "risk leaves"),
    (lambda: ONE.restrict([]), ValueError, "index has shape"),
    (lambda: ONE.restrict([0, 0]), ValueError, "index names a feature twice"),
    (lambda: ONE.restrict([4]), ValueError, "index reaches from 4"),
    (lambda: ONE.restrict([-1]), ValueError, "index reaches from -1"),
    (lambda: ONE.restrict([0.0]), TypeError, "index is of kind"),
    (lambda: ONE.restrict([True, False, True, True]), TypeError, "index is a mask"),
    (lambda: min_norm(X, Y[:4]), ValueError, "y has shape .4,., but X has 5 rows"),
    (lambda: min_norm(X[0], Y), ValueError, "X has shape"),
    (lambda: min_norm(X * np.inf, Y), ValueError, "X holds"),
    (lambda: ridge(X, Y, -1), ValueError, "penalty is -1"),
    (lambda: ridge(X, Y, np.inf), ValueError, "penalty is inf"),
    (lambda: retrain(X, Y, [5]), ValueError, "support reaches from 5"),
    (lambda: width_sweep(X, Y, [5]), ValueError, "widths reaches from 5"),
    (lambda: width_sweep(X, Y, [-1]), ValueError, "widths reaches from -1"),
    (lambda: width_sweep(X, Y, [1.5]), TypeError, "widths is of kind"),
    (lambda: width_sweep(X, Y, 3), ValueError, "widths has shape"),
]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=[f"{k}-{b[2][:30]}" for k, b in enumerate(BAD)])
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_the_package_hands_out_the_public_names():
    assert pk.LinearGaussian is LinearGaussian
    assert pk.width_sweep is width_sweep


@pytest.mark.parametrize(("n", "p"), [(12, 40), (40, 12)])
@pytest.mark.parametrize("seed", range(5))
def test_dependent_columns_are_seen_behind_a_small_first_pivot(n, p, seed):
    # Rank one up to rounding, its first row and column far smaller than the rest.
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal(n), rng.standard_normal(p)
    left[0] *= 1e-5
    right[0] *= 1e-5
    Q = np.linalg.qr(rng.standard_normal((p, p)))[0]
    X = np.outer(left, right @ Q) @ Q.T  # singular values beyond the first are rounding errors
    y = rng.standard_normal(n)
    expected = right * (left @ y) / (left @ left) / (right @ right)
    np.testing.assert_allclose(min_norm(X, y), expected, atol=1e-9)
    np.testing.assert_allclose(width_sweep(X, y, [p])[0], expected, atol=1e-9)


def test_eigenvectors_have_a_sign_of_their_own():
    A = np.random.default_rng(0).standard_normal((9, 6))
    problem = LinearGaussian(A.T @ A, np.ones(6), 1.0)
    values, vectors = problem.eigen
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, problem.covariance, atol=1e-12)
    assert (np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0) > 0).all()


@pytest.mark.parametrize("penalty", [1e-6, 1e-9, 1e-12, 1e-16, 1e-20, 1e-200])
def test_ridge_of_collinear_features_goes_to_the_minimum_norm_solution(penalty):
    """For features given twice the coefficients are shared, and the ridge is that of one copy times √2."""
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    shared = np.linalg.solve(2 * A.T @ A + penalty * np.eye(4), A.T @ y)
    found = ridge(np.c_[A, A], y, penalty)
    np.testing.assert_allclose(found, np.r_[shared, shared], rtol=1e-12)
    np.testing.assert_allclose(found, min_norm(np.c_[A, A], y), rtol=max(penalty, 1e-12))


@pytest.mark.parametrize(("n", "p"), [(30, 12), (12, 12), (12, 30), (1, 5), (5, 1)])
@pytest.mark.parametrize("rank", [None, 3])
def test_ridge_is_the_same_by_either_factorization(monkeypatch, n, p, rank):
    rng = np.random.default_rng([n, p])
    X, y = rng.standard_normal((n, p)), rng.standard_normal(n)
    if rank:
        X = X[:, :rank] @ rng.standard_normal((min(rank, p), p))
    size = np.sum(X**2) / min(n, p)
    for share in (1e-4, 1e-2, 1.0, 1e6):
        fast = ridge(X, y, 1.001 * share * size)
        with monkeypatch.context() as patch:
            patch.setattr(least_squares, "_augmented", lambda *_: pytest.fail("the fast way"))
            patch.setattr(least_squares, "_FIRM", np.inf)
            slow = ridge(X, y, 1.001 * share * size)
        np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-12 * np.abs(slow).max())
