"""Hold the code of the pages to the library's rules: ``python -m tests.house.cells`` (part of ``make lint``).

Each page's code cells are written to a module of their own below ``_build/cells``, in which every line stands where it
stands on the page, so that what ruff and mypy say points into the page. Each cell is also held to ruff's layout.
``--fix`` writes that layout, and what ruff can mend in a single cell, back into the pages.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prunekit.book import paths

FENCE = "```"
OPENING = FENCE + "{code-cell}"
FOLDER = paths.BUILD / "cells"
# On a page a name may come to mean another thing; an empty list says nothing of what will be in it.
LENIENT = ("--allow-redefinition", "--disable-error-code", "no-redef", "--disable-error-code", "var-annotated")
WIDTH = 88  # characters of a line that a page shows without scrolling


@dataclass(frozen=True)
class Cell:
    """A code cell of a page: its lines, without fences and options."""

    first: int  # the line of the page, from 0, at which its code begins
    lines: tuple[str, ...]
    tags: str = ""

    @property
    def text(self) -> str:
        """The code, ended by a line break."""
        return "\n".join(self.lines) + "\n"


def cells(lines: Sequence[str]) -> Iterator[Cell]:
    """Yield the code cells of a page's lines."""
    at = 0
    while at < len(lines):
        if not lines[at].startswith(OPENING):
            at += 1
            continue
        start = at + 1
        while lines[start].startswith(":"):
            start += 1
        options = " ".join(lines[at + 1 : start])
        if options and not lines[start].strip():
            start += 1
        end = next(i for i in range(start, len(lines)) if lines[i].startswith(FENCE))
        yield Cell(start, tuple(lines[start:end]), options)
        at = end + 1


def module(page: Path) -> str:
    """Return a page's code as one module, every line at its place on the page, the others empty."""
    lines = page.read_text(encoding="utf-8").split("\n")
    kept = [""] * len(lines)
    for cell in cells(lines):
        kept[cell.first : cell.first + len(cell.lines)] = cell.lines
    return "\n".join(kept).rstrip() + "\n"


def extract(pages: Sequence[Path], folder: Path = FOLDER) -> dict[Path, Path]:
    """Write the modules of pages below a fresh folder, and return the pages by module."""
    shutil.rmtree(folder, ignore_errors=True)
    written = {}
    for page in pages:
        chapter, name = page.parent.name, page.stem
        path = folder / chapter.replace("-", "_") / f"{name.replace('-', '_')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(module(page), encoding="utf-8")
        written[path] = page
    return written


def laid_out(found: Sequence[Cell]) -> list[str]:
    """Return the code of cells in ruff's layout; as it is where ruff cannot read it, which the other checks say."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"cell_{number}.py" for number in range(len(found))]
        for path, cell in zip(files, found, strict=True):
            path.write_text(cell.text, encoding="utf-8")
        command = ["ruff", "format", "--quiet", "--no-cache", "--line-length", str(WIDTH), folder]
        subprocess.run([sys.executable, "-m", *command], check=False, cwd=paths.ROOT)
        return [path.read_text(encoding="utf-8") for path in files]


def fix(page: Path) -> bool:
    """Write a page's cells in ruff's layout, and tell whether any was in another."""
    text = page.read_text(encoding="utf-8")
    lines = text.split("\n")
    found = list(cells(lines))
    for cell, code in reversed(list(zip(found, laid_out(found), strict=True))):
        lines[cell.first : cell.first + len(cell.lines)] = code.rstrip("\n").split("\n")
    if "\n".join(lines) == text:
        return False
    page.write_text("\n".join(lines), encoding="utf-8")
    return True


def misplaced(pages: Sequence[Path]) -> Iterator[str]:
    """Yield a line for each cell that is not in ruff's layout."""
    found = [(page, cell) for page in pages for cell in cells(page.read_text(encoding="utf-8").split("\n"))]
    for (page, cell), code in zip(found, laid_out([cell for _, cell in found]), strict=True):
        if code != cell.text:
            yield f"{page.relative_to(paths.ROOT)}:{cell.first + 1}: the cell is not in ruff's layout (--fix mends it)"


def judged(written: dict[Path, Path]) -> tuple[int, str]:
    """Return whether ruff and mypy are content with the modules, and what they say, by the pages' names."""
    status, said = 0, ""
    own = ["--cache-dir", ".mypy_cache/cells"]  # where its settings change, mypy forgets all it knew
    for tool in (["ruff", "check", "--no-cache", "--output-format", "concise"], ["mypy", *own, *LENIENT]):
        command = [sys.executable, "-m", *tool, *map(str, written)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=paths.ROOT)
        status |= done.returncode
        said += done.stdout + done.stderr
    for path, page in written.items():
        for name in (str(path), str(path.relative_to(paths.ROOT))):
            said = said.replace(name, str(page.relative_to(paths.ROOT)))
    return status, said


def everything() -> list[Path]:
    """Return all pages."""
    return sorted(paths.CHAPTERS.rglob("*.md"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the pages, or mend their layout."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="by default all that are finished")
    parser.add_argument("--fix", action="store_true", help="write ruff's layout into the pages")
    asked = parser.parse_args(arguments)
    pages = [p.resolve() for p in asked.pages] or everything()
    if not pages:
        return 0
    if asked.fix:
        print("\n".join(str(p.relative_to(paths.ROOT)) for p in pages if fix(p)) or "all in layout")
    status, said = judged(extract(pages))
    wrong = list(misplaced(pages))
    print(said + "".join(f"{line}\n" for line in wrong), end="")
    return 1 if status or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
