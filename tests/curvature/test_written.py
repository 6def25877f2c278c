"""Products of perceptrons, written out, against automatic differentiation; and what is not written out."""

import itertools
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunekit.curvature import Curvature, problem, products
from prunekit.importance import hessian_diagonal, hessian_matrix

CE = F.cross_entropy
KINDS = ("hessian", "gauss-newton")


def perceptron(*widths, bias=True, seed=0):
    """Return a ReLU network of some widths, in double precision; its biases are far from the 0 at which ReLUs bend."""
    torch.manual_seed(seed)
    layers = []
    for i, o in itertools.pairwise(widths):
        layers += [nn.Linear(i, o, bias=bias), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *layers[:-1]).double()


def data(*sizes, features=6, classes=3, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(n, features, dtype=torch.float64, generator=draw), torch.randint(classes, (n,), generator=draw))
        for n in sizes
    ]


def dense(model, batches, kind, names=None):
    """Return the matrix by reverse mode twice, or by the Jacobian and the second derivative of cross-entropy."""
    chosen = {n: p for n, p in model.named_parameters() if names is None or n in names}
    held = {n: p.detach() for n, p in model.named_parameters()}
    theta = torch.cat([p.detach().flatten() for p in chosen.values()])

    def outputs(flat, x):
        parts = flat.split([p.numel() for p in chosen.values()])
        return torch.func.functional_call(
            model, held | {n: part.view(p.shape) for (n, p), part in zip(chosen.items(), parts, strict=True)}, (x,)
        )

    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    if kind == "hessian":
        return torch.autograd.functional.hessian(lambda flat: CE(outputs(flat, x), y), theta)
    J = torch.autograd.functional.jacobian(lambda flat: outputs(flat, x), theta)
    p = outputs(theta, x).softmax(1)
    A = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    return torch.einsum("nki,nkl,nlj->ij", J, A, J) / len(x)


def entries(operator):
    return operator.product(torch.eye(operator.dimension, dtype=torch.float64))


def close(found, expected, rtol=1e-12):
    assert float((found - expected).norm()) <= rtol * float(expected.norm())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("widths", [(6, 3), (6, 5, 3), (6, 5, 4, 3)])
def test_written_products_are_those_of_the_dense_matrix(widths, bias, kind):
    model, batches = perceptron(*widths, bias=bias), data(7, 4, 9)
    operator = Curvature(model, CE, batches, kind=kind)
    assert operator.route == "written"
    M = dense(model, batches, kind)
    close(entries(operator), M)  # several columns at once
    v = torch.randn(len(M), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    close(operator.product(v), M @ v)
    close(Curvature(model.float(), CE, [(x.float(), y) for x, y in batches], kind=kind).product(v), M @ v, 1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [["1.weight"], ["3.bias"], ["1.bias", "5.weight"], ["3.weight"], ["5.weight"]])
def test_a_block_of_some_parameters(names, kind):
    model, batches = perceptron(6, 5, 4, 3), data(11, 6)
    operator = Curvature(model, CE, batches, kind=kind, parameters=names)
    assert operator.route == "written"
    close(entries(operator), dense(model, batches, kind, names))


def test_batches_that_are_cut_and_copies_of_the_operator_give_the_same():
    model, batches = perceptron(6, 5, 3), data(20)
    operator = Curvature(model, CE, batches, batch_size=7)
    M = dense(model, batches, "hessian")
    close(entries(operator), M)
    close(entries(pickle.loads(pickle.dumps(operator))), M)
    batches[0][0].zero_()  # what becomes of the data later does not matter
    close(entries(operator), M)


def test_a_network_without_flattening_is_written_out_for_vectors_alone():
    model, batches = perceptron(6, 5, 3)[1:], data(8)
    operator = Curvature(model, CE, batches)
    assert operator.route == "written"
    M = dense(model, batches, "hessian")
    close(entries(operator), M)
    close(hessian_matrix(model, CE, batches), M)
    diagonal = hessian_diagonal(model, CE, batches, method="gauss-newton").values.values()
    close(torch.cat([part.flatten() for part in diagonal]), dense(model, batches, "gauss-newton").diagonal())
    places = torch.arange(72.0, dtype=torch.float64).sin().view(4, 3, 6), torch.arange(12).view(4, 3) % 3
    assert Curvature(model, CE, [places]).route == "kept"  # three scores at three places of four samples


class Skip(nn.Sequential):
    """Layers whose input is added to their output."""

    def forward(self, x):
        return x + super().forward(x)


def ignored(batches):
    return [(x, torch.where(torch.arange(len(y)) % 4 == 0, -100, y)) for x, y in batches]


@pytest.mark.parametrize(
    ("model", "loss", "change"),
    [
        (perceptron(6, 5, 3), nn.CrossEntropyLoss(label_smoothing=0.1), None),
        (perceptron(6, 5, 3), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)), None),
        (perceptron(6, 5, 3), CE, ignored),
        (nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double(), CE, None),
        (nn.Sequential(Skip(nn.Linear(6, 6), nn.ReLU()), nn.Linear(6, 3)).double(), CE, None),
    ],
    ids=["smoothing", "class weights", "ignored labels", "tanh", "skip"],
)
def test_what_is_not_written_out_is_differentiated(model, loss, change):
    batches = change(data(8, 8)) if change else data(8, 8)
    operator = Curvature(model, loss, batches)
    assert operator.route == "kept"
    V = torch.randn(operator.dimension, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    close(operator.product(V), operator._times(V, products.product(operator._problem, "reverse")))
    with pytest.raises(problem.NotWritten):
        products.product(operator._problem, "written")(V)


def test_what_would_be_kept_is_bounded(monkeypatch):
    model, batches = perceptron(6, 5, 3), data(100, 100)
    size = 8 * 200 * (6 + 5 + 5 + 3)
    for most, route in ((size, "written"), (size - 1, "forward")):  # a graph is larger than the layers' inputs
        monkeypatch.setattr(problem, "MOST_KEPT", most)
        assert Curvature(model, CE, batches).route == route


def test_dead_units_and_kinks_have_no_second_derivative():
    model, batches = perceptron(6, 5, 3), data(9)
    with torch.no_grad():
        model[1].weight[0] = 0.0  # z = 0 for every sample, where autograd's derivative of a ReLU is 0
        model[1].bias[0] = 0.0
        model[1].bias[1] = -100.0
    M = dense(model, batches, "hessian")
    assert not M[:12].any()
    close(entries(Curvature(model, CE, batches)), M)
