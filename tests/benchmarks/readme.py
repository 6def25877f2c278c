"""``python -m tests.benchmarks.readme``: write measured numbers into the README and the book's page on speed.

The section between the two markers is made from ``results.json`` (``make bench``) and ``road.json``
(``python -m tests.benchmarks.road``), so that no number there is typed. A test holds both files to it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prunekit.book import paths
from tests.benchmarks.__main__ import RESULTS
from tests.benchmarks.road import RESULTS as ROAD

BEGIN, END = "<!-- measured: written by python -m tests.benchmarks.readme -->", "<!-- end of measured -->"
README = paths.ROOT / "README.md"
SPEED = paths.BOOK / "speed.md"
ASKED = {  # a step's name in the README, and in the record
    "installing, by uv": "install from scratch, uv",
    "`make book`, the first time": "make book, cold, on every core",
    "`make book`, nothing changed": "make book, unchanged",
    "`make book`, one sentence edited": "make book, one sentence edited",
    "`make test`": "make test, the whole suite",
}


def short() -> str:
    """Return the README's section: the times that somebody asks for who has not begun."""
    road, _ = _records()
    times = {name: road["seconds"][step] for name, step in ASKED.items()}
    return _between(
        [
            f"On {_machine(road)} ({road['measured'][:10]}, commit {road['commit']}):",
            "",
            "| step | time |",
            "|---|---|",
            *[f"| {name}{_apart(road, ASKED[name])} | {_spoken(value)} |" for name, value in times.items()],
        ]
    )


def whole() -> str:
    """Return the section of the book's page on speed: every step and every benchmark."""
    road, bench = _records()
    return _between(
        [
            "## From a clone to a book",
            "",
            f"On {_machine(road)}, a fresh clone and an empty environment, each step once (wall time, "
            f"{road['measured'][:10]}, commit {road['commit']}):",
            "",
            "| step | seconds |",
            "|---|---|",
            *[f"| {step}{_apart(road, step)} | {value:g} |" for step, value in road["seconds"].items()],
            "",
            "## The library against the obvious way",
            "",
            f"`make bench`, one run, medians, single-threaded, on {_machine(bench)} ({bench['measured'][:10]}, commit "
            f"{bench['commit']}). A ratio is the obvious way's time over ours; pruned risks are set against drawing "
            "from the law, pruning and averaging to the stated standard error, all draws at once:",
            "",
            "| what | ours | obvious way | ratio or amount | target |",
            "|---|---|---|---|---|",
            *[_row(result) for result in bench["results"]],
        ]
    )


def _records() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the records of the road and of the benchmarks."""
    road, bench = (json.loads(path.read_text(encoding="utf-8")) for path in (ROAD, RESULTS))
    return road, bench


def _between(lines: list[str]) -> str:
    return "\n".join([BEGIN, "", *lines, "", END])


def _apart(road: dict[str, Any], step: str) -> str:
    """Say when a step was timed, where that was not with the others."""
    when = road.get("earlier", {}).get(step)
    return f" ({when['measured'][:10]}, commit {when['commit']})" if when else ""


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


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


SECTIONS = {README: short, SPEED: whole}


def current(path: Path) -> str:
    """Return the section as a file has it."""
    text = path.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def main() -> None:
    """Replace the sections in place."""
    for path, section in SECTIONS.items():
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(current(path), section()), encoding="utf-8")


if __name__ == "__main__":
    main()
