"""Figures in words: axes from the drawing, series from the table, nothing lost but what the table has."""

from __future__ import annotations

from bs4 import BeautifulSoup

from prunekit.book import plotting
from prunekit.book.site import described


def drawn(palette):
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 10], [0.001, 1], color=palette.series[0], label="cone, predicted")
    left.set(xlabel="width k (units)", ylabel="risk < 1\nof two kinds", yscale="log", title="first")
    left.legend()
    right.bar(["one", "two"], [1, 2])
    right.set(ylim=(0, 2), yticks=[0, 1, 2])
    right.text(0, 1, "here")
    figure.legend(*left.get_legend_handles_labels())
    return figure


def lines(**columns):
    return list(described.series(plotting.to_csv(columns)))


def test_axes_are_told_with_units_and_ends_and_the_legend():
    first, second, legend = described.panels(plotting.svg(drawn, plotting.LIGHT).decode())
    assert first == (
        "Panel 1: Horizontal: width k (units), 2 to 10. Vertical: risk < 1 of two kinds, 10⁻³ to 10⁰. "
        "Words in it: first. Legend: cone, predicted."
    )
    assert second == "Panel 2: Horizontal: one to two. Vertical: 0 to 2. Words in it: here."
    assert legend == "Legend: cone, predicted."


def test_formulas_of_a_drawing_are_characters():
    assert described.plain(r"$\mathdefault{6\times10^{-2}}$") == "6×10⁻²"
    assert described.plain("n &lt; k") == "n < k"


def test_a_series_is_told_by_its_ends_and_its_extremes_where_they_lie_between():
    told = lines(
        kind=["predicted"] * 6,
        k=[3, 1, 2, 4, 5, 6],
        risk=[9.0, 1.5, 0.25, 2, 2, 1e-7],
        standard_error=[0.5, *[0.1] * 5],
    )
    assert told == [
        "predicted, risk against k, 6 points: 1.5 at 1, 1·10⁻⁷ at 6; greatest 9 at 3; standard errors up to 0.5"
    ]
    assert lines(k=[1, 2, 3, 4, 5], risk=[2, -1.0, 2, 2, 3]) == [
        "risk against k, 5 points: 2 at 1, 3 at 5; least −1 at 2"
    ]
    assert lines(k=[1, 2, 3, 4, 5], risk=[2.5] * 5) == ["risk against k, 5 points from 1 to 5: always 2.5"]


def test_every_column_of_numbers_is_told_and_empty_cells_are_not():
    assert lines(k=[1, 2], dense=[1, None], pruned=[None, 0.5], unknown=[None, None]) == [
        "dense against k: 1 at 1",
        "pruned against k: 0.5 at 2",
    ]
    assert lines(label=["a", "a", "b"], size=[1, 3, 2]) == ["a, size: 2 values, 1 to 3", "b, size: 2"]
    assert lines(word=["a", "b"], other=["c", "c"]) == []


def test_rows_with_names_of_their_own_are_places():
    told = lines(layer=["in", "middle", "out"], kept=[0.5, 0.25, 1], lost_share=[0.5, 0.75, 0])
    assert told == [
        "kept against layer: 0.5 at in, 0.25 at middle, 1 at out",
        "lost share against layer: 0.5 at in, 0.75 at middle, 0 at out",
    ]


def test_columns_of_few_numbers_tell_series_apart_only_where_rows_would_stand_at_one_place():
    grid = {"width": [1, 2, 1, 2], "depth": [3, 3, 4, 4], "risk": [0.1, 0.2, 0.3, 0.4]}
    assert lines(**grid) == [
        "depth 3, risk against width: 0.1 at 1, 0.2 at 2",
        "depth 4, risk against width: 0.3 at 1, 0.4 at 2",
    ]
    assert lines(width=[1, 2], depth=[3, 4], risk=[0.1, 0.2]) == [
        "depth against width: 3 at 1, 4 at 2",
        "risk against width: 0.1 at 1, 0.2 at 2",
    ]


def test_a_description_is_folded_and_short():
    many = described.MOST + 5
    table = plotting.to_csv(
        {"label": [f"<{i}>" for i in range(many)] * 2, "k": [1] * many + [2] * many, "risk": range(2 * many)}
    )
    details = BeautifulSoup(
        described.described(plotting.svg(drawn, plotting.LIGHT).decode(), table, "many"), "html.parser"
    ).details
    assert details["id"] == described.label("many") and not details.has_attr("open")
    items = [item.text for item in details.select("li")]
    assert len(items) == described.MOST + 1
    assert items[0].startswith("<0>, risk against k") and items[-1] == "and 5 more, which the CSV has"
    assert [p.text.partition(":")[0] for p in details.select("p")] == ["Panel 1", "Panel 2", "Legend"]
