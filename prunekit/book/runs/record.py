"""Turning a finished run into a recording: a few small files in the package, put there in one piece."""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from prunekit._system import files, locks
from prunekit.book import ledger, paths
from prunekit.book.recordings import RECORDS, RUN, SUMS, DamagedRecordingError, Recording, sums, unseeded
from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.store import Run

LARGEST = 2 * 10**6  # bytes of one recording: the package carries it to everybody
_OF_THE_RUN = ("host", "pid", "engine", "worker", "files", "digest")  # where it ran, and the seal of other files
_CSV = re.compile(r'<a class="pk-csv" download="([^"]+)\.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"')


def record(run: Run, label: str) -> Path:
    """Keep the results of a finished run in the package, in place of an earlier recording of that label.

    A recording of the same parameters with another seed stays, and the new one is put beside it.

    Parameters
    ----------
    run
        A finished run of one of the book's pages.
    label
        What to call the recording: small letters, digits and hyphens.

    Returns
    -------
    Path
        The recording's folder.

    Raises
    ------
    Refused
        If the label is no such word, or the run failed, is of no page, shows no figure, or has too many numbers.
    DamagedRun
        If the run's notebook is not as it was published.
    """
    page = run.record["notebook"]
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", label):
        raise Refused(f"label is {label!r}: give small letters, digits and hyphens")
    if not run.finished:
        raise Refused(f"run {run.key} of {page} failed: only a finished run can be recorded")
    if not (paths.CHAPTERS / f"{page}.md").is_file():
        raise Refused(f"run {run.key} is of {page!r}, which is no page of the book")
    contents = _contents(run)
    size = sum(len(text) for text in contents.values())
    if size > LARGEST:
        raise Refused(f"run {run.key} has {size / 1e6:.1f} MB of numbers: a recording may have {LARGEST / 1e6:.0f} MB")
    return _put(page, label, run.record["parameters"], contents)


def _contents(run: Run) -> dict[str, str]:
    """Return the files of a recording by name."""
    notebook = run.notebook()
    figures = {name: text for output in _outputs(notebook) for name, text in _tables(output)}
    if not figures:
        raise Refused(f"run {run.key} of {run.record['notebook']} shows no figure: there is nothing to draw")
    kept = [{k: v for k, v in r.items() if k not in ("verdict", "cell")} for r in ledger.records(notebook)]
    kept = [r for r in kept if "recorded" not in r]  # what the run itself only repeated
    files = {f"{name}.csv": text for name, text in figures.items()}
    about = {name: value for name, value in run.record.items() if name not in _OF_THE_RUN}
    return files | {RUN: _json(about), RECORDS: _json(kept)}


def _outputs(notebook: Any) -> list[str]:
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return [o.get("data", {}).get("text/html", "") for o in outputs]


def _tables(markup: str) -> list[tuple[str, str]]:
    return [(name, base64.b64decode(text).decode()) for name, text in _CSV.findall(markup)]


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _put(page: str, label: str, parameters: dict[str, Any], contents: dict[str, str]) -> Path:
    """Put the files and their checksums in their place, all at once."""
    with tempfile.TemporaryDirectory() as parent:
        draft = Path(parent) / label
        draft.mkdir()
        for name, text in contents.items():
            (draft / name).write_text(text, encoding="utf-8", newline="")
        (draft / SUMS).write_text(sums(draft), encoding="utf-8", newline="")
        paths.RECORDED.mkdir(parents=True, exist_ok=True)
        with locks.locked(paths.RECORDED / ".record.lock", "records a run"):
            folder, stale = _place(page, label, parameters)
            files.swap(draft, folder)
            for old in stale:
                shutil.rmtree(old)
    return folder


def _place(page: str, label: str, parameters: dict[str, Any]) -> tuple[Path, list[Path]]:
    """Return where a recording goes: beside those of other seeds, else to the label; and what it makes out of date."""
    own = paths.RECORDED / page / label
    for folder in [own, *files.waiting(own.parent)]:
        files.recover(folder)
    alike: list[Path] = []
    stale: list[Path] = []
    for folder in [own, *sorted(own.parent.glob(f"{label}+*"))]:
        try:
            kept = Recording(page, folder.name, folder).parameters
        except (DamagedRecordingError, KeyError):
            kept = {}
        same = unseeded(kept) == unseeded(parameters)
        if same and kept.get("seed") == parameters.get("seed"):
            return folder, []
        (alike if same else stale).append(folder)
    if not alike:
        return own, [folder for folder in stale if folder != own]
    return own if own in stale else own.with_name(f"{label}+{parameters.get('seed')}"), []
