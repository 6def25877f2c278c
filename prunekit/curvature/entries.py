"""The Hessian of a network's loss: its diagonal by three methods, and the whole matrix.

Derivatives are taken in the precision of the model, and sums over batches in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit._checks import Seed
from prunekit._system import bars
from prunekit.curvature import gauss_newton, last_layers, layered, twice
from prunekit.nets import access, door
from prunekit.nets.access import Data, Loss, Names
from prunekit.nets.covered import said
from prunekit.nets.losses import Mean
from prunekit.statistics import Estimate

_Method = Callable[["_Batch"], tuple[list[Tensor], list[Tensor]]]  # its diagonal and variance, layers last
_PRICE = 10**5  # what a product with the Hessian costs, counted in numbers drawn
_LARGEST_MATRIX = 10_000  # rows of the largest matrix, of 800 MB in double precision
_ENTRIES_IN_CACHE = 2**20  # in an intermediate tensor on a CPU: with more, each operation waits for memory


@dataclass(frozen=True, eq=False)
class Diagonal:
    """The diagonal of the Hessian of the mean loss, by parameter.

    Its tensors are in double precision; their accuracy is that of the model's own type, in which the derivatives were
    taken: about 1e-15 of the largest entry for a model in double precision, 1e-6 in single.

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
    coverage : str
        Which share of the network's parameters it covers, and what the others are.
    """

    values: Mapping[str, Tensor]
    errors: Mapping[str, Tensor]
    importance: Mapping[str, Estimate]
    method: str
    coverage: str = ""

    def __repr__(self) -> str:
        """Say which parameters it is of, and how it was found."""
        return f"Diagonal({', '.join(self.values)}; {self.method}{'; ' * bool(self.coverage)}{self.coverage})"

    def to_frame(self) -> dict[str, list[Any]]:
        """Return one row a parameter in columns, which ``pandas.DataFrame`` takes as they are: what it matters."""
        return {
            "parameter": list(self.values),
            "entries": [v.numel() for v in self.values.values()],
            "trace": [float(v.sum()) for v in self.values.values()],
            "importance": [self.importance[name].value for name in self.values],
            "importance_error": [self.importance[name].error for name in self.values],
        }


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

    It is as accurate as the model's own type: give `model.double()`, and data to match, where single precision's 1e-6
    of the largest entry is not enough.

    "exact" takes one backward pass a parameter and batch: for small networks. "gauss-newton" is the exact diagonal
    of the mean of Jᵀ H_ℓ J, without the network's own curvature; for a loss that is a mean over samples. "hutchinson"
    averages v ∘ Hv over random signs v, drawn afresh for each batch: unbiased, with variance Σ_{j≠i} H_ij² a probe.

    Parameters
    ----------
    model : Module
        The network at θ.
    loss : callable
        (outputs, labels) -> mean over the samples, twice differentiable. The weighted mean of torch's cross-entropy
        (class weights, ignored labels) is understood: each batch counts by its labels' total weight.
    data : (inputs, labels) or an iterable of them
        The data, which are read once.
    method : str
        See above.
    parameters : names, optional
        The parameters whose diagonal is wanted; all by default.
    probes : int
        Random vectors a batch, at least 2, for "hutchinson".
    seed : int, SeedSequence or Generator
        Where the random vectors come from.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, for example a loss that is a sum; and if the products of two vectors with
        the Hessian are not symmetric, since then torch has false second derivatives for some layer.
    NotImplementedError
        If torch cannot differentiate some layer, or the loss, twice.
    FloatingPointError
        If a loss or a second derivative is not finite.

    Notes
    -----
    At a kink of ReLU the second derivative is taken as 0, as autograd does. The padding row of an embedding, which
    torch does not train, counts as a constant, with 0 on the diagonal. "gauss-newton" takes samples one by one where
    torch cannot take them together (PReLU, recurrent layers), and whole batches where the network mixes their samples.
    Source: li, Definition 2.2; Hutchinson's estimator of a diagonal: Bekas, Kokiopoulou and Saad (2007).

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> data = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> hessian_diagonal(layer, torch.nn.functional.mse_loss, data).values["weight"]  # 2 · the mean of x²
    tensor([[1., 4.]], dtype=torch.float64)
    """
    whole = access.module(model)
    model, data, loss = door.opened(model, data, loss)
    theta = access.parameters(model, parameters)
    _checks.draws("probes", probes, _PRICE, 2, each_is="a product each counts as many")
    hutchinson = _Hutchinson(probes, access.generator(seed))
    methods: dict[str, _Method] = {"exact": _exact, "gauss-newton": _gauss_newton, "hutchinson": hutchinson}
    _checks.choice("method", method, tuple(methods))
    twice.refuse(model, theta, hessian=method != "gauss-newton")
    mean_of, held = Mean(loss, next(iter(theta.values()))), twice.constants(model, theta)
    means: list[Tensor] = []
    variances: list[Tensor] = []
    samples = 0.0
    bar = bars.bar("Hessian's diagonal", None, "products")
    with access.evaluating(model), twice.differentiable(model), twice.lacking(), bar as shown:
        for inputs, labels, weight in mean_of.batches(data, access.device(theta)):
            mean, variance = methods[method](_Batch(model, mean_of, theta, held, inputs, labels, shown.update))
            means = _add(means, mean, weight)
            variances = _add(variances, variance, weight**2)
            samples += weight
    values = [total / samples for total in means]
    errors = [total.sqrt() / samples for total in variances]
    access.finite("the Hessian's diagonal", [*values, *errors])
    layers = zip(theta, values[-1].tolist(), errors[-1].tolist(), strict=True)
    return Diagonal(
        values=dict(zip(theta, values[:-1], strict=True)),
        errors=dict(zip(theta, errors[:-1], strict=True)),
        importance={name: Estimate(value, error) for name, value, error in layers},
        method=method,
        coverage=said(whole, theta),
    )


def _add(totals: list[Tensor], terms: list[Tensor], weight: float) -> list[Tensor]:
    """Return totals + weight * terms, entry by entry; empty totals are zeros."""
    scaled = [weight * term for term in terms]
    return [a + b for a, b in zip(totals, scaled, strict=True)] if totals else scaled


class _Batch(NamedTuple):
    """One batch, and the network at θ: what a method needs."""

    model: nn.Module
    loss: Mean
    theta: Mapping[str, Tensor]
    held: Mapping[str, Tensor]  # entries that are constants, by parameter name
    inputs: tuple[Any, ...]
    labels: Tensor
    tell: Callable[[int], Any]  # is told how many products were made

    def outputs(self, values: Mapping[str, Tensor], inputs: tuple[Any, ...]) -> Tensor:
        """Return the network's outputs at other values of θ."""
        return access.call(self.model, values, inputs)

    def free(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return tensors in the parameters' order (with any leading axes), 0 where there is a constant."""
        named = zip(self.theta, tensors, strict=True)
        return [x.masked_fill(self.held[name], 0) if name in self.held else x for name, x in named]


def _with_layers(theta: Mapping[str, Tensor], diagonal: list[Tensor]) -> list[Tensor]:
    """Return a diagonal in double precision, and as one more entry Σ H_ii θ_i² of each layer, (layers,)."""
    doubled = [d.double() for d in diagonal]
    pairs = zip(doubled, theta.values(), strict=True)
    return [*doubled, torch.stack([(d * p.double().square()).sum() for d, p in pairs])]


def _gauss_newton(batch: _Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Return one batch's diagonal of the mean of Jᵀ H_ℓ J."""
    written = layered.layered(batch.model, batch.loss.loss)
    if written and layered.understood(batch.inputs, batch.labels):
        with torch.no_grad():
            outputs = batch.outputs(batch.theta, batch.inputs)
            batch.loss(outputs, batch.labels)  # refuses what is no finite loss
        batch.loss.check(outputs, batch.labels)
        diagonal = layered.gauss_newton(written, batch.theta, batch.model, batch.inputs[0], batch.labels)
    else:
        diagonal = gauss_newton.diagonal(batch.outputs, batch.loss, batch.theta, batch.inputs, batch.labels)
    batch.tell(len(batch.labels))
    return _exact_result(batch.theta, batch.free(diagonal))


def _exact_result(theta: Mapping[str, Tensor], diagonal: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return a diagonal with its layers, and zero variances."""
    values = _with_layers(theta, diagonal)
    return values, [torch.zeros_like(d) for d in values]


class _Slope(NamedTuple):
    """Leaves at θ, the gradient of a batch's loss there, and the entries of the largest tensor it is made from."""

    points: list[Tensor]
    gradient: list[Tensor]
    largest: int


def _slope(batch: _Batch) -> _Slope:
    """Return the gradient of one batch's loss, ready to be differentiated again."""
    sizes = [p.numel() for p in batch.theta.values()]

    def note(saved: Tensor) -> Tensor:
        sizes.append(saved.numel())
        return saved

    leaves = {name: p.detach().clone().requires_grad_() for name, p in batch.theta.items()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        with access.taking(batch.inputs):
            outputs = batch.outputs(leaves, batch.inputs)
        value = batch.loss(outputs, batch.labels)
    batch.loss.check(outputs, batch.labels)
    points = list(leaves.values())
    if not value.requires_grad:
        return _Slope(points, [torch.zeros_like(p) for p in points], max(sizes))
    gradient = torch.autograd.grad(value, points, create_graph=True, materialize_grads=True)
    return _Slope(points, list(gradient), max(sizes))


def _derivatives(gradient: list[Tensor], points: list[Tensor], vectors: list[Tensor], batched: bool) -> list[Tensor]:
    """Return the derivatives of <gradient, vectors>, with respect to the points; `batched` vectors are many at once."""
    lead = vectors[0].shape[:1] if batched else ()
    alive = [(g, v) for g, v in zip(gradient, vectors, strict=True) if g.requires_grad]
    if not alive:  # the loss is linear here
        return [p.new_zeros(*lead, *p.shape) for p in points]
    outputs, directions = zip(*alive, strict=True)
    # torch's own zeros for points without influence have the wrong shape where vectors are batched
    slopes = torch.autograd.grad(
        outputs, points, directions, retain_graph=True, allow_unused=True, is_grads_batched=batched
    )
    return [p.new_zeros(*lead, *p.shape) if x is None else x for x, p in zip(slopes, points, strict=True)]


def _product(batch: _Batch, slope: _Slope, vectors: list[Tensor]) -> list[Tensor]:
    """Return one batch's Hessian times a vector, given and returned by parameter; constants count for nothing."""
    return batch.free(_derivatives(slope.gradient, slope.points, batch.free(vectors), batched=False))


def _check_symmetry(batch: _Batch, slope: _Slope) -> bool:
    """Refuse a network whose second derivatives are not symmetric, by one pair of vectors; tell if there are any."""
    sizes = [p.numel() for p in slope.points]

    def products(V: Tensor) -> Tensor:
        parts = [[x.view(p.shape) for x, p in zip(v.split(sizes), slope.points, strict=True)] for v in V.T]
        return torch.stack([torch.cat([x.reshape(-1) for x in _product(batch, slope, v)]) for v in parts], dim=1)

    like = slope.points[0].detach()
    gap = twice.asymmetry(products, like, sum(sizes))
    twice.check(gap, like.dtype)
    return gap > 0


def _units(count: int, largest: int, like: Tensor, end: int | None = None) -> Iterator[tuple[int, Tensor]]:
    """Yield the rows of the identity (count, count), so few at once that `largest` numbers a row are not too many.

    They are the first `end` rows, or all.
    """
    most = gauss_newton.ENTRIES_AT_ONCE if like.is_cuda else min(gauss_newton.ENTRIES_AT_ONCE, _ENTRIES_IN_CACHE)
    size = max(1, min(count, most // max(largest, count)))
    end = count if end is None else end
    for start in range(0, end, size):
        rows = like.new_zeros(min(size, end - start), count)
        rows[:, start:].fill_diagonal_(1.0)
        yield start, rows


def _exact(batch: _Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Return one batch's diagonal, a second derivative for each coordinate."""
    slope = _slope(batch)
    _check_symmetry(batch, slope)
    diagonal = []
    for g, p in zip(slope.gradient, slope.points, strict=True):
        entries = torch.empty(p.numel(), dtype=p.dtype, device=p.device)
        for start, units in _units(p.numel(), slope.largest, p.detach()):
            (rows,) = _derivatives([g], [p], [units.view(-1, *p.shape)], batched=True)
            entries[start : start + len(units)] = rows.reshape(len(units), -1)[:, start:].diagonal()
            batch.tell(len(units))
        diagonal.append(entries.view(p.shape))
    return _exact_result(batch.theta, batch.free(diagonal))


@dataclass
class _Hutchinson:
    """Hutchinson's estimator; symmetry is tried on the first batch with a curvature, at the cost of two products."""

    probes: int
    random: torch.Generator
    tried: bool = False

    def __call__(self, batch: _Batch) -> tuple[list[Tensor], list[Tensor]]:
        """Return one batch's mean of v ∘ Hv over the probes, and the variance of that mean."""
        slope = _slope(batch)
        self.tried = self.tried or _check_symmetry(batch, slope)
        mean: list[Tensor] = []
        spread: list[Tensor] = []
        for k in range(1, self.probes + 1):
            signs = [self._signs(p) for p in slope.points]
            products = _product(batch, slope, signs)
            batch.tell(1)
            draw = _with_layers(batch.theta, [v * hv for v, hv in zip(signs, products, strict=True)])
            mean = mean or [torch.zeros_like(d) for d in draw]
            spread = spread or [torch.zeros_like(d) for d in draw]
            for i, d in enumerate(draw):  # Welford: one pass, no cancellation
                step = d - mean[i]
                mean[i] += step / k
                spread[i] += step * (d - mean[i])
        return mean, [s / (self.probes - 1) / self.probes for s in spread]

    def _signs(self, p: Tensor) -> Tensor:
        """Return random signs of a parameter's shape, type and device."""
        return (2.0 * torch.randint(2, p.shape, generator=self.random) - 1.0).to(p.detach())


def hessian_matrix(model: nn.Module, loss: Loss, data: Data, *, parameters: Names | None = None) -> Tensor:
    """Return the whole Hessian of the mean loss over the data, as a tensor in double precision.

    It is as accurate as the model's own type, in which the derivatives are taken: see `hessian_diagonal`.

    Parameters
    ----------
    model, loss, data
        As for `hessian_diagonal`.
    parameters : names, optional
        The parameters whose rows and columns are wanted; all by default.

    Returns
    -------
    (p, p) tensor
        The Hessian, symmetric, in the order of the parameters in the model, each flattened.

    Raises
    ------
    ValueError
        If there are more than 10,000 parameters, or a layer with a weight norm over rows, whose second derivatives
        torch gets wrong; and in the same cases as `hessian_diagonal`.
    """
    model, data, loss = door.opened(model, data, loss)
    theta = access.parameters(model, parameters)
    sizes = [p.numel() for p in theta.values()]
    if sum(sizes) > _LARGEST_MATRIX:
        raise ValueError(f"parameters are {sum(sizes)} in number: give at most {_LARGEST_MATRIX}, or use a diagonal")
    twice.refuse(model, theta)
    like = next(iter(theta.values()))
    mean_of, held = Mean(loss, like), twice.constants(model, theta)
    written = layered.layered(model, mean_of.loss)
    last = None if written else last_layers.last_layers(model, mean_of.loss)
    bar = bars.bar("Hessian", None, "products")
    with access.evaluating(model), twice.differentiable(model), twice.lacking(), bar as shown:
        total, samples = torch.zeros(sum(sizes), sum(sizes), dtype=torch.float64, device=like.device), 0.0
        for inputs, labels, weight in mean_of.batches(data, access.device(theta)):
            points, gradient, largest = _slope(_Batch(model, mean_of, theta, held, inputs, labels, shown.update))
            samples += weight
            if written and layered.understood(inputs, labels):
                total += weight * layered.hessian(written, theta, model, inputs[0], labels)
                shown.update(sum(sizes))
                continue
            ends = last if last and layered.understood(inputs, labels) else None
            most = last_layers.rows_before(ends, theta) if ends else sum(sizes)
            if ends and most < sum(sizes):
                total[most:, most:] += weight * last_layers.block(ends, theta, inputs[0], labels)
            for start, units in _units(sum(sizes), largest, like, most):
                blocks = units.split(sizes, dim=1)
                vectors = [block.reshape(-1, *p.shape) for block, p in zip(blocks, points, strict=True)]
                rows = _derivatives(gradient, points, vectors, batched=True)
                together = weight * torch.cat([x.reshape(len(units), -1) for x in rows], dim=1)
                total[start : start + len(units)] += together
                total[most:, start : start + len(units)] += together[:, most:].T  # below them is what mirrors it
                shown.update(len(units))
    access.finite("the Hessian", [total])
    free = twice.freed(held, theta).double()
    total *= torch.outer(free, free)
    size = float(total.abs().max())
    twice.check(float((total - total.T).abs().max()) / size if size else 0.0, like.dtype)
    return (total + total.T) / (2 * samples)
