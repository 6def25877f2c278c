"""The spectrum of a large operator by stochastic Lanczos quadrature, and the spectral measure of a vector."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from prunekit import _checks
from prunekit._checks import Seed
from prunekit.curvature.lanczos import Run, advance, fitting
from prunekit.curvature.operator import Operator
from prunekit.nets import checkpoint
from prunekit.spectrum import Measure, Spectrum

MAX_MEMORY = 4 * 2.0**30  # bytes for the basis unless told otherwise
_SAVE_EVERY = 10  # steps between checkpoints of a probe that is under way


def spectrum(
    operator: Operator,
    *,
    steps: int = 100,
    probes: int = 4,
    seed: Seed = 0,
    distribution: Literal["gaussian", "rademacher"] = "gaussian",
    storage: Literal["float64", "float32"] = "float64",
    max_memory: float = MAX_MEMORY,
    resume: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Spectrum:
    """Return the operator's counting measure, estimated by Lanczos' method from random start vectors.

    Every probe is a quadrature of total D: nodes at the outside of the spectrum are eigenvalues, those inside stand
    for many. An integral's expectation over the start vectors is the trace of f(H) up to the quadrature's own error,
    which is 0 for polynomials of degree up to 2 `steps` - 1; `Spectrum.integrate` gives the standard error across
    probes, which does not contain the quadrature's.

    Parameters
    ----------
    operator : Curvature, Matrix or alike
        What has `dimension` and `product`.
    steps : int
        Products a probe, D of them at most.
    probes : int
        Start vectors. One gives no error bar.
    seed : int, SeedSequence or Generator
        Of the start vectors. The first probes are the same whatever their number.
    distribution : str
        Of a start vector's entries before it is normalized: "gaussian", or "rademacher" for random signs. Signs have
        the smaller variance where the matrix is nearly diagonal, and none for the trace of a diagonal one.
    storage : str
        Type in which the basis is kept. "float32" takes half the memory and gives nodes to about 1e-7 of the largest
        eigenvalue.
    max_memory : float
        Bytes that bases may take, D × steps × 8 each. As many probes as fit advance together, which is faster: a
        product with several vectors costs little more than one with a single one, for a small network.
    resume : path, optional
        A file. If it is there, the run goes on from it and must be of the same operator, steps, start vectors and
        storage; if not, it starts. The state is kept there, in one piece, every ten steps, with the bases of probes
        under way, which takes their memory twice more while it is written. A resumed run gives what an uninterrupted
        one does, bit for bit (on one machine, with as many threads).
    progress : bool, optional
        Whether to show a bar; by default only at a terminal.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, the basis is larger than `max_memory` (the message says what would fit),
        or `resume` is given for an operator that has no `identity`.
    CheckpointError
        If the file is damaged, or of another run.

    Notes
    -----
    Source: Ubaru, Chen and Saad (2017), Algorithm 1; full reorthogonalization. One product and 4 D j operations for
    step j.
    """
    D = operator.dimension
    steps = min(_checks.count("steps", steps), D)
    wanted = _checks.count("probes", probes)
    together = min(fitting(D, steps, storage, max_memory), wanted)
    starts = _starts(D, wanted, seed, distribution, getattr(operator, "device", torch.device("cpu")))
    book = _Book(resume, operator, steps, storage, wanted, together)
    finished: list[Measure] = []
    with _bar(wanted * steps, progress) as bar:
        for first in range(0, wanted, together):
            runs = {k: Run(next(starts), steps, storage) for k in range(first, min(first + together, wanted))}
            for k, run in runs.items():
                book.open(k, run)
            _finish(operator, runs, book, bar)
            finished += [run.measure(D) for run in runs.values()]
    return Spectrum(tuple(finished))


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
    operator : Curvature, Matrix or alike
        What has `dimension` and `product`.
    c : (D,) array or tensor
        Not 0.
    steps, storage, max_memory, progress
        As for `spectrum`.

    Returns
    -------
    Measure
        Of total |c|²: at most `steps` nodes, whose integrals are exact for polynomials of degree up to 2 `steps` - 1,
        and for every function if c's invariant subspace has no more dimensions than that.

    Raises
    ------
    ValueError
        If c is 0 or has another length, and as for `spectrum`.
    """
    D = operator.dimension
    steps = min(_checks.count("steps", steps), D)
    fitting(D, steps, storage, max_memory)
    given = c.detach().double() if isinstance(c, Tensor) else torch.from_numpy(_checks.vector("c", c))
    if given.shape != (D,):
        raise ValueError(f"c has shape {tuple(given.shape)}: give one of shape ({D},)")
    if not bool(torch.isfinite(given).all()) or not bool(given.any()):
        raise ValueError("c is 0, or holds entries that are not finite: give a finite vector that is not 0")
    run = Run(given.to(getattr(operator, "device", "cpu")), steps, storage)
    with _bar(steps, progress) as bar:
        while not run.complete:
            advance([run], operator)
            bar.update()
        bar.update(steps - len(run.alphas))
    return run.measure(float(given @ given))


def _finish(operator: Operator, runs: Mapping[int, Run], book: _Book, bar: Any) -> None:
    """Take all steps of probes that advance together, and keep their state every so often and at the end."""
    bar.update(sum(len(run.alphas) for run in runs.values()))
    for step in count(1):
        active = [run for run in runs.values() if not run.complete]
        if not active:
            break
        advance(active, operator)
        bar.update(len(active))
        if step % _SAVE_EVERY == 0:
            book.save(runs)
    if step > 1:
        book.save(runs)
    bar.update(sum(run.steps - len(run.alphas) for run in runs.values()))  # an invariant subspace spares the rest


def _starts(D: int, probes: int, seed: Seed, distribution: str, device: torch.device) -> Iterator[Tensor]:
    """Yield the start vectors (D,), drawn on the CPU so that they are the same on every device."""
    draws = {
        "gaussian": lambda rng: rng.standard_normal(D),
        "rademacher": lambda rng: 2.0 * rng.integers(0, 2, D) - 1.0,
    }
    if distribution not in draws:
        raise ValueError(f"distribution is {distribution!r}: give one of {', '.join(map(repr, draws))}")
    generators = _checks.generator(seed).spawn(probes)
    return (torch.from_numpy(draws[distribution](rng)).to(device) for rng in generators)


def _bar(total: int, progress: bool | None) -> Any:
    """Return a bar over all products."""
    from tqdm import tqdm  # not tqdm.auto, which warns in a kernel without widgets

    return tqdm(total=total, desc="Lanczos", unit="product", disable=None if progress is None else not progress)


class _Book:
    """The file in which a spectrum's run is kept: T of every finished probe, and the whole state of one under way."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        operator: Operator,
        steps: int,
        storage: str,
        probes: int,
        together: int,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.tensors: dict[str, Tensor] = {}
        self.starts: list[str] = []
        if self.path is None:
            return
        identity = getattr(operator, "identity", None)
        if identity is None:
            raise ValueError("operator has no identity, by which a file could be told to be its own: give no resume")
        self.settings = {
            "operator": dict(identity),
            "dimension": operator.dimension,
            "steps": steps,
            "storage": storage,
            "probes": probes,
            "together": together,
        }
        if self.path.exists():
            self.tensors, record = checkpoint.read(self.path)
            checkpoint.match(self.path, record["spectrum"], self.settings)
            self.starts = list(record["starts"])

    def open(self, k: int, run: Run) -> None:
        """Bring a probe to where the file has it."""
        if self.path is None:
            return
        name = checkpoint.digest({"start": run.start})
        if k == len(self.starts):
            self.starts.append(name)
        if self.starts[k] != name:
            raise checkpoint.CheckpointError(
                f"{self.path} has other start vectors: give its seed and distribution, or another path"
            )
        mine = {key.partition(".")[2]: t for key, t in self.tensors.items() if key.partition(".")[0] == str(k)}
        if mine:
            run.restore(mine)

    def save(self, runs: Mapping[int, Run]) -> None:
        """Keep the state of probes; a basis only while it is needed."""
        if self.path is None:
            return
        for k, run in runs.items():
            self.tensors = {key: t for key, t in self.tensors.items() if key.partition(".")[0] != str(k)}
            self.tensors |= {f"{k}.{name}": t for name, t in run.state().items()}
        checkpoint.write(self.path, self.tensors, {"spectrum": self.settings, "starts": self.starts})
