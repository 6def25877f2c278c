"""The API reference, written as one file and shown as one page for each of its sections.

As one page it had 172 screens, and a search for a word led to its top.
"""

from __future__ import annotations

import re
from pathlib import Path

INDEX = "book/api"
_SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)


def split(text: str) -> dict[str, str]:
    """Return the pages that the reference becomes, by document: the first lists the others.

    Parameters
    ----------
    text
        The reference: a title, an introduction, and a section for each room.

    Raises
    ------
    ValueError
        If two sections would have the same address.
    """
    introduction, *parts = _SECTION.split(text)
    pages: dict[str, str] = {}
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        name = f"{INDEX}/{re.sub('[^a-z0-9]+', '-', title.lower()).strip('-')}"
        if name in pages:
            raise ValueError(f"two sections of the reference would be {name}: give them different titles")
        pages[name] = f"# {title}\n{body}"
    links = [f"- {{doc}}`{page[2:].splitlines()[0]} </{name}>`" for name, page in pages.items()]
    return {INDEX: introduction + "\n".join(links) + "\n"} | pages


def write(stage: Path) -> list[str]:
    """Put the pages in the place of the reference in a staged book, and return the documents below the first."""
    whole = stage / f"{INDEX}.md"
    pages = split(whole.read_text(encoding="utf-8"))
    for name, text in pages.items():
        file = stage / f"{name}.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return [name for name in pages if name != INDEX]
