"""``make pdf``: the built site as one PDF, printed page by page by a Chromium and put together.

It begins with a table of contents, has bookmarks for parts, pages and sections, a number at the foot of each page, and
links that lead to pages of the book inside it. Where there is no Chromium nothing is printed, and that is said.
"""

from __future__ import annotations

import html
import io
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from prunekit import __version__
from prunekit.book import paths

NAMES = ("chromium", "chromium-browser", "google-chrome")
TITLE = "The theory of neural-network pruning, made executable"
START = "book/introduction.html"
NAVIGATION = """
() => [...document.querySelectorAll("nav.bd-docs-nav p.caption, nav.bd-docs-nav a.reference")].map((e) =>
  e.tagName === "A" ? {title: e.textContent.trim(), address: e.href} : {title: e.textContent.trim(), address: null})
"""
READY = """
async () => {
  document.documentElement.dataset.theme = "light";
  document.querySelectorAll("img[loading=lazy]").forEach((image) => { image.loading = "eager"; });
  if (window.MathJax?.startup?.promise) await MathJax.startup.promise;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
}
"""
PAPER = {"format": "A4", "margin": {"top": "16mm", "bottom": "20mm", "left": "16mm", "right": "16mm"}}
WIDTH = 672  # pixels of CSS between the margins: 210 mm less 32, at 96 to the inch
_STYLE = "body{font:10.5pt sans-serif;margin:0}h1{font-size:22pt}"


@dataclass
class Part:
    """A page of the book in print: its title, the part of the book that it opens, where it stood, and its PDF."""

    title: str
    caption: str | None
    file: Path
    printed: Any = None
    first: int = 0


def find_chromium() -> str | None:
    """Return the executable of a Chromium, the one that ``CHROMIUM`` names first; None if there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def make(site: Path, target: Path, executable: str, only: Sequence[str] | None = None) -> int:
    """Print a site into one PDF, and return its number of pages.

    Parameters
    ----------
    site
        The site's folder.
    target
        The file to write.
    executable
        A Chromium.
    only
        The documents to print, such as ``book/notation``; None for all.
    """
    from pypdf import PdfReader, PdfWriter

    with _browser(executable) as browser:
        parts = [p for p in _parts(browser, site) if only is None or _document(p.file, site) in only]
        for part in parts:
            part.printed = PdfReader(io.BytesIO(_print(browser, part.file.as_uri())))
            _spell_out(part.printed)
        front = len(PdfReader(io.BytesIO(_print_text(browser, _contents(parts)))).pages)
        number = front
        for part in parts:
            part.first, number = number, number + len(part.printed.pages)
        writer = PdfWriter()
        writer.append(PdfReader(io.BytesIO(_print_text(browser, _contents(parts)))), "Contents", import_outline=False)
        _join(writer, parts)
        _link(writer, parts, front)
        _number(writer, PdfReader(io.BytesIO(_print_text(browser, _feet(number), margin=False))))
    writer.add_metadata(
        {"/Title": "The theory of neural-network pruning, made executable", "/Author": "The prunekit authors"}
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    writer.compress_identical_objects()
    writer.write(target)
    return number


@contextmanager
def _browser(executable: str) -> Iterator[Any]:
    """Start a Chromium that shows pages for print."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def _parts(browser: Any, site: Path) -> list[Part]:
    """Return the site's pages in the order of its navigation."""
    page = browser.new_page()
    page.goto((site / START).resolve().as_uri())
    parts, caption = [], None
    for entry in page.evaluate(NAVIGATION):
        if entry["address"] is None:
            caption = entry["title"]
        else:
            parts.append(Part(entry["title"], caption, Path(unquote(urlsplit(entry["address"]).path))))
            caption = None
    page.close()
    return parts


def _document(file: Path, site: Path) -> str:
    return file.relative_to(site.resolve()).with_suffix("").as_posix()


def _print(browser: Any, address: str) -> bytes:
    """Return a page of the site as PDF, typeset, in light colours."""
    page = browser.new_page(color_scheme="light")
    page.emulate_media(media="print", color_scheme="light")
    page.goto(address, wait_until="load")
    page.evaluate(READY)
    printed: bytes = page.pdf(**PAPER, print_background=True, outline=True, tagged=True)
    page.close()
    return printed


def _print_text(browser: Any, text: str, *, margin: bool = True) -> bytes:
    """Return HTML as PDF."""
    page = browser.new_page()
    page.set_content(text)
    printed: bytes = page.pdf(**(PAPER if margin else {"format": "A4"}), tagged=margin)
    page.close()
    return printed


def _contents(parts: Sequence[Part]) -> str:
    """Return the title and the table of contents as HTML, each entry with the number of its page."""
    lines = []
    for part in parts:
        if part.caption:
            lines.append(f"<h2>{html.escape(part.caption)}</h2>")
        lines.append(f'<p><a href="{part.file.as_uri()}">{html.escape(part.title)}</a><b>{part.first + 1}</b></p>')
    style = "h2{font-size:12pt;margin:10pt 0 3pt}p{margin:2pt 0;display:flex;justify-content:space-between}"
    style += "b{font-weight:400}a{color:inherit;text-decoration:none}h2,p{break-inside:avoid}h2{break-after:avoid}"
    return (
        f"<title>Contents</title><style>{_STYLE}{style}</style><h1>{TITLE}</h1>"
        f"<p>prunekit {__version__}</p>{''.join(lines)}"
    )


def _feet(count: int) -> str:
    """Return as many empty pages as HTML, each with its number at its foot."""
    style = "@page{size:A4;margin:0}div{height:296mm;position:relative;break-after:page}"
    style += "span{position:absolute;bottom:9mm;width:100%;text-align:center;font:9pt sans-serif;color:#57606a}"
    feet = "".join(f"<div><span>{number + 1}</span></div>" for number in range(count))
    return f"<title>feet</title><style>{_STYLE}{style}</style>{feet}"


def _spell_out(reader: Any) -> None:
    """Let links inside a PDF say where they lead, not a name: names of several pages are the same."""
    from pypdf.generic import ArrayObject, NameObject

    named = reader.named_destinations
    for page in reader.pages:
        for entry in page.get("/Annots") or ():
            link = entry.get_object()
            there = named.get(str(link.get("/Dest", "")))
            if there is not None:
                link[NameObject("/Dest")] = ArrayObject([there.raw_get("/Page"), *there.dest_array[1:]])


def _join(writer: Any, parts: Sequence[Part]) -> None:
    """Append all pages, with bookmarks by part, page and section."""
    above = None
    for part in parts:
        start = len(writer.pages)
        if part.caption:
            writer.append(part.printed, import_outline=False)
            above = writer.add_outline_item(title=part.caption, page_number=start)
        else:
            writer.append(part.printed, import_outline=False)
        own = writer.add_outline_item(title=part.title, page_number=start, parent=above)
        for sections in part.printed.outline:  # a title, and a list of what stands below it
            if isinstance(sections, list):
                _bookmark(writer, part.printed, sections, start, own)


def _bookmark(writer: Any, reader: Any, outline: Sequence[Any], start: int, parent: Any) -> None:
    """Add sections below a bookmark, each with those inside it."""
    above = parent
    for entry in outline:
        if isinstance(entry, list):
            _bookmark(writer, reader, entry, start, above)
            continue
        number, title = reader.get_destination_page_number(entry), str(entry.title).rstrip("#")
        half = len(title) // 2
        if title[:half] == title[half:]:  # Chromium says a heading twice that it moved to the next page
            title = title[:half]
        if number is not None:
            above = writer.add_outline_item(title=title, page_number=start + number, parent=parent)


def _link(writer: Any, parts: Sequence[Part], front: int) -> None:
    """Let links to pages of the book lead there inside the PDF; links to other files of the site are left out."""
    from pypdf.generic import ArrayObject, NameObject

    first = {part.file.resolve(): part.first for part in parts}
    for page in writer.pages:
        kept = ArrayObject()
        for entry in page.get("/Annots") or ():
            link = entry.get_object()
            address = urlsplit(str(link.get("/A", {}).get("/URI", "")))
            if address.scheme == "file":
                there = first.get(Path(unquote(address.path)).resolve())
                if there is None:
                    continue
                del link["/A"]
                link[NameObject("/Dest")] = ArrayObject([writer.pages[there].indirect_reference, NameObject("/Fit")])
            kept.append(entry)
        if "/Annots" in page:
            page[NameObject("/Annots")] = kept


def _number(writer: Any, feet: Any) -> None:
    """Put the numbers below the pages."""
    for page, foot in zip(writer.pages, feet.pages, strict=False):
        page.merge_page(foot)


def main() -> int:
    """Print the built book, and say where it is."""
    executable = find_chromium()
    if executable is None:
        print("no PDF was made: it takes a Chromium; install one, or name its executable in CHROMIUM")
        return 0
    target = paths.RELEASE / f"prunekit-book-{__version__}.pdf"
    count = make(paths.HTML, target, executable)
    print(f"{target}: {count} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
