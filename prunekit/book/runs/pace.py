"""How fast this machine trains and multiplies with Hessians: ``python -m prunekit.book.runs.pace DEVICE`` prints it.

The probe takes some seconds, in a process of its own that has one thread, as a run's kernel has. It times what runs are
made of: `prunekit.nets.fit` on a fully connected network and on a ResNet-20, products with the Hessian of the first,
and products of matrices in double precision. Other sizes are slower or faster by a factor of two or so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from prunekit.book.runs.kernel import SINGLE_THREADED
from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.plan import FORWARD_AND_BACK, PRODUCT, Work

LEAST = 0.4  # seconds of each measurement


@dataclass(frozen=True)
class Pace:
    """Floating-point operations a second.

    Attributes
    ----------
    name
        The device.
    dense, convolutions
        Of the trainer.
    curvature
        Of products with the Hessian of the fully connected network.
    matrices
        Of products of matrices in double precision, on the CPU.
    took
        Seconds of the probe.
    """

    name: str
    dense: float
    convolutions: float
    curvature: float
    matrices: float
    took: float

    def seconds(self, work: Work) -> float:
        """Return how long some work takes here; curvature of convolutions is slower as their training is."""
        rate = float(getattr(self, work.kind))
        return work.trained / rate + work.curved / (self.curvature * min(1.0, rate / self.dense))

    def __str__(self) -> str:
        """Say how fast the device is, in billions of operations a second."""
        rates = {"training": self.dense, "of convolutions": self.convolutions, "curvature": self.curvature}
        words = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in rates.items())
        return f"{self.name}: {words}, matrices {self.matrices / 1e9:.0f} GFLOP/s (measured in {self.took:.0f} s)"


def measured(device: str) -> Pace:
    """Return the pace of a device of this machine.

    Raises
    ------
    Refused
        If there is no such device.
    """
    command = [sys.executable, "-m", "prunekit.book.runs.pace", device]
    done = subprocess.run(command, env=os.environ | SINGLE_THREADED, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Refused(f"the speed of {device} cannot be measured: {said[-1]}")
    return Pace(**json.loads(done.stdout.splitlines()[-1]))


def probed(device: str) -> Pace:
    """Measure the pace of a device, in this process.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    import torch
    from torch import nn

    from prunekit.curvature import Curvature
    from prunekit.nets import Config, Dataset, fit, models
    from prunekit.nets.data import find_device

    began, on = time.perf_counter(), find_device(device)
    wait = torch.cuda.synchronize if on.type == "cuda" else _nothing

    def images(n: int, shape: tuple[int, int, int]) -> Dataset:
        draw = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (n + 16, *shape), dtype=torch.uint8, generator=draw)
        y = torch.arange(n + 16) % 10
        mean, std = torch.full(shape[:1], 127.0), torch.full(shape[:1], 74.0)
        return Dataset("probe", x[:n], y[:n], x[n:], y[n:], classes=10, mean=mean, std=std)

    def training(model: nn.Module, data: Dataset) -> float:
        def train(epochs: int) -> None:
            fit(
                model, data, Config(epochs=epochs, batch_size=128, lr=1e-3, momentum=0.9, device=device), progress=False
            )

        each = FORWARD_AND_BACK * multiplications(model, data.shape) * len(data.train_y)
        return each / _seconds(train, wait)

    digits = images(1024, (1, 28, 28))
    net = models.fcn(784, [1024, 1024], 10, seed=0)
    rates = {"dense": training(net, digits)}
    rates["convolutions"] = training(models.resnet20(16, seed=0), images(128, (3, 32, 32)))
    part = digits.normalize(digits.train_x[:512]).to(on), digits.train_y[:512].to(on)
    operator = Curvature(net.to(on), nn.functional.cross_entropy, part)
    v = torch.ones(operator.dimension, dtype=torch.float64, device=on)

    def multiply(times: int) -> None:
        for _ in range(times):
            operator.product(v)

    rates["curvature"] = PRODUCT * multiplications(net, digits.shape) * 512 / _seconds(multiply, wait)
    square = torch.eye(500, dtype=torch.float64) + 1e-3

    def square_up(times: int) -> None:
        for _ in range(10 * times):
            square @ square

    rates["matrices"] = 20 * 500**3 / _seconds(square_up, _nothing)
    name = torch.cuda.get_device_name(on) if on.type == "cuda" else "one core of the CPU"
    return Pace(name, **rates, took=time.perf_counter() - began)


def _nothing() -> None:
    """Wait for nothing: the CPU is done when a call returns."""


def _seconds(work: Callable[[int], None], wait: Callable[[], None]) -> float:
    """Return the seconds of one unit of work, after one to warm up."""
    work(1)
    times = 1
    while True:
        wait()
        began = time.perf_counter()
        work(times)
        wait()
        spent = time.perf_counter() - began
        if spent >= LEAST:
            return spent / times
        times = max(2 * times, int(1.2 * times * LEAST / max(spent, 1e-6)))


def multiplications(model: object, shape: tuple[int, ...]) -> int:
    """Return how many multiplications a network's layers take for one image (c, h, w), forwards."""
    import torch
    from torch import nn

    counts: list[int] = []

    def count(layer: nn.Module, given: object, out: torch.Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        counts.append(weight.numel() * out[0].numel() // len(weight))

    assert isinstance(model, nn.Module)
    layers = [part for part in model.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *shape, device=next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)


def main() -> None:
    """Print the pace of the device that the command names, as JSON."""
    try:
        print(json.dumps(asdict(probed(sys.argv[1]))))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
