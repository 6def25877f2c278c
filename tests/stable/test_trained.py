"""Networks that are trained and read: against each one trained by itself, its layers read one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from prunekit.nets import Config, Dataset, fit, load
from prunekit.nets.models import fcn
from prunekit.stable import layer_tail_index
from prunekit.stable.trained import train_and_read

CONFIG = Config(epochs=60, batch_size=25, lr=0.1, interpolation=0.3, average=7, seed=3)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", subset=(100, 50), seed=0)


def heavy(data: Dataset, seed: int) -> nn.Module:
    """Return a network whose initial weights have heavy tails, so that no estimate is clipped at 2."""
    model, rng = fcn(data.inputs, [40, 30], seed=seed), np.random.default_rng(seed)
    for p in model.parameters():
        p.data = torch.from_numpy(0.05 * rng.standard_t(1.5, p.shape)).float()
    return model


def by_hand(data: Dataset, config: Config) -> tuple[dict[str, np.ndarray], int]:
    """Return the mean of the iterates after the stop, step by step, and the epochs of a training."""
    fitted = fit(heavy(data, config.seed), data, config, progress=False)
    assert fitted.averaged is not None
    return {name: w.numpy() for name, w in fitted.averaged.items()}, len(fitted.history)


def test_each_network_is_read_as_if_it_were_alone(digits: Dataset) -> None:
    configs = [CONFIG, replace(CONFIG, lr=0.2, seed=4)]
    models = [heavy(digits, config.seed) for config in configs]
    for config, found in zip(configs, train_and_read(models, digits, configs, seed=5), strict=True):
        weights, epochs = by_hand(digits, config)
        rng = np.random.default_rng(5)
        *inner, last = weights.values()
        tables = [*inner, last.T]  # the last matrix is read by its columns
        alphas = [layer_tail_index(table, seed=rng).alpha for table in tables]
        row = found.row
        assert row["alpha"] == pytest.approx(np.mean(alphas), abs=1e-3)
        assert row["alpha"] < 1.95 and row["alpha_last"] != row["alpha"]
        assert row["epochs"] == epochs and row["stopped"] == "interpolation"
        assert row["ratio"] == config.lr / 25 and row["train_accuracy"] == 1.0
        assert row["test_accuracy"] == found.fitted.history.rows[-1]["test_accuracy"]


def test_what_did_not_converge_has_no_index(digits: Dataset) -> None:
    configs = [replace(CONFIG, epochs=1), replace(CONFIG, epochs=1, lr=1e30)]
    models = [fcn(digits.inputs, [40], seed=config.seed) for config in configs]
    short, wild = (found.row for found in train_and_read(models, digits, configs, seed=0))
    assert short["stopped"] == "epochs" and wild["stopped"] == "diverged"
    for row in (short, wild):
        assert row["alpha"] is row["alpha_last"] is row["test_accuracy"] is None


@pytest.mark.parametrize("change", [{"interpolation": None}, {"average": 0}])
def test_a_training_that_is_not_to_be_read_is_refused(digits: Dataset, change: dict[str, int | None]) -> None:
    with pytest.raises(ValueError, match="give each an interpolation bound and iterates to average"):
        train_and_read([fcn(digits.inputs, [10])], digits, [replace(CONFIG, **change)], seed=0)  # type: ignore[arg-type]
