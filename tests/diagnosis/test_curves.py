"""The largest share within ε, its error, and the search over a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunekit.diagnosis.curves import REMOVED, RiseCurve, largest_within, sought


@given(power=st.floats(0.5, 4), epsilon=st.floats(1e-3, 10))
def test_crossing_of_a_power_of_the_share_kept(power: float, epsilon: float) -> None:
    removed = np.linspace(0.001, 0.999, 2000)
    rises = (-np.log1p(-removed)) ** power
    exact = -math.expm1(-(epsilon ** (1 / power)))
    assert largest_within(removed, rises, epsilon) == pytest.approx(min(exact, 0.999), abs=2e-3)


def test_a_rise_that_comes_back_does_not_count() -> None:
    removed = np.array([0.1, 0.2, 0.3])
    assert largest_within(removed, np.array([0.0, 5.0, 0.0]), 1.0) < 0.2


def test_search_finds_the_crossing_of_the_whole_grid() -> None:
    rises = dict(zip(REMOVED, np.linspace(0.01, 2, len(REMOVED)) ** 2, strict=True))
    for epsilon in (1e-5, 0.02, 0.5, 3.0, 100.0):
        asked: list[float] = []

        def rise(share: float, asked: list[float] = asked) -> np.ndarray:
            asked.append(share)
            return np.array([rises[share], rises[share]])

        curve = sought(rise, epsilon)
        whole = largest_within(np.array(REMOVED), np.array(list(rises.values())), epsilon)
        assert largest_within(curve.removed, curve.rises, epsilon) == pytest.approx(whole)
        assert len(asked) == len(set(asked)) < len(REMOVED)


def test_jackknife_error_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).standard_normal(40)
    without = (values.sum() - values) / 39
    curve = RiseCurve(np.array([0.5]), np.array([values.mean()]), without[None])
    assert curve.errors[0] == pytest.approx(values.std(ddof=1) / math.sqrt(40))
    alone = RiseCurve(np.array([0.5]), np.array([values.mean()]), values[None], jackknife=False)
    assert alone.errors[0] == pytest.approx(curve.errors[0])


def test_one_part_has_no_error() -> None:
    assert RiseCurve(np.array([0.5]), np.array([1.0]), np.array([[1.0]])).errors[0] == math.inf
