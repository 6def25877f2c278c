"""The compression bound of barsbey on the test error of a pruned network: its terms, as printed and as they must be.

Theorem 4: for a network of L layers of d weights w together and a pruned one ŵ whose layers have a relative error of
at most ε, with high probability the 0-1 risk of ŵ is at most the empirical risk of w at the margin γ plus
(12 𝓛 R + √d) √((κ + ε_κ) log n / n). Corollary 1 is the same for stable weights: a radius R computed from their tail
indices and scales takes the place of the measured one. Everything here is elementary; a network is needed only
for its margins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit.stable import _arguments
from prunekit.stable.distribution import magnitude_quantile
from prunekit.stable.tails import tail_index

if TYPE_CHECKING:
    from torch import nn


def output_change(norm: float, layers: int, radius: float, error: float) -> float:
    """Return √2·B·(R/√L)^L·((1 + ε)^L - 1), the most by which pruning moves a difference of two outputs.

    Parameters
    ----------
    norm : float
        B, the largest Euclidean norm of an input, above 0.
    layers : int
        L, the number of layers.
    radius : float
        R, the Euclidean norm of all weights of the network before pruning, above 0.
    error : float
        ε, the largest relative error of a layer, at least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Notes
    -----
    Source: barsbey, γ(δ, τ) of Theorem 4 less τ; it is printed with a factor 1/τ that does not belong there.
    """
    norm, radius = _checks.scalar("norm", norm, positive=True), _checks.scalar("radius", radius, positive=True)
    layers, error = _checks.count("layers", layers), _checks.scalar("error", error)
    with _checks.in_range("the change", "norm, layers, radius or error"):
        change = math.sqrt(2) * norm * (radius / math.sqrt(layers)) ** layers * ((1 + error) ** layers - 1)
        return _checks.finite("the change", change, "norm, layers, radius or error")


def needed_margin(threshold: float, norm: float, layers: int, radius: float, error: float, *, printed: bool) -> float:
    """Return γ(δ, τ), the margin at which the empirical risk of Theorem 4 is taken.

    Parameters
    ----------
    threshold : float
        τ, above 0.
    norm, layers, radius, error
        The constants that `output_change` takes.
    printed : bool
        Whether to divide the second term by τ, as the paper does, which makes the bound wrong.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    threshold = _checks.scalar("threshold", threshold, positive=True)
    change = output_change(norm, layers, radius, error)
    margin = threshold + (change / threshold if _checks.flag("printed", printed) else change)
    return _checks.finite("the margin", margin, "threshold, norm or radius")


def complexity(threshold: float, norm: float, layers: int, radius: float, d: int, kept: float, n: int) -> float:
    """Return the second term of Theorem 4, (12 𝓛 R + √d) √((κ + ε_κ) log n / n).

    Here 𝓛 = √2·B·L·(2R/√L)^(L-1)/τ and ε_κ = (2 h(κ) - κ log κ)/log n with the binary entropy h in nats.

    Parameters
    ----------
    threshold, norm, layers, radius
        τ, B, L and R, as for `needed_margin`.
    d : int
        Number of weights.
    kept : float
        The share κ that is kept, in (0, 1].
    n : int
        Number of training examples; the theorem asks for n/log n of at least 10 L.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or n is too small for the theorem.
    """
    threshold, norm = (_checks.scalar(k, v, positive=True) for k, v in (("threshold", threshold), ("norm", norm)))
    radius, kept = (_checks.scalar(k, v, positive=True) for k, v in (("radius", radius), ("kept", kept)))
    layers, d = _checks.count("layers", layers), _checks.count("d", d)
    n = _checks.count("n", n, 2, 10**300, high_is="10**300")  # `examples_needed` tries very large numbers
    if kept > 1:
        raise ValueError(f"kept is {kept}: give a share above 0 and of at most 1")
    if n / math.log(n) < 10 * layers:
        raise ValueError(f"n is {n}: give n with n/log(n) of at least 10·layers = {10 * layers}")
    with _checks.in_range("the bound", "threshold, norm or radius"):
        lipschitz = math.sqrt(2) * norm * layers * (2 * radius / math.sqrt(layers)) ** (layers - 1) / threshold
    kept_log = kept * math.log(kept)
    entropy = -kept_log - ((1 - kept) * math.log1p(-kept) if kept < 1 else 0.0)
    codes = kept * math.log(n) + 2 * entropy - kept_log
    term = (12 * lipschitz * radius + math.sqrt(d)) * math.sqrt(codes / n)
    return _checks.finite("the bound", term, "threshold, norm or radius")


@dataclass(frozen=True)
class Terms:
    """What Theorem 4 takes of a network and its data; the threshold τ and the share κ are left to choose.

    Attributes
    ----------
    norm : float
        B, the largest Euclidean norm of an input.
    layers : int
        L, the number of layers.
    radius : float
        R, the Euclidean norm of all weights, as `radius` gives it.
    d, n : int
        Numbers of weights and of training examples.

    Examples
    --------
    >>> terms = Terms(norm=10.0, layers=2, radius=5.0, d=1000, n=50000)
    >>> round(terms.complexity(threshold=1.0, kept=0.1))  # above 1 it says nothing of an error rate
    75
    """

    norm: float
    layers: int
    radius: float
    d: int
    n: int

    def __post_init__(self) -> None:
        """Judge the terms, and keep them as plain numbers."""
        for name, most, word in (("layers", None, ""), ("d", None, ""), ("n", 10**300, "10**300")):
            object.__setattr__(self, name, _checks.count(name, getattr(self, name), 1, most, high_is=word))
        for name in ("norm", "radius"):
            object.__setattr__(self, name, _checks.scalar(name, getattr(self, name), positive=True))

    def change(self, error: float) -> float:
        """Return the most by which pruning moves a difference of two outputs, as `output_change`."""
        return output_change(self.norm, self.layers, self.radius, error)

    def margin(self, threshold: float, error: float, *, printed: bool = False) -> float:
        """Return γ, the margin at which the empirical risk is taken, as `needed_margin`."""
        return needed_margin(threshold, self.norm, self.layers, self.radius, error, printed=printed)

    def complexity(self, threshold: float, kept: float) -> float:
        """Return the second term of the theorem, as the function `complexity`."""
        return complexity(threshold, self.norm, self.layers, self.radius, self.d, kept, self.n)

    def least(self, margins: ArrayLike, kept: float, error: float, thresholds: ArrayLike) -> Floats:
        """Return the least corrected bound over several thresholds τ, for each network by itself.

        Parameters
        ----------
        margins : (n,) or (networks, n) array
            Margins of the training examples, before pruning.
        kept, error : float
            The share κ, and the largest relative error ε of a layer at it.
        thresholds : (m,) array
            The values of τ to choose from, above 0.
        """
        rows = _checks.array("margins", margins, ndim=(1, 2))
        taus, bounds = _checks.vector("thresholds", thresholds), np.full(rows.shape[:-1], np.inf)
        if taus.min() <= 0:
            raise ValueError(f"thresholds holds {taus.min()}: give numbers above 0")
        try:
            for tau in taus.tolist():
                empirical = np.mean(rows <= self.margin(tau, error), axis=-1)
                bounds = np.minimum(bounds, empirical + self.complexity(tau, kept))
        except FloatingPointError:
            raise FloatingPointError(
                "the bound leaves the range of double precision: rescale thresholds or error"
            ) from None
        return np.asarray(bounds)[()]

    def examples_needed(self, threshold: float, kept: float) -> float:
        """Return the exponent k for which 10^k examples bring the second term down to 1; e^200 are the most."""

        def above(log_n: float) -> bool:
            n = int(math.exp(log_n))
            return complexity(threshold, self.norm, self.layers, self.radius, self.d, kept, n) > 1

        low, high = math.log(1000), 200.0
        while math.exp(low) / low < 10 * self.layers + 1:  # the theorem asks for this many
            low += 1
        if above(high):
            raise ValueError(f"threshold is {threshold}: more than e^200 examples are needed, give a larger one")
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if above(middle) else (low, middle)
        return high / math.log(10)


def radius(weights: Sequence[ArrayLike]) -> float:
    """Return R, the Euclidean norm of all weights of a network.

    Parameters
    ----------
    weights : sequence of arrays
        One for each layer, of any shape.
    """
    with np.errstate(over="ignore"):
        norm = math.sqrt(sum(float(np.sum(w.astype(float) ** 2)) for w in _layers(weights)))
    return _checks.finite("the norm", norm, "weights")


def _layers(weights: Sequence[ArrayLike]) -> list[np.ndarray[Any, Any]]:
    """Return the weights of each layer in one row, floating ones in their own precision."""
    listed = _checks.listed("weights", weights, "arrays, one a layer")
    if not listed:
        raise ValueError("weights is empty: give the arrays of at least one layer")
    return [_arguments.weights("weights", np.asarray(w), tuple(range(1, 9))).ravel() for w in listed]


def levy_scale(alpha: float) -> float:
    """Return σ_α = (2Γ(-α)cos((2-α)π/2))^(1/α), the scale of the stable law with the Lévy density |x|^(-1-α).

    Parameters
    ----------
    alpha : float
        Tail index, above 1 and below 2.

    Raises
    ------
    TypeError, ValueError
        If α is out of its range.

    Notes
    -----
    Source: barsbey, after equation (9). It grows without bound as α goes to 2, where large jumps die out.

    Examples
    --------
    >>> round(levy_scale(1.5), 4)
    2.2354
    """
    alpha = _index("alpha", alpha)
    return float((2 * math.gamma(-alpha) * math.cos((2 - alpha) * math.pi / 2)) ** (1 / alpha))


def _index(name: str, value: Any) -> float:
    """Return a tail index that Corollary 1 allows."""
    alpha = _checks.scalar(name, value, positive=True)
    if not 1 < alpha < 2:
        raise ValueError(f"{name} is {alpha}: give a tail index above 1 and below 2, as Corollary 1 asks")
    return alpha


@dataclass(frozen=True)
class StableWeights:
    """What Corollary 1 makes of layers of stable weights.

    Attributes
    ----------
    layers, d : int
        L, and d, the number of all weights.
    alpha : float
        Smallest tail index of a layer.
    scale : float
        σ₀ of equation (9); weights times c multiply it by c.
    radius : float
        √L·σ₀·d^(1/(2L)), which takes the place of R(δ): with it `complexity` is the second term of (10) and
        `output_change` is b_ε·σ₀^L·√d.
    failure : float
        3·d^(-α/(2L)), the probability with which the bound may fail; it says nothing from 1 on.
    """

    layers: int
    d: int
    alpha: float
    scale: float
    radius: float
    failure: float

    def __post_init__(self) -> None:
        """Judge the constants, and keep them as plain numbers."""
        for name in ("layers", "d"):
            object.__setattr__(self, name, _checks.count(name, getattr(self, name)))
        for name in ("scale", "radius", "failure"):
            object.__setattr__(self, name, _checks.scalar(name, getattr(self, name)))
        object.__setattr__(self, "alpha", _index("alpha", self.alpha))


def stable_weights(sizes: ArrayLike, indices: ArrayLike, scales: ArrayLike) -> StableWeights:
    """Return the constants of Corollary 1 for layers of SαS weights.

    Parameters
    ----------
    sizes : (L,) array of ints
        Numbers of weights d_l.
    indices : (L,) array
        Tail indices α_l, above 1 and below 2.
    scales : (L,) array
        σ_l of SαS(σ_l), at least 0 and not all 0.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or a number is out of its range.

    Notes
    -----
    Source: barsbey, equation (9) and Corollary 1. The radius is the one for which a union bound over all d weights is
    small: √d·σ·T, with T the size that one of d weights of Lévy density |x|^(-1-α) exceeds with probability about
    (2/α)·3^(-α)·d^(-α/(2L))/4. The norm of the weights itself is typically smaller by √d·d^(1/(2L)).
    """
    alphas = _checks.vector("indices", indices)
    scale = _checks.nonnegative_vector("scales", scales, len(alphas), like="indices has one entry a layer")
    counts = [_checks.count("sizes", k) for k in _checks.integers("sizes", sizes).ravel()]
    if len(counts) != len(alphas):
        raise ValueError(f"sizes has {len(counts)} entries: give {len(alphas)}, one a layer, as indices has")
    if not scale.any():
        raise ValueError("scales are all 0: give one above 0")
    layers, d, alpha = len(counts), sum(counts), float(alphas.min())
    with np.errstate(over="ignore"):
        squares = (scale / [levy_scale(_index("indices", a)) for a in alphas]) ** 2
    _checks.finite("the scale", np.dot(counts, squares), "scales")
    sigma = math.sqrt(float(np.dot(counts, squares)) / d)
    sigma0 = 3 * 4 ** (1 / alpha) / math.sqrt(layers) * d ** (0.5 + 1 / alpha) * sigma
    return StableWeights(
        layers=layers,
        d=d,
        alpha=alpha,
        scale=sigma0,
        radius=math.sqrt(layers) * sigma0 * d ** (1 / (2 * layers)),
        failure=3 * d ** (-alpha / (2 * layers)),
    )


def stable_layers(weights: Sequence[ArrayLike], *, seed: Seed, largest: float = 1.99) -> StableWeights:
    """Return the constants of Corollary 1 for the layers of a network, each taken to be SαS.

    The index is `tail_index` in blocks of 10 over 5 shuffles, the scale that of the stable law with the layer's median
    magnitude. This rule is ours: the paper computes no constant of its corollary.

    Parameters
    ----------
    weights : sequence of arrays
        One for each layer, of any shape and at least 20 weights.
    seed : int, SeedSequence or Generator
        The source of the shuffles of each layer's entries, which are to count as independent.
    largest : float
        Indices above it are set to it: the corollary excludes 2, to which those of trained layers come close.
    """
    rng = _checks.generator(seed)
    largest = _index("largest", largest)
    flat = _layers(weights)
    if (few := min(w.size for w in flat)) < 20:
        raise ValueError(f"weights has a layer of {few}: give at least 20 a layer, two blocks of 10")
    indices = [tail_index(w, blocks=10, shuffles=5, clip=largest, seed=rng).alpha for w in flat]
    scales = [
        float(np.median(np.abs(w))) / magnitude_quantile(alpha, 0.5) for w, alpha in zip(flat, indices, strict=True)
    ]
    return stable_weights([w.size for w in flat], indices, scales)


def margins(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """Return how far the score of each example's label lies above the largest other one.

    Parameters
    ----------
    scores : (n, classes) array
        Outputs of a network.
    labels : (n,) array of ints
        The label of each example, from 0 to classes - 1.

    Raises
    ------
    TypeError, ValueError
        If shapes or labels do not fit.

    Notes
    -----
    Source: barsbey, equation (6); the risk at margin γ is the share of margins of at most γ.
    """
    table = _checks.array("scores", scores, ndim=2)
    if table.shape[1] < 2:
        raise ValueError(f"scores has shape {table.shape}: give at least two classes")
    own = _checks.integers("labels", labels)
    if own.shape != table.shape[:1] or own.dtype.kind not in "iu" or own.min() < 0 or own.max() >= table.shape[1]:
        raise ValueError(
            f"labels has shape {own.shape}, and scores {table.shape}: give {len(table)} integers from 0 to "
            f"{table.shape[1] - 1}, one an example"
        )
    rows = np.arange(len(table))
    others = table.copy()
    others[rows, own] = -np.inf
    with np.errstate(over="ignore"):
        margin = table[rows, own] - others.max(axis=1)
    return _checks.finite("a margin", np.asarray(margin), "scores")


def network_margins(model: nn.Module, data: Any) -> tuple[Floats, Floats, float]:
    """Return the margins of a network on both splits, and the largest norm of a normalized image of either.

    Parameters
    ----------
    model : Module
        The network, on the data's device; it is in evaluation mode afterwards.
    data : Dataset or batches
        The data set whose images, or other inputs, the network takes, normalized. Of batches (a DataLoader, a pair:
        `Dataset.from_loader`) nothing is held out, and both splits are the same.

    Returns
    -------
    train, test : (n,) arrays
        The margins of both splits, as `margins` gives them.
    norm : float
        The constant B of the theorem.
    """
    from prunekit._system.with_torch import torch
    from prunekit.nets import access, door
    from prunekit.nets.arguments import check_scores, one_input_with_classes
    from prunekit.nets.data import dataset
    from prunekit.nets.objectives import scores

    data = one_input_with_classes(dataset(data))
    check_scores(access.module(model), data)
    view = door.called(model, data.entries)
    model.eval()
    splits, norm = [], 0.0
    with torch.no_grad():
        for images, labels in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
            parts = []
            for start in range(0, len(images), 1000):
                x = data.normalize(images[start : start + 1000])
                norm = max(norm, float(x.flatten(1).norm(dim=1).max()))
                parts.append(scores(view(x)).cpu())
            access.finite("a score", parts)
            splits.append(margins(torch.cat(parts).double().numpy(), labels.cpu().numpy()))
    return splits[0], splits[1], norm
