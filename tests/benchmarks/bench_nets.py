"""How fast networks train against the plain torch loop, and at what peak of memory, measured side by side.

Run as a script: ``OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_nets``. The baseline is what a tutorial writes:
a map-style set of PIL images with torchvision's transforms, a DataLoader, torch's optimizer; batches, augmentation,
optimizer and threads are those of `fit`, and neither side evaluates. Every side runs in a process of its own, which
tells its peak memory; sides take turns, and the median of the ratios within a turn counts. On the CPU seconds are the
process's (one thread, no worker processes): they are those of a clock on an idle machine, and less disturbed on a
busy one. Lines on CUDA, by the clock and with worker processes for the baseline, appear where torch finds a device.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from prunekit.nets import Config, Dataset, fit, fit_many, models

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 5
LAMBDAS = [2.0 ** (k / 2) for k in range(-4, 5)]


def now(device: str) -> float:
    """Return seconds: the process's on the CPU, the clock's once a CUDA device has done its work."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


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

    cuda = config.device != "cpu"
    workers = min(8, os.cpu_count() or 1) if cuda else 0
    loader = DataLoader(Pictures(), config.batch_size, shuffle=True, num_workers=workers, pin_memory=cuda)
    model.to(config.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.lr, momentum=config.momentum)
    began = now(config.device)
    total = right = 0.0
    for pixels_there, labels_there in loader:
        x, y = pixels_there.to(config.device, non_blocking=True), labels_there.to(config.device, non_blocking=True)
        scores = model(x)
        loss = nn.functional.cross_entropy(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        right += (scores.argmax(1) == y).sum().item()
    return now(config.device) - began


def ours(model: nn.Module, data: Dataset, config: Config) -> float:
    """Train one epoch with `fit`; return its seconds, less the evaluation that the plain loop does not have."""
    with patch("prunekit.nets.engine.score", lambda *_, **__: ([0.0], [0.0])):
        began = now(config.device)
        fit(model, data, config, progress=False)
        return now(config.device) - began


def two_layer(hidden: int, n: int, how: str) -> float:
    """Train a two-layer net on MNIST-shaped images."""
    data, model = images(n, (1, 28, 28)), models.two_layer(784, hidden)
    config = Config(epochs=1, lr=0.01)
    return ours(model, data, config) if how == "ours" else plain(model, data, config, augment=False)


def resnet(n: int, how: str, **options: Any) -> float:
    """Train ResNet-20 (width 16) on CIFAR-shaped images, cropped and flipped."""
    data, model = images(n, (3, 32, 32)), models.resnet20(16)
    config = Config(epochs=1, batch_size=128, lr=0.01, momentum=0.9, crop=4, flip=True, **options)
    return ours(model, data, config) if how == "ours" else plain(model, data, config, augment=True)


def formats(n: int, how: str) -> float:
    """Train ResNet-20 by `fit`, in the memory format it chooses or in the usual one."""
    return resnet(n, "ours") if how == "ours" else resnet(n, "ours", channels_last=False)


def nine(hidden: int, n: int, shape: tuple[int, int, int], epochs: int, how: str, device: str = "cpu") -> float:
    """Train nine λ-scaled two-layer nets, at once or one by one, evaluations included."""
    data = images(n, shape).to(device)
    nets = [models.two_layer(data.inputs, hidden, scale=scale) for scale in LAMBDAS]
    configs = [Config(epochs=epochs, lr=0.01 / max(s, 1 / s) ** 2, device=device) for s in LAMBDAS]
    began = now(device)
    if how == "ours":
        fit_many(nets, data, configs, progress=False)
    else:
        for net, config in zip(nets, configs, strict=True):
            fit(net, data, config, progress=False)
    return now(device) - began


@dataclass(frozen=True)
class Case:
    """What is compared, how many times faster it is to be, and where."""

    name: str
    run: Callable[[str], float]
    target: float
    device: str = "cpu"
    images: int = 0  # for a rate of images, and of operations
    precision: torch.dtype = torch.float32


LOOP = "against DataLoader and transforms"
SINGLY = "against one by one"
FAST = {"channels_last": True, "precision": "bf16", "compile": True}
CASES = [
    Case(f"two-layer net, 128 hidden, MNIST-shaped, {LOOP}", lambda how: two_layer(128, 20_000, how), 5.0),
    Case(f"two-layer net, 1024 hidden, MNIST-shaped, {LOOP}", lambda how: two_layer(1024, 10_000, how), 5.0),
    Case(f"ResNet-20 (16), CIFAR-shaped, crop and flip, {LOOP}", lambda how: resnet(640, how), 1.0),
    Case(
        "ResNet-20 (16), channels last (what fit chooses), against the usual format", lambda how: formats(640, how), 1.0
    ),
    *[
        Case(
            f"fit_many of nine λ, {hidden} hidden, {kind}-shaped, {SINGLY}",
            lambda how, hidden=hidden, n=n, shape=shape, epochs=epochs: nine(hidden, n, shape, epochs, how),
            1.0,
        )
        for hidden, kind, n, shape, epochs in (
            (128, "digits", 1437, (1, 8, 8), 5),
            (128, "MNIST", 5000, (1, 28, 28), 2),
            (1024, "MNIST", 2000, (1, 28, 28), 1),
        )
    ],
]
ON_CUDA = [
    Case(
        f"ResNet-20 (16), CIFAR-shaped, crop and flip, on CUDA, {LOOP}",
        lambda how: resnet(25_600, how, device="cuda"),
        5.0,
        "cuda",
        25_600,
    ),
    Case(
        f"ResNet-20 (16), the same with bf16, channels last and compilation, on CUDA, {LOOP}",
        lambda how: resnet(25_600, how, device="cuda", **FAST),
        5.0,
        "cuda",
        25_600,
        torch.bfloat16,
    ),
    Case(
        f"fit_many of nine λ, 1024 hidden, MNIST-shaped, on CUDA, {SINGLY}",
        lambda how: nine(1024, 20_000, (1, 28, 28), 3, how, "cuda"),
        3.0,
        "cuda",
    ),
]


def measure(name: str, how: str) -> None:
    """Run one side of a case, the first time to warm up, and print its seconds and peak memory."""
    torch.set_num_threads(1)
    (case,) = (each for each in (*CASES, *ON_CUDA) if each.name == name)
    case.run(how)
    if case.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    seconds = case.run(how)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kilobytes, on Linux
    found = {"seconds": seconds, "peak_gib": peak}
    if case.device != "cpu":
        found["device_peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        if case.images:
            found["images_per_second"] = case.images / seconds
            found["matrix_share"] = operations() * case.images / seconds / matrix_rate(case.precision)
    print(json.dumps(found))


def operations() -> float:
    """Return the floating-point operations of a step of ResNet-20 (16), by image, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    model, x = models.resnet20(16), torch.zeros(2, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        model(x).sum().backward()
    return counter.get_total_flops() / len(x)


def matrix_rate(precision: torch.dtype, size: int = 8192, repeats: int = 10) -> float:
    """Return operations per second of the device's products of square matrices in a precision."""
    a = torch.randn(size, size, device="cuda", dtype=precision)
    a @ a
    began = now("cuda")
    for _ in range(repeats):
        a @ a
    return 2 * size**3 * repeats / (now("cuda") - began)


def _apart(case: Case, how: str) -> dict[str, float]:
    """Measure one side in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_nets", case.name, how]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(case: Case) -> dict[str, Any]:
    """Measure both sides of a case in turns; the side that begins changes."""
    sides = ("ours", "baseline")
    rounds = [{how: _apart(case, how) for how in (sides if k % 2 else sides[::-1])} for k in range(ROUNDS)]

    def median(how: str, key: str) -> float:
        return statistics.median(each[how][key] for each in rounds)

    ratios = [each["baseline"]["seconds"] / each["ours"]["seconds"] for each in rounds]
    found = {
        "name": case.name,
        "unit": "s",
        "ours": median("ours", "seconds"),
        "baseline": median("baseline", "seconds"),
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "target": case.target,
    }
    for key in (k for k in rounds[0]["ours"] if k != "seconds"):
        found |= {key: median("ours", key), f"baseline_{key}": median("baseline", key)}
    return found


def cases() -> list[Case]:
    """Return what can be measured here, and say so where there is no CUDA device."""
    if torch.cuda.is_available():
        return [*CASES, *ON_CUDA]
    print("networks on CUDA: not measured, torch finds no device here", flush=True)
    return CASES


def benchmarks() -> list[dict[str, Any]]:
    """Return all results; `target` is the least ratio of the baseline's seconds to ours."""
    return [compare(case) for case in cases()]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(*sys.argv[1:])
    else:
        for one in cases():
            print(json.dumps(compare(one), ensure_ascii=False), flush=True)
