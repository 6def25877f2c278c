"""The figures on subspaces and cones, from small results."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from prunekit import Estimate, cones
from prunekit.book.figures import phase_transitions as figures
from prunekit.book.figures.phase_transitions import Meetings
from tests.book.figures.looks import look

Found = dict[tuple[str, int], Meetings]
WIDTH = Estimate(2.0, 0.01)


@pytest.fixture
def found() -> Found:
    made = {}
    for i, name in enumerate(("orthant", "circular", "ℓ1 descent", "ellipsoid")):
        for D in (8, 32):
            rng = np.random.default_rng([i, D])
            place = D / 2 + 0.5 + math.sqrt(D) / 2 * rng.standard_normal(200)
            first = np.clip(np.round(place).astype(int), 1, D)
            volumes = cones.Orthant(D).intrinsic_volumes if i < 2 else None
            made[name, D] = Meetings(D, first, Estimate(D / 2, 0.1), WIDTH, Estimate(D / 4, 0.1), volumes)
    return made


def test_a_case_knows_its_place_its_width_and_its_chances() -> None:
    first = np.array([3, 4, 5, 6] * 25)
    case = Meetings(8, first, Estimate(4.0, 0.0), WIDTH, Estimate(2.0, 0.0), cones.Orthant(8).intrinsic_volumes)
    assert case.jump == 4.0 and case.spread == pytest.approx(first.std(ddof=1) / 8)
    place = case.offset(case.dimension)
    assert place.value == pytest.approx(0.0) and place.error == pytest.approx(first.std(ddof=1) / 10 / math.sqrt(8))
    later = dataclasses.replace(case, first=first + 1)
    assert later.offset(case.dimension).value == pytest.approx(1 / math.sqrt(8))
    assert later.offset(Estimate(3.0, 0.3)).value == pytest.approx(0.0)
    assert later.offset(Estimate(3.0, 0.3)).error == pytest.approx(math.hypot(place.error, 0.3 / math.sqrt(8)))
    assert case.squared_width.value == 4.0 and case.squared_width.error == pytest.approx(0.04)
    share, error = case.shares(np.array([2, 4, 6]))
    assert share.tolist() == [0.0, 0.5, 1.0]
    assert error[1] == pytest.approx(0.05, rel=0.03) and error[0] > 0
    assert case.predicted(np.array([4]))[0] == pytest.approx(0.5)
    assert dataclasses.replace(case, volumes=None).predicted(np.array([4]))[0] == pytest.approx(0.5)
    assert case.marked.min() >= 1 and case.marked.max() < 8


def test_the_lower_bound_is_held_against_a_dimension_that_is_known() -> None:
    line = np.abs(np.random.default_rng(0).standard_normal(4000))
    excess = figures.Below(1.0, line).excess
    assert excess.value == pytest.approx(1 - 2 / math.pi, abs=4 * excess.error)
    assert excess.error == pytest.approx(2 * line.mean() * line.std(ddof=1) / math.sqrt(4000))
    assert figures.Below(0.5, line).excess.value < 0


def test_frames_on_the_wrong_side_are_counted_on_both() -> None:
    first = np.repeat([2, 8, 15], [5, 90, 5])
    case = Meetings(16, first, Estimate(8.0, 0.0), WIDTH, Estimate(4.0, 0.0), None)
    assert case.wrong(Estimate(9.0, 0.0)).value == 0.0  # none is above 7 + 8 or at most 7 - 8
    assert case.wrong(Estimate(9.5, 0.0)).value == 0.05  # 15 is above 6.5 + 8
    assert case.wrong(Estimate(0.0, 0.0)).value == 0.95  # at most 16 - 8
    assert case.wrong(Estimate(8.0, 0.0)).error == pytest.approx(math.sqrt(1 / 102 * 101 / 102 / 100))


def test_a_jump_of_half_the_share_in_four_times_the_space_narrows_as_a_root() -> None:
    rng = np.random.default_rng(0)
    made = {}
    for D in (100, 400):
        first = np.round(D / 2 + 2 * math.sqrt(D) * rng.standard_normal(4000)).astype(int)
        made["a", D] = Meetings(D, first, Estimate(D / 2, 0.0), WIDTH, Estimate(D / 4, 0.0), None)
    power = figures.sharpening(made, "a")
    assert power.value == pytest.approx(-0.5, abs=4 * power.error)
    assert power.error == pytest.approx(math.hypot(*2 * [math.sqrt(1 / 8000)]) / math.log(4), rel=0.1)


def test_the_jump_is_drawn_for_each_cone(found: Found) -> None:
    drawing = figures.jump(found)
    look(drawing, x="k_over_D", y="chance_to_meet")
    assert "200 random frames" in drawing.caption and "at D = 32" in drawing.caption
    assert list(dict.fromkeys(drawing.numbers["cone"])) == ["orthant", "circular", "ℓ1 descent", "ellipsoid"]


def test_excesses_lie_between_the_bounds_or_do_not() -> None:
    rows = {"orthant": [(2, 1.0, 0.3, 0.1), (10, 5.0, 0.5, 0.1)], "circular": [(2, 0.5, 0.7, 0.1)]}
    drawing = figures.excess(rows)
    look(drawing, x="dimension", y="excess")
    assert "3 cones in 2 to 10 dimensions lie between 0 and 1" in drawing.caption
    outside = figures.excess(rows | {"circular": [(2, 0.5, 1.02, 0.1)]})
    assert "lie about the bounds 0 and 1" in outside.caption and "to 1.02" in outside.caption


def test_the_width_is_drawn_over_the_formula() -> None:
    effective = np.array([100.0, 10.0, 1.0])
    drawing = figures.ellipsoid_width(effective, 1 - 0.2 / effective, [(10.0, 0.98, 0.01)], (8.12, 10.05))
    look(drawing, x="effective_number", y="width_over_formula")
    assert "it is 8.12 in place of 10.05" in drawing.caption
    assert drawing.numbers["kind"].count("Monte Carlo") == 1


def test_the_findings_say_what_came_out(found: Found) -> None:
    place, width, formula = figures.findings(found, (8.12, 10.05))
    assert "begins to meet" in place and "4 cones in 8 to 32 dimensions" in place
    assert "jump sharpens" in width and "too large" in formula
    moved = {
        key: dataclasses.replace(case, first=np.full(200, 1) + (np.arange(200) % 2)) for key, case in found.items()
    }
    wide = {
        key: dataclasses.replace(case, first=case.first * (20 if key[1] == 32 else 1)) for key, case in found.items()
    }
    assert "does not begin to meet" in figures.findings(moved, (8.12, 10.05))[0]
    assert "does not sharpen" in figures.findings(wide, (8.12, 10.05))[1]
    assert "right even" in figures.findings(found, (10.0, 10.05))[2]
