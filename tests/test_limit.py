"""Pruning limits against dense algebra, brute force over k, refitting, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from torch import nn

from prunekit import limit
from prunekit.curvature import Matrix, program, spectrum
from prunekit.limit import METHODS, Landscape, PruningCurve, Tolerance, measured_limit, predict, pruning_limit
from prunekit.limit.landscape import treated
from prunekit.limit.networks import program_zero_share
from prunekit.masks import Mask
from prunekit.nets import Dataset, evaluate
from prunekit.nets.models import cnn, fcn
from prunekit.scores import magnitude
from prunekit.spectrum import Measure

EPSILON = 0.05
WITH_T = ("published", "cone", "orthogonal")


def problem(D: int = 60, seed: int = 0, flat: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and a positive definite Hessian, eigenvalues from 1e-3 to 10 in a random basis."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((D, D)))[0]
    h = 10.0 ** rng.uniform(-3 * flat - 1, 1, D)
    return rng.laplace(size=D) * 0.3, (Q * h) @ Q.T


def indefinite(D: int = 40, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    w, H = problem(D, seed)
    return w, H - 0.02 * np.eye(D)


def brute_removed(w: np.ndarray, k: int) -> np.ndarray:
    """Return w* - w^k by sorting pairs."""
    kept = sorted(range(w.size), key=lambda i: (-abs(w[i]), i))[:k]
    c = w.copy()
    c[kept] = 0
    return c


# ---------------------------------------------------------------- landscapes


def test_direction_and_distance_are_those_of_what_is_removed():
    w, H = problem()
    L = Landscape.of_matrix(w, H)
    for k in (0, 7, 59):
        c = brute_removed(w, k)
        np.testing.assert_array_equal(L.removed(k), c)
        assert L.distance(k) == pytest.approx(np.linalg.norm(c))
        measure = L.direction(k)
        assert measure.total == pytest.approx(c @ c)
        assert measure.integrate(lambda h: h) == pytest.approx(c @ H @ c)
        assert measure.integrate(lambda h: h**2) == pytest.approx(c @ H @ H @ c)
    assert L.distance(60) == 0


def test_equal_magnitudes_go_last_position_first():
    L = Landscape.of_matrix([1.0, -1.0, 2.0, 1.0], np.eye(4))
    np.testing.assert_array_equal(L.order, [2, 0, 1, 3])
    np.testing.assert_array_equal(L.removed(2), [0, -1, 0, 1])


def test_block_is_the_removed_weights_own_hessian():
    w, H = problem()
    L = Landscape.of_matrix(w, H)
    gone = np.flatnonzero(brute_removed(w, 20))
    wanted = np.linalg.eigvalsh(H[np.ix_(gone, gone)])
    np.testing.assert_allclose(L.block(20).pooled.nodes, wanted, atol=1e-12)


def test_a_full_lanczos_run_along_c_is_the_dense_measure():
    w, H = problem(30)
    dense, probed = Landscape.of_matrix(w, H), Landscape.of_operator(w, Matrix(H), steps=30, probes=2)
    for f in (np.log1p, lambda h: 1 / (0.1 + h)):
        assert probed.direction(5).integrate(f) == pytest.approx(dense.direction(5).integrate(f), rel=1e-8)
    assert "30 steps, 2 probes" in repr(probed)


@pytest.mark.parametrize("method", WITH_T)
def test_lanczos_limits_agree_with_dense_ones_within_their_error(method):
    w, H = problem(400, seed=3)
    dense = predict(Landscape.of_matrix(w, H), EPSILON, method=method)
    probed = predict(Landscape.of_operator(w, Matrix(H), steps=60, probes=12, seed=4), EPSILON, method=method)
    assert 0 < probed.error < 0.05
    assert dense.error == 0
    assert abs(probed.fraction - dense.fraction) < 4 * probed.error + 1 / 400


def test_lanczos_block_gives_the_gap_within_its_error():
    w, H = problem(300, seed=5)
    dense = limit.upper_gap(Landscape.of_matrix(w, H), EPSILON, 60)
    probed = limit.upper_gap(Landscape.of_operator(w, Matrix(H), steps=50, probes=12), EPSILON, 60)
    assert 0 < probed.error < 0.02
    assert abs(probed.value - dense.value) < 4 * probed.error


@pytest.mark.parametrize("method", [m for m in METHODS if m != "program"])
def test_scaled_is_the_landscape_of_scaled_weights_and_hessian(method):
    w, H = indefinite()
    scaled = Landscape.of_matrix(w, H).scaled(weights=1.7, curvature=0.3)
    anew = Landscape.of_matrix(1.7 * w, 0.3 * H)
    assert predict(scaled, EPSILON, method=method).kept == predict(anew, EPSILON, method=method).kept
    assert limit.upper_gap(scaled, EPSILON, 9).value == pytest.approx(limit.upper_gap(anew, EPSILON, 9).value)


def test_with_weights_keeps_the_hessian_alone():
    (w, H), (v, _) = problem(), problem(seed=9)
    mixed, anew = Landscape.of_matrix(w, H).with_weights(v), Landscape.of_matrix(v, H)
    for method in ("published", "cone", "re-optimized"):
        assert predict(mixed, EPSILON, method=method).kept == predict(anew, EPSILON, method=method).kept


@pytest.mark.parametrize("negative", ["absolute", "zero", "refuse"])
def test_negative_eigenvalues_are_treated_as_told(negative):
    measure = Measure([-1.0, 0.5, 2.0], [1.0, 2.0, 3.0])
    if negative == "refuse":
        with pytest.raises(ValueError, match="eigenvalue -1"):
            treated(measure, negative)
        return
    wanted = {"absolute": [0.5, 1.0, 2.0], "zero": [0.0, 0.5, 2.0]}[negative]
    np.testing.assert_array_equal(treated(measure, negative).nodes, wanted)


# ---------------------------------------------------------------- thresholds


def test_published_threshold_is_equation_18():
    w, H = problem()
    L = Landscape.of_matrix(w, H)
    R = np.linalg.norm(brute_removed(w, 12))
    radii = [math.sqrt(2 * EPSILON / h) for h in np.linalg.eigvalsh(H)]
    wanted = 1 - sum(r**2 / (R**2 + r**2) for r in radii) / 60
    assert limit.threshold(L, EPSILON, 12).value == pytest.approx(wanted)


def test_trace_orders_two_networks_the_wrong_way():
    """Traces 500 and 1000 with T = .333 and .001, at R = 1: THEORY, erratum 15."""
    D, w = 1000, np.full(1000, 1 / math.sqrt(1000))  # R = 1 at k = 0
    even = Landscape.of_matrix(w, 0.5 * np.eye(D))
    spike = Landscape.of_matrix(w, np.diag(np.r_[1000.0, np.zeros(D - 1)]))
    assert limit.threshold(even, 0.5, 0).value == pytest.approx(1 / 3)
    assert limit.threshold(spike, 0.5, 0).value == pytest.approx(1000 / 1001 / 1000)


def test_published_threshold_is_above_one_half_where_the_pruned_point_is_feasible():
    """100 sharp and 900 flat directions, w* - w^k along the flat ones: THEORY, erratum 13b."""
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


def test_errors_of_the_limit_follow_from_those_of_the_threshold():
    """Independent Lanczos runs scatter as much as their errors say."""
    w, H = problem(200, seed=2)
    runs = [predict(Landscape.of_operator(w, Matrix(H), steps=40, probes=6, seed=s), EPSILON) for s in range(30)]
    spread = np.std([r.fraction for r in runs], ddof=1)
    said = np.sqrt(np.mean([r.error**2 for r in runs]))
    assert stats.chi2.ppf(1e-4, 29) < 29 * (spread / said) ** 2 < stats.chi2.ppf(1 - 1e-4, 29)


def test_one_probe_has_no_error_bar():
    w, H = problem(30)
    assert math.isinf(predict(Landscape.of_operator(w, Matrix(H), steps=20, probes=1), EPSILON).error)


# ---------------------------------------------------------------- quadratic criteria


@pytest.mark.parametrize("negative", ["absolute", "zero"])
def test_costs_are_those_of_a_minimizer(negative):
    w, H = indefinite(12)
    h, V = np.linalg.eigh(H)
    A = (V * (np.abs(h) if negative == "absolute" else np.maximum(h, 0))) @ V.T
    L = Landscape.of_matrix(w, H)
    plain, best = limit.one_shot_costs(L, negative=negative), limit.reoptimized_costs(L, negative=negative)
    for k in range(12):
        c = brute_removed(w, k)
        kept = np.flatnonzero(c == 0)
        assert plain[k] == pytest.approx(c @ A @ c / 2)

        def rise(move, c=c, kept=kept):
            moved = c.copy()
            moved[kept] = move
            return moved @ A @ moved / 2

        found = optimize.minimize(rise, np.zeros(k), tol=1e-14).fun if k else plain[0]
        assert best[k] == pytest.approx(found, abs=1e-6)
    assert plain[12] == best[12] == 0


def test_a_landscape_of_products_has_no_quadratic_costs():
    w, H = problem(20)
    with pytest.raises(ValueError, match="dense=True"):
        predict(Landscape.of_operator(w, Matrix(H)), 0.1, method="re-optimized")
    assert predict(Landscape.of_operator(w, Matrix(H), steps=20), 0.1, method="one-shot", resolution=0).kept == (
        predict(Landscape.of_matrix(w, H), 0.1, method="one-shot").kept
    )


def test_the_limit_holds_from_there_on():
    from prunekit.limit.quadratic import within_from

    assert within_from([9.0, 1.0, 3.0, 1.0, 0.0], 2.0) == 3
    assert within_from([1.0, 0.0], 2.0) == 0
    with pytest.raises(ValueError, match="end with 3"):
        within_from([9.0, 3.0], 2.0)


# ---------------------------------------------------------------- the upper map


def test_upper_map_is_equation_19_and_lies_above_p():
    w, H = problem()
    L = Landscape.of_matrix(w, H)
    for m in (0, 10, 40):
        c = brute_removed(w, m)
        gone = np.flatnonzero(c)
        R2 = c @ c
        r2 = 2 * EPSILON / np.linalg.eigvalsh(H[np.ix_(gone, gone)])
        printed = 1 - np.sum(r2 / (R2 + r2)) / 60
        assert limit.upper_map(L, EPSILON, m).value == pytest.approx(printed)
        assert printed > m / 60
    assert limit.upper_map(L, EPSILON, 60).value == 1


def test_p_is_a_fixed_point_where_the_removed_weights_are_zero_already():
    w, H = problem()
    w[np.abs(w) < np.median(np.abs(w))] = 0
    L = Landscape.of_matrix(w, H)
    assert [limit.upper_gap(L, EPSILON, m).value == 0 for m in (29, 30, 45)] == [False, True, True]


# ---------------------------------------------------------------- networks whose answers are known


def linear_problem(seed: int = 0, n: int = 90, d: int = 12) -> tuple[nn.Module, Dataset]:
    """Return a linear model at the least squares of one-hot labels: its Hessian is constant."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    x = rng.standard_normal((n, d)) + 0.8 * rng.standard_normal((3, d))[labels]
    W = np.linalg.lstsq(x, np.eye(3)[labels], rcond=None)[0].T
    model = nn.Sequential(nn.Flatten(), nn.Linear(d, 3, bias=False))
    with torch.no_grad():
        model.get_parameter("1.weight").copy_(torch.from_numpy(W))
    images = torch.from_numpy(x).float().view(n, 1, 1, d)
    y = torch.from_numpy(labels)
    data = Dataset("linear", images[:, :], y, images[:30], y[:30], 3, torch.zeros(1), torch.ones(1))
    return model, data


def squared(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (outputs - nn.functional.one_hot(labels, 3).to(outputs)).square().sum(1).mean()


def test_where_the_loss_is_quadratic_the_one_shot_limit_is_the_measured_one():
    model, data = linear_problem()
    D = 36
    every = np.arange(1, D + 1) / D
    for epsilon in (0.01, 0.05, 0.2):
        predicted = pruning_limit(model, data, squared, epsilon=epsilon, method="one-shot")
        measured = measured_limit(model, data, rule="training loss", epsilon=epsilon, shares=every, loss=squared)
        assert predicted.kept == round(measured.fraction * D)
        assert measured.error == 0
        assert measured.resolution == pytest.approx(1 / D)


def test_where_the_loss_is_quadratic_the_re_optimized_cost_is_that_of_refitting():
    model, data = linear_problem()
    L = limit.network_landscape(model, data, squared)
    costs = limit.reoptimized_costs(L)
    x = data.train_x.flatten(1).double().numpy()
    y = np.eye(3)[data.train_y.numpy()]
    dense = np.mean(np.sum((x @ np.linalg.lstsq(x, y, rcond=None)[0] - y) ** 2, axis=1))
    for k in (1, 10, 25):
        alive = np.zeros(36, bool)
        alive[L.order[:k]] = True
        total = 0.0
        for output, used in enumerate(alive.reshape(3, 12)):
            fit = np.linalg.lstsq(x[:, used], y[:, output], rcond=None)[0] if used.any() else np.zeros(0)
            total += np.mean((x[:, used] @ fit - y[:, output]) ** 2)
        assert costs[k] == pytest.approx(total - dense, rel=1e-4)


def test_a_networks_landscape_is_the_same_dense_and_by_products():
    model, data = linear_problem()
    dense = limit.network_landscape(model, data)
    probed = limit.network_landscape(model, data, dense=False, steps=36, probes=2)
    np.testing.assert_array_equal(dense.weights, probed.weights)
    for k in (3, 20):
        one = dense.direction(k).integrate(lambda h: np.log1p(np.abs(h)))
        assert probed.direction(k).integrate(lambda h: np.log1p(np.abs(h))) == pytest.approx(one, rel=1e-4)
    assert predict(dense, 0.1, method="cone").kept == pytest.approx(predict(probed, 0.1, method="cone").kept, abs=3)


# ---------------------------------------------------------------- the tolerance


def test_minibatch_tolerance_is_a_deviation_over_shuffled_batches():
    model, data = linear_problem()
    pair = (data.train_x, data.train_y)
    found = limit.minibatch_tolerance(model, pair, nn.functional.cross_entropy, batch_size=20, seed=3)
    each = nn.functional.cross_entropy(model(data.train_x), data.train_y, reduction="none").detach().numpy()
    order = np.random.default_rng(3).permutation(90)
    losses = [each[order[i : i + 20]].mean() for i in range(0, 90, 20)]
    assert found.value == pytest.approx(np.std(losses), rel=1e-5)
    assert found.loss == pytest.approx(each.mean(), rel=1e-5)
    assert "5 training losses" in found.rule
    halves = [(data.train_x[:50], data.train_y[:50]), (data.train_x[50:], data.train_y[50:])]
    assert limit.minibatch_tolerance(model, halves, nn.functional.cross_entropy, batch_size=20, seed=3).value == (
        pytest.approx(found.value, rel=1e-5)
    )


def test_several_shuffles_give_the_mean_of_several_deviations():
    model, data = linear_problem()
    pair = (data.train_x, data.train_y)
    random = np.random.default_rng(5)
    one_by_one = [
        limit.minibatch_tolerance(model, pair, nn.functional.cross_entropy, batch_size=20, seed=random).value
        for _ in range(4)
    ]
    found = limit.minibatch_tolerance(model, pair, nn.functional.cross_entropy, batch_size=20, shuffles=4, seed=5)
    assert found.value == pytest.approx(np.mean(one_by_one))
    assert np.std(one_by_one) > 0
    assert "4 shuffles" in found.rule


def test_relative_tolerance_is_a_share_of_the_loss():
    model, data = linear_problem()
    found = limit.relative_tolerance(model, (data.train_x, data.train_y), nn.functional.cross_entropy, 0.1)
    assert found.value == pytest.approx(0.1 * evaluate(model, data, train=True)[0], rel=1e-5)


# ---------------------------------------------------------------- the authors' program


def test_program_limit_is_the_published_one_but_for_its_grid():
    """With R large and a short range of eigenvalues, rounding and smoothing cost little."""
    w, H = problem(150, seed=6, flat=0.0)
    L = Landscape.of_matrix(100 * w, H / 100**2)
    assert limit.program_limit(L, EPSILON) == pytest.approx(predict(L, EPSILON).fraction, abs=0.02)
    assert predict(L, EPSILON, method="program").fraction == limit.program_limit(L, EPSILON)


def test_program_takes_the_nearest_step_with_a_rounded_distance():
    w, H = problem(80, seed=7)
    L = Landscape.of_matrix(10 * w, H)
    smooth = program.smoothed(spectrum(Matrix(H), steps=128, probes=1, seed=0)).pooled
    gaps = []
    for i in range(1000):
        c = brute_removed(10 * w, 80 - max(1, math.ceil(i * 80 / 1000)))
        R = round(float(np.linalg.norm(c)))
        width = np.sum(smooth.weights * 2 * EPSILON / (2 * EPSILON + R**2 * np.abs(smooth.nodes))) / smooth.total
        gaps.append(abs(width - i / 1000))
    assert limit.program_limit(L, EPSILON) == pytest.approx(1 - int(np.argmin(gaps)) / 1000)


def test_zeros_are_counted_for_convolutions_alone():
    """A filter whose outputs nothing reads: its rows and those of the weights that would read it are 0."""
    model, data = linear_problem()
    assert program_zero_share(model, limit.network_landscape(model, data)) == 0
    images = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % 3
    small = Dataset("noise", images, labels, images, labels, 3, torch.zeros(1), torch.ones(1))
    network = cnn((1, 4, 4), [4, "M"], 3, seed=0)
    with torch.no_grad():
        network.get_parameter("features.0.weight")[0] = -10.0  # mostly dead on
        network.get_parameter("features.0.weight")[1] = 0.0
        network.get_parameter("output.weight")[:, 4:8] = 0.0
    L = limit.network_landscape(network, small)
    dead = np.mean(np.abs(L.hessian).sum(axis=1) < 1e-7)
    assert dead >= (9 + 12) / L.dimension
    assert program_zero_share(network, L) == pytest.approx(dead, abs=0.1)
    same = L.scaled(weights=50, curvature=1 / 2500)  # so that rounding R hides nothing
    with_zeros, without = (predict(same, 0.01, method="program", zero_share=z).fraction for z in (dead, 0.0))
    assert with_zeros < without
    counted = program_zero_share(network, L)
    assert pruning_limit(network, small, epsilon=0.01, method="program", landscape=L).fraction == (
        predict(L, 0.01, method="program", zero_share=counted).fraction
    )


# ---------------------------------------------------------------- measured limits


def curve(held: list[float], train_loss: list[float] | None = None, n: int = 100) -> PruningCurve:
    """Return a curve with given held-out accuracies: the first images are the right ones."""
    m = len(held)
    correct = np.array([np.arange(n) < round(a * n) for a in held])
    losses = np.zeros(m) if train_loss is None else np.array(train_loss)
    return PruningCurve(np.arange(1, m + 1), m, losses, np.ones(m), np.zeros(m), correct)


def test_rules_read_the_curve_as_they_say():
    found = curve([0.5, 0.92, 0.6, 0.89, 0.93, 0.9])
    assert measured_limit(None, None, curve=found, drop=0.02).fraction == pytest.approx(4 / 6)
    assert measured_limit(None, None, curve=found, drop=0.0).fraction == pytest.approx(5 / 6)
    assert measured_limit(None, None, curve=found, rule="program").fraction == pytest.approx(2 / 6)
    assert measured_limit(None, None, curve=curve([0.5, 0.9, 0.9]), rule="program").fraction == 1
    losses = curve([0.9] * 5, [3.0, 1.0, 1.3, 1.1, 1.0])
    one = measured_limit(None, None, curve=losses, rule="training loss", epsilon=0.2)
    other = measured_limit(None, None, curve=losses, rule="training loss", epsilon=Tolerance(0.5))
    assert (one.fraction, other.fraction) == (pytest.approx(4 / 5), pytest.approx(2 / 5))
    assert one.dense == 1.0
    assert one.removed == pytest.approx(1 / 5)


def test_the_bootstrap_error_is_that_of_a_coin():
    """Half of the weights will do if at most ten of the drawn images are among the ten that are lost."""
    found = curve([0.9, 1.0])
    limits = measured_limit(None, None, curve=found, drop=0.1, repetitions=4000, seed=1)
    p = stats.binom.cdf(10, 100, 0.1)
    wanted = 0.5 * math.sqrt(p * (1 - p))
    assert limits.error == pytest.approx(wanted, abs=5 * wanted / math.sqrt(4000))


def test_a_curve_is_that_of_networks_with_masks():
    model = fcn(12, [9], 3, seed=1)
    _, data = linear_problem()
    found = limit.pruning_curve(model, data, [0.2, 0.5])
    D = 12 * 9 + 27
    np.testing.assert_array_equal(found.kept, [math.ceil(0.2 * D), math.ceil(0.5 * D), D])
    for row, kept in enumerate(found.kept):
        pruned = fcn(12, [9], 3, seed=1)
        Mask.from_scores(magnitude(pruned), int(kept)).apply_(pruned)
        held, train = evaluate(pruned, data), evaluate(pruned, data, train=True)
        assert (found.held_loss[row], found.held_accuracy[row]) == pytest.approx(held, rel=1e-5)
        assert (found.train_loss[row], found.train_accuracy[row]) == pytest.approx(train, rel=1e-5)
    assert len(limit.pruning_curve(model, data).kept) == 1000


def test_the_papers_path_is_kept_by_a_shorter_training():
    paper = limit.PAPER["fc5"].config()
    assert limit.l1_path(paper, 50_000) == pytest.approx(5e-5 * 0.01 * 200 * 391 / 0.1)
    short = limit.PAPER["fc5"].config(epochs=20, l1=5e-4)
    assert limit.l1_path(short, 50_000) == pytest.approx(limit.l1_path(paper, 50_000))
    with pytest.raises(ValueError, match="constant learning rate"):
        limit.l1_path(limit.PAPER["resnet18"].config(), 50_000)


@pytest.mark.parametrize(("name", "size"), [("fc5", 3_885_010), ("fc12", 7_269_610)])
def test_the_papers_networks_are_built_for_the_data(name, size):
    images = torch.zeros(2, 3, 32, 32)
    labels = torch.tensor([0, 9])
    data = Dataset("like cifar10", images, labels, images, labels, 10, torch.zeros(3), torch.ones(3))
    network = limit.PAPER[name].build(data, 0)
    assert sum(p.numel() for p in network.parameters()) == size
    assert network(images).shape == (2, 10)


def test_a_comparison_is_what_its_parts_say():
    model, data = linear_problem()
    found = limit.compare_limits(model, data, epsilon=0.05, shares=np.arange(1, 37) / 36)
    row = found.row()
    assert row["weights"] == 36
    for method in METHODS:
        assert row[f"predicted {method}"] == pruning_limit(model, data, epsilon=0.05, method=method).fraction
    assert row["predicted program, error"] is None
    again = measured_limit(model, data, rule="training loss", epsilon=0.05, shares=np.arange(1, 37) / 36)
    assert row["measured training loss"] == again.fraction
    kept = found.predicted["published"].kept
    assert row["gap"] == limit.upper_gap(found.landscape, 0.05, kept).value
    assert row["negative_share"] < 1e-6
    assert row["trace"] == pytest.approx(np.trace(found.landscape.hessian))
    by_products = limit.compare_limits(model, data, epsilon=0.05, dense=False, shares=[0.5], steps=10, probes=2)
    assert "predicted re-optimized" not in by_products.row()


def test_halves_share_no_image_and_miss_none():
    _, data = linear_problem()
    one, other = limit.halves(data, seed=2)
    both = torch.cat([one.test_x, other.test_x]).flatten(1)
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, data.test_x.flatten(1).tolist()))
    assert one.train_x is data.train_x


# ---------------------------------------------------------------- what is refused


def bad_calls():
    w, H = problem(10)
    L = Landscape.of_matrix(w, H)
    model, data = linear_problem()
    return {
        "rows": (lambda: Landscape.of_matrix(w, H[:5, :5]), ValueError, r"give one row for each"),
        "asymmetric": (lambda: Landscape.of_matrix(w, np.triu(H)), ValueError, "asymmetric by"),
        "zero weights": (lambda: Landscape.of_matrix(0 * w, H), ValueError, "nothing to prune"),
        "operator": (lambda: Landscape.of_operator(w[:4], Matrix(H)), ValueError, "operator has 10 rows"),
        "method": (lambda: predict(L, 1.0, method="best"), ValueError, "give one of 'published'"),
        "no T": (lambda: limit.threshold(L, 1.0, 1, method="one-shot"), ValueError, "'cone' or 'orthogonal'"),
        "epsilon": (lambda: predict(L, 0.0), ValueError, "epsilon is 0.0: give a finite number above 0"),
        "rule": (lambda: pruning_limit(model, data, epsilon="best"), ValueError, "a Tolerance or 'minibatch'"),
        "k": (lambda: L.distance(11), ValueError, "k is 11"),
        "nothing removed": (lambda: L.direction(10), ValueError, "give a smaller k"),
        "negative": (lambda: treated(L.direction(1), "drop"), ValueError, "'absolute', 'zero' or 'refuse'"),
        "indefinite": (
            lambda: predict(Landscape.of_matrix(*indefinite()), 1.0, negative="refuse"),
            ValueError,
            "no el",
        ),
        "program": (lambda: predict(L, 1.0, method="program", negative="zero"), ValueError, "absolute values"),
        "other net": (lambda: pruning_limit(model, data, epsilon=1.0, landscape=L), ValueError, "the network has 36"),
        "measured rule": (
            lambda: measured_limit(None, None, rule="best", curve=curve([1.0])),
            ValueError,
            "'held-out'",
        ),
        "no curve": (lambda: measured_limit(None, None), ValueError, "give both, or a curve"),
        "no epsilon": (lambda: measured_limit(model, data, rule="training loss"), ValueError, "needs a tolerance"),
        "shares": (lambda: limit.pruning_curve(model, data, [0.5, 1.5]), ValueError, "shares is 1.5"),
        "one batch": (lambda: pruning_limit(model, data), ValueError, "batch_size is 128"),
    }


@pytest.mark.parametrize("name", bad_calls())
def test_what_is_refused_and_how(name):
    call, kind, message = bad_calls()[name]
    with pytest.raises(kind, match=message):
        call()
