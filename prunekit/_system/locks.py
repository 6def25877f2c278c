"""Locks on files, which save work and are never needed for a result to be right.

A lock is the system's (``flock``): it ends with the process that holds it, and a child that inherits the descriptor
holds it too. The holder signs the file, so that a process that waits can say for whom. Some network file systems have
no locks, or locks that other machines do not see: a line says the first once, and the second looks like a free lock.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from prunekit._system import owners

try:
    import fcntl
except ImportError:  # Windows: as on a file system without locks
    fcntl = None  # type: ignore[assignment]

PATIENCE = 1.0  # seconds of silent waiting
WATCH = 4 * owners.BEAT  # seconds in which another host's holder must show a heartbeat
_LACKING = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
_said: set[str] = set()


class Busy(RuntimeError):
    """Another process holds the lock; the message names it."""


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[int]:
    """Hold an exclusive lock that the system drops when the process dies, and leave no file behind.

    After `PATIENCE` seconds of waiting a line on stderr says for whom and for what. Where the file system has no
    locks, a line says once that runs may be executed twice, and the lock counts as held.

    Parameters
    ----------
    path
        The lock's file.
    what
        What the holder does, as in "executes run 0123456789abcdef".

    Yields
    ------
    int
        The file's descriptor: a child that inherits it holds the lock for as long as it lives.
    """
    while True:
        with path.open("a+", encoding="utf-8") as stream:
            _wait(stream, path, what)
            if not _is_same(stream, path):  # another holder removed the file while we waited
                continue
            _sign(stream)
            try:
                yield stream.fileno()
            finally:
                _release(path)
            return


@contextlib.contextmanager
def sole(path: Path) -> Iterator[None]:
    """Hold a lock that nobody else holds, on any host, or refuse at once.

    The holder's heartbeat is on the file, so that a host that does not share its locks is noticed too: where the file
    bears the mark of another host, `WATCH` seconds show whether that one lives. Where the file system has no locks, the
    marks alone decide, and two that begin in the same instant are not told apart.

    Raises
    ------
    Busy
        If a living process holds it.
    """
    while True:
        with path.open("a+", encoding="utf-8") as stream:
            free = _try(stream)
            holder = _holder(path)
            if free is False:
                raise Busy(holder.words if holder else "another process")
            if not _is_same(stream, path):
                continue
            if holder and (holder.lives() if free is None else _shows_life(path, holder)):
                raise Busy(holder.words)
            _sign(stream)
            try:
                with owners.beating(path):
                    yield
            finally:
                _release(path)
            return


def held(path: Path) -> bool:
    """Tell whether a living process of this host holds a lock, as far as the file system can tell."""
    try:
        with path.open(encoding="utf-8") as stream:
            if fcntl:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def probe(folder: Path) -> None:
    """Say it now, rather than in the middle, if the file system of a folder has no locks."""
    with locked(folder / f".{owners.me().mark}.{secrets.token_hex(4)}.probe", "looks whether there are locks"):
        pass


def _try(stream: IO[str]) -> bool | None:
    """Take a lock if it is free; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        return None
    return True


def _wait(stream: IO[str], path: Path, what: str) -> None:
    """Take the lock of an open file, however long that takes."""
    limit = time.monotonic() + PATIENCE
    while (free := _try(stream)) is False and time.monotonic() < limit:
        time.sleep(0.05)
    if free is None:
        _say_once(path.parent)
    elif not free:
        holder = _holder(path)
        whom = holder.words if holder else "another process"
        print(f"waiting for {whom}: it {what} (lock {path})", file=sys.stderr, flush=True)
        fcntl.flock(stream, fcntl.LOCK_EX)


def _say_once(folder: Path) -> None:
    """Say once, in the process that the user started, what the lack of locks means."""
    if "locks" not in _said and multiprocessing.parent_process() is None:
        _said.add("locks")
        print(
            f"the file system of {folder} has no locks: if two commands work there at once, runs may be executed "
            "twice; nothing is lost",
            file=sys.stderr,
            flush=True,
        )


def _shows_life(path: Path, holder: owners.Owner) -> bool:
    """Tell whether the holder on another host renews its heartbeat; on this host the lock itself has told that."""
    if holder.lives() is not None or owners.silence(path) > owners.SILENT:
        return False
    print(
        f"{path} is marked by {holder.words}: watching for {WATCH:.0f} s whether it still lives",
        file=sys.stderr,
        flush=True,
    )
    last, limit = _stamp(path), time.monotonic() + WATCH
    while time.monotonic() < limit:
        time.sleep(min(0.5, WATCH / 10))
        if _stamp(path) != last:
            return True
    return False


def _stamp(path: Path) -> int:
    """Return the time of change that the server has now: opening a file asks again where attributes are cached."""
    try:
        with path.open(encoding="utf-8") as stream:
            return os.fstat(stream.fileno()).st_mtime_ns
    except FileNotFoundError:
        return 0


def _holder(path: Path) -> owners.Owner | None:
    try:
        return owners.owner(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def _sign(stream: IO[str]) -> None:
    with contextlib.suppress(OSError):  # a full disk: then nobody learns for whom they wait
        stream.truncate(0)
        stream.write(owners.me().mark + "\n")
        stream.flush()


def _release(path: Path) -> None:
    """Remove the lock's file, unless without locks another has signed it meanwhile."""
    if _holder(path) in (None, owners.me()):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _is_same(stream: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False
