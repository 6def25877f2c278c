"""The authors' program's own rules, against loops that follow its source."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunekit.curvature import Matrix
from prunekit.limit import authors
from prunekit.spectrum import Measure, Spectrum


def two_probes():
    rng = np.random.default_rng(0)
    return Spectrum(
        tuple(
            Measure(np.append(rng.normal(size=9) * 0.01, rng.uniform(2, 3)), rng.dirichlet(np.ones(10)) * 50)
            for _ in "ab"
        )
    )


def loop_density(spectrum, bins, variance, margin):
    """Return the density as the program computes it, probe by probe and place by place."""
    nodes = [probe.nodes for probe in spectrum.probes]
    weights = [probe.weights / probe.total for probe in spectrum.probes]
    high = np.mean([n.max() for n in nodes]) + margin
    low = np.mean([n.min() for n in nodes]) - margin
    grid = np.linspace(low, high, bins)
    spread = variance * max(1, high - low)
    densities = []
    for n, w in zip(nodes, weights, strict=True):
        bumps = [np.exp(-((x - n) ** 2) / (2 * spread)) / np.sqrt(2 * np.pi * spread) for x in grid]
        densities.append([float((b * w).sum()) for b in bumps])
    density = np.mean(densities, axis=0)
    return grid, density / (density.sum() * (grid[1] - grid[0]))


def test_the_smoothed_density_is_the_programs():
    spectrum, options = two_probes(), {"bins": 1500, "variance": 1e-5, "margin": 0.01}
    grid, density = loop_density(spectrum, **options)
    found = authors.smoothed(spectrum, **options)
    there = density > 0
    assert np.allclose(found.pooled.nodes, grid[there])
    assert np.allclose(found.pooled.weights, 50 * density[there] / density.sum(), rtol=1e-9)
    assert found.dimension == pytest.approx(50)
    assert found.exact


def test_a_node_between_grid_points_loses_weight_by_the_stated_factor():
    L = 50.0
    spacing = L / (100_000 - 1)  # of which the margin, 0.01, is almost a multiple: the outermost nodes are on the grid
    nodes = np.array([0.01, 0.01 + 40_000.5 * spacing, L - 0.01])  # the middle one as far from the grid as can be
    found = authors.smoothed(Spectrum((Measure(nodes, np.ones(3)),), exact=True))
    masses = [found.pooled.weights[np.abs(found.pooled.nodes - node) < 1].sum() for node in nodes]
    offset = np.array([(node / spacing) % 1 for node in nodes])
    offset = np.minimum(offset, 1 - offset)
    spread = 1e-10 * L / spacing**2
    places = np.arange(-30, 31)
    expected = np.array([np.exp(-((places - o) ** 2) / (2 * spread)).sum() for o in offset])
    assert np.allclose(masses, 3 * expected / expected.sum(), rtol=1e-3)
    assert masses[1] / masses[0] == pytest.approx(2 * math.exp(-L / 8), rel=0.05)  # from the two grid points around it


def test_a_density_that_is_zero_everywhere_is_refused():
    with pytest.raises(FloatingPointError, match="every node lies between its points"):
        authors.smoothed(Spectrum((Measure([0.0], [1.0]),), exact=True), bins=2, variance=1e-10, margin=1.0)


def test_the_tolerance_is_the_spread_of_batch_losses():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    X, y = torch.randn(50, 4), torch.randint(3, (50,))
    found = authors.tolerance(model, F.cross_entropy, (X, y), batch_size=20, seed=4)
    order = np.random.default_rng(4).permutation(50)
    with torch.no_grad():
        losses = [F.cross_entropy(model[0](X[part]), y[part]).item() for part in (order[:20], order[20:40], order[40:])]
    assert found == pytest.approx(math.sqrt(np.mean((losses - np.mean(losses)) ** 2)), rel=1e-5)
    assert model.training
    with pytest.raises(ValueError, match="batch_size is 50: give an integer from 1 to 49"):
        authors.tolerance(model, F.cross_entropy, (X, y), batch_size=50)


def test_rows_are_read_in_the_order_of_magnitude():
    rng = np.random.default_rng(0)
    D = 250
    A = rng.standard_normal((D, 20))
    dead = rng.choice(D, 100, replace=False)
    A[dead] = 0
    weights = rng.standard_normal(D)
    weights[dead] *= 0.01  # the zero rows belong to small weights
    H = A @ A.T
    found = authors.sampled_zero_rows(Matrix(H), weights)
    order = sorted(range(D), key=lambda i: abs(weights[i]))
    rows = [order[0], *(order[math.ceil(k * D / 100) - 1] for k in range(1, 100))]
    assert np.allclose(found.norms, [np.abs(H[i]).sum() for i in rows])
    hits = sum(np.abs(H[i]).sum() < 1e-7 for i in rows)
    p = (hits + 1) / 102
    assert found.share == pytest.approx((hits / 100, math.sqrt(p * (1 - p) / 100)))
    assert abs(found.share.value - 0.4) < 0.02  # every hundredth of the order: hardly any sampling error here
    assert authors.sampled_zero_rows(Matrix(H[:30, :30]), weights[:30], rows=30).norms.shape == (30,)
    with pytest.raises(ValueError, match="rows is 40: give an integer from 1 to 30"):
        authors.sampled_zero_rows(Matrix(H[:30, :30]), weights[:30], rows=40)
    with pytest.raises(ValueError, match="weights has shape"):
        authors.sampled_zero_rows(Matrix(H), weights[:-1])


def test_no_zero_row_among_a_hundred_is_no_proof_that_there_is_none():
    found = authors.sampled_zero_rows(Matrix(np.eye(100)), np.arange(100.0)).share
    assert found.value == 0
    assert found.error == pytest.approx(math.sqrt(1 / 102 * 101 / 102 / 100))


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("zero_share", [0.0, 0.2])
def test_the_share_is_the_nearest_on_the_programs_grid(rounded, zero_share):
    rng = np.random.default_rng(1)
    h = rng.normal(size=300) * 0.1
    w = np.sort(np.abs(rng.standard_normal(300)))

    def distance(share):
        return math.sqrt((w[: round(share * 300)] ** 2).sum())

    epsilon = 0.4
    gaps = []
    for i in range(1000):
        R = distance(i / 1000)
        R = float(np.rint(R)) if rounded else R
        total = sum((2 * epsilon / abs(x)) / (R**2 + 2 * epsilon / abs(x)) for x in h)
        gaps.append(abs(zero_share + (1 - zero_share) * total / 300 - i / 1000))
    found = authors.pruned_share(Spectrum.of_eigenvalues(h), epsilon, distance, rounded=rounded, zero_share=zero_share)
    assert found == gaps.index(min(gaps)) / 1000


def test_shares_and_tolerances_that_make_no_sense_are_refused():
    spectrum = Spectrum.of_eigenvalues([1.0, 2.0])
    with pytest.raises(ValueError, match="epsilon is 0"):
        authors.pruned_share(spectrum, 0, lambda s: s)
    with pytest.raises(ValueError, match="zero_share is 2"):
        authors.pruned_share(spectrum, 1, lambda s: s, zero_share=2)
    with pytest.raises(ValueError, match=r"distance holds nan at index \(0,\): give finite"):
        authors.pruned_share(spectrum, 1, lambda s: math.nan)
    assert authors.pruned_share(spectrum, 1, lambda s: 0.0) == 0.999  # no distance: everything goes
