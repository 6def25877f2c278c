"""The page's figures show the networks they are given."""

from __future__ import annotations

import dataclasses
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from prunekit.book.figures import how_sparse as figures
from prunekit.book.figures.how_sparse import Networks
from prunekit.book.plotting import LIGHT, Drawing
from prunekit.book.recordings import recording
from prunekit.limit import METHODS, PruningCurve
from tests.book.figures.looks import look

SHARES = np.array([0.05, 0.1, 0.2, 1.0])


def curve(accuracies: list[float]) -> PruningCurve:
    """Return the curve of a network with such held-out accuracies of a thousand images."""
    correct = np.array([np.arange(1000) < round(1000 * a) for a in accuracies])
    loss = np.array([2.0, 0.5, 0.2, 0.1])
    return PruningCurve(np.array([5, 10, 20, 100]), 100, loss, np.full(4, 0.9), loss, correct)


@pytest.fixture
def found() -> Networks:
    """Return two networks of which one-shot is right and the published threshold is 5 and 10 points too low."""
    rows = []
    for name, measured, low in (("A", 0.2, 0.05), ("B", 0.3, 0.1)):
        row: dict[str, Any] = {"network": name, "reach": 1, "seed": 0, "train_loss": 0.1, "epsilon": 0.02}
        row["measured training loss"] = measured
        for method in METHODS:
            row[f"predicted {method}"] = measured if method == "one-shot" else measured - low
            row |= {f"predicted {method}, error": 0.01, f"predicted {method}, resolved": 1}
        row["predicted re-optimized"] = measured - low - 0.01
        rows.append(row)
    return Networks(rows, [curve([0.2, 0.4, 0.8, 0.9]), curve([0.3, 0.6, 0.88, 0.9])], 0.1)


def drawn(drawing: Drawing) -> Figure:
    figure = drawing.draw(LIGHT)
    figure.canvas.draw()
    return figure


def test_networks_know_how_far_predictions_are_off(found: Networks) -> None:
    np.testing.assert_allclose(found.off("published"), [5, 10])
    np.testing.assert_allclose(found.off("one-shot"), 0, atol=1e-12)
    np.testing.assert_allclose(found.retrained("published"), 1)
    assert found.best == "one-shot" and found.blurred == ""
    tenth, half = found.lost
    assert found.fall == pytest.approx(np.sqrt(np.prod(tenth / half)))
    inside = (half <= found.published) & (found.published <= tenth)
    np.testing.assert_array_equal(found.apart == 1, inside)
    assert found.apart == pytest.approx(
        np.where(inside, 1, np.maximum(found.published / tenth, half / found.published))
    )
    unresolved = dataclasses.replace(found, rows=[found.rows[0], {**found.rows[1], "predicted published, resolved": 0}])
    assert "not resolved in 1 of 2" in unresolved.blurred


def test_curves_are_drawn_network_by_network_with_their_limits(found: Networks) -> None:
    drawing = figures.curves(found)
    look(drawing, x="share", y="train_loss")
    figure = drawn(drawing)
    top, bottom = figure.axes[1], figure.axes[3]
    np.testing.assert_allclose(top.lines[0].get_ydata(), [0.3, 0.6, 0.88, 0.9])
    assert top.lines[1].get_xdata()[0] == pytest.approx(0.2)
    assert bottom.lines[3].get_ydata()[0] == pytest.approx(0.12)
    plt.close(figure)
    assert "falls sharply" in drawing.caption or found.fall > figures.SHARP


def test_only_the_first_network_of_an_architecture_is_drawn(found: Networks) -> None:
    later = {**found.rows[0], "seed": 1, "reach": 4}
    more = Networks([*found.rows, later], [*found.curves, curve([0.1, 0.1, 0.1, 0.9])], 0.1)
    assert figures.curves(more).numbers["held_accuracy"] == figures.curves(found).numbers["held_accuracy"]


def test_recorded_curves_say_what_is_not_resolved(found: Networks) -> None:
    table = {"network": ["A"] * 4, "share": list(SHARES), "held_accuracy": [0.2, 0.4, 0.8, 0.9]}
    table["train_loss"] = [2.0, 0.05, 0.2, 0.1]
    limits = figures.columns_of(found.rows[:1])
    drawing = figures.recorded_curves(table, limits, {"A": True})
    look(drawing, x="share", y="held_accuracy")
    assert "A: T 15.00%, one-shot 20.00% (neither is resolved)" in drawing.caption
    assert "0.05 against 0.10, at 10.00%" in drawing.caption
    assert "resolved" not in figures.recorded_curves(table, limits, {"A": False}).caption


def test_the_legend_lies_outside_the_panels(found: Networks) -> None:
    for drawing in (figures.curves(found), figures.limits(found)):
        figure = drawn(drawing)
        [legend] = figure.legends
        assert not any(axes.get_legend() for axes in figure.axes)
        box = legend.get_window_extent()
        assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
        plt.close(figure)


def test_a_method_that_is_missing_for_some_is_drawn_for_the_others(found: Networks) -> None:
    keys = [key for key in found.rows[0] if "re-optimized" not in key]
    lacking = [{key: row[key] for key in keys} | {"network": "C"} for row in found.rows[:1]]
    figure = drawn(figures.limits(found, lacking))
    points = {axes.get_title(): [c[0].get_xydata() for c in axes.containers] for axes in figure.axes}
    assert list(points) == list(METHODS)
    assert [len(each) for each in points["one-shot"]] == [1, 1, 1]
    assert [len(each) for each in points["re-optimized"]] == [1, 1]
    np.testing.assert_allclose(points["published"][1], [[0.3, 0.2]])
    plt.close(figure)


def test_an_error_that_is_not_known_is_no_small_bar(found: Networks) -> None:
    first, second = ({**row} for row in found.rows)
    first |= {"predicted cone, error": None, "predicted orthogonal, error": float("inf")}
    second |= {"predicted orthogonal, error": float("nan")}
    figure = drawn(figures.limits(dataclasses.replace(found, rows=[first, second])))
    marked = {
        axes.get_title(): [line.get_xdata()[0] for line in axes.lines if line.get_label() == figures.UNKNOWN]
        for axes in figure.axes
    }
    assert marked == {m: [] for m in METHODS} | {"cone": [0.2], "orthogonal": [0.2, 0.3]}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B", figures.UNKNOWN]
    plt.close(figure)
    known = drawn(figures.limits(found))
    assert [text.get_text() for text in known.legends[0].get_texts()] == ["A", "B"]
    plt.close(known)


def test_a_method_that_is_missing_for_all_has_an_empty_panel(found: Networks) -> None:
    rows = [{key: row[key] for key in row if "re-optimized" not in key} for row in found.rows]
    lacking = dataclasses.replace(found, rows=rows)
    figure = drawn(figures.limits(lacking))
    assert [len(axes.containers) for axes in figure.axes] == [2, 2, 2, 2, 2, 0]
    plt.close(figure)
    assert lacking.methods == [m for m in METHODS if m != "re-optimized"]
    assert len(figures.findings(lacking, 0.54)) == 2


def test_a_recorded_scatter_without_the_quadrature_is_no_error(found: Networks) -> None:
    old = {key: [0.1] for key in ("predicted published", "predicted published, error")} | {"network": ["fc5"]}
    assert figures.mark(old) and figures.rows_of(old)[0]["predicted published, error"] == 0.1
    assert figures.rows_of(old, unknown=True)[0]["predicted published, error"] is None
    new = old | {"predicted published, resolved": [1]}
    assert figures.mark(new) == "" and figures.rows_of(new, unknown=True)[0]["predicted published, error"] == 0.1


def test_the_caption_and_the_findings_follow_the_numbers(found: Networks) -> None:
    assert "nearest method is one-shot, off by a factor 1.00" in figures.limits(found).caption
    assert "off by 1.41, and below the measured limit in 2 of 2" in figures.limits(found).caption
    sharp, off, other = figures.findings(found, 1.33)
    assert ("is sharp by" in sharp) == (found.fall <= figures.SHARP)
    assert "a factor 1.41" in off and "at most 1.33" in off and "one-shot, off by 1.00" in off and "in 2 of 2" in off
    assert "nearer to the limit of retrained networks" in other
    rows = [{**row, "predicted published": row["measured training loss"] + 0.001} for row in found.rows]
    high = dataclasses.replace(found, rows=rows)
    assert "below it in 0 of 2" in figures.findings(high, 1.33)[1]
    assert "nearer to the limit of networks as they are pruned" in figures.findings(high, 1.33)[2]
    flat = dataclasses.replace(found, curves=[curve([0.4, 0.45, 0.5, 0.9]), curve([0.1, 0.1, 0.7, 0.9])])
    assert flat.fall > figures.SHARP and "is not sharp" in figures.findings(flat, 1.33)[0]
    assert "falls gradually" in figures.curves(flat).caption


def test_a_single_value_has_no_error() -> None:
    assert figures.summary([3.0]) == (3.0, 0.0)
    assert figures.summary([1.0, 3.0]) == pytest.approx((2.0, 1.0))


def test_a_mean_of_factors_is_geometric_and_one_network_tells_no_error(found: Networks) -> None:
    np.testing.assert_allclose(found.apart_by("published"), [0.2 / 0.15, 0.3 / 0.2])
    mean = figures.typical(found.apart_by("published"))
    assert mean["measured"] == pytest.approx(np.sqrt(0.2 / 0.15 * 0.3 / 0.2))
    logs = np.log([0.2 / 0.15, 0.3 / 0.2])
    assert mean["error"] == pytest.approx(mean["measured"] * np.ptp(logs) / 2) and mean["repetitions"] == 2
    assert figures.typical([2.0]) == {"measured": pytest.approx(2.0), "error": None}


def test_a_counted_share_has_an_error_even_where_all_count() -> None:
    assert figures.share_error([True, False, True, True]) == pytest.approx(np.sqrt(2 / 3 * 1 / 3 / 4))
    assert figures.share_error([True] * 8) == pytest.approx(np.sqrt(0.9 * 0.1 / 8))


def test_a_recorded_network_falls_where_its_accuracies_do() -> None:
    run = recording("pruning-limit/how-sparse", "fc5-cifar10")
    nets, table = figures.recorded_networks(run), run.numbers("curves")
    np.testing.assert_allclose(nets.curves[0].held_accuracy, table["held_accuracy"], atol=1e-12)
    old = {r["what"]: r["measured"] for r in run.checks if r["claim"] == "geometric/fig-3"}
    assert old["median ratio of the shares at which 10% and 50% are lost"] == pytest.approx(nets.fall)
    assert old["median factor between T and the interval of the fall"] == pytest.approx(nets.apart[0])
    assert "not resolved in 1 of 1" in nets.blurred and nets.never_above.count("0 of 1") == 1
