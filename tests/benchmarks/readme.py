"""``python -m tests.benchmarks.readme``: write the README's measured numbers from the kept results.

The section between the two markers is made from ``results.json`` (``make bench``) and ``road.json``
(``python -m tests.benchmarks.road``), so that no number there is typed. A test holds the README to it.
"""

from __future__ import annotations

import json
from typing import Any

from prunekit.book import paths
from tests.benchmarks.__main__ import RESULTS
from tests.benchmarks.road import RESULTS as ROAD

BEGIN, END = "<!-- measured: written by python -m tests.benchmarks.readme -->", "<!-- end of measured -->"
README = paths.ROOT / "README.md"


def section() -> str:
    """Return the README's section on what was measured."""
    bench, road = (json.loads(path.read_text(encoding="utf-8")) for path in (RESULTS, ROAD))
    return "\n".join(
        [
            BEGIN,
            "",
            f"On {_machine(road)}, a fresh clone and an empty environment, each step once (wall time, "
            f"`python -m tests.benchmarks.road`, {road['measured'][:10]}, commit {road['commit']}):",
            "",
            "| step | seconds |",
            "|---|---|",
            *[f"| {step} | {value:g} |" for step, value in road["seconds"].items()],
            "",
            f"`make bench`, one run, medians, single-threaded, on {_machine(bench)} ({bench['measured'][:10]}, commit "
            f"{bench['commit']}). A ratio is the obvious way's time over ours; pruned risks are set against drawing "
            "from the law, pruning and averaging to the stated standard error, all draws at once:",
            "",
            "| what | ours | obvious way | ratio or amount | target |",
            "|---|---|---|---|---|",
            *[_row(result) for result in bench["results"]],
            "",
            END,
        ]
    )


def _machine(record: dict[str, Any]) -> str:
    device = record["device"]
    return f"{device['cores']} cores of an {device['name']}, {device['system'].split()[0]}"


def _row(result: dict[str, Any]) -> str:
    ours, unit = _amount(result["ours"], result["unit"]), result["unit"]
    apart = f" ({result['measured'][:10]}, commit {result['commit']})" if "measured" in result else ""
    if result.get("ratio") is None:
        limit = result["target"]
        words = limit if isinstance(limit, str) else f"at most {limit:g} {unit}"
        return f"| {result['name']}{apart} | {ours} | | {ours} | {words} |"
    name = result["name"] + (f", to {result['standard_error']}" if "standard_error" in result else "") + apart
    met = "" if result["ratio"] >= result["target"] else " (missed)"
    slow = _amount(result["baseline"], unit) + (" (extrapolated)" if result.get("extrapolated") else "")
    if "peak_gib" in result:
        ours, slow = f"{ours}, {result['peak_gib']:.2f} GiB", f"{slow}, {result['baseline_peak_gib']:.2f} GiB"
    return f"| {name} | {ours} | {slow} | {_times(result['ratio'])} | {result['target']:g} times{met} |"


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def _amount(value: float, unit: str) -> str:
    return f"{value * 1e3:.2g} ms" if unit == "s" and value < 0.1 else f"{value:.2g} {unit}"


def current() -> str:
    """Return the section as the README has it."""
    text = README.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def main() -> None:
    """Replace the section in place."""
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(current(), section()), encoding="utf-8")


if __name__ == "__main__":
    main()
