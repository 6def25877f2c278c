"""The training loop, written once for a single network and for a stack of networks.

A `Learner` holds what is trained: named tensors and a forward pass, which gives scores (b, k), or (m, b, k) for a
stack of m networks. `Engine` drives it an epoch at a time. Everything below works along the last axes, so that the
same lines serve both; results come as lists with one entry a network.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from prunekit.nets import objectives, steps
from prunekit.nets.chain import Chain, chain
from prunekit.nets.config import Config, batch_rates, learning_rate
from prunekit.nets.convolutions import surviving
from prunekit.nets.data import Dataset
from prunekit.nets.draws import Draw, autocast, shaped
from prunekit.nets.keeping import Place, own_chance
from prunekit.nets.losses import NOTHING_COUNTS, Mean
from prunekit.nets.perceptron import Slope, perceptron
from prunekit.nets.steps import Named, Rates, Slots

_EVALUATED = 250  # examples a batch where no gradient is needed: more only fill the caches
_NORMALIZED = 2**24  # numbers up to which the training images are kept normalized: 64 MB
Row = dict[str, int | float | None]


class Learner:
    """One network: its trainable weights by name, the rest of its state, and its forward pass.

    With the shape of the images that it is to be trained on, (c, h, w), it may train by a `Chain`. Without a loss it is
    trained by the cross-entropy of classes; with one, it says whether its outputs are scores of classes all the same.
    """

    stacked = False
    loss: Mean | None = None
    classifies = True

    def __init__(
        self,
        model: nn.Module,
        config: Config,
        shape: Sequence[int] | None = None,
        loss: Mean | None = None,
        classifies: bool = True,
    ) -> None:
        self.model, self.loss, self.classifies = model, loss, classifies
        self.weights: Named = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
        frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
        self.rest: Named = frozen | dict(model.named_buffers())
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._surviving = surviving(model)
        self._forward: Callable[..., Any] = model
        self.written = None if config.compile or loss else perceptron(model)
        self.chain = None if shape is None or loss else suiting_chain(model, config, shape)
        if config.compile:
            self._forward = torch.compile(model)

    def scores(self, x: Any) -> Any:
        """Return the class scores of a batch, or the outputs that the loss takes."""
        with self._surviving:
            outputs = self._forward(*x) if isinstance(x, tuple) else self._forward(x)
        return outputs if self.loss or isinstance(outputs, Tensor) else objectives.scores(outputs)

    def slope(self, x: Tensor, y: Tensor, precision: contextlib.AbstractContextManager[Any]) -> Slope:
        """Return losses, scores and gradients of a batch, by its chain or automatic differentiation."""
        if self.chain:
            return self.chain.slope(self.weights | self.rest, x, y)
        with torch.enable_grad():
            with precision:
                scores = self.scores(x)
            if self.loss:
                value = self.loss(scores, y)
                shown = objectives.scores(scores).detach() if self.classifies else y
                return Slope(value.detach().expand(len(y)), shown, self.gradients(value))
            each = losses(scores, y)
            return Slope(each.detach(), scores.detach(), self.gradients(each.mean(-1).sum()))

    def laid_out(self, stacked: Tensor) -> Tensor:
        """Return matrices of a stack with the memory layout of their gradients."""
        return stacked

    def gradients(self, loss: Tensor) -> Named:
        """Return the gradients of a loss, by name."""
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True, materialize_grads=True)
        return dict(zip(self.weights, gradients, strict=True))


class Stack(Learner):
    """Networks of one shape, their tensors stacked along a first axis and run through `vmap`."""

    stacked = True

    def __init__(
        self, models: Sequence[nn.Module], config: Config | None = None, shape: Sequence[int] | None = None
    ) -> None:
        self.model = copy.deepcopy(models[0]).to("meta")  # the forward pass alone; the tensors come with each call
        learners = [Learner(model, Config(epochs=1)) for model in models]
        self.written = learners[0].written
        self.chain = None if config is None or shape is None else suiting_chain(models[0], config, shape)
        self.weights = {
            n: self.laid_out(torch.stack([each.weights[n] for each in learners])) for n in learners[0].weights
        }
        self.rest = {n: torch.stack([each.rest[n] for each in learners]) for n in learners[0].rest}
        self._spots = _spots(models[0])
        self._surviving = surviving(models[0])
        self._leaves: Named = {}

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores (m, b, k) of a batch, (b, …) for all or (m, b, …) with one for each."""
        self._leaves = self.weights
        if torch.is_grad_enabled():
            self._leaves = {name: w.detach().requires_grad_() for name, w in self.weights.items()}
        own = x.ndim == 5

        def one(weights: Named, rest: Named, x: Tensor) -> Tensor:
            own = weights | rest
            named = {spot: own[name] for spot, name in self._spots.items()}
            return functional_call(self.model, named, (x,), tie_weights=False)

        with self._surviving:
            scores = torch.func.vmap(one, in_dims=(0, 0, 0 if own else None))(self._leaves, self.rest, x)
        assert isinstance(scores, Tensor)
        return scores

    def laid_out(self, stacked: Tensor) -> Tensor:
        """Return matrices of a stack with the memory layout of their gradients; `vmap`'s come out transposed.

        A step would else add along columns what is stored along rows: at width 1024 that costs more than the products.
        """
        return stacked if self.written or self.chain or stacked.ndim != 3 else stacked.mT.contiguous().mT

    def gradients(self, loss: Tensor) -> Named:
        """Return the gradients of the sum of all networks' losses, by name."""
        gradients = torch.autograd.grad(loss, list(self._leaves.values()), allow_unused=True, materialize_grads=True)
        return dict(zip(self.weights, gradients, strict=True))


def suiting_chain(model: nn.Module, config: Config, shape: Sequence[int]) -> Chain | None:
    """Return the `Chain` of a network where it is the faster way to train on images (c, h, w), else None."""
    if config.compile or config.precision != "float32":
        return None
    layers = chain(model)
    return layers if layers and layers.suits(tuple(shape), config.batch_size) else None


def _spots(model: nn.Module) -> dict[str, str]:
    """Return all names of parameters and buffers, each with the first name of the same tensor.

    A copy on another device no longer knows what its modules share, so that each spot is filled by name.
    """
    first: dict[int, str] = {}
    spots = {}
    for named in (model.named_parameters, model.named_buffers):
        for name, t in named(remove_duplicate=False):
            spots[name] = first.setdefault(id(t), name)
    return spots


def losses(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of every example, in the shape (…, b) of scores (…, b, k) without their last axis."""
    logs = torch.log_softmax(scores.float().mT.contiguous(), -2)  # vectorized along the examples
    return -logs.gather(-2, labels.expand(scores.shape[:-1]).unsqueeze(-2)).squeeze(-2)


def _right(scores: Tensor, labels: Tensor) -> Tensor:
    """Return which examples have their largest score at their label; `argmax` takes ten times as long."""
    return scores.max(-1).indices == labels


@torch.no_grad()
def score(learner: Learner, data: Dataset, config: Config, *, train: bool) -> tuple[list[float], list[float]]:
    """Return mean loss and accuracy of every network on a whole split, without augmentation."""
    images, labels = (data.train_x, data.train_y) if train else (data.test_x, data.test_y)
    learner.model.eval()
    if learner.loss:
        return _mean_loss(learner, learner.loss, data, config, images, labels)
    total, right = torch.zeros((), device=data.device), torch.zeros((), device=data.device)
    for start in range(0, len(images), _EVALUATED):
        x = shaped(data.normalize(images[start : start + _EVALUATED]), config)
        y = labels[start : start + _EVALUATED]
        if learner.written and config.precision == "float32":
            scores = learner.written.scores(learner.weights, x)
        else:
            with autocast(config, data.device):
                scores = learner.scores(x)
        total = total + losses(scores, y).double().sum(-1)
        right = right + _right(scores, y).sum(-1)
    return _listed(total / len(images)), _listed(right.double() / len(images))


def _mean_loss(
    learner: Learner, loss: Mean, data: Dataset, config: Config, inputs: Any, labels: Tensor
) -> tuple[list[float], list[float]]:
    """Return the mean loss of a network on a split, each batch with its weight, and the accuracy, nan if none."""
    total = weight = right = 0.0
    for start in range(0, len(labels), _EVALUATED):
        y = labels[start : start + _EVALUATED]
        own = loss.weight(y)
        if not own:
            continue
        x = shaped(data.normalize(inputs[start : start + _EVALUATED]), config)
        with autocast(config, data.device):
            outputs = learner.scores(x)
        total, weight = total + own * float(loss.loss(outputs, y)), weight + own
        if learner.classifies:
            right += float(_right(objectives.scores(outputs), y).sum())
    if not weight:
        raise ValueError(NOTHING_COUNTS)
    return [total / weight], [right / len(labels) if learner.classifies else math.nan]


def _listed(values: Tensor) -> list[float]:
    """Return one number a network."""
    return [float(v) for v in values.reshape(-1).tolist()]


class Engine:
    """A learner in training: the epochs done, the optimizer's memory, the generators, and the history so far.

    Parameters
    ----------
    learner : Learner
        What is trained, already on the device of `data`.
    data : Dataset
        What it is trained on.
    configs : sequence of Config
        One configuration for each network; in a stack they differ in `lr`, `l1`, `l2` and `seed` only.
    masks : mapping
        Parameter names to boolean tensors on the device, True where a weight lives.
    """

    def __init__(self, learner: Learner, data: Dataset, configs: Sequence[Config], masks: Mapping[str, Tensor]) -> None:
        self.learner, self.data, self.configs = learner, data, list(configs)
        self.config = self.configs[0]
        self.bits = steps.bits_of(masks)
        self.slots: Slots = steps.new_slots(self.config, learner.weights)
        self.generators = [torch.Generator().manual_seed(c.seed) for c in self.configs]
        self.epoch = self.taken = 0
        self.rows: list[list[Row]] = [[] for _ in self.configs]
        self.place: Place | None = None  # inside an epoch
        self.pulse: Callable[[], None] | None = None  # called after every batch of an epoch
        self._seen = steps.penalized(self.config, learner.weights, learner.stacked)
        self._written = learner.written if self.config.precision == "float32" else None
        self._plain = self.config.optimizer == "sgd" and not self.config.momentum
        as_stored = (
            self.config.crop
            or self.config.flip
            or data.train_x.numel() > _NORMALIZED
            or not isinstance(data.train_x, Tensor)
        )
        self._normalized = None if as_stored else data.normalize(data.train_x)
        steps.clear(learner.weights, self.bits)
        state = learner.weights | learner.rest  # masks of attention hold infinities from the start
        self._watched = [name for name, t in state.items() if bool(torch.isfinite(t).all()) and t.numel()]

    def advance(self) -> list[str | None]:
        """Train for one epoch and say of each network why it stops: 'interpolation', 'epochs', 'diverged' or None."""
        began = time.perf_counter()
        at = self.place = self.place or Place(self._copy(), [g.get_state() for g in self.generators])
        running, right = self._pass(self._draw(), self._rates(), at)
        self.place = None
        n, rates = len(self.data.train_x), [self._rate(c, self.taken - 1) for c in self.configs]
        self.epoch += 1
        last = self.epoch == self.config.epochs
        rows = [
            Row(epoch=self.epoch, learning_rate=rate, running_loss=a / n, running_accuracy=self._share(b / n))
            for rate, a, b in zip(rates, running, right, strict=True)
        ]
        diverged = self._judge(rows, judged=last or self.epoch % self.config.evaluate_every == 0)
        self._restore(at.before, [k for k, bad in enumerate(diverged) if bad])
        for row, kept in zip(rows, self.rows, strict=True):
            kept.append(row | {"seconds": time.perf_counter() - began})
        return [
            "diverged" if bad else "interpolation" if self._fits(row) else "epochs" if last else None
            for bad, row in zip(diverged, rows, strict=True)
        ]

    def tail(self) -> list[Named | None]:
        """Average the iterates of `config.average` further steps and leave the networks as they were.

        None stands for a network whose iterates leave the finite numbers.
        """
        before, taken, left = self._copy(), self.taken, self.config.average
        total = {name: torch.zeros_like(w, dtype=torch.float64) for name, w in self.learner.weights.items()}
        self.epoch -= 1  # the last epoch's learning rate
        rates = self._rates(taken - 1)
        while left:
            left -= self._steps(self._draw(), rates, left, total)
        self.epoch += 1
        self.taken = taken
        self._restore(before, range(len(self.rows)))
        finite = self._finite(total).tolist()
        mean = {name: (t / self.config.average).float() for name, t in total.items()}
        each = [{name: self._of(t, k) for name, t in mean.items()} for k in range(len(self.rows))]
        return [own if ok else None for own, ok in zip(each, finite, strict=True)]

    def select(self, chosen: Sequence[int]) -> Engine:
        """Return an engine that goes on with some networks of a stack, from copies of their tensors."""
        index = torch.tensor(list(chosen), device=self.data.device)

        def take(named: Named) -> Named:
            return {name: self.learner.laid_out(t.index_select(0, index)) for name, t in named.items()}

        part, part.learner = copy.copy(self), copy.copy(self.learner)
        part.learner.weights, part.learner.rest = take(self.learner.weights), take(self.learner.rest)
        part.bits, part.slots = take(self.bits), {slot: take(named) for slot, named in self.slots.items()}
        for name in ("configs", "generators", "rows"):
            setattr(part, name, [getattr(self, name)[k] for k in chosen])
        return part

    def _draw(self) -> Draw:
        """Draw the next epoch; networks of one seed share it."""
        n = len(self.data.train_x)
        draws = [Draw.of(c, n, g) for c, g in zip(self.configs, self.generators, strict=True)]
        alike = len({c.seed for c in self.configs}) == 1
        return Draw.stack(draws[:1] if alike else draws, self.data.device)

    def _rate(self, config: Config, taken: int) -> float:
        """Return the learning rate of this epoch, or of the batch after so many, where each has its own."""
        batches = -(-len(self.data.train_x) // config.batch_size)
        return float(batch_rates(config, batches)[taken]) if config.per_batch else learning_rate(config, self.epoch)

    def _rates(self, taken: int | None = None) -> Rates:
        """Return the rates of now, as one number where all networks have the same."""
        lr = [self._rate(c, self.taken if taken is None else taken) for c in self.configs]
        l1, l2 = ([getattr(c, name) for c in self.configs] for name in ("l1", "l2"))
        return Rates(*(v[0] if len(set(v)) == 1 else torch.tensor(v, device=self.data.device) for v in (lr, l1, l2)))

    def _pass(self, draw: Draw, rates: Rates, at: Place) -> tuple[list[float], list[float]]:
        """Train on a draw's batches from a place on; return sums of losses and of right answers, met on the way."""
        total = torch.zeros((), dtype=torch.float64, device=self.data.device) if at.total is None else at.total
        right = torch.zeros((), device=self.data.device) if at.right is None else at.right
        with self._own_chance(at.chance):
            self.learner.model.train()
            for x, y in itertools.islice(draw.batches(self.data, self.config, self._normalized), at.done, None):
                each, hits = self._step(x, y, self._rates() if self.config.per_batch else rates)
                total, right = total + each.sum(-1), right + hits.sum(-1)
                at.done, at.total, at.right = at.done + 1, total, right
                if self.pulse:
                    self.pulse()
        return _listed(total), _listed(right)

    def _steps(self, draw: Draw, rates: Rates, most: int, total: Named) -> int:
        """Take up to `most` steps, adding every iterate to `total`; return how many were taken."""
        done = 0
        with self._own_chance():
            self.learner.model.train()
            for x, y in draw.batches(self.data, self.config, self._normalized):
                if done == most:
                    break
                self._step(x, y, rates)
                done += 1
                for name, w in self.learner.weights.items():
                    total[name].add_(w)
        return done

    def _step(self, x: Tensor, y: Tensor, rates: Rates) -> tuple[Tensor, Tensor]:
        """Take one step; return losses and right answers of every example, from before it."""
        if self._written and self._plain and not rates.penalize:
            each, scores = self._written.descend(self.learner.weights, x, y, rates.lr)
            steps.clear(self.learner.weights, self.bits)
            self.taken += 1
            return each, _right(scores, y)
        if self._written:
            each, scores, gradients = self._written.slope(self.learner.weights, x, y)
        else:
            each, scores, gradients = self.learner.slope(x, y, autocast(self.config, self.data.device))
        if rates.penalize:
            steps.add_penalties(
                [gradients[name] for name in self._seen], [self.learner.weights[name] for name in self._seen], rates
            )
        steps.clear(gradients, self.bits)  # from 0 a gradient of 0 leads nowhere: the weights need no clearing
        self.taken += 1
        steps.step(self.config, self.learner.weights, gradients, self.slots, rates, self.taken)
        return each, _right(scores, y) if self.learner.classifies else torch.zeros(len(y), device=y.device)

    def _share(self, accuracy: float) -> float | None:
        """Return an accuracy, None where nothing is classified."""
        return accuracy if self.learner.classifies else None

    def _own_chance(self, chance: tuple[Tensor, ...] = ()) -> contextlib.AbstractContextManager[None]:
        """Make random layers depend on seed and step alone, or go on from states."""
        return own_chance(self.config.seed * 2**31 + self.taken, self.data.device, chance)

    def _judge(self, rows: Sequence[Row], *, judged: bool) -> list[bool]:
        """Add both splits' losses and accuracies to the rows, None where there are none; return which diverged.

        A network has diverged if a weight, a statistic or a loss is no longer finite.
        """
        splits = (("train", "test") if self.data.held_out else ("train",)) if judged else ()
        scores = {s: score(self.learner, self.data, self.config, train=s == "train") for s in splits}
        state = self.learner.weights | self.learner.rest
        finite = self._finite({name: state[name] for name in self._watched}).tolist()
        diverged = []
        for k, row in enumerate(rows):
            seen = [float(row["running_loss"] or 0.0), *(losses[k] for losses, _ in scores.values())]
            diverged.append(not finite[k] or not all(map(math.isfinite, seen)))
            for split in ("train", "test"):
                kept = None if diverged[k] else scores.get(split)
                row[f"{split}_loss"], row[f"{split}_accuracy"] = (
                    (None, None) if kept is None else (kept[0][k], self._share(kept[1][k]))
                )
        return diverged

    def _fits(self, row: Row) -> bool:
        """Tell whether a network interpolates the training set."""
        bound, loss = self.config.interpolation, row["train_loss"]
        right = row["train_accuracy"] in (1.0, None)
        return bound is not None and loss is not None and right and loss < bound

    def _copy(self) -> Named:
        """Return copies of all that a step changes but the optimizer's slots."""
        return {name: t.clone() for name, t in (self.learner.weights | self.learner.rest).items()}

    def _of(self, t: Tensor, k: int) -> Tensor:
        """Return the part of a tensor that is network k's, a view."""
        return t[k] if self.learner.stacked else t

    @torch.no_grad()
    def _restore(self, before: Named, networks: Iterable[int]) -> None:
        """Put the copies of some networks back."""
        for k in networks:
            for name, t in (self.learner.weights | self.learner.rest).items():
                self._of(t, k).copy_(self._of(before[name], k))

    def _finite(self, named: Named) -> Tensor:
        """Tell of each network whether all its numbers among these are finite."""
        finite = torch.ones(len(self.rows), dtype=torch.bool, device=self.data.device)
        numbers = [t for t in named.values() if t.is_floating_point()]
        if bool(torch.isfinite(torch.stack(torch._foreach_norm(numbers, math.inf))).all()):  # one call mostly suffices
            return finite
        for t in numbers:
            finite = finite & torch.isfinite(t).reshape(len(self.rows), -1).all(1)
        return finite
