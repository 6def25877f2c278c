"""The figure on what moves the estimated tail index, from small results."""

from __future__ import annotations

import dataclasses

import pytest

from prunekit.book.figures import what_moves_the_estimate as figures
from prunekit.book.figures.what_moves_the_estimate import PROGRAM, READINGS, Starts
from tests.book.figures.looks import look


def row(start: str, ratio: float, reading: str, alpha: float, accuracy: float = 1.0) -> dict[str, object]:
    return {
        "start": start, "ratio": ratio, "reading": reading, "alpha": alpha, "stopped": "epochs",
        "train_accuracy": accuracy,
    }  # fmt: skip


@pytest.fixture
def found() -> Starts:
    rows = [
        row(start, ratio, reading, 2 - 0.1 * k - fall * ratio - 0.02 * again, 1.0 if ratio < 0.03 else 0.9)
        for start, fall in (("Gaussian", 1.0), ("uniform", 4.0))
        for ratio in (0.04, 0.001, 0.02)
        for again in (0, 1)
        for k, reading in enumerate(READINGS)
    ]
    return Starts(rows, 6)


def test_the_figure_shows_every_network_and_the_means(found: Starts) -> None:
    drawing = figures.readings(found)
    look(drawing, x="ratio", y="alpha")
    assert "from 1.99 to 1.95 (Gaussian) and from 1.99 to 1.83 (uniform)" in drawing.caption
    assert "4 and 4 of 6 networks" in drawing.caption
    ratios, means = found.means("uniform", PROGRAM)
    assert ratios == [0.001, 0.02, 0.04]
    assert means == pytest.approx([1.986, 1.91, 1.83])


def test_networks_that_diverged_leave_a_gap(found: Starts) -> None:
    rows = [each for each in found.rows if each["ratio"] < 0.03 or each["start"] == "Gaussian"]
    less = dataclasses.replace(found, rows=rows)
    assert less.means("uniform", PROGRAM)[0] == [0.001, 0.02]
    look(figures.readings(less), x="ratio", y="alpha")


def test_the_findings_follow_the_numbers(found: Starts) -> None:
    said = figures.findings(found)
    assert "answers 1.83 for the start uniform, and 1.95 for Gaussian" in said[0]
    assert "8 of 12 fit every training image" in said[2]
    names = {"Gaussian": "uniform", "uniform": "Gaussian"}
    swapped = [dict(each) | {"start": names[each["start"]]} for each in found.rows]
    assert "for the start Gaussian, and 1.95 for uniform" in figures.findings(Starts(swapped, 6))[0]


@pytest.mark.parametrize(("stored", "law"), [(1.7, ", nearer to 2,"), (1.95, ", no nearer to 2,")])
def test_what_order_does_is_said_of_the_start_that_is_read_lower(stored: float, law: str) -> None:
    values = dict(zip(READINGS, (1.8, 1.5, stored, 1.9), strict=True))
    rows = [row("a", 0.1, reading, 1.99) for reading in READINGS]
    rows += [row("b", 0.1, reading, alpha) for reading, alpha in values.items()]
    said = figures.findings(Starts(rows, 1))[1]
    assert f"at {stored:.2f} in the order" in said and f"at 1.90{law} in random order" in said
    assert "answers 1.50 where no mean" in said


def test_a_start_from_which_everything_diverged_is_named() -> None:
    with pytest.raises(ValueError, match="of the starts \\['a'\\]"):
        Starts([row("a", 0.1, PROGRAM, 1.9)], 1)
