"""The measured pruning limit: loss and accuracy as the smallest weights are removed, and where that costs too much."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunekit import _checks
from prunekit._checks import Floats, Integers, Seed
from prunekit._system import bars
from prunekit.limit.tolerance import Tolerance
from prunekit.masks.sweeps import pruned_weights
from prunekit.nets.access import Loss, Names, evaluating, mean_loss, prunable, taking
from prunekit.nets.data import Dataset

Rule = Literal["held-out", "program", "training loss"]
RULES: tuple[Rule, ...] = get_args(Rule)
_AT_ONCE = 2000  # how many images are evaluated together


@dataclass(frozen=True, eq=False)
class PruningCurve:
    """Loss and accuracy of a network pruned by magnitude, without retraining, against the share kept.

    Attributes
    ----------
    kept : (m,) array of int
        Weights kept, increasing; the last is all of them.
    dimension : int
        Number of all weights, D.
    train_loss, train_accuracy : (m,) array
        Loss and accuracy on the training images.
    held_loss : (m,) array
        Mean loss on the held-out images.
    held_correct : (m, n) array of bool
        Which held-out images are classified rightly.
    """

    kept: Integers
    dimension: int
    train_loss: Floats
    train_accuracy: Floats
    held_loss: Floats
    held_correct: NDArray[np.bool_]

    @property
    def shares(self) -> Floats:
        """Shares kept (m,)."""
        return self.kept / self.dimension

    @property
    def held_accuracy(self) -> Floats:
        """Accuracy on the held-out images (m,)."""
        return self.held_correct.mean(axis=1)

    def share_where_lost(self, lost: float, chance: float) -> float:
        """Return the share from which on less than `lost` of the way from dense accuracy to chance is lost.

        Parameters
        ----------
        lost : float
            The part of the way, from 0 to 1; at 0.5 half of what the network knows is gone just below that share.
        chance : float
            Accuracy of guessing.
        """
        accuracy = self.held_accuracy
        lost, chance = _checks.share("lost", lost), _checks.share("chance", chance)
        floor = accuracy[-1] - lost * max(accuracy[-1] - chance, 0.0)
        return float(self.shares[_first_of_tail(accuracy >= floor - 1e-12)])

    def limit(
        self,
        rule: Rule = "held-out",
        *,
        drop: float = 0.01,
        epsilon: float | Tolerance | None = None,
        repetitions: int = 200,
        seed: Seed = 0,
    ) -> MeasuredLimit:
        """Return the smallest share of the weights that the network can be pruned to, by a stated rule.

        Parameters
        ----------
        rule : str
            "held-out": the smallest share such that there and at every larger one the held-out accuracy is at least the
            dense network's minus `drop`. "program": that of geometric's authors, the smallest share anywhere at which
            the held-out accuracy *exceeds* the dense one; they take the test images (1 if there is none). "training
            loss": what the theory is about, the smallest share such that there and at every larger one the training
            loss is at most the dense network's plus `epsilon`.
        drop : float
            The loss of accuracy allowed, from 0 to 1, for "held-out".
        epsilon : float or Tolerance
            The rise of the loss allowed, for "training loss".
        repetitions, seed : int
            Bootstrap draws of the held-out images, at least 2, for the error.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or `epsilon` is missing.
        """
        _checks.choice("rule", rule, RULES)
        drop = _checks.share("drop", drop)
        repetitions = _checks.draws("repetitions", repetitions, 1, 2)
        _checks.generator(seed)
        if epsilon is not None and not isinstance(epsilon, Tolerance):
            epsilon = Tolerance(epsilon)
        if rule == "training loss":
            if epsilon is None:
                raise ValueError("epsilon is None: the rule 'training loss' needs a tolerance")
            bound = self.train_loss[-1] + epsilon.value
            words = f"training loss at most the dense one plus {epsilon.value:.4g}"
            return self._at(_first_of_tail(self.train_loss <= bound), 0.0, words, self.train_loss[-1])
        find = _exceeds if rule == "program" else _holds(drop)
        draws = _bootstrap(self, find, repetitions, seed)
        words = (
            f"held-out accuracy at least the dense one less {drop:g}, from there on"
            if rule == "held-out"
            else "held-out accuracy above the dense one, anywhere"
        )
        accuracy = self.held_accuracy
        return self._at(find(accuracy), float(draws.std(ddof=1)), words, accuracy[-1])

    def _at(self, at: int, error: float, rule: str, dense: float) -> MeasuredLimit:
        """Return the limit at a place of the curve."""
        shares = self.shares
        below = shares[at - 1] if at else 0.0
        return MeasuredLimit(float(shares[at]), error, float(shares[at] - below), rule, float(dense))


@dataclass(frozen=True)
class MeasuredLimit:
    """A limit that was read off a `PruningCurve`.

    Attributes
    ----------
    fraction : float
        The share of weights kept.
    error : float
        Its standard error over held-out images drawn again; 0 for the training loss, which has no such error.
    resolution : float
        Distance from this share of the grid to the next smaller one.
    rule : str
        The rule, in words, with its numbers.
    dense : float
        What the rule compares with: the dense network's held-out accuracy or training loss.
    """

    fraction: float
    error: float
    resolution: float
    rule: str
    dense: float

    @property
    def removed(self) -> float:
        """The share removed."""
        return 1.0 - self.fraction


def pruning_curve(
    model: nn.Module,
    data: Dataset,
    shares: Sequence[float] | Floats | None = None,
    *,
    loss: Loss = nn.functional.cross_entropy,
    parameters: Names | None = None,
) -> PruningCurve:
    """Return loss and accuracy on both splits of the data for each share of the weights kept.

    The largest weights of all layers together are kept, of equal ones the first; the others become 0.

    Parameters
    ----------
    model : Module
        The trained network; it is not changed.
    data : Dataset
        The data, on the model's device. What counts as held out is its test split; `halves` makes two of it.
    shares : sequence of float, optional
        The shares, in (0, 1]; each keeps ⌈share · D⌉ weights. The default is 0.1%, 0.2%, …, 100%, the grid of
        geometric's authors. The dense network is added.
    loss : callable
        (outputs, labels) -> mean over the samples.
    parameters : names, optional
        What can be pruned; by default the weights of linear and convolutional modules.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    FloatingPointError
        If a loss is not finite.
    """
    wanted = np.arange(1, 1001) / 1000 if shares is None else _checks.vector("shares", shares)
    _checks.instance("data", data, Dataset, "a prunekit.nets.Dataset")
    _checks.function("loss", loss, "a function (outputs, labels) -> mean over the samples")
    D = sum(p.numel() for p in prunable(model, parameters).values())
    asked = np.unique(np.append(wanted, 1.0))
    twin = copy.deepcopy(model)
    train = (data.train_x, data.train_y)
    held = (data.test_x, data.test_y)
    rows = []
    for weights in pruned_weights(model, list(asked), "global", fill="zero", parameters=parameters):
        with torch.no_grad():
            for name, w in weights.items():
                twin.get_parameter(name).copy_(w)
        train_loss, train_correct = _score(twin, data, train, loss)
        held_loss, held_correct = _score(twin, data, held, loss)
        rows.append((train_loss, train_correct.mean(), held_loss, held_correct))
    train_losses, train_accuracies, held_losses, correct = zip(*rows, strict=True)
    kept = _checks.ceil_share(asked, D)
    losses = [
        _checks.finite("a pruned network's loss", np.array(each), "model or loss")
        for each in (train_losses, held_losses)
    ]
    return PruningCurve(kept, D, losses[0], np.array(train_accuracies), losses[1], np.array(correct))


@torch.no_grad()
def _score(
    model: nn.Module, data: Dataset, split: tuple[Tensor, Tensor], loss: Loss
) -> tuple[float, NDArray[np.bool_]]:
    """Return the mean loss on a split, and which of its images are classified rightly."""
    outputs = []
    with evaluating(model):
        for images in split[0].split(_AT_ONCE):
            given = data.normalize(images)
            with taking(given):
                outputs.append(model(given))
    scores = torch.cat(outputs)
    return float(mean_loss(loss, scores, split[1])), (scores.argmax(dim=1) == split[1]).cpu().numpy()


def halves(data: Dataset, seed: Seed = 0) -> tuple[Dataset, Dataset]:
    """Return the data twice, the test split divided at random: one half to choose by, the other to report on.

    Raises
    ------
    ValueError
        If there are fewer than two test images.
    """
    _checks.instance("data", data, Dataset, "a prunekit.nets.Dataset")
    n = _checks.count("test images of data", len(data.test_x), 2)
    order = torch.from_numpy(_checks.generator(seed).permutation(n)).to(data.device)
    parts = order[: n // 2], order[n // 2 :]
    first, second = (replace(data, test_x=data.test_x[i], test_y=data.test_y[i]) for i in parts)
    return first, second


def measured_limit(
    model: nn.Module,
    data: Dataset,
    *,
    rule: Rule = "held-out",
    drop: float = 0.01,
    epsilon: float | Tolerance | None = None,
    shares: Sequence[float] | Floats | None = None,
    loss: Loss = nn.functional.cross_entropy,
    parameters: Names | None = None,
    repetitions: int = 200,
    seed: Seed = 0,
) -> MeasuredLimit:
    """Return the smallest share of the weights that a trained network can be pruned to, by a stated rule.

    Where several rules are asked for, `pruning_curve` once and its `PruningCurve.limit` for each cost less.

    Parameters
    ----------
    model, data, shares, loss, parameters
        As for `pruning_curve`.
    rule, drop, epsilon, repetitions, seed
        As for `PruningCurve.limit`.

    Raises
    ------
    TypeError, ValueError
        In the same cases as `pruning_curve` and `PruningCurve.limit`.
    """
    _checks.choice("rule", rule, RULES)
    if rule == "training loss" and epsilon is None:
        raise ValueError("epsilon is None: the rule 'training loss' needs a tolerance")
    curve = pruning_curve(model, data, shares, loss=loss, parameters=parameters)
    return curve.limit(rule, drop=drop, epsilon=epsilon, repetitions=repetitions, seed=seed)


def gain_at_limit(curve: PruningCurve, seed: Seed = 0) -> tuple[float, float]:
    """Return the gain in accuracy at the program's limit, on the images that chose it and on others.

    The held-out images are halved at random; the rule "program" reads its limit off the first half.

    Parameters
    ----------
    curve : PruningCurve
        The curve of at least two held-out images.
    seed : int
        Where the random halves come from.

    Returns
    -------
    (float, float)
        Accuracy at the limit minus the dense network's, on the half that was looked at, and on the other.
    """
    _checks.instance("curve", curve, PruningCurve, "a PruningCurve")
    order = _checks.generator(seed).permutation(curve.held_correct.shape[1])
    _checks.count("held-out images", order.size, 2)
    first, other = (curve.held_correct[:, part].mean(axis=1) for part in np.array_split(order, 2))
    at = _exceeds(first)
    return float(first[at] - first[-1]), float(other[at] - other[-1])


def _first_of_tail(allowed: NDArray[np.bool_]) -> int:
    """Return the first place from which on all are allowed; the last place always is."""
    refused = np.flatnonzero(~allowed[:-1])
    return int(refused[-1]) + 1 if refused.size else 0


def _holds(drop: float) -> Callable[[Floats], int]:
    """Return the rule "held-out" as a function of accuracies (m,)."""
    return lambda accuracy: _first_of_tail(accuracy >= accuracy[-1] - drop - 1e-12)


def _exceeds(accuracy: Floats) -> int:
    """Return the first place where the accuracy is above the last one; the last place if there is none."""
    above = np.flatnonzero(accuracy > accuracy[-1] + 1e-12)
    return int(above[0]) if above.size else len(accuracy) - 1


def _bootstrap(curve: PruningCurve, find: Callable[[Floats], int], repetitions: int, seed: Seed) -> Floats:
    """Return the limit (repetitions,) for held-out images drawn again with replacement."""
    n = curve.held_correct.shape[1]
    _checks.room("repetitions", repetitions, 16.0 * repetitions * (n + len(curve.kept)))
    counts = _checks.generator(seed).multinomial(n, np.full(n, 1 / n), size=repetitions)
    accuracies = counts @ curve.held_correct.T.astype(float) / n
    return curve.shares[[find(row) for row in bars.each("bootstrap", accuracies, repetitions, "draws")]]
