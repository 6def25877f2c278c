"""Coverage and cost of what is estimated from a Hessian's products, against the dense truth.

``python -m tests.calibration.spectra [--seeds 40] [--out FILE] [--resume FOLDER] [NETWORK …]`` writes a row for each
network, quantity and way: the truth, and means over the seeds of value, error bar and products, the root mean square of
what it was off by, the number of seeds with an error bar (`resolved`), and the number of those whose two bars hold the
truth (`covered`), with the bounds of that share, `at least` and `at most`, in 95% of cases (Clopper and Pearson). Rows
of networks that are not asked for stay in the file as they are. Besides the networks there are spectra that are made
up, and two networks on which nothing was tuned. Random starts are drawn in the eigenbasis, where their law is the same
and a product costs D operations.

"shared" is `spectrum` as it is, "apart" the same products with the probes apart, which is stochastic Lanczos quadrature
as it was before converged eigenvalues were counted once; its error bar is the plain standard error across probes. "as
apart" has the fewest products with which "shared", told to spend a budget whatever accuracy it has reached, is as near
to the truth over the seeds of the old way, to within a twentieth: the first start vectors of both are the same.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from prunekit import statistics
from prunekit._checks import Floats
from prunekit.book.site.error_bars import ALIKE
from prunekit.curvature import spectrum
from prunekit.curvature.probing import ACCURACY, Probing
from prunekit.limit import Lanczos, Landscape, predict
from prunekit.limit.sources import Dense
from prunekit.spectrum import Spectrum
from prunekit.statistics import Estimate
from tests.calibration.networks import HELD_OUT, NAMES, SHAPES, Network, network

METHODS = ("published", "cone", "orthogonal")
APART = 16  # seeds of the old way
ORDER = (*NAMES, *SHAPES, *HELD_OUT)
BUDGETS = (64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)  # products, at which both ways are compared
_TURN = 10  # seeds of a network before it is the next one's turn, so that an early end leaves a table of all
Row = dict[str, Any]


class Diagonal:
    """A matrix in its own eigenbasis."""

    def __init__(self, values: Floats) -> None:
        self.values = torch.from_numpy(values)
        self.dimension = values.size

    def product(self, v: Tensor) -> Tensor:
        """Return the product with v, (D,) or (D, k)."""
        return self.values * v if v.ndim == 1 else self.values[:, None] * v


class Known(Dense):
    """A matrix whose eigenpairs are known."""

    def __init__(self, values: Floats, vectors: Floats) -> None:
        super().__init__(np.zeros((1, 1)))
        self.pair = values, vectors

    @property
    def eigen(self) -> tuple[Floats, Floats]:  # type: ignore[override]
        """Eigenvalues, increasing, and eigenvectors in columns."""
        return self.pair


class Turned(Landscape):
    """A landscape whose operator lives in the eigenbasis, its weights in their own."""

    vectors: Floats

    def removed(self, k: int) -> Floats:
        """Return c = w* - w^k (D,) in the eigenbasis."""
        return self.vectors.T @ super().removed(k)


def integrands(t: float) -> dict[str, Callable[[Floats], Floats]]:
    """Return what is integrated, at the scale t = 2ε/R²."""
    return {
        "trace": lambda h: h,
        "log-determinant of |H| + t": lambda h: np.log(np.abs(h) + t),
        "Σ r²/(R² + r²)": lambda h: t / (t + np.abs(h)),
        "Σ R²/(R² + r²)": lambda h: np.abs(h) / (t + np.abs(h)),
        "Σ |h|": np.abs,
        "Σ h²": lambda h: h**2,
        "Σ √|h|": lambda h: np.sqrt(np.abs(h)),
    }


Drawn = dict[str, dict[str, tuple[float, float, int]]]  # by quantity and way: value, error, products


class Study:
    """One network: its truth, and what estimates of one seed say of it."""

    def __init__(self, net: Network) -> None:
        exact = Landscape(net.weights, Known(net.values, net.vectors))
        limits = {m: predict(exact, net.epsilon, method=m, resolution=0) for m in METHODS}
        self.net, self.operator = net, Diagonal(net.values)
        self.wanted = integrands(2 * net.epsilon / limits["published"].distance ** 2)
        self.truth = {name: float(np.sum(f(net.values))) for name, f in self.wanted.items()}
        self.truth |= {f"limit, {method}": limit.fraction for method, limit in limits.items()}

    def draw(self, seed: int) -> Drawn:
        """Return what one seed says of all quantities, and the first `APART` of them in the old way too.

        Everything is read off one run: an integral after the steps at which it would have stopped alone, and the limits
        of one landscape one after the other, with the products of the spectrum and those along their own c.
        """
        found: Drawn = {name: {} for name in self.truth}
        turned = Turned.of_operator(self.net.weights, self.operator, Lanczos(seed=seed))
        turned.vectors = self.net.vectors
        for method in METHODS:
            before = turned.products - turned.spectrum.products
            limit = predict(turned, self.net.epsilon, method=method)
            found[f"limit, {method}"]["shared"] = (limit.fraction, limit.error, limit.products - before)
        probing = turned._source.probing  # type: ignore[attr-defined]
        for name, f in self.wanted.items():
            probing.restart()
            estimate = probing.resolve(lambda one, f=f: one.integrate(f), ACCURACY)
            found[name]["shared"] = (*estimate, probing.spectrum.products)
        if seed < APART:
            self._draw_apart(seed, probing, found)
        return found

    def _draw_apart(self, seed: int, probing: Probing, found: Drawn) -> None:
        """Add the old way, and the shared basis within several budgets, to tell the products of the same error."""
        apart = spectrum(self.operator, steps=64, probes=8, shared=False, seed=seed, progress=False)
        for name, f in self.wanted.items():
            found[name] |= dict(_within_budgets(probing, f))
            found[name]["apart"] = (*statistics.mean([probe.integrate(f) for probe in apart.probes]), apart.products)

    def rows(self, draws: Sequence[Drawn]) -> list[Row]:
        """Return the lines of the table that some seeds give."""
        rows = []
        for name, truth in self.truth.items():
            for way in draws[0][name]:
                of = [each[name][way] for each in draws if way in each[name]]
                rows.append(_row(self.net.name, name, way, truth, np.array(of, dtype=float)))
        gains = list(_gains(rows))
        return [row for row in rows if not row["way"].endswith("products")] + gains


def _within_budgets(probing: Probing, f: Callable[[Floats], Floats]) -> Iterator[tuple[str, tuple[float, float, int]]]:
    """Yield what the library says of an integral when it has spent a budget, however accurate it was before."""

    def of(one: Spectrum) -> Estimate:
        return one.integrate(f)

    left = list(BUDGETS)
    probing.restart()
    last = None
    while left:
        now = (*of(probing.spectrum), probing.spectrum.products)
        while left and last is not None and now[2] > left[0]:
            yield f"{left.pop(0)} products", last
        last = now
        if not probing.refine(of):
            break
    for budget in left:
        yield f"{budget} products", last


def _row(net: str, quantity: str, way: str, truth: float, found: Floats) -> Row:
    """Return one line of the table from values, errors and products (seeds, 3)."""
    values, errors, products = found.T
    resolved = np.isfinite(errors)
    off = np.abs(values - truth)
    bar = float(errors[resolved].mean()) if resolved.any() else math.nan
    squared = float(np.sqrt(np.mean(off**2)))
    covered, told = int(np.sum(off[resolved] <= 2 * errors[resolved])), int(resolved.sum())
    lower, upper = _bounds(covered, told)
    row = {
        "network": net,
        "quantity": quantity,
        "way": way,
        "seeds": len(found),
        "truth": truth,
        "value": float(values.mean()),
        "bar": bar,
        "products": float(products.mean()),
        "off": squared,
        "covered": covered,
        "resolved": told,
        "at least": lower,
        "at most": upper,
        "relative bar": bar / abs(truth),
        "relative error": squared / abs(truth),
    }
    return {key: None if isinstance(x, float) and math.isnan(x) else x for key, x in row.items()}


def _bounds(covered: int, of: int) -> tuple[float, float]:
    """Return the least and the greatest share of which so many of so many are not in the 2.5% at either end."""
    if of == 0:
        return math.nan, math.nan
    lower = 0.0 if covered == 0 else float(betaincinv(covered, of - covered + 1, 0.025))
    upper = 1.0 if covered == of else float(betaincinv(covered + 1, of - covered, 0.975))
    return lower, upper


def _gains(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield, for each quantity, the fewest products with which one basis is as near to the truth as the old way."""
    old = {row["quantity"]: row for row in rows if row["way"] == "apart"}
    for quantity, row in old.items():
        budgets = [r for r in rows if r["quantity"] == quantity and r["way"].endswith("products")]
        enough = [r for r in budgets if r["relative error"] <= ALIKE * row["relative error"]]
        if enough:
            yield {**min(enough, key=lambda r: r["products"]), "way": "as apart"}


def main() -> None:
    """Make the table, print it line by line, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=ORDER)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--resume", type=Path, help="a folder for what seeds gave; taken as it is, whatever code gave it"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tables: dict[str, list[Row]] = {}
    for most in range(min(_TURN, chosen.seeds), chosen.seeds + _TURN, _TURN):
        for name in chosen.networks:
            start = process_time()
            tables[name] = _extended(name, min(most, chosen.seeds), chosen.resume)
            if chosen.out:
                _put(chosen.out, name, tables[name])
            seeds = tables[name][0]["seeds"]
            print(f"{name}: {seeds} seeds, {process_time() - start:.0f} s of CPU time", flush=True)
    for row in (row for name in chosen.networks for row in tables[name]):
        print(_line(row), flush=True)


_KEPT: dict[str, list[Drawn]] = {}  # of this process, where no folder is given


def _extended(name: str, seeds: int, folder: Path | None) -> list[Row]:
    """Return a network's rows after so many seeds at least, those that are there already not drawn again."""
    study = Study(network(name))
    path = None if folder is None else folder / f"{name}.json"
    draws = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else _KEPT.setdefault(name, [])
    for seed in range(len(draws), seeds):
        draws.append(study.draw(seed))
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(draws, ensure_ascii=False), encoding="utf-8")
            partial.rename(path)
    return study.rows(draws)


def _put(path: Path, name: str, rows: Sequence[Row]) -> None:
    """Write a network's rows in place of those that the file has of it, the others as they are, in a settled order."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    every = [row for row in found if row["network"] != name] + list(rows)
    every.sort(key=lambda row: ORDER.index(row["network"]))
    path.write_text(json.dumps(every, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _line(row: Row) -> str:
    """Return a row as a line."""
    bar = "none" if row["bar"] is None else f"{row['relative bar']:.2%}"
    return (
        f"{row['network']:12} {row['quantity']:27} {row['way']:8} truth {row['truth']:<10.5g} value "
        f"{row['value']:<10.5g} bar {bar:>7} off {row['relative error']:7.2%} covered "
        f"{row['covered']}/{row['resolved']}/{row['seeds']} products {row['products']:.0f}"
    )


if __name__ == "__main__":
    main()
