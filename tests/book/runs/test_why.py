"""What `prunekit why` says, what --force does, and what is said about runs that are there already."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from prunekit.book import paths
from prunekit.book.runs import batch, keys
from prunekit.book.runs.execution import Job
from prunekit.book.runs.notebooks import read
from prunekit.book.runs.store import Run, Store
from prunekit.book.runs.why import changes, contents, last_run
from prunekit.cli import main
from tests.book.runs.helpers import counting_notebook, prunekit, starts, write_notebook


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = write_notebook(tmp_path / "n.md", "from prunekit.book import scales", "x = 1", "x = 2")
    return batch.job(read(path), {"seed": 1}, tmp_path / "out")


def after(job: Job, **other: object) -> list[str]:
    """Say what changed since a run whose parts were `other` than the job's."""
    parts = job.parts | other
    run = Run(Path(), {"key": keys.address(parts), "inputs": json.loads(json.dumps(parts)), "status": "finished"})
    return changes(run, job)


def test_what_is_in_the_key_is_said(job: Job, tmp_path: Path) -> None:
    said = contents(job, keys.reachable(read(tmp_path / "n.md")))
    assert said[0].split() == ["code", "4", "cells"]
    assert 'scale = "smoke", seed = 1' in said[1]
    assert said[2].endswith("3 modules: prunekit, prunekit.book, prunekit.book.scales")
    assert "Python 3." in said[-1]
    opaque = read(write_notebook(tmp_path / "o.md", "exec('x = 1')"))
    said = contents(batch.job(opaque, {}, tmp_path), keys.reachable(opaque))
    assert "every module counts, for the notebook uses exec" in " ".join(said)


def test_nothing_changed_is_nothing_said(job: Job) -> None:
    assert after(job) == []


def test_each_kind_of_change_is_said_by_its_name(job: Job) -> None:
    parts = job.parts
    assert after(job, format=1) == ["the meaning of a stored run has changed"]
    assert after(job, parameters=parts["parameters"] | {"seed": 0, "width": 2}) == [
        "parameter seed 0 → 1",
        "parameter width 2 → 1.5",
    ]
    assert after(job, parameters={k: v for k, v in parts["parameters"].items() if k != "flag"}) == [
        "parameter flag none → false"
    ]
    assert after(job, library=parts["library"] | {"prunekit.book.scales": "0", "prunekit.sensing": "0"}) == [
        "module prunekit.book.scales changed",
        "module prunekit.sensing is no longer in the key",
    ]
    known = {name: parts["library"][name] for name in ("prunekit", "prunekit.book")}
    assert after(job, library=known) == ["module prunekit.book.scales is new"]
    assert after(job, data={"set/a": "0"}) == ["data file set/a is no longer in the key"]
    assert after(job, files={"x": "0"}, named={"/y": "0"}, recorded={"z": "0"}) == [
        "file of its front matter x is no longer in the key",
        "file named in its code /y is no longer in the key",
        "recorded file z is no longer in the key",
    ]
    numpy = parts["versions"]["numpy"]
    assert after(job, versions=parts["versions"] | {"numpy": "0"}) == [f"version of numpy 0 → {numpy}"]
    assert after(job, python=[3, 1])[0].startswith("Python 3.1 → 3.")


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ([0, 1, 2], ["code cell 4 is new"]),
        ([0, 3], ["code cells 2 and 3 are new"]),
        ([0, 1, "a", 3], ["code cell 3 changed"]),
        ([0, "a", "b", 3], ["code cells 2 and 3 changed"]),
        ([0, 1, "a", 2, 3], ["code cell 3 of the last run is gone"]),
        (
            ["a", 1, "b", "c", 3],
            ["code cell 1 changed", "code cells 3 and 4 of the last run are gone", "code cell 3 is new"],
        ),
    ],
)
def test_changed_cells_are_said_by_number(job: Job, old: list, said: list[str]) -> None:
    cells = job.parts["cells"]
    assert after(job, cells=[cells[c] if isinstance(c, int) else c for c in old]) == said


def test_a_run_from_before_records_said_what_is_in_a_key(job: Job) -> None:
    record = {"key": "0" * 16, "status": "finished"}
    assert changes(Run(Path(), record), job) == ["the run was made before records said what is in a key"]
    assert changes(Run(Path(), record | {"key": job.key}), job) == []


def why(*arguments: str | Path) -> str:
    shown = CliRunner().invoke(main, ["why", *map(str, arguments)], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_the_last_run_is_compared_with_and_forced_runs_replace_it(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    path = counting_notebook(tmp_path / "n.md", log)
    assert f"no earlier run of it is kept in {out}" in why(path, "--out", out)
    first = prunekit("run", path, "--grid", "seed=0,1", "--out", out)
    assert first.returncode == 0 and "unchanged" not in first.stdout
    said = why(path, "-p", "seed=1", "--out", out)
    assert "nothing changed since its last run (finished" in said and "not executed again" in said
    said = why(path, "-p", "seed=7", "--out", out)
    assert "changed since its last run" in said and "parameter seed 1 → 7" in said  # the last of two equally near

    stamps = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/run.json")}
    forced = prunekit("run", path, "--grid", "seed=0,1", "--force", "--out", out)
    assert forced.returncode == 0 and "unchanged" not in forced.stdout
    assert sorted(starts(log)) == ["0", "0", "1", "1"]
    now = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/run.json")}
    assert now.keys() == stamps.keys() and all(now[key] != stamps[key] for key in now)
    assert not list(out.glob(".*"))
    third = prunekit("run", path, "--grid", "seed=0,1,2", "--out", out)
    assert "unchanged: 2 of 3, not run again (--force runs them)" in third.stdout
    dry = CliRunner().invoke(main, ["run", str(path), "--force", "--dry-run", "--out", str(out)]).output
    assert "to run" in dry and "finished" not in dry


def test_a_forced_run_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    out, gate = tmp_path / "out", tmp_path / "gate"
    gate.mkdir()
    path = write_notebook(tmp_path / "n.md", f"import os\nassert os.path.isdir({str(gate)!r}), 'no gate'")
    assert prunekit("run", path, "--out", out).returncode == 0
    (published,) = out.glob("*/run.json")
    content = published.read_bytes()
    gate.rmdir()
    forced = prunekit("run", path, "--force", "--out", out)
    assert forced.returncode == 1 and "AssertionError: no gate" in forced.stderr
    assert published.read_bytes() == content
    assert "AssertionError: no gate" in prunekit("runs", "list", "--failed", out).stdout
    assert "failed" in why(path, "--out", out) and "not executed again" in why(path, "--out", out)


def test_a_page_is_named_as_in_the_book() -> None:
    shown = [why(page, "--scale", "smoke") for page in ("matrix-sensing/pruning", "chapters/matrix-sensing/pruning.md")]
    assert shown[0] == shown[1]
    assert "matrix-sensing/pruning: key" in shown[0] and "prunekit.sensing.solver" in shown[0]
    refused = CliRunner().invoke(main, ["why", "matrix-sensing/prunning"])
    assert refused.exit_code == 2 and "matrix-sensing/pruning.md" in refused.output


def test_the_run_with_the_same_parameters_comes_before_a_later_one(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int, name: str = job.name) -> Run:
        return Run(Path(), {"notebook": name, "parameters": job.parameters | {"seed": seed}})

    kept = [run(0), run(1, "another"), run(1), run(2)]
    monkeypatch.setattr(Store, "runs", lambda self: kept)
    assert last_run(job) is kept[2]
    assert last_run(dataclasses.replace(job, parameters=job.parameters | {"seed": 7})) is kept[3]
    assert last_run(dataclasses.replace(job, name="nobody")) is None


def test_a_record_names_the_parts_of_its_key(tmp_path: Path) -> None:
    page = paths.CHAPTERS / "overparameterization" / "linear-gaussian.md"
    one = batch.job(read(page), {"scale": "smoke"}, tmp_path)
    from datetime import UTC, datetime

    from prunekit.book.runs.execution import describe

    record = describe(one, datetime.now(UTC))
    assert keys.address(record["inputs"]) == record["key"] == one.key
    assert "prunekit.linear" in record["inputs"]["library"] and "prunekit.nets" not in record["inputs"]["library"]
