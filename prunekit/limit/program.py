"""The published threshold as the program of geometric's authors computes it, deviations from the text included.

`prunekit.curvature.program` has the pieces, each by itself; here they are put together as the program does: eigenvalues
are Lanczos nodes from one start of random signs, smoothed to a density on a coarse grid; absolute values are taken; for
convolutional networks a share of them is declared to be 0; R is rounded to an integer; and among the shares removed 0,
0.1%, …, 99.9% the one is taken at which the squared width over D is nearest to the share itself.
"""

from __future__ import annotations

import math

from prunekit._checks import Seed
from prunekit.limit.landscape import Landscape, checked

LANCZOS_STEPS = 128  # of the program, for FC5; 96 to 128 elsewhere


def program_limit(
    landscape: Landscape, epsilon: float, *, zero_share: float = 0.0, steps: int = LANCZOS_STEPS, seed: Seed = 0
) -> float:
    """Return the share kept at the threshold that the authors' program would print.

    Parameters
    ----------
    landscape : Landscape
        Its Hessian is multiplied again, for the program's own Lanczos run from one random start.
    epsilon : float
        Tolerance on the loss, above 0; the program's rule is `minibatch_tolerance`.
    zero_share : float
        Share of eigenvalues taken for 0, from 0 to 1: 0 for FC networks, for others what `sampled_zero_rows` says.
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
    See geometric/erratum-17d, 17f and 17g. The program ranks and prunes the smallest ⌈share · D⌉ weights, at least one.
    Not followed: its Hessian has rows for biases too, which are never pruned; here rows are the landscape's weights.
    """
    from prunekit.curvature import program

    D = checked(landscape).dimension

    def distance(removed: float) -> float:
        return landscape.distance(D - max(1, math.ceil(removed * D * (1 - 1e-12))))

    smooth = program.smoothed(landscape.probed(steps, seed))
    return 1.0 - program.pruned_share(smooth, epsilon, distance, zero_share=zero_share)
