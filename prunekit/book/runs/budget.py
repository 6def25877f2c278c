"""Recordings within a budget of time: the best that fits first, each taken up where it was left, all inside the budget.

What is worth most is what settles most statements an hour, of what is still to be computed. A recording that does not
fit is begun when nothing else fits, and goes on next time: trainings and spectra keep their state in a folder of the
run's key (`prunekit.nets.keeping`), so that a page or a library that has changed starts anew. Before the budget ends
they are told to stop, by a time in the kernel's environment. A page that does not look at the time, since it does
something else just then, is ended with the command, as by a kill.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunekit._system import files
from prunekit.book import paths
from prunekit.book.runs import batch, store
from prunekit.book.runs.engines import Choice
from prunekit.book.runs.execution import Job
from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.opening import opened
from prunekit.book.runs.pace import Pace
from prunekit.book.runs.plan import Entry, Plan
from prunekit.book.runs.progress import duration
from prunekit.book.runs.record import record
from prunekit.book.runs.store import Run
from prunekit.nets.keeping import FOLDER, STOP_AT, OutOfTime

SAVING = 0.05, 3.0, 30.0  # the share of the time left, at least and at most so many seconds, for the last state
ENDING = 2.0  # seconds before the end of the budget at which everything ends
_NOTE_EVERY = 5.0  # seconds between two notes of the time spent
START = 8.0  # seconds below which nothing is begun: a kernel takes them to start
_DONE_AT_MOST = 0.9  # of an estimate that may count as done before the run has ended


@dataclass(frozen=True)
class Wanted:
    """One seed of an entry that is not recorded yet.

    Attributes
    ----------
    entry, seed, job
        What is run.
    seconds
        How long it takes here, as estimated, from its beginning.
    """

    entry: Entry
    seed: int
    job: Job
    seconds: float

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.entry.label}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Where its state is kept."""
        return paths.UNFINISHED / self.job.key

    @property
    def spent(self) -> float:
        """Seconds that were spent on it before."""
        try:
            return float(json.loads((self.folder / "spent.json").read_text(encoding="utf-8"))["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0

    @property
    def left(self) -> float:
        """Seconds that it still takes."""
        return max(self.seconds - self.spent, (1 - _DONE_AT_MOST) * self.seconds)

    @property
    def worth(self) -> float:
        """Statements settled an hour; the seeds of an entry settle them together."""
        return self.entry.count / len(self.entry.seeds) / max(self.left, 1e-9) * 3600


def wanted(entry: Entry, pace: Pace | None, device: str) -> list[Wanted]:
    """Return what is not recorded yet of an entry, seed by seed; without a pace, of unknown duration.

    Raises
    ------
    Refused
        If there is no such page, or it lacks a parameter.
    """
    notebook = entry.notebook()
    recorded = entry.recorded(notebook)
    seconds = pace.seconds(entry.work) if pace else 0.0
    jobs = [
        (seed, batch.job(notebook, entry.given(notebook, seed, device), paths.RUNS / entry.page))
        for seed in entry.seeds
        if seed not in recorded
    ]
    return [Wanted(entry, seed, job, seconds) for seed, job in jobs]


def refusal(entry: Entry, device: str) -> str:
    """Say why an entry cannot be run on a device; an empty string where it can."""
    if device not in entry.devices:
        return f"it is for {' or '.join(entry.devices)}"
    return entry.missing()


def runnable(plan: Plan, pace: Pace, device: str) -> list[Wanted]:
    """Return all that can be run on a device and is not recorded, the best first."""
    chosen = [each for entry in plan.entries if not refusal(entry, device) for each in wanted(entry, pace, device)]
    return sorted(chosen, key=lambda each: -each.worth)


def choose(queue: Sequence[Wanted], left: float) -> Wanted:
    """Return what to run next: the best that fits into the time left, else what was begun, else the best of all."""
    fitting = [each for each in queue if each.left <= left]
    begun = [each for each in queue if each.spent]
    return max(fitting or begun or queue, key=lambda each: each.worth)


def forecast(queue: Sequence[Wanted], left: float) -> list[tuple[Wanted, bool]]:
    """Return what will be run in the time left, and of each whether it should end."""
    chosen = []
    rest = list(queue)
    while rest and left >= START:
        one = choose(rest, left)
        chosen.append((one, one.left <= left))
        rest.remove(one)
        left -= one.left
    return chosen


def spend(queue: Sequence[Wanted], end: float | None, say: Callable[[str], None]) -> bool:
    """Run and record one after another, until all is done or the time is over.

    Parameters
    ----------
    queue
        What is wanted.
    end
        When all has to have ended, in seconds since 1970; None for no limit.
    say
        Takes a line for the user.

    Returns
    -------
    bool
        Whether nothing failed.
    """
    rest, sound = list(queue), True
    while rest:
        left = None if end is None else end - time.time()
        if left is not None and left < START:
            break
        one = rest[0] if left is None else choose(rest, left)
        rest.remove(one)
        before = one.spent
        say(f"{one.name}: {_begins(one, before)}")
        run = perform(one, end)
        if run is None:
            say(over(one, one.spent - before))
            break
        sound = _settle(one, run, say) and sound
    return sound


def _begins(one: Wanted, before: float) -> str:
    """Say how a run begins."""
    expected = f", about {duration(one.left)} to go" if one.seconds else ""
    return f"{'taken up after ' + duration(before) if before else 'begins'}{expected}"


def _settle(one: Wanted, run: Run, say: Callable[[str], None]) -> bool:
    """Record a run that has finished, and say what became of it."""
    if not run.finished:
        say(f"{one.name}: failed: {run.error}\n  partial notebook and traceback: {run.folder}")
        return False
    try:
        kept = record(run, one.entry.label)
    except Refused as why:
        say(f"{one.name}: not recorded: {why}")
        return False
    shutil.rmtree(one.folder, ignore_errors=True)
    say(f"{one.name}: recorded in {kept}")
    if str(run.record["commit"]).endswith("+edits"):
        say("  its code was not committed when it ran: a run of a commit can be told from others")
    return True


def perform(one: Wanted, end: float | None) -> Run | None:
    """Execute a run from where it was left; None where it has stopped because the time is over.

    Where it does not stop by itself, the whole command ends shortly before `end`, and the run's processes with it.
    """
    one.folder.mkdir(parents=True, exist_ok=True)
    before, began, stop = one.spent, time.time(), None if end is None else _stop(end)
    environment = {FOLDER: str(one.folder.absolute()), STOP_AT: "" if stop is None else repr(stop)}
    kept = {name: os.environ.get(name) for name in environment}
    os.environ |= environment  # the worker and its kernel are started with it
    timer = threading.Timer((end or began) - ENDING - began, _end, (one, began))
    try:
        if end is not None:
            timer.start()
        with batch.ending_at_once(), opened(Choice(), [one.job], lambda job: one.name) as engine:
            (run,) = batch.run_all([one.job], engine, _noting(one, before, began))
    finally:
        timer.cancel()
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    if not run.finished and OutOfTime.__name__ in run.error:
        store.remove(run.folder)  # no failure
        return None
    return run


def _stop(end: float) -> float:
    """Return when a run has to begin to write its last state."""
    share, least, most = SAVING
    return end - ENDING - min(max(share * (end - time.time()), least), most)


def _end(one: Wanted, began: float) -> None:
    """End the worker and its kernel, and this process."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    os.write(1, f"\n{over(one, time.time() - began)}\n".encode())
    os._exit(0)


def over(one: Wanted, seconds: float) -> str:
    """Say that the budget is over."""
    return f"{one.name}: the budget is over after {duration(seconds)}; repeat the command to go on"


def _noting(one: Wanted, before: float, began: float) -> batch.Progress:
    """Return what notes from time to time how long a run has taken in all."""
    last = [0.0]

    def note(running: Sequence[tuple[Job, str]], ended: Job | None, run: Run | None) -> None:
        now = time.time()
        if ended is not None or now - last[0] >= _NOTE_EVERY:
            last[0] = now
            content: dict[str, Any] = {"label": one.entry.label, "seed": one.seed, "seconds": before + now - began}
            files.write(one.folder / "spent.json", json.dumps(content))

    return note
