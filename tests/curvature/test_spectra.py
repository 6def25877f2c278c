"""Lanczos' quadrature against dense linear algebra; runs that are killed, and files of other runs."""

import gc
import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit.curvature import Matrix, spectrum, vector_measure
from prunekit.curvature.lanczos import Run, advance, need, quadrature
from prunekit.curvature.probing import Probing
from prunekit.nets import CheckpointError


def symmetric(values, seed=0):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))[0]
    H = Q @ np.diag(values) @ Q.T
    return (H + H.T) / 2


def heavy(D=120, seed=0):
    """Return a matrix whose spectrum is like a network's: some large eigenvalues, many small, a third of them 0."""
    rng = np.random.default_rng(seed)
    return symmetric(np.concatenate([np.zeros(D // 3), rng.normal(size=D - D // 3) * 0.05, [5, 3, 1]])[3:], seed)


def smooth(h):
    return 1 / (0.5 + np.abs(h))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(2, 25), st.integers(0, 2**32 - 1))
def test_moments_up_to_2m_minus_1_are_exact(steps, D, seed):
    rng = np.random.default_rng(seed)
    H = symmetric(rng.uniform(-1, 1, D), seed)
    c = rng.standard_normal(D)
    measure = vector_measure(Matrix(H), c, steps=steps, progress=False)
    assert measure.total == pytest.approx(c @ c)
    for power in range(2 * min(steps, D)):
        moment = c @ np.linalg.matrix_power(H, power) @ c
        assert measure.integrate(lambda h, p=power: h**p) == pytest.approx(moment, abs=1e-10 * (c @ c))
    values = np.linalg.eigvalsh(H)
    assert values[0] - 1e-12 <= measure.nodes[0]
    assert measure.nodes[-1] <= values[-1] + 1e-12


def test_all_steps_give_the_measure_itself():
    H = heavy(60)
    values, vectors = np.linalg.eigh(H)
    c = np.random.default_rng(1).standard_normal(60)
    measure = vector_measure(Matrix(H), torch.from_numpy(c), steps=10**6)
    assert measure.integrate(smooth) == pytest.approx(float(smooth(values) @ (vectors.T @ c) ** 2), rel=1e-10)


def test_an_invariant_subspace_ends_the_run_with_an_exact_measure():
    H = symmetric([0, 0, 0, 1, 1, 2, 2, 2])
    values, vectors = np.linalg.eigh(H)
    c = np.random.default_rng(2).standard_normal(8)
    measure = vector_measure(Matrix(H), c, steps=8)
    assert measure.nodes == pytest.approx([0, 1, 2], abs=1e-12)
    masses = [((vectors.T @ c)[np.isclose(values, h)] ** 2).sum() for h in (0, 1, 2)]
    assert measure.weights == pytest.approx(masses)
    eigenvector = vector_measure(Matrix(H), vectors[:, 5], steps=8)
    assert eigenvector.nodes == pytest.approx([2.0])
    assert vector_measure(Matrix(np.zeros((4, 4))), np.ones(4)).nodes == pytest.approx([0.0])


def test_no_ghosts_where_plain_lanczos_has_them():
    values = np.concatenate([np.linspace(0, 1, 197), [10.0, 100.0, 1000.0]])
    found = spectrum(Matrix(np.diag(values)), steps=120, probes=2, seed=0)
    for probe in found.probes:
        for large in (10.0, 100.0, 1000.0):
            assert (np.abs(probe.nodes - large) < 1e-6).sum() == 1
    plain = _plain(np.diag(values), 120)
    assert (np.abs(plain - 1000.0) < 1e-6).sum() > 1  # the same recurrence without reorthogonalization


def _plain(A, steps):
    q = np.random.default_rng(0).standard_normal(len(A))
    q, last, beta = q / np.linalg.norm(q), 0.0, 0.0
    alphas, betas = [], []
    for _ in range(steps):
        w = A @ q - beta * last
        alphas.append(float(q @ w))
        w = w - alphas[-1] * q
        beta = float(np.linalg.norm(w))
        betas.append(beta)
        last, q = q, w / beta
    return quadrature(alphas, betas[:-1])[0]


@pytest.mark.parametrize(("storage", "tolerance"), [("float64", 1e-13), ("float32", 1e-6)])
def test_the_basis_stays_orthonormal(storage, tolerance):
    operator = Matrix(symmetric(np.geomspace(1e-8, 1, 200)))
    starts = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    run = Run(starts, 50, storage)
    while not run.finished:
        advance(run, operator)
    Q = run.basis[:150].double()
    assert float((Q @ Q.T - torch.eye(150)).abs().max()) < tolerance


def test_it_stays_orthonormal_where_nearly_all_of_a_product_is_removed():
    outside = torch.linalg.qr(torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    mixing = outside @ torch.randn(5, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    operator = Matrix(symmetric(np.linspace(1, 2, 200)) + 1e5 * (mixing + mixing.T).numpy())
    run = Run(torch.randn(200, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), 20, outside=outside)
    while not run.finished:
        advance(run, operator)
    Q = torch.cat([run.basis[:20], outside.T])
    assert float((Q @ Q.T - torch.eye(25)).abs().max()) < 1e-13


def test_float32_costs_nodes_of_seven_digits():
    operator = Matrix(heavy(200))
    full, half = (spectrum(operator, steps=60, probes=2, storage=s, shared=False) for s in ("float64", "float32"))
    error = max(np.abs(a.nodes - b.nodes).max() for a, b in zip(full.probes, half.probes, strict=True))
    assert 0 < error < 1e-5 * 5
    assert half.integrate(smooth).value == pytest.approx(full.integrate(smooth).value, rel=1e-5)


@pytest.mark.parametrize("distribution", ["gaussian", "rademacher"])
def test_the_mean_over_probes_is_the_trace_and_the_error_bar_is_right(distribution):
    H = heavy(60)
    truth = float(smooth(np.linalg.eigvalsh(H)).sum())
    found = spectrum(Matrix(H), steps=60, probes=400, shared=False, seed=3, distribution=distribution, progress=False)
    estimate = found.integrate(smooth)
    assert found.dimension == pytest.approx(60)
    assert abs(estimate.value - truth) < 4.5 * estimate.error
    draws = np.array([probe.integrate(smooth) for probe in found.probes])
    small = [np.mean(part) for part in np.split(draws, 100)]  # a hundred estimates from four probes each
    assert np.std(small) == pytest.approx(2 * 5 * estimate.error, rel=0.3)


def test_what_is_left_of_normal_starts_scatters_as_the_bar_says():
    """Against the spread over seeds, with a few eigenvalues that are counted once."""
    operator = Matrix(heavy())
    found = [spectrum(operator, steps=8, probes=4, seed=seed, progress=False) for seed in range(120)]
    assert all(each.converged >= 2 for each in found)
    for one in found[:3]:
        assert len(one.rests) == 4
        assert [rest.total for rest in one.rests] == pytest.approx([120 - one.converged] * 4)
    spread = np.std([one.integrate(smooth).value for one in found], ddof=1)
    variances = [sum(rest.dispersion(smooth)[0] for rest in one.rests) / 16 for one in found]
    # a standard deviation of 120 is known to 6.5%
    assert math.sqrt(np.mean(variances)) == pytest.approx(spread, rel=0.2)
    signs = spectrum(operator, steps=8, probes=4, distribution="rademacher", progress=False)
    assert signs.rests == ()


def test_signs_have_no_variance_on_the_trace_of_a_diagonal():
    operator = Matrix(np.diag(np.arange(1.0, 21)))
    signs, normal = (
        spectrum(operator, steps=5, seed=0, distribution=d, shared=False) for d in ("rademacher", "gaussian")
    )
    assert signs.trace() == pytest.approx((210.0, 0.0), abs=1e-9)
    assert normal.trace().error > 1


def test_same_seed_same_result_and_first_probes_do_not_depend_on_their_number():
    operator = Matrix(heavy())
    first, again = (spectrum(operator, steps=20, probes=3, seed=5, shared=False) for _ in range(2))
    more = spectrum(operator, steps=20, probes=5, seed=5, shared=False)
    other = spectrum(operator, steps=20, probes=3, seed=6, shared=False)
    for k in range(3):
        assert np.array_equal(first.probes[k].nodes, again.probes[k].nodes)
        assert np.array_equal(first.probes[k].weights, again.probes[k].weights)
        assert np.allclose(first.probes[k].nodes, more.probes[k].nodes, atol=1e-10)
        assert not np.allclose(first.probes[k].nodes, other.probes[k].nodes, atol=1e-3)
    from_generator = spectrum(operator, steps=20, probes=3, seed=np.random.default_rng(5), shared=False)
    assert np.array_equal(first.probes[0].nodes, from_generator.probes[0].nodes)


def test_probes_one_at_a_time_are_those_that_advance_together():
    operator = Matrix(heavy())
    one = spectrum(operator, steps=20, probes=3, seed=5, max_memory=need(operator.dimension, 20))
    together = spectrum(operator, steps=20, probes=3, seed=5, shared=False)
    for a, b in zip(one.probes, together.probes, strict=True):
        assert np.allclose(a.nodes, b.nodes, atol=1e-10)


def test_too_little_memory_is_refused_with_what_would_fit():
    operator = Matrix(heavy(120))
    assert need(120, 50) == 48000
    with pytest.raises(ValueError) as refusal:
        spectrum(operator, steps=50, max_memory=30000)
    message = str(refusal.value)
    assert "the basis of 50 vectors of 120 numbers takes 4.8e+04" in message
    assert "max_memory=4.8e+04" in message
    assert "steps=31" in message
    assert "storage='float32'" in message
    spectrum(operator, steps=31, probes=1, max_memory=30000)
    spectrum(operator, steps=50, probes=1, max_memory=30000, storage="float32")
    with pytest.raises(ValueError, match="max_memory") as refusal:
        vector_measure(operator, np.ones(120), steps=50, max_memory=500)
    assert "steps" not in str(refusal.value).partition("give")[2]


def test_where_memory_is_short_there_are_fewer_steps_of_all_probes():
    D = 400
    operator = Matrix(outliers(D=D))
    probing = Probing(operator, probes=4, budget=400, seed=0, max_memory=need(D, 4 * 40))
    assert probing.together == 4
    assert probing.levels == [16, 24, 32, 40]
    first = probing.spectrum.products  # what reads the spectrum before anything is integrated
    while probing.refine():
        pass
    assert (first, probing.spectrum.products) == (64, 160)
    assert probing.spectrum.integrate(smooth).resolved
    # no room for all probes at the first level: one after the other, of so many steps as one may have
    assert Probing(operator, max_memory=need(D, 20)).levels == [16]
    assert Probing(operator, max_memory=need(D, 9)).levels == [9]
    with pytest.raises(ValueError, match="max_memory"):
        Probing(operator, max_memory=need(D, 1) / 2)


def krylov(H, steps, probes, seed):
    """Return starts of length 1, and an orthonormal basis of their Krylov space, by dense algebra."""
    Z = np.column_stack([rng.standard_normal(len(H)) for rng in np.random.default_rng(seed).spawn(probes)])
    powers = [Z / np.linalg.norm(Z, axis=0)]
    for _ in range(steps - 1):
        powers.append(np.linalg.qr(H @ powers[-1])[0])
    return powers[0], np.linalg.qr(np.column_stack(powers))[0]


def taken(H, steps, starts):
    """Return a run of so many steps."""
    run = Run(torch.from_numpy(starts), steps)
    while not run.finished:
        advance(run, Matrix(H))
    return run


def test_a_shared_basis_is_block_lanczos_of_dense_algebra():
    """Quadratic forms of every start are those of H compressed to the Krylov space of all of them."""
    H, steps, probes = heavy(80, seed=4), 6, 3
    starts, Q = krylov(H, steps, probes, 9)
    theta, U = np.linalg.eigh(Q.T @ H @ Q)
    found = taken(H, steps, starts).ritz()
    assert spectrum(Matrix(H), steps=steps, probes=probes, seed=9).products == steps * probes
    for k in range(probes):
        weights = (U.T @ (Q.T @ starts[:, k])) ** 2
        assert found.values == pytest.approx(theta, abs=1e-9)
        assert found.weights[:, k] @ smooth(found.values) == pytest.approx(weights @ smooth(theta))
        for power in range(2 * steps):
            moment = starts[:, k] @ np.linalg.matrix_power(H, power) @ starts[:, k]
            assert found.weights[:, k] @ found.values**power == pytest.approx(moment, rel=1e-8, abs=1e-8)


def test_a_node_at_zero_costs_no_moment():
    """The rule with a node at 0 has one moment more, its zero as often as there are starts, and most mass there."""
    H, steps = heavy(80, seed=4), 6
    starts, _ = krylov(H, steps, 3, 9)
    fixed = taken(H, steps, starts).fixed(steps)
    assert np.sum(fixed.values == 1e-16 * np.abs(taken(H, steps, starts).ritz().values).max()) == 3
    zeros = np.abs(np.linalg.eigvalsh(H)) < 1e-12
    vectors = np.linalg.eigh(H)[1][:, zeros]
    for k, start in enumerate(starts.T):
        for power in range(2 * steps + 1):
            moment = start @ np.linalg.matrix_power(H, power) @ start
            assert fixed.weights[:, k] @ fixed.values**power == pytest.approx(moment, rel=1e-8, abs=1e-8)
        assert fixed.weights[fixed.values < 1e-12, k].sum() > np.sum((vectors.T @ start) ** 2)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_of_a_positive_spectrum_the_logarithm_lies_between_both_quadratures(seed):
    """A theorem, for functions whose derivatives alternate in sign: free nodes are above it, a node at 0 below."""
    h = 10 ** np.random.default_rng(seed).uniform(-4, 0, 90)
    H = symmetric(h, seed)
    starts, _ = krylov(H, 1, 3, seed)
    run = taken(H, 5, starts)
    values, vectors = np.linalg.eigh(H)
    free, fixed = run.ritz(), run.fixed(5)
    for f in (lambda x: np.log(x + 1e-3), lambda x: -1 / (x + 1e-2), lambda x: x / (x + 1e-2), np.sqrt):
        truth = (vectors.T @ starts).T ** 2 @ f(np.maximum(values, 0))
        assert np.all(f(np.maximum(free.values, 0)) @ free.weights >= truth - 1e-9)
        assert np.all(f(np.maximum(fixed.values, 0)) @ fixed.weights <= truth + 1e-9)


def test_a_spectrum_is_read_by_free_nodes_and_a_node_at_zero():
    H, steps = heavy(150, seed=2), 10
    starts, _ = krylov(H, steps, 3, 5)
    run = taken(H, steps, starts)
    found = spectrum(Matrix(H), steps=steps, probes=3, seed=5)

    def by(rule):
        return 150 * (smooth(rule.values) @ rule.weights).mean()

    free, fixed = (by(run.ritz(10)) + by(run.ritz(9))) / 2, by(run.fixed(10))
    assert np.mean([rule.integrate(smooth) for rule in found.rules]) == pytest.approx((free + fixed) / 2)
    before = [(by(run.ritz(j)) + by(run.ritz(j - 1))) / 4 + by(run.fixed(j)) / 2 for j in range(5, 10)]
    change = max(abs(each - (free + fixed) / 2) for each in before)
    narrow = found.integrate(smooth)
    assert narrow.quadrature == pytest.approx(max(change, abs(free - fixed) / 2) / 2)

    def peaked(h):
        return 1 / (1e-4 + np.abs(h))

    wide = found.integrate(peaked)
    assert not wide.resolved
    free, fixed = ([np.mean([each.integrate(peaked) for each in side])] for side in (found.free, found.fixed))
    assert free[0] < peaked(np.linalg.eigvalsh(H)).sum() < fixed[0]
    far = spectrum(Matrix(H + 20 * np.eye(150)), steps=steps, probes=3, seed=5)
    assert far.fixed == () == far.free  # 0 is no place for a node


def outliers(seed=0, D=400):
    """Return a diagonal matrix with ten large eigenvalues, a bulk, and zeros."""
    rng = np.random.default_rng(seed)
    return np.diag(np.concatenate([np.geomspace(5, 500, 10), rng.normal(size=D - 110) * 0.1, np.zeros(100)]))


def test_converged_eigenvalues_are_counted_once_and_exactly():
    H = outliers()
    found = spectrum(Matrix(H), steps=12, probes=4, seed=0)
    for probe in found.probes:
        assert probe.total == pytest.approx(400)
        for large in np.geomspace(5, 500, 10):
            assert probe.weights[np.abs(probe.nodes - large) < 1e-3 * large].sum() == pytest.approx(1)
    truth, values = np.trace(H), np.diag(H)
    off = {
        shared: np.array([spectrum(Matrix(H), steps=12, shared=shared, seed=s).trace().value for s in range(8)]) - truth
        for shared in (True, False)
    }
    spread = np.sqrt(2 * np.sum((values - truth / 400) ** 2) / 4)  # of four Gaussian probes
    assert np.sqrt(np.mean(off[False] ** 2)) == pytest.approx(spread, rel=0.7)
    assert np.sqrt(np.mean(off[True] ** 2)) < spread / 20


@pytest.mark.parametrize("copies", [1, 3, 4, 40])
def test_an_eigenvalue_of_any_multiplicity_keeps_its_mass(copies):
    """Four probes see at most four copies; then it must not be counted as four."""
    values = np.concatenate([np.linspace(-1, 1, 300), np.full(copies, 10.0), np.zeros(50)])
    found = [spectrum(Matrix(np.diag(values)), steps=10, probes=4, seed=s) for s in range(12)]
    masses = np.array([[p.weights[p.nodes > 5].sum() for p in one.probes] for one in found])
    if copies < 4:
        assert np.allclose(masses, copies)
    else:
        assert abs(masses.mean() - copies) < 4 * masses.std() / math.sqrt(48)
    zeros = [one.integrate(lambda h: (np.abs(h) < 1e-9).astype(float)).value for one in found]
    assert max(zeros) < 350


def test_a_bulk_far_from_zero_is_no_handful_of_eigenvalues():
    """Its nodes have residuals small relative to their values, and stand for several eigenvalues each all the same."""
    h = np.concatenate([np.linspace(0.995, 1.005, 200), np.random.default_rng(0).random(400) * 0.1])
    found = [spectrum(Matrix(np.diag(h)), steps=16, seed=s).trace() for s in range(6)]
    assert np.mean([each.value for each in found]) == pytest.approx(h.sum(), rel=0.1)
    assert sum(abs(each.value - h.sum()) <= 2 * each.error for each in found) >= 5


def test_the_whole_space_is_exact():
    H = heavy(40)
    found = spectrum(Matrix(H), steps=40, probes=4, seed=1)
    assert found.converged == 30  # all but the ten zeros, of which four starts see four copies
    assert found.products == 34
    values = np.linalg.eigvalsh(H)
    for f in (smooth, np.abs, np.exp):
        assert found.integrate(f) == pytest.approx((f(values).sum(), 0), abs=1e-9)
    apart = symmetric(np.linspace(-1, 1, 21) ** 3)
    found = spectrum(Matrix(apart), steps=21, probes=3, seed=1)
    assert found.converged == 21 and found.rests == ()
    assert found.integrate(np.exp) == pytest.approx((np.exp(np.linalg.eigvalsh(apart)).sum(), 0), abs=1e-9)


def test_a_swing_between_half_of_the_steps_and_all_is_seen():
    """The quadrature's error is read off eight quadratures, from half of the steps on."""

    def kinked(h):
        return np.abs(h) / (0.02 + np.abs(h))

    options = {"probes": 2, "seed": 5, "shared": False, "progress": False}
    operator = Matrix(heavy(300))
    last = spectrum(operator, steps=32, **options)
    before = [spectrum(operator, steps=steps, **options) for steps in range(16, 32, 2)]
    changes = np.abs([each.pooled.integrate(kinked) - last.pooled.integrate(kinked) for each in before])
    hidden = np.mean([gap.hidden(kinked) for gap in last.gaps])
    assert last.integrate(kinked).quadrature == pytest.approx(math.hypot(changes.max() / 2, hidden))
    assert changes[1::2].max() > 1.3 * changes[::2].max()  # every other one would miss it


def test_steps_are_taken_until_the_integral_has_converged():
    values = np.concatenate([np.random.default_rng(0).normal(size=500) * 0.1, [5.0, 8.0]])
    easy, hard = (lambda h, t=t: t / (t + np.abs(h)) for t in (1.0, 0.05))
    options = {"accuracy": 0.006, "budget": 400, "seed": 0}
    one, other = (spectrum(Matrix(np.diag(values)), integrand=f, **options) for f in (easy, hard))
    for f, found in ((easy, one), (hard, other)):
        estimate = found.integrate(f)
        assert estimate.resolved
        assert estimate.error <= 0.006 * estimate.value or found.products == 400
        assert abs(estimate.value - f(values).sum()) < 3 * estimate.error
    assert one.products < other.products <= 400
    both = spectrum(Matrix(np.diag(values)), integrand=(easy, hard), **options)
    assert both.products == other.products
    whole = spectrum(Matrix(np.diag(values)), budget=100, seed=0)
    assert whole.products == 100
    same = spectrum(Matrix(np.diag(values)), steps=25, seed=0)
    assert np.array_equal(whole.probes[1].weights, same.probes[1].weights)


def clustered(D=300, seed=0):
    """Return eigenvalues in five narrow clusters, and zeros: a few steps see them all, and the starts scatter."""
    centers = np.repeat([0.1, 0.5, 1.0, 3.0, 8.0], D // 6)
    noise = 1 + 1e-4 * np.random.default_rng(seed).standard_normal(centers.size)
    return np.concatenate([centers * noise, np.zeros(D - centers.size)])


def test_a_budget_goes_to_probes_where_only_the_scatter_is_left():
    values = clustered()
    probing = Probing(Matrix(np.diag(values)), budget=400, seed=0)
    found = probing.resolve(lambda one: one.trace(), 0.035)
    probes, first = len(probing.spectrum.probes), Probing(Matrix(np.diag(values)), budget=400, seed=0).spectrum
    assert probes > 4 and probes % 4 == 0
    assert probing.spectrum.products == 24 * probes <= 400  # no more steps than it takes to see that they gain nothing
    assert found.error < 0.6 * first.trace().error
    assert abs(found.value - values.sum()) <= 2 * found.error
    whole = probing.resolve(lambda one: one.trace(), 1e-9)
    assert probing.exhausted and not probing.refine()
    assert 24 * 4 * 4 <= probing.products <= 400
    assert whole.error < found.error
    probing.restart()
    assert probing.spectrum.trace() == first.trace()
    probing.whole()
    assert len(probing.spectrum.probes) == 4 and probing.spectrum.products > 200


def test_a_budget_goes_to_steps_where_they_gain_more():
    values = 10 ** np.random.default_rng(0).uniform(-4, 1, 500)
    probing = Probing(Matrix(np.diag(values)), budget=400, seed=0)
    probing.resolve(lambda one: one.trace(), 1e-9)
    assert len(probing.spectrum.probes) == 4
    one = Probing(Matrix(np.diag(clustered())), probes=1, budget=100, seed=0)
    one.resolve(lambda found: found.trace(), 0.01)
    assert len(one.spectrum.probes) == 1  # which has no scatter to tell
    for options in ({"steps": 16}, {"shared": False}, {"max_memory": need(300, 32)}):
        fixed = Probing(Matrix(np.diag(clustered())), budget=400, seed=0, **options)
        fixed.resolve(lambda found: found.trace(), 0.01)
        assert len(fixed.spectrum.probes) == 4


def test_a_killed_run_that_draws_more_probes_resumes_bit_for_bit(tmp_path):
    H, options = np.diag(clustered()), {"budget": 300, "accuracy": 0.015, "seed": 2, "integrand": lambda h: h}
    whole = spectrum(Matrix(H), **options)
    assert len(whole.probes) > 8
    with pytest.raises(Killed):
        spectrum(Mortal(H, 45), resume=tmp_path / "run", **options)
    counted = Mortal(H, 10**9)
    again = spectrum(counted, resume=tmp_path / "run", **options)
    assert [p.weights.tolist() for p in again.probes] == [p.weights.tolist() for p in whole.probes]
    assert 10**9 - counted.life <= whole.products // 4 - 40


@pytest.mark.parametrize("scale", [1e-3, 1e-5, 1e-8])
@pytest.mark.parametrize("shared", [True, False])
def test_where_the_budget_ends_before_the_kink_is_resolved_there_is_no_bar(scale, shared):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=600) * 10 ** rng.uniform(-9, 0, 600), [5.0, 8.0]])

    def kinked(h):
        return np.abs(h) / (scale + np.abs(h))

    found = spectrum(Matrix(np.diag(values)), integrand=kinked, budget=48, shared=shared, seed=0).integrate(kinked)
    assert abs(found.value - kinked(values).sum()) > 0.05 * kinked(values).sum()
    assert not found.resolved
    assert math.isinf(found.error)
    assert math.isfinite(found.scatter)


def test_a_positive_spectrum_that_goes_on_below_the_least_node_is_not_resolved():
    def steep(h):
        return np.log(h + 1e-9)

    h = 10 ** np.random.default_rng(0).uniform(-12, 0, 1500)
    found = spectrum(Matrix(np.diag(h)), steps=24, seed=0)
    assert abs(found.integrate(steep).value - steep(h).sum()) > 0.05 * np.abs(steep(h)).sum()
    assert not found.integrate(steep).resolved
    assert found.trace().resolved
    assert spectrum(Matrix(np.diag(1 + h)), steps=24, seed=0).log_determinant().resolved


class Killed(Exception):
    pass


class Mortal(Matrix):
    """A matrix that dies after so many products."""

    def __init__(self, entries, life):
        super().__init__(entries)
        self.life = life

    def product(self, v):
        if self.life == 0:
            raise Killed
        self.life -= 1
        return super().product(v)


@pytest.mark.parametrize("life", [3, 10, 25, 47, 80, 95])
@pytest.mark.parametrize("memory", [need(120, 32), 2 * need(120, 32), 4e9])
def test_a_killed_run_resumes_bit_for_bit(tmp_path, life, memory):
    H, options = heavy(120), {"steps": 32, "probes": 3, "seed": 7, "max_memory": memory, "progress": False}
    whole = spectrum(Matrix(H), **options)
    path = tmp_path / "run.safetensors"
    products = 32 * math.ceil(3 / min(3, int(memory // need(120, 32))))
    if life < products:
        with pytest.raises(Killed):
            spectrum(Mortal(H, life), resume=path, **options)
    counted = Mortal(H, 10**9)
    resumed = spectrum(counted, resume=path, **options)
    for a, b in zip(whole.probes, resumed.probes, strict=True):
        assert np.array_equal(a.nodes, b.nodes)
        assert np.array_equal(a.weights, b.weights)
    spent = 10**9 - counted.life
    if 10 <= life < products:
        assert spent <= products - 10  # not from the beginning
    done = Mortal(H, 0)
    assert np.array_equal(spectrum(done, resume=path, **options).probes[2].nodes, whole.probes[2].nodes)


def test_files_of_other_runs_and_damaged_ones_are_refused(tmp_path):
    H, path = heavy(60), tmp_path / "run.safetensors"
    options = {"steps": 20, "probes": 2, "seed": 1, "resume": path}
    spectrum(Matrix(H), **options)
    with pytest.raises(CheckpointError, match=r"operator\.matrix is"):
        spectrum(Matrix(2 * H), **options)
    with pytest.raises(CheckpointError, match="steps is 20 there and 21 here"):
        spectrum(Matrix(H), **options | {"steps": 21})
    with pytest.raises(CheckpointError, match="probes is 2 there and 3 here"):
        spectrum(Matrix(H), **options | {"probes": 3})
    with pytest.raises(CheckpointError, match="has other start vectors: give its seed and distribution"):
        spectrum(Matrix(H), **options | {"seed": 2})
    with pytest.raises(CheckpointError, match="storage is float64 there and float32 here"):
        spectrum(Matrix(H), **options | {"storage": "float32"})
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        spectrum(Matrix(H), **options)


def test_a_second_probing_on_one_file_is_refused(tmp_path):
    """The file is the first one's until it is closed, has ended, or has fallen."""
    H, path = heavy(60), tmp_path / "new" / "run.safetensors"
    options = {"steps": 20, "probes": 2, "seed": 1, "resume": path}
    with Probing(Matrix(H), **options) as first:
        with pytest.raises(CheckpointError, match=rf"is the checkpoint of a probing .*process {os.getpid()} on"):
            spectrum(Matrix(H), **options)
        with pytest.raises(CheckpointError, match="is the checkpoint of a probing"):
            Probing(Matrix(2 * H), **options)
        found = first.whole()
    again = Mortal(H, 0)  # which takes no product
    assert np.array_equal(spectrum(again, **options).probes[1].nodes, found.probes[1].nodes)
    with pytest.raises(CheckpointError, match=r"operator\.matrix is"):
        Probing(Matrix(2 * H), **options)  # refused, it leaves the file alone
    assert spectrum(again, **options).products == 40
    assert [p.name for p in path.parent.iterdir()] == ["run.safetensors"]


def test_a_probing_that_nobody_closes_gives_its_file_up_when_it_is_gone(tmp_path):
    H, options = heavy(60), {"steps": 20, "probes": 2, "seed": 1, "resume": tmp_path / "run"}
    first = Probing(Matrix(H), **options)
    with pytest.raises(CheckpointError, match="is the checkpoint of a probing"):
        Probing(Matrix(H), **options)
    del first
    gc.collect()
    assert Probing(Matrix(H), **options).whole().products == 40


def test_resuming_needs_an_operator_with_an_identity(tmp_path):
    class Bare:
        dimension = 3

        def product(self, v):
            return 2 * v

    assert spectrum(Bare(), steps=3).trace().value == pytest.approx(6)
    with pytest.raises(ValueError, match="operator has no identity"):
        spectrum(Bare(), resume=tmp_path / "run")


def test_a_bar_counts_products(capsys):
    spectrum(Matrix(heavy(60)), steps=7, probes=2, progress=True)
    assert "14/14" in capsys.readouterr().err
    spectrum(Matrix(np.eye(5)), steps=5, probes=2, progress=True)  # ends after a product each
    assert "10/10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"probes": 0}, "probes is 0"),
        ({"budget": 3}, "budget is 3"),
        ({"accuracy": 0}, "accuracy is 0"),
        ({"distribution": "uniform"}, "distribution is 'uniform': give 'gaussian' or 'rademacher'"),
        ({"storage": "float16"}, "storage is 'float16': give 'float64' or 'float32'"),
        ({"seed": -1}, "seed is -1"),
        ({"max_memory": 0}, "max_memory is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        spectrum(Matrix(np.eye(3)), **change)


def test_products_that_are_not_finite_are_refused():
    class Broken:
        dimension = 3

        def product(self, v):
            return v * math.nan

    with pytest.raises(FloatingPointError, match="operator's product 1 has the length nan: give a finite operator"):
        spectrum(Broken(), probes=2, progress=False)


@pytest.mark.parametrize("c", [np.zeros(3), np.ones(4), [1.0, math.nan, 0.0], torch.tensor([1.0, math.inf, 0.0])])
def test_vectors_that_have_no_measure_are_refused(c):
    with pytest.raises(ValueError, match=r"c is 0|c has shape|c holds"):
        vector_measure(Matrix(np.eye(3)), c)
