"""Many runs: a grid of one notebook's parameters, or all pages of the book, by one mechanism.

A batch is resumed by asking for it again: what is published is not run again, but what failed
or was in flight is.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from prunekit._system import files
from prunekit.book import ledger
from prunekit.book.runs.engines import ATTEMPTS, EngineLost, WorkerDied
from prunekit.book.runs.execution import Job, describe, execute
from prunekit.book.runs.keys import address, fingerprint_parts
from prunekit.book.runs.notebooks import RESERVED, Notebook, Refused, coerce
from prunekit.book.runs.store import Run, Store, remove

Progress = Callable[[Sequence[tuple[Job, str]], Job | None, Run | None], None]


def job(notebook: Notebook, given: Mapping[str, Any], folder: Path, *, force: bool = False) -> Job:
    """Make the job of one run; with `force` it is executed although it is there.

    Raises
    ------
    Refused
        If `given` names a parameter that the notebook lacks or a value of another type.
    """
    import nbformat

    parameters = coerce(notebook, given)
    parts = fingerprint_parts(notebook, parameters)
    return Job(
        name=notebook.name,
        path=str(notebook.path.absolute()),
        source=nbformat.writes(notebook.node),
        parameters=parameters,
        overrides={k: v for k, v in parameters.items() if repr(v) != repr(notebook.defaults[k])},
        key=address(parts),
        folder=folder.resolve(),
        parts=parts,
        force=force,
    )


def combinations(fixed: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the grid's values, the last axis running fastest."""
    return [{**fixed, **dict(zip(grid, values, strict=True))} for values in itertools.product(*grid.values())]


def run_all(jobs: Iterable[Job], executor: Executor, progress: Progress | None = None) -> list[Run]:
    """Return every job's run, and execute those that are not published yet.

    Parameters
    ----------
    jobs
        The runs that are wanted; equal keys are executed once.
    executor
        Anything that offers the interface of `concurrent.futures.Executor`; see `prunekit.book.runs.engines`.
    progress
        Called with the jobs now running and their workers' names, and with a job and its run when one ends.

    Returns
    -------
    list of Run
        One run for each job, in order, finished or failed.

    Raises
    ------
    EngineLost
        If nothing can be executed any more; what has ended is kept.
    Refused
        If there is something to execute and the store's folder cannot be written.
    """
    jobs = list(jobs)
    wanted = {j.key: (j, None if j.force else j.store.finished(j.key)) for j in {j.key: j for j in jobs}.values()}
    _prepare([one for one, published in wanted.values() if not published])
    runs: dict[str, Run] = {}
    waiting: dict[Future[Run], tuple[Job, int]] = {}
    for one, published in wanted.values():
        if published:
            runs[one.key] = published
            _tell(progress, executor, waiting, one, published)
        else:
            waiting[executor.submit(execute, one)] = (one, 1)
    while waiting:
        done, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            one, attempt = waiting.pop(future)
            error = future.exception()
            if isinstance(error, EngineLost):
                raise error
            if isinstance(error, (BrokenProcessPool, WorkerDied)) and attempt < ATTEMPTS:
                waiting[executor.submit(execute, one)] = (one, attempt + 1)
                continue
            runs[one.key] = future.result() if error is None else lost(one, error)
            _tell(progress, executor, waiting, one, runs[one.key])
        _tell(progress, executor, waiting)
    for store in {j.folder: j.store for j in jobs}.values():
        with suppress(OSError):  # another process cleans up too, or the folder is not ours to clean
            for path in store.leftovers():  # what killed runs left, some of them before their last line
                remove(path)
    return [runs[j.key] for j in jobs]


def _prepare(missing: Sequence[Job]) -> None:
    """See that the stores take what is to be executed, and name what is executed because it is damaged."""
    for folder in dict.fromkeys(one.folder for one in missing):
        try:
            Store(folder).prepare()
        except OSError as error:
            raise Refused(f"{folder} takes no runs ({error.strerror}): name another folder, or mend it") from None
    for one in missing:
        why = one.store.damage(one.key)
        if why:
            print(f"run {one.key} of {one.name} is damaged ({why}): executed again", file=sys.stderr, flush=True)


def _tell(
    progress: Progress | None,
    executor: Executor,
    waiting: Mapping[Future[Run], tuple[Job, int]],
    one: Job | None = None,
    run: Run | None = None,
) -> None:
    if progress:
        where = getattr(executor, "where", lambda f: "" if f.running() else None)
        places = ((j, where(f)) for f, (j, _) in waiting.items())
        progress([(j, place) for j, place in places if place is not None], one, run)


def telling(*listeners: Progress) -> Progress:
    """Return a progress function that calls several others."""

    def tell(running: Sequence[tuple[Job, str]], one: Job | None, run: Run | None) -> None:
        for listener in listeners:
            listener(running, one, run)

    return tell


def lost(one: Job, error: BaseException) -> Run:
    """Record the failure of a run whose worker did not live to do so."""
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, (BrokenProcessPool, WorkerDied)):
        words = f"WorkerDied: the worker process was killed or went away {ATTEMPTS} times (out of memory?)"
    record = describe(one, datetime.now(UTC)) | {"wall_time_s": 0.0, "peak_memory_bytes": 0, "status": "failed"}
    try:
        with one.store.partial(one.key, keep=True) as folder:
            return one.store.fail(folder, record | {"error": words}, f"{words}\n{error!r}\n", replace=one.force)
    except OSError as reason:  # what ended the run, such as a full disk, keeps its record from being written too
        words += f"; no record of it could be kept ({reason.strerror})"
        return Run(one.folder / "failed" / one.key, record | {"error": words})


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let Ctrl-C end this process now, with status 130 (SIGTERM: 143); the workers follow by themselves."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, b"\nstopped; repeat the command to go on where it was\n")
        os._exit(128 + number)

    before = {s: signal.signal(s, end) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def table(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return one tidy row for each run: parameters, reported numbers, claims' measured values and verdicts."""
    rows = []
    for run in runs:
        row: dict[str, Any] = dict(run.record["parameters"])
        for record in ledger.records(run.notebook()):
            if record["kind"] == "report":
                row |= {
                    f"reported {k}" if k in (*run.record["parameters"], *RESERVED) else k: v
                    for k, v in record["values"].items()
                }
            else:
                row[f"{record['claim']}: {record['what']}"] = record["measured"]
                row[f"{record['claim']}: {record['what']} (verdict)"] = record["verdict"]
        status = {"status": run.record["status"], "wall_time_s": run.record["wall_time_s"], "run": run.key}
        rows.append(row | status)
    return rows


def write_table(runs: Sequence[Run], path: Path) -> Path:
    """Write `table` as CSV, in one piece.

    Raises
    ------
    OSError
        If the disk does not take the table; an older one then stays as it was.
    DamagedRun
        If a run's notebook was changed since the run was looked at.
    """
    rows = table(runs)
    columns = [*dict.fromkeys(c for row in rows for c in row if c not in RESERVED), *RESERVED]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in r.items()} for r in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text.getvalue())
    return path
