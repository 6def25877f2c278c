"""The kernel of one run: this interpreter, a private folder, a cleaned environment, and the end of all that it started.

What a user or a machine keeps for other Python sessions does not reach a run: no kernelspec, IPython configuration,
start-up file or history, no ``matplotlibrc``, no ``PYTHON…`` variable that changes what code means, no thread count.
What belongs to the interpreter (its packages, ``PYTHONPATH``) and to the machine (``CUDA_VISIBLE_DEVICES``, the
processor's capabilities, ``PRUNEKIT_DATA``) does reach it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from prunekit._system import owners

SINGLE_THREADED = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    )
}
SAME_EVERYWHERE = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
LEFT_BEHIND = (
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "PYTHONOPTIMIZE",  # would drop a notebook's assertions
    "PYTHONWARNINGS",
    "PYTHONBREAKPOINT",
    "PYTHONDEBUG",
    "PYTHONVERBOSE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONDEVMODE",
    "PYTHONINTMAXSTRDIGITS",
    "MPLBACKEND",
    "NUMBA_NUM_THREADS",
    "COVERAGE_PROCESS_START",
)
MARK = "PRUNEKIT_KERNEL"  # in the environment of the kernel and of whatever it starts: the run's own random word
LONGEST_SOCKET = 100  # characters of a socket's path, below the least limit of the systems (macOS: 104)
_PREFIX = "prunekit-"
_FOLDER = re.compile(rf"{_PREFIX}(?P<mark>{owners.MARK})\.\w{{8}}")


@dataclass
class Kernel:
    """A kernel that is being started, runs or has ended.

    Attributes
    ----------
    manager
        jupyter_client's manager of its process.
    folder
        Its private folder, gone when the run has ended.
    log
        What it wrote other than through IPython, such as the last words of a fault in compiled code.
    mark
        The word in the environment of all that the kernel starts.
    peak
        The largest resident set seen so far, in bytes.
    """

    manager: Any
    folder: Path
    log: IO[bytes]
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    peak: int = 0
    _process: Any = None

    def environment(self) -> dict[str, str]:
        """Return the environment to start it with."""
        kept = {k: v for k, v in os.environ.items() if k not in LEFT_BEHIND and not k.startswith(("JUPYTER_", "JPY_"))}
        private = {"IPYTHONDIR": str(self.folder / "ipython"), MARK: self.mark}
        rc = _matplotlibrc()
        return kept | SINGLE_THREADED | SAME_EVERYWHERE | private | ({"MATPLOTLIBRC": rc} if rc else {})

    def look(self) -> None:
        """Note its process, which the manager forgets when it ends, and its high-water mark where the system tells."""
        provisioner = self.manager.provisioner
        self._process = getattr(provisioner, "process", None) or self._process
        if self._process is not None:
            self.peak = max(self.peak, high_water(self._process.pid))

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs or where it never started."""
        return None if self._process is None else self._process.poll()

    def last_words(self, most: int = 4000) -> str:
        """Return the end of its log."""
        path = self.folder / "log"
        return path.read_bytes()[-most:].decode(errors="replace").strip() if path.exists() else ""


@contextlib.contextmanager
def kernel() -> Iterator[Kernel]:
    """Prepare the kernel of one run and, whatever happens, end everything that it started.

    Raises
    ------
    OSError
        If the temporary folder cannot be written.
    """
    from jupyter_client.manager import AsyncKernelManager

    with _private_folder() as folder, (folder / "log").open("wb") as log:
        ipc = _sockets_work(folder)
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=_own_interpreter(),
            connection_file=str(folder / "connection.json"),
            transport="ipc" if ipc else "tcp",
            **({"ip": str(folder / "s")} if ipc else {}),
        )
        one = Kernel(manager, folder, log)
        try:
            yield one
        finally:
            one.peak = max(one.peak, end_all(one))


def _own_interpreter() -> Any:
    """Return a manager of kernelspecs that knows only one: the interpreter that runs this."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    launcher = Path(__file__).with_name("launcher.py")
    spec = KernelSpec(
        argv=[sys.executable, str(launcher), "-f", "{connection_file}", "--log-level=50"],
        display_name="Python 3",
        language="python",
        metadata={"kernel_provisioner": {"provisioner_name": "local-provisioner"}},  # whatever the environment prefers
    )

    class OwnInterpreter(KernelSpecManager):
        """Looks in no folder and gives the same kernelspec for every name."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return spec

    return OwnInterpreter()


def _matplotlibrc() -> str | None:
    """Return Matplotlib's own defaults, which a file of the user's would otherwise replace."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "mpl-data" / "matplotlibrc"
    return str(path) if path.is_file() else None


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Hand out a folder that is removed in the end, and remove those of runs that were killed."""
    root = Path(tempfile.gettempdir())
    _sweep(root)
    me = owners.me()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{replace(me, host=_digest(me.host)).mark}."))
    try:
        with owners.beating(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove the private folders of this user whose process is gone; several machines may share `root`."""
    here = owners.host()
    for folder in root.glob(f"{_PREFIX}*"):
        named = _FOLDER.fullmatch(folder.name)
        of = owners.owner(named["mark"]) if named else None
        if of is None:
            continue
        of = replace(of, host=here) if of.host == _digest(here) else of
        with contextlib.suppress(OSError):  # another process may be sweeping too
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink() and owners.abandoned(folder, of):
                shutil.rmtree(folder, ignore_errors=True)


def _digest(host: str) -> str:
    """Return a host's name in eight characters: it may have 49, and a socket's path has little room."""
    return hashlib.sha256(host.encode()).hexdigest()[:8]


def _sockets_work(folder: Path) -> bool:
    """Tell whether the kernel can be reached by sockets in its folder, which need no network and no free port."""
    path = folder / "probe"
    if len(str(folder / "s-5")) > LONGEST_SOCKET:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
    except OSError:  # a file system without sockets
        return False
    path.unlink()
    return True


def high_water(pid: int) -> int:
    """Return the largest resident set that a living process has had, in bytes; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def end_all(one: Kernel) -> int:
    """End the kernel and what it started, known by its mark or session, and nothing else.

    Returns
    -------
    int
        The largest resident set among what was still alive, in bytes.
    """
    import psutil

    one.look()
    session = None if one._process is None else one._process.pid
    peak = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and _is_of(process, one.mark, session):
                peak = max(peak, high_water(process.pid))
                process.kill()
    if one._process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the system: nothing more can be done
            one._process.wait(timeout=10)
    return peak


def _is_of(process: Any, mark: str, session: int | None) -> bool:
    """Tell whether a process carries a kernel's mark, or is in its session and has cleared its environment."""
    if session is not None and os.getsid(process.pid) == session:
        return True
    return bool(process.environ().get(MARK) == mark)
