"""A diagnosis of some parts alone: they are done as in a whole one, and the others are named as not asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prunekit import diagnose


@pytest.fixture
def given() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    x = torch.randn(300, 5)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)), (x, x[:, :3].argmax(dim=1))


def test_only_the_parts_that_were_asked_for_are_done(given) -> None:
    model, data = given
    report = diagnose(model, data, budget=None, parts=("layers measured", "weights"), progress=False)
    assert list(report.spent) == ["weights", "layers measured"]
    whole = diagnose(model, data, budget=None, progress=False)
    assert report.found["layers measured"] == whole.found["layers measured"]
    assert set(report.left_out) == set(whole.spent) - set(report.spent)
    assert set(report.left_out.values()) == {"left out: not asked for"}


def test_a_part_that_is_none_is_refused(given) -> None:
    model, data = given
    with pytest.raises(ValueError, match="is 'spectra': give one of 'weights', 'measured'"):
        diagnose(model, data, budget=None, parts=("spectra",))
    with pytest.raises(TypeError, match="parts is 'weights': give a sequence of names of parts"):
        diagnose(model, data, budget=None, parts="weights")
