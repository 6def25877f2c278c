"""The plan of recordings: its form, what it covers, and runs of it that are killed and that end inside a budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from prunekit.book import paths, recordings
from prunekit.book.ledger import ledger
from prunekit.book.runs import budget, pace
from prunekit.book.runs import plan as planned
from prunekit.nets import models
from tests.book.runs.helpers import asked, wait_for, write_notebook
from tests.book.runs.small_book import PACE, move_to

PAGE = """
import time
import torch
from torch import nn
from prunekit import report
from prunekit.book.plotting import show
from prunekit.curvature import Curvature, spectrum
from prunekit.nets import Config, fit, fit_many, load, models

class Slow(nn.Flatten):
    def forward(self, x):
        time.sleep(width if self.training else 0)
        return super().forward(x)

def net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(Slow(), nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 10))

digits = load("digits", seed=seed)
how = Config(epochs=6, batch_size=64, lr=0.05, momentum=0.9, seed=seed)
losses = list(fit(net(seed), digits, how).history["train_loss"])
pair = [models.two_layer(64, 6, 10, seed=k) for k in (seed, seed + 1)]
losses += [h for each in fit_many(pair, digits, how) for h in each.history["train_loss"]]
part = digits.normalize(digits.train_x[:50]), digits.train_y[:50]
losses += list(spectrum(Curvature(pair[0], nn.functional.cross_entropy, part), steps=4, probes=2).pooled.nodes)

def draw(palette):
    import matplotlib.pyplot as plt
    return plt.figure()

show(draw, {"loss": losses}, name="fig-1", alt="alt", caption="caption")
report(loss=losses[-1])
"""
ENTRY = {
    "label": "digits",
    "page": "slow/net",
    "parameters": {"scale": "paper", "width": 0.03},
    "seeds": [0],
    "statements": {"chang/fig-1": ["same-width", "comparable"]},
    "needs": [],
    "devices": ["cpu"],
    "work": {"kind": "dense", "multiplications": 1e6, "training": {"images": 100, "epochs": 10}},
}


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Return a book of one page, which trains, and of one entry."""
    (tmp_path / "chapters" / "slow").mkdir(parents=True)
    (tmp_path / "_toc.yml").touch()
    write_notebook(tmp_path / "chapters" / "slow" / "net.md", PAGE)
    rewrite(tmp_path)
    return tmp_path


def rewrite(root: Path, **changes: Any) -> None:
    """Write the plan with one changed entry."""
    content = {"recordings": [ENTRY | changes], "open": {"chang/section-4": "no page does it"}}
    (root / "recordings.yml").write_text(yaml.safe_dump(content))


def begin(root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start `prunekit` on a small book."""
    command = [sys.executable, "-m", "tests.book.runs.small_book", str(root), *arguments]
    environment = {**os.environ, "PRUNEKIT_CHECKPOINT_SECONDS": "0.3", **environment}
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def told(process: subprocess.Popen[str]) -> str:
    """Wait for an end, and return all that was said."""
    return "".join(process.communicate(timeout=300))


def kept(root: Path) -> list[Path]:
    return [path for path in root.glob("recording/*/*") if path.suffix != ".json" and not path.name.startswith(".")]


@pytest.fixture
def moved(book: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this process work with the small book too."""
    for name in ("TOC", "CHAPTERS", "RECORDED", "PLAN", "RUNS", "UNFINISHED"):
        monkeypatch.setattr(paths, name, getattr(paths, name))  # put back at the end
    move_to(book)
    return book


def test_a_recording_that_was_killed_is_what_an_undisturbed_run_gives(moved: Path) -> None:
    killed = begin(moved, "record", "run", "digits")
    wait_for(lambda: kept(moved), 120)
    time.sleep(1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert kept(moved)
    assert not recordings.has("slow/net", "digits")
    ended = asked("record", "run", "digits")
    assert "digits, seed 0: taken up after" in ended.stdout, ended.stdout + ended.stderr
    assert "recorded in" in ended.stdout
    assert not kept(moved)  # nothing is left of what was in progress
    (one,) = recordings.several("slow/net", "digits")
    undisturbed: dict[str, Any] = {"seed": 0, "width": 0.0}
    exec(PAGE, undisturbed)
    assert one.numbers("fig-1")["loss"] == undisturbed["losses"]
    assert one.run["device"]["kind"] == "cpu"
    assert "recorded, with all its seeds" in asked("record", "run", "digits").stdout


def test_what_does_not_stop_by_itself_is_ended_with_its_budget(book: Path) -> None:
    """An hour before the end of a budget of an hour, which has come when the kernel starts."""
    ended = begin(book, "record", "run", "--budget", "1h", ENDING="3600")
    said = told(ended)
    assert ended.returncode == 0, said
    assert "will be run:\n  digits, seed 0: " in said
    assert "digits, seed 0: the budget is over after" in said
    assert not list(book.glob("runs/**/run.json"))


def test_a_run_out_of_time_is_no_failure(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to stop has come when the kernel starts: the training takes one batch, and keeps its state."""
    monkeypatch.setattr(budget, "SAVING", (0.0, 3600.0, 3600.0))
    (one,) = budget.wanted(planned.plan().find("digits"), PACE, "cpu")
    assert budget.perform(one, time.time() + 600) is None
    assert len(kept(moved)) == 1
    assert one.spent > 0
    assert one.left < one.seconds
    assert not list((moved / "runs").rglob("run.json"))


def test_the_best_that_fits_comes_first_then_what_was_begun(moved: Path) -> None:
    entry = planned.plan().find("digits")
    (one,) = budget.wanted(entry, PACE, "cpu")
    many, few = (replace(entry, label=label, statements={"a": list(label)}) for label in ("many", "x"))
    large = budget.Wanted(many, 0, replace(one.job, key="large"), 1000.0)
    small = budget.Wanted(few, 0, replace(one.job, key="small"), 500.0)
    quick = budget.Wanted(few, 1, replace(one.job, key="quick"), 600.0)
    assert budget.choose([small, large], 2000) is large  # 4 statements in twice the time
    assert budget.choose([small, large], 700) is small
    assert budget.choose([small, large], 100) is large
    quick.folder.mkdir(parents=True)
    (quick.folder / "spent.json").write_text('{"seconds": 100.0}')
    assert quick.left == 500
    assert budget.choose([small, large, quick], 100) is quick
    assert [(each.job.key, ends) for each, ends in budget.forecast([small, large], 1600)] == [
        ("large", True),
        ("small", True),
    ]


def test_the_plan_is_printed_with_its_times_here(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "measured", lambda device: PACE)
    said = asked("record", "plan").stdout
    assert "digits  (slow/net): 1.2e+03 statements an hour" in said  # 2 in 6e9 operations at 1e9 a second
    assert "6.0e+09 operations a seed: 6 s here" in said
    assert "recorded so far: nothing" in said
    assert "chang/section-4: no page does it" in said


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({}, ("run", "nothing"), "the plan has no label 'nothing': it has digits"),
        ({}, ("run",), "say what to run"),
        ({}, ("run", "--budget", "soon"), "'soon' is no time"),
        ({}, ("run", "digits", "--device", "cuda"), "CUDA"),
        ({"devices": ["cuda"]}, ("run", "digits"), "digits cannot be run on cpu: it is for cuda"),
        ({"needs": ["nowhere"]}, ("run", "digits"), "name the folder of the data by PRUNEKIT_DATA"),
        ({"page": "slow/gone"}, ("run", "digits"), "gone.md"),
        ({"parameters": {"depth": 3}}, ("run", "digits"), "depth"),
        ({"seeds": "all"}, ("run", "digits"), "entry 1 (digits): seeds is 'all': give a list"),
        ({"devices": ["tpu"]}, ("plan",), "devices is ['tpu']: give some of cpu, cuda"),
        ({"work": {"kind": "dense", "multiplications": 1.0, "training": -1}}, ("plan",), "training holds -1"),
        ({"label": "A b"}, ("plan",), "label is 'A b': give small letters"),
        ({"priority": 3}, ("plan",), "has an unknown field 'priority'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    moved: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.delenv("PRUNEKIT_DATA", raising=False)
    rewrite(moved, **changes)
    done = asked("record", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4  # usage, and a sentence


def test_a_plan_that_is_no_yaml_or_missing_is_refused(moved: Path) -> None:
    (moved / "recordings.yml").write_text("recordings: [")
    assert "recordings.yml is no YAML" in asked("record", "plan").stderr
    (moved / "recordings.yml").unlink()
    assert "no plan here" in asked("record", "plan").stderr


def test_the_plan_of_the_book_covers_every_heavy_statement_and_fits_its_pages() -> None:
    plan = planned.plan()
    heavy = {c.id: set(c.statements) for c in ledger().claims.values() if c.kind == "heavy"}
    covered: dict[str, set[str]] = {claim: set() for claim in plan.open}
    for entry in plan.entries:
        notebook = entry.notebook()
        given = entry.given(notebook, 0, "cpu")
        assert set(entry.devices) <= ({"cpu", "cuda"} if "device" in given else {"cpu"}), entry.label
        for named in ("seeds", "images", "epochs"):
            assert given.get(named, 0) is not None, (entry.label, named)  # the recording names it
        for claim, names in entry.statements.items():
            assert set(names) <= heavy[claim], (entry.label, claim)
            covered[claim] = covered.get(claim, set()) | set(names)
    assert covered.keys() == heavy.keys()
    assert {c: names for c, names in heavy.items() if not names <= covered[c] and c not in plan.open} == {}


def test_work_of_the_plan_is_that_of_its_networks() -> None:
    shape, images = (3, 32, 32), 50_000
    counts = {"fc5-cifar10": models.fc5(3072, 10, seed=0), "fc12-cifar10": models.fc12(3072, 10, seed=0)}
    for label, net in counts.items():
        work = planned.plan().find(label).work
        assert work.multiplications == pytest.approx(pace.multiplications(net, shape), rel=1e-3)
        assert work.trained == pytest.approx(6 * work.multiplications * images * 200)
    convolution = models.cnn((1, 8, 8), [4, "M", 6], 10, seed=0)
    assert pace.multiplications(convolution, (1, 8, 8)) == 9 * 4 * 64 + 9 * 4 * 6 * 16 + 6 * 16 * 10


def test_the_pace_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LEAST", 0.01)
    here = pace.probed("cpu")
    assert min(here.dense, here.convolutions, here.curvature, here.matrices) > 1e7
    work = planned.Work("dense", 1e6, 1e3, 1e3)
    assert here.seconds(work) == pytest.approx(6e9 / here.dense + 12e9 / here.curvature)
