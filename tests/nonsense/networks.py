"""A right call of every public function on networks, or why there is none."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from prunekit import algorithms, curvature, limit, masks, nets, statistics
from prunekit.algorithms import contest
from prunekit.importance import scaled
from prunekit.limit.measured import pruning_curve
from prunekit.masks import scores
from prunekit.stable.layers import tail_report
from tests.nets.helpers import toy
from tests.nonsense.examples import POINTS, RECORD, H, W, X, Y
from tests.nonsense.judge import Example
from tests.nonsense.plots import axes

CALLED = {"it is called when a network is": ("a class", "a function", "its own class")}
PATH = {"a path may be a text": ("text",)}
CROSS = nn.functional.cross_entropy


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 3))


@functools.cache
def data() -> nets.Dataset:
    return toy(n=12)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return data().normalize(data().train_x), data().train_y


def config(**changes: Any) -> nets.Config:
    return nets.Config(**{"epochs": 2, "batch_size": 6, "lr": 0.1} | changes)


def settings() -> dict[str, Any]:
    return {
        "epochs": 4, "batch_size": 6, "optimizer": "sgd", "lr": 0.1, "momentum": 0.5, "betas": (0.9, 0.99), "eps": 1e-8,
        "schedule": "multistep", "warmup": 1, "milestones": (1, 2), "gamma": 0.5,
        "per_batch": False, "l1": 0.1, "l2": 0.1, "penalize": "weights", "crop": 1, "flip": True,
        "interpolation": 0.5, "evaluate_every": 2, "average": 3, "seed": 0, "device": "cpu", "precision": "float32",
        "channels_last": True, "compile": False, "checkpoint_every": 1,
    }  # fmt: skip


def layered() -> nn.Module:
    return nets.models.two_layer(16, 3, 3, seed=0)


@functools.cache
def study() -> limit.study.Study:
    return limit.study.Study.at("smoke", images=(20, 10), epochs=1)


@functools.cache
def fitted() -> nets.Fitted:
    return nets.fit(model(), data(), config(), progress=False)


def mask() -> masks.Mask:
    return masks.Mask.from_scores(scores.magnitude(model()), 0.5)


def masked() -> nn.Module:
    found = model()
    mask().attach(found)
    return found


def diagonal() -> dict[str, torch.Tensor]:
    return {name: p.abs() + 1 for name, p in scores.prunable(model()).items()}


def hessian() -> torch.Tensor:
    return torch.eye(76, dtype=torch.float64)


@functools.cache
def landscape() -> limit.Landscape:
    return limit.Landscape.of_matrix(W, H)


@functools.cache
def probed() -> limit.Landscape:
    return limit.Landscape.of_operator(W, curvature.Matrix(H), limit.Lanczos(steps=3, probes=2))


@functools.cache
def curve() -> limit.PruningCurve:
    return pruning_curve(model(), data(), [0.25, 0.5, 1.0])


@functools.cache
def compared() -> limit.LimitComparison:
    return limit.compare_limits(model(), data(), epsilon=0.05, shares=[0.5, 1.0], methods=("published",), dense=True)


@functools.cache
def pruned() -> algorithms.Pruned:
    return algorithms.global_one_shot(model(), data(), config(), 0.5)


@functools.cache
def network() -> limit.Landscape:
    return limit.network_landscape(model(), data())


@functools.cache
def operator() -> curvature.Curvature:
    return curvature.Curvature(model(), CROSS, pair())


def train(network: nn.Module, held: masks.Mask | None) -> None:
    nets.fit(network, data(), config(epochs=1), progress=False)


def integral(spectrum: Any) -> statistics.Estimate:
    return spectrum.integrate(np.abs)


def enough(measure: Any) -> bool:
    return bool(measure.total > 0)


NAMES = ["1.weight"]
EXPERIMENT = scaled.Scaled(data="digits", images=20, hidden=3, epochs=1)
SICK = ("network with nan", "network with inf")
SHAPES = "random masks do not depend on weights, but on their shapes"
STAY = "weights that stay are left as they are, and the others are 0 whatever they were"
UNASKED = {
    "a matrix is known whole, and nobody asks it": ("answers None", "answers text", "answers nan", "answers a function")
}

NETWORKS: dict[str, Example] = {
    # pictures of results
    "limit.comparison.LimitComparison.plot": Example(lambda: {"self": compared(), "axes": axes()}),
    "limit.measured.PruningCurve.plot": Example(lambda: {"self": curve(), "axes": axes()}),
    "spectrum.Spectrum.plot": Example(lambda: {"self": landscape().spectrum, "axes": axes()}),
    "stable.layers.TailReport.plot": Example(lambda: {"self": tail_report(model(), parameters=NAMES), "axes": axes()}),
    "limit.landscape.Landscape.covering": Example(
        lambda: {"self": limit.Landscape.of_matrix(W, H), "coverage": "4 of 5 parameters"},
        allows={"coverage": {"it is a text": ("text",)}},
    ),
    # nets
    "nets.config.Config": Example(
        settings,
        allows={"interpolation": {"no bound on the loss": ("inf",)}},
        infinite="no bound on the loss: accuracy alone decides",
    ),
    "nets.covered.coverage": Example(
        lambda: {"model": model()},
        allows={
            "model": {"it looks at names and shapes": (*SICK, "network without numbers", "network of nothing")},
        },
    ),
    "nets.data.Dataset": Example(
        lambda: (
            {name: getattr(data(), name) for name in ("name", "train_x", "train_y", "test_x", "test_y", "classes")}
            | {"mean": data().mean.clone(), "std": data().std.clone(), "loss": "cross_entropy", "entries": ("x",)}
        ),
        allows={
            "name": {"it is a text": ("text",)},
            "loss": {
                "it is called when a network is": ("a class", "a function", "its own class"),
                "the network has its own": ("None",),
            },
            "entries": {"they are texts": ("a list of texts",)},
        },
        says={"train_x": {"its rows are counted": ("train_y",)}},
    ),
    "nets.data.Dataset.from_arrays": Example(
        lambda: {
            "x": X,
            "y": Y,
            "test": 0.4,
            "loss": "mse",
            "classes": 0,
            "standardize": True,
            "name": "mine",
            "seed": 0,
        },
        allows={
            "name": {"it is a text": ("text",)},
            "test": {"nothing is held out": ("None",)},
            "loss": {
                "it is called when a network is": ("a class", "a function", "its own class"),
                "the network has its own": ("None",),
            },
        },
        says={"classes": {"labels that are no classes": ("train_y",)}},
    ),
    "nets.data.Dataset.from_loader": Example(
        lambda: {
            "train": pair(),
            "test": 0.5,
            "loss": "cross_entropy",
            "classes": 3,
            "standardize": False,
            "name": "mine",
            "seed": 0,
        },
        allows={
            "name": {"it is a text": ("text",)},
            "loss": CALLED,
        },
        says={"train": {"it becomes a split": ("train_x",)}},
    ),
    "nets.data.Dataset.normalize": Example(lambda: {"self": data(), "images": data().train_x}),
    "nets.data.Dataset.to": Example(lambda: {"self": data(), "device": "cpu"}),
    "nets.loading.load": Example(
        lambda: {"name": "digits", "root": None, "subset": (20, 10), "seed": 0, "download": False},
        allows={"root": PATH},
    ),
    "nets.training.evaluate": Example(lambda: {"model": model(), "data": data(), "train": True}),
    "nets.training.fit": Example(
        lambda: {"model": model(), "data": data(), "config": config(), "masks": dict(mask()), "progress": False},
        allows={"resume": PATH},
    ),
    "nets.family.fit_many": Example(
        lambda: {"models": [model(), model()], "data": data(), "configs": config(), "masks": None, "progress": False},
        says={
            "models": {"one of them is at fault": ("model",)},
            "configs": {"one of them is at fault": ("config",)},
        },
    ),
    "nets.models.count": Example(
        lambda: {"model": model(), "buffers": True},
        allows={"model": {"weights are counted, and none are none": (*SICK, "network of nothing")}},
    ),
    "nets.models.initialize": Example(
        lambda: {"model": model(), "seed": 0},
        allows={"model": {"all weights are drawn anew, if there are any": (*SICK, "network of nothing")}},
    ),
    "nets.models.two_layer": Example(lambda: {"inputs": 4, "hidden": 3, "classes": 2, "scale": 1.0, "seed": 0}),
    "nets.models.fcn": Example(lambda: {"inputs": 4, "hidden": (3, 2), "classes": 2, "bias": True, "seed": 0}),
    "nets.models.fc5": Example(lambda: {"inputs": 4, "classes": 2, "seed": 0}, slow=True),
    "nets.models.fc12": Example(lambda: {"inputs": 4, "classes": 2, "seed": 0}, slow=True),
    "nets.models.cnn": Example(lambda: {"shape": (1, 4, 4), "plan": (2, "M", 3), "classes": 2, "seed": 0}),
    "nets.models.vgg11": Example(lambda: {"shape": (1, 32, 32), "classes": 2, "seed": 0}, slow=True),
    "nets.models.resnet20": Example(
        lambda: {"width": 2, "classes": 2, "channels": 1, "shortcut": "projection", "bias": True, "seed": 0}
    ),
    **{
        f"nets.models.{name}": Example(lambda: {"classes": 2, "seed": 0}, slow=True)
        for name in ("vgg16_bn", "resnet18", "resnet50")
    },
    "nets.models.alexnet": Example(lambda: {"classes": 2, "enlarged": False, "seed": 0}, slow=True),
    # scores, masks
    "nets.access.prunable": Example(
        lambda: {"model": model(), "parameters": NAMES},
        allows={"model": {"it finds weights, and computes nothing": SICK}},
        hands_back="they are the model's own weights",
    ),
    "masks.scores.magnitude": Example(lambda: {"model": model(), "parameters": NAMES}),
    "masks.scores.hessian": Example(lambda: {"model": model(), "diagonal": diagonal(), "parameters": NAMES}),
    "masks.scores.random": Example(
        lambda: {"model": model(), "seed": 0, "parameters": NAMES},
        allows={"model": {"random scores do not depend on weights": SICK}},
    ),
    "masks.mask.Mask": Example(lambda: {"tensors": dict(mask())}),
    "masks.mask.Mask.from_scores": Example(
        lambda: {"scores": scores.magnitude(model()), "keep": 0.5, "scope": "layer"},
    ),
    **{
        f"masks.mask.Mask.{name}": Example(
            lambda: {"self": mask(), "model": model()}, allows={"model": {STAY: SICK}}, hands_back=own
        )
        for name, own in (
            ("apply_", ""),
            ("attach", ""),
            ("coverage", ""),
            ("covered", "they are the model's own weights"),
        )
    },
    "masks.mask.Mask.bake": Example(lambda: {"self": mask(), "model": masked()}, allows={"model": {STAY: SICK}}),
    "masks.mask.Mask.save": Example(lambda: {"self": mask(), "path": _folder() / "mask.json"}),
    "masks.mask.Mask.load": Example(lambda: {"path": _saved()}),
    "masks.retraining.train_prune_retrain": Example(
        lambda: {
            "model": model(),
            "train": train,
            "score": scores.magnitude,
            "keep": 0.5,
            "scope": "global",
            "rewind": "trained",
            "initialize": lambda model: None,
            "seed": 0,
        },
        allows={
            name: {
                "nobody reads what it answers": ("answers None", "answers text", "answers nan", "answers a function")
            }
            for name in ("train", "initialize")
        },
    ),
    "masks.surgery.optimal_brain_surgeon": Example(
        lambda: {"model": model(), "hessian": hessian(), "keep": 0.5, "damping": 0.1},
    ),
    "masks.surgery.Surgery.apply_": Example(
        lambda: {"self": masks.optimal_brain_surgeon(model(), hessian(), 0.5), "model": model()},
        allows={"model": {"all weights are replaced": SICK}},
    ),
    # importance
    "curvature.entries.hessian_diagonal": Example(
        lambda: {
            "model": model(),
            "loss": CROSS,
            "data": pair(),
            "method": "hutchinson",
            "parameters": NAMES,
            "probes": 2,
            "seed": 0,
        },
    ),
    "curvature.entries.hessian_matrix": Example(
        lambda: {"model": model(), "loss": CROSS, "data": pair(), "parameters": ["3.bias"]}
    ),
    "importance.measures.hessian": Example(lambda: {"model": model(), "diagonal": diagonal(), "where": NAMES}),
    "importance.measures.magnitude": Example(lambda: {"model": model(), "where": NAMES}),
    "importance.measures.natural": Example(
        lambda: {"model": model(), "loss": CROSS, "data": pair(), "where": NAMES, "reference": 0.0}
    ),
    "importance.measures.saliencies": Example(lambda: {"model": model(), "diagonal": diagonal()}),
    "importance.two_layer.two_layer_diagonal": Example(
        lambda: {
            "W": torch.from_numpy(X),
            "V": torch.from_numpy(X.T.copy()),
            "X": torch.from_numpy(POINTS),
            "chunk": 2,
        },
    ),
    "stable.trained.train_and_read": Example(
        lambda: {"models": [model()], "data": data(), "configs": [config(interpolation=9.0, average=2)], "seed": 0},
        slow=True,
    ),
    "importance.scaled.Scaled": Example(
        lambda: {"data": "digits", "images": 20, "hidden": 3, "epochs": 1, "seed": 0},
        allows={
            "data": {"data are looked for when they are loaded": ("text",)},
            "images": {"None is all of them": ("None",)},
        },
    ),
    "importance.scaled.Scaled.key": Example(lambda: {"self": EXPERIMENT, "repetition": 1}),
    "importance.scaled.Scaled.load": Example(lambda: {"self": EXPERIMENT, "repetition": 1}),
    "importance.scaled.Scaled.networks": Example(
        lambda: {"self": EXPERIMENT, "data": data(), "repetition": 1, "scales": [1.0, 2.0]},
    ),
    "importance.scaled.Scaled.train": Example(
        lambda: {
            "self": EXPERIMENT,
            "networks": [layered(), layered()],
            "scales": [1.0, 2.0],
            "data": data(),
            "order": 0,
            "masks": None,
        },
        says={
            "networks": {"they are what fit_many calls models": ("models", "model")},
            "order": {"it is the seed of the batches": ("seed",)},
            "scales": {"each gives a configuration": ("configs",)},
        },
    ),
    "importance.scaled.layer_diagonal": Example(
        lambda: {"model": layered(), "data": data()}, says={"model": {"they are its weights": ("W",)}}
    ),
    "importance.scaled.layer_importances": Example(
        lambda: {"model": layered(), "diagonal": scaled.layer_diagonal(layered(), data())}
    ),
    "importance.scaled.layer_moves": Example(
        lambda: {
            "model": layered(),
            "before": nets.access.state(layered()),
            "first": scaled.layer_diagonal(layered(), data()),
            "last": scaled.layer_diagonal(layered(), data()),
        },
        says={
            "before": {"it holds the weights": ("weights",)},
            "first": {"it is a diagonal": ("diagonal",)},
            "last": {"it is a diagonal": ("diagonal",)},
        },
    ),
    "importance.scaled.natural_importances": Example(
        lambda: {"model": layered(), "before": nets.access.state(layered()), "data": data()},
        says={"before": {"it is what weights are put back to": ("reference", "loss")}},
    ),
    "masks.scaled.Plan.of": Example(
        lambda: {"lambdas": [0.5, 1.0, 2.0], "retrained": None, "fractions": [0.2, 0.5], "equal_sizes": 1.0},
        allows={"retrained": {"None is all within the range": ("None",)}},
    ),
    "masks.scaled.pruned": Example(
        lambda: {
            "model": layered(),
            "diagonal": scaled.layer_diagonal(layered(), data()),
            "rule": "Hessian",
            "keep": 0.5,
            "scope": "layer",
        }
    ),
    "masks.scaled.train_again": Example(
        lambda: {
            "setting": EXPERIMENT,
            "data": data(),
            "repetition": 0,
            "trained": {1.0: (layered(), scaled.layer_diagonal(layered(), data()))},
            "cases": [(1.0, "global", "Hessian", 0.5)],
        }
    ),
    "masks.sweeps.pruned_weights": Example(
        lambda: {"model": model(), "shares": [0.5, 1.0], "method": "layer", "fill": "median", "parameters": NAMES}
    ),
    "masks.sweeps.pruned_accuracy": Example(
        lambda: {
            "model": model(),
            "data": data(),
            "shares": [0.5, 1.0],
            "method": "layer",
            "fill": "median",
            "parameters": NAMES,
        },
    ),
    "stable.bound.network_margins": Example(lambda: {"model": model(), "data": data()}),
    "stable.layers.layer_weights": Example(lambda: {"model": model(), "parameters": NAMES}),
    "stable.layers.tail_report": Example(
        lambda: {"model": model(), "seed": 0, "parameters": NAMES, "transpose_last": True}
    ),
    # curvature
    "curvature.operator.Curvature": Example(
        lambda: {
            "model": model(),
            "loss": CROSS,
            "data": pair(),
            "kind": "hessian",
            "parameters": NAMES,
            "batch_size": 6,
            "double": True,
        },
    ),
    "curvature.operator.Curvature.of_dataset": Example(
        lambda: {"model": model(), "data": data(), "loss": CROSS, "batch_size": 6}
    ),
    "curvature.operator.Curvature.product": Example(lambda: {"self": operator(), "v": np.ones(operator().dimension)}),
    "curvature.operator.Curvature.unflatten": Example(
        lambda: {"self": operator(), "vector": np.ones(operator().dimension)}
    ),
    "curvature.operator.Curvature.vector": Example(
        lambda: {"self": operator(), "values": {name: p.detach() for name, p in model().named_parameters()}}
    ),
    "limit.authors.tolerance": Example(
        lambda: {"model": model(), "loss": CROSS, "data": pair(), "batch_size": 4, "seed": 0}
    ),
    # limit
    "limit.landscape.Landscape.of_matrix": Example(lambda: {"weights": W, "hessian": H}),
    "limit.lanczos.Lanczos": Example(
        lambda: {
            "steps": 3,
            "probes": 2,
            "accuracy": 0.5,
            "budget": 20,
            "direction_steps": 3,
            "seed": 0,
            "storage": "float32",
        },
    ),
    "limit.landscape.Landscape.of_operator": Example(
        lambda: {
            "weights": W,
            "operator": curvature.Matrix(H),
            "lanczos": limit.Lanczos(steps=3, probes=2, budget=20, direction_steps=3),
        },
    ),
    "limit.landscape.Landscape.along": Example(
        lambda: {"self": landscape(), "c": W.copy(), "k": 2, "enough": enough},
        allows={"enough": UNASKED},
        says={"c": {"they are coordinates in the eigenbasis": ("coordinates",)}},
    ),
    "limit.landscape.Landscape.block_of": Example(
        lambda: {"self": landscape(), "removed": np.array([0, 2]), "of": integral}, allows={"of": UNASKED}
    ),
    "limit.landscape.Landscape.block": Example(
        lambda: {"self": landscape(), "k": 2, "of": integral}, allows={"of": UNASKED}
    ),
    "limit.landscape.Landscape.direction": Example(
        lambda: {"self": landscape(), "k": 2, "enough": enough}, allows={"enough": UNASKED}
    ),
    "limit.landscape.Landscape.distance": Example(lambda: {"self": landscape(), "k": 2}),
    "limit.landscape.Landscape.refine": Example(lambda: {"self": landscape(), "of": integral}, allows={"of": UNASKED}),
    "limit.landscape.Landscape.good": Example(lambda: {"self": landscape(), "found": statistics.Estimate(0.5, 0.1)}),
    "limit.landscape.Landscape.probed": Example(lambda: {"self": probed(), "steps": 3, "seed": 0}),
    "limit.landscape.Landscape.read": Example(lambda: {"self": landscape(), "of": integral}),
    "limit.landscape.Landscape.read_block": Example(lambda: {"self": landscape(), "k": 2, "of": integral}),
    "limit.landscape.Landscape.removed": Example(lambda: {"self": landscape(), "k": 2}),
    "limit.landscape.Landscape.restricted": Example(
        lambda: {"self": landscape(), "kept": np.array([True, False, True, True])}
    ),
    "limit.landscape.Landscape.scaled": Example(lambda: {"self": landscape(), "weights": 2.0, "curvature": 0.5}),
    "limit.landscape.Landscape.with_weights": Example(lambda: {"self": landscape(), "weights": W[::-1].copy()}),
    "limit.landscape.Landscape.without_negative": Example(lambda: {"self": landscape(), "negative": "absolute"}),
    "limit.negative.treated": Example(lambda: {"measure": landscape().spectrum.probes[0], "negative": "absolute"}),
    "limit.comparison.compare_limits": Example(
        lambda: {
            "model": model(),
            "data": data(),
            "loss": CROSS,
            "epsilon": 0.05,
            "methods": ("published",),
            "shares": [0.25, 0.5, 1.0],
            "drop": 0.01,
            "zero_share": 0.1,
            "resolution": 0.1,
            "program_steps": 20,
            "seed": 0,
        },
        says={"curvature_data": {"it is data in another place": ("data",)}},
        slow=True,
    ),
    "limit.measured.PruningCurve.share_where_lost": Example(lambda: {"self": curve(), "lost": 0.5, "chance": 0.3}),
    "limit.measured.PruningCurve.limit": Example(
        lambda: {
            "self": curve(),
            "rule": "training loss",
            "drop": 0.01,
            "epsilon": 0.05,
            "repetitions": 20,
            "seed": 0,
        },
    ),
    "limit.measured.gain_at_limit": Example(lambda: {"curve": curve(), "seed": 0}),
    "limit.measured.halves": Example(lambda: {"data": data(), "seed": 0}),
    "limit.measured.measured_limit": Example(
        lambda: {
            "model": model(),
            "data": data(),
            "rule": "training loss",
            "drop": 0.01,
            "epsilon": 0.05,
            "shares": [0.25, 0.5, 1.0],
            "loss": CROSS,
            "repetitions": 20,
            "seed": 0,
        },
    ),
    "limit.measured.pruning_curve": Example(
        lambda: {"model": model(), "data": data(), "shares": [0.25, 0.5, 1.0], "loss": CROSS}
    ),
    "limit.networks.network_landscape": Example(
        lambda: {
            "model": model(),
            "data": data(),
            "loss": CROSS,
            "dense": False,
            "lanczos": limit.Lanczos(steps=3, probes=2, budget=20, direction_steps=3),
            "parameters": NAMES,
        },
    ),
    "limit.networks.program_zero_share": Example(
        lambda: {"model": model(), "landscape": network()},
        allows={"model": {"it is asked for convolutions alone": (*SICK, "network of nothing")}},
    ),
    "limit.networks.pruning_limit": Example(
        lambda: {
            "model": model(),
            "data": data(),
            "loss": CROSS,
            "epsilon": 0.05,
            "method": "published",
            "negative": "absolute",
            "dense": False,
            "lanczos": limit.Lanczos(steps=3, probes=2, budget=20, direction_steps=3),
            "seed": 0,
            "resolution": 0.1,
            "zero_share": 0.1,
        },
    ),
    "limit.networks.training_pairs": Example(lambda: {"data": data()}),
    "limit.prediction.predict": Example(
        lambda: {
            "landscape": landscape(),
            "epsilon": 0.05,
            "method": "published",
            "negative": "absolute",
            "resolution": 0.1,
            "zero_share": 0.1,
            "program_steps": 20,
        },
    ),
    "limit.prediction.threshold": Example(
        lambda: {"landscape": landscape(), "epsilon": 0.05, "k": 2, "method": "cone", "negative": "absolute"}
    ),
    "limit.authors.program_limit": Example(
        lambda: {"landscape": landscape(), "epsilon": 0.05, "zero_share": 0.1, "steps": 20, "seed": 0}
    ),
    "limit.costs.one_shot_costs": Example(lambda: {"landscape": landscape(), "negative": "absolute"}),
    "limit.costs.reoptimized_costs": Example(lambda: {"landscape": landscape(), "negative": "absolute"}),
    "limit.known.KnownNetwork.train": Example(
        lambda: {"kind": "a network", "model": model(), "data": data(), "config": config()},
        allows={"kind": {"it is a text": ("text",)}},
        slow=True,
    ),
    "limit.study.Study.at": Example(
        lambda: {
            "scale": "smoke",
            "network": "small",
            "data": "default",
            "images": (20, 10),
            "epochs": 1,
            "lr": 0.1,
            "reach": (1.0,),
            "seeds": 1,
            "seed": 0,
            "device": "cpu",
        },
        says={"data": {"it is the name of a set to load": ("name",)}},
    ),
    "limit.study.Study.config": Example(lambda: {"self": study(), "name": "MLP", "reach": 1.0, "seed": 0}),
    "limit.study.Study.lanczos": Example(
        lambda: {"self": study(), "seed": 0, "steps": 4, "probes": 2, "direction_steps": 3}
    ),
    "limit.study.Study.learned": Example(lambda: {"self": study(), "fitted": fitted()}),
    "limit.study.Study.train": Example(
        lambda: {"self": study(), "name": "MLP", "cases": [(1.0, 0)]},
        slow=True,
    ),
    "limit.tasks.PaperNetwork.config": Example(
        lambda: {
            "self": limit.PAPER["fc5"],
            "epochs": 20,
            "l1": 0.1,
            "lr": 0.1,
            "augment": True,
            "per_batch": True,
            "seed": 0,
            "device": "cpu",
        },
    ),
    "limit.tasks.l1_path": Example(lambda: {"config": config(), "images": 100}),
    "limit.tolerance.Tolerance": Example(
        lambda: {"value": 0.1, "rule": "a rule", "loss": 0.5},
        allows={"rule": {"it is a text": ("text",)}},
        says={"value": {"a tolerance is called epsilon wherever it is given": ("epsilon",)}},
    ),
    "limit.tolerance.minibatch_tolerance": Example(
        lambda: {"model": model(), "data": pair(), "loss": CROSS, "batch_size": 4, "shuffles": 2, "seed": 0}
    ),
    "limit.tolerance.relative_tolerance": Example(
        lambda: {"model": model(), "data": pair(), "loss": CROSS, "share": 0.1}
    ),
    "limit.upper.upper_gap": Example(
        lambda: {"landscape": landscape(), "epsilon": 0.05, "k": 2, "negative": "absolute"}
    ),
    "limit.upper.upper_map": Example(
        lambda: {"landscape": landscape(), "epsilon": 0.05, "k": 2, "negative": "absolute"}
    ),
    # algorithms
    "algorithms.at_random.random_mask": Example(
        lambda: {"model": model(), "keep": 0.5, "seed": 0, "parameters": NAMES}, allows={"model": {SHAPES: SICK}}
    ),
    "algorithms.at_random.smart_ratio_counts": Example(
        lambda: {"model": model(), "keep": 0.5, "last": 0.3, "steep": False}, allows={"model": {SHAPES: SICK}}
    ),
    "algorithms.at_random.smart_ratio_mask": Example(
        lambda: {"model": model(), "keep": 0.5, "seed": 0, "last": 0.3, "steep": False},
        allows={"model": {SHAPES: SICK}},
    ),
    "algorithms.at_random.train_masked": Example(
        lambda: {"model": model(), "data": data(), "config": config(), "mask": mask(), "name": "masked"},
        allows={
            "name": {"it is a text": ("text",)},
            "resume": PATH,
            "model": {"the mask removes that weight, which is 0 then": SICK},
        },
    ),
    "algorithms.contest.run_algorithm": Example(
        lambda: {
            "algorithm": "random",
            "build": model,
            "data": data(),
            "config": config(),
            "keep": 0.5,
            "knobs": contest.Knobs(l1=0.1, score_rate=0.1, score_decay=0.1),
        },
    ),
    "algorithms.contest.shortened": Example(lambda: {"config": config(), "epochs": 1}),
    "algorithms.gems.rare_gems": Example(
        lambda: {
            "model": model(),
            "data": data(),
            "search": config(),
            "fine_tune": config(),
            "keep": 0.5,
            "period": 1,
            "seed": 0,
            "signed_constant": True,
            "parameters": NAMES,
        },
        allows={"resume": PATH},
    ),
    "algorithms.lottery.iterative_magnitude_pruning": Example(
        lambda: {
            "model": model(),
            "data": data(),
            "config": config(),
            "keep": 0.5,
            "rounds": 2,
            "rewind": 1,
            "parameters": NAMES,
        },
        allows={"resume": PATH},
    ),
    "algorithms.one_shot.global_one_shot": Example(
        lambda: {
            "model": model(),
            "data": data(),
            "config": config(),
            "keep": 0.5,
            "fine_tune": config(),
            "parameters": NAMES,
        },
        allows={"resume": PATH},
    ),
    "algorithms.table_3.build": Example(lambda: {"network": "FC5", "data": data(), "seed": 0}),
    "algorithms.table_3.share_kept": Example(
        lambda: {"network": "FC5", "data": "digits"},
        allows={"data": {"a set without a row counts as FC5's": ("text",)}},
    ),
    "algorithms.table_3.training": Example(
        lambda: {"network": "FC5", "data": "digits", "epochs": 8, "seed": 0, "device": "cpu"},
        allows={"data": {"it decides the augmentation alone": ("text",)}},
    ),
    "algorithms.schedules.cut": Example(lambda: {"scores": scores.magnitude(model()), "keep": 20, "within": mask()}),
    "algorithms.schedules.kept_by_round": Example(
        lambda: {"total": 100, "keep": 0.5, "rounds": 3},
        says={"total": {"of few weights a share may keep none": ("keep",)}},
    ),
    "algorithms.thresholds.cut_thresholds": Example(
        lambda: {
            "result": pruned(),
            "data": data(),
            "loss": CROSS,
            "shares": [0.5],
            "negative": "absolute",
            "dense": False,
            "lanczos": limit.Lanczos(steps=3, probes=2),
            "batch_size": 4,
            "shuffles": 1,
            "seed": 0,
        },
        slow=True,
    ),
}


@functools.cache
def _folder() -> Path:
    """Return a folder of this process alone, which goes with it."""
    found = tempfile.TemporaryDirectory(prefix="prunekit-nonsense-")
    atexit.register(found.cleanup)
    return Path(found.name)


def _saved() -> Path:
    path = _folder() / "saved.json"
    if not path.exists():
        mask().save(path)
    return path


EXEMPT = {
    "algorithms.table_3.Printed": RECORD,
    "nets.covered.Coverage": RECORD,
    "limit.known.KnownNetwork": RECORD,
    "limit.study.Extent": RECORD,
    "limit.study.Study": RECORD,
    "stable.trained.Trained": RECORD,
    "algorithms.contest.Knobs": "its numbers are judged by the algorithms that take them",
    "algorithms.contest.Outcome": RECORD,
    "algorithms.results.Pruned": RECORD,
    "algorithms.results.Stage": RECORD,
    "algorithms.thresholds.CutThreshold": RECORD,
    "curvature.entries.Diagonal": RECORD,
    "importance.two_layer.TwoLayerDiagonal": RECORD,
    "limit.comparison.LimitComparison": RECORD,
    "limit.landscape.Landscape": "made by its of_matrix and of_operator, which judge: the source is no public type",
    "limit.landscape.Landscape.remembered": "the landscape's own memory: a name and whatever is found under it",
    "limit.measured.MeasuredLimit": RECORD,
    "limit.measured.PruningCurve": RECORD,
    "limit.prediction.PruningLimit": RECORD,
    "limit.tasks.PaperNetwork": RECORD,
    "masks.retraining.Retrained": RECORD,
    "masks.scaled.Plan": "made by its `of`, which judges",
    "masks.surgery.Surgery": RECORD,
    "nets.training.Fitted": RECORD,
    "nets.training.History": RECORD,
    "nets.training.History.without": "takes names of columns; those that are not there are left out already",
}
