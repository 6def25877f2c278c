"""Small trained networks of several kinds, made once."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import prunekit
from prunekit.diagnosis.report import Report

F = nn.functional


@cache
def table() -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs (600, 12), numbers (600, 3) that depend on them linearly but for noise, and classes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 12, generator=generator)
    y = x @ torch.randn(12, 3, generator=generator) + 0.3 * torch.randn(600, 3, generator=generator)
    return x, y, y.argmax(dim=1)


def trained(model: nn.Module, x: Any, y: Tensor, loss: Any, steps: int = 150, rate: float = 0.01) -> nn.Module:
    """Train a network by Adam on all samples at once."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    return model


def perceptron(seed: int = 0, widths: tuple[int, ...] = (24, 16)) -> nn.Module:
    """Return a network of rectifiers that classifies the table, a copy that a test may change."""
    return copy.deepcopy(_perceptron(seed, widths))


@cache
def _perceptron(seed: int, widths: tuple[int, ...]) -> nn.Module:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    before = 12
    for width in widths:
        layers += [nn.Linear(before, width), nn.ReLU()]
        before = width
    x, _, labels = table()
    return trained(nn.Sequential(*layers, nn.Linear(before, 3)), x, labels, F.cross_entropy)


@cache
def report() -> Report:
    """Return the whole report on the network of rectifiers."""
    x, _, labels = table()
    return prunekit.diagnose(perceptron(), (x, labels), budget=None, seed=0)
