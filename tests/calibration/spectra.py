"""Coverage and cost of what is estimated from a Hessian's products, against the dense truth.

``python -m tests.calibration.spectra [--seeds 40] [--out FILE] [NETWORK …]`` writes a row for each network, quantity
and way: the truth, and means over the seeds of value, error bar and products, the root mean square of what it was off
by, and the number of seeds whose two bars hold the truth. Besides the networks there are
spectra that are made up. Random starts are drawn in the eigenbasis, where their law is the same and a product costs D
operations.

"shared" is `spectrum` as it is, "apart" the same products with the probes apart, which is stochastic Lanczos quadrature
as it was before converged eigenvalues were counted once; its error bar is the plain standard error across probes. "as
apart" has the fewest products with which one basis is as near to the truth, over the seeds of the old way.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunekit import estimates
from prunekit._checks import Floats
from prunekit.curvature import spectrum
from prunekit.curvature.probing import ACCURACY
from prunekit.estimates import Estimate
from prunekit.limit import Landscape, predict
from prunekit.limit.sources import Dense
from tests.calibration.networks import NAMES, SHAPES, Network, network

METHODS = ("published", "cone", "orthogonal")
APART = 16  # seeds of the old way
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


def study(net: Network, seeds: int) -> Iterator[list[Row]]:
    """Yield the rows of one network, after every seed.

    Everything of one seed is read off one run: an integral after the steps at which it would have stopped alone, and
    the limits of one landscape one after the other, with the products of the spectrum and those along their own c.
    """
    exact = Landscape(net.weights, Known(net.values, net.vectors))
    truth = {m: predict(exact, net.epsilon, method=m, resolution=0) for m in METHODS}
    t = 2 * net.epsilon / truth["published"].distance ** 2
    operator = Diagonal(net.values)
    wanted = integrands(t)
    found: dict[tuple[str, str], list[tuple[Estimate, int]]] = {}
    for seed in range(seeds):
        turned = Turned.of_operator(net.weights, operator, seed=seed)
        turned.vectors = net.vectors
        for method in METHODS:
            before = turned.products - turned.spectrum.products
            limit = predict(turned, net.epsilon, method=method)
            one = Estimate(limit.fraction, limit.error)
            found.setdefault((f"limit, {method}", "shared"), []).append((one, limit.products - before))
        probing = turned._source.probing  # type: ignore[attr-defined]
        for name, f in wanted.items():
            probing.restart()
            estimate = probing.resolve(lambda one, f=f: one.integrate(f), ACCURACY)
            found.setdefault((name, "shared"), []).append((estimate, probing.spectrum.products))
        if seed < APART:
            for m in probing.levels:  # to tell the products of the old way's error
                probing.reach(m)
                for name, f in wanted.items():
                    one = probing.spectrum.integrate(f)
                    found.setdefault((name, f"{m} steps"), []).append((one, probing.spectrum.products))
            apart = spectrum(operator, steps=64, probes=8, shared=False, seed=seed, progress=False)
            for name, f in wanted.items():
                plain = estimates.mean([probe.integrate(f) for probe in apart.probes])
                found.setdefault((name, "apart"), []).append((plain, apart.products))
        rights = {name: float(np.sum(f(net.values))) for name, f in wanted.items()}
        rights |= {f"limit, {method}": limit.fraction for method, limit in truth.items()}
        yield [
            _row(net.name, name, way, rights[name], *zip(*pairs, strict=True)) for (name, way), pairs in found.items()
        ]


def _row(net: str, quantity: str, way: str, truth: float, found: Sequence[Estimate], products: Sequence[int]) -> Row:
    """Return one line of the table."""
    values, errors = np.array(found, dtype=float).T
    resolved = np.isfinite(errors)
    off = np.abs(values - truth)
    return {
        "network": net,
        "quantity": quantity,
        "way": way,
        "truth": truth,
        "value": float(values.mean()),
        "bar": float(errors[resolved].mean()) if resolved.any() else math.inf,
        "relative bar": float(errors[resolved].mean()) / abs(truth) if resolved.any() else math.inf,
        "relative error": float(np.sqrt(np.mean(off**2))) / abs(truth),
        "covered": int(np.sum(off[resolved] <= 2 * errors[resolved])),
        "resolved": int(resolved.sum()),
        "seeds": len(found),
        "products": float(np.mean(products)),
    }


def _gains(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield, for each quantity, the fewest products with which one basis is as near to the truth as the old way."""
    old = {row["quantity"]: row for row in rows if row["way"] == "apart"}
    for quantity, row in old.items():
        steps = [r for r in rows if r["quantity"] == quantity and r["way"].endswith("steps")]
        enough = [r for r in steps if r["relative error"] <= row["relative error"]]
        if enough:
            yield {**min(enough, key=lambda r: r["products"]), "way": "as apart"}


def main() -> None:
    """Make the table, print it line by line, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=(*NAMES, *SHAPES))
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    done: list[Row] = []
    for name in chosen.networks:
        rows: list[Row] = []
        for rows in study(network(name), chosen.seeds):
            if chosen.out:
                text = json.dumps(done + rows, indent=1, ensure_ascii=False)
                chosen.out.write_text(text + "\n", encoding="utf-8")
        rows += list(_gains(rows))
        for row in rows:
            if row["way"].endswith("steps"):
                continue
            print(
                f"{row['network']:12} {row['quantity']:27} {row['way']:8} truth {row['truth']:<10.5g} value "
                f"{row['value']:<10.5g} bar {row['relative bar']:7.2%} off {row['relative error']:7.2%} covered "
                f"{row['covered']}/{row['resolved']}/{row['seeds']} products {row['products']:.0f}",
                flush=True,
            )
        done += rows


if __name__ == "__main__":
    main()
