"""What knows a Hessian: its entries, its products, or another landscape's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from prunekit._checks import Floats, Integers, Seed
from prunekit.limit.lanczos import Lanczos
from prunekit.spectrum import Measure, Spectrum
from prunekit.statistics import Estimate

if TYPE_CHECKING:
    from prunekit.curvature.direction import Direction
    from prunekit.curvature.probing import Probing

Enough = Callable[[Measure], bool]
Read = Callable[[Spectrum], Estimate]
_HELD = 2  # the bases of so many directions are kept, since a search goes on between two of them
_EIGEN = 1e-3  # largest residual, relative to its eigenvalue, of an eigenvector split off a direction


class Source(Protocol):
    """What knows H."""

    name: str

    @property
    def operator(self) -> Any:
        """H as something with `dimension` and `product`."""

    @property
    def accuracy(self) -> float:
        """Relative error at which a share is good enough."""

    @property
    def products(self) -> int:
        """Products with H so far."""

    def spectrum(self) -> Spectrum:
        """Return the counting measure of H, as far as it is known."""

    def refine(self, of: Read | None = None) -> bool:
        """Find out more about the spectrum, for what is read off it; return whether there was more to find out."""

    def known(self) -> tuple[Floats, Floats]:
        """Return eigenvalues (q,) and orthonormal eigenvectors (D, q), in columns, those that are known so far."""

    def probed(self, steps: int, seed: Seed) -> Spectrum:
        """Return the counting measure of H by Lanczos from one random start."""

    def along(self, c: Floats, k: int, enough: Enough | None = None) -> Measure:
        """Return the measure of c = w* - w^k, good enough for what is read off it."""

    def block(self, removed: Integers, enough: Read | None = None) -> Spectrum:
        """Return the counting measure of the block of the removed weights."""


class Dense:
    """H as a matrix."""

    name = "dense"
    accuracy = 0.0
    products = 0

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

    def refine(self, of: Read | None = None) -> bool:
        """Return False, since there is nothing more to find out."""
        return False

    def known(self) -> tuple[Floats, Floats]:
        """Return all eigenpairs."""
        return self.eigen

    def probed(self, steps: int, seed: Seed) -> Spectrum:
        """Return the counting measure of H by Lanczos from one random start."""
        from prunekit.curvature import spectrum

        return spectrum(self.operator, steps=steps, probes=1, seed=seed, distribution="rademacher")

    def along(self, c: Floats, k: int, enough: Enough | None = None) -> Measure:
        """Return the measure of c = w* - w^k."""
        values, vectors = self.eigen
        return Measure.of_vector(values, vectors.T @ c)

    def block(self, removed: Integers, enough: Read | None = None) -> Spectrum:
        """Return the counting measure of the block of the removed weights."""
        return Spectrum.of_eigenvalues(np.linalg.eigvalsh(self.matrix[np.ix_(removed, removed)]))


class Products:
    """H by its products: bases that are extended as far as an integral needs.

    Parameters
    ----------
    operator : Curvature or another operator
        Anything with `dimension` and `product`.
    lanczos : Lanczos
        How the Hessian is examined.
    """

    def __init__(self, operator: Any, lanczos: Lanczos) -> None:
        self.operator, self.lanczos, self.accuracy = operator, lanczos, lanczos.accuracy
        steps, probes, budget = lanczos.steps, lanczos.probes, lanczos.budget
        fixed = f"{steps} steps" if steps is not None else f"up to {budget} products"
        self.name = f"Lanczos, {fixed}, {probes} probes"
        self._along = lanczos.direction_steps or steps or max(budget // probes, 1)
        self._fixed = steps is not None
        self._blocks: dict[bytes, Probing] = {}
        self._directions: dict[bytes, Direction] = {}
        self._eigen: tuple[int, Any] = (0, None)
        self._spent = 0  # products of runs that are not kept
        self._unpickled: Spectrum | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the runs, which cannot be written: what they found of the spectrum stays."""
        ran = "probing" in self.__dict__
        found = {"_unpickled": self.probing.spectrum if ran else self._unpickled, "_spent": self.products}
        if ran:
            self._known()
        state = {name: value for name, value in self.__dict__.items() if name != "probing"}
        return {**state, **found, "_blocks": {}, "_directions": {}}

    def on(self, operator: Any) -> Products:
        """Return the same for another operator."""
        return Products(operator, self.lanczos)

    @property
    def products(self) -> int:
        """Products so far."""
        return (
            self._spent
            + (self.probing.products if "probing" in self.__dict__ else 0)
            + sum(each.products for each in self._blocks.values())
            + sum(each.products for each in self._directions.values())
        )

    @cached_property
    def probing(self) -> Probing:
        """The run by probes that estimates the counting measure of H."""
        return self._probing(self.operator)

    def spectrum(self) -> Spectrum:
        """Return the counting measure of H, as far as it is known."""
        if self._unpickled is not None and "probing" not in self.__dict__:
            return self._unpickled
        return self.probing.spectrum

    def refine(self, of: Read | None = None) -> bool:
        """Take more steps, or more probes where what is read is mostly scatter; return whether there were any left."""
        return self.probing.refine(of)

    def known(self) -> tuple[Floats, Floats]:
        """Return the eigenpairs that the spectrum's run has found so far."""
        values, vectors = self._known()
        return values, vectors.cpu().numpy()

    def probed(self, steps: int, seed: Seed) -> Spectrum:
        """Return the counting measure of H by Lanczos from one start of random signs."""
        from prunekit.curvature import spectrum

        measured = spectrum(
            self.operator, steps=steps, probes=1, seed=seed, distribution="rademacher",
            storage=self.lanczos.storage,
        )  # fmt: skip
        self._spent += measured.products
        return measured

    def along(self, c: Floats, k: int, enough: Enough | None = None) -> Measure:
        """Return the measure of c = w* - w^k, from as many steps as it takes until `enough` says so, all by default.

        The eigenvectors that the spectrum's own run has found are split off first: what lies along them is exact, and
        the steps are for the rest. The bases of the last two directions are kept; of the others, the measures.
        """
        key = c.tobytes()
        direction = self._directions.pop(key, None) or self._direction(c)
        self._directions[key] = direction  # the last, since it was asked for last
        for old in list(self._directions.values())[:-_HELD]:
            old.forget()
        while True:
            measure = direction.measure
            if direction.finished or (not self._fixed and enough is not None and enough(measure)):
                return measure
            if direction.forgotten:  # it can go no further and is run again, and its products count again
                self._spent += direction.products
                direction = self._directions[key] = self._direction(c)
            else:
                direction.refine()

    def _direction(self, c: Floats) -> Direction:
        from prunekit.curvature.direction import Direction

        return Direction(self.operator, c, self._along, self._known(), self.lanczos.storage)

    def block(self, removed: Integers, enough: Read | None = None) -> Spectrum:
        """Return the counting measure of the block of the removed weights, good enough for what is read off it."""
        from prunekit.curvature import Restricted

        inside = np.zeros(self.operator.dimension, dtype=bool)
        inside[removed] = True
        key = inside.tobytes()
        if key not in self._blocks:
            self._blocks[key] = self._probing(Restricted(self.operator, inside))
        probing = self._blocks[key]
        if enough is None:
            return probing.whole()
        probing.resolve(enough, self.accuracy)
        return probing.spectrum

    def _known(self) -> Any:
        """Return the eigenpairs that the spectrum's run has found so far."""
        if self._unpickled is not None and "probing" not in self.__dict__:
            return self._eigen[1]
        done = self.probing.spectrum.products
        if self._eigen[0] != done:
            self._eigen = done, self.probing.eigenvectors(_EIGEN)
        return self._eigen[1]

    def _probing(self, operator: Any) -> Probing:
        from prunekit.curvature.probing import Probing

        of = self.lanczos
        return Probing(
            operator,
            steps=of.steps,
            probes=of.probes,
            budget=of.budget,
            seed=of.seed,
            storage=of.storage,
            progress=None,
        )
