"""The scorecard page: one picture, the counts, and every claim with its statements, checks and evidence."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from prunekit.book import badges, fragility, ledger
from prunekit.book.site.cards import title
from prunekit.book.site.evidence import Evidence, Page
from prunekit.book.site.words import plain
from prunekit.book.verdicts import DIFFERS, ERRATUM, NOT_ATTEMPTED, REPRODUCED, UNDECIDED, VERDICTS

Row = dict[str, Any]
WIDE = ("---", "html_theme.sidebar_secondary.remove: true", "---", "")  # the picture and the rows need the width

MEANINGS = {
    REPRODUCED: "the measurement, give or take its error, lies within the margin",
    ERRATUM: "the printed statement differs, and a corrected one is reproduced",
    UNDECIDED: "the error covers the margin's edge, or the paper leaves out what would decide it",
    DIFFERS: "the measurement, give or take its error, lies outside the margin",
    NOT_ATTEMPTED: "no page has tested it yet",
}
_SHAPES = {  # drawn in a box of 16 by 16
    REPRODUCED: ("good", '<circle cx="8" cy="8" r="6"/>'),
    ERRATUM: ("note", '<path d="M8 1 15 8 8 15 1 8Z"/>'),
    UNDECIDED: ("open", '<rect x="2.5" y="2.5" width="11" height="11"/>'),
    DIFFERS: ("bad", '<path d="M8 1.5 15 14.5 1 14.5Z"/>'),
    NOT_ATTEMPTED: ("none", '<circle cx="8" cy="8" r="2"/>'),
}


def page(evidence: Evidence) -> str:
    """Return the scorecard page, with one row for each claim; it links `table` and `data` as files beside it."""
    rows = claims(evidence)
    marks = fragility.kept()
    statements = sum(len(row["statements"]) for row in rows)
    parts = [
        *WIDE,
        "# Scorecard",
        "",
        f"What the book undertakes to test: {len(rows)} claims, which make {statements} statements. Each mark is a "
        "statement, its claim's statements stand together, and a click leads to what was measured. Verdicts are "
        f"computed from what the pages recorded at the {evidence.scale} scale; a claim has the worst verdict of its "
        "statements. {doc}`/book/introduction` says how a verdict is made.",
        "",
        picture(rows, marks),
        "",
        *_counts(rows),
        "",
        *_fragile(rows, marks),
        *_failures(evidence),
        *_waiting(evidence),
        "The same as a table {download}`CSV <scorecard.csv>` and, with all checks, {download}`JSON <scorecard.json>`.",
        "",
        "## Every claim",
        "",
        _filters(rows),
    ]
    failed, computed = _code(_failed(evidence)), _code(_computed(evidence))
    for key, paper in ledger.ledger().papers.items():
        parts += ["", f"### {plain(paper['chapter'])}", "", f"{{cite:t}}`{paper['cite']}`", ""]
        for row in rows:
            if row["paper"] == key:
                parts += _row(row, marks, failed, computed)
    return "\n".join([*parts, "", '<script src="../_static/scorecard.js"></script>', ""])


def claims(evidence: Evidence) -> list[Row]:
    """Return the rows of the ledger's claims, errata left out."""
    return [row for row in evidence.rows() if row["kind"] != "erratum"]


def slug(id: str) -> str:
    """Return the permanent anchor of a claim on the scorecard, or of an erratum on its page."""
    return re.sub("[/.]", "-", id)


# ---------------------------------------------------------------- the picture


def _shape(verdict: str) -> tuple[str, str]:
    """Return the class and the drawing of a verdict's mark; hollow in reduced form."""
    base = next(v for v in _SHAPES if verdict.startswith(v))
    kind, drawing = _SHAPES[base]
    hollow = " pk-hollow" if verdict != base else ""
    return f"pk-mark pk-{kind}{hollow}", f'<svg viewBox="0 0 16 16" aria-hidden="true">{drawing}</svg>'


def mark(verdict: str) -> str:
    """Return a verdict's mark, which says nothing to those who listen: the verdict's words stand beside it."""
    kind, drawing = _shape(verdict)
    return f'<span class="{kind}">{drawing}</span>'


def picture(rows: Sequence[Row], marks: fragility.Marks, target: str = "") -> str:
    """Return a mark for each statement, by paper; each leads to its claim on the page `target`, or on this one."""
    lines = ['<div class="pk-map" role="group" aria-label="All statements by paper, each a link to its claim">']
    for key, paper in ledger.ledger().papers.items():
        groups = "".join(_group(row, marks, target) for row in rows if row["paper"] == key)
        chapter = html.escape(paper["chapter"])
        lines.append(f'<div class="pk-map-paper"><span class="pk-map-name">{chapter}</span><span>{groups}</span></div>')
    return "\n".join([*lines, "</div>"])


def _group(row: Row, marks: fragility.Marks, target: str) -> str:
    links = []
    for statement in row["statements"]:
        kind, drawing = _shape(statement["verdict"])
        named = f"{row['id']}, {statement['name']}" if statement["name"] else row["id"]
        said = f"{named}: {statement['verdict']}"
        if marks.flips(row["id"], statement["name"]):
            kind, said = f"{kind} pk-fragile", f"{said}, fragile"
        words = html.escape(said, quote=True)
        there = f"{target}#{slug(row['id'])}"
        links.append(f'<a class="{kind}" href="{there}" title="{words}" aria-label="{words}">{drawing}</a>')
    return f'<span class="pk-map-claim">{"".join(links)}</span>'


def _counts(rows: Sequence[Row]) -> list[str]:
    """Return the table of the verdicts, how often each is given, and what it means."""
    lines = ["```{list-table}", ":header-rows: 1", ":class: pk-counts", ""]
    lines += ["* - ", "  - Verdict", "  - Statements", "  - Claims", "  - Meaning"]
    given = [s["verdict"] for row in rows for s in row["statements"]]
    for verdict in (*VERDICTS, NOT_ATTEMPTED):
        of_claims = sum(row["verdict"] == verdict for row in rows)
        if not (of_claims or verdict in given):
            continue
        base = next(v for v in MEANINGS if verdict.startswith(v))
        meaning = MEANINGS[base] if verdict == base else "the same in a setting smaller than the paper's"
        lines += [f"* - {mark(verdict)}", f"  - {verdict}", f"  - {given.count(verdict)}", f"  - {of_claims}"]
        lines += [f"  - {meaning}"]
    return [*lines, "```"]


def _fragile(rows: Sequence[Row], marks: fragility.Marks) -> list[str]:
    """Say which statements flip with a seed or a machine, as far as that was looked at."""
    if not marks.looks:
        return ["Whether verdicts hold over seeds and machines has not been looked at yet.", ""]
    tested = [(row["id"], s["name"]) for row in rows for s in row["statements"] if s["records"]]
    flips = [(claim, name) for claim, name in tested if marks.flips(claim, name)]
    share = (
        f"{len(flips)} of {len(tested)} statements are **fragile**: their verdict is another on another seed or machine"
    )
    return [f"{share if flips else 'No statement is fragile'}; looked at were {marks.described()}.", ""]


# ---------------------------------------------------------------- the rows


def _filters(rows: Sequence[Row]) -> str:
    """Return the filters, which the page's script shows and serves."""
    papers = {key: paper["chapter"] for key, paper in ledger.ledger().papers.items()}
    verdicts = {v: v for v in (*VERDICTS, NOT_ATTEMPTED) if any(row["verdict"] == v for row in rows)}
    fields = {
        "paper": ("Paper", papers),
        "verdict": ("Verdict", verdicts),
        "fragile": ("Fragile", {"yes": "fragile", "no": "not fragile"}),
        "runs": ("Evidence", {"live": "live", "recorded": "recorded"}),
    }
    selects = []
    for name, (label, options) in fields.items():
        choices = "".join(
            f'<option value="{html.escape(value)}">{html.escape(words)}</option>' for value, words in options.items()
        )
        selects.append(f'<label>{label} <select name="{name}"><option value="">all</option>{choices}</select></label>')
    return (
        f'<form class="pk-filters" hidden>{"".join(selects)}<button type="reset">Show all</button>'
        '<output aria-live="polite"></output></form>'
    )


def _row(row: Row, marks: fragility.Marks, failed: str, computed: str) -> list[str]:
    flips = [s["name"] for s in row["statements"] if marks.flips(row["id"], s["name"])]
    runs = {"recorded" if r.get("recorded") else "live" for r in row["records"]}
    facts = {
        "paper": row["paper"],
        "verdict": row["verdict"],
        "fragile": "yes" if flips else "no",
        "runs": " ".join(sorted(runs)),
    }
    data = " ".join(f'data-{name}="{html.escape(value)}"' for name, value in facts.items())
    fragile = ', <em class="pk-flips">fragile</em>' if flips else ""
    lines = [
        f'<details class="pk-row" id="{slug(row["id"])}" {data}>',
        f'<summary>{mark(row["verdict"])} <strong class="pk-verdict">{row["verdict"]}</strong>{fragile} '
        f"<code>{row['id']}</code> {html.escape(row['place'])}</summary>",
        "",
        plain(row["statement"]),
        "",
    ]
    for statement in row["statements"]:
        lines += _statement(row, statement, marks)
    if not row["records"]:
        lines += [_why_not(row, failed, computed), ""]
    return [*lines, f'<a href="#{slug(row["id"])}">Link to this claim</a>', "", "</details>", ""]


def _statement(row: Row, statement: Mapping[str, Any], marks: fragility.Marks) -> list[str]:
    lines = []
    if statement["name"]:
        lines += [f"{mark(statement['verdict'])} **{statement['verdict']}**: {plain(statement['words'])}", ""]
    flips = marks.said(row["id"], statement["name"])
    if flips:
        lines += [f"*Fragile*: {plain(flips)}.", ""]
    for record in statement["records"]:
        told = plain(badges.told(record))
        verdict = f"**{record['verdict']}**. " if len(statement["records"]) > 1 or not statement["name"] else ""
        lines.append(f"- {verdict}{told}; {{ref}}`its cell <{record['anchor']}>`")
    return [*lines, ""] if statement["records"] else lines


def _why_not(row: Row, failed: str, computed: str) -> str:
    """Say why a claim has no evidence; `failed` and `computed` are the code of pages that failed or have not run."""
    if f'"{row["id"]}"' in failed:
        return "Its page failed when it was run."
    if f'"{row["id"]}"' in computed:
        return "Its page is being computed."
    return "Its full setting needs a GPU or hours." if row["kind"] == "heavy" else "Its page is not written yet."


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
    said = f"These pages are being computed, so their claims count as not attempted yet: {_named(pages)}"
    return ["```{warning}", said, "```", ""]


def _failures(evidence: Evidence) -> list[str]:
    failed = _failed(evidence)
    if not failed:
        return []
    said = (
        "These pages failed when they were run, so their claims count as not attempted, but for what recorded runs say "
    )
    return ["```{error}", f"{said}of them: {_named(failed)}", "```", ""]


# ---------------------------------------------------------------- as files

COLUMNS = ("paper", "claim", "place", "statement", "words", "verdict", "claim_verdict", "fragile", "evidence", "link")


def table(evidence: Evidence) -> str:
    """Return the scorecard as CSV, one line for each statement."""
    marks = fragility.kept()
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in claims(evidence):
        for statement in row["statements"]:
            runs = {"recorded" if r.get("recorded") else "live" for r in statement["records"]}
            writer.writerow(
                {
                    "paper": row["paper"],
                    "claim": row["id"],
                    "place": row["place"],
                    "statement": statement["name"],
                    "words": " ".join(statement["words"].split()),
                    "verdict": statement["verdict"],
                    "claim_verdict": row["verdict"],
                    "fragile": marks.said(row["id"], statement["name"]),
                    "evidence": " and ".join(sorted(runs)),
                    "link": f"book/scorecard.html#{slug(row['id'])}",
                }
            )
    return out.getvalue()


def data(evidence: Evidence) -> str:
    """Return the scorecard with all its checks, and the errata, as JSON."""
    marks = fragility.kept()
    rows = evidence.rows()
    for row in rows:
        for statement in row["statements"]:
            statement["fragile"] = marks.said(row["id"], statement["name"])
        del row["records"]  # each stands in its statement
    return json.dumps({"scale": evidence.scale, "rows": rows}, indent=1, ensure_ascii=False) + "\n"
