"""The figures of the page on the Gaussian min-max theorem: tails of two minima, and the objective that breaks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import Drawing, Palette
from prunekit.book.verdicts import quantile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES = ("lower", "upper")
RARE = 0.02  # a ratio of tails is not formed where the tail of φ is smaller than this


@dataclass(frozen=True)
class Tails:
    """Both tails of the minimum Φ with a matrix and of the minimum φ with two vectors, as shares of draws.

    Attributes
    ----------
    t : (m,) array
        Thresholds.
    primary : mapping of side to (m,) array
        Shares of Φ < t (lower) and Φ > t (upper).
    auxiliary : mapping of side to (m,) array
        Shares of φ ≤ t and φ ≥ t.
    count : int
        The number of draws of each minimum.
    """

    t: Floats
    primary: Mapping[str, Floats]
    auxiliary: Mapping[str, Floats]
    count: int

    @classmethod
    def of(cls, Phi: Floats, phi: Floats, *, levels: Floats) -> Tails:
        """Return the tails at quantiles of the finite draws of both together.

        Parameters
        ----------
        Phi, phi : (N,) arrays
            Draws of both minima; φ may be infinite.
        levels : (m,) array
            Levels of the quantiles.
        """
        return cls.at(np.quantile(np.concatenate([Phi, phi[np.isfinite(phi)]]), levels), Phi, phi)

    @classmethod
    def at(cls, t: Floats, Phi: Floats, phi: Floats) -> Tails:
        """Return the tails at thresholds.

        Parameters
        ----------
        t : (m,) array
            Thresholds.
        Phi, phi : (N,) arrays
            Draws of both minima.
        """
        column = t[:, None]
        primary = {"lower": np.mean(column > Phi, axis=1), "upper": np.mean(column < Phi, axis=1)}
        auxiliary = {"lower": np.mean(column >= phi, axis=1), "upper": np.mean(column <= phi, axis=1)}
        return cls(t, primary, auxiliary, Phi.size)

    def gap(self, side: str) -> float:
        """Return the largest P - 2Q, P being the tail of Φ and Q that of φ."""
        return float(np.max(self.primary[side] - 2 * self.auxiliary[side]))

    def excess(self, side: str) -> float:
        """Return the largest P - 2Q in its standard errors, which come from two binomial shares."""
        P, Q = self.primary[side], self.auxiliary[side]
        error = np.sqrt((P * (1 - P) + 4 * Q * (1 - Q)) / self.count)
        return float(np.max((P - 2 * Q) / np.maximum(error, 1 / self.count)))

    def worst(self, side: str) -> dict[str, float]:
        """Return P - 2Q and its error at the threshold where its interval reaches highest."""
        P, Q = self.primary[side], self.auxiliary[side]
        gap, error = P - 2 * Q, np.sqrt((P * (1 - P) + 4 * Q * (1 - Q)) / self.count)
        place = int(np.argmax(gap + quantile(None) * error))
        return {"measured": float(gap[place]), "error": float(error[place])}

    def factor(self, side: str) -> float:
        """Return the largest ratio P/Q among those where Q is at least `RARE`, or 0 if it is nowhere."""
        P, Q = self.primary[side], self.auxiliary[side]
        seen = Q >= RARE
        return float(np.max(P[seen] / Q[seen], initial=0.0))


def worst(tails: Iterable[Tails], side: str) -> dict[str, float]:
    """Return the worst of several problems' P - 2Q and its error, as `prunekit.check` takes them."""
    each = [one.worst(side) for one in tails]
    return max(each, key=lambda found: found["measured"] + quantile(None) * found["error"])


def both_tails(tails: Mapping[str, Tails], draws: int, sparse_draws: int) -> Drawing:
    """Return a figure of the tails of both minima, a column of panels for each problem.

    Parameters
    ----------
    tails : mapping of str to Tails
        The tails of each problem, by its name.
    draws, sparse_draws : int
        Numbers of draws for the convex problems and for the sparse one.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        size = (max(2.0 * len(tails), 5.0), 5.2)
        figure, grid = plt.subplots(2, len(tails), figsize=size, sharex="col", sharey=True, squeeze=False)
        one, two = palette.series[:2]
        for column, (label, each) in zip(grid.T, tails.items(), strict=True):
            for side, axes in zip(SIDES, column, strict=True):
                Q = each.auxiliary[side]
                axes.plot(each.t, 2 * Q, "--", color=two, label="two vectors (φ), twice")
                axes.plot(each.t, Q, ":", color=two, label="two vectors (φ)")
                words: dict[str, Any] = {"markersize": 4, "markerfacecolor": "none", "label": "matrix (Φ)"}
                axes.plot(each.t, each.primary[side], "o", color=one, **words)
                axes.set(ylim=(0, 1.03))
            column[0].set_title(label.replace(", n", ",\nn"), fontsize=10)
            column[1].set(xlabel="threshold t")
        grid[0, 0].set(ylabel="share of minima below t")
        grid[1, 0].set(ylabel="share of minima above t")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
        return figure

    header = ("problem", "t", "Phi_below", "phi_below", "Phi_above", "phi_above")
    numbers = dict(zip(header, map(list, zip(*_rows(tails), strict=True)), strict=True))
    low, high = (max(each.factor(side) for each in tails.values()) for side in SIDES)
    caption = (
        "Where the theorem allows twice the tail of the problem with two vectors (dashed), the matrix problem takes at "
        f"most {low:.2f} times its lower and {high:.2f} times its upper tail ({draws} draws of each minimum, "
        f"{sparse_draws} in the sparse problem)."
    )
    alt = (
        "Two rows of panels, one column for each problem: lower tails above, upper tails below, against the threshold. "
        "Markers for the matrix problem, a dotted line for the problem with two vectors and a dashed line for twice "
        "its probability."
    )
    return Drawing(draw, numbers, "tails", alt, caption)


def _rows(tails: Mapping[str, Tails]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each threshold: problem, threshold, lower tails of Φ and φ, upper tails of Φ and φ."""
    for label, each in tails.items():
        pairs = [shares for side in SIDES for shares in (each.primary[side], each.auxiliary[side])]
        for row in zip(each.t, *pairs, strict=True):
            yield (label, *row)


def against_points(tails: Mapping[int, Tails], broken: Sequence[int]) -> Drawing:
    """Return a figure of how far the second inequality is exceeded, against the number of points on the circle.

    Parameters
    ----------
    tails : mapping of int to Tails
        The tails for each number of points.
    broken : sequence of int
        The numbers of points at which the excess is beyond chance.
    """
    counts = list(tails)
    height = [each.gap("upper") for each in tails.values()]

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 3.4))
        axes.plot(counts, height, "o-", color=palette.series[0])
        axes.axhline(0, color=palette.muted, linewidth=1)
        axes.set(xscale="log", xlabel="number of points m on the circle")
        axes.set(ylabel="largest P(Φ > t) - 2 P(φ ≥ t)")
        axes.set_xticks(counts, [str(m) for m in counts])
        axes.minorticks_off()
        return figure

    numbers: dict[str, list[Any]] = {
        "points": counts,
        "largest_excess": height,
        "in_standard_errors": [each.excess("upper") for each in tails.values()],
    }
    thresholds = next(iter(tails.values())).t.size
    fails = f"for m = {', '.join(map(str, broken))}" if broken else "for no m shown"
    caption = (
        f"Distance to the nearest of m points in the plane: the second inequality fails {fails}, by more than chance "
        f"allows. The excess, largest over {thresholds} thresholds, is {height[0]:.2f} at m = {counts[0]} and "
        f"{height[-1]:.2f} at m = {counts[-1]}."
    )
    alt = (
        "Largest excess over the second inequality against the number of points on the circle, on a logarithmic axis; "
        "a line at 0, above which it is violated."
    )
    return Drawing(draw, numbers, "points", alt, caption)


def findings(tails: Mapping[str, Tails], sparse: str) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    tails : mapping of str to Tails
        The tails of each problem, by its name.
    sparse : str
        The problem whose set is not convex.
    """
    convex = [each for label, each in tails.items() if label != sparse]
    low = max(each.factor("lower") for each in tails.values())
    high = max(each.factor("upper") for each in convex)
    beyond = tails[sparse].factor("upper")
    most = max(low, high)
    limit = "the theorem allows 2" if most <= 2 else "more than the 2 that the theorem allows"
    return (
        f"Tails of the least norm of an exact fit are at most {most:.2f} times as large as in the problem with two "
        f"random vectors; {limit}.",
        f"The largest ratio is {low:.2f} for lower tails, fits with few nonzeros among them, and {high:.2f} for upper "
        "tails.",
        "Fits with few nonzeros form no convex set, so the theorem says nothing about their upper tails; the largest "
        f"ratio measured there is {beyond:.2f}.",
    )
