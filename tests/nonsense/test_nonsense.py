"""Nonsense in, no nonsense out: 0 silent, 0 unnamed, 0 endless, for every public function and argument."""

from __future__ import annotations

import zlib

import pytest

from tests.nonsense import judge, walk
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
            assert list(judge.leaves(judge.call(walk.callables()[path], example.make()))) is not None, path


@pytest.mark.parametrize("room", ROOMS)
def test_a_sample_of_nonsense(room):
    assert not list(_faults(room, EACH))


@pytest.mark.fuzz
@pytest.mark.parametrize("room", ROOMS)
def test_all_nonsense(room):
    assert not list(_faults(room, 1))


def _faults(room, each):
    """Yield what is wrong with one call of `each`, chosen by a checksum of its words."""
    for path, function in walk.callables().items():
        example = EXAMPLES.get(path)
        if path.split(".")[0] == room and example is not None and (each == 1 or not example.slow):
            for argument, name in judge.nasties(function, example):
                if zlib.crc32(f"{path} {argument} {name}".encode()) % each == 0:
                    fault = judge.judge(function, example, argument, name)
                    if fault is not None:
                        yield f"{path}({argument} = {name})  {fault}"
