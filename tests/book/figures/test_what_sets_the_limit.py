"""The figures on what sets the limit, from small results."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from prunekit.book.figures import what_sets_the_limit as figures
from prunekit.book.plotting import LIGHT
from tests.book.figures.looks import look

ROWS = [{"gap": 0.02, "T": 0.1}, {"gap": 0.04, "T": 0.2}]


@pytest.fixture
def points() -> list[dict[str, Any]]:
    return [
        {"network": name, "p": p, "gap": 0.3 * p, "R_squared": 2 - p, "T": 0.15}
        for name in ("A", "B")
        for p in (0.1, 0.2, 0.4)
    ]


@pytest.fixture
def swaps() -> list[dict[str, Any]]:
    return [
        {"network": name, "seed": k, "neither": c, "weights": 0.25 * c, "Hessian": 1.1 * c, "both": 0.3 * c}
        for name, k, c in (("A", 0, 0.2), ("A", 1, 0.3), ("B", 0, 0.4))
    ]


def test_the_upper_map_is_drawn_in_points(points: list[dict[str, Any]]) -> None:
    drawing = figures.upper(points, ROWS)
    look(drawing, x="p", y="R_squared")
    assert "At T it is 3.0 points on average over 2 networks, 20% of T" in drawing.caption
    figure = drawing.draw(LIGHT)
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [3, 6, 12])
    plt.close(figure)


def test_pairs_are_lines_over_four_combinations(swaps: list[dict[str, Any]]) -> None:
    drawing = figures.separation(swaps, (1, 4, 16))
    look(drawing)
    assert "From reach 1 to 16" in drawing.caption and "weights alone multiply T by 0.25" in drawing.caption
    figure = drawing.draw(LIGHT)
    assert [line.get_ydata()[3] for line in figure.axes[0].lines] == pytest.approx([0.06, 0.09, 0.12])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B"]
    plt.close(figure)


def test_the_findings_follow_the_numbers(swaps: list[dict[str, Any]]) -> None:
    along = {"norm": (0.9, 0.5, 1.0), "trace": (-0.9, -1.0, -0.5)}
    bound, moves, across = figures.findings(ROWS, 0.12, swaps, along)
    assert "far from T" in bound and "above by 20% of T" in bound and "at most 12%" in bound
    assert "more by its weights" in moves and "multiplied by 0.25" in moves
    assert "T rises with the norm" in across and "and falls with the trace" in across
    other = [{**swap, "weights": swap["neither"], "Hessian": 3 * swap["neither"]} for swap in swaps]
    bound, moves, across = figures.findings(ROWS, 5.0, other, {"norm": (0.2, -0.3, 0.6)})
    assert "near to T" in bound and "more by its Hessian" in moves and "neither rises nor falls" in across
    assert len(figures.findings(ROWS, 5.0, [], {})) == 1


def test_a_mean_has_its_error_and_a_single_network_none() -> None:
    mean = figures.average(np.array([0.1, 0.3]))
    assert mean == {"measured": pytest.approx(0.2), "error": pytest.approx(0.1), "repetitions": 2, "of": "networks"}
    assert figures.average(np.array([0.1])) == {"measured": 0.1, "error": None}


def test_ranks_are_taken_within_an_architecture() -> None:
    rows = [{"network": n, "T": v} for n, v in (("A", 3.0), ("B", 10.0), ("A", 1.0), ("B", 30.0), ("B", 20.0))]
    np.testing.assert_allclose(figures.ranked(rows, "T"), [0.75, 1 / 6, 0.25, 5 / 6, 0.5])
