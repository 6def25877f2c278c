"""Pruned networks against numpy, dense algebra and the masks, and what they must satisfy whatever the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from prunekit.masks import Mask
from prunekit.masks.scores import magnitude
from prunekit.masks.sweeps import METHODS, pruned_accuracy, pruned_weights
from prunekit.nets import Dataset, evaluate
from prunekit.nets.models import cnn, fcn
from prunekit.stable import compression_error, singular_value_error

SHARES = [0.05, 0.3, 0.77, 1.0]
CONVOLUTIONS = ["features"]


def network(seed: int = 0) -> nn.Module:
    model = cnn((2, 6, 6), [5, "M", 7, "M"], 4, seed=seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1)  # so that the median is not 0
    return model


def only(model: nn.Module, share: float, method, **settings) -> dict[str, np.ndarray]:
    (found,) = pruned_weights(model, [share], method, **settings)
    return {name: w.numpy() for name, w in found.items()}


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("fill", ["median", "zero"])
def test_layers_by_magnitude_are_those_of_a_sort(share, fill):
    model = network()
    found = only(model, share, "layer", fill=fill)
    for name, p in model.named_parameters():
        w = p.detach().numpy().ravel().astype(float)
        middle = np.median(w) if fill == "median" else 0.0
        kept = sorted(range(w.size), key=lambda i: -abs(w[i] - middle))[: math.ceil(share * w.size)]
        wanted = np.full(w.size, middle)
        wanted[kept] = w[kept]
        np.testing.assert_allclose(found[name].ravel(), wanted, atol=1e-7)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_zero_filled_magnitude_is_the_mask_of_as_many(scope):
    model = network()
    found = only(model, 0.3, scope, fill="zero")
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    counts = {name: math.ceil(0.3 * k) for name, k in sizes.items()}
    keep = counts if scope == "layer" else math.ceil(0.3 * sum(sizes.values()))
    mask = Mask.from_scores(magnitude(model), keep, scope)
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(found[name], np.where(mask[name].numpy(), p.detach().numpy(), 0))


def test_global_pruning_ranks_what_is_centred_by_its_own_layer():
    model = network()
    found = only(model, 0.2, "global")
    parts, kept = [], []
    for name, p in model.named_parameters():
        w = p.detach().numpy()
        parts.append(np.abs(w - np.float32(np.median(w))).ravel())
        kept.append((found[name] != np.float32(np.median(w))).ravel())
    size, mask = np.concatenate(parts), np.concatenate(kept)
    assert mask.sum() == math.ceil(0.2 * mask.size)
    assert size[mask].min() >= size[~mask].max()


@pytest.mark.parametrize("fill", ["median", "zero"])
def test_singular_values_give_the_best_matrix_of_that_rank(fill):
    """Eckart and Young: the error is that of the values left out, and the rank is what was asked for."""
    model = network()
    found = only(model, 0.5, "singular values", fill=fill)
    for name, p in model.named_parameters():
        w = p.detach().numpy().astype(float).reshape(len(p), -1)
        middle = np.median(w) if fill == "median" else 0.0
        low = found[name].reshape(w.shape) - middle
        k = math.ceil(0.5 * min(w.shape))
        assert np.linalg.matrix_rank(low, tol=1e-4) == k
        tall = (w - middle) if w.shape[1] <= w.shape[0] else (w - middle).T  # errors count as many as columns
        error = np.linalg.norm(low - (w - middle)) / np.linalg.norm(w - middle)
        assert error == pytest.approx(singular_value_error(tall, k), abs=1e-5)


def test_kernels_and_columns_are_kept_or_pruned_whole_by_norm():
    model = network()
    kernels = only(model, 0.4, "kernels", fill="zero", parameters=CONVOLUTIONS)
    assert len(kernels) == 2
    for name, w in kernels.items():
        norms = np.linalg.norm(model.get_parameter(name).detach().numpy(), axis=(2, 3)).ravel()
        kept = np.any(w != 0, axis=(2, 3)).ravel()
        assert kept.sum() == math.ceil(0.4 * kept.size)
        assert norms[kept].min() > norms[~kept].max()
        assert np.all(w.reshape(-1, 9)[kept] != 0)
    columns = only(fcn(6, [8], 3), 0.4, "columns", fill="zero")
    for name, w in columns.items():
        norms = np.linalg.norm(fcn(6, [8], 3).get_parameter(name).detach().numpy(), axis=0)
        kept = np.any(w != 0, axis=0)
        assert kept.sum() == math.ceil(0.4 * kept.size)
        assert norms[kept].min() > norms[~kept].max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fill", ["median", "zero"])
def test_nothing_is_pruned_at_share_1_and_the_network_is_left_alone(method, fill):
    model = network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    found = only(model, 1.0, method, fill=fill, parameters=CONVOLUTIONS)
    for name, w in found.items():
        tolerance = 1e-6 if method == "singular values" else 0
        np.testing.assert_allclose(w, before[name].numpy(), rtol=0, atol=tolerance)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@given(seed=st.integers(0, 1000), low=st.floats(0.01, 1), high=st.floats(0.01, 1))
def test_keeping_more_costs_less(seed, low, high):
    low, high = sorted((low, high))
    model = fcn(5, [7], 3, seed=seed)
    for method in METHODS[:3]:
        worse, better = pruned_weights(model, [low, high], method, fill="zero")
        for name, p in model.named_parameters():
            if method != "global":
                assert (better[name] - p).norm() <= (worse[name] - p).norm() * (1 + 1e-5) + 1e-5


def test_the_error_is_that_of_the_theory():
    model = fcn(20, [30], 5)
    found = only(model, 0.3, "layer", fill="zero")
    for name, p in model.named_parameters():
        w = p.detach().numpy().ravel()
        error = np.linalg.norm(found[name].ravel() - w) / np.linalg.norm(w)
        assert error == pytest.approx(compression_error(w, 0.3), rel=1e-5)


def test_equal_magnitudes_go_by_index():
    model = fcn(4, [2], 2)
    with torch.no_grad():
        model.get_parameter("input.weight").copy_(torch.tensor([[1.0, -1, 1, -1], [1, 1, 1, 1]]))
    found = only(model, 0.5, "layer", fill="zero", parameters="input")["input.weight"]
    np.testing.assert_array_equal(found, [[1, -1, 1, -1], [0, 0, 0, 0]])


def test_accuracy_is_that_of_the_network_with_those_weights():
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(60, 2, 6, 6, generator=generator)
    y = torch.randint(4, (60,), generator=generator)
    data = Dataset("made up", x, y, x, y, 4, torch.zeros(2), torch.ones(2))
    model = network()
    found = pruned_accuracy(model, data, SHARES, "kernels", parameters=CONVOLUTIONS)
    for share, accuracy in zip(SHARES, found, strict=True):
        other = network()
        with torch.no_grad():
            for name, w in only(model, share, "kernels", parameters=CONVOLUTIONS).items():
                other.get_parameter(name).copy_(torch.from_numpy(w))
        with torch.no_grad():
            right = (other(x).argmax(1) == y).double().mean().item()
        assert accuracy == pytest.approx(right)
    assert found[-1] == evaluate(model, data)[1]


@pytest.mark.parametrize(
    ("shares", "settings", "kind", "message"),
    [
        ([0.5], {"method": "rows"}, ValueError, "method is 'rows'"),
        ([0.5], {"method": "layer", "fill": "mean"}, ValueError, "fill is 'mean'"),
        ([1], {"method": "layer"}, TypeError, "shares holds 1"),
        ([0.5, 1.5], {"method": "layer"}, ValueError, r"shares is 1\.5"),
        ([0.0], {"method": "layer"}, ValueError, r"shares is 0\.0"),
        ([0.5], {"method": "kernels"}, ValueError, "'output.weight' has shape .* no kernels"),
        ([0.5], {"method": "layer", "parameters": "nothing"}, ValueError, "'nothing', which is no parameter"),
    ],
)
def test_bad_arguments_are_named(shares, settings, kind, message):
    with pytest.raises(kind, match=message):
        list(pruned_weights(network(), shares, **settings))


def test_weights_that_are_not_finite_are_refused():
    model = network()
    with torch.no_grad():
        model.get_parameter("output.weight")[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"output\.weight holds nan"):
        list(pruned_weights(model, [0.5], "layer"))
