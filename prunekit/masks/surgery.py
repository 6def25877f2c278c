"""Optimal brain surgery: weights removed one at a time, the others re-optimized each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit.masks.mask import Keep, Mask, count_kept
from prunekit.nets import access
from prunekit.nets.access import Names, prunable


@dataclass(frozen=True, eq=False)
class Surgery:
    """What optimal brain surgery leaves.

    Attributes
    ----------
    weights : mapping from name to tensor
        Zeros where weights were removed; the kept ones are re-optimized in the quadratic model.
    mask : Mask
        What is kept.
    cost : float
        What the quadratic model says the loss has risen by: (w - w₀)ᵀ H (w - w₀) / 2, the damping included in H.
    """

    weights: Mapping[str, Tensor]
    mask: Mask
    cost: float

    def apply_(self, model: nn.Module) -> None:
        """Put the weights into the model.

        Raises
        ------
        TypeError, ValueError
            If the model lacks a parameter, or has it in another shape.
        """
        for name, p in self.mask.covered(model).items():
            p.copy_(self.weights[name])


def optimal_brain_surgeon(
    model: nn.Module, hessian: Tensor, keep: Keep, *, damping: float = 0.0, parameters: Names | None = None
) -> Surgery:
    """Remove weights one at a time, each the cheapest, re-optimizing the others in the quadratic model each time.

    The next to go has the least saliency w_q² / (2 [H⁻¹]_qq); the others move by -w_q [H⁻¹]_:q / [H⁻¹]_qq, and H⁻¹
    becomes the inverse for the weights still there. The loss is taken to be stationary at the model's weights, and
    parameters that are not covered stay as they are. It takes (p - kept) p² steps, which suits small networks.

    Parameters
    ----------
    model : Module
        The trained network; it is not changed (see `Surgery.apply_`).
    hessian : (p, p) tensor
        The Hessian, symmetric, in the order of the covered parameters, each flattened, as `importance.hessian_matrix`
        gives it for the same `parameters`.
    keep : int or float
        Count or fraction of the covered weights, as for `Mask.from_scores`.
    damping : float
        What is added to the Hessian's diagonal, so that it is positive definite.
    parameters : names, optional
        What is covered; by default as for `scores.prunable`.

    Returns
    -------
    Surgery
        Weights, mask and cost. Of equal saliencies the last goes, so that the lowest index is kept.

    Raises
    ------
    TypeError, ValueError
        If the Hessian has another size, is asymmetric, or is not positive definite with the damping.

    Notes
    -----
    Source: Hassibi and Stork (1993); named in li, Section 1, and chang, Section 2.
    """
    theta = prunable(model, parameters)
    w = torch.cat([p.double().flatten() for p in theta.values()])
    if not bool(torch.isfinite(w).all()):
        raise ValueError("model has a weight that is not finite: give finite weights")
    s = count_kept("keep", keep, w.numel())
    inverse = _inverse(hessian, w, _checks.scalar("damping", damping))
    alive = torch.ones_like(w, dtype=torch.bool)
    cost = 0.0
    for _ in range(w.numel() - s):
        saliency = torch.where(alive, w.square() / torch.where(alive, inverse.diagonal(), 1.0), torch.inf)
        q = w.numel() - 1 - int(torch.argmin(saliency.flip(0)))
        cost += float(saliency[q]) / 2
        column = inverse[:, q] / inverse[q, q]
        w -= w[q] * column
        inverse.addr_(column, inverse[q].clone(), alpha=-1.0)
        alive[q], w[q] = False, 0.0
        inverse[q], inverse[:, q] = 0.0, 0.0  # exactly 0, and not only up to rounding
    sizes = [p.numel() for p in theta.values()]
    pieces = zip(theta.items(), torch.where(alive, w, 0.0).split(sizes), alive.split(sizes), strict=True)
    shaped = {name: (part.view(p.shape).to(p), kept.view(p.shape)) for (name, p), part, kept in pieces}
    return Surgery({n: part for n, (part, _) in shaped.items()}, Mask({n: k for n, (_, k) in shaped.items()}), cost)


def _inverse(hessian: Tensor, w: Tensor, damping: float) -> Tensor:
    """Return the inverse of the damped Hessian (p, p), refusing one that is not positive definite."""
    p = w.numel()
    if not isinstance(hessian, Tensor) or hessian.shape != (p, p):
        what = tuple(hessian.shape) if isinstance(hessian, Tensor) else type(hessian).__name__
        raise ValueError(f"hessian is {what}: give a tensor of shape ({p}, {p}), a row for each covered weight")
    matrix = access.tensor("hessian", hessian).detach().to(w)
    scale = float(matrix.abs().max())
    if not np.isfinite(scale) or float((matrix - matrix.T).abs().max()) > 1e-6 * scale:
        raise ValueError("hessian is asymmetric or not finite: give (H + H.T) / 2, if that is meant")
    damped = matrix / 2 + matrix.T / 2 + damping * torch.eye(p, dtype=w.dtype, device=w.device)
    if scale > 1e300:
        raise FloatingPointError(f"hessian reaches {scale:.3g}, where its eigenvalues overflow: rescale hessian")
    eigenvalues = torch.linalg.eigvalsh(damped)
    if float(eigenvalues[0]) <= p * torch.finfo(w.dtype).eps * float(eigenvalues[-1]):
        raise ValueError(
            f"hessian is not positive definite (least eigenvalue {float(eigenvalues[0]):.3g} with the damping): "
            f"give a damping of more than {damping - float(eigenvalues[0]):.3g}"
        )
    return torch.cholesky_inverse(torch.linalg.cholesky(damped))
