"""States that nobody asked for: a run stopped after every batch, and after every product, ends as if it had not been.

Each call below takes a single step before its time is over, and says so: that is a kill at every possible moment, and
the numbers have to be the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from prunekit.curvature import Curvature, spectrum
from prunekit.curvature.lanczos import Run
from prunekit.curvature.probing import Probing
from prunekit.nets import Config, Fitted, checkpoint, fit, fit_many, keeping, models
from tests.nets.helpers import equal, state, toy


@pytest.fixture
def stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], tuple[Any, int]]:
    """Return what repeats a computation whose time is always over until it is done, and counts its stops."""

    def repeated(compute: Callable[[], Any]) -> tuple[Any, int]:
        monkeypatch.setenv(keeping.FOLDER, str(tmp_path / "kept"))
        monkeypatch.setenv(keeping.STOP_AT, "1")
        for stops in range(1000):
            try:
                return compute(), stops
            except keeping.OutOfTime:
                continue
        raise AssertionError("it never ends")

    return repeated


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def hessian() -> Curvature:
    return Curvature(models.two_layer(16, 8, 3, seed=0), cross_entropy, (toy().normalize(toy().train_x), toy().train_y))


def alike(one: Fitted, other: Fitted) -> bool:
    """Tell whether two trainings ended with the same bits."""
    averaged = one.averaged is None or (other.averaged is not None and equal(one.averaged, other.averaged))
    same = one.history.without("seconds") == other.history.without("seconds") and one.stopped == other.stopped
    return bool(averaged and same and equal(state(one.model), state(other.model)))


def test_a_training_stopped_after_every_batch_is_the_same(stopping) -> None:
    how = Config(epochs=3, batch_size=20, optimizer="adam", lr=0.01, l1=1e-3, crop=1, flip=True, average=3)
    whole = fit(net(), toy(), how)
    batches = -(-len(toy().train_y) // how.batch_size)
    again, stops = stopping(lambda: fit(net(), toy(), how))
    assert stops == how.epochs * batches
    assert alike(again, whole)


def test_a_family_stopped_after_every_batch_is_the_same(stopping) -> None:
    """Of three networks one diverges, and one interpolates before the other: the family shrinks on its way."""
    rates = (1e9, 0.5, 0.02)
    how = [Config(epochs=6, batch_size=20, lr=lr, momentum=0.5, interpolation=0.5, average=2, seed=3) for lr in rates]

    def train() -> Sequence[Fitted]:
        return fit_many([models.two_layer(16, 8, 3, seed=k) for k in range(3)], toy(), how)

    whole = train()
    assert len({(each.stopped, len(each.history)) for each in whole}) > 1
    again, stops = stopping(train)
    assert stops > max(len(each.history) for each in whole)
    assert all(map(alike, again, whole))


def test_a_spectrum_stopped_after_every_step_is_the_same(stopping) -> None:
    operator = hessian()
    whole = spectrum(operator, steps=6, probes=2, seed=1)
    again, stops = stopping(lambda: spectrum(operator, steps=6, probes=2, seed=1))
    assert stops == 6
    assert np.array_equal(again.pooled.nodes, whole.pooled.nodes)
    assert np.array_equal(again.pooled.weights, whole.pooled.weights)
    other, _ = stopping(lambda: spectrum(operator, steps=6, probes=2, seed=2))  # has a file of its own
    assert not np.array_equal(other.pooled.nodes, whole.pooled.nodes)


def test_eigenvectors_of_a_stopped_spectrum_are_the_same(stopping, monkeypatch: pytest.MonkeyPatch) -> None:
    operator, room = hessian(), Run._room
    monkeypatch.setattr(Run, "_room", lambda run: room(run).fill_(torch.nan))  # else the memory may hold the last one's

    def vectors() -> tuple[Any, torch.Tensor]:
        with Probing(operator, steps=8, probes=2, seed=1) as probing:
            return probing.eigenvectors(0.5)

    whole = vectors()
    again, _ = stopping(vectors)
    assert whole[1].shape[1]
    assert np.array_equal(again[0], whole[0])
    assert torch.equal(again[1], whole[1])


def test_nothing_is_kept_without_a_folder_or_an_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fit(net(), toy(), Config(epochs=1, batch_size=20))
    monkeypatch.setenv(keeping.FOLDER, str(tmp_path))

    class Bare:
        dimension = 5

        def product(self, v: torch.Tensor) -> torch.Tensor:
            return 2 * v

    spectrum(Bare(), steps=3, probes=2)
    assert list(tmp_path.iterdir()) == []


def test_states_are_a_minute_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, written = [0.0], []
    monkeypatch.setattr(keeping.time, "monotonic", lambda: clock[0])
    real = checkpoint.write

    def write(*args) -> None:
        written.append(clock[0])
        real(*args)

    class Slow(nn.Flatten):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                clock[0] += 7.0
            return super().forward(x)

    monkeypatch.setattr(checkpoint, "write", write)
    monkeypatch.setenv(keeping.FOLDER, str(tmp_path))
    slow = nn.Sequential(Slow(), nn.Linear(16, 3))
    fit(slow, toy(), Config(epochs=9, batch_size=20))
    assert len(written) > 2
    assert max(np.diff([0.0, *written])) < 60 + 14
    assert min(np.diff(written[:-1])) >= 60


@pytest.mark.parametrize(
    ("name", "value"), [(keeping.FOLDER, "kept"), (keeping.EVERY, "soon"), (keeping.STOP_AT, "-1")]
)
def test_an_environment_that_says_nonsense_is_refused(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(keeping.FOLDER, str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        fit(net(), toy(), Config(epochs=1, batch_size=20))
