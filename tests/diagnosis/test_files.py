"""A file of weights: every kind of number, against the weights themselves; damage; the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from prunekit.cli import main
from prunekit.diagnosis import tails, weights_report

from .helpers import perceptron, table


def saved(folder: Path, kind: torch.dtype = torch.float32) -> tuple[Path, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(40, 30, generator=generator).to(kind)
    save_file({"a": w, "b": torch.ones(3), "c": torch.arange(6).reshape(2, 3)}, folder / "w.safetensors")
    return folder / "w.safetensors", w


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_kind_of_number_is_read_as_it_is(tmp_path: Path, kind: torch.dtype) -> None:
    path, w = saved(tmp_path, kind)
    found = weights_report(path, seed=0)
    direct = tails.tails(w.float().numpy() if kind != torch.float64 else w.numpy(), last=True, seed=0)
    assert found.layers["a"].squares == pytest.approx(direct.squares)
    assert found.layers["a"].alpha == pytest.approx(direct.alpha)
    assert found.skipped == {"b": "no matrix", "c": "of kind I64"}
    assert "a" in repr(found)


def test_a_state_dict_of_torch_is_read_too(tmp_path: Path) -> None:
    torch.save(perceptron().state_dict(), tmp_path / "m.pt")
    assert list(weights_report(tmp_path / "m.pt").layers) == ["0.weight", "2.weight", "4.weight"]


def test_torch_is_not_imported_for_safetensors(tmp_path: Path) -> None:
    path, _ = saved(tmp_path)
    code = "import sys; from prunekit.diagnosis import weights_report as r\n"
    code += f"r({str(path)!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("damage", ["short", "header", "offsets", "nothing"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path, _ = saved(tmp_path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if damage == "short":
        content = content[: 8 + length + 100]
    elif damage == "header":
        content = content[:8] + b"x" * length + content[8 + length :]
    elif damage == "offsets":
        header = json.loads(content[8 : 8 + length])
        header["a"]["data_offsets"][1] += 4
        text = json.dumps(header).encode()
        content = len(text).to_bytes(8, "little") + text + content[8 + length :]
    else:
        content = b""
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        weights_report(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.full((20, 20), float("nan"))}, tmp_path / "n.safetensors")
    with pytest.raises(FloatingPointError, match="'a'"):
        weights_report(tmp_path / "n.safetensors")


def test_command_on_weights_alone(tmp_path: Path) -> None:
    path, _ = saved(tmp_path)
    done = CliRunner().invoke(main, ["diagnose", str(path)])
    assert done.exit_code == 0
    assert "Weights of 1 layers" in done.output


def test_command_on_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = perceptron()
    torch.save(model.state_dict(), tmp_path / "m.pt")
    x, _, labels = table()
    torch.save((x, labels), tmp_path / "d.pt")
    (tmp_path / "mine_for_diagnosis.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 3))\n"
        "def load():\n    return torch.load('d.pt')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = ["--model", "mine_for_diagnosis:make", "--data", "mine_for_diagnosis:load", "--budget", "0.5 s"]
    done = CliRunner().invoke(
        main, ["diagnose", "m.pt", *asked, "--html", "r.html", "--mask", "k.json", "--keep", "0.5"]
    )
    assert done.exit_code == 0, done.output
    assert "Diagnosis" in done.output
    assert (tmp_path / "r.html").is_file()
    assert (tmp_path / "k.json").is_file()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--model", "a:b"], "--data is missing"),
        (["--keep", "0.5"], "--mask and --keep together"),
        (["--html", "r.html"], "needs --model and --data"),
        (["--model", "nowhere:make", "--data", "nowhere:load"], "cannot be imported"),
        (["--model", "nowhere", "--data", "digits"], "package.module:function"),
    ],
)
def test_command_refuses_in_a_sentence(tmp_path: Path, asked: list[str], message: str) -> None:
    path, _ = saved(tmp_path)
    done = CliRunner().invoke(main, ["diagnose", str(path), *asked])
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def test_layers_are_read_one_after_another(tmp_path: Path) -> None:
    """Memory that a file needs is its largest layer's, not the file's: of many layers no more than of two."""
    script = (
        "import resource, sys\nfrom prunekit.diagnosis import weights_report\nweights_report(sys.argv[1])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for count in (1, 12):
        drawn = [np.random.default_rng(k).standard_normal((1000, 1000), np.float32) for k in range(count)]
        save_file({str(k): torch.from_numpy(w) for k, w in enumerate(drawn)}, tmp_path / "m.safetensors")
        command = [sys.executable, "-c", script, str(tmp_path / "m.safetensors")]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] - peaks[0] < 12 * 4_000  # kB of the mapped file itself, which the system may take back
