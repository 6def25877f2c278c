"""The figures on the spectrum behind the limit, from small matrices and small results."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from prunekit.book.figures import hessian_spectra as figures
from prunekit.book.figures.hessian_spectra import Aligned, Sums, Zeros
from prunekit.curvature import Matrix, counting, spectrum
from prunekit.statistics import Estimate
from tests.book.figures.looks import look


@pytest.fixture(scope="module")
def sums() -> Sums:
    """Return the sums of a matrix of 40 rows, whose spectrum Lanczos finds nearly whole."""
    rng = np.random.default_rng(0)
    h = np.concatenate([[-0.01], np.geomspace(1e-4, 2, 39)])
    V = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    H = (V * h) @ V.T
    how: dict[str, Any] = {"seed": 0, "progress": False}
    alone = {m: spectrum(Matrix((H + H.T) / 2), steps=m, probes=3, shared=False, **how) for m in (4, 16)}
    together = spectrum(Matrix((H + H.T) / 2), steps=24, probes=4, **how)
    places = np.array([-0.1, 1e-3, 0.1, 1.0])
    bands = np.array([[counting(probe, x) for probe in alone[16].probes] for x in places]) / 40
    return Sums(h, places, bands, np.array([1e-3, 1e-2, 1e-1]), alone, together)


@pytest.fixture
def zeros() -> Zeros:
    rows = [
        {"kind": kind, "dense": dense, "rows": dense / 2, "sampled": Estimate(dense / 2, 0.05)}
        | {"quadrature": quadrature, "near": dense / 3, "upper": dense + 0.1}
        for kind, dense, quadrature in (
            ("fully connected", 0.3, 0.1),
            ("convolutional", 0.4, 0.1),
            ("convolutional", 0.6, 0.2),
        )
    ]
    nus, spread = np.geomspace(1e-6, 1e-1, 5), np.array([[0.0, 0.02]])
    return Zeros(rows, nus, np.stack([np.full((5, 2), c) + spread for c in (-0.1, 0.1, 0.0)], axis=2))


def test_sums_are_held_against_the_dense_matrix(sums: Sums) -> None:
    assert sums.size == 40 and sums.steps == 16
    assert sums.dense(0.1) == pytest.approx(np.mean(0.1 / (0.1 + np.abs(sums.eigenvalues))))
    found = sums.together.integrate(figures.sum_at(0.1))
    gap, error, part = sums.joined(0.1) or (np.nan,) * 3
    assert gap == pytest.approx(found.value / 40 - sums.dense(0.1)) and error == pytest.approx(found.error / 40)
    assert part == pytest.approx(found.quadrature / 40)
    few, many = (abs(sums.scattered(m, 0.1)[0]) for m in (4, 16))
    assert max(few, many) < 0.2 and sums.scattered(4, 0.1)[1] > 0


def test_estimates_are_drawn_with_what_is_not_resolved_left_out(sums: Sums) -> None:
    drawing = figures.estimates(sums, 0.1, 1e-5)
    look(drawing)
    assert "D = 40 weights" in drawing.caption and "3 starts. With 16 steps" in drawing.caption
    kinds = list(drawing.numbers["quantity"])
    resolved = sum(sums.joined(nu) is not None for nu in sums.nus)
    assert kinds.count("counting") == 4 and kinds.count("sum, 4 steps") == 3
    assert sum("one basis" in kind for kind in kinds) == resolved


def test_an_unresolved_sum_is_told_in_words(sums: Sums) -> None:
    blind = dataclasses.replace(sums, together=spectrum(Matrix(np.diag(sums.eigenvalues)), steps=3, probes=2, seed=0))
    assert blind.joined(1e-9) is None
    look(figures.estimates(blind, 1e-9, 1e-9))
    assert "says at ν = 1.0e-09 that it does not resolve it" in figures.estimates(blind, 1e-9, 1e-9).caption


def test_zeros_are_drawn_for_each_network(zeros: Zeros) -> None:
    drawing = figures.zeros(zeros)
    look(drawing)
    assert (
        drawing.caption.startswith("Fully connected networks")
        and "convolutional networks: 0.500 of the eigenvalues are zero, 0.250 of the rows" in drawing.caption
    )
    assert "the quadrature is off by -0.09, with rows added +0.11" in drawing.caption
    assert drawing.numbers["sampled"] == pytest.approx([0.15, 0.2, 0.3]) and drawing.numbers["sampled_error"][0] == 0.05


def test_layers_are_lines_and_markers() -> None:
    h = np.geomspace(1e-4, 1, 12)
    run = spectrum(Matrix(np.diag(h)), steps=6, probes=3, seed=0, progress=False)
    moduli = np.geomspace(1e-3, 0.5, 5)
    drawing = figures.layers({"FC, layer 1": (h, run), "FC, layer 2": (2 * h, run)}, moduli)
    look(drawing, x="modulus", y="share_above")
    assert "3 starts" in drawing.caption and "FC, layer 2: 2.00, 2.9e-01" in drawing.caption
    assert figures.above(run.probes[0], 0.0) == pytest.approx(1.0) and figures.above(run.probes[0], 2.0) == 0


def test_alignment_compares_with_a_random_basis() -> None:
    moduli = np.geomspace(1e-4, 1, 20)
    networks = [
        Aligned(kind, moduli, np.linspace(0.3, ratio, 20), 0.2, 0.1)
        for kind, ratio in (("fully connected", 0.1), ("fully connected", 0.1), ("convolutional", 0.2))
    ]
    drawing = figures.alignment(networks)
    look(drawing)
    assert "0.20 (fully connected), 0.25 (convolutional), of the ten largest" in drawing.caption
    assert "2.0 times as much as there (fully connected)" in drawing.caption
    assert networks[0].sharpest == pytest.approx(np.linspace(0.3, 0.1, 20)[10:].mean())


def test_the_findings_follow_the_numbers(sums: Sums, zeros: Zeros) -> None:
    lanczos, missed, added = figures.findings(sums, 0.1, zeros, [0.02, 0.04])
    gap, error, _ = sums.joined(0.1) or (np.nan,) * 3
    assert ("holds it." in lanczos) == (abs(gap) <= 2 * error) and "of w²/D" in lanczos
    assert "misses the share" in missed and "the least gap is 0.20" in missed
    assert "0.25 are zero in convolutional networks, where 0.50" in missed
    right = dataclasses.replace(zeros, rows=[{**row, "quadrature": row["dense"]} for row in zeros.rows])
    assert "does not miss the share" in figures.findings(sums, 0.1, right, [0.0])[1]
    assert "larger, by 0.030 on average" in added
    assert "smaller, by 0.030" in figures.findings(sums, 0.1, zeros, [-0.02, -0.04])[2]
    blind = dataclasses.replace(sums, together=spectrum(Matrix(np.diag(sums.eigenvalues)), steps=3, probes=2, seed=0))
    assert "does not resolve" in figures.findings(blind, 1e-9, zeros, [0.1])[0]
