"""The book in print: contents, numbers, bookmarks, links that stay inside; without a Chromium nothing, said aloud."""

from __future__ import annotations

import re
import shutil
import unicodedata

import pytest
from pypdf import PdfReader

from prunekit.book.site import pdf

DOCUMENTS = ("book/notation", "chapters/matrix-sensing/pruning", "book/bibliography")
TITLES = ("Notation", "Pruning and fine-tuning", "Bibliography")


@pytest.fixture(scope="module")
def printed(chromium, smoke_site, tmp_path_factory):
    """Return three pages of the book in print, and how many pages of paper they were said to take."""
    target = tmp_path_factory.mktemp("pdf") / "book.pdf"
    count = pdf.make(smoke_site, target, chromium, DOCUMENTS)
    return PdfReader(target), count


def words(page) -> str:
    """Return a page's text with its ligatures taken apart."""
    return unicodedata.normalize("NFKC", page.extract_text())


def entries(reader, outline, depth=0):
    for entry in outline:
        if isinstance(entry, list):
            yield from entries(reader, entry, depth + 1)
        else:
            yield depth, entry.title, reader.get_destination_page_number(entry)


@pytest.mark.browser
def test_each_page_of_paper_has_its_number(printed):
    reader, count = printed
    assert len(reader.pages) == count > len(DOCUMENTS) + 1
    for number, page in enumerate(reader.pages, start=1):
        assert page.extract_text().split()[-1] == str(number)


@pytest.mark.browser
def test_contents_and_bookmarks_lead_to_the_pages(printed):
    reader, _ = printed
    marks = list(entries(reader, reader.outline))
    starts = {title: number for _, title, number in marks if title in TITLES}
    listed = dict(re.findall(r"^(\D+?) ?(\d+)$", words(reader.pages[0]), re.MULTILINE))
    for title in TITLES:
        assert words(reader.pages[starts[title]]).startswith(title)
        assert listed[title] == str(starts[title] + 1)
    depths = {title: depth for depth, title, _ in marks}
    assert depths["Notation"] < depths["Symbols that clash"]


@pytest.mark.browser
def test_links_to_the_book_stay_inside_and_others_keep_their_address(printed):
    reader, _ = printed
    links = [entry.get_object() for page in reader.pages for entry in page.get("/Annots") or ()]
    addresses = [str(link["/A"]["/URI"]) for link in links if "/URI" in link.get("/A", {})]
    assert [a for a in addresses if not a.startswith(("https://", "http://"))] == []
    assert any("arxiv.org" in a for a in addresses)
    assert any("/Dest" in link for link in links)
    numbers = {page.indirect_reference.idnum for page in reader.pages}
    assert all(link["/Dest"][0].idnum in numbers for link in links if "/Dest" in link)


def test_without_a_chromium_nothing_is_printed_and_that_is_said(monkeypatch, capsys):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert pdf.main() == 0
    assert "no PDF was made: it takes a Chromium" in capsys.readouterr().out
