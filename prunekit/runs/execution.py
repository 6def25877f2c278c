"""One run: a notebook executed by papermill in a worker process, and the record of how that went.

Everything here runs in a spawned worker. The kernel is single-threaded, so that the same seed gives the same
numbers however many runs are in flight, and works in the run's partial directory.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import platform
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prunekit import _owners, paths
from prunekit.runs.beside import ChangedFile, brought
from prunekit.runs.keys import installed_versions
from prunekit.runs.notebooks import Parameters
from prunekit.runs.store import NOTEBOOK, Run, Store

SINGLE_THREADED = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@dataclass(frozen=True)
class Job:
    """One run to be had.

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
        What is in the key, as `prunekit.runs.keys.fingerprint_parts` returned it; ``parts["data"]`` has the checksums
        of the data files that the run may read.
    force
        Whether the run is executed although a published one is there, which it then replaces.
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
        ``processes`` (`prunekit.runs.workers`), ``dask`` (`prunekit.runs.cluster`), or ``executor`` for another one.
    worker
        The engine's name of the worker.
    """

    engine: str
    worker: str


_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextlib.contextmanager
def at(place: Place) -> Iterator[None]:
    """Let the records of the runs executed within name `place`."""
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
        with PeakMemory() as memory:
            error, trace = _with_its_files(job, folder)
        record = describe(job, started) | {
            "status": "failed" if error else "finished",
            "wall_time_s": round(time.perf_counter() - clock, 3),
            "cpu_time_s": round(cpu_time() - cpu, 3),
            "peak_memory_bytes": memory.peak,
        }
        if error:
            return job.store.fail(folder, record | {"error": error}, trace, replace=job.force)
        return job.store.publish(folder, record, replace=job.force)


def _with_its_files(job: Job, folder: Path) -> tuple[str, str]:
    """Run the notebook with the files that it names in its front matter; see `_papermill`."""
    try:
        with brought(Path(job.path).parent, job.parts["files"], folder):
            return _papermill(job, folder)
    except (OSError, ChangedFile) as error:
        return _first_line(f"{type(error).__name__}: {error}"), traceback.format_exc()


def cpu_time() -> float:
    """Return the CPU seconds of this process and of its children that have ended, kernels among them."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _papermill(job: Job, folder: Path) -> tuple[str, str]:
    """Run the notebook into `folder`; return the error's last line and its traceback, empty when it finished."""
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    output = folder / NOTEBOOK
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # papermill warns of what `coerce` has already refused
            node = papermill.execute_notebook(
                nbformat.reads(job.source, as_version=4),
                output,
                parameters=job.overrides,
                cwd=folder,
                kernel_name="python3",
                progress_bar=False,
                extra_arguments=["--log-level=50"],  # ipykernel greets and takes leave on stderr
            )
    except PapermillExecutionError as error:
        return _first_line(f"{error.ename}: {error.evalue}"), "\n".join(error.traceback)
    except BaseException as error:  # a dead kernel is no PapermillException; SystemExit must not end the worker
        return _first_line(f"{type(error).__name__}: {error}"), traceback.format_exc()
    return unfinished(node)


def _first_line(text: str, most: int = 300) -> str:
    line = text.strip().splitlines()[0]
    return line if len(line) <= most else line[:most] + "…"


def unfinished(node: Any) -> tuple[str, str]:
    """Say why an executed notebook does not count as finished; two empty strings when it does.

    papermill raises nothing when a cell ends the kernel's work early: the cells after it are then without a count.
    """
    if node.metadata.get("papermill", {}).get("exception"):
        return "NotebookError: papermill noted an exception", "papermill noted an exception and raised none"
    for index, cell in enumerate(node.cells):
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            return (f"NotebookStopped: code cell {index} was never executed",) * 2
    return "", ""


class PeakMemory:
    """The largest resident set of this process's children (the kernel), in bytes, sampled every 50 ms.

    On Linux the system keeps each process's own high-water mark, so only its last 50 ms can be missed. What the
    notebook started and left running is ended with it.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._seen: dict[int, Any] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop sampling."""
        import psutil

        self._stop.set()
        self._thread.join()
        for child in self._seen.values():
            with contextlib.suppress(psutil.Error):
                child.kill()  # psutil knows a process by its start too: a new one of the same number is safe

    def _watch(self) -> None:
        import psutil

        while not self._stop.wait(0.05):
            for child in psutil.Process().children(recursive=True):
                self._seen.setdefault(child.pid, child)
                with contextlib.suppress(psutil.Error, OSError):
                    self.peak = max(self.peak, _high_water(child.pid), child.memory_info().rss)


def _high_water(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def describe(job: Job, started: datetime) -> dict[str, Any]:
    """Return what a run's record says besides its outcome."""
    place = _place.get() or Place("executor", f"process {os.getpid()}")
    return {
        "key": job.key,
        "notebook": job.name,
        "path": _relative(job.path),
        "parameters": job.parameters,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": {"python": platform.python_version(), **installed_versions()},
        "device": device(job.parameters.get("device", "cpu")),
        "data": job.parts["data"],
        "engine": place.engine,
        "host": _owners.host_name(),
        "worker": place.worker,
        "inputs": job.parts,
    }


def _relative(path: str) -> str:
    resolved = Path(path).resolve()
    return str(resolved.relative_to(paths.ROOT) if resolved.is_relative_to(paths.ROOT) else resolved)


def commit() -> str | None:
    """Return the checkout's commit, marked ``+edits`` when files differ from it; None outside a checkout."""
    if not paths.in_checkout():
        return None
    try:
        git = ["git", "-C", str(paths.ROOT)]
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        edits = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+edits" if edits.stdout.strip() else "")


def device(kind: str = "cpu") -> dict[str, Any]:
    """Return what the run computed on; `kind` is the notebook's parameter ``device`` where it has one."""
    return {
        "kind": kind,
        "name": _processor() if kind == "cpu" else _accelerator(),
        "cores": os.cpu_count(),
        "threads": int(SINGLE_THREADED["OMP_NUM_THREADS"]),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _accelerator() -> str:
    """Return the name of the first CUDA device; a run that asked for one where there is none has failed."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
