"""The plan of recordings: its form, what it covers, and runs of it that are killed and that end inside a budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from prunekit.book import paths, recordings
from prunekit.book.runs import budget
from prunekit.book.runs import plan as planned
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
    "parameters": {"scale": "paper", "width": 0.1},
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


def begin(root: Path, *arguments: str, every: float = 0.3) -> subprocess.Popen[str]:
    """Start `prunekit` on a small book."""
    command = [sys.executable, "-m", "tests.book.runs.small_book", str(root), *arguments]
    environment = os.environ | {"PRUNEKIT_CHECKPOINT_SECONDS": str(every)}
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


def test_killed_and_out_of_time_a_recording_is_what_an_undisturbed_run_gives(moved: Path) -> None:
    """Once killed by SIGKILL, once ended by its budget, and then computed to its end."""
    killed = begin(moved, "record", "run", "digits")
    wait_for(lambda: kept(moved), 60)
    time.sleep(1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    began = time.monotonic()
    stopped = begin(moved, "record", "run", "--budget", "20s")
    stopped.wait(60)
    assert time.monotonic() - began < 20  # this is what a budget is
    said = told(stopped)
    assert stopped.returncode == 0, said
    assert "digits, seed 0: taken up after" in said
    assert "the budget is over" in said, said
    assert kept(moved)
    assert not recordings.has("slow/net", "digits")
    ended = asked("record", "run", "digits")
    assert "recorded in" in ended.stdout, ended.stdout + ended.stderr
    assert not kept(moved)  # nothing is left of what was in progress
    (one,) = recordings.several("slow/net", "digits")
    undisturbed: dict[str, Any] = {"seed": 0, "width": 0.0}
    exec(PAGE, undisturbed)
    assert one.numbers("fig-1")["loss"] == undisturbed["losses"]
    assert "recorded, with all its seeds" in asked("record", "run", "digits").stdout


def test_a_run_out_of_time_is_no_failure(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to stop has come when the kernel starts: the training takes one batch, and keeps its state."""
    monkeypatch.setattr(budget, "SAVING", (0.0, 3600.0, 3600.0))
    (one,) = budget.wanted(planned.plan().find("digits"), PACE, "cpu")
    assert budget.perform(one, time.time() + 600) is None
    assert len(kept(moved)) == 1
    assert one.spent > 0
    assert one.left < one.seconds
    assert not list((moved / "runs").rglob("run.json"))
