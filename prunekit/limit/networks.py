"""Networks: their landscape, and the predicted pruning limit in one call."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from prunekit import _checks
from prunekit._checks import Seed
from prunekit.importance import hessian_matrix
from prunekit.limit import authors
from prunekit.limit.lanczos import Lanczos
from prunekit.limit.landscape import Landscape, checked
from prunekit.limit.negative import NEGATIVE, Negative
from prunekit.limit.prediction import METHODS, Method, PruningLimit, predict
from prunekit.limit.tolerance import Tolerance, minibatch_tolerance
from prunekit.nets import access, door
from prunekit.nets.access import Data, Loss, Names, prunable
from prunekit.nets.covered import said
from prunekit.nets.data import Dataset, loss_of
from prunekit.nets.splits import TrainingSplit

_DENSE = 3000  # up to so many parameters the whole Hessian is computed, which takes 72 MB and some seconds


def network_landscape(
    model: nn.Module,
    data: Data | Dataset,
    loss: Loss = nn.functional.cross_entropy,
    *,
    dense: bool | None = None,
    lanczos: Lanczos | None = None,
    parameters: Names | None = None,
) -> Landscape:
    """Return the landscape of a trained network: its prunable weights and the Hessian of its training loss in them.

    Parameters
    ----------
    model : Module
        The network at w*.
    data : (inputs, labels), an iterable of them, or a Dataset
        The training data; of a Dataset the training split is taken, normalized.
    loss : callable
        (outputs, labels) -> mean over the samples, twice differentiable.
    dense : bool, optional
        Whether the Hessian is computed entry by entry; by default for up to 3000 weights.
    lanczos : Lanczos, optional
        How the Hessian is examined by its products, where it is not computed entry by entry.
    parameters : names, optional
        What can be pruned; by default the weights of linear and convolutional modules, without biases.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """
    dense = None if dense is None else _checks.flag("dense", dense)
    if lanczos is not None:
        _checks.instance("lanczos", lanczos, Lanczos, "a prunekit.limit.Lanczos")
    loss = loss_of(data, loss)
    theta = prunable(model, parameters)
    weights = torch.cat([p.double().flatten().cpu() for p in theta.values()]).numpy()
    pairs = training_pairs(data)
    if dense or (dense is None and weights.size <= _DENSE):
        matrix = hessian_matrix(model, loss, pairs, parameters=list(theta)).cpu().numpy()
        return Landscape.of_matrix(weights, matrix).covering(said(model, theta))
    from prunekit.curvature import Curvature

    operator = Curvature(model, loss, pairs, parameters=list(theta))
    return Landscape.of_operator(weights, operator, lanczos).covering(said(model, theta))


def training_pairs(data: Data | Dataset) -> Data:
    """Return what is trained on: a Dataset's training split, normalized batch by batch; anything else as it is."""
    if isinstance(data, Dataset):
        return TrainingSplit(data)
    batches: Any = door.readable(data)
    listed = batches if isinstance(batches, list | tuple) else ()
    if (
        isinstance(batches, str | bytes | set | type)
        or not hasattr(batches, "__iter__")
        or any(isinstance(each, str | bytes | int | float) for each in listed)
    ):
        raise TypeError(f"data is {_checks.shown(data)}: give pairs (inputs, labels) of tensors, or a Dataset")
    return batches


def pruning_limit(
    model: nn.Module,
    data: Data | Dataset,
    loss: Loss = nn.functional.cross_entropy,
    *,
    epsilon: float | Tolerance | Literal["minibatch"] = "minibatch",
    method: Method = "published",
    negative: Negative = "absolute",
    landscape: Landscape | None = None,
    dense: bool | None = None,
    lanczos: Lanczos | None = None,
    seed: Seed = 0,
    resolution: float = 1e-3,
    zero_share: float | None = None,
    parameters: Names | None = None,
) -> PruningLimit:
    """Return the predicted pruning limit of a trained network.

    Parameters
    ----------
    model, data, loss, dense, lanczos, parameters
        As for `network_landscape`.
    epsilon : float, Tolerance or "minibatch"
        Tolerance on the training loss; "minibatch" is the rule of the authors' program, `minibatch_tolerance` with
        its batches of 128, shuffled by `seed`.
    seed : int
        Where that shuffling comes from, and the starts of Lanczos where `lanczos` is not given.
    method, negative, resolution
        As for `predict`.
    zero_share : float, optional
        For "program", the share of eigenvalues taken for 0; by default that of `program_zero_share`, as in the program.
    landscape : Landscape, optional
        A landscape found before for this network and these data, so that several methods can share it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the landscape has another number of weights than the network.
    """
    if isinstance(epsilon, str):
        if epsilon != "minibatch":
            raise ValueError(f"epsilon is {epsilon!r}: give a number, a Tolerance or 'minibatch'")
        epsilon = minibatch_tolerance(model, training_pairs(data), loss_of(data, loss), seed=seed)
    epsilon = epsilon if isinstance(epsilon, Tolerance) else Tolerance(epsilon)
    _checks.generator(seed)
    _checks.choice("method", method, METHODS)
    _checks.choice("negative", negative, NEGATIVE)
    if zero_share is not None:
        zero_share = _checks.share("zero_share", zero_share)
    if landscape is not None:
        checked(landscape)
    if landscape is None:
        lanczos = Lanczos(seed=seed) if lanczos is None else lanczos
        landscape = network_landscape(model, data, loss, dense=dense, lanczos=lanczos, parameters=parameters)
    weights = sum(p.numel() for p in prunable(model, parameters).values())
    if landscape.dimension != weights:
        raise ValueError(f"landscape has {landscape.dimension} weights: the network has {weights} to prune")
    if zero_share is None:
        zero_share = program_zero_share(model, landscape) if method == "program" else 0.0
    return predict(landscape, epsilon, method=method, negative=negative, resolution=resolution, zero_share=zero_share)


def program_zero_share(model: nn.Module, landscape: Landscape) -> float:
    """Return the share of eigenvalues that the authors' program takes for 0.

    For a network with a convolution, what `authors.sampled_zero_rows` counts in a hundred rows; 0 for others.
    Source: geometric/erratum-17g.
    """
    checked(landscape)
    if not any(isinstance(part, _ConvNd) for part in access.module(model).modules()):
        return 0.0
    rows = min(100, landscape.dimension)
    return authors.sampled_zero_rows(landscape.operator, landscape.weights, rows=rows).share.value
