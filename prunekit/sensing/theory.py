"""Local minima of the penalized population loss in closed form, the λ and β that follow, and how descent ends.

Derived for this book, for the loss |UUᵀ - M|² + λR_β(U) with M = U⋆U⋆ᵀ of eigenvalues μ₁ ≥ … ≥ μ_r > 0:

* A column u of squared norm s is stationary if (M - UUᵀ)u = λg(s)/4 u, with g of `penalty.shrinkage`.
* s/√(s + β) is concave in s. So rotating two columns into each other, which leaves UUᵀ alone, lowers the penalty
  unless they are orthogonal. At a local minimum all columns are orthogonal, for every loss of UUᵀ.
* Then nonzero columns are eigenvectors of M, one for an eigenvalue at most, with squared norm w the larger root of
  w + λg(w)/4 = μ. There are r at most, and the error of UUᵀ along each is λg(w)/4.
* A zero column grows along an eigenvector of the residual if its eigenvalue exceeds λg(0)/4 = λ/(2√β).

The last two say when exactly r columns survive: always if λ/(2√β) < μ_r and the least w exceeds the cut 4β.

Near a minimum of full column rank of any of the losses every direction but the r(r - 1)/2 rotations of the columns,
which leave UUᵀ alone, has a curvature h above 0. A step of length η multiplies the error along it by 1 - ηh: gradient
descent ends as a sum of geometric sequences (`linearized_distance`), in the long run as that of the least h
(`contraction`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.sensing.penalty import Penalized, shrinkage


def growth_level(strength: float, smoothing: float) -> float:
    """Return λ/(2√β): a column at 0 grows if an eigenvalue of the residual exceeds it, in units of U².

    Parameters
    ----------
    strength, smoothing : float
        λ ≥ 0 and β > 0.
    """
    strength, smoothing = _penalty(strength, smoothing)
    return _checks.finite("the level", strength / (2 * float(np.sqrt(smoothing))), "strength or smoothing")


def binding_strength(level: float, smoothing: float) -> float:
    """Return the λ at which `growth_level` is `level`, 2√β times it."""
    root = float(np.sqrt(_checks.scalar("smoothing", smoothing, positive=True)))
    with np.errstate(over="ignore"):
        return _checks.finite("the strength", 2 * root * _checks.scalar("level", level), "level or smoothing")


def surviving_mass(mu: float, strength: float, smoothing: float) -> float:
    """Return the squared norm of the column that represents an eigenvalue at a local minimum.

    Parameters
    ----------
    mu : float
        Eigenvalue of U⋆U⋆ᵀ, above 0.
    strength, smoothing : float
        λ ≥ 0 and β > 0.

    Returns
    -------
    float
        The larger root w of w + λg(w)/4 = μ, in units of U²; 0 if there is none.
    """
    mu = _checks.scalar("mu", mu, positive=True)
    strength, smoothing = _penalty(strength, smoothing)
    if strength == 0:
        return mu
    from scipy.optimize import brentq

    def excess(w: float) -> float:
        difference = w + strength * shrinkage(w, smoothing) / 4 - mu
        return float(_checks.finite("the equation", difference, "mu, strength or smoothing"))

    with _checks.in_range("the root", "mu, strength or smoothing"):
        bottom = _turning_point(strength, smoothing)
        if bottom >= mu or excess(bottom) > 0:
            return 0.0
        return float(brentq(excess, bottom, mu, xtol=1e-300, rtol=1e-14))


def _turning_point(strength: float, smoothing: float) -> float:
    """Return where w + λg(w)/4, which is convex, is smallest for w ≥ 0."""
    from scipy.optimize import brentq

    from prunekit.sensing.penalty import shrinkage_slope

    def slope(w: float) -> float:
        return float(1 + strength * shrinkage_slope(w, smoothing) / 4)

    if slope(0.0) >= 0:
        return 0.0
    high = smoothing
    while slope(high) < 0:
        high *= 2
    return float(brentq(slope, 0.0, high, rtol=1e-14))


def largest_strength(mu: float, smoothing: float, above: float = 0.0) -> float:
    """Return the largest λ at which a column of squared norm `above` or more can represent an eigenvalue.

    It is the maximum over w from `above` to μ of 4(μ - w)/g(w), the λ that equation w + λg(w)/4 = μ asks for.

    Parameters
    ----------
    mu : float
        The eigenvalue, above 0.
    smoothing : float
        β > 0.
    above : float
        Least squared norm that counts, such as the cut's 4β; in units of U².

    Returns
    -------
    float
        The largest λ, in units of U³; 0 if `above` is at least μ.
    """
    from scipy.optimize import minimize_scalar

    mu, above = _checks.scalar("mu", mu, positive=True), _checks.scalar("above", above)
    smoothing = _checks.scalar("smoothing", smoothing, positive=True)
    if above >= mu:
        return 0.0

    def asked(w: float) -> float:
        return float(_checks.finite("the strength", 4 * (mu - w) / shrinkage(w, smoothing), "mu or smoothing"))

    optimum = minimize_scalar(
        lambda w: -asked(w), bounds=(above, mu), method="bounded", options={"xatol": 1e-10 * mu}
    )  # it has one maximum, perhaps at the lower end, which the search does not try
    return max(-float(optimum.fun), asked(above))


def strength_range(mu: float, smoothing: float, above: float = 0.0) -> tuple[float, float]:
    """Return between which λ it depends on the start whether a column represents an eigenvalue.

    Parameters
    ----------
    mu, smoothing, above
        As for `largest_strength`.

    Returns
    -------
    always, at_most : float
        Below the first a column at 0 grows along the eigenvector, and what it grows to has the squared norm asked for;
        above the second no such column is a local minimum. In units of U³, in this order, 0 where there is no such λ.
    """
    most = largest_strength(mu, smoothing, above)
    return min(binding_strength(mu, smoothing), most), most


def noise_level(d: int, n: int, sigma: float) -> float:
    """Return √(2d/n)σ, the largest eigenvalue of the mean of σξᵢAᵢ for large d, in units of y.

    Parameters
    ----------
    d, n : int
        Size of the matrices and number of measurements.
    sigma : float
        Standard deviation of the noise, or of anything else that acts like it.
    """
    level = float(np.sqrt(2 * _checks.count("d", d) / _checks.count("n", n))) * _checks.scalar("sigma", sigma)
    return _checks.finite("the level", level, "sigma")


def suggested_penalty(least: float) -> tuple[float, float]:
    """Return λ and β from the least eigenvalue of the ground truth: β = μ_r/100, λ/(2√β) = μ_r/4.

    So the cut 2√β is a fifth of the shortest column of U⋆, a missing direction has four times the residual that a
    column needs to grow, and noise has room below a quarter of μ_r.

    Parameters
    ----------
    least : float
        μ_r, above 0.

    Returns
    -------
    strength, smoothing : float
        λ, in units of U³, and β, in units of U².
    """
    least = _checks.scalar("least", least, positive=True)
    smoothing = least / 100
    return _checks.finite("the penalty", 2 * float(np.sqrt(smoothing)) * (least / 4), "least"), smoothing


def least_column(spectrum: ArrayLike, strength: float, smoothing: float) -> float:
    """Return the norm of the shortest surviving column for a spectrum, 0 if one of its eigenvalues cannot survive.

    Parameters
    ----------
    spectrum : (r,) array
        Eigenvalues of U⋆U⋆ᵀ, above 0.
    strength, smoothing : float
        λ ≥ 0 and β > 0.
    """
    values = _checks.vector("spectrum", spectrum)
    if values.min() <= 0:
        raise ValueError(f"spectrum holds {values.min()}: give eigenvalues above 0")
    return float(np.sqrt(min(surviving_mass(mu, strength, smoothing) for mu in values)))


def contraction(objective: Penalized, limit: ArrayLike, step: float) -> float:
    """Return 1 - ηh, the ratio of a step of gradient descent near its limit in the long run.

    Parameters
    ----------
    objective : Penalized
        What is descended on.
    limit : (d, k) array
        A minimum, of k ≤ d independent columns.
    step : float
        Length η of a step, above 0.

    Returns
    -------
    float
        The ratio, with h the least curvature apart from the k(k - 1)/2 zeros of rotations; it is below 1 if h is above
        0.

    Raises
    ------
    ValueError
        For arguments out of their range.
    """
    U, hessian = _minimum(objective, limit)
    step = _checks.scalar("step", step, positive=True)
    d, k = U.shape
    if k > d:
        raise ValueError(f"limit has shape {U.shape}: give at most as many columns as rows")
    curvature = np.linalg.eigvalsh(hessian)[k * (k - 1) // 2]
    return float(_checks.finite("the contraction", 1 - curvature * step, "step"))


def linearized_distance(
    objective: Penalized, limit: ArrayLike, start: ArrayLike, *, step: float, times: ArrayLike
) -> Floats:
    """Return how far the linearized descent is from its limit: a sum of geometric sequences, one for each curvature.

    Parameters
    ----------
    objective : Penalized
        What is descended on.
    limit, start : (d, k) arrays
        A minimum, and a point near it, where the descent is at time 0.
    step : float
        Length η of a step, above 0.
    times : (m,) array
        Numbers of steps, at least 0.

    Returns
    -------
    (m,) array
        Frobenius norm of ŪΔᵀ + ΔŪᵀ, the first-order change of UUᵀ, with Δ = (1 - ηH)ᵗ(U - Ū) and H the Hessian at Ū.

    Raises
    ------
    ValueError
        For arguments out of their range.
    """
    U, hessian = _minimum(objective, limit)
    step = _checks.scalar("step", step, positive=True)
    first = _checks.array("start", start, ndim=2)
    if U.shape != first.shape:
        raise ValueError(f"start has shape {first.shape}, but limit {U.shape}: give start of the shape of limit")
    counts = _checks.nonnegative_vector("times", times)
    _checks.room("times", counts.size, 8.0 * counts.size * (U.size + 3 * U.shape[0] ** 2))
    values, vectors = np.linalg.eigh(hessian)
    with np.errstate(over="ignore", invalid="ignore"):
        parts = vectors.T @ (first - U).ravel()
        later = (1 - step * values[:, None]) ** counts * parts[:, None]
        moves = (vectors @ later).T.reshape(-1, *U.shape)
        product = moves @ U.T
        distances = np.linalg.norm(product + product.swapaxes(1, 2), axis=(1, 2))
    return _checks.finite("the distance", distances, "start, step or times")


def _penalty(strength: float, smoothing: float) -> tuple[float, float]:
    return _checks.scalar("strength", strength), _checks.scalar("smoothing", smoothing, positive=True)


def _minimum(objective: Penalized, limit: ArrayLike) -> tuple[Floats, Floats]:
    """Return a minimum that has been checked, and the Hessian there."""
    _checks.instance("objective", objective, Penalized, "a Penalized")
    U = objective.problem._model("limit", _checks.array("limit", limit, ndim=2))
    try:
        return U, objective.hessian(U)
    except FloatingPointError:
        raise FloatingPointError("the Hessian leaves the range of double precision: rescale limit") from None
