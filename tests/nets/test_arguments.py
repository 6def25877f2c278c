"""What cannot be trained is refused before the first step, in words that say what to do, and left as it was."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from prunekit.nets import Config, Dataset, Diverged, evaluate, fit, fit_many, models
from prunekit.nets.training import _channels_last
from tests.nets.helpers import close, equal, state, toy

TWICE = Config(epochs=2, batch_size=20)


def net(seed: int = 0) -> nn.Module:
    return models.fcn(16, [8, 6], 3, bias=True, seed=seed)


def poisoned() -> nn.Module:
    model = net()
    model.get_parameter("hidden1.weight").data[0, 0] = math.nan
    return model


class Loses(nn.Module):
    """Forgets its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, x: torch.Tensor) -> None:
        self.inner(x)


@pytest.mark.parametrize(
    ("model", "config", "error", "words"),
    [
        ("net", TWICE, TypeError, "model is a str: give a torch.nn.Module"),
        (net(), {"epochs": 2}, TypeError, r"config is a dict: give a prunekit.nets.Config"),
        (nn.Flatten(), TWICE, ValueError, "no trainable parameter"),
        (net().requires_grad_(False), TWICE, ValueError, "no trainable parameter"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), TWICE, ValueError, "lazy parameter '1.weight'"),
        (net().double(), TWICE, TypeError, r"'input.weight' of type torch.float64: give float32, model.float\(\)"),
        (poisoned(), TWICE, ValueError, "'hidden1.weight' that is not finite"),
        (models.fcn(17, [8], 3), TWICE, ValueError, r"fails on images of shape \(2, 1, 4, 4\)"),
        (models.resnet20(2, 3), TWICE, ValueError, r"fails on images of shape .* 3 channels"),
        (models.fcn(16, [8], 2), TWICE, ValueError, r"gives \(2, 2\) for 2 images: give one score for each of 3"),
        (models.fcn(16, [8], 4), TWICE, ValueError, r"gives \(2, 4\) for 2 images"),
        (Loses(), TWICE, ValueError, "gives a NoneType as outputs"),
    ],
)
@pytest.mark.parametrize("train", [fit, fit_many])
def test_what_cannot_be_trained_is_refused(train, model, config, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        train(model, toy(), config)


def test_data_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match=r"data yields a int: give pairs \(inputs, labels\)"):
        fit(net(), (1, 2), TWICE)
    with pytest.raises(TypeError, match="masks is a list"):
        fit(net(), toy(), TWICE, masks=[torch.ones(8, 16, dtype=torch.bool)])
    with pytest.raises(TypeError, match=r"masks\['input.weight'\] is of type ndarray"):
        fit(net(), toy(), TWICE, masks={"input.weight": np.ones((8, 16), bool)})


@pytest.mark.parametrize("bad", ["train_x", "test_x"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_images_that_are_not_finite_are_refused(bad: str, value: float) -> None:
    parts = {"train_x": torch.rand(6, 1, 4, 4), "test_x": torch.rand(6, 1, 4, 4)}
    parts[bad][3, 0, 1, 2] = value
    y = torch.zeros(6, dtype=torch.int64)
    with pytest.raises(ValueError, match=f"{bad} holds a number that is not finite"):
        Dataset("bad", train_y=y, test_y=y, classes=2, mean=torch.zeros(1), std=torch.ones(1), **parts)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"interpolation": "low"}, TypeError, "interpolation is 'low'"),
        ({"interpolation": True}, TypeError, "interpolation is True"),
        ({"interpolation": math.nan}, ValueError, "interpolation is nan"),
        ({"betas": 0.9}, TypeError, "betas is 0.9: give a tuple"),
        ({"milestones": 3}, TypeError, "milestones is 3: give a tuple"),
        ({"device": "meta"}, ValueError, "device is 'meta': give 'cpu' or 'cuda'"),
        ({"device": None}, ValueError, "device is 'None'"),
        ({"channels_last": 1}, TypeError, "channels_last is 1"),
    ],
)
def test_configurations_of_wrong_kinds_are_refused(changes: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        Config(epochs=2, **changes)
    assert Config(epochs=2, device=torch.device("cpu")).device == "cpu"


@pytest.mark.parametrize(("n", "batch_size"), [(41, 20), (20, 1), (1, 20)])
def test_batch_norm_refuses_a_batch_of_one_before_it_trains(n: int, batch_size: int) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    model[2].eval()  # modes are left as they were
    before = state(model)
    with pytest.raises(ValueError, match=rf"batch_size is {batch_size}, which leaves a batch of one of {n} images"):
        fit(model, toy(n), Config(epochs=1, batch_size=batch_size))
    assert equal(state(model), before)
    assert (model.training, model[2].training) == (True, False)
    fit(model, toy(42), Config(epochs=1, batch_size=20))
    fit(models.resnet20(2, 3), toy(5, (3, 8, 8)), Config(epochs=1, batch_size=2))  # pixels make up for the images


def test_the_rehearsal_leaves_no_trace() -> None:
    """Batch norm's statistics after one epoch are those of its batches alone."""
    data = toy(41, shape=(3, 8, 8))  # the last batch is of one image, so that it is rehearsed too
    model, plain = models.resnet20(2, 3), models.resnet20(2, 3)
    fit(model, data, Config(epochs=1, batch_size=20, lr=1e-30))
    order = torch.randperm(41, generator=torch.Generator().manual_seed(0))
    for chosen in order.split(20):
        plain.train()(data.normalize(data.train_x[chosen]))
    assert close(state(model), state(plain), 1e-5)


def test_one_image_of_one_class_can_be_learned() -> None:
    x, y = torch.full((1, 1, 4, 4), 7, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    data = Dataset("one", x, y, x, y, 3, torch.zeros(1), torch.full((1,), 9.0))
    done = fit(net(), data, Config(epochs=50, interpolation=0.5))
    assert done.stopped == "interpolation"


def test_a_network_pruned_whole_stays_zero() -> None:
    model = net()
    masks = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in model.named_parameters()}
    config = Config(epochs=2, batch_size=20, momentum=0.9, l1=0.1, l2=0.1, average=3)
    done = fit(model, toy(), config, masks=masks)
    assert not any(bool(t.any()) for t in (*state(model).values(), *done.averaged.values()))
    assert done.history["train_loss"] == pytest.approx([math.log(3)] * 2, rel=1e-6)


def test_weights_in_any_layout_train_alike(tmp_path) -> None:
    data, plain, odd = toy(), net(), net()
    layer = odd.get_submodule("input")
    layer.weight = nn.Parameter(layer.weight.detach().T.contiguous().T)
    assert not layer.weight.is_contiguous()
    config = Config(epochs=3, batch_size=20, momentum=0.9)
    fit(odd, data, config, resume=tmp_path / "odd")
    fit(plain, data, config)
    assert close(state(odd), state(plain), 1e-6)
    again = net()
    again.get_submodule("input").weight = nn.Parameter(again.get_submodule("input").weight.detach().T.contiguous().T)
    fit(again, data, config, resume=tmp_path / "odd")
    assert equal(state(again), state(odd))


@pytest.mark.parametrize("stacked", [False, True])
def test_a_loss_that_overflows_only_at_the_evaluation_is_divergence(stacked: bool) -> None:
    """The running loss was met before the last step, and the weights after it are finite still."""
    model, config = net(), Config(epochs=1, batch_size=60, lr=1e15)
    before = state(model)
    if stacked:
        found = fit_many(model, toy(), [config, Config(epochs=1, batch_size=60)])
        assert [each.stopped for each in found] == ["diverged", "epochs"]
        row, model = found[0].history.rows[-1], found[0].model
    else:
        with pytest.raises(Diverged) as caught:
            fit(model, toy(), config)
        row = caught.value.history.rows[-1]
    assert math.isfinite(row["running_loss"])
    assert row["train_loss"] is None
    assert row["test_accuracy"] is None
    assert equal(state(model), before)


def test_statistics_that_overflow_are_divergence() -> None:
    """A batch norm hides huge inputs in training; its running variance overflows, which evaluation would show."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    with torch.no_grad():
        model[1].weight.mul_(1e20)
    with pytest.raises(Diverged):
        fit(model, toy(), Config(epochs=2, batch_size=20, evaluate_every=2, lr=1e-3))
    assert bool(torch.isfinite(model[2].running_var).all())


def test_averaging_that_diverges_is_said_and_gives_no_nans(tmp_path) -> None:
    data = toy()
    config = Config(epochs=1, batch_size=60, lr=1e12, average=30)
    model, plain = net(), net()
    for _ in range(2):  # a resumed training says it again
        with pytest.raises(Diverged, match=r"in the steps to be averaged after epoch 1 .* as that epoch left it"):
            fit(model := net(), data, config, resume=tmp_path / "run")
    fit(plain, data, Config(epochs=1, batch_size=60, lr=1e12))
    assert equal(state(model), state(plain))
    many = fit_many(net(), data, [config, Config(epochs=1, batch_size=60, lr=0.01, average=30)])
    assert [each.stopped for each in many] == ["diverged", "epochs"]
    assert many[0].averaged is None
    assert all(bool(torch.isfinite(t).all()) for t in many[1].averaged.values())


def test_an_evaluation_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(FloatingPointError, match="loss is nan"):
        evaluate(poisoned(), toy())


def test_channels_last_is_for_narrow_convolutions_on_the_cpu() -> None:
    def images(device: str = "cpu", size: int = 32) -> Any:
        return SimpleNamespace(device=torch.device(device), shape=(3, size, size), of_images=True)

    auto = Config(epochs=1)
    assert _channels_last(models.resnet20(16), images(), auto)
    assert not _channels_last(models.resnet20(17), images(), auto)  # its last stage has 68 filters
    assert not _channels_last(models.vgg11(), images(), auto)
    assert not _channels_last(net(), images(), auto)
    assert not _channels_last(models.resnet20(16), images("cuda"), auto)
    assert not _channels_last(models.resnet20(16), images(), Config(epochs=1, channels_last=False))
    assert _channels_last(models.vgg11(), images(), Config(epochs=1, channels_last=True))
    assert not _channels_last(models.resnet20(4), images(size=8), auto)  # a chain has a layout of its own


@pytest.mark.parametrize("lr", [0.01, 1e30])
def test_the_layout_given_comes_back(lr: float) -> None:
    model, seen = models.resnet20(2, 3), []
    model.get_submodule("conv").register_forward_pre_hook(
        lambda part, _: (
            seen.append(part.weight.is_contiguous(memory_format=torch.channels_last)) if part.training else None
        )
    )
    kept = model.get_parameter("conv.weight")
    try:
        done = fit(model, toy(20, (3, 8, 8)), Config(epochs=1, batch_size=10, lr=lr, average=1))
        assert all(t.is_contiguous() for t in done.averaged.values())
    except Diverged:
        assert lr == 1e30
    assert seen
    assert all(seen)
    assert model.get_parameter("conv.weight") is kept
    assert all(p.is_contiguous() for p in model.parameters())
    assert not model.training


def test_no_device_is_seeded_but_the_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("seeds every CUDA device")

    monkeypatch.setattr(torch, "manual_seed", refuse)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    fit(nn.Sequential(net(), nn.Dropout(0.5)), toy(), TWICE)
