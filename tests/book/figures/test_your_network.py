"""The figures of the page on one's own network, from made-up reports and networks."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from prunekit.book.figures import compared
from prunekit.book.figures import your_network as figures
from prunekit.book.figures.compared import Layer, Network
from tests.book.figures.looks import look

COST = {
    "same share": 4.0,
    "global magnitude": 3.0,
    "global saliency": 2.0,
    "one-shot": 3.0,
    "trial": 2.5,
    "saliencies": 5.0,
}
PRICES = COST | {"α": 6.0, "advised": 1.0, "predicted": 1.4, "magnitude at 20%": 9.0, "saliency at 20%": 8.0}


def layers(k: int, shift: float) -> tuple[Layer, ...]:
    """Return four layers whose order is right by trial, nearly so by the prediction, and reversed by α."""
    measured = (0.2, 0.3, 0.5, 0.6)
    predicted = (0.3, 0.25, 0.55, 0.65 + 0.01 * k)
    return tuple(
        Layer(
            f"layer.{i}",
            100 * (i + 1),
            p + shift,
            0.02,
            m,
            0.01,
            m - 0.02,
            m + 0.02,
            0.5,
            math.nan if i == 3 else 4.0 - i,
        )
        for i, (m, p) in enumerate(zip(measured, predicted, strict=True))
    )


def made(kind: str, k: int, shift: float = 0.0, **prices: float) -> Network:
    """Return a network of a kind whose prediction is 0.05 too large, and more by a shift."""
    advice = ("Rank weights by Hessian saliency, all layers together.",) if k == 0 else ()
    measured = 0.3 + 0.02 * k
    each = Network(
        kind, measured + 0.05 + shift, 0.02, measured, 0.03, measured - 0.02, measured + 0.01, advice, layers(k, shift)
    )
    return each.priced({name: value + 0.1 * k for name, value in (PRICES | prices).items()})


@pytest.fixture
def networks() -> list[Network]:
    return [made(kind, k) for kind in ("convolutional", "regression") for k in range(3)]


def test_shares_are_drawn_with_their_errors(networks: list[Network]) -> None:
    drawing = figures.shares(networks)
    look(drawing, x="predicted", y="measured")
    assert len(drawing.numbers["kind"]) == 6 * (1 + 4)
    assert "of 6 networks and their 24 layers" in drawing.caption
    assert "10% of the weights for 6 of 6 networks and 24 of 24 layers" in drawing.caption
    assert "promises too much, as for 6 networks" in drawing.caption
    worse = figures.shares([made("convolutional", k, -0.3) for k in range(3)])
    assert "for 0 of 3 networks and 0 of 12 layers" in worse.caption and "as for 0 networks" in worse.caption


def test_errors_of_shares_against_the_rivals(networks: list[Network]) -> None:
    assert compared.gaps(networks) == pytest.approx(0.05)
    assert compared.gaps(networks, by="trial") == pytest.approx(0.01)
    measured = np.array([n.measured for n in networks])
    others = [np.delete(measured, i).mean() - measured[i] for i in range(6)]
    assert compared.gaps(networks, by="others") == pytest.approx(others)
    head, *lines = [line.split() for line in compared.table(networks).splitlines()[1:]]
    assert head == ["one-shot", "linear", "trial", "others", "one-shot", "linear", "trial", "diagonal"]
    assert [line[0] for line in lines] == ["convolutional", "regression", "all"]
    assert [line[1:4] + line[6:] for line in lines] == [["5.0", "2.0", "1.0", "2.0", "2.0", "15.0"]] * 3


def test_the_cause_of_the_error_is_told_apart(networks: list[Network]) -> None:
    text = compared.cause(networks)
    assert "the prediction is +5.0 percentage points off" in text
    assert "where outputs alone are linear, -3.0 ± 0.0 remains" in text
    assert "it is +4.0 ± 0.0 off" in text and "The trial itself is +1.0 ± 0.0 off" in text


def test_ranks_are_spearmans(networks: list[Network]) -> None:
    network = networks[1]
    measured = network.column("measured")
    for by, column in compared.ORDERS.items():
        if by != "saliencies":
            assert network.order(by) == pytest.approx(spearmanr(network.column(column), measured).statistic)
    assert math.isnan(network.order("saliencies")), "all its layers are alike"
    assert network.column("alpha").tolist() == [4.0, 3.0, 2.0, 3.0]


def test_orders_say_who_wins(networks: list[Network]) -> None:
    drawing = figures.orders(networks)
    look(drawing, x=None)
    assert "one-shot 0.80 ± 0.00, linearized 1.00 ± 0.00, trial 1.00 ± 0.00" in drawing.caption
    assert (
        "The one-shot prediction loses to linearized, trial and size, wins against α and cannot be" in drawing.caption
    )
    right = [
        dataclasses.replace(n, layers=tuple(dataclasses.replace(x, predicted=x.measured) for x in n.layers))
        for n in networks
    ]
    assert "The one-shot prediction wins against α and cannot be told from linearized, trial, saliencies and size" in (
        figures.orders(right).caption
    )


def test_prices_are_counted_against_the_same_share(networks: list[Network]) -> None:
    drawing = figures.prices(networks, 0.5)
    look(drawing)
    assert "where 50% of the weights go" in drawing.caption
    assert "same share 4.1 ε; global magnitude 3.1 ε (less in 6 of 6)" in drawing.caption
    assert "α 6.1 ε (less in 0 of 6)" in drawing.caption


def test_what_came_true(networks: list[Network]) -> None:
    drawing = figures.advised(networks)
    look(drawing)
    assert "1.10 ± 0.04 ε where they are pruned as far as the report measured" in drawing.caption
    assert "1.50 ± 0.04 ε where as far as it predicted" in drawing.caption
    assert "recommended for 2 of 6 networks" in compared.scores_advised(networks)
    assert compared.scores_advised(networks).endswith("than the other in 2 of them.")
    wrong = [made("convolutional", k, **{"saliency at 20%": 10.0}) for k in range(3)]
    assert compared.scores_advised(wrong).endswith("than the other in 0 of them.")
    assert compared.scores_advised(networks[1:3]).startswith("No score was recommended")


def test_findings_follow_from_the_numbers(networks: list[Network]) -> None:
    first, second, third = figures.findings(networks)
    assert "6 networks of 2 kinds" in first and "to 5.0 ± 0.0 percentage points on average, more than a trial" in first
    assert "(1.0); the mean of the other networks is off by" in first
    assert "the prediction is off by 2.0 ± 0.0" in first
    assert "0.80 ± 0.00: the one-shot prediction loses to linearized" in second
    assert "lose 1.10 ± 0.04 ε" in third and "more than what was allowed" in third
    near = [made("convolutional", k, -0.05, advised=0.8) for k in range(3)]
    first, _, third = figures.findings(near)
    assert "less than a trial" in first and "no more than what was allowed" in third


def test_alpha_divides_a_cut_as_alphapruning_does(networks: list[Network]) -> None:
    assert networks[0].dividing("α") == pytest.approx([1.3, 1.0, 0.7, 1.0])
    assert networks[0].dividing("one-shot") == pytest.approx([0.3, 0.25, 0.55, 0.65])


def report(share: float) -> Any:
    """Return what a report of one layer holds, as far as it is looked at."""
    row = {"layer": "a", "weights": 9, "one_shot": 0.4, "one_shot_error": 0.1, "measured": share, "measured_error": 0.2}
    row |= {"linearized": 0.35, "linearized_error": 0.05}
    alone = {"layer": "bias"} | {key: None for key in row if key != "layer"}
    limits = {
        "one-shot": (0.4, 0.02),
        "linearized": (0.35, 0.02),
        "measured": (share, 0.02),
        "published": (0.6, math.inf),
        "cone": (None, None),
    }
    return SimpleNamespace(
        found={name: {"share": limits[name][0], "error": 0.02} for name in ("one-shot", "linearized", "measured")},
        limit=[{"limit": name, "removable": each, "error": error} for name, (each, error) in limits.items()],
        layers=[each | {"re_optimized": None} for each in (row, alone)],
        advice=[SimpleNamespace(text="Rank.")],
    )


def test_a_network_is_what_two_reports_say() -> None:
    found = compared.network("perceptron", report(0.3), report(0.2), {"a": 0.7}, {"a": 3.0})
    assert (found.predicted, found.measured, found.trial, found.weights) == (0.4, 0.3, 0.2, 9)
    assert found.layers == (Layer("a", 9, 0.4, 0.1, 0.3, 0.2, 0.35, 0.2, 0.7, 3.0),)
    assert found.advice == ("Rank.",)


def test_what_a_report_says_is_drawn_without_what_was_left_out() -> None:
    drawing = figures.parts(report(0.3))
    look(drawing)
    assert drawing.numbers["name"] == ["one-shot", "linearized", "measured", "published", "a", "a", "a"]
    assert drawing.numbers["share"] == pytest.approx([40, 35, 30, 60, 40, 35, 30])
    assert drawing.numbers["error"] == pytest.approx([2, 2, 2, 0, 10, 5, 20])
    assert "Without retraining: 30% measured, 40% predicted one-shot" in drawing.caption


def test_what_is_handed_over() -> None:
    found = compared.numbers([made("a", 0), made("a", 1)])
    assert found["error_of_networks_one_shot"] == pytest.approx(0.05)
    assert found["order_by_trial"] == pytest.approx(1.0)
