"""Who executes a batch: processes of this machine, or the workers of a Dask cluster.

An engine is a `concurrent.futures.Executor`. It may have ``where(future)``, which names the worker that executes
a call; its futures end with `WorkerDied` when that worker was killed, and with `EngineLost` when nothing can be
executed any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prunekit.book.runs.notebooks import Refused

ENGINES = ("processes", "dask")
ATTEMPTS = 2  # a worker killed once may have been bad luck; killed twice, the run itself is to blame


class WorkerDied(RuntimeError):
    """The worker that executed a run was killed, or went away."""


class WorkerRefused(RuntimeError):
    """Every worker refuses a run, because it would not be the run that was asked for."""


class EngineLost(RuntimeError):
    """The engine can execute nothing any more; what it published is kept."""


@dataclass(frozen=True)
class Choice:
    """What the command line says about the engine.

    Attributes
    ----------
    engine
        One of `ENGINES`.
    workers
        Processes of this machine; None where the workers of a scheduler do the work.
    scheduler, scheduler_file
        Address of a Dask scheduler, or the file in which it wrote its address.
    detach
        Whether to leave the batch with the scheduler.
    """

    engine: str = "processes"
    workers: int | None = 1
    scheduler: str | None = None
    scheduler_file: Path | None = None
    detach: bool = False

    def __post_init__(self) -> None:
        given = {
            "--scheduler": self.scheduler,
            "--scheduler-file": self.scheduler_file,
            "--detach": self.detach,
        }
        if self.engine not in ENGINES:
            raise Refused(f"engine {self.engine!r} is none of {', '.join(ENGINES)}")
        if self.engine != "dask" and any(given.values()):
            name = next(name for name, value in given.items() if value)
            raise Refused(f"{name} is for a Dask cluster: add --engine dask")
        if self.scheduler and self.scheduler_file:
            raise Refused("--scheduler and --scheduler-file: choose one")
        if self.elsewhere and self.workers is not None:
            raise Refused("--workers starts workers here, but the scheduler has its own: leave --workers out")
        if self.detach and not self.elsewhere:
            raise Refused(
                "--detach leaves the batch with a scheduler that outlives this command: name it by --scheduler "
                "or --scheduler-file"
            )

    @property
    def elsewhere(self) -> bool:
        """Whether the workers belong to a scheduler that was there before this command."""
        return bool(self.scheduler or self.scheduler_file)
