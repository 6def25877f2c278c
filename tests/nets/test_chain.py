"""Convolutional networks with their gradient written out against automatic differentiation, and where that applies."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from prunekit.nets import Config, engine, fit, fit_many, models
from prunekit.nets.chain import chain
from tests.nets.helpers import close, state, toy


class Odd(nn.Sequential):
    """A derived class, which may do anything."""


def kernels(stride: int, padding: int, kernel: int, bias: bool) -> nn.Module:
    """Return a network with a convolution of any kind, a pooling that drops a pixel, and batch norm."""
    parts = nn.Sequential(
        nn.Conv2d(2, 3, kernel, stride=stride, padding=padding, bias=bias), nn.MaxPool2d(2), nn.BatchNorm2d(3),
        nn.ReLU(), nn.Conv2d(3, 4, 1, bias=bias), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3, bias=bias),
    )  # fmt: skip
    return models.initialize(parts, 1)


NETWORKS = {
    "projections": lambda: models.resnet20(4, 3, 2),
    "identities": lambda: models.resnet20(2, 3, 2, shortcut="identity", bias=True),
    "pooling": lambda: models.cnn((2, 9, 9), [3, "M", 4, "M", 5, "M"], 3),
    "narrow": lambda: models.cnn((2, 9, 9), [1, 4], 3),
    "strided": lambda: kernels(2, 1, 3, bias=True),
    "wide stride": lambda: kernels(3, 0, 2, bias=False),
    "five": lambda: kernels(1, 2, 5, bias=True),
}


def drawn(model: nn.Module, g: torch.Generator) -> dict[str, torch.Tensor]:
    """Return random parameters and statistics of a network, in double precision."""
    found = {n: torch.randn(p.shape, generator=g, dtype=torch.float64) for n, p in model.named_parameters()}
    for name, b in model.named_buffers():
        found[name] = torch.rand(b.shape, generator=g, dtype=torch.float64) if b.is_floating_point() else b.clone()
    return found


def by_autograd(model, values, x, y):
    """Return losses, scores, gradients and the statistics after a step, from torch alone."""
    names = [n for n, _ in model.named_parameters()]
    own = {n: t.clone().requires_grad_() if n in names else t.clone() for n, t in values.items()}
    scores = functional_call(model.train(), own, (x,))
    each = cross_entropy(scores, y, reduction="none")
    gradients = torch.autograd.grad(each.mean(), [own[n] for n in names])
    statistics = {n: own[n] for n in own if n not in names}
    return each.detach(), scores.detach(), dict(zip(names, gradients, strict=True)), statistics


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-9, atol=1e-11)


@given(
    name=st.sampled_from(sorted(NETWORKS)),
    batch=st.integers(2, 6),
    networks=st.integers(1, 3),
    own=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_the_gradient_is_autograds(name, batch, networks, own, seed) -> None:
    g = torch.Generator().manual_seed(seed)
    model = NETWORKS[name]()
    written = chain(model)
    assert written is not None
    each = [drawn(model, g) for _ in range(networks)]
    x = torch.randn(networks if own else 1, batch, 2, 9, 9, generator=g, dtype=torch.float64)
    y = torch.randint(3, x.shape[:2], generator=g)
    theirs = [by_autograd(model, values, x[k * own], y[k * own]) for k, values in enumerate(each)]
    stacked = {n: torch.stack([values[n] for values in each]) for n in each[0]}
    together = written.slope(stacked, x if own else x[0], y if own else y[0])
    for k, (losses, scores, gradients, statistics) in enumerate(theirs):
        alone = written.slope(each[k], x[k * own], y[k * own])
        assert set(alone.gradients) == set(gradients)
        for mine in (alone, type(alone)(*together[:2], together.gradients)):
            part = (lambda t: t) if mine is alone else (lambda t, k=k: t[k])
            assert same(part(mine.losses), losses)
            assert same(part(mine.scores), scores)
            assert all(same(part(mine.gradients[n]), t) for n, t in gradients.items())
        for n, t in statistics.items():
            assert same(each[k][n], t)
            assert same(stacked[n][k], t)


def without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "chain", lambda model: None)


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9, "l1": 1e-3, "l2": 1e-2, "average": 3, "crop": 1}])
@pytest.mark.parametrize("name", ["projections", "pooling"])
def test_training_is_the_same_up_to_rounding(monkeypatch: pytest.MonkeyPatch, name, settings) -> None:
    data, settings = toy(21, (2, 9, 9)), {"epochs": 2, "batch_size": 8, "lr": 1e-3} | settings
    first = next(n for n, p in NETWORKS[name]().named_parameters() if p.ndim == 4)
    shape, g = NETWORKS[name]().get_parameter(first).shape, torch.Generator().manual_seed(0)
    masks = {first: torch.rand(shape, generator=g) < 0.5}
    configs = [Config(**settings, seed=k // 2) for k in range(3)]

    def trained():
        many = fit_many(NETWORKS[name](), data, configs, masks=masks)
        return [fit(NETWORKS[name](), data, configs[0], masks=masks), *many]

    ours = trained()
    without_it(monkeypatch)
    for a, b in zip(ours, trained(), strict=True):
        assert close(state(a.model), state(b.model), 1e-4)
        assert not a.model.get_parameter(first)[~masks[first]].any()
        if a.averaged is not None:
            assert b.averaged is not None
            assert close(a.averaged, b.averaged, 1e-4)


def test_training_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No gradient of a small convolutional network is found by automatic differentiation, that of a large one is."""
    monkeypatch.setattr(torch.autograd, "grad", lambda *_, **__: pytest.fail("autograd was asked"))
    config = Config(epochs=1, batch_size=10)
    fit(NETWORKS["projections"](), toy(20, (2, 9, 9)), config)
    fit_many(NETWORKS["pooling"](), toy(20, (2, 9, 9)), [config, config])
    with pytest.raises(pytest.fail.Exception, match="autograd"):
        fit(models.cnn((1, 40, 40), [8, 40], 3), toy(80, (1, 40, 40)), Config(epochs=1, batch_size=80))


def changed(change) -> nn.Module:
    """Return a network that `change` makes something else than a plain chain."""
    model = models.resnet20(2, 3, 2)
    return change(model) or model


def void(_: object) -> None:
    """Return nothing: the network was changed in place."""


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_what_is_unfolded_is_known_before(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prunekit.nets import chain_layers as module

    model, sizes, real = NETWORKS[name](), [], module._columns

    def noted(*given):
        sizes.append(real(*given).numel())
        return real(*given)

    monkeypatch.setattr(module, "_columns", noted)
    written = chain(model)
    written.slope(state(model), torch.zeros(5, 2, 9, 9), torch.zeros(5, dtype=torch.int64))
    assert max(sizes) == 5 * written.unfolded((2, 9, 9))


OTHERS = {
    "hooked": lambda m: void(m.block00.conv1.register_forward_hook(lambda *_: None)),
    "frozen": lambda m: void(m.block00.conv1.weight.requires_grad_(False)),
    "thinned": lambda m: setattr(m.block00, "conv1", nn.Conv2d(2, 2, 1, stride=2)),
    "tied": lambda m: setattr(m.block01.conv1, "weight", m.block00.conv1.weight),
    "repeated": lambda m: setattr(m, "block01", m.block00),
    "derived": lambda m: setattr(m, "block00", Odd(m.block00)),
    "grouped": lambda m: setattr(m.block00, "conv1", nn.Conv2d(2, 2, 3, padding=1, groups=2)),
    "dilated": lambda m: setattr(m.block00, "conv1", nn.Conv2d(2, 2, 3, padding=2, dilation=2)),
    "reflecting": lambda m: setattr(m.block00, "conv1", nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")),
    "in words": lambda m: setattr(m.block00, "conv1", nn.Conv2d(2, 2, 3, padding="same")),
    "uneven": lambda m: setattr(m.block00, "conv1", nn.Conv2d(2, 2, (3, 1), padding=(1, 0))),
    "without statistics": lambda m: setattr(m, "norm", nn.BatchNorm2d(2, track_running_stats=False)),
    "plain norm": lambda m: setattr(m, "norm", nn.BatchNorm2d(2, affine=False)),
    "cumulative": lambda m: setattr(m, "norm", nn.BatchNorm2d(2, momentum=None)),
    "double": lambda m: m.double(),
    "overlapping": lambda m: setattr(m, "relu", nn.MaxPool2d(3, 1, 1)),
    "another layer": lambda m: setattr(m, "relu", nn.Tanh()),
    "no convolution first": lambda m: nn.Sequential(nn.ReLU(), m),
    "no scores last": lambda m: nn.Sequential(m, nn.ReLU()),
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_networks_are_left_to_torch(name: str) -> None:
    assert chain(models.resnet20(2, 3, 2)) is not None
    assert chain(changed(OTHERS[name])) is None


def test_a_batch_of_one_value_a_channel_is_refused() -> None:
    model = models.resnet20(2, 3, 2)
    written = chain(model)
    values = state(model)
    with pytest.raises(ValueError, match="more than 1 value"):
        written.slope(values, torch.zeros(1, 2, 4, 4), torch.zeros(1, dtype=torch.int64))
