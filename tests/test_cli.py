"""The command line, as its user meets it: what runs, what is refused, what is said."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from prunekit import __version__
from prunekit.book.ledger import ledger
from prunekit.book.runs import commands, execution
from prunekit.book.runs.engines import Choice
from prunekit.book.runs.notebooks import Refused, coerce, parse_values, read
from prunekit.book.runs.store import Store
from prunekit.cli import main
from tests.book.runs.helpers import asked, counting_notebook, prunekit, starts, write_notebook


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return counting_notebook(tmp_path / "counting.md", tmp_path / "log")


def refused(*arguments: str | Path) -> str:
    """Run a request that must be refused before anything runs, and return what was said."""
    done = asked(*arguments)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "seeed=1"], ["no parameter 'seeed'", "seed = 0", "width = 1.5"]),
        (["-p", "seed=1.5"], ["seed is 1.5", "int"]),
        (["-p", "seed=True"], ["seed is True", "bool", "int"]),
        (["-p", "seed=one"], ["seed is 'one'", "int"]),
        (["-p", "width=wide"], ["width", "float"]),
        (["-p", "width=1e999"], ["width", "finite"]),
        (["-p", "flag=1"], ["flag", "bool"]),
        (["-p", "sizes=3"], ["sizes", "list"]),
        (["-p", 'sizes=["a"]'], ["sizes[0]", "int"]),
        (["-p", "scale=huge"], ["scale", "smoke, laptop, paper"]),
        (["-p", "seed"], ["name=value"]),
        (["-p", "seed=1", "-p", "seed=2"], ["seed", "twice"]),
        (["--grid", "seed=1,,2"], ["seed", "empty"]),
        (["--grid", "seed=1,1"], ["twice"]),
        (["--grid", "sead=1,2"], ["no parameter 'sead'", "seed = 0"]),
        (["--grid", "seed=1,2", "-p", "seed=3"], ["seed", "choose one"]),
        (["--workers", "0"], ["workers"]),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_runs(
    notebook: Path, tmp_path: Path, arguments: list[str], said: list[str]
) -> None:
    message = refused("run", notebook, "--out", tmp_path / "out", *arguments)
    assert all(word in " ".join(message.split()) for word in said), message
    assert not starts(tmp_path / "log") and not (tmp_path / "out").exists()


def test_a_missing_notebook_is_refused_with_the_nearest_ones(notebook: Path, tmp_path: Path) -> None:
    done = prunekit("run", tmp_path / "countin.md")  # in a process of its own, as those above would be
    assert done.returncode == 2 and "counting.md" in done.stderr


@pytest.mark.parametrize(
    "cell", ["a, b = 1, 2", "a = b = 1", "a = max(1, 2)", "import os", "print(1)", "a.b = 1", "a += 1"]
)
def test_a_parameters_cell_holds_literals_only(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "n.md"
    path.write_text(f"# T\n\n```{{code-cell}} ipython3\n:tags: [parameters]\n\n{cell}\n```\n")
    with pytest.raises(Refused, match="literal"):
        read(path)


def test_values_are_read_as_their_default_is_typed(notebook: Path) -> None:
    book = read(notebook)
    assert coerce(book, {"width": 2})["width"] == 2.0 and isinstance(coerce(book, {"width": 2})["width"], float)
    assert parse_values(book, "width", "1,2.5") == [1.0, 2.5]
    assert parse_values(book, "word", "a,b c") == ["a", "b c"]
    assert parse_values(book, "sizes", "[1,2],[3]") == [[1, 2], [3]]
    assert parse_values(book, "flag", "True,False") == [True, False]


def test_a_grid_gives_every_combination_in_one_tidy_table(notebook: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = prunekit("run", notebook, "--grid", "seed=3,4", "--grid", "width=1,2", "-p", "word=x", "--out", out)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert [(r["seed"], r["width"], r["word"], r["double"]) for r in rows] == [
        ("3", "1.0", "x", "6"), ("3", "2.0", "x", "6"), ("4", "1.0", "x", "8"), ("4", "2.0", "x", "8"),
    ]  # fmt: skip
    assert {r["status"] for r in rows} == {"finished"}


def test_a_dry_run_runs_nothing(notebook: Path, tmp_path: Path) -> None:
    done = asked("run", notebook, "--grid", "seed=1,2", "--out", tmp_path / "out", "--dry-run")
    assert done.returncode == 0 and done.stdout.count("to run") == 2
    assert not starts(tmp_path / "log") and not (tmp_path / "out").exists()


def test_a_run_record_says_what_was_run(notebook: Path, tmp_path: Path) -> None:
    assert prunekit("run", notebook, "-p", "seed=5", "--out", tmp_path / "out").returncode == 0
    (path,) = (tmp_path / "out").glob("*/run.json")
    record = json.loads(path.read_text())
    assert record["parameters"] == {
        "scale": "smoke", "seed": 5, "width": 1.5, "sizes": [1, 2], "word": "a", "flag": False,
    }  # fmt: skip
    assert record["key"] == path.parent.name and record["status"] == "finished"
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["wall_time_s"] > 0 and record["peak_memory_bytes"] > 10 * 2**20
    assert {"commit", "device", "data", "started", "finished"} <= set(record)


def test_peak_memory_is_that_of_the_kernel(tmp_path: Path) -> None:
    size = 300 * 2**20
    path = write_notebook(tmp_path / "large.md", f"import time\nx = bytes({size})\nx = bytearray(x)\ntime.sleep(0.3)")
    assert prunekit("run", path, "--out", tmp_path / "out").returncode == 0
    (record,) = (tmp_path / "out").glob("*/run.json")
    assert size < json.loads(record.read_text())["peak_memory_bytes"] < 4 * size


def test_a_failing_notebook_keeps_its_partial_notebook_and_the_others_go_on(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "f.md", "print('before')", "if seed == 1: raise ZeroDivisionError('on purpose')", "y = 2"
    )
    out = tmp_path / "out"
    done = prunekit("run", path, "--grid", "seed=0,1,2", "--out", out)
    assert done.returncode == 1
    assert "ZeroDivisionError: on purpose" in done.stderr
    (folder,) = (out / "failed").iterdir()
    assert str(folder) in done.stderr
    assert "on purpose" in (folder / "traceback.txt").read_text()
    partial = json.loads((folder / "notebook.ipynb").read_text())
    assert any("before" in "".join(o.get("text", "")) for c in partial["cells"] for o in c.get("outputs", []))
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert [r["status"] for r in rows] == ["finished", "failed", "finished"]


def test_a_notebook_that_exits_early_has_not_finished(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "e.md", "raise SystemExit", "y = 2")
    done = prunekit("run", path, "--out", tmp_path / "out")
    assert done.returncode == 1 and not list((tmp_path / "out").glob("*/run.json"))


def test_runs_are_listed_retried_and_cleaned(tmp_path: Path) -> None:
    gate, out = tmp_path / "gate", tmp_path / "out"
    path = write_notebook(tmp_path / "g.md", f"import os\nassert os.path.exists({str(gate)!r}), 'no gate'")
    assert prunekit("run", path, "--grid", "seed=0,1", "--out", out).returncode == 1
    listed = asked("runs", "list", out).stdout
    assert listed.count("AssertionError: no gate") == 2
    assert prunekit("runs", "retry", out).returncode == 1
    gate.touch()
    assert prunekit("runs", "retry", out).returncode == 0
    assert "failed" not in asked("runs", "list", out).stdout
    assert asked("runs", "list", "--failed", out).stdout == ""
    (out / ".0123456789abcdef.partial").mkdir()
    assert ".0123456789abcdef.partial" in asked("runs", "clean", out).stdout
    assert len(list(out.glob("*/run.json"))) == 2
    asked("runs", "clean", "--all", out)
    assert not list(out.glob("*/run.json"))


def test_what_changes_a_run_changes_its_key_and_prose_does_not(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    path = counting_notebook(tmp_path / "n.md", log)
    prunekit("run", path, "--out", out)
    path.write_text(path.read_text().replace("# A small notebook", "# Another title\n\nMore prose."))
    prunekit("run", path, "--out", out)
    assert len(starts(log)) == 1
    path.write_text(path.read_text().replace("double=2 * seed", "double=3 * seed"))
    prunekit("run", path, "--out", out)
    assert len(starts(log)) == 2
    prunekit("run", path, "-p", "width=1.5", "--out", out)  # the default, said aloud
    assert len(starts(log)) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run"],
        ["runs"],
        ["runs", "list"],
        ["runs", "retry"],
        ["runs", "clean"],
        ["runs", "progress"],
        ["build"],
        ["claims"],
        ["why"],
    ],
)
def test_help_is_helpful(arguments: list[str]) -> None:
    shown = CliRunner().invoke(main, [*arguments, "--help"])
    assert shown.exit_code == 0 and "Usage:" in shown.output and len(shown.output.splitlines()) > 5


def test_version_and_module() -> None:
    assert prunekit("--version").stdout.strip().endswith(__version__)


def test_claims_prints_the_ledger_and_as_json() -> None:
    rows = json.loads(asked("claims", "--json").stdout)
    assert [r["id"] for r in rows] == [*ledger().claims, *ledger().errata]
    assert asked("claims", "--paper", "nobody").returncode == 2
    shown = asked("claims", "--paper", "li").stdout
    assert "li/lemma-3.1" in shown and "chang/" not in shown


@pytest.mark.parametrize("seeds", ["0", "0,0", "a,b", "0,-1", "", "0,1,1", "0.5,1"])
def test_flips_are_sought_over_two_seeds_at_least(seeds: str) -> None:
    done = asked("claims", "--seeds", seeds)
    assert done.returncode == 2 and "give two or more different whole numbers" in done.stderr


def test_flips_need_runs_and_a_name_needs_flips() -> None:
    done = asked("claims", "--seeds", "0,987654")
    assert (
        done.returncode == 2
        and "have no finished run with seed" in done.stderr
        and "--grid seed=0,987654" in done.stderr
    )
    assert "--keep is given without --seeds" in asked("claims", "--keep", "here").stderr
    assert "--partial is given without --seeds" in asked("claims", "--partial").stderr
    some = asked("claims", "--seeds", "987653,987654", "--partial")
    assert some.returncode == 0 and "not run with seed 987654: " in some.stdout
    assert "0 of 0 statements are fragile" in some.stdout


def test_flips_are_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prunekit.book import fragility, paths
    from prunekit.book.site import evidence

    def looked(scale: str, seed: int | None = None) -> SimpleNamespace:
        records = [
            {"claim": "chang/fig-2", "statement": "peak", "verdict": "differs" if seed == 1 else "reproduced"},
            {"claim": "li/fig-3a", "statement": "", "verdict": "undecided"},
        ]
        return SimpleNamespace(pages=[SimpleNamespace(name="p", run=SimpleNamespace(finished=True), records=records)])

    monkeypatch.setattr(evidence, "collect", looked)
    monkeypatch.setattr(paths, "FRAGILE", paths.ROOT / "_build" / f"{tmp_path.name}.json")
    done = CliRunner().invoke(main, ["claims", "--seeds", "0,1,2", "--keep", "here"])
    try:
        assert done.exit_code == 0 and done.output.splitlines()[:2] == [
            "chang/fig-2, peak: reproduced by seed 0 (here) and seed 2 (here), differs by seed 1 (here)",
            "1 of 2 statements are fragile over seeds 0, 1, 2",
        ]
        assert fragility.kept().flipping() == [("chang/fig-2", "peak")]
        alone = CliRunner().invoke(main, ["claims", "--seeds", "0", "--keep", "there"]).output.splitlines()
        assert alone[0] == "0 of 2 statements are fragile over seeds 0"
        assert alone[-1] == "1 of 2 statements are fragile over seeds 0, 1, 2 on here; seed 0 on there"
    finally:
        paths.FRAGILE.unlink(missing_ok=True)


def test_building_where_there_is_no_book_is_refused(tmp_path: Path) -> None:
    """An installed prunekit runs notebooks and knows the ledger, and says that it has no book to build."""
    from prunekit.book import paths

    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", str(paths.ROOT)]
    copy = tmp_path / "source"
    shutil.copytree(paths.PACKAGE, copy / "prunekit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(paths.BOOK, copy / "book", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(paths.ROOT / name, copy)
    subprocess.run([*wheel[:-1], "--wheel-dir", str(tmp_path), str(copy)], check=True, capture_output=True)
    (built,) = tmp_path.glob("prunekit-*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    subprocess.run([*install, "--target", str(site), str(built)], check=True, capture_output=True)
    page = next(iter(paths.CHAPTERS.rglob("*.md")))
    shutil.copy(page, tmp_path)
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    elsewhere = {"env": environment, "cwd": tmp_path}
    assert "no book here" in prunekit("build", **elsewhere).stderr
    done = prunekit("run", page.name, "-p", "scale=smoke", "--out", "out", **elsewhere)
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "out").glob("*/run.json")
    assert json.loads(record.read_text())["commit"] is None


def test_building_over_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "not a built site" in refused("build", "--scale", "smoke", "--out", tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_run_says_which_device_its_notebook_was_given() -> None:
    assert execution.device()["kind"] == "cpu"
    assert execution.device("cuda")["kind"] == "cuda" and execution.device("cuda")["name"] == "no CUDA device"
    assert execution.device("cuda", {"accelerator": "accelerator 0"})["name"] == "accelerator 0"


@pytest.mark.parametrize("command", [["run", "n.md"], ["build", "--scale", "smoke"], ["why", "n.md"]])
def test_a_folder_that_is_a_loop_of_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    counting_notebook(tmp_path / "n.md", tmp_path / "log")
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    for out in ("loop", "loop/inside"):
        done = CliRunner().invoke(main, [*command, "--out", out])
        assert done.exit_code == 2 and f"{out} is a link that leads back to itself" in done.output, done.output


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.ELOOP, errno.ENOENT, errno.ENOSPC, errno.EMFILE])
@pytest.mark.parametrize("command", [["list"], ["verify"], ["clean"], ["retry"]])
def test_whatever_the_system_refuses_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], number: int
) -> None:
    def refuse(self: Store) -> None:
        raise OSError(number, os.strerror(number), "the/file")

    monkeypatch.setattr(Store, "kept", refuse)
    done = CliRunner().invoke(main, ["runs", *command, str(tmp_path)])
    assert done.exit_code == 1 and done.output == f"Error: {os.strerror(number)}: the/file\n"


def test_retrying_chooses_an_engine_and_tells_nothing_failed_from_everything_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write_notebook(tmp_path / "f.md", "1 / 0"), tmp_path / "out"
    assert prunekit("run", path, "--out", out).returncode == 1
    asked: list[tuple[int, object]] = []
    monkeypatch.setattr(commands, "execute", lambda jobs, engine, label: asked.append((len(jobs), engine)) or [])
    there = ["runs", "retry", str(out), "--engine", "dask", "--scheduler", "tcp://h:1"]
    assert CliRunner().invoke(main, there).exit_code == 0
    assert asked == [(1, Choice("dask", None, "tcp://h:1"))]
    path.unlink()
    done = CliRunner().invoke(main, ["runs", "retry", str(out)])
    assert done.exit_code == 1 and "none of 1 failed runs can be executed again" in done.output
    assert "no failed run" not in done.output and "f.md" in done.output
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main, ["runs", "retry", str(tmp_path / "empty")])
    assert done.exit_code == 0 and done.output == "no failed run\n"
