"""What a large model that is pruned competes with: every small model, and every one that is trained again.

All features stand in the order in which a small model takes them, the most salient first. `contest` predicts the risk
of the large model after Hessian pruning and the best rival of each kind; `Contest.measure` fits both to samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.linear.least_squares import retrain, width_sweep
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.risk_curves import predicted_risks, sequence
from prunekit.linear.strategies import Hessian, Oracle, prune

KINDS = ("dense, k < s", "dense, k = s", "dense, k > s", "pruned", "retrained")
BUDGETS = MappingProxyType({"all rivals": KINDS, "rivals with at most s coefficients": (*KINDS[:2], *KINDS[3:])})
RULES = ("Hessian", "oracle")
_WIDTHS = 8  # the number of widths at which small models are pruned


class Rival(NamedTuple):
    """The best rival of a kind: its predicted risk in units of y², and the number k of features it is fitted on."""

    kind: str
    risk: float
    width: int


def dense_risks(problem: LinearGaussian, n: int) -> Floats:
    """Return the expected risk of least squares on the first k features, for k = 1, …, n - 2 (or p, if that is less).

    It is the classical (σ² + Σ_{i>k} λ_i β_i²) (1 + k/(n-k-1)), exact at every size.

    Parameters
    ----------
    problem : LinearGaussian
        A problem with uncorrelated features of positive variances.
    n : int
        Number of samples, at least 3.

    Returns
    -------
    (min(n - 2, p),) array
        Risks, in units of y².
    """
    _uncorrelated(problem)
    n = _checks.count("n", n, 3)
    energy = problem.variances * problem.beta**2
    k = np.arange(1, min(n - 1, problem.p + 1))
    noise = problem.sigma**2 + energy.sum() - np.cumsum(energy)[k - 1]
    return _checks.finite("the risk", noise * (1 + k / (n - k - 1)), "the covariance or beta of the problem")


@dataclass(frozen=True, eq=False)
class Contest:
    """A pruned large model and its best rivals, made by `contest`.

    Attributes
    ----------
    problem : LinearGaussian
        The problem.
    n, s : int
        Samples, and coefficients that pruning keeps.
    risks : mapping of str to float
        Predicted risk of the large model by rule, "Hessian" and "oracle".
    rivals : tuple of Rival
        The best one of each kind that there is.
    """

    problem: LinearGaussian
    n: int
    s: int
    risks: Mapping[str, float]
    rivals: tuple[Rival, ...]

    def best(self, budget: str = "all rivals") -> Rival:
        """Return the best rival among all, or among those with at most s coefficients (a key of `BUDGETS`)."""
        kinds = BUDGETS[_checks.choice("budget", budget, list(BUDGETS))]
        return min((rival for rival in self.rivals if rival.kind in kinds), key=lambda rival: rival.risk)

    def quotient(self, budget: str = "all rivals", rule: str = "Hessian") -> float:
        """Return the best rival's risk over that of the large model; above 1 the large model wins."""
        return self.best(budget).risk / self.risks[_checks.choice("rule", rule, RULES)]

    def measure(self, *, repetitions: int, seed: Any) -> tuple[Floats, Floats]:
        """Fit the large model and the best of all rivals to the same samples.

        The large model is pruned by the sample's own mean squares of the features. A rival that is trained again has
        fresh samples, for which its risk is predicted.

        Parameters
        ----------
        repetitions : int
            Number of data sets, at least 1.
        seed : int or sequence of int
            Where the randomness comes from.

        Returns
        -------
        lead, rise : (repetitions,) arrays
            The rival's risk minus that of the large model after pruning, and what training the survivors again on the
            same samples adds to the latter, in units of y².
        """
        repetitions = _checks.draws("repetitions", repetitions, self.n * self.problem.p)
        problem, n, rival = self.problem, self.n, self.best()
        lead, rise = [], []
        for child in sequence(seed).spawn(repetitions):
            first, fresh = child.spawn(2)
            X, y = problem.sample(n, first)
            squares = np.mean(X**2, axis=0)
            small, large = width_sweep(X, y, [rival.width, problem.p])
            pruned = prune(large, Hessian(self.s), variances=squares)
            support = np.flatnonzero(pruned)
            if rival.kind == "pruned":
                small = prune(small, Hessian(self.s), variances=squares)
            elif rival.kind == "retrained":
                small = retrain(*problem.sample(n, fresh), support)
            risk = problem.risk(pruned)
            lead.append(problem.risk(small) - risk)
            rise.append(problem.risk(retrain(X, y, support)) - risk)
        return np.array(lead), np.array(rise)


def contest(problem: LinearGaussian, n: int, s: int) -> Contest:
    """Predict the risk of a large model after pruning, and its best rivals.

    A rival is least squares on the first k features, for k = 1, …, n - 2; the same pruned by Hessian saliency to s of
    k > s features, at eight widths; and the large model's survivors trained again on n fresh samples, unless s is so
    close to n that this has no finite risk. Source of the contest: chang, Section 3.1, the dashed line of Figure 3b.

    Parameters
    ----------
    problem : LinearGaussian
        A problem with uncorrelated features of positive variances, the most salient first.
    n : int
        Number of samples, from 3 to p - 2.
    s : int
        Number of coefficients kept, from 1 to p.

    Raises
    ------
    ValueError
        For a general covariance, a variance of 0, and numbers out of range.
    """
    _uncorrelated(problem)
    n = _checks.count("n", n, 3, problem.p - 2, high_is="two less than the features")
    s = _checks.count("s", s, 1, problem.p, high_is="the number of features")
    law, dense, rivals = problem.characterize(n), dense_risks(problem, n), []
    smaller = (np.arange(1, min(s, n - 1)), np.arange(s, min(s + 1, n - 1)), np.arange(s + 1, n - 1))
    for kind, ks in zip(KINDS, smaller, strict=False):
        if ks.size:
            k = ks[np.argmin(dense[ks - 1])]
            rivals.append(Rival(kind, float(dense[k - 1]), int(k)))
    widths = np.unique(np.linspace(s + 1, 0.95 * n, _WIDTHS).astype(int))
    widths = widths[(widths > s) & (widths < n - 1)]
    if widths.size:
        risks = predicted_risks(problem, n, s, widths, {"Hessian": Hessian})["Hessian"]
        rivals.append(Rival("pruned", float(risks.min()), int(widths[risks.argmin()])))
    if abs(s - n) > max(2, 0.05 * n):
        rivals.append(Rival("retrained", law.retrained_risk(Hessian(s)), problem.p))
    pruned = {"Hessian": law.risk(Hessian(s)), "oracle": law.risk(Oracle(s))}
    return Contest(problem, n, s, pruned, tuple(rivals))


def probes(quotient: ArrayLike) -> list[int]:
    """Return where to look along a row of predicted quotients: nearest to 1, at the largest and at the smallest.

    Parameters
    ----------
    quotient : (m,) array
        Quotients above 0.

    Returns
    -------
    list of int
        One to three indices, increasing.
    """
    values = _checks.nonnegative_vector("quotient", quotient)
    if not values.all():
        raise ValueError("quotient holds 0: give quotients above 0")
    logs = np.log(values)
    return sorted({int(np.argmin(np.abs(logs))), int(np.argmax(logs)), int(np.argmin(logs))})


def _uncorrelated(problem: LinearGaussian) -> None:
    """Refuse a problem for which the closed forms do not hold."""
    _checks.instance("problem", problem, LinearGaussian, "a LinearGaussian")
    if not problem.is_diagonal or not problem.variances.all():
        raise ValueError("problem needs uncorrelated features of positive variances: give such a problem")
