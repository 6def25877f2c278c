"""The figures on the cone of an ellipsoid, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import ellipsoid_cone as figures
from prunekit.book.figures.ellipsoid_cone import METHODS, Dimensions, Network, Shares
from tests.book.figures.looks import look

NAMES = ("flat", "two levels", "log-uniform", "power law")


@pytest.fixture
def cones() -> Dimensions:
    """Return dimensions of which the published one lacks a tenth of D for the last spectrum, and nothing else does."""
    ratios, fine = np.array([0.01, 0.5]), np.array([0.01, 0.1, 0.5, 1.0])
    exact = np.array([[20.0, 0.05], [60.0, 0.05]])
    points = {name: np.column_stack([exact, exact[:, 0], exact[:, 0] - 10 * (name == "power law")]) for name in NAMES}
    lines = {name: np.column_stack([100 * fine, 90 * fine]) for name in NAMES}
    return Dimensions(100, 50, ratios, points, fine, lines)


def rows(true: float, T: float, orthogonal: float) -> list[dict[str, float]]:
    """Return the shares of four models that hardly differ."""
    centre = {"re-optimized": true, "T⊥, orthogonal": orthogonal, "cone": 0.3, "T, published": T, "one-shot": 0.6}
    return [{m: centre[m] + 0.001 * i for m in METHODS} for i in range(4)]


@pytest.fixture
def shares() -> Shares:
    """Return shares of which two settings of twelve are below T."""
    models = {}
    for basis in ("random", "aligned"):
        for name in NAMES[1:]:
            for weights in ("Gaussian", "uneven"):
                low = basis == "random" and weights == "uneven" and name != "power law"
                models[name, weights, basis] = rows(0.2, 0.3 if low else 0.2, 0.21)
    return Shares(100, models, rows(0.2, 0.25, 0.22))


def again(name: str, ratio: float) -> tuple[float, float]:
    """Return the dimensions of fresh draws: those of the fixture and half a dimension."""
    return {0.01: 20.5, 0.5: 60.5}[ratio], 0.02


def test_the_farthest_row_is_told_as_a_check(cones: Dimensions) -> None:
    row = cones.farthest(3, again)
    assert "published formula" in row["what"] and "power law spectrum, tolerance 0.01" in row["what"]
    assert (row["measured"], row["error"]) == pytest.approx((0.205, 0.0002))
    assert (row["expected"], row["corrected"]) == pytest.approx((0.1, 0.2))
    off = {"flat": 0.9, "power law": 0.5}
    moved = {name: rows + np.array([0, 0, off.get(name, 0), 0]) for name, rows in cones.points.items()}
    other = dataclasses.replace(cones, points=moved)
    assert "power law" in other.farthest(2, again)["what"]  # the flat one is farther off, but its formulas are one
    assert other.farthest(2, again)["corrected"] == pytest.approx(0.205)


def test_the_interval_is_held_against_the_least_that_the_width_can_be(cones: Dimensions) -> None:
    low, high = cones.interval(again)
    assert high["measured"] == pytest.approx(0.195) and high["expected"] == pytest.approx(0.1)
    assert high["corrected"] == pytest.approx(0.2) and "power law" in high["what"]
    assert low["measured"] - low["expected"] == pytest.approx(0.195 - (2 / np.pi) ** 0.5 * 0.2)
    assert (low["relation"], high["relation"]) == ("at least", "at most") and "corrected" not in low


def test_what_a_formula_is_off_is_told_in_shares(cones: Dimensions) -> None:
    assert cones.gaps(2).max() == 0 and cones.off == 0
    assert cones.gaps(3) == pytest.approx([0] * 6 + [0.1] * 2)
    assert [cones.lost(name) for name in NAMES] == pytest.approx([0, 0, 0, 0.1])


def test_dimensions_are_drawn_for_each_spectrum(cones: Dimensions) -> None:
    drawing = figures.dimensions(cones)
    look(drawing, x="tolerance_over_loss", y="dimension_over_D")
    assert "lacks at most 0.00 (flat)" in drawing.caption and "0.10 (power law)" in drawing.caption
    assert set(drawing.numbers["spectrum"]) == set(NAMES)


def test_a_mean_gap_has_the_allowance_of_chance_and_of_a_weight(shares: Shares) -> None:
    setting = ("two levels", "uneven", "random")
    gap, allowed = shares.short(setting, "T, published")
    assert gap == pytest.approx(-0.1) and allowed == pytest.approx(0.01)  # no scatter: one weight of a hundred
    assert shares.lowest == setting and shares.below == 2
    assert shares.off("T, published") == pytest.approx(0.1)
    assert shares.way() == pytest.approx((0.2 / (0.2 - 6 * 0.01), 0.0, (0.2 - 6 * 0.01) / 6))
    assert shares.off("T, published", "aligned") == pytest.approx(0, abs=1e-12)


def test_shares_are_drawn_by_method(shares: Shares) -> None:
    drawing = figures.shares(shares)
    look(drawing)
    assert "within 0.010 of the orthogonal limit and within 0.100 of T" in drawing.caption
    assert "-0.050 off T" in drawing.caption and "4 networks" in drawing.caption
    assert drawing.numbers["T, published"] == pytest.approx([0.2015, 0.3015] * 2 + [0.2015] * 8)


@pytest.mark.parametrize(("truth", "nearest"), [(0.11, "cone"), (0.19, "T, published"), (0.14, "T⊥, orthogonal")])
def test_the_caption_of_the_network_names_the_nearest(truth: float, nearest: str) -> None:
    kept = np.array([20, 60, 200])
    curves = {"cone": np.full(3, 0.11), "T, published": np.full(3, 0.2), "T⊥, orthogonal": np.full(3, 0.15)}
    reached = {"re-optimized": truth, "one-shot": 0.4, **{name: float(curve[0]) for name, curve in curves.items()}}
    exact = np.array([[0.1, 0.01]])
    drawing = figures.network(Network(1000, kept, curves, np.array([60]), exact, reached))
    look(drawing, x="k_over_D", y="share_needed")
    assert drawing.caption.endswith(f"the nearest is “{nearest}”.")


def test_gradients_are_told_from_zero() -> None:
    rng = np.random.default_rng(0)
    at_one = {"after SGD": 1 + 0.1 * rng.standard_normal(50), "after proximal steps": np.full(20, 1.0)}
    drawing = figures.gradient(at_one)
    look(drawing)
    assert "nearer to the strength of the penalty" in drawing.caption and "1.00 to 1.00 after prox" in drawing.caption
    assert len(drawing.numbers["state"]) == len(drawing.numbers["gradient_over_lambda"]) == 70
    assert "not always nearer to λ" in figures.gradient(at_one | {"after SGD": np.full(5, 0.1)}).caption


def test_the_findings_follow_the_numbers(cones: Dimensions, shares: Shares) -> None:
    small, bound, networks = figures.findings(cones, shares)
    assert "is too small" in small and "0.10 of that of the space (power law" in small and "agrees" in small
    assert "is no lower bound" in bound and "in 2 of 12" in bound and "by -0.100" in bound
    assert networks.endswith("the corrected limit is nearer.")
    whole = {name: np.column_stack([each[:, :2], each[:, 0] + 5, each[:, 0]]) for name, each in cones.points.items()}
    other = Shares(100, {key: rows(0.2, 0.2, 0.2) for key in shares.models}, rows(0.2, 0.21, 0.3))
    right, holds, nearer = figures.findings(dataclasses.replace(cones, points=whole), other)
    assert "as large as the exact one" in right and "does not agree" in right
    assert "is a lower bound" in holds and "in 0 of 12" in holds
    assert nearer.endswith("T is nearer.")
