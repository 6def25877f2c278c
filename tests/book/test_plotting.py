"""Figures: the same bytes every time, words and numbers attached, colours that everybody can tell apart."""

import base64
import csv
import io
import itertools
import re

import numpy as np
import pytest

from prunekit.book import plotting
from prunekit.book.plotting import DARK, LIGHT, columns, compare, glance, joined, legend, svg, to_csv

BACKGROUNDS = {"light": ("#ffffff",), "dark": ("#121212", "#14181e")}
LEAST_CONTRAST = 3.0  # WCAG 2.1, 1.4.11: graphical objects
LEAST_DISTANCE = 10.0  # in CIELAB; 2.3 is just noticeable side by side
# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIGHTS = {
    "common": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


PREDICTED = {"dense": ([0, 1, 2, 3], [1, 3, 2, 1]), "oracle": ([0, 1, 2, 3], [1, 2, 1, 0.5])}
MEASURED = {"oracle": ([0, 3], [1.1, 0.4], [0.1, 0.2]), "retrained": ([1, 2], [2.5, 2.2], [0.1, 0.1])}


def draw(palette):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    compare(axes, palette, PREDICTED, MEASURED, gap_at=1.5)
    axes.legend()
    return figure


@pytest.fixture
def shown(monkeypatch):
    """Call `plotting.show` and return its HTML, its text and its record."""
    caught = []
    monkeypatch.setattr(plotting, "show_record", lambda record, html, text: caught.append((html, text, record)))

    def call(**changes):
        words = {"name": "risk", "alt": "Risk against width", "caption": "It falls."} | changes
        plotting.show(draw, {"k": [1, 2], "risk": [0.5, 0.25]}, **words)
        return caught.pop()

    return call


def test_a_figure_drawn_twice_has_the_same_bytes():
    for palette in (LIGHT, DARK):
        assert svg(draw, palette) == svg(draw, palette)


def test_light_and_dark_differ_in_colours_alone():
    light, dark = (svg(draw, palette).decode() for palette in (LIGHT, DARK))
    assert light != dark
    for mine, other, palette in ((light, dark, LIGHT), (dark, light, DARK)):
        for colour in (palette.ink, *palette.series[:3]):
            assert colour in mine
            assert colour not in other
    hide = re.compile(r"#[0-9a-f]{6}|#?[mp][0-9a-f]{10}\b")  # colours, and the names that are hashed from them
    assert hide.sub("", light) == hide.sub("", dark)


def without_names(drawing: bytes) -> str:
    """Return a drawing without the names that are hashed from colours."""
    return re.sub(r"#?[hmp][0-9a-f]{10}\b", "", drawing.decode())


def counted(draw):
    """Return a drawing function that counts its calls, and the list they are counted in."""
    calls = []
    return lambda palette: calls.append(palette) or draw(palette), calls


def with_bars(palette):
    """Draw what pages draw: see-through areas, hatches, words in muted ink, mathematics."""
    figure = draw(palette)
    axes = figure.axes[0]
    axes.fill_between([0, 1], [0, 0], [1, 2], color=palette.series[3], alpha=0.3, hatch="//")
    axes.bar([1, 2], [1, 1], color=palette.series, edgecolor=palette.ink)
    axes.annotate("here", (1, 1), color=palette.muted)
    axes.set(xscale="log", title="$x^2$")
    return figure


@pytest.mark.parametrize("drawing", [draw, with_bars])
def test_a_figure_in_the_palettes_colours_is_drawn_once_and_is_as_if_drawn_again(drawing):
    once, calls = counted(drawing)
    light, dark = plotting.pair(once)
    assert len(calls) == 1
    assert light == svg(drawing, LIGHT)
    assert without_names(dark) == without_names(svg(drawing, DARK))


def by_name(palette):
    figure = draw(palette)
    figure.axes[0].set(title=f"on a {palette.name} page")
    return figure


def mixed(palette):
    figure = draw(palette)
    figure.axes[0].axhline(1, color="#5090a0" if palette.ink == LIGHT.ink else "#90b0c0")
    return figure


def raster(palette):
    figure = draw(palette)
    figure.axes[0].imshow(np.eye(3), cmap="gray", extent=(0, 1, 0, 1))
    return figure


@pytest.mark.parametrize("drawing", [by_name, mixed, raster])
def test_a_figure_in_other_colours_is_drawn_for_each_page(drawing):
    twice, calls = counted(drawing)
    light, dark = plotting.pair(twice)
    assert len(calls) == 2
    assert (light, dark) == (svg(drawing, LIGHT), svg(drawing, DARK))


def test_a_figure_has_no_background_of_its_own():
    for palette in (LIGHT, DARK):
        assert "#ffffff" not in svg(draw, palette).decode()


def test_drawing_leaves_no_figure_open_and_no_setting_changed():
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before, opened = dict(mpl.rcParams), plt.get_fignums()
    svg(draw, DARK)
    assert plt.get_fignums() == opened
    assert dict(mpl.rcParams) == before


def test_show_displays_both_drawings_with_words_and_numbers(shown):
    markup, text, record = shown(alt='Risk "falls" & k < n', caption="It falls < 1.")
    images = re.findall(r'<img class="(pk-\w+)" alt="([^"]*)" src="data:image/svg\+xml;base64,([^"]+)">', markup)
    assert [(name, alt) for name, alt, _ in images] == [
        (name, "Risk &quot;falls&quot; &amp; k &lt; n") for name in ("pk-light", "pk-dark")
    ]
    found = [without_names(base64.b64decode(data)) for *_, data in images]
    assert found == [without_names(svg(draw, palette)) for palette in (LIGHT, DARK)]
    assert "It falls &lt; 1." in markup
    [(name, data)] = re.findall(r'download="([^"]+)" href="data:text/csv;charset=utf-8;base64,([^"]+)"', markup)
    assert name == "risk.csv"
    assert base64.b64decode(data).decode() == "k,risk\n1,0.5\n2,0.25\n"
    assert text == "[risk] It falls < 1."
    assert record == {"kind": "figure", "name": "risk", "alt": 'Risk "falls" & k < n', "caption": "It falls < 1."}


def drawn(**settings):
    """Return the lines (x, y, colour) and the error bars' (x, mean, colour) of `compare`, by label."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    compare(axes, LIGHT, PREDICTED, MEASURED, **settings)
    plt.close(figure)
    bars = {bar.get_label(): bar[0] for bar in axes.containers}
    lines = {line.get_label(): line for line in axes.lines if line not in bars.values()}
    return {
        label: (line.get_xdata().tolist(), line.get_ydata().tolist(), line.get_color())
        for label, line in (lines | bars).items()
        if not label.startswith("_")
    }


def test_predictions_are_lines_and_measurements_markers_of_the_same_colour():
    found = drawn()
    assert set(found) == {"dense, predicted", "oracle, predicted", "oracle, measured", "retrained, measured"}
    for label, (x, y) in PREDICTED.items():
        assert found[f"{label}, predicted"][:2] == (x, y)
    for label, (x, mean, _) in MEASURED.items():
        assert found[f"{label}, measured"][:2] == (x, mean)
    assert found["oracle, predicted"][2] == found["oracle, measured"][2]
    assert len({colour for *_, colour in found.values()}) == 3


def test_a_line_is_interrupted_at_a_pole_within_its_range_alone():
    x, y, _ = drawn(gap_at=1.5)["dense, predicted"]
    assert x == [0, 1, 1.5, 2, 3]
    assert [i for i, value in enumerate(y) if np.isnan(value)] == [2]
    assert drawn(gap_at=5.0)["dense, predicted"] == drawn()["dense, predicted"]


def test_the_numbers_behind_a_comparison_are_those_drawn():
    table = columns("k", "risk", PREDICTED, MEASURED)
    assert list(table) == ["kind", "label", "k", "risk", "standard_error"]
    rows = list(zip(*table.values(), strict=True))
    assert rows[1] == ("predicted", "dense", 1, 3, None)
    assert rows[-1] == ("measured", "retrained", 2, 2.2, 0.1)
    assert len(rows) == 12
    to_csv(table)


@pytest.mark.parametrize("word", ["name", "alt", "caption"])
@pytest.mark.parametrize("text", ["", " \n"])
def test_a_figure_without_words_is_refused(shown, word, text):
    with pytest.raises(ValueError, match=f"{word} is empty"):
        shown(**{word: text})


@pytest.mark.parametrize("word", ["name", "alt", "caption"])
def test_every_word_has_to_be_given(word):
    words = {"name": "risk", "alt": "Risk against width", "caption": "It falls."}
    del words[word]
    with pytest.raises(TypeError, match=word):
        plotting.show(draw, {"k": [1]}, **words)


def test_csv_keeps_every_digit_and_quotes_what_needs_it():
    given = {
        "k": np.array([1, 2, 3]),
        "risk, measured": [1 / 3, np.float64(0.1), None],
        "rule": ['a "b"', "c,d", "e\nf"],
    }
    rows = list(csv.reader(io.StringIO(to_csv(given))))
    assert rows[0] == list(given)
    assert [int(row[0]) for row in rows[1:]] == [1, 2, 3]
    assert [float(row[1]) for row in rows[1:3]] == [1 / 3, 0.1]
    assert rows[3][1] == ""
    assert [row[2] for row in rows[1:]] == given["rule"]


def test_csv_refuses_columns_of_different_lengths():
    with pytest.raises(ValueError, match="different lengths"):
        to_csv({"a": [1, 2], "b": [1]})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float64("nan"), np.float32("-inf")])
def test_csv_refuses_what_is_not_finite_and_names_the_column(bad):
    with pytest.raises(ValueError, match="numbers\\['b'\\]"):
        to_csv({"a": [1, 2], "b": [1.0, bad]})


def linear(colour):
    """Return the linear RGB of ``#rrggbb``."""
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Return WCAG's contrast ratio of two colours."""
    dark, light = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(colour, sight):
    """Return the CIELAB coordinates (D65) of a colour as somebody of that sight sees it."""
    seen = np.clip(SIGHTS[sight] @ linear(colour), 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    ratios = to_xyz @ seen / [0.95047, 1.0, 1.08883]
    f = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def confusable(colours, sight):
    """Return the pairs of colours nearer than `LEAST_DISTANCE`, with their distances."""
    pairs = itertools.combinations(colours, 2)
    distances = {(a, b): np.linalg.norm(lab(a, sight) - lab(b, sight)) for a, b in pairs}
    return {pair: round(float(d), 1) for pair, d in distances.items() if d < LEAST_DISTANCE}


def test_the_colour_arithmetic_gives_known_values():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    np.testing.assert_allclose(lab("#ff0000", "common"), [53.24, 80.09, 67.20], atol=0.02)
    assert confusable(["#d55e00", "#8a6d00"], "protanopia")
    assert not confusable(["#d55e00", "#8a6d00"], "common")


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=lambda p: p.name)
def test_every_colour_stands_out_from_the_page(palette):
    for background in BACKGROUNDS[palette.name]:
        ratios = {colour: contrast(colour, background) for colour in (*palette.series, palette.ink, palette.muted)}
        assert {c: r for c, r in ratios.items() if r < LEAST_CONTRAST} == {}
        assert min(ratios[palette.ink], ratios[palette.muted]) >= 4.5  # words are set in these


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=lambda p: p.name)
def test_series_can_be_told_apart(palette, sight):
    assert confusable(palette.series, sight) == {}


def test_series_differ_by_shape_as_well():
    count = len(LIGHT.series)
    assert len(DARK.series) == len(set(plotting.MARKERS)) == len(set(plotting.DASHES)) == count


def test_a_glance_is_one_to_three_whole_sentences(capsys):
    glance("It works.", "Does it?")
    assert capsys.readouterr().out == "It works. Does it?\n"
    for wrong, message in (
        ((), "are 0"),
        (("a.",) * 4, "are 4"),
        (("no end",), "ended by a full stop"),
        ((" ",), "whole"),
    ):
        with pytest.raises(ValueError, match=message):
            glance(*wrong)


def test_a_legend_has_one_entry_for_what_is_predicted_and_measured():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    compare(axes, LIGHT, PREDICTED, MEASURED)
    legend(axes, axes, ncols=2)
    legend(figure, axes, title="lines and markers")
    for made in (axes.get_legend(), figure.legends[0]):
        assert [text.get_text() for text in made.get_texts()] == ["dense", "oracle", "retrained"]
    assert figure.legends[0].get_title().get_text() == "lines and markers"
    plt.close(figure)


def test_tables_are_joined_below_each_other():
    tables = {"a": {"x": [1, 2], "y": [3, 4]}, "b": {"x": [5], "y": [6]}}
    assert joined(tables, "from") == {"x": [1, 2, 5], "y": [3, 4, 6], "from": ["a", "a", "b"]}
    with pytest.raises(ValueError, match="tables of the same columns"):
        joined(tables | {"c": {"x": [1]}}, "from")
