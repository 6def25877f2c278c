"""Landscapes against dense algebra, and Lanczos ones against dense ones."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit import limit
from prunekit.curvature import Matrix
from prunekit.limit import METHODS, Lanczos, Landscape, predict
from prunekit.limit.negative import treated
from prunekit.spectrum import Measure
from tests.limit.helpers import EPSILON, WITH_T, brute_removed, indefinite, linear_problem, problem


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
    dense, probed = Landscape.of_matrix(w, H), Landscape.of_operator(w, Matrix(H), Lanczos(steps=30, probes=2))
    for f in (np.log1p, lambda h: 1 / (0.1 + h)):
        assert probed.direction(5).integrate(f) == pytest.approx(dense.direction(5).integrate(f), rel=1e-8)
    assert "30 steps, 2 probes" in repr(probed)


@pytest.mark.parametrize("method", WITH_T)
def test_lanczos_limits_agree_with_dense_ones_within_their_error(method):
    w, H = problem(400, seed=3)
    dense = predict(Landscape.of_matrix(w, H), EPSILON, method=method)
    probed = predict(Landscape.of_operator(w, Matrix(H), Lanczos(steps=16, seed=4)), EPSILON, method=method)
    assert 0 < probed.error < 0.05
    assert dense.error == 0
    assert abs(probed.fraction - dense.fraction) < 4 * probed.error + 1 / 400


def test_a_direction_is_exact_along_eigenvectors_that_are_known():
    """Outliers that the spectrum's run has found are split off; what is left needs few steps; caches are by c."""
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.standard_normal((300, 300)))[0]
    h = np.concatenate([np.geomspace(5, 500, 10), rng.normal(size=290) * 0.1])
    w, H = rng.standard_normal(300), (Q * h) @ Q.T
    dense, probed = Landscape.of_matrix(w, H), Landscape.of_operator(w, Matrix(H), Lanczos(budget=80))
    for k in (10, 200):
        found, truth = probed.direction(k), dense.direction(k)
        assert found.total == pytest.approx(truth.total)
        for large in h[:10]:
            masses = [each.weights[np.abs(each.nodes - large) < 1e-3 * large].sum() for each in (found, truth)]
            assert masses[0] == pytest.approx(masses[1], rel=1e-3, abs=1e-6)
        assert found.integrate(lambda h: h) == pytest.approx(truth.integrate(lambda h: h), rel=1e-6)
        assert found.integrate(lambda h: 1 / (0.1 + np.abs(h))) == pytest.approx(
            truth.integrate(lambda h: 1 / (0.1 + np.abs(h))), rel=0.02
        )
    taken = probed.products
    assert taken == 64 + 2 * 20  # of the first level, and along two c
    probed.direction(10)
    assert probed.products == taken
    other = probed.with_weights(2 * w)
    assert other.direction(10).total == pytest.approx(4 * probed.direction(10).total)
    scaled = probed.scaled(curvature=3.0)
    assert scaled.direction(10).integrate(lambda h: h) == pytest.approx(3 * probed.direction(10).integrate(lambda h: h))


def test_a_restricted_landscape_is_that_of_the_block():
    w, H = problem(40)
    kept = np.random.default_rng(2).random(40) < 0.6
    part, alone = Landscape.of_matrix(w, H).restricted(kept), Landscape.of_matrix(w[kept], H[np.ix_(kept, kept)])
    probed = Landscape.of_operator(w, Matrix(H), Lanczos(steps=40, probes=3)).restricted(kept)
    assert part.dimension == probed.dimension == kept.sum() and "40 steps, 3 probes" in repr(probed)
    assert predict(part, EPSILON, method="cone") == predict(alone, EPSILON, method="cone")
    c = np.where(np.abs(w) < np.sort(np.abs(w[kept]))[-9], w, 0)[kept]  # what is left when nine are kept
    assert probed.direction(9).integrate(np.ones_like) == pytest.approx(c @ c)
    energy = c @ H[np.ix_(kept, kept)] @ c
    assert probed.direction(9).integrate(lambda h: h) == pytest.approx(energy)
    with pytest.raises(ValueError, match="restrict the one it was made from"):
        Landscape.of_operator(w, Matrix(H)).scaled(weights=2.0).restricted(kept)
    for bad in (np.flatnonzero(kept), kept[:-1], np.zeros(40, dtype=bool)):
        with pytest.raises(ValueError, match=r"give a bool array of shape \(40,\) that keeps something"):
            Landscape.of_matrix(w, H).restricted(bad)


def test_lanczos_block_gives_the_gap_within_its_error():
    w, H = problem(300, seed=5)
    dense = limit.upper_gap(Landscape.of_matrix(w, H), EPSILON, 60)
    probed = limit.upper_gap(Landscape.of_operator(w, Matrix(H), Lanczos(steps=14, probes=6)), EPSILON, 60)
    assert 0 < probed.error < 0.05  # fourteen steps leave a gap next to 0
    assert abs(probed.value - dense.value) < 2 * probed.error


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


@pytest.mark.parametrize("dense", [True, False])
def test_a_scaled_landscape_with_other_weights_knows_them(dense):
    (w, H), (v, _) = indefinite(), problem(40, seed=9)
    first = Landscape.of_matrix(w, H) if dense else Landscape.of_operator(w, Matrix(H), Lanczos(steps=40, probes=2))
    mixed = first.scaled(weights=1.7, curvature=0.3).scaled(weights=0.5).with_weights(v)
    c = brute_removed(v, 11)
    gone = np.flatnonzero(c)
    assert mixed.direction(11).total == pytest.approx(c @ c)
    assert mixed.direction(11).integrate(lambda h: h**2) == pytest.approx(0.3**2 * (c @ H @ H @ c))
    block = 0.3 * H[np.ix_(gone, gone)]
    assert mixed.block(11).integrate(lambda h: h**3).value == pytest.approx(np.trace(block @ block @ block))
    anew = Landscape.of_matrix(v, 0.3 * H)
    for method in ("cone", "orthogonal", "one-shot"):
        kept = predict(mixed, EPSILON, method=method).kept
        assert kept == pytest.approx(predict(anew, EPSILON, method=method).kept, abs=0 if dense else 1)


@pytest.mark.parametrize("negative", ["absolute", "zero", "refuse"])
def test_negative_eigenvalues_are_treated_as_told(negative):
    measure = Measure([-1.0, 0.5, 2.0], [1.0, 2.0, 3.0])
    if negative == "refuse":
        with pytest.raises(ValueError, match="eigenvalue -1"):
            treated(measure, negative)
        return
    wanted = {"absolute": [0.5, 1.0, 2.0], "zero": [0.0, 0.5, 2.0]}[negative]
    np.testing.assert_array_equal(treated(measure, negative).nodes, wanted)


def test_a_networks_landscape_is_the_same_dense_and_by_products():
    model, data = linear_problem()
    dense = limit.network_landscape(model, data)
    probed = limit.network_landscape(model, data, dense=False, lanczos=Lanczos(steps=36, probes=2))
    np.testing.assert_array_equal(dense.weights, probed.weights)
    for k in (3, 20):
        one = dense.direction(k).integrate(lambda h: np.log1p(np.abs(h)))
        assert probed.direction(k).integrate(lambda h: np.log1p(np.abs(h))) == pytest.approx(one, rel=1e-4)
    assert predict(dense, 0.1, method="cone").kept == pytest.approx(predict(probed, 0.1, method="cone").kept, abs=3)


def test_landscapes_of_one_hessian_share_what_is_known_of_it():
    w, H = problem(120)
    one = Landscape.of_operator(w, Matrix(H), Lanczos(budget=96))
    other = one.with_weights(2 * w)
    scaled = one.scaled(curvature=3.0)
    before = other.spectrum.products, scaled.spectrum.products
    assert one.refine()
    assert other.spectrum.products == scaled.spectrum.products == one.spectrum.products > before[0] == before[1]


def test_of_many_directions_the_bases_of_the_last_two_stay():
    w, H = problem(120)
    landscape = Landscape.of_operator(w, Matrix(H), Lanczos(budget=160))
    found = {k: landscape.direction(k, lambda measure: True) for k in (10, 20, 30, 40)}
    runs = [each._run for each in landscape._source._directions.values()]
    assert [len(run.basis) > 0 for run in runs] == [False, False, True, True]
    assert runs[0].basis.untyped_storage().nbytes() == 0
    again, products = landscape.direction(10, lambda measure: True), landscape.products
    assert np.array_equal(again.nodes, found[10].nodes)
    assert landscape.products == products
    with_all = landscape.direction(10)  # more than was taken before: from the beginning, which is counted
    assert with_all.nodes.size > 0
    assert landscape.products > products
    assert with_all.total == pytest.approx(found[10].total)
