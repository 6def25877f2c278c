"""A build that takes long: what is executed first, what can be read meanwhile, and what a kill leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from bs4 import BeautifulSoup

from prunekit.book.site import probe
from tests.benchmarks.road import FIRST
from tests.book.runs.helpers import alive, descendants, wait_for
from tests.book.site.test_rebuilds import FAULT, copy_checkout, edit

QUICK, SLOW = "overparameterization/linear-gaussian", "overparameterization/broken"
LONG = 600.0  # seconds to wait for a build on a busy machine


class Build:
    """A build under way in a copy of the book, in a process group of its own as a shell starts it."""

    def __init__(self, checkout: Path, *arguments: str) -> None:
        self._log = checkout / "said"
        command = [sys.executable, "-u", "-m", "prunekit", "build", "--scale", "smoke", *arguments]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=checkout,
                env=os.environ | {"PYTHONPATH": str(checkout)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that happens before the build ends."""
        wait_for(lambda: condition() or self.process.poll() is not None, LONG)
        assert condition(), self.said

    def finish(self) -> str:
        """Wait for the build's good end and return what it said."""
        assert self.process.wait(timeout=LONG) == 0, self.said
        return self.said

    def compiling(self) -> list[psutil.Process]:
        """Return the processes that make the site."""
        below = alive(descendants(self.process.pid))
        return [p for p in below if "prunekit.book.site.compiler" in (p.as_dict(["cmdline"])["cmdline"] or [])]


def copied(folder: Path) -> Path:
    """Copy the book with two chapters: one that takes seconds, and one that waits for a file named gate."""
    checkout = copy_checkout(folder)
    waits = f"import os, time\nwhile not os.path.exists({str(checkout / 'gate')!r}):\n    time.sleep(0.05)"
    edit(checkout / "chapters" / f"{SLOW}.md", FAULT, waits)
    pages = {name: {"peak_memory_bytes": 2**20, "cpu_time_s": cost} for name, cost in ((QUICK, 3.0), (SLOW, 3000.0))}
    kept = {"probe_s": probe.measured(), "scales": {"smoke": pages}}
    (checkout / "book" / "costs.json").write_text(json.dumps(kept))
    return checkout


def pages(checkout: Path) -> dict[str, BeautifulSoup]:
    """Return the articles of the site as it stands."""
    html = checkout / "_build" / "html"
    documents = (f"chapters/{QUICK}", f"chapters/{SLOW}", "book/scorecard")
    return {
        d: BeautifulSoup((html / f"{d}.html").read_text(encoding="utf-8"), "html.parser").select_one("article")
        for d in documents
    }


@dataclass
class History:
    """What was said and shown by three builds: of a new book, of one with an edited cell and killed, and again."""

    said: dict[str, str] = field(default_factory=dict)
    shown: dict[str, dict[str, BeautifulSoup]] = field(default_factory=dict)
    left_running: list[psutil.Process] = field(default_factory=list)
    left: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Build a copy of the book, looking at its site while a page is executed; kill a second build in its Sphinx."""
    checkout, found = copied(tmp_path_factory.mktemp("early") / "checkout"), History()
    new = Build(checkout, "--jobs", "2")
    new.until(lambda: "1 of 2 pages can be read" in new.said)
    found.said["early"], found.shown["early"] = new.said, pages(checkout)
    (checkout / "gate").touch()
    found.said["whole"], found.shown["whole"] = new.finish(), pages(checkout)

    (checkout / "gate").unlink()
    edit(checkout / "chapters" / f"{SLOW}.md", '"beyond the"', '"far beyond the"')
    killed = Build(checkout)
    killed.until(lambda: f"running {SLOW}" in killed.said)
    found.said["edited"], found.shown["edited"] = killed.said, pages(checkout)
    (checkout / "gate").touch()
    killed.until(killed.compiling)
    below = descendants(killed.process.pid)
    killed.process.kill()
    killed.process.wait()
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not alive(below), 20)
    found.left_running = alive(below)

    found.said["again"], found.shown["again"] = Build(checkout).finish(), pages(checkout)
    found.left = {path.name for path in (checkout / "_build").iterdir()}
    yield found
    shutil.rmtree(checkout, ignore_errors=True)


def test_the_longest_page_begins_and_the_wait_is_said(history: History) -> None:
    said = history.said["early"]
    assert "2 of 2 pages to execute, 2 at a time, the longest first: about " in said
    assert said.index(f"running {SLOW}") < said.index(f"running {QUICK}")


def test_a_finished_page_can_be_read_before_the_last_one_is(history: History) -> None:
    shown = history.shown["early"]
    assert shown[f"chapters/{QUICK}"].select("figure.pk-figure img")
    assert f"({QUICK})" in history.said["early"]
    [line] = [line for line in history.said["early"].splitlines() if FIRST.search(line)]  # what the benchmark waits for
    assert line.startswith("1 of 2 pages can be read")


def test_a_page_that_is_being_computed_says_so_and_judges_nothing(history: History) -> None:
    page, scorecard = (history.shown["early"][d] for d in (f"chapters/{SLOW}", "book/scorecard"))
    assert "This page is being computed" in page.select_one(".admonition.warning").get_text()
    assert not page.select(".pk-claim, .pk-card, .cell_output")
    assert [a["href"] for a in scorecard.select(".admonition.warning a")] == [f"../chapters/{SLOW}.html"]
    assert "Its page is being computed" in scorecard.get_text()


def test_at_the_end_every_page_is_whole(history: History) -> None:
    assert history.shown["whole"][f"chapters/{SLOW}"].select(".pk-card, .pk-claim")
    assert not [d for d, page in history.shown["whole"].items() if "being computed" in page.get_text()]


def test_a_whole_site_is_not_replaced_by_a_part(history: History) -> None:
    assert "until then the last build's site can be read: file://" in history.said["edited"]
    assert "can be read before that" not in history.said["edited"]
    assert not [d for d, page in history.shown["edited"].items() if "being computed" in page.get_text()]


def test_a_killed_build_takes_its_jupyter_book_along(history: History) -> None:
    assert history.left_running == []
    assert "waiting for" not in history.said["again"]
    assert "far beyond the fault" in history.shown["again"][f"chapters/{SLOW}"].get_text()


def test_nothing_is_left_beside_runs_site_and_a_page_that_is_kept(history: History) -> None:
    drawn = {"error-bars.md", "architecture.md", "explorers"}  # made again only when their numbers change
    assert history.left == {"runs", "html", *drawn}
