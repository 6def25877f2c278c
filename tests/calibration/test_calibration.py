"""Do two error bars hold the truth: the cases of `make calibration` at a size of seconds, one for every bar.

They take a minute of one core: coverage is counted, and only many runs tell 95% from what half a bar covers.
The chance of a false alarm over all cases together is at most 1% for errors that keep their promise, by the binomial
law; seeds are fixed, so the outcome is too, on one machine.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from prunekit.book import paths
from prunekit.statistics import binomial_interval, chance_of_two
from tests.calibration import draws, measured, products, reports
from tests.calibration.public import REASONS, named, returning
from tests.calibration.table import CASES, Case, Runs, least, row, run

LEVEL = 0.01  # of a false alarm over all cases
assert draws and measured and products and reports
every_case = pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def runs():
    """Return what came out of a case, run once for all tests that look at it."""
    known: dict[str, Runs] = {}

    def look(one: Case) -> Runs:
        if one.name not in known:
            known[one.name] = run(one, one.quick)
        return known[one.name]

    return look


@every_case
def test_two_bars_hold_the_truth(runs, one):
    found = runs(one)
    assert found.covered() >= least(one, found.told, LEVEL / len(CASES))


@pytest.mark.parametrize("one", [c for c in CASES if not (c.bound or c.note)], ids=lambda one: one.name)
def test_bars_of_half_the_length_would_be_noticed(runs, one):
    found = runs(one)
    assert found.covered(0.5) < least(one, found.told, LEVEL / len(CASES))


@pytest.mark.parametrize("one", [c for c in CASES if c.bound and not c.note], ids=lambda one: one.name)
def test_a_truth_beyond_a_bound_would_be_noticed(runs, one):
    """A bound holds the truth more often than it promises, and so may half of it; three bars away it does not."""
    found = runs(one)
    beyond = replace(found, truth=found.truth + 3 * float(found.bars.mean()))
    assert beyond.covered() < least(one, found.told, LEVEL / len(CASES))


@pytest.mark.parametrize("one", [c for c in CASES if not c.bound], ids=lambda one: one.name)
def test_bars_are_not_much_longer_than_what_a_number_is_off_by(runs, one):
    """Coverage alone would not tell, with so few seeds; of four normal draws a bar is 1.5 times as long."""
    found = runs(one)
    off = np.sqrt(np.mean((found.values - found.truth) ** 2))
    assert found.bars.mean() < 1.8 * off
    assert 3 * found.bars.mean() > 1.8 * off


def test_every_public_function_that_returns_an_error_has_a_case_or_a_reason():
    known = {id(named(name)) for name in [*REASONS, *(one.function for one in CASES)]}
    missing = [name for name, found in returning().items() if id(found) not in known]
    assert not missing, f"enter a case under tests/calibration, or say in REASONS why there is none: {missing}"


def test_the_walk_finds_what_it_is_to_find():
    found = {id(each) for each in returning().values()}
    lost = [name for name in [*REASONS, *(one.function for one in CASES)] if id(named(name)) not in found]
    assert not lost, f"a name that returns no error any more, or that the walk does not see: {lost}"


def test_no_function_has_a_case_and_a_reason():
    assert not {id(named(name)) for name in REASONS} & {id(named(one.function)) for one in CASES}


def test_a_row_says_what_was_counted():
    one = Case("f", "a case", "chosen", lambda: (1.0, lambda seed: (1.0 + seed, 0.75)), 4, 4, 0.5)
    found = row(one, run(one, 4))  # off by 0, 1, 2, 3, of which two bars, 1.5, hold two
    assert found | {"seconds": 0} == {
        "function": "f", "case": "a case", "known": "chosen", "truth": 1.0, "value": 2.5, "bar": 0.75,
        "off": pytest.approx(np.sqrt(14 / 4)), "seeds": 4, "resolved": 4, "covered": 2,
        "interval": list(binomial_interval(2, 4)), "nominal": 0.5, "bound": False, "note": "", "seconds": 0,
    }  # fmt: skip
    assert run(one, 4).covered(0.5) == 1
    assert run(one, 4).covered(2.0) == 4


def test_an_interval_is_held_by_its_ends_and_infinite_bars_are_left_out():
    one = Case("f", "an interval", "chosen", lambda: (1.0, lambda seed: (0.0, -1.0, 0.5 + seed)), 2, 2, 0.5)
    found = run(one, 2)
    assert (found.covered(), list(found.bars)) == (1, [0.375, 0.625])
    lost = Case("f", "lost", "chosen", lambda: (1.0, lambda seed: (0.0, np.inf if seed else 3.0)), 2, 2, 0.5)
    assert (run(lost, 2).told, run(lost, 2).covered(), run(lost, 2).seeds) == (1, 1, 2)
    with pytest.raises(FloatingPointError, match="f: lost: 2 of 3 runs have no bar"):
        run(lost, 3)


def test_students_chance_is_that_of_so_few_draws():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_000, 5))
    inside = np.abs(x.mean(1)) <= 2 * x.std(1, ddof=1) / np.sqrt(5)
    low, high = binomial_interval(int(inside.sum()), len(x), 1e-3)
    assert low < chance_of_two(5) < high
    assert chance_of_two(10**9) == pytest.approx(0.9545, abs=1e-4)


def test_the_book_has_the_table_of_these_cases():
    table = json.loads(paths.CALIBRATION.read_text(encoding="utf-8"))
    assert [(r["function"], r["case"], r["seeds"]) for r in table["rows"]] == [
        (one.function, one.words, one.seeds) for one in CASES
    ], "the cases have changed: make calibration"
    assert {r["function"]: r["reason"] for r in table["without"]} == REASONS
    for one, line in zip(CASES, table["rows"], strict=True):
        assert line["resolved"] >= 40
        assert line["interval"] == pytest.approx(binomial_interval(line["covered"], line["resolved"]))
        assert (line["nominal"], line["bound"], line["note"]) == (pytest.approx(one.nominal), one.bound, one.note)
        high = line["interval"][1]
        assert (high < one.nominal) if one.note else (high >= 0.9 or high >= one.nominal), one.name
