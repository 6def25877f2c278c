"""Runs, stage, Sphinx, and the swap that puts the new site in place."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from prunekit._system import files
from prunekit._system.locks import locked
from prunekit.book import paths
from prunekit.book.runs.batch import Progress
from prunekit.book.runs.execution import Job
from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.store import Run
from prunekit.book.site import costs, crate
from prunekit.book.site.early import EarlySites
from prunekit.book.site.evidence import Evidence, Page, wanted
from prunekit.book.site.stage import stage
from prunekit.book.site.words import duration

SEAL = ".built-from"  # the checksum of the staged book that a site was built from
EARLY = "early"  # stands in the seal of a site that some pages are missing from
WORTH_IT = 180.0  # seconds of waiting from which a site is built early; less is not worth a run of Sphinx
INDEX = "book/introduction.html"
Execute = Callable[[list[Job], Progress | None, Mapping[str, float]], list[Run]]


def build_book(
    *, scale: str, page: str | None, target: Path, execute: Execute, workers: int | None, force: bool = False
) -> int:
    """Execute what changed, build the site into `target`, and say how it went.

    Parameters
    ----------
    scale
        Size of the experiments.
    page
        The only page to build, or None for the whole book.
    target
        The site's folder, which is replaced in one step when the new site is complete. Where there was none and the
        wait is long, it gets the pages that are finished meanwhile.
    execute
        Returns the runs of some jobs, finished or failed, in the order of the jobs; its second argument is told of each
        run that ends, and its third says how many seconds runs take, by key, as far as that is known.
    workers
        How many pages `execute` executes at a time; None where that is not known beforehand.
    force
        Whether pages are executed although they did not change.

    Returns
    -------
    int
        The exit status: 0, or 1 if a page or the site failed.

    Raises
    ------
    Refused
        If the site cannot be put into `target`, or the checkout cannot be written.
    OSError
        If the disk takes no more; the site in place then stays as it was.
    """
    _refuse_foreign(target)
    _refuse_unwritable(target)
    files.recover(target)
    pages = wanted(scale, page)
    if force:
        pages = [replace(p, job=replace(p.job, force=True), run=None) for p in pages]
    before = {p.job.key for p in pages if p.run}
    runs = _execute(pages, scale, target, execute, workers, whole=page is None)
    pages = [replace(p, run=runs[p.job.key]) for p in pages]
    _say_times(pages, before)
    built = _site(Evidence(scale, pages), target, whole=page is None)
    if built:
        click.echo(f"the book: {_address(target, None if page is None else pages[0])}")
    failed = [p for p in pages if p.run and not p.run.finished]
    for p in failed:
        click.echo(f"failed: {p.name}: {p.run.error}\n  {p.run.folder}", err=True)  # type: ignore[union-attr]
    return 0 if built and not failed else 1


def _execute(
    pages: list[Page], scale: str, target: Path, execute: Execute, workers: int | None, *, whole: bool
) -> dict[str, Run]:
    """Return the pages' runs by key, executing the longest first.

    Where the wait is long, an early site shows what is finished.
    """
    missing = [p for p in pages if not p.run]
    known = costs.here(missing, scale)
    missing.sort(key=lambda p: -known.seconds[p.name])
    seconds = [known.seconds[p.name] for p in missing]
    wait = costs.forecast(seconds, workers) if workers else 0.0
    early = None
    if missing and workers:
        _say_plan(pages, missing, wait, known, workers)
    unknown = bool(missing) and len(known.guessed) == len(missing)  # it may be long
    if workers and whole and (wait >= WORTH_IT or unknown):
        if _is_whole(target):
            click.echo(f"until then the last build's site can be read: {_address(target)}")
        else:
            first = "" if unknown else f", the first in about {duration(min(seconds[:workers]))}"
            click.echo(f"finished pages can be read before that{first}")
            early = EarlySites(pages, lambda there: _early_site(Evidence(scale, there), target))
    jobs = [p.job for p in [*(p for p in pages if p.run), *missing]]
    expected = {p.job.key: known.seconds[p.name] for p in missing if p.name not in known.guessed}
    try:
        return {job.key: run for job, run in zip(jobs, execute(jobs, early, expected), strict=True)}
    finally:
        if early:
            early.close()


def _say_plan(pages: list[Page], missing: list[Page], wait: float, known: costs.Costs, workers: int) -> None:
    what = f"{len(missing)} of {len(pages)} pages to execute, {min(workers, len(missing))} at a time"
    if len(known.guessed) == len(missing):
        click.echo(f"{what}; how long they take is not known yet")
        return
    guessed = f"; {len(known.guessed)} of them are guessed" if known.guessed else ""
    click.echo(f"{what}, the longest first: about {duration(wait)} on this machine{guessed}")


def _say_times(pages: Sequence[Page], before: set[str]) -> None:
    for p in pages:
        assert p.run is not None
        state = "unchanged, not run" if p.job.key in before else p.run.record["status"]
        click.echo(f"{p.name:44} {duration(p.run.record['wall_time_s']):>9}  {state}")
    if before:
        click.echo(f"unchanged: {len(before)} of {len(pages)}, not run again (--force runs them)")


def _address(target: Path, page: Page | None = None) -> str:
    return (target / (f"{page.document}.html" if page else INDEX)).resolve().as_uri()


def _early_site(evidence: Evidence, target: Path) -> bool:
    """Build the site of the pages that are finished, and say what can be read."""
    from tqdm import tqdm

    built = _site(evidence, target, whole=True, early=True)
    if built:
        done = [p.name for p in evidence.pages if p.run]
        tqdm.write(f"{len(done)} of {len(evidence.pages)} pages can be read: {_address(target)} ({', '.join(done)})")
    return built


def _site(evidence: Evidence, target: Path, *, whole: bool, early: bool = False) -> bool:
    """Build the site from a fresh stage, unless the one in place was built from the same."""
    paths.BUILD.mkdir(exist_ok=True)
    draft = paths.BUILD / ("stage" if whole else "stage-page")
    with locked(paths.BUILD / ".site.lock", "builds the site") as lock:  # two builds at once would share the stage
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(parents=True)
            stage(evidence, draft / "source", whole=whole)
            seal = _seal(draft / "source")
            if (target / SEAL).exists() and (target / SEAL).read_bytes() == seal.encode():
                click.echo("the site is up to date")
            elif _sphinx(draft, lock, strict=whole and not early, quiet=early):
                html = draft / "out" / "_build" / "html"
                crate.write(evidence, html)
                (html / SEAL).write_text(f"{seal} {EARLY}" if early else seal)
                files.swap(html, target)
            else:
                return False
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)  # a full disk needs the room
            raise
        shutil.rmtree(draft)
        return True


def _is_whole(target: Path) -> bool:
    """Tell whether a site stands in `target` that was built at the end of a build."""
    return (target / SEAL).exists() and not (target / SEAL).read_bytes().endswith(EARLY.encode())


def _seal(source: Path) -> str:
    """Return a checksum of all that the site is made from: the stage, the library it documents, the versions."""
    digest = hashlib.sha256()
    library = [*paths.PACKAGE.rglob("*.py"), paths.REQUIREMENTS]
    for path in [*sorted(f for f in source.rglob("*") if f.is_file()), *sorted(library)]:
        digest.update(str(path.relative_to(source) if path.is_relative_to(source) else path.name).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sphinx(draft: Path, lock: int, *, strict: bool, quiet: bool) -> bool:
    """Run jupyter-book on the stage, in a process that ends with this one; with `strict`, warnings are errors.

    Raises
    ------
    OSError
        If it failed because the disk takes no more.
    """
    command = [sys.executable, "-m", "prunekit.book.site.compiler", "build", str(draft / "source")]
    command += ["--path-output", str(draft / "out"), "-q", *(["-W", "-n", "--keep-going"] if strict else [])]
    ours, theirs = os.pipe()
    try:
        done = subprocess.run(
            command, stdin=ours, capture_output=True, text=True, check=False, errors="replace", pass_fds=(lock,)
        )
    finally:
        os.close(ours)
        os.close(theirs)
    output = done.stdout + done.stderr
    for number in (errno.ENOSPC, errno.EROFS, errno.EDQUOT) if done.returncode else ():
        if os.strerror(number) in output:
            raise OSError(number, os.strerror(number), str(draft))
    if done.returncode and not quiet:
        click.echo(output, err=True)
        click.echo(f"the site was not built (status {done.returncode}); the stage is kept: {draft}", err=True)
    elif not strict and not quiet and "WARNING" in output:
        click.echo(output, err=True)
    return done.returncode == 0


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace a folder that holds anything other than a site built here."""
    if target.exists() and any(target.iterdir()) and not (target / SEAL).exists():
        raise Refused(f"--out {target} holds files that are not a built site: name a new or an empty folder")


def _refuse_unwritable(target: Path) -> None:
    """Refuse, before anything runs, a site that could not be put in its place, and a checkout without room for it."""
    for folder, words in ((target.resolve().parent, f"--out {target}"), (paths.BUILD, f"the checkout {paths.ROOT}")):
        there = next(p for p in (folder, *folder.parents) if p.exists())
        if not there.is_dir():
            raise Refused(f"{words}: {there} is a file; name a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise Refused(f"{words} cannot be written: {there} is not writable")
