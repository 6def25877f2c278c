"""Ridge fits over their penalties, against fits one by one and a search over a fine grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prunekit.linear import LinearGaussian
from prunekit.linear.least_squares import min_norm, ridge
from prunekit.linear.penalties import Penalties, reweighted
from prunekit.linear.strategies import Hessian, Magnitude, prune

GRID = np.geomspace(1e-3, 1e3, 13)


@pytest.fixture
def fits() -> Penalties:
    variances = np.where(np.arange(60) < 6, 25.0, 1.0)
    return Penalties(LinearGaussian(variances, np.full(60, 60**-0.5), 0.5), 18, GRID)


def test_the_best_penalty_is_that_of_a_fine_grid(fits: Penalties) -> None:
    for rule in (None, Magnitude(6), Hessian(6)):
        fine = np.geomspace(1e-3, 1e3, 2001)
        risks = [fits.problem.characterize(18, ridge=18 * x).risk(rule) for x in fine]
        penalty, risk = fits.best(rule)
        assert risk == pytest.approx(min(risks), rel=1e-4)
        assert penalty == pytest.approx(fine[np.argmin(risks)], rel=0.05)


def test_without_noise_the_dense_model_needs_no_penalty() -> None:
    clean = Penalties(LinearGaussian(np.ones(20), np.full(20, 0.1), 0.0), 40, GRID)
    assert clean.best() == (0.0, pytest.approx(0.0, abs=1e-12))


@pytest.mark.parametrize("n", [59, 60, 61])
def test_where_no_penalty_is_no_choice_there_is_one(fits: Penalties, n: int) -> None:
    assert Penalties(fits.problem, n, GRID).best().penalty > 0


def test_the_loss_is_what_the_dense_penalty_costs(fits: Penalties) -> None:
    dense, own, loss = fits.loss(Magnitude(6))
    assert (dense, own) == (fits.best().penalty, fits.best(Magnitude(6)).penalty) and own > 2 * dense
    assert loss == pytest.approx(fits.risk(dense, Magnitude(6)) / fits.risk(own, Magnitude(6)) - 1) and loss > 0.01


def test_measured_risks_are_those_of_fits_one_by_one(fits: Penalties) -> None:
    wanted = [(0.0, None), (0.5, None), (0.5, Magnitude(6)), (3.0, Hessian(6))]
    measured = fits.measure(wanted, repetitions=3, seed=[1, 2])
    for row, child in zip(measured, np.random.SeedSequence([1, 2]).spawn(3), strict=True):
        X, y = fits.problem.sample(18, child)
        for found, (penalty, rule) in zip(row, wanted, strict=True):
            b = ridge(X, y, penalty=18 * penalty) if penalty else min_norm(X, y)
            kept = b if rule is None else prune(b, rule, variances=np.mean(X**2, axis=0))
            assert found == pytest.approx(fits.problem.risk(kept), rel=1e-9)


def test_a_reweighted_problem_is_the_same_problem_in_other_features() -> None:
    plain = LinearGaussian([4.0, 1.0, 0.25], [1.0, -2.0, 0.5], 0.3)
    X, y = plain.sample(50, 0)
    for a in (-0.5, 0.0, 1.0):
        other = reweighted(plain, a)
        scale = plain.variances ** (a / 2)
        assert other.variances == pytest.approx(np.array([4.0, 1.0, 0.25]) ** (1 - a))
        fitted = ridge(X / scale, y, penalty=2.0)
        weights = np.diag(plain.variances**a)
        direct = np.linalg.solve(X.T @ X + 2.0 * weights, X.T @ y)
        assert fitted / scale == pytest.approx(direct)
        assert other.risk(fitted) == pytest.approx(plain.risk(direct))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid": [1.0, 0.5]}, "grid is not increasing"),
        ({"grid": [0.0, 0.5]}, "grid is not increasing from above 0"),
        ({"problem": LinearGaussian(np.eye(2), np.ones(2), 1.0)}, "problem has a general covariance"),
    ],
)
def test_what_is_no_problem_or_grid_is_refused(fits: Penalties, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Penalties(**({"problem": fits.problem, "n": 18, "grid": GRID} | change))


def test_pairs_are_asked_for(fits: Penalties) -> None:
    bad: Any = [(1.0,)]
    with pytest.raises(ValueError, match="wanted has to be a list of pairs"):
        fits.measure(bad, repetitions=2, seed=0)
    with pytest.raises(ValueError, match="positive variances"):
        reweighted(LinearGaussian([1.0, 0.0], [1.0, 1.0], 1.0), 0.5)
