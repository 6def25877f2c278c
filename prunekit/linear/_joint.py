"""Strategies that weigh coefficients together, for a covariance that is a matrix: all sets tried, or one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np

from prunekit import _checks
from prunekit._checks import Flags, Floats

_MOST_SETS = 1_000_000  # that natural pruning tries


def cheapest(rows: Floats, s: int, covariance: Floats) -> Flags:
    """Return which s entries of each row (m, p) natural pruning keeps: the set whose complement costs least."""
    p = rows.shape[1]
    if math.comb(p, s) > _MOST_SETS:
        raise ValueError(
            f"strategy keeps {s} of {p} coefficients, for which there are {math.comb(p, s):,} sets: give fewer "
            f"coefficients, since at most {_MOST_SETS:,} are tried"
        )
    kept = np.zeros((math.comb(p, s), p), dtype=bool)
    np.put_along_axis(kept, np.array(list(itertools.combinations(range(p), s))), values=True, axis=1)
    chosen, matrix = np.empty(rows.shape, dtype=bool), covariance / unit(covariance)
    for row, coefficients in enumerate(rows / unit(rows)):
        least = np.inf
        for part in np.array_split(kept, 1 + kept.size // 4_000_000):
            gone = np.where(part, 0.0, coefficients)
            cost = np.einsum("ij,ij->i", gone @ matrix, gone)
            best = int(np.argmin(cost))
            if cost[best] < least:
                least, chosen[row] = float(cost[best]), part[best]
    return chosen


def operated(rows: Floats, s: int, covariance: Floats) -> tuple[Flags, Floats]:
    """Return which entries survive the surgeon, and their re-optimized values, each (m, p)."""
    eigenvalues = np.linalg.eigvalsh(covariance)
    if eigenvalues[0] <= len(covariance) * np.finfo(np.float64).eps * eigenvalues[-1]:
        raise ValueError(
            f"covariance is singular (least eigenvalue {eigenvalues[0]:.3g}): give a positive definite one, "
            "for example with a small multiple of the identity added"
        )
    # In units of powers of 2, which cost no digit, no square leaves the range of double precision.
    inverse = np.asarray(np.linalg.inv(covariance / unit(covariance)), dtype=np.float64)
    alive, values = np.ones(rows.shape, dtype=bool), rows.copy()
    for row in range(len(rows)):
        size = unit(rows[row])
        alive[row], remaining = _operate(rows[row] / size, s, inverse)
        values[row] = remaining * size
    return alive, _checks.finite("a coefficient", values, "coefficients or covariance")


def unit(values: Floats) -> float:
    """Return the power of 2 at or below the largest modulus, 1 where all are 0."""
    top = float(np.abs(values).max())
    return float(np.ldexp(1.0, int(np.frexp(top)[1]) - 1)) if top else 1.0


def _operate(coefficients: Floats, s: int, inverse: Floats) -> tuple[Flags, Floats]:
    """Run the surgeon on one vector (p,), given the inverse covariance (p, p)."""
    alive = np.ones(coefficients.size, dtype=bool)
    values, inverse = coefficients.copy(), inverse.copy()
    for _ in range(coefficients.size - s):
        diagonal = np.where(alive, np.diagonal(inverse), 1.0)
        saliency = np.where(alive, values**2 / diagonal, np.inf)
        # Of equal saliencies the last goes, so that the lowest index is kept, as everywhere.
        gone = coefficients.size - 1 - int(np.argmin(saliency[::-1]))
        column = inverse[:, gone] / inverse[gone, gone]
        values -= values[gone] * column
        inverse -= np.outer(column, inverse[gone])  # the inverse of Σ without the row and column that went
        alive[gone] = False
        values[gone] = 0.0
        inverse[gone], inverse[:, gone] = 0.0, 0.0
    return alive, np.where(alive, values, 0.0)
