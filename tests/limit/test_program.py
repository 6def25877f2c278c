"""The authors' program, put together, against loops that follow it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from prunekit import limit
from prunekit.curvature import Matrix, spectrum
from prunekit.limit import Landscape, authors, predict, pruning_limit
from prunekit.limit.networks import program_zero_share
from prunekit.nets import Dataset
from prunekit.nets.models import cnn
from tests.limit.helpers import EPSILON, brute_removed, linear_problem, problem


def test_program_limit_is_the_published_one_but_for_its_grid():
    """With R large and a short range of eigenvalues, rounding and smoothing cost little."""
    w, H = problem(150, seed=6, flat=0.0)
    L = Landscape.of_matrix(100 * w, H / 100**2)
    assert limit.program_limit(L, EPSILON) == pytest.approx(predict(L, EPSILON).fraction, abs=0.02)
    assert predict(L, EPSILON, method="program").fraction == limit.program_limit(L, EPSILON)


def test_program_takes_the_nearest_step_with_a_rounded_distance():
    w, H = problem(80, seed=7)
    L = Landscape.of_matrix(10 * w, H)
    smooth = authors.smoothed(spectrum(Matrix(H), steps=128, probes=1, seed=0, distribution="rademacher")).pooled
    gaps = []
    for i in range(1000):
        c = brute_removed(10 * w, 80 - max(1, math.ceil(i * 80 / 1000)))
        R = round(float(np.linalg.norm(c)))
        width = np.sum(smooth.weights * 2 * EPSILON / (2 * EPSILON + R**2 * np.abs(smooth.nodes))) / smooth.total
        gaps.append(abs(width - i / 1000))
    assert limit.program_limit(L, EPSILON) == pytest.approx(1 - int(np.argmin(gaps)) / 1000)


def test_zeros_are_counted_for_convolutions_alone():
    """A filter whose outputs nothing reads: its rows and those of the weights that would read it are 0."""
    model, data = linear_problem()
    assert program_zero_share(model, limit.network_landscape(model, data)) == 0
    images = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % 3
    small = Dataset("noise", images, labels, images, labels, 3, torch.zeros(1), torch.ones(1))
    network = cnn((1, 4, 4), [4, "M"], 3, seed=0)
    with torch.no_grad():
        network.get_parameter("features.0.weight")[0] = -10.0  # mostly dead on
        network.get_parameter("features.0.weight")[1] = 0.0
        network.get_parameter("output.weight")[:, 4:8] = 0.0
    L = limit.network_landscape(network, small)
    dead = np.mean(np.abs(L.hessian).sum(axis=1) < 1e-7)
    assert dead >= (9 + 12) / L.dimension
    assert program_zero_share(network, L) == pytest.approx(dead, abs=0.1)
    same = L.scaled(weights=50, curvature=1 / 2500)  # so that rounding R hides nothing
    with_zeros, without = (predict(same, 0.01, method="program", zero_share=z).fraction for z in (dead, 0.0))
    assert with_zeros < without
    counted = program_zero_share(network, L)
    assert pruning_limit(network, small, epsilon=0.01, method="program", landscape=L).fraction == (
        predict(L, 0.01, method="program", zero_share=counted).fraction
    )
