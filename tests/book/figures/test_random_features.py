"""Figures 2 and 4 of chang, how good the prediction is, and other targets, from small made-up risks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from prunekit.book.figures import random_features as figures
from prunekit.book.figures.random_features import Layers
from tests.book.figures.looks import look

WIDTHS = np.array([20, 50, 190, 210, 400, 800])
SHAPE = np.array([2.0, 1.0, 3.0, 2.5, 1.2, 0.8])
KEPT = {"s": 20, "2s": 40, "4s": 80}


@pytest.fixture
def found() -> Layers:
    rng = np.random.default_rng(0)
    factors = {"dense": 0.8, "s": 1.4, "2s": 1.2, "4s": 1.0, "fresh": 1.0, "pruned": 3.0}
    law = {curve: np.tile(factor * SHAPE, (6, 1)) for curve, factor in factors.items()}
    given = {"given support": law["fresh"]}

    def measured(scale: float) -> dict[str, Any]:
        rows = {curve: x * scale * (1 + 0.001 * rng.standard_normal(x.shape)) for curve, x in law.items()}
        return rows | given

    return Layers(10, 200, KEPT, WIDTHS, 4, {"law": law, "ReLU": measured(1.05), "Gaussian": measured(1.0)})


def changed(found: Layers, kind: str, curve: str, factors: Any) -> Layers:
    """Return the same results, one curve multiplied at each width."""
    risks = {name: dict(curves) for name, curves in found.risks.items()}
    risks[kind][curve] = risks[kind][curve] * np.asarray(factors)
    return dataclasses.replace(found, risks=risks)


def test_risks_are_what_their_numbers_say(found: Layers) -> None:
    for drawing in (figures.figure_2(found), figures.figure_4(found)):
        look(drawing, x="p", y="risk")
    assert "d = 10, n = 200; 6 realizations of R, 4 data sets each" in figures.figure_2(found).caption
    assert "At every number of ReLU features kept" in figures.figure_2(found).caption
    lost = changed(found, "ReLU", "s", [1, 1, 1, 1, 1, 9])
    assert "Not at every number" in figures.figure_2(lost).caption
    words = figures.figure_4(changed(found, "ReLU", "4s", [1, 1, 2, 1, 1, 1])).caption
    assert "at p = 190, the risk after retraining on the same samples is +110% off" in words
    assert "fresh samples +5% (3.1" in words and "1.5 to 3.0 times" in words


def test_only_what_the_law_predicts_has_a_line(found: Layers) -> None:
    numbers = figures.figure_4(found).numbers
    lines = {label for kind, label in zip(numbers["kind"], numbers["label"], strict=True) if kind == "predicted"}
    assert lines == {"dense", "pruned only", "retrained, fresh"}


def test_ratios_are_drawn_for_both_kinds_of_features(found: Layers) -> None:
    drawing = figures.ratio(found)
    look(drawing, x="p", y="ratio")
    assert set(drawing.numbers["p"]) == {190, 210, 400, 800}  # above 4s
    mean, error = found.mean_ratios("ReLU")["fresh retraining"]
    by_hand = (found.real["fresh"] / found.law["fresh"])[:, 2:].mean(axis=1)
    assert (mean, error) == pytest.approx((by_hand.mean(), by_hand.std(ddof=1) / np.sqrt(6)))
    assert f"{mean:.3f} ± {error:.3f} (fresh retraining)" in drawing.caption


def test_a_fixed_support_is_judged_by_its_own_law(found: Layers) -> None:
    ratios = changed(found, "ReLU", "given support", 2.0).ratios("ReLU")
    assert ratios["fixed support"] == pytest.approx(ratios["fresh retraining"] / 2)


def test_variants_are_set_beside_the_setting_of_figure_2(found: Layers) -> None:
    other = dataclasses.replace(changed(found, "ReLU", "2s", [1, 1, 1, 1, 1, 2]), inputs=30)
    drawing = figures.variants(found, "2s", {"d = 30": other})
    look(drawing, x="p", y="risk")
    assert figures.large_over_small(found, "2s") == pytest.approx(0.8, rel=0.01)
    assert figures.large_over_small(other, "2s") == pytest.approx(1.6, rel=0.01)
    assert figures.at_peak(found, "2s") == pytest.approx(3, rel=0.01)
    assert "6 realizations for each variant" in drawing.caption and "1.60 (d = 30)" in drawing.caption


def test_the_findings_follow_from_the_numbers(found: Layers) -> None:
    says = figures.findings(found)
    assert "moments predicts the risk" in says[0] and "5.0% of the prediction in the median of 18" in says[0]
    assert "have two descents" in says[1] and "is lower when they are chosen from 800" in says[1]
    assert "not perfect, other than the paper says: risks are +5.0% ± 0.0%" in says[2]
    off = figures.findings(changed(found, "ReLU", "s", 1.4))
    assert "does not predict the risk" in off[0] and "47% at most" in off[0]
    assert "is not always lower" in figures.findings(changed(found, "ReLU", "4s", [1, 1, 1, 1, 1, 9]))[1]
    assert "do not all have two" in figures.findings(changed(found, "ReLU", "dense", [1, 1, 0.1, 1, 1, 1]))[1]
    assert "is perfect, to a hundredth, as the paper" in figures.findings(changed(found, "ReLU", "fresh", 1 / 1.05))[2]
    assert "is perfect or nearly so" in figures.findings(changed(found, "ReLU", "fresh", 1.01 / 1.05))[2]


def least(found: Layers, curve: str) -> float:
    """Return the weakest leg, each at its clearest width."""
    return min(float(leg.mean(axis=0).max()) for leg in found.legs(curve))


def test_descents_and_leads_are_relative(found: Layers) -> None:
    assert [leg.shape for leg in found.legs("s")] == [(6, 2), (6, 2), (6, 3)]
    assert least(found, "s") == pytest.approx(1.0, abs=0.01)  # from 2 down to 1
    assert least(changed(found, "ReLU", "s", [1, 1, 0.2, 1, 1, 1]), "s") < 0  # no ascent
    assert least(changed(found, "ReLU", "s", [0.1, 1, 1, 1, 1, 1]), "s") < 0  # no first descent
    assert least(changed(found, "ReLU", "s", [1, 1, 1, 2, 5, 9]), "s") < 0  # no second one
    assert found.lead_of_largest("s").mean(axis=0) == pytest.approx([0.6, 0.2, 1 - 0.8 / 3], abs=0.01)
    assert changed(found, "ReLU", "s", [1, 1, 1, 1, 1, 2]).lead_of_largest("s").mean(axis=0).min() < 0


def test_gaps_are_averaged_on_either_side_of_n(found: Layers) -> None:
    gaps = changed(found, "ReLU", "s", [1, 1, 1, 2, 2, 2]).side_gaps(["dense", "s"])
    assert gaps.shape == (6, 4)
    assert gaps.mean(axis=0) == pytest.approx([0.05, 0.05, 0.05, 1.1], abs=0.002)


def test_gaps_and_shares_are_of_the_prediction(found: Layers) -> None:
    share, slack = found.shares(["dense", "s"])
    assert share.shape == slack.shape == (12,)
    assert share == pytest.approx(0.05, abs=0.002)
    gap = (found.real["s"] - found.law["s"])[:, 0]
    assert found.gaps(["dense", "s"])[:, 6] == pytest.approx(gap)
    error = gap.std(ddof=1) / np.sqrt(6) / 2.8
    assert slack[6] / error == pytest.approx(slack[0] / ((found.gaps(["dense"])[:, 0]).std(ddof=1) / np.sqrt(6) / 1.6))


def test_layers_are_stacked_and_their_data_sets_averaged() -> None:
    rows = [
        {"law": [[{"dense": 1.0 * k}, {"dense": 2.0 * k}]], "ReLU": [[{"dense": k}, {"dense": 3}], [{"dense": 5}] * 2]}
        for k in (1, 2, 3)
    ]
    found = figures.stacked(rows)
    assert found["law"]["dense"].tolist() == [[1, 2], [2, 4], [3, 6]]
    assert found["ReLU"]["dense"].tolist() == [[3, 4], [3.5, 4], [4, 4]]
