"""The problem with two Gaussian vectors that the Gaussian min-max theorem sets beside least squares of least norm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Flags, Floats

_ROUNDS = 45  # halvings: what is left of an interval is below the rounding of its length
_END = 1 - 1e-9  # the multiplier ν = x/(1 - x) is searched for x up to here


def auxiliary_norm(
    theta_square: ArrayLike,
    overlap: ArrayLike,
    h_square: ArrayLike,
    g_square: ArrayLike,
    noise: ArrayLike,
    offset: ArrayLike = 0.0,
) -> Floats:
    """Return the least ‖θ̄ - w‖ among the vectors w with ‖g‖ √(‖w‖² + σ²) ≤ hᵀw + offset; infinity if there is none.

    This is φ of Theorem A.1 for the problem of least norm: with θ = θ̄ - w it is the norm of a fit. The minimizer is
    w = (θ̄ + νh) / (1 + ν‖g‖/ρ) with ρ² = ‖w‖² + σ² and a multiplier ν ≥ 0. For given ν an increasing equation gives
    ‖w‖, and what the constraint is violated by falls as ν grows. Both are solved by bisection, all problems at once.

    Source: li, equation (A.7) of Theorem A.1, for the problem of least norm in Appendix A.1.

    Parameters
    ----------
    theta_square : array of any shape
        ‖θ̄‖². This and the others are combined entry by entry. The multiplier is searched up to 10⁹, so that θ̄ should be
        no larger than that in units of h.
    overlap : array
        θ̄ᵀh.
    h_square, g_square : array
        ‖h‖² and ‖g‖².
    noise : array
        σ², at least 0.
    offset : array
        What does not depend on w, such as h₀σ.

    Returns
    -------
    array
        One norm for each problem.

    Raises
    ------
    ValueError
        If a square is negative, or if `overlap` exceeds what Cauchy and Schwarz allow.
    """
    given = {"theta_square": theta_square, "h_square": h_square, "g_square": g_square, "noise": noise}
    squares = {name: _square(name, value) for name, value in given.items()}
    signed = {"overlap": _finite("overlap", overlap), "offset": _finite("offset", offset)}
    shape = _checks.together(**squares, **signed)
    theta2, h2, g2, noise2, theta_h, free = (np.broadcast_to(v, shape) for v in (squares | signed).values())
    with np.errstate(over="ignore"):
        beyond = np.abs(theta_h) > (1 + 1e-9) * np.sqrt(theta2) * np.sqrt(h2)
    if beyond.any():
        worst = theta_h[beyond].flat[0]
        raise ValueError(f"overlap holds {worst:g}: give θ̄ᵀh, at most √(theta_square · h_square) in size")
    with np.errstate(all="ignore"):
        norms = _least(theta2, theta_h, h2, np.sqrt(g2), noise2, free)
    if np.isnan(norms).any():
        raise FloatingPointError("the norm leaves the range of double precision: rescale theta_square and noise")
    return norms


def _least(theta2: Floats, theta_h: Floats, h2: Floats, c: Floats, noise2: Floats, offset: Floats) -> Floats:
    """Return the least norms, c being ‖g‖."""

    def solve(x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return ν, the shrinkage 1 / (1 + νc/ρ) and ρ at ν = x / (1 - x)."""
        nu = x / (1 - x)
        length = np.sqrt(np.maximum(theta2 + 2 * nu * theta_h + nu**2 * h2, 0))
        low = np.zeros_like(length)
        size = _bisect(lambda s: s * (1 + nu * c / np.sqrt(s**2 + noise2)) < length, low, length)
        return nu, size / np.maximum(length, 1e-300), np.sqrt(size**2 + noise2)

    def violated(x: Floats) -> Flags:
        nu, shrink, rho = solve(x)
        return np.asarray(c * rho > shrink * (theta_h + nu * h2) + offset)

    end = np.full(theta2.shape, _END)
    nu, shrink, _ = solve(_bisect(violated, np.zeros_like(end), end))
    square = (1 - shrink) ** 2 * theta2 - 2 * (1 - shrink) * shrink * nu * theta_h
    norm = np.sqrt(np.maximum(square + (shrink * nu) ** 2 * h2, 0))
    return np.where(violated(end), np.inf, norm)


def _bisect(violated: Callable[[Floats], Flags], low: Floats, high: Floats) -> Floats:
    """Return, in each place, the smallest value from which on `violated` is false."""
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        bad = violated(middle)
        low, high = np.where(bad, middle, low), np.where(bad, high, middle)
    return high


def _finite(name: str, value: ArrayLike) -> Floats:
    """Return finite real numbers of any shape."""
    numbers = _checks.numbers(name, value)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} holds infinity: give finite numbers")
    return numbers


def _square(name: str, value: ArrayLike) -> Floats:
    """Return finite numbers of at least 0."""
    square = _finite(name, value)
    if (square < 0).any():
        raise ValueError(f"{name} holds {square.min():g}: give squares, which are not negative")
    return square
