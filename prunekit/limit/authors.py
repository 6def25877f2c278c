"""Where the program of geometric's authors differs from their text: tolerance, grid, look-up, zero rows.

This was read from the source published with the paper (github.com/QiaozheZhang/Global-One-shot-Pruning: utils.py,
density_plot.py, cal_rate.py, gradient.py, gaussian_width.py) and is written anew here. Each is a function by itself, so
that each difference can be switched on alone. `program_limit` puts them together as the program does: eigenvalues are
Lanczos nodes from one start of random signs, smoothed to a density on a coarse grid; absolute values are taken; for
convolutional networks a share of them is declared to be 0; R is rounded to an integer; and among the shares removed 0,
0.1%, …, 99.9% the one is taken at which the squared width over D is nearest to the share itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.curvature.matrix import Operator, rows_of
from prunekit.curvature.zeros import row_norms
from prunekit.limit.landscape import Landscape, checked
from prunekit.limit.program import BATCH, LANCZOS_STEPS
from prunekit.nets import access
from prunekit.nets.access import Loss
from prunekit.spectrum import Measure, Spectrum
from prunekit.statistics import Estimate

STEPS = 1000  # pruned shares that it tries, 0 to 0.999
_BINS, _VARIANCE, _MARGIN = 100_000, 1e-10, 0.01  # settings of the smoothed density
_UNDERFLOW = 39.0  # a Gaussian is 0 in double precision farther from its middle than so many widths
_ROWS, _ZERO = 100, 1e-7  # rows that are read, and the norm below which one counts as zero


def tolerance(
    model: nn.Module, loss: Loss, data: tuple[Tensor, Tensor], *, batch_size: int = BATCH, seed: Seed = 0
) -> float:
    """Return the program's ε: the standard deviation of the training losses of shuffled mini-batches.

    Every batch counts alike, the last and smaller one too, and the deviation is that of these batches (divisor
    n). The penalty that the program adds to each loss is the same for all and drops out.

    Parameters
    ----------
    model : Module
        Evaluated in evaluation mode.
    loss : callable
        (outputs, labels) -> mean over the samples.
    data : (inputs, labels)
        All training samples.
    batch_size : int
        Samples in a batch; there must be at least two batches.
    seed : int, SeedSequence or Generator
        Where the order of the samples comes from.

    Raises
    ------
    ValueError
        If the data make a single batch.
    """
    _checks.function("loss", loss, "a function (outputs, labels) -> mean over the samples")
    inputs, labels = _pair(data)
    size = _checks.count("batch_size", batch_size, 1, len(labels) - 1, high_is="so that there are two batches")
    order = torch.from_numpy(_checks.generator(seed).permutation(len(labels))).to(labels.device)
    with torch.no_grad(), access.evaluating(access.module(model)):
        losses = []
        for k in order.split(size):
            with access.taking(inputs[k]):
                outputs = model(inputs[k])
            losses.append(float(access.mean_loss(loss, outputs, labels[k])))
    return float(np.std(losses))


def _pair(data: Any) -> tuple[Tensor, Tensor]:
    """Return inputs and labels, which have one row for each sample."""
    if not isinstance(data, tuple | list) or len(data) != 2 or not all(isinstance(x, Tensor) for x in data):
        raise TypeError(f"data is {_checks.shown(data)}: give a pair (inputs, labels) of tensors")
    inputs, labels = (access.tensor("data", x) for x in data)
    if inputs.ndim == 0 or labels.ndim == 0 or len(inputs) != len(labels) or len(labels) < 2:
        raise ValueError(
            f"data has inputs of shape {tuple(inputs.shape)} and labels of shape {tuple(labels.shape)}: give a row "
            "a sample in each, at least two"
        )
    return inputs, labels


def smoothed(
    spectrum: Spectrum, *, bins: int = _BINS, variance: float = _VARIANCE, margin: float = _MARGIN
) -> Spectrum:
    """Return the program's smoothed density, as a measure on its grid.

    A Gaussian bump stands for each node, with the variance `variance` times the larger of 1 and the grid's extent, and
    is read at `bins` equally spaced places; the readings are scaled to the total. The grid of extent L has the spacing
    L / bins and the bumps the width √(variance L): with the program's numbers a bump is narrower than the spacing as
    soon as L > 1, and a node loses weight with its distance from the grid: midway, where two places read it, the factor
    is 2 exp(-L / 8).

    Parameters
    ----------
    spectrum : Spectrum
        Nodes and weights of the probes.
    bins : int
        Grid points.
    variance : float
        Variance of a bump, before it is multiplied by the extent.
    margin : float
        How far the grid reaches beyond the mean of the probes' outermost nodes.

    Returns
    -------
    Spectrum
        One measure; grid points where the density is 0 in double precision are left out, as the program does.

    Raises
    ------
    FloatingPointError
        If the density is 0 everywhere on the grid: every node is lost.
    """
    _checks.instance("spectrum", spectrum, Spectrum, "a Spectrum")
    _checks.room("bins", bins, 48.0 * _checks.count("bins", bins, 2))
    count, width = _checks.count("bins", bins, 2), _checks.scalar("variance", variance, positive=True)
    frame = _checks.scalar("margin", margin, positive=True)
    low = float(np.mean([probe.nodes[0] for probe in spectrum.probes])) - frame
    high = float(np.mean([probe.nodes[-1] for probe in spectrum.probes])) + frame
    grid = np.linspace(low, high, count)
    spread = width * max(1.0, high - low)
    reach = _UNDERFLOW * math.sqrt(spread)
    density = np.zeros(count)
    pooled = spectrum.pooled
    for node, weight in zip(pooled.nodes, pooled.weights, strict=True):
        near = slice(*np.searchsorted(grid, (node - reach, node + reach)))
        density[near] += weight * np.exp(-((grid[near] - node) ** 2) / (2 * spread))
    there = density > 0
    if not there.any():
        raise FloatingPointError(
            "the smoothed density is 0 everywhere on the grid: every node lies between its points; give more bins, a "
            "larger variance or a smaller margin"
        )
    readings = density[there] * (spectrum.dimension / density[there].sum())
    return Spectrum((Measure(grid[there], readings),), exact=True)


@dataclass(frozen=True, eq=False)
class ZeroRows:
    """What the program learns from a hundred rows.

    Attributes
    ----------
    share : Estimate
        The share of rows whose norm is below the threshold, with the standard error of a counted share, taken at
        (hits + 1)/(n + 2) so that it is above 0 for no hits and for n hits too.
    norms : (n,) array
        ℓ1 norms of the rows read, from the smallest weight's to the largest's.
    """

    share: Estimate
    norms: Floats


def sampled_zero_rows(
    operator: Operator, weights: ArrayLike, *, rows: int = _ROWS, threshold: float = _ZERO
) -> ZeroRows:
    """Return the share of zero eigenvalues as the program estimates it, for convolutional networks.

    It reads the Hessian's rows of the weights at every hundredth of the order of magnitude, the smallest first, and
    counts those with an ℓ1 norm below the threshold. The program takes the norms batch by batch and divides their sum
    by the number of samples, so that with batches of 128 its 1e-7 is about 1e-5 on a row of the mean Hessian.

    Parameters
    ----------
    operator : Operator
        The Hessian, of dimension D.
    weights : (D,) array
        The network's weights, in the operator's order.
    rows : int
        How many rows are read, at most D.
    threshold : float
        The norm below which a row counts as zero, in units of the matrix.

    Raises
    ------
    ValueError
        If `weights` has another length.
    """
    D = rows_of(operator)
    magnitudes = _checks.vector("weights", weights, D, like=f"the operator has {D} rows")
    count = _checks.count("rows", rows, 1, magnitudes.size, high_is="the rows there are")
    limit = _checks.scalar("threshold", threshold, positive=True)
    order = np.argsort(np.abs(magnitudes), kind="stable")
    places = [max(math.ceil(k * magnitudes.size / count), 1) - 1 for k in range(count)]
    read, again = np.unique(places, return_inverse=True)
    norms = row_norms(operator, order[read])[again]
    hits = int(np.sum(norms < limit))
    p = (hits + 1) / (norms.size + 2)
    return ZeroRows(Estimate(hits / norms.size, math.sqrt(p * (1 - p) / norms.size)), norms)


def pruned_share(
    spectrum: Spectrum,
    epsilon: float,
    distance: Callable[[float], float],
    *,
    zero_share: float = 0.0,
    rounded: bool = True,
    steps: int = STEPS,
) -> float:
    """Return the predicted share of weights that can be removed, 1 - T, as the program solves for it.

    Of the shares s = 0, 1/steps, … it takes the first at which the published w²/D, with |h| for h, is nearest to s.
    Zero eigenvalues, if it has counted any, are added to the spectrum: a share z of the whole, with all that the
    spectrum has scaled to the rest, so that zeros which the spectrum already contains count twice.

    Parameters
    ----------
    spectrum : Spectrum
        The spectrum of a matrix with D rows; that of `smoothed`, to do as the program does.
    epsilon : float
        The loss tolerance, above 0, in the loss's units.
    distance : callable
        Takes the share removed, and returns R = ‖w* - wᵏ‖.
    zero_share : float
        Share z of the eigenvalues that are counted as zero in addition.
    rounded : bool
        Whether R is rounded to an integer first, as the program does.
    steps : int
        Shares that are tried.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range, or a distance that is no finite number of at least 0.

    Notes
    -----
    Source: Corollary 1, equation (18), with r² = 2ε/|h|.
    """
    _checks.instance("spectrum", spectrum, Spectrum, "a Spectrum")
    _checks.function("distance", distance)
    rounded = _checks.flag("rounded", rounded)
    twice = _checks.finite("2ε", 2 * _checks.scalar("epsilon", epsilon, positive=True), "epsilon")
    z = _checks.scalar("zero_share", zero_share)
    if z > 1:
        raise ValueError(f"zero_share is {z}: give a share from 0 to 1")
    steps = _checks.draws("steps", steps, 1000, each_is="an integral each counts as many")
    _checks.room("steps", steps, 64.0 * steps)
    shares = np.arange(steps) / steps
    turns = bars.each("distances", shares, steps, "shares")
    distances = _checks.nonnegative_vector("distance", [distance(float(s)) for s in turns])
    if rounded:
        distances = np.rint(distances)
    measure = spectrum.pooled
    different = np.unique(distances)
    published = {R: _published(measure, twice, R) for R in bars.each("shares", different, different.size, "integrals")}
    predicted = np.array([z + (1 - z) * published[R] for R in distances])
    return float(shares[np.argmin(np.abs(predicted - shares))])


def _published(measure: Measure, twice: float, R: float) -> float:
    """Return w²/D of equation (16) with |h|: the mean of r²/(R² + r²) = 2ε/(2ε + R²|h|)."""
    return measure.integrate(lambda h: twice / (twice + R**2 * np.abs(h))) / measure.total


def program_limit(
    landscape: Landscape, epsilon: float, *, zero_share: float = 0.0, steps: int = LANCZOS_STEPS, seed: Seed = 0
) -> float:
    """Return the share kept at the threshold that the authors' program would print.

    Parameters
    ----------
    landscape : Landscape
        Its Hessian is multiplied again, for the program's own Lanczos run from one random start.
    epsilon : float
        Tolerance on the loss, above 0; the program's rule is `minibatch_tolerance`.
    zero_share : float
        Share of eigenvalues taken for 0, from 0 to 1: 0 for FC networks, for others what `sampled_zero_rows` says.
    steps : int
        Lanczos steps; at most D are taken.
    seed : int
        Where the random start comes from.

    Returns
    -------
    float
        One minus the share removed, a multiple of 0.001.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range.

    Notes
    -----
    See geometric/erratum-17d, 17f and 17g. The program ranks and prunes the smallest ⌈share · D⌉ weights, at least one.
    One thing is not followed: the program's Hessian has rows for biases too, which are never pruned; here the rows are
    the landscape's weights.
    """
    D = checked(landscape).dimension

    def distance(removed: float) -> float:
        return landscape.distance(D - max(1, int(_checks.ceil_share(removed, D))))

    smooth = smoothed(landscape.probed(steps, seed))
    return 1.0 - pruned_share(smooth, epsilon, distance, zero_share=zero_share)
