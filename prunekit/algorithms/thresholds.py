"""The predicted threshold of geometric at every cut of an algorithm, for the weights that are active there.

Section 6 and Figure 4 of the paper hold each cut against T for the network as it is before the cut: its active weights
alone are counted, its Hessian is that of the loss in them, and the pruning ratio is the share of them that is kept.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from prunekit import _checks, cones
from prunekit._checks import Floats, Seed
from prunekit.algorithms.results import Pruned, Stage
from prunekit.limit import Lanczos, Landscape, Tolerance, minibatch_tolerance, predict
from prunekit.limit.negative import Negative, treated_spectrum
from prunekit.limit.networks import network_landscape, training_pairs
from prunekit.masks import Mask
from prunekit.nets import Dataset, evaluate
from prunekit.nets.access import Loss
from prunekit.nets.data import dataset, loss_of
from prunekit.spectrum import Spectrum
from prunekit.statistics import Estimate


@dataclass(frozen=True, eq=False)
class CutThreshold:
    """One cut and what was predicted for it.

    Attributes
    ----------
    active, kept : int
        Number of weights before and after.
    epsilon : float
        Tolerance on the loss: the standard deviation of the training loss over minibatches before the cut.
    limit : float
        The least share of the active weights with p ≥ T(p), the smallest magnitudes being removed.
    threshold : float
        T at what was actually removed: 1 - (1/D) Σ r_i²/(R² + r_i²) with R the norm of the removed weights.
    rise : float
        Training loss after the cut, with nothing re-trained, minus that before.
    shares : (m,) array
        Shares of the active weights kept.
    by_magnitude, at_random : (m,) array
        T at these shares where the smallest weights are removed, and where random ones are (R² at its expectation).
    resolved : bool
        Whether the quadrature of the spectrum sees all these T; True for a dense Hessian.
    """

    active: int
    kept: int
    epsilon: float
    limit: float
    threshold: float
    rise: float
    shares: Floats = field(repr=False)
    by_magnitude: Floats = field(repr=False)
    at_random: Floats = field(repr=False)
    resolved: bool = True

    @property
    def ratio(self) -> float:
        """The share of the active weights that the cut kept: the paper's pruning ratio."""
        return self.kept / self.active

    @property
    def margin(self) -> float:
        """Ratio minus threshold: above 0 where the cut kept more than is predicted to be needed."""
        return self.ratio - self.threshold


def cut_thresholds(
    result: Pruned,
    data: Any,
    *,
    loss: Loss = nn.functional.cross_entropy,
    shares: Sequence[float] = (),
    negative: Negative = "absolute",
    dense: bool | None = None,
    lanczos: Lanczos | None = None,
    batch_size: int = 128,
    shuffles: int = 1,
    seed: Seed = 0,
) -> list[CutThreshold]:
    """Return the predicted threshold at each cut of an algorithm.

    Parameters
    ----------
    result : Pruned
        The result of an algorithm whose stages were followed by cuts: iterative magnitude pruning, one-shot pruning,
        rare gems. For rare gems the weights are those the network computes with, 0 where a score rounds to 0; all that
        are not removed count.
    data : Dataset or batches
        What the network was trained on.
    loss : callable
        (outputs, labels) -> mean over the samples.
    shares : sequence of float
        The shares at which T is evaluated for magnitude and random order.
    negative, dense, lanczos
        As for `prunekit.limit.network_landscape` and `predict`; by default `Lanczos(steps=100)`.
    batch_size, shuffles, seed : int
        As for `prunekit.limit.minibatch_tolerance`, whose ε is taken.

    Raises
    ------
    ValueError
        If there is no cut after a training, or all active weights are 0.

    Notes
    -----
    Source: geometric, Section 6 and Figure 4; T: equation (18). The paper does not say how it takes ε, R and the
    Hessian there.
    """
    _checks.instance("result", result, Pruned, "a Pruned")
    data = dataset(data)
    loss = loss_of(data, loss)
    grid = _shares(shares)
    stages = [stage for stage in result.stages if stage.cut is not None]
    if not stages:
        raise ValueError("result has no cut after a training: give one of an algorithm that trains first")
    lanczos = Lanczos(steps=100, seed=seed) if lanczos is None else lanczos
    model = copy.deepcopy(result.model)
    cuts = []
    for stage in stages:
        model.load_state_dict(dict(stage.end))
        landscape = network_landscape(
            model,
            data,
            loss,
            dense=dense,
            lanczos=lanczos,
            parameters=list(result.mask),
        )
        epsilon = minibatch_tolerance(
            model, training_pairs(data), loss, batch_size=batch_size, shuffles=shuffles, seed=seed
        )
        cuts.append(_at_cut(stage, model, data, landscape, epsilon, grid, negative))
    return cuts


def _shares(shares: Sequence[float]) -> Floats:
    """Return shares above 0 and of at most 1; there may be none."""
    fractions = _checks.numbers("shares", _checks.listed("shares", shares, "fractions"))
    if fractions.ndim != 1 or np.any((fractions <= 0) | (fractions > 1)):
        raise ValueError(f"shares is {_checks.shown(shares)}: give fractions above 0 and of at most 1")
    return fractions


def _at_cut(
    stage: Stage,
    model: nn.Module,
    data: Dataset,
    landscape: Landscape,
    epsilon: Tolerance,
    shares: Floats,
    negative: Negative,
) -> CutThreshold:
    """Return the threshold at one cut; the model is left as it is after it."""
    assert stage.cut is not None
    there = np.ones(landscape.dimension, dtype=bool) if stage.mask is None else positions(stage.mask)
    active = landscape if there.all() else landscape.restricted(there)
    gone = active.weights[~positions(stage.cut)[there]]
    before, _ = evaluate(model, data, train=True)
    stage.cut.apply_(model)
    after, _ = evaluate(model, data, train=True)
    counts = [max(1, round(share * active.dimension)) for share in shares]
    whole = active.distance(0) ** 2
    distances = {
        "magnitude": [active.distance(k) for k in counts],
        "random": [math.sqrt(whole * (1 - k / active.dimension)) for k in counts],
        "cut": [float(np.linalg.norm(gone))],
    }
    limit = predict(active, epsilon, negative=negative)
    estimates = {name: [_published(active, epsilon.value, R, negative) for R in d] for name, d in distances.items()}
    T = {name: np.array([each.value for each in many]) for name, many in estimates.items()}
    return CutThreshold(
        active.dimension, stage.cut.kept, epsilon.value, limit.fraction, float(T["cut"][0]), after - before,
        np.array(counts) / active.dimension, T["magnitude"], T["random"],
        limit.resolved and all(each.resolved for many in estimates.values() for each in many),
    )  # fmt: skip


def _published(landscape: Landscape, epsilon: float, distance: float, negative: Negative) -> Estimate:
    """Return T of equation (18) at a distance R."""

    def read(spectrum: Spectrum) -> Estimate:
        dimension = cones.dimension_as_published(treated_spectrum(spectrum, negative), epsilon, distance)
        return dimension.linear(-1 / landscape.dimension, 1.0)

    return landscape.read(read)


def positions(mask: Mask) -> np.ndarray:
    """Return a mask as one bool vector (D,), in the order of the model's prunable weights."""
    return torch.cat([kept.flatten() for kept in mask.values()]).numpy()
