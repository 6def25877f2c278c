"""The content address of a run: what could change its result, and nothing else.

A key is the SHA-256 of the notebook's code cells and of the tags that change their execution, its complete parameters,
the syntax trees (without docstrings and comments) of the library's modules that it can reach
(`prunekit.book.runs.reach`), the data files that it declares, the files that its front matter or its code names, the
recordings that it may read, and the pinned versions. Prose is not in it, so editing a sentence runs nothing. Nor are
the modules that only carry runs about (`CARRIERS`), unless a notebook imports one itself: no page of the book does,
and a test makes sure of that. Nor is the ledger: a check only asks it whether the claim's name is there, and verdicts
are computed from records when they are shown.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from prunekit._system import files
from prunekit.book import paths
from prunekit.book.runs import cells, tags
from prunekit.book.runs.notebooks import Notebook, Parameters, Refused
from prunekit.book.runs.reach import Library, Reached
from prunekit.book.runs.sources import short

CARRIERS = ("book.runs", "book.site", "book.paths", "cli", "__main__")
FORMAT = 2  # raise it when the meaning of a stored run changes


def run_key(notebook: Notebook, parameters: Parameters) -> str:
    """Return the content address of one run.

    Parameters
    ----------
    notebook
        The notebook, as it was read.
    parameters
        Every parameter, as `prunekit.book.runs.notebooks.coerce` returns them.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    Refused
        If a file that the front matter names is missing, or ``PRUNEKIT_DATA`` is no absolute path.
    """
    return address(fingerprint_parts(notebook, parameters))


def address(parts: Mapping[str, Any]) -> str:
    """Return the key that belongs to the parts from `fingerprint_parts`."""
    return short(json.dumps(parts, sort_keys=True, allow_nan=False).encode())


def fingerprint_parts(notebook: Notebook, parameters: Parameters) -> dict[str, Any]:
    """Return what is in a run's key, each part by itself: a run's record keeps them, so that two can be compared."""
    known = library()
    reached = _reached(tuple(notebook.code), known)
    code = [c.source for c in notebook.node.cells if c.cell_type == "code" and not tags.has(c, tags.PARAMETERS)]
    words = cells.read_words(code, parameters)
    named = cells.named_files(words, notebook.path.absolute().parent)
    return {
        "format": FORMAT,
        "cells": [short(cell.encode()) for cell in notebook.code],
        "directives": notebook.directives,
        "parameters": parameters,
        "library": {name: known.source(name).digest for name in reached.modules},
        "data": data_checksums(notebook),
        "files": file_checksums(notebook),
        "named": {word: _sha256(path) for word, path in named.items()},
        "recorded": recorded_checksums(notebook, words, reached.modules),
        "versions": versions(),
        "python": list(sys.version_info[:2]),
    }


def library() -> Library:
    """Return the library as it is on disk now."""
    return _kept(Library(paths.PACKAGE, CARRIERS))


@functools.lru_cache(maxsize=4)
def _kept(known: Library) -> Library:
    """Return the library that was read before, where nothing has changed since: it remembers what it found out."""
    return known


def reachable(notebook: Notebook) -> Reached:
    """Return the modules that a notebook can execute."""
    return _reached(tuple(notebook.code), library())


@functools.lru_cache(maxsize=256)
def _reached(code: tuple[str, ...], known: Library) -> Reached:
    return known.reached(code)


def data_checksums(notebook: Notebook) -> dict[str, str]:
    """Checksum the data files that the notebook says it reads (``prunekit: {reads: [globs]}``).

    The globs are taken under ``PRUNEKIT_DATA``; one that matches nothing is recorded as ``absent``.

    Raises
    ------
    Refused
        If ``PRUNEKIT_DATA`` is no absolute path, or a glob is not valid.
    """
    root = os.environ.get("PRUNEKIT_DATA")
    if root and not Path(root).is_absolute():  # a notebook works in a folder of its own
        raise Refused(f"PRUNEKIT_DATA is {root!r}: give an absolute path")
    checksums: dict[str, str] = {}
    for pattern in notebook.settings.get("reads", []):
        try:
            matches = sorted(Path(root).glob(pattern)) if root else []
        except (ValueError, IndexError, OSError) as error:  # IndexError: how pathlib takes "."
            raise Refused(
                f"notebook {str(notebook.path)!r} reads data files by {pattern!r}, and {root!r} cannot be searched for "
                f"that ({error}); write reads: [globs from there, e.g. MNIST/raw/*]"
            ) from error
        checksums |= {str(f.relative_to(root)): _sha256(f) for f in matches if f.is_file()} or {pattern: "absent"}  # type: ignore[arg-type]
    return checksums


def file_checksums(notebook: Notebook) -> dict[str, str]:
    """Checksum the files beside the notebook that its front matter names (``prunekit: {files: [paths]}``).

    Raises
    ------
    Refused
        If one is missing, is no file or cannot be looked up.
    """
    checksums = {}
    for name in notebook.settings.get("files", []):
        path = notebook.path.parent / name
        try:
            wrong = "" if path.is_file() else "is no file" if path.exists() else "does not exist"
        except OSError as error:
            wrong = f"cannot be looked up: {(error.strerror or 'error').lower()}"
        if wrong:
            raise Refused(
                f"notebook {str(notebook.path)!r} names the file {name!r} in its front matter, and "
                f"{str(path)!r} {wrong}"
            )
        checksums[name] = _sha256(path)
    return checksums


def recorded_checksums(
    notebook: Notebook, words: Collection[str] = (), modules: Collection[str] = ()
) -> dict[str, str]:
    """Checksum the recorded results in the package that a notebook may read.

    They are those of its own page and of each page that is among its words; where it reaches the module that reads
    recordings and names no page that has any, those of every page.
    """
    runs = (f for f in files.below(paths.RECORDED) if f.name == "run.json")
    pages = {run.parent.parent.relative_to(paths.RECORDED).as_posix() for run in runs}
    named = pages & set(words)
    if f"{paths.PACKAGE.name}.book.recordings" in modules and not named:
        named = pages
    folders = [paths.RECORDED / page for page in sorted({*named, notebook.name})]
    return {f.relative_to(paths.RECORDED).as_posix(): _sha256(f) for folder in folders for f in _recorded(folder)}


def _recorded(folder: Path) -> Iterator[Path]:
    """Yield a page's recorded files, without the hidden files that a killed process left beside them."""
    inside = (f for f in files.below(folder) if f.is_file())
    yield from (f for f in inside if not any(part.startswith(".") for part in f.relative_to(folder).parts))


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, or why it cannot be read."""
    try:
        status = path.stat()
        return _content(path, (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size))
    except OSError as error:
        return f"unreadable ({error.strerror})"


@functools.lru_cache(maxsize=65536)
def _content(path: Path, state: object) -> str:
    """Return a file's SHA-256; its state tells one content from the next, so that a grid reads it once."""
    return files.sha256(path)


def versions() -> dict[str, str]:
    """Return what ``requirements.txt`` pins; where prunekit is installed without it, the versions it depends on."""
    if not (paths.in_checkout() and paths.REQUIREMENTS.exists()):
        return installed_versions()
    pins = {}
    for line in paths.REQUIREMENTS.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        words = line.split(" #")[0].split(" --hash")[0].split(";")
        name, _, version = words[0].strip().partition("==")
        if name and not name.startswith("#"):
            pins[name] = ";".join([version.strip(), *(w.strip() for w in words[1:])])
    return pins


@functools.cache
def installed_versions() -> dict[str, Any]:
    """Return the versions of the libraries whose numbers a run depends on."""
    names = (
        "prunekit",
        "numpy",
        "scipy",
        "matplotlib",
        "scikit-learn",
        "torch",
        "torchvision",
        "papermill",
        "ipykernel",
    )
    installed = {}
    for name in names:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
