"""Every path of the project, named once here; no other module spells a path out."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent  # the checkout, when prunekit is installed editable

BOOK = ROOT / "book"
CHAPTERS = ROOT / "chapters"
TOC = ROOT / "_toc.yml"
CONFIG = ROOT / "_config.yml"
PLAN = BOOK / "recordings.yml"  # what to run so that claims with a heavy setting are settled
COSTS = BOOK / "costs.json"  # CPU time and memory of every page, for saying how long a build will take
CALIBRATION = BOOK / "calibration.json"  # how often the library's error bars hold the truth
CALIBRATION_SPECTRA = BOOK / "calibration-spectra.json"  # the same for spectra of whole networks
HOUSE = BOOK / "house.json"  # rooms, imports, lengths and pages, as measured; tests/house writes it
FRAGILE = (
    BOOK / "fragile.json"
)  # verdicts over several seeds and machines; `prunekit claims --seeds … --keep` writes it
REQUIREMENTS = ROOT / "requirements.txt"

RECORDED = PACKAGE / "book" / "recorded"  # results of runs too long for a laptop, kept as small files

BUILD = ROOT / "_build"
RUNS = BUILD / "runs"
UNFINISHED = BUILD / "recording"  # what recordings in progress have computed so far
HTML = BUILD / "html"
RELEASE = BUILD / "release"  # the site as one file, with its checksum


def ledger() -> Path:
    """Return the ledger's file: beside the book in a checkout, inside the package in an installed wheel."""
    inside = PACKAGE / "book" / "claims.yml"
    return inside if inside.exists() else BOOK / "claims.yml"


def looks() -> Path:
    """Return the file of verdicts over several seeds: beside the book, or inside the package in an installed wheel."""
    inside = PACKAGE / "book" / "fragile.json"
    return inside if inside.exists() and not FRAGILE.exists() else FRAGILE


def in_checkout() -> bool:
    """Tell whether prunekit runs from a checkout of the book, where pages can be built."""
    return TOC.exists() and CHAPTERS.is_dir()
