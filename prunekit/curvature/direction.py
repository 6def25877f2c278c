"""How a vector lies in the eigenbasis, step by step: exact along known eigenvectors, by Lanczos in the rest."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prunekit._checks import Floats
from prunekit.curvature.lanczos import Run, advance, until
from prunekit.curvature.matrix import Operator
from prunekit.curvature.quadrature import rule
from prunekit.spectrum import Measure


class Direction:
    """The measure of a vector, step by step: exact along eigenvectors that are known, by Lanczos in what is left.

    Parameters
    ----------
    operator : Operator
        The operator, of dimension D.
    c : (D,) array
        The vector, which is not 0.
    steps : int
        The largest number of products.
    known : (q,) array, (D, q) tensor
        Eigenvalues and orthonormal eigenvectors.
    storage : str
        As for `spectrum`.

    Attributes
    ----------
    forgotten : bool
        Whether the basis was given up before the last step.
    """

    def __init__(self, operator: Operator, c: Floats, steps: int, known: tuple[Floats, Tensor], storage: str) -> None:
        self.operator = operator
        whole = torch.from_numpy(c).to(getattr(operator, "device", "cpu"), torch.float64)
        self._values, V = known
        coordinates = V.T @ whole
        self._masses = (coordinates**2).cpu().numpy()
        rest = whole - V @ coordinates
        rest = rest - V @ (V.T @ rest)
        self._rest = float(rest @ rest)
        self._levels = iter(until(min(steps, operator.dimension)))
        lost = self._rest <= 1e-24 * float(whole @ whole)
        self.forgotten = False
        self._run = None if lost else Run(rest[:, None], min(steps, operator.dimension), storage, V)
        self.refine()

    @property
    def products(self) -> int:
        """Products taken so far."""
        return 0 if self._run is None else self._run.products

    @property
    def finished(self) -> bool:
        """Whether there are no more steps to take."""
        return self._run is None or self._run.finished

    def forget(self) -> None:
        """Give up the basis, and with it further steps: the measure stays as it is."""
        self.forgotten = True
        if self._run is not None:
            self._run.forget()

    def refine(self) -> None:
        """Go on to the next number of steps; after the last, or after `forget`, this does nothing."""
        if self.forgotten:
            return
        if self._run is not None and not self.finished:
            level = next(self._levels)
            while not self._run.complete and self._run.done < level:
                advance(self._run, self.operator)
            if self.finished:
                self._run.forget()

    @property
    def measure(self) -> Measure:
        """The measure that the steps so far give, of total |c|²."""
        if self._run is None:
            return Measure(self._values, self._masses)
        return self._with(rule(self._run, self._rest))

    def _with(self, rest: Measure) -> Measure:
        """Add what is known to a measure of what is left."""
        nodes, weights = np.concatenate([self._values, rest.nodes]), np.concatenate([self._masses, rest.weights])
        return Measure(nodes, weights, tuple(map(self._with, rest.earlier)))
