"""One door for networks, data and losses as people have them: what comes in is made what every room works with.

Inside, a network takes a tuple of inputs, a batch is a pair (inputs, labels) with a row of labels a sample, and a loss
is a function (outputs, labels) -> mean over the samples. What is like this already passes as it is. Batches may be
mappings, whose labels are among them, or lists of several inputs with the labels last; arrays become tensors; a loss
may have a name, or be None for the network's own.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from prunekit.nets import access, objectives
from prunekit.nets.access import Data, Loss
from prunekit.nets.covered import HALF

LABELS = ("labels", "label", "targets", "target", "y")  # what a mapping calls its labels
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_SAMPLES = 256  # in a batch of a torch data set that comes without a loader


class Opened(NamedTuple):
    """A network, data and a loss as every room works with them."""

    model: nn.Module
    data: Data
    loss: Loss


def opened(model: nn.Module, data: Any, loss: Any) -> Opened:
    """Return a network, data and a loss as every room works with them.

    Parameters
    ----------
    model : Module
        The network. It is not changed: where batches are mappings, what is returned is a view of it, which has the same
        parameters and hands a batch's entries to it by name.
        Weights in half precision are converted to single, in a copy.
    data : batches
        A pair (inputs, labels) of tensors or arrays, a mapping of them, or an iterable of such batches (a DataLoader, a
        list), read as often as needed. A batch of more than two tensors has its labels last. The labels of a mapping
        are called 'labels', 'label', 'targets', 'target' or 'y'.
    loss : callable, str or None
        (outputs, labels) -> mean over the samples; 'cross_entropy', 'next_token', 'multi_label' or 'mse'; or None for
        the loss that the network computes itself, for which mappings keep their labels.

    Raises
    ------
    TypeError, ValueError
        If the data are no batches, a mapping has no labels, its entries are not what the network takes, or the loss has
        an unknown name.
    """
    wanted = objectives.named(loss)
    model, data = widened(_eager(access.module(model)), data)
    start, data = first(data)
    own = isinstance(wanted, objectives.Own)
    if names := getattr(data, "entries", ()):  # a split of a Dataset, whose inputs were mappings
        return Opened(called(model, names), data, wanted)
    if not isinstance(start, Mapping):
        if loss is None:
            raise ValueError(
                "loss is None and data are pairs: give a loss, or batches as mappings whose labels the network takes"
            )
        return Opened(model, data if _is_plain(start, data) else Batches(data, pair), wanted)
    names, labels = names_of(start, own)
    return Opened(_view(model, names), Batches(data, Taking(names, labels)), wanted)


def _eager(model: nn.Module) -> nn.Module:
    """Return a network as plain modules call each other: not compiled, on one device; parameters keep their names."""
    for name, wraps in (("_orig_mod", hasattr(model, "_orig_mod")), ("module", isinstance(model, _PARALLEL))):
        if wraps:
            return _Shell(name, _eager(getattr(model, name)))
    return model


class _Shell(nn.Module):
    """A wrapper that only calls what it wraps."""

    def __init__(self, name: str, inner: nn.Module) -> None:
        super().__init__()
        self.training = inner.training
        self.add_module(name, inner)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Call what is inside."""
        (inner,) = self.children()
        return inner(*inputs, **named)


def widened(model: nn.Module, data: Any) -> tuple[nn.Module, Any]:
    """Return a network whose half-precision weights are single, a copy if there are any, and data of the same kind."""
    data = readable(data)
    if not any(p.dtype in HALF for p in model.parameters()):
        return model, data
    start, data = first(data)
    if isinstance(start, Mapping) or start is None:
        return copy.deepcopy(model).float(), data if start is None else Batches(data, _wide_mapping)
    return copy.deepcopy(model).float(), Batches(data, _wide_pair)


def _wide(x: Any) -> Any:
    """Return half-precision numbers in single precision, anything else as it is."""
    if isinstance(x, tuple):
        return tuple(map(_wide, x))
    return x.float() if isinstance(x, Tensor) and x.dtype in HALF else x


def _wide_mapping(batch: Any) -> Any:
    return {name: _wide(x) for name, x in batch.items()} if isinstance(batch, Mapping) else batch


def _wide_pair(batch: Any) -> Any:
    return tuple(map(_wide, batch)) if isinstance(batch, tuple | list) else batch


# ---------------------------------------------------------------- batches


class Batches:
    """Batches of another form, made pairs as they are read."""

    def __init__(self, data: Any, pair: Callable[[Any], tuple[Any, Tensor]]) -> None:
        self._data = data
        self._pair = pair

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        """Yield (inputs, labels) of each batch."""
        for batch in [self._data] if is_batch(self._data) else self._data:
            yield self._pair(batch)


def readable(data: Any) -> Any:
    """Return something that yields batches: of a torch data set, which yields samples, a loader."""
    if isinstance(data, torch.utils.data.Dataset) and not isinstance(data, torch.utils.data.IterableDataset):
        return torch.utils.data.DataLoader(data, batch_size=_SAMPLES)
    return data


def is_batch(data: Any) -> bool:
    """Tell whether something is one batch and no iterable of batches."""
    if isinstance(data, Mapping):
        return True
    return isinstance(data, tuple | list) and len(data) >= 2 and isinstance(data[-1], Tensor | np.ndarray)


def first(data: Any) -> tuple[Any, Any]:
    """Return the first batch, None where nothing yields one, and the data with it still in them."""
    if is_batch(data):
        return data, data
    nothing = isinstance(data, str | bytes | type) or not hasattr(data, "__iter__") or hasattr(data, "entries")
    if nothing or (isinstance(data, Tensor | np.ndarray) and data.ndim == 0):
        return None, data
    if isinstance(data, Iterator):
        first = next(data, None)
        return first, data if first is None else itertools.chain([first], data)
    with _same_numbers():
        return next(iter(data), None), data


def _is_plain(first: Any, data: Any) -> bool:
    """Tell whether data are what the rooms take as it is, or refuse in their own words: pairs of tensors."""
    if not isinstance(first, tuple | list) or (data is first and not isinstance(data, tuple)):
        return not isinstance(first, list)
    if len(first) < 2 or not isinstance(first[-1], Tensor | np.ndarray):
        return True
    given = first[0] if isinstance(first[0], tuple) else (first[0],)
    return len(first) == 2 and isinstance(first[1], Tensor) and not any(isinstance(x, np.ndarray) for x in given)


@contextmanager
def _same_numbers() -> Iterator[None]:
    """Put random states back, since looking at data must not change what is drawn later."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def _tensor(x: Any) -> Any:
    """Return an array as a tensor, with floating-point numbers in single precision; anything else as it is."""
    if not isinstance(x, np.ndarray):
        return x
    t = torch.from_numpy(np.ascontiguousarray(x))
    return t.float() if t.dtype in (torch.float64, torch.float16) else t


def _labels(x: Any) -> Any:
    """Return labels as a tensor; whole numbers in an array as torch's losses take them."""
    t = _tensor(x)
    return t.long() if isinstance(x, np.ndarray) and objectives.is_integer(t) else t


def pair(batch: Any) -> tuple[Any, Tensor]:
    """Return a batch of two or more tensors or arrays as inputs and labels."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise TypeError(f"data yields a {type(batch).__name__}: give pairs (inputs, labels), or mappings with labels")
    *inputs, labels = batch
    if len(inputs) == 1:
        given = inputs[0]
        return tuple(map(_tensor, given)) if isinstance(given, tuple) else _tensor(given), _labels(labels)
    return tuple(map(_tensor, inputs)), _labels(labels)


class Taking:
    """What makes a pair of a mapping: some of its entries, in an order, and its labels."""

    def __init__(self, names: Sequence[str], labels: str) -> None:
        self._names, self._labels = names, labels

    def __call__(self, batch: Any) -> tuple[Any, Tensor]:
        """Return inputs and labels of a batch."""
        if not isinstance(batch, Mapping):
            raise TypeError(f"data yields a {type(batch).__name__} after a mapping: give batches of one kind")
        missing = [name for name in (*self._names, self._labels) if name not in batch]
        if missing:
            raise ValueError(f"data yields a batch without {missing[0]!r}, which the first one has")
        return tuple(_tensor(batch[name]) for name in self._names), _labels(batch[self._labels])


def names_of(batch: Mapping[Any, Any], own: bool) -> tuple[tuple[str, ...], str]:
    """Return what the network is given of a mapping, and what its labels are called."""
    labels = next((name for name in LABELS if name in batch), None)
    if labels is None:
        raise ValueError(
            f"data yields mappings of {', '.join(map(repr, batch))}, without labels: call them {LABELS[0]!r} "
            "(of a language model the labels are its tokens)"
        )
    if not isinstance(batch[labels], Tensor | np.ndarray):
        raise TypeError(f"data's {labels!r} is a {type(batch[labels]).__name__}: give a tensor, one row a sample")
    return tuple(name for name in batch if own or name != labels), labels


# ---------------------------------------------------------------- networks


def called(model: nn.Module, names: Sequence[str]) -> nn.Module:
    """Return what takes a batch's entries in an order: a view of a network, or itself where none has a name."""
    return _view(_eager(access.module(model)), names) if names else model


def _view(model: nn.Module, names: Sequence[str]) -> nn.Module:
    """Return a view of a network that takes a batch's entries in an order, and hands them on by name.

    It has the network's own parameters, buffers and parts under their names; only the call is another.
    """
    kind = type(model)
    if "forward" in vars(model) or isinstance(model, torch.jit.ScriptModule):
        raise ValueError(
            "model's forward is not that of its class (it was replaced, or compiled by torch.jit), so that mappings "
            "cannot be handed to it by name: give the module as its class makes it"
        )
    inner = model
    while isinstance(inner, _Shell):
        (inner,) = inner.children()
    takes = inspect.signature(inner.forward).parameters
    foreign = [name for name in names if name not in takes]
    if foreign and not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values()):
        raise ValueError(
            f"data yields {foreign[0]!r}, which model's forward does not take: it takes {', '.join(takes)}; leave the "
            "others out"
        )

    def forward(self: nn.Module, *inputs: Any) -> Any:
        return kind.forward(self, **dict(zip(names, inputs, strict=True)))

    def reduced(self: nn.Module, protocol: Any) -> Any:  # how copies and pickles make it again
        plain = kind.__new__(kind)
        plain.__dict__ = self.__dict__
        return _view, (plain, tuple(names))

    view = copy.copy(model)
    own = {"forward": forward, "__reduce_ex__": reduced, "__module__": kind.__module__}
    view.__class__ = type(kind.__name__, (kind,), own)
    return view
