"""What it costs to have a run executed: a grid of short runs through the process pool and through a local Dask cluster.

Each engine starts its two workers, executes every run in a kernel of its own, and ends; the whole is timed. What is
beyond the notebooks' own sleep, for each run, is the overhead: kernel, papermill, store, and the engine.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

RUNS, SECONDS, WORKERS = 64, 1.0, 2
NOTEBOOK = """\
---
kernelspec: {{name: python3, display_name: Python 3, language: python}}
---

```{{code-cell}} ipython3
:tags: [parameters]

seed = 0
```

```{{code-cell}} ipython3
import time

time.sleep({seconds})
```
"""


def grid(engine: str, runs: int, seconds: float) -> float:
    """Return the wall time of a grid of `runs` runs that sleep, on `WORKERS` workers of an engine."""
    from prunekit.book.runs import batch
    from prunekit.book.runs.engines import Choice
    from prunekit.book.runs.notebooks import read
    from prunekit.book.runs.opening import opened

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sleep.md"
        path.write_text(NOTEBOOK.format(seconds=seconds), encoding="utf-8")
        jobs = [batch.job(read(path), {"seed": seed}, Path(folder) / "runs") for seed in range(runs)]
        start = time.perf_counter()
        with opened(Choice(engine, WORKERS), jobs, lambda job: job.name) as executor:
            done = batch.run_all(jobs, executor)
        taken = time.perf_counter() - start
    if not all(run.finished for run in done):
        raise SystemExit(f"{engine}: a run failed: {next(run.error for run in done if not run.finished)}")
    return taken


def benchmarks(runs: int = RUNS, seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Measure the overhead of a run in both engines, and how much longer the grid takes through Dask."""
    taken = {engine: grid(engine, runs, seconds) for engine in ("processes", "dask")}
    what = f"a grid of {runs} runs of {seconds:g} s on {WORKERS} workers"
    rows = [
        {
            "name": f"{what}, overhead of a run, {words}",
            "unit": "s",
            "ours": taken[engine] * WORKERS / runs - seconds,
            "target": "for comparison" if engine == "processes" else "see the next row",
        }
        for engine, words in (("processes", "processes"), ("dask", "through Dask"))
    ]
    more = 100 * (taken["dask"] / taken["processes"] - 1)
    return [*rows, {"name": f"{what}, through Dask, longer than processes", "unit": "%", "ours": more, "target": 10}]


if __name__ == "__main__":  # with few short runs, to see that it works
    for row in benchmarks(4, 0.2):
        print(row)
