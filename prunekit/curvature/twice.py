"""What differentiating a network twice with torch needs: fused routes closed, false layers refused, symmetry tried.

A few of torch's layers have second derivatives that are missing or false (torch 2.15). Attention has them by its
plain formula only. A weight norm over rows has false ones (torch's own gradgradcheck fails there). An embedding's
gradient may be another than the loss's: its padding row gets none, and it may be divided by the words' counts. A
false second derivative shows in a matrix that is not symmetric, as every Hessian is; so symmetry is tried.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_SEED = 20240607
# Relative to the lengths of the products. Rounding leaves about 1e-15 and 1e-6; a false derivative of one layer leaves
# 1e-2 and more.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
_COARSE = 1e-2  # for shorter types, whose rounding alone is 1e-3

FALSE_HESSIAN = (
    "torch's second derivatives of some layer of it, or of the loss, are false (those of fused weight norms are). "
    "Build that layer of elementary operations, take the Gauss-Newton matrix, or a Curvature with "
    "derivatives='finite-differences', which says its error"
)


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Turn differentiation on, and turn fused routes that cannot be differentiated twice off.

    An embedding's `sparse` and `scale_grad_by_freq` are about how it is trained, not about what it computes, so they
    are turned off meanwhile.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    flags = [
        (part, name, getattr(part, name))
        for part in model.modules()
        if isinstance(part, nn.Embedding | nn.EmbeddingBag)
        for name in ("sparse", "scale_grad_by_freq")
    ]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        for part, name, _ in flags:
            setattr(part, name, False)
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, name, value in flags:
            setattr(part, name, value)


def refuse(model: nn.Module, names: Iterable[str], *, hessian: bool = True) -> None:
    """Refuse networks whose derivatives with respect to the named parameters are known to be false.

    Parameters
    ----------
    model : Module
        The network whose layers are looked at.
    names : iterable of str
        Names of the parameters with respect to which derivatives are taken.
    hessian : bool
        Whether second derivatives are wanted, not the Gauss-Newton matrix's first ones.

    Raises
    ------
    ValueError
        If a layer is an embedding with `max_norm`, or, for the Hessian, has a weight norm over rows or columns.
    """
    wanted = set(names)
    for path, part in model.named_modules():
        mine = {f"{path}.{name}".removeprefix(".") for name, _ in part.named_parameters()}
        if not mine & wanted:
            continue
        if isinstance(part, nn.Embedding | nn.EmbeddingBag) and part.max_norm is not None:
            raise ValueError(
                f"model's {path or 'embedding'} has max_norm={part.max_norm}, by which it changes its weights as it "
                "reads them, so that the loss has no derivative: give it without"
            )
        if hessian and _has_weight_norm(part):
            raise ValueError(
                f"model's {path or 'layer'} carries a weight norm, whose second derivatives torch gets wrong (its own "
                "gradgradcheck fails): remove it (torch.nn.utils.parametrize.remove_parametrizations), give dim=None, "
                "name parameters of other layers, or take the Gauss-Newton matrix"
            )


def _has_weight_norm(part: nn.Module) -> bool:
    """Tell whether a layer's weight is normed by torch's fused routine: of either style, over rows or columns."""
    old = [hook for hook in part._forward_pre_hooks.values() if type(hook).__name__ == "WeightNorm"]
    new = []
    if parametrize.is_parametrized(part):
        lists = part.parametrizations.values()  # type: ignore[operator]
        new = [step for steps in lists for step in steps if type(step).__name__ == "_WeightNorm"]
    return any(step.dim != -1 for step in [*old, *new])


def duplicate(model: nn.Module) -> nn.Module:
    """Return a deep copy, also of a model that keeps results of its last call (as weights normed in the old style)."""
    memo: dict[int, object] = {}
    for part in model.modules():
        for value in part.__dict__.values():
            if isinstance(value, Tensor) and value.grad_fn is not None:
                memo[id(value)] = value.detach().clone()
    with torch.inference_mode(False):  # otherwise no derivative could be taken with respect to the copy's parameters
        return copy.deepcopy(model, memo)


def constants(model: nn.Module, theta: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return, by parameter name, which entries are not really parameters: the padding rows of embeddings (bool).

    torch gives such a row no gradient, so that it stays what it is: it counts as a constant, with rows and columns
    of zeros.
    """
    held: dict[str, Tensor] = {}
    names = {id(p): name for name, p in model.named_parameters()}
    for part in model.modules():
        if isinstance(part, nn.Embedding | nn.EmbeddingBag) and part.padding_idx is not None:
            name = names.get(id(part.weight), "")
            if name in theta:
                entries = held.setdefault(name, torch.zeros_like(theta[name], dtype=torch.bool))
                entries[part.padding_idx] = True
    return held


def freed(held: Mapping[str, Tensor], theta: Mapping[str, Tensor]) -> Tensor:
    """Return 1 for every true parameter and 0 for a constant, (D,), in the parameters' order and type."""
    parts = [
        torch.ones_like(p).masked_fill(held[name], 0) if name in held else torch.ones_like(p)
        for name, p in theta.items()
    ]
    return torch.cat([part.detach().flatten() for part in parts])


def asymmetry(product: Callable[[Tensor], Tensor], like: Tensor, dimension: int) -> float:
    """Return |uᵀHv - vᵀHu| over the length of (Hu, Hv), for two Gaussian vectors of a fixed seed.

    For a matrix of independent errors that is their size relative to the entries', whatever the dimension. It is 0
    only if both products are, which tells nothing about a matrix.

    Parameters
    ----------
    product : callable
        (D, 2) tensor -> the products of its columns.
    like : tensor
        A tensor of the type and device that the vectors shall have.
    dimension : int
        Number of rows D.
    """
    draws = torch.randn(dimension, 2, generator=torch.Generator().manual_seed(_SEED), dtype=torch.float64)
    vectors = draws.to(like.device, like.dtype)
    products = product(vectors).double()
    vectors = vectors.double()
    size = float(products.norm())
    gap = abs(float(vectors[:, 0] @ products[:, 1] - vectors[:, 1] @ products[:, 0]))
    return max(gap / size, torch.finfo(torch.float64).tiny) if size else 0.0


def tolerance(dtype: torch.dtype) -> float:
    """Return the asymmetry that rounding may leave."""
    return TOLERANCES.get(dtype, _COARSE)


def check(gap: float, dtype: torch.dtype) -> None:
    """Refuse second derivatives that are asymmetric beyond rounding: ValueError."""
    if gap > 100 * tolerance(dtype):
        raise ValueError(f"model has a Hessian that is asymmetric by {gap:.2g}: {FALSE_HESSIAN}")


def is_lack(reason: Exception) -> bool:
    """Tell whether an error is torch's for a second derivative that it does not have."""
    words = str(reason)
    missing = "is not implemented" in words and "derivative" in words
    return missing or "once_differentiable" in words


@contextmanager
def lacking() -> Iterator[None]:
    """Say in our own words where torch has no second derivative of some layer: NotImplementedError."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as reason:
        if is_lack(reason):
            raise NotImplementedError(
                f"model, or loss, has a layer that torch cannot differentiate twice ({reason}): build it of elementary "
                "operations, take the Gauss-Newton diagonal, or Curvature(derivatives='finite-differences')"
            ) from reason
        raise
