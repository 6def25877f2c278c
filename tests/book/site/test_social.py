"""Pictures for those who share a page: their size, that no word leaves them, and that a page names its own."""

from __future__ import annotations

import io
import itertools
import shutil

import pytest
from bs4 import BeautifulSoup
from PIL import Image
from sphinx.application import Sphinx

from prunekit.book import paths
from prunekit.book.runs.notebooks import read
from prunekit.book.site import social
from prunekit.book.site.evidence import chapters

BASE = "https://someone.github.io/pruning"
BOOK = "The theory of neural-network pruning, made executable"


def titles():
    """Return the titles of all chapter pages, as long as they are."""
    return [read(path).node.cells[0].source.splitlines()[0].removeprefix("# ") for path in chapters()]


def test_a_card_is_as_large_as_asked_for_light_and_the_same_each_time():
    card = social.card("Layer death", "A < B.", BOOK)
    image = Image.open(io.BytesIO(card))
    assert (image.format, image.size) == ("PNG", (1200, 630))
    assert len(card) < 50_000
    assert card == social.card("Layer death", "A < B.", BOOK)
    assert card != social.card("Layer death", "A > B.", BOOK)


@pytest.mark.parametrize("title", [max(titles(), key=len), "Mammoth Mountains " * 12, "$k$ of $n", "Glossary"])
def test_no_word_leaves_its_card_or_lies_on_another(title):
    finding = (
        "Hessian pruning was measured at 1.738, wherever the number of samples is not the number of features. " * 6
    )
    for told in (finding[:200], finding, ""):
        figure = social.drawn(title, told, BOOK)
        boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
        assert len(boxes) == 3 - (not told)
        assert all(0 < box.x0 < box.x1 < social.WIDTH and 0 < box.y0 < box.y1 < social.HEIGHT for box in boxes)
        assert all(above.y0 > below.y1 for above, below in itertools.pairwise(boxes))
        assert title.split()[0] in figure.texts[0].get_text()


def built(folder, base):
    """Return the head of a page of a small site with the book's extension and template, and the site's folder."""
    source, site = folder / "source", folder / "site"
    (source / "part").mkdir(parents=True)
    (source / "templates").mkdir()
    shutil.copy(paths.BOOK / "_templates" / "layout.html", source / "templates")
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(paths.BOOK / '_ext')!r})\nextensions = ['pages']\nhtml_theme = 'basic'\n"
        f"templates_path = ['templates']\nproject = 'A book'\nhtml_title = 'A <i>book</i>'\nhtml_baseurl = {base!r}\n"
    )
    (source / "index.rst").write_text("Start\n=====\n\nHello.\n\n.. toctree::\n\n   part/page\n")
    (source / "part" / "page.rst").write_text('When *n* < k\n============\n\nIt "wins" & loses.\n')
    Sphinx(str(source), str(source), str(site), str(folder / "trees"), "html", status=None, warning=None).build()
    return BeautifulSoup((site / "part" / "page.html").read_text(), "html.parser").head, site


def test_a_page_names_its_card_where_the_address_is_known(tmp_path):
    head, site = built(tmp_path, f"{BASE}/")
    told = {tag.get("property") or tag.get("name"): tag["content"] for tag in head.select("meta[content]")}
    assert told["og:url"] == f"{BASE}/part/page.html"
    assert told["og:image"] == f"{BASE}/_static/cards/part-page.png"
    assert told["og:image:alt"] == "When n < k: It “wins” & loses."
    assert told["twitter:card"] == "summary_large_image"
    with Image.open(site / told["og:image"].removeprefix(f"{BASE}/")) as image:
        assert image.size == (int(told["og:image:width"]), int(told["og:image:height"])) == (1200, 630)
    assert {file.name for file in (site / "_static" / "cards").iterdir()} == {"index.png", "part-page.png"}


def test_without_an_address_there_are_no_cards(tmp_path):
    head, site = built(tmp_path, "")
    assert head.select_one("meta[property='og:title']")["content"] == "When n < k"
    assert head.select("meta[property^='og:image'], meta[name^=twitter], meta[property='og:url']") == []
    assert not (site / "_static" / "cards").exists()
