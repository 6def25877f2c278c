"""Products of vectors with the Hessian and the Gauss-Newton matrix, by four routes.

"written" has its derivatives written out (`written`), for perceptrons. "kept" differentiates the gradient in reverse
mode again and keeps its graph from one product to the next, which is the fastest by far where all data fit into memory.
"forward" is curvlinops' (a derivative in forward mode of the gradient), mostly the fastest where they do not. "reverse"
is as "kept", but forgets the graph: for layers whose forward derivative torch lacks, or gets wrong (torch 2.15: layer,
instance and batch normalization with weights of their own). This is the only module that calls curvlinops.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn

from prunekit._system import extras
from prunekit.curvature import problem as problems
from prunekit.curvature.problem import Batches, Kind, Problem, Product, TooLarge
from prunekit.curvature.written import Written
from prunekit.nets.convolutions import surviving
from prunekit.nets.losses import Mean

Route = Literal["written", "kept", "forward", "reverse", "differences"]
Times = Callable[[list[Tensor]], list[Tensor]]  # a vector by parameter -> a batch's product with it

KINDS = {"hessian": "HessianLinearOperator", "gauss-newton": "GGNLinearOperator"}
LACKS = (NotImplementedError, RuntimeError)  # what torch raises where a derivative is missing


def product(problem: Problem, route: Route) -> Product:
    """Return the map of (D, k) tensors to their products, of the parameters' type and device."""
    if route == "differences":
        return differences(problem)
    if route == "written":
        return Written(problem)
    if route == "kept":
        return _Kept(problem)
    return _forward(problem) if route == "forward" else _reverse(problem)


def differences(problem: Problem, steps: float = 1.0) -> Product:
    """Return products by central differences of gradients, for networks that cannot be differentiated twice.

    The step along a vector v is steps · ε^(1/3) max(|θ|, 1) / |v| with ε the type's rounding, at which the error of the
    formula and that of rounding are of one size. Source: Nocedal and Wright (2006), Section 8.1.

    Parameters
    ----------
    problem : Problem
        The mean loss.
    steps : float
        By how much the step is longer than that.
    """
    theta = problem.parameters
    size = max(1.0, math.sqrt(sum(float(p.detach().double().square().sum()) for p in theta)))
    length = steps * float(torch.finfo(theta[0].dtype).eps) ** (1 / 3) * size

    def gradient(where: Tensor) -> Tensor:
        with torch.no_grad():
            for p, moved in zip(theta, problem.split(where), strict=True):
                p.copy_(moved)
        total = torch.zeros_like(where)
        for inputs, labels, weight in problem.batches():
            slope = derivative([problem.loss(problem.outputs(inputs), labels)], theta, None)
            total += (weight / problem.total) * torch.cat([part.reshape(-1) for part in slope])
        return total

    def products(V: Tensor) -> Tensor:
        here = torch.cat([p.detach().reshape(-1) for p in theta])
        columns = []
        try:
            for v in V.T:
                norm = float(v.norm())
                h = length / norm if norm else 1.0
                columns.append((gradient(here + h * v) - gradient(here - h * v)) / (2 * h))
        finally:
            with torch.no_grad():
                for p, own in zip(theta, problem.split(here), strict=True):
                    p.copy_(own)
        return torch.stack(columns, dim=1)

    return products


def _reverse(problem: Problem) -> Product:
    """Return the products that need the reverse mode only."""
    of_batch = _OF_BATCH[problem.kind]

    def products(V: Tensor) -> Tensor:
        batches = problem.batches()
        return _summed(problem, V, ((of_batch(problem, inputs, labels), w) for inputs, labels, w in batches))

    return products


def _summed(problem: Problem, V: Tensor, parts: Iterable[tuple[Times, float]]) -> Tensor:
    """Return the weighted mean of batches' products with columns (D, k)."""
    total: Tensor | None = None
    for times, weight in parts:
        columns = [torch.cat([x.reshape(-1) for x in times(problem.split(v))]) for v in V.T]
        part = torch.stack(columns, dim=1) if len(columns) > 1 else columns[0].unsqueeze(1)
        part = part if weight == problem.total else (weight / problem.total) * part
        total = part if total is None else total + part
    return torch.zeros_like(V) if total is None else total


class _Kept:
    """Products from graphs that are made for the first of them and stay.

    The data are copied, so that what becomes of them later does not matter. Making the graphs raises `TooLarge` where
    they have more bytes than `MOST_KEPT`.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._parts: list[tuple[Times, float]] = []

    def __call__(self, V: Tensor) -> Tensor:
        """Return the products with columns (D, k)."""
        if not self._parts:
            self._parts = self._made()
        return _summed(self._problem, V, self._parts)

    def _made(self) -> list[tuple[Times, float]]:
        """Return every batch's product and weight."""
        of_batch, batches = _OF_BATCH[self._problem.kind], self._problem.batches
        with _counted(self._problem.parameters, problems.MOST_KEPT):  # makes them slower: they are made again
            counted = [of_batch(self._problem, inputs, labels) for inputs, labels, _ in batches()]
        del counted
        return [
            (of_batch(self._problem, _copied(inputs), labels.clone()), weight) for inputs, labels, weight in batches()
        ]


def _copied(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return inputs whose tensors are copies, of which a graph keeps those that it needs."""
    return tuple(x.clone() if isinstance(x, Tensor) else x for x in inputs)


@contextmanager
def _counted(theta: Sequence[Tensor], most: int) -> Iterator[None]:
    """Count the bytes that are saved for derivatives, beside the parameters' own, and raise TooLarge above `most`."""
    seen = {p.untyped_storage().data_ptr() for p in theta}
    bytes_ = 0

    def pack(saved: Tensor) -> Tensor:
        nonlocal bytes_
        storage = saved.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            bytes_ += storage.nbytes()
            if bytes_ > most:
                raise TooLarge
        return saved.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        yield


def _hessian(problem: Problem, inputs: tuple[Any, ...], labels: Tensor) -> Times:
    """Return a batch's Hessian: its product with a vector is the derivative of <gradient, vector>."""
    theta = problem.parameters
    slope = derivative([problem.loss(problem.outputs(inputs), labels)], theta, None, create_graph=True)
    return lambda v: derivative(slope, theta, v)


def _gauss_newton(problem: Problem, inputs: tuple[Any, ...], labels: Tensor) -> Times:
    """Return a batch's Jᵀ H_ℓ J; Jv is the derivative of Jᵀw in w, which is linear."""
    theta, outputs = problem.parameters, problem.outputs(inputs)
    w = torch.zeros_like(outputs, requires_grad=True)
    transposed = derivative([outputs], theta, [w], create_graph=True)
    f = outputs.detach().requires_grad_()
    slope = derivative([problem.loss(f, labels)], [f], None, create_graph=True)
    return lambda v: derivative([outputs], theta, derivative(slope, [f], derivative(transposed, [w], v)))


_OF_BATCH: dict[Kind, Callable[[Problem, tuple[Any, ...], Tensor], Times]] = {
    "hessian": _hessian,
    "gauss-newton": _gauss_newton,
}


def derivative(
    outputs: Sequence[Tensor], points: Sequence[Tensor], weights: Sequence[Tensor] | None, *, create_graph: bool = False
) -> list[Tensor]:
    """Return the derivative of <outputs, weights> with respect to the points, 0 for what it does not depend on."""
    pairs = zip(outputs, weights or map(torch.ones_like, outputs), strict=True)
    alive = [(y, w) for y, w in pairs if y.requires_grad]
    if not alive:
        return [torch.zeros_like(x) for x in points]
    ys, ws = zip(*alive, strict=True)
    derivatives = torch.autograd.grad(
        ys, points, ws, retain_graph=True, create_graph=create_graph, materialize_grads=True
    )
    return list(derivatives)


def _forward(problem: Problem) -> Product:
    """Return curvlinops' products; it sees a batch's inputs as one tuple, which ends with the batch's weight."""
    with _importing_curvlinops():
        with extras.needed("curvature"):
            import curvlinops

        import_module("torch._decomp.decompositions_for_jvp")  # the first derivative in forward mode would do it

    operator = getattr(curvlinops, KINDS[problem.kind])(
        _Called(problem.model),
        _Loss(problem.loss),
        problem.parameters,
        _Reread(problem.batches),
        check_deterministic=False,
        num_data=problem.total,
        batch_size_fn=lambda inputs: inputs[-1],
    )
    return lambda V: operator @ V


class _Reread:
    """The batches of a problem as curvlinops wants them."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
        return (((*inputs, weight), labels) for inputs, labels, weight in self.batches())


class _Called(nn.Module):
    """A network that takes its inputs, and the batch's weight, which it does not need, as one tuple."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: tuple[Any, ...]) -> Tensor:
        """Return the network's outputs."""
        with surviving(self.model):
            outputs: Tensor = self.model(*inputs[:-1])
        return outputs


class _Loss(nn.Module):
    """A loss that is a mean over the samples, in the shape in which curvlinops asks for one."""

    reduction = "mean"

    def __init__(self, loss: Mean) -> None:
        super().__init__()
        self.mean = loss

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss; under curvlinops' transforms its value cannot be looked at."""
        return self.mean.loss(outputs, labels).reshape(())


@contextmanager
def _importing_curvlinops() -> Iterator[None]:
    """Silence that torch's own forward mode and curvlinops' einsum use torch.jit.script on import, and nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated", category=FutureWarning)
        yield
