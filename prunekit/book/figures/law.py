"""The figures of the page on the law of the minimum-norm solution: convergence, pruned risk, one large coefficient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import Drawing, Palette, columns, compare, joined, legend
from prunekit.statistics import deviation_bound, largest_deviation, mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = ("energy distance", "moment distance")
TICKS = (0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1)
RATE = -0.5


@dataclass(frozen=True)
class Convergence:
    """Distances of lists from the law, by κ; the first axis of each is (energy, moments).

    Attributes
    ----------
    sizes
        Numbers of features p, (sizes,).
    fits, own
        Distances of fitted lists and of draws from the law itself, (2, repetitions, sizes).
    slopes
        Slope of log distance in log p for each repetition, (repetitions, 2).
    """

    sizes: np.ndarray[Any, Any]
    fits: Mapping[float, Floats]
    own: Mapping[float, Floats]
    slopes: Mapping[float, Floats]

    @property
    def repetitions(self) -> int:
        """Number of chains of fits."""
        return int(next(iter(self.slopes.values())).shape[0])

    def slope(self, kappa: float) -> list[tuple[float, float]]:
        """Return the mean slope and its standard error, of the energy and of the moment distance."""
        means, errors = mean_and_error(self.slopes[kappa])
        return [(float(mean), float(error)) for mean, error in zip(means, errors, strict=True)]

    def ratio(self, kappa: float) -> Floats:
        """Return the root-mean-square distances of fits over those of the law's own draws, (2,)."""
        squares = [np.mean(values[kappa] ** 2, axis=(1, 2)) for values in (self.fits, self.own)]
        return np.asarray(np.sqrt(squares[0] / squares[1]))


def convergence(gaps: Convergence) -> Drawing:
    """Return a figure of both distances against the number of features.

    Parameters
    ----------
    gaps : Convergence
        What was measured.
    """
    root = np.sqrt(gaps.sizes)
    lines = [{f"κ = {k:g}": (gaps.sizes, np.mean(own[i] * root) / root) for k, own in gaps.own.items()} for i in (0, 1)]
    points = [{f"κ = {k:g}": (gaps.sizes, *mean_and_error(fits[i])) for k, fits in gaps.fits.items()} for i in (0, 1)]

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.6, 3.8))
        for i, axes in enumerate(both):
            compare(axes, palette, lines[i], points[i])
            axes.set(xscale="log", yscale="log", xlabel="features p", ylabel=f"{NAMES[i]} to the law")
            axes.set_xticks(gaps.sizes, [str(p) for p in gaps.sizes], minor=False)
            axes.minorticks_off()
            low, high = axes.get_ylim()
            ticks = [t for t in TICKS if low < t < high]
            axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
        legend(figure, both[0], ncols=len(lines[0]), title="markers: fits; lines: independent draws from the law")
        return figure

    def words(k: float) -> str:
        said = " and ".join(f"{mean:.2f} ± {error:.2f}" for mean, error in gaps.slope(k))
        return f"{said} for κ = {k:g}".replace("-", "−")

    caption = (
        f"Fits (markers: means of {gaps.repetitions}) come closer to the law as the problem grows, beside independent "
        "draws from the law (lines, of slope −1/2). Slopes of the markers for the energy and the moment distance: "
        f"{'; '.join(map(words, gaps.fits))}."
    )
    alt = (
        "Two panels with logarithmic axes: energy distance and moment distance against the number of features, for "
        "each κ. Markers for fitted coefficients and lines for independent draws from the law run down side by side."
    )
    tables = {name: columns("p", "distance", lines[i], points[i]) for i, name in enumerate(NAMES)}
    return Drawing(draw, joined(tables, "distance_kind"), "convergence", alt, caption)


def findings(gaps: Convergence) -> tuple[str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    gaps : Convergence
        What was measured.
    """
    means, errors = mean_and_error(np.hstack([*gaps.slopes.values()]))
    chance = deviation_bound(means.size, gaps.repetitions)
    falls = "falls as" if np.all(np.abs(means - RATE) <= chance * errors) else "does not fall as"
    ratios = np.concatenate([gaps.ratio(k) for k in gaps.fits])
    return (
        f"As a problem grows, the distance between its fitted coefficients and the law of Theorem 1 {falls} 1/√p "
        f"(slopes from {means.min():.2f} to {means.max():.2f}, where 1/√p is −0.50).".replace("-", "−"),
        f"A fit is {ratios.min():.2f} to {ratios.max():.2f} times as far from the law as equally many independent "
        "draws from the law itself.",
    )


def pruned_risk(
    fine: Floats,
    curves: Mapping[float, Floats],
    shares: Floats,
    measured: Mapping[float, Floats],
    deviations: Mapping[float, float],
    p: int,
) -> Drawing:
    """Return a figure of the risk after magnitude pruning against the share of coefficients kept.

    Parameters
    ----------
    fine, curves
        Shares, increasing to 1, and for each κ the limit of the risk there.
    shares, measured
        Shares, and for each κ the risks measured there, (repetitions, shares).
    deviations
        The largest gap for each κ, in standard errors.
    p : int
        Number of features of the fits.
    """
    predicted = {f"κ = {k:g}": (fine, curve) for k, curve in curves.items()}
    points = {f"κ = {k:g}": (shares, *mean_and_error(risks)) for k, risks in measured.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 3.8))
        compare(axes, palette, predicted, points)
        axes.set(xlabel="share of coefficients kept, s/p", xlim=(0, 1.02), ylabel="population risk, units of y²")
        legend(figure, axes, ncols=len(predicted), title="lines: limit; markers: measured")
        return figure

    def best(k: float) -> str:
        share, least = fine[np.argmin(curves[k])], np.min(curves[k])
        return f"{share:.2f} for κ = {k:g} ({least:.3f}; dense {curves[k][-1]:.3f})"

    repetitions = len(next(iter(measured.values())))
    caption = (
        f"The limit of Corollary 1 predicts the pruned risk to within {max(deviations.values()):.1f} standard errors "
        f"(p = {p}, {repetitions} repetitions). It is lowest where the share kept is {', '.join(map(best, curves))}."
    )
    alt = (
        "Risk after magnitude pruning against the share of coefficients kept, one curve for each κ. Markers of the "
        "measured risk follow the curves."
    )
    return Drawing(draw, columns("share_kept", "risk", predicted, points), "pruned-risk", alt, caption)


@dataclass(frozen=True)
class Coordinate:
    """Variance of the estimate of one coefficient over the law's, by the share of the signal that it carries.

    Attributes
    ----------
    variances
        Variances of the feature, one for each row of the arrays below.
    fine, factors
        Shares, and the correction there, (variances, shares).
    shares
        Shares at which the variance was measured.
    ratios, corrected
        By number of features p: squared deviations over the law's variance, (draws, variances, shares), and the
        correction, (variances, shares).
    drift : float
        Largest difference of a mean from the law's, as a share of its largest value.
    """

    variances: Sequence[float]
    fine: Floats
    factors: Floats
    shares: Floats
    ratios: Mapping[int, Floats]
    corrected: Mapping[int, Floats]
    drift: float

    @property
    def off(self) -> tuple[float, float]:
        """Largest gap of a measured variance from the law's and from the corrected one, in standard errors."""
        plain = max(largest_deviation(ratio, 1.0) for ratio in self.ratios.values())
        return plain, max(largest_deviation(ratio, self.corrected[p]) for p, ratio in self.ratios.items())

    def reaches(self, row: int, level: float = 1.1) -> str:
        """Say from which share on the law's variance is too small by a tenth."""
        above = np.flatnonzero(self.factors[row] >= level)
        where = f"from a share of {self.fine[above[0]]:.2f}" if above.size else "at no share"
        return f"{where} at variance {self.variances[row]:g}"


def one_coordinate(coordinate: Coordinate) -> Drawing:
    """Return a figure of the variance of one estimate over the law's, for each size.

    Parameters
    ----------
    coordinate : Coordinate
        What was predicted and measured.
    """
    labels = [f"variance {variance:g}" for variance in coordinate.variances]
    predicted = {label: (coordinate.fine, factor) for label, factor in zip(labels, coordinate.factors, strict=True)}
    points = {}
    for p, ratio in coordinate.ratios.items():
        rows = zip(labels, *mean_and_error(ratio), strict=True)
        points[p] = {label: (coordinate.shares, mean, error) for label, mean, error in rows}

    def panel(axes: Axes, palette: Palette, p: int) -> None:
        compare(axes, palette, predicted, points[p])
        axes.axhline(1, color=palette.muted, linewidth=1, linestyle=":")
        axes.set(xlabel="share of the signal in coordinate i", title=f"p = {p}")

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, len(points), figsize=(7.6, 3.6), sharey=True)
        for axes, p in zip(panels, points, strict=True):
            panel(axes, palette, p)
        panels[0].set(ylabel="variance / the law's variance")
        legend(figure, panels[0], ncols=len(labels), title="lines: our correction; markers: measured")
        return figure

    plain, off = coordinate.off
    draws = len(next(iter(coordinate.ratios.values())))
    caption = (
        f"One large coefficient varies more than the law says, and as our correction says ({draws} draws). "
        f"The corrected variance exceeds the law's by a tenth "
        f"{', '.join(map(coordinate.reaches, range(len(labels))))}. "
        f"The measured variance is up to {plain:.1f} standard errors from the law, {off:.1f} from the correction. "
        f"The mean is off by at most {100 * coordinate.drift:.1f} percent of its largest value."
    )
    alt = (
        "Variance of the estimate of one coefficient divided by the law's variance, against the share of the signal "
        "that it carries, in a panel for each size. The curves start near 1 and rise, most for the smallest variance; "
        "markers follow the same curves in all panels."
    )
    tables = {p: columns("signal_share", "variance_ratio", predicted, rows) for p, rows in points.items()}
    return Drawing(draw, joined(tables, "p"), "one-coordinate", alt, caption)
