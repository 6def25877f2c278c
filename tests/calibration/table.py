"""What a calibration is: a case with a known answer, run over many seeds, and one row of the table about it.

Two error bars of the library hold the truth in about 95% of runs: that is what an error is here, for one number. Where
a function gives an interval in place of an error, the interval is meant, and its bar is a quarter of its length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import binom

from prunekit.statistics import binomial_interval

TWO = float(2 * ndtr(2.0) - 1)  # 95.4%, the chance of two standard errors of a normal law
Pair = tuple[float, float]
Triple = tuple[float, float, float]  # a value, and the two ends of an interval
Trial = Callable[[int], Pair | Triple]
Make = Callable[[], tuple[float, Trial]]
Row = dict[str, Any]
CASES: list[Case] = []
_SHARED: list[Any] = []


def shared(function: Any) -> Any:
    """Keep what a function returned for all cases that ask for it: a spectrum that several numbers are read off."""
    found = lru_cache(maxsize=None)(function)
    _SHARED.append(found)
    return found


@dataclass(frozen=True, eq=False)
class Case:
    """A function, a case whose answer is known, and how it is tried.

    Attributes
    ----------
    function : str
        The public name below `prunekit`.
    words : str
        The case.
    known : str
        How the truth is known.
    make : callable
        () -> the truth, and a function from a seed to (value, error) or (value, low, high).
    seeds, quick : int
        Runs for the table, and in the test suite.
    nominal : float
        The chance that is promised: 95.4%, or Student's for so few draws.
    bound : bool
        Whether the bar is more than scatter: a bound on what a number may be off by, which holds the truth more often.
    note : str
        Why the promise is not kept here, where it is not.
    """

    function: str
    words: str
    known: str
    make: Make
    seeds: int
    quick: int
    nominal: float
    bound: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """Function and case."""
        return f"{self.function}: {self.words}"

    @cached_property
    def made(self) -> tuple[float, Trial]:
        """The truth and the trial, made once."""
        return self.make()


@dataclass(frozen=True, eq=False)
class Runs:
    """What came out over the seeds; (runs,) arrays of those that have an error bar."""

    truth: float
    values: np.ndarray[Any, Any]
    low: np.ndarray[Any, Any]
    high: np.ndarray[Any, Any]
    seeds: int
    seconds: float

    @property
    def told(self) -> int:
        """Number of runs with an error bar."""
        return len(self.values)

    @property
    def bars(self) -> np.ndarray[Any, Any]:
        """Error bars; a quarter of the length of an interval."""
        return (self.high - self.low) / 4

    def covered(self, factor: float = 1.0) -> int:
        """Count the seeds whose two bars hold the truth, if each bar were multiplied by a factor about its value."""
        low = self.values - factor * (self.values - self.low)
        high = self.values + factor * (self.high - self.values)
        slack = 1e-12 * max(abs(self.truth), 1e-300)  # of rounding, for results that are exact
        return int(np.sum((low - slack <= self.truth) & (self.truth <= high + slack)))


def case(function: str, words: str, **settings: Any) -> Callable[[Make], Make]:
    """Enter a function that makes the truth and the trial as a case; settings as for `Case`."""

    def enter(make: Make) -> Make:
        CASES.append(Case(function, words, make=make, **{"nominal": TWO} | settings))
        return make

    return enter


def forget() -> None:
    """Forget what cases share, so that each is at its own cost."""
    for one in _SHARED:
        one.cache_clear()


def run(one: Case, seeds: int) -> Runs:
    """Try a case with so many seeds, from 0 on."""
    truth, trial = one.made
    before = time.process_time()
    found = [trial(seed) for seed in range(seeds)]
    seconds = (time.process_time() - before) / seeds
    ends = np.array([_ends(each) for each in found], dtype=float).T
    told = np.isfinite(ends).all(axis=0)
    if told.sum() < seeds / 2:
        raise FloatingPointError(f"{one.name}: {seeds - told.sum()} of {seeds} runs have no bar: alter the case")
    values, low, high = ends[:, told]
    return Runs(truth, values, low, high, seeds, seconds)


def _ends(found: Pair | Triple) -> Triple:
    if len(found) == 3:
        return found
    value, error = found
    return value, value - 2 * error, value + 2 * error


def least(one: Case, seeds: int, level: float) -> int:
    """Return the fewest seeds of which two bars must hold the truth.

    A case that keeps its promise but for 2% falls below with a probability of at most `level`: skew and bias, which
    standard errors do not know, may take so much. One with a note may be off by ten times as much.
    """
    return int(binom.ppf(level, seeds, one.nominal - (0.2 if one.note else 0.02)))


def row(one: Case, runs: Runs) -> Row:
    """Return a case's line of the table."""
    covered = runs.covered()
    return {
        "function": one.function,
        "case": one.words,
        "known": one.known,
        "truth": runs.truth,
        "value": float(runs.values.mean()),
        "bar": float(runs.bars.mean()),
        "off": float(np.sqrt(np.mean((runs.values - runs.truth) ** 2))),
        "seeds": runs.seeds,
        "resolved": runs.told,
        "covered": covered,
        "interval": list(binomial_interval(covered, runs.told)),
        "nominal": one.nominal,
        "bound": one.bound,
        "note": one.note,
        "seconds": float(f"{runs.seconds:.2g}"),
    }
