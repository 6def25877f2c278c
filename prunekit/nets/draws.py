"""The random choices of an epoch, the batches that they make, and the precision that these run in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prunekit.nets.config import Config
from prunekit.nets.data import Dataset, crop, flip


@dataclass(frozen=True)
class Draw:
    """The random choices of one epoch: order of the examples (…, n) and how each batch position is augmented."""

    order: Tensor
    corners: Tensor | None = None
    turned: Tensor | None = None

    @staticmethod
    def of(config: Config, n: int, generator: torch.Generator) -> Draw:
        """Draw an epoch of n examples, on the CPU, whatever device will use it."""
        order = torch.randperm(n, generator=generator)
        corners = torch.randint(2 * config.crop + 1, (n, 2), generator=generator) if config.crop else None
        turned = torch.rand(n, generator=generator) < 0.5 if config.flip else None
        return Draw(order, corners, turned)

    @staticmethod
    def stack(draws: Sequence[Draw], device: torch.device) -> Draw:
        """Return several draws as one on a device; a single one keeps its axes."""

        def join(parts: Sequence[Tensor | None]) -> Tensor | None:
            there = [part for part in parts if part is not None]
            return (torch.stack(there) if len(there) > 1 else there[0]).to(device) if there else None

        order = join([draw.order for draw in draws])
        assert order is not None
        return Draw(order, join([draw.corners for draw in draws]), join([draw.turned for draw in draws]))

    def batches(
        self, data: Dataset, config: Config, normalized: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalized images (…, b, c, h, w) and labels (…, b), from `normalized` where all images are so kept."""
        lead = self.order.shape[:-1]
        axis = len(lead)
        for start in range(0, self.order.shape[-1], config.batch_size):
            length = min(config.batch_size, self.order.shape[-1] - start)
            chosen = self.order.narrow(axis, start, length).reshape(-1)
            x, y = (data.train_x if normalized is None else normalized)[chosen], data.train_y[chosen]
            if self.corners is not None:
                x = crop(x, self.corners.narrow(axis, start, length).reshape(-1, 2), config.crop)
            if self.turned is not None:
                x = flip(x, self.turned.narrow(axis, start, length).reshape(-1))
            x = shaped(data.normalize(x) if normalized is None else x, config)
            yield (x.view(*lead, length, *x.shape[1:]), y.view(*lead, length)) if lead else (x, y)


def shaped(x: Any, config: Config) -> Any:
    """Return images in the memory format asked for."""
    return x.contiguous(memory_format=torch.channels_last) if config.channels_last else x


def autocast(config: Config, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the precision that forward passes run in."""
    if config.precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
