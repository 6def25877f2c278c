"""``make sizes``: how heavy the built site is, and how long its heaviest pages take to load from the disk.

``python -m tests.benchmarks.site FOLDER`` measures another folder than the built book; ``--times N`` says how often a
page is opened, each time in a browser context of its own, so that nothing is cached. The least time is printed, since
whatever else the machine does only adds. No test holds times; ``tests/book/site/test_static.py`` holds the sizes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

from prunekit.book import paths
from tests.book.site.browsing import Visit, a_browser
from tests.conftest import NO_CHROMIUM, find_chromium

SHARED = "_static"  # scripts, styles and fonts that all pages share
FIGURES = "_static/figures"
LARGEST = 8  # pages that are opened for their times

TIMES = """
() => {
  const navigation = performance.getEntriesByType("navigation")[0];
  return {loaded: navigation.loadEventEnd, typeset: performance.now(), parsed: navigation.domInteractive};
}
"""


def weight(site: Path, page: Path) -> dict[str, int]:
    """Return the bytes of a page: its own text, and with the files that are its own, such as drawings."""
    html = page.read_text(encoding="utf-8")
    own = set()
    for tag in BeautifulSoup(html, "html.parser").select("img[src], script[src]"):
        parts = urlsplit(tag["src"])
        file = (page.parent / unquote(parts.path)).resolve()
        if not parts.scheme and file.is_relative_to((site / FIGURES).resolve()):
            own.add(file)
    text = len(html.encode())
    return {"text": text, "whole": text + sum(file.stat().st_size for file in own)}


def weights(site: Path) -> dict[str, dict[str, int]]:
    """Return what each page of a site weighs, by its name."""
    pages = (p for p in site.rglob("*.html") if p.relative_to(site).parts[0] != SHARED)
    return {p.relative_to(site).as_posix(): weight(site, p) for p in sorted(pages)}


def parts(site: Path) -> dict[str, int]:
    """Return the bytes of a site, and of each of its folders."""
    sizes: dict[str, int] = {"the whole site": 0}
    for path in (p for p in site.rglob("*") if p.is_file()):
        size, names = path.stat().st_size, path.relative_to(site).parts[:-1]
        sizes["the whole site"] += size
        for depth in range(1, min(len(names), 2) + 1):
            folder = "/".join(names[:depth])
            sizes[folder] = sizes.get(folder, 0) + size
    return sizes


def times(site: Path, pages: Iterable[str], executable: str, repeats: int) -> dict[str, tuple[float, float]]:
    """Return by page the seconds until it is loaded and until its mathematics is typeset: the least of `repeats`."""
    seen = {}
    with a_browser(executable) as browser:
        for name in pages:
            found = []
            for _ in range(repeats):
                visit = Visit(browser, site)
                visit.open(name, drawn=False)
                found.append(visit.measure(TIMES))
                visit.close()
            seen[name] = tuple(min(f[key] for f in found) / 1000 for key in ("loaded", "typeset"))
    return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", nargs="?", type=Path, default=paths.HTML)
    parser.add_argument("--times", type=int, default=3, help="how often each page is opened")
    given = parser.parse_args()
    given.site = given.site.resolve()
    for folder, size in sorted(parts(given.site).items(), key=lambda item: -item[1])[:12]:
        print(f"{size / 1e6:8.2f} MB  {folder}")
    heavy = dict(sorted(weights(given.site).items(), key=lambda item: -item[1]["whole"])[:LARGEST])
    executable = find_chromium()
    if executable is None:
        print(f"no times: {NO_CHROMIUM}")
    measured = times(given.site, heavy, executable, given.times) if executable else {}
    if executable:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "empty.html").write_text("<!doctype html><title>empty</title>", encoding="utf-8")
            [empty] = times(Path(folder), ["empty.html"], executable, given.times).values()
        print(f"an empty page is loaded in {empty[0]:.2f} s, now and here")
    for name, size in heavy.items():
        loaded, typeset = measured.get(name, (float("nan"), float("nan")))
        print(
            f"{size['whole'] / 1e6:8.2f} MB  {size['text'] / 1e6:.2f} MB without drawings  "
            f"loaded {loaded:.2f} s  typeset {typeset:.2f} s  {name}"
        )


if __name__ == "__main__":
    main()
