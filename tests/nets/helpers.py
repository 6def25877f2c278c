"""Small sets and networks that the tests of `prunekit.nets` share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunekit.nets import Dataset


def toy(n: int = 60, shape: tuple[int, int, int] = (1, 4, 4), classes: int = 3, seed: int = 0) -> Dataset:
    """Return random byte images whose class brightens some of their pixels."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(2 * n) % classes
    x = torch.randint(0, 100, (2 * n, *shape), generator=g)
    x += 150 * (torch.arange(x[0].numel()).view(shape) % classes == y.view(-1, 1, 1, 1))
    x = x.to(torch.uint8)
    c = shape[0]
    moments = {"mean": torch.full((c,), 99.0), "std": torch.full((c,), 76.0)}
    return Dataset("toy", x[:n], y[:n], x[n:], y[n:], classes, **moments)


def state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of all tensors of a network."""
    return {name: t.detach().clone() for name, t in model.state_dict().items()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Tell whether two states agree bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def close(a: dict[str, Tensor], b: dict[str, Tensor], tolerance: float = 1e-5) -> bool:
    """Tell whether two states agree to a tolerance."""
    return a.keys() == b.keys() and all(torch.allclose(a[n], b[n], rtol=tolerance, atol=tolerance) for n in a)
