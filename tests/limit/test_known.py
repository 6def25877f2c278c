"""A network whose Hessian is known is the one that was trained, and its Hessian that of its loss."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from prunekit.limit import minibatch_tolerance, predict
from prunekit.limit.known import KnownNetwork
from prunekit.nets import Config, fit, load
from prunekit.nets.models import fcn

HOW = Config(epochs=3, batch_size=20, lr=0.1, momentum=0.9, l1=1e-4, seed=5)


@pytest.fixture(scope="module")
def net() -> KnownNetwork:
    data = load("digits", subset=(80, 20), seed=0)
    return KnownNetwork.train("fully connected", fcn(64, (4,), seed=1), data, HOW)


def test_it_is_trained_as_it_was_told(net: KnownNetwork) -> None:
    data, model = load("digits", subset=(80, 20), seed=0), fcn(64, (4,), seed=1)
    history = fit(model, data, HOW, progress=False).history
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    np.testing.assert_array_equal(net.landscape.weights, weights.double())
    assert net.loss == history.rows[-1]["train_loss"] and net.kind == "fully connected"
    assert net.epsilon == minibatch_tolerance(model, net.batch, cross_entropy, batch_size=20, seed=5).value


def test_the_hessian_is_that_of_the_mean_loss(net: KnownNetwork) -> None:
    model = fcn(64, (4,), seed=1).double()
    images, labels = net.batch[0].double(), net.batch[1]

    def loss(w: torch.Tensor) -> torch.Tensor:
        sizes = [p.numel() for p in model.parameters()]
        parts = zip(model.named_parameters(), w.split(sizes), strict=True)
        new = {name: part.view_as(p) for (name, p), part in parts}
        return cross_entropy(torch.func.functional_call(model, new, (images,)), labels)

    rows = torch.autograd.functional.hvp(loss, torch.from_numpy(net.landscape.weights), torch.eye(net.size)[7].double())
    np.testing.assert_allclose(net.hessian[7], rows[1], atol=1e-12)
    v = np.random.default_rng(0).standard_normal(net.size)
    np.testing.assert_allclose(net.products.product(v), net.hessian @ v, atol=1e-5 * np.abs(net.hessian).max())
    np.testing.assert_allclose(net.h, np.linalg.eigvalsh(net.hessian), atol=1e-12)
    assert net.zero == pytest.approx(1e-7 * net.h[-1])


def test_its_own_nu_is_at_its_limit(net: KnownNetwork) -> None:
    k = predict(net.landscape, net.epsilon).kept
    R = math.sqrt(np.sum(np.sort(np.abs(net.landscape.weights))[: net.size - k] ** 2))
    assert net.nu == pytest.approx(2 * net.epsilon / R**2)
