"""A mask: made from scores with an exact count, applied, held through training, saved."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from prunekit import _checks
from prunekit._system import files
from prunekit.masks import formats
from prunekit.nets import access
from prunekit.nets.covered import said

Scores = Mapping[str, Tensor]
Keep = int | float


@dataclass(frozen=True, eq=False, repr=False)
class Mask(Mapping[str, Tensor]):
    """Which weights are kept: bool tensors by parameter name, in the order of the model.

    Attributes
    ----------
    tensors : mapping from name to bool tensor
        Copied to the CPU; what a mask hands out is a copy too, so that it never changes.

    Raises
    ------
    TypeError, ValueError
        If it is no mapping from names to bool tensors, or one is empty.
    """

    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        """Refuse what is no mask, and take a copy."""
        if not isinstance(self.tensors, Mapping):
            raise TypeError(f"tensors is a {type(self.tensors).__name__}: give a mapping from names to bool tensors")
        for name, kept in self.tensors.items():
            if not isinstance(name, str) or not isinstance(kept, Tensor) or kept.dtype != torch.bool:
                what = kept.dtype if isinstance(kept, Tensor) else type(kept).__name__
                raise TypeError(f"tensors[{name!r}] is of type {what}: give a bool tensor by a parameter's name")
            access.tensor(f"tensors[{name!r}]", kept)
            if kept.numel() == 0:
                raise ValueError(f"tensors[{name!r}] has shape {tuple(kept.shape)}: give at least one entry")
        copies = {name: kept.detach().cpu().clone() for name, kept in self.tensors.items()}
        if not copies:
            raise ValueError("tensors is empty: give a bool tensor for at least one parameter")
        object.__setattr__(self, "tensors", copies)

    @classmethod
    def from_scores(
        cls, scores: Scores, keep: Keep | Mapping[str, Keep], scope: Literal["global", "layer"] = "global"
    ) -> Mask:
        """Return the mask that keeps the highest scores, exactly as many as asked; ties go to the lowest index.

        Parameters
        ----------
        scores : mapping from name to tensor
            One number a weight; infinite ones are allowed.
        keep : int or float, or a mapping of them by name
            An int is a count of at least 1; a float in (0, 1] a fraction, rounded to the nearest count, halves to
            even. (1 keeps one weight, 1.0 all.)
        scope : str
            "global" ranks all weights together, in the order of `scores`; "layer" each tensor by itself, and `keep`
            holds for each, or gives each its own.

        Raises
        ------
        TypeError, ValueError
            If a score is NaN or complex, or `keep` is no count or fraction, or keeps nothing.

        Notes
        -----
        Source: li, Definition 2.3; layer-wise: li, Appendix D.

        Examples
        --------
        >>> import torch
        >>> scores = {"first": torch.tensor([5.0, 1.0]), "second": torch.tensor([4.0, 3.0])}
        >>> Mask.from_scores(scores, 2)
        Mask(2 of 4 kept: first 0.5, second 0.5)
        >>> Mask.from_scores(scores, 0.5, scope="layer")["second"]
        tensor([ True, False])
        """
        flat, scope = _flat_scores(scores), _checks.choice("scope", scope, ("global", "layer"))
        if scope == "global":
            if isinstance(keep, Mapping):
                raise TypeError("keep is a mapping: give one count or fraction, or scope='layer'")
            everything = torch.cat(list(flat.values()))
            kept = _largest(everything, count_kept("keep", keep, everything.numel()))
            parts = dict(zip(flat, kept.split([part.numel() for part in flat.values()]), strict=True))
        else:
            counts = _counts(keep, flat)
            parts = {name: _largest(part, counts[name]) for name, part in flat.items()}
        return cls({name: part.view(scores[name].shape) for name, part in parts.items()})

    def __getitem__(self, name: str) -> Tensor:
        """Return a copy of one parameter's bool tensor."""
        return self.tensors[name].clone()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the parameters' names."""
        return iter(self.tensors)

    def __len__(self) -> int:
        """Return the number of parameters covered."""
        return len(self.tensors)

    def __eq__(self, other: object) -> bool:
        """Compare entry by entry; the order of the parameters does not matter."""
        if not isinstance(other, Mask):
            return NotImplemented
        same = set(self) == set(other)
        return same and all(torch.equal(kept, other.tensors[name]) for name, kept in self.tensors.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Say how much is kept, and of which parameters."""
        layers = ", ".join(f"{name} {fraction:.3g}" for name, fraction in self.fractions().items())
        return f"Mask({self.kept} of {self.total} kept: {layers})"

    @property
    def total(self) -> int:
        """Number of weights the mask covers."""
        return sum(kept.numel() for kept in self.tensors.values())

    @property
    def kept(self) -> int:
        """Number of weights kept."""
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        """Return the number of weights kept of each parameter."""
        return {name: int(kept.sum()) for name, kept in self.tensors.items()}

    def fractions(self) -> dict[str, float]:
        """Return the fraction kept of each parameter."""
        return {name: float(kept.double().mean()) for name, kept in self.tensors.items()}

    def __and__(self, other: Mask) -> Mask:
        """Return the mask that keeps what both keep.

        Raises
        ------
        ValueError
            If the other covers other parameters or shapes.
        """
        if not isinstance(other, Mask):
            return NotImplemented
        if set(self) != set(other):
            raise ValueError(f"other covers {', '.join(other)}: give a mask that covers {', '.join(self)}")
        for name, kept in self.tensors.items():
            _same_shape(f"other[{name!r}]", other.tensors[name], kept)
        return Mask({name: kept & other.tensors[name] for name, kept in self.tensors.items()})

    def __invert__(self) -> Mask:
        """Return the mask that keeps what this one removes."""
        return Mask({name: ~kept for name, kept in self.tensors.items()})

    def apply_(self, model: nn.Module) -> None:
        """Set the removed weights to 0, once; an optimizer's next step may move them.

        Raises
        ------
        TypeError, ValueError
            If the mask covers what the model lacks, in name or shape, or the model carries a mask.

        Examples
        --------
        >>> import torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> Mask({"weight": torch.tensor([[True, False]])}).apply_(layer)
        >>> (layer.weight != 0).tolist()
        [[True, False]]
        """
        for name, p in self.covered(model).items():
            p.masked_fill_(~self.tensors[name].to(p.device), 0.0)

    def attach(self, model: nn.Module) -> None:
        """Hold the removed weights at 0, whatever an optimizer does, until `bake`.

        The model's weights become torch parametrizations: for an optimizer made before or after, a removed weight
        has no gradient, and in every forward pass it is 0. Copies and state dicts of the model carry the mask.

        Raises
        ------
        TypeError, ValueError
            In the same cases as `apply_`, and if a parameter is shared by two modules or parametrized already.
        """
        places = {name: _owner(model, name) for name in self.covered(model)}
        orders = {owner: _own_names(owner) for owner, _ in places.values()}
        for name, (owner, own_name) in places.items():
            held = _Held(self.tensors[name], orders[owner])
            parametrize.register_parametrization(owner, own_name, held.to(owner.get_parameter(own_name).device))

    def bake(self, model: nn.Module) -> None:
        """Make an attached mask permanent: plain parameters again, with zeros, in their old order.

        Optimizers keep working, since the parameters are the same objects.

        Raises
        ------
        ValueError
            If the model does not carry this mask.
        """
        places = {name: _carrier(model, name, kept) for name, kept in self.tensors.items()}
        orders = {owner: order for owner, _, order in places.values()}
        for owner in orders:
            _own_class(owner)
        for owner, own_name, _ in places.values():
            parametrize.remove_parametrizations(owner, own_name, leave_parametrized=True)
        for owner, order in orders.items():
            for own_name in order:
                p = owner.get_parameter(own_name)
                delattr(owner, own_name)
                owner.register_parameter(own_name, p)

    def covered(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the parameters the mask covers, refusing a model it does not fit."""
        fitting = {}
        for name, kept in self.tensors.items():
            members = access.parameters(model, name, called="the mask")
            if name not in members:
                raise ValueError(f"{name!r} is a module of the model: give masks of parameters, {', '.join(members)}")
            _same_shape(f"the mask of {name!r}", kept, members[name])
            fitting[name] = members[name]
        return fitting

    def coverage(self, model: nn.Module) -> str:
        """Say which share of a model's parameters the mask covers, and what the others are.

        Raises
        ------
        TypeError, ValueError
            In the same cases as `apply_`.

        Examples
        --------
        >>> import torch
        >>> Mask({"weight": torch.tensor([[True, False]])}).coverage(torch.nn.Linear(2, 1))
        '2 of 3 parameters, 66.7%, not 1 biases'
        """
        return said(model, self.covered(model))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mask, all at once or not at all.

        Parameters
        ----------
        path : path
            A path that ends in .safetensors (bool tensors; the order of the parameters in the metadata) or in .json
            (shapes and flat positions of what is kept, to be read without any library).

        Raises
        ------
        ValueError
            If the path ends otherwise.
        OSError
            If it cannot be written; an older mask is then as it was.
        """
        target = _checks.path("path", path)
        files.write(target, formats.encode(target, self.tensors))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Mask:
        """Read a mask that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is no mask of this library, is damaged, or ends neither in .safetensors nor in .json.
        """
        return cls(formats.decode(_checks.path("path", path)))


def _flat_scores(scores: Scores) -> dict[str, Tensor]:
    """Return scores as flat vectors on the CPU, in double precision (integers beyond 2**53 may tie there)."""
    if not isinstance(scores, Mapping) or not scores:
        raise TypeError(f"scores is {type(scores).__name__} without entries: give tensors by parameter name")
    for name, part in scores.items():
        _checks.text("a name in scores", name)
        access.tensor(f"scores[{name!r}]", part)
        if bool(torch.isnan(part).any()):
            raise ValueError(f"scores[{name!r}] holds NaN: give numbers that can be ranked")
    return {name: part.detach().cpu().double().flatten() for name, part in scores.items()}


def _largest(flat: Tensor, count: int) -> Tensor:
    """Return a bool vector that is True at the `count` largest entries; among equal ones the lowest index."""
    order = torch.argsort(flat, descending=True, stable=True)
    kept = torch.zeros(flat.numel(), dtype=torch.bool)
    kept[order[:count]] = True
    return kept


def count_kept(name: str, keep: Any, total: int) -> int:
    """Return the count of weights that a count or fraction of `total` keeps."""
    if not isinstance(keep, float | np.floating):
        return _checks.count(name, keep, 1, total, high_is="the number of weights")
    if not 0 < keep <= 1:
        raise ValueError(f"{name} is {keep}: give a fraction above 0 and of at most 1, or a count")
    count = round(float(keep) * total)
    if count == 0:
        raise ValueError(f"{name} is {keep}, which keeps none of {total} weights: give at least {1 / total:.3g}")
    return count


def _counts(keep: Any, flat: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the count of weights kept of each parameter."""
    if not isinstance(keep, Mapping):
        return {name: count_kept(f"keep in {name!r}", keep, part.numel()) for name, part in flat.items()}
    if set(keep) != set(flat):
        raise ValueError(f"keep has entries for {', '.join(map(str, keep))}: give one for each of {', '.join(flat)}")
    return {name: count_kept(f"keep[{name!r}]", keep[name], part.numel()) for name, part in flat.items()}


def _same_shape(name: str, kept: Tensor, like: Tensor) -> None:
    """Refuse a mask of another shape."""
    if kept.shape != like.shape:
        raise ValueError(f"{name} has shape {tuple(kept.shape)}: give one of shape {tuple(like.shape)}")


class _Held(nn.Module):
    """The parametrization that holds removed weights at 0; remembers the order of its module's parameters."""

    kept: Tensor

    def __init__(self, kept: Tensor, order: tuple[str, ...]) -> None:
        super().__init__()
        self.register_buffer("kept", kept.clone())
        self.order = order

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with zeros where it is removed, even where it is not finite."""
        return weight.masked_fill(~self.kept, 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return what is stored for a weight: the same, so that norms of the stored weights are the effective ones."""
        return self.forward(weight)


def _own_names(owner: nn.Module) -> tuple[str, ...]:
    """Return the names of a module's own parameters, in order."""
    return tuple(name for name, _ in owner.named_parameters(recurse=False))


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the module that owns a parameter, and its name there; refuse one that another shares."""
    if "parametrizations" in name.split("."):
        raise ValueError(f"{name!r} is parametrized already: bake or remove that first")
    (_, owner, own_name), *others = access.places(model)[name]
    if others:
        other = f"{others[0][0]}.{others[0][2]}"
        raise ValueError(f"{name!r} is shared with {other!r}: attach would hold only one of them, use apply_")
    return owner, own_name


def _carrier(model: nn.Module, name: str, kept: Tensor) -> tuple[nn.Module, str, tuple[str, ...]]:
    """Return the module where a mask is attached, the weight's name there, and the order of parameters before."""
    path, _, own_name = name.rpartition(".")
    try:
        owner = access.module(model).get_submodule(path)
        held = owner.parametrizations[own_name][0]  # type: ignore[index]
    except (AttributeError, KeyError):
        raise ValueError(f"{name!r} carries no mask: attach one to the model first") from None
    if not isinstance(held, _Held) or not torch.equal(held.kept.cpu(), kept):
        raise ValueError(f"{name!r} carries another mask: bake that one")
    return owner, own_name, held.order


def _own_class(owner: nn.Module) -> None:
    """Give a parametrized module a class of its own.

    torch makes the weight a property of a class made for the module, which its deep copies share: removing the
    parametrization of one would take the weight from the others (torch 2.15).
    """
    shared = type(owner)
    contents = {key: value for key, value in vars(shared).items() if key not in ("__dict__", "__weakref__")}
    owner.__class__ = type(shared.__name__, shared.__bases__, contents)
