"""Risk against bits and against a quantizer's range, from small results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import compressors as figures
from prunekit.book.figures.compressors import Problem
from prunekit.linear.bits import Choice
from prunekit.linear.strategies import Magnitude
from tests.book.figures.looks import look

LABELS = ("quantize", "prune", "prune, then quantize")


def problem(name: str, first: float = 0.5) -> Problem:
    """Return a problem whose best compressor with few bits is pruning and quantizing, which costs `first` bits."""
    starts = {"quantize": 1.0, "prune": 2.0, "prune, then quantize": first}
    fronts = {
        label: [Choice(label, bits * start, 1 + 0.5 / bits, Magnitude(1)) for bits in (1.0, 4.0, 8.0)]
        for label, start in starts.items()
    }
    chosen = [row for front in fronts.values() for row in front]
    risks = np.array([row.risk for row in chosen]) + 0.01 * np.random.default_rng(1).standard_normal((6, 9))
    risks[:, 0] = chosen[0].risk + 0.001
    return Problem(name, f"the {name} problem", 1.0, chosen, fronts, chosen, risks)


def test_risks_are_drawn_against_bits() -> None:
    found = problem("power law")
    drawing = figures.risk_against_bits(found, 4.0)
    look(drawing, x="bits", y="risk_over_dense")
    assert drawing.name == "power-law" and "0.5: prune, then quantize (1.500)" in drawing.caption
    assert "within the 4.0" in drawing.caption and "1 do not vary and are off by 0.001" in drawing.caption
    assert "beyond the 0.1" in figures.risk_against_bits(found, 0.1).caption


def test_the_findings_follow_the_numbers() -> None:
    both = [problem("3a"), problem("3b")]
    said = figures.findings(both)
    assert "with half a bit for each coefficient, “prune, then quantize” on all problems" in said[0]
    assert "with no fewer than 16 (3a), 16 (3b) bits" in said[1] and "follow the law" in said[2]
    # with four bits: eight units of the first column, against one of two
    other = [both[0], problem("3b", first=0.05)]
    assert "with four bits “prune, then quantize” on all problems" in figures.findings(other)[0]
    cheap = dataclasses.replace(both[1], table=[Choice("quantize", 0.5, 0.9, Magnitude(1))])
    assert "“prune, then quantize” on 3a, “quantize” on 3b" in figures.findings([both[0], cheap])[0]
    off = dataclasses.replace(both[1], risks=both[1].risks + 5)
    assert "do not follow the law" in figures.findings([both[0], off])[2]
    poor = {label: [row._replace(risk=3.0) for row in front] for label, front in both[0].fronts.items()}
    never = [dataclasses.replace(each, fronts=poor) for each in both]
    assert "at no number of bits" in figures.findings(never)[1]


def test_clipping_is_drawn() -> None:
    limits = np.geomspace(0.3, 20, 5)
    lines = {name: {1: 1 + 0.1 * np.log(limits) ** 2, 8: 1 - 0.05 * np.exp(-limits)} for name in ("3a", "3b")}
    drawing = figures.clipping(limits, lines, {"3a": 0.037, "3b": -0.1})
    look(drawing, x="limit", y="risk_over_dense")
    assert "with 8 bits" in drawing.caption and "3.7% (3a); 0.0% (3b)" in drawing.caption


def test_the_bound_counts_all_points() -> None:
    both = [problem("3a"), problem("3b")]
    assert figures.bound(both) == pytest.approx(figures.bound([both[0]]) * 1.16, rel=0.05)
