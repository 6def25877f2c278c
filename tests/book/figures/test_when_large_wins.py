"""Phase diagrams, measured leads and best rivals, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import when_large_wins as figures
from prunekit.book.figures.when_large_wins import Diagram, Point, Points
from prunekit.linear import LinearGaussian
from prunekit.linear.rivals import Contest, Rival
from tests.book.figures.looks import look

PROBLEM = LinearGaussian(np.ones(4), np.ones(4), 1.0)


def cell(quotient: float, kind: str = "dense, k > s") -> Contest:
    """Return a contest with a quotient against all, and one twice as large against small rivals."""
    rivals = (Rival(kind, quotient, 2), Rival("retrained", 2 * quotient, 4))
    return Contest(PROBLEM, 2, 1, {"Hessian": 1.0, "oracle": 0.8}, rivals)


@pytest.fixture
def left() -> Diagram:
    quotients = np.array([[2.0, 1.5, 0.6, 0.4], [1.6, 0.9, 0.5, 0.3], [1.2, 0.8, 0.4, 0.2]])
    rows = [[cell(q) for q in row] for row in quotients]
    return Diagram("samples", ("samples, n/p", "weights kept, s/p"), np.linspace(0.1, 0.9, 4), np.arange(3.0), rows)


@pytest.fixture
def right(left: Diagram) -> Diagram:
    labels = ("spike", "noise variance σ²")
    return dataclasses.replace(
        left, name="noise", labels=labels, xs=np.array([2.0, 5.0, 20.0, 100.0]), logarithmic=True
    )


@pytest.fixture
def points() -> Points:
    def point(diagram: str, x: float, predicted: float, measured: float) -> Point:
        return Point(diagram, x, 1.0, 30, 10, "pruned", predicted, measured, 0.01, 1.5, -9.0)

    return Points(
        [point("samples", 0.1, 1.0, 1.1), point("samples", 0.6, -0.5, 0.4), point("noise", 5.0, 0.0, 0.001)], 20
    )


def test_diagrams_say_where_the_large_model_wins(left: Diagram, right: Diagram, points: Points) -> None:
    drawing = figures.samples(left, points)
    look(drawing)
    assert drawing.numbers["risk_rival"][:2] == [2.0, 1.5] and len(drawing.numbers["x"]) == 24
    assert "in 33% of the diagram against all rivals and in 58%" in drawing.caption
    assert "of 2 measured points 2 are decided, 1 of these as predicted" in drawing.caption
    other = figures.noise(right, points)
    look(other)
    assert "Hessian pruning wins up to σ² = 2.0, there for spike 2" in other.caption
    assert "oracle pruning wins up to σ² = 2.0, there for spike 2" in other.caption


def test_a_rule_may_win_nowhere_or_for_several_spikes(right: Diagram) -> None:
    assert dataclasses.replace(right, rows=[[cell(0.5)] * 4] * 3).border("Hessian") == "Hessian pruning wins nowhere"
    wide = dataclasses.replace(right, rows=[[cell(2.0)] * 4] * 3).border("Hessian")
    assert wide == "Hessian pruning wins up to σ² = 2.0, there for spikes from 2 to 100"


def test_the_findings_follow_the_numbers(left: Diagram, right: Diagram, points: Points) -> None:
    said = figures.findings(left, right, points)
    assert "33% of the settings" in said[0] and "67% of the half with fewer samples, and in 0%" in said[0]
    assert "Measured leads follow the law" in said[2] and "of 3 measured points 2 are decided" in said[2]
    off = dataclasses.replace(points, all=[dataclasses.replace(each, off=50.0) for each in points.all])
    assert "do not follow the law" in figures.findings(left, right, off)[2]


def test_leads_are_drawn(points: Points) -> None:
    drawing = figures.leads(points)
    look(drawing, x="predicted", y="measured")
    assert "raises the risk at 0 of the 3 points and lowers it at 3" in drawing.caption


def test_the_best_rivals_are_counted(left: Diagram, right: Diagram) -> None:
    half = [[cell(1.5, "pruned"), cell(1.5), cell(0.5, "pruned"), cell(0.5)]] * 3
    drawing = figures.rivals([dataclasses.replace(left, rows=half), right])
    look(drawing)
    assert drawing.numbers["samples"] == [0.0, 0.0, 0.5, 0.5, 0.0]
    assert "pruned: 50% and 0%" in drawing.caption
