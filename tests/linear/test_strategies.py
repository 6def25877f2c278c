"""Strategies: exact counts, ties, and each against a slow, obvious way to say the same."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit.linear import LinearGaussian
from prunekit.linear.strategies import (
    HardThreshold,
    Hessian,
    Magnitude,
    Natural,
    OptimalBrainSurgeon,
    Oracle,
    SoftThreshold,
    TwoOfFour,
    UniformQuantizer,
    prune,
    support,
)

few_values = st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=12)


def top(saliency, s):
    """Sort stably by decreasing saliency: the definition, in Python's own words."""
    return sorted(sorted(range(len(saliency)), key=lambda i: -saliency[i])[:s])


@settings(max_examples=100, deadline=None)
@given(few_values, st.data())
def test_counts_are_exact_and_ties_go_to_the_lowest_index(values, draw):
    s = draw.draw(st.integers(1, len(values)))
    kept = support(values, Magnitude(s))
    assert kept.tolist() == top(np.abs(values), s)
    pruned = prune(values, Magnitude(s))
    np.testing.assert_array_equal(pruned[kept], np.array(values)[kept])
    assert not np.delete(pruned, kept).any()


@settings(max_examples=50, deadline=None)
@given(few_values, st.data())
def test_hessian_weighs_with_variances(values, draw):
    s = draw.draw(st.integers(1, len(values)))
    variances = draw.draw(st.lists(st.sampled_from([0.0, 1.0, 4.0, 16.0]), min_size=len(values), max_size=len(values)))
    expected = top([v * b**2 for v, b in zip(variances, values, strict=True)], s)
    assert support(values, Hessian(s), variances=variances).tolist() == expected
    problem = LinearGaussian(variances, np.ones(len(values)), 1.0)
    assert support(values, Hessian(s), problem=problem).tolist() == expected
    assert support(values, Hessian(s), covariance=variances).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([Magnitude(3), Hessian(3), TwoOfFour(), OptimalBrainSurgeon(3)]))
def test_distinct_saliencies_follow_a_permutation_and_a_scaling(seed, strategy):
    rng = np.random.default_rng(seed)
    b, A = rng.standard_normal(8), rng.standard_normal((8, 20))
    covariance = A @ A.T / 20
    found = prune(b, strategy, covariance=covariance)
    np.testing.assert_allclose(prune(-3 * b, strategy, covariance=2 * covariance), -3 * found, rtol=1e-10, atol=1e-12)
    if not isinstance(strategy, TwoOfFour):
        order = rng.permutation(8)
        moved = prune(b[order], strategy, covariance=covariance[np.ix_(order, order)])
        np.testing.assert_allclose(moved, found[order], rtol=1e-9, atol=1e-12)


def test_oracle_keeps_the_latent_saliencies_whatever_the_coefficients():
    problem = LinearGaussian([1.0, 4.0, 1.0, 9.0], [3.0, 1.0, 0.1, -0.5], 1.0)  # saliencies 9, 4, .01, 2.25
    rows = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_array_equal(support(rows, Oracle(2), problem=problem), [[0, 1]] * 5)
    np.testing.assert_array_equal(support(rows[0], Oracle(3), problem=problem), [0, 1, 3])


@pytest.mark.parametrize(
    "strategy", [Magnitude(5), Hessian(5), Oracle(5), TwoOfFour(), SoftThreshold(0.5), HardThreshold(0.5),
                 UniformQuantizer(3, 1.5), OptimalBrainSurgeon(5)]
)  # fmt: skip
def test_rows_are_pruned_each_by_itself(strategy):
    rng = np.random.default_rng(4)
    A = rng.standard_normal((12, 30))
    problem = LinearGaussian(A @ A.T / 30, rng.standard_normal(12), 1.0)
    rows = rng.standard_normal((6, 12))
    before = rows.copy()
    together = prune(rows, strategy, problem=problem)
    np.testing.assert_array_equal(rows, before)
    for row, found in zip(rows, together, strict=True):
        np.testing.assert_array_equal(prune(row, strategy, problem=problem), found)
    if not isinstance(strategy, HardThreshold | UniformQuantizer):
        kept = support(rows, strategy, problem=problem)
        for row, indices in zip(together, kept, strict=True):
            assert np.flatnonzero(row).tolist() == indices.tolist()


def test_two_of_four_is_the_best_of_the_six_choices():
    rows = np.random.default_rng(0).standard_normal((20, 4))
    for row in rows:
        best = max(itertools.combinations(range(4), 2), key=lambda pair: np.abs(row[list(pair)]).sum())
        assert support(row, TwoOfFour()).tolist() == list(best)
    assert support([1.0, 1.0, 1.0, 1.0, 0, 0, 2, 0], TwoOfFour()).tolist() == [0, 1, 4, 6]


def test_thresholds():
    b = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
    np.testing.assert_array_equal(prune(b, HardThreshold(1)), [-2, 0, 0, 0, 0, 0, 2])
    np.testing.assert_array_equal(prune(b, SoftThreshold(0.75)), [-1.25, -0.25, 0, 0, 0, 0.25, 1.25])
    np.testing.assert_array_equal(prune(b, HardThreshold(0)), b)
    assert support(b, HardThreshold(0.5)).tolist() == [0, 1, 5, 6]


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_quantizer_rounds_to_the_nearest_of_its_levels(bits):
    strategy = UniformQuantizer(bits, 1.5)
    assert strategy.levels.size == 2**bits
    assert strategy.levels[0] == pytest.approx(-1.5 + 1.5 / 2**bits)
    np.testing.assert_allclose(strategy.levels, -strategy.levels[::-1])
    b = np.concatenate([np.random.default_rng(0).standard_normal(500), [1e6, -1e6]])
    nearest = strategy.levels[np.argmin(np.abs(b[:, None] - strategy.levels), axis=1)]
    np.testing.assert_array_equal(prune(b, strategy), nearest)


def surgeon_by_definition(b, s, S):
    """Refit the survivors by linear algebra at every step, without ever updating an inverse."""
    alive, values = list(range(len(b))), np.array(b)
    while len(alive) > s:
        inverse = np.linalg.inv(S[np.ix_(alive, alive)])
        q = int(np.argmin(values[alive] ** 2 / np.diagonal(inverse)))
        alive.pop(q)
        values = np.zeros(len(b))
        values[alive] = np.linalg.solve(S[np.ix_(alive, alive)], (S @ b)[alive])
    return values


@pytest.mark.parametrize("s", [1, 4, 9, 10])
def test_surgeon_leaves_the_best_coefficients_on_its_support(s):
    rng = np.random.default_rng(s)
    A = rng.standard_normal((10, 15))
    S, b = A @ A.T / 15, rng.standard_normal(10)
    np.testing.assert_allclose(
        prune(b, OptimalBrainSurgeon(s), covariance=S), surgeon_by_definition(b, s, S), atol=1e-10
    )
    variances = np.diagonal(S)
    np.testing.assert_array_equal(
        prune(b, OptimalBrainSurgeon(s), covariance=variances), prune(b, Hessian(s), variances=variances)
    )


@pytest.mark.parametrize("s", [1, 3, 6, 7])
def test_natural_pruning_leaves_the_least_loss(s):
    rng = np.random.default_rng(s)
    A, y = rng.standard_normal((30, 7)) @ rng.standard_normal((7, 7)), rng.standard_normal(30)
    b = np.linalg.lstsq(A, y, rcond=None)[0]

    def loss(kept):
        left = np.zeros(7)
        left[list(kept)] = b[list(kept)]
        return np.mean((y - A @ left) ** 2)

    best = min(itertools.combinations(range(7), s), key=loss)
    assert support(b, Natural(s), covariance=A.T @ A / 30).tolist() == list(best)
    variances = np.mean(A**2, axis=0)
    np.testing.assert_array_equal(
        support(b, Natural(s), covariance=np.diag(variances)), support(b, Hessian(s), variances=variances)
    )
    np.testing.assert_array_equal(
        support([b, -2 * b], Natural(s), covariance=variances), [support(b, Hessian(s), variances=variances)] * 2
    )


def test_natural_pruning_tries_no_more_than_a_million_sets():
    with pytest.raises(ValueError, match="give fewer coefficients"):
        prune(np.ones(40), Natural(20), covariance=np.eye(40) + 0.1)
    assert prune(np.ones(40), Natural(20), covariance=np.ones(40)).sum() == 20


B = np.ones(6)
BAD = [
    (lambda: Magnitude(0), ValueError, "s is 0"),
    (lambda: Magnitude(True), TypeError, "s is the truth value True"),
    (lambda: Magnitude(2.0), ValueError, "s is 2.0"),
    (lambda: Magnitude("2"), TypeError, "s is '2'"),
    (lambda: prune(B, Magnitude(7)), ValueError, "s is 7: give an integer from 1 to 6"),
    (lambda: prune(B, Hessian(2)), ValueError, "variances is None"),
    (lambda: prune(B, Hessian(2), variances=np.ones(5)), ValueError, "variances has shape"),
    (lambda: prune(B, Hessian(2), variances=-B), ValueError, "variances holds -1"),
    (lambda: prune(B, Hessian(2), covariance=np.ones(5)), ValueError, "covariance has shape"),
    (lambda: prune(B, Oracle(2)), ValueError, "problem is None"),
    (lambda: prune(B, Oracle(2), problem=LinearGaussian([1], [1], 0)), ValueError, "problem has 1 features"),
    (lambda: prune(B, OptimalBrainSurgeon(2)), ValueError, "covariance is None"),
    (lambda: prune(B, OptimalBrainSurgeon(2), covariance=np.ones((6, 6))), ValueError, "covariance is singular"),
    (lambda: prune(B, TwoOfFour()), ValueError, "coefficients has 6 entries a row"),
    (lambda: prune(B * np.nan, Magnitude(1)), ValueError, "coefficients holds nan"),
    (lambda: prune(np.ones((2, 2, 2)), Magnitude(1)), ValueError, "coefficients has shape"),
    (lambda: prune(B, 3), TypeError, "strategy is 3"),
    (lambda: prune(B, Magnitude), TypeError, "strategy is the class Magnitude"),
    (lambda: SoftThreshold(-1), ValueError, "t is -1"),
    (lambda: HardThreshold(np.nan), ValueError, "t is nan"),
    (lambda: UniformQuantizer(0, 1), ValueError, "bits is 0"),
    (lambda: UniformQuantizer(40, 1), ValueError, "bits is 40"),
    (lambda: UniformQuantizer(2, 0), ValueError, "limit is 0"),
    (lambda: support(B, UniformQuantizer(2, 1)), ValueError, "strategy is UniformQuantizer"),
    (lambda: support([B, B], HardThreshold(1)), ValueError, "strategy is HardThreshold"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=[f"{k}-{b[2][:30]}" for k, b in enumerate(BAD)])
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_numpy_integers_count():
    assert Magnitude(np.int64(3)) == Magnitude(3)
    assert support(B, Magnitude(np.uint8(3))).tolist() == [0, 1, 2]
