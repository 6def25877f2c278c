"""When a site is built early: what it is given, how often, and that a failure of it stops nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from prunekit.book.runs.notebooks import Refused
from prunekit.book.runs.seal import DamagedRun
from prunekit.book.runs.store import Run
from prunekit.book.site import early
from prunekit.book.site.early import EarlySites
from prunekit.book.site.evidence import Page

RUN = Run(Path(), {"status": "finished"})


def pages(*runs: Run | None) -> list[Page]:
    jobs = [SimpleNamespace(key=str(i)) for i in range(len(runs))]
    return [Page(SimpleNamespace(name=job.key), job, run) for job, run in zip(jobs, runs, strict=True)]  # type: ignore[arg-type]


class Builder:
    """Notes which pages had a run in each build."""

    def __init__(self, built: bool = True) -> None:
        self.seen: list[list[str]] = []
        self.built = built

    def __call__(self, there: list[Page]) -> bool:
        self.seen.append([p.name for p in there if p.run])
        return self.built


def end(sites: EarlySites, page: Page) -> None:
    """Tell that a page's run has ended, and let the build that follows come to its end."""
    sites([], page.job, RUN)
    sites.close()


def test_each_finished_page_is_shown_and_the_last_is_left_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "PAUSE", 0.0)
    monkeypatch.setattr(early, "SHARE", 0)
    there, build = pages(None, None, None), Builder()
    sites = EarlySites(there, build)
    sites([], None, None)
    for page in there:
        end(sites, page)
    assert build.seen == [["0"], ["0", "1"]]


def test_what_was_finished_before_is_shown_at_once_and_nothing_twice() -> None:
    build = Builder()
    sites = EarlySites(pages(RUN, None), build)
    for _ in range(3):
        sites([], None, None)
        sites.close()
    assert build.seen == [["0"]]


def test_there_is_a_pause_after_a_build() -> None:
    there, build = pages(None, None, None), Builder()
    sites = EarlySites(there, build)
    end(sites, there[0])
    end(sites, there[1])
    assert build.seen == [["0"]]


def test_one_site_is_built_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "PAUSE", 0.0)
    monkeypatch.setattr(early, "SHARE", 0)
    gate, begun, there = threading.Event(), [], pages(None, None, None)

    def build(_: list[Page]) -> bool:
        begun.append(1)
        return gate.wait(60)

    sites = EarlySites(there, build)
    sites([], there[0].job, RUN)
    sites([], there[1].job, RUN)
    gate.set()
    sites.close()
    assert len(begun) == 1


@pytest.mark.parametrize(
    "error", [None, OSError(28, "No space left on device"), DamagedRun("run is damaged"), Refused("no such page")]
)
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_a_failure_no_other_is_tried(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    monkeypatch.setattr(early, "PAUSE", 0.0)
    monkeypatch.setattr(early, "SHARE", 0)
    there, build = pages(None, None, None), Builder(built=False)

    def fails(pages: list[Page]) -> bool:
        build(pages)
        raise error  # type: ignore[misc]

    sites = EarlySites(there, fails if error else build)
    end(sites, there[0])
    end(sites, there[1])
    assert build.seen == [["0"]] and sites._next > 0
