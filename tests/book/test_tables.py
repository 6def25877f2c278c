"""Tables of small results."""

import numpy as np
import pytest

from prunekit.book.tables import pooled, selected, tabulated


def test_rows_become_columns_and_are_selected_by_their_values():
    rows = [{"net": "a", "x": 1}, {"net": "b", "x": 2}, {"net": "a", "x": 3}]
    table = tabulated(rows)
    assert table == {"net": ["a", "b", "a"], "x": [1, 2, 3]}
    assert selected(table, net="a")["x"].tolist() == [1, 3]
    assert selected(table, net="a", x=3)["net"].tolist() == ["a"]
    assert [len(column) for column in selected(table, net="c").values()] == [0, 0]
    for wrong in ([], [{"x": 1}, {"y": 1}]):
        with pytest.raises(ValueError, match="at least one"):
            tabulated(wrong)
    with pytest.raises(ValueError, match="has no column 'k': it has net, x"):
        selected(table, k=1)


def test_cells_that_spread_alike_tell_of_one_spread():
    draws = np.random.default_rng(0).normal([1.0, -2.0, 5.0], 0.5, size=(4000, 4, 3)).transpose(1, 0, 2)
    mean, error, repetitions = zip(*(pooled(draws[:, k]) for k in range(4000)), strict=True)
    assert np.mean(mean, axis=0) == pytest.approx([1.0, -2.0, 5.0], abs=0.02)
    assert np.mean(np.square(error)) == pytest.approx(0.5**2 / 4, rel=0.03)  # unbiased, with the freedom it says
    assert np.var(error) / np.mean(error) ** 2 == pytest.approx(1 / (2 * (repetitions[0] - 1)), rel=0.1)
    assert set(repetitions) == {10}
    with pytest.raises(ValueError, match="samples has 1 repetitions"):
        pooled([[1.0, 2.0]])
