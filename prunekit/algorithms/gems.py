"""Rare gems: which of the frozen random weights to use is learned, then those weights are trained.

Every weight has a score in [0, 1], and the network computes with the weights whose score rounds to 1. The scores are
trained by SGD; since rounding has no slope, its derivative is taken to be 1 (straight through). After each
period the lowest scores are removed for good, until the wanted number is left.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from prunekit import _checks
from prunekit._checks import Seed
from prunekit.algorithms.results import Pruned, Road, Stage, judged, on_cpu, trained_weights
from prunekit.algorithms.schedules import cut, kept_by_round
from prunekit.masks import Keep, Mask
from prunekit.nets import Config, access, fit
from prunekit.nets.access import Names
from prunekit.nets.config import learning_rate


def rare_gems(
    model: nn.Module,
    data: Any,
    search: Config,
    fine_tune: Config,
    keep: Keep,
    *,
    period: int,
    seed: Seed = 0,
    signed_constant: bool = True,
    parameters: Names | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> Pruned:
    """Search a network's initialization for a subnetwork, and train what was found.

    Parameters
    ----------
    model : Module
        The network at its initialization; it is changed in place.
    data : Dataset or batches
        What scores and weights are trained on, as for `fit`.
    search : Config
        How the scores are trained, `search.epochs` in all; weights, biases and batch norms stay where they are.
        `search.l2` |s|²/2 is the penalty on the scores, 0 for none. Within a period the learning rate is that of its
        first epoch; momentum begins anew in each.
    fine_tune : Config
        How the weights that are left are trained afterwards.
    keep : int or float
        What is left at the end, as a count or fraction. Each period removes the same fraction of what it finds.
    period : int
        Epochs between two cuts, a divisor of `search.epochs`.
    seed : int, SeedSequence or Generator
        Where the first scores come from, which are uniform on [0, 1].
    signed_constant : bool
        Whether the weights of each layer are first replaced by their signs times their root mean square.
    parameters : names, optional
        What has scores; by default as for `scores.prunable`.
    resume : path, optional
        A folder for checkpoints; after a kill the same call goes on from them.

    Returns
    -------
    Pruned
        The result, with a mask for each period and the stages 'search 0', 'search 1', …, 'fine-tune'. All weights whose
        score was not removed are trained in the end, also those whose score rounds to 0.

    Raises
    ------
    ValueError, TypeError
        If the period does not divide the search, a weight is shared by two modules, and in the same cases as
        `kept_by_round`.

    Notes
    -----
    Source: Sreenivasan et al. (2022), Algorithm 1, and the authors' program, from which signed constants, uniform
    scores, clamping before each forward pass and training all that was not removed are taken. Geometric describes
    the algorithm in half a sentence.
    """
    judged("search", search)
    judged("fine_tune", fine_tune)
    signed_constant, period = _checks.flag("signed_constant", signed_constant), _checks.count("period", period)
    rounds, left = divmod(search.epochs, period)
    if left or not rounds:
        raise ValueError(f"period is {period}: give a divisor of the {search.epochs} epochs of the search")
    frozen = trained_weights(model, parameters)
    for name in frozen:
        if len(access.places(model)[name]) > 1:
            raise ValueError(f"{name!r} is shared by two modules: a weight with a score must have one place")
    counts = kept_by_round(sum(p.numel() for p in frozen.values()), keep, rounds)
    if signed_constant:
        _make_constant(frozen)
    drawn = access.generator(seed)
    scores: Mapping[str, Tensor] = {name: torch.rand(p.shape, generator=drawn) for name, p in frozen.items()}
    road = Road(model, data, resume)
    mask = None
    for k, count in enumerate(counts):
        config = replace(
            search, epochs=period, lr=learning_rate(search, k * period), warmup=0, seed=(search.seed + k) % 2**32,
            **_constant(search),
        )  # fmt: skip
        scores = _search(road, f"search {k}", config, scores, mask)
        mask = cut(scores, count, mask)
        road.cut(mask)
    road.train("fine-tune", fine_tune, mask)
    return road.end("rare gems")


def _constant(config: Config) -> dict[str, Any]:
    """Return what a configuration needs for a constant rate."""
    return {"schedule": "constant", "milestones": ()}


@torch.no_grad()
def _make_constant(weights: Mapping[str, Tensor]) -> None:
    """Replace each layer's weights by their signs times their root mean square (signs of 0 count as +)."""
    for p in weights.values():
        p.copy_(torch.where(p < 0, -1.0, 1.0) * p.square().mean().sqrt())


def _search(
    road: Road, name: str, config: Config, scores: Mapping[str, Tensor], mask: Mask | None
) -> Mapping[str, Tensor]:
    """Train the scores of a twin of the network, and return them; the network takes over the twin's statistics."""
    twin = copy.deepcopy(road.model)  # torch's parametrizations would leave their traces in the network itself
    chosen = _choose(twin, scores)
    there = None if mask is None else {full: mask[own] for own, full in chosen.items()}
    start = _effective(twin, chosen, mask)
    fitted = fit(twin, road.data, config, masks=there, resume=road.checkpoint(name))
    ended = {own: twin.get_parameter(full).detach().cpu().clone() for own, full in chosen.items()}
    end = _effective(twin, chosen, mask)
    road.stages.append(Stage(name, "scores", config, mask, start, end, fitted.history, ended))
    with torch.no_grad():
        road.model.to(next(twin.parameters()).device)
        for own, b in road.model.named_buffers():
            b.copy_(twin.get_buffer(own))
    return ended


def _choose(model: nn.Module, scores: Mapping[str, Tensor]) -> dict[str, str]:
    """Give weights scores to be trained in their place, freeze everything, and return the scores' names by weight."""
    names = {}
    for p in model.parameters():
        p.requires_grad_(False)
    for name, score in scores.items():
        path, _, own = name.rpartition(".")
        owner = model.get_submodule(path)
        parametrize.register_parametrization(owner, own, _Chosen(owner.get_parameter(own), score))
        names[name] = f"{path}.parametrizations.{own}.original".removeprefix(".")
        model.get_parameter(names[name]).requires_grad_(True)
    return names


@torch.no_grad()
def _effective(model: nn.Module, chosen: Mapping[str, str], mask: Mask | None) -> Mapping[str, Tensor]:
    """Return the weights and buffers that the network computes with, under their own names, on the CPU."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    hidden = {full.removesuffix("original") for full in chosen.values()}
    state = {name: t.clone() for name, t in named.items() if not any(name.startswith(h) for h in hidden)}
    for own in chosen:
        path, _, attribute = own.rpartition(".")
        weight = getattr(model.get_submodule(path), attribute).clone()
        state[own] = weight if mask is None else weight.masked_fill(~mask[own].to(weight.device), 0.0)
    return on_cpu(state)


class _Chosen(nn.Module):
    """The parametrization weight = frozen · round(score), the score being what is trained."""

    frozen: Tensor

    def __init__(self, frozen: Tensor, scores: Tensor) -> None:
        super().__init__()
        self.register_buffer("frozen", frozen.detach().clone())
        self.first: Tensor | None = scores.to(frozen, copy=True)  # torch trains it in place

    def forward(self, score: Tensor) -> Tensor:
        """Return the weights whose score is above a half; while training, scores are first put back into [0, 1]."""
        if self.training:
            with torch.no_grad():
                score.clamp_(0.0, 1.0)
        return self.frozen * _Rounded.apply(score)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the first scores, which torch stores in the weight's place."""
        assert self.first is not None
        first, self.first = self.first, None
        return first


class _Rounded(torch.autograd.Function):
    """Rounding whose derivative is taken to be 1."""

    @staticmethod
    def forward(ctx: Any, score: Tensor) -> Tensor:
        """Return 1 above a half, else 0."""
        return (score > 0.5).to(score.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient as it came."""
        return gradient
