"""Bars for long work: all are made here, and none is shown where nobody looks or where the work takes only seconds.

Somebody looks at a terminal, and at a notebook whose kernel was not started to make a page of the book.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prunekit import _checks

PATIENCE = 5.0  # seconds without a bar
PAGE = "PRUNEKIT_KERNEL"  # in the environment of a kernel that makes a page of the book; see book/runs/kernel.py
NOTEBOOK = "JPY_PARENT_PID"  # what Jupyter puts there for every kernel, and what that starts
T = TypeVar("T")


@contextmanager
def bar(what: str, total: int | None, unit: str, progress: bool | None = None, *, done: int = 0) -> Iterator[Any]:
    """Yield a bar that is told by `update(n)` what was done, of `total` if that is known.

    With `progress` None it is shown where somebody looks, after some seconds; with True always and at once, with False
    never.
    """
    shown = _watched() if progress is None else _checks.flag("progress", progress)
    if not shown:
        yield _Silent()
        return
    from tqdm import tqdm  # not tqdm.auto, which warns in a kernel without widgets

    delay = PATIENCE if progress is None else 0.0
    large = total is None or total >= 10**5
    with tqdm(total=total, initial=done, desc=what, unit=f" {unit}", unit_scale=large, delay=delay) as live:
        yield live


def each(what: str, items: Iterable[T], total: int, unit: str) -> Iterator[T]:
    """Yield items, of which there are `total`, under a bar that counts those that are done."""
    with bar(what, total, unit) as shown:
        for item in items:
            yield item
            shown.update(1)


class _Silent:
    """A bar that nobody would see."""

    n = 0

    def update(self, n: int = 1) -> None:
        """Count, and show nothing."""
        self.n += n

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Show nothing."""


def _watched() -> bool:
    """Return whether somebody may look at what is written."""
    if sys.stderr is None:  # as it is under pythonw
        return False
    if sys.stderr.isatty():
        return True
    return NOTEBOOK in os.environ and PAGE not in os.environ
