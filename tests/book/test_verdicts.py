"""Verdicts follow from intervals: what repetitions can and cannot do to them, whatever the numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from prunekit.book import verdicts
from prunekit.book.verdicts import DIFFERS, ERRATUM, REDUCED, RELATIONS, REPRODUCED, UNDECIDED, VERDICTS

REDUCED_FORM = " in reduced form"


def record(measured=1.0, expected=1.0, margin=0.0, relation="equal", **rest):
    fixed = {"error": 0.0, "repetitions": None, "corrected": None, "smaller": [], "unstated": ""}
    return fixed | {"measured": measured, "expected": expected, "margin": margin, "relation": relation} | rest


Z = stats.norm.ppf(1 - 0.01 / 64 / 2)  # 99% over 64 intervals, by another library


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        (record(1.5, margin=0.5), REPRODUCED),  # exact, at the margin's edge
        (record(1.51, margin=0.5), DIFFERS),
        (record(1.0, margin=0.5, error=0.499 / Z), REPRODUCED),
        (record(1.0, margin=0.5, error=0.501 / Z), UNDECIDED),
        (record(2.0, margin=0.5, error=0.499 / Z), DIFFERS),
        (record(2.0, margin=0.5, error=0.501 / Z), UNDECIDED),
        (record(9.0, margin=0.5, relation="at least"), REPRODUCED),
        (record(0.4, margin=0.5, relation="at least"), DIFFERS),
        (record(0.4, margin=0.5, relation="at least", error=1.0), UNDECIDED),
        (record(-9.0, margin=0.5, relation="at most"), REPRODUCED),
        (record(1.6, margin=0.5, relation="at most"), DIFFERS),
        (record(1.5, margin=0.5, smaller=["5 of 10 seeds"]), REDUCED),
        (record(1.6, margin=0.5, smaller=["5 of 10 seeds"]), DIFFERS + REDUCED_FORM),
        (record(1.6, margin=0.5, smaller=["5 of 10 seeds"], error=1.0), UNDECIDED + REDUCED_FORM),
        (record(3.0, margin=0.5, corrected=3.0), ERRATUM),
        (record(3.0, margin=0.5, corrected=3.0, smaller=["5 of 10 seeds"]), ERRATUM),
        (record(3.0, margin=0.5, corrected=3.0, error=0.3), UNDECIDED),  # the printed one fails, the other is not seen
        (record(1.0, margin=0.5, corrected=3.0), REPRODUCED),
        (record(5.0, margin=0.5, corrected=3.0), DIFFERS),
        (record(5.0, margin=0.5, unstated="the learning rate"), UNDECIDED),
        (record(1.0, margin=0.5, unstated="the learning rate"), REPRODUCED),
        (record(1.0, margin=0.5, error=None), UNDECIDED),  # one run
        (record(9.0, margin=0.5, error=None), UNDECIDED),
        (record(9.0, margin=0.5, error=None, corrected=9.0), UNDECIDED),
    ],
)
def test_verdicts_by_hand(one, verdict):
    assert verdicts.verdict(one) == verdict


def test_few_repetitions_take_students_quantile():
    assert verdicts.quantile(None) == pytest.approx(Z, rel=1e-12)
    for n in (2, 5, 40):
        assert verdicts.quantile(n) == pytest.approx(stats.t.ppf(1 - 0.01 / 64 / 2, n - 1), rel=1e-9)
    few = record(1.0, margin=0.5, error=0.499 / Z)
    assert verdicts.verdict(few) == REPRODUCED
    assert verdicts.verdict(few | {"repetitions": 5}) == UNDECIDED


def test_as_many_intervals_as_a_page_has_hold_together_as_often_as_is_said():
    rng = np.random.default_rng(0)
    pages, n = 4000, 6
    draws = rng.standard_normal((pages, verdicts.CHECKS, n))
    error = draws.std(axis=2, ddof=1) / math.sqrt(n)
    outside = (np.abs(draws.mean(axis=2)) > verdicts.quantile(n) * error).any(axis=1).mean()
    assert outside <= 0.01 + 4 * math.sqrt(0.01 * 0.99 / pages)
    assert outside >= 0.002  # nor is the level a much stricter one


numbers = st.floats(-100, 100)
sizes = st.floats(0, 100)
records = st.builds(
    record,
    numbers,
    numbers,
    sizes,
    st.sampled_from(list(RELATIONS)),
    error=sizes,
    repetitions=st.none() | st.integers(2, 50),
    corrected=st.none() | numbers,
    smaller=st.sampled_from([[], ["5 of 10 seeds"]]),
    unstated=st.sampled_from(["", "the learning rate"]),
)


def plain(one):
    return verdicts.verdict(one).removesuffix(REDUCED_FORM)


@given(records, st.floats(1, 10))
def test_more_noise_only_moves_verdicts_towards_undecided(one, more):
    noisier = one | {"error": one["error"] * more}
    assert plain(noisier) in {plain(one), UNDECIDED}


@given(records, sizes, st.floats(-1, 1))
def test_an_interval_that_covers_a_violation_of_the_margin_is_not_reproduced(one, by, place):
    assume(by > 1e-6)
    sign = {"equal": math.copysign(1, place), "at most": 1, "at least": -1}[one["relation"]]
    truth = one["expected"] + sign * (one["margin"] + by)
    measured = truth + place * verdicts.half_width(one) * (1 - 1e-9)
    assert verdicts.decide(one | {"measured": measured}, one["expected"]) != REPRODUCED


def test_no_number_of_repetitions_turns_a_violation_of_the_margin_into_reproduced():
    rng = np.random.default_rng(1)
    for n in (3, 30, 300, 3000):
        draws = 1.05 + rng.standard_normal((500, n))  # beyond the margin by a twentieth of a standard deviation
        means, errors = draws.mean(axis=1), draws.std(axis=1, ddof=1) / math.sqrt(n)
        found = [
            verdicts.verdict(record(m, expected=0.0, margin=1.0, relation="at most", error=e, repetitions=n))
            for m, e in zip(means, errors, strict=True)
        ]
        assert found.count(REPRODUCED) <= 1  # of 500 at a level of 99% over 64


@given(records, sizes)
def test_a_wider_margin_never_makes_a_verdict_worse(one, more):
    order = [REPRODUCED, ERRATUM, UNDECIDED, DIFFERS]
    one = one | {"corrected": None}  # an erratum may become undecided as its margin begins to hold both values
    wider = one | {"margin": one["margin"] + more}
    assert order.index(plain(wider)) <= order.index(plain(one))


@given(records)
def test_a_smaller_setting_changes_how_a_verdict_is_called_and_nothing_else(one):
    found = verdicts.verdict(one | {"smaller": ["5 of 10 seeds"]})
    assert found in VERDICTS
    bare = verdicts.verdict(one | {"smaller": []})
    assert found == (bare if bare == ERRATUM else bare + REDUCED_FORM)


@given(records)
def test_equal_is_at_most_and_at_least(one):
    one = one | {"corrected": None, "unstated": ""}
    found = {relation: plain(one | {"relation": relation}) for relation in RELATIONS}
    both = {found["at most"], found["at least"]}
    assert (found["equal"] == REPRODUCED) == (both == {REPRODUCED})
    assert (found["equal"] == DIFFERS) == (DIFFERS in both)


@given(records)
def test_the_advice_decides(one):
    one = one | {"unstated": ""}
    needed = verdicts.deciding(one)
    if needed is not None:
        assert plain(one) == UNDECIDED
        spread = one["error"] * math.sqrt(one["repetitions"])
        assert needed > one["repetitions"]
        then = one | {"repetitions": needed, "error": spread / math.sqrt(needed)}
        goal = one["expected"]
        if verdicts.decide(one, goal) == DIFFERS:
            goal = one["corrected"]
        assert verdicts.decide(then, goal) != UNDECIDED
        before = one | {"repetitions": needed - 1, "error": spread / math.sqrt(needed - 1)}
        assert verdicts.decide(before, goal) == UNDECIDED


def test_what_is_decided_or_has_no_repetitions_needs_none():
    assert verdicts.deciding(record()) is None
    assert verdicts.deciding(record(1.0, margin=0.5, error=1.0)) is None
    assert verdicts.deciding(record(1.0, margin=0.5, error=0.01, repetitions=9)) is None
    assert verdicts.deciding(record(1.5, margin=0.5, error=0.01, repetitions=9)) is None  # at the edge: no number
    assert verdicts.deciding(record(1.0, margin=0.5, error=1.0, repetitions=9)) > 9


@given(st.lists(st.sampled_from(VERDICTS), min_size=1), st.lists(st.sampled_from(VERDICTS)))
def test_the_worst_of_more_is_no_better(some, more):
    assert verdicts.VERDICTS.index(verdicts.worst([*some, *more])) >= VERDICTS.index(verdicts.worst(some))
    assert verdicts.worst([]) == verdicts.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 0.0, "at most", (0.0, 1.0)), r"within is \(0, 1\), all of which expected = 1 and margin = 0 allow"),
        ((0.5, 0.5, "equal", (0.0, 1.0)), "cannot fail"),
        ((0.0, 0.0, "at least", (0.0, 1.0)), "cannot fail"),
        ((0.5, 0.1, "equal", (1.0, 1.0)), "in which nothing can vary"),
    ],
)
def test_a_statement_that_cannot_fail_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        verdicts.refuse_the_certain(*arguments)


def test_a_statement_that_can_fail_is_not_refused():
    verdicts.refuse_the_certain(0.9, 0.05, "at most", (0.0, 1.0))
    verdicts.refuse_the_certain(0.5, 0.4, "equal", (0.0, 1.0))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"measured": math.nan}, ValueError, "measured of record is nan"),
        ({"error": -1.0}, ValueError, "error of record is -1.0"),
        ({"margin": math.inf}, ValueError, "margin of record is inf"),
        ({"relation": "near"}, ValueError, "relation of record is 'near'"),
        ({"repetitions": 1}, ValueError, "repetitions of record is 1"),
    ],
)
def test_what_is_no_record_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        verdicts.verdict(record() | change)
    with pytest.raises(ValueError, match="record lacks 'margin'"):
        verdicts.verdict({k: v for k, v in record().items() if k != "margin"})
