"""Weights alone: shares of the norm, global cuts from histograms, the test of stability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunekit.diagnosis.tails import Histogram, is_stable, left_of, relative_scales, tails
from prunekit.stable import sample


def test_share_of_the_norm_is_the_least_that_keeps_ninety_percent() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((30, 20))
    found = tails(w, seed=0).norm_90
    ordered = np.sort(np.abs(w).ravel())[::-1]
    k = round(found * w.size)
    whole = np.linalg.norm(ordered)
    assert np.linalg.norm(ordered[:k]) >= 0.9 * whole > np.linalg.norm(ordered[: k - 1])


def test_share_of_the_norm_from_a_histogram_is_that_of_sorting() -> None:
    w = np.random.default_rng(1).standard_normal((200, 200))
    assert Histogram.of(w.ravel()).share_of_norm(0.81) == pytest.approx(tails(w, seed=0).norm_90, rel=0.01)


@given(keep=st.floats(0.01, 0.99), scale=st.floats(0.1, 10), seed=st.integers(0, 100))
def test_global_cut_leaves_what_sorting_all_leaves(keep: float, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = {"a": rng.standard_normal(3000), "b": scale * rng.standard_normal(1000)}
    found = left_of({name: Histogram.of(w) for name, w in layers.items()}, keep)
    together = np.concatenate(list(layers.values()))
    bound = np.sort(np.abs(together))[::-1][round(keep * together.size) - 1]
    for name, w in layers.items():
        assert found[name] == pytest.approx(float((np.abs(w) >= bound).mean()), abs=0.02)


def test_stable_laws_are_not_told_from_themselves_and_others_are() -> None:
    rng = np.random.default_rng(0)
    kept = [is_stable(sample(alpha, 30_000, seed=seed), seed=seed) for alpha in (1.2, 1.7, 2.0) for seed in range(20)]
    assert sum(kept) >= 57  # the test's level is 1%: of 60, more than 3 refusals have a chance of 4e-4
    assert not is_stable(rng.uniform(-1, 1, 90_000), seed=0)
    assert not is_stable(rng.laplace(size=90_000), seed=0)


def test_few_weights_have_no_tail_index() -> None:
    found = tails(np.ones((3, 3)) + np.eye(3), seed=0)
    assert found.alpha is None
    assert found.reason == "too small to tell"


def test_pruned_layers_say_that_they_have_zeros() -> None:
    w = np.random.default_rng(0).standard_normal((40, 40))
    w[:30] = 0
    found = tails(w, seed=0)
    assert found.alpha is None
    assert "zeros" in found.reason
    assert found.zeros == pytest.approx(0.75)


def test_scales_are_relative_to_the_geometric_mean() -> None:
    assert relative_scales([1.0, 4.0]) == pytest.approx([0.5, 2.0])
    assert relative_scales([0.0, 3.0]) == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("w", [np.zeros((0, 3)), np.array([[1.0, np.nan]]), np.array([[1.0, np.inf]])])
def test_bad_weights_are_refused(w: np.ndarray) -> None:
    with pytest.raises(ValueError, match="weight h"):
        tails(w)
