"""``python -m prunekit.book.site.archive``: the built site as one file with its checksum, to be handed on.

``make release`` builds the book and its PDF first, and the PDF's checksum stands beside the archive's. The same site
gives the same bytes: files are in order and have no owner.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from pathlib import Path

from prunekit import __version__
from prunekit._system import files
from prunekit.book import paths

SUMS = "SHA256SUMS"
_ENTRY = "book/introduction.html"  # without which there is no site


def pack(site: Path, folder: Path) -> Path:
    """Write a site as a compressed archive beside a file of checksums, and return the archive.

    Parameters
    ----------
    site
        The site's folder.
    folder
        Where to write; it is made if it is not there. Its ``SHA256SUMS`` is as ``sha256sum --check`` reads it.

    Raises
    ------
    FileNotFoundError
        If there is no site.
    """
    if not (site / _ENTRY).is_file():
        raise FileNotFoundError(f"{site} holds no site of the book: make book first")
    name = f"prunekit-book-{__version__}"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{name}.tar.gz"
    with (
        archive.open("wb") as stream,
        gzip.GzipFile(fileobj=stream, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(p for p in site.rglob("*") if p.is_file()):
            tar.add(path, f"{name}/{path.relative_to(site).as_posix()}", filter=_of_nobody)
    given = [archive, *(path for path in [folder / f"{name}.pdf"] if path.is_file())]
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in given)
    files.write(folder / SUMS, "".join(sums))
    return archive


def _of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an entry without owner and time, which would change the bytes of the same site."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    return entry


if __name__ == "__main__":
    print(pack(paths.HTML, paths.RELEASE))
