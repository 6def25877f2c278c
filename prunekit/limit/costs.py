"""What the quadratic model itself says about a pruned network, for every k at once: no cone, no random subspace.

The mathematics of the matrices is in `prunekit.cones.quadratic`; here a landscape's Hessian is freed of its negative
eigenvalues first, since with one of them the quadratic model has no least loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks, cones
from prunekit._checks import Floats
from prunekit.limit.landscape import Landscape, checked
from prunekit.limit.negative import NEGATIVE, Negative, treated
from prunekit.spectrum import Measure

_COSTS = {"one-shot": cones.one_shot_losses, "re-optimized": cones.reoptimized_losses}


def one_shot_costs(landscape: Landscape, *, negative: Negative = "absolute") -> Floats:
    """Return ½ cᵀHc for k = 0 … D: the rise of the quadratic model when the k largest weights are kept as they are.

    Parameters
    ----------
    landscape : Landscape
        The landscape of a dense Hessian.
    negative : str
        What becomes of negative eigenvalues: "absolute", "zero" or "refuse".

    Returns
    -------
    (D + 1,) array
        The rise, in units of the loss; it is 0 at k = D.

    Raises
    ------
    ValueError
        If the Hessian is not known entry by entry, or has negative eigenvalues that are refused.
    """
    return _costs(landscape, "one-shot", negative)


def reoptimized_costs(landscape: Landscape, *, negative: Negative = "absolute") -> Floats:
    """Return ½ cᵀ[(H⁻¹)_PP]⁻¹c for k = 0 … D: the rise when the kept weights are set to their best values.

    This is the optimal brain surgeon's criterion for the whole set P of removed weights (Hassibi and Stork 1993), as a
    Schur complement, which a singular Hessian has too.

    Parameters
    ----------
    landscape, negative
        As for `one_shot_costs`.

    Returns
    -------
    (D + 1,) array
        The rise, in units of the loss, falling to 0.

    Raises
    ------
    ValueError
        In the same cases as `one_shot_costs`.
    """
    return _costs(landscape, "re-optimized", negative)


def known_energies(landscape: Landscape, negative: Negative) -> Floats:
    """Return Σ h_i (v_iᵀc)² for k = 0 … D, over the eigenpairs (h_i, v_i) that a landscape knows so far.

    Parameters
    ----------
    landscape : Landscape
        The landscape, however its Hessian is known.
    negative : str
        What becomes of negative eigenvalues: "absolute", "zero" or "refuse".

    Returns
    -------
    (D + 1,) array
        Twice what these eigenpairs add to the loss; it falls to 0 at k = D, though not steadily.

    Raises
    ------
    FloatingPointError
        If an energy leaves the range of double precision.
    """
    values, vectors = landscape.known()
    energies = np.zeros(landscape.dimension + 1)
    if not values.size:
        return energies
    treated(Measure.of_eigenvalues(values), negative)  # refuses what is to be refused
    better = np.abs(values) if negative == "absolute" else np.maximum(values, 0.0)
    backwards = landscape.order[::-1]
    with np.errstate(over="ignore", invalid="ignore"):
        for h, v in zip(better, vectors.T, strict=True):
            energies[:-1] += h * np.cumsum((landscape.weights * v)[backwards])[::-1] ** 2
    return _checks.finite("an energy", energies, "weights or the Hessian")


def _costs(landscape: Landscape, kind: str, negative: Negative) -> Floats:
    checked(landscape)
    _checks.choice("negative", negative, NEGATIVE)
    costs: Floats = landscape.remembered(
        (kind, negative), lambda: _COSTS[kind](landscape.without_negative(negative), landscape.weights)
    )
    return costs


def within_from(costs: ArrayLike, epsilon: Any) -> int:
    """Return the least k such that there and at every larger one the cost (D + 1,) is at most ε.

    `prunekit.cones.fewest_kept` has the least k alone: a one-shot cost need not fall with k.

    Raises
    ------
    ValueError
        If the last cost, of removing nothing, is above ε.
    """
    cost = _checks.vector("costs", costs)
    above = np.flatnonzero(cost > _checks.scalar("epsilon", epsilon))
    if above.size and above[-1] == len(cost) - 1:
        raise ValueError(f"costs end with {cost[-1]:.3g}, above epsilon: removing nothing should cost nothing")
    return int(above[-1]) + 1 if above.size else 0
