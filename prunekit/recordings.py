"""Recorded runs: what a page found at a setting that takes too long for every build, kept small in the package.

A recording is made from a finished run of the page's own notebook (``prunekit runs record``) and holds the run's
``run.json``, the numbers behind its figures as CSV, and what its checks and reports left behind. A page draws these
numbers next to what it computes live; the verdicts are computed again from the recorded numbers, never stored.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prunekit import claims, paths

RUN, RECORDS = "run.json", "records.json"


class MissingRecordingError(LookupError):
    """There is no such recording; the message names those there are."""


@dataclass(frozen=True)
class Recording:
    """A recorded run of a page.

    Attributes
    ----------
    page
        The page's name, such as ``hessian-bias/initialization``.
    label
        Which of the page's recordings.
    folder
        Where its files are.
    """

    page: str
    label: str
    folder: Path

    @cached_property
    def run(self) -> dict[str, Any]:
        """The run's ``run.json``: key, commit, versions, device, data, times, memory."""
        return json.loads((self.folder / RUN).read_text(encoding="utf-8"))

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter of the run."""
        return self.run["parameters"]

    @property
    def provenance(self) -> str:
        """When, how long, on what and from which commit, in words."""
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
        """Return the columns behind a figure, as they were given to `prunekit.plotting.show`.

        A column in which every cell that is not empty is a number is a column of numbers, one of only True and
        False a column of flags; an empty cell is None.

        Raises
        ------
        ValueError
            If there is no such figure; those there are, are named.
        """
        if figure not in self.figures:
            raise ValueError(f"figure is {figure!r}: the recording has {', '.join(self.figures) or 'none'}")
        with (self.folder / f"{figure}.csv").open(encoding="utf-8", newline="") as stream:
            names, *rows = csv.reader(stream)
        return {name: _typed([row[k] for row in rows]) for k, name in enumerate(names)}

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return json.loads((self.folder / RECORDS).read_text(encoding="utf-8"))

    @property
    def reports(self) -> dict[str, Any]:
        """Everything that the run reported, by name."""
        found = [r["values"] for r in self._records if r["kind"] == "report"]
        return {name: value for values in found for name, value in values.items()}

    @property
    def checks(self) -> list[dict[str, Any]]:
        """The records of the run's checks, their verdicts computed now."""
        kept = [r for r in self._records if r["kind"] == "claim"]
        return [r | {"verdict": claims.verdict(r), "recorded": self.run["key"]} for r in kept]

    def show_checks(self, *ids: str) -> None:
        """Show the run's checks of some claims as `prunekit.check` would, each said to be recorded.

        Parameters
        ----------
        ids
            Claims or errata; all that the run checked where none is given.

        Raises
        ------
        ValueError
            If the run did not check one of them; those that it did are named.
        """
        checked = list(dict.fromkeys(r["claim"] for r in self.checks))
        missing = [i for i in ids if i not in checked]
        if missing:
            raise ValueError(f"the recorded run did not check {missing[0]!r}: it checked {', '.join(checked)}")
        for record in self.checks:
            if not ids or record["claim"] in ids:
                said = record | {"what": f"recorded run: {record['what']}"}
                claims.show_record(said, claims.badge(said), claims.sentence(said))


def has(page: str, label: str) -> bool:
    """Tell whether a page has a recording of that label."""
    return (paths.RECORDED / page / label / RUN).is_file()


def recording(page: str, label: str) -> Recording:
    """Return a recorded run of a page.

    Parameters
    ----------
    page
        The page's name, such as ``hessian-bias/initialization``.
    label
        Which of its recordings.

    Raises
    ------
    MissingRecordingError
        If there is none; those there are, are named.

    Examples
    --------
    >>> recording("hessian-bias/initialization", "mnist").parameters["data"]
    'mnist'
    """
    if not has(page, label):
        known = ", ".join(f"{p!r}, {name!r}" for p, name in available()) or "none"
        raise MissingRecordingError(f"there is no recording {label!r} of page {page!r}; there are: {known}")
    return Recording(page, label, paths.RECORDED / page / label)


def find(page: str, label: str) -> Recording | None:
    """Return a recorded run of a page, or None where there is none; either way it prints a line that says so."""
    if has(page, label):
        found = recording(page, label)
        print(f"Drawn beside the live results: {label}, {found.provenance}.")
        return found
    print(f"No run {label!r} of this page is recorded in this copy: only the live results are drawn.")
    return None


def available() -> list[tuple[str, str]]:
    """Return page and label of every recording, in order."""
    found = [f.parent.relative_to(paths.RECORDED) for f in sorted(paths.RECORDED.rglob(RUN))]
    return [(f.parent.as_posix(), f.name) for f in found]


def _typed(cells: list[str]) -> list[Any]:
    """Return a column of CSV cells as numbers or flags where all are; empty cells as None."""
    filled = [c for c in cells if c]
    if filled and all(c in ("True", "False") for c in filled):
        return [c == "True" if c else None for c in cells]
    try:
        numbers = {c: int(c) if re.fullmatch(r"[+-]?\d+", c) else float(c) for c in filled}
    except ValueError:
        return [c or None for c in cells]
    return [numbers[c] if c else None for c in cells]
