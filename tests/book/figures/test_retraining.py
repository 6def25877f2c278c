"""Retraining against correlation, Lemma 1 and Figure 7, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import retraining as figures
from prunekit.book.figures.retraining import Correlations, Figure7
from tests.book.figures.looks import look

RHOS = np.array([0.0, 0.5, 1.0])


def noisy(mean: np.ndarray, seed: int) -> np.ndarray:
    """Return five repetitions about a mean."""
    return mean + 0.01 * np.random.default_rng(seed).standard_normal((5, mean.size))


@pytest.fixture
def between() -> Correlations:
    now, later, same = np.array([2.0, 2.0, 2.0]), np.array([3.0, 2.5, 1.0]), np.array([2.8, 1.8, 1.0])
    predicted = {rule: np.array([now, 0 * now, later, 0 * now]) for rule in ("magnitude", "Hessian")}
    measured = {}
    for i, rule in enumerate(predicted):
        rows = {rule: now, f"{rule}, retrained": same, f"{rule}, retrained fresh": later}
        measured |= {label: noisy(mean, 3 * i + j) for j, (label, mean) in enumerate(rows.items())}
    return Correlations(60, 18, 6, RHOS, predicted, measured)


@pytest.fixture
def seventh() -> Figure7:
    fine, widths = np.array([12, 20, 40, 70, 100]), np.array([20, 70, 100])
    lines = {rule: np.array([np.linspace(2, 1, 5), np.linspace(2, 1.4, 5)]) for rule in ("magnitude", "oracle")}
    laws = {rule: line[:, [1, 3, 4]] for rule, line in lines.items()}
    measured = {}
    for rule, law in laws.items():
        rows = {rule: law[0], f"{rule}, retrained": law[1], f"{rule}, retrained fresh": law[1]}
        measured |= {label: noisy(mean, len(measured) + j) for j, (label, mean) in enumerate(rows.items())}
    return Figure7("3a", 100, 30, fine, lines, widths, laws, measured, ("magnitude", "oracle"))


@pytest.mark.parametrize(
    ("difference", "onset"), [([-1, -1, -1], 0.0), ([1, -1, -1], 0.25), ([-1, 1, -3], 0.625), ([-1, -1, 1], None)]
)
def test_retraining_helps_from_where_the_difference_stays_below_zero(difference: list[float], onset: float) -> None:
    assert figures.stays_below(RHOS, np.array(difference, dtype=float)) == onset


def test_the_correlations_are_drawn_and_told(between: Correlations) -> None:
    look(figures.correlation(between), x="correlation", y="risk")
    said = figures.findings(between)
    assert "retraining raises the risk (2.00 to 2.80" in said[0] and "lowers it (2.0" in said[0]
    assert "as the paper says" in said[0]
    assert "from ρ = 0.4" in said[1] and "follows fresh" in said[2]


def test_the_findings_flip_with_the_numbers(between: Correlations) -> None:
    better = {k: x - 2 * k.endswith("retrained") for k, x in between.measured.items()}
    said = figures.findings(dataclasses.replace(between, measured=better))
    assert "raises" not in said[0] and "as the paper says" not in said[0] and "from ρ = 0.00" in said[1]
    off = {k: x + k.endswith("fresh") for k, x in between.measured.items()}
    assert "does not follow fresh" in figures.findings(dataclasses.replace(between, measured=off))[2]
    worse = {k: x + 5 * k.endswith("retrained") for k, x in between.measured.items()}
    assert "helps nowhere with magnitude" in figures.findings(dataclasses.replace(between, measured=worse))[1]


def test_lemma_1_is_drawn() -> None:
    fine, zeta = np.linspace(0.2, 1, 9), np.array([0.2, 0.6])
    curves = {"pruned, n = 16": 1.1 - fine, "retrained, n = 16": np.full(9, 0.02)}
    marks = {"pruned, n = 16": noisy(1.1 - zeta, 0), "retrained, n = 16": 0.02 + 0 * noisy(zeta, 1)}
    drawing = figures.lemma_1(fine, curves, zeta, marks, {"(5), pruned": 1.3})
    look(drawing, x="zeta", y="excess_risk")
    assert "5 repetitions" in drawing.caption and "1.3 from (5), pruned" in drawing.caption


def test_figure_7_and_what_it_adds_are_drawn(seventh: Figure7) -> None:
    drawing = figures.figure_7(seventh)
    look(drawing, x="k_over_p", y="risk")
    assert drawing.name == "fig-7-3a" and "+0.2 percent (magnitude), +0.0 percent (oracle)" in drawing.caption
    other = dataclasses.replace(seventh, name="3b")
    added = figures.hurts([seventh, other])
    look(added, x="k_over_p", y="risk_difference")
    assert seventh.hurt("oracle") == 3 and "6 (3a) and 6 (3b) of 6 pairs" in added.caption
    same = {k: seventh.measured[k.split(",")[0]] for k in seventh.measured}
    assert (
        dataclasses.replace(seventh, measured=same | {"oracle, retrained": noisy(seventh.laws["oracle"][0], 9)}).hurt(
            "oracle"
        )
        == 0
    )
