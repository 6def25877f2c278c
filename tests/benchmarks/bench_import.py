"""What importing costs: the median of fresh interpreters, with and without prunekit's core."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any


def seconds(statement: str, times: int = 7) -> float:
    """Return the median wall time of a fresh interpreter that executes `statement`."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def benchmarks() -> list[dict[str, Any]]:
    """Measure ``import prunekit`` and its core against an interpreter that imports nothing."""
    nothing = seconds("pass")
    statements = {
        "import prunekit": "import prunekit",
        "import prunekit, LinearGaussian and Magnitude": "from prunekit import LinearGaussian, Magnitude",
        "import numpy, for comparison": "import numpy",
    }
    return [
        {"name": name, "unit": "s", "ours": seconds(code) - nothing, "baseline": nothing, "target": "under 0.3 s"}
        for name, code in statements.items()
    ]
