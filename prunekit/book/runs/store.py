"""A folder in which a run appears whole or not at all, on one machine or on a file server that many share.

    FOLDER/KEY/          a published run: notebook.ipynb, run.json, and whatever else the notebook wrote
    FOLDER/failed/KEY/   the last failure of a run: the partial notebook, traceback.txt, run.json
    FOLDER/.KEY.HOST.PID-START.RANDOM.partial/   a run in flight, its heartbeat the folder's time of change
    FOLDER/.KEY.RANDOM.gone/                     a run that is being deleted
    FOLDER/.KEY.lock     held by the process that executes KEY

A run is written into a partial directory of its own, sealed, synced, and published by one atomic rename, so whatever
is killed, a directory named by a key holds a finished run. The process that comes second discards its copy:
a key is a content address, so both are the same. A published run is never executed again and never changed; every look
at one compares all its files with its seal (`prunekit.book.runs.seal`), and one that is damaged counts as missing.

None of this needs a lock. Locks only keep two processes from executing one key at the same time; where they are
missing, or other machines do not see them, that costs time and no result. A partial directory is removed when its
process is dead: on this host for certain, on another after `prunekit._system.owners.SILENT` seconds without a
heartbeat.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunekit._system import files, locks, owners
from prunekit.book.runs import seal
from prunekit.book.runs.seal import NOTEBOOK, TRACEBACK, DamagedRun

_KEY = re.compile(r"[0-9a-f]{16}")
_PARTIAL = re.compile(rf"\.(?P<key>[0-9a-f]{{16}})\.(?P<mark>{owners.MARK})\.[0-9a-f]{{8}}\.partial")
_OWNED = re.compile(rf"\.(?:.+\.)?(?P<mark>{owners.MARK})(?:\.[0-9a-f]{{8}})?\.(?:partial|draft|probe)")
_GONE = re.compile(r"\.[0-9a-f]{16}\.(?:partial|(?:[0-9a-f]{8}\.)?gone)")  # or a partial of an older prunekit
_LOCK = re.compile(r"\.(?P<key>[0-9a-f]{16})\.lock")
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_ATTEMPTS = 10  # each race is lost only to a process that got further


@dataclass(frozen=True)
class Run:
    """A run on disk, finished or failed.

    Attributes
    ----------
    folder
        Its directory.
    record
        Its ``run.json``: key, notebook, parameters, status, commit, versions, device, data, times, memory, the host
        and the process that published it, and the checksums.
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
        """Read the executed notebook; that of a failed run is kept as far as it came.

        Raises
        ------
        DamagedRun
            If the notebook of a finished run is not the one that was published.
        """
        import nbformat

        try:
            return nbformat.reads(seal.content(self.folder, self.record, NOTEBOOK).decode(), as_version=4)
        except FileNotFoundError:
            if self.finished:
                raise DamagedRun(f"run {self.key} is damaged: {NOTEBOOK} is missing") from None
        except (OSError, ValueError):  # killed before papermill wrote it, or while it did
            if self.finished:
                raise
        return nbformat.v4.new_notebook()


@dataclass(frozen=True)
class Damaged:
    """A directory named by a key that holds no whole run.

    Attributes
    ----------
    folder
        The directory.
    why
        What is wrong with it.
    record
        Its ``run.json`` where that is whole and only other files are damaged, else None.
    """

    folder: Path
    why: str
    record: dict[str, Any] | None = None


@dataclass(frozen=True)
class Store:
    """The runs kept under one folder."""

    folder: Path

    def finished(self, key: str) -> Run | None:
        """Return the published run of `key`, or None where there is none or a damaged one."""
        run = load(self.folder / key)
        return run if isinstance(run, Run) and run.finished else None

    def failed(self, key: str) -> Run | None:
        """Return the last failure of `key`, or None."""
        run = load(self.folder / "failed" / key)
        return run if isinstance(run, Run) else None

    def damage(self, key: str) -> str | None:
        """Say what is wrong with the published run of `key`; None where nothing is, or there is none."""
        run = load(self.folder / key)
        return run.why if isinstance(run, Damaged) else None

    def runs(self) -> list[Run]:
        """Return every whole run below the folder, finished and failed, oldest first."""
        return self.kept()[0]

    def kept(self) -> tuple[list[Run], list[Damaged]]:
        """Return every whole run below the folder, oldest first, and every damaged one."""
        loaded = [load(folder) for folder in _below(self.folder)[0]]
        runs = [run for run in loaded if isinstance(run, Run)]
        return sorted(runs, key=lambda run: run.record["finished"]), [d for d in loaded if isinstance(d, Damaged)]

    def prepare(self) -> None:
        """Make the folder, see that it takes a file, and say so once if its file system has no locks.

        Raises
        ------
        OSError
            If it does not: the disk is full or read-only, permission is missing, or no inodes are left.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        probe = self.folder / f".{owners.me().mark}.{secrets.token_hex(4)}.probe"
        try:
            probe.write_bytes(bytes(4096))
            files.sync(probe)
        finally:
            probe.unlink(missing_ok=True)
        locks.probe(self.folder)

    @contextlib.contextmanager
    def partial(self, key: str, *, keep: bool = False) -> Iterator[Path]:
        """Hand out a new partial directory for `key`, with a heartbeat; it is removed when the block ends.

        Where locks work, the key's is held meanwhile. The directory is empty, unless `keep` asks for what a killed
        run left.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locks.locked(self.folder / f".{key}.lock", f"executes run {key}"):
            folder = self.folder / f".{key}.{owners.me().mark}.{secrets.token_hex(4)}.partial"
            if not (keep and self._take_over(key, folder)):
                folder.mkdir()
            try:
                with owners.beating(folder):
                    yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, partial: Path, record: dict[str, Any], *, replace: bool = False) -> Run:
        """Turn a partial directory into a published run, atomically.

        With `replace` it takes the place of a published run of its key, by two renames: a kill between them costs
        both, and the run is executed once more.

        Returns
        -------
        Run
            That run, or the whole one that another process published meanwhile.

        Raises
        ------
        OSError
            If the disk does not take it; nothing is published then.
        """
        sealed = self._seal(partial, record)
        run = self._place(partial, self.folder / sealed["key"], sealed, replace)
        with contextlib.suppress(OSError):  # the failure before it is history
            remove(self.folder / "failed" / run.key)
        return run

    def fail(self, partial: Path, record: dict[str, Any], traceback: str, *, replace: bool = False) -> Run:
        """Keep a partial directory as the last failure of its key.

        With `replace` it was to replace a published run of its key, which stays.

        Returns
        -------
        Run
            That failure, or the finished run that another process published meanwhile.

        Raises
        ------
        OSError
            If the disk does not take it.
        """
        (partial / TRACEBACK).write_text(traceback, encoding="utf-8")
        sealed = self._seal(partial, record)
        target = self.folder / "failed" / sealed["key"]
        target.parent.mkdir(exist_ok=True)
        return self._place(partial, target, sealed, replace)

    def leftovers(self) -> list[Path]:
        """Return what dead processes left below the folder: partial directories, locks, drafts, half-deleted runs."""
        left = _below(self.folder)[1]
        living = {
            (p.parent, match["key"])
            for p in left
            if (match := _PARTIAL.fullmatch(p.name)) and not owners.abandoned(p, _owner(match["mark"]))
        }
        return [p for p in left if _is_left(p, living)]

    def _take_over(self, key: str, folder: Path) -> bool:
        """Rename what a dead process left of `key` to `folder`; of several, what was changed last."""
        partials = [(p, m) for p in self.folder.glob(f".{key}.*.partial") if (m := _PARTIAL.fullmatch(p.name))]
        dead = [p for p, match in partials if owners.abandoned(p, _owner(match["mark"]))]
        for path in sorted(dead, key=_changed, reverse=True):
            with contextlib.suppress(OSError):  # another process was faster
                path.rename(folder)
                return True
        return False

    def _seal(self, partial: Path, record: dict[str, Any]) -> dict[str, Any]:
        """Seal a partial directory and sync it to the disk before it is renamed: a power cut is a kill too."""
        sealed = seal.seal(partial, record | {"host": owners.host_name(), "pid": os.getpid()})
        files.sync_tree(partial)
        return sealed

    def _place(self, partial: Path, target: Path, record: dict[str, Any], replace: bool) -> Run:
        """Rename a sealed directory to its place, unless a finished run of its key is there and not to be replaced."""
        aside: list[Path] = []
        for _ in range(_ATTEMPTS):
            published = None if replace else self.finished(record["key"])
            if published:
                break
            try:
                partial.rename(target)
                files.sync(target.parent)
                published = Run(target, record)
                break
            except OSError as error:
                there = load(target)  # a server that repeats a rename may call its own success a failure
                if isinstance(there, Run) and ((there.finished and not replace) or there.record == record):
                    published = there
                    break
                if error.errno not in _TAKEN:
                    for path in aside[-1:]:  # better than nothing
                        with contextlib.suppress(OSError):
                            path.rename(target)
                    raise
            with contextlib.suppress(FileNotFoundError):  # a damaged run, or the failure before this one
                aside.append(target.rename(_gone(target)))
        for path in [partial, *aside]:
            shutil.rmtree(path, ignore_errors=True)
        if not published:
            raise OSError(errno.EBUSY, "other processes write there all the time", str(target))
        return published


def load(folder: Path) -> Run | Damaged | None:
    """Return the run in a folder named by its key, with every file checked; None where there is no such folder."""
    record = None
    try:
        record = seal.read(folder)
        seal.check(folder, record)
    except DamagedRun as damage:
        return Damaged(folder, str(damage), record) if folder.is_dir() else None
    return Run(folder, record)


def remove(path: Path) -> None:
    """Delete a file or a directory that `Store.leftovers` or a caller named; one that is gone is no error.

    Raises
    ------
    OSError
        If it cannot be deleted.
    """
    if _KEY.fullmatch(path.name):  # a kill in the middle must not leave half a run under its name
        try:
            path = path.rename(_gone(path))
        except FileNotFoundError:
            return
    for attempt in range(_ATTEMPTS):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            return
        except FileNotFoundError:  # another process deletes it too
            if attempt == _ATTEMPTS - 1:
                raise


def _below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the runs below a folder and what may be left over; what vanishes meanwhile is passed over."""
    runs, left = [], []
    for here, names, others in os.walk(folder):
        runs += [Path(here) / name for name in sorted(names) if _KEY.fullmatch(name)]
        left += [Path(here) / name for name in sorted([*names, *others]) if name.startswith(".")]
        names[:] = sorted(n for n in names if not n.startswith(".") and not _KEY.fullmatch(n))
    return runs, left


def _is_left(path: Path, living: set[tuple[Path, str]]) -> bool:
    """Tell whether a hidden file or directory of a store is a dead process's."""
    if owned := _OWNED.fullmatch(path.name):
        return owners.abandoned(path, _owner(owned["mark"]))
    if lock := _LOCK.fullmatch(path.name):
        return (path.parent, lock["key"]) not in living and not locks.held(path)
    return bool(_GONE.fullmatch(path.name))


def _owner(mark: str) -> owners.Owner:
    owner = owners.owner(mark)
    assert owner is not None  # the pattern is the same
    return owner


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _gone(path: Path) -> Path:
    """Return a name under which a run is deleted; of a failure, beside the finished runs."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.gone")
