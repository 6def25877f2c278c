"""Importance: every diagonal against the dense autograd Hessian, every definition against its own words."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from prunekit import importance
from prunekit.importance import hessian_diagonal, hessian_matrix, natural, two_layer_diagonal
from prunekit.masks import Mask, scores

DATA_SIZES = ((20,), (3, 17), (1, 1, 18), (7, 6, 7))


def network(seed=0, activation=nn.ReLU, bias=True):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6, bias=bias), activation(), nn.Linear(6, 3, bias=bias)).double()


def sample(seed=0, n=20, d=4, K=3):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=rng, dtype=torch.float64), torch.randint(K, (n,), generator=rng)


def split(X, y, sizes):
    return list(zip(X.split(sizes), y.split(sizes), strict=True))


def squared(outputs, labels):
    return (outputs - F.one_hot(labels, outputs.shape[1])).square().sum(1).mean()


def errors(outputs, labels):
    return (outputs.argmax(1) != labels).double().mean()


def theta_of(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def at(model, flat):
    sizes = [p.numel() for p in model.parameters()]
    parts = zip(model.named_parameters(), flat.split(sizes), strict=True)
    return {name: part.view(p.shape) for (name, p), part in parts}


def dense(model, loss, X, y):
    """Return the Hessian by torch's own dense routine, on all the data at once."""
    return torch.autograd.functional.hessian(
        lambda v: loss(functional_call(model, at(model, v), (X,)), y), theta_of(model)
    )


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors.values()])


def close(found, expected, rtol=1e-12, atol=1e-13):
    found, expected = (
        torch.as_tensor(x, dtype=None if torch.is_tensor(x) else torch.float64) for x in (found, expected)
    )
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("loss", [F.cross_entropy, squared])
@pytest.mark.parametrize("sizes", DATA_SIZES)
def test_matrix_and_exact_diagonal_are_the_dense_hessian(activation, loss, sizes):
    model, (X, y) = network(activation=activation), sample()
    H = dense(model, loss, X, y)
    close(hessian_matrix(model, loss, split(X, y, sizes)), H)
    found = hessian_diagonal(model, loss, split(X, y, sizes))
    close(flat(found.values), H.diagonal())
    assert not flat(found.errors).any()
    for name, p in at(model, H.diagonal()).items():
        value = (p * model.get_parameter(name).detach().square()).sum()
        close(found.importance[name].value, value.item())
        close(importance.hessian(model, found, name), value.item())
    close(importance.hessian(model, found), (H.diagonal() * theta_of(model).square()).sum().item())


@pytest.mark.parametrize("limit", ["gauss_newton.ENTRIES_AT_ONCE", "entries._ENTRIES_IN_CACHE"])
def test_many_chunks_are_one(limit, monkeypatch):
    model, data = network(activation=nn.Tanh), sample()
    H = dense(model, F.cross_entropy, *data)
    whole = hessian_diagonal(model, F.cross_entropy, data, method="gauss-newton")
    monkeypatch.setattr(f"prunekit.curvature.{limit}", 700)
    close(hessian_matrix(model, F.cross_entropy, data), H)
    close(flat(hessian_diagonal(model, F.cross_entropy, data).values), H.diagonal())
    close(flat(hessian_diagonal(model, F.cross_entropy, data, method="gauss-newton").values), flat(whole.values))


def test_some_parameters_have_their_rows_and_columns():
    model, data = network(activation=nn.Tanh), sample()
    H = dense(model, F.cross_entropy, *data)
    close(hessian_matrix(model, F.cross_entropy, data, parameters="2"), H[30:, 30:])
    rows = [*range(24), *range(30, 48)]
    close(hessian_matrix(model, F.cross_entropy, data, parameters=["2.weight", "0.weight"]), H[rows][:, rows])
    for method in ("exact", "gauss-newton", "hutchinson"):
        found = hessian_diagonal(model, F.cross_entropy, data, method=method, parameters=["2.bias", "0.bias"])
        assert list(found.values) == list(found.importance) == ["0.bias", "2.bias"]
    close(hessian_diagonal(model, F.cross_entropy, data, parameters="2.bias").values["2.bias"], H.diagonal()[48:])


@pytest.mark.parametrize("sizes", DATA_SIZES)
@pytest.mark.parametrize("loss", [F.cross_entropy, squared])
def test_gauss_newton_is_the_jacobian_sandwich(loss, sizes):
    model, (X, y) = network(activation=nn.Tanh), sample()
    theta = theta_of(model)
    expected = torch.zeros_like(theta)
    for x, label in zip(X, y, strict=True):
        J = torch.autograd.functional.jacobian(lambda v, x=x: functional_call(model, at(model, v), (x,)), theta)
        A = torch.autograd.functional.hessian(lambda f, label=label: loss(f[None], label[None]), model(x).detach())
        expected += (J.T @ A @ J).diagonal() / len(X)
    close(flat(hessian_diagonal(model, loss, split(X, y, sizes), method="gauss-newton").values), expected)
    exact = flat(hessian_diagonal(model, loss, (X, y)).values)
    assert (exact - expected).abs().max() > 1e-3  # tanh curves, so that the two differ


@pytest.mark.parametrize("n, chunk", [(20, 1024), (20, 7), (1, 1)])
def test_two_layer_closed_form_is_the_dense_hessian(n, chunk):
    model, (X, y) = network(bias=False), sample(n=n)
    H = dense(model, F.cross_entropy, X, y).diagonal()
    W, V = (p.detach() for p in model.parameters())
    found = two_layer_diagonal(W, V, X, chunk=chunk)
    close(torch.cat([found.W.flatten(), found.V.flatten()]), H)
    gauss_newton = hessian_diagonal(model, F.cross_entropy, (X, y), method="gauss-newton")
    close(flat(gauss_newton.values), H)


def test_two_layer_closed_form_survives_interpolation():
    """Near one class the variance is p(1-p) times a difference squared: nothing is lost to cancellation."""
    W, x = torch.eye(2, dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    V = torch.tensor([[1e3, 0.0], [1e3 - 40.0, 0.0]], dtype=torch.float64)  # the odds of the classes are exp(40)
    found = two_layer_diagonal(W, V, x)
    tiny = 1 / (1 + math.exp(40.0)) * 1 / (1 + math.exp(-40.0))
    close(found.W[0, 0].item(), tiny * 1600, rtol=1e-10, atol=0)
    close(found.V[:, 0], torch.full((2,), tiny, dtype=torch.float64), rtol=1e-10, atol=0)


@pytest.mark.parametrize("lam", [0.25, 2.0, 4.0, 3.0])
def test_lemma_4_1(lam):
    """Magnitude x λ^±2, Hessian x λ^∓2, Hessian importance unchanged; bit by bit where λ is a power of 2."""
    model, (X, y) = network(bias=False), sample()
    scaled = network(bias=False)
    with torch.no_grad():
        scaled[0].weight.mul_(lam)
        scaled[2].weight.div_(lam)
    exact = {"rtol": 0, "atol": 0} if lam != 3.0 else {"rtol": 1e-12, "atol": 1e-15}
    before, after = (two_layer_diagonal(m[0].weight, m[2].weight, X) for m in (model, scaled))
    close(after.W, before.W / lam**2, **exact)
    close(after.V, before.V * lam**2, **exact)
    for name, power in (("0.weight", 2), ("2.weight", -2)):
        close(importance.magnitude(scaled, name), lam**power * importance.magnitude(model, name), **exact)
    diagonals = [{"0.weight": d.W, "2.weight": d.V} for d in (before, after)]
    for name in diagonals[0]:
        close(importance.hessian(scaled, diagonals[1], name), importance.hessian(model, diagonals[0], name), **exact)
    H, H_lam = dense(model, F.cross_entropy, X, y), dense(scaled, F.cross_entropy, X, y)  # whole blocks, by autograd
    close(H_lam[:24, :24], H[:24, :24] / lam**2, rtol=1e-12, atol=1e-14)
    close(H_lam[24:, 24:], H[24:, 24:] * lam**2, rtol=1e-12, atol=1e-12)


def test_hutchinson_is_unbiased_and_knows_its_error():
    """Over seeds the standardized errors have mean 0 and variance 1, entry by entry and layer by layer."""
    model, (X, y) = network(activation=nn.Tanh), sample()
    data, seeds = split(X, y, (3, 17)), 60
    exact = hessian_diagonal(model, F.cross_entropy, data)
    z, z_layer, draws = [], [], []
    for seed in range(seeds):
        found = hessian_diagonal(model, F.cross_entropy, data, method="hutchinson", probes=40, seed=seed)
        draws.append(flat(found.values))
        z.append((flat(found.values) - flat(exact.values)) / flat(found.errors))
        z_layer.append([(e.value - exact.importance[n].value) / e.error for n, e in found.importance.items()])
    z, z_layer = torch.stack(z), torch.tensor(z_layer)
    assert (z.mean(0).abs() < 4.5 / math.sqrt(seeds)).all()
    assert (z_layer.mean(0).abs() < 4.5 / math.sqrt(seeds)).all()
    assert 0.8 < z.square().mean() < 1.25
    assert 0.6 < z_layer.square().mean() < 1.6
    # The variance of one batch's probe is the sum of the squares off the diagonal.
    H = [dense(model, F.cross_entropy, *batch) for batch in data]
    off = sum(w**2 * (h.square().sum(1) - h.diagonal().square()) / 40 for w, h in zip((0.15, 0.85), H, strict=True))
    ratio = torch.stack(draws).var(0) / off
    assert 0.9 < ratio.mean() < 1.1


def test_hutchinsons_error_is_right_for_the_fewest_probes():
    """Two probes: the mean over seeds of the squared errors is the variance of their mean, not half of it."""
    model, data = network(activation=nn.Tanh), sample()
    H = dense(model, F.cross_entropy, *data)
    variance = (H.square().sum(1) - H.diagonal().square()) / 2
    squares = [
        flat(hessian_diagonal(model, F.cross_entropy, data, method="hutchinson", probes=2, seed=seed).errors).square()
        for seed in range(300)
    ]
    totals = torch.stack(squares).sum(1)  # its own spread says how far the mean may be off
    assert abs(totals.mean() - variance.sum()) < 4.5 * totals.std() / math.sqrt(len(totals))
    assert totals.std() / math.sqrt(len(totals)) < 0.1 * variance.sum()


def test_hutchinson_is_exact_for_a_diagonal_hessian():
    model = nn.Linear(3, 1, bias=False).double()
    data = (torch.eye(3, dtype=torch.float64) * torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3, dtype=torch.float64))
    found = hessian_diagonal(model, lambda f, y: f.square().mean(), data, method="hutchinson", probes=2)
    close(found.values["weight"], torch.tensor([[2.0, 8.0, 18.0]], dtype=torch.float64) / 3)
    close(found.errors["weight"], torch.zeros(1, 3, dtype=torch.float64))


def test_hutchinson_follows_its_seed_and_nothing_else():
    model, data = network(), sample()

    def draw(seed):
        return flat(hessian_diagonal(model, F.cross_entropy, data, method="hutchinson", probes=3, seed=seed).values)

    first = draw(1)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert torch.equal(draw(1), first)
    assert torch.equal(draw(np.random.default_rng(1)), first)
    assert not torch.equal(draw(2), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_without_curvature_has_none():
    model, data = nn.Linear(3, 2).double(), sample(d=3)
    for method in ("exact", "hutchinson", "gauss-newton"):
        found = hessian_diagonal(model, lambda f, y: f.mean(), data, method=method)
        assert not flat(found.values).any()
    assert not hessian_matrix(model, lambda f, y: f.mean(), data).any()


@pytest.mark.parametrize("method", ["exact", "gauss-newton", "hutchinson"])
def test_any_module_is_left_as_it_was(method):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 3)
    ).double()
    model[0].weight.requires_grad_(False)
    model[2].eval()
    X, y = torch.randn(9, 1, 4, 4, dtype=torch.float64), torch.randint(3, (9,))
    before, modes = {n: t.clone() for n, t in model.state_dict().items()}, [m.training for m in model.modules()]
    found = hessian_diagonal(model, F.cross_entropy, split(X, y, (2, 7)), method=method, probes=2)
    natural(model, F.cross_entropy, (X, y), "0")
    assert found.values["0.weight"].shape == (2, 1, 3, 3)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert not model[0].weight.requires_grad and all(p.grad is None for p in model.parameters())
    if method == "exact":
        model.eval()
        close(flat(found.values), dense(model, F.cross_entropy, X, y).diagonal())


class Shared(nn.Module):
    """Two inputs; one weight used twice, by one module with two names or by two modules with one parameter."""

    def __init__(self, one_module):
        super().__init__()
        self.one = nn.Linear(4, 4, bias=False)
        self.two = self.one if one_module else nn.Linear(4, 4, bias=False)
        self.two.weight = self.one.weight

    def forward(self, left, right):
        return self.two(torch.tanh(self.one(left))) * right


@pytest.mark.parametrize("one_module", [True, False])
def test_several_inputs_and_shared_parameters(one_module):
    torch.manual_seed(0)
    model, (X, y) = Shared(one_module).double(), sample(K=4)
    inputs, theta = (X, X**2), theta_of(model)
    whole, split_up = (inputs, y), [(tuple(x[:3] for x in inputs), y[:3]), (tuple(x[3:] for x in inputs), y[3:])]

    def loss(v):
        w = v.view(4, 4)
        return F.cross_entropy(torch.tanh(X @ w.T) @ w.T * X**2, y)

    H = torch.autograd.functional.hessian(loss, theta)
    for data in (whole, split_up):
        close(hessian_matrix(model, F.cross_entropy, data), H)
        close(flat(hessian_diagonal(model, F.cross_entropy, data).values), H.diagonal())
        close(natural(model, F.cross_entropy, data, "one"), math.log(4) - loss(theta).item())
    sandwich = [
        flat(hessian_diagonal(model, F.cross_entropy, data, method="gauss-newton").values) for data in (whole, split_up)
    ]
    close(*sandwich)
    assert isinstance(model.one.weight, nn.Parameter) and model.two.weight is model.one.weight
    assert torch.equal(theta_of(model), theta)


def test_natural_importance_is_of_the_network_in_evaluation_mode():
    torch.manual_seed(0)
    model, (X, y) = nn.Sequential(nn.Dropout(0.5), network()), sample()
    found = natural(model, F.cross_entropy, (X, y), "1.2")
    assert found == natural(model, F.cross_entropy, (X, y), "1.2") == natural(model[1], F.cross_entropy, (X, y), "2")


@pytest.mark.parametrize("sizes", DATA_SIZES)
@pytest.mark.parametrize("loss", [F.cross_entropy, squared, errors])
def test_natural_importance_is_its_definition(loss, sizes):
    model, (X, y) = network(), sample()
    data, theta, start = split(X, y, sizes), theta_of(model), theta_of(network(seed=1))

    def value(v):
        return loss(functional_call(model, at(model, v), (X,)), y).item()

    positions = torch.tensor([0, 5, 29, 40, 50])
    marked = torch.zeros_like(theta, dtype=torch.bool)
    marked[positions] = True
    i = torch.arange(51)
    places = [
        (positions, marked),
        (positions.numpy(), marked),
        (positions.tolist(), marked),
        (Mask(at(model, marked)), marked),
        ({"0.weight": [0, 5], "2.weight": np.array([10])}, (i == 0) | (i == 5) | (i == 40)),
        ("2.bias", i >= 48),
        ("2", i >= 30),
        (["2.bias", "0.weight"], (i >= 48) | (i < 24)),
        (None, i >= 0),
    ]
    references = [(0.0, torch.zeros_like(theta)), (0.5, torch.full_like(theta, 0.5)), (at(model, start), start)]
    for where, part in places:
        for reference, v in references:
            expected = value(torch.where(part, v, theta)) - value(theta)
            close(natural(model, loss, data, where, reference=reference), expected)
            close(natural(model, loss, iter(data), where, reference=reference), expected)
        close(importance.magnitude(model, where), theta[part].square().sum().item())
        close(importance.hessian(model, at(model, start), where), (start * theta**2)[part].sum().item())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_for_a_quadratic_natural_importance_is_half_the_quadratic_form(seed):
    """At the minimum of a squared loss L(θ with Δ zeroed) - L(θ) = θ_Δᵀ H θ_Δ / 2."""
    rng = torch.Generator().manual_seed(seed)
    X, y = (
        torch.randn(12, 5, generator=rng, dtype=torch.float64),
        torch.randn(12, 1, generator=rng, dtype=torch.float64),
    )
    model = nn.Linear(5, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(X, y).solution.T)

    def loss(f, y):
        return (f - y).square().mean()

    H, theta, part = hessian_matrix(model, loss, (X, y)), theta_of(model), torch.tensor([0, 3])
    close(natural(model, loss, (X, y), part), (theta[part] @ H[part][:, part] @ theta[part] / 2).item(), atol=1e-12)
    one = importance.hessian(model, {"weight": H.diagonal()[None]}, [2]) / 2
    close(natural(model, loss, (X, y), [2]), one, atol=1e-12)


def test_magnitude_is_summed_in_double_precision():
    model = nn.Linear(1000, 1000, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.1)
    assert importance.magnitude(model) == pytest.approx(1e6 * float(torch.tensor(0.1)) ** 2, rel=1e-12)


def test_scores_are_the_terms_of_the_importances():
    model, data = network(), sample()
    found = hessian_diagonal(model, F.cross_entropy, data)
    weighed = scores.hessian(model, found)
    assert list(weighed) == list(scores.magnitude(model)) == list(scores.random(model, 0)) == ["0.weight", "2.weight"]
    for name, terms in weighed.items():
        close(terms, found.values[name] * model.get_parameter(name).detach() ** 2)
        close(scores.magnitude(model)[name], model.get_parameter(name).detach().abs())
    assert list(scores.magnitude(model, parameters=["2", "0.bias"])) == ["0.bias", "2.weight", "2.bias"]
    assert torch.equal(scores.random(model, 3)["2.weight"], scores.random(model, 3)["2.weight"])
    assert not torch.equal(scores.random(model, 3)["2.weight"], scores.random(model, 4)["2.weight"])


def test_prunable_weights():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose1d(2, 2, 2), nn.Embedding(3, 2))
    assert list(scores.prunable(model)) == ["0.weight", "2.weight"]
    assert list(scores.prunable(nn.Linear(2, 2))) == ["weight"]
    with pytest.raises(ValueError, match="no weight that is pruned by default: name parameters, of weight"):
        scores.prunable(nn.Embedding(3, 2))
    with pytest.raises(ValueError, match=r"'0\.weight' parametrized"):
        scores.prunable(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))))


def test_nothing_that_is_not_finite_leaves():
    model, (X, y) = network(), sample()
    with torch.no_grad():
        model[0].weight[0, 0] = math.nan
    for call in (importance.magnitude, lambda m, w: importance.hessian(m, dict(m.named_parameters()), w)):
        with pytest.raises(FloatingPointError, match="importance is nan"):
            call(model, "0")
        assert math.isfinite(call(model, "2"))
    flat_point = nn.Linear(4, 1, bias=False).double()  # |f|^(1/2) has no derivative at f = 0

    def root(outputs, labels):
        return outputs.abs().sqrt().mean()

    for method in ("exact", "gauss-newton", "hutchinson"):
        with pytest.raises(FloatingPointError, match="diagonal is not finite"):
            hessian_diagonal(flat_point, root, (X * 0, y), method=method)
    with pytest.raises(FloatingPointError, match="the Hessian is not finite"):
        hessian_matrix(flat_point, root, (X * 0, y))


M, PAIR = network(), sample()
X_, Y_ = PAIR
CE = F.cross_entropy
REFUSED = [
    (lambda: natural("net", CE, PAIR), TypeError, "model is a str"),
    (lambda: natural(nn.ReLU(), CE, PAIR), ValueError, "model has no parameters"),
    (lambda: natural(M, CE, PAIR, "1"), ValueError, "'1', which is no parameter of the model: give one of 0.weight"),
    (lambda: natural(M, CE, PAIR, []), ValueError, "where has shape"),
    (lambda: natural(M, CE, PAIR, ["0", 1]), TypeError, "give names of parameters"),
    (lambda: natural(M, CE, PAIR, [0, 51]), ValueError, "give indices from 0 to 50"),
    (lambda: natural(M, CE, PAIR, [0, 0]), ValueError, "twice"),
    (lambda: natural(M, CE, PAIR, torch.ones(51).bool()), TypeError, "where is a mask"),
    (lambda: natural(M, CE, PAIR, {"0": [1]}), ValueError, "where names the module '0'"),
    (lambda: natural(M, CE, PAIR, {"0.bias": torch.ones(5).bool()}), ValueError, r"\(5,\): give one of shape \(6,\)"),
    (lambda: natural(M, CE, PAIR, {"0.bias": [6]}), ValueError, "from 0 to 5"),
    (lambda: natural(M, CE, PAIR, reference="init"), TypeError, "reference is a str"),
    (lambda: natural(M, CE, PAIR, reference={}), ValueError, "reference lacks '0.weight'"),
    (lambda: natural(M, CE, PAIR, "0.bias", reference={"0.bias": torch.ones(5)}), ValueError, r"of shape \(6,\)"),
    (lambda: natural(M, CE, []), ValueError, "data is empty"),
    (lambda: natural(M, CE, [X_]), TypeError, "data yields a Tensor: give pairs"),
    (lambda: natural(M, CE, (X_[:0], Y_[:0])), ValueError, "at least one"),
    (lambda: natural(M, nn.CrossEntropyLoss(reduction="none"), PAIR), ValueError, "loss returns"),
    (lambda: natural(M, CE, (X_ * math.inf, Y_)), FloatingPointError, "loss is nan"),
    (lambda: hessian_diagonal(M, CE, PAIR, method="obd"), ValueError, "method is 'obd': give 'exact'"),
    (lambda: hessian_diagonal(M, CE, PAIR, probes=1), ValueError, "probes is 1"),
    (lambda: hessian_diagonal(M, CE, PAIR, seed=-1), ValueError, "seed is -1"),
    (lambda: hessian_diagonal(M, CE, PAIR, parameters="3"), ValueError, "'3', which is no parameter"),
    (lambda: hessian_diagonal(M, CE, PAIR, parameters=[]), ValueError, "parameters is empty"),
    (lambda: hessian_matrix(nn.Linear(101, 100), CE, PAIR), ValueError, "10200 in number"),
    (lambda: importance.hessian(M, 3), TypeError, "diagonal is a int"),
    (lambda: importance.hessian(M, {"0.bias": torch.ones(5)}), ValueError, "diagonal"),
    (lambda: importance.hessian(M, {"0.bias": torch.ones(6)}, "0"), ValueError, "diagonal lacks '0.weight'"),
    (lambda: scores.hessian(M, {"0.bias": torch.ones(6)}), ValueError, "diagonal lacks '0.weight'"),
    (lambda: two_layer_diagonal([[1.0]], X_, X_), TypeError, "W is .*: give a tensor"),
    (lambda: two_layer_diagonal(torch.ones(3), X_, X_), ValueError, r"W has shape \(3,\)"),
    (lambda: two_layer_diagonal(torch.ones(3, 4), torch.ones(2, 4), X_), ValueError, "W has 3 hidden units"),
    (lambda: two_layer_diagonal(torch.ones(3, 5), torch.ones(2, 3), X_), ValueError, "W takes 5 inputs"),
    (lambda: two_layer_diagonal(torch.ones(3, 4), torch.ones(2, 3), X_ / 0), ValueError, "X holds a number"),
    (lambda: two_layer_diagonal(torch.ones(3, 4), torch.ones(2, 3), X_, chunk=0), ValueError, "chunk is 0"),
]


@pytest.mark.parametrize("call, kind, message", REFUSED, ids=[message for *_, message in REFUSED])
def test_bad_inputs_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
