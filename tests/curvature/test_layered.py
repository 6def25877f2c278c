"""Hessians written out layer by layer, against torch's own and against what goes another way."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from prunekit.curvature import Curvature, gauss_newton, layered
from prunekit.curvature.entries import hessian_diagonal, hessian_matrix


def network(widths: tuple[int, ...], bias: bool = True, seed: int = 0) -> nn.Sequential:
    """Return a network of these widths in double precision, one of its hidden units dead."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = [nn.Flatten()]
    for fan_in, out in pairwise(widths):
        parts += [nn.Linear(fan_in, out, bias=bias), nn.ReLU()]
    model = nn.Sequential(*parts[:-1]).double()
    if bias and len(widths) > 2:
        with torch.no_grad():
            model[1].bias[0] = -100.0
    return model


def batch(n: int = 37, inputs: int = 6, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 1, inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (n,), generator=generator)


def by_torch(model: nn.Module, names: list[str], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the Hessian by differentiating torch's gradient once more, row by row."""
    own = dict(model.named_parameters())
    loss = F.cross_entropy(model(x), y)
    slopes = torch.autograd.grad(loss, [own[n] for n in names], create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in slopes])
    points = [own[n] for n in names]
    rows = [torch.autograd.grad(g, points, retain_graph=True, allow_unused=True, materialize_grads=True) for g in flat]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the batches whose Hessian is written out."""
    calls: list[int] = []
    real = layered.hessian

    def hessian(*arguments):  # type: ignore[no-untyped-def]
        calls.append(len(arguments[-1]))
        return real(*arguments)

    monkeypatch.setattr(layered, "hessian", hessian)
    return calls


@pytest.mark.parametrize(("hidden", "bias"), [*product([(), (5,), (5, 3), (4, 5, 3)], [True, False])])
def test_all_second_derivatives_are_torchs(counted: list[int], hidden: tuple[int, ...], bias: bool) -> None:
    model, (x, y) = network((6, *hidden, 4), bias), batch()
    names = [name for name, _ in model.named_parameters()]
    H = hessian_matrix(model, F.cross_entropy, (x, y))
    assert counted == [37]
    torch.testing.assert_close(H, by_torch(model, names, x, y), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("pattern", ["weight", "bias", "3.", "1.weight 3.bias"])
def test_some_parameters_have_their_own_block(counted: list[int], pattern: str) -> None:
    model, (x, y) = network((6, 5, 3, 4)), batch()
    names = [name for name, _ in model.named_parameters() if any(word in name for word in pattern.split())]
    assert 0 < len(names) < 6
    H = hessian_matrix(model, F.cross_entropy, (x, y), parameters=names)
    assert counted
    torch.testing.assert_close(H, by_torch(model, names, x, y), rtol=1e-12, atol=1e-15)


def test_samples_may_be_cut_into_batches_and_into_parts(counted: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = network((6, 5, 4)), batch()
    whole = hessian_matrix(model, F.cross_entropy, (x, y))
    monkeypatch.setattr(layered, "_TERMS", 30 * 8)  # eight samples at once
    cut = hessian_matrix(model, F.cross_entropy, list(zip(x.split(20), y.split(20), strict=True)))
    assert counted == [37, 20, 17]
    torch.testing.assert_close(cut, whole, rtol=1e-12, atol=1e-15)


def test_in_single_precision_it_is_that_of_the_same_weights(counted: list[int]) -> None:
    model, (x, y) = network((6, 5, 3, 4)).float(), batch()
    H = hessian_matrix(model, F.cross_entropy, (x.float(), y))
    double = hessian_matrix(model.double(), F.cross_entropy, (x.float().double(), y))
    assert len(counted) == 2 and H.dtype == torch.float64
    torch.testing.assert_close(H, double, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("what", ["loss", "labels", "layer", "hook"])
def test_what_is_anything_else_is_differentiated(counted: list[int], what: str) -> None:
    model, (x, y) = network((6, 5, 4)), batch()
    loss = F.cross_entropy
    if what == "loss":
        loss = nn.CrossEntropyLoss(weight=torch.rand(4, dtype=torch.float64))
    elif what == "labels":
        y = y.clone()
        y[3] = -100  # which cross-entropy leaves out
    elif what == "layer":
        model[2] = nn.Tanh()
    else:
        model[1].register_forward_hook(lambda module, inputs, output: 2 * output)
    H = hessian_matrix(model, loss, (x, y))
    assert not counted
    names = [name for name, _ in model.named_parameters()]
    if what != "loss":
        torch.testing.assert_close(H, by_torch(model, names, x, y), rtol=1e-10, atol=1e-14)


LOSSES = {"function": F.cross_entropy, "module": nn.CrossEntropyLoss(), "name": "cross_entropy"}


@pytest.mark.parametrize("given", [*LOSSES])
@pytest.mark.parametrize(("hidden", "bias"), [*product([(), (5,), (4, 5, 3)], [True, False])])
def test_gauss_and_newtons_diagonal_is_that_of_the_jacobian(
    monkeypatch: pytest.MonkeyPatch, given: str, hidden: tuple[int, ...], bias: bool
) -> None:
    model, (x, y) = network((6, *hidden, 4), bias).requires_grad_(False), batch()
    monkeypatch.setattr(layered, "_SLOPES", 8 * 4 * max((4, *hidden)))  # eight samples at once
    monkeypatch.setattr(gauss_newton, "diagonal", None)  # the other way would fail
    names = [name for name, _ in model.named_parameters()]
    found = hessian_diagonal(model, LOSSES[given], (x, y), method="gauss-newton", parameters=names)
    p = torch.softmax(model(x), 1)
    S = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    jacobians = torch.func.jacrev(lambda w: torch.func.functional_call(model, w, (x,)))(dict(model.named_parameters()))
    for name, J in jacobians.items():
        expected = torch.einsum("nk...,nkl,nl...->...", J, S, J) / len(x)
        torch.testing.assert_close(found.values[name], expected, rtol=1e-12, atol=1e-15)
    some = hessian_diagonal(model, LOSSES[given], (x, y), method="gauss-newton", parameters=names[-1:])
    torch.testing.assert_close(some.values[names[-1]], found.values[names[-1]], rtol=0, atol=0)


def test_a_batch_that_is_not_understood_goes_the_other_way() -> None:
    model, (x, y) = network((6, 5, 4)), batch()
    y[3] = -100
    smooth = nn.CrossEntropyLoss(label_smoothing=0.1)
    for loss, labels in ((F.cross_entropy, y), (smooth, y.clamp(min=0))):
        found = hessian_diagonal(model, loss, (x, labels), method="gauss-newton").values
        G = Curvature(model, loss, (x, labels), kind="gauss-newton")
        dense = torch.stack([G.product(row) for row in torch.eye(G.dimension, dtype=torch.float64)])
        torch.testing.assert_close(
            torch.cat([d.flatten() for d in found.values()]), dense.diagonal(), rtol=1e-10, atol=1e-14
        )


@pytest.mark.parametrize("label", [7, 4])
def test_a_label_beyond_the_classes_is_refused_there_too(label: int) -> None:
    model, (x, y) = network((6, 5, 4)), batch()
    y[0] = label
    with pytest.raises((ValueError, IndexError), match=r"label|class|Target"):
        hessian_diagonal(model, "cross_entropy", (x, y), method="gauss-newton")
