"""Training a family of networks of one shape at once, as if one by one.

Their tensors are stacked and run through `torch.func.vmap`; each network keeps its own learning rate, penalties,
masks, batch order, history and end. What they share, reading, normalizing and evaluating the same images and the
cost of every call, is paid once. On the CPU large networks go in groups that its cache can hold, the largest one by
one; masked perceptrons without the units that can learn nothing (`prunekit.nets.idle`).
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from prunekit import _checks
from prunekit.nets.arguments import Masks, check_kinds, check_masks, rehearse, structure
from prunekit.nets.config import Config
from prunekit.nets.data import Dataset, dataset, find_device
from prunekit.nets.engine import Engine, Learner, Stack, suiting_chain
from prunekit.nets.idle import trimmed
from prunekit.nets.losses import objective
from prunekit.nets.steps import Named
from prunekit.nets.training import Diverged, Fitted, History, advance_bar, bar, fit

_CACHED = 6 * 2**20  # bytes of weights that a stack on the CPU may have: beyond them memory, not calls, is the limit
_UNFOLDED = 6 * 2**20  # bytes under the kernels of a layer that a stack on the CPU may have, for the same reason
_MAY_DIFFER = ("lr", "l1", "l2", "seed")


def fit_many(
    models: nn.Module | Sequence[nn.Module],
    data: Any,
    configs: Config | Sequence[Config],
    *,
    masks: Masks | Sequence[Masks | None] | None = None,
    progress: bool | None = None,
) -> list[Fitted]:
    """Train several networks of one shape at once; the results are those of `fit`, one by one, up to rounding.

    A single model, configuration or mapping of masks serves all networks; of a single model, copies are trained from
    its weights. Networks that are done leave the family and no longer cost anything. A network that diverges
    does not stop the others: its result says 'diverged'.

    Parameters
    ----------
    models : nn.Module or sequence of them
        Initial states, alike in all but the values of their tensors, of which they share none; those of a sequence
        are trained in place.
    data : Dataset or batches
        What all are trained on, as for `fit`. Where it is no set of images with classes, or its network takes inputs
        by name, the networks are trained one by one.
    configs : Config or sequence of them
        They may differ in `lr`, `l1`, `l2` and `seed`; `compile` and `channels_last` are for `fit` alone.
    masks : mapping, or sequence of mappings or None, optional
        As for `fit`.
    progress : bool, optional
        Whether to show a bar; by default where somebody looks (a terminal, one's own notebook), after five seconds.

    Returns
    -------
    list of Fitted
        The results, in the order given.

    Raises
    ------
    ValueError, TypeError
        For lengths, shapes or configurations that do not go together, dropout, or what `fit` would refuse.
    """
    size = _size(models, configs, masks)
    listed = list(models) if isinstance(models, Sequence) else [_copy(models) for _ in range(size)]
    settings = list(configs) if isinstance(configs, Sequence) else [configs] * size
    several = masks if isinstance(masks, Sequence) else [masks] * size
    data = dataset(data)
    for model, config in zip(listed, settings, strict=True):
        check_kinds(model, data, config)
    _check_configs(settings)
    _check_models(listed)
    if not data.of_images or objective(data) or data.entries:
        return [_alone(*each, data, progress) for each in zip(listed, settings, several, strict=True)]
    device = find_device(settings[0].device)
    on = data.to(device)
    own = [
        check_masks(Learner(m.to(device), settings[0]).weights, {} if e is None else e)
        for m, e in zip(listed, several, strict=True)
    ]
    rehearse(listed[0], on, settings[0])
    stacks = trimmed(listed, own, settings, _CACHED // 4 if device.type == "cpu" else sys.maxsize)
    if stacks is None:
        done: list[Fitted] = []
        for part in _groups(listed[0], size, on, settings[0]):
            done += _train(_engine(listed[part], on, settings[part], own[part]), listed[part], progress)
        return done
    by_place: dict[int, Fitted] = {}
    for stack in stacks:
        small, left = map(list, zip(*(each.part() for each in stack.values()), strict=True))
        results = _train(_engine(small, on, [settings[k] for k in stack], left), small, progress)
        by_place |= {k: stack[k].put_back(each) for k, each in zip(stack, results, strict=True)}
    return [by_place[k] for k in range(size)]


def _alone(model: nn.Module, config: Config, masks: Masks | None, data: Dataset, progress: bool | None) -> Fitted:
    """Train one network by itself; one that diverges is as before the epoch in which it did."""
    try:
        return fit(model, data, config, masks=masks, progress=progress)
    except Diverged as reason:
        return Fitted(model, reason.history, "diverged")


def _engine(models: Sequence[nn.Module], data: Dataset, configs: Sequence[Config], masks: Sequence[Named]) -> Engine:
    """Return what trains a group: a stack, or for a single network what `fit` takes."""
    if len(models) == 1:
        return Engine(Learner(models[0], configs[0], data.shape), data, configs, masks[0])
    stack = Stack(models, configs[0], data.shape)
    return Engine(stack, data, configs, _stack_masks(stack, masks))


def _groups(model: nn.Module, size: int, data: Dataset, config: Config) -> list[slice]:
    """Return which networks share a stack: on the CPU as many as stay in its cache, else all."""
    most = size
    if data.device.type == "cpu":
        weight = sum(p.numel() * p.element_size() for p in model.parameters())
        most = max(1, _CACHED // max(1, weight))
        written = suiting_chain(model, config, data.shape)
        if written:  # it unfolds a batch's images for its products of matrices
            unfolded = 4 * written.unfolded(tuple(data.shape)) * config.batch_size
            most = min(most, max(1, _UNFOLDED // max(1, unfolded)))
    count = -(-size // most)
    return [slice(k * size // count, (k + 1) * size // count) for k in range(count)]


def _train(engine: Engine, models: Sequence[nn.Module], progress: bool | None) -> list[Fitted]:
    """Run a family to its end, taking each network out when it stops."""
    done: dict[int, Fitted] = {}
    alive = list(range(len(models)))
    with bar(engine.config, progress) as shown:
        while alive:
            reasons = engine.advance()
            advance_bar(shown, engine.rows)
            ended = [k for k, reason in enumerate(reasons) if reason is not None]
            if not ended:
                continue
            for k, averaged in zip(ended, _averages(engine, ended, reasons), strict=True):
                _put(engine.learner, k, models[alive[k]])
                history = History(tuple(engine.rows[k]))
                lost = engine.config.average and averaged is None  # if not before, then in the last steps
                reason = "diverged" if lost else str(reasons[k])
                done[alive[k]] = Fitted(models[alive[k]].eval(), history, reason, averaged)
            going = [k for k, reason in enumerate(reasons) if reason is None]
            alive = [alive[k] for k in going]
            engine = engine.select(going) if going else engine
    return [done[k] for k in range(len(models))]


def _averages(engine: Engine, ended: Sequence[int], reasons: Sequence[str | None]) -> list[Named | None]:
    """Return the averaged last iterates of the networks that end now; None where there are none."""
    sound = [k for k in ended if reasons[k] != "diverged"]
    if not engine.config.average or not sound:
        return [None for _ in ended]
    part = engine.select(sound) if engine.learner.stacked else engine
    means = dict(zip(sound, part.tail(), strict=True))
    return [means.get(k) for k in ended]


@torch.no_grad()
def _put(learner: Learner, k: int, model: nn.Module) -> None:
    """Write network k of a stack into its module; a network by itself is there already."""
    if not learner.stacked:
        return
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, t in (learner.weights | learner.rest).items():
        own[name].copy_(t[k])


def _copy(model: Any) -> nn.Module:
    return copy.deepcopy(_checks.instance("models", model, nn.Module, "a torch.nn.Module, or a sequence of them"))


def _size(models: object, configs: object, masks: object) -> int:
    """Return how many networks the arguments speak of."""
    lengths = {
        name: len(value)
        for name, value in (("models", models), ("configs", configs), ("masks", masks))
        if isinstance(value, Sequence)
    }
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise ValueError(f"the sequences have lengths {lengths}: give as many of each, or one for all")
    return next(iter(lengths.values()), 1)


def _check_configs(configs: Sequence[Config]) -> None:
    """Refuse configurations that cannot share a loop."""
    first = asdict(configs[0])
    for other in configs[1:]:
        differing = [k for k, v in asdict(other).items() if v != first[k] and k not in _MAY_DIFFER]
        if differing:
            raise ValueError(f"configs differ in {', '.join(differing)}: they may in {', '.join(_MAY_DIFFER)} only")
    for name in ("compile", "channels_last"):
        if first[name]:
            raise ValueError(f"configs has {name}=True: fit knows it, fit_many does not")


def _check_models(models: Sequence[nn.Module]) -> None:
    """Refuse networks of different shapes, one network given twice, and dropout."""
    if len({id(model) for model in models}) < len(models):
        raise ValueError("models holds a network twice, which would be trained in place twice: give copies")
    _check_apart(models)
    shapes = [
        {name: (tuple(t.shape), t.dtype, t.requires_grad) for name, t in (*m.named_parameters(), *m.named_buffers())}
        for m in models
    ]
    parts = [structure(model) for model in models]
    for what, each in (("parameters", shapes), ("modules", parts)):
        other = next((k for k in range(len(models)) if each[k] != each[0]), None)
        if other is not None:
            raise ValueError(f"models[{other}] has other {what} than models[0]: give networks of one kind and shape")
    for name, module in models[0].named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.momentum is None:
            raise ValueError(f"models have a batch norm with momentum=None ({name}): train them with fit, one by one")
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            raise ValueError(f"models have dropout ({name}): train them with fit, one by one")


def _check_apart(models: Sequence[nn.Module]) -> None:
    """Refuse networks that share a tensor: each would train its own copy, and the last would overwrite the rest."""
    owners: dict[int, int] = {}
    for k, model in enumerate(models):
        for name, t in (*model.named_parameters(), *model.named_buffers()):
            if owners.setdefault(id(t), k) != k:
                raise ValueError(f"models[{k}] shares {name!r} with models[{owners[id(t)]}]: give copies")


def _stack_masks(stack: Stack, masks: Sequence[Named]) -> Named:
    """Return masks (m, …) for all parameters that are masked in any network."""
    names = [name for name in stack.weights if any(name in each for each in masks)]
    whole = {name: torch.ones_like(stack.weights[name][0], dtype=torch.bool) for name in names}
    return {name: stack.laid_out(torch.stack([each.get(name, whole[name]) for each in masks])) for name in names}
