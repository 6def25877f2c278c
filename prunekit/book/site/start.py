"""The start of the book and the opening pages of its chapters: pictures, and sentences that the pages computed.

Prose says where each part stands by a line such as ``<!-- start: found -->``; on a chapter's opening page the line
names the chapter as well, ``<!-- start: pages heavy-tails -->``.
"""

from __future__ import annotations

import html
import itertools
import re
from dataclasses import dataclass
from typing import Any

from prunekit.book import badges, fragility
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site import scorecard
from prunekit.book.site.cards import title
from prunekit.book.site.evidence import Evidence, Page
from prunekit.book.site.words import plain
from prunekit.book.verdicts import DIFFERS, ERRATUM, NOT_ATTEMPTED, REPRODUCED, UNDECIDED

_MARK = re.compile(r"<!-- start: (\w+)(?: ([\w-]+))? -->")


@dataclass(frozen=True)
class Theory:
    """A chapter on the map: its name, what it looks at, its question, and the page and sentence that answer it."""

    key: str
    name: str
    part: str
    question: tuple[str, ...]
    page: str
    sentence: int


_NAMED = {
    "overparameterization": ("Overparameterization", "the features", "linear-gaussian", 2),
    "hessian-bias": ("Hessian bias", "the scale of layers", "layer-death", 1),
    "heavy-tails": ("Heavy tails", "the law of weights", "compressibility", 0),
    "pruning-limit": ("The pruning limit", "the loss around", "ellipsoid-cone", 2),
    "matrix-sensing": ("Matrix sensing", "the training", "regulariser", 0),
}
_ASKED = {
    "overparameterization": ("Fit few features,", "or many and prune?"),
    "hessian-bias": ("When is a small weight", "an unimportant one?"),
    "heavy-tails": ("Why does SGD leave", "weights that prune?"),
    "pruning-limit": ("How few weights", "can it keep?"),
    "matrix-sensing": ("Can training make", "size a fair guide?"),
}
THEORIES = tuple(
    Theory(key, name, part, _ASKED[key], page, sentence) for key, (name, part, page, sentence) in _NAMED.items()
)


def filled(prose: str, evidence: Evidence) -> str:
    """Return prose of a page in the folder ``book`` with the parts that its lines name.

    Raises
    ------
    Refused
        If a line names a part or a chapter that there is not.
    """
    parts = {"tally": _tally, "bar": _bar, "map": _map, "found": _found, "scorecard": _scorecard}
    chapters = {"answer": _answer, "picture": _picture, "pages": _pages}

    def made(match: re.Match[str]) -> str:
        part, key = match[1], match[2]
        if key is None and part in parts:
            return parts[part](evidence)
        theory = next((t for t in THEORIES if t.key == key), None)
        if theory is None or part not in chapters:
            raise Refused(
                f"{match[0]} in the prose: parts are {', '.join(parts)}, and of a chapter {', '.join(chapters)}"
            )
        return chapters[part](evidence, theory)

    return _MARK.sub(made, prose)


def sentences(page: Page) -> list[str]:
    """Return what a page shows at a glance; nothing where it has not run."""
    return [s for record in _records(page) if record.get("kind") == "glance" for s in record["sentences"]]


def _records(page: Page) -> list[dict[str, Any]]:
    cells = page.run.notebook().cells if page.run else []
    return [o.get("metadata", {}).get(badges.METADATA, {}) for cell in cells for o in cell.get("outputs", [])]


def _page(evidence: Evidence, name: str) -> Page | None:
    return next((page for page in evidence.pages if page.name == name), None)


def _tally(evidence: Evidence) -> str:
    """Say how many statements came to which verdict."""
    given = [s["verdict"] for row in scorecard.claims(evidence) for s in row["statements"]]
    counts = {v: sum(g.startswith(v) for g in given) for v in (REPRODUCED, ERRATUM, DIFFERS, UNDECIDED, NOT_ATTEMPTED)}
    return (
        f"Of {len(given)} statements that the five papers make, {counts[REPRODUCED]} are **reproduced** here, "
        f"{counts[ERRATUM]} hold **after a correction**, {counts[DIFFERS]} **differ** from what is measured, "
        f"{counts[UNDECIDED]} stay **undecided**, and {counts[NOT_ATTEMPTED]} were not attempted."
    )


def _bar(evidence: Evidence) -> str:
    """Return the scorecard as one bar that leads to it: a stretch for each verdict, as long as it is frequent."""
    given = [s["verdict"] for row in scorecard.claims(evidence) for s in row["statements"]]
    kinds = {REPRODUCED: "good", ERRATUM: "note", DIFFERS: "bad", UNDECIDED: "open", NOT_ATTEMPTED: "none"}
    heard = '<span class="visually-hidden"> {}, </span>'  # the width says it to those who see
    stretches = "".join(
        f'<span class="pk-{kind}" style="flex-grow:{count}">{count}{heard.format(verdict)}</span>'
        for verdict, kind in kinds.items()
        if (count := sum(g.startswith(verdict) for g in given))
    )
    return f'<a class="pk-bar" href="scorecard.html">{stretches}<span class="visually-hidden">the scorecard</span></a>'


def _found(evidence: Evidence) -> str:
    """Return what each theory came to: the sentence that its page computed, and the way there."""
    lines = [f'- **{t.name}.** {_first(evidence, t)} <a href="{t.key}.html">More</a>' for t in THEORIES]
    return "\n".join(lines)


def _first(evidence: Evidence, theory: Theory) -> str:
    page = _page(evidence, f"{theory.key}/{theory.page}")
    told = sentences(page) if page else []
    return plain(told[theory.sentence]) if len(told) > theory.sentence else "Its page has not been computed yet."


def _scorecard(evidence: Evidence) -> str:
    """Return the scorecard's picture, each mark a link to its claim there."""
    return scorecard.picture(scorecard.claims(evidence), fragility.kept(), "scorecard.html")


def _answer(evidence: Evidence, theory: Theory) -> str:
    """Return the sentence that answers a chapter's question, as its page computed it."""
    return f"{_first(evidence, theory)}"


def _picture(evidence: Evidence, theory: Theory) -> str:
    """Return the figure that the chapter's page shows at a glance, which `drawings` turns into files of this page."""
    page = _page(evidence, f"{theory.key}/{theory.page}")
    for cell in page.run.notebook().cells if page and page.run else []:
        records = [output.get("metadata", {}).get(badges.METADATA, {}) for output in cell.get("outputs", [])]
        if any(record.get("kind") == "glance" for record in records):
            for output, record in zip(cell.outputs, records, strict=True):
                if record.get("kind") == "figure":
                    return str(output["data"]["text/html"])
    return ""


def _pages(evidence: Evidence, theory: Theory) -> str:
    """Return the chapter's pages with what each found first."""
    lines = []
    for page in evidence.pages:
        if page.name.startswith(f"{theory.key}/"):
            told = sentences(page)
            first = plain(told[0]) if told else "not computed yet."
            lines.append(f'- <a href="../{page.document}.html">{html.escape(title(page))}</a>: {first}')
    return "\n".join(lines)


# ---------------------------------------------------------------- the map


def _map(evidence: Evidence) -> str:
    """Return one network, and the five theories at the part of it that each looks at, as links."""
    columns = "".join(_column(theory, 72 + 144 * place) for place, theory in enumerate(THEORIES))
    return (
        '<figure class="pk-start"><svg viewBox="0 0 720 268" role="group" aria-label="One network and five theories, '
        f'each at the part that it looks at">{_network()}{columns}</svg></figure>'
    )


def _network() -> str:
    """Return a network from its features at the left to its loss, and training that leads back."""
    layers = [(72, 7), (180, 5), (252, 5), (360, 3)]
    dots = {x: [(x, 70 + 13 * (i - (n - 1) / 2)) for i in range(n)] for x, n in layers}
    lines = []
    for (x, _), (other, _) in itertools.pairwise(layers):
        for i, (x1, y1) in enumerate(dots[x]):
            for j, (x2, y2) in enumerate(dots[other]):
                kept = (3 * i + 5 * j) % 7 < 2
                width = 1.6 if kept else 0.4
                lines.append(f'<line x1="{x1}" y1="{y1:g}" x2="{x2}" y2="{y2:g}" stroke-width="{width}"/>')
    circles = "".join(f'<circle cx="{x}" cy="{y:g}" r="3.5"/>' for column in dots.values() for x, y in column)
    bowls = "".join(f'<ellipse cx="504" cy="70" rx="{10 * k}" ry="{6 * k}" fill="none"/>' for k in (1, 2.2, 3.6, 5))
    arrows = (
        '<path d="M372 70H444" fill="none"/><path d="M444 70l-7-4v8z"/>'
        '<path d="M560 70H648V18H126V36" fill="none"/><path d="M126 42l-4-8h8z"/>'
        '<text x="408" y="62">output</text><text x="504" y="118">loss</text><text x="604" y="12">training</text>'
    )
    return f'<g class="pk-net" aria-hidden="true">{"".join(lines)}{circles}{bowls}{arrows}</g>'


def _column(theory: Theory, x: int) -> str:
    """Return a theory as a link below the part of the network that it looks at."""
    points = {"overparameterization": (72, 116), "hessian-bias": (216, 104), "heavy-tails": (306, 100),
              "pruning-limit": (504, 124), "matrix-sensing": (648, 70)}  # fmt: skip
    px, py = points[theory.key]
    words = "".join(
        f'<text x="{x}" y="{224 + 17 * k}">{html.escape(line)}</text>' for k, line in enumerate(theory.question)
    )
    return (
        f'<path class="pk-lead" d="M{px} {py}L{x} 150" aria-hidden="true"/>'
        f'<a href="{theory.key}.html"><rect x="{x - 71}" y="150" width="142" height="112" rx="6"/>'
        f'<text class="pk-name" x="{x}" y="174">{html.escape(theory.name)}</text>'
        f'<text class="pk-part" x="{x}" y="194">{html.escape(theory.part)}</text>{words}</a>'
    )
