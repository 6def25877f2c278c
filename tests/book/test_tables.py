"""Tables of small results."""

import pytest

from prunekit.book.tables import selected, tabulated


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
