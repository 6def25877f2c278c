"""Second derivatives of torch's layers, each against differences of gradients in double precision; and those alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prunekit.curvature import Curvature, spectrum
from prunekit.importance import hessian_diagonal, hessian_matrix
from prunekit.nets.checkpoint import CheckpointError

torch.manual_seed(0)
X, Y = torch.randn(7, 2, 4, dtype=torch.float64), torch.randint(3, (7,))
CROSS = nn.functional.cross_entropy


class Net(nn.Module):
    """A layer between sequences and classes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.out = inner, nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (n, 3) of sequences (n, 2, 4)."""
        h = self.inner(x)
        return self.out((h[0] if isinstance(h, tuple) else h).mean(1))


class Attention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, 2, 4)."""
        return self.heads(x, x, x, need_weights=False)[0]


class Cell(nn.Module):
    """A cell that is called again and again."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        """Return the last state (n, 1, 4)."""
        h: Any = None
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return (h[0] if isinstance(h, tuple) else h)[:, None]


def after(layer: nn.Module) -> nn.Module:
    """Return a layer behind a linear one."""
    return nn.Sequential(nn.Linear(4, 4), layer)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "group norm": lambda: nn.Sequential(after(nn.GroupNorm(1, 2)), nn.Tanh()),
    "layer norm": lambda: after(nn.LayerNorm(4)),
    "SiLU": lambda: after(nn.SiLU()),
    "Mish": lambda: after(nn.Mish()),
    "attention": Attention,
    "transformer": lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation="gelu"),
    "LSTM": lambda: nn.LSTM(4, 2, batch_first=True, bidirectional=True),
    "GRU": lambda: nn.GRU(4, 4, batch_first=True),
    "RNN": lambda: nn.RNN(4, 4, batch_first=True),
    "LSTM cell": lambda: Cell(nn.LSTMCell(4, 4)),
    "PReLU": lambda: after(nn.PReLU()),
}


def made(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a network, a vector, and the product by differences of gradients."""
    torch.manual_seed(1)
    model = Net(LAYERS[name]()).double().eval()
    theta = list(model.parameters())
    flat, v = nn.utils.parameters_to_vector(theta).detach(), torch.randn(sum(p.numel() for p in theta)).double()

    def gradient(at: Tensor) -> Tensor:
        nn.utils.vector_to_parameters(at, theta)
        return torch.cat([g.flatten() for g in torch.autograd.grad(CROSS(model(X), Y), theta)])

    product = (gradient(flat + 1e-5 * v) - gradient(flat - 1e-5 * v)) / 2e-5
    nn.utils.vector_to_parameters(flat, theta)
    return model, v, product


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives_are_right(name: str) -> None:
    model, v, expected = made(name)
    assert torch.allclose(torch.as_tensor(Curvature(model, CROSS, (X, Y)).product(v)), expected, atol=1e-7)
    matrix = hessian_matrix(model, CROSS, (X, Y))
    assert torch.allclose(matrix @ v, expected, atol=1e-7)
    diagonal = hessian_diagonal(model, CROSS, (X, Y)).values
    assert torch.allclose(torch.cat([d.flatten() for d in diagonal.values()]), matrix.diagonal(), atol=1e-10)
    differing = Curvature(model, CROSS, (X, Y), derivatives="finite-differences")
    off = float((torch.as_tensor(differing.product(v)) - expected).norm() / expected.norm())
    assert off < 1e-6 and differing.error < 1e-4 and differing.route == "differences"


class Once(torch.autograd.Function):
    """The square, which torch is told to differentiate once only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return x²."""
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        """Return the derivative."""
        return 2 * g * ctx.saved_tensors[0]


class Squares(nn.Module):
    """A network of such squares, or of torch's own."""

    def __init__(self, once: bool) -> None:
        torch.manual_seed(3)
        super().__init__()
        self.once, self.first, self.last = once, nn.Linear(8, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (n, 3)."""
        h = self.first(x.flatten(1))
        return self.last(Once.apply(h) if self.once else h * h)


@pytest.mark.parametrize(("double", "most"), [(True, 1e-7), (False, 5e-2)])
def test_where_there_are_no_second_derivatives_differences_say_their_error(double: bool, most: float) -> None:
    words = r"derivatives='finite-differences', which says its error"
    with pytest.raises((NotImplementedError, ValueError), match=words):
        Curvature(Squares(True), CROSS, (X.float(), Y))
    found = Curvature(Squares(True), CROSS, (X.float(), Y), double=double, derivatives="finite-differences")
    exact = Curvature(Squares(False), CROSS, (X.float(), Y), double=True)
    V = np.random.default_rng(0).standard_normal((exact.dimension, 5))
    off = np.linalg.norm(found.product(V) - exact.product(V)) / np.linalg.norm(exact.product(V))
    assert off < 3 * found.error and 0 < found.error < most
    assert exact.error == 0 and f"differences, error {found.error:.1g}" in repr(found)
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.product(V), found.product(V))
    values = np.linalg.eigvalsh(exact.product(np.eye(exact.dimension)))
    assert spectrum(found, steps=20, probes=1).probes[0].nodes.max() == pytest.approx(values.max(), rel=most)
    with pytest.raises(ValueError, match="needs first ones only"):
        Curvature(Squares(True), CROSS, (X, Y), kind="gauss-newton", derivatives="finite-differences")


class Scaled(nn.Module):
    """A loss with a state of its own."""

    def __init__(self, of: str, value: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))
        self.power = 1.0
        if of == "parameter":
            self.factor.data.fill_(value)
        elif of == "buffer":
            self.shift.fill_(value)
        else:
            self.power = value

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return a cross-entropy, changed by the state."""
        return self.factor.detach() * CROSS(outputs * self.power, labels) + self.shift * outputs.square().mean()


@pytest.mark.parametrize("of", ["parameter", "buffer", "attribute"])
def test_a_spectrum_of_another_loss_is_not_taken_up(of: str, tmp_path: Any) -> None:
    model = Squares(False)
    operators = [Curvature(model, Scaled(of, value), (X.float(), Y)) for value in (1.0, 1.0, 2.0)]
    first = spectrum(operators[0], steps=5, probes=1, resume=tmp_path / "file")
    assert np.array_equal(
        spectrum(operators[1], steps=5, probes=1, resume=tmp_path / "file").probes[0].nodes, first.probes[0].nodes
    )
    with pytest.raises(CheckpointError, match=r"operator.loss is Scaled \w+ there and Scaled \w+ here"):
        spectrum(operators[2], steps=5, probes=1, resume=tmp_path / "file")
