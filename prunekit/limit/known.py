"""Trained networks whose Hessian is known entry by entry: what Lanczos and the authors' program are held against."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.curvature import Curvature
from prunekit.importance import hessian_matrix
from prunekit.limit.landscape import Landscape
from prunekit.limit.prediction import predict
from prunekit.limit.tolerance import minibatch_tolerance
from prunekit.nets import Config, Dataset, fit

ZERO = 1e-7  # moduli up to this share of the largest eigenvalue count as zero


@dataclass(frozen=True, eq=False)
class KnownNetwork:
    """A trained network with the dense Hessian of its mean training loss; made by `KnownNetwork.train`.

    Attributes
    ----------
    kind : str
        What it is called.
    model : Module
        In single precision, as it was trained.
    batch : (Tensor, Tensor)
        All training images, normalized, and labels.
    landscape : Landscape
        Weights and Hessian, in double precision.
    epsilon : float
        The authors' tolerance, for batches of the size it was trained with.
    loss : float
        Training loss after the last epoch.
    """

    kind: str
    model: nn.Module
    batch: tuple[Tensor, Tensor]
    landscape: Landscape
    epsilon: float
    loss: float

    @classmethod
    def train(cls, kind: str, model: nn.Module, data: Dataset, config: Config) -> KnownNetwork:
        """Train a network, in place, and return it with its Hessian.

        Parameters
        ----------
        kind : str
            What it is called.
        model : Module
            All of its parameters are weights that can be pruned.
        data : Dataset
            What it is trained on.
        config : Config
            How it is trained; its seed decides the order of the tolerance's batches too.
        """
        _checks.text("kind", kind)
        history = fit(model, data, config, progress=False).history
        batch, double = (data.normalize(data.train_x), data.train_y), copy.deepcopy(model).double()
        H = hessian_matrix(double, cross_entropy, (batch[0].double(), batch[1])).numpy()
        weights = torch.cat([p.detach().flatten() for p in double.parameters()]).numpy()
        tolerance = minibatch_tolerance(model, batch, cross_entropy, batch_size=config.batch_size, seed=config.seed)
        loss = float(history.rows[-1]["train_loss"] or 0.0)
        return cls(kind, model, batch, Landscape.of_matrix(weights, H), tolerance.value, loss)

    @property
    def hessian(self) -> Floats:
        """The Hessian (D, D)."""
        matrix = self.landscape.hessian
        assert matrix is not None  # the landscape was made of a matrix
        return matrix

    @property
    def h(self) -> Floats:
        """The eigenvalues (D,), increasing."""
        return self.landscape.eigen[0]

    @property
    def size(self) -> int:
        """D, the number of weights."""
        return self.landscape.dimension

    @property
    def zero(self) -> float:
        """The modulus up to which an eigenvalue counts as zero."""
        return ZERO * float(self.h[-1])

    @property
    def products(self) -> Curvature:
        """The Hessian by its products, in double precision."""
        return Curvature(self.model, cross_entropy, self.batch, double=True)

    @cached_property
    def nu(self) -> float:
        """ν = 2ε/R² at the network's own limit by Corollary 1, in units of the loss."""
        return 2 * self.epsilon / self.landscape.distance(predict(self.landscape, self.epsilon).kept) ** 2
