"""The plan of recordings, ``book/recordings.yml``: what to run so that the claims with a heavy setting are settled.

An entry names a page with the parameters of the paper's size, the label under which its run is kept, the page's seeds
that are wanted, the statements that it bears on, and the floating-point operations of one seed. What an hour of it is
worth follows from how fast this machine is (`prunekit.book.runs.pace`); nobody writes a priority by hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prunekit.book import paths, recordings
from prunekit.book.runs.notebooks import Notebook, Refused, coerce, read

FORWARD_AND_BACK, PRODUCT = 6, 12  # operations for each multiplication of a forward pass: in training, and for Hv
KINDS = ("dense", "convolutions", "matrices")
DEVICES = ("cpu", "cuda")
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]*")
_ENTRY = ("label", "page", "parameters", "seeds", "statements", "needs", "devices", "work")
_WORK = {"kind", "multiplications", "training", "curvature"}


@dataclass(frozen=True)
class Work:
    """What one seed of an entry computes.

    Attributes
    ----------
    kind
        One of `KINDS`: what the operations are made of, which decides how fast they are.
    multiplications
        Of one image in one forward pass; of matrices, of one product of two.
    training
        Images times epochs times networks; of matrices, products.
    curvature
        Images times products with a Hessian.
    """

    kind: str
    multiplications: float
    training: float
    curvature: float = 0.0

    @property
    def trained(self) -> float:
        """Floating-point operations of the trainings, or of the products of matrices."""
        return (2 if self.kind == "matrices" else FORWARD_AND_BACK) * self.multiplications * self.training

    @property
    def curved(self) -> float:
        """Floating-point operations of products with Hessians."""
        return PRODUCT * self.multiplications * self.curvature


@dataclass(frozen=True)
class Entry:
    """A recording that is wanted.

    Attributes
    ----------
    label, page, parameters
        What is kept under which name, and how the page is run.
    seeds
        The page's seeds, each of them a run by itself.
    statements
        Names of the statements that it bears on, by claim; a claim that says one thing has none.
    needs
        Folders below ``PRUNEKIT_DATA``.
    devices
        Where it can be run.
    work
        What one seed computes.
    """

    label: str
    page: str
    parameters: dict[str, Any]
    seeds: tuple[int, ...]
    statements: dict[str, list[str]]
    needs: tuple[str, ...]
    devices: tuple[str, ...]
    work: Work = field(compare=False)

    @property
    def count(self) -> int:
        """How many statements it bears on."""
        return sum(max(1, len(names)) for names in self.statements.values())

    def notebook(self) -> Notebook:
        """Read the page.

        Raises
        ------
        Refused
            If there is no such page.
        """
        return read(paths.CHAPTERS / f"{self.page}.md")

    def given(self, notebook: Notebook, seed: int, device: str) -> dict[str, Any]:
        """Return the parameters of one seed's run on a device.

        Raises
        ------
        Refused
            If the page lacks one of them, or has it of another kind.
        """
        where = {"device": device} if "device" in notebook.defaults else {}
        return coerce(notebook, {**self.parameters, "seed": seed, **where})

    def missing(self) -> str:
        """Say which of its data are not there; an empty string where none are missing."""
        root = os.environ.get("PRUNEKIT_DATA")
        if not self.needs or (root and all((Path(root) / name).is_dir() for name in self.needs)):
            return ""
        if not root:
            return f"it reads {', '.join(self.needs)}: name the folder of the data by PRUNEKIT_DATA"
        gone = [name for name in self.needs if not (Path(root) / name).is_dir()]
        return f"{', '.join(gone)} is not below PRUNEKIT_DATA, {root}"

    def recorded(self, notebook: Notebook) -> list[int]:
        """Return the seeds that are recorded in this very setting, on whatever device."""
        kept = {each.parameters.get("seed"): each for each in recordings.several(self.page, self.label)}
        return [
            seed
            for seed in self.seeds
            if seed in kept
            and recordings.unseeded(kept[seed].parameters) == recordings.unseeded(self.given(notebook, seed, "cpu"))
        ]

    def largest(self) -> list[str]:
        """Say in which setting the label is recorded so far; where it is not, what else of its page is."""
        own = recordings.several(self.page, self.label)[:1]
        others = [recordings.recording(page, label) for page, label in recordings.available() if page == self.page]
        return [_setting(each) for each in own or others]


def _setting(kept: recordings.Recording) -> str:
    """Return what a recording's setting was, in words."""
    own = kept.parameters
    shown = {name: own[name] for name in ("images", "epochs", "seeds") if own.get(name) is not None}
    words = ", ".join(f"{name} {value}" for name, value in shown.items()) or f"scale {own['scale']}"
    return f"{kept.label}: {words}; {kept.run['wall_time_s'] / 60:.0f} min on {kept.run['device']['name']}"


@dataclass(frozen=True)
class Plan:
    """The plan: what is wanted, and why some claims are in no entry."""

    entries: tuple[Entry, ...]
    open: dict[str, str]

    def find(self, label: str) -> Entry:
        """Return an entry by its label.

        Raises
        ------
        Refused
            If there is none; the message names those there are.
        """
        for entry in self.entries:
            if entry.label == label:
                return entry
        raise Refused(f"the plan has no label {label!r}: it has {', '.join(e.label for e in self.entries) or 'none'}")


def plan(path: Path | None = None) -> Plan:
    """Return the plan of the book.

    Raises
    ------
    Refused
        If there is none, or it is not of its form; the message names the place and what belongs there.
    """
    import yaml

    path = path or paths.PLAN
    if not path.is_file():
        raise Refused(f"no plan here: {path} is missing; use a checkout of the book")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{path.name} is no YAML: {' '.join(str(error).split())}") from None
    try:
        return _plan(raw)
    except ValueError as error:
        raise Refused(f"{path.name}: {error}") from None


def _plan(raw: Any) -> Plan:
    top = _mapping("it", raw, ("recordings", "open"))
    listed = _listed("recordings", top["recordings"])
    entries = [_entry(f"recordings, entry {k}", each) for k, each in enumerate(listed, start=1)]
    labels = [entry.label for entry in entries]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise ValueError(f"label {twice[0]!r} is there twice: give each entry its own")
    reasons = _mapping("open", top["open"])
    return Plan(tuple(entries), {str(claim): _words(f"open, {claim}", why) for claim, why in reasons.items()})


def _entry(where: str, raw: Any) -> Entry:
    fields = _mapping(where, raw, _ENTRY)
    label = _words(f"{where}: label", fields["label"])
    where = f"{where} ({label})"
    if not _LABEL.fullmatch(label):
        raise ValueError(f"{where}: label is {label!r}: give small letters, digits and hyphens")
    seeds = _listed(f"{where}: seeds", fields["seeds"])
    if not seeds or any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in seeds):
        raise ValueError(f"{where}: seeds is {seeds!r}: give whole numbers, 0 or more")
    devices = _listed(f"{where}: devices", fields["devices"])
    if not devices or not set(devices) <= set(DEVICES):
        raise ValueError(f"{where}: devices is {devices!r}: give some of {', '.join(DEVICES)}")
    statements = _mapping(f"{where}: statements", fields["statements"])
    return Entry(
        label=label,
        page=_words(f"{where}: page", fields["page"]),
        parameters=_mapping(f"{where}: parameters", fields["parameters"]),
        seeds=tuple(dict.fromkeys(seeds)),
        statements={claim: _listed(f"{where}: {claim}", names) for claim, names in statements.items()},
        needs=tuple(_words(f"{where}: needs", each) for each in _listed(f"{where}: needs", fields["needs"])),
        devices=tuple(devices),
        work=_work(f"{where}: work", fields["work"]),
    )


def _work(where: str, raw: Any) -> Work:
    fields = _mapping(where, raw)
    if not {"kind", "multiplications", "training"} <= set(fields) <= _WORK:
        raise ValueError(f"{where} has {', '.join(map(str, fields))}: give kind, multiplications, training, curvature")
    if fields["kind"] not in KINDS:
        raise ValueError(f"{where}: kind is {fields['kind']!r}: give one of {', '.join(KINDS)}")
    numbers = {name: _product(f"{where}: {name}", value) for name, value in fields.items() if name != "kind"}
    return Work(kind=fields["kind"], **numbers)


def _product(where: str, value: Any) -> float:
    """Return a positive number, or the product of those that a mapping names (images, epochs, networks)."""
    factors: Sequence[Any] = list(value.values()) if isinstance(value, Mapping) else [value]
    result = 1.0
    for factor in factors:
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < float("inf"):
            raise ValueError(f"{where} holds {factor!r}: give a positive number, as 50000 or 2.0e+7")
        result *= factor
    return result


def _mapping(where: str, value: Any, fields: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(value, dict) or any(not isinstance(name, str) for name in value):
        raise ValueError(f"{where} is {_short(value)}: give a mapping, name: value")
    unknown = [name for name in value if fields and name not in fields]
    missing = [name for name in fields if name not in value]
    if unknown:
        raise ValueError(f"{where} has an unknown field {unknown[0]!r}: the fields are {', '.join(fields)}")
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    return value


def _listed(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is {_short(value)}: give a list")
    return value


def _words(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} is {_short(value)}: give words")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
