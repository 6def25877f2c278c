"""The last layer as a linear problem on its features: what the law of least squares says of pruning it, and what came.

The features before the last layer are taken in their principal components, in which the law's covariance is diagonal;
a linear layer on them computes the same. The layer is fitted anew by least squares of minimum norm on the known
samples, its coefficients are pruned by magnitude, and the squared error is measured on the held-out ones. The law's
problem (coefficients, noise) is estimated from all samples by ridge regression. Source: chang, Theorem 1 and
Corollary 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunekit._checks import Floats
from prunekit.diagnosis.subject import Batch, Subject
from prunekit.linear import LinearGaussian, Magnitude

MOST_FEATURES = 2048
_CLASSES = 10  # outputs that are looked at, at most
_SHARES = (0.5, 0.2, 0.1)  # of the features kept
_PEAK = 0.1  # around n = p, where the law's risk is too large and its coefficients too many to be told
_PARTS = 8


def examine(subject: Subject) -> dict[str, Any]:
    """Return predicted and measured risks, or why the theory does not apply."""
    try:
        layer = _linear_head(subject)
        (known, marks), (fresh, answers) = (_features(subject, layer, side) for side in (subject.known, subject.held))
    except _NoProblemError as reason:
        return {"applies": False, "reason": str(reason)}
    p = known.shape[1]
    if p > MOST_FEATURES:
        return {"applies": False, "reason": f"the last layer has {p:,} features, above {MOST_FEATURES:,}"}
    n = len(known)
    if abs(n / p - 1) < _PEAK:
        n = int(p * (1 - _PEAK))  # away from the peak
    if n < 20:
        return {"applies": False, "reason": f"{n} samples are too few for a fit"}
    return {"applies": True, "features": p, "samples": n, **_risks(known, marks, fresh, answers, n)}


class _NoProblemError(Exception):
    """The last layer is no linear problem, because of what the message says."""


def _linear_head(subject: Subject) -> nn.Linear:
    """Return the last pruned layer, if it is a linear layer."""
    name = subject.names[-1]
    layer = subject.model.get_submodule(name.rpartition(".")[0])
    if not isinstance(layer, nn.Linear):
        raise _NoProblemError(f"the last layer, {name}, is a {type(layer).__name__} and no linear layer")
    return layer


def _features(subject: Subject, layer: nn.Linear, batches: list[Batch]) -> tuple[Floats, Floats]:
    """Return features (n, p) and targets (n, k) of some samples."""
    rows: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: rows.append(given[0].detach()))
    try:
        with torch.no_grad():
            for inputs, _ in batches:
                subject.model(*inputs)
    finally:
        handle.remove()
    labels = torch.cat([y for _, y in batches]) if len({y.shape[1:] for _, y in batches}) == 1 else None
    if labels is None or any(x.ndim != 2 for x in rows) or sum(map(len, rows)) != len(labels):
        raise _NoProblemError("the last layer does not give one row of outputs a sample")
    if labels.ndim > 2 or not (labels.is_floating_point() or labels.ndim == 1):
        raise _NoProblemError("labels are neither classes nor numbers")
    if labels.is_floating_point():
        targets = labels.reshape(len(labels), -1)
    else:
        targets = nn.functional.one_hot(labels.clamp(min=0), layer.out_features).float()
    return torch.cat(rows).double().cpu().numpy(), targets[:, :_CLASSES].double().cpu().numpy()


def _risks(known: Floats, marks: Floats, fresh: Floats, answers: Floats, n: int) -> dict[str, Any]:
    """Return the law's risks and those measured, summed over outputs, relative to the targets' variance."""
    everything, targets = np.concatenate([known, fresh]), np.concatenate([marks, answers])
    middle, level = everything.mean(axis=0), targets.mean(axis=0)
    covariance = (everything - middle).T @ (everything - middle) / len(everything)
    values, axes = np.linalg.eigh(covariance)
    stay = values > 1e-9 * values[-1]
    values, axes = values[stay], axes[:, stay]
    rotated, tested = (everything - middle) @ axes, (fresh - middle) @ axes
    fitted = _ridge(rotated, targets - level, values)
    noise = np.sqrt(((targets - level - rotated @ fitted) ** 2).mean(axis=0))
    train = rotated[:n]
    p = values.size
    kept = [max(1, round(share * p)) for share in _SHARES]
    predicted, errors_made = np.zeros(len(kept) + 1), np.zeros((len(kept) + 1, len(tested)))
    coefficients = np.linalg.lstsq(train, (targets - level)[:n], rcond=None)[0]  # of minimum norm
    for k in range(targets.shape[1]):
        law = LinearGaussian(values, fitted[:, k], float(noise[k])).characterize(n)
        beta = coefficients[:, k]
        order = np.argsort(-np.abs(beta), kind="stable")
        for at, s in enumerate([p, *kept]):
            predicted[at] += law.risk() if at == 0 else law.risk(Magnitude(s))
            cut = np.zeros(p)
            cut[order[:s]] = beta[order[:s]]
            errors_made[at] += ((answers - level)[:, k] - tested @ cut) ** 2
    scale = float(((targets - level) ** 2).mean(axis=0).sum())
    groups = np.array(
        [part.mean(axis=1) for part in np.array_split(errors_made, min(_PARTS, errors_made.shape[1]), axis=1)]
    )
    errors = groups.std(axis=0, ddof=1) / math.sqrt(len(groups))
    return {
        "kept": [1.0, *(s / p for s in kept)],
        "predicted": (predicted / scale).tolist(),
        "measured": (errors_made.mean(axis=1) / scale).tolist(),
        "errors": (errors / scale).tolist(),
        "outputs": targets.shape[1],
        "components": p,
    }


def _ridge(X: Floats, Y: Floats, values: Floats) -> Floats:
    """Return ridge coefficients (p, k) in principal components, of the penalty with least error left out one by one."""
    n = len(X)
    G = X.T @ Y / n
    best, least = None, math.inf
    for weight in np.geomspace(1e-6, 1.0, 13) * values.mean():
        shrink = values / (values + weight)
        B = G / (values + weight)[:, None]
        freedom = min(float(shrink.sum()) / n, 1 - 1e-6)
        error = float(((Y - X @ B) ** 2).mean()) / (1 - freedom) ** 2  # generalized cross-validation
        if error < least:
            best, least = B, error
    return np.asarray(best)
