"""What a notebook can execute of a library: small libraries for each way to import, and the book against modulefinder.

The proof on the book itself is in three parts: `modulefinder`, which follows bytecode and not syntax trees, comes to
the same modules; the runs of the smoke site loaded no other; and each module altered moves the keys of exactly the
pages that reach it.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import modulefinder
import shutil
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

import prunekit
import prunekit.limit
from prunekit.book import paths
from prunekit.book.runs import keys
from prunekit.book.runs.notebooks import Notebook, read
from prunekit.book.runs.reach import Library
from prunekit.book.site.evidence import chapters, wanted

LAZY = """
from importlib import import_module
TABLE = {"solve": "a", "fit": "box.deep"}
def __getattr__(name):
    if name in TABLE:
        return getattr(import_module(f"lib.{TABLE[name]}"), name)
    raise AttributeError(name)
"""
FILES = {
    "__init__.py": LAZY,
    "a.py": "from lib._tools import tool\nsolve = tool",
    "b.py": "def late():\n    import lib.box.deep\n    return lib.box.deep.fit",
    "c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lib.b import late\nelse:\n    late = 1",
    "_tools.py": "tool = 1",
    "alone.py": "x = 1",
    "tricks.py": "import importlib\ndef get(name):\n    return importlib.import_module(name)",
    "box/__init__.py": "from .deep import fit\nfrom . import side",
    "box/deep.py": "fit = 1",
    "box/side.py": "from .. import alone\nfrom ..a import solve",
    "bare/__init__.py": "",
    "bare/leaf.py": "from lib import alone",
    "told.py": "from lib import cli\nfrom lib.cli import b",
    "cli.py": "from lib import b",
}
EVERYTHING = {"", "a", "b", "c", "_tools", "alone", "tricks", "told"}
EVERYTHING |= {"bare", "bare.leaf", "box", "box.deep", "box.side"}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for name, text in FILES.items():
        (tmp_path / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lib" / name).write_text(text)
    return Library(tmp_path / "lib", ["cli"])


def reached(library: Library, *cells: str) -> set[str]:
    """Return the modules that some cells reach, without the package's name before them."""
    return {m.partition(".")[2] for m in library.reached([textwrap.dedent(c) for c in cells]).modules}


RUNNERS = ("cProfile", "profile", "doctest", "code", "codeop", "pdb", "trace", "pydoc", "shelve")
BOX = {"", "box", "box.deep", "box.side", "alone", "a", "_tools"}


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("x = 1", set()),
        ("import numpy as np, math", set()),
        ("import lib", {""}),
        ("import lib.alone", {"", "alone"}),
        ("import lib.a as other", {"", "a", "_tools"}),
        ("from lib.a import solve", {"", "a", "_tools"}),
        ("from lib import a", {"", "a", "_tools"}),
        ("from lib import solve", {"", "a", "_tools"}),
        ("import lib\nlib.solve(1)", {"", "a", "_tools"}),
        ("import lib as l\ndef f():\n    return l.solve", {"", "a", "_tools"}),
        ("import lib\nlib.alone.x", {"", "alone"}),
        ("import lib\nlib.bare.leaf", {"", "bare", "bare.leaf", "alone"}),
        ("from lib import told", {"", "told"}),  # what carries runs about is not followed from the library
        ("from lib import fit", BOX),
        ("from lib.box.deep import fit", BOX),
        ("import lib.box.deep", BOX),
        ("from lib.box import *\nside.solve", BOX),
        ("from lib import b", {*BOX, "b"}),
        ("def f():\n    if 0:\n        from lib import a", {"", "a", "_tools"}),
        ("from lib import c", {"", "c"}),
        ("from lib import nothing", {""}),
        ("from importlib import import_module\nimport_module('lib.a')", {"", "a", "_tools"}),
        ("import importlib as i\ni.import_module('numpy.linalg')\nprint(i.metadata.version('x'))", set()),
        ("from importlib import import_module\nfor m in 'ab':\n    import_module(f'torch.{m}')", set()),
        ("from unittest.mock import patch\npatch('lib.alone.x', 2)", {"", "alone"}),
        ("from lib import cli", {"", "cli", *BOX, "b"}),
        ("%matplotlib inline\nfrom lib import alone", {"", "alone"}),
        ("from IPython import get_ipython\nprint(get_ipython() is None)", set()),
        ("model = object()\nmodel.eval()\nimport re\nre.compile('a')", set()),
        ("from lib import alone\ngetattr(alone, 'x')", {"", "alone"}),
        ("from importlib.metadata import version\nimport importlib.resources as r\nr.files('x')", set()),
        ("import os, asyncio, torch\nos.path.join('a', 'b')\nasyncio.sleep(1)\ntorch.ones(1)", set()),
        ("import numpy as np, torch\nnp.load('x', allow_pickle=False)\ntorch.load('x', weights_only=True)", set()),
    ],
)
def test_imports_are_followed(library: Library, code: str, modules: set[str]) -> None:
    assert reached(library, code) == modules
    assert not library.reached([code]).opaque


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("from lib import *", "everything from lib"),
        ("import lib\nname = 'solve'\ngetattr(lib, name)", "lib as a value"),
        ("import lib\nother = lib\nother.solve", "lib as a value"),
        ("import lib\nlib.__dict__['solve']", "lib.__dict__"),
        ("from importlib import import_module as get\nget('lib.' + 'a')", "computed"),
        ("from importlib import import_module as get\nname = 'a'\nget(f'lib.{name}')", "computed"),
        ("from importlib import import_module as get\nmap(get, ['lib.a'])", "computed"),
        ("import importlib\nimportlib.reload(x)", "computed"),
        ("from importlib import reload", "reload"),
        ("__import__('lib.a')", "__import__"),
        ("exec('import lib.a')", "exec"),
        ("eval('1')", "eval"),
        ("import builtins as b\nb.exec('import lib')", "b.exec"),
        ("import sys\nsys.modules['lib']", "sys.modules"),
        ("from sys import modules", "modules"),
        ("import os as o\no.system('python -c \"import lib\"')", "o.system"),
        ("import subprocess", "subprocess"),
        ("import pickle", "pickle"),
        ("import helper", "helper"),
        ("from importlib.util import spec_from_file_location", "importlib.util"),
        ("import importlib.util as u\nu.find_spec('lib')", "importlib.util"),
        ("import importlib.util", "importlib.util"),
        ("from importlib.machinery import SourceFileLoader", "importlib.machinery"),
        ("import timeit\ntimeit.timeit('solve(1)', setup='from lib import solve')", "timeit"),
        *((f"import {name}", name) for name in RUNNERS),
        *((f"import {name} as m", name) for name in ("marshal", "pty", "asyncio.subprocess", "torch.hub")),
        *(
            (f"import os\nos.{name}('python')", f"os.{name}")
            for name in ("execl", "spawnlp", "posix_spawnp", "forkpty")
        ),
        ("from os import execvpe", "execvpe"),
        ("from os import *", "takes * from os"),
        ("import asyncio as a\nasync def f():\n    await a.create_subprocess_shell('x')", "a.create_subprocess_shell"),
        ("import torch\ntorch.hub.load('a', 'b')", "torch.hub"),
        ("import pandas as pd\npd.read_pickle('x')", "pd.read_pickle"),
        ("__builtins__.exec('import lib')", "__builtins__"),
        ("globals()['__builtins__']", "__builtins__"),
        ("import torch\ntorch.load('x', weights_only=False)", "weights_only"),
        ("import torch\nsafe = True\ntorch.load('x', weights_only=safe)", "weights_only"),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", "allow_pickle"),
        ("import numpy as np\nnp.load('x', **{'allow_pickle': True})", "allow_pickle"),
        ("import lib.tricks", "lib.tricks imports a module by a name that is computed"),
        ("!python -c 'import lib'", "get_ipython"),
        ("%run other.py", "get_ipython"),
        ("%%time\nimport lib.a", "get_ipython"),
        ("this is no Python", "cell 1 is no Python"),
        ("+".join("1" * 3000), "cell 1 is no Python"),  # too deep for the parser
        ("f" + "()" * 3000, "cell 1 is no Python"),
        ("-" * 9000 + "1", "cell 1 is no Python"),
    ],
)
def test_what_cannot_be_followed_counts_as_everything(library: Library, code: str, said: str) -> None:
    found = library.reached([code])
    assert reached(library, code) == EVERYTHING  # and no carrier
    assert any(said in reason for reason in found.opaque), found.opaque


@pytest.mark.parametrize(
    "fault",
    [
        "def __getattr__(name):\n    return find(name)",
        "from elsewhere import __getattr__",
        "__getattr__ = attach(__name__)",
        "from importlib import import_module\nTABLE = dict(solve='a')\n"
        "def __getattr__(name):\n    return import_module(f'lib.{TABLE[name]}')",
    ],
)
def test_a_package_whose_fetching_cannot_be_read_counts_as_everything(library: Library, fault: str) -> None:
    (library.folder / "__init__.py").write_text(fault)
    changed = Library(library.folder, ["cli"])
    assert reached(changed, "from lib import solve") == EVERYTHING
    assert reached(changed, "import lib.alone") >= {"", "alone"}


@pytest.mark.parametrize(
    "guard",
    [
        "TYPE_CHECKING = True\nif TYPE_CHECKING:",
        "from lib._tools import TYPE_CHECKING\nif TYPE_CHECKING:",
        "from typing import TYPE_CHECKING\ndef f(TYPE_CHECKING):\n    if TYPE_CHECKING: pass\nif TYPE_CHECKING:",
        "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:",
        "import typing\ntyping.TYPE_CHECKING = 1\nif typing.TYPE_CHECKING:",
    ],
)
def test_a_guard_that_is_not_provably_the_type_checkers_is_followed(library: Library, guard: str) -> None:
    assert "alone" in reached(library, f"{guard}\n    import lib.alone")


def test_code_that_is_nested_deeply_is_read(library: Library) -> None:
    deep = "+".join("1" * 1500)
    guard = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass"
    assert reached(library, f"{guard}\nif {deep}:\n    import lib.alone") == {"", "alone"}
    assert library.reached([f"load('x', weights_only={deep})"]).opaque


def test_a_module_that_is_no_python_counts_as_everything_and_ends_nothing(library: Library) -> None:
    (library.folder / "alone.py").write_text("def f(:")
    changed = Library(library.folder, ["cli"])
    assert reached(changed, "import lib.alone") == EVERYTHING
    assert len(changed.source("lib.alone").digest) == 16


def test_a_changed_file_is_read_again(library: Library) -> None:
    assert reached(library, "import lib.alone") == {"", "alone"}
    (library.folder / "alone.py").write_text("import lib._tools")
    assert reached(Library(library.folder, ["cli"]), "import lib.alone") == {"", "alone", "_tools"}


@functools.cache
def book() -> tuple[Notebook, ...]:
    return tuple(read(path) for path in chapters())


FETCHING = {"prunekit": prunekit, "prunekit.limit": prunekit.limit}  # packages whose names are fetched when used


def homes(package: ModuleType, name: str) -> ModuleType | None:
    """Return the module of a name that is no function or class, and does not know where it comes from."""
    home = package._HOME.get(name)
    return home and importlib.import_module(f"{package.__name__}.{home}")


def in_words_of_modules(code: list[str]) -> str:
    """Return a notebook's code; what it takes from the package itself is imported from where it really is."""
    lines = []
    for node in ast.walk(ast.parse("\n".join(code))):
        if isinstance(node, ast.ImportFrom) and node.module in FETCHING:
            package = FETCHING[node.module]
            found = [inspect.getmodule(getattr(package, a.name, None)) or homes(package, a.name) for a in node.names]
            lines += [f"import {module.__name__}" for module in found if module]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "prunekit":
            home = homes(prunekit, node.attr)  # fetched when it is used, too
            lines += [f"import {home.__name__}"] if home else []
    return "\n".join([*lines, *code])


class Unguarded(ast.NodeTransformer):
    """Takes out what only a type checker imports: `modulefinder` would follow it."""

    def visit_If(self, node: ast.If) -> ast.AST:
        return ast.Pass() if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the library, type checkers' imports taken out, and nothing else to import."""
    folder = tmp_path_factory.mktemp("unguarded")
    for path in paths.PACKAGE.rglob("*.py"):
        copy = folder / path.relative_to(paths.PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(ast.unparse(ast.fix_missing_locations(Unguarded().visit(ast.parse(path.read_text())))))
    return folder


def test_modulefinder_comes_to_the_same_modules(
    unguarded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modulefinder, "compile", functools.cache(compile), raising=False)  # once, not for each page
    carriers = keys.library().left_out
    for notebook in book():
        script = tmp_path / "page.py"
        script.write_text(in_words_of_modules(notebook.code))
        finder = modulefinder.ModuleFinder(path=[str(unguarded)])
        finder.run_script(str(script))
        found = {name for name in finder.modules if name.partition(".")[0] == "prunekit"}
        reached = keys.reachable(notebook)
        assert not reached.opaque, notebook.name
        assert set(reached.modules) == found - carriers, notebook.name


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the library that keys are computed from."""
    copy = tmp_path / "prunekit"
    shutil.copytree(paths.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "recorded"))
    monkeypatch.setattr(paths, "PACKAGE", copy)
    return copy


def altered(source: str) -> str:
    """Return a module with one number in it changed, or with one more where it has none."""
    tree = ast.parse(source)
    numbers = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) in (int, float)]
    if not numbers:
        return source + "\n_ALTERED = 1\n"
    numbers[-1].value += 1
    return ast.unparse(tree)


def test_a_constant_of_a_module_moves_the_keys_of_exactly_the_pages_that_reach_it(copied: Path) -> None:
    def parts() -> dict[str, dict]:
        return {n.name: keys.fingerprint_parts(n, n.defaults) for n in book()}

    reached = {n.name: set(keys.reachable(n).modules) for n in book()}
    before, modules = parts(), keys.library().paths
    addresses = {page: keys.address(old) for page, old in before.items()}
    for path in modules.values():
        path.write_text(altered(path.read_text()))
    after = parts()

    def moved(module: str) -> set[str]:
        """Return the pages whose keys this module's alteration alone moves."""
        pages = set()
        for page, old in before.items():
            digests = {name: (after if name == module else before)[page]["library"][name] for name in old["library"]}
            same = digests == old["library"]  # and then so is the address
            pages |= set() if same or keys.address(old | {"library": digests}) == addresses[page] else {page}
        return pages

    found = {module: moved(module) for module in modules}
    assert found == {name: {page for page, names in reached.items() if name in names} for name in modules}
    assert found["prunekit"] == set(before)
    assert not any(found[name] for name in keys.library().left_out)


def test_a_change_in_the_matrix_sensing_library_executes_its_two_pages(copied: Path) -> None:
    before = {n.name: keys.run_key(n, n.defaults) for n in book()}
    for path in (copied / "sensing").glob("*.py"):
        path.write_text(altered(path.read_text()))
    moved = {n.name for n in book() if keys.run_key(n, n.defaults) != before[n.name]}
    assert moved == {"matrix-sensing/pruning", "matrix-sensing/regulariser"}


def test_no_run_of_the_book_loaded_a_module_that_its_page_is_not_said_to_reach(smoke_site: Path) -> None:
    carriers = keys.library().left_out
    for page in wanted("smoke"):
        assert page.run is not None and page.run.finished, page.name
        loaded = set(page.run.record["modules"])
        assert {"prunekit", "prunekit.book.plotting", "prunekit.book.scales"} <= loaded, page.name
        assert loaded - carriers <= set(page.run.record["inputs"]["library"]), page.name
