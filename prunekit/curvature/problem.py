"""A mean loss over data as a function of a network's parameters, whose second derivatives are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from prunekit.nets.convolutions import surviving
from prunekit.nets.losses import Mean

Kind = Literal["hessian", "gauss-newton"]
Product = Callable[[Tensor], Tensor]
Batches = Callable[[], Iterator[tuple[tuple[Any, ...], Tensor, float]]]

MOST_KEPT = 2**30  # bytes that are kept from one product to the next


class TooLarge(Exception):
    """What would be kept from one product to the next has more bytes than `MOST_KEPT`."""


class NotWritten(Exception):
    """A network, loss or label whose products are not written out."""


@dataclass(frozen=True)
class Problem:
    """A mean loss over data, as a function of some of a network's parameters.

    Attributes
    ----------
    model : Module
        The network, in evaluation mode; `parameters` are those of its parameters that require a gradient.
    loss : Mean
        The loss, a function of the outputs and labels.
    parameters : list of Parameter
        The parameters θ, of D numbers in all.
    batches : callable
        () -> the data as (inputs, labels, weight).
    total : float
        Sum of the weights.
    kind : str
        "hessian" or "gauss-newton".
    """

    model: nn.Module
    loss: Mean
    parameters: list[nn.Parameter]
    batches: Batches
    total: float
    kind: Kind

    def outputs(self, inputs: tuple[Any, ...]) -> Tensor:
        """Return the network's outputs."""
        with surviving(self.model):
            outputs: Tensor = self.model(*inputs)
        return outputs

    def split(self, vector: Tensor) -> list[Tensor]:
        """Return the parts of a vector (D,) in the parameters' shapes."""
        parts = vector.split([p.numel() for p in self.parameters])
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]
