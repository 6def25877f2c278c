"""Batches of any form, read once and laid together: what a `Dataset` is made of where somebody has a loader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prunekit import _checks
from prunekit.nets import access, door, objectives
from prunekit.nets.several import several

_MASKS = ("attention_mask", "mask", "padding_mask")  # the entries of 0 where a sequence has ended


class Gathered(NamedTuple):
    """Data read once.

    Attributes
    ----------
    x : tensor or Several
        Inputs with a row a sample, single precision or whole numbers or bytes.
    y : tensor
        Labels with a row a sample.
    names : tuple of str
        What the inputs are called, where batches are mappings; else empty.
    """

    x: Any
    y: Tensor
    names: tuple[str, ...]


def gathered(data: Any, *, own: bool = False, called: str = "data") -> Gathered:
    """Return all batches laid together, on the CPU.

    Parameters
    ----------
    data : batches
        What `door.opened` takes: a pair, a mapping, a loader, a torch data set.
    own : bool
        Whether the network computes its loss itself, so that mappings keep their labels among the inputs.
    called : str
        What the caller calls the data.

    Raises
    ------
    TypeError, ValueError
        If these are no batches, or batches that cannot be laid together.

    Notes
    -----
    Sequences whose batches differ in length are filled up with zeros, and labels with -100, where an entry called
    'attention_mask', 'mask' or 'padding_mask' says where each ends.
    """
    with _calling(called):
        return _gathered(data, own, called)


def paired(of_x: str, x: Any, of_y: str, y: Any) -> Gathered:
    """Return arrays that a caller calls so as data: x may be a tuple of several.

    Raises
    ------
    TypeError, ValueError
        If they are no arrays of finite real numbers, or have other numbers of rows.
    """
    parts = [_array(of_x, each) for each in (x if isinstance(x, tuple) else (x,))]
    labels = _array(of_y, y)
    if not parts:
        raise ValueError(f"{of_x} is empty: give at least one array of inputs")
    for part in parts:
        if part.ndim == 0 or len(part) == 0 or labels.ndim == 0 or len(part) != len(labels):
            raise ValueError(
                f"{of_x} has shape {tuple(part.shape)} and {of_y} {tuple(labels.shape)}: give each one row a sample"
            )
    return Gathered(several(parts), labels, ())


def _array(name: str, value: Any) -> Tensor:
    """Return an array or tensor as a tensor of finite numbers, whole ones as they are, others in single precision."""
    if isinstance(value, Tensor):
        kept = access.tensor(name, value).detach().cpu()
    else:
        raw = _checks.plain(name, value)
        whole = raw.dtype.kind in "iub" and raw.dtype != np.uint64 and raw.size > 0
        real = raw.astype(raw.dtype.newbyteorder("=")) if whole else _checks.array(name, value, ndim=tuple(range(9)))
        kept = torch.from_numpy(np.ascontiguousarray(real))
    kept = kept.float() if kept.is_floating_point() else kept.clone()
    if not bool(torch.isfinite(kept).all()):
        raise ValueError(f"{name} holds a number that is not finite in single precision: give finite numbers")
    return kept


@contextmanager
def _calling(called: str) -> Iterator[None]:
    """Name the data as the caller does where they are refused."""
    try:
        yield
    except (TypeError, ValueError) as reason:
        words = str(reason)
        if called == "data" or not words.startswith(("data ", "data's ")):
            raise
        raise type(reason)(called + words.removeprefix("data")) from reason


def _gathered(data: Any, own: bool, called: str) -> Gathered:
    """Return all batches laid together."""
    first, rest = door.first(door.readable(data))
    if first is None:
        if hasattr(data, "__iter__") and not isinstance(data, str | bytes | type):
            raise ValueError(f"{called} is empty: give at least one batch")
        raise TypeError(
            f"{called} is a {type(data).__name__}: give a prunekit.nets.Dataset, pairs (inputs, labels), or a loader"
        )
    names: tuple[str, ...] = ()
    batches: Iterator[tuple[Any, Tensor]]
    if isinstance(first, Mapping):
        names, labels = door.names_of(first, own)
        batches = iter(door.Batches(rest, door.Taking(names, labels)))
    elif own:
        raise ValueError(f"loss is None and {called} are pairs: name a loss, or give mappings whose labels it takes")
    else:
        batches = iter(door.Batches(rest, door.pair))
    columns: list[list[Tensor]] = []
    for inputs, y in batches:
        parts = [*(inputs if isinstance(inputs, tuple) else (inputs,)), y]
        columns.append([_stored(called, part, len(y) if y.ndim else -1) for part in parts])
    if len({len(each) for each in columns}) > 1:
        raise ValueError(f"{called} yields batches of different numbers of inputs: give batches of one kind")
    *xs, y = _joined(called, columns, names)
    return Gathered(several(xs), y, names)


def _stored(called: str, part: Any, rows: int) -> Tensor:
    """Return one tensor of a batch as it is kept: detached, on the CPU, with floats in single precision."""
    if not isinstance(part, Tensor):
        raise TypeError(f"{called} yields {_checks.shown(part)}: give tensors or arrays, with one row a sample")
    part = access.tensor(f"{called}'s inputs or labels", part).detach().cpu()
    if rows < 1 or part.ndim == 0 or len(part) != rows:
        raise ValueError(
            f"{called} yields a tensor of shape {tuple(part.shape)} beside {max(rows, 0)} labels: give each one row a "
            "sample, at least one"
        )
    return part.float() if part.is_floating_point() and part.dtype != torch.float32 else part.clone()


def _joined(called: str, columns: Sequence[Sequence[Tensor]], names: Sequence[str]) -> list[Tensor]:
    """Return the tensors of all batches one below another, filled up where their lengths differ and a mask tells so."""
    masked = any(name in _MASKS for name in names)
    joined = []
    for k, parts in enumerate(zip(*columns, strict=True)):
        tails = {part.shape[1:] for part in parts}
        if len(tails) > 1:
            if not masked or len({(part.ndim, part.shape[2:]) for part in parts}) > 1:
                shapes = " and ".join(str(tuple(shape)) for shape in sorted(map(tuple, tails))[:2])
                raise ValueError(
                    f"{called} yields samples of shapes {shapes}: give samples of one shape (sequences may differ in "
                    "length where an entry 'attention_mask' says where each ends)"
                )
            last = k == len(columns[0]) - 1 or (k < len(names) and names[k] in door.LABELS)
            parts = _filled(parts, objectives.IGNORED if last else 0)  # noqa: PLW2901
        joined.append(torch.cat(list(parts)))
    return joined


def _filled(parts: Sequence[Tensor], value: float) -> tuple[Tensor, ...]:
    """Return sequences (n, length, …) of one length."""
    length = max(part.shape[1] for part in parts)
    return tuple(
        torch.cat([part, part.new_full((len(part), length - part.shape[1], *part.shape[2:]), value)], dim=1)
        for part in parts
    )
