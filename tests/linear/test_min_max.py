"""The minimum over two Gaussian vectors, against a general solver and against cases that can be written down."""

import numpy as np
import pytest
import scipy.optimize

from prunekit.linear import auxiliary_norm, min_norm, penalized_norm


def by_a_general_solver(theta, h, c, noise, offset):
    """Minimize ‖θ̄ - w‖ under the constraint itself, over all w, from a feasible start."""

    def slack(w):
        return h @ w + offset - c * np.sqrt(w @ w + noise)

    start = scipy.optimize.minimize(lambda w: -slack(w) + 1e-3 * w @ w, h, method="BFGS").x
    assert slack(start) > 0
    constraint = {"type": "ineq", "fun": slack}
    options = {"ftol": 1e-14, "maxiter": 500}
    found = scipy.optimize.minimize(
        lambda w: np.sum((theta - w) ** 2), start, constraints=constraint, method="SLSQP", options=options
    )
    assert slack(found.x) > -1e-8
    return np.sqrt(found.fun)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [0.04, 1.0])
def test_the_minimum_is_that_of_a_general_solver(seed, noise):
    rng = np.random.default_rng([seed, 1])
    theta, h = rng.standard_normal(7) / 2, rng.standard_normal(7)
    c, offset = 0.85 * np.linalg.norm(h), 0.3 * rng.standard_normal()
    found = auxiliary_norm(theta @ theta, theta @ h, h @ h, c**2, noise, offset)
    assert found == pytest.approx(by_a_general_solver(theta, h, c, noise, offset), rel=1e-5, abs=1e-6)


def test_a_truth_that_is_feasible_is_its_own_error():
    theta, h = np.array([3.0, 0.0]), np.array([2.0, 0.5])
    assert auxiliary_norm(theta @ theta, theta @ h, h @ h, 1.0, 0.1) < 1e-12


def test_nothing_is_feasible_where_g_is_longer_than_h():
    assert auxiliary_norm(1.0, 0.5, 1.0, 1.1, 0.2) == np.inf
    assert np.isfinite(auxiliary_norm(1.0, 0.5, 1.0, 0.9, 0.2))


def test_problems_are_solved_together_as_each_by_itself():
    rng = np.random.default_rng(3)
    h = rng.standard_normal((5, 4, 6))
    theta = np.full(6, 6**-0.5)
    given = [1.0, h @ theta, np.sum(h**2, axis=-1), rng.chisquare(3, (5, 1)), 0.3, rng.standard_normal(4)]
    together = auxiliary_norm(*given)
    assert together.shape == (5, 4) and np.isfinite(together).any()
    alone = [auxiliary_norm(*each) for each in zip(*(a.ravel() for a in np.broadcast_arrays(*given)), strict=True)]
    np.testing.assert_array_equal(together.ravel(), alone)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"overlap holds 1\.5"):
        auxiliary_norm(1.0, 1.5, 1.0, 1.0, 0.1)
    with pytest.raises(ValueError, match=r"noise holds -0\.1: give squares"):
        auxiliary_norm(1.0, 0.5, 1.0, 1.0, -0.1)
    with pytest.raises(ValueError, match="h_square holds infinity"):
        auxiliary_norm(1.0, 0.5, np.inf, 1.0, 0.1)
    with pytest.raises(ValueError, match="give arrays of one shape"):
        auxiliary_norm(np.ones(3), np.zeros(2), 1.0, 1.0, 0.1)


@pytest.mark.parametrize("penalty", [0.05, 0.3, 1.0, 20.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_penalized_minimum_is_that_of_a_general_solver(seed, penalty):
    rng = np.random.default_rng([seed, 2])
    theta, h = rng.standard_normal(5) / 2, rng.standard_normal(5)
    c, offset, noise = 0.85 * np.linalg.norm(h), 0.3 * rng.standard_normal(), 0.2

    def objective(w):
        excess = c * np.sqrt(w @ w + noise) - h @ w - offset
        return penalty * max(excess, 0.0) + np.linalg.norm(theta - w)

    found = auxiliary_norm(theta @ theta, theta @ h, h @ h, c**2, noise, offset, penalty)
    starts = [theta, theta / 2, h, theta + h, *rng.standard_normal((6, 5))]
    options = {"xatol": 1e-11, "fatol": 1e-12, "maxiter": 20000, "maxfev": 20000, "adaptive": True}
    best = min(scipy.optimize.minimize(objective, w, method="Nelder-Mead", options=options).fun for w in starts)
    assert found == pytest.approx(best, rel=1e-5, abs=1e-6)


def test_a_large_penalty_is_the_constraint():
    rng = np.random.default_rng(5)
    h = rng.standard_normal((50, 8))
    theta = np.full(8, 8**-0.5)
    given = [1.0, h @ theta, np.sum(h**2, axis=1), rng.chisquare(3, 50), 0.3, 0.1]
    exact, nearly = auxiliary_norm(*given), auxiliary_norm(*given, penalty=1e7)
    feasible = np.isfinite(exact)
    assert 0 < feasible.sum() < 50
    assert nearly[feasible] == pytest.approx(exact[feasible], rel=1e-6)
    assert np.all(nearly[~feasible] > 1e3)
    assert np.all(auxiliary_norm(*given, penalty=0.5) <= auxiliary_norm(*given, penalty=1.0) + 1e-12)
    with pytest.raises(ValueError, match="penalty holds 0"):
        auxiliary_norm(*given, penalty=0.0)


@pytest.mark.parametrize("penalty", [0.01, 0.2, 0.6, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_penalized_norm_is_that_of_a_general_solver(seed, penalty):
    rng = np.random.default_rng([seed, 3])
    X, y = rng.standard_normal((3, 5)), rng.standard_normal(3)
    found = penalized_norm(X, y, penalty)
    grid = np.concatenate([[0.0], np.geomspace(1e-8, 1e8, 4000)])
    ridges = [X.T @ np.linalg.solve(X @ X.T + k * np.eye(3), y) for k in grid]
    best = min(penalty * np.linalg.norm(y - X @ b) + np.linalg.norm(b) for b in ridges)
    assert found == pytest.approx(best, rel=1e-5)
    options = {"xatol": 1e-11, "fatol": 1e-12, "maxiter": 20000, "maxfev": 20000, "adaptive": True}
    polished = scipy.optimize.minimize(
        lambda b: penalty * np.linalg.norm(y - X @ b) + np.linalg.norm(b),
        ridges[2000],
        method="Nelder-Mead",
        options=options,
    )
    assert found <= polished.fun + 1e-9


def test_penalized_problems_together_and_in_the_limit():
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((6, 3, 5)), rng.standard_normal((6, 3))
    together = penalized_norm(X, y, 0.7)
    assert together == pytest.approx([float(penalized_norm(a, b, 0.7)) for a, b in zip(X, y, strict=True)], rel=1e-12)
    assert penalized_norm(X, y, 1e6) == pytest.approx(
        [np.linalg.norm(min_norm(a, b)) for a, b in zip(X, y, strict=True)]
    )
    with pytest.raises(ValueError, match="y has shape"):
        penalized_norm(X, y[:, :2], 1.0)
    with pytest.raises(ValueError, match="at most as many samples"):
        penalized_norm(X.swapaxes(1, 2), np.ones((6, 5)), 1.0)
    with pytest.raises(ValueError, match="full rank"):
        penalized_norm(np.ones((2, 3)), [1.0, 2.0], 1.0)
