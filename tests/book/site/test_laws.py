"""The laws that pages share: each is used by the pages that it names, and what is no law is refused."""

from __future__ import annotations

import pytest
import yaml
from bs4 import BeautifulSoup

from prunekit.book import paths
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site import laws
from prunekit.book.site.evidence import chapters

PAGES = [path.relative_to(paths.ROOT / "chapters").with_suffix("").as_posix() for path in chapters()]
GOOD = {"law": "A law", "says": "Something.", "pages": {PAGES[0]: "states it", PAGES[1]: "uses it"}}


def test_every_page_shares_a_law_with_another() -> None:
    known = laws.read()
    assert {page for law in known for page in law.pages} == set(PAGES)
    for page in PAGES:
        section = laws.section(page, PAGES, known)
        assert section.startswith(f"## {laws.TITLE}\n")
        assert f"`/chapters/{page}`" not in section
        for law in known:
            assert (f"**{law.name}.**" in section) == (page in law.pages)
            if page in law.pages:
                assert all(f"`/chapters/{o}`: {how}\n" in f"{section}\n" for o, how in law.pages.items() if o != page)


def test_what_the_book_does_not_have_is_not_linked() -> None:
    known = (laws.Law("A law", "Something.", {"a/one": "states it", "a/two": "uses it", "a/three": "too"}),)
    assert "a/three" not in laws.section("a/one", {"a/one", "a/two"}, known)
    assert laws.section("a/one", {"a/one"}, known) == ""
    assert laws.section("a/four", {"a/one", "a/two", "a/four"}, known) == ""


def test_a_copy_of_the_book_with_few_pages_has_its_laws(tmp_path, monkeypatch) -> None:
    known = laws.read()
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert laws.read() == known


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"law": "A law"}, "is a dict: give a list of laws"),
        (["a law"], "entry 1 has str: give law, says and pages"),
        ([GOOD | {"more": 1}], "entry 1 has .*more.*: give law, says and pages, and nothing else"),
        ([GOOD | {"says": " "}], "entry 1: says is ' ': give words"),
        ([GOOD | {"law": 3}], "entry 1: law is 3: give words"),
        ([GOOD, GOOD], "two laws named 'A law'"),
        ([GOOD | {"pages": {PAGES[0]: "states it"}}], "give at least 2 pages"),
        ([GOOD | {"pages": [PAGES[0], PAGES[1]]}], "give at least 2 pages"),
        ([GOOD | {"pages": {PAGES[0]: "states it", "law": "uses it"}}], "pages has 'law': give a page"),
        ([GOOD | {"pages": {PAGES[0]: "states it", PAGES[1]: None}}], "uses the law is None: give words"),
    ],
)
def test_what_is_no_law_is_refused(entries, message, tmp_path) -> None:
    file = tmp_path / "laws.yml"
    file.write_text(yaml.safe_dump(entries), encoding="utf-8")
    with pytest.raises(Refused, match=message):
        laws.read(file)


def test_the_foot_of_a_page_leads_to_the_others(smoke_site) -> None:
    page = "hessian-bias/layer-death"
    soup = BeautifulSoup((smoke_site / "chapters" / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    section = soup.select_one("#the-same-law-elsewhere")
    others = {other for law in laws.read() if page in law.pages for other in law.pages} - {page}
    found = {(smoke_site / "chapters" / page).parent / link["href"] for link in section.select("li a.reference")}
    assert {file.resolve().with_suffix("") for file in found} == {
        (smoke_site / "chapters" / o).resolve() for o in others
    }
    assert section.find_next_sibling("section")["id"] == "run-it-yourself"
