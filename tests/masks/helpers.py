"""Networks and masks that the tests of `prunekit.masks` share."""

import torch
from torch import nn

from prunekit.masks import Mask


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def sample(n=30):
    rng = torch.Generator().manual_seed(0)
    return torch.randn(n, 4, generator=rng, dtype=torch.float64), torch.randint(3, (n,), generator=rng)


def bools(*values):
    return torch.tensor(values, dtype=torch.bool)


SMALL = Mask({"b": bools(True, False, True), "a": bools(False, False)[None]})


def kept_positions(mask):
    return torch.cat([kept.flatten() for kept in mask.values()]).nonzero().flatten().tolist()


class Raw(nn.Module):
    """Parameters of no layer, with one that is not pruned between."""

    def __init__(self):
        super().__init__()
        self.W = nn.Parameter(torch.randn(5, 4, dtype=torch.float64))
        self.shift = nn.Parameter(torch.zeros(5, dtype=torch.float64))
        self.V = nn.Parameter(torch.randn(3, 5, dtype=torch.float64))
        self.register_parameter("none", None)

    def forward(self, x):
        return torch.relu(x @ self.W.T + self.shift) @ self.V.T
