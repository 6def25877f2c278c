"""All calls of some rooms and what came of them: ``python -m tests.nonsense.run linear sensing``."""

from __future__ import annotations

import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator

from tests.nonsense import examples, judge, networks, plots, reports, walk

EXAMPLES = {**examples.NUMBERS, **networks.NETWORKS, **plots.PLOTS, **reports.REPORTS}
EXEMPT = {**examples.EXEMPT, **networks.EXEMPT, **plots.EXEMPT, **reports.EXEMPT}


def faults(path: str, each: int = 1) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the calls of a public function, and whose escapes nothing needs.

    Of `each` calls one is made, chosen by a checksum of its words.
    """
    function, example = walk.callables()[path], EXAMPLES[path]
    for argument, name in judge.nasties(function, example):
        if zlib.crc32(f"{path} {argument} {name}".encode()) % each == 0:
            fault = judge.judge(function, example, argument, name)
            if fault is not None:
                yield f"{path}({argument} = {name})", fault
    if each == 1:
        yield from ((path, f"idle: {words}") for words in example.idle())


def main() -> None:
    """Print every fault, how long each function took, and how many faults there are of each kind."""
    kinds: Counter[str] = Counter()
    rooms = tuple(sys.argv[1:])
    for path in EXAMPLES:
        if path.startswith(rooms or ""):
            began = time.process_time()
            for call, fault in faults(path):
                kinds[fault.split(":")[0]] += 1
                print(f"{call}  {fault}", flush=True)
            print(f"# {time.process_time() - began:6.1f} s  {path}", flush=True)
    print(f"{sum(kinds.values())} faults in {time.process_time():.0f} s: {dict(kinds)}")


if __name__ == "__main__":
    main()
