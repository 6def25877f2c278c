"""Cases of errors of what is estimated from products with a matrix: spectra, diagonals, and limits that follow."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from prunekit import cones
from prunekit._checks import Floats
from prunekit.curvature import Matrix, spectrum, zero_mass
from prunekit.importance import hessian_diagonal, hessian_matrix
from prunekit.limit import Lanczos, Landscape, predict, threshold, upper_gap, upper_map
from prunekit.limit.authors import sampled_zero_rows
from prunekit.spectrum import Measure, Spectrum
from prunekit.stable import sample
from prunekit.stable.layers import tail_report
from prunekit.statistics import Estimate, chance_of_two
from tests.calibration.draws import Made
from tests.calibration.table import case, shared

D, PROBES, STEPS, EPSILON = 400, 8, 20, 3e-3
DENSE = "dense eigenvalues"


@cache
def eigenvalues() -> Floats:
    """Return a network's like: eight outliers, a power law, a quarter of zeros."""
    bulk = 10 ** np.random.default_rng(1).uniform(-5, -1, D - 8 - D // 4)
    return np.sort(np.concatenate([np.geomspace(0.3, 8, 8), bulk, np.zeros(D // 4)]))


@cache
def matrix() -> Floats:
    """Return a dense matrix (D, D) of these eigenvalues."""
    basis = np.linalg.qr(np.random.default_rng(2).standard_normal((D, D)))[0]
    found = (basis * eigenvalues()) @ basis.T
    return np.asarray((found + found.T) / 2)


@cache
def direction() -> Measure:
    """Return the measure of a vector of length 1 in the eigenbasis."""
    c = np.random.default_rng(3).standard_normal(D)
    return Measure.of_vector(eigenvalues(), c / np.linalg.norm(c))


@shared
def probed(seed: int) -> Spectrum:
    """Return the spectrum by Lanczos' method, in the eigenbasis, where the law of random starts is the same."""
    operator = Matrix(np.diag(eigenvalues()))
    return spectrum(operator, probes=PROBES, steps=STEPS, seed=seed, progress=False)


Read = Callable[[Spectrum], Estimate]


_INTEGRALS: dict[str, Read] = {
    "spectrum.Spectrum.trace": lambda s: s.trace(),
    "spectrum.Spectrum.integrate": lambda s: s.integrate(np.sqrt),
    "spectrum.Spectrum.log_determinant": lambda s: s.log_determinant(0.01),
    "cones.dimension_as_published": lambda s: cones.dimension_as_published(s, EPSILON, 1.0),
    "cones.width_as_published": lambda s: cones.width_as_published(s, EPSILON, 1.0),
    "cones.cone_dimension": lambda s: cones.cone_dimension(s, direction(), EPSILON),
    "cones.orthogonal_limit": lambda s: cones.orthogonal_limit(s, direction(), 0.01),
}
for _name, _read in _INTEGRALS.items():
    case(
        _name,
        f"{D} eigenvalues, {PROBES} probes of {STEPS} steps",
        known=DENSE,
        seeds=200,
        quick=100,
        bound=_name == "spectrum.Spectrum.integrate",
    )(  # a root, whose quadrature's error is as large as the scatter
        lambda read=_read: (
            read(Spectrum.of_eigenvalues(eigenvalues())).value,
            lambda seed: tuple(read(probed(seed))),
        )
    )


@case("curvature.zero_mass", "50 zeros and 150 from 1 to 2, near", known="made so", seeds=200, quick=100)
def _near() -> Made:
    return 50.0, lambda seed: tuple(_zeros(seed).near)


@case("curvature.zero_mass", "50 zeros and 150 from 1 to 2, lower to upper", known="made so", seeds=200, quick=100,
      bound=True)  # fmt: skip
def _bounds() -> Made:
    def trial(seed: int) -> tuple[float, float, float]:
        found = _zeros(seed)
        low, high = found.lower.value - 2 * found.lower.error, found.upper.value + 2 * found.upper.error
        return (low + high) / 2, low, high

    return 50.0, trial


@shared
def _zeros(seed: int) -> Any:
    return zero_mass(_with_zeros(), 0.5, steps=12, probes=PROBES, seed=seed, progress=False)


@cache
def _with_zeros() -> Matrix:
    values = np.concatenate([np.zeros(50), np.linspace(1, 2, 150)])
    basis = np.linalg.qr(np.random.default_rng(4).standard_normal((200, 200)))[0]
    H = (basis * values) @ basis.T
    return Matrix((H + H.T) / 2)


for _share in (0.3, 0.05):
    case(
        "limit.authors.sampled_zero_rows",
        f"100 of 1,000 rows, {_share:.0%} of them 0",
        known="made so",
        seeds=400,
        quick=400,
    )(lambda share=_share: (share, lambda seed: tuple(_sampled(share, seed).share)))


class Rows:
    """A diagonal matrix."""

    def __init__(self, values: Floats) -> None:
        self.values = torch.from_numpy(values)
        self.dimension = values.size

    def product(self, v: torch.Tensor) -> torch.Tensor:
        """Return the product with v (D, k)."""
        return self.values[:, None] * v


def _sampled(share: float, seed: int) -> Any:
    weights = np.random.default_rng([5, seed]).standard_normal(1000)
    return sampled_zero_rows(Rows((np.arange(1000) >= 1000 * share).astype(float)), weights)


def _weights() -> Floats:
    return np.random.default_rng(6).laplace(size=D)


@shared
def _landscape(seed: int) -> Landscape:
    return Landscape.of_operator(_weights(), Matrix(matrix()), Lanczos(steps=24, probes=PROBES, seed=seed))


def _limits(read: Callable[[Landscape], Estimate]) -> Made:
    exact = Landscape.of_matrix(_weights(), matrix())
    return read(exact).value, lambda seed: tuple(read(_landscape(seed)))


def _predicted(landscape: Landscape, method: Any) -> Estimate:
    found = predict(landscape, 0.3, method=method, resolution=0)
    return Estimate(found.fraction, found.error)


DENSE_HESSIAN = "dense Hessian"
for _method in ("published", "cone", "orthogonal"):
    case("limit.threshold", f"{_method}, k = 40 of {D}", known=DENSE_HESSIAN, seeds=200, quick=60)(
        lambda method=_method: _limits(lambda one: threshold(one, 0.3, 40, method=method))
    )
    case(
        "limit.predict",
        f"{_method}, {D} weights",
        known=DENSE_HESSIAN,
        seeds=100,
        quick=60 if _method == "published" else 20,
        bound=_method != "published",
    )(lambda method=_method: _limits(lambda one: _predicted(one, method)))
case("limit.upper_map", f"k = 40 of {D}", known=DENSE_HESSIAN, seeds=200, quick=60)(
    lambda: _limits(lambda one: upper_map(one, 0.3, 40))
)
case("limit.upper_gap", f"k = 200 of {D}", known=DENSE_HESSIAN, seeds=200, quick=60)(
    lambda: _limits(lambda one: upper_gap(one, 0.3, 200))
)


def _one_shot(hessian: Callable[[], Floats], epsilon: float) -> Made:
    """Return how far the one-shot limit by products is from the dense one, for weights of their own at each seed."""
    H = hessian()

    def trial(seed: int) -> tuple[float, float]:
        weights = np.random.default_rng([9, seed]).laplace(size=D)
        exact = predict(Landscape.of_matrix(weights, H), epsilon, method="one-shot", resolution=0)
        by_products = Landscape.of_operator(weights, Matrix(H), Lanczos(steps=STEPS, direction_steps=6, seed=seed))
        found = predict(by_products, epsilon, method="one-shot", resolution=0)
        return found.fraction - exact.fraction, found.error

    return 0.0, trial


def _indefinite() -> Floats:
    """Return a diagonal matrix whose bulk has both signs."""
    signs = np.where(eigenvalues() < 0.3, np.random.default_rng(10).choice([-1.0, 1.0], D), 1.0)
    return np.diag(np.random.default_rng(11).permutation(signs * eigenvalues()))


case("limit.predict", f"one-shot, {D} weights, diagonal Hessian, less the dense limit", known=DENSE_HESSIAN, seeds=100,
     quick=20, bound=True)(lambda: _one_shot(_indefinite, 0.3))  # fmt: skip
case(
    "limit.predict", f"one-shot, {D} weights, few large eigenvalues, less the dense limit", known=DENSE_HESSIAN,
    seeds=100, quick=20, bound=True,
)(lambda: _one_shot(matrix, 0.3))  # fmt: skip


@cache
def small() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor], Floats]:
    """Return a network in double precision, its data, and the diagonal of its Hessian."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (40,), generator=generator)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    H = hessian_matrix(model, nn.functional.cross_entropy, (x, y))
    return model, (x, y), H.diagonal().numpy()


def _entry(probes: int) -> Made:
    _, _, diagonal = small()

    def trial(seed: int) -> tuple[float, float]:
        found = _hutchinson(probes, seed)
        return float(found.values["0.weight"].flatten()[7]), float(found.errors["0.weight"].flatten()[7])

    return float(diagonal[7]), trial


@shared
def _hutchinson(probes: int, seed: int) -> Any:
    model, data, _ = small()
    return hessian_diagonal(model, nn.functional.cross_entropy, data, method="hutchinson", probes=probes, seed=seed)


def _layer(probes: int) -> Made:
    model, _, diagonal = small()
    first = model[0].weight.detach().flatten().numpy()
    truth = float(np.sum(diagonal[: first.size] * first**2))
    return truth, lambda seed: tuple(_hutchinson(probes, seed).importance["0.weight"])


for _probes in (30, 8):
    for _of, _made in (("an entry", _entry), ("a layer's importance", _layer)):
        case(
            "importance.hessian_diagonal",
            f"{_of}, {_probes} probes",
            known=DENSE_HESSIAN,
            seeds=200,
            quick=60,
            nominal=chance_of_two(_probes),
        )(lambda probes=_probes, made=_made: made(probes))


@case("stable.layers.tail_report", "three layers, α = 1.6", known="the law that was drawn", seeds=400, quick=80,
      nominal=chance_of_two(20))  # fmt: skip
def _report() -> Made:
    def trial(seed: int) -> tuple[float, float]:
        rng = np.random.default_rng([7, seed])
        model = nn.Sequential(nn.Linear(20, 100), nn.Linear(100, 80), nn.Linear(80, 10))
        with torch.no_grad():
            for layer in model:
                drawn = sample(1.6, tuple(layer.weight.shape), seed=rng)
                layer.weight.copy_(torch.from_numpy(drawn))
        found = tail_report(model, seed=seed)
        return found.alpha, found.error

    return 1.6, trial
