"""Compressors at equal bits, each against quantiles of the law or fits one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from prunekit.linear import LinearGaussian, bits
from prunekit.linear.bits import LABELS, Choice, choices, compress, entropy, frontier
from prunekit.linear.law import MinNormLaw
from prunekit.linear.least_squares import min_norm
from prunekit.linear.strategies import Hessian, Magnitude, SoftThreshold, TwoOfFour, UniformQuantizer, prune

Z = ndtri((np.arange(20000) + 0.5) / 20000)


@pytest.fixture
def law() -> MinNormLaw:
    variances = np.where(np.arange(20) < 4, 9.0, 1.0)
    return LinearGaussian(variances, np.linspace(0.5, -0.4, 20), 0.5).characterize(8)


def quantiles(law: MinNormLaw) -> np.ndarray:
    """Return coefficients that are the law's quantiles, (20000, p)."""
    return law.mean + np.sqrt(law.variance) * Z[:, None]


def test_entropies() -> None:
    assert entropy([0.25] * 4) == 2 and entropy([1.0, 0.0]) == 0
    assert entropy([0.5, 0.25, 0.25]) == 1.5
    with pytest.raises(ValueError, match=r"shares sum to 0\.9"):
        entropy([0.5, 0.4])


def test_magnitude_in_scaled_features_is_hessian_saliency(law: MinNormLaw) -> None:
    assert bits.scaled(law).risk(Magnitude(5)) == pytest.approx(law.risk(Hessian(5)), rel=1e-10)


def test_level_shares_are_those_of_the_laws_quantiles(law: MinNormLaw) -> None:
    quantizer = UniformQuantizer(2, 0.8)
    rounded = prune(quantiles(law), quantizer)
    counted = [np.mean(np.isclose(rounded, level)) for level in quantizer.levels]
    assert bits.level_shares(law, quantizer) == pytest.approx(counted, abs=2e-4)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_risk_after_pruning_and_quantizing_is_the_mean_over_quantiles(law: MinNormLaw, depth: int) -> None:
    cut, quantizer = 0.3 / np.sqrt(law.problem.variances), UniformQuantizer(depth, 1.1)
    x = quantiles(law)
    g = np.where(np.abs(x) > cut, prune(x, quantizer), 0.0)
    expected = 0.25 + np.sum(law.problem.variances * np.mean((g - law.problem.beta) ** 2, axis=0))
    assert bits.pruned_quantized_risk(law, cut, quantizer) == pytest.approx(expected, rel=1e-3)


def test_choices_count_their_bits_and_have_the_best_range(law: MinNormLaw) -> None:
    rows = choices(law, kept=[5, 10], depths=[1, 2], float_bits=16)
    assert {row.label for row in rows} == set(LABELS)
    unit, half = bits.scaled(law), entropy([0.5, 0.5])
    for label, action, count in (
        ("prune", Magnitude(10), half + 16 * 0.5),
        ("two of four", TwoOfFour(), np.log2(6) / 4 + 16 / 2),
        ("soft threshold", SoftThreshold(unit.threshold(Magnitude(10))), half + 16 * 0.5),
    ):
        [row] = [row for row in rows if row.label == label and row.action == action]
        assert row.bits == pytest.approx(count) and row.risk == unit.risk(action)
    for depth in (1, 2):
        [row] = [row for row in rows if row.label == "quantize" and row.bits == depth]
        fine = min(law.risk(UniformQuantizer(depth, x)) for x in np.geomspace(0.05, 10, 400))
        assert row.risk == pytest.approx(fine, rel=1e-3)
    joint = [row for row in rows if row.label == "prune, then quantize"]
    assert [row.bits for row in joint] == pytest.approx(
        [entropy([s / 20, 1 - s / 20]) + b * s / 20 for s in (5, 10) for b in (1, 2)]
    )
    coded = [row for row in rows if row.label == "quantize, ideal code"]
    assert len(coded) == 18 and all(row.bits <= 2 for row in coded)


def test_a_frontier_leaves_out_what_is_beaten() -> None:
    rows = [Choice("a", b, r, Magnitude(1)) for b, r in ((3, 1.0), (1, 2.0), (2, 2.5), (2, 1.5), (4, 1.0))]
    rows.append(Choice("b", 0.5, 0.1, Magnitude(1)))
    assert [(row.bits, row.risk) for row in frontier(rows, "a")] == [(1, 2.0), (2, 1.5), (3, 1.0)]


def test_compressors_rank_by_saliency_and_quantize_coefficients() -> None:
    fit, squares = np.array([0.2, -1.0, 0.5, 0.1]), np.array([100.0, 1.0, 1.0, 1.0])
    quantizer = UniformQuantizer(1, 2.0)
    assert compress(fit, squares, quantizer) == pytest.approx([1, -1, 1, 1])
    assert compress(fit, squares, Magnitude(2)) == pytest.approx([0.2, -1.0, 0, 0])
    assert compress(fit, squares, (Magnitude(2), quantizer)) == pytest.approx([1, -1, 0, 0])
    assert compress(fit, squares, SoftThreshold(0.6)) == pytest.approx([0.14, -0.4, 0, 0])


def test_measured_risks_are_those_of_compressed_fits(law: MinNormLaw) -> None:
    actions: list[Any] = [UniformQuantizer(2, 1.0), Magnitude(6), (Magnitude(6), UniformQuantizer(2, 1.0))]
    found = bits.measure(law.problem, 8, actions, repetitions=2, seed=[3, 1])
    for row, child in zip(found, np.random.SeedSequence([3, 1]).spawn(2), strict=True):
        X, y = law.problem.sample(8, child)
        squares = np.mean(X**2, axis=0)
        expected = [law.problem.risk(compress(min_norm(X, y), squares, action)) for action in actions]
        assert row == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"kept": [20]}, "kept is 20"), ({"depths": [0]}, "depths is 0"), ({"float_bits": 0}, "float_bits is 0")],
)
def test_settings_out_of_range_are_refused(law: MinNormLaw, change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"kept": [5], "depths": [1], "float_bits": 32}
    with pytest.raises(ValueError, match=words):
        choices(law, **(given | change))


def test_a_law_without_chance_is_refused() -> None:
    general = LinearGaussian(np.eye(4), np.ones(4), 0.1).characterize(2)
    with pytest.raises(ValueError, match="law is not of uncorrelated features"):
        choices(general, kept=[1], depths=[1], float_bits=32)
