"""One module's source as `prunekit.book.runs.reach` reads it: what it binds, names, and fetches when asked."""

from __future__ import annotations

import ast
import functools
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


def short(text: bytes) -> str:
    """Return a checksum of 16 hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()[:16]


def plain(tree: ast.Module) -> ast.Module:
    """Take the docstrings and other bare strings out of a syntax tree, and return it."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return tree


def _is_text(statement: ast.stmt) -> bool:
    """Tell whether a statement is a bare string, such as a docstring."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@dataclass(frozen=True)
class Source:
    """One module of the library, read from disk.

    Attributes
    ----------
    name
        Its dotted name.
    package
        The package that its relative imports start from.
    tree
        Its syntax tree without docstrings; None where the file is no Python.
    guards
        Whether the text has the word ``TYPE_CHECKING`` in it.
    digest
        A checksum of the tree, or of the text where there is none.
    """

    name: str
    package: str
    tree: ast.Module | None
    guards: bool = False
    digest: str = ""

    @cached_property
    def walked(self) -> tuple[list[ast.AST], dict[ast.AST, ast.AST]]:
        """The nodes that an interpreter can reach, and the parent of each."""
        return _walked(self.tree, _guarded(self.tree) if self.guards else frozenset()) if self.tree else ([], {})

    @cached_property
    def bindings(self) -> dict[str, ast.Import | ast.ImportFrom]:
        """Names that import statements bind, each with its statement, the last one where there are several."""
        bound: dict[str, ast.Import | ast.ImportFrom] = {}
        for node in self.walked[0]:
            for alias in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []:
                bound[alias.asname or alias.name.partition(".")[0]] = node  # type: ignore[assignment]
        return bound

    @cached_property
    def fetches(self) -> bool:
        """Whether the module has a ``__getattr__`` of its own."""
        body = self.tree.body if self.tree else []
        defined = any(isinstance(s, ast.FunctionDef) and s.name == "__getattr__" for s in body)
        named = any(isinstance(n, ast.Name) and n.id == "__getattr__" for n in self.walked[0])
        return defined or named or "__getattr__" in self.bindings

    @cached_property
    def fetching_call(self) -> ast.Call | None:
        """The one call of ``import_module`` in the module's ``__getattr__``; None where it is not so simple."""
        body = self.tree.body if self.tree else []
        defined = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == "__getattr__"]
        calls = [n for s in defined for n in ast.walk(s) if isinstance(n, ast.Call) and _called(n) == "import_module"]
        simple = len(defined) == len(calls) == 1 and len(calls[0].args) == 1 and not calls[0].keywords
        return calls[0] if simple else None

    @cached_property
    def fetched(self) -> dict[str, str] | None:
        """Names that ``__getattr__`` fetches, with the module it imports for each; None where it cannot be read.

        What can be read is ``import_module(f"package.{TABLE[name]}")`` with a literal table of the module.
        """
        if self.fetching_call is None or self.tree is None:
            return None if self.fetches else {}
        try:
            return _evaluated(self.fetching_call.args[0], self.name, self.tree)
        except (ValueError, KeyError):
            return None


@functools.lru_cache(maxsize=1024)
def read_source(name: str, package: str, path: Path, changed: int, size: int) -> Source:
    """Read a module; the time of its last change and its size tell one reading from the next."""
    text = path.read_bytes()
    try:
        tree = plain(ast.parse(text))
    except (SyntaxError, ValueError):
        return Source(name, package, None, digest=short(text))
    return Source(name, package, tree, b"TYPE_CHECKING" in text, short(ast.dump(tree).encode()))


def absolute_origin(source: Source, node: ast.ImportFrom) -> str:
    """Return the dotted name that a ``from`` statement imports from."""
    if not node.level:
        return node.module or ""
    parts = source.package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])


def _evaluated(name: ast.expr, module: str, tree: ast.Module) -> dict[str, str]:
    """Return what an f-string with one ``TABLE[…]`` in it comes to, for each key of the table.

    Raises
    ------
    ValueError, KeyError
        If the expression is anything else.
    """
    tables = {
        s.targets[0].id: ast.literal_eval(s.value)
        for s in tree.body
        if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and isinstance(s.value, ast.Dict)
    }
    parts, table = [], None
    for part in name.values if isinstance(name, ast.JoinedStr) else [name]:
        value = part.value if isinstance(part, ast.FormattedValue) else part
        if isinstance(value, ast.Constant):
            parts.append(str(value.value))
        elif isinstance(value, ast.Name) and value.id in ("__name__", "__package__"):
            parts.append(module)
        elif isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and table is None:
            table = tables[value.value.id]
            parts.append("\0")
        else:
            raise ValueError(ast.unparse(name))
    if table is None:
        raise ValueError(ast.unparse(name))
    return {key: "".join(parts).replace("\0", home) for key, home in table.items()}


def _called(call: ast.Call) -> str:
    """Return the last name of what is called, empty where it has none."""
    func = call.func
    return func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""


_NAMED = (ast.Name, ast.Attribute, ast.Call)


_WANTED = (ast.Import, ast.ImportFrom, ast.Name, ast.Constant, ast.keyword)


def _walked(tree: ast.AST, guarded: frozenset[str]) -> tuple[list[ast.AST], dict[ast.AST, ast.AST]]:
    """Return the parts of a tree that are `_WANTED`, and the parents of names.

    Those under ``if TYPE_CHECKING:`` are left out.
    """
    waiting: list[ast.AST] = [tree]
    wanted: list[ast.AST] = []
    parents: dict[ast.AST, ast.AST] = {}
    for node in waiting:  # grows as it is read
        seen_by_checkers = bool(guarded) and isinstance(node, ast.If) and _spelled(node.test) in guarded
        for name in node._fields:
            value = getattr(node, name, None)
            if name == "ctx" or (seen_by_checkers and name == "body"):
                continue
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST):
                    waiting.append(child)
                    if isinstance(child, _NAMED):
                        parents[child] = node
                    if isinstance(child, _WANTED):
                        wanted.append(child)
    return wanted, parents


def _spelled(test: ast.expr) -> str:
    """Return a name, or a name of a name, as it is written; empty for anything else, however deep."""
    if isinstance(test, ast.Attribute) and isinstance(test.value, ast.Name):
        return f"{test.value.id}.{test.attr}"
    return test.id if isinstance(test, ast.Name) else ""


def _guarded(tree: ast.AST) -> frozenset[str]:
    """Return how a tree spells typing's ``TYPE_CHECKING``; empty where it binds that name to anything else too."""
    names: set[str] = set()
    others = False
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            own = node.module == "typing" and not node.level
            names |= {"TYPE_CHECKING" for a in node.names if own and a.name == "TYPE_CHECKING" and not a.asname}
            others |= any((a.asname or a.name) in ("TYPE_CHECKING", "typing", "*") for a in node.names if not own)
        elif isinstance(node, ast.Import):
            names |= {"typing.TYPE_CHECKING" for a in node.names if a.name == "typing" and not a.asname}
            others |= any(a.asname in ("TYPE_CHECKING", "typing") for a in node.names)
        elif isinstance(node, ast.Name):
            others |= node.id in ("TYPE_CHECKING", "typing") and not isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.Attribute):
            others |= node.attr == "TYPE_CHECKING" and not isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.arg):
            others |= node.arg in ("TYPE_CHECKING", "typing")
    return frozenset() if others else frozenset(names)
