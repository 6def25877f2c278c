"""`fit`: its configuration, its steps against torch's, and the ways it stops."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from prunekit.nets import Config, Dataset, Diverged, evaluate, fit, fit_many, load, models, steps
from prunekit.nets.config import batch_rates, learning_rate
from prunekit.nets.engine import Draw, Engine, Learner
from tests.nets.helpers import close, equal, state, toy


def net(seed: int = 0) -> nn.Module:
    return models.fcn(16, [8, 6], 3, bias=True, seed=seed)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"optimizer": "lbfgs"}, "optimizer"),
        ({"lr": 0.0}, "lr"),
        ({"lr": math.nan}, "lr"),
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": 0.5, "optimizer": "adam"}, "momentum"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"betas": (0.9,)}, "betas"),
        ({"l1": -1.0}, "l1"),
        ({"schedule": "linear"}, "schedule"),
        ({"schedule": "multistep"}, "milestones"),
        ({"milestones": (1,)}, "milestones"),
        ({"schedule": "multistep", "milestones": (3, 2)}, "milestones"),
        ({"warmup": 5}, "warmup"),
        ({"interpolation": 0.0}, "interpolation"),
        ({"precision": "int8"}, "precision"),
        ({"seed": -1}, "seed"),
        ({"penalize": "none"}, "penalize"),
    ],
)
def test_a_configuration_is_judged_when_it_is_made(changes: dict, word: str) -> None:
    with pytest.raises(ValueError, match=rf"^{word} is"):
        Config(**{"epochs": 5, **changes})
    with pytest.raises(TypeError, match=r"^flip is"):
        Config(epochs=5, flip=1)


def _scheduler(kind: str, optimizer: torch.optim.Optimizer, epochs: int):
    from torch.optim import lr_scheduler as torchs

    return {
        "constant": lambda: torchs.ConstantLR(optimizer, factor=1.0),
        "cosine": lambda: torchs.CosineAnnealingLR(optimizer, T_max=epochs),
        "multistep": lambda: torchs.MultiStepLR(optimizer, [2, 5], gamma=0.3),
        "exponential": lambda: torchs.ExponentialLR(optimizer, gamma=0.3),
    }[kind]()


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("kind", ["constant", "cosine", "multistep", "exponential"])
def test_schedules_are_torchs(kind: str, warmup: int) -> None:
    epochs = 9
    milestones = (2, 5) if kind == "multistep" else ()
    config = Config(epochs=epochs, lr=0.7, schedule=kind, warmup=warmup, milestones=milestones, gamma=0.3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.7)
    scheduler = _scheduler(kind, optimizer, epochs - warmup)
    if warmup:
        climb = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [climb, scheduler], [warmup])
    for epoch in range(epochs):
        assert math.isclose(learning_rate(config, epoch), optimizer.param_groups[0]["lr"], rel_tol=1e-9, abs_tol=1e-12)
        optimizer.step()
        scheduler.step()


class Climb(torch.optim.lr_scheduler._LRScheduler):
    """The warm-up of the program of geometric's authors: rate · steps / all steps."""

    def __init__(self, optimizer: torch.optim.Optimizer, total: int) -> None:
        self.total = total
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        return [base * self.last_epoch / (self.total + 1e-8) for base in self.base_lrs]


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("kind", ["constant", "cosine", "multistep", "exponential"])
def test_schedules_by_batches_are_those_of_geometrics_program(kind: str, warmup: int) -> None:
    epochs, batches = 9, 7
    milestones = (2, 5) if kind == "multistep" else ()
    config = Config(
        epochs=epochs, lr=0.7, schedule=kind, warmup=warmup, milestones=milestones, gamma=0.3, per_batch=True
    )
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.7)
    scheduler = _scheduler(kind, optimizer, epochs)
    climb = Climb(optimizer, batches * warmup) if warmup else None
    rates = batch_rates(config, batches)
    assert rates.shape == (epochs * batches,)
    for step, rate in enumerate(rates):
        assert math.isclose(rate, optimizer.param_groups[0]["lr"], rel_tol=1e-6, abs_tol=1e-9)
        optimizer.step()
        if climb and step < batches * warmup:
            climb.step()
        scheduler.step()
    with pytest.raises(ValueError, match="per_batch=True, with which an epoch has many rates"):
        learning_rate(config, 0)
    with pytest.raises(ValueError, match="per_batch=False"):
        batch_rates(replace(config, per_batch=False), batches)


def test_a_rate_of_each_batch_is_the_one_that_moves_the_weights() -> None:
    torch.manual_seed(0)
    x, y = torch.randint(0, 255, (12, 1, 2, 2), dtype=torch.uint8), torch.arange(12) % 2
    data = Dataset("noise", x, y, x, y, classes=2, mean=torch.zeros(1), std=torch.full((1,), 255.0))
    config = Config(epochs=3, batch_size=5, lr=0.5, momentum=0.9, schedule="cosine", per_batch=True, average=4, seed=1)
    trained, plain = (models.fcn(4, [3], 2, seed=0) for _ in range(2))
    fitted = fit(trained, data, config, progress=False)
    rates, generator, step = batch_rates(config, 3), torch.Generator().manual_seed(1), 0
    optimizer = torch.optim.SGD(plain.parameters(), lr=1.0, momentum=0.9)
    for _ in range(3):
        for chosen in torch.randperm(12, generator=generator).split(5):
            optimizer.param_groups[0]["lr"], step = float(rates[step]), step + 1
            optimizer.zero_grad()
            nn.functional.cross_entropy(plain(x[chosen] / 255), y[chosen]).backward()
            optimizer.step()
    for name, p in plain.named_parameters():
        torch.testing.assert_close(trained.get_parameter(name), p, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fitted.history["learning_rate"], rates[2::3])
    many = fit_many([models.fcn(4, [3], 2, seed=0) for _ in range(2)], data, [config, replace(config, lr=0.1)])
    assert many[0].history["learning_rate"][-1] == pytest.approx(rates[-1])
    assert many[1].history["learning_rate"][-1] == pytest.approx(rates[-1] / 5)


def by_hand(model: nn.Module, data, config: Config, optimizer: torch.optim.Optimizer) -> None:
    """Train the plain way, with autograd's penalties and torch's optimizer."""
    generator = torch.Generator().manual_seed(config.seed)
    for epoch in range(config.epochs):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, epoch)
        order = torch.randperm(len(data.train_x), generator=generator)
        for start in range(0, len(order), config.batch_size):
            chosen = order[start : start + config.batch_size]
            x = (data.train_x[chosen].float() - data.mean.view(-1, 1, 1)) / data.std.view(-1, 1, 1)
            loss = nn.functional.cross_entropy(model(x), data.train_y[chosen])
            for p in model.parameters():
                if p.ndim > 1 or config.penalize == "all":
                    loss = loss + config.l1 * p.abs().sum() + config.l2 / 2 * p.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9, "schedule": "cosine"},
        {"lr": 0.01, "optimizer": "adam", "betas": (0.8, 0.99), "eps": 1e-6},
        {"lr": 0.1, "l1": 1e-2, "l2": 1e-1},
        {"lr": 0.05, "momentum": 0.5, "l1": 1e-2, "l2": 1e-1, "penalize": "all"},
    ],
)
def test_fit_is_a_plain_torch_loop(changes: dict) -> None:
    data = toy(65)  # the last batch is smaller
    config = Config(epochs=4, batch_size=20, seed=3, **changes)
    ours, plain = net(), net()
    if config.optimizer == "adam":
        optimizer = torch.optim.Adam(plain.parameters(), betas=config.betas, eps=config.eps)
    else:
        optimizer = torch.optim.SGD(plain.parameters(), momentum=config.momentum)
    fit(ours, data, config)
    by_hand(plain, data, config, optimizer)
    assert not close(state(ours), state(net()), 1e-2)
    assert close(state(ours), state(plain), 2e-6)


def test_sgds_weight_decay_is_l2() -> None:
    data, ours, plain = toy(), net(), net()
    fit(ours, data, Config(epochs=2, batch_size=20, l2=0.1, penalize="all"))
    by_hand(plain, data, Config(epochs=2, batch_size=20), torch.optim.SGD(plain.parameters(), weight_decay=0.1))
    assert close(state(ours), state(plain), 2e-6)


def test_penalty_gradients_are_autograds() -> None:
    g = torch.Generator().manual_seed(0)
    w = torch.randn(5, 4, generator=g, requires_grad=True)
    (0.3 * w.abs().sum() + 0.7 / 2 * w.square().sum()).backward()
    found = torch.zeros(5, 4)
    steps.add_penalties([found], [w.detach()], steps.Rates(0.1, 0.3, 0.7))
    assert torch.allclose(found, w.grad)
    each = torch.zeros(5, 4)
    steps.add_penalties([each], [w.detach()], steps.Rates(0.1, torch.full((5,), 0.3), torch.linspace(0, 1, 5)))
    assert torch.allclose(each[1], 0.3 * w.detach()[1].sign() + 0.25 * w.detach()[1])
    zero = torch.zeros(3)
    steps.add_penalties([zero], [torch.zeros(3)], steps.Rates(0.1, 1.0, 0.0))
    assert torch.equal(zero, torch.zeros(3))


@pytest.mark.parametrize(
    "changes", [{"optimizer": "adam", "lr": 0.01}, {"momentum": 0.9}, {"l1": 0.01, "momentum": 0.9}, {"average": 5}]
)
def test_masks_hold_exactly(changes: dict) -> None:
    model, data = net(), toy()
    g = torch.Generator().manual_seed(1)
    masks = {n: torch.rand(p.shape, generator=g) < 0.3 for n, p in model.named_parameters() if p.ndim == 2}
    seen: list[bool] = []

    def look(module: nn.Module, _: object) -> None:
        if module.training:  # the rehearsal on two images comes before the masks
            seen.append(all(bool((module.get_parameter(n)[~m] == 0).all()) for n, m in masks.items()))

    model.register_forward_pre_hook(look)
    start = state(model)
    result = fit(model, data, Config(epochs=3, batch_size=20, **changes), masks=masks)
    assert len(seen) >= 9
    assert all(seen)  # before each forward pass, the first included
    for name, mask in masks.items():
        w = model.get_parameter(name)
        assert bool((w[~mask] == 0).all())
        assert bool((w[mask] != 0).any())
        assert not torch.equal(w[mask], start[name][mask])
        if result.averaged:
            assert bool((result.averaged[name][~mask] == 0).all())


@pytest.mark.parametrize("changes", [{"optimizer": "adam", "lr": 0.01}, {"momentum": 0.9}])
def test_the_optimizer_never_hears_of_pruned_weights(changes: dict) -> None:
    model, data = net(), toy()
    masks = {"input.weight": torch.rand(8, 16, generator=torch.Generator().manual_seed(1)) < 0.3}
    config = Config(epochs=2, batch_size=20, l2=0.1, **changes)
    engine = Engine(Learner(model, config), data, [config], masks)
    engine.advance()
    for slot in engine.slots.values():
        assert bool((slot["input.weight"][~masks["input.weight"]] == 0).all())
        assert bool((slot["input.weight"] != 0).any())


@pytest.mark.parametrize(
    ("masks", "error", "word"),
    [
        ({"nothing": torch.ones(1, dtype=torch.bool)}, ValueError, "nothing"),
        ({"input.weight": torch.ones(2, 2, dtype=torch.bool)}, ValueError, "shape"),
        ({"input.weight": torch.ones(8, 16)}, TypeError, "boolean"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks: dict, error: type, word: str) -> None:
    with pytest.raises(error, match=word):
        fit(net(), toy(), Config(epochs=1), masks=masks)


def test_it_stops_at_interpolation_and_not_before() -> None:
    data = toy()
    done = fit(net(), data, Config(epochs=200, batch_size=10, interpolation=0.05))
    accuracy, loss = done.history["train_accuracy"], done.history["train_loss"]
    assert done.stopped == "interpolation"
    assert accuracy[-1] == 1
    assert loss[-1] < 0.05
    assert not np.any((accuracy[:-1] == 1) & (loss[:-1] < 0.05))
    sooner = fit(net(), data, Config(epochs=200, batch_size=10, interpolation=math.inf))
    assert sooner.history["train_accuracy"][-1] == 1
    assert np.all(sooner.history["train_accuracy"][:-1] < 1)
    assert len(sooner.history) < len(done.history)
    assert fit(net(), data, Config(epochs=2, interpolation=1e-9)).stopped == "epochs"


def test_a_low_loss_alone_is_no_interpolation() -> None:
    data = toy()
    data.train_x[1] = data.train_x[0]  # two labels of one image: 59 of 60 at best
    done = fit(net(), data, Config(epochs=40, batch_size=10, interpolation=1e9))
    assert done.stopped == "epochs"
    assert done.history["train_accuracy"].max() < 1


def test_the_table_says_what_happened() -> None:
    data, model = toy(), net()
    done = fit(model, data, Config(epochs=5, batch_size=20, evaluate_every=2, schedule="cosine"))
    assert [row["epoch"] for row in done.history.rows] == [1, 2, 3, 4, 5]
    assert np.isnan(done.history["test_loss"]).tolist() == [True, False, True, False, False]
    assert np.all(done.history["seconds"] > 0)
    assert done.history["learning_rate"][0] == 0.1
    assert evaluate(model, data) == (done.history["test_loss"][-1], done.history["test_accuracy"][-1])
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(model(data.normalize(data.train_x)), data.train_y))
    assert math.isclose(loss, evaluate(model, data, train=True)[0], rel_tol=1e-5)
    assert not model.training
    with pytest.raises(KeyError, match="learning_rate"):
        done.history["loss"]


def test_evaluation_covers_a_split_of_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = net(), toy(65)
    whole = evaluate(model, data)
    monkeypatch.setattr("prunekit.nets.engine._EVALUATED", 20)
    assert evaluate(model, data) == pytest.approx(whole, rel=1e-6)


def test_running_columns_are_means_over_the_batches() -> None:
    """With a vanishing learning rate nothing moves, and the running loss is the training loss."""
    row = fit(net(), toy(65), Config(epochs=1, lr=1e-12, batch_size=20)).history.rows[0]
    assert math.isclose(row["running_loss"], row["train_loss"], rel_tol=1e-5)
    assert row["running_accuracy"] == row["train_accuracy"]


def test_averaging_is_the_mean_of_further_iterates() -> None:
    data = toy()
    late = {"schedule": "multistep", "milestones": (2,)}  # would come after the last epoch: the tail must not see it
    config = Config(epochs=2, batch_size=25, seed=5, average=7, **late)  # three steps an epoch: the tail needs three
    model, plain = net(), net()
    done = fit(model, data, config)
    fit(plain, data, Config(epochs=2, batch_size=25, seed=5))
    assert equal(state(model), state(plain))  # the network keeps its weights from before
    assert not model.training
    generator = torch.Generator().manual_seed(5)
    orders = [torch.randperm(60, generator=generator) for _ in range(5)][2:]
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    iterates = []
    for chosen in [o[k : k + 25] for o in orders for k in (0, 25, 50)][:7]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(data.normalize(data.train_x[chosen])), data.train_y[chosen]).backward()
        optimizer.step()
        iterates.append(state(plain))
    mean = {name: torch.stack([each[name] for each in iterates]).mean(0) for name in iterates[0]}
    assert done.averaged is not None
    assert close(done.averaged, mean, 1e-6)


@pytest.mark.parametrize("epoch", [1, 3])
def test_divergence_is_an_error_and_not_a_network_of_nans(epoch: int) -> None:
    model, data = net(), toy()
    config = {"batch_size": 20, "lr": 1e-3}
    if epoch == 1:
        kept, diverging = state(net()), Config(epochs=9, **config | {"lr": 1e30})
    else:
        kept = state(fit(net(), data, Config(epochs=2, **config)).model)
        diverging = Config(epochs=9, schedule="multistep", milestones=(2,), gamma=1e30, **config)
    with pytest.raises(Diverged, match=rf"diverged in epoch {epoch} at learning rate .*smaller lr") as caught:
        fit(model, data, diverging)
    assert equal(state(model), kept)
    assert len(caught.value.history) == epoch
    assert caught.value.history.rows[-1]["train_loss"] is None


def test_weights_that_overflow_in_the_last_step_count_as_diverged() -> None:
    with pytest.raises(Diverged):
        fit(net(), toy(), Config(epochs=1, batch_size=60, lr=3e38, l2=1e3))


def test_one_seed_is_one_network_bit_for_bit() -> None:
    data = toy(shape=(3, 8, 8))

    def train(**changes: int) -> dict:
        torch.manual_seed(np.random.default_rng().integers(2**31))  # of no consequence
        model = models.resnet20(2, 3)
        fit(model, data, Config(**{"epochs": 2, "batch_size": 16, "momentum": 0.9, "crop": 2, "flip": True, **changes}))
        return state(model)

    first = train()
    assert equal(train(), first)
    assert not equal(train(seed=1), first)


def test_global_randomness_is_neither_used_nor_moved() -> None:
    data = toy()
    outcomes = []
    for k in (1, 2):
        torch.manual_seed(k)
        before = torch.random.get_rng_state()
        model = nn.Sequential(net(), nn.Dropout(0.5))
        fit(model, data, Config(epochs=2))
        assert torch.equal(torch.random.get_rng_state(), before)
        outcomes.append(state(model))
    assert equal(*outcomes)


class Chance(nn.Module):
    """Passes its inputs on and keeps a random number of every call."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, float]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, float(torch.rand(()))))
        return x


def test_every_epoch_and_every_step_to_be_averaged_has_its_own_chance() -> None:
    model = nn.Sequential(Chance(), net())
    fit(model, toy(), Config(epochs=2, batch_size=30, average=3))
    drawn = [value for training, value in model[0].seen if training]
    assert len(drawn) == 7  # two steps an epoch, and three more, in training mode
    assert len(set(drawn)) == 7


def test_augmentation_is_drawn_as_it_should_be() -> None:
    data = toy(40, shape=(1, 4, 4))
    config = Config(epochs=1, batch_size=16, crop=1, flip=True)
    draw = Draw.of(config, 40, torch.Generator().manual_seed(0))
    assert set(draw.corners.unique().tolist()) == {0, 1, 2}
    assert 8 < int(draw.turned.sum()) < 32
    found = torch.cat([x for x, _ in draw.batches(data, config)])
    for k in (0, 17, 39):
        image = torch.nn.functional.pad(data.train_x[draw.order[k]], (1, 1, 1, 1))
        r, c = draw.corners[k].tolist()
        image = image[:, r : r + 4, c : c + 4]
        image = image.flip(-1) if draw.turned[k] else image
        assert torch.equal(found[k], data.normalize(image[None])[0])


def test_bf16_and_channels_last_train_nearly_the_same_network() -> None:
    data = toy(shape=(3, 8, 8))
    config = Config(epochs=1, batch_size=20, lr=0.01)

    def loss(model: nn.Module, **changes: object) -> float:
        return float(fit(model, data, Config(**{**vars(config), **changes})).history["train_loss"][0])

    one, last = (loss(models.resnet20(2, 3), channels_last=k) for k in (False, True))
    assert math.isclose(last, one, rel_tol=1e-3)
    one, half = (loss(models.two_layer(192, 8, 3), precision=k) for k in ("float32", "bf16"))
    assert half != one
    assert math.isclose(half, one, rel_tol=0.05)


def test_compilation_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    model = net()
    fit(model, toy(), Config(epochs=1))
    assert not compiled
    fit(model, toy(), Config(epochs=1, compile=True))
    assert compiled == [model]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^device is 'cuda"):
        fit(net(), toy(), Config(epochs=1, device="cuda"))


def test_the_bar_says_epoch_loss_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    fit(net(), toy(), Config(epochs=3), progress=True)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "loss=" in shown
    assert "<" in shown  # tqdm's 'elapsed<left'
    fit(net(), toy(), Config(epochs=3), progress=False)
    fit(net(), toy(), Config(epochs=3))
    assert not capsys.readouterr().err


def test_digits_are_learned() -> None:
    done = fit(models.two_layer(64, 64), load("digits"), Config(epochs=20, batch_size=50, lr=0.1, evaluate_every=20))
    assert done.history["test_accuracy"][-1] > 0.93


def test_importing_prunekit_does_not_import_torch() -> None:
    subprocess.run([sys.executable, "-c", "import prunekit, sys; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize("channels_last", [False, True])
def test_adam_is_the_algorithm(channels_last: bool) -> None:
    """Both ways through the parameters, by torch's one call and one by one, against Kingma and Ba's lines."""
    g = torch.Generator().manual_seed(0)
    config = Config(epochs=1, optimizer="adam", lr=0.01, betas=(0.8, 0.95), eps=1e-3)
    shapes = {"kernel": (5, 3, 3, 3), "matrix": (7, 11), "bias": (7,)}
    form = torch.channels_last if channels_last else torch.contiguous_format
    weights = {n: torch.randn(s, generator=g) for n, s in shapes.items()}
    weights["kernel"] = weights["kernel"].contiguous(memory_format=form)
    theirs = {n: w.double() for n, w in weights.items()}
    stacked = {n: torch.stack([w, w]) for n, w in weights.items()}
    slots, slots_of_two = steps.new_slots(config, weights), steps.new_slots(config, stacked)
    moments = {n: (torch.zeros_like(w), torch.zeros_like(w)) for n, w in theirs.items()}
    for t in range(1, 6):
        gradients = {n: torch.randn(s, generator=g) for n, s in shapes.items()}  # the kernel's may lie otherwise
        for n, d in gradients.items():
            m, v = (b * old + (1 - b) * new for b, old, new in zip((0.8, 0.95), moments[n], (d, d * d), strict=True))
            moments[n] = m, v
            theirs[n] = theirs[n] - 0.01 * (m / (1 - 0.8**t)) / ((v / (1 - 0.95**t)).sqrt() + 1e-3)
        rate = torch.tensor([0.01, 0.02])
        both = {n: torch.stack([d, d]) for n, d in gradients.items()}
        steps.step(config, stacked, both, slots_of_two, steps.Rates(rate, 0.0, 0.0), t)
        steps.step(config, weights, gradients, slots, steps.Rates(0.01, 0.0, 0.0), t)
    for n, w in theirs.items():
        assert torch.allclose(weights[n].double(), w, rtol=1e-5, atol=1e-6)
        assert torch.allclose(stacked[n][0].double(), w, rtol=1e-5, atol=1e-6)


def test_what_is_pruned_is_cleared_whatever_it_was() -> None:
    g = {"w": torch.tensor([[1.5, float("nan"), -2.0], [float("inf"), -0.0, 3.0]]).T}
    steps.clear(g, steps.bits_of({"w": torch.tensor([[True, False, False], [False, False, True]]).T}))
    assert torch.equal(g["w"], torch.tensor([[1.5, 0.0, 0.0], [0.0, 0.0, 3.0]]).T)
    assert not torch.signbit(g["w"]).any()
