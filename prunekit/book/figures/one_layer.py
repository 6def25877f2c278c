"""One layer of a trained network beside a stable and a Gaussian law: a figure of the page on trained networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prunekit._checks import Floats
from prunekit.book.figures.network_tests import Found
from prunekit.book.plotting import Drawing, Palette
from prunekit.stable import sample
from prunekit.statistics import mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Layer:
    """The weights of one layer beside draws of a stable and a Gaussian law with the same quartiles.

    Attributes
    ----------
    net, name : str
        The network and the layer.
    alpha : float
        The layer's estimated tail index.
    weights : (n,) array
        All weights after their median is subtracted.
    halves : pair of arrays
        The same weights, divided in two at random.
    stable, gaussian : arrays
        Draws of the two laws, scaled to the quartiles of the weights.
    filters : int
        How many filters the weights are of.
    """

    net: str
    name: str
    alpha: float
    weights: Floats
    halves: tuple[Floats, Floats]
    stable: Floats
    gaussian: Floats
    filters: int = 2

    @property
    def beyond(self) -> float:
        """Share of the weights beyond the point that 99.9% of the stable law's draws do not exceed."""
        return float(np.mean(np.abs(self.weights) > np.quantile(np.abs(self.stable), 0.999)))

    @property
    def summary(self) -> dict[str, float]:
        """Numbers for a report: how far halves of the filters are apart, and how large the largest weight is."""
        half = self.weights.size // self.filters * (self.filters // 2)
        size = _quartile_range(self.weights)
        n = self.weights.size
        largest = np.abs(self.stable[: len(self.stable) // n * n]).reshape(-1, n).max(axis=1)
        return {
            "ks_distance_of_first_and_second_half_of_the_filters": apart(self.weights[:half], self.weights[half:]),
            "largest_weight_over_quartile_range": float(np.abs(self.weights).max() / size),
            "median_largest_of_as_many_stable_draws": float(np.median(largest) / size),
        }


def _quartile_range(x: Floats) -> float:
    """Return the distance of the quartiles."""
    return float(np.subtract(*np.quantile(x, [0.75, 0.25])))


def read(
    net: str, name: str, alpha: float, kernels: NDArray[np.floating[Any]], *, seed: int, draws: int = 300_000
) -> Layer:
    """Return a layer's weights beside draws of a stable and of a Gaussian law.

    Parameters
    ----------
    net, name : str
        The network and the layer.
    alpha : float
        The layer's estimated tail index.
    kernels : (filters, …) array
        The weights.
    seed : int
        Where the draws and the order of the weights come from.
    draws : int
        How many draws there are of each law.
    """
    rng = np.random.default_rng([seed, 2])
    weights = (kernels - np.median(kernels)).ravel()
    order = rng.permutation(weights.size)
    halves = weights[order[: order.size // 2]], weights[order[order.size // 2 :]]
    stable, gaussian = (
        x * (_quartile_range(weights) / _quartile_range(x))
        for x in (sample(alpha, draws, seed=rng), rng.standard_normal(draws))
    )
    return Layer(net, name, alpha, weights, halves, stable, gaussian, len(kernels))


def compared(layers: Sequence[Layer]) -> tuple[Found, Found]:
    """Return how far layers are from the stable laws of their tail indices: on the whole, and in the tails.

    Parameters
    ----------
    layers : sequence of Layer
        One of each network, two at least.

    Returns
    -------
    bulk, tails : Found
        The mean Kolmogorov-Smirnov distance, and the mean logarithm of the share of weights beyond the stable law's
        99.9% point over 0.1%.
    """
    distances = [apart(layer.weights, layer.stable[:100_000]) for layer in layers]
    beyond = [math.log((x.beyond * x.weights.size + 0.5) / (0.001 * x.weights.size + 0.5)) for x in layers]
    (bulk, one), (tails, two) = mean_and_error(distances), mean_and_error(beyond)
    return Found(float(bulk), float(one), len(layers)), Found(float(tails), float(two), len(layers))


def apart(first: Floats, second: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, the largest gap of their distribution functions.

    Parameters
    ----------
    first, second : (n,) and (m,) arrays
        The samples.
    """
    from scipy.stats import ks_2samp

    return float(ks_2samp(first, second, method="asymp").statistic)


def histograms(layer: Layer) -> Drawing:
    """Return Figure 2 of barsbey: histograms of one layer, of its halves and of the laws it is compared with.

    Parameters
    ----------
    layer : Layer
        The layer and the draws.
    """
    reach = 1.05 * np.abs(layer.weights).max()
    edges = np.linspace(-reach, reach, 61)
    middle = (edges[1:] + edges[:-1]) / 2
    samples = {
        "first half": layer.halves[0],
        "second half": layer.halves[1],
        "all weights": layer.weights,
        f"stable, α = {layer.alpha:.2f}": layer.stable,
        "Gaussian": layer.gaussian,
    }
    density = {key: np.histogram(x, edges)[0] / x.size / (edges[1] - edges[0]) for key, x in samples.items()}

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.8, 3.5), sharey=True)
        for axes, names in zip(both, (list(density)[:2], list(density)[2:]), strict=True):
            for k, key in enumerate(names):
                shown = np.where(density[key] > 0, density[key], np.nan)
                style: dict[str, Any] = {"color": palette.series[k], "linestyle": ["-", "--", ":"][k]}
                axes.plot(middle, shown, drawstyle="steps-mid", label=key, **style)
            axes.set(yscale="log", xlabel="weight, less the median")
            axes.legend(fontsize=8.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=1.4)
        both[0].set(ylabel="density")
        return figure

    stable, gaussian = (apart(layer.weights, draws[:100000]) for draws in (layer.stable, layer.gaussian))
    nearer = "the Gaussian" if gaussian < stable else "the stable law"
    caption = (
        f"{layer.name} of {layer.net} ({layer.weights.size} weights) is nearer to {nearer}: it is {stable:.3f} from "
        f"the stable law and {gaussian:.3f} from the Gaussian (Kolmogorov-Smirnov). Its two random halves are "
        f"{apart(*layer.halves):.3f} apart."
    )
    alt = (
        "Two panels of histograms with logarithmic density. Left: two random halves of a convolution's weights. Right: "
        "all of them, a stable law of the estimated index and a Gaussian, both of the same quartiles."
    )
    return Drawing(draw, {"weight": middle} | density, "one-layer", alt, caption)
