"""Worker processes as a `concurrent.futures.Executor`, each in a pool of its own.

`ProcessPoolExecutor` ends all its workers when one is killed, and the runs they were in with them. Here every slot
has a pool of one, so a killed worker costs its own run and no other; the slot is filled again at once.
"""

from __future__ import annotations

import itertools
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any
from weakref import WeakKeyDictionary

from prunekit.book.runs.execution import prepare_worker


class Workers(Executor):
    """`count` spawned processes that die with their parent.

    A future's result is `BrokenProcessPool` if the worker that executed it was killed.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"count is {count}: give at least one worker")
        self._threads = ThreadPoolExecutor(count)
        self._slot = threading.local()
        self._numbers = itertools.count(1)
        self._pools: list[ProcessPoolExecutor] = []
        self._places: WeakKeyDictionary[Future[Any], list[str]] = WeakKeyDictionary()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule ``fn(*args, **kwargs)`` on the next free worker."""
        place: list[str] = []
        future = self._threads.submit(self._call, place, fn, args, kwargs)
        self._places[future] = place
        return future

    def where(self, future: Future[Any]) -> str | None:
        """Name the worker that executes a future's call; None when no worker does."""
        place = self._places.get(future)
        return place[0] if place and not future.done() else None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the runs in flight end, then the workers."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _call(self, place: list[str], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not hasattr(self._slot, "name"):
            self._slot.name, self._slot.pool = f"worker {next(self._numbers)}", None
        place.append(self._slot.name)
        pool = self._slot.pool
        if pool is None:
            context = multiprocessing.get_context("spawn")
            pool = self._slot.pool = ProcessPoolExecutor(
                1, mp_context=context, initializer=prepare_worker, initargs=(self._slot.name,)
            )
            self._pools.append(pool)
        try:
            return pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._slot.pool = None
            self._pools.remove(pool)
            pool.shutdown(wait=False)
            raise
