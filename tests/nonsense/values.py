"""What is put in an argument's place: things that are no argument at all, and the same argument in other clothes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


class NoFit(Exception):
    """The nasty thing cannot be made of this argument."""


@dataclass(frozen=True)
class Nasty:
    """One way to spoil an argument.

    Attributes
    ----------
    make : callable
        From the argument that is right to the one that is not; `NoFit` where it has no meaning.
    kind : str
        "wrong": no function may accept it, unless its example says so; "other": accepted only with the result of the
        right argument, since it says the same; "odd": may be accepted, with a finite result.
    """

    make: Callable[[Any], Any]
    kind: str


class Thing:
    """An object that numpy can turn into an array, and that is none."""

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.value.astype(dtype) if dtype is not None else self.value.copy()

    def __repr__(self) -> str:
        return "Thing()"


class Number(float):
    """A float by another name."""


class Word(str):
    """A text by another name."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _array(value: Any) -> np.ndarray:
    """Return the argument as an array of numbers, or pass."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value
    if isinstance(value, list | tuple) and value and all(_is_number(x) for x in value):
        return np.asarray(value)
    raise NoFit


def _floats(value: Any) -> np.ndarray:
    found = _array(value)
    if found.dtype.kind != "f" or found.size == 0:
        raise NoFit
    return found.copy()


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.clone()
    raise NoFit


def _put(value: Any, entry: float) -> np.ndarray:
    found = _floats(value)
    found.flat[found.size // 2] = entry
    return found


def _put_tensor(value: Any, entry: float) -> Tensor:
    found = _tensor(value)
    if not found.is_floating_point():
        raise NoFit
    found.view(-1)[found.numel() // 2] = entry
    return found


def _call(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a nasty thing for arguments that are called: what they answer is spoilt."""

    def make(value: Any) -> Any:
        if not callable(value) or isinstance(value, type | torch.nn.Module):
            raise NoFit
        return lambda *given, **named: answer(value(*given, **named))

    return make


def _times(answer: Any, factor: float) -> Any:
    """Return an answer spoilt by a factor, or the factor itself."""
    return answer * factor if isinstance(answer, float | np.ndarray | Tensor) else float(factor)


def _network(value: Any, spoil: Callable[[torch.nn.Module], Any]) -> torch.nn.Module:
    """Return a network whose copy is spoilt."""
    if not isinstance(value, torch.nn.Module):
        raise NoFit
    found = copy.deepcopy(value)
    spoil(found)
    return found


def _weight(entry: float) -> Callable[[torch.nn.Module], Any]:
    """Return what puts an entry among a network's weights."""

    def put(network: torch.nn.Module) -> None:
        with torch.no_grad():
            next(network.parameters()).view(-1)[0] = entry

    return put


def _member(value: Any, place: int, spoil: Callable[[Tensor], Tensor]) -> Any:
    """Return a pair of tensors one of which is spoilt."""
    if not isinstance(value, tuple) or len(value) != 2 or not all(isinstance(x, Tensor) for x in value):
        raise NoFit
    return tuple(spoil(x) if k == place else x for k, x in enumerate(value))


def _first(value: Any, spoil: Callable[[Any], Any]) -> Any:
    """Return a mapping whose first value is spoilt."""
    if not isinstance(value, Mapping) or not value:
        raise NoFit
    found = dict(value)
    key = next(iter(found))
    found[key] = spoil(found[key])
    return found


def _renamed(value: Any, name: Any) -> Any:
    """Return a mapping whose first value has another name."""
    if not isinstance(value, Mapping) or not value:
        raise NoFit
    first, *others = value.items()
    return {name: first[1], **dict(others)}


def _entry(value: Any, entry: Any) -> Any:
    """Return a sequence whose first entry is another."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise NoFit
    return type(value)([entry, *value[1:]]) if type(value) in (list, tuple) else [entry, *value[1:]]


def _as_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise NoFit


def _as_float(value: Any) -> float:
    if isinstance(value, float) and np.isfinite(value):
        return value
    raise NoFit


def _rows(value: Any) -> list[Any]:
    found = _array(value)
    return [found.ravel()[0], list(found.ravel()[:2])]


def _masked(value: Any) -> np.ma.MaskedArray:
    found = _array(value)
    mask = np.zeros(found.shape, dtype=bool)
    mask.flat[found.size // 2] = True
    return np.ma.masked_array(found, mask)


def _structured(value: Any) -> np.ndarray:
    found = _array(value)
    return np.zeros(found.shape, dtype=[("a", float), ("b", float)])


def _objects(value: Any) -> np.ndarray:
    found = _array(value).astype(object)
    if found.size == 0:
        raise NoFit
    found.flat[0] = None
    return found


def _matrix(value: Any) -> np.matrix:
    found = _array(value)
    if found.ndim != 2:
        raise NoFit
    return np.matrix(found)


def _single(value: Any) -> np.ndarray:
    """Return the argument in single precision, where it has nothing to lose: rounded to it before, by the judge."""
    return _floats(value).astype(np.float32)


def _fractions(value: Any) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(_floats(value))


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else _array(value).shape


def _items(value: Any) -> list[Any]:
    """Return what is in a sequence or a vector."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return list(value)
    raise NoFit


def _integers(value: Any) -> np.ndarray:
    found = _array(value)
    if found.dtype.kind not in "iu" or found.size == 0 or found.min() < 0 or found.max() > 127:
        raise NoFit
    return found


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise NoFit


WRONG = {
    "None": lambda _: None,
    "text": lambda _: "text",
    "bytes": lambda _: b"",
    "object": lambda _: object(),
    "nan": lambda _: float("nan"),
    "numpy nan": lambda _: np.float64("nan"),
    "inf": lambda _: float("inf"),
    "-inf": lambda _: -float("inf"),
    "complex": lambda _: 1 + 2j,
    "a list of texts": lambda _: ["a", "b"],
    "a mapping": lambda _: {"a": object()},
    "a set": lambda _: {1.5, "x"},
    "a class": lambda v: dict if not callable(v) else _raise(),  # what is called may raise what it will
    "a function": lambda v: len if not callable(v) else _raise(),
    "an exception": lambda _: ValueError("x"),
    "a date": lambda _: np.datetime64("2020-01-01"),
    "its own class": lambda v: type(v) if not callable(v) else _raise(),
    "array with nan": lambda v: _put(v, np.nan),
    "array with inf": lambda v: _put(v, np.inf),
    "tensor with nan": lambda v: _put_tensor(v, np.nan),
    "tensor with inf": lambda v: _put_tensor(v, np.inf),
    "complex array": lambda v: _floats(v) + 1j,
    "complex tensor": lambda v: _tensor(v).to(torch.complex128),
    "ragged": _rows,
    "texts": lambda v: _array(v).astype(str),
    "objects": _objects,
    "structured": _structured,
    "masked": _masked,
    "dates": lambda v: _array(v).astype("datetime64[s]"),
    "times": lambda v: _array(v).astype("timedelta64[s]"),
    "sparse matrix": lambda v: sparse.csr_array(_floats(v)) if np.ndim(v) == 2 else _raise(),
    "tensor without numbers": lambda v: torch.empty(_shape(v), device="meta"),
    "complex tensor for an array": lambda v: torch.from_numpy(_floats(v) + 1j),
    "answers None": _call(lambda _: None),
    "answers text": _call(lambda _: "text"),
    "answers nan": _call(lambda y: _times(y, np.nan)),
    "answers a function": _call(lambda _: len),
    "mapping of None": lambda v: _first(v, lambda _: None),
    "mapping of text": lambda v: _first(v, lambda _: "text"),
    "mapping of nan": lambda v: _first(v, lambda x: _put_tensor(x, np.nan)),
    "mapping by number": lambda v: _renamed(v, 3),
    "network without numbers": lambda v: _network(v, lambda m: m.to("meta")),
    "network with nan": lambda v: _network(v, _weight(np.nan)),
    "network with inf": lambda v: _network(v, _weight(np.inf)),
    "network of nothing": lambda v: torch.nn.Identity() if isinstance(v, torch.nn.Module) else _raise(),
    "pair with nan": lambda v: _member(v, 0, lambda x: _put_tensor(x, np.nan)),
    "pair without inputs": lambda v: _member(v, 0, lambda x: x[:0]),
    "pair of fewer inputs": lambda v: _member(v, 0, lambda x: x[:-1]),
    "pair of fewer labels": lambda v: _member(v, 1, lambda x: x[:-1]),
    "pair without numbers": lambda v: _member(v, 0, lambda x: x.to("meta")),
    "pair of texts": lambda v: _member(v, 0, lambda _: "text"),
    "sequence with None": lambda v: _entry(v, None),
    "sequence with text": lambda v: _entry(v, "text") if not isinstance(v[0], str) else _raise(),
    "sequence with object": lambda v: _entry(v, object()) if not isinstance(v[0], Tensor) else _raise(),
    "sequence with nan": lambda v: _entry(v, float("nan")),
}
OTHER = {
    "np.matrix": _matrix,
    "a thing with __array__": lambda v: Thing(_array(v)),
    "Fraction": lambda v: Fraction(_as_float(v)),
    "Decimal": lambda v: Decimal(_as_float(v)),
    "numpy float": lambda v: np.float64(_as_float(v)),
    "array of no axes": lambda v: np.array(_as_float(v)),
    "numpy int": lambda v: np.int64(_as_int(v)),
    "array of one int": lambda v: np.array([_as_int(v)]),
    "array of one float": lambda v: np.array([_as_float(v)]),
    "Fractions": _fractions,
    "list": lambda v: _array(v).tolist() if isinstance(v, np.ndarray) else _raise(),
    "long double": lambda v: _floats(v).astype(np.longdouble),
    "Fortran order": lambda v: np.asfortranarray(_floats(v)) if np.ndim(v) == 2 else _raise(),
    "read only": lambda v: _read_only(_floats(v)),
    "big endian": lambda v: _floats(v).astype(">f8"),
    "masked nowhere": lambda v: np.ma.masked_array(_array(v)),
    "numpy array for a tensor": lambda v: _tensor(v).numpy(),
    "list for a tensor": lambda v: _tensor(v).tolist(),
    "tensor for an array": lambda v: torch.from_numpy(_floats(v)),
    "tensor with a gradient": lambda v: _tensor(v).requires_grad_() if v.is_floating_point() else _raise(),
    "tensor of one": lambda v: torch.tensor(_as_float(v), dtype=torch.float64),
    "sparse tensor": lambda v: _tensor(v).to_sparse() if v.ndim else _raise(),
    "tensor with a gradient for an array": lambda v: torch.from_numpy(_floats(v)).requires_grad_(),
    "turned strides": lambda v: np.flip(np.flip(_array(v)).copy()) if isinstance(v, np.ndarray) else _raise(),
    "gaps in memory": lambda v: np.repeat(_floats(v), 2, axis=-1)[..., ::2],
    "generator": lambda v: (x for x in _items(v)),
    "tuple": lambda v: tuple(_items(v)) if not isinstance(v, tuple) else _raise(),
    "numpy bool": lambda v: np.bool_(v) if isinstance(v, bool) else _raise(),
    "numpy int8": lambda v: np.int8(_as_int(v)),
    "numpy uint64": lambda v: np.uint64(_as_int(v)),
    "numpy float32": lambda v: np.float32(_as_float(v)),
    "int as a float": lambda v: float(_as_int(v)),
    "ints of 8 bits": lambda v: _integers(v).astype(np.int8),
    "unsigned ints": lambda v: _integers(v).astype(np.uint64),
    "a subclass of float": lambda v: Number(_as_float(v)),
    "a subclass of str": lambda v: Word(_name(v)),
    "pure path": lambda v: str(v) if isinstance(v, Path) else _raise(),
}
ODD = {
    "-1": lambda _: -1,
    "0": lambda _: 0,
    "1": lambda _: 1,
    "-0.5": lambda _: -0.5,
    "0.0": lambda _: 0.0,
    "-0.0": lambda _: -0.0,
    "1e-320": lambda _: 1e-320,
    "1e308": lambda _: 1e308,
    "-1e308": lambda _: -1e308,
    "10**400": lambda _: 10**400,
    "-10**400": lambda _: -(10**400),
    "10**9": lambda _: 10**9,
    "10**12": lambda _: 10**12,
    "2**63": lambda _: 2**63,
    "True": lambda _: True,
    "False": lambda _: False,
    "empty list": lambda _: [],
    "empty tuple": lambda _: (),
    "empty mapping": lambda _: {},
    "empty text": lambda _: "",
    "empty array": lambda _: np.zeros(0),
    "empty matrix": lambda _: np.zeros((0, 3)),
    "array at 1e308": lambda v: _scaled(v, 1e308),
    "array at 1e200": lambda v: _scaled(v, 1e200),
    "array at 1e-200": lambda v: _scaled(v, 1e-200),
    "array at 1e-320": lambda v: _scaled(v, 1e-320),
    "array of zeros": lambda v: np.zeros_like(_array(v)),
    "array of -0": lambda v: -np.zeros_like(_floats(v)),
    "array of -1": lambda v: np.full_like(_array(v), -1) if _array(v).dtype.kind != "u" else _raise(),
    "array of 10**18": lambda v: np.full(_array(v).shape, 10**18),
    "one number 1e308": lambda v: _put(v, 1e308),
    "transposed": lambda v: _array(v).T if np.ndim(v) > 1 else _raise(),
    "one axis more": lambda v: _array(v)[None],
    "flattened": lambda v: _array(v).ravel() if np.ndim(v) > 1 else _raise(),
    "one entry less": lambda v: _array(v)[:-1],
    "one entry more": lambda v: np.concatenate([_array(v), _array(v)[-1:]]),
    "one entry": lambda v: _array(v)[:1],
    "array of bools": lambda v: _array(v) > 0,
    "vector of 3": lambda _: np.arange(3.0),
    "cube": lambda _: np.ones((2, 2, 2)),
    "single precision": _single,
    "half precision": lambda v: _floats(v).astype(np.float16),
    "tensor at 1e308": lambda v: _tensor(v).double() * 1e308,
    "empty tensor": lambda v: _tensor(v)[:0],
    "tensor transposed": lambda v: _tensor(v).mT if v.ndim > 1 else _raise(),
    "tensor in half precision": lambda v: _tensor(v).half() if v.is_floating_point() else _raise(),
    "tensor in double precision": lambda v: _tensor(v).double() if v.is_floating_point() else _raise(),
    "tensor of bools": lambda v: _tensor(v) > 0,
    "tensor of ints": lambda v: _tensor(v).long(),
    "tensor of 3": lambda _: torch.arange(3.0),
    "answers inf": _call(lambda y: _times(y, np.inf)),
    "answers three": _call(lambda _: np.ones(3)),
    "mapping by another name": lambda v: _renamed(v, "other"),
    "mapping of 3": lambda v: _first(v, lambda _: torch.arange(3.0)),
    "sequence with -1": lambda v: _entry(v, -1),
    "sequence with 10**12": lambda v: _entry(v, 10**12),
    "network in half precision": lambda v: _network(v, lambda m: m.half()),
    "network in double precision": lambda v: _network(v, lambda m: m.double()),
    "network at 1e38": lambda v: _network(v, _weight(1e38)),
    "network without gradients": lambda v: _network(v, lambda m: m.requires_grad_(False)),
    "twice as long": lambda v: v * 2 if isinstance(v, list | tuple) and v else _raise(),
    "another text": lambda v: _name(v) + "?",
}


def _raise() -> Any:
    raise NoFit


def _read_only(value: np.ndarray) -> np.ndarray:
    value.flags.writeable = False
    return value


def _scaled(value: Any, size: float) -> np.ndarray:
    found = _floats(value)
    top = float(np.abs(found).max())
    return found / top * size if top else _raise()


TABLE: dict[str, Nasty] = {
    name: Nasty(make, kind)
    for kind, part in (("wrong", WRONG), ("other", OTHER), ("odd", ODD))
    for name, make in part.items()
}
