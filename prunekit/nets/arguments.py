"""What `fit` and `fit_many` are given, checked before the first step: kinds, numbers, shapes, masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.nets import access, door, objectives
from prunekit.nets.config import Config
from prunekit.nets.data import Dataset
from prunekit.nets.several import Several
from prunekit.nets.steps import Named

Masks = Mapping[str, Tensor]


def check_kinds(model: Any, data: Any, config: Any) -> None:
    """Refuse what is no module, no `Dataset` or no `Config`, and a network that cannot be trained as it stands.

    Images alone can be cropped or mirrored.

    Raises
    ------
    TypeError
        For an argument of another kind, or weights that are not float32.
    ValueError
        For a network without trainable parameters, with lazy ones, or with a number that is not finite.
    """
    for name, given, kind in (("model", model, nn.Module), ("data", data, Dataset), ("config", config, Config)):
        if not isinstance(given, kind):
            article = "a torch.nn.Module" if kind is nn.Module else f"a prunekit.nets.{kind.__name__}"
            raise TypeError(f"{name} is a {type(given).__name__}: give {article}")
    check_weights(access.module(model))
    if not data.of_images and (config.crop or config.flip or config.channels_last):
        what = "crop" if config.crop else "flip" if config.flip else "channels_last"
        raise ValueError(f"config has {what}={getattr(config, what)}, and data are no images: leave it out")


def check_weights(model: nn.Module) -> None:
    """Refuse a network without trainable parameters, with lazy ones, in other precision, or that is not finite.

    Raises
    ------
    TypeError, ValueError
        If it is one of these.
    """
    for name, p in model.named_parameters():
        if nn.parameter.is_lazy(p):
            raise ValueError(f"model has a lazy parameter {name!r}: run it once on an image, so that it has a shape")
        if p.dtype != torch.float32:
            raise TypeError(f"model has {name!r} of type {p.dtype}: give float32, model.float()")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("model has no trainable parameter: give one with a parameter that requires a gradient")
    for name, p in model.named_parameters():
        if not bool(torch.isfinite(p).all()):
            raise ValueError(f"model has a number in {name!r} that is not finite: give finite weights")
    for name, t in model.named_buffers():  # masks of attention hold infinities
        if t.is_floating_point() and bool(torch.isnan(t).any()):
            raise ValueError(f"model has a number in {name!r} that is not a number: give finite buffers")


def rehearse(model: nn.Module, data: Dataset, config: Config) -> None:
    """Refuse a network that does not take the images, or batches, it would be trained on; it is left as it was.

    Raises
    ------
    ValueError
        If the forward pass fails, gives other than one score a class, or cannot take the smallest batch.
    """
    few = check_scores(model, data)
    one = tuple(x[:1] for x in few) if isinstance(few, tuple) else (few[:1],)
    with _unmoved(model, data):
        if config.batch_size > 1 and len(data.train_x) % config.batch_size != 1:
            return
        model.train()
        try:
            door.called(model, data.entries)(*one)
        except ValueError as reason:
            raise ValueError(
                f"batch_size is {config.batch_size}, which leaves a batch of one of {len(data.train_x)} {_kind(data)}, "
                f"and the model refuses it ({reason}): give another batch_size"
            ) from reason


def _kind(data: Dataset) -> str:
    return "images" if data.of_images else "samples"


def one_input_with_classes(data: Dataset) -> Dataset:
    """Return data, refusing those of several inputs, and those without one class a sample.

    Raises
    ------
    ValueError
        If they are of these kinds.
    """
    if not data.classifies:
        raise ValueError("data have no class a sample: a margin is the score of the right class less the next")
    if isinstance(data.train_x, Several):
        raise ValueError("data have several inputs: the theorem is about the norm of one, give such data")
    return data


def check_scores(model: nn.Module, data: Dataset) -> Any:
    """Refuse a network that gives other than one score a class, or what the loss takes; return the few inputs tried.

    Raises
    ------
    ValueError
        If the forward pass fails, or its shape is another, or the loss is not finite.
    """
    few = data.normalize(data.train_x[:2])
    view = door.called(model, data.entries)
    with _unmoved(model, data):
        model.eval()
        try:
            scores = view(*few) if isinstance(few, tuple) else view(few)
        except Exception as reason:  # a forward pass may raise anything
            shapes = " and ".join(str(tuple(x.shape)) for x in (few if isinstance(few, tuple) else (few,)))
            raise ValueError(
                f"model fails on {_kind(data)} of shape {shapes} ({reason}): give one that takes them"
            ) from reason
        labels = data.train_y[:2]
        if not data.classifies:
            access.mean_loss(objectives.named(data.loss), scores, labels)
            return few
    scores = objectives.scores(scores)
    shape, n = tuple(scores.shape), len(labels)
    most = int(torch.maximum(data.train_y.max(), data.test_y.max())) + 1
    classes = f"each of {data.classes} classes" if data.classes else f"each class, of which there are {most} or more"
    if len(shape) != 2 or shape[0] != n or (shape[1] != data.classes if data.classes else shape[1] < most):
        raise ValueError(f"model gives {shape} for {n} {_kind(data)}: give one score for {classes}")
    return few


@contextmanager
def _unmoved(model: nn.Module, data: Dataset) -> Iterator[None]:
    """Run forward passes that leave no trace: no gradients, and modes, buffers and generators as they were."""
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    devices = [data.device] if data.device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices), access.evaluating(model):
        try:
            yield
        finally:
            for name, b in model.named_buffers():
                b.copy_(buffers[name])


def check_masks(weights: Masks, masks: Any) -> Named:
    """Return the masks on the device of the weights, having compared names, shapes and types.

    Raises
    ------
    ValueError, TypeError
        For what is no mapping, a mask without its parameter, of another shape, or not boolean.
    """
    if not isinstance(masks, Mapping):
        raise TypeError(f"masks is a {type(masks).__name__}: give a mapping from parameter names to boolean tensors")
    for name, mask in masks.items():
        if name not in weights:
            raise ValueError(f"masks names {name!r}: give names of trainable parameters, {', '.join(weights)}")
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            what = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
            raise TypeError(f"masks[{name!r}] is of type {what}: give a boolean tensor, True where a weight lives")
        access.tensor(f"masks[{name!r}]", mask)
        if mask.shape != weights[name].shape:
            raise ValueError(
                f"masks[{name!r}] has shape {tuple(mask.shape)}: give that of the weights, {tuple(weights[name].shape)}"
            )
    return {name: mask.to(weights[name].device) for name, mask in masks.items()}


def structure(model: nn.Module) -> dict[str, str]:
    """Return what each module of a network is, by name: two networks of one structure and shapes are one function."""
    return {name or "itself": f"{type(part).__name__}({part.extra_repr()})" for name, part in model.named_modules()}
