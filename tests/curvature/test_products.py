"""Products with the curvature of networks of many kinds of layers, against differences of gradients and autograd."""

import copy
import functools
import gc
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from prunekit.curvature import Curvature, problem, products
from prunekit.importance import hessian_diagonal, hessian_matrix, natural

CE = F.cross_entropy


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def classes(n=12, seed=0):
    return torch.randint(3, (n,), generator=torch.Generator().manual_seed(seed))


class Words(nn.Module):
    """Word vectors, averaged after a bend."""

    def __init__(self, **options):
        super().__init__()
        self.words, self.head = nn.Embedding(6, 4, **options), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.words(x)).mean(1))


class Attention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.heads, self.head, self.options = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3), options

    def forward(self, x):
        return self.head(torch.tanh(self.heads(x, x, x, **self.options)[0]).mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.GRU(4, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


class Scaled(nn.Module):
    """A scalar parameter, and a head that has no part in the outputs."""

    def __init__(self):
        super().__init__()
        self.scale, self.head, self.aside = nn.Parameter(torch.tensor(0.7)), nn.Linear(6, 3), nn.Linear(6, 2)

    def forward(self, x):
        return torch.sin(self.scale * self.head(x))


def between(layer):
    return nn.Sequential(nn.Linear(6, 8), layer, nn.Tanh(), nn.Linear(8, 3))


def images(layer):
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), layer, nn.Tanh(), nn.Flatten(), nn.Linear(64, 3))


def encoder():
    return nn.Sequential(nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), nn.Flatten(), nn.Linear(20, 3))


X, PICTURES, SEQUENCES = normal(12, 6), normal(12, 2, 4, 4), normal(12, 5, 4)
TOKENS = torch.randint(6, (12, 5), generator=torch.Generator().manual_seed(1))
LAYERS = {
    "layer norm": (lambda: between(nn.LayerNorm(8)), X),
    "root mean square norm": (lambda: between(nn.RMSNorm(8)), X),
    "batch statistics": (lambda: between(nn.BatchNorm1d(8, track_running_stats=False)), X),
    "running statistics": (lambda: between(nn.BatchNorm1d(8)), X),
    "instance norm": (lambda: images(nn.InstanceNorm2d(4, affine=True)), PICTURES),
    "group norm": (lambda: images(nn.GroupNorm(2, 4)), PICTURES),
    "SiLU": (lambda: between(nn.SiLU()), X),
    "PReLU": (lambda: between(nn.PReLU(8)), X),
    "gated": (Recurrent, SEQUENCES),
    "attention": (Attention, SEQUENCES),
    "fused attention": (lambda: Attention(need_weights=False), SEQUENCES),
    "encoder": (encoder, SEQUENCES),
    "embedding": (Words, TOKENS),
    "spectral norm": (lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 3)), nn.Tanh()), X),
    "weight norm as a whole": (
        lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 8), dim=None), nn.Tanh(), nn.Linear(8, 3)),
        X,
    ),
    "scalar and unused": (Scaled, X),
}


def made(name):
    torch.manual_seed(0)
    build, inputs = LAYERS[name]
    return build().double().eval(), inputs


def gradient(model, inputs, labels, loss=CE):
    points = list(model.parameters())
    found = torch.autograd.grad(loss(model(inputs), labels), points, materialize_grads=True)
    return torch.cat([g.flatten() for g in found])


def by_differences(model, inputs, labels, v, loss=CE, step=1e-3):
    """Return Hv by sixth-order central differences of the gradient."""
    moved, total = copy.deepcopy(model), 0
    start = nn.utils.parameters_to_vector(model.parameters()).detach()
    v = v / v.norm()
    for k, weight in ((1, 45), (2, -9), (3, 1)):
        for sign in (1, -1):
            nn.utils.vector_to_parameters(start + sign * k * step * v, moved.parameters())
            total = total + sign * weight * gradient(moved, inputs, labels, loss)
    return total / (60 * step)


def entries(operator):
    return operator.product(torch.eye(operator.dimension, dtype=torch.float64))


def jacobian_sandwich(model, inputs, labels):
    """Return the Gauss-Newton matrix of cross-entropy by reverse mode, through the whole batch."""
    outputs, points, rows = model(inputs), list(model.parameters()), []
    for y in outputs.flatten():
        found = torch.autograd.grad(y, points, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([g.flatten() for g in found]))
    J, p = torch.stack(rows).view(*outputs.shape, -1), outputs.softmax(1).detach()
    A = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    return torch.einsum("nki,nkl,nlj->ij", J, A, J) / len(outputs)


def close(found, expected, rtol):
    assert float((found - expected).norm()) <= rtol * float(expected.norm())


@pytest.mark.parametrize("name", LAYERS)
def test_products_are_symmetric_and_the_derivative_of_the_gradient(name):
    model, inputs = made(name)
    operator = Curvature(model, CE, (inputs, classes()))
    u, v = normal(operator.dimension, 2, seed=3).T
    Hu, Hv = operator.product(u), operator.product(v)
    assert abs(float(u @ Hv - v @ Hu)) < 1e-12 * float(Hu.norm() + Hv.norm())
    close(Hv / v.norm(), by_differences(model, inputs, classes(), v), 1e-7)
    close(entries(operator) @ v, Hv, 1e-12)
    H = hessian_matrix(model, CE, (inputs, classes()))
    close(H @ v, Hv, 1e-12)
    diagonal = hessian_diagonal(model, CE, (inputs, classes()))
    close(torch.cat([d.flatten() for d in diagonal.values.values()]), H.diagonal(), 1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_gauss_newton_matrix_and_diagonal_of_every_layer(name):
    model, inputs = made(name)
    G = jacobian_sandwich(model, inputs, classes())
    close(entries(Curvature(model, CE, (inputs, classes()), kind="gauss-newton")), G, 1e-12)
    diagonal = hessian_diagonal(model, CE, (inputs, classes()), method="gauss-newton")
    close(torch.cat([d.flatten() for d in diagonal.values.values()]), G.diagonal(), 1e-12)


@pytest.fixture
def forgetful(monkeypatch):
    """Have no graph kept."""
    monkeypatch.setattr(problem, "MOST_KEPT", 0)


@pytest.mark.parametrize("kind", ["hessian", "gauss-newton"])
def test_all_routes_agree_where_all_are_right(kind):
    model, data = made("running statistics")[0], [(X[:5], classes()[:5]), (X[5:], classes()[5:])]
    operator = Curvature(model, CE, data, kind=kind)
    assert operator.route == "kept"
    V = normal(operator.dimension, 3)
    for route in ("forward", "reverse"):
        close(operator._times(V, products.product(operator._problem, route)), operator.product(V), 1e-13)


def test_a_graph_is_kept_up_to_its_bytes(monkeypatch):
    model, _ = made("running statistics")
    for samples, route in ((200, "forward"), (20, "kept")):
        monkeypatch.setattr(problem, "MOST_KEPT", 40_000)
        x = torch.randn(samples, 6, dtype=torch.float64)
        assert Curvature(model, CE, (x, torch.arange(samples) % 3)).route == route


def test_what_becomes_of_the_data_does_not_move_what_is_kept():
    x, y = X.clone(), classes().clone()
    operator = Curvature(made("running statistics")[0], CE, [(x, y)])
    v = normal(operator.dimension)
    before = operator.product(v)
    x.mul_(3)
    y.zero_()
    assert torch.equal(operator.product(v), before)


def test_a_graph_that_was_kept_goes_with_its_operator():
    held = weakref.ref(Curvature(made("layer norm")[0], CE, (X, classes()))._product._parts[0][0])
    gc.collect()
    assert held() is None


def test_single_precision_takes_the_route_that_double_precision_takes():
    for name in ("layer norm", "running statistics"):
        model, _ = made(name)
        double = Curvature(model, CE, (X, classes()))
        single = Curvature(model.float(), CE, (X.float(), classes()))
        assert single.route == double.route
        v = normal(double.dimension)
        close(single.product(v), double.product(v), 1e-5)


def test_rounding_alone_does_not_refuse_a_network_in_single_precision():
    """Fitted labels leave gradients of a few units in the last place of the outputs."""
    model, _ = made("running statistics")
    model = model.float()
    with torch.no_grad():
        labels = model(X.float()).argmax(1)
        model[-1].weight.mul_(40)
        model[-1].bias.mul_(40)
    Curvature(model, CE, (X.float(), labels))


def test_a_padding_row_is_a_constant():
    torch.manual_seed(0)
    model, free = Words(padding_idx=0).double(), Words().double()
    free.load_state_dict(model.state_dict())
    data, kept = (TOKENS, classes()), torch.ones(39, dtype=torch.bool)
    assert (TOKENS == 0).any()
    kept[:4] = False
    for kind in ("hessian", "gauss-newton"):
        H = entries(Curvature(model, CE, data, kind=kind))
        assert not H[:4].any()
        assert not H[:, :4].any()
        close(H[4:, 4:], entries(Curvature(free, CE, data, kind=kind))[4:, 4:], 1e-12)
    close(hessian_matrix(model, CE, data)[4:, 4:], hessian_matrix(free, CE, data)[4:, 4:], 1e-12)
    assert not hessian_matrix(model, CE, data)[:4].any()
    for method in ("exact", "gauss-newton", "hutchinson"):
        found = hessian_diagonal(model, CE, data, method=method, probes=2).values["words.weight"]
        assert not found[0].any()
        assert found[1:].any()


@pytest.mark.parametrize("option", ["scale_grad_by_freq", "sparse"])
def test_how_an_embedding_is_trained_does_not_matter(option):
    torch.manual_seed(0)
    model, plain = Words(**{option: True}).double(), Words().double()
    plain.load_state_dict(model.state_dict())
    data = (TOKENS, classes())
    H = hessian_matrix(plain, CE, data)
    close(hessian_matrix(model, CE, data), H, 1e-12)
    close(entries(Curvature(model, CE, data)), H, 1e-12)
    expected = hessian_diagonal(plain, CE, data, method="gauss-newton").values["words.weight"]
    close(hessian_diagonal(model, CE, data, method="gauss-newton").values["words.weight"], expected, 1e-12)
    assert getattr(model.words, option)


class Untold(nn.Module):
    """An embedding whose padding row cannot be seen from outside."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Parameter(torch.randn(6, 4)), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(F.embedding(x, self.words, padding_idx=0)).mean(1))


def test_a_padding_row_that_only_the_function_knows_is_a_constant_too():
    told, untold = Words(padding_idx=0).double(), Untold().double()
    with torch.no_grad():
        untold.words.copy_(told.words.weight)
        untold.head.load_state_dict(told.head.state_dict())
    H = hessian_matrix(told, CE, (TOKENS, classes()))
    close(hessian_matrix(untold, CE, (TOKENS, classes())), H, 1e-12)
    close(entries(Curvature(untold, CE, (TOKENS, classes()))), H, 1e-12)


class HalfProduct(torch.autograd.Function):
    """a b, of which the second derivative is kept in one of the two orders only."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b.detach(), g * a


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        return HalfProduct.apply(self.left(x), self.right(x))


def old_style():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(nn.Linear(6, 3))


@pytest.mark.parametrize(
    ("build", "inputs", "message"),
    [
        (Half, X, "asymmetric by .*: torch's second derivatives of some layer"),
        (lambda: Words(max_norm=1.0), TOKENS, "max_norm=1.0"),
        (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 3))), X, "model's 0 carries a weight norm"),
        (lambda: nn.Sequential(old_style()), X, "model's 0 carries a weight norm"),
    ],
)
def test_networks_with_false_derivatives_are_refused(build, inputs, message):
    torch.manual_seed(0)
    model, data = build().double(), (inputs, classes())
    for call in (Curvature, hessian_matrix, hessian_diagonal, functools.partial(hessian_diagonal, method="hutchinson")):
        with pytest.raises(ValueError, match=message):
            call(model, CE, data)


@pytest.mark.usefixtures("forgetful")
def test_symmetry_is_tried_on_one_batch():
    class Counted(list):
        read = 0

        def __iter__(self):
            for batch in super().__iter__():
                self.read += 1
                yield batch

    model, data = made("running statistics")[0], Counted(zip(X.split(1), classes().split(1), strict=True))
    operator = Curvature(model, CE, data)
    assert data.read <= 2 * 12 + 3  # two passes for the mean loss; the first batch for each route and for curvlinops
    close(entries(operator), hessian_matrix(model, CE, (X, classes())), 1e-12)


@pytest.mark.parametrize(("gaps", "route"), [([1e-12], "kept"), ([0.0], "kept"), ([5e-9, 1e-12], "forward")])
def test_what_is_kept_is_tried_once(gaps, route, monkeypatch):
    left = iter(gaps)
    monkeypatch.setattr("prunekit.curvature.twice.asymmetry", lambda *given: next(left))
    assert Curvature(made("running statistics")[0], CE, (X, classes())).route == route
    assert not list(left)


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize(
    ("gaps", "route"),
    [
        ([1e-12], "forward"),
        ([5e-9, 1e-12], "forward"),  # in doubt: tried again on all the data
        ([0.0, 1e-12], "forward"),
        ([5e-9, 5e-9, 1e-12], "reverse"),
        ([1e-2, 1e-12], "reverse"),
    ],
)
def test_doubtful_symmetry_is_tried_on_all_the_data(gaps, route, monkeypatch):
    left = iter(gaps)

    def asymmetry(times, like, dimension):
        times(like.new_ones(dimension, 2))
        return next(left)

    monkeypatch.setattr("prunekit.curvature.twice.asymmetry", asymmetry)
    data = list(zip(X.split(6), classes().split(6), strict=True))
    assert Curvature(made("running statistics")[0], CE, data).route == route
    assert not list(left)


def test_a_first_batch_without_curvature_tells_nothing():
    def linear(outputs, labels):
        return (outputs.sum(1) * labels).mean()

    torch.manual_seed(0)
    data = [(X, torch.zeros(12)), (X, torch.ones(12))]
    for call in (Curvature, hessian_matrix, hessian_diagonal, functools.partial(hessian_diagonal, method="hutchinson")):
        with pytest.raises(ValueError, match="asymmetric by"):
            call(Half().double(), linear, data)


def test_hutchinson_tries_symmetry_once(monkeypatch):
    found = []
    monkeypatch.setattr("prunekit.curvature.twice.asymmetry", lambda *given: found.append(1) or 1e-16)
    data = list(zip(X.split(3), classes().split(3), strict=True))
    hessian_diagonal(made("running statistics")[0], CE, data, method="hutchinson", probes=2)
    assert len(found) == 1


def test_weight_norms_leave_other_layers_and_gauss_newton_alone():
    torch.manual_seed(0)
    for normed in (parametrizations.weight_norm(nn.Linear(6, 8)), old_style()):
        model = nn.Sequential(normed, nn.Tanh(), nn.Linear(normed.out_features, 3)).double()
        data = (X, classes())
        G = jacobian_sandwich(model, *data)
        close(entries(Curvature(model, CE, data, kind="gauss-newton")), G, 1e-12)
        found = hessian_diagonal(model, CE, data, method="gauss-newton").values
        close(torch.cat([d.flatten() for d in found.values()]), G.diagonal(), 1e-12)
        last = hessian_matrix(model, CE, data, parameters="2")  # the last layer's is the Gauss-Newton matrix
        close(last, G[-len(last) :, -len(last) :], 1e-12)
        close(entries(Curvature(model, CE, data, parameters="2")), last, 1e-12)


def test_what_torch_cannot_differentiate_twice_is_said():
    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = nn.EmbeddingBag(6, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.words(x))

    for call in (Curvature, hessian_matrix, hessian_diagonal):
        with pytest.raises(NotImplementedError, match="a layer that torch cannot differentiate twice"):
            call(Bag().double(), CE, (TOKENS, classes()))


class Broken(torch.autograd.Function):
    """The identity, whose derivative fails with an error of the test's choice."""

    error = RuntimeError("no luck today")

    @staticmethod
    def forward(ctx, a):
        return a.clone()

    @staticmethod
    def backward(ctx, g):
        raise Broken.error


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return Broken.apply(self.head(x))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "^CUDA out of memory"),
        (RuntimeError("no luck today"), RuntimeError, "products .* fail by both routes: .*reverse mode: no luck today"),
        (RuntimeError("a function marked with @once_differentiable"), NotImplementedError, "cannot differentiate"),
    ],
)
@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton"])
def test_what_fails_for_another_reason_is_not_called_a_lack_of_derivatives(error, kind, message, matrix, monkeypatch):
    monkeypatch.setattr(Broken, "error", error)
    with pytest.raises(kind, match=message) as caught:
        Curvature(Fails().double(), CE, (X, classes()), kind=matrix)
    assert caught.type is kind


@pytest.mark.usefixtures("forgetful")
def test_memory_that_runs_out_in_forward_mode_is_said(monkeypatch):
    def full(problem):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(products, "_forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        Curvature(made("layer norm")[0], CE, (X, classes()))


def test_a_hinge_loss_bends_nothing_below_it():
    def hinge(outputs, labels):
        return (1 - outputs[:, 0] * (2.0 * (labels > 0) - 1)).clamp(min=0).mean()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    H, v = hessian_matrix(model, hinge, (X, classes())), normal(33)
    close(H @ v / v.norm(), by_differences(model, X, classes(), v, hinge, step=1e-5), 1e-5)
    close(entries(Curvature(model, hinge, (X, classes()))), H, 1e-12)
    assert not any(
        d.any() for d in hessian_diagonal(model, hinge, (X, classes()), method="gauss-newton").values.values()
    )


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_derivatives_are_taken_whatever_is_around(around):
    model, data = made("layer norm")[0], (X, classes())
    H, natural_ = hessian_matrix(model, CE, data), natural(model, CE, data, "0")
    diagonals = {m: hessian_diagonal(model, CE, data, method=m).values for m in ("exact", "gauss-newton")}
    with around():
        inside = (X + 0, classes())
        assert torch.equal(hessian_matrix(model, CE, inside), H)
        close(entries(Curvature(model, CE, inside)), H, 1e-12)
        assert natural(model, CE, inside, "0") == natural_
        for method, expected in diagonals.items():
            found = hessian_diagonal(model, CE, inside, method=method).values
            assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_frozen_parameters_have_their_curvature_like_others():
    model, data = made("layer norm")[0], (X, classes())
    H = hessian_matrix(model, CE, data)
    for p in model[0].parameters():
        p.requires_grad_(False)
    assert torch.equal(hessian_matrix(model, CE, data), H)
    close(entries(Curvature(model, CE, data)), H, 1e-12)
    assert not model[0].weight.requires_grad


def test_a_network_that_mixes_its_samples_is_not_cut():
    model, _ = made("batch statistics")
    for size in (1, 4, 11):
        with pytest.raises(ValueError, match="model mixes the samples of a batch"):
            Curvature(model, CE, (X, classes()), batch_size=size)
    parts = [(X[:7], classes()[:7]), (X[7:], classes()[7:])]
    whole = sum(len(y) / 12 * hessian_matrix(model, CE, (x, y)) for x, y in parts)
    close(entries(Curvature(model, CE, parts, batch_size=7)), whole, 1e-12)
