"""Weights of a torch module by layer, and a report of their tail indices; only its functions import torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunekit import _checks
from prunekit._checks import Seed
from prunekit._system import pictures
from prunekit.stable import _arguments
from prunekit.stable.tails import TailIndex, layer_tail_index

if TYPE_CHECKING:
    from torch import nn

    from prunekit.nets.access import Names
    from prunekit.statistics import Estimate

Weights = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TailReport:
    """Tail indices of a network.

    Attributes
    ----------
    layers : mapping from parameter name to TailIndex
        The tail index of each layer, in the model's order.
    alpha : float
        Their mean, with which the paper stands for the whole network (a heuristic, as it says).
    error : float
        Standard error of the mean, from those of the layers.
    by_size : Estimate
        Their mean weighted by the layers' numbers of weights, so that a small layer counts for little.
    coverage : str
        Which share of the network's parameters was looked at, and what the others are.
    """

    layers: dict[str, TailIndex]
    alpha: float
    error: float
    by_size: Estimate
    coverage: str = ""

    def __repr__(self) -> str:
        """Say the means over the layers."""
        return (
            f"TailReport({len(self.layers)} layers: mean {self.alpha:.3f} ± {self.error:.3f}, by size "
            f"{self.by_size.value:.3f} ± {self.by_size.error:.3f}; {self.coverage})"
        )

    def to_frame(self) -> dict[str, list[Any]]:
        """Return one row a layer in columns, which ``pandas.DataFrame`` takes as they are."""
        return {
            "layer": list(self.layers),
            "alpha": [index.alpha for index in self.layers.values()],
            "error": [index.error for index in self.layers.values()],
            "vectors": [index.rows for index in self.layers.values()],
            "length": [index.columns for index in self.layers.values()],
        }

    def plot(self, axes: Any = None) -> Any:
        """Draw the layers' tail indices with their errors, and return matplotlib's axes.

        Parameters
        ----------
        axes : matplotlib axes, optional
            Where to draw; by default on a new figure.
        """
        table = self.to_frame()
        axes = pictures.axes(axes, "layer", "tail index α")
        axes.errorbar(range(len(self.layers)), table["alpha"], yerr=table["error"], fmt="o", capsize=3, label="layers")
        axes.axhline(self.by_size.value, color="0.4", linestyle="--", label="mean by size")
        axes.set_xticks(range(len(self.layers)), table["layer"], rotation=45, ha="right")
        axes.legend()
        return axes

    def __str__(self) -> str:
        """Return a table with one layer a line."""
        width = max(len("weighted"), *(len(name) for name in self.layers))
        lines = [
            f"{name:{width}}  {index.alpha:6.3f} ± {index.error:.3f}  ({index.rows} vectors of {index.columns})"
            for name, index in self.layers.items()
        ]
        means = {"mean": (self.alpha, self.error), "weighted": (self.by_size.value, self.by_size.error)}
        return "\n".join([*lines, *(f"{name:{width}}  {a:6.3f} ± {e:.3f}" for name, (a, e) in means.items())])


def layer_weights(model: nn.Module, parameters: Names | None = None) -> dict[str, Weights]:
    """Return the weights of linear and convolutional modules by name, as arrays of their own shapes.

    Parameters
    ----------
    model : Module
        Any torch module; one that carries a mask must be baked first.
    parameters : names, optional
        Names of parameters or modules; by default every linear and convolutional weight, no biases or normalizations.

    Returns
    -------
    dict of arrays
        (outputs, inputs) for a linear layer, (outputs, inputs, height, width) for a convolution. float32 and float64
        weights on the CPU share their memory with the model's; do not write to them.

    Raises
    ------
    TypeError, ValueError
        If the model has no such weight, or one is not real or not finite.
    """
    from prunekit._system.with_torch import torch
    from prunekit.nets.access import prunable

    arrays = {}
    for name, p in prunable(model, parameters).items():
        if p.dtype.is_complex:
            raise TypeError(f"model's {name} is of kind {p.dtype}: give real weights")
        kind = p.dtype if p.dtype in (torch.float32, torch.float64) else torch.float32
        array = p.detach().to("cpu", kind).numpy()
        arrays[name] = _arguments.weights(f"model's {name}", array, tuple(range(1, 9)))
    return arrays


def as_matrix(weight: ArrayLike) -> Weights:
    """Return a weight as the matrix W_l (outputs, inputs): a convolution has one column for each input and offset.

    Parameters
    ----------
    weight : (outputs, …) array
        A weight with at least two axes.

    Raises
    ------
    TypeError, ValueError
        If it has fewer axes or holds something that is no finite number.
    """
    array = _arguments.weights("weight", weight, tuple(range(2, 9)))
    return array.reshape(len(array), -1)


def vectors(weight: ArrayLike) -> Weights:
    """Return a weight as the vectors that `layer_tail_index` takes, in the form of the authors' program.

    Parameters
    ----------
    weight : (outputs, inputs) or (outputs, inputs, …) array
        Of a linear layer the vectors are the rows, of a convolution its kernels, (outputs·inputs, height·width).

    Raises
    ------
    TypeError, ValueError
        If it has fewer than two axes or holds something that is no finite number.
    """
    array = _arguments.weights("weight", weight, tuple(range(2, 9)))
    return array if array.ndim == 2 else array.reshape(array.shape[0] * array.shape[1], -1)


def tail_report(
    model: nn.Module, *, seed: Seed = 0, parameters: Names | None = None, transpose_last: bool = True, **settings: Any
) -> TailReport:
    """Estimate the tail index of every layer of a network.

    Parameters
    ----------
    model : Module
        The network.
    seed : int, SeedSequence or Generator
        The source of the shuffles.
    parameters : names, optional
        Names of parameters or modules, as `layer_weights` takes them.
    transpose_last : bool
        Whether the last weight, if it is a matrix, is taken by its columns, one for each hidden unit. Default: yes, as
        in the authors' program; its rows are as few as the classes.
    **settings
        Settings of `layer_tail_index`: `blocks`, `shuffles`, `center` and `clip`, each with its default there.

    Raises
    ------
    TypeError, ValueError
        As `layer_weights` and `layer_tail_index` raise them; the message names the layer.
    """
    rng, transpose_last = _checks.generator(seed), _checks.flag("transpose_last", transpose_last)
    weights = layer_weights(model, parameters)
    last = list(weights)[-1]
    indices = {}
    for name, weight in weights.items():
        table = weight.T if transpose_last and name == last and weight.ndim == 2 else vectors(weight)
        try:
            indices[name] = layer_tail_index(table, seed=rng, **settings)
        except (ValueError, FloatingPointError) as reason:
            raise type(reason)(f"{name!r}: {reason}") from None
    from prunekit.nets.covered import said
    from prunekit.statistics import Estimate

    sizes = [weights[name].size for name in indices]
    each = list(indices.values())
    shares = [size / sum(sizes) for size in sizes]
    return TailReport(
        layers=indices,
        alpha=math.fsum(t.alpha for t in each) / len(each),
        error=math.sqrt(math.fsum(t.error**2 for t in each)) / len(each),
        by_size=Estimate(
            math.fsum(share * t.alpha for share, t in zip(shares, each, strict=True)),
            math.sqrt(math.fsum((share * t.error) ** 2 for share, t in zip(shares, each, strict=True))),
        ),
        coverage=said(model, indices),
    )
