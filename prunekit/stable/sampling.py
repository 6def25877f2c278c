"""Exact draws of symmetric α-stable variables and of elliptical α-stable vectors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.stable import _arguments
from prunekit.stable._arguments import PIECE


def sample(alpha: float, size: int | tuple[int, ...], *, scale: float = 1.0, seed: Seed) -> Floats:
    """Draw independent SαS(scale) variables, by the method of Chambers, Mallows and Stuck (1976).

    Parameters
    ----------
    alpha : float
        Tail index, in (0, 2].
    size : int or tuple of ints
        Shape of the result.
    scale : float
        σ > 0 of the characteristic function exp(-|σω|^α): at α = 2 the variance is 2σ², at α = 1 the quartiles are ±σ.
    seed : int, SeedSequence or Generator
        Where the randomness comes from; the same seed gives the same draws.

    Returns
    -------
    (size) array
        The draws, in the units of `scale`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    FloatingPointError
        If a draw exceeds double precision, which takes an α near 0.1 or below.

    Notes
    -----
    With V uniform on (-π/2, π/2) and W exponential, both standard,
    X = sin(αV)/cos(V)^(1/α) · (cos((1-α)V)/W)^((1-α)/α). With t = tan(V) and h = tan(αV/2), of one sign, this is
    2h/(1+h²) · √(1+t²) · (W(1+h²)/(1-h²+2ht))^((α-1)/α), in which nothing cancels. numpy has logarithms and
    tangents in vector instructions.

    Examples
    --------
    >>> heavy, gaussian = sample(1.2, 10**4, seed=0), sample(2.0, 10**4, seed=0)
    >>> bool(abs(heavy).max() > 100 * abs(gaussian).max())
    True
    """
    alpha, scale = _arguments.index("alpha", alpha), _checks.scalar("scale", scale, positive=True)
    shape = _shape(size)
    rng, draws = _checks.generator(seed), np.empty(shape)
    flat = draws.reshape(-1)
    starts = range(0, flat.size, PIECE)
    for start in bars.each("stable draws", starts, len(starts), "batches"):
        _fill(flat[start : start + PIECE], alpha, rng)
    flat *= scale
    return _finite(draws)


def _fill(out: Floats, alpha: float, rng: np.random.Generator) -> None:
    """Write standard draws into a contiguous vector."""
    if alpha == 2:
        rng.standard_normal(out=out)
        out *= math.sqrt(2)
        return
    v = rng.random(out.size)
    v -= 0.5
    v *= math.pi
    if alpha == 1:
        np.tan(v, out=out)
        return
    w = rng.standard_exponential(out.size)
    with np.errstate(divide="ignore", over="ignore"):  # what overflows is refused by `sample`
        v_tangent, half = np.tan(v), np.tan(0.5 * alpha * v)
        square = half * half
        w *= 1 + square
        w /= 1 - square + 2 * half * v_tangent
        np.exp(np.log(w, out=w) * ((alpha - 1) / alpha), out=w)
        w *= np.sqrt(1 + v_tangent * v_tangent)
        np.multiply(2 * half / (1 + square), w, out=out)


def sample_elliptical(alpha: float, n: int, dispersion: int | ArrayLike, *, seed: Seed) -> Floats:
    """Draw elliptical α-stable vectors: one heavy-tailed factor for all entries of a Gaussian vector.

    Parameters
    ----------
    alpha : float
        Tail index, in (0, 2].
    n : int
        Number of vectors.
    dispersion : int, (d,) or (d, d) array
        Σ of the characteristic function exp(-(uᵀΣu)^(α/2)): a positive semidefinite matrix or its diagonal; an integer
        d stands for the identity. Entry i is SαS(√Σᵢᵢ); at α = 2 the vectors are N(0, 2Σ).
    seed : int, SeedSequence or Generator
        Where the randomness comes from; the same seed gives the same draws.

    Returns
    -------
    (n, d) array
        One vector a row. The entries of a row are dependent even where Σ is diagonal.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    FloatingPointError
        If a draw exceeds double precision.

    Notes
    -----
    The rows are √(2A)·G with G ~ N(0, Σ) and a positive (α/2)-stable A, E exp(-sA) = exp(-s^(α/2)).
    """
    alpha, n, rng = _arguments.index("alpha", alpha), _checks.count("n", n), _checks.generator(seed)
    if not isinstance(dispersion, list | tuple | np.ndarray) and not hasattr(dispersion, "__array__"):
        d = _checks.count("dispersion", dispersion)
        _checks.room("n, or dispersion,", n, 24.0 * n * d)
        vectors = rng.standard_normal((n, d))
    else:
        matrix = _checks.covariance("dispersion", dispersion)
        _checks.room("n", n, 24.0 * n * len(matrix))
        vectors = rng.standard_normal((n, len(matrix)))
        if matrix.ndim == 1:
            vectors *= np.sqrt(matrix)
        else:
            variances, axes = np.linalg.eigh(matrix)
            vectors = (vectors * np.sqrt(np.maximum(variances, 0))) @ axes.T
    factor = sample_positive(alpha / 2, n, seed=rng) if alpha < 2 else np.ones(n)
    vectors *= np.sqrt(2 * factor)[:, None]
    return _finite(vectors)


def sample_positive(a: float, n: int, *, seed: Seed) -> Floats:
    """Draw positive a-stable variables A, E exp(-sA) = exp(-s^a), by Kanter's (1975) formula.

    Parameters
    ----------
    a : float
        Index of the law, in (0, 1).
    n : int
        Number of draws.
    seed : int, SeedSequence or Generator
        Where the randomness comes from; the same seed gives the same draws.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    FloatingPointError
        If a draw exceeds double precision, which takes an a near 0.05 or below.
    """
    a, n, rng = _checks.scalar("a", a, positive=True), _checks.count("n", n), _checks.generator(seed)
    _checks.room("n", n, 64.0 * n)
    if a >= 1:
        raise ValueError(f"a is {a}: give an index above 0 and below 1")
    u = math.pi * (1 - rng.random(n))  # never 0
    w = rng.standard_exponential(n)
    with np.errstate(divide="ignore", over="ignore"):
        draws = np.exp(log_kanter(a, u) * (1 - a) / a) / w ** ((1 - a) / a)
    return _finite(draws)


def log_kanter(a: float, u: Floats) -> Floats:
    """Return log B(u), with which (B(U)/W)^((1-a)/a) is positive a-stable; u in (0, π)."""
    sines = [np.sin(c * u) for c in (a, 1 - a, 1.0)]
    logs = [np.log(np.maximum(s, 1e-300)) for s in sines]
    return np.asarray(a / (1 - a) * logs[0] + logs[1] - logs[2] / (1 - a))


def _shape(size: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without a negative or fractional axis."""
    axes = size if isinstance(size, tuple | list) else (size,)
    names = ["size" if len(axes) == 1 else f"size[{k}]" for k in range(len(axes))]
    shape = tuple(_checks.count(name, axis, 0) for name, axis in zip(names, axes, strict=True))
    _checks.room("size", size, 8.0 * math.prod(shape))
    return shape


def _finite(draws: Floats) -> Floats:
    """Refuse draws beyond double precision."""
    flat = draws.reshape(-1)
    for start in range(0, flat.size, PIECE):
        if not np.isfinite(flat[start : start + PIECE]).all():
            raise FloatingPointError("a draw exceeds double precision: give a larger alpha or a smaller scale")
    return draws
