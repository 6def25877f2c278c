"""A right call of every public function of reports on networks, or why there is none."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from prunekit.diagnosis import diagnose
from prunekit.diagnosis.comparison import Comparison, compare
from prunekit.diagnosis.report import Report
from tests.nonsense.examples import RECORD
from tests.nonsense.judge import Example
from tests.nonsense.networks import model, pair

WRITES = "writes a table; its argument is judged as `to_frame` judges it, and paths by Mask.save"
WEIGHTS = np.random.default_rng(0).standard_normal((20, 10))
PATH = {"a path may be a text": ("text",)}


@functools.cache
def report() -> Report:
    return diagnose(model(), pair(), budget=None, epsilon=0.1, parts=["weights", "saliencies", "measured"])


@functools.cache
def comparison() -> Comparison:
    return compare(report(), report())


@functools.cache
def folder() -> Path:
    made = tempfile.TemporaryDirectory()
    atexit.register(made.cleanup)
    return Path(made.name)


def weights() -> Path:
    path = folder() / "weights.safetensors"
    if not path.exists():
        save_file({"a": WEIGHTS.astype(np.float32)}, path)
    return path


def call() -> dict[str, Any]:
    return {"model": model(), "data": pair(), "budget": None, "epsilon": 0.1, "parts": ["weights"], "progress": False}


REPORTS = {
    "diagnosis.run.diagnose": Example(
        call,
        allows={"resume": PATH, "budget": {"as long as it takes": ("None",)}},
        says={
            "data": {"what the network is given": ("forward",)},
            "loss": {"what it raises is its own": ("argument",)},
            "parts": {"all are done then, with probes": ("probes",)},
        },
    ),
    "diagnosis.comparison.compare": Example(lambda: {"before": report(), "after": report()}),
    "diagnosis.files.weights_report": Example(lambda: {"path": weights()}),
    "diagnosis.report.Report.masks": Example(lambda: {"self": report(), "keep": 0.5}),
    "diagnosis.tails.is_stable": Example(lambda: {"values": WEIGHTS, "seed": 0}),
    "diagnosis.tails.tails": Example(lambda: {"weight": WEIGHTS, "seed": 0}),
}

EXEMPT = {
    "diagnosis.advice.Advice": RECORD,
    "diagnosis.balance.Balance": RECORD,
    "diagnosis.comparison.Comparison": RECORD,
    "diagnosis.comparison.Comparison.to_frame": "needs pandas, which is not installed here",
    "diagnosis.files.WeightsReport": RECORD,
    "diagnosis.plan.CostPlan": RECORD,
    "diagnosis.plan.Planned": RECORD,
    "diagnosis.report.Report": RECORD,
    "diagnosis.report.Report.plot": "draws on axes that matplotlib judges",
    "diagnosis.report.Report.shrink": "needs Torch-Pruning, which is not installed here",
    "diagnosis.report.Report.to_csv": WRITES,
    "diagnosis.report.Report.to_frame": "needs pandas, which is not installed here",
    "diagnosis.report.Report.to_html": WRITES,
    "diagnosis.report.Report.to_json": WRITES,
    "diagnosis.tails.Tails": RECORD,
    "diagnosis.theories.Theory": RECORD,
}
