"""What the executed chapters say about each claim of the ledger."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prunekit.book import ledger, paths, verdicts
from prunekit.book.runs import batch
from prunekit.book.runs.execution import Job
from prunekit.book.runs.notebooks import Notebook, Refused, page_name, read
from prunekit.book.runs.store import Run


@dataclass(frozen=True)
class Page:
    """A chapter's page at one scale: its notebook, the run it needs, and that run where there is one."""

    notebook: Notebook
    job: Job
    run: Run | None

    @property
    def name(self) -> str:
        """The page's name, such as ``overparameterization/linear-gaussian``."""
        return self.notebook.name

    @property
    def document(self) -> str:
        """The page's Sphinx document name."""
        return f"chapters/{self.name}"

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Records of `check` in the page's run, each with its anchor; of a failed run only those of recorded runs."""
        if not self.run:
            return []
        checks = [r for r in ledger.records(self.run.notebook()) if r["kind"] == "claim"]
        if not self.run.finished:
            checks = [r for r in checks if r.get("recorded")]
        seen: dict[str, int] = {}
        for record in checks:
            count = seen[record["claim"]] = seen.get(record["claim"], 0) + 1
            record |= {
                "page": self.name,
                "document": self.document,
                "anchor": anchor(self.name, record["claim"], count),
            }
        return checks


def anchor(page: str, claim: str, count: int) -> str:
    """Return the label of the `count`-th check of a claim on a page; a claim may be tested on several."""
    return re.sub("[/.]", "-", f"evidence-{page}-{claim}-{count}")


@dataclass(frozen=True)
class Evidence:
    """The chapters' runs at one scale."""

    scale: str
    pages: Sequence[Page]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each claim and erratum of the ledger, in its order.

        Each has its records, its statements with a verdict of each, and its own verdict: the worst of those that were
        tested.
        """
        records = [r for page in self.pages for r in page.records]
        book = ledger.ledger()
        unknown = {r["claim"] for r in records} - {*book.claims, *book.errata}
        if unknown:
            raise Refused(
                f"runs record {', '.join(sorted(unknown))}, not in the ledger: mend the page and run it again"
            )
        rows = []
        for entry in [*book.claims.values(), *book.errata.values()]:
            mine = [r for r in records if r["claim"] == entry.id]
            rows.append(
                {
                    "id": entry.id,
                    "paper": entry.paper,
                    "place": entry.place,
                    "statement": entry.statement,
                    "kind": "erratum" if entry.right else entry.kind,
                    "right": entry.right,
                    "verdict": verdicts.worst(r["verdict"] for r in mine),
                    "statements": _statements(entry, mine),
                    "records": mine,
                }
            )
        return rows


def _statements(entry: ledger.Claim, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an entry's statements, each with its verdict and records."""
    listed = entry.statements or {"": entry.statement}
    rows = []
    for name, words in listed.items():
        mine = [r for r in records if r["statement"] == name]
        verdict = verdicts.worst(r["verdict"] for r in mine)
        rows.append({"name": name, "words": words, "verdict": verdict, "records": mine})
    return rows


def chapters() -> list[Path]:
    """Return the chapters' notebooks in the order of the table of contents.

    Raises
    ------
    Refused
        If ``_toc.yml`` names a chapter that has no notebook.
    """
    import yaml

    toc = yaml.safe_load(paths.TOC.read_text(encoding="utf-8"))
    notebooks = [paths.ROOT / f"{name}.md" for name in _files(toc) if name.startswith("chapters/")]
    missing = [str(p) for p in notebooks if not p.exists()]
    if missing:
        raise Refused(f"_toc.yml names {', '.join(missing)}, which does not exist")
    return notebooks


def _files(node: Any) -> list[str]:
    """Return every ``file:`` below a node of the table of contents, in order."""
    if isinstance(node, list):
        return [name for item in node for name in _files(item)]
    if isinstance(node, dict):
        own = [node["file"]] if "file" in node else []
        return own + [name for key, value in node.items() if key != "file" for name in _files(value)]
    return []


def wanted(scale: str, only: str | None = None, seed: int | None = None) -> list[Page]:
    """Return the chapters' pages at a scale, with the runs that exist.

    Parameters
    ----------
    scale
        ``smoke``, ``laptop`` or ``paper``.
    only
        The name of a single page, or None for all pages.
    seed
        The pages' seed, or None for each page's own.

    Raises
    ------
    Refused
        If there is no page of that name; the message names those there are.
    """
    found = chapters()
    if only is not None:
        name = only.removeprefix("chapters/").removesuffix(".md")
        found = [path for path in found if page_name(path) == name]
        if not found:
            names = ", ".join(map(page_name, chapters()))
            raise Refused(f"page {only!r} is not in the book; its pages: {names}")
    pages = []
    for notebook in map(read, found):
        first = notebook.node.cells[0] if notebook.node.cells else None
        if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
            raise Refused(f"page {notebook.name} has to begin with its title, '# …'")
        paper = notebook.settings.get("paper")
        if paper not in (*ledger.ledger().papers, "all"):
            raise Refused(
                f"page {notebook.name} names paper {paper!r} in its front matter (prunekit: {{paper: …}}); "
                f"give one of {', '.join(ledger.ledger().papers)}, or all"
            )
        given = {"scale": scale} | ({} if seed is None else {"seed": seed})
        job = batch.job(notebook, given, paths.RUNS / notebook.name)
        pages.append(Page(notebook, job, job.store.finished(job.key)))
    return pages


def collect(scale: str, seed: int | None = None) -> Evidence:
    """Return the evidence of the runs that exist at a scale, with the pages' own seeds or one; nothing is executed."""
    return Evidence(scale, wanted(scale, seed=seed))
