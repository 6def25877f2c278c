"""Networks on the digits whose whole Hessian is known: what spectra and limits estimated by products are held to.

The method was tuned on six of them, `NAMES`, and the made-up `SHAPES`; nothing was tuned on those of `HELD_OUT`, which
have other widths, seeds, penalties, rates, and half of the images.

Each is trained here, its Hessian taken entry by entry in double precision and diagonalized; the results are kept in a
folder of the system's temporary one, since the largest takes minutes. Besides, spectra of other shapes, made up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from prunekit._checks import Floats

FOLDER = Path(tempfile.gettempdir()) / "prunekit-calibration"
_L1 = 1e-4


@dataclass(frozen=True)
class Network:
    """A trained network and its Hessian.

    Attributes
    ----------
    name : str
        Kind, number of weights, penalty.
    weights : (D,) array
        w*.
    epsilon : float
        ε, the standard deviation of the minibatches' losses.
    values, vectors : (D,) and (D, D) arrays
        Eigenvalues, increasing, and eigenvectors in columns.
    """

    name: str
    weights: Floats
    epsilon: float
    values: Floats
    vectors: Floats


def _builders() -> dict[str, tuple[Callable[[], Any], float, float]]:
    from prunekit.nets.models import cnn, fcn

    return {
        "MLP-888-l1": (lambda: fcn(64, [12], 10, seed=0), _L1, 0.05),
        "MLP-1184": (lambda: fcn(64, [16], 10, seed=1), 0.0, 0.05),
        "CNN-1416-l1": (lambda: cnn((1, 8, 8), [8, "M", 12, "M"], 10, seed=2), _L1, 0.01),
        "MLP-2080": (lambda: fcn(64, [24, 16], 10, seed=3), 0.0, 0.05),
        "MLP-3108-l1": (lambda: fcn(64, [42], 10, seed=4), _L1, 0.05),
        "MLP-5032-l1": (lambda: fcn(64, [68], 10, seed=5), _L1, 0.05),
        "held-out-MLP-2220-l1": (lambda: fcn(64, [30], 10, seed=17), 3e-5, 0.02),
        "held-out-CNN-1370": (lambda: cnn((1, 8, 8), [6, "M", 14, "M"], 10, seed=18), 0.0, 0.02),
    }


NAMES = ("MLP-888-l1", "MLP-1184", "CNN-1416-l1", "MLP-2080", "MLP-3108-l1", "MLP-5032-l1")
HELD_OUT = ("held-out-MLP-2220-l1", "held-out-CNN-1370")
SHAPES = ("power law", "shifted", "cluster", "blocks")


def made_up(shape: str, D: int = 1200, seed: int = 0) -> Network:
    """Return a network's like of one of the `SHAPES`.

    "power law" has ten outliers, a power law of both signs, a quarter of zeros. "shifted" has all of them moved by 1,
    as weight decay does, so that the bulk is narrow beside its distance from 0. "cluster" has half of them within one
    percent of 1. "blocks" has ten narrow clusters from 0.1 to 10, as layers with a scale each, and zeros.
    """
    rng = np.random.default_rng(seed)
    bulk = rng.choice([-1.0, 1.0], D - 10 - D // 4, p=[0.2, 0.8]) * 10 ** rng.uniform(-6, -1, D - 10 - D // 4)
    values = np.concatenate([np.geomspace(0.3, 8, 10), bulk, np.zeros(D // 4)])
    if shape == "shifted":
        values += 1
    elif shape == "cluster":
        values[10 : 10 + D // 2] = rng.uniform(0.995, 1.005, D // 2)
    elif shape == "blocks":
        centers = np.repeat(np.geomspace(0.1, 10, 10), D * 3 // 40)
        values = np.concatenate([centers * (1 + 1e-3 * rng.standard_normal(centers.size)), np.zeros(D - centers.size)])
    elif shape != "power law":
        raise ValueError(f"shape is {shape!r}: give one of {', '.join(map(repr, SHAPES))}")
    return Network(shape, rng.laplace(size=D), 0.05, np.sort(values), np.linalg.qr(rng.standard_normal((D, D)))[0])


def network(name: str, folder: Path = FOLDER) -> Network:
    """Return one of the networks, trained and diagonalized now or read from the folder, or one that is made up."""
    if name in SHAPES:
        return made_up(name)
    path = folder / f"{name}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **_made(name))
        partial.rename(path)
    with np.load(path) as found:
        return Network(name, found["weights"], float(found["epsilon"]), found["values"], found["vectors"])


def _made(name: str) -> dict[str, Any]:
    """Train a network and diagonalize its Hessian."""
    import torch
    from torch import nn

    from prunekit.importance import hessian_matrix
    from prunekit.limit import minibatch_tolerance
    from prunekit.limit.networks import training_pairs
    from prunekit.nets import Config, fit, load
    from prunekit.nets.access import prunable

    build, l1, rate = _builders()[name]
    model, data = build(), load("digits")
    if name in HELD_OUT:
        half = len(data.train_y) // 2
        data = replace(data, train_x=data.train_x[half:], train_y=data.train_y[half:])
    fit(
        model, data, Config(epochs=120, batch_size=32, lr=rate, momentum=0.9, l1=l1, evaluate_every=120), progress=False
    )
    pairs = training_pairs(data)
    theta = prunable(model, None)
    found = hessian_matrix(model, nn.functional.cross_entropy, pairs, parameters=list(theta)).double().cpu().numpy()
    values, vectors = np.linalg.eigh((found + found.T) / 2)
    weights = torch.cat([p.double().flatten() for p in theta.values()]).detach().numpy()
    epsilon = minibatch_tolerance(model, pairs, nn.functional.cross_entropy, seed=0).value
    return {"weights": weights, "epsilon": epsilon, "values": values, "vectors": vectors}
