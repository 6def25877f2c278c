"""The figures of the page on widths of ResNets: errors of dense and pruned networks, and where they interpolate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book import verdicts
from prunekit.book.plotting import DASHES, MARKERS, Drawing, Palette
from prunekit.book.points import at_every, at_some, weakest
from prunekit.statistics import leads, mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INTERPOLATED = 0.01  # the mean training error up to which a curve counts as interpolating
MOST = len(DASHES) - 1  # targets that a figure can tell apart, beside the dense networks
NAMES = {"digits": "8×8 digits", "cifar10": "CIFAR-10"}
FEW = "a few hundred images at most, and a few widths, are far from the paper's setting"
Target = int | None  # the width to whose size networks are pruned; None for dense ones


@dataclass(frozen=True)
class End:
    """What a curve does between its first and its last width.

    Attributes
    ----------
    rise : float
        Rise of the mean training error, as a share.
    fall : float
        Fall of the test error, in standard errors of the paired difference.
    last : str
        Training error at the last width, in words.
    advantage : float or None
        Test error of the dense network of the target's width less that at the last width, in standard errors; None for
        dense networks.
    """

    rise: float
    fall: float
    last: str
    advantage: float | None


@dataclass(frozen=True)
class Sweep:
    """Errors of networks of several widths, dense and pruned to the sizes of smaller ones.

    Attributes
    ----------
    data : str
        Name of the data set.
    images, test_images, epochs, seeds : int
        Training and test images of a run, epochs of each training, and how many runs there are.
    curves : mapping of Target to ((K,) array, (runs, K, 2) array)
        Widths, and shares of training and of test images that are got wrong.
    sizes : mapping of Target to int
        Parameters of the widest network that are not held at 0.
    table : mapping of str to sequence
        The columns of a table with a row for each network.
    """

    data: str
    images: int
    test_images: int
    epochs: int
    seeds: int
    curves: Mapping[Target, tuple[np.ndarray[Any, Any], Floats]]
    sizes: Mapping[Target, int]
    table: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, table: Mapping[str, Sequence[Any]], values: Mapping[str, Any]) -> Sweep:
        """Return the sweep of a table of networks.

        Parameters
        ----------
        table : mapping of str to sequence
            Columns run, width, target (None for dense networks), parameters, train_error and test_error.
        values : mapping
            The setting, with data, images, test_images, epochs and seeds.
        """
        columns = ("target", "width", "run", "train_error", "test_error")
        cells = sorted(zip(*(table[c] for c in columns), strict=True), key=lambda c: c[1:3])
        curves = {}
        for target in [None, *sorted({c[0] for c in cells} - {None})]:
            own = [c for c in cells if c[0] == target]
            widths = np.unique([c[1] for c in own])
            errors = np.array([c[3:] for c in own]).reshape(widths.size, -1, 2)
            curves[target] = widths, errors.swapaxes(0, 1)
        every = zip(table["width"], table["target"], table["parameters"], strict=True)
        sizes = {target: size for width, target, size in every if width == curves[None][0][-1]}
        setting = {name: int(values[name]) for name in ("images", "test_images", "epochs", "seeds")}
        return cls(data=str(values["data"]), **setting, curves=curves, sizes=sizes, table=table)

    @property
    def name(self) -> str:
        """The data set in words."""
        return NAMES[self.data]

    @property
    def title(self) -> str:
        """The setting in words."""
        return f"{self.name}: {self.images} images, {self.epochs} epochs, {self.seeds} runs"

    @property
    def widths(self) -> np.ndarray[Any, Any]:
        """Widths of the dense networks."""
        return self.curves[None][0]

    @property
    def targets(self) -> list[int]:
        """Widths to whose sizes networks were pruned."""
        return [target for target in self.curves if target is not None]

    def errors(self, target: Target) -> Floats:
        """Return the errors (runs, K, 2) of a curve."""
        return self.curves[target][1]

    def small(self, target: int) -> Floats:
        """Return the test error of the dense network of a target's width, (runs,)."""
        return self.errors(None)[:, int(np.flatnonzero(self.widths == target)[0]), 1]

    def first(self, target: Target) -> int:
        """Return the index, among a curve's widths, from which on it interpolates; their number if there is none."""
        return _from_on(self.errors(target)[..., 0].mean(axis=0) <= INTERPOLATED)

    def counted_as_own(self) -> list[int]:
        """Return the targets above the width from which the dense networks interpolate."""
        start = np.append(self.widths.astype(float), np.inf)[self.first(None)]
        return [target for target in self.targets if target > start]

    def steps_apart(self) -> dict[int, int]:
        """Return the steps between the widths from which dense and pruned networks interpolate, by target.

        A dense width below the target counts as the target, where the pruned curve begins. All widths lie between if
        one of the two interpolates nowhere; targets for which neither does are left out.
        """
        steps = {}
        for target in self.targets:
            start = int(np.searchsorted(self.widths, target))
            places = max(self.first(None), start), start + self.first(target)
            if min(places) < self.widths.size:
                never = max(places) == self.widths.size
                steps[target] = int(self.widths.size if never else abs(places[0] - places[1]))
        return steps

    def beyond(self) -> dict[Target, int]:
        """Return the steps from interpolation to the best test error, by curve, where wider networks exist."""
        first = {target: self.first(target) for target in self.curves}
        return {
            target: int(errors[..., 1].mean(axis=0).argmin()) - first[target]
            for target, (widths, errors) in self.curves.items()
            if first[target] < widths.size - 1
        }

    def ends(self) -> dict[Target, End]:
        """Return what each curve does between its ends; a standard error is at least one test image."""
        finest = 1 / self.test_images
        ends: dict[Target, End] = {}
        for target, (_, errors) in self.curves.items():
            rise = float((errors[:, -1, 0] - errors[:, 0, 0]).mean())
            fall = float(leads(errors[:, 0, 1] - errors[:, -1, 1], least_error=finest))
            last, advantage = percent(errors[:, -1, 0]), None
            if target is not None:
                advantage = float(leads(self.small(target) - errors[:, -1, 1], least_error=finest))
            ends[target] = End(rise, fall, last, advantage)
        return ends

    def run_steps(self) -> Floats:
        """Return the steps between the widths from which pruned and dense networks interpolate, (runs, targets).

        Each run is taken by itself, with the rules of `steps_apart`; a target is left out where in some run neither
        network interpolates at any width.
        """
        columns = []
        for target in self.targets:
            start, size = int(np.searchsorted(self.widths, target)), self.widths.size
            fits = [self.errors(t)[..., 0] <= INTERPOLATED for t in (None, target)]
            dense, pruned = (np.array([_from_on(row) for row in each]) for each in fits)
            dense, pruned = np.maximum(dense, start), pruned + start
            if np.all(np.minimum(dense, pruned) < size):
                never = np.maximum(dense, pruned) == size
                columns.append(np.where(never, size, pruned - dense).astype(float))
        return np.array(columns).reshape(len(columns), self.seeds).T

    def without_retraining(self, target: int) -> Floats:
        """Return the relative excess of the widest network's test error before retraining, (runs,).

        It is over the mean error after retraining, for the size of a target; the table has a column ``alone``.
        """
        names = ("run", "width", "target", "test_error", "alone")
        cells = sorted(zip(*(self.table[name] for name in names), strict=True), key=lambda row: row[0])
        rows = np.array([row[3:] for row in cells if row[1:3] == (self.widths[-1], target)], dtype=float)
        return np.asarray((rows[:, 1] - rows[:, 0]) / rows[:, 0].mean())

    def tests(self) -> list[dict[str, Any]]:
        """Return for each statement of Figure 1 that this sweep says something about the arguments of `check`.

        They are ``statement``, ``what``, ``because``, ``explain`` and what `prunekit.book.points` returns.
        """
        finest = 1 / self.test_images
        rows = [*self._same_width(), *self._errors_fall(finest)]
        if rises := [np.diff(self.errors(t)[..., 1], axis=1) for t in self.targets if self.curves[t][0].size > 2]:
            row = weakest([at_some(x, margin=0.0, relation="at least", least_error=finest) for x in rises])
            what = (
                "largest rise of the test error between neighbouring widths, of the curve of pruned networks with least"
            )
            rows.append(_test("double-descent", what, "no size is stated, so any counts", row))
        wide = {target: self.errors(target)[:, [-1], 1] for target in self.curves}
        small = np.hstack([self.small(t)[:, None] - wide[t] for t in self.targets])
        row = at_every(small, margin=0.0, relation="at least", least_error=finest)
        what = (
            f"lead in test error of width {self.widths[-1]} pruned over dense networks of the same size, worst target"
        )
        rows.append(_test("large-beats-small", what, "lower, by any amount", row))
        beyond = [self.errors(t)[:, : self.first(t) + 1, 1] - wide[t] for t in self.beyond()]
        if beyond:
            row = at_every(np.hstack(beyond), margin=0.0, relation="at least", least_error=finest)
            what = "lead in test error of the widest network over those up to interpolation, worst curve and width"
            rows.append(_test("best-overparameterized", what, "the lowest, by any amount", row))
        dense, last = wide[None], self.targets[-1]
        row = at_every(
            (wide[last] - dense) / dense.mean(), margin=0.1, relation="at most", least_error=finest / dense.mean()
        )
        what = f"relative excess of the test error of width {self.widths[-1]} pruned to width {last} over it dense"
        rows.append(_test("comparable", what, "a tenth is about what a printed figure shows", row))
        return rows

    def _same_width(self) -> list[dict[str, Any]]:
        """Return the test of the widths of interpolation, if there is anything to compare."""
        steps = self.run_steps()
        if not steps.size:
            return []
        row = at_every(steps, margin=1.0, least_error=(12 * self.seeds) ** -0.5)
        what = "steps in the list of widths from where dense to where pruned networks interpolate, mean over runs"
        why = "about the same: at most the next width"
        return [_test("same-width", f"{what}, worst target", why, row, "pruned networks are trained twice as long")]

    def _errors_fall(self, finest: float) -> list[dict[str, Any]]:
        """Return the tests of training and test error between the first and the last width."""
        ends = [(each[:, -1] - each[:, 0]) for _, each in self.curves.values()]
        train, test = (np.column_stack([end[:, split] for end in ends]) for split in (0, 1))
        curve = "from the smallest to the largest width, worst curve"
        return [
            _test(
                "errors-fall",
                f"rise of the training error {curve}",
                "a hundredth counts as zero",
                at_every(train, margin=INTERPOLATED, relation="at most", least_error=1 / self.images),
            ),
            _test(
                "errors-fall",
                f"fall of the test error {curve}",
                "a fall, by any amount",
                at_every(-test, margin=0.0, relation="at least", least_error=finest),
            ),
        ]

    def largest_rise(self) -> float:
        """Return the largest rise of the test error between neighbouring widths of a curve, in standard errors."""
        finest = 1 / self.test_images
        return max(
            float(leads(np.diff(errors[..., 1], axis=1), least_error=finest).max())
            for _, errors in self.curves.values()
            if errors.shape[1] > 1
        )


def _from_on(fits: np.ndarray[Any, Any]) -> int:
    """Return the index from which on all are true; their number if there is none."""
    return int(fits.size - np.argmin(np.append(fits[::-1], False)))


def _test(statement: str, what: str, because: str, row: Mapping[str, Any], explain: str = "") -> dict[str, Any]:
    return {"statement": statement, "what": what, "because": because, "explain": explain or FEW, **row}


def percent(errors: Floats) -> str:
    """Return the mean and the standard error of shares, in words."""
    mean, error = mean_and_error(100 * np.asarray(errors))
    return f"{mean:.1f} ± {error:.1f} %"


def errors(sweep: Sweep, name: str, provenance: str = "") -> Drawing:
    """Return Figure 1 of chang: training and test error against the width of the network that is trained first.

    Parameters
    ----------
    sweep : Sweep
        What was measured.
    name : str
        Name of the figure.
    provenance : str
        How a recorded run came about.
    """

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, pair = plt.subplots(1, 2, figsize=(8.4, 4.2))
        for split, axes in enumerate(pair):
            _panel(axes, palette, sweep, split)
        figure.suptitle(sweep.title, fontsize=10.5)
        figure.legend(*pair[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
        return figure

    widest = sweep.widths[-1]
    compared = "; ".join(
        f"to the size of width {target}, {percent(sweep.errors(target)[:, -1, 1])} (dense width {target}: "
        f"{percent(sweep.small(target))}; trained twice: {percent(sweep.errors(target)[:, 0, 1])})"
        for target in sweep.targets
    )
    words = f"{sweep.name}: {_from(sweep)}. Test error of width {widest} pruned {compared}."
    caption = (
        f"{words} Horizontal line: training error counted as zero; dotted: the width from which dense networks "
        "interpolate. The first point of each pruned curve has nothing to prune. ± is the standard error."
        + (f" The run was {provenance}." if provenance else "")
    )
    alt = (
        "Training error left, test error right, against the width of the network that is trained first, on a "
        "logarithmic axis; one curve for dense networks and one for each size that networks are pruned to, with error "
        f"bars. {words}"
    )
    return Drawing(draw, sweep.table, name, alt, caption)


def _from(sweep: Sweep) -> str:
    """Say from which width the dense networks interpolate."""
    first = sweep.first(None)
    where = f"from width {sweep.widths[first]}" if first < sweep.widths.size else "at none of the widths"
    return f"dense networks interpolate {where}"


def _panel(axes: Axes, palette: Palette, sweep: Sweep, split: int) -> None:
    """Draw the errors of one split in per cent, dense and for each target."""
    for index, (target, (widths, shares)) in enumerate(sweep.curves.items()):
        mean, error = mean_and_error(100 * shares[..., split])
        look: dict[str, Any] = {"color": palette.series[index], "linestyle": DASHES[index], "marker": MARKERS[index]}
        look["label"] = "dense" if target is None else f"pruned to size of width {target}"
        axes.errorbar(widths, mean, yerr=error, capsize=2, elinewidth=1, markerfacecolor="none", **look)
    axes.set(xscale="log", ylabel=("training error (%)", "test error (%)")[split])
    axes.set(xlabel="width k of the network that is trained first")
    axes.set_xticks(sweep.widths, [str(k) for k in sweep.widths])
    axes.set_xticks([], minor=True)
    first = sweep.first(None)
    if first < sweep.widths.size:
        axes.axvline(sweep.widths[first], color=palette.muted, linewidth=1, linestyle=":")
    if split == 0:
        axes.axhline(100 * INTERPOLATED, color=palette.muted, linewidth=1)


def findings(sweep: Sweep) -> tuple[str, str, str]:
    """Return what a sweep found, in three sentences.

    Parameters
    ----------
    sweep : Sweep
        What was measured.
    """
    ends, widest = sweep.ends(), sweep.widths[-1]
    enough = verdicts.quantile(sweep.seeds)  # how many standard errors make a lead
    clear = all((ends[target].advantage or 0.0) >= enough for target in sweep.targets)
    compared = " and ".join(
        f"{percent(sweep.errors(target)[:, -1, 1])} at the size of width {target} (trained dense "
        f"{percent(sweep.small(target))})"
        for target in sweep.targets
    )
    control = min(ends[target].fall for target in sweep.targets)
    longer = "is not that of training for longer" if control >= enough else "may be that of training for longer"
    return (
        f"Training wide and pruning {'beats' if clear else 'does not clearly beat'} training small on "
        f"{sweep.images} images of {sweep.name}: width {widest} after pruning has a test error of {compared}.",
        f"The lead {longer}: against the small networks trained for as many epochs it is at least {control:.1f} "
        "standard errors.",
        _same_width(sweep),
    )


def _same_width(sweep: Sweep) -> str:
    """Say whether dense and pruned networks interpolate from about the same width."""
    steps = sweep.steps_apart()
    if not steps:
        return "Neither dense nor pruned networks reach a training error of 1% at all larger widths."
    same = max(steps.values()) <= 1
    begins = (
        "Dense and pruned networks interpolate from about the same width, as"
        if same
        else ("Dense and pruned networks do not interpolate from the same width, other than")
    )
    pruned = []
    for target in steps:
        widths, first = sweep.curves[target][0], sweep.first(target)
        where = f"from width {widths[first]}" if first < widths.size else "at none"
        pruned.append(f"pruned to the size of width {target} {where}")
    return f"{begins} the paper says: {_from(sweep)}, {', '.join(pruned)}."
