"""One run: a notebook executed in a kernel of its own, and the record of how that went.

Everything here runs in a worker process. The kernel is single-threaded, so that the same seed gives the same numbers
however many runs are in flight, and works in the run's partial directory.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prunekit.book import paths
from prunekit.book.runs import tags
from prunekit.book.runs.beside import brought
from prunekit.book.runs.failures import RunFailed, one_line, place
from prunekit.book.runs.kernel import SINGLE_THREADED, kernel
from prunekit.book.runs.keys import installed_versions
from prunekit.book.runs.notebooks import Parameters
from prunekit.book.runs.store import NOTEBOOK, Run, Store


@dataclass(frozen=True)
class Job:
    """One run that is wanted.

    Attributes
    ----------
    name, path
        The notebook's name and where it was read.
    source
        The notebook as JSON, as it was when the key was computed: an edit meanwhile changes nothing.
    parameters
        Every parameter of the run.
    overrides
        Those among them that differ from the notebook's defaults.
    key
        The content address of the run.
    folder
        The store's folder.
    parts
        What is in the key, as `prunekit.book.runs.keys.fingerprint_parts` returned it; ``parts["data"]`` has the
        checksums of the data files that the run may read.
    force
        Whether the run is executed although a published one is there, which it then replaces.
    timeout, cell_timeout
        Seconds that the run and each of its cells may take, or None. They are in no key: a finished run kept within
        them.
    """

    name: str
    path: str
    source: str
    parameters: Parameters
    overrides: Parameters
    key: str
    folder: Path
    parts: dict[str, Any]
    force: bool = False
    timeout: float | None = None
    cell_timeout: float | None = None

    @property
    def store(self) -> Store:
        """The store that the run belongs to."""
        return Store(self.folder)


@dataclass(frozen=True)
class Place:
    """Where a run is executed, for its record.

    Attributes
    ----------
    engine
        ``processes`` (`prunekit.book.runs.workers`), ``dask`` (`prunekit.book.runs.cluster`), or ``executor`` for
        another one.
    worker
        The engine's name of the worker.
    """

    engine: str
    worker: str


_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextlib.contextmanager
def at(place: Place) -> Iterator[None]:
    """Let the records of the runs that are executed inside the block name `place`."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def prepare_worker(name: str) -> None:
    """Make this process end with its parent, leave Ctrl-C to the parent, and keep kernels single-threaded."""
    _place.set(Place("processes", name))
    os.environ.update(SINGLE_THREADED)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    import psutil

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(1)


def execute(job: Job) -> Run:
    """Execute one notebook, or return its published run if another process was faster.

    Returns
    -------
    Run
        Finished or failed; a failing notebook raises nothing here.
    """
    with job.store.partial(job.key) as folder:
        published = None if job.force else job.store.finished(job.key)
        if published:
            return published
        started, clock, cpu = datetime.now(UTC), time.perf_counter(), cpu_time()
        done = perform(job, folder)
        record = describe(job, started, done.facts) | {
            "status": "failed" if done.error else "finished",
            "wall_time_s": round(time.perf_counter() - clock, 3),
            "cpu_time_s": round(cpu_time() - cpu, 3),
            "peak_memory_bytes": done.peak,
        }
        if done.error:
            return job.store.fail(folder, record | {"error": done.error}, done.trace, replace=job.force)
        return job.store.publish(folder, record, replace=job.force)


def cpu_time() -> float:
    """Return the CPU seconds of this process and of its children that have ended, kernels among them."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@dataclass(frozen=True)
class Done:
    """How an execution ended.

    Attributes
    ----------
    error, trace
        One sentence and its details; both are empty when the notebook finished.
    facts
        What the kernel said of itself (`prunekit.book.runs.launcher.facts`); empty where it did not live to say it.
    peak
        The largest resident set of a process of the run, in bytes; 0 where the kernel died before it could be seen.
    """

    error: str = ""
    trace: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    peak: int = 0


def perform(job: Job, folder: Path) -> Done:
    """Execute the job's notebook into `folder`, and end whatever its kernel started."""
    from prunekit.book.runs.client import Client, Limits, Saved

    error, trace, facts, peak = "", "", {}, 0
    try:
        node = _parameterized(job)
        saved = Saved(node, folder / NOTEBOOK)
        limits = Limits(job.timeout, job.cell_timeout)
        beside = Path(job.path).absolute().parent
        with brought(beside, job.parts["files"], folder), kernel() as own:
            client = Client(saved, own, limits, tags.directives(node), beside, [*installed_versions()])
            try:
                client.run(folder)
                error = trace = unfinished(node)
            finally:
                facts = client.facts
        peak = max(own.peak, facts.get("peak_memory_bytes", 0))
    except RunFailed as failure:
        error, trace, peak = failure.error, failure.details, own.peak
    except BaseException as failure:  # SystemExit must not end the worker
        error, trace = one_line(f"{type(failure).__name__}: {failure}"), traceback.format_exc()
    return Done(error, trace, facts, peak)


def _parameterized(job: Job) -> Any:
    """Return the job's notebook with a cell that sets what differs from its defaults."""
    import nbformat
    from papermill.parameterize import parameterize_notebook

    node = nbformat.reads(job.source, as_version=4)
    node.metadata["papermill"] = nbformat.from_dict({"parameters": {}})
    for cell in node.cells:
        cell.metadata.setdefault("tags", [])  # papermill asks every cell for them
    if job.overrides:
        node = parameterize_notebook(node, job.overrides, kernel_name="python3", language="python")
        for cell in node.cells:
            if tags.has(cell, tags.INJECTED):
                cell["id"] = tags.INJECTED
    return node


def unfinished(node: Any) -> str:
    """Say why an executed notebook does not count as finished; an empty string when it does."""
    for index, cell in enumerate(node.cells):
        if cell.cell_type == "code" and not tags.skipped(cell) and cell.execution_count is None:
            return f"NotebookStopped: {place(node.cells, index)} was never executed"
    return ""


def describe(job: Job, started: datetime, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a run's record says besides its outcome, and besides its host and process, which its store adds.

    Parameters
    ----------
    job, started
        The run and when it began.
    facts
        What its kernel said; where it said nothing, this process answers for it, which runs the same interpreter.
    """
    said = facts or {}
    commit, why = checkout_commit()
    at_work = _place.get() or Place("executor", f"process {os.getpid()}")
    return {
        "key": job.key,
        "notebook": job.name,
        "path": _relative(job.path),
        "parameters": job.parameters,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        **({"no_commit": why} if why else {}),
        "versions": said.get("versions") or {"python": platform.python_version(), **installed_versions()},
        "device": device(job.parameters.get("device", "cpu"), said),
        "data": job.parts["data"],
        "modules": said.get("modules", []),
        "engine": at_work.engine,
        "worker": at_work.worker,
        "inputs": job.parts,
    }


def _relative(path: str) -> str:
    resolved = Path(path).resolve()
    return str(resolved.relative_to(paths.ROOT) if resolved.is_relative_to(paths.ROOT) else resolved)


def checkout_commit() -> tuple[str | None, str]:
    """Return the checkout's commit, marked ``+edits`` when files differ from it, or None and why there is none.

    git refuses a checkout that another user owns, for what its configuration could start; a user who
    runs the checkout's own code trusts it already, so these read-only questions are asked all the same.
    """
    if not paths.in_checkout():
        return None, "not in a checkout"
    git = ["git", "-c", f"safe.directory={paths.ROOT}", "-c", "core.fsmonitor=false", "-C", str(paths.ROOT)]
    if shutil.which("git") is None:
        return None, "git is not installed"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}  # a hook's variables name its repository
    clean |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}  # no lock file in a checkout that cannot be written
    answers = []
    for question in (["rev-parse", "--show-toplevel"], ["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain"]):
        try:
            done = subprocess.run([*git, *question], capture_output=True, text=True, check=False, env=clean)
        except OSError as error:
            return None, f"git cannot be run: {error.strerror}"
        if done.returncode:
            return None, one_line(f"git says: {done.stderr or done.returncode}")
        answers.append(done.stdout.strip())
    top, head, edits = answers
    if Path(top).resolve() != paths.ROOT.resolve():  # an unpacked archive inside somebody's repository
        return None, "not in a checkout"
    return head + ("+edits" if edits else ""), ""


def device(kind: str = "cpu", said: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what the run computed on.

    Parameters
    ----------
    kind
        The notebook's parameter ``device`` where it has one.
    said
        What the kernel said: its threads, and its accelerator's name.
    """
    said = said or {}
    return {
        "kind": kind,
        "name": _processor() if kind == "cpu" else said.get("accelerator") or "no CUDA device",
        "cores": os.cpu_count(),
        "threads": said.get("threads", int(SINGLE_THREADED["OMP_NUM_THREADS"])),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
