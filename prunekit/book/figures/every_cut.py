"""The figures of the page on the threshold at every cut: iterative and random pruning, and rare gems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette
from prunekit.book.tables import pooled, tabulated
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prunekit.algorithms.thresholds import CutThreshold

Chain = Sequence["CutThreshold"]
EFFECTIVE = "effective seeds"


def at_first(values: Floats) -> dict[str, Any]:
    """Return the mean before the first cut, as `check` takes it.

    A network whose threshold is high before one cut has a high one before the next, so that later cuts would not tell
    more about the spread.

    Parameters
    ----------
    values : (seeds, cuts) array
        The error comes from the seeds before the first cut alone.
    """
    first = values[:, 0]
    mean, error = mean_and_error(first)
    return {"measured": float(mean), "error": float(error), "repetitions": len(first), "of": "seeds"}


def smallest_step(limits: Floats) -> dict[str, Any]:
    """Return the smallest mean step from one cut to the next, as `check` takes it.

    Parameters
    ----------
    limits : (seeds, cuts) array
        Thresholds; the error comes from the deviations of all seeds' steps within their cuts.
    """
    mean, error, repetitions = pooled(np.diff(limits, axis=1))
    return {"measured": float(mean.min()), "error": error, "repetitions": repetitions, "of": EFFECTIVE}


@dataclass(frozen=True)
class Iterative:
    """What is predicted at the cuts of iterative magnitude pruning.

    Attributes
    ----------
    chains : sequence of sequences of CutThreshold
        The cuts of each seed in their order; the share 1/2 and others are evaluated at each.
    ratio : float
        Share of the active weights that every cut keeps.
    """

    chains: Sequence[Chain]
    ratio: float

    @property
    def rounds(self) -> int:
        """Number of cuts."""
        return len(self.chains[0])

    @property
    def final(self) -> float:
        """Share of all weights that is kept in the end."""
        return self.ratio**self.rounds

    @property
    def limits(self) -> Floats:
        """Thresholds of the active weights, (seeds, cuts): the least share p with p ≥ T(p)."""
        return np.array([[cut.limit for cut in cuts] for cuts in self.chains])

    @property
    def margins(self) -> Floats:
        """Mean over the cuts of ratio less threshold, (seeds,)."""
        return np.array([np.mean([cut.margin for cut in cuts]) for cuts in self.chains])

    @property
    def blurred(self) -> str:
        """What has to be said where the quadrature does not resolve all thresholds; nothing where it does."""
        lost = sum(not cut.resolved for cuts in self.chains for cut in cuts)
        return f" ({lost} of {self.limits.size} thresholds not resolved)" if lost else ""

    def at_half(self, name: str) -> Floats:
        """Return T(0.5), (seeds, cuts), for the order "by_magnitude" or "at_random"."""
        middle = [np.abs(cut.shares - 0.5).argmin() for cut in self.chains[0]]
        rows = [[getattr(cut, name)[i] for cut, i in zip(cuts, middle, strict=True)] for cuts in self.chains]
        return np.array(rows)


@dataclass(frozen=True)
class Gems:
    """What is predicted at the cuts of rare gems, with and without ℓ2 on the scores.

    Attributes
    ----------
    searches : mapping of (float, int) to sequence of (accuracy, cuts)
        For each penalty and number of cuts, and each seed: the test accuracy after tuning, and the cuts in their order.
    keep : float
        Share of the weights that is kept in the end.
    """

    searches: Mapping[tuple[float, int], Sequence[tuple[float, Chain]]]
    keep: float

    @property
    def numbers_of_cuts(self) -> list[int]:
        """The numbers of cuts in which rare gems were searched for."""
        return list(dict.fromkeys(cuts for _, cuts in self.searches))

    @property
    def penalty(self) -> float:
        """The penalty that is not 0."""
        return max(decay for decay, _ in self.searches)

    def ratio(self, cuts: int) -> float:
        """Return the share of the active weights that each of so many cuts keeps."""
        return float(self.keep ** (1 / cuts))

    def margins(self, decay: float) -> Floats:
        """Return the mean over all cuts of ratio less threshold, (seeds,)."""
        chains = [[chain for _, chain in self.searches[decay, cuts]] for cuts in self.numbers_of_cuts]
        return np.array(
            [np.mean([cut.margin for chain in each for cut in chain]) for each in zip(*chains, strict=True)]
        )

    def margin(self, decay: float) -> dict[str, Any]:
        """Return the mean margin over all cuts and seeds, as `check` takes it, with the spread of seeds within cuts."""
        chains = [[chain for _, chain in self.searches[decay, cuts]] for cuts in self.numbers_of_cuts]
        cells = np.array([[cut.margin for chain in each for cut in chain] for each in zip(*chains, strict=True)])
        mean, error, repetitions = pooled(cells)
        own = error / np.sqrt(len(mean))
        return {"measured": float(mean.mean()), "error": own, "repetitions": repetitions, "of": EFFECTIVE}

    def accuracy(self, decay: float) -> float:
        """Return the mean test accuracy after tuning, in %."""
        return float(100 * np.mean([accuracy for c in self.numbers_of_cuts for accuracy, _ in self.searches[decay, c]]))

    def free(self, decay: float) -> float:
        """Return the share of the cuts that remove nothing which the network uses."""
        return float(np.mean([row["threshold"] < 1e-9 for row in self.rows if row["decay"] == decay]))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each cut."""
        return [
            {
                "decay": decay, "cuts": cuts, "seed": k, "cut": t, "active": cut.active, "ratio": cut.ratio,
                "threshold": cut.threshold, "limit": cut.limit, "epsilon": cut.epsilon, "rise": cut.rise,
            }
            for (decay, cuts), runs in self.searches.items()
            for k, (_, chain) in enumerate(runs)
            for t, cut in enumerate(chain, 1)
        ]  # fmt: skip


def iterative(pruning: Iterative) -> Drawing:
    """Return the top row of Figure 4 of geometric as one line: the threshold of the active weights at every cut.

    Parameters
    ----------
    pruning : Iterative
        What was predicted.
    """
    cuts, limits = np.arange(1, pruning.rounds + 1), pruning.limits
    mean, error = mean_and_error(limits)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6.8, 3.8))
        for each in limits:
            axes.plot(cuts, each, color=palette.muted, linewidth=0.7)
        style: dict[str, Any] = {"color": palette.series[0], "markerfacecolor": "none", "capsize": 2}
        axes.errorbar(cuts, mean, yerr=error, fmt="o", label="threshold of the active weights", **style)
        level = {"what every cut keeps": pruning.ratio, "what one cut to the end would keep": pruning.final}
        for k, (label, share) in enumerate(level.items(), 1):
            axes.axhline(share, color=palette.series[k], linestyle=DASHES[k], label=label)
        axes.set_xticks(cuts)
        axes.set(xlabel="cut", ylabel="share of the active weights", ylim=(0, 1))
        figure.legend(fontsize=9, ncols=2, loc="outside upper center")
        return figure

    way = "rises" if mean[-1] > mean[0] else "does not rise"
    once = "not supported" if mean[0] >= pruning.final else "supported"
    caption = (
        f"The threshold {way}, from {mean[0]:.2f} ± {error[0]:.2f} before the first cut of iterative magnitude pruning "
        f"to {mean[-1]:.2f} ± {error[-1]:.2f} before the last. Cuts are to {pruning.ratio:g}; one cut to the end would "
        f"be to {pruning.final:.2f} and is {once}. Thin lines: single seeds."
    )
    alt = (
        "Predicted threshold against the number of the cut, one thin line a seed and markers at their means, with two "
        "horizontal lines: the share each cut keeps and the share kept in the end."
    )
    names = {"active": "active", "threshold": "limit", "epsilon": "epsilon", "rise": "rise"}
    rows = [
        {"seed": k, "cut": t}
        | {name: getattr(cut, own) for name, own in names.items()}
        | {"resolved": int(cut.resolved)}
        for k, chain in enumerate(pruning.chains)
        for t, cut in enumerate(chain, 1)
    ]
    return Drawing(draw, tabulated(rows), "iterative", alt, caption)


def random(pruning: Iterative) -> Drawing:
    """Return a figure of T against the share kept, for the smallest and for random weights removed.

    Parameters
    ----------
    pruning : Iterative
        What was predicted.
    """
    which = sorted({0, pruning.rounds // 2, pruning.rounds - 1})
    orders = {"smallest": "by_magnitude", "random": "at_random"}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        size = (2.7 * len(which) + 0.3, 3.4)
        figure, row = plt.subplots(1, len(which), figsize=size, sharey=True, squeeze=False)
        for axes, t in zip(row[0], which, strict=True):
            for k, (label, name) in enumerate(orders.items()):
                mean, error = mean_and_error(np.array([getattr(cuts[t], name) for cuts in pruning.chains]))
                axes.errorbar(
                    pruning.chains[0][t].shares, mean, yerr=error, fmt=MARKERS[k], color=palette.series[k],
                    markerfacecolor="none", markersize=4, label=f"{label} removed",
                )  # fmt: skip
            axes.plot([0, 1], [0, 1], color=palette.muted, linewidth=1, linestyle="--", label="p = T")
            axes.axvline(0.5, color=palette.muted, linewidth=0.7, linestyle=":")
            axes.set(xlabel="share of active kept, p", xlim=(0, 1), ylim=(0, 1))
            axes.set_title(f"before cut {t + 1}", fontsize=10)
        row[0][0].set(ylabel="threshold T(p)")
        figure.legend(*row[0][0].get_legend_handles_labels(), fontsize=9, ncols=3, loc="outside upper center")
        return figure

    chance, magnitude = pruning.at_half("at_random"), pruning.at_half("by_magnitude")
    caption = (
        "Where a marker is above the diagonal, less is kept than T asks for. At p = 0.5, T for random removal is "
        f"{chance[:, 0].mean():.2f} before the first cut and {chance[:, -1].mean():.2f} before the last, for the "
        f"smallest weights {magnitude[:, 0].mean():.2f} and {magnitude[:, -1].mean():.2f}."
    )
    alt = (
        "Threshold against the share of active weights kept, for the smallest and for random weights removed, before "
        "three of the cuts, with the diagonal where both agree."
    )
    rows = [
        {"seed": k, "cut": t, "share": p, "smallest": a, "random": b}
        for k, chain in enumerate(pruning.chains)
        for t, cut in enumerate(chain, 1)
        for p, a, b in zip(cut.shares, cut.by_magnitude, cut.at_random, strict=True)
    ]
    return Drawing(draw, tabulated(rows), "random", alt, caption)


def gems(searches: Gems) -> Drawing:
    """Return the bottom row of Figure 4 of geometric: T at each cut of rare gems, with and without ℓ2.

    Parameters
    ----------
    searches : Gems
        What was predicted.
    """
    penalties = {0.0: "no ℓ2", searches.penalty: "ℓ2"}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        size = (3.6 * len(searches.numbers_of_cuts) + 0.3, 3.6)
        figure, row = plt.subplots(1, len(searches.numbers_of_cuts), figsize=size, sharey=True, squeeze=False)
        for axes, cuts in zip(row[0], searches.numbers_of_cuts, strict=True):
            for k, (decay, label) in enumerate(penalties.items()):
                values = [[cut.threshold for cut in chain] for _, chain in searches.searches[decay, cuts]]
                mean, error = mean_and_error(np.array(values))
                x = np.arange(1, cuts + 1) + 0.12 * (k - 0.5)
                style: dict[str, Any] = {"color": palette.series[k], "markerfacecolor": "none", "capsize": 2}
                axes.errorbar(x, mean, yerr=error, fmt=MARKERS[k], label=f"T at the cut, {label}", **style)
            line: dict[str, Any] = {"color": palette.series[2], "linestyle": DASHES[1]}
            axes.axhline(searches.ratio(cuts), label="what every cut keeps", **line)
            axes.set_xticks(range(1, cuts + 1))
            axes.set(xlabel="cut", ylim=(-0.03, 1))
            axes.set_title(f"{cuts} cuts to {searches.keep:g}", fontsize=10)
        row[0][0].set(ylabel="share of the active weights")
        handles, columns = row[0][0].get_legend_handles_labels(), 3 if len(row[0]) > 1 else 1
        figure.legend(*handles, fontsize=9, ncols=columns, loc="outside upper center")
        return figure

    with_, without = (searches.margins(decay).mean() for decay in (searches.penalty, 0.0))
    caption = (
        f"The mean margin of the cuts, ratio less T, is {with_:+.2f} with ℓ2 and {without:+.2f} without. "
        f"{searches.free(searches.penalty):.0%} of the cuts with ℓ2 and {searches.free(0.0):.0%} of those without "
        "remove nothing that the network uses. After tuning, the test accuracy is "
        f"{searches.accuracy(searches.penalty):.1f}% with and {searches.accuracy(0.0):.1f}% without."
    )
    alt = (
        "Threshold at each cut of rare gems with and without a penalty on the scores, one panel for each number of "
        "cuts, with the share that every cut keeps as a horizontal line."
    )
    return Drawing(draw, tabulated(searches.rows), "gems", alt, caption)


def findings(plain: Iterative, searches: Gems) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    plain : Iterative
        Iterative pruning without a penalty on the weights.
    searches : Gems
        Rare gems with and without a penalty on the scores.
    """
    limits = plain.limits.mean(axis=0)
    rises = "rises from round to round, as the paper says" if np.all(np.diff(limits) >= 0) else "does not always rise"
    chance, magnitude = plain.at_half("at_random")[:, 0].mean(), plain.at_half("by_magnitude")[:, 0].mean()
    parted = "lies between the two" if chance >= 0.5 >= magnitude else "does not lie between the two"
    with_, without = (searches.margins(decay).mean() for decay in (searches.penalty, 0.0))
    agrees = "as" if with_ >= 0 >= without else "other than"
    return (
        f"The threshold of the weights that are still there {rises}: from {limits[0]:.2f} before the first of "
        f"{plain.rounds} cuts of iterative pruning to {limits[-1]:.2f} before the last.",
        f"Where half of the weights are removed before the first cut, T is {chance:.2f} for random ones and "
        f"{magnitude:.2f} for the smallest; the half that is kept {parted}.",
        f"Rare gems keep a mean margin of {with_:+.2f} over the threshold with ℓ2 and of {without:+.2f} without, "
        f"{agrees} the paper says; these are networks of {plain.chains[0][0].active:,} weights.",
    )
