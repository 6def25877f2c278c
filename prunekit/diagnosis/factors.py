"""Layers that are products of two factors: no function lies between them, so that only their product is seen.

Whether it is so is tried, not read off the kinds of the layers: an orthogonal matrix put between two linear layers,
and its transpose after it, must leave the outputs what they are. Then the theory of overparameterized matrix sensing
applies to the pair: of the columns that the factors have in common, only as many are needed as the product has rank.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from prunekit.diagnosis.subject import Subject, first

_ALIKE = 1e-3  # of the largest output
_CLEARLY = 0.05  # of what the rotation does alone: where that is little too, nothing can be told
_MOST = 4096  # columns in common, above which a pair is not tried
_PART = 0.99  # of the product's squared norm


def examine(subject: Subject) -> dict[str, Any]:
    """Return each pair of factors: columns in common, how many hold 99% of the product, and their share."""
    parts = [(name, subject.model.get_submodule(name.rpartition(".")[0])) for name in subject.names]
    linear = [(name, part) for name, part in parts if isinstance(part, nn.Linear)]
    pairs = [
        (a, b, one, two)
        for (a, one), (b, two) in pairwise(linear)
        if one.out_features == two.in_features <= _MOST and _free(subject, one, two)
    ]
    return {"pairs": [_pair(a, b, one.weight, two.weight) for a, b, one, two in pairs]}


def _free(subject: Subject, one: nn.Linear, two: nn.Linear) -> bool:
    """Tell whether a rotation between two layers, and back, leaves the outputs."""
    batch = first(subject.known, 4)[0]
    generator = torch.Generator().manual_seed(0)
    k = one.out_features
    Q = torch.linalg.qr(torch.randn(k, k, generator=generator))[0].to(one.weight)
    changed = [t for t in (one.weight, one.bias, two.weight) if t is not None]
    before = [t.detach().clone() for t in changed]
    with torch.no_grad():
        plain = _outputs(subject, batch)
        try:
            one.weight.copy_(Q @ one.weight)
            if one.bias is not None:
                one.bias.copy_(Q @ one.bias)
            once = _outputs(subject, batch)
            two.weight.copy_(two.weight @ Q.T)
            turned = _outputs(subject, batch)
        finally:
            for t, old in zip(changed, before, strict=True):
                t.copy_(old)
    size, change = float(plain.abs().max()), float((once - plain).abs().max())
    left = float((turned - plain).abs().max())
    return size > 0 and left <= _ALIKE * size and left <= _CLEARLY * change


def _outputs(subject: Subject, batch: Any) -> Tensor:
    leaves = _pytree.tree_leaves(subject.model(*batch[0]))
    return torch.cat([x.double().flatten() for x in leaves if isinstance(x, Tensor) and x.is_floating_point()])


def _pair(a: str, b: str, one: Tensor, two: Tensor) -> dict[str, Any]:
    """Return what the columns of a product's factors hold: singular values, and the columns' norms as they are."""
    A, B = one.detach().double().cpu().numpy(), two.detach().double().cpu().numpy()
    singular = np.linalg.svd(B @ A, compute_uv=False)[: len(A)]
    squares = singular**2
    norms = np.sort(np.linalg.norm(A, axis=1) * np.linalg.norm(B, axis=0))[::-1]
    return {
        "first": a,
        "second": b,
        "columns": len(A),
        "rank": _count(squares),
        "needed": _count(norms**2),
        "norms": norms.tolist(),
    }


def _count(squares: np.ndarray) -> int:
    total = float(squares.sum())
    return int(np.searchsorted(np.cumsum(squares), _PART * total * (1 - 1e-12))) + 1 if total else 0
