"""Which weights of a network are pruned unless somebody names others, and why each of the others is not.

Pruned are the matrices and kernels by which a network multiplies its inputs: weights of linear and bilinear modules, of
convolutions and transposed convolutions, of attention and recurrent layers, and of the transposed linear layer that the
transformers library calls ``Conv1D``. Biases, normalizations and embeddings are left alone, and so are frozen weights,
unless all are frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from prunekit import _checks

HALF = (torch.bfloat16, torch.float16)
_WEIGHT = ("weight",)
_MULTIPLY: tuple[tuple[type[nn.Module], tuple[str, ...]], ...] = (
    (nn.Linear, _WEIGHT),
    (nn.Bilinear, _WEIGHT),
    (_ConvNd, _WEIGHT),
    (nn.MultiheadAttention, ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")),
    (nn.RNNCellBase, ("weight_ih", "weight_hh")),
)
_NORMALIZE = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


@dataclass(frozen=True)
class Part:
    """One parameter of a network, and whether it is pruned by default.

    Attributes
    ----------
    name : str
        Its name, as `named_parameters` gives it.
    shape : tuple of int
        Its shape.
    reason : str
        Why it is left alone; empty where it is not.
    """

    name: str
    shape: tuple[int, ...]
    reason: str

    @property
    def size(self) -> int:
        """Number of its entries."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def covered(self) -> bool:
        """Whether it is pruned."""
        return not self.reason


@dataclass(frozen=True, repr=False)
class Coverage:
    """Which parameters of a network are pruned by default: `coverage` finds it.

    Attributes
    ----------
    parts : tuple of Part
        Every parameter, in the model's order; tied ones once.
    """

    parts: tuple[Part, ...]

    @property
    def covered(self) -> tuple[Part, ...]:
        """The parameters that are pruned."""
        return tuple(part for part in self.parts if part.covered)

    @property
    def left(self) -> tuple[Part, ...]:
        """The parameters that are left alone."""
        return tuple(part for part in self.parts if not part.covered)

    @property
    def share(self) -> float:
        """Share of the parameters' entries that are pruned, 0 where there are none."""
        total = sum(part.size for part in self.parts)
        return sum(part.size for part in self.covered) / total if total else 0.0

    def __repr__(self) -> str:
        """Say how much is covered, and what is left out for which reason."""
        total, covered = sum(p.size for p in self.parts), sum(p.size for p in self.covered)
        reasons: dict[str, int] = {}
        for part in self.left:
            reasons[part.reason] = reasons.get(part.reason, 0) + part.size
        out = "".join(f"; {size:,} {reason}" for reason, size in reasons.items())
        return f"Coverage({covered:,} of {total:,} parameters, {self.share:.1%}{out})"


def coverage(model: nn.Module) -> Coverage:
    """Return which parameters of a network are pruned by default, and why the others are not.

    Parameters
    ----------
    model : Module
        Any torch module.

    Raises
    ------
    TypeError
        If `model` is no module.

    Examples
    --------
    >>> import torch
    >>> coverage(torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.LSTM(4, 3)))
    Coverage(84 of 144 parameters, 58.3%; 36 embeddings; 24 biases)
    """
    named = dict(_checks.instance("model", model, nn.Module, "a torch.nn.Module").named_parameters())
    first = {id(p): name for name, p in named.items()}
    kinds: dict[str, list[str]] = {name: [] for name in named}
    for part in model.modules():
        for own, p in part.named_parameters(recurse=False, remove_duplicate=False):
            kinds[first[id(p)]].append(_reason(part, own))
    reasons = {name: _first(found) for name, found in kinds.items()}
    candidates = [name for name, reason in reasons.items() if not reason]
    if any(named[name].requires_grad for name in candidates):
        reasons |= {name: "frozen" for name in candidates if not named[name].requires_grad}
    empty = {name: "empty" for name, p in named.items() if not nn.parameter.is_lazy(p) and p.numel() == 0}
    return Coverage(tuple(Part(name, _shape(p), (reasons | empty)[name]) for name, p in named.items()))


def said(model: nn.Module, names: Iterable[str]) -> str:
    """Say which share of a network's parameters some of them are, what the others are, and in which type all was done.

    Parameters
    ----------
    model : Module
        The network.
    names : iterable of str
        Names of the parameters that were looked at.
    """
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    taken = set(names)
    share = sum(sizes[name] for name in taken) / max(sum(sizes.values()), 1)
    left = [part for part in coverage(model).parts if part.name not in taken]
    reasons: dict[str, int] = {}
    for part in left:
        why = part.reason or "not named"
        reasons[why] = reasons.get(why, 0) + part.size
    out = "".join(f", not {size:,} {reason}" for reason, size in reasons.items())
    half = sorted({str(p.dtype).removeprefix("torch.") for p in model.parameters() if p.dtype in HALF})
    precision = f"; computed in float32 from {' and '.join(half)}" if half else ""
    return f"{sum(sizes[n] for n in taken):,} of {sum(sizes.values()):,} parameters, {share:.1%}{out}{precision}"


def _shape(p: nn.Parameter) -> tuple[int, ...]:
    return () if nn.parameter.is_lazy(p) else tuple(p.shape)


def _first(reasons: list[str]) -> str:
    """Return why a parameter is left alone in any of its places: an embedding stays one where a layer shares it."""
    return next((reason for reason in reasons if reason), "")


def _reason(part: nn.Module, own: str) -> str:
    """Return why a parameter of a module is left alone, or nothing."""
    if own in multipliers(part):
        return ""
    if isinstance(part, nn.Embedding | nn.EmbeddingBag):
        return "embeddings"
    if isinstance(part, _NORMALIZE):
        return "normalizations"
    if "bias" in own:
        return "biases"
    return f"of {type(part).__name__}"


def multipliers(part: nn.Module) -> tuple[str, ...]:
    """Return the names, in a module, of the weights by which it multiplies."""
    if isinstance(part, nn.RNNBase):
        return tuple(name for name, _ in part.named_parameters(recurse=False) if name.startswith("weight_"))
    for kind, names in _MULTIPLY:
        if isinstance(part, kind):
            return names
    return _WEIGHT if is_transposed_linear(part) else ()


def is_transposed_linear(part: nn.Module) -> bool:
    """Tell whether a module is a linear layer with its weight as (inputs, outputs), as transformers' ``Conv1D``."""
    weight = getattr(part, "weight", None)
    return type(part).__name__ == "Conv1D" and hasattr(part, "nf") and getattr(weight, "ndim", 0) == 2


def replaced(model: nn.Module) -> str:
    """Say which weight of a multiplying module is computed from others, and what to call first; nothing if none is."""
    for path, part in model.named_modules():
        for own in (name for name in multipliers(part) if getattr(part, name, None) is not None):
            name = f"{path}.{own}".removeprefix(".")
            if f"{own}_orig" in part._parameters:
                return (
                    f"model has {name!r} pruned by torch.nn.utils.prune: call prune.remove(module, {own!r}) first, "
                    "which keeps the zeros"
                )
            if parametrize.is_parametrized(part, own):
                return _parametrized(name, part, own)
            if own not in part._parameters:
                return f"model has {name!r} computed from other parameters: name the parameters to prune"
    return ""


def _parametrized(name: str, part: nn.Module, own: str) -> str:
    kinds = [type(step).__name__ for step in part.parametrizations[own]]  # type: ignore[index]
    if kinds == ["_Held"]:
        return f"model has {name!r} under a mask: bake its mask first"
    return (
        f"model has {name!r} parametrized ({', '.join(kinds)}): call "
        f"torch.nn.utils.parametrize.remove_parametrizations(module, {own!r}) first, or name the parameters to prune"
    )
