"""The ledger: what the five papers claim, what was measured, and the verdict that follows.

A notebook calls `check` where it tests a claim and `report` where it hands numbers to a sweep's table. Both show
the reader something and leave a machine-readable record in the metadata of the cell's output. Verdicts are
computed from records by `prunekit.book.verdicts`, and nowhere else; a claim with several records gets the worst of
their verdicts, one without any is *not attempted*.
"""

from __future__ import annotations

import functools
import html
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from prunekit import _checks
from prunekit.book import paths, verdicts
from prunekit.book.badges import METADATA, badge, sentence, show_record
from prunekit.book.claims_form import parse
from prunekit.book.scales import known
from prunekit.book.settings import Setting
from prunekit.book.verdicts import RELATIONS


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    Attributes
    ----------
    id
        The claim's name, ``paper/name``, which never changes.
    paper
        Key of the paper.
    place
        Where the paper makes the claim.
    statement
        What the paper says, in our words.
    kind
        ``live`` or ``heavy``; empty for an erratum.
    right
        For an erratum, what is right; empty for a claim.
    statements
        What the claim states, one by one, in our words by name; empty for a claim of a single statement.
    group
        For an erratum, one of `GROUPS`; empty for a claim, or where it has not been said yet.
    survives
        For an erratum, whether the paper's result survives, in words.
    """

    id: str
    paper: str
    place: str
    statement: str
    kind: str = ""
    right: str = ""
    statements: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    survives: str = ""


@dataclass(frozen=True)
class Ledger:
    """Papers, claims and errata as ``claims.yml`` lists them."""

    papers: Mapping[str, Mapping[str, str]]
    claims: Mapping[str, Claim]
    errata: Mapping[str, Claim]

    def __getitem__(self, id: str) -> Claim:
        """Return the claim or erratum of that id.

        Raises
        ------
        ValueError
            If the ledger has no such id; the nearest ones are named.
        """
        found = self.claims.get(id) or self.errata.get(id)
        if found is None:
            import difflib

            near = difflib.get_close_matches(id, [*self.claims, *self.errata], n=3, cutoff=0.3)
            raise ValueError(f"claim {id!r} is not in the ledger (book/claims.yml); near it: {', '.join(near)}")
        return found


@functools.cache
def ledger() -> Ledger:
    """Read the ledger that comes with this prunekit.

    Raises
    ------
    ValueError
        If ``claims.yml`` is not of its form; the place and what belongs there are named.
    """
    raw = parse(paths.ledger().read_text(encoding="utf-8"))
    claims = [
        Claim(
            c["id"],
            c["paper"],
            c["place"],
            c["statement"].strip(),
            c["kind"],
            statements=MappingProxyType({name: words.strip() for name, words in c.get("statements", {}).items()}),
        )
        for c in raw["claims"]
    ]
    errata = [
        Claim(
            e["id"],
            e["paper"],
            e["place"],
            e["says"].strip(),
            right=e["right"].strip(),
            group=e.get("group", ""),
            survives=e.get("survives", "").strip(),
        )
        for e in raw["errata"]
    ]
    return Ledger(raw["papers"], {c.id: c for c in claims}, {e.id: e for e in errata})


@runtime_checkable
class Recorded(Protocol):
    """What `check` asks of a recorded run: `prunekit.book.recordings.Recording` has it."""

    @property
    def run(self) -> Mapping[str, Any]:
        """Its ``run.json``."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its parameters, the scale among them."""


def check(
    claim: str,
    *,
    statement: str = "",
    what: str,
    measured: float,
    expected: float,
    margin: float | None = None,
    because: str = "",
    error: float | None = 0.0,
    repetitions: int | None = None,
    of: str = "repetitions",
    relation: str = "equal",
    corrected: float | None = None,
    setting: Setting | None = None,
    unstated: str = "",
    within: tuple[float, float] | None = None,
    explain: str = "",
    recorded: Recorded | None = None,
    scale: str = "",
    data: str = "synthetic",
    tolerance: float | None = None,
    reduced: bool = False,
) -> None:
    """Test a statement of a claim: show a badge with the verdict and leave the record behind.

    Parameters
    ----------
    claim
        The claim's id in the ledger.
    statement
        Which of the claim's statements is tested, by its name in the ledger; empty for a claim of a single one.
    what
        What `measured` is, in words that are read without the code, with its unit if it has one.
    measured
        The measured value.
    expected
        The value that the paper states or that its statement requires.
    margin
        Which difference from it matters, stated before measuring, in the paper's own terms: its words, the resolution
        of its printed figure, its table's own spread.
    because
        The reason for the margin, in words.
    error
        The standard error of `measured`; 0 for an exact computation, None where nobody knows it, as for a single run:
        such a check is undecided.
    repetitions, of
        From how many independent repetitions the error was estimated, and what they are ("seeds", "draws"); None for
        an error that is known.
    relation
        ``"equal"``, ``"at most"`` or ``"at least"``: how `measured` should stand to `expected`.
    corrected
        The value that a corrected statement requires, where the printed one is held to be wrong.
    setting
        The setting that runs, beside the one that the paper states, as `PaperSetting.here` returns it.
    unstated
        What the paper does not say although the outcome depends on it: a difference is then undecided.
    within
        The least and the largest value that `measured` can take at all: a statement that allows them all is refused.
    explain
        What explains a difference, as far as it is known, in a sentence; it is shown only where there is one.
    recorded
        The recorded run whose numbers are judged; its scale is taken from it.
    scale
        The scale that the notebook runs at.
    data
        What data the measurement is made on.
    tolerance, reduced
        A margin without a reason, and whether the setting is smaller than the paper's, for checks that do not state
        their margin and setting yet.

    Raises
    ------
    ValueError
        For an unknown claim, statement, relation or scale, a value that is not finite, a negative margin or error,
        fewer than two repetitions, or a statement that cannot fail.

    Examples
    --------
    >>> check("chang/fig-3b", what="gap", measured=0.9, expected=1.0, margin=0.2, because="a line's width",
    ...       error=0.01, repetitions=40, of="draws", scale="smoke")
    chang/fig-3b: reproduced. gap: measured 0.9 ± 0.042 (40 draws), expected 1; 0.8 to 1.2 counts (a line's width)
    """
    entry = ledger()[_checks.text("claim", claim)]
    _known_statement(entry, _checks.text("statement", statement))
    _checks.text("data", data)
    if not _checks.text("what", what).strip():
        raise ValueError("what is empty: say in words what was measured")
    _checks.choice("relation", relation, tuple(RELATIONS))
    record: dict[str, Any] = {
        "measured": _finite("measured", measured),
        "expected": _finite("expected", expected),
        "margin": _margin(margin, because, tolerance),
        "error": None if error is None else _finite("error", error),
    }
    if error is not None and record["error"] < 0:
        raise ValueError(f"error is {record['error']!r}: give a number that is not negative")
    if error is None and repetitions is not None:
        raise ValueError(f"repetitions is {repetitions!r} although error is None: give the error that they have")
    if within is not None:
        verdicts.refuse_the_certain(record["expected"], record["margin"], relation, _range(within))
    if recorded is not None:
        _checks.instance("recorded", recorded, Recorded, "a Recording")
    if setting is not None:
        _checks.instance("setting", setting, Setting, "the `here` of a PaperSetting")
    smaller = [] if setting is None else [*setting.smaller.values()]
    record |= {
        "kind": "claim",
        "claim": entry.id,
        "statement": statement,
        "what": what,
        "relation": relation,
        "corrected": None if corrected is None else _finite("corrected", corrected),
        "because": because,
        "repetitions": None if repetitions is None else _checks.count("repetitions", repetitions, 2),
        "of": _checks.text("of", of),
        "smaller": [*smaller, *([_SMALLER] if _checks.flag("reduced", reduced) else [])],
        "unstated": _checks.text("unstated", unstated),
        "explain": _checks.text("explain", explain),
        "scale": known(scale if recorded is None else recorded.parameters["scale"]),
        "data": data,
    }
    if recorded is not None:
        record["recorded"] = recorded.run["key"]
    record["verdict"] = verdicts.verdict(record)
    show_record(record, badge(record), sentence(record))


def _known_statement(entry: Claim, statement: str) -> None:
    """Refuse a statement that the claim does not make, or none of a claim that makes several."""
    if statement not in entry.statements and (statement or entry.statements):
        known_ = ", ".join(repr(name) for name in entry.statements) or "a single statement: leave statement out"
        raise ValueError(f"statement is {statement!r}: {entry.id} has {known_}")


def _margin(margin: float | None, because: str, tolerance: float | None) -> float:
    """Return the margin, which has its reason, or the tolerance of a check that does not state its margin yet."""
    if margin is None and tolerance is None:
        raise ValueError("margin is missing: say which difference matters, and because of what")
    if margin is not None and tolerance is not None:
        raise ValueError("tolerance is given beside margin: give margin alone, and because of what")
    name, given = ("tolerance", tolerance) if margin is None else ("margin", margin)
    number = _finite(name, given)
    if number < 0:
        raise ValueError(f"{name} is {number!r}: give a number that is not negative")
    if margin is not None and not _checks.text("because", because).strip():
        raise ValueError("because is empty: say in words why the margin is what it is")
    return number


def _range(within: Any) -> tuple[float, float]:
    """Return the ends of a range."""
    if not isinstance(within, tuple | list) or len(within) != 2:
        raise TypeError(f"within is {_checks.shown(within)}: give its least and its largest value, as (0, 1)")
    low, high = (_finite("within", end) for end in within)
    return low, high


_SMALLER = "a setting smaller than the paper's"


def upgraded(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of a check in today's form: an older one has a tolerance and a flag, and names no statement."""
    added = {"statement": "", "explain": ""}
    if "margin" in record:
        return added | dict(record)
    fresh = {k: v for k, v in record.items() if k not in ("tolerance", "reduced")}
    return (
        fresh
        | added
        | {
            "margin": record["tolerance"],
            "because": "",
            "error": 0.0,
            "repetitions": None,
            "of": "repetitions",
            "smaller": [_SMALLER] if record["reduced"] else [],
            "unstated": "",
        }
    )


def report(**values: Any) -> None:
    """Hand numbers, words or flags to the table of a sweep, by name.

    Raises
    ------
    ValueError
        If a value is a number that is not finite.
    TypeError
        If a value is neither a number, a word nor a flag.

    Examples
    --------
    >>> report(width=100, risk=0.25)
    reported: width = 100, risk = 0.25
    """
    plain = {name: _plain(name, value) for name, value in values.items()}
    lines = [
        f"{name} = {value:.6g}" if isinstance(value, float) else f"{name} = {value}" for name, value in plain.items()
    ]
    items = "".join(f"<li><code>{html.escape(line)}</code></li>" for line in lines)
    text = "reported: " + ", ".join(lines)
    show_record({"kind": "report", "values": plain}, f'<ul class="pk-report">{items}</ul>', text)


def records(notebook: Any) -> list[dict[str, Any]]:
    """Return what the outputs of an executed notebook recorded, in order, each with the index of its cell."""
    recorded = []
    if isinstance(notebook, type) or not hasattr(notebook, "cells"):
        raise TypeError(f"notebook is {_checks.shown(notebook)}: give a notebook, as nbformat reads it")
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            record = output.get("metadata", {}).get(METADATA)
            if record and record.get("kind") in {"claim", "report"}:
                recorded.append({**record, "cell": index})
    return recorded


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} is {_checks.shown(value)}: give a finite number")
    return number


def _plain(name: str, value: Any) -> Any:
    """Return `value` as JSON keeps it: numpy's numbers become Python's."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else _finite(name, value)
    raise TypeError(f"{name} is {value!r}, of type {type(value).__name__}: report a number, a word or a flag")
