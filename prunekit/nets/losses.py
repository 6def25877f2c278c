"""What a loss must be for its mean over data in batches to mean something, and with what weight each batch counts.

A loss is a callable (outputs, labels) that returns the mean over a batch's samples. torch's cross-entropy divides by
the labels' total class weight, and leaves out ignored labels: its batches count by that total, so that the mean over
the data is the same however they are cut. Whether a loss is such a mean is tried on the parts of its first batches.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit.nets import access, objectives
from prunekit.nets.access import Data, Loss
from prunekit.nets.data import Dataset

_ENTROPIES = (nn.functional.cross_entropy, nn.functional.nll_loss)
_WEIGHTED = (nn.CrossEntropyLoss, nn.NLLLoss)  # these exactly: a class derived from them may take another mean
NOTHING_COUNTS = "data have no label that counts: give some that are not ignored, of classes of positive weight"
_TRIED = 3  # batches that are cut in two to see whether the loss is a mean


class Mean:
    """A loss, ready for outputs of one type and device, with the weights of its batches.

    Parameters
    ----------
    loss : callable
        (outputs, labels) -> mean over the samples. Its tensors (class weights), in a module or in a `partial`, are
        copied to the outputs' type and device.
    like : tensor
        A tensor of the outputs' type and device.

    Raises
    ------
    ValueError
        If it says of itself that it is a sum.
    """

    def __init__(self, loss: Loss, like: Tensor) -> None:
        _checks.function("loss", loss, "a function (outputs, labels) -> mean over the samples")
        self.given = loss
        self.loss: Loss = _placed(loss, like)
        self.settings = _settings(self.loss)
        self._batches = 0
        self._defect, self._places = "", 0
        if self.settings.get("reduction") == "sum":
            raise ValueError("loss has reduction='sum': give one that returns the mean over a batch, reduction='mean'")

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return a batch's loss, refusing what is no finite number."""
        return access.mean_loss(self._refused_in_words, outputs, labels)

    def _refused_in_words(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, or say that its own tensors are of another type than the outputs."""
        try:
            return self.loss(outputs, labels)
        except RuntimeError as reason:
            if "dtype" in str(reason) or "scalar type" in str(reason) or "same device" in str(reason):
                raise TypeError(
                    f"loss fails on outputs of type {outputs.dtype} on {outputs.device} and labels of type "
                    f"{labels.dtype} ({reason}): give its tensors, or the labels, in that type and place"
                ) from reason
            raise

    def weight(self, labels: Tensor) -> float:
        """Return with what weight a batch counts: its number of samples, or the total weight of its labels."""
        listed = objectives.counted(self.loss, labels)
        if listed is not None:
            return int((listed != objectives.IGNORED).sum()) / self._of_sample(listed)
        classes = self.settings.get("weight")
        if not self.settings.get("weighted") or labels.is_floating_point():
            return float(len(labels))
        counted = labels[labels != self.settings.get("ignore_index", -100)]
        if classes is None:
            return counted.numel() / self._of_sample(labels)
        return float(classes.double()[counted].sum()) / self._of_sample(labels)

    def _of_sample(self, labels: Tensor) -> int:
        """Return how many labels a sample has, one or several (pixels, words), by the first batch.

        Weights must count labels in one unit, or the mean over the data would depend on how they are cut.
        """
        self._places = self._places or max(labels[0].numel(), 1)
        return self._places

    def batches(self, data: Data, device: torch.device) -> Iterator[tuple[tuple[Any, ...], Tensor, float]]:
        """Yield (inputs, labels, weight) of each batch, on `device`, except those of no weight (their mean is nan).

        Raises
        ------
        TypeError, ValueError
            If the data are no batches, or none has a weight.
        """
        any_yet = False
        for inputs, labels, _ in access.batches(data, device):
            weight = self.weight(labels)
            if weight > 0:
                any_yet = True
                yield inputs, labels, weight
        if not any_yet:
            raise ValueError(NOTHING_COUNTS)

    def check(self, outputs: Any, labels: Tensor) -> None:
        """Take note of a batch, and refuse a loss that is no mean over the samples where there are several batches.

        Raises
        ------
        ValueError
            If the loss of a batch is the sum of its parts', or, with more than one batch, is not their weighted mean.
        """
        self._batches += 1
        if not self._defect and self._batches <= _TRIED:
            with torch.no_grad():
                self._defect = self._of_parts(outputs, labels)
        if self._defect and self._batches > 1:
            raise ValueError(
                f"loss is no mean over the samples: {self._defect}, so that it depends on how the data are cut. Give "
                "a mean (class weights by nn.CrossEntropyLoss(weight=...), which is understood), or all data at once"
            )

    def _of_parts(self, outputs: Any, labels: Tensor) -> str:
        """Say how a batch's loss differs from the mean of two parts', or nothing."""
        n = len(labels)
        if not isinstance(outputs, Tensor) or outputs.ndim == 0 or len(outputs) != n or n < 2:
            return ""
        whole, parts = float(self.loss(outputs, labels)), []
        for part in (slice(0, (n + 1) // 2), slice((n + 1) // 2, n)):  # two parts, of different sizes if n is odd
            weight = self.weight(labels[part])
            try:
                value = float(self.loss(outputs[part], labels[part])) if weight else 0.0
            except Exception as reason:  # a user's own loss may raise anything on data of another length
                return f"it fails on a part of a batch ({type(reason).__name__}: {reason})"
            parts.append((weight, value))
        total = sum(weight for weight, _ in parts)
        mean = sum(weight * value for weight, value in parts) / total if total else 0.0
        added = sum(value for _, value in parts)
        size = max(abs(whole), *(abs(value) for _, value in parts))
        tolerance = access.rounding(outputs, multiplied=False) * size
        if abs(whole - mean) <= tolerance:
            return ""
        summed = min(abs(value) for _, value in parts) > tolerance  # one part of no loss makes any mean its sum
        if summed and abs(whole - added) <= tolerance:
            raise ValueError(
                f"loss is a sum: {whole:.6g} on {n} samples, whose parts give {parts[0][1]:.6g} and {parts[1][1]:.6g}. "
                "Give one that returns the mean over a batch, reduction='mean'"
            )
        return f"{whole:.6g} on a batch whose parts give {parts[0][1]:.6g} and {parts[1][1]:.6g}"


def objective(data: Dataset) -> Mean | None:
    """Return what a data set is measured by; None for the cross-entropy of classes, which the engine knows itself."""
    if data.classifies and (isinstance(data.loss, str) or data.loss is nn.functional.cross_entropy):
        return None
    return Mean(objectives.named(data.loss), torch.zeros((), device=data.device))


def _placed(loss: Loss, like: Tensor) -> Loss:
    """Return a loss whose own tensors are of a type and on a device; a module is copied for it."""
    if isinstance(loss, nn.Module):
        return copy.deepcopy(loss).to(like.device, like.dtype)
    if isinstance(loss, functools.partial):

        def placed(x: Any) -> Any:
            if isinstance(x, Tensor):
                return x.to(like.device, like.dtype if x.is_floating_point() else x.dtype)
            return x

        keywords = {name: placed(x) for name, x in loss.keywords.items()}
        return functools.partial(_placed(loss.func, like), *map(placed, loss.args), **keywords)
    return loss


def _settings(loss: Loss) -> dict[str, Any]:
    """Return what a loss says of itself: reduction, class weights, ignored label; and whether it weighs labels."""
    if isinstance(loss, nn.Module):
        fields = {name: getattr(loss, name) for name in ("reduction", "weight", "ignore_index") if hasattr(loss, name)}
        return {**fields, "weighted": type(loss) in _WEIGHTED}
    if isinstance(loss, functools.partial):
        return {**_settings(loss.func), **loss.keywords}
    return {"weighted": loss in _ENTROPIES}
