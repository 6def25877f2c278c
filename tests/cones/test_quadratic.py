"""Losses of pruning in the quadratic model against inverses, least squares and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from prunekit import cones
from prunekit.cones import fewest_kept, one_shot_losses, removed, reoptimized_losses, self_consistent
from prunekit.spectrum import Measure, Spectrum


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


def by_least_squares(A, w):
    """Return the costs from the root A of the Hessian itself: the distances of Ac from the spans of kept columns."""
    costs = []
    for k in range(len(w) + 1):
        b, kept = A @ removed(w, k), A[:, cones.kept_order(w)[:k]]
        residual = b - kept @ np.linalg.lstsq(kept, b, rcond=1e-11)[0] if k else b
        costs.append(residual @ residual / 2)
    return np.array(costs)


def test_a_dependent_kept_weight_changes_nothing():
    np.testing.assert_array_equal(reoptimized_losses(np.diag([0.0, 1, 1]), [2.0, 1, 3]), [5, 0.5, 0.5, 0])
    np.testing.assert_array_equal(reoptimized_losses(np.zeros((2, 2)), [2.0, 1]), [0, 0, 0])


@pytest.mark.parametrize("rank", range(1, 10))
@pytest.mark.parametrize("kind", ["any", "whole", "dead", "twice", "units"])
def test_reoptimized_losses_of_singular_hessians_of_every_rank(rank, kind):
    for seed in range(5):
        rng = np.random.default_rng((rank, seed))
        A, w = rng.standard_normal((rank, 8)), rng.standard_normal(8)
        if kind == "whole":
            A = rng.integers(-2, 3, A.shape).astype(float)
        if kind == "dead":  # inputs that are always 0, in a matrix made from its eigenvalues: no exact zeros in it
            A[:, rng.permutation(8)[:3]] = 0
        if kind == "twice":
            A = A[:, rng.integers(0, 8, 8)]
        if kind == "units":
            A *= 10.0 ** rng.uniform(-3, 3, 8)
        h, V = np.linalg.eigh(A.T @ A)
        expected = by_least_squares(A, w)
        for H in (A.T @ A, (V * np.abs(h)) @ V.T) if kind != "units" else (A.T @ A,):
            np.testing.assert_allclose(reoptimized_losses((H + H.T) / 2, w), expected, atol=1e-9 * expected.max())


def test_dead_weights_among_many_leave_the_costs_of_the_others():
    rng = np.random.default_rng(0)
    A, w = rng.standard_normal((150, 150)), rng.standard_normal(150)
    A[:, rng.permutation(150)[:50]] = 0  # as pixels that are black in every image
    alive, order = A.any(axis=0), cones.kept_order(w)
    found, reduced = reoptimized_losses(A.T @ A, w), reoptimized_losses((A.T @ A)[np.ix_(alive, alive)], w[alive])
    kept = np.append(0, np.cumsum(alive[order]))  # a dead weight costs nothing, whether it is kept or removed
    np.testing.assert_allclose(found, reduced[kept], rtol=1e-9, atol=1e-9 * found[0])
    np.testing.assert_allclose(found[[10, 75, 120]], by_least_squares(A, w)[[10, 75, 120]], atol=1e-9 * found[0])


def one_by_one(A, w, noise):
    """Return the costs by Gram and Schmidt's process, a column at a time, each made orthogonal three times."""
    A, w = A[:, cones.kept_order(w)], w[cones.kept_order(w)]
    basis, squares = np.zeros((len(A), 0)), []
    for k in range(A.shape[1]):
        v = A[:, k]
        for _ in range(3):
            v = v - basis @ (basis.T @ v)
        new = v @ v > noise * (A[:, k] @ A[:, k])
        squares.append((v @ (A[:, k:] @ w[k:])) ** 2 / (v @ v) if new else 0.0)
        basis = np.column_stack([basis, v / np.linalg.norm(v)]) if new else basis
    return np.append(np.cumsum(squares[::-1])[::-1] / 2, 0)


@pytest.mark.parametrize("rank", [30, 90, 128, 200])
def test_columns_in_blocks_are_those_one_by_one(rank):
    """Of 200 columns some hardly leave the span of those before, and some do not, within a block and across blocks."""
    rng = np.random.default_rng(rank)
    A, w = rng.standard_normal((rank, 200)), rng.standard_normal(200)
    order = cones.kept_order(w)
    A[:, order[::7]] = A[:, order[:29]]  # twice, or as a sum of others before it
    A[:, order[50:60]] = A[:, order[10:20]] + A[:, order[40:50]]
    A[:, order[20:190:9]] = A[:, order[19:189:9]] + 1e-3 * A[:, order[20:190:9]]
    found, expected = reoptimized_losses(A.T @ A, w), one_by_one(A, w, 1e-12)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * expected[0])


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


@pytest.mark.parametrize("name", ["log-uniform", "power law"])
def test_in_a_random_eigenbasis_the_kept_coordinates_behave_like_a_random_orthogonal_subspace(name):
    """The true share, re-optimized, is T⊥ on average, and the published one is above it."""
    D = 200
    h = {"log-uniform": np.geomspace(1e-4, 100, D), "power law": 100 * np.arange(1.0, D + 1) ** -2}[name]
    spectrum, gaps, below = Spectrum.of_eigenvalues(h), [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        V, w = np.linalg.qr(rng.standard_normal((D, D)))[0], rng.standard_normal(D)
        H, epsilon = (V * h) @ V.T, 0.05 * float(h @ (V.T @ w) ** 2) / 2

        def orthogonal(k, V=V, w=w, epsilon=epsilon):
            return cones.orthogonal_limit(spectrum, Measure.of_vector(h, V.T @ removed(w, k)), epsilon).value

        def published(k, w=w, epsilon=epsilon):
            return 1 - cones.dimension_as_published(spectrum, epsilon, np.linalg.norm(removed(w, k))).value / D

        true = fewest_kept(reoptimized_losses((H + H.T) / 2, w), epsilon)
        gaps.append(true - self_consistent(orthogonal, D))
        below.append(true - self_consistent(published, D))
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / 5 + 1
    assert np.mean(below) < -4 * np.std(below) / 5


def test_fewest_kept():
    assert fewest_kept([3.0, 1.0, 2.0, 0.0], 1.5) == 1
    assert fewest_kept([1.0, 0.0], 1.5) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_shot_losses(np.eye(3), np.ones(2)), r"hessian has shape \(3, 3\), and there are 2 weights"),
        (lambda: one_shot_losses(np.triu(np.ones((2, 2))), np.ones(2)), "hessian is not symmetric"),
        (lambda: reoptimized_losses(np.diag([1.0, -1.0]), np.ones(2)), "hessian has the eigenvalue -1"),
        (lambda: removed(np.ones(3), 4), "k is 4: give an integer from 0 to 3"),
        (lambda: fewest_kept([3.0, 2.0], 1.0), "losses are all above epsilon = 1.0"),
        (lambda: self_consistent(lambda k: float("nan"), 5), r"share\(2\) is nan"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
