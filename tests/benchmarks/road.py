"""``python -m tests.benchmarks.road``: time the README's commands on a fresh clone, from outside, once each.

It clones the last commit into a temporary folder and does there what a newcomer does. The results are kept beside this
file as ``road.json``; ``make test`` is left out unless ``--with-tests`` is given.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from prunekit import paths
from prunekit.runs.execution import commit, device

RESULTS = Path(__file__).with_name("road.json")
PAGE = "chapters/overparameterization/linear-gaussian.md"


def timed(clone: Path, *command: str) -> float:
    """Return the wall time of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, cwd=clone, check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - start, 1)


def edit(path: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise SystemExit(f"{path} does not hold {old!r} any more: choose another text to edit")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def main() -> None:
    """Time every step, print the table, keep it as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(paths.ROOT), str(clone)], check=True)
        seconds = {"install from scratch": timed(clone, "make", ".venv/.ready")}
        seconds["make book, cold"] = timed(clone, "make", "book", "JOBS=2")
        seconds["make book, unchanged"] = timed(clone, "make", "book", "JOBS=2")
        edit(clone / PAGE, "## The idea\n", "## The idea\n\nOne more sentence.\n")
        seconds["make book, one sentence edited"] = timed(clone, "make", "book", "JOBS=2")
        edit(clone / PAGE, "noise_variance = 0.25", "noise_variance = 0.26")
        seconds["make book, one code cell edited"] = timed(clone, "make", "book", "JOBS=2")
        if "--with-tests" in sys.argv:
            subprocess.run(["git", "checkout", "--quiet", "."], cwd=clone, check=True)
            seconds["make test"] = timed(clone, "make", "test")
    record = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit(), "device": device()}
    RESULTS.write_text(json.dumps(record | {"seconds": seconds}, indent=1) + "\n", encoding="utf-8")
    for step, value in seconds.items():
        print(f"{step:34} {value:8.1f} s")


if __name__ == "__main__":
    main()
