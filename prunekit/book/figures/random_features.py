"""The figures of the page on random features: Figures 2 and 4 of chang, how good the prediction is, other targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prunekit._checks import Floats
from prunekit.book import verdicts
from prunekit.book.plotting import Drawing, Palette, columns, compare, legend
from prunekit.statistics import deviation_bound, mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, Floats]
CHANCE = 4.0  # E y², the risk of predicting 0
PERFECT = 0.01  # the gap that a prediction called perfect leaves room for, as a share of it
CLOSE = 0.1  # the largest gap, as a share of the prediction, that a reader of a printed figure does not see
FITS = {"dense": "dense", "fresh": "fresh retraining", "given support": "fixed support"}


@dataclass(frozen=True)
class Layers:
    """Risks of networks with random first layers against the number of features p, in units of y².

    Attributes
    ----------
    inputs, n : int
        Dimension of the inputs, and number of samples.
    kept : mapping of str to int
        Numbers of features kept, by label; further curves stand for the last of them.
    widths : (m,) array
        Numbers of features p, increasing, none of them n.
    repetitions : int
        Number of data sets for each layer, over which risks are averaged.
    risks : mapping of str to mapping of str to (layers, m) array
        Risks by kind ("law", "ReLU", "Gaussian") and by curve, as `prunekit.linear.refits` names them.
    """

    inputs: int
    n: int
    kept: Mapping[str, int]
    widths: NDArray[Any]
    repetitions: int
    risks: Mapping[str, Curves]

    @property
    def law(self) -> Curves:
        """The predicted risks."""
        return self.risks["law"]

    @property
    def real(self) -> Curves:
        """The measured risks with ReLU features."""
        return self.risks["ReLU"]

    @property
    def layers(self) -> int:
        """Number of first layers drawn."""
        return len(self.law["dense"])

    @property
    def below(self) -> NDArray[np.bool_]:
        """Which widths have fewer features than samples."""
        return np.asarray(self.widths < self.n)

    @property
    def wide(self) -> NDArray[np.bool_]:
        """At which widths pruning drops something, however many features are kept."""
        return np.asarray(self.widths > max(self.kept.values()))

    @property
    def top(self) -> int:
        """Position of the width just below n."""
        return int(np.flatnonzero(self.below)[-1])

    @property
    def sizes(self) -> str:
        """What a caption says of the setting."""
        return f"d = {self.inputs}, n = {self.n}; {self.layers} realizations of R, {self.repetitions} data sets each"

    def gaps(self, curves: Sequence[str]) -> Floats:
        """Return measured minus predicted risk, a column for each curve and width."""
        return np.hstack([self.real[curve] - self.law[curve] for curve in curves])

    def shares(self, curves: Sequence[str]) -> tuple[Floats, Floats]:
        """Return the gap as a share of the predicted risk at each curve and width, and what chance adds to it."""
        risk = np.hstack([self.law[curve].mean(axis=0) for curve in curves])
        mean, error = mean_and_error(self.gaps(curves))
        return np.abs(mean) / risk, deviation_bound(risk.size, self.layers) * error / risk

    def side_gaps(self, curves: Sequence[str]) -> Floats:
        """Return the gap over the mean prediction, averaged over the widths on either side of n, (layers, 2 curves)."""
        rows = [(self.real[curve] - self.law[curve]) / self.law[curve].mean(axis=0) for curve in curves]
        return np.column_stack([x[:, side].mean(axis=1) for x in rows for side in (self.below, ~self.below)])

    def legs(self, curve: str) -> tuple[Floats, Floats, Floats]:
        """Return what makes two descents: falls and the rise between them, over the mean of the lower risk.

        Each leg has a column for each width at which it may end, (layers, widths): from the first width down to some
        other p < n, up to the width just below n from some smaller one, and down from there to some larger one.
        """
        risk, top = self.real[curve], self.top
        peak, lows = risk[:, [top]], (risk[:, 1 : top + 1], risk[:, :top], risk[:, top + 1 :])
        first, rise, second = (
            (high - low) / low.mean(axis=0) for high, low in zip((risk[:, :1], peak, peak), lows, strict=True)
        )
        return first, rise, second

    def lead_of_largest(self, curve: str) -> Floats:
        """Return the lead of the largest width over each below n, over the latter's mean risk, (layers, below)."""
        risk = self.real[curve]
        return np.asarray((risk[:, self.below] - risk[:, [-1]]) / risk[:, self.below].mean(axis=0))

    def ratios(self, kind: str) -> dict[str, Floats]:
        """Return true over predicted risk by fit, (layers, m); the law of a fixed support is exact for Gaussians."""
        rows = self.risks[kind]
        predicted = {"dense": self.law["dense"], "fresh": self.law["fresh"], "given support": rows["given support"]}
        measured = {"dense": rows["dense"], "fresh": rows["fresh"], "given support": rows["fresh"]}
        return {name: measured[key] / predicted[key] for key, name in FITS.items()}

    def mean_ratios(self, kind: str) -> dict[str, tuple[float, float]]:
        """Return by fit the mean of `ratios` over all widths at which pruning drops something, and its error."""
        ratios = {fit: mean_and_error(x[:, self.wide].mean(axis=1)) for fit, x in self.ratios(kind).items()}
        return {fit: (float(mean), float(error)) for fit, (mean, error) in ratios.items()}


def stacked(rows: Sequence[Mapping[str, Sequence[Sequence[Mapping[str, float]]]]]) -> dict[str, dict[str, Floats]]:
    """Return risks by kind and curve, (layers, widths), from those of single layers, averaged over data sets.

    Parameters
    ----------
    rows : sequence of mappings
        For each layer and kind, the risks of each data set, at each width, by curve.
    """
    risks: dict[str, dict[str, Floats]] = {}
    for kind, sets in rows[0].items():
        risks[kind] = {
            curve: np.array([[[at[curve] for at in each] for each in row[kind]] for row in rows]).mean(axis=1)
            for curve in sets[0][0]
        }
    return risks


def figure_2(nets: Layers) -> Drawing:
    """Return Figure 2 of chang: dense and retrained risks against the number of features.

    Parameters
    ----------
    nets : Layers
        What was predicted and measured.
    """
    names = {"dense": "dense"} | {label: f"{label} = {s}" for label, s in nets.kept.items()}
    means = {label: nets.real[label].mean(axis=0) for label in nets.kept}
    said = "; ".join(f"{mean[-1]:.3f} against {mean[nets.below].min():.3f} ({names[c]})" for c, mean in means.items())
    wins = [mean[-1] < mean[nets.below].min() for mean in means.values()]
    where = "At every" if all(wins) else "Not at every" if any(wins) else "At no"
    caption = (
        f"{where} number of ReLU features kept the risk after retraining is lower when they are chosen from p = "
        f"{nets.widths[-1]} than from any p < n: {said}. Lines: prediction; markers: measured ({nets.sizes})."
    )
    alt = (
        "Risk against the number of features on logarithmic axes. Dense and retrained risks fall, rise towards p = n "
        "and fall again; the peak is sharpest for the dense fit. Far beyond n the dense risk is lowest, and risks fall "
        "with the number of features kept. Markers lie on or a little above most lines, for 4s well above."
    )
    return _risks(nets, "fig-2", names, alt, caption)


def figure_4(nets: Layers) -> Drawing:
    """Return Figure 4 of chang: pruned only, retrained on the same and on fresh samples, at the last number kept.

    Parameters
    ----------
    nets : Layers
        What was predicted and measured.
    """
    label, s = list(nets.kept.items())[-1]
    width = nets.widths[nets.top]
    same, fresh, alone = (nets.real[curve].mean(axis=0) for curve in (label, "fresh", "pruned"))
    predicted = nets.law["fresh"].mean(axis=0)[nets.top]
    factor = (alone / same)[nets.wide]
    excess = {name: x[nets.top] / predicted - 1 for name, x in (("fresh", fresh), ("the same", same))}
    caption = (
        f"Pruned to {label} = {s} features. Just below n, at p = {width}, the risk after retraining on the same "
        f"samples is {excess['the same']:+.0%} off the prediction ({same[nets.top]:.3f} against {predicted:.3f}), on "
        f"fresh samples {excess['fresh']:+.0%} ({fresh[nets.top]:.3f}). Without retraining the risk is "
        f"{factor.min():.1f} to {factor.max():.1f} times that with it (p > {s})."
    )
    alt = (
        "Risk against the number of features on logarithmic axes, for the dense fit, after pruning to 4s features, and "
        "after retraining on fresh or the same samples. Pruning alone is far above the rest around p = n and beyond. "
        "Retraining on the same samples is above fresh retraining around p = n."
    )
    names = {"dense": "dense", "pruned": "pruned only", "fresh": "retrained, fresh", label: "retrained, same"}
    return _risks(nets, "fig-4", names, alt, caption, unpredicted=(label,))


def _risks(
    nets: Layers, name: str, names: Mapping[str, str], alt: str, caption: str, unpredicted: Sequence[str] = ()
) -> Drawing:
    """Return a figure of risks against p: the law as lines, measurements as markers."""
    lines = {
        label: (nets.widths, nets.law[curve].mean(axis=0)) for curve, label in names.items() if curve not in unpredicted
    }
    points = {label: (nets.widths, *mean_and_error(nets.real[curve])) for curve, label in names.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.6))
        compare(axes, palette, lines, points, gap_at=nets.n)
        axes.axvline(nets.n, color=palette.muted, linewidth=1, linestyle=":")
        axes.axhline(CHANCE, color=palette.muted, linewidth=1, linestyle="--")
        words: dict[str, Any] = {"color": palette.muted, "ha": "right", "va": "bottom", "fontsize": 9}
        axes.text(nets.widths[-1], CHANCE, "risk of predicting 0", **words)
        _width_axis(axes, nets.n, nets.widths)
        axes.set(yscale="log", ylabel="population risk, units of y²")
        values = [x for x in (0.2, 0.5, 1, 2, 4, 8, 16, 32) if x < axes.get_ylim()[1]]
        axes.set_yticks(values, [f"{x:g}" for x in values])
        axes.set_yticks([], minor=True)
        legend(figure, axes, ncols=4)
        return figure

    return Drawing(draw, columns("p", "risk", lines, points), name, alt, caption)


def _width_axis(axes: Axes, n: int, widths: NDArray[Any]) -> None:
    """Put the number of features on a logarithmic axis with round ticks."""
    ticks = [x for x in (20, 50, 100, 200, 400, 800) if widths[0] <= x <= widths[-1]]
    axes.set(xscale="log", xlabel=f"features p (dotted: n = {n})")
    axes.set_xticks(ticks, [str(x) for x in ticks])
    axes.set_xticks([], minor=True)


def ratio(nets: Layers) -> Drawing:
    """Return a figure of true over predicted risk, a panel for each kind of features.

    Parameters
    ----------
    nets : Layers
        What was predicted and measured.
    """
    widths = nets.widths[nets.wide]
    kinds = [kind for kind in nets.risks if kind != "law"]
    points = {
        kind: {fit: (widths, *mean_and_error(x[:, nets.wide])) for fit, x in nets.ratios(kind).items()}
        for kind in kinds
    }
    every = {f"{kind}, {fit}": xye for kind, rows in points.items() for fit, xye in rows.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, len(kinds), figsize=(7.6, 3.8), sharey=True)
        for axes, (kind, rows) in zip(panels, points.items(), strict=True):
            compare(axes, palette, {}, rows)
            axes.axhline(1, color=palette.muted, linewidth=1, linestyle="--")
            axes.axvline(nets.n, color=palette.muted, linewidth=1, linestyle=":")
            axes.set_title(f"{kind} features")
            _width_axis(axes, nets.n, widths)
        panels[0].set_ylabel("true / predicted risk")
        legend(figure, panels[0], ncols=3)
        return figure

    def words(kind: str) -> str:
        rows = nets.mean_ratios(kind).items()
        return ", ".join(f"{mean:.3f} ± {error:.3f} ({fit})" for fit, (mean, error) in rows)

    caption = (
        f"Mean of true over predicted risk, all p > {max(nets.kept.values())}. "
        + " ".join(f"{kind} features: {words(kind)}." for kind in kinds)
        + " The Gaussian ones have the covariance of the others, and the equivalent problem's labels."
    )
    alt = (
        "True over predicted risk against p, in two panels. For ReLU features ratios lie above 1 at most widths; for "
        "Gaussian features of the same covariance they scatter about 1. Error bars of the dense fit are widest next to "
        "p = n."
    )
    return Drawing(draw, columns("p", "ratio", {}, every), "ratio", alt, caption)


def variants(nets: Layers, curve: str, others: Mapping[str, Layers]) -> Drawing:
    """Return a figure of one retrained risk for other targets and inputs than those of Figure 2.

    Parameters
    ----------
    nets : Layers
        The setting of Figure 2.
    curve : str
        The curve to draw, which says how many features are kept.
    others : mapping of str to Layers
        The other settings by name.
    """
    every = {"as in Figure 2": nets} | dict(others)
    lines = {name: (each.widths, each.law[curve].mean(axis=0)) for name, each in every.items()}
    points = {name: (each.widths, *mean_and_error(each.real[curve])) for name, each in every.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.2))
        compare(axes, palette, lines, points, gap_at=nets.n)
        axes.axvline(nets.n, color=palette.muted, linewidth=1, linestyle=":")
        _width_axis(axes, nets.n, nets.widths)
        axes.set(ylabel="population risk, units of y²", ylim=(0, None))
        legend(figure, axes, ncols=4)
        return figure

    peaks = {name: at_peak(each, curve) for name, each in every.items()}
    few = {each.layers for each in others.values()}
    caption = (
        f"Pruned to {curve} = {nets.kept[curve]} and retrained on the same samples ({', '.join(map(str, few))} "
        f"realizations for each variant). Risk at p = {nets.widths[-1]} relative to the lowest at p < n: "
        + "; ".join(f"{large_over_small(each, curve):.2f} ({name})" for name, each in every.items())
        + ". Just below n, relative to the same: "
        + "; ".join(f"{value:.2f} ({name})" for name, value in peaks.items())
        + "."
    )
    alt = (
        "Risk after pruning to 2s features and retraining against p, for free, orthogonal and equal target directions "
        "and for inputs of three times the dimension. The curves for the angles lie close together, that for the "
        "larger dimension lies above them."
    )
    return Drawing(draw, columns("p", "risk", lines, points), "variants", alt, caption)


def large_over_small(nets: Layers, curve: str) -> float:
    """Return the measured mean risk at the largest width over the lowest at p < n."""
    mean = nets.real[curve].mean(axis=0)
    return float(mean[-1] / mean[nets.below].min())


def at_peak(nets: Layers, curve: str) -> float:
    """Return the measured mean risk just below n over the lowest at p < n."""
    mean = nets.real[curve].mean(axis=0)
    return float(mean[nets.top] / mean[nets.below].min())


def findings(nets: Layers) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    nets : Layers
        What was predicted and measured.
    """
    few = list(nets.kept)[:-1]
    share, slack = nets.shares(["dense", *few])
    follows = bool(np.all(share - slack <= CLOSE))
    law = "predicts" if follows else "does not predict"
    chance = ", of which chance may explain what exceeds a tenth" if follows and share.max() > CLOSE else ""
    means = [nets.real[label].mean(axis=0) for label in nets.kept]
    lower = "is lower" if all(x[-1] < x[nets.below].min() for x in means) else "is not always lower"
    twice = "have" if all(_twice(nets, curve) for curve in ("dense", *nets.kept)) else "do not all have"
    (real, error), (control, its_error) = (nets.mean_ratios(kind)["fresh retraining"] for kind in ("ReLU", "Gaussian"))
    half = verdicts.quantile(nets.layers) * error
    if real - 1 + half <= PERFECT:
        perfect = "perfect, to a hundredth, as the paper says"
    else:
        perfect = "not perfect, other than the paper says" if real - 1 - half > PERFECT else "perfect or nearly so"
    numbers = " or ".join(str(nets.kept[label]) for label in few)
    return (
        f"Within a tenth, a linear Gaussian problem with the same second moments {law} the risk of a network whose "
        f"first layer is random, dense or retrained with {numbers} features: the gap is "
        f"{np.median(share):.1%} of the prediction in the median of {share.size} risks and {share.max():.0%} at "
        f"most{chance}.",
        f"Dense and retrained risks {twice} two descents, and at each number of features kept the mean risk {lower} "
        f"when they are chosen from {nets.widths[-1]} than from any number below the {nets.n} samples.",
        f"For retraining on fresh samples the prediction is {perfect}: risks are {real - 1:+.1%} ± {error:.1%} off it "
        f"with ReLU features, and {control - 1:+.1%} ± {its_error:.1%} with Gaussian features of the same covariance.",
    )


def _twice(nets: Layers, curve: str) -> bool:
    """Tell whether a mean risk falls, rises towards n, and falls again beyond."""
    mean, top = nets.real[curve].mean(axis=0), nets.top
    return bool(mean[: top + 1].min() < min(mean[0], mean[top]) and mean[top + 1 :].min() < mean[top])
