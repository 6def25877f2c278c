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
    penalty: ArrayLike = np.inf,
) -> Floats:
    """Return the least ‖θ̄ - w‖ among the vectors w with ‖g‖ √(‖w‖² + σ²) ≤ hᵀw + offset; infinity if there is none.

    With a finite penalty λ it is the least λ(‖g‖ √(‖w‖² + σ²) - hᵀw - offset)₊ + ‖θ̄ - w‖ over all w.

    This is φ of Theorem A.1 for the problem of least norm: with θ = θ̄ - w it is the norm of a fit. The minimizer is
    w = (θ̄ + νh) / (1 + ν‖g‖/ρ) with ρ² = ‖w‖² + σ² and a multiplier ν ≥ 0. For given ν an increasing equation gives
    ‖w‖, and what the constraint is violated by falls as ν grows. Both are solved by bisection, all problems at once.
    For a finite penalty the minimizer is on the same path: where ν = λ‖θ̄ - w‖, or where the constraint holds before.

    Source: li, equation (A.7) of Theorem A.1, for the problem of least norm in Appendix A.1; for a finite penalty (A.3)
    and (E.2).

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
    penalty : array
        λ, above 0; infinite for the constraint itself.

    Returns
    -------
    array
        One norm, or penalized norm, for each problem.

    Raises
    ------
    ValueError
        If a square is negative, or if `overlap` exceeds what Cauchy and Schwarz allow.
    """
    given = {"theta_square": theta_square, "h_square": h_square, "g_square": g_square, "noise": noise}
    squares = {name: _square(name, value) for name, value in given.items()}
    signed = {"overlap": _finite("overlap", overlap), "offset": _finite("offset", offset)}
    lam = _penalty(penalty)
    shape = _checks.together(**squares, **signed, penalty=lam)
    theta2, h2, g2, noise2, theta_h, free, lam = (
        np.broadcast_to(v, shape) for v in (*squares.values(), *signed.values(), lam)
    )
    with np.errstate(over="ignore"):
        beyond = np.abs(theta_h) > (1 + 1e-9) * np.sqrt(theta2) * np.sqrt(h2)
    if beyond.any():
        worst = theta_h[beyond].flat[0]
        raise ValueError(f"overlap holds {worst:g}: give θ̄ᵀh, at most √(theta_square · h_square) in size")
    with np.errstate(all="ignore"):
        norms = _least(theta2, theta_h, h2, np.sqrt(g2), noise2, free, lam)
    if np.isnan(norms).any():
        raise FloatingPointError("the norm leaves the range of double precision: rescale theta_square and noise")
    return norms


def _least(
    theta2: Floats, theta_h: Floats, h2: Floats, c: Floats, noise2: Floats, offset: Floats, lam: Floats
) -> Floats:
    """Return the least norms, c being ‖g‖ and lam the penalty."""

    def solve(x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return ν, the shrinkage 1 / (1 + νc/ρ) and ρ at ν = x / (1 - x)."""
        nu = x / (1 - x)
        length = np.sqrt(np.maximum(theta2 + 2 * nu * theta_h + nu**2 * h2, 0))
        low = np.zeros_like(length)
        size = _bisect(lambda s: s * (1 + nu * c / np.sqrt(s**2 + noise2)) < length, low, length)
        return nu, size / np.maximum(length, 1e-300), np.sqrt(size**2 + noise2)

    def excess(nu: Floats, shrink: Floats, rho: Floats) -> Floats:
        """Return what the constraint is violated by, negative where it holds."""
        return c * rho - (shrink * (theta_h + nu * h2) + offset)

    def norm(nu: Floats, shrink: Floats) -> Floats:
        square = (1 - shrink) ** 2 * theta2 - 2 * (1 - shrink) * shrink * nu * theta_h
        return np.sqrt(np.maximum(square + (shrink * nu) ** 2 * h2, 0))

    def violated(x: Floats) -> Flags:
        """Tell where the constraint is violated, and a larger ν is worth its penalty."""
        nu, shrink, rho = solve(x)
        worth = np.isinf(lam) | (nu < lam * norm(nu, shrink))
        return np.asarray((excess(nu, shrink, rho) > 0) & worth)

    end = np.full(theta2.shape, _END)
    nu, shrink, rho = solve(_bisect(violated, np.zeros_like(end), end))
    least = norm(nu, shrink)
    price = np.where(np.isinf(lam), 0.0, np.where(np.isinf(lam), 0.0, lam) * np.maximum(excess(nu, shrink, rho), 0))
    return np.where(violated(end), np.inf, least + price)


def penalized_norm(X: ArrayLike, y: ArrayLike, penalty: float) -> Floats:
    """Return the least λ‖y - Xθ‖ + ‖θ‖ over all θ.

    The minimizer is a ridge solution, with k = ‖y - Xθ‖ / (λ‖θ‖) in its normal equations (XᵀX + kI)θ = Xᵀy; it
    interpolates where λ is large enough, and is 0 where it is too small. The equation for k is increasing, and is
    solved by bisection for all problems at once. As λ grows the minimum tends to the norm of the smallest exact fit.

    Source: li, equation (A.5), which is (A.1) and (E.1) for ψ(w) = ‖θ̄ - w‖.

    Parameters
    ----------
    X : (n, p) or (m, n, p) array
        Features of one problem, or of m, with n ≤ p and of full rank.
    y : (n,) or (m, n) array
        Labels.
    penalty : float
        λ, above 0.

    Returns
    -------
    array
        One minimum for each problem, in the units of θ.

    Raises
    ------
    ValueError
        If the shapes do not go together, there are more samples than features, or the rank is not full.

    Examples
    --------
    >>> penalized_norm([[2.0, 0.0]], [3.0], penalty=10.0)  # the exact fit, 3/2
    array(1.5)
    >>> penalized_norm([[2.0, 0.0]], [3.0], penalty=0.25)  # not worth any weight: 3/4
    array(0.75)
    """
    features = _checks.array("X", X, ndim=(2, 3))
    labels = _checks.array("y", y, ndim=(1, 2))
    lam = _checks.scalar("penalty", penalty, positive=True)
    if labels.shape != features.shape[:-1]:
        raise ValueError(f"y has shape {labels.shape}: X has {features.shape}, give one label for each row")
    if features.shape[-2] > features.shape[-1]:
        raise ValueError(f"X has shape {features.shape}: give at most as many samples as features")
    square, vectors = np.linalg.eigh(features @ features.swapaxes(-1, -2))
    if np.any(square[..., 0] <= features.shape[-1] * np.finfo(np.float64).eps * square[..., -1]):
        raise ValueError("X is not of full rank: leave out rows that depend on others")
    along = np.einsum("...ij,...i->...j", vectors, labels)

    def parts(x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return ‖θ‖, ‖y - Xθ‖ and the latter over k, at k = x/(1 - x) in units of the largest eigenvalue."""
        k = (x / (1 - x))[..., None] * square[..., -1:]
        weight = along / (square + k)
        norm = np.sqrt(np.sum(square * weight**2, axis=-1))
        slack = np.sqrt(np.sum(weight**2, axis=-1))
        return norm, k[..., 0] * slack, slack

    def low(x: Floats) -> Flags:
        norm, _, slack = parts(x)
        return np.asarray(lam * norm < slack)

    end = np.full(features.shape[:-2], _END)
    norm, residual, _ = parts(_bisect(low, np.zeros_like(end), end))
    nothing = lam * np.sqrt(np.sum(labels**2, axis=-1))
    return np.asarray(np.minimum(lam * residual + norm, nothing))


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


def _penalty(penalty: ArrayLike) -> Floats:
    """Return penalties above 0, which may be infinite."""
    numbers = _checks.numbers("penalty", penalty)
    if (numbers <= 0).any():
        raise ValueError(f"penalty holds {numbers.min():g}: give numbers above 0, or infinity")
    return numbers


def _square(name: str, value: ArrayLike) -> Floats:
    """Return finite numbers of at least 0."""
    square = _finite(name, value)
    if (square < 0).any():
        raise ValueError(f"{name} holds {square.min():g}: give squares, which are not negative")
    return square
