"""Risks and losses against penalties, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import ridge as figures
from prunekit.book.figures.ridge import Curves, Fit
from prunekit.linear.penalties import Best
from tests.book.figures.looks import look

GRID = np.geomspace(1e-3, 1e3, 7)
CLOSE = Fit(1.2, 3.0)
PAIRS = [(figure, rule) for figure in ("3a", "3b") for rule in ("dense", "magnitude", "Hessian")]


def noisy(mean: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return five repetitions about a mean."""
    return mean + 0.01 * np.random.default_rng(seed).standard_normal((5, mean.size))


@pytest.fixture
def found() -> Curves:
    lines, best, points = {}, {}, {}
    for i, pair in enumerate(PAIRS):
        least = 0.0 if pair[0] == "3a" and i else 0.2 * 2**i
        lines[pair] = list(1 + 0.1 * (np.log10(GRID) - np.log10(max(least, 1e-3))) ** 2)
        best[pair] = Best(least, 1.0)
        points[pair] = [0.1, 1.0, 10.0], noisy(np.array([1.1, 1.0, 1.2]), i)
    return Curves(60, 18, 6, GRID, lines, best, points, CLOSE)


def test_the_curves_have_stars_where_they_are_least(found: Curves) -> None:
    drawing = figures.curves(found)
    look(drawing, x="penalty", y="risk")
    assert "0.2 (dense), 0 (magnitude), 0 (Hessian) in 3a" in drawing.caption
    assert "within the 3.0" in drawing.caption


def test_the_findings_say_whether_one_ridge_is_best_for_all(found: Curves) -> None:
    said = figures.findings(found)
    assert "is not the dense model's. Divided by it, it is 0 for magnitude pruning in 3a" in said[0]
    assert "4 for Hessian pruning in 3b" in said[0]
    same = dataclasses.replace(found, best=dict.fromkeys(PAIRS, Best(0.5, 0.9)))
    assert "is also the dense model's" in figures.findings(same)[0]
    far = dataclasses.replace(found, fit=Fit(4.0, 3.0))
    assert "beyond the 3.0 that chance allows" in figures.findings(far)[2]


def test_penalties_and_losses_are_drawn() -> None:
    shares, at = np.array([0.02, 0.1, 0.5]), np.array([0.1])
    table = {
        (case, noise): np.array([[0.5, 2.0 + i, 0.02 * i], [0.5, 1.0, 0.01], [0.5, 0.5, 0.0]])
        for i, case in enumerate(("3a, Hessian", "3b, Hessian", "3b, magnitude"))
        for noise in (0.05, 0.25, 1.0)
    }
    drawing = figures.penalties(shares, table, 1e-3, 0.25)
    look(drawing, x="s_over_p", y="best_for_pruned")
    assert "1 to 6 (3b, Hessian)" in drawing.caption
    measured = {pair: noisy(rows[1:2, 2]) for pair, rows in table.items()}
    lost = figures.losses(shares, table, at, measured, CLOSE)
    look(lost, x="s_over_p", y="loss_percent")
    assert "4.00% (3b, magnitude)" in lost.caption


def test_a_penalty_that_knows_the_covariance_is_drawn() -> None:
    powers = np.array([-0.5, 0.0, 0.5, 1.0])
    lines = {"dense": np.array([1.1, 1.0, 0.98, 1.5]), "Hessian, s/p = 0.1": np.array([1.2, 1.1, 1.3, 1.65])}
    points = {label: noisy(risks[[1, 3]]) for label, risks in lines.items()}
    ends = {label: (float(risks[1]), float(risks[3])) for label, risks in lines.items()}
    drawing = figures.informed(powers, lines, (0.0, 1.0), points, ends, CLOSE)
    look(drawing, x="exponent", y="risk")
    assert "dense: a = 0.5 (2.00% lower; +50.0% at 1)" in drawing.caption
