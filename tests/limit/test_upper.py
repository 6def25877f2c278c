"""The upper map against equation (19)."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit import limit
from prunekit.limit import Landscape
from tests.limit.helpers import EPSILON, brute_removed, problem


def test_upper_map_is_equation_19_and_lies_above_p():
    w, H = problem()
    L = Landscape.of_matrix(w, H)
    for m in (0, 10, 40):
        c = brute_removed(w, m)
        gone = np.flatnonzero(c)
        R2 = c @ c
        r2 = 2 * EPSILON / np.linalg.eigvalsh(H[np.ix_(gone, gone)])
        printed = 1 - np.sum(r2 / (R2 + r2)) / 60
        assert limit.upper_map(L, EPSILON, m).value == pytest.approx(printed)
        assert printed > m / 60
    assert limit.upper_map(L, EPSILON, 60).value == 1


def test_p_is_a_fixed_point_where_the_removed_weights_are_zero_already():
    w, H = problem()
    w[np.abs(w) < np.median(np.abs(w))] = 0
    L = Landscape.of_matrix(w, H)
    assert [limit.upper_gap(L, EPSILON, m).value == 0 for m in (29, 30, 45)] == [False, True, True]
