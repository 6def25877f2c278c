"""How much faster the linear theory is than the obvious way, measured side by side in one run.

Run as a script: ``OMP_NUM_THREADS=1 python tests/benchmarks/bench_linear.py``. Every baseline is measured, not
assumed; where a slow one is scaled up from a part of its work, its result says so under "extrapolated".
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from prunekit.linear import LinearGaussian
from prunekit.linear.law import MinNormLaw
from prunekit.linear.least_squares import width_sweep
from prunekit.linear.strategies import Hessian, Magnitude

MAX_DRAWS = 200_000  # the most a sampling baseline really draws


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Return the median wall time of a call, after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def li_figure_1(p: int) -> MinNormLaw:
    """Return the law of li, Figure 1, λ = 5, κ = 5/3: flat but for the first tenth."""
    i = np.arange(1, p + 1)
    theta = (1 + 4 * i / p) ** -2.0
    scales = np.where(i <= p / 10, 5.0, 1.0)
    return LinearGaussian(scales**2, theta / scales / np.sqrt(np.sum(theta**2)), 0.1).characterize(p * 6 // 10)


def power_law(p: int) -> MinNormLaw:
    """Return a law with the spectrum 1/i and equal coefficients, κ = 5: few directions matter, each draw varies."""
    variances = 1.0 / np.arange(1, p + 1)
    return LinearGaussian(variances, np.full(p, variances.sum() ** -0.5), 0.1).characterize(p // 5)


def chang_figure_3b(p: int) -> MinNormLaw:
    """Return the law of chang, Figure 3b, at full width with σ² = 0.25, as the book's first page has it."""
    saliency = np.where(np.arange(p) < p // 10, 25.0, 1.0) / p
    return LinearGaussian(p * saliency, np.full(p, p**-0.5), 0.5).characterize(3 * p // 10)


def closed_against_sampled(
    name: str, law: MinNormLaw, strategy: Magnitude | Hessian, *, to: float, relative: bool = True
) -> dict[str, Any]:
    """Time the closed pruned risk against draw, prune, average to a standard error of `to` (`relative`: of the risk).

    The baseline draws and prunes all rows at once. How many it needs rests on how much a draw's risk varies: little
    where all directions matter alike (li, Figure 1), more where few do. To 1e-3 it is often enough; to 1e-6, which the
    closed form has at the same price, it needs a million times as many.
    """
    risk, error = law.risk(strategy, draws=2000, seed=0)
    needed = int(np.ceil(2000 * (error / (to * (risk if relative else 1.0))) ** 2))
    draws = max(2, min(needed, MAX_DRAWS))
    sampled = median_seconds(lambda: law.risk(strategy, draws=draws, seed=1), 3) * needed / draws
    closed = median_seconds(lambda: law.risk(strategy), 50)
    wanted = f"{to:.0e}".replace("e-0", "e-") + (" of the risk" if relative else "")
    return {
        "name": f"pruned risk, {name}, p = {law.problem.p}, {strategy}, to {wanted}",
        "unit": "s",
        "ours": closed,
        "baseline": sampled,
        "ratio": sampled / closed,
        "target": 1.0 if to > 1e-6 else 100.0,
        "draws_needed": needed,
        "extrapolated": draws < needed,
        "relative_gap": law.risk(strategy) / risk - 1,
        "relative_gap_error": error / risk,
    }


def sweep_against_lstsq(n: int = 300, p: int = 1000) -> dict[str, Any]:
    """Time every width from 0 to p in one sweep against numpy's least squares, one width at a time."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, p)), rng.standard_normal(n)
    widths = np.arange(p + 1)
    some = widths[1::5]  # an even fifth, scaled up
    start = time.perf_counter()
    slow = {int(k): np.linalg.lstsq(X[:, :k], y, rcond=None)[0] for k in some}
    baseline = (time.perf_counter() - start) * p / some.size
    found = width_sweep(X, y, widths)
    gaps = [np.linalg.norm(found[k, :k] - b) / np.linalg.norm(b) for k, b in slow.items() if abs(k - n) > 5]
    ours = median_seconds(lambda: width_sweep(X, y, widths), 5)
    return {
        "name": f"width sweep, n = {n}, p = {p}",
        "unit": "s",
        "ours": ours,
        "baseline": baseline,
        "ratio": baseline / ours,
        "target": 30.0,
        "extrapolated": True,
        "extrapolated_from": f"{some.size} of {p} widths",
        "largest_relative_gap": float(max(gaps)),
    }


MILLION = """
import json, resource, time
import numpy as np
start = time.perf_counter()
from prunekit.linear import LinearGaussian
from prunekit.linear.strategies import Magnitude
imported = time.perf_counter() - start
p = 10**6
rng = np.random.default_rng(0)
variances = np.exp(2 * rng.standard_normal(p))
beta = rng.standard_normal(p) / 1e3
start = time.perf_counter()
risk = LinearGaussian(variances, beta, 0.1).characterize(p // 2).risk(Magnitude(p // 10))
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kilobytes, on Linux
print(json.dumps({"seconds": seconds, "import_seconds": imported, "peak_gib": peak, "risk": risk}))
"""


def million_features() -> list[dict[str, Any]]:
    """Time the law and a pruned risk of 10^6 features of log-normal variances, in a fresh process; median of three."""
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", MILLION], check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    results = []
    for key, unit, target in (("seconds", "s", 1.0), ("peak_gib", "GiB", 1.0)):
        ours = statistics.median(run[key] for run in runs)
        results.append(
            {
                "name": f"law and pruned risk, p = 10^6, {key}",
                "unit": unit,
                "ours": ours,
                "baseline": None,
                "ratio": None,
                "target": target,
                "import_seconds": statistics.median(run["import_seconds"] for run in runs),
            }
        )
    return results


def benchmarks() -> list[dict[str, Any]]:
    """Return all results; `target` is the least ratio, or the most of `unit` where there is no baseline."""
    figure = chang_figure_3b(1000)
    return [
        *[
            closed_against_sampled(name, law, strategy, to=to, relative=name != "chang Figure 3b")
            for to in (1e-3, 1e-6)
            for name, law, strategy in (
                ("chang Figure 3b", figure, Magnitude(100)),
                ("chang Figure 3b", figure, Hessian(100)),
                ("li Figure 1", li_figure_1(200), Magnitude(20)),
                ("li Figure 1", li_figure_1(1000), Magnitude(100)),
                ("power law", power_law(1000), Magnitude(100)),
                ("power law", power_law(1000), Hessian(100)),
            )
        ],
        sweep_against_lstsq(),
        *million_features(),
    ]


if __name__ == "__main__":
    for result in benchmarks():
        print(json.dumps(result))
