"""The measured pruning limit: loss and accuracy as the smallest weights are removed, and where that costs too much.

Where each sample has one class, accuracy decides. Everything else, numbers, several labels, tokens, is measured by its
loss, and the limit says so in its rule.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prunekit import _checks
from prunekit._checks import Floats, Integers, Seed
from prunekit._system import bars, pictures
from prunekit.limit.evaluation import Measured, measures
from prunekit.limit.tolerance import Tolerance
from prunekit.masks.sweeps import pruned_weights
from prunekit.nets import access, covered, door
from prunekit.nets.access import Loss, Names, prunable
from prunekit.nets.data import Dataset, dataset, loss_of

Rule = Literal["held-out", "program", "training loss"]
RULES: tuple[Rule, ...] = get_args(Rule)


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
        Loss and accuracy on the training samples; accuracies are nan where a sample has not one class.
    held_loss : (m,) array
        Mean loss on the held-out samples.
    held_correct : (m, n) array of bool
        Which held-out samples are classified rightly; (m, 0) where a sample has not one class.
    held_losses : (m, g) array, optional
        Where nothing is classified, the mean losses of g parts of the held-out samples.
    held_weights : (g,) array, optional
        With what weight each of these parts counts.
    held_out : bool
        Whether the held-out samples are others than the training samples.
    coverage : str
        Which of the network's parameters are pruned.
    """

    kept: Integers
    dimension: int
    train_loss: Floats
    train_accuracy: Floats
    held_loss: Floats
    held_correct: NDArray[np.bool_]
    held_losses: Floats | None = None
    held_weights: Floats | None = None
    held_out: bool = True
    coverage: str = ""

    def __repr__(self) -> str:
        """Say how many shares there are, and how the dense network does."""
        dense = (
            f"dense accuracy {self.held_accuracy[-1]:.4g}"
            if self.classifies
            else f"dense loss {self.held_loss[-1]:.4g}, nothing classified"
        )
        return f"PruningCurve({len(self.kept)} shares of {self.dimension:,} weights, {dense}{_of(self.coverage)})"

    @property
    def classifies(self) -> bool:
        """Whether each sample has one class, so that accuracy decides; else the loss does."""
        return self.held_losses is None

    @property
    def shares(self) -> Floats:
        """Shares kept (m,)."""
        return self.kept / self.dimension

    @property
    def held_accuracy(self) -> Floats:
        """Accuracy on the held-out samples (m,), nan where they have not one class each."""
        if not self.classifies:
            return np.full(len(self.kept), np.nan)
        return self.held_correct.mean(axis=1)

    def plot(self, axes: Any = None) -> Any:
        """Draw what the pruned networks come to against the share kept, and return matplotlib's axes.

        Parameters
        ----------
        axes : matplotlib axes, optional
            Where to draw; by default on a new figure.
        """
        axes = pictures.axes(axes, "share of the weights kept", "accuracy" if self.classifies else "loss")
        held = "held out" if self.held_out else "given data"
        for name, train, other in (
            (("accuracy", self.train_accuracy, self.held_accuracy),)
            if self.classifies
            else (("loss", self.train_loss, self.held_loss),)
        ):
            axes.plot(self.shares, train, label=f"{name}, training")
            axes.plot(self.shares, other, label=f"{name}, {held}")
        axes.set_xscale("log")
        axes.legend()
        return axes

    def to_frame(self) -> dict[str, Floats]:
        """Return columns of equal length, which ``pandas.DataFrame`` takes as they are: share, losses, accuracies."""
        return {
            "share": self.shares,
            "kept": self.kept.astype(float),
            "train_loss": self.train_loss,
            "train_accuracy": self.train_accuracy,
            "held_loss": self.held_loss,
            "held_accuracy": self.held_accuracy,
        }

    def share_where_lost(self, lost: float, chance: float) -> float:
        """Return the share from which on less than `lost` of the way from dense accuracy to chance is lost.

        Parameters
        ----------
        lost : float
            The part of the way, from 0 to 1; at 0.5 half of what the network knows is gone just below that share.
        chance : float
            Accuracy of guessing.
        """
        if not self.classifies:
            raise ValueError("the curve is of losses: nothing is classified, and no accuracy is lost")
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
            loss is at most the dense network's plus `epsilon`. Where nothing is classified, the held-out loss takes the
            accuracy's place: at most the dense one and `drop` of it, or below it.
        drop : float
            The loss of accuracy allowed, from 0 to 1, for "held-out"; of the loss, the rise allowed, relative to it.
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
        find = _finding(rule, drop, self.classifies)
        error = float(_bootstrap(self, find, repetitions, seed).std(ddof=1))
        measured = self.held_accuracy if self.classifies else self.held_loss
        return self._at(find(measured), error, self._words(rule, drop), measured[-1])

    def _words(self, rule: Rule, drop: float) -> str:
        """Say a rule in words."""
        which = "held-out" if self.held_out else "given data's"
        if self.classifies:
            least = f"accuracy at least the dense one less {drop:g}, from there on"
            words = least if rule == "held-out" else "accuracy above the dense one, anywhere"
        else:
            most = f"loss at most the dense one and {drop:.4g} of it, from there on"
            words = most if rule == "held-out" else "loss below the dense one, anywhere"
        return f"{which} {words}"

    def _at(self, at: int, error: float, rule: str, dense: float) -> MeasuredLimit:
        """Return the limit at a place of the curve."""
        shares = self.shares
        below = shares[at - 1] if at else 0.0
        return MeasuredLimit(float(shares[at]), error, float(shares[at] - below), rule, float(dense), self.coverage)


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
        What the rule compares with: the dense network's held-out accuracy, held-out loss or training loss.
    coverage : str
        Which of the network's parameters are pruned.
    """

    fraction: float
    error: float
    resolution: float
    rule: str
    dense: float
    coverage: str = ""

    def __repr__(self) -> str:
        """Say the share with its error, and by which rule."""
        return f"MeasuredLimit(keep {self.fraction:.4g} ± {self.error:.2g}: {self.rule}{_of(self.coverage)})"

    @property
    def removed(self) -> float:
        """The share removed."""
        return 1.0 - self.fraction

    def to_frame(self) -> dict[str, list[Any]]:
        """Return one row in columns, which ``pandas.DataFrame`` takes as they are."""
        return {
            name: [getattr(self, name)] for name in ("rule", "fraction", "error", "resolution", "dense", "coverage")
        }


def pruning_curve(
    model: nn.Module,
    data: Any,
    shares: Sequence[float] | Floats | None = None,
    *,
    loss: Loss | str | None = nn.functional.cross_entropy,
    parameters: Names | None = None,
) -> PruningCurve:
    """Return loss and accuracy on both splits of the data for each share of the weights kept.

    The largest weights of all layers together are kept, of equal ones the first; the others become 0.

    Parameters
    ----------
    model : Module
        The trained network; it is not changed.
    data : Dataset or batches
        The data. What counts as held out is its test split; `halves` makes two of it. Batches (a DataLoader, a pair,
        mappings: `Dataset.from_loader`) are read once; nothing of them is held out, and the rules say so.
    shares : sequence of float, optional
        The shares, in (0, 1]; each keeps ⌈share · D⌉ weights. The default is 0.1%, 0.2%, …, 100%, the grid of
        geometric's authors. The dense network is added.
    loss : callable, str or None
        (outputs, labels) -> mean over the samples, or a name, or None for the network's own; by default what the
        `Dataset` says, else cross-entropy. What is no cross-entropy of one class a sample is measured by the loss.
    parameters : names, optional
        What can be pruned; by default the weights by which the network multiplies.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    FloatingPointError
        If a loss is not finite.
    """
    wanted = np.arange(1, 1001) / 1000 if shares is None else _checks.vector("shares", shares)
    loss = loss_of(data, loss)
    data = dataset(data, loss)
    theta = prunable(model, parameters)
    D, data = sum(p.numel() for p in theta.values()), data.to(access.device(theta))
    asked = np.unique(np.append(wanted, 1.0))
    twin, _ = door.widened(copy.deepcopy(access.module(model)), data)
    train, held, measure = measures(twin, data, loss)
    rows = []
    for weights in pruned_weights(model, list(asked), "global", fill="zero", parameters=parameters):
        with torch.no_grad():
            for name, w in weights.items():
                twin.get_parameter(name).copy_(w)
        first = measure(train)
        rows.append((first, measure(held) if data.held_out else first))
    return _curve(_checks.ceil_share(asked, D), D, rows, data.held_out, covered.said(model, theta))


def _curve(
    kept: Integers, D: int, rows: Sequence[tuple[Measured, Measured]], held_out: bool, coverage: str
) -> PruningCurve:
    """Return what was measured at every share, as a curve."""
    losses = [
        _checks.finite("a pruned network's loss", np.array([row[k].loss for row in rows]), "model or loss")
        for k in (0, 1)
    ]
    right = [row[0].correct for row in rows]
    accuracy = np.array([each.mean() if each.size else np.nan for each in right])
    apart = rows[0][1].losses.size > 0
    return PruningCurve(
        kept, D, losses[0], accuracy, losses[1], np.array([row[1].correct for row in rows]),
        held_losses=np.array([row[1].losses for row in rows]) if apart else None,
        held_weights=rows[0][1].weights if apart else None,
        held_out=held_out, coverage=coverage,
    )  # fmt: skip


def _of(coverage: str) -> str:
    return f"; {coverage}" if coverage else ""


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
    data: Any,
    *,
    rule: Rule = "held-out",
    drop: float = 0.01,
    epsilon: float | Tolerance | None = None,
    shares: Sequence[float] | Floats | None = None,
    loss: Loss | str | None = nn.functional.cross_entropy,
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
    if not curve.classifies:
        raise ValueError("curve is of losses: nothing is classified, and there is no gain in accuracy")
    order = _checks.generator(seed).permutation(curve.held_correct.shape[1])
    _checks.count("held-out images", order.size, 2)
    first, other = (curve.held_correct[:, part].mean(axis=1) for part in np.array_split(order, 2))
    at = _exceeds(first)
    return float(first[at] - first[-1]), float(other[at] - other[-1])


def _first_of_tail(allowed: NDArray[np.bool_]) -> int:
    """Return the first place from which on all are allowed; the last place always is."""
    refused = np.flatnonzero(~allowed[:-1])
    return int(refused[-1]) + 1 if refused.size else 0


def _finding(rule: Rule, drop: float, classifies: bool) -> Callable[[Floats], int]:
    """Return the rule "held-out" or "program" as a function of accuracies (m,), or of losses (m,)."""
    if classifies:
        return _exceeds if rule == "program" else _holds(drop)
    if rule == "program":
        return lambda losses: _exceeds(-losses)
    return lambda losses: _first_of_tail(losses <= losses[-1] + drop * abs(losses[-1]) + 1e-12)


def _holds(drop: float) -> Callable[[Floats], int]:
    """Return the rule "held-out" as a function of accuracies (m,)."""
    return lambda accuracy: _first_of_tail(accuracy >= accuracy[-1] - drop - 1e-12)


def _exceeds(accuracy: Floats) -> int:
    """Return the first place where the accuracy is above the last one; the last place if there is none."""
    above = np.flatnonzero(accuracy > accuracy[-1] + 1e-12)
    return int(above[0]) if above.size else len(accuracy) - 1


def _bootstrap(curve: PruningCurve, find: Callable[[Floats], int], repetitions: int, seed: Seed) -> Floats:
    """Return the limit (repetitions,) for held-out samples, or parts of them, drawn again with replacement."""
    each = curve.held_correct.astype(float) if curve.held_losses is None else curve.held_losses
    n = each.shape[1]
    weights = np.ones(n) if curve.held_weights is None else curve.held_weights
    _checks.room("repetitions", repetitions, 16.0 * repetitions * (n + len(curve.kept)))
    counts = _checks.generator(seed).multinomial(n, np.full(n, 1 / n), size=repetitions) * weights
    means = counts @ each.T / counts.sum(axis=1, keepdims=True)
    return curve.shares[[find(row) for row in bars.each("bootstrap", means, repetitions, "draws")]]
