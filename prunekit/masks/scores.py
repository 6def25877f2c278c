"""Scores: one number a weight, by parameter name; a mask keeps the weights that score highest.

What is prunable, unless parameters are named: the weights of linear and convolutional modules, but no biases and
no weights of normalizations. Any mapping from parameter names to tensors serves as scores; these are the usual ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from prunekit import importance
from prunekit._checks import Seed
from prunekit.nets import access
from prunekit.nets.access import Names, prunable


def magnitude(model: nn.Module, *, parameters: Names | None = None) -> dict[str, Tensor]:
    """Return |θ_i| of each prunable weight, which orders them as θ_i² does and does not underflow.

    Parameters
    ----------
    model : Module
        The network at θ.
    parameters : names, optional
        As for `prunable`.

    Raises
    ------
    TypeError, ValueError
        In the same cases as `prunable`, and if a weight is not finite.

    Notes
    -----
    Source: li, Definitions 2.2 and 2.3, magnitude-based pruning.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
    >>> magnitude(layer)
    {'weight': tensor([[3., 4.]])}
    """
    sizes = {name: p.abs() for name, p in prunable(model, parameters).items()}
    for name, p in sizes.items():
        if not bool(torch.isfinite(p).all()):
            raise ValueError(f"model has a weight in {name!r} that is not finite: give finite weights")
    return sizes


def hessian(
    model: nn.Module, diagonal: importance.Diagonal | Mapping[str, Tensor], *, parameters: Names | None = None
) -> dict[str, Tensor]:
    """Return H_ii θ_i² of each prunable weight, in double precision.

    Parameters
    ----------
    model : Module
        The network at θ.
    diagonal : Diagonal or mapping from name to tensor
        H_ii of the prunable weights at least.
    parameters : names, optional
        As for `prunable`.

    Raises
    ------
    TypeError, ValueError
        If the diagonal lacks a prunable parameter or does not fit the model.

    Notes
    -----
    Source: li, Definitions 2.2 and 2.3, Hessian-based pruning.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
    >>> hessian(layer, {"weight": torch.tensor([[2.0, 1.0]])})
    {'weight': tensor([[18., 16.]], dtype=torch.float64)}
    """
    weighed = importance.saliencies(model, diagonal)
    wanted = prunable(model, parameters)
    for name in wanted:
        if name not in weighed:
            raise ValueError(f"diagonal lacks {name!r}: give it for each prunable parameter")
    return {name: weighed[name] for name in wanted}


def random(model: nn.Module, seed: Seed, *, parameters: Names | None = None) -> dict[str, Tensor]:
    """Return independent uniform numbers, so that a mask keeps a uniformly random set.

    Parameters
    ----------
    model : Module
        The network, of which only the shapes matter.
    seed : int, SeedSequence or Generator
        Where the numbers come from; they are the same on every device.
    parameters : names, optional
        As for `prunable`.

    Examples
    --------
    >>> from torch import nn
    >>> once, again = (random(nn.Linear(2, 1), seed=0)["weight"] for _ in range(2))
    >>> once.shape, bool((once == again).all())
    (torch.Size([1, 2]), True)
    """
    drawn = access.generator(seed)
    weights = prunable(model, parameters)
    return {name: torch.rand(p.shape, generator=drawn, dtype=torch.float64) for name, p in weights.items()}
