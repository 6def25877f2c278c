"""The picture of a report: the rise of the loss against the share removed, measured and predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def plot(found: Mapping[str, Any], network: Mapping[str, Any], axes: Any = None) -> Any:
    """Draw the rise of the loss against the share removed; return matplotlib's axes.

    Parameters
    ----------
    found, network : mapping
        A report's.
    axes : matplotlib axes, optional
        Where it is drawn; on new ones by default.

    Raises
    ------
    ValueError
        If neither the measurement nor the prediction was made.
    """
    if "measured" not in found and "one-shot" not in found:
        raise ValueError("report has neither a measurement nor a prediction to draw: give a larger budget")
    if axes is None:
        from matplotlib import pyplot

        axes = pyplot.figure(figsize=(6, 4), layout="constrained").add_subplot()
    epsilon = network["epsilon"]["value"]
    if "one-shot" in found:
        curve = found["one-shot"]
        axes.plot(100 * np.array(curve["removed"]), curve["rises"], "-", color="#0072B2", label="predicted, one-shot")
    if "measured" in found:
        curve = found["measured"]
        axes.errorbar(
            100 * np.array(curve["removed"]),
            curve["rises"],
            curve["errors"],
            fmt="o",
            color="#D55E00",
            label="measured, held out",
        )
    axes.axhline(epsilon, color="gray", linestyle=":", label="ε")
    axes.set_yscale("symlog", linthresh=epsilon)
    axes.set_xlabel("weights removed by global magnitude (%)")
    axes.set_ylabel("rise of the loss")
    axes.legend()
    return axes
