"""The laws that several pages use: each page names, at its foot, where else the same law is at work."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunekit.book import paths
from prunekit.book.runs.notebooks import Refused

FILE = paths.BOOK / "laws.yml"
TITLE = "The same law elsewhere"
_PAGE = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")
FEWEST = 2  # pages: a law of one page has no elsewhere


@dataclass(frozen=True)
class Law:
    """A law in words.

    Attributes
    ----------
    name : str
        Its name, a heading.
    says : str
        What it says, in a sentence or two of MyST-Markdown.
    pages : mapping
        From the pages that use it, such as ``overparameterization/law``, to how they do.
    """

    name: str
    says: str
    pages: Mapping[str, str]


def read(file: Path = FILE) -> tuple[Law, ...]:
    """Return the laws of a file, in its order.

    Raises
    ------
    Refused
        If an entry is not a law as this file's first lines describe it, or two have one name.
    """
    import yaml

    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(entries, list):
        raise Refused(f"{file.name} is a {type(entries).__name__}: give a list of laws")
    laws = tuple(_law(file.name, number, entry) for number, entry in enumerate(entries, start=1))
    names = [law.name for law in laws]
    if twice := [name for name in names if names.count(name) > 1]:
        raise Refused(f"{file.name} has two laws named {twice[0]!r}: give each a name of its own")
    return laws


def _law(file: str, number: int, entry: Any) -> Law:
    """Return an entry as a law, or refuse it."""
    where = f"{file}, entry {number}"
    if not isinstance(entry, dict) or set(entry) != {"law", "says", "pages"}:
        keys = ", ".join(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise Refused(f"{where} has {keys or 'nothing'}: give law, says and pages, and nothing else")
    for key in ("law", "says"):
        if not isinstance(entry[key], str) or not entry[key].strip():
            raise Refused(f"{where}: {key} is {entry[key]!r}: give words")
    pages = entry["pages"]
    if not isinstance(pages, dict) or len(pages) < FEWEST:
        raise Refused(f"{where}: pages is {pages!r}: give at least {FEWEST} pages, each with how it uses the law")
    for page, how in pages.items():
        if not isinstance(page, str) or not _PAGE.fullmatch(page):  # a copy of the book may lack it
            raise Refused(f"{where}: pages has {page!r}: give a page, such as overparameterization/law")
        if not isinstance(how, str) or not how.strip():
            raise Refused(f"{where}: how {page} uses the law is {how!r}: give words")
    return Law(entry["law"].strip(), entry["says"].strip(), pages)


def section(page: str, there: Collection[str], laws: Sequence[Law]) -> str:
    """Return the section of a page that names its laws and where else they are at work; empty if nowhere.

    Parameters
    ----------
    page : str
        The page's name.
    there : collection of str
        The pages that the book has: others are not linked.
    laws : sequence of Law
        All laws.
    """
    parts = []
    for law in laws:
        others = {name: how for name, how in law.pages.items() if name != page and name in there}
        if page in law.pages and others:
            listed = [f"- {{doc}}`/chapters/{name}`: {how}" for name, how in others.items()]
            parts += [f"**{law.name}.** {law.says}", "", *listed, ""]
    return "\n".join([f"## {TITLE}", "", *parts]) if parts else ""
