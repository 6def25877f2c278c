"""The figure of one layer, from draws of known laws."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit.book.figures import one_layer
from prunekit.book.figures.one_layer import Layer
from prunekit.stable import sample
from tests.book.figures.looks import look


def layer(weights: np.ndarray) -> Layer:
    rng = np.random.default_rng(0)
    stable, gaussian = rng.standard_cauchy(10**5) * 0.6745, rng.standard_normal(10**5)
    half = len(weights) // 2
    return Layer("CNN", "features.0", 1.0, weights, (weights[:half], weights[half:]), stable, gaussian)


def test_a_layer_is_said_to_be_nearer_to_what_it_is_drawn_from() -> None:
    rng = np.random.default_rng(1)
    for draws, nearer in ((rng.standard_normal(2000), "the Gaussian"), (rng.standard_cauchy(2000), "the stable law")):
        drawing = one_layer.histograms(layer(np.clip(draws, -8, 8)))
        look(drawing)
        assert f"is nearer to {nearer}:" in drawing.caption and "2000 weights" in drawing.caption
    widths = np.diff(drawing.numbers["weight"])
    assert np.sum(np.array(drawing.numbers["all weights"]) * widths[0]) == pytest.approx(1)


def test_the_share_beyond_the_stable_tail() -> None:
    assert layer(np.zeros(10)).beyond == 0
    far = np.quantile(np.abs(layer(np.zeros(4)).stable), 0.999)
    assert layer(np.array([0.0, 1.01, -1.01, 0.99]) * far).beyond == 0.5


def test_distances_of_samples_are_largest_gaps_of_their_steps() -> None:
    assert one_layer.apart(np.arange(10.0), np.arange(10.0)) == 0
    assert one_layer.apart(np.arange(10.0), np.arange(10.0) + 100) == 1
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.5])
    gaps = [abs(np.mean(x <= v) - np.mean(y <= v)) for v in np.concatenate([x, y])]
    assert one_layer.apart(x, y) == max(gaps)


def test_a_layer_is_read_at_its_quartiles_and_compared_with_its_law() -> None:
    rng = np.random.default_rng(2)
    gaussian, stable = rng.standard_normal((40, 500)) + 3, sample(1.5, (40, 500), seed=rng)
    read = {name: one_layer.read("CNN", name, 1.5, w, seed=0) for name, w in (("g", gaussian), ("s", stable))}
    assert np.median(read["g"].weights) == pytest.approx(0, abs=1e-12)
    for law in (read["g"].stable, read["g"].gaussian, read["g"].weights):
        assert np.subtract(*np.quantile(law, [0.75, 0.25])) == pytest.approx(1.349, abs=0.03)
    near, its_tails = one_layer.compared([read["s"], read["s"]])
    far, no_tails = one_layer.compared([read["g"], read["g"]])
    assert near.value < 0.02 < 0.03 < far.value and near.nets == 2
    assert abs(its_tails.value) < 0.7 and no_tails.value < -2  # no Gaussian weight is so far out
    assert read["s"].summary["ks_distance_of_first_and_second_half_of_the_filters"] == pytest.approx(
        one_layer.apart(stable[:20].ravel(), stable[20:].ravel())
    )
