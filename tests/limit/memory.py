"""Measure what a network's landscape and pruning limit take beside the images: ``python -m tests.limit.memory IMAGES``.

Images are Tiny ImageNet's (64×64, three channels, 200 classes; 100,000 of them make its training split), of random
bytes. Printed is a JSON object: the bytes of the images, and how much higher the peak of the process is than it was
with a hundredth of the images.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time

import torch
from torch import nn

from prunekit import limit
from prunekit.nets import Dataset

CLASSES = 200
OPTIONS = limit.Lanczos(steps=2, probes=1, direction_steps=2, seed=0)


def images(count: int) -> Dataset:
    """Return a data set of so many training images of random bytes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.empty(count, 3, 64, 64, dtype=torch.uint8)
    for part in x.split(1000):
        part.random_(0, 256, generator=generator)
    y = torch.randint(CLASSES, (count,), generator=generator)
    moments = {"mean": torch.full((3,), 127.5), "std": torch.full((3,), 73.9)}
    return Dataset("random bytes", x, y, x[:100], y[:100], CLASSES, **moments)


def network() -> nn.Module:
    """Return a network whose Hessian (9,600 weights) is looked at by products, quick on many images."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, CLASSES))


def look(data: Dataset) -> None:
    """Ask for the landscape of the network, and for its pruning limit."""
    limit.network_landscape(network(), data, lanczos=OPTIONS)
    limit.pruning_limit(network(), data, nn.functional.cross_entropy, epsilon=0.1, lanczos=OPTIONS)


def peak() -> int:
    """Return the most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(count: int) -> dict[str, float]:
    """Return what so many images take: their bytes, the rise of the peak, the ratio, and seconds."""
    look(images(max(count // 100, 200)))
    gc.collect()
    before, began = peak(), time.monotonic()
    data = images(count)
    size = data.train_x.numel()
    look(data)
    rise = peak() - before
    return {"bytes": size, "rise": rise, "ratio": rise / size, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
