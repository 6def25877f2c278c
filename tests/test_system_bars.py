"""Long calls show how far they are; nobody hears of short ones."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

import numpy as np
import pytest
import torch

from prunekit import cones, curvature, limit, linear, sensing, stable, statistics
from prunekit._system import bars
from prunekit.book.runs import kernel
from prunekit.curvature import entries
from prunekit.limit import authors
from prunekit.limit.measured import pruning_curve
from prunekit.linear import random_features, risk_curves, strategies
from tests.nets.helpers import toy

H = np.diag([1.0, 2.0, 3.0])


class Terminal(io.StringIO):
    """What is written, and that somebody looks."""

    def isatty(self) -> bool:
        return True


def written(call: Any, terminal: io.StringIO) -> str:
    """Return what a call writes where errors go."""
    with contextlib.redirect_stderr(terminal):  # by the test itself: pytest puts its own in place before each
        call()
    return terminal.getvalue()


def law(p: int = 3) -> linear.LinearGaussian:
    return linear.LinearGaussian(np.ones(p), np.ones(p), 0.1)


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))


def penalized() -> sensing.Penalized:
    return sensing.Penalized(sensing.MatrixSensing.population(np.eye(3)[:, :1]), 0.1, 0.5)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return toy(n=12).train_x.float(), toy(n=12).train_y


CROSS = torch.nn.functional.cross_entropy
LONG = {
    "projected_norms": lambda: cones.projected_norms(cones.Orthant(3), 10, seed=0),
    "sampled_ellipsoid_width": lambda: cones.sampled_ellipsoid_width(np.ones(3), 10, seed=0),
    "simulate": lambda: cones.kinematic.simulate(cones.Orthant(3), 2, 10, seed=0),
    "first_meetings": lambda: cones.kinematic.first_meetings(cones.Orthant(3), 10, seed=0),
    "risk": lambda: law().characterize(1).risk(strategies.Magnitude(2), draws=10, seed=0),
    "retrained_risk": lambda: law().characterize(1).retrained_risk(strategies.Magnitude(3), draws=10, seed=0),
    "equivalent_problem_by_moments": lambda: random_features.equivalent_problem_by_moments(
        lambda a: np.maximum(a, 0), lambda a: a.sum(axis=1), 3, 100, seed=0
    ),
    "measured_risks": lambda: risk_curves.measured_risks(
        law(), 6, 2, [2], {"a": strategies.Magnitude}, repetitions=3, seed=0
    ),
    "rank_correlation": lambda: statistics.rank_correlation(np.arange(5.0), np.arange(5.0) ** 2, seed=0),
    "tail_index": lambda: stable.tail_index(np.random.default_rng(0).standard_cauchy(100), shuffles=3, seed=0),
    "stable.sample": lambda: stable.sample(1.5, 10, seed=0),
    "minibatch_tolerance": lambda: limit.minibatch_tolerance(net(), pair(), CROSS, batch_size=4, shuffles=3),
    "PruningCurve.limit": lambda: pruning_curve(net(), toy(n=12), [0.5, 1.0]).limit(repetitions=10),
    "hessian_diagonal": lambda: entries.hessian_diagonal(net(), CROSS, pair(), method="hutchinson", probes=5),
    "hessian_matrix": lambda: entries.hessian_matrix(net(), CROSS, pair(), parameters=["1.bias"]),
    "pruned_share": lambda: authors.pruned_share(
        curvature.spectrum(curvature.Matrix(H), steps=2, probes=2, progress=False), 0.1, lambda s: 1 - s, steps=20
    ),
    "row_norms": lambda: curvature.row_norms(curvature.Matrix(H), [0, 1]),
    "spectrum": lambda: curvature.spectrum(curvature.Matrix(H), steps=2, probes=2),
    "Landscape.of_operator": lambda: (
        limit.Landscape.of_operator(np.ones(3), curvature.Matrix(H), limit.Lanczos(probes=2)).spectrum
    ),
    "gradient_descent": lambda: sensing.gradient_descent(penalized(), np.ones((3, 1)), step=1e-3, steps=9),
    "approximate_minimum": lambda: sensing.approximate_minimum(penalized(), np.ones((3, 1))),
}


@pytest.mark.parametrize("call", LONG.values(), ids=LONG)
def test_what_may_take_long_has_a_bar_after_a_while(call, monkeypatch):
    monkeypatch.setattr(bars, "PATIENCE", 3600.0)
    assert not written(call, Terminal())
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    assert re.search(r"\w+: .*\d", written(call, Terminal()))
    assert not written(call, io.StringIO())


def test_a_bar_counts_to_its_end(monkeypatch):
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    assert "1234/1234" in written(lambda: cones.statistical_dimension(cones.Orthant(3), 1234, seed=0), Terminal())


@pytest.mark.parametrize("page", [False, True])
def test_a_readers_notebook_has_bars_and_a_page_has_none(page, monkeypatch):
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    monkeypatch.setenv(bars.NOTEBOOK, "1")
    monkeypatch.delenv(kernel.MARK, raising=False)
    if page:
        monkeypatch.setenv(kernel.MARK, "a word")
    shown = written(lambda: cones.kinematic.simulate(cones.Orthant(3), 2, 10, seed=0), io.StringIO())
    assert bool(shown) is not page


def test_the_bootstrap_in_batches_is_that_of_all_at_once(monkeypatch):
    x = np.random.default_rng(0).standard_normal((6, 2))
    y = x + np.random.default_rng(1).standard_normal((6, 2))
    whole = statistics.rank_correlation(x, y, seed=3, resamples=200)
    monkeypatch.setattr(statistics.deviations, "_AT_ONCE", 50)
    assert statistics.rank_correlation(x, y, seed=3, resamples=200) == pytest.approx(whole, rel=1e-14)
