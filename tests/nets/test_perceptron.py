"""The written-out gradient of fully connected networks against automatic differentiation, and where it applies."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize

from prunekit.nets import Config, engine, fit, fit_many, models
from prunekit.nets.perceptron import perceptron
from tests.nets.helpers import close, state, toy


def by_autograd(model: nn.Module, weights, x, y):
    """Return losses, scores and gradients of one network, from torch alone."""
    leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
    scores = functional_call(model, leaves, (x,))
    each = cross_entropy(scores, y, reduction="none")
    gradients = torch.autograd.grad(each.mean(), list(leaves.values()))
    return each.detach(), scores.detach(), dict(zip(leaves, gradients, strict=True))


def alike(ours, theirs) -> bool:
    close = [torch.allclose(a, b, rtol=1e-12, atol=1e-14) for a, b in zip(ours[:2], theirs[:2], strict=True)]
    own = ours[2]
    return all(close) and all(torch.allclose(own[n], g, rtol=1e-11, atol=1e-14) for n, g in theirs[2].items())


@given(
    hidden=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    bias=st.booleans(),
    batch=st.integers(1, 9),
    networks=st.integers(1, 4),
    own=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_the_gradient_is_autograds(hidden, bias, batch, networks, own, seed) -> None:
    g = torch.Generator().manual_seed(seed)
    nets = [models.fcn(6, hidden, 3, bias=bias, seed=seed % 1000 + k) for k in range(networks)]
    written = perceptron(nets[0])
    assert written is not None
    each = [{n: torch.randn(p.shape, generator=g, dtype=torch.float64) for n, p in m.named_parameters()} for m in nets]
    x = torch.randn(networks if own else 1, batch, 2, 1, 3, generator=g, dtype=torch.float64)
    x[..., 0] = 0  # and a kink: of no bias, a hidden unit of a dark image is at 0
    x[:, 0] = 0
    y = torch.randint(3, x.shape[:2], generator=g)
    theirs = [by_autograd(m, w, x[k * own], y[k * own]) for k, (m, w) in enumerate(zip(nets, each, strict=True))]
    for k in range(networks):
        assert alike(written.slope(each[k], x[k * own], y[k * own]), theirs[k])
        assert torch.allclose(written.scores(each[k], x[k * own]), theirs[k][1], rtol=1e-12, atol=1e-14)
    stacked = {n: torch.stack([w[n] for w in each]) for n in each[0]}
    rates = torch.rand(networks, generator=g, dtype=torch.float64)
    found = written.slope(stacked, x if own else x[0], y if own else y[0])
    for k in range(networks):
        mine = (found.losses[k], found.scores[k], {n: t[k] for n, t in found.gradients.items()})
        assert alike(mine, theirs[k])
    for lr in (0.3, rates):
        below = {n: t.clone() for n, t in stacked.items()}
        losses, scores = written.descend(below, x if own else x[0], y if own else y[0], lr)
        for k in range(networks):
            step = {n: (w[k] - below[n][k]) / (lr if isinstance(lr, float) else lr[k]) for n, w in stacked.items()}
            assert torch.equal(losses[k], found.losses[k]) and torch.equal(scores[k], found.scores[k])
            assert all(torch.allclose(step[n], gradient, rtol=1e-8, atol=1e-10) for n, gradient in theirs[k][2].items())


def without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "perceptron", lambda model: None)


SETTINGS = [
    {"batch_size": 16, "lr": 0.1},
    {"batch_size": 7, "lr": 0.05, "momentum": 0.9, "l1": 1e-3, "l2": 1e-2, "penalize": "all", "average": 5},
    {"batch_size": 16, "lr": 0.01, "optimizer": "adam", "crop": 1, "flip": True, "schedule": "cosine"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_training_is_the_same_up_to_rounding(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    data, config = toy(50, (1, 4, 4)), Config(epochs=4, **settings)

    def nets():
        return [models.fcn(16, [8, 6], 3, bias=True, seed=k) for k in range(3)]

    g = torch.Generator().manual_seed(0)
    masks = {"hidden1.weight": torch.rand(6, 8, generator=g) < 0.5}
    configs = [Config(epochs=4, **settings | {"seed": k // 2}) for k in range(3)]
    ours = [fit(nets()[0], data, config, masks=masks), *fit_many(nets(), data, configs, masks=masks)]
    without_it(monkeypatch)
    theirs = [fit(nets()[0], data, config, masks=masks), *fit_many(nets(), data, configs, masks=masks)]
    for a, b in zip(ours, theirs, strict=True):
        assert close(state(a.model), state(b.model))
        assert not a.model.get_parameter("hidden1.weight")[~masks["hidden1.weight"]].any()
        if a.averaged is not None:
            assert b.averaged is not None and close(a.averaged, b.averaged)
        for row, other in zip(a.history.rows, b.history.rows, strict=True):
            assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)


def test_training_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No gradient of a fully connected network is found by automatic differentiation."""
    monkeypatch.setattr(torch.autograd, "grad", lambda *_, **__: pytest.fail("autograd was asked"))
    data = toy(20, (1, 4, 4))
    fit(models.fcn(16, [8], 3), data, Config(epochs=1, batch_size=8))
    fit_many(models.fcn(16, [8], 3), data, [Config(epochs=1, batch_size=8, lr=lr) for lr in (0.1, 0.2)])


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def changed(change) -> nn.Module:
    """Return a network that `change` makes something else than a plain perceptron."""
    model = models.fcn(16, [8, 8], 3, bias=True)
    return change(model) or model


def tied(model):
    model.hidden1.bias = model.input.bias


def frozen(model):
    model.input.bias.requires_grad_(False)


def overridden(model):
    model.relu0.forward = lambda x: x


OTHERS = {
    "a layer of a derived class": lambda m: setattr(m, "hidden1", Doubled(8, 8)),
    "another activation": lambda m: setattr(m, "relu1", nn.LeakyReLU()),
    "dropout": lambda m: nn.Sequential(*m[:2], nn.Dropout(), *m[2:]),
    "a buffer": lambda m: m.input.register_buffer("seen", torch.zeros(3)),
    "a forward hook": lambda m: m.relu0.register_forward_hook(lambda *_: None) and None,
    "a forward hook before": lambda m: m.register_forward_pre_hook(lambda *_: None) and None,
    "a backward hook": lambda m: m.input.register_full_backward_hook(lambda *_: None) and None,
    "a parametrization": lambda m: parametrize.register_parametrization(m.input, "weight", nn.Identity()) and None,
    "a shared parameter": tied,
    "a frozen parameter": frozen,
    "another forward": overridden,
    "a layer that is used twice": lambda m: nn.Sequential(m[0], m[3], nn.ReLU(), m[3], nn.ReLU(), m[5]),
    "a repeated activation at the end": lambda m: nn.Sequential(*m[:3], m[2]),
    "no flattening": lambda m: m[1:],
    "partial flattening": lambda m: setattr(m, "flatten", nn.Flatten(2)),
    "an activation at the end": lambda m: nn.Sequential(*m, nn.ReLU()),
    "a linear layer after another": lambda m: nn.Sequential(*m, nn.Linear(3, 3)),
    "a module of its own": nn.ModuleList,
    "no layer": lambda m: nn.Sequential(nn.Flatten()),
    "double precision": lambda m: m.double() and None,
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_more_than_a_perceptron_is_left_to_autograd(what: str) -> None:
    assert perceptron(changed(lambda m: None)) is not None
    assert perceptron(changed(OTHERS[what])) is None


def test_a_network_of_vectors_is_a_perceptron_where_that_is_asked_for() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    assert perceptron(model) is None
    written = perceptron(model, vectors=True)
    assert written is not None
    assert [weight for weight, _ in written.layers] == ["0.weight", "2.weight"]
    assert perceptron(nn.Sequential(), vectors=True) is None
    assert perceptron(nn.Sequential(nn.Tanh(), nn.Linear(6, 3)), vectors=True) is None


def test_a_gradient_hook_on_a_parameter_is_left_to_autograd() -> None:
    model = models.fcn(16, [8], 3)
    model.input.weight.register_hook(lambda g: 0 * g)
    assert perceptron(model) is None


def test_an_activation_may_be_used_twice() -> None:
    model = models.fcn(16, [8, 8], 3)
    again = nn.Sequential(model[0], model[1], model[2], model[3], model[2], model[5])
    written = perceptron(again)
    assert written is not None
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(written.scores(dict(again.named_parameters()), x), again(x), atol=1e-6)


def test_a_single_layer_is_a_perceptron_too() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    assert perceptron(model) is not None
    fit(model, toy(20, (1, 4, 4)), Config(epochs=1, batch_size=8))
