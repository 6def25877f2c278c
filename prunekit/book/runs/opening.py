"""The engine of a batch, opened for what is to be executed and closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

from prunekit.book.runs.engines import Choice
from prunekit.book.runs.execution import Job
from prunekit.book.runs.workers import Workers


@contextmanager
def opened(choice: Choice, jobs: Sequence[Job], label: Callable[[Job], str]) -> Iterator[Executor]:
    """Open the engine for the runs that are not published yet, and close it.

    Parameters
    ----------
    choice
        What the command line says about the engine.
    jobs
        The runs that must be executed; with none, no cluster is asked.
    label
        What the user calls a run.

    Raises
    ------
    Refused
        If the engine cannot be opened: there is no such scheduler, the extra ``cluster`` is not installed, or no worker
        would take the jobs.
    """
    count = min(choice.workers or 1, max(1, len(jobs)))
    if choice.engine == "processes" or not jobs:
        with Workers(count) as executor:
            yield executor
        return
    from prunekit.book.runs import cluster

    with cluster.connected(choice, count) as engine:
        engine.inspect(jobs, label)
        yield engine
