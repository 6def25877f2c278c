"""How long a batch still takes, where what its runs cost is known beforehand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from prunekit.book.runs.progress import Bar, time_left_of
from prunekit.book.runs.store import Run


@pytest.mark.parametrize(
    ("expected", "at_work", "left"),
    [
        ({"a": 100.0, "b": 20.0, "c": 40.0}, {"a": 30.0, "b": 0.0}, 70.0),  # the longest decides: 130 s of work, two
        ({"a": 100.0, "b": 90.0, "c": 80.0}, {"a": 10.0, "b": 0.0}, 130.0),
        ({"a": 10.0}, {"a": 25.0}, 0.0),  # later than expected, never negative
        ({"a": 10.0}, {}, None),
        ({}, {"a": 1.0}, None),
    ],
)
def test_time_left_of_runs_whose_costs_are_known(
    expected: dict[str, float], at_work: dict[str, float], left: float | None
) -> None:
    assert time_left_of(expected, at_work) == left


def test_a_long_run_is_not_taken_for_as_short_as_the_first_that_ended(capsys: pytest.CaptureFixture[str]) -> None:
    short, long = (SimpleNamespace(key=name) for name in ("short", "long"))
    bar = Bar(2, lambda job: job.key, {"short": 3.0, "long": 3000.0})
    bar([(long, ""), (short, "")], None, None)  # type: ignore[list-item]
    bar([(long, "")], short, Run(Path(), {"status": "finished", "wall_time_s": 3.0}))  # type: ignore[list-item, arg-type]
    bar.close()
    assert "ended   short: 1 of 2 done, about 50 min left" in capsys.readouterr().err
