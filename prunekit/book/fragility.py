"""Verdicts that flip: the same pages looked at over several seeds and machines, kept in ``book/fragile.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunekit._system import files
from prunekit.book import paths, verdicts
from prunekit.book.ledger import ledger

Verdicts = Mapping[tuple[str, str], str]  # by claim and name of the statement


@dataclass(frozen=True)
class Look:
    """What the live checks came to in one run of all pages.

    Attributes
    ----------
    machine
        What the machine is called, such as ``AVX-512``.
    seed
        The seed of all pages.
    verdicts
        The worst verdict of each statement's live checks, by claim and name of the statement.
    """

    machine: str
    seed: int
    verdicts: Verdicts

    @property
    def name(self) -> str:
        """Machine and seed in words."""
        return f"seed {self.seed} ({self.machine})"


@dataclass(frozen=True)
class Marks:
    """Several looks at the same statements."""

    looks: Sequence[Look]

    def _given(self, claim: str, statement: str) -> dict[str, list[str]]:
        """Return the names of the looks by the verdict that each gave."""
        given: dict[str, list[str]] = {}
        for look in self.looks:
            verdict = look.verdicts.get((claim, statement))
            if verdict is not None:
                given.setdefault(verdict, []).append(look.name)
        return given

    def flips(self, claim: str, statement: str) -> bool:
        """Tell whether a statement's verdict is not the same in all looks."""
        return len(self._given(claim, statement)) > 1

    def said(self, claim: str, statement: str) -> str:
        """Say which verdict a statement has in which look; empty where it is the same in all."""
        given = self._given(claim, statement)
        if len(given) < 2:
            return ""
        return ", ".join(f"{verdict} by {' and '.join(looks)}" for verdict, looks in given.items())

    def described(self) -> str:
        """Say which looks there are, and of which only some statements were looked at."""
        machines = dict.fromkeys(look.machine for look in self.looks)
        parts, tested = [], self.tested
        for machine in machines:
            seeds = []
            for look in self.looks:
                if look.machine == machine:
                    some = f" ({len(look.verdicts)} of {tested} statements)" if len(look.verdicts) < tested else ""
                    seeds.append(f"{look.seed}{some}")
            parts.append(f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)} on {machine}")
        return "; ".join(parts)

    def flipping(self) -> list[tuple[str, str]]:
        """Return the claims and statements that flip, in the order of the first look that has them."""
        every = dict.fromkeys(key for look in self.looks for key in look.verdicts)
        return [key for key in every if self.flips(*key)]

    @property
    def tested(self) -> int:
        """How many statements were looked at."""
        return len({key for look in self.looks for key in look.verdicts})


def look(machine: str, seed: int, records: Sequence[Mapping[str, Any]]) -> Look:
    """Return what the live checks among some records came to."""
    live: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if not record.get("recorded"):
            live.setdefault((record["claim"], record["statement"]), []).append(record["verdict"])
    return Look(machine, seed, {key: verdicts.worst(given) for key, given in live.items()})


def kept() -> Marks:
    """Return the looks that are kept with the book; none where nobody has looked."""
    if not paths.looks().is_file():
        return Marks([])
    raw = json.loads(paths.looks().read_text(encoding="utf-8"))
    looks = []
    for entry in raw["looks"]:
        given = {
            (claim, statement): verdict
            for claim, statements in entry["verdicts"].items()
            for statement, verdict in statements.items()
        }
        looks.append(Look(entry["machine"], entry["seed"], given))
    return Marks(looks)


RECORDED = "recorded, see the book"  # a statement that no run at laptop scale decides


def released() -> list[dict[str, Any]]:
    """Return the ledger's rows with the verdicts of the release: those of the first look, at laptop scale.

    Returns
    -------
    list of dict
        Id, paper, place, statement, kind and right of each entry, its verdict, and its statements with theirs.
    """
    looks, rows = kept().looks, []
    given = looks[0].verdicts if looks else {}
    book = ledger()
    for entry in [*book.claims.values(), *book.errata.values()]:
        statements = [
            {"name": name, "words": words, "verdict": given.get((entry.id, name), RECORDED)}
            for name, words in (entry.statements or {"": entry.statement}).items()
        ]
        live = [each["verdict"] for each in statements if each["verdict"] != RECORDED]
        rows.append(
            {
                "id": entry.id,
                "paper": entry.paper,
                "place": entry.place,
                "statement": entry.statement,
                "kind": "erratum" if entry.right else entry.kind,
                "right": entry.right,
                "verdict": verdicts.worst(live) if live else RECORDED,
                "statements": statements,
            }
        )
    return rows


def keep(looks: Sequence[Look]) -> Marks:
    """Keep some looks, in place of those of the same machines, and return all that are kept then."""
    machines = {one.machine for one in looks}
    together = [one for one in kept().looks if one.machine not in machines] + list(looks)
    entries = []
    for one in together:
        given: dict[str, dict[str, str]] = {}
        for (claim, statement), verdict in one.verdicts.items():
            given.setdefault(claim, {})[statement] = verdict
        entries.append({"machine": one.machine, "seed": one.seed, "verdicts": given})
    files.write(paths.FRAGILE, json.dumps({"looks": entries}, indent=1, ensure_ascii=False) + "\n")
    return Marks(together)
