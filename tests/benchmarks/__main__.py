"""``make bench``: run every benchmark, print a table, keep the results as JSON beside this file."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
from datetime import UTC, datetime
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Run what the modules named ``bench_*`` measure."""
    from prunekit.runs.execution import commit, device
    from prunekit.runs.keys import installed_versions

    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name.startswith("bench_"))
    results = [r for name in names for r in importlib.import_module(f"tests.benchmarks.{name}").benchmarks()]
    for result in results:
        print("  ".join(f"{key}: {_short(value)}" for key, value in result.items()))
    record = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": {"python": platform.python_version(), **installed_versions()},
        "device": device(),
        "results": results,
    }
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"kept in {RESULTS}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
