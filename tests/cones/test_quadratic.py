"""Losses of pruning in the quadratic model against inverses, least squares and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from prunekit import cones
from prunekit.cones import one_shot_losses, removed, reoptimized_losses, self_consistent, smallest_kept


def problem(D=9, rank=None, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rank or 2 * D, D))
    return A.T @ A, rng.standard_normal(D)


def test_removed_keeps_the_largest():
    w = np.array([1.0, -3.0, 2.0, -1.0])
    np.testing.assert_array_equal(removed(w, 2), [1, 0, 0, -1])
    np.testing.assert_array_equal(removed(w, 3), [0, 0, 0, -1])  # ties in order
    np.testing.assert_array_equal(cones.kept_order(w), [1, 2, 0, 3])
    np.testing.assert_array_equal(w, [1, -3, 2, -1])


@pytest.mark.parametrize("rank", [None, 5])
def test_one_shot_losses(rank):
    H, w = problem(rank=rank)
    expected = [removed(w, k) @ H @ removed(w, k) / 2 for k in range(10)]
    np.testing.assert_allclose(one_shot_losses(H, w), expected, atol=1e-10)


def test_reoptimized_losses_are_the_brain_surgeons():
    H, w = problem()
    inverse = np.linalg.inv(H)
    for k, loss in enumerate(reoptimized_losses(H, w)[:-1]):
        c = removed(w, k)
        P = cones.kept_order(w)[k:]
        assert loss == pytest.approx(c[P] @ np.linalg.inv(inverse[np.ix_(P, P)]) @ c[P] / 2, rel=1e-8)


@pytest.mark.parametrize("rank", [None, 4])
def test_reoptimized_losses_are_minima_over_the_kept_weights(rank):
    H, w = problem(rank=rank)
    for k, loss in enumerate(reoptimized_losses(H, w)):
        kept = cones.kept_order(w)[:k]

        def quadratic(v, kept=kept):
            moved = -w
            moved[kept] += v
            return moved @ H @ moved / 2

        found = optimize.minimize(quadratic, np.zeros(k), tol=1e-12).fun if k else quadratic(np.zeros(0))
        assert loss == pytest.approx(found, abs=1e-6)


@given(st.integers(0, 1000), st.integers(1, 8))
def test_reoptimizing_helps_and_more_weights_help(seed, rank):
    H, w = problem(8, rank, seed)
    best, plain = reoptimized_losses(H, w), one_shot_losses(H, w)
    assert np.all(best <= plain + 1e-9)
    assert np.all(np.diff(best) <= 1e-9)
    assert best[-1] == plain[-1] == 0


@given(st.integers(1, 60), st.floats(0, 1), st.floats(0, 3))
def test_self_consistent_is_the_first_of_a_scan(D, level, power):
    def share(k):
        return level * (1 - k / D) ** power

    scan = next(k for k in range(D + 1) if k == D or k / D >= share(k))
    assert self_consistent(share, D) == scan


def test_smallest_kept():
    assert smallest_kept([3.0, 1.0, 2.0, 0.0], 1.5) == 1
    assert smallest_kept([1.0, 0.0], 1.5) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_shot_losses(np.eye(3), np.ones(2)), r"hessian has shape \(3, 3\), and there are 2 weights"),
        (lambda: one_shot_losses(np.triu(np.ones((2, 2))), np.ones(2)), "hessian is not symmetric"),
        (lambda: reoptimized_losses(np.diag([1.0, -1.0]), np.ones(2)), "hessian has the eigenvalue -1"),
        (lambda: removed(np.ones(3), 4), "k is 4: give an integer from 0 to 3"),
        (lambda: smallest_kept([3.0, 2.0], 1.0), "losses are all above epsilon = 1.0"),
        (lambda: self_consistent(lambda k: float("nan"), 5), r"share\(2\) is nan"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
