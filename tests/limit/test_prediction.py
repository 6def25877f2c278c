"""Thresholds and limits against equation (18), brute force over k, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import limit
from prunekit.curvature import Matrix
from prunekit.limit import METHODS, Lanczos, Landscape, one_shot_costs, predict
from prunekit.limit.costs import known_energies
from prunekit.limit.prediction import crossing
from tests.limit.helpers import EPSILON, WITH_T, brute_removed, problem


def test_published_threshold_is_equation_18():
    w, H = problem()
    L = Landscape.of_matrix(w, H)
    R = np.linalg.norm(brute_removed(w, 12))
    radii = [math.sqrt(2 * EPSILON / h) for h in np.linalg.eigvalsh(H)]
    wanted = 1 - sum(r**2 / (R**2 + r**2) for r in radii) / 60
    assert limit.threshold(L, EPSILON, 12).value == pytest.approx(wanted)


def test_trace_orders_two_networks_the_wrong_way():
    """Traces 500 and 1000 with T = .333 and .001, at R = 1: geometric/erratum-15."""
    D, w = 1000, np.full(1000, 1 / math.sqrt(1000))  # R = 1 at k = 0
    even = Landscape.of_matrix(w, 0.5 * np.eye(D))
    spike = Landscape.of_matrix(w, np.diag(np.r_[1000.0, np.zeros(D - 1)]))
    assert limit.threshold(even, 0.5, 0).value == pytest.approx(1 / 3)
    assert limit.threshold(spike, 0.5, 0).value == pytest.approx(1000 / 1001 / 1000)


def test_published_threshold_is_above_one_half_where_the_pruned_point_is_feasible():
    """100 sharp and 900 flat directions, w* - w^k along the flat ones: geometric/erratum-13b."""
    h = np.r_[np.full(100, 1e4), np.full(900, 1e-3)]
    w = np.r_[np.full(100, 10.0), np.full(900, 1.0)]
    L = Landscape.of_matrix(w, np.diag(h))
    assert limit.threshold(L, 0.5, 100).value == pytest.approx(0.1 * 1 + 0.9 * (1 - 1000 / (900 + 1000)), abs=1e-4)
    assert predict(L, 0.5, method="one-shot").kept == 100
    assert limit.threshold(L, 0.5, 100, method="cone").value == 0


@pytest.mark.parametrize("method", WITH_T)
@pytest.mark.parametrize("seed", range(3))
def test_the_limit_is_the_least_self_consistent_k(method, seed):
    w, H = problem(50, seed)
    L = Landscape.of_matrix(w, H)
    allowed = [k / 50 >= limit.threshold(L, EPSILON, k, method=method).value for k in range(51)]
    found = predict(L, EPSILON, method=method, resolution=0)
    assert allowed == sorted(allowed), "one crossing, so that it is the least"
    assert found.kept == allowed.index(True)
    assert found.fraction == found.kept / 50
    assert found.removed == 1 - found.fraction
    assert found.distance == pytest.approx(np.linalg.norm(brute_removed(w, found.kept)))
    assert dict(found.curve)[found.fraction] <= found.fraction


def test_in_a_random_basis_the_orthogonal_limit_is_that_of_re_optimized_weights():
    """The others are not, and the published cone is smaller than the exact one."""
    w, H = problem(300, seed=8)
    L = Landscape.of_matrix(w, H)
    for epsilon in (0.02, 0.2, 1.0):
        found = {m: predict(L, epsilon, method=m).fraction for m in METHODS if m != "program"}
        assert found["cone"] < found["published"]
        assert abs(found["orthogonal"] - found["re-optimized"]) < 0.03 < found["re-optimized"] - found["cone"]
        assert found["re-optimized"] < found["one-shot"]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(1e-3, 10.0), st.floats(0.1, 5.0))
def test_only_the_product_of_squared_weights_and_curvature_counts(seed, epsilon, a):
    w, H = problem(20, seed)
    L = Landscape.of_matrix(w, H)
    both = L.scaled(weights=a, curvature=1 / a**2)
    for k in (0, 5, 15):
        for method in WITH_T:
            one = limit.threshold(L, epsilon, k, method=method).value
            assert limit.threshold(both, epsilon, k, method=method).value == pytest.approx(one, abs=1e-9)
    shares = [limit.threshold(L, epsilon, k).value for k in range(21)]
    assert shares == sorted(shares, reverse=True)
    assert 0 <= predict(L, epsilon).fraction <= 1
    assert predict(L, epsilon).kept >= predict(L, 2 * epsilon).kept


def test_two_errors_of_a_limit_hold_the_truth():
    """At the steps that the landscape chooses itself, products and accuracy as it promises."""
    w, H = problem(300, seed=2)
    dense = Landscape.of_matrix(w, H)
    for method in WITH_T:
        truth = predict(dense, EPSILON, method=method, resolution=0).fraction
        runs = [predict(Landscape.of_operator(w, Matrix(H), Lanczos(seed=s)), EPSILON, method=method) for s in range(5)]
        assert sum(abs(run.fraction - truth) <= 2 * run.error for run in runs) >= 4
        for run in runs:
            assert run.resolved
            assert 0 < run.error <= 0.05 * run.fraction
            assert run.error == pytest.approx(math.hypot(run.scatter, run.quadrature))
            assert 0 < run.products < 1000


def test_a_budget_that_ends_too_early_leaves_no_bar():
    rng = np.random.default_rng(0)
    h = rng.normal(size=400) * 10 ** rng.uniform(-8, 0, 400)
    w = rng.normal(size=400)
    truth = predict(Landscape.of_matrix(w, np.diag(h)), 1e-6).fraction
    short = predict(Landscape.of_operator(w, Matrix(np.diag(h)), Lanczos(budget=40)), 1e-6)
    assert abs(short.fraction - truth) > 0.05
    assert not short.resolved
    assert math.isinf(short.error)
    longer = predict(Landscape.of_operator(w, Matrix(np.diag(h)), Lanczos(budget=400)), 1e-6)
    assert longer.resolved
    assert abs(longer.fraction - truth) <= 3 * longer.error + 1 / 400


@pytest.mark.parametrize("resolution", [0, 1e-2])
@given(st.integers(2, 3000), st.floats(0, 1), st.floats(0.2, 5), st.integers(0, 3000))
def test_a_crossing_is_enclosed_with_few_evaluations(resolution, D, root, power, guess):
    calls = []

    def excess(k):
        calls.append(k)
        return (k / D) ** power - root**power

    above, below = crossing(excess, D, resolution, min(max(guess, 1), D))
    assert below < above <= D
    assert above == D or excess(above) >= 0
    assert below == -1 or excess(below) < 0
    assert above - below <= max(1, resolution * above) or below == -1
    assert len(calls) <= 2 + 3 * math.log2(D + 1) + 6


def test_a_one_shot_limit_at_either_end_is_known_to_one_weight():
    """At 0 nothing lies below, and from where the rest is 0 already there is no energy: one side is all there is."""
    w, H = problem(60, 3)
    w[np.argsort(np.abs(w))[:20]] = 0
    for epsilon, kept in ((1e-12, 40), (1e6, 0)):
        found = predict(Landscape.of_operator(w, Matrix(H), Lanczos(seed=1)), epsilon, method="one-shot", resolution=0)
        assert found.kept == kept == predict(Landscape.of_matrix(w, H), epsilon, method="one-shot").kept
        assert found.resolved
        assert 0.5 / 60 <= found.error < 1 / 60


def test_a_one_shot_limit_by_products_is_the_dense_one_within_its_error():
    w, H = problem(400, seed=6)
    h, V = np.linalg.eigh(H)
    H = (V * (h - 0.02)) @ V.T  # a kink at 0 in what |H| does along c
    dense = predict(Landscape.of_matrix(w, H), 0.05, method="one-shot")
    probed = predict(Landscape.of_operator(w, Matrix(H), Lanczos(seed=1)), 0.05, method="one-shot")
    assert 0 < probed.error < 0.05 * probed.fraction
    assert abs(probed.fraction - dense.fraction) <= 3 * probed.error
    assert probed.scatter == 0


def crossings(costs, epsilon):
    """Return at how many k the cost passes from above ε to at most ε."""
    return int(np.sum((costs[:-1] > epsilon) & (costs[1:] <= epsilon)))


def swinging(D, seed):
    """Return weights and a Hessian whose few large eigenvalues make the one-shot cost rise and fall."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((D, D)))[0]
    h = np.concatenate([np.geomspace(0.3, 8, 6), 10.0 ** rng.uniform(-5, -1, D - 6)])
    return rng.laplace(size=D), (Q * h) @ Q.T


@pytest.mark.parametrize("options", [{"steps": 20, "direction_steps": 6}, {}])
def test_a_one_shot_limit_by_products_is_the_last_crossing(options):
    """As the dense one is: at every larger k the cost is at most ε, too."""
    many = held = 0
    for seed in range(8):
        w, H = swinging(150, seed)
        dense = Landscape.of_matrix(w, H)
        many += crossings(one_shot_costs(dense), 0.1) > 1
        found = predict(
            Landscape.of_operator(w, Matrix(H), Lanczos(seed=seed, **options)), 0.1, method="one-shot", resolution=0
        )
        held += abs(found.kept - predict(dense, 0.1, method="one-shot").kept) <= 2 * found.error * 150 + 1e-9
        assert found.resolved
        assert found.error < 0.1 * found.fraction
    assert many >= 5
    assert held == 8


def test_what_is_known_of_a_one_shot_cost_is_known_for_every_k():
    w, H = swinging(60, 3)
    every = Landscape.of_operator(w, Matrix(H), Lanczos(steps=60, probes=4))
    assert known_energies(every, "absolute") / 2 == pytest.approx(one_shot_costs(Landscape.of_matrix(w, H)), abs=1e-9)
    scaled = every.scaled(weights=2, curvature=3)
    assert known_energies(scaled, "zero") == pytest.approx(12 * known_energies(every, "zero"))
    few = Landscape.of_operator(w, Matrix(H), Lanczos(steps=4, probes=4))
    values, vectors = few.known()
    assert 0 < values.size < 60
    straight = [np.sum(values * (vectors.T @ brute_removed(w, k)) ** 2) for k in (0, 7, 59, 60)]
    assert known_energies(few, "refuse")[[0, 7, 59, 60]] == pytest.approx(straight)


def test_one_probe_has_no_error_bar():
    w, H = problem(30)
    assert math.isinf(predict(Landscape.of_operator(w, Matrix(H), Lanczos(steps=20, probes=1)), EPSILON).error)
