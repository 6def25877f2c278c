"""Masks: exact counts, held through training, taken off."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from prunekit.importance import two_layer_diagonal
from prunekit.masks import Mask, scores
from tests.masks.helpers import SMALL, Raw, bools, kept_positions, network, sample

few = st.lists(st.sampled_from([-1.0, -0.0, 0.0, 1.0, 2.0, math.inf, -math.inf]), min_size=1, max_size=8)


def top(values, s):
    """Sort stably by decreasing score: the definition, in Python's own words."""
    return sorted(sorted(range(len(values)), key=lambda i: -values[i])[:s])


@settings(max_examples=150, deadline=None)
@given(st.lists(few, min_size=1, max_size=3), st.data())
def test_global_counts_are_exact_and_ties_go_to_the_lowest_index(layers, draw):
    everything = [x for layer in layers for x in layer]
    s = draw.draw(st.integers(1, len(everything)))
    given = {f"p{i}": torch.tensor(layer) for i, layer in enumerate(layers)}
    mask = Mask.from_scores(given, s)
    assert kept_positions(mask) == top(everything, s)
    assert mask.kept == s and mask.total == len(everything) and sum(mask.counts().values()) == s
    assert Mask.from_scores(given, s / len(everything)) == mask
    for name, part in given.items():
        assert mask.fractions()[name] == pytest.approx(int(mask[name].sum()) / part.numel())


@settings(max_examples=80, deadline=None)
@given(st.lists(few, min_size=1, max_size=3), st.data())
def test_layer_counts_are_exact_in_each_layer(layers, draw):
    given = {f"p{i}": torch.tensor(layer) for i, layer in enumerate(layers)}
    s = draw.draw(st.integers(1, min(map(len, layers))))
    counts = {name: draw.draw(st.integers(1, part.numel())) for name, part in given.items()}
    for keep in (s, counts):
        mask = Mask.from_scores(given, keep, scope="layer")
        for name, part in given.items():
            wanted = keep[name] if isinstance(keep, dict) else keep
            assert mask[name].nonzero().flatten().tolist() == top(part.tolist(), wanted)
    by_fractions = {name: c / given[name].numel() for name, c in counts.items()}
    assert Mask.from_scores(given, by_fractions, scope="layer").counts() == counts


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_distinct_scores_follow_a_permutation(seed, s):
    rng = torch.Generator().manual_seed(seed)
    values, order = torch.rand(12, generator=rng), torch.randperm(12, generator=rng)
    mask = Mask.from_scores({"w": values}, s)
    assert torch.equal(Mask.from_scores({"w": values[order]}, s)["w"], mask["w"][order])
    assert Mask.from_scores({"w": values.view(3, 4)}, s) == Mask({"w": mask["w"].view(3, 4)})
    assert Mask.from_scores({"w": 5 * values - 1}, s) == mask


def test_many_ties_at_the_cut_and_every_dtype():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.int64, torch.bool):
        mask = Mask.from_scores({"a": torch.ones(50, 40).to(dtype), "b": torch.zeros(5).to(dtype)}, 1234)
        assert kept_positions(mask) == list(range(1234))
    assert Mask.from_scores({"w": torch.arange(1000)}, 0.05).kept == 50
    assert Mask.from_scores({"w": torch.arange(5)}, 0.5).kept == 2  # halves to even
    assert Mask.from_scores({"w": torch.arange(10)}, 0.29).kept == 3  # to the nearest


def test_lemma_4_1_in_masks():
    """Magnitude pruning empties the output layer at large λ; Hessian pruning keeps the same set for every λ."""
    X, _ = sample()
    found = {}
    for lam in (0.0625, 1.0, 16.0):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 50, bias=False), nn.ReLU(), nn.Linear(50, 3, bias=False)).double()
        with torch.no_grad():
            model[0].weight.mul_(lam)
            model[2].weight.div_(lam)
        closed = two_layer_diagonal(model[0].weight, model[2].weight, X)
        diagonal = {"0.weight": closed.W, "2.weight": closed.V}
        found[lam] = [Mask.from_scores(s, 0.1) for s in (scores.magnitude(model), scores.hessian(model, diagonal))]
    assert found[16.0][0].fractions()["2.weight"] == 0 == found[0.0625][0].fractions()["0.weight"]
    assert found[16.0][1] == found[1.0][1] == found[0.0625][1]


def test_a_mask_never_changes():
    given = bools(True, False)
    mask = Mask({"w": given})
    given[1] = True
    mask["w"].fill_(True)
    dict(mask)["w"].fill_(True)
    assert mask.counts() == {"w": 1}
    with pytest.raises(AttributeError):
        mask.tensors = {}
    with pytest.raises(TypeError):
        hash(mask)
    assert repr(mask) == "Mask(1 of 2 kept: w 0.5)"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_intersection_and_complement_are_those_of_sets(rows):
    one, two, three = (Mask({"w": bools(*column)}) for column in zip(*rows, strict=True))
    assert (one & two)["w"].tolist() == [a and b for a, b, _ in rows]
    assert one & two == two & one and (one & two) & three == one & (two & three)
    assert one & one == one and ~~one == one and (one & ~one).kept == 0
    assert (one == two) == all(a == b for a, b, _ in rows) and one != "w"


def test_apply_zeroes_once_even_what_is_not_finite():
    model = network()
    with torch.no_grad():
        model[0].weight[0, 0], model[0].weight[0, 1] = math.nan, math.inf
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    kept = torch.rand(6, 4) > 0.5
    kept[0, :2] = False
    Mask({"0.weight": kept}).apply_(model)
    assert torch.equal(model[0].weight.detach(), torch.where(kept, before["0.weight"], 0.0))
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters() if n != "0.weight")


def steps(model, optimizer, count=5):
    X, y = sample()
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(model(X), y).backward()
        optimizer.step()


OPTIMIZERS = {
    "momentum": lambda ps: torch.optim.SGD(ps, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adamw": lambda ps: torch.optim.AdamW(ps, lr=0.05, weight_decay=0.1),
    "amsgrad": lambda ps: torch.optim.Adam(ps, lr=0.05, amsgrad=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_attached_mask_holds_against_old_momentum_and_bakes_cleanly(name):
    model = network()
    names, own = [n for n, _ in model.named_parameters()], {id(p) for p in model.parameters()}
    optimizer = OPTIMIZERS[name](model.parameters())
    steps(model, optimizer)  # so that there is momentum that would move the removed weights
    mask = Mask.from_scores(scores.magnitude(model), 0.3)
    mask.attach(model)
    for _ in range(4):
        steps(model, optimizer, 1)
        for part in (0, 2):
            assert not model[part].weight[~mask[f"{part}.weight"]].any()
            assert not model[part].parametrizations.weight.original.grad[~mask[f"{part}.weight"]].any()
    outputs = model(sample()[0])
    mask.bake(model)
    assert not parametrize.is_parametrized(model[0]) and type(model[0]) is nn.Linear
    assert [n for n, _ in model.named_parameters()] == names
    assert {id(p) for p in model.parameters()} == own
    assert torch.equal(model(sample()[0]), outputs)
    assert all(not model[part].weight[~mask[f"{part}.weight"]].any() for part in (0, 2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_an_attached_mask_keeps_trains_as_if_zeroed_by_hand(name):
    model, twin = network(), network()
    mask = Mask.from_scores(scores.magnitude(model), 0.3)
    mask.attach(model)
    steps(model, OPTIMIZERS[name](model.parameters()))
    mask.bake(model)
    mask.apply_(twin)
    for part in (0, 2):
        twin[part].weight.register_hook(lambda g, kept=mask[f"{part}.weight"]: g * kept)
    steps(twin, OPTIMIZERS[name](twin.parameters()))
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_stored_weights_are_zero_where_removed_so_that_norms_are_right():
    model = network()
    mask = Mask.from_scores(scores.magnitude(model), 0.3)
    mask.attach(model)
    assert not model[0].parametrizations.weight.original[~mask["0.weight"]].any()


def test_copies_carry_the_mask_and_are_baked_each_by_itself():
    model = network()
    mask = Mask.from_scores(scores.magnitude(model), 0.3)
    mask.attach(model)
    copied = copy.deepcopy(model)
    steps(copied, OPTIMIZERS["momentum"](copied.parameters()))
    mask.bake(copied)
    for net in (copied, model):
        assert not net[0].weight[~mask["0.weight"]].any()
    model.float()
    third = copy.deepcopy(model)
    mask.bake(model)
    assert model[0].weight.dtype == torch.float32
    assert third(torch.ones(1, 4)).shape == (1, 3)
    mask.bake(third)
    assert type(third[0]) is type(model[0]) is type(copied[0]) is nn.Linear


def test_any_module_can_carry_a_mask():
    model = Raw()
    mask = Mask.from_scores(scores.magnitude(model, parameters=["W", "V"]), 10)
    mask.attach(model)
    steps(model, OPTIMIZERS["adamw"](model.parameters()))
    mask.bake(model)
    assert type(model) is Raw and [n for n, _ in model.named_parameters()] == ["W", "shift", "V"]
    assert sum(int((p != 0).sum()) for p in (model.W, model.V)) == 10
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    keys = list(conv.state_dict())
    mask = Mask.from_scores(scores.random(conv, 0), 0.25, scope="layer")
    assert mask.counts() == {"0.weight": 4, "3.weight": 6}  # 4.5 to even, 6
    mask.attach(conv)
    assert conv(torch.ones(2, 1, 4, 4)).shape == (2, 3)
    mask.bake(conv)
    assert list(conv.state_dict()) == keys


def test_shared_parameters():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    mask = Mask.from_scores(scores.magnitude(model), 4)
    assert list(mask) == ["0.weight"]
    with pytest.raises(ValueError, match=r"'0\.weight' is shared with '1\.weight'"):
        mask.attach(model)
    mask.apply_(model)
    assert int((model[1].weight != 0).sum()) == 4
    one = nn.Linear(3, 3)
    model = nn.Sequential(one, nn.Tanh(), one)  # one module with two names has one weight, which can be held
    mask.attach(model)
    assert int((model[2].weight != 0).sum()) == 4
    mask.bake(model)


def test_attaching_is_all_or_nothing_and_only_once():
    model = network()
    mask = Mask.from_scores(scores.magnitude(model), 5)
    before = [n for n, _ in model.named_parameters()]
    wrong = Mask({"0.weight": mask["0.weight"], "2.weight": mask["2.weight"].T})
    for act in (wrong.attach, wrong.apply_):
        with pytest.raises(ValueError, match=r"mask of '2\.weight' has shape \(6, 3\): give one of shape \(3, 6\)"):
            act(model)
    assert [n for n, _ in model.named_parameters()] == before and model[0].weight.all()
    mask.attach(model)
    for act in (mask.attach, mask.apply_, scores.magnitude):
        with pytest.raises(ValueError, match="bake its mask first"):
            act(model)
    with pytest.raises(ValueError, match=r"'0\.weight' carries another mask"):
        (~mask).bake(model)
    mask.bake(model)
    with pytest.raises(ValueError, match=r"'0\.weight' carries no mask"):
        mask.bake(model)
    held = Mask({"0.parametrizations.weight.original0": torch.ones(2, 1).bool()})
    with pytest.raises(ValueError, match="parametrized already"):
        held.attach(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))))


W = {"w": torch.arange(4.0)}
LIN = nn.Linear(2, 2, bias=False).double()
REFUSED = [
    (lambda: Mask([True]), TypeError, "tensors is a list"),
    (lambda: Mask({}), ValueError, "tensors is empty"),
    (lambda: Mask({"w": torch.ones(2)}), TypeError, r"tensors\['w'\] is of type torch.float32: give a bool tensor"),
    (lambda: Mask({"w": torch.tensor([0, 1])}), TypeError, "torch.int64"),
    (lambda: Mask({"w": [True]}), TypeError, "of type list"),
    (lambda: Mask({3: bools(True)}), TypeError, r"tensors\[3\]"),
    (lambda: Mask({"w": bools()}), ValueError, "give at least one entry"),
    (lambda: SMALL & Mask({"b": bools(True)}), ValueError, "other covers b: give a mask that covers b, a"),
    (lambda: SMALL & Mask({"b": bools(True), "a": bools(True)}), ValueError, r"other\['b'\] has shape \(1,\)"),
    (lambda: SMALL & 1, TypeError, "unsupported operand"),
    (lambda: Mask.from_scores({}, 1), TypeError, "scores is dict without entries"),
    (lambda: Mask.from_scores({"w": [1.0]}, 1), TypeError, r"scores\['w'\]"),
    (lambda: Mask.from_scores({"w": torch.ones(2, dtype=torch.complex64)}, 1), TypeError, "complex64"),
    (lambda: Mask.from_scores({"w": torch.tensor([1.0, math.nan])}, 1), ValueError, r"scores\['w'\] holds NaN"),
    (lambda: Mask.from_scores(W, 0), ValueError, "keep is 0: give an integer from 1 to 4"),
    (lambda: Mask.from_scores(W, 5), ValueError, "keep is 5"),
    (lambda: Mask.from_scores(W, 0.0), ValueError, "keep is 0.0: give a fraction above 0"),
    (lambda: Mask.from_scores(W, 1.5), ValueError, "keep is 1.5"),
    (lambda: Mask.from_scores(W, math.nan), ValueError, "keep is nan"),
    (lambda: Mask.from_scores(W, 0.1), ValueError, "keeps none of 4 weights: give at least 0.25"),
    (lambda: Mask.from_scores(W, True), TypeError, "truth value"),
    (lambda: Mask.from_scores(W, "half"), TypeError, "keep is 'half'"),
    (lambda: Mask.from_scores(W, {"w": 1}), TypeError, "scope='layer'"),
    (lambda: Mask.from_scores(W, {"v": 1}, scope="layer"), ValueError, "entries for v: give one for each of w"),
    (lambda: Mask.from_scores(W, {"w": 5}, scope="layer"), ValueError, r"keep\['w'\] is 5"),
    (lambda: Mask.from_scores(W, 1, scope="node"), ValueError, "scope is 'node': give 'global' or 'layer'"),
    (lambda: SMALL.apply_(3), TypeError, "model is a int"),
    (lambda: SMALL.bake(3), TypeError, "model is a int"),
    (lambda: SMALL.apply_(LIN), ValueError, "'b', which is no parameter of the model"),
    (lambda: Mask({"0": bools(True)}).apply_(network()), ValueError, "'0' is a module of the model"),
]


@pytest.mark.parametrize("call, kind, message", REFUSED, ids=[message for *_, message in REFUSED])
def test_bad_inputs_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_it_says_which_share_of_a_network_it_covers():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False))
    mask = Mask({"0.weight": torch.ones(3, 4, dtype=torch.bool)})
    told = mask.coverage(model)
    assert told == "12 of 27 parameters, 44.4%, not 3 biases, not 6 normalizations, not 6 not named"
    with pytest.raises(ValueError, match=r"2\.weight"):
        Mask({"2.weight": torch.ones(2, 2, dtype=torch.bool)}).coverage(model)
