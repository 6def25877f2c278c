"""A build on a disk that takes no more: one sentence, the site in place as it was, and nothing left behind."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from prunekit import cli
from prunekit.book import paths
from prunekit.book.site import build


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Place of a site in a checkout whose book has no page, built in no time; an earlier site stands there."""

    def sphinx(draft: Path, *_: Any, **__: Any) -> bool:
        html = draft / "out" / "_build" / "html"
        html.mkdir(parents=True)
        (html / "index.html").write_text("new")
        return True

    def stage(evidence: Any, folder: Path, whole: bool) -> None:
        folder.mkdir()
        (folder / "page").write_text("prose")

    monkeypatch.setattr(paths, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(build, "wanted", lambda scale, page: [])
    monkeypatch.setattr(build, "stage", stage)
    monkeypatch.setattr(build, "_sphinx", sphinx)
    monkeypatch.setattr(cli.command, "execute", lambda *_: [])
    target = tmp_path / "_build" / "html"
    target.mkdir(parents=True)
    (target / build.SEAL).write_text("of an earlier build")
    (target / "index.html").write_text("old")
    return target


def ask(target: Path) -> tuple[int, str]:
    """Build by the command line; return its status and what it said."""
    done = CliRunner().invoke(cli.main, ["build", "--jobs", "1", "--out", str(target)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/file")


def test_a_new_site_takes_the_place_of_the_old_one(site: Path) -> None:
    status, said = ask(site)
    assert status == 0, said
    assert (site / "index.html").read_text() == "new"
    assert names(site.parent) == ["html"]


@pytest.mark.parametrize(
    ("owner", "name"),
    [(build, "stage"), (build, "_sphinx"), (build.files, "sync_tree"), (shutil, "move"), (Path, "rename")],
    ids=["staging", "making the site", "syncing it", "moving it", "renaming it"],
)
def test_a_full_disk_is_one_sentence_and_leaves_the_site_as_it_was(
    site: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    monkeypatch.setattr(owner, name, full)
    status, said = ask(site)
    monkeypatch.undo()
    assert status == 1
    assert said.count("\n") == 1 and "No space left on device: /disk/file" in said, said
    assert (site / "index.html").read_text() == "old"
    assert names(site.parent) == ["html"]


def sphinx_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str) -> Callable[[], bool]:
    done = SimpleNamespace(returncode=2, stdout="", stderr=f"a traceback of sixty kilobytes\n{words}\n")
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: done)
    return lambda: build._sphinx(tmp_path, 0, strict=True, quiet=False)


def test_a_disk_that_fills_up_under_jupyter_book_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = sphinx_says(monkeypatch, tmp_path, "OSError: [Errno 28] No space left on device: '/x'")
    with pytest.raises(OSError, match="No space left on device") as caught:
        call()
    assert caught.value.errno == errno.ENOSPC
    assert capsys.readouterr().err == ""


def test_what_else_fails_under_jupyter_book_is_shown_and_its_stage_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sphinx_says(monkeypatch, tmp_path, "WARNING: no such label")() is False
    said = capsys.readouterr().err
    assert "WARNING: no such label" in said
    assert f"the site was not built (status 2); the stage is kept: {tmp_path}" in said


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.command, "execute", lambda *_: pytest.fail("nothing may be executed"))
    monkeypatch.setattr(build.os, "access", lambda path, mode: Path(path) != site.parent)
    status, said = ask(site)
    assert status == 2
    assert f"{site.parent} is not writable" in " ".join(said.split())
    assert (site / "index.html").read_text() == "old"


def test_a_place_below_a_file_is_refused(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, said = ask(tmp_path / "file" / "html")
    assert status == 2
    assert "is a file; name a folder" in said


def test_a_site_that_a_kill_took_away_is_put_back_by_the_next_build(
    site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process is gone between the two renames; the next build begins with the old site in its place."""
    (tmp_path / "new").mkdir()
    script = (
        "import os, pathlib, sys; from prunekit._system import files; rename = pathlib.Path.rename\n"
        "def dying(self, target): rename(self, target); os._exit(9)\n"
        "pathlib.Path.rename = dying; files.swap(*map(pathlib.Path, sys.argv[1:]))"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "new"), str(site)], check=False)
    assert killed.returncode == 9 and not site.exists()
    monkeypatch.setattr(build, "_sphinx", full)
    assert ask(site)[0] == 1
    assert (site / "index.html").read_text() == "old"
    monkeypatch.undo()
    assert [n for n in names(site.parent) if n.endswith((".old", ".new"))] == []
