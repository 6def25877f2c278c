"""Cases of a report's shares: made-up rises of the loss, whose crossing of ε is known."""

from __future__ import annotations

import math

import numpy as np

from prunekit.diagnosis.curves import REMOVED, RiseCurve, largest_within
from prunekit.diagnosis.subject import GROUPS
from tests.calibration.draws import Made
from tests.calibration.table import case

_STEEP, _SPREAD = 10.0, 8.0  # of the rise with the square of the share removed: its mean, and its deviation by group


def _within(epsilon: float) -> Made:
    removed = np.array(REMOVED)

    def trial(seed: int) -> tuple[float, float]:
        drawn = np.random.default_rng([12, seed]).gamma((_STEEP / _SPREAD) ** 2, _SPREAD**2 / _STEEP, size=GROUPS)
        without = (drawn.sum() - drawn) / (GROUPS - 1)
        shape = removed**2
        return RiseCurve(removed, drawn.mean() * shape, shape[:, None] * without).within(epsilon)

    return largest_within(removed, _STEEP * removed**2, epsilon), trial


for _epsilon in (0.5, 4.0):
    case(
        "diagnosis.curves.RiseCurve.within",
        f"{GROUPS} groups of skewed rises, ε where {math.sqrt(_epsilon / _STEEP):.0%} go",
        known="infinitely many groups",
        seeds=2000,
        quick=300,
    )(lambda epsilon=_epsilon: _within(epsilon))
