"""The three scales at which every notebook runs.

``smoke`` takes seconds and proves that the page executes, ``laptop`` is what the built book shows, ``paper`` is
the paper's own setting.
"""

from __future__ import annotations

from typing import TypeVar

SCALES = ("smoke", "laptop", "paper")

T = TypeVar("T")


def known(scale: str) -> str:
    """Return `scale` if it is one of the three.

    Raises
    ------
    ValueError
        If `scale` is none of the three.
    """
    if not isinstance(scale, str) or scale not in SCALES:
        raise ValueError(f"scale is {scale!r}: give one of {', '.join(map(repr, SCALES))}")
    return scale


def pick(scale: str, *, smoke: T, laptop: T, paper: T, given: T | None = None) -> T:
    """Choose a setting by scale, unless it is given.

    Parameters
    ----------
    scale
        ``"smoke"``, ``"laptop"`` or ``"paper"``.
    smoke, laptop, paper
        The setting's value at each scale.
    given
        A parameter of the page that is None unless somebody sets it; then it is the setting.

    Raises
    ------
    ValueError
        If `scale` is none of the three.

    Examples
    --------
    >>> pick("laptop", smoke=2, laptop=20, paper=100)
    20
    >>> pick("laptop", smoke=2, laptop=20, paper=100, given=50)
    50
    """
    by_scale = {"smoke": smoke, "laptop": laptop, "paper": paper}[known(scale)]
    return by_scale if given is None else given
