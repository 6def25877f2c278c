"""The form of ``claims.yml``, checked before anything is read from it: a slip in it must not change a verdict's row."""

from __future__ import annotations

import re
from typing import Any

_PAPER = ("cite", "short", "title", "chapter")
_CLAIM = ("id", "paper", "place", "statement", "kind")
_ERRATUM = ("id", "paper", "place", "says", "right", "claim")
_KINDS = ("live", "heavy")
GROUPS = ("changes a result", "slip", "unstated setting")  # what an erratum does to its paper
_MAY = {"claims": ("statements",), "errata": ("group", "survives")}
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ID = re.compile(r"[a-z]+/[a-z0-9.-]+")


class LedgerError(ValueError):
    """``claims.yml`` is not of its form; the message names the place and what belongs there."""


def parse(text: str) -> dict[str, Any]:
    """Return the content of ``claims.yml``: its papers, claims and errata.

    Raises
    ------
    LedgerError
        If the text is not YAML, a name or an id is there twice, a field is unknown, missing or not words, a paper, kind
        or claim does not exist, or an id does not begin with its paper.
    """
    raw = _mapping("claims.yml", _load(text), ("papers", "claims", "errata"))
    papers = raw["papers"]
    if not isinstance(papers, dict) or not papers:
        raise LedgerError("papers: give a mapping from each paper's name to its fields")
    for name, paper in papers.items():
        _words(f"papers, {name}", paper, _PAPER)
    ids: set[str] = set()
    for part, fields in (("claims", _CLAIM), ("errata", _ERRATUM)):
        if not isinstance(raw[part], list):
            raise LedgerError(f"{part}: give a list of entries")
        for number, entry in enumerate(raw[part], start=1):
            where = f"{part}, entry {number}"
            if isinstance(entry, dict) and isinstance(entry.get("id"), str):
                where += f" ({entry['id']})"
            _words(where, _stated(where, entry), fields, _MAY[part])
            _check(where, entry, list(papers), ids)
    known = {entry["id"] for entry in raw["claims"]}
    for entry in raw["errata"]:
        if entry["claim"] not in {*known, None}:
            raise LedgerError(f"errata ({entry['id']}): claim is {entry['claim']!r}, which is not among the claims")
    return raw


def _load(text: str) -> Any:
    """Read YAML in which no mapping has a name twice."""
    import yaml

    class Once(yaml.SafeLoader):
        """A loader that notices names that are there twice."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            mapping = super().construct_mapping(node, deep=deep)
            names = [key.value for key, _ in node.value]
            if len(mapping) < len(names):
                twice = next(n for n in names if names.count(n) > 1)
                raise LedgerError(f"claims.yml, line {node.start_mark.line + 1}: {twice!r} is there twice")
            return mapping

    try:
        return yaml.load(text, Once)
    except (yaml.YAMLError, RecursionError) as error:
        raise LedgerError(f"claims.yml is no YAML: {error}") from error


def _stated(where: str, entry: Any) -> Any:
    """Return an entry without its statements, which are refused unless they are words by name, two at least."""
    if not isinstance(entry, dict) or "statements" not in entry:
        return entry
    statements = entry["statements"]
    if not isinstance(statements, dict) or len(statements) < 2:
        raise LedgerError(f"{where}: statements is {statements!r}: give words by name, for two statements at least")
    for name, words in statements.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise LedgerError(f"{where}: a statement is called {name!r}: give a name like double-descent")
        if not isinstance(words, str) or not words.strip():
            raise LedgerError(f"{where}: statement {name} is {words!r}: give words")
    return {name: value for name, value in entry.items() if name != "statements"}


def _mapping(where: str, mapping: Any, fields: tuple[str, ...], may: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a mapping that has exactly these fields, and perhaps those that it may have."""
    if not isinstance(mapping, dict):
        raise LedgerError(f"{where} is a {type(mapping).__name__}: give a mapping with {', '.join(fields)}")
    unknown = [name for name in mapping if name not in (*fields, *may)]
    if unknown:
        raise LedgerError(f"{where}: there is no field {unknown[0]!r}; the fields are {', '.join((*fields, *may))}")
    missing = [name for name in fields if name not in mapping]
    if missing:
        raise LedgerError(f"{where} lacks {', '.join(missing)}")
    return mapping


def _words(where: str, mapping: Any, fields: tuple[str, ...], may: tuple[str, ...] = ()) -> None:
    """Refuse a mapping without exactly these fields, each with words in it; an erratum may concern no claim."""
    for name, value in _mapping(where, mapping, fields, may).items():
        if (name, value) != ("claim", None) and (not isinstance(value, str) or not value.strip()):
            raise LedgerError(f"{where}: {name} is {value!r}: give words")


def _check(where: str, entry: dict[str, str], papers: list[str], ids: set[str]) -> None:
    """Refuse an entry whose fields do not go together, or whose id another entry has."""
    if entry["paper"] not in papers:
        raise LedgerError(f"{where}: paper is {entry['paper']!r}: give one of {', '.join(papers)}")
    if not _ID.fullmatch(entry["id"]) or not entry["id"].startswith(f"{entry['paper']}/"):
        raise LedgerError(f"{where}: give an id like {entry['paper']}/theorem-1")
    if entry.get("kind", _KINDS[0]) not in _KINDS:
        raise LedgerError(f"{where}: kind is {entry['kind']!r}: give one of {', '.join(_KINDS)}")
    if entry.get("group", GROUPS[0]) not in GROUPS:
        raise LedgerError(f"{where}: group is {entry['group']!r}: give one of {', '.join(GROUPS)}")
    if entry["id"] in ids:
        raise LedgerError(f"{where}: an entry before has the same id")
    ids.add(entry["id"])
