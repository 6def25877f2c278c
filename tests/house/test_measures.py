"""The house is as it should be: rooms without circles, files and pages of a length that can be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import prunekit
from prunekit.book import paths
from tests.house import imports, measures
from tests.house.imports import Arrow

MOST_MODULES = 6


@pytest.fixture(scope="module")
def library():
    return measures.library()


def test_every_room_has_its_place_in_the_order():
    assert imports.unplaced(imports.modules(paths.ROOT)) == []


def test_no_circle_and_no_arrow_upward(library):
    assert library["circles_of_rooms"] == []
    assert imports.upward((source, target) for source, target, _ in library["arrows"]) == []


def test_no_circle_of_files(library):
    assert library["circles_of_files"] == []


def test_every_door_is_used():
    found = {(arrow.source, arrow.target) for arrow in imports.arrows(imports.modules(paths.ROOT)) if not arrow.typing}
    assert set(imports.DOORS) <= found


def test_few_modules_stand_on_the_top_level(library):
    assert sum(not room["package"] for room in library["rooms"].values()) <= MOST_MODULES


def test_every_room_says_what_it_is_for(library):
    assert [name for name, room in library["rooms"].items() if not room["purpose"].endswith(".")] == []


def test_files_are_short(library):
    assert library["long_files"] == {}, "split it, or find what it says twice"


def test_pages_keep_the_rules():
    assert measures.faults(measures.pages()) == {rule: [] for rule in measures.RULES}, measures.RULES


@pytest.mark.parametrize("page", sorted(paths.CHAPTERS.rglob("*.md")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_page_ends_with_what_it_shows_and_three_exercises(page):
    text = page.read_text(encoding="utf-8")
    places = [
        text.find(f"\n## {part}\n") for part in ("The claim", "In numbers", "What this shows", "What to try next")
    ]
    assert -1 not in places and places == sorted(places)
    assert text.count("\n**Exercise ") >= 3
    assert text.count("[hide-cell, solution]") >= 3
    assert 0 < text.find("glance(") < places[1]


def test_only_public_names_are_offered():
    assert set(dir(prunekit)) == set(prunekit.__all__)
    assert [name for name in dir(prunekit) if name.startswith("_")] == ["__version__"]
    assert all(hasattr(prunekit, name) for name in dir(prunekit))


def test_import_loads_neither_torch_nor_numpy():
    code = "import sys, prunekit; print([name for name in ('torch', 'numpy', 'matplotlib') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_record_is_what_the_code_says():
    kept = json.loads(paths.HOUSE.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(measures.measured(kept["before"])))
    assert measures.structure(kept) == measures.structure(now), "`make house` writes it anew"


# What is measured, on small made-up houses


def written(folder: Path, **files: str) -> dict[str, Path]:
    """Write modules and return them as `imports.modules` does."""
    for name, code in files.items():
        path = folder / "prunekit" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    return imports.modules(folder)


def test_imports_are_counted_wherever_they_stand(tmp_path):
    late = "def f():\n    from prunekit.nets import data\n    import prunekit.spectrum\n"
    hints = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from prunekit.linear.law import MinNormLaw\n"
    files = written(
        tmp_path, masks=late, spectrum=hints, nets__data="import numpy\n", linear__law="from prunekit import masks\n"
    )
    found = imports.arrows(files)
    assert found == [
        Arrow("prunekit.linear.law", "prunekit.masks", typing=False),
        Arrow("prunekit.masks", "prunekit.nets.data", typing=False),
        Arrow("prunekit.masks", "prunekit.spectrum", typing=False),
        Arrow("prunekit.spectrum", "prunekit.linear.law", typing=True),
    ]
    between = imports.between_rooms(imports.counted(found))
    assert between == {("linear", "masks"): 1, ("masks", "nets"): 1, ("masks", "spectrum"): 1}
    assert imports.circles(between) == []
    assert imports.circles(imports.between_rooms(found)) == [["linear", "masks", "spectrum"]]
    assert imports.upward(between) == [("linear", "masks")]


def test_a_door_is_open_one_way_only():
    problem, law = imports.DOORS[0]
    assert imports.counted([Arrow(problem, law, typing=False)]) == []
    assert imports.counted([Arrow(law, problem, typing=False)]) != []


def test_circles_are_found_and_kept_apart():
    pairs = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "c"), ("f", "a")]
    assert imports.circles(pairs) == [["a", "b"], ["c", "d", "e"]]


def test_a_relative_import_is_refused(tmp_path):
    with pytest.raises(ValueError, match="an import is relative: name the module"):
        imports.arrows(written(tmp_path, masks="from . import nets\n"))


PAGE = """# A page

```{code-cell}
:tags: [hide-input]

def draw(palette):
    return show(palette)


def other():
    pass
```

```{code-cell}
x = 1

y = x
```

```{code-cell}
draw(x)
z = [
    2,
]
```

```{code-cell}
show(y)
```
"""


def test_a_page_is_measured_as_a_reader_sees_it():
    lines = PAGE.splitlines()
    assert measures.page(lines) == {
        "lines": 29,
        "code": 11,
        "hidden": 6,
        "cells": 4,
        "longest_cell": 6,
        "before_figure": 6,  # the two visible cells, the second of which calls what shows
        "functions": 2,
    }
    assert measures.page(lines[:18])["before_figure"] is None


def test_each_rule_is_broken_just_beyond_its_bound():
    kept = {"lines": 600, "longest_cell": 25, "before_figure": 60, "hidden": 60}
    assert measures.faults({"kept": kept}) == {"length": [], "cell": [], "figure": [], "hidden": []}
    for rule, changed in {
        "length": {"lines": 601},
        "cell": {"longest_cell": 26},
        "figure": {"before_figure": 61},
        "hidden": {"hidden": 61},
    }.items():
        found = measures.faults({"page": kept | changed})
        assert [name for name, broken in found.items() if broken] == [rule]
    assert measures.faults({"page": kept | {"before_figure": None}})["figure"] == ["page"]
