"""Results against the scale λ of an initialization, a panel for each data set: one is trained now, one is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import MARKERS, Palette
from prunekit.book.tables import selected, tabulated
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prunekit.book.recordings import Recording
    from prunekit.book.settings import PaperSetting

Table = Mapping[str, Sequence[Any]]
Points = tuple[Floats, Floats, Floats]


RANGE = (0.25, 4.0)  # the range of λ; what lies beyond are the ends


@dataclass(frozen=True, eq=False)
class Curve:
    """Means over seeds against λ, measured now or read from a recording, which keeps no more than means and errors.

    Attributes
    ----------
    lambdas : list of float
        The scales λ, increasing.
    mean, error : (λ,) arrays
        Means over the seeds, and their standard errors or what these are at most.
    values : (seeds, λ) array, optional
        What was measured, seed by seed; None for a recording.
    """

    lambdas: Sequence[float]
    mean: Floats
    error: Floats
    values: Floats | None = None

    @classmethod
    def of(cls, values: Floats, lambdas: Sequence[float]) -> Curve:
        """Return the curve of measured values, (seeds, λ)."""
        return cls(list(lambdas), *mean_and_error(values), values)

    @classmethod
    def read(cls, table: Table, **labels: Any) -> Curve:
        """Return the curve that a recorded figure holds in the rows that have these labels."""
        x, mean, error = points(table, **labels)
        return cls(x.tolist(), mean, error)

    def at(self, *lambdas: float) -> Curve:
        """Return the curve at some of its λ."""
        where = [list(self.lambdas).index(lam) for lam in lambdas]
        values = None if self.values is None else self.values[:, where]
        return Curve(list(lambdas), self.mean[where], self.error[where], values)

    @property
    def inside(self) -> Curve:
        """The curve within the range of λ."""
        return self.at(*(lam for lam in self.lambdas if RANGE[0] <= lam <= RANGE[1]))

    def minus(self, other: Curve) -> Curve:
        """Return the difference from another curve, λ by λ in order.

        Values are paired by seed. Where a recording kept none, the errors are added: whatever the correlation is, the
        error of a paired difference is at most that.
        """
        if self.values is not None and other.values is not None:
            return Curve.of(self.values - other.values, self.lambdas)
        return Curve(self.lambdas, self.mean - other.mean, self.error + other.error)

    def joined(self, further: Sequence[float]) -> Curve:
        """Return a curve of one λ with the values of further seeds; a recorded one, which keeps none, as it is."""
        if self.values is None or not len(further):
            return self
        return Curve.of(np.append(self.values, further)[:, None], self.lambdas)

    def steps(self) -> Curve:
        """Return the changes from each λ to the next, named by the larger one."""
        return self.at(*self.lambdas[1:]).minus(self.at(*self.lambdas[:-1]))

    def log(self) -> Curve:
        """Return the curve of logarithms; of positive means, to first order in the error, where no values were kept."""
        if self.values is not None:
            return Curve.of(np.log(self.values), self.lambdas)
        return Curve(self.lambdas, np.log(self.mean), self.error / self.mean)

    def share(self, other: Curve) -> Curve:
        """Return this curve's part of the sum of both."""
        if self.values is not None and other.values is not None:
            return Curve.of(self.values / (self.values + other.values), self.lambdas)
        both = self.mean + other.mean
        error = (np.abs(other.mean) * self.error + np.abs(self.mean) * other.error) / both**2
        return Curve(self.lambdas, self.mean / both, error)

    def least(self) -> dict[str, float]:
        """Return the smallest mean and its error, as `prunekit.check` takes them."""
        return self.measured(int(np.argmin(self.mean)))

    def measured(self, place: int, sign: float = 1.0) -> dict[str, float]:
        """Return the mean at one place, times a sign, and its error, as `prunekit.check` takes them."""
        return {"measured": float(sign * self.mean[place]), "error": float(self.error[place])}

    def average(self) -> dict[str, float]:
        """Return the mean over all λ and its error, which is at most the mean of the errors."""
        if self.values is not None:
            return Curve.of(self.values.mean(axis=1, keepdims=True), [0.0]).measured(0)
        return {"measured": float(self.mean.mean()), "error": float(self.error.mean())}

    def drop(self) -> dict[str, float]:
        """Return how far the largest mean lies above the smallest, and the error of that difference."""
        high, low = (self.at(self.lambdas[int(pick(self.mean))]) for pick in (np.argmax, np.argmin))
        return high.minus(low).measured(0)


def conditions(paper: PaperSetting, data: str, scale: str, seeds: int, **sizes: Any) -> dict[str, Any]:
    """Return what all checks of one run of li's experiment have in common: its setting, data, scale and repetitions.

    Parameters
    ----------
    paper : PaperSetting
        What the paper states, with the optimizer, the learning rate and the batch size left open.
    data, scale, seeds
        What runs.
    **sizes
        The other fields of the paper's setting.
    """
    here = paper.here(
        data={"mnist": "MNIST"}.get(data, data),
        optimizer="gradient descent",
        learning_rate="0.05/max(λ², λ⁻²)",
        batch_size=100,
        **sizes,
    )
    return {"setting": here, "data": data, "scale": scale, "repetitions": seeds, "of": "seeds"}


@dataclass(frozen=True)
class Sets:
    """The data sets of a page's figures.

    Attributes
    ----------
    data : str
        The one that was trained on just now.
    titles : mapping of str to str
        What the panel of each data set says of the setting.
    recorded : Recording or None
        A recorded run of MNIST beside it, whose figures have the same columns.
    """

    data: str
    titles: Mapping[str, str]
    recorded: Recording | None = None

    @classmethod
    def of(cls, data: str, images: int, hidden: int, seeds: int, recorded: Recording | None) -> Sets:
        """Return the sets of a page: its live one, and a recorded run's.

        Parameters
        ----------
        data, images, hidden, seeds
            The setting of the live runs.
        recorded : Recording or None
            A recording that reports ``images``, ``hidden`` and ``seeds``.
        """
        titles = {data: _title(data, images, hidden, seeds)}
        if recorded is not None:
            name = recorded.parameters["data"]
            titles[name] = _title(name, *(recorded.reports[key] for key in ("images", "hidden", "seeds")))
        return cls(data, titles, recorded)

    def numbers(self, figure: str, live: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        """Return a figure's columns: the rows of the live set, and the recorded ones below them."""
        columns = tabulated([{"data": self.data} | dict(row) for row in live])
        kept = {} if self.recorded is None else self.recorded.numbers(figure)
        return {name: values + kept.get(name, []) for name, values in columns.items()}

    def canvas(self, height: float, lines: int = 1, **options: Any) -> tuple[Figure, Any]:
        """Return a figure with a column of panels for each data set, λ on a logarithmic axis."""
        import matplotlib.pyplot as plt

        width = 7.6 if len(self.titles) > 1 else 5.2
        figure, grid = plt.subplots(lines, len(self.titles), figsize=(width, height), squeeze=False, **options)
        for axes, title in zip(grid[0], self.titles.values(), strict=True):
            axes.set_title(title, fontsize=9)
        for axes in grid.flat:
            axes.set_xscale("log", base=2)
        for axes in grid[-1]:
            axes.set(xlabel="λ")
        return figure, grid


def _title(data: str, images: int, hidden: int, seeds: int) -> str:
    return f"{data}: {images} images, m = {hidden}, {seeds} seeds"


def rows(values: Floats, lambdas: Sequence[float], **labels: Any) -> list[dict[str, Any]]:
    """Return a row for each λ: labels, λ, mean and standard error.

    Parameters
    ----------
    values : (seeds, λ) array
        What was measured.
    lambdas : sequence of float
        The scales λ, one for each column of `values`.
    **labels
        What every row holds besides.
    """
    mean, error = mean_and_error(values)
    return [
        labels | {"lambda": lam, "mean": m, "standard_error": e}
        for lam, m, e in zip(lambdas, mean.tolist(), error.tolist(), strict=True)
    ]


def points(table: Table, **labels: Any) -> Points:
    """Return λ, mean and standard error of the rows that have these labels."""
    chosen = selected(table, **labels)
    return chosen["lambda"], chosen["mean"], chosen["standard_error"]


def kept(table: Table, data: str) -> list[float]:
    """Return the fractions kept that a data set has in a table, increasing."""
    return sorted(set(selected(table, data=data)["fraction"].tolist()))


def marks(axes: Axes, palette: Palette, k: int, xye: Points, label: str, **style: Any) -> None:
    """Draw means with error bars, in the k-th colour and shape."""
    x, mean, error = xye
    looks = {"color": palette.series[k], "marker": MARKERS[k], "markerfacecolor": "none", "linestyle": "none"}
    axes.errorbar(x, mean, yerr=error, capsize=2, elinewidth=1, label=label, **(looks | style))
