"""Disks that are full or read-only, and damaged runs, as the command line meets them: a sentence, never a traceback."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from prunekit._system import files
from prunekit.book import paths
from prunekit.book.runs import batch, opening, seal
from prunekit.book.runs.execution import Job, describe
from prunekit.book.runs.store import Run, Store
from prunekit.book.site import evidence
from prunekit.cli import main
from tests.book.runs.helpers import write_notebook


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the command execute at once, in this process; return the keys that were executed."""
    keys: list[str] = []

    def execute(job: Job) -> Run:
        import nbformat

        with job.store.partial(job.key) as folder:
            keys.append(job.key)
            nbformat.write(nbformat.reads(job.source, as_version=4), folder / "notebook.ipynb")
            outcome = {"status": "finished", "wall_time_s": 0.1, "peak_memory_bytes": 1}
            return job.store.publish(folder, describe(job, datetime.now(UTC)) | outcome)

    monkeypatch.setattr(batch, "execute", execute)
    monkeypatch.setattr(opening, "Workers", ThreadPoolExecutor)
    return keys


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write_notebook(tmp_path / "page.md", "x = 1")


def prunekit(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob(".*")]


def failing(number: int, when: Any) -> Any:
    """Return an `os.fsync` that fails for the files whose path satisfies `when`."""
    fsync = os.fsync

    def wrapped(handle: int) -> None:
        if when(str(Path(f"/proc/self/fd/{handle}").readlink())):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    return wrapped


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_folder_that_takes_no_runs_is_refused_before_anything_runs(
    notebook: Path, tmp_path: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(number, lambda path: path.endswith(".probe")))
    done = prunekit("run", notebook, "--out", tmp_path / "out")
    assert done.exit_code == 2 and f"out takes no runs ({os.strerror(number)})" in done.output
    assert executed == [] and hidden(tmp_path / "out") == []


def test_a_disk_that_is_full_at_publication_fails_the_run_in_a_sentence(
    notebook: Path, tmp_path: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure cannot be kept either; the table of a later disk says so, and the next command runs it again."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC, lambda path: ".partial" in path))
        done = prunekit("run", notebook, "--out", out)
    assert done.exit_code == 1 and "0 of 1 runs finished" in done.output
    assert "No space left on device; no record of it could be kept (No space left on device)" in done.output
    assert "executed notebook" not in done.output and "partial notebook" not in done.output
    assert hidden(out) == [] and [p.name for p in out.iterdir() if p.is_file()] == ["results.csv"]
    done = prunekit("run", notebook, "--out", out)
    assert done.exit_code == 0 and len(executed) == 2
    assert f"executed notebook: {out / executed[0] / 'notebook.ipynb'}" in done.output


@pytest.mark.parametrize("what", ["draft", "parent"])
def test_a_disk_that_does_not_take_the_table_keeps_the_old_one_and_the_runs(
    notebook: Path, tmp_path: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    out = tmp_path / "out"
    assert prunekit("run", notebook, "--out", out).exit_code == 0
    before = (out / "results.csv").read_bytes()
    grid = ("--grid", "seed=0,1")
    with monkeypatch.context() as patch:
        if what == "draft":
            patch.setattr(os, "fsync", failing(errno.ENOSPC, lambda path: "results.csv" in path))
        else:
            patch.setattr(batch, "write_table", _refuse)
        done = prunekit("run", notebook, *grid, "--out", out)
    assert done.exit_code == 1 and "2 of 2 runs finished" in done.output
    assert "results.csv was not written (No space left on device)" in done.output
    assert (out / "results.csv").read_bytes() == before and hidden(out) == []
    assert prunekit("run", notebook, *grid, "--out", out).exit_code == 0 and len(executed) == 2


def _refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_finished_runs_are_read_from_a_disk_that_takes_nothing(
    notebook: Path, tmp_path: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prunekit("run", notebook, "--out", out)
    monkeypatch.setattr(os, "fsync", failing(errno.EROFS, lambda path: True))
    done = prunekit("run", notebook, "--out", out)
    assert done.exit_code == 1 and "1 of 1 runs finished; " in done.output and len(executed) == 1
    assert prunekit("runs", "verify", out).exit_code == 0


def test_a_command_whose_disk_fails_elsewhere_ends_in_a_sentence(
    notebook: Path, tmp_path: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prunekit("run", notebook, "--out", out)

    def read_only(self: Path, to: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self), None, str(to))

    monkeypatch.setattr(Path, "rename", read_only)
    done = prunekit("runs", "clean", "--all", out)
    assert done.exit_code == 1 and done.output.startswith(f"Error: Read-only file system: {out}")


@pytest.mark.parametrize("name", ["notebook.ipynb", "run.json"])
@pytest.mark.parametrize("damage", ["digit", "no UTF-8", "empty", "missing"])
def test_a_damaged_run_is_executed_again_and_named(
    notebook: Path, tmp_path: Path, executed: list[str], name: str, damage: str
) -> None:
    out = tmp_path / "out"
    prunekit("run", notebook, "--grid", "seed=0,1", "--out", out)
    table = (out / "results.csv").read_text()
    key = executed[0]
    path = out / key / name
    whole = path.read_bytes()
    digit = whole.replace(b'"seed": 0', b'"seed": 7', 1).replace(b"x = 1", b"x = 2", 1)
    changed = {"digit": digit, "no UTF-8": whole.replace(b"page", b"\xffage", 1) + b"\xff", "empty": b""}
    assert changed["digit"] != whole
    path.write_bytes(changed[damage]) if damage in changed else path.unlink()

    verified = prunekit("runs", "verify", out)
    assert verified.exit_code == 1 and "2 runs, 1 damaged" in verified.output
    assert f"{out / key}: {name} " in verified.output
    listed = prunekit("runs", "list", out).output
    assert listed.count("finished") == 1 and f"{key}  damaged   {name}" in listed
    assert "1 damaged: --failed removes them" in prunekit("runs", "clean", out).output and path.parent.exists()
    done = prunekit("run", notebook, "--grid", "seed=0,1", "--out", out)
    assert done.exit_code == 0 and f"run {key} of page is damaged ({name}" in done.output
    assert "executed again" in done.output and executed[2:] == [key]
    assert (out / "results.csv").read_text() == table
    assert prunekit("runs", "verify", out).output == "2 runs, 0 damaged\n"


def test_damaged_runs_are_retried_where_their_record_is_whole_and_cleaned_in_any_case(
    notebook: Path, tmp_path: Path, executed: list[str]
) -> None:
    out = tmp_path / "out"
    prunekit("run", notebook, "--grid", "seed=0,1,2", "--out", out)
    (out / executed[0] / "notebook.ipynb").write_bytes(b"\xff")
    (out / executed[1] / "run.json").write_bytes(b"[]")
    (out / "failed" / executed[2]).mkdir(parents=True)
    (out / "failed" / executed[2] / "run.json").write_text('{"key": 3}')
    done = prunekit("runs", "retry", out)
    assert done.exit_code == 0 and executed[3:] == [executed[0]]
    assert f"skipped {out / executed[1]}: run.json is a JSON list" in done.output
    assert f"skipped {out / 'failed' / executed[2]}: run.json has no checksums" in done.output
    gone = prunekit("runs", "clean", "--failed", out).output
    assert str(out / executed[1]) in gone and str(out / "failed" / executed[2]) in gone and "2 removed" in gone
    assert {r.key for r in Store(out).runs()} == {executed[0], executed[2]} and hidden(out) == []


@pytest.mark.parametrize("damage", [b"\xff", b"[]", b'{"key": [1]}'])
def test_a_damaged_run_of_a_page_is_named_by_claims_and_is_no_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    monkeypatch.setattr(evidence, "chapters", lambda: [paths.CHAPTERS / "overparameterization/linear-gaussian.md"])
    (page,) = evidence.wanted("smoke")
    folder = page.job.store.folder / page.job.key
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(damage)
    assert evidence.wanted("smoke")[0].run is None
    done = prunekit("claims", "--scale", "smoke", "--paper", "chang")
    assert done.exit_code == 0 and "reproduced" not in done.output
    assert f"run {page.job.key} of {page.name} is damaged (run.json " in done.output


def test_a_damaged_run_is_not_recorded(notebook: Path, tmp_path: Path, executed: list[str]) -> None:
    prunekit("run", notebook, "--out", tmp_path / "out")
    folder = tmp_path / "out" / executed[0]
    (folder / "notebook.ipynb").write_text("{}")
    done = prunekit("runs", "record", folder, "label")
    assert done.exit_code == 2 and "is damaged (notebook.ipynb was changed)" in done.output


def test_a_run_that_is_damaged_before_its_table_is_written_ends_in_a_sentence(
    notebook: Path, tmp_path: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = seal.content
    monkeypatch.setattr(seal, "content", lambda folder, record, name: read(folder, record | {"files": {}}, name))
    done = prunekit("run", notebook, "--out", tmp_path / "out")
    assert done.exit_code == 1 and "results.csv was not written (run " in done.output
    assert "notebook.ipynb was changed" in done.output


def test_what_a_killed_command_left_of_the_table_goes_with_the_next(
    notebook: Path, tmp_path: Path, executed: list[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    draft = files._draft(out / "results.csv")
    owner = draft.name.rsplit("-", 1)[0]
    (out / f"{owner}-1.00000000.draft").touch()  # of a process with our number, long ago
    prunekit("run", notebook, "--out", out)
    assert hidden(out) == []
