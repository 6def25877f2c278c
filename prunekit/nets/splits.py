"""A data set's training split as batches that are normalized when they are read, so that its bytes stay bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from prunekit.nets.data import Dataset

_NUMBERS = 2**24  # in the images of one batch: 64 MB of floats


class TrainingSplit:
    """The training inputs and labels of a data set, not augmented, in batches that can be read again and again.

    Parameters
    ----------
    data : Dataset
        The data set, whose images stay bytes; a batch of them is normalized at a time.
    size : int, optional
        Samples in a batch; by default as many as 64 MB hold, at least one.

    Attributes
    ----------
    entries : tuple of str
        By what names a network takes the inputs; empty where it takes them in their order.
    """

    def __init__(self, data: Dataset, size: int | None = None) -> None:
        self.data = data
        self.size = size or max(1, _NUMBERS // max(1, data.train_x[0].numel()))
        self.entries = data.entries

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        """Yield (inputs, labels), images as floats, several inputs as a tuple."""
        pairs = zip(self.data.train_x.split(self.size), self.data.train_y.split(self.size), strict=True)
        return ((self.data.normalize(images), labels) for images, labels in pairs)
