"""Real ``dask scheduler`` and ``dask worker`` processes on the loopback, which a test may kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from prunekit.book import paths
from tests.book.runs.helpers import descendants, wait_for


class Processes:
    """A scheduler and its workers, started as a user starts them; each worker has a scratch folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.workers = folder, {}
        self.scheduler = self.file = None
        self._started: list[subprocess.Popen] = []

    def start_scheduler(self) -> Processes:
        """Start a scheduler on a port of its own choice, and wait for its address."""
        self.file = self.folder / f"scheduler-{len(self._started)}.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self.file))
        wait_for(lambda: self.file.exists() and self.file.read_text().strip().endswith("}"))
        return self

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return json.loads(self.file.read_text())["address"]

    def start_worker(
        self, name: str, threads: int = 1, folder: Path | None = None, **environment: str
    ) -> subprocess.Popen:
        """Start a worker that is not restarted when it is killed, and wait until the scheduler has it."""
        scratch = self.folder / f"scratch-{name}"
        log = self.folder / f"{name}.log"
        self.workers[name] = self._start(
            *("worker", self.address, "--name", name, "--nthreads", str(threads), "--no-nanny"),
            *("--local-directory", str(scratch)),
            log=log,
            folder=folder,
            **environment,
        )
        wait_for(lambda: "Starting established connection" in log.read_text() or self.workers[name].poll() is not None)
        assert self.workers[name].poll() is None, log.read_text()
        return self.workers[name]

    def _start(
        self, what: str, *arguments: str, log: Path | None = None, folder: Path | None = None, **environment: str
    ):  # type: ignore[no-untyped-def]
        log = log or self.folder / f"{what}-{len(self._started)}.log"
        command = [sys.executable, "-m", "dask", what, *arguments, "--host", "127.0.0.1", "--dashboard-address", ":0"]
        with log.open("w") as stream:
            process = subprocess.Popen(
                command,
                stdout=stream,
                stderr=stream,
                cwd=folder or self.folder,  # `python -m` imports from there first
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def stop(self) -> None:
        """Kill what is left, kernels included."""
        below = [child for process in self._started for child in descendants(process.pid)]
        for process in self._started:
            kill(process)
        for child in below:
            if child.is_running():
                child.kill()


def kill(process: subprocess.Popen) -> None:
    """SIGKILL a process, alone, and wait for its end."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()


def other_checkout(folder: Path) -> Path:
    """Make a checkout whose library and pins are not ours."""
    shutil.copytree(paths.PACKAGE, folder / "prunekit", ignore=shutil.ignore_patterns("__pycache__", "recorded"))
    (folder / "prunekit" / "book" / "recorded").symlink_to(paths.RECORDED)
    for name in ("_toc.yml", "chapters", "book"):
        (folder / name).symlink_to(paths.ROOT / name)
    with (folder / "prunekit" / "book" / "ledger.py").open("a") as stream:
        stream.write("\nANOTHER = 1\n")
    pins = paths.REQUIREMENTS.read_text()
    (folder / "requirements.txt").write_text(pins + "another==1.0\n")
    return folder
