"""Pruning a trained network at many shares: single weights, singular values, kernels, columns.

Ranking is done once, whatever the number of shares. Before anything is ranked the authors of barsbey subtract each
layer's median, and what is pruned gets the median back (Section 5): ``fill="median"``. The definitions of the same
paper (Section 3.2) rank the weights themselves and set what is pruned to 0: ``fill="zero"``. Shares κ keep ⌈κ·total⌉.
For masks that are held through training see `prunekit.masks`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.nets import access, door
from prunekit.nets.access import Names, prunable
from prunekit.nets.data import dataset
from prunekit.nets.training import evaluate
from prunekit.stable import _arguments

Method = Literal["layer", "global", "singular values", "kernels", "columns"]
Fill = Literal["median", "zero"]
METHODS: tuple[Method, ...] = ("layer", "global", "singular values", "kernels", "columns")
At = Callable[[float], dict[str, Tensor]]  # share kept -> centred weights, pruned ones 0


def pruned_weights(
    model: nn.Module, shares: Sequence[float], method: Method, *, fill: Fill = "median", parameters: Names | None = None
) -> Iterator[dict[str, Tensor]]:
    """Yield the weights that a network would have if it were pruned to each share.

    Parameters
    ----------
    model : Module
        The trained network; it is not changed.
    shares : sequence of float
        What is kept, each in (0, 1].
    method : str
        What is ranked. "layer": the weights of each layer by magnitude; "global": those of all layers together;
        "singular values": those of each layer as a matrix (outputs, everything else), min(rows, columns) of them;
        "kernels": each layer's kernels (one for a filter and an input channel) by Euclidean norm; "columns": the
        columns of that matrix by Euclidean norm, which for a linear layer is node pruning.
    fill : str
        "median": each layer's median is subtracted before the ranking and is the value of what is pruned; "zero":
        nothing is subtracted and pruned weights are 0.
    parameters : names, optional
        Names of parameters or modules; by default every linear and convolutional weight.

    Yields
    ------
    dict of tensors
        The weights by parameter name, in the shapes and types of the model, on the CPU; half-precision weights are
        ranked and factored in single precision. At share 1 they are the model's own values, for singular values up to
        rounding.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, a weight is not finite, or kernels are asked of a layer that has none.

    Notes
    -----
    Source: barsbey, Section 3.2 and Section 5. Of equal magnitudes the first is kept.
    """
    _checks.choice("method", method, METHODS)
    _checks.choice("fill", fill, ("median", "zero"))
    listed = _checks.listed("shares", shares, "fractions")
    for share in listed:
        if not isinstance(share, float | np.floating):
            raise TypeError(f"shares holds {_checks.shown(share)}: give fractions, as floats above 0 and of at most 1")
        _arguments.kept("shares", share, 1, "weights")
    own = {name: p.cpu() for name, p in prunable(model, parameters).items()}
    weights = {name: p if p.dtype in (torch.float32, torch.float64) else p.float() for name, p in own.items()}
    for name, p in weights.items():
        _arguments.weights(f"model's {name}", p.numpy(), tuple(range(1, 9)))
    middles = {name: float(np.median(p.numpy())) if fill == "median" else 0.0 for name, p in weights.items()}
    centred = {name: p - middles[name] for name, p in weights.items()}
    at = _low_rank(centred) if method == "singular values" else _largest_groups(weights, centred, middles, method)
    for share in listed:
        pruned = at(float(share))
        if method == "singular values":
            pruned = {name: p + middles[name] for name, p in pruned.items()}
        yield {name: p.to(own[name].dtype) for name, p in pruned.items()}


def pruned_accuracy(
    model: nn.Module,
    data: Any,
    shares: Sequence[float],
    method: Method,
    *,
    fill: Fill = "median",
    parameters: Names | None = None,
) -> Floats:
    """Return the test accuracy (len(shares),) of a network after pruning, without retraining.

    Parameters
    ----------
    model : Module
        The trained network; it is not changed.
    data : Dataset or batches
        The data set on whose test split the network is evaluated. Of batches (a DataLoader, a pair, mappings:
        `Dataset.from_loader`) all are, read once.
    shares, method, fill, parameters
        As for `pruned_weights`.

    Raises
    ------
    TypeError, ValueError
        In the same cases as `pruned_weights`.
    """
    data = dataset(data)
    if not data.classifies:
        raise ValueError("data have no class a sample, and no accuracy: prunekit.limit.pruning_curve gives losses")
    data = data.to(next(iter(prunable(model, parameters).values())).device)
    twin, _ = door.widened(copy.deepcopy(access.module(model)), data)
    accuracies = []
    for weights in pruned_weights(model, shares, method, fill=fill, parameters=parameters):
        with torch.no_grad():
            for name, w in weights.items():
                twin.get_parameter(name).copy_(w)
        accuracies.append(evaluate(twin, data)[1])
    return np.array(accuracies)


def _low_rank(centred: Mapping[str, Tensor]) -> At:
    """Return what keeps the largest singular values of each layer."""
    factors = {name: torch.linalg.svd(p.flatten(1), full_matrices=False) for name, p in centred.items()}

    def at(share: float) -> dict[str, Tensor]:
        out = {}
        for name, (u, s, v) in factors.items():
            k = _arguments.kept("shares", share, len(s), "singular values")
            out[name] = ((u[:, :k] * s[:k]) @ v[:k]).reshape(centred[name].shape)
        return out

    return at


def _largest_groups(
    weights: Mapping[str, Tensor], centred: Mapping[str, Tensor], middles: Mapping[str, float], method: Method
) -> At:
    """Return what keeps the groups of weights of largest norm and puts the middle in place of the others."""
    norms = {name: _rows(name, p, method).norm(dim=1) for name, p in centred.items()}
    sizes = [len(v) for v in norms.values()]
    if method == "global":
        together = torch.argsort(torch.cat(list(norms.values())), descending=True, stable=True)
    else:
        orders = {name: torch.argsort(v, descending=True, stable=True) for name, v in norms.items()}

    def masks(share: float) -> dict[str, Tensor]:
        if method == "global":
            flat = torch.zeros(len(together), dtype=torch.bool)
            flat[together[: _arguments.kept("shares", share, len(flat), "weights")]] = True
            return dict(zip(weights, flat.split(sizes), strict=True))
        out = {}
        for name, order in orders.items():
            out[name] = torch.zeros(len(order), dtype=torch.bool)
            out[name][order[: _arguments.kept("shares", share, len(order), method)]] = True
        return out

    def at(share: float) -> dict[str, Tensor]:
        out = {}
        for name, kept in masks(share).items():
            w = weights[name]
            rows = torch.where(kept[:, None], _rows(name, w, method), middles[name])
            out[name] = (rows.T if method == "columns" else rows).reshape(w.shape)
        return out

    return at


def _rows(name: str, weight: Tensor, method: Method) -> Tensor:
    """Return a weight as (groups, size), each group kept or pruned as one."""
    if method == "kernels":
        if weight.ndim < 3:
            raise ValueError(f"{name!r} has shape {tuple(weight.shape)}, no kernels: name the convolutions alone")
        return weight.flatten(0, 1).flatten(1)
    return weight.flatten(1).T if method == "columns" else weight.reshape(-1, 1)
