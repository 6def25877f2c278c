"""What runs, field by field beside what the paper states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunekit.book.settings import PaperSetting

PAPER = {"data": "MNIST", "images": 60_000, "seeds": 10, "rate": 0.1, "schedule": None}
HERE = {"schedule": "constant"}


def test_what_is_not_given_runs_as_the_paper_says():
    here = PaperSetting(**PAPER).here(**HERE)
    assert here.smaller == {} and not here.is_smaller
    assert here.pairs["images"] == (60_000, 60_000)
    assert str(here) == "schedule constant, not stated by the paper"
    assert str(PaperSetting(images=5).here()) == "the paper's setting"


def test_what_is_smaller_or_another_is_said():
    here = PaperSetting(**PAPER).here(**HERE, images=1_500, data="digits", seeds=12, rate=0.05)
    assert here.smaller == {
        "data": "digits in place of MNIST",
        "images": "1,500 of 60,000 images",
        "rate": "0.05 of 0.1 rate",
    }


@given(st.integers(1, 100), st.integers(1, 100))
def test_smaller_is_less_than_the_paper(here, paper):
    assert PaperSetting(n=paper).here(n=here).is_smaller == (here < paper)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"image": 3}, ValueError, "has no field 'image': it has data, images"),
        ({"images": "all"}, TypeError, "images is 'all': give a number"),
        ({"data": 3}, TypeError, "data is 3: give words"),
        ({"schedule": None}, ValueError, "schedule is not stated by the paper: give the value that runs here"),
        ({"images": float("nan")}, ValueError, "images is nan"),
        ({"images": True}, TypeError, "images is True"),
        ({"data": " "}, ValueError, "data is empty"),
    ],
)
def test_a_wrong_field_is_refused(values, error, message):
    with pytest.raises(error, match=message):
        PaperSetting(**PAPER).here(**(HERE | values))


def test_a_paper_that_states_nothing_is_refused():
    with pytest.raises(ValueError, match="no field of the setting is given"):
        PaperSetting()
