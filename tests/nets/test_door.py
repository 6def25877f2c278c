"""Networks, data and losses as people have them give what the same numbers give as pairs of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from prunekit.curvature import Curvature
from prunekit.importance import hessian_diagonal, hessian_matrix, natural
from prunekit.limit import pruning_limit
from prunekit.nets import door, objectives

torch.manual_seed(0)
X, Z, Y = torch.randn(30, 5), torch.randn(30, 2), torch.randint(3, (30,))
SMOOTH = nn.functional.cross_entropy


class Two(nn.Module):
    """A network of two inputs, whose outputs are scores, or a mapping, or a tuple, or its own loss."""

    def __init__(self, kind: str = "plain") -> None:
        super().__init__()
        self.kind, self.first, self.last = kind, nn.Linear(7, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor, z: Tensor, labels: Tensor | None = None) -> Any:
        """Return scores (n, 3) in the way of the network's kind."""
        scores = self.last(torch.tanh(self.first(torch.cat([x, z], 1))))
        if self.kind == "plain":
            return scores
        if self.kind == "tuple":
            return (scores, [scores.mean(), "words"])
        found = {"logits": scores}
        return found if labels is None else {"loss": SMOOTH(scores, labels), **found}


def network(kind: str = "plain") -> Two:
    """Return the same network in one of its kinds."""
    torch.manual_seed(1)
    return Two(kind)


def mappings(**more: Any) -> list[dict[str, Any]]:
    """Return the data as mappings, their entries in another order than the network takes them."""
    return [{"z": Z[part], "labels": Y[part], "x": X[part], **more} for part in (slice(0, 20), slice(20, 30))]


def logits_of(outputs: Any, labels: Tensor) -> Tensor:
    """Return the loss of a mapping's scores."""
    return SMOOTH(outputs["logits"], labels)


WAYS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any], Any]] = {
    "a list of three": (network, lambda: [X, Z, Y], SMOOTH),
    "a tuple of arrays": (network, lambda: (X.numpy(), Z.double().numpy(), Y.numpy().astype(np.int32)), SMOOTH),
    "a loader of three": (network, lambda: DataLoader(TensorDataset(X, Z, Y), batch_size=20), "cross_entropy"),
    "a torch data set": (network, lambda: TensorDataset(X, Z, Y), "cross_entropy"),
    "mappings": (network, mappings, SMOOTH),
    "one mapping": (network, lambda: {"x": X, "target": Y, "z": Z.numpy()}, "cross_entropy"),
    "mappings in, mapping out": (lambda: network("mapping"), mappings, logits_of),
    "scores of a mapping by a name": (lambda: network("mapping"), mappings, "cross_entropy"),
    "scores of a tuple by a name": (lambda: network("tuple"), mappings, "cross_entropy"),
    "the network's own loss": (lambda: network("mapping"), mappings, None),
    "compiled": (lambda: torch.compile(network(), backend="eager"), lambda: [X, Z, Y], SMOOTH),  # type: ignore[return-value]
    "parallel": (lambda: nn.DataParallel(network()), mappings, SMOOTH),
}


def plain() -> tuple[nn.Module, Any, Any]:
    """Return the same in the way that every room works with."""
    return network(), ((X, Z), Y), SMOOTH


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_gives_the_same_hessian(way: str) -> None:
    make, data, loss = WAYS[way]
    model, pairs, smooth = plain()
    expected = hessian_matrix(model, smooth, pairs)
    given = make()
    before = {name: t.clone() for name, t in given.state_dict().items()}
    state = torch.get_rng_state()
    found = hessian_matrix(given, loss, data())
    if not isinstance(data(), DataLoader | TensorDataset):  # a loader draws a seed of its own whenever it is read
        assert torch.equal(state, torch.get_rng_state())
    assert torch.allclose(found, expected, atol=1e-6)
    v = np.random.default_rng(0).standard_normal(len(expected))
    assert np.allclose(Curvature(given, loss, data()).product(v), expected.numpy() @ v, atol=1e-5)
    assert given.training and all(torch.equal(t, before[name]) for name, t in given.state_dict().items())
    assert type(given) is type(make()) and not given._forward_pre_hooks


@pytest.mark.parametrize("way", [way for way in WAYS if WAYS[way][2] is not None])
def test_gauss_newton_and_tolerances_take_them_too(way: str) -> None:
    make, data, loss = WAYS[way]
    model, pairs, smooth = plain()
    expected = hessian_diagonal(model, smooth, pairs, method="gauss-newton")
    found = hessian_diagonal(make(), loss, data(), method="gauss-newton")
    for name, values in found.values.items():
        assert torch.allclose(values, expected.values[name.split("_orig_mod.")[-1].removeprefix("module.")], atol=1e-6)
    limits = [pruning_limit(m, d, f, epsilon=0.5).fraction for m, d, f in (plain(), (make(), data(), loss))]
    assert limits[0] == pytest.approx(limits[1], abs=1e-6)
    given = make()
    (place,) = (name for name, _ in given.named_parameters() if name.endswith("last.weight"))
    assert natural(given, loss, data(), place) == pytest.approx(natural(model, smooth, pairs, "last.weight"), abs=1e-6)


class Words(nn.Module):
    """A language model in small."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(6, 4), nn.Linear(4, 6)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return scores (n, length, words), places that are masked counting for nothing."""
        return {"logits": self.out(self.words(input_ids) * attention_mask[..., None])}


def test_next_tokens_count_by_their_number() -> None:
    torch.manual_seed(2)
    model, tokens = Words(), torch.randint(6, (7, 5))
    mask = torch.ones(7, 5)
    mask[3:, 3:] = 0
    labels = tokens.masked_fill(mask == 0, -100)
    data = {"input_ids": tokens, "attention_mask": mask, "labels": labels}
    parts = [{name: t[part] for name, t in data.items()} for part in (slice(0, 3), slice(3, 7))]
    whole = hessian_matrix(model, "next_token", data)
    assert torch.allclose(hessian_matrix(model, "next_token", parts), whole, atol=1e-6)
    scores = model(tokens, mask)["logits"]
    counted = [(i, t) for i in range(7) for t in range(4) if mask[i, t + 1]]
    by_hand = torch.stack([-scores[i, t].log_softmax(0)[tokens[i, t + 1]] for i, t in counted]).mean()
    assert Curvature(model, "next_token", parts).loss == pytest.approx(float(by_hand), rel=1e-5)


def test_several_labels_and_regression() -> None:
    layer, targets = nn.Linear(5, 3), torch.randint(2, (30, 3))
    probabilities = torch.sigmoid(layer(X)).double()
    by_hand = -torch.where(targets == 1, probabilities.log(), (1 - probabilities).log()).mean()
    assert Curvature(layer, "multi_label", (X, targets)).loss == pytest.approx(float(by_hand), rel=1e-5)
    one, heights = nn.Linear(5, 1), torch.randn(30)
    gap = (one(X)[:, 0] - heights).square().mean()
    assert Curvature(one, "mse", (X, heights)).loss == pytest.approx(float(gap), rel=1e-5)
    with pytest.raises(ValueError, match=r"'mse' takes targets like outputs: \(30,\) for \(30, 3\)"):
        Curvature(layer, "mse", (X, heights))


class Silent(Two):
    """A network without a loss of its own."""

    def forward(self, x: Tensor, z: Tensor, labels: Tensor | None = None) -> Any:
        """Return scores, labels or not."""
        return {"scores": super().forward(x, z), "length": x.norm(dim=1)}


WRONG: dict[str, tuple[Callable[[], nn.Module], Any, Any, str]] = {
    "a loss of no name": (network, [X, Z, Y], "hinge", "one of 'cross_entropy', 'next_token', 'multi_label', 'mse'"),
    "no loss for pairs": (network, [X, Z, Y], None, "loss is None and data are pairs: give a loss"),
    "no loss of its own": (Silent, mappings(), None, "the model gives no loss of its own: name one of"),
    "two outputs": (Silent, mappings(), "cross_entropy", "gives the outputs scores, length: give a loss that takes"),
    "no labels": (network, {"x": X, "z": Z}, SMOOTH, "mappings of 'x', 'z', without labels: call them 'labels'"),
    "labels of words": (network, {"x": X, "z": Z, "labels": "cat"}, SMOOTH, "data's 'labels' is a str: give a tensor"),
    "a foreign entry": (network, mappings(idx=Y), SMOOTH, "'idx', which model's forward does not take: it takes x, z"),
    "a batch without": (network, [*mappings(), {"x": X, "labels": Y}], SMOOTH, "a batch without 'z', which the first"),
    "mixed batches": (network, [*mappings(), (X, Y)], SMOOTH, "a tuple after a mapping: give batches of one kind"),
    "a single tensor": (network, [X], SMOOTH, "data yields a Tensor: give pairs"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_go_together_is_said(name: str) -> None:
    make, data, loss, words = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=words):
        hessian_matrix(make(), loss, data)


def test_a_replaced_forward_is_no_view() -> None:
    model = network()
    model.forward = lambda x, z: model.last(model.first(torch.cat([x, z], 1)))  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="forward is not that of its class"):
        hessian_matrix(model, SMOOTH, mappings())


def test_what_is_plain_passes_as_it_is() -> None:
    model, pairs, loss = plain()
    found = door.opened(model, pairs, loss)
    assert found.model is model and found.data is pairs and found.loss is loss
    loader = DataLoader(TensorDataset(X, Y), batch_size=7, shuffle=True)
    assert door.opened(model, loader, loss).data is loader
    assert isinstance(objectives.named(None), objectives.Own)
