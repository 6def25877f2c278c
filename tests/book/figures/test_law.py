"""Convergence to the law, the pruned risk and one large coefficient, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import law as figures
from prunekit.book.figures.law import Convergence, Coordinate
from tests.book.figures.looks import look

SIZES = np.array([24, 48, 96])


@pytest.fixture
def found() -> Convergence:
    rng = np.random.default_rng(0)
    own = {k: rng.uniform(0.9, 1.1, (2, 6, 3)) / SIZES**0.5 for k in (1.5, 2.0)}
    slopes = {k: -0.5 + 0.05 * rng.standard_normal((6, 2)) for k in (1.5, 2.0)}
    return Convergence(SIZES, {k: 1.2 * values for k, values in own.items()}, own, slopes)


def test_both_distances_are_drawn(found: Convergence) -> None:
    drawing = figures.convergence(found)
    look(drawing, x="p", y="distance")
    assert set(drawing.numbers["distance_kind"]) == {"energy distance", "moment distance"}
    assert "means of 6" in drawing.caption and "for κ = 1.5" in drawing.caption


def test_the_findings_say_whether_the_distance_falls(found: Convergence) -> None:
    said = figures.findings(found)
    assert "falls as 1/√p" in said[0] and "1.20 to 1.20 times" in said[1]
    flat = {k: slope + 0.4 for k, slope in found.slopes.items()}
    assert "does not fall as 1/√p" in figures.findings(dataclasses.replace(found, slopes=flat))[0]


def test_the_pruned_risk_names_the_best_share() -> None:
    fine = np.array([0.1, 0.4, 0.7, 1.0])
    curves = {1.5: np.array([2.0, 1.0, 1.2, 1.5]), 2.0: np.array([2.0, 1.8, 1.6, 1.5])}
    measured = {k: np.tile(curve[[0, 3]], (4, 1)) + np.arange(4)[:, None] / 10 for k, curve in curves.items()}
    drawing = figures.pruned_risk(fine, curves, fine[[0, 3]], measured, {1.5: 1.2, 2.0: 2.3}, 96)
    look(drawing, x="share_kept", y="risk")
    assert "0.40 for κ = 1.5 (1.000; dense 1.500)" in drawing.caption and "within 2.3" in drawing.caption


def test_one_coordinate_is_off_the_law_and_on_the_correction() -> None:
    fine, shares = np.linspace(0, 1, 5), np.array([0.0, 1.0])
    factors = np.stack([1 + 0.05 * fine, 1 + fine])
    corrected = {p: factors[:, [0, 4]] for p in (48, 96)}
    ratios = {p: each * np.random.default_rng(p).uniform(0.9, 1.1, (50, 1, 1)) for p, each in corrected.items()}
    special = Coordinate([4.0, 0.25], fine, factors, shares, ratios, corrected, 0.02)
    drawing = figures.one_coordinate(special)
    look(drawing, x="signal_share", y="variance_ratio")
    plain, off = special.off
    assert plain > 10 > off
    assert "at no share at variance 4, from a share of 0.25 at variance 0.25" in drawing.caption
