"""Nonsense in, no nonsense out: 0 silent, 0 unnamed, 0 endless, for every public function and argument."""

from __future__ import annotations

import math

import pytest

from tests.nonsense import judge, run, walk
from tests.nonsense.run import EXAMPLES, EXEMPT

EACH = 97  # one call of so many is in the sample
ROOMS = sorted({path.split(".")[0] for path in EXAMPLES})


def test_every_public_function_has_an_example_or_a_reason():
    public = set(walk.callables())
    assert not public - set(EXAMPLES) - set(EXEMPT), "give an example, or a reason why there is none"
    assert not (set(EXAMPLES) | set(EXEMPT)) - public, "these are no longer public"
    assert not set(EXAMPLES) & set(EXEMPT)


@pytest.mark.parametrize("room", ROOMS)
def test_examples_are_right(room):
    for path, example in EXAMPLES.items():
        if path.split(".")[0] == room and not example.slow:
            found = judge.leaves(judge.call(walk.callables()[path], example.make()))
            assert example.infinite or all(math.isfinite(x) for x in found if isinstance(x, float)), path


@pytest.mark.parametrize("room", ROOMS)
def test_a_sample_of_nonsense(room):
    paths = [path for path, example in EXAMPLES.items() if path.split(".")[0] == room and not example.slow]
    assert not [fault for path in paths for fault in run.faults(path, EACH)]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_every_escape_has_its_reason(example):
    """In words: what an example is let off is a fault, but for a reason."""
    reasons = [reason for escapes in (*example.allows.values(), *example.says.values()) for reason in escapes]
    assert all(" " in reason for reason in (*reasons, example.infinite or " ", example.hands_back or " "))
