"""The terms of the bound, where its slack is, and Corollary 1, from small made-up networks."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

from prunekit.book.figures import generalization_bound as figures
from prunekit.book.figures.generalization_bound import Family, Layers
from prunekit.book.plotting import LIGHT
from prunekit.stable.bound import Terms
from tests.book.figures.looks import look

KEPT = np.array([0.01, 0.1, 0.5])


def family(layers: int, width: int) -> Family:
    """Return two networks whose bounds are far above 1."""
    terms = Terms(norm=10.0, layers=layers, radius=5.0, d=100 * width, n=1000)
    least = np.array([[1.5, 2.0, 3.0], [1.2, 2.5, 4.0]])
    tested = np.array([[0.8, 0.3, 0.1], [0.9, 0.2, 0.1]])
    margins = np.array([np.arange(1.0, 6), np.arange(2.0, 7)])
    return Family(terms, KEPT, margins, np.array([0.9, 0.5, 0.1]), tested, least)


@pytest.fixture
def found() -> dict[tuple[int, int], Family]:
    return {(depth, width): family(depth + 1, width) for depth in (1, 4) for width in (8, 16)}


def rows(depths: tuple[int, ...] = (1, 4)) -> list[Layers]:
    return [
        Layers(depth, width, 10 * width, k, 1.9, 2.0 + k, 3.0, 3.0 * width, 10.0**depth, 20.0**depth, 0.4)
        for depth in depths
        for width in (10, 100)
        for k in (0, 1)
    ]


def test_a_family_gives_its_terms_at_the_median_margin(found: dict[tuple[int, int], Family]) -> None:
    each = found[1, 8]
    assert each.median == 3.5
    assert each.second[1] == each.terms.complexity(3.5, 0.1)
    assert each.change[2] == each.terms.change(0.1) / 3.5


def test_terms_are_drawn_for_each_size(found: dict[tuple[int, int], Family]) -> None:
    drawing = figures.terms(found)
    look(drawing, x="kept", y="second_term", also=(("kept", "change_over_margin"),))
    assert drawing.numbers["least_bound"][:3] == [1.35, 2.25, 3.5]
    smallest = min(each.second.min() for each in found.values())
    assert f"the second term is at least {figures._said(smallest)}," in drawing.caption
    assert "far too large to say anything" in drawing.caption
    tiny = {key: dataclasses.replace(each, errors=each.errors / 1e6) for key, each in found.items()}
    assert "not all terms are above 1" in figures.terms(tiny).caption


def test_the_findings_follow_from_the_numbers(found: dict[tuple[int, int], Family]) -> None:
    first, second, third = figures.findings(found)
    assert "holds on trained networks and says nothing" in first and "between 10.0% and 90%" in first
    assert "the least bound of any network is 1.2" in first
    need = found[1, 8].terms.examples_needed(3.5, 0.01)
    assert f"would take {figures._power(need)} training examples with one hidden layer and 10" in second
    assert "far more than any margin bears" in third
    worse = dict(found)
    worse[1, 8] = dataclasses.replace(found[1, 8], tested=np.full((2, 3), 1.3), least=np.full((2, 3), 0.9))
    first, _, _ = figures.findings(worse)
    assert "fails in 6 of 24 cases on trained networks and says something in 25% of cases" in first
    tiny = {key: dataclasses.replace(each, errors=each.errors / 1e6) for key, each in found.items()}
    assert "which some margins bear" in figures.findings(tiny)[2]


def test_the_slack_is_shown_for_the_widest(found: dict[tuple[int, int], Family]) -> None:
    base = np.array([[1.0, 10.0, 100.0], [0.5, 5.0, 100.0], [0.1, 1.0, 20.0]])
    moves = {key: base * key[1] * [1, 1, key[0]] for key in found}
    drawing = figures.slack(found, moves)
    look(drawing)
    figure = drawing.draw(LIGHT)
    assert [axes.get_title() for axes in figure.axes] == ["one hidden layer of 16", "four hidden layers of 16"]
    np.testing.assert_array_equal(figure.axes[1].lines[2].get_ydata(), base[:, 2] * 16 * 4)
    plt.close(figure)
    assert "at least 100 times the measured change with one hidden layer and 400 times" in drawing.caption
    assert drawing.numbers["measured"][:3] == [8.0, 4.0, 0.8]


def test_corollary_1_is_drawn_for_each_network() -> None:
    drawing = figures.corollary(rows())
    look(drawing, x="weights", y="theorem_4", also=(("weights", "corollary_1"),))
    figure = drawing.draw(LIGHT)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [10, 10, 100, 100])
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), [100**0.75, 1000**0.75])
    np.testing.assert_allclose(figure.axes[0].lines[3].get_ydata(), [100**0.6, 1000**0.6])
    plt.close(figure)
    assert "is 10 to 100 times the norm" in drawing.caption
    assert "at least 20 with one hidden layer (Theorem 4: 10)" in drawing.caption
    np.testing.assert_array_equal(figures.column(rows(), 4, "sigma_0"), [2, 3, 2, 3])


def test_one_depth_is_enough() -> None:
    look(figures.corollary(rows(depths=(4,))), x="weights", y="corollary_1")


@pytest.mark.parametrize(
    ("value", "said"), [(6.5, "6.5"), (117.0, "120"), (12345.0, "12,000"), (3.04e6, "3.0·10⁶"), (2e-5, "2.0·10⁻⁵")]
)
def test_numbers_are_said_in_two_digits(value: float, said: str) -> None:
    assert figures._said(value) == said
