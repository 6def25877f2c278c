"""Recorded runs: what a page found at a setting that takes too long for every build, kept small in the package.

A recording is made from a finished run of the page's own notebook (``prunekit runs record``) and holds the run's
``run.json``, the numbers behind its figures as CSV, and what its checks and reports left behind. A page draws these
numbers next to what it computes live, and judges them by the same lines (`prunekit.check(…, recorded=…)`).
``SHA256SUMS`` holds the files' checksums as ``sha256sum --check`` reads them; a file that differs is never read.
Runs of one label that differ in their seed are kept side by side (`several`), and judged together (`together`).
"""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prunekit import _checks
from prunekit._system import files
from prunekit.book import paths

RUN, RECORDS, SUMS = "run.json", "records.json", "SHA256SUMS"


class MissingRecordingError(LookupError):
    """There is no such recording; the message names those there are."""


class DamagedRecordingError(ValueError):
    """A recording is not as it was made; the message names the files."""


@dataclass(frozen=True)
class Recording:
    """A recorded run of a page.

    Attributes
    ----------
    page
        The page's name, such as ``hessian-bias/initialization``.
    label
        The recording's name among those of the page.
    folder
        The folder of its files.
    """

    page: str
    label: str
    folder: Path

    @cached_property
    def run(self) -> dict[str, Any]:
        """The run's ``run.json``: key, commit, versions, device, data, times, memory."""
        return json.loads(self._text(RUN))

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter of the run."""
        return self.run["parameters"]

    @property
    def parts(self) -> tuple[Recording, ...]:
        """The runs that it holds: itself, or several seeds of its label (`together`)."""
        return (self,)

    @property
    def provenance(self) -> str:
        """A sentence that says when, for how long, on what device and from which commit it was run."""
        device = self.run["device"]
        return (
            f"recorded {self.run['finished'][:10]} in {self.run['wall_time_s'] / 60:.0f} min on {device['kind']} "
            f"{device['name']}, commit {self.run['commit'] or 'unknown'}"
        )

    @property
    def figures(self) -> list[str]:
        """Names of the figures whose numbers were kept."""
        return sorted(path.stem for path in self.folder.glob("*.csv"))

    def numbers(self, figure: str) -> dict[str, list[Any]]:
        """Return the columns behind a figure, as they were given to `prunekit.book.plotting.show`.

        A column in which every cell that is not empty is a number is a column of numbers, one of only True and
        False a column of flags; an empty cell is None.

        Raises
        ------
        ValueError
            If there is no such figure; the message names those there are.
        DamagedRecordingError
            If its numbers are not those that were recorded.
        """
        if _checks.text("figure", figure) not in self.figures:
            raise ValueError(f"figure is {figure!r}: the recording has {', '.join(self.figures) or 'none'}")
        names, *rows = csv.reader(io.StringIO(self._text(f"{figure}.csv"), newline=""))
        return {name: _typed([row[k] for row in rows]) for k, name in enumerate(names)}

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return json.loads(self._text(RECORDS))

    def _text(self, name: str) -> str:
        """Return a file's text, its checksum compared with the one that was recorded."""
        try:
            content = (self.folder / name).read_bytes()
            listed = (self.folder / SUMS).read_bytes().splitlines()
        except FileNotFoundError as error:
            raise _damaged(self.folder, f"{Path(error.filename).name} is missing") from None
        if _line(name, content).encode() not in listed:
            raise _damaged(self.folder, f"{name} changed")
        return content.decode()

    @property
    def reports(self) -> dict[str, Any]:
        """Everything that the run reported, by name."""
        reported = [r["values"] for r in self._records if r["kind"] == "report"]
        return {name: value for values in reported for name, value in values.items()}

    @property
    def checks(self) -> list[dict[str, Any]]:
        """What the run's checks had recorded, as it stands in the file; its numbers are judged anew by the page."""
        return [r for r in self._records if r["kind"] == "claim"]


def has(page: str, label: str) -> bool:
    """Tell whether a page has a recording of that label."""
    folder = paths.RECORDED / _checks.text("page", page) / _checks.text("label", label)
    if "\0" in page + label:
        raise ValueError("page or label holds a character that no path has: give names such as available() lists")
    files.recover(folder)
    return (folder / RUN).is_file()


def recording(page: str, label: str) -> Recording:
    """Return a recorded run of a page.

    Parameters
    ----------
    page
        The page's name, such as ``hessian-bias/initialization``.
    label
        The recording's name among those of the page.

    Raises
    ------
    MissingRecordingError
        If there is none; the message names those there are.
    DamagedRecordingError
        If a file of it was changed, is missing, or was added since.

    Examples
    --------
    >>> recording("hessian-bias/initialization", "mnist").parameters["data"]
    'mnist'
    """
    if not has(page, label):
        known = ", ".join(f"{p!r}, {name!r}" for p, name in available()) or "none"
        raise MissingRecordingError(f"there is no recording of label {label!r} of page {page!r}; there are: {known}")
    folder = paths.RECORDED / page / label
    listed = (folder / SUMS).read_bytes() if (folder / SUMS).is_file() else b""
    if sums(folder).encode() != listed:
        there, wanted = set(sums(folder).encode().splitlines()), set(listed.splitlines())
        names = sorted({line.split(b"  ", 1)[-1].decode(errors="replace") for line in there ^ wanted})
        raise _damaged(folder, f"{', '.join(names[:5]) or SUMS} changed")
    return Recording(page, label, folder)


def find(page: str, label: str) -> Recording | None:
    """Return a recorded run of a page, or None where there is none; either way it prints a line that says so."""
    if has(page, label):
        found = recording(page, label)
        print(f"Drawn beside the live results: {label}, {found.provenance}.")
        return found
    print(f"No run {label!r} of this page is recorded in this copy: only the live results are drawn.")
    return None


def several(page: str, label: str) -> list[Recording]:
    """Return every recorded run of a label, one for each seed of the page, by their seeds; none where there is none.

    The first that was kept has the label's own name, and the others are beside it, as ``LABEL+SEED``. They ran with
    the same parameters but for the seed.

    Raises
    ------
    TypeError, ValueError
        If page or label is no text that a path can have.
    DamagedRecordingError
        If a file of one was changed, is missing, or was added since.
    """
    own = [label] if has(page, label) else []  # which refuses what is no name
    beside = sorted((paths.RECORDED / page).glob(f"{glob.escape(label)}+*"))
    kept = [recording(page, name) for name in [*own, *(each.name for each in beside)] if has(page, name)]
    return sorted(kept, key=lambda each: each.parameters.get("seed", 0))


def unseeded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without those in which runs of one label may differ: seed and device."""
    return {name: value for name, value in parameters.items() if name not in ("seed", "device")}


def together(page: str, label: str) -> Recording:
    """Return all seeds of a label as one recording, to be judged together.

    The numbers of a figure are then those of every seed, one below the other; parameters and reports are the first
    one's, and `parts` has them all.

    Raises
    ------
    MissingRecordingError
        If there is none; the message names those there are.
    DamagedRecordingError
        If a file of one was changed, is missing, or was added since.
    """
    parts = several(page, label)
    return Together(page, label, parts[0].folder, tuple(parts)) if len(parts) > 1 else recording(page, label)


@dataclass(frozen=True)
class Together(Recording):
    """Recorded runs of several seeds of a page, as one; see `together`."""

    several: tuple[Recording, ...] = ()

    @property
    def parts(self) -> tuple[Recording, ...]:
        """The runs, by their seeds."""
        return self.several

    @cached_property
    def run(self) -> dict[str, Any]:
        """The first run's ``run.json``, with the keys of all."""
        return self.parts[0].run | {"key": "+".join(each.run["key"] for each in self.parts)}

    @property
    def provenance(self) -> str:
        """When, for how long, where and from which commit each seed was run."""
        return "; ".join(f"seed {each.parameters.get('seed')}: {each.provenance}" for each in self.parts)

    def numbers(self, figure: str) -> dict[str, list[Any]]:
        """Return the columns behind a figure, those of one seed below the other's.

        Raises
        ------
        ValueError
            If there is no such figure, or the seeds' columns differ.
        """
        each = [part.numbers(figure) for part in self.parts]
        if any(list(one) != list(each[0]) for one in each):
            raise ValueError(f"figure {figure!r} has other columns at other seeds: record the seeds by one version")
        return {name: [value for one in each for value in one[name]] for name in each[0]}


def available() -> list[tuple[str, str]]:
    """Return page and label of every recording, in order."""
    for page in {f.parent.parent for f in _runs()}:
        for folder in files.waiting(page):
            files.recover(folder)
    folders = [f.parent.relative_to(paths.RECORDED) for f in _runs()]
    return [(f.parent.as_posix(), f.name) for f in folders if not f.name.startswith(".")]


def _runs() -> list[Path]:
    return [f for f in files.below(paths.RECORDED) if f.name == RUN]


def sums(folder: Path) -> str:
    """Return the checksums of a folder's files as they are now, as ``SHA256SUMS`` keeps them."""
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name != SUMS and not f.name.startswith("."))
    return "".join(f"{_line(f.name, f.read_bytes())}\n" for f in files)


def _line(name: str, content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()}  {name}"


def _damaged(folder: Path, what: str) -> DamagedRecordingError:
    where = folder.relative_to(paths.RECORDED).as_posix() if folder.is_relative_to(paths.RECORDED) else folder.name
    return DamagedRecordingError(
        f"recording {where} is damaged: {what}; take {folder} from a fresh copy of prunekit, or record the run again"
    )


def _typed(cells: list[str]) -> list[Any]:
    """Return a column of CSV cells as numbers or flags where all cells are such; empty cells become None."""
    filled = [c for c in cells if c]
    if filled and all(c in ("True", "False") for c in filled):
        return [c == "True" if c else None for c in cells]
    try:
        numbers = {c: int(c) if re.fullmatch(r"[+-]?\d+", c) else float(c) for c in filled}
    except ValueError:
        return [c or None for c in cells]
    return [numbers[c] if c else None for c in cells]
