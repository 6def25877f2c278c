"""What all tests share: single-threaded mathematics, profiles of hypothesis, a Chromium, a site at smoke scale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported: the kernels of the book run single-threaded too

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_CHROMIUM = (
    "no Chromium, so no page was opened: install one (apt-get install chromium) or name its executable in CHROMIUM"
)

settings.register_profile("prunekit", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "prunekit")


def find_chromium() -> str | None:
    """Return the executable of a Chromium, the one that ``CHROMIUM`` names first."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium's executable; where there is none the test is skipped, or fails under CI."""
    found = find_chromium()
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_CHROMIUM)
    return found


@pytest.fixture(scope="session")
def smoke_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the whole site, built at smoke scale by the command line."""
    target = tmp_path_factory.mktemp("site") / "html"
    command = [sys.executable, "-m", "prunekit", "build", "--scale", "smoke", "--out", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the smoke site was not built:\n{done.stdout}{done.stderr}"
    yield target
    shutil.rmtree(target, ignore_errors=True)  # a site is large, and pytest keeps three
