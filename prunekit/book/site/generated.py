"""The scorecard and errata pages, made from the executed notebooks and the ledger alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunekit.book import badges, ledger
from prunekit.book.site.cards import title
from prunekit.book.site.evidence import Evidence, Page
from prunekit.book.site.words import number, plain
from prunekit.book.verdicts import ERRATUM, NOT_ATTEMPTED, VERDICTS

Row = dict[str, Any]
WIDE = ("---", "html_theme.sidebar_secondary.remove: true", "---", "")  # a table needs the width


def scorecard(evidence: Evidence) -> str:
    """Return the scorecard page, with one table for each paper and one row for each claim."""
    rows = [row for row in evidence.rows() if row["kind"] != "erratum"]
    parts = [
        *WIDE,
        "# Scorecard",
        "",
        f"Every figure, table and statement that the book undertakes to test, {len(rows)} in all, with the verdict "
        f"that its measurements amount to at the {evidence.scale} scale. Verdicts are computed from what the pages "
        "recorded; {doc}`/book/introduction` says what each word means.",
        "",
        _counts(rows),
        *_failures(evidence),
        *_waiting(evidence),
    ]
    for key, paper in ledger.ledger().papers.items():
        mine = [row for row in rows if row["paper"] == key]
        parts += ["", f"## {plain(paper['chapter'])}", "", f"{{cite:t}}`{paper['cite']}`", ""]
        parts += _table(mine, _code(_failed(evidence)), _code(_computed(evidence)))
    return "\n".join(parts) + "\n"


def _counts(rows: Sequence[Row]) -> str:
    verdicts = [*VERDICTS, NOT_ATTEMPTED]
    counts = {v: sum(row["verdict"] == v for row in rows) for v in verdicts}
    return ", ".join(f"**{count}** {verdict}" for verdict, count in counts.items() if count) + "."


def _failed(evidence: Evidence) -> list[Page]:
    return [p for p in evidence.pages if p.run and not p.run.finished]


def _computed(evidence: Evidence) -> list[Page]:
    """Return the pages that are still being computed."""
    return [p for p in evidence.pages if not p.run]


def _code(pages: Sequence[Page]) -> str:
    return "\n".join(line for page in pages for line in page.notebook.code)


def _named(pages: Sequence[Page]) -> str:
    return ", ".join(f"{{doc}}`{plain(title(p))} </{p.document}>`" for p in pages)


def _waiting(evidence: Evidence) -> list[str]:
    pages = _computed(evidence)
    if not pages:
        return []
    return [
        "",
        "```{warning}",
        f"These pages are being computed, so their claims count as not attempted yet: {_named(pages)}",
        "```",
    ]


def _failures(evidence: Evidence) -> list[str]:
    failed = _failed(evidence)
    if not failed:
        return []
    return [
        "",
        "```{error}",
        "These pages failed when they were run, so their claims count as not attempted, but for what recorded runs say "
        f"of them: {_named(failed)}",
        "```",
    ]


def _table(rows: Sequence[Row], failed: str, computed: str) -> list[str]:
    lines = ["```{list-table}", ":header-rows: 1", ":widths: 22 46 32", ":class: pk-scorecard", ""]
    lines += ["* - Claim", "  - What the paper says", "  - Verdict and measurement"]
    for row in rows:
        lines += [
            f"* - `{row['id']}`",
            "",
            f"    {plain(row['place'])}",
            f"  - {plain(row['statement'])}",
            f"  - **{row['verdict']}**",
            "",
            f"    {_evidence(row, failed, computed)}",
        ]
    return [*lines, "```"]


def _evidence(row: Row, failed: str, computed: str) -> str:
    """Say what a row rests on; `failed` and `computed` are the code of pages that failed or have not run yet."""
    if not row["records"] and f'"{row["id"]}"' in failed:
        return "its page failed when it was run"
    if not row["records"] and f'"{row["id"]}"' in computed:
        return "its page is being computed"
    if not row["records"]:
        return "its full setting needs a GPU or hours" if row["kind"] == "heavy" else "its page is not written yet"
    return "; ".join(
        f"{plain(r['what'])}: {{ref}}`{number(r['measured'])} <{r['anchor']}>`, "
        f"the statement allows {badges.allowed(r, r['expected'])}"
        for r in row["records"]
    )


def errata(evidence: Evidence) -> str:
    """Return the errata page: each slip of a paper's text that a cell of the book shows."""
    rows = [row for row in evidence.rows() if row["kind"] == "erratum"]
    shown = [row for row in rows if row["records"]]
    parts = [
        "# Errata",
        "",
        "Places where a paper's text is wrong or says less than it needs. An erratum is a claim about the text and "
        "is tested like any other: the printed statement must fail and the corrected one pass, in the cell that is "
        "linked. "
        f"{len(shown)} of the {len(rows)} that the ledger lists are tested so far.",
    ]
    for key, paper in ledger.ledger().papers.items():
        mine = [row for row in shown if row["paper"] == key]
        if not mine:
            continue
        parts += ["", f"## {plain(paper['chapter'])}", "", f"{{cite:t}}`{paper['cite']}`"]
        for row in mine:
            parts += ["", *_erratum(row)]
    waiting = [row for row in rows if not row["records"]]
    if waiting:
        parts += ["", "## Listed, not tested yet", ""]
        parts += [f"- `{row['id']}`, {plain(row['place'])}" for row in waiting]
    return "\n".join(parts) + "\n"


def _erratum(row: Row) -> list[str]:
    return [
        f"### {plain(row['place'])}",
        "",
        f"**Printed.** {plain(row['statement'])}",
        "",
        f"**Right.** {plain(row['right'])}",
        "",
        f"**{'Shown' if row['verdict'] == ERRATUM else 'Not shown'}** ({row['verdict']}, `{row['id']}`). "
        + "; ".join(
            f"{plain(r['what'])}: {{ref}}`{number(r['measured'])} <{r['anchor']}>`; as printed the statement allows "
            f"{badges.allowed(r, r['expected'])}"
            + ("" if r["corrected"] is None else f", corrected {badges.allowed(r, r['corrected'])}")
            for r in row["records"]
        ),
    ]
