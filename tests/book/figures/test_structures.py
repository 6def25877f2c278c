"""The figures on columns and singular values, from small results."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit.book.figures import structures as figures
from prunekit.book.figures.structures import Borderline, Matrices
from prunekit.stable import column_error, column_norms
from tests.book.figures.looks import look

ALPHAS = (1.2, 1.5, 2.0)
KINDS = ("columns", "singular values", "eigenvalues")


def scattered(middle: float, key: int, many: int = 12) -> np.ndarray:
    return middle * np.exp(0.02 * np.random.default_rng(key).standard_normal(many))


@pytest.fixture
def matrices() -> Matrices:
    values = {
        (a, n): {kind: scattered(n ** (0.5 - 1 / a) * 0.9, n + len(kind)) for kind in KINDS}
        for a in ALPHAS
        for n in (40, 80)
    }
    return Matrices(0.1, (40, 80), values)


def borderline(growth: float, sizes: tuple[int, ...] = (40, 640)) -> Borderline:
    """Return powers whose ratio grows, in matrices whose removed powers per weight grow by half of the tail's c."""
    keys = [(a, n) for a in ALPHAS[:2] for n in sizes]
    total = {(a, n): growth * np.log(n) + scattered(2.0, n) for a, n in keys}
    removed = {(a, n): n * 0.3 * (0.5 * np.log(n) + scattered(1.0, n + 1)) for a, n in keys}
    return Borderline(sizes, total, removed, dict.fromkeys(ALPHAS[:2], 0.3))


def test_matrices_are_drawn_by_what_is_kept(matrices: Matrices) -> None:
    drawing = figures.theorems_2_and_3(matrices)
    look(drawing, x="width", y="error")
    assert set(drawing.numbers["kept"]) == {"columns", "singular values"}
    slope = matrices.slope("columns", 1.2).value
    assert matrices.draws(1.2) == 24
    assert f"α = 1.2: {slope:.3f}" in drawing.caption and "exponent -0.333" in drawing.caption


def test_powers_are_those_of_the_error_at_their_order() -> None:
    matrix = np.random.default_rng(0).standard_cauchy((7, 30))
    ratio, removed = figures.powers(column_norms(matrix, 1.3), 0.1, 1.3)
    assert ratio == pytest.approx(column_error(matrix, 0.1, 1.3) ** -1.3, rel=1e-12)
    least = np.sort(np.sum(np.abs(matrix) ** 1.3, axis=0))[:27]
    assert removed == pytest.approx(least.sum() / 30, rel=1e-12)


def test_growth_is_read_off_and_expected_from_tail_and_removed_powers() -> None:
    found = borderline(0.4)
    assert found.growth(1.5).value == pytest.approx(0.4, abs=0.02)
    assert found.removed_growth(1.5).value == pytest.approx(0.5, abs=0.02)
    assert found.expected(1.5) == pytest.approx(0.3 / found.removed[1.5, 640].mean())
    assert (found.alphas, found.draws(1.5)) == ([1.2, 1.5], 24)


def test_results_of_powers_are_kept_with_their_tail() -> None:
    drawn = {(a, n): np.full((2, 5), a + n) for a in (1.0, 2.0) for n in (3, 9)}
    found = figures.borderline((3, 9), drawn, weights=8)
    assert found.alphas == [1.0] and found.total[1.0, 9].tolist() == [10.0] * 5
    assert found.tail[1.0] == pytest.approx(8 * 2 / np.pi)  # Cauchy's law: P(|X| > t) ~ 2/(πt)


def test_the_order_alpha_is_drawn_for_short_and_for_long_columns() -> None:
    drawing = figures.at_alpha(borderline(0.4, (1000, 100_000)), borderline(0.0))
    look(drawing, x="columns", y="power")
    assert set(drawing.numbers["matrices"]) == {"columns of a fixed length", "square matrices"}
    assert "α = 1.2: 0.40 and" in drawing.caption


def test_the_findings_say_what_came_out(matrices: Matrices) -> None:
    errors, rate, edge = figures.findings(matrices, borderline(0.0))
    assert f"{np.median(matrices.values[1.2, 80]['columns']):.2f}" in errors and "80 by 80" in errors
    assert "1/2 − 1/α" in rate
    assert "p = α = 1.5" in edge and "45% in the limit" in edge
