"""The scorecard as a reader uses it, from a file: marks lead to rows, rows unfold, filters choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prunekit.book import ledger
from tests.book.site.browsing import PHONE, Visit, a_browser

pytestmark = pytest.mark.browser


@pytest.fixture
def scorecard(chromium: str, smoke_site: Path) -> Iterator[Any]:
    """Return the page in a browser."""
    with a_browser(chromium) as browser:
        visit = Visit(browser, smoke_site, "light")
        yield visit.open("book/scorecard")
        assert not visit.errors
        visit.close()


def test_the_first_screen_has_the_picture_and_the_counts(scorecard: Any) -> None:
    screen = scorecard.viewport_size["height"]
    assert scorecard.locator(".pk-map").bounding_box()["y"] < screen / 2
    assert scorecard.locator("table.pk-counts").bounding_box()["y"] < screen


def test_a_mark_unfolds_its_claim_and_takes_the_reader_there(scorecard: Any) -> None:
    mark = scorecard.locator(".pk-map a").nth(30)
    row = scorecard.locator(mark.get_attribute("href"))
    assert row.get_attribute("open") is None
    mark.focus()
    scorecard.keyboard.press("Enter")
    scorecard.wait_for_function("(id) => document.querySelector(id).open", arg=mark.get_attribute("href"))
    box = row.bounding_box()
    assert 0 <= box["y"] < scorecard.viewport_size["height"] / 2


def test_filters_choose_rows_and_say_how_many(scorecard: Any) -> None:
    rows = scorecard.locator("details.pk-row")
    every = rows.count()
    said = scorecard.locator(".pk-filters output")
    assert said.inner_text() == f"{every} of {every} claims"
    scorecard.select_option("select[name=paper]", "li")
    shown = [row for row in rows.all() if row.is_visible()]
    assert 0 < len(shown) < every and {row.get_attribute("data-paper") for row in shown} == {"li"}
    assert said.inner_text() == f"{len(shown)} of {every} claims"
    scorecard.select_option("select[name=runs]", "recorded")
    both = [row for row in rows.all() if row.is_visible()]
    assert 0 < len(both) < len(shown) and all("recorded" in row.get_attribute("data-runs") for row in both)
    scorecard.locator(".pk-map a").first.click()  # a claim that the filters hide
    scorecard.wait_for_function("() => document.querySelector('details.pk-row[open]')")
    assert said.inner_text() == f"{every} of {every} claims"


def test_on_a_phone_nothing_is_cut_off(scorecard: Any) -> None:
    scorecard.set_viewport_size(PHONE)
    assert scorecard.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert scorecard.locator(".pk-map a").last.bounding_box()["x"] < PHONE["width"]


def test_without_scripts_everything_is_there(chromium: str, smoke_site: Path) -> None:
    with a_browser(chromium) as browser:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto((smoke_site / "book" / "scorecard.html").as_uri())
        assert page.locator("details.pk-row").count() == len(ledger.ledger().claims)
        assert not page.locator(".pk-filters").is_visible()
        context.close()
