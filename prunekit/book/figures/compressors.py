"""The figures of the page on compressors at equal bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, Drawing, Palette, columns, compare, legend
from prunekit.linear.bits import Choice
from prunekit.statistics import deviation_bound, largest_deviation, mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BITS = (0.5, 1, 2, 4)
STILL = 1e-6  # units of y²: a risk that varies less is the same in every repetition
TICKS = {0.1: "0.1", 0.25: "1/4", 0.5: "1/2"} | {float(2**i): str(2**i) for i in range(6)}


@dataclass(frozen=True)
class Problem:
    """What compression does on one problem.

    Attributes
    ----------
    name, words : str
        The problem's name, and what the problem is.
    dense : float
        Predicted dense risk, in units of y².
    table : sequence of Choice
        All compressors with all settings.
    fronts : mapping of str to sequence of Choice
        For each label, the choices that no other one of the label beats.
    chosen : sequence of Choice
        The choices that were measured.
    risks : (repetitions, chosen) array
        The measured risks of these choices.
    """

    name: str
    words: str
    dense: float
    table: Sequence[Choice]
    fronts: Mapping[str, Sequence[Choice]]
    chosen: Sequence[Choice]
    risks: Floats

    @property
    def varies(self) -> np.ndarray[Any, Any]:
        """Which measured risks are not the same in every repetition."""
        return np.asarray(np.ptp(self.risks, axis=0) > STILL)

    @property
    def deviation(self) -> float:
        """Largest gap of a measured mean from the law, in standard errors, where the risks vary."""
        law = np.array([row.risk for row in self.chosen])
        return largest_deviation(self.risks[:, self.varies], law[self.varies])

    @property
    def still(self) -> Floats:
        """Gaps from the law where the measured risk does not vary, in units of y²."""
        law = np.array([row.risk for row in self.chosen])
        return np.asarray(np.abs(self.risks[0] - law)[~self.varies])

    def least(self, bits: float) -> Choice:
        """Return the compressor of least predicted risk that needs no more than these bits."""
        return min((row for row in self.table if row.bits <= bits + 1e-9), key=lambda row: row.risk)

    def curves(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return predicted lines and measured markers, as shares of the dense risk."""
        predicted, points = {}, {}
        mean, error = mean_and_error(self.risks)
        for label, front in self.fronts.items():
            predicted[label] = [row.bits for row in front], [row.risk / self.dense for row in front]
            mine = [j for j, row in enumerate(self.chosen) if row.label == label]
            points[label] = [self.chosen[j].bits for j in mine], mean[mine] / self.dense, error[mine] / self.dense
        return predicted, points


def bound(problems: Sequence[Problem]) -> float:
    """Return the largest gap that chance allows over all points of all problems, in standard errors."""
    return deviation_bound(sum(len(each.chosen) for each in problems), len(problems[0].risks))


def risk_against_bits(problem: Problem, limit: float) -> Drawing:
    """Return a figure of the risk of every compressor against its bits.

    Parameters
    ----------
    problem : Problem
        What was predicted and measured.
    limit : float
        The gap that chance allows, in standard errors.
    """
    predicted, points = problem.curves()

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.4))
        compare(axes, palette, predicted, points)
        axes.axhline(1, color=palette.muted, linewidth=1)
        axes.set(xscale="log", xlabel="bits per coefficient", ylabel="risk / dense risk")
        axes.set_xticks(list(TICKS), list(TICKS.values()))
        axes.minorticks_off()
        legend(figure, axes, ncols=3, title="lines: law; markers: measured")
        return figure

    best = {bits: problem.least(bits) for bits in BITS}
    ranks = "; ".join(f"{bits:g}: {row.label} ({row.risk / problem.dense:.3f})" for bits, row in best.items())
    inside = "within" if problem.deviation <= limit else "beyond"
    still = f"; {problem.still.size} do not vary and are off by {problem.still.max():.1g}" if problem.still.size else ""
    caption = (
        f"{problem.words[0].upper()}{problem.words[1:]}. Least risk as a share of the dense risk, by bits: {ranks}. "
        f"Measured means are off the law by at most {problem.deviation:.1f} standard errors, {inside} the {limit:.1f} "
        f"that chance allows ({len(problem.risks)} repetitions{still})."
    )
    alt = (
        f"Risk divided by the dense risk against bits per coefficient on a logarithmic axis, {problem.words}. Each "
        "compressor's curve falls with the bits. Pruning with floats and soft thresholding lie far to the right of the "
        "quantizers and of pruning with quantized values."
    )
    numbers = columns("bits", "risk_over_dense", predicted, points)
    return Drawing(draw, numbers, problem.name.replace(" ", "-"), alt, caption)


def findings(problems: Sequence[Problem]) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    problems : sequence of Problem
        What was predicted and measured.
    """

    def winners(bits: float) -> str:
        by_label: dict[str, list[str]] = {}
        for each in problems:
            by_label.setdefault(each.least(bits).label, []).append(each.name)
        if len(by_label) == 1:
            return f"“{next(iter(by_label))}” on all problems"
        return ", ".join(f"“{label}” on {' and '.join(names)}" for label, names in by_label.items())

    floats = {
        each.name: [row.bits for row in each.fronts["prune"] if row.risk <= 1.1 * each.dense] for each in problems
    }
    needed = [f"{min(bits):.2g} ({name})" for name, bits in floats.items() if bits]
    said = f"with no fewer than {', '.join(needed)} bits" if needed else "at no number of bits that was tried"
    worst, limit = max(each.deviation for each in problems), bound(problems)
    fits = "follow" if worst <= limit else "do not follow"
    return (
        f"What loses least is, with half a bit for each coefficient, {winners(0.5)}, and with four bits {winners(4)}.",
        f"Pruning that stores floats comes within a tenth of the dense risk {said}.",
        f"Measured risks {fits} the law (largest gap {worst:.1f} standard errors, where chance allows {limit:.1f}), "
        "for three problems whose best settings are known; the paper proposes the question.",
    )


def clipping(limits: Floats, lines: Mapping[str, Mapping[int, Floats]], gains: Mapping[str, float]) -> Drawing:
    """Return a figure of the risk against a quantizer's range, a panel for each problem.

    Parameters
    ----------
    limits
        Ranges L, in units of the root-mean-square coefficient.
    lines
        The risk over the dense risk at these ranges, by problem and bits.
    gains
        The share of the dense risk that the finest quantizer's best range takes off, by problem.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, len(lines), figsize=(7.6, 3.4), sharey=True)
        for axes, (name, risks) in zip(panels, lines.items(), strict=True):
            for j, (bits, risk) in enumerate(risks.items()):
                style: dict[str, Any] = {"color": palette.series[j], "linestyle": DASHES[j]}
                axes.plot(limits, risk, label=f"{bits} bit{'s' * (bits > 1)}", **style)
            axes.axhline(1, color=palette.muted, linewidth=1)
            axes.set(xscale="log", ylim=(0.85, 2), title=name, xlabel="range L, in rms coefficients")
        panels[0].set(ylabel="risk / dense risk")
        legend(figure, panels[0], ncols=4)
        return figure

    finest = max(max(risks) for risks in lines.values())
    gained = "; ".join(f"{max(gain, 0):.1%} ({name})" for name, gain in gains.items())
    rows = [
        (name, bits, x, y)
        for name, risks in lines.items()
        for bits, risk in risks.items()
        for x, y in zip(limits, risk, strict=True)
    ]
    heads = ("problem", "bits", "limit", "risk_over_dense")
    caption = (
        f"Clipping alone can lower the risk: with {finest} bits rounding is negligible, and at its best range the "
        f"quantizer takes this much off the dense risk: {gained}. Closed forms."
    )
    alt = (
        "Three panels: risk over dense risk against the quantizer's range for 1, 2, 4 and 8 bits. The curves fall to a "
        "minimum and rise again, the steeper the fewer the bits; in the panel of 3b the 8-bit curve dips below 1 and "
        "returns to 1."
    )
    numbers = dict(zip(heads, map(list, zip(*rows, strict=True)), strict=True))
    return Drawing(draw, numbers, "clipping", alt, caption)
