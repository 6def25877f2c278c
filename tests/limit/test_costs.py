"""Quadratic criteria against minimizers, and against refitting where the loss is quadratic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from prunekit import limit
from prunekit.curvature import Matrix
from prunekit.limit import Lanczos, Landscape, measured_limit, predict, pruning_limit
from tests.limit.helpers import brute_removed, indefinite, linear_problem, problem, squared


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
    assert predict(
        Landscape.of_operator(w, Matrix(H), Lanczos(steps=20)), 0.1, method="one-shot", resolution=0
    ).kept == (predict(Landscape.of_matrix(w, H), 0.1, method="one-shot").kept)


def test_the_limit_holds_from_there_on():
    from prunekit.limit.costs import within_from

    assert within_from([9.0, 1.0, 3.0, 1.0, 0.0], 2.0) == 3
    assert within_from([1.0, 0.0], 2.0) == 0
    with pytest.raises(ValueError, match="end with 3"):
        within_from([9.0, 3.0], 2.0)


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
