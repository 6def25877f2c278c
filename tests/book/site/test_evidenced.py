"""Prose that names its evidence shows the verdicts as they are, and refuses names that the ledger does not have."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from prunekit.book.runs.notebooks import Refused
from prunekit.book.site import evidenced

ROWS = [
    {
        "id": "chang/fig-2",
        "kind": "live",
        "verdict": "undecided",
        "statements": [{"name": "peak", "verdict": "reproduced"}, {"name": "match", "verdict": "undecided"}],
    },
    {
        "id": "li/erratum-8.b",
        "kind": "erratum",
        "verdict": "erratum",
        "statements": [{"name": "", "verdict": "erratum"}],
    },
    {"id": "li/fig-4", "kind": "heavy", "verdict": "differs in reduced form", "statements": []},
    {"id": "li/fig-5", "kind": "heavy", "verdict": "not attempted", "statements": []},
]


def links(prose: str) -> list[tuple[str, str]]:
    shown = BeautifulSoup(evidenced.filled(prose, ROWS), "html.parser")
    return [(link["href"], link["title"]) for link in shown.select("a.pk-evidence")]


def test_a_name_becomes_a_link_with_its_verdict() -> None:
    assert links("It peaks [[chang/fig-2: peak]], and more [[chang/fig-2]] [[li/erratum-8.b]].") == [
        ("scorecard.html#chang-fig-2", "chang/fig-2, peak: reproduced"),
        ("scorecard.html#chang-fig-2", "chang/fig-2: undecided"),
        ("errata.html#li-erratum-8-b", "li/erratum-8.b: erratum"),
    ]
    assert len(links("[[chang/fig-2: peak, li/fig-4]]")) == 2
    assert evidenced.filled("a [link](x), [1], [[2]]", ROWS) == "a [link](x), [1], [[2]]"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("chang/fig-2: peak", evidenced.SURE),
        ("chang/fig-2: peak, li/erratum-8.b", evidenced.SURE),
        ("chang/fig-2: peak, li/fig-4", evidenced.SMALL),
        ("chang/fig-2: match, li/fig-4", evidenced.OPEN),
        ("chang/fig-2, li/fig-5", evidenced.NOBODY),
    ],
)
def test_how_sure_is_the_weakest_evidence(names: str, words: str) -> None:
    assert evidenced.filled(f"[[sure: {names}]]", ROWS) == words


@pytest.mark.parametrize(
    ("marker", "words"),
    [("[[li/fig-9]]", "has no 'li/fig-9'"), ("[[chang/fig-2: dip]]", "has the statements peak, match")],
)
def test_an_unknown_name_is_refused(marker: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        evidenced.filled(marker, ROWS)
