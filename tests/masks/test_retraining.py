"""The road train, prune, retrain: what is rewound, and whose random numbers are drawn."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from prunekit.masks import Mask, Retrained, scores, train_prune_retrain
from tests.masks.helpers import Raw, network, sample


def trainer(model, mask):
    """Train with noise from torch's global generator, as dropout and shuffling do."""
    X, y = sample()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    for _ in range(10):
        optimizer.zero_grad()
        F.cross_entropy(model(X + 0.1 * torch.randn_like(X)), y).backward()
        optimizer.step()


def road(rewind="trained", seed=0, model=None, keep=12, **rest):
    model = model or network()
    return model, train_prune_retrain(model, trainer, scores.magnitude, keep, rewind=rewind, seed=seed, **rest)


@pytest.mark.parametrize("rewind", ["trained", "initial", "fresh"])
def test_train_prune_retrain(rewind):
    model, found = road(rewind)
    assert isinstance(found, Retrained) and found.rewind == rewind and found.mask.kept == 12
    initial = dict(network().named_parameters())
    assert all(torch.equal(found.initial[n], p) for n, p in initial.items())
    reference = {"trained": found.trained, "initial": found.initial}.get(rewind)
    assert found.mask == Mask.from_scores({n: found.trained[n].abs() for n in found.mask}, 12)
    for name, p in model.named_parameters():
        kept = found.mask[name] if name in found.mask else torch.ones_like(p, dtype=torch.bool)
        assert torch.equal(found.retrained[name], p) and not p[~kept].any() and not found.start[name][~kept].any()
        assert not torch.equal(found.start[name], p) and not torch.equal(found.initial[name], found.trained[name])
        if reference is not None:
            assert torch.equal(found.start[name], torch.where(kept, reference[name], 0.0))
        else:
            for other in (found.initial, found.trained):
                assert (found.start[name] != other[name])[kept].all()
    _, again = road(rewind)
    _, other = road(rewind, seed=1)
    assert all(torch.equal(again.retrained[n], t) for n, t in found.retrained.items())
    assert not torch.equal(other.retrained["0.bias"], found.retrained["0.bias"])


def test_fresh_is_another_draw_than_the_initialization_of_the_same_seed():
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    first = model.weight.detach().clone()
    _, found = road("fresh", seed=0, model=model)
    assert (found.start["weight"] != first).all()


def test_fresh_by_the_callers_initialization_and_buffers_rewound():
    def small(model):
        for p in model.parameters():
            nn.init.uniform_(p, 2.0, 3.0)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)).double()
    _, found = road("fresh", model=copy.deepcopy(model), initialize=small)
    assert all(2 <= x <= 3 for x in found.start["0.weight"][found.mask["0.weight"]].tolist())
    _, found = road("initial", model=copy.deepcopy(model))
    assert found.trained["1.running_mean"].any() and not found.start["1.running_mean"].any()
    assert found.trained["1.num_batches_tracked"] == 10 == found.retrained["1.num_batches_tracked"]
    _, found = road("fresh", model=copy.deepcopy(model))
    assert not found.start["1.running_mean"].any()


def test_the_global_generator_is_left_as_it_was_and_does_not_matter():
    torch.manual_seed(5)
    model, twin = network(), network()
    before = torch.get_rng_state()
    _, found = road(model=model)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    _, again = road(model=twin)
    assert torch.equal(again.retrained["0.weight"], found.retrained["0.weight"])


def test_retraining_draws_its_own_numbers_whatever_training_drew():
    seen = {}

    def noisy(model, mask, extra):
        if mask is None:
            torch.randn(extra)
        else:
            seen[extra] = torch.randn(3)

    for extra in (0, 5):
        train_prune_retrain(network(), lambda m, k, n=extra: noisy(m, k, n), scores.magnitude, 5)
    assert torch.equal(seen[0], seen[5])


def test_the_two_trainings_and_the_new_draw_have_three_seeds():
    drawn = []

    def note(*_):
        drawn.append(float(torch.rand(())))

    train_prune_retrain(network(), note, scores.magnitude, 5, rewind="fresh", initialize=note)
    assert len(set(drawn)) == 3


def test_a_trainer_sees_the_mask_and_one_that_fails_leaves_no_mask_behind():
    seen = []

    def failing(model, mask):
        seen.append((mask, parametrize.is_parametrized(model[0])))
        if mask is not None:
            raise RuntimeError("diverged")

    model = network()
    with pytest.raises(RuntimeError, match="diverged"):
        train_prune_retrain(model, failing, scores.magnitude, 5)
    assert [attached for _, attached in seen] == [False, True] and seen[0][0] is None and seen[1][0].kept == 5
    assert not parametrize.is_parametrized(model[0])
    with pytest.raises(ValueError, match=r"model has a weight in '0.weight' that is not finite"):
        train_prune_retrain(network(), lambda m, _: m[0].weight.data.fill_(math.nan), scores.magnitude, 5)
    layered = train_prune_retrain(network(), trainer, scores.magnitude, 0.5, scope="layer")
    assert layered.mask.counts() == {"0.weight": 12, "2.weight": 9}


REFUSED = [
    (lambda: road("late"), ValueError, "rewind is 'late': give 'trained', 'initial' or 'fresh'"),
    (lambda: road(seed=-1), ValueError, "seed is -1"),
    (lambda: road("fresh", model=Raw()), ValueError, "module '' has no reset_parameters: give initialize"),
]


@pytest.mark.parametrize("call, kind, message", REFUSED, ids=[message for *_, message in REFUSED])
def test_bad_inputs_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
