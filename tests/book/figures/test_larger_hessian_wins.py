"""The race of groups of weights, its limit and one sample, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import larger_hessian_wins as figures
from prunekit.book.figures.larger_hessian_wins import FIRST, OTHERS, Race
from tests.book.figures.looks import look

KAPPA = 0.1


@pytest.fixture
def race() -> Race:
    q = 0.9 ** np.arange(31)
    return Race(KAPPA, q, KAPPA**2 * (1 - q) + 1e-4, (1 - KAPPA) ** 2 * (1 - q))


def test_the_bounds_are_those_of_the_theorem(race: Race) -> None:
    first, others = race.curves[FIRST], race.curves[OTHERS]
    assert first["(4.6)"][0] == pytest.approx(0.48) and first["(4.6)"][2] == pytest.approx(0.08 + 0.4 * 0.9)
    assert first["least-squares bound"][1] == pytest.approx(0.01 + 0.2 * 0.9)
    assert others["(4.7)"][1] == pytest.approx(1 - 0.08 - 0.4 - 0.9)
    assert others["least-squares bound"][1] == pytest.approx(0.81 - 0.81)


def test_the_race_is_drawn_as_its_numbers_say(race: Race) -> None:
    drawing = figures.along_training(race)
    every_fifth = {name: np.asarray(values)[::5] for name, values in drawing.numbers.items()}
    columns = tuple(("iteration", column) for column in every_fifth if column != "iteration")
    look(dataclasses.replace(drawing, numbers=every_fifth), also=columns)
    assert "After 30 steps group 1 has" in drawing.caption and "κ = 0.100" in drawing.caption


def test_the_limit_is_drawn_with_the_bounds() -> None:
    rng = np.random.default_rng(0)
    kappa = {name: rng.uniform(0.1, 1, (2, 4)) for name in ("flat", "Gaussian")}
    limits = {
        name: {
            "kappa": k, "moved_mu": 2 * k, "importance": k**2 / 2, "kappa_tilde": k / 2, "moved_L": 3 * k,
        }
        for name, k in kappa.items()
    }  # fmt: skip
    drawing = figures.tightness(limits, {"4.5": 0.25, "4.6": 0.125, "B.18": 1.0, "B.19": 2.0})
    look(drawing, also=(("kappa", "moved_mu"), ("kappa", "importance"), ("kappa_tilde", "moved_L")))
    assert drawing.numbers["spectrum"] == ["flat"] * 4 + ["Gaussian"] * 4
    assert "reach 0.250 of (4.5) and 0.125 of the limit of (4.6)" in drawing.caption
    assert "3 for the flat spectrum, 3 for the Gaussian spectrum" in drawing.caption


def test_one_sample_lies_where_the_correction_says() -> None:
    kappa = np.array([0.2, 0.5, 0.8])
    limit, peak = (1 - kappa) ** 2, (1 - kappa) / (1 + kappa)
    drawing = figures.one_sample(kappa, limit, peak, 1)
    look(drawing, x="kappa_tilde", y="importance")
    assert "exceeds the printed (B.20) in 3 of them" in drawing.caption
    assert "printed -0.250, limit 0.250, largest on the way 0.333" in drawing.caption
    assert "in 0 of them" in figures.one_sample(kappa, 1 - kappa**2 - 2 * kappa - 0.1, peak, 1).caption


def test_the_findings_say_whether_the_bounds_hold(race: Race) -> None:
    assert "(4.6) and (4.7) hold at every one of the 30" in figures.findings(race)[1]
    assert "do not hold" in figures.findings(dataclasses.replace(race, own=race.own + 1))[1]
    assert "do not hold" in figures.findings(dataclasses.replace(race, others=race.others - 1))[1]
