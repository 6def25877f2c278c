"""The page on how the library is built: what it shows is in the record, and the record is the code's."""

from __future__ import annotations

import base64
import csv
import importlib.util
import io
import itertools
import json
import re

import pytest

from prunekit.book import paths, plotting
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site import architecture

PROSE = (paths.BOOK / "architecture.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def record():
    return json.loads(paths.HOUSE.read_text(encoding="utf-8"))


@pytest.fixture
def small():
    """Return a record of four rooms: `top` imports both of the middle, one of which imports the other."""
    room = {"package": True, "purpose": "What ``it`` is for.", "files": 2, "lines": 1234}
    return {
        "measured": "2026-01-02",
        "order": {"ground": ["__init__", "base"], "middle": ["left", "right"], "high up": ["top", "__main__"]},
        "library": {
            "rooms": dict.fromkeys(["__init__", "__main__", "base", "left", "right", "top"], room),
            "arrows": [["left", "base", 3], ["right", "left", 1], ["top", "left", 2], ["top", "right", 1]],
            "circles_of_rooms": [],
            "circles_of_files": [["a", "b"]],
            "long_files": {"prunekit/a.py": 500},
        },
        "upward": [["left", "top"]],
        "public": {"f": "prunekit.left", "g": "prunekit.left"},
        "pages": {"c/one": {"lines": 700, "longest_cell": 9, "before_figure": None, "hidden": 7}},
        "faults": {"length": ["c/one"], "cell": [], "figure": ["c/one"], "hidden": []},
        "rules": {"length": "many lines", "figure": "no figure"},
        "summary": {"pages": 1, "a share": 0.25, "new": 2},
        "before": {"commit": "abc", "date": "2025-12-31", "summary": {"pages": 1200, "a share": 0.5}},
    }


def test_the_page_says_what_is_in_the_record(small):
    page = architecture.page(PROSE, small)
    assert "<!--" not in page
    assert "(2026-01-02, beside commit abc (2025-12-31))" in page
    assert "* - `left`\n\n    middle\n  - What `it` is for.\n  - 2, 1,234" in page
    assert "- from `prunekit.left`: `f`, `g`" in page
    assert "* - pages\n  - 1,200\n  - 1\n" in page
    assert "* - a share\n  - 0.5\n  - 0.25\n" in page
    assert "* - new\n  - –\n  - 2\n" in page
    assert "* - `c/one`\n  - **700**\n  - 9\n  - **no figure**\n  - 1\\%\n" in page
    assert "if it has many lines; no figure." in page
    assert "- `prunekit/a.py` has 500 lines." in page
    assert "in a circle: `a`, `b`." in page


def test_the_picture_has_every_room_and_the_arrows_above_the_ground(small):
    assert architecture.rows(small) == [
        ("ground", ["base"]), ("middle", ["left"]), ("middle", ["right"]), ("high up", ["top"]),
    ]  # fmt: skip
    assert architecture.drawn(small) == [("right", "left"), ("top", "right")]  # so that top reaches left
    at = architecture.places(small)
    assert [at[name][1] for name in ("base", "left", "right", "top")] == [0, 1, 2, 3]
    drawing = plotting.svg(lambda palette: architecture.draw(palette, small), plotting.LIGHT).decode()
    assert all(f"<!-- {name} -->" in drawing for name in ("base", "left", "right", "top"))


def test_arrows_are_led_around_boxes():
    assert architecture._runs_behind(((0, 2), (0, 0)), (0.5, 1))
    assert not architecture._runs_behind(((0, 2), (0, 0)), (1.5, 1))
    assert not architecture._runs_behind(((0, 2), (0, 0)), (0, 2))
    assert architecture._cross(((0, 1), (1, 0)), ((1, 1), (0, 0)))
    assert not architecture._cross(((0, 1), (1, 0)), ((0, 1), (0, 0)))
    assert not architecture._cross(((0, 1), (0, 0)), ((1, 1), (1, 0)))


def test_the_pictures_numbers_are_all_arrows(record):
    markup = architecture.picture(record)
    [data] = re.findall(r"data:text/csv;charset=utf-8;base64,([\w+/=]+)", markup)
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))
    assert [[row["room"], row["imports"], int(row["statements"])] for row in rows] == record["library"]["arrows"]
    assert sum(row["drawn"] == "True" for row in rows) == len(architecture.drawn(record))
    assert f"{len(rows)} arrows from room to room, none in a circle, none upward" in markup
    light, dark = plotting.pair(lambda palette: architecture.draw(palette, record))
    assert light != dark


def test_boxes_of_a_row_do_not_overlap(record):
    at = architecture.places(record)
    for _, names in architecture.rows(record):
        columns = sorted(at[name][0] for name in names)
        assert all(b - a > architecture._WIDTH for a, b in itertools.pairwise(columns))


def test_every_module_that_the_prose_names_exists():
    named = set(re.findall(r"`(prunekit(?:\.\w+)+)`", PROSE))
    assert len(named) > 8
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def test_prose_without_a_part_is_refused(small):
    with pytest.raises(ValueError, match="prose lacks the line '<!-- house: pages -->'"):
        architecture.page(PROSE.replace("<!-- house: pages -->", ""), small)


def test_without_a_record_the_page_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "HOUSE", tmp_path / "house.json")
    with pytest.raises(Refused, match=r"house.json is not there, .* `make house` writes it"):
        architecture.kept_page("prose", tmp_path / "kept.md")
