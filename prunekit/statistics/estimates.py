"""A measured number and its standard error."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, stdtr, stdtrit

from prunekit import _checks


class Estimate(NamedTuple):
    """A number and its standard error: 0 for one that is exact, infinite for a single draw."""

    value: float
    error: float

    def linear(self, slope: float, offset: float = 0.0) -> Estimate:
        """Return the estimate of slope · value + offset."""
        slope, offset = _checks.real("slope", slope), _checks.real("offset", offset)
        return Estimate(_line(slope, self.value, offset), abs(slope) * self.error if slope else 0.0)

    @property
    def scatter(self) -> float:
        """What random draws contribute to the error: all of it."""
        return self.error

    @property
    def quadrature(self) -> float:
        """What a quadrature contributes to the error: nothing."""
        return 0.0

    @property
    def resolved(self) -> bool:
        """Whether the number is an estimate at all, which a quadrature of too few nodes is not."""
        return True


class ProbedEstimate(Estimate):
    """An integral over a spectrum from random probes, each a quadrature: two errors, and whether they can be believed.

    It is an `Estimate`, a pair of value and error: the error is the root of the sum of both parts' squares, and
    infinite where the integrand is not resolved.

    Parameters
    ----------
    value : float
        The mean over probes.
    scatter : float
        Standard error of that mean, times Student's quantile over the normal one (`few`); infinite for one probe.
    quadrature : float
        Half of what the quadratures' steps may still change, so that two errors hold it.
    resolved : bool
        Whether the quadratures see the integrand.
    """

    _scatter: float
    _quadrature: float
    _resolved: bool

    def __new__(cls, value: float, scatter: float, quadrature: float, resolved: bool = True) -> ProbedEstimate:
        """Put the parts together."""
        estimate = super().__new__(cls, value, math.hypot(scatter, quadrature) if resolved else math.inf)
        estimate._scatter, estimate._quadrature, estimate._resolved = scatter, quadrature, resolved
        return estimate

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Estimate:  # type: ignore[override]
        """Return a plain estimate, since a value and an error, such as `_replace` gives, do not tell the parts."""
        return Estimate(*iterable)

    def __getnewargs__(self) -> tuple[float, float, float, bool]:
        """Return what a copy is made of."""
        return self.value, self._scatter, self._quadrature, self._resolved

    def __repr__(self) -> str:
        """Show value, error and its parts."""
        told = "" if self.resolved else ", resolved=False"
        return (
            f"ProbedEstimate(value={self.value!r}, error={self.error!r}, scatter={self.scatter!r}, "
            f"quadrature={self.quadrature!r}{told})"
        )

    def linear(self, slope: float, offset: float = 0.0) -> Estimate:
        """Return the estimate of slope · value + offset, both parts of the error with it."""
        slope, offset = _checks.real("slope", slope), _checks.real("offset", offset)
        if slope == 0:
            return Estimate(offset, 0.0)
        parts = abs(slope) * self.scatter, abs(slope) * self.quadrature
        return ProbedEstimate(_line(slope, self.value, offset), *parts, self.resolved)

    @property
    def scatter(self) -> float:
        """Standard error from the scatter between probes."""
        return self._scatter

    @property
    def quadrature(self) -> float:
        """Error of the quadrature, such that two hold what its steps may still change."""
        return self._quadrature

    @property
    def resolved(self) -> bool:
        """Whether the quadratures see the integrand; if not, the error is infinite."""
        return self._resolved


def _line(slope: float, value: float, offset: float) -> float:
    return _checks.finite("slope · value + offset", slope * value + offset, "slope or offset")


def mean(draws: ArrayLike) -> Estimate:
    """Return the mean of independent draws (n,) and its standard error, infinite where there is one draw.

    Raises
    ------
    ValueError
        If there is no draw, or one is not finite.
    """
    sample = _checks.vector("draws", draws)
    if sample.size == 1:
        return Estimate(float(sample[0]), math.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        value, error = float(sample.mean()), float(sample.std(ddof=1)) / math.sqrt(sample.size)
    _checks.finite("the mean of the draws, or its error,", (value, error), "draws")
    return Estimate(value, error)


def few(draws: ArrayLike) -> Estimate:
    """Return the mean of a few independent draws (n,), with an error two of which cover as two standard errors do.

    The standard error is known badly from few draws; Student's quantile over the normal one makes up for it: times 7.0
    for two draws, 1.66 for four, 1.21 for eight. This is right for normal draws.

    Raises
    ------
    ValueError
        In the same cases as `mean`.
    """
    sample = _checks.vector("draws", draws)
    value, error = mean(sample)
    return Estimate(value, error * student(sample.size - 1) if sample.size > 1 else error)


def student(freedom: float) -> float:
    """Return Student's quantile over the normal one, for two errors, at so many degrees of freedom."""
    ratio = stdtrit(_checks.scalar("freedom", freedom, positive=True), ndtr(2.0)) / 2
    return float(_checks.finite("Student's quantile", ratio, "freedom, which is too small,"))


def chance_of_two(draws: int) -> float:
    """Return the chance that two standard errors hold the mean of so many normal draws, by Student's law.

    It is 95.4% for very many; the errors of `few` have that chance for any number.

    Examples
    --------
    >>> [round(chance_of_two(n), 3) for n in (2, 5, 20, 10**6)]
    [0.705, 0.884, 0.94, 0.954]
    """
    return float(1 - 2 * stdtr(_checks.count("draws", draws, 2) - 1, -2.0))
