"""The figures of the page on pruning algorithms: the test accuracies of a contest, and the lead of one-shot pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import MARKERS, Drawing, Palette
from prunekit.book.tables import pooled, selected, tabulated
from prunekit.statistics import deviation_bound, mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIVALS = ("rare gems", "lottery tickets", "smart ratio")


@dataclass(frozen=True)
class Contest:
    """Test accuracies of networks that several algorithms have pruned.

    Attributes
    ----------
    rows : sequence of mappings
        One for each ``network``, ``seed`` and ``algorithm``, with its ``test_accuracy``.
    data : str
        The data set.
    classes : int
        The number of its classes.
    shares : mapping of str to float
        The share of the weights that is kept, by network, in the order of the networks.
    """

    rows: Sequence[Mapping[str, Any]]
    data: str
    classes: int
    shares: Mapping[str, float]

    @property
    def networks(self) -> list[str]:
        """The networks."""
        return list(self.shares)

    @property
    def algorithms(self) -> list[str]:
        """The algorithms, in their order."""
        return list(dict.fromkeys(row["algorithm"] for row in self.rows))

    @property
    def rivals(self) -> list[str]:
        """All but one-shot pruning."""
        return [algorithm for algorithm in self.algorithms if algorithm != "one-shot"]

    @property
    def longer(self) -> list[str]:
        """The algorithms of which each training is as long as the dense one."""
        return [algorithm for algorithm in self.algorithms if algorithm.endswith(", longer")]

    def accuracies(self, algorithm: str, network: str) -> Floats:
        """Return the test accuracies in %, one for each seed, or none if the algorithm did not run on the network."""
        rows = selected(tabulated(self.rows), algorithm=algorithm, network=network)
        return np.asarray(100 * rows["test_accuracy"].astype(float))

    def ran(self, algorithm: str) -> list[str]:
        """Return the networks on which an algorithm ran."""
        return [network for network in self.networks if self.accuracies(algorithm, network).size]

    def difference(self, rival: str) -> Floats:
        """Return how far one-shot pruning leads a rival, in points: (seeds, networks on which the rival ran)."""
        pairs = [(self.accuracies("one-shot", n), self.accuracies(rival, n)) for n in self.ran(rival)]
        return np.array([own - other for own, other in pairs]).T

    def smallest(self, rival: str) -> dict[str, Any]:
        """Return the smallest mean difference on a network, in points, as `check` takes it.

        Its error comes from the deviations of all seeds within their networks.
        """
        mean, error, repetitions = pooled(self.difference(rival))
        return {"measured": float(mean.min()), "error": error, "repetitions": repetitions, "of": "effective seeds"}

    @property
    def gaps(self) -> list[dict[str, Any]]:
        """Mean differences by rival and network, with the half width of their 95% intervals over the seeds."""
        seeds = len({row["seed"] for row in self.rows})
        quantile = deviation_bound(1, seeds, level=0.05)
        return [
            {"rival": rival, "network": network, "difference": float(mean), "half_width": float(quantile * error)}
            for rival in self.rivals
            for network, mean, error in zip(self.ran(rival), *mean_and_error(self.difference(rival)), strict=True)
        ]


def table_3(contest: Contest) -> Drawing:
    """Return the figure of Table 3 of geometric: test accuracy by algorithm, network and seed.

    Parameters
    ----------
    contest : Contest
        The test accuracies that came out.
    """

    def draw(palette: Palette) -> Figure:
        figure, axes = _rows(contest, contest.algorithms)
        for n, network in enumerate(contest.networks):
            for k, algorithm in enumerate(contest.algorithms):
                x, y = contest.accuracies(algorithm, network), k + _shift(contest, n)
                style: dict[str, Any] = {"color": palette.series[n], "markerfacecolor": "none", "markersize": 4}
                axes.plot(x, np.full(x.size, y), MARKERS[n], label="" if k else network, **style)
                if x.size:
                    axes.plot(x.mean(), y, "|", color=palette.series[n], markersize=11, markeredgewidth=2.2)
        axes.axvline(100 / contest.classes, color=palette.muted, linewidth=1, linestyle=":")
        axes.set(xlim=(0, 101), xlabel="test accuracy (%)")
        figure.legend(fontsize=9, ncols=len(contest.networks), loc="outside upper center")
        return figure

    means = {a: np.mean([contest.accuracies(a, n).mean() for n in contest.ran(a)]) for a in contest.algorithms}
    kept = ", ".join(f"{share:.2%} ({network})" for network, share in contest.shares.items())
    said = ", ".join(
        f"{algorithm} {means[algorithm]:.1f}%" for algorithm in contest.algorithms if ", " not in algorithm
    )
    caption = f"Test accuracy on {contest.data} with {kept} of the weights kept. Mean over networks: {said}."
    alt = (
        "Test accuracy of each algorithm, a row each, with a marker for every seed and network and a bar at the mean "
        "over seeds; a dotted line marks chance."
    )
    return Drawing(draw, tabulated(contest.rows), "table-3", alt, caption)


def differences(contest: Contest) -> Drawing:
    """Return a figure of the lead of one-shot pruning over each rival, by network, with 95% intervals.

    Parameters
    ----------
    contest : Contest
        The test accuracies that came out.
    """
    gaps = contest.gaps

    def draw(palette: Palette) -> Figure:
        figure, axes = _rows(contest, contest.rivals)
        for n, network in enumerate(contest.networks):
            part = selected(tabulated(gaps), network=network)
            y = [contest.rivals.index(rival) + _shift(contest, n) for rival in part["rival"]]
            axes.errorbar(
                part["difference"], y, xerr=part["half_width"], fmt=MARKERS[n], color=palette.series[n],
                markerfacecolor="none", elinewidth=1, capsize=2, label=network,
            )  # fmt: skip
        axes.axvline(0, color=palette.muted, linewidth=1)
        axes.set_xscale("symlog", linthresh=2)
        ticks = [-50, -10, -2, -1, 0, 1, 2, 10, 50]
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
        axes.set(xlabel="one-shot less rival (points of test accuracy)", ylabel="rival")
        figure.legend(fontsize=9, ncols=len(contest.networks), loc="outside upper center")
        return figure

    above = sum(gap["difference"] - gap["half_width"] > 0 for gap in gaps)
    below = sum(gap["difference"] + gap["half_width"] < 0 for gap in gaps)
    caption = (
        f"One-shot pruning leads where a marker is right of zero: {above} of {len(gaps)} intervals lie above zero, "
        f"{below} below (paired differences, 95% intervals over seeds; the axis is linear within two points)."
    )
    alt = (
        "Mean difference of test accuracy, one-shot less each rival, by network, with 95 percent intervals, on an axis "
        "that is linear within two points and logarithmic beyond."
    )
    return Drawing(draw, tabulated(gaps), "differences", alt, caption)


def _rows(contest: Contest, names: Sequence[str]) -> tuple[Figure, Axes]:
    """Return a figure with a row for each name."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.6, 0.42 * len(names) + 1.3))
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(len(names) - 0.5, -0.5), ylabel="algorithm")
    return figure, axes


def _shift(contest: Contest, n: int) -> float:
    """Return where in its row the n-th network stands."""
    return 0.2 * (n - (len(contest.networks) - 1) / 2)


def findings(contest: Contest) -> tuple[str, ...]:
    """Return what the page found, in two sentences or three.

    Parameters
    ----------
    contest : Contest
        The test accuracies that came out.
    """
    means = {rival: float(contest.difference(rival).mean()) for rival in contest.rivals}
    worst = {rival: contest.difference(rival).mean(axis=0).min() for rival in contest.rivals}
    leads = "leads all three rivals" if min(worst[r] for r in RIVALS) >= 0 else "does not lead all three rivals"
    said = ", ".join(f"{means[rival]:+.1f} ({rival})" for rival in RIVALS)
    sentences = [
        f"With one budget for all, one-shot pruning {leads} of Table 3 on every network "
        f"({', '.join(contest.networks)} on {contest.data}): its test accuracy less theirs is {said} points on average."
    ]
    if contest.longer:
        said = " and ".join(f"{means[rival]:+.1f} ({rival})" for rival in contest.longer)
        lasts = "lasts" if min(worst[rival] for rival in contest.longer) >= 0 else "does not last on every network"
        sentences.append(
            f"A lead {lasts} where each training of its rivals is as long as the dense one: the differences are then "
            f"{said} points."
        )
    good = int(np.sum(contest.difference("dense").mean(axis=0) >= 0))
    sentences.append(
        f"On {good} of {len(contest.networks)} networks one-shot pruning is at least as good as dense training; these "
        "are small networks, and the share that is kept was chosen by what one-shot pruning can bear."
    )
    return tuple(sentences)
