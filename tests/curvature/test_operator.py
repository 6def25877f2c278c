"""Products with the curvature against the dense matrix, double backward, and the definition of Gauss-Newton."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from prunekit import nets
from prunekit.curvature import Curvature, Matrix, spectrum
from prunekit.importance import hessian_matrix
from prunekit.nets.checkpoint import CheckpointError

SIZES = ((20,), (3, 17), (1, 1, 18), (7, 6, 7))


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def sample(seed=0, n=20):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, generator=rng, dtype=torch.float64), torch.randint(3, (n,), generator=rng)


def split(X, y, sizes):
    return list(zip(X.split(sizes), y.split(sizes), strict=True))


def entries(operator):
    """Return the operator's matrix, a product for each column."""
    return operator.product(torch.eye(operator.dimension, dtype=torch.float64))


def double_backward(model, loss, X, y, v):
    points = list(model.parameters())
    gradient = torch.autograd.grad(loss(model(X), y), points, create_graph=True)
    parts = [part.view(p.shape) for part, p in zip(v.split([p.numel() for p in points]), points, strict=True)]
    return torch.cat([h.flatten() for h in torch.autograd.grad(gradient, points, parts)])


def gauss_newton(model, X, y):
    """Return the mean of Jᵀ (diag(p) - p pᵀ) J of cross-entropy, sample by sample."""
    names = list(dict(model.named_parameters()))
    total = 0
    for x in X:
        J = jacrev(lambda values, x=x: functional_call(model, values, (x[None],))[0])(dict(model.named_parameters()))
        J = torch.cat([J[name].flatten(1) for name in names], dim=1).detach()
        p = model(x[None])[0].softmax(0).detach()
        total = total + J.T @ (torch.diag(p) - torch.outer(p, p)) @ J
    return total / len(X)


@pytest.mark.parametrize("sizes", SIZES)
def test_products_are_those_of_the_dense_hessian_whatever_the_batches(sizes):
    model, (X, y) = network(), sample()
    found = entries(Curvature(model, F.cross_entropy, split(X, y, sizes)))
    assert torch.allclose(found, hessian_matrix(model, F.cross_entropy, (X, y)), atol=1e-13)


@pytest.mark.parametrize("batch_size", [1, 7, 20])
def test_cutting_large_batches_changes_nothing(batch_size):
    model, (X, y) = network(), sample()
    v = torch.randn(51, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    operator = Curvature(model, F.cross_entropy, split(X, y, (3, 17)), batch_size=batch_size)
    assert torch.allclose(operator.product(v), double_backward(model, F.cross_entropy, X, y, v), atol=1e-13)
    assert max(count for *_, count in operator._batches()) <= batch_size


@pytest.mark.parametrize("sizes", SIZES)
def test_gauss_newton_is_the_mean_of_its_definition(sizes):
    model, (X, y) = network(), sample()
    found = entries(Curvature(model, F.cross_entropy, split(X, y, sizes), kind="gauss-newton", batch_size=6))
    assert torch.allclose(found, gauss_newton(model, X, y), atol=1e-13)
    assert float(torch.linalg.eigvalsh(found)[0]) > -1e-12


def test_many_columns_are_multiplied_as_one_by_one():
    operator = Curvature(network(), F.cross_entropy, sample())
    V = np.random.default_rng(0).standard_normal((operator.dimension, 37))  # more than are multiplied at a time
    found = operator.product(V)
    assert isinstance(found, np.ndarray)
    assert found.shape == V.shape
    for k in (0, 16, 36):
        assert np.allclose(found[:, k], operator.product(V[:, k]), atol=1e-13)


@pytest.mark.parametrize("names", ["0", "2.weight", ["0.bias", "2"]])
def test_parameters_name_a_block(names):
    model, data = network(), sample()
    operator = Curvature(model, F.cross_entropy, data, parameters=names)
    assert torch.allclose(entries(operator), hessian_matrix(model, F.cross_entropy, data, parameters=names), atol=1e-13)


def test_the_network_is_copied_and_evaluated_in_evaluation_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3)).double()
    X, y = sample()
    model(X)  # moves the batch norm's statistics
    before = {name: t.clone() for name, t in model.state_dict().items()}
    operator = Curvature(model, F.cross_entropy, split(X, y, (3, 17)), batch_size=5)
    dense = hessian_matrix(model, F.cross_entropy, (X, y))
    with torch.no_grad():
        model[0].weight.zero_()
    assert torch.allclose(entries(operator), dense, atol=1e-13)
    assert model.training
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items() if name != "0.weight")
    assert all(p.requires_grad for p in model.parameters())


def test_shared_parameters_count_once():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = self.first
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))

    torch.manual_seed(0)
    model, data = Shared().double(), sample()
    operator = Curvature(model, F.cross_entropy, data)
    assert operator.dimension == 4 * 4 + 4 + 3 * 4 + 3
    assert torch.allclose(entries(operator), hessian_matrix(model, F.cross_entropy, data), atol=1e-13)


def test_several_inputs_are_several_arguments():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, a, b):
            return torch.tanh(self.layer(a)) + self.layer(b)

    torch.manual_seed(0)
    model, (X, y) = Sum().double(), sample()
    data = [((X, X.flip(0)), y)]
    found = entries(Curvature(model, F.cross_entropy, data, batch_size=6))
    assert torch.allclose(found, hessian_matrix(model, F.cross_entropy, data), atol=1e-13)


def test_single_precision_errs_by_its_rounding_and_double_does_not():
    model, (X, y) = network().float(), sample()
    data = (X.float(), y)
    dense = hessian_matrix(model.double(), F.cross_entropy, (data[0].double(), y))
    model = model.float()
    v = torch.randn(51, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    single = (Curvature(model, F.cross_entropy, data).product(v) - dense @ v).norm() / (dense @ v).norm()
    double = (Curvature(model, F.cross_entropy, data, double=True).product(v) - dense @ v).norm()
    assert 1e-10 < single < 1e-5
    assert double < 1e-13
    assert next(model.parameters()).dtype == torch.float32


def test_of_dataset_is_the_normalized_training_split():
    data = nets.load("digits", subset=(100, 20))
    model = nets.models.fcn(64, (5,), seed=0)
    operator = Curvature.of_dataset(model, data, batch_size=33, double=True)
    X = data.normalize(data.train_x).double()
    v = torch.randn(operator.dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert operator.samples == 100
    assert operator.loss == pytest.approx(F.cross_entropy(model.double()(X), data.train_y).item(), abs=1e-6)
    assert torch.allclose(operator.product(v), double_backward(model, F.cross_entropy, X, data.train_y, v), atol=1e-8)


def test_vectors_and_mappings_are_converted_both_ways():
    model = network()
    operator = Curvature(model, F.cross_entropy, sample())
    values = {name: p.detach() for name, p in model.named_parameters()}
    flat = operator.vector(values)
    assert torch.equal(flat, torch.cat([p.detach().flatten() for p in model.parameters()]))
    back = operator.unflatten(flat)
    assert list(back) == list(values)
    assert all(torch.equal(back[name], values[name]) for name in values)
    partial = operator.vector({"2.bias": values["2.bias"]})
    assert torch.equal(partial[-3:], values["2.bias"])
    assert not partial[:-3].any()
    with pytest.raises(ValueError, match=r"values names '3.weight'.*give names among 0.weight"):
        operator.vector({"3.weight": values["2.bias"]})
    with pytest.raises(ValueError, match=r"values\['2.bias'\] has shape \(2,\).*give one of shape \(3,\)"):
        operator.vector({"2.bias": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"give one of shape \(51,\)"):
        operator.unflatten(torch.zeros(51, 2))


def test_identity_tells_operators_apart():
    model, (X, y) = network(), sample()
    first = Curvature(model, F.cross_entropy, (X, y)).identity
    assert first == Curvature(network(), F.cross_entropy, (X, y)).identity
    others = [
        Curvature(network(1), F.cross_entropy, (X, y)),
        Curvature(model, F.cross_entropy, (X, y.flip(0))),
        Curvature(model, F.cross_entropy, (X, y), kind="gauss-newton"),
        Curvature(model, F.cross_entropy, (X, y), parameters="2"),
        Curvature(model, nn.CrossEntropyLoss(label_smoothing=0.1), (X, y)),
    ]
    assert all(other.identity != first for other in others)


def weighted(*weights):
    return lambda f, y: F.cross_entropy(f, y, weight=torch.tensor(weights, dtype=f.dtype))


class Tempered:
    """A loss of an object that is no module."""

    def __init__(self, temperature):
        self.temperature = temperature

    def __call__(self, f, y):
        return F.cross_entropy(f / self.temperature, y)


LOSSES = {
    "plain": nn.CrossEntropyLoss,
    "weights": lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])),
    "other weights": lambda: nn.CrossEntropyLoss(weight=torch.tensor([9.0, 2.0, 3.0])),
    "ignored": lambda: nn.CrossEntropyLoss(ignore_index=1),
    "smoothed": lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
    "smoothed more": lambda: nn.CrossEntropyLoss(label_smoothing=0.2),
    "partial": lambda: functools.partial(F.cross_entropy, label_smoothing=0.1),
    "other partial": lambda: functools.partial(F.cross_entropy, label_smoothing=0.2),
    "closure": lambda: weighted(1.0, 2.0, 3.0),
    "other closure": lambda: weighted(9.0, 2.0, 3.0),
    "lambda": lambda: lambda f, y: F.cross_entropy(3 * f, y),
    "other lambda": lambda: lambda f, y: F.cross_entropy(2 * f, y),
    "object": lambda: Tempered(2.0),
    "other object": lambda: Tempered(3.0),
}


def test_identity_holds_what_a_loss_computes_with():
    model, data = network(), sample()
    found = {name: Curvature(model, make(), data).identity["loss"] for name, make in LOSSES.items()}
    again = {name: Curvature(model, make(), data).identity["loss"] for name, make in LOSSES.items()}
    assert found == again
    assert len(set(found.values())) == len(LOSSES)
    assert found["weights"].startswith("CrossEntropyLoss ")


def test_identity_holds_globals_that_a_loss_reads(monkeypatch):
    monkeypatch.setitem(globals(), "SCALE", 1.0)

    def scaled(f, y):
        return SCALE * F.cross_entropy(f, y)  # noqa: F821

    first = Curvature(network(), scaled, sample()).identity
    assert Curvature(network(), scaled, sample()).identity == first
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert Curvature(network(), scaled, sample()).identity != first


def test_a_spectrum_is_not_gone_on_with_under_other_class_weights(tmp_path):
    def found(*weights, **options):
        loss = nn.CrossEntropyLoss(weight=torch.tensor(weights))
        return spectrum(Curvature(network(), loss, sample()), steps=5, probes=1, **options)

    first = found(1.0, 1.0, 1.0, resume=tmp_path / "kept")
    again = found(1.0, 1.0, 1.0, resume=tmp_path / "kept")
    np.testing.assert_array_equal(again.probes[0].nodes, first.probes[0].nodes)
    with pytest.raises(CheckpointError, match=r"operator\.loss"):
        found(1.0, 50.0, 1.0, resume=tmp_path / "kept")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kind": "fisher"}, ValueError, "kind is 'fisher': give 'hessian' or 'gauss-newton'"),
        ({"parameters": "9"}, ValueError, "'9', which is no parameter of the model"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"data": iter([sample()])}, TypeError, "data is a list_iterator, which is read but once"),
        ({"data": []}, ValueError, "data is empty"),
        ({"loss": lambda f, y: f}, ValueError, "loss returns"),
        ({"loss": lambda f, y: f.mean() * float("nan")}, FloatingPointError, "loss is nan"),
    ],
)
def test_what_makes_no_sense_is_refused(change, error, message):
    arguments = {"model": network(), "loss": F.cross_entropy, "data": sample()} | change
    with pytest.raises(error, match=message):
        Curvature(**arguments)


def test_data_that_change_from_pass_to_pass_are_refused():
    X, y = sample()

    class Augmented:
        def __iter__(self):
            return iter([(X + torch.randn_like(X), y)])

    with pytest.raises(ValueError, match=r"on one pass and .* on the next: give the same samples"):
        Curvature(network(), F.cross_entropy, Augmented())
    shuffled = DataLoader(TensorDataset(X, y), batch_size=6, shuffle=True)
    v = torch.ones(51, dtype=torch.float64)
    assert torch.allclose(
        Curvature(network(), F.cross_entropy, shuffled).product(v),
        double_backward(network(), F.cross_entropy, X, y, v),
        atol=1e-13,
    )


def test_vectors_of_wrong_shapes_and_products_that_are_not_finite_are_refused():
    operator = Curvature(network(), F.cross_entropy, sample())
    with pytest.raises(ValueError, match=r"v has shape \(50,\): give \(51,\) or \(51, k\)"):
        operator.product(np.zeros(50))
    with pytest.raises(ValueError, match="v holds a number that is not finite"):
        operator.product(torch.full((51,), float("inf")))


def test_a_matrix_is_an_operator_if_it_is_symmetric():
    A = np.array([[2.0, 1.0], [1.0, -3.0]])
    assert np.allclose(Matrix(A).product(np.array([1.0, 2.0])), A @ [1, 2])
    assert Matrix(A).identity != Matrix(2 * A).identity
    with pytest.raises(ValueError, match="entries is asymmetric by 1"):
        Matrix([[1.0, 1.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="give a square matrix"):
        Matrix(np.ones((2, 3)))


def test_importing_and_the_first_product_warn_of_nothing():
    code = """
import torch
from prunekit.curvature import Curvature
data = torch.ones(3, 2), torch.tensor([0, 1, 0])
operator = Curvature(torch.nn.Linear(2, 2), torch.nn.functional.cross_entropy, data)
operator.product(torch.ones(6))
"""
    subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", code], check=True)
    light = "import sys, prunekit.curvature; assert 'curvlinops' not in sys.modules"
    subprocess.run([sys.executable, "-c", light], check=True)
