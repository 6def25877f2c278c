"""Global one-shot pruning: train with an ℓ1 penalty, then cut the smallest weights of all layers at once."""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from prunekit.algorithms.results import Pruned, Road, judged, trained_weights
from prunekit.masks import Keep, Mask, scores
from prunekit.nets import Config
from prunekit.nets.access import Names


def global_one_shot(
    model: nn.Module,
    data: Any,
    config: Config,
    keep: Keep,
    *,
    fine_tune: Config | None = None,
    parameters: Names | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> Pruned:
    """Train a network, and keep its largest weights, whatever layer they are in.

    Parameters
    ----------
    model : Module
        The network at its initialization; it is changed in place.
    data : Dataset or batches
        What it is trained on, as for `fit`.
    config : Config
        How it is trained; `config.l1` is λ of (2), and 0 is allowed for comparison.
    keep : int or float
        Count or fraction, as for `Mask.from_scores`.
    fine_tune : Config, optional
        A training of what is left. The text of geometric is silent about one, and the authors' program has none:
        by default the cut is the end.
    parameters : names, optional
        What is pruned; by default as for `scores.prunable`.
    resume : path, optional
        A folder for checkpoints; after a kill the same call goes on from them.

    Returns
    -------
    Pruned
        The result, with one mask and one or two stages ('train', 'fine-tune').

    Notes
    -----
    Source: geometric, equation (2) and Section 5.3 (GOP).
    """
    judged("config", config)
    if fine_tune is not None:
        judged("fine_tune", fine_tune)
    road = Road(model, data, resume)
    trained_weights(model, parameters)
    magnitudes = scores.magnitude(model, parameters=parameters)
    Mask.from_scores(magnitudes, keep)  # refuses a bad count before the training
    road.train("train", config)
    road.cut(Mask.from_scores(scores.magnitude(model, parameters=parameters), keep))
    if fine_tune is not None:
        road.train("fine-tune", fine_tune, road.masks[-1])
    return road.end("global one-shot")
