"""What tells one loss from another, so that the file of one matrix is not continued with another."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunekit.nets import checkpoint

_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device)


def of_loss(loss: Any) -> str:
    """Return a loss's name and a checksum of what it computes with.

    For a module these are its parameters, buffers and settings (class weights, ignored label, smoothing), and those of
    its parts; for a `partial` its arguments; for a function its code, defaults, and the tensors and numbers it reads
    from around it. The code of torch's own functions is left out, so that another version of torch can take up a file.

    Parameters
    ----------
    loss : callable
        (outputs, labels) -> mean over the samples.
    """
    words = "\n".join(_words(loss, {}))
    return f"{_name(loss)} {hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _name(value: Any) -> str:
    """Return the name of a function, or of what `value` is one of."""
    if isinstance(value, functools.partial):
        return _name(value.func)
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _words(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Yield lines that are equal where values are; `seen` holds what was told, by id, so that nothing is told twice."""
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}"
        return
    if id(value) in seen:
        yield "seen"
        return
    seen[id(value)] = value
    yield f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Tensor | np.ndarray):
        yield _digest(value)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield f"[{key}]"
            yield from _words(value[key], seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in sorted(value, key=repr) if isinstance(value, set | frozenset) else value:
            yield from _words(each, seen)
    else:
        for part in _parts(value):
            yield from _words(part, seen)


def _digest(value: Any) -> str:
    """Return the checksum of a tensor or an array; an array of objects is told by its type and shape only."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc":
            return f"{value.dtype} {value.shape}"
        value = torch.from_numpy(np.ascontiguousarray(value))
    return checkpoint.digest({"": value})


def _parts(value: Any) -> list[Any]:
    """Return what a callable, or another object, is made of."""
    if isinstance(value, nn.Module):
        own = {name: x for name, x in vars(value).items() if not name.startswith("_") and name != "training"}
        return [own, dict(value._parameters), dict(value._buffers), dict(value._modules)]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType | types.FunctionType | types.CodeType):
        return _parts_of_code(value)
    if isinstance(value, type | types.ModuleType | types.BuiltinFunctionType):
        return [value.__name__]
    return [vars(value)] if hasattr(value, "__dict__") else []


def _parts_of_code(value: types.MethodType | types.FunctionType | types.CodeType) -> list[Any]:
    """Return what a function is made of: its name alone, if it is torch's."""
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    name = [value.__module__, value.__qualname__]
    if (value.__module__ or "").split(".")[0] == "torch":
        return name
    return [*name, value.__defaults__, value.__kwdefaults__, _around(value), value.__code__]


def _around(function: types.FunctionType) -> dict[str, Any]:
    """Return what a function reads from the scopes around it: of globals, tensors, arrays and plain values only."""
    read = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    around: dict[str, Any] = {
        name: x for name, x in read.items() if isinstance(x, Tensor | np.ndarray | int | float | str)
    }
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            around[name] = cell.cell_contents
        except ValueError:  # a name that has no value yet
            around[name] = None
    return around
