"""The figures of the page on covariance bias: test loss after pruning, the size of the law's noise, and the credit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import Drawing, Palette, columns, compare
from prunekit.statistics import deviation_bound, mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Case = tuple[float, str]  # a scaling λ and a pruning rule
Law = tuple[Floats, Floats]  # means and standard errors


@dataclass(frozen=True)
class Pruned:
    """Test losses of pruned fits, in units of y², by scaling λ and rule.

    Attributes
    ----------
    p, n : int
        Numbers of features and of samples.
    sigma : float
        Standard deviation of the noise, in units of y.
    kept : (k,) array
        Numbers of weights kept, a tenth of the features among them.
    laws : mapping of (λ, rule) to ((k,) array, (k,) array)
        The mean that the law predicts, and its standard error over the law's draws.
    measured : mapping of (λ, rule) to (repetitions, k) array
        Losses of the minimum-norm fits.
    """

    p: int
    n: int
    sigma: float
    kept: np.ndarray[Any, Any]
    laws: Mapping[Case, Law]
    measured: Mapping[Case, Floats]

    @property
    def sizes(self) -> str:
        """What a caption says of the setting."""
        repetitions = len(next(iter(self.measured.values())))
        return f"p = {self.p}, n = {self.n}, σ = {self.sigma:g}; {repetitions} repetitions"

    @property
    def shares(self) -> Floats:
        """Weights kept, as shares of all."""
        return np.asarray(self.kept / self.p)

    def predicted(self, lam: float, rule: str, s: int) -> float:
        """Return the law's loss with s weights, one of those in `kept`."""
        return float(self.laws[lam, rule][0][list(self.kept).index(s)])

    def mean(self, lam: float, rule: str, s: int) -> float:
        """Return the mean measured loss with s weights, one of those in `kept`."""
        return float(self.measured[lam, rule][:, list(self.kept).index(s)].mean())

    def gap(self, lam: float, rule: str, law: Law | None = None) -> float:
        """Return the largest gap between a law (by default its own) and the measurement, in standard errors of both."""
        mean, error = mean_and_error(self.measured[lam, rule])
        loss, loss_error = self.laws[lam, rule] if law is None else law
        return float(np.max(np.abs(mean - loss) / np.hypot(error, loss_error)))

    def widest(self, cases: Sequence[Case]) -> dict[str, float]:
        """Return the largest gap between law and measurement over some cases, and the error of both there."""
        gaps = []
        for case in cases:
            (mean, error), (loss, loss_error) = mean_and_error(self.measured[case]), self.laws[case]
            worst = int(np.argmax(np.abs(mean - loss)))
            gaps.append((float(abs(mean - loss)[worst]), float(np.hypot(error, loss_error)[worst])))
        return dict(zip(("measured", "error"), max(gaps), strict=True))

    def points(self, lam: float, rule: str) -> tuple[Floats, Floats, Floats]:
        """Return shares, mean losses and their standard errors."""
        return (self.shares, *mean_and_error(self.measured[lam, rule]))


def smallest(differences: Floats) -> dict[str, float]:
    """Return the smallest mean of differences (repetitions, k) and its error, as `prunekit.check` takes them."""
    mean, error = mean_and_error(differences)
    place = int(np.argmin(mean))
    return {"measured": float(mean[place]), "error": float(error[place])}


def largest(differences: Floats) -> dict[str, float]:
    """Return the largest mean in size of differences (repetitions, k) and its error."""
    mean, error = mean_and_error(differences)
    place = int(np.argmax(np.abs(mean)))
    return {"measured": float(abs(mean[place])), "error": float(error[place])}


def figure_1(pruned: Pruned, lam: float, name: str) -> Drawing:
    """Return Figure 1a or 1b of li: test loss against the weights kept, without scaling and at one λ.

    Parameters
    ----------
    pruned : Pruned
        What was predicted and measured.
    lam : float
        The scaling λ, other than 1.
    name : str
        The figure's name.
    """
    cases = {"λ = 1, either rule": (1.0, "magnitude")}
    cases |= {f"λ = {lam:g}, {rule}": (lam, rule) for rule in ("magnitude", "Hessian")}
    lines = {label: (pruned.shares, pruned.laws[case][0]) for label, case in cases.items()}
    points = {label: pruned.points(*case) for label, case in cases.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.2))
        compare(axes, palette, lines, points)
        nothing = 1 + pruned.sigma**2
        axes.axhline(nothing, color=palette.muted, linewidth=1, linestyle=":")
        words: dict[str, Any] = {"color": palette.muted, "ha": "right", "va": "bottom", "fontsize": 9}
        axes.text(1, nothing, "no weights", **words)
        axes.set(xlabel="weights kept, s/p", ylabel="test loss, units of y²", ylim=(0, 1.2 * nothing))
        _legend_of_points(axes)
        return figure

    tenth = pruned.p // 10
    magnitude, hessian = (pruned.predicted(lam, rule, tenth) for rule in ("magnitude", "Hessian"))
    caption = (
        f"Lines are the law, markers are measured ({pruned.sizes}). With a tenth of the weights the law gives "
        f"{hessian:.3f} for Hessian and {magnitude:.3f} for magnitude pruning at λ = {lam:g}, and "
        f"{pruned.predicted(1.0, 'magnitude', tenth):.3f} for both at λ = 1."
    )
    alt = "Test loss against the share of weights kept. " + (
        "At the larger λ Hessian pruning falls steeply to a share of one tenth and stays lowest. Magnitude pruning "
        "starts near the loss of no weights, lies above λ = 1 for small shares and below it for large ones."
        if lam > 1
        else "Both curves for the smaller λ lie above the curve for λ = 1 and meet where all weights are kept; before, "
        "Hessian pruning lies above magnitude pruning."
    )
    return Drawing(draw, columns("share", "loss", lines, points), name, alt, caption)


def _legend_of_points(axes: Axes) -> None:
    """Add a legend below that names each label once, by its markers."""
    handles = {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    shown = {label.removesuffix(", measured"): h for label, h in handles.items() if label.endswith(", measured")}
    axes.legend(list(shown.values()), list(shown), fontsize=9, loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.16))


def noise_size(pruned: Pruned, printed: Mapping[Case, Law]) -> Drawing:
    """Return a figure of the law with h of variance 1/p and with the printed 1/n, a panel for each case.

    Parameters
    ----------
    pruned : Pruned
        What was predicted, with variance 1/p, and measured.
    printed : mapping of (λ, rule) to ((k,) array, (k,) array)
        What the law predicts with variance 1/n.
    """
    lines = {
        case: {
            "h ~ N(0, I/p)": (pruned.shares, pruned.laws[case][0]),
            "h ~ N(0, I/n)": (pruned.shares, law[0]),
        }
        for case, law in printed.items()
    }
    points = {case: {"min-norm": pruned.points(*case)} for case in printed}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, row = plt.subplots(1, len(lines), figsize=(7.6, 3.9), sharey=True, squeeze=False)
        for axes, case in zip(row[0], lines, strict=True):
            compare(axes, palette, lines[case], points[case])
            axes.set(title=f"λ = {case[0]:g}, {case[1]} pruning", ylim=(0, None), xlabel="weights kept, s/p")
        row[0, 0].set(ylabel="test loss, units of y²")
        figure.legend(*row[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
        return figure

    tables = {case: columns("share", "loss", lines[case], points[case]) for case in lines}
    first = next(iter(tables.values()))
    numbers = {name: [entry for table in tables.values() for entry in table[name]] for name in first}
    numbers["scaling"] = [case[0] for case, table in tables.items() for _ in table["share"]]
    own = max(pruned.gap(*case) for case in printed)
    other = max(pruned.gap(*case, law) for case, law in printed.items())
    caption = (
        f"Both sizes of h against the measurement ({pruned.sizes}). The largest gap is {own:.1f} standard errors for "
        f"N(0, I/p) and {other:.0f} for the printed N(0, I/n)."
    )
    alt = (
        "Test loss against the share of weights kept, in two panels. In each the markers of the measured solution "
        "follow the solid line of h with variance 1/p; the dashed line of variance 1/n lies above, most where many "
        "weights are kept."
    )
    return Drawing(draw, numbers, "noise-size", alt, caption)


def credit(shares: Floats, truth: Floats, training: Mapping[float, Floats], tenth: int) -> Drawing:
    """Return Figure 1c of li: natural importance of the first weights, in truth and in training.

    Parameters
    ----------
    shares : (k,) array
        How many of the first weights are taken, as shares of all.
    truth : (k,) array
        Their importance for the test loss at the true coefficients, in units of y².
    training : mapping of λ to (repetitions, k) array
        Their importance for the training loss at the fit, in units of y².
    tenth : int
        The position of one tenth among the shares.
    """
    points = {f"training, λ = {lam:g}": (shares, *mean_and_error(values)) for lam, values in training.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.0))
        axes.plot(shares, truth, color=palette.ink, label="test, exact")
        compare(axes, palette, {}, points)
        axes.axvline(shares[tenth], color=palette.muted, linewidth=1, linestyle=":")
        axes.text(shares[tenth], 0.02, " the first tenth", color=palette.muted, fontsize=9)
        axes.set(xlabel="first weights, s/p", ylabel="natural importance, units of y²", ylim=(0, None))
        axes.legend(fontsize=9, loc="upper center", ncols=2, bbox_to_anchor=(0.5, -0.16))
        return figure

    distance = {lam: float(np.mean(np.abs(values - truth))) for lam, values in training.items()}
    said = ", ".join(f"{values[:, tenth].mean():.3f} at λ = {lam:g}" for lam, values in training.items())
    apart = ", ".join(f"{each:.3f}" for each in distance.values())
    repetitions = len(next(iter(training.values())))
    caption = (
        f"The first tenth of the weights has a training importance of {said}; its test importance is "
        f"{truth[tenth]:.3f}. The mean distances between training and test curve are {apart}, in the same order "
        f"({repetitions} repetitions)."
    )
    alt = (
        "Natural importance of the first s weights against s/p. The test curve rises steeply and levels off. The "
        "training curve for the largest λ follows it over the first tenth; those for smaller λ lie "
        "below, the smallest lowest."
    )
    numbers = columns("share", "natural_importance", {"test": (shares, truth)}, points)
    return Drawing(draw, numbers, "fig-1c", alt, caption)


def findings(pruned: Pruned, small: float, large: float) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    pruned : Pruned
        What was predicted and measured.
    small, large : float
        The two scalings.
    """
    tenth = pruned.p // 10
    base = pruned.mean(1.0, "magnitude", tenth)
    at = {case: pruned.mean(*case, tenth) for case in pruned.measured}
    verb = {case: "gains" if loss < base else "loses" for case, loss in at.items()}
    own = [case for case in pruned.measured if case != (1.0, "Hessian")]  # without scaling both rules are the same
    worst, count = max(pruned.gap(*case) for case in own), len(own) * pruned.kept.size
    allowed = deviation_bound(count, len(pruned.measured[own[0]]))
    fits = "predicts" if worst <= allowed else "does not predict"
    return (
        f"When the tenth of the features that matter most is multiplied by {large:g}, pruning to a tenth of the "
        f"weights {verb[large, 'Hessian']} if it goes by the Hessian (test loss {at[large, 'Hessian']:.2f} in place of "
        f"{base:.2f}) and {verb[large, 'magnitude']} if it goes by magnitude ({at[large, 'magnitude']:.2f}).",
        f"When it is multiplied by {small:g}, Hessian pruning {verb[small, 'Hessian']} ({at[small, 'Hessian']:.2f}) "
        f"and magnitude pruning {verb[small, 'magnitude']} ({at[small, 'magnitude']:.2f}).",
        f"The law of Definition 3.2 {fits} all of this, with noise of variance 1/p in place of the printed 1/n: the "
        f"largest of {count} gaps is {worst:.1f} standard errors, where chance allows {allowed:.1f}.",
    )
