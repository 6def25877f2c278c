"""The start of the book and its chapters' opening pages: what they say is what the runs recorded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from prunekit.book import paths
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site import start
from prunekit.book.site.evidence import Evidence, collect
from prunekit.book.site.scorecard import claims


@pytest.fixture(scope="module")
def evidence(smoke_site):
    assert smoke_site.is_dir()
    return collect("smoke")


def article(site: Path, name: str):
    page = BeautifulSoup((site / "book" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    return page.select_one("article.bd-article")


def words(text: str) -> str:
    return re.sub("[\u2018\u2019]", "'", " ".join(text.split()))


def test_the_start_shows_what_was_found_before_anything_else(smoke_site, evidence):
    page = article(smoke_site, "introduction")
    statements = [s["verdict"] for row in claims(evidence) for s in row["statements"]]
    told = words(page.get_text())
    assert f"Of {len(statements)} statements" in told
    assert f"{sum(v.startswith('reproduced') for v in statements)} are reproduced" in told
    assert sum(int(part.text.split()[0]) for part in page.select("a.pk-bar > span[style]")) == len(statements)
    assert [a["href"] for a in page.select(".pk-start a")] == [f"{t.key}.html" for t in start.THEORIES]
    before = page.select_one("#what-was-found").find_all_previous()
    assert page.select_one(".pk-start") in before and page.select_one("a.pk-bar") in before
    marks = page.select(".pk-map a")
    assert len(marks) == len(statements) and all(a["href"].startswith("scorecard.html#") for a in marks)


def test_an_opening_page_says_what_its_pages_found(smoke_site, evidence):
    pages = {page.name: page for page in evidence.pages}
    start_page = words(article(smoke_site, "introduction").get_text())
    for theory in start.THEORIES:
        page = article(smoke_site, theory.key)
        text = words(page.get_text())
        answer = words(start.sentences(pages[f"{theory.key}/{theory.page}"])[theory.sentence])
        assert answer in text and answer in start_page
        assert page.select("figure.pk-figure img")
        mine = [name for name in pages if name.startswith(f"{theory.key}/")]
        links = [a["href"] for a in page.select("#the-pages li > p > a, #the-pages li > a")]
        assert links == [f"../chapters/{name}.html" for name in mine]
        assert page.select_one("#the-mechanism") and page.select_one("#what-is-assumed")


def test_a_line_that_names_nothing_is_refused(evidence):
    assert start.filled("<!-- house: rooms -->", evidence) == "<!-- house: rooms -->"
    for wrong in ("<!-- start: nothing -->", "<!-- start: pages -->", "<!-- start: pages nowhere -->"):
        with pytest.raises(Refused, match="in the prose: parts are"):
            start.filled(wrong, evidence)


def test_pages_that_have_not_run_are_said_to_wait(evidence):
    nothing = Evidence("smoke", [])
    assert "not been computed yet" in start.filled("<!-- start: found -->", nothing)
    assert start.filled("<!-- start: picture heavy-tails -->", nothing) == ""


def test_every_theory_has_its_page_and_the_glossary_twenty_words():
    for theory in start.THEORIES:
        assert (paths.BOOK / f"{theory.key}.md").is_file()
        assert (paths.CHAPTERS / theory.key / f"{theory.page}.md").is_file()
    glossary = (paths.BOOK / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^(\w[\w -]+)$", glossary.partition("{glossary}")[2], re.MULTILINE)
    assert len(terms) == len(set(terms)) == 20
