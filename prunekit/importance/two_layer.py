"""The Hessian's diagonal of the two-layer network, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from prunekit import _checks
from prunekit.nets import access


class TwoLayerDiagonal(NamedTuple):
    """The Hessian's diagonal for f(x) = V ReLU(W x), in double precision: W (m, d) and V (K, m)."""

    W: Tensor
    V: Tensor


def two_layer_diagonal(W: Tensor, V: Tensor, X: Tensor, *, chunk: int = 1024) -> TwoLayerDiagonal:
    """Return the Hessian's diagonal of the mean cross-entropy of softmax(V ReLU(W x)), in closed form.

    With z = W x, a = ReLU(z) and p the class probabilities, averaged over the samples: for V_kj it is
    p_k (1 - p_k) a_j²; for W_jl it is v_j 1(z_j > 0) x_l², with v_j the variance of V_kj over k drawn from p. The
    labels do not enter.

    Parameters
    ----------
    W : (m, d) tensor
        Input layer.
    V : (K, m) tensor
        Output layer.
    X : (n, d) tensor
        The inputs.
    chunk : int
        Samples taken at once; the largest intermediate is (chunk, m).

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit together, or a number is not finite.

    Notes
    -----
    The Hessian's two diagonal blocks equal the Gauss-Newton ones wherever no z is 0. They are computed in double
    precision and without a difference of near numbers, since p_k (1 - p_k) is tiny once the data are interpolated.
    Source: li, Section 4, (C.12)-(C.15), with the loss's second derivative diag(p) - p pᵀ.
    """
    W, V, X = _two_layers(W, V, X)
    others = 1.0 - torch.eye(len(V), dtype=torch.float64, device=V.device)
    of_W, of_V = torch.zeros_like(W), torch.zeros_like(V)
    for x in X.split(_checks.count("chunk", chunk)):
        z = x @ W.T
        a = z.clamp(min=0.0)
        p = torch.softmax(a @ V.T, dim=1)
        of_V += (p * (p @ others)).T @ a.square()
        mean = p @ V
        variance = sum((p[:, k, None] * (V[k] - mean).square() for k in range(len(V))), torch.zeros_like(z))
        of_W += (variance * (z > 0)).T @ x.square()
    if not bool(torch.isfinite(of_W).all() and torch.isfinite(of_V).all()):
        raise FloatingPointError("the diagonal leaves the range of double precision: rescale W, V or X")
    return TwoLayerDiagonal(of_W / len(X), of_V / len(X))


def _two_layers(W: Tensor, V: Tensor, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the arguments in double precision, refusing shapes that do not fit."""
    for name, given in (("W", W), ("V", V), ("X", X)):
        access.tensor(name, given)
        if given.ndim != 2 or given.numel() == 0:
            raise ValueError(f"{name} has shape {tuple(given.shape)}: give a matrix of at least one entry")
        if not bool(torch.isfinite(given).all()):
            raise ValueError(f"{name} holds a number that is not finite: give finite numbers")
    if V.shape[1] != W.shape[0]:
        raise ValueError(f"V has shape {tuple(V.shape)}: W has {W.shape[0]} hidden units, give V of shape (K, m)")
    if X.shape[1] != W.shape[1]:
        raise ValueError(f"X has shape {tuple(X.shape)}: W takes {W.shape[1]} inputs, give X of shape (n, d)")
    return W.detach().double(), V.detach().double().to(W.device), X.detach().double().to(W.device)
