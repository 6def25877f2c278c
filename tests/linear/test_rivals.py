"""The contest of a pruned large model with its rivals, against brute force and fits one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prunekit.linear import LinearGaussian, predicted_risks
from prunekit.linear.rivals import BUDGETS, KINDS, Contest, Rival, contest, dense_risks, probes
from prunekit.linear.strategies import Hessian, Oracle


@pytest.fixture
def problem() -> LinearGaussian:
    return LinearGaussian(np.where(np.arange(40) < 4, 25.0, 1.0), np.full(40, 40**-0.5), 0.5)


def test_dense_risks_are_those_of_the_law(problem: LinearGaussian) -> None:
    risks = predicted_risks(problem, 12, 4, np.arange(1, 11), {})["dense"]
    assert dense_risks(problem, 12) == pytest.approx(risks, rel=1e-12)
    assert dense_risks(problem, 100).shape == (40,)


def test_rivals_are_the_best_of_their_kind(problem: LinearGaussian) -> None:
    n, s = 16, 4
    found = contest(problem, n, s)
    by_kind = {rival.kind: rival for rival in found.rivals}
    assert tuple(by_kind) == KINDS
    risk = {k: problem.restrict(np.arange(k)).characterize(n).risk() for k in range(1, n - 1)}
    for kind, ks in (("dense, k < s", range(1, s)), ("dense, k = s", [s]), ("dense, k > s", range(s + 1, n - 1))):
        best = min(ks, key=risk.__getitem__)
        assert by_kind[kind] == (kind, pytest.approx(risk[best]), best)
    pruned = {k: problem.restrict(np.arange(k)).characterize(n).risk(Hessian(s)) for k in range(s + 1, n - 1)}
    assert by_kind["pruned"].risk == pytest.approx(pruned[by_kind["pruned"].width])
    assert by_kind["pruned"].risk <= min(pruned.values()) * 1.05
    law = problem.characterize(n)
    assert by_kind["retrained"] == ("retrained", law.retrained_risk(Hessian(s)), 40)
    assert found.risks == {"Hessian": law.risk(Hessian(s)), "oracle": law.risk(Oracle(s))}


def test_near_s_equal_to_n_nothing_is_trained_again(problem: LinearGaussian) -> None:
    assert "retrained" not in {rival.kind for rival in contest(problem, 16, 15).rivals}


def test_a_budget_leaves_out_who_has_more_coefficients(problem: LinearGaussian) -> None:
    rivals = (Rival("dense, k < s", 2.0, 1), Rival("dense, k > s", 1.0, 9), Rival("retrained", 1.5, 40))
    found = Contest(problem, 16, 4, {"Hessian": 0.5, "oracle": 0.25}, rivals)
    everybody, few = BUDGETS
    assert (found.best().kind, found.best(few).kind) == ("dense, k > s", "retrained")
    assert (found.quotient(everybody), found.quotient(few), found.quotient(rule="oracle")) == (2.0, 3.0, 4.0)


@pytest.mark.parametrize("rival", [Rival("dense, k < s", 0.0, 3), Rival("pruned", 0.0, 9), Rival("retrained", 0.0, 40)])
def test_leads_are_measured_on_the_same_samples(problem: LinearGaussian, rival: Rival) -> None:
    n, s = 16, 4
    lead, rise = Contest(problem, n, s, {}, (rival,)).measure(repetitions=2, seed=5)
    for r, child in enumerate(np.random.SeedSequence(5).spawn(2)):
        first, fresh = child.spawn(2)
        X, y = problem.sample(n, first)
        scale = np.sqrt(np.mean(X**2, axis=0))

        def cut(b: Any, scale: Any = scale) -> Any:
            kept = np.argsort(-np.abs(scale * b))[:s]
            return np.where(np.isin(np.arange(40), kept), b, 0.0)

        def fit(columns: Any, X: Any = X, y: Any = y) -> Any:
            b = np.zeros(40)
            b[columns] = np.linalg.lstsq(X[:, columns], y, rcond=None)[0]
            return b

        large = cut(fit(np.arange(40)))
        survivors = np.flatnonzero(large)
        others = {
            "dense, k < s": fit(np.arange(3)),
            "pruned": cut(fit(np.arange(9))),
            "retrained": fit(survivors, *problem.sample(n, fresh)),
        }
        assert lead[r] == pytest.approx(problem.risk(others[rival.kind]) - problem.risk(large))
        assert rise[r] == pytest.approx(problem.risk(fit(survivors)) - problem.risk(large))


def test_probes_are_the_border_and_both_extremes() -> None:
    assert probes([0.5, 0.9, 1.2, 3.0]) == [0, 1, 3]
    assert probes([2.0, 1.5]) == [0, 1]
    with pytest.raises(ValueError, match="quotient holds 0"):
        probes([1.0, 0.0])


@pytest.mark.parametrize(("n", "s", "words"), [(2, 4, "n is 2"), (39, 4, "n is 39"), (16, 41, "s is 41")])
def test_numbers_out_of_range_are_refused(problem: LinearGaussian, n: int, s: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        contest(problem, n, s)
    with pytest.raises(ValueError, match="uncorrelated features of positive variances"):
        contest(LinearGaussian(np.eye(40), problem.beta, 0.1), 16, 4)
