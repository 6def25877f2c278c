"""The lemma on scaled layers, drawn from made-up results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from prunekit.book.figures import scaled_layers as figures
from prunekit.book.figures.scaled_layers import Lemma
from tests.book.figures.looks import look


@pytest.fixture
def found() -> Lemma:
    lambdas = [0.5, 1.0, 3.0]
    powers = {("input", "M"): 2, ("input", "H"): 0, ("input", "block"): -2}
    powers |= {("output", kind): -power for (_, kind), power in powers.items()}
    sizes = {key: (np.array(lambdas) ** power).tolist() for key, power in powers.items()}
    return Lemma(lambdas, sizes, powers, {"outputs": 1e-16, "M": 2e-16, "H": 3e-16, "block": 4e-16})


def test_both_layers_are_drawn_on_the_lines_of_the_lemma(found: Lemma) -> None:
    drawing = figures.lemma(found)
    look(drawing, x="lambda", y="over_base")
    assert "at most 4e-16 apart" in drawing.caption
    assert drawing.numbers["label"].count("output layer, Hessian block, norm") == 6  # a line and markers


def test_the_findings_follow_from_the_numbers(found: Lemma) -> None:
    says = figures.findings(found, 1e-12)
    assert "leaves the function as it is" in says[0] and "blocks follow Lemma 4.1 exactly, to 4e-16" in says[0]
    assert "by a factor 36 over this range, while Hessian importance stays the same" in says[1]
    off = dataclasses.replace(
        found, apart=dict(found.apart) | {"outputs": 0.1}, sizes=dict(found.sizes) | {("input", "H"): [1.5, 1, 1]}
    )
    says = figures.findings(off, 1e-12)
    assert "changes the function" in says[0] and "do not follow" in says[0]
    assert "importance changes by up to 5.0e-01 of itself." in says[1]
