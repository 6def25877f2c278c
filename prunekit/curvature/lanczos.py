"""Lanczos' method, from one start vector or a block of them: the measures of an operator's spectrum that they see.

From starts Z, (D, b), m products with blocks give an orthonormal basis Q of span{Z, HZ, …, H^(m-1) Z} and T = QᵀHQ,
symmetric and block tridiagonal. T's eigenvalues θ are the nodes of a quadrature for every start at once, zᵀf(H)z =
Σ f(θ)(uᵀQᵀz)² with T's eigenvectors u: exact for polynomials of degree up to 2m - 1 (Golub and Welsch 1969; Golub and
Meurant 2010, chapter 4, for blocks). All starts share one basis, so each profits from what the others have found.
Everything is accumulated in double precision, and every new vector is made orthogonal to all before it, twice: without
that, eigenvalues found once come again as ghosts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.curvature.matrix import Operator

_LOST = 1e-13  # a remainder below this share of the operator's size is rounding: that part of the space is complete
_LEVELS = (16, 24, 32, 48, 64)  # an integral is looked at after so many steps; beyond, after half as many more
_MOST = 0.5  # of a vector: with less left once, it is made orthogonal twice, which is enough (Kahan, Parlett)
_MUCH = 0.1  # of a vector: what must be left of it for rounding to stay small beside it
_ZERO = 1e-16  # the node at 0 is put at this share of the largest Ritz value
_CONVERGED = 1e-2  # a pair whose residual is below this share of its value is taken for an eigenpair, if the residual
_APART = 0.03  # is also below this share of the gap to the next Ritz value
_TOGETHER = 1e-8  # Ritz values nearer to each other than this share of the largest may be one eigenvalue
STORAGE = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True, eq=False)
class Ritz:
    """Eigenpairs of T, and how the starts lie in them.

    Attributes
    ----------
    values : (n,) array
        Nodes θ, increasing.
    vectors : (n, n) array
        Eigenvectors of T, in columns; empty unless T is that of all steps.
    weights : (n, b) array
        Squared coordinates of the starts, each of length 1.
    residuals : (n,) array
        |Hy - θy| of the Ritz vectors y = Qu.
    last : (w, n) array
        The vectors' entries in the last block.
    """

    values: Floats
    vectors: Floats
    weights: Floats
    residuals: Floats
    last: Floats

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Which pairs (n,) are eigenpairs of H that stand for themselves alone.

        The residual is small relative to the value, so that one near 0 must be much better than a large one; it is
        small relative to the gap to the next Ritz value, for in a bulk that is narrow beside its distance from 0 every
        residual is small relative to the value, and one node stands for many eigenvalues; and the cluster of values
        that might be one eigenvalue has fewer members than there are starts: a block of b sees of an eigenvalue of
        multiplicity M as many copies as the smaller of both, so fewer than b are all of them.
        """
        size = float(np.abs(self.values).max())
        if size == 0:
            return np.zeros(self.values.size, dtype=bool)
        small = (self.residuals <= _CONVERGED * np.abs(self.values)) & (self.residuals <= _APART * self._gaps(size))
        blur = 10 * self.residuals**2 / np.maximum(np.abs(self.values), 1e-300)
        near = np.diff(self.values) <= _TOGETHER * size + np.where(small[1:], blur[1:], 0) + np.where(
            small[:-1], blur[:-1], 0
        )
        cluster = np.concatenate([[0], np.cumsum(~near)])
        return np.asarray(small & (np.bincount(cluster)[cluster] < self.weights.shape[1]))

    def _gaps(self, size: float) -> Floats:
        """Return the distances (n,) to the nearest value that cannot be a copy; infinite where there is none."""
        v, n = self.values, self.values.size
        below = np.searchsorted(v, v - _TOGETHER * size) - 1
        above = np.searchsorted(v, v + _TOGETHER * size, side="right")
        down = np.where(below >= 0, v - v[below], np.inf)
        up = np.where(above < n, v[np.minimum(above, n - 1)] - v, np.inf)
        return np.minimum(down, up)


@dataclass
class Run:
    """Lanczos' recurrence from a block of start vectors, as far as it has come.

    Parameters
    ----------
    starts : (D, b) tensor
        Start vectors, none of them 0, on the device where the basis shall be.
    steps : int
        The largest number of blocks of the basis.
    storage : str
        "float64" or "float32", the type in which the basis is kept.
    outside : (D, q) tensor, optional
        Orthonormal vectors that the basis must stay orthogonal to: the operator is compressed to the rest.

    Attributes
    ----------
    diagonals, couplings : list of arrays
        T's blocks: (w_j, w_j) on the diagonal; those below it, (w_(j+1), w_j), the last of which belongs to the next
        block and gives the residuals.
    first : (w_1, b) array
        The starts, each of length 1, in the basis.
    basis : (rows, D) tensor
        Rows are the vectors in order; those not reached yet are not set.
    products : int
        Products taken so far.
    complete : bool
        Whether nothing is left to do, since the invariant subspace of the starts is complete.
    """

    starts: Tensor
    steps: int
    storage: str = "float64"
    outside: Tensor | None = None
    diagonals: list[Floats] = field(default_factory=list)
    couplings: list[Floats] = field(default_factory=list)
    first: Floats = field(init=False)
    basis: Tensor = field(init=False)
    products: int = 0
    complete: bool = False

    def __post_init__(self) -> None:
        """Make room for the basis and put the start vectors in it."""
        Z = self.starts.double()
        lengths = Z.norm(dim=0)
        bad = ~torch.isfinite(lengths) | (lengths == 0)
        if bool(bad.any()):
            raise ValueError(
                f"a start vector has the length {float(lengths[bad][0])}: give one that is finite and not 0"
            )
        self._filled, self._size, self._known = 0, 0.0, dict[int, Ritz]()
        self._fixed = dict[int, Ritz | None]()
        self.basis = self._room()
        if self.outside is not None:
            self.outside = self.outside.to(self.basis.dtype)
        block, self.first = self._orthonormal(Z / lengths, 1.0)
        self._append(block)

    @property
    def done(self) -> int:
        """Steps taken so far."""
        return len(self.diagonals)

    @property
    def finished(self) -> bool:
        """Whether all steps are taken, or there are no more to take."""
        return self.complete or self.done == self.steps

    @property
    def last(self) -> Tensor:
        """The block (D, w) whose product is wanted next."""
        return self.basis[self._filled - self._width : self._filled].double().T

    def take(self, W: Tensor) -> None:
        """Take one step with the product W (D, w) of the operator and `last`.

        Raises
        ------
        FloatingPointError
            If the product is not finite.
        """
        W = W.to(self.basis.device, torch.float64)
        size = float(W.norm(dim=0).max())
        if not math.isfinite(size):
            raise FloatingPointError(
                f"operator's product {self.products + 1} has the length {size}: give a finite operator"
            )
        A = (self.last.T @ W).cpu().numpy()
        self.diagonals.append((A + A.T) / 2)
        self.products += W.shape[1]
        self._known.pop(self.done - 1, None)  # otherwise its vectors would be kept; its residuals are out of date
        self._size = max(self._size, size)
        block, coupling = self._orthonormal(W, self._size)
        self.couplings.append(coupling)
        self.complete = block.shape[1] == 0
        self._append(block)

    def forget(self) -> None:
        """Give up the basis, and with it further steps."""
        self.basis, self._filled = self.basis.new_empty(0, self.basis.shape[1]), 0  # a slice would hold all of it

    def ritz(self, steps: int | None = None) -> Ritz:
        """Return what the first steps give, all that were taken by default."""
        m = self.done if steps is None else steps
        if m not in self._known:
            values, vectors, last = _pairs(self.diagonals[:m], self.couplings[: m - 1])
            residuals = np.linalg.norm(self.couplings[m - 1] @ last, axis=0)
            kept = vectors if m == self.done else vectors[:0]  # only those of the whole basis are asked for
            self._known[m] = Ritz(values, kept, self._weights(vectors), residuals, last)
        return self._known[m]

    def fixed(self, steps: int) -> Ritz | None:
        """Return what the first steps give with a node at 0 as well, which costs no product; None if it cannot be.

        The block Gauss-Radau rule (Golub and Meurant 2010, section 6.2): T has one more block, whose diagonal makes T
        singular. Of all measures with the same moments it has the most at 0, as Chebyshev, Markov and Stieltjes have
        it, so that an integrand with a peak or a dip there is seen from the other side than by nodes beside it. Its
        node is put a little above 0, where logarithms have a value. There is no such rule where nothing is left to
        do, and it is of no use where the extra node is not within the range of the others: T has a node near 0 then.
        """
        if steps not in self._fixed:
            self._fixed[steps] = self._with_zero(steps)
        return self._fixed[steps]

    def _with_zero(self, steps: int) -> Ritz | None:
        pairs, B, A = self.ritz(steps), self.couplings[steps - 1], self.diagonals[steps - 1]
        size = float(np.abs(pairs.values).max())
        outer = B @ pairs.last
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            corner = (outer / pairs.values) @ outer.T
        if not len(B) or not np.isfinite(corner).all():
            return None
        extent = float(np.linalg.norm(corner, 2))
        if extent > size:
            return None
        corner = (corner + corner.T) / 2
        values, vectors, last = _pairs([*self.diagonals[:steps], corner], self.couplings[:steps])
        moved = 2 * max(extent, float(np.linalg.norm(A, 2)), float(np.linalg.norm(B, 2)))  # what the corner stands for
        above = np.where(np.abs(values) <= _LOST * size, _ZERO * size, values)
        return Ritz(above, vectors[:0], self._weights(vectors), moved * np.linalg.norm(last, axis=0), last)

    def _weights(self, vectors: Floats) -> Floats:
        """Return the squared coordinates (n, b) of the starts in eigenvectors of T (n, n)."""
        weights = (vectors[: len(self.first)].T @ self.first) ** 2
        return np.asarray(weights / weights.sum(0))

    def vectors(self, of: Floats) -> Tensor:
        """Return combinations (D, q) of the basis, made orthonormal, from their coordinates (n, q)."""
        combined = _combine(self.basis[: len(of)], torch.from_numpy(np.ascontiguousarray(of)).to(self.basis.device))
        return torch.linalg.qr(combined)[0] if of.shape[1] else combined

    def state(self, *, whole: bool = False) -> dict[str, Tensor]:
        """Return what is needed to go on; if nothing is left to do, what measures need, and the basis if `whole`."""
        flat = [np.concatenate([np.zeros(0), *map(np.ravel, part)]) for part in (self.diagonals, self.couplings)]
        tensors = {
            "diagonals": torch.from_numpy(flat[0]),
            "couplings": torch.from_numpy(flat[1]),
            "widths": torch.tensor([*(len(A) for A in self.diagonals), self._width]),
            "size": torch.tensor([self._size]),
        }
        return tensors if self.finished and not whole else {**tensors, "basis": self.basis[: self._filled].contiguous()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state."""
        *widths, self._width = (int(w) for w in state["widths"])
        if not widths:
            return
        squares = np.split(state["diagonals"].numpy(), np.cumsum([w * w for w in widths])[:-1])
        self.diagonals = [part.reshape(w, w) for part, w in zip(squares, widths, strict=True)]
        below = [*widths[1:], self._width]
        parts = np.split(
            state["couplings"].numpy(), np.cumsum([v * w for v, w in zip(below, widths, strict=True)])[:-1]
        )
        self.couplings = [part.reshape(v, w) for part, v, w in zip(parts, below, widths, strict=True)]
        self._size, self.products, self.complete = float(state["size"][0]), sum(widths), self._width == 0
        if "basis" in state:
            self._filled = len(state["basis"])
            self.basis[: self._filled] = state["basis"].to(self.basis.device)

    def _room(self) -> Tensor:
        """Return an empty basis, with room for all steps and the block after them."""
        D, b = self.starts.shape
        return torch.empty(min((self.steps + 1) * b, D), D, dtype=STORAGE[self.storage], device=self.starts.device)

    def _append(self, block: Tensor) -> None:
        """Put a block (D, w) into the basis."""
        self._width = block.shape[1]
        self.basis[self._filled : self._filled + self._width] = block.T.to(self.basis.dtype)
        self._filled += self._width

    def _orthonormal(self, W: Tensor, size: float) -> tuple[Tensor, Floats]:
        """Return a block (D, v) orthogonal to the basis, and what it must be multiplied with to give W's new part."""
        held = self.basis[: self._filled]
        W = W - _combine(recent, _coordinates(recent, W)) if len(recent := held[-2 * W.shape[1] :]) else W
        W, before = self._beside(held, W), W.norm(dim=0)
        if bool((W.norm(dim=0) < _MOST * before).any()):
            W = self._beside(held, W)
        block, first = _gram_schmidt(W, _LOST * size)
        room = W.shape[0] - self._filled - (0 if self.outside is None else self.outside.shape[1])
        block, first = block[:, :room], first[:room]  # beyond it there is only rounding
        left = np.diag(first) if block.shape[1] == W.shape[1] else np.zeros(1)
        if block.shape[1] == 0 or np.all(left >= _MUCH * W.norm(dim=0).cpu().numpy()):
            return block, first
        block, second = _gram_schmidt(self._beside(held, block), 0.0)  # what a small remainder lost
        return block, second @ first

    def _beside(self, held: Tensor, W: Tensor) -> Tensor:
        """Return W without what lies along the basis and along the vectors of `outside`."""
        if self.outside is not None:
            W = W - _combine(self.outside.T, _coordinates(self.outside.T, W))
        return W - _combine(held, _coordinates(held, W)) if len(held) else W


def _gram_schmidt(W: Tensor, lost: float) -> tuple[Tensor, Floats]:
    """Return orthonormal columns Q (D, v) and R (v, w) with W = QR, without columns of a remainder up to `lost`."""
    if 1 < W.shape[1] <= W.shape[0]:  # one call of LAPACK's, unless a column is to be left out
        Q, upper = torch.linalg.qr(W)
        along = upper.diagonal()
        if bool((along.abs() > lost).all()):
            signs = along.sign()
            return Q * signs, (signs[:, None] * upper).cpu().numpy()
    return _one_by_one(W, lost)


def _one_by_one(W: Tensor, lost: float) -> tuple[Tensor, Floats]:
    """Return the same, each column made orthogonal to those before it that are kept."""
    columns: list[Tensor] = []
    R = np.zeros((W.shape[1], W.shape[1]))
    for i in range(W.shape[1]):
        rest = W[:, i]
        for _ in range(2):
            for k, q in enumerate(columns):
                along = q @ rest
                R[k, i] += float(along)
                rest = rest - along * q
        length = float(rest.norm())
        if length > lost:
            R[len(columns), i] = length
            columns.append(rest / length)
    return (torch.stack(columns, dim=1) if columns else W[:, :0]), R[: len(columns)]


def _pairs(diagonals: Sequence[Floats], couplings: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """Return the eigenvalues (n,), eigenvectors (n, n) and their last block's entries (w, n) of T, by its blocks."""
    ends = np.cumsum([0, *(len(A) for A in diagonals)])
    T = np.zeros((ends[-1], ends[-1]))
    for j, A in enumerate(diagonals):
        T[ends[j] : ends[j + 1], ends[j] : ends[j + 1]] = A
    for j, B in enumerate(couplings):
        T[ends[j + 1] : ends[j + 2], ends[j] : ends[j + 1]] = B
    both = torch.linalg.eigh(torch.from_numpy(T))  # reads the lower triangle, and is faster than NumPy's
    values, vectors = (each.numpy() for each in both)
    return values, vectors, vectors[ends[-2] :].copy()


def advance(run: Run, operator: Operator) -> None:
    """Take one step of a run, with one product of the operator and a matrix, or a vector."""
    block = run.last
    run.take(operator.product(block[:, 0])[:, None] if block.shape[1] == 1 else operator.product(block))


def _coordinates(basis: Tensor, W: Tensor) -> Tensor:
    """Return coordinates (j, w) in a basis, multiplied in the basis' own type."""
    return (basis @ W.to(basis.dtype)).double()


def _combine(basis: Tensor, coordinates: Tensor) -> Tensor:
    """Return combinations (D, w) of a basis' rows."""
    return (basis.T @ coordinates.to(basis.dtype)).double()


def checkpoints(steps: int) -> list[int]:
    """Return the steps whose quadratures are held against the last one: from half of them on, at most eight.

    At a kink inside the spectrum an integral swings about its limit as the steps go on, and few of them would now and
    then all lie near the last one by chance.
    """
    return sorted({j for j in (math.ceil(steps * k / 16) for k in range(8, 16)) if 0 < j < steps})


def quadrature(alphas: list[float], betas: list[float]) -> tuple[Floats, Floats]:
    """Return nodes and weights (m,) of the Gauss rule of a tridiagonal matrix; the weights sum to 1.

    Parameters
    ----------
    alphas : list of m floats
        The diagonal.
    betas : list of m - 1 floats
        The entries beside it.
    """
    T = np.diag(np.asarray(alphas, dtype=float)) + np.diag(betas, 1) + np.diag(betas, -1)
    nodes, vectors = np.linalg.eigh(T)
    weights = vectors[0] ** 2
    return nodes, weights / weights.sum()


def need(dimension: int, steps: int, storage: str = "float64") -> int:
    """Return the bytes that one start vector's basis takes: dimension × steps × 8, or 4 in float32."""
    return dimension * steps * torch.finfo(STORAGE[storage]).bits // 8


def fitting(dimension: int, steps: int, storage: str, max_memory: float) -> int:
    """Return how many bases fit into `max_memory` bytes, at least one.

    Raises
    ------
    ValueError
        If it takes more than `max_memory` bytes, or `storage` is no type there is.
    """
    _checks.choice("storage", storage, tuple(STORAGE))
    limit = _checks.scalar("max_memory", max_memory, positive=True)
    needed = need(dimension, steps, storage)
    if needed <= limit:
        return int(limit // needed)
    fewer = int(limit // need(dimension, 1, storage))
    half = need(dimension, steps, "float32")
    ways = [f"max_memory={needed:.3g}"]
    if fewer >= 1:
        ways.append(f"steps={fewer} (fewer nodes: a smoother picture)")
    if storage == "float64" and half <= limit:
        ways.append("storage='float32' (half of it; nodes to 1e-7 of the largest eigenvalue instead of 1e-15)")
    raise ValueError(
        f"max_memory is {limit:.3g} bytes, and the basis of {steps} vectors of {dimension} numbers takes {needed:.3g}: "
        f"give {', or '.join(ways)}"
    )


def within(most: int, D: int, probes: int, storage: str, max_memory: float) -> int:
    """Return as many steps as fit into memory with all probes, which can be extended then; `most` at most.

    Where not even the first of the levels fits, it is as many steps as the first has, or as fit with a single probe.
    """
    fitting(D, 1, storage, max_memory)  # refuses what has no room for a single vector
    room = int(max_memory // need(D, 1, storage))
    return min(most, max(room // probes, min(_LEVELS[0], room)))


def until(most: int) -> list[int]:
    """Return the numbers of steps after which an integral is looked at, `most` the last."""
    levels, m = list(_LEVELS), _LEVELS[-1]
    while m < most:
        m = m * 3 // 2
        levels.append(m)
    return [*(m for m in levels if m < most), most]
