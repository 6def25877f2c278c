"""Networks in half precision, with parameters nobody uses, infinite buffers, empty and lazy parameters, pruned ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from prunekit import limit, scores
from prunekit.curvature import Curvature
from prunekit.importance import hessian_diagonal, hessian_matrix, natural
from prunekit.masks.sweeps import pruned_accuracy
from prunekit.nets import Config, Dataset, evaluate, fit
from tests.nets.helpers import close, state

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)).bfloat16().float()
Y = (X[:, 0] > 0).long()
CROSS = nn.functional.cross_entropy


class Net(nn.Module):
    """A network with whatever people have beside its weights."""

    def __init__(self, *odd: str) -> None:
        torch.manual_seed(1)
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 2)
        if "unused" in odd:
            self.unused = nn.Linear(3, 3)
        if "infinite" in odd:
            self.register_buffer("mask", torch.tensor([0.0, 0.0, 0.0, 0.0, -torch.inf]))
        if "empty" in odd:
            self.empty = nn.Parameter(torch.zeros(0, 3))
        self.odd = odd

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (n, 2)."""
        h = torch.tanh(self.first(x))
        return self.last(h + h.detach() * torch.exp(self.mask) if "infinite" in self.odd else h)


Rooms = dict[str, Callable[[nn.Module, Any], Any]]
ROOMS: Rooms = {
    "products": lambda m, d: Curvature(m, CROSS, d).product(torch.ones(37).numpy()),
    "matrix": lambda m, d: hessian_matrix(m, CROSS, d).numpy(),
    "diagonal": lambda m, d: hessian_diagonal(m, CROSS, d).values["last.weight"].numpy(),
    "gauss-newton": lambda m, d: hessian_diagonal(m, CROSS, d, method="gauss-newton").values["first.weight"].numpy(),
    "natural": lambda m, d: natural(m, CROSS, d, "last.weight"),
    "tolerance": lambda m, d: limit.minibatch_tolerance(m, d, CROSS, batch_size=8).value,
    "predicted": lambda m, d: limit.pruning_limit(m, d, epsilon=0.05).fraction,
    "curve": lambda m, d: limit.pruning_curve(m, d, [0.3, 0.6]).held_loss,
    "accuracy": lambda m, d: pruned_accuracy(m, d, [0.3, 1.0], "layer"),
}


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single_on_a_copy(room: str, kind: torch.dtype) -> None:
    half = Net().to(kind)
    single = copy.deepcopy(half).float()
    expected = ROOMS[room](single, (X, Y))
    tolerance = 2e-2 if room in ("curve", "accuracy") else 1e-5  # pruned weights keep the model's type, medians too
    assert ROOMS[room](half, (X, Y)) == pytest.approx(expected, rel=tolerance, abs=1e-6)
    assert ROOMS[room](half, [(X[:24].to(kind), Y[:24]), (X[24:].to(kind), Y[24:])]) == pytest.approx(
        ROOMS[room](single, [(X[:24].to(kind).float(), Y[:24]), (X[24:].to(kind).float(), Y[24:])]),
        rel=tolerance, abs=1e-6,
    )  # fmt: skip
    assert all(p.dtype == kind for p in half.parameters())


def test_half_precision_is_named_in_the_result() -> None:
    half = Net().bfloat16()
    for result in (
        Curvature(half, CROSS, (X, Y)),
        limit.network_landscape(half, (X, Y)),
        limit.measured_limit(half, (X, Y), shares=[0.5]),
        hessian_diagonal(half, CROSS, (X, Y)),
    ):
        assert "computed in float32 from bfloat16" in repr(result)


@pytest.mark.parametrize("odd", ["unused", "infinite", "empty"])
@pytest.mark.parametrize("room", [*ROOMS, "fit"])
def test_what_is_odd_changes_nothing_else(odd: str, room: str) -> None:
    model, plain = Net(odd), Net()
    if odd == "infinite":  # e^-10000 is 0 as well
        plain = Net(odd)
        plain.mask[4] = -1e4  # type: ignore[operator]
    named = ["first", "last"]
    if room == "fit":
        fit(model, (X, Y), Config(epochs=2, batch_size=16))
        fit(plain, (X, Y), Config(epochs=2, batch_size=16))
        weights = [{k: v for k, v in state(m).items() if k.startswith(("first", "last"))} for m in (model, plain)]
        assert close(*weights)
    elif room in ("products", "matrix"):
        found = hessian_matrix(model, CROSS, (X, Y), parameters=named)
        if room == "products":
            found = Curvature(model, CROSS, (X, Y), parameters=named).product(torch.eye(37))
        assert torch.allclose(found.float(), hessian_matrix(plain, CROSS, (X, Y)).float(), atol=1e-5)
        assert Curvature(model, CROSS, (X, Y)).dimension >= 37
    elif odd == "unused" and room in ("predicted", "curve", "accuracy"):
        assert "46 of 49 parameters" not in repr(limit.pruning_curve(model, (X, Y), [0.5]))
        assert limit.pruning_curve(model, (X, Y), [0.5]).dimension == 39
    else:
        assert ROOMS[room](model, (X, Y)) == pytest.approx(ROOMS[room](plain, (X, Y)), rel=1e-5, abs=1e-6)


def test_a_buffer_that_becomes_infinite_is_still_a_divergence_and_nan_is_refused() -> None:
    model = Net("infinite")
    model.mask[0] = torch.nan  # type: ignore[operator]
    with pytest.raises(ValueError, match="'mask' that is not a number"):
        fit(model, (X, Y), Config(epochs=1))


def test_lazy_networks_say_what_to_do() -> None:
    lazy = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2))
    for call in (
        lambda: fit(lazy, (X, Y), Config(epochs=1)),
        lambda: Curvature(lazy, CROSS, (X, Y)),
        lambda: limit.measured_limit(lazy, (X, Y)),
        lambda: pruned_accuracy(lazy, (X, Y), [0.5], "layer"),
        lambda: limit.network_landscape(lazy, (X, Y)),
    ):
        with pytest.raises(ValueError, match=r"lazy parameter '0.weight': run it once"):
            call()


@pytest.mark.parametrize("room", [*ROOMS, "fit"])
def test_a_call_without_gradients_around_it_is_the_same(room: str) -> None:
    expected, found = Net(), Net()
    if room == "fit":
        fit(expected, (X, Y), Config(epochs=2))
        with torch.no_grad():
            fit(found, (X, Y), Config(epochs=2))
        assert close(state(found), state(expected))
        return
    with torch.no_grad():
        answer = ROOMS[room](found, (X, Y))
    assert answer == pytest.approx(ROOMS[room](expected, (X, Y)))


@pytest.mark.parametrize("room", [*ROOMS, "scores"])
def test_a_network_pruned_by_torch_works_or_says_what_to_call(room: str) -> None:
    model = Net()
    prune.l1_unstructured(model.first, "weight", amount=0.4)
    rooms: Rooms = {**ROOMS, "scores": lambda m, _: scores.magnitude(m)}
    try:
        rooms[room](model, (X, Y))
    except (ValueError, KeyError) as reason:
        assert room in ("gauss-newton", "predicted", "curve", "accuracy", "scores")
        if room != "gauss-newton":  # asks for a weight that is now computed
            assert "prune.remove(module, 'weight') first" in str(reason)
    prune.remove(model.first, "weight")
    assert rooms[room](model, (X, Y)) is not None


def test_a_data_set_is_evaluated_where_a_half_network_cannot_be() -> None:
    data = Dataset.from_arrays(X.bfloat16(), Y, test=None)
    assert data.train_x.dtype == torch.float32
    assert evaluate(Net(), data)[1] == pytest.approx(float((Net()(X).argmax(1) == Y).float().mean()))
