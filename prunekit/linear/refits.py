"""A dense fit as a search for features: its largest coefficients are kept, in several numbers, and fitted again.

`predicted_refits` predicts the risks by Definitions 4 and 5 of chang, `measured_refits` measures those of one fit.
Both return a risk for each curve of Figures 2 and 4 of chang, so that a page compares them entry by entry. Covariances
may be general; where they are diagonal, and one number is kept, `prunekit.linear.risk_curves` has closed forms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit.linear.least_squares import retrain
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.strategies import Magnitude, prune, support

OWN = ("dense", "pruned", "fresh", "given support")


def predicted_refits(
    problem: LinearGaussian, n: int, kept: Mapping[str, int], *, draws: int, seed: Seed
) -> dict[str, float]:
    """Predict the risks of a dense fit and of its largest coefficients, fitted again to n samples.

    Source: chang, Definitions 4 and 5; where coefficients are dropped, an average over draws of the dense fit.

    Parameters
    ----------
    problem : LinearGaussian
        The problem with all p features.
    n : int
        Number of samples, neither p nor p - 1.
    kept : mapping of str to int
        Numbers of coefficients kept, by label; where one exceeds p, all are.
    draws : int
        Number of draws of the dense fit, at least 2.
    seed : int, SeedSequence or Generator
        Where the randomness comes from.

    Returns
    -------
    dict of str to float
        Population risks in units of y²: ``"dense"``, by label after retraining, and of the last label ``"fresh"``
        (the same number, since the prediction is for fresh samples) and ``"pruned"``, without retraining.

    Raises
    ------
    ValueError
        If `kept` is empty or has a label of `OWN`, and in the same cases as `LinearGaussian.characterize` and
        `MinNormLaw.retrained_risk`.
    """
    rules = _rules(problem, kept)
    draws = _checks.draws("draws", draws, problem.p, 2)
    rng = _checks.generator(seed)
    law = problem.characterize(n)
    risks = {label: law.retrained_risk(rule, draws=draws, seed=rng).value for label, rule in rules.items()}
    last = list(rules)[-1]
    pruned = law.risk(rules[last], draws=draws, seed=rng).value
    return {"dense": law.risk(), **risks, "fresh": risks[last], "pruned": pruned}


def measured_refits(
    problem: LinearGaussian, fit: ArrayLike, kept: Mapping[str, int], first: Any, second: Any
) -> dict[str, float]:
    """Measure what `predicted_refits` predicts: keep the largest coefficients of one fit, and fit them again.

    Source: chang, Section 3.2, Figures 2 and 4.

    Parameters
    ----------
    problem : LinearGaussian
        The problem whose risk counts; only second moments of features and label matter for it.
    fit : (p,) array
        Coefficients of the dense fit.
    kept : mapping of str to int
        As for `predicted_refits`.
    first, second : (X, y)
        The samples of the fit, and fresh ones: features (n, p), of which more may follow, and labels (n,).

    Returns
    -------
    dict of str to float
        Population risks in units of y²: ``"dense"``, by label after retraining on the first samples, and of the last
        label ``"pruned"``, without retraining, ``"fresh"``, retrained on the second samples, and ``"given support"``,
        the expectation of the latter over Gaussian samples, σ_I² (1 + s/(n-s-1)) for s features I.

    Raises
    ------
    ValueError
        In the same cases as `predicted_refits`, and if samples have fewer features than the problem, or too few rows
        for the largest number kept, n < s + 2.
    """
    rules = _rules(problem, kept)
    fit = _checks.vector("fit", fit, problem.p, like=f"the problem has {problem.p} features")
    X, y = _samples("first", first, problem.p)
    X_new, y_new = _samples("second", second, problem.p)
    n, most = len(y_new), max(rule.s for rule in rules.values())
    if n < most + 2:
        raise ValueError(f"second has {n} rows for {most} coefficients: give at least {most + 2}")
    risks = {"dense": float(problem.risk(fit))}
    for label, rule in rules.items():
        index = support(fit, rule)
        risks[label] = float(problem.risk(retrain(X, y, index)))
    risks["pruned"] = float(problem.risk(prune(fit, rule)))
    risks["fresh"] = float(problem.risk(retrain(X_new, y_new, index)))
    risks["given support"] = float(problem.restrict(index).sigma ** 2 * (1 + index.size / (n - index.size - 1)))
    return risks


def _rules(problem: LinearGaussian, kept: Mapping[str, int]) -> dict[str, Magnitude]:
    """Return what is kept, by label, in a problem that may have fewer features."""
    _checks.instance("problem", problem, LinearGaussian, "a LinearGaussian")
    _checks.instance("kept", kept, Mapping, "a mapping from labels to numbers of coefficients")
    if not kept:
        raise ValueError("kept is empty: give at least one number of coefficients")
    taken = [label for label in kept if _checks.text("a label of kept", label) in OWN]
    if taken:
        raise ValueError(f"kept has the label {taken[0]!r}, which stands for a curve of its own: give another")
    counts = {label: _checks.count(f"kept[{label!r}]", s) for label, s in kept.items()}
    return {label: Magnitude(min(s, problem.p)) for label, s in counts.items()}


def _samples(name: str, pair: Any, p: int) -> tuple[Floats, Floats]:
    """Return samples with the first p of their features."""
    parts = _checks.listed(name, pair, "features and labels")
    if len(parts) != 2:
        raise ValueError(f"{name} has {len(parts)} parts: give features and labels")
    X = _checks.array(f"X of {name}", parts[0], ndim=2)
    y = _checks.vector(f"y of {name}", parts[1], len(X), like=f"X of {name} has {len(X)} rows")
    if X.shape[1] < p:
        raise ValueError(f"{name} has {X.shape[1]} features, and the problem {p}: give at least as many")
    return X[:, :p], y
