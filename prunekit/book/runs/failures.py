"""How a run can end before its last cell, each way told in its own sentence.

A sentence names the error, the cell (its number among the notebook's code cells and its first line) and, where the
reason is not the notebook's own, what to do.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunekit.book.runs.tags import INJECTED

SHUTDOWN = "exit() or quit()"
_SIGNALS = {
    signal.SIGKILL: "out of memory? the system ends a process so, and so does whoever kills it",
    signal.SIGSEGV: "a fault in compiled code",
    signal.SIGBUS: "a fault in compiled code, or a full disk behind a mapped file",
    signal.SIGABRT: "compiled code found its own state broken, or gave up",
    signal.SIGILL: "an instruction that this processor lacks",
    signal.SIGFPE: "an arithmetic fault in compiled code",
    signal.SIGXCPU: "a limit of processor time",
    signal.SIGTERM: "somebody asked it to end",
}
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_QUOTED = re.compile(r"""['"]([^'"]+)['"]""")
_DECLARE = "name it in the front matter, prunekit: {{files: [{}]}}"
FOLDER = "a run works in a folder of its own, not beside its notebook"


class RunFailed(Exception):
    """A run that ended before its last cell.

    Attributes
    ----------
    error
        What happened, in one sentence.
    details
        What a reader of the failure would look at next: a traceback, the kernel's last words.
    """

    def __init__(self, error: str, details: str = "") -> None:
        super().__init__(error)
        self.error = one_line(error, 1000)
        self.details = details or error


def one_line(text: str, most: int = 600) -> str:
    """Return the first line of a text that is not blank, without a terminal's colours, cut where it is too long."""
    lines = [line.strip() for line in _ANSI.sub("", text).splitlines() if line.strip()]
    line = lines[0] if lines else ""
    return line if len(line) <= most else f"{line[:most]}…"


def place(cells: Sequence[Any], index: int) -> str:
    """Return where a run is: ``code cell 3 (for i in range(9): …)``, counted as the notebook's author does."""
    cell = cells[index]
    if INJECTED in cell.metadata.get("tags", []):
        return "the cell that sets the parameters"
    number = sum(c.cell_type == "code" and INJECTED not in c.metadata.get("tags", []) for c in cells[: index + 1])
    return f"code cell {number} ({one_line(cell.source, 60)})"


def died(where: str, status: int | None, last_words: str) -> RunFailed:
    """Tell that the kernel's process ended in a cell, by which signal or with which status."""
    if status is None:
        error = f"KernelLost: the kernel no longer answered in {where}, though its process lives"
    elif status < 0:
        number = -status
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        why = _SIGNALS.get(number)  # type: ignore[call-overload]
        error = f"KernelDied: the kernel was ended by {name} in {where}" + (f" ({why})" if why else "")
    elif "MemoryError" in last_words:
        error = f"MemoryError: the kernel got no more memory in {where}, and ended with status {status}"
    else:
        by = f"os._exit({status})" if status else f"os._exit(0), {SHUTDOWN}"
        error = f"KernelExited: the kernel ended itself with status {status} in {where} ({by}, or compiled code did)"
    return RunFailed(error, f"{error}\n\nThe kernel's last words:\n{last_words or 'none'}\n")


def not_started(last_words: str, reason: str) -> RunFailed:
    """Tell that no kernel answered, with the last line it wrote."""
    said = _ANSI.sub("", last_words).strip().splitlines()
    error = f"KernelNotStarted: no kernel answered: {said[-1].strip() if said else one_line(reason)}"
    return RunFailed(error, f"{error}\n\n{reason}\n\nThe kernel's last words:\n{last_words or 'none'}\n")


def raised(where: str, name: str, value: str, traceback: Sequence[str], beside: Path) -> RunFailed:
    """Tell which error a cell raised, with a hint where its reason is how a notebook is run.

    Parameters
    ----------
    where
        The cell, as `place` returns it.
    name, value, traceback
        The error's class, message and traceback, as the kernel gave them.
    beside
        The notebook's folder.
    """
    if name == "SystemExit":
        code = value or "0"
        error = f"SystemExit: sys.exit({code}) in {where}; a run has finished when its last cell has"
    elif name == "StdinNotImplementedError":
        error = f"InputAsked: {where} asks for input, which nobody can give to a run; make it a parameter"
    elif name == "MemoryError":
        error = f"MemoryError: the kernel got no more memory in {where}" + (f": {one_line(value)}" if value else "")
    else:
        said = one_line(value)
        error = (f"{name}: {said}" if said else name) + f"; in {where}" + _hint(name, value, beside)
    return RunFailed(error, _ANSI.sub("", "\n".join(traceback)) or error)


def _hint(name: str, value: str, beside: Path) -> str:
    """Return what to do about a file or module that is only beside the notebook, or is named without its folder."""
    if name == "ModuleNotFoundError":
        module = next(iter(_QUOTED.findall(value)), "").partition(".")[0]
        found = next((p for p in (beside / f"{module}.py", beside / module) if module and _exists(p)), None)
        if found is None:
            return ""
        declare = f"{_DECLARE.format(found.name)}, or " if found.is_file() else ""
        return f"; {found.name} is beside the notebook, and {FOLDER}: {declare}install it"
    if name != "FileNotFoundError" and "No such file or directory" not in value:
        return ""
    relative = [p for p in _QUOTED.findall(value) if not Path(p).is_absolute()]
    if not relative:
        return "" if "/" in value else f"; {FOLDER}: give the absolute path"
    path = beside / relative[0]
    if not _exists(path):
        return f"; {FOLDER}: give the absolute path"
    return f"; {FOLDER}: {_DECLARE.format(relative[0])}, or give its absolute path, {path.resolve()}"


def _exists(path: Path) -> bool:
    """Tell whether there is such a file or folder; a quoted text may be no path, or too long for one."""
    try:
        return path.exists()
    except OSError:
        return False


def asked_to_exit(where: str) -> RunFailed:
    """Tell that a cell called ``exit()`` or ``quit()``."""
    return RunFailed(f"KernelExited: {SHUTDOWN} in {where}; a run has finished when its last cell has")


def too_long(where: str, limit: float, said_by: str = "--timeout") -> RunFailed:
    """Tell which limit of time was passed, by whom it was set, and where the run was."""
    whose = "run" if said_by == "--timeout" else "cell"
    return RunFailed(f"TimedOut: the {whose} took longer than {limit:g} s ({said_by}), in {where}")


def too_much(where: str, amount: int, limit: int) -> RunFailed:
    """Tell that a run put out more than is kept."""
    return RunFailed(
        f"TooMuchOutput: {amount / 1e6:.0f} MB of output by {where}, and a run keeps {limit / 1e6:.0f} MB; "
        "the first of it is kept: write large results to a file, or print less"
    )
