"""What the bases of Lanczos' method give: quadratures of a spectrum and of a vector's measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from prunekit._checks import Floats
from prunekit.curvature.lanczos import Ritz, Run, checkpoints
from prunekit.spectrum import Gap, Measure, Spectrum

_REACH = 1  # how far beyond the outermost node eigenvalues may lie, in residuals


def assembled(D: int, runs: Sequence[Run], steps: int, normal: bool = False) -> Spectrum:
    """Return the spectrum that runs give after so many steps; those that ended before count as they are.

    `normal` says that the entries of the start vectors are normal; then the scatter of what is left of them is known.
    """
    parts = [_of_run(D, run, min(steps, run.done), normal) for run in runs]
    products = sum(sum(len(A) for A in run.diagonals[:steps]) for run in runs)
    return together(parts, products, parts[-1].converged)


def together(parts: Sequence[Spectrum], products: int, converged: int) -> Spectrum:
    """Return the spectrum whose probes are those of several."""
    return Spectrum(
        tuple(probe for part in parts for probe in part.probes),
        rules=tuple(rule for part in parts for rule in part.rules),
        free=tuple(each for part in parts for each in part.free),
        fixed=tuple(each for part in parts for each in part.fixed),
        rests=tuple(rest for part in parts for rest in part.rests),
        gaps=tuple(gap for part in parts for gap in part.gaps),
        products=products,
        converged=converged,
    )


def _of_run(D: int, run: Run, m: int, normal: bool) -> Spectrum:
    """Return the spectrum of one run."""
    pairs, starts = run.ritz(m), range(run.first.shape[1])
    once = np.ones(D, dtype=bool) if pairs.values.size == D else pairs.converged
    counted = [_once(pairs.values, column, once, D) for column in pairs.weights.T]
    rests = [each for each in (_without(c, once) for c in counted) if normal and each is not None]
    free, fixed = sides(run, m)
    gap = None if fixed or (run.complete and m == run.done) else _gap(pairs, once, D)
    if fixed:
        counted = [_mixed([_once(r.values, r.weights[:, k], r.converged, D) for r in (*free, *fixed)]) for k in starts]
    return Spectrum(
        tuple(counted),
        rules=(_rule(run, m, float(D)),),
        free=(_mean(free, D),) if fixed else (),
        fixed=(_mean(fixed[:1], D),) if fixed else (),
        rests=tuple(rests),
        gaps=() if gap is None else (gap,),
        converged=int(once.sum()),
    )


def sides(run: Run, m: int) -> tuple[list[Ritz], list[Ritz]]:
    """Return the quadratures after m steps whose mean a basis is read by: two with free nodes, two with one at 0.

    Free nodes straddle 0, now closely and now widely as the steps go on, and for an integrand with a peak at 0, such as
    those of pruning limits, all of them err to one side, but least if two numbers of steps are averaged (as by
    Laurie's anti-Gaussian rules, 1996). A node at 0 errs to the other side, and by as much. For a positive spectrum
    and a completely monotone integrand, as the logarithm's derivative is, that is a theorem. Where 0 is far from all
    eigenvalues the second list is empty, and the first is the Gauss quadrature. It is so for a single start too, since
    its quadrature has to satisfy inequalities.
    """
    pairs = run.ritz(m)
    fixed = None
    if run.first.shape[1] > 1 and not (run.complete and m == run.done) and _reaches_zero(pairs):
        fixed = run.fixed(m) or (run.fixed(m - 1) if m > 1 else None)
    if fixed is None:
        return [pairs], []
    return [pairs, run.ritz(max(m - 1, 1))], [fixed, fixed]


def _reaches_zero(pairs: Ritz) -> bool:
    """Tell whether eigenvalues lie on both sides of 0, or may lie near it beyond the outermost node."""
    if pairs.values[0] < 0 < pairs.values[-1]:
        return True
    end = 0 if pairs.values[0] >= 0 else -1
    return not pairs.converged[end] and abs(pairs.values[end]) <= _REACH * pairs.residuals[end]


def _mixed(measures: Sequence[Measure]) -> Measure:
    """Return the mean of measures."""
    nodes = np.concatenate([each.nodes for each in measures])
    return Measure(nodes, np.concatenate([each.weights for each in measures]) / len(measures))


def _mean(rules: Sequence[Ritz], total: float) -> Measure:
    """Return the mean over a run's starts, and over quadratures, of a total; no eigenvalue is counted once."""
    return _mixed([Measure(rule.values, total * rule.weights.mean(1)) for rule in rules])


def _rule(run: Run, m: int, total: float) -> Measure:
    """Return the mean over a run's starts that the spectrum is read by, with those of fewer steps."""

    def at(steps: int) -> Measure:
        free, fixed = sides(run, steps)
        return _mean((*free, *fixed), total)

    now = at(m)
    whole = run.complete and m == run.done
    earlier = [now] * max(len(checkpoints(m)), 1) if whole else [at(j) for j in checkpoints(m)]
    return Measure(now.nodes, now.weights, tuple(earlier) or (Measure(np.zeros(1), np.full(1, total)),))


def _gap(pairs: Ritz, once: Any, D: int) -> Gap | None:
    """Return what the quadrature does not see next to 0; on one side of all nodes, as far as the last residual says."""
    end = 0 if pairs.values[0] > 0 else -1
    reach = 0.0 if once[end] else _REACH * float(pairs.residuals[end])
    return Gap.of(Measure(pairs.values, D * pairs.weights.mean(1)), reach)


def _once(nodes: Floats, weights: Floats, once: Any, D: int) -> Measure:
    """Return a probe's measure of total D with weight 1 on converged eigenvalues, and the rest in proportion."""
    rest = float(weights[~once].sum())
    count = int(once.sum())
    if count == 0 or (count < D and rest < 1e-12):
        return Measure(nodes, D * weights)
    return Measure(nodes, np.where(once, 1.0, weights * ((D - count) / rest if count < D else 0.0)))


def _without(counted: Measure, once: Any) -> Measure | None:
    """Return a probe's measure without what is counted once, None if that is all."""
    weights = counted.weights[~once]
    return Measure(counted.nodes[~once], weights) if weights.any() else None


def rule(run: Run, total: float) -> Measure:
    """Return the quadrature of a run with one start, all its steps, of a total, with those of fewer steps."""
    now, whole = run.ritz(run.done), run.complete
    places = checkpoints(run.done)
    then = [now] * max(len(places), 1) if whole else [run.ritz(j) for j in places]
    earlier = tuple(Measure(each.values, total * each.weights[:, 0]) for each in then)
    earlier = earlier or (Measure(np.zeros(1), np.full(1, total)),)  # no step at all: everything lies at 0
    return Measure(now.values, total * now.weights[:, 0], earlier)
