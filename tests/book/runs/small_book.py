"""`prunekit` on a book of its own, for tests: ``python -m tests.book.runs.small_book FOLDER ARGUMENTS``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from prunekit.book import paths
from prunekit.book.runs import budget, pace
from prunekit.cli import main

PACE = pace.Pace("a made-up device", dense=1e9, convolutions=1e9, curvature=1e9, matrices=1e9, took=0.0)


def move_to(root: Path) -> None:
    """Let every path of the book be below a folder."""
    for name in ("TOC", "CHAPTERS", "RECORDED", "PLAN"):
        setattr(paths, name, root / getattr(paths, name).name)
    paths.RUNS, paths.UNFINISHED = root / "runs", root / "recording"


if __name__ == "__main__":
    move_to(Path(sys.argv[1]))
    pace.measured = lambda device: PACE  # type: ignore[assignment]
    budget.ENDING = float(os.environ.get("ENDING", budget.ENDING))
    main(sys.argv[2:])
