"""The figures of the threshold at every cut, from small made-up cuts."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit.algorithms.thresholds import CutThreshold
from prunekit.book.figures import every_cut as figures
from prunekit.book.figures.every_cut import Gems, Iterative
from tests.book.figures.looks import look

SHARES = np.array([0.25, 0.5, 0.75])


def cut(active: int, kept: int, limit: float, threshold: float, *, resolved: bool = True) -> CutThreshold:
    """Return a cut whose T falls with the share kept, and is 0.2 higher for random removal."""
    smallest = limit + 0.5 - SHARES
    return CutThreshold(active, kept, 0.1, limit, threshold, 0.05, SHARES, smallest, smallest + 0.2, resolved)


def chains(rise: float = 0.1, *, resolved: bool = True) -> Iterative:
    rounds = [
        [cut(100, 70, 0.4 + 0.01 * k, 0.3), cut(70, 49, 0.4 + rise + 0.01 * k, 0.5, resolved=resolved or bool(k))]
        for k in range(3)
    ]
    return Iterative(rounds, 0.7)


def searches(with_: float = 0.2, without: float = 0.7) -> Gems:
    def runs(cuts: int, threshold: float) -> list[tuple[float, list[CutThreshold]]]:
        return [(0.9, [cut(100, 50, 0.4, threshold if t else 0.0) for t in range(cuts)]) for _ in range(2)]

    return Gems({(decay, cuts): runs(cuts, t) for cuts in (2, 5) for decay, t in ((0.0, without), (0.1, with_))}, 0.2)


def test_thresholds_of_iterative_pruning() -> None:
    found = chains()
    drawing = figures.iterative(found)
    look(drawing, x="cut", y="threshold")
    assert "The threshold rises, from 0.41 ± 0.01" in drawing.caption and "to 0.49 and is supported" in drawing.caption
    assert "does not rise" in figures.iterative(chains(-0.1)).caption
    higher = Iterative([[cut(100, 70, 0.6, 0.3)] for _ in range(2)], 0.5)
    assert "is not supported" in figures.iterative(higher).caption
    assert found.margins == pytest.approx(np.full(3, (0.7 - 0.3 + 0.7 - 0.5) / 2))


def test_thresholds_that_are_not_resolved_are_counted() -> None:
    assert chains().blurred == ""
    assert chains(resolved=False).blurred == " (1 of 6 thresholds not resolved)"


def test_random_removal_is_drawn_beside_magnitude() -> None:
    drawing = figures.random(chains())
    look(drawing)
    assert "0.61 before the first cut and 0.71 before the last" in drawing.caption
    assert "smallest weights 0.41 and 0.51" in drawing.caption
    assert len(drawing.numbers["share"]) == 3 * 2 * 3


def test_cuts_of_rare_gems_with_and_without_a_penalty() -> None:
    found = searches()
    drawing = figures.gems(found)
    look(drawing)
    assert found.numbers_of_cuts == [2, 5] and found.penalty == 0.1
    assert found.ratio(2) == pytest.approx(0.2**0.5)
    assert found.margins(0.1) == pytest.approx(np.full(2, 0.5 - 5 / 7 * 0.2))  # 5 of 7 cuts remove something
    assert "29% of the cuts with ℓ2 and 29% of those without" in drawing.caption
    assert "90.0% with and 90.0% without" in drawing.caption
    one = Gems({key: runs for key, runs in found.searches.items() if key[1] == 2}, 0.2)
    look(figures.gems(one))


def test_a_level_has_its_error_from_its_seeds_and_a_step_from_all_cuts() -> None:
    limits = np.array([[0.4, 0.5, 0.7], [0.42, 0.5, 0.72]])
    first = figures.at_first(limits)
    assert first["measured"] == pytest.approx(0.41) and first["repetitions"] == 2
    assert first["error"] == pytest.approx(np.std(limits[:, 0], ddof=1) / np.sqrt(2))
    step = figures.smallest_step(limits)
    assert step["measured"] == pytest.approx(0.09) and step["repetitions"] == 3
    assert step["error"] == pytest.approx(np.sqrt(4 * 0.01**2 / 2 / 2))
    found = searches()
    assert found.margin(0.1) == {
        "measured": pytest.approx(found.margins(0.1).mean()), "error": 0.0, "repetitions": 8, "of": figures.EFFECTIVE,
    }  # fmt: skip


def test_the_findings_follow_the_numbers() -> None:
    said = figures.findings(chains(), searches())
    assert "rises from round to round, as the paper says: from 0.41" in said[0]
    assert "is 0.61 for random ones and 0.41 for the smallest; the half that is kept lies between" in said[1]
    assert "+0.36 over the threshold with ℓ2 and of +0.00 without, other than" in said[2] and "100 weights" in said[2]
    assert "as the paper says" in figures.findings(chains(), searches(without=0.9))[2]
    assert "does not always rise" in figures.findings(chains(-0.1), searches())[0]
    low = Iterative([[cut(100, 70, 0.1, 0.3)] for _ in range(2)], 0.7)
    assert "does not lie between" in figures.findings(low, searches())[1]
