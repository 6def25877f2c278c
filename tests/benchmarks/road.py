"""``python -m tests.benchmarks.road``: time the README's commands on a fresh clone, from outside, once each.

It clones the last commit into a temporary folder and does there what a newcomer does. The results are kept beside this
file as ``road.json``, and what each page cost, from the same runs, as ``make costs`` keeps it. With step names as
arguments, such as ``"make book, unchanged"``, only these are timed (after an install); the other results stay as they
were, each with the commit that it is of.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prunekit._system import files
from prunekit.book import paths
from prunekit.book.runs.execution import checkout_commit, device

RESULTS = Path(__file__).with_name("road.json")
INSTALL = "install from scratch, uv"
BOOK = "make book, cold, on every core"
TEST = "make test, the whole suite"
FIRST = re.compile(r"\d+ of \d+ pages can be read")  # as a build says it, not as it says at the start that it will
PAGE = "chapters/overparameterization/linear-gaussian.md"


def timed(clone: Path, *command: str, **variables: str) -> float:
    """Return the wall time of a command that must succeed, with some environment variables set."""
    start = time.perf_counter()
    subprocess.run(command, cwd=clone, check=True, stdout=subprocess.DEVNULL, env=os.environ | variables)
    return round(time.perf_counter() - start, 1)


def installed(clone: Path, *settings: str) -> float:
    """Return the wall time of making the environment with nothing in any cache."""
    shutil.rmtree(clone / ".venv", ignore_errors=True)
    with tempfile.TemporaryDirectory() as cache:
        return timed(clone, "make", ".venv/.ready", *settings, UV_CACHE_DIR=cache, PIP_NO_CACHE_DIR="1")


def cold_book(clone: Path) -> dict[str, float]:
    """Return when the first page of a new book can be read, and when the whole book can."""
    start, first = time.perf_counter(), None
    command = ["make", "book"]
    with subprocess.Popen(
        command, cwd=clone, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as build:
        for line in build.stdout or ():
            if first is None and FIRST.search(line):
                first = round(time.perf_counter() - start, 1)
    if build.returncode:
        raise subprocess.CalledProcessError(build.returncode, command)
    whole = round(time.perf_counter() - start, 1)
    return {"make book, cold, until the first page can be read": first or whole, BOOK: whole}


def keep_costs(clone: Path) -> None:
    """Take over what the pages cost in the clone: at laptop scale in its book, at smoke scale in its tests."""
    subprocess.run(["make", "costs"], cwd=clone, check=True)
    shutil.copy(clone / "book" / "costs.json", paths.COSTS)


def edit(path: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise SystemExit(f"{path} does not hold {old!r} any more: choose another text to edit")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def steps(clone: Path) -> Iterator[tuple[str, Callable[[], float | dict[str, float]]]]:
    """Yield what a newcomer does, by name, each to be called before the next is asked for."""
    book = partial(timed, clone, "make", "book")
    yield "install from scratch, pip alone", partial(installed, clone, "UV=false")
    yield INSTALL, partial(installed, clone)
    yield BOOK, partial(cold_book, clone)
    yield "make book, unchanged", book
    edit(clone / PAGE, "## The idea\n", "## The idea\n\nOne more sentence.\n")
    yield "make book, one sentence edited", book
    edit(clone / PAGE, "noise_variance = 0.25", "noise_variance = 0.26")
    yield "make book, one code cell edited", book
    subprocess.run(["git", "checkout", "--quiet", "."], cwd=clone, check=True)
    yield TEST, partial(timed, clone, "make", "test", CI="true")


def _earlier(before: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return when, and at which commit, each step of a record was timed."""
    own = {"measured": before.get("measured", ""), "commit": before.get("commit", "")}
    return {step: before.get("earlier", {}).get(step, own) for step in before["seconds"]}


def main(*only: str) -> None:
    """Time the steps, print them, keep them as JSON."""
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() and only else {"seconds": {}}
    unknown = [step for step in only if step not in before["seconds"]]
    if unknown:
        raise SystemExit(
            f"there is no step {unknown[0]!r}: give some of {', '.join(before['seconds'])}, or none for all"
        )
    kept, earlier = before["seconds"], _earlier(before)
    commit, began = checkout_commit()[0], datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(paths.ROOT), str(clone)], check=True)
        for step, run in steps(clone):
            if only and step not in only and step != INSTALL:
                continue
            found = run()
            found = found if isinstance(found, dict) else {step: found}
            kept |= found
            earlier = {name: when for name, when in earlier.items() if name not in found}
            for name, seconds in found.items():
                print(f"{name:52} {seconds:8.1f} s", flush=True)
            record = {"measured": began, "commit": commit, "device": device(), "seconds": kept}
            record |= {"earlier": earlier} if earlier else {}
            files.write(RESULTS, json.dumps(record, indent=1) + "\n")  # after each: the steps take an hour
            if step == TEST and not only:
                keep_costs(clone)


if __name__ == "__main__":
    main(*sys.argv[1:])
