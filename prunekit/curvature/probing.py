"""A spectrum, and a vector's measure, under way: start vectors, their bases, and steps taken as they are needed."""

from __future__ import annotations

import itertools
import math
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

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
        self._grows = steps is None and self.probes > 1 and self.shared and self.together == self.probes
        self._at = self.levels[0], -(-self.probes // self.together)  # steps, and groups of probes
        self._begin = self._at
        self._found: dict[tuple[int, int], Spectrum] = {}

    def __enter__(self) -> Self:
        """Return itself; its file is given up at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give up the file."""
        self.close()

    def close(self) -> None:
        """Let others have the file from now on; nothing more is kept in it."""
        self._book.close()

    @property
    def products(self) -> int:
        """Products taken so far."""
        return sum(run.products for group in self._groups for run in group)

    @property
    def spectrum(self) -> Spectrum:
        """What the steps and probes so far give: those of the first level, if there are none."""
        return self._given(*self._at)

    @property
    def exhausted(self) -> bool:
        """Whether nothing more can be taken: the budget is spent, or everything is found."""
        return self._deeper() is None and self._wider() is None

    def refine(self, of: Callable[[Spectrum], Estimate] | None = None) -> bool:
        """Go on to the next number of steps, or to more probes; answer whether there was any of that left.

        Parameters
        ----------
        of : callable, optional
            What is read off the spectrum. More probes are taken where its error is scatter that further steps do not
            reduce as fast as probes would, product for product; without it, where no more steps are left.
        """
        deeper, wider = self._deeper(), self._wider()
        if deeper is not None and wider is not None and of is not None and self._is_scatter(of):
            deeper = None
        chosen = wider if deeper is None else deeper
        if chosen is not None:
            self._at = chosen
        return chosen is not None

    def restart(self) -> None:
        """Look at integrals from the first number of steps on again; products that were taken are not lost."""
        self._at = self._begin

    def reach(self, steps: int) -> None:
        """Go to one of the `levels`, of fewer steps or of more, with the probes that were asked for."""
        self._at = steps, self._begin[1]

    def whole(self) -> Spectrum:
        """Take all steps there are, with the probes that were asked for."""
        self.reach(self.levels[-1])
        return self.spectrum

    def resolve(self, of: Callable[[Spectrum], Estimate], accuracy: float) -> Estimate:
        """Take steps and probes until what is read off the spectrum has at most a relative error, or the budget ends.

        Where not all probes fit into memory together, the first group decides on the steps, by its quadrature alone.
        """
        if self.together < self.probes and not self._groups:
            while not self._good(of(self._first_group()), accuracy, scatter=False) and self.refine():
                pass
        found = of(self.spectrum)
        while not self._good(found, accuracy) and self.refine(of):
            found = of(self.spectrum)
        return found

    @staticmethod
    def _good(found: Estimate, accuracy: float, *, scatter: bool = True) -> bool:
        error = found.error if scatter else 2 * found.quadrature
        return found.resolved and error <= accuracy * abs(found.value)

    def _deeper(self) -> tuple[int, int] | None:
        """Return the next number of steps with as many probes, if the budget has any and something is left to find."""
        steps, groups = self._at
        whole = bool(self._groups) and all(run.complete and run.done <= steps for g in self._groups for run in g)
        most = self.most if groups == self._begin[1] else self.most // groups
        if whole or steps >= most or (len(self._groups) > 1 and self.together < self.probes):
            return None
        return min(next(m for m in self.levels if m > steps), most), groups

    def _wider(self) -> tuple[int, int] | None:
        """Return one more group of probes with as many steps, if the budget has it and there is something to gain."""
        steps, groups = self._at
        whole = bool(self._groups) and all(run.complete for run in self._groups[0])
        if not self._grows or whole or steps * (groups + 1) > self.most:
            return None
        return steps, groups + 1

    def _is_scatter(self, of: Callable[[Spectrum], Estimate]) -> bool:
        """Tell whether more probes promise more than more steps, by the power of the products with which errors fall.

        Scatter falls as the root of the number of probes. What steps do to it, and to the quadrature's error, is seen
        from fewer of them: for the scatter, which few probes know badly, from whichever number makes steps look best.
        """
        steps, groups = self._at
        fewer = [m for m in self.levels if m < steps]
        now = of(self.spectrum)
        if not fewer or not now.resolved or now.error == 0:
            return False
        before = {m: of(self._given(m, groups)) for m in fewer}
        scatter = max(_power(steps / m, each.scatter, now.scatter) for m, each in before.items())
        quadrature = _power(steps / fewer[-1], before[fewer[-1]].quadrature, now.quadrature)
        share = (now.scatter / now.error) ** 2
        return share * scatter + (1 - share) * quadrature < share / 2

    def _first_group(self) -> Spectrum:
        """Return what the first group gives at the present level."""
        if not self._groups:
            self._groups.append(self._opened(0))
        self._advance(0, self._at[0])
        return assembled(self.operator.dimension, self._groups[0], self._at[0], self._normal)

    def _given(self, steps: int, groups: int) -> Spectrum:
        """Return what so many steps and groups give."""
        if (steps, groups) not in self._found:
            self._found[steps, groups] = self._assembled(steps, groups)
        return self._found[steps, groups]

    def _assembled(self, steps: int, groups: int) -> Spectrum:
        """Take so many steps with all probes; a group whose bases would not fit beside the others gives them up."""
        D = self.operator.dimension
        parts: list[Spectrum] = []
        for g in range(groups):
            if g == len(self._groups):
                self._groups.append(self._opened(g))
            self._advance(g, steps)
            parts.append(assembled(D, self._groups[g], steps, self._normal))
            if self.together < self.probes:
                for run in self._groups[g]:
                    run.forget()
        products, converged = sum(part.products for part in parts), min(part.converged for part in parts)
        return together(parts, products, converged)

    def _opened(self, g: int) -> list[Run]:
        """Return a group's runs at their start, or where the file has them: one block, or one run for each probe."""
        count = self.together if self._grows else min(self.together, self.probes - g * self.together)
        starts = torch.stack([next(self._starts) for _ in range(count)], dim=1)
        blocks = [starts] if self.shared else list(starts.split(1, dim=1))
        most = self.most // (g + 1) if self._grows else self.most  # room for the steps that so many groups can have
        runs = [Run(block, most, self.storage) for block in blocks]
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
        if not self.spectrum.products or self.together < self.probes or len(self._groups[0]) != 1:
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
        return self._with(rule(self._run, self._rest))

    def _with(self, rest: Measure) -> Measure:
        """Return a measure of what is left with what is known."""
        nodes, weights = np.concatenate([self._values, rest.nodes]), np.concatenate([self._masses, rest.weights])
        return Measure(nodes, weights, tuple(map(self._with, rest.earlier)))


def assembled(D: int, runs: Sequence[Run], steps: int, normal: bool = False) -> Spectrum:
    """Return the spectrum that runs give after so many steps; those that ended before count as they are.

    `normal` says that the start vectors' entries are: of what is left of them the scatter is known then.
    """
    parts = [_of_run(D, run, min(steps, run.done), normal) for run in runs]
    products = sum(sum(len(A) for A in run.diagonals[:steps]) for run in runs)
    return together(parts, products, parts[-1].converged)


def together(parts: Sequence[Spectrum], products: int, converged: int) -> Spectrum:
    """Return the spectrum whose probes are those of several."""
    return Spectrum(
        tuple(probe for part in parts for probe in part.probes),
        rules=tuple(rule for part in parts for rule in part.rules),
        free=tuple(each for part in parts for each in part.free),
        fixed=tuple(each for part in parts for each in part.fixed),
        rests=tuple(rest for part in parts for rest in part.rests),
        gaps=tuple(gap for part in parts for gap in part.gaps),
        products=products,
        converged=converged,
    )


def _of_run(D: int, run: Run, m: int, normal: bool) -> Spectrum:
    """Return the spectrum of one run."""
    found, starts = run.ritz(m), range(run.first.shape[1])
    once = np.ones(D, dtype=bool) if found.values.size == D else found.converged
    counted = [_once(found.values, column, once, D) for column in found.weights.T]
    rests = [each for each in (_without(c, once) for c in counted) if normal and each is not None]
    free, fixed = sides(run, m)
    gap = None if fixed or (run.complete and m == run.done) else _gap(found, once, D)
    if fixed:
        counted = [_mixed([_once(r.values, r.weights[:, k], r.converged, D) for r in (*free, *fixed)]) for k in starts]
    return Spectrum(
        tuple(counted),
        rules=(_rule(run, m, float(D)),),
        free=(_mean(free, D),) if fixed else (),
        fixed=(_mean(fixed[:1], D),) if fixed else (),
        rests=tuple(rests),
        gaps=() if gap is None else (gap,),
        converged=int(once.sum()),
    )


def sides(run: Run, m: int) -> tuple[list[Ritz], list[Ritz]]:
    """Return the quadratures after m steps whose mean a basis is read by: two with free nodes, two with one at 0.

    Free nodes straddle 0, now closely and now widely as the steps go on, and for an integrand with a peak at 0, as
    those of pruning limits have one, all of them err to one side: least so if two numbers of steps are averaged (as by
    Laurie's anti-Gaussian rules, 1996). A node at 0 errs to the other side, and by as much. For a positive spectrum
    and a completely monotone integrand, as the logarithm's derivative is, that is a theorem. Where 0 is far from all
    eigenvalues the second list is empty, and the first is the Gauss quadrature: so it is for a single start, whose
    quadrature is held to inequalities.
    """
    found = run.ritz(m)
    fixed = None
    if run.first.shape[1] > 1 and not (run.complete and m == run.done) and _reaches_zero(found):
        fixed = run.fixed(m) or (run.fixed(m - 1) if m > 1 else None)
    if fixed is None:
        return [found], []
    return [found, run.ritz(max(m - 1, 1))], [fixed, fixed]


def _reaches_zero(found: Ritz) -> bool:
    """Tell whether eigenvalues lie on both sides of 0, or may lie near it beyond the outermost node."""
    if found.values[0] < 0 < found.values[-1]:
        return True
    end = 0 if found.values[0] >= 0 else -1
    return not found.converged[end] and abs(found.values[end]) <= _REACH * found.residuals[end]


def _mixed(measures: Sequence[Measure]) -> Measure:
    """Return the mean of measures."""
    nodes = np.concatenate([each.nodes for each in measures])
    return Measure(nodes, np.concatenate([each.weights for each in measures]) / len(measures))


def _mean(rules: Sequence[Ritz], total: float) -> Measure:
    """Return the mean over a run's starts, and over quadratures, of a total; no eigenvalue is counted once."""
    return _mixed([Measure(rule.values, total * rule.weights.mean(1)) for rule in rules])


def _rule(run: Run, m: int, total: float) -> Measure:
    """Return the mean over a run's starts that the spectrum is read by, with those of fewer steps."""

    def at(steps: int) -> Measure:
        free, fixed = sides(run, steps)
        return _mean((*free, *fixed), total)

    now = at(m)
    whole = run.complete and m == run.done
    earlier = [now] * max(len(checkpoints(m)), 1) if whole else [at(j) for j in checkpoints(m)]
    return Measure(now.nodes, now.weights, tuple(earlier) or (Measure(np.zeros(1), np.full(1, total)),))


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


def rule(run: Run, total: float) -> Measure:
    """Return the quadrature of a run with one start, all its steps, of a total, with those of fewer steps."""
    now, whole = run.ritz(run.done), run.complete
    places = checkpoints(run.done)
    then = [now] * max(len(places), 1) if whole else [run.ritz(j) for j in places]
    earlier = tuple(Measure(each.values, total * each.weights[:, 0]) for each in then)
    earlier = earlier or (Measure(np.zeros(1), np.full(1, total)),)  # no step at all: everything lies at 0
    return Measure(now.values, total * now.weights[:, 0], earlier)


def advance_together(runs: Sequence[Run], operator: Operator) -> None:
    """Take one step of several runs, with one product of the operator and a matrix."""
    if len(runs) == 1:
        advance(runs[0], operator)
        return
    blocks = [run.last for run in runs]
    products = operator.product(torch.cat(blocks, dim=1))
    for run, part in zip(runs, products.split([block.shape[1] for block in blocks], dim=1), strict=True):
        run.take(part)


def _power(ratio: float, before: float, now: float) -> float:
    """Return the power with which an error fell while the steps grew by a ratio; 0 where there is none left."""
    return math.log(before / now) / math.log(ratio) if 0 < now < math.inf and 0 < before < math.inf else 0.0


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
    """Return start vectors (D,) without end, drawn on the CPU so that they are the same on every device."""
    draws = {
        "gaussian": lambda rng: rng.standard_normal(D),
        "rademacher": lambda rng: 2.0 * rng.integers(0, 2, D) - 1.0,
    }
    draw = draws[_checks.choice("distribution", distribution, tuple(draws))]
    generator = _checks.generator(seed)
    first = generator.spawn(probes)  # at once, since a generator may serve others too
    more = (generator.spawn(1)[0] for _ in itertools.count())
    return (torch.from_numpy(draw(rng)).to(device) for rng in itertools.chain(first, more))


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
        self.claim = ExitStack()
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
        self.claim.enter_context(checkpoint.claimed(self.path, "probing"))
        weakref.finalize(self, self.claim.close)  # whoever forgets to close
        try:
            self._read(self.path)
        except BaseException:
            self.claim.close()
            raise

    def _read(self, path: Path) -> None:
        """Read the file, if there is one, refusing that of another run."""
        if path.exists():
            self.tensors, record = checkpoint.read(path)
            checkpoint.match(path, record["spectrum"], self.settings)
            self.starts = dict(record["starts"])

    def close(self) -> None:
        """Write nothing more, and let others have the file."""
        self.path = None
        self.claim.close()

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
