"""Figures 1a to 1c, the size of the law's noise, and what the page says of them, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import covariance_bias as figures
from prunekit.book.figures.covariance_bias import Pruned
from tests.book.figures.looks import look

LEVEL = {  # loss with one of ten weights; it falls by a tenth of it to all ten
    (0.5, "magnitude"): 0.8, (0.5, "Hessian"): 0.9, (1.0, "magnitude"): 0.5, (1.0, "Hessian"): 0.5,
    (5.0, "magnitude"): 0.95, (5.0, "Hessian"): 0.3,
}  # fmt: skip


@pytest.fixture
def found() -> Pruned:
    kept, rng = np.array([1, 5, 10]), np.random.default_rng(0)
    shape = np.array([1.0, 0.95, 0.9])
    laws = {case: (level * shape, np.full(3, 0.001)) for case, level in LEVEL.items()}
    measured = {case: law + 0.01 * rng.standard_normal((8, 3)) for case, (law, _) in laws.items()}
    return Pruned(10, 6, 0.1, kept, laws, measured)


def test_a_gap_is_in_the_standard_errors_of_both(found: Pruned) -> None:
    values = np.array([[0.0, 1.0, 1.0], [2.0, 3.0, 1.0], [1.0, 2.0, 1.0]]) + 0.5
    law = (np.array([1.5, 2.5, 2.1]), np.array([0.1, 0.1, 0.3]))
    here = dataclasses.replace(found, measured={(1.0, "Hessian"): values})
    assert here.gap(1.0, "Hessian", law) == pytest.approx(0.6 / 0.3)
    assert here.gap(1.0, "Hessian", (law[0], 0 * law[1] + 4.0)) == pytest.approx(0.6 / 4.0)


@pytest.mark.parametrize(("lam", "name"), [(5.0, "fig-1a"), (0.5, "fig-1b")])
def test_figure_1_is_what_its_numbers_say(found: Pruned, lam: float, name: str) -> None:
    drawing = figures.figure_1(found, lam, name)
    look(drawing, x="share", y="loss")
    hessian, magnitude = LEVEL[lam, "Hessian"], LEVEL[lam, "magnitude"]
    assert f"{hessian:.3f} for Hessian and {magnitude:.3f} for magnitude pruning at λ = {lam:g}" in drawing.caption
    assert "p = 10, n = 6, σ = 0.1; 8 repetitions" in drawing.caption and drawing.name == name


def test_the_wrong_noise_is_further_off(found: Pruned) -> None:
    printed = {
        case: (found.laws[case][0] + 0.2, found.laws[case][1]) for case in ((1.0, "magnitude"), (5.0, "Hessian"))
    }
    drawing = figures.noise_size(found, printed)
    look(drawing, x="share", y="loss")
    assert drawing.numbers["scaling"] == [1.0] * 9 + [5.0] * 9
    own, other = max(found.gap(*case) for case in printed), max(found.gap(*case, law) for case, law in printed.items())
    assert f"{own:.1f} standard errors for N(0, I/p) and {other:.0f} for the printed" in drawing.caption
    assert other > 10 * own


def test_credit_is_given_in_the_order_of_the_scalings() -> None:
    shares, truth = np.array([0.1, 0.5, 1.0]), np.array([0.4, 0.8, 1.0])
    scatter = 0.01 * np.array([-1, 1, -1, 1])[:, None]
    training = {1.0: truth - 0.2 + scatter, 5.0: truth - 0.1 + scatter}
    drawing = figures.credit(shares, truth, training, 0)
    look(drawing, x="share", y="natural_importance")
    assert "0.200 at λ = 1, 0.300 at λ = 5; its test importance is 0.400" in drawing.caption
    assert "are 0.200, 0.100, in the same order (4 repetitions)" in drawing.caption


def test_the_findings_turn_with_the_numbers(found: Pruned) -> None:
    first, second, third = figures.findings(found, 0.5, 5.0)
    assert "gains if it goes by the Hessian (test loss 0.30 in place of 0.50)" in first
    assert "loses if it goes by magnitude" in first and "Hessian pruning loses" in second
    worst = max(found.gap(*case) for case in LEVEL if case != (1.0, "Hessian"))
    assert f"largest of 15 gaps is {worst:.1f} standard errors, where chance allows" in third
    better = dict(found.measured) | {(5.0, "Hessian"): found.measured[5.0, "Hessian"] + 0.5}
    assert (
        "loses if it goes by the Hessian" in figures.findings(dataclasses.replace(found, measured=better), 0.5, 5.0)[0]
    )
