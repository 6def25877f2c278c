"""Spectra of symmetric matrices as discrete measures: how much lies at which eigenvalue.

Two measures of one matrix H, of D rows, matter here: the *counting measure*, whose total is D, and the *measure of a
vector* c, which puts c_i², the square of its coordinate in the eigenbasis, at the i-th eigenvalue and has the total
|c|². Both are a `Measure`, from the dense matrix or from Lanczos nodes and weights. A counting measure estimated with
several random probes is a `Spectrum`, which integrates with an error bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks, estimates
from prunekit._checks import Floats
from prunekit.estimates import Estimate


@dataclass(frozen=True, eq=False)
class Measure:
    """A discrete measure on the eigenvalues of a matrix.

    Parameters
    ----------
    nodes : (m,) array
        Places, in units of the matrix; kept in increasing order.
    weights : (m,) array
        What lies there, each at least 0; not all 0.

    Raises
    ------
    ValueError, TypeError
        For arrays of different lengths, entries that are not finite, or weights below 0.
    """

    nodes: Floats
    weights: Floats

    def __post_init__(self) -> None:
        nodes = _checks.vector("nodes", self.nodes)
        weights = _checks.nonnegative_vector("weights", self.weights, nodes.size, like=f"nodes has {nodes.size}")
        if not weights.any():
            raise ValueError("weights are all 0: give a measure with something in it")
        order = np.argsort(nodes, kind="stable")
        object.__setattr__(self, "nodes", nodes[order])
        object.__setattr__(self, "weights", weights[order])

    @classmethod
    def of_eigenvalues(cls, eigenvalues: ArrayLike) -> Measure:
        """Return the counting measure of eigenvalues (D,)."""
        found = _checks.vector("eigenvalues", eigenvalues)
        return cls(found, np.ones_like(found))

    @classmethod
    def of_vector(cls, eigenvalues: ArrayLike, coordinates: ArrayLike) -> Measure:
        """Return the measure of a vector with the given coordinates (D,) in the eigenbasis."""
        found = _checks.vector("eigenvalues", eigenvalues)
        return cls(found, _checks.vector("coordinates", coordinates, found.size, like="eigenvalues") ** 2)

    @property
    def total(self) -> float:
        """The whole mass: D for a counting measure, |c|² for a vector's."""
        return float(self.weights.sum())

    def integrate(self, f: Callable[[Floats], Floats]) -> float:
        """Return Σ weight f(node); `f` takes the nodes (m,) and answers (m,), or one number for all.

        Raises
        ------
        ValueError
            If `f` answers another shape, which numpy would broadcast to a wrong sum.
        FloatingPointError
            If the sum is not finite.
        """
        found = np.asarray(f(self.nodes))
        if found.shape not in ((), self.nodes.shape):
            raise ValueError(f"f answers shape {found.shape} for nodes {self.nodes.shape}: give one number a node")
        return float(_checks.finite("the integral", np.sum(self.weights * found)))

    def mapped(self, f: Callable[[Floats], Floats]) -> Measure:
        """Return the measure with its nodes moved by `f`: np.abs, for example, as the authors of geometric do."""
        return Measure(f(self.nodes), self.weights)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The counting measure of a matrix, exact or estimated by independent probes.

    Parameters
    ----------
    probes : tuple of Measure
        Independent estimates of the counting measure, all of one total, D; a single one if exact.
    exact : bool
        Whether it is the measure itself (the dense eigenvalues); error bars are 0 then.

    Raises
    ------
    ValueError, TypeError
        If there is no probe, one is no `Measure`, totals differ, or an exact spectrum has several.
    """

    probes: tuple[Measure, ...]
    exact: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.probes, Measure):
            raise TypeError("probes is a Measure: give a tuple of them")
        object.__setattr__(self, "probes", tuple(self.probes))
        for probe in self.probes:
            if not isinstance(probe, Measure):
                raise TypeError(f"probes holds a {type(probe).__name__}: give Measures")
        if not self.probes:
            raise ValueError("probes is empty: give at least one measure")
        if self.exact and len(self.probes) > 1:
            raise ValueError(f"probes are {len(self.probes)}: an exact spectrum has one")
        totals = [probe.total for probe in self.probes]
        if not np.allclose(totals, totals[0], rtol=1e-8):
            raise ValueError(f"probes have totals from {min(totals)} to {max(totals)}: give measures of one matrix")

    @classmethod
    def of_eigenvalues(cls, eigenvalues: ArrayLike) -> Spectrum:
        """Return the exact spectrum of eigenvalues (D,)."""
        return cls((Measure.of_eigenvalues(eigenvalues),), exact=True)

    @property
    def dimension(self) -> float:
        """D, the number of rows of the matrix."""
        return self.probes[0].total

    @property
    def pooled(self) -> Measure:
        """The average of the probes, as one measure of total D."""
        count = len(self.probes)
        nodes = np.concatenate([probe.nodes for probe in self.probes])
        return Measure(nodes, np.concatenate([probe.weights for probe in self.probes]) / count)

    def integrate(self, f: Callable[[Floats], Floats]) -> Estimate:
        """Return ∫ f over the counting measure, Σ_i f(h_i), with the standard error across probes.

        Source: stochastic Lanczos quadrature, Ubaru, Chen and Saad (2017). The error is infinite for a single probe.
        """
        found = [probe.integrate(f) for probe in self.probes]
        return Estimate(found[0], 0.0) if self.exact else estimates.mean(found)

    def mapped(self, f: Callable[[Floats], Floats]) -> Spectrum:
        """Return the spectrum with its nodes moved by `f`."""
        return Spectrum(tuple(probe.mapped(f) for probe in self.probes), self.exact)

    def with_zeros(self, count: int) -> Spectrum:
        """Return the spectrum of a matrix with `count` more rows, which are 0: an atom at 0 in every probe."""
        zeros = float(_checks.count("count", count, 0))
        if zeros == 0:
            return self
        more = (np.append(probe.nodes, 0.0) for probe in self.probes)
        weights = (np.append(probe.weights, zeros) for probe in self.probes)
        return Spectrum(tuple(map(Measure, more, weights)), self.exact)

    def trace(self) -> Estimate:
        """Return the trace, Σ_i h_i."""
        return self.integrate(lambda h: h)

    def log_determinant(self, shift: float = 0.0) -> Estimate:
        """Return log det(H + shift I), Σ_i log(h_i + shift).

        Raises
        ------
        ValueError
            If a node lies at -shift or below.
        """
        moved = _checks.scalar("shift", shift)
        least = min(float(probe.nodes[0]) for probe in self.probes)
        if least + moved <= 0:
            raise ValueError(
                f"shift is {moved:.6g}, and the least node is {least:.6g}: give a shift above {abs(least):.6g}"
            )
        return self.integrate(lambda h: np.log(h + moved))
