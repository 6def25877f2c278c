"""Train, prune, retrain: from the trained point, from the initialization, or from a fresh draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from prunekit import _checks
from prunekit.masks.mask import Keep, Mask, Scores
from prunekit.nets import access
from prunekit.nets.access import State

Rewind = Literal["trained", "initial", "fresh"]


@dataclass(frozen=True, eq=False)
class Retrained:
    """Where a network's weights and buffers stood, by name, along the road of `train_prune_retrain`.

    Attributes
    ----------
    mask : Mask
        What was kept.
    rewind : str
        Where retraining began from.
    initial, trained : mapping from name to tensor
        The state before and after the first training.
    start, retrained : mapping from name to tensor
        The state before and after retraining, both with zeros where weights were removed.
    """

    mask: Mask
    rewind: Rewind
    initial: State
    trained: State
    start: State
    retrained: State


def train_prune_retrain(
    model: nn.Module,
    train: Callable[[nn.Module, Mask | None], None],
    score: Callable[[nn.Module], Scores],
    keep: Keep | Mapping[str, Keep],
    *,
    scope: Literal["global", "layer"] = "global",
    rewind: Rewind = "trained",
    initialize: Callable[[nn.Module], None] | None = None,
    seed: int = 0,
) -> Retrained:
    """Train a network, prune it by a score, and train what is left; the model ends as the retrained one.

    Parameters
    ----------
    model : Module
        The network at its initialization; it is changed in place.
    train : callable
        (model, mask) -> None trains in place; first with None, then with the mask attached to the model.
    score : callable
        model -> scores by parameter name, of the trained model; `scores.magnitude`, for example.
    keep, scope
        As for `Mask.from_scores`.
    rewind : str
        Where retraining begins: "trained", where training ended; "initial", where it began (the lottery ticket);
        "fresh", at a new draw.
    initialize : callable, optional
        model -> None draws new weights from torch's global generator, for "fresh"; by default every module's own
        `reset_parameters`.
    seed : int
        torch's global generator is seeded from it for each training and the new draw, and left as it was found.

    Returns
    -------
    Retrained
        The mask, and copies of the weights at the four stages.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or a module with parameters cannot reset them.

    Notes
    -----
    Source: li, Section 4 and Figure 3, which retrains from initialization; Frankle and Carbin (2019).
    """
    _checks.choice("rewind", rewind, ("trained", "initial", "fresh"))
    _checks.choice("scope", scope, ("global", "layer"))
    for name, given in (
        ("train", train),
        ("score", score),
        *([] if initialize is None else [("initialize", initialize)]),
    ):
        _checks.function(name, given)
    redraw = initialize or _reset
    if rewind == "fresh" and initialize is None:
        _refuse_unresettable(model)
    first, draw, second = np.random.SeedSequence(_checks.count("seed", seed, 0)).spawn(3)
    initial = access.state(model)
    with _seeded(first):
        train(model, None)
    trained = access.state(model)
    mask = Mask.from_scores(_scored(score(model)), keep, scope)
    if rewind == "initial":
        access.restore(model, initial)
    elif rewind == "fresh":
        with _seeded(draw):
            redraw(model)
    mask.apply_(model)
    start = access.state(model)
    mask.attach(model)
    try:
        with _seeded(second):
            train(model, mask)
    finally:
        mask.bake(model)
    return Retrained(mask, rewind, initial, trained, start, access.state(model))


def _scored(answer: Any) -> Scores:
    """Return what `score` returned, refusing what is no mapping of scores."""
    return _checks.instance("what score returns", answer, Mapping, "tensors by parameter name")


def _reset(model: nn.Module) -> None:
    """Draw every module's parameters anew, as its class does."""
    for part in model.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()  # type: ignore[operator]


def _refuse_unresettable(model: nn.Module) -> None:
    """Refuse a module that owns parameters and has no reset_parameters: it would keep its old weights."""
    for name, part in access.module(model).named_modules():
        if dict(part.named_parameters(recurse=False)) and not hasattr(part, "reset_parameters"):
            raise ValueError(f"module {name!r} has no reset_parameters: give initialize, which draws new weights")


@contextmanager
def _seeded(seed: np.random.SeedSequence) -> Iterator[None]:
    """Seed torch's global generator, and put it back as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        yield
