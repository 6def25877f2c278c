"""Pruning algorithms: what defines each, against loops written out by hand; exact counts; the same after a kill."""

from __future__ import annotations

import re
from collections import OrderedDict
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prunekit import algorithms
from prunekit.algorithms import (
    cut,
    global_one_shot,
    iterative_magnitude_pruning,
    kept_by_round,
    random_mask,
    rare_gems,
    results,
    smart_ratio_counts,
    smart_ratio_mask,
    train_masked,
)
from prunekit.algorithms.contest import ALGORITHMS, LONGER, Knobs, run_algorithm, shortened
from prunekit.algorithms.schedules import split
from prunekit.algorithms.thresholds import cut_thresholds, positions
from prunekit.importance import hessian_matrix
from prunekit.limit import minibatch_tolerance
from prunekit.masks import Mask
from prunekit.nets import Config, evaluate, fit, models
from prunekit.nets.config import learning_rate
from tests.nets.helpers import equal, state, toy

DATA = toy()
CONFIG = Config(epochs=4, batch_size=20, lr=0.1, momentum=0.5)


def net(seed=0):
    """Two linear layers around a batch norm: 16·12 + 12·3 = 228 prunable weights, and 39 other parameters."""
    parts = OrderedDict(
        flatten=nn.Flatten(), input=nn.Linear(16, 12), norm=nn.BatchNorm1d(12), relu=nn.ReLU(), output=nn.Linear(12, 3)
    )
    return models.initialize(nn.Sequential(parts), seed)


WEIGHTS = ("input.weight", "output.weight")


def inside(inner, outer):
    return all(bool((outer[name] | ~inner[name]).all()) for name in outer)


def zeros_outside(weights, mask):
    return all(bool((weights[name][~mask[name]] == 0).all()) for name in mask)


def ranked(weights, keep, there=None):
    """Return the mask of the largest magnitudes, by numpy: removed ones are at the end whatever their value."""
    flat = np.concatenate([weights[name].abs().double().numpy().ravel() for name in WEIGHTS])
    if there is not None:
        flat[~np.concatenate([there[name].numpy().ravel() for name in WEIGHTS])] = -1
    kept = np.zeros(flat.size, dtype=bool)
    kept[np.lexsort((np.arange(flat.size), -flat))[:keep]] = True
    first = weights[WEIGHTS[0]].numel()
    parts = dict(zip(WEIGHTS, (kept[:first], kept[first:]), strict=True))
    return Mask({name: torch.from_numpy(part).view(weights[name].shape) for name, part in parts.items()})


# ---------------------------------------------------------------- schedules


@given(st.integers(2, 10**6), st.data())
def test_counts_by_round_are_exact_and_remove_the_same_fraction(total, draw):
    keep = draw.draw(st.integers(1, total - 1))
    rounds = draw.draw(st.integers(1, 8))
    try:
        counts = kept_by_round(total, keep, rounds)
    except ValueError as refused:
        assert re.search("let every round remove some|total, as each round removes some", str(refused))
        assert keep > 1 - 0.6 * rounds + 0.5 * total ** (1 / rounds)
        return
    assert len(counts) == rounds and counts[-1] == keep
    for before, after in pairwise([total, *counts]):
        assert before > after
        assert abs(after / before - (keep / total) ** (1 / rounds)) <= 1 / before


def test_counts_by_round_refuse_what_makes_no_sense():
    assert kept_by_round(228, [0.5, 100, 1]) == [114, 100, 1]
    for keep, rounds, word in (([0.5], 2, "rounds is 2"), (0.5, None, "rounds is missing"), ([], None, "empty")):
        with pytest.raises(ValueError, match=word):
            kept_by_round(228, keep, rounds)
    with pytest.raises(ValueError, match="keep leaves 100 weights of 100 in round 2"):
        kept_by_round(228, [100, 100])


@given(
    st.sampled_from(["constant", "multistep", "exponential"]),
    st.integers(2, 30),
    st.integers(0, 5),
    st.sets(st.integers(1, 25), min_size=1, max_size=4),
    st.data(),
)
def test_a_training_taken_apart_keeps_its_learning_rates(schedule, epochs, warmup, milestones, draw):
    warmup = min(warmup, epochs - 2)
    chosen = tuple(sorted(milestones)) if schedule == "multistep" else ()
    config = Config(epochs=epochs, lr=0.3, schedule=schedule, warmup=warmup, milestones=chosen, gamma=0.5)
    at = draw.draw(st.integers(warmup + 1, epochs - 1))
    early, late = split(config, at)
    assert (early.epochs, late.epochs) == (at, epochs - at)
    rates = [learning_rate(early, k) for k in range(at)] + [learning_rate(late, k) for k in range(epochs - at)]
    np.testing.assert_allclose(rates, [learning_rate(config, k) for k in range(epochs)], rtol=1e-12)
    assert split(config, 0) == (config, config)


def test_trainings_that_cannot_be_taken_apart_are_refused():
    for config, at in ((Config(epochs=9, schedule="cosine"), 3), (Config(epochs=9, warmup=3), 3)):
        with pytest.raises(ValueError, match="rewind is 3 with schedule"):
            split(config, at)
    with pytest.raises(ValueError, match=r"rewind is 9: give an integer from 0 to 8 \(less than config.epochs\)"):
        split(Config(epochs=9), 9)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, -3.0]), min_size=2, max_size=12), st.data())
def test_a_cut_stays_within_the_last(values, draw):
    scores = {"a": torch.tensor(values[:1]), "b": torch.tensor(values[1:])}
    first = cut(scores, draw.draw(st.integers(1, len(values))))
    keep = draw.draw(st.integers(1, first.kept))
    second = cut({name: t.flip(0) for name, t in scores.items()}, keep, first)
    assert second.kept == keep and inside(second, first)
    with pytest.raises(ValueError, match="the number of weights that are there"):
        cut(scores, first.kept + 1, first)
    with pytest.raises(ValueError, match="hold -inf"):
        cut({name: torch.full_like(t, -torch.inf) for name, t in scores.items()}, 1, first)


# ---------------------------------------------------------------- one shot


def test_one_shot_is_the_penalized_training_and_the_largest_weights():
    config = Config(epochs=4, batch_size=20, lr=0.1, l1=0.01)
    by_hand = net()
    fit(by_hand, DATA, config, progress=False)
    found = global_one_shot(net(), DATA, config, 57)
    assert equal(found.stages[0].end, {n: t for n, t in state(by_hand).items()})
    wanted = ranked(state(by_hand), 57)
    assert found.mask == wanted and found.mask.kept == 57 and len(found.masks) == 1
    wanted.apply_(by_hand)
    assert equal(state(found.model), state(by_hand))
    assert found.test_accuracy == evaluate(by_hand, DATA)[1]
    assert found.train_accuracy == evaluate(by_hand, DATA, train=True)[1]
    assert (found.epochs, found.rewound) == (4, None)
    heavier = global_one_shot(net(), DATA, Config(epochs=4, batch_size=20, lr=0.1, l1=0.05), 57)
    small = [sum(float(r.stages[0].end[n].abs().sum()) for n in WEIGHTS) for r in (heavier, found)]
    assert small[0] < small[1]


def test_fine_tuning_moves_only_what_was_kept():
    found = global_one_shot(net(), DATA, CONFIG, 0.25, fine_tune=Config(epochs=2, batch_size=20, lr=0.05))
    before, after = (stage.end for stage in found.stages)
    assert [stage.name for stage in found.stages] == ["train", "fine-tune"] and found.epochs == 6
    assert zeros_outside(after, found.mask) and zeros_outside(found.stages[1].start, found.mask)
    for name in WEIGHTS:
        kept = found.mask[name]
        assert torch.equal(found.stages[1].start[name][kept], before[name][kept])
        assert not torch.equal(after[name][kept], before[name][kept])


def test_a_bad_count_is_refused_before_training(monkeypatch):
    monkeypatch.setattr(results, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match="keep is 229"):
        global_one_shot(net(), DATA, CONFIG, 229)
    with pytest.raises(ValueError, match="keep is 229"):
        iterative_magnitude_pruning(net(), DATA, CONFIG, 229, rounds=2)


# ---------------------------------------------------------------- lottery tickets


@pytest.mark.parametrize("rewind", [0, 1])
def test_iterative_pruning_is_train_cut_rewind(rewind):
    """The loop by hand, with fits alone: every state along the road agrees bit for bit."""
    found = iterative_magnitude_pruning(net(), DATA, CONFIG, 30, rounds=3, rewind=rewind)
    model = net()
    if rewind:
        fit(model, DATA, Config(epochs=1, batch_size=20, lr=0.1, momentum=0.5), progress=False)
    origin, there = state(model), None
    assert equal(found.rewound, origin)
    late = Config(epochs=4 - rewind, batch_size=20, lr=0.1, momentum=0.5)
    counts = [116, 59, 30]
    for k, keep in enumerate(counts):
        fit(model, DATA, late, masks=there, progress=False)
        assert equal(found.stages[k + bool(rewind)].end, state(model))
        there = ranked(state(model), keep, there)
        assert found.masks[k] == there and found.masks[k].kept == keep
        model.load_state_dict(origin)
        there.apply_(model)
        assert equal(found.stages[k + 1 + bool(rewind)].start, state(model))
    fit(model, DATA, late, masks=there, progress=False)
    assert equal(state(found.model), state(model)) and found.mask == there
    assert found.epochs == rewind + 4 * (4 - rewind)
    assert [stage.cut for stage in found.stages] == [None] * rewind + [*found.masks, None]
    assert [s.name for s in found.stages] == ["rewind"] * rewind + [f"round {k}" for k in range(4)]


def test_masks_are_nested_and_what_is_removed_stays_removed():
    found = iterative_magnitude_pruning(net(), DATA, CONFIG, [0.8, 0.5, 0.2])
    for outer, inner in pairwise(found.masks):
        assert inside(inner, outer)
    for stage, mask in zip(found.stages[1:], found.masks, strict=True):
        assert stage.mask == mask and zeros_outside(stage.start, mask) and zeros_outside(stage.end, mask)
        for name in WEIGHTS:  # rewound to the initialization where kept, biases and statistics everywhere
            assert torch.equal(stage.start[name], net().get_parameter(name).detach() * mask[name])
        for name in ("input.bias", "norm.weight", "norm.running_var"):
            assert torch.equal(stage.start[name], found.rewound[name])


def test_a_different_seed_gives_another_ticket_and_the_same_the_same():
    runs = [iterative_magnitude_pruning(net(s), DATA, CONFIG, 0.2, rounds=2) for s in (0, 0, 1)]
    assert equal(state(runs[0].model), state(runs[1].model)) and runs[0].mask == runs[1].mask
    assert runs[0].mask != runs[2].mask


# ---------------------------------------------------------------- rare gems

SEARCH = Config(epochs=6, batch_size=60, lr=2.0, momentum=0.5, l2=0.02, schedule="cosine")
TUNE = Config(epochs=2, batch_size=20, lr=0.05)


def gems(model=None, seed=3, **given):
    options = {"keep": 40, "period": 2, "signed_constant": True} | given
    keep = options.pop("keep")
    return rare_gems(model or net(), DATA, options.pop("search", SEARCH), TUNE, keep, seed=seed, **options)


def test_scores_follow_straight_through_descent_with_clamping_and_decay():
    """The search by hand, on whole batches: gradient of the loss in the weights, times the frozen weights."""
    found = gems()
    model = net().train()
    frozen = {n: model.get_parameter(n).detach() for n in WEIGHTS}
    frozen = {n: torch.where(w < 0, -1.0, 1.0) * w.square().mean().sqrt() for n, w in frozen.items()}
    x, y = DATA.normalize(DATA.train_x), DATA.train_y
    there = {n: torch.ones_like(w, dtype=torch.bool) for n, w in frozen.items()}
    scores = None
    for k, keep in enumerate(kept_by_round(228, 40, 3)):
        scores = scores or first_scores(3, frozen)
        scores = {n: s.where(there[n], torch.zeros(())) for n, s in scores.items()}
        velocity = {n: torch.zeros_like(s) for n, s in scores.items()}
        rate = 2.0 * (1 + np.cos(np.pi * (2 * k) / 6)) / 2
        for _ in range(2):
            scores = {n: s.clamp(0, 1) for n, s in scores.items()}
            weights = {n: (frozen[n] * (s > 0.5)).requires_grad_() for n, s in scores.items()}
            loss = nn.functional.cross_entropy(torch.func.functional_call(model, weights, (x,)), y)
            for n, g in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
                slope = (g * frozen[n] + 0.02 * scores[n]) * there[n]
                velocity[n] = 0.5 * velocity[n] + slope
                scores[n] = scores[n] - rate * velocity[n]
        for n, s in scores.items():
            torch.testing.assert_close(found.stages[k].scores[n], s, atol=2e-5, rtol=1e-4)
        ended = found.stages[k].scores  # the cut is of these as they are, exactly
        flat = torch.cat([ended[n].double().masked_fill(~there[n], -np.inf).flatten() for n in WEIGHTS])
        order = flat.argsort(descending=True, stable=True)[:keep]
        flat = torch.zeros(228, dtype=torch.bool)
        flat[order] = True
        there = dict(zip(WEIGHTS, (flat[:192].view(12, 16), flat[192:].view(3, 12)), strict=True))
        assert found.masks[k] == Mask(there) and found.masks[k].kept == keep


def first_scores(seed, like):
    """Return what `rare_gems` draws: seen through the start of a search that has a learning rate near 0."""
    tiny = Config(epochs=1, batch_size=60, lr=1e-30)
    return dict(gems(seed=seed, search=tiny, keep=227, period=1).stages[0].scores)


def test_first_scores_are_uniform():
    drawn = torch.cat([s.flatten() for k in range(40) for s in first_scores(k, None).values()]).double()
    assert float(drawn.min()) >= 0 and float(drawn.max()) < 1
    n = drawn.numel()
    assert abs(float(drawn.mean()) - 0.5) < 4 / np.sqrt(12 * n)
    assert abs(float(drawn.square().mean()) - 1 / 3) < 4 * np.sqrt((1 / 5 - 1 / 9) / n)


def test_frozen_weights_never_move_and_biases_neither():
    found = gems()
    values = {n: net().get_parameter(n).detach() for n in WEIGHTS}
    for stage in found.stages[:-1]:
        assert stage.trained == "scores"
        for n, w in values.items():
            constant = torch.where(w < 0, -1.0, 1.0) * w.square().mean().sqrt()
            for where in (stage.start, stage.end):
                assert bool(((where[n] == constant) | (where[n] == 0)).all())
            there = torch.ones_like(w, dtype=torch.bool) if stage.mask is None else stage.mask[n]
            assert torch.equal(stage.end[n] != 0, there & (stage.scores[n] > 0.5))
        for n in ("input.bias", "norm.weight", "norm.bias", "output.bias"):
            assert torch.equal(stage.end[n], net().get_parameter(n).detach())
    last = found.stages[-1]
    assert (last.name, last.trained) == ("fine-tune", "weights") and zeros_outside(last.end, found.mask)
    for n, w in values.items():  # all that is left is trained, also where the score rounds to 0
        constant = torch.where(w < 0, -1.0, 1.0) * w.square().mean().sqrt()
        assert torch.equal(last.start[n], constant * found.mask[n])
    assert torch.equal(last.start["norm.running_var"], found.stages[-2].end["norm.running_var"])
    assert not torch.equal(last.start["norm.running_var"], torch.ones(12))


def test_without_signed_constants_the_weights_are_those_given():
    found = gems(signed_constant=False)
    for n in WEIGHTS:
        assert torch.equal(found.stages[-1].start[n], net().get_parameter(n).detach() * found.mask[n])


def test_gems_are_nested_exact_and_leave_a_plain_network():
    model = net()
    found = gems(model)
    assert [m.kept for m in found.masks] == kept_by_round(228, 40, 3) and len(found.stages) == 4
    for outer, inner in pairwise(found.masks):
        assert inside(inner, outer)
    assert found.model is model and [n for n, _ in model.named_parameters()] == [n for n, _ in net().named_parameters()]
    assert all(p.requires_grad for p in model.parameters())
    assert equal(state(gems().model), state(model)) and gems(seed=4).mask != found.mask
    assert [stage.cut for stage in found.stages] == [*found.masks, None]
    assert found.epochs == 6 + 2


def test_decay_pulls_scores_down():
    means = []
    for l2 in (0.0, 0.5):
        found = gems(search=Config(epochs=6, batch_size=60, lr=0.3, l2=l2), keep=200, period=2)
        means.append(np.mean([float(s.mean()) for s in found.stages[2].scores.values()]))
    assert means[1] < means[0]


def test_gems_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="period is 4: give a divisor of the 6 epochs"):
        gems(period=4)

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 3)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.c(self.b(self.a(x.flatten(1))))

    with pytest.raises(ValueError, match="is shared by two modules"):
        gems(Tied())


# ---------------------------------------------------------------- random masks


def reference_counts(sizes, keep, last, steep):
    """Bisect for k in the definition, in plain Python."""
    L = len(sizes)
    ratio = [((L - k + 1) ** 2 + (L - k + 1)) / (k**2 if steep else 1) for k in range(1, L)]
    own = max(1, round(last * sizes[-1]))
    low, high = 0.0, 1e9
    for _ in range(300):
        k = (low + high) / 2
        total = sum(n * min(1.0, k * r) for n, r in zip(sizes, ratio, strict=False))
        low, high = (k, high) if total < keep - own else (low, k)
    return [n * min(1.0, high * r) for n, r in zip(sizes, ratio, strict=False)], own


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.booleans(), st.data())
def test_smart_ratios_fall_with_depth_and_sum_exactly(widths, steep, draw):
    model = nn.Sequential(*[nn.Linear(a, b) for a, b in pairwise([5, *widths])])
    sizes = [layer.weight.numel() for layer in model]
    own = max(1, round(0.3 * sizes[-1]))
    keep = draw.draw(st.integers(own, own + sum(sizes[:-1])))
    counts = list(smart_ratio_counts(model, keep, steep=steep).values())
    assert sum(counts) == keep and counts[-1] == own
    wanted, _ = reference_counts(sizes, keep, 0.3, steep)
    for found, exact, size in zip(counts, wanted, sizes, strict=False):
        assert abs(found - exact) < 1 + 1e-6 and 0 <= found <= size


def test_smart_ratio_shares_of_a_network():
    model = models.fcn(100, [50, 50, 50])
    counts = smart_ratio_counts(model, 0.05)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    shares = [counts[name] / sizes[name] for name in sizes]
    np.testing.assert_allclose([s / shares[0] for s in shares[:3]], [1, 12 / 20, 6 / 20], rtol=0.02)
    assert counts["output.weight"] == 150 and sum(counts.values()) == round(0.05 * sum(sizes.values()))
    with pytest.raises(ValueError, match="of which the last layer gets 150"):
        smart_ratio_counts(model, 0.01)
    with pytest.raises(ValueError, match=r"last is 1\.5"):
        smart_ratio_counts(model, 0.05, last=1.5)
    with pytest.raises(ValueError, match="model has 1 layer"):
        smart_ratio_counts(nn.Linear(3, 2), 0.5)


def test_random_masks_keep_every_weight_of_a_layer_alike():
    model = net()
    counts = smart_ratio_counts(model, 60)
    times = 400
    smart = [smart_ratio_mask(model, 60, seed) for seed in range(times)]
    plain = [random_mask(model, 60, seed) for seed in range(times)]
    for name in WEIGHTS:
        share = counts[name] / model.get_parameter(name).numel()
        for masks, expected in ((smart, share), (plain, 60 / 228)):
            rate = torch.stack([m[name] for m in masks]).double().mean(0)
            error = np.sqrt(expected * (1 - expected) / times)
            assert float((rate - expected).abs().max()) < 5 * error
    assert all(m.kept == 60 for m in plain) and all(m.counts() == counts for m in smart)
    assert smart_ratio_mask(model, 60, 7) == smart[7] and smart[7] != smart[8]


def test_a_network_pruned_before_training():
    mask = random_mask(net(), 0.3, 5)
    found = train_masked(net(), DATA, CONFIG, mask, name="random")
    by_hand = net()
    fit(by_hand, DATA, CONFIG, masks=mask, progress=False)
    assert equal(state(found.model), state(by_hand)) and zeros_outside(state(by_hand), mask)
    assert (found.algorithm, found.mask, found.epochs) == ("random", mask, 4)
    for name in WEIGHTS:
        assert torch.equal(found.stages[0].start[name], net().get_parameter(name).detach() * mask[name])


# ---------------------------------------------------------------- killed and taken up again

ROADS = {
    "one shot": lambda folder: global_one_shot(net(), DATA, CONFIG, 50, fine_tune=TUNE, resume=folder),
    "lottery": lambda folder: iterative_magnitude_pruning(net(), DATA, CONFIG, 30, rounds=2, rewind=1, resume=folder),
    "gems": lambda folder: gems(resume=folder),
    "random": lambda folder: train_masked(net(), DATA, CONFIG, random_mask(net(), 50, 0), resume=folder),
}


@pytest.mark.parametrize("road", ROADS)
def test_killed_and_resumed_is_as_if_never_killed(road, tmp_path, monkeypatch):
    from prunekit.nets.engine import Engine

    whole = ROADS[road](None)
    real, left, run = Engine.advance, [whole.epochs // 2], [0]

    def mortal(self):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        run[0] += 1
        return real(self)

    monkeypatch.setattr(Engine, "advance", mortal)
    with pytest.raises(KeyboardInterrupt):
        ROADS[road](tmp_path / "run")
    left[0] = -1
    again = ROADS[road](tmp_path / "run")
    assert run[0] == whole.epochs  # nothing was trained twice
    assert equal(state(again.model), state(whole.model)) and again.masks == whole.masks
    for a, b in zip(again.stages, whole.stages, strict=True):
        assert equal(a.start, b.start) and equal(a.end, b.end) and a.name == b.name
        assert a.history.without("seconds") == b.history.without("seconds")
    ROADS[road](tmp_path / "run")
    assert run[0] == whole.epochs


# ---------------------------------------------------------------- thresholds at the cuts


@pytest.mark.parametrize("road", ["lottery", "gems", "one shot"])
def test_thresholds_at_the_cuts_are_equation_18_of_the_active_block(road):
    found = ROADS[road](None)
    cuts = cut_thresholds(found, DATA, shares=[0.3, 0.9], batch_size=20, shuffles=2, seed=1)
    stages = [stage for stage in found.stages if stage.cut is not None]
    assert len(cuts) == len(stages) == len(found.masks)
    pairs = (DATA.normalize(DATA.train_x), DATA.train_y)
    for at, stage in zip(cuts, stages, strict=True):
        model = net()
        model.load_state_dict(stage.end)
        there = np.ones(228, dtype=bool) if stage.mask is None else positions(stage.mask)
        hessian = hessian_matrix(model, nn.functional.cross_entropy, pairs, parameters=list(WEIGHTS)).numpy()
        h = np.abs(np.linalg.eigvalsh(hessian[np.ix_(there, there)]))
        w = np.concatenate([stage.end[n].double().numpy().ravel() for n in WEIGHTS])[there]

        losses = minibatch_tolerance(model, pairs, nn.functional.cross_entropy, batch_size=20, shuffles=2, seed=1)
        assert at.epsilon == losses.value

        def T(squared, h=h, eps=at.epsilon):
            return 1 - np.mean(2 * eps / (2 * eps + squared * h))

        small_first = np.sort(w**2)
        kept = positions(stage.cut)[there]
        assert (at.active, at.kept) == (there.sum(), kept.sum()) and at.ratio == kept.mean()
        assert at.threshold == pytest.approx(T((w[~kept] ** 2).sum()), abs=1e-6)
        assert at.margin == at.ratio - at.threshold
        for share, mine, chance in zip(at.shares, at.by_magnitude, at.at_random, strict=True):
            gone = w.size - round(share * w.size)
            assert mine == pytest.approx(T(small_first[:gone].sum()), abs=1e-6)
            assert chance == pytest.approx(T((w**2).sum() * gone / w.size), abs=1e-6)
        least = min(k for k in range(w.size + 1) if k / w.size >= T(small_first[: w.size - k].sum()) - 1e-9)
        assert abs(at.limit - least / w.size) <= 1.01 / w.size
        loss, _ = evaluate(model, DATA, train=True)
        stage.cut.apply_(model)
        assert at.rise == pytest.approx(evaluate(model, DATA, train=True)[0] - loss)
        if road == "lottery":  # magnitude removed the smallest
            assert at.threshold == pytest.approx(T(small_first[: (~kept).sum()].sum()), abs=1e-6)


def test_thresholds_count_the_weights_that_were_to_be_pruned_alone():
    found = global_one_shot(net(), DATA, CONFIG, 50, parameters="input.weight")
    (at,) = cut_thresholds(found, DATA, batch_size=20)
    assert (at.active, at.kept) == (192, 50)


def test_thresholds_need_a_cut_after_a_training():
    with pytest.raises(ValueError, match="no cut after a training"):
        cut_thresholds(train_masked(net(), DATA, CONFIG, random_mask(net(), 50, 0)), DATA, batch_size=20)


# ---------------------------------------------------------------- one budget

KNOBS = Knobs(l1=0.01, score_rate=2.0, score_decay=0.01, rounds=3, period=2)
BUDGET = Config(epochs=8, batch_size=20, lr=0.1, momentum=0.5, schedule="multistep", milestones=(4, 6))


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, *LONGER])
def test_every_algorithm_keeps_to_its_budget(algorithm):
    found = run_algorithm(algorithm, net, DATA, BUDGET, 60, KNOBS)
    epochs = {"rare gems, longer": 16, "lottery tickets, longer": 32}.get(algorithm, 8)
    assert (found.algorithm, found.epochs) == (algorithm, epochs)
    assert found.kept == (228 if algorithm == "dense" else 60)
    assert found == run_algorithm(algorithm, net, DATA, BUDGET, 60, KNOBS)
    if algorithm == "lottery tickets":
        short = Config(epochs=2, batch_size=20, lr=0.1, momentum=0.5, schedule="multistep", milestones=(1, 2))
        assert shortened(BUDGET, 2) == short
        by_hand = iterative_magnitude_pruning(net(), DATA, short, 60, rounds=3)
        assert found.test_accuracy == by_hand.test_accuracy


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="algorithm is 'snip': give one of 'dense', 'one-shot'"):
        run_algorithm("snip", net, DATA, BUDGET, 60, KNOBS)


def test_the_package_says_what_it_offers():
    assert all(hasattr(algorithms, name) for name in algorithms.__all__)


@pytest.mark.parametrize("algorithm", ["iterative", "one-shot", "gems"])
def test_frozen_weights_are_left_alone_and_refused_by_name_before_any_training(algorithm, monkeypatch):
    def run(model, parameters=None):
        if algorithm == "iterative":
            return iterative_magnitude_pruning(model, toy(), quick, 0.5, rounds=1, parameters=parameters)
        if algorithm == "one-shot":
            return global_one_shot(model, toy(), quick, 0.5, parameters=parameters)
        return rare_gems(model, toy(), quick, quick, 0.5, period=1, parameters=parameters)

    quick = Config(epochs=1, lr=0.05)
    model = models.fcn(toy().inputs, [6], toy().classes, seed=0)
    model.input.weight.requires_grad_(False)
    before = model.input.weight.clone()
    pruned = run(model)
    assert list(pruned.mask) == ["output.weight"] and torch.equal(model.input.weight, before)
    monkeypatch.setattr("prunekit.algorithms.results.fit", None)  # no training may begin
    with pytest.raises(ValueError, match=r"parameters holds 'input.weight', which is frozen: .* output.weight"):
        run(model, ["input.weight", "output.weight"])
