"""Batches through Dask: a local cluster, and real schedulers and workers that are killed.

The promise is that of the process pool: no published run is lost or run again, a worker's death costs the run it was
at, and whoever repeats the command gets what is missing. In addition no worker publishes a run that is not its own.
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from prunekit.book import paths
from prunekit.book.runs import batch, cluster
from prunekit.book.runs.engines import Choice
from prunekit.book.runs.notebooks import read
from tests.book.runs.clusters import Processes, kill, other_checkout
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

pytest.importorskip("distributed")
SEEDS = int(os.environ.get("PRUNEKIT_TEST_RUNS", "4"))  # 64, by hand: pytest tests/book/runs/test_cluster.py -k sigkill


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Yield a scheduler without workers."""
    processes = Processes(tmp_path).start_scheduler()
    yield processes
    processes.stop()


def grid(notebook: Path, out: Path, *engine: str, seeds: int = SEEDS) -> list[str]:
    values = "seed=" + ",".join(map(str, range(seeds)))
    return ["run", str(notebook), "--grid", values, "--out", str(out), "--engine", "dask", *engine]


def records(out: Path) -> list[dict]:
    return [json.loads(p.read_text()) for p in sorted(out.glob("[0-9a-f]*/run.json"))]


def gated_notebook(path: Path, log: Path, gate: Path) -> Path:
    """Write a notebook that notes its worker's process, and waits for the gate."""
    return write_notebook(
        path,
        f"""
        import os, time
        with open({str(log)!r}, "a") as stream:
            stream.write(f"start {{seed}} {{os.getppid()}}\\n")
        gate = os.path.join({str(gate.parent)!r}, "ga" + "te")  # a file that the code names would be in the key
        while not os.path.exists(gate):
            time.sleep(0.02)
        with open({str(log)!r}, "a") as stream:
            stream.write(f"end {{seed}}\\n")
        """,
    )


def at_work(log: Path) -> dict[str, int]:
    """Return the process of the worker that began each run last."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return {words[1]: int(words[2]) for words in lines if words[0] == "start"}


def complete(out: Path, log: Path, *, seeds: int, repeated: int) -> None:
    """Assert that all runs are there, that at most so many were begun twice, and that nothing is left behind."""
    assert sorted(r["parameters"]["seed"] for r in records(out)) == list(range(seeds))
    assert set(ends(log)) == set(map(str, range(seeds)))
    assert len(starts(log)) <= seeds + repeated, starts(log)
    assert not list(out.glob(".*")), "no partial directory, lock or note"
    assert len(list(csv.DictReader((out / "results.csv").open()))) == seeds


@pytest.fixture
def usual_port_taken() -> Iterator[None]:
    """Hold the port of Dask's dashboard, as another batch on this machine would, unless somebody has it already."""
    with socket.socket() as held:
        with suppress(OSError):
            held.bind(("127.0.0.1", 8787))
            held.listen()
        yield


@pytest.mark.usefixtures("usual_port_taken")
def test_a_local_cluster_has_a_grid_and_its_records_say_where_each_run_was(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    notebook = counting_notebook(tmp_path / "counting.md", log)
    process = begin(*grid(notebook, out, "--workers", "2"))
    below: set = set()
    while process.poll() is None:
        below |= set(descendants(process.pid))
        time.sleep(0.1)
    said = process.stderr.read()
    assert process.returncode == 0, said
    complete(out, log, seeds=SEEDS, repeated=0)
    assert {r["engine"] for r in records(out)} == {"dask"}
    assert {r["worker"] for r in records(out)} <= {"0", "1"}
    assert {r["host"] for r in records(out)} == {os.uname().nodename}
    assert "running seed=0 on worker " in said and f"{SEEDS} of {SEEDS} done" in said
    assert "Traceback" not in said and "distributed" not in said, said
    wait_for(lambda: not alive(list(below)))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_local_cluster_ends_with_its_command(tmp_path: Path, number: int, status: int) -> None:
    log = tmp_path / "log"
    notebook = counting_notebook(tmp_path / "slow.md", log, seconds=600)
    process = begin(*grid(notebook, tmp_path / "out", "--workers", "2"))
    wait_for(lambda: len(starts(log)) == 2)
    below = descendants(process.pid)
    process.send_signal(number)
    assert process.wait(timeout=20) == status
    wait_for(lambda: not alive(below))


def test_a_run_whose_worker_always_dies_is_executed_twice_and_the_others_finish(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    notebook = write_notebook(
        tmp_path / "deadly.md",
        f"""
        import os, signal
        with open({str(log)!r}, "a") as stream:
            stream.write(f"start {{seed}}\\n")
        if seed == 1:
            os.kill(os.getppid(), signal.SIGKILL)
        """,
    )
    done = prunekit(*grid(notebook, out, "--workers", "2", seeds=3))
    assert done.returncode == 1
    assert "WorkerDied" in done.stderr and "2 times" in done.stderr
    assert starts(log).count("1") == 2
    assert sorted(r["parameters"]["seed"] for r in records(out)) == [0, 2]


def survive(processes: Processes, tmp_path: Path, *, worker: bool, client: bool, seeds: int) -> None:
    """Kill a worker, the client, or both while two runs are in flight; the batch must become complete."""
    log, out, gate = tmp_path / "log", tmp_path / "out", tmp_path / "gate"
    notebook = gated_notebook(tmp_path / "gated.md", log, gate)
    pids = {processes.start_worker(name).pid: name for name in ("one", "two")}
    arguments = grid(notebook, out, "--scheduler-file", str(processes.file), seeds=seeds)
    process = begin(*arguments)
    wait_for(lambda: len(at_work(log)) == 2)
    assert set(at_work(log).values()) == set(pids)
    held = set(at_work(log))
    if client:
        kill(process)
    if worker:
        victim, pid = next(iter(at_work(log).items()))
        kill(processes.workers[pids[pid]])
        held -= {victim}
    gate.touch()
    if client:
        wait_for(lambda: held <= {str(r["parameters"]["seed"]) for r in records(out)})  # what they held, they finish
        process = begin(*arguments)
    said = process.communicate(timeout=60 * seeds)[1]
    assert process.returncode == 0, said
    complete(out, log, seeds=seeds, repeated=1 if worker else 0)
    names = {r["worker"] for r in records(out)}
    assert names <= {"one", "two"} and (worker or len(names) == 2)


@pytest.mark.parametrize(("worker", "client"), [(True, False), (False, True), (True, True)])
def test_a_batch_survives_sigkill(processes: Processes, tmp_path: Path, worker: bool, client: bool) -> None:
    survive(processes, tmp_path, worker=worker, client=client, seeds=SEEDS)


def test_a_worker_with_another_library_refuses_and_names_what_differs(processes: Processes, tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    notebook = counting_notebook(tmp_path / "counting.md", log)
    processes.start_worker("foreign", PYTHONPATH=str(other_checkout(tmp_path / "other")))
    done = prunekit(*grid(notebook, out, "--scheduler", processes.address))
    assert done.returncode == 2, done.stderr
    assert re.search(
        r"worker tcp://127.0.0.1:\d+ refuses: the library \(prunekit.book.ledger\): \w+ there, \w+ here", done.stderr
    )
    assert "the pinned versions (another): 1.0 there, none here" in done.stderr
    assert not starts(log) and not list(out.glob(".*"))
    processes.start_worker("own")
    done = prunekit(*grid(notebook, out, "--scheduler", processes.address))
    assert done.returncode == 0, done.stderr
    assert "refuses: the library (prunekit.book.ledger)" in done.stderr  # said, and the other has done the work
    assert {r["worker"] for r in records(out)} == {"own"}
    complete(out, log, seeds=SEEDS, repeated=0)


def test_a_worker_whose_kernels_import_another_library_refuses(processes: Processes, tmp_path: Path) -> None:
    """A worker started in a checkout imports that one; its kernels do not start there."""
    log, out = tmp_path / "log", tmp_path / "out"
    notebook = counting_notebook(tmp_path / "counting.md", log)
    other = other_checkout(tmp_path / "other")
    processes.start_worker("split", folder=paths.ROOT, PYTHONPATH=str(other))
    done = prunekit(*grid(notebook, out, "--scheduler", processes.address))
    assert done.returncode == 2, done.stderr
    assert f"its kernels import prunekit from {other / 'prunekit'}" in done.stderr and not starts(log)


def test_a_batch_of_the_library_ends_when_every_worker_refuses_it(tmp_path: Path) -> None:
    """Nobody watches a progress bar there."""
    notebook = read(counting_notebook(tmp_path / "counting.md", tmp_path / "log"))
    jobs = [batch.job(notebook, {"seed": seed}, tmp_path / "out") for seed in range(2)]
    with cluster.connected(Choice("dask", 1), 1) as engine, ThreadPoolExecutor(1) as waiting:
        engine.inspect(jobs, lambda j: j.name)
        for note in (tmp_path / "out").glob(".batch-*"):
            note.unlink()  # the workers do not see the folder any more
        runs = waiting.submit(batch.run_all, jobs, engine).result(timeout=60)
    assert all("WorkerRefused" in run.error and "it does not see" in run.error for run in runs)
    assert not starts(tmp_path / "log")


def test_a_lost_scheduler_ends_the_command_with_what_is_done(processes: Processes, tmp_path: Path) -> None:
    log, out, gate = tmp_path / "log", tmp_path / "out", tmp_path / "gate"
    notebook = write_notebook(
        tmp_path / "gated.md",
        f"""
        import os, time
        with open({str(log)!r}, "a") as stream:
            stream.write(f"start {{seed}} {{os.getppid()}}\\n")
        gate = os.path.join({str(tmp_path)!r}, "ga" + "te")
        while seed > 0 and not os.path.exists(gate):
            time.sleep(0.02)
        """,
    )
    processes.start_worker("one")
    process = begin(*grid(notebook, out, "--scheduler", processes.address, seeds=3))
    wait_for(lambda: "1" in at_work(log) and len(records(out)) == 1)
    kill(processes.scheduler)
    assert process.wait(timeout=60) == 1
    said = process.stderr.read()
    assert "the scheduler at tcp://" in said and "1 of 3 runs are finished and kept" in said
    assert "repeat the command" in said and "Traceback" not in said
    gate.touch()
    done = prunekit("run", notebook, "--grid", "seed=0,1,2", "--out", out)
    assert done.returncode == 0 and len(records(out)) == 3, done.stderr
    assert starts(log).count("0") == 1 and not list(out.glob(".*"))


def test_a_worker_of_two_threads_executes_one_run_at_a_time(processes: Processes, tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    notebook = counting_notebook(tmp_path / "counting.md", log, seconds=0.3)
    worker = processes.start_worker("wide", threads=2)
    process = begin(*grid(notebook, out, "--scheduler", processes.address, seeds=4))
    most = 0
    while process.poll() is None:
        most = max(most, len(descendants(worker.pid)))  # a worker's children are its kernels
        time.sleep(0.02)
    assert process.returncode == 0, process.stderr.read()
    assert len(starts(log)) == 4 and most == 1


def test_a_detached_batch_is_executed_without_us(processes: Processes, tmp_path: Path) -> None:
    log, out, gate = tmp_path / "log", tmp_path / "out", tmp_path / "gate"
    notebook = gated_notebook(tmp_path / "gated.md", log, gate)
    processes.start_worker("one")
    arguments = grid(notebook, out, "--scheduler", processes.address, seeds=3)
    left = prunekit(*arguments, "--detach")
    assert left.returncode == 0, left.stderr
    assert "left 3 runs" in left.stdout and f"prunekit runs progress {out}" in left.stdout
    wait_for(lambda: bool(starts(log)))
    said = prunekit("runs", "progress", out).stdout
    assert "0 of 3 done" in said and "running seed=0 on one on " in said, said
    assert "no failed run" in prunekit("runs", "retry", out).stdout
    assert prunekit("runs", "clean", out).stdout == "0 removed\n"  # the run in flight and the note are not litter
    assert prunekit("runs", "list", out).stdout == ""
    gate.touch()
    wait_for(lambda: len(records(out)) == 3)
    assert "3 of 3 done" in prunekit("runs", "progress", out).stdout
    done = prunekit(*arguments)
    assert done.returncode == 0, done.stderr
    complete(out, log, seeds=3, repeated=0)
    assert prunekit("runs", "progress", out).stdout == "no batch in flight\n"


def test_two_commands_that_want_one_run_share_it(processes: Processes, tmp_path: Path) -> None:
    log, out, gate = tmp_path / "log", tmp_path / "out", tmp_path / "gate"
    notebook = gated_notebook(tmp_path / "gated.md", log, gate)
    processes.start_worker("one")
    arguments = grid(notebook, out, "--scheduler", processes.address, seeds=2)
    assert prunekit(*arguments, "--detach").returncode == 0
    wait_for(lambda: bool(starts(log)))
    process = begin(*arguments)
    assert "running seed=0 on one on " in process.stderr.readline()  # begun before this command was
    gate.touch()
    assert process.wait(timeout=60) == 0, process.stderr.read()
    complete(out, log, seeds=2, repeated=0)
