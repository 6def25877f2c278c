"""Reading what is finished while the rest of the book is still being executed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from prunekit.book.runs.execution import Job
from prunekit.book.runs.store import Run
from prunekit.book.site.evidence import Page

SHARE = 10  # a build of the site is followed by a pause of at least this many times its own length
PAUSE = 120.0  # seconds that the pause takes at least: most of the machine is for the pages


class EarlySites:
    """Builds the site of the pages that are finished, beside the runs; a `prunekit.book.runs.batch.Progress`.

    Parameters
    ----------
    pages
        All pages to show in the end, with the runs that exist.
    build
        Builds the site of these pages, of which some have no run; returns whether that went well. Called on a thread
        of its own, one call at a time.
    """

    def __init__(self, pages: Sequence[Page], build: Callable[[list[Page]], bool]) -> None:
        self._pages = list(pages)
        self._build = build
        self._shown = 0
        self._next = 0.0
        self._thread: threading.Thread | None = None

    def __call__(self, running: Sequence[tuple[Job, str]], one: Job | None, run: Run | None) -> None:
        """Take note of a run that ended, and build the site when it is time and there is something new to read."""
        if one and run:
            self._pages = [replace(p, run=run) if p.job.key == one.key else p for p in self._pages]
        done = sum(p.run is not None for p in self._pages)
        busy = self._thread is not None and self._thread.is_alive()
        if self._shown < done < len(self._pages) and not busy and time.monotonic() >= self._next:
            self._shown = done
            self._thread = threading.Thread(target=self._work, args=(list(self._pages),))
            self._thread.start()

    def close(self) -> None:
        """Wait for a build that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _work(self, pages: list[Page]) -> None:
        began = time.monotonic()
        try:
            if not self._build(pages):
                self._shown = len(pages)  # the build at the end will say what is wrong
        except Exception:  # a full disk, a run that was damaged meanwhile: the end of the command says it
            self._shown = len(pages)
        finally:
            self._next = time.monotonic() + max(PAUSE, SHARE * (time.monotonic() - began))
