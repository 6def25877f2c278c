"""What the pages cost: recorded CPU times, this machine's speed, and how long a build will take here.

``python -m prunekit.book.site.costs`` (``make costs``) writes ``book/costs.json`` from the runs that are there. A page
that is not in it counts as its last run did on this machine. All this is for information: costs that cannot be read,
or a speed that cannot be measured, stop no build.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import click

from prunekit._system import files
from prunekit.book import paths
from prunekit.book.runs.execution import device
from prunekit.book.scales import SCALES
from prunekit.book.site import probe
from prunekit.book.site.evidence import Page, wanted

CPU, MEMORY = "cpu_time_s", "peak_memory_bytes"
UNKNOWN_MEMORY = 2**30  # bytes of a page of which nothing is known
CGROUP = Path("/sys/fs/cgroup")  # a container sees its own limits there
_PROBE_FAILS = (OSError, ValueError, subprocess.CalledProcessError)


@dataclass(frozen=True)
class Costs:
    """CPU seconds of pages on this machine.

    Attributes
    ----------
    seconds
        The CPU seconds by the page's name.
    guessed
        Pages of which nothing is recorded and no run is there; they count as the middle one of the others.
    """

    seconds: dict[str, float]
    guessed: tuple[str, ...] = ()


def here(pages: Sequence[Page], scale: str) -> Costs:
    """Return what pages cost on this machine.

    Parameters
    ----------
    pages
        The pages to execute; with none, nothing is measured.
    scale
        Size of the experiments.
    """
    kept = recorded()
    known = kept.get("scales", {}).get(scale, {})
    factor = _factor(kept["probe_s"]) if any(p.name in known for p in pages) else 1.0
    estimates = {p.name: factor * known[p.name][CPU] if p.name in known else _last(p, scale) for p in pages}
    seconds = {name: value for name, value in estimates.items() if value is not None}
    middle = median(seconds.values()) if seconds else 0.0
    guessed = tuple(name for name, value in estimates.items() if value is None)
    return Costs(seconds | dict.fromkeys(guessed, middle), guessed)


def _factor(recorded_speed: float) -> float:
    """Return how many times slower this machine is than the one whose costs are recorded; 1 where the probe fails."""
    try:
        return probe.measured() / recorded_speed
    except _PROBE_FAILS as error:
        _say(f"this machine's speed cannot be measured ({error}): pages count as on the machine that recorded them")
        return 1.0


def _last(page: Page, scale: str) -> float | None:
    """Return the seconds of the page's last finished run at a scale, whatever its code was then."""
    record = _last_record(page, scale)
    return float(record.get(CPU, record["wall_time_s"])) if record else None


def _last_record(page: Page, scale: str) -> dict[str, Any] | None:
    runs = [r.record for r in page.job.store.runs() if r.finished and r.record["parameters"].get("scale") == scale]
    return runs[-1] if runs else None


def recorded() -> dict[str, Any]:
    """Return the recorded costs; empty where there are none, or where they cannot be read, of which a line warns."""
    try:
        kept = json.loads(paths.COSTS.read_text(encoding="utf-8"))
        if not (math.isfinite(kept["probe_s"]) and kept["probe_s"] > 0):
            raise ValueError("probe_s is no time")
        for pages in kept["scales"].values():
            for cost in pages.values():
                if not (cost[CPU] >= 0 and cost[MEMORY] >= 0):
                    raise ValueError("a cost is no number")
        return kept
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        _say(f"{paths.COSTS} cannot be read ({why}): no costs are known; `make costs` writes it again")
        return {}


@cache
def _say(words: str) -> None:
    """Say something once."""
    click.echo(words, err=True)


def forecast(seconds: Sequence[float], workers: int) -> float:
    """Return the wall time of jobs that begin in this order, each on the first worker that is free."""
    free = [0.0] * max(1, min(workers, len(seconds)))
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


def cores() -> int:
    """Return how many cores this process may use, a container's limit included."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, *period = _limit("cpu.max")
    return max(1, int(min(count, quota / period[0]))) if period else count


def _memory() -> float:
    """Return how many bytes of memory are free, or may be used in this container where that is less."""
    import psutil

    return min(psutil.virtual_memory().available, *_limit("memory.max"))


def _limit(name: str) -> list[float]:
    """Return the numbers in a file of this container's limits; infinity where there is none."""
    try:
        return [math.inf if word == "max" else float(word) for word in (CGROUP / name).read_text().split()] or [
            math.inf
        ]
    except (OSError, ValueError):
        return [math.inf]


def workers_here(scale: str) -> int:
    """Return how many pages to execute at a time: one for each core, as far as the memory goes."""
    known = recorded().get("scales", {}).get(scale, {})
    largest = max((cost[MEMORY] for cost in known.values()), default=UNKNOWN_MEMORY)
    fitting = max(1, int(_memory() // max(1, largest)))
    if fitting < cores():
        click.echo(f"{fitting} of {cores()} cores are used: a page may need {largest / 2**20:.0f} MiB of memory")
    return min(cores(), fitting)


def main() -> None:
    """Write what each page cost in its run as it is now, or else in its last run, or else as it was recorded."""
    kept = recorded()
    try:
        speed = probe.measured()
    except _PROBE_FAILS as error:
        sys.exit(f"this machine's speed cannot be measured ({error}): nothing is recorded")
    scales: dict[str, Any] = {}
    for scale in SCALES:
        pages = wanted(scale)
        before = kept.get("scales", {}).get(scale, {})
        now = {p.name: _of(p.run.record) for p in pages if p.run and CPU in p.run.record}
        last = {p.name: _last_record(p, scale) or {} for p in pages if p.name not in now}
        from_runs = now | {name: _of(record) for name, record in last.items() if CPU in record}
        factor = speed / kept["probe_s"] if kept else 1.0
        old = {p.name: before[p.name] for p in pages if p.name in before and p.name not in from_runs}
        scaled = {name: cost | {CPU: round(factor * cost[CPU], 1)} for name, cost in old.items()}
        scales[scale] = dict(sorted((scaled | from_runs).items()))
        earlier = f", {len(from_runs) - len(now)} of them by a run of earlier code" if len(from_runs) > len(now) else ""
        click.echo(f"{scale}: {len(from_runs)} of {len(pages)} pages have a run that says what it cost{earlier}")
    record = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "device": device(), "probe_s": speed}
    files.write(paths.COSTS, json.dumps(record | {"scales": scales}, indent=1) + "\n")


def _of(record: dict[str, Any]) -> dict[str, Any]:
    return {CPU: round(record[CPU], 1), MEMORY: record[MEMORY]}


if __name__ == "__main__":
    main()
