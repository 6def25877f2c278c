"""Networks scaled by λ: one function at the start, trained alike, their layers weighed one by one."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from prunekit import importance, nets
from prunekit.importance import scaled
from prunekit.importance.scaled import LAYERS, POWERS, Scaled

SETTING = Scaled(data="digits", images=60, hidden=16, epochs=3, seed=2)


@pytest.fixture(scope="module")
def data() -> nets.Dataset:
    return SETTING.load(1)


def forward(W: torch.Tensor, V: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return V ReLU(W x) written out."""
    return (x.flatten(1) @ W.T).clamp(min=0) @ V.T


def layers(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    W, V = (model.get_parameter(name).detach() for name in LAYERS.values())
    return W, V


def test_repetitions_share_no_seed_with_those_of_other_pages(data: nets.Dataset) -> None:
    assert (SETTING.key(0), SETTING.key(9_999)) == (20_000, 29_999)
    assert data.train_x.equal(nets.load("digits", subset=60, seed=20_001).train_x)
    assert not data.train_x.equal(SETTING.load(2).train_x)


def test_networks_of_a_repetition_are_one_function(data: nets.Dataset) -> None:
    small, one, again = SETTING.networks(data, 1, [0.25, 1.0, 1.0])
    x = data.normalize(data.train_x)
    torch.testing.assert_close(small(x), one(x), rtol=1e-4, atol=1e-5)
    for layer, name in LAYERS.items():
        ratio = small.get_parameter(name) / one.get_parameter(name)
        torch.testing.assert_close(ratio, torch.full_like(ratio, 0.25 ** POWERS[layer]))
        assert one.get_parameter(name).equal(again.get_parameter(name))
    assert not one.get_parameter("input.weight").equal(
        SETTING.networks(data, 0, [1.0])[0].get_parameter("input.weight")
    )


@pytest.mark.parametrize("lam", [0.5, 4.0])
def test_the_rate_goes_with_the_curvature(data: nets.Dataset, lam: float) -> None:
    """Sixty images are one batch: an epoch is one step of gradient descent, written out."""
    setting = dataclasses.replace(SETTING, epochs=1)
    [model] = setting.networks(data, 1, [lam])
    W, V = (p.clone().requires_grad_() for p in layers(model))
    loss = nn.functional.cross_entropy(forward(W, V, data.normalize(data.train_x)), data.train_y)
    of_W, of_V = torch.autograd.grad(loss, [W, V])
    rate = 0.05 / max(lam**2, lam**-2)
    [done] = setting.train([model], [lam], data, order=3)
    assert done.stopped == "epochs"
    torch.testing.assert_close(layers(model)[0], (W - rate * of_W).detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(layers(model)[1], (V - rate * of_V).detach(), rtol=1e-4, atol=1e-6)


def test_training_ends_when_all_images_are_right(data: nets.Dataset) -> None:
    setting = dataclasses.replace(SETTING, epochs=400)
    [model] = setting.networks(data, 1, [1.0])
    [done] = setting.train([model], [1.0], data, order=3)
    assert done.stopped == "interpolation"
    epochs = len(done.history.rows)
    assert epochs < 400 and epochs % 10 == 0  # looked at after every tenth
    assert nets.evaluate(model, data, train=True)[1] == 1.0


def test_importances_are_sums_over_a_layer(data: nets.Dataset) -> None:
    [model] = SETTING.networks(data, 1, [2.0])
    diagonal = scaled.layer_diagonal(model, data)
    exact = importance.hessian_diagonal(
        model.double(), nn.functional.cross_entropy, (data.normalize(data.train_x).double(), data.train_y)
    )
    found = scaled.layer_importances(model, diagonal)
    for layer, name in LAYERS.items():
        weights = model.get_parameter(name).detach()
        torch.testing.assert_close(diagonal[name], exact.values[name], rtol=1e-5, atol=1e-9)
        assert found["magnitude", layer] == pytest.approx(float(weights.square().sum()))
        assert found["Hessian", layer] == pytest.approx(float((exact.values[name] * weights.square()).sum()), rel=1e-5)


def test_a_layer_is_put_back_by_itself(data: nets.Dataset) -> None:
    [model] = SETTING.networks(data, 1, [1.0])
    before = nets.access.state(model)
    SETTING.train([model], [1.0], data, order=3)
    (W, V), (W0, V0) = layers(model), before.values()
    found = scaled.natural_importances(model, before, data)
    for part in ("train", "test"):
        x, y = data.normalize(getattr(data, f"{part}_x")), getattr(data, f"{part}_y")
        loss = [float(nn.functional.cross_entropy(forward(*w, x), y)) for w in ((W, V), (W0, V), (W, V0))]
        error = [float((forward(*w, x).argmax(1) != y).double().mean()) for w in ((W, V), (W0, V), (W, V0))]
        for k, layer in enumerate(LAYERS, 1):
            assert found[f"{part} loss", layer] == pytest.approx(loss[k] - loss[0], rel=1e-4, abs=1e-6)
            if part == "test":
                assert found["test error", layer] == pytest.approx(error[k] - error[0])


def test_what_cannot_be_trained_is_refused(data: nets.Dataset) -> None:
    with pytest.raises(ValueError, match="hidden is 0"):
        dataclasses.replace(SETTING, hidden=0)
    with pytest.raises(ValueError, match="repetition is 10000"):
        SETTING.load(10_000)
    with pytest.raises(ValueError, match="scales is 0"):
        SETTING.networks(data, 1, [0.0])
    with pytest.raises(ValueError, match="give one made by nets"):
        scaled.layer_diagonal(nets.models.fcn(64, [8, 8], 10, seed=0), data)


def test_moves_are_norms_of_changes_over_norms_before(data: nets.Dataset) -> None:
    [model] = SETTING.networks(data, 1, [1.0])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    first = scaled.layer_diagonal(model, data)
    with torch.no_grad():
        model.get_parameter("input.weight").mul_(1.5)
        model.get_parameter("output.weight")[0] = 0
    last = {name: values * 3 for name, values in first.items()}
    moves = scaled.layer_moves(model, before, first, last)
    row = before["output.weight"]
    assert moves["weights", "input"] == pytest.approx(0.5)
    assert moves["weights", "output"] == pytest.approx(float(row[0].norm() / row.norm()))
    assert [moves["diagonal", layer] for layer in LAYERS] == pytest.approx([2.0, 2.0])
    with pytest.raises(ValueError, match=r"weights of input\.weight is missing"):
        scaled.layer_moves(model, {}, first, last)
    with pytest.raises(ValueError, match=r"norm 0\.0 before"):
        scaled.layer_moves(model, before, {name: 0 * v for name, v in first.items()}, last)
    with pytest.raises(ValueError, match="after and"):
        scaled.layer_moves(model, before, first, {name: v[:1] for name, v in last.items()})
