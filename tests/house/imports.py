"""Who imports whom: the rooms of the library, the arrows between them, circles, and arrows that point upward.

A room is a package or a module on the top level of ``prunekit``. An import inside a function counts like any other: one
that is put there only to break a circle does not hide it. Two kinds are kept apart: imports for type hints alone, which
run nothing, and `DOORS`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# From the bottom up: a room may import those of the layers below and those before it in its own layer. Theories that
# know no network come first. The theories that are also computed on networks (stable, curvature, limit) stand above
# `nets`, of which they need data sets, access to weights and losses; `nets` needs no theory at all.
ORDER = {
    "ground": ("__init__", "_checks", "_system", "statistics", "spectrum"),
    "theories": ("linear", "sensing", "cones"),
    "networks": ("nets", "stable", "curvature", "importance", "masks"),
    "limits": ("limit", "algorithms"),
    "book": ("book",),
    "reports": ("diagnosis",),
    "command line": ("cli", "__main__"),
}
# The one door that stays open backwards: a problem hands out its law, because that reads best.
DOORS = (("prunekit.linear.problem", "prunekit.linear.law"),)


@dataclass(frozen=True)
class Arrow:
    """One import of a module of the library by another, by their full names."""

    source: str
    target: str
    typing: bool  # for type hints alone

    @property
    def rooms(self) -> tuple[str, str]:
        """The rooms at both ends."""
        return room(self.source), room(self.target)


def room(module: str) -> str:
    """Return the room of a module, ``__init__`` for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def modules(root: Path) -> dict[str, Path]:
    """Return the files of the library below a checkout, by the full names of their modules."""
    found = {}
    for path in sorted((root / "prunekit").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def arrows(files: Mapping[str, Path]) -> list[Arrow]:
    """Return every import of one of the modules by another, without repetition."""
    found = {
        Arrow(name, target, typing)
        for name, path in files.items()
        for target, typing in _imports(ast.parse(path.read_text(encoding="utf-8")), files)
        if target != name
    }
    return sorted(found, key=lambda arrow: (arrow.source, arrow.target, arrow.typing))


def _imports(tree: ast.Module, files: Mapping[str, Path]) -> Iterator[tuple[str, bool]]:
    """Yield the modules that a module imports, and whether for type hints alone."""
    hints = {id(node) for block in ast.walk(tree) if _for_hints(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError("an import is relative: name the module from prunekit on, so that it can be counted")
            named = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in named:
            target = name if name in files else name.rpartition(".")[0]
            if target in files:
                yield target, id(node) in hints


def _for_hints(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def counted(found: Iterable[Arrow]) -> list[Arrow]:
    """Return the arrows that bind: without those for type hints, and without the doors."""
    return [arrow for arrow in found if not arrow.typing and (arrow.source, arrow.target) not in DOORS]


def between_rooms(found: Iterable[Arrow]) -> dict[tuple[str, str], int]:
    """Return how many imports there are from a room into another."""
    counts: dict[tuple[str, str], int] = {}
    for arrow in found:
        if arrow.rooms[0] != arrow.rooms[1]:
            counts[arrow.rooms] = counts.get(arrow.rooms, 0) + 1
    return dict(sorted(counts.items()))


def circles(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the groups of names each of which can be reached from every other one."""
    ahead: dict[str, set[str]] = {}
    for source, target in pairs:
        ahead.setdefault(source, set()).add(target)
        ahead.setdefault(target, set())
    reach = {name: _reachable(name, ahead) for name in ahead}
    groups = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in ahead}
    return [list(group) for group in sorted(groups) if group]


def _reachable(start: str, ahead: Mapping[str, set[str]]) -> set[str]:
    """Return the names that can be reached from one by at least one arrow."""
    seen: set[str] = set()
    waiting = list(ahead[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += ahead[name]
    return seen


def upward(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the arrows from a room to one that stands after it in `ORDER`."""
    place = {name: index for index, name in enumerate(name for layer in ORDER.values() for name in layer)}
    return [(source, target) for source, target in pairs if place[source] <= place[target]]


def unplaced(files: Mapping[str, Path]) -> list[str]:
    """Return the rooms that `ORDER` does not name, and the names in it that are no rooms."""
    there, named = {room(name) for name in files}, {name for layer in ORDER.values() for name in layer}
    return sorted(there ^ named)
