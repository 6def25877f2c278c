"""How fast networks train against the plain torch loop, and at what peak of memory, measured side by side.

Run as a script: ``OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_nets``. The baseline is what a tutorial writes:
a map-style set of PIL images with torchvision's transforms, a DataLoader, torch's optimizer. Every side runs in a
process of its own, which tells its peak memory; sides take turns, and medians are compared. Seconds are the CPU's
(one thread, no worker processes): they are those of a clock on an idle machine, and less disturbed on a busy one.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from prunekit.nets import Config, Dataset, fit, fit_many, models

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3
LAMBDAS = [2.0 ** (k / 2) for k in range(-4, 5)]


def images(n: int, shape: tuple[int, int, int]) -> Dataset:
    """Return random images in the shape of MNIST or CIFAR-10; the test split is one image, for it is not used."""
    g = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (n + 1, *shape), generator=g, dtype=torch.uint8)
    y = torch.randint(0, 10, (n + 1,), generator=g)
    c = shape[0]
    return Dataset("random", x[:n], y[:n], x[n:], y[n:], 10, torch.full((c,), 127.5), torch.full((c,), 73.9))


def plain(model: nn.Module, data: Dataset, config: Config, *, augment: bool) -> float:
    """Train one epoch the plain way; return its seconds."""
    from PIL import Image
    from torch.utils.data import DataLoader
    from torch.utils.data import Dataset as MapStyle
    from torchvision import transforms

    pixels = data.train_x.permute(0, 2, 3, 1).contiguous().numpy()
    labels = data.train_y.tolist()
    steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()] if augment else []
    ones = [1 / 2] * data.shape[0]
    transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(ones, ones)])

    class Pictures(MapStyle):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, k: int) -> tuple[torch.Tensor, int]:
            return transform(Image.fromarray(pixels[k].squeeze())), labels[k]

    loader = DataLoader(Pictures(), batch_size=config.batch_size, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.lr, momentum=config.momentum)
    began = time.process_time()
    total = right = 0.0
    for x, y in loader:
        scores = model(x)
        loss = nn.functional.cross_entropy(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        right += (scores.argmax(1) == y).sum().item()
    return time.process_time() - began


def ours(model: nn.Module, data: Dataset, config: Config) -> float:
    """Train one epoch with `fit`; return its seconds, less the evaluation that the plain loop does not have."""
    with patch("prunekit.nets.engine.score", lambda *_, **__: ([0.0], [0.0])):
        began = time.process_time()
        fit(model, data, config, progress=False)
        return time.process_time() - began


def two_layer(hidden: int, n: int, how: str) -> float:
    """Train a two-layer net on MNIST-shaped images."""
    data, model = images(n, (1, 28, 28)), models.two_layer(784, hidden)
    config = Config(epochs=1, lr=0.01)
    return ours(model, data, config) if how == "ours" else plain(model, data, config, augment=False)


def resnet(n: int, how: str, *, channels_last: bool) -> float:
    """Train ResNet-20 (width 16) on CIFAR-shaped images, cropped and flipped."""
    data, model = images(n, (3, 32, 32)), models.resnet20(16)
    config = Config(epochs=1, batch_size=128, lr=0.01, momentum=0.9, crop=4, flip=True, channels_last=channels_last)
    return ours(model, data, config) if how == "ours" else plain(model, data, config, augment=True)


def nine(hidden: int, n: int, shape: tuple[int, int, int], epochs: int, how: str) -> float:
    """Train nine λ-scaled two-layer nets, at once or one by one."""
    data = images(n, shape)
    nets = [models.two_layer(data.inputs, hidden, scale=scale) for scale in LAMBDAS]
    configs = [Config(epochs=epochs, lr=0.01 / max(s, 1 / s) ** 2, evaluate_every=1) for s in LAMBDAS]
    began = time.process_time()
    if how == "ours":
        fit_many(nets, data, configs, progress=False)
    else:
        for net, config in zip(nets, configs, strict=True):
            fit(net, data, config, progress=False)
    return time.process_time() - began


CASES: dict[str, tuple[Callable[[str], float], float]] = {
    "two-layer net, 128 hidden, MNIST-shaped, against DataLoader and transforms": (
        lambda how: two_layer(128, 20_000, how),
        5.0,
    ),
    "two-layer net, 1024 hidden, MNIST-shaped, against DataLoader and transforms": (
        lambda how: two_layer(1024, 10_000, how),
        1.0,
    ),
    "ResNet-20 (16), CIFAR-shaped, crop and flip, against DataLoader and transforms": (
        lambda how: resnet(640, how, channels_last=False),
        1.0,
    ),
    "ResNet-20 (16), the same with channels_last": (
        lambda how: resnet(640, how, channels_last=True),
        1.0,
    ),
    "fit_many of nine λ, 128 hidden, digits-shaped, against one by one": (
        lambda how: nine(128, 1437, (1, 8, 8), 5, how),
        1.0,
    ),
    "fit_many of nine λ, 128 hidden, MNIST-shaped, against one by one": (
        lambda how: nine(128, 5000, (1, 28, 28), 2, how),
        1.0,
    ),
    "fit_many of nine λ, 1024 hidden, MNIST-shaped, against one by one": (
        lambda how: nine(1024, 2000, (1, 28, 28), 1, how),
        1.0,
    ),
}


def measure(case: str, how: str) -> None:
    """Run one side of a case, the first time to warm up, and print its seconds and peak memory."""
    torch.set_num_threads(1)
    run, _ = CASES[case]
    run(how)
    seconds = run(how)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kilobytes, on Linux
    print(json.dumps({"seconds": seconds, "peak_gib": peak}))


def _apart(case: str, how: str) -> dict[str, float]:
    """Measure one side in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_nets", case, how]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(case: str) -> dict[str, Any]:
    """Measure both sides of a case in turns."""
    rounds = [{how: _apart(case, how) for how in ("ours", "baseline")} for _ in range(ROUNDS)]

    def median(how: str, key: str) -> float:
        return statistics.median(each[how][key] for each in rounds)

    return {
        "name": case,
        "unit": "s",
        "ours": median("ours", "seconds"),
        "baseline": median("baseline", "seconds"),
        "ratio": statistics.median(each["baseline"]["seconds"] / each["ours"]["seconds"] for each in rounds),
        "target": CASES[case][1],
        "peak_gib": median("ours", "peak_gib"),
        "baseline_peak_gib": median("baseline", "peak_gib"),
    }


def benchmarks() -> list[dict[str, Any]]:
    """Return all results; `target` is the least ratio of the baseline's seconds to ours."""
    return [compare(case) for case in CASES]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(*sys.argv[1:])
    else:
        for result in benchmarks():
            print(json.dumps(result, ensure_ascii=False), flush=True)
