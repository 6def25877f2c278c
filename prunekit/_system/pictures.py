"""Axes for the pictures that results draw of themselves, in the manner of the book's figures."""

from __future__ import annotations

from typing import Any


def axes(given: Any, across: str, up: str) -> Any:
    """Return matplotlib axes with labels, a light grid and no frame above and on the right.

    Parameters
    ----------
    given : matplotlib axes or None
        Where to draw; None makes a figure.
    across, up : str
        What the axes show.

    Raises
    ------
    TypeError
        If these are no axes.
    """
    if given is None:
        import matplotlib.pyplot as plt

        _, given = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
    elif isinstance(given, type) or not hasattr(given, "set_xlabel"):
        raise TypeError(f"axes is a {type(given).__name__}: give axes of matplotlib, or None")
    given.set_xlabel(across)
    given.set_ylabel(up)
    given.grid(alpha=0.25)
    given.spines[["top", "right"]].set_visible(False)
    return given
