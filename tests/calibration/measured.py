"""Cases of limits that are measured: made-up images, each of which a pruned network classifies from some share on."""

from __future__ import annotations

from functools import cache

import numpy as np

from prunekit._checks import Floats
from prunekit.limit import PruningCurve
from tests.calibration.draws import Made
from tests.calibration.table import case

SHARES = np.arange(1, 1001) / 1000
WRONG = 0.03  # of images, at every share
HELPED = 0.02  # of images, wrong by the dense network and right at smaller shares


def images(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return which of n images are right at which share (shares, n)."""
    kind, first, last = rng.uniform(size=n), np.minimum(rng.lognormal(np.log(0.08), 0.7, n), 1.0), rng.uniform(size=n)
    last = np.where(kind < WRONG, 0.0, np.where(kind < WRONG + HELPED, 0.6 + 0.4 * last, 2.0))
    return (SHARES[:, None] >= first) & (SHARES[:, None] < last)


@cache
def accuracy() -> Floats:
    """Return the accuracy at each share of infinitely many images."""
    from scipy.stats import lognorm

    found = lognorm.cdf(SHARES, 0.7, scale=0.08)
    found[-1] = 1.0
    return (1 - WRONG - HELPED * np.clip((SHARES - 0.6) / 0.4, 0, 1)) * found


def curve(n: int, seed: int) -> PruningCurve:
    """Return the curve of n images drawn at random."""
    right = images(n, np.random.default_rng([8, seed]))
    kept = np.arange(1, 1001)
    return PruningCurve(kept, 1000, np.zeros(1000), np.zeros(1000), np.zeros(1000), right)


def _limit(rule: str, n: int) -> Made:
    found = accuracy()
    if rule == "held-out":
        truth = SHARES[np.flatnonzero(found < found[-1] - 0.03)[-1] + 1]
    else:
        truth = SHARES[np.flatnonzero(found > found[-1])[0]]

    def trial(seed: int) -> tuple[float, float]:
        limit = curve(n, seed).limit(rule, drop=0.03, seed=seed)
        return limit.fraction, limit.error

    return float(truth), trial


for _rule in ("held-out", "program"):
    for _n in (2000, 360):
        case(
            "limit.PruningCurve.limit", f"{_rule}, {_n:,} images", known="infinitely many images", seeds=400, quick=60
        )(lambda rule=_rule, n=_n: _limit(rule, n))
