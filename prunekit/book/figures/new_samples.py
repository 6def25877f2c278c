"""The figure of what models of matrix sensing lose on new samples, before and after they are pruned and fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit._checks import Floats
from prunekit.book.figures.pruning import FLOOR
from prunekit.book.plotting import MARKERS, Drawing, Palette
from prunekit.sensing import MatrixSensing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def excesses(models: Sequence[Floats], new: MatrixSensing) -> Floats:
    """Return the loss of models (d, k) beyond the truth's, over the squared norm of M: of the population, and on `new`.

    The result is (2, models).
    """
    size, least = float(np.sum(new.target**2)), new.loss(new.truth)
    return np.array([[new.error(U) ** 2 for U in models], [(new.loss(U) - least) / size for U in models]])


Excesses = Mapping[tuple[str, float, str], Floats]


def generalization(excesses: Excesses) -> Drawing:
    """Return the figure of what models lose on the population and on new measurements.

    Parameters
    ----------
    excesses : mapping of (model, standard deviation of the noise, "population" or "new measurements") to (runs,) array
        Loss in excess of that of the truth, over the squared norm of M; without noise and with one noise.
    """
    models, noises, kinds = (list(dict.fromkeys(each)) for each in zip(*excesses, strict=True))
    rows = [(*key, float(value)) for key, values in excesses.items() for value in values]

    def draw(palette: Palette) -> Figure:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(8.6, 4.0))
        for axes, noise in zip(both, noises, strict=True):
            for j, kind in enumerate(kinds):
                look: dict[str, Any] = {"color": palette.series[j], "markerfacecolor": "none", "markersize": 5}
                at = [i + 0.2 * (j - 0.5) for i, model in enumerate(models) for _ in excesses[model, noise, kind]]
                y = np.concatenate([excesses[model, noise, kind] for model in models])
                axes.plot(at, np.maximum(y, FLOOR), MARKERS[j], label=kind, **look)
            axes.set_xticks(range(len(models)), [model.replace(", ", ",\n") for model in models], fontsize=8)
            axes.set(
                yscale="log", title=f"σ = {noise:g}", xlabel="model", ylabel="loss beyond that of the truth, relative"
            )
            axes.minorticks_off()
        figure.legend(*both[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9)
        return figure

    new = {model: float(np.median(excesses[model, noises[-1], kinds[-1]])) for model in models}
    best = min(new, key=lambda model: new[model])
    told = ", ".join(f"{model} {value:.2g}" for model, value in new.items())
    caption = (
        f"With noise of σ = {noises[-1]:g} the model that does best on new measurements is “{best}”. Medians of the "
        f"loss beyond the truth's, over the squared norm of M: {told}. Left without noise; what is 0 or below is drawn "
        f"at {FLOOR:g}."
    )
    alt = (
        "Loss beyond that of the truth, logarithmic, for models before and after the cut and fine-tuning, and for "
        "those that were not pruned: on the population and on new measurements, a marker for each run, without noise "
        "on the left and with noise on the right."
    )
    header = ("model", "sigma", "loss", "excess")
    return Drawing(
        draw, dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)), "new-samples", alt, caption
    )
