"""What the page on trained networks tests, against numpy and scipy on small made-up tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from prunekit.book.figures import network_tests as tests
from prunekit.book.recordings import recording
from prunekit.book.settings import PaperSetting
from prunekit.book.tables import tabulated
from prunekit.statistics import rank_correlation_and_error
from tests.book.figures.test_networks import by_layer, by_share, trained

FULL, CONVOLUTIONAL = tests.KINDS


def test_the_correlations_of_a_kind_are_averaged() -> None:
    table = tabulated(trained())
    table["alpha"][1] = 1.999  # FCN4's second network breaks the order
    found = tests.ratio_trend(table, FULL)
    parts = [
        rank_correlation_and_error(table["ratio"][at], np.array(table["alpha"][at], dtype=float))
        for at in (slice(0, 4), slice(4, 8))
    ]
    assert found is not None and found.nets == 8
    assert found.value == pytest.approx((parts[0][0] + parts[1][0]) / 2) and parts[1][0] == -1
    assert found.error == pytest.approx(np.hypot(parts[0][1], parts[1][1]) / 2)
    cnn = tests.ratio_trend(table, CONVOLUTIONAL)
    assert cnn is not None and (cnn.value, cnn.nets) == (-1.0, 4)  # the network that was lost has no tail index


def test_too_few_networks_or_equal_ones_show_no_trend() -> None:
    assert tests.ratio_trend(tabulated(trained()[:3]), FULL) is None
    assert tests.ratio_trend(tabulated(trained(fall=0.0)), FULL) is None
    assert tests.ratio_trend(tabulated(trained()[:4]), CONVOLUTIONAL) is None
    assert tests.told(None, FULL, {"what": "a number"}) is None


def test_layers_are_ranked_together_and_networks_are_left_out_one_by_one() -> None:
    found, rows = tests.layer_trend(tabulated(by_layer()), CONVOLUTIONAL), by_layer()[24:]
    assert found is not None and found.nets == 4
    assert found.value == pytest.approx(
        stats.spearmanr([r["alpha"] for r in rows], [r["prunable"] for r in rows]).statistic
    )
    assert found.error > 0


@pytest.mark.parametrize("lead", [0.1, -0.1])
def test_accuracies_are_averaged_over_shares(lead: float) -> None:
    table = tabulated(by_share(lead))
    found = tests.pruned_trend("layer")(table, FULL)
    assert found is not None and np.sign(found.value) == -np.sign(lead)
    alphas, means = tests.by_net({k: np.array(v)[np.array(table["method"]) == "layer"] for k, v in table.items()})
    assert len(alphas) == 12 and means[0] == pytest.approx(np.mean([1 - 0.6 * p for p in (0.5, 0.88, 0.98)]))
    behind = tests.behind_weights(table, FULL)
    assert behind is not None and (behind.value, behind.error) == (0.0, 0.0)


def test_the_third_of_largest_index_is_compared_with_the_others() -> None:
    found = tests.last_third(tabulated(trained()), FULL)
    assert found is not None
    assert found.value == pytest.approx(-2.0)  # 90 and 91% against 92 and 93%
    assert found.error == pytest.approx(np.sqrt(0.25 + 0.25) * np.sqrt(2) / 2)


def test_differences_are_those_of_networks() -> None:
    table = {"network": ["CNN"] * 4, "net": ["a", "a", "b", "b"], "x": [1.0, 2.0, 3.0, 4.0], "y": [1.1, 1.9, 3.3, 4.0]}
    found = tests.difference("x", "y")(table, CONVOLUTIONAL)
    assert found is not None
    assert (found.value, found.error) == (pytest.approx(0.125), pytest.approx(0.025))


def test_a_setting_is_read_off_the_parameters_of_a_recording() -> None:
    paper = PaperSetting(
        data="mnist", training_images=60_000, test_images=10_000, training_loss="below 5e-05", averaged_iterates=1000,
        batch_sizes="50 and 100", learning_rates=None, initial_weights=None, convolutions=8,
    )  # fmt: skip
    recorded = recording("heavy-tails/networks", "mnist")
    setting = tests.setting_of(paper, CONVOLUTIONAL, recorded.parameters)
    assert setting.smaller["training_images"] == "5,000 of 60,000 training images"
    assert setting.smaller["convolutions"] == "3 of 8 convolutions"
    assert "data" not in setting.smaller
    whole = {"data": "mnist", "images": [60_000, 10_000], "loss_bound": 5e-5, "averaged_updates": 1000, "plan": []}
    whole |= {"batches": [50, 100], "rates": {"CNN": [0.1]}}
    assert not tests.setting_of(paper, CONVOLUTIONAL, whole).is_smaller


def test_what_is_told_names_the_kind() -> None:
    told = tests.told(tests.Found(0.5, 0.1, 7), FULL, {"what": "a number", "margin": 0.2})
    assert told is not None
    assert (told["what"], told["measured"], told["repetitions"]) == ("a number, fully-connected networks", 0.5, 7)
    assert (told["relation"], told["margin"]) == ("at most", 0.2)


def test_an_interval_is_a_row_of_the_figure() -> None:
    x = np.arange(6.0)
    (row,) = tests.interval("layer", "CNN", x, -(x**2), seed=0)
    assert (row["correlation"], row["nets"], row["test"]) == (-1.0, 6, "layer")
    assert tests.interval("layer", "CNN", x, x * 0, seed=0) == []
