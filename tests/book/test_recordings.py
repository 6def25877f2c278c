"""Recordings: a finished run in, its numbers and its checks out again, and nothing else gets in."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient

import prunekit as library
from prunekit.book import paths, recordings
from prunekit.book.ledger import records
from prunekit.book.runs import record as recorder
from prunekit.book.runs.keys import recorded_checksums
from prunekit.book.runs.notebooks import Refused, read
from prunekit.book.runs.store import Run, Store
from prunekit.book.site.evidence import chapters
from prunekit.book.verdicts import UNDECIDED
from prunekit.cli import main
from tests.book.runs.helpers import prunekit, write_notebook

CELLS = (
    """
    from prunekit import check, report
    from prunekit.book.plotting import show
    wide = {"expected": 0.0, "margin": 2.0, "because": "a line's width", "scale": "paper"}
    check("chang/corollary-1", what="gap", measured=1.0, **wide)
    check("chang/corollary-1", what="lead", measured=5.0, **wide)
    report(images=10, net="small")
    """,
    """
    def draw(palette):
        import matplotlib.pyplot as plt
        return plt.figure()

    show(draw, {"width": [1, 2, 3], "error": [0.1, None, 1 / 3], "net": ["a", "b", "1"], "dead": [True, False, True],
                "nothing": [None, None, None]}, name="fig-1", alt="alt", caption="caption")
    """,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a finished run of a small page."""
    folder = tmp_path_factory.mktemp("runs")
    done = prunekit("run", write_notebook(folder / "page.md", *CELLS), "-p", "scale=paper", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return Store(folder / "out").runs()[0]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of recordings, in a book whose only page is called 'page'."""
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "page.md").touch()
    monkeypatch.setattr(paths, "CHAPTERS", tmp_path / "chapters")
    monkeypatch.setattr(paths, "RECORDED", tmp_path / "recorded")
    return tmp_path / "recorded"


def test_a_recording_returns_what_the_run_found(run: Run, package: Path) -> None:
    recorder.record(run, "full")
    found = library.recording("page", "full")
    assert recordings.available() == [("page", "full")]
    left_out = {"files", "digest", "host", "pid", "engine", "worker"}  # of the run's own folder, and where that was
    assert found.run == {k: v for k, v in run.record.items() if k not in left_out}
    assert left_out <= set(run.record) and found.parameters["scale"] == "paper"
    assert found.figures == ["fig-1"]
    numbers = found.numbers("fig-1")
    assert numbers == {
        "width": [1, 2, 3],
        "error": [0.1, None, 1 / 3],
        "net": ["a", "b", "1"],
        "dead": [True, False, True],
        "nothing": [None, None, None],
    }
    assert [type(v) for v in numbers["width"]] == [int] * 3
    assert found.reports == {"images": 10, "net": "small"}
    assert [(c["what"], c["measured"]) for c in found.checks] == [("gap", 1.0), ("lead", 5.0)]
    assert f"in {run.record['wall_time_s'] / 60:.0f} min on cpu" in found.provenance


def test_no_verdict_is_recorded(run: Run, package: Path) -> None:
    kept = json.loads((recorder.record(run, "full") / recordings.RECORDS).read_text())
    assert len(kept) == 3 and not any("verdict" in record for record in kept)


def seal(folder: Path) -> None:
    """Write the checksums anew, as only a recording does."""
    (folder / recordings.SUMS).write_text(recordings.sums(folder), newline="")


def test_every_changed_byte_of_a_recording_is_refused(run: Run, package: Path) -> None:
    folder = recorder.record(run, "full")
    found = library.recording("page", "full")
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for position in range(len(whole)):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
            with pytest.raises(recordings.DamagedRecordingError, match=r"page/full is damaged"):
                library.recording("page", "full")
        if path.suffix == ".csv":  # damaged after the recording was opened
            with pytest.raises(recordings.DamagedRecordingError, match=r"fig-1\.csv changed"):
                found.numbers("fig-1")
        path.unlink()
        with pytest.raises((recordings.DamagedRecordingError, recordings.MissingRecordingError)):
            library.recording("page", "full")
        path.write_bytes(whole)
    (folder / "more.csv").touch()
    with pytest.raises(recordings.DamagedRecordingError, match=r"more\.csv changed; take .*full from a fresh copy"):
        library.recording("page", "full")
    (folder / "more.csv").unlink()
    assert library.recording("page", "full").numbers("fig-1") == found.numbers("fig-1")


def of_seed(run: Run, seed: int, **others: object) -> Run:
    """Return a run as if it had another seed."""
    return Run(run.folder, run.record | {"parameters": run.record["parameters"] | {"seed": seed, **others}})


def test_seeds_of_a_label_are_kept_side_by_side_and_come_together(run: Run, package: Path) -> None:
    folders = [recorder.record(of_seed(run, seed), "full").name for seed in (1, 0, 2)]
    assert folders == ["full", "full+0", "full+2"]
    assert [each.parameters["seed"] for each in recordings.several("page", "full")] == [0, 1, 2]
    one, both = library.recording("page", "full"), recordings.together("page", "full")
    assert both.numbers("fig-1") == {name: 3 * values for name, values in one.numbers("fig-1").items()}
    assert both.parameters["seed"] == 0
    assert [f"seed {k}: recorded" in both.provenance for k in (0, 1, 2)] == [True] * 3
    assert len(both.parts) == 3
    assert len(recordings.together("page", "full").run["key"].split("+")) == 3


def test_the_same_seed_takes_its_own_place_and_another_setting_that_of_all(run: Run, package: Path) -> None:
    for seed in (0, 1):
        recorder.record(of_seed(run, seed), "full")
    (package / "page" / "full").rename(package / "page" / ".full.old")  # a kill between two renames
    assert recorder.record(of_seed(run, 1, device="cuda"), "full").name == "full+1"
    assert [each.parameters.get("device") for each in recordings.several("page", "full")] == [None, "cuda"]
    assert recorder.record(of_seed(run, 1, width=9.0), "full").name == "full"
    assert [each.parameters["width"] for each in recordings.several("page", "full")] == [9.0]
    assert recordings.available() == [("page", "full")]


def test_seeds_with_other_columns_are_not_put_together(run: Run, package: Path) -> None:
    for seed in (0, 1):
        folder = recorder.record(of_seed(run, seed), "full")
    (folder / "fig-1.csv").write_text("height\n1\n", newline="")
    seal(folder)
    with pytest.raises(ValueError, match="figure 'fig-1' has other columns at other seeds"):
        recordings.together("page", "full").numbers("fig-1")


@pytest.mark.parametrize("look", ["has", "recording", "available", "record"])
def test_a_kill_between_the_renames_loses_no_recording(run: Run, package: Path, look: str) -> None:
    folder = recorder.record(run, "full")
    folder.rename(folder.with_name(".full.old"))
    if look == "available":
        assert recordings.available() == [("page", "full")]
    elif look == "record":
        recorder.record(run, "full")
    else:
        assert getattr(recordings, look)("page", "full")
    assert [p.name for p in folder.parent.iterdir()] == ["full"]
    assert recordings.recording("page", "full").figures == ["fig-1"]


def test_what_is_left_of_an_old_recording_is_none(run: Run, package: Path) -> None:
    """Killed after the renames: the old folder is still beside the new one."""
    folder = recorder.record(run, "full")
    shutil.copytree(folder, folder.with_name(".full.old"))
    assert recordings.available() == [("page", "full")]
    recorder.record(run, "full")
    assert [p.name for p in folder.parent.iterdir()] == ["full"]


def test_recorded_numbers_are_judged_as_recorded(run: Run, package: Path) -> None:
    recorder.record(run, "full")
    cell = (
        "from pathlib import Path\nfrom prunekit import check, recording\nfrom prunekit.book import paths\n"
        f"paths.RECORDED = Path({str(package)!r})\n"
        "found = recording('page', 'full')\n"
        "measured = found.numbers('fig-1')['error'][0]\n"
        "check('chang/corollary-1', what='error', measured=measured, expected=0.0, margin=0.2, because='a line',\n"
        "      error=None, recorded=found)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (shown,) = records(notebook)
    assert (shown["measured"], shown["verdict"], shown["scale"]) == (0.1, UNDECIDED, "paper")
    assert shown["recorded"] == run.key
    assert "recorded run: error" in notebook.cells[0].outputs[0].data["text/html"]


def test_what_is_not_there_is_named(run: Run, package: Path) -> None:
    with pytest.raises(recordings.MissingRecordingError, match="there are: none"):
        library.recording("page", "full")
    recorder.record(run, "full")
    assert recordings.has("page", "full") and not recordings.has("page", "half")
    with pytest.raises(recordings.MissingRecordingError, match=r"'half'.*'page', 'full'"):
        library.recording("page", "half")
    found = library.recording("page", "full")
    with pytest.raises(ValueError, match=r"'fig-2'.*fig-1"):
        found.numbers("fig-2")


def test_a_page_that_looks_for_a_recording_says_what_it_found(
    run: Run, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recordings.find("page", "full") is None
    assert "No run 'full'" in capsys.readouterr().out
    recorder.record(run, "full")
    assert recordings.find("page", "full") == recordings.recording("page", "full")
    assert "full, recorded 20" in capsys.readouterr().out


def test_recording_again_replaces_the_whole(run: Run, package: Path) -> None:
    folder = recorder.record(run, "full")
    (folder / "old.csv").touch()
    recorder.record(run, "full")
    assert sorted(p.name for p in folder.iterdir()) == ["SHA256SUMS", "fig-1.csv", "records.json", "run.json"]
    assert [p.name for p in folder.parent.iterdir()] == ["full"]


@pytest.mark.parametrize("label", ["", "Full", "../page", "a b", "-a", "a/b"])
def test_a_label_is_a_plain_word(run: Run, package: Path, label: str) -> None:
    with pytest.raises(Refused, match="label is"):
        recorder.record(run, label)
    assert not package.exists()


def test_only_finished_runs_of_pages_with_figures_are_recorded(
    run: Run, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = dataclasses.replace(run, record=run.record | {"status": "failed"})
    with pytest.raises(Refused, match="failed"):
        recorder.record(failed, "full")
    with pytest.raises(Refused, match="'other', which is no page"):
        recorder.record(dataclasses.replace(run, record=run.record | {"notebook": "other"}), "full")
    monkeypatch.setattr(recorder, "LARGEST", 100)
    with pytest.raises(Refused, match="MB of numbers"):
        recorder.record(run, "full")
    monkeypatch.setattr(recorder, "_tables", lambda markup: [])
    with pytest.raises(Refused, match="shows no figure"):
        recorder.record(run, "full")
    assert not package.exists()


def test_the_command_records_a_run_and_refuses_other_folders(run: Run, package: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["runs", "record", str(run.folder), "full"])
    assert done.exit_code == 0, done.output
    assert "recorded:" in done.output and recordings.has("page", "full")
    done = CliRunner().invoke(main, ["runs", "record", str(tmp_path), "full"])
    assert done.exit_code == 2 and "no finished run" in done.output


def test_a_recording_is_part_of_its_page_s_key(run: Run, package: Path) -> None:
    page = dataclasses.replace(read(run.folder.parents[1] / "page.md"))
    assert recorded_checksums(page) == {}
    recorder.record(run, "full")
    names = ("SHA256SUMS", "fig-1.csv", "records.json", "run.json")
    assert set(recorded_checksums(page)) == {f"page/full/{name}" for name in names}
    shutil.copytree(package / "page" / "full", package / "page" / ".full.old")  # a kill left it
    assert set(recorded_checksums(page)) == {f"page/full/{name}" for name in names}


# Parameters of what became a page of its own after the run: "Layer death" was a part of "Initialization".
SPLIT = {"hessian-bias/initialization": {"retrained", "fractions"}}


@pytest.mark.parametrize(("page", "label"), recordings.available())
def test_the_recordings_in_the_package_can_be_read(page: str, label: str) -> None:
    found = recordings.recording(page, label)
    assert (paths.CHAPTERS / f"{page}.md").is_file() and found.run["status"] == "finished"
    assert all(found.numbers(name) for name in found.figures)
    defaults = next(n for n in map(read, chapters()) if n.name == page).defaults
    own = set(found.parameters) - SPLIT.get(page, set())
    assert own == set(defaults), "the page's parameters have changed since: record it again"
