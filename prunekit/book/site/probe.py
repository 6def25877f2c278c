"""How fast this machine is, in about a second: ``python -m prunekit.book.site.probe`` prints CPU seconds.

The work is a mixture of what pages do: Python, products of small matrices, elementary functions, sorting. It is fixed,
so that the times of two machines can be compared; if it is changed, the recorded costs have to be made anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from prunekit.book.runs.kernel import SINGLE_THREADED

ROUNDS = 3  # the quickest counts: a core shared with others is slower, and never faster


def measured() -> float:
    """Return the CPU seconds of the probe's work on one core of this machine, in a process of its own."""
    command = [sys.executable, "-m", "prunekit.book.site.probe"]
    done = subprocess.run(command, env=os.environ | SINGLE_THREADED, capture_output=True, text=True, check=True)
    return float(done.stdout)


def work() -> float:
    """Return a number that took the probe's work to compute."""
    import numpy as np

    rng = np.random.default_rng(0)
    a, x = rng.standard_normal((160, 160), dtype=np.float32), rng.standard_normal(20_000)
    total = 0.0
    for i in range(20):
        b = a
        for _ in range(8):
            b = np.tanh(a @ b * np.float32(0.1))
        x = np.sort(np.sin(x + i))
        total += float(b.sum() + x[7])
        for j in range(10_000):
            total += j * 1e-9
    return total


def main() -> None:
    """Print the CPU seconds of the quickest round."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    print(f"{min(times):.4f}")


if __name__ == "__main__":
    main()
