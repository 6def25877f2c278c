"""What is in a page's key, and what changed since its last run, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from prunekit.book.runs.execution import Job
from prunekit.book.runs.reach import Reached
from prunekit.book.runs.store import Run

FILES = {
    "data": "data file",
    "files": "file of its front matter",
    "named": "file named in its code",
    "recorded": "recorded file",
}


def contents(job: Job, reached: Reached) -> list[str]:
    """Say what is in a job's key, a line for each part."""
    parts = job.parts
    modules = ", ".join(reached.modules)
    lines = [
        f"code        {len(parts['cells'])} cells",
        f"parameters  {_values(parts['parameters']) or 'none'}",
        f"library     {len(parts['library'])} modules: {modules}",
        *(f"            every module counts, for {reason}" for reason in reached.opaque),
    ]
    for part, what in FILES.items():
        names = ", ".join(f"{name} (absent)" if sum_ == "absent" else name for name, sum_ in parts[part].items())
        lines += [f"{part:10}  {_count(len(parts[part]), what)}: {names}"] if names else []
    python = ".".join(map(str, parts["python"]))
    return [*lines, f"versions    {len(parts['versions'])} pins, Python {python}"]


def last_run(job: Job) -> Run | None:
    """Return the last run of the job's page, one with the same parameters if there is any; None where none is kept.

    Where no run had the same parameters, it is the last of those that differ in the fewest.
    """
    runs = [run for run in job.store.runs() if run.record["notebook"] == job.name]
    wanted = job.parameters
    return max(reversed(runs), key=lambda run: -len(_differing(run.record["parameters"], wanted)), default=None)


def changes(before: Run, job: Job) -> list[str]:
    """Say how a job's key differs from the key of an earlier run; the list is empty where it does not."""
    old, new = before.record.get("inputs"), job.parts
    if old is None:
        return [] if before.key == job.key else ["the run was made before records said what is in a key"]
    lines = [] if old["format"] == new["format"] else ["the meaning of a stored run has changed"]
    lines += _cells(old["cells"], new["cells"])
    lines += [
        f"parameter {name} {_shown(old['parameters'], name)} → {_shown(new['parameters'], name)}"
        for name in _differing(old["parameters"], new["parameters"])
    ]
    for part, what in {"library": "module", **FILES}.items():
        lines += [f"{what} {name} {_fate(old[part], new[part], name)}" for name in _differing(old[part], new[part])]
    lines += [
        f"version of {name} {old['versions'].get(name, 'none')} → {new['versions'].get(name, 'none')}"
        for name in _differing(old["versions"], new["versions"])
    ]
    if old["python"] != new["python"]:
        lines.append(f"Python {'.'.join(map(str, old['python']))} → {'.'.join(map(str, new['python']))}")
    if old.get("directives") != new.get("directives"):
        lines.append("what its tags or its front matter say about its execution")
    return lines


def _cells(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Say which code cells changed, counted from 1."""
    lines = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag in ("replace", "delete") and (tag == "delete" or j - i != m - k):
            lines.append(f"code cell{_numbers(i, j)} of the last run {'is' if j - i == 1 else 'are'} gone")
        if tag in ("replace", "insert"):
            verb = "changed" if tag == "replace" and j - i == m - k else "is new" if m - k == 1 else "are new"
            lines.append(f"code cell{_numbers(k, m)} {verb}")
    return lines


def _numbers(start: int, stop: int) -> str:
    numbers = [str(n + 1) for n in range(start, stop)]
    return f" {numbers[0]}" if len(numbers) == 1 else f"s {', '.join(numbers[:-1])} and {numbers[-1]}"


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the names whose values differ, in order; 1, 1.0 and True count as different."""
    return [n for n in {**old, **new} if n not in old or n not in new or json.dumps(old[n]) != json.dumps(new[n])]


def _fate(old: Mapping[str, str], new: Mapping[str, str], name: str) -> str:
    if name not in old:
        return "is absent" if new[name] == "absent" else "is new"
    return "changed" if name in new else "is no longer in the key"


def _shown(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False) if name in values else "none"


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())


def _count(number: int, what: str) -> str:
    head, _, tail = what.partition(" ")
    if what.startswith("file"):
        return f"{number} {head}{'' if number == 1 else 's'} {tail}"
    return f"{number} {what}{'' if number == 1 else 's'}"
