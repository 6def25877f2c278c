"""Studies of the pruning limit: networks of one data set, trained alike but for architecture, penalty and seed.

A penalty is given by its *reach*: how far it alone would move a weight, in units of how far the paper's does. So a
short training on few images can be penalized like the paper's long one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prunekit import _checks
from prunekit.limit.lanczos import Lanczos
from prunekit.limit.tasks import EPOCHS, PAPER, SMALL, PaperNetwork, l1_path
from prunekit.nets import Config, Dataset, Fitted, fit_many, load

DIGITS = 1797  # images of scikit-learn's digits
WHOLE = {"digits": (600, DIGITS - 600), "tiny-imagenet": (100_000, 10_000)}
_CIFAR = (50_000, 10_000)
_MOST = 1000  # seeds from one number on: those of the next begin there


@dataclass(frozen=True)
class Extent:
    """How much is trained: images to train on and held out (all by default), epochs, reaches of the penalty, seeds."""

    epochs: int
    reach: tuple[float, ...]
    seeds: int
    images: tuple[int, int] | None = None


# By scale, for the small networks and for the paper's.
EXTENTS = {
    True: {
        "smoke": Extent(60, (1, 4), 1, (150, 300)),
        "laptop": Extent(300, (1, 4, 16), 2),
        "paper": Extent(300, (1, 4, 16), 5),
    },
    False: {
        "smoke": Extent(1, (1,), 1, (256, 256)),
        "laptop": Extent(EPOCHS, (1,), 1, (2000, 2000)),
        "paper": Extent(EPOCHS, (1,), 5),
    },
}
# Steps, probes and steps along the pruned weights, where Lanczos looks at a Hessian.
LOOKS = {"smoke": (6, 2, 4), "laptop": (32, 3, 16), "paper": (128, 4, 64)}


@dataclass(frozen=True)
class Study:
    """Networks of one data set, trained alike but for architecture, penalty and seed; made by `Study.at`.

    Attributes
    ----------
    scale : str
        "smoke", "laptop" or "paper"; it decides what is not given.
    tasks : mapping of str to PaperNetwork
        The architectures by name.
    data : Dataset
        What is trained on, and held out.
    whole : int
        Number of training images there are, of which `data` may have a part.
    epochs, lr
        Epochs and learning rate of every training.
    reach, seeds
        The reaches and the seeds that are trained.
    augment : bool
        Whether images are cropped and mirrored.
    device : str
        "cpu" or "cuda".
    """

    scale: str
    tasks: Mapping[str, PaperNetwork]
    data: Dataset
    whole: int
    epochs: int
    lr: float
    reach: tuple[float, ...]
    seeds: tuple[int, ...]
    augment: bool = False
    device: str = "cpu"

    @classmethod
    def at(
        cls,
        scale: str,
        network: str = "small",
        data: str = "default",
        images: Sequence[int] | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        reach: Sequence[float] | None = None,
        seeds: int | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> Study:
        """Return the study of the small networks, or of one of the paper's; what is None is chosen by the scale.

        Parameters
        ----------
        scale : str
            "smoke", "laptop" or "paper"; with all of the data and 200 epochs, a network of the paper is trained on
            augmented images at the last.
        network : str
            "small" for all of `SMALL`, or a name of `PAPER`.
        data : str
            A data set by name; "default" is what the networks are meant for.
        images : (int, int), optional
            Training and held-out images. Of the digits all that are not trained on may be held out.
        epochs : int, optional
            Number of epochs of every training.
        lr : float, optional
            Learning rate; by default the networks' own.
        reach : sequence of float, optional
            Reaches of the penalty.
        seeds : int, optional
            Number of networks of each architecture and reach.
        seed : int
            Seed of the choice of images; networks have the seeds from 1000 times this on.
        device : str
            Where images and networks are, "cpu" or "cuda".

        Raises
        ------
        ValueError
            For a scale or a network that is not known, or more images than there are.
        """
        if _checks.text("network", network) != "small" and network not in PAPER:
            raise ValueError(f"network is {network!r}: give 'small' or one of {', '.join(PAPER)}")
        extent = EXTENTS[network == "small"][_checks.choice("scale", scale, list(LOOKS))]
        tasks = SMALL if network == "small" else {network: PAPER[network]}
        task = next(iter(tasks.values()))
        name = task.data if _checks.text("data", data) == "default" else data
        whole = WHOLE.get(name, _CIFAR)
        train, held = _numbers_of_images(extent.images or whole if images is None else images)
        reaches = extent.reach if reach is None else _checks.listed("reach", reach, "numbers")
        seed = _checks.count("seed", seed, 0)
        on = _digits(train, held, seed) if name == "digits" else load(name, subset=(train, held), seed=seed)
        long = extent.epochs if epochs is None else _checks.count("epochs", epochs)
        count = extent.seeds if seeds is None else _checks.count("seeds", seeds, 1, _MOST)
        full = scale == "paper" and network != "small" and (train, held) == whole and long == EPOCHS
        return cls(
            scale=scale,
            tasks=tasks,
            data=on.to(device),
            whole=whole[0],
            epochs=long,
            lr=task.lr if lr is None else _checks.scalar("lr", lr, positive=True),
            reach=tuple(_checks.scalar("reach", each, positive=True) for each in reaches),
            seeds=tuple(range(1000 * seed, 1000 * seed + count)),
            augment=full,
            device=device,
        )

    @property
    def small(self) -> bool:
        """Whether the networks are so small that their Hessians are computed entry by entry."""
        return self.tasks is SMALL

    @property
    def cases(self) -> list[tuple[float, int]]:
        """Reach and seed of each network of an architecture."""
        return [(times, k) for times in self.reach for k in self.seeds]

    def lanczos(
        self, seed: int, steps: int | None = None, probes: int | None = None, direction_steps: int | None = None
    ) -> Lanczos:
        """Return how a Hessian is examined that is not computed entry by entry; what is None is the scale's own.

        Parameters
        ----------
        seed : int
            Where the starts come from.
        steps, probes, direction_steps
            As for `Lanczos`.
        """
        own = LOOKS[self.scale]
        chosen = [
            default if value is None else value
            for value, default in zip((steps, probes, direction_steps), own, strict=True)
        ]
        return Lanczos(chosen[0], chosen[1], direction_steps=chosen[2], seed=seed, storage="float32")

    @property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """The training images, normalized, and their labels."""
        return self.data.normalize(self.data.train_x), self.data.train_y

    def config(self, name: str, reach: float, seed: int) -> Config:
        """Return a training whose penalty reaches so many times as far as the paper's.

        For a small network that is the paper's of FC5, for one of the paper's its own.

        Parameters
        ----------
        name : str
            One of `tasks`.
        reach : float
            Reach of the penalty, above 0.
        seed : int
            Where the batches come from.
        """
        task, images = self.tasks[_checks.choice("name", name, list(self.tasks))], len(self.data.train_y)
        reach = _checks.scalar("reach", reach, positive=True)
        how = task.config(epochs=self.epochs, l1=1.0, lr=self.lr, augment=self.augment, seed=seed, device=self.device)
        if name in SMALL:
            path = l1_path(PAPER["fc5"].config(), _CIFAR[0])
            return replace(how, l1=reach * path / l1_path(how, images))
        longer = EPOCHS * self.whole * task.lr / (self.epochs * images * self.lr)
        return replace(how, l1=task.l1 * reach * longer)

    def train(self, name: str, cases: Sequence[tuple[float, int]] | None = None) -> list[Fitted]:
        """Return trained networks of one architecture, one for each reach and seed.

        Parameters
        ----------
        name : str
            One of `tasks`.
        cases : sequence of (float, int), optional
            Reach of the penalty, and seed of the weights and of the batches; by default those of the study.

        Raises
        ------
        ValueError
            If a training diverges.
        """
        task = self.tasks[_checks.choice("name", name, list(self.tasks))]
        wanted = self.cases if cases is None else _cases(cases)
        models = [task.build(self.data, seed) for _, seed in wanted]
        configs = [self.config(name, reach, seed) for reach, seed in wanted]
        fitted = fit_many(models, self.data, configs, progress=False)
        for (_, seed), each in zip(wanted, fitted, strict=True):
            if each.stopped == "diverged":
                raise ValueError(f"{name} diverged at seed {seed}: give a smaller lr")
        return fitted

    def networks(self) -> Iterator[tuple[str, float, int, Fitted]]:
        """Yield all networks of the study: architecture, reach, seed, and the trained network."""
        for name in self.tasks:
            for (reach, seed), fitted in zip(self.cases, self.train(name), strict=True):
                yield name, reach, seed, fitted

    def learned(self, fitted: Fitted) -> bool:
        """Return whether a network classifies twice as many training images rightly as guessing would."""
        _checks.instance("fitted", fitted, Fitted, "a trained network, as `train` returns it")
        accuracy = fitted.history.rows[-1]["train_accuracy"]
        return accuracy is not None and accuracy >= 2 / self.data.classes


def _cases(cases: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return pairs of a reach and a seed."""
    checked = []
    for case in _checks.listed("cases", cases, "pairs of a reach and a seed"):
        pair = _checks.listed("cases", case, "pairs of a reach and a seed")
        if len(pair) != 2:
            raise ValueError(f"cases holds {_checks.shown(case)}: give pairs of a reach and a seed")
        checked.append((_checks.scalar("cases", pair[0], positive=True), _checks.count("cases", pair[1], 0)))
    if not checked:
        raise ValueError("cases is empty: give at least one pair of a reach and a seed")
    return checked


def _numbers_of_images(images: Sequence[int]) -> tuple[int, int]:
    """Return how many images are trained on and held out."""
    listed = _checks.listed("images", images, "two numbers")
    if len(listed) != 2:
        raise ValueError(f"images has {len(listed)} entries: give the numbers of training and of held-out images")
    train, held = (_checks.count("images", each) for each in listed)
    return train, held


def _digits(train: int, held: int, seed: int) -> Dataset:
    """Return the digits with as many training and held-out images as are asked for, of all of them."""
    digits = load("digits", seed=seed)
    x, y = torch.cat([digits.train_x, digits.test_x]), torch.cat([digits.train_y, digits.test_y])
    if train + held > len(y):
        raise ValueError(f"images are {train} and {held}, and there are {len(y)} digits: give fewer")
    a, b = slice(train), slice(train, train + held)
    return replace(digits, train_x=x[a], train_y=y[a], test_x=x[b], test_y=y[b])
