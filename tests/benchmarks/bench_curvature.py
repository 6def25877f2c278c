"""How fast products with a Hessian are, and how fast and true its spectrum, against others at equal steps, in one run.

A product is held against curvlinops' and against PyHessian's way (written here in a few lines: it is not installed).

Run as a script: ``OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_curvature``. Both sides use curvlinops' products
with the same network and data, as many random vectors and as many steps; curvlinops' function is given the bounds of
the spectrum, so that it need not search for them, and reads a smoothed density off a grid. The network of 2,410
parameters is small enough for the dense matrix, which judges both; the larger one is timed only. Sides take turns, the
median of the ratios within a turn counts, and seconds are the CPU's (one thread), as in ``bench_nets``.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from prunekit.curvature import Curvature, spectrum
from prunekit.importance import hessian_matrix
from prunekit.nets import Config, fit, load, models

ROUNDS = 3
PROBES = 4
RATIO = 0.01  # 2ε/R² of the published sum, as at a trained network's limit
OTHER = "hessian_eigenthings"
Batch = tuple[torch.Tensor, torch.Tensor]


def bounds(of: Curvature) -> tuple[float, float]:
    """Return the least and the largest eigenvalue, well enough for a grid."""
    nodes = spectrum(of, steps=40, probes=1, progress=False).pooled.nodes
    return float(nodes[0]), float(nodes[-1])


def curvlinops_density(model: nn.Module, batch: Batch, steps: int, limits: tuple[float, float]) -> Any:
    """Return curvlinops' grid and density, from as many probes as ours."""
    from curvlinops import HessianLinearOperator
    from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum

    parameters = list(model.parameters())
    operator = HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, [batch], check_deterministic=False)
    torch.manual_seed(0)
    return lanczos_approximate_spectrum(operator, steps, num_repeats=PROBES, boundaries=limits)


def race(model: nn.Module, batch: Batch, steps: int) -> tuple[dict[str, Any], float, float]:
    """Time both sides in turns; return the times and each one's share Σ r²/(R² + r²) / D."""
    operator = Curvature(model, F.cross_entropy, batch, batch_size=len(batch[1]))
    limits = bounds(operator)
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        found = spectrum(operator, steps=steps, probes=PROBES, seed=0, progress=False)
        middle = time.process_time()
        grid, density = curvlinops_density(model, batch, steps, limits)
        times.append((middle - start, time.process_time() - middle))
    ours = found.integrate(published).value / operator.dimension
    h = grid.double().numpy()
    theirs = float(np.trapezoid(published(h) * density.double().numpy(), h))
    result = {
        "unit": "s",
        "ours": statistics.median(t[0] for t in times),
        "baseline": statistics.median(t[1] for t in times),
        "ratio": statistics.median(t[1] / t[0] for t in times),
        "target": 1.0,
    }
    return result, ours, theirs


def published(h: np.ndarray) -> np.ndarray:
    """Return r²/(R² + r²) of each eigenvalue, with its modulus, as the authors' program has it."""
    return RATIO / (RATIO + np.abs(h))


def small(steps: int) -> list[dict[str, Any]]:
    """Return time and error on a trained digits net, 64-32-10."""
    data = load("digits")
    model = models.fcn(64, (32,), bias=True)
    fit(model, data, Config(epochs=40, lr=0.1, momentum=0.9, l1=1e-4), progress=False)
    batch = (data.normalize(data.train_x), data.train_y)
    timed, ours, theirs = race(model, batch, steps)
    double = models.fcn(64, (32,), bias=True)
    double.load_state_dict(model.state_dict())
    dense = np.linalg.eigvalsh(hessian_matrix(double.double(), F.cross_entropy, (batch[0].double(), batch[1])).numpy())
    truth = float(published(dense).mean())
    name = f"Hessian's spectrum, 64-32-10 on digits, {PROBES} probes of {steps} steps, against curvlinops"
    errors = abs(ours - truth), abs(theirs - truth)
    accuracy = {"unit": "of D", "ours": errors[0], "baseline": errors[1], "ratio": errors[1] / errors[0], "target": 1.0}
    return [
        {"name": name, **timed},
        {"name": f"the same, error of Σ r²/(R² + r²) where R² = {2 / RATIO:g} ε", **accuracy},
    ]


def large(steps: int) -> list[dict[str, Any]]:
    """Return time on a net of 266,200 weights and a thousand random images."""
    model = models.fcn(784, (300, 100), seed=0)
    g = torch.Generator().manual_seed(0)
    batch = torch.randn(1000, 1, 28, 28, generator=g), torch.randint(0, 10, (1000,), generator=g)
    timed, _, _ = race(model, batch, steps)
    return [
        {"name": f"Hessian's spectrum, 784-300-100-10, {PROBES} probes of {steps} steps, against curvlinops", **timed}
    ]


def networks() -> dict[str, tuple[nn.Module, Batch]]:
    """Return four networks by name, each with a batch."""
    g = torch.Generator().manual_seed(0)

    def batch(n: int, *shape: int) -> Batch:
        return torch.randn(n, *shape, generator=g), torch.randint(0, 10, (n,), generator=g)

    return {
        "64-32-10, 256 samples": (models.fcn(64, (32,), seed=0), batch(256, 1, 8, 8)),
        "784-300-100-10, 256 samples": (models.fcn(784, (300, 100), seed=0), batch(256, 1, 28, 28)),
        "CNN, 256 samples": (models.cnn((1, 28, 28), (16, "M", 32, "M", 32), seed=0), batch(256, 1, 28, 28)),
        "ResNet-18, 64 samples of 32 x 32": (models.resnet18(10, seed=0), batch(64, 3, 32, 32)),
    }


def keeps_graph(model: nn.Module, batch: Batch) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return PyHessian's product: the gradient's graph is made once, and differentiated again."""
    parameters = list(model.parameters())
    sizes = [p.numel() for p in parameters]
    loss = F.cross_entropy(model(batch[0]), batch[1])
    slopes = torch.autograd.grad(loss, parameters, create_graph=True)

    def product(v: torch.Tensor) -> torch.Tensor:
        parts = [part.view(p.shape) for part, p in zip(v.split(sizes), parameters, strict=True)]
        again = torch.autograd.grad(slopes, parameters, grad_outputs=parts, retain_graph=True)
        return torch.cat([part.flatten() for part in again])

    return product


def products() -> list[dict[str, Any]]:
    """Time a product of the Hessian and a vector against curvlinops' and against PyHessian's way, in turns."""
    from curvlinops import HessianLinearOperator

    results = []
    for name, (model, batch) in networks().items():
        model.eval()
        ours = Curvature(model, F.cross_entropy, batch, batch_size=len(batch[1]))
        linear = HessianLinearOperator(
            model, nn.CrossEntropyLoss(), list(model.parameters()), [batch], check_deterministic=False
        )
        ways = {"": ours.product, "curvlinops": lambda v, of=linear: of @ v, "PyHessian's": keeps_graph(model, batch)}
        v = torch.randn(ours.dimension, generator=torch.Generator().manual_seed(1))
        times: dict[str, list[float]] = {way: [] for way in ways}
        exact = ways["curvlinops"](v)
        for way, product in ways.items():
            assert torch.allclose(product(v).float(), exact, atol=1e-4 * float(exact.abs().max())), way
        for _ in range(5 * ROUNDS):
            for way, product in ways.items():
                start = time.process_time()
                product(v)
                times[way].append(time.process_time() - start)
        for way, target in (("curvlinops", 1.5), ("PyHessian's", 1.0)):
            ratios = [other / own for other, own in zip(times[way], times[""], strict=True)]
            results.append(
                {
                    "name": f"product with the Hessian, {name}, against {way}",
                    "unit": "s",
                    "ours": statistics.median(times[""]),
                    "baseline": statistics.median(times[way]),
                    "ratio": statistics.median(ratios),
                    "target": target,
                }
            )
    return results


def eigenthings() -> list[dict[str, Any]]:
    """Say that hessian-eigenthings cannot be compared with, or compare if somebody has installed it from its source."""
    if importlib.util.find_spec(OTHER) is None:
        print("hessian-eigenthings is not on PyPI and not installed: NOT compared", file=sys.stderr)
        return []
    algorithms = importlib.import_module(f"{OTHER}.algorithms.spectral_density")
    operators = importlib.import_module(f"{OTHER}.operators")
    steps, data = 80, load("digits")
    model, batch = models.fcn(64, (32,), bias=True), (data.normalize(data.train_x), data.train_y)
    theirs = operators.HessianOperator(
        model=model, dataloader=[batch], loss_fn=lambda net, b: F.cross_entropy(net(b[0]), b[1])
    )
    ours = Curvature(model, F.cross_entropy, batch, batch_size=len(batch[1]))
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        spectrum(ours, steps=steps, probes=PROBES, progress=False)
        middle = time.process_time()
        algorithms.spectral_density(theirs, num_runs=PROBES, lanczos_steps=steps, seed=0)
        times.append((middle - start, time.process_time() - middle))
    return [
        {
            "name": f"Hessian's spectrum, 64-32-10 on digits, {PROBES} probes of {steps} steps, hessian-eigenthings",
            "unit": "s",
            "ours": statistics.median(t[0] for t in times),
            "baseline": statistics.median(t[1] for t in times),
            "ratio": statistics.median(t[1] / t[0] for t in times),
            "target": 1.0,
        }
    ]


def benchmarks() -> list[dict[str, Any]]:
    """Return all results; `target` is the least ratio."""
    return [*products(), *small(80), *large(20), *eigenthings()]


if __name__ == "__main__":
    for result in benchmarks():
        print(json.dumps(result, ensure_ascii=False), flush=True)
