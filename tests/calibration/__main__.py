"""Write the table of the page *Are the error bars right?*: ``python -m tests.calibration`` (``make calibration``).

Every case is run over its seeds, alone, in one thread, and its row written at once; the others stay as they are until
theirs is. ``--only WORD …`` runs the cases whose name holds such a word; ``--share 0.1`` runs a tenth of the seeds and
writes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from prunekit._system import files
from prunekit.book import paths
from prunekit.book.runs.execution import device
from tests.calibration import draws, measured, products, reports
from tests.calibration.public import REASONS
from tests.calibration.table import CASES, Case, Row, forget, row, run

assert draws and measured and products and reports  # their import is what enters the cases


def rows(cases: Sequence[Case], share: float = 1.0) -> Iterator[Row]:
    """Run cases, each at its own cost, and say line by line what came out."""
    for one in cases:
        forget()
        line = row(one, run(one, max(2, round(share * one.seeds))))
        low, high = line["interval"]
        print(
            f"{one.name:95} truth {line['truth']:<10.5g} value {line['value']:<10.5g} bar {line['bar']:<8.2g} off "
            f"{line['off']:<8.2g} covered {line['covered'] / line['resolved']:6.1%} ({low:.1%} to {high:.1%}) of "
            f"{one.nominal:.1%}, {line['resolved']} of {line['seeds']} seeds, {line['seconds']} s each",
            flush=True,
        )
        yield line


def main() -> None:
    """Run the cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--share", type=float, default=1.0)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [one for one in CASES if any(word in one.name for word in wanted.only)]
    if not chosen:
        sys.exit(f"no case holds {' or '.join(wanted.only)}: {', '.join(one.name for one in CASES)}")
    for line in rows(chosen, wanted.share):
        if wanted.share == 1:
            _write(line)


def _write(line: Row) -> None:
    """Write one row into the table, in the order of the cases; rows of cases that are no more fall out."""
    found = {(each["function"], each["case"]): each for each in [*_kept(), line]}
    record: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device(),
        "rows": [found[one.function, one.words] for one in CASES if (one.function, one.words) in found],
        "without": [{"function": name, "reason": reason} for name, reason in REASONS.items()],
    }
    files.write(paths.CALIBRATION, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _kept() -> list[Row]:
    if not paths.CALIBRATION.exists():
        return []
    kept: list[Row] = json.loads(paths.CALIBRATION.read_text(encoding="utf-8"))["rows"]
    return kept


if __name__ == "__main__":
    main()
