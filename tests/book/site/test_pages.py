"""Every page as a reader meets it: from a file, without a network, in light and dark, on a desk and on a phone."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

from prunekit.book import paths
from prunekit.book.site import pdf, rooms
from prunekit.book.site.evidence import chapters
from tests.book.site.browsing import CONTRASTS, CUT, IMAGES, PHONE, RAW_TEX, RUNNING, SCROLLING, Visit, a_browser

pytestmark = pytest.mark.browser

READABLE = 4.5  # WCAG 2.1, 1.4.3
THEMES = ("light", "dark")
CHAPTERS = [path.relative_to(paths.ROOT).with_suffix("").as_posix() for path in chapters()]
SETTLED = 400  # milliseconds after a change of size until the theme has seen which boxes scroll now
BESIDES = ("genindex", "py-modindex", "search")  # made by Sphinx


def listed(node: Any) -> list[str]:
    """Return the documents below a node of the table of contents."""
    if isinstance(node, dict):
        own = [value for key, value in node.items() if key in {"root", "file"}]
        return own + [name for value in node.values() for name in listed(value)]
    return [name for item in node for name in listed(item)] if isinstance(node, list) else []


def alone(document: str) -> Any:
    """Return a parameter whose tests stay on one worker: a page is opened once for all tests that look at it."""
    return pytest.param(document, id=f"<{document}>")


PAGES = [*listed(yaml.safe_load(paths.TOC.read_text(encoding="utf-8"))), *BESIDES]
PAGES += [p for p in rooms.split((paths.BOOK / "api.md").read_text(encoding="utf-8")) if p != rooms.INDEX]
# Landmarks are made by templates: one page of each folder has them looked at.
OF_TEMPLATES = {*{page.rpartition("/")[0]: page for page in PAGES}.values(), *BESIDES}
# Of each kind one is looked at by axe in the dark on a phone too.
TYPICAL = ["book/introduction", CHAPTERS[0], "book/explorers/pruning-law", "book/scorecard", "book/api/cones"]
every_page = pytest.mark.parametrize("document", [alone(document) for document in PAGES])
every_chapter = pytest.mark.parametrize("document", [alone(document) for document in CHAPTERS])
both_themes = pytest.mark.parametrize("theme", THEMES)
Opening = Callable[[str, str], "Seen"]


class Seen:
    """What was measured on a page in a theme."""

    def __init__(self, visit: Visit) -> None:
        page = visit.page
        self.theme = page.evaluate("document.documentElement.dataset.theme")
        self.typeset = page.locator("mjx-container").count()
        self.meant = page.locator(".math").count()
        self.broken = page.locator("mjx-merror, mjx-container [data-mml-node=merror]").all_inner_texts()
        self.raw = visit.measure(RAW_TEX)
        self.images = visit.measure(IMAGES)
        self.contrasts = visit.measure(CONTRASTS)
        self.running = visit.measure(RUNNING)
        self.numbers = page.evaluate(
            """() => [...document.querySelectorAll(".pk-figure a.pk-csv")].map((a) => [a.href, a.download])"""
        )
        self.drawn = page.locator(".pk-figure").count()
        self.requests, self.failed, self.errors = visit.requests, visit.failed, visit.errors


class Phone:
    """How wide a page and its figures are on a phone; of a typical page, what axe and the measure of contrast say."""

    def __init__(self, visit: Visit, *, typical: bool) -> None:
        page = visit.page
        page.set_viewport_size(PHONE)
        self.screen, self.page = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
        self.figures = page.evaluate(
            """() => [...document.querySelectorAll("figure.pk-figure")].map((f) => ({
                 right: f.getBoundingClientRect().right, scrolls: getComputedStyle(f).overflowX,
                 room: f.clientWidth, needs: f.scrollWidth}))"""
        )
        page.wait_for_timeout(SETTLED)
        self.scrolling = visit.measure(SCROLLING)
        self.theme = page.evaluate("document.documentElement.dataset.theme")
        self.wrong = visit.axe(landmarks=False) if typical else None
        self.faint = [t for t in visit.measure(CONTRASTS) if t["ratio"] < READABLE] if typical else None
        page.emulate_media(media="print")
        page.set_viewport_size({"width": pdf.WIDTH, "height": 900})
        self.cut_in_print = visit.measure(CUT)
        page.emulate_media(media="screen")


@pytest.fixture(scope="module")
def visiting(chromium: str, smoke_site: Path) -> Iterator[Callable[..., Visit]]:
    """Start a visit in a theme and at a size."""
    with a_browser(chromium) as browser:
        yield lambda *settings: Visit(browser, smoke_site, *settings)


@pytest.fixture(scope="module")
def looking(visiting: Callable[..., Visit]) -> Callable[[str], dict[str, Any]]:
    """Return what is to be seen on a page in both themes and on a phone, opened once, all pages in one visit."""
    known: dict[str, dict[str, Any]] = {}
    visit = visiting("light")

    def look(document: str) -> dict[str, Any]:
        if document not in known:
            visit.forget()
            visit.open(document)
            known[document] = {"light": Seen(visit), "wrong": visit.axe(landmarks=document in OF_TEMPLATES)}
            visit.page.evaluate("document.documentElement.dataset.theme = 'dark'")  # as the switch does
            known[document] |= {"dark": Seen(visit), "phone": Phone(visit, typical=document in TYPICAL)}
        return known[document]

    return look


@pytest.fixture(scope="module")
def seen(looking: Callable[[str], dict[str, Any]]) -> Opening:
    """Return what is to be seen on a page in a theme."""
    return lambda document, theme: looking(document)[theme]


@pytest.fixture
def open_page(visiting: Callable[..., Visit]) -> Iterator[Callable[..., Any]]:
    """Open a page to act on; whatever is done there, nothing may complain."""
    visits: list[Visit] = []

    def opening(document: str, theme: str = "light") -> Any:
        visits.append(visiting(theme))
        return visits[-1].open(document)

    yield opening
    complaints = [error for visit in visits for error in visit.errors]
    for visit in visits:
        visit.close()
    assert complaints == []


def test_no_page_of_the_site_is_left_out(smoke_site):
    built = {p.relative_to(smoke_site).with_suffix("").as_posix() for p in smoke_site.rglob("*.html")}
    assert {b for b in built if not b.startswith("_static/")} == {*PAGES, "index"}
    assert 'url=book/introduction.html"' in (smoke_site / "index.html").read_text()


@both_themes
@every_page
def test_a_page_needs_nothing_but_its_files_and_complains_of_nothing(seen, document, theme):
    found = seen(document, theme)
    assert found.requests
    assert [r for r in found.requests if not r.startswith(("file://", "data:"))] == []
    assert found.failed == []
    assert found.errors == []
    assert found.theme == theme


@every_page
def test_mathematics_is_typeset(seen, document):
    found = seen(document, "light")
    assert found.raw == []
    assert found.broken == []
    assert found.typeset == found.meant


@every_chapter
def test_every_chapter_has_mathematics(seen, document):
    assert seen(document, "light").typeset > 0


@both_themes
@every_page
def test_images_are_there_and_in_words(seen, document, theme):
    images = seen(document, theme).images
    assert images
    for image in images:
        alt = image["alt"] or ""
        assert image["natural"] > 0 or not image["visible"], image
        assert alt.strip(), image
        assert not re.search(r"\.(svg|png|jpe?g)$|^[\w.-]*/[\w./-]*$", alt.strip(), re.IGNORECASE), image
        if image["figure"]:
            assert len(alt.split()) >= 8, image


@both_themes
@every_chapter
def test_of_each_figure_the_drawing_for_the_background_is_shown(seen, document, theme):
    figures = [image for image in seen(document, theme).images if image["figure"]]
    light, dark = ([i for i in figures if kind in i["kind"].split()] for kind in ("pk-light", "pk-dark"))
    assert light
    assert [i["alt"] for i in light] == [i["alt"] for i in dark]
    assert all(i["visible"] == (theme == "light") for i in light)
    assert all(i["visible"] == (theme == "dark") for i in dark)
    assert all(i["width"] > 0 for i in figures if i["visible"])


@both_themes
@every_page
def test_words_are_readable(seen, document, theme):
    texts = [t for t in seen(document, theme).contrasts if "kbd-shortcut" not in t["name"]]  # the plus in Ctrl+K
    assert len(texts) > 5
    assert [t for t in texts if t["ratio"] < READABLE] == []


@both_themes
@every_chapter
def test_the_measure_of_contrast_saw_everything_that_a_chapter_has(seen, document, theme):
    texts = seen(document, theme).contrasts
    kinds = {kind for text in texts for kind in text["kinds"]}
    tested = {".pk-claim"} if "check(" in (paths.ROOT / f"{document}.md").read_text() else set()
    assert kinds == tested | {"figcaption", "td, th", "a", "code, pre", "p, li", "mjx-container"}


@both_themes
def test_the_measure_of_contrast_can_fail(visiting, theme):
    visit = visiting(theme)
    page = visit.open(CHAPTERS[0])
    page.add_style_tag(
        content=".pk-claim { color: #808080 !important; background: rgba(128, 128, 128, .5) !important }"
    )
    faint = [t for t in visit.measure(CONTRASTS) if t["ratio"] < READABLE]
    assert faint
    assert all(".pk-claim" in text["kinds"] for text in faint)
    visit.close()


@pytest.mark.parametrize("document", [PAGES[0], CHAPTERS[0]])
def test_a_page_that_is_opened_in_the_dark_is_dark(visiting, document):
    visit = visiting("dark")
    visit.open(document)
    found = Seen(visit)
    assert found.theme == "dark"
    assert [i for i in found.images if i["figure"] and i["visible"] and "pk-light" in i["kind"].split()] == []
    assert found.failed == found.errors == []
    visit.close()


@every_page
def test_axe_finds_nothing_wrong(looking, document):
    assert looking(document)["wrong"] == []


@pytest.mark.parametrize("document", [alone(document) for document in TYPICAL])
def test_axe_finds_nothing_wrong_in_the_dark_on_a_phone(looking, document):
    phone = looking(document)["phone"]
    assert (phone.theme, phone.screen) == ("dark", PHONE["width"])
    assert phone.wrong == []
    assert phone.faint == []


@every_page
def test_what_scrolls_on_a_phone_scrolls_by_keyboard_too(looking, document):
    assert [box for box in looking(document)["phone"].scrolling if not box["reached"]] == []


@every_page
def test_nothing_is_cut_off_in_print(looking, document):
    assert looking(document)["phone"].cut_in_print == []


def test_the_measures_of_access_can_fail(visiting):
    visit = visiting("light", PHONE)
    page = visit.open(CHAPTERS[0])
    page.evaluate("""
      const [box, image] = [document.createElement('div'), document.createElement('img')];
      box.style.cssText = 'width: 100px; overflow-x: auto';
      box.innerHTML = '<div style="width: 600px">wide</div>';
      document.querySelector('.bd-article').append(box, image);
    """)
    assert [rule.split(":")[0] for rule in visit.axe()] == ["image-alt"]
    assert [box["reached"] for box in visit.measure(SCROLLING)].count(False) == 1
    visit.close()


@every_page
def test_nothing_is_wider_than_a_phone(looking, document):
    phone = looking(document)["phone"]
    assert phone.screen == PHONE["width"]
    assert phone.page <= PHONE["width"]
    for figure in phone.figures:
        assert figure["right"] <= PHONE["width"]
        assert figure["needs"] <= figure["room"] or figure["scrolls"] in {"auto", "scroll"}


def test_the_measure_of_width_can_fail(visiting):
    visit = visiting("light", PHONE)
    page = visit.open(CHAPTERS[0])
    page.add_style_tag(content=".bd-article h1 { width: 600px }")
    assert page.evaluate("document.documentElement.scrollWidth > innerWidth")
    visit.close()


def test_search_finds_a_word_and_leads_to_it(open_page):
    page = open_page("search.html?q=oracle")
    first = page.locator("#search-results li a").first
    first.wait_for()
    first.click()
    page.wait_for_load_state()
    assert "search.html" not in page.url
    assert "oracle" in page.locator(".bd-article").inner_text().lower()


def test_the_search_of_a_page_leads_to_the_results(open_page):
    page = open_page("book/introduction")
    page.keyboard.press("Control+k")
    field = page.locator("input[type=search]:visible").first
    field.fill("oracle")
    field.press("Enter")
    page.wait_for_url("**/search.html?q=oracle*")
    page.locator("#search-results li a").first.wait_for()


def test_a_word_that_is_nowhere_is_not_found(open_page):
    page = open_page("search.html?q=xylophone")
    page.get_by_text("did not match any documents").wait_for()
    assert page.locator("#search-results li").count() == 0


def shown_figures(page: Any) -> set[str]:
    """Return the classes of the drawings that are to be seen."""
    return set(
        page.evaluate(
            "[...document.querySelectorAll('.pk-figure img')].filter(i => i.checkVisibility()).map(i => i.className)"
        )
    )


def test_the_theme_switch_changes_the_page_and_its_figures(open_page):
    page = open_page(CHAPTERS[0], "light")
    shown = {"light": {"pk-light"}, "dark": {"pk-dark"}}
    themes = []
    for _ in range(3):
        page.locator("button.theme-switch-button:visible").first.click()
        themes.append(page.evaluate("document.documentElement.dataset.theme"))
        assert shown_figures(page) == shown[themes[-1]]
    assert set(themes) == {"light", "dark"}


@every_chapter
def test_commands_can_be_copied(seen, document):
    running = seen(document, "light").running
    assert running["buttons"] == 1
    assert "prunekit run" in running["copied"]


def content(link: str) -> str:
    """Return the text of a file of the site."""
    return Path(unquote(urlsplit(link).path)).read_text(encoding="utf-8")


@every_chapter
def test_the_numbers_of_every_figure_can_be_had(seen, document):
    found = seen(document, "light")
    assert len(found.numbers) == found.drawn > 0
    assert len({name for _, name in found.numbers}) == found.drawn
    for link, name in found.numbers:
        assert name.endswith(".csv")
        header, *rows = csv.reader(io.StringIO(content(link)))
        assert len(set(header)) == len(header) > 1
        assert not any(re.fullmatch(r"[-\d.e+]*", name) for name in header)
        assert rows
        assert {len(row) for row in rows} == {len(header)}


def test_the_numbers_of_a_figure_are_downloaded_under_its_name(open_page, tmp_path):
    page = open_page(CHAPTERS[0])
    link = page.locator(".pk-figure a.pk-csv").first
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == link.get_attribute("download")
    download.value.save_as(tmp_path / "numbers.csv")
    assert (tmp_path / "numbers.csv").read_bytes().decode() == content(link.evaluate("link => link.href"))


def test_a_figure_is_described_by_keyboard_on_a_phone_and_not_in_print(visiting):
    visit = visiting("dark", PHONE)
    page = visit.open(CHAPTERS[0])
    described = page.locator(".pk-described").first
    assert described.evaluate("d => [...document.querySelectorAll(`[aria-details='${d.id}']`)].length") == 2
    assert not described.locator("li").first.is_visible()
    described.locator("summary").focus()
    page.keyboard.press("Enter")
    assert described.locator("li").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    faint = [t for t in visit.measure(CONTRASTS) if t["ratio"] < READABLE and t["text"] in described.inner_text()]
    assert faint == []
    page.emulate_media(media="print")
    assert not described.is_visible()
    assert visit.errors == []
    visit.close()


@every_chapter
def test_the_notebook_can_be_had_without_outputs(seen, smoke_site, document):
    running = seen(document, "light").running
    file = (smoke_site / f"{document}.html").parent / running["notebook"]
    assert running["download"]
    assert file.name == document.removeprefix("chapters/").replace("/", "-") + ".ipynb"
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert any("parameters" in cell.metadata.get("tags", []) for cell in code)


def test_the_search_for_raw_tex_can_fail(visiting):
    visit = visiting("light")
    page = visit.open("book/introduction")
    page.evaluate(r"document.querySelector('.bd-article p').append(' $x$ ', document.createElement('br'), '\\(y\\)')")
    assert len(visit.measure(RAW_TEX)) == 2
    visit.close()
