"""What is refused, and how."""

from __future__ import annotations

import numpy as np
import pytest

from prunekit import limit
from prunekit.curvature import Matrix
from prunekit.limit import Landscape, measured_limit, predict, pruning_limit
from prunekit.limit.negative import treated
from tests.limit.helpers import curve, indefinite, linear_problem, problem


def bad_calls():
    w, H = problem(10)
    L = Landscape.of_matrix(w, H)
    model, data = linear_problem()
    return {
        "rows": (lambda: Landscape.of_matrix(w, H[:5, :5]), ValueError, r"give one row for each"),
        "asymmetric": (lambda: Landscape.of_matrix(w, np.triu(H)), ValueError, "asymmetric by"),
        "zero weights": (lambda: Landscape.of_matrix(0 * w, H), ValueError, "nothing to prune"),
        "operator": (lambda: Landscape.of_operator(w[:4], Matrix(H)), ValueError, "operator has 10 rows"),
        "method": (lambda: predict(L, 1.0, method="best"), ValueError, "give one of 'published'"),
        "no T": (lambda: limit.threshold(L, 1.0, 1, method="one-shot"), ValueError, "'cone' or 'orthogonal'"),
        "epsilon": (lambda: predict(L, 0.0), ValueError, "epsilon is 0.0: give a finite number above 0"),
        "rule": (lambda: pruning_limit(model, data, epsilon="best"), ValueError, "a Tolerance or 'minibatch'"),
        "k": (lambda: L.distance(11), ValueError, "k is 11"),
        "nothing removed": (lambda: L.direction(10), ValueError, "give a smaller k"),
        "negative": (lambda: treated(L.direction(1), "drop"), ValueError, "'absolute', 'zero' or 'refuse'"),
        "indefinite": (
            lambda: predict(Landscape.of_matrix(*indefinite()), 1.0, negative="refuse"),
            ValueError,
            "no el",
        ),
        "program": (lambda: predict(L, 1.0, method="program", negative="zero"), ValueError, "absolute values"),
        "other net": (lambda: pruning_limit(model, data, epsilon=1.0, landscape=L), ValueError, "the network has 36"),
        "measured rule": (
            lambda: curve([1.0]).limit("best"),
            ValueError,
            "'held-out'",
        ),
        "no epsilon": (lambda: measured_limit(model, data, rule="training loss"), ValueError, "needs a tolerance"),
        "shares": (lambda: limit.pruning_curve(model, data, [0.5, 1.5]), ValueError, "shares is 1.5"),
        "comparison": (
            lambda: limit.compare_limits(model, data, epsilon="best"),
            ValueError,
            "a Tolerance or 'minibatch'",
        ),
        "no published": (
            lambda: limit.compare_limits(model, data, epsilon=1.0, methods=("cone",)),
            ValueError,
            "give 'published' among them",
        ),
        "drop": (
            lambda: curve([1.0]).limit(drop=2),
            ValueError,
            "drop is 2.0: give a share from 0 to 1",
        ),
        "lost": (lambda: curve([1.0]).share_where_lost(2.0, 0.1), ValueError, "lost is 2.0: give a share from 0 to 1"),
        "one batch": (lambda: pruning_limit(model, data), ValueError, "batch_size is 128"),
    }


@pytest.mark.parametrize("name", bad_calls())
def test_what_is_refused_and_how(name):
    call, kind, message = bad_calls()[name]
    with pytest.raises(kind, match=message):
        call()
