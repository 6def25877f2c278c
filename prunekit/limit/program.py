"""The published threshold as the program of geometric's authors computes it, deviations from the text included.

Read from the program: eigenvalues are Lanczos nodes from one random start, smoothed to a density on a grid that is too
coarse for the smoothing width; their absolute values are taken; for convolutional networks a share of them is declared
to be 0 and put at 1e-30; R is rounded to an integer; and among the shares removed 0, 0.1%, …, 99.9% the one is taken at
which the squared width over D is nearest to the share itself.
"""

from __future__ import annotations

import math

import numpy as np

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit.limit.landscape import Landscape

STEPS = 128  # Lanczos steps of the program, for FC5; 96 to 128 elsewhere
_SHARES = 1000
_ZERO = 1e-30  # where the program puts the eigenvalues that it takes for 0


def program_limit(
    landscape: Landscape, epsilon: float, *, zero_rows: float = 0.0, steps: int = STEPS, seed: Seed = 0
) -> float:
    """Return the share kept at the threshold that the authors' program would print.

    Parameters
    ----------
    landscape : Landscape
        Its Hessian is multiplied again, for the program's own Lanczos run.
    epsilon : float
        Tolerance on the loss, above 0; the program's rule is `minibatch_tolerance`.
    zero_rows : float
        Share of eigenvalues taken for 0, from 0 to below 1: the program's count of tiny rows, 0 for FC networks.
    steps : int
        Lanczos steps; at most D are taken.
    seed : int
        Of the random start.

    Returns
    -------
    float
        One less the share removed, a multiple of 0.001.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range.

    Notes
    -----
    Source: the program's cal_rate.py and density_plot.py; see geometric/erratum-17f and 17g.
    """
    from prunekit.curvature import spectrum

    probed = spectrum(landscape.operator, steps=min(steps, landscape.dimension), probes=1, seed=seed)
    places, masses = smoothed(probed.pooled.nodes, probed.pooled.weights)
    return 1.0 - removed_share(landscape, places, masses, epsilon, zero_rows=zero_rows)


def removed_share(
    landscape: Landscape, places: Floats, masses: Floats, epsilon: float, *, zero_rows: float = 0.0
) -> float:
    """Return the program's share removed for an eigenvalue density on a grid: `program_limit` without its Lanczos run.

    Parameters
    ----------
    landscape : Landscape
        Only its weights matter.
    places, masses : (m,) array
        Grid and density, of any total; negative places count with their absolute value.
    epsilon, zero_rows
        As for `program_limit`.
    """
    twice = 2 * _checks.scalar("epsilon", epsilon, positive=True)
    zero = _checks.scalar("zero_rows", zero_rows)
    if zero >= 1:
        raise ValueError(f"zero_rows is {zero}: give a share below 1")
    h = np.append(np.abs(places), _ZERO)
    mass = np.append(masses, zero / (1 - zero) * np.sum(masses))
    D = landscape.dimension
    shares = np.arange(_SHARES) / _SHARES
    pruned = [max(1, math.ceil(i * D / _SHARES)) for i in range(_SHARES)]
    rounded = [round(landscape.distance(D - gone)) for gone in pruned]
    squared_widths = {R: float(np.sum(mass * twice / (twice + R**2 * h)) / np.sum(mass)) for R in set(rounded)}
    gaps = np.abs(np.array([squared_widths[R] for R in rounded]) - shares)
    return float(shares[np.argmin(gaps)])
