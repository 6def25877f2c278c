"""Scales that a network does not see: layers that can be multiplied without any change of what it computes.

The weights before a rectifier can be multiplied by a > 0 and those after it by 1/a; a convolution before a batch
normalization can be multiplied by anything, if the normalization's running moments go with it. Magnitudes, and
what follows from them (masks, the published threshold, the limit for orthogonal subspaces), depend on such a; curvature
times squared weights does not. So a diagnosis balances scales first. Which layers are free is not read off the layers'
kinds but tried: two factors are changed, and the outputs compared.

Balanced means: of layers that share a scale, each has the same Frobenius norm, where the sum of squares is least (and
where weight decay leads); a layer before a normalization has filters of mean squared norm 1, as a network in weight
normalization has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree

from prunekit.diagnosis.subject import Batch, Subject, first
from prunekit.nets import access

_TRIED = 2.0  # a power of two, so that multiplying rounds nothing
_ALIKE = 1e-4  # of the largest output: rounding leaves 1e-6, another function 1e-1
_NORMED = 1e-2  # a normalization's ε is seen a little where the running variance is small
_CLEARLY = 0.05  # of what another change of the layer does: where that is little too, nothing can be told
_SAMPLES = 8


@dataclass(frozen=True)
class Balance:
    """By what each layer was multiplied.

    Attributes
    ----------
    factors : mapping from parameter name to float
        The factor of each layer; 1 where its scale is not free.
    chains : tuple of tuples of names
        Layers that share a scale.
    normed : tuple of names
        Layers before a normalization.
    """

    factors: Mapping[str, float]
    chains: tuple[tuple[str, ...], ...] = ()
    normed: tuple[str, ...] = ()

    @property
    def free(self) -> tuple[str, ...]:
        """Layers whose scale is free."""
        return (*(name for chain in self.chains for name in chain), *self.normed)

    @property
    def largest(self) -> float:
        """The largest factor by which a layer was multiplied or divided."""
        return max((max(f, 1 / f) for f in self.factors.values()), default=1.0)


def balance(subject: Subject) -> Balance:
    """Balance the scales of a network's copy in place, and return by what its layers were multiplied.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    batch = first(subject.known, _SAMPLES)[0]
    sites = _sites(subject)
    norms = {name: float(w.double().norm()) for name, w in subject.weights.items()}
    normed = tuple(
        name
        for name in subject.names
        if norms[name] and _same(subject, batch, {name: _TRIED}, sites, _NORMED, {name: -1.0})
    )
    rest = [name for name in subject.names if name not in normed and norms[name]]
    chains = tuple(_chains(subject, batch, rest, sites))
    factors = dict.fromkeys(subject.names, 1.0)
    for name in normed:
        factors[name] = math.sqrt(sites[name].outputs) / norms[name]
    for chain in chains:
        middle = math.exp(sum(math.log(norms[name]) for name in chain) / len(chain))
        factors |= {name: middle / norms[name] for name in chain}
    groups = [*((name,) for name in normed), *chains]
    before, saved = _outputs(subject, batch), access.state(subject.model)
    for group in groups:
        _multiply(subject.model, sites, {name: factors[name] for name in group})
    if not _alike(before, _outputs(subject, batch), _NORMED):  # free one by one, but not together
        access.restore(subject.model, saved)
        return Balance(dict.fromkeys(subject.names, 1.0))
    subject.weights = {name: p.detach().clone() for name, p in access.prunable(subject.model).items()}
    return Balance(factors, chains, normed)


@dataclass(frozen=True)
class _Site:
    """A layer: its weight, its bias, and the normalization after it."""

    weight: str
    bias: str | None
    norm: _BatchNorm | None
    outputs: int


def _sites(subject: Subject) -> dict[str, _Site]:
    """Return each layer's place: normalizations are where the next module is one of as many channels."""
    parts = [(path, part) for path, part in subject.model.named_modules() if not list(part.children())]
    following = {path: after for (path, _), (_, after) in pairwise(parts)}
    named = dict(subject.model.named_parameters())
    sites = {}
    for name, w in subject.weights.items():
        path, _, own = name.rpartition(".")
        bias = f"{path}.bias".removeprefix(".") if own == "weight" else None
        outputs = w.shape[1] if "Transpose" in type(subject.model.get_submodule(path)).__name__ else w.shape[0]
        after = following.get(path)
        fits = isinstance(after, _BatchNorm) and after.running_var is not None and after.num_features == outputs
        sites[name] = _Site(name, bias if bias in named else None, after if fits else None, outputs)
    return sites


def _chains(subject: Subject, batch: Batch, names: list[str], sites: Mapping[str, _Site]) -> Iterator[tuple[str, ...]]:
    """Yield runs of layers, each of which can be multiplied if the next one is divided."""
    chain: list[str] = []
    for name, after in zip(names, [*names[1:], None], strict=True):
        chain.append(name)
        both, first_alone = {name: _TRIED, after: 1 / _TRIED}, {name: _TRIED}
        if after is not None and _same(subject, batch, both, sites, _ALIKE, first_alone):  # type: ignore[arg-type]
            continue
        if len(chain) > 1:
            yield tuple(chain)
        chain = []


def _same(
    subject: Subject,
    batch: Batch,
    factors: Mapping[str, float],
    sites: Mapping[str, _Site],
    alike: float,
    control: Mapping[str, float],
) -> bool:
    """Tell whether the outputs stay what they are if some layers are multiplied, and change if others are.

    A bias goes with its own layer's outputs: all biases of the first layer, not of the second, whose inputs shrink.
    """
    before = _outputs(subject, batch)
    with _multiplied(subject.model, sites, factors):
        after = _outputs(subject, batch)
    if not _alike(before, after, alike):
        return False
    with _multiplied(subject.model, sites, control):
        changed = _outputs(subject, batch)
    return bool((after - before).abs().max() <= _CLEARLY * (changed - before).abs().max())


def _alike(before: Tensor, after: Tensor, alike: float) -> bool:
    """Tell whether outputs are the same; those that are all 0 tell nothing."""
    size = float(before.abs().max())
    return 0 < size < math.inf and bool((after - before).abs().max() <= alike * size)


def _outputs(subject: Subject, batch: Batch) -> Tensor:
    with torch.no_grad():
        leaves = _pytree.tree_leaves(subject.model(*batch[0]))
    return torch.cat([x.double().flatten() for x in leaves if isinstance(x, Tensor) and x.is_floating_point()])


@contextmanager
def _multiplied(model: nn.Module, sites: Mapping[str, _Site], factors: Mapping[str, float]) -> Iterator[None]:
    """Multiply some layers, and put back what was changed."""
    before = access.state(model)
    try:
        _multiply(model, sites, factors)
        yield
    finally:
        access.restore(model, before)


@torch.no_grad()
def _multiply(model: nn.Module, sites: Mapping[str, _Site], factors: Mapping[str, float]) -> None:
    """Multiply layers that come one after another, and the biases and running moments that go with their outputs.

    What a layer puts out is multiplied by the product of all factors up to it.
    """
    named = dict(model.named_parameters())
    running = 1.0
    for name, factor in factors.items():
        site = sites[name]
        running *= factor
        named[name].mul_(factor)
        if site.bias:
            named[site.bias].mul_(running)
        if site.norm is not None:
            moments = dict(site.norm.named_buffers())
            moments["running_mean"].mul_(running)
            moments["running_var"].mul_(running**2)
