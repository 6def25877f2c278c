"""The figures on trained networks, from small made-up results."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from prunekit.book.figures import networks as figures
from prunekit.book.plotting import LIGHT
from prunekit.book.recordings import recording
from prunekit.book.tables import tabulated
from tests.book.figures.looks import look

NETWORKS = ("FCN4", "FCN6", "CNN")
Rows = list[dict[str, Any]]


def trained(fall: float = 0.01) -> Rows:
    """Return the rows of networks whose tail index falls with η/b; the last has not converged."""
    rows: Rows = []
    for k, network in enumerate(NETWORKS):
        for n, batch in enumerate((50, 50, 5, 5)):
            ratio, alpha = 0.001 * 2**n, 2 - 0.03 * k - fall * n
            row = {"network": network, "net": f"{network} {n}", "batch": batch, "ratio": ratio}
            rows.append(row | {"alpha": alpha, "test_accuracy": 0.9 + 0.01 * n})
    return [*rows, {"network": "CNN", "net": "lost", "batch": 5, "ratio": 0.1, "alpha": None, "test_accuracy": None}]


def by_layer() -> Rows:
    rows: Rows = []
    for net in trained()[:-1]:
        for n, layer in enumerate(("input", "hidden", "output")):
            row = {"network": net["network"], "net": net["net"], "layer": layer, "alpha": 2 - 0.1 * n}
            rows.append(row | {"prunable": 0.2 + 0.01 * n + 0.01 * len(rows) / 36})
    return rows


def by_share(lead: float = 0.1) -> Rows:
    """Return rows in which the two networks of smaller α̂ keep more of their accuracy by a lead."""
    rows: Rows = []
    for net in trained()[:-1]:
        heavy = net["net"].endswith(("2", "3"))
        for method in (*figures.METHODS, "global"):
            for pruned in (0.5, 0.88, 0.98):
                row = {"network": net["network"], "net": net["net"], "alpha": net["alpha"], "method": method}
                rows.append(row | {"pruned": pruned, "relative": 1 - 0.6 * pruned + lead * heavy})
    return rows


def correlated(ends: dict[str, tuple[float, float]]) -> Rows:
    return [
        {"test": test, "network": network, "nets": 4, "correlation": (low + high) / 2, "low": low, "high": high}
        for test in figures.TESTS
        for network, (low, high) in ends.items()
    ]


def test_tail_indices_share_their_axes_and_show_the_gaussian_value() -> None:
    tables = {"digits": tabulated(trained()), "MNIST": tabulated(trained(fall=0.02))}
    drawing = figures.tail_index(tables)
    look(drawing, x="ratio", y="alpha")
    figure = drawing.draw(LIGHT)
    assert len({axes.get_ylim() for axes in figure.axes}) == len({axes.get_xlim() for axes in figure.axes}) == 1
    assert figure.axes[0].get_ylim()[1] >= 2
    plt.close(figure)
    assert "between 1.91 and 2.00 on digits and between 1.88 and 2.00 on MNIST" in drawing.caption
    assert "CNN from 1.940 to 1.910" in drawing.caption  # the network that was lost has the largest ratio, and no index
    assert drawing.numbers["net"][-1] == "lost"


def test_layers_are_told_apart_by_their_position() -> None:
    drawing = figures.layers({"digits": tabulated(by_layer())})
    look(drawing, x="alpha", y="prunable")
    assert "between 1.80 and 2; 33% of the layers have 2 itself" in drawing.caption
    figure = drawing.draw(LIGHT)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "first layers",
        "inner layers",
        "last layers",
    ]
    plt.close(figure)


@pytest.mark.parametrize(("lead", "said"), [(0.1, "+0.10"), (-0.2, "-0.20")])
def test_halves_of_networks_are_compared_where_a_tenth_is_left(lead: float, said: str) -> None:
    drawing = figures.pruned({"digits": tabulated(by_share(lead)), "MNIST": tabulated(by_share(0.0))})
    look(drawing)
    assert f"weights {said} for FCN4, {said} for FCN6, {said} for CNN" in drawing.caption
    assert "On MNIST: weights +0.00" in drawing.caption
    figure = drawing.draw(LIGHT)
    line = next(each for each in figure.axes[0].lines if each.get_label() == "FCN4, smaller α̂")
    assert line.get_xydata().tolist() == pytest.approx(np.array([[p, 1 - 0.6 * p + lead] for p in (0.5, 0.88, 0.98)]))
    plt.close(figure)


def test_of_one_network_there_are_no_halves() -> None:
    rows = [row for row in by_share() if row["net"] == "CNN 0"]
    assert "weights: too few networks" in figures.pruned({"digits": tabulated(rows)}).caption


def test_test_accuracies_have_the_error_of_their_number_of_images() -> None:
    drawing = figures.generalization({"digits": tabulated(trained())}, 100)
    percent = {**drawing.numbers, "percent": [v and 100 * v for v in drawing.numbers["test_accuracy"]]}
    figures_own = {key: values for key, values in percent.items() if key != "test_accuracy"}
    look(type(drawing)(drawing.draw, figures_own, drawing.name, drawing.alt, drawing.caption), x="alpha", y="percent")
    assert "between 90.0% and 93.0%" in drawing.caption
    assert f"standard error of {100 * np.sqrt(0.915 * 0.085 / 100):.1f} percentage points" in drawing.caption


def test_intervals_are_counted_on_both_sides_of_zero() -> None:
    live = correlated({"FCN4": (-0.9, -0.5), "FCN6": (-0.5, 0.5), "CNN": (0.1, 0.5)})
    drawing = figures.correlations({"digits": tabulated(live), "MNIST": tabulated(live[:5])})
    look(drawing)
    assert "On digits, 8 of 24 intervals lie below zero, as the paper has it, and 8 above." in drawing.caption
    assert "On MNIST, 2 of 5" in drawing.caption
    figure = drawing.draw(LIGHT)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(NETWORKS)
    plt.close(figure)


def test_the_findings_follow_the_numbers() -> None:
    below, above = correlated({"FCN4": (-0.9, -0.5)}), correlated({"FCN4": (0.5, 0.9)})
    one = figures.findings({"digits": tabulated(below)}, tabulated(trained()))
    assert len(one) == 2 and "8 are negative beyond their intervals, 0 positive, and 0 undecided" in one[0]
    two = figures.findings({"digits": tabulated(above), "MNIST": tabulated(below)}, tabulated(trained()))
    assert "0 are negative beyond their intervals, 8 positive" in two[0]
    assert two[1] == "On MNIST, 8 of 8 are negative beyond their intervals, and 0 positive."
    assert "among 12 networks whose α̂ lies between 1.910 and 2.000" in two[2]


def test_a_recording_is_drawn_beside_the_live_networks() -> None:
    recorded = recording("heavy-tails/networks", "mnist")
    tables = figures.Beside("digits", recorded)(trained(), "tail-index")
    assert list(tables) == ["digits", "MNIST, recorded"]
    assert "MNIST, recorded" in figures.tail_index(tables).caption
    assert list(figures.Beside("mnist", None)(trained(), "tail-index")) == ["mnist"]
