"""What the pages cost: recorded CPU times, this machine's speed, and how long a build will take here.

``python -m prunekit.site.costs`` (``make costs``) writes ``book/costs.json`` from the runs that are there. A page that
is not in it counts as its last run did on this machine.
"""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import click

from prunekit import _files, paths
from prunekit.runs.execution import device
from prunekit.scales import SCALES
from prunekit.site import probe
from prunekit.site.evidence import Page, wanted

CPU, MEMORY = "cpu_time_s", "peak_memory_bytes"
UNKNOWN_MEMORY = 2**30  # bytes of a page of which nothing is known


@dataclass(frozen=True)
class Costs:
    """CPU seconds of pages on this machine.

    Attributes
    ----------
    seconds
        By the page's name.
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
    factor = probe.measured() / kept["probe_s"] if any(p.name in known for p in pages) else 1.0
    found = {p.name: factor * known[p.name][CPU] if p.name in known else _last(p, scale) for p in pages}
    seconds = {name: value for name, value in found.items() if value is not None}
    middle = median(seconds.values()) if seconds else 0.0
    guessed = tuple(name for name, value in found.items() if value is None)
    return Costs(seconds | dict.fromkeys(guessed, middle), guessed)


def _last(page: Page, scale: str) -> float | None:
    """Return the seconds of the page's last finished run at a scale, whatever its code was then."""
    runs = [r.record for r in page.job.store.runs() if r.finished and r.record["parameters"].get("scale") == scale]
    return float(runs[-1].get(CPU, runs[-1]["wall_time_s"])) if runs else None


def recorded() -> dict[str, Any]:
    """Return the recorded costs; empty where there are none."""
    return json.loads(paths.COSTS.read_text(encoding="utf-8")) if paths.COSTS.exists() else {}


def forecast(seconds: Sequence[float], workers: int) -> float:
    """Return the wall time of jobs that begin in this order, each on the first worker that is free."""
    free = [0.0] * max(1, min(workers, len(seconds)))
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_here(scale: str) -> int:
    """Return how many pages to execute at a time: one for each core, as far as the memory goes."""
    import psutil

    known = recorded().get("scales", {}).get(scale, {})
    largest = max((cost[MEMORY] for cost in known.values()), default=UNKNOWN_MEMORY)
    fitting = max(1, psutil.virtual_memory().available // max(1, largest))
    if fitting < cores():
        click.echo(f"{fitting} of {cores()} cores are used: a page may need {largest / 2**20:.0f} MiB of memory")
    return min(cores(), fitting)


def main() -> None:
    """Write the costs of the finished runs of the pages as they are now; pages without one keep what they had."""
    kept = recorded()
    speed = probe.measured()
    scales: dict[str, Any] = {}
    for scale in SCALES:
        pages = wanted(scale)
        before = kept.get("scales", {}).get(scale, {})
        found = {p.name: _of(p.run.record) for p in pages if p.run and CPU in p.run.record}
        factor = speed / kept["probe_s"] if kept else 1.0
        old = {p.name: before[p.name] for p in pages if p.name in before and p.name not in found}
        scaled = {name: cost | {CPU: round(factor * cost[CPU], 1)} for name, cost in old.items()}
        scales[scale] = dict(sorted((scaled | found).items()))
        click.echo(f"{scale}: {len(found)} of {len(pages)} pages have a run that says what it cost")
    record = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "device": device(), "probe_s": speed}
    _files.write(paths.COSTS, json.dumps(record | {"scales": scales}, indent=1) + "\n")


def _of(record: dict[str, Any]) -> dict[str, Any]:
    return {CPU: round(record[CPU], 1), MEMORY: record[MEMORY]}


if __name__ == "__main__":
    main()
