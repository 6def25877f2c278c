"""How much is cut when, and trainings taken apart: exact counts by round, the first epochs and the rest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from prunekit import _checks
from prunekit.masks import Keep, Mask, Scores
from prunekit.masks.mask import count_kept
from prunekit.nets import Config, access
from prunekit.nets.config import learning_rate


def kept_by_round(total: int, keep: Keep | Sequence[Keep], rounds: int | None = None) -> list[int]:
    """Return the exact number of weights kept after each round.

    Parameters
    ----------
    total : int
        Number of weights at the start.
    keep : int or float, or a sequence of them
        What is kept at the end, as a count or a fraction of the total, and every round removes the same fraction of
        what it finds, up to rounding; or what is kept after each round.
    rounds : int, optional
        Number of rounds, where `keep` is one number.

    Raises
    ------
    ValueError, TypeError
        If a round would remove nothing, or `rounds` does not go with `keep`.

    Examples
    --------
    >>> kept_by_round(1000, 0.1, 3)
    [464, 215, 100]
    >>> kept_by_round(1000, [0.8, 0.5, 20])
    [800, 500, 20]
    """
    total = _checks.count("total", total)
    if isinstance(keep, Sequence):
        if rounds is not None:
            raise ValueError(f"rounds is {rounds}, and keep gives one number a round: leave one of them out")
        counts = [count_kept("keep", each, total) for each in keep]
    else:
        if rounds is None:
            raise ValueError("rounds is missing: give the number of rounds, or a sequence of what is kept after each")
        last, number = (
            count_kept("keep", keep, total),
            _checks.count("rounds", rounds, 1, total, high_is="total, as each round removes some"),
        )
        counts = [round(total * (last / total) ** (k / number)) for k in range(1, number + 1)]
    if not counts:
        raise ValueError("keep is empty: give what is kept after each round")
    for k, (before, after) in enumerate(itertools.pairwise([total, *counts]), 1):
        if after >= before:
            raise ValueError(f"keep leaves {after} weights of {before} in round {k}: let every round remove some")
    return counts


def cut(scores: Scores, keep: int, within: Mask | None = None) -> Mask:
    """Return the mask of the highest scores of all layers together, among the weights that are still there.

    Parameters
    ----------
    scores : mapping from name to tensor
        One number for each weight.
    keep : int
        Exact number of weights kept.
    within : Mask, optional
        What is still there; the result lies within it.

    Raises
    ------
    ValueError
        If fewer weights are there than shall be kept, or the names or shapes differ.
    """
    _checks.instance("scores", scores, Mapping, "tensors by parameter name")
    if within is None:
        return Mask.from_scores(scores, keep)
    _checks.instance("within", within, Mask, "a Mask")
    for name, score in scores.items():
        if not isinstance(name, str) or not isinstance(score, Tensor):
            raise TypeError(f"scores[{name!r}] is {_checks.shown(score)}: give a tensor by a parameter's name")
        access.tensor(f"scores[{name!r}]", score)
        if name in within and score.shape != within[name].shape:
            raise ValueError(f"scores[{name!r}] has shape {tuple(score.shape)}: within has {tuple(within[name].shape)}")
    if set(scores) != set(within):
        raise ValueError(f"scores cover {', '.join(scores)}: give those of {', '.join(within)}")
    keep = _checks.count("keep", keep, 1, within.kept, high_is="the number of weights that are there")
    if any(bool(torch.isneginf(t).any()) for t in scores.values()):
        raise ValueError("scores hold -inf, which marks what is gone: give finite numbers")
    return Mask.from_scores({name: _only(t, within[name]) for name, t in scores.items()}, keep)


def _only(scores: Tensor, there: Tensor) -> Tensor:
    """Return scores with minus infinity where no weight is left."""
    return scores.detach().cpu().double().masked_fill(~there, -torch.inf)


def split(config: Config, epochs: int) -> tuple[Config, Config]:
    """Return the training of the first epochs, and that of the others, at the learning rates of the whole.

    Momentum and Adam's moments begin at 0 in each. With 0 epochs the first is not used, and the second is the whole.

    Raises
    ------
    ValueError
        If nothing is left for either, or the schedule cannot be taken apart there.
    """
    epochs = _checks.count("rewind", epochs, 0, config.epochs - 1, high_is="less than config.epochs")
    if epochs == 0:
        return config, config
    if config.schedule == "cosine" or epochs <= config.warmup:
        raise ValueError(
            f"rewind is {epochs} with schedule {config.schedule!r} and warmup {config.warmup}: give a schedule that is "
            "'constant', 'multistep' or 'exponential', and rewind to after the climb"
        )
    after = epochs - config.warmup
    rate = learning_rate(config, epochs)
    early = _milestones(config, [k for k in config.milestones if k < after])
    late = _milestones(config, [k - after for k in config.milestones if k > after])
    return replace(config, epochs=epochs, **early), replace(
        config, epochs=config.epochs - epochs, lr=rate, warmup=0, **late
    )


def _milestones(config: Config, left: list[int]) -> Mapping[str, Any]:
    """Return what changes in a configuration to which only some milestones apply."""
    if config.schedule != "multistep":
        return {}
    return {"milestones": tuple(left), "schedule": "multistep" if left else "constant"}
