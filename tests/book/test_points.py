"""The point on which a statement about many points hangs, against the verdicts of all points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunekit.book import verdicts
from prunekit.book.points import at_every, at_some, weakest
from prunekit.book.verdicts import DIFFERS, REPRODUCED, UNDECIDED


def decided(row: dict[str, Any]) -> str:
    return verdicts.decide(row, row["expected"])


def alone(samples: np.ndarray[Any, Any], **given: Any) -> list[str]:
    return [decided(at_every(column, **given)) for column in samples.T]


CASES = st.tuples(
    st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 5), st.sampled_from(("equal", "at most", "at least"))
)


@given(CASES)
def test_all_points_or_some_are_judged_as_each_is_alone(case: tuple[int, int, int, str]) -> None:
    seed, count, points, relation = case
    rng = np.random.default_rng(seed)
    samples = rng.normal(rng.normal(0, 2, points), rng.uniform(0, 0.5, points), (count, points))
    about: dict[str, Any] = {"margin": 1.0, "relation": relation}
    each = alone(samples, **about)
    every = REPRODUCED if set(each) == {REPRODUCED} else DIFFERS if DIFFERS in each else UNDECIDED
    some = DIFFERS if set(each) == {DIFFERS} else REPRODUCED if REPRODUCED in each else UNDECIDED
    assert decided(at_every(samples, **about)) == every
    assert decided(at_some(samples, **about)) == some
    assert decided(weakest([at_every(column, **about) for column in samples.T])) == every


def test_a_point_has_its_mean_and_standard_error() -> None:
    samples = np.array([[1.0, 10.0], [3.0, 10.0]])
    assert at_every(samples, margin=20.0) == {
        "measured": 2.0,
        "error": 1.0,
        "repetitions": 2,
        "margin": 20.0,
        "expected": 0.0,
        "relation": "equal",
    }
    assert at_every(samples[:, 1], margin=1.0, least_error=0.5)["error"] == 0.5
    assert at_some(samples, margin=0.0, expected=1.0, relation="at least")["measured"] == 10.0


def test_no_part_is_refused() -> None:
    with pytest.raises(ValueError, match="rows is empty"):
        weakest([])
