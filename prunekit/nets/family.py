"""Training a family of networks of one shape at once, as if one by one.

Their tensors are stacked and run through `torch.func.vmap`; each network keeps its own learning rate, penalties,
masks, batch order, history and end. What they share, reading, normalizing and evaluating the same images and the
cost of every call, is paid once. On the CPU large networks go in groups that its cache can hold, the largest one by
one; masked perceptrons without the units that can learn nothing (`prunekit.nets.idle`).
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from prunekit import _checks
from prunekit.nets import checkpoint, keeping
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
    """Run a family to its end, taking each network out when it stops; from where it was killed, if it keeps a file."""
    family = _Family(engine, models)
    with checkpoint.claimed(family.path), bar(engine.config, progress) as shown:
        family.begin()
        while family.alive:
            reasons = family.engine.advance()
            advance_bar(shown, family.engine.rows)
            family.end({k: reason for k, reason in enumerate(reasons) if reason is not None})
    return [family.done[k] for k in range(len(models))]


class _Family:
    """Networks in training, those that have stopped, and the file of both where one is kept unasked."""

    def __init__(self, engine: Engine, models: Sequence[nn.Module]) -> None:
        self.engine, self.models = engine, models
        self.alive = list(range(len(models)))
        self.done: dict[int, Fitted] = {}
        self.identity = {} if keeping.folder() is None else _identity(engine, models[0])
        self.path = keeping.path("family", self.identity)
        self.turn = keeping.Turn()

    def begin(self) -> None:
        """Take up the file, if there is one."""
        if self.path is None:
            return
        if self.path.exists():
            tensors, record = checkpoint.read(self.path)
            checkpoint.match(self.path, record["identity"], self.identity)
            self._take_up(tensors, record)
        self.engine.pulse = self._pulse

    def end(self, reasons: Mapping[int, str]) -> None:
        """Take out the networks that stop, by their place in the engine, and let the others go on."""
        if not reasons:
            return
        for k, averaged in _averages(self.engine, reasons).items():
            model = self.models[self.alive[k]]
            _put(self.engine.learner, k, model)
            history = History(tuple(self.engine.rows[k]))
            lost = self.engine.config.average and averaged is None  # if not before, then in the last steps
            self.done[self.alive[k]] = Fitted(model.eval(), history, "diverged" if lost else reasons[k], averaged)
        self._go_on([k for k in range(len(self.alive)) if k not in reasons])
        self._save()

    def _go_on(self, going: Sequence[int]) -> None:
        """Go on with some of the networks in the engine."""
        if going and len(going) < len(self.alive):
            self.engine = self.engine.select(going)
        self.alive = [self.alive[k] for k in going]

    def _pulse(self) -> None:
        if self.turn.due():
            self._save()
            self.turn.written()

    def _save(self) -> None:
        """Write the file."""
        if self.path is None:
            return
        tensors = keeping.state(self.engine) if self.alive else {}
        for k, each in self.done.items():
            tensors |= {f"done.{k}/{name}": t for name, t in _named(each.model).items()}
            tensors |= {f"averaged.{k}/{name}": t for name, t in (each.averaged or {}).items()}
        record = {
            "identity": self.identity,
            "alive": self.alive,
            "epoch": self.engine.epoch,
            "taken": self.engine.taken,
            "history": self.engine.rows,
            "done": {k: [each.stopped, each.history.rows] for k, each in self.done.items()},
        }
        checkpoint.write(self.path, tensors, record)

    @torch.no_grad()
    def _take_up(self, tensors: Named, record: dict[str, Any]) -> None:
        """Take up the state of a file of this very family."""
        device = self.engine.data.device
        for k, (stopped, rows) in ((int(k), each) for k, each in record["done"].items()):
            for name, t in _named(self.models[k]).items():
                t.copy_(tensors[f"done.{k}/{name}"])
            start = f"averaged.{k}/"
            means = {name.removeprefix(start): t.to(device) for name, t in tensors.items() if name.startswith(start)}
            self.done[k] = Fitted(self.models[k].eval(), History(tuple(rows)), stopped, means or None)
        self._go_on(record["alive"])
        if self.alive:
            self.engine.rows, self.engine.epoch, self.engine.taken = record["history"], record["epoch"], record["taken"]
            keeping.take_up(self.engine, tensors)


def _identity(engine: Engine, model: nn.Module) -> dict[str, Any]:
    """Return what tells a family from others; it is taken before the first step."""
    return {
        "configs": [asdict(config) for config in engine.configs],
        "data": {"name": engine.data.name, "checksum": engine.data.checksum},
        "initial weights": checkpoint.digest(engine.learner.weights | engine.learner.rest),
        "masks": checkpoint.digest(engine.bits),
        "modules": structure(model),
    }


def _named(model: nn.Module) -> Named:
    return {n: p.detach() for n, p in model.named_parameters()} | dict(model.named_buffers())


def _averages(engine: Engine, reasons: Mapping[int, str]) -> dict[int, Named | None]:
    """Return the averaged last iterates of the networks that end now; None where there are none."""
    sound = [k for k, reason in reasons.items() if reason != "diverged"]
    if not engine.config.average or not sound:
        return dict.fromkeys(reasons)
    part = engine.select(sound) if engine.learner.stacked else engine
    means = dict(zip(sound, part.tail(), strict=True))
    return {k: means.get(k) for k in reasons}


@torch.no_grad()
def _put(learner: Learner, k: int, model: nn.Module) -> None:
    """Write network k of a stack into its module; a network by itself is there already."""
    if not learner.stacked:
        return
    own = _named(model)
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
