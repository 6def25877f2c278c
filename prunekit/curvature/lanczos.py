"""Lanczos' method: the measures of an operator's spectrum that a start vector sees.

From a start vector q, m products give the symmetric tridiagonal T whose eigenvalues are the nodes, and the squared
first components of whose eigenvectors are the weights, of the Gauss quadrature of q's measure: exact for polynomials
of degree up to 2m - 1 (Golub and Welsch, 1969). Everything is accumulated in double precision, and every new vector
is made orthogonal to all before it, twice: without that, eigenvalues found once come again as ghosts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunekit import _checks
from prunekit.curvature.operator import Operator
from prunekit.spectrum import Measure

_LOST = 1e-13  # of the operator's size: a remainder this small is rounding, and the invariant subspace is complete
STORAGE = {"float64": torch.float64, "float32": torch.float32}


@dataclass
class Run:
    """Lanczos' recurrence from one start vector, as far as it has come.

    Parameters
    ----------
    start : (D,) tensor
        Not 0; on the device where the basis shall be.
    steps : int
        Vectors of the basis at the end.
    storage : str
        "float64" or "float32", the type in which the basis is kept.

    Attributes
    ----------
    alphas, betas : list of float
        Diagonal of T, and the entries beside it; the last of `betas` belongs to the next vector.
    basis : (steps, D) tensor
        Rows are q_1, q_2, …; those not reached yet are 0.
    complete : bool
        Whether nothing is left to do: all steps are done, or the start vector's invariant subspace is found.
    """

    start: Tensor
    steps: int
    storage: str = "float64"
    alphas: list[float] = field(default_factory=list)
    betas: list[float] = field(default_factory=list)
    basis: Tensor = field(init=False)
    complete: bool = False

    def __post_init__(self) -> None:
        """Make room for the basis and put the start vector in it."""
        length = float(self.start.norm())
        if not math.isfinite(length) or length == 0:
            raise ValueError(f"the start vector has the length {length}: give one that is finite and not 0")
        self.basis = torch.zeros(self.steps, len(self.start), dtype=STORAGE[self.storage], device=self.start.device)
        self.basis[0] = (self.start.double() / length).to(self.basis.dtype)

    @property
    def last(self) -> Tensor:
        """The vector (D,) whose product is wanted next."""
        return self.basis[len(self.alphas)].double()

    def take(self, w: Tensor) -> None:
        """Take one step with the product w (D,) of the operator and `last`.

        Raises
        ------
        FloatingPointError
            If the product is not finite.
        """
        j = len(self.alphas)
        w = w.to(self.basis.device, torch.float64)
        size, alpha = float(w.norm()), float(self.last @ w)
        if not math.isfinite(size):
            raise FloatingPointError(f"operator's product {j + 1} has the length {size}: give a finite operator")
        found = self.basis[: j + 1]
        for _ in range(2):  # once leaves an error of the size of what was removed; twice is enough (Kahan, Parlett)
            w = w - _combine(found, _coordinates(found, w))
        beta = float(w.norm())
        self.alphas.append(alpha)
        self.betas.append(beta)
        largest = max(size, *map(abs, self.alphas), *self.betas[:-1])
        if j + 1 == self.steps or beta <= _LOST * largest:
            self.complete = True
        else:
            self.basis[j + 1] = (w / beta).to(self.basis.dtype)

    def measure(self, total: float) -> Measure:
        """Return the start vector's measure, scaled to a total."""
        nodes, weights = quadrature(self.alphas, self.betas[:-1])
        return Measure(nodes, total * weights)

    def state(self) -> dict[str, Tensor]:
        """Return what is needed to go on, or, where nothing is left to do, to tell the measure: then no basis."""
        found = {name: torch.tensor(getattr(self, name), dtype=torch.float64) for name in ("alphas", "betas")}
        return found if self.complete else {**found, "basis": self.basis[: len(self.alphas) + 1]}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state."""
        self.alphas, self.betas = state["alphas"].tolist(), state["betas"].tolist()
        self.complete = "basis" not in state
        if not self.complete:
            self.basis[: len(state["basis"])] = state["basis"].to(self.basis.device)


def advance(runs: Sequence[Run], operator: Operator) -> None:
    """Take one step of several runs, with one product of the operator and a matrix."""
    if len(runs) == 1:
        runs[0].take(operator.product(runs[0].last))
        return
    products = operator.product(torch.stack([run.last for run in runs], dim=1))
    for k, run in enumerate(runs):
        run.take(products[:, k])


def _coordinates(basis: Tensor, w: Tensor) -> Tensor:
    """Return a vector's coordinates (j,) in a basis, multiplied in the basis' own type."""
    return (basis @ w.to(basis.dtype)).double()


def _combine(basis: Tensor, coordinates: Tensor) -> Tensor:
    """Return the combination (D,) of a basis' rows."""
    return (coordinates.to(basis.dtype) @ basis).double()


def quadrature(alphas: list[float], betas: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights (m,) of the Gauss rule of a tridiagonal matrix; the weights sum to 1.

    Parameters
    ----------
    alphas : list of m floats
        The diagonal.
    betas : list of m - 1 floats
        The entries beside it.
    """
    T = np.diag(np.asarray(alphas, dtype=float)) + np.diag(betas, 1) + np.diag(betas, -1)
    nodes, vectors = np.linalg.eigh(T)
    weights = vectors[0] ** 2
    return nodes, weights / weights.sum()


def need(dimension: int, steps: int, storage: str = "float64") -> int:
    """Return the bytes that one start vector's basis takes: dimension × steps × 8, or 4 in float32."""
    return dimension * steps * torch.finfo(STORAGE[storage]).bits // 8


def fitting(dimension: int, steps: int, storage: str, max_memory: float) -> int:
    """Return how many bases fit into `max_memory` bytes, at least one.

    Raises
    ------
    ValueError
        If it takes more than `max_memory` bytes, or `storage` is no type there is.
    """
    if storage not in STORAGE:
        raise ValueError(f"storage is {storage!r}: give one of {', '.join(map(repr, STORAGE))}")
    limit = _checks.scalar("max_memory", max_memory, positive=True)
    needed = need(dimension, steps, storage)
    if needed <= limit:
        return int(limit // needed)
    fewer = int(limit // need(dimension, 1, storage))
    half = need(dimension, steps, "float32")
    ways = [f"max_memory={needed:.3g}"]
    if fewer >= 1:
        ways.append(f"steps={fewer} (fewer nodes: a smoother picture)")
    if storage == "float64" and half <= limit:
        ways.append("storage='float32' (half of it; nodes to 1e-7 of the largest eigenvalue instead of 1e-15)")
    raise ValueError(
        f"max_memory is {limit:.3g} bytes, and the basis of {steps} vectors of {dimension} numbers takes {needed:.3g}: "
        f"give {', or '.join(ways)}"
    )
