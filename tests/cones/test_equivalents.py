"""Cones from spectra: against the radii, exact cones by Monte Carlo, and random subspaces one dimension at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prunekit import statistics
from prunekit.cones import (
    EllipsoidCone,
    cone_dimension,
    cone_root,
    dimension_as_published,
    orthogonal_limit,
    orthogonal_root,
    statistical_dimension,
    width_as_published,
)
from prunekit.cones.equivalents import counting, nonnegative
from prunekit.spectrum import Measure, Spectrum


def spectra(D=400):
    """Return eigenvalues (D,) of several shapes."""
    rng = np.random.default_rng(0)
    return {
        "flat": np.ones(D),
        "two levels": np.repeat([100.0, 0.01], [D // 10, D - D // 10]),
        "log-uniform": 10 ** rng.uniform(-4, 2, D),
        "power law": 100 * np.arange(1.0, D + 1) ** -2,
        "zeros": np.repeat([0.0, 1.0], [D // 4, D - D // 4]),
    }


def setting(name, D=400, share=0.05):
    """Return eigenvalues, coordinates of c and a tolerance that is a share of the loss of the pruned point."""
    h = spectra(D)[name]
    c = np.random.default_rng(1).standard_normal(D)
    return h, c, share * float(h @ c**2) / 2


def random_flag(h, c, orthogonal, seed):
    """Return the least k at which the first k of D random directions reach the ellipsoid: 2ε against residuals."""
    rng = np.random.default_rng(seed)
    G = rng.standard_normal((h.size, h.size))
    if orthogonal:
        G = G[:, :-1] - np.outer(c, c @ G[:, :-1]) / (c @ c)
    root = np.sqrt(h)
    basis, _ = np.linalg.qr(root[:, None] * G)
    return (c @ (h * c)) - np.cumsum((basis.T @ (root * c)) ** 2)


@pytest.mark.parametrize("name", ["flat", "two levels", "log-uniform", "power law"])
def test_published_dimension_is_the_papers_sum_over_radii(name):
    h, c, epsilon = setting(name)
    r, R = np.sqrt(2 * epsilon / h), np.linalg.norm(c)
    expected = np.sum(r**2 / (R**2 + r**2))
    assert dimension_as_published(Spectrum.of_eigenvalues(h), epsilon, R) == pytest.approx((expected, 0))
    assert width_as_published(Measure.of_eigenvalues(h), epsilon, R) == pytest.approx((np.sqrt(expected), 0))


@pytest.mark.parametrize("name", list(spectra()))
def test_cone_dimension_is_that_of_the_exact_cone(name):
    h, c, epsilon = setting(name)
    exact = statistical_dimension(EllipsoidCone(h, c, epsilon), 1000, seed=2)
    found = cone_dimension(Spectrum.of_eigenvalues(h), Measure.of_vector(h, c), epsilon)
    assert found.error == 0
    assert abs(found.value - exact.value) < 4 * exact.error + 1  # a limit: what it lacks does not grow with D


@pytest.mark.parametrize("name", ["two levels", "log-uniform", "power law", "zeros"])
@pytest.mark.parametrize("orthogonal", [False, True])
def test_random_subspaces_reach_the_ellipsoid_from_the_predicted_dimension_on(name, orthogonal):
    D = 300
    h, c, epsilon = setting(name, D)
    first = [int(np.argmax(random_flag(h, c, orthogonal, s) <= 2 * epsilon)) + 1 for s in range(40)]
    spectrum, direction = Spectrum.of_eigenvalues(h), Measure.of_vector(h, c)
    if orthogonal:
        predicted = D * orthogonal_limit(spectrum, direction, epsilon).value
    else:
        predicted = D - cone_dimension(spectrum, direction, epsilon).value
    assert abs(np.mean(first) - predicted) < 4 * np.std(first) / np.sqrt(len(first)) + 1


@pytest.mark.parametrize("name", ["flat", "two levels", "log-uniform", "power law"])
def test_roots_solve_the_equations_written_in_radii(name):
    h, c, epsilon = setting(name)
    r2, R2 = 2 * epsilon / h, c @ c
    direction = Measure.of_vector(h, c)
    nu = cone_root(direction, epsilon)
    assert np.sum(c**2 / (r2 + nu)) == pytest.approx(1, rel=1e-9)
    nu = orthogonal_root(direction, epsilon)
    if np.isfinite(nu):
        terms = c**2 * (R2 - r2) / (r2 + nu)
        assert abs(terms.sum()) < 1e-9 * np.abs(terms).sum()
    else:
        assert np.sum(c**2 * (R2 - r2)) >= 0


def test_ball():
    D, r, R = 400, 1.0, np.sqrt(1.5)
    c = np.zeros(D)
    c[0] = R
    spectrum, direction = Spectrum.of_eigenvalues(np.ones(D)), Measure.of_vector(np.ones(D), c)
    assert cone_dimension(spectrum, direction, r**2 / 2).value == pytest.approx(D * r**2 / R**2)
    assert dimension_as_published(spectrum, r**2 / 2, R).value == pytest.approx(0.4 * D)
    assert orthogonal_limit(spectrum, direction, r**2 / 2) == (1, 0)  # its nearest point is too far away


def test_point_within_the_tolerance_sees_all_of_space_while_the_published_threshold_is_above_a_half():
    h = np.repeat([1e4, 1e-3], [100, 900])
    c = np.repeat([0.0, np.sqrt(1.1)], [100, 900])
    spectrum, direction = Spectrum.of_eigenvalues(h), Measure.of_vector(h, c)
    assert direction.integrate(lambda h: h) < 1
    assert cone_root(direction, 0.5) == orthogonal_root(direction, 0.5) == 0
    assert cone_dimension(spectrum, direction, 0.5) == (1000, 0)
    assert orthogonal_limit(spectrum, direction, 0.5) == (0, 0)
    assert 1 - dimension_as_published(spectrum, 0.5, np.sqrt(990)).value / 1000 == pytest.approx(0.548, abs=5e-4)


@given(
    arrays(float, 8, elements=st.floats(0, 1e3)),
    arrays(float, 8, elements=st.floats(-3, 3)),
    st.floats(1e-3, 10),
    st.floats(0.01, 100),
)
def test_order_and_scaling(h, c, epsilon, scale):
    c[0] += 4
    spectrum, direction = Spectrum.of_eigenvalues(h), Measure.of_vector(h, c)
    R2 = direction.total
    nu = cone_root(direction, epsilon)
    assert 0 <= nu <= R2 * (1 + 1e-9)
    found = cone_dimension(spectrum, direction, epsilon).value
    assert dimension_as_published(spectrum, epsilon, np.sqrt(R2)).value <= found * (1 + 1e-9) <= 8 * (1 + 2e-9)
    share = orthogonal_limit(spectrum, direction, epsilon).value
    assert 0 <= share <= 1
    if abs(direction.integrate(lambda h: h) - 2 * epsilon) < 1e-6 * epsilon:
        return  # on the edge of the ellipsoid, scaling may tip over
    harder = Spectrum.of_eigenvalues(scale * h), Measure.of_vector(scale * h, c), scale * epsilon
    longer = spectrum, Measure.of_vector(h, scale * c), scale**2 * epsilon
    for same in (harder, longer):
        assert cone_dimension(*same).value == pytest.approx(found, rel=1e-6, abs=1e-9)
        if share < 1 - 1e-6:
            assert orthogonal_limit(*same).value == pytest.approx(share, rel=1e-5, abs=1e-9)


@given(
    arrays(float, 6, elements=st.floats(1e-2, 1e2)), arrays(float, 6, elements=st.floats(-3, 3)), st.floats(0.01, 10)
)
def test_orthogonal_limit_is_one_exactly_where_the_hyperplane_misses_the_ellipsoid(h, c, epsilon):
    c[0] += 4
    if h @ c**2 <= 2 * epsilon:
        return
    least = c @ c - np.sqrt(2 * epsilon * np.sum(c**2 / h))  # of <c, y> over the ellipsoid around c
    if abs(least) > 1e-6 * (c @ c):
        assert np.isinf(orthogonal_root(Measure.of_vector(h, c), epsilon)) == (least > 0)


def test_errors_across_probes():
    h, c, epsilon = setting("log-uniform", 50)
    rng = np.random.default_rng(3)
    weights = [rng.dirichlet(np.ones(50)) * 50 for _ in range(5)]
    spectrum, direction = Spectrum(tuple(Measure(h, w) for w in weights)), Measure.of_vector(h, c)
    nu, twice, R = cone_root(direction, epsilon), 2 * epsilon, np.linalg.norm(c)
    assert cone_dimension(spectrum, direction, epsilon) == pytest.approx(
        statistics.few([np.sum(w * twice / (twice + nu * h)) for w in weights])
    )
    nu = orthogonal_root(direction, epsilon)
    assert orthogonal_limit(spectrum, direction, epsilon) == pytest.approx(
        statistics.few([np.sum(w * nu * h / (twice + nu * h)) / 50 for w in weights])
    )
    squared = statistics.few([np.sum(w * twice / (twice + R**2 * h)) for w in weights])
    assert dimension_as_published(spectrum, epsilon, R) == pytest.approx(squared)
    step = 1e-6
    slope = (np.sqrt(squared.value + step) - np.sqrt(squared.value)) / step
    found = width_as_published(spectrum, epsilon, R)
    assert found.error == pytest.approx(squared.error * slope, rel=1e-5)
    single = Spectrum((Measure(h, weights[0]),))
    assert np.isinf(cone_dimension(single, direction, epsilon).error)


def test_an_ellipsoid_too_far_away_to_be_seen_has_width_0():
    assert width_as_published(Spectrum.of_eigenvalues([1e300, 1e300]), 1e-300, 1.0) == (0, 0)


def test_negative_eigenvalues_are_refused_unless_they_are_rounding():
    c = Measure([1.0, 2.0], [1.0, 1.0])
    negative = Measure([-0.1, 2.0], [1.0, 1.0])
    spectrum = Spectrum.of_eigenvalues([1.0, 2.0])
    with pytest.raises(ValueError, match=r"spectrum has the eigenvalue -0.1.*spectrum\.mapped\(np\.abs\)"):
        dimension_as_published(negative, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"direction has the eigenvalue -0.1.*direction\.mapped\(lambda h"):
        cone_dimension(spectrum, negative, 0.1)
    with pytest.raises(ValueError, match="direction has the eigenvalue"):
        orthogonal_limit(spectrum, negative, 0.1)
    rounding = Spectrum.of_eigenvalues([-1e-16, 2.0])
    assert dimension_as_published(rounding, 1.0, 1.0).value == pytest.approx(1.5)
    assert cone_dimension(rounding, c, 0.1).value >= 1


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda s, c: dimension_as_published(s, 0.0, 1.0), ValueError, "epsilon is 0.0: give a finite number above 0"),
        (lambda s, c: width_as_published(s, 1.0, -1.0), ValueError, "distance is -1.0"),
        (lambda s, c: cone_dimension(np.ones(3), c, 1.0), TypeError, "spectrum is ndarray: give a Spectrum"),
        (lambda s, c: cone_dimension(s, np.ones(3), 1.0), TypeError, "direction is ndarray: give a Measure"),
        (lambda s, c: orthogonal_limit(s, c, float("nan")), ValueError, "epsilon is nan"),
    ],
)
def test_errors_name_the_argument(call, kind, message):
    with pytest.raises(kind, match=message):
        call(Spectrum.of_eigenvalues([1.0, 2.0]), Measure([1.0], [1.0]))


def test_rounding_below_zero_is_clipped_in_all_that_is_known_of_a_spectrum():
    """Also in what fewer steps gave, where the measure itself has none; what has none anywhere is taken as it is."""
    before = Measure([-1e-15, 1.0], [1.0, 2.0])
    probe = Measure([0.5, 1.0], [1.0, 2.0], (before,))
    found = counting(Spectrum((probe,), rules=(probe,)))
    assert found.rules[0].earlier[0].nodes.tolist() == [0.0, 1.0]
    assert nonnegative("probe", probe).earlier[0].nodes.tolist() == [0.0, 1.0]
    clean = Spectrum((Measure([0.0, 1.0], [1.0, 2.0]),))
    assert counting(clean) is clean
