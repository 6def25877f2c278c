"""Files and folders that appear whole or not at all, and are on the disk before their names are.

Everything is first written as a draft beside its place, synced, and renamed. A draft is removed when writing fails;
one that a kill left is removed by the next writer of the same name (see `prunekit._system.owners` for when). A folder
takes the place of another by two renames; where a kill came between them, `recover` puts the old one back.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
from pathlib import Path

from prunekit._system import owners

_MANY = 100  # with more files than this, one call for the whole system is quicker than one for each
_ATTEMPTS = 5


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def below(folder: Path) -> list[Path]:
    """Return the files in a folder and in those below it, in order; files that vanish meanwhile are passed over.

    Links to folders are not followed. `Path.rglob` raises before Python 3.13 when a folder vanishes in its walk.
    """
    return sorted(Path(here) / name for here, _, names in os.walk(folder) for name in names)


def write(path: Path, content: bytes | str) -> None:
    """Write a file in one piece, replacing an old one; a reader sees the old one or the new one.

    Raises
    ------
    OSError
        If it cannot be written; the old file is then as it was, and no draft is left.
    """
    draft = _draft(path)
    try:
        with draft.open("xb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    sync(path.parent)


def swap(new: Path, target: Path) -> None:
    """Put the folder `new` where `target` is, or where it is missing.

    A reader sees the old folder or the new one, or for a moment none; a kill in that moment is mended by `recover`.
    The caller has to make sure that no two writers work on one target at a time.

    Parameters
    ----------
    new
        A folder, on any file system; it is gone from there afterwards.
    target
        Where it is put; missing parents are made.

    Raises
    ------
    OSError
        If the new folder cannot be put there; the old one is then in its place again, and no draft is left.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    recover(target)
    draft, old = _draft(target), _old(target)
    try:
        shutil.move(new, draft)  # a copy where the target is on another file system
        sync_tree(draft)
        for _ in range(_ATTEMPTS):
            shutil.rmtree(old, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                target.rename(old)
            try:
                draft.rename(target)
                break
            except OSError as error:
                recover(target)
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        else:
            raise OSError(errno.EBUSY, f"another process writes into the folder all the time: {target}")
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(target: Path) -> None:
    """Put the folder back that a kill in `swap` left beside its place; where nothing is amiss, do nothing."""
    if not target.exists():
        with contextlib.suppress(OSError):  # none there, or a folder that cannot be written
            _old(target).rename(target)


def waiting(folder: Path) -> list[Path]:
    """Return the places in a folder for which `recover` has something."""
    old = [p for p in folder.glob(".*.old") if p.is_dir()]
    return [p.with_name(p.name[1:].removesuffix(".old")) for p in sorted(old)]


def sync(path: Path) -> None:
    """Have the system write a file or a folder's list of names to the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP) or not path.is_dir():
            raise  # some file systems sync no folders, and then nothing more can be done
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Have the system write a folder and all that is in it to the disk; links are not followed."""
    inside = [p for p in folder.rglob("*") if not p.is_symlink() and (p.is_file() or p.is_dir())]
    if len(inside) > _MANY and sys.platform == "linux":  # elsewhere sync() does not wait
        os.sync()
        return
    for path in [*inside, folder]:
        sync(path)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _draft(path: Path) -> Path:
    """Return a name beside `path` that nobody else uses, and remove the drafts of processes that died."""
    stem = path.name
    if len(os.fsencode(stem)) > _MANY:  # a name may have 255 bytes
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]
    pattern = re.compile(rf"\.{re.escape(stem)}\.(?P<mark>{owners.MARK})\.[0-9a-f]{{8}}\.draft")
    with contextlib.suppress(OSError):
        for match in filter(None, (pattern.fullmatch(p.name) for p in path.parent.iterdir())):
            of, left = owners.owner(match["mark"]), path.with_name(match[0])
            if of and owners.abandoned(left, of):
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(f".{stem}.{owners.me().mark}.{secrets.token_hex(4)}.draft")
