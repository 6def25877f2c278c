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
Escapes = Mapping[str, Mapping[str, tuple[str, ...]]]
TIMES = ("seconds", "spent")  # of records: no two calls have the same
UNKNOWN = ("error", "scatter", "quadrature", "curvature_error")  # infinite where it is not known, as documented


@dataclass(frozen=True)
class Example:
    """A call that is right.

    Parameters
    ----------
    make : callable
        Returns the arguments by name, fresh ones at each call; "self" is the object of a method.
    allows : mapping
        By argument and reason, the nasty things of kind "wrong" that it takes.
    says : mapping
        By argument and reason, further words that name it in a refusal.
    infinite : str
        Why infinity is among its right answers, if it is.
    hands_back : str
        Why a result may hold what was given as it is, and is not looked at, if so.
    slow : bool
        Whether a right call takes seconds: in the sample none is made.
    used : set
        Which of these escapes were needed so far.
    wanted : list
        The numbers of the right result, once they were computed.
    """

    make: Callable[[], dict[str, Any]]
    allows: Escapes = field(default_factory=dict)
    says: Escapes = field(default_factory=dict)
    infinite: str = ""
    hands_back: str = ""
    slow: bool = False
    used: set[tuple[str, str, str]] = field(default_factory=set)
    wanted: list[Any] = field(default_factory=list)

    def escape(self, kind: str, argument: str) -> tuple[str, ...]:
        """Return what an argument is let off, of the kind "allows" or "says"."""
        reasons = getattr(self, kind).get(argument, {})
        return tuple(name for names in reasons.values() for name in names)

    def idle(self) -> list[str]:
        """Return, in words, the escapes that no call needed."""
        given = {
            (kind, argument, name)
            for kind in ("allows", "says")
            for argument in getattr(self, kind)
            for name in self.escape(kind, argument)
        } | ({("infinite", "", "")} if self.infinite else set())
        return [" ".join(each).strip() + ": no call needs this" for each in sorted(given - self.used)]


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
    if _names(argument, text):
        return None
    for word in example.escape("says", argument):
        if _names(word, text):
            example.used.add(("says", argument, word))
            return None
    return f"unnamed {type(reason).__name__}: {text[:160]}"


def _names(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _accepted(function: Callable[..., Any], example: Example, argument: str, name: str, result: Any) -> str | None:
    """Judge a result: finite, for an argument that may be, and that of the right argument if it says the same."""
    found = list(leaves(result))
    bad = [x for x in found if isinstance(x, float) and not math.isfinite(x) and not example.hands_back]
    if bad and not (example.infinite and all(map(math.isinf, bad))):
        return f"silent: {bad[0]} in the result"
    if bad:
        example.used.add(("infinite", "", ""))
    nasty = TABLE[name]
    right, parameter = example.make(), walk.arguments(function)[argument]
    same = nasty.make(right.get(argument, parameter.default))
    if nasty.kind == "odd" or (same is None and parameter.default is None):
        return None
    if nasty.kind == "other":
        wanted = example.wanted or list(leaves(call(function, example.make())))
        example.wanted[:] = wanted
        alike = len(wanted) == len(found) and all(map(_alike, wanted, found))
        return None if alike else f"wrong: {found[:4]} for {wanted[:4]}"
    if name not in example.escape("allows", argument):
        return "silent: accepted"
    example.used.add(("allows", argument, name))
    return None


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
    return bool(a == b)


def leaves(result: Any, *, unknown: bool = False, depth: int = 0) -> Iterator[Any]:
    """Yield the numbers and words in a result, those of records too; infinity as 0 where it stands for not known."""
    if isinstance(result, bool | np.bool_ | str | bytes):
        yield result
    elif isinstance(result, int | float | np.number | np.ndarray | torch.Tensor):
        for number in _numbers(result):
            yield 0.0 if unknown and math.isinf(number) else number
    elif depth < 6 and result is not None and not isinstance(result, type):
        for name, each in _parts(result):
            if name not in TIMES:
                yield from leaves(each, unknown=unknown or name in UNKNOWN, depth=depth + 1)


def _numbers(result: Any) -> list[float]:
    """Return the numbers in a number, an array or a tensor."""
    if isinstance(result, int) and abs(result) >= 2**1000:
        return [2.0**1000]
    if isinstance(result, torch.Tensor):
        if result.is_meta or result.layout != torch.strided:
            return [math.nan]  # nothing that anybody could look at
        result = result.detach()
    found = np.asarray(result)
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
