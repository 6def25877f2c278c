"""Conic intrinsic volumes: a probability distribution on 0, …, D that knows all about a cone and random subspaces.

v_j is the probability that the nearest point of a polyhedral cone to a Gaussian vector lies inside a face of dimension
j; for other cones it is the limit. The mean is the statistical dimension, |Π_C g|² is a mixture of χ²_j with these
weights, and the chance to meet a random subspace is a tail. Source: Amelunxen et al. (2014), Sections 2 and 5.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from prunekit import _checks
from prunekit._checks import Floats


def orthant(ambient: int) -> Floats:
    """Return v_0, …, v_D of the nonnegative orthant, (D + 1,): binomial with D trials at 1/2."""
    D = _checks.count("ambient", ambient)
    _checks.room("ambient", D, 64.0 * D)
    j = np.arange(D + 1.0)
    return np.exp(_log_binomial(D, j) - D * math.log(2))


def circular(ambient: int, angle: float) -> Floats:
    """Return v_0, …, v_D of the circular cone of that angle, (D + 1,).

    For 0 < j < D, v_j = ½ binomial((D-2)/2, (j-1)/2) sin^(j-1)(a) cos^(D-j-1)(a), where the gamma function gives
    the binomial; v_D and v_0 are the shares of directions in the cone and in its polar, a circular cone of angle
    π/2 - a.

    Parameters
    ----------
    ambient : int
        The dimension D ≥ 2 of the space.
    angle : float
        The angle in radians, above 0 and below π/2.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """
    D, angle = _checks.count("ambient", ambient, 2), acute(angle)
    _checks.room("ambient", D, 64.0 * D)
    sine, cosine = math.sin(angle), math.cos(angle)
    j = np.arange(1.0, D)
    inner = _log_binomial((D - 2) / 2, (j - 1) / 2) + (j - 1) * math.log(sine) + (D - j - 1) * math.log(cosine)
    ends = [special.betainc((D - 1) / 2, 0.5, x**2) / 2 for x in (cosine, sine)]
    return np.concatenate([[ends[0]], np.exp(inner) / 2, [ends[1]]])


def acute(angle: float) -> float:
    """Return an angle in radians, refusing one that is not between 0 and π/2."""
    radians = _checks.scalar("angle", angle, positive=True)
    if radians >= math.pi / 2:
        raise ValueError(f"angle is {radians}: give one below π/2")
    return radians


def _log_binomial(n: float, k: Floats) -> Floats:
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))


def dimension(volumes: Floats) -> float:
    """Return the statistical dimension, Σ j v_j, from the volumes (D + 1,)."""
    volumes = _distribution(volumes)
    return float(volumes @ np.arange(volumes.size))


def variance(volumes: Floats) -> float:
    """Return the variance of the volumes (D + 1,) as a distribution on 0, …, D."""
    volumes = _distribution(volumes)
    return float(volumes @ (np.arange(volumes.size) - dimension(volumes)) ** 2)


def width(volumes: Floats) -> float:
    """Return E|Π_C g| from the volumes (D + 1,): the mixture of the means of χ_j."""
    volumes = _distribution(volumes)
    j = np.arange(1, volumes.size)
    means = math.sqrt(2) * np.exp(special.gammaln((j + 1) / 2) - special.gammaln(j / 2))
    return float(volumes[1:] @ means)


def meeting_probability(volumes: Floats, k: int) -> float:
    """Return the exact chance that a random k-dimensional subspace meets a cone that is no subspace.

    It is twice the half-tail, 2(v_(m+1) + v_(m+3) + …) with m = D - k: Crofton's formula in Amelunxen et al. (2014).

    Parameters
    ----------
    volumes : (D + 1,) array
        v_0, …, v_D.
    k : int
        Dimension of the subspace, from 0 to D.
    """
    volumes = _distribution(volumes)
    D = volumes.size - 1
    k = _checks.count("k", k, 0, D, high_is="the dimension of the space")
    return min(1.0, 2 * float(volumes[D - k + 1 :: 2].sum()))


def _distribution(volumes: Floats) -> Floats:
    masses = _checks.nonnegative_vector("volumes", volumes)
    if abs(masses.sum() - 1) > 1e-8:
        raise ValueError(f"volumes sum to {masses.sum():.6g}: give the D + 1 volumes of a cone, which sum to 1")
    return masses
