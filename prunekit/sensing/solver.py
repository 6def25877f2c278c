"""Approximate local minima, and gradient descent followed step by step.

Where any approximate local minimum will do, `approximate_minimum` finds one faster than gradient descent can:
quasi-Newton descent (L-BFGS) until the gradient is small, then the least curvature by Lanczos; from a saddle it moves
on along the direction of negative curvature, which is what a random perturbation does for gradient descent. Where
the claim is about gradient descent itself, `gradient_descent` is that and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.sensing.penalty import Penalized

_POLISH = 8  # how many of Newton's steps follow a quasi-Newton search; each squares an error that is small


@dataclass(frozen=True, eq=False)
class Stationary:
    """A point with the stationarity that was reached.

    Attributes
    ----------
    U : (d, k) array
        The point.
    value : float
        The objective there.
    gradient_norm : float
        Frobenius norm of the gradient.
    least_curvature : float
        Smallest eigenvalue of the Hessian found by Lanczos.
    curvature_error : float
        An eigenvalue lies within this distance of `least_curvature`.
    iterations : int
        Quasi-Newton steps.
    escapes : int
        Saddles left along negative curvature.
    converged : bool
        Whether gradient and curvature are within the tolerances asked for.
    """

    U: Floats
    value: float
    gradient_norm: float
    least_curvature: float
    curvature_error: float
    iterations: int
    escapes: int
    converged: bool


@dataclass(frozen=True, eq=False)
class Descent:
    """A run of gradient descent.

    Attributes
    ----------
    U : (d, k) array
        The last iterate.
    step : (records,) array of int
        Iterations at which something was recorded, from 0.
    value, gradient_norm : (records,) arrays
        Objective and Frobenius norm of its gradient there.
    measured : (records,) array
        What `measure` returned there, without NaN; zeros if there was no `measure`.
    """

    U: Floats
    step: np.ndarray
    value: Floats
    gradient_norm: Floats
    measured: Floats


def random_start(d: int, k: int, size: float = 1.0, *, seed: Seed) -> Floats:
    """Draw a Gaussian start whose product UUᵀ has a largest eigenvalue of about size².

    Parameters
    ----------
    d, k : int
        Shape of the start.
    size : float
        Entries have the standard deviation size/(√d + √k), above 0.
    seed : int, SeedSequence or Generator
        Where the start comes from.

    Raises
    ------
    ValueError
        For arguments out of their range.
    """
    d, k = _checks.count("d", d), _checks.count("k", k)
    _checks.draws("d, or k,", d, k, each_is="d times k")
    _checks.room("d, or k,", d, 16.0 * d * k)
    scale = _checks.scalar("size", size, positive=True) / (np.sqrt(d) + np.sqrt(k))
    return scale * _checks.generator(seed).standard_normal((d, k))


def approximate_minimum(
    objective: Penalized,
    start: Floats,
    *,
    gradient_tolerance: float = 1e-6,
    curvature_tolerance: float = 1e-3,
    max_iterations: int = 20000,
    max_escapes: int = 50,
    seed: Seed = 0,
) -> Stationary:
    """Find an approximate local minimum.

    Parameters
    ----------
    objective : Penalized
        What to minimize.
    start : (d, k) array
        Where to begin.
    gradient_tolerance : float
        Largest Frobenius norm of the gradient that is accepted.
    curvature_tolerance : float
        The least eigenvalue of the Hessian must not be below minus this; Lanczos stops at a tenth of it.
    max_iterations, max_escapes : int
        Limits over the whole search.
    seed : int, SeedSequence or Generator
        Where the starts of Lanczos come from.

    Returns
    -------
    Stationary
        The point, with what was reached there. Its `converged` is False where a limit or rounding came first.

    Raises
    ------
    ValueError
        For a start that is no finite matrix of d rows, or tolerances that are not positive.

    Examples
    --------
    >>> from prunekit.sensing import MatrixSensing, Penalized, ground_truth, random_start
    >>> problem = MatrixSensing.population(ground_truth(5, 1, seed=0))
    >>> point = approximate_minimum(Penalized(problem, strength=0.01, smoothing=0.01), random_start(5, 3, seed=0))
    >>> point.converged
    True
    """
    U = _start(objective, start)
    tolerance = _checks.scalar("gradient_tolerance", gradient_tolerance, positive=True)
    flat = _checks.scalar("curvature_tolerance", curvature_tolerance, positive=True)
    max_iterations, max_escapes = (
        _checks.count("max_iterations", max_iterations),
        _checks.count("max_escapes", max_escapes, 0),
    )
    rng = _checks.generator(seed)
    with bars.bar("minimum", max_iterations, "iterations") as bar:
        return _search(objective, U, (tolerance, flat), (max_iterations, max_escapes), rng, bar.update)


def _search(
    objective: Penalized,
    U: Floats,
    tolerances: tuple[float, float],
    limits: tuple[int, int],
    rng: np.random.Generator,
    tell: Callable[[int], Any],
) -> Stationary:
    """Minimize, and leave along a negative curvature for as long as there is one and the limits allow."""
    (tolerance, flat), (max_iterations, max_escapes) = tolerances, limits
    used = escapes = 0
    while True:
        U, value, gradient_norm, steps = _quasi_newton(objective, U, tolerance, max(1, max_iterations - used), tell)
        used += steps
        E, _ = objective.problem._residual(U)
        least, direction, error = least_curvature(
            lambda Z, U=U, E=E: objective._hessian_product(U, Z, E),  # type: ignore[misc]
            U.shape,
            tolerance=flat / 10,
            seed=rng,
        )
        done = least >= -flat
        further = None if done else _along(objective, U, value, direction)
        if further is None or escapes == max_escapes or used >= max_iterations:
            reached = done and gradient_norm <= tolerance and error <= flat
            return Stationary(U, value, gradient_norm, least, error, used, escapes, reached)
        U, escapes = further, escapes + 1


def _start(objective: Penalized, start: Floats) -> Floats:
    _checks.instance("objective", objective, Penalized, "a Penalized")
    U = _checks.array("start", start, ndim=2)
    if U.shape[0] != objective.problem.d:
        raise ValueError(f"start has shape {U.shape}: give {objective.problem.d} rows, as the ground truth has")
    return U


def _quasi_newton(
    objective: Penalized, U: Floats, tolerance: float, limit: int, tell: Callable[[int], Any]
) -> tuple[Floats, float, float, int]:
    """Run L-BFGS until the gradient's norm is at most `tolerance`, restarting it where its line search gives up."""
    from scipy.optimize import minimize

    def both(x: Floats) -> tuple[float, Floats]:
        value, gradient = objective._value_and_gradient(x.reshape(U.shape))
        return value, gradient.ravel()

    def stop(intermediate_result: object) -> None:
        tell(1)
        if np.linalg.norm(last[1]) <= tolerance:
            raise StopIteration

    last: tuple[float, Floats] = both(U.ravel())

    def remembered(x: Floats) -> tuple[float, Floats]:
        nonlocal last
        last = both(x)
        return last

    x, used = U.ravel(), 0
    for _ in range(3):
        options = {"maxiter": limit - used, "maxfun": 3 * limit, "ftol": 0.0, "gtol": 0.0, "maxcor": 20}
        search = minimize(remembered, x, jac=True, method="L-BFGS-B", callback=stop, options=options)
        x, used = search.x, used + int(search.nit)
        value, gradient = both(x)
        norm = float(np.linalg.norm(gradient))
        if norm <= tolerance or used >= limit or search.nit == 0:
            break
    _checks.finite("the objective", value, "start")
    return _polished(objective, x.reshape(U.shape), tolerance, min(_POLISH, limit - used), used)


def _polished(
    objective: Penalized, U: Floats, tolerance: float, most: int, used: int
) -> tuple[Floats, float, float, int]:
    """Take Newton's steps while they shorten the gradient and the value does not rise.

    A line search compares values, which near a minimum differ by less than rounding while the gradient is still √ε
    long; how far it gets then depends on the processor.
    """
    from scipy.sparse.linalg import LinearOperator, minres

    value, gradient = objective._value_and_gradient(U)
    for _ in range(most):
        if np.linalg.norm(gradient) <= tolerance:
            break
        E, _ = objective.problem._residual(U)
        H = LinearOperator(
            (U.size, U.size), lambda z, U=U, E=E: objective._hessian_product(U, z.reshape(U.shape), E).ravel()
        )
        step, _ = minres(H, -gradient.ravel(), rtol=1e-4, maxiter=10 * U.shape[0])
        further = U + step.reshape(U.shape)
        there, slope = objective._value_and_gradient(further)
        if there > value + 1e-12 * abs(value) or not np.linalg.norm(slope) < np.linalg.norm(gradient):
            break
        U, value, gradient, used = further, there, slope, used + 1
    return U, float(value), float(np.linalg.norm(gradient)), used


def _along(objective: Penalized, U: Floats, value: float, direction: Floats) -> Floats | None:
    """Return the best point on the line through U along a direction, None if no point of a grid is lower."""
    lengths = np.concatenate([sign * 2.0 ** -np.arange(0, 24) for sign in (1, -1)])
    values = np.array([objective._value_and_gradient(U + t * direction)[0] for t in lengths])
    best = int(np.argmin(values))
    return U + lengths[best] * direction if values[best] < value else None


def least_curvature(
    product: Callable[[Floats], Floats],
    shape: tuple[int, ...],
    *,
    tolerance: float = 1e-4,
    max_steps: int = 150,
    seed: Seed = 0,
) -> tuple[float, Floats, float]:
    """Find the smallest eigenvalue of a symmetric operator by Lanczos with full reorthogonalization.

    Parameters
    ----------
    product : callable
        A function that takes an array of the given shape and returns its product with the operator, of the same shape.
    shape : tuple of int
        Shape of the arrays.
    tolerance : float
        Residual at which to stop, in the units of the eigenvalue.
    max_steps : int
        Largest number of products.
    seed : int, SeedSequence or Generator
        Where the random start comes from.

    Returns
    -------
    value : float
        The smallest Ritz value, never below the smallest eigenvalue but for rounding.
    vector : array of the given shape
        Its unit Ritz vector.
    error : float
        Norm of the residual: an eigenvalue lies within this distance of `value`.
    """
    _checks.function("product", product)
    shape = _shape(shape)
    tolerance, rng = _checks.scalar("tolerance", tolerance), _checks.generator(seed)
    size = math.prod(shape)
    limit = min(_checks.count("max_steps", max_steps), size)
    _checks.room("shape", shape, 8.0 * (limit + 2) * size)
    basis = np.empty((limit, size))
    diagonal, off = np.zeros(limit), np.zeros(limit)
    vector = rng.standard_normal(size)
    vector /= np.linalg.norm(vector)
    for j in range(limit):
        basis[j] = vector
        w = _answer(product(vector.reshape(shape)), shape).ravel()
        diagonal[j] = w @ vector
        for _ in range(2):  # the second time makes it orthogonal up to rounding
            w = w - basis[: j + 1].T @ (basis[: j + 1] @ w)
        off[j] = np.linalg.norm(w)
        last = j == limit - 1 or off[j] < 1e-12 * np.abs(diagonal[: j + 1]).max(initial=1e-300)
        if last or j % 5 == 4:
            T = np.diag(diagonal[: j + 1]) + np.diag(off[:j], 1) + np.diag(off[:j], -1)
            values, vectors = np.linalg.eigh(T)
            error = float(off[j] * abs(vectors[-1, 0]))
            if last or error <= tolerance:
                break
        vector = w / off[j]
    return float(values[0]), (vectors[:, 0] @ basis[: j + 1]).reshape(shape), error


def _shape(shape: Any) -> tuple[int, ...]:
    """Return a shape of at least one entry."""
    sizes = tuple(_checks.count("shape", each) for each in _checks.listed("shape", shape, "integers"))
    if math.prod(sizes) > _checks.LARGEST:
        raise ValueError(f"shape is {_checks.shown(shape)}: give one of at most 2**53 entries")
    return sizes


def _answer(answer: Any, shape: tuple[int, ...]) -> Floats:
    """Return what a product returned: finite numbers in the shape asked for."""
    values = _checks.real_numbers("what product returns", answer)
    if values.shape != shape:
        raise ValueError(f"product returns shape {values.shape} for {shape}: give one of that shape")
    return _checks.finite("what product returns", values, "product")


def gradient_descent(
    objective: Penalized,
    start: Floats,
    *,
    step: float,
    steps: int,
    every: int = 1,
    stop_at: float = 0.0,
    measure: Callable[[Floats], float] | None = None,
) -> Descent:
    """Follow plain gradient descent with a constant step.

    Parameters
    ----------
    objective : Penalized
        What to descend on.
    start : (d, k) array
        Where to begin.
    step : float
        Length by which the gradient is multiplied, above 0.
    steps : int
        Largest number of iterations.
    every : int
        After how many iterations one is recorded; the first and the last always are.
    stop_at : float
        Stop where the Frobenius norm of the gradient is at most this.
    measure : callable, optional
        Something else to record of an iterate.

    Raises
    ------
    ValueError
        For arguments out of their range.
    FloatingPointError
        If the iterates diverge: the step is too long.
    """
    U = _start(objective, start)
    step, stop_at = _checks.scalar("step", step, positive=True), _checks.scalar("stop_at", stop_at)
    steps, every = _checks.count("steps", steps), _checks.count("every", every)
    if measure is not None:
        _checks.function("measure", measure)
    rows = []
    for t in bars.each("gradient descent", range(steps + 1), steps + 1, "steps"):
        value, gradient = objective._value_and_gradient(U)
        norm = float(np.linalg.norm(gradient))
        if not np.isfinite(norm) or norm > 1e100:
            raise FloatingPointError(
                f"gradient descent diverges at iteration {t}: step is {step}, give a shorter one, or another start"
            )
        last = t == steps or norm <= stop_at
        if last or t % every == 0:
            rows.append((t, value, norm, _checks.real("measure(U)", measure(U)) if measure else 0.0))
        if last:
            break
        U = U - step * gradient
    t_, *columns = (np.array(column) for column in zip(*rows, strict=True))
    return Descent(U, t_, *columns)


def descent_limit(objective: Penalized, start: Floats, *, step: float, steps: int = 20000) -> Floats:
    """Return the limit of gradient descent: Newton's steps end what descent has begun.

    Parameters
    ----------
    objective : Penalized
        What to descend on.
    start : (d, k) array
        Where to begin.
    step : float
        Length by which the gradient is multiplied, above 0.
    steps : int
        Largest number of iterations; descent stops earlier at a gradient of norm 1e-6.

    Returns
    -------
    (d, k) array
        A stationary point up to rounding, if descent came near one.

    Raises
    ------
    ValueError
        For arguments out of their range.
    FloatingPointError
        If the iterates diverge: the step is too long.

    Examples
    --------
    >>> from prunekit.sensing import MatrixSensing, Penalized, ground_truth
    >>> truth = ground_truth(5, 2, seed=0)
    >>> limit = descent_limit(Penalized(MatrixSensing.population(truth)), 0.5 * truth, step=0.05)
    >>> bool(np.allclose(limit, truth, atol=1e-12))
    True
    """
    _checks.instance("objective", objective, Penalized, "a Penalized")
    steps = _checks.count("steps", steps)
    U = gradient_descent(objective, start, step=step, steps=steps, every=steps, stop_at=1e-6).U
    for _ in range(3):  # each Newton step squares the error that is left; curvatures near 0 are those of rotations
        _, gradient = objective.value_and_gradient(U)
        inverse = np.linalg.pinv(objective.hessian(U), rcond=1e-6, hermitian=True)
        U = U - (inverse @ gradient.ravel()).reshape(U.shape)
    return _checks.finite("the limit", U, "start or step")
