"""The tolerance ε on the loss, and the rule that chose it.

The text of geometric gives no rule. The authors' program takes the standard deviation of the training loss over
minibatches of 128: `minibatch_tolerance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunekit import _checks
from prunekit._checks import Seed
from prunekit._system import bars
from prunekit.limit.program import BATCH

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunekit.nets.access import Data, Loss


@dataclass(frozen=True)
class Tolerance:
    """How much the loss may rise, and why so much.

    Attributes
    ----------
    value : float
        ε, above 0, in units of the loss.
    rule : str
        How it was chosen, in words.
    loss : float
        The mean training loss at the trained weights, if the rule looked at it.
    """

    value: float
    rule: str = "a number that was given"
    loss: float | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        object.__setattr__(self, "value", _checks.scalar("epsilon", self.value, positive=True))
        _checks.text("rule", self.rule)
        if self.loss is not None:
            object.__setattr__(self, "loss", _checks.real("loss", self.loss))


def minibatch_tolerance(
    model: nn.Module, data: Data, loss: Loss, *, batch_size: int = BATCH, shuffles: int = 1, seed: Seed = 0
) -> Tolerance:
    """Return the standard deviation of the training loss over shuffled minibatches, the rule of the authors' program.

    Parameters
    ----------
    model : Module
        The trained network; evaluated without dropout, batch statistics fixed.
    data : (inputs, labels) or an iterable of them
        The training data, without augmentation (the program reads its augmented loader).
    loss : callable
        (outputs, labels) -> mean over the samples.
    batch_size : int
        Samples a minibatch; the last one may be smaller and counts like the others, as in the program.
    shuffles : int
        Number of shuffles; the program has one. With few minibatches its ε is a matter of luck; the mean over several
        is less so.
    seed : int
        Where the shuffling comes from.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or there are fewer than two minibatches, or they do not differ.

    Notes
    -----
    The divisor of the deviation is the number of minibatches, not that minus one, as in numpy. An ℓ1 penalty adds the
    same to all of them. Source: read from the program; geometric's equations (1) and (3) leave ε open.
    """
    from prunekit._system.with_torch import torch
    from prunekit.limit import authors
    from prunekit.nets import access

    outputs, labels, loss = _outputs(model, data, loss)
    whole = float(access.mean_loss(loss, outputs, labels))
    random, batch_size = _checks.generator(seed), _checks.count("batch_size", batch_size)
    shuffles = _checks.draws("shuffles", shuffles, 1000 * len(labels))
    spreads = [
        authors.tolerance(torch.nn.Identity(), loss, (outputs, labels), batch_size=batch_size, seed=random)
        for _ in bars.each("tolerance", range(shuffles), shuffles, "shuffles")
    ]
    if not any(spreads):
        raise ValueError("data have minibatches whose losses do not differ, so that ε would be 0: give a number for it")
    rule = f"standard deviation of {-(-len(labels) // batch_size)} training losses, batch {batch_size}"
    rule += f", mean over {shuffles} shuffles" if shuffles > 1 else ""
    return Tolerance(sum(spreads) / shuffles, rule, whole)


def relative_tolerance(model: nn.Module, data: Data, loss: Loss, share: float) -> Tolerance:
    """Return a share of the mean training loss.

    Parameters
    ----------
    model, data, loss
        As for `minibatch_tolerance`.
    share : float
        The share, above 0; 0.1 lets the loss rise by a tenth.
    """
    from prunekit.nets import access

    share = _checks.scalar("share", share, positive=True)
    outputs, labels, loss = _outputs(model, data, loss)
    whole = float(access.mean_loss(loss, outputs, labels))
    return Tolerance(
        _checks.finite("the tolerance", share * whole, "share"), f"{share:g} times the training loss", whole
    )


def _outputs(model: nn.Module, data: Data, loss: Loss | str) -> tuple[Tensor, Tensor, Loss]:
    """Return outputs of all samples as a tensor, their labels, and the loss of such outputs."""
    from prunekit._system.with_torch import torch
    from prunekit.nets import access, door
    from prunekit.nets.structure import Rows

    model, data, loss = door.opened(model, data, loss)
    _checks.function("loss", loss, "a function (outputs, labels) -> mean over the samples")
    theta = access.parameters(model)
    outputs, labels = [], []
    rows: Rows | None = None
    with torch.no_grad(), access.evaluating(model):
        for inputs, targets, _ in access.batches(data, access.device(theta)):
            with access.taking(inputs):
                given = model(*inputs)
            rows = rows or Rows(given, len(targets))
            outputs.append(rows.flat(given))
            labels.append(targets)
    join = rows.join if rows else None
    return torch.cat(outputs), torch.cat(labels), lambda flat, y: loss(join(flat) if join else flat, y)
