"""What a build executes and shows when a page breaks, is repaired, when nothing changed, and when a sentence did."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from prunekit.book import paths

PAGE, BROKEN = "chapters/overparameterization/linear-gaussian", "chapters/overparameterization/broken"
CARRIED = ("book", "chapters", "prunekit", "_config.yml", "_toc.yml", "requirements.txt")
SENTENCE = "This sentence about quokkas is new."
FAULT = 'raise ArithmeticError("nothing divides <nothing> by nothing")'
BROKEN_PAGE = f"""\
---
jupytext: {{text_representation: {{extension: .md, format_name: myst}}}}
kernelspec: {{display_name: Python 3, language: python, name: python3}}
prunekit: {{paper: chang}}
---

# A page that breaks

```{{code-cell}} ipython3
:tags: [parameters]

scale = "laptop"
```

```{{code-cell}} ipython3
from prunekit import check

check("chang/corollary-1", what="a gap", measured=0.0, expected=0.0, margin=0.1, because="a tenth", scale=scale)
```

```{{code-cell}} ipython3
{FAULT}
```

```{{code-cell}} ipython3
print("beyond the" + " fault")
```

```{{code-cell}} ipython3
:tags: [raises-exception]

int("no number")
```

```{{code-cell}} ipython3
:tags: [skip-execution]

print("never" + " executed")
```

```{{code-cell}} ipython3
:tags: [remove-cell]

print("executed and" + " not shown")
```

```{{code-cell}} ipython3
:tags: [hide-output, full-width]

print("at the" + " end")
```
"""


@dataclass(frozen=True)
class Build:
    """One build: how it ended, which pages it executed, and the pages of the site after it."""

    status: int
    output: str
    executed: list[str]
    pages: dict[str, BeautifulSoup]

    def text(self, document: str) -> str:
        return " ".join(self.pages[document].select_one("article").get_text().split())


def copy_checkout(folder: Path) -> Path:
    """Copy what a build reads into `folder`, with two chapters only: a page, and one that breaks in its middle."""
    for name in CARRIED:
        source = paths.ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / f"{BROKEN}.md").write_text(BROKEN_PAGE, encoding="utf-8")
    # most of a site's time, again at every build; the whole site of the suite has it
    (folder / "book" / "api.md").write_text("# Library\n\nNot in this copy.\n", encoding="utf-8")
    (folder / "book" / "what-to-do.md").write_text(
        "# Advice\n\nIt links pages that are not in this copy.\n", encoding="utf-8"
    )
    (folder / "book" / "introduction.md").write_text("# Start\n\nIt links such pages too.\n", encoding="utf-8")
    toc = yaml.safe_load((folder / "_toc.yml").read_text(encoding="utf-8"))
    front = [part for part in toc["parts"] if not any("chapters/" in c["file"] for c in part["chapters"])]
    toc["parts"] = [{"caption": "Two pages", "chapters": [{"file": PAGE}, {"file": BROKEN}]}, *front]
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    return folder


def run_records(checkout: Path) -> dict[Path, int]:
    """Return the records of all runs, finished and failed, with the time each was written."""
    return {path: path.stat().st_mtime_ns for path in (checkout / "_build" / "runs").rglob("run.json")}


def page_of(record: Path, checkout: Path) -> str:
    """Return the page that a run belongs to."""
    inside = record.relative_to(checkout / "_build" / "runs").parts
    return "/".join(["chapters", *inside[:-2]]).removesuffix("/failed")


def build(checkout: Path) -> Build:
    """Build the site of the copy with the copy's own library."""
    before = run_records(checkout)
    done = subprocess.run(
        [sys.executable, "-m", "prunekit", "build", "--scale", "smoke"],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    new = run_records(checkout).items() - before.items()
    html = checkout / "_build" / "html"
    wanted = (PAGE, BROKEN, "book/scorecard")
    pages = {d: BeautifulSoup((html / f"{d}.html").read_text(encoding="utf-8"), "html.parser") for d in wanted}
    executed = sorted(page_of(record, checkout) for record, _ in new)
    return Build(done.returncode, done.stdout + done.stderr, executed, pages)


def edit(path: Path, old: str, new: str) -> None:
    """Replace the one place where `old` stands in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Build a copy of the book four times: broken, repaired, unchanged, with a new sentence."""
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout"))
    built = {"broken": build(checkout)}
    edit(checkout / f"{BROKEN}.md", FAULT, 'print("mended")')
    built["repaired"] = build(checkout)
    built["unchanged"] = build(checkout)
    edit(checkout / f"{PAGE}.md", "## The idea\n", f"## The idea\n\n{SENTENCE}\n")
    built["reworded"] = build(checkout)
    yield built
    shutil.rmtree(checkout, ignore_errors=True)


def verdict_on_scorecard(outcome: Build, claim: str) -> str:
    (row,) = outcome.pages["book/scorecard"].select(f"details#{claim.replace('/', '-')}")
    return row.summary.strong.get_text()


def test_a_failing_page_fails_the_build_and_is_named(history):
    outcome = history["broken"]
    assert outcome.status == 1
    assert (
        "failed: overparameterization/broken: ArithmeticError: nothing divides <nothing> by nothing" in outcome.output
    )
    assert outcome.executed == [BROKEN, PAGE]


def test_the_other_pages_are_built_with_their_figures(history):
    figures = history["broken"].pages[PAGE].select("figure.pk-figure img")
    assert figures
    assert all(re.search(r"/_static/figures/[\w/-]+\.svg(#dark)?$", image["src"]) for image in figures)
    assert not history["broken"].pages[PAGE].select(".admonition.error")


def test_a_failing_page_shows_its_failure_and_how_far_it_came(history):
    page = history["broken"].pages[BROKEN]
    box = page.select_one(".admonition.error").get_text()
    assert "This page failed" in box
    assert "ArithmeticError: nothing divides <nothing> by nothing" in box
    traceback = [output.get_text() for output in page.select(".cell_output") if "Traceback" in output.get_text()]
    assert len(traceback) == 1
    assert "ArithmeticError" in traceback[0]
    assert page.select(".pk-claim")  # the cell before the fault has its output
    assert "beyond the fault" not in history["broken"].text(BROKEN)


def test_the_scorecard_does_not_count_what_a_failing_page_recorded(history):
    outcome = history["broken"]
    box = outcome.pages["book/scorecard"].select_one(".admonition.error")
    assert [link["href"] for link in box.select("a")] == [f"../{BROKEN}.html"]
    assert verdict_on_scorecard(outcome, "chang/corollary-1") == "not attempted"
    assert verdict_on_scorecard(outcome, "chang/fig-3a") != "not attempted"


def test_a_repaired_page_is_run_alone(history):
    outcome = history["repaired"]
    assert outcome.status == 0
    assert outcome.executed == [BROKEN]
    assert "mended" in outcome.text(BROKEN)
    assert "beyond the fault" in outcome.text(BROKEN)
    assert not outcome.pages[BROKEN].select(".admonition.error")
    assert not outcome.pages["book/scorecard"].select(".admonition.error")
    assert verdict_on_scorecard(outcome, "chang/corollary-1") == "reproduced"


def test_a_page_with_jupyter_books_tags_is_finished_and_looks_as_they_say(history):
    page, text = history["repaired"].pages[BROKEN], history["repaired"].text(BROKEN)
    assert not page.select(".admonition.error")
    assert "ValueError: invalid literal for int()" in text  # expected, so shown and no failure
    assert 'print("never" + " executed")' in text and "never executed" not in text
    assert "executed and" not in text
    assert "at the end" in page.select_one(".tag_hide-output.tag_full-width details").get_text()


def test_an_unchanged_book_executes_nothing_and_is_up_to_date(history):
    outcome = history["unchanged"]
    assert outcome.status == 0
    assert outcome.executed == []
    assert outcome.output.count("unchanged, not run") == 2
    assert "the site is up to date" in outcome.output


def test_a_new_sentence_is_shown_without_executing_anything(history):
    outcome = history["reworded"]
    assert outcome.status == 0
    assert outcome.executed == []
    assert "the site is up to date" not in outcome.output
    assert SENTENCE in outcome.text(PAGE)
    assert SENTENCE not in history["unchanged"].text(PAGE)
    assert outcome.pages[PAGE].select("figure.pk-figure") == history["broken"].pages[PAGE].select("figure.pk-figure")
