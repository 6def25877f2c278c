"""Which modules of the library a notebook can execute: the closure of its imports, read off the syntax trees.

Nothing is imported here. The reader follows ``import`` and ``from`` wherever they stand, also inside functions;
relative imports; every package that is executed on the way to a module; the attributes of a module that are modules;
and the names that a package fetches when they are asked for (PEP 562), where its table of them can be read. What only a
type checker sees, under ``if TYPE_CHECKING:``, is left out. Whatever cannot be followed (an import of a computed
name, ``exec``, a package handed about as a value, another process, a package that this project does not know) counts
as reaching every module: a run too many costs time, but a run too few is a wrong
number.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from prunekit.book.runs.cells import parse
from prunekit.book.runs.sources import Source, absolute_origin, read_source

# Packages that are known not to import this one. Any other may hand on what it finds here.
FOREIGN = {"numpy", "scipy", "matplotlib", "mpl_toolkits", "sklearn", "torch", "torchvision", "curvlinops"}
FOREIGN |= {"safetensors", "PIL", "IPython", "ipywidgets", "pandas", "seaborn", "plotly", "statsmodels", "mpmath"}
FOREIGN |= {"sympy", "networkx", "h5py", "tqdm", "yaml", "psutil", "tensorflow", "jax"}
# Modules that run or load code which is not in the notebook.
OPAQUE_MODULES = {"subprocess", "asyncio.subprocess", "runpy", "pkgutil", "imp", "zipimport", "posix", "pty", "code"}
OPAQUE_MODULES |= {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib", "torch.hub", "torch.package"}
OPAQUE_MODULES |= {"timeit", "cProfile", "profile", "doctest", "codeop", "bdb", "pdb", "trace", "pydoc"}
OPAQUE_NAMES = {"exec", "eval", "compile", "__import__", "__builtins__", "get_ipython"}
# Patterns of names in modules that are otherwise plain.
OPAQUE_ATTRIBUTES = {
    "sys": re.compile("modules|meta_path|path_hooks"),
    "os": re.compile(r"system|popen|(exec|spawn|posix_spawn|fork)\w*"),
    "asyncio": re.compile(r"subprocess|create_subprocess_\w*"),
    "builtins": re.compile("|".join(OPAQUE_NAMES)),
    "pandas": re.compile("read_pickle"),
    "torch": re.compile("hub|package"),
}
LOADING = {"weights_only": True, "allow_pickle": False}  # arguments that let pickled code be loaded at any other value
OPAQUE_WORDS = {"__import__", "__builtins__", *LOADING}  # as text: ``globals()["__builtins__"]``
QUIET_MAGICS = {"matplotlib", "config", "precision"}
PLAIN_IMPORTLIB = {"metadata", "resources"}  # these read files and import nothing


@dataclass
class Uses:
    """What one source can execute: modules by their dotted names, and why it can execute any other."""

    modules: set[str] = field(default_factory=set)
    opaque: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reached:
    """The modules that a notebook can execute.

    Attributes
    ----------
    modules
        Their dotted names, sorted.
    opaque
        Why every module counts; empty where all imports could be followed.
    """

    modules: tuple[str, ...]
    opaque: tuple[str, ...]


class Library:
    """The modules below one package's folder.

    Parameters
    ----------
    folder
        The package's folder; its name is the package's.
    left_out
        Modules and packages below it that no notebook computes with, by their dotted names without the package's. They
        are followed only from a notebook that imports one itself.
    """

    def __init__(self, folder: Path, left_out: Iterable[str] = ()) -> None:
        self.folder = folder
        self.package = folder.name
        self.paths = {self._name(path): path for path in sorted(folder.rglob("*.py"))}
        aside = {f"{self.package}.{name}" for name in left_out}
        self.left_out = frozenset(n for n in self.paths if any(n == a or n.startswith(a + ".") for a in aside))
        self._uses: dict[str, Uses] = {}

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.folder).with_suffix("").parts
        return ".".join((self.package, *(parts[:-1] if parts[-1] == "__init__" else parts)))

    def __eq__(self, other: object) -> bool:
        """Tell whether two libraries are the same files in the same state."""
        return isinstance(other, Library) and (self.folder, self.left_out, self.state) == (
            other.folder,
            other.left_out,
            other.state,
        )

    def __hash__(self) -> int:
        return hash(self.state)

    @property
    def everything(self) -> frozenset[str]:
        """Every module that a notebook can compute with."""
        return frozenset(self.paths) - self.left_out

    @cached_property
    def state(self) -> tuple[tuple[str, int, int], ...]:
        """Name, time of change and size of each module, which tell whether the library is as it was."""
        stats = ((name, path.stat()) for name, path in self.paths.items())
        return tuple((name, s.st_mtime_ns, s.st_size) for name, s in stats)

    @cached_property
    def _states(self) -> dict[str, tuple[int, int]]:
        return {name: (changed, size) for name, changed, size in self.state}

    def source(self, name: str) -> Source:
        """Read a module and return it."""
        path = self.paths[name]
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        return read_source(name, package, path, *self._states[name])

    def reached(self, cells: Sequence[str]) -> Reached:
        """Return what a notebook with these code cells can execute."""
        own = self._of_notebook(cells)
        modules, opaque = set(own.modules), list(own.opaque)
        waiting = list(modules)
        while waiting:
            name = waiting.pop()
            uses = self.uses(name)
            opaque += uses.opaque
            following = uses.modules if name in self.left_out else uses.modules - self.left_out
            waiting += following - modules
            modules |= following
        if opaque:
            modules |= self.everything
        return Reached(tuple(sorted(modules)), tuple(dict.fromkeys(opaque)))

    def _of_notebook(self, cells: Sequence[str]) -> Uses:
        trees = [parse(cell) for cell in cells]
        body = [statement for tree in trees if tree for statement in tree.body]
        whole = Source("", "", ast.Module(body=body, type_ignores=[]), guards=any("TYPE_CHECKING" in c for c in cells))
        uses = _Reader(self, whole).uses()
        for number, tree in enumerate(trees, 1):
            if tree is None:
                uses.opaque.append(f"code cell {number} is no Python that can be read")
        return uses

    def uses(self, name: str) -> Uses:
        """Return what executing a module, and calling anything in it, can execute next."""
        if name not in self._uses:
            source = self.source(name)
            uses = Uses(opaque=[f"{name} is no Python"]) if source.tree is None else _Reader(self, source).uses()
            self._uses[name] = uses
        return self._uses[name]

    def executed(self, dotted: str) -> set[str]:
        """Return the modules that ``import dotted`` executes: it, and the packages above it."""
        return {name for name in _above(dotted) if name in self.paths}

    def attribute(self, module: str, name: str) -> tuple[Uses, str | None]:
        """Return what asking `module` for `name` can execute, and the module that it may give."""
        submodule = f"{module}.{name}"
        if submodule in self.paths:
            return Uses({submodule}), submodule
        source = self.source(module)
        if name in source.bindings:
            return Uses(), _bound(self, source, name)
        if not source.fetches or name.startswith("__"):
            return Uses(), None
        if source.fetched is None:
            return Uses(opaque=[f"the names that {module} fetches when asked cannot be read off it"]), None
        return Uses(self.executed(source.fetched.get(name, ""))), None

    def fetching(self, module: str, seen: frozenset[str] = frozenset()) -> bool:
        """Tell whether something that a module holds imports further modules when it is asked for a name."""
        source = self.source(module)
        if source.fetches:
            return True
        held = {_bound(self, source, name) for name in source.bindings} - {None, module, *seen}
        return any(self.fetching(m, seen | {module}) for m in held if m)


def _bound(library: Library, source: Source, name: str) -> str | None:
    """Return the module of the library that an import statement of `source` binds `name` to."""
    node = source.bindings[name]
    for alias in node.names:
        if name != (alias.asname or alias.name.partition(".")[0]):
            continue
        if isinstance(node, ast.Import):
            dotted = alias.name if alias.asname else name
        else:
            dotted = f"{absolute_origin(source, node)}.{alias.name}"
            origin = absolute_origin(source, node)
            if dotted not in library.paths and origin in library.paths and origin != source.name:
                return library.attribute(origin, alias.name)[1]
        return dotted if dotted in library.paths else None
    return None


class _Reader:
    """Reads what one source uses."""

    def __init__(self, library: Library, source: Source) -> None:
        self.library = library
        self.source = source
        self.found = Uses()
        self.where = source.name or "the notebook"
        self.modules: dict[str, set[str]] = {}  # names bound to modules of the library
        self.importers: set[str] = set()  # names of importlib.import_module
        self.importlibs: set[str] = set()
        self.system: dict[str, str] = {}  # names of the modules in OPAQUE_ATTRIBUTES

    def uses(self) -> Uses:
        """Return what the source uses."""
        nodes, parents = self.source.walked
        for node in nodes:
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        understood = self.source.fetching_call if self.source.fetched else None
        within = set(ast.walk(understood)) if understood else set()
        for node in nodes:
            if isinstance(node, ast.Name) and node not in within:
                self._name(node, parents)
            elif isinstance(node, ast.keyword):
                self._keyword(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not self.source.name:
                self._word(node.value)
        return self.found

    def _opaque(self, why: str) -> None:
        self.found.opaque.append(f"{self.where} {why}")

    def _add(self, uses: Uses) -> None:
        self.found.modules |= uses.modules
        self.found.opaque += uses.opaque

    def _execute(self, dotted: str) -> None:
        """Note that the module `dotted`, of the library or not, is imported."""
        top = dotted.partition(".")[0]
        if top == self.library.package:
            self.found.modules |= self.library.executed(dotted)
        elif top == "importlib" and dotted != top and dotted.split(".")[1] not in PLAIN_IMPORTLIB:
            self._opaque(f"imports {dotted}, which imports by names or files that are computed")
        elif _above(dotted) & OPAQUE_MODULES and not self.source.name:
            self._opaque(f"imports {dotted}, which runs or loads code that it does not hold")
        elif not self.source.name and top not in FOREIGN and top not in sys.stdlib_module_names:
            self._opaque(f"imports {top}, which may import {self.library.package} by itself")

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._execute(alias.name)
            name = alias.asname or alias.name.partition(".")[0]
            module = alias.name if alias.asname else name
            if module in self.library.paths:
                self.modules.setdefault(name, set()).add(module)
            if module == "importlib":
                self.importlibs.add(name)
            if module in OPAQUE_ATTRIBUTES:
                self.system[name] = module

    def _import_from(self, node: ast.ImportFrom) -> None:
        origin = absolute_origin(self.source, node)
        self._execute(origin)
        for alias in node.names:
            name = alias.asname or alias.name
            if origin == "importlib" and alias.name == "import_module":
                self.importers.add(name)
            elif origin == "importlib" and alias.name not in PLAIN_IMPORTLIB:
                self._opaque(f"takes {alias.name} from importlib")
            elif _is_opaque(origin, alias.name):
                self._opaque(f"takes {alias.name} from {origin}")
            elif origin in self.library.paths and alias.name == "*":
                self._star(origin)
            elif origin in self.library.paths:
                uses, module = self.library.attribute(origin, alias.name)
                self._add(uses)
                if module:
                    self.modules.setdefault(name, set()).add(module)

    def _star(self, origin: str) -> None:
        """Follow ``from origin import *``: it may import every submodule that ``__all__`` lists."""
        if self.library.fetching(origin):
            self._opaque(f"imports everything from {origin}")
            return
        source = self.library.source(origin)
        for name in [*source.bindings, *(m.rpartition(".")[2] for m in self.library.paths if _within(m, origin))]:
            uses, module = self.library.attribute(origin, name)
            self._add(uses)
            if module:
                self.modules.setdefault(name, set()).add(module)

    def _name(self, node: ast.Name, parents: Mapping[ast.AST, ast.AST]) -> None:
        """Follow one use of a name."""
        parent = parents.get(node)
        called = isinstance(parent, ast.Call) and parent.func is node
        attribute = parent.attr if isinstance(parent, ast.Attribute) else None
        if not isinstance(node.ctx, ast.Load):
            return
        if node.id in OPAQUE_NAMES:
            if not (node.id == "get_ipython" and _quiet(parents, node)):
                self._opaque(f"uses {node.id}")
        elif attribute and _is_opaque(self.system.get(node.id, ""), attribute):
            self._opaque(f"uses {node.id}.{attribute}")
        elif node.id in self.importers:
            self._importing(parent if called else None)
        elif node.id in self.importlibs and attribute not in PLAIN_IMPORTLIB:
            above = parents.get(parent) if parent else None
            self._importing(above if attribute == "import_module" and isinstance(above, ast.Call) else None)
        for module in self.modules.get(node.id, ()):
            self._attributes(module, node, parents)

    def _importing(self, call: ast.AST | None) -> None:
        """Follow a call of ``import_module``; None where it is no call."""
        name = call.args[0] if isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords else None
        known = name.value if isinstance(name, ast.Constant) else None
        if isinstance(name, ast.JoinedStr) and isinstance(name.values[0], ast.Constant):
            top, dot, _ = str(name.values[0].value).partition(".")
            known = top if dot and top != self.library.package else None
        if isinstance(known, str) and known and not known.startswith("."):
            self._execute(known)
        else:
            self._opaque("imports a module by a name that is computed")

    def _attributes(self, module: str, node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> None:
        """Follow ``module.x.y`` as far as it names modules."""
        parent = parents.get(node)
        if not (isinstance(parent, ast.Attribute) and parent.value is node):
            if self.library.fetching(module):
                self._opaque(f"uses the module {module} as a value")
            return
        uses, given = self.library.attribute(module, parent.attr)
        self._add(uses)
        if parent.attr == "__dict__" and self.library.fetching(module):
            self._opaque(f"looks into {module}.__dict__")
        if given:
            self._attributes(given, parent, parents)

    def _keyword(self, node: ast.keyword) -> None:
        """Follow an argument that lets a file of data run code: ``weights_only=False``."""
        if node.arg in LOADING and not (isinstance(node.value, ast.Constant) and node.value.value is LOADING[node.arg]):
            self._opaque(
                f"calls with {node.arg} that may be {not LOADING[node.arg]}, by which a file can load any code"
            )

    def _word(self, text: str) -> None:
        """Follow a string that is the dotted name of something in the library, or by which any code is found."""
        if text in OPAQUE_WORDS:
            self._opaque(f"holds the word {text!r}")
        if re.fullmatch(rf"{self.library.package}(\.\w+)+", text):
            self.found.modules |= self.library.executed(text)


def _above(dotted: str) -> set[str]:
    """Return a module's dotted name, and those of the packages above it."""
    parts = dotted.split(".")
    return {".".join(parts[:k]) for k in range(1, len(parts) + 1)}


def _is_opaque(module: str, name: str) -> bool:
    """Tell whether a name in a module that is not the library's can run or load any code; ``*`` takes every name."""
    pattern = OPAQUE_ATTRIBUTES.get(module)
    return pattern is not None and (name == "*" or pattern.fullmatch(name) is not None)


def _within(module: str, package: str) -> bool:
    """Tell whether a module lies directly in a package."""
    return module.rpartition(".")[0] == package


def _quiet(parents: Mapping[ast.AST, ast.AST], node: ast.AST) -> bool:
    """Tell whether ``get_ipython()`` is only compared, or runs a magic that runs no code (``%matplotlib inline``)."""
    call = parents.get(node)
    method = parents.get(call) if isinstance(call, ast.Call) else None
    if isinstance(method, ast.Compare):
        return True
    outer = parents.get(method) if method else None
    if not (isinstance(method, ast.Attribute) and method.attr == "run_line_magic" and isinstance(outer, ast.Call)):
        return False
    return bool(outer.args) and isinstance(outer.args[0], ast.Constant) and outer.args[0].value in QUIET_MAGICS
