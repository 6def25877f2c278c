"""Problems whose answers are known: quadratic ones, linear networks, curves drawn by hand."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from prunekit.limit import PruningCurve
from prunekit.nets import Dataset

EPSILON = 0.05
WITH_T = ("published", "cone", "orthogonal")


def problem(D: int = 60, seed: int = 0, flat: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and a positive definite Hessian, eigenvalues from 1e-3 to 10 in a random basis."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((D, D)))[0]
    h = 10.0 ** rng.uniform(-3 * flat - 1, 1, D)
    return rng.laplace(size=D) * 0.3, (Q * h) @ Q.T


def indefinite(D: int = 40, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    w, H = problem(D, seed)
    return w, H - 0.02 * np.eye(D)


def brute_removed(w: np.ndarray, k: int) -> np.ndarray:
    """Return w* - w^k by sorting pairs."""
    kept = sorted(range(w.size), key=lambda i: (-abs(w[i]), i))[:k]
    c = w.copy()
    c[kept] = 0
    return c


def linear_problem(seed: int = 0, n: int = 90, d: int = 12) -> tuple[nn.Module, Dataset]:
    """Return a linear model at the least squares of one-hot labels: its Hessian is constant."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    x = rng.standard_normal((n, d)) + 0.8 * rng.standard_normal((3, d))[labels]
    W = np.linalg.lstsq(x, np.eye(3)[labels], rcond=None)[0].T
    model = nn.Sequential(nn.Flatten(), nn.Linear(d, 3, bias=False))
    with torch.no_grad():
        model.get_parameter("1.weight").copy_(torch.from_numpy(W))
    images = torch.from_numpy(x).float().view(n, 1, 1, d)
    y = torch.from_numpy(labels)
    data = Dataset("linear", images[:, :], y, images[:30], y[:30], 3, torch.zeros(1), torch.ones(1))
    return model, data


def squared(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (outputs - nn.functional.one_hot(labels, 3).to(outputs)).square().sum(1).mean()


def curve(held: list[float], train_loss: list[float] | None = None, n: int = 100) -> PruningCurve:
    """Return a curve with given held-out accuracies: the first images are the right ones."""
    m = len(held)
    correct = np.array([np.arange(n) < round(a * n) for a in held])
    losses = np.zeros(m) if train_loss is None else np.array(train_loss)
    return PruningCurve(np.arange(1, m + 1), m, losses, np.ones(m), np.zeros(m), correct)
