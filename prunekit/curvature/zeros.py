"""How much of a spectrum lies at zero: counted exactly where a row of the matrix is 0, bounded by quadrature elsewhere.

A row of zeros is an eigenvalue 0, and one product with a random vector shows all such rows at once. Other null
directions (more parameters than data, weights that can be rescaled against each other) leave no trace in the rows;
Lanczos' method sees them as mass near 0, with a resolution of about the spectrum's extent over the number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from prunekit import _checks, statistics
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.curvature.matrix import Operator, rows_of
from prunekit.curvature.spectra import spectrum
from prunekit.nets import access, checkpoint
from prunekit.spectrum import Measure, Spectrum
from prunekit.statistics import Estimate

_BYTES = 2**28  # size of the unit vectors that are multiplied at once
_SIGHTINGS = 2  # random vectors; a single one misses a row whose size is below rounding in its product


class Restricted:
    """The block of an operator that belongs to some coordinates.

    Parameters
    ----------
    operator : Operator
        The operator, of dimension D.
    kept : (D,) bool array
        Rows and columns to keep, at least one.
    """

    def __init__(self, operator: Operator, kept: ArrayLike) -> None:
        D = rows_of(operator)
        mask = _checks.mask("kept", kept, D, like=f"operator has {D} rows")
        self.operator = operator
        self.device = getattr(operator, "device", torch.device("cpu"))
        self.places = torch.from_numpy(np.flatnonzero(mask)).to(self.device)

    @property
    def dimension(self) -> int:
        """Number of coordinates kept."""
        return len(self.places)

    @cached_property
    def identity(self) -> dict[str, str]:
        """What tells this operator from another: the whole one's identity, and a checksum of what is kept."""
        whole = getattr(self.operator, "identity", None)
        if whole is None:
            raise AttributeError("identity")
        return {**whole, "kept": checkpoint.digest({"places": self.places})}

    def product(self, v: Any) -> Any:
        """Return the block's product with v, (d,) or (d, k); a tensor for a tensor."""
        given = access.reals("v", v)
        if len(given) != self.dimension:
            raise ValueError(f"v has shape {tuple(given.shape)}: give ({self.dimension},) or ({self.dimension}, k)")
        whole = given.new_zeros(self.operator.dimension, *given.shape[1:], device=self.device)
        whole[self.places] = given.to(self.device)
        result = self.operator.product(whole)[self.places]
        return result.to(v.device) if isinstance(v, Tensor) else result.cpu().numpy()


def row_norms(operator: Operator, rows: ArrayLike) -> Floats:
    """Return the ℓ1 norms of some rows of the operator, a product for each.

    Parameters
    ----------
    operator : Operator
        The operator, of dimension D.
    rows : (n,) integers
        Distinct rows, from 0 to D - 1.

    Returns
    -------
    (n,) array
        Σ_j |H_ij|, in units of the matrix.
    """
    D = rows_of(operator)
    wanted = _checks.indices("rows", rows, D)
    norms = []
    together = max(1, min(32, _BYTES // (8 * D)))
    parts = np.array_split(wanted, -(-wanted.size // together))
    for part in bars.each("rows", parts, len(parts), "batches"):
        units = torch.zeros(D, part.size, dtype=torch.float64, device=getattr(operator, "device", "cpu"))
        units[torch.from_numpy(part), torch.arange(part.size)] = 1.0
        norms.append(operator.product(units).abs().sum(0).cpu().numpy())
    return np.concatenate(norms)


def zero_rows(operator: Operator, *, seed: Seed = 0) -> NDArray[np.bool_]:
    """Return which rows (D,) of the operator are exactly 0.

    The product with a Gaussian vector is 0 in a row of zeros, and almost surely in no other. A parameter has such a
    row if it has no influence on the outputs for any sample: the weights of an input that is always 0, and those into
    or out of a ReLU that is never active.

    Parameters
    ----------
    operator : Operator
        The operator, of dimension D.
    seed : int, SeedSequence or Generator
        Where the two vectors come from.
    """
    draws = _checks.generator(seed).standard_normal((rows_of(operator), _SIGHTINGS))
    products = np.asarray(operator.product(draws))
    return np.asarray((products == 0).all(1))


@dataclass(frozen=True, eq=False)
class ZeroMass:
    """How many eigenvalues lie within a threshold of 0.

    Attributes
    ----------
    rows : int
        Number of rows that are exactly 0, and as many eigenvalues are.
    near : Estimate
        `rows`, and the mass of the Lanczos nodes within the threshold; its error across probes alone, since what the
        quadrature may be off by is what lies between the bounds.
    lower, upper : Estimate
        Bounds by the inequalities of Chebyshev, Markov and Stieltjes, each with its error across probes. The truth
        lies between them but for those errors; a wide gap says that the steps are too few to tell.
    spectrum : Spectrum
        The whole counting measure: an atom of `rows` at 0, and the quadrature of the rest.
    """

    rows: int
    near: Estimate
    lower: Estimate
    upper: Estimate
    spectrum: Spectrum


def zero_mass(operator: Operator, threshold: float, *, seed: Seed = 0, **options: Any) -> ZeroMass:
    """Return how many eigenvalues are at most `threshold` in modulus: zero rows exactly, the rest by quadrature.

    Parameters
    ----------
    operator : Operator
        The operator, of dimension D.
    threshold : float
        The largest modulus that counts, in units of the matrix, above 0. Below the products' own accuracy (1e-7 of the
        largest eigenvalue in single precision) nothing can be told.
    seed : int, SeedSequence or Generator
        Where the random vectors come from.
    **options
        Options of `spectrum`, except `shared`: each probe keeps the Gauss quadrature that the bounds need.
    """
    t = _checks.scalar("threshold", threshold, positive=True)
    random = _checks.generator(seed)
    dead = zero_rows(operator, seed=random)
    count = int(dead.sum())
    if dead.all():
        everything = Estimate(float(count), 0.0)
        return ZeroMass(count, everything, everything, everything, Spectrum.of_eigenvalues(np.zeros(count)))
    rest = spectrum(Restricted(operator, ~dead), seed=random, shared=False, **options)  # Gauss rules, for the bounds
    near = statistics.few([probe.integrate(lambda h: (np.abs(h) <= t).astype(float)) for probe in rest.probes])
    bounds = np.array([_within(probe, t) for probe in rest.probes])
    lower, upper = (statistics.mean(count + side) for side in bounds.T)
    return ZeroMass(count, Estimate(count + near.value, near.error), lower, upper, rest.with_zeros(count))


def counting(measure: Measure, x: float) -> tuple[float, float]:
    """Return bounds on the mass at and below x of the measure whose Gauss quadrature is given.

    Source: the separation theorem of Chebyshev, Markov and Stieltjes: up to a node, the measure lies between the
    weights before it and the weights including it. So these are bounds for one probe's own measure, not for its
    expectation, and only for a quadrature as Lanczos' method returns it: `spectrum(…, shared=False)` or a vector's,
    not one whose nodes were moved or that counts converged eigenvalues once.

    Parameters
    ----------
    measure : Measure
        One of a `Spectrum`'s probes, or a vector's.
    x : float
        The number x.
    """
    _checks.instance("measure", measure, Measure, "a Measure")
    x = _checks.real("x", x)
    sums = np.concatenate([[0.0], np.cumsum(measure.weights)])
    below = int(np.searchsorted(measure.nodes, x, side="right"))  # nodes at or below x
    lower = sums[max(below - 1, 0)]
    at_node = below > 0 and measure.nodes[below - 1] == x
    upper = sums[below] if at_node else sums[min(below + 1, measure.nodes.size)]
    return float(lower), float(upper)


def _within(measure: Measure, t: float) -> tuple[float, float]:
    """Return bounds on one measure's mass in [-t, t]."""
    low_left, high_left = counting(measure, -t)
    low_right, high_right = counting(measure, t)
    return max(low_right - high_left, 0.0), high_right - low_left
