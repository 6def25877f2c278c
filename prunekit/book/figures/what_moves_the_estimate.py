"""The figure of the page on what moves the estimated tail index: four readings of networks from two starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette
from prunekit.book.tables import tabulated

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READINGS = ("authors' program", "not centred", "single, in order", "single, shuffled")
PROGRAM, NOT_CENTRED, IN_ORDER, SHUFFLED = READINGS


@dataclass(frozen=True)
class Starts:
    """Readings of networks that were trained from two kinds of initial weights.

    Attributes
    ----------
    rows : sequence of mappings
        One for each network and reading, with the keys ``start``, ``ratio`` (η/b), ``reading``, ``alpha``, ``stopped``
        and ``train_accuracy``; the readings are `READINGS`.
    trainings : int
        How many networks were trained from each start, including those that diverged, which have no row.
    """

    rows: Sequence[Mapping[str, Any]]
    trainings: int

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        if len(self.starts) != 2:
            raise ValueError(f"rows are of the starts {self.starts}: give ratios at which some of each do not diverge")

    @property
    def starts(self) -> list[str]:
        """The kinds of initial weights, in their order."""
        return list(dict.fromkeys(row["start"] for row in self.rows))

    @property
    def names(self) -> list[str]:
        """The readings, in their order."""
        return list(dict.fromkeys(row["reading"] for row in self.rows))

    def means(self, start: str, reading: str) -> tuple[list[float], list[float]]:
        """Return the ratios η/b at which a network did not diverge, rising, and the mean α̂ over the seeds there."""
        by_ratio: dict[float, list[float]] = {}
        for row in self.rows:
            if (row["start"], row["reading"]) == (start, reading):
                by_ratio.setdefault(row["ratio"], []).append(row["alpha"])
        return sorted(by_ratio), [float(np.mean(by_ratio[ratio])) for ratio in sorted(by_ratio)]

    def ends(self, start: str, reading: str) -> tuple[float, float]:
        """Return the mean α̂ at the smallest and at the largest ratio."""
        _, values = self.means(start, reading)
        return values[0], values[-1]

    def fitted(self, start: str) -> int:
        """Return how many networks of a start classify every training image rightly at the end."""
        return sum(
            row["train_accuracy"] == 1 for row in self.rows if (row["start"], row["reading"]) == (start, self.names[0])
        )


def readings(starts: Starts) -> Drawing:
    """Return a figure of the tail index against η/b, a panel for each start and a line for each reading.

    Parameters
    ----------
    starts : Starts
        The readings of the networks.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, grid = plt.subplots(1, len(starts.starts), figsize=(7.8, 3.7), sharey=True, squeeze=False)
        for axes, start in zip(grid[0], starts.starts, strict=True):
            for k, reading in enumerate(starts.names):
                colour, own = palette.series[k], {"start": start, "reading": reading}
                own_rows = [row for row in starts.rows if all(row[key] == value for key, value in own.items())]
                axes.plot(*starts.means(start, reading), color=colour, linestyle=DASHES[k], marker="", zorder=1)
                axes.plot(
                    [row["ratio"] for row in own_rows], [row["alpha"] for row in own_rows], MARKERS[k], color=colour,
                    markerfacecolor="none", linestyle="none",
                )  # fmt: skip
                axes.plot([], [], color=colour, linestyle=DASHES[k], marker=MARKERS[k], label=reading, mfc="none")
            axes.axhline(2, color=palette.muted, linewidth=1)
            axes.set(xscale="log", xlabel="learning rate over batch size, η/b", title=start)
            axes.title.set_fontsize(10.5)
        grid[0][0].set(ylabel="mean α̂ over layers")
        handles = grid[0][0].get_legend_handles_labels()
        figure.legend(*handles, fontsize=9, ncols=4, loc="outside upper center")
        return figure

    def fall(reading: str) -> str:
        ends = {start: starts.ends(start, reading) for start in starts.starts}
        return " and ".join(f"from {first:.2f} to {last:.2f} ({start})" for start, (first, last) in ends.items())

    fits = " and ".join(f"{starts.fitted(start)}" for start in starts.starts)
    caption = (
        f"From the smallest η/b to the largest the authors' program goes {fall(PROGRAM)}. Single weights in random "
        f"order, which have no more than their common law, go {fall(SHUFFLED)}. Markers are networks, lines their "
        f"means, the level line is the Gaussian value 2; {fits} of {starts.trainings} networks end with a training "
        "accuracy of 100%."
    )
    alt = (
        "Mean estimated tail index against the ratio of learning rate to batch size, logarithmic, one panel for each "
        "kind of initial weights, with a line for each of four ways of reading it and a level line at 2."
    )
    return Drawing(draw, tabulated(starts.rows), "starts", alt, caption)


def findings(starts: Starts) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    starts : Starts
        The readings of networks from two starts.
    """
    one, other = starts.starts
    last = {reading: {start: starts.ends(start, reading)[1] for start in (one, other)} for reading in starts.names}
    program, stored, mixed = (last[reading] for reading in (PROGRAM, IN_ORDER, SHUFFLED))
    lower, higher = sorted((one, other), key=lambda start: program[start])
    law = "nearer to 2" if mixed[lower] > stored[lower] else "no nearer to 2"
    return (
        f"The same training is read as another tail index where it starts from other weights: at the largest η/b the "
        f"authors' program answers {program[lower]:.2f} for the start {lower}, and {program[higher]:.2f} for {higher}.",
        f"Of the former, single weights are read at {stored[lower]:.2f} in the order in which they stand, and at "
        f"{mixed[lower]:.2f}, {law}, in random order, where their law is all that is left; the program answers "
        f"{last[NOT_CENTRED][lower]:.2f} where no mean is subtracted.",
        f"These are networks on small digits, of which {starts.fitted(one) + starts.fitted(other)} of "
        f"{2 * starts.trainings} fit every training image at the end; where the paper's networks start is not known.",
    )
