"""Batches that are killed for real: with SIGKILL at random moments, by Ctrl-C, and worker by worker.

The promise: no published run is lost or run again, at most the runs in flight are repeated, nothing half-written is
taken as done, and no process is left behind.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.book.runs.helpers import (
    alive,
    begin,
    counting_notebook,
    descendants,
    ends,
    prunekit,
    starts,
    wait_for,
    write_notebook,
)

WORKERS, SEEDS = 2, 4


def published(out: Path) -> set[str]:
    return {p.parent.name for p in out.glob("[0-9a-f]*/run.json")}


def arguments(notebook: Path, out: Path) -> list[str]:
    grid = "seed=" + ",".join(map(str, range(SEEDS)))
    return ["run", str(notebook), "--grid", grid, "--workers", str(WORKERS), "--out", str(out)]


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return counting_notebook(tmp_path / "counting.md", tmp_path / "log", seconds=0.2)


def kill_tree(process) -> list:
    """SIGKILL the batch's own process only, and return what it had below it."""
    below = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return below


@pytest.mark.parametrize("attempt", range(4))
def test_sigkill_at_random_moments_and_repeated_completes(notebook: Path, tmp_path: Path, attempt: int) -> None:
    log, out, moments = tmp_path / "log", tmp_path / "out", random.Random(attempt)
    kills = 0
    for _ in range(3):
        process = begin(*arguments(notebook, out))
        below = []
        limit = time.monotonic() + moments.uniform(0.3, 3.5)
        while time.monotonic() < limit and process.poll() is None:
            below = descendants(process.pid) or below
            time.sleep(0.02)
        if process.poll() is None:
            below += kill_tree(process)
            kills += 1
        wait_for(lambda below=below: not alive(below))  # no orphan is left to run on
        for folder in published(out):  # whatever is published is whole
            assert json.loads((out / folder / "run.json").read_text())["status"] == "finished"
    before = published(out)
    stamps = {key: (out / key / "run.json").stat().st_mtime_ns for key in before}
    done = prunekit(*arguments(notebook, out))
    assert done.returncode == 0, done.stderr
    assert before <= published(out) and len(published(out)) == SEEDS
    assert stamps == {key: (out / key / "run.json").stat().st_mtime_ns for key in before}
    assert len(starts(log)) <= SEEDS + kills * WORKERS  # at most the runs in flight were repeated
    assert set(ends(log)) == set(map(str, range(SEEDS)))
    assert not list(out.glob(".*"))  # no partial directory, lock or draft
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert [row["double"] for row in rows] == [str(2 * s) for s in range(SEEDS)]


def test_a_published_run_is_never_run_again(notebook: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        assert prunekit(*arguments(notebook, out)).returncode == 0
    assert sorted(starts(tmp_path / "log")) == list(map(str, range(SEEDS)))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_ends_at_once_with_its_status(tmp_path: Path, number: int, status: int) -> None:
    log = tmp_path / "log"
    notebook = counting_notebook(tmp_path / "slow.md", log, seconds=600)
    process = begin(*arguments(notebook, tmp_path / "out"))
    wait_for(lambda: len(starts(log)) == WORKERS)
    below = descendants(process.pid)
    os.killpg(process.pid, number)  # as a terminal does: to the whole foreground group
    assert process.wait(timeout=20) == status  # the notebooks would sleep ten minutes
    assert "repeat the command" in process.stderr.read()
    wait_for(lambda: not alive(below))
    assert not published(tmp_path / "out")


def test_a_killed_worker_costs_only_its_own_run(tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    notebook = write_notebook(
        tmp_path / "gated.md",
        f"""
        import os, time
        with open({str(log)!r}, "a") as stream:
            stream.write(f"start {{seed}} {{os.getppid()}}\\n")
        while not os.path.exists({str(gate)!r}):
            time.sleep(0.02)
        """,
    )
    process = begin("run", notebook, "--grid", "seed=0,1", "--workers", "2", "--out", tmp_path / "out")
    wait_for(lambda: len(starts(log)) == 2)
    victim, worker = log.read_text().splitlines()[0].split()[1:]
    os.kill(int(worker), signal.SIGKILL)
    wait_for(lambda: len(starts(log)) == 3)  # the victim starts again, the other goes on
    gate.touch()
    assert process.wait(timeout=60) == 0, process.stderr.read()
    assert sorted(starts(log)) == sorted(["0", "1", victim])


def test_a_run_whose_worker_always_dies_fails_and_the_others_finish(tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "deadly.md", "import os, signal\nif seed == 1: os.kill(os.getppid(), signal.SIGKILL)"
    )
    done = prunekit("run", notebook, "--grid", "seed=0,1,2", "--workers", "2", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "WorkerDied" in done.stderr
    assert len(published(tmp_path / "out")) == 2
    failed = list((tmp_path / "out" / "failed").glob("*/run.json"))
    assert [json.loads(f.read_text())["parameters"]["seed"] for f in failed] == [1]


def test_a_killed_kernel_is_a_failure_not_a_finished_run(tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "kernel.md", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "x = 1"
    )
    done = prunekit("run", notebook, "--out", tmp_path / "out")
    assert done.returncode == 1 and "SIGKILL in code cell 2" in done.stderr
    assert not published(tmp_path / "out")


def test_two_batches_at_once_run_each_key_once(notebook: Path, tmp_path: Path) -> None:
    both = [begin(*arguments(notebook, tmp_path / "out")) for _ in range(2)]
    assert [p.wait(timeout=120) for p in both] == [0, 0]
    assert sorted(starts(tmp_path / "log")) == list(map(str, range(SEEDS)))
