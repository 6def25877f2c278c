"""The effective ridge 1/ξ of a spectrum, and the dense risks that follow from it (chang, Definition 4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from prunekit._checks import Floats, Integers
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.roots import increasing_root

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)


def refuse_infinite(n: int, rank: float, what: str, cure: str) -> None:
    """Raise if the expected risk of least squares with `rank` features is infinite; the message names a way out."""
    if n - 1 - 1e-9 * n < rank < n + 1e-9 * n:
        raise ValueError(
            f"n is {n} and {what}, where the expected risk is infinite: "
            f"give n below {round(rank)}, n above {round(rank) + 1}, or {cure}"
        )


class Effective(NamedTuple):
    """What ξ does to m problems of p features each."""

    xi: Floats  # ξ, (m,)
    kept: Floats  # 1 - ζ = ξλ/(1+ξλ), (m, p), to full relative precision
    lost: Floats  # ζ = 1/(1+ξλ), (m, p), to full relative precision too
    signal: Floats  # Σ λζ²β̄², (m,)
    freedom: Floats  # n - Σ (1-ζ)² = Σ ζ(1-ζ) + μξ, (m,)


def effective(eigenvalues: Floats, beta: Floats, n: int, ridge: float, weights: ArrayLike) -> Effective:
    """Solve Σ (1-ζ_i) + μξ = n for ξ, in m problems at once, where feature i counts with its weight.

    Source: chang, Definition 4, the equation for ξ, where μ = 0 and the weights are 1.

    Parameters
    ----------
    eigenvalues, beta, weights : (m, p) arrays
        Spectrum, latent coefficients in its basis, and how much of each feature there is (1 or 0, or a
        probability).
    n : int
        Number of samples.
    ridge : float
        Penalty μ; if 0, each row of weights sums to more than n.

    Returns
    -------
    Effective
        ξ, ζ and the sums that γ is made of.
    """
    weights = np.asarray(weights, dtype=np.float64)
    alive = np.where(eigenvalues > 0, weights, 0.0)
    rank = alive.sum(axis=1)
    unit = np.array([np.median(row[row > 0]) for row in eigenvalues])  # a typical λ, so that log ξ is not large
    with np.errstate(divide="ignore"):
        logs = np.log(eigenvalues / unit[:, None])
    penalty = ridge / unit

    def balance(x: Floats) -> tuple[Floats, Floats]:
        """Return log(a/b) and its slope, a = b being the equation with every term positive."""
        kept, lost = expit(logs + x[:, None]), expit(-logs - x[:, None])
        turn = np.sum(alive * kept * lost, axis=1)
        with np.errstate(over="ignore"):
            ridged = penalty * np.exp(x)
        few = n <= rank / 2
        a = ridged + np.where(few, np.sum(alive * kept, axis=1), np.maximum(rank - n, 0.0))
        b = np.where(few, n, np.sum(alive * lost, axis=1) + np.maximum(n - rank, 0.0))
        da, db = ridged + np.where(few, turn, 0.0), np.where(few, 0.0, -turn)
        a, b = np.maximum(a, _TINY), np.maximum(b, _TINY)
        return np.log(a / b), da / a - db / b

    x = increasing_root(balance, np.log(n / np.maximum(np.abs(rank - n), 1.0)))
    kept, lost = expit(logs + x[:, None]), expit(-logs - x[:, None])
    signal = np.sum(weights * eigenvalues * (lost * beta) ** 2, axis=1)
    freedom = np.sum(alive * kept * lost, axis=1) + penalty * np.exp(x)
    return Effective(np.exp(x) / unit, kept, lost, signal, freedom)


def retrained(problem: LinearGaussian, kept: Floats, n: int) -> Any:
    """Return the dense risk with the features `kept` (..., p), 0 or 1 or probabilities; diagonal Σ."""
    rows = np.atleast_2d(kept)
    variances = problem.variances
    noise = problem.sigma**2 + (1 - rows) @ (variances * problem.beta**2)  # σ_I²
    risk = _dense_risk(variances[None], problem.beta[None], noise, n, rows)
    return risk if kept.ndim == 2 else risk[0]


def _dense_risk(eigenvalues: Floats, beta: Floats, noise: Floats, n: int, weights: Floats) -> Floats:
    """Return the dense risks of m problems, under- or overparameterized each by its own rank.

    Shapes as for `effective`, where the first two may have one row for all; noise (m,) holds the σ_I².
    """
    rank = np.sum(np.where(eigenvalues > 0, weights, 0.0), axis=1)
    for one in np.unique(rank):
        refuse_infinite(n, one, f"{one:g} features are kept", "another s")
    risk = noise * (n - 1) / np.where(rank < n, n - rank - 1, 1.0)  # = σ_I² (1 + s/(n-s-1))
    over = np.flatnonzero(rank > n)
    if over.size:
        shape = (over.size, weights.shape[1])
        spectra = np.broadcast_to(eigenvalues if len(eigenvalues) == 1 else eigenvalues[over], shape)
        latent = np.broadcast_to(beta if len(beta) == 1 else beta[over], shape)
        solution = effective(spectra, latent, n, 0.0, weights[over])
        risk[over] = n * (noise[over] + solution.signal) / solution.freedom
    return risk


def retrained_general(problem: LinearGaussian, supports: Integers, n: int) -> Floats:
    """Return the dense risks of the problem restricted to each row of supports (m, s); general Σ."""
    width = supports.shape[1]
    blocks = problem.covariance[supports[:, :, None], supports[:, None, :]]
    eigenvalues, vectors = np.linalg.eigh(blocks)
    alive = eigenvalues > width * _EPS * eigenvalues[:, -1:]
    eigenvalues = np.where(alive, eigenvalues, 0.0)
    right = (problem.covariance @ problem.beta)[supports]
    rotated = np.einsum("mij,mi->mj", vectors, right)
    beta = np.divide(rotated, eigenvalues, out=np.zeros_like(rotated), where=alive)
    projected = np.zeros((len(supports), problem.p))  # β_I, zero-padded: its risk is σ_I²
    np.put_along_axis(projected, supports, np.einsum("mij,mj->mi", vectors, beta), axis=1)
    return _dense_risk(eigenvalues, beta, np.asarray(problem.risk(projected)), n, alive.astype(np.float64))
