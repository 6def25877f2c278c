"""The terms of the compression bound: against direct algebra, and the part that is a theorem against networks."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from prunekit.masks.sweeps import pruned_weights
from prunekit.nets import Dataset
from prunekit.nets.models import fcn
from prunekit.stable import sample
from prunekit.stable.bound import (
    Terms,
    complexity,
    levy_scale,
    margins,
    needed_margin,
    network_margins,
    output_change,
    radius,
    stable_layers,
    stable_weights,
)
from prunekit.stable.distribution import tail_constant

POSITIVE = st.floats(0.01, 100)


def forward(weights, x):
    for w in weights[:-1]:
        x = np.maximum(w @ x, 0)
    return weights[-1] @ x


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), layers=st.integers(2, 5), share=st.floats(0.05, 0.95), scale=POSITIVE)
def test_pruning_moves_differences_of_outputs_by_no_more_than_that(seed, layers, share, scale):
    rng = np.random.default_rng(seed)
    widths = rng.integers(2, 7, layers + 1)
    weights = [scale * rng.standard_t(2, (b, a)) for a, b in pairwise(widths)]
    pruned = []
    for w in weights:
        cut = np.quantile(np.abs(w), 1 - share)
        pruned.append(np.where(np.abs(w) >= cut, w, 0))
    error = max(np.linalg.norm(p - w) / np.linalg.norm(w) for p, w in zip(pruned, weights, strict=True))
    radius = math.sqrt(sum(np.sum(w**2) for w in weights))
    x = rng.standard_normal((widths[0], 20))
    norm = np.linalg.norm(x, axis=0).max()
    change = forward(pruned, x) - forward(weights, x)
    moved = max(np.abs(change[i] - change[j]).max() for i in range(len(change)) for j in range(len(change)))
    assert moved <= output_change(norm, layers, radius, error) * (1 + 1e-9)


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
def test_the_change_allowed_is_attained(layers):
    """One unit a layer, all norms w, two opposite outputs, and every layer made larger by the factor 1 + ε."""
    w, error, norm = 1.7, 0.3, 2.5
    weights = [np.array([[w]])] * (layers - 1) + [np.array([[w], [-w]]) / math.sqrt(2)]
    x = np.array([[norm]])
    change = forward([(1 + error) * v for v in weights], x) - forward(weights, x)
    radius = math.sqrt(sum(np.sum(v**2) for v in weights))
    assert change[0, 0] - change[1, 0] == pytest.approx(output_change(norm, layers, radius, error), rel=1e-12)


@given(layers=st.integers(1, 6), scale=POSITIVE, threshold=POSITIVE)
def test_the_corrected_bound_does_not_depend_on_units_and_the_printed_one_does(layers, scale, threshold):
    """Weights times c: outputs, margins and τ are multiplied by c^L."""
    c = scale**layers
    once = needed_margin(threshold, 2.0, layers, 3.0, 0.1, printed=False)
    again = needed_margin(c * threshold, 2.0, layers, 3.0 * scale, 0.1, printed=False)
    assert again == pytest.approx(c * once, rel=1e-9)
    printed = needed_margin(c * threshold, 2.0, layers, 3.0 * scale, 0.1, printed=True)
    assert printed == pytest.approx(c * threshold + output_change(2.0, layers, 3.0, 0.1) / threshold, rel=1e-9)
    terms = [complexity(t, 2.0, layers, r, 50, 0.2, 10**4) for t, r in ((threshold, 3.0), (c * threshold, 3.0 * scale))]
    assert terms[1] == pytest.approx(terms[0], rel=1e-9)


def test_the_second_term_is_that_of_the_formula():
    tau, b, layers, r, d, kappa, n = 0.7, 1.5, 3, 4.0, 1000, 0.2, 5000
    lip = 2**0.5 * b * layers * (2 * r / 3**0.5) ** 2 / tau
    h = -(kappa * np.log(kappa) + (1 - kappa) * np.log(1 - kappa))
    eps = (2 * h - kappa * np.log(kappa)) / np.log(n)
    wanted = (12 * lip * r + d**0.5) * np.sqrt((kappa + eps) * np.log(n) / n)
    assert complexity(tau, b, layers, r, d, kappa, n) == pytest.approx(wanted, rel=1e-12)
    full = (12 * lip * r + d**0.5) * np.sqrt(np.log(n) / n)  # nothing pruned: no entropy
    assert complexity(tau, b, layers, r, d, 1.0, n) == pytest.approx(full, rel=1e-12)


@pytest.mark.parametrize("alpha", [1.1, 1.5, 1.9, 1.99])
def test_the_levy_scale_is_that_of_its_jumps(alpha):
    """Jumps of density |x|^(-1-α) beyond t have the rate 2/α·t^(-α), and the exponent is ∫(1 - cos x)|x|^(-1-α)dx."""
    rate = 2 / alpha
    assert tail_constant(alpha) * levy_scale(alpha) ** alpha == pytest.approx(rate, rel=1e-9)
    near, _ = quad(lambda x: np.sinc(x / (2 * math.pi)) ** 2 / 2, 0, 1, weight="alg", wvar=(1 - alpha, 0))
    far, _ = quad(lambda x: x ** (-1 - alpha), 1, np.inf, weight="cos", wvar=1)
    assert levy_scale(alpha) ** alpha == pytest.approx(2 * (near + 1 / alpha - far), rel=1e-6)


def test_corollary_1_is_equation_10():
    """The constants a and b_ε as the paper prints them, against Theorem 4 with the radius of stable weights."""
    sizes, alphas, scales = [300, 500, 40], [1.7, 1.9, 1.6], [0.2, 0.05, 0.3]
    tau, norm, kept, n, error = 0.7, 1.5, 0.2, 5000, 0.1
    layers, d, alpha = 3, 840, 1.6
    sigma = math.sqrt(sum(m / d * (s / levy_scale(a)) ** 2 for m, a, s in zip(sizes, alphas, scales, strict=True)))
    sigma0 = sigma / (4 ** (-1 / alpha) * math.sqrt(layers) / 3 * d ** -(0.5 + 1 / alpha))
    a = 6 * math.sqrt(2) * norm * 2**layers * layers**1.5
    b = math.sqrt(2) * norm * ((1 + error) ** layers - 1)
    h = -kept * math.log(kept) - (1 - kept) * math.log(1 - kept)
    codes = kept * math.log(n) + 2 * h - kept * math.log(kept)
    found = stable_weights(sizes, alphas, scales)
    assert (found.layers, found.d, found.alpha) == (layers, d, alpha)
    assert found.scale == pytest.approx(sigma0, rel=1e-12)
    assert found.failure == pytest.approx(3 * d ** (-alpha / (2 * layers)), rel=1e-12)
    second = complexity(tau, norm, layers, found.radius, d, kept, n)
    assert second == pytest.approx((a * sigma0**layers / tau + 1) * math.sqrt(codes * d / n), rel=1e-12)
    change = output_change(norm, layers, found.radius, error)
    assert change == pytest.approx(b * sigma0**layers * math.sqrt(d), rel=1e-12)


@given(factor=POSITIVE, layers=st.integers(2, 5), alpha=st.floats(1.05, 1.95))
def test_the_constants_of_corollary_1_scale_with_the_weights(factor, layers, alpha):
    sizes, alphas = [10 * (k + 1) for k in range(layers)], [alpha] * layers
    one, other = (stable_weights(sizes, alphas, [f] * layers) for f in (1.0, factor))
    assert other.scale == pytest.approx(factor * one.scale, rel=1e-12)
    assert other.radius == pytest.approx(factor * one.radius, rel=1e-12)
    assert other.failure == one.failure


def test_terms_are_the_functions_with_what_a_network_brings():
    terms = Terms(2.0, 3, 1.5, 50, 5000)
    assert terms.change(0.2) == output_change(2.0, 3, 1.5, 0.2)
    assert terms.complexity(0.7, 0.1) == complexity(0.7, 2.0, 3, 1.5, 50, 0.1, 5000)
    assert dataclasses.replace(terms, n=10**36).complexity(0.7, 0.1) == complexity(0.7, 2.0, 3, 1.5, 50, 0.1, 10**36)
    for printed in (False, True):
        assert terms.margin(0.7, 0.2, printed=printed) == needed_margin(0.7, 2.0, 3, 1.5, 0.2, printed=printed)


def test_the_least_bound_is_that_of_a_search_over_thresholds_for_each_network():
    terms = Terms(1.0, 2, 1.0, 20, 10**6)
    rows = np.random.default_rng(0).uniform(0, 3, (4, 200))
    thresholds = np.geomspace(1e-2, 10, 30)
    found = terms.least(rows, 0.1, 0.2, thresholds)
    for row, least in zip(rows, found, strict=True):
        every = [sum(m <= terms.margin(t, 0.2) for m in row) / 200 + terms.complexity(t, 0.1) for t in thresholds]
        assert least == pytest.approx(min(every), rel=1e-12)
        assert terms.least(row, 0.1, 0.2, thresholds) == least
    assert len(set(found.tolist())) > 1


@pytest.mark.parametrize("terms", [Terms(1.0, 2, 1.0, 100, 50), Terms(20.0, 5, 30.0, 10**5, 1437)])
def test_so_many_examples_bring_the_second_term_to_one(terms):
    power = terms.examples_needed(0.5, 0.1)
    n = int(mpmath.mpf(10) ** power)
    found = complexity(0.5, terms.norm, terms.layers, terms.radius, terms.d, 0.1, n)
    assert found == pytest.approx(1, rel=2 / n + 1e-9)  # n is an integer


def test_more_examples_than_can_be_counted_are_refused():
    with pytest.raises(ValueError, match=r"threshold is 1e-60: more than e\^200 examples are needed"):
        Terms(1.0, 2, 1.0, 100, 50).examples_needed(1e-60, 0.1)


def test_the_radius_is_the_norm_of_all_weights():
    layers = [np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([12.0], dtype=np.float32)]
    assert radius(layers) == 13.0


def test_layers_of_stable_weights_have_their_index_and_their_scale():
    """Samples of known index and scale."""
    layers = [sample(1.5, (200, 100), scale=0.3, seed=1), sample(1.8, 5000, scale=0.1, seed=2)]
    found = stable_layers(layers, seed=3)
    assert (found.layers, found.d) == (2, 25000)
    assert found.alpha == pytest.approx(1.5, abs=0.1)
    alone = stable_layers(layers[:1], seed=3)
    assert alone.scale == pytest.approx(stable_weights([20000], [alone.alpha], [0.3]).scale, rel=0.05)
    mixed = [np.random.default_rng(4).standard_normal(5000), layers[1]]
    assert stable_layers(mixed, seed=3, largest=1.7).alpha == 1.7
    doubled = stable_layers([2 * w for w in layers], seed=3)
    assert doubled.scale == pytest.approx(2 * found.scale) and doubled.alpha == pytest.approx(found.alpha)


@pytest.mark.parametrize("alpha", [1.2, 1.6])
def test_the_radius_is_what_a_union_bound_over_stable_weights_gives(alpha):
    """Some weight exceeds radius/√d with the probability that the docstring states, and the norm the radius rarely."""
    sizes, draws = [16, 48], 40000
    found = stable_weights(sizes, [alpha, alpha], [0.3, 0.3])
    w = sample(alpha, (draws, found.d), scale=0.3, seed=5)
    stated = 2 / alpha * 3**-alpha * found.d ** (-alpha / 4) / 4
    share = np.mean(np.abs(w).max(axis=1) > found.radius / math.sqrt(found.d))
    assert abs(share - stated) < 5 * math.sqrt(stated / draws) + stated**2  # at least one: less than the sum
    assert np.mean(np.linalg.norm(w, axis=1) > found.radius) <= stated < found.failure


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"indices": [1.5, 2.0]}, ValueError, "indices is 2.0: give a tail index above 1 and below 2"),
        ({"indices": [1.0, 1.5]}, ValueError, "indices is 1.0"),
        ({"scales": [0.0, 0.0]}, ValueError, "scales are all 0"),
        ({"scales": [1.0]}, ValueError, "indices has one entry a layer"),
        ({"scales": [1.0, -1.0]}, ValueError, "scales holds -1.0"),
        ({"sizes": [10]}, ValueError, "sizes has 1 entries: give 2"),
        ({"sizes": [10, 0]}, ValueError, "sizes is 0"),
    ],
)
def test_bad_stable_weights_are_named(change, error, message):
    good = {"sizes": [10, 20], "indices": [1.5, 1.6], "scales": [1.0, 2.0]}
    with pytest.raises(error, match=message):
        stable_weights(**(good | change))


@given(st.integers(2, 5), st.integers(1, 30), st.integers(0, 1000))
def test_margins_are_those_of_a_loop(classes, n, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.standard_normal((n, classes)), rng.integers(classes, size=n)
    wanted = [s[y] - max(np.delete(s, y)) for s, y in zip(scores, labels, strict=True)]
    np.testing.assert_allclose(margins(scores, labels), wanted)


def test_margins_of_a_network_and_its_largest_image():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1200, 1, 2, 3, generator=generator)
    y = torch.randint(3, (1200,), generator=generator)
    data = Dataset("made up", x, y, x[:7], y[:7], 3, torch.tensor([0.5]), torch.tensor([0.25]))
    model = fcn(6, [5], 3)
    train, test, norm = network_margins(model, data)
    flat = ((x - 0.5) / 0.25).flatten(1)
    with torch.no_grad():
        scores = model(flat).numpy()
    np.testing.assert_allclose(train, margins(scores, y.numpy()), atol=1e-5)
    np.testing.assert_allclose(test, train[:7], atol=1e-5)
    assert norm == pytest.approx(np.linalg.norm(flat.numpy(), axis=1).max(), rel=1e-5)


def test_accuracy_drops_no_further_than_the_margins_allow():
    """The deterministic half of the theorem, on a network: errors after pruning are small margins before."""
    model = fcn(6, [30], 3, seed=2)
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(200, 1, 2, 3, generator=generator)
    with torch.no_grad():
        y = model(x).argmax(1)
    data = Dataset("made up", x, y, x, y, 3, torch.zeros(1), torch.ones(1))
    train, _, norm = network_margins(model, data)
    radius = math.sqrt(sum(float(p.detach().square().sum()) for p in model.parameters()))
    (found,) = pruned_weights(model, [0.95], "layer", fill="zero")
    names = dict(model.named_parameters())
    error = max(float((w - names[k].detach()).norm() / names[k].detach().norm()) for k, w in found.items())
    with torch.no_grad():
        for name, w in found.items():
            names[name].copy_(w)
    after, _, _ = network_margins(model, data)
    assert np.all(after >= train - output_change(norm, 2, radius, error) - 1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"norm": -1.0}, "norm"),
        ({"layers": 0}, "layers"),
        ({"radius": 0.0}, "radius"),
        ({"d": 0}, "d is 0"),
        ({"kept": 1.2}, r"kept is 1\.2"),
        ({"n": 30}, "n/log"),
    ],
)
def test_bad_arguments_are_named(change, message):
    good = {"threshold": 1.0, "norm": 1.0, "layers": 2, "radius": 1.0, "d": 10, "kept": 0.5, "n": 1000}
    with pytest.raises(ValueError, match=message):
        complexity(**(good | change))


def test_a_layer_too_small_for_a_tail_index_is_named():
    with pytest.raises(ValueError, match="weights has a layer of 19: give at least 20 a layer"):
        stable_layers([np.arange(50.0), np.arange(19.0)], seed=0)


def test_labels_must_fit():
    with pytest.raises(ValueError, match="labels has shape"):
        margins([[0.0, 1.0]], [2])
    with pytest.raises(ValueError, match="two classes"):
        margins([[0.0], [1.0]], [0, 0])


def test_the_bound_takes_more_examples_than_a_double_counts():
    """At n = 10^80 the square root of log n / n is what is left of it: mpmath has the ratio of two."""
    near, far = (complexity(1.0, 1.0, 2, 1.0, 100, 0.2, 10**k) for k in (20, 80))
    codes = [mpmath.mpf("0.2") * mpmath.log(mpmath.mpf(10) ** k) + _entropy(0.2) for k in (20, 80)]
    assert math.isclose(far / near, float(mpmath.sqrt(codes[1] / codes[0] / mpmath.mpf(10) ** 60)), rel_tol=1e-12)
    with pytest.raises(ValueError, match=r"n is an integer of \d+ bits: give an integer from 2 to .*10\*\*300"):
        complexity(1.0, 1.0, 2, 1.0, 100, 0.2, 10**400)


def _entropy(kept: float) -> Any:
    k = mpmath.mpf(kept)
    return -2 * (k * mpmath.log(k) + (1 - k) * mpmath.log(1 - k)) - k * mpmath.log(k)
