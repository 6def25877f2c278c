"""Iterative magnitude pruning: train, cut some, rewind, and again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from torch import nn

from prunekit.algorithms.results import Pruned, Road, judged, on_cpu, trained_weights
from prunekit.algorithms.schedules import cut, kept_by_round, split
from prunekit.masks import Keep, scores
from prunekit.nets import Config, access
from prunekit.nets.access import Names


def iterative_magnitude_pruning(
    model: nn.Module,
    data: Any,
    config: Config,
    keep: Keep | Sequence[Keep],
    *,
    rounds: int | None = None,
    rewind: int = 0,
    parameters: Names | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> Pruned:
    """Find a lottery ticket: in each round remove the smallest weights, put the others back, train again.

    Parameters
    ----------
    model : Module
        The network at its initialization; it is changed in place.
    data : Dataset or batches
        What it is trained on, as for `fit`.
    config : Config
        One training, which every round repeats, order of the batches included.
    keep, rounds
        As for `kept_by_round`: what is kept after the last round, and how many rounds; or after each of them. All
        layers are ranked together.
    rewind : int
        Epoch whose iterate the weights are put back to, batch norms' statistics included; 0 is the initialization.
        The rest of the training is repeated from there, at the learning rates of its epochs, and with momentum and
        batches begun anew.
    parameters : names, optional
        What is pruned; by default as for `scores.prunable`.
    resume : path, optional
        A folder for checkpoints; after a kill the same call goes on from them.

    Returns
    -------
    Pruned
        The result, with a mask for each round, `rewound`, and a stage for each training: 'rewind' (if there is one),
        'round 0' on all weights, 'round 1' on the first mask, …; the last is the ticket's.

    Raises
    ------
    ValueError, TypeError
        In the same cases as `kept_by_round`, and if the training cannot be taken apart at `rewind`.

    Notes
    -----
    Source: Frankle and Carbin (2019), Section 1; rewinding to an early epoch: Frankle et al. (2020). Geometric,
    Section 5.3 (LTH) and Section 6 (IMP), does not say to what it rewinds.
    """
    judged("config", config)
    total = sum(p.numel() for p in trained_weights(model, parameters).values())
    counts = kept_by_round(total, keep, rounds)
    early, late = split(config, rewind)
    road = Road(model, data, resume)
    if rewind:
        road.train("rewind", early)
    rewound = access.state(model)
    mask = None
    for k, count in enumerate(counts):
        road.train(f"round {k}", late, mask)
        mask = cut(scores.magnitude(model, parameters=parameters), count, mask)
        access.restore(model, rewound)
        road.cut(mask)
    road.train(f"round {len(counts)}", late, mask)
    return road.end("iterative magnitude pruning", on_cpu(rewound))
