"""The figures on compressible weights, from small results."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit.book.figures import compressibility as figures
from prunekit.book.figures.compressibility import Errors, Needed
from tests.book.figures.looks import look

ALPHAS = (1.2, 1.5, 2.0)


def scattered(middle: float, key: int, many: int = 12) -> np.ndarray:
    return middle * np.exp(0.05 * np.random.default_rng(key).standard_normal(many))


@pytest.fixture
def errors() -> Errors:
    values = {
        (a, d): {p: scattered(0.8 * d ** (0.5 - 1 / a), round(10 * (a + p)) + d) for p in (1.0, 2.0, 4.0)}
        for a in ALPHAS
        for d in (100, 1000, 10000)
    }
    return Errors(0.1, (100, 1000, 10000), values)


@pytest.fixture
def needed() -> Needed:
    grid = np.linspace(1.1, 1.9, 9)
    networks = {"14 million": (1.4e7, 1.57), "a billion": (1e9, 1.65), "a trillion": (1e12, 1.73)}
    weights = {error: 10 ** (error / (2 - grid)) for error in (0.1, 0.3)}
    return Needed(0.1, 0.1, grid, weights, networks, {1.75: 1e13, 1.9: 1e35})


def test_needed_weights_are_drawn_beside_network_sizes(needed: Needed) -> None:
    drawing = figures.finite_networks(needed)
    look(drawing, x="alpha", y="weights_for_error_0.1", also=(("alpha", "weights_for_error_0.3"),))
    assert "α ≤ 1.57 with 14 million weights" in drawing.caption
    assert "10^13 weights at α = 1.75 and 10^35 weights at α = 1.9" in drawing.caption


def test_theorem_1_is_drawn_by_tail_index_and_by_order(errors: Errors) -> None:
    drawing = figures.theorem_1(errors, 1.5)
    look(drawing, x="d", y="error")
    rows = set(zip(*(drawing.numbers[name] for name in ("panel", "kind", "label")), strict=True))
    assert ("p = 2", "predicted", "α = 2") in rows
    assert ("α = 1.5", "predicted", "p = 4") in rows
    assert ("α = 1.5", "predicted", "p = 1") not in rows  # no prediction below α
    assert ("α = 1.5", "measured", "p = 1") in rows


def test_slopes_are_those_of_the_powers(errors: Errors) -> None:
    assert errors.slope(1.2).value == pytest.approx(-1 / 3, abs=0.02)
    assert errors.alphas == list(ALPHAS)
    assert errors.median(1.5) == np.median(errors.values[1.5, 10000][2.0])


def test_rates_are_those_from_a_size_on_and_at_the_order_alpha(errors: Errors) -> None:
    far = {key: dict(by_order) for key, by_order in errors.values.items()}
    far[1.5, 100] = {p: values * 10 for p, values in far[1.5, 100].items()}
    assert Errors(0.1, errors.sizes, far).slope(1.5, 2.0, 1000) == errors.slope(1.5, 2.0, 1000)
    assert Errors(0.1, errors.sizes, far).slope(1.5).value < errors.slope(1.5).value - 0.1
    logarithm = {
        (1.5, d): {1.5: (0.4 * np.log(d) + scattered(1.0, d)) ** (-1 / 1.5), 2.0: scattered(1, d)} for d in (100, 10**5)
    }
    grown = Errors(0.1, (100, 10**5), logarithm)
    assert grown.growth(1.5).value == pytest.approx(0.4, abs=0.02)
    assert (grown.repetitions, grown.draws(1.5), grown.draws(1.5, 1000)) == (12, 24, 12)


def test_shares_are_drawn_for_both_orders() -> None:
    alphas = (1.75, 1.9, 2.0)
    shares = {a: np.transpose([scattered(a / 3, 1), scattered(a / 2.5, 2)]) for a in alphas}
    drawing = figures.heavier_tails(alphas, shares, (alphas, [0.7, 0.75, 0.8]), 5000, 0.1)
    look(drawing, x="alpha", y="share")
    assert (
        f"{np.median(shares[1.75][:, 1]):.3f} at α = 1.75" in drawing.caption
        and "d = 5,000, 12 draws" in drawing.caption
    )


def test_the_findings_say_what_came_out(errors: Errors, needed: Needed) -> None:
    falls, rate, far = figures.findings(errors, needed)
    assert "weights falls as layers grow" in falls and "at 10,000 weights" in falls
    assert "1.57 with 14 million weights" in rate and "1.73 with a trillion" in rate
    assert "10^35 weights" in far
    rising = {key: {p: 1 / values for p, values in by.items()} for key, by in errors.values.items()}
    assert "does not always fall" in figures.findings(Errors(0.1, errors.sizes, rising), needed)[0]
