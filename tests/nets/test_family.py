"""`fit_many` gives what `fit` gives, one by one."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from prunekit.nets import Config, fit, fit_many, models
from tests.nets.helpers import close, equal, state, toy

LAMBDAS = (0.5, 1.0, 2.0)


def net() -> nn.Module:
    return models.two_layer(16, 8, 3)


def _same(many, ones, tolerance: float = 1e-5) -> None:
    for a, b in zip(many, ones, strict=True):
        assert close(state(a.model), state(b.model), tolerance)
        assert (a.stopped, len(a.history)) == (b.stopped, len(b.history))
        assert not a.model.training
        for x, y in zip(a.history.without("seconds"), b.history.without("seconds"), strict=True):
            assert x.keys() == y.keys()
            for u, v in zip(x.values(), y.values(), strict=True):
                assert u == v or math.isclose(u, v, rel_tol=1e-4, abs_tol=1e-6)
        assert (a.averaged is None) == (b.averaged is None)
        if a.averaged is not None:
            assert close(a.averaged, b.averaged, tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam", "schedule": "cosine", "warmup": 2},
        {"momentum": 0.9, "average": 7},
        {"l1": 1e-3, "l2": 1e-2, "crop": 1, "flip": True, "evaluate_every": 2},
    ],
)
@pytest.mark.parametrize("seeds", [(0, 0, 0), (1, 2, 3)])
def test_a_family_is_its_members(changes: dict, seeds: tuple[int, ...]) -> None:
    data = toy(65)
    configs = [Config(epochs=5, batch_size=20, lr=0.02 * (k + 1), seed=s, **changes) for k, s in enumerate(seeds)]

    def nets() -> list[nn.Module]:
        return [models.two_layer(16, 8, 3, scale=s) for s in LAMBDAS]

    many = fit_many(nets(), data, configs)
    _same(many, [fit(m, data, c) for m, c in zip(nets(), configs, strict=True)])
    assert not close(state(many[0].model), state(many[1].model), 1e-2)


def test_masks_and_penalties_are_each_ones_own() -> None:
    data, g = toy(), torch.Generator().manual_seed(0)
    first, last = torch.rand(8, 16, generator=g) < 0.4, torch.rand(3, 8, generator=g) < 0.5
    masks = [{"input.weight": first}, None, {"output.weight": last}]
    configs = [Config(epochs=4, batch_size=20, l1=0.01 * k, l2=0.1 * k, momentum=0.5) for k in range(3)]
    many = fit_many(net(), data, configs, masks=masks)
    _same(many, [fit(net(), data, c, masks=m) for c, m in zip(configs, masks, strict=True)])
    for result, each in zip(many, masks, strict=True):
        for name, mask in (each or {}).items():
            assert bool((result.model.get_parameter(name)[~mask] == 0).all())


def test_members_leave_at_their_own_interpolation() -> None:
    data, rates = toy(), (0.003, 0.1, 0.02, 1e-4)
    shared = {"epochs": 60, "batch_size": 10, "interpolation": 0.1, "momentum": 0.5, "average": 5}
    configs = [Config(lr=lr, **shared) for lr in rates]
    many = fit_many(net(), data, configs)
    _same(many, [fit(net(), data, c) for c in configs])
    assert len({len(each.history) for each in many}) >= 3
    assert {each.stopped for each in many} == {"interpolation", "epochs"}


def test_large_families_go_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunekit.nets import family

    stacks: list[int] = []
    real = family.Stack
    monkeypatch.setattr(family, "Stack", lambda group, *rest: stacks.append(len(group)) or real(group, *rest))
    monkeypatch.setattr(family, "_CACHED", 2 * 4 * (16 + 3) * 8)
    data, masks = toy(), [None, None, {"output.weight": torch.zeros(3, 8, dtype=torch.bool)}, None, None]
    configs = [Config(epochs=2, batch_size=20, lr=0.01 * (k + 1), seed=k, average=3) for k in range(5)]
    many = fit_many(net(), data, configs, masks=masks)
    assert stacks == [2, 2]  # and one by itself
    _same(many, [fit(net(), data, c, masks=m) for c, m in zip(configs, masks, strict=True)])


def test_small_networks_on_large_batches_go_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunekit.nets import family

    stacks: list[int] = []
    real = family.Stack
    monkeypatch.setattr(family, "Stack", lambda group, *rest: stacks.append(len(group)) or real(group, *rest))
    monkeypatch.setattr(family, "_UNFOLDED", 2 * 4 * (9 * 3 * 64) * 20)  # of two networks, at the second convolution
    data = toy(40, shape=(1, 8, 8))
    configs = [Config(epochs=2, batch_size=20, lr=0.01 * (k + 1), seed=k, average=3) for k in range(4)]

    def nets() -> list[nn.Module]:
        return [models.cnn(data.shape, [2, 3], 3, seed=k) for k in range(4)]

    many = fit_many(nets(), data, configs)
    assert stacks == [2, 2]
    _same(many, [fit(m, data, c) for m, c in zip(nets(), configs, strict=True)], 1e-4)
    fit_many(nets(), data, [replace(c, batch_size=10) for c in configs])
    assert stacks == [2, 2, 4]


def test_batch_norms_keep_their_own_statistics() -> None:
    data = toy(40, shape=(3, 8, 8))
    configs = [Config(epochs=2, batch_size=20, lr=lr, seed=s) for s, lr in enumerate((0.01, 0.05))]

    def nets() -> list[nn.Module]:
        return [models.resnet20(2, 3, seed=s) for s in (4, 5)]

    _same(fit_many(nets(), data, configs), [fit(m, data, c) for m, c in zip(nets(), configs, strict=True)], 1e-3)


def test_one_that_diverges_does_not_stop_the_others() -> None:
    data = toy()
    configs = [Config(epochs=3, batch_size=20, lr=lr, average=3) for lr in (0.1, 1e30, 0.01)]
    many = fit_many(net(), data, configs)
    assert [each.stopped for each in many] == ["epochs", "diverged", "epochs"]
    assert equal(state(many[1].model), state(net()))
    assert many[1].history.rows[-1]["train_loss"] is None
    assert many[1].averaged is None
    _same([many[0], many[2]], [fit(net(), data, configs[k]) for k in (0, 2)])


def test_a_sequence_is_trained_in_place_and_a_single_network_is_copied() -> None:
    data, single = toy(), net()
    before = state(single)
    many = fit_many(single, data, [Config(epochs=1)] * 2)
    assert equal(state(single), before)
    assert many[0].model is not many[1].model
    listed = [net() for _ in range(2)]
    assert [r.model for r in fit_many(listed, data, Config(epochs=1))] == listed
    assert not equal(state(listed[0]), before)


@pytest.mark.parametrize(
    ("given", "configs", "words"),
    [
        ([net()], [Config(epochs=1)] * 2, "lengths"),
        ([], Config(epochs=1), "lengths"),
        ([net(), models.two_layer(16, 9, 3)], Config(epochs=1), r"models\[1\]"),
        ([net()] * 2, Config(epochs=1), "twice"),
        (net(), [Config(epochs=1), Config(epochs=2)], "differ in epochs"),
        (net(), Config(epochs=1, compile=True), "compile"),
        (nn.Sequential(net(), nn.Dropout(0.5)), Config(epochs=1), "dropout"),
    ],
)
def test_what_cannot_share_a_loop_is_refused(given, configs, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_many(given, toy(), configs)


class Tied(nn.Module):
    """One weight in two places: two modules that share a parameter, or one module under two names."""

    def __init__(self, one_module: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.flatten, self.one = nn.Flatten(), nn.Linear(16, 16, bias=False)
        self.two = self.one if one_module else nn.Linear(16, 16, bias=False)
        self.two.weight = self.one.weight
        self.output = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(torch.relu(self.two(torch.relu(self.one(self.flatten(x))))))


@pytest.mark.parametrize("one_module", [False, True])
def test_shared_parameters_stay_shared(one_module: bool) -> None:
    data, masks = toy(), {"one.weight": torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) < 0.5}
    configs = [Config(epochs=3, batch_size=20, lr=lr) for lr in (0.1, 0.05)]
    many = fit_many(Tied(one_module), data, configs, masks=masks)
    _same(many, [fit(Tied(one_module), data, c, masks=masks) for c in configs])
    for each in many:
        assert each.model.two.weight is each.model.one.weight
        assert isinstance(each.model.two.weight, nn.Parameter)


def _layers(activation: type, frozen: bool = False) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), activation(), nn.Linear(8, 3))
    model[1].requires_grad_(not frozen)
    return model


def _sharing() -> list[nn.Module]:
    one, two = _layers(nn.ReLU), _layers(nn.ReLU)
    two[3].bias = one[3].bias
    return [one, two]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (_sharing(), r"models\[1\] shares '3.bias' with models\[0\]: give copies"),
        ([_layers(nn.ReLU), _layers(nn.Tanh)], r"models\[1\] has other modules than models\[0\]"),
        ([_layers(nn.ReLU), _layers(nn.ReLU, frozen=True)], r"models\[1\] has other parameters than models\[0\]"),
        (nn.Sequential(_layers(nn.ReLU), nn.BatchNorm1d(3, momentum=None)), r"batch norm with momentum=None \(1\)"),
    ],
)
def test_what_is_no_family_is_refused(given, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_many(given, toy(), [Config(epochs=1)] * 2)


def test_penalties_on_weights_spare_the_biases_of_a_stack() -> None:
    """In a stack a bias has two axes, as a matrix has by itself."""
    data, start = toy(), models.fcn(16, [8], 3, bias=True)
    for layer in ("input", "output"):
        start.get_parameter(f"{layer}.bias").data.fill_(0.5)
    configs = [Config(epochs=2, batch_size=20, l1=0.05 * k, l2=0.3) for k in (1, 2)]
    many = fit_many(start, data, configs)
    _same(many, [fit(copy.deepcopy(start), data, c) for c in configs])
