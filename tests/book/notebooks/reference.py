"""Write the reference notebooks that runs are compared with: ``python -m tests.book.notebooks.reference [PAGE …]``.

A reference is a chapter as it runs at smoke scale, with the outputs of the cells tagged `CHECKED` and no others. The
tag is nbval's, which can execute a reference by itself; the suite compares the runs of its smoke book, so that no
chapter is executed twice.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

from prunekit.book import paths
from prunekit.book.runs import batch
from prunekit.book.runs.workers import Workers
from prunekit.book.site.evidence import wanted

FOLDER = Path(__file__).resolve().parents[2] / "reference"
SCALE = "smoke"
CHECKED = "nbval-check-output"
INJECTED = "injected-parameters"


def tags(cell: Any) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def reduced(executed: Any) -> Any:
    """Return an executed notebook's code cells, with the outputs of the checked ones alone.

    Cells with outputs have execution counts, as nbval wants them; everything that differs between two runs of the same
    code (ids, times, paths, versions) is left out, so that a reference changes only when its numbers do.
    """
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    cells = [_reduced_cell(cell, index) for index, cell in enumerate(code)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _reduced_cell(cell: Any, index: int) -> Any:
    outputs = [_plain(output) for output in cell.outputs] if CHECKED in tags(cell) else []
    return nbformat.v4.new_code_cell(
        cell.source,
        id=f"cell-{index}",
        execution_count=index + 1,
        metadata={"tags": tags(cell)} if tags(cell) else {},
        outputs=outputs,
    )


def _plain(output: Any) -> Any:
    """Return a checked output, which has to be printed text."""
    if output.output_type != "stream" or output.name != "stdout":
        raise ValueError(f"a cell tagged {CHECKED} has an output of type {output.output_type}: it may only print")
    return nbformat.v4.new_output("stream", name="stdout", text=output.text)


def differences(reference: Any, executed: Any) -> list[str]:
    """Say what an executed chapter does otherwise than its reference: its code, or what its checked cells print."""
    expected = reference.cells
    cells = [cell for cell in executed.cells if cell.cell_type == "code"]
    if [cell.source for cell in cells] != [cell.source for cell in expected]:
        return ["the code is another"]
    return [
        f"cell {index} printed {printed(cell)!r}; its reference holds {printed(held)!r}"
        for index, (cell, held) in enumerate(zip(cells, expected, strict=True))
        if CHECKED in tags(held) and printed(cell) != printed(held)
    ]


def printed(cell: Any) -> str:
    """Return what a cell printed, in however many pieces it came."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def write_all(folder: Path = FOLDER, only: Sequence[str] = ()) -> list[Path]:
    """Execute every chapter that has no run at smoke scale and write all references into a fresh `folder`.

    Where pages are named, theirs alone are written; what one prints otherwise than its old reference is said.
    """
    pages = [page for page in wanted(SCALE) if not only or page.name in only]
    with Workers(1) as executor:
        runs = batch.run_all([page.job for page in pages], executor)
    failed = [run for run in runs if not run.finished]
    if failed:
        raise SystemExit("\n".join(f"failed: {run.record['notebook']}: {run.error} ({run.folder})" for run in failed))
    if not only:
        shutil.rmtree(folder, ignore_errors=True)
    written = []
    for page, run in zip(pages, runs, strict=True):
        path = folder / f"{page.name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        if only:
            print("\n".join(_moved(path, run.notebook())))
        nbformat.write(reduced(run.notebook()), path)
        written.append(path)
    return written


def _moved(path: Path, executed: Any) -> list[str]:
    """Say which lines a page's checked cells print that its old reference does not hold, and the other way round."""
    held = nbformat.read(path, as_version=4) if path.exists() else None
    before = {line for c in (held.cells if held else []) if CHECKED in tags(c) for line in printed(c).splitlines()}
    now = {line for c in executed.cells if CHECKED in tags(c) for line in printed(c).splitlines()}
    return [f"- {line}" for line in sorted(before - now)] + [f"+ {line}" for line in sorted(now - before)]


def main() -> None:
    """Write the references of the pages that are named, or all, and name them."""
    for path in write_all(only=sys.argv[1:]):
        print(path.relative_to(paths.ROOT))


if __name__ == "__main__":
    main()
