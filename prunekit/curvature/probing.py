"""A spectrum, and a vector's measure, under way: start vectors, their bases, and steps taken as they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.curvature.lanczos import Ritz, Run, advance, checkpoints, fitting, need
from prunekit.curvature.operator import Operator, rows_of
from prunekit.nets import checkpoint
from prunekit.spectrum import Gap, Measure, Spectrum
from prunekit.statistics import Estimate

MAX_MEMORY = 4 * 2.0**30  # bytes for the basis unless told otherwise
BUDGET = 512  # products
ACCURACY = 0.03  # relative error at which an integral is good enough
_SAVE_EVERY = 10  # steps between checkpoints of a probe that is under way
_REACH = 1  # residuals: how far beyond the outermost node eigenvalues may lie
_LEVELS = (16, 24, 32, 48, 64)  # steps after which an integral is looked at; half as many more beyond


class Probing:
    """A spectrum under way: start vectors, their bases, and steps that are taken as they are needed.

    Parameters
    ----------
    operator, steps, probes, budget, shared, seed, distribution, storage, max_memory, resume, progress
        As for `spectrum`.

    Attributes
    ----------
    spectrum : Spectrum
        What the steps so far give.
    """

    def __init__(
        self,
        operator: Operator,
        *,
        steps: int | None = None,
        probes: int = 4,
        budget: int = BUDGET,
        shared: bool = True,
        seed: Seed = 0,
        distribution: Literal["gaussian", "rademacher"] = "gaussian",
        storage: Literal["float64", "float32"] = "float64",
        max_memory: float = MAX_MEMORY,
        resume: str | os.PathLike[str] | None = None,
        progress: bool | None = False,
    ) -> None:
        self.operator, D = operator, rows_of(operator)
        self.probes = _checks.draws("probes", probes, D)
        shared = _checks.flag("shared", shared)
        budget = _checks.count("budget", budget, self.probes if steps is None else 1)
        resume = None if resume is None else _checks.path("resume", resume)
        if steps is None:
            most = budget // self.probes
            self.levels = _until(_within(min(most, D), D, self.probes, storage, max_memory))
        else:
            self.levels = [min(_checks.count("steps", steps), D)]
        self.storage, self.shared, self.progress = storage, shared, progress
        self._normal = distribution == "gaussian"
        self.most = self.levels[-1]
        self.together = min(fitting(D, self.most, storage, max_memory), self.probes)
        device = getattr(operator, "device", torch.device("cpu"))
        self._starts = _starts(D, self.probes, seed, distribution, device)
        self._book = _Book(resume, operator, self.most, storage, self.probes, self.together, shared)
        self._groups: list[list[Run]] = []
        self._level = 0
        self._found: dict[int, Spectrum] = {}

    @property
    def products(self) -> int:
        """Products taken so far."""
        return sum(run.products for group in self._groups for run in group)

    @property
    def spectrum(self) -> Spectrum:
        """What the steps so far give: those of the first level, if there are none."""
        if self._level not in self._found:
            self._found[self._level] = self._assembled(self.levels[self._level])
        return self._found[self._level]

    @property
    def exhausted(self) -> bool:
        """Whether no more steps can be taken: the budget is spent, or everything is found."""
        steps = self.levels[self._level]
        whole = bool(self._groups) and all(run.complete and run.done <= steps for g in self._groups for run in g)
        return whole or self._level == len(self.levels) - 1 or len(self._groups) > 1

    def refine(self) -> bool:
        """Go on to the next number of steps; answer whether there is one."""
        if self.exhausted:
            return False
        self._level += 1
        return True

    def restart(self) -> None:
        """Look at integrals from the first number of steps on again; products that were taken are not lost."""
        self._level = 0

    def reach(self, steps: int) -> None:
        """Go to one of the `levels`, of fewer steps or of more."""
        self._level = self.levels.index(steps)

    def whole(self) -> Spectrum:
        """Take all steps there are."""
        self._level = len(self.levels) - 1
        return self.spectrum

    def resolve(self, of: Callable[[Spectrum], Estimate], accuracy: float) -> Estimate:
        """Take steps until what is read off the spectrum has at most a relative error, or the budget ends.

        Where not all probes fit into memory together, the first group decides on the steps, by its quadrature alone.
        """
        if self.together < self.probes and not self._groups:
            while not self._good(of(self._first_group()), accuracy, scatter=False) and not self.exhausted:
                self._level += 1
        found = of(self.spectrum)
        while not self._good(found, accuracy) and self.refine():
            found = of(self.spectrum)
        return found

    @staticmethod
    def _good(found: Estimate, accuracy: float, *, scatter: bool = True) -> bool:
        error = found.error if scatter else 2 * found.quadrature
        return found.resolved and error <= accuracy * abs(found.value)

    def _first_group(self) -> Spectrum:
        """Return what the first group gives at the present level."""
        if not self._groups:
            self._groups.append(self._opened(0))
        self._advance(0, self.levels[self._level])
        return assembled(self.operator.dimension, self._groups[0], self.levels[self._level], self._normal)

    def _assembled(self, steps: int) -> Spectrum:
        """Take so many steps with all probes; a group whose bases would not fit beside the others gives them up."""
        D = self.operator.dimension
        parts: list[Spectrum] = []
        for g in range(-(-self.probes // self.together)):
            if g == len(self._groups):
                self._groups.append(self._opened(g))
            self._advance(g, steps)
            parts.append(assembled(D, self._groups[g], steps, self._normal))
            if self.together < self.probes:
                for run in self._groups[g]:
                    run.forget()
        return Spectrum(
            tuple(probe for part in parts for probe in part.probes),
            rules=tuple(rule for part in parts for rule in part.rules),
            rests=tuple(rest for part in parts for rest in part.rests),
            gaps=tuple(gap for part in parts for gap in part.gaps),
            products=sum(part.products for part in parts),
            converged=min(part.converged for part in parts),
        )

    def _opened(self, g: int) -> list[Run]:
        """Return a group's runs at their start, or where the file has them: one block, or one run for each probe."""
        count = min(self.together, self.probes - g * self.together)
        starts = torch.stack([next(self._starts) for _ in range(count)], dim=1)
        blocks = [starts] if self.shared else list(starts.split(1, dim=1))
        runs = [Run(block, self.most, self.storage) for block in blocks]
        self._book.open({g * self.probes + i: run for i, run in enumerate(runs)})
        return runs

    def _advance(self, g: int, steps: int) -> None:
        """Take steps with a group, and keep its state every so often and at the end."""
        runs = self._groups[g]
        taken, goal = 0, sum(run.starts.shape[1] for run in runs) * steps
        with bar_of(goal, self.progress) as bar:
            bar.update(sum(run.products for run in runs))
            while active := [run for run in runs if not run.complete and run.done < steps]:
                bar.update(sum(run.last.shape[1] for run in active))
                advance_together(active, self.operator)
                taken += 1
                if taken % _SAVE_EVERY == 0:
                    self._book.save({g * self.probes + i: run for i, run in enumerate(runs)})
            if taken and taken % _SAVE_EVERY:
                self._book.save({g * self.probes + i: run for i, run in enumerate(runs)})
            bar.update(goal - bar.n)  # an invariant subspace spares the rest

    def eigenvectors(self, accuracy: float) -> tuple[Floats, Tensor]:
        """Return eigenvalues (q,) and orthonormal eigenvectors (D, q), those whose residual is small relative to them.

        None where the probes do not share one basis that is still held.
        """
        D = self.operator.dimension
        if not self.spectrum.products or len(self._groups) != 1 or len(self._groups[0]) != 1:
            return np.zeros(0), torch.zeros(D, 0, dtype=torch.float64)
        run = self._groups[0][0]
        found = run.ritz()
        good = found.residuals <= accuracy * np.abs(found.values)
        return found.values[good], run.vectors(found.vectors[:, good])


class Direction:
    """The measure of a vector, under way: exact along eigenvectors that are known, by Lanczos in what is left.

    Parameters
    ----------
    operator : Operator
        Of dimension D.
    c : (D,) array
        Not 0.
    steps : int
        The most products.
    known : (q,) array, (D, q) tensor
        Eigenvalues and orthonormal eigenvectors.
    storage : str
        As for `spectrum`.

    Attributes
    ----------
    forgotten : bool
        Whether the basis was given up before the last step.
    """

    def __init__(self, operator: Operator, c: Floats, steps: int, known: tuple[Floats, Tensor], storage: str) -> None:
        self.operator = operator
        whole = torch.from_numpy(c).to(getattr(operator, "device", "cpu"), torch.float64)
        self._values, V = known
        coordinates = V.T @ whole
        self._masses = (coordinates**2).cpu().numpy()
        rest = whole - V @ coordinates
        rest = rest - V @ (V.T @ rest)
        self._rest = float(rest @ rest)
        self._levels = iter(_until(min(steps, operator.dimension)))
        lost = self._rest <= 1e-24 * float(whole @ whole)
        self.forgotten = False
        self._run = None if lost else Run(rest[:, None], min(steps, operator.dimension), storage, V)
        self.refine()

    @property
    def products(self) -> int:
        """Products taken so far."""
        return 0 if self._run is None else self._run.products

    @property
    def finished(self) -> bool:
        """Whether there are no more steps to take."""
        return self._run is None or self._run.finished

    def forget(self) -> None:
        """Give up the basis, and with it further steps: the measure stays as it is."""
        self.forgotten = True
        if self._run is not None:
            self._run.forget()

    def refine(self) -> None:
        """Go on to the next number of steps; nothing comes of it after the last, or after `forget`."""
        if self.forgotten:
            return
        if self._run is not None and not self.finished:
            level = next(self._levels)
            while not self._run.complete and self._run.done < level:
                advance(self._run, self.operator)
            if self.finished:
                self._run.forget()

    @property
    def measure(self) -> Measure:
        """What the steps so far give, of total |c|²."""
        if self._run is None:
            return Measure(self._values, self._masses)
        return self._with(rules(self._run, self._run.done, self._rest)[0])

    def _with(self, rest: Measure) -> Measure:
        """Return a measure of what is left with what is known."""
        nodes, weights = np.concatenate([self._values, rest.nodes]), np.concatenate([self._masses, rest.weights])
        return Measure(nodes, weights, tuple(map(self._with, rest.earlier)))


def assembled(D: int, runs: Sequence[Run], steps: int, normal: bool = False) -> Spectrum:
    """Return the spectrum that runs give after so many steps; those that ended before count as they are.

    `normal` says that the start vectors' entries are: of what is left of them the scatter is known then.
    """
    probes: list[Measure] = []
    plain: list[Measure] = []
    rests: list[Measure] = []
    gaps: list[Gap] = []
    converged = 0
    for run in runs:
        m = min(steps, run.done)
        found = run.ritz(m)
        once = np.ones(D, dtype=bool) if found.values.size == D else found.converged
        converged = int(once.sum())
        counted = [_once(found.values, column, once, D) for column in found.weights.T]
        probes += counted
        rests += [each for each in (_without(c, once) for c in counted) if normal and each is not None]
        plain += rules(run, m, float(D), found)
        gap = None if run.complete and m == run.done else _gap(found, once, D)
        gaps += [] if gap is None else [gap]
    products = sum(sum(len(A) for A in run.diagonals[:steps]) for run in runs)
    return Spectrum(
        tuple(probes),
        rules=tuple(plain),
        rests=tuple(rests),
        gaps=tuple(gaps),
        products=products,
        converged=converged,
    )


def _gap(found: Ritz, once: Any, D: int) -> Gap | None:
    """Return what the quadrature does not see next to 0; on one side of all nodes, as far as the last residual says."""
    end = 0 if found.values[0] > 0 else -1
    reach = 0.0 if once[end] else _REACH * float(found.residuals[end])
    return Gap.of(Measure(found.values, D * found.weights.mean(1)), reach)


def _once(nodes: Floats, weights: Floats, once: Any, D: int) -> Measure:
    """Return a probe's measure of total D with weight 1 on converged eigenvalues, and the rest in proportion."""
    rest = float(weights[~once].sum())
    count = int(once.sum())
    if count == 0 or (count < D and rest < 1e-12):
        return Measure(nodes, D * weights)
    return Measure(nodes, np.where(once, 1.0, weights * ((D - count) / rest if count < D else 0.0)))


def _without(counted: Measure, once: Any) -> Measure | None:
    """Return a probe's measure without what is counted once, None if that is all."""
    weights = counted.weights[~once]
    return Measure(counted.nodes[~once], weights) if weights.any() else None


def rules(run: Run, steps: int, total: float, found: Ritz | None = None) -> list[Measure]:
    """Return every start's quadrature of a total after so many steps, with those of fewer steps."""
    now = run.ritz(steps) if found is None else found
    places = checkpoints(steps)
    whole = run.complete and steps == run.done
    then = [now] * max(len(places), 1) if whole else [run.ritz(j) for j in places]
    measures = []
    for k in range(now.weights.shape[1]):
        earlier = tuple(Measure(each.values, total * each.weights[:, k]) for each in then)
        earlier = earlier or (Measure(np.zeros(1), np.full(1, total)),)  # no step at all: everything lies at 0
        measures.append(Measure(now.values, total * now.weights[:, k], earlier))
    return measures


def advance_together(runs: Sequence[Run], operator: Operator) -> None:
    """Take one step of several runs, with one product of the operator and a matrix."""
    if len(runs) == 1:
        advance(runs[0], operator)
        return
    blocks = [run.last for run in runs]
    products = operator.product(torch.cat(blocks, dim=1))
    for run, part in zip(runs, products.split([block.shape[1] for block in blocks], dim=1), strict=True):
        run.take(part)


def _within(most: int, D: int, probes: int, storage: str, max_memory: float) -> int:
    """Return as many steps as fit into memory with all probes, which can be extended then; `most` at most.

    Where not even the first of the levels fits, it is as many steps as the first has, or as fit with a single probe.
    """
    fitting(D, 1, storage, max_memory)  # refuses what has no room for a single vector
    room = int(max_memory // need(D, 1, storage))
    return min(most, max(room // probes, min(_LEVELS[0], room)))


def _until(most: int) -> list[int]:
    """Return the numbers of steps after which an integral is looked at, `most` the last."""
    levels, m = list(_LEVELS), _LEVELS[-1]
    while m < most:
        m = m * 3 // 2
        levels.append(m)
    return [*(m for m in levels if m < most), most]


def _starts(D: int, probes: int, seed: Seed, distribution: str, device: torch.device) -> Iterator[Tensor]:
    """Yield the start vectors (D,), drawn on the CPU so that they are the same on every device."""
    draws = {
        "gaussian": lambda rng: rng.standard_normal(D),
        "rademacher": lambda rng: 2.0 * rng.integers(0, 2, D) - 1.0,
    }
    _checks.choice("distribution", distribution, tuple(draws))
    generators = _checks.generator(seed).spawn(probes)
    return (torch.from_numpy(draws[distribution](rng)).to(device) for rng in generators)


def bar_of(total: int, progress: bool | None) -> Any:
    """Return a bar over all products."""
    return bars.bar("Lanczos", total, "products", progress)


class _Book:
    """The file in which a spectrum's run is kept: T of every finished run, and the whole state of one under way."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        operator: Operator,
        steps: int,
        storage: str,
        probes: int,
        together: int,
        shared: bool,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.tensors: dict[str, Tensor] = {}
        self.starts: dict[str, str] = {}
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
            "shared": shared,
        }
        if self.path.exists():
            self.tensors, record = checkpoint.read(self.path)
            checkpoint.match(self.path, record["spectrum"], self.settings)
            self.starts = dict(record["starts"])

    def open(self, runs: Mapping[int, Run]) -> None:
        """Bring runs to where the file has them."""
        if self.path is None:
            return
        for k, run in runs.items():
            name = checkpoint.digest({"start": run.starts})
            if self.starts.setdefault(str(k), name) != name:
                raise checkpoint.CheckpointError(
                    f"{self.path} has other start vectors: give its seed and distribution, or another path"
                )
            mine = {key.partition(".")[2]: t for key, t in self.tensors.items() if key.partition(".")[0] == str(k)}
            if mine:
                run.restore(mine)

    def save(self, runs: Mapping[int, Run]) -> None:
        """Keep the state of runs; a basis only while it is needed."""
        if self.path is None:
            return
        for k, run in runs.items():
            self.tensors = {key: t for key, t in self.tensors.items() if key.partition(".")[0] != str(k)}
            self.tensors |= {f"{k}.{name}": t for name, t in run.state().items()}
        checkpoint.write(self.path, self.tensors, {"spectrum": self.settings, "starts": self.starts})
