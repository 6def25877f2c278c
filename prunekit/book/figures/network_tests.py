"""What the page on trained networks tests, as numbers with errors: the same for live tables and for recorded ones.

Tables are those of `prunekit.book.figures.networks`. Networks are told by their kind: fully connected ones, whose names
begin with FCN, and convolutional ones. What is found in several architectures of a kind is averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.figures.networks import Table
from prunekit.book.settings import PaperSetting, Setting
from prunekit.book.tables import selected
from prunekit.statistics import mean_and_error, rank_correlation, rank_correlation_and_error

KINDS = ("fully-connected", "convolutional")
FEWEST = 4  # networks of an architecture of which a trend is told
Part = tuple[float, float, int]
NEAR_2 = (
    "nearly all tail indices are close to 2, where the estimate answers to clipping and to rows that depend on each "
    "other as much as to tails"
)


@dataclass(frozen=True)
class Found:
    """A number with its standard error.

    Attributes
    ----------
    value, error : float
        The number and its error.
    nets : int
        How many networks it is from.
    """

    value: float
    error: float
    nets: int


NO_TAILS = (
    "the largest weights are far smaller than the largest of as many stable draws: where the estimate is below 2, "
    "power-law tails are not what lowers it"
)
Test = Callable[[Table, str], Found | None]


def told(found: Found | None, kind: str, more: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `prunekit.check` is told of a number that is at most 0, or None where there is no number.

    Parameters
    ----------
    found : Found or None
        The number.
    kind : str
        The networks' kind, which the words name.
    more : mapping
        Further arguments, ``what`` among them.
    """
    if found is None:
        return None
    common = {"expected": 0.0, "relation": "at most", "of": "networks", "explain": NEAR_2}
    numbers = {"measured": found.value, "error": found.error, "repetitions": found.nets}
    return common | numbers | dict(more) | {"what": f"{more['what']}, {kind} networks"}


def of_kind(table: Table, kind: str, each: Callable[[dict[str, Any]], Part | None]) -> Found | None:
    """Return the mean over a kind's architectures of what is found in the rows of each, or None where nothing is.

    Parameters
    ----------
    table : mapping
        Columns by name, ``network`` among them.
    kind : str
        One of `KINDS`.
    each : callable
        Maps the rows of an architecture to a value, its error and the number of networks, or to None.
    """
    known = table if "alpha" not in table else _with_index(table)
    names = [n for n in dict.fromkeys(known["network"]) if n.startswith("FCN") == (kind == KINDS[0])]
    parts = [part for name in names if (part := each(selected(known, network=name))) is not None]
    if not parts:
        return None
    values, errors, nets = zip(*parts, strict=True)
    return Found(float(np.mean(values)), math.hypot(*errors) / len(parts), sum(nets))


def _with_index(table: Table) -> Table:
    """Return the rows that have a tail index."""
    has = [alpha is not None for alpha in table["alpha"]]
    return {name: [value for value, keep in zip(column, has, strict=True) if keep] for name, column in table.items()}


def _correlation(x: Floats, y: Floats) -> Part | None:
    """Return a rank correlation, unless there are too few networks or all are alike."""
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return *rank_correlation_and_error(x, y), len(x)


def ratio_trend(table: Table, kind: str) -> Found | None:
    """Return the rank correlation of mean α̂ and η/b (Figure 1 of barsbey).

    Parameters
    ----------
    table : mapping
        A row for each network: ``network``, ``ratio``, ``alpha``.
    kind : str
        One of `KINDS`.
    """
    return of_kind(table, kind, lambda rows: _correlation(rows["ratio"], rows["alpha"].astype(float)))


def layer_trend(table: Table, kind: str) -> Found | None:
    """Return the rank correlation of a layer's α̂ and its prunable share, layers of one network together (Figure 3).

    Parameters
    ----------
    table : mapping
        A row for each layer: ``network``, ``net``, ``layer``, ``alpha``, ``prunable``.
    kind : str
        One of `KINDS`.
    """

    def each(rows: dict[str, Any]) -> Part | None:
        layers = len(set(rows["layer"]))
        return _correlation(*(rows[key].astype(float).reshape(-1, layers) for key in ("alpha", "prunable")))

    return of_kind(table, kind, each)


def by_net(rows: Mapping[str, Any], column: str = "relative") -> tuple[Floats, Floats]:
    """Return α̂ and the mean of a column over the shares, of each network.

    Parameters
    ----------
    rows : mapping
        Columns ``net``, ``alpha`` and the other one.
    column : str
        Which column.
    """
    nets = list(dict.fromkeys(rows["net"]))
    at = [rows["net"] == net for net in nets]
    alphas = np.array([rows["alpha"][a][0] for a in at], dtype=float)
    return alphas, np.array([rows[column][a].mean() for a in at], dtype=float)


def pruned_trend(method: str) -> Test:
    """Return what finds the rank correlation of mean α̂ and relative accuracy, averaged over shares (Figures 4 to 6).

    Parameters
    ----------
    method : str
        The way of pruning, as the table has it.
    """

    def found(table: Table, kind: str) -> Found | None:
        own = selected(table, method=method)
        return of_kind({k: v.tolist() for k, v in own.items()}, kind, lambda rows: _correlation(*by_net(rows)))

    return found


def last_third(table: Table, kind: str) -> Found | None:
    """Return the test accuracy of the third of the networks of largest α̂, less that of the others, in % (Figure 7).

    Parameters
    ----------
    table : mapping
        A row for each network: ``network``, ``alpha``, ``test_accuracy``.
    kind : str
        One of `KINDS`.
    """

    def each(rows: dict[str, Any]) -> Part | None:
        alpha, accuracy = rows["alpha"].astype(float), 100 * rows["test_accuracy"].astype(float)
        top = alpha >= np.quantile(alpha, 2 / 3)
        if top.sum() < 2 or (~top).sum() < 2:
            return None
        (high, one), (low, two) = (mean_and_error(accuracy[at]) for at in (top, ~top))
        return float(high - low), math.hypot(one, two), len(alpha)

    return of_kind(table, kind, each)


def behind_weights(table: Table, kind: str) -> Found | None:
    """Return the relative accuracy after pruning structures less that after pruning as many weights, over all shares.

    Parameters
    ----------
    table : mapping
        A row for each network, method and share: ``network``, ``net``, ``alpha``, ``method``, ``relative``.
    kind : str
        One of `KINDS`.
    """

    def each(rows: dict[str, Any]) -> Part | None:
        both = [by_net({k: v[rows["method"] == m] for k, v in rows.items()})[1] for m in ("structures", "layer")]
        return _mean(np.subtract(*both))

    return of_kind(table, kind, each)


def difference(first: str, second: str) -> Test:
    """Return what finds the mean over networks of how far two columns are apart, shares of a network averaged.

    Parameters
    ----------
    first, second : str
        The columns; the table has ``network`` and ``net`` besides.
    """

    def found(table: Table, kind: str) -> Found | None:
        def each(rows: dict[str, Any]) -> Part | None:
            apart = np.abs(rows[first].astype(float) - rows[second].astype(float))
            return _mean(np.array([apart[rows["net"] == net].mean() for net in dict.fromkeys(rows["net"])]))

        return of_kind(table, kind, each)

    return found


def _mean(values: Floats) -> Part | None:
    """Return a mean over networks, of two at least."""
    if len(values) < 2:
        return None
    mean, error = mean_and_error(values)
    return float(mean), float(error), len(values)


def interval(test: str, network: str, x: Floats, y: Floats, seed: int) -> list[dict[str, Any]]:
    """Return a row of the figure of all correlations, with a 95% bootstrap interval; none for too few networks.

    Parameters
    ----------
    test, network : str
        What is correlated, as `prunekit.book.figures.networks.TESTS` has it, and the architecture.
    x, y : (nets,) or (nets, k) arrays
        The two values of each network, or of each of its layers.
    seed : int
        Where the draws of the bootstrap come from.
    """
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return []
    r, low, high = rank_correlation(x, y, seed=seed)
    return [{"test": test, "network": network, "nets": len(x), "correlation": r, "low": low, "high": high}]


def setting_of(paper: PaperSetting, kind: str, run: Mapping[str, Any]) -> Setting:
    """Return the setting of a run beside the paper's.

    Parameters
    ----------
    paper : PaperSetting
        What the paper says of networks of this kind.
    kind : str
        One of `KINDS`.
    run : mapping
        The page's parameters as they ran.
    """
    rates: Sequence[float] | Mapping[str, Sequence[float]] = run["rates"]
    listed = sorted({r for own in rates.values() for r in own} if isinstance(rates, Mapping) else rates)
    fields: dict[str, Any] = {
        "data": run["data"],
        "training_images": run["images"][0],
        "test_images": run["images"][1],
        "training_loss": f"below {run['loss_bound']:g}",
        "averaged_iterates": run["averaged_updates"],
        "batch_sizes": " and ".join(map(str, run["batches"])),
        "learning_rates": " ".join(f"{r:g}" for r in listed),
        "initial_weights": "Gaussian of variance 2/fan-in",
    }
    if kind == KINDS[0]:
        fields["width"] = run["width"]
    else:
        fields["convolutions"] = sum(isinstance(each, int) for each in run["plan"]) or 8
    return paper.here(**fields)
