"""Cones with closed forms: projectors against convex solvers, tests of meeting against linear programs."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize

from prunekit.cones import (
    CircularCone,
    DescentCone,
    EllipsoidCone,
    Orthant,
    Subspace,
    projected_norms,
    random_subspace,
    statistical_dimension,
    volumes,
)
from prunekit.cones.families import _positive_part, _positive_part_squared

SMALL = {
    "orthant": Orthant(5),
    "narrow": CircularCone(5, 0.3),
    "wide": CircularCone(5, 1.3),
    "subspace": Subspace(np.random.default_rng(0).standard_normal((5, 2))),
    "descent": DescentCone(np.array([0.0, -2.0, 0.5, 0.0, 0.0])),
    "half-space": DescentCone(np.array([1.0, -2.0, 0.5, 1.0, 3.0])),
    "ellipsoid": EllipsoidCone([0.0, 0.1, 1.0, 3.0, 10.0], [1.0, -1.0, 0.5, 1.0, 0.3], 0.4),
    "whole": EllipsoidCone(np.ones(5), np.ones(5), 3.0),
}
points = arrays(float, (3, 5), elements=st.floats(-10, 10, width=32))


@pytest.mark.parametrize("name", list(SMALL))
@given(points)
def test_projection_is_one_by_moreaus_conditions(name, x):
    cone = SMALL[name]
    y = cone.project(x)
    rest = x - y
    scale = 1e-6 * (1 + np.abs(x).max()) ** 2
    assert np.all(np.abs((y * rest).sum(axis=1)) < scale)  # orthogonal
    np.testing.assert_allclose(cone.project(y), y, atol=1e-5 * (1 + np.abs(x).max()))  # y in the cone
    assert np.abs(cone.project(rest)).max() < 3e-3 * (1 + np.abs(x).max())  # the rest in the polar one
    np.testing.assert_allclose(cone.project(3 * x), 3 * y, atol=1e-5 * (1 + np.abs(x).max()))


def by_solver(x, constraint, start):
    """Return the nearest point to x with constraint(y) ≥ 0, by sequential quadratic programming."""
    found = optimize.minimize(
        lambda y: np.sum((y - x) ** 2),
        start,
        jac=lambda y: 2 * (y - x),
        constraints={"type": "ineq", "fun": constraint},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    return found.x


@pytest.mark.parametrize("angle", [0.3, 0.8, 1.3])
def test_circular_projection_is_the_solvers(angle):
    cone, tangent = CircularCone(4, angle), np.tan(angle)
    for x in np.random.default_rng(1).standard_normal((12, 4)):
        found = by_solver(x, lambda y: y[0] * tangent - np.sqrt(np.sum(y[1:] ** 2) + 1e-18), np.array([1.0, 0.1, 0, 0]))
        np.testing.assert_allclose(cone.project(x[None])[0], found, atol=1e-4)


@pytest.mark.parametrize("point", [[0.0, -2, 0.5, 0, 0, 0], [1.0, 0, 0, 0, 0, 0], [1.0, 2, -3, 1, 1, 1]])
def test_descent_projection_is_what_nonnegative_least_squares_leaves(point):
    """The polar cone has finitely many generators: the signs on the support, ±1 in every combination off it."""
    point = np.array(point)
    choices = [[np.sign(v)] if v else [-1.0, 1.0] for v in point]
    generators = np.array(list(itertools.product(*choices))).T
    for x in np.random.default_rng(2).standard_normal((20, 6)):
        coefficients, _ = optimize.nnls(generators, x)
        np.testing.assert_allclose(DescentCone(point).project(x[None])[0], x - generators @ coefficients, atol=1e-9)


def test_orthant_and_subspace_projections_are_least_squares():
    basis = np.random.default_rng(3).standard_normal((5, 2))
    for x in np.random.default_rng(4).standard_normal((5, 5)):
        np.testing.assert_allclose(Orthant(5).project(x[None])[0], optimize.nnls(np.eye(5), x)[0], atol=1e-12)
        best = basis @ np.linalg.lstsq(basis, x)[0]
        np.testing.assert_allclose(Subspace(basis).project(x[None])[0], best, atol=1e-12)


@pytest.mark.parametrize(
    "cone", [Orthant(30), CircularCone(30, 0.5), CircularCone(4, 1.2), SMALL["subspace"], SMALL["half-space"]]
)
def test_statistical_dimensions_are_those_of_monte_carlo(cone):
    found = statistical_dimension(cone, 20000, seed=5)
    assert abs(found.value - cone.statistical_dimension) < 4.5 * found.error


@pytest.mark.parametrize(("D", "s"), [(20, 1), (40, 4), (60, 30), (50, 49)])
def test_descent_dimension_is_within_its_bounds(D, s):
    cone = DescentCone.of_sparsity(D, s)
    found = statistical_dimension(cone, 20000, seed=6)
    assert found.value - 4.5 * found.error < cone.statistical_dimension < found.value + cone.error_bound
    grid = [s * (1 + t**2) + (D - s) * _positive_part_squared(t) for t in np.linspace(0, 5, 2001)]
    assert cone.statistical_dimension == pytest.approx(min(grid), rel=1e-5)


def test_moments_of_the_soft_threshold():
    from scipy.integrate import quad

    def moment(g, tau, power):
        return (g - tau) ** power * 2 * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)

    for tau in (0.0, 0.7, 3.0):
        assert _positive_part(tau) == pytest.approx(quad(moment, tau, np.inf, (tau, 1))[0])
        assert _positive_part_squared(tau) == pytest.approx(quad(moment, tau, np.inf, (tau, 2))[0])


# ---------------------------------------------------------------- meeting a subspace


def subspaces(D, count, seed):
    rng = np.random.default_rng(seed)
    return [random_subspace(D, int(rng.integers(1, D)), seed=rng) for _ in range(count)]


def test_orthant_meets_exactly_where_a_linear_program_is_feasible():
    found = []
    for basis in subspaces(12, 60, 7):
        lp = optimize.linprog(
            np.zeros(basis.shape[1]),
            A_ub=-basis,
            b_ub=np.zeros(12),
            A_eq=basis.sum(axis=0)[None],
            b_eq=[1.0],
            bounds=(None, None),
        )
        found.append(lp.status == 0)
        assert Orthant(12).meets(basis) == found[-1]
    assert 10 < sum(found) < 50


def test_descent_cone_meets_exactly_where_basis_pursuit_fails():
    point = np.array([0, 1.5, -2, 0, 0, 0.3, 0, 0, 0, 0, 0, 0.0])
    found = []
    for basis in subspaces(12, 60, 8):
        k = basis.shape[1]
        # least Σt with |point + basis a| ≤ t
        lp = optimize.linprog(
            np.r_[np.zeros(k), np.ones(12)],
            A_ub=np.block([[basis, -np.eye(12)], [-basis, -np.eye(12)]]),
            b_ub=np.r_[-point, point],
            bounds=[(None, None)] * k + [(0, None)] * 12,
        )
        found.append(np.abs(lp.x[:k]).max() > 1e-6)
        assert DescentCone(point).meets(basis) == found[-1]
    assert 10 < sum(found) < 50


def test_circular_cone_meets_exactly_where_the_angle_is_small_enough():
    cone, found = CircularCone(8, 0.7), []
    for basis in subspaces(8, 40, 9):
        best = optimize.minimize(lambda a, b=basis: -(b @ a)[0] / np.linalg.norm(b @ a), basis[0] + 0.1, tol=1e-10)
        angle = np.arccos(np.clip(-best.fun, -1, 1))
        if abs(angle - 0.7) > 1e-4:
            found.append(angle < 0.7)
            assert cone.meets(basis) == found[-1]
    assert 5 < sum(found) < 35


def test_subspace_meets_when_dimensions_add_up_or_a_line_is_shared():
    cone = Subspace(np.eye(6)[:, :3])
    assert not cone.meets(random_subspace(6, 3, seed=0))
    assert cone.meets(random_subspace(6, 4, seed=0))
    assert cone.meets(np.eye(6)[:, 2:3])


@pytest.mark.parametrize("name", [n for n in SMALL if n != "subspace"])
def test_nothing_meets_zero_and_everything_meets_the_whole_space(name):
    assert not SMALL[name].meets(np.zeros((5, 0)))
    assert SMALL[name].meets(np.eye(5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Orthant(0), "ambient is 0"),
        (lambda: CircularCone(5, 1.6), "angle is 1.6: give one below π/2"),
        (lambda: volumes.circular(5, 4.0), "angle is 4.0: give one below π/2"),
        (lambda: volumes.circular(5, -0.1), "angle is -0.1: give a finite number above 0"),
        (lambda: CircularCone(3, 0.5).meets(np.full((3, 1), np.nan)), "basis holds entries that are not finite"),
        (lambda: Subspace(np.ones((3, 2))), "basis has shape .3, 2. and a lower rank"),
        (lambda: DescentCone(np.zeros(3)), "point is 0"),
        (lambda: DescentCone.of_sparsity(5, 6), "s is 6: give an integer from 1 to 5"),
        (lambda: Orthant(5).project(np.ones((2, 4))), "points has shape .2, 4.: give rows in R.5"),
        (lambda: Orthant(5).meets(np.ones((4, 2))), "basis has shape .4, 2.: give columns in R.5"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_same_seed_same_norms():
    one, two = (projected_norms(Orthant(20), 50, seed=1) for _ in range(2))
    np.testing.assert_array_equal(one, two)
