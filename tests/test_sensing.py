"""Matrix sensing: losses, penalty, solver and theory against autograd, dense algebra, simulation and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunekit import sensing
from prunekit.sensing import MatrixSensing, Penalized, approximate_minimum, gradient_descent, ground_truth
from prunekit.sensing.problem import coordinates, symmetric


def problems(d=5, r=2, sigma=0.3):
    """Return a population, fewer and more measurements than coordinates."""
    truth = ground_truth(d, r, [3.0, 1.0], seed=1)
    few, many = (MatrixSensing.measure(truth, n, sigma=sigma, seed=2) for n in (9, 40))
    return {"population": MatrixSensing.population(truth, sigma=sigma), "few": few, "many": many}


def model(d=5, k=4, seed=3):
    U = np.random.default_rng(seed).standard_normal((d, k))
    U[:, 1] = 0  # where the norm itself would have no derivative
    return U


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize("spectrum", [None, [5.0, 2.0, 0.5]])
def test_ground_truth_has_the_spectrum(spectrum):
    U = ground_truth(8, 3, spectrum, seed=0)
    np.testing.assert_allclose(U.T @ U, np.diag(np.ones(3) if spectrum is None else spectrum), atol=1e-12)


def test_ground_truth_directions_are_uniform():
    draws = np.array([ground_truth(3, 2, seed=s) for s in range(3000)])
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0)) < 5 * error)
    squares = draws**2
    assert np.all(np.abs(squares.mean(axis=0) - 1 / 3) < 5 * squares.std(axis=0) / np.sqrt(len(draws)))


@given(st.integers(1, 6), st.integers(0, 1000))
def test_coordinates_are_orthonormal(d, seed):
    rng = np.random.default_rng(seed)
    X, Y = (A + A.T for A in rng.standard_normal((2, d, d)))
    assert coordinates(X) @ coordinates(Y) == pytest.approx(np.sum(X * Y), abs=1e-10)
    np.testing.assert_allclose(symmetric(coordinates(X), d), X, atol=1e-12)


def dense(truth, n, sigma, seed):
    """Return the same measurements as matrices (n, d, d), drawn again and kept as they are."""
    rng = np.random.default_rng(seed)
    d = truth.shape[0]
    A = np.array([symmetric(row, d) for row in rng.standard_normal((n, d * (d + 1) // 2))])
    return A, np.einsum("nij,ij->n", A, truth @ truth.T) + sigma * rng.standard_normal(n)


@pytest.mark.parametrize("n", [1, 9, 15, 16, 40])
def test_measured_loss_is_the_mean_over_dense_measurements(n):
    truth = ground_truth(5, 2, [3.0, 1.0], seed=1)
    problem = MatrixSensing.measure(truth, n, sigma=0.3, seed=2)
    A, y = dense(truth, n, 0.3, 2)
    U = model()
    missing = y - np.einsum("nij,ij->n", A, U @ U.T)
    E, loss = problem.residual(U)
    assert loss == pytest.approx(np.mean(missing**2), rel=1e-10)
    np.testing.assert_allclose(E, np.einsum("n,nij->ij", missing, A) / n, atol=1e-10)
    X = truth @ truth.T
    np.testing.assert_allclose(problem.apply(X), np.einsum("n,nij->ij", y * 0 + inner(A, X), A) / n, atol=1e-10)


def inner(A, X):
    return np.einsum("nij,ij->n", A, X)


def test_measurement_matrices_have_the_stated_scale():
    A, _ = dense(ground_truth(4, 1, seed=0), 20000, 0.0, 5)
    variance, error = (A**2).mean(axis=0), (A**2).std(axis=0) / np.sqrt(len(A))
    assert np.all(np.abs(variance - (np.eye(4) + 1) / 2) < 5 * error)
    X = np.arange(16.0).reshape(4, 4)
    squares = inner(A, X + X.T) ** 2
    assert abs(squares.mean() - np.sum((X + X.T) ** 2)) < 5 * squares.std() / np.sqrt(len(A))


def test_population_loss_is_the_expected_measured_loss():
    truth, U = ground_truth(4, 2, seed=1), model(4, 3)
    losses = np.array([MatrixSensing.measure(truth, 12, sigma=0.7, seed=s).loss(U) for s in range(600)])
    expected = MatrixSensing.population(truth, sigma=0.7).loss(U)
    assert expected == pytest.approx(np.sum((U @ U.T - truth @ truth.T) ** 2) + 0.49)
    assert abs(losses.mean() - expected) < 5 * losses.std() / np.sqrt(600)


def test_error_is_relative():
    truth = ground_truth(6, 2, seed=1)
    problem = MatrixSensing.population(truth)
    assert problem.error(np.zeros((6, 3))) == pytest.approx(1)
    assert problem.error(truth @ np.array([[0.6, 0.8], [-0.8, 0.6]])) < 1e-12


# ---------------------------------------------------------------- derivatives


def by_autograd(problem, strength, smoothing, U):
    import torch

    M = torch.tensor(problem.truth @ problem.truth.T)

    def objective(u):
        u = u.reshape(U.shape)
        W = u @ u.T
        if problem.n is None:
            loss = ((W - M) ** 2).sum() + problem.sigma**2
        else:
            A, y = map(torch.tensor, dense(problem.truth, problem.n, problem.sigma, 2))
            loss = (((A * W).sum((1, 2)) - y) ** 2).mean()
        s = (u**2).sum(0)
        return loss + strength * (s / torch.sqrt(s + smoothing)).sum()

    x = torch.tensor(U.ravel(), requires_grad=True)
    value = objective(x)
    (gradient,) = torch.autograd.grad(value, x)
    return value.item(), gradient.numpy().reshape(U.shape), torch.autograd.functional.hessian(objective, x).numpy()


@pytest.mark.parametrize("name", ["population", "few", "many"])
@pytest.mark.parametrize(("strength", "smoothing"), [(0.0, 1.0), (0.7, 0.05), (2.0, 3.0)])
def test_value_gradient_and_hessian_are_autograds(name, strength, smoothing):
    problem, U = problems()[name], model()
    value, gradient, hessian = by_autograd(problem, strength, smoothing, U)
    objective = Penalized(problem, strength, smoothing)
    found, slope = objective.value_and_gradient(U)
    assert found == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(slope, gradient, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(objective.hessian(U), hessian, rtol=1e-8, atol=1e-8)


# ---------------------------------------------------------------- penalty and cut


matrices = st.integers(0, 10**6).map(lambda s: np.random.default_rng(s).standard_normal((4, 3)) * 10.0 ** (s % 4 - 2))


@given(matrices, st.floats(1e-8, 10))
def test_the_penalty_is_below_the_group_lasso_and_tends_to_it(U, smoothing):
    norms = np.linalg.norm(U, axis=0)
    penalty = sensing.group_penalty(U, smoothing)
    assert 0 < penalty <= norms.sum() * (1 + 1e-12)
    gap = np.sum(smoothing / (2 * norms))  # 1/√(1+x) ≥ 1 - x/2
    assert norms.sum() - penalty <= gap + 1e-12 * norms.sum()


@given(matrices, st.floats(1e-4, 10))
def test_orthogonal_columns_have_the_least_penalty_for_the_same_product(U, smoothing):
    rotated = U @ np.linalg.svd(U)[2].T
    np.testing.assert_allclose(rotated @ rotated.T, U @ U.T, atol=1e-9 * np.sum(U**2))
    assert sensing.group_penalty(rotated, smoothing) <= sensing.group_penalty(U, smoothing) * (1 + 1e-12)


def test_the_cut_drops_what_does_not_exceed_it():
    U = np.diag([3.0, 2.0, 0.0, 2.5])
    np.testing.assert_array_equal(sensing.greedy_prune(U, 2.0), U[:, [0, 3]])
    assert sensing.greedy_prune(U, 5).shape == (4, 0)
    assert sensing.cut_off(0.25) == 1.0


@given(matrices)
def test_share_above_falls_from_all_to_none(U):
    x = np.linspace(0, 1, 21)
    share = sensing.share_above(U, x)
    assert share[0] == 1
    assert share[-1] == 0
    assert np.all(np.diff(share) <= 0)
    norms = sorted(np.linalg.norm(U, axis=0))
    assert sensing.share_above(U, norms[1] / norms[2] * (1 - 1e-9)) == pytest.approx(2 / 3)


# ---------------------------------------------------------------- solver


@pytest.mark.parametrize("size", [1, 2, 7, 60])
def test_least_curvature_is_the_smallest_eigenvalue(size):
    A = np.random.default_rng(size).standard_normal((size, size))
    A = A + A.T
    value, vector, error = sensing.least_curvature(lambda z: A @ z, (size,), tolerance=1e-9, seed=1)
    assert value == pytest.approx(np.linalg.eigvalsh(A)[0], abs=1e-7)
    assert np.linalg.norm(A @ vector - value * vector) <= error + 1e-9
    assert np.linalg.norm(vector) == pytest.approx(1)


def test_least_curvature_of_a_multiple_of_the_identity_and_cut_short():
    value, _, error = sensing.least_curvature(lambda z: -2 * z, (3, 4), seed=0)
    assert (value, error) == (pytest.approx(-2), pytest.approx(0, abs=1e-12))
    spectrum = np.linspace(0, 1, 400)
    value, vector, error = sensing.least_curvature(lambda z: spectrum * z, (400,), max_steps=10, tolerance=1e-12)
    assert value > 0
    assert np.linalg.norm(spectrum * vector - value * vector) == pytest.approx(error, rel=1e-6)
    assert np.min(np.abs(spectrum - value)) <= error


@pytest.mark.parametrize("spectrum", [[1.0, 1.0], [4.0, 1.0], [9.0, 3.0, 1.0]])
def test_minima_of_the_population_loss_are_the_closed_form(spectrum):
    strength, smoothing = sensing.suggested_penalty(1.0)
    truth = ground_truth(12, len(spectrum), spectrum, seed=4)
    objective = Penalized(MatrixSensing.population(truth), strength, smoothing)
    found = approximate_minimum(objective, sensing.random_start(12, 12, seed=5), gradient_tolerance=1e-8)
    assert found.converged
    norms = np.sort(np.linalg.norm(found.U, axis=0))[::-1]
    masses = [sensing.surviving_mass(mu, strength, smoothing) for mu in spectrum]
    np.testing.assert_allclose(norms[: len(spectrum)] ** 2, masses, rtol=1e-6)
    assert norms[len(spectrum)] < 1e-6
    residuals = strength * sensing.shrinkage(masses, smoothing) / 4
    assert objective.problem.loss(found.U) == pytest.approx(np.sum(residuals**2), rel=1e-5)


def test_minima_of_a_measured_loss_have_orthogonal_columns_and_the_stationarity_stated():
    truth = ground_truth(6, 2, [2.0, 1.0], seed=6)
    objective = Penalized(MatrixSensing.measure(truth, 25, sigma=0.4, seed=7), 0.02, 0.01)
    found = approximate_minimum(objective, sensing.random_start(6, 8, seed=8), gradient_tolerance=1e-7)
    assert found.converged
    _, gradient = objective.value_and_gradient(found.U)
    assert np.linalg.norm(gradient) == pytest.approx(found.gradient_norm, rel=1e-6)
    assert found.gradient_norm <= 1e-7
    least = np.linalg.eigvalsh(objective.hessian(found.U))[0]
    assert abs(least - found.least_curvature) <= found.curvature_error + 1e-8
    kept = sensing.greedy_prune(found.U, sensing.cut_off(0.01))
    assert kept.shape[1] > 2  # noise keeps columns here: not the trivial case
    products = kept.T @ kept
    assert np.abs(products - np.diag(np.diag(products))).max() < 1e-3


def test_saddles_are_left():
    strength, smoothing = sensing.suggested_penalty(1.0)
    truth = ground_truth(8, 3, seed=9)
    objective = Penalized(MatrixSensing.population(truth), strength, smoothing)
    for start in (np.zeros((8, 5)), np.tile(truth[:, :1], 5)):
        found = approximate_minimum(objective, start, seed=1)
        assert found.converged
        assert found.escapes >= 1
        assert sensing.greedy_prune(found.U, sensing.cut_off(smoothing)).shape[1] == 3


def test_a_search_cut_short_says_so():
    objective = Penalized(MatrixSensing.population(ground_truth(8, 3, seed=9)), 0.05, 0.01)
    start = sensing.random_start(8, 8, seed=0)
    assert not approximate_minimum(objective, start, max_iterations=3).converged
    assert not approximate_minimum(objective, np.zeros((8, 4)), max_escapes=0).converged


def test_gradient_descent_is_gradient_descent():
    objective = Penalized(problems()["few"], 0.3, 0.1)
    U = model()
    found = gradient_descent(objective, U, step=1e-3, steps=3, every=2, measure=np.sum)
    path = [U]
    for _ in range(3):
        path.append(path[-1] - 1e-3 * objective.value_and_gradient(path[-1])[1])
    np.testing.assert_array_equal(found.U, path[-1])
    np.testing.assert_array_equal(found.step, [0, 2, 3])
    np.testing.assert_array_equal(found.value, [objective.value_and_gradient(path[t])[0] for t in (0, 2, 3)])
    np.testing.assert_array_equal(found.measured, [path[t].sum() for t in (0, 2, 3)])


def test_fine_tuning_contracts_as_the_curvature_says():
    mu, step = 2.0, 0.01
    truth = ground_truth(7, 1, [mu], seed=3)
    objective = Penalized(MatrixSensing.population(truth))
    start = truth + 1e-5 * np.random.default_rng(0).standard_normal((7, 1))
    curvatures = np.linalg.eigvalsh(objective.hessian(truth))
    np.testing.assert_allclose(curvatures, [4 * mu] * 6 + [8 * mu], rtol=1e-10)
    found = gradient_descent(objective, start, step=step, steps=60, every=10)
    ratios = found.gradient_norm[4:] / found.gradient_norm[3:-1]
    np.testing.assert_allclose(ratios, (1 - step * 4 * mu) ** 10, rtol=1e-2)


def test_the_limit_of_descent_is_where_descent_goes():
    problem = MatrixSensing.measure(ground_truth(6, 2, [2.0, 1.0], seed=6), 40, sigma=0.3, seed=7)
    objective, start = Penalized(problem), problem.truth + 0.05
    limit = sensing.descent_limit(objective, start, step=0.02)
    assert np.linalg.norm(objective.value_and_gradient(limit)[1]) < 1e-12
    far = gradient_descent(objective, start, step=0.02, steps=4000, every=4000).U
    np.testing.assert_allclose(limit, far, atol=1e-9)


@pytest.mark.parametrize("spectrum", [[2.0], [2.0, 1.0], [3.0, 3.0, 0.5]])
def test_descent_on_the_population_loss_contracts_as_the_least_eigenvalue_says(spectrum):
    truth = ground_truth(7, len(spectrum), spectrum, seed=3)
    found = sensing.contraction(Penalized(MatrixSensing.population(truth)), truth, 0.01)
    assert found == pytest.approx(1 - 0.01 * 4 * min(spectrum), rel=1e-9)


def test_more_columns_than_rows_have_no_contraction():
    objective = Penalized(MatrixSensing.population(ground_truth(3, 1, seed=0)))
    with pytest.raises(ValueError, match=r"limit has shape \(3, 4\): give at most as many columns as rows"):
        sensing.contraction(objective, np.ones((3, 4)), 0.01)


def test_the_linearized_distance_is_that_of_descent_near_its_limit():
    truth = ground_truth(5, 2, [2.0, 1.0], seed=1)
    objective = Penalized(MatrixSensing.measure(truth, 30, seed=2))
    start = truth + 1e-6 * np.random.default_rng(0).standard_normal((5, 2))
    path = gradient_descent(
        objective, start, step=0.02, steps=100, measure=lambda U: float(np.linalg.norm(U @ U.T - truth @ truth.T))
    )
    found = sensing.linearized_distance(objective, truth, start, step=0.02, times=path.step)
    np.testing.assert_allclose(found, path.measured, rtol=1e-4)
    ratio = sensing.contraction(objective, truth, 0.02)
    far = sensing.linearized_distance(objective, truth, start, step=0.02, times=[500, 501])
    assert far[1] / far[0] == pytest.approx(ratio, rel=1e-4)


def test_descent_stops_or_says_that_it_diverges():
    objective = Penalized(MatrixSensing.population(ground_truth(5, 2, seed=0)))
    start = sensing.random_start(5, 5, seed=1)
    found = gradient_descent(objective, start, step=0.05, steps=5000, stop_at=1e-2)
    assert found.gradient_norm[-1] <= 1e-2 < found.gradient_norm[-2]
    with pytest.raises(FloatingPointError, match="step is 5"):
        gradient_descent(objective, start, step=5.0, steps=200)


def test_the_same_seed_gives_the_same_result():
    truth = ground_truth(5, 2, seed=3)
    np.testing.assert_array_equal(truth, ground_truth(5, 2, seed=3))
    one, two = (MatrixSensing.measure(truth, 30, sigma=0.1, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.design, two.design)
    start = sensing.random_start(5, 5, seed=5)
    np.testing.assert_array_equal(start, sensing.random_start(5, 5, seed=5))
    a, b = (approximate_minimum(Penalized(p, 0.05, 0.01), start, seed=6) for p in (one, two))
    np.testing.assert_array_equal(a.U, b.U)


# ---------------------------------------------------------------- theory


positive = st.floats(0.01, 10)


@given(positive, positive, positive)
@settings(max_examples=60)
def test_surviving_mass_is_the_largest_root(mu, strength, smoothing):
    w = np.linspace(0, mu, 20001)
    below = np.flatnonzero(w + strength * sensing.shrinkage(w, smoothing) / 4 <= mu)
    found = sensing.surviving_mass(mu, strength, smoothing)
    if below.size:
        assert found == pytest.approx(w[below[-1]], abs=1.01 * w[1])
    else:
        assert found <= 0.01 * mu or strength > 0.999 * sensing.largest_strength(mu, smoothing)


@given(positive, positive)
@settings(max_examples=60)
def test_the_largest_strength_is_where_columns_die(mu, smoothing):
    strength = sensing.largest_strength(mu, smoothing)
    w = np.linspace(0, mu, 20001)
    assert strength == pytest.approx(np.max(4 * (mu - w) / sensing.shrinkage(w, smoothing)), rel=1e-5)
    assert sensing.surviving_mass(mu, strength * 1.001, smoothing) == 0
    assert strength >= sensing.binding_strength(mu, smoothing) * (1 - 1e-12)
    for above in (0.2 * mu, 0.9 * mu):
        rest = w[w >= above]
        limited = np.max(4 * (mu - rest) / sensing.shrinkage(rest, smoothing))
        assert sensing.largest_strength(mu, smoothing, above) == pytest.approx(limited, rel=1e-3)
    assert sensing.largest_strength(mu, smoothing, mu) == 0


@given(mu=positive, smoothing=positive, cut=st.floats(0.0, 0.9))
def test_the_range_of_strengths_is_where_the_start_decides(mu, smoothing, cut):
    above = cut * mu
    always, most = sensing.strength_range(mu, smoothing, above)
    assert 0 < always <= most
    assert sensing.growth_level(0.99 * always, smoothing) < mu  # a column at 0 grows, and far enough
    for strength in (0.99 * always, 0.99 * most):
        assert sensing.surviving_mass(mu, strength, smoothing) > above
    assert sensing.surviving_mass(mu, 1.01 * most, smoothing) <= above
    if always < 0.98 * most:
        assert sensing.growth_level(1.01 * always, smoothing) > mu


@given(positive, positive, positive)
def test_a_zero_column_has_the_curvature_that_the_growth_level_says(mu, strength, smoothing):
    objective = Penalized(MatrixSensing.population(ground_truth(3, 1, [mu], seed=0)), strength, smoothing)
    least = np.linalg.eigvalsh(objective.hessian(np.zeros((3, 1))))[0]
    level = sensing.growth_level(strength, smoothing)
    assert least == pytest.approx(4 * (level - mu), rel=1e-9, abs=1e-9 * (level + mu))
    assert sensing.binding_strength(level, smoothing) == pytest.approx(strength)


def test_noise_level_is_the_largest_eigenvalue_of_averaged_noise():
    d, n, sigma = 120, 50, 0.4
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):  # a mean of n matrices with weights σξ is one such matrix times σ|ξ|/n
        A = symmetric(rng.standard_normal(d * (d + 1) // 2), d)
        found.append(np.linalg.eigvalsh(A)[-1] * sigma * np.linalg.norm(rng.standard_normal(n)) / n)
    assert np.mean(found) == pytest.approx(sensing.noise_level(d, n, sigma), rel=0.05)  # the edge is O(d^-2/3) off


def test_the_suggestion_keeps_its_promises():
    for least in (0.3, 1.0, 7.0):
        strength, smoothing = sensing.suggested_penalty(least)
        assert sensing.growth_level(strength, smoothing) == pytest.approx(least / 4)
        assert sensing.cut_off(smoothing) == pytest.approx(np.sqrt(least) / 5)
        shortest = sensing.least_column([least, 2 * least], strength, smoothing)
        assert sensing.cut_off(smoothing) * 4 < shortest < np.sqrt(least)


# ---------------------------------------------------------------- bad input


truth_ = ground_truth(4, 2, seed=0)
population = MatrixSensing.population(truth_)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ground_truth(3, 4, seed=0), ValueError, "r is 4.*from 1 to 3"),
        (lambda: ground_truth(3, 2, [1.0, 0.0], seed=0), ValueError, "spectrum holds 0.0"),
        (lambda: ground_truth(3, 2, [1.0], seed=0), ValueError, "spectrum has shape"),
        (lambda: MatrixSensing.measure(truth_, 0, seed=0), ValueError, "n is 0"),
        (lambda: MatrixSensing.measure(truth_, 10, sigma=-1, seed=0), ValueError, "sigma is -1"),
        (lambda: MatrixSensing.measure(truth_, 10, seed=0, max_memory=799), MemoryError, "n = 10.*population"),
        (lambda: MatrixSensing.population([[np.nan]]), ValueError, "truth holds nan"),
        (lambda: Penalized(population, -1), ValueError, "strength is -1"),
        (lambda: Penalized(population, 1, 0), ValueError, "smoothing is 0"),
        (lambda: sensing.cut_off(0), ValueError, "smoothing is 0"),
        (lambda: sensing.greedy_prune([1.0], 1), ValueError, "U has shape"),
        (lambda: sensing.greedy_prune([[1.0]], -1), ValueError, "threshold is -1"),
        (lambda: sensing.share_above(np.zeros((2, 2)), 0.5), ValueError, "U is 0"),
        (lambda: sensing.share_above(np.full((2, 2), np.nan), 0.5), ValueError, "U holds nan"),
        (lambda: sensing.group_penalty(np.eye(2), -1.0), ValueError, "smoothing is -1.0"),
        (lambda: sensing.group_penalty(np.full((2, 2), np.inf), 1.0), ValueError, "U holds inf"),
        (lambda: sensing.shrinkage(1.0, 0.0), ValueError, "smoothing is 0.0"),
        (lambda: sensing.random_start(3, 3, 0, seed=0), ValueError, "size is 0"),
        (lambda: approximate_minimum(Penalized(population), np.ones((3, 2))), ValueError, "give 4 rows"),
        (lambda: gradient_descent(Penalized(population), truth_, step=0, steps=1), ValueError, "step is 0"),
        (lambda: sensing.surviving_mass(0, 1, 1), ValueError, "mu is 0"),
        (lambda: sensing.suggested_penalty(-1), ValueError, "least is -1"),
        (lambda: sensing.noise_level(3, 0, 1), ValueError, "n is 0"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_limit_in_memory_is_a_limit():
    assert MatrixSensing.measure(truth_, 10, seed=0, max_memory=800).n == 10  # 10 measurements of 10 numbers of 8 bytes
