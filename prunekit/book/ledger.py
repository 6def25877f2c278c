"""The ledger: what the five papers claim, what was measured, and the verdict that follows.

A notebook calls `check` where it tests a claim and `report` where it hands numbers to a sweep's table. Both show
the reader something and leave a machine-readable record in the metadata of the cell's output. Verdicts are
computed from records, here and nowhere else:

* *reproduced*: the measurement is within the stated tolerance of what the paper says;
* *reproduced in reduced form*: the same, in a setting declared smaller than the paper's;
* *erratum*: the printed statement fails and the corrected one passes;
* *differs*: outside the tolerance;
* *not attempted*: no record.

A claim with several records gets the worst of their verdicts.
"""

from __future__ import annotations

import functools
import html
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prunekit import _checks
from prunekit.book import paths
from prunekit.book.claims_form import parse
from prunekit.book.scales import known

REPRODUCED = "reproduced"
REDUCED = "reproduced in reduced form"
ERRATUM = "erratum"
DIFFERS = "differs"
NOT_ATTEMPTED = "not attempted"
VERDICTS = (REPRODUCED, REDUCED, ERRATUM, DIFFERS)  # best first
RELATIONS = {"equal": "=", "at most": "≤", "at least": "≥"}
METADATA = "prunekit"  # the key of our records in an output's metadata


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    Attributes
    ----------
    id
        ``paper/name``, stable.
    paper
        Key of the paper.
    place
        Where the paper says it.
    statement
        What it says, in our words.
    kind
        ``live`` or ``heavy``; empty for an erratum.
    right
        For an erratum, what is right; empty for a claim.
    """

    id: str
    paper: str
    place: str
    statement: str
    kind: str = ""
    right: str = ""


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
    claims = [Claim(c["id"], c["paper"], c["place"], c["statement"].strip(), c["kind"]) for c in raw["claims"]]
    errata = [
        Claim(e["id"], e["paper"], e["place"], e["says"].strip(), right=e["right"].strip()) for e in raw["errata"]
    ]
    return Ledger(raw["papers"], {c.id: c for c in claims}, {e.id: e for e in errata})


def check(
    claim: str,
    *,
    what: str,
    measured: float,
    expected: float,
    tolerance: float,
    relation: str = "equal",
    corrected: float | None = None,
    reduced: bool = False,
    scale: str,
    data: str = "synthetic",
) -> None:
    """Test a claim: show a badge with the verdict and leave the record behind.

    Parameters
    ----------
    claim
        Its id in the ledger.
    what
        What `measured` is, in words, with its unit if it has one.
    measured
        The measured value.
    expected
        The value that the paper states or that its statement requires.
    tolerance
        How far `measured` may be off, stated before measuring; from the measurement's standard error.
    relation
        ``"equal"``, ``"at most"`` or ``"at least"``: how `measured` should stand to `expected`.
    corrected
        The value that a corrected statement requires, where the printed one is held to be wrong.
    reduced
        Whether the setting is smaller than the paper's.
    scale
        The scale that the notebook runs at.
    data
        What data the measurement is made on.

    Raises
    ------
    ValueError
        For an unknown claim, relation or scale, a value that is not finite, or a negative tolerance.

    Examples
    --------
    >>> check("chang/fig-3b", what="gap", measured=0.9, expected=1.0, tolerance=0.2, scale="smoke")
    chang/fig-3b: reproduced. gap: measured 0.9, expected = 1 (tolerance 0.2; smoke scale, synthetic data)
    """
    entry = ledger()[_checks.text("claim", claim)]
    _checks.text("data", data)
    if not _checks.text("what", what).strip():
        raise ValueError("what is empty: say in words what was measured")
    _checks.choice("relation", relation, tuple(RELATIONS))
    numbers_ = {"measured": measured, "expected": expected, "tolerance": tolerance}
    record: dict[str, Any] = {name: _finite(name, value) for name, value in numbers_.items()}
    if record["tolerance"] < 0:
        raise ValueError(f"tolerance is {tolerance!r}: give a number that is not negative")
    record |= {
        "kind": "claim",
        "claim": entry.id,
        "what": what,
        "relation": relation,
        "corrected": None if corrected is None else _finite("corrected", corrected),
        "reduced": _checks.flag("reduced", reduced),
        "scale": known(scale),
        "data": data,
    }
    record["verdict"] = verdict(record)
    show_record(record, badge(record), sentence(record))


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


def verdict(record: Mapping[str, Any]) -> str:
    """Return the verdict that one record of `check` amounts to."""
    _judged(record, "measured", "expected", "tolerance", "relation", "corrected", "reduced")
    if _passes(record, record["expected"]):
        return REDUCED if record["reduced"] else REPRODUCED
    if record["corrected"] is not None and _passes(record, record["corrected"]):
        return ERRATUM
    return DIFFERS


def _judged(record: Any, *keys: str) -> None:
    """Refuse what is no record of `check`."""
    _checks.instance("record", record, Mapping, "a record of check")
    missing = [key for key in keys if key not in record]
    if missing:
        raise ValueError(f"record lacks {missing[0]!r}: give a record of check")
    for key in {"measured", "expected", "tolerance"} & set(keys):
        _finite(f"{key} of record", record[key])
    if "verdict" in keys:
        _checks.choice("verdict of record", record["verdict"], VERDICTS)
    _checks.choice("relation of record", record["relation"], tuple(RELATIONS))


def _passes(record: Mapping[str, Any], expected: float) -> bool:
    excess = record["measured"] - expected
    tolerance = record["tolerance"]
    return {"equal": abs(excess) <= tolerance, "at most": excess <= tolerance, "at least": -excess <= tolerance}[
        record["relation"]
    ]


def worst(verdicts: Iterable[str]) -> str:
    """Return the worst of some verdicts, *not attempted* if there is none."""
    given = [_checks.choice("verdicts", v, VERDICTS) for v in _checks.listed("verdicts", verdicts, "verdicts")]
    return max(given, key=VERDICTS.index, default=NOT_ATTEMPTED)


def records(notebook: Any) -> list[dict[str, Any]]:
    """Return what the outputs of an executed notebook recorded, in order, each with the index of its cell."""
    found = []
    if isinstance(notebook, type) or not hasattr(notebook, "cells"):
        raise TypeError(f"notebook is {_checks.shown(notebook)}: give a notebook, as nbformat reads it")
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            record = output.get("metadata", {}).get(METADATA)
            if record and record.get("kind") in {"claim", "report"}:
                found.append({**record, "cell": index})
    return found


def sentence(record: Mapping[str, Any]) -> str:
    """Say one record of `check` in a line of plain text."""
    wanted = f"{RELATIONS[record['relation']]} {record['expected']:.4g}"
    fixed = (
        "" if record["corrected"] is None else f", corrected {RELATIONS[record['relation']]} {record['corrected']:.4g}"
    )
    return (
        f"{record['claim']}: {record['verdict']}. {record['what']}: measured {record['measured']:.4g}, "
        f"expected {wanted}{fixed} (tolerance {record['tolerance']:.2g}; "
        f"{record['scale']} scale, {record['data']} data)"
    )


def badge(record: Mapping[str, Any]) -> str:
    """Return the HTML that shows a reader one record of `check`."""
    slug = record["verdict"].split()[-1] if record["verdict"] == REDUCED else record["verdict"]
    kind = {REPRODUCED: "good", REDUCED: "good", ERRATUM: "note", DIFFERS: "bad"}[record["verdict"]]
    colour = {"good": "#0072b2", "note": "#b35900", "bad": "#a3195b"}[kind]
    head, tail = sentence(record).split(". ", 1)
    claim = head.split(": ", 1)[0]
    return (
        f'<div class="pk-claim pk-{kind}" data-verdict="{html.escape(slug)}" '
        f'style="border-left:.4em solid {colour};padding:.3em .8em;margin:.4em 0">'
        f'<strong class="pk-verdict">{html.escape(record["verdict"])}</strong> '
        f"<code>{html.escape(claim)}</code><br>{html.escape(tail)}</div>"
    )


def show_record(record: dict[str, Any], markup: str, text: str) -> None:
    """Display HTML with a plain-text fallback, the record in the output's metadata."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:  # a plain script has no display
        print(text)
        return
    display({"text/html": markup, "text/plain": text}, raw=True, metadata={METADATA: record})


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
