"""Shares of long columns and paths of descent, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book import recordings
from prunekit.book.figures import regulariser as figures
from prunekit.book.figures.regulariser import Panel, Path
from tests.book.figures.looks import look

X = np.array([0.25, 0.5, 0.75])


def law(x: np.ndarray, k: int, r: int) -> np.ndarray:
    return 1 - x * (1 - r / k)


@pytest.fixture
def panel() -> Panel:
    scatter = np.array([-0.01, 0.01, 0.0])[:, None]
    shares = {
        "penalty": np.full((3, 3), 0.2),
        "small start": law(X, 10, 2) + 0.03 + scatter,
        "large start": np.array([0.9, 0.7, 0.6]) + scatter,
    }
    return Panel.live(12, 10, 2, X, shares, law)


def test_the_share_is_what_its_numbers_say(panel: Panel) -> None:
    recorded = dataclasses.replace(panel, title="recorded", d=10)
    for panels in ([panel], [panel, recorded]):
        drawing = figures.share(panels, 3)
        look(drawing, x="x", y="share")
        assert list(dict.fromkeys(drawing.numbers["panel"])) == [each.title for each in panels]
        assert ("Right: the recorded run" in drawing.caption) is (len(panels) == 2)
        assert "are 20% of the columns with the penalty (r/k is 20%), 63% without it" in drawing.caption
    assert panel.off == pytest.approx(0.03)


def test_what_the_figure_shows_comes_with_its_error(panel: Panel) -> None:
    assert panel.from_step == pytest.approx((0.0, 0.0))
    one_more = dataclasses.replace(panel, curves=panel.curves | {"penalty": [(0.5, 0.3, 0.1), (0.75, 0.2, 0.0)]})
    assert one_more.from_step == pytest.approx((0.1, 0.1))
    fewest, error = panel.without()  # of 10 columns, from the small start: 1 - 0.5 · 0.8 + 0.03, and 0.7 from the large
    assert fewest == pytest.approx(6.3) and error == pytest.approx(10 * 0.01 / 3**0.5)
    assert panel.without(0.75).value == pytest.approx(4.3)


def test_a_recorded_panel_is_the_live_one_of_its_run() -> None:
    record = recordings.find("matrix-sensing/regulariser", "d500")
    assert record is not None
    found, numbers = Panel.recorded(record, law), record.numbers("share")
    assert (found.title, found.d, found.k, found.r) == ("recorded", 500, 500, 4)
    assert sorted(found.curves) == sorted({*figures.LABELS, figures.PREDICTED})
    rows = [(name, *row) for name, curve in found.curves.items() for row in curve]
    assert rows == list(zip(*(numbers[name] for name in figures.HEADER[1:]), strict=True))


def paths() -> list[Path]:
    step = np.array([0, 40, 80, 120])
    one = Path(step, np.array([30.0, 5, 2, 2]), np.array([1.0, 0.1, 0.01, 1e-6]), np.array([-1.0, -0.2, 0.0, 0.1]))
    return [one, Path(step, np.array([30.0, 2, 2, 2]), one.gradient * 2, one.curvature + 0.05)]


def test_a_path_is_drawn_and_its_nearest_saddle_said() -> None:
    drawing = figures.descent(paths(), 30, 2)
    look(drawing, also=tuple(("iteration", y) for y in ("columns", "gradient_norm", "least_curvature")))
    assert "the gradient comes down to 0.1, and the least curvature is at most -0.2" in drawing.caption
    settled = [path.where(path.columns == 2) for path in paths()]
    assert "No other number than r" in figures.descent(settled, 30, 2).caption


def test_the_findings_say_whether_exactly_r_stand_out(panel: Panel) -> None:
    first, second, third = figures.findings(panel)
    assert "exactly the 2 columns" in first and "off by at most 0.03" in third
    assert "6 columns are longer than half the longest after a small start and 7 after a large one" in second
    one_more = [(x, 0.3, error) for x, _, error in panel.curves["penalty"]]
    other = dataclasses.replace(panel, curves=dict(panel.curves) | {"penalty": one_more})
    assert "not always the 2 columns" in figures.findings(other)[0]
