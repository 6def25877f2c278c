"""A section of a page shows one badge for a claim, with all that was checked in it."""

from __future__ import annotations

from typing import Any

import nbformat
from bs4 import BeautifulSoup

from prunekit.book import badges
from prunekit.book.site.folding import fold

RECORD = {
    "kind": "claim",
    "claim": "chang/fig-3a",
    "statement": "",
    "what": "gap",
    "measured": 1.0,
    "expected": 1.0,
    "margin": 0.1,
    "because": "a line",
    "error": 0.0,
    "repetitions": None,
    "of": "draws",
    "relation": "equal",
    "corrected": None,
    "smaller": [],
    "unstated": "",
    "explain": "",
    "verdict": "reproduced",
}


def cell(*changes: dict[str, Any]) -> Any:
    """Return a code cell that shows a line of text and then one check for each change."""
    outputs = [nbformat.v4.new_output("stream", text="a line")]
    for change in changes:
        record = RECORD | change
        data = {"text/html": badges.badge(record), "text/plain": "said"}
        outputs.append(nbformat.v4.new_output("display_data", data, metadata={badges.METADATA: record}))
    return nbformat.v4.new_code_cell("check()", outputs=outputs)


def shown(one: Any) -> list[Any]:
    """Return the badges that a cell shows."""
    return [
        BeautifulSoup(output["data"]["text/html"], "html.parser").div
        for output in one.outputs
        if output.output_type == "display_data"
    ]


def test_checks_of_a_claim_fold_into_one_badge_of_a_section_and_no_further() -> None:
    wide = {"what": "width", "measured": 9.0, "verdict": "differs", "explain": "<units>"}
    cells = [cell({}), nbformat.v4.new_markdown_cell("prose"), cell(wide, {"claim": "chang/fig-3b"})]
    cells += [nbformat.v4.new_markdown_cell("text\n\n## Another"), cell({"what": "another"})]
    fold(cells)
    (folded,) = shown(cells[0])
    assert folded["data-verdict"] == "differs" and folded.summary.text == "2 checks: 1 reproduced, 1 differs"
    assert [item.strong.text for item in folded.select("li")] == ["reproduced", "differs"]
    assert folded.select("li")[1].text.endswith("; <units>")
    (alone,) = shown(cells[2])
    assert alone.code.text == "chang/fig-3b" and not alone.select("details")
    assert [badge.code.text for badge in shown(cells[4])] == ["chang/fig-3a"]
    assert all(one.outputs[0].text == "a line" for one in cells if one.cell_type == "code")
