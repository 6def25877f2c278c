"""Small notebooks, and the command line run on them as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
from click.testing import CliRunner

from prunekit.cli import main

HEADER = """\
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A small notebook

```{code-cell} ipython3
:tags: [parameters]

scale = "smoke"
seed = 0
width = 1.5
sizes = [1, 2]
word = "a"
flag = False
```
"""


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a MyST notebook with the standard parameters and these code cells."""
    body = "".join(f"\n```{{code-cell}} ipython3\n{textwrap.dedent(cell).strip()}\n```\n" for cell in cells)
    path.write_text(HEADER + body, encoding="utf-8")
    return path


def counting_notebook(path: Path, log: Path, seconds: float = 0.0) -> Path:
    """Write a notebook that notes in `log` when it starts and when it ends, and reports."""
    return write_notebook(
        path,
        f"""
        import os, time
        from prunekit import report
        with open({str(log)!r}, "a") as stream:
            stream.write(f"start {{seed}}\\n")
        time.sleep({seconds})
        """,
        f"""
        report(double=2 * seed)
        with open({str(log)!r}, "a") as stream:
            stream.write(f"end {{seed}}\\n")
        """,
    )


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of `prunekit` in this Python."""
    return [sys.executable, "-m", "prunekit", *map(str, arguments)]


def prunekit(*arguments: str | Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run `prunekit` and return what it said."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=300, **settings)  # type: ignore[call-overload, no-any-return]


def asked(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Give `prunekit` a command in this process, one that executes no run, and return what it said."""
    words = [str(word) for word in arguments]
    done = CliRunner().invoke(main, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def begin(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start `prunekit` in a process group of its own, as a shell does."""
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def starts(log: Path) -> list[str]:
    """Return the seeds whose runs began, in order."""
    return _noted(log, "start")


def ends(log: Path) -> list[str]:
    """Return the seeds whose runs came to their last cell."""
    return _noted(log, "end")


def _noted(log: Path, word: str) -> list[str]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split()[1] for line in lines if line.startswith(word)]


def wait_for(condition, seconds: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    """Wait until `condition` holds; a test that waits in vain fails."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the living processes whose command line or working directory names `folder`."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or []) + str(process.info["cwd"] or "")
        if str(folder) in words and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def descendants(pid: int) -> list[psutil.Process]:
    """Return the processes below `pid`."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
