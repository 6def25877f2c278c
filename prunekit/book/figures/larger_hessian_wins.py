"""The figures of the page on the race of groups of weights: importance along training, the limit, one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIRST, OTHERS = "group 1", "all other groups"


@dataclass(frozen=True)
class Race:
    """Natural importance along gradient descent, by step, in units of the first loss.

    Attributes
    ----------
    kappa : float
        κ of the first group, its largest curvature over the sum of all smallest ones.
    q : (steps + 1,) array
        (1 - ημ)^τ by step τ.
    own, others : (steps + 1,) arrays
        Importance of the first group, and of all others together.
    """

    kappa: float
    q: Floats
    own: Floats
    others: Floats

    @property
    def curves(self) -> dict[str, dict[str, Floats]]:
        """Measured importance and its bounds by group: li's (4.6) and (4.7), and those of least squares."""
        kappa, q = self.kappa, self.q
        return {
            FIRST: {
                "measured": self.own,
                "(4.6)": 8 * kappa**2 + 4 * kappa * q**0.5,
                "least-squares bound": kappa**2 + 2 * kappa * q,
            },
            OTHERS: {
                "measured": self.others,
                "(4.7)": 1 - 8 * kappa**2 - 4 * kappa - q,
                "least-squares bound": max(1 - kappa, 0) ** 2 - q**2,
            },
        }


def along_training(race: Race) -> Drawing:
    """Return a figure of natural importance along gradient descent, a panel for each side of the race.

    Parameters
    ----------
    race : Race
        The race of one run.
    """
    curves, time = race.curves, np.arange(race.q.size)

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, row = plt.subplots(1, 2, figsize=(7.6, 4.0))
        for axes, (group, lines) in zip(row, curves.items(), strict=True):
            for k, (label, y) in enumerate(lines.items()):
                style: dict[str, Any] = {"color": palette.series[k], "label": label}
                if label == "measured":
                    axes.plot(time[::5], y[::5], "o", markerfacecolor="none", **style)
                else:
                    axes.plot(time, y, linestyle=DASHES[k], **style)
            axes.set(xlabel="iteration τ", ylabel="natural importance / loss at start", title=group)
            axes.legend(fontsize=9, loc="upper center", ncols=2, bbox_to_anchor=(0.5, -0.18))
        row[0].set(yscale="log")
        row[1].set(ylim=(-0.6, 1.05))
        return figure

    numbers: dict[str, Any] = {"iteration": time}
    for group, lines in curves.items():
        numbers |= {f"{group}, {label}": y for label, y in lines.items()}
    last = {group: {label: y[-1] for label, y in lines.items()} for group, lines in curves.items()}
    one, rest = last[FIRST], last[OTHERS]
    caption = (
        f"Natural importance along gradient descent, with κ = {race.kappa:.3f} for group 1. After {time[-1]} steps "
        f"group 1 has {one['measured']:.2g} of the first loss, where (4.6) allows {one['(4.6)']:.2g} and least squares "
        f"{one['least-squares bound']:.2g}; the others have {rest['measured']:.3f}, where (4.7) asks for "
        f"{rest['(4.7)']:.3f} and least squares for {rest['least-squares bound']:.3f}."
    )
    alt = (
        "Two panels of natural importance against the iteration. Left, logarithmic: group 1 stays below the "
        "least-squares bound and the bound (4.6) above that. Right: the other groups rise towards 1, above both "
        "lower bounds."
    )
    return Drawing(draw, numbers, "along-training", alt, caption)


Limits = Mapping[str, Mapping[str, Floats]]
_IMPORTANCE = ("importance", "natural importance / L(θ₀)", 2)
# For each panel its horizontal and its vertical quantity, the label, the power of the bounds, and their factors.
_PANELS: tuple[tuple[str, str, str, int, dict[str, int]], ...] = (
    ("kappa", "moved_mu", "displacement² · μ / L(θ₀)", 1, {"(4.5)": 8, "least squares": 2}),
    ("kappa", *_IMPORTANCE, {"(4.6), limit": 8, "least squares": 1}),
    ("kappa_tilde", "moved_L", "displacement² · L / L(θ₀)", 1, {"(B.18)": 2}),
    ("kappa_tilde", *_IMPORTANCE, {"(B.19)": 1}),
)
_X_LABELS = {"kappa": "κ = Lᵢ/μ", "kappa_tilde": "κ̃ = μᵢ/L"}


def tightness(limits: Limits, tightest: Mapping[str, float]) -> Drawing:
    """Return a figure of displacement and importance at the limit of descent against the curvatures, with the bounds.

    Parameters
    ----------
    limits : mapping of spectrum to mapping of str to (D, problems) array
        The arrays kappa, moved_mu, importance, kappa_tilde and moved_L; the first group is drawn.
    tightest : mapping of bound to float
        Nearest ratio of the left sides to (4.5), (4.6), (B.18) and (B.19), over all groups.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, grid = plt.subplots(2, 2, figsize=(7.6, 6.8))
        for axes, panel in zip(grid.flat, _PANELS, strict=True):
            _against_curvature(axes, palette, limits, panel)
        return figure

    columns = next(iter(limits.values()))
    numbers: dict[str, Any] = {"spectrum": [s for s, v in limits.items() for _ in v["kappa"][0]]}
    numbers |= {name: np.concatenate([v[name][0] for v in limits.values()]) for name in columns}
    loosest = {name: np.median(v["moved_L"] / v["kappa_tilde"]) / 2 for name, v in limits.items()}
    caption = (
        "The first group at the limit of gradient descent. Over all groups the left sides reach "
        f"{tightest['4.5']:.3f} of (4.5) and {tightest['4.6']:.3f} of the limit of (4.6), and come down to "
        f"{tightest['B.18']:.3f} times (B.18) and {tightest['B.19']:.3f} times (B.19). The median ratio to (B.18) is "
        + ", ".join(f"{value:.3g} for the {name} spectrum" for name, value in loosest.items())
        + "."
    )
    alt = (
        "Four panels with logarithmic axes. Above: squared displacement and natural importance against κ, below the "
        "lines of the upper bounds. Below: the same against κ̃, above the lines of the lower bounds. Flat spectra lie "
        "on the least-squares lines, Gaussian ones further off."
    )
    return Drawing(draw, numbers, "tightness", alt, caption)


def _against_curvature(
    axes: Axes, palette: Palette, limits: Limits, panel: tuple[str, str, str, int, Mapping[str, int]]
) -> None:
    """Draw one panel: a marker for each problem, a line for each bound."""
    x, y, ylabel, power, factors = panel
    for k, (spectrum, v) in enumerate(limits.items()):
        look: dict[str, Any] = {"markersize": 4, "markerfacecolor": "none", "color": palette.series[k]}
        axes.plot(v[x][0], v[y][0], MARKERS[k], label=spectrum, **look)
    drawn = np.concatenate([v[x][0] for v in limits.values()])
    ends = np.array([drawn.min(), drawn.max()])
    for (label, factor), dash in zip(factors.items(), DASHES, strict=False):
        axes.plot(ends, factor * ends**power, linestyle=dash, color=palette.ink, label=label)
    axes.set(xscale="log", yscale="log", xlabel=_X_LABELS[x], ylabel=ylabel)
    axes.minorticks_off()
    axes.legend(fontsize=8, loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.2))


def one_sample(kappa: Floats, limit: Floats, peak: Floats, halfway: int) -> Drawing:
    """Return a figure of the other groups' importance for one sample, at the limit and on the way.

    Parameters
    ----------
    kappa : (m,) array
        κ̃ of the first group.
    limit, peak : (m,) arrays
        Importance of the others at the limit of descent, and the largest on the way, in units of the first loss.
    halfway : int
        The problem of which the caption tells.
    """
    fine = np.linspace(0, 1, 101)
    bounds = {
        "(B.20) as printed": 1 - fine**2 - 2 * fine,
        "(1 - κ̃)²": (1 - fine) ** 2,
        "(1 - κ̃)/(1 + κ̃)": (1 - fine) / (1 + fine),
    }
    measured = {"limit": limit, "largest on the way": peak}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7.2, 4.2))
        for k, (label, y) in enumerate(bounds.items()):
            axes.plot(fine, y, linestyle=DASHES[k], color=palette.series[k], label=label)
        for k, (label, y) in enumerate(measured.items(), 1):
            look: dict[str, Any] = {"color": palette.series[k], "markersize": 5, "markerfacecolor": "none"}
            axes.plot(kappa, y, linestyle="none", marker=MARKERS[k - 1], label=f"measured, {label}", **look)
        axes.axhline(0, color=palette.muted, linewidth=1)
        axes.set(xlim=(0, 1), ylim=(-2.02, 1.02), xlabel="κ̃ = μᵢ/L", ylabel="I of the others / loss at start")
        axes.legend(fontsize=9, loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.16))
        return figure

    rows = [(label, x, y) for label, ys in bounds.items() for x, y in zip(fine, ys, strict=True)]
    rows += [(label, x, y) for label, ys in measured.items() for x, y in zip(kappa, ys, strict=True)]
    numbers = dict(zip(("label", "kappa_tilde", "importance"), map(list, zip(*rows, strict=True)), strict=True))
    printed = 1 - kappa**2 - 2 * kappa
    off = np.max(np.abs(limit - (1 - kappa) ** 2))
    caption = (
        f"One sample, {kappa.size} problems. The limit exceeds the printed (B.20) in {int(np.sum(limit > printed))} of "
        f"them; its largest distance from (1 - κ̃)² is {off:.0e}. At κ̃ = {kappa[halfway]:.3f}: printed "
        f"{printed[halfway]:.3f}, limit {limit[halfway]:.3f}, largest on the way {peak[halfway]:.3f}."
    )
    alt = (
        "Natural importance of the other groups against κ̃ for one sample. The printed bound runs below the measured "
        "limits, which lie on (1 - κ̃)². The largest values during training lie higher, on (1 - κ̃)/(1 + κ̃)."
    )
    return Drawing(draw, numbers, "one-sample", alt, caption)


def findings(race: Race) -> Sequence[str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    race : Race
        The race of one run.
    """
    curves = race.curves
    ends = {group: {label: float(y[-1]) for label, y in lines.items()} for group, lines in curves.items()}
    own, rest = ends[FIRST], ends[OTHERS]
    over = np.max(race.own - curves[FIRST]["(4.6)"])
    under = np.min(race.others - curves[OTHERS]["(4.7)"])
    hold = "hold" if over <= 1e-9 and under >= -1e-9 else "do not hold"
    return (
        f"A group with little of the curvature (κ = {race.kappa:.3f}) ends with {own['measured']:.2g} of the first "
        f"loss as its importance, all others together with {rest['measured']:.3f}.",
        f"The bounds (4.6) and (4.7) {hold} at every one of the {race.q.size - 1} iterations.",
        f"They leave room: (4.6) allows {own['(4.6)'] / own['measured']:.2g} times what is measured in the end, bounds "
        f"for least squares {own['least-squares bound'] / own['measured']:.2g} times.",
    )
