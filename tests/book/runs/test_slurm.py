"""The page's script for SLURM, run as it stands with a stand-in for ``sbatch`` that starts the job on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prunekit.book import paths
from tests.book.runs.helpers import alive, counting_notebook, processes_of, wait_for

pytest.importorskip("dask_jobqueue")
SBATCH = """#!/bin/sh
job="$(dirname "$0")/submitted"
cp "$1" "$job"
setsid bash "$job" > "$0.log.$$" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = "#!/bin/sh\nkill -9 -- -$1\n"


def script() -> str:
    """Return the page's script."""
    page = (paths.BOOK / "how-to-run.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "SLURMCluster" in block]
    return code


def edited(code: str, **changes: str) -> str:
    """Fill in what is a reader's own."""
    for old, new in changes.values():
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    return code


def test_the_pages_script_for_slurm_submits_workers_that_do_the_runs(tmp_path: Path) -> None:
    commands, shared = tmp_path / "bin", tmp_path / "shared"
    for folder in (commands, shared):
        folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    notebook = counting_notebook(tmp_path / "counting.md", tmp_path / "log")
    code = edited(
        script(),
        shared=('SHARED = "/shared/me"', f"SHARED = {str(shared)!r}"),
        jobs=("minimum_jobs=32, maximum_jobs=32", "minimum_jobs=1, maximum_jobs=1"),
        scratch=('local_directory="/tmp"', f"local_directory={str(tmp_path / 'scratch')!r}"),
        data=("/shared/data", str(tmp_path)),
    )
    (tmp_path / "sweep.py").write_text(code)
    own = str(Path(sys.executable).parent)
    done = subprocess.run(
        [sys.executable, "sweep.py", str(notebook), "--grid", "seed=0,1", "--out", str(shared / "sweep")],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{commands}:{own}:{os.environ['PATH']}", "PRUNEKIT_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(p.read_text()) for p in (shared / "sweep").glob("[0-9a-f]*/run.json")]
    assert len(records) == 2 and {r["engine"] for r in records} == {"dask"}
    assert {r["worker"].split("-")[0] for r in records} == {"SLURMCluster"}
    job = (commands / "submitted").read_text()
    for line in ("#SBATCH -p normal", "#SBATCH -A mine", "#SBATCH --cpus-per-task=1", "#SBATCH -t 04:00:00"):
        assert line in job.splitlines()
    assert "--lifetime 230m" in job and "--nthreads 1" in job and f"--local-directory {tmp_path / 'scratch'}" in job
    wait_for(lambda: not alive(processes_of(tmp_path)))


def test_the_pages_lifetime_is_below_its_wall_time() -> None:
    hours, minutes, _ = map(int, re.search(r'walltime="(\d+):(\d+):(\d+)"', script()).groups())  # type: ignore[union-attr]
    life, stagger = map(int, re.search(r'"--lifetime", "(\d+)m", "--lifetime-stagger", "(\d+)m"', script()).groups())  # type: ignore[union-attr]
    assert life + stagger < 60 * hours + minutes
