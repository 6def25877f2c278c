"""The still figures of the explorers."""

from __future__ import annotations

import numpy as np

from prunekit.book.figures.explorers import Panel, still
from tests.book.figures.looks import look


def test_panels_are_labelled_and_what_the_csv_says():
    x = np.array([1.0, 2.0, 3.0])
    panels = [
        Panel("width", "risk", {"dense": (x, np.array([1.0, np.nan, 2.0])), "pruned": (x, x)}, "y", 5.0),
        Panel("penalty", "risk (units of y²)", {"dense": (x, x**2)}, "xy"),
    ]
    drawing = still("explore-x", panels, "Lines rise.", "They rise.")
    look(drawing)
    assert drawing.numbers["y"] == [1.0, None, 2.0, 1.0, 2.0, 3.0, 1.0, 4.0, 9.0]
