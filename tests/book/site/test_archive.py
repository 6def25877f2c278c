"""The site as one file: all of it, the same bytes for the same site, and a checksum that can be checked."""

from __future__ import annotations

import os
import subprocess
import tarfile

import pytest

from prunekit import __version__
from prunekit.book.site.archive import SUMS, pack


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "html"
    for name in ("book/introduction.html", "index.html", "_static/a/b.css"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"this is {name}")
    return folder


def test_the_archive_holds_the_site_and_its_checksum_is_right(site, tmp_path):
    archive = pack(site, tmp_path / "release")
    assert archive.name == f"prunekit-book-{__version__}.tar.gz"
    checked = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=archive.parent, check=True, text=True,
                             capture_output=True)  # fmt: skip
    assert checked.stdout == f"{archive.name}: OK\n"
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    [top] = (tmp_path / "out").iterdir()
    found = {p.relative_to(top).as_posix(): p.read_text() for p in top.rglob("*") if p.is_file()}
    assert found == {p.relative_to(site).as_posix(): p.read_text() for p in site.rglob("*") if p.is_file()}


def test_the_pdf_has_its_checksum_beside_the_archive(site, tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / f"prunekit-book-{__version__}.pdf").write_bytes(b"printed")
    (folder / "prunekit-book-0.0.0.pdf").write_bytes(b"of another version")
    archive = pack(site, folder)
    checked = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=folder, check=True, text=True,
                             capture_output=True)  # fmt: skip
    assert checked.stdout == f"{archive.name}: OK\nprunekit-book-{__version__}.pdf: OK\n"


def test_the_same_site_gives_the_same_bytes(site, tmp_path):
    first = pack(site, tmp_path / "one").read_bytes()
    for path in site.rglob("*"):
        os.utime(path, (1, 1))
    assert pack(site, tmp_path / "two").read_bytes() == first
    (site / "index.html").write_text("another")
    assert pack(site, tmp_path / "two").read_bytes() != first


def test_without_a_site_there_is_nothing_to_pack(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no site of the book: make book first"):
        pack(tmp_path / "nothing", tmp_path / "release")
