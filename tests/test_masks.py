"""Masks: exact counts, held through training, exported; the surgeon against dense algebra; the road to retraining."""

import copy
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from prunekit import pruning, scores
from prunekit.importance import hessian_matrix, two_layer_diagonal
from prunekit.masks import Mask, Retrained, optimal_brain_surgeon, train_prune_retrain


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def sample(n=30):
    rng = torch.Generator().manual_seed(0)
    return torch.randn(n, 4, generator=rng, dtype=torch.float64), torch.randint(3, (n,), generator=rng)


def bools(*values):
    return torch.tensor(values, dtype=torch.bool)


SMALL = Mask({"b": bools(True, False, True), "a": bools(False, False)[None]})
few = st.lists(st.sampled_from([-1.0, -0.0, 0.0, 1.0, 2.0, math.inf, -math.inf]), min_size=1, max_size=8)


def top(values, s):
    """Sort stably by decreasing score: the definition, in Python's own words."""
    return sorted(sorted(range(len(values)), key=lambda i: -values[i])[:s])


def kept_positions(mask):
    return torch.cat([kept.flatten() for kept in mask.values()]).nonzero().flatten().tolist()


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


class Raw(nn.Module):
    """Parameters of no layer, with one that is not pruned between."""

    def __init__(self):
        super().__init__()
        self.W = nn.Parameter(torch.randn(5, 4, dtype=torch.float64))
        self.shift = nn.Parameter(torch.zeros(5, dtype=torch.float64))
        self.V = nn.Parameter(torch.randn(3, 5, dtype=torch.float64))
        self.register_parameter("none", None)

    def forward(self, x):
        return torch.relu(x @ self.W.T + self.shift) @ self.V.T


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


masks = st.dictionaries(
    st.text(min_size=1, max_size=6).filter(lambda s: s != "__metadata__"),
    st.tuples(st.lists(st.integers(1, 3), max_size=3), st.integers(0, 10**6)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(masks)
def test_export_round_trip(tmp_path_factory, shapes):
    folder = tmp_path_factory.mktemp("masks")
    rng = {name: torch.Generator().manual_seed(seed) for name, (_, seed) in shapes.items()}
    mask = Mask({name: torch.rand(tuple(size), generator=rng[name]) > 0.5 for name, (size, _) in shapes.items()})
    for ending in ("safetensors", "json"):
        mask.save(folder / f"m.{ending}")
        found = Mask.load(str(folder / f"m.{ending}"))
        assert found == mask and list(found) == list(mask)
        assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_an_exported_mask_fits_the_model_it_came_from(tmp_path):
    model = network()
    mask = Mask.from_scores(scores.magnitude(model), 7)
    for ending in ("safetensors", "json"):
        mask.save(tmp_path / f"m.{ending}")
        again = network()
        Mask.load(tmp_path / f"m.{ending}").apply_(again)
        assert sum(int((again[i].weight != 0).sum()) for i in (0, 2)) == 7
        with pytest.raises(ValueError, match=r"'0\.weight' is no parameter of the model"):
            Mask.load(tmp_path / f"m.{ending}").apply_(nn.Linear(4, 6))
        with pytest.raises(ValueError, match="has shape"):
            Mask.load(tmp_path / f"m.{ending}").apply_(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))


@pytest.mark.parametrize("ending", ["safetensors", "json"])
def test_order_is_exported(tmp_path, ending):
    SMALL.save(tmp_path / f"m.{ending}")
    assert list(Mask.load(tmp_path / f"m.{ending}")) == ["b", "a"]


@pytest.mark.parametrize("ending", ["safetensors", "json"])
def test_truncated_and_changed_files_are_refused(tmp_path, ending):
    path = tmp_path / f"m.{ending}"
    SMALL.save(path)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=f"^m.{ending} "):
            Mask.load(path)
    for foreign in (b"", b"[]", b"\x00" * 100, b"GIF89a" + content, content[::-1]):
        path.write_bytes(foreign)
        with pytest.raises(ValueError, match=f"^m.{ending} "):
            Mask.load(path)


def test_foreign_safetensors_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    tensors = {"w": bools(True, False)}
    good = {"format": "prunekit.mask", "version": "1", "counts": '{"w": 1}'}
    save_file(tensors, path, metadata=good)
    assert Mask.load(path).kept == 1
    for changed, message in [
        (None, "no mask of prunekit"),
        ({**good, "format": "pt"}, "no mask of prunekit"),
        ({**good, "version": "2"}, "has version '2': this prunekit reads version 1"),
        ({**good, "counts": '{"w": 2}'}, "damaged"),
        ({**good, "counts": "7"}, "lacks its counts"),
        ({"format": "prunekit.mask", "version": "1"}, "lacks its counts"),
    ]:
        save_file(tensors, path, metadata=changed)
        with pytest.raises(ValueError, match=message):
            Mask.load(path)
    save_file({"w": torch.ones(2)}, path, metadata=good)  # weights, not truth values
    with pytest.raises(ValueError, match="damaged"):
        Mask.load(path)
    for last in (b"\x03\x00", b"\x01\x02"):  # bytes that are no truth value
        save_file(tensors, path, metadata={**good, "counts": json.dumps({"w": sum(last)})})
        path.write_bytes(path.read_bytes()[:-2] + last)
        with pytest.raises(ValueError, match="damaged"):
            Mask.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"kept": [0, 0]}, {"kept": [4]}, {"kept": [-1]}, {"kept": [0.5]}, {"kept": True}, {"kept": {}},
        {"kept": ["a"]}, {"shape": [2, -2]}, {"shape": 4}, {"shape": [2.0]}, {"shape": [2**40]},
        {"shape": [2**20, 2**20]}, {"shape": [0]}, {"name": ["w"]}, {"name": 3},
    ],
    ids=str,
)  # fmt: skip
def test_damaged_json_is_refused(tmp_path, change):
    path = tmp_path / "m.json"
    entry = {"name": "w", "shape": [2, 2], "kept": [1, 3]}
    document = {"format": "prunekit.mask", "version": 1, "parameters": [entry]}
    path.write_text(json.dumps(document))
    assert Mask.load(path)["w"].tolist() == [[False, True], [False, True]]
    path.write_text(json.dumps({**document, "parameters": [{**entry, **change}]}))
    with pytest.raises(ValueError, match=r"^m.json is damaged"):
        Mask.load(path)


def test_other_damaged_json_and_endings(tmp_path):
    path = tmp_path / "m.json"
    entry = {"name": "w", "shape": [2], "kept": []}
    document = {"format": "prunekit.mask", "version": 1, "parameters": [entry]}
    for changed, message in [
        ({**document, "parameters": [entry, entry]}, "named twice"),
        ({**document, "parameters": [{"name": "w"}]}, "damaged"),
        ({**document, "version": 2}, "reads version 1"),
        ({**document, "format": None}, "no mask of prunekit"),
    ]:
        path.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=message):
            Mask.load(path)
    with pytest.raises(FileNotFoundError):
        Mask.load(tmp_path / "none.json")
    for act in (SMALL.save, Mask.load):
        with pytest.raises(ValueError, match=r"path ends in '\.pt': give one that ends in \.safetensors or \.json"):
            act(tmp_path / "m.pt")


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.json"
    SMALL.save(path)

    def full(self, content):
        self.write_text("half of it")
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="disk full"):
        (~SMALL).save(path)
    assert Mask.load(path) == SMALL and [p.name for p in tmp_path.iterdir()] == ["m.json"]


def positive(p, seed=0):
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(p, 2 * p, generator=rng, dtype=torch.float64)
    return A @ A.T / p


def constrained(H, w, removed):
    """Minimize (v - w)ᵀ H (v - w) / 2 subject to v = 0 on `removed`, by the dense system of its multipliers."""
    p, k = len(w), len(removed)
    E = torch.eye(p, dtype=w.dtype)[removed]
    system = torch.cat([torch.cat([H, E.T], 1), torch.cat([E, torch.zeros(k, k, dtype=w.dtype)], 1)])
    v = torch.linalg.solve(system, torch.cat([H @ w, torch.zeros(k, dtype=w.dtype)]))[:p]
    return v, float((v - w) @ H @ (v - w) / 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([0.0, 0.3]))
def test_surgeon_is_greedy_and_solves_the_constrained_quadratic(seed, s, damping):
    torch.manual_seed(seed)
    model = nn.Linear(3, 3, bias=False).double()
    H, w = positive(9, seed), model.weight.detach().flatten()
    found = optimal_brain_surgeon(model, H, s, damping=damping)
    damped, removed = H + damping * torch.eye(9, dtype=H.dtype), []
    for _ in range(9 - s):  # try every one, solve afresh, take the cheapest
        rest = [q for q in range(9) if q not in removed]
        removed.append(min(rest, key=lambda q: constrained(damped, w, [*removed, q])[1]))
    v, cost = constrained(damped, w, removed)
    assert sorted(removed) == [i for i in range(9) if i not in kept_positions(found.mask)] and found.mask.kept == s
    torch.testing.assert_close(found.weights["weight"].flatten(), v, rtol=1e-9, atol=1e-11)
    assert not found.weights["weight"][~found.mask["weight"]].any()
    assert found.cost == pytest.approx(cost, rel=1e-9, abs=1e-12)
    assert torch.equal(model.weight.detach().flatten(), w)
    theory = pruning.prune(w.numpy(), pruning.OptimalBrainSurgeon(s), covariance=damped.numpy())  # another program
    torch.testing.assert_close(v, torch.from_numpy(theory), rtol=1e-9, atol=1e-11)


def test_surgeon_with_a_diagonal_hessian_is_hessian_pruning_with_its_ties():
    model = nn.Linear(4, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 1.0, 3.0], [1.0, 1.0, -1.0, 1.0]]))
    variances = torch.tensor([[1.0, 1.0, 4.0, 1.0], [1.0, 1.0, 1.0, 9.0]], dtype=torch.float64)
    for s in range(1, 9):
        found = optimal_brain_surgeon(model, variances.flatten().diag(), s)
        assert found.mask == Mask.from_scores(scores.hessian(model, {"weight": variances}), s)
        assert torch.equal(found.weights["weight"], model.weight.detach() * found.mask["weight"])
    assert optimal_brain_surgeon(model, variances.flatten().diag(), 0.25).mask.kept == 2


def test_surgeon_on_a_trained_network_beats_magnitude():
    model, (X, y) = network(), sample(60)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=200, line_search_fn="strong_wolfe")

    def objective(net):
        return F.cross_entropy(net(X), y) + 0.01 * sum(p.square().sum() for p in net.parameters())

    def closure():
        optimizer.zero_grad()
        loss = objective(model)
        loss.backward()
        return loss

    optimizer.step(closure)
    H = hessian_matrix(model, F.cross_entropy, (X, y), parameters=["0.weight", "2.weight"])
    H = H + 0.02 * torch.eye(len(H), dtype=H.dtype)  # the penalty's part
    found = optimal_brain_surgeon(model, H, 20)
    twin, third = copy.deepcopy(model), copy.deepcopy(model)
    found.apply_(twin)
    Mask.from_scores(scores.magnitude(third), 20).apply_(third)
    assert torch.equal(twin[0].weight, found.weights["0.weight"])
    assert objective(twin) < objective(third)
    small = optimal_brain_surgeon(model, H, 41)  # one weight gone: the quadratic model is good
    small.apply_(twin)
    assert small.cost == pytest.approx((objective(twin) - objective(model)).item(), rel=0.2)


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
    with pytest.raises(ValueError, match=r"scores\['0.weight'\] holds NaN"):
        train_prune_retrain(network(), lambda m, _: m[0].weight.data.fill_(math.nan), scores.magnitude, 5)
    layered = train_prune_retrain(network(), trainer, scores.magnitude, 0.5, scope="layer")
    assert layered.mask.counts() == {"0.weight": 12, "2.weight": 9}


def at_nan():
    model = nn.Linear(2, 2, bias=False).double()
    model.weight.data[0, 0] = math.nan
    return model


W = {"w": torch.arange(4.0)}
LIN = nn.Linear(2, 2, bias=False).double()
EYE = torch.eye(4, dtype=torch.float64)
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
    (lambda: SMALL.apply_(LIN), ValueError, "'b' is no parameter of the model"),
    (lambda: Mask({"0": bools(True)}).apply_(network()), ValueError, "'0' is a module of the model"),
    (
        lambda: optimal_brain_surgeon(LIN, EYE[:3], 1),
        ValueError,
        r"hessian is \(3, 4\): give a tensor of shape \(4, 4\)",
    ),
    (lambda: optimal_brain_surgeon(LIN, [[1.0]], 1), ValueError, "hessian is list"),
    (lambda: optimal_brain_surgeon(LIN, EYE + EYE.roll(1, 0), 1), ValueError, "asymmetric"),
    (lambda: optimal_brain_surgeon(LIN, EYE * math.nan, 1), ValueError, "not finite"),
    (lambda: optimal_brain_surgeon(LIN, EYE - 3, 1), ValueError, "give a damping of more than 11"),
    (lambda: optimal_brain_surgeon(LIN, EYE * 0, 1, damping=-1.0), ValueError, "damping is -1.0"),
    (lambda: optimal_brain_surgeon(LIN, EYE, 5), ValueError, "keep is 5"),
    (lambda: optimal_brain_surgeon(at_nan(), EYE, 1), ValueError, "model has a weight that is not finite"),
    (lambda: road("late"), ValueError, "rewind is 'late': give 'trained', 'initial' or 'fresh'"),
    (lambda: road(seed=-1), ValueError, "seed is -1"),
    (lambda: road("fresh", model=Raw()), ValueError, "module '' has no reset_parameters: give initialize"),
]


@pytest.mark.parametrize("call, kind, message", REFUSED, ids=[message for *_, message in REFUSED])
def test_bad_inputs_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
