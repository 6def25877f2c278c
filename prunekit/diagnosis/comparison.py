"""Two reports beside each other: before and after training on, pruning, or another recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from prunekit import _checks
from prunekit.diagnosis.frames import frame
from prunekit.diagnosis.report import Report
from prunekit.diagnosis.words import pm

Rows = list[dict[str, Any]]
_LIMIT, _LAYER = (
    ("removable", "error"),
    (("alpha", "alpha_error"), ("one_shot", "one_shot_error"), ("measured", "measured_error")),
)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What two reports say of the same things.

    Attributes
    ----------
    limit, layers : list of dict
        One row for each limit, and for each number of a layer that both reports have: values, their difference, its
        standard error, and whether it is more than two of them.
    only_before, only_after : tuple of str
        Layers that one of the reports has.
    """

    limit: Rows
    layers: Rows
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    def to_frame(self, table: str = "layers") -> Any:
        """Return "layers" or "limit" as a pandas DataFrame."""
        return frame(getattr(self, _checks.choice("table", table, ("layers", "limit"))))

    def __repr__(self) -> str:
        """Say what differs by more than two standard errors."""
        lines = []
        for row in [*self.limit, *self.layers]:
            if row["differs"]:
                name = row.get("layer", row.get("limit"))
                what = row.get("number", "removable")
                lines.append(
                    f"  {name} {what}: {pm(row['before'], row['before_error'])} before, "
                    f"{pm(row['after'], row['after_error'])} after"
                )
        lines += [f"  only before: {name}" for name in self.only_before]
        lines += [f"  only after: {name}" for name in self.only_after]
        head = (
            f"Comparison: {sum(r['differs'] for r in [*self.limit, *self.layers])} numbers differ by two errors or more"
        )
        return "\n".join([head, *lines])


def compare(before: Report, after: Report) -> Comparison:
    """Return what two reports say of the same things.

    Parameters
    ----------
    before, after : Report
        Two diagnoses, of one network before and after something was done, or of two networks.

    Raises
    ------
    TypeError
        If one is no report.
    """
    _checks.instance("before", before, Report, "a Report, as prunekit.diagnose makes it")
    _checks.instance("after", after, Report, "a Report, as prunekit.diagnose makes it")
    old = {row["limit"]: row for row in before.limit}
    limit = [
        {"limit": row["limit"], **_beside(old[row["limit"]], row, *_LIMIT)}
        for row in after.limit
        if row["removable"] is not None and old[row["limit"]]["removable"] is not None
    ]
    first = {row["layer"]: row for row in before.layers}
    second = {row["layer"]: row for row in after.layers}
    layers = [
        {"layer": name, "number": value, **_beside(first[name], second[name], value, error)}
        for name in first
        if name in second
        for value, error in _LAYER
        if first[name][value] is not None and second[name][value] is not None
    ]
    return Comparison(
        limit, layers, tuple(n for n in first if n not in second), tuple(n for n in second if n not in first)
    )


def _beside(before: dict[str, Any], after: dict[str, Any], value: str, error: str) -> dict[str, Any]:
    """Return two values with their difference, and whether that is more than two standard errors."""
    together = math.hypot(before[error] or 0.0, after[error] or 0.0)
    difference = after[value] - before[value]
    return {
        "before": before[value],
        "before_error": before[error],
        "after": after[value],
        "after_error": after[error],
        "difference": difference,
        "error": together,
        "differs": abs(difference) > 2 * together,
    }
