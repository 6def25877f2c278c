"""What a Dask worker does with a run: refuse it, or execute it alone.

A worker may run on another machine, from another checkout, with other versions and other data. It computes
itself what the run's key says of these, and refuses a run that it would publish under a key that is not its own. It
executes one run at a time, whatever its number of threads.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prunekit import paths
from prunekit.runs import keys
from prunekit.runs.batch import lost
from prunekit.runs.engines import ATTEMPTS, WorkerDied
from prunekit.runs.execution import Job, Place, at
from prunekit.runs.notebooks import Notebook
from prunekit.runs.store import Run

PAUSE = 1.0  # seconds before a run that this worker does not take is offered again
WORDS = {"library": "the library", "versions": "the pinned versions", "python": "Python", "data": "the data"}

_alone = threading.Lock()
_seen: dict[str, Any] = {}


def topic(folder: Path) -> str:
    """Return the scheduler's topic under which the workers of a store say what they do."""
    return f"prunekit {folder}"


def work(fn: Callable[[Job], Run], job: Job, batch: str, note: str) -> Run:
    """Call ``fn(job)`` as a task of a Dask worker.

    Parameters
    ----------
    fn
        `prunekit.runs.execution.execute`.
    job
        The run wanted.
    batch
        Name under which the scheduler counts this batch's attempts.
    note
        Name of the note that the client left in the store's folder.

    Raises
    ------
    distributed.Reschedule
        If this worker refuses the run or is at another one.
    """
    from distributed import Reschedule, get_worker

    worker = get_worker()
    host, name = socket.gethostname(), str(worker.name)
    event = {"key": job.key, "worker": worker.address, "where": f"{_short(name)} on {host}"}
    reason = refusal(job, note)
    if reason:
        worker.log_event(topic(job.folder), event | {"what": "refused", "reason": reason})
        time.sleep(PAUSE)
        raise Reschedule
    if not _alone.acquire(timeout=PAUSE):
        raise Reschedule
    try:
        attempts = _Attempts(worker, batch, job.key)
        if attempts.count() >= ATTEMPTS:
            return lost(job, WorkerDied())
        attempts.begin()
        worker.log_event(topic(job.folder), event | {"what": "started", "time": time.time()})
        try:
            with at(Place("dask", name)):
                return fn(job)
        finally:
            worker.log_event(topic(job.folder), event | {"what": "ended"})
            attempts.end()
    finally:
        _alone.release()


def _short(name: str) -> str:
    return f"worker {name}" if name.isdigit() else name


class _Attempts:
    """How many workers were lost while they were at a run, as the scheduler remembers it."""

    def __init__(self, worker: Any, batch: str, key: str) -> None:
        self._worker, self._keys = worker, ["prunekit", batch, key]

    def count(self) -> int:
        """Return how many there were so far."""
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
    """Say why this process must not execute a job; an empty string when it may."""
    if not (job.folder / note).is_file():
        return f"it does not see {job.folder}: choose --out on a file system that all workers share"
    import nbformat

    _forget_what_was_edited()
    notebook = Notebook(Path(job.path), job.name, nbformat.reads(job.source, as_version=4), {})
    here = keys.fingerprint_parts(notebook)
    if here == job.parts:
        return "" if keys.run_key(notebook, job.parameters) == job.key else "it computes another key for this notebook"
    return "; ".join(
        _difference(WORDS.get(part, f"the {part} files"), here.get(part), job.parts.get(part))
        for part in {**here, **job.parts}
        if here.get(part) != job.parts.get(part)
    )


def _difference(what: str, here: Any, there: Any) -> str:
    if isinstance(here, dict) and isinstance(there, dict):
        files = sorted(f for f in {**here, **there} if here.get(f) != there.get(f))
        name = f"{what} ({files[0]}" + (f" and {len(files) - 1} more)" if len(files) > 1 else ")")
        return f"{name} differ: {_digest(here.get(files[0]))} there, {_digest(there.get(files[0]))} here"
    return f"{what} differ{'' if what.endswith('s') else 's'}: {_digest(here)} there, {_digest(there)} here"


def _digest(value: Any) -> str:
    if isinstance(value, list):
        return ".".join(map(str, value))
    return str(value)[:8] if value else "none"


def _forget_what_was_edited() -> None:
    """Let the fingerprints be computed anew when a file that they are made from has changed since the last time."""
    files = [*paths.PACKAGE.rglob("*.py"), *([paths.REQUIREMENTS] if paths.REQUIREMENTS.exists() else [])]
    now = {str(f): (s.st_mtime_ns, s.st_size) for f in files for s in [f.stat()]}
    if _seen != now:
        keys.forget()
        _seen.clear()
        _seen.update(now)
