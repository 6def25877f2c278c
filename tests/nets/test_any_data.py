"""Data sets of anything: arrays, loaders, mappings; what trains and measures on them does what it does on pairs."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from prunekit import algorithms
from prunekit.curvature import Curvature
from prunekit.limit import measured_limit, network_landscape, pruning_curve
from prunekit.masks import Mask
from prunekit.masks.scores import magnitude
from prunekit.masks.sweeps import pruned_accuracy
from prunekit.nets import Config, Dataset, evaluate, fit, fit_many, load
from prunekit.stable.bound import network_margins
from tests.nets.helpers import close, equal, state, toy

torch.manual_seed(0)
X = torch.randn(90, 5)
Y = (X[:, 0] > 0).long() + (X[:, 1] > 1).long()
CONFIG = Config(epochs=3, batch_size=20, lr=0.2, momentum=0.5)
SHARES = np.arange(1, 21) / 20


class Net(nn.Module):
    """A network of tables, which takes a second input by name and may compute its loss itself."""

    def __init__(self, seed: int = 1, outputs: int = 3) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.first, self.last = nn.Linear(5, 7), nn.Linear(7, outputs)

    def forward(self, x: Tensor, shift: Tensor | None = None, labels: Tensor | None = None) -> Any:
        """Return scores, or a mapping where there are more inputs."""
        scores = self.last(torch.tanh(self.first(x if shift is None else x + shift)))
        if shift is None:
            return scores
        found = {"logits": scores}
        return found if labels is None else {"loss": nn.functional.cross_entropy(scores, labels), **found}


def mappings(shift: float = 0.0) -> list[dict[str, Tensor]]:
    """Return the data as mappings, their entries in another order than the network takes them."""
    parts = (slice(0, 50), slice(50, 90))
    return [{"shift": torch.full_like(X[p], shift), "labels": Y[p], "x": X[p]} for p in parts]


WAYS: dict[str, Callable[[], Any]] = {
    "a pair": lambda: (X, Y),
    "arrays": lambda: (X.double().numpy(), Y.numpy().astype(np.int32)),
    "a loader": lambda: DataLoader(TensorDataset(X, Y), batch_size=40),
    "a torch data set": lambda: TensorDataset(X, Y),
    "a generator": lambda: ((X[k : k + 30], Y[k : k + 30]) for k in (0, 30, 60)),
    "mappings": mappings,
    "a Dataset": lambda: Dataset("own", X, Y, X, Y, 3),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_trains_and_measures_alike(way: str) -> None:
    given, expected = Net(), Net()
    fitted = fit(given, WAYS[way](), CONFIG)
    rows = fit(expected, Dataset("pairs", X, Y, X.clone(), Y.clone(), 3), CONFIG).history.rows
    assert fitted.model is given and not given.training and equal(state(given), state(expected))
    assert [row["train_loss"] for row in fitted.history.rows] == [row["test_loss"] for row in rows]
    assert fitted.history.rows[-1]["test_loss"] is None, "nothing is held out"
    right = (expected(X).argmax(1) == Y).float().mean()
    assert evaluate(given, WAYS[way]())[1] == pytest.approx(float(right))
    found = pruned_accuracy(given, WAYS[way](), [0.3, 1.0], "global", fill="zero")
    Mask.from_scores(magnitude(expected), math.ceil(0.3 * 56)).apply_(expected)
    assert found == pytest.approx([float((expected(X).argmax(1) == Y).float().mean()), float(right)])
    limit = measured_limit(given, WAYS[way](), shares=SHARES)
    accuracies = pruned_accuracy(given, (X, Y), SHARES.tolist(), "global", fill="zero")
    below = np.flatnonzero(accuracies < accuracies[-1] - 0.01)
    assert limit.fraction == pytest.approx(SHARES[below.max() + 1 if below.size else 0], abs=1 / 56)
    assert limit.rule.startswith("given data's accuracy") and "56 of 66 parameters, 84.8%" in repr(limit)


def test_inputs_by_name_are_used() -> None:
    """The shift is part of the data: with another one the network learns something else."""
    plain, shifted = Net(), Net()
    fit(plain, mappings(), CONFIG)
    fit(shifted, mappings(0.5), CONFIG)
    assert not close(state(plain), state(shifted))
    by_hand = Net()
    fit(by_hand, (X + 0.5, Y), CONFIG)
    assert close(state(by_hand), state(shifted))


def test_the_networks_own_loss() -> None:
    data = Dataset.from_loader(mappings(), loss=None)
    model, expected = Net(), Net()
    last = fit(model, data, CONFIG).history.rows[-1]
    assert equal(state(model), state(expected)) is False
    fit(expected, (X, Y), CONFIG)
    assert close(state(model), state(expected))
    assert last["train_accuracy"] is None and math.isnan(evaluate(model, data)[1])
    assert evaluate(model, data)[0] == pytest.approx(evaluate(expected, (X, Y))[0], rel=1e-5)
    curve = pruning_curve(model, data, [0.5])
    assert curve.held_loss == pytest.approx(pruning_curve(expected, (X, Y), [0.5]).held_loss, rel=1e-5)
    assert "the network's own loss" in repr(data) and "shift" in data.entries


def test_regression_is_measured_by_its_loss() -> None:
    heights = X @ torch.arange(5.0)
    data = Dataset.from_arrays(X.numpy(), heights.numpy(), loss="mse", standardize=True, seed=3)
    assert (len(data.train_y), len(data.test_y)) == (72, 18) and data.held_out
    x = data.normalize(data.train_x)
    assert x.mean(0).abs().max() < 1e-5 and x.std(0, correction=0) == pytest.approx(torch.ones(5), abs=1e-5)
    model = Net(outputs=1)
    before = evaluate(model, data)[0]
    row = fit(model, data, Config(epochs=20, lr=0.05, l1=1e-4)).history.rows[-1]
    held = (model(data.normalize(data.test_x))[:, 0] - data.test_y).square().mean().detach()
    assert row["test_loss"] == pytest.approx(float(held.detach()), rel=1e-5) and row["test_loss"] < 0.5 * before
    curve = pruning_curve(model, data, SHARES)
    assert not curve.classifies and np.isnan(curve.held_accuracy).all()
    for k in (3, 12):
        twin = Net(outputs=1)
        twin.load_state_dict(model.state_dict())
        Mask.from_scores(magnitude(twin), int(curve.kept[k])).apply_(twin)
        assert curve.held_loss[k] == pytest.approx(evaluate(twin, data)[0], rel=1e-5)
    found = curve.limit(drop=0.1)
    worse = np.flatnonzero(curve.held_loss > 1.1 * curve.held_loss[-1])
    assert found.fraction == curve.shares[worse.max() + 1]
    assert found.error > 0 and "held-out loss at most the dense one and 0.1 of it" in found.rule
    assert found.dense == pytest.approx(float(held), rel=1e-5)
    limit = curve.limit("program")
    assert limit.fraction == next((s for s, v in zip(curve.shares, curve.held_loss, strict=True) if v < held), 1.0)
    for call in (lambda: curve.share_where_lost(0.5, 0.1), lambda: pruned_accuracy(model, data, [0.5], "layer")):
        with pytest.raises(ValueError, match=r"nothing is classified|no class a sample"):
            call()


class Words(nn.Module):
    """A language model in small."""

    def __init__(self) -> None:
        torch.manual_seed(2)
        super().__init__()
        self.words, self.out = nn.Embedding(6, 4), nn.Linear(4, 6)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return scores (n, length, words)."""
        return {"logits": self.out(self.words(input_ids) * attention_mask[..., None])}


def test_sequences_of_several_lengths_are_filled_up_where_a_mask_says_where_they_end() -> None:
    torch.manual_seed(4)
    batches = []
    for n, length in ((6, 5), (4, 8)):
        tokens = torch.randint(6, (n, length))
        batches.append({"input_ids": tokens, "attention_mask": torch.ones(n, length), "labels": tokens.clone()})
    data = Dataset.from_loader(batches, loss="next_token")
    assert data.train_y.shape == (10, 8) and int((data.train_y == -100).sum()) == 18
    model = Words()
    with torch.no_grad():
        logs = [model(b["input_ids"], b["attention_mask"])["logits"][:, :-1].log_softmax(-1) for b in batches]
        right = [s.gather(-1, b["labels"][:, 1:, None]).sum() for s, b in zip(logs, batches, strict=True)]
    by_hand = -float(sum(right)) / (6 * 4 + 4 * 7)
    assert evaluate(model, data)[0] == pytest.approx(by_hand, rel=1e-5)
    assert Curvature(model, "next_token", batches).loss == pytest.approx(by_hand, rel=1e-5)
    assert Curvature.of_dataset(model, data).loss == pytest.approx(by_hand, rel=1e-5)
    curve = pruning_curve(model, data, [0.5])
    assert curve.held_loss[-1] == pytest.approx(by_hand, rel=1e-5) and not curve.classifies
    after = fit(model, data, Config(epochs=10, batch_size=5, lr=0.5)).history["train_loss"]
    assert after[-1] < by_hand
    del batches[1]["attention_mask"], batches[0]["attention_mask"]
    with pytest.raises(ValueError, match=r"samples of shapes \(5,\) and \(8,\): give samples of one shape"):
        Dataset.from_loader(batches, loss="next_token")


def test_several_labels_weights_and_functions_as_losses() -> None:
    several = torch.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0], 1).long()
    data = Dataset.from_arrays(X, several, loss="multi_label", test=None)
    assert fit(Net(), data, CONFIG).history["train_loss"][-1] < 0.7
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 2.0]))
    data = Dataset.from_arrays(X, Y, loss=weighted, test=(X, Y))
    model = Net()
    row = fit(model, data, CONFIG).history.rows[-1]
    assert row["train_loss"] == pytest.approx(float(weighted(model(X), Y).detach()), rel=1e-5)
    assert row["test_accuracy"] == pytest.approx(float((model(X).argmax(1) == Y).float().mean()))
    assert network_landscape(model, data).hessian == pytest.approx(
        network_landscape(model, (X, Y), weighted).hessian, abs=1e-6
    )


def test_algorithms_take_batches_and_say_what_they_cannot_measure() -> None:
    for run in (
        lambda m, d: algorithms.global_one_shot(m, d, CONFIG, 0.5),
        lambda m, d: algorithms.iterative_magnitude_pruning(m, d, CONFIG, 0.5, rounds=2),
        lambda m, d: algorithms.rare_gems(m, d, CONFIG, CONFIG, 0.5, period=3),
    ):
        found, pairs = run(Net(), mappings()), run(Net(), (X, Y))
        assert found.mask == pairs.mask and found.train_accuracy == pytest.approx(pairs.train_accuracy)
        assert math.isnan(found.test_accuracy) and found.train_loss == pytest.approx(pairs.train_loss, rel=1e-5)
    height = Dataset.from_arrays(X, X[:, :1], loss="mse")
    found = algorithms.global_one_shot(Net(outputs=1), height, CONFIG, 0.5)
    assert math.isnan(found.train_accuracy) and found.test_loss == pytest.approx(evaluate(found.model, height)[0])


def test_margins_of_batches_are_of_both_splits() -> None:
    model = Net()
    train, held, norm = network_margins(model, DataLoader(TensorDataset(X, Y), batch_size=25))
    scores = model(X).detach()
    others = scores.masked_fill(nn.functional.one_hot(Y, 3).bool(), -math.inf).max(1).values
    assert train == pytest.approx((scores[range(90), Y] - others).numpy(), abs=1e-5)
    assert (train == held).all() and norm == pytest.approx(float(X.norm(dim=1).max()))
    with pytest.raises(ValueError, match="data have no class a sample"):
        network_margins(Net(outputs=1), Dataset.from_arrays(X, X[:, 0], loss="mse"))


def test_families_that_are_no_images_are_trained_one_by_one() -> None:
    models = [Net(k) for k in (1, 2)]
    found = fit_many(models, (X, Y), CONFIG)
    for k, fitted in zip((1, 2), found, strict=True):
        alone = Net(k)
        fit(alone, (X, Y), CONFIG)
        assert fitted.model is models[k - 1] and equal(state(alone), state(models[k - 1]))


def test_a_loader_that_shuffles_is_read_once() -> None:
    reads = []

    class Counting(DataLoader):
        def __iter__(self) -> Any:
            reads.append(1)
            return super().__iter__()

    pruned_accuracy(Net(), Counting(TensorDataset(X, Y), batch_size=10, shuffle=True), [0.1, 0.5, 1.0], "layer")
    assert len(reads) <= 2, "once for the first batch, once for all"


def test_a_set_made_of_another_has_its_checksum_device_and_pickle() -> None:
    data = Dataset.from_arrays(X, X[:, 0], loss="mse")
    assert data.checksum != Dataset.from_arrays(X, X[:, 0], loss=nn.functional.l1_loss).checksum
    again = pickle.loads(pickle.dumps(data))
    assert again.checksum == data.checksum and repr(again) == repr(data)
    whole = pickle.loads(pickle.dumps(Dataset.from_loader((X, Y))))
    assert not whole.held_out and whole.to("cpu") is whole
    digits = load("digits", subset=(60, 20))
    same = Dataset.from_arrays(digits.train_x, digits.train_y, test=(digits.test_x, digits.test_y), classes=10)
    assert same.of_images and same.normalize(same.train_x).dtype == torch.float32
    few = Dataset.from_arrays(X, Y, test=0.1, seed=5)
    rows = {tuple(row) for part in (few.train_x, few.test_x) for row in part.tolist()}
    assert rows == set(map(tuple, X.tolist())) and len(few.test_y) == 9


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no data": (lambda: fit(Net(), 3, CONFIG), "data is a int: give a prunekit.nets.Dataset, pairs"),
    "no batch": (lambda: fit(Net(), [], CONFIG), "data is empty"),
    "numbers without a loss": (lambda: fit(Net(), (X, X[:, 0]), CONFIG), r"say what the loss is, by Dataset.from_"),
    "fewer rows": (lambda: Dataset.from_arrays(X[:9], Y), r"x has shape \(9, 5\) and y \(90, ?\)"),
    "no share": (lambda: Dataset.from_arrays(X, Y, test=0.0), "test is 0.0 of 90 samples"),
    "no loss": (lambda: Dataset.from_arrays(X, Y, loss="hinge"), "loss is 'hinge'"),
    "pairs and own loss": (lambda: Dataset.from_loader((X, Y), loss=None), "loss is None and train are pairs"),
    "other entries": (
        lambda: Dataset.from_loader(mappings(), {"x": X, "labels": Y}),
        r"test has the entries \('x',\), and the rest \('shift', 'x'\)",
    ),
    "infinite": (lambda: Dataset.from_arrays(X / 0, Y), "x holds a number that is not finite"),
    "crop": (lambda: fit(Net(), (X, Y), Config(epochs=1, crop=1)), "config has crop=1, and data are no images"),
    "few scores": (lambda: fit(Net(outputs=2), (X, Y), CONFIG), "for each class, of which there are 3 or more"),
    "moments of tokens": (lambda: Dataset.from_arrays(Y, Y, standardize=True), "x are no numbers with channels"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_data_is_said(name: str) -> None:
    call, words = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def test_old_sets_keep_their_checksum() -> None:
    """Checkpoints and runs of earlier versions hold it."""
    assert toy(n=6).checksum == "1766133d9e36d27a91e039782085f43fd6d5ead671a0fb50a2f6c2a89fdbffb7"
