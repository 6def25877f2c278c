"""The figures of the page on pruning and fine-tuning in matrix sensing: what the cut leaves, and where it works."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit import sensing
from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette
from prunekit.sensing import Descent, MatrixSensing, Penalized, Stationary
from prunekit.statistics import Estimate, mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = ("before the cut", "after", "fine-tuned", "from the truth")
BOUNDARIES = (
    "signal always found below",
    "signal cannot survive above",
    "noise grows below",
    "noise can survive below",
)
REGIONS = {-1: "too few", 0: "exactly r", 1: "too many"}
MIXED = "mixed"
FLOOR = 1e-16  # smaller distances are drawn here, so that an exact 0 has a place on a logarithmic axis
FAR, MIDDLE, NEAR = 1e-6, 10**-8.5, 1e-11  # the distances, over the norm of M, between which steps are counted


@dataclass(frozen=True, eq=False)
class Run:
    """One problem that is minimized with the penalty, cut, and fine-tuned without the penalty.

    Attributes
    ----------
    problem : MatrixSensing
        The problem that is fitted.
    found : Stationary
        The approximate minimum of the penalized loss.
    pruned : (d, kept) array
        The columns of the minimum that are above the cut.
    limit, best : (d, kept) and (d, r) arrays
        Limits of gradient descent on the plain loss from `pruned` and from the truth.
    step : float
        The step length, by which the gradient is multiplied.
    """

    problem: MatrixSensing
    found: Stationary
    pruned: Floats
    limit: Floats
    best: Floats
    step: float

    @property
    def distances(self) -> dict[str, float]:
        """Distance of the model from M over the norm of M, by stage."""
        models = (self.found.U, self.pruned, self.limit, self.best)
        return {stage: self.problem.error(U) for stage, U in zip(STAGES, models, strict=True)}

    @property
    def excess(self) -> float:
        """Training loss after the cut less that of the truth, over the squared norm of M."""
        loss = self.problem.loss
        return float((loss(self.pruned) - loss(self.problem.truth)) / np.sum(self.problem.target**2))

    @property
    def loss_gap(self) -> float:
        """Training loss after fine-tuning over that reached from the truth, less 1."""
        return self.problem.loss(self.limit) / max(self.problem.loss(self.best), 1e-300) - 1

    @property
    def asymptotic_slope(self) -> float:
        """The slope of the logarithm of the distance a step in the long run, by the least curvature at the limit."""
        return math.log(sensing.contraction(Penalized(self.problem), self.limit, self.step))

    def linearized_gap(self, path: Descent, at: Approach) -> float:
        """Return the largest relative gap between the distance along fine-tuning and its linearized value.

        Parameters
        ----------
        path : Descent
            Fine-tuning step by step, its distance from the limit over the norm of M `measured`.
        at : Approach
            The stretch of it that is compared; the linearization starts at its first record.
        """
        plain, step, t = Penalized(self.problem), self.step, path.step[at.inside]
        first = int(t[0])
        begin = sensing.gradient_descent(plain, self.pruned, step=step, steps=first, every=max(first, 1)).U
        model = sensing.linearized_distance(plain, self.limit, begin, step=step, times=t - first)
        return float(np.max(np.abs(path.measured[at.inside] * np.linalg.norm(self.problem.target) / model - 1)))


Runs = Mapping[tuple[str, float], Sequence[Run]]


def distances(results: Runs) -> Drawing:
    """Return the figure of the distance from the truth at each stage.

    Parameters
    ----------
    results : mapping of (eigenvalues in words, standard deviation of the noise) to runs
        The runs of each setting, equally many, without and with noise.
    """
    stages = {key: [run.distances for run in cell] for key, cell in results.items()}
    rows = [(name, noise, *each.values()) for (name, noise), cell in stages.items() for each in cell]
    header = ("eigenvalues", "sigma", *(stage.replace(" ", "_") for stage in STAGES))

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.4, 4.2))
        for j, stage in enumerate(STAGES):
            at = np.concatenate([np.full(len(cell), c + 0.17 * (j - 1.5)) for c, cell in enumerate(stages.values())])
            y = np.maximum([each[stage] for cell in stages.values() for each in cell], FLOOR)
            look: dict[str, Any] = {"color": palette.series[j], "markerfacecolor": "none", "markersize": 5}
            axes.plot(at, y, MARKERS[j], label=stage, **look)
        axes.set_xticks(range(len(stages)), [f"({name})\nσ = {noise:g}" for name, noise in stages])
        axes.set(yscale="log", ylabel="distance from the truth, relative", xlabel="eigenvalues of M, noise")
        axes.minorticks_off()
        figure.legend(loc="outside upper center", ncols=4, fontsize=9)
        return figure

    moved = max(abs(each["after"] / each["before the cut"] - 1) for cell in stages.values() for each in cell)
    clean, noisy = (_medians(stages, wanted) for wanted in (False, True))
    caption = (
        f"The cut changes the distance from M by a factor within {moved:.0e} of 1: what it drops does no work. "
        f"Fine-tuning then removes the penalty's bias, and takes the median for equal eigenvalues from "
        f"{clean['after']:.2g} to {clean['fine-tuned']:.0e} without noise, and from {noisy['after']:.2g} to "
        f"{noisy['fine-tuned']:.2g} with it; descent from the truth ends there at {noisy['from the truth']:.2g}."
    )
    alt = (
        "Distance from the truth, relative, for several spectra, without and with noise, a marker for each run: before "
        "the cut, after it, after fine-tuning, and after descent from the truth itself. The first two lie at the same "
        "height; without noise the last two lie many orders of magnitude lower, with noise only a little."
    )
    return Drawing(draw, dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)), "distances", alt, caption)


def _medians(stages: Mapping[tuple[str, float], Sequence[Mapping[str, float]]], noisy: bool) -> dict[str, float]:
    """Return the median distance by stage, for the first spectrum without or with noise."""
    cell = next(cell for (_, noise), cell in stages.items() if (noise > 0) == noisy)
    return {stage: float(np.median([each[stage] for each in cell])) for stage in STAGES}


def findings(results: Runs, paths: Sequence[Descent]) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    results : mapping of (eigenvalues in words, standard deviation of the noise) to runs
        All runs, both without and with noise.
    paths : sequence of Descent
        Fine-tuning of each run, its distance from its limit `measured`.
    """
    runs = [run for cell in results.values() for run in cell]
    r, right = runs[0].problem.r, sum(run.pruned.shape[1] == run.problem.r for run in runs)
    share = f"all {len(runs)}" if right == len(runs) else f"only {right} of {len(runs)}"
    excess = max(run.excess for run in runs)
    stages = {key: [run.distances for run in cell] for key, cell in results.items()}
    clean, noisy = (_medians(stages, wanted) for wanted in (False, True))
    sigma = max(noise for _, noise in results)
    apart = noisy["fine-tuned"] / noisy["from the truth"] - 1
    where = "where descent from the truth itself ends too" if abs(apart) < 1e-6 else "descent from the truth elsewhere"
    return (
        f"After the cut exactly the {r} columns that the truth has are left in {share} runs, and the training loss "
        f"exceeds that of the truth by at most {excess:.2%} of the squared norm of M.",
        _rate(paths),
        f"Without noise fine-tuning takes the typical distance from the truth from {clean['after']:.2g} to "
        f"{clean['fine-tuned']:.0e}; with noise of σ = {sigma:g} it ends at {noisy['fine-tuned']:.2g}, {where}.",
    )


def _rate(paths: Sequence[Descent]) -> str:
    """Say whether a factor in the distance takes as many steps later as before, which is what a linear rate is."""
    factor, through = FAR / MIDDLE, [path for path in paths if path.measured[-1] <= NEAR]
    if len(through) < len(paths):
        return f"Fine-tuning does not come near its limit in {len(paths) - len(through)} of {len(paths)} runs."
    steps = np.array([[_below(path, MIDDLE) - _below(path, FAR), _below(path, NEAR)] for path in paths])
    steps[:, 1] -= [_below(path, MIDDLE) for path in paths]
    slower = float(np.max(steps[:, 1] / steps[:, 0]))
    linear = "approaches its limit at a linear rate" if slower < 2 else "slows down on its way to its limit"
    return (
        f"Fine-tuning {linear}: near the limit the distance shrinks by the factor {factor:.0f} in at most "
        f"{steps[:, 0].max()} steps, and by that factor again in at most {slower:.2f} times as many (a decay as 1/t "
        f"would take {factor:.0f} times as many)."
    )


def _below(path: Descent, distance: float) -> int:
    """Return the first iteration at which a distance is reached."""
    return int(path.step[np.argmax(path.measured <= distance)])


@dataclass(frozen=True)
class Approach:
    """How a descent comes from `FAR` of its limit to `NEAR` it, on a logarithmic axis.

    Attributes
    ----------
    inside : (records,) array of bool
        The records between the two distances.
    slope, late : float
        Slope of the logarithm of the distance a step, over all of them and over the later half; 0 if the descent does
        not come through.
    bend : float
        The largest distance of the logarithm from its fitted line, over its fall; 1 if the descent does not come
        through.
    """

    inside: np.ndarray[Any, np.dtype[np.bool_]]
    slope: float
    late: float
    bend: float

    @classmethod
    def of(cls, path: Descent) -> Approach:
        """Return the approach of a descent, its distance from the limit `measured`."""
        inside = (path.measured <= FAR) & (path.measured >= NEAR)
        if path.measured[-1] > NEAR or np.count_nonzero(inside) < 4:
            return cls(inside, 0.0, 0.0, 1.0)
        t, y = path.step[inside], np.log(path.measured[inside])
        half = slice(t.size // 2, None)
        line, later = (np.polyfit(t[part], y[part], 1) for part in (slice(None), half))
        bend = np.max(np.abs(np.polyval(line, t) - y)) / (y[0] - y[-1])
        return cls(inside, float(line[0]), float(later[0]), float(bend))


def worst(values: Sequence[float], settings: int, sign: int = 1) -> Estimate:
    """Return the mean over the runs of the setting where it is largest, or smallest for a sign of -1, with its error.

    Parameters
    ----------
    values : sequence of float
        One for each run, the settings one after the other, with equally many runs each.
    settings : int
        Number of settings.
    sign : int
        1 or -1.
    """
    means, errors = mean_and_error(np.array(values).reshape(settings, -1).T)
    i = int(np.argmax(sign * means))
    return Estimate(float(means[i]), float(errors[i]))


def fine_tuning(traces: Mapping[tuple[str, float], Floats]) -> Drawing:
    """Return the figure of the distance from the truth along gradient descent from several starts.

    Parameters
    ----------
    traces : mapping of (start, standard deviation of the noise) to (runs, iterations) array
        Distances over the norm of M, without noise and with one noise; one start is "pruned".
    """
    medians = {key: np.median(y, axis=0) for key, y in traces.items()}
    starts, noises = list(dict.fromkeys(s for s, _ in traces)), list(dict.fromkeys(noise for _, noise in traces))
    (runs, length), final = next(iter(traces.values())).shape, {key: y[-1] for key, y in medians.items()}
    some = np.unique(np.geomspace(1, length, 120).astype(int)) - 1
    numbers: dict[str, Any] = {
        "start": [start for start, _ in traces for _ in some],
        "sigma": [noise for _, noise in traces for _ in some],
        "iteration": np.tile(some, len(traces)),
        "median_distance": np.concatenate([y[some] for y in medians.values()]),
    }

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.8, 3.9))
        for axes, noise in zip(both, noises, strict=True):
            for j, start in enumerate(starts):
                y = np.maximum(medians[start, noise], FLOOR)
                look: dict[str, Any] = {"color": palette.series[j], "linewidth": (1.4, 2.2, 1.6)[j % 3]}
                axes.plot(np.arange(y.size), y, linestyle=DASHES[j], label=start, **look)
            axes.set(yscale="log", title=f"σ = {noise:g}", xlabel="iteration")
            axes.set(ylabel="distance from the truth, relative")
            axes.minorticks_off()
        both[0].set(xlim=(0, _shown(medians["pruned", noises[0]])))
        both[1].set(xscale="log")
        figure.legend(*both[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9)
        return figure

    ends = [", ".join(f"{s} {final[s, noise]:.{1 + (noise > 0)}g}" for s in starts) for noise in noises]
    caption = (
        "Left, without noise: a linear rate is a straight line, while a decay as 1/t bends. Right, with noise, on a "
        "logarithmic axis of iterations: what rises late has begun to fit the noise. In the end the distance is, left, "
        f"{ends[0]}; right, {ends[1]} (medians of {runs} runs, {length - 1} iterations)."
    )
    alt = (
        "Distance from the truth against the iteration for three starts, logarithmic. Left without noise, on a linear "
        "axis of iterations; right with noise, on a logarithmic one."
    )
    return Drawing(draw, numbers, "fine-tuning", alt, caption)


def _shown(y: Floats) -> int:
    """Return how many iterations to show: three times those in which a curve falls to rounding, or all."""
    low = np.flatnonzero(y < 1e-14)
    return min(3 * int(low[0]), y.size) if low.size else y.size


@dataclass(frozen=True)
class Cell:
    """One cell of a phase diagram.

    Attributes
    ----------
    strength, smoothing : float
        The strength λ, in units of U³, and the smoothing β, in units of U².
    n : int
        Number of measurements.
    predicted : int or None
        The sign of the number of columns kept less r, None where nothing is predicted.
    counts : tuple of int
        The number of columns kept less r, for each run.
    converged : tuple of bool
        Whether the searches converged.
    """

    strength: float
    smoothing: float
    n: int
    predicted: int | None
    counts: tuple[int, ...]
    converged: tuple[bool, ...]

    @property
    def outcome(self) -> str:
        """What came out, in the words of `REGIONS`, or `MIXED`."""
        signs = {int(np.sign(count)) for count in self.counts}
        return REGIONS[signs.pop()] if len(signs) == 1 else MIXED


def boundaries(
    cells: Mapping[str, Sequence[Cell]], d: int, noise: float
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return where the boundaries of the two diagrams are evaluated, and the strengths there, as `phase` takes them.

    Parameters
    ----------
    cells : mapping of "n" and "beta" to sequence of Cell
        The cells of each diagram.
    d : int
        Number of rows of U.
    noise : float
        The standard deviation of the noise.
    """
    along, strengths = {}, {}
    for axis, group in cells.items():
        ends = [cell.n if axis == "n" else cell.smoothing for cell in group]
        along[axis] = np.geomspace(min(ends), max(ends), 40)
        columns = []
        for at in along[axis]:
            n, smoothing = (round(at), group[0].smoothing) if axis == "n" else (group[0].n, float(at))
            levels = (1.0, sensing.noise_level(d, n, noise))
            columns.append(np.ravel([sensing.strength_range(mu, smoothing, 4 * smoothing) for mu in levels]))
        strengths[axis] = np.array(columns).T
    return along, strengths


def phase(
    cells: Mapping[str, Sequence[Cell]],
    along: Mapping[str, Floats],
    boundaries: Mapping[str, Floats],
    r: int,
    noise: float,
) -> Drawing:
    """Return the diagrams of how many columns are kept, strength against measurements and against smoothing.

    Parameters
    ----------
    cells : mapping of "n" and "beta" to sequence of Cell
        The cells of each diagram.
    along : mapping of "n" and "beta" to (m,) array
        The places at which the boundaries are evaluated.
    boundaries : mapping of "n" and "beta" to (4, m) array
        Strengths in the order of `BOUNDARIES`, 0 where there is no boundary.
    r : int
        Number of columns of the truth.
    noise : float
        The standard deviation of the noise.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(8.2, 5), sharey=True)
        for axes, (axis, group) in zip(both, cells.items(), strict=True):
            _outcomes(axes, palette, axis, group)
            for y, dash, label in zip(boundaries[axis], DASHES, BOUNDARIES, strict=False):
                axes.plot(along[axis], np.where(y > 0, y, np.nan), color=palette.ink, linestyle=dash, label=label)
        strengths = [cell.strength for group in cells.values() for cell in group]
        both[0].set(xlabel="number of measurements n", ylabel="strength λ")
        both[0].set(title=f"β = {cells['n'][0].smoothing:g}", ylim=(min(strengths) / 1.3, max(strengths) * 1.3))
        both[0].set_xticks([30, 100, 300, 1000], ["30", "100", "300", "1000"])
        both[1].set(xlabel="smoothing β", title=f"n = {cells['beta'][0].n}")
        figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
        return figure

    flat = [(name, cell) for name, group in cells.items() for cell in group]
    numbers: dict[str, Any] = {
        "diagram": [name for name, _ in flat],
        "strength": [cell.strength for _, cell in flat],
        "smoothing": [cell.smoothing for _, cell in flat],
        "n": [cell.n for _, cell in flat],
        "predicted": [cell.predicted for _, cell in flat],
        "fewest_columns": [min(cell.counts) + r for _, cell in flat],
        "most_columns": [max(cell.counts) + r for _, cell in flat],
    }
    said = [cell for _, cell in flat if cell.predicted is not None]
    hit = sum(cell.outcome == REGIONS[cell.predicted] for cell in said if cell.predicted is not None)
    good = {name: np.mean([not any(cell.counts) for cell in group]) for name, group in cells.items()}
    caption = (
        f"Theory says what comes out in {len(said)} of {len(flat)} cells, and is right in {hit} of them. Exactly r "
        f"columns are kept in {100 * good['n']:.0f}% of the cells on the left and in {100 * good['beta']:.0f}% on the "
        f"right (runs a cell: {len(flat[0][1].counts)}, noise {noise:g}). The lines are the boundaries for eigenvalue "
        "1 and for the noise level (2), without factors of two and without the penalty's bias; between the two lines "
        "of a pair the start decides."
    )
    alt = (
        "Two diagrams of outcomes, λ against the number of measurements and against β. Each cell is marked as too few, "
        "exactly r, too many, or mixed, and four lines show where theory puts the boundaries."
    )
    return Drawing(draw, numbers, "phase", alt, caption)


def _outcomes(axes: Axes, palette: Palette, axis: str, group: Sequence[Cell]) -> None:
    """Mark each cell by what came out."""
    for j, (word, mark) in enumerate(zip((*REGIONS.values(), MIXED), "vo^x", strict=True)):
        here = [cell for cell in group if cell.outcome == word]
        at = np.array([(cell.n if axis == "n" else cell.smoothing, cell.strength) for cell in here], dtype=float)
        colour = palette.series[j]
        fill = colour if word == REGIONS[0] else "none"
        axes.plot(*at.reshape(-1, 2).T, mark, color=colour, markersize=5, label=word, markerfacecolor=fill)
    axes.set(xscale="log", yscale="log")
    axes.minorticks_off()
