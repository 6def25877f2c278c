"""Where a page's run failed, what it had shown of a recorded run still counts, and nothing else does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from prunekit.book import badges
from prunekit.book.site.evidence import Evidence, Page


def shown(record: dict[str, Any]) -> Any:
    """Return a cell that holds one check."""
    output = nbformat.v4.new_output("display_data", {"text/plain": "said"}, metadata={badges.METADATA: record})
    return nbformat.v4.new_code_cell("check()", outputs=[output])


def page(*, finished: bool) -> Page:
    """Return a page whose run checked a claim by a recorded run, and live."""
    live = {"kind": "claim", "claim": "chang/corollary-1", "statement": "", "measured": 0.5, "verdict": "differs"}
    record = live | {"measured": 5.0, "verdict": "reproduced", "recorded": "a run's key"}
    notebook = nbformat.v4.new_notebook(cells=[shown(record), shown(live)])
    run = SimpleNamespace(finished=finished, notebook=lambda: notebook)
    return Page(SimpleNamespace(name="overparameterization/resnet-width", code=[]), SimpleNamespace(), run)  # type: ignore[arg-type]


@pytest.mark.parametrize(("finished", "measured"), [(True, [5.0, 0.5]), (False, [5.0])])
def test_recorded_checks_outlive_a_failed_run(finished: bool, measured: list[float]) -> None:
    found = page(finished=finished)
    assert [record["measured"] for record in found.records] == measured
    [row] = [row for row in Evidence("laptop", [found]).rows() if row["id"] == "chang/corollary-1"]
    assert [record["measured"] for record in row["records"]] == measured


def test_a_page_without_a_run_has_no_record() -> None:
    assert Page(SimpleNamespace(), SimpleNamespace(), None).records == []  # type: ignore[arg-type]
