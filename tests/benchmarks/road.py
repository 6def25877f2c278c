"""``python -m tests.benchmarks.road``: time the README's commands on a fresh clone, from outside, once each.

It clones the last commit into a temporary folder and does there what a newcomer does. The results are kept beside this
file as ``road.json``. With step names as arguments, such as ``"make book, unchanged"``, only these are timed (after an
install), and the other results stay as they were.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
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


def steps(clone: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """Yield what a newcomer does, by name, each to be called before the next is asked for."""
    book = partial(timed, clone, "make", "book", "JOBS=2")
    yield "install from scratch", partial(timed, clone, "make", ".venv/.ready")
    yield "make book, cold (JOBS=2)", book
    yield "make book, unchanged", book
    edit(clone / PAGE, "## The idea\n", "## The idea\n\nOne more sentence.\n")
    yield "make book, one sentence edited", book
    edit(clone / PAGE, "noise_variance = 0.25", "noise_variance = 0.26")
    yield "make book, one code cell edited", book
    subprocess.run(["git", "checkout", "--quiet", "."], cwd=clone, check=True)
    shutil.rmtree(clone / ".venv")
    yield "bash .ci/run, install and whole suite", partial(timed, clone, "bash", ".ci/run")


def main(*only: str) -> None:
    """Time the steps, print them, keep them as JSON."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["seconds"] if RESULTS.exists() and only else {}
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(paths.ROOT), str(clone)], check=True)
        for step, run in steps(clone):
            if not only or step in only or step.startswith("install"):
                kept[step] = run()
                print(f"{step:34} {kept[step]:8.1f} s", flush=True)
    record = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit(), "device": device()}
    RESULTS.write_text(json.dumps(record | {"seconds": kept}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
