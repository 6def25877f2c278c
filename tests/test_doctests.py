"""The examples in docstrings run, print what they say, and import what they use.

An example may use the name that it explains and ``np``; a reader who copies it needs nothing else.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from prunekit.book import paths
from tests.house.imports import modules

# What a reader meets first, by room; each has an example.
FIRST = {
    "": "LinearGaussian LinearGaussian.sample LinearGaussian.characterize characterize MinNormLaw.risk min_norm ridge "
    "retrain width_sweep prune support Magnitude Hessian Natural Oracle OptimalBrainSurgeon UniformQuantizer "
    "mean_and_error "
    "largest_deviation leads rank_correlation deviation_bound check report pick recording show glance",
    "stable": "sample tail_index layer_tail_index compression_error column_error",
    "cones": "Orthant CircularCone Subspace statistical_dimension gaussian_width",
    "sensing": "MatrixSensing ground_truth greedy_prune approximate_minimum",
    "spectrum": "Measure Spectrum",
    "curvature": "Curvature spectrum",
    "limit": "Landscape.of_matrix predict threshold",
    "nets": "load Dataset models.fcn Config fit evaluate prunable",
    "importance": "magnitude natural hessian saliencies hessian_diagonal",
    "masks": "Mask.from_scores Mask.apply_ scores.magnitude scores.hessian scores.random",
}
MOST = 12  # lines of an example


def examples(name: str) -> Iterator[doctest.DocTest]:
    """Yield the examples of a module, each with nothing but ``np`` and what it explains in its namespace."""
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs={}):
        if test.examples:
            own = test.name.removeprefix(name).lstrip(".").split(".")[0]
            test.globs = {"np": np} | ({own: getattr(module, own)} if own else {})
            yield test


def failures(test: doctest.DocTest) -> str:
    """Run an example and return what went wrong."""
    said: list[str] = []
    doctest.DocTestRunner().run(test, out=said.append, clear_globs=True)
    return "".join(said)


def find(room: str, name: str) -> Any:
    """Return what a room offers by a name."""
    found: Any = importlib.import_module(f"prunekit.{room}" if room else "prunekit")
    for part in name.split("."):
        if inspect.ismodule(found) and not hasattr(found, part):
            found = importlib.import_module(f"{found.__name__}.{part}")
        else:
            found = getattr(found, part)
    return found


WITH = [name for name, path in modules(paths.ROOT).items() if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", WITH)
def test_the_examples_of_a_module_print_what_they_say(name):
    found = list(examples(name))
    assert found
    assert [failures(test) for test in found] == [""] * len(found)


@pytest.mark.parametrize("name", WITH)
def test_examples_are_short(name):
    long = [test.name for test in examples(name) if sum(e.source.count("\n") for e in test.examples) > MOST]
    assert long == []


def test_what_a_reader_meets_first_has_an_example():
    names = [(room, name) for room, listed in FIRST.items() for name in listed.split()]
    assert len(names) >= 40
    assert [both for both in names if ">>> " not in (inspect.getdoc(find(*both)) or "")] == []


def test_an_example_that_lies_or_borrows_is_noticed():
    parser, own = doctest.DocTestParser(), {"np": np}
    assert failures(parser.get_doctest(">>> 1 + 1\n2\n", dict(own), "right", None, 0)) == ""
    assert "Got:" in failures(parser.get_doctest(">>> 1 + 1\n3\n", dict(own), "wrong", None, 0))
    assert "NameError" in failures(parser.get_doctest(">>> prune([1.0])\n", dict(own), "borrows", None, 0))
