"""One network of two layers from initializations (λW, V/λ): trained alike, its layers weighed one by one.

All start as one function (li, Lemma 4.1), and differ in which layer learns. `Scaled` says what is trained, so that
whoever asks another question of the same experiment trains the same networks. Source: li, Section 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from prunekit import _checks, nets
from prunekit.importance.measures import hessian, magnitude, natural
from prunekit.importance.two_layer import two_layer_diagonal
from prunekit.nets import access, models
from prunekit.nets.access import Loss
from prunekit.nets.arguments import Masks

LAYERS = MappingProxyType({"input": "input.weight", "output": "output.weight"})
POWERS = MappingProxyType({"input": 1, "output": -1})  # of λ in a layer's weights
_AT_ONCE = 1000  # images


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """What is trained: li's experiment, whose optimizer the paper does not give.

    Attributes
    ----------
    data : str
        A data set that `prunekit.nets.load` knows.
    images : int or None
        Number of training images; None for all.
    hidden : int
        Hidden units m.
    epochs : int
        The most passes over the images.
    seed : int
        Pages with different seeds share no repetition.
    """

    data: str
    images: int | None
    hidden: int
    epochs: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        _checks.text("data", self.data)
        if self.images is not None:
            _checks.count("images", self.images)
        _checks.count("hidden", self.hidden)
        _checks.count("epochs", self.epochs)
        _checks.count("seed", self.seed, 0)

    def key(self, repetition: int) -> int:
        """Return the seed of one repetition: of the weights, the batches, and the split or subset of the images."""
        return 10_000 * self.seed + _checks.count("repetition", repetition, 0, 9_999)

    def load(self, repetition: int) -> nets.Dataset:
        """Return the images of one repetition."""
        return nets.load(self.data, subset=self.images, seed=self.key(repetition))

    def networks(self, data: nets.Dataset, repetition: int, scales: Sequence[float]) -> list[nn.Module]:
        """Return the untrained networks of one repetition, one for each λ.

        Parameters
        ----------
        data : Dataset
            Decides the numbers of inputs and classes.
        repetition : int
            Decides the weights: scaled by λ, they are the same for all.
        scales : sequence of float
            λ, above 0; one may come several times.
        """
        _checks.instance("data", data, nets.Dataset, "a Dataset")
        return [
            models.two_layer(data.inputs, self.hidden, data.classes, scale=lam, seed=self.key(repetition))
            for lam in _scales(scales)
        ]

    def train(
        self,
        networks: Sequence[nn.Module],
        scales: Sequence[float],
        data: nets.Dataset,
        *,
        order: int,
        masks: Sequence[Masks | None] | None = None,
    ) -> list[nets.Fitted]:
        """Train networks in place, until they interpolate or the epochs are over.

        Gradient descent on batches of 100 at the rate 0.05/max(λ², λ⁻²): by (4.3) of li the curvature of one layer
        grows like that, and Theorem 4.3 asks for a rate below its inverse. They interpolate when all training images
        are classified rightly, which is looked at after every tenth epoch.

        Parameters
        ----------
        networks : sequence of Module
            Networks of two layers.
        scales : sequence of float
            The λ of each.
        data : Dataset
            What they are trained on.
        order : int
            Seed of the batches.
        masks : sequence of mappings or None, optional
            As for `prunekit.nets.fit_many`.

        Raises
        ------
        FloatingPointError
            If a training diverges.
        """
        configs = [
            nets.Config(
                epochs=self.epochs, batch_size=100, lr=0.05 / max(lam**2, lam**-2), interpolation=math.inf,
                evaluate_every=10, seed=order,
            )
            for lam in _scales(scales)
        ]  # fmt: skip
        done = nets.fit_many(networks, data, configs, masks=masks, progress=False)
        if any(each.stopped == "diverged" for each in done):
            raise FloatingPointError("a training diverged: the learning rate is too large for data of this size")
        return done


def _scales(scales: Sequence[float]) -> list[float]:
    """Return scales whose squares, and weights times which, stay in the range of single precision."""
    numbers = [_checks.scalar("scales", lam, positive=True) for lam in _checks.listed("scales", scales, "numbers")]
    wild = [lam for lam in numbers if not 1e-15 < lam < 1e15]
    if wild:
        raise FloatingPointError(f"scales holds {wild[0]}, beyond single precision: give numbers from 1e-15 to 1e15")
    return numbers


def layer_diagonal(model: nn.Module, data: nets.Dataset) -> dict[str, Tensor]:
    """Return the Hessian's diagonal of the training loss of a network of two layers, in closed form.

    Parameters
    ----------
    model : Module
        Whose parameters `LAYERS` names.
    data : Dataset
        Its training images count.

    Returns
    -------
    dict of str to tensor
        By parameter name, in the shapes of the parameters, in double precision.
    """
    W, V = _layers(model)
    _checks.instance("data", data, nets.Dataset, "a Dataset")
    x = data.normalize(data.train_x).flatten(1)
    return dict(zip(LAYERS.values(), two_layer_diagonal(W, V, x), strict=True))


def layer_importances(model: nn.Module, diagonal: Mapping[str, Tensor]) -> dict[tuple[str, str], float]:
    """Return magnitude and Hessian importance of both layers, by ("magnitude" or "Hessian", layer).

    Source: li, Definition 2.2.

    Parameters
    ----------
    model : Module
        Whose parameters `LAYERS` names.
    diagonal : mapping of str to tensor
        The Hessian's, as `layer_diagonal` returns it.
    """
    _layers(model)
    weighed: dict[tuple[str, str], float] = {}
    for layer, name in LAYERS.items():
        weighed["magnitude", layer] = magnitude(model, name)
        weighed["Hessian", layer] = hessian(model, diagonal, name)
    return weighed


def layer_moves(
    model: nn.Module,
    before: Mapping[str, Tensor],
    first: Mapping[str, Tensor],
    last: Mapping[str, Tensor],
) -> dict[tuple[str, str], float]:
    """Return how far weights and the Hessian's diagonal of both layers moved in training, over their norms before.

    The keys are ("weights" or "diagonal", layer).

    Parameters
    ----------
    model : Module
        Whose parameters `LAYERS` names, after training.
    before : mapping of str to tensor
        Its parameters before.
    first, last : mappings of str to tensor
        The Hessian's diagonal before and after, as `layer_diagonal` returns it.

    Raises
    ------
    ValueError
        If a tensor is missing or of another shape, or all that was there before is 0.
    """
    _layers(model)
    after = {name: parameter.detach() for name, parameter in access.parameters(model).items()}
    return {
        (what, layer): _move(f"{what} of {name}", old, new, name)
        for what, old, new in (("weights", before, after), ("diagonal", first, last))
        for layer, name in LAYERS.items()
    }


def _move(what: str, old: Mapping[str, Tensor], new: Mapping[str, Tensor], name: str) -> float:
    """Return the norm of a tensor's change over its norm before."""
    for given in (old, new):
        if not isinstance(given, Mapping) or not isinstance(given.get(name), Tensor):
            raise ValueError(f"the {what} is missing: give a mapping with tensors of both layers")
    if old[name].shape != new[name].shape:
        raise ValueError(f"the {what} has shape {tuple(new[name].shape)} after and {tuple(old[name].shape)} before")
    size = float(torch.linalg.vector_norm(old[name].double()))
    if not 0 < size < math.inf:
        raise ValueError(f"the {what} has the norm {size} before: give one that is finite and not 0")
    change = float(torch.linalg.vector_norm(new[name].double() - old[name].double())) / size
    if not math.isfinite(change):
        raise FloatingPointError(
            f"the {what} is not finite after, or it changed too much: give a finite model and last"
        )
    return change


def natural_importances(
    model: nn.Module, before: Mapping[str, Tensor], data: nets.Dataset
) -> dict[tuple[str, str], float]:
    """Return what loss and error rise by when a layer is put back to its initial weights.

    The keys are ("train loss", "test loss" or "test error", layer). Source: li, Definition 2.1, with its Init-Pruning.

    Parameters
    ----------
    model : Module
        Whose parameters `LAYERS` names, after training.
    before : mapping of str to tensor
        Its parameters before.
    data : Dataset
        What it was trained and is tested on.
    """
    _layers(model)
    _checks.instance("data", data, nets.Dataset, "a Dataset")
    loss: Loss = torch.nn.functional.cross_entropy
    train, test = (_batches(data, part) for part in ("train", "test"))
    cases: dict[str, tuple[Loss, list[tuple[Tensor, Tensor]]]] = {
        "train loss": (loss, train),
        "test loss": (loss, test),
        "test error": (_error_rate, test),
    }
    return {
        (what, layer): natural(model, of, batches, name, reference=before)
        for what, (of, batches) in cases.items()
        for layer, name in LAYERS.items()
    }


def _layers(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Return W and V of a network of two layers, refusing another."""
    theta = access.parameters(model)
    if set(theta) != set(LAYERS.values()):
        raise ValueError(f"model has the parameters {', '.join(theta)}: give one made by nets.models.two_layer")
    W, V = (theta[name] for name in LAYERS.values())
    return W, V


def _batches(data: nets.Dataset, part: str) -> list[tuple[Tensor, Tensor]]:
    """Return normalized images and labels of one split, some at a time."""
    x, y = getattr(data, f"{part}_x"), getattr(data, f"{part}_y")
    return [(data.normalize(a), b) for a, b in zip(x.split(_AT_ONCE), y.split(_AT_ONCE), strict=True)]


def _error_rate(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the share of wrong answers."""
    return (outputs.argmax(1) != labels).double().mean()
