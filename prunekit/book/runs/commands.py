"""`prunekit runs`: the commands that list, retry, clean, verify and record the runs that are kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prunekit.book import paths
from prunekit.book.runs.command import (
    end_with_failures,
    engine_options,
    execute,
    limited,
    no_loop,
    refusing,
    shown_parameters,
    within,
)
from prunekit.book.runs.notebooks import Refused

if TYPE_CHECKING:
    from prunekit.book.runs.engines import Choice
    from prunekit.book.runs.execution import Job
    from prunekit.book.runs.store import Run, Store


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> None:
    """List the runs that are kept, retry failed ones, clean up."""
    if context.invoked_subcommand is None:
        context.invoke(list_runs)


folder_argument = click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False, exists=True), required=False
)


def _store(folder: Path | None) -> Store:
    from prunekit.book.runs.store import Store

    return Store(folder or (paths.RUNS if paths.in_checkout() else Path("_build") / "runs"))


@runs.command("list")
@folder_argument
@click.option("--failed", is_flag=True, help="Only failed runs.")
@refusing
def list_runs(folder: Path | None = None, failed: bool = False) -> None:
    """List the runs below FOLDER, failed ones with their error, damaged ones with what is wrong."""
    kept, damaged = _store(folder).kept()
    for r in kept:
        if failed and r.finished:
            continue
        line = f"{r.key}  {r.record['status']:8}  {r.record['finished']}  {r.record['wall_time_s']:8.1f} s  "
        click.echo(line + f"{r.record['notebook']}  {shown_parameters(r)}")
        if not r.finished:
            click.echo(f"{'':18}{r.error}\n{'':18}{r.folder}")
    for d in damaged:
        click.echo(f"{d.folder.name}  damaged   {d.why}\n{'':18}{d.folder}")


@runs.command()
@folder_argument
@refusing
def progress(folder: Path | None) -> None:
    """Say how far the batches are that were left with a scheduler, below FOLDER."""
    from prunekit.book.runs import notes

    there = notes.found(_store(folder).folder)
    for note in there:
        for line in notes.lines(note):
            click.echo(line)
    if not there:
        click.echo("no batch in flight")


@runs.command()
@folder_argument
@limited
@refusing
@engine_options()
def retry(folder: Path | None, engine: Choice, timeout: float | None, cell_timeout: float | None) -> None:
    """Execute the failed and the damaged runs below FOLDER again, with the notebooks as they are now."""
    again, unknown = _to_retry(_store(folder))
    if not again and not unknown:
        click.echo("no failed run")
        return
    jobs = {old.folder: job for old in again if (job := _job_of(old))}
    if not jobs:
        click.echo(f"none of {len(again) + unknown} failed runs can be executed again: all were skipped", err=True)
        sys.exit(1)
    done = execute(within(list(jobs.values()), timeout, cell_timeout), engine, lambda j: j.name)
    for old in again:  # where the notebook has changed, its old failure is history
        if old.folder in jobs and jobs[old.folder].key != old.key:
            from prunekit.book.runs.store import remove

            remove(old.folder)
    click.echo(
        f"{sum(r.finished for r in done)} of {len(done)} runs finished; repeat the sweep's command for its table"
    )
    end_with_failures(done)


def _to_retry(store: Store) -> tuple[list[Run], int]:
    """Return the failed and the damaged runs, and how many are left out and named, for they do not say what ran."""
    from prunekit.book.runs.store import Run

    kept, damaged = store.kept()
    unknown = [d for d in damaged if not d.record]
    for d in unknown:
        click.echo(f"skipped {d.folder}: {d.why}, so what ran is not known; repeat its command", err=True)
    again = [r for r in kept if not r.finished] + [Run(d.folder, d.record) for d in damaged if d.record]
    return again, len(unknown)


def _job_of(run: Run) -> Job | None:
    """Return the job of a run's notebook as it is now, or say why it is refused and return None."""
    from prunekit.book.runs import batch
    from prunekit.book.runs.notebooks import read

    path = Path(run.record["path"])
    path = path if path.is_absolute() or not paths.in_checkout() else paths.ROOT / path
    try:
        store = run.folder.parent if run.finished else run.folder.parent.parent
        return batch.job(read(path), run.record["parameters"], store)
    except Refused as error:
        click.echo(f"skipped {run.folder}: {error}", err=True)
        return None


@runs.command()
@folder_argument
@click.option("--failed", is_flag=True, help="Remove failed and damaged runs too.")
@click.option("--all", "everything", is_flag=True, help="Remove every run.")
@refusing
def clean(folder: Path | None, failed: bool, everything: bool) -> None:
    """Remove what killed runs left below FOLDER; runs in flight are left alone, on other machines too.

    So are the notes of batches, as long as their scheduler answers from here.
    """
    from prunekit.book.runs import notes
    from prunekit.book.runs.store import remove

    store = _store(folder)
    gone = store.leftovers()
    kept, damaged = store.kept()
    gone += [r.folder for r in kept if everything or (failed and not r.finished)]
    gone += [d.folder for d in damaged if everything or failed]
    gone += [note.path for note in notes.found(store.folder)] if everything else notes.ended(store.folder)
    for path in gone:
        remove(path)
        click.echo(f"removed {path}")
    click.echo(f"{len(gone)} removed")
    if damaged and not (everything or failed):
        click.echo(f"{len(damaged)} damaged: --failed removes them, `prunekit runs list` names them", err=True)


@runs.command()
@folder_argument
@refusing
def verify(folder: Path | None) -> None:
    """Compare every file of every run below FOLDER with its checksum; status 1 if a run is damaged."""
    kept, damaged = _store(folder).kept()
    for d in damaged:
        click.echo(f"{d.folder}: {d.why}")
    click.echo(f"{len(kept) + len(damaged)} runs, {len(damaged)} damaged")
    if damaged:
        sys.exit(1)


@runs.command("record")
@click.argument("folder", type=click.Path(path_type=Path), callback=no_loop)
@click.argument("label")
@refusing
def record_run(folder: Path, label: str) -> None:
    r"""Keep the finished run in FOLDER as the recording LABEL of its page, inside the package.

    \b
    prunekit run chapters/hessian-bias/initialization.md -p scale=paper -p data=mnist
    prunekit runs record _build/runs/hessian-bias/initialization/KEY mnist
    """
    from prunekit.book.runs.record import record
    from prunekit.book.runs.store import Damaged, Run, load

    run = load(folder.resolve())
    if isinstance(run, Damaged) and (run.folder / "run.json").exists():
        raise click.UsageError(f"{folder} is damaged ({run.why}): repeat the command that ran it")
    if not isinstance(run, Run) or not run.finished:
        raise click.UsageError(f"{folder} holds no finished run: name the folder that `prunekit run` printed")
    kept = record(run, label)
    click.echo(f"recorded: {kept} ({sum(f.stat().st_size for f in kept.iterdir()) / 1e3:.0f} kB)")
    if str(run.record["commit"]).endswith("+edits"):
        click.echo("its code was not committed when it ran: a run of a commit can be told from others", err=True)
