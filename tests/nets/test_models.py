"""Shapes, parameter counts and seeds of the papers' networks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d

from prunekit.nets import models
from tests.nets.helpers import equal, state


@pytest.mark.parametrize(
    ("depth", "inputs", "millions"), [(4, 784, 14.2), (6, 784, 22.6), (4, 3072, 18.9), (6, 3072, 27.3)]
)
def test_fcn_counts_of_barsbey(depth: int, inputs: int, millions: float) -> None:
    model = models.fcn(inputs, [2048] * depth)
    assert round(models.count(model) / 1e6, 1) == millions
    assert all("bias" not in name for name, _ in model.named_parameters())


def test_fcn_with_biases() -> None:
    assert models.count(models.fcn(10, [7, 5], 3, bias=True)) == 10 * 7 + 7 + 7 * 5 + 5 + 5 * 3 + 3


def test_two_layer_count_of_li() -> None:
    assert models.count(models.two_layer(784, 1024)) == (784 + 10) * 1024


@pytest.mark.parametrize(("width", "about"), [(5, 28_000), (8, 70_000), (10, 109_000)])
def test_resnet20_counts_of_chang(width: int, about: int) -> None:
    closest = models.count(models.resnet20(width, bias=True), buffers=True)
    assert round(closest / 1000) * 1000 == about
    trainable = models.count(models.resnet20(width))
    assert trainable == {5: 27_185, 8: 68_786, 10: 107_060}[width]
    assert abs(trainable / about - 1) < 0.03
    identity = models.count(models.resnet20(width, shortcut="identity"))
    assert identity == {5: 26_875, 8: 68_050, 10: 105_940}[width]
    for shortcut in ("projection", "identity"):  # the variant named as closest is the closest
        for bias in (False, True):
            for buffers in (False, True):
                other = models.count(models.resnet20(width, shortcut=shortcut, bias=bias), buffers=buffers)
                assert abs(other - about) >= abs(closest - about)


def test_resnet20_of_he() -> None:
    """He et al. (2016), Table 6: 0.27 M, with parameter-free shortcuts."""
    assert round(models.count(models.resnet20(16, shortcut="identity")) / 1e6, 2) == 0.27


def test_the_identity_shortcut_carries_its_input() -> None:
    model = models.resnet20(2, shortcut="identity").eval()
    block = model.get_submodule("block10")
    for name, p in block.named_parameters():
        p.data.zero_() if name.startswith("norm2") else None
    x = torch.rand(1, 2, 6, 6)
    y = block(x)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert torch.equal(y[:, 2:], torch.zeros(1, 2, 3, 3))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_vgg11_count_of_barsbey(shape: tuple[int, int, int]) -> None:
    model = models.vgg11(shape)
    assert models.count(model) == 9 * (shape[0] * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512**2) + 5120
    assert round(models.count(model) / 1e6) == 9
    assert sum(isinstance(m, torch.nn.Conv2d) for m in model.modules()) == 8
    assert model(torch.zeros(2, *shape)).shape == (2, 10)


def test_counts_of_geometric() -> None:
    widths = [3072, 1000, 600, 300, 100, 10]
    assert models.count(models.fc5()) == sum((a + 1) * b for a, b in pairwise(widths))
    twelve = models.fc12()
    assert len([m for m in twelve.modules() if isinstance(m, torch.nn.Linear)]) == 12
    assert models.count(twelve) == 7_269_610


@pytest.mark.parametrize(
    ("build", "classes", "parameters"),
    [(models.vgg16_bn, 10, 14_728_266), (models.resnet18, 100, 11_220_132), (models.resnet50, 100, 23_705_252)],
)
def test_torchvision_models_for_small_images(build, classes: int, parameters: int) -> None:
    model = build(classes).eval()
    assert models.count(model) == parameters
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, classes)


def test_alexnet_takes_both_sizes_and_has_no_dropout() -> None:
    model = models.alexnet(10).eval()
    assert models.count(model) == 28_711_754
    with torch.no_grad():
        for size in (32, 64):
            assert model(torch.zeros(1, 3, size, size)).shape == (1, 10)
    assert all(m.p == 0 for m in model.modules() if isinstance(m, torch.nn.Dropout))


def test_alexnet_as_geometrics_authors_built_it() -> None:
    model = models.alexnet(10, enlarged=True).eval()
    filters = 96 * 3 * 11**2 + 256 * 96 * 5**2 + 9 * (384 * 256 + 384 * 384 + 256 * 384)
    biases = 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 10
    assert models.count(model) == filters + 6400 * 4096 + 4096**2 + 40960 + biases == 46_787_978
    first = model.get_parameter("features.1.weight")
    assert first.shape == (96, 3, 11, 11) and model.features[1].stride == (4, 4)
    x = torch.rand(1, 3, 32, 32)
    seen = model.features[0](x)
    assert seen.shape == (1, 3, 224, 224) and torch.equal(seen[..., ::7, 3::7], x)
    with torch.no_grad():
        assert model(x).shape == (1, 10)


def test_scaling_moves_the_layers_and_keeps_the_function() -> None:
    one, four = models.two_layer(6, 5, 3, seed=1), models.two_layer(6, 5, 3, scale=4.0, seed=1)
    assert torch.equal(four.get_parameter("input.weight"), 4 * one.get_parameter("input.weight"))
    assert torch.equal(four.get_parameter("output.weight"), one.get_parameter("output.weight") / 4)
    x = torch.randn(7, 1, 2, 3)
    assert torch.allclose(one(x), four(x), atol=1e-6)
    v, w = one.get_parameter("output.weight"), one.get_parameter("input.weight")
    assert torch.allclose(one(x), torch.relu(x.flatten(1) @ w.T) @ v.T, atol=1e-6)


def test_weights_are_he_normal() -> None:
    model = models.two_layer(500, 400, 50)
    for name, fan_in in (("input.weight", 500), ("output.weight", 400)):
        assert abs(float(model.get_parameter(name).detach().std()) / (2 / fan_in) ** 0.5 - 1) < 0.03


@pytest.mark.parametrize("name", ["two_layer", "resnet20", "resnet18", "vgg16_bn"])
def test_a_seed_is_one_network_and_the_global_generator_is_left_alone(name: str) -> None:
    def build(seed: int) -> dict:
        sizes = {"two_layer": (6, 5), "resnet20": (2,)}.get(name, (10,))
        return state(getattr(models, name)(*sizes, seed=seed))

    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = build(0)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    assert equal(build(0), first)
    assert not equal(build(1), first)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: models.two_layer(0, 5), "inputs"),
        (lambda: models.two_layer(5, 0), "hidden"),
        (lambda: models.two_layer(5, 5, 1), "classes"),
        (lambda: models.two_layer(5, 5, scale=0.0), "scale"),
        (lambda: models.two_layer(5, 5, seed=-1), "seed"),
        (lambda: models.fcn(5, []), "hidden"),
        (lambda: models.vgg11((3, 64, 64)), "shape"),
        (lambda: models.resnet20(0), "width"),
        (lambda: models.resnet20(4, shortcut="none"), "shortcut"),
    ],
)
def test_refusals_name_the_argument(call, word: str) -> None:
    with pytest.raises(ValueError, match=rf"^{word} is"):
        call()


def _norm(x: torch.Tensor, model: torch.nn.Module, name: str) -> torch.Tensor:
    """Normalize by the batch's own moments, channel by channel."""
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    scale, shift = (model.get_parameter(f"{name}.{k}").view(1, -1, 1, 1) for k in ("weight", "bias"))
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def _resnet_by_hand(model: torch.nn.Module, x: torch.Tensor, shortcut: str) -> torch.Tensor:
    """Return the scores of ResNet-20 as He et al. (2016, Section 4.2) describe it, in training mode."""
    weight = model.get_parameter
    x = torch.relu(_norm(conv2d(x, weight("conv.weight"), padding=1), model, "norm"))
    for stage in range(3):
        for block in range(3):
            name, stride = f"block{stage}{block}", 2 if stage and not block else 1
            y = torch.relu(_norm(conv2d(x, weight(f"{name}.conv1.weight"), None, stride, 1), model, f"{name}.norm1"))
            y = _norm(conv2d(y, weight(f"{name}.conv2.weight"), padding=1), model, f"{name}.norm2")
            if stride == 2 and shortcut == "projection":
                x = _norm(conv2d(x, weight(f"{name}.carry.0.weight"), None, 2), model, f"{name}.carry.1")
            elif stride == 2:
                x = torch.cat([x[:, :, ::2, ::2], torch.zeros_like(x[:, :, ::2, ::2])], 1)
            x = torch.relu(x + y)
    return x.mean((2, 3)) @ weight("output.weight").T + weight("output.bias")


@pytest.mark.parametrize("shortcut", ["projection", "identity"])
def test_resnet20_is_its_formula(shortcut: str) -> None:
    model, g = models.resnet20(3, shortcut=shortcut), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1:  # batch norms that do something
                p.copy_(torch.rand(p.shape, generator=g) + 0.5)
        x = torch.randn(4, 3, 12, 12, generator=g)
        assert torch.allclose(model.train()(x), _resnet_by_hand(model, x, shortcut), rtol=1e-4, atol=1e-4)


def test_vgg11_and_fcn_are_their_formulas() -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model, y = models.vgg11(), x
        pools = {1, 2, 4, 6, 8}  # after the convolutions of these numbers
        kernels = [p for p in model.parameters() if p.ndim == 4]
        for k, kernel in enumerate(kernels, 1):
            y = torch.relu(conv2d(y, kernel, padding=1))
            y = max_pool2d(y, 2) if k in pools else y
        assert torch.allclose(model(x), y.flatten(1) @ model.get_parameter("output.weight").T, atol=1e-5)
        model, y = models.fcn(3072, [7, 6, 5], 4, bias=True, seed=1), x.flatten(1)
        layers = [m for m in model if isinstance(m, torch.nn.Linear)]
        for layer in layers:
            layer.bias.uniform_(-1, 1)
            y = (y if layer is layers[0] else torch.relu(y)) @ layer.weight.T + layer.bias
        assert torch.allclose(model(x), y, atol=1e-5)


@pytest.mark.parametrize("build", [models.resnet18, models.resnet50])
def test_resnets_for_small_images_shrink_them_eightfold(build) -> None:
    """Three strides of 2 and no pooling before the last: torchvision's own shrink images 32-fold."""
    model, seen = build(10).eval(), []
    model.get_submodule("avgpool").register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2:]))
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    assert seen == [(4, 4)]


def test_the_small_cnn_has_the_layers_of_its_plan() -> None:
    model = models.cnn((3, 9, 8), [4, "M", 5, 6, "M"], 7)
    assert models.count(model) == 9 * (3 * 4 + 4 * 5 + 5 * 6) + 6 * 2 * 2 * 7
    assert model(torch.rand(2, 3, 9, 8)).shape == (2, 7)
    assert all("bias" not in name for name, _ in model.named_parameters())
    plan = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
    assert equal(state(models.cnn((3, 32, 32), plan, seed=3)), state(models.vgg11(seed=3)))


@pytest.mark.parametrize(("plan", "message"), [(["M"], "one convolution"), ([4, "M", "M", "M"], "to nothing")])
def test_plans_that_leave_nothing_are_refused(plan: list[int | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.cnn((1, 6, 6), plan)
