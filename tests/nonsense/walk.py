"""What is public: the names of the top modules, what packages list in `__all__`, and the modules of the API page."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import prunekit

_PAGE = Path(__file__).resolve().parents[2] / "book" / "api.md"
# The book's machinery: commands and files rather than numbers; each has tests of its own under tests/book.
MACHINERY = ("prunekit.__main__", "prunekit.cli", "prunekit.book.runs", "prunekit.book.site")


def callables() -> dict[str, Callable[..., Any]]:
    """Return every public function, class and method that takes arguments, by its path without `prunekit.`."""
    found: dict[str, Callable[..., Any]] = {}
    for module in _modules():
        for name in _names(module):
            found |= dict(_of(getattr(module, name)))
    return dict(sorted(found.items()))


def arguments(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a callable by name; `self` is none."""
    return {name: p for name, p in inspect.signature(function).parameters.items() if name != "self"}


def _modules() -> Iterator[ModuleType]:
    top = [f"prunekit.{each.name}" for each in pkgutil.iter_modules(prunekit.__path__) if each.name[0] != "_"]
    for name in dict.fromkeys(["prunekit", *top, *_page()]):
        if not name.startswith(MACHINERY):
            yield importlib.import_module(name)


def _page() -> dict[str, list[str]]:
    """Return the modules of the API page, with the members it names; none where it shows all."""
    blocks = re.findall(r"automodule:: (\S+)\n(?:   :members:(.*))?", _PAGE.read_text(encoding="utf-8"))
    return {name: [each for each in re.split(r"[,\s]+", members) if each] for name, members in blocks}


def _names(module: ModuleType) -> list[str]:
    listed = getattr(module, "__all__", None) or _page().get(module.__name__)
    if listed:
        return list(listed)
    return [
        n for n, thing in vars(module).items() if n[0] != "_" and getattr(thing, "__module__", "") == module.__name__
    ]


def _of(thing: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield a function, or a class and its public methods, inherited ones by the class that has them."""
    if not getattr(thing, "__module__", "").startswith("prunekit") or not callable(thing):
        return
    path = f"{thing.__module__}.{thing.__qualname__}".removeprefix("prunekit.")
    if not inspect.isclass(thing):
        yield path, thing
        return
    if not issubclass(thing, BaseException):
        yield path, thing
    for name, member in inspect.getmembers(thing):
        method = inspect.isfunction(member) or inspect.ismethod(member)
        if method and member.__module__.startswith("prunekit") and name[0] != "_" and arguments(member):
            yield f"{member.__module__}.{member.__qualname__}".removeprefix("prunekit."), member
