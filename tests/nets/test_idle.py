"""Masked perceptrons are trained without the units that can learn nothing, and end as they would with them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from prunekit.nets import Config, engine, fit, fit_many, idle, models
from prunekit.nets.perceptron import perceptron
from tests.nets.helpers import close, state, toy


def network(seed: int, bias: bool = False):
    return models.fcn(16, [12, 9], 3, bias=bias, seed=seed)


def masks_of(model, kept: float, seed: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {n: torch.rand(p.shape, generator=g) < kept for n, p in model.named_parameters() if p.ndim == 2}


def moved(model, masks, bias: bool) -> list[torch.Tensor]:
    """Return which hidden units any weight or bias of moves in training, by plain `fit`."""
    before = state(model)
    fit(model, toy(40), Config(epochs=3, batch_size=8, lr=0.5), masks=masks)
    named = {n: (state(model)[n] != before[n] * masks.get(n, torch.tensor(True))) for n in before}
    layers = [n for n in named if n.endswith("weight")]
    found = []
    for this, following in pairwise(layers):
        units = named[this].any(1) | named[following].any(0)
        found.append(units | named[this.replace("weight", "bias")] if bias else units)
    return found


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kept", [0.05, 0.1, 0.2])
def test_what_is_idle_does_not_move(kept, bias) -> None:
    lazy = 0
    for seed in range(4):
        model = network(seed, bias)
        masks = masks_of(model, kept, seed)
        alive = idle.living(perceptron(model), dict(model.named_parameters()), masks)
        for own, units in zip(alive, moved(model, masks, bias), strict=True):
            assert not (units & ~own).any()
            lazy += int((~own).sum())
    assert lazy > 8


def test_a_unit_with_a_bias_alone_can_learn() -> None:
    model = network(0, bias=True)
    weights = dict(model.named_parameters())
    none = {"input.weight": torch.zeros(12, 16, dtype=torch.bool)}
    assert idle.living(perceptron(model), weights, none)[0].all()
    none["input.bias"] = torch.arange(12) < 5
    assert idle.living(perceptron(model), weights, none)[0].tolist() == [True] * 5 + [False] * 7


@pytest.mark.parametrize(
    "changes", [{}, {"momentum": 0.9, "average": 5}, {"optimizer": "adam"}, {"interpolation": math.inf}]
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_family_without_idle_units_is_its_members(monkeypatch, changes, bias) -> None:
    data = toy(60)
    configs = [Config(epochs=4, batch_size=16, lr=0.02 * (k + 1), **changes) for k in range(4)]
    masks = [masks_of(network(k, bias), 0.06 + 0.1 * (k // 2), k) for k in range(4)]
    sizes = []
    making = engine.Stack.__init__

    def noted(self, given, *rest):
        sizes.extend(map(models.count, given))
        making(self, given, *rest)

    monkeypatch.setattr(engine.Stack, "__init__", noted)
    many = fit_many([network(k, bias) for k in range(4)], data, configs, masks=masks)
    assert len(sizes) == 4 and max(sizes) < 0.8 * models.count(network(0, bias))
    for k, found in enumerate(many):
        alone = fit(network(k, bias), data, configs[k], masks=masks[k])
        assert close(state(found.model), state(alone.model))
        assert (found.stopped, len(found.history)) == (alone.stopped, len(alone.history))
        assert not found.model.training
        assert all(not found.model.get_parameter(n)[~mask].any() for n, mask in masks[k].items())
        if alone.averaged is not None:
            assert found.averaged is not None and close(found.averaged, alone.averaged)


def test_penalties_and_whole_networks_keep_every_unit() -> None:
    nets = [network(k) for k in range(3)]
    few = [masks_of(m, 0.1, 0) for m in nets]

    def stacks(masks, **changes):
        return idle.trimmed(nets, masks, [Config(epochs=1, **changes)] * 3, 10**9)

    assert stacks(few) is not None
    assert stacks(few, l2=0.1) is None  # a penalty moves what no gradient does
    assert stacks(few, l1=0.1) is None
    assert stacks([{}, {}, {}]) is None
    assert stacks([masks_of(m, 0.9, 0) for m in nets]) is None
    assert idle.trimmed([models.cnn((1, 4, 4), [2])], [{}], [Config(epochs=1)], 10**9) is None


def test_a_stack_holds_neighbours_in_size_at_the_least_cost() -> None:
    sizes = [[400], [10], [390], [12], [11]]
    found = idle._stacks(sizes, lambda widths: 74 * widths[0], 10**9)
    assert [(sorted(members), widest) for members, widest in found] == [([0, 2], [400]), ([1, 3, 4], [12])]
    one_by_one = idle._stacks(sizes, lambda widths: 74 * widths[0], 1)
    assert sorted(members for members, _ in one_by_one) == [[0], [1], [2], [3], [4]]
