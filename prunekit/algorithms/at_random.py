"""Random pruning before training: uniform, or with shares by layer that fall with depth (smart ratio)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import nn

from prunekit import _checks
from prunekit._checks import Seed
from prunekit.algorithms.results import Pruned, Road, judged
from prunekit.masks import Keep, Mask, scores
from prunekit.masks.mask import count_kept
from prunekit.nets import Config, access
from prunekit.nets.access import Names


def train_masked(
    model: nn.Module,
    data: Any,
    config: Config,
    mask: Mask,
    *,
    name: str = "masked",
    resume: str | os.PathLike[str] | None = None,
) -> Pruned:
    """Train a network that was pruned before.

    Parameters
    ----------
    model : Module
        The network at its initialization; it is changed in place.
    data, config
        What it is trained on, as for `fit`, and how.
    mask : Mask
        What is kept, from `smart_ratio_mask` or `random_mask` for example.
    name : str
        What the result calls the algorithm.
    resume : path, optional
        A folder for a checkpoint.

    Returns
    -------
    Pruned
        The result, with the mask and one stage, 'train'.
    """
    _checks.instance("mask", mask, Mask, "a prunekit.masks.Mask")
    _checks.text("name", name)
    road = Road(model, data, resume)
    judged("config", config)
    road.cut(mask)
    road.train("train", config, mask)
    return road.end(name)


def random_mask(model: nn.Module, keep: Keep, seed: Seed, *, parameters: Names | None = None) -> Mask:
    """Return a mask that keeps a uniformly random set of exactly so many weights of all layers together."""
    return Mask.from_scores(scores.random(model, seed, parameters=parameters), keep)


def smart_ratio_mask(
    model: nn.Module,
    keep: Keep,
    seed: Seed,
    *,
    last: float = 0.3,
    steep: bool = False,
    parameters: Names | None = None,
) -> Mask:
    """Return a mask that keeps `smart_ratio_counts` of each layer, chosen at random.

    Parameters
    ----------
    model, keep, last, steep, parameters
        As for `smart_ratio_counts`.
    seed : int, SeedSequence or Generator
        Where the random choice comes from.
    """
    counts = smart_ratio_counts(model, keep, last=last, steep=steep, parameters=parameters)
    drawn = access.generator(seed)
    kept = {}
    for name, p in scores.prunable(model, parameters).items():
        kept[name] = torch.zeros(p.numel(), dtype=torch.bool)
        kept[name][torch.randperm(p.numel(), generator=drawn)[: counts[name]]] = True
        kept[name] = kept[name].view(p.shape)
    return Mask(kept)


def smart_ratio_counts(
    model: nn.Module, keep: Keep, *, last: float = 0.3, steep: bool = False, parameters: Names | None = None
) -> dict[str, int]:
    """Return how many weights of each layer smart ratios keep, exactly as many in all as asked.

    Layer l of L keeps a share proportional to (L - l + 1)² + (L - l + 1) and at most 1, the last layer the share
    `last`. What rounding leaves over goes to the layers with the largest remainders.

    Parameters
    ----------
    model : Module
        The network whose prunable weights are the layers, in the model's order.
    keep : int or float
        Count or fraction of all of them together.
    last : float
        Share of the last layer, in (0, 1].
    steep : bool
        Whether shares are divided by l², as in the authors' program for VGG.
    parameters : names, optional
        As for `scores.prunable`.

    Raises
    ------
    ValueError
        If the last layer alone would keep more than asked, or the others cannot take up the rest.

    Notes
    -----
    Source: Su et al. (2020), Section 4, and their program, which gives `last` to every linear layer. Here only
    the last layer has it: otherwise the rule would say nothing about fully connected networks (for which Table 3 of
    geometric has no smart ratio). A layer may end with no weight.
    """
    sizes = {name: p.numel() for name, p in scores.prunable(model, parameters).items()}
    names = list(sizes)
    last, steep = _checks.scalar("last", last, positive=True), _checks.flag("steep", steep)
    if last > 1:
        raise ValueError(f"last is {last}: give a share above 0 and of at most 1")
    if len(names) < 2:
        raise ValueError(f"model has {len(names)} layer to prune: smart ratios need two or more")
    wanted = count_kept("keep", keep, sum(sizes.values()))
    own = max(1, round(last * sizes[names[-1]]))
    n = np.array([sizes[name] for name in names[:-1]], dtype=np.float64)
    rest = wanted - own
    if not 0 <= rest <= n.sum():
        raise ValueError(
            f"keep is {wanted} weights, of which the last layer gets {own}, and the others have {n.sum():.0f}: give a "
            "keep between, or another last"
        )
    depth = np.arange(len(names), 1, -1, dtype=np.float64)  # L - l + 1 for l = 1, …, L - 1
    ratio = depth**2 + depth
    if steep:
        ratio /= np.arange(1, len(names)) ** 2
    counts = _rounded(_filled(ratio, n, rest), n, rest)
    return dict(zip(names, [*counts, own], strict=True))


def _filled(ratio: np.ndarray, sizes: np.ndarray, total: float) -> np.ndarray:
    """Return sizes · min(1, k · ratio) with the k for which they sum to the total."""
    kept = np.zeros_like(sizes)
    order = np.argsort(-ratio)  # the layers that fill up first
    left = float(total)
    for position, layer in enumerate(order):
        open_ = order[position:]
        k = left / float(np.sum(ratio[open_] * sizes[open_]))
        if k * ratio[layer] <= 1:
            kept[open_] = k * ratio[open_] * sizes[open_]
            break
        kept[layer] = sizes[layer]
        left -= sizes[layer]
    return kept


def _rounded(exact: np.ndarray, sizes: np.ndarray, total: int) -> list[int]:
    """Return integers that sum to the total, rounded down but for the largest remainders; none above its size."""
    down = np.floor(exact + 1e-9)
    missing = int(total - down.sum())
    remainder = np.where(down < sizes, exact - down, -np.inf)
    down[np.argsort(-remainder, kind="stable")[:missing]] += 1
    return [int(k) for k in down]
