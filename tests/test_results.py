"""What results say of themselves: a short word with what they cover, columns for a table, a picture, a pickle."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import nn

from prunekit import Mask, algorithms, limit, scores
from prunekit.curvature import Curvature
from prunekit.importance import hessian_diagonal
from prunekit.nets import Config, Dataset, coverage, fit, prunable
from prunekit.nets.covered import said
from prunekit.stable.layers import tail_report

mpl.use("agg")
CROSS = nn.functional.cross_entropy


def network() -> nn.Module:
    """Return a network whose first layer is frozen; the other layers have 16 and 8 weights to prune."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    return model


X = torch.randn(60, 3, generator=torch.Generator().manual_seed(1))
DATA = Dataset.from_arrays(X, (X[:, 0] > 0).long(), seed=0)
COVERS = "24 of 54 parameters, 44.4%, not 12 frozen, not 10 biases, not 8 normalizations"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Return one result of each kind, of one network."""
    model = network()
    pairs = DATA.normalize(DATA.train_x), DATA.train_y
    byp = limit.network_landscape(model, DATA, dense=False, lanczos=limit.Lanczos(steps=8, probes=2))
    return {
        "fitted": fit(model, DATA, Config(epochs=3)),
        "landscape": limit.network_landscape(model, DATA),
        "landscape by products": byp,
        "limit": limit.predict(limit.network_landscape(model, DATA), 0.05, method="one-shot"),
        "limit by products": limit.predict(byp, 0.05),
        "curve": limit.pruning_curve(model, DATA, [0.25, 0.5]),
        "measured": limit.measured_limit(model, DATA, shares=[0.25, 0.5]),
        "comparison": limit.compare_limits(model, DATA, epsilon=0.1, shares=[0.5], methods=("published", "one-shot")),
        "pruned": algorithms.global_one_shot(network(), DATA, Config(epochs=1), 0.5),
        "diagonal": hessian_diagonal(model, CROSS, pairs, parameters=list(prunable(model))),
        "curvature": Curvature(model, CROSS, pairs, parameters=list(prunable(model))),
        "tails": tail_report(model, blocks=2),
        "mask": Mask.from_scores(scores.magnitude(model), 0.5),
        "coverage": coverage(model),
        "spectrum": byp.spectrum,
    }


NAMES = (
    "fitted", "landscape", "landscape by products", "limit", "limit by products", "curve", "measured", "comparison",
    "pruned", "diagonal", "curvature", "tails", "mask", "coverage", "spectrum",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_result_has_a_short_word_and_a_pickle(results: dict[str, Any], name: str) -> None:
    result = results[name]
    assert len(repr(result)) < 330 and "\n" not in repr(result)
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result) and repr(again) == repr(result)
    if name not in ("fitted", "mask", "coverage", "spectrum"):
        assert COVERS in repr(result) and (name == "curvature" or result.coverage == COVERS)


def test_a_pickled_landscape_goes_on_from_what_it_knew(results: dict[str, Any]) -> None:
    for name in ("landscape", "landscape by products"):
        before = results[name]
        after = pickle.loads(pickle.dumps(before))
        assert after.products == before.products
        assert after.spectrum.integrate(np.abs) == before.spectrum.integrate(np.abs)
        assert limit.predict(after, 0.2).fraction == limit.predict(before, 0.2).fraction
        assert np.array_equal(after.known()[0], before.known()[0])


def test_coverage_goes_along_with_what_is_made_of_a_landscape(results: dict[str, Any]) -> None:
    landscape = results["landscape"]
    assert landscape.scaled(weights=2.0).coverage == landscape.with_weights(landscape.weights).coverage == COVERS
    half = np.arange(24) < 12
    assert landscape.restricted(half).coverage == f"12 weights that a mask leaves, of {COVERS}"
    assert limit.Landscape.of_matrix([1.0, 2.0], np.eye(2)).coverage == ""
    assert said(network().bfloat16(), ["0.weight"]).endswith("; computed in float32 from bfloat16")


@pytest.mark.parametrize("name", ["limit", "curve", "measured", "comparison", "pruned", "diagonal", "tails"])
def test_columns_have_one_length(results: dict[str, Any], name: str) -> None:
    table = results[name].to_frame()
    assert isinstance(table, Mapping) and len({len(column) for column in table.values()}) == 1
    assert set(results["fitted"].history.to_frame()) >= {"epoch", "train_loss"}


def test_columns_hold_the_results_numbers(results: dict[str, Any]) -> None:
    assert results["limit"].to_frame()["fraction"] == [results["limit"].fraction]
    table = results["comparison"].to_frame()
    found = dict(zip(table["method or rule"], table["fraction"], strict=True))
    assert found["one-shot"] == results["comparison"].predicted["one-shot"].fraction
    assert found["held-out"] == results["comparison"].measured["held-out"].fraction
    assert results["diagonal"].to_frame()["trace"] == [float(v.sum()) for v in results["diagonal"].values.values()]


@pytest.mark.parametrize("name", ["curve", "comparison", "tails", "spectrum"])
def test_a_picture_has_what_the_result_has(results: dict[str, Any], name: str) -> None:
    from matplotlib import pyplot as plt

    axes = results[name].plot()
    assert axes.get_xlabel() and axes.get_ylabel()
    if name == "curve":
        assert np.array_equal(axes.lines[1].get_ydata(), results["curve"].held_accuracy)
    if name == "tails":
        assert np.array_equal(axes.lines[0].get_ydata(), results["tails"].to_frame()["alpha"])
    if name == "spectrum":
        assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(1)
    assert results[name].plot(axes) is axes
    plt.close("all")
    with pytest.raises(TypeError, match="axes is a int: give axes of matplotlib"):
        results[name].plot(3)


def test_a_report_on_tails_weighs_layers_by_size(results: dict[str, Any]) -> None:
    report = results["tails"]
    sizes = {name: p.numel() for name, p in prunable(network()).items()}
    by_hand = sum(sizes[name] * t.alpha for name, t in report.layers.items()) / sum(sizes.values())
    error = sum((sizes[name] * t.error) ** 2 for name, t in report.layers.items()) ** 0.5 / sum(sizes.values())
    assert (report.by_size.value, report.by_size.error) == pytest.approx((by_hand, error))
    assert report.alpha == pytest.approx(np.mean([t.alpha for t in report.layers.values()]))
    assert str(report).splitlines()[-1].split()[:2] == ["weighted", f"{report.by_size.value:.3f}"]
    assert tail_report(network(), blocks=2) == tail_report(network(), blocks=2, seed=0)
