"""Figures 3a and 3b, and what noise does, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import linear_gaussian as figures
from prunekit.book.figures.linear_gaussian import Widths
from tests.book.figures.looks import look

LABELS = ("dense", "magnitude", "Hessian", "oracle")


@pytest.fixture
def found() -> Widths:
    fine, widths = np.array([10, 20, 40, 60, 80, 100]), np.array([20, 60, 100])
    lines = {label: 0.8 + 0.1 * k + np.linspace(0.5, 0.0, 6) for k, label in enumerate(LABELS)}
    laws = {label: line[[1, 3, 5]] for label, line in lines.items()}
    rng = np.random.default_rng(0)
    measured = {label: law + 0.01 * rng.standard_normal((5, 3)) for label, law in laws.items()}
    measured |= {f"{label}, retrained": np.full((5, 3), 2.0) for label in LABELS[1:]}
    return Widths(100, 30, 10, 0.5, fine, lines, widths, laws, measured)


def test_both_figures_are_what_their_numbers_say(found: Widths) -> None:
    for drawing in (figures.figure_3a(found), figures.figure_3b(found)):
        look(drawing, x="k_over_p", y="risk")
        assert "p = 100, n = 30, s = 10, σ² = 0.25; 5 repetitions" in drawing.caption


def test_the_best_rival_is_small_or_retrained(found: Widths) -> None:
    small = min(found.measured[label][:, 0].mean() for label in LABELS)
    assert found.best_rival == pytest.approx(small)
    lower = {name: values - 1.5 if "retrained" in name else values for name, values in found.measured.items()}
    assert dataclasses.replace(found, measured=lower).best_rival == pytest.approx(0.5)


def test_the_findings_say_who_wins(found: Widths) -> None:
    assert "beats every small" in figures.findings(found, found)[2]
    best = {name: values - 5 if "retrained" in name else values for name, values in found.measured.items()}
    assert "predicts the risk" in figures.findings(found, found)[0]
    off = {name: values + 1 if name == "dense" else values for name, values in found.measured.items()}
    assert "does not predict" in figures.findings(dataclasses.replace(found, measured=off), found)[0]
    assert "other than the paper says" in figures.findings(found, dataclasses.replace(found, measured=best))[2]
    assert "does not beat" in figures.findings(found, dataclasses.replace(found, measured=best))[2]


@pytest.mark.parametrize(("means", "twice"), [([1, 2, 3, 1], True), ([2, 1, 3, 1], False), ([1, 2, 1, 3], False)])
def test_two_descents_are_a_rise_towards_n_and_a_fall_beyond(found: Widths, means: list[float], twice: bool) -> None:
    measured = {label: np.tile(np.array(means, dtype=float), (5, 1)) for label in LABELS}
    case = dataclasses.replace(found, widths=np.array([10, 20, 40, 100]), measured=measured)
    assert all(case.descends_twice(label) is twice for label in LABELS)


def test_noise_is_drawn_relative_to_the_best_rival() -> None:
    noises = np.array([0.0, 1.0, 2.0, 3.0])
    rival = np.array([1.0, 2.0, 3.0, 4.0])
    risks = {"Hessian": rival * [0.5, 0.8, 1.1, 1.4], "oracle": rival * 0.5, "best rival": rival}
    points = {label: [(risk[0], 0.1), (risk[3], 0.1)] for label, risk in risks.items()}
    ends = {rule: figures.lead_ends_at(noises, risks[rule], rival) for rule in ("Hessian", "oracle")}
    drawing = figures.against_noise(noises, risks, [0, 3], points, ends, 7)
    look(drawing, x="noise_variance", y="relative_risk")
    assert "up to σ² = 1.57" in drawing.caption and "oracle pruning at every σ² shown" in drawing.caption


@pytest.mark.parametrize(
    ("gap", "end"), [([1, 1, 1], "never"), ([-1, 1, 1], 0.0), ([1, 0, -1], 1.0), ([2, -2, 1], 0.5)]
)
def test_a_lead_ends_where_the_curves_cross(gap: list[float], end: float | str) -> None:
    assert figures.lead_ends_at(np.arange(3.0), np.zeros(3), np.array(gap, dtype=float)) == end


def test_gaps_are_of_the_prediction_on_either_side_of_n(found: Widths) -> None:
    off = {**found.measured, "magnitude": found.laws["magnitude"] * np.tile([1.2, 1.0, 1.4], (5, 1))}
    gaps = dataclasses.replace(found, measured=off).gaps
    assert gaps.shape == (5, 8)
    assert gaps[:, 2:4] == pytest.approx(np.tile([0.2, 0.2], (5, 1)))  # one width below n, two above


def test_steps_are_relative_to_the_lower_risk(found: Widths) -> None:
    measured = {label: np.tile([1.0, 2.0, 3.0, 1.5], (5, 1)) for label in LABELS}
    case = dataclasses.replace(found, widths=np.array([10, 20, 40, 100]), measured=measured)
    assert case.steps(100) == pytest.approx(np.tile([1.0, 1.0], (5, 4)))


def test_a_lead_is_a_share_of_the_rivals_risk() -> None:
    rival, own = np.array([[1.0, 4.0], [3.0, 4.0]]), np.array([[1.0], [1.0]])
    assert figures.lead(rival, own).tolist() == [[0.0, 0.75], [1.0, 0.75]]
