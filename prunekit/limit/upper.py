"""The map U of geometric, equation (19), whose fixed point the paper calls an upper bound on the pruning limit."""

from __future__ import annotations

from prunekit import _checks
from prunekit.limit.landscape import Landscape, checked
from prunekit.limit.negative import NEGATIVE, Negative, treated_spectrum
from prunekit.spectrum import Spectrum
from prunekit.statistics import Estimate


def upper_map(landscape: Landscape, epsilon: float, k: int, *, negative: Negative = "absolute") -> Estimate:
    """Return U(p) at p = m/D, m = k: 1 - (1/D) Σ r_i²/(R_m² + r_i²) over the D - m eigenvalues of the removed block.

    This is geometric, equation (19), as printed. See `upper_gap` for what its fixed points are.

    Parameters
    ----------
    landscape : Landscape
        Weights and Hessian.
    epsilon : float
        Tolerance on the loss, above 0.
    k : int
        m, the number of weights kept, from 0 to D.
    negative : str
        What becomes of negative eigenvalues: "absolute", "zero" or "refuse".

    Returns
    -------
    Estimate
        U(p), from k/D to 1, with its standard error across probes.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range, or negative eigenvalues that are refused.
    """
    gap = upper_gap(landscape, epsilon, k, negative=negative)
    return gap.linear(1.0, k / landscape.dimension)


def upper_gap(landscape: Landscape, epsilon: float, k: int, *, negative: Negative = "absolute") -> Estimate:
    """Return U(p) - p = (1/D) Σ R_m²/(R_m² + r_i²), over the D - m eigenvalues of the removed block.

    Each term is at least 0, so U(p) ≥ p, and p is a fixed point of U if and only if R_m = 0 or the removed block's
    Hessian is 0. The paper's own solution, D - m = Σ r_i²/(R_m² + r_i²), is that fixed point.

    Parameters
    ----------
    landscape, epsilon, k, negative
        As for `upper_map`.

    Returns
    -------
    Estimate
        The gap, from 0 to 1 - k/D, with its standard error across probes.
    """
    checked(landscape)
    _checks.choice("negative", negative, NEGATIVE)
    twice = _checks.finite("2ε", 2 * _checks.scalar("epsilon", epsilon, positive=True), "epsilon")
    squared = landscape.distance(k) ** 2
    if squared == 0:
        return Estimate(0.0, 0.0)

    def gap(block: Spectrum) -> Estimate:
        integral = treated_spectrum(block, negative).integrate(lambda h: squared * h / (twice + squared * h))
        return integral.linear(1 / landscape.dimension)

    return landscape.read_block(k, gap)
