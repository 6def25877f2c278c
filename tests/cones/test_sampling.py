"""Monte Carlo from a projector, intrinsic volumes, the kinematic formula: each against another route."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special

from prunekit.cones import (
    CircularCone,
    DescentCone,
    EllipsoidCone,
    Norms,
    Orthant,
    Subspace,
    dimension_of,
    excess,
    gaussian_width,
    intrinsic_variance,
    kinematic,
    projected_norms,
    random_subspace,
    sampling,
    statistical_dimension,
    volumes,
)

KNOWN = [Orthant(15), CircularCone(15, 0.4), CircularCone(6, 1.3), Subspace(np.eye(8)[:, :3])]


@pytest.mark.parametrize("cone", KNOWN)
def test_moments_of_the_norms_are_those_of_the_intrinsic_volumes(cone):
    norms, v = projected_norms(cone, 40000, seed=0), cone.intrinsic_volumes
    assert v.sum() == pytest.approx(1)
    found = dimension_of(norms, cone.ambient)
    assert abs(found.value - volumes.dimension(v)) < 4.5 * found.error
    found = gaussian_width(cone, 40000, seed=0)
    assert abs(found.value - volumes.width(v)) < 4.5 * found.error
    found = intrinsic_variance(norms)
    assert abs(found.value - volumes.variance(v)) < 4.5 * found.error
    found = excess(norms)
    assert abs(found.value - (volumes.dimension(v) - volumes.width(v) ** 2)) < 4.5 * found.error


def test_batches_do_not_change_the_draws(monkeypatch):
    whole = projected_norms(Orthant(7), 20, seed=3)
    monkeypatch.setattr(sampling, "ENTRIES", 30)
    np.testing.assert_allclose(projected_norms(Orthant(7), 20, seed=3), whole, rtol=1e-12)


def test_dimension_estimate_is_unbiased_with_an_honest_error():
    found = np.array([statistical_dimension(Orthant(10), 50, seed=s) for s in range(400)])
    assert abs(found[:, 0].mean() - 5) < 4 * found[:, 0].std() / 20
    assert found[:, 0].std() == pytest.approx(found[:, 1].mean(), rel=0.15)


@given(st.integers(2, 40), st.floats(0.05, 1.5))
def test_circular_dimension_by_the_angle(D, angle):
    """δ = D E cos²(distance in angle to the cone), the angle to the axis having density sin^(D-2)."""
    total = math.sqrt(math.pi) * special.gamma((D - 1) / 2) / special.gamma(D / 2)

    def density(t):
        return math.sin(t) ** (D - 2) / total

    inside = integrate.quad(density, 0, angle)[0]
    edge = integrate.quad(lambda t: math.cos(t - angle) ** 2 * density(t), angle, min(math.pi, angle + math.pi / 2))[0]
    assert volumes.dimension(volumes.circular(D, angle)) == pytest.approx(D * (inside + edge), rel=1e-6)


@given(st.integers(1, 40), st.data())
def test_orthant_meets_with_wendels_probability(D, data):
    """D random vectors, rows of a basis (D, k), lie in a half-space with probability 2^(1-D) Σ_{i<k} C(D-1, i)."""
    k = data.draw(st.integers(0, D))
    wendel = sum(math.comb(D - 1, i) for i in range(k)) / 2 ** (D - 1)
    assert volumes.meeting_probability(volumes.orthant(D), k) == pytest.approx(wendel, abs=1e-9)


@pytest.mark.parametrize("cone", [Orthant(20), CircularCone(20, 0.5), CircularCone(20, 1.2)])
def test_simulation_has_the_exact_probability(cone):
    centre = round(20 - cone.statistical_dimension)
    for k in (centre - 3, centre, centre + 3):
        found = kinematic.simulate(cone, k, 400, seed=k)
        exact = volumes.meeting_probability(cone.intrinsic_volumes, k)
        assert abs(found.value - exact) < 4.5 * found.error


@pytest.mark.parametrize(
    "cone",
    [
        Orthant(12),
        CircularCone(12, 0.8),
        DescentCone.of_sparsity(12, 3),
        EllipsoidCone(np.arange(12.0), np.ones(12), 5),
    ],
)
def test_first_meetings_are_those_of_a_scan_and_have_the_exact_mean(cone):
    found = kinematic.first_meetings(cone, 500, seed=2)
    rng = np.random.default_rng(2)
    for first in found[:20]:
        frame = random_subspace(12, 12, seed=rng)
        assert first == next(k for k in range(1, 13) if cone.meets(frame[:, :k]))
    delta = statistical_dimension(cone, 20000, seed=3)
    error = math.hypot(found.std() / math.sqrt(500), delta.error)
    assert abs(found.mean() - (12 - delta.value + 0.5)) < 4.5 * error


def test_smooth_step_is_close_to_the_exact_probability():
    for cone in (Orthant(200), CircularCone(200, 0.5)):
        v = cone.intrinsic_volumes
        k = np.arange(201)
        exact = np.array([volumes.meeting_probability(v, i) for i in k])
        smooth = kinematic.smooth_step(volumes.dimension(v), volumes.variance(v), k, 200)
        np.testing.assert_allclose(smooth, exact, atol=0.02)
        low, high = kinematic.error_bounds(volumes.dimension(v), k, 200)
        assert np.all(low <= exact + 1e-12)
        assert np.all(exact <= high + 1e-12)


def test_step():
    np.testing.assert_array_equal(kinematic.step(3.0, [6, 7, 8], 10), [0, 0.5, 1])


def test_binomial_error_is_above_zero_without_hits():
    found = kinematic.simulate(CircularCone(30, 0.05), 1, 10, seed=0)
    assert found.value == 0
    assert found.error == pytest.approx(math.sqrt(1 / 12 * 11 / 12 / 10))


def test_random_subspaces_are_uniform():
    rng = np.random.default_rng(0)
    squares = np.array([np.sum(random_subspace(6, 2, seed=rng)[0] ** 2) for _ in range(4000)])
    assert abs(squares.mean() - 1 / 3) < 4 * squares.std() / math.sqrt(4000)
    basis = random_subspace(6, 4, seed=1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)


class Broken:
    ambient = 3

    def project(self, points):
        return points * np.nan


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: projected_norms(Broken(), 2, seed=0), FloatingPointError, "the projection"),
        (lambda: projected_norms(Orthant(3), 0, seed=0), ValueError, "draws is 0"),
        (lambda: excess(Norms(np.ones(1), np.ones(1))), ValueError, "norms holds 1 draw: give at least two"),
        (lambda: random_subspace(3, 4, seed=0), ValueError, "k is 4: give an integer from 0 to 3"),
        (lambda: volumes.dimension([0.5, 0.2]), ValueError, "volumes sum to 0.7"),
        (lambda: kinematic.step(11.0, 1, 10), ValueError, "dimension is 11.0: give one of at most the ambient 10"),
        (lambda: kinematic.smooth_step(5.0, 0.0, 1, 10), ValueError, "variance is 0.0"),
        (lambda: kinematic.simulate(DescentCone.of_sparsity(5, 2), 6, 3, seed=0), ValueError, "k is 6"),
    ],
)
def test_errors_name_the_argument(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
