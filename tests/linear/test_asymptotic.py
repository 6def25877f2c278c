"""The law of Theorem 1's limit and the distances to it, each against an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from prunekit.linear.asymptotic import AsymptoticLaw

VARIANCES = np.array([4.0, 1.0, 0.25, 1.0])
COEFFICIENTS = np.array([0.3, -2.0, 1.0, 0.0])


@pytest.fixture
def law() -> AsymptoticLaw:
    return AsymptoticLaw(VARIANCES, COEFFICIENTS, 2.0, 0.5)


def quantiles(law: AsymptoticLaw, each: int = 4000) -> np.ndarray:
    """Return a list whose X are the quantiles of the law, equally many for each pair."""
    z = ndtri((np.arange(each) + 0.5) / each)
    x = law.means[:, None] + np.sqrt(law.spreads)[:, None] * z
    return np.column_stack([x.ravel(), np.repeat(law.coefficients, each), np.repeat(law.variances, each)])


def test_means_and_spreads_are_those_of_definition_3(law: AsymptoticLaw) -> None:
    xi = brentq(lambda t: np.mean(t * VARIANCES / (1 + t * VARIANCES)) - 1 / 2, 1e-6, 1e6, xtol=1e-14)
    zeta = 1 / (1 + xi * VARIANCES)
    gamma = (0.25 + np.mean(VARIANCES * zeta**2 * COEFFICIENTS**2)) / (1 - 2 * np.mean((1 - zeta) ** 2))
    assert law.large.gamma == pytest.approx(gamma, rel=1e-9)
    assert law.means == pytest.approx((1 - zeta) * COEFFICIENTS, rel=1e-9)
    assert law.spreads == pytest.approx(2 * gamma * (1 - zeta) ** 2 / VARIANCES, rel=1e-9)


def test_the_laws_own_quantiles_are_at_no_distance(law: AsymptoticLaw) -> None:
    assert law.energy_distance(quantiles(law)) < 5e-4
    assert np.abs(law.moment_gaps(quantiles(law))).max() < 2e-3


def test_the_energy_distance_is_that_of_mean_absolute_differences(law: AsymptoticLaw) -> None:
    def gap(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """E|N(mean, sd²)|."""
        return 2 * sd * norm.pdf(mean / sd) + mean * (2 * ndtr(mean / sd) - 1)

    rows = law.draw(60, 3) * [1.3, 1.0, 1.0]
    directions = np.random.default_rng(0).standard_normal((24, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    scales = [np.sqrt(law.spreads.mean() + law.means.var()), COEFFICIENTS.std(), VARIANCES.std()]
    squares = []
    for u in directions / scales:
        x, centre = rows @ u, u[0] * law.means + u[1] * COEFFICIENTS + u[2] * VARIANCES
        sd = abs(u[0]) * np.sqrt(law.spreads)
        between = np.mean(gap(x[:, None] - centre, np.broadcast_to(sd, (60, 4))))
        inside = np.mean(gap(np.subtract.outer(centre, centre), np.sqrt(np.add.outer(sd**2, sd**2))))
        squares.append(between - inside / 2 - np.mean(np.abs(np.subtract.outer(x, x))) / 2)
    assert law.energy_distance(rows) == pytest.approx(np.sqrt(np.mean(squares)), rel=0.01)


def test_moment_gaps_are_in_standard_deviations(law: AsymptoticLaw) -> None:
    rows = quantiles(law)
    x, y, z = rows.T
    doubled = law.moment_gaps(rows * [2.0, 1.0, 1.0])
    means = [np.mean(f) for f in (3 * x * x, x * y, 3 * z * x * x, z * x * y)]
    spreads = [np.std(f) for f in (x * x, x * y, z * x * x, z * x * y)]
    assert doubled == pytest.approx(np.divide(means, spreads), abs=5e-3)


def test_the_pruned_risk_is_the_mean_over_the_law(law: AsymptoticLaw) -> None:
    x, y, z = quantiles(law).T
    kept = np.abs(x) >= np.quantile(np.abs(x), 0.7)
    assert law.pruned_risk(0.3) == pytest.approx(0.25 + np.mean(z * (y - kept * x) ** 2), rel=2e-3)
    assert law.pruned_risk(1) == law.large.gamma
    assert law.pruned_risk(0) == pytest.approx(0.25 + np.mean(VARIANCES * COEFFICIENTS**2))


def test_fits_come_close_to_the_law_and_those_of_another_do_not(law: AsymptoticLaw) -> None:
    fit = law.draw_fit(400, 1)
    assert fit.rows[:, 0] == pytest.approx(20 * fit.coefficients) and fit.problem.p == 400
    assert fit.rows[:, 1] == pytest.approx(20 * fit.problem.beta)
    near, own = law.energy_distance(fit.rows), law.energy_distance(law.draw(400, 2))
    other = AsymptoticLaw(VARIANCES, COEFFICIENTS, 1.2, 0.5)
    assert near < 3 * own < other.energy_distance(fit.rows)


def test_one_variance_alone_has_no_scale_to_divide_by() -> None:
    law = AsymptoticLaw(np.ones(2), np.array([1.0, -1.0]), 2.0, 0.1)
    assert law.scales[2] == 1 and law.energy_distance(quantiles(law)) < 5e-4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"variances": [1.0, 0.0, 1.0, 1.0]}, "variances holds 0: give variances above 0"),
        ({"coefficients": [1.0]}, "coefficients has shape .*variances has 4 pairs"),
        ({"kappa": 1.0}, "kappa is 1: give features per sample, above 1"),
        ({"kappa": 1e5}, "kappa is 100000: give features per sample, above 1 and at most 2400"),
        ({"coefficients": np.zeros(4), "sigma": 0.0}, "nothing is random"),
    ],
)
def test_what_cannot_be_a_law_is_refused(change: dict[str, object], words: str) -> None:
    given: dict[str, object] = {"variances": VARIANCES, "coefficients": COEFFICIENTS, "kappa": 2.0, "sigma": 0.5}
    with pytest.raises(ValueError, match=words):
        AsymptoticLaw(**(given | change))


def test_lists_have_three_columns_and_fits_have_samples(law: AsymptoticLaw) -> None:
    with pytest.raises(ValueError, match="rows has shape"):
        law.energy_distance(np.ones((5, 2)))
    with pytest.raises(ValueError, match="p is 1, which leaves no sample"):
        AsymptoticLaw(VARIANCES, COEFFICIENTS, 3.0, 0.5).draw_fit(1, 0)
