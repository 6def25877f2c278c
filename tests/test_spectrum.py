"""Discrete measures against dense linear algebra."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from prunekit.spectrum import Gap, Measure, Spectrum

FINITE = st.floats(-100, 100)


def symmetric(D=30, seed=0):
    A = np.random.default_rng(seed).standard_normal((D, D))
    return (A + A.T) / 2


def inverse_square(h):
    return 1 / (1 + h**2)


def test_counting_measures_integrate_as_traces():
    H = symmetric()
    exact = Spectrum.of_eigenvalues(np.linalg.eigvalsh(H))
    assert exact.dimension == 30
    assert exact.integrate(inverse_square).value == pytest.approx(np.trace(np.linalg.inv(np.eye(30) + H @ H)))
    assert exact.integrate(inverse_square).error == 0
    assert exact.trace().value == pytest.approx(np.trace(H))
    shift = 20.0
    assert exact.log_determinant(shift).value == pytest.approx(np.linalg.slogdet(H + shift * np.eye(30))[1])


def test_a_vectors_measure_integrates_as_its_quadratic_form():
    H = symmetric()
    values, vectors = np.linalg.eigh(H)
    c = np.random.default_rng(1).standard_normal(30)
    measure = Measure.of_vector(values, vectors.T @ c)
    assert measure.total == pytest.approx(c @ c)
    assert measure.integrate(inverse_square) == pytest.approx(c @ np.linalg.solve(np.eye(30) + H @ H, c))


@given(arrays(float, 7, elements=FINITE), arrays(float, 7, elements=st.floats(0, 10)), st.floats(-3, 3))
def test_measures_are_linear_sorted_and_move(nodes, weights, a):
    if not weights.any():
        weights[0] = 1.0
    measure = Measure(nodes, weights)
    assert (np.diff(measure.nodes) >= 0).all()
    assert measure.total == pytest.approx(weights.sum())
    direct = float(weights @ (a * nodes**2 + nodes))
    assert measure.integrate(lambda h: a * h**2 + h) == pytest.approx(direct, abs=1e-9)
    assert measure.mapped(np.abs).integrate(lambda h: h) == pytest.approx(float(weights @ np.abs(nodes)), abs=1e-9)


@pytest.mark.parametrize("f", [np.abs, np.negative, lambda h: h // 2, lambda h: 3.0])
def test_a_moved_measure_is_the_one_that_is_built_there(f):
    rng = np.random.default_rng(0)
    early = Measure(rng.standard_normal(5), rng.random(5))
    measure = Measure(rng.standard_normal(9), rng.random(9), (early,))
    for moved, own in zip((measure.mapped(f), *measure.mapped(f).earlier), (measure, early), strict=True):
        built = Measure(np.broadcast_to(f(own.nodes), own.nodes.shape), own.weights)
        assert moved.nodes.dtype == built.nodes.dtype
        np.testing.assert_array_equal(moved.nodes, built.nodes)
        np.testing.assert_array_equal(moved.weights, built.weights)
        moved.nodes[0] = 0.0  # an array of its own
    with pytest.raises((ValueError, FloatingPointError)):
        measure.mapped(lambda h: h * np.nan)


def test_probes_are_averaged_with_their_standard_error():
    probes = tuple(Measure(np.array([k, k + 1.0]), np.array([2.0, 3.0])) for k in range(4))
    spectrum = Spectrum(probes)
    draws = np.array([5 * k + 3 for k in range(4)], dtype=float)
    student = stats.t.ppf(stats.norm.cdf(2), 3) / 2  # two errors cover as two standard errors of many probes do
    assert spectrum.trace() == pytest.approx((draws.mean(), student * draws.std(ddof=1) / 2))
    assert spectrum.pooled.total == pytest.approx(5)
    assert spectrum.pooled.integrate(lambda h: h) == pytest.approx(draws.mean())
    assert spectrum.mapped(np.negative).trace().value == pytest.approx(-draws.mean())
    assert math.isinf(Spectrum(probes[:1]).trace().error)


def test_the_scatter_of_normal_starts_is_known_from_the_spectrum():
    """Against draws: n uᵀf(H)u with u on the sphere; the bar is not less where probes agree by chance."""
    rng = np.random.default_rng(0)
    h = np.concatenate([rng.uniform(0, 1, 19), [3.0]])
    z = rng.standard_normal((40_000, h.size))
    draws = h.size * (z**2 @ h**2) / (z**2).sum(1)
    variance, squares, fourths = Measure.of_eigenvalues(h).dispersion(np.square)
    assert variance == pytest.approx(draws.var(), rel=0.05)
    centred = h**2 - (h**2).mean()
    assert (squares, fourths) == pytest.approx(((centred**2).sum(), (centred**4).sum()))
    rest = Measure.of_eigenvalues(h)
    four = Spectrum((rest,) * 4, rests=(rest,) * 4)
    student = stats.t.ppf(stats.norm.cdf(2), 4 * squares**2 / fourths) / 2
    assert four.integrate(np.square).error == pytest.approx(student * math.sqrt(variance / 4))
    assert four.with_zeros(5).integrate(np.square).error == four.integrate(np.square).error
    assert four.mapped(np.square).trace().error == pytest.approx(four.integrate(np.square).error)
    assert Spectrum((rest,) * 4).integrate(np.square).error == 0
    assert math.isinf(Spectrum((rest,), rests=(rest,)).integrate(np.square).error)
    assert four.integrate(np.ones_like).error == pytest.approx(0, abs=1e-12)


def rule(nodes, *earlier):
    """Return a measure of two equal masses whose earlier quadratures had other nodes."""
    return Measure(nodes, [1.0, 1.0], tuple(Measure(each, [1.0, 1.0]) for each in earlier))


def test_what_the_steps_still_change_is_the_quadratures_error():
    rules = (rule([1.0, 2.0], [0.9, 2.0], [1.0, 2.2]), rule([1.0, 3.0], [1.1, 3.0], [1.0, 3.1]))
    spectrum = Spectrum(tuple(Measure(r.nodes, r.weights) for r in rules), rules=rules)
    found = spectrum.trace()
    # means over the rules: 3.5 now, 3.5 and 3.65 before
    assert found.quadrature == pytest.approx(0.15 / 2)
    assert found.error == pytest.approx(math.hypot(found.scatter, found.quadrature))
    assert found.resolved
    assert spectrum.mapped(lambda h: 2 * h).trace().quadrature == pytest.approx(0.15)
    assert spectrum.with_zeros(3).trace().quadrature == pytest.approx(0.15 / 2)
    assert rules[0].spread(lambda measure: measure.integrate(lambda h: h)) == pytest.approx(0.2)
    restless = Spectrum((rules[0],) * 2, rules=(rule([1.0, 2.0], [1.0, 3.0]),) * 2).trace()
    assert not restless.resolved
    assert math.isinf(restless.error)
    assert restless.scatter == 0


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e-1, 10.0])
def test_a_kink_between_the_nodes_next_to_zero_is_not_resolved(scale):
    measure = Measure([-0.1, 0.2, 4.0, 5.0], [30.0, 30.0, 30.0, 30.0])
    spectrum = Spectrum((measure,) * 2, rules=(measure,) * 2, gaps=(Gap.of(measure),))

    def kinked(h):
        return np.abs(h) / (scale + np.abs(h))

    found, folded = spectrum.integrate(kinked), spectrum.mapped(np.abs).integrate(kinked)
    assert found == folded
    assert found.resolved == (scale > 1)
    hidden = 60 * 0.1 / (scale + 0.1)
    assert found.quadrature == pytest.approx(hidden)  # the steps change nothing, and this is what they do not show
    # the deepest point of the gap is 0, the least value at its ends is at -0.1, and 60 may lie there
    assert spectrum.gaps[0].hidden(kinked) == pytest.approx(hidden)
    assert spectrum.integrate(np.exp).resolved
    assert Gap.of(Measure([1.0, 2.0], [1.0, 1.0])) is None
    assert Gap.of(Measure([-1.0, 0.0, 2.0], [1.0, 1.0, 1.0])) is None


def test_below_the_least_node_of_a_positive_spectrum_something_may_be_hidden():
    measure = Measure([0.1, 4.0, 5.0], [30.0, 30.0, 30.0])
    assert Gap.of(measure, reach=0.05) is None
    gap = Gap.of(measure, reach=0.2)
    assert gap.hidden(lambda h: np.log(h + 1e-9)) == pytest.approx(30 * math.log((0.1 + 1e-9) / 1e-9))
    assert gap.hidden(lambda h: h) == pytest.approx(30 * 0.1)
    assert Gap.of(Measure(-measure.nodes, measure.weights), reach=0.2).hidden(np.abs) == pytest.approx(30 * 0.1)


def test_where_a_function_has_no_value_at_zero_the_points_beside_it_count():
    gap = Gap.of(Measure([-0.1, 0.2], [30.0, 30.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gap.hidden(lambda h: np.abs(h) * np.log(np.abs(h))) == pytest.approx(-60 * 0.1 * math.log(0.1))
        assert math.isinf(gap.hidden(lambda h: np.where(h > 0.1, math.nan, h)))


def test_rows_of_zeros_are_an_atom_at_zero():
    H = symmetric()
    larger = np.zeros((37, 37))
    larger[:30, :30] = H
    found = Spectrum.of_eigenvalues(np.linalg.eigvalsh(H)).with_zeros(7)
    assert found.dimension == 37
    assert np.allclose(
        np.repeat(found.pooled.nodes, found.pooled.weights.round().astype(int)), np.linalg.eigvalsh(larger)
    )
    assert found.exact
    assert found.with_zeros(0) is found
    with pytest.raises(ValueError, match="count is -1"):
        found.with_zeros(-1)


def test_a_logarithm_needs_a_positive_definite_matrix():
    spectrum = Spectrum.of_eigenvalues([-2.0, 1.0])
    with pytest.raises(ValueError, match="shift is 2, and the least node is -2: give a shift above 2"):
        spectrum.log_determinant(2.0)
    assert spectrum.log_determinant(3.0).value == pytest.approx(math.log(4.0))
    with pytest.raises(ValueError, match=r"shift is 0, and the least node is 0: give a shift above 0$"):
        Spectrum.of_eigenvalues([0.0, 1.0]).log_determinant()


@pytest.mark.parametrize(
    ("nodes", "weights", "message"),
    [
        ([1.0, 2.0], [1.0], "weights has shape"),
        ([1.0, math.inf], [1.0, 1.0], "nodes holds inf"),
        ([1.0, 2.0], [1.0, -1.0], "weights holds -1.0"),
        ([1.0, 2.0], [0.0, 0.0], "weights are all 0"),
    ],
)
def test_what_is_no_measure_is_refused(nodes, weights, message):
    with pytest.raises(ValueError, match=message):
        Measure(nodes, weights)


def test_what_is_no_spectrum_is_refused():
    one, other = Measure([1.0], [3.0]), Measure([1.0], [4.0])
    with pytest.raises(ValueError, match="probes is empty"):
        Spectrum(())
    with pytest.raises(ValueError, match=r"probes have totals from 3\.0 to 4\.0"):
        Spectrum((one, other))
    with pytest.raises(ValueError, match="probes are 2: an exact spectrum has one"):
        Spectrum((one, one), exact=True)
    with pytest.raises(TypeError, match="probes is a Measure: give a tuple of them"):
        Spectrum(one)
    with pytest.raises(TypeError, match="an entry of probes is a ndarray: give Measures"):
        Spectrum((np.ones(3),))


def test_a_function_answers_one_number_a_node_or_one_for_all():
    measure = Measure([1.0, 2.0], [3.0, 4.0])
    assert measure.integrate(lambda h: 2.0) == 14
    with pytest.raises(ValueError, match=r"f answers shape \(2, 1\) for nodes \(2,\): give one number a node"):
        measure.integrate(lambda h: h[:, None])


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_integrals_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="the integral"):
        Measure([0.0], [1.0]).integrate(lambda h: 1 / h)
