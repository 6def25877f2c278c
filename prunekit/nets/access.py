"""What importance, scores and masks ask of a torch module: its parameters by name, parts of them, batches, a seed.

A place in a network is spelled in one of four ways, wherever a function takes `where`: the name of a parameter
("0.weight") or of a module ("0": all its parameters), or several; a mapping from parameter names to bool tensors
of the parameter's shape or to flat positions in it; flat positions in the vector of all parameters; None for
everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from prunekit import _checks
from prunekit._checks import Seed
from prunekit.nets import covered
from prunekit.nets.convolutions import surviving

Batch = tuple[Any, Tensor]
Data = Batch | Iterable[Batch]
Loss = Callable[[Tensor, Tensor], Tensor]
Names = str | Iterable[str]
State = Mapping[str, Tensor]  # parameters and buffers by name
Where = Names | Mapping[str, Any] | Iterable[int] | Tensor | None


def parameters(model: nn.Module, names: Names | None = None, *, called: str = "parameters") -> dict[str, Tensor]:
    """Return parameters by name, detached, in the model's order; `names` may name modules too.

    The tensors share their memory with the model's. `called` is what the caller calls the names.

    Raises
    ------
    TypeError
        If `model` is no module or `names` are no strings.
    ValueError
        If the model has no parameters, or a name is none of it.
    """
    lazy = [name for name, p in module(model).named_parameters() if nn.parameter.is_lazy(p)]
    if lazy:
        raise ValueError(f"model has a lazy parameter {lazy[0]!r}: run it once on a batch, so that it has a shape")
    named = {name: p.detach() for name, p in model.named_parameters()}
    if not named:
        raise ValueError(f"model has no parameters{_quantized(model)}: give a module that has")
    if names is None:
        return named
    wanted = [names] if isinstance(names, str) else _checks.listed(called, names, "names of parameters or modules")
    if not all(isinstance(name, str) for name in wanted):
        raise TypeError(f"{called} holds {_checks.shown(wanted)}: give names of parameters or modules")
    chosen = {member for name in wanted for member in _members(model, name, named, called)}
    if not chosen:
        raise ValueError(f"{called} is empty: give at least one parameter's or module's name")
    return {name: p for name, p in named.items() if name in chosen}


def _members(model: nn.Module, name: str, named: Mapping[str, Tensor], called: str) -> list[str]:
    """Return the parameters a name stands for: itself, or those of the module so called."""
    if name in named:
        return [name]
    members = [other for other in named if other.startswith(f"{name}.")]
    if members and ".parametrizations" not in members[0].removeprefix(name):
        return members
    if hidden := covered.replaced(model):
        raise ValueError(f"{called} holds {name!r}, which is no parameter of the model; {hidden}")
    raise ValueError(f"{called} holds {name!r}, which is no parameter of the model: give one of {', '.join(named)}")


def _quantized(model: nn.Module) -> str:
    """Say which layers are quantized, so that their weights are no parameters."""
    kinds = sorted(
        {
            type(part).__name__
            for part in model.modules()
            if "quantized" in type(part).__module__ and hasattr(part, "scale")
        }
    )
    return f" (its layers {', '.join(kinds)} are quantized)" if kinds else ""


_parameters = parameters  # under a name that an argument does not hide


def prunable(model: nn.Module, parameters: Names | None = None) -> dict[str, Tensor]:
    """Return the parameters a mask would cover, detached, in the model's order.

    Parameters
    ----------
    model : Module
        Any torch module; one that carries a mask must be baked first.
    parameters : names, optional
        Names of parameters or modules; by default the weights by which the network multiplies (`coverage` lists them,
        and says why the others are left alone).

    Raises
    ------
    TypeError, ValueError
        If there are none, or such a weight is computed from others: masked, pruned by torch.nn.utils.prune,
        parametrized.

    Examples
    --------
    >>> from prunekit.nets import models
    >>> [(name, tuple(weight.shape)) for name, weight in prunable(models.fcn(4, [3], 2, seed=0)).items()]
    [('input.weight', (3, 4)), ('output.weight', (2, 3))]
    """
    if parameters is not None:
        return _parameters(model, parameters)
    if hidden := covered.replaced(module(model)):
        raise ValueError(hidden)
    own, parts = _parameters(model), covered.coverage(model)
    if not parts.covered:
        left = ", ".join(f"{part.name} ({part.reason})" for part in parts.left)
        raise ValueError(f"model has no weight that is pruned by default: name parameters, of {left}")
    return {part.name: own[part.name] for part in parts.covered}


def module(model: Any) -> nn.Module:
    """Return `model`, refusing what is no torch module, or one whose weights are not there."""
    if not isinstance(model, nn.Module):
        what = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise TypeError(f"model is {what}: give a torch.nn.Module")
    for name, p in (*model.named_parameters(), *model.named_buffers()):
        if p.is_meta:
            raise ValueError(f"model has {name!r} on the device meta, without numbers: give one that is initialized")
    return model


@contextmanager
def taking(inputs: Any) -> Iterator[None]:
    """Say what a network was given where its forward pass fails; memory that runs out is no such failure."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError) as reason:  # of another number of inputs, too
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        kinds = " and ".join(f"{x.dtype} of shape {tuple(x.shape)}" for x in given if isinstance(x, Tensor))
        raise ValueError(f"model fails on data, {kinds} ({reason}): give a model and data that fit") from reason


def state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of all parameters and buffers, by name."""
    tensors = {**dict(module(model).named_parameters()), **dict(model.named_buffers())}
    return {name: t.detach().clone() for name, t in tensors.items()}


@torch.no_grad()
def restore(model: nn.Module, before: State) -> None:
    """Put copies back in place, so that the parameters stay the same objects."""
    for name, t in {**dict(model.named_parameters()), **dict(model.named_buffers())}.items():
        t.copy_(before[name])


def places(model: nn.Module) -> dict[str, list[tuple[str, nn.Module, str]]]:
    """Return where each parameter sits: (path, module, name in it), several times where it is shared."""
    first_names = {id(p): name for name, p in model.named_parameters()}
    sites: dict[str, list[tuple[str, nn.Module, str]]] = {name: [] for name in first_names.values()}
    for path, part in model.named_modules():
        for own_name, p in part.named_parameters(recurse=False, remove_duplicate=False):
            sites[first_names[id(p)]].append((path, part, own_name))
    return sites


def call(model: nn.Module, values: Mapping[str, Tensor], inputs: tuple[Any, ...]) -> Tensor:
    """Return the model's outputs with other values for some parameters; the model is left as it was.

    torch's own tying of shared parameters is not used: where one module has two names, it leaves the replaced values
    in the model (torch 2.15).
    """
    spots = {
        f"{path}.{own_name}".removeprefix("."): values[name]
        for name, spots in places(model).items()
        if name in values
        for path, _, own_name in spots
    }
    with surviving(model):
        return functional_call(model, spots, inputs, tie_weights=False)


def regions(model: nn.Module, where: Where) -> dict[str, Tensor]:
    """Return a place as bool tensors by parameter name, on the parameters' devices; see the module's list.

    Raises
    ------
    TypeError, ValueError
        If `where` names what the model lacks, or holds tensors of wrong shapes, repeated or outlying positions.
    """
    if isinstance(where, Mapping):
        theta = parameters(model, list(where), called="where")
        if set(theta) != set(where):
            raise ValueError(f"where names the module {min(set(where) - set(theta))!r}: give names of parameters")
        return {name: _region(f"where[{name!r}]", where[name], p) for name, p in theta.items()}
    if where is None or isinstance(where, str):
        return {
            name: torch.ones_like(p, dtype=torch.bool) for name, p in parameters(model, where, called="where").items()
        }
    numbers = isinstance(where, Tensor | np.ndarray)
    listed = where if numbers else _checks.listed("where", where, "names or flat positions")
    if not isinstance(listed, Tensor | np.ndarray) and any(isinstance(entry, str) for entry in listed):
        return {
            name: torch.ones_like(p, dtype=torch.bool)
            for name, p in parameters(model, listed, called="where").items()  # type: ignore[arg-type]
        }
    theta = parameters(model)
    flat = _positions("where", listed, sum(p.numel() for p in theta.values()))
    parts = flat.split([p.numel() for p in theta.values()])
    return {name: part.view(p.shape).to(p.device) for (name, p), part in zip(theta.items(), parts, strict=True)}


def _region(name: str, value: Any, like: Tensor) -> Tensor:
    """Return one parameter's part: a bool tensor of its shape, from one or from flat positions."""
    if isinstance(value, Tensor | np.ndarray) and value.dtype in (torch.bool, np.bool_):
        region = tensor(name, torch.as_tensor(value))
        if region.shape != like.shape:
            raise ValueError(f"{name} has shape {tuple(region.shape)}: give one of shape {tuple(like.shape)}")
        return region.to(like.device)
    return _positions(name, value, like.numel()).view(like.shape).to(like.device)


def _positions(name: str, value: Any, total: int) -> Tensor:
    """Return flat positions as a bool vector (total,)."""
    raw = tensor(name, value).detach().cpu().numpy() if isinstance(value, Tensor) else value
    marked = torch.zeros(total, dtype=torch.bool)
    marked[torch.from_numpy(_checks.indices(name, raw, total).astype(np.int64))] = True
    return marked


def batches(data: Data, device: torch.device) -> Iterator[tuple[tuple[Any, ...], Tensor, int]]:
    """Yield (inputs, labels, sample count) of each batch, on `device`; a tuple of inputs is several arguments.

    Parameters
    ----------
    data : (inputs, labels) or an iterable of them, such as a DataLoader
        Labels have one row a sample; batches may differ in size.

    Raises
    ------
    TypeError, ValueError
        If there is no batch, an empty one, or one that is no pair.
    """
    single = isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], Tensor)
    any_yet = False
    batch: Any
    if isinstance(data, str | bytes | Mapping | type) or not hasattr(data, "__iter__"):
        raise TypeError(f"data is {_checks.shown(data)}: give pairs (inputs, labels) of tensors")
    for batch in [data] if single else data:
        if not isinstance(batch, tuple | list) or len(batch) != 2 or not isinstance(batch[1], Tensor):
            raise TypeError(f"data yields a {type(batch).__name__}: give pairs (inputs, labels) of tensors")
        inputs, labels = batch
        tensor("data's labels", labels)
        if inputs is None or isinstance(inputs, str | bytes | int | float | complex):
            raise TypeError(f"data yields inputs that are {_checks.shown(inputs)}: give pairs of tensors")
        if labels.ndim == 0 or len(labels) == 0:
            raise ValueError(f"data yields labels of shape {tuple(labels.shape)}: give one row a sample, at least one")
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        for x in given:
            if isinstance(x, Tensor) and not x.is_complex():  # some networks take complex inputs
                tensor("data's inputs", x)
        moved = tuple(_moved(x, device) if isinstance(x, Tensor) else x for x in given)
        yield moved, _moved(labels, device), len(labels)
        any_yet = True
    if not any_yet:
        raise ValueError("data is empty: give at least one batch")


def _moved(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; one made in inference mode as a copy, by which derivatives can be taken."""
    return x.to(device).clone() if x.is_inference() else x.to(device)


def tensor(name: str, value: Any) -> Tensor:
    """Return a tensor of real numbers or truth values as it is, refusing one whose entries cannot be looked at."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is {_checks.shown(value)}: give a tensor")
    if value.is_complex():
        raise TypeError(f"{name} is of type {value.dtype}: give real numbers")
    if value.is_meta:
        raise TypeError(f"{name} is on the device meta, without numbers: give a tensor that has some")
    if value.is_nested or value.is_quantized or value.layout != torch.strided:
        kind = "nested" if value.is_nested else "quantized" if value.is_quantized else f"of layout {value.layout}"
        raise TypeError(f"{name} is {kind}: give a dense tensor, as to_dense() or dequantize() return it")
    return value


def reals(name: str, value: Any) -> Tensor:
    """Return finite real numbers (D,) or (D, k) as a tensor; a tensor stays as it is, without its gradient."""
    if not isinstance(value, Tensor):
        return torch.from_numpy(_checks.array(name, value, ndim=(1, 2)))
    tensor(name, value)
    if value.ndim not in (1, 2) or value.numel() == 0:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: give a vector, or columns of them")
    if not all_finite(value):
        raise ValueError(f"{name} holds a number that is not finite: give finite numbers")
    return value.detach()


def _unlike(outputs: Any, labels: Tensor) -> bool:
    """Tell whether outputs and labels cannot go together: other rows, or several axes for one label."""
    if not isinstance(outputs, Tensor) or labels.ndim == 0:
        return False
    return outputs.shape[:1] != labels.shape[:1] or (labels.ndim == 1 and outputs.ndim > 2)


def mean_loss(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of a batch, refusing what is no finite number."""
    try:
        value = loss(outputs, labels)
    except (RuntimeError, ValueError, IndexError) as reason:
        if not _unlike(outputs, labels) or isinstance(reason, torch.OutOfMemoryError):
            raise  # what a user's own loss raises
        raise ValueError(
            f"loss fails on labels of shape {tuple(labels.shape)}, for which model gives {tuple(outputs.shape)} "
            f"({reason}): give data and a model that go together"
        ) from reason
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ValueError(f"loss returns {getattr(value, 'shape', value)!r}: give one that returns a batch's mean")
    if not bool(torch.isfinite(value.detach()).all()):
        raise FloatingPointError(
            f"loss is {value.item()} on a batch of {len(labels)}: give a model of finite weights, and finite data"
        )
    return value.reshape(())


def rounding(outputs: Tensor, *, multiplied: bool = True) -> float:
    """Return by how much two computations of the same outputs may differ, relative to the largest: their rounding.

    Parameters
    ----------
    outputs : tensor
        Outputs, of which only type and device matter.
    multiplied : bool
        Whether matrices were multiplied on the way: on a GPU that may be in TF32, whose 10 bits leave 1e-3.
    """
    if multiplied and outputs.is_cuda and outputs.dtype == torch.float32 and _tensor_cores():
        return 1e-2
    return 10 * float(torch.finfo(outputs.dtype).eps) ** 0.7


def _tensor_cores() -> bool:
    """Tell whether torch may multiply, convolve or recur in a shorter type than single precision on a GPU."""
    cudnn: Any = torch.backends.cudnn  # whose parts torch's own type hints do not know
    places: tuple[Any, ...] = (torch.backends, torch.backends.cuda.matmul, cudnn, cudnn.conv, cudnn.rnn)
    return any(place.fp32_precision not in ("none", "ieee") for place in places)


def mixes(model: nn.Module, inputs: tuple[Any, ...]) -> bool:
    """Tell whether a sample's outputs depend on the others of its batch, by halves of a batch of at least two.

    A network that fails on a half mixes them too, such as batch normalization on the statistics of a single sample.
    """
    n = len(inputs[0])
    with torch.no_grad():
        with taking(inputs):
            whole = model(*inputs)
        try:
            parts = [model(*(x[part] for x in inputs)) for part in (slice(0, n // 2), slice(n // 2, n))]
        except (ValueError, RuntimeError):
            return True
    if not isinstance(whole, Tensor) or n < 2:
        return False
    apart = torch.cat(parts)
    size = float(whole.abs().max()) * rounding(whole)
    return apart.shape != whole.shape or bool((apart - whole).abs().max() > size)


def all_finite(values: Tensor) -> bool:
    """Tell whether all entries are finite: mostly their sum says so, and is never finite where an entry is not."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def finite(name: str, results: Iterable[Tensor]) -> None:
    """Refuse results that are not finite: FloatingPointError, rather than let NaN out."""
    if not all(map(all_finite, results)):
        raise FloatingPointError(
            f"{name} is not finite: give a model of finite weights, finite data, and a loss smooth at them"
        )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode, no dropout and batch statistics fixed, and put it back as it was."""
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with surviving(model):
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def device(theta: Mapping[str, Tensor]) -> torch.device:
    """Return where the parameters live."""
    return next(iter(theta.values())).device


def generator(seed: Seed) -> torch.Generator:
    """Return torch's generator of a seed, on the CPU, so that draws are the same on every device."""
    return torch.Generator().manual_seed(int(_checks.generator(seed).integers(2**63)))
