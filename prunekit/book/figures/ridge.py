"""The figures of the page on the ridge that is best for pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, Drawing, Palette, columns, compare, joined, legend
from prunekit.linear.penalties import Best
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEY = "lines: law; markers: measured"
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5)
Table = Mapping[tuple[str, float], Floats]


@dataclass(frozen=True)
class Fit:
    """How far measured means are from the law.

    Attributes
    ----------
    deviation : float
        The largest gap, in standard errors.
    bound : float
        The largest gap that chance allows.
    """

    deviation: float
    bound: float

    def __str__(self) -> str:
        """Say it in half a sentence."""
        inside = "within" if self.deviation <= self.bound else "beyond"
        return f"by at most {self.deviation:.1f} standard errors, {inside} the {self.bound:.1f} that chance allows"


@dataclass(frozen=True)
class Curves:
    """Risks against the penalty μ/n for each problem and rule, in units of y²; the mappings are by (figure, rule).

    Attributes
    ----------
    p, n, s : int
        Numbers of features, of samples, and of coefficients kept.
    grid
        The penalties at which risks are predicted.
    lines
        The predicted risks there.
    best
        The best penalty and its risk.
    points
        Penalties that were measured, and the risks there, (repetitions, penalties).
    fit : Fit
        How far the measured means are from the predicted ones.
    """

    p: int
    n: int
    s: int
    grid: Floats
    lines: Mapping[tuple[str, str], Sequence[float]]
    best: Mapping[tuple[str, str], Best]
    points: Mapping[tuple[str, str], tuple[Sequence[float], Floats]]
    fit: Fit

    @property
    def figures(self) -> list[str]:
        """Names of the problems."""
        return list(dict.fromkeys(figure for figure, _ in self.lines))

    @property
    def rules(self) -> list[str]:
        """Names of the rules."""
        return list(dict.fromkeys(rule for _, rule in self.lines))

    def quotient(self, figure: str, rule: str) -> float:
        """Return a rule's best penalty over the dense model's, which counts as the grid's least if it is below."""
        return float(self.best[figure, rule].penalty / max(self.best[figure, "dense"].penalty, self.grid[0]))


def curves(sweep: Curves) -> Drawing:
    """Return a figure of the risk against the penalty, a panel for each problem, with a star at each best penalty.

    Parameters
    ----------
    sweep : Curves
        What was predicted and measured.
    """

    def rows(figure: str) -> tuple[dict[str, Any], dict[str, Any]]:
        predicted = {rule: (sweep.grid, sweep.lines[figure, rule]) for rule in sweep.rules}
        points = {rule: sweep.points[figure, rule] for rule in sweep.rules}
        return predicted, {rule: (at, *mean_and_error(risks)) for rule, (at, risks) in points.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, len(sweep.figures), figsize=(7.6, 4.2), sharey=True)
        for axes, name in zip(panels, sweep.figures, strict=True):
            compare(axes, palette, *rows(name))
            for colour, rule in zip(palette.series, sweep.rules, strict=False):
                penalty, risk = sweep.best[name, rule]
                axes.plot(max(penalty, sweep.grid[0]), risk, "*", color=colour, markersize=13)
            axes.set(xscale="log", title=f"problem of Figure {name}", xlabel="penalty μ/n")
            axes.minorticks_off()
        panels[0].set(ylabel="population risk, units of y²", ylim=(0, None))
        legend(figure, panels[0], ncols=3, title=f"{KEY}; stars: best penalty")
        return figure

    def said(figure: str) -> str:
        penalties = ", ".join(f"{sweep.best[figure, rule].penalty:.2g} ({rule})" for rule in sweep.rules)
        return f"{penalties} in {figure}"

    caption = (
        f"The best penalty μ/n (stars) is {'; '.join(map(said, sweep.figures))} (p = {sweep.p}, n = {sweep.n}, "
        f"s = {sweep.s}). Measured means are off {sweep.fit}."
    )
    alt = (
        "Risk against the penalty on a logarithmic axis for the problems of Figures 3a and 3b: dense, magnitude and "
        "Hessian pruning, with a star at the least point of each curve. In the panel of 3b the curve of magnitude "
        "pruning starts far above the others."
    )
    tables = {figure: columns("penalty", "risk", *rows(figure)) for figure in sweep.figures}
    return Drawing(draw, joined(tables, "figure"), "curves", alt, caption)


def findings(sweep: Curves) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    sweep : Curves
        What was predicted and measured.
    """
    pairs = [(figure, rule) for figure in sweep.figures for rule in sweep.rules if rule != "dense"]
    quotients = {pair: sweep.quotient(*pair) for pair in pairs}
    said = ", ".join(f"{x:.2g} for {rule} pruning in {figure}" for (figure, rule), x in quotients.items())
    same = "is also" if all(abs(x - 1) < 0.1 for x in quotients.values()) else "is not"
    gains = {pair: sweep.lines[pair][0] / sweep.best[pair].risk for pair in pairs}
    figure, rule = most = max(gains, key=lambda pair: gains[pair])
    risks = f"{sweep.lines[most][0]:.2f} at the smallest penalty and {sweep.best[most].risk:.2f} at the best one"
    return (
        f"The ridge that is best for pruning {same} the dense model's. Divided by it, it is {said}.",
        f"A ridge helps most for {rule} pruning in the problem of Figure {figure}: the risk is {risks}.",
        f"These are predictions of the law, which measured means miss {sweep.fit}; the paper leaves the question open.",
    )


def _parts(table: Table) -> tuple[list[str], list[float]]:
    """Return the cases and the noise variances of a table."""
    return list(dict.fromkeys(case for case, _ in table)), list(dict.fromkeys(noise for _, noise in table))


def _against_share(axes: Axes, case: str) -> None:
    """Label an axis of shares kept."""
    axes.set(xscale="log", title=case, xlabel="weights kept, s/p")
    axes.set_xticks(TICKS, [f"{x:g}" for x in TICKS])
    axes.minorticks_off()


def penalties(shares: Floats, table: Table, least: float, noise: float) -> Drawing:
    """Return a figure of the best penalties, dense and pruned, against the share kept, a panel for each case.

    Parameters
    ----------
    shares
        The shares of coefficients that are kept.
    table
        By case and noise variance, the best dense penalty, the best pruned one and the relative loss, (shares, 3).
    least : float
        The penalty at which smaller ones are drawn.
    noise : float
        The noise variance that the caption speaks of.
    """
    cases, noises = _parts(table)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, len(cases), figsize=(7.6, 3.7), sharey=True)
        for axes, case in zip(panels, cases, strict=True):
            for j, each in enumerate(noises):
                row, colour = np.maximum(table[case, each], least), palette.series[j]
                axes.plot(shares, row[:, 1], linestyle=DASHES[j], color=colour, label=f"pruned, σ² = {each:g}")
                dots = {"linewidth": 0.8, "marker": "o", "markersize": 2.5}
                axes.plot(shares, row[:, 0], color=colour, label=f"dense, σ² = {each:g}", **dots)
            _against_share(axes, case)
            axes.set(yscale="log")
        panels[0].set(ylabel="best penalty μ/n")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=9)
        return figure

    def span(case: str) -> str:
        quotient = table[case, noise][:, 1] / np.maximum(table[case, noise][:, 0], least)
        return f"{quotient.min():.2g} to {quotient.max():.2g} ({case})"

    rows = [
        (case, each, share, dense, own)
        for (case, each), values in table.items()
        for share, (dense, own, _) in zip(shares, values, strict=True)
    ]
    heads = ("case", "noise_variance", "s_over_p", "best_for_dense", "best_for_pruned")
    numbers = {head: [row[i] for row in rows] for i, head in enumerate(heads)}
    caption = (
        f"The pruned model's best penalty, divided by the dense model's, ranges at σ² = {noise:g} over "
        f"{', '.join(map(span, cases))}. Best penalties below {least:g} are drawn there."
    )
    alt = (
        "Best penalty against the share of weights kept, on logarithmic axes, in three panels, for three noise levels: "
        "for the pruned model as lines, for the dense model as flat dotted lines. In the panels of 3b the lines fall "
        "towards the flat ones."
    )
    return Drawing(draw, numbers, "penalties", alt, caption)


def losses(shares: Floats, table: Table, at: Floats, measured: Table, fit: Fit) -> Drawing:
    """Return a figure of the loss by the dense model's penalty against the share kept, a panel for each case.

    Parameters
    ----------
    shares, table
        The shares and the table that `penalties` takes.
    at, measured
        Shares measured, and the relative losses there by case and noise variance, (repetitions, shares measured).
    fit : Fit
        How far the measured means are from the predicted ones.
    """
    cases, noises = _parts(table)

    def rows(case: str) -> tuple[dict[str, Any], dict[str, Any]]:
        predicted = {f"σ² = {each:g}": (shares, 100 * table[case, each][:, 2]) for each in noises}
        points = {f"σ² = {each:g}": mean_and_error(measured[case, each]) for each in noises}
        return predicted, {label: (at, 100 * mean, 100 * error) for label, (mean, error) in points.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, len(cases), figsize=(7.6, 3.7))
        for axes, case in zip(panels, cases, strict=True):
            compare(axes, palette, *rows(case))
            axes.axhline(0, color=palette.muted, linewidth=0.8)
            _against_share(axes, case)
        panels[0].set(ylabel="loss by the dense model's penalty, %")
        for axes in panels[1:]:
            axes.set(ylabel="loss, %")
        legend(figure, panels[0], ncols=len(noises), title=KEY)
        return figure

    largest = {case: max(table[case, each][:, 2].max() for each in noises) for case in cases}
    said = ", ".join(f"{x:.2%} ({case})" for case, x in largest.items())
    caption = (
        f"Pruning the fit with the dense model's best penalty costs at most {said}, as predicted. Measured losses "
        f"({len(next(iter(measured.values())))} repetitions, paired) are off {fit}."
    )
    alt = (
        "Loss in percent by pruning the dense model's best ridge fit, against the share of weights kept, in three "
        "panels with axes of their own, since the losses of the three cases differ in size."
    )
    tables = {case: columns("s_over_p", "loss_percent", *rows(case)) for case in cases}
    return Drawing(draw, joined(tables, "case"), "losses", alt, caption)


def informed(
    powers: Floats,
    lines: Mapping[str, Floats],
    exponents: Sequence[float],
    points: Mapping[str, Floats],
    ends: Mapping[str, tuple[float, float]],
    fit: Fit,
) -> Drawing:
    """Return a figure of the risk at the best penalty against the exponent with which the penalty knows the covariance.

    Parameters
    ----------
    powers, lines
        Exponents a, and the predicted risks there by label.
    exponents, points
        Exponents measured, and the risks there by label, (repetitions, exponents).
    ends
        The predicted risks at a = 0 and at a = 1, by label.
    fit : Fit
        How far the measured means are from the predicted ones.
    """
    predicted = {label: (powers, risks) for label, risks in lines.items()}
    measured = {label: (exponents, *mean_and_error(risks)) for label, risks in points.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4))
        compare(axes, palette, predicted, measured)
        axes.set(xlabel="exponent a of the penalty Σ λᵢᵃ bᵢ²", ylabel="risk at the best μ, units of y²")
        legend(figure, axes, ncols=2, title=KEY)
        return figure

    def best(label: str) -> str:
        plain, whitened = ends[label]
        lower = max(1 - lines[label].min() / plain, 0.0)
        return (
            f"{label}: a = {powers[np.argmin(lines[label])]:.2g} ({lower:.2%} lower; {whitened / plain - 1:+.1%} at 1)"
        )

    caption = (
        "Best exponents on the grid, with the risk there and at a = 1 against plain ridge: "
        f"{'; '.join(map(best, lines))}. Measured means are off {fit}."
    )
    alt = (
        "Risk at the best penalty against the exponent a, from -1 to 1.5, for the dense fit and for Hessian pruning to "
        "three shares. All curves are nearly flat on the left and rise towards the right; the dense one is lowest."
    )
    return Drawing(draw, columns("exponent", "risk", predicted, measured), "informed", alt, caption)
