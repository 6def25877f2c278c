"""``make bench``: run every benchmark, print a table, keep the results as JSON beside this file.

With names, such as ``python -m tests.benchmarks bench_curvature``, only these modules are run. Their results take the
place of those of the same names, and say of themselves when and at which commit they were measured.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

RESULTS = Path(__file__).with_name("results.json")


def main(*only: str) -> None:
    """Run what the modules named ``bench_*`` measure, or those named."""
    from prunekit.book.runs.execution import checkout_commit, device
    from prunekit.book.runs.keys import installed_versions

    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name.startswith("bench_"))
    if unknown := sorted(set(only) - set(names)):
        raise SystemExit(f"{unknown[0]} is no benchmark: give some of {', '.join(names)}")
    chosen = [name for name in names if not only or name in only]
    results = [r for name in chosen for r in importlib.import_module(f"tests.benchmarks.{name}").benchmarks()]
    for result in results:
        print("  ".join(f"{key}: {_short(value)}" for key, value in result.items()))
    record = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": checkout_commit()[0],
        "versions": {"python": platform.python_version(), **installed_versions()},
        "device": device(),
        "results": results,
    }
    if only:
        record = merged(json.loads(RESULTS.read_text(encoding="utf-8")), record)
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"kept in {RESULTS}")


def merged(kept: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the kept record with some results replaced, or added, that carry their own date and commit."""
    if any(kept["device"][key] != new["device"][key] for key in ("name", "cores", "threads")):
        raise SystemExit("the kept results are another machine's: run them all")
    own = {"measured": new["measured"], "commit": new["commit"]}
    fresh = {result["name"]: result | own for result in new["results"]}
    results = [fresh.pop(result["name"], result) for result in kept["results"]]
    return kept | {"results": [*results, *fresh.values()]}


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
