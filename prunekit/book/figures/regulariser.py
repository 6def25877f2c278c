"""The figures of the page on the regulariser: columns longer than a share of the longest, and a path of descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import MARKERS, Drawing, Palette
from prunekit.statistics import Estimate, mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prunekit.book.recordings import Recording

Law = Callable[[Floats, int, int], Floats]
LABELS = {"penalty": "with penalty", "small start": "without, small start", "large start": "without, large start"}
PREDICTED = "small start, predicted"
HEADER = ("panel", "run", "x", "share", "standard_error")


@dataclass(frozen=True)
class Panel:
    """Shares of columns that are longer than x times the longest, of one set of runs.

    Attributes
    ----------
    title : str
        The panel's title, such as "live".
    d, k, r : int
        Rows of U, its columns, and those of the truth.
    curves : mapping of str to sequence of (x, mean, standard error)
        Measured shares by kind of run, those of `LABELS`; and `PREDICTED`, without errors.
    law : callable
        The predicted share from x, k and r.
    """

    title: str
    d: int
    k: int
    r: int
    curves: Mapping[str, Sequence[tuple[float, float, float | None]]]
    law: Law

    @classmethod
    def live(cls, d: int, k: int, r: int, x: Floats, shares: Mapping[str, Floats], law: Law) -> Panel:
        """Return the panel of what was measured just now.

        Parameters
        ----------
        d, k, r : int
            Rows of U, its columns, and those of the truth.
        x : (m,) array
            Numbers from 0 to 1.
        shares : mapping of str to (runs, m) array
            The measured shares by kind of run.
        law : callable
            The predicted share from x, k and r.
        """
        curves: dict[str, list[tuple[float, float, float | None]]] = {}
        for name, values in shares.items():
            mean, error = mean_and_error(values)
            curves[name] = [(float(at), float(m), float(e)) for at, m, e in zip(x, mean, error, strict=True)]
        curves[PREDICTED] = [(float(at), float(share), None) for at, share in zip(x, law(x, k, r), strict=True)]
        return cls("live", d, k, r, curves, law)

    @classmethod
    def recorded(cls, record: Recording, law: Law) -> Panel:
        """Return the panel of a recorded run's own measurement.

        Parameters
        ----------
        record : Recording
            A run of the same page.
        law : callable
            The predicted share from x, k and r.
        """
        numbers = record.numbers("share")
        curves: dict[str, list[tuple[float, float, float | None]]] = {}
        for panel, run, *point in zip(*(numbers[name] for name in HEADER), strict=True):
            if panel == "live":
                curves.setdefault(run, []).append((point[0], point[1], point[2]))
        return cls("recorded", record.reports["d"], record.reports["k"], record.reports["r"], curves, law)

    def at(self, name: str, x: float) -> float:
        """Return the mean share of a kind of run at one of its x."""
        return next(share for at, share, _ in self.curves[name] if at == x)

    @property
    def from_step(self) -> Estimate:
        """Largest distance of the mean share from r/k with the penalty, over all x, with the error there."""
        return max((Estimate(abs(share - self.r / self.k), error or 0.0) for _, share, error in self.curves["penalty"]))

    def without(self, x: float = 0.5) -> Estimate:
        """Return the mean number of columns longer than x times the longest without the penalty, the fewer by start."""
        rows = [row for name in LABELS if name != "penalty" for row in self.curves[name] if row[0] == x]
        return min(Estimate(self.k * share, self.k * (error or 0.0)) for _, share, error in rows)

    @property
    def off(self) -> float:
        """Largest distance of the mean share from the prediction, for the small start."""
        pairs = zip(self.curves["small start"], self.curves[PREDICTED], strict=True)
        return max(abs(seen[1] - said[1]) for seen, said in pairs)


def share(panels: Sequence[Panel], repetitions: int) -> Drawing:
    """Return the paper's figure: the share of columns longer than x times the longest, against x.

    Parameters
    ----------
    panels : sequence of Panel
        What was measured just now, and what was recorded.
    repetitions : int
        Number of runs of the first panel.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        size = (3.6 * len(panels) + 1, 4.6)
        figure, row = plt.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True)
        for axes, panel in zip(row[0], panels, strict=True):
            _shares(axes, panel, palette)
        least = min(panel.r / panel.k for panel in panels)
        row[0, 0].set(ylim=(0.3 * least, 1.4), ylabel="share of columns above x")
        figure.legend(*row[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
        return figure

    rows = [(p.title, name, *row) for p in panels for name, curve in p.curves.items() for row in curve]
    numbers = dict(zip(HEADER, map(list, zip(*rows, strict=True)), strict=True))
    first = panels[0]
    middle = {name: 100 * first.at(name, 0.5) for name in LABELS}
    more = "" if len(panels) == 1 else " Right: the recorded run, same code."
    caption = (
        f"Above half the largest norm are {middle['penalty']:.2g}% of the columns with the penalty (r/k is "
        f"{100 * first.r / first.k:.2g}%), {middle['small start']:.2g}% without it from a small start and "
        f"{middle['large start']:.2g}% from a large one. The predicted curve is off by at most {first.off:.2g}. "
        f"Means of {repetitions} runs with standard errors.{more}"
    )
    alt = (
        "Share of columns whose norm exceeds x times the largest, logarithmic, against x: markers for runs with the "
        "penalty and, without it, for a small and a large start; a dashed line at r/k and a solid curve, the "
        "prediction for the small start."
    )
    return Drawing(draw, numbers, "share", alt, caption)


def _shares(axes: Axes, panel: Panel, palette: Palette) -> None:
    """Draw one panel: the prediction and r/k as lines, measured shares as markers."""
    k, r = panel.k, panel.r
    fine = np.union1d(np.linspace(0.001, 1, 300), [row[0] for row in panel.curves[PREDICTED]])
    ink: dict[str, Any] = {"color": palette.ink, "linewidth": 1}
    axes.plot(fine, np.clip(panel.law(fine, k, r), 1e-6, None), "-", label=f"without, {PREDICTED}", **ink)
    axes.step([0, 1], 2 * [r / k], "--", label="r/k", **ink)
    for (name, label), marker, colour in zip(LABELS.items(), MARKERS, palette.series, strict=False):
        x, mean, error = zip(*panel.curves[name], strict=True)
        look: dict[str, Any] = {"marker": marker, "color": colour, "markersize": 5, "markerfacecolor": "none"}
        axes.errorbar(x, mean, yerr=error, linestyle="none", label=label, capsize=2, **look)
    size = f"d = k = {k}" if panel.d == k else f"d = {panel.d}, k = {k}"
    axes.set(yscale="log", title=f"{panel.title}: {size}", xlabel="x, in units of the largest column norm")


@dataclass(frozen=True)
class Path:
    """Gradient descent as it was recorded: iterations, columns above the cut, norm of the gradient, least curvature."""

    step: np.ndarray[Any, Any]
    columns: Floats
    gradient: Floats
    curvature: Floats

    def where(self, kept: np.ndarray[Any, Any]) -> Path:
        """Return the records that a mask keeps."""
        return Path(self.step[kept], self.columns[kept], self.gradient[kept], self.curvature[kept])


def descent(paths: Sequence[Path], small: int, r: int) -> Drawing:
    """Return a figure of descent on the penalized loss: columns above the cut, gradient, least curvature.

    Parameters
    ----------
    paths : sequence of Path
        One for each run.
    small : int
        Number of rows and of columns of U.
    r : int
        Number of columns of the truth.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, rows = plt.subplots(3, 1, figsize=(7.2, 6.4), sharex=True)
        dashes: list[Any] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1))]
        for i, path in enumerate(paths):
            colour, dash = palette.series[i % len(palette.series)], dashes[i % len(dashes)]
            for axes, y in zip(rows, (path.columns, path.gradient, path.curvature), strict=True):
                axes.plot(path.step, y, color=colour, linestyle=dash)
        rows[0].axhline(r, color=palette.muted, linewidth=1)
        rows[0].set(yscale="log", ylabel="columns above cut")
        rows[0].set_yticks([r, 10, small], [str(r), "10", str(small)])
        rows[0].minorticks_off()
        rows[1].set(yscale="log", ylabel="norm of gradient")
        rows[2].set(ylabel="least curvature", xlabel="iteration")
        rows[2].set_yscale("symlog", linthresh=0.01)
        rows[2].axhline(0, color=palette.muted, linewidth=1)
        return figure

    numbers: dict[str, Any] = {
        "run": np.repeat(np.arange(len(paths)), [path.step.size for path in paths]),
        "iteration": np.concatenate([path.step for path in paths]),
        "columns": np.concatenate([path.columns for path in paths]).astype(int),
        "gradient_norm": np.concatenate([path.gradient for path in paths]),
        "least_curvature": np.concatenate([path.curvature for path in paths]),
    }
    caption = (
        f"Gradient descent on the penalized loss, d = k = {small}; the guide is at r = {r}. {_deceptive(paths, r)}"
    )
    alt = (
        "Three panels against the iteration of gradient descent, a line for each run. Above: columns longer than the "
        "cut. Middle: the norm of the gradient. Below: the least curvature."
    )
    return Drawing(draw, numbers, "path", alt, caption)


def _deceptive(paths: Sequence[Path], r: int) -> str:
    """Say how near to a minimum another number of columns than r looks."""
    wrong = [path.where(path.columns != r) for path in paths if (path.columns != r).any()]
    if not wrong:
        return "No other number than r was above the cut at any point recorded."
    return (
        "Where another number than r is above the cut, the gradient comes down to "
        f"{min(path.gradient.min() for path in wrong):.1g}, and the least curvature is at most "
        f"{max(path.curvature.max() for path in wrong):.2g}."
    )


def findings(panel: Panel) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    panel : Panel
        What was measured just now.
    """
    step = panel.r / panel.k
    wrong = max(abs(row[1] - step) for row in panel.curves["penalty"])
    exactly = "exactly" if wrong < 1e-12 else "not always"
    small, large = (panel.at(name, 0.5) * panel.k for name in ("small start", "large start"))
    return (
        f"With the penalty {exactly} the {panel.r} columns that the truth has stand out among {panel.k}, in every run "
        "and at every threshold.",
        f"Without it {small:.0f} columns are longer than half the longest after a small start and {large:.0f} after a "
        f"large one, where the truth has {panel.r}.",
        "For the small start alone the lengths are predicted: the share of columns above a threshold is off by at most "
        f"{panel.off:.2g}.",
    )
