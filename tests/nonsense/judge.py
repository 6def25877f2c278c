"""One call with one argument spoilt, and what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import re
import resource
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
import torch

from prunekit import _checks
from prunekit.book.recordings import MissingRecordingError
from prunekit.nets import Diverged
from tests.nonsense import walk
from tests.nonsense.values import TABLE

SECONDS = 20.0  # of processor time: a call of an example takes milliseconds
MEMORY = 4 << 30  # bytes that a call may take beyond what is taken
REFUSALS = (TypeError, ValueError, FloatingPointError, MemoryError, OSError, MissingRecordingError, Diverged)
UNKNOWN = ("error", "scatter", "quadrature", "curvature_error")  # infinite where it is not known, as documented


@dataclass(frozen=True)
class Example:
    """A call that is right.

    Parameters
    ----------
    make : callable
        Returns the arguments by name, fresh ones at each call; "self" is the object of a method.
    allows : mapping
        By argument, the nasty things of kind "wrong" that it takes for good reason.
    says : mapping
        By argument, further words that name it in a refusal.
    infinite : bool
        Whether infinity is among its right answers.
    random : bool
        Whether two calls differ, so that results cannot be compared.
    slow : bool
        Whether a right call takes seconds: in the sample none is made.
    """

    make: Callable[[], dict[str, Any]]
    allows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    says: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    infinite: bool = False
    random: bool = False
    slow: bool = False


class _Endless(BaseException):
    """The call ran out of its time."""


def nasties(function: Callable[..., Any], example: Example) -> Iterator[tuple[str, str]]:
    """Yield (argument, name of the nasty thing) for all that can be made."""
    right = example.make()
    for argument, parameter in walk.arguments(function).items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        value = right.get(argument, None if parameter.default is parameter.empty else parameter.default)
        for name, nasty in TABLE.items():
            with contextlib.suppress(Exception), warnings.catch_warnings():  # what cannot be made is no fit either
                warnings.simplefilter("ignore")
                nasty.make(value)
                yield argument, name


def judge(function: Callable[..., Any], example: Example, argument: str, name: str) -> str | None:
    """Return what is wrong with what comes of one spoilt argument; None if nothing is."""
    given, parameter = example.make(), walk.arguments(function)[argument]
    right = given.get(argument, None if parameter.default is parameter.empty else parameter.default)
    nasty = TABLE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given[argument] = nasty.make(right)
    try:
        result = call(function, given)
    except _Endless:
        return f"endless: more than {SECONDS:g} s"
    except REFUSALS as reason:
        return _refusal(reason, argument, example)
    except Exception as reason:  # whatever else there is: that is the point
        return f"{type(reason).__name__}: {str(reason)[:160]}"
    return _accepted(function, example, argument, name, result)


def call(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call, with limits on time and memory, and without a word on the terminal."""
    given = dict(given)
    bound = function.__get__(given.pop("self")) if "self" in given else function
    with (
        _limited(),
        _small_machine(),
        _elsewhere(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        result = bound(**given)
        return list(result) if isinstance(result, Iterator) else result


@contextlib.contextmanager
def _small_machine() -> Iterator[None]:
    """Let the doors for sizes believe in a machine of a gigabyte, and in little patience, so that little is waited."""
    with (
        mock.patch.object(_checks, "memory", lambda: 1e9),
        mock.patch.object(_checks, "DRAWN", 10**6),
    ):
        yield


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    """Work in an empty folder: a text may be taken for a path."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Endless

    before = signal.signal(signal.SIGPROF, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    signal.setitimer(signal.ITIMER_PROF, SECONDS, 1.0)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + MEMORY, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def _refusal(reason: Exception, argument: str, example: Example) -> str | None:
    """Judge a refusal: it names the argument, or is about a file."""
    text = str(reason)
    if isinstance(reason, OSError) and isinstance(example.make().get(argument), str | Path):
        return None
    for word in (argument, *example.says.get(argument, ())):
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text):
            return None
    return f"unnamed {type(reason).__name__}: {text[:160]}"


def _accepted(function: Callable[..., Any], example: Example, argument: str, name: str, result: Any) -> str | None:
    """Judge a result: finite, for an argument that may be, and that of the right argument if it says the same."""
    if name in example.allows.get(argument, ()):
        return None
    found = list(leaves(result, infinite=example.infinite))
    bad = [x for x in found if isinstance(x, float) and not math.isfinite(x)]
    if bad:
        return f"silent: {bad[0]} in the result"
    nasty = TABLE[name]
    right, parameter = example.make(), walk.arguments(function)[argument]
    same = nasty.make(right.get(argument, parameter.default))
    if nasty.kind == "wrong":
        return None if same is None and parameter.default is None else "silent: accepted"
    if nasty.kind == "odd" or example.random:
        return None
    wanted = list(leaves(call(function, example.make()), infinite=example.infinite))
    if len(wanted) != len(found) or not all(map(_alike, wanted, found)):
        return f"wrong: {found[:4]} for {wanted[:4]}"
    return None


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
    return bool(a == b)


def leaves(result: Any, *, infinite: bool = False, depth: int = 0) -> Iterator[Any]:
    """Yield the numbers and words in a result, those of the fields of records too; infinity as 0 where it may be."""
    if isinstance(result, bool | np.bool_ | str | bytes):
        yield result
    elif isinstance(result, int | float | np.number | np.ndarray | torch.Tensor):
        for number in _numbers(result):
            yield 0.0 if infinite and math.isinf(number) else number
    elif depth < 6 and result is not None and not isinstance(result, type):
        for name, each in _parts(result):
            yield from leaves(each, infinite=infinite or name in UNKNOWN, depth=depth + 1)


def _numbers(result: Any) -> list[float]:
    """Return the numbers in a number, an array or a tensor."""
    if isinstance(result, int) and abs(result) >= 2**1000:
        return [2.0**1000]
    found = np.asarray(result.detach() if isinstance(result, torch.Tensor) else result)
    return [float(x) for x in found.ravel()] if found.dtype.kind in "fiub" else []


def _parts(result: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a record, a mapping, a network or a sequence holds, by name where it has one."""
    if isinstance(result, torch.nn.Module):
        yield from result.named_parameters()
    elif hasattr(result, "_asdict"):
        yield from result._asdict().items()
    elif isinstance(result, Mapping):
        yield from ((str(key), result[key]) for key in result)
    elif dataclasses.is_dataclass(result):
        yield from ((f.name, getattr(result, f.name)) for f in dataclasses.fields(result))
    elif isinstance(result, list | tuple):
        yield from (("", each) for each in result)
