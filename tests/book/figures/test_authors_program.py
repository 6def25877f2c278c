"""The figures on what the authors' program does otherwise, from small results."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit.book.figures import authors_program as figures
from tests.book.figures.looks import look

Change = dict[str, dict[str, np.ndarray]]


@pytest.fixture
def change() -> Change:
    one = {"|h|": np.array([0.01, 0.03]), "R rounded": np.array([-0.05, -0.07]), "all of these": np.array([0.2, 0.3])}
    two = {"|h|": np.array([0.02, 0.04]), "R rounded": np.array([0.0, 0.01]), "all of these": np.array([0.1, 0.1])}
    return {"fully connected": one | {"crops": np.array([0.0, 0.02])}, "convolutional": two}


def test_tolerances_are_marked_on_the_first_network() -> None:
    tolerances = np.geomspace(0.01, 1, 5)
    limits = np.array([[0.5, 0.4, 0.3, 0.2, 0.1], [0.6, 0.5, 0.4, 0.3, 0.2]])
    drawing = figures.tolerance(tolerances, limits, {32: np.array([0.09, 0.11]), 128: np.array([0.01, 0.01])}, 0.05)
    look(drawing, x="tolerance", y="network_2")
    assert "Batches of 32: T = 0.300, 128: T = 0.500" in drawing.caption and "loss is 0.0500" in drawing.caption


def test_the_grid_has_a_point_for_each_network_and_grid() -> None:
    extents, lost = np.geomspace(0.1, 1e4, 11), np.arange(44.0).reshape(4, 11) / 100 - 0.1
    drawing = figures.grid(extents, lost, 2)
    look(drawing, x="extent", y="error")
    assert "2 networks, 2 grids each" in drawing.caption
    assert "0.2300 at L = 0.1, 0.2700 at L = 10, 0.3100 at L = 1e+03, 0.3300 at L = 1e+04" in drawing.caption


def test_variants_are_drawn_in_points(change: Change) -> None:
    drawing = figures.variants(change, {"fully connected": 0.4, "convolutional": 0.5})
    look(drawing)
    assert "“R rounded” with -6.0 points (fully connected), “|h|” with +3.0 points (convolutional)" in drawing.caption
    assert "together +25.0, +10.0" in drawing.caption and "0.400 (fully connected), 0.500 (conv" in drawing.caption
    assert drawing.numbers["change_in_points"] == pytest.approx((2, -6, 25, 1, 3, 0.5, 10))
    assert drawing.numbers["standard_error"][0] == pytest.approx(1.0)


def test_all_of_them_are_no_single_difference(change: Change) -> None:
    assert figures.biggest(change["fully connected"]) == "R rounded"


def test_the_findings_follow_the_numbers(change: Change) -> None:
    hull, batches, differences = figures.findings((50.0, 50.1), (1.9, 2.0), change)
    assert "does not keep the width" in hull and "50 times" in hull and "that of the ball itself" in hull
    assert "1.90 times that with 128 (2.00 by" in batches
    assert "-6.0 points by “R rounded” in fully connected networks" in differences and "+25.0, +10.0" in differences
    assert "program depends on" in batches
    hull, batches, _ = figures.findings((1.001, 50.0), (1.05, 1.0), change)
    assert "hardly depends" in batches
    assert "keeps the width" in hull and "not that of the ball" in hull
