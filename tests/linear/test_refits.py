"""A dense fit that is pruned and fitted again, against the same steps taken one by one and the classical law."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prunekit.linear import LinearGaussian
from prunekit.linear.refits import measured_refits, predicted_refits

KEPT = {"s": 2, "2s": 4}


@pytest.fixture
def problem() -> LinearGaussian:
    factor = np.random.default_rng(2).standard_normal((9, 9))
    return LinearGaussian(factor @ factor.T / 9, np.linspace(-1, 1, 9), 0.4)


def risk(problem: LinearGaussian, b: Any) -> float:
    """Return the risk by the covariance alone."""
    gap = np.asarray(b) - problem.beta
    return float(problem.sigma**2 + gap @ problem.covariance @ gap)


def refit(X: Any, y: Any, index: Any) -> Any:
    """Return least squares on some columns."""
    b = np.zeros(9)
    b[index] = np.linalg.lstsq(X[:, index], y, rcond=None)[0]
    return b


def test_one_fit_is_pruned_and_fitted_again(problem: LinearGaussian) -> None:
    (X, y), (X_new, y_new) = problem.sample(12, 0), problem.sample(12, 1)
    fit = np.linalg.lstsq(X, y, rcond=None)[0]
    wide = np.column_stack([X, np.full(12, 7.0)])  # further features, of a wider network
    found = measured_refits(problem, fit, KEPT, (wide, y), (X_new, y_new))
    order = np.argsort(-np.abs(fit))
    two, four = order[:2], order[:4]
    best = np.zeros(9)
    cross = problem.covariance @ problem.beta
    best[four] = np.linalg.solve(problem.covariance[np.ix_(four, four)], cross[four])
    assert list(found) == ["dense", "s", "2s", "pruned", "fresh", "given support"]
    assert found["dense"] == pytest.approx(risk(problem, fit))
    assert found["s"] == pytest.approx(risk(problem, refit(X, y, two)))
    assert found["2s"] == pytest.approx(risk(problem, refit(X, y, four)))
    assert found["fresh"] == pytest.approx(risk(problem, refit(X_new, y_new, four)))
    assert found["pruned"] == pytest.approx(risk(problem, np.where(np.isin(np.arange(9), four), fit, 0.0)))
    assert found["given support"] == pytest.approx(risk(problem, best) * (1 + 4 / (12 - 4 - 1)))


def test_what_is_given_for_a_support_is_the_mean_over_fresh_samples(problem: LinearGaussian) -> None:
    X, y = problem.sample(12, 0)
    fit = np.linalg.lstsq(X, y, rcond=None)[0]
    found = [measured_refits(problem, fit, KEPT, (X, y), problem.sample(12, seed)) for seed in range(500)]
    fresh = np.array([each["fresh"] for each in found])
    assert abs(fresh.mean() - found[0]["given support"]) < 4 * fresh.std() / np.sqrt(len(fresh))


def test_the_prediction_averages_over_draws_of_the_law(problem: LinearGaussian) -> None:
    found = predicted_refits(problem, 30, KEPT, draws=1000, seed=5)
    law = problem.characterize(30)
    assert list(found) == ["dense", "s", "2s", "fresh", "pruned"]
    assert (found["dense"], found["fresh"]) == (law.risk(), found["2s"])
    again, pruned = {label: [] for label in KEPT}, []
    for b in law.sample(1000, 6):
        order = np.argsort(-np.abs(b))
        for label, s in KEPT.items():
            again[label].append(problem.restrict(np.sort(order[:s])).sigma ** 2 * (1 + s / (30 - s - 1)))
        pruned.append(risk(problem, np.where(np.isin(np.arange(9), order[:4]), b, 0.0)))
    for label, values in (*again.items(), ("pruned", pruned)):
        assert abs(found[label] - np.mean(values)) < 6 * np.std(values) / np.sqrt(1000), label


def test_more_than_there_is_keeps_everything(problem: LinearGaussian) -> None:
    X, y = problem.sample(30, 0)
    fit = np.linalg.lstsq(X, y, rcond=None)[0]
    found = measured_refits(problem, fit, {"s": 20}, (X, y), (X, y))
    assert found["s"] == pytest.approx(found["dense"]) == pytest.approx(found["pruned"])
    predicted = predicted_refits(problem, 30, {"s": 20}, draws=2, seed=0)
    assert predicted["s"] == pytest.approx(predicted["dense"])


def test_wrong_arguments_are_named(problem: LinearGaussian) -> None:
    X, y = problem.sample(12, 0)
    with pytest.raises(ValueError, match="kept is empty"):
        predicted_refits(problem, 30, {}, draws=2, seed=0)
    with pytest.raises(ValueError, match="kept has the label 'fresh'"):
        predicted_refits(problem, 30, {"fresh": 2}, draws=2, seed=0)
    with pytest.raises(ValueError, match="first has 8 features, and the problem 9"):
        measured_refits(problem, np.ones(9), KEPT, (X[:, :8], y), (X, y))
    with pytest.raises(ValueError, match="second has 5 rows for 4 coefficients"):
        measured_refits(problem, np.ones(9), KEPT, (X, y), (X[:5], y[:5]))
    with pytest.raises(ValueError, match="second has 1 parts"):
        measured_refits(problem, np.ones(9), KEPT, (X, y), (X,))
