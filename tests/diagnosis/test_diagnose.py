"""The whole: a report on networks of several kinds, what it leaves as it was, refusals, budgets, taking up again."""

from __future__ import annotations

import copy
import json
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import prunekit
from prunekit.diagnosis import compare, run, stages
from prunekit.diagnosis.plan import Price, Prices, plan, seconds
from prunekit.diagnosis.subject import prepared

from .helpers import perceptron, report, table, trained

F = nn.functional


def test_report_has_every_part_and_its_tables_hold_together() -> None:
    found = report()
    assert found.left_out == {}
    assert set(found.found) == set(run.STAGES)
    assert [row["left_alone"] for row in found.layers] == ["", "biases"] * 3
    shares = {row["limit"]: row["removable"] for row in found.limit}
    assert all(0 <= share <= 1 for share in shares.values())
    assert shares["re-optimized"] >= shares["one-shot"] - 0.05  # the kept weights may only help, but for the grid
    assert [t.paper for t in found.theories] == ["chang", "li", "barsbey", "geometric", "sensing"]
    assert 1 <= len(found.advice) <= 5
    for words in ("one-shot", "left alone: biases", "Theories"):
        assert words in str(found)


def test_prediction_and_measurement_are_near_on_a_trained_network() -> None:
    rows = {row["limit"]: row for row in report().limit}
    one, measured = rows["one-shot"], rows["measured"]
    assert one["removable"] == pytest.approx(
        measured["removable"], abs=0.05 + 3 * np.hypot(one["error"], measured["error"])
    )


def test_measured_share_is_that_of_removing_so_many_weights() -> None:
    found = report()
    x, _, labels = table()
    subject = prepared(perceptron(), (x, labels), "cross_entropy", seed=0)
    share = found.found["measured"]["share"]
    mask = found.masks(1 - 0.9 * share, "magnitude")
    before = subject.losses(subject.held).mean
    after = subject.losses(subject.held, {name: w * mask[name] for name, w in subject.weights.items()}).mean
    assert after - before <= found.network["epsilon"]["value"]


def test_same_seed_same_report_and_another_seed_another() -> None:
    x, _, labels = table()
    parts = ["measured", "one-shot"]
    one, two, three = (
        prunekit.diagnose(perceptron(), (x, labels), budget=None, epsilon=0.01, parts=parts, seed=seed)
        for seed in (0, 0, 1)
    )
    assert one.to_dict()["limit"] == two.to_dict()["limit"]
    assert one.to_dict()["limit"] != three.to_dict()["limit"]


def test_nothing_of_the_network_changes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)).train()
    calls: list[int] = []
    handle = model[0].register_forward_hook(lambda *_: calls.append(1))
    model[4].weight.requires_grad_(False)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    modes, states = [part.training for part in model.modules()], (torch.get_rng_state(), random.getstate())
    drawn = np.random.get_state()[1].copy()  # type: ignore[index]
    x, _, labels = table()
    prunekit.diagnose(model, (x, labels), budget=None, epsilon=0.01)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert modes == [part.training for part in model.modules()]
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert np.array_equal(drawn, np.random.get_state()[1])  # type: ignore[index]
    assert not model[4].weight.requires_grad
    assert model[0].weight.grad is None
    handle.remove()
    assert not model[0]._forward_hooks


class Recurrent(nn.Module):
    """A network over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell, self.out = nn.Embedding(20, 6), nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return scores from the last place."""
        out: Tensor = self.out(self.cell(self.words(input_ids))[0][:, -1])
        return out


class Decoder(nn.Module):
    """A network that gives scores for the next token, in a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(20, 8), nn.Linear(8, 20)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        """Return scores at each place."""
        return {"logits": self.out(self.block(self.words(input_ids)))}


class WithLoss(Decoder):
    """A network that computes its loss itself, as those of the transformers library do."""

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:  # type: ignore[override]
        """Return scores at each place, and the mean loss of the batch."""
        scores = super().forward(input_ids)["logits"]
        if labels is None:
            return {"logits": scores}
        return {"loss": F.cross_entropy(scores[:, :-1].flatten(0, 1), labels[:, 1:].flatten()), "logits": scores}


KINDS = ("a loader", "arrays", "half", "regression", "several labels", "recurrent", "next token", "its own loss")


def given(kind: str) -> tuple[nn.Module, Any, Any]:
    """Return a network of a kind, its data and its loss; nothing is trained before its test runs."""
    x, y, labels = table()
    tokens = torch.randint(0, 20, (300, 6), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    if kind == "a loader":
        pairs = torch.utils.data.TensorDataset(x, labels)
        return perceptron(), torch.utils.data.DataLoader(pairs, batch_size=100), "cross_entropy"
    if kind == "arrays":
        return perceptron(), (x.numpy(), labels.numpy()), F.cross_entropy
    if kind == "half":
        return perceptron().bfloat16(), (x.bfloat16(), labels), "cross_entropy"
    if kind == "regression":
        model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3))
        return trained(model, x, y, F.mse_loss), (x, y), "mse"
    if kind == "several labels":
        return nn.Sequential(nn.Linear(12, 9), nn.GELU(), nn.Linear(9, 3)), (x, (y > 0).float()), "multi_label"
    if kind == "recurrent":
        return Recurrent(), (tokens, tokens[:, -1] % 3), "cross_entropy"
    if kind == "next token":
        rows = [{"input_ids": t, "attention_mask": torch.ones_like(t), "labels": t} for t in tokens.split(75)]
        return Decoder(), rows, "next_token"
    return WithLoss(), [{"input_ids": t, "labels": t} for t in tokens.split(75)], None


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_networks_and_data(kind: str) -> None:
    model, data, loss = given(kind)
    parts = ["weights", "measured", "saliencies", "scores", "one-shot", "last layer", "products"]
    found = prunekit.diagnose(model, data, loss, budget=None, epsilon=0.02, parts=parts)
    assert {part for part in parts if part not in found.found} == set()
    covered = [row["layer"] for row in found.layers if not row["left_alone"]]
    assert covered == list(found.masks(0.5))
    assert "Diagnosis" in str(found)
    if kind == "half":
        assert "converted from bfloat16" in str(found)
    if kind == "recurrent":
        assert {row["left_alone"] for row in found.layers} == {"", "biases", "embeddings"}


def test_a_networks_own_loss_is_that_of_the_same_loss_by_name() -> None:
    model, own, _ = given("its own loss")
    parts = ["measured", "one-shot"]
    asked = {"budget": None, "epsilon": 0.02, "parts": parts}
    one = prunekit.diagnose(model, own, None, **asked)  # type: ignore[arg-type]
    named = [{"input_ids": batch["input_ids"], "labels": batch["labels"]} for batch in own]
    two = prunekit.diagnose(model, named, "next_token", **asked)  # type: ignore[arg-type]
    for part in parts:
        assert one.found[part]["share"] == pytest.approx(two.found[part]["share"], rel=1e-3)
        assert one.found[part]["error"] == pytest.approx(two.found[part]["error"], rel=0.05)
    assert 0 < prunekit.diagnose(model, own, None, budget=None, parts=["weights"]).network["epsilon"]["value"] < 1


def test_products_of_two_factors_are_seen_and_others_are_not() -> None:
    x, y, _ = table()
    torch.manual_seed(0)
    plain = trained(nn.Sequential(nn.Linear(12, 20), nn.Linear(20, 3)), x, y, F.mse_loss)
    found = prunekit.diagnose(plain, (x, y), "mse", budget=None, epsilon=0.02, parts=["products"])
    (pair,) = found.found["products"]["pairs"]
    assert pair["columns"] == 20
    assert pair["rank"] <= 3  # a product with three outputs
    assert found.theories[-1].applies
    assert report().found["products"]["pairs"] == []
    assert report().theories[-1].applies is False


def test_last_layer_is_compared_with_the_law_and_gaussian_features_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 30, generator=generator)
    y = x @ torch.randn(30, 2, generator=generator) + torch.randn(2000, 2, generator=generator)
    layer = trained(nn.Sequential(nn.Linear(30, 2)), x, y, F.mse_loss)
    head = prunekit.diagnose(layer, (x, y), "mse", budget=None, epsilon=0.02, parts=["last layer"]).found["last layer"]
    for predicted, measured, error in zip(head["predicted"], head["measured"], head["errors"], strict=True):
        assert predicted == pytest.approx(measured, abs=4 * error + 0.05 * measured)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "one class"}, "one class only"),
        ({"data": "few"}, "fewer than two minibatches"),
        ({"data": "shape"}, "model fails on data"),
        ({"data": "no labels"}, "without labels"),
        ({"budget": 1e-5}, "too small for anything"),
        ({"budget": "soon"}, "give seconds, or a text"),
        ({"budget": -3}, "budget"),
        ({"loss": "hinge"}, "loss"),
        ({"epsilon": 0}, "epsilon"),
        ({"parts": ["everything"]}, "parts.* entry"),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(changes: dict[str, Any], message: str) -> None:
    x, _, labels = table()
    data = {
        "one class": (x, torch.zeros_like(labels)),
        "few": (x[:50], labels[:50]),
        "shape": (x[:, :5], labels),
        "no labels": {"x": x},
    }
    asked: dict[str, Any] = {"data": (x, labels), **changes}
    asked["data"] = data.get(asked["data"]) if isinstance(asked["data"], str) else asked["data"]
    with pytest.raises((ValueError, TypeError), match=message):
        prunekit.diagnose(perceptron(), asked.pop("data"), **asked)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    x, _, labels = table()
    with pytest.raises(FloatingPointError, match="loss is nan"):
        prunekit.diagnose(perceptron(), (x * float("nan"), labels))


def test_budget_spares_samples_first_and_then_leaves_parts_out() -> None:
    x, _, labels = table()
    subject = prepared(perceptron(), (x, labels), "cross_entropy")
    priced = Prices(Price(0.0, 1e-3), Price(0.0, 1e-2), 0.01)
    whole = plan(subject, priced, None)
    assert not any(part.left_out for part in whole.parts)
    plans = [plan(subject, priced, budget) for budget in (1e6, 100.0, 10.0, 2.0)]
    left = [sum(bool(part.left_out) for part in each.parts) for each in plans]
    assert left == sorted(left)
    assert left[0] == 0 < left[-1]
    assert [each.curvature for each in plans] == sorted((each.curvature for each in plans), reverse=True)
    assert all(each.seconds <= each.budget for each in plans)  # type: ignore[operator]
    assert "left out" in str(plans[-1])


@pytest.mark.parametrize(
    ("budget", "wanted"), [("1 min", 60), ("90 s", 90), ("2 hours", 7200), (5, 5), ("1.5 minutes", 90)]
)
def test_budgets_in_words(budget: float | str, wanted: float) -> None:
    assert seconds(budget) == wanted


def test_interruption_reports_what_was_done_and_a_repeated_call_takes_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, _, labels = table()
    asked = {"budget": None, "epsilon": 0.01, "resume": tmp_path, "parts": ["weights", "measured", "one-shot"]}
    whole = prunekit.diagnose(perceptron(), (x, labels), budget=None, epsilon=0.01, parts=asked["parts"])

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setitem(run.STAGES, "one-shot", stop)
        partly = prunekit.diagnose(perceptron(), (x, labels), **asked)  # type: ignore[arg-type]
    assert "interrupted" in partly.left_out["one-shot"]
    assert set(partly.found) == {"weights", "measured"}
    with monkeypatch.context() as patched:
        for done in ("weights", "measured"):
            patched.setitem(run.STAGES, done, stop)  # not done again
        again = prunekit.diagnose(perceptron(), (x, labels), **asked)  # type: ignore[arg-type]
    assert again.to_dict()["limit"] == whole.to_dict()["limit"]
    other = prunekit.diagnose(perceptron(1), (x, labels), **asked)  # type: ignore[arg-type]
    assert other.to_dict()["limit"] != whole.to_dict()["limit"]  # another network takes nothing up


def test_report_is_written_and_read(tmp_path: Path) -> None:
    found = report()
    found.to_json(tmp_path / "r.json")
    told = json.loads((tmp_path / "r.json").read_text())
    assert {row["limit"] for row in told["limit"]} == {row["limit"] for row in found.limit}
    found.to_csv(tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text().count("\n") == len(found.layers) + 1
    found.to_html(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", "")  # nothing from outside
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()
    assert "Layer by layer" in found._repr_html_()
    assert found.plot().get_xlabel().startswith("weights removed")


def test_names_of_layers_cannot_write_into_the_page() -> None:
    x, _, labels = table()
    odd = nn.Sequential()
    odd.add_module("<b>&x", nn.Linear(12, 3))
    page = prunekit.diagnose(odd, (x, labels), budget=None, epsilon=0.01, parts=["weights"])._repr_html_()
    assert "<b>&x" not in page
    assert "&lt;b&gt;&amp;x" in page


def test_masks_are_those_of_the_scores() -> None:
    found = report()
    by_size = prunekit.Mask.from_scores({n: w.abs() for n, w in found.network["weights"].items()}, 0.2)
    assert found.masks(0.2, "magnitude") == by_size
    assert found.masks(0.2, "hessian") == prunekit.Mask.from_scores(found.found["saliencies"]["values"], 0.2)
    assert found.masks(0.2) in (found.masks(0.2, "magnitude"), found.masks(0.2, "hessian"))
    with pytest.raises(ValueError, match="keep"):
        found.masks(1.5)


def test_saliencies_are_the_gauss_newton_diagonal_times_squares() -> None:
    found = report()
    assert found.found["saliencies"]["method"] == "Gauss-Newton"
    assert found.found["saliencies"]["negative"] == 0


def test_hutchinson_is_repeated_until_the_ranking_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_OUTPUTS", 0)
    x, _, labels = table()
    found = prunekit.diagnose(perceptron(), (x, labels), budget=None, epsilon=0.01, parts=["saliencies"]).found[
        "saliencies"
    ]
    assert found["method"] == "Hutchinson"
    assert found["agreement"] >= 0.95 or found["probes"] == 128


def test_comparison_of_a_report_with_itself_and_with_another() -> None:
    one = report()
    assert "0 numbers differ" in repr(compare(one, one))
    x, _, labels = table()
    pruned = copy.deepcopy(perceptron())
    one.masks(0.3, "magnitude").apply_(pruned)
    other = prunekit.diagnose(
        pruned, (x, labels), budget=None, epsilon=one.network["epsilon"]["value"], parts=["measured"]
    )
    row = next(r for r in compare(one, other).limit if r["limit"] == "measured")
    assert row["difference"] == pytest.approx(row["after"] - row["before"])
    with pytest.raises(TypeError, match="before"):
        compare("a", one)  # type: ignore[arg-type]
