"""What a Dask worker does with a run: refuse it, or execute it alone.

A worker may run on another machine, from another checkout, with other versions and other data. It computes
itself what the run's key says of these, and refuses a run that it would publish under a key that is not its own. It
executes one run at a time, whatever its number of threads.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prunekit._system import owners
from prunekit.book import paths
from prunekit.book.runs import keys, schedulers
from prunekit.book.runs.batch import lost
from prunekit.book.runs.engines import ATTEMPTS, WorkerDied
from prunekit.book.runs.execution import Job, Place, at
from prunekit.book.runs.notebooks import Notebook, Refused
from prunekit.book.runs.store import Run

PAUSE = 1.0  # seconds before a run that this worker does not take is offered again
WORDS = {
    "library": "the library",
    "versions": "the pinned versions",
    "python": "Python",
    "data": "the data",
    "files": "the files beside the notebook",
    "recorded": "the recordings",
}

_alone = threading.Lock()


def work(fn: Callable[[Job], Run], job: Job, batch: str, note: str) -> Run:
    """Call ``fn(job)`` as a task of a Dask worker.

    Parameters
    ----------
    fn
        The function to call, which is `prunekit.book.runs.execution.execute`.
    job
        The run that is wanted.
    batch
        Name under which the scheduler counts this batch's attempts.
    note
        Name of the note that the client left in the store's folder.

    Raises
    ------
    distributed.Reschedule
        If this worker refuses the run or is executing another one.
    """
    from distributed import Reschedule, get_worker

    worker = get_worker()
    host, name = owners.host_name(), str(worker.name)
    event = {"key": job.key, "worker": worker.address, "where": f"{_short(name)} on {host}"}
    reason = refusal(job, note)
    if reason:
        worker.log_event(schedulers.topic_of(job.folder), event | {"what": "refused", "reason": reason})
        _step_aside(worker)
        raise Reschedule
    if not _alone.acquire(timeout=PAUSE):
        raise Reschedule
    try:
        attempts = _Attempts(worker, batch, job.key)
        if attempts.count() >= ATTEMPTS:
            return lost(job, WorkerDied())
        attempts.begin()
        worker.log_event(schedulers.topic_of(job.folder), event | {"what": "started", "time": time.time()})
        try:
            with at(Place("dask", name)):
                return fn(job)
        finally:
            worker.log_event(schedulers.topic_of(job.folder), event | {"what": "ended"})
            attempts.end()
    finally:
        _alone.release()


def _step_aside(worker: Any) -> None:
    """Take no task for a moment, so that the scheduler gives the one that we refuse to another worker."""
    from distributed.core import Status
    from distributed.utils import sync

    def resume() -> None:
        if worker.status == Status.paused:
            worker.status = Status.running

    async def pause() -> None:
        if worker.status == Status.running:
            worker.status = Status.paused
            worker.loop.call_later(PAUSE, resume)

    time.sleep(PAUSE / 10)  # a worker that has much memory in use wakes itself up at once
    sync(worker.loop, pause)


def _short(name: str) -> str:
    return f"worker {name}" if name.isdigit() else name


class _Attempts:
    """How many workers were lost while they executed a run, as the scheduler remembers it."""

    def __init__(self, worker: Any, batch: str, key: str) -> None:
        self._worker, self._keys = worker, ["prunekit", batch, key]

    def count(self) -> int:
        """Return how many workers were lost so far."""
        return int(self._ask("get_metadata", default=0))

    def begin(self) -> None:
        """Count one more; a run that ends takes it back."""
        self._ask("set_metadata", value=self.count() + 1)

    def end(self) -> None:
        """Forget them: the run ended by itself."""
        self._ask("set_metadata", value=0)

    def _ask(self, what: str, **values: Any) -> Any:
        from distributed.utils import sync

        return sync(self._worker.loop, getattr(self._worker.scheduler, what), keys=self._keys, **values)


def check(jobs: list[Job], notes: dict[Path, str]) -> dict[str, str]:
    """Return what this worker refuses, by key, and why."""
    reasons = {job.key: refusal(job, notes[job.folder]) for job in jobs}
    return {key: reason for key, reason in reasons.items() if reason}


def refusal(job: Job, note: str) -> str:
    """Say why this process must not execute a job; an empty string when it may.

    The files that the code names are not compared: it may be the batch's own runs that write them, which the key
    cannot always tell, and then every worker would refuse what is left of a grid after its first run.
    """
    if not (job.folder / note).is_file():
        return f"it does not see {job.folder}: choose --out on a file system that all workers share"
    import nbformat

    notebook = Notebook(Path(job.path), job.name, nbformat.reads(job.source, as_version=4), {})
    try:
        here = keys.fingerprint_parts(notebook, job.parameters)
    except Refused as error:
        return str(error)
    compared = [part for part in {**here, **job.parts} if part != "named"]
    differing = [part for part in compared if here.get(part) != job.parts.get(part)]
    if differing:
        return "; ".join(_difference(WORDS.get(p, p), here.get(p), job.parts.get(p)) for p in differing)
    imported = kernels_package()
    if imported != paths.PACKAGE:
        return f"its kernels import prunekit from {imported}, and it is itself from {paths.PACKAGE}"
    return ""


@functools.cache
def kernels_package() -> Path:
    """Return the folder from which a kernel imports prunekit.

    It differs from ours where this process found prunekit in its working directory.
    """
    code = "import importlib.util; print(importlib.util.find_spec('prunekit').origin)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()).resolve().parent


def _difference(what: str, here: Any, there: Any) -> str:
    """Name a part of a key that differs, with both values: this worker's and the job's."""
    if isinstance(here, dict) and isinstance(there, dict):
        names = sorted(name for name in {**here, **there} if here.get(name) != there.get(name))
        what += f" ({names[0]}" + (f" and {len(names) - 1} more)" if len(names) > 1 else ")")
        here, there = here.get(names[0]), there.get(names[0])
    return f"{what}: {_digest(here)} there, {_digest(there)} here"


def _digest(value: Any) -> str:
    if isinstance(value, list):
        return ".".join(map(str, value))
    return str(value)[:12] if value else "none"
