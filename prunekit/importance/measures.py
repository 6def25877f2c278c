"""The three importances of a set of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit.curvature.entries import Diagonal
from prunekit.nets import access, door
from prunekit.nets.access import Data, Loss, Where
from prunekit.nets.losses import Mean


def natural(
    model: nn.Module,
    loss: Loss,
    data: Data,
    where: Where = None,
    *,
    reference: float | Mapping[str, Tensor] = 0.0,
) -> float:
    """Return L(θ with Δ put back to the reference) - L(θ), the natural importance of the weights in Δ.

    Parameters
    ----------
    model : Module
        The network at θ.
    loss : callable
        (outputs, labels) -> mean over the samples; it need not be differentiable (the error rate will do). The
        weighted mean of torch's cross-entropy (class weights, ignored labels) is understood.
    data : (inputs, labels) or an iterable of them
        The data, which are read once.
    where : names, mapping, positions or None
        Δ: names of parameters or modules, bool tensors or flat positions by parameter name (a `Mask` marks what
        it keeps; what it removed is ~mask), flat positions in the vector of all parameters, None for all.
    reference : number or mapping of tensors
        0 for pruning; the weights at initialization (a state dict will do) for init-pruning.

    Returns
    -------
    float
        The change, in units of the loss; it is negative where the reference is better.

    Raises
    ------
    TypeError, ValueError
        If Δ or the reference does not fit the model, or the data are no batches.
    FloatingPointError
        If a loss is not finite.

    Notes
    -----
    Source: li, Definition 2.1.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> layer.weight.data = torch.tensor([[3.0, 1.0]])
    >>> data = torch.eye(2), torch.tensor([[3.0], [1.0]])  # the layer fits them exactly
    >>> natural(layer, torch.nn.functional.mse_loss, data, {"weight": torch.tensor([[True, False]])})  # 3²/2
    4.5
    """
    model, data, loss = door.opened(model, data, loss)
    regions = access.regions(model, where)
    theta = access.parameters(model)
    changed = {
        name: torch.where(region, _reference(reference, name, theta[name]), theta[name])
        for name, region in regions.items()
    }
    mean = Mean(loss, next(iter(theta.values())))
    total, samples = 0.0, 0.0
    with torch.no_grad(), access.evaluating(model):
        for inputs, labels, weight in mean.batches(data, access.device(theta)):
            with access.taking(inputs):
                outputs = model(*inputs)
            before = mean(outputs, labels).item()
            mean.check(outputs, labels)
            total += weight * (mean(access.call(model, changed, inputs), labels).item() - before)
            samples += weight
    return total / samples


def _reference(reference: float | Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    """Return what a parameter is put back to, in its shape."""
    if not isinstance(reference, Mapping):
        if isinstance(reference, bool) or not isinstance(reference, int | float):
            raise TypeError(f"reference is a {type(reference).__name__}: give 0 or tensors by parameter name")
        value = _checks.real("reference", reference)
        if abs(value) > torch.finfo(like.dtype).max:
            raise FloatingPointError(f"reference is {value}, beyond the range of {like.dtype}: give less")
        return torch.full_like(like, value)
    if name not in reference:
        raise ValueError(f"reference lacks {name!r}: give a tensor for each parameter in where")
    given = reference[name]
    if not isinstance(given, Tensor) or given.shape != like.shape:
        what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ValueError(f"reference[{name!r}] is {what}: give a tensor of shape {tuple(like.shape)}")
    return access.tensor(f"reference[{name!r}]", given).detach().to(like)


def magnitude(model: nn.Module, where: Where = None) -> float:
    """Return Σ θ_i² over Δ, the magnitude importance, summed in double precision.

    Parameters
    ----------
    model : Module
        The network at θ.
    where : names, mapping, positions or None
        Δ, as for `natural`.

    Raises
    ------
    TypeError, ValueError
        If Δ does not fit the model.
    FloatingPointError
        If a weight in Δ is not finite.

    Notes
    -----
    Source: li, Definition 2.2, equation (2.1).

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
    >>> magnitude(layer, ["weight"])
    25.0
    """
    theta = access.parameters(model)
    regions = access.regions(model, where)
    total = sum(float(theta[name].double()[region].square().sum()) for name, region in regions.items())
    return _finite("magnitude importance", total)


def hessian(model: nn.Module, diagonal: Diagonal | Mapping[str, Tensor], where: Where = None) -> float:
    """Return Σ H_ii θ_i² over Δ, the Hessian importance.

    Parameters
    ----------
    model : Module
        The network at θ.
    diagonal : Diagonal or mapping from name to tensor
        H_ii of every parameter in Δ.
    where : names, mapping, positions or None
        Δ, as for `natural`; None is every parameter the diagonal has.

    Raises
    ------
    TypeError, ValueError
        If Δ or the diagonal does not fit the model.
    FloatingPointError
        If a weight or entry in Δ is not finite.

    Notes
    -----
    It has no factor 1/2, unlike optimal brain damage. Source: li, Definition 2.2, equation (2.1).

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
    >>> hessian(layer, {"weight": torch.tensor([[2.0, 1.0]])})  # 2 · 3² + 4²
    34.0
    """
    weighed = _saliencies(model, diagonal)
    regions = access.regions(model, list(weighed) if where is None else where)
    missing = [name for name, region in regions.items() if name not in weighed and bool(region.any())]
    if missing:
        raise ValueError(f"diagonal lacks {missing[0]!r}: give it for each parameter in where")
    total = sum(float(weighed[name][region].sum()) for name, region in regions.items() if name in weighed)
    return _finite("Hessian importance", total)


def _finite(name: str, value: float) -> float:
    """Return an importance, refusing one that is no finite number."""
    if not math.isfinite(value):
        raise FloatingPointError(f"{name} is {value}: give a model of finite weights and a finite diagonal")
    return value


def saliencies(model: nn.Module, diagonal: Diagonal | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return H_ii θ_i² of each weight, by parameter name, in double precision.

    Parameters
    ----------
    model : Module
        The network at θ.
    diagonal : Diagonal or mapping from name to tensor
        H_ii, of some or all parameters.

    Raises
    ------
    TypeError, ValueError
        If `diagonal` is no diagonal, or does not fit the model.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
    >>> saliencies(layer, {"weight": torch.tensor([[2.0, 1.0]])})["weight"]
    tensor([[18., 16.]], dtype=torch.float64)
    """
    terms = _saliencies(model, diagonal)
    if not all(bool(torch.isfinite(t).all()) for t in terms.values()):
        raise FloatingPointError("a saliency is not finite: give finite weights in model and a finite diagonal")
    return terms


def _saliencies(model: nn.Module, diagonal: Diagonal | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what `saliencies` does, finite or not."""
    values = diagonal.values if isinstance(diagonal, Diagonal) else diagonal
    if not isinstance(values, Mapping):
        raise TypeError(f"diagonal is a {type(diagonal).__name__}: give a Diagonal or tensors by parameter name")
    theta = access.parameters(model, list(values), called="diagonal")
    for name, given in values.items():
        if name not in theta or not isinstance(given, Tensor) or given.shape != theta[name].shape or given.is_complex():
            raise ValueError(f"diagonal[{name!r}] is none of a parameter: give tensors in the parameters' shapes")
        access.tensor(f"diagonal[{name!r}]", given)
    return {name: values[name].detach().to(p.device).double() * p.double().square() for name, p in theta.items()}
