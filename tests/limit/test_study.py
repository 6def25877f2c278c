"""Studies train what they say, with a penalty that reaches as far as they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prunekit.limit import l1_path
from prunekit.limit.study import DIGITS, Study
from prunekit.limit.tasks import PAPER, SMALL
from prunekit.nets import load
from prunekit.nets.models import count


@pytest.fixture(scope="module")
def small() -> Study:
    return Study.at("smoke", images=(100, 60), epochs=3)


@pytest.mark.parametrize("reach", [0.5, 4.0])
def test_the_penalty_reaches_as_far_as_is_said(small: Study, reach: float) -> None:
    steps = 3 * 1  # of one batch an epoch
    for name in SMALL:
        config = small.config(name, reach, 7)
        assert config.l1 * 0.05 / (1 - 0.9) * steps == pytest.approx(reach * 5e-5 * 0.01 / 0.1 * 200 * 391)
        assert (config.seed, config.penalize, config.crop, config.flip) == (7, "all", 0, False)
        assert l1_path(config, 100) == pytest.approx(reach * l1_path(PAPER["fc5"].config(), 50_000))


def test_a_network_of_the_paper_is_penalized_in_the_long_run_as_there() -> None:
    study = Study.at("laptop", "resnet18", "digits", images=(200, 50), epochs=20, lr=0.05)
    config = study.config("resnet18", 2, 0)
    assert config.l1 == pytest.approx(2 * 5e-5 * (200 * 600 * 0.1) / (20 * 200 * 0.05))
    assert config.crop == 0 and config.schedule == "cosine"
    assert study.lr == 0.05 and list(study.tasks) == ["resnet18"]


def test_all_digits_that_are_not_trained_on_can_be_held_out(small: Study) -> None:
    whole = Study.at("laptop")
    assert (len(whole.data.train_y), len(whole.data.test_y)) == (600, DIGITS - 600)
    digits = load("digits", seed=0)
    every = torch.cat([digits.train_x, digits.test_x])
    assert torch.equal(torch.cat([whole.data.train_x, whole.data.test_x]), every)
    assert torch.equal(small.data.test_x, every[100:160])
    assert small.pairs[0].dtype == torch.float32 and len(small.pairs[1]) == 100


def test_the_networks_of_a_study_are_trained_one_for_each_case(small: Study) -> None:
    longer = replace(small, epochs=60)
    first, second = longer.train("MLP", [(0.1, 3), (4, 3)])
    assert count(first.model) == 64 * 16 + 16 * 10
    weights = [torch.cat([p.detach().flatten() for p in each.model.parameters()]) for each in (first, second)]
    assert weights[1].abs().sum() < weights[0].abs().sum()  # the stronger penalty
    assert longer.learned(first) and not small.learned(small.train("MLP", [(16, 3)])[0])
    alone = longer.train("MLP", [(4, 3)])[0]
    np.testing.assert_allclose(
        torch.cat([p.detach().flatten() for p in alone.model.parameters()]), weights[1], atol=1e-5
    )


def test_what_cannot_be_studied_is_refused(small: Study) -> None:
    with pytest.raises(ValueError, match="network is 'fc6': give 'small' or one of fc5"):
        Study.at("smoke", "fc6")
    with pytest.raises(ValueError, match="images are 1000 and 1000, and there are 1797 digits"):
        Study.at("smoke", images=(1000, 1000))
    with pytest.raises(ValueError, match="reach is"):
        small.config("MLP", 0.0, 0)
    with pytest.raises(ValueError, match="name is 'fc5'"):
        small.config("fc5", 1.0, 0)
    with pytest.raises(ValueError, match="MLP diverged at seed 2: give a smaller lr"):
        Study.at("smoke", images=(100, 60), epochs=3, lr=1e30).train("MLP", [(1, 2)])
    with pytest.raises(ValueError, match="scale is 'large'"):
        Study.at("large")


def test_what_is_not_given_is_chosen_by_the_scale() -> None:
    laptop = Study.at("laptop", seed=3)
    assert laptop.cases == [(reach, k) for reach in (1, 4, 16) for k in (3000, 3001)]
    assert (laptop.epochs, laptop.lr, laptop.small, laptop.augment) == (300, 0.05, True, False)
    given = Study.at("laptop", epochs=2, reach=[0.5], seeds=1)
    assert (given.epochs, given.cases) == (2, [(0.5, 0)])
    how, other = laptop.lanczos(5), laptop.lanczos(5, steps=7, probes=2)
    assert (how.steps, how.probes, how.direction_steps, how.seed) == (32, 3, 16, 5)
    assert (other.steps, other.probes, other.direction_steps) == (7, 2, 16)


def test_only_the_whole_training_at_the_scale_of_the_paper_is_augmented() -> None:
    whole = {"network": "fc5", "data": "digits", "images": (600, DIGITS - 600)}
    assert Study.at("paper", **whole).augment and Study.at("paper", **whole).config("fc5", 1, 0).flip
    assert not Study.at("laptop", **whole).augment
    assert not Study.at("paper", **whole, epochs=100).augment
    assert not Study.at("paper", **whole | {"images": (500, 600)}).augment


def test_all_networks_of_a_study_come_with_their_case(small: Study) -> None:
    short = replace(small, epochs=1, reach=(1.0,), seeds=(2, 3))
    found = list(short.networks())
    assert [each[:3] for each in found] == [(name, 1.0, k) for name in SMALL for k in (2, 3)]
    assert all(each[3].history.rows[-1]["epoch"] == 1 for each in found)
