"""The Hessian of a network's loss: its diagonal by three methods, and the whole matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from prunekit import _checks, _networks
from prunekit._checks import Seed
from prunekit._networks import Data, Loss, Names
from prunekit.estimates import Estimate

_Method = Callable[..., tuple[list[Tensor], list[Tensor]]]  # one batch's diagonal and its variance, layers last
_ENTRIES_AT_ONCE = 2**24  # of the largest intermediate tensor: 128 MB in double precision
_LARGEST_MATRIX = 10_000  # parameters; 800 MB in double precision


@dataclass(frozen=True, eq=False)
class Diagonal:
    """The diagonal of the Hessian of the mean loss, by parameter, in double precision.

    Attributes
    ----------
    values : mapping from name to tensor of the parameter's shape
        H_ii.
    errors : mapping from name to tensor of the parameter's shape
        Standard errors of the values; 0 where they are exact.
    importance : mapping from name to Estimate
        Σ H_ii θ_i² of each parameter tensor at the θ of the measurement, with its own standard error (the entries'
        errors are correlated, so it is measured and not summed up from them).
    method : str
        "exact", "gauss-newton" or "hutchinson".
    """

    values: Mapping[str, Tensor]
    errors: Mapping[str, Tensor]
    importance: Mapping[str, Estimate]
    method: str


def hessian_diagonal(
    model: nn.Module,
    loss: Loss,
    data: Data,
    *,
    method: Literal["exact", "gauss-newton", "hutchinson"] = "exact",
    parameters: Names | None = None,
    probes: int = 100,
    seed: Seed = 0,
) -> Diagonal:
    """Return the diagonal of the Hessian of the mean loss over the data.

    "exact" takes one backward pass a parameter and batch: for small networks. "gauss-newton" is the exact diagonal
    of the mean of Jᵀ H_ℓ J, without the network's own curvature; for a loss that is a mean over samples. "hutchinson"
    averages v ∘ Hv over random signs v, drawn afresh for each batch: unbiased, with variance Σ_{j≠i} H_ij² a probe.

    Parameters
    ----------
    model : Module
        The network at θ.
    loss : callable
        (outputs, labels) -> mean over the samples, twice differentiable.
    data : (inputs, labels) or an iterable of them
        Passed over once.
    method : str
        See above.
    parameters : names, optional
        Whose diagonal; all by default.
    probes : int
        Random vectors a batch, at least 2, for "hutchinson".
    seed : int, SeedSequence or Generator
        Of the random vectors.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    FloatingPointError
        If a loss or a second derivative is not finite.

    Notes
    -----
    At a kink of ReLU the second derivative is taken as 0, as autograd does. Source: li, Definition 2.2; Hutchinson's
    estimator of a diagonal: Bekas, Kokiopoulou and Saad (2007).
    """
    theta = _networks.parameters(model, parameters)
    _checks.count("probes", probes, 2)
    hutchinson = partial(_hutchinson, probes=probes, random=_networks.generator(seed))
    methods: dict[str, _Method] = {"exact": _exact, "gauss-newton": _gauss_newton, "hutchinson": hutchinson}
    if method not in methods:
        raise ValueError(f"method is {method!r}: give one of {', '.join(map(repr, methods))}")
    means: list[Tensor] = []
    variances: list[Tensor] = []
    samples = 0
    with _networks.evaluating(model):
        for inputs, labels, count in _networks.batches(data, _networks.device(theta)):
            mean, variance = methods[method](model, loss, theta, inputs, labels)
            means = _add(means, mean, count)
            variances = _add(variances, variance, count**2)
            samples += count
    values = [total / samples for total in means]
    errors = [total.sqrt() / samples for total in variances]
    _networks.finite("the Hessian's diagonal", [*values, *errors])
    layers = zip(theta, values[-1].tolist(), errors[-1].tolist(), strict=True)
    return Diagonal(
        values=dict(zip(theta, values[:-1], strict=True)),
        errors=dict(zip(theta, errors[:-1], strict=True)),
        importance={name: Estimate(value, error) for name, value, error in layers},
        method=method,
    )


def _add(totals: list[Tensor], terms: list[Tensor], weight: int) -> list[Tensor]:
    """Return totals + weight * terms, entry by entry; empty totals are zeros."""
    scaled = [weight * term for term in terms]
    return [a + b for a, b in zip(totals, scaled, strict=True)] if totals else scaled


def _with_layers(theta: Mapping[str, Tensor], diagonal: list[Tensor]) -> list[Tensor]:
    """Return a diagonal in double precision, and as one more entry Σ H_ii θ_i² of each layer, (layers,)."""
    found = [d.double() for d in diagonal]
    pairs = zip(found, theta.values(), strict=True)
    return [*found, torch.stack([(d * p.double().square()).sum() for d, p in pairs])]


def _exact_result(theta: Mapping[str, Tensor], diagonal: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return a diagonal with its layers, and zero variances."""
    found = _with_layers(theta, diagonal)
    return found, [torch.zeros_like(d) for d in found]


class _Slope(NamedTuple):
    """Leaves at θ, the gradient of a batch's loss there, and the entries of the largest tensor it is made from."""

    points: list[Tensor]
    gradient: list[Tensor]
    largest: int


def _slope(
    model: nn.Module, loss: Loss, theta: Mapping[str, Tensor], inputs: tuple[Any, ...], labels: Tensor
) -> _Slope:
    """Return the gradient of one batch's loss, ready to be differentiated again."""
    sizes = [p.numel() for p in theta.values()]

    def note(saved: Tensor) -> Tensor:
        sizes.append(saved.numel())
        return saved

    leaves = {name: p.detach().requires_grad_() for name, p in theta.items()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        value = _networks.mean_loss(loss, _networks.call(model, leaves, inputs), labels)
    points = list(leaves.values())
    gradient = torch.autograd.grad(value, points, create_graph=True, materialize_grads=True)
    return _Slope(points, list(gradient), max(sizes))


def _derivatives(gradient: list[Tensor], points: list[Tensor], vectors: list[Tensor], batched: bool) -> list[Tensor]:
    """Return the derivatives of <gradient, vectors>, with respect to the points; `batched` vectors are many at once."""
    alive = [(g, v) for g, v in zip(gradient, vectors, strict=True) if g.requires_grad]
    if not alive:  # the loss is linear here
        lead = vectors[0].shape[:1] if batched else ()
        return [p.new_zeros(*lead, *p.shape) for p in points]
    outputs, directions = zip(*alive, strict=True)
    return list(
        torch.autograd.grad(
            outputs, points, directions, retain_graph=True, materialize_grads=True, is_grads_batched=batched
        )
    )


def _units(count: int, largest: int, like: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield the rows of the identity (count, count), so few at once that `largest` numbers a row are not too many."""
    size = max(1, min(count, _ENTRIES_AT_ONCE // max(largest, count)))
    for start in range(0, count, size):
        rows = like.new_zeros(min(size, count - start), count)
        rows[:, start:].fill_diagonal_(1.0)
        yield start, rows


def _exact(
    model: nn.Module, loss: Loss, theta: Mapping[str, Tensor], inputs: tuple[Any, ...], labels: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Return one batch's diagonal, a second derivative for each coordinate."""
    points, gradient, largest = _slope(model, loss, theta, inputs, labels)
    diagonal = []
    for g, p in zip(gradient, points, strict=True):
        found = torch.empty(p.numel(), dtype=p.dtype, device=p.device)
        for start, units in _units(p.numel(), largest, p.detach()):
            (rows,) = _derivatives([g], [p], [units.view(-1, *p.shape)], batched=True)
            found[start : start + len(units)] = rows.flatten(1)[:, start:].diagonal()
        diagonal.append(found.view(p.shape))
    return _exact_result(theta, diagonal)


def _hutchinson(
    model: nn.Module,
    loss: Loss,
    theta: Mapping[str, Tensor],
    inputs: tuple[Any, ...],
    labels: Tensor,
    probes: int,
    random: torch.Generator,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return one batch's mean of v ∘ Hv over the probes, and the variance of that mean."""
    points, gradient, _ = _slope(model, loss, theta, inputs, labels)
    mean: list[Tensor] = []
    spread: list[Tensor] = []
    for k in range(1, probes + 1):
        signs = [(2.0 * torch.randint(2, p.shape, generator=random) - 1.0).to(p.detach()) for p in points]
        products = _derivatives(gradient, points, signs, batched=False)
        draw = _with_layers(theta, [v * hv for v, hv in zip(signs, products, strict=True)])
        mean = mean or [torch.zeros_like(d) for d in draw]
        spread = spread or [torch.zeros_like(d) for d in draw]
        for i, d in enumerate(draw):  # Welford: one pass, no cancellation
            step = d - mean[i]
            mean[i] += step / k
            spread[i] += step * (d - mean[i])
    return mean, [s / (probes - 1) / probes for s in spread]


def _gauss_newton(
    model: nn.Module, loss: Loss, theta: Mapping[str, Tensor], inputs: tuple[Any, ...], labels: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Return one batch's diagonal of the mean of Jᵀ H_ℓ J, a few samples at a time."""

    def output(values: Mapping[str, Tensor], *x: Tensor) -> Tensor:
        return _networks.call(model, values, tuple(part.unsqueeze(0) for part in x)).flatten()

    with torch.no_grad():
        outputs = _networks.call(model, theta, inputs)
    A = _loss_curvature(loss, outputs, labels)
    entries = A.shape[1] * sum(p.numel() for p in theta.values())
    size = max(1, _ENTRIES_AT_ONCE // entries)
    totals = [torch.zeros_like(p, dtype=torch.float64) for p in theta.values()]
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        x = tuple(given[part] for given in inputs)
        jacobians = vmap(jacrev(output), (None, *[0] * len(x)))(dict(theta), *x)
        for i, J in enumerate(jacobians.values()):  # (samples, outputs, *parameter)
            totals[i] += (J * torch.einsum("nkl,nl...->nk...", A[part], J)).sum((0, 1))
    return _exact_result(theta, [total / len(labels) for total in totals])


def _loss_curvature(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the second derivative of each sample's loss in its own outputs, (n, K, K)."""
    f = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(_networks.mean_loss(loss, f, labels), f, create_graph=True, materialize_grads=True)
    columns = (len(labels) * slope).flatten(1).sum(0)  # one sample's loss knows no other sample's outputs
    rows = [_derivatives([column], [f], [torch.ones_like(column)], batched=False)[0] for column in columns]
    return torch.stack([row.flatten(1) for row in rows], dim=1)


def hessian_matrix(model: nn.Module, loss: Loss, data: Data, *, parameters: Names | None = None) -> Tensor:
    """Return the whole Hessian of the mean loss over the data, in double precision.

    Parameters
    ----------
    model, loss, data
        As for `hessian_diagonal`.
    parameters : names, optional
        Whose rows and columns; all by default.

    Returns
    -------
    (p, p) tensor
        Symmetric; in the order of the parameters in the model, each flattened.

    Raises
    ------
    ValueError
        If there are more than 10,000 parameters; and as for `hessian_diagonal`.
    """
    theta = _networks.parameters(model, parameters)
    sizes = [p.numel() for p in theta.values()]
    if sum(sizes) > _LARGEST_MATRIX:
        raise ValueError(f"parameters are {sum(sizes)} in number: give at most {_LARGEST_MATRIX}, or use a diagonal")
    like = next(iter(theta.values()))
    total, samples = torch.zeros(sum(sizes), sum(sizes), dtype=torch.float64, device=like.device), 0
    with _networks.evaluating(model):
        for inputs, labels, count in _networks.batches(data, _networks.device(theta)):
            points, gradient, largest = _slope(model, loss, theta, inputs, labels)
            for start, units in _units(sum(sizes), largest, like):
                blocks = units.split(sizes, dim=1)
                vectors = [block.reshape(-1, *p.shape) for block, p in zip(blocks, points, strict=True)]
                rows = _derivatives(gradient, points, vectors, batched=True)
                total[start : start + len(units)] += count * torch.cat([row.flatten(1) for row in rows], dim=1)
            samples += count
    _networks.finite("the Hessian", [total])
    return (total + total.T) / (2 * samples)
