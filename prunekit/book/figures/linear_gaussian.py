"""The figures of the page on pruning linear Gaussian problems: risk against the width, and what noise does to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import Drawing, Palette, columns, compare
from prunekit.statistics import deviation_bound, largest_deviation, mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Risks = Mapping[str, Floats]


@dataclass(frozen=True)
class Widths:
    """Risks of one problem against the number k of features used, in units of y².

    Attributes
    ----------
    p, n, s : int
        Numbers of features, of samples, and of coefficients kept.
    sigma : float
        Standard deviation of the noise, in units of y.
    fine, lines
        Widths of the law's grid, and its risks there by label.
    widths, laws, measured
        Widths measured, and by label the law's risks there and the measured ones, (repetitions, widths).
    """

    p: int
    n: int
    s: int
    sigma: float
    fine: np.ndarray[Any, Any]
    lines: Risks
    widths: np.ndarray[Any, Any]
    laws: Risks
    measured: Risks

    @property
    def retrained(self) -> list[Floats]:
        """Measured risks of the models that were retrained after pruning."""
        return [values for label, values in self.measured.items() if label not in self.lines]

    @property
    def small(self) -> list[Floats]:
        """Measured risks of the models with fewer features than samples, dense and pruned."""
        return [self.measured[label][:, self.widths < self.n] for label in self.lines]

    @property
    def gaps(self) -> Floats:
        """Measured over predicted risk, minus 1, in the mean over either side of n, (repetitions, 2 curves)."""
        sides = self.widths < self.n, self.widths > self.n
        ratios = [self.measured[label] / law - 1 for label, law in self.laws.items()]
        return np.column_stack([ratio[:, side].mean(axis=1) for ratio in ratios for side in sides])

    def steps(self, far: int) -> Floats:
        """Return rises from k = s towards n and falls beyond, over the lower mean, (repetitions, 2 curves).

        Parameters
        ----------
        far : int
            The width above n to which the risk falls; the nearest one measured is taken.
        """
        first, last = (int(np.argmin(np.abs(self.widths - k))) for k in (self.s, far))
        ends = (first, int(np.flatnonzero(self.widths < self.n)[-1])), (last, int(np.sum(self.widths < self.n)))
        risks = [self.measured[label] for label in self.lines]
        pairs = [(risk[:, low], risk[:, high]) for risk in risks for low, high in ends]
        return np.column_stack([(high - low) / low.mean() for low, high in pairs])

    @property
    def best_rival(self) -> float:
        """Lowest measured mean risk among models with k < n and retrained ones."""
        return min(float(values.mean(axis=0).min()) for values in [*self.small, *self.retrained])

    @property
    def sizes(self) -> str:
        """What a caption says of the setting."""
        repetitions = len(next(iter(self.measured.values())))
        noise = self.sigma**2
        return f"p = {self.p}, n = {self.n}, s = {self.s}, σ² = {noise:g}; {repetitions} repetitions"

    def descends_twice(self, label: str) -> bool:
        """Tell whether the measured mean risk rises from k = s towards k = n and falls again beyond."""
        means, below = self.measured[label].mean(axis=0), self.widths < self.n
        first = int(np.argmin(np.abs(self.widths - self.s)))
        return bool(means[first] < means[below][-1] and means[~below][0] > means[-1])

    def full(self, label: str) -> float:
        """Return the law's risk with all features."""
        return float(self.lines[label][-1])


def lead(rival: Floats, own: Floats) -> Floats:
    """Return by how much each risk is below the rival's, over the rival's mean.

    Parameters
    ----------
    rival, own : (repetitions, m) arrays
        Risks on the same data sets; own may have a single column.
    """
    return np.asarray((rival - own) / rival.mean(axis=0))


def figure_3a(risks: Widths) -> Drawing:
    """Return Figure 3a of chang: identity covariance, spiked coefficients.

    Parameters
    ----------
    risks : Widths
        What was predicted and measured.
    """
    caption = (
        f"Identity covariance, spiked coefficients ({risks.sizes}). With all features the law predicts "
        f"{risks.full('dense'):.3f} for the dense fit, {risks.full('magnitude'):.3f} after magnitude or Hessian "
        f"pruning and {risks.full('oracle'):.3f} after oracle pruning; the best small or retrained model was measured "
        f"at {risks.best_rival:.3f}."
    )
    alt = (
        "Risk against k/p for identity covariance and a spiked coefficient vector. All curves rise to a peak at k = n "
        f"= {risks.n / risks.p:g} p and fall again. Magnitude and Hessian pruning lie on one curve; oracle pruning is "
        "lowest."
    )
    return _against_width(risks, "fig-3a", alt, caption)


def figure_3b(risks: Widths) -> Drawing:
    """Return Figure 3b of chang: spiked covariance, flat coefficients.

    Parameters
    ----------
    risks : Widths
        What was predicted and measured.
    """
    caption = (
        f"Spiked covariance, flat coefficients ({risks.sizes}). With all features Hessian pruning is predicted at "
        f"{risks.full('Hessian'):.3f}, oracle pruning at {risks.full('oracle'):.3f}, magnitude pruning at "
        f"{risks.full('magnitude'):.3f}; the best small or retrained model was measured at {risks.best_rival:.3f}."
    )
    alt = (
        "Risk against k/p for spiked covariance and flat coefficients. After the peak at k = n = "
        f"{risks.n / risks.p:g} p, Hessian and oracle pruning fall to the dashed line of the best small or retrained "
        "model and below; magnitude pruning stays far above."
    )
    return _against_width(risks, "fig-3b", alt, caption)


def _against_width(risks: Widths, name: str, alt: str, caption: str) -> Drawing:
    """Return a figure of risk against width: the law as lines, measurements as markers."""
    n, s, p = risks.n, risks.s, risks.p
    predicted = {label: (risks.fine / p, risk) for label, risk in risks.lines.items()}
    points = {label: (risks.widths / p, *mean_and_error(risks.measured[label])) for label in predicted}
    best = risks.best_rival

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.2))
        compare(axes, palette, predicted, points, gap_at=n / p)
        axes.axvline(s / p, color=palette.muted, linewidth=1, linestyle=":")
        axes.axhline(best, color=palette.muted, linewidth=1, linestyle="--")
        words: dict[str, Any] = {"color": palette.muted, "ha": "left", "va": "top", "fontsize": 9}
        axes.text(0.31, best - 0.06, "best with k < n or retrained", **words)
        axes.set(xlim=(0, 1.02), ylim=(0, 6))
        axes.set(xlabel="features used, k/p", ylabel="population risk, units of y²")
        axes.legend(ncols=2, fontsize=9, loc="upper right")
        return figure

    return Drawing(draw, columns("k_over_p", "risk", predicted, points), name, alt, caption)


def against_noise(
    noises: Floats,
    risks: Risks,
    some: Sequence[int] | np.ndarray[Any, Any],
    points: Mapping[str, Any],
    ends: Mapping[str, float | str],
    repetitions: int,
) -> Drawing:
    """Return a figure of the risk at full width over that of the best rival, against the noise variance.

    Parameters
    ----------
    noises : (m,) array
        Noise variances σ², in units of y².
    risks : mapping of str to (m,) array
        Predicted risks by label, that of the best rival among them.
    some : sequence of int
        The positions of the noise variances that were measured.
    points : mapping of str to sequence of (mean, standard error)
        Measured risks by label.
    ends : mapping of str to (float or "never")
        Where each rule's lead ends, as `lead_ends_at` says.
    repetitions : int
        Number of data sets measured.
    """
    base, grid = np.asarray(risks["best rival"]), np.asarray(noises)
    predicted = {label: (grid, risk / base) for label, risk in risks.items()}
    measured = {label: (grid[some], *(np.array(rows).T / base[some])) for label, rows in points.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 3.6))
        compare(axes, palette, predicted, measured)
        axes.set(xlabel="noise variance σ² (a weak feature's saliency is 1/p)")
        axes.set(ylabel="risk / risk predicted for best rival")
        axes.legend(ncols=2, fontsize=9)
        return figure

    bears = {rule: "at every σ² shown" if end == "never" else f"up to σ² = {end:.2f}" for rule, end in ends.items()}
    caption = (
        "How the claim depends on the noise that the paper does not print: Hessian pruning at full width is predicted "
        f"to lead its best rival {bears['Hessian']}, oracle pruning {bears['oracle']} ({repetitions} repetitions)."
    )
    alt = (
        "Risk at full width divided by the risk of the best small or retrained model, against the noise variance from "
        f"{grid[0]:g} to {grid[-1]:g}. Both pruning rules start below 1 and rise; the curve of Hessian pruning lies "
        "above that of oracle pruning."
    )
    return Drawing(draw, columns("noise_variance", "relative_risk", predicted, measured), "noise", alt, caption)


def lead_ends_at(noises: Floats, risks: Floats, rival: Floats) -> float | str:
    """Return the noise variance at which a predicted lead over a rival ends, or "never" if it does not.

    Parameters
    ----------
    noises, risks, rival : (m,) arrays
        Noise variances, increasing, and the two predicted risks there.
    """
    gap = rival - risks
    lost = np.flatnonzero(gap <= 0)
    if not lost.size or lost[0] == 0:
        return "never" if not lost.size else 0.0
    i = lost[0]
    return float(np.interp(0, gap[[i, i - 1]], noises[[i, i - 1]]))


def findings(a: Widths, b: Widths) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    a, b : Widths
        The risks of Figures 3a and 3b.
    """
    gaps = [largest_deviation(each.measured[label], risk) for each in (a, b) for label, risk in each.laws.items()]
    count = len(gaps) * a.widths.size
    allowed = deviation_bound(count, len(next(iter(a.measured.values()))))
    predicts = "predicts" if max(gaps) <= allowed else "does not predict"
    twice = "has two descents" if all(a.descends_twice(label) for label in a.lines) else "does not always descend twice"
    worst = max(float(b.measured[rule][:, -1].mean()) for rule in ("Hessian", "oracle"))
    wins = "beats" if worst < b.best_rival else "does not beat"
    says = "as" if wins == "beats" else "other than"
    return (
        f"One formula {predicts} the risk after pruning at every width: the largest of {count} gaps between law and "
        f"measurement is {max(gaps):.1f} standard errors, where chance allows {allowed:.1f}.",
        f"The measured risk {twice}, before and after the width at which features and samples are equally many.",
        f"In the setting of Figure 3b the large model, pruned, {wins} every small and every retrained one, {says} the "
        f"paper says (mean risk at most {worst:.3f}, and {b.best_rival:.3f} for the best rival).",
    )
