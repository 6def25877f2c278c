"""The store by itself: what counts as a run, who may touch whose partial directory, and who wins a race."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
import pytest

from prunekit._system import files, locks, owners
from prunekit.book.runs import seal, store
from prunekit.book.runs.seal import DamagedRun
from prunekit.book.runs.store import Damaged, Run, Store, load, remove

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
RECORD: dict[str, Any] = {
    "key": KEY, "notebook": "n", "path": "n.md", "parameters": {"a": 1.5, "é": [1, None]}, "status": "finished",
    "finished": "2026-01-01T00:00:00+00:00", "wall_time_s": 0.5,
}  # fmt: skip


def fill(folder: Path, value: int = 1) -> None:
    """Write what a notebook leaves in its folder."""
    cell = nbformat.v4.new_code_cell(f"x = {value}", id="a")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "notebook.ipynb")
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_bytes(b"\x00\xff")


def publish(where: Store, key: str = KEY, value: int = 1) -> Run:
    with where.partial(key) as folder:
        fill(folder, value)
        return where.publish(folder, RECORD | {"key": key})


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that takes this process to another host."""
    return lambda name: monkeypatch.setenv("PRUNEKIT_HOST", name)


def hidden(where: Store) -> list[str]:
    return sorted(p.name for p in where.folder.iterdir() if p.name.startswith("."))


def backdate(path: Path) -> None:
    """Let the last heartbeat be a little longer ago than is allowed."""
    then = owners._now(path.parent) - owners.SILENT - 1
    os.utime(path, (then, then))


def test_a_published_run_is_found_again_with_its_host_and_checksums(kept: Store) -> None:
    run = publish(kept)
    assert kept.finished(KEY) == run and kept.runs() == [run] and hidden(kept) == []
    assert set(run.record["files"]) == {"notebook.ipynb", "deep/file"}
    assert run.record["host"] == owners.host_name() and run.record["pid"] == os.getpid()
    assert run.notebook().cells[0].source == "x = 1"
    assert json.loads((run.folder / "run.json").read_text()) == run.record


def test_every_changed_byte_of_a_run_is_noticed(kept: Store) -> None:
    """One bit and a whole byte of every position of every file; three quarters of a second for both."""
    run = publish(kept)
    for name in ("run.json", "notebook.ipynb", "deep/file"):
        path = run.folder / name
        whole = path.read_bytes()
        for position in range(len(whole)):
            for change in (1 << position % 8, 0x20, 0xFF):
                path.write_bytes(whole[:position] + bytes([whole[position] ^ change]) + whole[position + 1 :])
                found = load(run.folder)
                assert isinstance(found, Damaged) and name in found.why, (name, position, change)
                assert (found.record is None) == (name == "run.json")
        path.write_bytes(whole)
        for size in {0, 1, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:size])
            assert isinstance(load(run.folder), Damaged)
        path.unlink()
        assert isinstance(load(run.folder), Damaged)
        path.write_bytes(whole)
    assert load(run.folder) == run


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\xff\xfe", b"[]", b"3", b"{}", b"[" * 100000, b'{"files": {}, "digest": 3}',
        b'{"files": 3, "digest": ""}', json.dumps(RECORD).encode(), b'{"files": {}, "digest": "", "wall_time_s": NaN}',
        b'{"files": {}, "digest": "", "wall_time_s": 1e999}', b'{"key": "' + b"9" * 5000 + b'"}', b"9" * 5000,
    ],
    ids=range(13),
)  # fmt: skip
def test_a_record_of_anything_else_is_damage_and_breaks_nothing(kept: Store, text: bytes) -> None:
    run, good = publish(kept), publish(kept, OTHER)
    (run.folder / "run.json").write_bytes(text)
    assert kept.finished(KEY) is None and kept.runs() == [good]
    assert [d.folder for d in kept.kept()[1]] == [run.folder] and "run.json" in str(kept.damage(KEY))


@pytest.mark.parametrize("field", sorted(seal._FIELDS))
def test_a_record_that_lacks_a_field_is_damage_even_with_a_seal(kept: Store, field: str) -> None:
    run = publish(kept)
    seal.seal(run.folder, {k: v for k, v in RECORD.items() if k != field})
    assert f"lacks {field}" in str(kept.damage(KEY))


def test_a_record_of_another_run_is_damage(kept: Store) -> None:
    run = publish(kept)
    run.folder.rename(kept.folder / OTHER)
    assert f"is of run {KEY}" in str(kept.damage(OTHER))


def test_an_empty_folder_with_a_run_s_name_is_damage_and_can_be_removed(kept: Store) -> None:
    (kept.folder / KEY).mkdir(parents=True)
    assert kept.damage(KEY) == "run.json is missing" and kept.damage(OTHER) is None
    remove(kept.kept()[1][0].folder)
    assert kept.kept() == ([], []) and hidden(kept) == []


def test_a_notebook_that_is_changed_after_the_run_was_looked_at_is_not_shown(kept: Store) -> None:
    run = publish(kept)
    path = run.folder / "notebook.ipynb"
    path.write_text(path.read_text().replace("x = 1", "x = 2"))
    with pytest.raises(DamagedRun, match=r"notebook\.ipynb was changed"):
        run.notebook()
    path.unlink()
    with pytest.raises(DamagedRun, match=r"notebook\.ipynb is missing"):
        run.notebook()


def test_a_damaged_run_is_replaced_by_the_next(kept: Store) -> None:
    run = publish(kept)
    (run.folder / "deep" / "file").write_bytes(b"")
    assert kept.finished(KEY) is None
    assert publish(kept, value=2).notebook().cells[0].source == "x = 2"
    assert kept.kept()[1] == [] and hidden(kept) == []
    shutil.rmtree(run.folder)
    run.folder.write_text("a file of that name")
    assert publish(kept) == kept.finished(KEY)


def test_the_loser_of_a_race_takes_the_published_run(kept: Store) -> None:
    """Both hold a partial directory of one key: so it is where locks are missing or another machine's."""
    first, second = (kept.folder / f".{KEY}.h.1-{n}.0000000{n}.partial" for n in (1, 2))
    for n, folder in enumerate((first, second)):
        folder.mkdir(parents=True)
        fill(folder, n)
    won = kept.publish(first, RECORD)
    lost = kept.publish(second, RECORD)
    assert won == lost == kept.finished(KEY) and lost.notebook().cells[0].source == "x = 0"
    assert hidden(kept) == []


def test_a_race_that_is_decided_at_the_rename_itself(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, rivals = Path.rename, []

    def late(self: Path, to: Path) -> Path:
        if self.name.endswith(".partial") and not rivals:
            rivals.append(self)
            monkeypatch.setattr(Path, "rename", rename)
            publish(Store(kept.folder), value=7)
        return rename(self, to)

    monkeypatch.setattr(locks, "_try", lambda stream: None)
    monkeypatch.setattr(Path, "rename", late)
    assert publish(kept).notebook().cells[0].source == "x = 7"
    assert hidden(kept) == []


def test_a_rename_that_succeeded_and_is_reported_as_failed(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An NFS server's answer is lost, the client asks again, and the source is no longer there."""
    rename = Path.rename

    def twice(self: Path, to: Path) -> Path:
        rename(self, to)
        return rename(self, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", twice)
        run = publish(kept)
    assert run == kept.finished(KEY)


def test_a_failure_replaces_the_last_one_and_gives_way_to_a_finished_run(kept: Store) -> None:
    failed = RECORD | {"status": "failed", "error": "E: x"}
    for trace in ("one", "two"):
        with kept.partial(KEY) as folder:
            run = kept.fail(folder, failed, trace)
        assert not run.finished and (run.folder / "traceback.txt").read_text() == trace
        assert kept.failed(KEY) == run and kept.finished(KEY) is None
        assert run.notebook().cells == []  # it never came to be written
    assert hidden(kept) == [] and [p.name for p in (kept.folder / "failed").iterdir()] == [KEY]
    publish(kept)
    assert kept.failed(KEY) is None
    with kept.partial(KEY) as folder:
        assert kept.fail(folder, failed, "late") == kept.finished(KEY)


@pytest.mark.parametrize("what", ["write", "fsync", "rename"])
def test_a_full_disk_at_publication_publishes_nothing(kept: Store, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patched = {"write": (Path, "write_text"), "fsync": (os, "fsync"), "rename": (Path, "rename")}[what]
    with monkeypatch.context() as patch, kept.partial(KEY) as folder:
        fill(folder)
        patch.setattr(*patched, full)
        with pytest.raises(OSError, match="No space"):
            kept.publish(folder, RECORD)
    assert kept.kept() == ([], []) and hidden(kept) == []


def test_only_the_dead_s_leftovers_are_found(kept: Store, host: Any) -> None:
    me = owners.me()
    dead = owners.Owner(me.host, me.pid, me.start + 1)  # our number, given to another process since
    marks = {"mine": me, "dead": dead, "there": owners.Owner("there", 1, 1), "silent": owners.Owner("gone", 1, 1)}
    for name, of in marks.items():
        folder = kept.folder / "deep" / f".{KEY}.{of.mark}.00000000.partial"
        folder.mkdir(parents=True)
        if name == "silent":
            backdate(folder)
        draft = folder.with_name(f".results.csv.{of.mark}.00000000.draft")
        draft.touch()
        if name == "silent":
            backdate(draft)
    found = {p.name for p in kept.leftovers()}
    assert found == {
        f".{KEY}.{dead.mark}.00000000.partial", f".{KEY}.gone.1-1.00000000.partial",
        f".results.csv.{dead.mark}.00000000.draft", ".results.csv.gone.1-1.00000000.draft",
    }  # fmt: skip
    host("elsewhere")  # from another host, ours is one of unknown fate
    assert {p.name for p in kept.leftovers()} == {
        f".{KEY}.gone.1-1.00000000.partial", ".results.csv.gone.1-1.00000000.draft",
    }  # fmt: skip


def test_what_an_older_prunekit_or_a_kill_left_is_found(kept: Store) -> None:
    kept.folder.mkdir()
    for name in (f".{KEY}.partial", f".{KEY}.gone", f".{OTHER}.00000000.gone"):
        (kept.folder / name).mkdir()
    (kept.folder / f".{KEY}.lock").touch()
    assert len(kept.leftovers()) == 4
    for path in kept.leftovers():
        remove(path)
        remove(path)  # another process was faster
    assert hidden(kept) == []


def test_a_lock_that_is_held_or_whose_run_lives_is_no_leftover(kept: Store) -> None:
    with kept.partial(KEY):
        (kept.folder / f".{OTHER}.there.1-1.00000000.partial").mkdir()
        (kept.folder / f".{OTHER}.lock").touch()  # held on a host whose locks are its own
        assert kept.leftovers() == []


def test_a_run_in_flight_beats(kept: Store, monkeypatch: pytest.MonkeyPatch, host: Any) -> None:
    monkeypatch.setattr(owners, "BEAT", 0.01)
    with kept.partial(KEY) as folder:
        host("elsewhere")
        backdate(folder)
        while owners.silence(folder) > 1:  # the test's own limit of time ends this where nothing beats
            pass
        assert folder not in kept.leftovers()


def test_what_a_killed_run_left_is_taken_over(kept: Store) -> None:
    me = owners.me()
    for number, words in enumerate(("old", "new")):
        left = kept.folder / f".{KEY}.{me.host}.{me.pid}-1.0000000{number}.partial"
        left.mkdir(parents=True)
        (left / "notebook.ipynb").write_text(words)
        os.utime(left, (number, number))
    living = kept.folder / f".{KEY}.there.1-1.00000000.partial"
    living.mkdir()
    with kept.partial(KEY, keep=True) as folder:
        assert (folder / "notebook.ipynb").read_text() == "new"
    with kept.partial(KEY) as folder:
        assert list(folder.iterdir()) == []
    assert living.exists()


def test_commands_look_at_a_folder_while_others_write(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is deleted between the listing and the look, and so is a folder that is about to be listed."""
    run, other = publish(kept), publish(kept, OTHER)
    walk = os.walk

    def vanishing(folder: Path) -> Iterator[Any]:
        for here, names, others in walk(folder):
            yield here, [*names, "ffffffffffffffff"], [*others, f".{KEY}.h.1-1.00000000.partial"]

    monkeypatch.setattr(os, "walk", vanishing)
    assert {r.key for r in kept.runs()} == {run.key, other.key} and kept.kept()[1] == []
    kept.leftovers()


@pytest.mark.parametrize("lacking", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_missing_locks_are_said_once_and_cost_nothing(
    kept: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lacking: int
) -> None:
    def none(*_: object) -> None:
        raise OSError(lacking, os.strerror(lacking))

    monkeypatch.setattr(locks.fcntl, "flock", none)
    monkeypatch.setattr(locks, "_said", set())
    kept.prepare()
    with ExitStack() as both:  # nothing keeps the second out
        folders = [both.enter_context(kept.partial(KEY)) for _ in range(2)]
        for folder in folders:
            fill(folder)
        assert kept.publish(folders[0], RECORD) == kept.publish(folders[1], RECORD)
    said = capsys.readouterr().err
    assert said.count("runs may be executed twice") == 1 and str(kept.folder) in said
    assert hidden(kept) == []


def test_whoever_waits_says_for_whom(
    kept: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    kept.folder.mkdir()
    flock = locks.fcntl.flock
    path = kept.folder / f".{KEY}.lock"

    def release(stream: Any, how: int) -> None:
        """Take the lock from its holder where the waiting one would wait for ever."""
        if how == locks.fcntl.LOCK_EX:
            os.close(holder)
        flock(stream, how)

    holder = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(holder, f"{owners.Owner('node-7', 1234, 5).mark}\n".encode())
    flock(holder, locks.fcntl.LOCK_EX)
    monkeypatch.setattr(locks.fcntl, "flock", release)
    with kept.partial(KEY):
        assert path.read_text() == owners.me().mark + "\n"
    assert f"waiting for process 1234 on node-7: it executes run {KEY}" in capsys.readouterr().err


def test_a_folder_that_takes_nothing_is_noticed_beforehand(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.prepare()
    assert hidden(kept) == []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        kept.prepare()
    assert hidden(kept) == []


def test_hosts_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRUNEKIT_HOST", raising=False)
    here = owners.host()
    assert owners.me().lives() is True
    monkeypatch.setattr(owners, "_place", lambda: "ffffffff")  # another container of the same name
    assert owners.host() != here and owners.Owner(here, os.getpid(), 1).lives() is None
    assert store._PARTIAL.fullmatch(f".{KEY}.{owners.me().mark}.00000000.partial")


def test_a_forced_run_replaces_the_published_one(kept: Store) -> None:
    publish(kept)
    with kept.partial(KEY) as folder:
        fill(folder, 2)
        new = kept.publish(folder, RECORD, replace=True)
    assert kept.finished(KEY) == new and new.notebook().cells[0].source == "x = 2"
    assert kept.runs() == [new] and hidden(kept) == []


def test_a_forced_run_that_fails_leaves_the_published_one(kept: Store) -> None:
    old = publish(kept)
    with kept.partial(KEY) as folder:
        failure = kept.fail(folder, RECORD | {"status": "failed", "error": "E"}, "trace", replace=True)
    assert not failure.finished and kept.failed(KEY) == failure
    assert kept.finished(KEY) == old and hidden(kept) == []


def test_a_forced_run_that_cannot_be_put_in_its_place_gives_it_back(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = publish(kept)
    rename, tried = Path.rename, []

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            tried.append(target)
            raise OSError(errno.ENOTEMPTY if len(tried) == 1 else errno.EIO, "no", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no"), kept.partial(KEY) as folder:
        fill(folder, 2)
        kept.publish(folder, RECORD, replace=True)
    assert len(tried) == 2 and kept.finished(KEY) == old and hidden(kept) == []
