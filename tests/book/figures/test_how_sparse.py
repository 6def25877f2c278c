"""The page's figures show the columns they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from prunekit.book.figures import how_sparse
from prunekit.book.plotting import LIGHT
from prunekit.limit import METHODS


def limits(networks: list[str]) -> dict[str, list]:
    n = len(networks)
    columns = {"network": networks, "train_loss": [0.1] * n, "epsilon": [0.02] * n}
    columns["measured training loss"] = list(np.linspace(0.1, 0.3, n))
    for k, method in enumerate(METHODS):
        columns[f"predicted {method}"] = list(np.linspace(0.1, 0.2, n) + 0.01 * k)
        columns[f"predicted {method}, error"] = [0.01] * n
    return columns


def test_curves_are_drawn_network_by_network_with_their_limits():
    found = {
        "network": ["A", "A", "B", "B"],
        "share": [0.1, 1.0, 0.2, 1.0],
        "held_accuracy": [0.5, 0.9, 0.4, 0.8],
        "train_loss": [1.0, 0.1, 2.0, 0.2],
    }
    figure = how_sparse.curves(LIGHT, found, limits(["A", "B"]))
    top, bottom = figure.axes[1], figure.axes[3]
    np.testing.assert_array_equal(top.lines[0].get_xydata(), [[0.2, 0.4], [1.0, 0.8]])
    np.testing.assert_array_equal(bottom.lines[0].get_ydata(), [2.0, 0.2])
    assert top.lines[1].get_xdata()[0] == limits(["A", "B"])["predicted published"][1]
    assert bottom.lines[3].get_ydata()[0] == pytest.approx(0.12)
    plt.close(figure)


def test_a_method_that_is_missing_for_some_is_drawn_for_the_others():
    columns = limits(["A", "A", "B"])
    columns["predicted re-optimized"][2] = None
    columns["predicted re-optimized, error"][2] = None
    columns["predicted program, error"] = [None] * 3
    figure = how_sparse.scatter(LIGHT, columns)
    drawn = {axes.get_title(): [c[0].get_xydata() for c in axes.containers] for axes in figure.axes}
    assert list(drawn) == list(METHODS)
    assert [len(points) for points in drawn["one-shot"]] == [2, 1]
    assert [len(points) for points in drawn["re-optimized"]] == [2]
    np.testing.assert_allclose(drawn["published"][1], [[0.3, 0.2]])
    plt.close(figure)


def test_an_error_that_is_not_known_is_no_small_bar():
    columns = limits(["A", "B"])
    columns["predicted cone, error"] = [None, 0.01]
    columns["predicted orthogonal, error"] = [float("inf"), float("nan")]
    figure = how_sparse.scatter(LIGHT, columns)
    marked = {
        axes.get_title(): [line.get_xdata()[0] for line in axes.lines if line.get_label() == how_sparse.UNKNOWN]
        for axes in figure.axes
    }
    assert marked == {m: [] for m in METHODS} | {"cone": [0.1], "orthogonal": [0.1, 0.3]}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B", how_sparse.UNKNOWN]
    plt.close(figure)
    known = how_sparse.scatter(LIGHT, limits(["A", "B"]))
    assert [text.get_text() for text in known.legends[0].get_texts()] == ["A", "B"]
    plt.close(known)


def test_a_method_that_is_missing_for_all_has_an_empty_panel():
    columns = {k: v for k, v in limits(["A", "B"]).items() if "re-optimized" not in k}
    figure = how_sparse.scatter(LIGHT, columns)
    assert [len(axes.containers) for axes in figure.axes] == [2, 2, 2, 2, 2, 0]
    plt.close(figure)


def test_the_upper_map_is_drawn_in_points():
    found = {"network": ["A", "A"], "p": [0.1, 0.2], "gap": [0.3, 0.1], "R_squared": [2.0, 1.0], "T": [0.15, 0.15]}
    figure = how_sparse.upper(LIGHT, found)
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [30, 10])
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [2, 1])
    plt.close(figure)


def test_pairs_are_lines_over_four_combinations():
    found = {"network": ["A", "A", "B"]} | {
        k: [0.1 * i, 0.2 * i, 0.3 * i] for i, k in enumerate(("neither", "weights", "Hessian", "both"), 1)
    }
    figure = how_sparse.separation(LIGHT, found)
    lines = figure.axes[0].lines
    assert [line.get_ydata()[3] for line in lines] == pytest.approx([0.4, 0.8, 1.2])
    assert len(figure.axes[0].get_legend().get_texts()) == 2
    plt.close(figure)
