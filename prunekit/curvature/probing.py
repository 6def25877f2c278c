"""A spectrum in progress: start vectors, their bases, and steps taken as they are needed."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.curvature.lanczos import Run, advance, fitting, until, within
from prunekit.curvature.matrix import Operator, rows_of
from prunekit.curvature.quadrature import assembled, together
from prunekit.curvature.resuming import Book
from prunekit.spectrum import Spectrum
from prunekit.statistics import Estimate

MAX_MEMORY = 4 * 2.0**30  # bytes for the basis unless told otherwise
BUDGET = 512  # products
ACCURACY = 0.03  # relative error at which an integral is good enough


class Probing:
    """A spectrum in progress: start vectors, their bases, and steps that are taken as they are needed.

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
            self.levels = until(within(min(most, D), D, self.probes, storage, max_memory))
        else:
            self.levels = [min(_checks.count("steps", steps), D)]
        self.storage, self.shared, self.progress = storage, shared, progress
        self._normal = distribution == "gaussian"
        self.most = self.levels[-1]
        self.together = min(fitting(D, self.most, storage, max_memory), self.probes)
        device = getattr(operator, "device", torch.device("cpu"))
        self._starts = _starts(D, self.probes, seed, distribution, device)
        self._book = Book(resume, operator, self.most, storage, self.probes, self.together, shared)
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
        """Release the file; nothing more is written to it."""
        self._book.close()

    @property
    def products(self) -> int:
        """Products taken so far."""
        return sum(run.products for group in self._groups for run in group)

    @property
    def spectrum(self) -> Spectrum:
        """What the steps and probes so far give; if there are none yet, those of the first level are taken."""
        return self._given(*self._at)

    @property
    def exhausted(self) -> bool:
        """Whether nothing more can be taken: the budget is spent, or everything is found."""
        return self._deeper() is None and self._wider() is None

    def refine(self, of: Callable[[Spectrum], Estimate] | None = None) -> bool:
        """Go on to the next number of steps, or to more probes; return whether there was anything left to take.

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
        estimate = of(self.spectrum)
        while not self._good(estimate, accuracy) and self.refine(of):
            estimate = of(self.spectrum)
        return estimate

    @staticmethod
    def _good(estimate: Estimate, accuracy: float, *, scatter: bool = True) -> bool:
        error = estimate.error if scatter else 2 * estimate.quadrature
        return estimate.resolved and error <= accuracy * abs(estimate.value)

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
        taken, saved, goal = 0, True, sum(run.starts.shape[1] for run in runs) * steps
        with bar_of(goal, self.progress) as bar:
            bar.update(sum(run.products for run in runs))
            while active := [run for run in runs if not run.complete and run.done < steps]:
                bar.update(sum(run.last.shape[1] for run in active))
                advance_together(active, self.operator)
                taken += 1
                if saved := self._book.due(taken):
                    self._book.save({g * self.probes + i: run for i, run in enumerate(runs)})
            if not saved:
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
        pairs = run.ritz()
        good = pairs.residuals <= accuracy * np.abs(pairs.values)
        return pairs.values[good], run.vectors(pairs.vectors[:, good])


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


def _starts(D: int, probes: int, seed: Seed, distribution: str, device: torch.device) -> Iterator[Tensor]:
    """Return start vectors (D,) without end, drawn on the CPU so that they are the same on every device."""
    draws = {
        "gaussian": lambda rng: rng.standard_normal(D),
        "rademacher": lambda rng: 2.0 * rng.integers(0, 2, D) - 1.0,
    }
    draw = draws[_checks.choice("distribution", distribution, tuple(draws))]
    generator = _checks.generator(seed)
    first = generator.spawn(probes)  # all at once, since other code may use the generator too
    more = (generator.spawn(1)[0] for _ in itertools.count())
    return (torch.from_numpy(draw(rng)).to(device) for rng in itertools.chain(first, more))


def bar_of(total: int, progress: bool | None) -> Any:
    """Return a bar over all products."""
    return bars.bar("Lanczos", total, "products", progress)
