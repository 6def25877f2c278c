"""Code cells as syntax trees, and the files that they name."""

from __future__ import annotations

import ast
import functools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# What the parser raises; it counts a sum of a thousand terms as a thousand levels.
UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)


@functools.lru_cache(maxsize=4096)
def parse(cell: str) -> ast.Module | None:
    """Return a code cell's syntax tree, with magics turned into calls; None where it is not Python, or too deep."""
    try:
        return ast.parse(cell)
    except UNPARSED:
        pass
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return ast.parse(TransformerManager().transform_cell(cell))
    except UNPARSED:
        return None


_WRITING = ("write", "save", "dump", "to_")  # how the names of functions begin that only write
_MAKING = frozenset({"FileHandler", "basicConfig", "touch", "mkdir", "makedirs", "unlink", "rmtree", "remove"})
_MAKING |= {"imsave", "imwrite"}
_COPYING = frozenset({"copy", "copy2", "copyfile", "copytree", "move"})  # to their second argument
_CONNECTING = frozenset({"connect"})  # to a database, which a notebook fills or queries
_ASKING = re.compile(r"\bselect\b|\bpragma\b|\bread_|\bbackup\b|\biterdump\b", re.IGNORECASE)
# Arguments that name what a resumed training wrote itself: it ends as an uninterrupted one does (`prunekit.fit`).
_RESUMING = re.compile(r"(\w+ )?resume|(fit|train)\w* checkpoint")
_WRAPPING = frozenset({"Path", "PurePath", "str", "fspath", "expanduser", "abspath", "join", "resolve", "absolute"})


def read_words(cells: Iterable[str], parameters: Mapping[str, Any]) -> set[str]:
    """Return the strings that code and parameters hold, except those that are only written to as files.

    Parameters
    ----------
    cells
        The code cells, without the cell of parameters.
    parameters
        The parameters' values, by the names that the code uses for them.
    """
    words, written = _words(tuple(cells))
    return {*words} | {word for name, value in parameters.items() if name not in written for word in _strings(value)}


@functools.lru_cache(maxsize=256)
def _words(cells: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the strings in some code that are not only written to, and the names that are only written to."""
    body = [statement for cell in cells for statement in getattr(parse(cell), "body", [])]
    parents = parents_of(ast.Module(body=body, type_ignores=[]))
    asked = any(_ASKING.search(cell) for cell in cells)
    names: dict[str, list[ast.AST]] = {}
    for node in parents:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.setdefault(node.id, []).append(node)

    def only_written(node: ast.AST, seen: frozenset[str] = frozenset()) -> bool:
        node = _path(node, parents)
        parent = parents.get(node)
        if isinstance(parent, ast.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0], ast.Name):
            return every_use(parent.targets[0].id, seen)
        return _writes(node, parents, asked=asked)

    def every_use(name: str, seen: frozenset[str] = frozenset()) -> bool:
        uses = names.get(name, [])
        return name not in seen and bool(uses) and all(only_written(use, seen | {name}) for use in uses)

    strings = {n: n.value for n in parents if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    words = frozenset(word for node, word in strings.items() if not only_written(node))
    return words, frozenset(name for name in names if every_use(name))


def parents_of(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    """Return the parent of each node of a tree; contexts, which many nodes share, are left out."""
    parents: dict[ast.AST, ast.AST] = {}
    waiting = [tree]
    for node in waiting:  # grows as it is read
        for name in node._fields:
            value = getattr(node, name, None)
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST) and name != "ctx":
                    parents[child] = node
                    waiting.append(child)
    return parents


def _strings(value: Any) -> set[str]:
    """Return the strings in a parameter's value."""
    if isinstance(value, str):
        return {value}
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return {word for v in values for word in _strings(v)}


def _path(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> ast.AST:
    """Climb from a string to the path that is made of it: ``Path("a") / "b"``."""
    while True:
        parent = parents.get(node)
        called = isinstance(parent, ast.Call) and node in parent.args and _name(parent.func) in _WRAPPING
        divided = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Div)
        if parent is None or not (called or divided):
            return node
        node = parent


def _name(func: ast.expr) -> str:
    return func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""


def _writes(node: ast.AST, parents: Mapping[ast.AST, ast.AST], *, asked: bool) -> bool:
    """Tell whether a path is the argument of a call that writes, or the object of a method that does.

    Parameters
    ----------
    node, parents
        The path, and the parent of each node.
    asked
        Whether the code asks a database for something.
    """
    parent = parents.get(node)
    keyword = parent.arg if isinstance(parent, ast.keyword) else None
    object_of = parent if isinstance(parent, ast.Attribute) else None
    call = parents.get(parent) if isinstance(parent, (ast.keyword, ast.Attribute)) else parent
    if not isinstance(call, ast.Call) or (call.func is not parent if object_of else call.func is node):
        return False
    name = _name(call.func)
    if name == "open":
        return _opens_to_write(call, 0 if object_of else 1)
    if name in _COPYING:
        return keyword == "dst" or node in call.args[1:2]
    if name in _CONNECTING:
        return not asked and object_of is None
    if keyword and _RESUMING.fullmatch(f"{name} {keyword}"):
        return True
    return name.startswith(_WRITING) or name in _MAKING


def _opens_to_write(call: ast.Call, place: int) -> bool:
    """Tell whether a call of ``open`` only writes; its mode is the argument at a place, or named."""
    modes = [k.value for k in call.keywords if k.arg == "mode"] + call.args[place : place + 1]
    mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else ""
    return isinstance(mode, str) and bool(set(mode) & set("wax")) and mode.count("+") == 0


def named_files(words: Iterable[str], folder: Path) -> dict[str, Path]:
    """Return the files among some words: absolute paths, and paths from `folder` or from a folder that is named.

    What the system makes up (``/proc``, ``/sys``, ``/dev``) is no file, and a folder's own contents are not looked at.
    """
    given = {w: os.path.expanduser(w) for w in sorted(words) if 0 < len(w) < 4096 and "\n" not in w}  # noqa: PTH111
    folders = [p for p in given.values() if p.startswith("/") and p.strip("/") and os.path.isdir(p)]  # noqa: PTH112
    named = {}
    for word, path in given.items():
        for base in [str(folder), *folders]:
            whole = os.path.join(base, path)  # noqa: PTH118 (os.path raises nothing, however odd the word)
            if os.path.isfile(whole) and not whole.startswith(("/proc/", "/sys/", "/dev/")):  # noqa: PTH113
                named[word if base == str(folder) else whole] = Path(whole)
    return named
