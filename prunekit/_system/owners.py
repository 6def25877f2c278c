"""Who holds something in a folder that several machines share: a process, and whether it still lives.

A process signs what it holds with its host, its number and its start. On its own host a process is looked up, and a
new one with an old number is not mistaken for it. A process of another host cannot be looked up: it shows that it
lives by a heartbeat, a time of change that it renews every `BEAT` seconds, and counts as dead after `SILENT` seconds
without one. Ages are differences of two times that the file server gave, so the hosts' clocks do not matter.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BEAT = 5.0  # seconds between two heartbeats
SILENT = 600.0  # seconds without one after which another host's process counts as dead; caches of NFS hold 60
MARK = r"(?P<host>[A-Za-z0-9-]+)\.(?P<pid>[0-9]+)-(?P<start>[0-9]+)"


def host_name() -> str:
    """Return the name of this host: what ``PRUNEKIT_HOST`` says, else the system's."""
    return os.environ.get("PRUNEKIT_HOST") or socket.gethostname()


def host() -> str:
    """Return what tells this host from others: its name, and which boot and which container of it this is.

    Two containers may have one name, and the numbers of their processes mean nothing to each other. A name given by
    ``PRUNEKIT_HOST`` is taken as it is.
    """
    name = re.sub(r"[^A-Za-z0-9-]", "-", host_name())[:40]
    return name if os.environ.get("PRUNEKIT_HOST") else f"{name}-{_place()}"


@functools.cache
def _place() -> str:
    parts = []
    with contextlib.suppress(OSError):  # other systems than Linux have only the name
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Owner:
    """A process on some host.

    Attributes
    ----------
    host
        The host of the process, as `host` names it.
    pid
        The number of the process there.
    start
        When it started, in the units of that system; only compared with the same process's.
    """

    host: str
    pid: int
    start: int

    @property
    def mark(self) -> str:
        """The owner as a part of a file's name."""
        return f"{self.host}.{self.pid}-{self.start}"

    @property
    def words(self) -> str:
        """The owner as a sentence names it."""
        ended = ", which has ended but left a process behind" if self.lives() is False else ""
        return f"process {self.pid} on {self.host}{ended}"

    def lives(self) -> bool | None:
        """Tell whether the process is there; None where it is another host's."""
        if self.host != host():
            return None
        return _start(self.pid) == self.start


def me() -> Owner:
    """Return this process as an owner."""
    return Owner(host(), os.getpid(), _start(os.getpid()) or 0)


def owner(mark: str) -> Owner | None:
    """Return the owner whose mark this is, or None."""
    match = re.fullmatch(MARK, mark.strip())
    return Owner(match["host"], int(match["pid"]), int(match["start"])) if match else None


def _start(pid: int) -> int | None:
    """Return when a process started, None where there is none or only its exit status is left."""
    if Path("/proc/self/stat").exists():  # exact ticks since the boot, which a corrected clock leaves alone
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else int(fields[19])
    import psutil

    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def abandoned(path: Path, of: Owner) -> bool:
    """Tell whether the owner of a file or a folder is dead: certainly on this host, by silence on another."""
    lives = of.lives()
    return not lives if lives is not None else silence(path) > SILENT


def silence(path: Path) -> float:
    """Return the seconds since the last heartbeat of a file or a folder, 0 where it is gone."""
    try:
        return _now(path.parent) - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _now(folder: Path) -> float:
    """Return the time on the folder's file server."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()


@contextlib.contextmanager
def beating(path: Path) -> Iterator[None]:
    """Renew the time of change of a file or a folder every `BEAT` seconds."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            with contextlib.suppress(OSError):  # moved to its place meanwhile, or the server is away
                os.utime(path)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
