"""The verdict that a measurement amounts to: one pure function of what a check recorded.

A check states three things before anything is measured: the *margin*, which difference matters, with its reason in
words; the *error* of the measurement, by its repetitions; and the *setting*, the paper's beside the one that ran. With
an interval of the measured value ± its error at the level below,

* *reproduced*: the interval lies inside the margin;
* *differs*: it lies outside;
* *undecided*: it covers the margin's edge, or the paper does not say what would decide it;
* *erratum*: the printed statement differs, and the corrected one is reproduced by the same rule.

The first three are *in reduced form* where the setting is smaller than the paper's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

from prunekit import _checks

REPRODUCED, UNDECIDED, DIFFERS, ERRATUM = "reproduced", "undecided", "differs", "erratum"
_IN_REDUCED_FORM = " in reduced form"
NOT_ATTEMPTED = "not attempted"
REDUCED = REPRODUCED + _IN_REDUCED_FORM
VERDICTS = (  # best first
    REPRODUCED,
    REDUCED,
    ERRATUM,
    UNDECIDED + _IN_REDUCED_FORM,
    UNDECIDED,
    DIFFERS + _IN_REDUCED_FORM,
    DIFFERS,
)
RELATIONS = {"equal": "=", "at most": "≤", "at least": "≥"}

LEVEL = 0.99  # the chance that all intervals of a page hold at once
CHECKS = 64  # how many a page may have for that: a fixed number, so that one more check changes no other verdict
MOST = 10**6  # repetitions beyond which no advice is given


@functools.lru_cache
def quantile(repetitions: int | None) -> float:
    """Return how many standard errors make an interval: Student's quantile, the normal one for a known error.

    Parameters
    ----------
    repetitions : int, optional
        How many independent ones the error was estimated from, at least 2; None for an error that is known.
    """
    tail = 1 - (1 - LEVEL) / CHECKS / 2
    from scipy import special  # a command that judges nothing starts sooner without

    return float(special.ndtri(tail) if repetitions is None else special.stdtrit(repetitions - 1, tail))


def half_width(record: Mapping[str, Any]) -> float:
    """Return half the width of the interval around what was measured: without end where the error is not known."""
    if record["error"] is None:
        return math.inf
    return 0.0 if record["error"] == 0 else quantile(record["repetitions"]) * record["error"]


def decide(record: Mapping[str, Any], expected: float) -> str:
    """Return *reproduced*, *undecided* or *differs* for one expected value, whatever the setting is.

    Parameters
    ----------
    record : mapping
        `measured`, `error`, `repetitions`, `margin` and `relation`, as `prunekit.check` records them.
    expected : float
        The value that the statement requires.
    """
    excess, half = beyond(record, expected), half_width(record)
    if excess + half <= 0:
        return REPRODUCED
    return DIFFERS if excess - half > 0 else UNDECIDED


def beyond(record: Mapping[str, Any], expected: float) -> float:
    """Return how far the measured value lies beyond the margin's edge; negative inside."""
    excess = record["measured"] - expected
    side = {"equal": abs(excess), "at most": excess, "at least": -excess}[record["relation"]]
    return float(side - record["margin"])


def is_reduced(record: Mapping[str, Any]) -> bool:
    """Tell whether the setting is smaller than the paper's, in any field."""
    return bool(record["smaller"])


def verdict(record: Mapping[str, Any]) -> str:
    """Return the verdict that one record of a check amounts to.

    Raises
    ------
    TypeError, ValueError
        If it is no record of a check.
    """
    _complete(record)
    outcome = decide(record, record["expected"])
    if outcome == DIFFERS and record["corrected"] is not None:
        corrected = decide(record, record["corrected"])
        if corrected == REPRODUCED:
            return ERRATUM
        outcome = corrected
    if outcome == DIFFERS and record["unstated"]:
        outcome = UNDECIDED
    return outcome + (_IN_REDUCED_FORM if is_reduced(record) else "")


_FIELDS = ("measured", "error", "repetitions", "expected", "margin", "relation", "corrected", "smaller", "unstated")


def _complete(record: Any) -> None:
    """Refuse what is no record of a check."""
    _checks.instance("record", record, Mapping, "a record of check")
    missing = [key for key in _FIELDS if key not in record]
    if missing:
        raise ValueError(f"record lacks {missing[0]!r}: give a record of check")
    _checks.choice("relation of record", record["relation"], tuple(RELATIONS))
    for key in ("measured", "expected", "corrected"):
        if key != "corrected" or record[key] is not None:
            _checks.real(f"{key} of record", record[key])
    for key in ("error", "margin"):
        if key != "error" or record[key] is not None:
            _checks.scalar(f"{key} of record", record[key])
    if record["repetitions"] is not None:
        _checks.count("repetitions of record", record["repetitions"], 2)


def worst(verdicts: Iterable[str]) -> str:
    """Return the worst of some verdicts, or *not attempted* if there are none."""
    given = [_checks.choice("verdicts", v, VERDICTS) for v in _checks.listed("verdicts", verdicts, "verdicts")]
    return max(given, key=VERDICTS.index, default=NOT_ATTEMPTED)


def deciding(record: Mapping[str, Any]) -> int | None:
    """Return how many repetitions would decide an undecided check if the measured value stays where it is.

    Returns
    -------
    int or None
        None where it is decided, where repetitions are not what its error comes from, or for more than a million.
    """
    _complete(record)
    n, error = record["repetitions"], record["error"]
    if n is None or not error:
        return None
    goals = [record["expected"]]
    if record["corrected"] is not None and decide(record, record["expected"]) == DIFFERS:
        goals = [record["corrected"]]
    if decide(record, goals[0]) != UNDECIDED:
        return None
    room, spread = abs(beyond(record, goals[0])), error * math.sqrt(n)
    low, high = n, MOST + 1
    while high - low > 1:  # the width falls with the repetitions
        middle = (low + high) // 2
        if quantile(middle) * spread < room * math.sqrt(middle):
            high = middle
        else:
            low = middle
    return high if high <= MOST else None


def refuse_the_certain(expected: float, margin: float, relation: str, within: tuple[float, float]) -> None:
    """Refuse a statement that no value within its range could contradict.

    Raises
    ------
    ValueError
        If the range is empty, or lies inside what the statement allows.
    """
    low, high = within
    if not low < high:
        raise ValueError(f"within is ({low:g}, {high:g}), in which nothing can vary: give a lower and a higher end")
    least = -math.inf if relation == "at most" else expected - margin
    most = math.inf if relation == "at least" else expected + margin
    if least <= low and high <= most:
        raise ValueError(
            f"within is ({low:g}, {high:g}), all of which expected = {expected:g} and margin = {margin:g} allow: "
            "the statement cannot fail; show it and do not check it"
        )
