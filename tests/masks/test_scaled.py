"""Networks scaled by λ, pruned in several ways and trained again from their start."""

from __future__ import annotations

import pytest
import torch

from prunekit import nets
from prunekit.importance.scaled import Scaled, layer_diagonal
from prunekit.masks import scaled
from prunekit.masks.scaled import Plan

SETTING = Scaled(data="digits", images=100, hidden=12, epochs=2)


def test_a_plan_says_what_is_trained_again() -> None:
    plan = Plan.of([8.0, 0.25, 1.0, 0.5, 4.0], None, [0.3, 0.1, 0.02], 0.59)
    assert plan.lambdas == [0.25, 0.5, 1.0, 4.0, 8.0]
    assert plan.retrained == [0.25, 0.5, 1.0, 4.0]
    assert (plan.balanced, plan.middle, plan.compared) == (0.5, 0.1, [0.25, 0.5, 4.0])
    together = [case for case in plan.cases if case[1] == "global"]
    assert len(set(plan.cases)) == len(plan.cases) and len(together) == 4 * 2 * 3
    alone = {case for case in plan.cases if case[1] == "layer"}
    assert alone == {
        (lam, "layer", rule, keep) for lam in plan.compared for rule in ("magnitude", "Hessian") for keep in (0.02, 0.1)
    }


def test_balance_is_judged_on_a_logarithmic_axis() -> None:
    assert Plan.of([0.25, 1.0, 2.0, 4.0], None, [0.1, 0.2], 1.45).balanced == 2.0  # 1.0 is nearer by subtraction


@pytest.mark.parametrize(
    ("lambdas", "retrained", "fractions", "words"),
    [
        ([0.5, 1.0, 2.0], [0.5, 1.0, 3.0], [0.1, 0.2], "give some of lambdas from 1/4 to 4"),
        ([0.1, 8.0], None, [0.1, 0.2], "give some of lambdas from 1/4 to 4"),
        ([0.5, 1.0, 2.0], None, [0.1], "give two or more"),
        ([1.0, 2.0, 4.0], None, [0.1, 0.2], "give some of lambdas on both sides"),
    ],
)
def test_a_plan_that_asks_for_what_is_not_there_is_refused(
    lambdas: list[float], retrained: list[float] | None, fractions: list[float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Plan.of(lambdas, retrained, fractions, 1.0)


def test_the_two_rules_keep_the_largest_of_their_scores() -> None:
    data = SETTING.load(0)
    [model] = SETTING.networks(data, 0, [2.0])
    diagonal = layer_diagonal(model, data)
    weights = {name: p.detach().double().square() for name, p in model.named_parameters()}
    for rule, score in (("magnitude", weights), ("Hessian", {k: diagonal[k] * weights[k] for k in weights})):
        mask = scaled.pruned(model, diagonal, rule, 0.25)
        every = torch.cat([score[name].flatten() for name in weights])
        kept = torch.cat([mask[name].flatten() for name in weights])
        count = round(0.25 * every.numel())
        assert int(kept.sum()) == count and every[kept].min() >= every[~kept].max()
    alone = scaled.pruned(model, diagonal, "magnitude", 0.25, "layer").fractions()
    assert list(alone.values()) == pytest.approx([0.25, 0.25], abs=0.01)
    with pytest.raises(ValueError, match="rule is 'size'"):
        scaled.pruned(model, diagonal, "size", 0.25)


def test_what_is_kept_starts_again_and_a_dead_network_stays_at_chance() -> None:
    data = SETTING.load(0)
    scales = (0.125, 1.0)
    networks = SETTING.networks(data, 0, scales)
    SETTING.train(networks, scales, data, order=SETTING.key(0))
    trained = {lam: (net, layer_diagonal(net, data)) for lam, net in zip(scales, networks, strict=True)}
    alive, dead = (1.0, "global", "magnitude", 0.3), (0.125, "global", "magnitude", 0.1)
    found, count = scaled.train_again(SETTING, data, 0, trained, [alive, dead])
    assert list(found) == [alive, dead] and count == 1
    assert found[dead] == pytest.approx(float((data.test_y == 0).double().mean()))  # it answers 0 to everything
    mask = scaled.pruned(*trained[1.0], "magnitude", 0.3)
    [one] = SETTING.networks(data, 0, [1.0])
    mask.apply_(one)
    config = nets.Config(epochs=2, batch_size=100, lr=0.05, interpolation=float("inf"), evaluate_every=10, seed=1000)
    nets.fit(one, data, config, masks=dict(mask), progress=False)
    assert found[alive] == pytest.approx(nets.evaluate(one, data)[1])
    assert scaled.train_again(SETTING, data, 0, trained, [dead]) == ({dead: found[dead]}, 0)
