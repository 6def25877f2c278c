"""Notes over links and symbols: what is written into a page, and what a browser shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from prunekit.book import ledger, paths
from tests.book.site.browsing import PHONE, Visit, a_browser
from tests.book.site.test_sharing import extension

PAGE = "chapters/pruning-limit/ellipsoid-cone"
NOTE = "document.getElementById('pk-note')"
SOON = 2_000  # milliseconds

notes = extension("notes")


def annotated(body: str, document: str = PAGE) -> BeautifulSoup:
    return BeautifulSoup(notes.annotated(body, document, "../../book/glossary.html"), "html.parser")


def test_a_link_to_a_claim_says_what_it_states() -> None:
    made = annotated(
        '<a class="reference internal" href="#evidence-x"><span class="std std-ref">geometric/lemma-2</span></a>'
        '<a class="pk-evidence" href="scorecard.html#li-fig-1a" title="w">ok <code>li/fig-1a</code></a>'
        '<a class="reference internal" href="#evidence-y"><span class="std std-ref">li/erratum-4</span></a>'
        '<a class="reference internal" href="#at"><span class="std std-ref">the top</span></a>'
        '<a class="reference internal" href="#at"><span class="std std-ref">none/such</span></a>'
    )
    first, second, wrong, third, fourth = made.select("a")
    lemma, figure = (ledger.ledger().claims[name] for name in ("geometric/lemma-2", "li/fig-1a"))
    assert first["data-note"] == f"Anonymous (2023), {lemma.place}: {' '.join(lemma.statement.split())}"
    assert second["data-note"] == f"Li et al. (2020), {figure.place}: {' '.join(figure.statement.split())}"
    erratum = ledger.ledger().errata["li/erratum-4"]
    stated, right = (" ".join(words.split()) for words in (erratum.statement, erratum.right))
    assert wrong["data-note"] == f"Li et al. (2020), {erratum.place}: {stated} Right: {right}"
    assert not third.has_attr("data-note")
    assert not fourth.has_attr("data-note")


EQUATIONS = (
    '<div class="math notranslate nohighlight">\n\\[x = 1 \\tag{A}\\]</div>'
    '<div class="math notranslate nohighlight" id="own">\n\\[y = 1 \\tag{2}\\]</div>'
    '<div class="math notranslate nohighlight">\n\\[z = 1\\]</div>'
)


def test_mentions_of_the_pages_own_equations_lead_to_them() -> None:
    made = annotated(
        f"{EQUATIONS}<p>By (A) and (2), not (2) of the paper or (2) there, nor (3), <code>f(A)</code>, "
        '<a href="x">(A)</a> or <span class="math notranslate nohighlight">\\((A)\\)</span>.</p><h2>On (A)</h2>'
    )
    links = made.select("a.pk-equation")
    assert [(link["href"], link.text) for link in links] == [("#pk-equation-A", "(A)"), ("#own", "(2)")]
    assert [box.get("id") for box in made.select("div.math")] == ["pk-equation-A", "own", None]


def test_the_first_mention_of_a_word_leads_to_the_glossary() -> None:
    made = annotated(
        "<h2>Margin</h2><p><code>pruning</code>, Hessians and Magnitude pruning<em>; magnitude pruning, "
        "then pruning</em>, pruning, "
        "<a href='x'>spectrum</a>, unpruning and pruning-like.</p>"
        '<details class="pk-described"><summary>In words</summary><p>Of a risk.</p></details>'
    )
    links = {link.text: link for link in made.select("a.pk-term")}
    assert list(links) == ["Hessians", "Magnitude pruning", "pruning"]
    assert links["pruning"].previous_sibling == "; magnitude pruning, then "
    assert links["Hessians"]["href"] == "../../book/glossary.html#term-Hessian"
    assert links["Magnitude pruning"]["data-note"] == "Pruning that keeps the weights of largest absolute value."
    margin = "<p>A margin.</p>"
    assert annotated(margin).select("a.pk-term")
    assert not annotated(margin, "chapters/heavy-tails/networks").select("a.pk-term")  # of a classifier, there
    assert not annotated("<p>pruning</p>", "book/how-to-run").select("a.pk-term")


def test_letters_have_the_meanings_of_their_chapter() -> None:
    assert notes.letters("heavy-tails")["α"][0].startswith("\\(\\alpha")
    assert any("tail index" in said for said in notes.letters("heavy-tails")["α"])
    assert any("number kept" in said for said in notes.letters("overparameterization")["s"])
    assert notes.letters("pruning-limit")["ε"] == ["\\(\\epsilon\\): tolerance on the loss"]
    for folder in {path.parent.name for path in (paths.ROOT / "chapters").glob("*/*.md")} - {"diagnosis"}:
        assert len(notes.letters(folder)) > 8
    for formula, letter in {r"\hat\beta_i": "β", r"\mathbf w^k": "w", r"\Sigma_{ii}": "Σ", r"\varepsilon": "ε"}.items():
        assert notes._letter(formula) == letter
    assert notes._letter(r"\lVert\,") == ""


def test_every_word_of_the_glossary_is_where_its_links_lead(smoke_site) -> None:
    glossary = BeautifulSoup((smoke_site / "book/glossary.html").read_text(encoding="utf-8"), "html.parser")
    assert {dt["id"] for dt in glossary.select("dt[id]")} == {f"term-{notes._term_id(word)}" for word in notes.words()}


@pytest.fixture(scope="module")
def browser(chromium: str) -> Any:
    with a_browser(chromium) as started:
        yield started


def shown(page: Any) -> str:
    """Return the note's words, when it is there."""
    page.wait_for_function(f"!{NOTE}.hidden", timeout=SOON)
    return page.evaluate(f"{NOTE}.innerText")


@pytest.mark.browser
def test_mouse_and_keyboard_show_a_note_and_escape_closes_it(browser: Any, smoke_site: Path) -> None:
    visit = Visit(browser, smoke_site)
    page = visit.open(PAGE, drawn=False)
    claim, equation = page.locator("a[data-note].reference").first, page.locator("a.pk-equation").first
    claim.focus()
    assert shown(page) == claim.get_attribute("data-note")
    assert claim.get_attribute("aria-describedby") == "pk-note"
    assert visit.axe() == []
    page.keyboard.press("Escape")
    assert page.evaluate(f"{NOTE}.hidden")
    assert claim.get_attribute("aria-describedby") is None
    equation.hover()
    shown(page)
    assert page.evaluate(f"{NOTE}.querySelectorAll('mjx-container').length") == 1
    page.locator("#pk-note").hover()  # the pointer may go there
    page.wait_for_timeout(600)
    assert not page.evaluate(f"{NOTE}.hidden")
    page.mouse.move(0, 0)
    page.wait_for_function(f"{NOTE}.hidden", timeout=SOON)
    cited = page.locator(".bd-article a.reference[title]").first
    title = cited.get_attribute("title")
    cited.hover()
    assert shown(page) == title
    symbol = page.locator("#pk-equation-A mjx-mi").first
    symbol.hover()
    page.wait_for_function(f"{NOTE}.innerText.includes('Gaussian width')", timeout=SOON)
    assert visit.errors == []
    visit.close()


@pytest.mark.browser
def test_the_first_tap_shows_a_note_and_the_second_follows(browser: Any, smoke_site: Path) -> None:
    context = browser.new_context(offline=True, viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto((smoke_site / f"{PAGE}.html").as_uri())
    word = page.locator("a.pk-term").first
    word.tap()
    assert shown(page) == word.get_attribute("data-note")
    box = page.locator("#pk-note").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    assert page.url.endswith(f"{PAGE}.html")
    word.tap()
    page.wait_for_url("**/glossary.html#term-*", timeout=SOON)
    context.close()
