"""A notebook's file, read or refused: whatever it holds, the result is a notebook of known shape or one sentence.

What is handed on is built anew from the parts that matter: cells with source, metadata and attachments, and the
notebook's metadata. Outputs, execution counts and cell ids of the file are left behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from prunekit.book.runs.tags import INJECTED

FORMAT = 4  # of nbformat
KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
_KINDS = ("code", "markdown", "raw")
_PYTHON = re.compile(r"i?python[0-9.]*|py|xpython", re.IGNORECASE)
_FOREIGN = re.compile(r"(ir|r|julia|bash|octave|matlab|javascript|deno|scala|sos|stata|sas)\b.*", re.IGNORECASE)
_FRONT = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)


class Unreadable(ValueError):
    """A file that is no notebook; the message says why and what would be right."""


def read_node(path: Path) -> Any:
    """Read ``.md`` (MyST) or ``.ipynb`` as an `nbformat` node of version 4 with stable cell ids.

    Raises
    ------
    Unreadable
        For a file that cannot be opened, is no UTF-8, no notebook or one of another format or language, or holds
        no code cell.
    """
    text = _text(path)
    try:
        content = _ipynb(text) if path.suffix == ".ipynb" else _myst(text)
        _check_language(content["metadata"])
        node = _rebuilt(content)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    if not any(c.cell_type == "code" and c.source.strip() for c in node.cells):
        hint = " (```{code-cell} ipython3)" if path.suffix == ".md" else ""
        raise Unreadable(f"it holds no code cell{hint}, so there is nothing to run")
    return node


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise Unreadable("it is a folder; name a notebook in it")
        if not path.is_file():
            raise Unreadable("it is no regular file")
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Unreadable(f"its byte {error.start} is no UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise Unreadable(f"it cannot be opened: {error.strerror}") from None


def _ipynb(text: str) -> dict[str, Any]:
    if not text.strip():
        raise Unreadable("it is empty")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"it is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise Unreadable(f"it holds a JSON {type(content).__name__}, and a notebook is an object with cells")
    version = content.get("nbformat")
    if isinstance(version, bool) or version != FORMAT:
        raise Unreadable(
            f"its nbformat is {version!r}, and {FORMAT} is read here; open it in Jupyter and save it again"
        )
    if not isinstance(content.get("cells"), list):
        raise Unreadable(f"its cells are {_shown(content.get('cells'))}, and have to be a list")
    return {"cells": content["cells"], "metadata": content.get("metadata", {})}


def _myst(text: str) -> dict[str, Any]:
    return dict(json.loads(_parsed(text)))


@lru_cache(maxsize=128)
def _parsed(text: str) -> str:
    """Return the cells and the metadata of a MyST page as JSON; the same pages are read again and again."""
    import jupytext

    text = _completed(text)
    try:
        node = jupytext.reads(text, fmt={"extension": ".md", "format_name": "myst"})
    except RecursionError:
        raise
    except Exception as error:  # jupytext passes on what the YAML and Markdown parsers raise
        raise Unreadable(f"it is no MyST-Markdown: {_first_line(error)}") from None
    for index, cell in enumerate(node.cells):
        if "load" in cell.metadata:
            raise Unreadable(f"its cell {index + 1} loads a file (:load:), which is not done here; paste the code")
    return json.dumps({"cells": node.cells, "metadata": node.metadata}, default=_date)


def _date(value: Any) -> str:
    """Return a date, which YAML knows and JSON does not, as text."""
    if isinstance(value, date):
        return value.isoformat()
    raise Unreadable(f"its front matter holds {_shown(value)}; write it as text, in quotes")


def _completed(text: str) -> str:
    """Complete a page's kernelspec by what jupytext requires and an author may leave out.

    A page without a kernelspec is returned as it is.

    Raises
    ------
    Unreadable
        If the front matter is not a YAML mapping.
    """
    import yaml

    match = _FRONT.match(text)
    if match is None:
        if re.match(r"---[ \t]*\n", text):
            raise Unreadable("its front matter has no end; write --- on a line of its own below it")
        return text
    try:
        front = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError) as error:
        raise Unreadable(f"its front matter is no YAML: {_first_line(error)}") from None
    if front is not None and not isinstance(front, Mapping):
        raise Unreadable(f"its front matter is {_shown(front)}, and has to be a mapping, name: value")
    if not front or "kernelspec" not in front:
        return text
    spec = _mapping("kernelspec", front["kernelspec"])
    if {"name", "display_name"} <= spec.keys():
        return text
    whole = {**front, "kernelspec": {"name": "", "display_name": KERNELSPEC["display_name"], **spec}}
    return f"---\n{yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)}---\n{text[match.end() :]}"


def _mapping(name: str, part: Any) -> Mapping[str, Any]:
    """Return a part of a notebook's metadata, or refuse one that is no mapping."""
    if not isinstance(part, Mapping):
        raise Unreadable(f"its {name} is {_shown(part)}, and has to be a mapping, e.g. {{name: python3}}")
    return part


def _check_language(metadata: Any) -> None:
    """Refuse a notebook of another language; a Python kernel of another name is taken for ours."""
    if not isinstance(metadata, Mapping):
        raise Unreadable(f"its metadata is {_shown(metadata)}, and has to be a mapping")
    kernel, info = (_mapping(name, metadata.get(name, {})) for name in ("kernelspec", "language_info"))
    lexer = metadata.get("jupytext", {})  # jupytext notes there what stands behind the first {code-cell}
    lexer = lexer.get("default_lexer") if isinstance(lexer, Mapping) else None
    language = kernel.get("language") or info.get("name") or lexer
    name = kernel.get("name", "")
    if not isinstance(name, str) or not isinstance(language, (str, type(None))):
        raise Unreadable(f"its kernelspec is {_shown(dict(kernel))}; write {{name: python3, language: python}}")
    if not _PYTHON.fullmatch(language) if language else _FOREIGN.fullmatch(name):
        raise Unreadable(f"its kernel is {name or language!r} ({language or name}), and Python notebooks are run here")


def _rebuilt(content: Mapping[str, Any]) -> Any:
    """Return a valid node made of the file's cells."""
    import nbformat

    cells = [_cell(cell, index) for index, cell in enumerate(content["cells"])]
    cells = [cell for cell in cells if INJECTED not in cell["metadata"].get("tags", [])]
    for index, cell in enumerate(cells):  # a file's ids may be missing, random or double: two readings must agree
        cell["id"] = f"cell-{index}"
    metadata = {**content["metadata"], "kernelspec": KERNELSPEC}
    for name in ("language_info", "papermill", "widgets"):  # of earlier runs
        metadata.pop(name, None)
    node = nbformat.from_dict({"nbformat": FORMAT, "nbformat_minor": 5, "metadata": metadata, "cells": cells})
    try:
        json.dumps(node, allow_nan=False, ensure_ascii=False).encode()
        nbformat.validate(node)
    except UnicodeEncodeError:
        raise Unreadable("it holds half of a surrogate pair (\\ud800 to \\udfff), which is no text") from None
    except (ValueError, TypeError) as error:
        raise Unreadable(f"its metadata is no JSON: {_first_line(error)}") from None
    except nbformat.ValidationError as error:
        raise Unreadable(f"it is no valid notebook: {_first_line(error)}") from None
    return node


def _cell(cell: Any, index: int) -> dict[str, Any]:
    """Return the parts of one cell that matter."""
    name = f"its cell {index + 1}"
    if not isinstance(cell, Mapping):
        raise Unreadable(f"{name} is {_shown(cell)}, and has to be an object")
    kind, metadata = cell.get("cell_type"), cell.get("metadata", {})
    if kind not in _KINDS:
        raise Unreadable(f"{name} is of type {_shown(kind)}: there are {', '.join(_KINDS)}")
    if not isinstance(metadata, Mapping):
        raise Unreadable(f"{name} has metadata {_shown(metadata)}, and it has to be an object")
    tags = metadata.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Unreadable(f"{name} has tags {_shown(tags)}: write a list of words, [hide-input]")
    if "source" not in cell:
        raise Unreadable(f"{name} has no source")
    source = cell["source"]
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Unreadable(f"{name} has the source {_shown(source)}, and it has to be text")
    kept: dict[str, Any] = {"cell_type": kind, "metadata": dict(metadata), "source": source.replace("\r\n", "\n")}
    if kind == "code":
        return kept | {"outputs": [], "execution_count": None}
    return kept | ({"attachments": cell["attachments"]} if cell.get("attachments") else {})


def _shown(value: Any, most: int = 60) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip()[:200] if lines else type(error).__name__
