"""What the report's parts cost beside WeightWatcher, curvlinops and Torch-Pruning, in one run.

Run as a script: ``OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_diagnosis``. WeightWatcher and Torch-Pruning are
no dependencies: whichever is missing is said to be not compared. Sides take turns, the median of the ratios within a
turn counts, and seconds are the CPU's (one thread). What the sides compute is not the same where their theories differ:
the names say what each gives.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import statistics
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from prunekit.diagnosis.tails import tails
from prunekit.importance import hessian_diagonal, hessian_matrix
from prunekit.nets import Config, fit, load, models

ROUNDS = 3
PROBES = 1000  # of curvlinops' estimate of a diagonal
SAMPLES = 128
Row = dict[str, Any]


def there(module: str, name: str) -> bool:
    """Return whether a peer is installed; say it aloud if not."""
    found = importlib.util.find_spec(module) is not None
    if not found:
        print(f"{name} is not installed: NOT compared", file=sys.stderr)
    return found


def turns(ours: Callable[[], object], theirs: Callable[[], object]) -> Row:
    """Time both sides in turns."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        ours()
        middle = time.process_time()
        theirs()
        times.append((middle - start, time.process_time() - middle))
    return {
        "unit": "s",
        "ours": statistics.median(t[0] for t in times),
        "baseline": statistics.median(t[1] for t in times),
        "ratio": statistics.median(t[1] / t[0] for t in times),
        "target": 1.0,
    }


def peak(do: Callable[[], object]) -> float:
    """Return the most memory (MB) that numpy and Python held on the way."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def weights_only() -> list[Row]:
    """Time the weights' part on 784-1000-1000-10 against WeightWatcher's `analyze`."""
    if not there("weightwatcher", "WeightWatcher"):
        return []
    watcher = importlib.import_module("weightwatcher")
    model = models.fcn(784, (1000, 1000), seed=0)
    layers = [w.detach().numpy() for w in model.parameters()]

    def ours() -> None:
        for w in layers:
            tails(w, last=w is layers[-1], seed=0)

    def theirs() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            watcher.WeightWatcher(model=model).analyze()

    name = "784-1000-1000-10: stable tail indices with errors, against WeightWatcher's power laws of singular values"
    memory = {"unit": "MB", "ours": peak(ours), "baseline": peak(theirs), "target": 1.0}
    return [
        {"name": name, **turns(ours, theirs)},
        {"name": f"{name}, peak memory", **memory, "ratio": memory["baseline"] / memory["ours"]},
    ]


def trained() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """Return a net of 2,410 parameters trained on the digits, and a batch."""
    data = load("digits", seed=0)
    model = models.fcn(64, (32,), bias=True, seed=0)
    fit(model, data, Config(epochs=40, lr=0.1, momentum=0.9, l1=1e-4), progress=False)
    return model, (data.normalize(data.train_x[:SAMPLES]), data.train_y[:SAMPLES])


def diagonal() -> list[Row]:
    """Time and error of the Hessian's diagonal against curvlinops' Hutchinson estimate, judged by the dense matrix."""
    from curvlinops import HessianLinearOperator, hutchinson_diag

    model, batch = trained()
    double, exact = models.fcn(64, (32,), bias=True), (batch[0].double(), batch[1])
    double.load_state_dict(model.state_dict())
    truth = np.diag(hessian_matrix(double.double(), F.cross_entropy, exact).numpy())
    found: dict[str, np.ndarray] = {}

    def ours() -> None:
        values = hessian_diagonal(model, F.cross_entropy, [batch], method="gauss-newton").values
        found["ours"] = torch.cat([values[name].flatten() for name, _ in model.named_parameters()]).numpy()

    def theirs() -> None:
        torch.manual_seed(0)
        parameters = list(model.parameters())
        operator = HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, [batch], check_deterministic=False)
        found["theirs"] = hutchinson_diag(operator, PROBES).detach().numpy()

    timed = turns(ours, theirs)
    errors = {side: float(np.linalg.norm(d - truth) / np.linalg.norm(truth)) for side, d in found.items()}
    name = f"Hessian's diagonal, 64-32-10 on {SAMPLES} digits, against curvlinops' estimate from {PROBES} probes"
    accuracy = {"unit": "of its norm", "ours": errors["ours"], "baseline": errors["theirs"], "target": 1.0}
    return [
        {"name": name, **timed},
        {"name": f"{name}, error", **accuracy, "ratio": errors["theirs"] / errors["ours"]},
    ]


def units() -> list[Row]:
    """Time saliencies of every weight against Torch-Pruning's squared gradients, sample by sample, on a small CNN."""
    if not there("torch_pruning", "Torch-Pruning"):
        return []
    pruning = importlib.import_module("torch_pruning")
    data = load("digits", seed=0)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    )  # fmt: skip
    x, y = data.normalize(data.train_x[:SAMPLES]).reshape(-1, 1, 8, 8), data.train_y[:SAMPLES]

    def ours() -> None:
        hessian_diagonal(model, F.cross_entropy, [(x, y)], method="gauss-newton")

    def theirs() -> None:
        importance = pruning.importance.GroupHessianImportance()
        for one in F.cross_entropy(model(x), y, reduction="none"):
            model.zero_grad()
            one.backward(retain_graph=True)
            importance.accumulate_grad(model)

    name = f"small CNN on {SAMPLES} digits: Gauss-Newton diagonal, against Torch-Pruning's squared gradients"
    return [{"name": name, **turns(ours, theirs)}]


def benchmarks() -> list[Row]:
    """Return all results; `target` is the least ratio."""
    return [*weights_only(), *diagonal(), *units()]


if __name__ == "__main__":
    for result in benchmarks():
        print(json.dumps(result, ensure_ascii=False), flush=True)
