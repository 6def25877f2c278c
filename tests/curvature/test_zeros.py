"""Mass at zero against dense eigenvalues, bounds against the counting function they bound."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from prunekit.curvature import (
    Curvature,
    Matrix,
    Restricted,
    counting,
    row_norms,
    spectrum,
    vector_measure,
    zero_mass,
    zero_rows,
    zeros,
)
from prunekit.importance import hessian_matrix


def dead_and_low_rank(D=60, rank=25, dead=11, seed=0):
    """Return a matrix with rows of zeros, and more zero eigenvalues that no row shows; and which rows."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((D, rank))
    mask = np.zeros(D, dtype=bool)
    mask[rng.choice(D, dead, replace=False)] = True
    A[mask] = 0
    return A @ np.diag(rng.uniform(0.5, 2, rank) * rng.choice([-1, 1], rank)) @ A.T, mask


def network():
    """Return a net with a dead input and a dead unit, and its data."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    X, y = torch.randn(30, 5, dtype=torch.float64), torch.randint(3, (30,))
    X[:, 2] = 0
    with torch.no_grad():
        model[0].bias[4] = -100.0
    return model, (X, y)


@pytest.mark.parametrize("double", [False, True])
def test_zero_rows_are_those_of_the_dense_matrix(double):
    model, (X, y) = network()
    dense = hessian_matrix(model, F.cross_entropy, (X, y))
    truth = (dense == 0).all(1).numpy()
    assert truth.sum() == 6 + 4 + 1 + 3  # the input's weights; the unit's other weights, bias and outgoing weights
    data = (X.float(), y)
    operator = Curvature(model.double() if double else model.float(), F.cross_entropy, data, double=double)
    assert np.array_equal(zero_rows(operator), truth)


def test_row_norms_are_sums_of_moduli(monkeypatch):
    H, _ = dead_and_low_rank()
    rows = np.array([5, 3, 59, *range(10, 50)])
    assert np.allclose(row_norms(Matrix(H), rows), np.abs(H[rows]).sum(1))
    monkeypatch.setattr(zeros, "_BYTES", 3 * 8 * len(H))  # room for three unit vectors
    assert np.allclose(row_norms(Matrix(H), rows), np.abs(H[rows]).sum(1))
    with pytest.raises(ValueError, match="rows reaches from 0 to 60"):
        row_norms(Matrix(H), [0, 60])


def test_a_restricted_operator_is_a_block():
    H, mask = dead_and_low_rank()
    block = Restricted(Matrix(H), ~mask)
    v = np.random.default_rng(1).standard_normal((block.dimension, 3))
    assert np.allclose(block.product(v), H[~mask][:, ~mask] @ v)
    assert torch.allclose(block.product(torch.from_numpy(v[:, 0])), torch.from_numpy(H[~mask][:, ~mask] @ v[:, 0]))
    assert block.identity != Restricted(Matrix(H), mask).identity
    with pytest.raises(ValueError, match=r"v has shape \(3,\): give \(49,\)"):
        block.product(np.ones(3))
    for wrong in (np.ones(60), np.ones(59, dtype=bool), np.zeros(60, dtype=bool)):
        with pytest.raises(ValueError, match="kept is of kind"):
            Restricted(Matrix(H), wrong)


def test_all_the_mass_at_zero_is_found_rows_and_directions():
    H, mask = dead_and_low_rank()
    truth = int((np.abs(np.linalg.eigvalsh(H)) < 1e-8).sum())
    assert truth == 60 - 25 > mask.sum()
    found = zero_mass(Matrix(H), 1e-8, steps=40, probes=200, seed=0)
    assert found.rows == mask.sum()
    assert abs(found.near.value - truth) < 4.5 * found.near.error
    assert found.lower.value <= found.near.value <= found.upper.value
    assert found.spectrum.dimension == pytest.approx(60)
    plain = spectrum(Matrix(H), steps=40, probes=200, seed=0, shared=False)
    near = plain.integrate(lambda h: (np.abs(h) <= 1e-8).astype(float))
    assert found.near.error < near.scatter  # what is counted exactly has no variance


def test_a_matrix_of_zeros_is_all_zero():
    found = zero_mass(Matrix(np.zeros((7, 7))), 1e-9)
    assert found.rows == 7
    assert found.near == found.lower == found.upper == (7.0, 0.0)
    with pytest.raises(ValueError, match="threshold is 0"):
        zero_mass(Matrix(np.eye(2)), 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 15), st.integers(0, 2**32 - 1), st.floats(-1.5, 1.5))
def test_bounds_hold_for_every_vectors_own_measure(steps, seed, x):
    rng = np.random.default_rng(seed)
    D = 40
    values = np.sort(rng.uniform(-1, 1, D) ** 5)  # crowded at 0
    values[:: rng.integers(2, 5)] = 0
    Q = np.linalg.qr(rng.standard_normal((D, D)))[0]
    H = Q @ np.diag(values) @ Q.T
    c = rng.standard_normal(D)
    measure = vector_measure(Matrix((H + H.T) / 2), c, steps=steps)
    for place in (x, *measure.nodes[[0, -1]]):
        tie = 1e-9 * np.sign(place - values)  # rounding decides at an eigenvalue
        for shift in (tie[0], -tie[0]):
            mass = float(((Q.T @ c)[values <= place] ** 2).sum())
            lower, upper = counting(measure, place + shift)
            if np.abs(values - place).min() > 1e-6:
                assert lower - 1e-8 <= mass <= upper + 1e-8


def test_more_steps_close_the_gap():
    rng = np.random.default_rng(3)
    H = np.diag(np.concatenate([np.zeros(100), rng.normal(size=200) * 0.1, [3.0, 5.0]]))
    gaps = []
    for steps in (10, 40, 160):
        found = zero_mass(Matrix(H + 1e-12 * np.eye(302)), 1e-6, steps=steps, probes=4, seed=0)
        gaps.append(found.upper.value - found.lower.value)
        assert found.rows == 0
    assert gaps[0] > gaps[1] > gaps[2]
