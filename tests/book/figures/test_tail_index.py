"""The figures on the tail index, from small results."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from prunekit.book.figures import tail_index as figures
from prunekit.book.figures.tail_index import ROOT, Laws, Regression, Samples
from prunekit.stable import TailIndex
from tests.book.figures.looks import look

SIZES, INDICES = [100, 1000, 10000], [1.2, 1.8, 2.0]


@pytest.fixture
def samples() -> Samples:
    rng = np.random.default_rng(0)
    values = {}
    for n in SIZES:
        for a in INDICES:
            inverse = 1 / a + 0.5 * n**-0.25 * rng.standard_normal(40)
            values[ROOT, a, n] = np.transpose([inverse, np.full(40, 0.5 * n**-0.25), 1 / np.maximum(inverse, 0.3)])
    return Samples(SIZES, INDICES, values)


@pytest.fixture
def regression() -> Regression:
    steps = np.linspace(0.1, 1.0, 10)
    exact = {b: np.where(steps > 0.95 - 0.2 / b, 0.0, b / steps) for b in (1, 2, 5)}
    exact[5][0] = math.inf
    runs = [(0.3, 2), (0.5, 2), (0.3, 1)]
    found = [TailIndex(a, 0.1, (10,), (1 / a,), 100, 5) for a in (1.9, 1.5, 1.4)]
    return Regression(steps, exact, runs, [6.7, 4.0, math.inf], found)


@pytest.fixture
def laws() -> Laws:
    fine, blocks = [2, 10, 100, 1000], [10, 100]
    answers = {"Gaussian": [2.0] * 4, "Laplace": [1.3, 1.57, 1.7, 1.8], "one in ten wider": [1.0, 1.21, 1.5, 1.6]}
    predicted = {name: (fine, values) for name, values in answers.items()}
    measured = {name: (blocks, [v[1] + 0.02, v[2] - 0.01], [0.01, 0.01]) for name, v in answers.items()}
    return Laws(predicted, measured, {name: np.array(v[1:3]) for name, v in answers.items()}, 12345)


def test_calibration_shows_bias_and_spread(samples: Samples) -> None:
    drawing = figures.calibration(samples)
    look(drawing, x="n", y="value")
    assert "40 repetitions" in drawing.caption and "for n = 1,000" in drawing.caption
    kinds = set(zip(drawing.numbers["quantity"], drawing.numbers["kind"], strict=True))
    assert kinds == {("bias", "measured"), ("spread", "measured"), ("spread", "predicted")}


def test_a_variant_is_clipped_as_often_as_it_is() -> None:
    free = {a: np.transpose([a + np.linspace(-0.3, 0.3, 20), np.full(20, 0.1)]) for a in (1.5, 2.0)}
    clipped = {a: np.minimum(values, 2.0) for a, values in free.items()}
    found = {"formula": free, "and of 5 orders": free, "clipped at 2": clipped}
    drawing = figures.variants(found, rows=64)
    look(drawing)
    assert "exactly 2 in 50% of the samples" in drawing.caption and "64 vectors" in drawing.caption
    rows = list(zip(drawing.numbers["variant"], drawing.numbers["alpha"], drawing.numbers["bias"], strict=True))
    assert len(rows) == 6 and rows[-1][:2] == ("clipped at 2", 2.0) and rows[-1][2] == pytest.approx(-0.0789, abs=1e-3)


def test_sgd_is_drawn_where_it_has_an_index(regression: Regression) -> None:
    drawing = figures.linear_regression(regression, chains=1000, averaged=300)
    look(drawing, x="eta_over_b", y="alpha")
    assert "above 12 and 1.40 (b = 1)" in drawing.caption
    assert 0.0 not in drawing.numbers["alpha"] and math.inf not in drawing.numbers["alpha"]


def test_exceptions_from_the_order_are_counted(regression: Regression) -> None:
    assert regression.exceptions == 0 and regression.pairs == (6 + 7 + 7) + (7 + 7)  # in η, in b
    worse = {b: values.copy() for b, values in regression.exact.items()}
    worse[2][4] = worse[2][3]  # a step that does not lower the index
    worse[1][0] = 25.0  # a smaller batch that does not either
    assert dataclasses.replace(regression, exact=worse).exceptions == 2


def test_rises_are_the_largest_of_all_neighbours(regression: Regression) -> None:
    assert regression.smallest == pytest.approx(1 / 0.7)  # b = 1 has no law from 0.8 on
    in_step, in_batch = regression.rises()
    assert in_step == pytest.approx(1 / 0.7 - 1 / 0.6)
    assert in_batch == pytest.approx(-1 / 0.7)
    worse = {b: values.copy() for b, values in regression.exact.items()}
    worse[2][4] = worse[2][3] + 0.25
    assert dataclasses.replace(regression, exact=worse).rises()[0] == pytest.approx(0.25)
    assert regression.rise(0, 1) == (pytest.approx(-0.4), pytest.approx(math.hypot(0.1, 0.1)))


def test_the_farthest_mean_is_found_with_its_error(samples: Samples) -> None:
    off = {key: values.copy() for key, values in samples.values.items()}
    off[ROOT, 1.8, 10000][:, 0] += 0.2
    alpha, gap, error = dataclasses.replace(samples, values=off).farthest(ROOT, 10000)
    inverse = off[ROOT, 1.8, 10000][:, 0]
    assert (alpha, gap) == (1.8, pytest.approx(1 / inverse.mean() - 1.8))
    assert error == pytest.approx(inverse.std(ddof=1) / math.sqrt(40) / inverse.mean() ** 2)
    assert 0.7 < samples.stated()["smallest"] <= 1 <= samples.stated()["largest"] < 1.4


def test_other_laws_are_measured_against_their_lines(laws: Laws) -> None:
    drawing = figures.other_laws(laws)
    look(drawing, x="block_size", y="alpha")
    assert laws.largest_gap == pytest.approx(2.0)
    assert "1.57 for Laplace" in drawing.caption and "12,345 draws" in drawing.caption


def test_the_findings_say_what_came_out(samples: Samples, regression: Regression, laws: Laws) -> None:
    stable, sgd, other = figures.findings(samples, regression, laws)
    assert "the estimator is right on average" in stable and "34 of 34 comparisons" in sgd
    assert "1.57 for Laplace" in other and "1.21 for Gaussians" in other
    off = {key: values + 0.5 for key, values in samples.values.items()}
    worse = {b: np.full(10, 3.0) for b in (1, 2, 5)}
    stable, sgd, _ = figures.findings(
        dataclasses.replace(samples, values=off), dataclasses.replace(regression, exact=worse), laws
    )
    assert "the estimator is not right" in stable
    assert "not always as the paper says" in sgd and "in 0 of 47" in sgd
