"""Symmetric matrices that are known by their products with vectors: what each must have, and the dense one."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from prunekit import _checks
from prunekit.nets import access, checkpoint


class Operator(Protocol):
    """A symmetric matrix of `dimension` rows, known by its products."""

    @property
    def dimension(self) -> int:
        """Number of rows D."""

    def product(self, v: Any) -> Any:
        """Return the product with v, (D,) or (D, k): a tensor for a tensor."""


class Matrix:
    """A dense symmetric matrix as an operator: for tests, and for small networks.

    Parameters
    ----------
    entries : (D, D) array or tensor
        The matrix, symmetric up to rounding; it is kept in double precision.

    Raises
    ------
    ValueError
        If it is not square and symmetric, or not finite.
    """

    def __init__(self, entries: ArrayLike | Tensor) -> None:
        on = entries.device if isinstance(entries, Tensor) else torch.device("cpu")
        plain = access.tensor("entries", entries).detach().cpu().numpy() if isinstance(entries, Tensor) else entries
        raw = _checks.array("entries", plain, ndim=2)
        if raw.shape[0] != raw.shape[1]:
            raise ValueError(f"entries has shape {raw.shape}: give a square matrix")
        asymmetry = float(np.abs(raw - raw.T).max())
        if asymmetry > 1e-10 * float(np.abs(raw).max()):
            raise ValueError(f"entries is asymmetric by {asymmetry:.3g}: give (H + H.T) / 2, if that is meant")
        self.entries = torch.from_numpy(raw).to(on)

    @property
    def dimension(self) -> int:
        """Number of rows D."""
        return len(self.entries)

    @property
    def device(self) -> torch.device:
        """Where the entries are."""
        return self.entries.device

    @cached_property
    def identity(self) -> dict[str, str]:
        """What tells this matrix from another: a checksum."""
        return {"matrix": checkpoint.digest({"entries": self.entries})}

    def product(self, v: Any) -> Any:
        """Return the product with v, (D,) or (D, k), in double precision; a tensor for a tensor."""
        given = vectors(v, self.dimension).to(self.device, torch.float64)
        result = self.entries @ given
        if not bool(torch.isfinite(result).all()):
            raise FloatingPointError("the product leaves the range of double precision: rescale v or entries")
        return like(v, result)


def rows_of(operator: Any) -> int:
    """Return D, refusing what is no operator."""
    if isinstance(operator, type) or not hasattr(operator, "dimension") or not hasattr(operator, "product"):
        raise TypeError(f"operator is {_checks.shown(operator)}: give what has `dimension` and `product`")
    return _checks.count("dimension of operator", operator.dimension)


def vectors(v: Any, dimension: int, name: str = "v") -> Tensor:
    """Return v as a tensor (D,) or (D, k), refusing other shapes."""
    given = access.reals(name, v)
    if len(given) != dimension:
        raise ValueError(f"{name} has shape {tuple(given.shape)}: give ({dimension},) or ({dimension}, k)")
    return given


def like(v: Any, result: Tensor) -> Any:
    """Return a result in the form of v: as a tensor on its device, or as an array."""
    return result.to(v.device) if isinstance(v, Tensor) else result.cpu().numpy()
