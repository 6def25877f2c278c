"""The networks of the contest: what they are, how they are trained, what is kept."""

from __future__ import annotations

import pytest
from torch import nn

from prunekit.algorithms.table_3 import SMALL, TABLE_3, build, share_kept, training
from prunekit.limit.tasks import PAPER
from prunekit.nets import load

DIGITS = load("digits", subset=(40, 20), seed=0)


@pytest.mark.parametrize(("network", "layers"), [("FC5", 5), ("FC8", 8), ("CNN", 4)])
def test_small_networks_have_the_layers_they_are_named_after(network: str, layers: int) -> None:
    model = build(network, DIGITS, 0)
    assert sum(isinstance(m, nn.Linear | nn.Conv2d) for m in model.modules()) == layers
    assert model(DIGITS.test_x[:2].float()).shape == (2, 10)
    config, knobs = training(network, "digits", 40, 7)
    assert (config.milestones, config.seed, config.l1) == ((20, 30), 7, 0.0) and knobs is SMALL[network]


def test_weights_are_those_of_the_seed() -> None:
    one, same, other = (next(build("FC5", DIGITS, seed).parameters()) for seed in (1, 1, 2))
    assert one.equal(same) and not one.equal(other)


def test_the_papers_networks_are_trained_as_its_program_does_without_a_penalty() -> None:
    config, knobs = training("vgg16", "cifar10", 200, 3)
    assert config == PAPER["vgg16"].config(l1=0.0, seed=3)
    assert (knobs.l1, knobs.period) == (PAPER["vgg16"].l1, 5)
    assert not training("fc5", "mnist", 12, 0)[0].flip and training("fc5", "mnist", 12, 0)[1].period == 2


def test_shares_are_the_papers_or_the_pilots() -> None:
    assert [share_kept(network, "digits") for network in SMALL] == [0.05, 0.05, 0.1]
    assert share_kept("vgg16", "cifar10") == pytest.approx(0.006)
    assert share_kept("fc5", "mnist") == pytest.approx(TABLE_3["fc5", "cifar10"].kept / 100)


def test_unknown_networks_are_refused() -> None:
    for call in (lambda: build("FC6", DIGITS, 0), lambda: training("FC6", "digits", 8, 0)):
        with pytest.raises(ValueError, match="network is 'FC6'"):
            call()
