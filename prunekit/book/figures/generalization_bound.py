"""The figures of the page on the generalization bound: its terms, where its slack is, and Corollary 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette
from prunekit.stable.bound import Terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {1: "one hidden layer", 4: "four hidden layers"}
MOVES = ("measured", "with spectral norms", "allowed by the bound")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SMALL: dict[str, Any] = {"fontsize": 8, "columnspacing": 0.8, "handletextpad": 0.4}


@dataclass(frozen=True)
class Family:
    """Trained networks of one size, and what the bound is made of for them.

    Attributes
    ----------
    terms : Terms
        The terms that do not depend on the share kept; their radius is the largest norm of a network.
    kept : (shares,) array
        Shares κ of the weights kept in each layer.
    margins : (networks, n) array
        Margins of the training examples before pruning.
    errors : (shares,) array
        Largest relative error of a layer.
    tested : (networks, shares) array
        Test error after pruning.
    least : (networks, shares) array
        The corrected bound at the threshold that is the best for each.
    """

    terms: Terms
    kept: Floats
    margins: Floats
    errors: Floats
    tested: Floats
    least: Floats

    @property
    def median(self) -> float:
        """Median margin of all networks on the training examples."""
        return float(np.median(self.margins))

    @property
    def second(self) -> Floats:
        """Second term of the bound for each share, τ being the median margin."""
        return np.array([self.terms.complexity(self.median, float(k)) for k in self.kept])

    @property
    def change(self) -> Floats:
        """Change of an output difference that the bound allows for at each share, in units of the median margin."""
        return np.array([self.terms.change(float(e)) for e in self.errors]) / self.median


Families = Mapping[tuple[int, int], Family]


def terms(families: Families) -> Drawing:
    """Return the figure of the second term and of the change that the bound allows for, against the share kept.

    Parameters
    ----------
    families : mapping of (hidden layers, width) to Family
        What the bound is made of, for networks of each size.
    """
    depths = list(dict.fromkeys(depth for depth, _ in families))

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, grid = plt.subplots(2, len(depths), figsize=(7.8, 6.4), sharex="col", sharey="row", squeeze=False)
        for column, depth in zip(grid.T, depths, strict=True):
            own = [(width, family) for (layers, width), family in families.items() if layers == depth]
            for i, (width, family) in enumerate(own):
                look = _look(palette, i) | {"label": f"width {width}"}
                column[0].plot(family.kept, family.second, **look)
                column[1].plot(family.kept, family.change, **look)
            for axes in column:
                axes.axhline(1, color=palette.ink, linewidth=1)
                axes.set(xscale="log", yscale="log")
            column[0].set(title=NAMES[depth])
            column[1].set(xlabel="share of weights kept, κ")
        grid[0, 0].set(ylabel="second term, τ = median margin")
        grid[1, 0].set(ylabel="allowed change / median margin")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9)
        return figure

    rows = [
        {
            "hidden_layers": depth,
            "width": width,
            "weights": each.terms.d,
            "kept": k,
            "norm": each.terms.radius,
            "layer_error": each.errors[j],
            "second_term": each.second[j],
            "change_over_margin": each.change[j],
            "least_bound": each.least[:, j].mean(),
            "test_error": each.tested[:, j].mean(),
        }
        for (depth, width), each in families.items()
        for j, k in enumerate(each.kept)
    ]
    smallest, change = (min(row[name] for row in rows) for name in ("second_term", "change_over_margin"))
    n = next(iter(families.values())).terms.n
    says = "both terms are far too large to say anything" if min(smallest, change) > 1 else "not all terms are above 1"
    caption = (
        f"A bound on an error rate is empty above 1 (the line), and {says}: the second term is at least "
        f"{_said(smallest)}, and pruning is allowed to move outputs by at least {_said(change)} times the median "
        f"margin. Trained networks on digits, {n} examples."
    )
    alt = (
        "Four panels on logarithmic axes against the share of weights kept: above the second term of the bound, below "
        "the change of outputs that it allows for, in units of the median margin; left for one hidden layer, right for "
        "four. A line marks 1, above which a bound on an error rate is empty."
    )
    return Drawing(draw, {key: [row[key] for row in rows] for key in rows[0]}, "terms", alt, caption)


def _power(exponent: float) -> str:
    """Return the nearest power of 10, as text."""
    return "10" + f"{exponent:.0f}".translate(SUPERSCRIPTS)


def _said(value: float) -> str:
    """Return a number to two digits, as a reader would write it."""
    rounded = float(f"{value:.2g}")
    if 1e-3 <= rounded < 1e5:
        return f"{rounded:,g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·{_power(int(exponent))}"


def _look(palette: Palette, i: int) -> dict[str, Any]:
    """Return how the i-th series looks."""
    line: dict[str, Any] = {"color": palette.series[i], "marker": MARKERS[i], "linestyle": DASHES[i]}
    return line | {"markerfacecolor": "none"}


def findings(families: Families) -> tuple[str, str, str]:
    """Return what the page found, in three sentences.

    Parameters
    ----------
    families : mapping of (hidden layers, width) to Family
        What the bound is made of, for networks of each size.
    """
    least = np.concatenate([each.least.ravel() for each in families.values()])
    tested = np.concatenate([each.tested.ravel() for each in families.values()])
    informative, broken = np.mean(least < 1), int(np.sum(tested > least))
    holds = "holds" if broken == 0 else f"fails in {broken} of {least.size} cases"
    empty = "and says nothing" if informative == 0 else f"and says something in {informative:.0%} of cases"
    sizes = {
        depth: min((width, each) for (layers, width), each in families.items() if layers == depth)
        for depth, _ in families
    }
    second = min(float(each.second.min()) for each in families.values())
    change = min(float(each.change.min()) for each in families.values())
    need = " and ".join(
        f"{_power(each.terms.examples_needed(each.median, float(each.kept[0])))} training examples with {NAMES[depth]}"
        for depth, (_, each) in sizes.items()
    )
    beyond = "far more than any margin bears" if change > 1 else "which some margins bear"
    return (
        f"Theorem 4, corrected, {holds} on trained networks {empty}: test errors after pruning lie between "
        f"{tested.min():.1%} and {tested.max():.0%}, and the least bound of any network is {_said(least.min())}.",
        f"What the bound charges for the weights is at least {_said(second)}; for the smallest networks and the "
        f"smallest share kept it would take {need} to bring it down to 1.",
        f"It allows pruning to move outputs by at least {_said(change)} times the median margin, {beyond}.",
    )


def slack(families: Families, moves: Mapping[tuple[int, int], Floats]) -> Drawing:
    """Return the figure of how far pruning moves margins, and how far the bound lets it.

    Parameters
    ----------
    families : mapping of (hidden layers, width) to Family
        The networks.
    moves : mapping of (hidden layers, width) to (shares, 3) array
        Means over networks of the largest change of a margin and of two upper bounds, in the order of `MOVES`.
    """
    depths = list(dict.fromkeys(depth for depth, _ in moves))
    shown = {depth: max(width for layers, width in moves if layers == depth) for depth in depths}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, row = plt.subplots(1, len(depths), figsize=(7.8, 3.9), sharey=True, squeeze=False)
        for axes, depth in zip(row[0], depths, strict=True):
            for i, label in enumerate(MOVES):
                kept, values = families[depth, shown[depth]].kept, moves[depth, shown[depth]]
                axes.plot(kept, values[:, i], label=label, **_look(palette, i))
            axes.set(xscale="log", yscale="log", xlabel="share of weights kept, κ")
            axes.set(title=f"{NAMES[depth]} of {shown[depth]}")
        row[0, 0].set(ylabel="change of a margin")
        figure.legend(*row[0, 0].get_legend_handles_labels(), fontsize=8, ncols=3, loc="outside lower center")
        return figure

    numbers: dict[str, Any] = {
        "hidden_layers": [depth for depth, width in moves for _ in families[depth, width].kept],
        "width": [width for depth, width in moves for _ in families[depth, width].kept],
        "kept": [k for key in moves for k in families[key].kept],
    }
    numbers |= {label: [value for m in moves.values() for value in m[:, i]] for i, label in enumerate(MOVES)}
    tightest = {d: np.min(moves[d, w][:, 2] / moves[d, w][:, 0]) for d, w in shown.items()}
    caption = (
        "The bound allows for at least "
        + " and ".join(
            f"{_said(ratio)} times the measured change with {NAMES[depth]}" for depth, ratio in tightest.items()
        )
        + ". The line between has the layers' spectral norms instead of Frobenius norms, which the product does not "
        "need; the error ε stays in Frobenius norms, so that it is a guide and not a theorem."
    )
    alt = (
        "Largest change of a training margin after pruning against the share kept, on logarithmic axes, with two upper "
        "bounds: one with the layers' spectral norms, and the bound of the theorem. Left one hidden layer, right four."
    )
    return Drawing(draw, numbers, "slack", alt, caption)


@dataclass(frozen=True)
class Layers:
    """One trained network, its layers taken to be stable: the constants of Corollary 1, and second terms at κ = 0.1.

    Attributes
    ----------
    hidden_layers, width, weights, network : int
        The network's size, the number of its weights, and its number among those of its kind.
    alpha, sigma_0 : float
        Smallest tail index of a layer, and the scale σ₀.
    norm, radius : float
        Norm of its weights, and the radius that the corollary puts in its place.
    theorem_4, corollary_1 : float
        Second terms, τ being the median margin.
    may_fail : float
        Probability with which the corollary may fail.
    """

    hidden_layers: int
    width: int
    weights: int
    network: int
    alpha: float
    sigma_0: float
    norm: float
    radius: float
    theorem_4: float
    corollary_1: float
    may_fail: float


def column(rows: Sequence[Layers], depth: int, name: str) -> Floats:
    """Return a quantity for all networks of a number of hidden layers."""
    return np.array([getattr(row, name) for row in rows if row.hidden_layers == depth], dtype=float)


def corollary(rows: Sequence[Layers]) -> Drawing:
    """Return the figure of the radius of Corollary 1 and of the second terms, against the number of weights.

    Parameters
    ----------
    rows : sequence of Layers
        One for each trained network.
    """
    depths = list(dict.fromkeys(row.hidden_layers for row in rows))

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt
        from matplotlib.ticker import NullFormatter

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.9))
        for i, depth in enumerate(depths):
            look: dict[str, Any] = {"color": palette.series[i], "linestyle": "none", "markerfacecolor": "none"}
            d, over = column(rows, depth, "weights"), column(rows, depth, "radius") / column(rows, depth, "norm")
            left.plot(d, over, marker=MARKERS[i], label=NAMES[depth], **look)
            ends, power = np.array([d.min(), d.max()]), 0.5 + 0.5 / (depth + 1)
            dash: dict[str, Any] = {"color": palette.series[i], "linestyle": DASHES[i]}
            left.plot(ends, ends**power, label=f"$d^{{1/2+1/(2L)}}$, L = {depth + 1}", **dash)
            for name, label, marker in (
                ("theorem_4", "Theorem 4", MARKERS[i]),
                ("corollary_1", "Corollary 1", "*x"[i]),
            ):
                right.plot(d, column(rows, depth, name), marker=marker, label=f"{label}, L = {depth + 1}", **look)
        right.axhline(1, color=palette.ink, linewidth=1)
        for axes in (left, right):
            axes.set(xscale="log", yscale="log", xlabel="number of weights, d")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2), **SMALL)
        left.set(ylabel="radius of Corollary 1 over the norm")
        right.set(ylabel="second term, τ = median margin")
        return figure

    ratios = np.array([row.radius / row.norm for row in rows])
    terms = " and ".join(
        f"at least {_said(column(rows, depth, 'corollary_1').min())} with {NAMES[depth]} (Theorem 4: "
        f"{_said(column(rows, depth, 'theorem_4').min())})"
        for depth in depths
    )
    caption = (
        f"The corollary's radius is {_said(ratios.min())} to {_said(ratios.max())} times the norm of the weights; "
        "lines: the factor that the union bound gives away on stable weights. Its second term at 10% of the weights is "
        f"{terms}. It may fail with a probability of up to {max(row.may_fail for row in rows):.2f}."
    )
    alt = (
        "Two panels on logarithmic axes against the number of weights, a marker for each trained network. Left: the "
        "radius of the corollary over the norm of the weights, with a line for each depth. Right: second term of "
        "Theorem 4 and of the corollary, with a line at 1."
    )
    table = [asdict(row) for row in rows]
    numbers = {field.name: [row[field.name] for row in table] for field in fields(Layers)}
    return Drawing(draw, numbers, "corollary", alt, caption)
