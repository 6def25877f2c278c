"""Figures 2a to 2c of li from made-up importances, alone and beside the recorded run."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from prunekit.book import recordings
from prunekit.book.figures import initialization as figures
from prunekit.book.figures.beside import Sets, kept, points, rows
from prunekit.book.figures.initialization import Trained
from prunekit.book.plotting import LIGHT
from prunekit.book.tables import tabulated
from tests.book.figures.looks import look

LAMBDAS = (0.125, 0.25, 1.0, 4.0, 8.0)


def trained(
    seeds: int = 4, *, swapped: bool = False, rising: bool = True, kick: float = 1.02, scatter: float = 0.001
) -> Trained:
    """Return importances in which the layer of small weights learns, or the other."""
    rng = np.random.default_rng(0)

    def at(lam: float, learned: float) -> dict[tuple[str, str], float]:
        noise = 1 + scatter * rng.standard_normal(4)
        rise = (lam if rising else 1 / lam) if learned != 1 else 1.0
        found = {"input": (lam**2 * learned, 2 * rise), "output": (lam**-2 * learned, 3 * rise)}
        return {
            (quantity, layer): value * (noise[k] if learned != 1 else 1.0)
            for layer, values in found.items()
            for k, (quantity, value) in enumerate(zip(("magnitude", "Hessian"), values, strict=True))
        }

    def natural(lam: float) -> dict[tuple[str, str], float]:
        rising = lam**4 / (1 + lam**4)
        of = {"input": rising, "output": 1 - rising} if swapped else {"input": 1 - rising, "output": rising}
        return {
            (what, layer): scale * value * (1 + 0.001 * rng.standard_normal())
            for layer, value in of.items()
            for what, scale in (("train loss", 3.0), ("test loss", 2.0), ("test error", 0.9))
        }

    runs: list[dict[str, Any]] = [
        {
            "before": [at(lam, 1) for lam in LAMBDAS],
            "after": [at(lam, kick) for lam in LAMBDAS],
            "natural": [natural(lam) for lam in LAMBDAS],
            "moves": {("weights", "input"): 0.1 + 0.01 * rng.standard_normal()},
        }
        for _ in range(seeds)
    ]
    return Trained(LAMBDAS, runs)


@pytest.fixture(params=[False, True], ids=["alone", "beside"])
def sets(request: pytest.FixtureRequest) -> Sets:
    recorded = recordings.recording("hessian-bias/initialization", "mnist") if request.param else None
    return Sets.of("digits", 100, 16, 4, recorded)


def test_importances_of_both_layers_are_drawn(sets: Sets) -> None:
    found = trained()
    for layer, name in (("input", "fig-2a"), ("output", "fig-2b")):
        drawing = figures.layer_importances(found, layer, sets)
        look(drawing)
        assert drawing.name == name and f"The {layer} layer." in drawing.caption
        x, mean, error = points(drawing.numbers, data="digits", quantity="natural", stage="after")
        values = found.by_lambda("natural", "train loss", layer)
        assert x.tolist() == list(LAMBDAS) and mean == pytest.approx(values.mean(axis=0))
        assert error == pytest.approx(values.std(axis=0, ddof=1) / 2)


def test_lines_before_training_are_those_of_the_lemma(sets: Sets) -> None:
    drawing = figures.layer_importances(trained(), "output", sets)
    figure = drawing.draw(LIGHT)
    [line] = [each for each in figure.axes[0].lines if each.get_label() == "magnitude, predicted"]
    x, y = np.asarray(line.get_xydata()).T
    assert y * x**2 == pytest.approx(np.full(len(LAMBDAS), y[0] * x[0] ** 2))
    plt.close(figure)


def test_test_losses_are_drawn_in_two_rows(sets: Sets) -> None:
    drawing = figures.figure_2c(trained(), sets)
    look(drawing, x="lambda", y="mean")
    assert "the output layer has 0 percent at the smallest and 100 percent at the largest λ (digits)" in drawing.caption
    assert ("(mnist)" in drawing.caption) is (sets.recorded is not None)


def test_the_recorded_rows_stand_below_the_live_ones() -> None:
    sets = Sets.of("digits", 100, 16, 4, recordings.recording("hessian-bias/initialization", "mnist"))
    assert sets.titles == {
        "digits": "digits: 100 images, m = 16, 4 seeds",
        "mnist": "mnist: 1500 images, m = 1024, 5 seeds",
    }
    numbers = figures.figure_2c(trained(), sets).numbers
    live = sum(data == "digits" for data in numbers["data"])
    assert live == 4 * len(LAMBDAS) and set(numbers["data"][live:]) == {"mnist"}
    assert sets.recorded is not None
    assert numbers["mean"][live:] == sets.recorded.numbers("fig-2c")["mean"]


def test_rows_are_means_over_seeds() -> None:
    table = tabulated([{"data": "a"} | row for row in rows(np.array([[1.0, 2.0], [3.0, 2.0]]), [1, 2], fraction=0.5)])
    assert [column.tolist() for column in points(table, data="a")] == [[1, 2], [2, 2], [1, 0]]
    assert kept(table, "a") == [0.5]


def test_the_findings_follow_from_the_numbers() -> None:
    says = figures.findings(trained())
    assert "of the input layer by at most 2% and of the output layer by at most 2%" in says[0]
    assert "by a factor 256" in says[0]
    assert "the input layer has 100% at λ = 0.125 and the output layer 100% at λ = 8" in says[1]
    assert "small weights learns, as the paper's figures say" in says[1]
    assert "does not depend on λ before training; after it, it rises" in says[2] and "as the paper" in says[2]
    other = figures.findings(trained(swapped=True, rising=False, kick=1.5))
    assert "by at most 50%" in other[0]
    assert "do not decide who learns, other than its figures say" in other[1]
    assert "does not rise" in other[2] and "other than the paper" in other[2]
    assert "cannot be told" in figures.findings(trained(seeds=2, scatter=0.05))[2]


def test_curves_that_are_judged() -> None:
    found = trained()
    curves = found.curves()
    ratio = (
        found.by_lambda("after", "magnitude", "output")[:, 1:4]
        / found.by_lambda("before", "magnitude", "output")[:, 1:4]
    )
    gone = np.exp(np.log(ratio).mean(axis=0)) - 1
    assert figures.largest_change(curves, "output")["measured"] == pytest.approx(np.max(np.abs(gone)))
    assert figures.spread(curves, "input") == {"measured": 0.0, "error": 0.0}
    assert figures.least_factor(curves["after", "Hessian", "input"])["measured"] == pytest.approx(4, rel=0.01)
    assert figures.least_factor(curves["after", "magnitude", "output"], -1)["measured"] == pytest.approx(16, rel=0.01)
    assert figures.least_factor(curves["after", "magnitude", "output"])["measured"] == pytest.approx(1 / 16, rel=0.01)
    falls = -np.diff(found.by_lambda("natural", "train loss", "input")[:, 1:4], axis=1)
    least = falls[:, falls.mean(axis=0).argmin()]
    fall = figures.least_fall(curves["natural", "train loss", "input"])
    assert fall == pytest.approx({"measured": least.mean(), "error": least.std(ddof=1) / 2})
    assert figures.ratio_range(curves)["measured"] == pytest.approx(1, abs=0.01)
    assert figures.least_trend(curves)["measured"] > 0.8
    assert figures.least_trend(trained(swapped=True).curves())["measured"] < -0.8
    assert [round(part["measured"], 3) for part in figures.parts_at_ends(curves)] == [0, 0]
    swapped = trained(swapped=True).curves()
    assert [round(part["measured"], 3) for part in figures.parts_at_ends(swapped)] == [1, 1]
    assert figures.shared_out(curves)["measured"] > 0.99 and figures.shared_out(swapped)["measured"] > 0.99
    power = figures.power_at_end(curves["natural", "train loss", "output"])
    assert power["measured"] == pytest.approx(np.log(2) / np.log(8), abs=0.01)


def test_a_recorded_run_is_judged_as_the_live_one() -> None:
    recording = recordings.recording("hessian-bias/initialization", "mnist")
    curves = figures.recorded_curves(recording)
    assert set(curves) == set(trained().curves())
    change = figures.largest_change(curves, "output")
    old = [r["measured"] for r in recording.checks if r["what"].endswith("magnitude importance, output layer")]
    assert change["measured"] == pytest.approx(old[0], rel=0.01) and change["error"] > 0
    assert figures.ratio_range(curves)["measured"] == pytest.approx(1.2797, rel=0.02)


def test_moves_are_kept_by_seed() -> None:
    found = trained()
    moves = figures.moved_at_one(found)["weights", "input"]
    assert moves.tolist() == [run["moves"]["weights", "input"] for run in found.runs]
    assert figures.mean_of(moves) == pytest.approx({"measured": moves.mean(), "error": moves.std(ddof=1) / 2})


def test_parts_and_powers() -> None:
    found = trained()
    assert found.part("input") + found.part("output") == pytest.approx(np.ones((4, 5)))
    mean = found.by_lambda("natural", "train loss", "input").mean(axis=0)
    assert found.power("input") == pytest.approx(np.log(mean[-1] / mean[2]) / np.log(8))
    assert found.inside == [1, 2, 3] and found.steps(np.arange(20.0).reshape(4, 5)).shape == (4, 2)
    assert found.spread("input") == 0.0
