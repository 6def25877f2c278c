"""The figures of the contest of pruning algorithms, from small made-up results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prunekit.book.figures import algorithms as figures
from prunekit.book.figures.algorithms import Contest
from tests.book.figures.looks import look

ACCURACY = {
    "dense": 0.90, "one-shot": 0.91, "rare gems": 0.88, "lottery tickets": 0.85, "smart ratio": 0.5, "random": 0.3,
    "rare gems, longer": 0.905,
}  # fmt: skip


def contest(**changed: float) -> Contest:
    """Return a contest of two networks over three seeds; the longer rival ran on the first alone."""
    rows: list[dict[str, Any]] = []
    for n, network in enumerate(("FC5", "CNN")):
        for seed in (0, 1, 2):
            for algorithm, accuracy in (ACCURACY | changed).items():
                if n and algorithm.endswith("longer"):
                    continue
                noise = 0.001 * seed * (1 + (algorithm == "one-shot"))
                row = {"network": network, "seed": seed, "algorithm": algorithm}
                rows.append(row | {"test_accuracy": accuracy + 0.01 * n + noise, "kept": 5, "epochs": 8})
    return Contest(rows, "digits", 10, {"FC5": 0.05, "CNN": 0.1})


def test_differences_are_paired_over_seeds() -> None:
    found = contest()
    assert found.difference("dense") == pytest.approx(np.array([[1.0, 1.0], [1.1, 1.1], [1.2, 1.2]]))
    assert found.ran("rare gems, longer") == ["FC5"] and found.longer == ["rare gems, longer"]
    assert found.difference("rare gems, longer").shape == (3, 1)
    gap = next(g for g in found.gaps if g["rival"] == "dense")
    quantile = 4.302652729911275  # Student's t with 2 degrees of freedom, 97.5%
    assert gap["difference"] == pytest.approx(1.1)
    assert gap["half_width"] == pytest.approx(quantile * 0.1 / np.sqrt(3))


def test_the_smallest_difference_has_an_error_from_all_networks() -> None:
    least = contest().smallest("dense")
    assert least["measured"] == pytest.approx(1.1) and least["repetitions"] == 5
    assert least["error"] == pytest.approx(0.1 / np.sqrt(3))


def test_both_figures_show_every_algorithm() -> None:
    found = contest()
    drawing = figures.table_3(found)
    look(drawing)
    assert "5.00% (FC5), 10.00% (CNN)" in drawing.caption and "one-shot 91.7%" in drawing.caption
    assert "longer" not in drawing.caption
    drawing = figures.differences(found)
    look(drawing)
    assert "11 of 11 intervals lie above zero, 0 below" in drawing.caption
    assert "9 of 11 intervals lie above zero, 2 below" in figures.differences(contest(dense=0.95)).caption


def test_the_findings_follow_the_numbers() -> None:
    won = figures.findings(contest())
    assert "leads all three rivals of Table 3" in won[0] and "+6.1 (lottery tickets)" in won[0]
    assert "A lead lasts where" in won[1] and "+0.6 (rare gems, longer)" in won[1]
    assert "On 2 of 2 networks" in won[2]
    lost = figures.findings(contest(**{"lottery tickets": 0.95, "rare gems, longer": 0.99, "dense": 0.95}))
    assert "does not lead all three rivals" in lost[0] and "-3.9 (lottery tickets)" in lost[0]
    assert "does not last on every network" in lost[1] and "On 0 of 2 networks" in lost[2]
    rows = [row for row in contest().rows if "longer" not in row["algorithm"]]
    assert len(figures.findings(Contest(rows, "digits", 10, {"FC5": 0.05, "CNN": 0.1}))) == 2
