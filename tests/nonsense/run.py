"""All calls of some rooms and what came of them: ``python -m tests.nonsense.run linear sensing``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.nonsense import examples, judge, networks, plots, walk

EXAMPLES = {**examples.NUMBERS, **networks.NETWORKS, **plots.PLOTS}
EXEMPT = {**examples.EXEMPT, **networks.EXEMPT, **plots.EXEMPT}


def faults(*rooms: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (function, argument, nasty thing, fault) of the whole table, or of the rooms named."""
    for path, function in walk.callables().items():
        if path in EXAMPLES and (not rooms or path.startswith(rooms)):
            for argument, name in judge.nasties(function, EXAMPLES[path]):
                fault = judge.judge(function, EXAMPLES[path], argument, name)
                if fault is not None:
                    yield path, argument, name, fault


def main() -> None:
    """Print every fault, and how many there are of each kind."""
    kinds: Counter[str] = Counter()
    for path, argument, name, fault in faults(*sys.argv[1:]):
        kinds[fault.split(":")[0]] += 1
        print(f"{path}({argument} = {name})  {fault}", flush=True)
    print(f"{sum(kinds.values())} faults in {time.process_time():.0f} s: {dict(kinds)}")


if __name__ == "__main__":
    main()
