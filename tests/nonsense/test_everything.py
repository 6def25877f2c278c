"""The whole table of nonsense, a test for each public function, so that they run side by side: ``pytest -m fuzz``."""

from __future__ import annotations

import pytest

from tests.nonsense import run


@pytest.mark.fuzz
@pytest.mark.parametrize("path", run.EXAMPLES)
def test_all_nonsense(path):
    assert not list(run.faults(path))
