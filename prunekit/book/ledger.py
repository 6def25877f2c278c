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
from dataclasses import dataclass
from typing import Any

from prunekit import _checks
from prunekit.book import paths, verdicts
from prunekit.book.claims_form import parse
from prunekit.book.scales import known
from prunekit.book.settings import Setting
from prunekit.book.verdicts import DIFFERS, ERRATUM, RELATIONS, REPRODUCED, UNDECIDED

METADATA = "prunekit"  # the key of our records in an output's metadata


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
    margin: float | None = None,
    because: str = "",
    error: float = 0.0,
    repetitions: int | None = None,
    of: str = "repetitions",
    relation: str = "equal",
    corrected: float | None = None,
    setting: Setting | None = None,
    unstated: str = "",
    within: tuple[float, float] | None = None,
    scale: str,
    data: str = "synthetic",
    tolerance: float | None = None,
    reduced: bool = False,
) -> None:
    """Test a statement of a claim: show a badge with the verdict and leave the record behind.

    Parameters
    ----------
    claim
        The claim's id in the ledger.
    what
        What `measured` is, in words, with its unit if it has one.
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
        The standard error of `measured`; 0 for an exact computation.
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
        For an unknown claim, relation or scale, a value that is not finite, a negative margin or error, fewer than two
        repetitions, or a statement that cannot fail.

    Examples
    --------
    >>> check("chang/fig-3b", what="gap", measured=0.9, expected=1.0, margin=0.2, because="a line's width",
    ...       error=0.01, repetitions=40, of="draws", scale="smoke")
    chang/fig-3b: reproduced. gap: 0.9 ± 0.042 (40 draws); the statement allows 0.8 to 1.2 (a line's width)
    """
    entry = ledger()[_checks.text("claim", claim)]
    _checks.text("data", data)
    if not _checks.text("what", what).strip():
        raise ValueError("what is empty: say in words what was measured")
    _checks.choice("relation", relation, tuple(RELATIONS))
    numbers_ = {"measured": measured, "expected": expected, "error": error}
    record: dict[str, Any] = {name: _finite(name, value) for name, value in numbers_.items()}
    record["margin"] = _margin(margin, because, tolerance)
    if record["error"] < 0:
        raise ValueError(f"error is {record['error']!r}: give a number that is not negative")
    if within is not None:
        verdicts.refuse_the_certain(record["expected"], record["margin"], relation, _range(within))
    if setting is not None:
        _checks.instance("setting", setting, Setting, "the `here` of a PaperSetting")
    smaller = [] if setting is None else [*setting.smaller.values()]
    record |= {
        "kind": "claim",
        "claim": entry.id,
        "what": what,
        "relation": relation,
        "corrected": None if corrected is None else _finite("corrected", corrected),
        "because": because,
        "repetitions": None if repetitions is None else _checks.count("repetitions", repetitions, 2),
        "of": _checks.text("of", of),
        "smaller": [*smaller, *([_SMALLER] if _checks.flag("reduced", reduced) else [])],
        "unstated": _checks.text("unstated", unstated),
        "scale": known(scale),
        "data": data,
    }
    record["verdict"] = verdicts.verdict(record)
    show_record(record, badge(record), sentence(record))


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
    """Return a record of a check in today's form: an older one has a tolerance and a flag."""
    if "margin" in record:
        return dict(record)
    fresh = {k: v for k, v in record.items() if k not in ("tolerance", "reduced")}
    return fresh | {
        "margin": record["tolerance"],
        "because": "",
        "error": 0.0,
        "repetitions": None,
        "of": "repetitions",
        "smaller": [_SMALLER] if record["reduced"] else [],
        "unstated": "",
    }


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


def sentence(record: Mapping[str, Any]) -> str:
    """Say one record of `check` in a line of plain text."""
    half = verdicts.half_width(record)
    value = f"{record['measured']:.4g}"
    if half:
        value += f" ± {half:.2g}" + (f" ({record['repetitions']:,} {record['of']})" if record["repetitions"] else "")
    reason = f" ({record['because']})" if record["because"] else ""
    text = f"{record['claim']}: {record['verdict']}. {record['what']}: {value}; the statement allows "
    text += allowed(record, record["expected"]) + reason
    if record["corrected"] is not None:
        text += f", the corrected one {allowed(record, record['corrected'])}"
    return "; ".join([text, *conditions(record)])


def allowed(record: Mapping[str, Any], expected: float) -> str:
    """Say which values a statement allows."""
    margin = record["margin"]
    if record["relation"] == "at most":
        return f"at most {expected + margin:.4g}"
    if record["relation"] == "at least":
        return f"at least {expected - margin:.4g}"
    return f"{expected - margin:.4g} to {expected + margin:.4g}" if margin else f"{expected:.4g} alone"


def conditions(record: Mapping[str, Any]) -> list[str]:
    """Say what a verdict depends on: a smaller setting, what the paper leaves open, and too few repetitions."""
    said = list(record["smaller"])
    if record["verdict"].startswith(UNDECIDED):
        more = verdicts.deciding(record)
        if more is not None:
            said.append(f"{more:,} {record['of']} would decide")
    if record["unstated"]:
        said.append(f"the paper does not state {record['unstated']}")
    return said


_LOOKS = {
    REPRODUCED: ("good", "#0072b2"),
    ERRATUM: ("note", "#b35900"),
    UNDECIDED: ("open", "#57606a"),
    DIFFERS: ("bad", "#a3195b"),
}


def badge(record: Mapping[str, Any]) -> str:
    """Return the HTML that shows a reader one record of `check`."""
    kind, colour = _LOOKS[record["verdict"].split()[0]]
    head, tail = sentence(record).split(". ", 1)
    claim = head.split(": ", 1)[0]
    return (
        f'<div class="pk-claim pk-{kind}" data-verdict="{html.escape(record["verdict"].replace(" ", "-"))}" '
        f'style="border-left:.4em solid {colour};padding:.3em .8em;margin:.4em 0">'
        f'<strong class="pk-verdict">{html.escape(record["verdict"])}</strong> '
        f"<code>{html.escape(claim)}</code><br>{html.escape(tail)}</div>"
    )


def show_record(record: dict[str, Any], markup: str, text: str) -> None:
    """Display HTML with a plain-text fallback, and keep the record in the output's metadata."""
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
