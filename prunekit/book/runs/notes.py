"""A note in the store's folder that says which batch is in flight there.

``.batch-ID.json`` names the wanted runs and the scheduler that has them. A worker that does not find it does not see
the client's folder; `prunekit runs progress` reads it when the client has left. Whichever command sees the
batch's last run removes the note. That of a batch that was killed stays until the batch has been repeated, or until
`prunekit runs clean` finds that its scheduler is gone.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prunekit._system import files, owners
from prunekit.book.runs import schedulers
from prunekit.book.runs.execution import Job
from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.progress import duration, standing
from prunekit.book.runs.store import Run, Store


@dataclass(frozen=True)
class Note:
    """A batch in flight in one store.

    Attributes
    ----------
    path
        The note's file.
    runs
        What was asked for: for each key, what the user calls the run.
    scheduler
        Address of the Dask scheduler.
    began
        When the batch began, as a run's record writes a time.
    force
        Whether runs are executed although they are there, so that one finished earlier does not count.
    host
        The machine on which the batch was begun, as `prunekit._system.owners.host` names it; empty where it is not
        known.
    """

    path: Path
    runs: dict[str, str]
    scheduler: str
    began: str
    force: bool = False
    host: str = ""

    @property
    def store(self) -> Store:
        """The store that the batch writes to."""
        return Store(self.path.parent)

    def ends(self) -> dict[str, Run]:
        """Return the runs that finished (with `force`, since the batch began), or failed since it began."""
        ends = {key: self._end(key) for key in self.runs}
        return {key: run for key, run in ends.items() if run}

    def lost(self) -> bool:
        """Tell whether the scheduler is gone; one that listens on another machine's loopback cannot be asked."""
        local = re.search(r"//(localhost|127\.|\[::1\])", self.scheduler)
        return (not local or self.host == owners.host()) and schedulers.answers(self.scheduler) is False

    def _end(self, key: str) -> Run | None:
        finished = self.store.finished(key)
        if finished and not self.force:
            return finished
        ends = (run for run in (finished, self.store.failed(key)) if run and run.record["finished"] >= self.began)
        return next(ends, None)


def name(keys: Sequence[str]) -> str:
    """Return the file name of the note of these runs: the same whenever the same batch is asked for."""
    return f".batch-{hashlib.sha256(' '.join(sorted(keys)).encode()).hexdigest()[:12]}.json"


def write(jobs: Sequence[Job], label: Callable[[Job], str], scheduler: str) -> dict[Path, str]:
    """Leave a note in each store of a batch; return the notes' names by folder."""
    names = {}
    for folder in dict.fromkeys(j.folder for j in jobs):
        own = [j for j in jobs if j.folder == folder]
        runs = {j.key: label(j) for j in own}
        began = datetime.now(UTC).isoformat(timespec="seconds")
        note = {"scheduler": scheduler, "began": began, "force": any(j.force for j in own)}
        note |= {"runs": runs, "host": owners.host()}
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name(list(runs))
        files.write(path, json.dumps(note, ensure_ascii=False))
        names[folder] = path.name
    return names


def found(folder: Path) -> list[Note]:
    """Return the notes of the batches in flight below a folder, damaged ones left out."""
    return _read(path for path in files.below(folder) if path.match(".batch-*.json"))


def _read(paths: Iterable[Path]) -> list[Note]:
    notes = []
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            runs, force = dict(content["runs"]), bool(content.get("force"))
            scheduler, began, host = str(content["scheduler"]), str(content["began"]), str(content.get("host", ""))
            notes.append(Note(path, runs, scheduler, began, force, host))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return notes


def ended(folder: Path) -> list[Path]:
    """Return the notes below a folder whose runs have all finished or failed, or whose scheduler is gone."""
    return [note.path for note in found(folder) if len(note.ends()) == len(note.runs) or note.lost()]


def settle(folder: Path) -> None:
    """Remove a store's notes of the batches that have ended, no matter which process executed their last run."""
    for note in _read(folder.glob(".batch-*.json")):
        if len(note.ends()) == len(note.runs):
            note.path.unlink(missing_ok=True)


def lines(note: Note) -> list[str]:
    """Say how a batch stands: what is done, what failed, what runs where, as its scheduler knows it."""
    ends = note.ends()
    at_work: dict[str, Any] = {}
    trouble = ""
    if len(ends) < len(note.runs):
        try:
            at_work = schedulers.running(note.scheduler, note.store.folder)
        except Refused as error:
            trouble = f"  {error}; or repeat the command that began the batch, with another engine"
    at_work = {key: said for key, said in at_work.items() if key in note.runs}
    since = {key: time.time() - said["time"] for key, said in at_work.items()}
    text = [f"{note.path.parent}: {standing(len(note.runs), list(ends.values()), list(since.values()))}"]
    for key, said in at_work.items():
        text.append(f"  running {note.runs[key]} on {said['where']} for {duration(since[key])}")
    text += [f"  failed  {note.runs[key]}: {run.error}" for key, run in ends.items() if not run.finished]
    return [*text, *([trouble] if trouble else [])]
