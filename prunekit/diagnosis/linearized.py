"""The model between the quadratic one and a trial: outputs are linear along a cut, and the loss is as it is.

Cutting moves the weights by -c, and the outputs f by -Jc to first order. What that costs is loss(f - Jc) - loss(f). The
quadratic model goes by the curvature at the trained weights and leaves the gradient out; this has the gradient, and the
loss as it bends while outputs move. Outputs move by the sum of what each layer's cut moves them. One derivative in
forward mode gives Jc, and costs less than a product with the Hessian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree

from prunekit._checks import Floats
from prunekit.curvature import twice
from prunekit.diagnosis.quadratic import parts
from prunekit.diagnosis.subject import Batch, Subject, first, samples


@dataclass(eq=False)
class Linearized:
    """A network whose outputs are linear in the weights.

    Attributes
    ----------
    subject : Subject
        The network.
    batches : list of batches
        The samples that it is made from.
    """

    subject: Subject
    batches: list[Batch]
    _parts: list[list[Batch]] = field(default_factory=list)
    _losses: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def of(cls, subject: Subject, count: int) -> Linearized:
        """Return the model from so many of the known samples.

        Raises
        ------
        NotImplementedError
            If the network computes its loss itself, which hides its outputs.
        """
        if subject.has_own_loss:
            raise NotImplementedError("the network computes its loss itself, so that its outputs are not seen")
        batches = first(subject.known, count)
        model = cls(subject, batches, parts(batches))
        nothing = {name: torch.zeros_like(w) for name, w in list(subject.weights.items())[:1]}
        model._losses = [model._loss(some, nothing) for some in model._parts]
        return model

    @property
    def count(self) -> int:
        """Number of samples."""
        return samples(self.batches)

    def rises(self, cut: Mapping[str, Tensor]) -> Floats:
        """Return the rise of the loss of each part (G,), for what is cut away by parameter name.

        Raises
        ------
        NotImplementedError
            If a layer has no derivative in forward mode.
        """
        after = [self._loss(some, cut)[0] for some in self._parts]
        return np.array([value - before for value, (before, _) in zip(after, self._losses, strict=True)])

    def mean(self, rises: Floats) -> float:
        """Return the mean over the parts."""
        return float(np.average(rises, weights=[weight for _, weight in self._losses]))

    def _loss(self, batches: list[Batch], cut: Mapping[str, Tensor]) -> tuple[float, float]:
        """Return the loss of linear outputs on some samples, and with what weight they count."""
        total = weights = 0.0
        for inputs, labels in batches:
            weight = self.subject.loss.weight(labels)
            total += weight * float(self.subject.loss(self._outputs(inputs, cut), labels))
            weights += weight
        return total / weights, weights

    def _outputs(self, inputs: tuple[Any, ...], cut: Mapping[str, Tensor]) -> Any:
        """Return f - Jc."""
        model = self.subject.model
        known = {name: p.detach() for name, p in model.named_parameters() if name in cut}

        def run(changed: Mapping[str, Tensor]) -> Any:
            return torch.func.functional_call(model, dict(changed), inputs)

        back = {name: -c.to(known[name]) for name, c in cut.items()}
        try:
            with twice.differentiable(model):
                there, moved, *_ = torch.func.jvp(run, (known,), (back,))
        except (NotImplementedError, RuntimeError) as reason:
            raise NotImplementedError(f"a layer has no derivative in forward mode ({reason!s:.80})") from reason
        return _pytree.tree_map(lambda f, by: f + by if f.is_floating_point() else f, there, moved)
