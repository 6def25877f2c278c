"""Masks: which weights of a network are kept.

A `Mask` is a mapping from parameter names to bool tensors, True where the weight is kept. It is made from scores with
an exact count (`Mask.from_scores`), applied once (`apply_`) or held through training (`attach`, made permanent by
`bake`), and written to a file. `train_prune_retrain` is the usual road with its three rewindings;
`optimal_brain_surgeon` is the stronger baseline for small networks. Scores are in `prunekit.scores`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from prunekit import _checks, _mask_files, _networks
from prunekit._networks import Names
from prunekit.scores import prunable

Scores = Mapping[str, Tensor]
Keep = int | float
State = Mapping[str, Tensor]
Rewind = Literal["trained", "initial", "fresh"]


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
        """
        flat = _flat_scores(scores)
        if scope == "global":
            if isinstance(keep, Mapping):
                raise TypeError("keep is a mapping: give one count or fraction, or scope='layer'")
            everything = torch.cat(list(flat.values()))
            kept = _largest(everything, _count("keep", keep, everything.numel()))
            parts = dict(zip(flat, kept.split([part.numel() for part in flat.values()]), strict=True))
        elif scope == "layer":
            counts = _counts(keep, flat)
            parts = {name: _largest(part, counts[name]) for name, part in flat.items()}
        else:
            raise ValueError(f"scope is {scope!r}: give 'global' or 'layer'")
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
        """
        for name, p in self._covered(model).items():
            p.masked_fill_(~self.tensors[name].to(p.device), 0.0)

    def attach(self, model: nn.Module) -> None:
        """Hold the removed weights at 0, whatever an optimizer does, until `bake`.

        The model's weights become torch parametrizations: for an optimizer made before or after, a removed weight
        has no gradient, and in every forward pass it is 0. Copies and state dicts of the model carry the mask.

        Raises
        ------
        TypeError, ValueError
            As for `apply_`; and if a parameter is shared by two modules or parametrized already.
        """
        places = {name: _owner(model, name) for name in self._covered(model)}
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

    def _covered(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the parameters the mask covers, refusing a model it does not fit."""
        found = {}
        for name, kept in self.tensors.items():
            members = _networks.parameters(model, name)
            if name not in members:
                raise ValueError(f"{name!r} is a module of the model: give masks of parameters, {', '.join(members)}")
            _same_shape(f"the mask of {name!r}", kept, members[name])
            found[name] = members[name]
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mask, all at once or not at all.

        Parameters
        ----------
        path : path
            Ends in .safetensors (bool tensors; the order of the parameters in the metadata) or in .json (shapes and
            flat positions of what is kept, to be read without any library).

        Raises
        ------
        ValueError
            If the path ends otherwise.
        """
        target = Path(path)
        content = _mask_files.encode(target, self.tensors)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            draft.write_bytes(content)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

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
        return cls(_mask_files.decode(Path(path)))


def _flat_scores(scores: Scores) -> dict[str, Tensor]:
    """Return scores as flat vectors on the CPU, in a precision that keeps their order."""
    if not isinstance(scores, Mapping) or not scores:
        raise TypeError(f"scores is {type(scores).__name__} without entries: give tensors by parameter name")
    for name, part in scores.items():
        if not isinstance(part, Tensor) or part.is_complex():
            raise TypeError(f"scores[{name!r}] is {getattr(part, 'dtype', type(part))}: give a tensor of real numbers")
        if bool(torch.isnan(part).any()):
            raise ValueError(f"scores[{name!r}] holds NaN: give numbers that can be ranked")
    return {name: part.detach().cpu().double().flatten() for name, part in scores.items()}


def _largest(flat: Tensor, count: int) -> Tensor:
    """Return a bool vector that is True at the `count` largest entries; among equal ones the lowest index."""
    order = torch.argsort(flat, descending=True, stable=True)
    kept = torch.zeros(flat.numel(), dtype=torch.bool)
    kept[order[:count]] = True
    return kept


def _count(name: str, keep: Any, total: int) -> int:
    """Return the count of weights that a count or fraction of `total` keeps."""
    if not isinstance(keep, float | np.floating):
        return _checks.count(name, keep, 1, total, high_is="the number of weights")
    if not 0 < keep <= 1:
        raise ValueError(f"{name} is {keep}: give a fraction above 0 and of at most 1, or a count")
    found = round(float(keep) * total)
    if found == 0:
        raise ValueError(f"{name} is {keep}, which keeps none of {total} weights: give at least {1 / total:.3g}")
    return found


def _counts(keep: Any, flat: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the count of weights kept of each parameter."""
    if not isinstance(keep, Mapping):
        return {name: _count(f"keep in {name!r}", keep, part.numel()) for name, part in flat.items()}
    if set(keep) != set(flat):
        raise ValueError(f"keep has entries for {', '.join(map(str, keep))}: give one for each of {', '.join(flat)}")
    return {name: _count(f"keep[{name!r}]", keep[name], part.numel()) for name, part in flat.items()}


def _same_shape(name: str, found: Tensor, like: Tensor) -> None:
    """Refuse a mask of another shape."""
    if found.shape != like.shape:
        raise ValueError(f"{name} has shape {tuple(found.shape)}: give one of shape {tuple(like.shape)}")


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
    (_, owner, own_name), *others = _networks.places(model)[name]
    if others:
        other = f"{others[0][0]}.{others[0][2]}"
        raise ValueError(f"{name!r} is shared with {other!r}: attach would hold only one of them, use apply_")
    return owner, own_name


def _carrier(model: nn.Module, name: str, kept: Tensor) -> tuple[nn.Module, str, tuple[str, ...]]:
    """Return the module where a mask is attached, the weight's name there, and the order of parameters before."""
    path, _, own_name = name.rpartition(".")
    try:
        owner = _networks.module(model).get_submodule(path)
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


@dataclass(frozen=True, eq=False)
class Surgery:
    """What optimal brain surgery leaves.

    Attributes
    ----------
    weights : mapping from name to tensor
        Zeros where removed; the kept ones re-optimized in the quadratic model.
    mask : Mask
        What is kept.
    cost : float
        What the quadratic model says the loss has risen by: (w - w₀)ᵀ H (w - w₀) / 2, the damping included in H.
    """

    weights: State
    mask: Mask
    cost: float

    def apply_(self, model: nn.Module) -> None:
        """Put the weights into the model.

        Raises
        ------
        TypeError, ValueError
            If the model lacks a parameter, or has it in another shape.
        """
        for name, p in self.mask._covered(model).items():
            p.copy_(self.weights[name])


def optimal_brain_surgeon(
    model: nn.Module, hessian: Tensor, keep: Keep, *, damping: float = 0.0, parameters: Names | None = None
) -> Surgery:
    """Remove weights one at a time, each the cheapest, re-optimizing the others in the quadratic model each time.

    The next to go has the least saliency w_q² / (2 [H⁻¹]_qq); the others move by -w_q [H⁻¹]_:q / [H⁻¹]_qq, and H⁻¹
    becomes the inverse for the weights still there. The loss is taken to be stationary at the model's weights, and
    parameters that are not covered stay as they are. Takes (p - kept) p² steps: for small networks.

    Parameters
    ----------
    model : Module
        The trained network; it is not changed (see `Surgery.apply_`).
    hessian : (p, p) tensor
        Symmetric; in the order of the covered parameters, each flattened, as `importance.hessian_matrix` gives it
        for the same `parameters`.
    keep : int or float
        Count or fraction of the covered weights, as for `Mask.from_scores`.
    damping : float
        Added to the Hessian's diagonal, so that it is positive definite.
    parameters : names, optional
        What is covered; by default as for `scores.prunable`.

    Returns
    -------
    Surgery
        Weights, mask and cost. Of equal saliencies the last goes, so that the lowest index is kept.

    Raises
    ------
    TypeError, ValueError
        If the Hessian has another size, is asymmetric, or is not positive definite with the damping.

    Notes
    -----
    Source: Hassibi and Stork (1993); named in li, Section 1, and chang, Section 2.
    """
    theta = prunable(model, parameters)
    w = torch.cat([p.double().flatten() for p in theta.values()])
    s = _count("keep", keep, w.numel())
    inverse = _inverse(hessian, w, _checks.scalar("damping", damping))
    alive = torch.ones_like(w, dtype=torch.bool)
    cost = 0.0
    for _ in range(w.numel() - s):
        saliency = torch.where(alive, w.square() / torch.where(alive, inverse.diagonal(), 1.0), torch.inf)
        q = w.numel() - 1 - int(torch.argmin(saliency.flip(0)))
        cost += float(saliency[q]) / 2
        column = inverse[:, q] / inverse[q, q]
        w -= w[q] * column
        inverse.addr_(column, inverse[q].clone(), alpha=-1.0)
        alive[q], w[q] = False, 0.0
        inverse[q], inverse[:, q] = 0.0, 0.0  # exactly, not but for rounding
    sizes = [p.numel() for p in theta.values()]
    pieces = zip(theta.items(), torch.where(alive, w, 0.0).split(sizes), alive.split(sizes), strict=True)
    shaped = {name: (part.view(p.shape).to(p), kept.view(p.shape)) for (name, p), part, kept in pieces}
    return Surgery({n: part for n, (part, _) in shaped.items()}, Mask({n: k for n, (_, k) in shaped.items()}), cost)


def _inverse(hessian: Tensor, w: Tensor, damping: float) -> Tensor:
    """Return the inverse of the damped Hessian (p, p), refusing one that is not positive definite."""
    p = w.numel()
    if not isinstance(hessian, Tensor) or hessian.shape != (p, p):
        what = tuple(hessian.shape) if isinstance(hessian, Tensor) else type(hessian).__name__
        raise ValueError(f"hessian is {what}: give a tensor of shape ({p}, {p}), a row for each covered weight")
    matrix = hessian.detach().to(w)
    scale = float(matrix.abs().max())
    if not np.isfinite(scale) or float((matrix - matrix.T).abs().max()) > 1e-6 * scale:
        raise ValueError("hessian is asymmetric or not finite: give (H + H.T) / 2, if that is meant")
    damped = (matrix + matrix.T) / 2 + damping * torch.eye(p, dtype=w.dtype, device=w.device)
    eigenvalues = torch.linalg.eigvalsh(damped)
    if float(eigenvalues[0]) <= p * torch.finfo(w.dtype).eps * float(eigenvalues[-1]):
        raise ValueError(
            f"hessian is not positive definite (least eigenvalue {float(eigenvalues[0]):.3g} with the damping): "
            f"give a damping of more than {damping - float(eigenvalues[0]):.3g}"
        )
    return torch.cholesky_inverse(torch.linalg.cholesky(damped))


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
        Before and after the first training.
    start, retrained : mapping from name to tensor
        Before and after retraining, both with zeros where removed.
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
        At its initialization; changed in place.
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
    if rewind not in ("trained", "initial", "fresh"):
        raise ValueError(f"rewind is {rewind!r}: give 'trained', 'initial' or 'fresh'")
    redraw = initialize or _reset
    if rewind == "fresh" and initialize is None:
        _refuse_unresettable(model)
    first, draw, second = np.random.SeedSequence(_checks.count("seed", seed, 0)).spawn(3)
    initial = _state(model)
    with _seeded(first):
        train(model, None)
    trained = _state(model)
    mask = Mask.from_scores(score(model), keep, scope)
    if rewind == "initial":
        _restore(model, initial)
    elif rewind == "fresh":
        with _seeded(draw):
            redraw(model)
    mask.apply_(model)
    start = _state(model)
    mask.attach(model)
    try:
        with _seeded(second):
            train(model, mask)
    finally:
        mask.bake(model)
    return Retrained(mask, rewind, initial, trained, start, _state(model))


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of all parameters and buffers, by name."""
    found = {**dict(_networks.module(model).named_parameters()), **dict(model.named_buffers())}
    return {name: t.detach().clone() for name, t in found.items()}


def _restore(model: nn.Module, state: State) -> None:
    """Put copies back in place, so that the parameters stay the same objects."""
    with torch.no_grad():
        for name, t in {**dict(model.named_parameters()), **dict(model.named_buffers())}.items():
            t.copy_(state[name])


def _reset(model: nn.Module) -> None:
    """Draw every module's parameters anew, as its class does."""
    for part in model.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()  # type: ignore[operator]


def _refuse_unresettable(model: nn.Module) -> None:
    """Refuse a module that owns parameters and has no reset_parameters: it would keep its old weights."""
    for name, part in _networks.module(model).named_modules():
        if dict(part.named_parameters(recurse=False)) and not hasattr(part, "reset_parameters"):
            raise ValueError(f"module {name!r} has no reset_parameters: give initialize, which draws new weights")


@contextmanager
def _seeded(seed: np.random.SeedSequence) -> Iterator[None]:
    """Seed torch's global generator, and put it back as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        yield
