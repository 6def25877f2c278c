"""The spectrum of a large operator by stochastic Lanczos quadrature, and the spectral measure of a vector."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit.curvature.lanczos import Run, advance, fitting
from prunekit.curvature.matrix import Operator, rows_of
from prunekit.curvature.probing import ACCURACY, BUDGET, MAX_MEMORY, Probing, bar_of
from prunekit.curvature.quadrature import rule
from prunekit.nets import access
from prunekit.spectrum import Measure, Spectrum

Integrand = Callable[[Floats], Floats]


def spectrum(
    operator: Operator,
    *,
    steps: int | None = None,
    probes: int = 4,
    integrand: Integrand | Sequence[Integrand] | None = None,
    accuracy: float = ACCURACY,
    budget: int = BUDGET,
    shared: bool = True,
    seed: Seed = 0,
    distribution: Literal["gaussian", "rademacher"] = "gaussian",
    storage: Literal["float64", "float32"] = "float64",
    max_memory: float = MAX_MEMORY,
    resume: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Spectrum:
    """Return the operator's counting measure, estimated by Lanczos' method from random start vectors.

    Every probe is a quadrature of total D: nodes at the outside of the spectrum are eigenvalues, those inside stand
    for many. All probes share one basis, so each profits from what the others have found, and eigenpairs that have
    converged are counted once and exactly: the probes estimate the rest only. Where eigenvalues lie around 0, or may
    lie next to it, the quadrature is the mean of those of the last two numbers of steps and of one with a node at 0,
    which err to either side if the integrand has a peak or a dip there. An integral's expectation over the start
    vectors is the trace of f(H) up to the quadrature's own error, which is 0 for polynomials of degree up to 2 `steps`
    - 3; `Spectrum.integrate` gives the scatter between probes, an error of the quadrature, and says where the integrand
    is not resolved.

    Parameters
    ----------
    operator : Curvature, Matrix or another operator
        Anything with `dimension` and `product`.
    steps : int, optional
        Products for each probe, at most D. The default is as many as the budget has, or fewer where an integrand is
        given and has converged; and not more than fit into `max_memory` with all probes (at least 16, or what fits with
        one).
    probes : int
        Start vectors. One gives no error bar, and counts no eigenvalue as converged (a single vector does not see
        whether there are several). Where an integrand is given, as many again follow, with bases of their own, as long
        as the error is scatter that more steps would not reduce as fast, product for product.
    integrand : callable or several, optional
        What will be integrated: steps, and probes, are taken until its error is at most `accuracy` of its value.
    accuracy : float
        Relative error, above 0, which two parts make up: see `Spectrum.integrate`.
    budget : int
        Number of products in all, where `steps` is not given. Where it ends before the integrand is resolved,
        `integrate` says so.
    shared : bool
        False keeps the probes apart: each is then the Gauss quadrature of its own start vector, to which inequalities
        such as those of `counting` apply, and no eigenvalue is counted once. It needs several times as many products
        for the same errors.
    seed : int, SeedSequence or Generator
        Where the start vectors come from. The first ones are the same whatever their number.
    distribution : str
        Distribution of a start vector's entries before it is normalized: "gaussian", or "rademacher" for random signs.
        Signs have the smaller variance where the matrix is nearly diagonal, and none for the trace of a diagonal one.
    storage : str
        Type in which the basis is kept. "float32" takes half the memory and gives nodes to about 1e-7 of the largest
        eigenvalue.
    max_memory : float
        Bytes that bases may take, D × steps × 8 a probe. As many probes as fit advance together and share a basis; a
        product with several vectors also costs little more than one with a single one, for a small network.
    resume : path, optional
        A file. If it is there, the run goes on from it and must be of the same operator, steps, start vectors and
        storage; if not, it starts. The state is kept there, in one piece, every ten steps, with the bases of probes
        under way, which takes their memory twice more while it is written. A resumed run gives what an uninterrupted
        one does, bit for bit (on one machine, with as many threads).
    progress : bool, optional
        Whether to show a bar; by default where somebody looks (a terminal, one's own notebook), after five seconds.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, the basis is larger than `max_memory` (the message says what would fit),
        or `resume` is given for an operator that has no `identity`.
    CheckpointError
        If the file is damaged, belongs to another run, or is being written by another run.

    Notes
    -----
    Source: Ubaru, Chen and Saad (2017), Algorithm 1, with blocks (Golub and Meurant 2010, chapter 4); eigenvalues that
    are counted once: variance-reduced quadrature, Bhattacharjee et al. (SODA 2025). A node at 0: block Gauss-Radau
    rules, Golub and Meurant (2010, section 6.2). Full reorthogonalization: one product and 4 D j operations for the
    j-th vector of the basis.

    Examples
    --------
    >>> from prunekit.curvature import Matrix
    >>> estimated = spectrum(Matrix(np.diag(np.arange(10.0))), seed=0)
    >>> value, error = estimated.integrate(np.square)
    >>> abs(value - 285) <= 3 * error + 1e-9  # 1² + … + 9²
    True
    """
    wanted = () if integrand is None else (integrand,) if callable(integrand) else _functions(integrand)
    tolerance = _checks.scalar("accuracy", accuracy, positive=True)
    with Probing(
        operator, steps=steps, probes=probes, budget=budget, shared=shared, seed=seed, distribution=distribution,
        storage=storage, max_memory=max_memory, resume=resume, progress=progress,
    ) as probing:  # fmt: skip
        if not wanted:
            return probing.whole()
        for f in wanted:
            probing.resolve(lambda measured, f=f: measured.integrate(f), tolerance)  # type: ignore[misc]
        return probing.spectrum


def _functions(integrand: Any) -> tuple[Integrand, ...]:
    """Return several integrands."""
    listed = _checks.listed("integrand", integrand, "functions of the eigenvalues")
    return tuple(_checks.function("an entry of integrand", each) for each in listed)


def vector_measure(
    operator: Operator,
    c: Any,
    *,
    steps: int = 100,
    storage: Literal["float64", "float32"] = "float64",
    max_memory: float = MAX_MEMORY,
    progress: bool | None = None,
) -> Measure:
    """Return the spectral measure of a vector: c_i² at the i-th eigenvalue, c_i its coordinates in the eigenbasis.

    Parameters
    ----------
    operator : Curvature, Matrix or another operator
        Anything with `dimension` and `product`.
    c : (D,) array or tensor
        The vector, which is not 0.
    steps, storage, max_memory, progress
        As for `spectrum`.

    Returns
    -------
    Measure
        The measure, of total |c|²: at most `steps` nodes, whose integrals are exact for polynomials of degree up to 2
        `steps` - 1, and for every function if c's invariant subspace has no more dimensions than that. `earlier` has
        what fewer steps gave, and `spread` what that says about an integral's error.

    Raises
    ------
    ValueError
        If c is 0 or has another length, and in the same cases as `spectrum`.
    """
    D = rows_of(operator)
    steps = min(_checks.count("steps", steps), D)
    fitting(D, steps, storage, max_memory)
    given = access.reals("c", c).double()
    length = float(torch.linalg.vector_norm(given))
    if given.ndim == 1 and bool(given.any()) and not 0 < length**2 < math.inf:
        raise FloatingPointError(f"c has the length {length}, whose square leaves double precision: rescale c")
    if given.shape != (D,):
        raise ValueError(f"c has shape {tuple(given.shape)}: give one of shape ({D},)")
    if not bool(torch.isfinite(given).all()) or not bool(given.any()):
        raise ValueError("c is 0, or holds entries that are not finite: give a finite vector that is not 0")
    run = Run(given.to(getattr(operator, "device", "cpu"))[:, None], steps, storage)
    with bar_of(steps, progress) as bar:
        while not run.finished:
            advance(run, operator)
            bar.update()
        bar.update(steps - run.done)
    return rule(run, float(given @ given))
