"""What the commands about runs have in common: refusals, limits, the choice of an engine, the batch, how it may end."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from prunekit.book.runs import batch, notes
from prunekit.book.runs.engines import ENGINES, Choice, EngineLost
from prunekit.book.runs.execution import Job
from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.opening import opened
from prunekit.book.runs.progress import Bar
from prunekit.book.runs.seal import DamagedRun
from prunekit.book.runs.store import Run


def no_loop(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a path of links that lead in a circle: `Path.resolve` raises no `OSError` for it before Python 3.13."""
    try:
        if path:
            path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise click.BadParameter(f"{path} is a link that leads back to itself; name a folder") from error
    return path


def refusing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a refused request into a usage error (status 2), and what the system refuses or damaged into status 1."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Refused as error:
            raise click.UsageError(str(error)) from error
        except DamagedRun as error:
            raise click.ClickException(f"{error}: repeat the command, which executes it again") from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads the output any more: click ends the command
                raise
            where = error.filename2 or error.filename
            said = error.strerror or str(error) or type(error).__name__
            raise click.ClickException(f"{said}{f': {where}' if where else ''}") from error

    return wrapped


def within(jobs: list[Job], timeout: float | None, cell_timeout: float | None) -> list[Job]:
    """Return the jobs with limits of time, which are in no key."""
    return [replace(job, timeout=timeout, cell_timeout=cell_timeout) for job in jobs]


def end_with_failures(runs: list[Run]) -> None:
    """Say which runs failed, and end with status 1 if any did."""
    say_failures(runs)
    if not all(r.finished for r in runs):
        sys.exit(1)


def say_failures(runs: list[Run]) -> None:
    """Say which runs failed, why, and where what is left of them is."""
    for r in [r for r in runs if not r.finished]:
        click.echo(f"failed: {r.record['notebook']} {shown_parameters(r)}\n  {r.error}", err=True)
        if r.folder.is_dir():
            click.echo(f"  partial notebook and traceback: {r.folder}", err=True)


def shown_parameters(r: Run) -> str:
    """Return a run's parameters on one line."""
    return json.dumps(r.record["parameters"], ensure_ascii=False)


def workers_option(*, every_core: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a command choose its number of workers: 1 where none is given, or None with `every_core`."""
    what = "Pages to execute at a time; each kernel is single-threaded."
    return click.option(
        *("--workers", "--jobs", "workers"),
        type=click.IntRange(min=1),
        default=None if every_core else 1,
        show_default="one for each core" if every_core else True,
        help=what if every_core else what.replace("Pages", "Notebooks"),
    )


class Seconds(click.FloatRange):
    """A positive number of seconds that is finite: NaN, which no comparison refuses, and infinity are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that a text gives."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is no finite number; leave the option out for no limit.", param, ctx)
        return seconds


SECONDS = Seconds(min=0, min_open=True)


def limited(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the limits of time of its runs."""
    whole = click.option("--timeout", type=SECONDS, metavar="SECONDS", help="End a run that takes longer, as failed.")
    cell = click.option("--cell-timeout", type=SECONDS, metavar="SECONDS", help="The same for each cell of a run.")
    return whole(cell(command))


def engine_options(*, every_core: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a command choose who executes its runs; it gets one `prunekit.book.runs.engines.Choice` as ``engine``.

    With `every_core` the choice has no number of workers where the user gave none: the command then takes as many as
    fit this machine.
    """
    return lambda command: _with_engine(command, workers_option(every_core=every_core))


def _with_engine(command: Callable[..., Any], how_many: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def chosen(
        *args: Any,
        engine: str,
        workers: int | None,
        scheduler: str | None,
        scheduler_file: Path | None,
        detach: bool,
        **kwargs: Any,
    ) -> Any:
        source = click.get_current_context().get_parameter_source("workers")
        own = workers if source != click.core.ParameterSource.DEFAULT or not (scheduler or scheduler_file) else None
        choice = Choice(engine, own, scheduler, scheduler_file, detach)
        return command(*args, engine=choice, **kwargs)

    options = [
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default="processes",
            show_default=True,
            help="Who executes: processes of this machine, or Dask (the extra cluster).",
        ),
        how_many,
        click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers execute, tcp://HOST:PORT."),
        click.option(
            "--scheduler-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File in which a Dask scheduler wrote its address.",
        ),
        click.option("--detach", is_flag=True, help="Leave the runs with the scheduler and return at once."),
    ]
    for option in reversed(options):
        chosen = option(chosen)
    return chosen


def execute(
    jobs: list[Job],
    choice: Choice,
    label: Callable[[Job], str],
    also: batch.Progress | None = None,
    expected: Mapping[str, float] | None = None,
) -> list[Run]:
    """Have the runs of some jobs; end the command where they are left to others, or the engine is lost.

    `also` is told what the progress bar is told; `expected` tells the bar how many seconds runs take, by key.
    """
    wanted = {j.key: j for j in jobs}
    pending = [j for j in wanted.values() if j.force or not j.store.finished(j.key)]
    with batch.ending_at_once():
        try:
            with opened(choice, pending, label) as engine:
                for warning in getattr(engine, "warnings", []):
                    click.echo(warning, err=True)
                if choice.detach and pending:
                    engine.detach(pending)  # type: ignore[attr-defined]
                    _end_detached(pending, engine.address)  # type: ignore[attr-defined]
                with closing(Bar(len(wanted), label, expected)) as bar:
                    runs = batch.run_all(jobs, engine, batch.telling(bar, also) if also else bar)
        except EngineLost as error:
            _end_lost(list(wanted.values()), error)
    for folder in {j.folder for j in jobs}:
        notes.settle(folder)
    return runs


def _end_detached(jobs: list[Job], address: str) -> NoReturn:
    click.echo(f"left {len(jobs)} runs with the scheduler at {address}; how far they are:")
    click.echo(f"  prunekit runs progress {os.path.commonpath([j.folder for j in jobs])}")
    click.echo("repeat the command without --detach for their results")
    sys.exit(0)


def _end_lost(jobs: list[Job], error: EngineLost) -> NoReturn:
    finished = sum(j.store.finished(j.key) is not None for j in jobs)
    click.echo(
        f"\n{error}\n{finished} of {len(jobs)} runs are finished and kept. To go on, start a scheduler and workers "
        "again, or choose another engine, and repeat the command",
        err=True,
    )
    sys.exit(1)
