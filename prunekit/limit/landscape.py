"""The quadratic model of a loss around trained weights, as pruning by magnitude sees it.

The loss near w* is L(w*) + ½(w - w*)ᵀH(w - w*). Keeping the k largest weights moves by c = w* - w^k, which lives on the
removed coordinates, over the distance R = |c|. A `Landscape` holds the weights and what is known of H: its counting
measure, which is found once, and for each k the measure of c and the counting measure of the removed block, which are
found when they are asked for and kept. H is known entry by entry (small networks) or by its products (all others).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Integers, Seed
from prunekit.cones import kept_order
from prunekit.limit.lanczos import Lanczos
from prunekit.limit.negative import NEGATIVE, Negative, treated
from prunekit.limit.sources import Dense, Enough, Products, Read, Source
from prunekit.spectrum import Measure, Spectrum
from prunekit.statistics import Estimate


class Landscape:
    """Weights, and the spectrum of the Hessian at them.

    Made by `Landscape.of_matrix` or `Landscape.of_operator`; for a network, by `network_landscape`.

    Attributes
    ----------
    weights : (D,) array
        The trained weights w*.
    order : (D,) array of int
        Positions in decreasing order of magnitude, ties in increasing order of position: w^k keeps the first k.
    coverage : str
        Of a network, which share of its parameters these are, and what the others are; else empty.
    """

    coverage = ""

    def __init__(self, weights: ArrayLike, source: Source) -> None:
        self.weights = _checks.vector("weights", weights)
        if not self.weights.any():
            raise ValueError("weights are all 0: there is nothing to prune")
        with np.errstate(over="ignore"):
            size = float(np.sum(self.weights**2))
        if not 0 < size < np.inf:
            raise FloatingPointError(f"weights have a squared norm of {size}: rescale weights")
        self.order = kept_order(self.weights)
        self._source = source
        self._found: dict[Any, Any] = {}

    @classmethod
    def of_matrix(cls, weights: ArrayLike, hessian: ArrayLike) -> Landscape:
        """Return the landscape of a Hessian (D, D) known entry by entry: everything about it is exact.

        Raises
        ------
        ValueError, TypeError
            If the Hessian is not symmetric, or of another size than the weights.

        Examples
        --------
        >>> landscape = Landscape.of_matrix([3.0, 0.1, -2.0], np.diag([1.0, 5.0, 1.0]))
        >>> landscape.order  # by magnitude
        array([0, 2, 1])
        """
        w = _checks.vector("weights", weights)
        matrix = _checks.array("hessian", hessian, ndim=2)
        if matrix.shape != (w.size, w.size):
            raise ValueError(f"hessian has shape {matrix.shape}: weights has {w.size}, give one row for each")
        with np.errstate(over="ignore"):
            asymmetry = float(np.abs(matrix - matrix.T).max())
        if asymmetry > 1e-8 * float(np.abs(matrix).max()):
            raise ValueError(f"hessian is asymmetric by {asymmetry:.3g}: give (H + H.T) / 2, if that is meant")
        return cls(w, Dense(matrix / 2 + matrix.T / 2))  # halves, since a sum may leave the range

    @classmethod
    def of_operator(cls, weights: ArrayLike, operator: Any, lanczos: Lanczos | None = None) -> Landscape:
        """Return the landscape of a Hessian known by its products, through Lanczos.

        Parameters
        ----------
        weights : (D,) array
            The weights, in the order of the operator's rows.
        operator : Curvature, or anything with `dimension` and `product`
            See `prunekit.curvature`.
        lanczos : Lanczos, optional
            How the Hessian is examined; by default as many steps are taken as are needed.

        Raises
        ------
        ValueError, TypeError
            If the operator is of another size than the weights.
        """
        from prunekit.curvature.matrix import rows_of

        D = rows_of(operator)
        w = _checks.vector("weights", weights, D, like=f"operator has {D} rows")
        how = Lanczos() if lanczos is None else lanczos
        _checks.instance("lanczos", how, Lanczos, "a prunekit.limit.Lanczos")
        _checks.draws("probes", how.probes, D)
        return cls(w, Products(operator, how))

    def __repr__(self) -> str:
        """Describe the landscape in a line."""
        return f"Landscape({self.dimension} weights, {self.method}{'; ' * bool(self.coverage)}{self.coverage})"

    def covering(self, coverage: str) -> Landscape:
        """Return the landscape itself, which says from now on which share of a network's parameters it covers."""
        self.coverage = _checks.text("coverage", coverage)
        return self

    @property
    def dimension(self) -> int:
        """D, the number of weights that can be pruned."""
        return self.weights.size

    @property
    def method(self) -> str:
        """How the spectrum was found: "dense", or the numbers of Lanczos steps and probes."""
        return self._source.name

    @property
    def accuracy(self) -> float:
        """Relative error of a share at which no more steps are taken; 0 for a dense Hessian."""
        return self._source.accuracy

    @property
    def products(self) -> int:
        """Products with the Hessian so far; 0 for a dense one."""
        return self._source.products

    @property
    def operator(self) -> Any:
        """The Hessian as an operator, something with `dimension` and `product`; a scaled landscape has none."""
        return self._source.operator

    @property
    def hessian(self) -> Floats | None:
        """The matrix (D, D), where it is known entry by entry."""
        return getattr(self._source, "matrix", None)

    @cached_property
    def eigen(self) -> tuple[Floats, Floats]:
        """Eigenvalues (D,), increasing, and eigenvectors (D, D), in columns, of a Hessian known entry by entry.

        Raises
        ------
        ValueError
            If it is known by its products only.
        """
        if self.hessian is None:
            raise ValueError(f"landscape is known by {self.method} only: give one of a dense Hessian, or dense=True")
        pairs: tuple[Floats, Floats] = self._source.eigen  # type: ignore[attr-defined]
        return pairs

    def without_negative(self, negative: Negative) -> Floats:
        """Return the Hessian (D, D) without negative eigenvalues: by absolute values, zeros, or a refusal.

        Raises
        ------
        ValueError
            If the Hessian is known by its products only, or has negative eigenvalues that are refused.
        """
        _checks.choice("negative", negative, NEGATIVE)
        values, vectors = self.eigen
        if negative == "absolute":
            better = np.abs(values)
        else:
            treated(Measure.of_eigenvalues(values), negative)  # refuses what is to be refused
            better = np.maximum(values, 0.0)
        return (vectors * better) @ vectors.T

    def remembered(self, name: Any, find: Callable[[], Any]) -> Any:
        """Return what was found under a name before, or find it now."""
        if name not in self._found:
            self._found[name] = find()
        return self._found[name]

    @property
    def spectrum(self) -> Spectrum:
        """Counting measure of H, negative eigenvalues included, as far as it is known; `read` makes that more."""
        if self.accuracy:  # Lanczos, whose run other landscapes of the same Hessian share and may have taken further
            return self._source.spectrum()
        spectrum: Spectrum = self.remembered("spectrum", self._source.spectrum)
        return spectrum

    def refine(self, of: Callable[[Spectrum], Estimate] | None = None) -> bool:
        """Take more Lanczos steps for the spectrum, or more probes; return whether the budget had any left.

        Parameters
        ----------
        of : callable, optional
            What is read off the spectrum; whether its error comes from the steps or from the probes decides.
        """
        if of is not None:
            _checks.function("of", of)
        return self._source.refine(of)

    def read(self, of: Callable[[Spectrum], Estimate]) -> Estimate:
        """Return what is read off the spectrum, after as many steps as its `accuracy` needs and the budget has."""
        _checks.function("of", of)
        estimate = _estimate(of(self.spectrum))
        while not self.good(estimate) and self.refine(of):
            estimate = _estimate(of(self.spectrum))
        return estimate

    def good(self, found: Estimate) -> bool:
        """Whether a number is as accurate as is asked for."""
        _checks.instance("found", found, Estimate, "an Estimate")
        return found.resolved and found.error <= self.accuracy * abs(found.value)

    def read_block(self, k: int, of: Callable[[Spectrum], Estimate]) -> Estimate:
        """Return what is read off the counting measure of the removed weights' block, as accurate as `read` is."""
        return _estimate(_checks.function("of", of)(self.block(k, of)))

    def known(self) -> tuple[Floats, Floats]:
        """Return eigenvalues (q,) and orthonormal eigenvectors (D, q), in columns, those that are known so far."""
        return self._source.known()

    @cached_property
    def squared_distances(self) -> Floats:
        """Squared distances R² (D + 1,) for k = 0 … D, summed from the smallest weight."""
        squares = self.weights[self.order[::-1]] ** 2
        return np.concatenate([np.cumsum(squares)[::-1], [0.0]])

    def distance(self, k: int) -> float:
        """Return R, the distance from w* to w^k: the norm of the D - k smallest weights."""
        return float(np.sqrt(self.squared_distances[_checks.count("k", k, 0, self.dimension)]))

    def removed(self, k: int) -> Floats:
        """Return c = w* - w^k (D,)."""
        c = np.zeros_like(self.weights)  # `cones.removed` would sort anew
        gone = self.order[_checks.count("k", k, 0, self.dimension) :]
        c[gone] = self.weights[gone]
        return c

    def probed(self, steps: int, seed: Seed = 0) -> Spectrum:
        """Return the counting measure by Lanczos from one start of random signs, whatever is known of H; it is kept."""
        steps = _checks.count("steps", steps)
        _checks.generator(seed)
        spectrum: Spectrum = self.remembered(("probed", steps, str(seed)), lambda: self._source.probed(steps, seed))
        return spectrum

    def direction(self, k: int, enough: Callable[[Measure], bool] | None = None) -> Measure:
        """Return the measure of c = w* - w^k, total R²; kept for the next time.

        Parameters
        ----------
        k : int
            Number of weights kept.
        enough : callable, optional
            Whether a measure is good enough; where Lanczos' steps are not fixed, fewer are taken then.

        Raises
        ------
        ValueError
            If c is 0.
        """
        if enough is not None:
            _checks.function("enough", enough)
        if self.distance(k) == 0:
            raise ValueError(f"k is {k}, and what that removes is 0 already: give a smaller k")
        if self.accuracy:  # Lanczos, which keeps its runs itself and may have to go on
            return self._source.along(self.removed(k), k, enough)
        measure: Measure = self.remembered(("direction", k), lambda: self._source.along(self.removed(k), k))
        return measure

    def along(self, c: Floats, k: int, enough: Callable[[Measure], bool] | None = None) -> Measure:
        """Return the measure of another c (D,), what other weights lose when k are kept, as `direction` does."""
        c = _checks.vector("c", c, self.dimension, like=f"the landscape has {self.dimension}")
        if enough is not None:
            _checks.function("enough", enough)
        return self._source.along(c, _checks.count("k", k, 0, self.dimension), enough)

    def block_of(self, removed: Integers, of: Callable[[Spectrum], Estimate] | None = None) -> Spectrum:
        """Return the counting measure of the Hessian of other removed weights, given by their positions, as `block`."""
        if of is not None:
            _checks.function("of", of)
        return self._source.block(_checks.indices("removed", removed, self.dimension), of)

    def block(self, k: int, of: Callable[[Spectrum], Estimate] | None = None) -> Spectrum:
        """Return the counting measure of the Hessian of the removed weights, total D - k; kept for the next time.

        Parameters
        ----------
        k : int
            Number of weights kept.
        of : callable, optional
            What will be read off it; where Lanczos' steps are not fixed, as many are taken as its accuracy needs.
        """
        gone = self.order[_checks.count("k", k, 0, self.dimension - 1) :]
        if of is not None:
            _checks.function("of", of)
        if self.accuracy:
            return self._source.block(gone, of)
        spectrum: Spectrum = self.remembered(("block", k), lambda: self._source.block(gone))
        return spectrum

    def with_weights(self, weights: ArrayLike) -> Landscape:
        """Return the landscape with the same Hessian and other weights (D,), whose order is their own."""
        w = _checks.vector("weights", weights, self.dimension, like=f"the landscape has {self.dimension}")
        return Landscape(w, self._source).covering(self.coverage)

    def scaled(self, *, weights: float = 1.0, curvature: float = 1.0) -> Landscape:
        """Return the landscape with the weights, and the Hessian, multiplied by a number above 0 each.

        The order of the weights stays, and so do the measures, at other places and with other masses: nothing is
        computed again.
        """
        a = _checks.scalar("weights", weights, positive=True)
        b = _checks.scalar("curvature", curvature, positive=True)
        return Landscape(a * self.weights, Scaled(self, a, b)).covering(self.coverage)

    def restricted(self, kept: ArrayLike) -> Landscape:
        """Return the landscape of the weights that a mask leaves, with the others held where they are.

        Its Hessian is the block of the whole one.

        Parameters
        ----------
        kept : (D,) array of bool
            Which weights the mask leaves.

        Raises
        ------
        ValueError
            If it is no such array or keeps nothing, or the landscape is a scaled one that is not dense.
        """
        mask = _checks.mask("kept", kept, self.dimension, like=f"the landscape has {self.dimension} weights")
        whole = self.coverage and f"{int(mask.sum()):,} weights that a mask leaves, of {self.coverage}"
        if self.hessian is not None:
            return Landscape.of_matrix(self.weights[mask], self.hessian[np.ix_(mask, mask)]).covering(whole)
        from prunekit.curvature import Restricted

        source: Any = self._source
        if not hasattr(source, "on"):
            raise ValueError("landscape is a scaled one, known by its products: restrict the one it was made from")
        return Landscape(self.weights[mask], source.on(Restricted(source.operator, mask))).covering(whole)


def _estimate(value: Any) -> Estimate:
    """Return what was read off a spectrum, if it is an estimate."""
    return _checks.instance("what of returns", value, Estimate, "an Estimate")


def checked(landscape: Any) -> Landscape:
    """Return a landscape, refusing what is none."""
    return _checks.instance("landscape", landscape, Landscape, "a Landscape")


class Scaled:
    """Another landscape's H, and its weights, multiplied by a number each."""

    def __init__(self, of: Landscape, weights: float, curvature: float) -> None:
        self.of, self.weights, self.curvature = of, weights, curvature
        self.name = of.method

    @property
    def accuracy(self) -> float:
        """Relative error at which a share is good enough."""
        return self.of.accuracy

    @property
    def products(self) -> int:
        """Products with H so far, those of the other landscape."""
        return self.of.products

    def refine(self, of: Read | None = None) -> bool:
        """Find out more about the spectrum; return whether there was more to find out."""
        return self.of.refine(
            None if of is None else lambda spectrum: of(spectrum.mapped(lambda h: self.curvature * h))
        )

    def known(self) -> tuple[Floats, Floats]:
        """Return the eigenpairs that are known so far."""
        values, vectors = self.of.known()
        return self.curvature * values, vectors

    @property
    def operator(self) -> Any:
        """Refuse: a scaled landscape has no operator."""
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

    def along(self, c: Floats, k: int, enough: Enough | None = None) -> Measure:
        """Return the measure of c = w* - w^k."""
        judged = None if enough is None else lambda measure: enough(self._scaled(measure))
        if np.array_equal(c, self.weights * self.of.removed(k)):  # the other landscape has kept it
            return self._scaled(self.of.direction(k, judged))
        return self._scaled(self.of.along(c / self.weights, k, judged))

    def _scaled(self, measure: Measure) -> Measure:
        earlier = tuple(map(self._scaled, measure.earlier))
        return Measure(self.curvature * measure.nodes, self.weights**2 * measure.weights, earlier)

    def block(self, removed: Integers, enough: Callable[[Spectrum], Estimate] | None = None) -> Spectrum:
        """Return the counting measure of the block of the removed weights."""
        k = self.of.dimension - removed.size
        judged = None if enough is None else lambda block: enough(block.mapped(lambda h: self.curvature * h))
        its_own = np.array_equal(removed, self.of.order[k:])  # unless the scaled landscape was given other weights
        block = self.of.block(k, judged) if its_own else self.of.block_of(removed, judged)
        return block.mapped(lambda h: self.curvature * h)
