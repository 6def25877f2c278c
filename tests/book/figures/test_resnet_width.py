"""Errors of dense and pruned ResNets, and where they interpolate, from small made-up sweeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prunekit.book.figures import resnet_width as figures
from prunekit.book.figures.resnet_width import Sweep
from tests.book.figures.looks import look

RUNS = 6
SETTING = {"data": "digits", "images": 100, "test_images": 200, "epochs": 7, "seeds": RUNS}
DENSE = {2: (0.5, 0.6), 4: (0.005, 0.4), 8: (0.0, 0.3), 16: (0.0, 0.2)}  # training and test error by width
TO_2 = {2: (0.4, 0.55), 4: (0.3, 0.5), 8: (0.01, 0.4), 16: (0.0, 0.35)}
TO_4 = {4: (0.0, 0.38), 8: (0.0, 0.25), 16: (0.0, 0.3)}


def sweep(curves: dict[int | None, dict[int, tuple[float, float]]], **setting: Any) -> Sweep:
    """Return a sweep of some runs whose test errors differ by a little."""
    rows = [
        (run, width, target, 10 * (target or width), 0, training, test + 0.002 * ((run * width) % 3 - 1))
        for target, curve in curves.items()
        for width, (training, test) in curve.items()
        for run in reversed(range(RUNS))
    ]
    names = ("run", "width", "target", "parameters", "revived", "train_error", "test_error")
    table = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return Sweep.of({"data": ["digits"] * len(rows)} | table, SETTING | setting)


@pytest.fixture
def found() -> Sweep:
    return sweep({2: TO_2, None: DENSE, 4: TO_4})


def test_a_table_becomes_curves_by_run_and_width(found: Sweep) -> None:
    assert list(found.curves) == [None, 2, 4] and found.targets == [2, 4]
    assert found.sizes == {None: 160, 2: 20, 4: 40}
    np.testing.assert_array_equal(found.curves[4][0], [4, 8, 16])
    assert found.errors(4).shape == (RUNS, 3, 2)
    np.testing.assert_allclose(found.errors(None)[:, 0, 1], [0.598, 0.602, 0.6] * 2)
    np.testing.assert_allclose(found.small(4), found.errors(None)[:, 1, 1])


def test_a_curve_interpolates_from_where_it_stays_below_a_per_cent(found: Sweep) -> None:
    assert [found.first(target) for target in (None, 2, 4)] == [1, 2, 0]
    back = sweep({None: DENSE | {16: (0.02, 0.2)}, 2: TO_2})
    assert back.first(None) == 4  # not at all: the widest does not
    assert found.counted_as_own() == []
    assert sweep({None: DENSE, 8: {8: (0.0, 0.3), 16: (0.0, 0.2)}}).counted_as_own() == [8]


def test_steps_apart_are_counted_in_the_list_of_widths(found: Sweep) -> None:
    assert found.steps_apart() == {2: 1, 4: 0}
    late = sweep({None: DENSE, 8: {8: (0.0, 0.3), 16: (0.0, 0.2)}})
    assert late.steps_apart() == {8: 0}  # the dense width of 4 counts as 8
    never = {width: (0.5, 0.5) for width in DENSE}
    assert sweep({None: DENSE, 2: never}).steps_apart() == {2: 4}
    assert sweep({None: never, 2: never}).steps_apart() == {}


def test_the_best_is_beyond_interpolation_where_there_is_room(found: Sweep) -> None:
    assert found.beyond() == {None: 2, 2: 1, 4: 1}
    edge = sweep({None: {2: (0.5, 0.6), 4: (0.0, 0.2)}})
    assert edge.beyond() == {}


def test_the_ends_of_a_curve_are_compared_in_pairs(found: Sweep) -> None:
    ends = found.ends()
    assert ends[None].rise == pytest.approx(-0.5) and ends[None].advantage is None
    falls = found.errors(2)[:, 0, 1] - found.errors(2)[:, -1, 1]
    error = max(np.std(falls, ddof=1) / RUNS**0.5, 1 / 200)
    assert ends[2].fall == pytest.approx(falls.mean() / error)
    wins = found.errors(None)[:, 0, 1] - found.errors(2)[:, -1, 1]
    assert ends[2].advantage == pytest.approx(wins.mean() / max(np.std(wins, ddof=1) / RUNS**0.5, 1 / 200))
    assert ends[4].last == "0.0 ± 0.0 %"


def test_the_largest_rise_is_between_neighbours(found: Sweep) -> None:
    rises = np.diff(found.errors(4)[..., 1], axis=1)[:, 1]
    assert found.largest_rise() == pytest.approx(rises.mean() / max(np.std(rises, ddof=1) / RUNS**0.5, 1 / 200))


@pytest.mark.parametrize("data", ["digits", "cifar10"])
def test_errors_are_drawn_for_each_size(data: str) -> None:
    one = sweep({None: DENSE, 2: TO_2, 4: TO_4}, data=data)
    drawing = figures.errors(one, "fig-1")
    look(drawing)
    assert drawing.numbers is one.table and drawing.name == "fig-1"
    assert "dense networks interpolate from width 4" in drawing.caption
    assert "Test error of width 16 pruned to the size of width 2, 35.0 ± 0.1 % (dense width 2: 60.0" in drawing.caption
    assert figures.NAMES[data] in drawing.alt and "The run was" not in drawing.caption
    assert figures.errors(one, "recorded", "recorded at night").caption.endswith("The run was recorded at night.")


def test_nothing_interpolates_in_a_sweep_that_is_too_short() -> None:
    never = {width: (0.5, 0.5) for width in DENSE}
    drawing = figures.errors(sweep({None: never, 2: never}), "fig-1")
    look(drawing)
    assert "interpolate at none of the widths" in drawing.caption
    assert "Neither dense nor pruned" in figures.findings(sweep({None: never, 2: never}))[2]


def test_the_findings_follow_from_the_numbers(found: Sweep) -> None:
    first, second, third = figures.findings(found)
    assert "beats training small on 100 images of 8×8 digits: width 16 after pruning" in first
    assert "35.0 ± 0.1 % at the size of width 2 (trained dense 60.0 ± 0.1 %)" in first
    assert "is not that of training for longer" in second
    assert "from about the same width, as the paper says" in third
    assert third.endswith(
        "from width 4, pruned to the size of width 2 from width 8, pruned to the size of width 4 from width 4."
    )
    worse = sweep({None: DENSE, 2: TO_2 | {16: (0.5, 0.6)}})
    first, second, third = figures.findings(worse)
    assert "does not clearly beat" in first and "may be that of training for longer" in second
    assert "do not interpolate from the same width, other than the paper says" in third and "width 2 at none." in third


def test_each_statement_is_tested_in_runs(found: Sweep) -> None:
    tests = {}
    for test in found.tests():
        tests.setdefault(test["statement"], []).append(test)
    assert {name: len(rows) for name, rows in tests.items()} == {
        "same-width": 1,
        "errors-fall": 2,
        "double-descent": 1,
        "large-beats-small": 1,
        "best-overparameterized": 1,
        "comparable": 1,
    }
    assert {test["repetitions"] for test in found.tests()} == {RUNS}
    (lead,) = tests["large-beats-small"]
    assert lead["measured"] == pytest.approx(0.4 - 0.3, abs=0.01)  # target 4; target 2 leads by 0.25
    (comparable,) = tests["comparable"]
    assert comparable["measured"] == pytest.approx(0.3 / 0.2 - 1, abs=0.01)
    (rise,) = tests["double-descent"]
    assert rise["measured"] == pytest.approx(-0.05, abs=0.01)  # of target 2; target 4 rises by 0.05


def test_what_a_sweep_does_not_say_is_not_tested() -> None:
    never = {width: (0.5, 0.5) for width in DENSE}
    names = {test["statement"] for test in sweep({None: never, 2: never}).tests()}
    assert names == {"errors-fall", "double-descent", "large-beats-small", "comparable"}


def test_steps_are_counted_in_each_run(found: Sweep) -> None:
    assert found.run_steps().tolist() == [[1.0, 0.0]] * RUNS
    never = {width: (0.5, 0.5) for width in DENSE}
    assert sweep({None: DENSE, 2: never}).run_steps().tolist() == [[4.0]] * RUNS
    assert sweep({None: never, 2: never}).run_steps().size == 0


def test_pruned_networks_are_compared_before_and_after_retraining() -> None:
    one = sweep({None: DENSE, 2: TO_2})
    alone = [0.7 if target == 2 else 0.1 for target in one.table["target"]]
    excess = Sweep.of({**one.table, "alone": alone}, SETTING).without_retraining(2)
    assert excess == pytest.approx([1.0] * RUNS, abs=0.02)  # 0.7 in place of 0.35
