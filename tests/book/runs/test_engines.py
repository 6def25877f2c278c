"""Without a cluster: which engine a command asks for, what a batch says, and when a Dask worker refuses."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from prunekit.book import paths
from prunekit.book.runs import at_worker, batch, notes, schedulers
from prunekit.book.runs.engines import Choice
from prunekit.book.runs.notebooks import Refused, read
from prunekit.book.runs.progress import Bar, duration, time_left
from prunekit.book.runs.store import Run
from prunekit.cli import main
from tests.book.runs.helpers import counting_notebook, prunekit


@pytest.fixture
def jobs(tmp_path: Path) -> list:
    notebook = read(counting_notebook(tmp_path / "counting.md", tmp_path / "log"))
    return [batch.job(notebook, {"seed": seed}, tmp_path / "out") for seed in range(4)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"engine": "ray"}, "engine 'ray' is none of processes, dask"),
        ({"scheduler": "tcp://a:1"}, "--scheduler is for a Dask cluster: add --engine dask"),
        ({"scheduler_file": Path("s.json")}, "--scheduler-file is for a Dask cluster"),
        ({"detach": True}, "--detach is for a Dask cluster"),
        (
            {"engine": "dask", "workers": None, "scheduler": "tcp://a:1", "scheduler_file": Path("s.json")},
            "--scheduler and --scheduler-file: choose one",
        ),
        ({"engine": "dask", "workers": 2, "scheduler": "tcp://a:1"}, "leave --workers out"),
        ({"engine": "dask", "workers": 2, "detach": True}, "--detach leaves the batch with a scheduler that outlives"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(given: dict, words: str) -> None:
    with pytest.raises(Refused, match=re.escape(words)):
        Choice(**given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scheduler", "tcp://127.0.0.1:9"], "--scheduler is for a Dask cluster"),
        (["--engine", "dask", "--scheduler", "tcp://127.0.0.1:9", "--workers", "2"], "leave --workers out"),
        (["--engine", "dask", "--scheduler-file", "none.json"], "--scheduler-file none.json cannot be read"),
    ],
)
def test_the_command_refuses_with_a_sentence(tmp_path: Path, options: list[str], words: str) -> None:
    pytest.importorskip("distributed")
    notebook = counting_notebook(tmp_path / "counting.md", tmp_path / "log")
    done = prunekit("run", notebook, "--out", tmp_path / "out", *options, cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert words in " ".join(done.stderr.split()), done.stderr
    assert not (tmp_path / "log").exists()


def test_without_the_extra_the_command_names_it(tmp_path: Path) -> None:
    notebook = counting_notebook(tmp_path / "counting.md", tmp_path / "log")
    (tmp_path / "distributed.py").write_text("raise ImportError('not installed here')")
    done = prunekit("run", notebook, "--out", tmp_path / "out", "--engine", "dask", cwd=tmp_path)
    assert (
        done.returncode == 2
        and "pip install '.[cluster]' in a clone" in " ".join(done.stderr.split())
        and "Traceback" not in done.stderr
    )


def test_the_default_engine_imports_no_dask(tmp_path: Path) -> None:
    code = (
        "import sys, prunekit.cli, prunekit.book.runs.command\n"
        "print(sorted(m for m in sys.modules if 'distributed' in m))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_time_left_is_the_mean_of_what_ended_over_those_at_work() -> None:
    assert time_left([], 3, [1.0]) is None  # nothing has ended
    assert time_left([2.0], 3, []) is None  # nobody is at work
    assert time_left([2.0], 0, []) == 0
    assert time_left([1.0, 3.0], 4, [0.5, 0.5]) == pytest.approx((4 * 2 - 1) / 2)
    assert time_left([1.0], 1, [100.0]) == 0  # later than the mean, never negative


def test_durations_are_said_in_their_unit() -> None:
    assert [duration(t) for t in (0.4, 99, 180, 9000)] == ["0 s", "99 s", "3 min", "2.5 h"]
    assert [duration(t, digits=1) for t in (0.42, 190)] == ["0.4 s", "3.2 min"]


def ended(job, *, finished: bool = True, seconds: float = 2.0) -> Run:
    status = {"status": "finished"} if finished else {"status": "failed", "error": "ValueError: no"}
    return Run(job.folder / job.key, {"key": job.key, "wall_time_s": seconds, **status})


def test_the_bar_says_what_runs_where_what_ended_and_what_failed(jobs: list, capsys: pytest.CaptureFixture) -> None:
    bar = Bar(4, lambda j: f"seed={j.parameters['seed']}")
    bar([], jobs[3], ended(jobs[3]))  # was there before: no line
    bar([(jobs[0], "one on a"), (jobs[1], "two on b")], None, None)
    bar([(jobs[0], "one on a"), (jobs[1], "two on b")], None, None)
    bar([(jobs[1], "two on b")], jobs[0], ended(jobs[0]))
    bar([(jobs[1], "one on a")], None, None)  # its worker was killed: begun again elsewhere
    bar([], jobs[1], ended(jobs[1], finished=False))
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["running seed=0 on one on a", "running seed=1 on two on b"]
    assert lines[2] == "ended   seed=0: 2 of 4 done, about 4 s left"
    assert lines[3] == "running seed=1 on one on a"
    assert lines[4] == "failed  seed=1: ValueError: no"


def test_the_bar_says_when_no_worker_is_at_anything(
    jobs: list, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 4)
    monkeypatch.setattr("prunekit.book.runs.progress.time.monotonic", lambda: float(next(clock)))
    bar = Bar(4, lambda j: j.name)
    for _ in range(4):
        bar([], None, None)
    bar.close()
    assert capsys.readouterr().err == "no worker is at it: waiting for one; 0 of 4 done\n"


def test_a_worker_refuses_what_it_would_publish_under_a_key_that_is_not_its_own(jobs: list) -> None:
    names = notes.write(jobs, lambda j: j.name, "tcp://a:1")
    note = names[jobs[0].folder]
    assert at_worker.refusal(jobs[0], note) == ""
    assert "does not see" in at_worker.refusal(jobs[0], ".batch-another.json")
    parts = jobs[0].parts
    for name, change, words in [
        (
            "library",
            {**parts["library"], "prunekit.book.ledger": "0" * 16},
            r"the library \(prunekit.book.ledger\): \w+ there, 0+ here",
        ),
        ("versions", {**parts["versions"], "numpy": "1.0"}, r"the pinned versions \(numpy\): [\d.]+ there, 1.0 here"),
        ("python", [3, 99], r"Python: 3.\d+ there, 3.99 here"),
        ("data", {"MNIST/raw": "1" * 64}, r"the data \(MNIST/raw\): none there, 1{12} here"),
        ("recorded", {"a/b.json": "2" * 64}, r"the recordings \(a/b.json\): none there, 2{12} here"),
    ]:
        job = replace(jobs[0], parts={**parts, name: change})
        assert re.fullmatch(words, at_worker.refusal(job, note)), at_worker.refusal(job, note)


def test_a_worker_does_not_refuse_the_rest_of_a_grid_for_a_file_that_its_first_run_has_written(
    jobs: list, tmp_path: Path
) -> None:
    note = notes.write(jobs, lambda j: j.name, "tcp://a:1")[jobs[0].folder]
    parts = jobs[0].parts
    assert (
        at_worker.refusal(replace(jobs[0], parts={**parts, "named": {str(tmp_path / "table"): "3" * 64}}), note) == ""
    )


def test_a_worker_sees_an_edit_made_since_it_started(
    jobs: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = notes.write(jobs, lambda j: j.name, "tcp://a:1")[jobs[0].folder]
    own, pins = paths.REQUIREMENTS.read_text(), tmp_path / "requirements.txt"
    monkeypatch.setattr("prunekit.book.paths.REQUIREMENTS", pins)
    for version in ("1.0", "2.0"):
        pins.write_text(f"{own}\nzzz=={version}\n")
        assert at_worker.refusal(jobs[0], note) == f"the pinned versions (zzz): {version} there, none here"
    pins.write_text(own)
    assert at_worker.refusal(jobs[0], note) == ""


def test_a_worker_sees_its_library_edited_since_it_started(
    jobs: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = notes.write(jobs, lambda j: j.name, "tcp://a:1")[jobs[0].folder]
    copy = tmp_path / "prunekit"
    shutil.copytree(paths.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "recorded"))
    monkeypatch.setattr("prunekit.book.paths.PACKAGE", copy)
    assert at_worker.refusal(jobs[0], note).startswith("its kernels import prunekit from")  # the same, elsewhere
    with (copy / "book" / "ledger.py").open("a") as stream:
        stream.write("\nANOTHER = 1\n")
    assert at_worker.refusal(jobs[0], note).startswith("the library (prunekit.book.ledger): ")


def test_a_note_goes_with_its_batch_and_counts_no_older_failure(
    jobs: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    failure = jobs[0]
    with failure.store.partial(failure.key) as folder:
        failure.store.fail(folder, record(failure, "failed", "2020-01-01T00:00:00+00:00"), "")
    notes.write(jobs, lambda j: f"seed={j.parameters['seed']}", "tcp://127.0.0.1:9")
    (note,) = notes.found(tmp_path)
    assert note.ends() == {} and note.scheduler == "tcp://127.0.0.1:9"
    monkeypatch.setattr(notes.Note, "lost", lambda note: False)
    for job in jobs:
        assert notes.ended(out) == []
        with job.store.partial(job.key) as folder:
            (folder / "notebook.ipynb").write_text(job.source)
            job.store.publish(folder, record(job, "finished", "2030-01-01T00:00:00+00:00"))
    assert notes.lines(note) == [f"{out}: 4 of 4 done"]
    notes.settle(out)
    assert not notes.found(tmp_path)


@pytest.mark.parametrize(
    ("scheduler", "host", "answers", "removed"),
    [
        ("tcp://10.0.0.1:8786", "elsewhere", False, True),
        ("tcp://10.0.0.1:8786", "elsewhere", True, False),
        ("tcp://10.0.0.1:8786", "elsewhere", None, False),  # without the library nobody can ask
        ("tcp://127.0.0.1:9", "here", False, True),
        ("tcp://127.0.0.1:9", "elsewhere", False, False),  # that is another machine's own address
        ("tcp://127.0.0.1:9", "", False, False),
    ],
)
def test_cleaning_removes_the_note_of_a_batch_whose_scheduler_is_gone(
    jobs: list, monkeypatch: pytest.MonkeyPatch, scheduler: str, host: str, answers: bool | None, removed: bool
) -> None:
    monkeypatch.setattr("prunekit._system.owners.host", lambda: "here")
    ((folder, name),) = notes.write(jobs, lambda j: j.name, scheduler).items()
    (folder / name).write_text((folder / name).read_text().replace('"host": "here"', f'"host": "{host}"'))
    monkeypatch.setattr(schedulers, "answers", lambda address: answers)
    done = CliRunner().invoke(main, ["runs", "clean", str(folder)])
    assert done.exit_code == 0 and (folder / name).exists() != removed, done.output


def test_a_scheduler_that_is_gone_does_not_answer() -> None:
    pytest.importorskip("distributed")
    assert schedulers.answers("tcp://127.0.0.1:9") is False


def test_a_forced_batch_has_ended_when_its_runs_were_executed_again(
    jobs: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes.Note, "lost", lambda note: False)

    def end(job, year: int) -> None:
        with job.store.partial(job.key) as folder:
            (folder / "notebook.ipynb").write_text(job.source)
            job.store.publish(folder, record(job, "finished", f"{year}-01-01T00:00:00+00:00"), replace=True)

    for job in jobs:
        end(job, 2020)
    forced = [replace(job, force=True) for job in jobs]
    notes.write(forced, lambda j: f"seed={j.parameters['seed']}", "tcp://127.0.0.1:9")
    (note,) = notes.found(tmp_path)
    assert note.force and note.ends() == {} and notes.ended(tmp_path) == []
    notes.settle(tmp_path / "out")
    assert notes.found(tmp_path)
    for job in jobs[1:]:
        end(job, 2030)
    with jobs[0].store.partial(jobs[0].key) as folder:  # the old run stays, and the failure is this batch's end of it
        jobs[0].store.fail(folder, record(jobs[0], "failed", "2030-01-01T00:00:00+00:00"), "", replace=True)
    assert [run.finished for run in note.ends().values()] == [False, True, True, True]
    assert notes.ended(tmp_path) == [note.path]
    notes.write(jobs, lambda j: j.name, "tcp://127.0.0.1:9")  # without force what is there counts
    assert notes.ended(tmp_path) == [note.path]


def test_a_cluster_ends_what_all_its_workers_refuse_without_being_asked_where_it_is(jobs: list) -> None:
    cluster = pytest.importorskip("prunekit.book.runs.cluster")
    done, cancelled = lambda task: None, []
    client = SimpleNamespace(
        scheduler=SimpleNamespace(address="tcp://a:1"),
        status="closed",
        loop=SimpleNamespace(add_callback=lambda call, tasks, asynchronous: cancelled.extend(tasks)),
        cancel=None,
        submit=lambda *args, key, priority: SimpleNamespace(key=key, add_done_callback=done),
    )
    with cluster.Cluster(client) as engine:
        with pytest.raises(ValueError, match="call inspect with the jobs before submit"):
            engine.submit(print, jobs[0])
        engine._notes = {jobs[0].folder: "note"}
        one, other = engine.submit(print, jobs[0]), engine.submit(print, jobs[1])
        for worker in ("a", "b"):
            engine._watch((0.0, {"action": "add-worker", "worker": worker}))
        event = {"what": "refused", "key": jobs[0].key, "reason": "another library"}
        engine._watch((0.0, event | {"worker": "a"}))
        assert engine.where(one) is None and not one.done()
        engine._watch((0.0, event | {"worker": "b"}))
        assert str(one.exception(timeout=0)) == ("worker a refuses: another library; worker b refuses: another library")
        assert [task.key[1] for task in cancelled] == [jobs[0].key] and not other.done()
        assert engine.submit(print, jobs[0]).exception(timeout=0)  # they have all said so before
        engine._watch((0.0, {"what": "refused", "key": jobs[1].key, "reason": "no data", "worker": "b"}))
        engine._watch((0.0, {"action": "remove-worker", "worker": "a"}))  # the last that might have taken it
        assert str(other.exception(timeout=0)) == "worker b refuses: no data"


def record(job, status: str, finished: str) -> dict:
    return {
        "key": job.key,
        "status": status,
        "finished": finished,
        "notebook": job.name,
        "path": job.path,
        "parameters": job.parameters,
        "wall_time_s": 1.0,
        "error": "",
    }


def test_a_damaged_note_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".batch-0.json").write_text(json.dumps({"runs": 3}))
    (tmp_path / ".batch-1.json").write_text("{")
    assert notes.found(tmp_path) == []
