"""A folder in which a run appears whole or not at all.

    FOLDER/KEY/          a published run: notebook.ipynb, run.json, and what else the notebook wrote
    FOLDER/failed/KEY/   the last failure of a run: the partial notebook, traceback.txt, run.json
    FOLDER/.KEY.partial/ a run in flight; left behind only by a kill, and then taken over or cleaned up
    FOLDER/.KEY.lock     held by the process that executes KEY

A run is written into its partial directory and published by one atomic rename, so whatever is killed, a directory
named by a key holds a finished run. A published run is never executed again and never changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTEBOOK, RECORD, TRACEBACK = "notebook.ipynb", "run.json", "traceback.txt"
_KEY = re.compile(r"[0-9a-f]{16}")
_LEFT = re.compile(r"\.[0-9a-f]{16}\.(partial|lock|gone)")


@dataclass(frozen=True)
class Run:
    """A run on disk, finished or failed.

    Attributes
    ----------
    folder
        Its directory.
    record
        Its ``run.json``: key, notebook, parameters, status, commit, versions, device, data, times, memory.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether every cell ran without an error."""
        return self.record["status"] == "finished"

    @property
    def key(self) -> str:
        """The run's content address."""
        return self.record["key"]

    @property
    def error(self) -> str:
        """The last line of a failed run's traceback, empty for a finished run."""
        return self.record.get("error", "")

    def notebook(self) -> Any:
        """Read the executed notebook (of a failed run: as far as it came)."""
        import nbformat

        try:
            return nbformat.read(self.folder / NOTEBOOK, as_version=4)
        except (OSError, ValueError):  # killed before papermill wrote it, or while it did
            if self.finished:
                raise
            return nbformat.v4.new_notebook()


@dataclass(frozen=True)
class Store:
    """The runs kept under one folder."""

    folder: Path

    def finished(self, key: str) -> Run | None:
        """Return the published run of `key`, or None."""
        return _load(self.folder / key)

    def failed(self, key: str) -> Run | None:
        """Return the last failure of `key`, or None."""
        return _load(self.folder / "failed" / key)

    def runs(self) -> list[Run]:
        """Return every run below the folder, finished and failed, oldest first."""
        found = [_load(record.parent) for record in self.folder.rglob(RECORD) if _KEY.fullmatch(record.parent.name)]
        return sorted((run for run in found if run), key=lambda run: run.record["finished"])

    @contextlib.contextmanager
    def partial(self, key: str, *, keep: bool = False) -> Iterator[Path]:
        """Hold the lock of `key` and hand out its partial directory, which is removed on the way out.

        The directory is empty, unless `keep` asks for what a killed run left in it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = self._partial(key)
        with locked(self.folder / f".{key}.lock"):
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, key: str, record: dict[str, Any]) -> Run:
        """Turn the partial directory of `key` into a published run, atomically."""
        target = self._settle(key, record, self.folder / key)
        shutil.rmtree(self.folder / "failed" / key, ignore_errors=True)
        return Run(target, record)

    def fail(self, key: str, record: dict[str, Any], traceback: str) -> Run:
        """Keep the partial directory of `key` as its last failure."""
        (self._partial(key) / TRACEBACK).write_text(traceback, encoding="utf-8")
        target = self.folder / "failed" / key
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        return Run(self._settle(key, record, target), record)

    def leftovers(self) -> list[Path]:
        """Return the partial directories and locks that no living process holds."""
        found = sorted(p for p in self.folder.rglob(".*") if _LEFT.fullmatch(p.name))
        return [p for p in found if not _held(p.with_suffix(".lock"))]

    def _partial(self, key: str) -> Path:
        return self.folder / f".{key}.partial"

    def _settle(self, key: str, record: dict[str, Any], target: Path) -> Path:
        partial = self._partial(key)
        notebook = partial / NOTEBOOK
        record["notebook_bytes"] = notebook.stat().st_size if notebook.is_file() else 0
        (partial / RECORD).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        files = [f for f in partial.rglob("*") if f.is_file() and not f.is_symlink()]
        for path in [*files, partial]:  # on disk before its name is: a power cut is a kill too
            _sync(path)
        if target.exists():  # damaged, or `finished` would have found it
            remove(target)
        partial.rename(target)
        _sync(target.parent)
        return target


def remove(path: Path) -> None:
    """Delete a file or a directory that `Store.leftovers` or a caller named."""
    if path.is_dir():
        if _KEY.fullmatch(path.name):  # a kill in the middle must not leave half a run under its name
            path = path.rename(path.with_name(f".{path.name}.gone"))
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _load(folder: Path) -> Run | None:
    """Return the run in a folder; None where there is none or a damaged one, which is then run again."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(record, dict) and record.get("key") == folder.name
    if not whole:
        return None
    notebook = folder / NOTEBOOK
    if record["status"] == "finished" and (
        not notebook.is_file() or notebook.stat().st_size != record["notebook_bytes"]
    ):
        return None
    return Run(folder, record)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock that the system drops when the process dies, and leave no file behind.

    Hands out the file's descriptor: a child that inherits it holds the lock for as long as it lives.
    """
    while True:
        with path.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_same(stream.fileno(), path):  # another holder removed the file while we waited
                continue
            try:
                yield stream.fileno()
            finally:
                path.unlink(missing_ok=True)
            return


def _is_same(handle: int, path: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _held(lock: Path) -> bool:
    """Tell whether a living process holds `lock`."""
    try:
        with lock.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
