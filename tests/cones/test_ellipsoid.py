"""Ellipsoids: widths by two routes, the exact cone against a convex solver and closed forms."""

import numpy as np
import pytest
from scipy import optimize

from prunekit.cones import (
    CircularCone,
    EllipsoidCone,
    ellipsoid_width,
    ellipsoid_width_as_published,
    radii,
    random_subspace,
    sampled_ellipsoid_width,
)


@pytest.mark.parametrize(
    "shape", [[10.0] + [0.1] * 99, [1.0] * 30, [3.0], [2.0, 0.0, 1.0], list(np.geomspace(1e-3, 1e3, 50))]
)
def test_width_by_quadrature_is_that_of_monte_carlo(shape):
    found = sampled_ellipsoid_width(shape, 40000, seed=0)
    assert abs(found.value - ellipsoid_width(shape)) < 4 * found.error
    assert (
        ellipsoid_width(shape) < ellipsoid_width_as_published(shape) == pytest.approx(np.sqrt(np.sum(np.square(shape))))
    )


def test_width_of_a_ball_is_the_mean_of_chi():
    assert ellipsoid_width([1.0]) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-9)
    assert ellipsoid_width([2.0, 2.0]) == pytest.approx(2 * np.sqrt(np.pi / 2), rel=1e-9)
    assert ellipsoid_width(np.zeros(3)) == 0


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_widths_scale_with_radii_whose_squares_leave_double_precision(unit):
    shape = np.array([3.0, 1.0, 0.0, 2.0])

    def sampled(r):
        return sampled_ellipsoid_width(r, 50, seed=0).value

    for width in (ellipsoid_width, ellipsoid_width_as_published, sampled):
        assert width(unit * shape) == pytest.approx(unit * width(shape), rel=1e-12)


def test_uneven_radii_of_the_erratum():
    shape = np.append(10.0, np.full(99, 0.1))
    assert ellipsoid_width(shape) == pytest.approx(8.12, abs=0.005)
    assert ellipsoid_width_as_published(shape) == pytest.approx(10.05, abs=0.005)


def test_width_is_the_supremum_over_the_set_itself():
    """Equation (8) by a solver: sup <g, x> over xᵀHx ≤ 2ε, H not diagonal."""
    rng = np.random.default_rng(1)
    A = rng.standard_normal((3, 3))
    H, epsilon = A @ A.T + 0.1 * np.eye(3), 0.7
    values, vectors = np.linalg.eigh(H)
    for g in rng.standard_normal((5, 3)):
        inside = {"type": "ineq", "fun": lambda x: 2 * epsilon - x @ H @ x}
        found = optimize.minimize(lambda x: -g @ x, 0.1 * g, constraints=inside, method="SLSQP", tol=1e-12)  # noqa: B023
        assert -found.fun == pytest.approx(np.linalg.norm(radii(values, epsilon) * (vectors.T @ g)), rel=1e-5)


CASES = {
    "even": ([1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 0.0, 0.0], 0.5),
    "tilted": ([0.1, 1.0, 3.0, 10.0], [-1.0, 0.5, 1.0, 0.3], 0.4),
    "narrow": ([0.1, 1.0, 3.0, 10.0], [-1.0, 0.5, 1.0, 0.3], 0.002),
    "wide": ([0.1, 1.0, 3.0, 10.0], [-1.0, 0.5, 1.0, 0.3], 2.1),
    "flat direction": ([0.0, 1.0, 3.0, 10.0], [-1.0, 0.5, 1.0, 0.3], 0.4),
    "no share of an axis": ([0.5, 1.0, 3.0, 10.0], [0.0, 0.5, 1.0, 0.0], 0.4),
}


def squared_distance(t, g, h, c, epsilon):
    """Return dist²(g - tc, tE), E = {xᵀHx ≤ 2ε}: Lagrange's multiplier by bisection."""
    p = g - t * c
    if p**2 @ h <= 2 * epsilon * t**2:
        return 0.0

    def excess(log_mu):
        return (p / (1 + np.exp(log_mu) * h)) ** 2 @ h / (2 * epsilon * t**2) - 1

    mu = np.exp(optimize.brentq(excess, -40, 60, xtol=1e-13))
    return float(np.sum((p - p / (1 + mu * h)) ** 2))


@pytest.mark.parametrize("name", list(CASES))
def test_projection_is_the_nearest_of_all_scaled_ellipsoids(name):
    """dist² to the cone is the least over t > 0 of that to t(c + E), convex in t: no quadratic cone here."""
    h, c, epsilon = (np.asarray(v) for v in CASES[name])
    cone = EllipsoidCone(h, c, float(epsilon))
    for g in np.random.default_rng(2).standard_normal((20, 4)):
        found = optimize.minimize_scalar(
            squared_distance, bounds=(1e-9, 60), args=(g, h, c, epsilon), method="bounded", options={"xatol": 1e-10}
        )
        assert np.sum((cone.project(g[None])[0] - g) ** 2) == pytest.approx(found.fun, abs=1e-6)


def test_ball_generates_a_circular_cone():
    c = np.array([2.0, 0.0, 0.0, 0.0, 0.0])
    points = np.random.default_rng(3).standard_normal((50, 5))
    round_cone = CircularCone(5, np.arcsin(0.5))
    found = EllipsoidCone(np.ones(5), c, 0.5).project(points)
    np.testing.assert_allclose(found, round_cone.project(points), atol=1e-7)


def test_projection_sees_rays_of_the_ellipsoid_only():
    h, c, epsilon = CASES["tilted"]
    cone = EllipsoidCone(h, c, epsilon)
    x = np.random.default_rng(4).standard_normal((100, 4))
    x *= np.sqrt(2 * epsilon / (x**2 @ h))[:, None]
    inside, edge = c + 0.99 * x, c + x
    np.testing.assert_allclose(cone.project(inside), inside, atol=1e-8)
    assert np.all(np.abs(cone.project(-inside)).max(axis=1) < np.linalg.norm(inside, axis=1))
    np.testing.assert_allclose(cone.project(edge), edge, atol=1e-6)


def test_meets_exactly_where_the_subspace_reaches_the_ellipsoid():
    h, c, epsilon = (np.asarray(v) for v in CASES["tilted"])
    cone, found, rng = EllipsoidCone(h, c, float(epsilon)), [], np.random.default_rng(5)
    for _ in range(60):
        basis = random_subspace(4, int(rng.integers(1, 4)), seed=rng)
        best = optimize.minimize(lambda a, b=basis: np.sum(h * (b @ a - c) ** 2), np.zeros(basis.shape[1]), tol=1e-12)
        found.append(best.fun <= 2 * epsilon)
        assert cone.meets(basis) == found[-1]
    assert 5 < sum(found) < 55


def test_whole_space_where_the_point_is_inside():
    cone = EllipsoidCone([1.0, 2.0], [1.0, 0.5], 0.75)
    assert cone.whole
    points = np.random.default_rng(6).standard_normal((4, 2))
    np.testing.assert_array_equal(cone.project(points), points)
    assert cone.meets(np.eye(2)[:, :1])


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"coordinates has shape \(3,\), but eigenvalues has 2"):
        EllipsoidCone([1.0, 2.0], [1.0, 2.0, 3.0], 0.1)
    with pytest.raises(ValueError, match="eigenvalues has the eigenvalue -1"):
        EllipsoidCone([-1.0, 2.0], [1.0, 2.0], 0.1)
    with pytest.raises(FloatingPointError, match="too thin"):
        EllipsoidCone(np.geomspace(1e-8, 1e8, 10), np.ones(10), 1e-9)
    with pytest.raises(ValueError, match="eigenvalues reach down to 0"):
        radii([0.0, 1.0], 1.0)
    with pytest.raises(ValueError, match="radii holds -1"):
        ellipsoid_width([-1.0, 1.0])
