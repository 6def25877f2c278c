"""A notebook as the batch sees it: code cells, prose, and a cell of parameters with literal defaults.

Notebooks are MyST-Markdown (``.md``, through jupytext) or ``.ipynb``. The first code cell tagged ``parameters``
holds assignments of literals and nothing else; they are the notebook's parameters and their defaults.
"""

from __future__ import annotations

import ast
import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunekit.book import paths
from prunekit.book.runs import reading, tags
from prunekit.book.scales import SCALES

Parameters = dict[str, Any]
RESERVED = ("status", "wall_time_s", "run")  # the columns of the results table that are its own
LARGEST_BITS = 4096  # of an integer: Python writes and reads no more than 4,300 digits


class Refused(ValueError):
    """A request that was turned down before anything ran; the message says what would be right."""


@dataclass(frozen=True)
class Notebook:
    """A notebook read from disk.

    Attributes
    ----------
    path
        The file that it was read from.
    name
        ``overparameterization/linear-gaussian`` for a chapter's page, the file's stem elsewhere.
    node
        Its cells without outputs, as an ``nbformat`` node with stable cell ids.
    defaults
        Parameter names with their default values, in the order of the parameters cell.
    """

    path: Path
    name: str
    node: Any
    defaults: Parameters

    @property
    def code(self) -> list[str]:
        """Sources of the code cells, in order."""
        return [cell.source for cell in self.node.cells if cell.cell_type == "code"]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The notebook's own ``prunekit`` front matter (``paper``, ``reads``, ``files``)."""
        return self.node.metadata.get("prunekit", {})

    @property
    def directives(self) -> list[Any]:
        """What its tags and front matter say about its execution, and so about its results; usually nothing."""
        return tags.meaning(self.node)


def read(path: Path | str) -> Notebook:
    """Read a notebook and its parameters.

    Raises
    ------
    Refused
        If there is no such file, it is no notebook, or its parameters cell holds more than literals.
    """
    path = Path(path)
    if not os.path.lexists(path):
        raise Refused(f"notebook {str(path)!r} does not exist{_others(path)}")
    if path.suffix not in {".md", ".ipynb"}:
        raise Refused(f"notebook {str(path)!r} is neither MyST-Markdown (.md) nor .ipynb")
    try:
        node = reading.read_node(path)
        tags.directives(node)
        tags.check_cells(node)
    except (reading.Unreadable, tags.Unclear) as error:
        raise Refused(f"notebook {str(path)!r} cannot be run: {error}") from error
    settings = node.metadata.get("prunekit", {})
    reads = settings.get("reads", []) if isinstance(settings, Mapping) else None
    if not isinstance(reads, list) or not all(isinstance(r, str) and not Path(r).is_absolute() for r in reads):
        raise Refused(
            f"notebook {str(path)!r}: write its front matter as prunekit: {{paper: …, reads: [relative globs]}}"
        )
    if not isinstance(settings.get("paper", ""), str):
        raise Refused(f"notebook {str(path)!r}: its front matter's paper is {settings['paper']!r}; name one paper")
    _check_files(settings.get("files", []), path)
    return Notebook(path=path, name=page_name(path), node=node, defaults=_defaults(node, path))


def _check_files(files: Any, path: Path) -> None:
    """Refuse a front matter whose ``files`` are not paths of files below the notebook's folder."""
    ours = {"notebook.ipynb", "run.json", "traceback.txt"}  # what a run's own folder holds
    for name in files if isinstance(files, list) else [files]:
        parts = Path(name).parts if isinstance(name, str) and "\0" not in name else ()
        if not isinstance(files, list) or not parts or Path(name).is_absolute() or ".." in parts:
            raise Refused(
                f"notebook {str(path)!r}: its front matter names {name!r} among its files; "
                "write prunekit: {files: [paths from the notebook's folder to files in or below it]}"
            )
        if parts[0] in ours:
            raise Refused(f"notebook {str(path)!r}: its front matter names {name!r}, as a run names its own; rename it")


def page_name(path: Path) -> str:
    """Name a notebook: its place among the chapters, or its stem."""
    resolved = path.resolve()
    if resolved.is_relative_to(paths.CHAPTERS):
        return resolved.relative_to(paths.CHAPTERS).with_suffix("").as_posix()
    return path.stem


def _others(path: Path) -> str:
    """Name the notebooks that do exist, nearest first."""
    beside = [p for kind in ("*.md", "*.ipynb") for p in path.parent.glob(kind)]  # a home directory is too deep to walk
    chapters = [*paths.CHAPTERS.rglob("*.md")] if paths.in_checkout() else []
    existing = sorted({str(p) for p in [*beside, *chapters]})[:200]
    near = difflib.get_close_matches(str(path), existing, n=3, cutoff=0.3) or existing[:5]
    return f": there are {', '.join(near)}" if near else ""


def _defaults(node: Any, path: Path) -> Parameters:
    """Read the literal assignments of the parameters cell."""
    tagged = [c for c in node.cells if c.cell_type == "code" and tags.has(c, tags.PARAMETERS)]
    if not tagged:
        return {}
    if len(tagged) > 1:
        raise Refused(f"notebook {str(path)!r} has {len(tagged)} cells tagged 'parameters': it may have one")
    try:
        statements = ast.parse(tagged[0].source).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:  # null bytes, brackets a thousand deep
        raise Refused(f"notebook {str(path)!r}: its parameters cell is no Python: {error}") from error
    defaults: Parameters = {}
    for statement in statements:
        try:
            name, value = _assignment(statement)
        except NOT_LITERAL as error:
            line = _shown(ast.get_source_segment(tagged[0].source, statement) or "")
            why = f" ({error})" if isinstance(error, NotKept) else ""
            raise Refused(
                f"notebook {str(path)!r}: its parameters cell holds {line!r}{why}; "
                "only 'name = literal', one name a line, is allowed there"
            ) from None
        if name in RESERVED:
            raise Refused(f"notebook {str(path)!r}: parameter {name!r} is a column of the results table; rename it")
        if name in defaults:
            raise Refused(f"notebook {str(path)!r}: its parameters cell gives {name!r} twice; keep one")
        defaults[name] = value
    return defaults


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    """Return the name and value of ``name = literal``; one of `NOT_LITERAL` is raised for anything else."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        name, value = statement.target.id, statement.value
    elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        name, value = statement.targets[0].id, statement.value  # type: ignore[attr-defined]
    else:
        raise ValueError("no assignment to one name")
    return name, _kept(ast.literal_eval(value))


class NotKept(ValueError):
    """A value that JSON and papermill would not hand on as it is; the message says why."""


NOT_LITERAL = (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError)  # of ast.literal_eval


def _kept(value: Any) -> Any:
    """Return `value` if JSON and papermill hand it on as it is, else raise NotKept."""
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {_kept(k): _kept(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_kept(v) for v in value]
    if isinstance(value, int) and value.bit_length() > LARGEST_BITS:
        raise NotKept(f"an integer of {value.bit_length()} bits; at most {LARGEST_BITS} are handed on")
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise NotKept("a word with half of a surrogate pair, which is no text; give UTF-8")
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise NotKept(f"{_shown(repr(value))} is no finite number, word, flag, list, or dict with words as keys")


def _shown(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def coerce(notebook: Notebook, given: Mapping[str, Any]) -> Parameters:
    """Complete `given` by the notebook's defaults, refusing what the notebook would misread.

    Returns
    -------
    dict
        Every parameter of the notebook, in its order; an int given for a float is a float.

    Raises
    ------
    Refused
        For an unknown name (the known ones are named), for a value of another type than the default's literal,
        for a number that is not finite, or for an unknown scale.
    """
    unknown = [name for name in given if name not in notebook.defaults]
    if unknown:
        known = ", ".join(f"{k} = {v!r}" for k, v in notebook.defaults.items()) or "none"
        raise Refused(f"{notebook.name} has no parameter {unknown[0]!r}; its parameters are: {known}")
    complete = {n: _match(n, given[n], d) if n in given else d for n, d in notebook.defaults.items()}
    if complete.get("scale", SCALES[0]) not in SCALES:
        raise Refused(f"parameter scale is {complete['scale']!r}: give one of {', '.join(SCALES)}")
    return complete


def _match(name: str, value: Any, default: Any) -> Any:
    """Return `value` as the type of `default`, or refuse."""
    try:
        value = _kept(value)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
    except NotKept as error:
        raise Refused(f"parameter {name}: {error}") from None
    except OverflowError as error:
        raise Refused(f"parameter {name} is {value!r}: {error}") from None
    if default is not None and type(value) is not type(default):
        raise Refused(
            f"parameter {name} is {value!r}, of type {type(value).__name__}: "
            f"give a {type(default).__name__} like its default {default!r}"
        )
    if isinstance(default, list) and default:
        return [_match(f"{name}[{i}]", v, default[0]) for i, v in enumerate(value)]
    return value


def parse_value(notebook: Notebook, name: str, text: str) -> Any:
    """Read one value written on a command line as the type of the parameter's default.

    Raises
    ------
    Refused
        If the name is unknown or the text is no literal of that type.
    """
    default = coerce_known(notebook, name)
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text)
    except NOT_LITERAL:
        wanted = "Python literal" if default is None else f"{type(default).__name__} like its default {default!r}"
        raise Refused(f"parameter {name} is {_shown(text)!r}: give a {wanted}") from None
    return coerce(notebook, {name: value})[name]


def parse_values(notebook: Notebook, name: str, text: str) -> list[Any]:
    """Read the comma-separated values of a grid axis, e.g. ``0.1,0.5,1`` or ``[1,2],[3,4]``.

    Raises
    ------
    Refused
        If the name is unknown, a value is no literal of its type, none is given, or one is given twice.
    """
    default = coerce_known(notebook, name)
    if isinstance(default, list):
        try:
            parts = [repr(v) for v in ast.literal_eval(f"[{text}]")]
        except NOT_LITERAL:
            raise Refused(f"grid {name}: {_shown(text)!r} is no list of values like {default!r}") from None
    else:
        parts = [part.strip() for part in text.split(",")]
    if not all(parts) or not parts:
        raise Refused(f"grid {name}: {text!r} holds an empty value; give {name}=v1,v2,…")
    values = [parse_value(notebook, name, part) for part in parts]
    if len({repr(v) for v in values}) < len(values):
        raise Refused(f"grid {name}: {text!r} gives a value twice")
    return values


def coerce_known(notebook: Notebook, name: str) -> Any:
    """Return the default of parameter `name`, refusing an unknown name with the known ones."""
    if name not in notebook.defaults:
        coerce(notebook, {name: None})
    return notebook.defaults[name]
