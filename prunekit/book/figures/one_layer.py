"""One layer of a trained network beside a stable and a Gaussian law: a figure of the page on trained networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.plotting import Drawing, Palette

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
    """

    net: str
    name: str
    alpha: float
    weights: Floats
    halves: tuple[Floats, Floats]
    stable: Floats
    gaussian: Floats

    @property
    def beyond(self) -> float:
        """Share of the weights beyond the point that 99.9% of the stable law's draws do not exceed."""
        return float(np.mean(np.abs(self.weights) > np.quantile(np.abs(self.stable), 0.999)))


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
