"""Worker processes as a `concurrent.futures.Executor`, each on its own.

`ProcessPoolExecutor` ends all its workers when one is killed, and the runs they were in with them. Here every slot
has a pool of one, so a killed worker costs its own run and no other; the slot is filled again at once.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from prunekit.runs.execution import prepare_worker


class Workers(Executor):
    """`count` spawned processes that die with their parent.

    A future is ``running()`` exactly while a worker is at it. Its result is `BrokenProcessPool` if that worker
    was killed.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"count is {count}: give at least one worker")
        self._threads = ThreadPoolExecutor(count)
        self._slot = threading.local()
        self._pools: list[ProcessPoolExecutor] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule ``fn(*args, **kwargs)`` on the next free worker."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the runs in flight end, then the workers."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pool = getattr(self._slot, "pool", None)
        if pool is None:
            context = multiprocessing.get_context("spawn")
            pool = self._slot.pool = ProcessPoolExecutor(1, mp_context=context, initializer=prepare_worker)
            self._pools.append(pool)
        try:
            return pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._slot.pool = None
            self._pools.remove(pool)
            pool.shutdown(wait=False)
            raise
