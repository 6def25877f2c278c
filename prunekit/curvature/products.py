"""Products of vectors with the Hessian and the Gauss-Newton matrix, by two routes of automatic differentiation.

"forward" is curvlinops' (a derivative in forward mode of the gradient), mostly the faster. "reverse" differentiates
the gradient in reverse mode again: for layers whose forward derivative torch lacks, or gets wrong (torch 2.15: layer,
instance and batch normalization with weights of their own). This is the only module that calls curvlinops.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn

from prunekit._system import extras
from prunekit.nets.convolutions import surviving
from prunekit.nets.losses import Mean

Kind = Literal["hessian", "gauss-newton"]
Route = Literal["forward", "reverse", "differences"]
Product = Callable[[Tensor], Tensor]
Batches = Callable[[], Iterator[tuple[tuple[Any, ...], Tensor, float]]]

KINDS = {"hessian": "HessianLinearOperator", "gauss-newton": "GGNLinearOperator"}
LACKS = (NotImplementedError, RuntimeError)  # what torch raises where a derivative is missing


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


def product(problem: Problem, route: Route) -> Product:
    """Return the map of (D, k) tensors to their products, of the parameters' type and device."""
    if route == "differences":
        return differences(problem)
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
    of_batch = {"hessian": _hessian, "gauss-newton": _gauss_newton}[problem.kind]

    def products(V: Tensor) -> Tensor:
        total = torch.zeros_like(V)
        for inputs, labels, weight in problem.batches():
            parts = of_batch(problem, inputs, labels, [problem.split(v) for v in V.T])
            columns = [torch.cat([x.reshape(-1) for x in part]) for part in parts]
            total += (weight / problem.total) * torch.stack(columns, dim=1)
        return total

    return products


def _hessian(
    problem: Problem, inputs: tuple[Any, ...], labels: Tensor, vectors: Sequence[list[Tensor]]
) -> Iterator[list[Tensor]]:
    """Yield a batch's Hessian times each vector: the derivative of <gradient, vector>."""
    theta = problem.parameters
    slope = derivative([problem.loss(problem.outputs(inputs), labels)], theta, None, create_graph=True)
    for v in vectors:
        yield derivative(slope, theta, v)


def _gauss_newton(
    problem: Problem, inputs: tuple[Any, ...], labels: Tensor, vectors: Sequence[list[Tensor]]
) -> Iterator[list[Tensor]]:
    """Yield a batch's Jᵀ H_ℓ J times each vector; Jv is the derivative of Jᵀw in w, which is linear."""
    theta, outputs = problem.parameters, problem.outputs(inputs)
    w = torch.zeros_like(outputs, requires_grad=True)
    transposed = derivative([outputs], theta, [w], create_graph=True)
    f = outputs.detach().requires_grad_()
    slope = derivative([problem.loss(f, labels)], [f], None, create_graph=True)
    for v in vectors:
        bent = derivative(slope, [f], derivative(transposed, [w], v))
        yield derivative([outputs], theta, bent)


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
