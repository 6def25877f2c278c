"""The paper's networks, and all limits of one network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prunekit import limit
from prunekit.limit import METHODS, measured_limit, pruning_limit
from prunekit.nets import Dataset
from tests.limit.helpers import linear_problem


def test_the_papers_path_is_kept_by_a_shorter_training():
    paper = limit.PAPER["fc5"].config()
    assert limit.l1_path(paper, 50_000) == pytest.approx(5e-5 * 0.01 * 200 * 391 / 0.1)
    short = limit.PAPER["fc5"].config(epochs=20, l1=5e-4)
    assert limit.l1_path(short, 50_000) == pytest.approx(limit.l1_path(paper, 50_000))
    with pytest.raises(ValueError, match="constant learning rate"):
        limit.l1_path(limit.PAPER["resnet18"].config(), 50_000)


def test_there_are_the_papers_eight_tasks():
    tasks = {name: each.data for name, each in limit.PAPER.items()}
    assert [*tasks.values()].count("cifar10") == 4  # Table 2: FC5, FC12, AlexNet, VGG16
    for data in ("cifar100", "tiny-imagenet"):  # and two residual networks on each of two further sets
        assert [name.split("-")[0] for name, d in tasks.items() if d == data] == ["resnet18", "resnet50"]


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "resnet18", "resnet50", "resnet50-tiny-imagenet"])
def test_convolutional_networks_warm_up_as_far_as_a_training_goes(name):
    assert limit.PAPER[name].config().warmup == 5
    assert limit.PAPER[name].config(epochs=1).warmup == 0
    assert limit.PAPER[name].config(per_batch=True).per_batch and not limit.PAPER[name].config().per_batch


@pytest.mark.parametrize(("name", "size"), [("fc5", 3_885_010), ("fc12", 7_269_610), ("alexnet", 46_787_978)])
def test_the_papers_networks_are_built_for_the_data(name, size):
    images = torch.zeros(2, 3, 32, 32)
    labels = torch.tensor([0, 9])
    data = Dataset("like cifar10", images, labels, images, labels, 10, torch.zeros(3), torch.ones(3))
    network = limit.PAPER[name].build(data, 0)
    assert sum(p.numel() for p in network.parameters()) == size
    assert network(images).shape == (2, 10)


def test_a_comparison_is_what_its_parts_say():
    model, data = linear_problem()
    found = limit.compare_limits(model, data, epsilon=0.05, shares=np.arange(1, 37) / 36)
    row = found.row()
    assert row["weights"] == 36
    for method in METHODS:
        assert row[f"predicted {method}"] == pruning_limit(model, data, epsilon=0.05, method=method).fraction
    assert row["predicted program, error"] is None
    again = measured_limit(model, data, rule="training loss", epsilon=0.05, shares=np.arange(1, 37) / 36)
    assert row["measured training loss"] == again.fraction
    kept = found.predicted["published"].kept
    assert row["gap"] == limit.upper_gap(found.landscape, 0.05, kept).value
    assert row["negative_share"] < 1e-6
    assert row["trace"] == pytest.approx(np.trace(found.landscape.hessian))
    by_products = limit.compare_limits(
        model, data, epsilon=0.05, dense=False, shares=[0.5], lanczos=limit.Lanczos(steps=10, probes=2)
    )
    assert "predicted re-optimized" not in by_products.row()
