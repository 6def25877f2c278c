"""What a batch shows while it runs: what runs where, what is done, what failed, and how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence

from prunekit.book.runs.execution import Job
from prunekit.book.runs.store import Run

SILENCE = 10  # seconds in which no worker executes anything, after which we say so


def time_left(walls: Sequence[float], remaining: int, at_work: Sequence[float]) -> float | None:
    """Estimate how long a batch will take.

    Parameters
    ----------
    walls
        Wall times of the runs that ended, in seconds.
    remaining
        The number of runs that have not ended.
    at_work
        How long each run that is being executed has taken so far, in seconds.

    Returns
    -------
    float or None
        Seconds, at the pace of as many workers as are at work now; None while nothing can be said.
    """
    if not walls or not at_work:
        return 0.0 if remaining == 0 else None
    mean = sum(walls) / len(walls)
    return max(0.0, mean * remaining - sum(min(mean, t) for t in at_work)) / len(at_work)


def time_left_of(expected: Mapping[str, float], at_work: Mapping[str, float]) -> float | None:
    """Estimate how long runs of known cost will take.

    Parameters
    ----------
    expected
        Seconds that each run that has not ended takes, by its key.
    at_work
        How long each run that is being executed has taken so far, in seconds, by its key.

    Returns
    -------
    float or None
        Seconds, with as many workers as are at work now, and no less than the longest run still needs; None while none
        is at work.
    """
    left = [max(0.0, seconds - at_work.get(key, 0.0)) for key, seconds in expected.items()]
    return max(sum(left) / len(at_work), *left) if at_work and left else None


def duration(seconds: float, digits: int = 0) -> str:
    """Write a time as ``12 s``, ``3 min`` or ``2.5 h``; with `digits` decimals of seconds and minutes."""
    if seconds < 100:
        return f"{seconds:.{digits}f} s"
    return f"{seconds / 60:.{digits}f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def standing(total: int, ended: Sequence[Run], at_work: Sequence[float], left: float | None = None) -> str:
    """Say how a batch stands.

    Parameters
    ----------
    total
        The number of wanted runs.
    ended
        The runs that finished or failed.
    at_work
        How long each run that is being executed has taken so far, in seconds.
    left
        Seconds that the rest will take, where that is known better than from the runs that ended.
    """
    failed = sum(not run.finished for run in ended)
    parts = [f"{len(ended)} of {total} done"]
    parts += [f"{failed} failed"] if failed else []
    left = (
        left
        if left is not None
        else time_left([run.record["wall_time_s"] for run in ended], total - len(ended), at_work)
    )
    parts += [f"about {duration(left)} left"] if left is not None and len(ended) < total else []
    return ", ".join(parts)


class Bar:
    """A progress bar that names what runs where; where there is no terminal, a line for each run that starts or ends.

    Parameters
    ----------
    total
        Number of runs.
    label
        What the user calls a run.
    expected
        Seconds that runs take, by key, as far as that is known beforehand.
    """

    def __init__(self, total: int, label: Callable[[Job], str], expected: Mapping[str, float] | None = None) -> None:
        from tqdm import tqdm

        self._label, self._total = label, total
        self._expected = dict(expected or {})
        self._ended: list[Run] = []
        self._since: dict[tuple[str, str], float] = {}
        self._started: set[str] = set()
        self._quiet: float | None = time.monotonic()
        self._told = False
        self._bar = tqdm(
            total=total,
            disable=None if sys.stderr.isatty() else True,
            dynamic_ncols=True,
            bar_format="{bar:20} {elapsed}{postfix}",
        )

    def __call__(self, running: Sequence[tuple[Job, str]], one: Job | None, run: Run | None) -> None:
        """Show what is running, and what ended."""
        self._since = {(j.key, where): self._start(j, where) for j, where in running}
        if one and run:
            self._end(one, run)
        now = ", ".join(self._named(j, where) for j, where in running)
        if self._silent(bool(running)):
            now = "no worker is at it: waiting for one"
            if self._bar.disable and not self._told:
                self._told = True
                print(f"{now}; {self._words()}", file=sys.stderr, flush=True)
        if not self._bar.disable:
            self._bar.set_postfix_str(f"{self._words()}: {now}"[:200])

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def _named(self, job: Job, where: str) -> str:
        return self._label(job) + (f" on {where}" if where else "")

    def _start(self, job: Job, where: str) -> float:
        begun = self._since.get((job.key, where))
        self._started.add(job.key)
        if begun is None and self._bar.disable:
            print(f"running {self._named(job, where)}", file=sys.stderr, flush=True)
        return time.monotonic() if begun is None else begun

    def _end(self, job: Job, run: Run) -> None:
        self._ended.append(run)
        self._expected.pop(job.key, None)
        self._bar.update()
        if not run.finished:
            self._bar.write(f"failed  {self._label(job)}: {run.error}\n        {run.folder}", file=sys.stderr)
        elif self._bar.disable and job.key in self._started:
            print(f"ended   {self._label(job)}: {self._words()}", file=sys.stderr, flush=True)

    def _words(self) -> str:
        now = time.monotonic()
        at_work = {key: now - t for (key, _), t in self._since.items()}
        left = time_left_of(self._expected, at_work)
        return standing(self._total, self._ended, list(at_work.values()), left)

    def _silent(self, anything: bool) -> bool:
        """Tell whether no worker has executed anything for a while."""
        if anything or len(self._ended) == self._total:
            self._quiet, self._told = None, False
        elif self._quiet is None:
            self._quiet = time.monotonic()
        return self._quiet is not None and time.monotonic() - self._quiet >= SILENCE
