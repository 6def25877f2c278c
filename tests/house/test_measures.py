"""The house is as it should be: rooms without circles, files and pages of a length that can be read.

What does not keep a rule yet is listed by name. A list may only become shorter: whoever mends a page or a file takes it
off, and a test fails where something is listed that keeps the rule.
"""

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

LONG_FILES: tuple[str, ...] = ()
PAGES = {}
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


def test_files_are_short_but_for_those_that_are_listed(library):
    assert set(library["long_files"]) - set(LONG_FILES) == set(), "split it, or find what it says twice"
    assert set(LONG_FILES) - set(library["long_files"]) == set(), "short now: take it off LONG_FILES"


def test_pages_keep_the_rules_but_for_those_that_are_listed():
    found = measures.faults(measures.pages())
    broken = {(rule, page) for rule, pages in found.items() for page in pages}
    listed = {(rule, page) for page, rules in PAGES.items() for rule in rules.split()}
    assert broken - listed == set(), {rule: measures.RULES[rule] for rule, _ in broken - listed}
    assert listed - broken == set(), "mended: take it off PAGES"


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
