"""Several inputs of a network, each a tensor with a row a sample, handled as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


class Several:
    """Tensors (n, …) of the same n samples: what indexes, cuts or moves this does so to each of them.

    Parameters
    ----------
    parts : sequence of tensors
        The inputs, in the order in which the network takes them.

    Raises
    ------
    ValueError
        If there is none, or their numbers of rows differ.
    """

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = tuple(parts)
        rows = {len(part) if part.ndim else -1 for part in self.parts}
        if len(rows) != 1 or -1 in rows:
            shapes = ", ".join(str(tuple(part.shape)) for part in self.parts) or "nothing"
            raise ValueError(f"the inputs have shapes {shapes}: give each one row a sample")

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.parts[0])

    def __getitem__(self, index: Any) -> Several:
        """Return some of the samples, one for a number."""
        return Several([part[index : index + 1] if isinstance(index, int) else part[index] for part in self.parts])

    def numel(self) -> int:
        """Return how many numbers there are in all inputs."""
        return sum(part.numel() for part in self.parts)

    def split(self, size: int) -> Iterator[Several]:
        """Yield the samples in parts of a size."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def to(self, device: torch.device) -> Several:
        """Return the inputs on a device."""
        return Several([part.to(device) for part in self.parts])

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.parts[0].device


def parts_of(x: Any) -> tuple[Tensor, ...]:
    """Return the tensors that inputs consist of: several, or one."""
    return x.parts if isinstance(x, Several) else (x,)


def several(parts: Sequence[Tensor]) -> Any:
    """Return inputs: the tensor itself where there is one."""
    return parts[0] if len(parts) == 1 else Several(parts)
