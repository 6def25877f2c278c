"""Networks that are trained until they interpolate, and their tail indices: the rows of barsbey's Section 5."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prunekit import _checks
from prunekit._checks import Seed
from prunekit.stable.layers import TailReport, tail_report

if TYPE_CHECKING:
    from torch import nn

    from prunekit.nets import Config, Dataset, Fitted


@dataclass(frozen=True, eq=False)
class Trained:
    """A network after its training, with its tail indices if it has converged.

    Attributes
    ----------
    config : Config
        How it was trained.
    fitted : Fitted
        The network with its last iterate, and its history.
    averaged, last : TailReport or None
        Tail indices of the averaged iterates, and of the last one; None if the training did not end by interpolation.
    """

    config: Config
    fitted: Fitted
    averaged: TailReport | None
    last: TailReport | None

    @property
    def row(self) -> dict[str, Any]:
        """What a table says of it: step and batch, how training ended, mean tail indices, accuracies (or None)."""
        end, config = self.fitted.history.rows[-1], self.config
        return {
            "batch": config.batch_size,
            "rate": config.lr,
            "ratio": config.lr / config.batch_size,
            "stopped": self.fitted.stopped,
            "epochs": end["epoch"],
            "train_accuracy": end["train_accuracy"],
            "alpha": self.averaged and self.averaged.alpha,
            "alpha_last": self.last and self.last.alpha,
            "test_accuracy": end["test_accuracy"] if self.averaged else None,
        }


def train_and_read(
    models: Sequence[nn.Module], data: Dataset, configs: Sequence[Config], *, seed: int
) -> list[Trained]:
    """Train networks of one shape at once until they interpolate, and estimate their tail indices.

    Parameters
    ----------
    models : sequence of Module
        The networks at their initial weights; they are trained in place.
    data : Dataset
        What all are trained on.
    configs : sequence of Config
        One for each network, as `prunekit.nets.fit_many` takes them; each says when to stop (`interpolation`) and how
        many iterates beyond are averaged (`average`).
    seed : int
        Where the estimator's shuffles come from; they are the same for each network.

    Returns
    -------
    list of Trained
        The networks in the order given; those that diverged or ran out of epochs have no tail indices.

    Raises
    ------
    TypeError, ValueError
        In the same cases as `fit_many`, and if a configuration does not say when to stop or averages nothing.

    Notes
    -----
    Source: barsbey, Section 5: the averages of iterates after convergence are nearly stable if SGD is heavy-tailed, and
    the mean over layers stands for a network.
    """
    from torch import nn

    from prunekit.nets import fit_many

    seed = _checks.count("seed", seed, 0)
    models = _checks.listed("models", models, "modules")
    configs = _checks.listed("configs", configs, "Configs")
    for each in models:
        _checks.instance("models", each, nn.Module, "a sequence of torch.nn.Module")
    for config in configs:
        if getattr(config, "interpolation", None) is None or not getattr(config, "average", 0):
            raise ValueError(f"configs holds {config!r}: give each an interpolation bound and iterates to average")
    fits = fit_many(models, data, configs, progress=False)
    return [_read(config, fitted, seed) for config, fitted in zip(configs, fits, strict=True)]


def _read(config: Config, fitted: Fitted, seed: Seed) -> Trained:
    """Return a trained network with its tail indices."""
    if fitted.stopped != "interpolation" or fitted.averaged is None:
        return Trained(config, fitted, None, None)
    twin = copy.deepcopy(fitted.model)
    twin.load_state_dict(fitted.averaged, strict=False)
    return Trained(config, fitted, tail_report(twin, seed=seed), tail_report(fitted.model, seed=seed))
