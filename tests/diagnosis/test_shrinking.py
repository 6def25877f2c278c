"""A smaller network in fact, where Torch-Pruning is installed."""

from __future__ import annotations

import copy

import pytest
import torch

from .helpers import perceptron, report, table
from .test_balance import convolutional, images


def test_shrinking_says_which_extra_is_missing() -> None:
    try:
        import torch_pruning  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"prunekit\[shrink\]"):
            report().shrink(perceptron(), table()[0][:2], 0.5)
    else:
        pytest.skip("Torch-Pruning is installed")


def test_smaller_network_computes_what_the_masked_one_does() -> None:
    pytest.importorskip("torch_pruning", reason="Torch-Pruning is not installed (prunekit[shrink])")
    model = perceptron()
    before = copy.deepcopy(model.state_dict())
    small = report().shrink(model, table()[0][:8], 0.5)
    assert [p.shape[0] for p in small.parameters() if p.ndim == 2] == [12, 8, 3]
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_convolutions_shrink_too() -> None:
    pytest.importorskip("torch_pruning", reason="Torch-Pruning is not installed (prunekit[shrink])")
    import prunekit

    x, labels = images()
    found = prunekit.diagnose(convolutional(), (x, labels), budget=None, epsilon=0.05, parts=["weights", "saliencies"])
    small = found.shrink(convolutional(), x[:4], 0.5)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in convolutional().parameters())
