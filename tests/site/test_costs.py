"""What pages cost here, how long a build takes, and what is said and done about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prunekit import paths
from prunekit.runs.store import Run
from prunekit.site import build, costs, probe
from prunekit.site.evidence import Page, chapters

MEMORY = {"peak_memory_bytes": 10**8}


def page(name: str, *earlier: dict[str, Any]) -> Page:
    """Return a page without a run whose store holds earlier runs of other code."""
    runs = [Run(Path(), {"status": "finished", "parameters": {"scale": "smoke"}, **record}) for record in earlier]
    job = SimpleNamespace(key=f"key of {name}", store=SimpleNamespace(runs=lambda: runs))
    return Page(SimpleNamespace(name=name), job, None)  # type: ignore[arg-type]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Costs as a machine recorded them that is twice as quick as this one."""
    pages = {"a": MEMORY | {"cpu_time_s": 10.0}, "b": MEMORY | {"cpu_time_s": 40.0}}
    monkeypatch.setattr(paths, "COSTS", tmp_path / "costs.json")
    paths.COSTS.write_text(json.dumps({"probe_s": 0.25, "scales": {"smoke": pages}}))
    monkeypatch.setattr(probe, "measured", lambda: 0.5)


def test_recorded_costs_are_scaled_by_the_speed_of_this_machine(kept: None) -> None:
    assert costs.here([page("a"), page("b")], "smoke") == costs.Costs({"a": 20.0, "b": 80.0})


def test_a_page_that_was_not_recorded_counts_as_its_last_run_here(kept: None) -> None:
    old, new = {"cpu_time_s": 3.0, "wall_time_s": 9.0}, {"cpu_time_s": 5.0, "wall_time_s": 9.0}
    elsewhere = {"cpu_time_s": 500.0, "wall_time_s": 500.0, "parameters": {"scale": "paper"}}
    assert costs.here([page("c", old, new, elsewhere)], "smoke").seconds == {"c": 5.0}
    assert costs.here([page("c", {"wall_time_s": 9.0})], "smoke").seconds == {"c": 9.0}  # a run of an older version


def test_a_page_of_which_nothing_is_known_counts_as_the_middle_one(kept: None) -> None:
    assert costs.here([page("a"), page("b"), page("c")], "smoke") == costs.Costs(
        {"a": 20.0, "b": 80.0, "c": 50.0}, guessed=("c",)
    )
    assert costs.here([page("c")], "laptop") == costs.Costs({"c": 0.0}, guessed=("c",))


def test_nothing_is_measured_where_nothing_is_executed(kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "measured", lambda: pytest.fail("the probe costs a second"))
    assert costs.here([], "smoke") == costs.Costs({})


@pytest.mark.parametrize(
    ("seconds", "workers", "wait"),
    [([], 2, 0.0), ([5.0], 4, 5.0), ([3.0, 2.0, 1.0], 1, 6.0), ([4.0, 3.0, 3.0], 2, 6.0), ([3.0, 3.0, 4.0], 2, 7.0)],
)
def test_jobs_begin_in_their_order_on_the_first_worker_that_is_free(
    seconds: list[float], workers: int, wait: float
) -> None:
    assert costs.forecast(seconds, workers) == wait


def test_every_core_is_used_as_far_as_the_memory_goes(
    kept: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import psutil

    monkeypatch.setattr(costs, "cores", lambda: 8)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**10))
    assert costs.workers_here("smoke") == 8
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=35 * 10**7))
    assert costs.workers_here("smoke") == 3
    assert "3 of 8 cores are used: a page may need 95 MiB" in capsys.readouterr().out
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**7))
    assert costs.workers_here("smoke") == 1


def test_the_probe_is_the_same_work_each_time() -> None:
    assert probe.work() == probe.work()
    assert probe.measured() > 0


def test_costs_are_recorded_from_the_runs_of_the_pages_as_they_are(kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Run(Path(), {"cpu_time_s": 7.77, "peak_memory_bytes": 3, "status": "finished"})
    there = [replace(page("a"), run=ran), page("b"), page("c")]
    monkeypatch.setattr(costs, "wanted", lambda scale: there if scale == "smoke" else [])
    costs.main()
    found = costs.recorded()
    assert found["probe_s"] == 0.5
    assert found["scales"]["smoke"] == {
        "a": {"cpu_time_s": 7.8, "peak_memory_bytes": 3},
        "b": MEMORY | {"cpu_time_s": 80.0},  # what it would have cost here
    }


def test_the_longest_page_begins_and_each_page_keeps_its_run(
    kept: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = [page("a"), page("b"), page("c", {"wall_time_s": 60.0})]
    began: list[str] = []

    def execute(jobs: list[Any], also: Any, expected: dict[str, float]) -> list[Run]:
        assert expected == {"key of a": 20.0, "key of b": 80.0, "key of c": 60.0}
        began.extend(job.key for job in jobs)
        return [Run(Path(job.key), {}) for job in jobs]

    runs = build._execute(there, "smoke", Path("/nowhere"), execute, 2, whole=False)
    assert began == ["key of b", "key of c", "key of a"]
    assert {key: str(run.folder) for key, run in runs.items()} == {key: key for key in began}
    assert "3 of 3 pages to execute, 2 at a time, the longest first: about 80.0 s" in capsys.readouterr().out


def test_what_is_recorded_is_of_pages_of_the_book() -> None:
    names = {path.relative_to(paths.CHAPTERS).with_suffix("").as_posix() for path in chapters()}
    for pages in costs.recorded().get("scales", {}).values():
        assert set(pages) <= names
        assert all(cost[costs.CPU] > 0 and cost[costs.MEMORY] > 0 for cost in pages.values())
