"""Curves against λ over seeds, and what is known of their errors."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit.book.figures.beside import Curve, conditions, rows
from prunekit.book.settings import PaperSetting
from prunekit.book.tables import tabulated

LAMBDAS = [0.125, 0.25, 1.0, 4.0, 8.0]


def measured(seed: int) -> Curve:
    return Curve.of(np.random.default_rng(seed).uniform(1, 2, (6, 5)), LAMBDAS)


def kept(curve: Curve) -> Curve:
    """Return a curve as a recording keeps it."""
    assert curve.values is not None
    return Curve.read(tabulated([{"data": "a"} | row for row in rows(curve.values, LAMBDAS)]), data="a")


def test_a_curve_is_cut_and_follows_its_steps() -> None:
    curve = measured(0)
    assert curve.inside.lambdas == [0.25, 1.0, 4.0]
    assert curve.values is not None
    steps = curve.steps()
    assert steps.lambdas == LAMBDAS[1:] and steps.values == pytest.approx(np.diff(curve.values, axis=1))
    assert curve.at(4.0).measured(0, -1) == {"measured": -curve.mean[3], "error": curve.error[3]}
    assert curve.drop()["measured"] == pytest.approx(np.ptp(curve.mean))
    assert curve.least()["measured"] == curve.mean.min()


def test_pairs_are_paired_where_the_seeds_are_known() -> None:
    one, other = measured(0), measured(1)
    assert one.values is not None and other.values is not None
    gap = one.minus(other)
    assert gap.error == pytest.approx((one.values - other.values).std(axis=0, ddof=1) / np.sqrt(6))
    assert one.average()["error"] == pytest.approx(one.values.mean(axis=1).std(ddof=1) / np.sqrt(6))


@pytest.mark.parametrize("seed", range(5))
def test_a_recorded_error_is_never_below_the_paired_one(seed: int) -> None:
    one, other = measured(seed), measured(seed + 100)
    recorded = kept(one), kept(other)
    assert recorded[0].values is None and recorded[0].mean == pytest.approx(one.mean)
    for live, read in (
        (one.minus(other), recorded[0].minus(recorded[1])),
        (one.steps(), recorded[0].steps()),
    ):
        assert read.mean == pytest.approx(live.mean)
        assert np.all(read.error >= live.error)
    assert recorded[0].average()["error"] >= one.average()["error"]


def test_further_seeds_join_where_values_are_known() -> None:
    one = measured(0).at(1.0)
    assert one.values is not None
    more = one.joined([1.5, 1.75])
    assert more.values is not None and more.values[:, 0].tolist() == [*one.values[:, 0], 1.5, 1.75]
    assert more.mean == pytest.approx(np.mean([*one.values[:, 0], 1.5, 1.75]))
    assert more.error == pytest.approx(np.std([*one.values[:, 0], 1.5, 1.75], ddof=1) / np.sqrt(8))
    assert one.joined([]) is one
    recorded = kept(measured(0)).at(1.0)
    assert recorded.joined([1.5]) is recorded


def test_logarithms_and_shares_agree_to_first_order() -> None:
    noise = 1e-4 * np.random.default_rng(0).standard_normal((2, 6, 5))
    pair = [Curve.of(base + each, LAMBDAS) for base, each in zip((2.0, 3.0), noise, strict=True)]
    for live, read in (
        (pair[0].log(), kept(pair[0]).log()),
        (pair[0].share(pair[1]), kept(pair[0]).share(kept(pair[1]))),
    ):
        assert read.mean == pytest.approx(live.mean, rel=1e-4)
        assert np.all(read.error >= 0.99 * live.error)
    assert pair[0].share(pair[1]).mean == pytest.approx(np.full(5, 0.4), abs=1e-3)


def test_conditions_of_a_run() -> None:
    paper = PaperSetting(data="MNIST", images=60_000, optimizer=None, learning_rate=None, batch_size=None)
    like = conditions(paper, "mnist", "paper", 5, images=1500)
    assert list(like["setting"].smaller.values()) == ["1,500 of 60,000 images"]
    assert (like["data"], like["repetitions"], like["of"]) == ("mnist", 5, "seeds")
    assert "digits in place of MNIST" in str(conditions(paper, "digits", "smoke", 3, images=10)["setting"])
