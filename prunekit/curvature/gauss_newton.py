"""The diagonal of the Gauss-Newton matrix of one batch, from the network's Jacobian.

There are three ways to the Jacobian of the outputs f_n (K,) of a sample: many samples at once by torch.func; one at a
time, where torch cannot vectorize a layer (PReLU, recurrent layers); and through the whole batch, where the network
mixes its samples (batch normalization on batch statistics), so that f_n depends on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from prunekit.nets import access
from prunekit.nets.access import Loss
from prunekit.nets.losses import Mean
from prunekit.nets.structure import Rows

ENTRIES_AT_ONCE = 2**24  # in the largest intermediate tensor: 128 MB in double precision
_Outputs = Callable[[Mapping[str, Tensor], tuple[Any, ...]], Tensor]  # values of θ, inputs -> outputs


def diagonal(
    network: _Outputs, loss: Mean, theta: Mapping[str, Tensor], inputs: tuple[Any, ...], labels: Tensor
) -> list[Tensor]:
    """Return one batch's diagonal of the mean of J_nᵀ A_n J_n, A_n the second derivative of the loss in f_n.

    Parameters
    ----------
    network : callable
        (values of θ, inputs) -> outputs, one row a sample.
    loss : Mean
        The loss, a function of the outputs and labels.
    theta : mapping from name to tensor
        The parameters θ.
    inputs, labels
        The batch.

    Returns
    -------
    list of tensors of the parameters' shapes
        The diagonal, in double precision.

    Raises
    ------
    ValueError
        If the outputs do not have one row a sample.
    """
    n = len(labels)
    with torch.no_grad(), access.taking(inputs):
        given = network(theta, inputs)
    rows = Rows(given, n)
    outputs = rows.flat(given)
    A = _loss_curvature(lambda flat, y: loss(rows.join(flat), y), outputs, labels)
    loss.check(given, labels)
    if not isinstance(given, Tensor):
        structured = network

        def network(values: Mapping[str, Tensor], inputs: tuple[Any, ...]) -> Tensor:
            return rows.flat(structured(values, inputs))

    cut = [isinstance(x, Tensor) and x.ndim > 0 and len(x) == n for x in inputs]
    routes: tuple[Callable[..., Iterator[tuple[slice, list[Tensor]]]], ...] = (_together, _one_by_one)
    for route in routes if all(cut) else ():
        totals = [torch.zeros_like(p, dtype=torch.float64) for p in theta.values()]
        try:
            for part, jacobians in route(network, theta, inputs, outputs):
                _accumulate(totals, A[part], jacobians)
        except (RuntimeError, ValueError, _Mixed):  # torch has several errors for what vmap or one sample cannot do
            continue
        return [total / n for total in totals]
    totals = [torch.zeros_like(p, dtype=torch.float64) for p in theta.values()]
    for part, jacobians in _through_the_batch(network, theta, inputs):
        _accumulate(totals, A[part], jacobians)
    return [total / n for total in totals]


class _Mixed(Exception):
    """A sample's outputs by itself are not those it has in its batch."""


def _accumulate(totals: list[Tensor], A: Tensor, jacobians: list[Tensor]) -> None:
    """Add some samples' diagonals of JᵀAJ; jacobians are (samples, outputs, *parameter)."""
    for i, J in enumerate(jacobians):
        totals[i] += (J * torch.einsum("nkl,nl...->nk...", A, J)).sum((0, 1))


def _together(
    network: _Outputs, theta: Mapping[str, Tensor], inputs: tuple[Any, ...], outputs: Tensor
) -> Iterator[tuple[slice, list[Tensor]]]:
    """Yield Jacobians of as many samples as fit, each sample by itself under vmap."""

    def output(values: Mapping[str, Tensor], *x: Tensor) -> tuple[Tensor, Tensor]:
        f = network(values, tuple(part.unsqueeze(0) for part in x)).flatten()
        return f, f

    n = len(outputs)
    entries = outputs[0].numel() * sum(p.numel() for p in theta.values())
    size = max(1, ENTRIES_AT_ONCE // entries)
    for start in range(0, n, size):
        part = slice(start, start + size)
        x = tuple(given[part] for given in inputs)
        jacobians, alone = vmap(jacrev(output, has_aux=True), (None, *[0] * len(x)))(dict(theta), *x)
        _check_unmixed(alone, outputs[part])
        yield part, list(jacobians.values())


def _one_by_one(
    network: _Outputs, theta: Mapping[str, Tensor], inputs: tuple[Any, ...], outputs: Tensor
) -> Iterator[tuple[slice, list[Tensor]]]:
    """Yield the Jacobian of one sample after the other."""
    for i in range(len(outputs)):
        part = slice(i, i + 1)
        leaves, alone = _graph(network, theta, tuple(x[part] for x in inputs))
        _check_unmixed(alone.detach(), outputs[part])
        yield part, _rows(alone[0], leaves)


def _through_the_batch(
    network: _Outputs, theta: Mapping[str, Tensor], inputs: tuple[Any, ...]
) -> Iterator[tuple[slice, list[Tensor]]]:
    """Yield the Jacobian of each sample's outputs as functions of θ in their whole batch."""
    leaves, outputs = _graph(network, theta, inputs)
    for i in range(len(outputs)):
        yield slice(i, i + 1), _rows(outputs[i], leaves)


def _graph(network: _Outputs, theta: Mapping[str, Tensor], inputs: tuple[Any, ...]) -> tuple[list[Tensor], Tensor]:
    """Return leaves at θ, and the outputs as functions of them."""
    leaves = {name: p.detach().clone().requires_grad_() for name, p in theta.items()}
    return list(leaves.values()), network(leaves, inputs)


def _rows(f: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Return the Jacobian of a sample's outputs, (1, outputs, *parameter) for each parameter."""
    if not f.requires_grad:
        return [p.new_zeros(1, f.numel(), *p.shape) for p in leaves]
    rows = [torch.autograd.grad(y, leaves, retain_graph=True, materialize_grads=True) for y in f.flatten()]
    return [torch.stack(column)[None].detach() for column in zip(*rows, strict=True)]


def _check_unmixed(alone: Tensor, outputs: Tensor) -> None:
    """Raise _Mixed if samples by themselves have other outputs than in their batch, beyond rounding."""
    size = float(outputs.abs().max()) * access.rounding(outputs)
    if not bool(((alone.reshape(outputs.shape) - outputs).abs() <= size).all()):
        raise _Mixed


def _loss_curvature(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the second derivative of each sample's loss in its own outputs, (n, K, K)."""
    n = len(labels)
    f = outputs.detach().requires_grad_()
    value = loss(f, labels)
    if not value.requires_grad:
        return f.new_zeros(n, f[0].numel(), f[0].numel())
    (slope,) = torch.autograd.grad(value, f, create_graph=True, materialize_grads=True)
    columns = (n * slope).reshape(n, -1).sum(0)  # one sample's loss knows no other sample's outputs
    if not columns.requires_grad:  # the loss is linear here
        return f.new_zeros(n, columns.numel(), columns.numel())
    rows = [torch.autograd.grad(column, f, retain_graph=True, materialize_grads=True)[0] for column in columns]
    return torch.stack([row.reshape(n, -1) for row in rows], dim=1)
