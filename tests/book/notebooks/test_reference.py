"""The reference notebooks: there for every chapter, in step with its source, and able to fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from prunekit.book import paths
from prunekit.book.runs.notebooks import read
from prunekit.book.site.evidence import chapters, wanted
from tests.book.notebooks.reference import CHECKED, FOLDER, INJECTED, SCALE, differences, reduced, tags

NAMES = [path.relative_to(paths.CHAPTERS).with_suffix("").as_posix() for path in chapters()]
every_chapter = pytest.mark.parametrize("name", NAMES)
LAW = "prunekit/linear/law.py"


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
        "the chapter's code has changed: python -m tests.book.notebooks.reference"
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
    shutil.copytree(paths.PACKAGE, folder / "prunekit")  # with what Python has compiled of it
    shutil.copytree(paths.BOOK, folder / "book")  # the ledger is read from beside the package
    source = folder / LAW
    text = source.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"the law no longer says {old!r}: alter another expression here"
    source.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def executed(name: str, library: Path, folder: Path):
    """Run a chapter at smoke scale with another library and return the executed notebook."""
    chapter = paths.CHAPTERS / f"{name}.md"
    command = [sys.executable, "-m", "prunekit", "run", str(chapter), "-p", f"scale={SCALE}", "--out", str(folder)]
    done = subprocess.run(
        command, cwd=library, env=os.environ | {"PYTHONPATH": str(library)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [found] = folder.glob("*/notebook.ipynb")
    return nbformat.read(found, as_version=4)


@pytest.mark.parametrize(("factor", "differing"), [("1.0", 0), ("1.001", 1)], ids=["unaltered", "altered"])
def test_the_comparison_has_teeth(tmp_path, factor, differing):
    library = copied_library(tmp_path / "library", "gamma = float(", f"gamma = {factor} * float(")
    name = "overparameterization/linear-gaussian"
    found = differences(reference(name), executed(name, library, tmp_path / "runs"))
    assert len(found) == differing, found
    assert all("printed" in difference for difference in found)


@pytest.mark.parametrize(
    ("source", "outputs", "said"),
    [
        ("print(1)", ["1\n"], []),
        ("print(1)", ["1", "\n"], []),
        ("print(1)", ["2\n"], ["cell 0 printed '2\\n'; its reference holds '1\\n'"]),
        ("print(1)", [], ["cell 0 printed ''; its reference holds '1\\n'"]),
        ("print(2)", ["1\n"], ["the code is another"]),
    ],
)
def test_code_and_what_is_printed_are_compared(source, outputs, said):
    def notebook(code, *texts):
        streams = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in texts]
        cell = nbformat.v4.new_code_cell(code, outputs=streams, metadata={"tags": [CHECKED]})
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Prose"), cell])

    assert differences(reduced(notebook("print(1)", "1\n")), notebook(source, *outputs)) == said


@pytest.fixture(scope="module")
def pages(smoke_build):
    """Return the pages of the smoke book by name, with the runs that its build made."""
    assert "status" in smoke_build  # it has ended, well or not
    return {page.name: page for page in wanted(SCALE)}


@every_chapter
def test_a_chapter_prints_what_its_reference_holds(smoke_build, pages, name):
    """The smoke book's runs are compared: every cell ran without an error, and the checked ones printed the same."""
    assert pages[name].run is not None, smoke_build["output"]
    assert differences(reference(name), pages[name].run.notebook()) == []
