"""Arguments are checked where they come in, with messages of one form.

Every helper takes the argument's name first, returns the value in the form the mathematics wants (a fresh,
finite float64 array, a Python int, a numpy Generator), and otherwise raises: TypeError for a wrong kind of
thing, ValueError for a wrong value, MemoryError for a size that this machine cannot hold, and FloatingPointError
where right arguments lead out of the range of double precision. The message names the argument, says what it was,
and what would be right.
"""

from __future__ import annotations

import operator
import os
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]
Seed = int | np.integer[Any] | np.random.SeedSequence | np.random.Generator
T = TypeVar("T")

LARGEST = 2**53  # every count up to here is a double, too
DRAWN = 10**11  # numbers that one call may draw: a quarter of an hour to an hour
_SMALL = 2**28  # bytes that are not worth a look at the machine's memory


def array(name: str, value: ArrayLike, *, ndim: int | tuple[int, ...]) -> Floats:
    """Return a fresh float64 copy of `value` with an allowed number of axes and finite entries."""
    raw = _real(name, value)
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if raw.ndim not in allowed:
        wanted = " or ".join(str(k) for k in allowed)
        raise ValueError(f"{name} has shape {raw.shape}: give an array with {wanted} axes")
    if raw.size == 0:
        raise ValueError(f"{name} has shape {raw.shape}, which is empty: give at least one entry")
    good = np.isfinite(raw)
    if not good.all():
        where = tuple(int(k) for k in np.unravel_index(np.flatnonzero(~good)[0], raw.shape))
        raise ValueError(f"{name} holds {raw[where]} at index {where}: give finite numbers")
    return raw


def _raw(name: str, value: Any) -> NDArray[Any]:
    """Return `value` as a plain numpy array of any kind, refusing what is ragged, masked or no array."""
    if isinstance(value, np.ma.MaskedArray):
        hidden = np.flatnonzero(np.ma.getmaskarray(value))
        if hidden.size:
            where = tuple(int(k) for k in np.unravel_index(hidden[0], value.shape))
            raise ValueError(f"{name} is masked at index {where}: fill what is masked, or leave it out")
        return np.asarray(value.data)
    try:
        return np.asarray(value)
    except ValueError as reason:
        raise ValueError(f"{name} is ragged ({reason}): give rows of one length") from None
    except Exception as reason:  # what has an __array__ of its own may raise anything
        raise TypeError(f"{name} cannot be read as an array ({reason}): give an array of numbers") from None


def _real(name: str, value: ArrayLike) -> Floats:
    """Return `value` as a float64 copy, refusing text, objects and complex numbers."""
    raw = _raw(name, value)
    if raw.dtype.kind not in "fiub":
        raise TypeError(f"{name} is of kind {raw.dtype}: give an array of real numbers")
    with np.errstate(over="ignore"):  # a number of a longer type may become infinite, and is refused as such
        return np.array(raw, dtype=np.float64)


def plain(name: str, value: Any) -> NDArray[Any]:
    """Return `value` as a plain numpy array, without a copy, of any kind; nothing in it is masked."""
    return _raw(name, value)


def real_numbers(name: str, value: ArrayLike) -> Floats:
    """Return real numbers of any shape, NaN and infinite ones among them, as a copy."""
    return _real(name, value)


def numbers(name: str, value: ArrayLike) -> Floats:
    """Return real numbers of any shape, infinite ones among them, but no NaN."""
    values = _real(name, value)
    if np.isnan(values).any():
        raise ValueError(f"{name} holds nan: give numbers")
    return values


def matrix(name: str, value: ArrayLike, rows: int | None = None, *, like: str = "") -> Floats:
    """Return a finite matrix of the number of `rows` that `like` calls for; it may have no columns."""
    values = _real(name, value)
    good = bool(np.isfinite(values).all())
    values = values if good else numbers(name, values)  # of NaN and infinity, NaN is said first
    if values.ndim != 2 or (rows is not None and values.shape[0] != rows) or values.shape[0] == 0:
        wanted = "one with two axes" if rows is None else f"{rows} rows"
        raise ValueError(f"{name} has shape {values.shape}{like and f', but {like}'}: give {wanted}")
    if not good:
        raise ValueError(f"{name} holds infinity: give finite numbers")
    return values


def held(name: str, value: ArrayLike, shape: tuple[int, ...], like: str) -> Floats:
    """Return finite numbers of a shape that `like` calls for, without a copy of what is float64 already."""
    values = _raw(name, value)
    values = values if values.dtype == np.float64 else _real(name, value)
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, but {like}: give {name} of shape {shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds numbers that are not finite: give finite numbers")
    return values


def symmetric(name: str, value: ArrayLike, size: int, like: str) -> Floats:
    """Return a finite matrix of the size that `like` calls for, unchanged; it must be symmetric up to rounding."""
    values = array(name, value, ndim=2)
    if values.shape != (size, size):
        raise ValueError(f"{name} has shape {values.shape}, but {like}: give {name} of shape ({size}, {size})")
    with np.errstate(over="ignore"):
        asymmetry = float(np.abs(values - values.T).max())
    if asymmetry > 1e-10 * float(np.abs(values).max()):
        raise ValueError(f"{name} is asymmetric by {asymmetry:.3g}: give (X + X.T) / 2, if that is meant")
    return values


def vector(name: str, value: ArrayLike, length: int | None = None, *, like: str = "") -> Floats:
    """Return a finite vector, of the `length` that `like` (what it must match) calls for."""
    entries = array(name, value, ndim=1)
    if length is not None and entries.size != length:
        raise ValueError(f"{name} has shape {entries.shape}, but {like}: give {name} of shape ({length},)")
    return entries


def nonnegative_vector(name: str, value: ArrayLike, length: int | None = None, *, like: str = "") -> Floats:
    """Return a finite vector without a negative entry."""
    entries = vector(name, value, length, like=like)
    bad = np.flatnonzero(entries < 0)
    if bad.size:
        raise ValueError(f"{name} holds {entries[bad[0]]} at index {bad[0]}: give entries of at least 0")
    return entries


def covariance(name: str, value: ArrayLike) -> Floats:
    """Return variances (p,) or a symmetric positive semidefinite matrix (p, p).

    Asymmetry and negative eigenvalues of the size of rounding are allowed: the matrix is symmetrized, and
    code that takes its spectrum clips it at zero.
    """
    values = array(name, value, ndim=(1, 2))
    if values.ndim == 1:
        return nonnegative_vector(name, values)
    if values.shape[0] != values.shape[1]:
        raise ValueError(f"{name} has shape {values.shape}: give variances (p,) or a square matrix (p, p)")
    scale = float(np.abs(values).max())
    with np.errstate(over="ignore"):
        asymmetry = float(np.abs(values - values.T).max())
    if asymmetry > 1e-10 * scale:
        raise ValueError(f"{name} is asymmetric by {asymmetry:.3g}: give (C + C.T) / 2, if that is meant")
    values = values / 2 + values.T / 2  # halves, since a sum may leave the range
    with in_range(f"the spectrum of {name}", name):
        least = float(finite(f"the spectrum of {name}", np.linalg.eigvalsh(values), name)[0])
    if least < -1e-10 * scale:
        raise ValueError(f"{name} has the eigenvalue {least:.3g}: give a positive semidefinite matrix")
    return values


def scalar(name: str, value: Any, *, positive: bool = False) -> float:
    """Return a finite float of at least 0, or above 0 if `positive`."""
    number = _number(name, value)
    if not np.isfinite(number) or number < 0 or (positive and number == 0):
        raise ValueError(f"{name} is {number}: give a finite number {'above' if positive else 'of at least'} 0")
    return number


def real(name: str, value: Any) -> float:
    """Return a finite float of either sign."""
    number = _number(name, value)
    if not np.isfinite(number):
        raise ValueError(f"{name} is {number}: give a finite number")
    return number


def probability(name: str, value: Any) -> float:
    """Return a float above 0 and below 1."""
    number = _number(name, value)
    if not 0 < number < 1:
        raise ValueError(f"{name} is {number}: give a number above 0 and below 1")
    return number


def share(name: str, value: Any) -> float:
    """Return a float from 0 to 1."""
    number = _number(name, value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} is {number}: give a share from 0 to 1")
    return number


def _number(name: str, value: Any) -> float:
    """Return a float, which may be infinite or NaN, of one real number of any type."""
    if type(value) is float:
        return value
    wrong = f"{name} is {shown(value)}: give one real number"
    if isinstance(value, bool | np.bool_ | str | bytes | complex) or (
        isinstance(value, np.generic) and value.dtype.kind not in "fiu"
    ):
        raise TypeError(wrong)
    try:
        if np.ndim(value) != 0:
            raise TypeError
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is {shown(value)}, beyond the range of double precision: give a number") from None
    except Exception:  # what is no number may raise anything
        raise TypeError(wrong) from None


def ceil_share(share: ArrayLike, total: int) -> Integers:
    """Return ⌈share · total⌉, but for rounding: .07 · 100 is 7.000000000000001 in binary, and means 7."""
    return np.asarray(np.ceil(np.asarray(share, dtype=np.float64) * total * (1 - 1e-12)), dtype=np.intp)


def count(name: str, value: Any, low: int = 1, high: int | None = None, *, high_is: str = "") -> int:
    """Return an int within `low` and `high`; `high_is` tells what the upper bound stands for.

    Without `high` it is at most 2^53, up to which every count is a double, too.
    """
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is the truth value {value}: give an integer")
    try:
        number = operator.index(value)
    except Exception:  # an object's own __index__ may raise anything
        message = f"{name} is {shown(value)}: give an integer"
        raise (ValueError if isinstance(value, float | np.floating) else TypeError)(message) from None
    if number < low or (high is not None and number > high):
        wanted = f"of at least {low}" if high is None else f"from {low} to {shown(high)}"
        raise ValueError(f"{name} is {shown(number)}: give an integer {wanted}{high_is and f' ({high_is})'}")
    if high is None and number > LARGEST:
        raise ValueError(f"{name} is {shown(number)}: give an integer from {low} to 2**53")
    return number


def draws(name: str, value: Any, each: int, low: int = 1, *, each_is: str = "") -> int:
    """Return a number of draws of `each` numbers, refusing more numbers in all than one call may draw.

    `each_is` tells what the numbers of one draw are.
    """
    number = count(name, value, low)
    if number * each > DRAWN:
        of = f"{each} numbers each{each_is and f' ({each_is})'}"
        raise ValueError(
            f"{name} is {number}, of {of}, which takes hours: give at most {max(DRAWN // each, low)}, "
            "and average calls with seeds of their own, if you want more"
        )
    return number


def memory() -> float:
    """Return the bytes of memory that this machine has to spare now."""
    import psutil

    return float(psutil.virtual_memory().available)


def room(name: str, value: Any, needed: float) -> None:
    """Refuse an argument whose size asks for more bytes than there are."""
    if needed > _SMALL and needed > (have := memory()):
        raise MemoryError(
            f"{name} is {shown(value)}, which takes {_bytes(needed)}: this machine has {_bytes(have)} to spare, "
            "give less"
        )


def _bytes(size: float) -> str:
    """Return a size in words."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} EB"


def instance(name: str, value: Any, kind: type[T] | tuple[type[T], ...], what: str) -> T:
    """Return `value` if it is of a kind; `what` says what to give, such as "a LinearGaussian"."""
    if not isinstance(value, kind):
        is_ = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
        raise TypeError(f"{name} is {is_}: give {what}")
    return value


def function(name: str, value: Any, what: str = "a function") -> Callable[..., Any]:
    """Return `value` if it can be called."""
    if not callable(value):
        raise TypeError(f"{name} is {shown(value)}: give {what}")
    return value


def choice(name: str, value: Any, options: Sequence[Any]) -> Any:
    """Return `value` if it is one of some words."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} is {shown(value)}: give {_either(options)}")
    return value


def _either(options: Sequence[Any]) -> str:
    """Return options in words."""
    names = [repr(each) for each in options]
    return f"one of {', '.join(names)}" if len(names) > 3 else f"{', '.join(names[:-1])} or {names[-1]}"


def together(**given: Any) -> tuple[int, ...]:
    """Return the shape that arrays have together, refusing those that cannot be combined entry by entry."""
    shapes = {name: np.shape(value) for name, value in given.items()}
    try:
        joint = np.broadcast_shapes(*shapes.values())
    except ValueError:
        words = ", ".join(f"{name} has shape {shape}" for name, shape in shapes.items())
        raise ValueError(f"{words}: give arrays of one shape, or numbers") from None
    empty = [name for name, shape in shapes.items() if 0 in shape]
    if empty:
        raise ValueError(f"{empty[0]} has shape {shapes[empty[0]]}, which is empty: give at least one entry")
    return joint


def flag(name: str, value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {shown(value)}: give True or False")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shown(value)}: give a text")
    return value


def path(name: str, value: Any) -> Path:
    """Return a path."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise TypeError(f"{name} is {shown(value)}: give a path")
    if os.fspath(value) in ("", "."):
        raise ValueError(f"{name} is empty: give a path")
    return Path(value)


def listed(name: str, value: Any, what: str) -> list[Any]:
    """Return the entries of a sequence, refusing a text, a mapping and what has no entries."""
    if isinstance(value, str | bytes | Mapping | set | type):
        raise TypeError(f"{name} is {shown(value)}: give a sequence of {what}")
    try:
        return list(value)
    except Exception:  # what cannot be listed may raise anything
        raise TypeError(f"{name} is {shown(value)}: give a sequence of {what}") from None


def shown(value: Any) -> str:
    """Return a short text for a value, whatever it is."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    try:
        words = repr(value)
    except Exception:  # an object's own repr may raise anything
        words = ""
    return words if 0 < len(words) <= 80 else f"a {type(value).__name__}" if not words else reprlib.repr(value)


def indices(name: str, value: ArrayLike, p: int) -> Integers:
    """Return distinct integers from 0 to p - 1, at least one, in the order given."""
    positions = integers(name, value)
    if positions.ndim != 1 or positions.size == 0:
        raise ValueError(f"{name} has shape {positions.shape}: give a vector of at least one index")
    if positions.min() < 0 or positions.max() >= p:
        raise ValueError(f"{name} reaches from {positions.min()} to {positions.max()}: give indices from 0 to {p - 1}")
    if np.unique(positions).size != positions.size:
        raise ValueError(f"{name} names a feature twice: give distinct indices")
    return positions.astype(np.intp)


def integers(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return an array of integers, of any shape; an empty list is one."""
    values = _raw(name, value)
    if values.dtype.kind == "b":
        raise TypeError(f"{name} is a mask: give positions, np.flatnonzero({name})")
    if values.dtype.kind not in "iu" and (values.size or values.dtype.kind != "f"):
        raise TypeError(f"{name} is of kind {values.dtype}: give an array of integers")
    return values


def mask(name: str, value: ArrayLike, length: int, *, like: str) -> NDArray[np.bool_]:
    """Return a vector of truth values that says True somewhere, of the `length` that `like` calls for."""
    kept = _raw(name, value)
    if kept.dtype != np.bool_ or kept.shape != (length,) or not kept.any():
        raise ValueError(
            f"{name} is of kind {kept.dtype} and shape {kept.shape}, but {like}: give a bool array of shape "
            f"({length},) that keeps something"
        )
    return np.asarray(kept)


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
        raise TypeError(f"seed is {shown(seed)}: give an integer, a numpy SeedSequence or a numpy Generator")
    if seed < 0:
        raise ValueError(f"seed is {shown(seed)}: give an integer of at least 0")
    return np.random.default_rng(int(seed))


def finite(name: str, value: T, rescale: str) -> T:
    """Return a result, or raise FloatingPointError rather than let NaN or infinity out; it says what to rescale."""
    if not np.all(np.isfinite(value)):  # type: ignore[call-overload]
        raise _out_of_range(name, rescale)
    return value


@contextmanager
def in_range(name: str, rescale: str) -> Iterator[None]:
    """Say what to rescale where linear algebra gives up on numbers that left the range of double precision."""
    try:
        with np.errstate(all="ignore"):  # `finite` looks at the result afterwards
            yield
    except (np.linalg.LinAlgError, OverflowError, ZeroDivisionError):
        raise _out_of_range(name, rescale) from None
    except ValueError as reason:
        if "infs or NaNs" not in str(reason):  # scipy's words for it
            raise
        raise _out_of_range(name, rescale) from None


def _out_of_range(name: str, rescale: str) -> FloatingPointError:
    """Return the exception for a result that is no finite number."""
    return FloatingPointError(f"{name} leaves the range of double precision: rescale {rescale}")
