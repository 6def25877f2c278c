"""One run: what its kernel is, what may reach it, and how each way of ending is told."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from prunekit._system import owners
from prunekit.book import paths
from prunekit.book.runs import batch, client, execution, failures
from prunekit.book.runs.execution import Job, execute
from prunekit.book.runs.kernel import MARK, kernel
from prunekit.book.runs.launcher import facts
from prunekit.book.runs.notebooks import read
from prunekit.book.runs.store import Run
from prunekit.cli import main
from tests.book.runs.helpers import HEADER, prunekit, wait_for

TAGS = "<"  # a cell "<tag, tag\ncode" of these tests has tags


def page(path: Path, *cells: str, head: str = "") -> Path:
    """Write a notebook of code cells; one that begins with ``<`` has the tags of its first line."""
    body = []
    for cell in cells:
        tags, code = cell[1:].split("\n", 1) if cell.startswith(TAGS) else ("", cell)
        options = f":tags: [{tags}]\n\n" if tags else ""
        body.append(f"\n```{{code-cell}} ipython3\n{options}{textwrap.dedent(code).strip()}\n```\n")
    path.write_text(HEADER.replace("---\n\n#", f"{head}---\n\n#", 1) + "".join(body), encoding="utf-8")
    return path


def job(path: Path, **changes: object) -> Job:
    return replace(batch.job(read(path), {}, path.parent / "out"), **changes)  # type: ignore[arg-type]


def run(folder: Path, *cells: str, head: str = "", **changes: object) -> Run:
    """Execute a notebook of these cells in this process."""
    return execute(job(page(folder / "n.md", *cells, head=head), **changes))


def printed(one: Run) -> str:
    outputs = [o for c in one.notebook().cells for o in c.get("outputs", [])]
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# What reaches a run


@pytest.fixture
def a_home_full_of_habits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home and an environment that change what Python, IPython, Jupyter and Matplotlib do."""
    home = tmp_path / "home"
    start = "import builtins; builtins.touched = True\n"
    for profile in (home / ".ipython", home / "other"):
        (profile / "profile_default" / "startup").mkdir(parents=True)
        (profile / "profile_default" / "startup" / "00.py").write_text(start)
        for name in ("ipython_config.py", "ipython_kernel_config.py"):
            (profile / "profile_default" / name).write_text(f"c.InteractiveShellApp.exec_lines = [{start.strip()!r}]\n")
    (home / "start.py").write_text(start)
    for folder in (home / ".config" / "matplotlib", home / ".matplotlib"):
        folder.mkdir(parents=True)
        (folder / "matplotlibrc").write_text("lines.linewidth: 77\n")
    kernels = home / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(
        json.dumps({"argv": ["/bin/false", "{connection_file}"], "display_name": "x", "language": "python"})
    )
    for name, value in {
        "HOME": home,
        "IPYTHONDIR": home / "other",
        "JUPYTER_PATH": home / "jupyter",
        "JUPYTER_CONFIG_DIR": home / "other",
        "JUPYTER_DEFAULT_PROVISIONER_NAME": "nobody-provisions",
        "PYTHONSTARTUP": home / "start.py",
        "PYTHONOPTIMIZE": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONHASHSEED": "7",
        "MPLBACKEND": "svg",
        "MATPLOTLIBRC": home / ".config" / "matplotlib",
        "OMP_NUM_THREADS": "7",
        "NUMEXPR_NUM_THREADS": "7",
        "PRUNEKIT_DATA": tmp_path,
    }.items():
        monkeypatch.setenv(name, str(value))
    return home


def test_nothing_of_a_home_reaches_a_run(tmp_path: Path, a_home_full_of_habits: Path) -> None:
    one = run(
        tmp_path,
        """
        import builtins, json, os, sys, warnings
        import matplotlib
        seen = {
            "touched": hasattr(builtins, "touched"), "executable": sys.executable, "asserts": __debug__,
            "linewidth": matplotlib.rcParams["lines.linewidth"], "backend": matplotlib.get_backend(),
            "hash": hash("a word") == hash("a word"), "seed": os.environ["PYTHONHASHSEED"],
            "threads": [os.environ[n] for n in ("OMP_NUM_THREADS", "NUMEXPR_NUM_THREADS")],
            "data": os.environ["PRUNEKIT_DATA"], "here": os.listdir(), "path": sys.path,
            "ipython": os.environ["IPYTHONDIR"], "history": get_ipython().history_manager.hist_file,
        }
        warnings.warn("no error")
        print(json.dumps(seen))
        """,
    )
    assert one.finished, one.error
    seen = json.loads(printed(one))
    assert seen["touched"] is False and seen["asserts"] is True
    assert seen["executable"] == sys.executable
    assert seen["linewidth"] == 1.5 and "inline" in seen["backend"]
    assert seen["seed"] == "0" and seen["threads"] == ["1", "1"] and seen["data"] == str(tmp_path)
    assert not any(str(a_home_full_of_habits) in str(value) for value in seen.values())
    assert str(paths.PACKAGE / "book" / "runs") not in seen["path"] and seen["history"] == ":memory:"
    assert not Path(seen["ipython"]).exists()  # it went with the run
    assert not [name for name in seen["here"] if not name.endswith("notebook.ipynb")]


@pytest.mark.parametrize("safe", ["", "1"])
def test_the_folders_of_pythonpath_reach_a_run_and_the_launchers_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: str
) -> None:
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setenv("PYTHONSAFEPATH", safe)  # then no script's folder is put before them
    seen = printed(run(tmp_path, "import sys\nprint(*sys.path, sep='\\n')")).splitlines()
    assert [path for path in seen if path in folders] == folders
    assert str(paths.PACKAGE / "book" / "runs") not in seen


def test_a_system_wide_start_up_file_is_not_run_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython looks below ``/etc`` and the environment's folder too: the launcher is asked for its class."""
    probe = """
        import sys, runpy
        from IPython.core import application, shellapp
        shellapp.ENV_CONFIG_DIRS[:] = application.ENV_CONFIG_DIRS[:] = [sys.argv.pop()]
        runpy.run_path(sys.argv.pop(), run_name="__main__")
        """
    (tmp_path / "startup").mkdir()
    (tmp_path / "startup" / "00.py").write_text("raise SystemExit('start-up file')")
    (tmp_path / "ipython_kernel_config.py").write_text("raise SystemExit('configuration')")
    launcher = paths.PACKAGE / "book" / "runs" / "launcher.py"
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    connection = tmp_path / "c.json"
    script = tmp_path / "probe.py"
    script.write_text(textwrap.dedent(probe))
    started = subprocess.Popen(
        [sys.executable, script, "-f", connection, "--transport=ipc", f"--ip={tmp_path / 's'}", launcher, tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: started.poll() is not None or any(tmp_path.glob("s-*")))
        assert started.poll() is None, started.stdout and started.stdout.read()
    finally:
        started.kill()
        said = started.communicate()[0]
    assert "start-up file" not in said and "configuration" not in said


def test_versions_and_threads_are_the_kernels_and_cost_no_execution_count(tmp_path: Path) -> None:
    pytest.importorskip("threadpoolctl")
    one = run(
        tmp_path,
        """
        import numpy, threadpoolctl
        numpy.__version__ = "0.0.1+changed"
        threadpoolctl.threadpool_info = lambda: [{"num_threads": 3}, {"num_threads": 1}]
        """,
        "x = 1",
    )
    assert one.finished, one.error
    assert one.record["versions"]["numpy"] == "0.0.1+changed" and one.record["versions"]["scipy"]
    assert one.record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert one.record["device"]["threads"] == 3
    assert [c.execution_count for c in one.notebook().cells if c.cell_type == "code"] == [1, 2, 3]


def test_facts_leave_out_what_is_not_installed() -> None:
    said = json.loads(facts("numpy,no-such-distribution"))
    assert list(said["versions"]) == ["python", "numpy"] and said["peak_memory_bytes"] > 10 * 2**20


def test_a_run_needs_no_network(tmp_path: Path) -> None:
    """In a network of its own even the loopback is down."""
    unshare = [shutil.which("unshare") or "unshare", "--net", "--map-root-user", "--user"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no network namespace can be made here")
    path = page(tmp_path / "n.md", "x = 1")
    command = [*unshare, sys.executable, "-m", "prunekit", "run", path, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=paths.ROOT)
    assert done.returncode == 0, done.stderr


def test_where_no_socket_can_be_bound_the_network_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with kernel() as own:
        assert own.manager.transport == "tcp"
    monkeypatch.setattr("tempfile.tempdir", None)
    with kernel() as own:
        assert own.manager.transport == "ipc" and own.folder.exists()
    assert not own.folder.exists()


def test_a_kernel_that_cannot_start_is_told_with_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunekit.book.runs.kernel.sys.executable", "/bin/false")
    one = run(tmp_path, "x = 1")
    assert one.error.startswith("KernelNotStarted: ") and not one.finished
    monkeypatch.setattr("prunekit.book.runs.kernel.sys.executable", str(tmp_path / "gone"))
    assert "gone" in run(tmp_path, "x = 1").error


def kernel_folder(root: Path, host: str, pid: int, age: float = 0.0) -> Path:
    """Make the private folder of a kernel that a process of some host has started."""
    digest = hashlib.sha256(host.encode()).hexdigest()[:8]
    folder = root / f"prunekit-{digest}.{pid}-1.{secrets.token_hex(4)}"
    folder.mkdir()
    os.utime(folder, (time.time() - age,) * 2)
    return folder


def test_litter_of_killed_runs_is_swept_and_living_folders_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes may share a temporary folder, and no lock between them: another's kernel is told by its heartbeat."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fcntl.flock", lambda *_: None)  # local to a node
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead = [kernel_folder(tmp_path, owners.host(), gone.pid), kernel_folder(tmp_path, "another", 1, age=700)]
    left = [kernel_folder(tmp_path, "another", 1), tmp_path / "prunekit-other-things"]
    left[1].mkdir(exist_ok=True)
    with kernel() as living, kernel() as other:
        assert living.folder.exists() and other.folder.exists()
        assert not any(folder.exists() for folder in dead)
    assert {*tmp_path.iterdir()} == {*left}


def test_a_kernels_folder_leaves_room_for_its_sockets_and_shows_that_it_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEKIT_HOST", "a-node-with-a-name-as-long-as-they-come-0123456789")
    monkeypatch.setattr(owners, "BEAT", 0.01)
    with kernel() as own:
        assert len(own.folder.name) + len("/s-5") < 55  # of 100: 45 and more are left for the temporary folder's path
        os.utime(own.folder, (0, 0))
        wait_for(lambda: own.folder.stat().st_mtime > 0)


def test_a_run_ends_what_it_started_and_nothing_else(tmp_path: Path) -> None:
    """Two runs of one process: the first to end leaves the other's kernel and its children alone."""
    spawn = """
        import subprocess, sys
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
        bare = subprocess.Popen(sleep, env={}) if sys.platform == "linux" else children[0]
        with open(PLACE + ".new", "w") as stream:
            stream.write(" ".join(str(c.pid) for c in [*children, bare]))
        import os
        os.rename(PLACE + ".new", PLACE)
        """
    gate = tmp_path / "gate"
    jobs, places = [], []
    for name, wait in (("first", "pass"), ("second", f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)")):
        (tmp_path / name).mkdir()
        places.append(tmp_path / name / "children")
        source = [spawn.replace("PLACE", repr(str(places[-1]))), f"import time\n{wait}"]
        jobs.append(job(page(tmp_path / name / "n.md", *source)))
    with ThreadPoolExecutor(2) as threads:
        second = threads.submit(execute, jobs[1])
        try:
            wait_for(places[1].exists)
            first = threads.submit(execute, jobs[0]).result()
            assert first.finished, first.error
            gone, alive = ([lives(int(p)) for p in place.read_text().split()] for place in places)
        finally:
            gate.touch()
        assert gone == [False] * 3 and alive == [True] * 3
        assert second.result().finished, second.result().error
    assert not any(lives(int(p)) for p in places[1].read_text().split())
    assert MARK not in os.environ


# How a run ends


def test_tags_of_jupyter_book_mean_what_they_mean_there(tmp_path: Path) -> None:
    one = run(
        tmp_path,
        "<raises-exception\n1 / 0",
        "<raises-exception\nprint('raises nothing')",
        "<skip-execution\nraise ValueError('never')",
        "<remove-cell, hide-output, scroll-output, full-width, margin\nprint('after')",
    )
    assert one.finished, one.error
    cells = [c for c in one.notebook().cells if c.cell_type == "code"][1:]
    assert [c.execution_count for c in cells] == [2, 3, None, 4]
    assert cells[0].outputs[0].ename == "ZeroDivisionError" and cells[2].outputs == []
    assert printed(one) == "raises nothing\nafter\n"


@pytest.mark.parametrize("head", ["execution:\n  allow_errors: true\n", "mystnb:\n  execution_allow_errors: true\n"])
def test_a_notebook_may_allow_every_error(tmp_path: Path, head: str) -> None:
    one = run(tmp_path, "1 / 0", "print('after')", head=head)
    assert one.finished and printed(one) == "after\n"


def test_a_notebooks_own_limit_for_a_cell_holds_and_the_command_lines_goes_before_it(tmp_path: Path) -> None:
    head = "execution:\n  timeout: 1\n"
    one = run(tmp_path, "import time\ntime.sleep(600)", head=head)
    assert one.error.startswith("TimedOut: the cell took longer than 1 s (its front matter), in code cell 2")
    assert run(tmp_path, "import time\ntime.sleep(1.5)", head=head, cell_timeout=60.0).finished


@pytest.mark.parametrize(
    ("cells", "changes", "said"),
    [
        (["import sys\nsys.exit(0)", "x = 1"], {}, "SystemExit: sys.exit(0) in code cell 2 (import sys)"),
        (["exit()"], {}, "KernelExited: exit() or quit() in code cell 2 (exit())"),
        (["import os\nos._exit(3)"], {}, "KernelExited: the kernel ended itself with status 3 in code cell 2"),
        (["import os\nos.kill(os.getpid(), 9)"], {}, "KernelDied: the kernel was ended by SIGKILL in code cell 2"),
        (["import ctypes\nctypes.string_at(0)"], {}, "SIGSEGV in code cell 2 (import ctypes) (a fault in compiled"),
        (["input('name? ')"], {}, "InputAsked: code cell 2 (input('name? ')) asks for input"),
        (["raise MemoryError"], {}, "MemoryError: the kernel got no more memory in code cell 2"),
        (["open('beside.txt')"], {}, "a run works in a folder of its own, not beside its notebook: name it in"),
        (["import beside_module"], {}, "beside_module.py is beside the notebook"),
        (["while True:\n    pass"], {"cell_timeout": 0.5}, "TimedOut: the cell took longer than 0.5 s"),
        (["while True:\n    print(1, flush=True)"], {"cell_timeout": 1.0}, "(--cell-timeout), in code cell 2 (while"),
        (["import time\ntime.sleep(600)"], {"timeout": 15.0}, "TimedOut: the run took longer than 15 s (--timeout)"),
    ],
)
def test_each_way_of_ending_has_its_sentence(
    tmp_path: Path, cells: list[str], changes: dict[str, float], said: str
) -> None:
    (tmp_path / "beside.txt").touch()
    (tmp_path / "beside_module.py").touch()
    one = run(tmp_path, "before = print('before')", *cells, **changes)
    assert not one.finished and said in one.error.replace("code cell 3", "code cell 2"), one.error
    assert "\n" not in one.error and (one.folder / "traceback.txt").read_text()
    assert printed(one).startswith("before\n")  # the partial notebook is kept


def test_a_timer_that_rings_a_moment_early_ends_the_run_and_not_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = client.Client._left
    monkeypatch.setattr(client.Client, "_left", lambda self: max(left(self) or 0.0, 1e-6))  # the clock is behind
    for limits, said in (({}, "15 s (--timeout)"), ({"cell_timeout": 1.0}, "1 s (--cell-timeout)")):
        one = run(tmp_path, "import time\ntime.sleep(600)", timeout=15.0, **limits)
        assert said in one.error, one.error


def test_a_fault_in_compiled_code_names_the_python_line(tmp_path: Path) -> None:
    one = run(tmp_path, "import faulthandler\nfaulthandler._sigabrt()")
    assert "SIGABRT" in one.error
    assert "line 2 in <module>" in (one.folder / "traceback.txt").read_text()


def test_long_output_arrives_whole_however_late_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, waited = client.Client._keep, []

    def late(self: client.Client, *arguments: Any) -> Any:
        if not waited:
            waited.append(True)
            time.sleep(5)  # what comes meanwhile has to wait in the kernel
        return keep(self, *arguments)

    monkeypatch.setattr(client.Client, "_keep", late)
    one = run(
        tmp_path,
        "for i in range(5000): print(i, flush=True)",
        """
        from IPython.display import display
        for i in range(1500): display(i)
        """,
        "print('end')",
    )
    assert one.finished, one.error
    lines, displays, end = (c.outputs for c in one.notebook().cells[2:] if c.cell_type == "code")
    assert [o.text for o in lines] == ["".join(f"{i}\n" for i in range(5000))]
    assert [o.data["text/plain"] for o in displays] == [str(i) for i in range(1500)]
    assert end[0].text == "end\n"


@pytest.mark.parametrize(
    "cell", ["for i in range(100): print('x' * 99, flush=True)", "print('x' * 10_000)", "while True: print('x' * 99)"]
)
def test_too_much_output_ends_the_run_and_keeps_the_first_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    monkeypatch.setattr(client, "Limits", partial(client.Limits, output=5000))
    one = run(tmp_path, "print('before')", cell, "print('never')")
    assert one.error.startswith("TooMuchOutput: ") and "code cell 3" in one.error
    assert 2500 < len(printed(one)) <= 5000 and printed(one).startswith("before\nxxx")


def test_output_that_is_replaced_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Limits", partial(client.Limits, output=5000))
    one = run(
        tmp_path,
        """
        from IPython.display import clear_output, display
        for i in range(20):
            clear_output(wait=bool(i % 2))
            display("x" * 900)
        handle = display("a", display_id=True)
        for i in range(20):
            handle.update("x" * 900)
        """,
    )
    assert one.finished, one.error


def test_streams_and_displays_keep_their_order(tmp_path: Path) -> None:
    one = run(
        tmp_path,
        """
        import sys
        from IPython.display import display
        print(1, flush=True); print(2, flush=True)
        display(3)
        print(4, flush=True); print(5, file=sys.stderr, flush=True); print(6, flush=True)
        """,
    )
    outputs = one.notebook().cells[-1].outputs
    shown = [o.text if o.output_type == "stream" else o.data["text/plain"] for o in outputs]
    assert shown == ["1\n2\n", "3", "4\n", "5\n", "6\n"]


def test_the_command_line_sets_the_limits(tmp_path: Path) -> None:
    path = page(tmp_path / "n.md", "import time\ntime.sleep(600)")
    done = prunekit("run", path, "--cell-timeout", "0.5", "--out", tmp_path / "out")
    assert done.returncode == 1 and "TimedOut: the cell took longer than 0.5 s (--cell-timeout)" in done.stderr
    for option in ("--timeout", "--cell-timeout"):
        for odd in ("nan", "inf"):
            said = CliRunner().invoke(main, ["run", str(path), option, odd, "--out", str(tmp_path / "out")])
            assert said.exit_code == 2 and "finite" in said.output, said.output
        assert prunekit("run", path, option, "0", "--out", tmp_path / "out").returncode == 2


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (failures.died("here", -signal.SIGILL, ""), "SIGILL in here (an instruction that this processor lacks)"),
        (failures.died("here", -60, ""), "by signal 60 in here"),
        (failures.died("here", 1, "…\nMemoryError\n"), "MemoryError: the kernel got no more memory in here"),
        (failures.died("here", None, ""), "no longer answered in here"),
        (failures.not_started("a\n\x1b[31mAddress in use\x1b[0m\n", ""), "no kernel answered: Address in use"),
        (failures.raised("here", "E", "", [], Path()), "E; in here"),
        (failures.raised("here", "E", "\n\nsecond\nthird", [], Path()), "E: second; in here"),
        (failures.raised("here", "SystemExit", "", [], Path()), "sys.exit(0) in here"),
        (failures.raised("here", "MemoryError", "8 GiB", [], Path()), "in here: 8 GiB"),
    ],
)
def test_a_sentence(failure: failures.RunFailed, said: str) -> None:
    assert said in failure.error and "\n" not in failure.error and failure.details


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("[Errno 2] No such file or directory: 'data/a.csv'", "give the absolute path"),
        (
            "[Errno 2] No such file or directory: 'beside.csv'",
            "prunekit: {files: [beside.csv]}, or give its absolute path, ",
        ),
        ("beside.csv not found.", "give the absolute path"),
        ("[Errno 2] No such file or directory: '/data/a.csv'", ""),
    ],
)
def test_a_path_that_is_not_found_gets_a_hint_where_it_is_relative(tmp_path: Path, value: str, hint: str) -> None:
    (tmp_path / "beside.csv").touch()
    error = failures.raised("here", "FileNotFoundError", value, [], tmp_path).error
    assert hint in error and (failures.FOLDER in error) == bool(hint)


def test_text_that_is_no_name_of_a_file_gets_no_hint(tmp_path: Path) -> None:
    for name, value in [
        ("FileNotFoundError", f"No such file or directory: '{'a' * 300}'"),
        ("ModuleNotFoundError", f"No module named '{'a' * 300}'"),
    ]:
        assert failures.raised("code cell 1", name, value, [], tmp_path).error.startswith(name)


def test_an_error_of_ours_after_the_start_is_not_told_as_a_kernel_that_did_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("prunekit.book.runs.failures.raised", fail)
    one = run(tmp_path, "raise ValueError('no')")
    assert one.error.startswith("OSError: [Errno 5]"), one.error


def test_a_module_that_is_nowhere_gets_no_hint(tmp_path: Path) -> None:
    error = failures.raised("here", "ModuleNotFoundError", "No module named 'a.b'", [], tmp_path).error
    assert failures.FOLDER not in error
    (tmp_path / "a").mkdir()
    assert (
        failures.FOLDER in failures.raised("here", "ModuleNotFoundError", "No module named 'a.b'", [], tmp_path).error
    )


# The commit


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a small repository that stands for the book's checkout."""
    root = tmp_path / "checkout"
    root.mkdir()
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(["git", "-C", root, *who, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(paths, "in_checkout", lambda: True)
    return root


def test_the_commit_is_recorded_with_edits_and_whatever_git_was_told(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    head, why = execution.checkout_commit()
    assert head is not None and len(head) == 12 and why == ""
    (checkout / "new").touch()
    assert execution.checkout_commit() == (f"{head}+edits", "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_the_commit_of_another_owners_checkout_is_recorded(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    for path in [checkout, *checkout.rglob("*")]:
        os.chown(path, 12345, 12345)
    assert subprocess.run(["git", "-C", checkout, "status"], capture_output=True, check=False).returncode
    head, why = execution.checkout_commit()
    assert head is not None and why == ""


def test_a_commit_that_cannot_be_had_says_why(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = checkout / "unpacked"
    below.mkdir()
    monkeypatch.setattr(paths, "ROOT", below)
    assert execution.checkout_commit() == (None, "not in a checkout")  # the repository is somebody else's
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    head, why = execution.checkout_commit()
    assert head is None and "git says: fatal: not a git repository" in why
    monkeypatch.setenv("PATH", str(tmp_path))
    assert execution.checkout_commit() == (None, "git is not installed")


def test_what_differs_from_the_defaults_is_set_in_a_cell_of_its_own(tmp_path: Path) -> None:
    path = page(tmp_path / "n.md", "print(seed, width)", "<skip-execution\nx = 1")
    given = {"seed": 7, "word": "{braces} 'and' \"quotes\""}
    (tmp_path / "a{b}").mkdir()  # a name that papermill would take for a place to fill in
    one = execute(batch.job(read(path), given, tmp_path / "a{b}"))
    assert one.finished, one.error
    injected = one.notebook().cells[2]
    assert injected.metadata.tags == ["injected-parameters"] and "seed = 7" in injected.source
    assert "width" not in injected.source and printed(one) == "7 1.5\n"
    failing = page(tmp_path / "m.md", "1 / 0")
    assert "in code cell 2 (1 / 0)" in execute(batch.job(read(failing), given, tmp_path / "out")).error


def test_a_run_in_a_thread_of_its_own_works(tmp_path: Path) -> None:
    """An engine may execute runs in threads; nothing of a run needs the main one."""
    found: list[Run] = []
    thread = threading.Thread(target=lambda: found.append(run(tmp_path, "x = 1")))
    thread.start()
    thread.join()
    assert found[0].finished
