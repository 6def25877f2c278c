"""What all tests share: single-threaded mathematics, profiles of hypothesis, a Chromium, a site at smoke scale.

The suite runs on every core (pytest-xdist), with a worker more than there are cores. The tests of one module stay
together on one worker, since they share what they computed. Where a module is too large for that, a parameter's id in
angle brackets keeps its tests together.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported: the kernels of the book run single-threaded too

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of hundreds of processes compiles its imports again

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "smoke"  # kept: a site that is up to date is not built again
SITE_SECONDS = 3600.0  # for building it on a slow machine; a test's own limit does not count what it waits for
FIRST = ("tests/book/notebooks/test_reference.py",)  # builds the smoke book, on which the site's tests wait
# Share nothing, and wait long or are many.
APART = ("tests/book/runs/test_kills.py", "tests/nonsense/test_everything.py")
SPREAD = ("tests/book/site/test_pages.py",)  # grouped by the page that is looked at
LAST = SPREAD  # many small groups: no core is idle at the end
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_CHROMIUM = (
    "no Chromium, so no page was opened: install one (apt-get install chromium) or name its executable in CHROMIUM"
)

settings.register_profile("prunekit", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "prunekit")


class Together(LoadScopeScheduling):
    """Sends what belongs together to one worker.

    In place of ``--dist=loadgroup``: it writes groups into an attribute that pytest 9.2 no longer reads, and without a
    word every test went where it liked, so that both workers built what a module shares.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """Return what a test is kept together with: its module, or less where the module is spread."""
    module = nodeid.split("::", maxsplit=1)[0]
    if module in APART:
        return nodeid
    named = re.search(r"<(.+?)>", nodeid) if module in SPREAD else None
    return f"{module}<{named[1]}>" if named else module


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many workers ``--numprocesses auto`` means: a third of the suite's time is waiting for others."""
    return len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Have the tests distributed by `group`."""
    return Together(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests in an order that leaves no core idle, without those that must be asked for."""
    if "fuzz" not in config.option.markexpr:
        asked_for = [item for item in items if item.get_closest_marker("fuzz") is not None]
        config.hook.pytest_deselected(items=asked_for)
        items[:] = [item for item in items if item not in asked_for]
    items.sort(key=lambda item: (_module(item) not in FIRST) + (_module(item) in LAST))


def _module(item: pytest.Item) -> str:
    return item.nodeid.split("::")[0]


@pytest.fixture(scope="module", autouse=True)
def _one_worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """See that a module's tests are on one worker: a distribution that scatters them costs twice the time, silently."""
    module = request.node.nodeid
    if "PYTEST_XDIST_WORKER" not in os.environ or module in (*APART, *SPREAD):
        return
    note = tmp_path_factory.getbasetemp().parent / f"worker-of-{module.replace('/', '-')}"
    try:
        note.touch(exist_ok=False)
    except FileExistsError:
        pytest.fail(f"{module} runs on more than one worker, or its fixtures were made twice", pytrace=False)


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
def smoke_build(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Status and words of a build of the whole book at smoke scale: one for all workers of a session."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    ended = shared / "smoke-build.json"
    with FileLock(shared / "smoke-build.lock", timeout=SITE_SECONDS):
        if not ended.exists():
            command = [sys.executable, "-m", "prunekit", "build", "--scale", "smoke", "--out", str(SITE)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SITE_SECONDS)
            ended.write_text(json.dumps({"status": done.returncode, "output": done.stdout + done.stderr}))
    return json.loads(ended.read_text())


@pytest.fixture(scope="session")
def smoke_site(smoke_build: dict[str, Any]) -> Path:
    """Folder of the whole site, built at smoke scale by the command line."""
    assert smoke_build["status"] == 0, f"the smoke site was not built:\n{smoke_build['output']}"
    return SITE
