"""The site's files: links, what every chapter says about itself, scorecard and errata against the ledger."""

from __future__ import annotations

import copy
import csv
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import pytest
from bs4 import BeautifulSoup

from prunekit import __version__
from prunekit.book import badges, ledger, paths
from prunekit.book.claims_form import GROUPS
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site.evidence import chapters, collect
from prunekit.book.verdicts import ERRATUM, worst
from tests.benchmarks.site import parts, weights
from tests.book.site.commands import command_lines, understand

CHAPTERS = [path.relative_to(paths.ROOT).with_suffix("").as_posix() for path in chapters()]
HEAVIEST_PAGE = 1.5e6  # bytes, with its drawings
HEAVIEST_SITE = 40e6
every_chapter = pytest.mark.parametrize("document", CHAPTERS)


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the names that a link into the page can end in."""
    return frozenset(tag.get(key) for key in ("id", "name") for tag in parsed(path).select(f"[{key}]"))


def article(site: Path, document: str) -> BeautifulSoup:
    return parsed(site / f"{document}.html").select_one("article.bd-article")


def words(tag: BeautifulSoup) -> str:
    return " ".join(tag.get_text().split())


def told(page: BeautifulSoup) -> list[Any]:
    """Return what a page's badges say, check by check: after the verdict and the claim, or folded."""
    said = []
    for badge in page.select(".pk-claim"):
        folded = badge.select("li")
        for item in folded or [copy.copy(badge)]:
            part = copy.copy(item)
            part.strong.extract()
            if not folded:
                part.code.extract()
            said.append(part)
    return said


@pytest.fixture(scope="module")
def evidence(smoke_site):
    """Return what the runs say that the site's build made."""
    assert smoke_site.is_dir()
    return collect("smoke")


@pytest.fixture(scope="module")
def pages(evidence):
    return {page.document: page for page in evidence.pages}


def dead_links(site: Path) -> list[str]:
    """Return the internal links and sources of all pages that lead nowhere."""
    found = []
    for path in sorted(p for p in site.rglob("*.html") if p.relative_to(site).parts[0] != "_static"):
        targets = {tag[key] for key in ("href", "src") for tag in parsed(path).select(f"[{key}]")}
        found += [f"{path.relative_to(site)}: {t}" for t in sorted(targets) if not _leads_somewhere(path, t)]
    return found


def _leads_somewhere(path: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return parts.scheme in {"https", "http", "data", "mailto"}
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return False
    return not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in anchors(target)


@every_chapter
def test_every_figure_is_described_at_length(smoke_site, document):
    page = parsed(smoke_site / f"{document}.html")
    figures = page.select("figure.pk-figure")
    assert figures
    for figure in figures:
        [details] = {image["aria-details"] for image in figure.select("img")}
        [described] = page.select(f'details[id="{details}"]')
        assert described.p and described.li, details
        assert "nan" not in described.text.lower().split(), details


def test_every_link_leads_somewhere(smoke_site):
    assert dead_links(smoke_site) == []


def test_the_search_for_dead_links_can_fail(tmp_path):
    (tmp_path / "good.html").write_text(
        '<p id="here"><a href="#here"><a href="bad.html#there"><a href="https://x.org">'
    )
    (tmp_path / "bad.html").write_text('<a href="#x"><img src="x.png"><a href="good.html#y"><a href="file:///x">')
    assert dead_links(tmp_path) == [
        *(f"bad.html: {link}" for link in ("#x", "file:///x", "good.html#y", "x.png")),
        "good.html: bad.html#there",
    ]


def test_nothing_is_loaded_from_elsewhere(smoke_site):
    for path in smoke_site.rglob("*.html"):
        loaded = [tag.get("src") or tag.get("href") for tag in parsed(path).select("script[src], img[src], link[href]")]
        assert [link for link in loaded if urlsplit(link).scheme in {"http", "https"}] == [], path


def test_pages_and_site_are_light(smoke_site):
    """The limits hold for the laptop site too, which `make sizes` measures; its figures have more points."""
    pages, whole = weights(smoke_site), parts(smoke_site)
    assert len(pages) > len(CHAPTERS)
    assert {name: w for name, w in pages.items() if w["whole"] > HEAVIEST_PAGE} == {}
    assert whole["the whole site"] < HEAVIEST_SITE
    assert "_sources" not in whole and whole["_static/mathjax"] < 3e6


def test_no_drawing_stands_inside_a_page(smoke_site):
    drawn = 0
    for path in smoke_site.rglob("*.html"):
        images = parsed(path).select("figure.pk-figure img")
        assert [i["src"][:40] for i in images if i["src"].startswith("data:")] == [], path
        drawn += len(images)
    assert drawn > 100


def test_the_pages_do_not_tell_where_they_were_built(smoke_site):
    for path in smoke_site.rglob("*.html"):
        assert str(paths.ROOT) not in path.read_text(encoding="utf-8"), path


@every_chapter
def test_a_chapter_names_its_paper_or_all(smoke_site, pages, document):
    papers, named = ledger.ledger().papers, pages[document].notebook.settings["paper"]
    cited = article(smoke_site, document).select(".pk-card a[href*='bibliography.html#']")
    for paper in papers.values() if named == "all" else [papers[named]]:
        assert any(paper["title"].lower().rstrip(".") in link["title"].lower() for link in cited)


@every_chapter
def test_a_chapter_lists_the_claims_it_tests_and_shows_a_badge_for_each_record(smoke_site, pages, document):
    page = article(smoke_site, document)
    records = pages[document].records
    assert records or "check(" not in (paths.ROOT / f"{document}.md").read_text()
    by_claim = {record["claim"]: [] for record in records}
    for record in records:
        by_claim[record["claim"]].append(record["verdict"])
    card = words(page.select_one(".pk-card"))
    for claim, verdicts in by_claim.items():
        assert f"{claim} ({worst(verdicts)})" in card
        assert claim in [*ledger.ledger().claims, *ledger.ledger().errata]
    said = [words(part).removeprefix(". ") for part in told(page)]
    assert sorted(said) == sorted(" ".join(badges.told(record).split()) for record in records)
    for badge in page.select(".pk-claim"):
        folded = [words(item.strong) for item in badge.select("li")]
        assert words(badge.select_one(".pk-verdict")) == worst(folded or [badge["data-verdict"].replace("-", " ")])


@every_chapter
def test_a_chapter_says_when_where_and_how_it_was_run(smoke_site, pages, document):
    page = article(smoke_site, document)
    record = pages[document].run.record
    minute = record["finished"][:16].replace("T", " ")
    card = words(page.select_one(".pk-card"))
    assert f"Run at smoke scale, {minute} UTC" in card
    assert f"on {record['device']['name']}" in card
    facts = {words(row.td): words(row.td.find_next("td")) for row in page.select("table.pk-facts tr")}
    assert facts["run"] == record["key"]
    assert facts["commit"] == (record["commit"] or "not in a checkout")
    assert f"numpy {record['versions']['numpy']}" in facts["versions"]
    assert record["device"]["name"] in facts["device"]
    assert facts["data"]
    for name in pages[document].notebook.defaults:
        assert f"{name} = {record['parameters'][name]!r}" in facts["parameters"]


@every_chapter
def test_the_commands_of_a_chapter_are_understood(smoke_site, document):
    source = paths.ROOT / f"{document}.md"
    shown = [pre.get_text() for pre in article(smoke_site, document).select("#run-it-yourself div.highlight-bash pre")]
    once, sweep = command_lines("```bash\n" + "\n".join(shown) + "```\n")
    assert once[:2] == sweep[:2] == ["run", f"{document}.md"]
    assert "scale=paper" in once
    assert "--grid" in sweep
    for command in [once, sweep, *command_lines(source.read_text(encoding="utf-8"))]:
        assert understand(command, source) == "run"


@pytest.mark.parametrize("line", ["-p nothing=1", "-p seed=x", "--grid seed=0,0", "--gird seed=0,1", "-p scale=huge"])
def test_a_command_that_would_be_refused_is_noticed(line):
    understand(["run", f"{CHAPTERS[0]}.md", "-p", "seed=1"])
    with pytest.raises((Refused, click.ClickException)):
        understand(["run", f"{CHAPTERS[0]}.md", *line.split()])
    with pytest.raises((Refused, click.ClickException)):
        understand(["walk", f"{CHAPTERS[0]}.md"])


@every_chapter
def test_a_chapter_can_be_cited(smoke_site, pages, document):
    page = article(smoke_site, document)
    entry = page.select_one("#run-it-yourself div.highlight-bibtex pre").get_text()
    assert entry.startswith(f"@incollection{{prunekit-{pages[document].name.replace('/', '-')},")
    assert f"{{{words(page.h1).removesuffix('#')}}}" in entry
    assert f"Version {__version__}, run {pages[document].run.key}" in entry
    assert f"{{{pages[document].run.record['finished'][:4]}}}" in entry
    assert entry.count("{") == entry.count("}")


def test_the_scorecard_is_the_ledger(smoke_site, evidence):
    rows = [row for row in evidence.rows() if row["kind"] != "erratum"]
    details = article(smoke_site, "book/scorecard").select("details.pk-row")
    assert (
        [words(shown.summary.code) for shown in details] == [row["id"] for row in rows] == list(ledger.ledger().claims)
    )
    for shown, row in zip(details, rows, strict=True):
        assert words(shown.summary.strong) == row["verdict"] == shown["data-verdict"]
        assert shown["data-paper"] == row["paper"]
        assert " ".join(row["place"].split()) in words(shown.summary)
        assert " ".join(row["statement"].split())[:25] in words(shown).replace("’", "'")
        links = [link["href"] for link in shown.select("li a")]
        told = [record for statement in row["statements"] for record in statement["records"]]
        assert links == [f"../{r['document']}.html#{r['anchor']}" for r in told]


def test_the_picture_has_a_mark_for_each_statement_that_leads_to_its_claim(smoke_site, evidence):
    rows = [row for row in evidence.rows() if row["kind"] != "erratum"]
    page = article(smoke_site, "book/scorecard")
    marks = [(link["href"], link["aria-label"]) for link in page.select(".pk-map a")]
    wanted = [(row, statement) for row in rows for statement in row["statements"]]
    assert len(marks) == len(wanted) >= len(rows)
    for (href, label), (row, statement) in zip(marks, wanted, strict=True):
        assert href == "#" + row["id"].replace("/", "-").replace(".", "-")
        assert page.select_one(f"details.pk-row{href}") is not None
        assert row["id"] in label and statement["name"] in label and f": {statement['verdict']}" in label


def test_the_scorecard_counts_claims_and_statements(smoke_site, evidence):
    rows = [row for row in evidence.rows() if row["kind"] != "erratum"]
    given = {
        "Statements": [s["verdict"] for row in rows for s in row["statements"]],
        "Claims": [r["verdict"] for r in rows],
    }
    table = article(smoke_site, "book/scorecard").select_one("table.pk-counts")
    head = [words(cell) for cell in table.select("thead tr > *")]
    counted = {
        words(cells[1]): dict(zip(head, map(words, cells), strict=True))
        for cells in (r.select("td") for r in table.select("tbody tr"))
    }
    assert set(counted) == set(given["Statements"]) | set(given["Claims"])
    for verdict, row in counted.items():
        assert {what: row[what] for what in given} == {what: str(v.count(verdict)) for what, v in given.items()}


def test_the_scorecard_as_files_is_the_page(smoke_site, evidence):
    page = article(smoke_site, "book/scorecard")
    files = [(smoke_site / "book" / link["href"]).resolve() for link in page.select("a.download")]
    table = list(csv.DictReader(files[0].read_text(encoding="utf-8").splitlines()))
    rows = json.loads(files[1].read_text(encoding="utf-8"))["rows"]
    assert [row["id"] for row in rows] == [*ledger.ledger().claims, *ledger.ledger().errata]
    statements = [
        (row["id"], s["name"], s["verdict"]) for row in rows for s in row["statements"] if row["kind"] != "erratum"
    ]
    assert [(line["claim"], line["statement"], line["verdict"]) for line in table] == statements
    assert all((smoke_site / line["link"].split("#")[0]).is_file() for line in table)
    assert {line["link"].split("#")[1] for line in table} == {row["id"] for row in page.select("details.pk-row")}
    assert sum(len(s["records"]) for row in rows for s in row["statements"]) == sum(
        len(p.records) for p in evidence.pages
    )


def test_the_errata_page_is_the_ledger(smoke_site, evidence):
    book = ledger.ledger()
    papers = list(book.papers)
    rows = [row for row in evidence.rows() if row["kind"] == "erratum"]
    tested = sorted(
        (row for row in rows if row["records"]),
        key=lambda r: ((*GROUPS, "").index(book.errata[r["id"]].group), papers.index(r["paper"])),
    )
    page = article(smoke_site, "book/errata")
    shown = [p for p in page.select("p") if p.strong and words(p.strong) in {"Shown", "Not shown"}]
    assert [words(p.code) for p in shown] == [row["id"] for row in tested]
    for paragraph, row in zip(shown, tested, strict=True):
        assert (words(paragraph.strong) == "Shown") == (row["verdict"] == ERRATUM)
        assert f"({row['verdict']}," in words(paragraph)
        assert paragraph.a["href"] == f"../{row['records'][0]['document']}.html#{row['records'][0]['anchor']}"
        assert " ".join(book.errata[row["id"]].survives.split())[:20] in words(page).replace("’", "'")
    waiting = [words(item.code) for item in page.select("#listed-not-tested-yet li")]
    assert sorted(waiting) == sorted(row["id"] for row in rows if not row["records"])
    assert f"of the {len(rows)} that the ledger lists" in words(page)
