"""What pages cost here, how long a build takes, and what is said and done about it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prunekit.book import paths
from prunekit.book.runs.store import Run
from prunekit.book.site import build, costs, probe
from prunekit.book.site.evidence import Page, chapters

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
    monkeypatch.setattr(costs, "CGROUP", tmp_path / "no-cgroup")


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


def test_a_container_limits_the_workers_as_the_machine_does(
    kept: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import os

    import psutil

    monkeypatch.setattr(costs, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**10))
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert costs.workers_here("smoke") == 8
    (tmp_path / "cpu.max").write_text("450000 100000\n")
    assert costs.workers_here("smoke") == 4
    (tmp_path / "memory.max").write_text("250000000\n")
    assert costs.workers_here("smoke") == 2
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert costs.workers_here("smoke") == 1


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"probe_s": 1}',
        '{"probe_s": 0, "scales": {}}',
        '{"probe_s": 1, "scales": {"smoke": {"a": {}}}}',
        "\udcff",
    ],
)
def test_damaged_costs_count_as_none(kept: None, capsys: pytest.CaptureFixture[str], content: str) -> None:
    costs._say.cache_clear()
    paths.COSTS.write_bytes(content.encode(errors="surrogateescape"))
    assert costs.here([page("a"), page("b", {"wall_time_s": 9.0})], "smoke").seconds == {"a": 9.0, "b": 9.0}
    assert costs.workers_here("smoke") >= 1
    assert capsys.readouterr().err.count("cannot be read") == 1


@pytest.mark.parametrize(
    "error", [subprocess.CalledProcessError(1, "probe"), OSError("no process"), ValueError("no number")]
)
def test_a_probe_that_fails_stops_no_build(kept: None, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails() -> float:
        raise error

    monkeypatch.setattr(probe, "measured", fails)
    assert costs.here([page("a")], "smoke").seconds == {"a": 10.0}
    monkeypatch.setattr(costs, "wanted", lambda scale: [])
    before = paths.COSTS.read_text()
    with pytest.raises(SystemExit, match="cannot be measured"):
        costs.main()
    assert paths.COSTS.read_text() == before


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


def test_costs_are_recorded_from_the_last_runs_while_code_moves(
    kept: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = {"cpu_time_s": 6.0, "peak_memory_bytes": 5, "wall_time_s": 9.0}
    now = Run(Path(), {"cpu_time_s": 7.0, "peak_memory_bytes": 3, "status": "finished"})
    there = [replace(page("a", earlier), run=now), page("b", earlier), page("c", {"wall_time_s": 9.0})]
    monkeypatch.setattr(costs, "wanted", lambda scale: there)
    costs.main()
    kept_now = costs.recorded()["scales"]
    assert kept_now["smoke"] == {
        "a": {"cpu_time_s": 7.0, "peak_memory_bytes": 3},
        "b": {"cpu_time_s": 6.0, "peak_memory_bytes": 5},
    }
    assert kept_now["paper"] == {"a": {"cpu_time_s": 7.0, "peak_memory_bytes": 3}}  # the earlier ones were at smoke
    assert (
        "smoke: 2 of 3 pages have a run that says what it cost, 1 of them by a run of earlier"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(("workers", "early"), [(2, True), (None, False)])
def test_a_wait_of_which_nothing_is_known_is_worth_an_early_site(
    kept: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    workers: int | None,
    early: bool,
) -> None:
    asked: list[Any] = []

    def execute(jobs: list[Any], also: Any, expected: dict[str, float]) -> list[Run]:
        asked.append(also)
        return [Run(Path(job.key), {}) for job in jobs]

    build._execute([page("c"), page("d")], "smoke", tmp_path, execute, workers, whole=True)
    assert (asked[0] is not None) == early
    assert ("finished pages can be read before that\n" in capsys.readouterr().out) == early


def test_a_seal_that_is_no_text_is_one_that_differs(tmp_path: Path) -> None:
    (tmp_path / build.SEAL).write_bytes(b"\xff")
    assert build._is_whole(tmp_path)


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
