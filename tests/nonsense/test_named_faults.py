"""Faults that were found by hand, each against a computation of its own."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from prunekit import _checks, limit, linear, sensing, stable, statistics
from prunekit.curvature import Matrix
from prunekit.curvature.entries import hessian_diagonal, hessian_matrix
from prunekit.importance import natural
from prunekit.linear import risk_curves, strategies
from prunekit.masks import Mask, optimal_brain_surgeon, sweeps
from prunekit.masks.scores import magnitude
from prunekit.nets import Config, evaluate, fit_many
from prunekit.nets.models import vgg11
from prunekit.stable.bound import StableWeights
from tests.nets.helpers import toy
from tests.nonsense.values import Thing

CROSS = nn.functional.cross_entropy

RNG = np.random.default_rng(5)


@pytest.fixture
def problem() -> sensing.MatrixSensing:
    return sensing.MatrixSensing.measure(RNG.standard_normal((3, 2)), 5, sigma=0.1, seed=1)


def measurements(problem):
    """Return the symmetric matrices A_i behind the rows of the design."""
    found = []
    for row in problem.design:
        A = np.zeros((3, 3))
        A[np.triu_indices(3)] = row
        A = A + np.triu(A, 1).T
        off = ~np.eye(3, dtype=bool)
        A[off] /= math.sqrt(2)
        found.append(A)
    return found


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_the_loss_of_a_numpy_matrix_is_that_of_its_array(problem):
    U = RNG.standard_normal((3, 2))
    wanted = np.mean(
        [(y - np.trace(A @ U @ U.T)) ** 2 for y, A in zip(problem.values, measurements(problem), strict=True)]
    )
    assert problem.loss(np.matrix(U)) == pytest.approx(wanted, rel=1e-12)
    assert problem.loss(U.tolist()) == pytest.approx(wanted, rel=1e-12)


def test_a_thing_with_an_array_of_its_own_is_multiplied_as_its_array(problem):
    X = RNG.standard_normal((3, 3))
    X = X + X.T
    wanted = np.mean([np.trace(A @ X) * A for A in measurements(problem)], axis=0)
    np.testing.assert_allclose(problem.apply(Thing(X)), wanted, atol=1e-12)


def test_a_matrix_that_is_not_symmetric_is_refused_by_apply(problem):
    with pytest.raises(ValueError, match="X is asymmetric"):
        problem.apply(np.arange(9.0).reshape(3, 3))


def test_constants_given_as_fractions_are_numbers():
    found = StableWeights(2, 50, Fraction(3, 2), Fraction(1, 10), 1, Fraction(1, 10))
    assert (found.alpha, found.scale, found.failure) == (1.5, 0.1, 0.1)
    assert all(isinstance(x, float) for x in (found.alpha, found.scale, found.radius, found.failure))


@pytest.mark.parametrize("unit", [1.0, 1e160, 1e300, 1e-160, 1e-300])
def test_deviations_do_not_hang_on_units(unit):
    samples = RNG.standard_normal((6, 3)) + 7.0
    exact = []
    for column in samples.T:
        values = [Fraction(x) for x in column]
        mean = sum(values) / 6
        variance = sum((x - mean) ** 2 for x in values) / 5 / 6
        exact.append(abs(float(mean - 1)) / math.sqrt(variance))
    found = statistics.largest_deviation(samples * unit, np.full(3, unit))
    assert found == pytest.approx(max(exact), rel=1e-9)
    np.testing.assert_allclose(statistics.leads(samples * unit - unit), exact, rtol=1e-9)


def test_what_is_expected_must_be_a_number():
    samples = RNG.standard_normal((6, 3))
    with pytest.raises(ValueError, match="expected holds nan"):
        statistics.largest_deviation(samples, [0.0, math.nan, 0.0])
    with pytest.raises(ValueError, match="least_error is nan"):
        statistics.leads(samples, least_error=math.nan)


def surgeon(b, s, covariance):
    """Remove one coefficient after the other by solving the least squares of each choice anew."""
    alive = list(range(b.size))
    values = b.copy()
    while len(alive) > s:
        costs = {}
        for q in alive:
            rest = [i for i in alive if i != q]
            again = np.zeros_like(b)
            again[rest] = np.linalg.solve(covariance[np.ix_(rest, rest)], (covariance @ values)[rest])
            costs[q] = ((values - again) @ covariance @ (values - again), again)
        gone = min(costs, key=lambda q: costs[q][0])
        values = costs[gone][1]
        alive.remove(gone)
    return values


@pytest.mark.parametrize("unit", [1.0, 1e150, 1e-150, 1e300])
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_the_surgeon_does_not_hang_on_units(unit, scale):
    A = RNG.standard_normal((12, 5))
    covariance, b = A.T @ A / 12, RNG.standard_normal(5)
    found = strategies.prune(b * unit, strategies.OptimalBrainSurgeon(2), covariance=covariance * scale)
    np.testing.assert_allclose(found / unit, surgeon(b, 2, covariance), atol=1e-9)
    assert np.count_nonzero(found) == 2


def test_hessian_pruning_does_not_hang_on_units():
    b, variances = np.array([1e300, -3e300, 2e300, 0.5e300]), np.array([9e200, 1e200, 1e200, 1e200])
    assert strategies.support(b, strategies.Hessian(2), variances=variances).tolist() == [0, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda masked: linear.min_norm(masked[:, None], np.ones(4)),
        statistics.mean_and_error,
        lambda masked: stable.compression_error(masked, 2),
        lambda masked: sensing.group_penalty(masked[:, None], 0.1),
        lambda masked: strategies.prune(masked, strategies.Magnitude(2)),
    ],
)
def test_masked_entries_are_refused_and_not_read(call):
    hidden = np.ma.masked_array([1.0, 2.0, 1e20, 3.0], [False, False, True, False])
    with pytest.raises(ValueError, match="is masked at index"):
        call(hidden)
    call(np.ma.masked_array([1.0, 2.0, 1e20, 3.0]))


def test_a_search_for_curvature_takes_at_least_a_step():
    with pytest.raises(ValueError, match="max_steps is 0"):
        sensing.least_curvature(lambda Z: 2 * Z, (3, 2), max_steps=0)


@pytest.mark.parametrize(("x", "y"), [(1e-320, 1.0), (1e300, 1e-300), (1e-150, 1e150), (1e150, 1e-150)])
def test_least_squares_out_of_range_say_so_or_are_right(x, y):
    X, labels = RNG.standard_normal((6, 3)), RNG.standard_normal(6)
    wanted = np.linalg.lstsq(X, labels, rcond=None)[0]
    for solve in (
        linear.min_norm,
        lambda *data: linear.ridge(*data, 0.0),
        lambda *data: linear.width_sweep(*data, [3])[0],
    ):
        try:
            found = solve(X * x, labels * y)
        except FloatingPointError as reason:
            assert "rescale X" in str(reason)
        else:
            np.testing.assert_allclose(found, wanted * (y / x) if 0 < y / x < math.inf else 0.0, rtol=1e-6)


def test_moments_out_of_range_say_what_to_rescale():
    with pytest.raises(FloatingPointError, match="rescale mean, sd"):
        linear.interval_moments(1e308, 1.0, -math.inf, math.inf)
    assert linear.interval_moments(1e150, 1.0, -math.inf, math.inf)[2] == pytest.approx(1e300)


def test_what_no_memory_holds_is_refused_with_what_it_takes():
    with (
        mock.patch.object(_checks, "memory", lambda: 16e9),
        pytest.raises(MemoryError, match=r"size is 1000000000000, which takes 8 TB: this machine has 16 GB to spare"),
    ):
        stable.sample(1.5, 10**12, seed=0)
    assert 1e8 < _checks.memory() < 1e14


def test_more_draws_than_anybody_waits_for_are_refused():
    with pytest.raises(ValueError, match="draws is 1000000000000, of 4 numbers each, which takes hours: give at most"):
        linear.LinearGaussian(np.ones(4), np.ones(4), 0.1).characterize(2).risk(
            strategies.Magnitude(2), draws=10**12, seed=0
        )


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 3)).to(dtype)


def test_shares_from_a_generator_are_those_of_a_list():
    listed = [0.25, 0.5]
    wanted = list(sweeps.pruned_weights(network(), listed, "layer"))
    found = list(sweeps.pruned_weights(network(), (share for share in listed), "layer"))
    assert len(found) == 2
    for a, b in zip(found, wanted, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in b)


@pytest.mark.parametrize("spoil", [lambda x: x.to("meta"), lambda x: x.to_sparse()], ids=["meta", "sparse"])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("entries", lambda spoil: Matrix(spoil(torch.eye(3)))),
        ("v", lambda spoil: Matrix(torch.eye(3)).product(spoil(torch.ones(3)))),
        ("train_x", lambda spoil: replace(toy(), train_x=spoil(toy().train_x))),
        ("images", lambda spoil: toy().normalize(spoil(toy().train_x))),
        ("tensors", lambda spoil: Mask({"w": spoil(torch.ones(2) > 0)})),
        ("scores", lambda spoil: Mask.from_scores({"w": spoil(torch.ones(2))}, 1)),
        ("hessian", lambda spoil: optimal_brain_surgeon(network(), spoil(torch.eye(76)), 0.5)),
        ("data", lambda spoil: hessian_diagonal(network(), CROSS, (spoil(torch.ones(2, 16)), torch.tensor([0, 1])))),
    ],
)
def test_tensors_whose_numbers_cannot_be_looked_at_are_refused(name, call, spoil):
    call(lambda x: x)
    with pytest.raises(TypeError, match=rf"^{name}\b.*(without numbers|to_dense)"):
        call(spoil)


def test_networks_without_numbers_are_refused():
    with pytest.raises(ValueError, match=r"model has '1.weight' on the device meta"):
        magnitude(network().to("meta"))


@pytest.mark.parametrize("entry", [math.nan, math.inf])
def test_magnitudes_of_a_network_that_diverged_are_refused(entry):
    model = network()
    model[1].weight.data[0, 0] = entry
    with pytest.raises(ValueError, match=r"model has a weight in '1.weight' that is not finite"):
        magnitude(model)


def test_a_network_of_another_type_than_its_data_is_refused_by_name():
    for dtype in (torch.float64, torch.float16):
        with pytest.raises(ValueError, match="model fails on images"):
            evaluate(network(dtype), toy())
    pair = (toy().train_x.float(), toy().train_y)
    with pytest.raises(ValueError, match=r"model fails on data, torch.float32 of shape"):
        hessian_diagonal(network(torch.float64), CROSS, pair)


@pytest.mark.parametrize("cut", [lambda x, y: (x[:-1], y), lambda x, y: (x, y[:-1])], ids=["inputs", "labels"])
def test_data_of_unlike_lengths_are_refused_by_name(cut):
    pair = cut(toy().train_x.float(), toy().train_y)
    for call in (hessian_diagonal, hessian_matrix, natural):
        with pytest.raises(ValueError, match=r"loss fails on labels of shape .* give data and a model that go"):
            call(network(), CROSS, pair)


@pytest.mark.parametrize("shape", [None, 3, math.nan, {"a": 1}, np.ones((2, 2, 2)), (3, 30, 30), (3, 32)])
def test_the_shape_of_images_is_refused_by_name(shape):
    with pytest.raises((TypeError, ValueError), match="shape"):
        vgg11(shape)


def test_many_networks_are_a_sequence():
    with pytest.raises(TypeError, match=r"models is a generator: give a torch.nn.Module, or a sequence of them"):
        fit_many((network() for _ in range(2)), toy(), Config(epochs=1))


def test_no_bound_is_infinite_and_not_merely_large():
    assert Config(epochs=1, interpolation=math.inf).interpolation == math.inf
    with pytest.raises(ValueError, match="interpolation is an integer of 1329 bits, beyond the range"):
        Config(epochs=1, interpolation=10**400)


def test_seeds_of_repetitions_are_made_one_by_one_and_are_those_made_at_once():
    problem = linear.LinearGaussian(np.ones(4), np.ones(4), 0.5)
    measured = risk_curves.measured_risks(problem, 6, 2, [2], {}, repetitions=3, seed=7)["dense"]
    for row, child in zip(measured, np.random.SeedSequence(7).spawn(3), strict=True):
        X, y = problem.sample(6, child)
        fit = np.linalg.lstsq(X[:, :2], y, rcond=None)[0]
        assert row == pytest.approx([0.25 + np.sum((np.append(fit, [0, 0]) - 1) ** 2)], rel=1e-9)


def test_unsigned_sizes_of_batches_are_counts():
    pair = (toy().train_x.float(), toy().train_y)
    found = limit.minibatch_tolerance(network(), pair, CROSS, batch_size=np.uint64(5))
    assert found == limit.minibatch_tolerance(network(), pair, CROSS, batch_size=5)
