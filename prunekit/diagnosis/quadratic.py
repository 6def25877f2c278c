"""The quadratic model at the trained weights: what it says a cut costs, from a few samples in four parts.

Cutting moves the weights by -c, and the loss by ½ cᵀHc - gᵀc. The papers take a minimum, where the gradient g is 0, so
that the prediction is ½ cᵀHc; how large gᵀc is beside it is reported. The samples are cut into four parts with a
Hessian each: their mean is the prediction, their spread its error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from prunekit._checks import Floats
from prunekit.curvature import Curvature
from prunekit.diagnosis.subject import Batch, Subject, first, is_cut, part, samples

PARTS = 4


@dataclass(eq=False)
class Quadratic:
    """The quadratic model of a network's loss.

    Attributes
    ----------
    subject : Subject
        The network.
    batches : list of batches
        The samples that it is made from.
    """

    subject: Subject
    batches: list[Batch]
    products: int = 0
    _operators: list[tuple[Curvature, float]] = field(default_factory=list)
    _slopes: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, subject: Subject, count: int) -> Quadratic:
        """Return the quadratic model from so many of the known samples."""
        batches = first(subject.known, count)
        model = cls(subject, batches)
        for some in parts(batches):
            operator = Curvature(subject.model, subject.loss.given, some, parameters=subject.names)
            model._operators.append((operator, sum(subject.loss.weight(labels) for _, labels in some)))
            model._slopes.append(_slope(subject, some))
        return model

    @property
    def count(self) -> int:
        """Number of samples."""
        return samples(self.batches)

    @property
    def weights(self) -> Floats:
        """With what weight each part counts, summing to 1."""
        each = np.array([weight for _, weight in self._operators])
        return each / each.sum()

    def rises(self, cut: Mapping[str, Tensor]) -> Floats:
        """Return ½ cᵀHc of each part (G,), for what is cut away by parameter name; what is not named stays."""
        c = self.flat(cut)
        self.products += 1
        return np.array([float(c.double() @ operator.product(c).double()) / 2 for operator, _ in self._operators])

    def slopes(self, cut: Mapping[str, Tensor]) -> Floats:
        """Return -gᵀc of each part (G,): what the quadratic model of a network at no minimum adds."""
        c = self.flat(cut)
        return np.array([-float(c.double() @ g.double()) for g in self._slopes])

    def flat(self, cut: Mapping[str, Tensor]) -> Tensor:
        """Return c as a vector."""
        zeros = self.subject.weights
        return torch.cat([(cut[name] if name in cut else torch.zeros_like(w)).flatten() for name, w in zeros.items()])

    def mean(self, parts: Floats) -> float:
        """Return the mean over the parts."""
        return float(self.weights @ parts)


def parts(batches: list[Batch]) -> list[list[Batch]]:
    """Return samples in as many parts of one size as can be."""
    whole = samples(batches)
    if not all(is_cut(batch) for batch in batches):
        sides: list[list[Batch]] = [batches[k::PARTS] for k in range(PARTS)]
        return [side for side in sides if side]
    size = max(1, whole // PARTS)
    parts: list[list[Batch]] = [[]]
    for batch in batches:
        at, n = 0, len(batch[1])
        while at < n:
            if samples(parts[-1]) >= size and len(parts) < PARTS:
                parts.append([])
            room = n - at if len(parts) == PARTS else size - samples(parts[-1])
            parts[-1].append(part(batch, torch.arange(at, min(n, at + room))))
            at += room
    return parts


def _slope(subject: Subject, batches: list[Batch]) -> Tensor:
    """Return the gradient of the mean loss (D,) on some samples."""
    parameters = [dict(subject.model.named_parameters())[name] for name in subject.names]
    total = [torch.zeros_like(p) for p in parameters]
    weights = 0.0
    for p in parameters:
        p.requires_grad_(True)
    try:
        with torch.enable_grad():
            for inputs, labels in batches:
                weight = subject.loss.weight(labels)
                value = subject.loss(subject.model(*inputs), labels)
                slopes = torch.autograd.grad(value, parameters, allow_unused=True)
                for summed, slope in zip(total, slopes, strict=True):
                    if slope is not None:
                        summed.add_(slope, alpha=weight)
                weights += weight
    finally:
        for p in parameters:
            p.requires_grad_(False)
    return torch.cat([(t / weights).flatten() for t in total])
