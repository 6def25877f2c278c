"""How fast stable laws are drawn, and what ten million weights cost in time and memory, measured in one run.

Run as a script: ``OMP_NUM_THREADS=1 python tests/benchmarks/bench_stable.py``. Each reading of ten million weights is
made in a process of its own, whose peak memory beyond what it held before the weights is told in units of the weights.
Seconds are the CPU's (one thread), as in ``bench_nets``: those of a clock on an idle machine.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from prunekit.stable import sample

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = 10**7
ROUNDS = 3
READINGS = {
    "tail_index, one block size, no shuffle": "s.tail_index(x)",
    "layer_tail_index, 3162 × 3162, nine block sizes, five shuffles": "s.layer_tail_index(matrix, seed=0)",
    "compression_error, one share": "s.compression_error(x, 0.1)",
    "compression_error, twenty shares": "s.compression_error(x, np.linspace(0.05, 1, 20))",
    "smallest_kept": "s.smallest_kept(x, 0.1)",
    "column_error, 3162 × 3162": "s.column_error(matrix, 0.1)",
}
READING = """
import json, re, time
import numpy as np
import prunekit.stable as s
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])  # Linux
s.layer_tail_index(s.sample(1.7, (99, 9), seed=0), seed=0), s.smallest_kept([1.0, 2.0], 0.1)
before = peak()
x = s.sample(1.7, {weights}, seed=0)
matrix = x[: 3162 * 3162].reshape(3162, 3162)
start = time.process_time()
{call}
print(json.dumps({{"seconds": time.process_time() - start, "memory": (peak() - before) / x.nbytes}}))
"""


def drawing(alpha: float) -> dict[str, Any]:
    """Time a million draws against scipy's, in turns; the ratio is the median of the rounds'."""
    from scipy.stats import levy_stable

    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        sample(alpha, 10**6, seed=0)
        middle = time.process_time()
        levy_stable.rvs(alpha, 0, size=10**6, random_state=np.random.default_rng(0))
        times.append((middle - start, time.process_time() - middle))
    return {
        "name": f"a million stable draws, α = {alpha:g}, against scipy's levy_stable.rvs",
        "unit": "s",
        "ours": statistics.median(t[0] for t in times),
        "baseline": statistics.median(t[1] for t in times),
        "ratio": statistics.median(t[1] / t[0] for t in times),
        "target": 3.0,
    }


def reading(name: str) -> list[dict[str, Any]]:
    """Time one reading of ten million weights, and tell its peak memory, the weights included."""
    command = [sys.executable, "-c", READING.format(weights=WEIGHTS, call=READINGS[name])]
    runs = [
        json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        for _ in range(ROUNDS)
    ]
    return [
        {
            "name": f"10^7 weights, {name}, {key}",
            "unit": unit,
            "ours": statistics.median(run[key] for run in runs),
            "baseline": None,
            "ratio": None,
            "target": target,
        }
        for key, unit, target in (("seconds", "s", 1.0), ("memory", "times the weights", 3.0))
    ]


def benchmarks() -> list[dict[str, Any]]:
    """Return all results; `target` is the least ratio, or the most of `unit` where there is no baseline."""
    return [*map(drawing, (0.7, 1.7, 1.95)), *(result for name in READINGS for result in reading(name))]


if __name__ == "__main__":
    for result in benchmarks():
        print(json.dumps(result, ensure_ascii=False), flush=True)
