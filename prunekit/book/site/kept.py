"""Pages with drawings that are made of a table: drawn anew only where the table, the prose or the code has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from prunekit._system import files


def kept(file: Path, parts: Sequence[str], make: Callable[[], str]) -> str:
    """Return what `make` returns, read from a file where it was made of the same parts before.

    Parameters
    ----------
    file
        Where the page is kept, followed by the checksum of its parts.
    parts
        All that the page is made of: prose, tables, the text of the code. The version of matplotlib is added.
    make
        The function that makes the page.
    """
    key = hashlib.sha256("\0".join([*parts, version("matplotlib")]).encode()).hexdigest()
    if file.exists():
        before = file.read_text(encoding="utf-8")
        if before.endswith(key):
            return before.removesuffix(key)
    made = make()
    files.write(file, made + key)
    return made


def filled(prose: str, kind: str, parts: dict[str, Callable[[], str]]) -> str:
    """Return prose with what is made for each of its lines ``<!-- KIND: PART -->``.

    Raises
    ------
    ValueError
        If the prose lacks a part.
    """
    for name, make in parts.items():
        mark = f"<!-- {kind}: {name} -->"
        if mark not in prose:
            raise ValueError(f"prose lacks the line {mark!r}: say where that part of the page stands")
        prose = prose.replace(mark, make())
    return prose
