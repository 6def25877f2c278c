"""The reference notebooks: there for every chapter, in step with its source, and able to fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from prunekit import paths
from prunekit.runs.notebooks import read
from prunekit.site.evidence import chapters
from tests.notebooks.reference import CHECKED, FOLDER, INJECTED, SCALE, reduced, tags

NAMES = [path.relative_to(paths.CHAPTERS).with_suffix("").as_posix() for path in chapters()]
every_chapter = pytest.mark.parametrize("name", NAMES)
LAW = "prunekit/asymptotics.py"


def reference(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def sources(notebook) -> list[tuple[str, str]]:
    """Return type and source of the code cells, the injected parameters left out."""
    return [(c.cell_type, c.source) for c in notebook.cells if c.cell_type == "code" and INJECTED not in tags(c)]


def test_every_chapter_has_a_reference_and_every_reference_a_chapter():
    assert sorted(p.relative_to(FOLDER).with_suffix("").as_posix() for p in FOLDER.rglob("*.ipynb")) == sorted(NAMES)


@every_chapter
def test_a_reference_is_in_step_with_its_chapter(name):
    assert sources(reference(name)) == sources(read(paths.CHAPTERS / f"{name}.md").node), (
        "the chapter's code has changed: python -m tests.notebooks.reference"
    )


@every_chapter
def test_a_reference_runs_at_smoke_scale(name):
    [injected] = [cell for cell in reference(name).cells if INJECTED in tags(cell)]
    assert f'scale = "{SCALE}"' in injected.source


@every_chapter
def test_something_of_every_chapter_is_checked(name):
    cells = reference(name).cells
    checked = [cell for cell in cells if CHECKED in tags(cell)]
    assert checked
    assert all(any(ch.isdigit() for o in cell.outputs for ch in o.text) for cell in checked)
    assert all(not cell.outputs for cell in cells if CHECKED not in tags(cell))
    assert all(cell.execution_count for cell in cells)


@every_chapter
def test_a_reference_holds_nothing_that_changes_by_itself(name):
    notebook = reference(name)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert [cell.id for cell in notebook.cells] == [f"cell-{i}" for i in range(len(notebook.cells))]
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert str(paths.ROOT) not in nbformat.writes(notebook)


def test_a_checked_cell_may_only_print():
    figure = nbformat.v4.new_output("display_data", data={"text/html": "<p>"})
    cell = nbformat.v4.new_code_cell("show()", outputs=[figure], metadata={"tags": [CHECKED]})
    with pytest.raises(ValueError, match="may only print"):
        reduced(nbformat.v4.new_notebook(cells=[cell]))


def copied_library(folder: Path, old: str, new: str) -> Path:
    """Copy the library with one expression of the law replaced."""
    shutil.copytree(paths.PACKAGE, folder / "prunekit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(paths.BOOK, folder / "book")  # the ledger is read from beside the package
    source = folder / LAW
    text = source.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"the law no longer says {old!r}: alter another expression here"
    source.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def compared(name: str, library: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let nbval execute a reference with another library."""
    shutil.copy(FOLDER / f"{name}.ipynb", folder / "page.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "--override-ini=addopts=", "--rootdir", str(folder), str(folder / "page.ipynb")],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("factor", "failing"), [("1.0", 0), ("1.001", 1)], ids=["unaltered", "altered"])
def test_the_comparison_has_teeth(tmp_path, factor, failing):
    library = copied_library(tmp_path / "library", "gamma = float(", f"gamma = {factor} * float(")
    done = compared("overparameterization/linear-gaussian", library, tmp_path)
    cells = len(reference("overparameterization/linear-gaussian").cells)
    assert done.returncode == failing, done.stdout + done.stderr
    assert f"{cells - failing} passed" in done.stdout
    assert ("reference output differs" in done.stdout or "Notebook cell execution failed" in done.stdout) == bool(
        failing
    )
