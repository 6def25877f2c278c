"""Measure the house: ``python -m tests.house.measures`` (``make house``) writes ``book/house.json``.

Of the library: rooms, imports between them, circles, arrows upward (`tests.house.imports` states the order of the
rooms), long files, public names. Of each page: how long it is, how soon its first figure comes, and its hidden code.
The numbers of an earlier commit stand beside today's, measured by the same code: ``--before COMMIT`` measures another.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prunekit.book import paths
from tests.house import imports
from tests.house.cells import Cell, cells

HIDDEN = ("hide-input", "hide-cell", "remove-input", "remove-cell")
LONGEST_FILE = 450  # lines
# What a page may be at most: its lines, those of a cell, the visible code up to the end of the first figure's cell, and
# the hidden code as a share of the page.
LONGEST_PAGE, LONGEST_CELL, LATEST_FIGURE, MOST_HIDDEN = 600, 25, 60, 0.10

RULES = {
    "length": f"more than {LONGEST_PAGE} lines",
    "cell": f"a cell of more than {LONGEST_CELL} lines",
    "figure": f"more than {LATEST_FIGURE} lines of visible code before the first figure is shown, or no figure",
    "hidden": f"more than {MOST_HIDDEN:.0%} hidden code",
}


def library(root: Path = paths.ROOT) -> dict[str, Any]:
    """Return what was measured of the library of a checkout."""
    files = imports.modules(root)
    found = imports.arrows(files)
    binding = imports.counted(found)
    between = imports.between_rooms(binding)
    for_hints = imports.between_rooms(arrow for arrow in found if arrow.typing)
    lengths = {path.relative_to(root).as_posix(): len(_lines(path)) for path in files.values()}
    return {
        "files": len(files),
        "lines": sum(lengths.values()),
        "rooms": rooms(files),
        "arrows": [[*ends, count] for ends, count in between.items()],
        "arrows_for_hints_only": [list(ends) for ends in for_hints if ends not in between],
        "doors": [list(door) for door in imports.DOORS],
        "circles_of_rooms": imports.circles(between),
        "circles_of_files": imports.circles((arrow.source, arrow.target) for arrow in binding),
        "long_files": {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE},
    }


def rooms(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Return for each room whether it is a package, what it is for, and how many files and lines it has."""
    found: dict[str, dict[str, Any]] = {}
    for name, path in files.items():
        room = imports.room(name)
        package = path.parent.name != "prunekit"
        entry = found.setdefault(room, {"package": package, "purpose": "", "files": 0, "lines": 0})
        entry["files"] += 1
        entry["lines"] += len(_lines(path))
        if name in ("prunekit", f"prunekit.{room}"):
            entry["purpose"] = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return dict(sorted(found.items()))


def public_names() -> dict[str, str]:
    """Return the names that `dir(prunekit)` offers, each with the module that defines it."""
    import prunekit

    home = {name: prunekit._HOME.get(name, "") for name in dir(prunekit)}
    return {name: f"prunekit.{module}" if module else "prunekit" for name, module in home.items()}


def page(lines: Sequence[str]) -> dict[str, Any]:
    """Return what was measured of a page: lines, code and figures.

    ``before_figure`` counts the visible lines of code up to the end of the cell that shows the first figure; it is None
    where the page shows none.
    """
    found = list(cells(lines))
    trees = [ast.parse(cell.text) for cell in found]
    showing = {"show"} | {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and _calls(node, {"show"})
    }
    first = next((k for k, tree in enumerate(trees) if _shows(tree, showing)), None)
    return {
        "lines": len(lines),
        "code": sum(map(_code, found)),
        "hidden": sum(len(cell.lines) for cell in found if _hidden(cell)),
        "cells": len(found),
        "longest_cell": max((len(cell.lines) for cell in found), default=0),
        "before_figure": None
        if first is None
        else sum(_code(cell) for cell in found[: first + 1] if not _hidden(cell)),
        "functions": sum(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for tree in trees for node in ast.walk(tree)
        ),
    }


def _code(cell: Cell) -> int:
    """Return the number of lines of a cell that are not empty."""
    return sum(bool(line.strip()) for line in cell.lines)


def _hidden(cell: Cell) -> bool:
    return any(tag in cell.tags for tag in HIDDEN)


def _shows(tree: ast.Module, showing: set[str]) -> bool:
    """Return whether a cell shows a figure when it runs: what it only defines does not count."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return any(_calls(node, showing) for node in tree.body if not isinstance(node, kinds))


def _calls(tree: ast.AST, names: set[str]) -> bool:
    called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any((f.id if isinstance(f, ast.Name) else getattr(f, "attr", "")) in names for f in called)


def pages(root: Path = paths.ROOT) -> dict[str, dict[str, Any]]:
    """Return what was measured of each chapter page of a checkout, by the name of the page."""
    found = sorted((root / "chapters").rglob("*.md"))
    return {f"{path.parent.name}/{path.stem}": page(_lines(path)) for path in found}


def faults(found: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the pages that break each rule."""
    broken = {
        "length": lambda p: p["lines"] > LONGEST_PAGE,
        "cell": lambda p: p["longest_cell"] > LONGEST_CELL,
        "figure": lambda p: p["before_figure"] is None or p["before_figure"] > LATEST_FIGURE,
        "hidden": lambda p: p["hidden"] > MOST_HIDDEN * p["lines"],
    }
    return {rule: [name for name, p in found.items() if breaks(p)] for rule, breaks in broken.items()}


def summary(of_library: Mapping[str, Any], of_pages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the few numbers that stand beside those of an earlier commit."""
    figures = [p["before_figure"] for p in of_pages.values() if p["before_figure"] is not None]
    lines = sum(p["lines"] for p in of_pages.values())
    packages = sum(room["package"] for room in of_library["rooms"].values())
    return {
        "modules on the top level": len(of_library["rooms"]) - packages,
        "packages on the top level": packages,
        "imports from room to room": len(of_library["arrows"]),
        "circles of rooms": len(of_library["circles_of_rooms"]),
        "circles of files": len(of_library["circles_of_files"]),
        "lines of the library": of_library["lines"],
        f"files above {LONGEST_FILE} lines": len(of_library["long_files"]),
        "pages": len(of_pages),
        "lines of code on the pages": sum(p["code"] for p in of_pages.values()),
        "functions defined on the pages": sum(p["functions"] for p in of_pages.values()),
        "hidden code, share of the pages' lines": round(sum(p["hidden"] for p in of_pages.values()) / lines, 3),
        "visible code before the first figure, median page": statistics.median(figures),
        "the same, worst page": max(figures),
        **{f"pages with {words}": len(faults(of_pages)[rule]) for rule, words in RULES.items()},
    }


def at_commit(commit: str) -> dict[str, Any]:
    """Return the summary of another commit of this repository, with its short name and date."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["git", "archive", commit, "prunekit", "chapters"], cwd=paths.ROOT, check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        found = summary(library(Path(folder)), pages(Path(folder)))
    return {
        "commit": _git("rev-parse", "--short", commit),
        "date": _git("show", "-s", "--format=%cs", commit),
        "summary": found,
    }


def measured(before: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that ``book/house.json`` holds."""
    of_library, of_pages = library(), pages()
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "order": {layer: list(names) for layer, names in imports.ORDER.items()},
        "library": of_library,
        "upward": imports.upward((source, target) for source, target, _ in of_library["arrows"]),
        "public": public_names(),
        "pages": of_pages,
        "faults": faults(of_pages),
        "rules": RULES,
        "summary": summary(of_library, of_pages),
        "before": before,
    }


def structure(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the record that has to be the code's at any time: all but dates, lengths and counts."""
    of_library = record["library"]
    kept = ("arrows_for_hints_only", "doors", "circles_of_rooms", "circles_of_files")
    return {
        "order": record["order"],
        "rooms": {name: room["package"] for name, room in of_library["rooms"].items()},
        "arrows": [[source, target] for source, target, _ in of_library["arrows"]],
        **{name: of_library[name] for name in kept},
        "upward": record["upward"],
        "public": record["public"],
        "pages": list(record["pages"]),
        "rules": record["rules"],
    }


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=paths.ROOT, check=True, capture_output=True, text=True).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--before", metavar="COMMIT", help="measure that commit too, in place of the one that is kept")
    asked = parser.parse_args(arguments)
    before = at_commit(asked.before) if asked.before else json.loads(paths.HOUSE.read_text(encoding="utf-8"))["before"]
    record = json.dumps(measured(before), indent=1, ensure_ascii=False) + "\n"
    paths.HOUSE.write_text(record, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
