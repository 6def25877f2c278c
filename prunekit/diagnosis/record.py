"""How the papers' statements fared in the book: counted from the verdicts that are kept with it."""

from __future__ import annotations

from collections import Counter
from functools import cache

from prunekit.book import fragility


@cache
def counts(paper: str) -> dict[str, int]:
    """Return how many statements of a paper came out how, at the first look that is kept; empty if none is."""
    looks = fragility.kept().looks
    if not looks:
        return {}
    given = (verdict for (claim, _), verdict in looks[0].verdicts.items() if claim.startswith(f"{paper}/"))
    return dict(Counter(verdict.split(",")[0].split(" ")[0] for verdict in given))
