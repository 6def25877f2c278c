"""Runs, stage, Sphinx, and the swap that puts the new site in place."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from prunekit import paths
from prunekit._locks import locked
from prunekit.runs.execution import Job
from prunekit.runs.notebooks import Refused
from prunekit.runs.store import Run
from prunekit.site.evidence import Evidence, Page, wanted
from prunekit.site.stage import stage
from prunekit.site.words import duration

SEAL = ".built-from"  # the checksum of the staged book that a site was built from
INDEX = "book/introduction.html"


def build_book(
    *, scale: str, page: str | None, target: Path, execute: Callable[[list[Job]], list[Run]], force: bool = False
) -> int:
    """Execute what changed, build the site into `target`, and say how it went.

    Parameters
    ----------
    scale
        Size of the experiments.
    page
        The only page to build, or None for the whole book.
    target
        The site's folder; replaced in one step when the new site is complete.
    execute
        Has the runs of some jobs, finished or failed.
    force
        Whether pages are executed although they did not change.

    Returns
    -------
    int
        The exit status: 0, or 1 if a page or the site failed.
    """
    _refuse_foreign(target)
    pages = wanted(scale, page)
    if force:
        pages = [replace(p, job=replace(p.job, force=True), run=None) for p in pages]
    before = {p.job.key for p in pages if p.run}
    runs = execute([p.job for p in pages])
    pages = [replace(p, run=run) for p, run in zip(pages, runs, strict=True)]
    _say_times(pages, before)
    evidence = Evidence(scale, pages)
    paths.BUILD.mkdir(exist_ok=True)
    with locked(paths.BUILD / ".site.lock", "builds the site") as lock:  # two builds at once would share the stage
        built = _site(evidence, target, lock, whole=page is None)
    if built:
        where = INDEX if page is None else f"{pages[0].document}.html"
        click.echo(f"the book: {(target / where).resolve().as_uri()}")
    failed = [p for p in pages if p.run and not p.run.finished]
    for p in failed:
        click.echo(f"failed: {p.name}: {p.run.error}\n  {p.run.folder}", err=True)  # type: ignore[union-attr]
    return 0 if built and not failed else 1


def _say_times(pages: Sequence[Page], before: set[str]) -> None:
    for p in pages:
        assert p.run is not None
        state = "unchanged, not run" if p.job.key in before else p.run.record["status"]
        click.echo(f"{p.name:44} {duration(p.run.record['wall_time_s']):>9}  {state}")
    if before:
        click.echo(f"unchanged: {len(before)} of {len(pages)}, not run again (--force runs them)")


def _site(evidence: Evidence, target: Path, lock: int, *, whole: bool) -> bool:
    """Build the site from a fresh stage, unless the one in place was built from the same."""
    draft = paths.BUILD / ("stage" if whole else "stage-page")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    stage(evidence, draft / "source", whole=whole)
    seal = _seal(draft / "source")
    if (target / SEAL).exists() and (target / SEAL).read_text() == seal:
        click.echo("the site is up to date")
        shutil.rmtree(draft)
        return True
    done = _sphinx(draft, lock, strict=whole)
    if not done:
        return False
    html = draft / "out" / "_build" / "html"
    (html / SEAL).write_text(seal)
    _swap(html, target)
    shutil.rmtree(draft)
    return True


def _seal(source: Path) -> str:
    """Return a checksum of all that the site is made from: the stage, the library it documents, the versions."""
    digest = hashlib.sha256()
    library = [*paths.PACKAGE.rglob("*.py"), paths.REQUIREMENTS]
    for path in [*sorted(f for f in source.rglob("*") if f.is_file()), *sorted(library)]:
        digest.update(str(path.relative_to(source) if path.is_relative_to(source) else path.name).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sphinx(draft: Path, lock: int, *, strict: bool) -> bool:
    """Run jupyter-book on the stage, which it keeps locked if we are killed; with `strict`, warnings are errors."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(draft / "source")]
    command += ["--path-output", str(draft / "out"), "-q", *(["-W", "-n", "--keep-going"] if strict else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=(lock,))
    output = done.stdout + done.stderr
    if done.returncode:
        click.echo(output, err=True)
        click.echo(f"the site was not built (status {done.returncode}); the stage is kept: {draft}", err=True)
    elif not strict and "WARNING" in output:
        click.echo(output, err=True)
    return done.returncode == 0


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace a folder that holds something else than a site built here."""
    if target.exists() and any(target.iterdir()) and not (target / SEAL).exists():
        raise Refused(f"--out {target} holds files that are not a built site: name a new or an empty folder")


def _swap(new: Path, target: Path) -> None:
    """Put the folder `new` where `target` is."""
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    old, draft = (target.with_name(f".{target.name}.{word}") for word in ("old", "new"))
    for leftover in (old, draft):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.move(new, draft)  # a copy where the target is on another file system
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)
