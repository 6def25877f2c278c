"""The errata page: places where a paper's text is wrong or says less than it needs, by what that does to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunekit.book import badges, ledger
from prunekit.book.claims_form import GROUPS
from prunekit.book.site.evidence import Evidence
from prunekit.book.site.scorecard import slug
from prunekit.book.site.words import plain
from prunekit.book.verdicts import ERRATUM

Row = dict[str, Any]
_MEANINGS = dict(
    zip(
        GROUPS,
        (
            "A theorem, a formula or a reading of a figure is not right as printed.",
            "A letter, a sign or a name is wrong; what follows in the paper uses the right one.",
            "The text leaves out what its numbers depend on.",
        ),
        strict=True,
    )
)


_UNSORTED = ("",)  # errata whose group nobody has stated


def page(evidence: Evidence) -> str:
    """Return the errata page: each erratum with its place, what is right, what survives, and the proof."""
    rows = [row for row in evidence.rows() if row["kind"] == "erratum"]
    shown = [row for row in rows if row["records"]]
    entries = ledger.ledger().errata
    counts = "; ".join(f"{group}: {sum(entries[row['id']].group == group for row in shown)}" for group in GROUPS)
    parts = [
        "# Errata",
        "",
        "Places where a paper's text is wrong or says less than it needs. An erratum is a claim about the text and "
        "is tested like any other: the printed statement must fail and the corrected one pass, in the cell that is "
        f"linked. {len(shown)} of the {len(rows)} that the ledger lists are tested so far, in three groups ({counts}). "
        "Each is about the version of the paper that the bibliography names.",
    ]
    for group in (*_MEANINGS, *_UNSORTED):
        mine = [row for row in shown if entries[row["id"]].group == group]
        if mine:
            parts += [
                "",
                f"## {(group or 'not sorted yet').capitalize()}",
                "",
                _MEANINGS.get(group, ""),
                *_by_paper(mine),
            ]
    waiting = [row for row in rows if not row["records"]]
    if waiting:
        parts += ["", "## Listed, not tested yet", ""]
        parts += [f"- `{row['id']}`, {plain(row['place'])}" for row in waiting]
    return "\n".join(parts) + "\n"


def _by_paper(rows: Sequence[Row]) -> list[str]:
    parts = []
    for key, paper in ledger.ledger().papers.items():
        mine = [row for row in rows if row["paper"] == key]
        if mine:
            parts += ["", f"### {plain(paper['chapter'])}", "", f"{{cite:t}}`{paper['cite']}`"]
            for row in mine:
                parts += ["", *_erratum(row)]
    return parts


def _erratum(row: Row) -> list[str]:
    proof = " ".join(
        f"{plain(badges.told(r))} ({{ref}}`its cell <{r['anchor']}>`)." for r in row["records"]
    )  # fmt: skip
    return [
        f"({slug(row['id'])})=",
        f"#### {plain(row['place'])}",
        "",
        f"**Printed.** {plain(row['statement'])}",
        "",
        f"**Right.** {plain(row['right'])}",
        "",
        f"**Does the result survive?** {plain(ledger.ledger().errata[row['id']].survives)}",
        "",
        f"**{'Shown' if row['verdict'] == ERRATUM else 'Not shown'}** ({row['verdict']}, `{row['id']}`). {proof}",
    ]
