"""The three scales."""

import pytest

from prunekit.book.scales import SCALES, known, pick


@pytest.mark.parametrize(("scale", "value"), [("smoke", 1), ("laptop", 2), ("paper", 3)])
def test_pick_takes_the_value_of_the_scale(scale, value):
    assert pick(scale, smoke=1, laptop=2, paper=3) == value
    assert pick(scale, smoke=1, laptop=2, paper=3, given=None) == value
    for given in (0, [], 7):  # whatever is set counts, also what is false
        assert pick(scale, smoke=1, laptop=2, paper=3, given=given) == given


def test_the_scales_are_these_in_order_of_size():
    assert SCALES == ("smoke", "laptop", "paper")
    assert [known(scale) for scale in SCALES] == list(SCALES)


@pytest.mark.parametrize("scale", ["", "Smoke", "laptop ", "huge"])
def test_an_unknown_scale_is_refused_and_the_known_ones_are_named(scale):
    for call in (known, lambda s: pick(s, smoke=1, laptop=2, paper=3)):
        with pytest.raises(ValueError, match="'smoke', 'laptop', 'paper'") as caught:
            call(scale)
        assert repr(scale) in str(caught.value)


def test_every_scale_needs_its_value():
    with pytest.raises(TypeError, match="paper"):
        pick("smoke", smoke=1, laptop=2)
