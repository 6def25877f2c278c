"""The kernel's own program: an IPython kernel that reads no configuration and loses no output.

It is started as a script by the interpreter that runs `prunekit`, and imports nothing of the package: the notebook
alone decides what is imported. What a run's record says of its kernel is asked of `facts`, in the kernel.
"""

from __future__ import annotations

import faulthandler
import json
import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ALIAS = "_prunekit_kernel"  # how this module is found in the kernel, where ``__main__`` is the notebook's
_MODULES = {"scikit-learn": "sklearn"}  # distributions that are imported under another name


def facts(names: str) -> str:
    """Return what the kernel says about itself, as JSON.

    Parameters
    ----------
    names
        Distributions whose versions are asked for, comma-separated; one that is not installed is left out.

    Returns
    -------
    str
        ``modules`` (those of prunekit that were loaded), ``versions`` (Python's first), ``executable``, ``threads``
        (the largest pool of the loaded libraries), ``accelerator`` (name, or None) and ``peak_memory_bytes`` (the
        largest resident set of the kernel, and of any child that it waited for).
    """
    versions = {name: _version(name) for name in names.split(",")}
    return json.dumps(
        {
            "modules": sorted(name for name in sys.modules if name.partition(".")[0] == "prunekit"),
            "versions": {"python": platform.python_version(), **{n: v for n, v in versions.items() if v}},
            "executable": sys.executable,
            "threads": _threads(),
            "accelerator": _accelerator(),
            "peak_memory_bytes": _peak_memory(),
        }
    )


def _version(name: str) -> str | None:
    """Return the version of what the notebook imported, else of what it would import."""
    loaded = getattr(sys.modules.get(_MODULES.get(name, name)), "__version__", None)
    if isinstance(loaded, str):
        return str(loaded)
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _threads() -> int:
    torch = sys.modules.get("torch")
    counts = [torch.get_num_threads()] if torch else []
    try:
        import threadpoolctl  # type: ignore[import-untyped]  # scikit-learn brings it
    except ImportError:
        pass
    else:
        counts += [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    said = os.environ.get("OMP_NUM_THREADS", "")
    return max(counts) if counts else int(said) if said.isdigit() else os.cpu_count() or 1


def _accelerator() -> str | None:
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name(0) if torch and torch.cuda.is_available() else None


def _peak_memory() -> int:
    """Return the high-water mark in bytes; Linux's ``ru_maxrss`` of a process counts its parent's before the fork."""
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    status = Path("/proc/self/status")
    if status.exists():
        own = next(int(s.split()[1]) * 1024 for s in status.read_text().splitlines() if s.startswith("VmHWM:"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)


def main() -> None:
    """Run a kernel until it is told to end."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # nobody debugs a batch: saves a third of the start
    import ipykernel.debugger  # noqa: F401  # looks for it now, and never again

    del sys.modules["debugpy"]  # a notebook may import it
    from ipykernel.kernelapp import IPKernelApp

    class Kernel(IPKernelApp):
        """A kernel that is its notebook's: no configuration, start-up or history file of a user or a system."""

        def load_config_file(self, *arguments: Any, **options: Any) -> None:
            """Read no configuration: what is in the command line holds."""

        def _run_startup_files(self) -> None:
            """Run no start-up file, not even the system's."""

        def init_iopub(self, context: Any) -> None:
            """Let output wait for a slow reader; by default, a thousand messages late, it is dropped."""
            context.sndhwm = 0
            super().init_iopub(context)

    Kernel.launch_instance()


if __name__ == "__main__":
    if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:  # not so under PYTHONSAFEPATH
        del sys.path[0]  # this file's folder: its neighbours are no modules of a notebook
    sys.modules[ALIAS] = sys.modules["__main__"]
    faulthandler.enable(
        os.dup(2), all_threads=False
    )  # a fault in compiled code says in which Python line, in the kernel's log
    main()
