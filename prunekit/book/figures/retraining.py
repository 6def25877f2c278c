"""The figures of the page on retraining: against the correlation of features, Lemma 1, and Figure 7 of chang."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import Drawing, Palette, columns, compare, joined, legend
from prunekit.statistics import deviation_bound, largest_deviation, mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"fresh": "retrained fresh", "same": "retrained"}
KEY = "lines: predicted; markers: measured"


@dataclass(frozen=True)
class Correlations:
    """Risks with and without retraining against the correlation of every two features, in units of y².

    Attributes
    ----------
    p, n, s : int
        Numbers of features, of samples, and of coefficients kept.
    rhos
        The correlations, increasing.
    predicted
        By rule, the risk after pruning and the risk after retraining, each with its standard error, (4, rhos).
    measured
        The measured risks by label, as in `measured_risks`, (repetitions, rhos).
    """

    p: int
    n: int
    s: int
    rhos: Floats
    predicted: Mapping[str, Floats]
    measured: Mapping[str, Floats]

    @property
    def repetitions(self) -> int:
        """Number of data sets measured at each correlation."""
        return len(next(iter(self.measured.values())))

    @property
    def bound(self) -> float:
        """Largest gap that chance allows, in standard errors."""
        return deviation_bound(2 * len(self.predicted) * self.rhos.size, self.repetitions)

    def helps_from(self, rule: str) -> list[float | None]:
        """Return the least correlation from which retraining helps: predicted, on fresh samples, on the same ones."""
        now, _, later, _ = self.predicted[rule]
        alone = self.measured[rule].mean(axis=0)
        measured = [self.measured[f"{rule}, {kind}"].mean(axis=0) for kind in KINDS.values()]
        return [stays_below(self.rhos, x) for x in (later - now, *(again - alone for again in measured))]

    def off(self, rule: str) -> float:
        """Return the largest gap of pruned and fresh risks from the prediction, in standard errors of both."""
        now, now_error, later, later_error = self.predicted[rule]
        alone, alone_error = mean_and_error(self.measured[rule])
        fresh, fresh_error = mean_and_error(self.measured[f"{rule}, {KINDS['fresh']}"])
        pruned = np.max(np.abs(alone - now) / np.hypot(alone_error, now_error))
        return float(max(pruned, np.max(np.abs(fresh - later) / np.hypot(fresh_error, later_error))))

    def rows(self, rule: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the lines and markers of one rule."""
        now, _, later, _ = self.predicted[rule]
        labels = {"pruned": rule} | {f"retrained, {kind} samples": f"{rule}, {KINDS[kind]}" for kind in KINDS}
        points = {name: (self.rhos, *mean_and_error(self.measured[label])) for name, label in labels.items()}
        return {"pruned": (self.rhos, now), "retrained, fresh samples": (self.rhos, later)}, points


def stays_below(rhos: Floats, difference: Floats) -> float | None:
    """Return the least correlation from which a difference stays below 0; None if there is none.

    Parameters
    ----------
    rhos, difference : (m,) arrays
        Correlations, increasing, and the difference there.
    """
    above = np.flatnonzero(np.asarray(difference) >= 0)
    if not above.size:
        return float(rhos[0])
    i = above[-1]
    if i == rhos.size - 1:
        return None
    return float(np.interp(0, [difference[i + 1], difference[i]], rhos[[i + 1, i]]))


def correlation(risks: Correlations) -> Drawing:
    """Return a figure of the risks against the correlation, a panel for each rule.

    Parameters
    ----------
    risks : Correlations
        What was predicted and measured.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, len(risks.predicted), figsize=(7.6, 4.2), sharey=True)
        for axes, rule in zip(panels, risks.predicted, strict=True):
            compare(axes, palette, *risks.rows(rule))
            onset = risks.helps_from(rule)[0]
            if onset is not None:
                axes.axvline(onset, color=palette.muted, linewidth=1, linestyle=":")
            axes.set(xlabel="correlation ρ of every two features", title=f"{rule} pruning", ylim=(0, None))
        panels[0].set(ylabel="population risk, units of y²")
        legend(figure, panels[0], ncols=3, title=f"{KEY}; dotted: retraining helps to the right")
        return figure

    def where(rule: str) -> str:
        words = ["nowhere" if x is None else f"from ρ = {x:.2f}" for x in risks.helps_from(rule)]
        return f"{rule} pruning {words[0]} as predicted, {words[1]} on fresh and {words[2]} on the same samples"

    caption = (
        f"Retraining lowers the risk for {'; for '.join(map(where, risks.predicted))} (p = {risks.p}, n = {risks.n}, "
        f"s = {risks.s}, {risks.repetitions} repetitions)."
    )
    alt = (
        "Risk of pruned and retrained models against the correlation of the features from 0 to 1, for magnitude and "
        "Hessian pruning. At 0 the retrained risk is the higher one; it falls almost linearly, crosses the pruned "
        "risk near the dotted line and is far below it close to 1."
    )
    tables = {rule: columns("correlation", "risk", *risks.rows(rule)) for rule in risks.predicted}
    return Drawing(draw, joined(tables, "rule"), "correlation", alt, caption)


def findings(risks: Correlations) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    risks : Correlations
        What was predicted and measured.
    """
    rules = list(risks.predicted)

    def change(at: int) -> tuple[str, str]:
        pairs = [[risks.measured[x][:, at].mean() for x in (rule, f"{rule}, retrained")] for rule in rules]
        verbs = {"raises" if again > alone else "lowers" for alone, again in pairs}
        numbers = ", ".join(
            f"{a:.2f} to {b:.2f} after {rule} pruning" for rule, (a, b) in zip(rules, pairs, strict=True)
        )
        return verbs.pop() if len(verbs) == 1 else "changes", numbers

    def onset(rule: str) -> str:
        same = risks.helps_from(rule)[2]
        return f"nowhere with {rule} pruning" if same is None else f"from ρ = {same:.2f} on with {rule} pruning"

    (first, at_0), (last, at_1) = change(0), change(-1)
    agrees = ", as the paper says" if (first, last) == ("raises", "lowers") else ""
    worst = max(map(risks.off, rules))
    fits = "follows" if worst <= risks.bound else "does not follow"
    return (
        f"With uncorrelated features retraining {first} the risk ({at_0}); with perfectly correlated ones it {last} it "
        f"({at_1}){agrees}.",
        f"In between, retraining on the same samples helps {' and '.join(map(onset, rules))}.",
        f"The paper's prediction {fits} fresh samples at every correlation (largest gap {worst:.1f} standard errors, "
        f"where chance allows {risks.bound:.1f}), although the theorem behind it is proved for uncorrelated features.",
    )


def lemma_1(
    fine: Floats,
    curves: Mapping[str, Floats],
    zeta: Floats,
    measured: Mapping[str, Floats],
    worst: Mapping[str, float],
) -> Drawing:
    """Return a figure of the excess risk against the share ζ of |λ|² that is kept.

    Parameters
    ----------
    fine, curves
        Shares, and by label the excess risk that Lemma 1 gives there.
    zeta, measured
        Shares measured, and by label the excess risks, (repetitions, shares).
    worst
        The largest gap from each formula, by its name, in standard errors.
    """
    lines = {label: (fine, curve) for label, curve in curves.items()}
    marks = {label: (zeta, *mean_and_error(rows)) for label, rows in measured.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.4))
        compare(axes, palette, lines, marks)
        axes.set(yscale="log", xlabel="share ζ of |λ|² that is kept", ylabel="excess risk, units of y²")
        legend(figure, axes, ncols=2, title=KEY)
        return figure

    gaps = ", ".join(f"{x:.1f} from {name}" for name, x in worst.items())
    least = ", ".join(f"{rows[:, 0].mean():.2g} ({label})" for label, rows in measured.items())
    caption = (
        f"Perfectly correlated features, Hessian pruning: at ζ = {zeta[0]:.2f} the excess risks are {least}. "
        f"Largest gaps in standard errors: {gaps} ({len(next(iter(measured.values())))} repetitions)."
    )
    alt = (
        "Excess risk on a logarithmic axis against the share of the squared loadings that is kept. The pruned risk "
        "falls steeply as the share grows to 1; the retrained risk is a flat line for each n. Markers follow the lines."
    )
    return Drawing(draw, columns("zeta", "excess_risk", lines, marks), "lemma-1", alt, caption)


@dataclass(frozen=True)
class Figure7:
    """Risks of one problem of Figure 3 after pruning and after retraining, in units of y².

    Attributes
    ----------
    name : str
        "3a" or "3b".
    p, n : int
        Numbers of features and of samples.
    fine, lines
        Widths, and by rule the predicted risks after pruning and after retraining, (2, fine).
    widths, laws, measured
        Widths measured, predictions there, and measured risks by label, as in `measured_risks`, (repetitions, widths).
    shown
        The rules that are drawn.
    """

    name: str
    p: int
    n: int
    fine: np.ndarray[Any, Any]
    lines: Mapping[str, Floats]
    widths: np.ndarray[Any, Any]
    laws: Mapping[str, Floats]
    measured: Mapping[str, Floats]
    shown: Sequence[str]

    @property
    def repetitions(self) -> int:
        """Number of data sets measured."""
        return len(next(iter(self.measured.values())))

    @property
    def pairs(self) -> int:
        """Number of pairs of rule and width."""
        return len(self.laws) * self.widths.size

    @property
    def bound(self) -> float:
        """Largest gap that chance allows over all pairs, in standard errors."""
        return deviation_bound(self.pairs, self.repetitions)

    def off(self, kind: str) -> float:
        """Return the largest gap from predicted retraining, on "fresh" or the "same" samples, in standard errors."""
        return max(
            largest_deviation(self.measured[f"{rule}, {KINDS[kind]}"], law[1]) for rule, law in self.laws.items()
        )

    def loss(self, rule: str) -> Floats:
        """Return what retraining on the same samples adds to the risk, (repetitions, widths)."""
        return self.measured[f"{rule}, retrained"] - self.measured[rule]

    def rise(self, rule: str) -> Floats:
        """Return the mean of `loss` in its standard errors, (widths,)."""
        mean, error = mean_and_error(self.loss(rule))
        return mean / error

    def hurt(self, rule: str) -> int:
        """Return at how many widths retraining raises the risk by more than chance allows."""
        return int(np.sum(self.rise(rule) > self.bound))


def figure_7(case: Figure7) -> Drawing:
    """Return Figure 7 of chang for one problem: the risk after retraining on fresh and on the same samples.

    Parameters
    ----------
    case : Figure7
        What was predicted and measured.
    """

    def panel(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
        predicted = {rule: (case.fine / case.p, case.lines[rule][1]) for rule in case.shown}
        risks = {rule: case.measured[f"{rule}, {KINDS[kind]}"] for rule in case.shown}
        return predicted, {rule: (case.widths / case.p, *mean_and_error(x)) for rule, x in risks.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.6, 4), sharey=True)
        for axes, kind in zip(both, KINDS, strict=True):
            compare(axes, palette, *panel(kind), gap_at=case.n / case.p)
            axes.set(xlabel="features used, k/p", title=f"{kind} samples", xlim=(0.08, 1.02))
        both[0].set(ylabel="risk after retraining, units of y²")
        legend(figure, both[0], ncols=len(case.shown), title=KEY)
        return figure

    def shift(rule: str) -> str:
        mean = np.mean(case.measured[f"{rule}, retrained"][:, -1])
        return f"{100 * (mean / case.laws[rule][1][-1] - 1):+.1f} percent ({rule})".replace("-", "−")

    caption = (
        f"Problem of Figure {case.name}: measured risks are up to {case.off('fresh'):.1f} standard errors from the "
        f"prediction on fresh samples and up to {case.off('same'):.1f} on the same, where chance allows "
        f"{case.bound:.1f} (p = {case.p}, {case.repetitions} repetitions). At full width the same samples give "
        f"{', '.join(map(shift, case.shown))} against the prediction."
    )
    where = f"k = n = {case.n / case.p:g} p"
    if case.name == "3a":
        alt = (
            "Risk after retraining against k/p for identity covariance, on fresh and on the same samples. The curve of "
            f"magnitude pruning rises towards {where} and is far above that of oracle pruning, which is flat."
        )
    else:
        alt = (
            "Risk after retraining against k/p for spiked covariance, on fresh and on the same samples. Magnitude "
            f"pruning is by far the highest with a peak near {where}; Hessian pruning lies much lower, oracle pruning "
            "lowest and flat."
        )
    tables = {kind: columns("k_over_p", "risk", *panel(kind)) for kind in KINDS}
    return Drawing(draw, joined(tables, "samples"), f"fig-7-{case.name}", alt, caption)


def hurts(cases: Sequence[Figure7]) -> Drawing:
    """Return a figure of what retraining on the same samples adds to the risk, a panel for each problem.

    Parameters
    ----------
    cases : sequence of Figure7
        What was predicted and measured.
    """

    def rows(each: Figure7) -> tuple[dict[str, Any], dict[str, Any]]:
        predicted = {rule: (each.fine / each.p, each.lines[rule][1] - each.lines[rule][0]) for rule in each.shown}
        return predicted, {rule: (each.widths / each.p, *mean_and_error(each.loss(rule))) for rule in each.shown}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, len(cases), figsize=(7.6, 4), sharey=True)
        for axes, each in zip(both, cases, strict=True):
            compare(axes, palette, *rows(each), gap_at=each.n / each.p)
            axes.axhline(0, color=palette.muted, linewidth=1, linestyle=":")
            axes.set(xlabel="features used, k/p", title=f"Figure {each.name}", xlim=(0.08, 1.02), ylim=(-3, 2))
            legend(axes, axes, loc="lower right")
        both[0].set(ylabel="retrained minus pruned risk, units of y²")
        return figure

    def at_full_width(each: Figure7, rule: str) -> str:
        mean, error = mean_and_error(each.loss(rule)[:, -1])
        return f"{mean:+.2f} ± {error:.2f} ({each.name}, {rule})".replace("-", "−")

    counts = " and ".join(f"{sum(map(each.hurt, each.laws))} ({each.name})" for each in cases)
    full = ", ".join(at_full_width(each, rule) for each in cases for rule in each.shown)
    caption = (
        "Retraining on the same samples (markers; lines: predicted for fresh ones) raises the risk beyond chance at "
        f"{counts} of {cases[0].pairs} pairs of rule and width. At full width it adds {full}."
    )
    alt = (
        "Retrained minus pruned risk against k/p in two panels. Near k = n the curves plunge below zero; away from it "
        "most of them are above zero."
    )
    tables = {each.name: columns("k_over_p", "risk_difference", *rows(each)) for each in cases}
    return Drawing(draw, joined(tables, "problem"), "hurts", alt, caption)
