"""Where trainings and spectra keep their state unasked, so that a long run that is killed goes on where it was.

`prunekit record run` names a folder in the environment of a run's kernel. Every training and every spectrum that has no
file of its own then keeps one there, named after all that decides its result, writes it about once a minute and at its
end, and goes on from it when the same one is asked for again. The folder is in the environment and no parameter, since
a parameter is in a run's key: with or without the folder the numbers are the same. When the run's time is over,
the state is written once more and `OutOfTime` is raised.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from prunekit.nets.engine import Engine

FOLDER = "PRUNEKIT_CHECKPOINTS"  # the folder; without it nothing is kept unasked
STOP_AT = "PRUNEKIT_STOP_AT"  # when the run has to stop, in seconds since 1970
EVERY = "PRUNEKIT_CHECKPOINT_SECONDS"  # seconds between two states of one training or spectrum
_EVERY = 60.0


class OutOfTime(RuntimeError):
    """The time that a run was given is over; what it has computed is kept, and the same run goes on from there."""


def folder() -> Path | None:
    """Return the folder for states that nobody asked for, None where there is none.

    Raises
    ------
    ValueError
        If the environment names a folder by a relative path, which a kernel's own folder would change.
    """
    given = os.environ.get(FOLDER)
    if given and not Path(given).is_absolute():
        raise ValueError(f"{FOLDER} is {given!r}: give an absolute path")
    return Path(given) if given else None


def path(what: str, identity: Mapping[str, Any]) -> Path | None:
    """Return the file of a training or a spectrum in the folder, named after what it is; None without a folder."""
    root = folder()
    words = json.dumps([what, identity], sort_keys=True, default=str)
    return root / f"{what}-{hashlib.sha256(words.encode()).hexdigest()[:24]}" if root else None


class Turn:
    """Says when the next state is to be written."""

    def __init__(self) -> None:
        self._every = _number(EVERY, _EVERY)
        self._end = _number(STOP_AT, math.inf)
        self._last = time.monotonic()

    @property
    def _over(self) -> bool:
        return time.time() >= self._end

    def due(self) -> bool:
        """Tell whether a state has to be written now."""
        return time.monotonic() - self._last >= self._every or self._over

    def written(self) -> None:
        """Begin to wait for the next one.

        Raises
        ------
        OutOfTime
            If the run's time is over.
        """
        self._last = time.monotonic()
        if self._over:
            raise OutOfTime("the time of this run is over: its state is kept, and the same run goes on from there")


def _number(name: str, default: float) -> float:
    """Return a number of seconds from the environment."""
    given = os.environ.get(name, "")
    try:
        value = float(given or default)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise ValueError(f"{name} is {given!r}: give seconds, 0 or more")
    return value


@dataclass
class Place:
    """Where in an epoch a training is.

    Attributes
    ----------
    before : dict
        Copies of all that a step changes but the optimizer's slots, from the beginning of the epoch.
    drawn : list of tensors
        The generators' states before the epoch was drawn.
    done : int
        Batches that are done.
    total, right : tensors, optional
        Sums of losses and of right answers over them.
    chance : list of tensors
        The states of torch's own generators, the CPU's and the GPU's; empty at the beginning of an epoch.
    """

    before: dict[str, Tensor]
    drawn: list[Tensor]
    done: int = 0
    total: Tensor | None = None
    right: Tensor | None = None
    chance: tuple[Tensor, ...] = ()

    def tensors(self, device: torch.device) -> dict[str, Tensor]:
        """Return what a file keeps of it, with the states of torch's generators as they are now."""
        assert self.total is not None and self.right is not None  # it is only asked after a batch
        sums = {"place.total": self.total, "place.right": self.right, "place.done": torch.tensor(self.done)}
        states = {f"place.chance.{k}": state for k, state in enumerate(_chances(device))}
        return sums | states | {f"place.before/{name}": t for name, t in self.before.items()}

    @staticmethod
    def of(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor], drawn: list[Tensor]) -> Place | None:
        """Return the place that a file has, its copies laid out in memory as `like`; None between two epochs."""
        if "place.done" not in tensors:
            return None
        before = {name: t.clone().copy_(tensors[f"place.before/{name}"]) for name, t in like.items()}
        device = next(iter(like.values())).device
        total, right = (tensors[f"place.{name}"].to(device) for name in ("total", "right"))
        chance = tuple(tensors[name] for name in sorted(tensors) if name.startswith("place.chance."))
        return Place(before, drawn, int(tensors["place.done"]), total, right, chance)


def _chances(device: torch.device) -> list[Tensor]:
    """Return the states of torch's own generators."""
    own = [torch.default_generator.get_state()]
    return [*own, torch.cuda.get_rng_state(device)] if device.type == "cuda" else own


@contextlib.contextmanager
def own_chance(seed: int, device: torch.device, chance: tuple[Tensor, ...] = ()) -> Iterator[None]:
    """Make random layers such as dropout depend on a seed, or go on from states; leave the global generators alone."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every CUDA device there is
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        for state, of_cpu in zip(chance, (True, False), strict=False):
            if of_cpu:
                torch.default_generator.set_state(state)
            elif devices:
                torch.cuda.set_rng_state(state, device)
        yield


def groups(engine: Engine) -> dict[str, dict[str, Tensor]]:
    """Return all tensors that make up an engine's state, by group; writing into them changes the state."""
    learner = engine.learner
    return {"weight": learner.weights, "rest": learner.rest} | {f"slot.{k}": v for k, v in engine.slots.items()}


def state(engine: Engine) -> dict[str, Tensor]:
    """Return what a file keeps of an engine, between two epochs or inside one."""
    tensors = {f"{group}/{name}": t for group, named in groups(engine).items() for name, t in named.items()}
    drawn = engine.place.drawn if engine.place else [g.get_state() for g in engine.generators]
    tensors |= {_generator(k): t for k, t in enumerate(drawn)}
    return tensors | (engine.place.tensors(engine.data.device) if engine.place else {})


@torch.no_grad()
def take_up(engine: Engine, tensors: Mapping[str, Tensor]) -> None:
    """Bring an engine to where a file has it, but for its numbers of epochs and steps and its history."""
    for group, named in groups(engine).items():
        for name, t in named.items():
            t.copy_(tensors[f"{group}/{name}"])
    drawn = [tensors[_generator(k)] for k in range(len(engine.generators))]
    for generator, each in zip(engine.generators, drawn, strict=True):
        generator.set_state(each)
    engine.place = Place.of(tensors, engine.learner.weights | engine.learner.rest, drawn)


def _generator(k: int) -> str:
    return f"generator.{k}" if k else "generator"
