"""What the quadratic model itself says about a pruned network, for every k at once: no cone, no random subspace.

Both costs need the Hessian entry by entry. With the coordinates in decreasing order of magnitude, K the first k and P
the others, the loss of the quadratic model rises by ½ w_Pᵀ H_PP w_P if the weights in P become 0, and by ½ w_Pᵀ S w_P,
with the Schur complement S = H_PP - H_PK H_KK⁻¹ H_KP = [(H⁻¹)_PP]⁻¹, if those in K are then set to their best values.
The second is the criterion of optimal brain surgeon for a whole set of weights (Hassibi and Stork 1993).
"""

from __future__ import annotations

import numpy as np

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.limit.landscape import Landscape, Negative

_DAMPING = 1e-9  # of the largest eigenvalue: far above rounding, far below what any cost here depends on


def one_shot_costs(landscape: Landscape, *, negative: Negative = "absolute") -> Floats:
    """Return ½ cᵀHc for k = 0 … D: the rise of the quadratic model when the k largest weights are kept as they are.

    Parameters
    ----------
    landscape : Landscape
        Of a dense Hessian.
    negative : str
        What becomes of negative eigenvalues: "absolute", "zero" or "refuse".

    Returns
    -------
    (D + 1,) array
        In units of the loss; 0 at k = D.

    Raises
    ------
    ValueError
        If the Hessian is not known entry by entry, or has negative eigenvalues that are refused.
    """
    w, ordered = landscape.weights[landscape.order], landscape.ordered(negative)
    # row i adds the pairs (i, j) with j ≥ i, so the rows from k on add up to the block
    rows = w * (np.triu(ordered, 1) @ w + np.diag(ordered) * w / 2)
    return _tail_sums(rows)


def reoptimized_costs(landscape: Landscape, *, negative: Negative = "absolute", damping: float | None = None) -> Floats:
    """Return ½ cᵀ[(H⁻¹)_PP]⁻¹c for k = 0 … D: the rise when the kept weights are set to their best values.

    Parameters
    ----------
    landscape, negative
        As for `one_shot_costs`.
    damping : float, optional
        Added to the Hessian's diagonal, in its units, so that it has an inverse; by default 1e-9 of its largest
        eigenvalue. The costs include it.

    Returns
    -------
    (D + 1,) array
        In units of the loss, decreasing to 0.

    Raises
    ------
    ValueError
        As `one_shot_costs`.

    Notes
    -----
    With H = L Lᵀ, in the order of magnitude, the Schur complement is L_PP L_PPᵀ: one Cholesky factor serves every k.
    Source of the criterion: Hassibi and Stork (1993).
    """
    ordered = landscape.ordered(negative)
    largest = float(np.abs(landscape.spectrum.pooled.nodes).max())
    extra = _DAMPING * largest if damping is None else _checks.scalar("damping", damping, positive=True)
    factor = np.linalg.cholesky(ordered + extra * np.eye(len(ordered)))
    return _tail_sums((factor.T @ landscape.weights[landscape.order]) ** 2 / 2)


def smallest_kept(costs: Floats, epsilon: float) -> int:
    """Return the smallest k from which on every cost (D + 1,) is at most ε.

    Raises
    ------
    ValueError
        If the last cost, of removing nothing, is above ε.
    """
    found = np.flatnonzero(_checks.vector("costs", costs) > _checks.scalar("epsilon", epsilon))
    if found.size and found[-1] == len(costs) - 1:
        raise ValueError("costs end above epsilon: removing nothing should cost nothing")
    return int(found[-1]) + 1 if found.size else 0


def _tail_sums(terms: Floats) -> Floats:
    """Return Σ_{i ≥ k} terms for k = 0 … D."""
    return np.concatenate([np.cumsum(terms[::-1])[::-1], [0.0]])
