"""The content address of a run: what could change its result, and nothing else.

A key is the SHA-256 of the notebook's code cells, its complete parameters, the library's syntax trees without
docstrings and comments, the data and recorded files that it may read, and the pinned versions. Prose is not in
it, so editing a sentence runs nothing. Nor are the modules that only carry runs about (`CARRIERS`): no notebook
computes with them, which a test holds them to.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from prunekit import paths
from prunekit.runs.notebooks import Notebook, Parameters, Refused

CARRIERS = ("runs", "site", "cli.py", "__main__.py", "paths.py")
FORMAT = 1  # raise it when the meaning of a stored run changes


def run_key(notebook: Notebook, parameters: Parameters) -> str:
    """Return the content address of one run.

    Parameters
    ----------
    notebook
        The notebook as read.
    parameters
        Every parameter, as `prunekit.runs.notebooks.coerce` returns them.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    parts = {
        "format": FORMAT,
        "code": notebook.code,
        "parameters": parameters,
        "library": library_fingerprint(),
        "data": data_checksums(notebook),
        "recorded": recorded_checksums(notebook),
        "versions": versions_fingerprint(),
        "python": list(sys.version_info[:2]),
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def library_fingerprint() -> str:
    """Hash the syntax trees of the modules that a notebook can compute with."""
    digest = hashlib.sha256()
    for path in sorted(paths.PACKAGE.rglob("*.py")):
        relative = path.relative_to(paths.PACKAGE)
        if relative.parts[0] in CARRIERS or "recorded" in relative.parts:
            continue
        digest.update(relative.as_posix().encode())
        digest.update(meaning(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()


def meaning(source: str) -> str:
    """Return a module's syntax tree as text, without docstrings, comments and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    """Tell whether a statement is a bare string, such as a docstring."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def data_checksums(notebook: Notebook) -> dict[str, str]:
    """Checksum the data files that the notebook says it reads (``prunekit: {reads: [globs]}``).

    The globs are taken under ``PRUNEKIT_DATA``; one that matches nothing is recorded as ``absent``.
    """
    root = os.environ.get("PRUNEKIT_DATA")
    if root and not Path(root).is_absolute():  # a notebook works in a folder of its own
        raise Refused(f"PRUNEKIT_DATA is {root!r}: give an absolute path")
    found: dict[str, str] = {}
    for pattern in notebook.settings.get("reads", []):
        matches = sorted(Path(root).glob(pattern)) if root else []
        found |= {str(f.relative_to(root)): _sha256(f) for f in matches if f.is_file()} or {pattern: "absent"}  # type: ignore[arg-type]
    return found


def recorded_checksums(notebook: Notebook) -> dict[str, str]:
    """Checksum the recorded results kept in the package for this notebook."""
    folder = paths.RECORDED / notebook.name
    return {f.relative_to(paths.RECORDED).as_posix(): _sha256(f) for f in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    """Yield a page's recorded files, without what a kill left hidden beside them."""
    found = (f for f in sorted(folder.rglob("*")) if f.is_file())
    yield from (f for f in found if not any(part.startswith(".") for part in f.relative_to(folder).parts))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.cache
def versions_fingerprint() -> str:
    """Hash ``requirements.txt``; where prunekit is installed without it, the installed versions it depends on."""
    if paths.in_checkout() and paths.REQUIREMENTS.exists():
        return _sha256(paths.REQUIREMENTS)
    return hashlib.sha256(json.dumps(installed_versions()).encode()).hexdigest()


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
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
