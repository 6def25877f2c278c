"""The page of advice: each sentence names its evidence, how sure is said by rule, and the site has the links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag

from prunekit.book import paths, verdicts
from prunekit.book.site import evidenced
from prunekit.book.site.evidence import Evidence

PROSE = (paths.BOOK / "what-to-do.md").read_text(encoding="utf-8")
UNJUDGED = "computed, not judged"
_DOC = re.compile(r"\{doc\}`[^`]*?(/[\w/-]+)>?`")


def advice() -> list[list[str]]:
    """Return the table's rows without its header, each as its cells."""
    table = PROSE.split("```{list-table}")[1].split("```")[0]
    rows = [re.split(r"^  - ", row, flags=re.M) for row in re.split(r"^\* - ", table, flags=re.M)[1:]]
    return [[" ".join(cell.split()) for cell in row] for row in rows][1:]


def bullets(label: str) -> list[str]:
    """Return the bullets under a bold label, of all theories."""
    lists = re.findall(rf"^\*\*{label}\*\*\n\n((?:[- ] .*\n)+)", PROSE, flags=re.M)
    return [" ".join(bullet.split()) for each in lists for bullet in re.split(r"^- ", each, flags=re.M)[1:]]


def names(text: str) -> set[str]:
    """Return the evidence that a text names, statement by statement."""
    return {name.strip() for marker in evidenced.named(text) for name in marker.split(",")}


@pytest.mark.parametrize("label", ["What holds", "What does not hold"])
def test_every_sentence_on_a_theory_ends_in_its_evidence(label: str) -> None:
    theories = PROSE.count("\n{cite:t}`")
    assert theories == 5 == PROSE.count(f"\n**{label}**\n")
    assert len(bullets(label)) >= 3 * theories
    for bullet in bullets(label):
        assert re.search(r"(\]\]|`)\)?\.$", bullet), f"no evidence at the end of: {bullet}"


def test_every_advice_has_evidence_limits_and_a_grade() -> None:
    assert len(advice()) >= 6
    for said, evidence, limits, sure in advice():
        assert said.startswith("**") and limits
        assert evidenced.named(evidence) or _DOC.search(evidence), f"no evidence for: {said}"
        if evidenced.named(evidence):
            assert re.fullmatch(r"\[\[sure: [^\]]+\]\]", sure), f"the grade of {said} is not computed"
            assert names(sure) <= names(evidence), f"the grade of {said} rests on what the row does not show"
        else:
            assert sure == UNJUDGED, f"{said} names no claim, so that its grade is {UNJUDGED!r}"


def test_what_is_called_not_judged_comes_from_pages_that_judge_nothing() -> None:
    pages = {page for _, evidence, _, sure in advice() if sure == UNJUDGED for page in _DOC.findall(evidence)}
    assert pages
    for page in pages:
        code = (paths.ROOT / f"{page.lstrip('/')}.md").read_text(encoding="utf-8")
        assert "no claim of it is judged here" in code and not re.search(r"\bcheck\(", code), page


def test_every_name_is_in_the_ledger() -> None:
    shown = evidenced.filled(PROSE, Evidence("smoke", []).rows())
    assert "[[" not in shown and shown.count('class="pk-evidence"') == shown_links()


def shown_links() -> int:
    """Return how many links the markers make; those of a grade make none."""
    with_grades = sum(len(marker.split(",")) for marker in evidenced.named(PROSE))
    graded = sum(len(marker.split(",")) for marker in re.findall(r"\[\[sure: ([^\]]+)\]\]", PROSE))
    return with_grades - graded


def test_the_opening_names_the_grades_as_they_are_given() -> None:
    opening = " ".join(PROSE.split("## Advice")[0].replace("*", "").split())
    for grade in (evidenced.SURE, evidenced.SMALL, evidenced.OPEN, evidenced.NOBODY):
        assert grade.split(":")[0] in opening, grade


def test_no_verdict_is_typed() -> None:
    prose = re.sub(r"\[\[.*?\]\]", "", PROSE, flags=re.S).lower()
    for verdict in {word.split()[0] for word in (*verdicts.VERDICTS, verdicts.NOT_ATTEMPTED)} - {"not"}:
        assert not re.search(rf"\b{verdict}\b", prose), verdict
    assert verdicts.NOT_ATTEMPTED not in prose


@pytest.fixture
def page(smoke_site: Path) -> Tag:
    """Return the page of the built site."""
    return BeautifulSoup((smoke_site / "book" / "what-to-do.html").read_text(encoding="utf-8"), "html.parser")


def test_the_site_has_every_link_and_they_lead_somewhere(page: Tag, smoke_site: Path) -> None:
    links = [str(link["href"]) for link in page.select("article a.pk-evidence")]
    assert len(links) == shown_links()
    figures = [str(a["href"]) for a in page.select("article table a[href*='#figure-']")]
    assert figures
    for link in {*links, *figures}:
        file, _, anchor = link.partition("#")
        assert f'id="{anchor}"' in (smoke_site / "book" / file).read_text(encoding="utf-8"), link


def test_the_sites_table_has_a_head_and_a_row_for_each_advice(page: Tag) -> None:
    table = page.select_one("table.pk-advice")
    assert table is not None
    assert [th.get_text(strip=True) for th in table.select("thead th")] == ["Advice", "Evidence", "Limits", "How sure"]
    grades = [row.select("td")[3].get_text(strip=True).replace("’", "'") for row in table.select("tbody tr")]
    assert len(grades) == len(advice())
    assert set(grades) <= {evidenced.SURE, evidenced.SMALL, evidenced.OPEN, evidenced.NOBODY, UNJUDGED}
