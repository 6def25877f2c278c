"""What somebody has who installs the wheel and has no checkout, without torch and with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import jupytext
import pytest

from prunekit.book import fragility, paths
from prunekit.book.ledger import ledger

WITHOUT = """
import sys
from prunekit import LinearGaussian, Magnitude
from prunekit.limit import Landscape, METHODS, predict
from prunekit.limit.landscape import Landscape as same
import numpy as np
law = LinearGaussian(covariance=np.ones(20), beta=np.full(20, 0.3), sigma=0.5).characterize(n=10)
assert law.risk(Magnitude(4)) > law.risk() > 0 and same is Landscape
landscape = Landscape.of_matrix([2.0, 1.0, 0.1, 0.1], np.eye(4))
kept = [predict(landscape, 0.05, method=m).kept for m in METHODS if m != "program"]
assert "torch" not in sys.modules and min(kept) >= 0, kept
print(kept[METHODS.index("one-shot") - 1])
"""
ASKING = {
    "networks": "import prunekit.nets",
    "curvature": "from prunekit.curvature import Curvature",
    "a mask": "import prunekit; prunekit.Mask",
    "scores": "import prunekit; prunekit.scores",
    "a limit of a network": "from prunekit import limit; limit.pruning_limit",
    "the program's limit": "import numpy as np\nfrom prunekit import limit\n"
    "limit.predict(limit.Landscape.of_matrix([2.0, 1.0], np.eye(2)), 0.1, method='program')",
    "a landscape by products": "import numpy as np\nfrom prunekit import limit\n"
    "limit.Landscape.of_operator([2.0, 1.0], np.eye(2))",
    "a report on tails": "from prunekit.stable.layers import tail_report; tail_report(object(), seed=0)",
    "a tolerance": "from prunekit import limit; limit.minibatch_tolerance(None, None, None)",
}


def uv(*arguments: object) -> None:
    """Run uv, which installs in seconds what it has installed before."""
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("uv is not here")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode and re.search("dns|connect|network|fetch|timed out", done.stderr, re.IGNORECASE):
        pytest.skip(f"nothing can be installed here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("prunekit", "book"):
        shutil.copytree(paths.ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(paths.ROOT / name, folder / "source")
    python = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*python, "--wheel-dir", str(folder), str(folder / "source")], check=True, capture_output=True)
    (built,) = folder.glob("prunekit-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel as the pins say into an empty environment without torch, and return its folder of programs."""
    folder = tmp_path_factory.mktemp("installed")
    pins = re.findall(r"^[\w.-]+==[^\s;\\]+", paths.REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    (folder / "pins.txt").write_text("\n".join(pins))
    uv("venv", "--python", sys.executable, folder / "env")
    uv("pip", "install", "--python", folder / "env" / "bin" / "python", "-c", folder / "pins.txt", wheel)
    return folder / "env" / "bin"


def run(installed: Path, program: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of an environment in a folder, with nothing of this one."""
    environment = {"PATH": f"{installed}:/usr/bin:/bin", "HOME": str(cwd), "OMP_NUM_THREADS": "1"}
    command = [str(installed / program), *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_wheel_has_its_data_and_a_readme_that_an_index_can_show(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("METADATA"))
    for name in ("prunekit/py.typed", "prunekit/book/claims.yml", "prunekit/book/fragile.json"):
        assert name in names
    body = metadata.split("\n\n", 1)[1]
    assert "# The theory of neural-network pruning" in body and "Content-Type: text/markdown" in metadata
    shown = re.findall(r'(?:\]\(|srcset="|src=")([^)"]+)', body)
    assert [target for target in shown if not target.startswith(("https://", "#"))] == []


def test_the_theory_needs_no_torch(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "python", "-c", WITHOUT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2", "the quadratic model of two weights of 0.1 costs 0.01"


def test_what_needs_torch_says_which_extra_installs_it(installed: Path, tmp_path: Path) -> None:
    trying = "    try: exec(code)\n    except ImportError as e: print(name, e, sep=': ')"
    every = f"for name, code in {ASKING!r}.items():\n{trying}"
    done = run(installed, "python", "-c", every, cwd=tmp_path)
    words = "needs torch, which is not installed: pip install 'prunekit[nets]'"
    assert [line.partition(":")[0] for line in done.stdout.splitlines() if line.endswith(words)] == list(ASKING)
    assert done.returncode == 0, done.stderr


def test_the_ledger_has_the_verdicts_of_the_release(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "prunekit", "claims", "--json", cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert [row["id"] for row in rows] == [*ledger().claims, *ledger().errata]
    first = fragility.kept().looks[0].verdicts
    given = {(row["id"], s["name"]): s["verdict"] for row in rows for s in row["statements"]}
    assert {key: given[key] for key in first} == dict(first)
    assert [key for key, verdict in given.items() if key not in first and verdict != fragility.RECORDED] == []
    shown = run(installed, "prunekit", "claims", "--paper", "li", cwd=tmp_path).stdout
    assert "as it was released" in shown and "li/lemma-3.1" in shown and "chang/" not in shown
    refused = run(installed, "prunekit", "claims", "--scale", "smoke", cwd=tmp_path)
    assert refused.returncode == 2 and "only the verdicts of the release" in refused.stderr


def test_a_downloaded_notebook_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    page = paths.CHAPTERS / "overparameterization" / "linear-gaussian.md"
    jupytext.write(jupytext.read(page), tmp_path / "linear-gaussian.ipynb")
    wrong = run(installed, "prunekit", "run", "linear-gausian.ipynb", cwd=tmp_path)
    assert wrong.returncode == 2 and "linear-gaussian.ipynb" in wrong.stderr
    done = run(installed, "prunekit", "run", "linear-gaussian.ipynb", "-p", "scale=smoke", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "out").glob("*/run.json")
    assert json.loads(record.read_text())["status"] == "finished"


def test_a_notebook_about_networks_runs_where_torch_is(installed: Path, tmp_path: Path) -> None:
    cells = ["from prunekit import Mask, report, scores", "import torch"]
    last = "report(kept=Mask.from_scores(scores.magnitude(torch.nn.Linear(4, 2)), 0.5).kept)"
    jupytext.write(jupytext.reads("\n\n".join([*cells, last]), fmt="py:percent"), tmp_path / "n.ipynb")
    (own,) = (installed.parent / "lib").glob("python*/site-packages")
    link = own / "torch_of_the_tests.pth"  # the packages of this environment, behind those of that one
    link.write_text(sysconfig.get_path("purelib"))
    try:
        done = run(installed, "prunekit", "run", "n.ipynb", "--out", "out", cwd=tmp_path)
    finally:
        link.unlink()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "results.csv").read_text().splitlines()[1].startswith("4")
