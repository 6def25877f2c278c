"""Train, prune and retrain on linear Gaussian problems: risks against the width, predicted and measured.

The two functions take the same problem, sample size, widths and rules, and return the same shape, so that a page
compares them entry by entry. A rule is a pruning strategy's class, such as `prunekit.Magnitude`; at width k it keeps
min(s, k) coefficients. The label ``dense`` stands for no pruning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prunekit import _checks
from prunekit._checks import Floats, Integers
from prunekit._system import bars
from prunekit.linear.least_squares import retrain, width_sweep
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.strategies import Hessian, Magnitude, Oracle, prune

Rules = Mapping[str, type[Magnitude] | type[Hessian] | type[Oracle]]
DENSE = "dense"
RETRAINED = "{}, retrained"
FRESH = "{}, retrained fresh"


def predicted_risks(
    problem: LinearGaussian, n: int, s: int, widths: Sequence[int] | Integers, rules: Rules
) -> dict[str, Floats]:
    """Predict the risk of least squares on the first k features, dense and pruned to s of them.

    Source: chang, Definition 4 and Corollary 1 (in closed form; features left out are noise).

    Parameters
    ----------
    problem : LinearGaussian
        The problem with all p features, of diagonal covariance.
    n : int
        Number of samples.
    s : int
        Number of coefficients kept.
    widths : sequence of int
        The widths k, without n and n + 1, where the expected risk is infinite.
    rules : mapping of str to strategy class
        The strategy of each label.

    Returns
    -------
    dict of str to (len(widths),) array
        Population risks, in units of y².

    Raises
    ------
    ValueError
        In the same cases as `LinearGaussian.restrict` and `LinearGaussian.characterize`.
    """
    n, s, ks = _asked(problem, n, s, widths, rules)
    out: dict[str, list[float]] = {label: [] for label in (DENSE, *rules)}
    for k in ks:
        law = problem.restrict(np.arange(k)).characterize(n)
        out[DENSE].append(law.risk())
        for label, rule in rules.items():
            out[label].append(law.risk(rule(min(s, k))))
    return {label: np.array(values) for label, values in out.items()}


def measured_risks(
    problem: LinearGaussian,
    n: int,
    s: int,
    widths: Sequence[int] | Integers,
    rules: Rules,
    *,
    repetitions: int,
    seed: Any,
    fresh: bool = False,
) -> dict[str, Floats]:
    """Measure what `predicted_risks` predicts, and the risk after retraining on the same samples.

    Every repetition draws n samples, fits the minimum-norm least squares at every width, prunes, retrains on the
    support that is left, and evaluates the exact population risk. Hessian pruning uses the sample's own mean squares
    of the features, as the paper does.

    Parameters
    ----------
    problem, n, s, widths, rules
        As for `predicted_risks`.
    repetitions : int
        Number of data sets, at least 1.
    seed : int or sequence of int
        Where the randomness comes from.
    fresh : bool
        Whether to retrain on n further samples as well; what is drawn otherwise stays the same.

    Returns
    -------
    dict of str to (repetitions, len(widths)) array
        Population risks, in units of y², by label, by ``"label, retrained"`` and, if asked for, by
        ``"label, retrained fresh"``.

    Raises
    ------
    ValueError
        If `repetitions` is not positive, and in the same cases as `width_sweep` and `prune`.
    """
    n, s, ks = _asked(problem, n, s, widths, rules)
    fresh = _checks.flag("fresh", fresh)
    repetitions = _checks.draws("repetitions", repetitions, n * problem.p, each_is="n times the features")
    out: dict[str, list[Floats]] = {}
    parent = sequence(seed)
    children = (parent.spawn(1)[0] for _ in range(repetitions))  # one at a time: all at once would fill the memory
    for child in bars.each("data sets", children, repetitions, "repetitions"):
        X, y = problem.sample(n, child)
        fits = width_sweep(X, y, ks)
        new = problem.sample(n, child.spawn(1)[0]) if fresh else None
        out.setdefault(DENSE, []).append(problem.risk(fits))
        for label, rule in rules.items():
            pruned = np.array([_pruned(problem, X, b, k, rule(min(s, k))) for b, k in zip(fits, ks, strict=True)])
            out.setdefault(label, []).append(problem.risk(pruned))
            for name, data in ((RETRAINED, (X, y)), (FRESH, new)):
                if data is not None:
                    again = np.array([retrain(*data, np.flatnonzero(b)) for b in pruned])
                    out.setdefault(name.format(label), []).append(problem.risk(again))
    return {label: np.array(values) for label, values in out.items()}


def _asked(
    problem: LinearGaussian, n: int, s: int, widths: Sequence[int] | Integers, rules: Rules
) -> tuple[int, int, list[int]]:
    """Check the arguments that both functions take, and return n, s and the widths as plain integers."""
    _checks.instance("problem", problem, LinearGaussian, "a LinearGaussian")
    _checks.instance("rules", rules, Mapping, "a mapping from labels to classes such as prunekit.Magnitude")
    for label, rule in rules.items():
        _checks.text("a label of rules", label)
        if not isinstance(rule, type) or not issubclass(rule, Magnitude | Hessian | Oracle):
            raise TypeError(f"rules[{label!r}] is {_checks.shown(rule)}: give a class such as prunekit.Magnitude")
    ks = [
        _checks.count("widths", k, 1, problem.p, high_is="the number of features")
        for k in _checks.listed("widths", widths, "integers")
    ]
    if not ks:
        raise ValueError("widths is empty: give at least one")
    return _checks.count("n", n), _checks.count("s", s), ks


def sequence(seed: Any) -> np.random.SeedSequence:
    """Return the seed sequence of an integer or several, each at least 0."""
    parts = _checks.listed("seed", seed, "integers") if isinstance(seed, list | tuple | np.ndarray) else [seed]
    if not parts or any(isinstance(x, bool) or not isinstance(x, int | np.integer) or x < 0 for x in parts):
        raise TypeError(f"seed is {_checks.shown(seed)}: give an integer of at least 0, or a sequence of them")
    return np.random.SeedSequence(seed)


def _pruned(problem: LinearGaussian, X: Floats, fit: Floats, k: int, strategy: Magnitude | Hessian | Oracle) -> Floats:
    """Prune a fit on the first k features, padded with zeros to all p."""
    known = problem.restrict(np.arange(k)) if isinstance(strategy, Oracle) else None
    padded = np.zeros_like(fit)
    padded[:k] = prune(fit[:k], strategy, variances=np.mean(X[:, :k] ** 2, axis=0), problem=known)
    return padded
