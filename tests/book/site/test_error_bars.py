"""The page on error bars: what it says is what was counted, and nothing on it is typed."""

from __future__ import annotations

import base64
import csv
import io
import json
import re

import pytest

from prunekit.book import paths
from prunekit.book.runs.notebooks import Refused
from prunekit.book.site import error_bars
from prunekit.book.site.error_bars import HOLDS, LONG, SHORT, verdict

PROSE = (paths.BOOK / "error-bars.md").read_text(encoding="utf-8")


def line(covered, seeds, interval, **others):
    """Return a row of the table."""
    made = {
        "function": "statistics.mean", "case": "a case", "known": "closed form", "truth": 1.25, "value": 1.2371,
        "bar": 0.0361, "off": 0.0472, "nominal": 0.9545, "bound": False, "note": "", "seconds": 0.0123,
    }  # fmt: skip
    return made | {"covered": covered, "seeds": seeds, "interval": interval} | others


def table(*rows):
    """Return a table with a row for every group of functions besides."""
    others = [line(950, 1000, [0.93, 0.97], function=f"{name}.f") for name in ("cones", "limit")]
    return {
        "measured": "2026-01-02T03:04:05+00:00",
        "device": {"name": "a machine"},
        "rows": [*rows, *others],
        "without": [{"function": "statistics.leads", "reason": "divides by the error of `mean_and_error`"}],
    }


@pytest.mark.parametrize(
    ("interval", "others", "judged"),
    [
        ([0.93, 0.97], {}, HOLDS),
        ([0.80, 0.899], {}, SHORT),
        ([0.80, 0.901], {}, HOLDS),
        ([0.86, 0.889], {"nominal": 0.884}, HOLDS),  # of five draws nothing else is promised
        ([0.80, 0.88], {"nominal": 0.884}, SHORT),
        ([0.991, 1.0], {}, LONG),
        ([0.989, 1.0], {}, HOLDS),
        ([0.991, 1.0], {"bound": True}, HOLDS),
    ],
)
def test_a_case_fails_beyond_the_doubt_that_its_runs_leave(interval, others, judged):
    assert verdict(line(0, 1, interval, **others)) == judged


def test_the_page_says_what_was_counted():
    odd = line(613, 731, [0.81, 0.867], function="statistics.few", case="of a skew law", note="a reason")
    page = error_bars.page(PROSE, table(odd), [])
    assert "<!--" not in page
    assert "**2 of 3 cases** of 3 functions hold what they promise; bars are too short in 1, too long in 0." in page
    assert "Measured in 2,731 runs, 2026-01-02 03:04 UTC, on a machine." in page
    assert "`statistics.few`, of a skew law: two bars held the truth in 83.9% of 731 runs, where 95.5% are" in page
    assert "– a reason." in page
    assert "1.25 (closed form)" in page
    assert "1.237 ± 0.036, off by 0.047" in page
    assert "88.4% for 5 draws" in page
    assert "- `statistics.leads`: divides by the error of `mean\\_and\\_error`" not in page
    assert "- `statistics.leads`: divides by the error of `mean_and_error`" in page
    assert "whole networks" not in page


def test_the_figures_carry_their_numbers_and_words():
    page = error_bars.page(PROSE, table(line(613, 731, [0.81, 0.867])), [])
    for name in error_bars.GROUPS:
        [figure] = re.findall(rf'<figure class="pk-figure" id="figure-error-bars-{name}">.*</figure>', page)
        assert figure.count("<img") == 2
        [data] = re.findall(r"data:text/csv;charset=utf-8;base64,([\w+/=]+)", figure)
        rows = list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))
        assert rows
        assert all(0 <= float(row["low"]) <= float(row["high"]) <= 1 for row in rows)
    assert "is at 84%." in page  # the lowest, in the words for who cannot see it


def test_a_table_of_whole_networks_is_shown_beside_it():
    row = {
        "network": "MLP-888", "quantity": "trace", "way": "shared", "seeds": 40, "truth": 12.25, "value": 12.5,
        "bar": 0.25, "products": 123.4, "off": 0.3, "covered": 38,
    }  # fmt: skip
    lost = row | {"quantity": "limit", "bar": None, "covered": 0, "resolved": 0}
    before = row | {"way": "apart", "covered": 10, "seeds": 16}
    page = error_bars.page(PROSE, table(line(95, 100, [0.9, 0.98])), [row, lost, before])
    assert "## Spectra and limits of whole networks" in page
    assert "Together two bars held the truth in 95.0% of 40 runs; with a basis for each probe, they held" in page
    assert "they held the truth in 62.5% of 16 runs." in page
    assert "12.5 ± 0.25, off by 0.3" in page
    assert "**95.0%** of 40 runs (83.1% to 99.4%)" in page
    assert "12.5 without a bar, off by 0.3" in page
    assert "no run has an error bar; 40 more were not resolved" in page
    assert page.count("123.4 products") == 3  # in both lines, and as what the old way took


def test_what_the_second_table_comes_to_is_counted():
    cell = {
        "network": "MLP", "quantity": "trace", "way": "shared", "seeds": 40, "truth": -10.0, "value": -10.1,
        "bar": 0.4, "products": 64.0, "off": 0.3, "covered": 38,
    }  # fmt: skip
    rows = [
        cell,
        cell | {"quantity": "Σ r²/(R² + r²)", "bar": 0.72, "covered": 25},
        cell | {"quantity": "Σ |h|", "covered": 0, "resolved": 0, "bar": None},
    ]
    for quantity, products in (("trace", 256.0), ("log-determinant of |H| + t", 384.0), ("Σ r²/(R² + r²)", None)):
        rows.append(cell | {"quantity": quantity, "way": "apart", "products": 512.0})
        rows += [] if products is None else [cell | {"quantity": quantity, "way": "as apart", "products": products}]
    held, bars, cost = (line.replace("\\", "") for line in error_bars.goals(rows))
    assert "in 1 of 2 cases. It is otherwise for MLP, Σ r²/(R² + r²) (too short)." in held
    assert "at most 5% of the number in 1 of 2 cases. It is otherwise for MLP, Σ r²/(R² + r²) (7.2%)." in bars
    assert "took 512 products with a basis for each probe" in cost
    assert "in 1 of 3 cases. It is otherwise for MLP, log-determinant" in cost
    assert "(384 products); MLP, Σ r²/(R² + r²) (not within the budget)." in cost
    assert error_bars.goals(rows[:1])[0].endswith("in 1 of 1 cases.")


def test_prose_without_a_part_is_refused():
    with pytest.raises(ValueError, match="prose lacks the line '<!-- calibration: table -->'"):
        error_bars.page(PROSE.replace("<!-- calibration: table -->", ""), table(line(95, 100, [0.9, 0.98])), [])


def test_the_page_is_drawn_anew_where_its_table_changed_and_only_there(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CALIBRATION", tmp_path / "calibration.json")
    monkeypatch.setattr(paths, "CALIBRATION_SPECTRA", tmp_path / "none.json")
    with pytest.raises(Refused, match=r"calibration.json is not there, .* `make calibration` writes it"):
        error_bars.kept_page("prose ", tmp_path / "kept.md")
    drawn = []
    monkeypatch.setattr(error_bars, "page", lambda prose, found, spectra: drawn.append(found) or f"{prose}{found}")
    for found in ([1], [1], [2]):
        paths.CALIBRATION.write_text(json.dumps(found))
        assert error_bars.kept_page("prose ", tmp_path / "kept.md") == f"prose {found}"
    assert drawn == [[1], [2]]
    assert error_bars.kept_page("other ", tmp_path / "kept.md") == "other [2]"


def test_the_books_own_page_can_be_made():
    found = json.loads(paths.CALIBRATION.read_text(encoding="utf-8"))
    page = error_bars.page(PROSE, found, [])
    assert all(f"`{row['function']}`" in page for row in found["rows"])
