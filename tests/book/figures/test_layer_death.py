"""Figures 3a to 3c and 4 of li from made-up accuracies and shares, alone and beside the recorded run."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from prunekit.book import recordings
from prunekit.book.figures import layer_death as figures
from prunekit.book.figures.beside import Sets, points
from prunekit.book.figures.layer_death import Pruned
from prunekit.masks.scaled import Plan
from tests.book.figures.looks import look

PLAN = Plan.of([0.125, 0.25, 0.5, 4.0, 8.0], None, [0.02, 0.1, 0.3], 0.6)


def made(case: Any, s: int) -> float:
    """Return an accuracy: magnitude pruning of all layers together fails away from λ = 1/2, nothing else does."""
    lam, scope, rule, keep = case
    fails = scope == "global" and rule == "magnitude" and lam != 0.5
    return (0.1 if fails else 0.9 + (0.02 if scope == "layer" else 0.0)) - 0.1 * (0.3 - keep) + 0.001 * s


def left(rule: str, lam: float, s: int) -> dict[str, float]:
    """Return shares of the two layers."""
    output = 0.3 + 0.01 * s if rule == "Hessian" else max(0.0, 0.7 - lam / 5)
    return {"input.weight": 0.0 if rule == "magnitude" and lam < 0.2 else 0.08, "output.weight": output}


@pytest.fixture
def found() -> Pruned:
    shares = [{rule: [left(rule, lam, s) for lam in PLAN.lambdas] for rule in figures.RULES} for s in range(3)]
    return Pruned(PLAN, shares, [{case: made(case, s) for case in PLAN.cases} for s in range(3)])


@pytest.fixture(params=[False, True], ids=["alone", "beside"])
def sets(request: pytest.FixtureRequest) -> Sets:
    recorded = recordings.recording("hessian-bias/initialization", "mnist") if request.param else None
    return Sets.of("digits", 100, 16, 3, recorded)


def test_accuracies_have_a_line_for_each_fraction(found: Pruned, sets: Sets) -> None:
    for rule, name in (("magnitude", "fig-3a"), ("Hessian", "fig-3b")):
        drawing = figures.accuracies(found, rule, sets)
        look(drawing, x="lambda", y="mean")
        assert drawing.name == name
        _, mean, _ = points(drawing.numbers, data="digits", fraction=0.1)
        assert mean == pytest.approx([made((lam, "global", rule, 0.1), 1) for lam in PLAN.retrained])
    caption = figures.accuracies(found, "magnitude", sets).caption
    assert "from 0.081 (λ = 0.25) to 0.881 (λ = 0.5) with 10.0% of the weights (digits)" in caption


def test_shares_of_both_layers_are_drawn(found: Pruned, sets: Sets) -> None:
    drawing = figures.shares(found, sets)
    look(drawing, x="lambda", y="mean")
    assert "0.31 to 0.31 under Hessian, 0 to 0.67 under magnitude pruning (digits, 10.0% kept)" in drawing.caption


def test_scopes_are_compared(found: Pruned, sets: Sets) -> None:
    drawing = figures.scopes(found, sets)
    look(drawing, x="lambda", y="mean")
    assert "digits, magnitude: +0.820 at λ = 0.25, +0.020 at λ = 0.5, +0.820 at λ = 4" in drawing.caption


def test_shares_and_accuracies_are_by_seed_and_scale(found: Pruned) -> None:
    assert found.share_left("Hessian", "output")[:, 0] == pytest.approx([0.3, 0.31, 0.32])
    assert found.accuracy("layer", "Hessian", 0.1, [4.0]) == pytest.approx(np.array([[0.9], [0.901], [0.902]]))
    assert found.relative_share("output", 0) == pytest.approx(0.675 / 0.1)
    assert [end.tolist() for end in found.ends] == [[0.0] * 3, [0.0] * 3]


def test_the_findings_follow_from_the_numbers(found: Pruned) -> None:
    says = figures.findings(found)
    assert (
        "from 0.88 down to 0.08 (at λ = 0.25)" in says[0] and "it hardly depends on λ and is at least 0.88" in says[0]
    )
    assert "deletes whole layers: at the smallest and the largest λ 6 of the 6 layers" in says[1]
    assert "keeps 31% to 31% of the output layer" in says[1]
    assert "fraction does better at λ = 0.25 and 4" in says[2] and "mean accuracy by +0.020." in says[2]
    worse = {
        case: value - 0.5 * (case[0] == 4.0 and case[2] == "Hessian") for case, value in found.accuracies[0].items()
    }
    alive = [
        {rule: [{name: 0.1 for name in share} for share in by] for rule, by in run.items()} for run in found.shares
    ]
    other = figures.findings(dataclasses.replace(found, shares=alive, accuracies=[worse] * 3))
    assert "it depends on λ and is at least 0.38" in other[0]
    assert "deletes no layer: at the smallest and the largest λ 0 of the 6" in other[1]
    equal = {case: 0.5 for case in PLAN.cases}
    assert "does not always do better" in figures.findings(dataclasses.replace(found, accuracies=[equal] * 3))[2]


def test_curves_that_are_judged(found: Pruned) -> None:
    curves = found.curves()
    ahead = curves.ahead(("global", "Hessian"), ("global", "magnitude"), 0.1)
    assert ahead.lambdas == [0.25, 0.5, 4.0] and ahead.mean == pytest.approx([0.8, 0.0, 0.8])
    alone = curves.ahead(("layer", "Hessian"), ("global", "Hessian"), 0.02)
    assert alone.lambdas == list(PLAN.compared) and alone.average()["measured"] == pytest.approx(0.02)
    assert curves.left("input", 0) == {"measured": 0.0, "error": 0.0}
    assert curves.left("output", 0)["measured"] == pytest.approx(0.675 / 0.1)
    assert curves.furthest("output", 0.5)["measured"] == pytest.approx(0.31)


def test_a_recorded_run_is_judged_as_the_live_one() -> None:
    recording = recordings.recording("hessian-bias/initialization", "mnist")
    curves = figures.recorded_curves(recording)
    plan = curves.plan
    assert (plan.fractions, plan.balanced) == ([0.002, 0.01], 1.0)
    old = {record["what"]: record["measured"] for record in recording.checks}
    ahead = curves.ahead(("global", "Hessian"), ("global", "magnitude"), 0.01)
    wanted = old["test accuracy of Hessian minus magnitude pruning at the balanced λ = 1, 1.0% kept"]
    assert ahead.at(1.0).measured(0)["measured"] == pytest.approx(wanted)
    lost = curves.accuracy["global", "Hessian", 0.01].drop()["measured"]
    assert lost == pytest.approx(old["test accuracy lost from the best to the worst λ, 1.0% kept"])
    joint = curves.ahead(("global", "Hessian"), ("layer", "Hessian"), 0.002).average()["measured"]
    assert joint == pytest.approx(old["mean gain in test accuracy of joint over layer-wise Hessian pruning, 0.2% kept"])
    assert curves.left("output", -1) == {"measured": 0.0, "error": 0.0}
