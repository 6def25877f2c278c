"""What is pruned by default: every weight by which a network multiplies, once, and nothing left out in silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from prunekit.masks import scores
from prunekit.nets import coverage, prunable


class Conv1D(nn.Module):
    """A linear layer with its weight the other way round, in the manner of the transformers library."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf)), nn.Parameter(torch.zeros(nf))

    def forward(self, x: Tensor) -> Tensor:
        """Return xW + b."""
        return x @ self.weight + self.bias


def tied() -> nn.Module:
    """Return a language model in small, whose output layer is its embedding."""
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 7, bias=False))
    model[2].weight = model[0].weight
    return model


def shared() -> nn.Module:
    """Return a network that uses one layer twice."""
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer)


def frozen() -> nn.Module:
    """Return a network whose first layer is frozen."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    return model


MODELS: dict[str, tuple[Callable[[], nn.Module], dict[str, int], set[str]]] = {
    # network, entries that are covered by parameter name, reasons of the others
    "LSTM": (
        lambda: nn.LSTM(5, 3, 2),
        {"weight_ih_l0": 60, "weight_hh_l0": 36, "weight_ih_l1": 36, "weight_hh_l1": 36},
        {"biases"},
    ),
    "GRU cell": (lambda: nn.GRUCell(5, 3), {"weight_ih": 45, "weight_hh": 27}, {"biases"}),
    "attention": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16),
        {"self_attn.in_proj_weight": 192, "self_attn.out_proj.weight": 64}
        | {"linear1.weight": 128, "linear2.weight": 128},
        {"biases", "normalizations"},
    ),
    "attention with other widths": (
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
        {"q_proj_weight": 16, "k_proj_weight": 12, "v_proj_weight": 20, "out_proj.weight": 16},
        {"biases"},
    ),
    "transformers' Conv1D": (
        lambda: nn.Sequential(Conv1D(6, 4), Conv1D(2, 6)),
        {"0.weight": 24, "1.weight": 12},
        {"biases"},
    ),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4), nn.Conv3d(4, 1, 1)),
        {"0.weight": 18, "1.weight": 48, "3.weight": 4},
        {"biases", "normalizations"},
    ),
    "bilinear": (lambda: nn.Bilinear(2, 3, 4), {"weight": 24}, {"biases"}),
    "a tied embedding": (tied, {"1.weight": 16}, {"embeddings"}),
    "a layer used twice": (shared, {"0.weight": 16}, {"biases"}),
    "a frozen layer": (frozen, {"1.weight": 6}, {"biases", "frozen"}),
    "all frozen": (lambda: nn.Linear(4, 3).requires_grad_(False), {"weight": 12}, {"biases"}),
    "an empty layer": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 0)), {"0.weight": 12}, {"biases", "empty"}),
    "PReLU": (lambda: nn.Sequential(nn.Linear(4, 3), nn.PReLU()), {"0.weight": 12}, {"biases", "of PReLU"}),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_what_multiplies_is_covered_and_the_rest_has_a_reason(name: str) -> None:
    make, covered, reasons = MODELS[name]
    model = make()
    found = coverage(model)
    assert {part.name: part.size for part in found.covered} == covered
    assert {part.reason for part in found.left} == reasons
    total = sum(p.numel() for p in model.parameters())
    assert sum(part.size for part in found.parts) == total
    assert found.share == sum(covered.values()) / total
    assert repr(found).startswith(f"Coverage({sum(covered.values()):,} of {total:,} parameters, ")
    assert list(prunable(model)) == list(covered) == list(scores.magnitude(model))


def test_embeddings_and_frozen_weights_are_covered_on_request() -> None:
    assert list(prunable(tied(), ["0", "1.weight"])) == ["0.weight", "1.weight"]
    assert list(prunable(frozen(), ["0.weight"])) == ["0.weight"]


def weight_norm() -> nn.Module:
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 3)))


def old_weight_norm() -> nn.Module:
    with pytest.warns(FutureWarning):
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 3)))


def cut() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 3))
    prune.l1_unstructured(model[0], "weight", amount=0.4)
    return model


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (cut, r"'0.weight' pruned by torch.nn.utils.prune: call prune.remove\(module, 'weight'\) first"),
        (weight_norm, r"'0.weight' parametrized \(_WeightNorm\): call .*remove_parametrizations\(module, 'weight'\)"),
        (old_weight_norm, "'0.weight' computed from other parameters: name the parameters to prune"),
        (
            lambda: nn.Sequential(nn.LayerNorm(4)),
            r"no weight that is pruned by default: .* 0.weight \(normalizations\)",
        ),
        (lambda: nn.LazyLinear(3), "lazy parameter 'weight': run it once on a batch"),
        (nn.ReLU, "model has no parameters: give a module that has"),
    ],
)
def test_where_nothing_can_be_pruned_the_way_out_is_said(make: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prunable(make())


def test_a_quantized_model_is_named_as_one() -> None:
    from torch.ao.nn.quantized import Linear

    with pytest.raises(ValueError, match=r"no parameters \(its layers Linear are quantized\)"):
        prunable(nn.Sequential(Linear(4, 3)))
