"""The form of claims.yml: what is not of it is refused with its place, and nothing is read past a slip."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from prunekit.book import paths
from prunekit.book.claims_form import LedgerError, parse

BOOK = paths.ledger().read_text(encoding="utf-8")
RAW = yaml.safe_load(BOOK)


def test_the_book_s_ledger_is_of_its_form() -> None:
    assert parse(BOOK) == RAW


def slip(change: Callable[[Any], Any]) -> str:
    raw = copy.deepcopy({"papers": RAW["papers"], "claims": RAW["claims"][:3], "errata": []})
    changed = change(raw)
    return yaml.safe_dump(raw if changed is None else changed)


SLIPS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an unknown part": (lambda raw: raw.update(erata=[]), "no field 'erata'; the fields are papers, claims, errata"),
    "a missing part": (lambda raw: raw.__delitem__("errata"), "claims.yml lacks errata"),
    "a list": (lambda raw: [1], "claims.yml is a list"),
    "papers as a list": (lambda raw: raw.update(papers=[]), "papers: give a mapping"),
    "claims as a mapping": (lambda raw: raw.update(claims={}), "claims: give a list"),
    "a paper without a field": (lambda raw: raw["papers"]["li"].__delitem__("cite"), "papers, li lacks cite"),
    "an entry of words": (lambda raw: raw["claims"].append("x"), "claims, entry 4 is a str"),
    "an unknown field": (
        lambda raw: raw["claims"][1].update(plce="x"), r"claims, entry 2 \(chang/.*\): there is no field 'plce'"
    ),
    "a missing field": (lambda raw: raw["claims"][0].__delitem__("kind"), r"entry 1 \(chang/theorem-1\) lacks kind"),
    "a number": (lambda raw: raw["claims"][0].update(place=12), "place is 12: give words"),
    "no words": (lambda raw: raw["claims"][0].update(statement=" "), "statement is ' ': give words"),
    "an unknown paper": (lambda raw: raw["claims"][0].update(paper="lo"), "paper is 'lo': give one of barsbey, chang"),
    "another paper's id": (lambda raw: raw["claims"][0].update(paper="li"), "give an id like li/theorem-1"),
    "an id of other letters": (lambda raw: raw["claims"][0].update(id="chang/Fig 1"), "an id like chang/theorem-1"),
    "an unknown kind": (lambda raw: raw["claims"][0].update(kind="lazy"), "kind is 'lazy': give one of live, heavy"),
    "an id twice": (lambda raw: raw["claims"].append(raw["claims"][0]), "entry 4 .*: an entry before has the same id"),
    "statements as a list": (
        lambda raw: raw["claims"][0].update(statements=["a"]), r"entry 1 .*: statements is \['a'\]: give words by name"
    ),
    "a single statement": (lambda raw: raw["claims"][0].update(statements={"a": "b"}), "for two statements at least"),
    "a statement's name": (
        lambda raw: raw["claims"][0].update(statements={"A b": "c", "d": "e"}), "a statement is called 'A b'"
    ),
    "a statement without words": (
        lambda raw: raw["claims"][0].update(statements={"a": " ", "d": "e"}), "statement a is ' ': give words"
    ),
    "an unknown group": (
        lambda raw: raw["errata"].append(RAW["errata"][0] | {"claim": None, "group": "x"}), "group is 'x': give one of"
    ),
    "an erratum of no claim": (
        lambda raw: raw["errata"].append(RAW["errata"][0] | {"claim": "li/none"}), "claim is 'li/none', which is not"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_refused_with_its_place(name: str) -> None:
    change, message = SLIPS[name]
    with pytest.raises(LedgerError, match=message):
        parse(slip(change))


def test_a_name_that_is_there_twice_is_refused_with_its_line() -> None:
    with pytest.raises(LedgerError, match=r"line 3: 'cite' is there twice"):
        parse("papers:\n  li:\n    cite: a\n    cite: b\nclaims: []\nerrata: []\n")


@pytest.mark.parametrize("text", ["", "{", "a: [", "\t", "[" * 2000])
def test_what_is_no_yaml_is_refused(text: str) -> None:
    with pytest.raises(LedgerError, match=r"claims\.yml is"):
        parse(text)
