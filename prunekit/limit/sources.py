"""What knows a Hessian: its entries, its products, or another landscape's."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from prunekit._checks import Floats, Integers, Seed
from prunekit.spectrum import Measure, Spectrum

if TYPE_CHECKING:
    from prunekit.limit.landscape import Landscape


class Source(Protocol):
    """What knows H."""

    name: str

    @property
    def operator(self) -> Any:
        """H as something with `dimension` and `product`."""

    def spectrum(self) -> Spectrum:
        """Return the counting measure of H."""

    def probed(self, steps: int, seed: Seed) -> Spectrum:
        """Return the counting measure of H by Lanczos from one random start."""

    def along(self, c: Floats, k: int) -> Measure:
        """Return the measure of c = w* - w^k."""

    def block(self, removed: Integers) -> Spectrum:
        """Return the counting measure of the block of the removed weights."""


class Dense:
    """H as a matrix."""

    name = "dense"

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix

    @cached_property
    def operator(self) -> Any:
        """The matrix as an operator."""
        from prunekit.curvature import Matrix

        return Matrix(self.matrix)

    @cached_property
    def eigen(self) -> tuple[Floats, Floats]:
        """Eigenvalues, increasing, and eigenvectors in columns."""
        values, vectors = np.linalg.eigh(self.matrix)
        return values, vectors

    def spectrum(self) -> Spectrum:
        """Return the counting measure of H."""
        return Spectrum.of_eigenvalues(self.eigen[0])

    def probed(self, steps: int, seed: Seed) -> Spectrum:
        """Return the counting measure of H by Lanczos from one random start."""
        from prunekit.curvature import spectrum

        return spectrum(self.operator, steps=steps, probes=1, seed=seed, distribution="rademacher", progress=False)

    def along(self, c: Floats, k: int) -> Measure:
        """Return the measure of c = w* - w^k."""
        values, vectors = self.eigen
        return Measure.of_vector(values, vectors.T @ c)

    def block(self, removed: Integers) -> Spectrum:
        """Return the counting measure of the block of the removed weights."""
        return Spectrum.of_eigenvalues(np.linalg.eigvalsh(self.matrix[np.ix_(removed, removed)]))


class Lanczos:
    """H by its products."""

    def __init__(self, operator: Any, steps: int, probes: int, direction_steps: int, seed: Seed, storage: str) -> None:
        self.operator, self.steps, self.probes = operator, steps, probes
        self.direction_steps, self.seed = direction_steps, seed
        self.name = f"Lanczos, {steps} steps, {probes} probes"
        self.how: dict[str, Any] = {"storage": storage, "progress": False}

    def on(self, operator: Any) -> Lanczos:
        """Return the same for another operator."""
        storage = self.how["storage"]
        return Lanczos(operator, self.steps, self.probes, self.direction_steps, self.seed, storage)

    def spectrum(self) -> Spectrum:
        """Return the counting measure of H."""
        return self._spectrum(self.operator, self.steps, self.probes, self.seed)

    def probed(self, steps: int, seed: Seed) -> Spectrum:
        """Return the counting measure of H by Lanczos from one start of random signs."""
        return self._spectrum(self.operator, steps, 1, seed, distribution="rademacher")

    def along(self, c: Floats, k: int) -> Measure:
        """Return the measure of c = w* - w^k."""
        from prunekit.curvature import vector_measure

        return vector_measure(self.operator, c, steps=self.direction_steps, **self.how)

    def block(self, removed: Integers) -> Spectrum:
        """Return the counting measure of the block of the removed weights."""
        from prunekit.curvature import Restricted

        inside = np.zeros(self.operator.dimension, dtype=bool)
        inside[removed] = True
        return self._spectrum(Restricted(self.operator, inside), self.steps, self.probes, self.seed)

    def _spectrum(self, operator: Any, steps: int, probes: int, seed: Seed, **options: Any) -> Spectrum:
        from prunekit.curvature import spectrum

        return spectrum(operator, steps=steps, probes=probes, seed=seed, **self.how, **options)


class Scaled:
    """Another landscape's H, and its weights, multiplied by a number each."""

    def __init__(self, of: Landscape, weights: float, curvature: float) -> None:
        self.of, self.weights, self.curvature = of, weights, curvature
        self.name = of.method

    @property
    def operator(self) -> Any:
        """There is none."""
        raise ValueError("a scaled landscape has no operator: ask the one that it was made from")

    @property
    def eigen(self) -> tuple[Floats, Floats]:
        """Eigenvalues, increasing, and eigenvectors in columns."""
        values, vectors = self.of.eigen
        return self.curvature * values, vectors

    @property
    def matrix(self) -> Floats | None:
        """The matrix, where it is known."""
        return None if self.of.hessian is None else self.curvature * self.of.hessian

    def spectrum(self) -> Spectrum:
        """Return the counting measure of H."""
        return self.of.spectrum.mapped(lambda h: self.curvature * h)

    def probed(self, steps: int, seed: Seed) -> Spectrum:
        """Return the counting measure of H by Lanczos from one random start."""
        return self.of.probed(steps, seed).mapped(lambda h: self.curvature * h)

    def along(self, c: Floats, k: int) -> Measure:
        """Return the measure of c = w* - w^k."""
        found = self.of.direction(k)
        return Measure(self.curvature * found.nodes, self.weights**2 * found.weights)

    def block(self, removed: Integers) -> Spectrum:
        """Return the counting measure of the block of the removed weights."""
        return self.of.block(self.of.dimension - removed.size).mapped(lambda h: self.curvature * h)
