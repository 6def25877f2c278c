"""Files and folders appear whole or not at all, whatever fails or is killed on the way."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from prunekit._system import files, owners
from prunekit.book import paths, recordings
from prunekit.book.runs import keys, notes


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def dead_mark() -> str:
    """Return the mark of a process of this host that has ended: our own number with another start."""
    return owners.Owner(owners.host(), os.getpid(), 1).mark


@pytest.fixture
def vanishing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each folder named ``gone`` removed by somebody else, the moment before it is looked into."""
    scan = os.scandir

    def scandir(path: int | str | Path = ".") -> object:
        if not isinstance(path, int) and Path(path).name == "gone":
            shutil.rmtree(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.usefixtures("vanishing")
def test_a_folder_that_vanishes_in_a_walk_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("page/gone", "page/kept"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "run.json").write_text("{}")
    note = {"runs": {}, "scheduler": "tcp://a:1", "began": "2026-01-01T00:00:00+00:00"}
    (tmp_path / "page" / ".batch-1.json").write_text(json.dumps(note))
    monkeypatch.setattr(paths, "RECORDED", tmp_path)
    gone = tmp_path / "page" / "gone"
    assert files.below(tmp_path) == [tmp_path / "page" / ".batch-1.json", tmp_path / "page" / "kept" / "run.json"]
    gone.mkdir()
    assert [note.path.name for note in notes.found(tmp_path)] == [".batch-1.json"]
    gone.mkdir()
    assert recordings.available() == [("page", "kept")]
    gone.mkdir()
    assert set(keys.recorded_checksums(SimpleNamespace(name="page"))) == {"page/kept/run.json"}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["results.csv", "ä" * 120, "a b[1].json"])
def test_a_file_is_replaced_whole(tmp_path: Path, name: str) -> None:
    files.write(tmp_path / name, "one")
    files.write(tmp_path / name, b"two")
    assert names(tmp_path) == [name] and (tmp_path / name).read_text() == "two"


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    files.write(tmp_path / "a", "old")
    monkeypatch.setattr(*((os, "fsync") if where == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path / "a", "new")
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


def test_drafts_of_the_dead_are_removed_and_others_are_not(tmp_path: Path) -> None:
    theirs = f".a.{owners.Owner('other', 1, 1).mark}.00000000.draft"
    silent = f".a.{owners.Owner('silent', 1, 1).mark}.00000000.draft"
    ours, mine = f".a.{dead_mark()}.00000000.draft", f".a.{owners.me().mark}.00000000.draft"
    another = f".ab.{dead_mark()}.00000000.draft"
    for name in (theirs, silent, ours, mine, another):
        (tmp_path / name).touch()
    then = owners._now(tmp_path) - owners.SILENT - 1
    os.utime(tmp_path / silent, (then, then))
    files.write(tmp_path / "a", "")
    assert names(tmp_path) == sorted(["a", theirs, mine, another])


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Return a new folder and the place of an old one."""
    new, target = tmp_path / "draft" / "new", tmp_path / "site"
    for folder in (new, target):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "page").write_text(folder.name)
    return new, target


def test_a_folder_takes_another_s_place(places: tuple[Path, Path]) -> None:
    new, target = places
    files.swap(new, target)
    assert (target / "deep" / "page").read_text() == "new" and names(target.parent) == ["draft", "site"]
    assert not new.exists()
    shutil.move(target, new)
    files.swap(new, target)  # where there is none
    assert (target / "deep" / "page").read_text() == "new" and names(target.parent) == ["draft", "site"]


@pytest.mark.parametrize("step", range(3))
def test_a_swap_that_fails_leaves_the_old_folder(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The disk is full when the new folder comes to the place's file system, is synced, or gets its name."""
    new, target = places
    rename = Path.rename

    def last(self: Path, to: Path) -> Path:
        if self.name.endswith(".draft"):
            full()
        return rename(self, to)

    patched = [(shutil, "move", full), (os, "fsync", full), (Path, "rename", last)][step]
    with monkeypatch.context() as patch:
        patch.setattr(*patched)
        with pytest.raises(OSError, match="No space"):
            files.swap(new, target)
    assert (target / "deep" / "page").read_text() == "site"
    assert names(target.parent) == ["draft", "site"]


def test_a_kill_between_the_renames_is_mended(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    new, target = places
    target.rename(target.with_name(".site.old"))
    assert files.waiting(target.parent) == [target]
    files.recover(target)
    assert (target / "deep" / "page").read_text() == "site"
    files.recover(target)  # nothing is amiss
    target.rename(target.with_name(".site.old"))
    files.swap(new, target)  # the next writer needs no mending
    assert (target / "deep" / "page").read_text() == "new" and names(target.parent) == ["draft", "site"]


def test_a_reader_who_mends_in_the_middle_does_not_disturb(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    new, target = places
    rename, disturbed = Path.rename, []

    def between(self: Path, to: Path) -> Path:
        if self.name.endswith(".draft") and not disturbed:
            disturbed.append(to)
            files.recover(target)
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", between)
    files.swap(new, target)
    assert disturbed and (target / "deep" / "page").read_text() == "new"
    assert names(target.parent) == ["draft", "site"]


def test_what_is_renamed_is_synced_before(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    new, target = places
    synced: set[int] = set()
    seen: list[bool] = []
    fsync, rename = os.fsync, Path.rename
    inside = {p.stat().st_ino for p in [new, *new.rglob("*")]}

    def noted(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        fsync(handle)

    def checked(self: Path, to: Path) -> Path:
        if self.name.endswith(".draft"):
            seen.append(inside <= synced)
        return rename(self, to)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "rename", checked)
    files.swap(new, target)
    assert seen == [True] and target.parent.stat().st_ino in synced
