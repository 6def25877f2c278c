"""Pruning and compressing a vector of coefficients.

A strategy is a small frozen object that says what is kept: `Magnitude(s)`, `Hessian(s)`, `Natural(s)`, `Oracle(s)`
and `OptimalBrainSurgeon(s)` keep exactly s coefficients, `TwoOfFour()` two of each four neighbours,
`HardThreshold(t)`, `SoftThreshold(t)` and `UniformQuantizer(bits, limit)` act on each coefficient by itself.
`prune` applies a strategy, `support` returns the positions that survive. Ties are broken by the lowest index,
so counts are exact. The law of the pruned risk is in `prunekit.linear.law`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Flags, Floats, Integers
from prunekit.linear._joint import cheapest, operated, unit

if TYPE_CHECKING:
    from prunekit.linear.problem import LinearGaussian


@dataclass(frozen=True)
class _Count:
    """A strategy that keeps exactly s coefficients."""

    s: int

    def __post_init__(self) -> None:
        """Refuse what is not a positive count."""
        object.__setattr__(self, "s", _checks.count("s", self.s))


@dataclass(frozen=True)
class Magnitude(_Count):
    """Keep the s coefficients of largest |b_i|.

    Source: chang, Section 2, magnitude-based pruning; li, Definitions 2.2 and 2.3.

    Examples
    --------
    >>> from prunekit import prune
    >>> prune([3.0, -1.0, 2.0, -4.0], Magnitude(2))
    array([ 3.,  0.,  0., -4.])
    """


@dataclass(frozen=True)
class Hessian(_Count):
    """Keep the s coefficients of largest Σ_ii b_i² (optimal brain damage); needs the variances Σ_ii.

    Source: chang, Section 2, Hessian-based pruning, with the empirical Σ̂_ii, the mean square of feature i;
    li, Definitions 2.2 and 2.3.

    Examples
    --------
    >>> from prunekit import prune
    >>> prune([3.0, -1.0], Hessian(1), variances=[1.0, 16.0])
    array([ 0., -1.])
    """


@dataclass(frozen=True)
class Natural(_Count):
    """Keep the s coefficients without which the loss would rise most, by trying all sets of s; needs the covariance.

    At a minimum b of the squared loss, setting b_i to 0 for i in Δ raises it by b_Δᵀ Σ_ΔΔ b_Δ, the natural importance
    of Δ; the Δ of p - s coefficients with the least one goes. For a diagonal covariance that is what `Hessian` removes.
    There are (p over s) sets, of which a million are tried at most.
    Source: li, Definitions 2.1 and 2.3.

    Examples
    --------
    >>> from prunekit import prune
    >>> covariance = [[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> prune([1.0, -1.0, 0.8], Natural(1), covariance=covariance)  # the first two nearly cancel
    array([0. , 0. , 0.8])
    """


@dataclass(frozen=True)
class Oracle(_Count):
    """Keep the s coefficients with the largest latent saliency Σ_ii β_i²; needs the problem.

    For diagonal Σ and s < n these are the s features whose own fit has the least expected risk.
    Source: chang, equation (4).

    Examples
    --------
    >>> from prunekit import LinearGaussian, prune
    >>> problem = LinearGaussian(covariance=[1.0, 1.0], beta=[0.1, 2.0], sigma=1.0)
    >>> prune([3.0, -1.0], Oracle(1), problem=problem)  # it knows that 3 is noise
    array([ 0., -1.])
    """


@dataclass(frozen=True)
class OptimalBrainSurgeon(_Count):
    """Remove coefficients one at a time, re-optimizing the others in the quadratic model each time.

    The next to go has the least saliency b_q² / (2 [Σ⁻¹]_qq); the others move by -b_q [Σ⁻¹]_:q / [Σ⁻¹]_qq,
    where Σ⁻¹ is that of the features still alive. It needs a positive definite covariance; for a diagonal one it is
    the same as `Hessian`.
    Source: Hassibi and Stork (1993), named in chang, Section 2.

    Examples
    --------
    >>> from prunekit import prune
    >>> prune([1.0, 0.5], OptimalBrainSurgeon(1), covariance=[[1.0, 0.8], [0.8, 1.0]])  # 1 + 0.8 · 0.5
    array([1.4, 0. ])
    """


@dataclass(frozen=True)
class TwoOfFour:
    """Keep the two largest |b_i| of each four consecutive coefficients (2:4 structured sparsity)."""


@dataclass(frozen=True)
class HardThreshold:
    """Keep the coefficients with |b_i| > t, t in units of b.

    Source: chang, Section 5.2, the function before equation (13).
    """

    t: float

    def __post_init__(self) -> None:
        """Refuse a negative threshold."""
        object.__setattr__(self, "t", _checks.scalar("t", self.t))


@dataclass(frozen=True)
class SoftThreshold(HardThreshold):
    """Shrink each coefficient towards 0 by t and stop at 0: sign(b_i) max(|b_i| - t, 0)."""


@dataclass(frozen=True)
class UniformQuantizer:
    """Round to the nearest of 2^bits levels, the middles of equal cells of [-limit, limit]; clip outside.

    The levels (mid-rise: 0 is none of them) are -limit + (k + 1/2) step, step = 2 limit / 2^bits, k = 0 …
    2^bits - 1.

    Examples
    --------
    >>> from prunekit import prune
    >>> UniformQuantizer(bits=2, limit=1.0).levels
    array([-0.75, -0.25,  0.25,  0.75])
    >>> prune([0.3, -0.9, 7.0], UniformQuantizer(bits=2, limit=1.0))
    array([ 0.25, -0.75,  0.75])
    """

    bits: int
    limit: float

    def __post_init__(self) -> None:
        """Refuse a quantizer without bits, with more than 2^16 levels, or with an empty range."""
        object.__setattr__(self, "bits", _checks.count("bits", self.bits, 1, 16, high_is="65536 levels"))
        object.__setattr__(self, "limit", _checks.scalar("limit", self.limit, positive=True))

    @property
    def step(self) -> float:
        """Width of a cell."""
        return 2.0 * self.limit / 2**self.bits

    @property
    def levels(self) -> Floats:
        """The 2^bits values that survive, ascending."""
        return self.step * (np.arange(2**self.bits) - 2 ** (self.bits - 1) + 0.5)


Strategy = Magnitude | Hessian | Natural | Oracle | OptimalBrainSurgeon | TwoOfFour | HardThreshold | UniformQuantizer
_STRATEGIES = (_Count, TwoOfFour, HardThreshold, UniformQuantizer)


def prune(
    coefficients: ArrayLike,
    strategy: Strategy,
    *,
    variances: ArrayLike | None = None,
    problem: LinearGaussian | None = None,
    covariance: ArrayLike | None = None,
) -> Floats:
    """Return a pruned (or compressed) copy of coefficients.

    Parameters
    ----------
    coefficients : (p,) or (m, p) array
        One vector, or m that are pruned each by itself.
    strategy : Strategy
        What is kept; see the module's list.
    variances : (p,) array, optional
        Diagonal of the covariance for `Hessian`, for example the mean squares of the features.
    problem : LinearGaussian, optional
        Supplies what was not given: `variances`, `covariance`, and the saliencies of `Oracle`.
    covariance : (p,) or (p, p) array, optional
        Covariance for `OptimalBrainSurgeon` and `Natural`; its diagonal serves `Hessian`.

    Returns
    -------
    array of the shape of `coefficients`
        The copy. Where the strategy has an s, each row keeps exactly s positions and has at most s nonzeros.

    Raises
    ------
    ValueError
        If s exceeds p, if the strategy lacks what it needs, if `TwoOfFour` meets a p that 4 does not divide, if
        `Natural` would have to try more than a million sets.

    Examples
    --------
    >>> from prunekit import Magnitude, SoftThreshold, TwoOfFour
    >>> b = [3.0, -2.5, 1.0, 0.5]
    >>> prune(b, Magnitude(1))
    array([3., 0., 0., 0.])
    >>> prune(b, SoftThreshold(0.75))
    array([ 2.25, -1.75,  0.25,  0.  ])
    >>> prune(b, TwoOfFour())
    array([ 3. , -2.5,  0. ,  0. ])
    """
    b = _coefficients(coefficients)
    rows = np.atleast_2d(b)
    needs = _Needs(rows.shape[1], variances, problem, covariance)
    check_fit(strategy, needs.p)
    if isinstance(strategy, OptimalBrainSurgeon):
        pruned = _surgeon(rows, strategy.s, needs.matrix())
    elif isinstance(strategy, UniformQuantizer):
        cell = np.floor(np.clip(rows / strategy.step, -(2.0**20), 2.0**20)) + 2 ** (strategy.bits - 1)
        pruned = strategy.levels[np.clip(cell, 0, 2**strategy.bits - 1).astype(np.intp)]
    elif isinstance(strategy, SoftThreshold):
        pruned = np.sign(rows) * np.maximum(np.abs(rows) - strategy.t, 0.0)
    else:
        pruned = np.where(_kept(rows, strategy, needs), rows, 0.0)
    return pruned.reshape(b.shape)


def support(
    coefficients: ArrayLike,
    strategy: Strategy,
    *,
    variances: ArrayLike | None = None,
    problem: LinearGaussian | None = None,
    covariance: ArrayLike | None = None,
) -> Integers:
    """Return the positions that survive pruning, ascending.

    Parameters
    ----------
    coefficients, strategy, variances, problem, covariance
        As for `prune`.

    Returns
    -------
    (s,) or (m, s) integer array
        One row for each row of `coefficients`. Where the number kept varies from row to row (thresholds),
        only one vector can be asked for.

    Raises
    ------
    ValueError
        In the same cases as `prune`, and for a quantizer, which keeps no position and drops none.

    Examples
    --------
    >>> from prunekit import Magnitude
    >>> support([3.0, -1.0, 2.0], Magnitude(2))
    array([0, 2])
    """
    b = _coefficients(coefficients)
    rows = np.atleast_2d(b)
    needs = _Needs(rows.shape[1], variances, problem, covariance)
    check_fit(strategy, needs.p)
    if isinstance(strategy, UniformQuantizer):
        raise ValueError(f"strategy is {strategy}, which has no support: give one that prunes")
    if isinstance(strategy, HardThreshold) and b.ndim == 2:
        raise ValueError(f"strategy is {strategy}, whose count varies: give coefficients of shape (p,)")
    if isinstance(strategy, OptimalBrainSurgeon):
        kept = _surgeon_alive(rows, strategy.s, needs.matrix())[0]
    else:
        kept = _kept(rows, strategy, needs)
    return np.nonzero(kept)[1].reshape(*b.shape[:-1], -1)


def _coefficients(coefficients: ArrayLike) -> Floats:
    """Check coefficients of shape (p,) or (m, p)."""
    return _checks.array("coefficients", coefficients, ndim=(1, 2))


def check_fit(strategy: Strategy, p: int) -> None:
    """Refuse what is not a strategy, and a strategy that p coefficients cannot follow.

    Raises
    ------
    TypeError
        If it is no strategy.
    ValueError
        If its s exceeds p, or 4 does not divide p for `TwoOfFour`.
    """
    if not isinstance(strategy, _STRATEGIES) or type(strategy) is _Count:
        raise TypeError(f"strategy is {_checks.shown(strategy)}: give one of prunekit.linear, such as Magnitude(s)")
    p = _checks.count("p", p)
    if isinstance(strategy, _Count):
        _checks.count("s", strategy.s, 1, p, high_is="the number of coefficients")
    if isinstance(strategy, TwoOfFour) and p % 4:
        raise ValueError(f"coefficients has {p} entries a row: give a multiple of 4 for TwoOfFour")


@dataclass(frozen=True)
class _Needs:
    """What a strategy may need in addition to the coefficients, each from the first source that has it."""

    p: int
    given_variances: ArrayLike | None
    problem: LinearGaussian | None
    given_covariance: ArrayLike | None

    def __post_init__(self) -> None:
        """Refuse a problem of another size."""
        from prunekit.linear.problem import LinearGaussian

        if self.problem is not None:
            _checks.instance("problem", self.problem, LinearGaussian, "a LinearGaussian")
        if self.given_variances is not None:
            self.variances()
        if self.given_covariance is not None:
            self._covariance  # noqa: B018
        if self.problem is not None and self.problem.p != self.p:
            raise ValueError(
                f"problem has {self.problem.p} features, but coefficients has {self.p}: give one of {self.p}"
            )

    def variances(self) -> Floats:
        """Return the diagonal of the covariance, (p,)."""
        if self.given_variances is not None:
            like = f"coefficients has {self.p} features"
            return _checks.nonnegative_vector("variances", self.given_variances, self.p, like=like)
        if self.given_covariance is None and self.problem is None:
            raise ValueError("variances is None, but Hessian pruning weighs with them: give variances or problem")
        matrix = self.matrix()
        return matrix if matrix.ndim == 1 else np.diagonal(matrix)

    @cached_property
    def _covariance(self) -> Floats:
        """The covariance that was given."""
        covariance = _checks.covariance("covariance", self.given_covariance)  # type: ignore[arg-type]
        if covariance.shape[0] != self.p:
            raise ValueError(f"covariance has shape {covariance.shape}: coefficients has {self.p} features")
        return covariance

    def matrix(self) -> Floats:
        """Return the covariance, (p,) or (p, p)."""
        if self.given_covariance is not None:
            return self._covariance
        if self.problem is None:
            raise ValueError("covariance is None, but this strategy needs it: give covariance or problem")
        return self.problem.covariance

    def latent(self) -> Floats:
        """Return the latent saliencies Σ_ii β_i², (p,); chang, equation (4)."""
        if self.problem is None:
            raise ValueError("problem is None, but the oracle knows its beta: give problem")
        with np.errstate(over="ignore", invalid="ignore"):
            saliencies = self.problem.variances * self.problem.beta**2
        return _checks.finite("a latent saliency", saliencies, "the beta of problem")


def _kept(rows: Floats, strategy: Strategy, needs: _Needs) -> Flags:
    """Return which entries of `rows` (m, p) a selecting strategy keeps."""
    size = np.abs(rows)
    if isinstance(strategy, HardThreshold):
        return np.asarray(size > strategy.t)
    if isinstance(strategy, TwoOfFour):
        return _largest(size.reshape(-1, 4), 2).reshape(rows.shape)
    if isinstance(strategy, Oracle):
        return np.broadcast_to(_largest(needs.latent()[None, :], strategy.s), rows.shape)
    if isinstance(strategy, Natural):
        return _natural(rows, strategy.s, needs.matrix())
    if isinstance(strategy, Hessian):
        weights = np.sqrt(needs.variances())
        size = (size / unit(size)) * (weights / unit(weights))  # only the order counts, and this cannot overflow
    return _largest(size, strategy.s)  # type: ignore[union-attr]


def _natural(rows: Floats, s: int, covariance: Floats) -> Flags:
    """Return which entries natural pruning keeps: of all sets, the one whose complement costs least."""
    if covariance.ndim == 1:  # nothing to try: the costs of single coefficients add up
        _checks.nonnegative_vector("covariance", covariance)
        weights = np.sqrt(covariance)
        return _largest((np.abs(rows) / unit(rows)) * (weights / unit(weights)), s)
    return cheapest(rows, s, covariance)


def largest(saliency: Floats, s: int) -> Flags:
    """Return a mask of exactly the s largest entries of each row; among equal ones the lowest index is kept.

    Parameters
    ----------
    saliency : (m, p) array
        Finite saliencies.
    s : int
        Number of entries kept in each row, from 1 to p.

    Returns
    -------
    (m, p) boolean array
        The mask, with s true entries in each row.
    """
    table = _checks.array("saliency", saliency, ndim=2)
    return _largest(table, _checks.count("s", s, 1, table.shape[1], high_is="the number of columns"))


def _largest(saliency: Floats, s: int) -> Flags:
    """Return the mask of `largest`, for numbers that have been checked."""
    p = saliency.shape[1]
    if s == p:
        return np.ones(saliency.shape, dtype=bool)
    cut = np.partition(saliency, p - s, axis=1)[:, p - s, None]  # the s-th largest
    kept = saliency > cut
    tied = saliency == cut
    room = s - kept.sum(axis=1, keepdims=True)
    crowded = np.flatnonzero(tied.sum(axis=1) > room[:, 0])
    tied[crowded] &= np.cumsum(tied[crowded], axis=1) <= room[crowded]
    return np.asarray(kept | tied)


def _surgeon(rows: Floats, s: int, covariance: Floats) -> Floats:
    """Return the coefficients that `OptimalBrainSurgeon` leaves, (m, p)."""
    return _surgeon_alive(rows, s, covariance)[1]


def _surgeon_alive(rows: Floats, s: int, covariance: Floats) -> tuple[Flags, Floats]:
    """Return which entries survive the surgeon, and their re-optimized values, each (m, p)."""
    if covariance.ndim == 1:  # nothing to re-optimize
        _checks.nonnegative_vector("covariance", covariance)
        alive = _largest(np.abs(rows) * np.sqrt(covariance), s)
        return alive, np.where(alive, rows, 0.0)
    return operated(rows, s, covariance)
