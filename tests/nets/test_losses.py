"""Losses over batches against the loss of all data at once; sums and other non-means are refused."""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunekit.curvature import Curvature
from prunekit.importance import hessian_diagonal, hessian_matrix, natural

WEIGHTS = torch.tensor([1.0, 5.0, 20.0])
MEANS = {
    "class weights": nn.CrossEntropyLoss(weight=WEIGHTS),
    "ignored labels": nn.CrossEntropyLoss(ignore_index=1),
    "ignored by the function": F.cross_entropy,  # label -100
    "weights of a partial": functools.partial(F.cross_entropy, weight=WEIGHTS, ignore_index=1),
    "smoothed": nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.2),
    "likelihood": nn.Sequential(),  # made below: NLLLoss takes logarithms
    "squares": lambda f, y: (f - y[:, None]).square().mean(),
}


def sample(n=24, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, generator=rng), torch.randint(3, (n,), generator=rng)


def network(*last):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3), *last).double()


def split(X, y, sizes=(2, 1, 9, 12)):
    return list(zip(X.split(sizes), y.split(sizes), strict=True))


def entries(operator):
    return operator.product(torch.eye(operator.dimension, dtype=torch.float64))


def in_double(loss):
    if isinstance(loss, nn.Module):
        return copy.deepcopy(loss).double()
    if isinstance(loss, functools.partial):
        return functools.partial(loss.func, **{**loss.keywords, "weight": WEIGHTS.double()})
    return loss


@pytest.mark.parametrize("name", MEANS)
def test_the_mean_over_all_data_does_not_hang_on_how_they_are_cut(name):
    """Losses in single precision, a network in double, batches of unlike sizes and total weights."""
    X, y = sample()
    X, model, loss = X.double(), network(), MEANS[name]
    if name == "ignored by the function":
        y[::3] = -100
        y[:2] = -100  # the whole of the first batch, whose mean is nan
    if name == "likelihood":
        model, loss = network(nn.LogSoftmax(1)), nn.NLLLoss(weight=WEIGHTS)

    def whole(*theta):
        parts = dict(zip(dict(model.named_parameters()), theta, strict=True))
        return in_double(loss)(torch.func.functional_call(model, parts, (X,)), y)

    theta = tuple(p.detach() for p in model.parameters())
    rows = torch.autograd.functional.hessian(whole, theta)
    H = torch.cat([torch.cat([h.reshape(p.numel(), -1) for h in row], 1) for p, row in zip(theta, rows, strict=True)])
    for data in ((X, y), split(X, y)):
        operator = Curvature(model, loss, data, batch_size=4)
        assert operator.loss == pytest.approx(float(whole(*theta)), rel=1e-12)
        assert operator.route == "kept"
        torch.testing.assert_close(entries(operator), H, atol=1e-13, rtol=1e-11)
        torch.testing.assert_close(hessian_matrix(model, loss, data), H, atol=1e-13, rtol=1e-11)
        diagonal = torch.cat([d.flatten() for d in hessian_diagonal(model, loss, data).values.values()])
        torch.testing.assert_close(diagonal, H.diagonal(), atol=1e-13, rtol=1e-11)
        change = natural(model, loss, data, "0", reference=0.5)
        halves = [torch.full_like(p, 0.5) if i < 2 else p for i, p in enumerate(theta)]
        assert change == pytest.approx(float(whole(*halves) - whole(*theta)), rel=1e-10)
    sandwiches = [hessian_diagonal(model, loss, data, method="gauss-newton").values for data in ((X, y), split(X, y))]
    for key in sandwiches[0]:
        torch.testing.assert_close(sandwiches[0][key], sandwiches[1][key], atol=1e-13, rtol=1e-11)


class Focal(nn.CrossEntropyLoss):
    """A plain mean over all samples, of class weights and ignored labels as its parent's, but not divided by them."""

    def forward(self, f, y):
        chance = f.softmax(1)[torch.arange(len(y)), y.clamp(min=0)]
        each = F.cross_entropy(f, y, weight=self.weight, ignore_index=self.ignore_index, reduction="none")
        return ((1 - chance) ** 2 * each).mean()


@pytest.mark.parametrize("loss", [Focal(), Focal(weight=WEIGHTS), Focal(ignore_index=1)])
def test_a_loss_derived_from_cross_entropy_is_a_mean_of_its_own(loss):
    X, y = sample()
    X, model = X.double(), network()
    whole = hessian_matrix(model, loss, (X, y))
    torch.testing.assert_close(hessian_matrix(model, loss, split(X, y)), whole, atol=1e-13, rtol=1e-11)
    torch.testing.assert_close(entries(Curvature(model, loss, split(X, y))), whole, atol=1e-13, rtol=1e-11)


def test_a_loss_module_is_left_in_its_own_precision():
    loss = nn.CrossEntropyLoss(weight=WEIGHTS.clone())
    X, y = sample()
    Curvature(network().float(), loss, (X, y), double=True)
    hessian_matrix(network(), loss, (X.double(), y))
    assert loss.weight.dtype == torch.float32


def test_pixels_count_by_those_that_are_not_ignored():
    torch.manual_seed(0)
    model = nn.Conv2d(1, 3, 1).double()
    images, labels = torch.randn(6, 1, 2, 2).double(), torch.randint(3, (6, 2, 2))
    labels[0, 0] = labels[1] = labels[4, :, 0] = -100
    whole = hessian_matrix(model, F.cross_entropy, (images, labels))
    operator = Curvature(model, F.cross_entropy, (images, labels), batch_size=1)
    torch.testing.assert_close(entries(operator), whole, atol=1e-14, rtol=1e-12)


def sum_of(f, y):
    return F.cross_entropy(f, y, reduction="sum")


def own_weights(f, y):
    return F.cross_entropy(f, y, weight=WEIGHTS.double())


def root(f, y):
    return (f.square().sum(1) + y).mean().sqrt()


def masked(f, y):
    """Mean over labels that are not negative: 0 on a part that has none."""
    counted = (y >= 0).double()
    return (F.cross_entropy(f, y.clamp(min=0), reduction="none") * counted).sum() / counted.sum().clamp(min=1)


X, Y = sample()
X = X.double()
CALLS = {
    "operator": lambda loss, data: Curvature(network(), loss, data),
    "matrix": lambda loss, data: hessian_matrix(network(), loss, data),
    "exact": lambda loss, data: hessian_diagonal(network(), loss, data),
    "gauss-newton": lambda loss, data: hessian_diagonal(network(), loss, data, method="gauss-newton"),
    "hutchinson": lambda loss, data: hessian_diagonal(network(), loss, data, method="hutchinson"),
    "natural": lambda loss, data: natural(network(), loss, data),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (nn.CrossEntropyLoss(reduction="sum"), "loss has reduction='sum'"),
        (functools.partial(F.cross_entropy, reduction="sum"), "loss has reduction='sum'"),
        (sum_of, "loss is a sum: .* Give one that returns the mean"),
    ],
)
def test_sums_are_refused(call, loss, message):
    for data in ((X, Y), split(X, Y)):
        with pytest.raises(ValueError, match=message):
            CALLS[call](loss, data)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("loss", [own_weights, root])
def test_other_means_are_taken_for_all_data_at_once_only(call, loss):
    CALLS[call](loss, (X, Y))
    with pytest.raises(ValueError, match=r"loss is no mean over the samples: .* or all data at once"):
        CALLS[call](loss, split(X, Y))


def by_length(f, y):
    """For 24 samples only."""
    return {24: F.cross_entropy}[len(y)](f, y)


def asserted(f, y):
    assert len(y) == 24, "24 samples"
    return F.cross_entropy(f, y)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("loss", [by_length, asserted])
def test_a_loss_may_be_for_one_length_of_batch(call, loss):
    CALLS[call](loss, (X, Y))
    with pytest.raises(ValueError, match="it fails on a part of a batch"):
        CALLS[call](loss, [(X, Y), (X, Y)])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kept", [slice(0, 12), slice(12, 24)])
def test_a_loss_that_is_zero_on_half_the_batch_is_no_sum(call, kept):
    labels = torch.full_like(Y, -1)
    labels[kept] = Y[kept]
    CALLS[call](masked, (X, labels))
    with pytest.raises(ValueError, match="loss is no mean over the samples"):
        CALLS[call](masked, split(X, labels, (8, 8, 8)))


def test_a_function_with_tensors_of_another_type_says_so():
    with pytest.raises(TypeError, match=r"loss fails on outputs of type torch.float64 .*: give its tensors"):
        hessian_matrix(network(), lambda f, y: F.cross_entropy(f, y, weight=WEIGHTS), (X, Y))


def test_data_of_ignored_labels_only_are_refused():
    for call in CALLS.values():
        with pytest.raises(ValueError, match="data have no label that counts"):
            call(F.cross_entropy, (X, torch.full_like(Y, -100)))
