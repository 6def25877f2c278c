"""The figures of the page on reading the tail index: calibration, medians and clipping, SGD, other laws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette, columns, compare, joined, legend
from prunekit.stable.expected import spread_of_inverse
from prunekit.statistics import deviation_bound, largest_deviation, mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prunekit.stable import TailIndex

ROOT = "K₁ = √n"
Lines = Mapping[str, tuple[Any, Any]]
Points = Mapping[str, tuple[Any, Any, Any]]


@dataclass(frozen=True)
class Samples:
    """Estimates on exact symmetric stable samples.

    Attributes
    ----------
    sizes, indices : sequences
        Sample sizes n and tail indices α.
    values : mapping of (str, float, int) to (repetitions, 3) array
        The estimate 1/α̂, its stated standard error, and α̂, by block size in words, α and n.
    """

    sizes: Sequence[int]
    indices: Sequence[float]
    values: Mapping[tuple[str, float, int], Floats]

    @property
    def repetitions(self) -> int:
        """Number of samples behind each mean."""
        return len(next(iter(self.values.values())))

    @property
    def largest_gap(self) -> float:
        """Largest gap of a mean of 1/α̂ from 1/α, in standard errors."""
        inverses = np.array([each[:, 0] for each in self.values.values()]).T
        return largest_deviation(inverses, np.array([1 / a for _, a, _ in self.values]))

    @property
    def bound(self) -> float:
        """The gap that the largest one exceeds once in a hundred times if every mean is right."""
        return deviation_bound(len(self.values), self.repetitions)

    def farthest(self, blocks: str, n: int) -> tuple[float, float, float]:
        """Return α, and the gap from it of 1 over the mean of 1/α̂ with its error, where that is largest."""
        gaps = []
        for (kind, alpha, size), values in self.values.items():
            if (kind, size) == (blocks, n):
                mean, error = mean_and_error(values[:, 0])
                gaps.append((alpha, float(1 / mean - alpha), float(error / mean**2)))
        return max(gaps, key=lambda gap: abs(gap[1]))

    def stated(self) -> dict[str, float]:
        """Return the stated standard error over the spread of 1/α̂, the smallest and the largest of all cases."""
        ratios = [math.sqrt(np.mean(values[:, 1] ** 2)) / values[:, 0].std(ddof=1) for values in self.values.values()]
        return {"smallest": float(min(ratios)), "largest": float(max(ratios))}

    def estimates(self, alpha: float, n: int) -> Floats:
        """Return α̂ of the samples of one kind, with blocks of √n."""
        return self.values[ROOT, alpha, n][:, 2]


def calibration(samples: Samples) -> Drawing:
    """Return a figure of the bias of α̂ and of the spread of 1/α̂ on stable samples.

    Parameters
    ----------
    samples : Samples
        What was estimated.
    """
    sizes, first, last = samples.sizes, samples.indices[0], samples.indices[-1]
    bias, spread, law = {}, {}, {}
    many = np.geomspace(sizes[0], sizes[-1], 30).astype(int)
    for a in samples.indices:
        label = f"α = {a:g}"
        bias[label] = (sizes, *np.transpose([mean_and_error(samples.estimates(a, n) - a) for n in sizes]))
        sd = np.array([samples.values[ROOT, a, n][:, 0].std(ddof=1) for n in sizes])
        spread[label] = (sizes, sd, sd / math.sqrt(2 * (samples.repetitions - 1)))
        law[label] = (many, [spread_of_inverse(a, n, math.isqrt(n)) for n in many])

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.8))
        compare(left, palette, {}, bias)
        left.axhline(0, color=palette.muted, linewidth=1, linestyle=":")
        compare(right, palette, law, spread)
        left.set(xscale="log", xlabel="sample size n", ylabel="mean of α̂ minus α")
        left.set_yscale("symlog", linthresh=0.01)
        right.set(xscale="log", yscale="log", xlabel="sample size n")
        right.set(ylabel="standard deviation of 1/α̂")
        legend(figure, right, ncols=len(law))
        return figure

    off = " and ".join(f"{np.mean(samples.estimates(a, sizes[1])) - a:+.3f} at α = {a:g}" for a in (first, last))
    wide = " and ".join(f"{samples.estimates(a, sizes[-1]).std(ddof=1):.3f} at α = {a:g}" for a in (first, last))
    caption = (
        f"On stable samples the mean of 1/α̂ is exact and α̂ itself is off by little: by {off} for n = {sizes[1]:,} "
        f"(blocks of √n, {samples.repetitions} repetitions). Its standard deviation at n = {sizes[-1]:,} is {wide}. "
        "Lines: the predicted spread of 1/α̂."
    )
    alt = (
        "Two panels against the sample size. Left: mean of the estimate minus the truth, a marker for each tail index, "
        "on an axis that is linear near zero and logarithmic beyond. Right: standard deviation of the inverse "
        "estimate, logarithmic, markers on predicted lines that fall."
    )
    tables = {"bias": columns("n", "value", {}, bias), "spread": columns("n", "value", law, spread)}
    return Drawing(draw, joined(tables, "quantity"), "calibration", alt, caption)


def variants(estimates: Mapping[str, Mapping[float, Floats]], rows: int) -> Drawing:
    """Return a figure of what medians over block sizes and orders, and clipping, do to the estimate.

    Parameters
    ----------
    estimates : mapping of str to mapping of float to (repetitions, 2) array
        The α̂ and their stated standard errors by variant and α; the last is clipped at 2, the one before it is not.
    rows : int
        Number of vectors in a sample.
    """
    indices = list(next(iter(estimates.values())))
    place = np.arange(len(indices))
    off = {name: np.transpose([mean_and_error(v[a][:, 0] - a) for a in indices]) for name, v in estimates.items()}
    wide = {name: np.array([v[a][:, 0].std(ddof=1) for a in indices]) for name, v in estimates.items()}
    again = len(estimates[next(iter(estimates))][indices[0]])

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.9))
        for k, name in enumerate(estimates):
            style: dict[str, Any] = {"color": palette.series[k], "marker": MARKERS[k], "linestyle": "none"}
            style |= {"markerfacecolor": "none", "capsize": 2, "elinewidth": 1}
            x = place + 0.14 * (k - 1.5)
            left.errorbar(x, off[name][0], yerr=off[name][1], label=name, **style)
            right.errorbar(x, wide[name], yerr=wide[name] / math.sqrt(2 * again - 2), **style)
        left.axhline(0, color=palette.muted, linewidth=1, linestyle=":")
        for axes, words in ((left, "mean of α̂ minus α"), (right, "standard deviation of α̂")):
            axes.set_xticks(place, [f"{a:g}" for a in indices])
            axes.set(xlabel="tail index α", ylabel=words)
        right.set(ylim=(0, None))
        figure.legend(fontsize=9, ncols=len(estimates), loc="outside upper center")
        return figure

    (_, free), (_, clipped) = list(estimates.items())[-2:]
    gauss, second = indices[-1], indices[min(1, len(indices) - 1)]
    spreads = ", ".join(f"{v[second][:, 0].std(ddof=1):.3f} ({name})" for name, v in estimates.items())
    caption = (
        f"Clipping hides where the truth is: at α = {gauss:g} the clipped estimate is off by "
        f"{clipped[gauss][:, 0].mean() - gauss:+.3f} on average and is exactly 2 in "
        f"{np.mean(clipped[gauss][:, 0] == 2):.0%} of the samples; unclipped it is off by "
        f"{free[gauss][:, 0].mean() - gauss:+.3f} ({rows} vectors of 16 entries, {again} repetitions). The spread at "
        f"α = {second:g} is {spreads}."
    )
    alt = (
        "Two panels with the tail index on the horizontal axis, four markers for each value: mean error and spread of "
        "the formula, of medians over block sizes, of medians over orders as well, and of the clipped estimate."
    )
    table = [
        (name, a, v[a][:, 0].mean() - a, v[a][:, 0].std(ddof=1), np.median(v[a][:, 1]))
        for name, v in estimates.items()
        for a in indices
    ]
    names = ("variant", "alpha", "bias", "spread", "stated_error")
    return Drawing(draw, dict(zip(names, zip(*table, strict=True), strict=True)), "variants", alt, caption)


@dataclass(frozen=True)
class Regression:
    """SGD on linear regression.

    Attributes
    ----------
    steps : (m,) array
        The steps η.
    exact : mapping of int to (m,) array
        Exact tail index by batch; infinite where it is above 12, 0 where there is no stationary law.
    runs : sequence of (float, int)
        Steps and batches that were simulated.
    known : sequence of float
        Exact tail index of each run.
    estimates : sequence of TailIndex
        Estimates from averages of iterates, one for each run.
    """

    steps: Floats
    exact: Mapping[int, Floats]
    runs: Sequence[tuple[float, int]]
    known: Sequence[float]
    estimates: Sequence[TailIndex]

    @property
    def table(self) -> Floats:
        """The exact index, (batches, steps), with rising batches."""
        return np.array([self.exact[b] for b in sorted(self.exact)])

    @property
    def pairs(self) -> int:
        """Number of pairs of neighbours, in η or in b, whose exact indices are compared."""
        known = self._known
        return int((known[:, 1:] & known[:, :-1]).sum() + (known[1:] & known[:-1]).sum())

    @property
    def exceptions(self) -> int:
        """Number of pairs of neighbours in which the larger η or the smaller b does not have the smaller index."""
        known, table = self._known, self.table
        in_step = known[:, 1:] & known[:, :-1] & (table[:, 1:] >= table[:, :-1])
        in_batch = known[1:] & known[:-1] & (table[1:] <= table[:-1])
        return int(in_step.sum() + in_batch.sum())

    @property
    def _known(self) -> np.ndarray[Any, Any]:
        return np.isfinite(self.table) & (self.table > 0)

    @property
    def smallest(self) -> float:
        """The smallest exact index of a setting that has a stationary law."""
        return float(self.table[self.table > 0].min())

    def rises(self) -> tuple[float, float]:
        """Return the largest change of the exact index as η grows by a step, and as b shrinks; negative if all fall."""
        known = self._known
        shown = np.where(known, self.table, np.nan)
        in_step = np.diff(shown, axis=1)[known[:, 1:] & known[:, :-1]]
        in_batch = -np.diff(shown, axis=0)[known[1:] & known[:-1]]
        return float(in_step.max()), float(in_batch.max())

    def rise(self, first: int, second: int) -> tuple[float, float]:
        """Return how far the estimate rises from one run to another, and the error of that."""
        one, two = self.estimates[first], self.estimates[second]
        return two.alpha - one.alpha, math.hypot(one.error, two.error)


def linear_regression(sgd: Regression, chains: int, averaged: int) -> Drawing:
    """Return a figure of the exact tail index of SGD on linear regression, and of its estimates.

    Parameters
    ----------
    sgd : Regression
        The exact tail indices, and the estimated ones.
    chains, averaged : int
        Number of runs of SGD, and of iterates averaged in each.
    """
    lines, points = {}, {}
    for b, values in sgd.exact.items():
        shown = np.isfinite(values) & (values > 0)
        lines[f"b = {b}"] = (sgd.steps[shown] / b, values[shown])
        chosen = [(r[0] / b, t.alpha, t.error) for r, t in zip(sgd.runs, sgd.estimates, strict=True) if r[1] == b]
        if chosen:
            points[f"b = {b}"] = tuple(np.transpose(chosen))

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.0))
        compare(axes, palette, lines, points)
        axes.axhline(2, color=palette.muted, linewidth=1, linestyle=":")
        axes.set(ylim=(0, 8), xlabel="step over batch size, η/b", ylabel="tail index α")
        legend(figure, axes, ncols=len(lines))
        return figure

    said = ", ".join(
        f"{'above 12' if math.isinf(a) else f'{a:.2f}'} and {t.alpha:.2f} (b = {run[1]})"
        for run, a, t in zip(sgd.runs, sgd.known, sgd.estimates, strict=True)
    )
    caption = (
        "The index depends on η and b, not on η/b alone: the three exact lines do not coincide. Markers are estimates "
        f"from averages of {averaged} iterates of {chains:,} runs (bars: standard errors). Exact and estimated: {said}."
    )
    alt = (
        "Tail index against the step divided by the batch size: a falling line of exact values for each of three batch "
        "sizes, markers of estimates for batch sizes 1 and 2 near or below 2, and a dotted line at 2."
    )
    return Drawing(draw, columns("eta_over_b", "alpha", lines, points), "linear-regression", alt, caption)


@dataclass(frozen=True)
class Laws:
    """What the estimator estimates of laws that need not be stable, and what it gave on samples of them.

    Attributes
    ----------
    predicted : mapping of str to (blocks, α)
        What the estimator estimates of each law, at each block size.
    measured : mapping of str to (blocks, α̂, standard error)
        What it gave on one sample of each law.
    at_measured : mapping of str to (m,) array
        What it estimates of each law at the block sizes that were measured.
    draws : int
        Size of a sample.
    """

    predicted: Lines
    measured: Points
    at_measured: Mapping[str, Floats]
    draws: int

    @property
    def largest_gap(self) -> float:
        """Largest gap between what was given and what is estimated, in stated standard errors."""
        gaps = [
            np.abs(np.subtract(alpha, self.at_measured[name])) / error
            for name, (_, alpha, error) in self.measured.items()
        ]
        return float(np.max(gaps))

    def at(self, name: str, block: int) -> float:
        """Return what the estimator estimates of a law at a block size that was measured."""
        return float(self.at_measured[name][list(self.measured[name][0]).index(block)])


def other_laws(laws: Laws) -> Drawing:
    """Return a figure of the estimate against the block size, for laws that need not be stable.

    Parameters
    ----------
    laws : Laws
        What is estimated, and what was measured.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.8))
        for k, name in enumerate(laws.predicted):
            colour = palette.series[k]
            axes.plot(*laws.predicted[name], color=colour, linestyle=DASHES[k])
            x, y, error = laws.measured[name]
            axes.errorbar(
                x, y, yerr=error, color=colour, marker=MARKERS[k], capsize=2,
                linestyle="none", markerfacecolor="none", elinewidth=1, label=name,
            )  # fmt: skip
        axes.set(xscale="log", xlabel="block size K₁", ylabel="estimate α̂", ylim=(0.9, 2.3))
        figure.legend(fontsize=9, ncols=3, loc="outside upper center")
        return figure

    at_ten = ", ".join(f"{laws.at(name, 10):.2f} for {name}" for name in laws.predicted)
    caption = (
        f"Only a stable law has one answer at every block size. With blocks of 10 the estimator answers {at_ten}. "
        f"Lines: what it estimates; markers: one sample of {laws.draws:,} draws of each law (bars: stated standard "
        f"error, largest gap to a line {laws.largest_gap:.1f} of them)."
    )
    alt = (
        "Estimated tail index against the block size, logarithmic, for six laws: the Gaussian line is level at 2, the "
        "others change with the block size, most from well below 2 upwards. Markers lie on the lines."
    )
    return Drawing(draw, columns("block_size", "alpha", laws.predicted, laws.measured), "other-laws", alt, caption)


def findings(samples: Samples, regression: Regression, laws: Laws) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    samples : Samples
        Estimates on stable samples.
    regression : Regression
        Exact and estimated indices of SGD.
    laws : Laws
        The laws, of which "Laplace" and "one in ten wider" have a variance, and "Gaussian" is stable.
    """
    right = "right" if samples.largest_gap <= samples.bound else "not right"
    wrong, pairs = regression.exceptions, regression.pairs
    order = "as the paper says" if not wrong else "not always as the paper says"
    known = regression.table[regression.table > 0]
    light, mixed = laws.at("Laplace", 10), laws.at("one in ten wider", 10)
    return (
        f"On stable samples, for which it is made, the estimator is {right} on average: the largest of "
        f"{len(samples.values)} gaps between the means of 1/α̂ and 1/α is {samples.largest_gap:.1f} standard errors.",
        f"SGD on linear regression behaves {order}: a larger step or a smaller batch lowers the exact index in "
        f"{pairs - wrong} of {pairs} comparisons; it is above 2 in {np.mean(known > 2):.0%} of the settings with a "
        "stationary law.",
        f"An estimate below 2 is no proof of heavy tails: with blocks of 10 the estimator answers {light:.2f} for "
        f"Laplace's law and {mixed:.2f} for Gaussians of two scales, whose moments are all finite.",
    )
