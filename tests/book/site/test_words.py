"""Messages as the site shows them: without the folders of the machine that built it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from prunekit.book import paths
from prunekit.book.runs.store import Run
from prunekit.book.site import cards
from prunekit.book.site.words import without_paths


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f'File "{paths.ROOT}/prunekit/report.py", line 3', 'File "prunekit/report.py", line 3'),
        (f"dubious ownership in repository at '{paths.ROOT}'", "dubious ownership in repository at 'the checkout'"),
        (f"{paths.ROOT}-other/x.csv", f"{paths.ROOT}-other/x.csv"),
        ("/tmp/ipykernel_12/345.py:3: UserWarning", "the cell:3: UserWarning"),
    ],
)
def test_folders_of_this_machine_are_cut_out(text: str, shown: str) -> None:
    assert without_paths(text) == shown


def test_the_box_of_a_failed_page_and_its_facts_name_no_folder_of_this_machine() -> None:
    record = {
        "key": "0" * 16,
        "error": f"FileNotFoundError: x.csv; give its absolute path, {paths.ROOT}/chapters/x.csv",
        "commit": None,
        "no_commit": f"git says: fatal: detected dubious ownership in repository at '{paths.ROOT}'",
        "device": {"kind": "cpu", "name": "a processor", "threads": 1, "cores": 2, "system": "Linux"},
        "data": {},
        "parameters": {},
        "versions": {},
        "started": "2024-01-31T10:00:00+00:00",
        "finished": "2024-01-31T10:00:01+00:00",
        "wall_time_s": 1.0,
        "peak_memory_bytes": 1,
    }
    run = Run(Path("folder"), record)
    notebook = SimpleNamespace(defaults={}, node=SimpleNamespace(cells=[]))
    shown = cards.failure(run) + cards.tail(SimpleNamespace(name="a/b", notebook=notebook), run)  # type: ignore[arg-type]
    assert "chapters/x" in shown and "the checkout" in shown
    assert str(paths.ROOT) not in shown.replace("\\", "")
