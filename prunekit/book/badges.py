"""How a verdict is said: a sentence that is read without the code, and the badge that a page shows."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from prunekit.book import verdicts
from prunekit.book.verdicts import DIFFERS, ERRATUM, REPRODUCED, UNDECIDED

METADATA = "prunekit"  # the key of our records in an output's metadata


def sentence(record: Mapping[str, Any]) -> str:
    """Say one record of `check` in a line of plain text, its claim and verdict first."""
    return f"{record['claim']}: {record['verdict']}. {told(record)}"


def told(record: Mapping[str, Any]) -> str:
    """Say what was compared, in which unit, what is expected, how sure that is, and what it hangs on."""
    run = "recorded run: " if record.get("recorded") and not record["what"].startswith("recorded run") else ""
    text = f"{run}{record['what']}: measured {measured(record)}, expected {wanted(record)}"
    return "; ".join([text, *conditions(record)])


def measured(record: Mapping[str, Any]) -> str:
    """Return what was measured, with the half-width of its interval and the repetitions behind it."""
    value = f"{record['measured']:.4g}"
    if record["error"] is None:
        return f"{value} (one run, so its error is not known)"
    half = verdicts.half_width(record)
    if not half:
        return value
    return f"{value} ± {half:.2g}" + (f" ({record['repetitions']:,} {record['of']})" if record["repetitions"] else "")


def wanted(record: Mapping[str, Any]) -> str:
    """Return what is expected, and which values count as that."""
    expected = record["expected"]
    sign = {"equal": "", "at most": "at most ", "at least": "at least "}[record["relation"]]
    reason = f" ({record['because']})" if record["because"] else ""
    text = f"{sign}{expected:.4g}"
    text += f"; {allowed(record, expected)} counts{reason}" if record["margin"] else reason
    if record["corrected"] is not None:
        text += f"; by the corrected statement {sign}{record['corrected']:.4g}"
    return text


def allowed(record: Mapping[str, Any], expected: float) -> str:
    """Say which values a statement allows."""
    margin = record["margin"]
    if record["relation"] == "at most":
        return f"at most {expected + margin:.4g}"
    if record["relation"] == "at least":
        return f"at least {expected - margin:.4g}"
    return f"{expected - margin:.4g} to {expected + margin:.4g}" if margin else f"{expected:.4g} alone"


def conditions(record: Mapping[str, Any]) -> list[str]:
    """Say what a verdict depends on: a smaller setting, what the paper leaves open, and too few repetitions.

    A difference is followed by its explanation, as far as the page gives one.
    """
    said = list(record["smaller"])
    if record["verdict"].startswith(UNDECIDED):
        more = verdicts.deciding(record)
        if more is not None:
            said.append(f"{more:,} {record['of']} would decide")
        elif record["error"] is None:
            said.append("a second run would begin to tell")
    if record["unstated"]:
        said.append(f"the paper does not state {record['unstated']}")
    if record["verdict"].startswith(DIFFERS) and record["explain"]:
        said.append(record["explain"])
    return said


_LOOKS = {
    REPRODUCED: ("good", "#0072b2"),
    ERRATUM: ("note", "#b35900"),
    UNDECIDED: ("open", "#57606a"),
    DIFFERS: ("bad", "#a3195b"),
}


def badge(record: Mapping[str, Any]) -> str:
    """Return the HTML that shows a reader one record of `check`."""
    return _box(record["claim"], record["verdict"], html.escape(told(record)))


def badges(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML of several records of one claim: a single badge with the worst verdict, its checks folded."""
    if len(records) == 1:
        return badge(records[0])
    verdict = verdicts.worst([record["verdict"] for record in records])
    rows = "".join(
        f'<li class="pk-{_look(record)[0]}"><strong>{html.escape(record["verdict"])}</strong>. '
        f"{html.escape(told(record))}</li>"
        for record in records
    )
    return _box(
        records[0]["claim"],
        verdict,
        f"<details><summary>{html.escape(counted(records))}</summary><ul>{rows}</ul></details>",
    )


def counted(records: Sequence[Mapping[str, Any]]) -> str:
    """Say how many of some checks came to which verdict."""
    given = [record["verdict"] for record in records]
    counts = {verdict: given.count(verdict) for verdict in dict.fromkeys(sorted(given, key=verdicts.VERDICTS.index))}
    return f"{len(given)} checks: " + ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def _look(record: Mapping[str, Any]) -> tuple[str, str]:
    return _LOOKS[record["verdict"].split()[0]]


def _box(claim: str, verdict: str, inside: str) -> str:
    kind, colour = _look({"verdict": verdict})
    return (
        f'<div class="pk-claim pk-{kind}" data-verdict="{html.escape(verdict.replace(" ", "-"))}" '
        f'style="border-left:.4em solid {colour};padding:.3em .8em;margin:.4em 0">'
        f'<strong class="pk-verdict">{html.escape(verdict)}</strong> '
        f"<code>{html.escape(claim)}</code><br>{inside}</div>"
    )


def show_record(record: dict[str, Any], markup: str, text: str) -> None:
    """Display HTML with a plain-text fallback, and keep the record in the output's metadata."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:  # a plain script has no display
        print(text)
        return
    display({"text/html": markup, "text/plain": text}, raw=True, metadata={METADATA: record})
