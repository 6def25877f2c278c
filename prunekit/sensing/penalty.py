"""The smoothed group lasso on the columns of U, the objective it is part of, and the cut that follows.

With s the squared norm of a column the penalty is R_β(U) = Σ s/√(s + β): the norm of long columns, quadratic for
columns shorter than √β. The abstract of the paper (sensing) says that the penalty is a smoothed sum of column norms
and that the cut is at an explicit norm. This form, and the cut at 2√β, are not in that abstract; they are how the
authors of this book remember the full paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.sensing.problem import MatrixSensing


def _column_norms(U: Floats) -> Floats:
    """Return the Euclidean norms of the columns of U (d, k), (k,)."""
    with np.errstate(over="ignore"):
        return _checks.finite("a norm", _norms(_checks.matrix("U", U)), "U")


def _norms(U: Floats) -> Floats:
    return np.asarray(np.sqrt(np.sum(U * U, axis=0)))


def shrinkage(s: ArrayLike, smoothing: float) -> Floats:
    """Return g(s) = (s + 2β)/(s + β)^(3/2): the penalty's gradient in a column u with |u|² = s is g(s) u.

    It decreases from 2/√β at s = 0 towards 1/√s: short columns are pulled harder, for their size, than long ones.

    Raises
    ------
    TypeError, ValueError
        If β is not positive.
    """
    squares, smoothing = _squares("s", s), _checks.scalar("smoothing", smoothing, positive=True)
    with np.errstate(all="ignore"):
        factor = _shrinkage(squares, smoothing)
    return _checks.finite("the shrinkage", factor, "s or smoothing")


def _squares(name: str, value: ArrayLike) -> Floats:
    """Return squared norms of any shape, finite and at least 0."""
    squares = _checks.numbers(name, value)
    if squares.size == 0 or not np.isfinite(squares).all() or squares.min() < 0:
        raise ValueError(f"{name} holds what is no squared norm: give finite numbers of at least 0")
    return squares


def _shrinkage(s: Floats, smoothing: float) -> Floats:
    return np.asarray((s + 2 * smoothing) / (s + smoothing) ** 1.5)[()]


def shrinkage_slope(s: ArrayLike, smoothing: float) -> Floats:
    """Return the derivative of `shrinkage` in s, -(s + 4β)/(2(s + β)^(5/2)); β above 0."""
    squares, smoothing = _squares("s", s), _checks.scalar("smoothing", smoothing, positive=True)
    with np.errstate(all="ignore"):
        slope = _slope(squares, smoothing)
    return _checks.finite("the slope", slope, "s or smoothing")


def _slope(s: Floats, smoothing: float) -> Floats:
    return np.asarray(-(s + 4 * smoothing) / (2 * (s + smoothing) ** 2.5))[()]


def group_penalty(U: Floats, smoothing: float) -> float:
    """Return R_β(U), the sum over columns of s/√(s + β), in units of U.

    Parameters
    ----------
    U : (d, k) array
        The model.
    smoothing : float
        Smoothing β > 0, in units of U².

    Raises
    ------
    TypeError, ValueError
        If U is no finite matrix or β is not positive.
    """
    U, smoothing = _checks.array("U", U, ndim=2), _checks.scalar("smoothing", smoothing, positive=True)
    with np.errstate(over="ignore", invalid="ignore"):
        penalty = _penalty(np.sum(U * U, axis=0), smoothing)
    return _checks.finite("the penalty", penalty, "U or smoothing")


def _penalty(s: Floats, smoothing: float) -> float:
    return float(np.sum(s / np.sqrt(s + smoothing)))


@dataclass(frozen=True, eq=False)
class Penalized:
    """The loss of a problem plus λR_β(U), with its first two derivatives.

    Parameters
    ----------
    problem : MatrixSensing
        Where the loss comes from.
    strength : float
        Strength λ of the penalty, at least 0; with 0 it is the plain loss.
    smoothing : float
        Smoothing β, above 0.

    Raises
    ------
    ValueError
        If λ is negative or β is not positive.
    """

    problem: MatrixSensing
    strength: float = 0.0
    smoothing: float = 1.0

    def __post_init__(self) -> None:
        """Check the two parameters."""
        _checks.instance("problem", self.problem, MatrixSensing, "a MatrixSensing")
        object.__setattr__(self, "strength", _checks.scalar("strength", self.strength))
        object.__setattr__(self, "smoothing", _checks.scalar("smoothing", self.smoothing, positive=True))

    def value_and_gradient(self, U: Floats) -> tuple[float, Floats]:
        """Return the objective and its gradient (d, k) at U (d, k)."""
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = self._value_and_gradient(self.problem._model("U", U))
        return _checks.finite("the objective", value, "U"), _checks.finite("the gradient", gradient, "U")

    def _value_and_gradient(self, U: Floats) -> tuple[float, Floats]:
        """Return what `value_and_gradient` does, at a model that has been checked."""
        E, loss = self.problem._residual(U)
        gradient = -4 * (E @ U)
        if self.strength == 0:
            return loss, gradient
        s = np.sum(U * U, axis=0)
        value = loss + self.strength * _penalty(s, self.smoothing)
        return value, gradient + self.strength * _shrinkage(s, self.smoothing) * U

    def hessian_product(self, U: Floats, Z: Floats, E: Floats | None = None) -> Floats:
        """Return the second derivative at U applied to a direction Z (d, k); E is the residual, if it is known."""
        U, Z = self.problem._model("U", U), self.problem._model("Z", Z)
        if U.shape != Z.shape:
            raise ValueError(f"Z has shape {Z.shape}, but U {U.shape}: give Z of the shape of U")
        if E is not None:
            E = _checks.symmetric("E", E, self.problem.d, f"U has {self.problem.d} rows")
        with np.errstate(over="ignore", invalid="ignore"):
            product = self._hessian_product(U, Z, E)
        return _checks.finite("the product", product, "U, Z or E")

    def _hessian_product(self, U: Floats, Z: Floats, E: Floats | None = None) -> Floats:
        """Return what `hessian_product` does, with arrays that have been checked."""
        if E is None:
            E, _ = self.problem._residual(U)
        mixed = U @ Z.T
        product = 4 * (self.problem._apply(mixed + mixed.T) @ U - E @ Z)
        if self.strength == 0:
            return product
        s = np.sum(U * U, axis=0)
        along = 2 * _slope(s, self.smoothing) * np.sum(U * Z, axis=0)
        return product + self.strength * (_shrinkage(s, self.smoothing) * Z + along * U)

    def hessian(self, U: Floats) -> Floats:
        """Return the second derivative at U as a matrix (dk, dk), for small d and k."""
        U = self.problem._model("U", U)
        size = U.size
        if size == 0:
            raise ValueError(f"U has shape {U.shape}, which is empty: give at least one column")
        _checks.room("U", U, 16.0 * size * size)
        E, _ = self.problem.residual(U)
        basis = np.eye(size).reshape(size, *U.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            matrix = np.array([self._hessian_product(U, Z, E).ravel() for Z in basis])
        return _checks.finite("the Hessian", matrix, "U")


def cut_off(smoothing: float) -> float:
    """Return the norm 2√β below which a column is pruned, in units of U."""
    return 2 * float(np.sqrt(_checks.scalar("smoothing", smoothing, positive=True)))


def greedy_prune(U: ArrayLike, threshold: float) -> Floats:
    """Drop the columns whose norm is at most `threshold`.

    Parameters
    ----------
    U : (d, k) array
        The model.
    threshold : float
        The norm up to which a column is dropped, in units of U, at least 0; see `cut_off`.

    Returns
    -------
    (d, kept) array
        The other columns in their order; `kept` may be 0.

    Raises
    ------
    ValueError
        If U is no finite matrix or the threshold is negative.

    Examples
    --------
    >>> greedy_prune([[3.0, 0.1], [4.0, 0.1]], threshold=0.5)
    array([[3.],
           [4.]])
    """
    U = _checks.array("U", U, ndim=2)
    return U[:, _column_norms(U) > _checks.scalar("threshold", threshold)]


def share_above(U: Floats, x: ArrayLike) -> Floats:
    """Return the share of columns whose norm exceeds x times the largest, for each x.

    Parameters
    ----------
    U : (d, k) array
        The model, with a column that is not 0.
    x : array
        Numbers from 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If U is no finite matrix, or all columns are 0.
    """
    norms = _column_norms(_checks.array("U", U, ndim=2))
    shares = _squares("x", x)
    if norms.max() == 0:
        raise ValueError("U is 0: shares are relative to the longest column, which must not be 0")
    return np.mean(norms[:, None] > norms.max() * shares.ravel(), axis=0).reshape(shares.shape)
