"""The tails of two minima and the objective that breaks the second inequality, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import gaussian_min_max as figures
from prunekit.book.figures.gaussian_min_max import Tails
from tests.book.figures.looks import look

LEVELS = np.array([0.1, 0.5, 0.9])
SPARSE = "2-sparse, n = 2, p = 6"


@pytest.fixture
def tails() -> dict[str, Tails]:
    rng = np.random.default_rng(0)
    draws = {
        label: rng.exponential(size=(2, 200)) for label in ("convex, n = 1, p = 3", "convex, n = 5, p = 9", SPARSE)
    }
    for _, phi in draws.values():
        phi[:20] = np.inf
    return {label: Tails.of(*pair, levels=LEVELS) for label, pair in draws.items()}


def test_tails_count_draws_and_infinity_is_above_everything() -> None:
    each = Tails.at(np.array([1.0, 2.0]), np.array([0.0, 1.0, 3.0, 3.0]), np.array([1.0, 2.0, 5.0, np.inf]))
    np.testing.assert_array_equal(each.primary["lower"], [0.25, 0.5])
    np.testing.assert_array_equal(each.primary["upper"], [0.5, 0.5])
    np.testing.assert_array_equal(each.auxiliary["lower"], [0.25, 0.5])
    np.testing.assert_array_equal(each.auxiliary["upper"], [1.0, 0.75])
    assert each.gap("upper") == -1.0 and each.factor("upper") == pytest.approx(2 / 3)


def test_an_excess_is_in_the_standard_errors_of_repeated_counts() -> None:
    rng = np.random.default_rng(1)
    t, Phi, phi = np.array([0.5]), rng.random((4000, 100)), rng.random((4000, 100))
    found = [Tails.at(t, *pair) for pair in zip(Phi, phi, strict=True)]
    spread = np.std([each.gap("lower") for each in found])
    error = np.mean([each.gap("lower") / each.excess("lower") for each in found])
    assert error == pytest.approx(spread, rel=0.05)


def test_both_figures_are_what_their_numbers_say(tails: dict[str, Tails]) -> None:
    drawing = figures.both_tails(tails, 1000, 500)
    look(drawing, also=tuple(("t", share) for share in ("Phi_below", "phi_below", "Phi_above", "phi_above")))
    assert "1000 draws of each minimum, 500 in the sparse problem" in drawing.caption
    points = dict(zip((1, 2, 8), tails.values(), strict=True))
    drawing = figures.against_points(points, [8])
    look(drawing, x="points", y="largest_excess")
    assert "fails for m = 8" in drawing.caption
    assert "fails for no m shown" in figures.against_points(points, []).caption


def test_the_findings_say_which_problems_they_are_about(tails: dict[str, Tails]) -> None:
    first, second, third = figures.findings(tails, SPARSE)
    convex = max(each.factor("upper") for label, each in tails.items() if label != SPARSE)
    assert "the theorem allows 2" in first and f"{convex:.2f} for upper tails" in second
    assert f"there is {tails[SPARSE].factor('upper'):.2f}" in third
    high = {side: 2.5 * shares for side, shares in tails[SPARSE].auxiliary.items()}
    beyond = dataclasses.replace(tails[SPARSE], primary=high)
    assert "more than the 2 that the theorem allows" in figures.findings(tails | {"convex": beyond}, SPARSE)[0]
    above = dataclasses.replace(beyond, primary=beyond.primary | {"lower": beyond.auxiliary["lower"]})
    said = figures.findings(tails | {SPARSE: above}, SPARSE)
    assert "the theorem allows 2" in said[0] and "there is 2.50" in said[2]
