"""Drawings as files: one for both backgrounds where only colours differ, and nothing lost on the way."""

from __future__ import annotations

import base64
import re

import pytest
from bs4 import BeautifulSoup

from prunekit.book import plotting
from prunekit.book.site import drawings, rooms

NUMBERS = {"width": [1, 2], "risk": [1.0, 0.5]}


def figure(draw):
    return plotting.markup(draw, NUMBERS, name="risk", alt="A line < falls.", caption="Wider is better.")


def line(palette):
    import matplotlib.pyplot as plt

    shown, axes = plt.subplots(figsize=(3, 2))
    axes.plot([1, 2], [1.0, 0.5], marker="o", color=palette.series[0])
    axes.axhline(0.7, color="#123456" if palette.name == "light" else "#abcdef")
    return shown


def other_shape(palette):
    import matplotlib.pyplot as plt

    shown, axes = plt.subplots(figsize=(3, 2))
    axes.plot([1, 2] if palette.name == "light" else [1, 2, 3], [1.0, 0.5] if palette.name == "light" else [1, 2, 3])
    return shown


def coloured(drawing: str, theme: str) -> str:
    """Return a drawing of both backgrounds as a browser colours it for one."""
    own, other = re.search(r"<style>:root\{(.*?)\}:root:target\{(.*?)\}</style>", drawing).groups()
    colours = dict(rule.split(":") for rule in (own if theme == "light" else other).split(";"))
    return re.sub(r"var\((--c\d+)\)", lambda match: colours[match[1]], drawing)


def test_one_file_is_both_drawings(tmp_path):
    whole = BeautifulSoup(figure(line), "html.parser")
    drawn = [base64.b64decode(i["src"].partition("base64,")[2]).decode() for i in whole.select("img")]
    before = f"<p>before</p>{figure(line)}<p>after</p>"
    page = BeautifulSoup(drawings.lifted(before, "chapters/x/y", tmp_path), "html.parser")
    assert [i["src"] for i in page.select("img")] == [
        f"../../_static/figures/chapters-x-y/risk.svg{end}" for end in ("", "#dark")
    ]
    assert [p.text for p in page.find_all("p", recursive=False)] == ["before", "after"]
    assert {i["alt"] for i in page.select("img")} == {"A line < falls."}
    details = page.select_one("figure + details")
    assert {i["aria-details"] for i in page.select("img")} == {details["id"]}
    assert details.select_one("li").text == "risk against width: 1 at 1, 0.5 at 2"
    assert all((i["width"], i["height"]) == ("288", "192") for i in page.select("img"))
    assert page.select_one("figcaption").text == whole.select_one("figcaption").text
    folder = tmp_path / drawings.FOLDER / "chapters-x-y"
    assert sorted(file.name for file in folder.iterdir()) == ["risk.csv", "risk.svg"]
    assert (folder / "risk.csv").read_text() == plotting.to_csv(NUMBERS)
    one = (folder / "risk.svg").read_text()
    for theme, expected in zip(("light", "dark"), drawn, strict=True):
        bare = re.sub(r"<style>:root\{.*?</style>", "", coloured(one, theme).replace(' id="dark"', "", 1))
        names = re.compile(r"\b[a-z][0-9a-f]{10}\b")  # made of the style, so of the colour
        assert names.sub("", bare) == names.sub("", expected)
        assert "#123456" in bare if theme == "light" else "#abcdef" in bare


def test_drawings_that_differ_are_two_files(tmp_path):
    page = BeautifulSoup(drawings.lifted(figure(other_shape), "book/x", tmp_path), "html.parser")
    names = [i["src"].rpartition("/")[2] for i in page.select("img")]
    assert names == ["risk-light.svg", "risk-dark.svg"]
    assert page.img["src"] == "../_static/figures/book-x/risk-light.svg"
    light, dark = ((tmp_path / drawings.FOLDER / "book-x" / name).read_text() for name in names)
    assert light != dark and "var(" not in light + dark


def test_the_reference_is_split_by_its_sections():
    pages = rooms.split("# All\n\nHello.\n\n## One, two\n\nText.\n\n## Three\n\n### Inside\n")
    assert list(pages) == ["book/api", "book/api/one-two", "book/api/three"]
    assert pages["book/api/one-two"] == "# One, two\n\nText.\n\n"
    assert pages["book/api/three"] == "# Three\n\n### Inside\n"
    assert "{doc}`One, two </book/api/one-two>`" in pages["book/api"] and "Hello." in pages["book/api"]
    with pytest.raises(ValueError, match="two sections of the reference would be book/api/a"):
        rooms.split("# All\n## A\n## a\n")
