"""What the page on one's own network holds beside each other: predictions, trials, rivals, and what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from prunekit._checks import Floats
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from prunekit.diagnosis import Report

ORDERS = {
    "one-shot": "predicted",
    "linearized": "linearized",
    "trial": "trial",
    "saliencies": "diagonal",
    "α": "alpha",
    "size": "size",
}
DIVIDING = ("one-shot", "trial", "saliencies", "α")
SMALL = 0.1  # of the weights: an error of a share up to which it is called small
_STEEPEST = 0.3  # by how much AlphaPruning's shares fall below and rise above their mean


@dataclass(frozen=True)
class Layer:
    """What is said of one layer.

    Attributes
    ----------
    name : str
        Its parameter.
    size : int
        Its weights.
    predicted, predicted_error, measured, measured_error : float
        The share that can go alone, by the one-shot model and on held-out samples.
    linearized, trial, diagonal : float
        The same with outputs linear along the cut, by trial on the training samples, and by the Hessian's diagonal.
    alpha : float
        The exponent of its spectrum; NaN where there is none.
    """

    name: str
    size: int
    predicted: float
    predicted_error: float
    measured: float
    measured_error: float
    linearized: float
    trial: float
    diagonal: float
    alpha: float


@dataclass(frozen=True)
class Network:
    """What is said of one network.

    Attributes
    ----------
    kind : str
        What it is.
    predicted, predicted_error, measured, measured_error, linearized, trial : float
        The share that can go, as of a layer.
    advice : tuple of str
        The report's sentences.
    layers : tuple of Layer
        Its layers.
    prices : mapping from str to float
        The rise of the loss on fresh samples, in ε, by the way in which it is pruned.
    """

    kind: str
    predicted: float
    predicted_error: float
    measured: float
    measured_error: float
    linearized: float
    trial: float
    advice: tuple[str, ...]
    layers: tuple[Layer, ...]
    prices: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """Number of weights that can be pruned."""
        return sum(layer.size for layer in self.layers)

    def column(self, name: str) -> Floats:
        """Return one number of each layer (layers,); an α that is missing is the mean of the others."""
        values = np.array([getattr(layer, name) for layer in self.layers], dtype=float)
        return np.where(np.isnan(values), np.nanmean(values), values)

    def dividing(self, way: str) -> Floats:
        """Return the shares (layers,) in proportion to which a cut is divided between the layers."""
        values = self.column(ORDERS[way])
        if way != "α":
            return values
        spread = float(np.ptp(values))
        return np.ones_like(values) if spread == 0 else 1 + _STEEPEST * (2 * (values - values.min()) / spread - 1)

    def order(self, by: str) -> float:
        """Return the rank correlation with the measured shares of the layers; NaN where all are alike."""
        from scipy.stats import rankdata

        one, two = rankdata(self.column(ORDERS[by])), rankdata(self.column("measured"))
        if np.ptp(one) == 0 or np.ptp(two) == 0:
            return math.nan
        return float(np.corrcoef(one, two)[0, 1])

    def priced(self, prices: Mapping[str, float]) -> Network:
        """Return the network with what pruning it costs."""
        return replace(self, prices=dict(prices))


def network(
    kind: str, told: Report, tried: Report, diagonal: Mapping[str, float], alphas: Mapping[str, float]
) -> Network:
    """Return what two reports and two rivals say of a network.

    Parameters
    ----------
    kind : str
        What it is.
    told, tried : Report
        A report measured on held-out samples, and one measured on the training samples.
    diagonal, alphas : mapping from parameter name to float
        Shares by the Hessian's diagonal, and exponents of the spectra.
    """
    trials = {row["layer"]: row["measured"] for row in tried.layers}
    layers = tuple(
        Layer(
            name,
            row["weights"],
            predicted=row["one_shot"],
            predicted_error=row["one_shot_error"],
            measured=row["measured"],
            measured_error=row["measured_error"],
            linearized=row["linearized"],
            trial=trials[name],
            diagonal=diagonal[name],
            alpha=alphas[name],
        )
        for row in told.layers
        if (name := row["layer"]) in alphas
    )
    one, seen, linear = (told.found[part] for part in ("one-shot", "measured", "linearized"))
    shares = (one["share"], one["error"], seen["share"], seen["error"], linear["share"])
    return Network(kind, *shares, tried.found["measured"]["share"], tuple(each.text for each in told.advice), layers)


def kinds(networks: Sequence[Network]) -> list[str]:
    """Return the kinds of networks, in their order."""
    return list(dict.fromkeys(n.kind for n in networks))


def gaps(networks: Sequence[Network], of: str = "network", by: str = "predicted") -> Floats:
    """Return the predicted less the measured shares.

    Parameters
    ----------
    networks : sequence of Network
        What is said of each.
    of : str
        "network" or "layer".
    by : str
        "predicted", "linearized" or "trial"; of layers also "diagonal"; of networks also "others", the mean measured on
        the others.
    """
    if by == "others":
        measured = np.array([n.measured for n in networks])
        return (measured.sum() - measured) / max(measured.size - 1, 1) - measured
    parts = [each for n in networks for each in ((n,) if of == "network" else n.layers)]
    return np.array([getattr(each, by) - each.measured for each in parts])


def within(gap: Floats) -> str:
    """Say how many of some errors of shares are small."""
    return f"{int((np.abs(gap) <= SMALL).sum())} of {gap.size}"


def table(networks: Sequence[Network]) -> str:
    """Return mean absolute errors of the shares, in percentage points, by kind and by what says them, as text.

    Parameters
    ----------
    networks : sequence of Network
        What is said of each.
    """
    asked = (
        ("one-shot", "network", "predicted"),
        ("linear", "network", "linearized"),
        ("trial", "network", "trial"),
        ("others", "network", "others"),
        ("one-shot", "layer", "predicted"),
        ("linear", "layer", "linearized"),
        ("trial", "layer", "trial"),
        ("diagonal", "layer", "diagonal"),
    )
    named = [*kinds(networks), "all"]
    width = max(len(kind) for kind in named)
    lines = [" " * width + f"{'whole networks':>36}{'single layers':>36}"]
    lines.append(" " * width + "".join(f"{words:>9}" for words, _, _ in asked))
    for kind in named:
        counted = np.array([kind in (n.kind, "all") for n in networks])
        line = f"{kind:{width}}"
        for _, of, by in asked:
            each = counted if of == "network" else np.repeat(counted, [len(n.layers) for n in networks])
            line += f"{100 * np.abs(gaps(networks, of, by)[each]).mean():9.1f}"
        lines.append(line)
    return "\n".join(lines)


def cause(networks: Sequence[Network]) -> str:
    """Say how much of the predictions' mean error is the quadratic model's own, and how much the held-out samples'.

    Parameters
    ----------
    networks : sequence of Network
        What is said of each.
    """
    whole, linear, held = (100 * gaps(networks, by=by) for by in ("predicted", "linearized", "trial"))
    (both, _), (own, own_error), (gap, gap_error) = mean_of(whole), mean_of(whole - held), mean_of(held)
    less, less_error = mean_of(linear - held)
    return (
        f"Of whole networks the prediction is {both:+.1f} percentage points off on average. Against a trial on the "
        f"samples that it was made from it is {own:+.1f} ± {own_error:.1f} off, which is the quadratic model's own "
        f"error; where outputs alone are linear, {less:+.1f} ± {less_error:.1f} remains. The trial itself is "
        f"{gap:+.1f} ± {gap_error:.1f} off what is measured on held-out samples."
    )


def ranks(networks: Sequence[Network], by: str) -> Floats:
    """Return the rank correlations (networks,) by one method; NaN where all layers are alike."""
    return np.array([n.order(by) for n in networks])


def mean_of(values: Floats) -> tuple[float, float]:
    """Return mean and standard error, 0 where there is one value alone, and for none."""
    if values.size < 2:
        return (float(values.mean()) if values.size else 0.0), 0.0
    mean, error = mean_and_error(values)
    return float(mean), float(error)


def better(networks: Sequence[Network]) -> dict[str, tuple[float, float]]:
    """Return how much better than one-shot each rival orders layers, and the error, where both order them at all."""
    base = ranks(networks, "one-shot")
    found = {}
    for by in ORDERS:
        if by != "one-shot":
            difference = ranks(networks, by) - base
            found[by] = mean_of(difference[np.isfinite(difference)])
    return found


def who_wins(networks: Sequence[Network]) -> str:
    """Say which rivals order layers better than the one-shot prediction, and which worse, beyond two errors."""
    told = better(networks)
    ahead = [by for by, (mean, error) in told.items() if mean > 2 * error]
    behind = [by for by, (mean, error) in told.items() if mean < -2 * error]
    parts = []
    if ahead:
        parts.append(f"the one-shot prediction loses to {_listed(ahead)}")
    if behind:
        parts.append(f"{'' if ahead else 'the one-shot prediction '}wins against {_listed(behind)}")
    rest = [by for by in told if by not in ahead + behind]
    if rest:
        parts.append(
            f"{'' if parts else 'the one-shot prediction '}cannot be told from {_listed(rest)} by these networks"
        )
    text = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return text[0].upper() + text[1:] + "."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def scores_advised(networks: Sequence[Network]) -> str:
    """Say how often a recommended score was the better one on fresh samples.

    Parameters
    ----------
    networks : sequence of Network
        With their prices.
    """
    given, right = 0, 0
    for n in networks:
        saliency, magnitude = n.prices["saliency at 20%"], n.prices["magnitude at 20%"]
        for text in n.advice:
            if text.startswith("Rank weights by Hessian"):
                given, right = given + 1, right + (saliency < magnitude)
            elif text.startswith("Rank weights by magnitude"):
                given, right = given + 1, right + (magnitude < saliency)
    if not given:
        return f"No score was recommended for any of the {len(networks)} networks: none was ahead at every share."
    return (
        f"A score was recommended for {given} of {len(networks)} networks; with 20% of the weights kept it costs "
        f"less on fresh samples than the other in {right} of them."
    )


def numbers(networks: Sequence[Network]) -> dict[str, float]:
    """Return what the page hands over, by name.

    Parameters
    ----------
    networks : sequence of Network
        With their prices.
    """
    found = {
        "error_of_networks_one_shot": float(np.abs(gaps(networks)).mean()),
        "error_of_networks_linearized": float(np.abs(gaps(networks, by="linearized")).mean()),
        "error_of_networks_trial": float(np.abs(gaps(networks, by="trial")).mean()),
        "error_of_networks_mean_of_others": float(np.abs(gaps(networks, by="others")).mean()),
        "error_of_layers_one_shot": float(np.abs(gaps(networks, "layer")).mean()),
        "error_of_layers_linearized": float(np.abs(gaps(networks, "layer", "linearized")).mean()),
        "error_of_layers_trial": float(np.abs(gaps(networks, "layer", "trial")).mean()),
        "error_of_layers_saliencies": float(np.abs(gaps(networks, "layer", "diagonal")).mean()),
    }
    words = {"α": "alpha", "one-shot": "one_shot"}
    for by in ORDERS:
        values = ranks(networks, by)
        found[f"order_by_{words.get(by, by)}"] = mean_of(values[np.isfinite(values)])[0]
    return found
