"""Arguments are judged at the door, in one voice.

Every helper takes the argument's name first, returns the value in the form the mathematics wants (a fresh,
finite float64 array, a Python int, a numpy Generator), and otherwise raises: TypeError for a wrong kind of
thing, ValueError for a wrong value. The message names the argument, says what it was, and what would be
right.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Seed = int | np.integer[Any] | np.random.SeedSequence | np.random.Generator


def array(name: str, value: ArrayLike, *, ndim: int | tuple[int, ...]) -> Floats:
    """Return a fresh float64 copy of `value` with an allowed number of axes and finite entries."""
    raw = _real(name, value)
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if raw.ndim not in allowed:
        wanted = " or ".join(str(k) for k in allowed)
        raise ValueError(f"{name} has shape {raw.shape}: give an array with {wanted} axes")
    if raw.size == 0:
        raise ValueError(f"{name} has shape {raw.shape}, which is empty: give at least one entry")
    bad = np.flatnonzero(~np.isfinite(raw))
    if bad.size:
        where = tuple(int(k) for k in np.unravel_index(bad[0], raw.shape))
        raise ValueError(f"{name} holds {raw[where]} at index {where}: give finite numbers")
    return raw


def _real(name: str, value: ArrayLike) -> Floats:
    """Return `value` as a float64 copy, refusing text, objects and complex numbers."""
    try:
        found = np.asarray(value)
    except ValueError as reason:
        raise ValueError(f"{name} is ragged ({reason}): give rows of one length") from None
    if found.dtype.kind not in "fiub":
        raise TypeError(f"{name} is of kind {found.dtype}: give an array of real numbers")
    return np.array(found, dtype=np.float64)


def numbers(name: str, value: ArrayLike) -> Floats:
    """Return real numbers of any shape, infinite ones among them, but no NaN."""
    found = _real(name, value)
    if np.isnan(found).any():
        raise ValueError(f"{name} holds nan: give numbers")
    return found


def vector(name: str, value: ArrayLike, length: int | None = None, *, like: str = "") -> Floats:
    """Return a finite vector, of the `length` that `like` (what it must match) calls for."""
    found = array(name, value, ndim=1)
    if length is not None and found.size != length:
        raise ValueError(f"{name} has shape {found.shape}, but {like}: give {name} of shape ({length},)")
    return found


def nonnegative_vector(name: str, value: ArrayLike, length: int | None = None, *, like: str = "") -> Floats:
    """Return a finite vector without a negative entry."""
    found = vector(name, value, length, like=like)
    bad = np.flatnonzero(found < 0)
    if bad.size:
        raise ValueError(f"{name} holds {found[bad[0]]} at index {bad[0]}: give entries of at least 0")
    return found


def covariance(name: str, value: ArrayLike) -> Floats:
    """Return variances (p,) or a symmetric positive semidefinite matrix (p, p).

    Asymmetry and negative eigenvalues of the size of rounding are allowed: the matrix is symmetrized, and
    whoever takes its spectrum clips it at zero.
    """
    found = array(name, value, ndim=(1, 2))
    if found.ndim == 1:
        return nonnegative_vector(name, found)
    if found.shape[0] != found.shape[1]:
        raise ValueError(f"{name} has shape {found.shape}: give variances (p,) or a square matrix (p, p)")
    scale = float(np.abs(found).max())
    asymmetry = float(np.abs(found - found.T).max())
    if asymmetry > 1e-10 * scale:
        raise ValueError(f"{name} is asymmetric by {asymmetry:.3g}: give (C + C.T) / 2, if that is meant")
    found = (found + found.T) / 2
    least = float(np.linalg.eigvalsh(found)[0])
    if least < -1e-10 * scale:
        raise ValueError(f"{name} has the eigenvalue {least:.3g}: give a positive semidefinite matrix")
    return found


def scalar(name: str, value: Any, *, positive: bool = False) -> float:
    """Return a finite float of at least 0, or above 0 if `positive`."""
    if isinstance(value, bool | np.bool_ | str | bytes) or np.ndim(value) != 0:
        raise TypeError(f"{name} is {value!r}: give one real number")
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}: give one real number") from None
    if not np.isfinite(found) or found < 0 or (positive and found == 0):
        raise ValueError(f"{name} is {found}: give a finite number {'above' if positive else 'of at least'} 0")
    return found


def count(name: str, value: Any, low: int = 1, high: int | None = None, *, high_is: str = "") -> int:
    """Return an int within `low` and `high`; `high_is` tells what the upper bound stands for."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is the truth value {value}: give an integer")
    try:
        found = operator.index(value)
    except TypeError:
        message = f"{name} is {value!r}: give an integer"
        raise (ValueError if isinstance(value, float | np.floating) else TypeError)(message) from None
    if found < low or (high is not None and found > high):
        wanted = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} is {found}: give an integer {wanted}{high_is and f' ({high_is})'}")
    return found


def indices(name: str, value: ArrayLike, p: int) -> Integers:
    """Return distinct integers from 0 to p - 1, at least one, in the order given."""
    found = np.asarray(value)
    if found.dtype.kind == "b":
        raise TypeError(f"{name} is a mask: give positions, np.flatnonzero({name})")
    if found.size and found.dtype.kind not in "iu":
        raise TypeError(f"{name} is of kind {found.dtype}: give an array of integers")
    if found.ndim != 1 or found.size == 0:
        raise ValueError(f"{name} has shape {found.shape}: give a vector of at least one index")
    if found.min() < 0 or found.max() >= p:
        raise ValueError(f"{name} reaches from {found.min()} to {found.max()}: give indices from 0 to {p - 1}")
    if np.unique(found).size != found.size:
        raise ValueError(f"{name} names a feature twice: give distinct indices")
    return found.astype(np.intp)


def sample(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Return a design (n, p) and its labels (n,)."""
    design = array("X", X, ndim=2)
    return design, vector("y", y, design.shape[0], like=f"X has {design.shape[0]} rows")


def generator(seed: Any) -> np.random.Generator:
    """Return the random generator of a seed; a Generator is used as it is, and moves on."""
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, np.random.SeedSequence):
        return np.random.default_rng(seed)
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed is {seed!r}: give an integer, a numpy SeedSequence or a numpy Generator")
    if seed < 0:
        raise ValueError(f"seed is {seed}: give an integer of at least 0")
    return np.random.default_rng(int(seed))


def finite(name: str, value: Any) -> Any:
    """Return a result, or raise FloatingPointError rather than let NaN or infinity out."""
    if not np.all(np.isfinite(value)):
        raise FloatingPointError(f"{name} leaves the range of double precision: rescale the covariance or beta")
    return value
