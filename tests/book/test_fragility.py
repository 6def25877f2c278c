"""Verdicts that flip over seeds and machines are noticed, kept and said."""

from __future__ import annotations

from typing import Any

import pytest

from prunekit.book import fragility, paths


def record(claim: str, verdict: str, statement: str = "", **more: Any) -> dict[str, Any]:
    """Return as much of a check's record as a look needs."""
    return {"claim": claim, "statement": statement, "verdict": verdict} | more


C = [record("a/c", "reproduced", "x"), record("a/c", "differs", "y")]
LOOKS = [
    fragility.look("AVX2", 0, [record("a/b", "reproduced"), *C]),
    fragility.look("AVX2", 1, [record("a/b", "undecided"), *C]),
    fragility.look("AVX-512", 0, [record("a/b", "reproduced"), C[0], record("a/d", "differs")]),
]


def test_what_flips_is_named_with_the_looks_that_gave_each_verdict() -> None:
    marks = fragility.Marks(LOOKS)
    assert marks.flipping() == [("a/b", "")] and marks.tested == 4
    assert marks.said("a/b", "") == "reproduced by seed 0 (AVX2) and seed 0 (AVX-512), undecided by seed 1 (AVX2)"
    assert (
        not marks.flips("a/c", "y") and marks.said("a/c", "y") == ""
    )  # not looked at everywhere, the same where it was
    assert not marks.flips("a/unknown", "")
    some = "(3 of 4 statements)"
    assert marks.described() == f"seeds 0 {some}, 1 {some} on AVX2; seed 0 {some} on AVX-512"
    assert fragility.Marks(LOOKS[:2]).described() == "seeds 0, 1 on AVX2"


def test_a_look_takes_the_worst_live_verdict_of_a_statement() -> None:
    one = fragility.look(
        "m", 0, [record("a/b", "reproduced"), record("a/b", "undecided"), record("a/b", "differs", recorded="k")]
    )
    assert one.verdicts == {("a/b", ""): "undecided"}


def test_looks_are_kept_by_machine(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "FRAGILE", tmp_path / "fragile.json")
    assert fragility.kept().looks == []
    fragility.keep(LOOKS)
    assert fragility.kept().looks == LOOKS
    again = fragility.look("AVX2", 7, [record("a/b", "differs")])
    fragility.keep([again])
    assert fragility.kept().looks == [LOOKS[2], again]


def test_the_scorecard_marks_what_flips(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunekit.book.site import scorecard
    from prunekit.book.site.evidence import Evidence

    claim, statement = "chang/fig-2", "double-descent"
    row = {"claim": claim, "statement": statement, "verdict": "reproduced"}
    marks = fragility.Marks(
        [fragility.look("here", 0, [row]), fragility.look("here", 1, [row | {"verdict": "undecided"}])]
    )
    monkeypatch.setattr(fragility, "kept", lambda: marks)
    monkeypatch.setattr(Evidence, "rows", lambda self: rows_of(self, claim, statement))
    page, said = scorecard.page(Evidence("smoke", [])), marks.said(claim, statement)
    assert page.count("pk-fragile") == 1 and f"{claim}, {statement}: reproduced, fragile" in page
    assert "1 of 1 statements are **fragile**" in page and "looked at were seeds 0, 1 on here." in page
    assert page.count('data-fragile="yes"') == 1 and f"*Fragile*: {said}." in page
    (line,) = (line for line in scorecard.table(Evidence("smoke", [])).splitlines() if said in line)
    assert line.startswith(f"chang,{claim},")


def rows_of(evidence: Any, claim: str, statement: str) -> list[dict[str, Any]]:
    """Return the ledger's rows, of which one statement was tested."""
    from prunekit.book import ledger

    rows = []
    for entry in ledger.ledger().claims.values():
        statements = [
            {"name": name, "words": words, "verdict": "not attempted", "records": []}
            for name, words in (entry.statements or {"": entry.statement}).items()
        ]
        records: list[dict[str, Any]] = []
        if entry.id == claim:
            records = [
                {"what": "a gap", "measured": 1.0, "expected": 1.0, "margin": 0.1, "because": "a line", "error": 0.0}
                | {"repetitions": None, "of": "draws", "relation": "equal", "corrected": None, "smaller": []}
                | {"unstated": "", "explain": "", "verdict": "reproduced", "anchor": "here", "claim": claim}
            ]
            chosen = next(each for each in statements if each["name"] == statement)
            chosen |= {"verdict": "reproduced", "records": records}
        rows.append(
            {"id": entry.id, "paper": entry.paper, "place": entry.place, "statement": entry.statement}
            | {"kind": entry.kind, "verdict": "reproduced" if records else "not attempted"}
            | {"statements": statements, "records": records}
        )
    return rows
