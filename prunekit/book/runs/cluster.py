"""A Dask cluster as an engine: the client's side.

`dask.distributed` queues the runs, finds workers, and runs again what a killed worker was executing. This module
adds that a worker refuses a run that is not its own (`prunekit.book.runs.at_worker`), that two commands that want one
run share its task, and that the workers' own words say what runs where.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prunekit.book.runs import at_worker, notes, schedulers
from prunekit.book.runs.engines import Choice, EngineLost, WorkerDied, WorkerRefused
from prunekit.book.runs.execution import Job, execute
from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.store import Run


@contextmanager
def connected(choice: Choice, count: int) -> Iterator[Cluster]:
    """Connect to the scheduler that was chosen, or start one here with `count` worker processes.

    Raises
    ------
    Refused
        If the library is missing, or no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise Refused(f"{schedulers.MISSING} ({error})") from error
    schedulers.quiet()
    if not choice.elsewhere:
        with (
            distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # None means the usual port, which a second batch would find taken
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,  # it would see the worker and not its kernel
            ) as local,
            distributed.Client(local, set_as_default=False) as client,
            Cluster(client) as cluster,
        ):
            yield cluster
        return
    address = choice.scheduler or _address(choice.scheduler_file)
    client = schedulers.client_of(address)
    try:
        with Cluster(client) as cluster:
            yield cluster
    finally:
        client.close(timeout=2)


def _address(file: Path | None) -> str:
    """Read a scheduler's address from the file that ``dask scheduler --scheduler-file`` writes."""
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["address"])  # type: ignore[union-attr]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"--scheduler-file {file} cannot be read ({error}): name the file that dask scheduler was started with"
        ) from error


class Cluster(Executor):
    """The workers of a Dask scheduler.

    Parameters
    ----------
    client
        A connected `distributed.Client`, which the caller closes.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._batch = uuid.uuid4().hex
        self._notes: dict[Path, str] = {}
        self._wanted: dict[Future[Run], tuple[Job, Any]] = {}
        self._submitted: dict[str, int] = {}
        self._watch = schedulers.Watch(self._refuse)
        self._changed = threading.Lock()
        self.address = str(client.scheduler.address)

    def inspect(self, jobs: Sequence[Job], label: Callable[[Job], str]) -> None:
        """Leave the note of a batch, and ask the workers that are there whether they would take its runs.

        Raises
        ------
        Refused
            If there is a run that every one of them refuses.
        """
        self._notes = notes.write(jobs, label, self.address)
        for folder in self._notes:
            schedulers.follow(self._client, self._watch, folder)
        samples = list({j.name: j for j in jobs}.values())
        try:
            answers = self._client.run(at_worker.check, samples, self._notes, on_error="return")
        except OSError as error:
            raise EngineLost(f"the scheduler at {self.address} is gone ({schedulers.line(error)})") from error
        refusals = {worker: _refusals(answer, samples) for worker, answer in answers.items()}
        for job in samples:
            if answers and all(job.key in refused for refused in refusals.values()):
                for folder, name in self._notes.items():
                    (folder / name).unlink(missing_ok=True)
                raise Refused("\n".join(_refused_by(w, refused[job.key]) for w, refused in refusals.items()))
        self.warnings = [
            _refused_by(w, reason) for w, refused in refusals.items() for reason in dict.fromkeys(refused.values())
        ]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have ``fn(job)`` called by a worker that agrees with the job's key.

        Two commands that submit one job to a scheduler share its task.

        Raises
        ------
        ValueError
            If `inspect` was not given a job of that folder: its workers would refuse the run for want of a note.
        """
        (job,) = args
        if job.folder not in self._notes:
            raise ValueError(f"no note of a batch was left in {job.folder}: call inspect with the jobs before submit")
        future: Future[Run] = Future()
        task = self._task(fn, job)
        with self._changed:
            self._wanted[future] = (job, task)
        task.add_done_callback(lambda task: self._settle(future, task))
        if refused := self._watch.refused_by_all(job.key):  # the workers said so before this future existed
            self._refuse(job.key, refused)
        return future

    def where(self, future: Future[Run]) -> str | None:
        """Name the worker that executes a run; None when no worker does."""
        with self._changed:
            job, _ = self._wanted.get(future, (None, None))
        return self._watch.where(job.key) if job else None

    def _refuse(self, key: str, reasons: Mapping[str, str]) -> None:
        """End the futures of a run that every worker refuses; called in the client's thread, which must not wait."""
        with self._changed:
            there = [(future, task) for future, (job, task) in self._wanted.items() if job.key == key]
        for future, task in there:
            self._end(future, WorkerRefused("; ".join(_refused_by(w, reason) for w, reason in reasons.items())))
            self._client.loop.add_callback(self._client.cancel, [task], asynchronous=True)

    def detach(self, jobs: Sequence[Job]) -> None:
        """Leave runs with the scheduler, which has them executed whether or not we live."""
        from distributed import fire_and_forget

        tasks = [self._task(execute, job) for job in jobs]
        self._wait_until(lambda: self._known(tasks))  # what is still on its way would be lost when we end
        for task in tasks:
            fire_and_forget(task)
        topic, heard = f"prunekit {self._batch}", threading.Event()
        self._client.subscribe_topic(topic, lambda event: heard.set())  # it goes the same way, behind the runs
        self._wait_until(lambda: self._client.log_event(topic, "heard") or heard.wait(0.05))

    def _known(self, tasks: Sequence[Any]) -> bool:
        states = self._client.sync(self._client.scheduler.get_task_status, keys=[t.key for t in tasks])
        return all(states.values())

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + schedulers.PATIENCE * 3
        while not condition():
            if time.monotonic() > limit:
                raise EngineLost(f"the scheduler at {self.address} does not take the runs")
            time.sleep(0.02)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Forget what was asked for, and stop listening; the workers finish what they are executing."""
        schedulers.unfollow(self._client, list(self._notes))
        with self._changed:
            self._wanted.clear()

    def _task(self, fn: Callable[[Job], Run], job: Job) -> Any:
        count = self._submitted[job.key] = self._submitted.get(job.key, 0) + 1
        group = f"prunekit-{hashlib.sha256(str(job.folder).encode()).hexdigest()[:12]}"
        return self._client.submit(
            at_worker.work,
            fn,
            job,
            self._batch,
            self._notes[job.folder],
            key=(group, job.key, count),
            priority=-len(self._submitted),  # in the order in which they were asked for
        )

    def _settle(self, future: Future[Run], task: Any) -> None:
        """Hand a task's outcome to our caller's future; a thread of the client's calls this."""
        from distributed.scheduler import KilledWorker

        try:
            if task.status == "cancelled":
                error: BaseException = EngineLost(f"the scheduler at {self.address} is gone, or dropped the run")
            elif (error := task.exception()) is None:
                run = task.result()
                with self._changed:
                    self._wanted.pop(future, None)
                    if not future.done():
                        future.set_result(run)
                return
        except BaseException as trouble:  # the connection broke between two lines
            error = EngineLost(f"the scheduler at {self.address} is gone ({schedulers.line(trouble)})")
        self._end(future, WorkerDied(schedulers.line(error)) if isinstance(error, KilledWorker) else error)

    def _end(self, future: Future[Run], error: BaseException) -> None:
        with self._changed:
            self._wanted.pop(future, None)
            if not future.done():
                future.set_exception(error)


def _refusals(answer: Any, jobs: Sequence[Job]) -> Mapping[str, str]:
    """Read a worker's answer to `prunekit.book.runs.at_worker.check`.

    A worker with an old prunekit, or none, cannot even answer.
    """
    if isinstance(answer, Mapping):
        return answer
    return dict.fromkeys(
        (j.key for j in jobs), f"it cannot be asked ({type(answer).__name__}: {schedulers.line(answer)})"
    )


def _refused_by(worker: str, reason: str) -> str:
    return f"worker {worker} refuses: {reason}"
