"""The command line: run and sweep notebooks, look after runs, build the book, read the ledger, diagnose a network.

Exit status: 0 when all is well, 1 when a notebook or the site failed, 2 for a request that was refused before
anything ran, 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prunekit import __version__
from prunekit._system.extras import MissingExtra
from prunekit.book import paths
from prunekit.book.runs import command
from prunekit.book.runs.command import engine_options, limited, refusing
from prunekit.book.runs.commands import runs
from prunekit.book.runs.recording_commands import group as record
from prunekit.book.runs.seal import DamagedRun
from prunekit.book.scales import SCALES
from prunekit.diagnosis.command import diagnose

if TYPE_CHECKING:
    from prunekit.book.runs.engines import Choice
    from prunekit.book.runs.execution import Job

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

force_option = click.option(
    "--force", is_flag=True, help="Execute again what is there; a new run replaces the old one when it has finished."
)


class Speaking(click.Group):
    """Commands that say in a sentence which extra is missing."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a package that an extra installs may be missing."""
        try:
            return super().invoke(ctx)
        except MissingExtra as reason:
            raise click.UsageError(str(reason)) from reason


@click.group(context_settings=HELP, cls=Speaking)
@click.version_option(__version__, prog_name="prunekit")
def main() -> None:
    """Run the theory of neural-network pruning.

    Run a notebook of the book with other parameters, sweep a grid of them, build the book, and see which claims of
    the papers held.
    """


main.add_command(runs)
main.add_command(record)
main.add_command(diagnose)


def _pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.isidentifier():
            raise click.UsageError(f"{option} {value!r}: write it as name=value")
        if name in pairs:
            raise click.UsageError(f"{option} {name} is given twice")
        pairs[name] = text
    return pairs


@main.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("-p", "--parameter", "given", multiple=True, metavar="NAME=VALUE", help="Set one parameter.")
@click.option(
    "--grid", "axes", multiple=True, metavar="NAME=V1,V2,…", help="Sweep a parameter over values; repeatable."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    callback=command.no_loop,
    help="Folder of the runs and results.csv  [default: _build/runs/NAME]",
)
@force_option
@limited
@click.option("--dry-run", is_flag=True, help="Say what would run, and run nothing.")
@refusing
@engine_options()
def run(
    notebook: Path,
    given: tuple[str, ...],
    axes: tuple[str, ...],
    engine: Choice,
    out: Path | None,
    force: bool,
    timeout: float | None,
    cell_timeout: float | None,
    dry_run: bool,
) -> None:
    r"""Execute NOTEBOOK (.md or .ipynb), once or over every combination of the grids.

    Repeating the command resumes it: what is finished is not run again, unless --force is given. Every combination's
    parameters and all numbers that the notebook reports end up in one table, results.csv.

    \b
    prunekit run chapters/overparameterization/linear-gaussian.md -p seed=1
    prunekit run linear-gaussian.ipynb --grid seed=0,1,2 --grid noise_variance=0.1,1 --workers 2 --out sweep
    prunekit run linear-gaussian.ipynb --grid seed=0,1,2 --engine dask --scheduler tcp://HOST:8786 --out /shared/sweep
    """
    from prunekit.book.runs import batch
    from prunekit.book.runs.notebooks import parse_value, parse_values, read

    book = read(notebook)
    fixed = {n: parse_value(book, n, text) for n, text in _pairs(given, "-p").items()}
    grid = {n: parse_values(book, n, text) for n, text in _pairs(axes, "--grid").items()}
    both = set(fixed) & set(grid)
    if both:
        raise click.UsageError(f"{', '.join(sorted(both))}: given by -p and by --grid; choose one")
    folder = out or default_folder(book.name)
    jobs = [batch.job(book, c, folder, force=force) for c in batch.combinations(fixed, grid)]
    if dry_run:
        _dry_run(jobs)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out {folder} cannot be made: {error}") from error
    there = [j for j in jobs if not force and j.store.finished(j.key)]
    runs = command.execute(command.within(jobs, timeout, cell_timeout), engine, lambda j: _label(j, list(grid)))
    if there:
        click.echo(f"unchanged: {len(there)} of {len(jobs)}, not run again (--force runs them)")
    done = f"{sum(r.finished for r in runs)} of {len(runs)} runs finished"
    try:
        table = batch.write_table(runs, folder / "results.csv")
    except (OSError, DamagedRun) as error:
        why = getattr(error, "strerror", None) or error
        click.echo(f"{done}; {folder / 'results.csv'} was not written ({why}): repeat the command for it", err=True)
        command.say_failures(runs)
        sys.exit(1)
    click.echo(f"{done}; their numbers: {table}")
    for r in runs if len(runs) == 1 else []:
        if (r.folder / "notebook.ipynb").is_file():
            click.echo(f"executed notebook: {r.folder / 'notebook.ipynb'}")
    command.end_with_failures(runs)


def default_folder(name: str) -> Path:
    """Return the folder of a notebook's runs: in the checkout's build folder, else below the working directory."""
    return (paths.RUNS if paths.in_checkout() else Path("_build") / "runs") / name


def _label(job: Job, axes: list[str]) -> str:
    values = ", ".join(f"{a}={job.parameters[a]}" for a in axes)
    return values or job.name


def _dry_run(jobs: list[Job]) -> None:
    for job in jobs:
        state = "finished" if not job.force and job.store.finished(job.key) else "to run"
        click.echo(f"{job.key}  {state:8}  {json.dumps(job.parameters, ensure_ascii=False)}")
    click.echo(f"{len(jobs)} runs in {jobs[0].folder}; nothing was executed")


@main.command()
@click.option(
    "--scale", type=click.Choice(SCALES), default="laptop", show_default=True, help="Size of the experiments."
)
@click.option("--page", help="Only this page, e.g. overparameterization/linear-gaussian.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    callback=command.no_loop,
    help="Folder of the site  [default: _build/html]",
)
@force_option
@limited
@refusing
@engine_options(every_core=True)
def build(
    scale: str,
    engine: Choice,
    page: str | None,
    out: Path | None,
    force: bool,
    timeout: float | None,
    cell_timeout: float | None,
) -> None:
    """Execute every chapter that changed and build the static site."""
    if not paths.in_checkout():
        raise click.UsageError(f"no book here: {paths.ROOT} has no _toc.yml; build it in a checkout")
    from prunekit.book.runs import batch
    from prunekit.book.site.build import build_book
    from prunekit.book.site.costs import workers_here

    target = out or (paths.HTML if page is None else paths.BUILD / "page")
    if engine.workers is None and not engine.elsewhere:
        engine = replace(engine, workers=workers_here(scale))
    with batch.ending_at_once():
        status = build_book(
            scale=scale,
            page=page,
            target=target,
            force=force,
            execute=lambda jobs, *told: command.execute(
                command.within(jobs, timeout, cell_timeout), engine, lambda j: j.name, *told
            ),
            workers=engine.workers,
        )
    sys.exit(status)


@main.command()
@click.argument("page")
@click.option("--scale", type=click.Choice(SCALES), help="The page's scale  [default: the notebook's own]")
@click.option("-p", "--parameter", "given", multiple=True, metavar="NAME=VALUE", help="Set one parameter.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    callback=command.no_loop,
    help="Folder of the runs  [default: _build/runs/NAME]",
)
@refusing
def why(page: str, scale: str | None, given: tuple[str, ...], out: Path | None) -> None:
    r"""Say what is in the key of PAGE, and what changed since its last run.

    PAGE is a page of the book or a notebook (.md or .ipynb). A page is executed again when its key has changed.

    \b
    prunekit why matrix-sensing/pruning
    prunekit why sweep.md -p seed=3 --out sweep
    """
    from prunekit.book.runs import batch, keys
    from prunekit.book.runs.notebooks import parse_value, read
    from prunekit.book.runs.why import changes, contents, last_run

    inside = paths.CHAPTERS / f"{page.removeprefix('chapters/').removesuffix('.md')}.md"
    book = read(Path(page) if Path(page).is_file() or not paths.in_checkout() else inside)
    pairs = _pairs(given, "-p")
    if scale and "scale" in pairs:
        raise click.UsageError("scale is given by -p and by --scale; choose one")
    pairs |= {"scale": scale} if scale else {}
    job = batch.job(book, {n: parse_value(book, n, t) for n, t in pairs.items()}, out or default_folder(book.name))
    click.echo(f"{book.name}: key {job.key}")
    for line in contents(job, keys.reachable(book)):
        click.echo(f"  {line}")
    before = last_run(job)
    if before is None:
        click.echo(f"no earlier run of it is kept in {job.folder}")
        return
    changed = changes(before, job)
    ended = f"{before.record['status']} {before.record['finished']}, key {before.key}"
    click.echo(f"{'changed' if changed else 'nothing changed'} since its last run ({ended})")
    for line in changed:
        click.echo(f"  {line}")
    if job.store.finished(job.key):
        click.echo("a run of this key is there: it is not executed again")


@main.command()
@click.option("--scale", type=click.Choice(SCALES), default="laptop", show_default=True, help="Which build's evidence.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, records included.")
@click.option("--paper", help="Only the claims of this paper.")
@click.option("--seeds", metavar="S1,S2,…", help="Say which verdicts flip over runs of all pages with these seeds.")
@click.option("--keep", "machine", metavar="MACHINE", help="Keep what --seeds saw for the scorecard, under this name.")
@click.option("--partial", is_flag=True, help="Let --seeds leave out pages that were not run with a seed.")
@refusing
def claims(scale: str, as_json: bool, paper: str | None, seeds: str | None, machine: str | None, partial: bool) -> None:
    r"""Print the ledger: every claim with its verdict, from the executed notebooks of the book.

    Where there is no checkout, the verdicts are those of the release.

    With --seeds the verdicts of several runs of every page are compared; make these first:

    \b
    for page in chapters/*/*.md; do prunekit run $page -p scale=laptop --grid seed=0,1,2 --workers 2; done
    prunekit claims --seeds 0,1,2 --keep AVX-512

    With --keep a single seed will do, to be compared with what is kept of other machines. What instructions a machine
    has is not in a run's address: runs under ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 belong in another
    checkout, with a copy of book/fragile.json.
    """
    from prunekit.book import fragility
    from prunekit.book.ledger import ledger

    released = not paths.in_checkout()
    if released and (seeds is not None or scale != "laptop"):
        raise click.UsageError("no book here, only the verdicts of the release: judge other runs in a checkout")
    known = ledger().papers
    if paper and paper not in known:
        raise click.UsageError(f"paper {paper!r} is not in the ledger; it has: {', '.join(known)}")
    if (machine or partial) and seeds is None:
        option = "--keep" if machine else "--partial"
        raise click.UsageError(f"{option} is given without --seeds: say which seeds were run")
    if seeds is not None:
        _flips(scale, _numbers(seeds, 1 if machine else 2), paper, machine, partial)
        return
    rows = [row for row in (fragility.released() if released else _judged(scale)) if not paper or row["paper"] == paper]
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    if released:
        click.echo(f"the verdicts of prunekit {__version__}, as it was released; a checkout judges its own runs\n")
    _print_rows(rows, scale)


def _judged(scale: str) -> list[dict[str, Any]]:
    """Return the ledger's rows with the verdicts of the executed notebooks, saying which runs are damaged."""
    from prunekit.book.site.evidence import collect

    evidence = collect(scale)
    for page in evidence.pages:
        if not page.run and (why := page.job.store.damage(page.job.key)):
            click.echo(f"run {page.job.key} of {page.name} is damaged ({why}): build the book again", err=True)
    return evidence.rows()


def _print_rows(rows: list[dict[str, Any]], scale: str) -> None:
    """Print rows of the ledger with their statements, and how many came to which verdict."""
    width = max(len(row["id"]) for row in rows)
    for row in rows:
        click.echo(f"{row['id']:{width}}  {row['verdict']:26}  {row['place']}")
        for statement in row["statements"] if len(row["statements"]) > 1 else []:
            click.echo(f"{'':{width}}    {statement['verdict']:24}  {statement['name'] or 'recorded before'}")
    click.echo("")
    for what, verdicts in {
        "rows": [row["verdict"] for row in rows],
        "statements": [statement["verdict"] for row in rows for statement in row["statements"]],
    }.items():
        counts = {v: verdicts.count(v) for v in dict.fromkeys(verdicts)}
        click.echo(f"{len(verdicts)} {what} at {scale} scale: " + ", ".join(f"{n} {v}" for v, n in counts.items()))


def _numbers(seeds: str, least: int) -> list[int]:
    """Return the seeds that an option lists: so many at least, each once."""
    try:
        numbers = [int(text) for text in seeds.split(",")]
    except ValueError:
        numbers = []
    if len(set(numbers)) < max(least, len(numbers)) or any(number < 0 for number in numbers):
        raise click.UsageError(
            f"--seeds is {seeds!r}: give two or more different whole numbers, as 0,1,2; with --keep one will do"
        )
    return numbers


def _flips(scale: str, seeds: list[int], paper: str | None, machine: str | None, partial: bool) -> None:
    """Say which statements' verdicts flip over the seeds, and keep what was seen if the machine has a name."""
    from prunekit.book import fragility
    from prunekit.book.site.evidence import collect

    looks = []
    for seed in seeds:
        evidence = collect(scale, seed)
        missing = [page.name for page in evidence.pages if not (page.run and page.run.finished)]
        if missing and not partial:
            raise click.UsageError(
                f"{len(missing)} of {len(evidence.pages)} pages have no finished run with seed {seed}, {missing[0]} "
                f"first: prunekit run chapters/{missing[0]}.md -p scale={scale} --grid seed={','.join(map(str, seeds))}"
            )
        if missing:
            click.echo(f"not run with seed {seed}: {', '.join(missing)}")
        records = [record for page in evidence.pages for record in page.records]
        looks.append(fragility.look(machine or "this machine", seed, records))
    marks = fragility.Marks(looks)
    flipping = [key for key in marks.flipping() if not paper or key[0].startswith(f"{paper}/")]
    for claim, statement in flipping:
        click.echo(f"{claim}{', ' * bool(statement)}{statement}: {marks.said(claim, statement)}")
    click.echo(f"{len(flipping)} of {marks.tested} statements are fragile over seeds {', '.join(map(str, seeds))}")
    if machine:
        every = fragility.keep(looks)
        click.echo(f"kept for the scorecard: {paths.FRAGILE.relative_to(paths.ROOT)}")
        click.echo(f"{len(every.flipping())} of {every.tested} statements are fragile over {every.described()}")
