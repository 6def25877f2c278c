"""The files beside a notebook that its front matter names: brought into the run's folder, and taken away again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from prunekit._system import files


class ChangedFile(ValueError):
    """A file is no longer what it was when the run was asked for; the message names it."""


@contextlib.contextmanager
def brought(source: Path, named: Mapping[str, str], folder: Path) -> Iterator[None]:
    """Put copies of some files into a run's folder, under the paths by which the notebook knows them.

    They are copies, so that what the run reads is what is in its key, whatever it does to them; they are not kept.

    Parameters
    ----------
    source
        The notebook's folder.
    named
        Paths from there, with the SHA-256 that each file had when the key was computed.
    folder
        The run's folder.

    Raises
    ------
    ChangedFile
        If a file has changed since then.
    OSError
        If a file cannot be copied.
    """
    made = [folder / parent for name in named for parent in reversed(Path(name).parents)]
    try:
        for name, checksum in named.items():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, copy)
            if files.sha256(copy) != checksum:
                raise ChangedFile(f"{source / name} has changed since the run was asked for; ask again")
        yield
    finally:
        for name in named:
            with contextlib.suppress(OSError):  # the notebook may have deleted it
                (folder / name).unlink(missing_ok=True)
        for path in sorted({p for p in made if p != folder}, key=lambda p: len(p.parts), reverse=True):
            with contextlib.suppress(OSError):  # something of the run's own is in it
                path.rmdir()
