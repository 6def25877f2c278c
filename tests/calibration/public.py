"""Which public functions return an error, found by walking the package: each needs a case, or a reason to have none."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import prunekit
from prunekit.statistics import Estimate

MACHINERY = ("book", "cli")  # run and show the rest
ERROR = re.compile(r"(^|_)(error|errors|interval)$")
WORDS = re.compile(r"standard error|confidence|bootstrap|jackknife|error bar", re.IGNORECASE)


def modules() -> Iterator[ModuleType]:
    """Yield the library's public modules."""
    for found in pkgutil.walk_packages(prunekit.__path__, "prunekit."):
        parts = found.name.split(".")[1:]
        if parts[0] not in MACHINERY and not any(part.startswith("_") for part in parts):
            yield importlib.import_module(found.name)


def classes() -> dict[str, type]:
    """Return the public classes by their bare name."""
    return {name: found for module in modules() for name, found in _own(module) if inspect.isclass(found)}


def _own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield what a module defines for everybody."""
    for name, found in vars(module).items():
        if not name.startswith("_") and getattr(found, "__module__", None) == module.__name__:
            yield name, found


def with_errors() -> set[str]:
    """Return the names of the classes that hold an error: a field of that name, or one of a class that holds one."""
    known = classes()
    found = {"Estimate"}
    while True:
        words = re.compile(rf"\b({'|'.join(found)})\b")
        more = {
            name
            for name, one in known.items()
            if issubclass(one, Estimate)
            or any(
                words.search(str(kind)) or (ERROR.search(field) and "str" not in str(kind))
                for field, kind in getattr(one, "__annotations__", {}).items()
            )
        }
        if more <= found:
            return found
        found |= more


def returning() -> dict[str, Any]:
    """Return the public functions, methods and properties that return an error, by name.

    That is one whose result is of a class that holds one, that is named an interval, or
    whose documentation speaks of a standard error, a bootstrap or a jackknife.
    """
    words = re.compile(rf"\b({'|'.join(with_errors())})\b")
    found = {}
    for module in modules():
        for name, one in _own(module):
            where = f"{module.__name__.removeprefix('prunekit.')}.{name}"
            if inspect.isclass(one):
                for method, each in vars(one).items():
                    if not method.startswith("_") and _returns(each, words):
                        found[f"{where}.{method}"] = each
            elif inspect.isfunction(one) and (_returns(one, words) or name.endswith("_interval")):
                found[where] = one
    return found


def _returns(one: Any, words: re.Pattern[str]) -> bool:
    function = getattr(one, "fget", None) or getattr(one, "func", None) or getattr(one, "__func__", None) or one
    if not inspect.isfunction(function):
        return False
    kinds = function.__annotations__
    return bool(words.search(str(kinds.get("return", ""))) or WORDS.search(inspect.getdoc(function) or ""))


def named(name: str) -> Any:
    """Return the function, method or property of a name below `prunekit`.

    Raises
    ------
    AttributeError
        If there is none.
    """
    found: Any = prunekit
    for part in name.split("."):
        if inspect.ismodule(found) and not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
    return found


REASONS = {
    "statistics.largest_deviation": "divides by the error of `mean_and_error`; tests count its false alarms",
    "statistics.leads": "divides by the error of `mean_and_error`",
    "curvature.probing.Probing.resolve": "hands on what is read off a spectrum: `Spectrum.integrate`",
    "curvature.spectrum": "is a measure; its numbers have the error of `Spectrum.integrate`",
    "statistics.Estimate.linear": "multiplies an error by a number",
    "statistics.ProbedEstimate.linear": "multiplies an error by a number",
    "statistics.ProbedEstimate.scatter": "is a part of an error",
    "statistics.chance_of_two": "is the chance that a standard error promises",
    "limit.compare_limits": "puts `predict`, `PruningCurve.limit` and `upper_gap` together",
    "limit.Landscape.read": "hands on what is read off a spectrum: `Spectrum.integrate`",
    "limit.Landscape.read_block": "hands on what is read off a spectrum: `Spectrum.integrate`",
    "stable.trained.train_and_read": "hands on the tail indices of `layer_tail_index`",
    "limit.measured_limit": "is `PruningCurve.limit` of a network's curve",
    "limit.pruning_limit": "is `predict` for a network",
    "diagnosis.curves.RiseCurve.error": "is the error of `RiseCurve.within`, for any number",
    "diagnosis.curves.RiseCurve.errors": "is the error of `RiseCurve.within`, for a rise, which is a mean",
    "diagnosis.files.weights_report": "hands on the tail indices of `layer_tail_index`",
    "diagnosis.tails.tails": "hands on the tail index of `layer_tail_index`",
    "diagnosis.report.Report.to_dict": "hands on what the report holds",
    "diagnosis.subject.Losses.without": "is what a jackknife needs; the error is `RiseCurve.error`'s",
    "diagnosis.words.pm": "writes an error that it is given",
    "diagnosis.words.share_pm": "writes an error that it is given",
    "sensing.approximate_minimum": "gives the residual of an eigenvector, no standard error",
}
