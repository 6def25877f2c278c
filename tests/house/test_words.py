"""The house speaks plainly: a local name says what it holds, and `found` is for what a search has found."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from prunekit.book import paths
from tests.house import imports

# At the start 14% of the functions (289 of 2,026) called some result `found`; now three do, which search for something.
MOST_FOUND = 0.005


def binders(sources: Iterable[str], name: str) -> tuple[int, int]:
    """Return how many functions bind a local of that name, nested functions included, and how many there are."""
    functions = [
        node
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return sum(any(_binds(node, name) for node in ast.walk(function)) for function in functions), len(functions)


def _binds(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name


def test_few_functions_call_a_result_found():
    sources = (path.read_text(encoding="utf-8") for path in imports.modules(paths.ROOT).values())
    bound, functions = binders(sources, "found")
    assert functions > 1000
    assert bound <= MOST_FOUND * functions, f"{bound} of {functions} functions bind `found`: say what it holds"


def test_a_function_that_only_reads_or_takes_the_name_does_not_bind_it():
    source = """
def binds(x):
    found = x
    return found

def loops(xs):
    return [found for found in xs]

def holds():
    def inner():
        (found, other) = 1, 2
        return found
    return inner

def takes(found):
    return found

def calls(f):
    return f(found=1).found
"""
    assert binders([source], "found") == (4, 6)
