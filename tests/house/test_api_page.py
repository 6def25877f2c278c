"""What the API page names is there: Sphinx says so only when the whole site is built."""

from __future__ import annotations

import importlib
import re

import pytest

from prunekit.book import paths

BLOCK = re.compile(r"^\.\. automodule:: (\S+)\n((?:   :.*\n)*)", re.MULTILINE)
LISTED = [
    (module, name)
    for module, options in BLOCK.findall((paths.ROOT / "book" / "api.md").read_text(encoding="utf-8"))
    for line in re.findall(r":members: (.+)", options)
    for name in line.split(", ")
]


def test_names_were_read():
    assert len(LISTED) > 100 and ("prunekit.book.plotting", "show") in LISTED


@pytest.mark.parametrize("module", sorted({module for module, _ in LISTED}))
def test_what_is_listed_is_there(module):
    found = importlib.import_module(module)
    assert [name for of, name in LISTED if of == module and not hasattr(found, name)] == []
