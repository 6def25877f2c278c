"""Two hosts on one folder whose locks do nothing, are refused, or are each host's own, killed at random."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from prunekit._system import locks
from prunekit.book.runs.store import Run, Store, load, remove
from tests.book.runs.helpers import begin, counting_notebook, ends
from tests.book.runs.test_store import RECORD

KEYS = [f"{n:016x}" for n in range(12)]
FORK = multiprocessing.get_context("fork")


def work(folder: Path, host: str, flock: Any, seed: int) -> None:
    """Do as a batch does: publish what is missing, in pieces, and clean up after the dead."""
    os.environ["PRUNEKIT_HOST"] = host
    locks.fcntl.flock = flock
    store, chance = Store(folder), random.Random(seed)
    for key in chance.sample(KEYS, len(KEYS)):
        with store.partial(key) as partial:
            if store.finished(key):
                continue
            for piece in range(4):
                with (partial / "notebook.ipynb").open("a") as stream:
                    stream.write(f"{host} {os.getpid()} {piece} ")
                time.sleep(chance.uniform(0, 0.004))
            if chance.random() < 0.2:
                store.fail(partial, RECORD | {"key": key, "status": "failed"}, "by chance")
            else:
                store.publish(partial, RECORD | {"key": key})
        for left in store.leftovers():
            remove(left)


def nothing(*_: object) -> None:
    """Lock nothing."""


def refusing(number: int) -> Any:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def look(folder: Path, whole: dict[str, dict[str, Any]]) -> None:
    """See that what is published is whole, of one process, and as it was before."""
    for key in KEYS:
        if (folder / key).exists():
            run = load(folder / key)
            assert isinstance(run, Run) and run.finished, run
            assert len((run.folder / "notebook.ipynb").read_text().split()) == 12  # four pieces
            assert whole.setdefault(key, run.record) == run.record


def kill_some(processes: list[Any], chance: random.Random) -> int:
    """Let processes run for a moment, kill those that still do, and return how many."""
    for process in processes:
        process.join(chance.uniform(0, 0.05))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    return join(processes)


def join(processes: list[Any]) -> int:
    """Wait for processes, which end well or killed, and return how many were killed."""
    for process in processes:
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), "a living process's partial directory was taken from it"
    return sum(process.exitcode != 0 for process in processes)


LOCKS = {
    "nothing": nothing,
    "ENOSYS": refusing(errno.ENOSYS),
    "ENOLCK": refusing(errno.ENOLCK),
    "working": locks.fcntl.flock,
}


@pytest.mark.parametrize("locks", LOCKS)
def test_two_hosts_killed_at_random_lose_and_break_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: str
) -> None:
    folder, chance = tmp_path / "runs", random.Random()
    whole: dict[str, dict[str, Any]] = {}

    def both(seed: int) -> list[Any]:
        hosts = [FORK.Process(target=work, args=(folder, h, LOCKS[locks], 2 * seed + n)) for n, h in enumerate("ab")]
        for process in hosts:
            process.start()
        return hosts

    kills = 0
    for seed in range(30):
        kills += kill_some(both(seed), chance)
        look(folder, whole)
    for seed in range(30, 40):  # what failed by chance comes again
        join(both(seed))
        look(folder, whole)
    assert kills and set(whole) == set(KEYS)
    kept, damaged = Store(folder).kept()
    assert not damaged and {r.key for r in kept if r.finished} == set(KEYS)
    for host in "ab":  # each host's dead are told by that host
        monkeypatch.setenv("PRUNEKIT_HOST", host)
        for left in Store(folder).leftovers():
            remove(left)
    assert [p.name for p in folder.rglob(".*")] == []


def test_two_batches_on_two_hosts_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command itself, its workers too: both end well, with one table, and leave nothing behind."""
    (tmp_path / "sitecustomize.py").write_text("import fcntl\nfcntl.flock = lambda *_: None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    log, out = tmp_path / "log", tmp_path / "out"
    notebook = counting_notebook(tmp_path / "counting.md", log, seconds=0.2)
    both = []
    for host in ("a", "b"):
        monkeypatch.setenv("PRUNEKIT_HOST", host)
        both.append(begin("run", notebook, "--grid", "seed=0,1", "--out", out))
    assert [p.wait(timeout=300) for p in both] == [0, 0], [p.stderr.read() for p in both]
    kept, damaged = Store(out).kept()
    assert len(kept) == 2 and not damaged and set(ends(log)) == {"0", "1"}
    assert {r.record["host"] for r in kept} <= {"a", "b"}
    assert not list(out.glob(".*"))
    assert len((out / "results.csv").read_text().splitlines()) == 3
