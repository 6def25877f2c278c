"""A smaller network in fact: whole units of the least importance, removed by Torch-Pruning (an optional extra)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit.nets import access

if TYPE_CHECKING:
    from prunekit.diagnosis.report import Report

_ALIKE = 1e-3  # of the largest output


def shrink(report: Report, model: nn.Module, example_inputs: Any, keep: float) -> nn.Module:
    """Return a copy of a network with a share of every layer's units, those of the most importance by the report.

    Importance of a unit is the sum of its weights' saliencies, or of their squares where saliencies were left out.
    Which units of which layers go together is Torch-Pruning's to find; the last layer that is pruned keeps its units.

    Parameters
    ----------
    report : Report
        The network's report.
    model : Module
        The network; it is not changed.
    example_inputs : tensor or tuple of tensors
        Inputs of one sample or more, by which the network is traced.
    keep : float
        The share of units kept, in (0, 1].

    Raises
    ------
    ImportError
        If Torch-Pruning is not installed: `pip install prunekit[shrink]`.
    TypeError, ValueError
        If an argument is not as described, the network cannot be traced, or what comes out computes something else
        than the network with those units set to 0.

    Notes
    -----
    Structured pruning has no theory among the five papers but for columns of a layer (barsbey, Theorem 3).
    """
    keep = _checks.scalar("keep", keep, positive=True)
    if keep > 1:
        raise ValueError(f"keep is {keep}: give a share in (0, 1]")
    try:
        import torch_pruning as tp
    except ImportError:
        raise ImportError("shrink needs Torch-Pruning: pip install 'prunekit[shrink]'") from None
    module = access.module(model)
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    small, whole = (copy.deepcopy(module).eval() for _ in range(2))
    for p in small.parameters():
        p.requires_grad_(True)  # Torch-Pruning follows gradients
    paths = {part: path for path, part in small.named_modules()}
    names = {part: f"{path}.weight".removeprefix(".") for part, path in paths.items()}
    covered = [each["name"] for each in report.network["coverage"] if not each["reason"]]
    pruner = tp.pruner.MetaPruner(
        small,
        inputs if len(inputs) > 1 else inputs[0],
        importance=_Importance(names, _scores(report)),
        pruning_ratio=1 - keep,
        ignored_layers=[part for part, name in names.items() if name == covered[-1]],
    )
    there: dict[nn.Module, list[int]] = {}
    for group in pruner.step(interactive=True):
        for dep, places in group:
            if "in_channels" in dep.handler.__name__:
                _silence(whole.get_submodule(paths[dep.target.module]), places, there)
        group.prune()
    _check(small, whole, inputs)
    return small.train(module.training)


@torch.no_grad()
def _silence(layer: nn.Module, places: list[int], there: dict[nn.Module, list[int]]) -> None:
    """Set the weights of some input channels to 0, which are counted among those that are still there."""
    weight = getattr(layer, "weight", None)
    if weight is None or weight.ndim < 2 or getattr(layer, "groups", 1) > 1:
        return  # channels of a normalization, or of a convolution by channels, go with their outputs
    axis = 0 if "Transpose" in type(layer).__name__ else 1
    left = there.setdefault(layer, list(range(weight.shape[axis])))
    gone = [left[k] for k in places]
    weight.index_fill_(axis, torch.tensor(gone, device=weight.device), 0.0)
    there[layer] = [k for k in left if k not in set(gone)]


def _scores(report: Report) -> dict[str, Tensor]:
    """Return the importance of each output unit by parameter name."""
    values = report.found.get("saliencies", {}).get("values")
    if values is None:
        values = {name: w**2 for name, w in report.network["weights"].items()}
    return {name: v.double().reshape(len(v), -1).sum(dim=1) for name, v in values.items()}


class _Importance:
    """A group's importance for Torch-Pruning: the sum over its layers of their units' importance."""

    def __init__(self, names: dict[nn.Module, str], scores: dict[str, Tensor]) -> None:
        self._names, self._scores = names, scores

    def __call__(self, group: Any, **_: Any) -> Tensor | None:
        """Return the importance of each of the group's channels."""
        total: Tensor | None = None
        for dep, places in group:
            name = self._names.get(dep.target.module, "")
            if name not in self._scores or "out_channels" not in str(dep.handler):
                continue
            score = self._scores[name]
            if max(places) < len(score):
                each = score[torch.as_tensor(places)]
                total = each if total is None or len(total) != len(each) else total + each
        return total


def _check(small: nn.Module, whole: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Refuse a smaller network that computes something else than the whole one does without those units."""
    with torch.no_grad(), access.taking(inputs):
        given, wanted = small(*inputs), whole(*inputs)
    if not isinstance(given, Tensor) or not isinstance(wanted, Tensor):
        return
    size = max(float(wanted.abs().max()), 1e-30)
    if given.shape != wanted.shape or not bool((given - wanted).abs().max() <= _ALIKE * size):
        raise ValueError(
            "the smaller network computes something else than the whole one without those units: Torch-Pruning does "
            "not follow one of its layers"
        )
